/*
 * lift_sse.c - SSE: moves, shuffles, integer lanes, and the state instructions.
 *
 * Scalar memory operands are loaded with the rest of the register zero, so that
 * an op's operand is always 128 bits wide.  16-byte operands must be aligned
 * where the row says AT_ALIGN.  Sources are read before anything is written.
 * SDM vol. 2, the instructions; vol. 1, chapters 10 to 12.
 */
#include "frontend/lift.h"

#define IMM8(i) ((i)->imm & 0xff)

ir_ref lift_getx(struct lift *l, unsigned reg)
{
    return ir_emit(l->b, IR_GETV, TY_V128, 0, 0, 0, 0, SLOT_X(reg));
}

void lift_putx(struct lift *l, unsigned reg, ir_ref v)
{
    ir_emit(l->b, IR_PUTV, TY_V128, 0, v, 0, 0, SLOT_X(reg));
}

ir_ref lift_vop(struct lift *l, enum ir_op op, unsigned aux, ir_ref a, ir_ref b, int64_t imm)
{
    return ir_emit(l->b, op, TY_V128, aux, a, b, 0, imm);
}

static unsigned vec_memaux(const struct lift *l, const struct insn *i, unsigned size)
{
    unsigned align = size == 16 && (i->row->attrs & AT_ALIGN) ? MEM_ALIGN : 0;

    return lift_memaux(l, i->seg, size | align);
}

ir_ref lift_vsrc(struct lift *l, const struct insn *i, unsigned n)
{
    unsigned size = i->op[n].size;
    int64_t imm;
    ir_ref a;

    if (i->op[n].kind == OPND_XMM)
        return lift_getx(l, i->op[n].reg);
    a = lift_addr(l, i, size, false, &imm);
    if (size < 4) {
        a = ir_un(l->b, IR_ZEXT, TY_I32, lift_load(l, lift_type(size), a, imm, i->seg, 0));
        return lift_vop(l, IR_VMOVG, VL_32, a, 0, 0);
    }
    return ir_emit(l->b, IR_LDV, TY_V128, vec_memaux(l, i, size), a, 0, 0, imm);
}

/* Store the low bytes of v to memory operand n. */
static void mem_store(struct lift *l, const struct insn *i, unsigned n, ir_ref v)
{
    unsigned size = i->op[n].size;
    int64_t imm;
    ir_ref a = lift_addr(l, i, size, true, &imm);

    ir_emit(l->b, IR_STV, TY_V128, vec_memaux(l, i, size), a, v, 0, imm);
}

/* The common form: V, W [, Ib] or, for shifts, U, Ib. */
bool lift_vec(struct lift *l, const struct insn *i)
{
    int arg = i->row->arg;
    enum ir_op op = VA_OP(arg);
    unsigned dst = i->op[0].reg, aux = VA_AUX(arg);
    ir_ref src, r;

    if (i->op[1].kind == OPND_IMM) {
        lift_putx(l, dst, lift_vop(l, op, aux, lift_getx(l, dst), 0, IMM8(i)));
        return true;
    }
    src = lift_vsrc(l, i, 1);
    if (op == IR_VMOVQ && i->op[1].kind == OPND_MEM)
        r = src;
    else if (arg & VF_UN)
        r = lift_vop(l, op, aux, src, 0, IMM8(i));
    else if (arg & VF_B)
        r = lift_vop(l, op, aux, 0, src, IMM8(i));
    else
        r = lift_vop(l, op, aux, lift_getx(l, dst), src, IMM8(i));
    lift_putx(l, dst, r);
    return true;
}

bool lift_vload(struct lift *l, const struct insn *i)
{
    lift_putx(l, i->op[0].reg, lift_vsrc(l, i, 1));
    return true;
}

bool lift_vstore(struct lift *l, const struct insn *i)
{
    ir_ref v = lift_getx(l, i->op[1].reg);

    if (i->op[0].kind == OPND_XMM)
        lift_putx(l, i->op[0].reg, v);
    else
        mem_store(l, i, 0, v);
    return true;
}

/* MOVSS, MOVSD: memory form clears the rest, register form keeps it. */
bool lift_vload_low(struct lift *l, const struct insn *i)
{
    ir_ref v = lift_vsrc(l, i, 1);

    if (i->op[1].kind == OPND_XMM)
        v = lift_vop(l, IR_VMERGE, (unsigned)i->row->arg, lift_getx(l, i->op[0].reg), v, 0);
    lift_putx(l, i->op[0].reg, v);
    return true;
}

