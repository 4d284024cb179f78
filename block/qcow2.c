/* qcow2.c - opening images, the header, and the order in which changes reach the file (see qcow2.h). */
#include "block/qcow2.h"

#include <stdlib.h>
#include <string.h>

#define L2_CACHE ((size_t)32 << 20)     /* bytes: 256 GiB of disk with clusters of 64 KiB */
#define RB_CACHE ((size_t)4 << 20)
#define PENDING_MAX 65536u

/* ---- the header ---- */

int qcow2_put_header(struct qcow2 *q, uint64_t off, const void *data, size_t len)
{
    return hostfile_write(&q->b->file, off, data, len);
}

static int put_features(struct qcow2 *q)
{
    uint8_t f[24];

    put64(f, q->incompatible);
    put64(f + 8, q->compatible);
    put64(f + 16, q->autoclear);
    return qcow2_put_header(q, H_INCOMPATIBLE, f, sizeof(f));
}

int qcow2_corrupt(struct qcow2 *q, const char *text)
{
    bool known = q->incompatible & INCOMPATIBLE_CORRUPT;

    q->incompatible |= INCOMPATIBLE_CORRUPT;
    if (!known && q->b->writable && q->version >= 3)
        put_features(q);
    return block_damaged(q->b, text);
}

void qcow2_shape(struct qcow2 *q)
{
    bool extended = q->incompatible & INCOMPATIBLE_EXTENDED_L2;

    q->cluster = (uint64_t)1 << q->cluster_bits;
    q->rb_bits = q->cluster_bits + 3 - q->refcount_order;
    q->entry_size = extended ? 16 : 8;
    q->l2_bits = q->cluster_bits - (extended ? 4 : 3);
    q->subs = extended ? 32 : 1;
    q->sub_bits = q->cluster_bits - (extended ? 5 : 0);
}

/* Names of the incompatible features that are not known, where the image tells them. */
static void unknown_features(const uint8_t *table, size_t len, uint64_t unknown, char *out, size_t size)
{
    size_t n = 0;

    out[0] = 0;
    for (size_t i = 0; table && i + 48 <= len; i += 48)
        if (table[i] == 0 && table[i + 1] < 64 && unknown >> table[i + 1] & 1 && n < size)
            n += (size_t)snprintf(out + n, size - n, "%s%.46s", n ? ", " : "", (const char *)table + i + 2);
    if (!n)
        snprintf(out, size, "bits 0x%llx", (unsigned long long)unknown);
}

struct found {
    const uint8_t *names;
    size_t names_len;
};

/* What lies between the header and the end of its cluster. */
static int read_extensions(struct qcow2 *q, const uint8_t *first, struct found *found, struct block_error *e)
{
    uint64_t at = q->header_length, end = q->cluster, backing = get64(first + H_BACKING);

    if (backing > at && backing < end)
        end = backing;
    while (at + 8 <= end) {
        uint32_t type = get32(first + at), len = get32(first + at + 4);
        const uint8_t *data = first + at + 8;

        if (type == EXT_END)
            return 0;
        if (len > end - at - 8)
            return block_fail(e, EINVAL, "%s: damaged: a header extension is longer than the header",
                              q->b->name);
        if (type == (uint32_t)EXT_BACKING_FORMAT && !q->b->backing_format) {
            q->b->backing_format = strndup((const char *)data, len);
            if (!q->b->backing_format)
                return block_fail(e, ENOMEM, "out of memory");
        } else if (type == EXT_BITMAPS && len >= 24) {
            q->has_bitmaps = true;
            q->nbitmaps = get32(data);
            q->bitmap_directory_size = get64(data + 8);
            q->bitmap_directory = get64(data + 16);
        } else if (type == EXT_NAMES) {
            found->names = data;
            found->names_len = len;
        }
        at += 8 + (((uint64_t)len + 7) & ~(uint64_t)7);
    }
    return 0;
}

