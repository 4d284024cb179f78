/*
 * x87_arith.c - the routines for FADD, FMUL, FSUB and FDIV of normal numbers and zeros.
 *
 * To nearest, with 64 or 53 bits of precision; results are normal or exactly zero.
 */
#include "backend-aarch64/x87.h"

/* Slow unless exponent w1 is a normal number's and stays one when it grows by one; w4, w5 destroyed. */
static void in_range(struct gen *g)
{
    as_rri(g->a, OPI_SUB, false, 4, 1, 1);
    as_mov_i(g->a, 5, 0x7ffd);
    as_rrr(g->a, OP_SUBS, false, H_ZR, 4, 5);
    slow(g, as_bcc(g->a, A_CS));
}

/* To 64 bits, or to 53, then with the others behind for the time being. */
static void round_80(struct gen *g)
{
    struct as *a = g->a;
    uint8_t *shorter, *done;
    fpu(g, true, 1, 4, CPU_OFF(fpu.cw));
    shorter = as_tbz(a, 4, CW_PC_LONG);
    round_nearest(g);
    as_csinc(a, false, 1, 1, 1, A_CC);
    done = as_b(a);
    as_patch(shorter, a->p);
    as_rrr(a, OP_SUBS, true, H_ZR, 6, H_ZR);
    as_cset(a, 4, A_NE);
    as_rrs(a, OP_ORR, true, 6, 4, 0, SH_LSL, 53);
    as_lsr(a, true, 0, 0, 11);
    round_nearest(g);
    as_lsl(a, true, 0, 0, 11);
    as_rrr(a, OP_SUBS, true, H_ZR, 0, H_ZR);
    as_csinc(a, false, 1, 1, 1, A_NE);
    as_patch(done, a->p);
    as_logic_i(a, OPI_ORR, true, 0, 0, TOP_BIT);        /* it is set, but for that 0 */
    as_logic_i(a, OPI_AND, false, 7, 7, 0x8000);
    as_rrr(a, OP_ORR, false, 1, 1, 7);
}

/* a + b, or a - b. */
static void add(struct gen *g)
{
    struct as *a = g->a;
    uint8_t *near, *aligned, *sub, *whole, *round[3], *zero;
    /* x0, w1, with sign w7: the larger one; x2: the smaller one, w5 smaller in the exponent */
    as_ubfx(a, false, 4, 1, 0, 15);
    as_ubfx(a, false, 5, 3, 0, 15);
    as_rrr(a, OP_SUBS, true, H_ZR, 0, 2);
    as_rrr(a, OP_SBCS, true, H_ZR, 4, 5);
    as_csel(a, false, 7, 1, 3, A_CS);
    as_rrr(a, OP_EOR, false, 3, 1, 3);
    as_csel(a, true, 6, 0, 2, A_CS);
    as_csel(a, true, 2, 2, 0, A_CS);
    as_csel(a, false, 1, 4, 5, A_CS);
    as_csel(a, false, 5, 5, 4, A_CS);
    as_mov(a, true, 0, 6);
    as_rrr(a, OP_SUB, false, 5, 1, 5);
    as_rri(a, OPI_SUBS, false, H_ZR, 5, 63);
    near = as_bcc(a, A_LS);
    as_rri(a, OPI_SUBS, false, H_ZR, 5, 66);            /* less than a quarter: any such will do */
    slow(g, as_bcc(a, A_CC));
    as_mov_i(a, 6, 1);
    as_mov_i(a, 2, 0);
    aligned = as_b(a);
    as_patch(near, a->p);                               /* x2:x6 = x2:0 >> w5 */
    as_rrr(a, OP_ORN, false, 4, H_ZR, 5);
    as_lsl(a, true, 6, 2, 1);
    as_rrr(a, OP_LSLV, true, 6, 6, 4);
    as_rrr(a, OP_LSRV, true, 2, 2, 5);
    as_patch(aligned, a->p);
    sub = as_tbnz(a, 3, 15);
    as_rrr(a, OP_ADDS, true, 0, 0, 2);
    round[0] = as_bcc(a, A_CC);
    as_logic_i(a, OPI_AND, true, 4, 6, 1);
    as_extr(a, true, 6, 0, 6, 1);
    as_rrr(a, OP_ORR, true, 6, 6, 4);
    as_lsr(a, true, 0, 0, 1);
    as_logic_i(a, OPI_ORR, true, 0, 0, TOP_BIT);
    as_rri(a, OPI_ADD, false, 1, 1, 1);
    round[1] = as_b(a);
    as_patch(sub, a->p);
    as_rrr(a, OP_SUBS, true, 6, H_ZR, 6);
    as_rrr(a, OP_SBC, true, 0, 0, 2);
    whole = as_cbnz(a, true, 0);
    zero = as_cbz(a, true, 6);
    as_mov(a, true, 0, 6);
    as_mov_i(a, 6, 0);
    as_rri(a, OPI_SUB, false, 1, 1, 64);
    as_patch(whole, a->p);
    as_rr(a, OP_CLZ, true, 4, 0);
    as_rrr(a, OP_SUB, false, 1, 1, 4);
    as_rrr(a, OP_LSLV, true, 0, 0, 4);
    as_rrr(a, OP_ORN, false, 5, H_ZR, 4);
    as_lsr(a, true, 2, 6, 1);
    as_rrr(a, OP_LSRV, true, 2, 2, 5);
    as_rrr(a, OP_ORR, true, 0, 0, 2);
    as_rrr(a, OP_LSLV, true, 6, 6, 4);
    as_patch(round[0], a->p);
    as_patch(round[1], a->p);
    g->round = a->p;
    in_range(g);
    round_80(g);
    round[2] = as_b(a);
    as_patch(zero, a->p);                               /* x - x, exact: +0 */
    as_mov_i(a, 1, 0);
    as_mov_i(a, 4, 0);
    as_mov_i(a, 5, 0);
    as_patch(round[2], a->p);
}

