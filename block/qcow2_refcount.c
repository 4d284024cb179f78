/*
 * qcow2_refcount.c - which host clusters are in use, and how often.
 *
 * Places are given first fit, from the lowest free cluster on.  A refcount block that does not exist yet is
 * put into the first cluster of those it counts: all of these are free, and it counts itself.  Where the
 * refcount table is too short it is made longer in memory, and its new place is allocated as any other
 * clusters; the header follows in commit.
 */
#include <stdlib.h>
#include <string.h>

#include "block/qcow2.h"

/* ---- entries of a block: 2^order bits ---- */

uint64_t qcow2_count_get(const void *block, unsigned order, uint64_t i)
{
    const uint8_t *p = block;

    switch (order) {
    case 0: case 1: case 2: {
        unsigned bits = 1u << order, per = 8 / bits;

        return p[i / per] >> (i % per * bits) & ((1u << bits) - 1);
    }
    case 3: return p[i];
    case 4: return (uint64_t)p[2 * i] << 8 | p[2 * i + 1];
    case 5: return get32(p + 4 * i);
    default: return get64(p + 8 * i);
    }
}

void qcow2_count_set(void *block, unsigned order, uint64_t i, uint64_t count)
{
    uint8_t *p = block;

    switch (order) {
    case 0: case 1: case 2: {
        unsigned bits = 1u << order, per = 8 / bits, shift = (unsigned)(i % per) * bits;

        p[i / per] = (uint8_t)((p[i / per] & ~(((1u << bits) - 1) << shift)) | count << shift);
        break;
    }
    case 3: p[i] = (uint8_t)count; break;
    case 4: p[2 * i] = (uint8_t)(count >> 8); p[2 * i + 1] = (uint8_t)count; break;
    case 5: put32(p + 4 * i, (uint32_t)count); break;
    default: put64(p + 8 * i, count); break;
    }
}

static uint64_t count_max(const struct qcow2 *q)
{
    return q->refcount_order == 6 ? UINT64_MAX : ((uint64_t)1 << (1u << q->refcount_order)) - 1;
}

static void block_set(struct qcow2 *q, struct qcow2_table *t, uint64_t cluster, uint64_t count)
{
    uint64_t i = cluster & (((uint64_t)1 << q->rb_bits) - 1);
    unsigned byte = (unsigned)((i << q->refcount_order) / 8);

    qcow2_count_set(t->data, q->refcount_order, i, count);
    qcow2_dirty(&q->rb, t, byte, byte + 1);
}

static uint64_t block_get(struct qcow2 *q, struct qcow2_table *t, uint64_t cluster)
{
    return qcow2_count_get(t->data, q->refcount_order, cluster & (((uint64_t)1 << q->rb_bits) - 1));
}

/* ---- blocks ---- */

/* The block that counts a cluster; *t NULL: none, all counts are 0. */
static int find_block(struct qcow2 *q, uint64_t cluster, struct qcow2_table **t)
{
    uint64_t i = cluster >> q->rb_bits;

    *t = NULL;
    if (i >= q->rt_size || !q->rt[i])
        return 0;
    if (q->rt[i] & ((1u << 9) - 1))
        return qcow2_corrupt(q, "an entry of the refcount table has reserved bits set");
    return qcow2_cache_get(&q->rb, q->rt[i], t);
}

static void rt_dirty(struct qcow2 *q, unsigned lo, unsigned hi)
{
    if (q->rt_lo == q->rt_hi) {
        q->rt_lo = lo;
        q->rt_hi = hi;
    }
    q->rt_lo = lo < q->rt_lo ? lo : q->rt_lo;
    q->rt_hi = hi > q->rt_hi ? hi : q->rt_hi;
}

