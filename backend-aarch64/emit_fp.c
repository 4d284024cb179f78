/*
 * emit_fp.c - SSE floating point by the host's, where that gives the same bits and flags.
 *
 * Blocks of plain mode (no M_ODD_SSE) run with MXCSR's rounding to nearest, without FTZ and DAZ,
 * which is how the host's FPCR is set.  Then IEEE 754 leaves few differences:
 *
 *  - x86 raises DE for a denormal operand, the host nothing;
 *  - the sign of the default NaN, and whose payload wins;
 *  - "tiny" is found out after rounding, or before: UE where the result rounds up to the smallest
 *    normal number, and denormal results with it.
 *
 * So an operand whose exponent is 0 is looked at again, and a result whose exponent is 0, 1, 2
 * or all ones; zeros are let pass, and for the rest C computes the operation (vec_fp.c).  Both
 * happens out of line.  The host's other flags - invalid, division by zero, overflow, inexact - are x86's
 * and wait in FPSR (backend_fp_sync); underflow is not taken from there.
 *
 * A check is on the exponent in the upper bits: all of it, or it plus one without its two lowest
 * bits, is 0.  Nothing of it touches NZCV.
 */
#include <assert.h>

#include "backend-aarch64/emit.h"

/* ---- instructions ---- */

#define SIZE(dbl) ((uint32_t)(dbl) << 22)

static void op3(struct emit *e, uint32_t code, unsigned d, unsigned n, unsigned m)
{
    as_w(&e->a, code | m << 16 | n << 5 | d);
}
static void op2(struct emit *e, uint32_t code, unsigned d, unsigned n)
{
    as_w(&e->a, code | n << 5 | d);
}
/* General register r = lane 0 of v. */
static void fmov(struct emit *e, bool dbl, unsigned r, unsigned v)
{
    op2(e, dbl ? 0x9e660000u : 0x1e260000u, r, v);
}
/* Lane 0 of d = that of s. */
static void insert(struct emit *e, bool dbl, unsigned d, unsigned s)
{
    op2(e, dbl ? 0x6e080400u : 0x6e040400u, d, s);
}
/* The 32 bits of lane 0 with sign and exponent. */
static void top_word(struct emit *e, bool dbl, unsigned r, unsigned v)
{
    if (dbl)
        op2(e, 0x0e0c3c00u, r, v);              /* umov r, v.s[1] */
    else
        fmov(e, false, r, v);
}
enum { V_SHL = 0x4f005400, V_USHR = 0x6f000400 };
static void shl(struct emit *e, unsigned d, unsigned n, unsigned by)
{
    op2(e, V_SHL | (32 + by) << 16, d, n);
}
static void ushr(struct emit *e, unsigned d, unsigned n, unsigned by)
{
    op2(e, V_USHR | (64 - by) << 16, d, n);
}
/* Branch if one of t's four lanes is 0. Destroys t. */
static uint8_t *if_zero_lane(struct emit *e, unsigned t)
{
    op2(e, 0x6eb1a800u, t, t);                  /* uminv s, 4s */
    fmov(e, false, H_S0, t);
    return as_cbz(&e->a, false, H_S0);
}

/* ---- checks ---- */

static struct fp_path *path_new(struct emit *e, const struct ir_ins *p, bool dbl, bool packed)
{
    assert(e->h.nfp < FP_PATHS);
    struct fp_path *s = &e->h.fp[e->h.nfp++];
    *s = (struct fp_path){ .p = p, .pc = e->pc, .dbl = dbl, .packed = packed, .a = NOREG, .b = NOREG, .d = NOREG,
                           .g = NOREG };
    return s;
}

static void check(struct emit *e, struct fp_path *s, uint8_t *from, unsigned u, unsigned v, bool result)
{
    assert(s->n < FP_CHECKS);
    s->check[s->n++] = (struct fp_check){ .from = from, .back = e->a.p, .v = { (uint8_t)u, (uint8_t)v },
                                          .result = result };
}

/* The upper words of all lanes of u and v (or of u alone, as v) in t. */
static void top_words(struct emit *e, bool dbl, unsigned t, unsigned u, unsigned v)
{
    if (dbl)
        op3(e, 0x4e805800u, t, u, v);           /* uzp2 4s */
    else if (t != u)
        as_vmov(&e->a, t, u);
}

