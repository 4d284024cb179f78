/*
 * host_shim.c - another kind of host, for a program that is run with this library preloaded.
 *
 *   HOST_PAGE=BYTES    the host's pages: what is not aligned to them is refused, what is mapped begins and
 *                      ends on them, and protections reach to their ends
 *   HOST_NOEXEC=1      memory that is mapped executable is not, without an error
 *   HOST_HWCAP=BITS    what getauxval(AT_HWCAP) says
 *   HOST_BAD_READS=PATH, HOST_BAD_WRITES=PATH   while there is a file of that name (a second link to an image, say), reading
 *                      or writing it at a position is an I/O error; HOST_FULL=PATH: writing finds no room
 *
 * Only calls of the program itself are seen; the C library's own go to the host as it is.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static unsigned long setting(const char *name, unsigned long otherwise)
{
    const char *s = getenv(name);
    return s ? strtoul(s, NULL, 0) : otherwise;
}

static unsigned long page_size(void)
{
    static unsigned long page;
    if (!page)
        page = setting("HOST_PAGE", 4096);
    return page;
}

static int unaligned(const void *p)
{
    if (!((uintptr_t)p & (page_size() - 1)))
        return 0;
    errno = EINVAL;
    return 1;
}

static size_t whole(size_t len)
{
    return (len + page_size() - 1) & ~(page_size() - 1);
}

void *mmap(void *at, size_t len, int prot, int flags, int fd, off_t off)
{
    const size_t page = page_size();
    uint8_t *p, *to;
    if (unaligned((void *)(uintptr_t)off) || ((flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) && unaligned(at)))
        return MAP_FAILED;
    if (setting("HOST_NOEXEC", 0))
        prot &= ~PROT_EXEC;
    if (at)
        return (void *)syscall(SYS_mmap, at, len, prot, flags, fd, off);
    p = (uint8_t *)syscall(SYS_mmap, NULL, whole(len) + page, PROT_NONE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0l);
    if (p == MAP_FAILED)
        return p;
    to = (uint8_t *)(((uintptr_t)p + page - 1) & ~(uintptr_t)(page - 1));
    if (to > p)
        syscall(SYS_munmap, p, to - p);
    if (p + page > to)
        syscall(SYS_munmap, to + whole(len), p + page - to);
    p = (uint8_t *)syscall(SYS_mmap, to, whole(len), prot, flags | MAP_FIXED, fd, off);
    if (p == MAP_FAILED)
        syscall(SYS_munmap, to, whole(len));
    return p;
}

int munmap(void *p, size_t len)
{
    return unaligned(p) ? -1 : (int)syscall(SYS_munmap, p, whole(len));
}

int mprotect(void *p, size_t len, int prot)
{
    return unaligned(p) ? -1 : (int)syscall(SYS_mprotect, p, whole(len), prot);
}

int madvise(void *p, size_t len, int advice)
{
    return unaligned(p) ? -1 : (int)syscall(SYS_madvise, p, len, advice);
}

int mincore(void *p, size_t len, unsigned char *vec)
{
    if (unaligned(p))
        return -1;
    for (size_t at = 0; at < len; at += page_size()) {
        unsigned char one[65536 / 4096] = { 0 };
        size_t n = len - at < page_size() ? len - at : page_size();
        if (syscall(SYS_mincore, (char *)p + at, n, one) < 0)
            return -1;
        *vec = 0;
        for (unsigned k = 0; k < sizeof one; k++)
            *vec |= one[k];
        vec++;
    }
    return 0;
}

long sysconf(int name)
{
    long (*next)(int) = (long (*)(int))dlsym(RTLD_NEXT, "sysconf");
    return name == _SC_PAGESIZE ? (long)page_size() : next(name);
}

int getpagesize(void)
{
    return (int)page_size();
}

unsigned long getauxval(unsigned long type)
{
    unsigned long (*next)(unsigned long) = (unsigned long (*)(unsigned long))dlsym(RTLD_NEXT, "getauxval");
    if (type == AT_PAGESZ)
        return page_size();
    return type == AT_HWCAP ? setting("HOST_HWCAP", next(type)) : next(type);
}

/* ---- files that fail ---- */

static int bad(const char *name, int fd, int error)
{
    const char *path = getenv(name);
    struct stat a, b;
    if (!path || stat(path, &a) || fstat(fd, &b) || a.st_dev != b.st_dev || a.st_ino != b.st_ino)
        return 0;
    errno = error;
    return 1;
}

static int bad_read(int fd)
{
    return bad("HOST_BAD_READS", fd, EIO);
}

static int bad_write(int fd)
{
    return bad("HOST_BAD_WRITES", fd, EIO) || bad("HOST_FULL", fd, ENOSPC);
}

ssize_t pread(int fd, void *buf, size_t n, off_t off)
{
    return bad_read(fd) ? -1 : syscall(SYS_pread64, fd, buf, n, off);
}

ssize_t preadv(int fd, const struct iovec *v, int n, off_t off)
{
    return bad_read(fd) ? -1 : syscall(SYS_preadv, fd, v, n, off, 0l);
}

ssize_t pwrite(int fd, const void *buf, size_t n, off_t off)
{
    return bad_write(fd) ? -1 : syscall(SYS_pwrite64, fd, buf, n, off);
}

ssize_t pwritev(int fd, const struct iovec *v, int n, off_t off)
{
    return bad_write(fd) ? -1 : syscall(SYS_pwritev, fd, v, n, off, 0l);
}

/* The same by their other names, as programs with large files on purpose have them. */
ssize_t pread64(int, void *, size_t, off_t) __attribute__((alias("pread")));
ssize_t preadv64(int, const struct iovec *, int, off_t) __attribute__((alias("preadv")));
ssize_t pwrite64(int, const void *, size_t, off_t) __attribute__((alias("pwrite")));
ssize_t pwritev64(int, const struct iovec *, int, off_t) __attribute__((alias("pwritev")));
