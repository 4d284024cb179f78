/*
 * emit_mul.c - multiplication and division.
 *
 * The host divides 64 by 64 bits and never traps.  That is enough for operands of
 * up to 32 bits, and for 128 by 64 where the upper half says nothing new; the rest
 * is done by C, out of line.  Mostly the block itself has made the upper half, of 0
 * or of the lower half's sign (div_upper()): then nothing looks at it.
 */
#include <assert.h>

#include "backend-aarch64/emit.h"

static void emit_high(struct emit *e, const struct ir_ins *p, unsigned d)
{
    enum ir_type t = (enum ir_type)p->type;
    bool sgn = p->op == IR_MULHS;
    use_extended(e, p->a, sgn, H_S0);
    use_extended(e, p->b, sgn, H_S1);
    if (t == TY_I64) {
        as_rrr(&e->a, sgn ? OP_SMULH : OP_UMULH, false, d, H_S0, H_S1);
    } else {
        as_rrr(&e->a, OP_MUL, true, d, H_S0, H_S1);
        as_ubfx(&e->a, true, d, d, type_bits(t), type_bits(t));
    }
}

/* t0 = the dividend, t1 = the divisor, both in 64 bits. */
static void extend_dividend(struct emit *e, const struct ir_ins *p, unsigned t0, unsigned t1)
{
    enum ir_type t = (enum ir_type)p->type;
    unsigned bits = type_bits(t);
    use_extended(e, p->b, false, t0);
    use_extended(e, p->a, p->aux & 1, H_S0);
    as_rrs(&e->a, OP_ORR, true, t0, t0, H_S0, SH_LSL, bits);
    use_extended(e, p->c, p->aux & 1, t1);
}

/* s0 is not 0 if the upper half a says more than the lower half, which is in lo. */
static void upper_says(struct emit *e, const struct ir_ins *p, unsigned lo)
{
    unsigned hi = use_operand(e, p->a, H_S0);
    if (p->aux & 1)
        as_rrs(&e->a, OP_EOR, true, H_S0, hi, lo, SH_ASR, 63);
    else if (hi != H_S0)
        as_mov(&e->a, true, H_S0, hi);
}

/* Where the value of instruction i goes if registers n and by are needed behind it. */
static unsigned div_reg(struct emit *e, unsigned i, unsigned n, unsigned by, unsigned *home)
{
    const struct ir_ins *put = &e->b->ins[e->use[i].put];
    unsigned g;
    if (e->use[i].put && slot_is_gpr(put->imm, &g) && home_host(g) != n && home_host(g) != by)
        return def_reg(e, i, home);
    *home = 0xff;
    return temp_get(e);
}

/* n / by, and behind it the remainder (of instruction rem), where somebody wants it, by multiplication. */
static void divide(struct emit *e, const struct ir_ins *p, unsigned rem, bool w, unsigned n, unsigned by)
{
    uint32_t op = p->aux & 1 ? OP_SDIV : OP_UDIV;
    unsigned q = H_S2, r, home;
    bool zx = p->type == TY_I32;
    if (p->op == IR_DIV) {
        q = rem ? div_reg(e, e->i, n, by, &home) : def_reg(e, e->i, &home);
        as_rrr(&e->a, op, w, q, n, by);
        if (w && zx)
            as_mov(&e->a, false, q, q);
        def_done(e, e->i, q, home, zx);
        if (!rem)
            return;
        e->i = rem;                             /* the operands die here */
    } else {
        as_rrr(&e->a, op, w, q, n, by);
    }
    r = def_reg(e, e->i, &home);
    as_msub(&e->a, w, r, q, by, n);
    if (w && zx)
        as_mov(&e->a, false, r, r);
    def_done(e, e->i, r, home, zx);
}

/* 128 by 64 bits: here if the upper half says nothing new, else out of line by C. */
static void divide_long(struct emit *e, const struct ir_ins *p, unsigned rem)
{
    unsigned q = temp_get(e), r = temp_get(e), n, by;
    struct slow *s = &e->slow[e->nslow++];
    assert(e->nslow <= sizeof e->slow / sizeof e->slow[0]);
    *s = (struct slow){ .kind = SLOW_DIV, .pc = e->pc, .dst = (uint8_t)q, .rest = (uint8_t)r };
    s->div = p->op == IR_DIV ? p : NULL;
    s->rem = p->op == IR_REM ? p : rem ? &e->b->ins[rem] : NULL;
    n = use_operand(e, p->b, H_S1);
    by = use_operand(e, p->c, H_S2);
    upper_says(e, p, n);
    s->v = e->val[p->a];
    s->x = e->val[p->b];
    s->y = e->val[p->c];
    s->from[0] = as_cbnz(&e->a, true, H_S0);
    as_rrr(&e->a, p->aux & 1 ? OP_SDIV : OP_UDIV, true, q, n, by);
    if (s->rem)
        as_msub(&e->a, true, r, q, by, n);
    s->back = e->a.p;
    if (s->div)
        def_done(e, e->i, q, 0xff, false);
    if (s->rem)
        def_done(e, p->op == IR_REM ? e->i : rem, r, 0xff, false);
    temp_release(e, q);
    temp_release(e, r);
}

void emit_div_slow(struct emit *e, const struct slow *s)
{
    const struct ir_ins *const ops[2] = { s->div, s->rem };
    emit_val(e, CPU_OFF(va) + 16, &s->v);
    emit_val(e, CPU_OFF(va) + 32, &s->x);
    emit_val(e, CPU_OFF(va) + 48, &s->y);
    e->pc = s->pc;
    for (unsigned k = 0; k < 2; k++)
        if (ops[k]) {
            emit_op_call(e, ops[k]);
            host_field(e, true, 3, k ? s->rest : s->dst, CPU_OFF(va));
        }
}

