/*
 * emit_fp.c - SSE arithmetic on one lane by the host's floating point, where that is
 * exact: operands and result normal, rounding to nearest.
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

bool emit_fp_scalar(struct emit *e, const struct ir_ins *p)
{
    static const uint32_t code[] = { [IR_VFADD - IR_VFADD] = 0x1e202800, [IR_VFSUB - IR_VFADD] = 0x1e203800,
                                     [IR_VFMUL - IR_VFADD] = 0x1e200800, [IR_VFDIV - IR_VFADD] = 0x1e201800 };
    unsigned vl = p->aux & VL_MASK, home, d, t, a, b, ta, tb;
    bool dbl = vl == VL_S64;
    uint8_t *slow[3], *done;
    if ((vl != VL_S32 && vl != VL_S64) || p->op < IR_VFADD || p->op > IR_VFDIV)
        return false;
    flags_clobber(e);
    slots_overwrite(e);
    a = vuse_reg(e, p->a, &ta);
    b = vuse_reg(e, p->b, &tb);
    t = vtemp_get(e);
    host_field(e, true, 2, H_S0, CPU_OFF(mxcsr));
    as_logic_i(&e->a, OPI_AND, false, H_S0, H_S0, 0x6000);
    slow[0] = as_cbnz(&e->a, false, H_S0);
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
    done = as_b(&e->a);
    for (unsigned k = 0; k < 3; k++)
        as_patch(slow[k], e->a.p);
    emit_va(e, 0, p->a);
    emit_va(e, 1, p->b);
    emit_op_call(e, p);
    host_vload(e, t, CPU_OFF(va), true);
    as_patch(done, e->a.p);
    d = vdef_reg(e, e->i, &home);
    as_vmov(&e->a, d, t);
    vtemp_release(e, t);
    vtemp_release(e, ta);
    vtemp_release(e, tb);
    vdef_done(e, e->i, d, home);
    return true;
}
