/*
 * emit_fp.c - SSE arithmetic, and comparisons and conversions of one lane, by the host's
 * floating point where that is exact: operands and result normal, rounding to nearest.
 *
 * Then x86 and AArch64 compute the same bits, and the only flag there can be is
 * inexact: it waits in FPSR.IXC until C looks (backend_fp_sync).  Everything else -
 * zeros, denormals, infinities, NaNs, overflow, underflow, other rounding modes - goes
 * to vec_fp.c.  Operands are looked at before the operation, so that no flag of one
 * that is not used stays behind; of a result that is not used only inexact can,
 * which x86 then raises, too.
 */
#include <assert.h>

#include "backend-aarch64/emit.h"

/* s = the biased exponent of v's lane 0, less one: above `top` for all but normal numbers. */
static void exponent(struct emit *e, bool dbl, unsigned s, unsigned v)
{
    as_w(&e->a, (dbl ? 0x9e660000u : 0x1e260000u) | v << 5 | s);        /* fmov s, v */
    as_ubfx(&e->a, dbl, s, s, dbl ? 52 : 23, dbl ? 11 : 8);
    as_rri(&e->a, OPI_SUB, false, s, s, 1);
}

/* If the flags say "at most top" so far: compare s with it, else leave them saying "above". */
static void and_compare(struct emit *e, unsigned s, unsigned top)
{
    as_w(&e->a, 0x7a400000u | top << 16 | A_LS << 12 | s << 5 | 2);     /* ccmp w, w, C, ls */
}

/* Branch if the guest does not round to nearest. */
static uint8_t *other_rounding(struct emit *e)
{
    host_field(e, true, 2, H_S0, CPU_OFF(mxcsr));
    as_logic_i(&e->a, OPI_AND, false, H_S0, H_S0, 0x6000);
    return as_cbnz(&e->a, false, H_S0);
}

/* Where the branches in `slow` go: the operation by C.  Returns the branch around it, to be patched behind it. */
static uint8_t *slow_begin(struct emit *e, const struct ir_ins *p, uint8_t *const *slow, unsigned n)
{
    uint8_t *done = as_b(&e->a);
    for (unsigned k = 0; k < n; k++)
        if (slow[k])
            as_patch(slow[k], e->a.p);
    emit_va(e, 0, p->a);
    if (p->b)
        emit_va(e, 1, p->b);
    emit_op_call(e, p);
    return done;
}

/* Its result (64 bits) in general register d. */
static void by_c(struct emit *e, const struct ir_ins *p, uint8_t *const *slow, unsigned n, unsigned d)
{
    uint8_t *done = slow_begin(e, p, slow, n);
    host_field(e, true, 3, d, CPU_OFF(va));
    as_patch(done, e->a.p);
}

/* Its result in vector register d. */
static void vector_by_c(struct emit *e, const struct ir_ins *p, uint8_t *const *slow, unsigned n, unsigned d)
{
    uint8_t *done = slow_begin(e, p, slow, n);
    host_vload(e, d, CPU_OFF(va), true);
    as_patch(done, e->a.p);
}

/*
 * COMISD and the like: where both are normal or zero there are no flags but the result's, and the image
 * is ZF or CF.
 */
static void emit_compare(struct emit *e, const struct ir_ins *p, bool dbl)
{
    unsigned ta, tb, v[2], d;
    uint8_t *slow[2];
    v[0] = vuse_reg(e, p->a, &ta);
    v[1] = vuse_reg(e, p->b, &tb);
    d = temp_get(e);
    as_mov_i(&e->a, H_S2, dbl ? 2045 : 253);
    for (unsigned k = 0; k < 2; k++) {
        uint8_t *zero;
        as_w(&e->a, (dbl ? 0x9e660000u : 0x1e260000u) | v[k] << 5 | H_S0);
        as_lsl(&e->a, dbl, H_S1, H_S0, 1);
        zero = as_cbz(&e->a, dbl, H_S1);
        exponent(e, dbl, H_S0, v[k]);
        as_rrr(&e->a, OP_SUBS, false, H_ZR, H_S0, H_S2);
        slow[k] = as_bcc(&e->a, A_HI);
        as_patch(zero, e->a.p);
    }
    as_w(&e->a, 0x1e202000u | (uint32_t)dbl << 22 | v[1] << 16 | v[0] << 5);    /* fcmp */
    as_cset(&e->a, d, A_MI);
    as_cset(&e->a, H_S0, A_EQ);
    as_rrs(&e->a, OP_ORR, false, d, d, H_S0, SH_LSL, 6);
    by_c(e, p, slow, 2, d);
    vtemp_release(e, ta);
    vtemp_release(e, tb);
    def_done(e, e->i, d, 0xff, true);
}

