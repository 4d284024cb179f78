/*
 * lift_flow.c - block ends, branches, calls, returns, loops.
 *
 * PCs are page offsets with a flat CS (possibly negative or beyond the page),
 * EIPs otherwise; all exits pass through the functions here, which route them
 * through the single-step trap where M_TF is set.
 * SDM vol. 2: Jcc, JMP, CALL, RET, LOOP; vol. 3, 17.3.1.4 (single-step).
 */
#include "frontend/lift_block.h"

/* Guest RIP of a PC that may be outside the page or, with a flat CS, wrap. */
static ir_ref rip_of(struct lift *l, int64_t pc)
{
    ir_ref v;

    if (!l->flat_cs)
        return ir_const(l->b, TY_I64, pc & 0xffffffff);
    if (l->st->stencil)                         /* it lies in the page: lift_stencil() is not asked else */
        return ir_emit(l->b, IR_PC, TY_I64, 0, 0, 0, 0, ir_hole_imm(HOLE_PC, (int32_t)(pc - l->st->base)));
    v = ir_emit(l->b, IR_PC, TY_I64, 0, 0, 0, 0, pc);
    if (lift_64(l) || (pc >= 0 && pc < PAGE_SIZE))
        return v;
    return ir_un(l->b, IR_ZEXT, TY_I64, ir_un(l->b, IR_TRUNC, TY_I32, v));
}

ir_ref lift_rip(struct lift *l, uint32_t pc)
{
    return rip_of(l, lift_pc(l, pc));
}

void lift_exit_sys(struct lift *l, ir_ref rip)
{
    if (l->mode & M_TF) {
        if (!rip)
            rip = ir_emit(l->b, IR_GET, TY_I64, 0, 0, 0, 0, CPU_OFF(rip));
        /* The trap comes between instructions (with a RIP of its own): hence the mark. */
        ir_emit(l->b, IR_MARK, TY_NONE, 0, 0, 0, 0, lift_pc(l, l->pc));
        lift_call(l, HELP_single_step, rip, 0, 0, 0);
        ir_emit(l->b, IR_PUT, TY_I64, 0, rip, 0, 0, CPU_OFF(rip));
    } else if (rip) {
        ir_emit(l->b, IR_PUT, TY_I64, 0, rip, 0, 0, CPU_OFF(rip));
    }
    ir_emit(l->b, IR_EXIT_SYS, TY_NONE, 0, 0, 0, 0, 0);
    l->done = true;
}

void lift_exit_ind(struct lift *l, ir_ref rip, unsigned hint)
{
    if (l->mode & M_TF) {
        lift_exit_sys(l, rip);
        return;
    }
    ir_emit(l->b, IR_EXIT_IND, TY_NONE, hint, rip, 0, 0, 0);
    l->done = true;
}

/* Can a direct exit name this PC?  Not where it wraps around 4 GiB with a flat CS. */
static bool direct(const struct lift *l, int64_t pc)
{
    uint64_t lin;

    if (!l->flat_cs || l->st->stencil)
        return true;
    if (lift_64(l))
        return pc == (int32_t)pc;
    lin = l->st->lin_page + (uint64_t)pc;
    return lin <= 0xffffffff;
}

static unsigned exit_aux(struct lift *l, int64_t pc, unsigned extra)
{
    unsigned off, aux = extra;

    if (l->st->stencil)
        return extra | FLX_ALL | (lift_in_page(l, pc, &off) ? 0 : EXIT_CROSS);
    if (!lift_in_page(l, pc, &off) || l->b->crosses) {
        aux |= EXIT_CROSS | FLX_ALL;
    } else if (extra & EXIT_EVENT) {
        aux |= FLX_ALL;
    } else {
        struct lift_live f = lift_live(l, pc);

        if (f.seen)
            ir_emit(l->b, IR_SEEN, TY_NONE, f.seen, 0, 0, 0, f.changed);
        aux |= f.live | (f.read ? EXIT_READ : 0);
    }
    if (pc <= lift_pc(l, l->st->insn_pc))
        aux |= EXIT_LOOP;
    return aux;
}

static void exit_to(struct lift *l, int64_t pc, unsigned extra)
{
    if (l->mode & M_TF) {
        lift_exit_sys(l, rip_of(l, pc));
    } else if (!direct(l, pc)) {
        lift_exit_ind(l, rip_of(l, pc), extra & EXIT_CALL);
    } else {
        ir_emit(l->b, IR_EXIT, TY_NONE, exit_aux(l, pc, extra), 0, 0, 0, pc);
        l->done = true;
    }
}

void lift_exit_next(struct lift *l, unsigned extra)
{
    exit_to(l, lift_pc(l, l->next), extra);
}

static void exit_if(struct lift *l, ir_ref cond, int64_t pc, unsigned extra)
{
    if ((l->mode & M_TF) || !direct(l, pc)) {
        ir_ref to = rip_of(l, pc), next = lift_rip(l, l->next);

        lift_exit_ind(l, ir_emit(l->b, IR_SELECT, TY_I64, 0, cond, to, next, 0), 0);
        return;
    }
    ir_emit(l->b, IR_EXIT_IF, TY_NONE, exit_aux(l, pc, extra), cond, 0, 0, pc);
}

void lift_exit_if(struct lift *l, ir_ref cond, uint32_t pc, unsigned extra)
{
    exit_if(l, cond, lift_pc(l, pc), extra);
}

void lift_raise(struct lift *l, unsigned vector, int64_t code)
{
    ir_emit(l->b, IR_RAISE, TY_NONE, vector, 0, 0, 0, code);
    l->done = true;
}

/* --- direct branches --- */

