/*
 * debug.c - see debug.h. What instructions, accesses and deliveries ask on their way.
 */
#include "frontend/debug.h"

#include "frontend/help.h"

/* The instruction is not executed yet. */
static bool put_off(struct cpu *c, uint8_t fault)
{
    c->fault = (struct fault){ .vector = fault };
    return true;
}

/* The first breakpoint at lin or behind it. */
static unsigned break_at(const struct debug_points *p, uint64_t lin)
{
    unsigned lo = 0, hi = p->nbrk;

    while (lo < hi) {
        unsigned mid = (lo + hi) / 2;

        if (p->brk[mid] < lin)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

bool debug_break_in(const struct debug_points *p, uint64_t lo, uint64_t hi)
{
    unsigned n = break_at(p, lo);

    return n < p->nbrk && p->brk[n] - lo < hi - lo;
}

uint32_t debug_mode(const struct cpu *c, uint64_t lin)
{
    uint64_t page = lin & PAGE_MASK;

    return c->debug && debug_break_in(c->debug->points, page, page + PAGE_SIZE) ? M_BP : 0;
}

void debug_stop(struct cpu *c, enum debug_event event)
{
    struct debug_stop *s = &c->debug->stop;

    if (s->event != DEBUG_NONE)
        return;                 /* the first reason counts */
    s->event = event;
    s->rip = c->rip;
    __atomic_fetch_or(&c->attn, ATTN_EXIT, __ATOMIC_SEQ_CST);
}

/* M_BP mode, before an instruction that has a breakpoint. */
bool help_debug_break(struct cpu *c, uint64_t rip)
{
    uint64_t lin = cpu_code_lin(c, rip);

    return debug_break_in(c->debug->points, lin, lin + 1) && put_off(c, FAULT_BREAK);
}

/* ---- accesses ---- */

bool debug_page_watched(const struct debug_points *p, uint64_t page, bool write)
{
    for (unsigned i = 0; i < p->nwatch; i++) {
        const struct debug_watch *w = &p->watch[i];

        /* What reads are watched for may be read through write entries, too. */
        if ((w->lin - page < PAGE_SIZE || page - w->lin < w->len) && (write || w->on_read))
            return true;
    }
    return false;
}

bool debug_access(struct cpu *c, uint64_t lin, unsigned size, bool read, bool write)
{
    struct cpu_debug *d = c->debug;

    for (unsigned i = 0; i < d->points->nwatch; i++) {
        const struct debug_watch *w = &d->points->watch[i];

        if (!(lin - w->lin < w->len || w->lin - lin < size) ||
            !((read && w->on_read) || (write && w->on_write)))
            continue;
        if (d->raise)
            return put_off(c, FAULT_WATCH);
        if (d->stop.event != DEBUG_NONE)
            continue;
        debug_stop(c, DEBUG_WATCH);
        d->stop.lin = lin > w->lin ? lin : w->lin;
        d->stop.on_read = w->on_read;
        d->stop.on_write = w->on_write;
    }
    return false;
}

/* ---- what is caught ---- */

static bool vector_caught(const struct cpu *c, unsigned vector)
{
    return c->debug->points->catch.vector[vector / 64 & 3] >> vector % 64 & 1;
}

static bool in_ranges(const struct debug_range *r, unsigned n, uint32_t first, uint32_t last)
{
    for (unsigned i = 0; i < n; i++)
        if (first <= r[i].last && last >= r[i].first)
            return true;
    return false;
}

static bool caught(struct cpu *c, enum debug_event event, uint32_t number, bool write)
{
    debug_stop(c, event);
    c->debug->stop.number = number;
    c->debug->stop.write = write;
    return put_off(c, FAULT_CATCH);
}

bool debug_io(struct cpu *c, uint16_t port, unsigned size, bool write)
{
    const struct debug_points *p = c->debug->points;

    return c->debug->raise && in_ranges(p->catch.io, p->catch.nio, port, port + size - 1u) &&
           caught(c, DEBUG_IO, port, write);
}

bool debug_msr(struct cpu *c, uint32_t n, bool write)
{
    const struct debug_points *p = c->debug->points;

    return c->debug->raise && in_ranges(p->catch.msr, p->catch.nmsr, n, n) && caught(c, DEBUG_MSR, n, write);
}

bool debug_fault(struct cpu *c)
{
    struct cpu_debug *d = c->debug;

    if (d->deliver || !vector_caught(c, c->fault.vector)) {
        d->deliver = false;             /* what it leads to is caught again */
        return false;
    }
    debug_stop(c, DEBUG_FAULT);
    d->stop.number = c->fault.vector;
    d->pending = true;
    d->again = d->raised && c->fault.vector != EXC_DF;
    return true;
}

void debug_interrupt(struct cpu *c, unsigned vector)
{
    if (!vector_caught(c, vector))
        return;
    debug_stop(c, DEBUG_INTERRUPT);
    c->debug->stop.number = vector;
}

bool debug_triple(struct cpu *c)
{
    struct cpu_debug *d = c->debug;

    if (!d->points->catch.triple)
        return false;
    debug_stop(c, DEBUG_TRIPLE);
    return true;
}

void debug_reset(struct cpu *c)
{
    struct cpu_debug *d = c->debug;

    d->alone = d->pending = d->raise = false;
    d->stop.event = DEBUG_NONE;
    if (d->points->catch.reset)
        debug_stop(c, DEBUG_RESET);
}
