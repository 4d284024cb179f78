/*
 * lift.c - the block loop: fetch, decode, lift, until something ends the block.
 *
 * A block goes on through direct jumps and the not-taken side of conditional
 * ones while it stays in the page of its first byte; an instruction that takes
 * bytes from the next page is the last one.  Faults of a fetch that is not the
 * first one are left to the block that starts there: the block ends before.
 * SDM vol. 2, chapter 2; vol. 3, 6.8.3 (interrupt shadows), 17.3.
 */
#include <string.h>

#include "frontend/cpu_model.h"
#include "frontend/debug.h"
#include "frontend/lift_block.h"
#include "hw/machine.h"

/* Room left in the IR array for the largest lift function and the block's end. */
#define IR_RESERVE 256
/* Runs of its own bytes in its page: of the rest, one is for a second page, others for lift_live(). */
#define MAX_RUNS (IR_RANGES - LIFT_LOOKS - 1)

enum fetch_result { FETCH_OK, FETCH_FAULT, FETCH_IO };

struct fetch {
    enum decode_result r;
    unsigned in_first;          /* bytes of the instruction in the block's page */
    uint64_t pa2;               /* physical page of the rest, if any */
};

/* Bytes from something that is not plain memory: one by one, as many as the instruction has. */
static enum decode_result fetch_slow(struct lift *l, struct insn *i, uint64_t lin, bool *fault)
{
    struct cpu *c = l->st->c;
    uint8_t buf[16];
    enum decode_result r = DECODE_MORE;

    *fault = false;
    for (unsigned n = 0; n < 15 && r == DECODE_MORE; n++) {
        uint64_t at = lift_64(l) ? lin + n : (lin + n) & 0xffffffff, pa;
        bool global;

        if (!mmu_code(c, at, &pa, &global)) {
            *fault = true;
            return r;
        }
        buf[n] = (uint8_t)phys_io_read(c->m->phys, pa, 1);
        r = decode(i, buf, n + 1, l->mode, l->feats);
    }
    return r;
}

/* Decode the instruction at page offset off. */
static enum fetch_result fetch(struct lift *l, struct insn *i, unsigned off, struct fetch *f)
{
    struct lift_block_state *st = l->st;
    unsigned avail = PAGE_SIZE - off;
    uint64_t lin2, pa2, run;
    const uint8_t *host;
    uint8_t buf[32];
    bool global, fault;

    if (!st->page) {
        f->r = fetch_slow(l, i, st->lin_page + off, &fault);
        f->in_first = i->len;
        return fault ? FETCH_FAULT : FETCH_IO;
    }
    f->r = decode(i, st->page + off, avail, l->mode, l->feats);
    f->in_first = i->len;
    if (f->r != DECODE_MORE)
        return FETCH_OK;
    lin2 = st->lin_page + PAGE_SIZE;
    if (!lift_64(l))
        lin2 &= 0xffffffff;
    if (!mmu_code(st->c, lin2, &pa2, &global))
        return FETCH_FAULT;
    host = phys_host(st->c->m->phys, pa2, false, &run);
    if (!host || run < 16) {
        f->r = fetch_slow(l, i, st->lin_page + off, &fault);
        return fault ? FETCH_FAULT : FETCH_IO;
    }
    memcpy(buf, st->page + off, avail);
    memcpy(buf + avail, host, 16);
    f->r = decode(i, buf, avail + 16, l->mode, l->feats);
    f->in_first = avail;
    f->pa2 = pa2;
    return FETCH_OK;
}

/*
 * Record physical bytes the block depends on; false: it has `max` runs already.
 * Runs that touch become one, but never across a page: the second page need not
 * stay behind the first.
 */
static bool add_range(struct ir_block *b, uint64_t pa, unsigned len, unsigned max)
{
    unsigned n = b->nrange;

    if (n && b->range[n - 1].pa + b->range[n - 1].len == pa && (pa & 0xfff)) {
        b->range[n - 1].len = (uint16_t)(b->range[n - 1].len + len);
        return true;
    }
    for (unsigned k = 0; k < n; k++) {
        uint64_t lo = b->range[k].pa, hi = lo + b->range[k].len;

        if (((lo ^ pa) & PAGE_MASK) || pa > hi || pa + len < lo)
            continue;
        lo = pa < lo ? pa : lo;
        hi = pa + len > hi ? pa + len : hi;
        b->range[k].pa = lo;
        b->range[k].len = (uint16_t)(hi - lo);
        return true;
    }
    if (n >= max)
        return false;
    b->range[n].pa = pa;
    b->range[n].len = (uint16_t)len;
    b->nrange++;
    return true;
}

uint32_t lift_traps(uint32_t mode)
{
    return (mode & M_CPL ? AT_CPL0 : 0) | (mode & (M_UD_SSE | M_NM_SSE) ? AT_SSE : 0) |
           (mode & M_NM_X87 ? AT_X87 | AT_MMX : 0);
}