static int read_fields(struct qcow2 *q, const uint8_t *h, struct block_error *e)
{
    const char *name = q->b->name;

    if (get32(h + H_MAGIC) != QCOW2_MAGIC)
        return block_fail(e, EINVAL, "%s: not a qcow2 image", name);
    q->version = get32(h + H_VERSION);
    if (q->version != 2 && q->version != 3)
        return block_fail(e, ENOTSUP, "%s: version %u of qcow is not supported: convert it by qemu-img "
                          "convert -O qcow2",
                          name, q->version);
    q->cluster_bits = get32(h + H_CLUSTER_BITS);
    if (q->cluster_bits < QCOW2_MIN_BITS || q->cluster_bits > QCOW2_MAX_BITS)
        return block_fail(e, EINVAL, "%s: damaged, or from the future: clusters of 2^%u bytes", name,
                          q->cluster_bits);
    if (get32(h + H_CRYPT))
        return block_fail(e, ENOTSUP, "%s: encrypted images are not supported: convert it by qemu-img "
                          "convert", name);
    q->refcount_order = 4;
    q->header_length = H_V2_SIZE;
    if (q->version == 2)
        return 0;
    if (q->b->file.size < H_V3_SIZE)
        return block_fail(e, EINVAL, "%s: truncated: its header is cut off", name);
    q->incompatible = get64(h + H_INCOMPATIBLE);
    q->compatible = get64(h + H_COMPATIBLE);
    q->autoclear = get64(h + H_AUTOCLEAR);
    q->refcount_order = get32(h + H_REFCOUNT_ORDER);
    q->header_length = get32(h + H_LENGTH);
    if (q->refcount_order > 6)
        return block_fail(e, EINVAL, "%s: damaged: refcounts of 2^%u bits", name, q->refcount_order);
    if (q->header_length < H_V3_SIZE || q->header_length > (uint64_t)1 << q->cluster_bits ||
        q->header_length % 8)
        return block_fail(e, EINVAL, "%s: damaged: a header of %u bytes", name, q->header_length);
    return 0;
}

static int check_features(struct qcow2 *q, const uint8_t *first, const struct found *found,
                          const struct block_open *o, struct block_error *e)
{
    uint64_t unknown = q->incompatible & ~(uint64_t)INCOMPATIBLE_KNOWN;
    unsigned compression = q->version >= 3 && q->header_length > H_COMPRESSION ? first[H_COMPRESSION] : 0;
    char names[256];

    if (unknown) {
        unknown_features(found->names, found->names_len, unknown, names, sizeof(names));
        return block_fail(e, ENOTSUP, "%s: it needs features that are not supported: %s", q->b->name, names);
    }
    if (q->incompatible & INCOMPATIBLE_DATA_FILE)
        return block_fail(e, ENOTSUP, "%s: its data is in another file, which is not supported: convert it "
                          "by qemu-img convert",
                          q->b->name);
    if (compression > 1 || !compression != !(q->incompatible & INCOMPATIBLE_COMPRESSION))
        return block_fail(e, ENOTSUP, "%s: compression type %u is not supported", q->b->name, compression);
    q->zstd = compression == 1;
    if ((q->incompatible & INCOMPATIBLE_EXTENDED_L2) && q->cluster_bits < 14)
        return block_fail(e, EINVAL, "%s: damaged: extended L2 entries need clusters of at least 16 KiB",
                          q->b->name);
    if ((q->incompatible & INCOMPATIBLE_CORRUPT) && o->writable && !o->repair)
        return block_fail(e, EIO, "%s: marked as damaged, so it cannot be written: try latimer image check "
                          "-r all, or read it",
                          q->b->name);
    return 0;
}

static int read_backing_name(struct qcow2 *q, const uint8_t *first, struct block_error *e)
{
    uint64_t off = get64(first + H_BACKING);
    uint32_t len = get32(first + H_BACKING_LEN);

    if (!off || !len)
        return 0;
    if (len > 1023 || off > q->cluster - len)
        return block_fail(e, EINVAL, "%s: damaged: the backing file's name is not in the header", q->b->name);
    if (memchr(first + off, 0, len))
        return block_fail(e, EINVAL, "%s: damaged: the backing file's name has a zero byte in it",
                          q->b->name);
    q->b->backing_name = strndup((const char *)first + off, len);
    return q->b->backing_name ? 0 : block_fail(e, ENOMEM, "out of memory");
}

