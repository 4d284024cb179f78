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
 * So an operand is looked at again whose exponent is 0, and a result whose exponent is near 0 or all
 * ones, out of line and behind the operation: with its exceptions masked the host's result and flags
 * are right for denormals, too, and all that can be missing are DE and UE.  Zeros are let pass; and
 * all denormals once MXCSR has the flag in question, since flags are sticky.  The rest, and
 * what is or may be a NaN, is computed by C (vec_fp.c).  The host's other flags - invalid, division by
 * zero, overflow, inexact - are x86's and wait in FPSR (backend_fp_sync); underflow is not taken from there.
 *
 * Nothing of a check touches NZCV.  Scalars are looked at in a general register: the exponent, or it
 * plus one without its lowest bits, is 0, and one product has it all.  Of packed operands the smallest
 * magnitude counts. |2 * bits| as a signed number is small where the exponent is near 0 or near all
 * ones, so one minimum and one branch serve both operands and the result.
 */
#include <assert.h>

#include "backend-aarch64/emit.h"
#include "translator/vec.h"

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
static void shl(struct emit *e, unsigned d, unsigned n, unsigned by)
{
    op2(e, 0x4f205400u | by << 16, d, n);       /* shl 4s */
}
/* t's smallest lane, an unsigned number of 32 bits, in scratch register s0. Destroys t. */
static void smallest(struct emit *e, unsigned t)
{
    op2(e, 0x6eb1a800u, t, t);                  /* uminv s, 4s */
    fmov(e, false, H_S0, t);
}
static void abs_lanes(struct emit *e, unsigned d, unsigned n)
{
    op2(e, 0x4ea0b800u, d, n);                  /* abs 4s */
}
static void umin(struct emit *e, unsigned d, unsigned n, unsigned m)
{
    op3(e, 0x6ea06c00u, d, n, m);               /* umin 4s */
}
/* t = twice the bits of all lanes of u and v (of u alone, as v): no signs; of doubles the upper words. */
static void doubled(struct emit *e, bool dbl, unsigned t, unsigned u, unsigned v, unsigned x)
{
    if (dbl) {
        op3(e, 0x4e805800u, t, u, v);           /* uzp2 4s */
        shl(e, t, t, 1);
        return;
    }
    shl(e, t, u, 1);
    if (u != v) {
        shl(e, x, v, 1);
        umin(e, t, t, x);
    }
}

/* ---- checks ---- */

static struct fp_path *path_new(struct emit *e, const struct ir_ins *p, bool dbl, bool packed)
{
    assert(e->h.nfp < FP_PATHS);
    struct fp_path *s = &e->h.fp[e->h.nfp++];
    *s = (struct fp_path){ .p = p, .pc = e->pc, .dbl = dbl, .rdbl = dbl, .packed = packed,
                           .a = NOREG, .b = NOREG, .d = NOREG, .g = NOREG,
                           .u = NOREG, .v = NOREG, .r = NOREG };
    return s;
}

static void check(struct fp_path *s, uint8_t *from)
{
    assert(s->n < FP_CHECKS);
    s->from[s->n++] = from;
}

/*
 * Operands u and v, result r (NOREG: none): are they numbers for which the host does all that x86
 * does?  Else out of line.  An exponent of an operand must not be 0, one of the result not near 0 nor
 * all ones.  Sums and differences of what is neither denormal nor infinity nor NaN need no look at the
 * result: it is no NaN, and if tiny, exact.  t, x: vector temporaries.
 */