/* Operands u and v: is an exponent 0?  t, x: vector temporaries. */
static void check_operands(struct emit *e, struct fp_path *s, unsigned u, unsigned v, unsigned t, unsigned x)
{
    uint32_t exponent = s->dbl ? 0x7ff00000u : 0x7f800000u;
    if (!s->packed) {
        for (unsigned k = 0; k < (u == v ? 1u : 2u); k++) {
            unsigned r = k ? v : u;
            top_word(e, s->dbl, H_S0, r);
            as_logic_i(&e->a, OPI_AND, false, H_S0, H_S0, exponent);
            check(e, s, as_cbz(&e->a, false, H_S0), r, r, false);
        }
        return;
    }
    if (s->dbl) {
        op3(e, 0x4e805800u, t, u, v);
        shl(e, t, t, 1);
    } else {
        shl(e, t, u, 1);
        if (u != v) {
            shl(e, x, v, 1);
            op3(e, 0x6ea06c00u, t, t, x);       /* umin 4s */
        }
    }
    ushr(e, t, t, s->dbl ? 21 : 24);
    check(e, s, if_zero_lane(e, t), u, v, false);
}

/* One to the exponents of t's upper words, by way of x. */
static void plus_one(struct emit *e, bool dbl, unsigned t, unsigned x)
{
    as_w(&e->a, (dbl ? 0x4f004600u : 0x4f044400u) | x);        /* movi x.4s, #10h or #80h, lsl 16 */
    op3(e, 0x4ea08400u, t, t, x);                               /* add 4s */
}

/* The result in r: is an exponent 0, 1, 2 or all ones?  t, x: vector temporaries. */
static void check_result(struct emit *e, struct fp_path *s, bool dbl, unsigned r, unsigned t, unsigned x)
{
    if (!s->packed) {
        top_word(e, dbl, H_S0, r);
        as_rri(&e->a, OPI_ADD, false, H_S0, H_S0, dbl ? 0x100000 : 0x800000);
        as_logic_i(&e->a, OPI_AND, false, H_S0, H_S0, dbl ? 0x7fc00000u : 0x7e000000u);
        check(e, s, as_cbz(&e->a, false, H_S0), r, r, true);
        return;
    }
    top_words(e, dbl, t, r, r);
    plus_one(e, dbl, t, x);
    shl(e, t, t, 1);
    ushr(e, t, t, dbl ? 23 : 26);
    check(e, s, if_zero_lane(e, t), r, r, true);
}

/* ---- out of line ---- */

/* t = v without signs; lanes of 64 (dbl) or 32 bits. */
static void no_signs(struct emit *e, bool dbl, unsigned t, unsigned v)
{
    op2(e, dbl ? 0x4f415400u : 0x4f215400u, t, v);
}
/* t's lanes: all ones where v's are zeros. */
static void zero_lanes(struct emit *e, bool dbl, unsigned t, unsigned v)
{
    no_signs(e, dbl, t, v);
    op2(e, 0x4ea09800u | SIZE(dbl), t, t);      /* cmeq t, t, #0 */
}

/* The operands of which one at least is zero if the result is zero and exact; the result itself: it always is. */
static unsigned exact_zero(const struct fp_path *s, unsigned result, uint8_t v[2])
{
    switch (s->p->op) {
    case IR_VFMUL:
        v[0] = s->a;
        v[1] = s->b;
        return s->a == s->b ? 1 : 2;
    case IR_VFDIV:
        v[0] = s->a;
        return 1;
    case IR_VFCVT:
        v[0] = s->b;
        return 1;
    default:
        v[0] = (uint8_t)result;
        return 1;
    }
}

/* Scalar v: to `zero` if it is one. */
static void if_zero(struct emit *e, bool dbl, unsigned v, const uint8_t *zero)
{
    fmov(e, dbl, H_S0, v);
    as_lsl(&e->a, dbl, H_S0, H_S0, 1);
    as_patch(as_cbz(&e->a, dbl, H_S0), zero);
}