/* With a flat CS, a 16-bit operand size cuts EIP to a value the block cannot know. */
static bool cut_to_16(const struct lift *l, const struct insn *i)
{
    return l->flat_cs && i->opsize == 2;
}

static int64_t target(const struct lift *l, const struct insn *i)
{
    int64_t t = lift_pc(l, l->next) + i->imm;

    if (l->flat_cs)
        return t;
    return t & (i->opsize == 2 ? 0xffff : 0xffffffff);
}

static ir_ref rip16(struct lift *l, int64_t pc)
{
    return ir_un(l->b, IR_ZEXT, TY_I64, ir_un(l->b, IR_TRUNC, TY_I16, rip_of(l, pc)));
}

/* A branch to an EIP behind the CS limit faults before it changes anything. */
static void check_limit(struct lift *l, ir_ref rip)
{
    if (!l->flat_cs && !(ir_is_const(l->b, rip) && (uint64_t)l->b->ins[rip].imm <= 0xffff &&
                         (l->mode & (M_PE | M_VM)) != M_PE))
        lift_call(l, HELP_cs_limit, rip, 0, 0, 0);
}

/* May the block go on at pc instead of leaving to it? */
static bool can_follow(const struct lift *l, int64_t pc)
{
    const struct lift_block_state *st = l->st;
    unsigned off;

    return !st->one && !st->stay && st->page && st->branches < st->max_branches && !l->b->crosses && direct(l, pc) &&
           lift_in_page(l, pc, &off) && !lift_seen(l, off);
}

bool lift_jmp(struct lift *l, const struct insn *i)
{
    int64_t to = target(l, i);

    if (cut_to_16(l, i)) {
        lift_exit_ind(l, rip16(l, to), 0);
    } else if (can_follow(l, to)) {
        l->st->branches++;
        l->next = (uint32_t)to;
    } else {
        check_limit(l, rip_of(l, to));
        exit_to(l, to, 0);
    }
    return true;
}

static void branch_if(struct lift *l, const struct insn *i, ir_ref cond)
{
    int64_t to = target(l, i);

    if (cut_to_16(l, i)) {
        ir_ref next = lift_rip(l, l->next);

        lift_exit_ind(l, ir_emit(l->b, IR_SELECT, TY_I64, 0, cond, rip16(l, to), next, 0), 0);
        return;
    }
    exit_if(l, cond, to, 0);
    if (!l->done && ++l->st->branches > l->st->max_branches && !l->st->stay)
        lift_exit_next(l, 0);
}

bool lift_jcc(struct lift *l, const struct insn *i)
{
    branch_if(l, i, lift_cond(l, i->opcode & 15));
    return true;
}

bool lift_jcxz(struct lift *l, const struct insn *i)
{
    ir_ref cx = lift_get(l, R_CX, i->addrsize, false);

    branch_if(l, i, ir_bin(l->b, IR_EQ, TY_I8, cx, ir_const(l->b, lift_type(i->addrsize), 0)));
    return true;
}

bool lift_loop(struct lift *l, const struct insn *i)
{
    enum ir_type t = lift_type(i->addrsize);
    ir_ref cx = lift_get(l, R_CX, i->addrsize, false), cond;

    cx = ir_bin(l->b, IR_SUB, t, cx, ir_const(l->b, t, 1));
    cond = ir_bin(l->b, IR_LTU, TY_I8, ir_const(l->b, t, 0), cx);
    if (i->row->arg)
        cond = ir_bin(l->b, IR_AND, TY_I8, cond, lift_cond(l, i->row->arg == 1 ? CC_Z : CC_NZ));
    lift_put(l, R_CX, i->addrsize, false, cx);
    branch_if(l, i, cond);
    return true;
}

/* --- calls, returns, indirect jumps --- */

/* Push the return address; behind everything of the instruction that may fault. */
static void push_return(struct lift *l, const struct insn *i)
{
    ir_ref rip = lift_rip(l, l->next);

    lift_push(l, i->opsize, i->opsize == 8 ? rip : ir_un(l->b, IR_TRUNC, lift_type(i->opsize), rip));
}

bool lift_call_near(struct lift *l, const struct insn *i)
{
    int64_t to = target(l, i);

    if (cut_to_16(l, i)) {
        push_return(l, i);
        lift_exit_ind(l, rip16(l, to), EXIT_CALL);
        return true;
    }
    check_limit(l, rip_of(l, to));
    push_return(l, i);
    exit_to(l, to, EXIT_CALL);
    return true;
}

static ir_ref indirect_target(struct lift *l, ir_ref v)
{
    if (ir_type_of(l->b, v) != TY_I64)
        v = ir_un(l->b, IR_ZEXT, TY_I64, v);
    check_limit(l, v);
    return v;
}

bool lift_jmp_ind(struct lift *l, const struct insn *i)
{
    lift_exit_ind(l, indirect_target(l, lift_read(l, i, 0)), 0);
    return true;
}

bool lift_call_ind(struct lift *l, const struct insn *i)
{
    ir_ref to = indirect_target(l, lift_read(l, i, 0));

    push_return(l, i);
    lift_exit_ind(l, to, EXIT_CALL);
    return true;
}

bool lift_ret(struct lift *l, const struct insn *i)
{
    ir_ref sp, v = lift_pop_value(l, i->opsize, i->nops ? (unsigned)i->imm : 0, &sp);
    ir_ref to = indirect_target(l, v);

    lift_set_sp(l, sp);
    lift_exit_ind(l, to, EXIT_RET);
    return true;
}

bool lift_ud(struct lift *l, const struct insn *i)
{
    lift_raise(l, EXC_UD, -1);
    return true;
}
