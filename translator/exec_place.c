/*
 * exec_place.c - which guest instruction a host address belongs to, for crash reports.
 *
 * On a block's straight way the marks tell (struct host_mark).  What lies out of
 * line are sequences that each call a thunk and jump back; the calls are fault
 * points.  A thunk works for who called it.
 */
#include "translator/exec_priv.h"

#include "translator/check.h"

/* The part of b's code that holds `host`: the straight way or the cold rest. */
static const uint8_t *part_of(const struct cache *k, const struct block *b, const uint8_t *host,
                              uint32_t *size)
{
    bool cold = b->cold && host >= b->cold + k->mem.rx_off && host < b->cold + k->mem.rx_off + b->cold_size;
    *size = cold ? b->cold_size : b->size;
    return cold ? b->cold : b->rw;
}

/* The page offset or EIP of the instruction whose code is at offset off (which is no return address). */
static int64_t pc_at(struct exec *e, const struct block *b, uint32_t off)
{
    const struct host_mark *m = NULL;
    for (unsigned i = 0; i < b->nmarks && b->mark[i].off <= off; i++)
        m = &b->mark[i];
    if (!m)
        return b->start;
    if (off < b->size && m->pc != MARK_BEHIND)
        return (int64_t)b->start + m->pc;
    /* Out of line: up to the next call of a thunk, or, if that is another sequence's, behind the last one. */
    const struct host_fault *next = b->fault, *end = b->fault + b->nfaults;
    uint32_t from = off < b->size ? m->off : (uint32_t)(b->cold - b->rw);
    while (next < end && next->ra <= off)
        next++;
    bool behind = next > b->fault && next[-1].ra > from &&
                  !check_jumps(&e->host_code, b->rw + next[-1].ra, off - next[-1].ra);
    if (behind || (next == end && next > b->fault))
        next--;
    return next < end ? next->pc : (int64_t)b->start;
}

static void in_block(struct cpu *c, struct block *b, int64_t pc, struct exec_place *p)
{
    p->block = b;
    p->rip = exec_rip_of(c, b, pc);
    p->lin = b->flat ? p->rip : (uint32_t)(c->seg[SEG_CS].base + p->rip);
}

void exec_place(struct cpu *c, const void *host, const void *lr, struct exec_place *p)
{
    exec_place_then(c, host, lr, c->exec && !c->exec->o.interp ? backend_thunk_caller(c) : NULL, p);
}

void exec_place_then(struct cpu *c, const void *host, const void *lr, const void *caller, struct exec_place *p)
{
    *p = (struct exec_place){ .where = EXEC_ELSEWHERE, .host = host };
    if (!c->exec || c->exec->o.interp)
        return;
    const struct cache *k = &c->exec->cache;
    uint64_t off = (uint64_t)((const uint8_t *)host - (k->mem.rw + k->mem.rx_off));
    struct block *b = NULL;
    if (off < k->mem.size) {
        /* cache_by_host() is asked for return addresses, which lie behind */
        b = cache_by_host(&c->exec->cache, (const uint8_t *)host + 1);
        p->where = b ? EXEC_BLOCK : off < BACKEND_THUNK_BYTES ? EXEC_THUNK : EXEC_NO_BLOCK;
    }
    if (b) {
        in_block(c, b, pc_at(c->exec, b, (uint32_t)((const uint8_t *)host - (const uint8_t *)block_rx(k, b))), p);
        return;
    }
    const void *ra[] = { p->where == EXEC_THUNK ? lr : NULL, caller };
    for (unsigned i = 0; i < 2 && p->where != EXEC_NO_BLOCK && !p->block; i++) {
        b = ra[i] ? cache_by_host(&c->exec->cache, ra[i]) : NULL;
        if (b) {
            uint32_t at = (uint32_t)((const uint8_t *)ra[i] - (const uint8_t *)block_rx(k, b));
            in_block(c, b, exec_fault_at(b, at).pc, p);
        }
    }
}

void exec_show_host(struct cpu *c, const struct exec_place *p, FILE *f)
{
    const struct cache *k = &c->exec->cache;
    const uint8_t *from = (const uint8_t *)p->host - k->mem.rx_off, *end = k->mem.rw + k->mem.size;
    uint32_t size = end - from < 64 ? (uint32_t)(end - from) : 64;
    if (p->where == EXEC_BLOCK) {
        from = part_of(k, p->block, p->host, &size);
    } else if (p->where == EXEC_THUNK) {        /* nothing but code before it, from the first one on */
        size += (uint32_t)(from - k->mem.rw);
        from = k->mem.rw;
    }
    check_disassemble(f, from, size, (uint64_t)(uintptr_t)(from + k->mem.rx_off), CHECK_HOST,
                      (uint64_t)(uintptr_t)p->host, true);
}

void exec_show_guest(struct cpu *c, const struct exec_place *p, FILE *f)
{
    const struct block *b = p->block;
    check_guest_code(f, c->m->phys, b->mode, b->flat ? c->pc_page | b->start : c->seg[SEG_CS].base + b->start,
                     b->range, b->nrange, p->lin);
}
