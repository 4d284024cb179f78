/*
 * qcow2_map.c - from positions on the disk to what is there, and reading it.
 *
 * Without extended L2 entries a cluster is treated as having one subcluster, so that there is one way for
 * both.
 */
#include <string.h>

#include "block/qcow2.h"

/* ---- entries ---- */

int qcow2_entry_get(struct qcow2 *q, const struct qcow2_table *t, unsigned index, struct qcow2_entry *x)
{
    const uint8_t *p = t->data + (size_t)index * q->entry_size;
    uint64_t map;

    memset(x, 0, sizeof(*x));
    x->entry = get64(p);
    if (x->entry & ENTRY_COMPRESSED) {
        x->compressed = true;
        return 0;
    }
    x->host = x->entry & ENTRY_OFFSET;
    x->owned = x->host && (x->entry & ENTRY_COPIED);
    if (x->host & (q->cluster - 1))
        return qcow2_corrupt(q, "a data cluster's place is no multiple of the cluster size");
    if (q->subs == 1) {
        x->zero = x->entry & ENTRY_ZERO;
        x->alloc = x->host && !x->zero;
        if (x->zero && q->version < 3)
            return qcow2_corrupt(q, "a cluster of zeros in an image of version 2");
        return 0;
    }
    map = get64(p + 8);
    x->alloc = (uint32_t)map;
    x->zero = (uint32_t)(map >> 32);
    if (x->alloc & x->zero || (x->alloc && !x->host))
        return qcow2_corrupt(q, "subclusters that are both data and zeros, or data that is nowhere");
    return 0;
}

void qcow2_entry_put(struct qcow2 *q, struct qcow2_table *t, unsigned index, const struct qcow2_entry *x)
{
    uint8_t *p = t->data + (size_t)index * q->entry_size;
    uint64_t entry = x->compressed ? x->entry : x->host | (x->host ? ENTRY_COPIED : 0);

    if (q->subs == 1 && !x->compressed && x->zero)
        entry |= ENTRY_ZERO;
    put64(p, entry);
    if (q->subs > 1)
        put64(p + 8, x->compressed ? 0 : (uint64_t)x->zero << 32 | x->alloc);
    qcow2_dirty(&q->l2, t, index * q->entry_size, (index + 1) * q->entry_size);
}

/* ---- tables ---- */

int qcow2_l2_get(struct qcow2 *q, uint64_t off, struct qcow2_table **t)
{
    uint64_t i = off >> q->cluster_bits >> q->l2_bits, at;

    *t = NULL;
    if (i >= q->l1_size)
        return qcow2_corrupt(q, "the L1 table is too short for the disk");
    at = q->l1[i] & ENTRY_OFFSET;
    return at ? qcow2_cache_get(&q->l2, at, t) : 0;
}

int qcow2_l2_make(struct qcow2 *q, uint64_t off, struct qcow2_table **t)
{
    uint64_t i = off >> q->cluster_bits >> q->l2_bits, first, n;
    struct qcow2_table *old;
    int r = qcow2_l2_get(q, off, &old);

    *t = old;
    if (r || (old && (q->l1[i] & ENTRY_COPIED)))
        return r;
    r = qcow2_alloc(q, 1, 1, &first, &n);
    if (r)
        return r;
    r = qcow2_cache_new(&q->l2, first << q->cluster_bits, t);
    if (r) {
        qcow2_ref_down(q, first, 1);
        return r;
    }
    qcow2_meta_add(q, first << q->cluster_bits, q->cluster);
    if (old) {
        /* A snapshot's, whose clusters count once for it and once for us: their entries say so already. */
        r = qcow2_l2_get(q, off, &old);
        if (r) {
            qcow2_cache_drop(&q->l2, first << q->cluster_bits);
            qcow2_meta_remove(q, first << q->cluster_bits, q->cluster);
            qcow2_ref_down(q, first, 1);
            return r;
        }
        memcpy((*t)->data, old->data, q->cluster);
        qcow2_meta_remove(q, old->off, q->cluster);
        qcow2_free_later(q, old->off, q->cluster);
    }
    q->l1[i] = first << q->cluster_bits | ENTRY_COPIED;
    if (q->l1_lo == q->l1_hi) {
        q->l1_lo = (unsigned)i;
        q->l1_hi = (unsigned)i + 1;
    }
    q->l1_lo = i < q->l1_lo ? (unsigned)i : q->l1_lo;
    q->l1_hi = i + 1 > q->l1_hi ? (unsigned)i + 1 : q->l1_hi;
    return 0;
}