bool lift_vstore_low(struct lift *l, const struct insn *i)
{
    ir_ref v = lift_getx(l, i->op[1].reg);
    unsigned dst = i->op[0].reg;

    if (i->op[0].kind == OPND_XMM)
        lift_putx(l, dst, lift_vop(l, IR_VMERGE, (unsigned)i->row->arg, lift_getx(l, dst), v, 0));
    else
        mem_store(l, i, 0, v);
    return true;
}

bool lift_movq_store(struct lift *l, const struct insn *i)
{
    ir_ref v = lift_getx(l, i->op[1].reg);

    if (i->op[0].kind == OPND_XMM)
        lift_putx(l, i->op[0].reg, lift_vop(l, IR_VMOVQ, VL_64, v, 0, 0));
    else
        mem_store(l, i, 0, v);
    return true;
}

bool lift_movhlps(struct lift *l, const struct insn *i)
{
    ir_ref s = lift_getx(l, i->op[1].reg), d = lift_getx(l, i->op[0].reg);

    lift_putx(l, i->op[0].reg, lift_vop(l, IR_VUNPCKH, VL_64, s, d, 0));
    return true;
}

bool lift_movh_store(struct lift *l, const struct insn *i)
{
    ir_ref v = lift_getx(l, i->op[1].reg);

    mem_store(l, i, 0, lift_vop(l, IR_VUNPCKH, VL_64, v, v, 0));
    return true;
}

bool lift_movddup(struct lift *l, const struct insn *i)
{
    ir_ref v = lift_vsrc(l, i, 1);

    lift_putx(l, i->op[0].reg, lift_vop(l, IR_VUNPCKL, VL_64, v, v, 0));
    return true;
}

bool lift_movxdup(struct lift *l, const struct insn *i)
{
    lift_putx(l, i->op[0].reg, lift_vop(l, IR_VSHUFD, VL_32, lift_vsrc(l, i, 1), 0, i->row->arg));
    return true;
}

/* MOVD, MOVQ from a general register or memory. */
bool lift_movd_load(struct lift *l, const struct insn *i)
{
    unsigned size = i->op[1].size;
    ir_ref v;

    if (i->op[1].kind == OPND_MEM)
        v = lift_vsrc(l, i, 1);
    else
        v = lift_vop(l, IR_VMOVG, size == 8 ? VL_64 : VL_32, lift_read(l, i, 1), 0, 0);
    lift_putx(l, i->op[0].reg, v);
    return true;
}

bool lift_movd_store(struct lift *l, const struct insn *i)
{
    ir_ref v = lift_getx(l, i->op[1].reg);
    unsigned size = i->op[0].size;

    if (i->op[0].kind == OPND_MEM)
        mem_store(l, i, 0, v);
    else
        lift_write(l, i, 0, ir_emit(l->b, IR_VMOVE, lift_type(size), size == 8 ? VL_64 : VL_32, v, 0, 0, 0));
    return true;
}

bool lift_movnti(struct lift *l, const struct insn *i)
{
    lift_write(l, i, 0, lift_read(l, i, 1));
    return true;
}

/* --- lanes and general registers; MMX forms share them --- */

static ir_ref any_vec(struct lift *l, const struct insn *i, unsigned n)
{
    return i->op[n].kind == OPND_MMX ? lift_mmx_src(l, i, n) : lift_getx(l, i->op[n].reg);
}

bool lift_vmask(struct lift *l, const struct insn *i)
{
    bool mmx = i->op[1].kind == OPND_MMX;
    ir_ref v;

    if (mmx)
        lift_mmx_enter(l);
    v = ir_emit(l->b, IR_VMASK, TY_I32, (unsigned)i->row->arg, any_vec(l, i, 1), 0, 0, 0);
    lift_put(l, i->op[0].reg, 4, false, v);
    return true;
}

bool lift_pinsr(struct lift *l, const struct insn *i)
{
    bool mmx = i->op[0].kind == OPND_MMX;
    unsigned vl = (unsigned)i->row->arg, lanes = (mmx ? 8u : 16u) >> vl;
    ir_ref g, v;

    g = lift_read(l, i, 1);
    if (mmx)
        lift_mmx_enter(l);
    if (ir_type_of(l->b, g) < TY_I32)
        g = ir_un(l->b, IR_ZEXT, TY_I32, g);
    v = lift_vop(l, IR_VINS, vl, any_vec(l, i, 0), g, IMM8(i) & (lanes - 1));
    if (mmx)
        lift_mmx_putv(l, i->op[0].reg, v);
    else
        lift_putx(l, i->op[0].reg, v);
    return true;
}

