/*
 * qcow2_write.c - writing, zeroing, discarding.
 *
 * What the image has for itself alone is written in place, many requests at a time.  Everything else is
 * done by one thread (q->lock held for writing): clusters are allocated, data is written to them together
 * with what the rest of a cluster held before (copy on write), and only then the entries in memory lead
 * there.  If writing fails - the disk may be full - the clusters are given back, nothing has changed, and
 * the request may be made again.
 */
#include <stdlib.h>
#include <string.h>

#include "block/qcow2.h"

#define ASSEMBLE ((uint64_t)256 << 10)  /* up to this, copied and written at once */
#define ZEROS ((size_t)1 << 20)

/* ---- in place ---- */

static int write_in_place(struct qcow2 *q, uint64_t host, const void *buf, uint64_t len)
{
    if (qcow2_may_hold_data(q, host, len))
        return qcow2_corrupt(q, "data would be written over a table");
    return hostfile_write(&q->b->file, host, buf, len);
}

/* As much as can be written in place: *done bytes.  The lock is held for reading. */
static int write_owned(struct qcow2 *q, uint64_t off, const uint8_t *buf, size_t len, size_t *done)
{
    *done = 0;
    while (*done < len) {
        struct qcow2_extent x;
        int r = qcow2_map(q, off + *done, len - *done, &x);

        if (r)
            return r;
        if (x.kind != X_DATA || !x.owned)
            return 0;
        if (qcow2_may_hold_data(q, x.host, x.len))
            return 0;           /* the image is damaged: for the other way to say */
        r = hostfile_write(&q->b->file, x.host, buf + *done, x.len);
        if (r)
            return r;
        *done += x.len;
    }
    return 0;
}

/* ---- with allocation ---- */

/* A stretch of clusters that is written at once; positions on the disk unless said otherwise. */
struct stretch {
    uint64_t off, len;          /* what the guest writes */
    uint64_t from, to;          /* with what is copied around it */
    uint64_t base;              /* of the first cluster */
    uint64_t host;              /* base's place in the file */
    uint64_t n;                 /* clusters */
    bool fresh;                 /* the file ends before: zeros need not be written */
};

/* Old contents of [from, to), zeros behind the disk's end. */
static int read_old(struct qcow2 *q, uint64_t from, uint64_t to, uint8_t *buf)
{
    uint64_t end = to < q->b->size ? to : q->b->size, there = end > from ? end - from : 0;
    int r = there ? qcow2_read_locked(q, from, buf, there) : 0;

    memset(buf + there, 0, to - from - there);
    return r;
}

static int old_is_zero(struct qcow2 *q, uint64_t from, uint64_t to)
{
    to = to < q->b->size ? to : q->b->size;
    while (from < to) {
        struct qcow2_extent x;
        int r = qcow2_map(q, from, to - from, &x);

        if (r)
            return r;
        if (x.kind != X_ZERO && (x.kind != X_ABSENT || !qcow2_backing_is_zero(q, from, x.len)))
            return 0;
        from += x.len;
    }
    return 1;
}

/* One side of a stretch, copied. */
static int copy_side(struct qcow2 *q, const struct stretch *s, uint64_t from, uint64_t to)
{
    uint8_t *buf;
    int r;

    if (from == to)
        return 0;
    buf = hostfile_buffer(to - from);
    if (!buf)
        return -ENOMEM;
    r = read_old(q, from, to, buf);
    if (!r)
        r = write_in_place(q, s->host + (from - s->base), buf, to - from);
    free(buf);
    return r;
}

static int write_stretch(struct qcow2 *q, struct stretch *s, const void *data)
{
    uint64_t end = s->off + s->len;
    uint8_t *buf;
    int r = 0;

    if (s->fresh && s->from < s->off && (r = old_is_zero(q, s->from, s->off)) > 0)
        s->from = s->off;
    if (r >= 0 && s->fresh && s->to > end && (r = old_is_zero(q, end, s->to)) > 0)
        s->to = end;
    if (r < 0)
        return r;
    if (s->from == s->off && s->to == end)
        return write_in_place(q, s->host + (s->off - s->base), data, s->len);
    if (s->to - s->from > ASSEMBLE) {
        r = copy_side(q, s, s->from, s->off);
        if (!r)
            r = write_in_place(q, s->host + (s->off - s->base), data, s->len);
        return r ? r : copy_side(q, s, end, s->to);
    }
    buf = hostfile_buffer(s->to - s->from);
    if (!buf)
        return -ENOMEM;
    r = read_old(q, s->from, s->off, buf);
    if (!r)
        r = read_old(q, end, s->to, buf + (end - s->from));
    memcpy(buf + (s->off - s->from), data, s->len);
    if (!r)
        r = write_in_place(q, s->host + (s->from - s->base), buf, s->to - s->from);
    free(buf);
    return r;
}

