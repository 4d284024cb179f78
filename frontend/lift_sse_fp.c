/*
 * lift_sse_fp.c - SSE floating point: arithmetic, comparisons, conversions.
 *
 * With all exceptions masked (the usual case) a row is one vector op.  Where
 * MXCSR unmasks one (M_UNM_SSE), a helper computes the same op with vec.c and
 * raises #XM before anything is written (help_sse_fp.c).
 * SDM vol. 1, 11.5.
 */
#include "frontend/lift.h"

/* What the row does with its operands, in the form the helper takes too. */
static bool checked(struct lift *l, const struct insn *i, ir_ref src, ir_ref gpr, unsigned kind)
{
    int arg = i->row->arg;
    bool src_b = !(arg & VF_UN) && kind != VFP_TO_GPR;
    unsigned size = kind == VFP_TO_GPR ? i->op[0].size : i->op[1].size;
    ir_ref lo, hi;

    if (gpr) {
        lo = ir_type_of(l->b, gpr) == TY_I64 ? gpr : ir_un(l->b, IR_ZEXT, TY_I64, gpr);
        hi = ir_const(l->b, TY_I64, 0);
    } else {
        lo = ir_emit(l->b, IR_VMOVE, TY_I64, VL_64, src, 0, 0, 0);
        hi = ir_emit(l->b, IR_VEXT, TY_I64, VL_64, src, 0, 0, 1);
    }
    lift_call(l, HELP_vfp, lo, hi,
              ir_const(l->b, TY_I64, VFP_FORM(i->op[0].reg, kind, size, src_b)),
              VFP_OP(VA_OP(arg), VA_AUX(arg), gpr ? size : (unsigned)i->imm & 0xff));
    return true;
}

bool lift_vfp(struct lift *l, const struct insn *i)
{
    int arg = i->row->arg;
    enum ir_op op = VA_OP(arg);
    unsigned aux = VA_AUX(arg), dst = i->op[0].reg, size = i->op[0].size;
    bool unmasked = l->mode & M_UNM_SSE;
    int64_t imm = i->imm & 0xff;
    ir_ref src, r;

    if (op == IR_VCVTG) {
        src = lift_read(l, i, 1);
        if (unmasked)
            return checked(l, i, 0, src, VFP_TO_XMM);
        lift_putx(l, dst, lift_vop(l, op, aux, lift_getx(l, dst), src, i->op[1].size));
        return true;
    }
    src = lift_vsrc(l, i, 1);
    if (op == IR_VF2G) {
        if (unmasked)
            return checked(l, i, src, 0, VFP_TO_GPR);
        lift_put(l, dst, size, false, ir_emit(l->b, op, lift_type(size), aux, src, 0, 0, 0));
        return true;
    }
    if (op == IR_VFCOM) {
        if (unmasked)
            return checked(l, i, src, 0, VFP_TO_FLAGS);
        r = ir_emit(l->b, op, TY_I32, aux, lift_getx(l, dst), src, 0, 0);
        r = ir_emit(l->b, IR_FMERGE, TY_FLAGS, 0, r, 0, 0, FL_ARITH);
        ir_emit(l->b, IR_PUTF, TY_FLAGS, 0, r, 0, 0, 0);
        return true;
    }
    if (op == IR_VFCMP)
        imm &= 7;
    if (unmasked)
        return checked(l, i, src, 0, VFP_TO_XMM);
    if (arg & VF_UN)
        r = lift_vop(l, op, aux, src, 0, imm);
    else if (arg & VF_B)
        r = lift_vop(l, op, aux, 0, src, imm);
    else
        r = lift_vop(l, op, aux, lift_getx(l, dst), src, imm);
    lift_putx(l, dst, r);
    return true;
}

/*
 * Conversions between MMX and XMM.  Lanes that the MMX side does not have are
 * zero, which converts without raising anything; CVTPI2PS keeps the upper half.
 */
bool lift_vfp_mmx(struct lift *l, const struct insn *i)
{
    int arg = i->row->arg;
    bool to_mmx = i->op[0].kind == OPND_MMX;
    unsigned kind = to_mmx ? VFP_TO_MMX : i->op[0].size == 8 ? VFP_TO_XMM_LOW : VFP_TO_XMM;
    unsigned dst = i->op[0].reg;
    ir_ref src = 0, r;

    if (to_mmx || i->op[1].kind == OPND_MEM)
        src = lift_vsrc(l, i, 1);
    if (i->row->attrs & AT_MMX)
        lift_mmx_enter(l);
    if (!src)
        src = lift_mmx_src(l, i, 1);
    if (to_mmx && i->op[1].size == 8)
        src = lift_vop(l, IR_VMOVQ, VL_64, src, 0, 0);
    if (l->mode & M_UNM_SSE) {
        lift_call(l, HELP_vfp, ir_emit(l->b, IR_VMOVE, TY_I64, VL_64, src, 0, 0, 0),
                  ir_emit(l->b, IR_VEXT, TY_I64, VL_64, src, 0, 0, 1),
                  ir_const(l->b, TY_I64, VFP_FORM(dst, kind, 0, false)),
                  VFP_OP(VA_OP(arg), VA_AUX(arg), 0));
        return true;
    }
    r = lift_vop(l, VA_OP(arg), VA_AUX(arg), src, 0, 0);
    if (to_mmx) {
        lift_mmx_putv(l, dst, r);
        return true;
    }
    if (kind == VFP_TO_XMM_LOW)
        r = lift_vop(l, IR_VMERGE, VL_64, lift_getx(l, dst), r, 0);
    lift_putx(l, dst, r);
    return true;
}