bool lift_pextr(struct lift *l, const struct insn *i)
{
    bool mmx = i->op[1].kind == OPND_MMX;
    unsigned vl = (unsigned)i->row->arg, lanes = (mmx ? 8u : 16u) >> vl;
    enum ir_type t = vl == VL_64 ? TY_I64 : TY_I32;
    ir_ref v;

    if (mmx)
        lift_mmx_enter(l);
    v = ir_emit(l->b, IR_VEXT, t, vl, any_vec(l, i, 1), 0, 0, IMM8(i) & (lanes - 1));
    if (i->op[0].kind == OPND_REG) {
        lift_put(l, i->op[0].reg, type_bytes(t), false, v);
        return true;
    }
    if (i->op[0].size < 4)
        v = ir_un(l->b, IR_TRUNC, lift_type(i->op[0].size), v);
    lift_write(l, i, 0, v);
    return true;
}

/* From memory there is only one source lane. */
bool lift_insertps(struct lift *l, const struct insn *i)
{
    ir_ref s = lift_vsrc(l, i, 1);
    int64_t imm = IMM8(i) & (i->op[1].kind == OPND_MEM ? 0x3f : 0xff);

    lift_putx(l, i->op[0].reg, lift_vop(l, IR_VINSPS, VL_32, lift_getx(l, i->op[0].reg), s, imm));
    return true;
}

bool lift_blendv(struct lift *l, const struct insn *i)
{
    ir_ref s = lift_vsrc(l, i, 1), d = lift_getx(l, i->op[0].reg), m = lift_getx(l, 0);

    lift_putx(l, i->op[0].reg, ir_emit(l->b, IR_VBLENDV, TY_V128, (unsigned)i->row->arg, d, s, m, 0));
    return true;
}

bool lift_ptest(struct lift *l, const struct insn *i)
{
    ir_ref s = lift_vsrc(l, i, 1), f;

    f = ir_emit(l->b, IR_VTEST, TY_I32, VL_8, lift_getx(l, i->op[0].reg), s, 0, 0);
    f = ir_emit(l->b, IR_FMERGE, TY_FLAGS, 0, f, 0, 0, FL_ARITH);
    ir_emit(l->b, IR_PUTF, TY_FLAGS, 0, f, 0, 0, 0);
    return true;
}

/* --- by helper --- */

bool lift_pcmpstr(struct lift *l, const struct insn *i)
{
    ir_ref s = lift_vsrc(l, i, 1);
    ir_ref lo = ir_emit(l->b, IR_VMOVE, TY_I64, VL_64, s, 0, 0, 0);
    ir_ref hi = ir_emit(l->b, IR_VEXT, TY_I64, VL_64, s, 0, 0, 1);

    lift_call(l, HELP_pcmpstr, lo, hi, 0,
              PCMPSTR_IMM(IMM8(i), i->op[0].reg, i->row->arg, i->opsize == 8));
    return true;
}

bool lift_maskmov(struct lift *l, const struct insn *i)
{
    bool mmx = i->op[0].kind == OPND_MMX;
    ir_ref off = lift_get(l, R_DI, i->addrsize, false);

    if (mmx)
        lift_mmx_enter(l);
    if (i->addrsize != 8)
        off = ir_un(l->b, IR_ZEXT, TY_I64, off);
    off = lift_seg_addr(l, i->seg, off, mmx ? 8 : 16, true);
    lift_call(l, HELP_maskmov, off, 0, 0, i->op[0].reg | i->op[1].reg << 4 | (mmx ? 0x100 : 0));
    return true;
}

bool lift_ldmxcsr(struct lift *l, const struct insn *i)
{
    lift_call(l, HELP_ldmxcsr, ir_un(l->b, IR_ZEXT, TY_I64, lift_read(l, i, 0)), 0, 0, 0);
    lift_exit_sys(l, lift_rip(l, l->next));
    return true;
}

bool lift_stmxcsr(struct lift *l, const struct insn *i)
{
    int64_t imm;
    ir_ref a = lift_addr(l, i, 4, true, &imm);
    ir_ref v = lift_call(l, HELP_get_mxcsr, 0, 0, 0, 0);

    lift_store(l, a, imm, i->seg, ir_un(l->b, IR_TRUNC, TY_I32, v));
    return true;
}

/* FXSAVE and its kin: the helper checks alignment and does the accesses. */
bool lift_xstate(struct lift *l, const struct insn *i)
{
    enum helper_id h = (enum helper_id)i->row->arg;
    bool write = h == HELP_fxsave || h == HELP_xsave;
    ir_ref a = lift_linear(l, i, 512, write);

    lift_call(l, h, a, ir_const(l->b, TY_I64, (i->rex & 8) != 0), 0, 0);
    if (!write)
        lift_exit_sys(l, lift_rip(l, l->next));
    return true;
}