/*
 * What check c found may be zeros only, exact ones if it is the result: then back.  Branches for which it is not
 * are added to to_c[].  dbl: what was looked at is.
 */
static unsigned zeros_pass(struct emit *e, const struct fp_path *s, bool dbl, const struct fp_check *c, uint8_t **to_c)
{
    unsigned n = 0, t = s->t, x = s->x, y = s->y, count = c->v[0] == c->v[1] ? 1 : 2;
    uint8_t zero[2] = { c->v[0], c->v[1] };
    if (c->result)
        count = exact_zero(s, c->v[0], zero);
    if (!s->packed) {
        if (c->result && zero[0] != c->v[0]) {
            fmov(e, dbl, H_S0, c->v[0]);
            as_lsl(&e->a, dbl, H_S0, H_S0, 1);
            to_c[n++] = as_cbnz(&e->a, dbl, H_S0);
        }
        for (unsigned k = 0; k < (c->result ? count : 1); k++)
            if_zero(e, s->dbl, zero[k], c->back);
        to_c[n++] = as_b(&e->a);
        return n;
    }
    for (unsigned k = 0; k < (c->result ? 1 : count); k++) {    /* is everything fine where zeros are ones? */
        unsigned v = c->v[k];
        zero_lanes(e, dbl, t, v);
        if (c->result && zero[0] != v) {
            zero_lanes(e, dbl, x, zero[0]);
            if (count == 2) {
                zero_lanes(e, dbl, y, zero[1]);
                op3(e, 0x4ea01c00u, x, x, y);                           /* orr */
            }
            op3(e, 0x4e201c00u, t, t, x);                               /* and */
        }
        as_w(&e->a, (dbl ? 0x6f03f600u : 0x4f03f600u) | x);             /* fmov x, #1.0 */
        op3(e, 0x6e601c00u, t, x, v);                                   /* bsl t, x, v */
        top_words(e, dbl, t, t, t);
        if (c->result)
            plus_one(e, dbl, t, x);
        shl(e, t, t, 1);
        ushr(e, t, t, c->result ? (dbl ? 23 : 26) : (dbl ? 21 : 24));
        to_c[n++] = if_zero_lane(e, t);
    }
    as_b_to(&e->a, c->back);
    return n;
}

void fp_slow_paths(struct emit *e)
{
    for (unsigned k = 0; k < e->h.nfp; k++) {
        const struct fp_path *s = &e->h.fp[k];
        uint8_t *to_c[2 * FP_CHECKS];
        unsigned n = 0;
        for (unsigned j = 0; j < s->n; j++) {
            const struct fp_check *c = &s->check[j];
            if (c->v[0] == NOREG) {
                to_c[n++] = c->from;
                continue;
            }
            as_patch(c->from, e->a.p);
            n += zeros_pass(e, s, c->result && s->p->op == IR_VFCVT ? !s->dbl : s->dbl, c, to_c + n);
        }
        for (unsigned j = 0; j < n; j++)
            as_patch(to_c[j], e->a.p);
        if (s->a != NOREG)
            host_vstore(e, CPU_OFF(va) + 16, s->a, true);
        if (s->b != NOREG)
            host_vstore(e, CPU_OFF(va) + 32, s->b, true);
        e->pc = s->pc;
        emit_op_call(e, s->p);
        if (s->d != NOREG)
            host_vload(e, s->d, CPU_OFF(va), true);
        if (s->g != NOREG)
            host_field(e, true, 3, s->g, CPU_OFF(va));
        as_b_to(&e->a, s->done);
    }
}

/* ---- operations ---- */

/* Operands of the current operation, in registers, three more, and one for the result, which is none of them. */
struct fp_regs {
    unsigned a, b, t, u, x, y, ta, tb;
};

static struct fp_regs fp_get(struct emit *e, const struct ir_ins *p)
{
    struct fp_regs r = { NOREG, NOREG, NOREG, NOREG, NOREG, NOREG, NOREG, NOREG };
    if (p->a)
        r.a = vuse_reg(e, p->a, &r.ta);
    if (p->b && e->b->ins[p->b].type == TY_V128)
        r.b = vuse_reg(e, p->b, &r.tb);
    r.t = vtemp_get(e);
    r.u = vtemp_get(e);
    r.x = vtemp_get(e);
    r.y = vtemp_get(e);
    return r;
}

