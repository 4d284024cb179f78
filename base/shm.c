/*
 * shm.c - files without a name (shm.h).
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE            /* memfd_create, O_TMPFILE */
#endif
#include "base/shm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8u      /* Linux 6.3 */
#endif

static int sized(int fd, uint64_t size)
{
    if (fd >= 0 && ftruncate(fd, (off_t)size) < 0) {
        int error = errno;
        close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

/*
 * Nobody starts a program from it (that is all the seal forbids; it may be mapped
 * executable): so it is had even where vm.memfd_noexec is 2.
 */
int shm_memfd_with(const char *name, uint64_t size, unsigned flags)
{
    int fd;

    flags |= MFD_CLOEXEC | MFD_ALLOW_SEALING;
    fd = memfd_create(name, flags | MFD_NOEXEC_SEAL);
    if (fd < 0 && errno == EINVAL)              /* an older kernel */
        fd = memfd_create(name, flags);
    return sized(fd, size);
}

int shm_memfd(const char *name, uint64_t size)
{
    return shm_memfd_with(name, size, 0);
}

int shm_file(const char *folder, uint64_t size)
{
    char path[4096];
    int fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR)) {   /* not by this file system or kernel */
        if (snprintf(path, sizeof path, "%s/latimer-XXXXXX", folder) >= (int)sizeof path) {
            errno = ENAMETOOLONG;
            return -1;
        }
        fd = mkostemp(path, O_CLOEXEC);
        if (fd >= 0)
            unlink(path);
    }
    return sized(fd, size);
}