/* To an integer: where the number is normal and its exponent says that it fits, only inexact can be raised. */
static void emit_to_int(struct emit *e, const struct ir_ins *p, bool dbl)
{
    bool w = p->type == TY_I64, trunc = p->aux & VA_TRUNC;
    unsigned ta, v = vuse_reg(e, p->a, &ta), d = temp_get(e);
    uint8_t *slow[2] = { trunc ? NULL : other_rounding(e), NULL };
    as_mov_i(&e->a, H_S2, (dbl ? 1023u : 127u) + (w ? 62 : 30) - 1);
    exponent(e, dbl, H_S0, v);
    as_rrr(&e->a, OP_SUBS, false, H_ZR, H_S0, H_S2);
    slow[1] = as_bcc(&e->a, A_CS);
    as_w(&e->a, (trunc ? 0x1e380000u : 0x1e200000u) | SF(w) | (uint32_t)dbl << 22 | v << 5 | d);    /* fcvtzs, fcvtns */
    by_c(e, p, slow, 2, d);
    vtemp_release(e, ta);
    def_done(e, e->i, d, 0xff, true);
}

/* Of an integer: only inexact can be raised, and only if the significand is shorter than the integer. */
static void emit_from_int(struct emit *e, const struct ir_ins *p, bool dbl)
{
    bool w = p->imm == 8, exact = dbl && !w;
    unsigned home, ta, v = vuse_reg(e, p->a, &ta), t = vtemp_get(e), d = temp_get(e);
    uint8_t *slow[1] = { exact ? NULL : other_rounding(e) };
    use_extended(e, p->b, true, H_S0);
    as_w(&e->a, 0x1e220000u | SF(w) | (uint32_t)dbl << 22 | H_S0 << 5 | t);     /* scvtf */
    as_w(&e->a, (dbl ? 0x9e660000u : 0x1e260000u) | t << 5 | d);
    if (slow[0])
        by_c(e, p, slow, 1, d);
    as_vmov(&e->a, t, v);
    as_w(&e->a, 0x4e001c00u | (dbl ? 8u : 4u) << 16 | d << 5 | t);              /* ins t[0], d */
    temp_release(e, d);
    d = vdef_reg(e, e->i, &home);
    as_vmov(&e->a, d, t);
    vtemp_release(e, t);
    vtemp_release(e, ta);
    vdef_done(e, e->i, d, home);
}

static void emit_arithmetic(struct emit *e, const struct ir_ins *p, bool dbl)
{
    static const uint32_t code[] = { [IR_VFADD - IR_VFADD] = 0x1e202800, [IR_VFSUB - IR_VFADD] = 0x1e203800,
                                     [IR_VFMUL - IR_VFADD] = 0x1e200800, [IR_VFDIV - IR_VFADD] = 0x1e201800 };
    unsigned home, d, t, a, b, ta, tb;
    uint8_t *slow[3];
    a = vuse_reg(e, p->a, &ta);
    b = vuse_reg(e, p->b, &tb);
    t = vtemp_get(e);
    slow[0] = other_rounding(e);
    as_mov_i(&e->a, H_S2, dbl ? 2045 : 253);
    exponent(e, dbl, H_S0, a);
    exponent(e, dbl, H_S1, b);
    as_rrr(&e->a, OP_SUBS, false, H_ZR, H_S0, H_S2);
    and_compare(e, H_S1, H_S2);
    slow[1] = as_bcc(&e->a, A_HI);
    as_w(&e->a, code[p->op - IR_VFADD] | (uint32_t)dbl << 22 | b << 16 | a << 5 | t);
    exponent(e, dbl, H_S0, t);
    as_rrr(&e->a, OP_SUBS, false, H_ZR, H_S0, H_S2);
    slow[2] = as_bcc(&e->a, A_HI);
    /* t = a with lane 0 of t: by way of a general register, as t is both */
    as_w(&e->a, (dbl ? 0x9e660000u : 0x1e260000u) | t << 5 | H_S0);
    as_vmov(&e->a, t, a);
    as_w(&e->a, 0x4e001c00u | (dbl ? 8u : 4u) << 16 | H_S0 << 5 | t);   /* ins t[0], s0 */
    vector_by_c(e, p, slow, 3, t);
    d = vdef_reg(e, e->i, &home);
    as_vmov(&e->a, d, t);
    vtemp_release(e, t);
    vtemp_release(e, ta);
    vtemp_release(e, tb);
    vdef_done(e, e->i, d, home);
}

