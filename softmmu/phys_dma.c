/*
 * phys_dma.c - guest memory as bus masters see it: RAM, and nothing else (softmmu.h).
 */
#include <string.h>

#include "softmmu/phys.h"

void *phys_dma_host(struct phys *p, uint64_t pa, bool write, uint64_t *run)
{
    if (pa >= PA_LIMIT)
        return NULL;
    return phys_host(p, pa, write, run);
}

/* Bytes from pa, where no RAM is, that need no look. Above all RAM that is all of them: addresses do not wrap. */
static uint64_t hole(uint64_t pa, uint64_t len)
{
    return pa >= PA_LIMIT ? len : PAGE_SIZE - (pa & (PAGE_SIZE - 1));
}

bool phys_dma_read(struct phys *p, uint64_t pa, void *buf, uint64_t len)
{
    uint8_t *b = buf;
    bool all = true;

    while (len) {
        uint64_t run;
        const void *host = p ? phys_dma_host(p, pa, false, &run) : NULL;

        if (!host)              /* to the end of its page: what lies behind may be RAM again */
            run = hole(pa, len);
        if (run > len)
            run = len;
        if (host) {
            phys_copy(b, host, run);
        } else {
            memset(b, 0xff, run);
            all = false;
        }
        b += run;
        pa += run;
        len -= run;
    }
    return all;
}

bool phys_dma_write(struct phys *p, uint64_t pa, const void *buf, uint64_t len)
{
    const uint8_t *b = buf;
    bool all = true;

    while (len) {
        uint64_t run;
        void *host = phys_dma_host(p, pa, true, &run);

        if (!host)
            run = hole(pa, len);
        if (run > len)
            run = len;
        if (host) {
            phys_copy(host, b, run);
            phys_dma_written(p, pa, run);
        } else {
            all = false;
        }
        b += run;
        pa += run;
        len -= run;
    }
    return all;
}

void phys_dma_written(struct phys *p, uint64_t pa, uint64_t len)
{
    for (uint64_t at = pa, left = p->tracks ? len : 0, run; left; at += run, left -= run) {
        const uint8_t *host = phys_dma_host(p, at, true, &run);

        if (!host)
            run = PAGE_SIZE - (at & (PAGE_SIZE - 1));
        if (run > left)
            run = left;
        if (host)
            track_written(p, host, run);
    }
    smc_written(p, pa, len);
    if (p->monitored)
        phys_monitor_hit(p, pa, len);
}
