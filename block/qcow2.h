/*
 * qcow2.h - the qcow2 format, versions 2 and 3: what its files share.  Specification: docs/interop/qcow2 of
 * QEMU's documentation; names in comments are its.
 *
 * A disk is cut into clusters.  L1 points to L2 tables, these to host clusters with data; refcounts, in two
 * levels, too, say which host clusters are in use.  Tables are changed in memory and written by
 * qcow2_commit() in an order that leaves the file consistent wherever it is cut off:
 *
 *   refcounts that went up, then the refcount table, then L2 tables, then L1 and header, then refcounts that
 * went down
 *
 * with a barrier between any two that were changed.  So the file never refers to a cluster that counts as
 * free; at worst clusters count that nobody refers to (leaks).  Data is written before the tables that lead
 * to it, and a cluster that became free is not used again before nothing on the disk refers to it.
 *
 * Locks: `lock` is held for reading while data is read or written in place, for writing whenever tables
 * change; under the former, the caches of tables are guarded by `tables`.  Under the latter, tables that
 * are dirty or used last stay in the cache.
 */
#ifndef BLOCK_QCOW2_H
#define BLOCK_QCOW2_H

#include <endian.h>
#include <pthread.h>

#include "block/block.h"

#define QCOW2_MAGIC 0x514649fbu
#define QCOW2_MIN_BITS 9
#define QCOW2_MAX_BITS 21
#define QCOW2_L1_MAX ((uint64_t)32 << 20)       /* bytes; no more than others can open */
#define QCOW2_RT_MAX ((uint64_t)8 << 20)
#define QCOW2_SNAPSHOTS_MAX 65536u

/* Header fields, offsets in bytes. */
enum {
    H_MAGIC = 0, H_VERSION = 4, H_BACKING = 8, H_BACKING_LEN = 16, H_CLUSTER_BITS = 20, H_SIZE = 24,
    H_CRYPT = 32, H_L1_SIZE = 36, H_L1 = 40, H_RT = 48, H_RT_CLUSTERS = 56, H_NSNAPSHOTS = 60,
    H_SNAPSHOTS = 64,
    H_INCOMPATIBLE = 72, H_COMPATIBLE = 80, H_AUTOCLEAR = 88, H_REFCOUNT_ORDER = 96, H_LENGTH = 100,
    H_COMPRESSION = 104,
    H_V2_SIZE = 72, H_V3_SIZE = 104,
};
enum {
    INCOMPATIBLE_DIRTY = 1, INCOMPATIBLE_CORRUPT = 2, INCOMPATIBLE_DATA_FILE = 4,
    INCOMPATIBLE_COMPRESSION = 8, INCOMPATIBLE_EXTENDED_L2 = 16, INCOMPATIBLE_KNOWN = 31,
};
enum { COMPATIBLE_LAZY_REFCOUNTS = 1 };
enum { AUTOCLEAR_BITMAPS = 1 };
enum { EXT_END = 0, EXT_BACKING_FORMAT = (int)0xe2792aca, EXT_BITMAPS = 0x23852875, EXT_NAMES = 0x6803f857 };

#define ENTRY_COPIED ((uint64_t)1 << 63)        /* the refcount is exactly one */
#define ENTRY_COMPRESSED ((uint64_t)1 << 62)
#define ENTRY_ZERO ((uint64_t)1)
#define ENTRY_OFFSET 0x00fffffffffffe00u

struct qcow2;

/* A table of one cluster in memory: an L2 table or a refcount block, big-endian as in the file. */
struct qcow2_table {
    uint64_t off;               /* in the file */
    uint8_t *data;
    unsigned lo, hi;            /* [lo, hi): bytes that are to be written; lo == hi: none */
    uint64_t used;              /* when last */
    struct qcow2_table *next;   /* in the hash chain */
};

struct qcow2_cache {
    struct qcow2 *q;
    struct qcow2_table **hash;
    unsigned buckets, count, limit, dirty;      /* limit may be passed while all are dirty */
    uint64_t clock;
};

/* A set of cluster numbers: open addressing, key + 1, so that 0 is free. */
struct qcow2_set {
    uint64_t *slot;
    size_t n, cap;
};

struct qcow2_pending {
    uint64_t cluster, n;
};

struct qcow2 {
    struct block *b;
    unsigned version, cluster_bits, header_length;
    uint64_t cluster;           /* size in bytes */
    uint64_t incompatible, compatible, autoclear;
    unsigned refcount_order, rb_bits;           /* rb_bits: log2 of a refcount block's entries */
    unsigned entry_size, l2_bits;               /* of L2 tables */
    unsigned subs, sub_bits;                    /* subclusters in a cluster (1 or 32); log2 of their size */
    bool zstd, has_bitmaps;
    uint64_t bitmap_directory, bitmap_directory_size;
    unsigned nbitmaps;

