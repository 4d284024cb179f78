/*
 * exec_block.c - finding blocks, and making those that are missing: put together
 * from stencils at first, translated as a whole when they have run often or where
 * stencils do not do.
 */
#include "translator/exec_priv.h"

#include <string.h>

#include "base/log.h"
#include "base/symbols.h"
#include "frontend/debug.h"
#include "translator/perf.h"

#define SAMPLE 8                /* one block in so many is timed: see stopwatch.h */

uint64_t exec_lin_of(const struct cpu *c)
{
    if (c->mode & M_FLAT_CS)
        return (c->mode & M_CODE) == M_CODE64 ? c->rip : (uint32_t)c->rip;
    return (uint32_t)(c->seg[SEG_CS].base + c->rip);
}

/* Dumps of translation are wanted for code at lin. */
static bool dump_at(uint64_t lin)
{
    return log_on(LOG_IN | LOG_IR | LOG_OPT | LOG_OUT | LOG_EXEC) && log_wanted(lin);
}

static void log_block(struct cpu *c, const struct ir_block *b)
{
    char label[SYMBOL_NAME];

    if (log_on(LOG_EXEC | LOG_IN))
        fprintf(log_file(), "block %llx%s mode %x: %u instructions\n", (unsigned long long)exec_lin_of(c),
                symbols_label(c->m->symbols, c, exec_lin_of(c), label, sizeof(label)), b->mode, b->insns);
    if (log_on(LOG_IN))
        check_guest_code(log_file(), c->m->phys, b->mode, b->lin, b->range, b->nrange, 0);
    if (log_on(LOG_IR))
        ir_print(log_file(), b);
}

/* For the host's perf: "64.cpl0:ffffffff81000000 <start_kernel+0x12>". */
static void tell_perf(struct cpu *c, const struct block *b, uint32_t mode, uint64_t lin)
{
    static const char *const bits[] = { "16", "32", "64", "?" };
    struct exec *e = c->exec;
    char label[SYMBOL_NAME], name[SYMBOL_NAME + 64], cpl[16];

    snprintf(cpl, sizeof(cpl), "%s.cpl%u", bits[mode & M_CODE], (mode & M_CPL) >> M_CPL_SHIFT);
    snprintf(name, sizeof(name), "%s:%llx%s", !(mode & M_PE) ? "real" : mode & M_VM ? "vm86" : cpl, (unsigned long long)lin,
             symbols_label(c->m->symbols, c, lin, label, sizeof(label)));
    perf_code(e->o.perf, name, block_rx(&e->cache, b), b->rw, b->size);
    strcat(name, ".cold");
    perf_code(e->o.perf, name, b->cold + e->cache.mem.rx_off, b->cold, b->cold_size);
}

/* The code at pa, put together from stencils; NULL: it must be translated. */
static struct block *copy_block(struct cpu *c, uint32_t mode, uint64_t lin, uint64_t pa)
{
    struct exec *e = c->exec;
    struct ir_block *b = &e->ir;
    uint64_t run;
    const uint8_t *page = phys_host(c->m->phys, pa & PAGE_MASK, false, &run);
    if (!page || run < PAGE_SIZE)
        return NULL;
    ir_reset(b);
    b->pa = pa;
    b->lin = lin;
    b->mode = mode & ~M_BP;
    b->start = (uint32_t)(lin & ~PAGE_MASK);
    b->flat = true;
    if (!stencils_plan(e->stencils, c, b, page, &e->lift))
        return NULL;
    /* Stencils know nothing of breakpoints. */
    if ((mode & M_BP) && debug_break_in(c->debug->points, lin, lin + b->guest_len))
        return NULL;
    b->mode = mode;
    if (e->o.check) {                           /* the interpreter needs the same block as IR */
        struct lift_options o = { .max_insns = b->insns, .smp = e->lift.smp, .stay = true };
        unsigned insns = b->insns;
        if (!lift_block(c, b, mode, &o))
            return NULL;
        ir_optimize(b, &(struct opt_options){ .verify = e->o.verify });
        if (b->insns != insns)
            die(EXIT_CODE_CHECK, "internal error: a block of stencils has %u instructions, its IR %u", insns,
                b->insns);
    }
    unsigned heat = e->next_heat++ % HEAT_SIZE;
    heat_table(c)[heat] = (int32_t)e->o.hot;
    e->stats.copied++;
    e->stats.copied_insns += b->insns;
    return cache_add_copy(&e->cache, b, e->stencils, heat);
}

