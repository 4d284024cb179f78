/*
 * lift_mmx.c - MMX, done with the 128-bit operations on zero-extended values.
 *
 * The registers are c->fpu.r[n].sig in memory.  Translated code may keep the
 * guest's x87 registers in the host's x87, so the first MMX instruction after
 * x87 code calls help_mmx_enter, which brings them home and does what the
 * architecture says (TOP = 0, all tags valid, a pending x87 exception comes
 * first).  A write sets the register's sign and exponent to all ones.  Memory
 * operands are read before that, so that a page fault leaves the x87 alone.
 * SDM vol. 1, 9.5; vol. 3, 12.2.
 */
#include "frontend/lift.h"

#define MMX_OFF(n, field) ((int64_t)(CPU_OFF(fpu) + offsetof(struct x87, r) + \
                                     (n) * sizeof(struct f80) + offsetof(struct f80, field)))

/* Is there, before the end of the block so far, nothing that could have left MMX state? */
static bool entered(const struct ir_block *b)
{
    for (unsigned n = b->n; n-- > 1;) {
        const struct ir_ins *i = &b->ins[n];

        if (i->op == IR_X87)
            return false;
        if (i->op == IR_CALL && i->aux == HELP_mmx_enter)
            return true;
        if (i->op == IR_CALL && (helper_info[i->aux].writes & HS_X87))
            return false;
    }
    return false;
}

void lift_mmx_enter(struct lift *l)
{
    if (!entered(l->b))
        lift_call(l, HELP_mmx_enter, 0, 0, 0, 0);
}

static ir_ref mmx_get(struct lift *l, unsigned reg)
{
    return ir_emit(l->b, IR_GET, TY_I64, 0, 0, 0, 0, MMX_OFF(reg, sig));
}

static void mmx_put(struct lift *l, unsigned reg, ir_ref v)
{
    ir_emit(l->b, IR_PUT, TY_I64, 0, v, 0, 0, MMX_OFF(reg, sig));
    ir_emit(l->b, IR_PUT, TY_I16, 0, ir_const(l->b, TY_I16, 0xffff), 0, 0, MMX_OFF(reg, se));
}

ir_ref lift_mmx_src(struct lift *l, const struct insn *i, unsigned n)
{
    if (i->op[n].kind == OPND_MEM)
        return lift_vsrc(l, i, n);
    return lift_vop(l, IR_VMOVG, VL_64, mmx_get(l, i->op[n].reg), 0, 0);
}

void lift_mmx_putv(struct lift *l, unsigned reg, ir_ref v)
{
    mmx_put(l, reg, ir_emit(l->b, IR_VMOVE, TY_I64, VL_64, v, 0, 0, 0));
}

/* P, Q [, Ib] or, for shifts, N, Ib. */
bool lift_mmx(struct lift *l, const struct insn *i)
{
    int arg = i->row->arg;
    enum ir_op op = VA_OP(arg);
    unsigned aux = VA_AUX(arg) | (arg & VF_W ? VW_64 : 0), dst = i->op[0].reg;
    int64_t imm = i->imm & 0xff;
    ir_ref src = 0, a;

    if (i->op[1].kind == OPND_MEM)
        src = lift_mmx_src(l, i, 1);
    lift_mmx_enter(l);
    if (i->op[1].kind == OPND_IMM) {
        lift_mmx_putv(l, dst, lift_vop(l, op, aux, lift_mmx_src(l, i, 0), 0, imm));
        return true;
    }
    if (!src)
        src = lift_mmx_src(l, i, 1);
    if (arg & VF_UN) {
        lift_mmx_putv(l, dst, lift_vop(l, op, aux, src, 0, imm));
        return true;
    }
    a = lift_mmx_src(l, i, 0);
    lift_mmx_putv(l, dst, lift_vop(l, op, aux, a, src, imm));
    return true;
}

/* MOVD, MOVQ between MMX and general registers or memory. */
bool lift_movd_mmx(struct lift *l, const struct insn *i)
{
    ir_ref v;

    if (i->op[0].kind == OPND_MMX) {
        v = lift_read(l, i, 1);
        lift_mmx_enter(l);
        if (i->op[1].size == 4)
            v = ir_un(l->b, IR_ZEXT, TY_I64, v);
        mmx_put(l, i->op[0].reg, v);
        return true;
    }
    lift_mmx_enter(l);
    v = mmx_get(l, i->op[1].reg);
    if (i->op[0].size == 4)
        v = ir_un(l->b, IR_TRUNC, TY_I32, v);
    lift_write(l, i, 0, v);
    return true;
}

/* MOVQ and MOVNTQ between MMX registers and memory. */
bool lift_movq_mmx(struct lift *l, const struct insn *i)
{
    ir_ref v = i->op[1].kind == OPND_MEM ? lift_read(l, i, 1) : 0;

    lift_mmx_enter(l);
    if (!v)
        v = mmx_get(l, i->op[1].reg);
    if (i->op[0].kind == OPND_MMX)
        mmx_put(l, i->op[0].reg, v);
    else
        lift_write(l, i, 0, v);
    return true;
}

bool lift_movq2dq(struct lift *l, const struct insn *i)
{
    lift_mmx_enter(l);
    lift_putx(l, i->op[0].reg, lift_mmx_src(l, i, 1));
    return true;
}

bool lift_movdq2q(struct lift *l, const struct insn *i)
{
    lift_mmx_enter(l);
    lift_mmx_putv(l, i->op[0].reg, lift_getx(l, i->op[1].reg));
    return true;
}

bool lift_emms(struct lift *l, const struct insn *i)
{
    lift_call(l, HELP_emms, 0, 0, 0, 0);
    return true;
}
