/* journal.c - see journal.h. */
#include "softmmu/journal.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"

void journal_note(struct journal *j, void *host, uint32_t len)
{
    if (j->n == j->cap) {
        j->cap = j->cap ? j->cap * 2 : 64;
        j->e = realloc(j->e, j->cap * sizeof *j->e);
    }
    if (j->used + len > j->room) {
        j->room = (j->used + len) * 2;
        j->bytes = realloc(j->bytes, j->room);
    }
    if (!j->e || !j->bytes)
        die(EXIT_CODE_HOST, "out of memory");
    j->e[j->n++] = (struct journal_entry){ host, len, (uint32_t)j->used };
    memcpy(j->bytes + j->used, host, len);
    j->used += len;
}

static void swap(uint8_t *a, uint8_t *b, uint32_t n)
{
    while (n--) {
        uint8_t t = *a;
        *a++ = *b;
        *b++ = t;
    }
}

/* Backwards: where entries overlap, the first one's bytes are the oldest, the last one's the newest. */
void journal_undo(struct journal *j)
{
    for (unsigned i = j->n; i-- > 0;)
        swap(j->e[i].host, j->bytes + j->e[i].at, j->e[i].len);
}

void journal_redo(struct journal *j)
{
    for (unsigned i = 0; i < j->n; i++)
        swap(j->e[i].host, j->bytes + j->e[i].at, j->e[i].len);
}

/*
 * Only the last of several stores to a byte says what memory should hold.  To find
 * it without a search for each byte: keep what memory holds now, make the noted
 * stores again, and see whether that changed anything.
 */
int journal_compare(struct journal *j)
{
    uint8_t *now = malloc(j->used ? j->used : 1);
    int differs = -1;
    if (!now)
        die(EXIT_CODE_HOST, "out of memory");
    for (unsigned i = 0; i < j->n; i++)
        memcpy(now + j->e[i].at, j->e[i].host, j->e[i].len);
    journal_redo(j);
    for (unsigned i = 0; i < j->n && differs < 0; i++)
        if (memcmp(now + j->e[i].at, j->e[i].host, j->e[i].len))
            differs = (int)i;
    free(now);
    return differs;
}

void journal_clear(struct journal *j)
{
    j->n = 0;
    j->used = 0;
    j->world = false;
}

void journal_free(struct journal *j)
{
    free(j->e);
    free(j->bytes);
}
