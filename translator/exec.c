/*
 * exec.c - the run loop.
 *
 *      attention? -> deliver, halt, leave
 *      find the block at c->rip (jump cache, tables, else lift and translate it)
 *      run it; translated blocks run on through their links until something leaves
 *      act on why it left
 *
 * Invariants on entry to a block: c->mode is the mode it was made for (but for
 * M_NOSHARE and M_ONE, which the loop adds), c->pc_page is the linear page of its
 * first byte, c->pagekey that page's key.
 */
#include "translator/exec_priv.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/symbols.h"
#include "frontend/debug.h"
#include "translator/backend_hooks.h"
#include "translator/interp.h"
#include "translator/perf.h"

#define RELINK_MAX 200          /* a guarded link remade this often is left to the jump cache (backend_hop) */

/* ---- the jump cache, and the same for blocks without shared probes ---- */

static struct jc_entry *jc_at(struct cpu *c)
{
    return &jc_table(c)[backend_jc_hash(c->rip)];
}

static struct jc_entry *redo_at(struct cpu *c)
{
    return &c->exec->redo[backend_jc_hash(c->rip) & (REDO - 1)];
}

/* The host code to go on with at c->rip if the entry is for it, else NULL. */
static const void *jc_hit(struct cpu *c, const struct jc_entry *j)
{
    if (j->tag != (c->rip ^ c->jc_salt))
        return NULL;
    c->pc_page = j->page;
    c->pagekey = j->key;
    return j->host;
}

static void jc_clear(void *arg)
{
    struct cpu *c = arg;
    memset(jc_table(c), 0xff, JC_SIZE * sizeof(struct jc_entry));
    memset(c->exec->redo, 0xff, sizeof c->exec->redo);
}
uint64_t exec_rip_of(const struct cpu *c, const struct block *b, int64_t pc)
{
    if (!b->flat)
        return (uint32_t)pc;
    uint64_t r = c->pc_page + (uint64_t)pc;
    return (b->mode & M_CODE) == M_CODE64 ? r : (uint32_t)r;
}

struct host_fault exec_fault_at(const struct block *b, uint32_t off)
{
    unsigned lo = 0, hi = b->nfaults;
    while (hi - lo > 1) {
        unsigned m = (lo + hi) / 2;
        if (b->fault[m].ra <= off)
            lo = m;
        else
            hi = m;
    }
    return b->nfaults ? b->fault[lo] : (struct host_fault){ .pc = (int32_t)b->start };
}

/* Translated code left at c->link_ra: make c->rip and c->flags exact (but for flags the code at c->rip
 * overwrites unseen); *l: the direct exit it left by, if it was one. */
static struct block *left_from(struct cpu *c, struct link **l)
{
    struct exec *e = c->exec;
    struct block *b = cache_by_host(&e->cache, (const void *)(uintptr_t)c->link_ra);
    uint32_t off = (uint32_t)((const uint8_t *)(uintptr_t)c->link_ra - (const uint8_t *)block_rx(&e->cache, b));
    struct host_fault f = exec_fault_at(b, off);
    *l = NULL;
    recipe_resolve(e->cache.recipes, c, f.ra == off ? f.recipe : 0);
    if (b->dead && off == backend_dead_ra) {
        c->rip = exec_rip_of(c, b, b->start);
        jc_at(c)->tag = redo_at(c)->tag = ~(uint64_t)0;         /* one may be how we got there */
        return b;
    }
    for (unsigned i = 0; i < b->nlinks; i++)
        if (b->link[i].x.stub_ra == off) {
            *l = &b->link[i];
            c->rip = exec_rip_of(c, b, b->link[i].x.pc);
            return b;
        }
    c->rip = exec_rip_of(c, b, f.pc);
    return b;
}

void exec_resolve_flags(struct cpu *c)
{
    recipe_resolve(c->exec->cache.recipes, c, 0);
}