/* Bits [from, to) of 32. */
static uint32_t bits(unsigned from, unsigned to)
{
    return (uint32_t)(((uint64_t)1 << to) - ((uint64_t)1 << from));
}

/* What an entry refers to is needed no longer. */
static void release(struct qcow2 *q, const struct qcow2_entry *x)
{
    uint64_t off = x->host, len = q->cluster;

    if (x->compressed)
        qcow2_compressed_place(q, x->entry, &off, &len);
    if (off)
        qcow2_free_later(q, off, len);
}

/* Subclusters [*lo, *hi) of the cluster at `base` that the range touches. */
static void touched(const struct qcow2 *q, uint64_t base, uint64_t off, uint64_t end, unsigned *lo,
                    unsigned *hi)
{
    uint64_t last = end < base + q->cluster ? end : base + q->cluster;

    *lo = off > base ? (unsigned)((off - base) >> q->sub_bits) : 0;
    *hi = (unsigned)((last - base - 1) >> q->sub_bits) + 1;
}

/* The subclusters of a cluster that are to be written when it moves: those touched, those with data, and
   between. */
static void widen(const struct qcow2_entry *x, unsigned subs, unsigned *lo, unsigned *hi)
{
    uint32_t data = x->compressed ? bits(0, subs) : x->alloc;

    if (!data)
        return;
    if ((unsigned)__builtin_ctz(data) < *lo)
        *lo = (unsigned)__builtin_ctz(data);
    if (32 - (unsigned)__builtin_clz(data) > *hi)
        *hi = 32 - (unsigned)__builtin_clz(data);
}

static void fill_in(struct qcow2 *q, struct qcow2_table *t, unsigned index, struct qcow2_entry x,
                    uint64_t host, unsigned lo, unsigned hi)
{
    if (x.compressed)
        x.alloc = x.zero = 0;
    x.compressed = false;
    x.host = host;
    x.alloc |= bits(lo, hi);
    x.zero &= ~x.alloc;
    qcow2_entry_put(q, t, index, &x);
}

/* The cluster is ours, but some of its subclusters have no data yet. */
static int write_partial(struct qcow2 *q, struct qcow2_table *t, struct stretch *s, const void *data)
{
    unsigned index = qcow2_l2_index(q, s->base), lo, hi;
    struct qcow2_entry x;
    int r = qcow2_entry_get(q, t, index, &x);

    if (r)
        return r;
    s->len = s->len < s->base + q->cluster - s->off ? s->len : s->base + q->cluster - s->off;
    touched(q, s->base, s->off, s->off + s->len, &lo, &hi);
    s->host = x.host;
    s->fresh = false;
    s->from = x.alloc >> lo & 1 ? s->off : s->base + ((uint64_t)lo << q->sub_bits);
    s->to = x.alloc >> (hi - 1) & 1 ? s->off + s->len : s->base + ((uint64_t)hi << q->sub_bits);
    r = write_stretch(q, s, data);
    if (!r)
        fill_in(q, t, index, x, x.host, lo, hi);
    return r;
}

/* Clusters from s->base on that must move: at most `max`. */
static int count_moving(struct qcow2 *q, struct qcow2_table *t, uint64_t base, uint64_t max, uint64_t *n)
{
    unsigned index = qcow2_l2_index(q, base), entries = 1u << q->l2_bits;

    for (*n = 0; *n < max && index + *n < entries; ++*n) {
        struct qcow2_entry x;
        int r = qcow2_entry_get(q, t, index + (unsigned)*n, &x);

        if (r)
            return r;
        if (x.owned)
            break;
    }
    return 0;
}