static void fp_give(struct emit *e, const struct fp_regs *r)
{
    vtemp_release(e, r->u);
    vtemp_release(e, r->x);
    vtemp_release(e, r->y);
    vtemp_release(e, r->ta);
    vtemp_release(e, r->tb);
}

static struct fp_path *path_of(struct emit *e, const struct ir_ins *p, bool dbl, bool packed, const struct fp_regs *r)
{
    struct fp_path *s = path_new(e, p, dbl, packed);
    s->a = (uint8_t)r->a;
    s->b = (uint8_t)r->b;
    s->t = (uint8_t)r->u;
    s->x = (uint8_t)r->x;
    s->y = (uint8_t)r->y;
    return s;
}

/* The value of the operation: all of t, or a (if there is one) with t's lane 0 (of dbl). */
static void fp_result(struct emit *e, const struct fp_regs *r, bool merge, bool dbl)
{
    unsigned home, d;
    vtemp_release(e, r->u);
    vtemp_release(e, r->x);
    vtemp_release(e, r->y);
    d = vdef_reg(e, e->i, &home);
    if (!merge) {
        as_vmov(&e->a, d, r->t);
    } else {
        if (d != r->a)
            as_vmov(&e->a, d, r->a);
        insert(e, dbl, d, r->t);
    }
    vtemp_release(e, r->t);
    vtemp_release(e, r->ta);
    vtemp_release(e, r->tb);
    vdef_done(e, e->i, d, home);
}

/* ADD, SUB, MUL, DIV, SQRT (of b), MIN, MAX, comparisons to masks */
static void emit_arithmetic(struct emit *e, const struct ir_ins *p, bool dbl, bool packed)
{
    static const struct { uint32_t scalar, packed; } code[] = {
        [IR_VFADD - IR_VFADD] = { 0x1e202800, 0x4e20d400 }, [IR_VFSUB - IR_VFADD] = { 0x1e203800, 0x4ea0d400 },
        [IR_VFMUL - IR_VFADD] = { 0x1e200800, 0x6e20dc00 }, [IR_VFDIV - IR_VFADD] = { 0x1e201800, 0x6e20fc00 },
    };
    struct fp_regs r = fp_get(e, p);
    struct fp_path *s = path_of(e, p, dbl, packed, &r);
    s->d = (uint8_t)r.t;
    check_operands(e, s, p->op == IR_VFSQRT ? r.b : r.a, r.b, r.u, r.x);
    if (p->op == IR_VFSQRT && packed)
        op2(e, 0x6ea1f800u | SIZE(dbl), r.t, r.b);
    else if (p->op == IR_VFSQRT)
        op2(e, 0x1e21c000u | SIZE(dbl), r.t, r.b);
    else
        op3(e, (packed ? code[p->op - IR_VFADD].packed : code[p->op - IR_VFADD].scalar) | SIZE(dbl), r.t, r.a, r.b);
    check_result(e, s, dbl, r.t, r.u, r.x);
    s->done = e->a.p;
    fp_result(e, &r, !packed && r.a != NOREG, dbl);
}

/* MIN, MAX: a where it is less or greater, else b; signals for all NaNs. */
static void emit_minmax(struct emit *e, const struct ir_ins *p, bool dbl, bool packed)
{
    struct fp_regs r = fp_get(e, p);
    struct fp_path *s = path_of(e, p, dbl, packed, &r);
    bool max = p->op == IR_VFMAX;
    s->d = (uint8_t)r.t;
    check_operands(e, s, r.a, r.b, r.u, r.x);
    op3(e, (packed ? 0x6ea0e400u : 0x7ea0e400u) | SIZE(dbl), r.t, max ? r.a : r.b, max ? r.b : r.a);    /* fcmgt */
    op3(e, 0x6e601c00u, r.t, r.a, r.b);                                                                 /* bsl */
    s->done = e->a.p;
    fp_result(e, &r, !packed, dbl);
}

