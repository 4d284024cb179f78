/*
 * lift_string.c - MOVS, CMPS, STOS, LODS, SCAS.
 *
 * One element without a prefix is lifted inline; a repeated instruction is one
 * call that does as much as it can (help_string.c) and says whether the block
 * must leave to the same instruction again.  SDM vol. 2, REP.
 */
#include "frontend/lift.h"

/* SI or DI as a zero-extended offset. */
static ir_ref index_reg(struct lift *l, const struct insn *i, unsigned reg)
{
    ir_ref v = lift_get(l, reg, i->addrsize, false);

    return i->addrsize == 8 ? v : ir_un(l->b, IR_ZEXT, TY_I64, v);
}

static unsigned elem(const struct insn *i)
{
    return i->op[0].size;
}

static ir_ref load_si(struct lift *l, const struct insn *i)
{
    ir_ref a = lift_seg_addr(l, i->seg, index_reg(l, i, R_SI), elem(i), false);

    return lift_load(l, lift_type(elem(i)), a, 0, i->seg, 0);
}

static ir_ref load_di(struct lift *l, const struct insn *i)
{
    ir_ref a = lift_seg_addr(l, SEG_ES, index_reg(l, i, R_DI), elem(i), false);

    return lift_load(l, lift_type(elem(i)), a, 0, SEG_ES, 0);
}

static void store_di(struct lift *l, const struct insn *i, ir_ref v)
{
    ir_ref a = lift_seg_addr(l, SEG_ES, index_reg(l, i, R_DI), elem(i), true);

    lift_store(l, a, 0, SEG_ES, v);
}

/* Step of the index registers: the element size, negative if DF is set. */
static ir_ref step(struct lift *l, const struct insn *i)
{
    unsigned n = elem(i), log = n == 1 ? 0 : n == 2 ? 1 : n == 4 ? 2 : 3;
    enum ir_type t = lift_type(i->addrsize);
    ir_ref f = ir_emit(l->b, IR_GET, TY_I32, 0, 0, 0, 0, CPU_OFF(eflags)), v;

    /* DF is bit 10: move it to where it counts 2n, and take it from n. */
    f = ir_bin(l->b, IR_SHR, TY_I32, f, ir_const(l->b, TY_I8, 9 - log));
    f = ir_bin(l->b, IR_AND, TY_I32, f, ir_const(l->b, TY_I32, 2 * n));
    v = ir_bin(l->b, IR_SUB, TY_I32, ir_const(l->b, TY_I32, n), f);
    return t == TY_I32 ? v : ir_un(l->b, t == TY_I64 ? IR_SEXT : IR_TRUNC, t, v);
}

static void advance(struct lift *l, const struct insn *i, unsigned reg, ir_ref by)
{
    ir_ref v = lift_get(l, reg, i->addrsize, false);

    lift_put(l, reg, i->addrsize, false, ir_emit(l->b, IR_EA, lift_type(i->addrsize), 0, v, by, 0, 0));
}

/* The repeated form; true if this is one. */
static bool repeated(struct lift *l, const struct insn *i, enum helper_id h)
{
    int64_t how;
    ir_ref v;

    if (!i->rep)
        return false;
    how = elem(i) | (unsigned)i->addrsize << 4 | (unsigned)i->seg << 8 |
          (int64_t)lift_memaux(l, SEG_DS, 0) << REP_AUX_SHIFT;
    if (i->rep == 0xf2)
        how |= REP_NE;
    if (l->mode & M_TF)
        how |= REP_ONE;
    if (lift_64(l))
        how |= REP_64;
    v = lift_call(l, h, ir_const(l->b, TY_I64, how), 0, 0, 0);
    lift_exit_if(l, ir_bin(l->b, IR_EQ, TY_I8, v, ir_const(l->b, TY_I64, 0)), l->pc, 0);
    return true;
}

bool lift_movs(struct lift *l, const struct insn *i)
{
    ir_ref by;

    if (repeated(l, i, HELP_rep_movs))
        return true;
    store_di(l, i, load_si(l, i));
    by = step(l, i);
    advance(l, i, R_SI, by);
    advance(l, i, R_DI, by);
    return true;
}

bool lift_stos(struct lift *l, const struct insn *i)
{
    if (repeated(l, i, HELP_rep_stos))
        return true;
    store_di(l, i, lift_get(l, R_AX, elem(i), false));
    advance(l, i, R_DI, step(l, i));
    return true;
}

bool lift_lods(struct lift *l, const struct insn *i)
{
    ir_ref v;

    if (repeated(l, i, HELP_rep_lods))
        return true;
    v = load_si(l, i);
    lift_put(l, R_AX, elem(i), false, v);
    advance(l, i, R_SI, step(l, i));
    return true;
}

bool lift_cmps(struct lift *l, const struct insn *i)
{
    ir_ref a, b, by;

    if (repeated(l, i, HELP_rep_cmps))
        return true;
    a = load_si(l, i);
    b = load_di(l, i);
    lift_flags(l, FK_SUB, ir_emit(l->b, IR_SUB, lift_type(elem(i)), 0, a, b, 0, 0));
    by = step(l, i);
    advance(l, i, R_SI, by);
    advance(l, i, R_DI, by);
    return true;
}

bool lift_scas(struct lift *l, const struct insn *i)
{
    ir_ref a, b;

    if (repeated(l, i, HELP_rep_scas))
        return true;
    a = lift_get(l, R_AX, elem(i), false);
    b = load_di(l, i);
    lift_flags(l, FK_SUB, ir_emit(l->b, IR_SUB, lift_type(elem(i)), 0, a, b, 0, 0));
    advance(l, i, R_DI, step(l, i));
    return true;
}