/* The instruction has one of them: raises what it must. */
static void raise_by_attrs(struct lift *l, const struct insn *i)
{
    uint32_t at = i->row->attrs, m = l->mode;

    if ((at & AT_CPL0) && (m & M_CPL)) {
        lift_raise(l, EXC_GP, 0);
    } else if ((at & AT_SSE) && (m & M_UD_SSE)) {
        lift_raise(l, EXC_UD, -1);
    } else if ((at & AT_SSE) && (m & M_NM_SSE)) {
        lift_raise(l, EXC_NM, -1);
    } else if ((at & AT_X87) && (m & M_NM_X87)) {
        lift_raise(l, EXC_NM, -1);
    } else if ((at & AT_MMX) && (m & M_NM_X87)) {
        /* #UD by CR0.EM or #NM by CR0.TS: the mode word does not tell which. */
        lift_call(l, HELP_no_mmx, 0, 0, 0, 0);
        lift_raise(l, EXC_NM, -1);
    }
}

/*
 * With one vCPU a locked operation need not be atomic, since no other processor is between its load and its store, but it
 * stays the barrier it is (SDM vol. 3, 8.2.3.9).  A driver that tells where it wants to be woken and then looks once more
 * whether something has come relies on that: the other side is a device's thread, which does it the other way round.
 */
static bool only_barrier(const struct lift *l, const struct insn *i)
{
    return !l->smp && i->op[0].kind == OPND_MEM && (i->lock || (i->row->attrs & AT_XCHG));
}

static bool lift_row(struct lift *l, const struct insn *i)
{
    bool barrier = only_barrier(l, i);

    if (barrier)
        ir_emit(l->b, IR_FENCE, TY_NONE, 0, 0, 0, 0, 0);
    if (!i->row->lift(l, i))
        return false;
    if (barrier && !l->done)
        ir_emit(l->b, IR_FENCE, TY_NONE, 0, 0, 0, 0, 0);
    return true;
}

void lift_insn(struct lift *l, const struct insn *i, enum decode_result r)
{
    if (r == DECODE_TOO_LONG) {
        lift_raise(l, EXC_GP, 0);
        return;
    }
    if (r != DECODE_OK) {
        lift_raise(l, EXC_UD, -1);
        return;
    }
    if (i->row->attrs & l->st->traps) {
        raise_by_attrs(l, i);
        return;
    }
    if (!lift_row(l, i))
        lift_raise(l, EXC_UD, -1);
    if (!l->done && (i->row->attrs & AT_END))
        lift_exit_sys(l, lift_rip(l, l->next));
}

/* What must be asked of the CS limit when the block runs: it is not part of the key. */
static bool limit_varies(const struct lift *l)
{
    return !l->flat_cs && ((l->mode & (M_PE | M_VM)) == M_PE);
}

bool lift_breakpoint(const struct lift *l, int64_t pc)
{
    unsigned off;
    uint64_t lin;

    if (!lift_in_page(l, pc, &off))
        return false;
    lin = l->st->lin_page + off;
    return debug_break_in(l->st->c->debug->points, lin, lin + 1);
}

/* CS:EIP behind the limit?  Blocks are cut before such an instruction. */
static bool beyond_limit(const struct lift *l, unsigned len)
{
    return !l->flat_cs && (uint64_t)l->pc + (len ? len - 1 : 0) > l->st->c->seg[SEG_CS].limit;
}

static void begin_insn(struct lift *l, unsigned len)
{
    l->st->insn_pc = l->pc;
    ir_mark(l->b, lift_pc(l, l->pc), len);
    if ((l->mode & M_BP) && lift_breakpoint(l, lift_pc(l, l->pc)))
        lift_call(l, HELP_debug_break, lift_rip(l, l->pc), 0, 0, 0);
    if (l->mode & M_BRK)
        lift_call(l, HELP_insn_break, lift_rip(l, l->pc), 0, 0, 0);
}

/* End before the current instruction. extra: EXIT_* for the exit to it. */
static void end_before(struct lift *l, bool shadow, unsigned extra)
{
    l->next = l->pc;
    if (shadow) {
        ir_emit(l->b, IR_PUT, TY_I8, 0, ir_const(l->b, TY_I8, 1), 0, 0, CPU_OFF(inhibit));
        lift_exit_next(l, EXIT_EVENT);
    } else {
        lift_exit_next(l, extra);
    }
}