/* CMPPS and the like: EQ and UNORD are quiet, the others signal for quiet NaNs, too. */
static void emit_mask(struct emit *e, const struct ir_ins *p, bool dbl, bool packed)
{
    enum { EQ = 0x4e20e400, GE = 0x6e20e400, GT = 0x6ea0e400, SCALAR = 0x10000000 };
    struct fp_regs r = fp_get(e, p);
    struct fp_path *s = path_of(e, p, dbl, packed, &r);
    uint32_t form = (packed ? 0 : SCALAR) | SIZE(dbl);
    s->d = (uint8_t)r.t;
    check_operands(e, s, r.a, r.b, r.u, r.x);
    switch (p->imm & 3) {
    case 0:
        op3(e, EQ | form, r.t, r.a, r.b);
        break;
    case 1:
        op3(e, GT | form, r.t, r.b, r.a);
        break;
    case 2:
        op3(e, GE | form, r.t, r.b, r.a);
        break;
    default:                                    /* ordered: both equal themselves */
        op3(e, EQ | form, r.t, r.a, r.a);
        op3(e, EQ | form, r.u, r.b, r.b);
        op3(e, 0x4e201c00u, r.t, r.t, r.u);
    }
    if (((p->imm & 3) == 3) != (p->imm >> 2 & 1))
        op2(e, 0x6e205800u, r.t, r.t);          /* not: the opposite predicate, but UNORD is 3 */
    s->done = e->a.p;
    fp_result(e, &r, !packed, dbl);
}

/*
 * COMISD and the like.  NZCV of FCMP: less N, equal Z, otherwise C, unordered C and V.  If the image only
 * becomes the new flags they stay there (host_emit.fcmp).
 */
static void emit_compare(struct emit *e, const struct ir_ins *p, bool dbl)
{
    unsigned j = e->i + 1, d;
    const struct ir_ins *q = &e->b->ins[j];
    struct fp_regs r;
    struct fp_path *s;
    while (q->op == IR_NOP)
        q = &e->b->ins[++j];
    flags_clobber(e);
    r = fp_get(e, p);
    s = path_of(e, p, dbl, false, &r);
    check_operands(e, s, r.a, r.b, r.u, r.x);
    s->done = e->a.p;                           /* C is only there for the flag of a denormal */
    as_w(&e->a, 0x1e202000u | (p->aux & VA_SIGNAL ? 0x10u : 0) | SIZE(dbl) | r.b << 16 | r.a << 5);
    vtemp_release(e, r.t);
    fp_give(e, &r);
    if (q->op == IR_FMERGE && q->a == e->i && !q->b && e->val[e->i].last == j && e->use[j].flast) {
        e->h.fcmp = true;
        e->h.pf = e->h.af = e->h.logic = e->h.inv = false;
        flags_born(e, j);
        return;
    }
    d = temp_get(e);
    flags_fcmp_image(e, d, H_S0);
    def_done(e, e->i, d, 0xff, true);
}

/* To an integer: where the exponent says that it fits, only inexact can be raised. */
static void emit_to_int(struct emit *e, const struct ir_ins *p, bool dbl)
{
    bool w = p->type == TY_I64, trunc = p->aux & VA_TRUNC;
    unsigned d = temp_get(e);
    struct fp_regs r = fp_get(e, p);
    struct fp_path *s = path_of(e, p, dbl, false, &r);
    s->g = (uint8_t)d;
    top_word(e, dbl, H_S0, r.a);
    as_ubfx(&e->a, false, H_S0, H_S0, dbl ? 20 : 23, dbl ? 11 : 8);
    as_rri(&e->a, OPI_SUB, false, H_S0, H_S0, (dbl ? 1023u : 127u) + (w ? 63 : 31));
    check(e, s, as_tbz(&e->a, H_S0, 31), NOREG, NOREG, false);
    as_w(&e->a, (trunc ? 0x1e380000u : 0x1e200000u) | SF(w) | SIZE(dbl) | r.a << 5 | d);       /* fcvtzs, fcvtns */
    s->done = e->a.p;
    vtemp_release(e, r.t);
    fp_give(e, &r);
    def_done(e, e->i, d, 0xff, true);
}

