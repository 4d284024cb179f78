/*
 * kallsyms.h - the symbol table that a Linux kernel has of itself, from a copy of the memory its image is in.
 *
 * The bytes are the guest's: everything is checked, and what does not fit together is no table. Known are the forms of
 * Linux 4.6 to 6.15 (scripts/kallsyms.c, kernel/kallsyms.c): before 6.5 addresses stand before the names, since then
 * behind the tokens; since 6.1 names may be longer than 127 bytes; addresses are 32-bit offsets (with those of per-CPU
 * variables absolute, or all of one kind), or, without CONFIG_KALLSYMS_BASE_RELATIVE, words.
 */
#ifndef DEBUG_KALLSYMS_H
#define DEBUG_KALLSYMS_H

#include "base/symbols.h"

/* Where the parts are in the memory that was looked through, in bytes from its start. */
struct kallsyms {
    size_t tokens;              /* kallsyms_token_table: 256 strings */
    size_t index;               /* kallsyms_token_index: 256 16-bit offsets of them */
    size_t names, names_end;    /* kallsyms_names */
    size_t addresses;           /* kallsyms_offsets or kallsyms_addresses */
    size_t base;                /* kallsyms_relative_base; as `addresses` where they are words */
    uint32_t count;             /* kallsyms_num_syms */
    bool big;                   /* lengths of 128 and more have two bytes */
    bool words;                 /* addresses are words */
    bool percpu;                /* offsets that are not negative are absolute */
};

#define KALLSYMS_INDEX 512      /* bytes of a token index */
/*
 * The first place at or behind `from` that looks like a token index; len: there is none. What is there may change
 * meanwhile.
 */
size_t kallsyms_candidate(const uint8_t *image, size_t len, size_t from);
/* The tables around such a place, `index`. word: 4 or 8. False: it is none. The bytes do not change meanwhile. */
bool kallsyms_parse(const uint8_t *image, size_t len, size_t index, unsigned word, struct kallsyms *);
/*
 * What was parsed, as a table that is finished. Per-CPU variables have no address and go to `percpu`, with the offset in
 * their CPU's memory; it may be NULL.
 */
struct symtab *kallsyms_read(const uint8_t *image, const struct kallsyms *, unsigned word, struct symtab *percpu);

#endif
