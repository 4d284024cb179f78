/*
 * count.c - counters on the ways through blocks (-d count): what code costs, in instructions, exactly.
 *
 * At each exit the counter of that way is counted up.  The records lie in memory that is reserved at
 * once, so that code may hold their addresses.
 */
#define _GNU_SOURCE             /* MAP_ANONYMOUS */
#include <sys/mman.h>

#include "backend-aarch64/emit.h"
#include "base/log.h"

#define COUNTERS (4u << 20)

const bool backend_counts = true;

void backend_count(struct backend *be)
{
    be->count = mmap(NULL, COUNTERS * sizeof *be->count, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (be->count == MAP_FAILED)
        die(EXIT_CODE_HOST, "out of memory for -d count");
}

void count_free(struct backend *be)
{
    if (be->count)
        munmap(be->count, COUNTERS * sizeof *be->count);
}

const struct host_count *backend_counted(const struct backend *be, size_t *n)
{
    *n = be->ncount;
    return be->count;
}

struct way count_way(const struct emit *e)
{
    return (struct way){ .bytes = (uint32_t)(e->a.p - e->start) - e->h.uncounted, .guest = e->insns };
}

void count_begin(struct emit *e, struct way *w)
{
    struct backend *be = e->be;
    w->count = be->count && be->ncount < COUNTERS ? &be->count[be->ncount++] : NULL;
    if (w->count) {
        uint8_t *from = e->a.p;
        as_mov_i(&e->a, H_S0, (uint64_t)(uintptr_t)&w->count->n);
        as_ldst(&e->a, OP_LDR, 3, H_S1, H_S0, 0);
        as_rri(&e->a, OPI_ADD, true, H_S1, H_S1, 1);
        as_ldst(&e->a, OP_STR, 3, H_S1, H_S0, 0);
        e->h.uncounted += (uint32_t)(e->a.p - from);
    }
    w->from = e->a.p;
}

void count_end(struct emit *e, const struct way *w, bool skips)
{
    if (w->count)
        *w->count = (struct host_count){ .block = e->start + e->be->rx_off, .guest = w->guest,
                                         .host = (w->bytes + (uint32_t)(e->a.p - w->from) -
                                                  (skips ? ENTRY_BYTES : 0)) / 4 };
}