static void emit_div(struct emit *e, const struct ir_ins *p)
{
    enum ir_type t = (enum ir_type)p->type;
    enum upper upper = div_upper(e->b, p);
    unsigned i = e->i, rem = p->op == IR_DIV ? emit_partner(e, IR_REM, IR_REM) : 0, t0, t1;
    if (upper == UPPER_ANY && t == TY_I64) {
        divide_long(e, p, rem);
        return;
    }
    if (upper != UPPER_ANY && t >= TY_I32) {
        divide(e, p, rem, t == TY_I64, use_operand(e, p->b, H_S0), use_operand(e, p->c, H_S1));
        e->i = i;
        return;
    }
    t0 = temp_get(e);
    t1 = temp_get(e);
    if (upper == UPPER_ANY) {
        extend_dividend(e, p, t0, t1);
    } else {
        use_extended(e, p->b, p->aux & 1, t0);
        use_extended(e, p->c, p->aux & 1, t1);
    }
    divide(e, p, rem, upper == UPPER_ANY, t0, t1);
    e->i = i;
    temp_release(e, t0);
    temp_release(e, t1);
}

void emit_muldiv(struct emit *e, const struct ir_ins *p)
{
    const struct ir_ins *f = flags_wanted(e, e->i);
    unsigned home, d, x, y;
    if (e->ahead == e->i)
        return;                                 /* came with its partner */
    if (p->op == IR_DIV || p->op == IR_REM) {
        emit_div(e, p);
        return;
    }
    if (f)
        flags_apart_before(e, f);
    d = def_reg(e, e->i, &home);
    if (p->op == IR_MUL) {
        x = use_where(e, p->a);
        y = use_where(e, p->b);
        if (x == NOREG)
            host_load(e, p->a, x = H_S0);
        if (y == NOREG)
            host_load(e, p->b, y = H_S1);
        as_rrr(&e->a, OP_MUL, p->type == TY_I64, d, x, y);
    } else {
        emit_high(e, p, d);
    }
    def_done(e, e->i, d, home, p->type == TY_I32);
    if (f)
        flags_apart(e, f);
}

/* #DE checks.  What they do not let pass at once is decided by C.  An upper half that says nothing leaves the
 * divisors 0 and, signed, -1: x86 has no quotient for the smallest dividend by that. */
void emit_divchk(struct emit *e, const struct ir_ins *p)
{
    enum ir_type t = (enum ir_type)p->type;
    enum upper upper = div_upper(e->b, p);
    bool w = t == TY_I64;
    unsigned t0, t1;
    struct slow *s;
    if (upper != UPPER_ANY && div_fits(e, p))
        return;
    s = &e->slow[e->nslow++];
    assert(e->nslow <= sizeof e->slow / sizeof e->slow[0]);
    *s = (struct slow){ .type = (uint8_t)t, .pc = e->pc, .kind = p->aux & 1 ? SLOW_DIVS : SLOW_DE };
    if (upper == UPPER_ZERO) {
        if (t >= TY_I32)
            t1 = use_operand(e, p->c, H_S0);
        else
            use_extended(e, p->c, false, t1 = H_S0);
        s->from[0] = as_cbz(&e->a, w, t1);
        s->recipe = recipe_here(e);
        return;
    }
    flags_clobber(e);
    t0 = temp_get(e);
    t1 = temp_get(e);
    if (!(p->aux & 1)) {                        /* fits if the upper half is below the divisor */
        unsigned hi = t0, by = t1;
        if (t >= TY_I32) {
            hi = use_operand(e, p->a, t0);
            by = use_operand(e, p->c, t1);
        } else {
            use_extended(e, p->a, false, t0);
            use_extended(e, p->c, false, t1);
        }
        as_rrr(&e->a, OP_SUBS, w, H_ZR, hi, by);
        s->from[0] = as_bcc(&e->a, A_CS);
    } else if (upper == UPPER_SIGN || w) {
        if (upper == UPPER_ANY) {
            upper_says(e, p, use_operand(e, p->b, t0));
            s->from[1] = as_cbnz(&e->a, true, H_S0);
        }
        unsigned by = t1;
        if (t < TY_I32 || e->val[p->c].loc == LOC_CONST)
            use_extended(e, p->c, true, t1);
        else
            by = use_operand(e, p->c, t1);
        as_rri(&e->a, OPI_ADD, w, H_S0, by, 1);
        as_rri(&e->a, OPI_SUBS, w, H_ZR, H_S0, 1);
        s->from[0] = as_bcc(&e->a, A_LS);
    } else {                                    /* the quotient must be what its lower half says */
        extend_dividend(e, p, t0, t1);
        s->from[0] = as_cbz(&e->a, true, t1);
        as_rrr(&e->a, OP_SDIV, true, t0, t0, t1);
        as_sbfx(&e->a, true, H_S0, t0, 0, type_bits(t));
        as_rrr(&e->a, OP_SUBS, true, H_ZR, H_S0, t0);
        s->from[1] = as_bcc(&e->a, A_NE);
    }
    s->v = e->val[p->a];
    s->x = e->val[p->b];
    s->y = e->val[p->c];
    s->recipe = recipe_here(e);
    s->back = e->a.p;
    temp_release(e, t0);
    temp_release(e, t1);
}
