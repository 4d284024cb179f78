/*
 * phys_fresh.c - RAM that becomes another (softmmu.h).
 *
 * Whoever puts damaged contents together drops them, and the guest has lost nothing. The new memory is moved to the
 * old one's addresses, so nothing that points there becomes wrong, and the old contents are gone at once. Where the old memory
 * has to stay, since others see it, the contents are copied.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE            /* mremap(), fallocate() */
#endif

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/log.h"
#include "softmmu/phys.h"

struct phys_fresh {
    struct phys *phys;
    unsigned n;
    bool again;                 /* what is put may lie where something else was put before */
    struct phys_ram ram;
};

struct phys_fresh *phys_fresh_new(struct phys *p, unsigned n)
{
    struct phys_fresh *f = calloc(1, sizeof(*f));

    if (f && !phys_ram_map(&f->ram, p->ram[n].len)) {
        free(f);
        f = NULL;
    }
    if (f) {
        f->phys = p;
        f->n = n;
    }
    return f;
}

/*
 * By the descriptor, where there is one: the host then takes pages as they are, and neither clears nor maps each before.
 * The guest's first access maps them, many at a time.
 */
static int put(struct phys_fresh *f, uint64_t off, const uint8_t *data, size_t len)
{
    while (f->ram.fd >= 0 && len) {
        ssize_t n = pwrite(f->ram.fd, data, len, (off_t)off);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -ENOSPC;
        off += (uint64_t)n;
        data += n;
        len -= (size_t)n;
    }
    memcpy((uint8_t *)f->ram.p + off, data, len);
    return 0;
}

void phys_fresh_again(struct phys_fresh *f)
{
    f->again = true;
}

/* Pages of zeros are the host's. */
static int put_zeros(struct phys_fresh *f, uint64_t off, size_t len)
{
    if (!f->again || !len)
        return 0;
    if (f->ram.fd < 0 || fallocate(f->ram.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)off, (off_t)len) != 0)
        memset((uint8_t *)f->ram.p + off, 0, len);
    return 0;
}

int phys_fresh_put(struct phys_fresh *f, uint64_t off, const void *data, size_t len)
{
    static const uint8_t zeros[PAGE_SIZE];
    const uint8_t *from = data;
    size_t begin = 0;           /* of what is to be put */
    int error = 0;

    if (!data)
        return put_zeros(f, off, len);
    for (size_t at = 0, n; at < len && !error; at += n) {
        n = len - at < PAGE_SIZE ? len - at : PAGE_SIZE;
        if (memcmp(from + at, zeros, n) != 0)
            continue;
        error = put(f, off + begin, from + begin, at - begin);
        if (!error)
            error = put_zeros(f, off + at, n);
        begin = at + n;
    }
    return error ? error : put(f, off + begin, from + begin, len - begin);
}

/* [off, off + len) becomes zeros, and the host has its pages back, as far as it may. */
static void clear(const struct phys_ram *r, uint64_t off, uint64_t len)
{
    static const uint8_t zeros[PAGE_SIZE];

    if (r->fd >= 0 && !r->taken &&
        fallocate(r->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)off, (off_t)len) == 0)
        return;
    for (uint64_t n; len; off += n, len -= n) {
        uint8_t *at = (uint8_t *)r->p + off;

        n = len < PAGE_SIZE ? len : PAGE_SIZE;
        if (memcmp(at, zeros, n) != 0)
            memset(at, 0, n);
    }
}

/* Memory that nothing may take the place of gets the contents. */
static void copy(struct phys_fresh *f, const struct phys_ram *to)
{
    for (uint64_t off = 0, n; off < to->len; off += n) {
        n = to->len - off;
        if (phys_ram_has(&f->ram, off, &n))
            memcpy((uint8_t *)to->p + off, (const uint8_t *)f->ram.p + off, n);
        else
            clear(to, off, n);
    }
}

void phys_fresh_use(struct phys_fresh *f)
{
    struct phys_ram *old = &f->phys->ram[f->n];

    if (old->fixed) {
        copy(f, old);
        phys_fresh_drop(f);
        return;
    }
    if (mremap(f->ram.p, f->ram.len, old->len, MREMAP_MAYMOVE | MREMAP_FIXED, old->p) != old->p)
        die(EXIT_CODE_HOST, "cannot move guest memory: %s", strerror(errno));
    madvise(old->p, old->len, MADV_HUGEPAGE);
    if (old->fd >= 0)
        close(old->fd);
    old->fd = f->ram.fd;
    old->holes = f->ram.holes;
    free(f);
}

void phys_fresh_drop(struct phys_fresh *f)
{
    if (!f)
        return;
    munmap(f->ram.p, f->ram.len);
    if (f->ram.fd >= 0)
        close(f->ram.fd);
    free(f);
}