static int write_moving(struct qcow2 *q, struct qcow2_table *t, struct stretch *s, const void *data,
                        uint64_t n)
{
    unsigned index = qcow2_l2_index(q, s->base), lo, hi;
    uint64_t first, last_base;
    struct qcow2_entry x;
    int r = qcow2_alloc(q, 1, n, &first, &s->n);

    if (r)
        return r;
    s->host = first << q->cluster_bits;
    s->fresh = !q->b->file.device && s->host >= q->b->file.size;
    last_base = s->base + ((s->n - 1) << q->cluster_bits);
    if (s->off + s->len > last_base + q->cluster)
        s->len = last_base + q->cluster - s->off;

    r = qcow2_entry_get(q, t, index, &x);
    touched(q, s->base, s->off, s->off + s->len, &lo, &hi);
    widen(&x, q->subs, &lo, &hi);
    s->from = s->base + ((uint64_t)lo << q->sub_bits);
    if (!r)
        r = qcow2_entry_get(q, t, index + (unsigned)s->n - 1, &x);
    touched(q, last_base, s->off, s->off + s->len, &lo, &hi);
    widen(&x, q->subs, &lo, &hi);
    s->to = last_base + ((uint64_t)hi << q->sub_bits);
    if (!r)
        r = write_stretch(q, s, data);
    if (r) {
        qcow2_ref_down(q, first, s->n);
        return r;
    }
    for (uint64_t i = 0; i < s->n; i++) {
        uint64_t base = s->base + (i << q->cluster_bits);

        qcow2_entry_get(q, t, index + (unsigned)i, &x);
        touched(q, base, s->off, s->off + s->len, &lo, &hi);
        widen(&x, q->subs, &lo, &hi);
        release(q, &x);
        fill_in(q, t, index + (unsigned)i, x, s->host + (i << q->cluster_bits), lo, hi);
    }
    return 0;
}

/* Writes *done >= 1 bytes at off.  Exclusive. */
static int write_exclusive(struct qcow2 *q, uint64_t off, const uint8_t *buf, size_t len, size_t *done)
{
    struct stretch s = { .off = off, .len = len, .base = off & ~(q->cluster - 1) };
    struct qcow2_extent x;
    struct qcow2_table *t;
    uint64_t n;
    int r = qcow2_map(q, off, len, &x);

    if (!r && x.kind == X_DATA && x.owned) {
        *done = x.len;
        return write_in_place(q, x.host, buf, x.len);
    }
    if (!r)
        r = qcow2_make_room(q);
    if (!r)
        r = qcow2_l2_make(q, off, &t);
    if (!r)
        r = count_moving(q, t, s.base, ((off + len - 1) >> q->cluster_bits) - (off >> q->cluster_bits) + 1,
                         &n);
    if (!r)
        r = n ? write_moving(q, t, &s, buf, n) : write_partial(q, t, &s, buf);
    *done = s.len;
    return r;
}

int qcow2_write_locked(struct qcow2 *q, uint64_t off, const uint8_t *buf, size_t len)
{
    int r = 0;

    for (size_t done; len && !r; off += done, buf += done, len -= done)
        r = write_exclusive(q, off, buf, len, &done);
    return r;
}

int qcow2_write(struct block *b, uint64_t off, const void *data, size_t len)
{
    struct qcow2 *q = b->state;
    const uint8_t *buf = data;
    size_t done;
    int r;

    if (q->incompatible & INCOMPATIBLE_CORRUPT)
        return -EIO;
    pthread_rwlock_rdlock(&q->lock);
    r = write_owned(q, off, buf, len, &done);
    pthread_rwlock_unlock(&q->lock);
    if (r || done == len)
        return r;
    pthread_rwlock_wrlock(&q->lock);
    r = qcow2_write_locked(q, off + done, buf + done, len - done);
    pthread_rwlock_unlock(&q->lock);
    return r;
}

/* Only what is written in place, and lies in the file in one piece. */
int qcow2_writev(struct block *b, uint64_t off, const struct iovec *v, unsigned n, size_t len)
{
    struct qcow2 *q = b->state;
    struct qcow2_extent x;
    int r = 1;

    if (q->incompatible & INCOMPATIBLE_CORRUPT)
        return 1;
    pthread_rwlock_rdlock(&q->lock);
    if (!qcow2_map(q, off, len, &x) && x.kind == X_DATA && x.owned && x.len == len && !qcow2_may_hold_data(q, x.host, len))
        r = hostfile_writev(&b->file, x.host, v, n, len);
    pthread_rwlock_unlock(&q->lock);
    return r;
}

/* ---- zeros ---- */

static int write_zeros(struct qcow2 *q, uint64_t off, uint64_t len)
{
    size_t chunk = len < ZEROS ? (size_t)len : ZEROS;
    uint8_t *zeros;
    int r = old_is_zero(q, off, off + len);

    if (r)
        return r < 0 ? r : 0;
    zeros = hostfile_buffer(chunk);
    if (!zeros)
        return -ENOMEM;
    memset(zeros, 0, chunk);
    for (; len && !r; off += chunk, len -= chunk) {
        chunk = len < chunk ? (size_t)len : chunk;
        r = qcow2_write_locked(q, off, zeros, chunk);
    }
    free(zeros);
    return r;
}

/* Subclusters [lo, hi) of one cluster become zeros (absent: what the backing file has, which is zeros or
   nobody's business). */
