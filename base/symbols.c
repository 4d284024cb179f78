/*
 * symbols.c - see symbols.h.
 *
 * A table is two arrays, symbols sorted by address and a heap of names. Of several symbols at one address only the one
 * people would name it by is kept for lookups by address; all are found by name.
 */
#ifndef _GNU_SOURCE             /* qsort_r */
#define _GNU_SOURCE
#endif
#include "base/symbols.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

#define SYMBOLS_MAX (4u << 20)
#define NAMES_MAX (256u << 20)
#define UNSIZED 4096u           /* the extent of a symbol without a size that nothing follows */
#define COMPLETIONS 200

struct symbol {
    uint64_t addr, size;
    uint32_t name;              /* offset in names */
    uint8_t kind, global;
};

struct symtab {
    char name[64];
    struct symbol *sym;
    unsigned n, cap;
    char *names;
    size_t used, room;
    /* symbols' business */
    struct symtab *next;
    bool follow;
    uint64_t slide;
};

struct symbols {
    pthread_mutex_t lock;
    struct symtab *tables;
    void (*look)(void *arg, struct cpu *c);
    void *look_arg;
};

/* ---- one table ---- */

struct symtab *symtab_new(const char *name)
{
    struct symtab *t = calloc(1, sizeof(*t));

    if (!t)
        die(EXIT_CODE_HOST, "out of memory for symbols");
    snprintf(t->name, sizeof(t->name), "%s", name);
    return t;
}

void symtab_free(struct symtab *t)
{
    if (!t)
        return;
    free(t->sym);
    free(t->names);
    free(t);
}

static void *grow(void *p, size_t size)
{
    p = realloc(p, size);
    if (!p)
        die(EXIT_CODE_HOST, "out of memory for symbols");
    return p;
}

void symtab_add(struct symtab *t, uint64_t addr, uint64_t size, const char *name, size_t len,
                enum symbol_kind kind, bool global)
{
    char *to;

    if (len >= SYMBOL_NAME)
        len = SYMBOL_NAME - 1;
    len = strnlen(name, len);
    if (!len || t->n == SYMBOLS_MAX || t->used + len + 1 > NAMES_MAX)
        return;
    if (t->n == t->cap) {
        t->cap = t->cap ? 2 * t->cap : 1024;
        t->sym = grow(t->sym, t->cap * sizeof(t->sym[0]));
    }
    if (t->used + len + 1 > t->room) {
        t->room = 2 * t->room + SYMBOL_NAME + 65536;
        t->names = grow(t->names, t->room);
    }
    t->sym[t->n++] = (struct symbol){ addr, size, (uint32_t)t->used, (uint8_t)kind, global };
    to = t->names + t->used;
    for (size_t i = 0; i < len; i++)            /* it is going to be printed */
        to[i] = name[i] > ' ' && name[i] < 0x7f ? name[i] : '?';
    to[len] = 0;
    t->used += len + 1;
}

unsigned symtab_count(const struct symtab *t)
{
    return t->n;
}

/* The better name of one address comes last: lookups take the last symbol that does not begin behind the address. */
static int by_address(const void *x, const void *y, void *arg)
{
    const struct symbol *a = x, *b = y;
    const char *names = arg, *na = names + a->name, *nb = names + b->name;

    if (a->addr != b->addr)
        return a->addr < b->addr ? -1 : 1;
    if (a->kind != b->kind)
        return a->kind == SYMBOL_CODE ? 1 : -1;
    if (a->global != b->global)
        return a->global ? 1 : -1;
    if (!a->size != !b->size)
        return a->size ? 1 : -1;
    if (strspn(na, "_.") != strspn(nb, "_."))
        return strspn(na, "_.") < strspn(nb, "_.") ? 1 : -1;
    return a->name < b->name ? 1 : -1;
}

/* Kernels' tables come sorted: then only what is at one address is to be. */
static void sort(struct symtab *t)
{
    unsigned from = 0, to = 1;

    while (to < t->n && t->sym[to].addr >= t->sym[to - 1].addr)
        to++;
    if (to < t->n) {
        qsort_r(t->sym, t->n, sizeof(t->sym[0]), by_address, t->names);
        return;
    }
    for (; from < t->n; from = to) {
        for (to = from + 1; to < t->n && t->sym[to].addr == t->sym[from].addr; to++)
            ;
        if (to - from > 1)
            qsort_r(t->sym + from, to - from, sizeof(t->sym[0]), by_address, t->names);
    }
}

void symtab_finish(struct symtab *t)
{
    uint64_t next = UINT64_MAX;

    if (!t->n)
        return;
    sort(t);
    for (unsigned i = t->n; i--;) {
        struct symbol *s = &t->sym[i];

        if (i + 1 < t->n && t->sym[i + 1].addr != s->addr)
            next = t->sym[i + 1].addr;
        if (!s->size)
            s->size = next != UINT64_MAX ? next - s->addr : UNSIZED;
    }
}

bool symtab_find(const struct symtab *t, const char *name, uint64_t *addr)
{
    for (unsigned i = 0; i < t->n; i++)
        if (strcmp(t->names + t->sym[i].name, name) == 0) {
            *addr = t->sym[i].addr;
            return true;
        }
    return false;
}

bool symtab_nth(const struct symtab *t, unsigned n, uint64_t *addr, uint64_t *size, const char **name)
{
    if (n >= t->n)
        return false;
    *addr = t->sym[n].addr;
    *size = t->sym[n].size;
    *name = t->names + t->sym[n].name;
    return true;
}