/* ---- the first-level tables ---- */

static int read_table(struct qcow2 *q, const char *what, uint64_t off, uint64_t bytes, uint64_t max,
                      uint64_t **out, struct block_error *e)
{
    int r;

    if (bytes > max)
        return block_fail(e, EINVAL, "%s: damaged, or too large: its %s has %llu bytes", q->b->name, what,
                          (unsigned long long)bytes);
    if (bytes && (off & (q->cluster - 1) || !off))
        return block_fail(e, EINVAL, "%s: damaged: the place of its %s is no multiple of the cluster size",
                          q->b->name, what);
    if (bytes && (off > q->b->file.size || bytes > q->b->file.size - off))
        return block_fail(e, EINVAL, "%s: truncated: its %s lies behind the end of the file", q->b->name,
                          what);
    *out = malloc(bytes ? bytes : 8);
    if (!*out)
        return block_fail(e, ENOMEM, "out of memory");
    r = bytes ? hostfile_read(&q->b->file, off, *out, bytes) : 0;
    if (r)
        return block_fail(e, -r, "%s: cannot read its %s: %s", q->b->name, what, strerror(-r));
    for (uint64_t i = 0; i < bytes / 8; i++)
        (*out)[i] = be64toh((*out)[i]);
    return 0;
}

static int load_l1(struct qcow2 *q, uint64_t off, uint32_t size, struct block_error *e)
{
    uint64_t tables = qcow2_clusters(q, q->b->size);

    q->l1_off = off;
    q->l1_size = size;
    tables = (tables >> q->l2_bits) + ((tables & (((uint64_t)1 << q->l2_bits) - 1)) != 0);
    if (tables > size)
        return block_fail(e, EINVAL, "%s: damaged: its L1 table has %u entries and needs %llu", q->b->name,
                          size, (unsigned long long)tables);
    return read_table(q, "L1 table", off, (uint64_t)size * 8, QCOW2_L1_MAX, &q->l1, e);
}

static int load_refcounts(struct qcow2 *q, uint64_t off, uint32_t clusters, struct block_error *e)
{
    q->rt_off = off;
    if (!clusters)
        return block_fail(e, EINVAL, "%s: damaged: it has no refcount table", q->b->name);
    if ((uint64_t)clusters << q->cluster_bits <= QCOW2_RT_MAX)
        q->rt_size = (unsigned)(((uint64_t)clusters << q->cluster_bits) / 8);
    return read_table(q, "refcount table", off, (uint64_t)clusters << q->cluster_bits, QCOW2_RT_MAX, &q->rt,
                      e);
}

/* Which clusters hold tables: each must hold one only, or writing would destroy the image. */
static int find_tables(struct qcow2 *q)
{
    int r = qcow2_meta_add(q, 0, q->cluster);

    if (!r)
        r = qcow2_meta_add(q, q->l1_off, (uint64_t)q->l1_size * 8);
    if (!r)
        r = qcow2_meta_add(q, q->rt_off, (uint64_t)q->rt_size * 8);
    if (!r && q->nsnapshots)
        r = qcow2_meta_add(q, q->snapshots_off, q->snapshots_len);
    for (unsigned i = 0; i < q->nsnapshots && !r; i++)
        r = qcow2_meta_add(q, q->snapshot_l1[i].off, (uint64_t)q->snapshot_l1[i].size * 8);
    for (unsigned i = 0; i < q->l1_size && !r; i++)
        if (q->l1[i] & ENTRY_OFFSET)
            r = qcow2_meta_add(q, q->l1[i] & ENTRY_OFFSET, q->cluster);
    for (unsigned i = 0; i < q->rt_size && !r; i++)
        if (q->rt[i])
            r = qcow2_meta_add(q, q->rt[i], q->cluster);
    return r;
}

/* ---- opening ---- */

static int choose_snapshot(struct qcow2 *q, const char *name, struct block_error *e)
{
    unsigned i;
    int r = qcow2_snapshot_find(q, name, &i, e);

    if (r)
        return r;
    if (q->b->writable)
        return block_fail(e, EROFS, "%s: snapshots can only be read", q->b->name);
    q->b->size = q->snapshots[i].size;
    return load_l1(q, q->snapshot_l1[i].off, q->snapshot_l1[i].size, e);
}

