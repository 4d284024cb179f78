/*
 * lift_stack.c - PUSH, POP, PUSHA, POPA, ENTER, LEAVE, BOUND.
 *
 * Invariant: rSP moves only after every access of the instruction succeeded.
 * SDM vol. 1, 6.2; vol. 2.
 */
#include "frontend/lift.h"

bool lift_push_op(struct lift *l, const struct insn *i)
{
    lift_push(l, i->opsize, lift_read(l, i, 0));
    return true;
}

bool lift_pop_op(struct lift *l, const struct insn *i)
{
    struct insn x = *i;
    ir_ref sp, v = lift_pop_value(l, i->opsize, 0, &sp);
    struct rmw m = { 0, 0 };

    if (i->op[0].kind == OPND_MEM) {
        /* An address based on rSP uses its value after the pop. */
        if (i->base == R_SP)
            x.disp += i->opsize;
        m.addr = lift_addr(l, &x, i->opsize, true, &m.imm);
        lift_store(l, m.addr, m.imm, x.seg, v);
        lift_set_sp(l, sp);
    } else {
        lift_set_sp(l, sp);
        lift_write(l, i, 0, v);
    }
    return true;
}

/* Stack pointer plus an offset, in the stack's address size. */
static ir_ref sp_plus(struct lift *l, ir_ref sp, int off)
{
    return off ? ir_emit(l->b, IR_EA, ir_type_of(l->b, sp), 0, sp, 0, 0, off) : sp;
}

bool lift_pusha(struct lift *l, const struct insn *i)
{
    int n = i->opsize;
    ir_ref sp = lift_get(l, R_SP, lift_stack_size(l), false);

    for (int r = R_AX; r <= R_DI; r++) {
        ir_ref v = lift_get(l, (unsigned)r, (unsigned)n, false);
        ir_ref a = lift_stack_addr(l, sp_plus(l, sp, -n * (r + 1)), (unsigned)n, true);

        lift_store(l, a, 0, SEG_SS, v);
    }
    lift_set_sp(l, sp_plus(l, sp, -n * 8));
    return true;
}

bool lift_popa(struct lift *l, const struct insn *i)
{
    int n = i->opsize;
    ir_ref sp = lift_get(l, R_SP, lift_stack_size(l), false), v[8];

    for (int r = R_DI; r >= R_AX; r--) {
        ir_ref a = lift_stack_addr(l, sp_plus(l, sp, n * (R_DI - r)), (unsigned)n, false);

        v[r] = lift_load(l, lift_type((unsigned)n), a, 0, SEG_SS, 0);
    }
    for (int r = R_AX; r <= R_DI; r++) {
        if (r != R_SP)
            lift_put(l, (unsigned)r, (unsigned)n, false, v[r]);
    }
    lift_set_sp(l, sp_plus(l, sp, n * 8));
    return true;
}

bool lift_enter(struct lift *l, const struct insn *i)
{
    unsigned n = i->opsize, ss = lift_stack_size(l), level = i->imm2 & 31;
    ir_ref frame, sp, a;

    if (level || n != ss) {
        lift_call(l, HELP_enter, ir_const(l->b, TY_I64, i->imm), ir_const(l->b, TY_I64, level),
                  ir_const(l->b, TY_I64, ENTER_HOW(n, ss, lift_memaux(l, SEG_SS, 0))), 0);
        return true;
    }
    a = lift_push_addr(l, n, &frame);
    lift_store(l, a, 0, SEG_SS, lift_get(l, R_BP, n, false));
    sp = sp_plus(l, frame, -(int)i->imm);
    /* A page fault where the frame ends comes now, as if it were written. */
    lift_load(l, TY_I8, lift_stack_addr(l, sp, 1, true), 0, SEG_SS, MEM_WRITE);
    lift_put(l, R_BP, n, false, frame);
    lift_set_sp(l, sp);
    return true;
}

bool lift_leave(struct lift *l, const struct insn *i)
{
    unsigned n = i->opsize;
    ir_ref bp = lift_get(l, R_BP, lift_stack_size(l), false);
    ir_ref v = lift_load(l, lift_type(n), lift_stack_addr(l, bp, n, false), 0, SEG_SS, 0);

    lift_set_sp(l, sp_plus(l, bp, (int)n));
    lift_put(l, R_BP, n, false, v);
    return true;
}

static ir_ref sext64(struct lift *l, ir_ref v)
{
    return ir_un(l->b, IR_SEXT, TY_I64, v);
}

bool lift_bound(struct lift *l, const struct insn *i)
{
    unsigned n = i->opsize;
    ir_ref index = lift_read(l, i, 0);
    ir_ref lo = lift_load_part(l, i, 0, lift_type(n));
    ir_ref hi = lift_load_part(l, i, n, lift_type(n));

    lift_call(l, HELP_bound, sext64(l, index), sext64(l, lo), sext64(l, hi), 0);
    return true;
}
