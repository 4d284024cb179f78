/*
 * emit_mul.c - multiplication and division.
 *
 * The host divides 64 by 64 bits and never traps.  That is enough for operands of
 * up to 32 bits, and for 128 by 64 where the upper half says nothing new; the rest
 * is done by C.
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

/* Quotient or remainder in d. */
static void divide(struct emit *e, const struct ir_ins *p, unsigned d, unsigned n, unsigned by)
{
    if (p->op == IR_DIV) {
        as_rrr(&e->a, p->aux & 1 ? OP_SDIV : OP_UDIV, true, d, n, by);
    } else {
        as_rrr(&e->a, p->aux & 1 ? OP_SDIV : OP_UDIV, true, H_S1, n, by);
        as_msub(&e->a, true, d, H_S1, by, n);
    }
}

/* s0 = 0 if the upper half a says no more than the lower half b. */
static void upper_says(struct emit *e, const struct ir_ins *p, unsigned lo)
{
    use_extended(e, p->a, false, H_S0);
    if (p->aux & 1)
        as_rrs(&e->a, OP_EOR, true, H_S0, H_S0, lo, SH_ASR, 63);
}

static void emit_div(struct emit *e, const struct ir_ins *p)
{
    unsigned d, t0 = temp_get(e), t1 = temp_get(e);
    uint8_t *slow = NULL, *done;
    if (p->type == TY_I64) {
        const ir_ref ops[3] = { p->a, p->b, p->c };
        use_extended(e, p->b, false, t0);
        use_extended(e, p->c, false, t1);
        upper_says(e, p, t0);
        d = temp_get(e);
        slow = as_cbnz(&e->a, true, H_S0);
        divide(e, p, d, t0, t1);
        done = as_b(&e->a);
        as_patch(slow, e->a.p);
        for (unsigned k = 0; k < 3; k++)
            emit_va(e, k, ops[k]);
        emit_op_call(e, p);
        host_field(e, true, 3, d, CPU_OFF(va));
        as_patch(done, e->a.p);
    } else {
        extend_dividend(e, p, t0, t1);
        d = temp_get(e);
        divide(e, p, d, t0, t1);
    }
    temp_release(e, t0);
    temp_release(e, t1);
    def_done(e, e->i, d, 0xff, false);
}

void emit_muldiv(struct emit *e, const struct ir_ins *p)
{
    const struct ir_ins *f = flags_wanted(e, e->i);
    unsigned home, d, x, y;
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

/* #DE checks.  What they do not let pass at once is decided by C. */
void emit_divchk(struct emit *e, const struct ir_ins *p)
{
    enum ir_type t = (enum ir_type)p->type;
    unsigned t0, t1;
    struct slow *s;
    flags_clobber(e);
    t0 = temp_get(e);
    t1 = temp_get(e);
    s = &e->slow[e->nslow++];
    *s = (struct slow){ .type = (uint8_t)t, .pc = e->pc, .kind = SLOW_DIVS };
    if (!(p->aux & 1)) {                        /* fits if the upper half is below the divisor */
        use_extended(e, p->a, false, t0);
        use_extended(e, p->c, false, t1);
        s->kind = SLOW_DE;
        as_rrr(&e->a, OP_SUBS, true, H_ZR, t0, t1);
        s->from[0] = as_bcc(&e->a, A_CS);
    } else if (t == TY_I64) {
        use_extended(e, p->b, false, t0);
        use_extended(e, p->c, false, t1);
        upper_says(e, p, t0);
        s->from[0] = as_cbnz(&e->a, true, H_S0);
        as_rri(&e->a, OPI_ADD, true, H_S0, t1, 1);      /* neither -1 nor 0 */
        as_rri(&e->a, OPI_SUBS, true, H_ZR, H_S0, 1);
        s->from[1] = as_bcc(&e->a, A_LS);
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