/* Makes the refcount table long enough for index i, with half as much again to spare. */
static int grow_table(struct qcow2 *q, uint64_t i)
{
    uint64_t old_off = q->rt_off, old_bytes = (uint64_t)q->rt_size * 8, bytes = (i + 1 + i / 2) * 8, first, n;
    uint64_t *rt;
    unsigned old_size = q->rt_size;
    int r;

    if ((i + 1) * 8 > QCOW2_RT_MAX)
        return -EFBIG;
    bytes = qcow2_clusters(q, bytes < QCOW2_RT_MAX ? bytes : QCOW2_RT_MAX) << q->cluster_bits;
    rt = realloc(q->rt, bytes);
    if (!rt)
        return -ENOMEM;
    memset((uint8_t *)rt + old_bytes, 0, bytes - old_bytes);
    q->rt = rt;
    q->rt_size = (unsigned)(bytes / 8);
    r = qcow2_alloc(q, bytes >> q->cluster_bits, bytes >> q->cluster_bits, &first, &n);
    if (!r)
        r = qcow2_meta_add(q, first << q->cluster_bits, bytes);
    if (r) {
        /* Blocks that only the longer table leads to are forgotten with it. */
        for (unsigned k = old_size; k < q->rt_size; k++) {
            if (q->rt[k]) {
                qcow2_cache_drop(&q->rb, q->rt[k]);
                qcow2_meta_remove(q, q->rt[k], q->cluster);
            }
        }
        q->rt_size = old_size;
        q->rt_hi = q->rt_hi > old_size ? old_size : q->rt_hi;
        q->rt_lo = q->rt_lo > q->rt_hi ? q->rt_hi : q->rt_lo;
        return r;
    }
    q->rt_off = first << q->cluster_bits;
    q->rt_header = true;
    rt_dirty(q, 0, q->rt_size);
    qcow2_meta_remove(q, old_off, old_bytes);
    return qcow2_free_later(q, old_off, old_bytes);
}

static int make_block(struct qcow2 *q, uint64_t cluster)
{
    uint64_t i = cluster >> q->rb_bits, own = i << q->rb_bits;
    struct qcow2_table *t;
    int r;

    if (i >= q->rt_size) {
        r = grow_table(q, i);
        /* Growing may have made the very block. */
        if (r || q->rt[i])
            return r;
    }
    if (own << q->cluster_bits >> q->cluster_bits != own || own << q->cluster_bits > (uint64_t)1 << 56)
        return -EFBIG;
    r = qcow2_meta_add(q, own << q->cluster_bits, q->cluster);
    if (!r)
        r = qcow2_cache_new(&q->rb, own << q->cluster_bits, &t);
    if (r)
        return r;
    block_set(q, t, own, 1);
    q->rt[i] = own << q->cluster_bits;
    rt_dirty(q, (unsigned)i, (unsigned)i + 1);
    return 0;
}

/* ---- counts ---- */

int qcow2_ref_get(struct qcow2 *q, uint64_t cluster, uint64_t *count)
{
    struct qcow2_table *t;
    int r = find_block(q, cluster, &t);

    *count = !r && t ? block_get(q, t, cluster) : 0;
    return r;
}

int qcow2_ref_up(struct qcow2 *q, uint64_t cluster)
{
    struct qcow2_table *t;
    uint64_t count;
    int r = find_block(q, cluster, &t);

    if (!r && !t) {
        r = make_block(q, cluster);
        if (!r)
            r = find_block(q, cluster, &t);
    }
    if (r)
        return r;
    count = block_get(q, t, cluster);
    if (count == count_max(q))
        return -EMLINK;
    block_set(q, t, cluster, count + 1);
    return 0;
}

int qcow2_ref_down(struct qcow2 *q, uint64_t cluster, uint64_t n)
{
    for (uint64_t c = cluster; c < cluster + n; c++) {
        struct qcow2_table *t;
        uint64_t count = 0;
        int r = find_block(q, c, &t);

        if (r)
            return r;
        if (t)
            count = block_get(q, t, c);
        if (!count)
            return qcow2_corrupt(q, "a cluster in use counts as free");
        block_set(q, t, c, count - 1);
        if (count == 1 && c < q->hint)
            q->hint = c;
    }
    return 0;
}

