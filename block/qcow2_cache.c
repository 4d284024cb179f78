/* qcow2_cache.c - L2 tables and refcount blocks in memory, and the set of clusters that hold tables. */
#include <stdlib.h>
#include <string.h>

#include "block/qcow2.h"

#define WRITE_UNIT 4096u        /* what is written around a changed entry */

int qcow2_cache_init(struct qcow2_cache *c, struct qcow2 *q, size_t bytes)
{
    memset(c, 0, sizeof(*c));
    c->q = q;
    c->limit = (unsigned)(bytes >> q->cluster_bits);
    if (c->limit < 8)
        c->limit = 8;
    for (c->buckets = 16; c->buckets < c->limit; c->buckets *= 2)
        ;
    c->hash = calloc(c->buckets, sizeof(*c->hash));
    return c->hash ? 0 : -ENOMEM;
}

void qcow2_cache_free(struct qcow2_cache *c)
{
    for (unsigned i = 0; i < c->buckets && c->hash; i++) {
        for (struct qcow2_table *t = c->hash[i], *next; t; t = next) {
            next = t->next;
            free(t->data);
            free(t);
        }
    }
    free(c->hash);
    memset(c, 0, sizeof(*c));
}

static struct qcow2_table **bucket(struct qcow2_cache *c, uint64_t off)
{
    return &c->hash[(off >> c->q->cluster_bits) * 0x9e3779b97f4a7c15u >> 32 & (c->buckets - 1)];
}

static struct qcow2_table *take_out(struct qcow2_table **p)
{
    struct qcow2_table *t = *p;

    *p = t->next;
    return t;
}

/* The table that was not used for longest, of those that need not be written: a search through all, but it
   is rare. */
static struct qcow2_table *victim(struct qcow2_cache *c)
{
    struct qcow2_table **best = NULL;

    for (unsigned i = 0; i < c->buckets; i++)
        for (struct qcow2_table **p = &c->hash[i]; *p; p = &(*p)->next)
            if ((*p)->lo == (*p)->hi && (!best || (*p)->used < (*best)->used))
                best = p;
    return best ? take_out(best) : NULL;
}

static struct qcow2_table *find(struct qcow2_cache *c, uint64_t off)
{
    struct qcow2_table *t = *bucket(c, off);

    while (t && t->off != off)
        t = t->next;
    return t;
}

/* Memory for one more table. */
static struct qcow2_table *add(struct qcow2_cache *c)
{
    struct qcow2_table *t = c->count >= c->limit ? victim(c) : NULL;

    if (t)
        return t;
    t = calloc(1, sizeof(*t));
    if (!t || !(t->data = hostfile_buffer(c->q->cluster))) {
        free(t);
        return NULL;
    }
    c->count++;
    return t;
}

static void discard(struct qcow2_cache *c, struct qcow2_table *t)
{
    free(t->data);
    free(t);
    c->count--;
}

static void put_in(struct qcow2_cache *c, struct qcow2_table *t, uint64_t off)
{
    struct qcow2_table **p = bucket(c, off);

    t->off = off;
    t->lo = t->hi = 0;
    t->used = ++c->clock;
    t->next = *p;
    *p = t;
}

int qcow2_cache_get(struct qcow2_cache *c, uint64_t off, struct qcow2_table **out)
{
    struct qcow2_table *t = find(c, off);
    int r;

    *out = t;
    if (t) {
        t->used = ++c->clock;
        return 0;
    }
    if (off & (c->q->cluster - 1) || !off)
        return qcow2_corrupt(c->q, "a table's place is no multiple of the cluster size");
    if (off >= c->q->b->file.size)
        return qcow2_corrupt(c->q, "a table lies behind the file's end: the file is truncated");
    t = add(c);
    if (!t)
        return -ENOMEM;
    r = hostfile_read(&c->q->b->file, off, t->data, c->q->cluster);
    if (r) {
        discard(c, t);
        return r;
    }
    put_in(c, t, off);
    *out = t;
    return 0;
}

int qcow2_cache_new(struct qcow2_cache *c, uint64_t off, struct qcow2_table **out)
{
    struct qcow2_table *t = find(c, off);

    if (!t) {
        t = add(c);
        if (!t)
            return -ENOMEM;
        put_in(c, t, off);
    }
    memset(t->data, 0, c->q->cluster);
    qcow2_dirty(c, t, 0, (unsigned)c->q->cluster);
    *out = t;
    return 0;
}