static void zero_entry(struct qcow2 *q, struct qcow2_table *t, unsigned index, struct qcow2_entry x,
                       unsigned lo, unsigned hi, bool unmap, bool absent)
{
    uint32_t range = bits(lo, hi);

    if (x.compressed) {
        release(q, &x);
        x.compressed = false;
        x.host = 0;
        x.alloc = 0;
        x.zero = 0;
    }
    x.alloc &= ~range;
    x.zero = absent ? x.zero & ~range : x.zero | range;
    /* Shared data is given up in any case; one's own stays if it may be needed again. */
    if (x.host && !x.alloc && (unmap || !x.owned || (absent && !x.zero))) {
        release(q, &x);
        x.host = 0;
    }
    qcow2_entry_put(q, t, index, &x);
}

/* Whole units of one cluster. */
static int zero_cluster(struct qcow2 *q, uint64_t off, uint64_t len, bool unmap)
{
    unsigned index = qcow2_l2_index(q, off), lo, hi;
    uint64_t base = off & ~(q->cluster - 1);
    bool absent = qcow2_backing_is_zero(q, off, len);
    struct qcow2_table *t;
    struct qcow2_entry x;
    int r = qcow2_l2_get(q, off, &t);

    if (r || (!t && absent))
        return r;
    touched(q, base, off, off + len, &lo, &hi);
    if (t) {
        r = qcow2_entry_get(q, t, index, &x);
        if (r)
            return r;
        if (x.compressed && hi - lo < q->subs)
            return write_zeros(q, off, len);
        if (!x.compressed && !(x.alloc & bits(lo, hi)) && (absent || !(bits(lo, hi) & ~x.zero)) && !(unmap &&
                x.host))
            return 0;           /* it is so already */
        /* A shared cluster of which some subclusters stay cannot be given up. */
        if (!x.compressed && x.host && !x.owned && (x.alloc & ~bits(lo, hi)))
            return write_zeros(q, off, len);
    }
    if (q->version < 3 && !absent)
        return write_zeros(q, off, len);
    r = qcow2_make_room(q);
    if (!r)
        r = qcow2_l2_make(q, off, &t);
    if (!r)
        r = qcow2_entry_get(q, t, index, &x);
    if (!r)
        zero_entry(q, t, index, x, lo, hi, unmap, absent && (unmap || !x.owned || q->version < 3));
    return r;
}

int qcow2_zero_locked(struct qcow2 *q, uint64_t off, uint64_t len, bool unmap)
{
    uint64_t unit = (uint64_t)1 << q->sub_bits, end = off + len, step;
    int r = 0;

    for (; off < end && !r; off += step) {
        uint64_t base = off & ~(unit - 1), next = (off & ~(q->cluster - 1)) + q->cluster;
        struct qcow2_table *t;

        /* Where there is no table at all, most of the range may be done at once. */
        r = qcow2_l2_get(q, off, &t);
        if (r)
            return r;
        if (!t && qcow2_backing_is_zero(q, off, 1)) {
            uint64_t table = (uint64_t)1 << q->l2_bits << q->cluster_bits;
            uint64_t table_end = (off & ~(table - 1)) + table;

            step = (table_end < end ? table_end : end) - off;
            continue;
        }
        step = (next < end ? next : end) - off;
        if (off != base) {
            step = step < base + unit - off ? step : base + unit - off;
            r = write_zeros(q, off, step);
        } else if (step >= unit || off + step == q->b->size) {
            if (off + step != q->b->size)
                step &= ~(unit - 1);
            r = zero_cluster(q, off, step, unmap);
        } else {
            r = write_zeros(q, off, step);
        }
    }
    return r;
}

int qcow2_zero(struct block *b, uint64_t off, uint64_t len, bool unmap)
{
    struct qcow2 *q = b->state;
    int r;

    if (q->incompatible & INCOMPATIBLE_CORRUPT)
        return -EIO;
    pthread_rwlock_wrlock(&q->lock);
    r = qcow2_zero_locked(q, off, len, unmap);
    pthread_rwlock_unlock(&q->lock);
    return r;
}

int qcow2_discard(struct block *b, uint64_t off, uint64_t len)
{
    struct qcow2 *q = b->state;
    uint64_t from = (off + q->cluster - 1) & ~(q->cluster - 1), to = off + len;
    int r = 0;

    if (q->incompatible & INCOMPATIBLE_CORRUPT)
        return -EIO;
    if (to != b->size)
        to &= ~(q->cluster - 1);
    /* Version 2 has no zeros, and what lies in the backing file must not come back. */
    if (from >= to || (q->version < 3 && b->backing_name) || (q->version < 3 && b->backing))
        return 0;
    pthread_rwlock_wrlock(&q->lock);
    r = qcow2_zero_locked(q, from, to - from, true);
    pthread_rwlock_unlock(&q->lock);
    return r;
}