int qcow2_alloc(struct qcow2 *q, uint64_t min, uint64_t max, uint64_t *cluster, uint64_t *n)
{
    uint64_t c = q->hint, run = 0, lowest = UINT64_MAX;
    int r;

    for (; run < max; c++) {
        struct qcow2_table *t;

        r = find_block(q, c, &t);
        if (!r && !t) {
            r = make_block(q, c);
            if (r == -EEXIST)
                return qcow2_corrupt(q, "a cluster with a table counts as free");
            if (!r) {
                c -= run + 1;   /* the block may have gone where the run began */
                run = 0;
                continue;
            }
        }
        if (r)
            return r;
        if (block_get(q, t, c)) {
            if (run >= min)
                break;
            run = 0;
            continue;
        }
        if (qcow2_set_has(&q->meta, c))
            return qcow2_corrupt(q, "a cluster with a table counts as free");
        if (c << q->cluster_bits > (uint64_t)1 << 56)
            return -EFBIG;
        lowest = c < lowest ? c : lowest;
        run++;
    }
    *cluster = c - run;
    *n = run;
    for (uint64_t i = *cluster; i < c; i++) {
        r = qcow2_ref_up(q, i);
        if (r) {
            /* Nothing refers to those yet. */
            qcow2_ref_down(q, *cluster, i - *cluster);
            return r;
        }
    }
    q->hint = lowest == *cluster ? c : lowest;
    return 0;
}

int qcow2_alloc_at(struct qcow2 *q, uint64_t cluster)
{
    uint64_t count;
    int r = qcow2_ref_get(q, cluster, &count);

    if (r)
        return r;
    if (count || qcow2_set_has(&q->meta, cluster))
        return -EBUSY;
    /* Making its block takes a cluster, perhaps this one. */
    r = qcow2_ref_up(q, cluster);
    if (r)
        return r;
    r = qcow2_ref_get(q, cluster, &count);
    if (!r && count != 1) {
        qcow2_ref_down(q, cluster, 1);
        r = -EBUSY;
    }
    return r;
}

/* ---- what goes away ---- */

int qcow2_free_later(struct qcow2 *q, uint64_t off, uint64_t bytes)
{
    uint64_t first = off >> q->cluster_bits, last = (off + bytes - 1) >> q->cluster_bits;
    struct qcow2_pending *p = q->npending ? &q->pending[q->npending - 1] : NULL;

    if (!bytes)
        return 0;
    if (p && p->cluster + p->n == first) {
        p->n += last - first + 1;
        return 0;
    }
    if (q->npending == q->pending_cap) {
        size_t cap = q->pending_cap * 2 + 64;

        p = realloc(q->pending, cap * sizeof(*p));
        if (!p)
            return 0;           /* they are leaked, which harms nobody */
        q->pending = p;
        q->pending_cap = cap;
    }
    q->pending[q->npending++] = (struct qcow2_pending){ first, last - first + 1 };
    return 0;
}

int qcow2_apply_pending(struct qcow2 *q)
{
    size_t n = q->npending;
    int r = 0;

    q->npending = 0;
    if (n)
        q->unpacked_entry = q->pack = 0;
    for (size_t i = 0; i < n && !r; i++) {
        struct qcow2_pending p = q->pending[i];

        r = qcow2_ref_down(q, p.cluster, p.n);
        for (uint64_t c = p.cluster, end; !r && q->b->discard && c < p.cluster + p.n; c = end) {
            uint64_t count = 0;

            end = c;
            while (end < p.cluster + p.n && !(r = qcow2_ref_get(q, end, &count)) && !count)
                end++;
            if (end > c)
                hostfile_punch(&q->b->file, c << q->cluster_bits, (end - c) << q->cluster_bits);
            else
                end++;
        }
    }
    return r;
}

/* ---- clusters with tables ---- */

int qcow2_meta_add(struct qcow2 *q, uint64_t off, uint64_t bytes)
{
    uint64_t c = off >> q->cluster_bits, end = c + qcow2_clusters(q, bytes);

    for (; c < end; c++) {
        int r = qcow2_set_add(&q->meta, c);

        if (r)
            return r;
    }
    return 0;
}

void qcow2_meta_remove(struct qcow2 *q, uint64_t off, uint64_t bytes)
{
    uint64_t c = off >> q->cluster_bits, end = c + qcow2_clusters(q, bytes);

    for (; c < end; c++)
        qcow2_set_remove(&q->meta, c);
}

int qcow2_may_hold_data(struct qcow2 *q, uint64_t off, uint64_t bytes)
{
    for (uint64_t c = off >> q->cluster_bits; c <= (off + bytes - 1) >> q->cluster_bits; c++)
        if (qcow2_set_has(&q->meta, c))
            return -EIO;
    return 0;
}
