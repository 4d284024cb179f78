/* host.c - see blocktest.h.  Definitions here take the place of the C library's. */
#define _GNU_SOURCE
#include "tests/block/blocktest.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/syscall.h>
#include <unistd.h>

int64_t host_room = -1;
int host_read_error, host_write_error;

struct change {
    enum { WRITE, ZERO, TRUNCATE, SYNC } what;
    uint64_t off, len;
    uint8_t *data;
};

static struct change *changes;
static unsigned nchanges, cap;
static bool recording;

static void record(int what, uint64_t off, uint64_t len, const void *data)
{
    if (!recording)
        return;
    if (nchanges == cap) {
        cap = cap * 2 + 256;
        changes = realloc(changes, cap * sizeof(*changes));
    }
    changes[nchanges] = (struct change){ what, off, len, NULL };
    if (data) {
        changes[nchanges].data = malloc(len);
        memcpy(changes[nchanges].data, data, len);
    }
    nchanges++;
}

ssize_t pwrite(int fd, const void *buf, size_t n, off_t off)
{
    struct stat st;
    ssize_t done;

    if (host_write_error) {
        errno = host_write_error;
        return -1;
    }
    if (host_room >= 0 && fstat(fd, &st) == 0 && off + (off_t)n > st.st_size) {
        int64_t more = off + (off_t)n - (off > st.st_size ? off : st.st_size);     /* holes take no room */

        if (more > host_room) {
            n -= (size_t)(more - host_room) < n ? (size_t)(more - host_room) : n;
            more = host_room;
            if (!n) {
                errno = ENOSPC;
                return -1;
            }
        }
        host_room -= more;
    }
    done = syscall(SYS_pwrite64, fd, buf, n, off);
    if (done > 0)
        record(WRITE, (uint64_t)off, (uint64_t)done, buf);
    return done;
}

ssize_t pread(int fd, void *buf, size_t n, off_t off)
{
    if (!host_read_error)
        return syscall(SYS_pread64, fd, buf, n, off);
    errno = host_read_error;
    return -1;
}

/* Piece by piece, as a host may that is cut off in between. */
static ssize_t in_pieces(bool out, int fd, const struct iovec *v, int n, off_t off)
{
    ssize_t done = 0;

    for (int i = 0; i < n; i++) {
        ssize_t one = out ? pwrite(fd, v[i].iov_base, v[i].iov_len, off + done) : pread(fd, v[i].iov_base, v[i].iov_len, off + done);

        if (one > 0)
            done += one;
        if (one != (ssize_t)v[i].iov_len)
            return done ? done : one;
    }
    return done;
}

ssize_t preadv(int fd, const struct iovec *v, int n, off_t off)
{
    return in_pieces(false, fd, v, n, off);
}

ssize_t pwritev(int fd, const struct iovec *v, int n, off_t off)
{
    return in_pieces(true, fd, v, n, off);
}

int fdatasync(int fd)
{
    record(SYNC, 0, 0, NULL);
    /* the host does not really fail here: so there is no need to wait for its disk */
    return 0;
}

int ftruncate(int fd, off_t size)
{
    int r = (int)syscall(SYS_ftruncate, fd, size);

    if (!r)
        record(TRUNCATE, (uint64_t)size, 0, NULL);
    return r;
}

int fallocate(int fd, int mode, off_t off, off_t len)
{
    int r = (int)syscall(SYS_fallocate, fd, mode, off, len);

    if (!r && (mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)))
        record(ZERO, (uint64_t)off, (uint64_t)len, NULL);
    return r;
}

void host_log_start(void)
{
    recording = true;
}

unsigned host_log_length(void)
{
    return nchanges;
}

unsigned host_log_syncs(unsigned from)
{
    unsigned n = 0;

    for (; from < nchanges; from++)
        n += changes[from].what == SYNC;
    return n;
}

void host_log_stop(void)
{
    for (unsigned i = 0; i < nchanges; i++)
        free(changes[i].data);
    nchanges = 0;
    recording = false;
}

/* A write may reach the disk in part: whole sectors of it. */
static void apply(int fd, const struct change *c, bool torn)
{
    static const uint8_t zeros[512];
    struct stat st;

    if (c->what == TRUNCATE) {
        if (syscall(SYS_ftruncate, fd, c->off) < 0)
            broken("ftruncate: %s", strerror(errno));
        return;
    }
    fstat(fd, &st);
    for (uint64_t at = 0, n; at < c->len; at += n) {
        uint64_t off = c->off + at;

        n = 512 - off % 512;
        n = n < c->len - at ? n : c->len - at;
        if (torn && rnd_below(2))
            continue;
        if (c->what == ZERO && off >= (uint64_t)st.st_size)
            continue;           /* the size stays */
        if (syscall(SYS_pwrite64, fd, c->what == ZERO ? zeros : c->data + at, n, off) != (long)n)
            broken("pwrite: %s", strerror(errno));
    }
}

void host_power_failure(const char *before, const char *to, unsigned n)
{
    unsigned synced = 0;
    int fd;

    if (run("cp --sparse=always %s %s", before, to))
        broken("cannot copy %s", before);
    for (unsigned i = 0; i < n; i++)
        if (changes[i].what == SYNC)
            synced = i;
    fd = open(path(to), O_RDWR);
    for (unsigned i = 0; i < n; i++) {
        if (changes[i].what == SYNC)
            continue;
        if (i < synced)
            apply(fd, &changes[i], false);
        else if (rnd_below(2))  /* after the last barrier, anything may be there or not */
            apply(fd, &changes[i], rnd_below(3) == 0);
    }
    close(fd);
}
