/*
 * exec_debug.c - how breakpoints, watchpoints and steps meet translation.
 *
 * Breakpoints are linear addresses, in every address space; translated code is known by its physical address
 * and may run at several linear ones, and guest memory is never written for a debugger. So whether an
 * instruction has a breakpoint is decided when it is translated, and the mode word says which translation it
 * is: whoever looks a block up adds M_BP if the linear page it is about to run in has breakpoints. With M_BP,
 * the lifter calls help_debug_break() before each instruction that has one, and only there: a page full of
 * breakpoints which do not hit costs nothing but translations of its own. The helper "faults" with
 * FAULT_BREAK, for which every engine on every host makes all state exact, and the run loop stops the vCPU in
 * place of delivering an exception.
 *
 *   - Two blocks may share a physical address and M_BP and lie in different linear pages, whose breakpoints
 *     differ: a block notes its page, and one that is found for another page is made anew (block_at()).
 *   - Blocks of one page link freely: all have M_BP or none. Links across pages are guarded by page keys, and
 *     a key stands for a linear page in an address space: so they may join blocks with and without it
 *     (try_link()).
 *   - The jump cache knows linear addresses.
 *   - When breakpoints change, blocks with M_BP of their linear pages are discarded, and all keys and tags are new
 *     (exec_debug_changed()). All others stay as they are: of a thousand breakpoints one that goes costs little.
 *   - Flags that the code at an exit's target overwrites unseen are not kept up to date (lift_live.c). A
 *     breakpoint there sees them: it counts as reading all.
 *   - Stencils know nothing of breakpoints: a block of stencils that would reach one is translated as a
 *     whole.
 *
 * Watchpoints are linear ranges of any length. Their pages get no entries in the soft TLB, so that accesses
 * to them take the slow way, which looks at the ranges; everything else is as fast as ever. An access that
 * hits does not happen: it "faults" (FAULT_WATCH), which as with any fault leaves the instruction as if not
 * begun, however far a block, a helper or a repeated instruction was. Then it is run again, alone, the access
 * is let through and noted, and the vCPU stops behind it: exact to the instruction, and to the iteration of a
 * repeated one. What cannot be begun again (delivery of an interrupt, a task switch, the page walker's own
 * accesses are not watched) is let through at once, and the vCPU stops before the next instruction.
 *
 * One instruction alone is a block in mode M_TF, as for the guest's own single step, without M_BP: it comes
 * back to the run loop behind one iteration of a repeated instruction, keeps interrupt shadows, and runs in
 * whatever engine runs everything else. That is how the vCPU steps, passes a breakpoint it stands on, and
 * repeats what hit a watchpoint. Interrupts that wait meanwhile are taken off c->attn, for blocks look at it,
 * and put back.
 *
 * Exceptions are caught before they are delivered. When the vCPU goes on, a fault's instruction runs again,
 * alone: it faults as before, unless the debugger has done something about it. What cannot be raised again
 * (traps, the double fault, faults of an interrupt's delivery) stays in c->fault and is delivered then,
 * unless RIP was moved. RDMSR, WRMSR and port accesses that are caught "fault" with FAULT_CATCH.
 */
#include "frontend/debug.h"
#include "translator/exec_priv.h"
#include "translator/interp.h"

/* What may wait while one instruction runs. */
#define ATTN_EVENTS (~(ATTN_EXIT | ATTN_WORK | ATTN_SAMPLE | ATTN_INIT | ATTN_SIPI))

void exec_debug_changed(struct cpu *c, const uint64_t *page, unsigned n)
{
    struct exec *e = c->exec;
    cache_kill_broken(&e->cache, page, n);
    exec_new_gen(e);
    e->stale = true;
}

bool exec_debug_fault(struct cpu *c)
{
    struct cpu_debug *d = c->debug;
    d->raise = false;
    switch (c->fault.vector) {
    case FAULT_BREAK:
        debug_stop(c, DEBUG_BREAK);
        break;
    case FAULT_WATCH:
        d->alone = true;
        break;
    case FAULT_CATCH:           /* who raised it has said why */
        d->stop.rip = c->rip;
        break;
    default:
        return false;
    }
    c->exec->settled = true;
    return true;
}

bool exec_debug_begin(struct cpu *c)
{
    struct cpu_debug *d = c->debug;
    bool pending = d->pending;
    if (d->stop.event)          /* it has not gone on yet */
        return false;
    d->pending = false;
    if (pending && c->rip == d->stop.rip && d->again) {
        d->alone = d->deliver = true;
    } else if (pending && c->rip == d->stop.rip) {
        d->deliver = true;
        exec_deliver(c);
        d->deliver = false;
        if (d->go == DEBUG_STEPS)
            exec_debug_interrupted(c);
    }
    return !d->stop.event;
}

bool exec_debug_holds(const struct cpu *c)
{
    const struct cpu_debug *d = c->debug;
    if (c->halted)
        return false;           /* nothing else ends that */
    return d->alone || d->hold_interrupts;
}

void exec_debug_interrupted(struct cpu *c)
{
    if (c->debug->go == DEBUG_STEPS)
        debug_stop(c, DEBUG_STEP);
    c->debug->alone = false;
}

/* A block of one instruction, by the engine. WHY_ATTN: it was not executed. */
static enum exec_why run_one(struct cpu *c)
{
    struct exec *e = c->exec;
    uint64_t page;
    bool global, interp = true;
    unsigned exit;
    enum exec_why why;
    struct block *b = block_at(c, c->mode | M_ONE | M_TF, &page, &global);
    if (!b)
        return WHY_FAULT;
    exec_refresh(c);
    c->pc_page = page;
    c->pagekey = ~0u;                           /* no guard matches */
    if (e->o.check) {
        machine_lock(c->m);
        check_block(e->check, c, &e->cache, b, b->ir, &why, &interp);
        machine_unlock(c->m);
        if (!interp && (why == WHY_ATTN || why == WHY_SLOW))
            exec_left(c, why);
    } else if (e->o.interp) {
        why = interp_run(c, b->ir, &exit);
    } else {
        why = backend_enter(e->cache.be, c, block_rx(&e->cache, b));
        exec_left(c, why);
    }
    return why;
}

void exec_debug_alone(struct cpu *c)
{
    struct exec *e = c->exec;
    struct cpu_debug *d = c->debug;
    uint32_t held = 0;
    uint64_t lin;
    d->raise = false;
    e->shadow = c->inhibit;
    c->inhibit = 0;
    if (exec_debug_holds(c))
        held = __atomic_fetch_and(&c->attn, ~ATTN_EVENTS, __ATOMIC_SEQ_CST) & ATTN_EVENTS;
    enum exec_why why = run_one(c);
    if (held)
        __atomic_fetch_or(&c->attn, held, __ATOMIC_SEQ_CST);
    if (why == WHY_ATTN) {
        c->inhibit = e->shadow;
        return;
    }
    e->settled = true;
    if (why == WHY_FAULT)
        exec_deliver(c);
    else
        exec_shadow_passed(c);
    d->alone = d->deliver = false;
    if (d->go != DEBUG_STEPS)
        return;
    lin = exec_lin_of(c);
    if (why == WHY_FAULT || c->halted || c->rip - d->from >= d->to - d->from)
        debug_stop(c, DEBUG_STEP);
    else if (debug_break_in(d->points, lin, lin + 1))
        debug_stop(c, DEBUG_BREAK);
}
