/*
 * hostfile.c - files and block devices.
 *
 * Direct I/O (cache=none, directsync) wants positions, lengths and memory aligned.  What is not goes
 * through an aligned buffer; the edges of a write are read first and written back, one such write at a
 * time, since two of them may share a block.  A write that ends unaligned behind the file's end would leave
 * a longer file: it is cut back.
 *
 * A failed sync is remembered for ever: the kernel reports a write error once and then takes the pages for
 * clean, so that a second sync would succeed over lost data (fsync(2), "Linux: since 4.13").
 */
#ifndef _GNU_SOURCE             /* O_DIRECT, fallocate, SEEK_HOLE */
#define _GNU_SOURCE
#endif
#include "block/hostfile.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fds.h"
#include "block/lock.h"

#define BOUNCE ((size_t)1 << 20)
#define ALIGN_DOWN(x) ((x) & ~(uint64_t)(HOSTFILE_ALIGN - 1))
#define ALIGN_UP(x) ALIGN_DOWN((x) + HOSTFILE_ALIGN - 1)

void *hostfile_buffer(size_t len)
{
    return aligned_alloc(HOSTFILE_ALIGN, ALIGN_UP(len ? len : 1));
}

/* ---- opening ---- */

static int fail_directory(const struct hostfile *f, struct block_error *e)
{
    return block_fail(e, EISDIR, "%s: it is a directory, not a disk image", f->path);
}

static int identify(struct hostfile *f, struct block_error *e)
{
    struct stat st;

    if (fstat(f->fd, &st) < 0)
        return block_fail(e, errno, "%s: %s", f->path, strerror(errno));
    if (S_ISDIR(st.st_mode))
        return fail_directory(f, e);
    if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
        return block_fail(e, EINVAL, "%s: neither a file nor a block device", f->path);
    f->dev = st.st_dev;
    f->ino = st.st_ino;
    f->device = S_ISBLK(st.st_mode);
    f->size = (uint64_t)st.st_size;
    if (f->device) {
        uint64_t size;

        if (ioctl(f->fd, BLKGETSIZE64, &size) < 0)
            return block_fail(e, errno, "%s: cannot tell the device's size: %s", f->path, strerror(errno));
        f->size = size;
    }
    return 0;
}

static int fail_open(struct hostfile *f, unsigned flags, struct block_error *e)
{
    int error = errno;

    if (error == EISDIR)                /* which nobody may open for writing */
        return fail_directory(f, e);
    if (error == ENXIO)
        return block_fail(e, error, "%s: a socket, or a device that is not there: neither is a disk image", f->path);
    if (error == EINVAL && (flags & HOSTFILE_DIRECT))
        return block_fail(e, error, "%s: its file system has no direct I/O: use another cache mode, such as "
                          "cache=writeback", f->path);
    if (error == EROFS || ((error == EACCES || error == EPERM) && (flags & HOSTFILE_WRITE)))
        return block_fail(e, error, "%s: cannot be written: %s", f->path, strerror(error));
    return block_fail(e, error, "%s: %s", f->path, strerror(error));
}

static int open_fd(struct hostfile *f, struct fds *fds, int how, unsigned flags, struct block_error *e)
{
    if (flags & HOSTFILE_CREATE) {
        f->fd = open(f->path, how | O_CREAT | O_EXCL, 0666);
        f->made = f->fd >= 0;
    }
    if (f->fd < 0)
        f->fd = fds_open(fds, f->path, how | (flags & HOSTFILE_CREATE ? O_CREAT : 0), 0666);
    return f->fd < 0 ? fail_open(f, flags, e) : 0;
}

static void start(struct hostfile *f, unsigned flags)
{
    memset(f, 0, sizeof(*f));
    f->fd = -1;
    f->writable = flags & HOSTFILE_WRITE;
    f->direct = flags & HOSTFILE_DIRECT;
    f->unsafe = flags & HOSTFILE_UNSAFE;
    pthread_mutex_init(&f->edges, NULL);
}