/* The four lanes to 32-bit integers. */
static void emit_to_ints(struct emit *e, const struct ir_ins *p)
{
    struct fp_regs r = fp_get(e, p);
    struct fp_path *s = path_of(e, p, false, true, &r);
    s->d = (uint8_t)r.t;
    shl(e, r.u, r.a, 1);
    op2(e, 0x6eb0a800u, r.u, r.u);              /* umaxv s, 4s */
    fmov(e, false, H_S0, r.u);
    as_lsr(&e->a, false, H_S0, H_S0, 24);
    as_rri(&e->a, OPI_SUB, false, H_S0, H_S0, 127 + 31);
    check(e, s, as_tbz(&e->a, H_S0, 31), NOREG, NOREG, false);
    op2(e, p->aux & VA_TRUNC ? 0x4ea1b800u : 0x4e21a800u, r.t, r.a);    /* fcvtzs, fcvtns */
    s->done = e->a.p;
    fp_result(e, &r, false, false);
}

/* Of an integer: nothing but inexact can happen. */
static void emit_from_int(struct emit *e, const struct ir_ins *p, bool dbl)
{
    bool w = p->imm == 8;
    struct fp_regs r = fp_get(e, p);
    use_extended(e, p->b, true, H_S0);
    op2(e, 0x1e220000u | SF(w) | SIZE(dbl), r.t, H_S0);         /* scvtf */
    fp_result(e, &r, true, dbl);
}

static void emit_from_ints(struct emit *e, const struct ir_ins *p, bool dbl)
{
    struct fp_regs r = fp_get(e, p);
    unsigned from = r.a;
    if (dbl)
        op2(e, 0x0f20a400u, from = r.t, r.a);   /* sxtl 2d */
    op2(e, 0x4e21d800u | SIZE(dbl), r.t, from); /* scvtf */
    fp_result(e, &r, false, dbl);
}

/* CVTSD2SS and CVTSS2SD of b into a; packed forms are done by C. */
static void emit_convert(struct emit *e, const struct ir_ins *p, bool dbl)
{
    struct fp_regs r = fp_get(e, p);
    struct fp_path *s = path_of(e, p, dbl, false, &r);
    s->d = (uint8_t)r.t;
    check_operands(e, s, r.b, r.b, r.u, r.x);
    op2(e, dbl ? 0x1e624000u : 0x1e22c000u, r.t, r.b);
    check_result(e, s, !dbl, r.t, r.u, r.x);
    s->done = e->a.p;
    fp_result(e, &r, true, !dbl);
}

bool emit_fp(struct emit *e, const struct ir_ins *p)
{
    unsigned vl = p->aux & VL_MASK;
    bool dbl = vl == VL_S64 || vl == VL_F64, packed = vl == VL_F32 || vl == VL_F64, mmx = p->aux & VW_64;
    if ((e->b->mode & M_ODD_SSE) || mmx || (!packed && vl != VL_S32 && vl != VL_S64) || e->h.nfp == FP_PATHS)
        return false;
    switch (p->op) {
    case IR_VFADD: case IR_VFSUB: case IR_VFMUL: case IR_VFDIV: case IR_VFSQRT: case IR_VFMIN: case IR_VFMAX:
    case IR_VFCMP:
        break;
    case IR_VFCVT: case IR_VFCOM: case IR_VF2G: case IR_VCVTG:
        if (packed)
            return false;
        break;
    case IR_VF2I:
        if (!packed || dbl)
            return false;
        break;
    case IR_VI2F:
        if (!packed)
            return false;
        break;
    default:
        return false;
    }
    slots_overwrite(e);                         /* MXCSR */
    switch (p->op) {
    case IR_VFMIN: case IR_VFMAX: emit_minmax(e, p, dbl, packed); break;
    case IR_VFCMP: emit_mask(e, p, dbl, packed); break;
    case IR_VFCVT: emit_convert(e, p, dbl); break;
    case IR_VFCOM: emit_compare(e, p, dbl); break;
    case IR_VF2G: emit_to_int(e, p, dbl); break;
    case IR_VCVTG: emit_from_int(e, p, dbl); break;
    case IR_VF2I: emit_to_ints(e, p); break;
    case IR_VI2F: emit_from_ints(e, p, dbl); break;
    default: emit_arithmetic(e, p, dbl, packed); break;
    }
    return true;
}
