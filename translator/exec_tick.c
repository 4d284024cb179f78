/*
 * exec_tick.c - where a vCPU is at a moment somebody else chooses, for profilers.
 *
 * Translated code can be left only between blocks, and by then the block that took the time is over: a loop
 * that fills a page and returns would never be seen, its caller instead. So a signal interrupts the thread at the tick, and
 * its handler notes the host's program counter, which names the guest's instruction as it does for crash reports
 * (exec_place.c), and asks for attention. When the block has been left the registers are exact, and the stack can be
 * walked. Both together are what the profiler wants; how they fit, debug/profile.c says.
 *
 * What is noted may be torn where the signal came while a block was being entered or left. It then names another
 * instruction near by, and never more than a number: nothing is read through it before it was looked up.
 */
#include "translator/exec_priv.h"

#include "frontend/help.h"
#include "translator/backend.h"

void exec_tick(struct cpu *c, const void *host, const void *lr)
{
    struct exec *e = c->exec;

    /* A tick that was not answered yet stays: it says where the time went. */
    if (__atomic_load_n(&c->attn, __ATOMIC_SEQ_CST) & ATTN_SAMPLE)
        return;
    e->tick = (struct exec_tick){ .host = host, .lr = lr, .caller = e->o.interp ? NULL : backend_thunk_caller(c),
                                  .rip = c->rip, .pc_page = c->pc_page, .cr3 = c->cr3, .cpl = c->cpl };
    __atomic_fetch_or(&c->attn, ATTN_SAMPLE, __ATOMIC_SEQ_CST);
}

void exec_tick_done(struct cpu *c)
{
    struct exec *e = c->exec;
    const struct exec_tick *t = &e->tick;
    struct exec_sample s = { .cr3 = t->cr3, .cpl = t->cpl };
    struct exec_place p;
    uint64_t page = c->pc_page;

    c->pc_page = t->pc_page;    /* the block's, at that time */
    exec_place_then(c, t->host, t->lr, t->caller, &p);
    c->pc_page = page;
    /* Interpreted: RIP stays where the block began. */
    s.lin = p.block ? p.lin : cpu_code_lin(c, t->rip);
    if (p.block)                /* CPL may be another already: the instruction that changes it ends its block */
        s.cpl = (p.block->mode & M_CPL) >> M_CPL_SHIFT;
    __atomic_fetch_and(&c->attn, ~ATTN_SAMPLE, __ATOMIC_SEQ_CST);
    if (e->o.sample)
        e->o.sample(c, &s);
}