int hostfile_open(struct hostfile *f, struct fds *fds, const char *path, unsigned flags, struct block_error *e)
{
    int how = O_CLOEXEC | (flags & HOSTFILE_WRITE ? O_RDWR : O_RDONLY), r;

    start(f, flags);
    /* A FIFO must not keep us waiting. */
    how |= O_NONBLOCK | (flags & HOSTFILE_DIRECT ? O_DIRECT : 0);
    f->path = strdup(path);
    if (!f->path)
        r = block_fail(e, ENOMEM, "%s: out of memory", path);
    else
        r = open_fd(f, fds, how, flags, e);
    if (!r)
        r = identify(f, e);
    if (!r && !(flags & HOSTFILE_NO_LOCK))
        r = lock_take(f->fd, path, f->writable, e);
    if (!r && (flags & HOSTFILE_CREATE) && !f->device) {
        r = hostfile_truncate(f, 0);
        if (r)
            block_fail(e, -r, "%s: cannot make it empty: %s", path, strerror(-r));
    }
    if (r)
        hostfile_close(f);
    return r;
}

int hostfile_temporary(struct hostfile *f, struct block_error *e)
{
    const char *dir = getenv("TMPDIR");
    size_t size;
    int r;

    start(f, HOSTFILE_WRITE | HOSTFILE_UNSAFE);
    dir = dir && *dir ? dir : "/var/tmp";
    size = strlen(dir) + sizeof("/latimer.XXXXXX");
    f->path = malloc(size);
    if (!f->path)
        return block_fail(e, ENOMEM, "out of memory");
    snprintf(f->path, size, "%s/latimer.XXXXXX", dir);
    f->fd = mkostemp(f->path, O_CLOEXEC);
    if (f->fd < 0)
        r = block_fail(e, errno, "cannot make a temporary file for what the guest writes in %s: %s ($TMPDIR "
                       "names another place)", dir, strerror(errno));
    else if (unlink(f->path) < 0)
        r = block_fail(e, errno, "%s: cannot remove the name of a temporary file: %s", f->path,
                       strerror(errno));
    else
        r = identify(f, e);
    if (r)
        hostfile_close(f);
    return r;
}

void hostfile_close(struct hostfile *f)
{
    if (f->fd >= 0)
        close(f->fd);           /* gives the locks back */
    free(f->path);
    f->path = NULL;
    f->fd = -1;
    pthread_mutex_destroy(&f->edges);
}

/* ---- reading ---- */

/* Reads up to len bytes, fewer only at the file's end: how many, or -errno. */
static ssize_t read_some(struct hostfile *f, uint64_t off, void *buf, size_t len)
{
    size_t got = 0;

    while (got < len) {
        ssize_t n = pread(f->fd, (char *)buf + got, len - got, (off_t)(off + got));

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        got += (size_t)n;
        if (f->direct && (size_t)n % HOSTFILE_ALIGN)
            break;              /* direct reads end unaligned only at the file's end */
    }
    return (ssize_t)got;
}

static bool aligned(uint64_t off, const void *buf, size_t len)
{
    return !((off | (uintptr_t)buf | len) & (HOSTFILE_ALIGN - 1));
}

static int read_bounced(struct hostfile *f, uint64_t off, char *buf, size_t len)
{
    char *bounce = hostfile_buffer(len < BOUNCE ? len + 2 * HOSTFILE_ALIGN : BOUNCE);
    int r = bounce ? 0 : -ENOMEM;

    while (len && !r) {
        uint64_t from = ALIGN_DOWN(off), to = ALIGN_UP(off + len);
        size_t skip = (size_t)(off - from), take;
        ssize_t n;

        if (to - from > BOUNCE)
            to = from + BOUNCE;
        n = read_some(f, from, bounce, (size_t)(to - from));
        if (n < 0) {
            r = (int)n;
            break;
        }
        memset(bounce + n, 0, (size_t)(to - from) - (size_t)n);
        take = (size_t)(to - off) < len ? (size_t)(to - off) : len;
        memcpy(buf, bounce + skip, take);
        off += take;
        buf += take;
        len -= take;
    }
    free(bounce);
    return r;
}

