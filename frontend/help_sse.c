/*
 * help_sse.c - SSE and MMX semantics that are called out of line: MXCSR,
 * floating point with unmasked exceptions, string compares, masked stores, and
 * the transitions between x87 and MMX.
 *
 * MXCSR's sticky flags and the x87 registers may be in the host's registers:
 * backend_fp_sync() brings them home first.
 * SDM vol. 1, 9.5, 10.2.3, 11.5; vol. 2, 4.1 (PCMPxSTRx).
 */
#include "frontend/help.h"
#include "translator/backend_hooks.h"
#include "translator/vec.h"

bool help_ldmxcsr(struct cpu *c, uint64_t v)
{
    if (v & ~(uint64_t)MX_VALID)
        return fault_gp(c, 0);
    backend_fp_sync(c);
    c->mxcsr = (uint32_t)v;
    backend_fp_changed(c);
    cpu_update_mode(c);
    return false;
}

uint64_t help_get_mxcsr(struct cpu *c)
{
    backend_fp_sync(c);
    return c->mxcsr;
}

/* Exceptions of one instruction: #XM if one is not masked, or #UD if the OS does not handle that. */
static bool vfp_raise(struct cpu *c, uint32_t flags)
{
    bool unmasked = flags & ~(c->mxcsr >> MX_MASK_SHIFT) & MX_FLAGS;

    c->mxcsr |= flags;
    backend_fp_changed(c);
    return unmasked ? fault_raise(c, c->cr4 & CR4_OSXMMEXCPT ? EXC_XM : EXC_UD) : false;
}

static void mmx_write(struct cpu *c, unsigned n, uint64_t v)
{
    c->fpu.r[n].sig = v;
    c->fpu.r[n].se = 0xffff;
}

bool help_vfp(struct cpu *c, uint64_t lo, uint64_t hi, uint64_t form, uint64_t what)
{
    unsigned dst = form & 0xff, kind = form >> 8 & 0xff, size = form >> 16 & 0xff;
    struct ir_ins i = { .op = what & 0xff, .aux = (uint16_t)(what >> 8), .imm = what >> 24 & 0xff };
    union vreg src = { .q = { lo, hi } }, r;
    struct fp_env env;

    backend_fp_sync(c);
    env.mxcsr = c->mxcsr & ~MX_FLAGS;
    i.type = kind == VFP_TO_GPR ? (size == 8 ? TY_I64 : TY_I32) : kind == VFP_TO_FLAGS ? TY_I32 : TY_V128;
    if (form >> 24 & 1)
        vec_op(&i, &r, &c->x[dst & 15], &src, NULL, &env);
    else
        vec_op(&i, &r, &src, NULL, NULL, &env);
    if (vfp_raise(c, env.mxcsr & MX_FLAGS))
        return true;
    switch (kind) {
    case VFP_TO_XMM:
        c->x[dst] = r;
        break;
    case VFP_TO_XMM_LOW:
        c->x[dst].q[0] = r.q[0];
        break;
    case VFP_TO_GPR:
        c->r[dst] = r.q[0];
        break;
    case VFP_TO_FLAGS:
        c->flags = r.q[0];
        break;
    default:
        mmx_write(c, dst, r.q[0]);
        backend_fp_changed(c);
        break;
    }
    return false;
}

/* ---- x87 and MMX ---- */

bool help_mmx_enter(struct cpu *c)
{
    backend_fp_sync(c);
    if (c->fpu.sw & 0x80)
        return fault_raise(c, EXC_MF);
    c->fpu.sw &= (uint16_t)~0x3800;
    c->fpu.tag = 0xff;
    backend_fp_changed(c);
    return false;
}

bool help_emms(struct cpu *c)
{
    backend_fp_sync(c);
    if (c->fpu.sw & 0x80)
        return fault_raise(c, EXC_MF);
    c->fpu.sw &= (uint16_t)~0x3800;
    c->fpu.tag = 0;
    backend_fp_changed(c);
    return false;
}

/* ---- masked stores ---- */

bool help_maskmov(struct cpu *c, uint64_t lin, uint64_t unused, uint64_t unused2, uint64_t what)
{
    enum mmu_idx idx = (enum mmu_idx)((c->mode & M_MMU) >> M_MMU_SHIFT);
    unsigned v = what & 15, m = what >> 4 & 15, bytes = what >> 8 & 1 ? 8 : 16;
    union vreg val, mask;

    if (bytes == 8) {
        backend_fp_sync(c);
        val.q[0] = c->fpu.r[v].sig;
        mask.q[0] = c->fpu.r[m].sig;
    } else {
        val = c->x[v];
        mask = c->x[m];
    }
    for (unsigned n = 0; n < bytes; n++) {
        if ((mask.b[n] & 0x80) && mmu_check(c, lin + n, 1, ACC_WRITE, idx))
            return true;
    }
    for (unsigned n = 0; n < bytes; n++) {
        if ((mask.b[n] & 0x80) && mmu_store(c, lin + n, 1, idx, &val.b[n]))
            return true;
    }
    return false;
}