static bool setup(struct lift *l, struct cpu *c, uint32_t mode, const struct lift_options *o)
{
    struct lift_block_state *st = l->st;
    struct ir_block *b = l->b;
    uint64_t lin, pa, run;
    bool global;

    l->mode = mode;
    l->feats = c->model ? c->model->feats : NULL;
    l->flat_cs = (mode & M_FLAT_CS) != 0;
    l->smp = o->smp;
    l->cs_mask = lift_64(l) ? ~(uint64_t)0 : 0xffffffff;
    st->c = c;
    st->traps = lift_traps(mode);
    st->cs_base = l->flat_cs ? 0 : c->seg[SEG_CS].base;
    st->max_branches = o->max_branches;
    st->stay = o->stay;
    st->one = (mode & (M_ONE | M_TF)) != 0;

    lin = (st->cs_base + c->rip) & l->cs_mask;
    ir_reset(b);
    if (!mmu_code(c, lin, &pa, &global))
        return false;
    st->lin_page = lin & PAGE_MASK;
    st->pa_page = pa & PAGE_MASK;
    st->page = phys_host(c->m->phys, st->pa_page, false, &run);
    if (st->page && run < PAGE_SIZE)
        st->page = NULL;
    l->pc = l->flat_cs ? (uint32_t)(lin & 0xfff) : (uint32_t)c->rip;
    b->pa = pa;
    b->lin = lin;
    b->mode = mode;
    if (!o->raw)
        opt_begin(b);
    b->start = l->pc;
    b->flat = l->flat_cs;
    b->crosses = false;
    b->uses_x87 = false;
    b->guest_len = b->insns = 0;
    b->nrange = 0;
    return true;
}

unsigned lift_flags_open(struct cpu *c, struct ir_block *b, uint32_t mode, const struct lift_options *o,
                         unsigned *writes)
{
    struct lift_block_state st = { .c = c };
    struct lift lift = { .b = b, .st = &st }, *l = &lift;
    struct lift_live f;
    uint32_t rd, wr;
    struct insn i;
    unsigned off;

    *writes = 0;
    if (!setup(l, c, mode, o) || !st.page || !lift_in_page(l, lift_pc(l, l->pc), &off) ||
        decode(&i, st.page + off, PAGE_SIZE - off, l->mode, l->feats) != DECODE_OK)
        return 0;
    insn_flags(&i, &rd, &wr);
    *writes = flx_from_fl(wr);
    f = lift_live(l, lift_pc(l, l->pc));
    return FLX_ALL & ~(f.live | f.seen);
}

bool lift_block(struct cpu *c, struct ir_block *b, uint32_t mode, const struct lift_options *o)
{
    struct lift_block_state st = { .c = c };
    struct lift lift = { .b = b, .st = &st }, *l = &lift;
    unsigned max = o->max_insns ? o->max_insns : 1;
    ir_ref limit_arg = 0;
    uint32_t last = 0;

    if (!setup(l, c, mode, o))
        return false;
    while (!l->done) {
        struct insn i;
        struct fetch f = { .r = DECODE_OK };
        enum fetch_result fr;
        bool shadow = l->stop_after_next;
        unsigned off;

        /* Where the block cannot go on it ends before this instruction, except the first. */
        if (!lift_in_page(l, lift_pc(l, l->pc), &off) ||
            (b->insns && (st.one || b->insns >= max || b->crosses || lift_seen(l, off) ||
                          b->n > IR_MAX - IR_RESERVE))) {
            end_before(l, shadow, 0);
            break;
        }
        fr = fetch(l, &i, off, &f);
        if (fr == FETCH_FAULT && !b->insns)
            return false;
        if (b->insns && (fr != FETCH_OK || beyond_limit(l, i.len))) {
            end_before(l, shadow, 0);
            break;
        }
        /*
         * An instruction that crosses into the next page starts a block of its own,
         * whose links must be guarded: that page's mapping may change.
         */
        if (b->insns && f.pa2) {
            end_before(l, shadow, EXIT_CROSS);
            break;
        }
        b->once |= fr == FETCH_IO;
        if (fr == FETCH_OK) {
            if (!add_range(b, st.pa_page + off, f.in_first, MAX_RUNS)) {
                end_before(l, shadow, 0);
                break;
            }
            if (f.pa2) {
                b->crosses = true;
                add_range(b, f.pa2, i.len > f.in_first ? i.len - f.in_first : 1, MAX_RUNS + 1);
            }
        }
        st.seen[off / 8] |= (uint8_t)(1 << off % 8);
        b->insns++;
        b->guest_len = (uint16_t)(b->guest_len + i.len);
        l->next = l->pc + i.len;
        begin_insn(l, i.len);
        if (shadow)
            b->shadow = l->pc;
        if (b->insns == 1 && limit_varies(l)) {
            limit_arg = ir_emit(b, IR_CONST, TY_I64, 0, 0, 0, 0, 0);
            lift_call(l, HELP_cs_limit, limit_arg, 0, 0, 0);
        }
        if (beyond_limit(l, i.len)) {
            lift_raise(l, EXC_GP, 0);
            break;
        }
        if (l->next - 1 > last)
            last = l->next - 1;
        l->stop_after_next = false;
        lift_insn(l, &i, f.r);
        if (l->done)
            break;
        if (shadow || fr == FETCH_IO) {
            l->pc = l->next;
            if (shadow && !l->stop_after_next)
                lift_exit_next(l, 0);           /* the next block's entry test takes what is pending */
            else
                end_before(l, l->stop_after_next, 0);
            break;
        }
        l->pc = l->next;
    }
    if (limit_arg)
        b->ins[limit_arg].imm = last;
    for (unsigned k = 0; k < st.nlook; k++)
        add_range(b, st.pa_page + st.look[k].lo, st.look[k].hi - st.look[k].lo, IR_RANGES);
    return true;
}
