/*
 * qcow2_create.c - new images, and sizes.
 *
 * A new image has three clusters - header, refcount table, refcount block - and no disk; block_create()
 * then makes it grow as any image does.  That it begins to be an image is the header, which is written
 * last.
 */
#include <stdlib.h>
#include <string.h>

#include "block/qcow2.h"

int qcow2_create_allowed(const struct block_create *c, struct block_error *e)
{
    uint64_t cluster = c->cluster_size;
    bool power = cluster && !(cluster & (cluster - 1));

    if (strcmp(c->format, "qcow2") != 0)
        return block_fail(e, ENOTSUP, "unknown format '%s': use raw or qcow2", c->format);
    if (!power || cluster < 1u << QCOW2_MIN_BITS || cluster > 1u << QCOW2_MAX_BITS)
        return block_fail(e, EINVAL, "cluster_size=%llu: use a power of two from 512 to 2M",
                          (unsigned long long)cluster);
    if (!c->refcount_bits || c->refcount_bits > 64 || (c->refcount_bits & (c->refcount_bits - 1)))
        return block_fail(e, EINVAL, "refcount_bits=%u: use 1, 2, 4, 8, 16, 32 or 64", c->refcount_bits);
    if (c->version < 3 && (c->refcount_bits != 16 || c->zstd || c->lazy_refcounts || c->extended_l2))
        return block_fail(e, EINVAL, "compat=0.10 images have refcount_bits=16, compression_type=zlib, and "
                          "neither lazy_refcounts nor extended_l2: use compat=1.1");
    if (c->extended_l2 && cluster < 16384)
        return block_fail(e, EINVAL, "extended_l2 needs a cluster_size of at least 16K");
    if (c->backing && strlen(c->backing) > 1023)
        return block_fail(e, ENAMETOOLONG, "the backing file's name is longer than 1023 bytes");
    if (c->backing && c->prealloc != BLOCK_PREALLOC_OFF && !c->extended_l2)
        return block_fail(e, EINVAL, "preallocated clusters would hide the backing file: leave out "
                          "preallocation, or use extended_l2=on");
    return 0;
}

static size_t extension(uint8_t *p, uint32_t type, const void *data, size_t len)
{
    put32(p, type);
    put32(p + 4, (uint32_t)len);
    memcpy(p + 8, data, len);
    return 8 + ((len + 7) & ~(size_t)7);
}

/* Programs that do not know a feature can name it. */
static size_t feature_names(uint8_t *p)
{
    static const struct { uint8_t kind, bit; const char *name; } names[] = {
        { 0, 0, "dirty bit" }, { 0, 1, "corrupt bit" }, { 0, 2, "external data file" }, { 0, 3,
                "compression type" },
        { 0, 4, "extended L2 entries" }, { 1, 0, "lazy refcounts" }, { 2, 0, "bitmaps" }, { 2, 1,
                "raw external data" },
    };
    uint8_t table[48 * sizeof(names) / sizeof(names[0])] = { 0 };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        table[48 * i] = names[i].kind;
        table[48 * i + 1] = names[i].bit;
        memcpy(table + 48 * i + 2, names[i].name, strlen(names[i].name));
    }
    return extension(p, EXT_NAMES, table, sizeof(table));
}

static int write_header(struct hostfile *f, const struct block_create *c, struct block_error *e)
{
    uint8_t *h = calloc(1, c->cluster_size), *p = h;
    size_t backing = c->backing ? strlen(c->backing) : 0, format = c->backing_format ?
        strlen(c->backing_format) : 0;
    int r;

    if (!h)
        return block_fail(e, ENOMEM, "out of memory");
    put32(h + H_MAGIC, QCOW2_MAGIC);
    put32(h + H_VERSION, c->version);
    put32(h + H_CLUSTER_BITS, (uint32_t)__builtin_ctzll(c->cluster_size));
    put64(h + H_RT, c->cluster_size);
    put32(h + H_RT_CLUSTERS, 1);
    if (c->version >= 3) {
        put64(h + H_INCOMPATIBLE, (c->zstd ? INCOMPATIBLE_COMPRESSION : 0) | (c->extended_l2 ?
                INCOMPATIBLE_EXTENDED_L2 : 0));
        put64(h + H_COMPATIBLE, c->lazy_refcounts ? COMPATIBLE_LAZY_REFCOUNTS : 0);
        put32(h + H_REFCOUNT_ORDER, (uint32_t)__builtin_ctz(c->refcount_bits));
        put32(h + H_LENGTH, H_COMPRESSION + 8);
        h[H_COMPRESSION] = c->zstd;
        p += H_COMPRESSION + 8;
    } else {
        p += H_V2_SIZE;
    }
    if ((size_t)(p - h) + 8 + format + 8 + 8 + backing > c->cluster_size) {
        free(h);
        return block_fail(e, ENAMETOOLONG, "the backing file's name does not fit into a cluster: use a "
                          "larger cluster_size");
    }
    if (format)
        p += extension(p, (uint32_t)EXT_BACKING_FORMAT, c->backing_format, format);
    if (c->version >= 3 && (size_t)(p - h) + 8 + 8 * 48 + 8 + backing <= c->cluster_size)
        p += feature_names(p);
    p += 8;                     /* the end of the extensions */
    if (backing) {
        put64(h + H_BACKING, (uint64_t)(p - h));
        put32(h + H_BACKING_LEN, (uint32_t)backing);
        memcpy(p, c->backing, backing);
    }
    r = hostfile_write(f, 0, h, c->cluster_size);
    free(h);
    return r ? block_fail(e, -r, "%s: %s", f->path, strerror(-r)) : 0;
}