bool exec_store_hits_self(struct cpu *c, uint64_t lin, unsigned size, enum mmu_idx idx)
{
    struct exec *e = c->exec;
    if (c->debug && mmu_watched_plain(c, lin, size, idx))
        return false;
    for (unsigned end = 0; end < 2; end++) {
        uint64_t a = end ? lin + size - 1 : lin, pa;
        if (end && !((lin ^ a) & PAGE_MASK))
            break;
        if (mmu_fill(c, a, 1, ACC_WRITE, idx, NULL, NULL) != MMU_SPECIAL)
            continue;
        mmu_fill(c, a, 1, ACC_WRITE, idx, NULL, &pa);
        uint64_t lo = end ? pa & PAGE_MASK : pa, hi = end ? pa + 1 : pa + size;
        if (!smc_has_code(c->m->phys, lo, (unsigned)(hi - lo)))
            continue;                           /* most stores: data beside code */
        struct block *b = cache_by_host(&e->cache, (const void *)(uintptr_t)c->link_ra);
        if (!b || (b->mode & M_ONE))
            return false;
        for (unsigned i = 0; i < b->nrange; i++)
            if (b->range[i].pa < hi && lo < b->range[i].pa + b->range[i].len)
                return true;
    }
    return false;
}

/* ---- the loop ---- */

void exec_deliver(struct cpu *c)
{
    if (c->debug && exec_debug_fault(c))
        return;
    if (log_on(LOG_INT)) {
        char label[SYMBOL_NAME];

        log_msg(LOG_INT, "fault %u code %x at %llx%s cr2 %llx", c->fault.vector, c->fault.code,
                (unsigned long long)c->rip,
                symbols_label(c->m->symbols, c, exec_lin_of(c), label, sizeof(label)),
                (unsigned long long)c->fault.cr2);
    }
    if (c->debug)
        c->debug->raised = !c->fault.trap && !c->fault.soft;
    if (cpu_deliver_fault(c))
        cpu_shut_down(c);
    if (c->debug)
        c->debug->raised = false;
}

/* Follow a direct exit from block `b`: link it to `to` if it may be linked. */
static void try_link(struct cpu *c, struct link *l, struct block *to, uint32_t from_mode, uint32_t key_from,
                     uint32_t key_to)
{
    struct exec *e = c->exec;
    struct block *b = l->from;
    uint32_t differs = (from_mode & ~(M_ONE | M_NOSHARE)) ^ to->mode;
    if (l->x.aux & EXIT_CROSS)
        differs &= ~M_BP;                       /* the guard knows which page it is */
    if (b->dead || to->dead || to->once || (l->x.aux & EXIT_EVENT) || differs)
        return;
    if (to->crosses && !(l->x.aux & EXIT_CROSS))
        return;
    if (l->x.aux & EXIT_CROSS) {
        if (!b->flat || l->relinks > RELINK_MAX)
            return;
        if (l->relinks++ == RELINK_MAX) {
            backend_hop(e->cache.be, b->rw, &l->x, (b->mode & M_CODE) == M_CODE64);
            return;
        }
    }
    cache_link(&e->cache, l, to, key_from, key_to);
    e->stats.links++;
}

void exec_left(struct cpu *c, enum exec_why why)
{
    struct link *l;
    uint64_t rip = c->rip;
    if (why == WHY_NEXT) {
        recipe_resolve(c->exec->cache.recipes, c, 0);
        return;
    }
    left_from(c, &l);
    if (why == WHY_FAULT && (c->fault.trap || c->fault.soft))
        c->rip = rip;
}

/*
 * Block b was left before the instruction at c->rip, which is to be run alone.  If it is the one in STI's
 * shadow, nothing may come in between: go through exec_run(), which knows shadows.
 */
static bool in_shadow(struct cpu *c, const struct block *b)
{
    if (b->shadow == NO_SHADOW || exec_rip_of(c, b, b->flat ? (int32_t)b->shadow : (int64_t)b->shadow) != c->rip)
        return false;
    c->inhibit = INHIBIT_STI;
    return true;
}

/*
 * The debugger had block b left before the instruction at c->rip. extra: with which it was run. The shadow
 * that instruction is in is there again.
 */
static void shadow_again(struct cpu *c, const struct block *b, uint32_t extra)
{
    if (c->fault.vector < FAULT_CATCH || c->fault.vector > FAULT_BREAK)
        return;
    if (extra & M_ONE)
        c->inhibit = c->exec->shadow;
    else
        (void)in_shadow(c, b);
}