static void check_all(struct emit *e, struct fp_path *s, unsigned u, unsigned v, unsigned r, unsigned t,
                      unsigned x)
{
    bool sum = s->p->op == IR_VFADD || s->p->op == IR_VFSUB;
    s->u = (uint8_t)u;
    s->v = (uint8_t)v;
    s->r = (uint8_t)r;
    if (!s->packed) {                           /* a product of exponents, or of what is 0 for bad ones */
        const unsigned reg[3] = { u, v == u ? NOREG : v, sum ? NOREG : r };
        unsigned at = H_S0;
        for (unsigned k = 0; k < 3; k++) {
            bool dbl = k == 2 ? s->rdbl : s->dbl;
            unsigned low = dbl ? 20 : 23, drop = k == 2 ? 2 : sum;      /* drop: of the exponent plus one */
            if (reg[k] == NOREG)
                continue;
            top_word(e, dbl, at, reg[k]);
            if (drop)
                as_rri(&e->a, OPI_ADD, false, at, at, 1u << low);
            as_ubfx(&e->a, false, at, at, low + drop, 31 - low - drop);
            if (at == H_S1)
                as_rrr(&e->a, OP_MUL, false, H_S0, H_S0, H_S1);
            at = H_S1;
        }
        check(s, as_cbz(&e->a, false, H_S0));
        return;
    }
    if (sum && !s->dbl && u != v) {
        shl(e, t, u, 1);
        shl(e, x, v, 1);
        abs_lanes(e, t, t);
        abs_lanes(e, x, x);
        umin(e, t, t, x);
    } else {
        doubled(e, s->dbl, t, u, v, x);
        if (sum)
            abs_lanes(e, t, t);
    }
    if (r != NOREG && !sum) {
        doubled(e, s->dbl, x, r, r, x);
        abs_lanes(e, x, x);
        umin(e, t, t, x);
    }
    smallest(e, t);                             /* exponents 0 and 1, behind abs the two largest */
    as_lsr(&e->a, false, H_S0, H_S0, s->dbl ? 22 : 25);
    check(s, as_cbz(&e->a, false, H_S0));
}

/* ---- out of line ---- */

enum { DE_BIT = 1, UE_BIT = 4 };
_Static_assert(MX_DE == 1 << DE_BIT && MX_UE == 1 << UE_BIT, "of MXCSR");

/* The places from which C is called. */
struct to_c {
    unsigned n;
    uint8_t *from[8];
};

static void to_c(struct to_c *c, uint8_t *from)
{
    assert(c->n < sizeof(c->from) / sizeof(c->from[0]));
    c->from[c->n++] = from;
}

/* Can the result of the operation be inexact and tiny? Sums and differences that are tiny are exact. */
static bool may_underflow(const struct fp_path *s)
{
    return s->p->op == IR_VFMUL || s->p->op == IR_VFDIV || (s->p->op == IR_VFCVT && s->dbl);
}

/* The operands of which one at least is zero if the result is zero and exact. */
static unsigned exact_zero(const struct fp_path *s, uint8_t v[2])
{
    v[0] = s->u;
    v[1] = s->v;
    return s->p->op == IR_VFDIV || s->u == s->v ? 1 : 2;
}

/* General register r = scalar v without its sign, at the top. */
static void bits_on_top(struct emit *e, bool dbl, unsigned r, unsigned v)
{
    fmov(e, dbl, r, v);
    as_lsl(&e->a, true, r, r, dbl ? 1 : 33);
}

static void look_again_scalar(struct emit *e, const struct fp_path *s, struct to_c *c)
{
    struct as *a = &e->a;
    unsigned ebits = s->dbl ? 11 : 8, rbits = s->rdbl ? 11 : 8;
    uint8_t *set, zero[2];
    host_field(e, true, 2, H_S1, CPU_OFF(mxcsr));
    if (s->r != NOREG) {                        /* infinity or NaN? */
        top_word(e, s->rdbl, H_S0, s->r);
        as_ubfx(a, false, H_S0, H_S0, 31 - rbits, rbits);
        as_rri(a, OPI_ADD, false, H_S0, H_S0, 1);
        to_c(c, as_tbnz(a, H_S0, rbits));
    }
    set = as_tbnz(a, H_S1, DE_BIT);
    for (unsigned k = 0; k < (s->u == s->v ? 1u : 2u); k++) {   /* less one, only denormals have exponent 0 */
        bits_on_top(e, s->dbl, H_S0, k ? s->v : s->u);
        as_rri(a, OPI_SUB, true, H_S0, H_S0, 1);
        as_lsr(a, true, H_S0, H_S0, 64 - ebits);
        to_c(c, as_cbz(a, true, H_S0));
    }
    as_patch(set, a->p);
    if (s->r != NOREG && may_underflow(s)) {
        set = as_tbnz(a, H_S1, UE_BIT);
        bits_on_top(e, s->rdbl, H_S0, s->r);
        as_lsr(a, true, H_S1, H_S0, 65 - rbits);
        as_patch(as_cbnz(a, true, H_S1), s->done);              /* exponents above 1 */
        to_c(c, as_cbnz(a, true, H_S0));
        for (unsigned k = 0, n = exact_zero(s, zero); k < n; k++) {
            bits_on_top(e, s->dbl, H_S0, zero[k]);
            as_patch(as_cbz(a, true, H_S0), s->done);
        }
        to_c(c, as_b(a));
        as_patch(set, a->p);
    }
    as_b_to(a, s->done);
}

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
/* t = the words of t that decide: all, or of doubles the upper ones. */
static void deciding_words(struct emit *e, bool dbl, unsigned t, unsigned u, unsigned v)
{
    if (dbl)
        op3(e, 0x4e805800u, t, u, v);           /* uzp2 4s */
    else if (u != v)
        umin(e, t, u, v);
}

