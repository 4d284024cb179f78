/*
 * symbols.h - names of guest addresses: tables from files and from the guest's own memory, looked at in order.
 *
 * What a table is made of may come from a hostile file or guest: names are bytes, addresses any number. Bounds are
 * kept here. Tables are immutable once they are added, but for their slide; any thread may look names up.
 */
#ifndef BASE_SYMBOLS_H
#define BASE_SYMBOLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SYMBOL_NAME 512         /* bytes of a name with its end: what is longer is cut off */

struct cpu;
struct symbols;
struct symtab;

enum symbol_kind { SYMBOL_CODE, SYMBOL_DATA };

/* ---- one table ---- */

/* name: where it is from, for people. Dies without memory. */
struct symtab *symtab_new(const char *name);
void symtab_free(struct symtab *);
/*
 * size 0: up to the next symbol, a page at most. `global` ones win over others at the same address. Nothing happens
 * where the name is empty or the table full (4 million symbols, 256 MiB of names).
 */
void symtab_add(struct symtab *, uint64_t addr, uint64_t size, const char *name, size_t len, enum symbol_kind,
                bool global);
unsigned symtab_count(const struct symtab *);
/* Before it is added to others: sorts it. */
void symtab_finish(struct symtab *);
/* The address of a name, without any slide. Of a finished table. */
bool symtab_find(const struct symtab *, const char *name, uint64_t *addr);
/* All of a finished table in order; false behind the last. `name` lives as long as the table. */
bool symtab_nth(const struct symtab *, unsigned n, uint64_t *addr, uint64_t *size, const char **name);

/* ---- all tables ---- */

struct symbols *symbols_new(void);
void symbols_free(struct symbols *);
/* Takes the table; it is asked behind those that are there. follow: it is the kernel's, and moves (symbols_slide_all()). */
void symbols_add(struct symbols *, struct symtab *, bool follow);
/* Takes a table away and frees it; NULL: nothing happens. */
void symbols_drop(struct symbols *, struct symtab *);
/*
 * For each table that follows: what slide() says its addresses are to be added, where it says anything.
 */
void symbols_slide_all(struct symbols *, bool (*slide)(void *arg, const struct symtab *, uint64_t *by), void *arg);
/* Called before a lookup on behalf of c, whose thread this is or which stands still: to find tables in its memory. */
void symbols_on_lookup(struct symbols *, void (*look)(void *arg, struct cpu *c), void *arg);

struct symbol_at {
    char name[SYMBOL_NAME];
    uint64_t start, size;       /* it is at [start, start + size) */
    enum symbol_kind kind;
    char table[64];
};
/* All take symbols NULL: there are no names. c: as for symbols_on_lookup(), or NULL: tables are as they are. */
bool symbols_lookup(struct symbols *, struct cpu *c, uint64_t addr, struct symbol_at *);
/* Only where the symbol begins. */
bool symbols_start(struct symbols *, uint64_t addr, uint64_t *start);
bool symbols_find(struct symbols *, struct cpu *c, const char *name, uint64_t *addr);
/* " <name+0x12>", or nothing; returns buf. */
const char *symbols_label(struct symbols *, struct cpu *c, uint64_t addr, char *buf, size_t size);
/* Names that begin with `part`, 200 at most: for completion. */
void symbols_complete(struct symbols *, const char *part, void (*fn)(void *arg, const char *name), void *arg);
/* One line for each table: where from, how many, slide. */
void symbols_list(struct symbols *, void (*fn)(void *arg, const char *line), void *arg);

#endif