void exec_shadow_passed(struct cpu *c)
{
    c->exec->shadow = 0;
    cpu_if_changed(c);
}

/* Block b, at c->rip, is made of stencils and has run often: the next one there shall be better. */
static void became_hot(struct cpu *c, struct block *b)
{
    struct exec *e = c->exec;
    cache_kill(&e->cache, b);
    e->hot = true;
    e->hot_rip = c->rip;
}

/* Lock-step: block by block, nothing linked. */
static void run_check(struct cpu *c, uint32_t extra)
{
    struct exec *e = c->exec;
    do {
        uint64_t page;
        bool global, interp;
        enum exec_why why;
        struct block *b = block_at(c, c->mode | extra | debug_mode(c, exec_lin_of(c)), &page, &global);
        if (!b) {
            exec_deliver(c);
            return;
        }
        bool shadow = extra != 0;
        extra = 0;
        c->pc_page = page;
        c->pagekey = ~0u;                       /* no guard matches */
        c->jc_salt = 0;                         /* no tag matches: jc_clear() */
        machine_lock(c->m);                     /* no device writes to memory between the two */
        check_block(e->check, c, &e->cache, b, b->ir, &why, &interp);
        machine_unlock(c->m);
        if (!interp && (why == WHY_ATTN || why == WHY_SLOW || why == WHY_UNSHARED || why == WHY_HOT))
            exec_left(c, why);
        if (why == WHY_HOT) {
            became_hot(c, b);
            continue;
        }
        if (why == WHY_ATTN && shadow) {
            c->inhibit = e->shadow;
            return;
        }
        if ((why == WHY_SLOW || why == WHY_UNSHARED) && in_shadow(c, b))
            return;
        if (why == WHY_UNSHARED) {
            extra = M_NOSHARE;
            continue;
        }
        if (why == WHY_SLOW) {
            extra = M_ONE | M_NOSHARE;
            continue;
        }
        if (why == WHY_FAULT) {
            shadow_again(c, b, shadow ? M_ONE : 0);
            exec_deliver(c);
            return;
        }
        if (shadow)
            exec_shadow_passed(c);
    } while (extra || !(c->attn | c->halted | c->inhibit));
}

const void *exec_dispatch(struct cpu *c)
{
    struct exec *e = c->exec;
    if ((c->attn | c->halted | c->inhibit) || e->o.check)
        return NULL;
    if (c->debug) {
        if (debug_single(c->debug))
            return NULL;
        c->debug->raise = true;
    }
    exec_refresh(c);
    return jc_hit(c, jc_at(c));
}

const void *exec_redo(struct cpu *c)
{
    struct exec *e = c->exec;
    recipe_resolve(e->cache.recipes, c, (uint32_t)c->arg[0]);
    if ((c->attn | c->halted | c->inhibit) || e->o.check || e->stale)
        return NULL;
    const void *rx = jc_hit(c, redo_at(c));
    if (rx)
        e->stats.slow++;
    return rx;
}