static void look_again_packed(struct emit *e, const struct fp_path *s, struct to_c *c)
{
    struct as *a = &e->a;
    unsigned t = s->t, x = s->x, y = s->y;
    bool dbl = s->dbl;
    uint8_t *set, zero[2];
    host_field(e, true, 2, H_S1, CPU_OFF(mxcsr));
    if (s->r != NOREG) {                        /* infinities or NaNs? */
        doubled(e, dbl, t, s->r, s->r, x);
        op2(e, 0x6eb0a800u, t, t);              /* umaxv s, 4s */
        fmov(e, false, H_S0, t);
        as_lsr(a, false, H_S0, H_S0, dbl ? 21 : 24);
        as_rri(a, OPI_ADD, false, H_S0, H_S0, 1);
        to_c(c, as_tbnz(a, H_S0, dbl ? 11 : 8));
    }
    set = as_tbnz(a, H_S1, DE_BIT);
    as_w(a, 0x6f07e7e0u | y);                   /* movi y.2d, all ones: less one, as above */
    no_signs(e, dbl, t, s->u);
    op3(e, 0x4ea08400u | SIZE(dbl), t, t, y);   /* add */
    if (s->u != s->v) {
        no_signs(e, dbl, x, s->v);
        op3(e, 0x4ea08400u | SIZE(dbl), x, x, y);
    }
    deciding_words(e, dbl, t, t, s->u != s->v ? x : t);
    smallest(e, t);
    as_lsr(a, false, H_S0, H_S0, dbl ? 21 : 24);
    to_c(c, as_cbz(a, false, H_S0));
    as_patch(set, a->p);
    if (s->r != NOREG && may_underflow(s)) {
        set = as_tbnz(a, H_S1, UE_BIT);
        zero_lanes(e, dbl, x, s->u);
        if (exact_zero(s, zero) == 2) {
            zero_lanes(e, dbl, y, s->v);
            op3(e, 0x4ea01c00u, x, x, y);       /* orr: lanes where zero is exact */
        }
        zero_lanes(e, dbl, t, s->r);
        op3(e, 0x4e201c00u, x, x, t);           /* and */
        no_signs(e, dbl, t, s->r);
        op3(e, 0x4ea01c00u, t, t, x);           /* orr */
        deciding_words(e, dbl, t, t, t);
        smallest(e, t);
        as_lsr(a, false, H_S0, H_S0, dbl ? 22 : 25);
        to_c(c, as_cbz(a, false, H_S0));
        as_patch(set, a->p);
    }
    as_b_to(a, s->done);
}