/* The code at lin, physical address pa, made to a block. NULL: the fetch faulted, c->fault is set. */
static struct block *translate_once(struct cpu *c, uint32_t mode, uint64_t lin, uint64_t pa)
{
    struct exec *e = c->exec;
    /* What is dumped as IR must have some. */
    bool dump = dump_at(lin), hot = e->hot && e->hot_rip == c->rip;
    bool whole = !e->stencils || hot || (dump && log_on(LOG_IR | LOG_OPT));
    bool timed = e->o.time && !dump && e->stats.blocks % SAMPLE == 0;
    struct block *b;
    if (hot)
        e->hot = false;
    if (timed)
        stopwatch_start(&e->watch);
    b = !whole && (mode & (M_FLAT_CS | M_ONE | M_NOSHARE | M_TF | M_BRK)) == M_FLAT_CS ?
        copy_block(c, mode, lin, pa) : NULL;
    if (timed)
        e->stats.stage_ns[STAGE_COPY] += stopwatch_lap(&e->watch);
    if (!b) {
        if (!lift_block(c, &e->ir, mode, &e->lift))
            return NULL;
        if (timed)
            e->stats.stage_ns[STAGE_LIFT] += stopwatch_lap(&e->watch);
        if (dump)
            log_block(c, &e->ir);
        ir_optimize(&e->ir, &(struct opt_options){ .verify = e->o.verify, .dump = dump && log_on(LOG_OPT),
                                                   .dump_to = log_file() });
        if (timed)
            e->stats.stage_ns[STAGE_OPT] += stopwatch_lap(&e->watch);
        b = cache_add(&e->cache, &e->ir);
        if (timed)
            e->stats.stage_ns[STAGE_EMIT] += stopwatch_lap(&e->watch);
    } else if (dump) {
        log_block(c, &e->ir);
    }
    if (timed)
        *(b->copied ? &e->stats.timed_copied : &e->stats.timed_insns) += b->insns;
    if (dump && log_on(LOG_OUT) && !e->o.interp)
        check_disassemble(log_file(), b->rw, b->size, (uint64_t)(uintptr_t)block_rx(&e->cache, b), CHECK_HOST, 0,
                          false);
    if (e->o.perf && !e->o.interp)
        tell_perf(c, b, mode, lin);
    return b;
}

/* What a device wrote to while it was being translated is translated again. */
static struct block *translate(struct cpu *c, uint32_t mode, uint64_t lin, uint64_t pa)
{
    struct phys *phys = c->m->phys;

    for (;;) {
        uint64_t since = smc_now(phys);
        struct block *b = translate_once(c, mode, lin, pa);
        bool stale = false;
        if (!b)
            return NULL;
        for (unsigned i = 0; i < b->nrange; i++)
            stale |= smc_overtaken(phys, since, b->range[i].pa, b->range[i].len);
        if (!stale)
            return b;
        cache_invalidate(&c->exec->cache, b->range[0].pa, b->range[0].len);
    }
}

struct block *block_at(struct cpu *c, uint32_t mode, uint64_t *page, bool *global)
{
    struct exec *e = c->exec;
    uint64_t lin = exec_lin_of(c), pa;
    if (!mmu_code(c, lin, &pa, global))
        return NULL;
    *page = lin & PAGE_MASK;
    e->stats.lookups++;         /* the jump cache did not know it */
    struct block *b = cache_find(&e->cache, pa, mode, (uint32_t)c->rip);
    if (b && (b->once || ((mode & M_BP) && b->lin_page != *page))) {
        cache_kill(&e->cache, b);
        b = NULL;
    }
    if (b && b->crosses) {
        /* the second page must still be the one it was made from */
        uint64_t pa2;
        bool g2;
        if (!mmu_code(c, *page + PAGE_SIZE, &pa2, &g2) || (pa2 & PAGE_MASK) != b->page2) {
            cache_kill(&e->cache, b);
            b = NULL;
        } else {
            *global = *global && g2;
        }
    }
    if (b)
        return b;
    b = translate(c, mode, lin, pa);
    if (b) {
        e->stats.blocks++;
        e->stats.insns += b->insns;
    }
    return b;
}

const struct block *exec_translate(struct cpu *c)
{
    uint64_t page;
    bool global;
    return block_at(c, c->mode, &page, &global);
}

/* ---- statistics ---- */

const struct exec_stats *exec_stats(struct cpu *c)
{
    struct exec *e = c->exec;
    e->stats.host_bytes = e->cache.code_bytes;
    e->stats.invalidated = e->cache.invalidated;
    e->stats.flushes = e->cache.flushes;
    e->stats.code_mem = e->o.interp ? NULL : e->cache.mem.how;
    if (e->stencils)
        stencils_count(e->stencils, &e->stats.forms, &e->stats.stencils);
    e->stats.checked = e->check ? check_count(e->check) : 0;
    return &e->stats;
}

double exec_stage_ns(const struct exec_stats *s, enum exec_stage stage)
{
    uint64_t n = stage == STAGE_COPY ? s->timed_copied : s->timed_insns;
    return n ? (double)s->stage_ns[stage] / (double)n : 0;
}

double exec_translation_ns(const struct exec_stats *s)
{
    uint64_t ns = 0, n = s->timed_copied + s->timed_insns;
    for (unsigned k = 0; k < STAGE_COUNT; k++)
        ns += s->stage_ns[k];
    return n ? (double)ns / (double)n : 0;
}
