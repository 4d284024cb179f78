/*
 * file.c - whole files in memory: regular files are mapped, so that an initial
 * ramdisk costs no memory of ours once it has been copied; pipes and block
 * devices are read.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/file.h"

#define STREAM_MAX ((size_t)1 << 32)    /* a pipe that never ends must not eat the host */

static bool read_stream(struct file *f, int fd, int *error)
{
    uint8_t *buf = NULL;
    size_t len = 0, cap = 0;
    ssize_t n;

    for (;;) {
        if (len == cap) {
            size_t bigger = cap ? cap * 2 : 1 << 20;
            uint8_t *p = bigger > STREAM_MAX ? NULL : realloc(buf, bigger);

            if (!p) {
                *error = bigger > STREAM_MAX ? EFBIG : ENOMEM;
                break;
            }
            buf = p;
            cap = bigger;
        }
        n = read(fd, buf + len, cap - len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            *error = errno;
            break;
        }
        if (n == 0) {
            f->data = buf;
            f->len = len;
            return true;
        }
        len += n;
    }
    free(buf);
    return false;
}

bool file_read(struct file *f, const char *path, char *err, size_t errlen)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC), error = 0;
    struct stat st;

    *f = (struct file){ 0 };
    if (fd < 0 || fstat(fd, &st) < 0) {
        error = errno;
    } else if (S_ISDIR(st.st_mode)) {
        error = EISDIR;
    } else if (S_ISCHR(st.st_mode)) {
        snprintf(err, errlen, "%s: neither a file, a pipe nor a block device", path);
        close(fd);
        return false;
    } else if (S_ISREG(st.st_mode) && st.st_size > 0) {
        void *p = mmap(NULL, st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);

        if (p == MAP_FAILED)
            error = errno;
        else
            *f = (struct file){ p, st.st_size, true };
    } else {
        read_stream(f, fd, &error);
    }
    if (fd >= 0)
        close(fd);
    if (error) {
        snprintf(err, errlen, "%s: %s", path, strerror(error));
        return false;
    }
    if (!f->len) {
        file_free(f);
        snprintf(err, errlen, "%s: the file is empty", path);
        return false;
    }
    return true;
}

void file_idle(const struct file *f)
{
    if (f->mapped)
        madvise((void *)f->data, f->len, MADV_DONTNEED);
}

void file_free(struct file *f)
{
    if (f->mapped)
        munmap((void *)f->data, f->len);
    else
        free((void *)f->data);
    *f = (struct file){ 0 };
}