/* Whole clusters behind the disk's (new) end: no entry refers to anything, the tables stay. */
int qcow2_drop_locked(struct qcow2 *q, uint64_t off, uint64_t len)
{
    uint64_t table = (uint64_t)1 << q->l2_bits << q->cluster_bits, step;
    int r = 0;

    for (uint64_t end = off + len; off < end && !r; off += step) {
        struct qcow2_table *t;
        struct qcow2_entry x;

        r = qcow2_make_room(q);
        if (!r)
            r = qcow2_l2_get(q, off, &t);
        if (r || !t) {
            step = table - (off & (table - 1));
            continue;
        }
        step = q->cluster;
        r = qcow2_entry_get(q, t, qcow2_l2_index(q, off), &x);
        if (r || (!x.compressed && !x.host && !x.zero))
            continue;
        r = qcow2_l2_make(q, off, &t);
        if (!r) {
            release(q, &x);
            x = (struct qcow2_entry){ 0 };
            qcow2_entry_put(q, t, qcow2_l2_index(q, off), &x);
        }
    }
    return r;
}

/* ---- compressed ---- */

/* Room for n bytes, which are at most a cluster: behind what was packed last if possible. */
static int pack_room(struct qcow2 *q, uint64_t n, uint64_t *off)
{
    uint64_t left = q->pack ? q->cluster - (q->pack & (q->cluster - 1)) : 0, c = q->pack >> q->cluster_bits,
        got;
    int r;

    *off = q->pack;
    if (left >= n || (left && qcow2_alloc_at(q, c + 1) == 0)) {
        r = qcow2_ref_up(q, c);
        if (!r)
            return 0;
        if (left < n)
            qcow2_ref_down(q, c + 1, 1);
        if (r != -EMLINK)
            return r;           /* else: small refcounts can share a cluster only so often */
    }
    r = qcow2_alloc(q, 1, 1, &c, &got);
    *off = c << q->cluster_bits;
    return r;
}

static int write_packed(struct qcow2 *q, uint64_t off, const void *packed, uint64_t n)
{
    unsigned x = 62 - (q->cluster_bits - 8);
    struct qcow2_entry entry, old;
    struct qcow2_table *t;
    uint64_t at, sectors;
    int r = qcow2_make_room(q);

    if (!r)
        r = qcow2_l2_make(q, off, &t);
    if (!r)
        r = qcow2_entry_get(q, t, qcow2_l2_index(q, off), &old);
    if (!r)
        r = pack_room(q, n, &at);
    if (r)
        return r;
    sectors = ((at + n - 1) >> 9) - (at >> 9);
    if (at >> x || at >> 56)
        r = -EFBIG;
    if (!r && qcow2_may_hold_data(q, at, n))
        r = qcow2_corrupt(q, "data would be written over a table");
    if (!r)
        r = hostfile_write(&q->b->file, at, packed, n);
    if (r) {
        qcow2_ref_down(q, at >> q->cluster_bits,
                       ((at + n - 1) >> q->cluster_bits) - (at >> q->cluster_bits) + 1);
        return r;
    }
    q->pack = (at + n) & (q->cluster - 1) ? at + n : 0;
    release(q, &old);
    entry = (struct qcow2_entry){ .entry = ENTRY_COMPRESSED | sectors << x | at, .compressed = true };
    qcow2_entry_put(q, t, qcow2_l2_index(q, off), &entry);
    return 0;
}

int qcow2_write_compressed(struct block *b, uint64_t off, const void *buf, size_t len)
{
    struct qcow2 *q = b->state;
    uint8_t *data, *packed;
    long n = -ENOMEM;
    int r;

    if (q->incompatible & INCOMPATIBLE_CORRUPT)
        return -EIO;
    if (off & (q->cluster - 1) || len > q->cluster || (len < q->cluster && off + len != b->size))
        return -EINVAL;
    data = malloc(q->cluster);
    packed = malloc(q->cluster);
    if (data && packed) {
        memcpy(data, buf, len);
        memset(data + len, 0, q->cluster - len);
        n = qcow2_pack(q, data, packed);
    }
    if (n > 0) {
        pthread_rwlock_wrlock(&q->lock);
        r = write_packed(q, off, packed, (uint64_t)n);
        pthread_rwlock_unlock(&q->lock);
    } else {
        r = n < 0 ? (int)n : qcow2_write(b, off, buf, len);
    }
    free(data);
    free(packed);
    return r;
}