    uint64_t *l1;               /* host byte order, as rt */
    uint64_t l1_off;
    unsigned l1_size, l1_lo, l1_hi;             /* entries [lo, hi) are to be written */
    uint64_t *rt, rt_off;
    unsigned rt_size, rt_lo, rt_hi;
    bool l1_header, rt_header;  /* the header has another place or size for it */

    struct qcow2_cache l2, rb;
    uint64_t hint;              /* no cluster below is free */
    struct qcow2_pending *pending;              /* references that go away with the next commit */
    size_t npending, pending_cap;
    struct qcow2_set meta;      /* clusters with tables: data must never go there */

    uint64_t pack;              /* where compressed data may go on, 0: nowhere */
    pthread_mutex_t unpacked_lock;
    uint64_t unpacked_entry;    /* the L2 entry whose data is in `unpacked`; 0: none */
    uint8_t *unpacked;

    struct block_snapshot *snapshots;
    struct qcow2_l1_place { uint64_t off; unsigned size, extra; } *snapshot_l1;     /* extra: bytes of it */
    unsigned nsnapshots;
    uint64_t snapshots_off, snapshots_len;

    pthread_rwlock_t lock;
    pthread_mutex_t tables;
};

static inline uint32_t get32(const void *p)
{
    uint32_t x;
    __builtin_memcpy(&x, p, 4);
    return be32toh(x);
}

static inline uint64_t get64(const void *p)
{
    uint64_t x;
    __builtin_memcpy(&x, p, 8);
    return be64toh(x);
}

static inline void put32(void *p, uint32_t x)
{
    x = htobe32(x);
    __builtin_memcpy(p, &x, 4);
}

static inline void put64(void *p, uint64_t x)
{
    x = htobe64(x);
    __builtin_memcpy(p, &x, 8);
}

static inline uint64_t qcow2_clusters(const struct qcow2 *q, uint64_t bytes)
{
    return (bytes >> q->cluster_bits) + ((bytes & (q->cluster - 1)) != 0);
}

/* ---- qcow2.c ---- */
/* Writes all that is dirty, in order; at the end, if durable, a barrier.  Exclusive. */
int qcow2_commit(struct qcow2 *q, bool durable);
/* Before tables change: commits if much is dirty, so that tables need not be kept out of the cache's limit.
   */
int qcow2_make_room(struct qcow2 *q);
/* The image is damaged: says so, in the file's header as well if it may be written. Returns -EIO. */
int qcow2_corrupt(struct qcow2 *q, const char *text);
int qcow2_put_header(struct qcow2 *q, uint64_t off, const void *data, size_t len);
void qcow2_shape(struct qcow2 *q);      /* from cluster_bits, refcount_order and features */

/* ---- qcow2_cache.c ---- */
int qcow2_cache_init(struct qcow2_cache *, struct qcow2 *, size_t bytes);
void qcow2_cache_free(struct qcow2_cache *);
int qcow2_cache_get(struct qcow2_cache *, uint64_t off, struct qcow2_table **);
/* zeros, to be written */
int qcow2_cache_new(struct qcow2_cache *, uint64_t off, struct qcow2_table **);
void qcow2_cache_drop(struct qcow2_cache *, uint64_t off);     /* freed: never to be written */
void qcow2_dirty(struct qcow2_cache *, struct qcow2_table *, unsigned lo, unsigned hi);
int qcow2_cache_write(struct qcow2_cache *);
int qcow2_set_add(struct qcow2_set *, uint64_t cluster);       /* -EEXIST: it is in it */
void qcow2_set_remove(struct qcow2_set *, uint64_t cluster);
bool qcow2_set_has(const struct qcow2_set *, uint64_t cluster);

/* ---- qcow2_refcount.c: exclusive, but for the first ---- */
uint64_t qcow2_count_get(const void *block, unsigned order, uint64_t i);
void qcow2_count_set(void *block, unsigned order, uint64_t i, uint64_t count);
int qcow2_ref_get(struct qcow2 *q, uint64_t cluster, uint64_t *count);
int qcow2_ref_up(struct qcow2 *q, uint64_t cluster);           /* -EMLINK: it cannot be counted */
int qcow2_ref_down(struct qcow2 *q, uint64_t cluster, uint64_t n);     /* n clusters by one, at once */
/* Between min and max clusters in a row, their counts 1.  How many: *n; the first: *cluster. */
int qcow2_alloc(struct qcow2 *q, uint64_t min, uint64_t max, uint64_t *cluster, uint64_t *n);
int qcow2_alloc_at(struct qcow2 *q, uint64_t cluster);         /* -EBUSY: it is in use */
/* References to the clusters these bytes are in go away when nothing on the disk needs them. */
int qcow2_free_later(struct qcow2 *q, uint64_t off, uint64_t bytes);
int qcow2_apply_pending(struct qcow2 *q);
int qcow2_meta_add(struct qcow2 *q, uint64_t off, uint64_t bytes);
void qcow2_meta_remove(struct qcow2 *q, uint64_t off, uint64_t bytes);
int qcow2_may_hold_data(struct qcow2 *q, uint64_t off, uint64_t bytes);