int hostfile_read(struct hostfile *f, uint64_t off, void *buf, size_t len)
{
    ssize_t n;

    if (f->direct && !aligned(off, buf, len))
        return read_bounced(f, off, buf, len);
    n = read_some(f, off, buf, len);
    if (n < 0)
        return (int)n;
    memset((char *)buf + n, 0, len - (size_t)n);
    return 0;
}

/* May the host be given these pieces as they are? */
static bool at_once(const struct hostfile *f, uint64_t off, const struct iovec *v, unsigned n)
{
    if (n > HOSTFILE_PIECES)
        return false;
    for (unsigned i = 0; f->direct && i < n; i++)
        if (!aligned(off, v[i].iov_base, v[i].iov_len))
            return false;
    return true;
}

int hostfile_readv(struct hostfile *f, uint64_t off, const struct iovec *v, unsigned n, size_t len)
{
    return !at_once(f, off, v, n) || preadv(f->fd, v, (int)n, (off_t)off) != (ssize_t)len;
}

/* ---- writing ---- */

static void grown(struct hostfile *f, uint64_t end)
{
    uint64_t size = f->size;

    while (end > size && !atomic_compare_exchange_weak(&f->size, &size, end))
        ;
}

static int write_all(struct hostfile *f, uint64_t off, const void *buf, size_t len)
{
    size_t done = 0;

    while (done < len) {
        ssize_t n = pwrite(f->fd, (const char *)buf + done, len - done, (off_t)(off + done));

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            return -ENOSPC;
        done += (size_t)n;
        grown(f, off + done);
    }
    return 0;
}

/* One aligned stretch of at most BOUNCE bytes; edges held. */
static int write_stretch(struct hostfile *f, uint64_t off, const char *buf, size_t len, char *bounce)
{
    uint64_t from = ALIGN_DOWN(off), to = ALIGN_UP(off + len), size = f->size;
    size_t last = (size_t)(to - from) - HOSTFILE_ALIGN;
    ssize_t n;
    int r;

    if (from < off || (last == 0 && to > off + len)) {
        n = read_some(f, from, bounce, HOSTFILE_ALIGN);
        if (n < 0)
            return (int)n;
        memset(bounce + n, 0, HOSTFILE_ALIGN - (size_t)n);
    }
    if (last && to > off + len) {
        n = read_some(f, from + last, bounce + last, HOSTFILE_ALIGN);
        if (n < 0)
            return (int)n;
        memset(bounce + last + n, 0, HOSTFILE_ALIGN - (size_t)n);
    }
    memcpy(bounce + (off - from), buf, len);
    r = write_all(f, from, bounce, (size_t)(to - from));
    if (!r && !f->device && to > size && to > off + len)
        r = hostfile_truncate(f, size > off + len ? size : off + len);
    return r;
}

static int write_bounced(struct hostfile *f, uint64_t off, const char *buf, size_t len)
{
    char *bounce = hostfile_buffer(len < BOUNCE ? len + 2 * HOSTFILE_ALIGN : BOUNCE);
    int r = bounce ? 0 : -ENOMEM;

    pthread_mutex_lock(&f->edges);
    while (len && !r) {
        size_t room = BOUNCE - (size_t)(off - ALIGN_DOWN(off)), take = len < room ? len : room;

        r = write_stretch(f, off, buf, take, bounce);
        off += take;
        buf += take;
        len -= take;
    }
    pthread_mutex_unlock(&f->edges);
    free(bounce);
    return r;
}

int hostfile_write(struct hostfile *f, uint64_t off, const void *buf, size_t len)
{
    if (f->direct && !aligned(off, buf, len))
        return write_bounced(f, off, buf, len);
    return write_all(f, off, buf, len);
}

int hostfile_writev(struct hostfile *f, uint64_t off, const struct iovec *v, unsigned n, size_t len)
{
    if (!at_once(f, off, v, n) || pwritev(f->fd, v, (int)n, (off_t)off) != (ssize_t)len)
        return 1;
    grown(f, off + len);
    return 0;
}