int qcow2_create(struct hostfile *f, const struct block_create *c, struct block_error *e)
{
    uint64_t size = c->cluster_size;
    unsigned order = (unsigned)__builtin_ctz(c->refcount_bits);
    uint8_t *tables = calloc(2, size);
    int r;

    if (!tables)
        return block_fail(e, ENOMEM, "out of memory");
    put64(tables, 2 * size);
    for (unsigned i = 0; i < 3; i++)
        qcow2_count_set(tables + size, order, i, 1);
    r = hostfile_write(f, size, tables, 2 * size);
    free(tables);
    if (r)
        return block_fail(e, -r, "%s: %s", f->path, strerror(-r));
    return write_header(f, c, e);
}

/* ---- sizes ---- */

/* L1 for a disk of this size. */
int qcow2_grow_l1(struct qcow2 *q, uint64_t size, struct block_error *e)
{
    uint64_t clusters = qcow2_clusters(q, size), old_bytes = (uint64_t)q->l1_size * 8, bytes, first, n;
    uint64_t tables = (clusters >> q->l2_bits) + ((clusters & (((uint64_t)1 << q->l2_bits) - 1)) != 0);
    uint64_t *l1;
    int r;

    bytes = tables * 8;
    if (bytes > QCOW2_L1_MAX)
        return block_fail(e, EFBIG, "%s: with clusters of %llu bytes, a qcow2 image can have at most %llu "
                          "GiB", q->b->name,
                          (unsigned long long)q->cluster,
                          (unsigned long long)(QCOW2_L1_MAX / 8 << q->l2_bits << q->cluster_bits >> 30));
    if (tables <= q->l1_size)
        return 0;
    r = qcow2_alloc(q, qcow2_clusters(q, bytes), qcow2_clusters(q, bytes), &first, &n);
    l1 = r ? NULL : calloc(tables, 8);
    if (!r && !l1)
        r = -ENOMEM;
    if (!r)
        r = qcow2_meta_add(q, first << q->cluster_bits, bytes);
    if (r) {
        free(l1);
        return block_fail(e, -r, "%s: cannot make its L1 table longer: %s", q->b->name, strerror(-r));
    }
    memcpy(l1, q->l1, old_bytes);
    free(q->l1);
    qcow2_meta_remove(q, q->l1_off, old_bytes);
    qcow2_free_later(q, q->l1_off, old_bytes);
    q->l1 = l1;
    q->l1_off = first << q->cluster_bits;
    q->l1_size = (unsigned)tables;
    q->l1_lo = 0;
    q->l1_hi = q->l1_size;
    q->l1_header = true;
    return 0;
}

/* The new part of the disk reads as zeros, whatever is there: garbage in the last cluster, or a longer
   backing file. */
static int clear_new(struct qcow2 *q, uint64_t old, uint64_t size)
{
    uint64_t edge = (old + q->cluster - 1) & ~(q->cluster - 1), backing = q->b->backing ?
        q->b->backing->size : 0, to;
    int r = edge < size ? qcow2_drop_locked(q, edge, size - edge) : 0;

    if (!r)
        r = qcow2_zero_locked(q, old, (edge < size ? edge : size) - old, false);
    to = backing < size ? backing : size;
    if (!r && edge < to)
        r = qcow2_zero_locked(q, edge, to - edge, true);
    return r;
}

/* Tables that only led to what is gone. */
static void free_tables(struct qcow2 *q, uint64_t size)
{
    uint64_t clusters = qcow2_clusters(q, size), used;

    used = (clusters >> q->l2_bits) + ((clusters & (((uint64_t)1 << q->l2_bits) - 1)) != 0);
    for (unsigned i = (unsigned)used; i < q->l1_size; i++) {
        uint64_t off = q->l1[i] & ENTRY_OFFSET;

        if (!off)
            continue;
        qcow2_cache_drop(&q->l2, off);
        qcow2_meta_remove(q, off, q->cluster);
        qcow2_free_later(q, off, q->cluster);
        q->l1[i] = 0;
        q->l1_lo = q->l1_lo == q->l1_hi || i < q->l1_lo ? i : q->l1_lo;
        q->l1_hi = i + 1 > q->l1_hi ? i + 1 : q->l1_hi;
    }
}