void fp_slow_paths(struct emit *e)
{
    for (unsigned k = 0; k < e->h.nfp; k++) {
        const struct fp_path *s = &e->h.fp[k];
        struct to_c c = { .n = 0 };
        for (unsigned j = 0; j < s->n; j++)
            as_patch(s->from[j], e->a.p);
        if (s->u != NOREG && s->packed)
            look_again_packed(e, s, &c);
        else if (s->u != NOREG)
            look_again_scalar(e, s, &c);
        for (unsigned j = 0; j < c.n; j++)
            as_patch(c.from[j], e->a.p);
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

/*
 * Of the current operation: operands in registers, three more (u, x, y), one where the result is
 * computed (t), which is none of these, and the one it has to get to (d, home; of a vector value).
 */
struct fp_regs {
    unsigned a, b, t, u, x, y, ta, tb, d, home;
};

static struct fp_regs fp_get(struct emit *e, const struct ir_ins *p)
{
    struct fp_regs r = { NOREG, NOREG, NOREG, NOREG, NOREG, NOREG, NOREG, NOREG, NOREG, 0xff };
    if (p->a)
        r.a = vuse_reg(e, p->a, &r.ta);
    if (p->b && e->b->ins[p->b].type == TY_V128)
        r.b = vuse_reg(e, p->b, &r.tb);
    if (p->type == TY_V128)
        r.d = vdef_reg(e, e->i, &r.home);
    r.t = r.d == NOREG || r.d == r.a || r.d == r.b ? vtemp_get(e) : r.d;
    r.u = vtemp_get(e);
    r.x = vtemp_get(e);
    r.y = vtemp_get(e);
    return r;
}

static void fp_give(struct emit *e, const struct fp_regs *r)
{
    if (r->t != r->d)
        vtemp_release(e, r->t);
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
    if (merge && r->d == r->t) {                /* the other lanes of a into t */
        if (!dbl)
            op2(e, 0x6e0c2400u, r->d, r->a);    /* ins s[1], s[1] */
        op2(e, 0x6e184400u, r->d, r->a);        /* ins d[1], d[1] */
    } else if (merge) {
        if (r->d != r->a)
            as_vmov(&e->a, r->d, r->a);
        insert(e, dbl, r->d, r->t);
    } else if (r->d != r->t) {
        as_vmov(&e->a, r->d, r->t);
    }
    fp_give(e, r);
    vdef_done(e, e->i, r->d, r->home);
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
    if (p->op == IR_VFSQRT && packed)
        op2(e, 0x6ea1f800u | SIZE(dbl), r.t, r.b);
    else if (p->op == IR_VFSQRT)
        op2(e, 0x1e21c000u | SIZE(dbl), r.t, r.b);
    else
        op3(e, (packed ? code[p->op - IR_VFADD].packed : code[p->op - IR_VFADD].scalar) | SIZE(dbl), r.t, r.a, r.b);
    check_all(e, s, p->op == IR_VFSQRT ? r.b : r.a, r.b, r.t, r.u, r.x);
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
    op3(e, (packed ? 0x6ea0e400u : 0x7ea0e400u) | SIZE(dbl), r.t, max ? r.a : r.b, max ? r.b : r.a);    /* fcmgt */
    op3(e, 0x6e601c00u, r.t, r.a, r.b);                                                                 /* bsl */
    check_all(e, s, r.a, r.b, NOREG, r.u, r.x);
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
    check_all(e, s, r.a, r.b, NOREG, r.u, r.x);
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
    check_all(e, s, r.a, r.b, NOREG, r.u, r.x);
    s->done = e->a.p;                           /* C is only there for the flag of a denormal */
    as_w(&e->a, 0x1e202000u | (p->aux & VA_SIGNAL ? 0x10u : 0) | SIZE(dbl) | r.b << 16 | r.a << 5);
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
    check(s, as_tbz(&e->a, H_S0, 31));
    as_w(&e->a, (trunc ? 0x1e380000u : 0x1e200000u) | SF(w) | SIZE(dbl) | r.a << 5 | d);       /* fcvtzs, fcvtns */
    s->done = e->a.p;
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
    check(s, as_tbz(&e->a, H_S0, 31));
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
    s->rdbl = !dbl;
    op2(e, dbl ? 0x1e624000u : 0x1e22c000u, r.t, r.b);
    check_all(e, s, r.b, r.b, r.t, r.u, r.x);
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