int hostfile_sync(struct hostfile *f)
{
    int r = atomic_load(&f->sync_error);

    if (r || f->unsafe)
        return -r;
    do {
        r = fdatasync(f->fd) < 0 ? errno : 0;
    } while (r == EINTR);
    /* A full disk, too: whether what could not be written is kept to be tried again depends on the file
       system. */
    if (r)
        atomic_store(&f->sync_error, r == ENOSPC || r == EDQUOT ? EIO : r);
    return -atomic_load(&f->sync_error);
}

/* ---- space ---- */

static int try_fallocate(struct hostfile *f, int mode, uint64_t off, uint64_t len)
{
    int r;

    do {
        r = fallocate(f->fd, mode, (off_t)off, (off_t)len) < 0 ? errno : 0;
    } while (r == EINTR);
    return r == EOPNOTSUPP || r == ENOSYS || r == ENODEV ? -ENOTSUP : -r;
}

int hostfile_punch(struct hostfile *f, uint64_t off, uint64_t len)
{
    int r;

    if (f->no_punch)
        return -ENOTSUP;
    r = len ? try_fallocate(f, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, off, len) : 0;
    if (r == -ENOTSUP || (f->device && r == -EINVAL)) {
        f->no_punch = true;
        return -ENOTSUP;
    }
    return r;
}

static int write_zeros(struct hostfile *f, uint64_t off, uint64_t len)
{
    size_t chunk = len < BOUNCE ? (size_t)len : BOUNCE;
    char *zeros = hostfile_buffer(chunk);
    int r = 0;

    if (!zeros)
        return -ENOMEM;
    memset(zeros, 0, chunk);
    for (; len && !r; off += chunk, len -= chunk) {
        chunk = len < chunk ? (size_t)len : chunk;
        r = hostfile_write(f, off, zeros, chunk);
    }
    free(zeros);
    return r;
}

int hostfile_zero(struct hostfile *f, uint64_t off, uint64_t len)
{
    int r;

    if (f->no_zero || !len)
        return len ? write_zeros(f, off, len) : 0;
    r = try_fallocate(f, FALLOC_FL_ZERO_RANGE, off, len);
    if (r == -ENOTSUP || (f->device && r == -EINVAL)) {
        f->no_zero = true;
        return write_zeros(f, off, len);
    }
    if (!r)
        grown(f, off + len);
    return r;
}

int hostfile_truncate(struct hostfile *f, uint64_t size)
{
    int r;

    if (f->device)
        return -ENOTSUP;
    do {
        r = ftruncate(f->fd, (off_t)size) < 0 ? errno : 0;
    } while (r == EINTR);
    if (!r)
        f->size = size;
    return -r;
}

int hostfile_preallocate(struct hostfile *f, uint64_t from, uint64_t to, bool full)
{
    int r;

    if (f->device || from >= to)
        return 0;
    r = posix_fallocate(f->fd, (off_t)from, (off_t)(to - from));
    if (r)
        return -r;
    grown(f, to);
    /* File systems may still have to find room for what is written into such space. */
    return full ? write_zeros(f, from, to - from) : 0;
}

uint64_t hostfile_extent(struct hostfile *f, uint64_t off, uint64_t len, bool *hole)
{
    uint64_t size = f->size, end;
    off_t data;

    *hole = off >= size;
    if (*hole || f->device)
        return len;
    data = lseek(f->fd, (off_t)off, SEEK_DATA);
    if (data < 0 && errno == ENXIO) {
        *hole = true;           /* up to the file's end, and what lies behind is one, too */
        return len;
    }
    if (data < 0)
        return len;
    *hole = (uint64_t)data > off;
    if (*hole) {
        end = (uint64_t)data;
    } else {
        off_t next = lseek(f->fd, (off_t)off, SEEK_HOLE);

        end = next > (off_t)off ? (uint64_t)next : size;
    }
    return end - off < len ? end - off : len;
}

uint64_t hostfile_disk_usage(struct hostfile *f)
{
    struct stat st;

    return fstat(f->fd, &st) < 0 ? 0 : (uint64_t)st.st_blocks * 512;
}