/* ---- PCMPESTRI, PCMPESTRM, PCMPISTRI, PCMPISTRM ---- */

struct str {
    union vreg v;
    unsigned len;               /* valid elements */
};

static int element(const struct str *s, unsigned n, unsigned imm)
{
    switch (imm & 3) {
    case 0:  return s->v.b[n];
    case 1:  return s->v.w[n];
    case 2:  return s->v.sb[n];
    default: return s->v.sw[n];
    }
}

/* |length register| up to the number of elements. */
static unsigned explicit_len(uint64_t r, bool w, unsigned max)
{
    int64_t n = w ? (int64_t)r : (int32_t)r;
    uint64_t mag = n < 0 ? -(uint64_t)n : (uint64_t)n;

    return mag > max ? max : (unsigned)mag;
}

static unsigned implicit_len(const struct str *s, unsigned imm, unsigned max)
{
    unsigned n = 0;

    while (n < max && element(s, n, imm))
        n++;
    return n;
}

/* Bit j of the first intermediate result; elements past the end compare as table 4-7 says. */
static bool str_bit(const struct str *a, const struct str *b, unsigned j, unsigned imm, unsigned max)
{
    switch (imm >> 2 & 3) {
    case 0:                                             /* equal any */
        for (unsigned i = 0; j < b->len && i < a->len; i++) {
            if (element(a, i, imm) == element(b, j, imm))
                return true;
        }
        return false;
    case 1:                                             /* ranges */
        for (unsigned i = 0; j < b->len && i + 1 < a->len; i += 2) {
            if (element(a, i, imm) <= element(b, j, imm) && element(b, j, imm) <= element(a, i + 1, imm))
                return true;
        }
        return false;
    case 2:                                             /* equal each */
        if (j >= a->len || j >= b->len)
            return j >= a->len && j >= b->len;
        return element(a, j, imm) == element(b, j, imm);
    default:                                            /* equal ordered */
        for (unsigned i = 0; i < a->len && i + j < max; i++) {
            if (i + j >= b->len || element(a, i, imm) != element(b, i + j, imm))
                return false;
        }
        return true;
    }
}

static void str_mask(union vreg *d, uint32_t bits, unsigned imm, unsigned max)
{
    *d = (union vreg){ .q = { 0, 0 } };
    if (!(imm & 0x40)) {
        d->w[0] = (uint16_t)bits;
        return;
    }
    for (unsigned n = 0; n < max; n++) {
        if (!(bits >> n & 1))
            continue;
        if (imm & 1)
            d->w[n] = 0xffff;
        else
            d->b[n] = 0xff;
    }
}

void help_pcmpstr(struct cpu *c, uint64_t lo, uint64_t hi, uint64_t unused, uint64_t what)
{
    unsigned imm = what & 0xff, max = imm & 1 ? 8 : 16;
    bool index = what >> 12 & 1, w = what >> 14 & 1;
    struct str a = { .v = c->x[what >> 8 & 15] }, b = { .v = { .q = { lo, hi } } };
    uint32_t bits = 0, valid;

    a.len = what >> 13 & 1 ? explicit_len(c->r[R_AX], w, max) : implicit_len(&a, imm, max);
    b.len = what >> 13 & 1 ? explicit_len(c->r[R_DX], w, max) : implicit_len(&b, imm, max);
    for (unsigned j = 0; j < max; j++)
        bits |= (uint32_t)str_bit(&a, &b, j, imm, max) << j;
    valid = (1u << b.len) - 1;
    if ((imm & 0x30) == 0x10)
        bits ^= (1u << max) - 1;
    else if ((imm & 0x30) == 0x30)
        bits ^= valid;
    if (!index)
        str_mask(&c->x[0], bits, imm, max);
    else if (!bits)
        c->r[R_CX] = max;
    else
        c->r[R_CX] = (unsigned)(imm & 0x40 ? 31 - __builtin_clz(bits) : __builtin_ctz(bits));
    c->flags = (bits ? FL_CF : 0) | (b.len < max ? FL_ZF : 0) | (a.len < max ? FL_SF : 0) |
               (bits & 1 ? FL_OF : 0);
}
