/*
 * hostfile.h - the file or block device an image is in: whole reads and writes at any position, barriers,
 * holes, and the host's cache as the user wants it used.
 *
 * All functions return 0 or a negative errno.  -ENOSPC and -EDQUOT mean that nothing is wrong but that the
 * host has no room: the caller may try again later.  Any thread may call them at any time.
 */
#ifndef BLOCK_HOSTFILE_H
#define BLOCK_HOSTFILE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "block/error.h"

/* Alignment that direct I/O gets, of positions, lengths and memory. */
#define HOSTFILE_ALIGN 4096u
#define HOSTFILE_PIECES 256u            /* for hostfile_readv(), hostfile_writev() */

struct hostfile {
    int fd;
    char *path;
    bool writable, device;      /* device: a block device, whose size is fixed */
    bool made;                  /* by HOSTFILE_CREATE: it did not exist before */
    bool direct;                /* past the host's cache */
    bool unsafe;                /* hostfile_sync() does nothing */
    atomic_bool no_punch, no_zero;      /* the file system cannot: not asked again */
    dev_t dev;
    ino_t ino;
    _Atomic uint64_t size;
    atomic_int sync_error;      /* a sync failed: what it should have written may be lost for good */
    /* of direct writes: neighbours in one HOSTFILE_ALIGN are read and written back */
    pthread_mutex_t edges;
};

enum {
    HOSTFILE_WRITE = 1,         /* else read-only */
    HOSTFILE_CREATE = 2,        /* make it or make it empty, and it is locked before it is emptied */
    HOSTFILE_DIRECT = 4,
    HOSTFILE_UNSAFE = 8,
    HOSTFILE_NO_LOCK = 16,
};

struct fds;
/* Opens and locks (lock.h). fds: of which /dev/fdset/N is opened (base/fds.h); NULL: of none. */
int hostfile_open(struct hostfile *, struct fds *fds, const char *path, unsigned flags, struct block_error *);
/* A new file without a name, in $TMPDIR or /var/tmp. */
int hostfile_temporary(struct hostfile *, struct block_error *);
void hostfile_close(struct hostfile *);

int hostfile_read(struct hostfile *, uint64_t off, void *buf, size_t len);      /* zeros behind the end */
/*
 * The same with pieces of memory, one after the other, `len` bytes in all, by one call of the host: 1 if it did not do all
 * of it (then the functions with one piece say what is wrong, or do it).
 */
int hostfile_readv(struct hostfile *, uint64_t off, const struct iovec *, unsigned n, size_t len);
int hostfile_writev(struct hostfile *, uint64_t off, const struct iovec *, unsigned n, size_t len);
int hostfile_write(struct hostfile *, uint64_t off, const void *buf, size_t len);
/* All that was written before is on the disk's medium after it. */
int hostfile_sync(struct hostfile *);
/* Makes a hole: reads as zeros.  -ENOTSUP: cannot, nothing was done. */
int hostfile_punch(struct hostfile *, uint64_t off, uint64_t len);
/* Zeros, by the file system where it can; space stays (or becomes) allocated. */
int hostfile_zero(struct hostfile *, uint64_t off, uint64_t len);
int hostfile_truncate(struct hostfile *, uint64_t size);
/* Allocates space for zeros in [from, to), behind the file's data; `full`: by writing them. */
int hostfile_preallocate(struct hostfile *, uint64_t from, uint64_t to, bool full);
/* The length of the hole or of the data at `off`, at most len.  Files that do not say are data. */
uint64_t hostfile_extent(struct hostfile *, uint64_t off, uint64_t len, bool *hole);
uint64_t hostfile_disk_usage(struct hostfile *);       /* bytes */
/* Memory aligned for direct I/O; to be freed.  Others are copied. */
void *hostfile_buffer(size_t len);

#endif