/* ---- qcow2_map.c ---- */
struct qcow2_extent {
    enum { X_ABSENT, X_ZERO, X_DATA, X_COMPRESSED } kind;
    uint64_t host;              /* of data */
    uint64_t len;               /* bytes that go on so */
    uint64_t entry;             /* of the first cluster */
    bool owned;                 /* data may be written where it is */
};
/* A cluster's entry, taken apart. */
struct qcow2_entry {
    uint64_t entry, host;       /* host: 0 for none */
    uint32_t alloc, zero;       /* a bit for each subcluster */
    bool compressed, owned;
};
int qcow2_entry_get(struct qcow2 *q, const struct qcow2_table *, unsigned index, struct qcow2_entry *);
void qcow2_entry_put(struct qcow2 *q, struct qcow2_table *, unsigned index, const struct qcow2_entry *);
/* The table for guest position off, *t NULL: there is none. */
int qcow2_l2_get(struct qcow2 *q, uint64_t off, struct qcow2_table **t);
/* The same to be changed: made, or copied, where necessary.  Exclusive. */
int qcow2_l2_make(struct qcow2 *q, uint64_t off, struct qcow2_table **t);
int qcow2_map(struct qcow2 *q, uint64_t off, uint64_t len, struct qcow2_extent *);
int qcow2_read_locked(struct qcow2 *q, uint64_t off, void *buf, size_t len);
/* Does what is not in the image read as zeros there? */
bool qcow2_backing_is_zero(struct qcow2 *q, uint64_t off, uint64_t len);
static inline unsigned qcow2_l2_index(const struct qcow2 *q, uint64_t off)
{
    return (unsigned)(off >> q->cluster_bits) & ((1u << q->l2_bits) - 1);
}

/* ---- qcow2_write.c ---- */
int qcow2_write(struct block *, uint64_t off, const void *buf, size_t len);
int qcow2_writev(struct block *, uint64_t off, const struct iovec *, unsigned n, size_t len);
int qcow2_write_compressed(struct block *, uint64_t off, const void *buf, size_t len);
int qcow2_zero(struct block *, uint64_t off, uint64_t len, bool unmap);
int qcow2_discard(struct block *, uint64_t off, uint64_t len);
int qcow2_write_locked(struct qcow2 *q, uint64_t off, const uint8_t *buf, size_t len);  /* exclusive */
int qcow2_zero_locked(struct qcow2 *q, uint64_t off, uint64_t len, bool unmap);        /* exclusive */
int qcow2_drop_locked(struct qcow2 *q, uint64_t off, uint64_t len);    /* whole clusters become absent */

/* ---- qcow2_compress.c ---- */
/* Where an entry's compressed data is: all bytes of all its sectors. */
void qcow2_compressed_place(const struct qcow2 *q, uint64_t entry, uint64_t *off, uint64_t *len);
int qcow2_unpack(struct qcow2 *q, uint64_t entry, uint64_t skip, void *buf, size_t len);
/* A cluster packed into out[cluster]: its size, or 0 if that is not shorter, or -errno. */
long qcow2_pack(const struct qcow2 *q, const void *data, void *out);

/* ---- qcow2_snapshot.c ---- */
int qcow2_snapshots_read(struct qcow2 *q, unsigned n, uint64_t off, struct block_error *);
void qcow2_snapshots_free(struct qcow2 *q);
/* By ID, else by name. */
int qcow2_snapshot_find(struct qcow2 *q, const char *name, unsigned *i, struct block_error *);

/* ---- qcow2_snapshot_edit.c: as block.h's ---- */
int qcow2_snapshot_create(struct block *, const struct block_snapshot *, const void *state, struct block_error *);
int qcow2_snapshot_apply(struct block *, const char *name, struct block_error *);
int qcow2_snapshot_delete(struct block *, const char *name, struct block_error *);
int qcow2_snapshot_state(struct block *, const char *name, void *buf, size_t len, struct block_error *);
uint64_t qcow2_state_offset(const struct qcow2 *q);

/* ---- qcow2_check.c ---- */
int qcow2_check(struct block *, struct block_check *, unsigned fix, struct block_error *);

/* ---- qcow2_create.c ---- */
int qcow2_create_allowed(const struct block_create *, struct block_error *);
int qcow2_create(struct hostfile *, const struct block_create *, struct block_error *);        /* of size 0 */
/* L1 for a disk of this size; exclusive. */
int qcow2_grow_l1(struct qcow2 *q, uint64_t size, struct block_error *);
int qcow2_resize(struct block *, uint64_t size, enum block_prealloc, struct block_error *);

#endif