static int prepare_to_write(struct qcow2 *q, const struct block_open *o, struct block_error *e)
{
    uint64_t keep = o->repair ? AUTOCLEAR_BITMAPS : 0;
    int r = 0;

    if ((q->incompatible & INCOMPATIBLE_DIRTY) && !o->repair) {
        struct block_check c = { 0 };

        r = qcow2_check(q->b, &c, BLOCK_FIX_LEAKS | BLOCK_FIX_ERRORS, e);
        if (!r && c.corruptions)
            r = block_fail(e, EIO, "%s: it was not closed and is damaged: latimer image check says how",
                           q->b->name);
        if (r)
            return r;
    }
    if (!o->repair && (r = find_tables(q)))
        return block_fail(e, r == -EEXIST ? EIO : -r, r == -EEXIST ? "%s: damaged: two of its tables are in "
                          "one place, so it cannot be written: latimer image check says more" :
                              "%s: out of memory",
                              q->b->name);
    /* What they describe is not kept up to date here. */
    if (q->autoclear & ~keep) {
        q->autoclear &= keep;
        r = put_features(q);
        if (!r)
            r = hostfile_sync(&q->b->file);
        if (r)
            return block_fail(e, -r, "%s: cannot write its header: %s", q->b->name, strerror(-r));
    }
    return 0;
}

static int load(struct qcow2 *q, const struct block_open *o, struct block_error *e)
{
    uint8_t head[H_COMPRESSION + 8] = { 0 }, *first;
    struct found found = { 0 };
    int r;

    if (q->b->file.size < H_V2_SIZE)
        return block_fail(e, EINVAL, "%s: truncated: not even a qcow2 header", q->b->name);
    r = hostfile_read(&q->b->file, 0, head, sizeof(head));
    if (r)
        return block_fail(e, -r, "%s: cannot read it: %s", q->b->name, strerror(-r));
    r = read_fields(q, head, e);
    if (r)
        return r;
    qcow2_shape(q);
    first = hostfile_buffer(q->cluster);
    r = first ? hostfile_read(&q->b->file, 0, first, q->cluster) : -ENOMEM;
    if (r)
        block_fail(e, -r, "%s: cannot read its header: %s", q->b->name, strerror(-r));
    else
        r = read_extensions(q, first, &found, e);
    if (!r)
        r = check_features(q, first, &found, o, e);
    if (!r)
        r = read_backing_name(q, first, e);
    free(first);
    qcow2_shape(q);
    q->b->size = get64(head + H_SIZE);
    if (!r && q->b->size > INT64_MAX)
        r = block_fail(e, EINVAL, "%s: damaged: a size of %llu bytes", q->b->name,
                       (unsigned long long)q->b->size);
    if (!r && (qcow2_cache_init(&q->l2, q, o->table_cache ? o->table_cache : L2_CACHE) ||
               qcow2_cache_init(&q->rb, q, o->table_cache ? o->table_cache : RB_CACHE)))
        r = block_fail(e, ENOMEM, "out of memory");
    if (!r)
        r = qcow2_snapshots_read(q, get32(head + H_NSNAPSHOTS), get64(head + H_SNAPSHOTS), e);
    if (!r && o->snapshot)
        return choose_snapshot(q, o->snapshot, e);
    if (!r)
        r = load_l1(q, get64(head + H_L1), get32(head + H_L1_SIZE), e);
    if (!r)
        r = load_refcounts(q, get64(head + H_RT), get32(head + H_RT_CLUSTERS), e);
    return r;
}

