/*
 * phys_discard.c - RAM that the guest does not need goes back to the host, and what it never used (softmmu.h).
 *
 * The host gives and takes its own pages, which may be larger than the guest's: only those that are wholly
 * within the range go. The mapping stays, so nothing that points there becomes wrong.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE            /* fallocate() */
#endif

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "softmmu/phys.h"

/* The part of our RAM at `host`, if it is. */
static void discard(struct phys *p, uint8_t *host, uint64_t len)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), from, to;

    for (unsigned i = 0; i < p->nram; i++) {
        uintptr_t base = (uintptr_t)p->ram[i].p;

        if ((uintptr_t)host < base || (uintptr_t)host - base >= p->ram[i].len)
            continue;
        from = ((uintptr_t)host + page - 1) & ~(page - 1);
        to = ((uintptr_t)host + len) & ~(page - 1);
        /*
         * By the descriptor: madvise() is taken for a hint by some (user-mode emulators). Where the host cannot do it
         * (a file system without holes, or a copy of a file's contents), the memory just stays.
         */
        if (from < to && (p->ram[i].fd < 0 || fallocate(p->ram[i].fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                                       (off_t)(from - base), (off_t)(to - from)) != 0))
            madvise((void *)from, to - from, MADV_REMOVE);
    }
}

void phys_dma_discard(struct phys *p, uint64_t pa, uint64_t len)
{
    while (len) {
        uint64_t run;
        uint8_t *host = phys_dma_host(p, pa, true, &run);

        if (!host)
            run = PAGE_SIZE - (pa & (PAGE_SIZE - 1));
        if (run > len)
            run = len;
        if (host) {
            discard(p, host, run);
            phys_dma_written(p, pa, run);
        }
        pa += run;
        len -= run;
    }
}

void *phys_ram(struct phys *p, unsigned n, uint64_t *len)
{
    if (n >= p->nram)
        return NULL;
    *len = p->ram[n].len;
    return p->ram[n].p;
}

bool phys_ram_has(const struct phys_ram *r, uint64_t off, uint64_t *len)
{
    int fd = r->holes ? r->fd : -1;
    off_t data = fd < 0 ? (off_t)off : lseek(fd, (off_t)off, SEEK_DATA), end;

    if (data < 0)
        return errno != ENXIO;          /* that says: nothing up to the end */
    if ((uint64_t)data > off) {
        *len = (uint64_t)data - off < *len ? (uint64_t)data - off : *len;
        return false;
    }
    end = fd < 0 ? -1 : lseek(fd, (off_t)off, SEEK_HOLE);
    if (end > (off_t)off && (uint64_t)end - off < *len)
        *len = (uint64_t)end - off;
    return true;
}

bool phys_ram_used(struct phys *p, unsigned n, uint64_t off, uint64_t *len)
{
    return phys_ram_has(&p->ram[n], off, len);
}