/* Vector register r = v in every lane. */
static void everywhere(struct emit *e, bool dbl, unsigned r, uint64_t v)
{
    as_mov_i(&e->a, H_S0, v);
    as_w(&e->a, (dbl ? 0x4e080c00u : 0x4e040c00u) | H_S0 << 5 | r);     /* dup */
}

/* t's lanes: all ones where v's are normal. low: the smallest normal number, span: how many bit patterns are. */
static void normal_lanes(struct emit *e, bool dbl, unsigned t, unsigned v, unsigned low, unsigned span)
{
    uint32_t size = (uint32_t)dbl << 22;
    as_w(&e->a, 0x4ea0f800u | size | v << 5 | t);                       /* fabs t, v */
    as_w(&e->a, 0x6ea08400u | size | low << 16 | t << 5 | t);           /* sub t, t, low */
    as_w(&e->a, 0x6ea03400u | size | t << 16 | span << 5 | t);          /* cmhi t, span, t */
}

/* Branch unless t is all ones. */
static uint8_t *unless_all(struct emit *e, unsigned t)
{
    as_w(&e->a, 0x4e083c00u | t << 5 | H_S0);                           /* umov s0, t.d[0] */
    as_w(&e->a, 0x4e183c00u | t << 5 | H_S1);
    as_rrr(&e->a, OP_AND, true, H_S0, H_S0, H_S1);
    as_rri(&e->a, OPI_ADDS, true, H_ZR, H_S0, 1);
    return as_bcc(&e->a, A_NE);
}

/* All lanes at once: fast where every one of operands and result is normal. */
static void emit_packed(struct emit *e, const struct ir_ins *p, bool dbl)
{
    static const uint32_t code[] = { [IR_VFADD - IR_VFADD] = 0x4e20d400, [IR_VFSUB - IR_VFADD] = 0x4ea0d400,
                                     [IR_VFMUL - IR_VFADD] = 0x6e20dc00, [IR_VFDIV - IR_VFADD] = 0x6e20fc00 };
    unsigned home, d, ta, tb, a = vuse_reg(e, p->a, &ta), b = vuse_reg(e, p->b, &tb);
    unsigned t = vtemp_get(e), u = vtemp_get(e), low = vtemp_get(e), span = vtemp_get(e);
    uint8_t *slow[3];
    slow[0] = other_rounding(e);
    everywhere(e, dbl, low, dbl ? 0x0010000000000000 : 0x00800000);
    everywhere(e, dbl, span, dbl ? 0x7fe0000000000000 : 0x7f000000);
    normal_lanes(e, dbl, t, a, low, span);
    normal_lanes(e, dbl, u, b, low, span);
    as_w(&e->a, 0x4e201c00u | u << 16 | t << 5 | t);                    /* and */
    slow[1] = unless_all(e, t);
    as_w(&e->a, code[p->op - IR_VFADD] | (uint32_t)dbl << 22 | b << 16 | a << 5 | t);
    normal_lanes(e, dbl, u, t, low, span);
    slow[2] = unless_all(e, u);
    vector_by_c(e, p, slow, 3, t);
    vtemp_release(e, u);
    vtemp_release(e, low);
    vtemp_release(e, span);
    d = vdef_reg(e, e->i, &home);
    as_vmov(&e->a, d, t);
    vtemp_release(e, t);
    vtemp_release(e, ta);
    vtemp_release(e, tb);
    vdef_done(e, e->i, d, home);
}

bool emit_fp(struct emit *e, const struct ir_ins *p)
{
    unsigned vl = p->aux & VL_MASK;
    bool dbl = vl == VL_S64 || vl == VL_F64;
    if (vl == VL_F32 || vl == VL_F64) {
        if (p->op < IR_VFADD || p->op > IR_VFDIV)
            return false;
        flags_clobber(e);
        slots_overwrite(e);
        emit_packed(e, p, dbl);
        return true;
    }
    if (vl != VL_S32 && vl != VL_S64)
        return false;
    switch (p->op) {
    case IR_VFADD: case IR_VFSUB: case IR_VFMUL: case IR_VFDIV:
    case IR_VFCOM: case IR_VF2G: case IR_VCVTG:
        flags_clobber(e);
        slots_overwrite(e);
        break;
    default:
        return false;
    }
    if (p->op == IR_VFCOM)
        emit_compare(e, p, dbl);
    else if (p->op == IR_VF2G)
        emit_to_int(e, p, dbl);
    else if (p->op == IR_VCVTG)
        emit_from_int(e, p, dbl);
    else
        emit_arithmetic(e, p, dbl);
    return true;
}