/* The file ends behind the last cluster in use. */
static int cut_file(struct qcow2 *q)
{
    uint64_t c = qcow2_clusters(q, q->b->file.size), count = 0;
    int r = 0;

    if (q->b->file.device)
        return 0;
    while (c && !(r = qcow2_ref_get(q, c - 1, &count)) && !count)
        c--;
    if (r || c << q->cluster_bits >= q->b->file.size)
        return r;
    r = hostfile_truncate(&q->b->file, c << q->cluster_bits);
    q->hint = q->hint < c ? q->hint : c;
    return r;
}

static int shrink(struct qcow2 *q, uint64_t size)
{
    uint64_t edge = (size + q->cluster - 1) & ~(q->cluster - 1);
    int r = edge < q->b->size ? qcow2_drop_locked(q, edge, q->b->size - edge) : 0;

    if (r)
        return r;
    free_tables(q, size);
    q->b->size = size;
    q->l1_header = true;
    r = qcow2_commit(q, true);  /* frees */
    if (!r)
        r = cut_file(q);
    return r ? r : qcow2_commit(q, true);
}

/* Every absent cluster gets a place; what is there now stays. */
static int preallocate(struct qcow2 *q, uint64_t from, uint64_t to, enum block_prealloc how)
{
    uint64_t end = q->b->file.size;
    int r = 0;

    if (how == BLOCK_PREALLOC_OFF)
        return 0;
    for (uint64_t off = (from + q->cluster - 1) & ~(q->cluster - 1), n; off < to && !r;
         off += n << q->cluster_bits) {
        unsigned index = qcow2_l2_index(q, off), entries = 1u << q->l2_bits;
        uint64_t want = qcow2_clusters(q, to - off), first;
        struct qcow2_table *t;

        n = 1;
        want = want < entries - index ? want : entries - index;
        r = qcow2_make_room(q);
        if (!r)
            r = qcow2_l2_make(q, off, &t);
        if (!r)
            r = qcow2_alloc(q, 1, want, &first, &n);
        if (r)
            break;
        for (uint64_t i = 0; i < n; i++) {
            struct qcow2_entry x = { .host = (first + i) << q->cluster_bits };

            /* Subclusters can have a place and still be the backing file's. */
            x.alloc = q->subs > 1 && !q->b->backing_name ? ~(uint32_t)0 : q->subs == 1;
            qcow2_entry_put(q, t, index + (unsigned)i, &x);
        }
        end = (first + n) << q->cluster_bits > end ? (first + n) << q->cluster_bits : end;
        /* A cluster that was used before has old data in it. */
        if (first << q->cluster_bits < q->b->file.size) {
            uint64_t size = q->b->file.size - (first << q->cluster_bits);

            r = hostfile_zero(&q->b->file, first << q->cluster_bits,
                              size < n << q->cluster_bits ? size : n << q->cluster_bits);
        }
    }
    if (!r && end > q->b->file.size && how == BLOCK_PREALLOC_METADATA)
        r = hostfile_truncate(&q->b->file, end);
    if (!r && end > q->b->file.size)
        r = hostfile_preallocate(&q->b->file, q->b->file.size, end, how == BLOCK_PREALLOC_FULL);
    return r;
}

static int resize_locked(struct qcow2 *q, uint64_t size, enum block_prealloc how, struct block_error *e)
{
    uint64_t old = q->b->size;
    int r;

    if (size < old && q->nsnapshots)
        return block_fail(e, ENOTSUP, "%s: it has snapshots, so it cannot be made smaller: remove them "
                          "(qemu-img snapshot -d)",
                          q->b->name);
    if (size > old && q->nsnapshots && q->version < 3)
        return block_fail(e, ENOTSUP, "%s: snapshots of version 2 images do not record their size: remove "
                          "them first (qemu-img snapshot -d)", q->b->name);
    if (size < old) {
        r = shrink(q, size);
        return r ? block_fail(e, -r, "%s: cannot make it smaller: %s", q->b->name, strerror(-r)) : 0;
    }
    r = qcow2_grow_l1(q, size, e);
    if (r)
        return r;
    q->b->size = size;
    r = clear_new(q, old, size);
    if (!r)
        r = preallocate(q, old, size, how);
    if (!r) {
        q->l1_header = true;
        r = qcow2_commit(q, true);
    }
    if (r) {
        q->b->size = old;
        return block_fail(e, -r, "%s: cannot make it larger: %s", q->b->name, strerror(-r));
    }
    return 0;
}

int qcow2_resize(struct block *b, uint64_t size, enum block_prealloc how, struct block_error *e)
{
    struct qcow2 *q = b->state;
    int r;

    pthread_rwlock_wrlock(&q->lock);
    r = size == b->size ? 0 : resize_locked(q, size, how, e);
    pthread_rwlock_unlock(&q->lock);
    return r;
}