/* Of x1 and x3: w7 = the product's or quotient's sign (bit 15), w4 and w5 the exponents. */
static void sign_and_exponents(struct as *a)
{
    as_rrr(a, OP_EOR, false, 7, 1, 3);
    as_ubfx(a, false, 4, 1, 0, 15);
    as_ubfx(a, false, 5, 3, 0, 15);
}

static void multiply(struct gen *g)
{
    struct as *a = g->a;
    uint8_t *normal;
    sign_and_exponents(a);
    as_rrr(a, OP_ADD, false, 1, 4, 5);
    as_mov_i(a, 4, BIAS - 1);
    as_rrr(a, OP_SUB, false, 1, 1, 4);
    as_rrr(a, OP_MUL, true, 6, 0, 2);
    as_rrr(a, OP_UMULH, true, 0, 0, 2);
    normal = as_tbnz(a, 0, 63);
    as_extr(a, true, 0, 0, 6, 63);
    as_lsl(a, true, 6, 6, 1);
    as_rri(a, OPI_SUB, false, 1, 1, 1);
    as_patch(normal, a->p);
    in_range(g);
    round_80(g);
}

/*
 * 32 bits of the quotient: w3 and w4 are the divisor's halves, x0 what is left of the dividend, s0 the
 * dividend's next 32 bits.  q = x0 / w3, too large by 2 at most, is made right; the rest goes to x0.
 */
static void digit(struct gen *g, unsigned q)
{
    struct as *a = g->a;
    uint8_t *again, *fix, *right[2];
    as_rrr(a, OP_UDIV, true, q, 0, 3);
    as_msub(a, true, 0, q, 3, 0);
    as_rrs(a, OP_ADD, true, H_S0, H_S0, 0, SH_LSL, 32);
    again = a->p;
    as_lsr(a, true, H_S1, q, 32);
    fix = as_cbnz(a, true, H_S1);
    as_rrr(a, OP_MUL, true, H_S1, q, 4);
    as_rrr(a, OP_SUBS, true, H_ZR, H_S1, H_S0);
    right[0] = as_bcc(a, A_LS);
    as_patch(fix, a->p);
    as_rri(a, OPI_SUB, true, q, q, 1);
    as_rrr(a, OP_ADD, true, 0, 0, 3);
    as_rrs(a, OP_ADD, true, H_S0, H_S0, 3, SH_LSL, 32);
    as_lsr(a, true, H_S1, 0, 32);
    right[1] = as_cbnz(a, true, H_S1);
    as_b_to(a, again);
    as_patch(right[0], a->p);
    as_patch(right[1], a->p);
    as_msub(a, true, 0, q, 4, H_S0);
}

/* The dividend is x0:x6 < x2 << 64: 63 bits of zeros at its end. */
static void divide(struct gen *g)
{
    struct as *a = g->a;
    sign_and_exponents(a);
    as_rrr(a, OP_SUB, false, 1, 4, 5);
    as_mov_i(a, 4, BIAS - 1);
    as_rrr(a, OP_ADD, false, 1, 1, 4);
    as_rrr(a, OP_SUBS, true, H_ZR, 0, 2);
    as_csinc(a, false, 1, 1, 1, A_CC);
    as_cset(a, 4, A_CS);
    as_lsl(a, true, 6, 0, 63);
    as_csel(a, true, 6, 6, H_ZR, A_CS);
    as_rrr(a, OP_LSRV, true, 0, 0, 4);
    in_range(g);                                        /* s0 and s1 are free now */
    as_lsr(a, true, 3, 2, 32);
    as_mov(a, false, 4, 2);
    as_lsr(a, true, H_S0, 6, 32);
    digit(g, 5);
    as_mov_i(a, H_S0, 0);
    digit(g, 6);
    as_rrs(a, OP_ADD, true, 5, 6, 5, SH_LSL, 32);
    as_rrr(a, OP_SUB, true, 2, 2, 0);                   /* half a unit: the rest is what it lacks */
    as_rrr(a, OP_SUBS, true, H_ZR, 0, 2);
    as_cset(a, 3, A_CS);
    as_cset(a, 6, A_NE);
    as_rrr(a, OP_SUBS, true, H_ZR, 0, H_ZR);
    as_csel(a, true, 6, H_ZR, 6, A_EQ);
    as_rrs(a, OP_ORR, true, 6, 6, 3, SH_LSL, 63);
    as_mov(a, true, 0, 5);
    round_80(g);
}