static void run_jit(struct cpu *c, uint32_t extra)
{
    struct exec *e = c->exec;
    struct link *l = NULL;
    uint32_t from_mode = 0, from_key = 0;
    for (;;) {
        uint64_t page;
        bool global;
        uint32_t mode = c->mode | extra;
        if (c->debug)
            mode |= debug_mode(c, exec_lin_of(c));
        exec_refresh(c);
        const void *rx = l || extra ? NULL : jc_hit(c, jc_at(c));
        if (!rx) {
            uint64_t emptied = e->cache.flushes;
            struct block *b = block_at(c, mode, &page, &global);
            if (!b) {
                exec_deliver(c);
                return;
            }
            c->pc_page = page;
            c->pagekey = pagekey_of(c, page, global);
            rx = block_rx(&e->cache, b);
            /* Making room for b may have taken the memory of the block that was left, and of l. */
            if (l && e->cache.flushes == emptied)
                try_link(c, l, b, from_mode, from_key, (uint32_t)c->pagekey);
            if (!(extra & M_ONE) && b->flat && !b->once) {
                struct jc_entry *j = extra == M_NOSHARE ? redo_at(c) : jc_at(c);
                *j = (struct jc_entry){ .tag = c->rip ^ c->jc_salt, .host = rx, .page = page,
                                        .key = c->pagekey };
            }
        }
        l = NULL;
        enum exec_why why = backend_enter(e->cache.be, c, rx);
        e->stats.left[why]++;
        struct block *b;
        switch (why) {
        case WHY_NEXT:
            recipe_resolve(e->cache.recipes, c, 0);
            break;
        case WHY_EXIT:
            left_from(c, &l);
            l = NULL;
            break;
        case WHY_LINK:
            b = left_from(c, &l);
            from_mode = b->mode;
            from_key = (uint32_t)c->pagekey;
            break;
        case WHY_ATTN:
            left_from(c, &l);
            if (extra & M_ONE)
                c->inhibit = e->shadow;
            return;
        case WHY_SLOW:
            if (in_shadow(c, left_from(c, &l)))
                return;
            l = NULL;
            extra = M_ONE | M_NOSHARE;
            e->stats.slow++;
            continue;
        case WHY_UNSHARED:
            if (in_shadow(c, left_from(c, &l)))
                return;
            l = NULL;
            extra = M_NOSHARE;
            e->stats.slow++;
            continue;
        case WHY_HOT:
            became_hot(c, left_from(c, &l));
            l = NULL;
            break;
        case WHY_COUNT:
            break;
        case WHY_FAULT: {
            uint64_t rip = c->rip;
            b = left_from(c, &l);
            if (c->fault.trap || c->fault.soft)
                c->rip = rip;
            shadow_again(c, b, extra);
            exec_deliver(c);
            return;
        }
        }
        if (extra)
            exec_shadow_passed(c);
        extra = 0;
        if (c->attn | c->halted | c->inhibit)
            return;
    }
}

static void run_interp(struct cpu *c, uint32_t extra)
{
    do {
        uint64_t page;
        bool global;
        unsigned exit;
        struct block *b = block_at(c, c->mode | extra | debug_mode(c, exec_lin_of(c)), &page, &global);
        if (!b) {
            exec_deliver(c);
            return;
        }
        c->pc_page = page;
        switch (interp_run(c, b->ir, &exit)) {
        case WHY_FAULT:
            shadow_again(c, b, extra);
            exec_deliver(c);
            return;
        case WHY_ATTN:
            if (extra & M_ONE)
                c->inhibit = c->exec->shadow;
            return;
        case WHY_SLOW:
            if (in_shadow(c, b))
                return;
            extra = M_ONE | M_NOSHARE;
            continue;
        default:
            break;
        }
        if (extra)
            exec_shadow_passed(c);
        extra = 0;
    } while (extra || !(c->attn | c->halted | c->inhibit));
}

/*
 * Somebody is about to look at the flags between two instructions: an interrupt,
 * or whoever stopped the machine.  Those which the code at c->rip overwrites before
 * any instruction could show them are not kept up to date (lift_live.c).  So run on,
 * instruction by instruction, until all flags are new; that is as if the event had
 * come a moment later.  What is run cannot fault: it would be seen by lift_live().
 */
static void settle_flags(struct cpu *c)
{
    struct exec *e = c->exec;
    unsigned writes, exit, open;
    if (c->halted || c->inhibit || e->settled)  /* these come behind exits at which all is stored */
        return;
    e->settled = true;
    open = lift_flags_open(c, &e->ir, c->mode | debug_mode(c, exec_lin_of(c)), &e->lift, &writes);
    while (open) {
        if (!lift_block(c, &e->ir, c->mode | M_ONE | M_NOSHARE, &e->lift))
            return;
        ir_optimize(&e->ir, &(struct opt_options){ .verify = e->o.verify });
        c->pc_page = exec_lin_of(c) & PAGE_MASK;
        if (interp_now(c, &e->ir, &exit) != WHY_NEXT)
            return;
        open &= ~writes;
        (void)lift_flags_open(c, &e->ir, c->mode | debug_mode(c, exec_lin_of(c)), &e->lift, &writes);
    }
}

