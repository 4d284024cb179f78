/*
 * block.h - disk images: one interface to all formats, synchronous and with positions in bytes.
 *
 * Reads and writes have any position and length within the image.  Any thread may call block_read(),
 * block_write(), block_zero(), block_discard() and block_flush(), several at a time; of overlapping ones
 * the order is open (disk.h keeps it), and reads must not overlap writes where they copy.  The rest is for one thread that knows the image to be idle.
 *
 * Functions return 0 or a negative errno:
 *   -ENOSPC, -EDQUOT  the host has no room; nothing is damaged, and the same call may be made again
 *   -EPERM            a raw image whose format was guessed would look like another format (probe.h)
 *   -EIO              the host's disk, or the image is damaged: block_problem() says what
 * What was written before a successful block_flush() survives the end of Latimer and of the host.  What was
 * written after the last one may be there or not; the image is consistent in any case.
 */
#ifndef BLOCK_BLOCK_H
#define BLOCK_BLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "block/error.h"
#include "block/hostfile.h"

struct block;

enum block_cache {              /*  host's cache  writes wait for the medium  flushes reach it */
    BLOCK_WRITEBACK,            /*  yes           no                          yes              */
    BLOCK_NONE,                 /*  no            no                          yes              */
    BLOCK_WRITETHROUGH,         /*  yes           yes                         yes              */
    BLOCK_DIRECTSYNC,           /*  no            yes                         yes              */
    BLOCK_UNSAFE,               /*  yes           no                          no               */
};

/* What is written and is nothing but zeros is written as such (block_zero()), which may take no space. */
enum block_detect_zeroes { BLOCK_DETECT_OFF, BLOCK_DETECT_ON, BLOCK_DETECT_UNMAP /* its space is given back */ };
#define BLOCK_DETECT_WORDS { "off", "on", "unmap", NULL }

struct block_open {
    const char *format;         /* NULL: by the first bytes */
    bool writable;
    enum block_cache cache;
    size_t table_cache;         /* bytes for tables in memory (a few are kept in any case); 0: the default */
    bool no_discard;            /* block_discard() and unmapping zeros do not give space back */
    enum block_detect_zeroes detect_zeroes;
    bool copy_on_read;          /* what is read from the backing file is in the image afterwards; with writable */
    const char *snapshot;       /* ID or name of an internal snapshot to read instead; not with writable */
    struct fds *fds;            /* base/fds.h: what /dev/fdset/N is, of the image and of its backing files; NULL: nothing */
    bool no_lock;               /* also if another program writes it: what is read may be inconsistent */
    /* what the backing file should give reads as zeros: to look at the image itself */
    bool no_backing;
    bool repair;                /* by block_check(): damaged images, too; nothing else may be done with it */
};

enum block_prealloc { BLOCK_PREALLOC_OFF, BLOCK_PREALLOC_METADATA, BLOCK_PREALLOC_FALLOC,
                     BLOCK_PREALLOC_FULL };

struct block_create {
    const char *format;
    uint64_t size;              /* bytes; a multiple of 512 */
    enum block_prealloc prealloc;
    /* qcow2 only */
    const char *backing, *backing_format;
    unsigned version;           /* 2 or 3 */
    uint64_t cluster_size;
    unsigned refcount_bits;
    bool zstd, lazy_refcounts, extended_l2;
};

enum block_kind {
    BLOCK_DATA,
    BLOCK_ZERO,                 /* reads as zeros, whatever the backing file has */
    BLOCK_ABSENT,               /* not in this image: the backing file's, or zeros */
};

struct block_snapshot {
    char *id, *name;
    uint64_t size, vm_state, vm_clock_ns;
    uint32_t date, date_ns;     /* seconds since the epoch */
};

/* What the format can tell of an image; zero where it does not apply. */
struct block_info {
    uint64_t cluster_size;
    unsigned version, refcount_bits;
    const char *compression;    /* NULL, "zlib" or "zstd" */
    bool lazy_refcounts, extended_l2, dirty, corrupt, has_bitmaps;
    const struct block_snapshot *snapshots;
    unsigned nsnapshots;
};

struct block_check {
    uint64_t corruptions, leaks, fixed_corruptions, fixed_leaks;
    uint64_t total_clusters, allocated_clusters, fragmented_clusters, compressed_clusters;
    uint64_t end;               /* of the last cluster in use */
    void (*say)(void *arg, const char *text);   /* each finding, one line; may be NULL */
    void *arg;
};

enum { BLOCK_FIX_LEAKS = 1, BLOCK_FIX_ERRORS = 2 };