/* Slow unless it is zero, or, `branch`, what is returned is the branch where it is not.  x4 is destroyed. */
static uint8_t *is_zero(struct gen *g, unsigned sig, unsigned se, bool branch)
{
    uint8_t *other;
    as_ubfx(g->a, false, 4, se, 0, 15);
    as_rrr(g->a, OP_ORR, true, 4, 4, sig);
    other = as_cbnz(g->a, true, 4);
    if (branch)
        return other;
    slow(g, other);
    return NULL;
}

/* Out of line: one of the operands is zero, the other normal.  A sum is the other one, rounded. */
static void sum_with_zero(struct gen *g)
{
    struct as *a = g->a;
    uint8_t *other = is_zero(g, 2, 3, true);
    normal(g, 0, 1);
    as_mov_i(a, 6, 0);
    as_mov(a, false, 7, 1);
    as_ubfx(a, false, 1, 1, 0, 15);
    as_b_to(a, g->round);
    as_patch(other, a->p);
    is_zero(g, 0, 1, false);
    normal(g, 2, 3);
    as_mov_i(a, 6, 0);
    as_mov(a, false, 7, 3);
    as_mov(a, true, 0, 2);
    as_ubfx(a, false, 1, 3, 0, 15);
    as_b_to(a, g->round);
}

/* A product, or a quotient with zero as its dividend, is zero. */
static void product_with_zero(struct gen *g, bool quotient, const uint8_t *store)
{
    struct as *a = g->a;
    uint8_t *other, *zero = NULL;
    if (!quotient) {
        other = is_zero(g, 2, 3, true);
        normal(g, 0, 1);
        zero = as_b(a);
        as_patch(other, a->p);
    }
    is_zero(g, 0, 1, false);
    normal(g, 2, 3);
    if (zero)
        as_patch(zero, a->p);
    as_rrr(a, OP_EOR, false, 1, 1, 3);
    as_logic_i(a, OPI_AND, false, 1, 1, 0x8000);
    as_mov_i(a, 0, 0);
    as_mov_i(a, 4, 0);
    as_mov_i(a, 5, 0);
    as_b_to(a, store);
}

/* k: ADD MUL SUB SUBR DIV DIVR of a and b, and the end. */
static void arith(struct gen *g, unsigned k, unsigned pops)
{
    struct as *a = g->a;
    uint8_t *store;
    to_nearest(g);
    as_logic_i(a, OPI_ANDS, false, H_ZR, 4, CW_PC);
    slow(g, as_bcc(a, A_EQ));
    if (k == 2 || k == 3)
        as_logic_i(a, OPI_EOR, false, k == 2 ? 3 : 1, k == 2 ? 3 : 1, 0x8000);
    if (k == 5) {
        as_mov(a, true, 6, 0);
        as_mov(a, true, 0, 2);
        as_mov(a, true, 2, 6);
        as_mov(a, false, 6, 1);
        as_mov(a, false, 1, 3);
        as_mov(a, false, 3, 6);
    }
    normal_or(g, 0, 1, &g->odd[0]);
    normal_or(g, 2, 3, &g->odd[2]);
    if (k == 1)
        multiply(g);
    else if (k >= 4)
        divide(g);
    else
        add(g);
    store = a->p;
    value(g, false, 0, 1, R_DST);
    finish(g, pops, C1_ROUNDED);
    for (unsigned n = 0; n < 4; n++)
        as_patch(g->odd[n], a->p);
    if (k == 1 || k >= 4)
        product_with_zero(g, k >= 4, store);
    else
        sum_with_zero(g);
}

void x87_arith_st(struct gen *g, unsigned k, bool to, unsigned pops)
{
    find_both(g, 8);
    value(g, true, to ? 2 : 0, to ? 3 : 1, R_DST);
    value(g, true, to ? 0 : 2, to ? 1 : 3, 6);
    if (to)
        as_mov(g->a, true, R_DST, 6);
    arith(g, k, pops);
}

void x87_arith_mem(struct gen *g, unsigned k, unsigned kind)
{
    take_st(g);
    from_memory(g, kind, 2, 3);
    arith(g, k, 0);
}