static void run_blocks(struct cpu *c)
{
    struct exec *e = c->exec;
    uint32_t extra = c->inhibit ? M_ONE : 0;
    e->shadow = c->inhibit;
    c->inhibit = 0;
    e->settled = false;
    if (c->debug)
        c->debug->raise = true;
    if (e->o.check)
        run_check(c, extra);
    else if (e->o.interp)
        run_interp(c, extra);
    else
        run_jit(c, extra);
    if (c->debug)
        c->debug->raise = false;
}

/* Nobody executes anything for a while: others may look at all state, and change it. */
static void leave(struct cpu *c)
{
    struct exec *e = c->exec;
    bool stopped = c->debug && c->debug->stop.event;
    if (!stopped)               /* else the flags are exact, and this is the place where it stopped */
        settle_flags(c);
    if (!e->o.interp) {
        backend_fp_sync(c);
        backend_fp_changed(c);
    }
    if (stopped)
        e->o.stopped(c);
}

void exec_run(struct cpu *c)
{
    struct exec *e = c->exec;
    bool stopped = c->debug && !exec_debug_begin(c);
    while (!stopped && !(c->attn & (ATTN_EXIT | ATTN_INIT | ATTN_SIPI))) {
        bool alone = c->debug && debug_single(c->debug);
        if (c->attn & ATTN_WORK)
            exec_work(c);
        if (c->attn & ATTN_SAMPLE)
            exec_tick_done(c);
        if (c->attn && !(alone && exec_debug_holds(c))) {
            settle_flags(c);
            if (cpu_take_interrupt(c) && alone) {
                exec_debug_interrupted(c);
                continue;
            }
        }
        if (c->halted) {
            e->o.halt(c);
            continue;
        }
        if (alone)
            exec_debug_alone(c);
        else
            run_blocks(c);
    }
    if (stopped || (c->attn & ATTN_EXIT))
        leave(c);
}

void exec_init(struct cpu *c, const struct exec_options *o)
{
    struct exec *e = calloc(1, sizeof *e);
    if (!e)
        die(EXIT_CODE_HOST, "out of memory");
    e->o = *o;
    e->lift = (struct lift_options){ .max_insns = o->max_insns ? o->max_insns : EXEC_INSNS,
                                     .max_branches = EXEC_BRANCHES, .smp = o->smp };
    e->cache.forget = jc_clear;
    e->cache.arg = c;
    e->global_gen = e->local_gen = 1;
    e->stale = true;
    exec_work_init(e);
    ir_init(&e->ir);
    interp_init();
    c->exec = e;
    struct backend_config config = { .features = exec_features(c), .ordered = o->smp && !o->host_tso };
    cache_init(&e->cache, o->m->phys, o->cache_size ? o->cache_size : 64u << 20, o->interp ? NULL : &config,
               perf_wants_no_file(o->perf));
    if (perf_wants_no_file(o->perf) && e->cache.mem.rx_off)
        fprintf(stderr, "latimer: note: -perfmap: this host forbids memory that is written and executed at one address, and "
                "perf takes names for no other: use -jitdump\n");
    if (!o->interp)
        perf_code(o->perf, "latimer:thunks", e->cache.mem.rw + e->cache.mem.rx_off, e->cache.mem.rw, BACKEND_THUNK_BYTES);
    e->cache.keep_ir = o->interp || o->check;
    if (!o->interp && o->hot && backend_has_stencils)
        e->stencils = stencils_new(e->cache.be);
    if (o->check)
        e->check = check_new();
    if (o->time)
        stopwatch_init(&e->watch);
    jc_clear(c);
    backend_fp_changed(c);
}

uint64_t exec_features(const struct cpu *c)
{
    const struct exec_options *o = &c->exec->o;
    return o->interp ? 0 : backend_host_features() & ~o->no_features;
}

void exec_thread(struct cpu *c)
{
    exec_work_thread(c->exec);
    if (c->exec->o.host_tso && !backend_tso())
        die(EXIT_CODE_HOST, "-accel tso=host: this host cannot keep x86's memory order: use tso=on");
}

void exec_free(struct cpu *c)
{
    cache_free(&c->exec->cache);
    if (c->exec->host_code)
        cs_close(&c->exec->host_code);
    check_free(c->exec->check);
    stencils_free(c->exec->stencils);
    ir_free(&c->exec->ir);
    exec_work_free(c->exec);
    free(c->exec);
    c->exec = NULL;
}