/* ---- extents ---- */

static void describe(const struct qcow2 *q, const struct qcow2_entry *x, unsigned sub,
                     struct qcow2_extent *out)
{
    out->entry = x->entry;
    out->owned = x->owned;
    out->host = x->host + ((uint64_t)sub << q->sub_bits);
    out->kind = x->compressed ? X_COMPRESSED : x->zero >> sub & 1 ? X_ZERO : x->alloc >> sub & 1 ? X_DATA :
        X_ABSENT;
}

static bool goes_on(const struct qcow2_extent *x, uint64_t so_far, const struct qcow2_extent *next)
{
    if (x->kind != next->kind || x->kind == X_COMPRESSED)
        return false;
    return x->kind != X_DATA || (next->host == x->host + so_far && next->owned == x->owned);
}

static int map(struct qcow2 *q, uint64_t off, uint64_t len, struct qcow2_extent *x)
{
    uint64_t table_end = ((off >> q->cluster_bits >> q->l2_bits) + 1) << q->l2_bits << q->cluster_bits;
    uint64_t unit = (uint64_t)1 << q->sub_bits, pos = off & ~(unit - 1);
    struct qcow2_table *t;
    struct qcow2_entry e;
    int r = qcow2_l2_get(q, off, &t);

    if (r)
        return r;
    len = len < table_end - off ? len : table_end - off;
    if (!t) {
        *x = (struct qcow2_extent){ .kind = X_ABSENT, .len = len };
        return 0;
    }
    for (bool first = true; pos < off + len; pos += unit, first = false) {
        unsigned sub = (unsigned)(pos >> q->sub_bits) & (q->subs - 1);
        struct qcow2_extent next;

        if (first || !sub) {
            r = qcow2_entry_get(q, t, qcow2_l2_index(q, pos), &e);
            if (r)
                return r;
        }
        if (first) {
            describe(q, &e, sub, x);
            if (x->kind == X_COMPRESSED) {
                pos = off | (q->cluster - 1);
                pos++;
                break;
            }
            continue;
        }
        describe(q, &e, sub, &next);
        if (!goes_on(x, pos - (off & ~(unit - 1)), &next))
            break;
    }
    x->len = (pos < off + len ? pos : off + len) - off;
    x->host += off & (unit - 1);
    return 0;
}

int qcow2_map(struct qcow2 *q, uint64_t off, uint64_t len, struct qcow2_extent *x)
{
    int r;

    pthread_mutex_lock(&q->tables);
    r = map(q, off, len, x);
    pthread_mutex_unlock(&q->tables);
    return r;
}

/* ---- reading ---- */

bool qcow2_backing_is_zero(struct qcow2 *q, uint64_t off, uint64_t len)
{
    struct block *backing = q->b->backing;

    /* Not opened: who knows. */
    if (!backing)
        return !q->b->backing_name;
    return off >= backing->size;
}

static int read_backing(struct qcow2 *q, uint64_t off, uint8_t *buf, size_t len)
{
    struct block *backing = q->b->backing;
    size_t there = 0;
    int r = 0;

    if (backing && off < backing->size)
        there = len < backing->size - off ? len : (size_t)(backing->size - off);
    if (there)
        r = block_read(backing, off, buf, there);
    memset(buf + there, 0, len - there);
    return r;
}

int qcow2_read_locked(struct qcow2 *q, uint64_t off, void *out, size_t len)
{
    uint8_t *buf = out;

    while (len) {
        struct qcow2_extent x;
        int r = qcow2_map(q, off, len, &x);

        if (r)
            return r;
        switch (x.kind) {
        case X_DATA:
            if (x.host - (x.host & (q->cluster - 1)) >= q->b->file.size)
                return block_damaged(q->b, "data lies behind the file's end: the file is truncated");
            r = hostfile_read(&q->b->file, x.host, buf, x.len);
            break;
        case X_COMPRESSED:
            r = qcow2_unpack(q, x.entry, off & (q->cluster - 1), buf, x.len);
            break;
        case X_ZERO:
            memset(buf, 0, x.len);
            break;
        case X_ABSENT:
            r = read_backing(q, off, buf, x.len);
            break;
        }
        if (r)
            return r;
        off += x.len;
        buf += x.len;
        len -= x.len;
    }
    return 0;
}