void qcow2_cache_drop(struct qcow2_cache *c, uint64_t off)
{
    for (struct qcow2_table **p = bucket(c, off); *p; p = &(*p)->next) {
        if ((*p)->off == off) {
            struct qcow2_table *t = take_out(p);

            c->dirty -= t->lo != t->hi;
            discard(c, t);
            return;
        }
    }
}

void qcow2_dirty(struct qcow2_cache *c, struct qcow2_table *t, unsigned lo, unsigned hi)
{
    unsigned unit = c->q->cluster < WRITE_UNIT ? (unsigned)c->q->cluster : WRITE_UNIT;

    lo &= ~(unit - 1);
    hi = (hi + unit - 1) & ~(unit - 1);
    if (t->lo == t->hi) {
        c->dirty++;
        t->lo = lo;
        t->hi = hi;
    }
    t->lo = lo < t->lo ? lo : t->lo;
    t->hi = hi > t->hi ? hi : t->hi;
}

static int by_offset(const void *a, const void *b)
{
    const struct qcow2_table *x = *(struct qcow2_table *const *)a, *y = *(struct qcow2_table *const *)b;

    return x->off < y->off ? -1 : x->off > y->off;
}

int qcow2_cache_write(struct qcow2_cache *c)
{
    struct qcow2_table **list;
    unsigned n = 0;
    int r = 0;

    if (!c->dirty)
        return 0;
    list = malloc(c->dirty * sizeof(*list));
    if (!list)
        return -ENOMEM;
    for (unsigned i = 0; i < c->buckets; i++)
        for (struct qcow2_table *t = c->hash[i]; t; t = t->next)
            if (t->lo != t->hi)
                list[n++] = t;
    qsort(list, n, sizeof(*list), by_offset);
    for (unsigned i = 0; i < n && !r; i++) {
        struct qcow2_table *t = list[i];

        r = hostfile_write(&c->q->b->file, t->off + t->lo, t->data + t->lo, t->hi - t->lo);
        if (!r) {
            t->lo = t->hi = 0;
            c->dirty--;
        }
    }
    free(list);
    return r;
}

/* ---- the set ---- */

static size_t slot_of(const struct qcow2_set *s, uint64_t key)
{
    size_t i = key * 0x9e3779b97f4a7c15u >> 20 & (s->cap - 1);

    while (s->slot[i] && s->slot[i] != key)
        i = (i + 1) & (s->cap - 1);
    return i;
}

bool qcow2_set_has(const struct qcow2_set *s, uint64_t cluster)
{
    return s->cap && s->slot[slot_of(s, cluster + 1)];
}

int qcow2_set_add(struct qcow2_set *s, uint64_t cluster)
{
    size_t i;

    if (s->n * 2 >= s->cap) {
        struct qcow2_set bigger = { .cap = s->cap ? s->cap * 2 : 64 };

        bigger.slot = calloc(bigger.cap, sizeof(*bigger.slot));
        if (!bigger.slot)
            return -ENOMEM;
        for (i = 0; i < s->cap; i++)
            if (s->slot[i])
                bigger.slot[slot_of(&bigger, s->slot[i])] = s->slot[i];
        bigger.n = s->n;
        free(s->slot);
        *s = bigger;
    }
    i = slot_of(s, cluster + 1);
    if (s->slot[i])
        return -EEXIST;
    s->slot[i] = cluster + 1;
    s->n++;
    return 0;
}

/* What comes behind in the same run moves up, so that no search ends at the gap. */
void qcow2_set_remove(struct qcow2_set *s, uint64_t cluster)
{
    size_t gap;

    if (!s->cap || !s->slot[gap = slot_of(s, cluster + 1)])
        return;
    s->slot[gap] = 0;
    s->n--;
    for (size_t i = (gap + 1) & (s->cap - 1); s->slot[i]; i = (i + 1) & (s->cap - 1)) {
        uint64_t key = s->slot[i];

        s->slot[i] = 0;
        s->slot[slot_of(s, key)] = key;
    }
}