/* The symbol that addr, as it is in the table, is in; NULL: none. */
static const struct symbol *nearest(const struct symtab *t, uint64_t addr)
{
    unsigned lo = 0, hi = t->n;         /* the last one with s->addr <= addr is before hi */

    while (lo < hi) {
        unsigned mid = lo + (hi - lo) / 2;

        if (t->sym[mid].addr <= addr)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (!lo || addr - t->sym[lo - 1].addr >= t->sym[lo - 1].size)
        return NULL;
    return &t->sym[lo - 1];
}

/* ---- all tables ---- */

struct symbols *symbols_new(void)
{
    struct symbols *s = calloc(1, sizeof(*s));

    if (!s)
        die(EXIT_CODE_HOST, "out of memory for symbols");
    pthread_mutex_init(&s->lock, NULL);
    return s;
}

void symbols_free(struct symbols *s)
{
    if (!s)
        return;
    for (struct symtab *t = s->tables, *next; t; t = next) {
        next = t->next;
        symtab_free(t);
    }
    pthread_mutex_destroy(&s->lock);
    free(s);
}

void symbols_add(struct symbols *s, struct symtab *t, bool follow)
{
    struct symtab **at = &s->tables;

    t->follow = follow;
    pthread_mutex_lock(&s->lock);
    while (*at)
        at = &(*at)->next;
    *at = t;
    pthread_mutex_unlock(&s->lock);
}

void symbols_drop(struct symbols *s, struct symtab *t)
{
    if (!t)
        return;
    pthread_mutex_lock(&s->lock);
    for (struct symtab **at = &s->tables; *at; at = &(*at)->next)
        if (*at == t) {
            *at = t->next;
            break;
        }
    pthread_mutex_unlock(&s->lock);
    symtab_free(t);
}

void symbols_slide_all(struct symbols *s, bool (*slide)(void *, const struct symtab *, uint64_t *), void *arg)
{
    pthread_mutex_lock(&s->lock);
    for (struct symtab *t = s->tables; t; t = t->next) {
        uint64_t by;

        if (t->follow && slide(arg, t, &by))
            t->slide = by;
    }
    pthread_mutex_unlock(&s->lock);
}

void symbols_on_lookup(struct symbols *s, void (*look)(void *, struct cpu *), void *arg)
{
    s->look = look;
    s->look_arg = arg;
}

static void look(struct symbols *s, struct cpu *c)
{
    if (c && s->look)
        s->look(s->look_arg, c);
}

bool symbols_lookup(struct symbols *s, struct cpu *c, uint64_t addr, struct symbol_at *out)
{
    const struct symbol *y = NULL;

    if (!s)
        return false;
    look(s, c);
    pthread_mutex_lock(&s->lock);
    for (struct symtab *t = s->tables; t && !y; t = t->next) {
        y = nearest(t, addr - t->slide);
        if (!y)
            continue;
        snprintf(out->name, sizeof(out->name), "%s", t->names + y->name);
        snprintf(out->table, sizeof(out->table), "%s", t->name);
        out->start = y->addr + t->slide;
        out->size = y->size;
        out->kind = y->kind;
    }
    pthread_mutex_unlock(&s->lock);
    return y != NULL;
}

bool symbols_start(struct symbols *s, uint64_t addr, uint64_t *start)
{
    const struct symbol *y = NULL;

    if (!s)
        return false;
    pthread_mutex_lock(&s->lock);
    for (struct symtab *t = s->tables; t && !y; t = t->next) {
        y = nearest(t, addr - t->slide);
        if (y)
            *start = y->addr + t->slide;
    }
    pthread_mutex_unlock(&s->lock);
    return y != NULL;
}

bool symbols_find(struct symbols *s, struct cpu *c, const char *name, uint64_t *addr)
{
    bool found = false;

    if (!s)
        return false;
    look(s, c);
    pthread_mutex_lock(&s->lock);
    for (struct symtab *t = s->tables; t && !found; t = t->next) {
        found = symtab_find(t, name, addr);
        if (found)
            *addr += t->slide;
    }
    pthread_mutex_unlock(&s->lock);
    return found;
}

const char *symbols_label(struct symbols *s, struct cpu *c, uint64_t addr, char *buf, size_t size)
{
    struct symbol_at at;

    *buf = 0;
    if (!symbols_lookup(s, c, addr, &at))
        return buf;
    if (addr == at.start)
        snprintf(buf, size, " <%.*s>", (int)size - 4, at.name);
    else
        snprintf(buf, size, " <%.*s+0x%llx>", (int)size - 24, at.name, (unsigned long long)(addr - at.start));
    return buf;
}

void symbols_complete(struct symbols *s, const char *part, void (*fn)(void *, const char *), void *arg)
{
    size_t len = strlen(part);
    unsigned found = 0;

    if (!s || !len)
        return;
    pthread_mutex_lock(&s->lock);
    for (struct symtab *t = s->tables; t; t = t->next)
        for (unsigned i = 0; i < t->n && found < COMPLETIONS; i++)
            if (strncmp(t->names + t->sym[i].name, part, len) == 0) {
                fn(arg, t->names + t->sym[i].name);
                found++;
            }
    pthread_mutex_unlock(&s->lock);
}

void symbols_list(struct symbols *s, void (*fn)(void *, const char *), void *arg)
{
    char line[160];

    if (!s)
        return;
    pthread_mutex_lock(&s->lock);
    for (struct symtab *t = s->tables; t; t = t->next) {
        bool down = t->slide >> 63;
        int n = snprintf(line, sizeof(line), "%s: %u symbols", t->name, t->n);

        if (t->slide)
            snprintf(line + n, sizeof(line) - (size_t)n, ", moved by %s0x%llx", down ? "-" : "",
                     (unsigned long long)(down ? -t->slide : t->slide));
        fn(arg, line);
    }
    pthread_mutex_unlock(&s->lock);
}