/* A format.  Those without a comment are as the functions below; NULL: the format has no such thing. */
struct block_ops {
    const char *format;
    int (*open)(struct block *, const struct block_open *, struct block_error *);  /* b->file is open */
    int (*close)(struct block *);
    int (*read)(struct block *, uint64_t off, void *buf, size_t len);
    int (*write)(struct block *, uint64_t off, const void *buf, size_t len);
    int (*readv)(struct block *, uint64_t off, const struct iovec *, unsigned n, size_t len);
    int (*writev)(struct block *, uint64_t off, const struct iovec *, unsigned n, size_t len);
    int (*write_compressed)(struct block *, uint64_t off, const void *buf, size_t len);
    int (*zero)(struct block *, uint64_t off, uint64_t len, bool unmap);
    int (*discard)(struct block *, uint64_t off, uint64_t len);
    int (*flush)(struct block *);
    int (*resize)(struct block *, uint64_t size, enum block_prealloc, struct block_error *);
    int (*extent)(struct block *, uint64_t off, uint64_t *len, enum block_kind *);
    void (*info)(struct block *, struct block_info *);
    int (*check)(struct block *, struct block_check *, unsigned fix, struct block_error *);
    int (*snapshot_create)(struct block *, const struct block_snapshot *, const void *state, struct block_error *);
    int (*snapshot_apply)(struct block *, const char *name, struct block_error *);
    int (*snapshot_delete)(struct block *, const char *name, struct block_error *);
    int (*snapshot_state)(struct block *, const char *name, void *buf, size_t len, struct block_error *);
};

extern const struct block_ops raw_ops, qcow2_ops;

struct block {
    const struct block_ops *ops;
    struct hostfile file;
    char *name;                 /* as the user or the image above gave it */
    struct block *backing;      /* read-only; NULL: none, or not opened */
    char *backing_name, *backing_format;    /* as the image says; NULL: it does not */
    uint64_t size;              /* that the guest sees */
    bool writable, probed;      /* probed: the format was a guess */
    bool discard, write_through, copy_on_read;
    enum block_detect_zeroes detect_zeroes;
    bool temporary;             /* block_overlay(): goes away when it is closed */
    void *state;                /* of the format */
    _Atomic(const char *) problem;
};

/* NULL with what failed and what to do in e, and a negative errno in *error (may be NULL). */
struct block *block_open(const char *path, const struct block_open *, struct block_error *, int *error);
/*
 * A temporary image over `base`, which it takes over: all that is written goes away when it is closed
 * (-snapshot). It detects zeros and copies on reads as base was to. NULL: base is still open.
 */
struct block *block_overlay(struct block *base, struct block_error *);
/* Flushes before; what failed, the caller may still tell the user.  NULL is allowed. */
int block_close(struct block *);

/* Reads copy what they find in a backing file (copy_on_read, and there is one). */
bool block_read_writes(const struct block *);
int block_read(struct block *, uint64_t off, void *buf, size_t len);
int block_write(struct block *, uint64_t off, const void *buf, size_t len);
/*
 * The same with pieces of memory, one after the other, `len` bytes in all, where that saves a copy. 1: it does not, or something
 * is wrong: block_read() and block_write() must be used, with one piece.
 */
int block_readv(struct block *, uint64_t off, const struct iovec *, unsigned n, size_t len);
int block_writev(struct block *, uint64_t off, const struct iovec *, unsigned n, size_t len);
/* One cluster (info.cluster_size), or what there is of the last; -ENOTSUP: the format cannot. */
int block_write_compressed(struct block *, uint64_t off, const void *buf, size_t len);
/* The range reads as zeros; unmap: its space may be given back. */
int block_zero(struct block *, uint64_t off, uint64_t len, bool unmap);
/* The guest no longer needs the range: parts of it may read as zeros from now on. */
int block_discard(struct block *, uint64_t off, uint64_t len);
int block_flush(struct block *);
/* New space reads as zeros.  Shrinking throws away what lies behind. */
int block_resize(struct block *, uint64_t size, enum block_prealloc, struct block_error *);
/* What the range begins with, and how long that goes on (at least 1, at most *len). */
int block_extent(struct block *, uint64_t off, uint64_t *len, enum block_kind *);
void block_info(struct block *, struct block_info *);
/* -ENOTSUP: the format has nothing to check.  Errors are failures to check; what it found is in *c. */
int block_check(struct block *, struct block_check *c, unsigned fix, struct block_error *);
/*
 * Snapshots in the image itself; -ENOTSUP: the format has none. Making one keeps what the disk holds now and, with it,
 * s->vm_state bytes of a machine's state (name, dates and clock are taken from s, too); going back makes the
 * disk what it held then, which must have had the same size. `name` is an ID or a name.
 */
/* Can be made, gone back to and deleted. */
bool block_has_snapshots(const struct block *);
int block_snapshot_create(struct block *, const struct block_snapshot *s, const void *state, struct block_error *);
int block_snapshot_apply(struct block *, const char *name, struct block_error *);
int block_snapshot_delete(struct block *, const char *name, struct block_error *);
/* The first len bytes of the machine's state in one. */
int block_snapshot_state(struct block *, const char *name, void *buf, size_t len, struct block_error *);
/* What is wrong with the image, found while using it; NULL: nothing. */
const char *block_problem(struct block *);
/* For formats: text must live as long as the program. Returns -EIO. */
int block_damaged(struct block *, const char *text);

int block_create(const char *path, const struct block_create *, struct block_error *);
/* Sensible values for all but format and size. */
void block_create_defaults(struct block_create *);
/* The file an image of this path means by `backing`; to be freed. NULL: no file, e says why. */
char *block_backing_path(const char *path, const char *backing, struct block_error *e);
/* "writeback" and so on; false: no such mode. */
bool block_cache_mode(const char *name, enum block_cache *);

#endif
