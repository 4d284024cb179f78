/*
 * journal.h - remembers what guest stores overwrote, so that a stretch of
 * execution can be taken back: the lock-step check runs each block twice.
 *
 * While c->journal is set, every CPU store to plain RAM is noted before it is
 * made; accesses to devices and stores to pages that hold code only set
 * `world`: such a stretch cannot be taken back.
 */
#ifndef SOFTMMU_JOURNAL_H
#define SOFTMMU_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct journal_entry {
    uint8_t *host;
    uint32_t len;
    uint32_t at;                /* offset of the old bytes in `bytes`; after the swap, of the new ones */
};

struct journal {
    struct journal_entry *e;
    unsigned n, cap;
    uint8_t *bytes;
    size_t used, room;
    bool world;
};

void journal_note(struct journal *, void *host, uint32_t len);
/* Put the old bytes back, keeping the new ones in the journal. */
void journal_undo(struct journal *);
/*
 * After journal_undo: does memory hold the new bytes (again)? Index of the first entry that differs, or -1.
 * Memory holds the new bytes afterwards.
 */
int journal_compare(struct journal *);
/* After journal_undo: write the new bytes again. */
void journal_redo(struct journal *);
void journal_clear(struct journal *);
void journal_free(struct journal *);

#endif