static int qcow2_open(struct block *b, const struct block_open *o, struct block_error *e)
{
    struct qcow2 *q = calloc(1, sizeof(*q));
    pthread_rwlockattr_t fair;
    int r;

    if (!q)
        return block_fail(e, ENOMEM, "out of memory");
    b->state = q;
    q->b = b;
    pthread_mutex_init(&q->tables, NULL);
    pthread_mutex_init(&q->unpacked_lock, NULL);
    pthread_rwlockattr_init(&fair);
#ifdef __GLIBC__
    /* Readers that keep coming must not keep a writer waiting for ever. */
    pthread_rwlockattr_setkind_np(&fair, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
#endif
    pthread_rwlock_init(&q->lock, &fair);
    pthread_rwlockattr_destroy(&fair);
    r = load(q, o, e);
    if (!r && b->writable)
        r = prepare_to_write(q, o, e);
    return r;
}

/* ---- writing what changed ---- */

static int write_entries(struct qcow2 *q, const uint64_t *table, uint64_t off, unsigned lo, unsigned hi)
{
    uint64_t *buf = hostfile_buffer((size_t)(hi - lo) * 8);
    int r;

    if (!buf)
        return -ENOMEM;
    for (unsigned i = lo; i < hi; i++)
        buf[i - lo] = htobe64(table[i]);
    r = hostfile_write(&q->b->file, off + (uint64_t)lo * 8, buf, (size_t)(hi - lo) * 8);
    free(buf);
    return r;
}

static int commit_refcounts(struct qcow2 *q)
{
    uint8_t place[12];
    int r = qcow2_cache_write(&q->rb);

    if (r || (q->rt_lo == q->rt_hi && !q->rt_header))
        return r;
    r = hostfile_sync(&q->b->file);
    if (!r)
        r = write_entries(q, q->rt, q->rt_off, q->rt_lo, q->rt_hi);
    if (!r)
        q->rt_lo = q->rt_hi = 0;
    if (r || !q->rt_header)
        return r;
    put64(place, q->rt_off);
    put32(place + 8, (uint32_t)(((uint64_t)q->rt_size * 8) >> q->cluster_bits));
    r = hostfile_sync(&q->b->file);
    if (!r)
        r = qcow2_put_header(q, H_RT, place, sizeof(place));
    q->rt_header = r;
    return r;
}

/* The disk's size, and L1's size and place, are side by side, in one sector. */
static int commit_l1(struct qcow2 *q)
{
    uint8_t fields[H_RT - H_SIZE] = { 0 };
    int r = 0;

    if (q->l1_lo == q->l1_hi && !q->l1_header)
        return 0;
    r = hostfile_sync(&q->b->file);
    if (!r && q->l1_lo != q->l1_hi)
        r = write_entries(q, q->l1, q->l1_off, q->l1_lo, q->l1_hi);
    if (!r)
        q->l1_lo = q->l1_hi = 0;
    if (r || !q->l1_header)
        return r;
    put64(fields, q->b->size);
    put32(fields + H_L1_SIZE - H_SIZE, q->l1_size);
    put64(fields + H_L1 - H_SIZE, q->l1_off);
    r = hostfile_sync(&q->b->file);
    if (!r)
        r = qcow2_put_header(q, H_SIZE, fields, sizeof(fields));
    q->l1_header = r;
    return r;
}

int qcow2_commit(struct qcow2 *q, bool durable)
{
    int r = commit_refcounts(q);

    /* Here data becomes durable, too, before what leads to it. */
    if (!r && q->l2.dirty) {
        r = hostfile_sync(&q->b->file);
        if (!r)
            r = qcow2_cache_write(&q->l2);
    }
    if (!r)
        r = commit_l1(q);
    if (!r && (durable || q->npending))
        r = hostfile_sync(&q->b->file);
    return r ? r : qcow2_apply_pending(q);
}

int qcow2_make_room(struct qcow2 *q)
{
    if (q->l2.dirty < q->l2.limit / 2 && q->rb.dirty < q->rb.limit / 2 && q->npending < PENDING_MAX)
        return 0;
    return qcow2_commit(q, false);
}

static bool is_dirty(const struct qcow2 *q)
{
    return q->l2.dirty || q->rb.dirty || q->npending || q->l1_lo != q->l1_hi || q->rt_lo != q->rt_hi ||
        q->l1_header || q->rt_header;
}

static int qcow2_flush(struct block *b)
{
    struct qcow2 *q = b->state;
    int r = 0;
    bool dirty;

    pthread_rwlock_rdlock(&q->lock);
    dirty = is_dirty(q);
    if (!dirty)
        r = hostfile_sync(&b->file);
    pthread_rwlock_unlock(&q->lock);
    if (!dirty)
        return r;
    pthread_rwlock_wrlock(&q->lock);
    r = qcow2_commit(q, true);
    pthread_rwlock_unlock(&q->lock);
    return r;
}

/* ---- the rest of the interface ---- */

static int qcow2_close(struct block *b)
{
    struct qcow2 *q = b->state;
    int r = 0;

    /* What the last flush freed: left out, it would be lost space. */
    if (b->writable && is_dirty(q))
        r = qcow2_commit(q, false);
    qcow2_cache_free(&q->l2);
    qcow2_cache_free(&q->rb);
    qcow2_snapshots_free(q);
    free(q->l1);
    free(q->rt);
    free(q->pending);
    free(q->meta.slot);
    free(q->unpacked);
    pthread_rwlock_destroy(&q->lock);
    pthread_mutex_destroy(&q->tables);
    pthread_mutex_destroy(&q->unpacked_lock);
    free(q);
    b->state = NULL;
    return r;
}

static int qcow2_read(struct block *b, uint64_t off, void *buf, size_t len)
{
    struct qcow2 *q = b->state;
    int r;

    pthread_rwlock_rdlock(&q->lock);
    r = qcow2_read_locked(q, off, buf, len);
    pthread_rwlock_unlock(&q->lock);
    return r;
}

/* Only what lies in the file in one piece. */
static int qcow2_readv(struct block *b, uint64_t off, const struct iovec *v, unsigned n, size_t len)
{
    struct qcow2 *q = b->state;
    struct qcow2_extent x;
    int r = 1;

    pthread_rwlock_rdlock(&q->lock);
    if (!qcow2_map(q, off, len, &x) && x.kind == X_DATA && x.len == len && x.host + len <= b->file.size)
        r = hostfile_readv(&b->file, x.host, v, n, len);
    pthread_rwlock_unlock(&q->lock);
    return r;
}

static int qcow2_extent(struct block *b, uint64_t off, uint64_t *len, enum block_kind *kind)
{
    struct qcow2 *q = b->state;
    struct qcow2_extent x;
    int r;

    pthread_rwlock_rdlock(&q->lock);
    r = qcow2_map(q, off, *len, &x);
    pthread_rwlock_unlock(&q->lock);
    if (r)
        return r;
    *len = x.len;
    *kind = x.kind == X_ABSENT ? BLOCK_ABSENT : x.kind == X_ZERO ? BLOCK_ZERO : BLOCK_DATA;
    return 0;
}

static void qcow2_info(struct block *b, struct block_info *i)
{
    const struct qcow2 *q = b->state;

    i->cluster_size = q->cluster;
    i->version = q->version;
    i->refcount_bits = 1u << q->refcount_order;
    i->compression = q->zstd ? "zstd" : "zlib";
    i->lazy_refcounts = q->compatible & COMPATIBLE_LAZY_REFCOUNTS;
    i->extended_l2 = q->incompatible & INCOMPATIBLE_EXTENDED_L2;
    i->dirty = q->incompatible & INCOMPATIBLE_DIRTY;
    i->corrupt = q->incompatible & INCOMPATIBLE_CORRUPT;
    i->has_bitmaps = q->has_bitmaps && (q->autoclear & AUTOCLEAR_BITMAPS);
    i->snapshots = q->snapshots;
    i->nsnapshots = q->nsnapshots;
}

const struct block_ops qcow2_ops = {
    .format = "qcow2",
    .open = qcow2_open,
    .close = qcow2_close,
    .read = qcow2_read,
    .write = qcow2_write,
    .readv = qcow2_readv,
    .writev = qcow2_writev,
    .write_compressed = qcow2_write_compressed,
    .zero = qcow2_zero,
    .discard = qcow2_discard,
    .flush = qcow2_flush,
    .resize = qcow2_resize,
    .extent = qcow2_extent,
    .info = qcow2_info,
    .check = qcow2_check,
    .snapshot_create = qcow2_snapshot_create,
    .snapshot_apply = qcow2_snapshot_apply,
    .snapshot_delete = qcow2_snapshot_delete,
    .snapshot_state = qcow2_snapshot_state,
};
