/*
 * x87.c - the x87's operations as routines that translated code calls (emit_x87.c).
 *
 * Here is what programs do all the time, on operands for which little can happen: everything masked (blocks with
 * something unmasked have no IR op X87), no empty or full stack, normal numbers and zeros, results that are such too,
 * rounding to nearest, for arithmetic 64 or 53 bits of precision.  A routine that meets anything else goes to
 * `by_c` before it has changed anything; frontend/x87_op.c, which defines all of it, then does the operation.
 *
 * A routine finds the operand in s0, zero-extended, and the IR op's aux (operation, i << 8) in s1.  It may destroy
 * x0 to x7, NZCV, x15 and x29; a result is in x0.  Values are computed as in f80.c:
 *
 *      x0, w1      a, then the result: significand; sign and exponent
 *      x2, w3      b
 *      x15         TOP, the number of the physical register ST
 *      x29         address of the register that receives the result
 *
 * Rounding works on x0:x6 (integer part and what is behind it), w1 the exponent, bit 15 of w7 the sign; whether it
 * went up and whether the result is inexact are in w4 and w5.  SDM vol. 1, 4.8, 8.1 to 8.3.
 */
#include <assert.h>

#include "backend-aarch64/emit.h"
#include "frontend/f80.h"
#include "translator/backend_hooks.h"

#define R_TOP 15
#define R_DST 29
#define TOP_BIT (1ull << 63)
#define BIAS 16383
#define NSLOW 32

struct gen {
    struct as *a;
    uint8_t *slow[NSLOW];       /* branches to by_c */
    unsigned nslow;
    uint8_t *odd[4];            /* of arithmetic: where an operand is no normal number */
    uint8_t *round;             /* an addition's rounding */
};

static void slow(struct gen *g, uint8_t *branch)
{
    assert(g->nslow < NSLOW);
    g->slow[g->nslow++] = branch;
}

static void fpu(struct gen *g, bool load, unsigned log, unsigned r, uint32_t off)
{
    as_ldst(g->a, load ? OP_LDR : OP_STR, log, r, H_CPU, off);
}

/* ---- the stack ---- */

/* The status word in r, without ES and B: nothing unmasked can be pending. */
static void status(struct gen *g, unsigned r)
{
    fpu(g, true, 1, r, CPU_OFF(fpu.sw));
    as_logic_i(g->a, OPI_AND, false, r, r, 0x7f7f7f7f);
}

static void top(struct gen *g)
{
    fpu(g, true, 1, R_TOP, CPU_OFF(fpu.sw));
    as_ubfx(g->a, false, R_TOP, R_TOP, 11, 3);
}

/* d = the number of ST(i). */
static void sti(struct gen *g, unsigned d)
{
    as_rrs(g->a, OP_ADD, false, d, R_TOP, H_S1, SH_LSR, 8);
    as_logic_i(g->a, OPI_AND, false, d, d, 7);
}

/* The register whose number is in r has to be full, or empty; tags in w4, w5 is destroyed. */
static void tags(struct gen *g)
{
    fpu(g, true, 1, 4, CPU_OFF(fpu.tag));
}
static void want(struct gen *g, unsigned r, bool full)
{
    as_rrr(g->a, OP_LSRV, false, 5, 4, r);
    slow(g, full ? as_tbz(g->a, 5, 0) : as_tbnz(g->a, 5, 0));
}

/* d = address of register r; w4 is destroyed. */
static void address(struct gen *g, unsigned d, unsigned r)
{
    as_add_i(g->a, true, 4, H_CPU, CPU_OFF(fpu.r), 4);
    as_rrs(g->a, OP_ADD, true, d, 4, r, SH_LSL, 4);
}
_Static_assert(sizeof(struct f80) == 16, "shifted by 4");

static void value(struct gen *g, bool load, unsigned sig, unsigned se, unsigned at)
{
    uint32_t op = load ? OP_LDR : OP_STR;
    as_ldst(g->a, op, 3, sig, at, offsetof(struct f80, sig));
    as_ldst(g->a, op, 1, se, at, offsetof(struct f80, se));
}

/* ST, full: a; its address in x29. */
static void take_st(struct gen *g)
{
    top(g);
    tags(g);
    want(g, R_TOP, true);
    address(g, R_DST, R_TOP);
    value(g, true, 0, 1, R_DST);
}

/* Addresses of ST and ST(i), both full, in x29 and x6.  i: 8 is what aux says. */
static void find_both(struct gen *g, unsigned i)
{
    top(g);
    tags(g);
    want(g, R_TOP, true);
    if (i == 8) {
        sti(g, 6);
    } else {
        as_rri(g->a, OPI_ADD, false, 6, R_TOP, i);
        as_logic_i(g->a, OPI_AND, false, 6, 6, 7);
    }
    want(g, 6, true);
    address(g, R_DST, R_TOP);
    as_rrs(g->a, OP_ADD, true, 6, 4, 6, SH_LSL, 4);
}

/* The same; ST is a, ST(i) b. */
static void take_both(struct gen *g, unsigned i)
{
    find_both(g, i);
    value(g, true, 0, 1, R_DST);
    value(g, true, 2, 3, 6);
}

enum c1 { C1_CLEAR, C1_KEEP, C1_ROUNDED };      /* rounded: w4 is C1, w5 is PE */

/* The end: the status word in w6, after TOP has moved by `pops` (its old value in w15). */
static void finish(struct gen *g, unsigned pops, enum c1 c1)
{
    struct as *a = g->a;
    status(g, 6);
    if (c1 == C1_CLEAR) {
        as_bfi(a, false, 6, H_ZR, 9, 1);
    } else if (c1 == C1_ROUNDED) {
        as_bfi(a, false, 6, 4, 9, 1);
        as_rrs(a, OP_ORR, false, 6, 6, 5, SH_LSL, 5);
    }
    for (unsigned k = 0; k < pops; k++) {
        if (!k)
            fpu(g, true, 1, 4, CPU_OFF(fpu.tag));
        as_mov_i(a, 5, 1);
        as_rrr(a, OP_LSLV, false, 5, 5, R_TOP);
        as_rrr(a, OP_BIC, false, 4, 4, 5);
        as_rri(a, OPI_ADD, false, R_TOP, R_TOP, 1);
        as_logic_i(a, OPI_AND, false, R_TOP, R_TOP, 7);
    }
    if (pops) {
        fpu(g, false, 1, 4, CPU_OFF(fpu.tag));
        as_bfi(a, false, 6, R_TOP, 11, 3);
    }
    fpu(g, false, 1, 6, CPU_OFF(fpu.sw));
    as_ret(a);
}

/* Make room: w15 = the new TOP, which has to be empty; tags stay in w4. */
static void room(struct gen *g)
{
    as_rri(g->a, OPI_SUB, false, R_TOP, R_TOP, 1);
    as_logic_i(g->a, OPI_AND, false, R_TOP, R_TOP, 7);
    want(g, R_TOP, false);
}

/* a is pushed to register w15, which is empty. */
static void push(struct gen *g)
{
    struct as *a = g->a;
    address(g, R_DST, R_TOP);
    value(g, false, 0, 1, R_DST);
    fpu(g, true, 1, 4, CPU_OFF(fpu.tag));
    as_mov_i(a, 5, 1);
    as_rrr(a, OP_LSLV, false, 5, 5, R_TOP);
    as_rrr(a, OP_ORR, false, 4, 4, 5);
    fpu(g, false, 1, 4, CPU_OFF(fpu.tag));
    status(g, 6);
    as_bfi(a, false, 6, R_TOP, 11, 3);
    as_bfi(a, false, 6, H_ZR, 9, 1);
    fpu(g, false, 1, 6, CPU_OFF(fpu.sw));
    as_ret(a);
}

/* ---- operands ---- */

/* Unless it is a normal number, branch to what is to be patched: two branches.  w4 is destroyed. */
static void normal_or(struct gen *g, unsigned sig, unsigned se, uint8_t *odd[2])
{
    as_rri(g->a, OPI_ADD, false, 4, se, 1);             /* exponent 0 or all ones: now these bits are 0 */
    as_logic_i(g->a, OPI_ANDS, false, H_ZR, 4, 0x7ffe);
    odd[0] = as_bcc(g->a, A_EQ);
    odd[1] = as_tbz(g->a, sig, 63);
}
static void normal(struct gen *g, unsigned sig, unsigned se)
{
    uint8_t *odd[2];
    normal_or(g, sig, se, odd);
    slow(g, odd[0]);
    slow(g, odd[1]);
}

/* The same, but zeros pass. */
static void normal_or_zero(struct gen *g, unsigned sig, unsigned se)
{
    uint8_t *odd[2], *is_normal;
    normal_or(g, sig, se, odd);
    is_normal = as_b(g->a);
    as_patch(odd[0], g->a->p);
    as_patch(odd[1], g->a->p);
    as_ubfx(g->a, false, 4, se, 0, 15);
    as_rrr(g->a, OP_ORR, true, 4, 4, sig);
    slow(g, as_cbnz(g->a, true, 4));
    as_patch(is_normal, g->a->p);
}

/* The operand s0, a float or double, as sig and se; slow unless normal or zero.  w4 and x5 are destroyed. */
static void from_float(struct gen *g, bool dbl, unsigned sig, unsigned se)
{
    struct as *a = g->a;
    unsigned ebits = dbl ? 11 : 8, fbits = dbl ? 52 : 23, all = dbl ? 64 : 32;
    uint8_t *odd, *done;
    as_ubfx(a, true, 4, H_S0, fbits, ebits);
    as_rri(a, OPI_ADD, false, 5, 4, 1);
    as_logic_i(a, OPI_ANDS, false, H_ZR, 5, (1u << ebits) - 2);
    odd = as_bcc(a, A_EQ);
    as_lsl(a, true, sig, H_S0, 63 - fbits);
    as_logic_i(a, OPI_ORR, true, sig, sig, TOP_BIT);
    as_mov_i(a, 5, BIAS - ((1u << (ebits - 1)) - 1));
    as_rrr(a, OP_ADD, false, 4, 4, 5);
    as_lsr(a, true, 5, H_S0, all - 1);
    as_rrs(a, OP_ORR, false, se, 4, 5, SH_LSL, 15);
    done = as_b(a);
    as_patch(odd, a->p);
    as_lsl(a, dbl, 5, H_S0, 1);
    slow(g, as_cbnz(a, true, 5));
    as_mov_i(a, sig, 0);
    as_lsr(a, true, se, H_S0, all - 1);
    as_lsl(a, false, se, se, 15);
    as_patch(done, a->p);
}

/* The operand s0, a signed integer of `bits`. */
static void from_int(struct gen *g, unsigned bits, unsigned sig, unsigned se)
{
    struct as *a = g->a;
    uint8_t *none, *done;
    if (bits < 64)
        as_sbfx(a, true, sig, H_S0, 0, bits);
    else
        as_mov(a, true, sig, H_S0);
    none = as_cbz(a, true, sig);
    as_lsr(a, true, 5, sig, 63);
    as_rrr(a, OP_SUBS, true, H_ZR, sig, H_ZR);
    as_csneg(a, true, sig, sig, sig, A_PL);
    as_rr(a, OP_CLZ, true, 4, sig);
    as_rrr(a, OP_LSLV, true, sig, sig, 4);
    as_mov_i(a, se, BIAS + 63);
    as_rrr(a, OP_SUB, false, se, se, 4);
    as_rrs(a, OP_ORR, false, se, se, 5, SH_LSL, 15);
    done = as_b(a);
    as_patch(none, a->p);
    as_mov_i(a, se, 0);
    as_patch(done, a->p);
}

/* The groups of memory operands in x87.def's order. */
static void from_memory(struct gen *g, unsigned kind, unsigned sig, unsigned se)
{
    if (kind < 2)
        from_float(g, kind == 1, sig, se);
    else
        from_int(g, kind == 2 ? 16 : 32, sig, se);
}

/* Slow unless rounding is to nearest, and the control word in w4. */
static void to_nearest(struct gen *g)
{
    fpu(g, true, 1, 4, CPU_OFF(fpu.cw));
    as_logic_i(g->a, OPI_ANDS, false, H_ZR, 4, 0xc00);
    slow(g, as_bcc(g->a, A_NE));
}
#define CW_PC 0x300u
#define CW_PC_LONG 8            /* bit of precision control that tells 64 bits from 53 */

/* ---- arithmetic ---- */

/* Slow unless exponent w1 is one of a normal number and stays one when it grows by one.  w4 and w5 are destroyed. */
static void in_range(struct gen *g)
{
    as_rri(g->a, OPI_SUB, false, 4, 1, 1);
    as_mov_i(g->a, 5, 0x7ffd);
    as_rrr(g->a, OP_SUBS, false, H_ZR, 4, 5);
    slow(g, as_bcc(g->a, A_CS));
}

/*
 * Round x0:x6 to nearest, ties to even: up if x6 is at least half and, if x0 is even, more than that.
 * Carry then tells that x0 became 0.
 */
static void round_nearest(struct gen *g)
{
    struct as *a = g->a;
    as_rrr(a, OP_SUBS, true, H_ZR, 6, H_ZR);
    as_cset(a, 5, A_NE);
    as_logic_i(a, OPI_AND, true, 4, 0, 1);
    as_logic_i(a, OPI_EOR, true, 4, 4, TOP_BIT | 1);
    as_rrr(a, OP_SUBS, true, H_ZR, 6, 4);
    as_cset(a, 4, A_CS);
    as_rrr(a, OP_ADCS, true, 0, 0, H_ZR);
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
    as_rri(a, OPI_SUBS, false, H_ZR, 5, 66);            /* so small that any number less than a quarter will do */
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

static void multiply(struct gen *g)
{
    struct as *a = g->a;
    uint8_t *normal;
    as_rrr(a, OP_EOR, false, 7, 1, 3);
    as_ubfx(a, false, 4, 1, 0, 15);
    as_ubfx(a, false, 5, 3, 0, 15);
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
 * 32 bits of the quotient: w3 and w4 are the divisor's halves, x0 what is left of the dividend.  q = x0 / w3, too large
 * by 2 at most, is made right; s0 is x0 with the dividend's next 32 bits (in s0 before) behind, and the rest to x0.
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
    as_rrr(a, OP_EOR, false, 7, 1, 3);
    as_ubfx(a, false, 4, 1, 0, 15);
    as_ubfx(a, false, 5, 3, 0, 15);
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
    as_rrr(a, OP_SUB, true, 2, 2, 0);                   /* half a unit: the rest is as much as what it lacks */
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

/* to: ST(i) = ST(i) op ST, else ST = ST op ST(i). */
static void arith_st(struct gen *g, unsigned k, bool to, unsigned pops)
{
    find_both(g, 8);
    value(g, true, to ? 2 : 0, to ? 3 : 1, R_DST);
    value(g, true, to ? 0 : 2, to ? 1 : 3, 6);
    if (to)
        as_mov(g->a, true, R_DST, 6);
    arith(g, k, pops);
}

static void arith_mem(struct gen *g, unsigned k, unsigned kind)
{
    take_st(g);
    from_memory(g, kind, 2, 3);
    arith(g, k, 0);
}

/* ---- comparisons ---- */

/* w4 = a < b, w5 = a = b. */
static void order(struct gen *g)
{
    struct as *a = g->a;
    uint8_t *other, *done[2];
    normal_or_zero(g, 0, 1);
    normal_or_zero(g, 2, 3);
    as_rrr(a, OP_EOR, false, 4, 1, 3);
    other = as_tbnz(a, 4, 15);
    as_logic_i(a, OPI_ANDS, false, H_ZR, 1, 0x8000);    /* both negative: the other way round */
    as_csel(a, true, 6, 2, 0, A_NE);
    as_csel(a, true, 2, 0, 2, A_NE);
    as_csel(a, false, 7, 3, 1, A_NE);
    as_csel(a, false, 3, 1, 3, A_NE);
    as_rrr(a, OP_SUBS, false, H_ZR, 7, 3);
    done[0] = as_bcc(a, A_NE);
    as_rrr(a, OP_SUBS, true, H_ZR, 6, 2);
    as_patch(done[0], a->p);
    as_cset(a, 4, A_CC);
    as_cset(a, 5, A_EQ);
    done[1] = as_b(a);
    as_patch(other, a->p);                              /* different signs: equal if both are zero, else by a's */
    as_rrr(a, OP_ORR, true, 6, 0, 2);
    as_rrr(a, OP_SUBS, true, H_ZR, 6, H_ZR);
    as_cset(a, 5, A_EQ);
    as_ubfx(a, false, 4, 1, 15, 1);
    as_csel(a, false, 4, H_ZR, 4, A_EQ);
    as_patch(done[1], a->p);
}

/* C3, C2, C0 and C1 = 0; then as finish(). */
static void compared(struct gen *g, unsigned pops)
{
    order(g);
    status(g, 6);
    as_bfi(g->a, false, 6, 4, 8, 3);
    as_bfi(g->a, false, 6, 5, 14, 1);
    fpu(g, false, 1, 6, CPU_OFF(fpu.sw));
    finish(g, pops, C1_KEEP);
}

static void compare_st(struct gen *g, unsigned i, unsigned pops)
{
    take_both(g, i);
    compared(g, pops);
}

static void compare_mem(struct gen *g, unsigned kind, unsigned pops)
{
    take_st(g);
    from_memory(g, kind, 2, 3);
    compared(g, pops);
}

static void test_zero(struct gen *g)
{
    take_st(g);
    as_mov_i(g->a, 2, 0);
    as_mov_i(g->a, 3, 0);
    compared(g, 0);
}

/* The flags: CF, ZF, all others 0. */
static void compare_flags(struct gen *g, unsigned pops)
{
    take_both(g, 8);
    order(g);
    as_rrs(g->a, OP_ORR, false, 0, 4, 5, SH_LSL, 6);
    finish(g, pops, C1_KEEP);
}
_Static_assert(FL_CF == 1 && FL_ZF == 1 << 6, "made of w4 and w5");

/* ---- moves ---- */

static void load_mem(struct gen *g, unsigned op)
{
    top(g);
    tags(g);
    room(g);
    switch (op) {
    case X87_FLD_M32: case X87_FLD_M64:
        from_float(g, op == X87_FLD_M64, 0, 1);
        break;
    case X87_FLD_M80:
        as_mov(g->a, true, 0, H_S0);
        fpu(g, true, 1, 1, CPU_OFF(hv) + 8);
        break;
    default:
        from_int(g, 16u << (op - X87_FILD_16), 0, 1);
    }
    push(g);
}

static void load_st(struct gen *g)
{
    top(g);
    tags(g);
    sti(g, 6);
    want(g, 6, true);
    room(g);
    address(g, 6, 6);
    value(g, true, 0, 1, 6);
    push(g);
}

static void load_const(struct gen *g, struct f80 v)
{
    top(g);
    tags(g);
    room(g);
    as_mov_i(g->a, 0, v.sig);
    as_mov_i(g->a, 1, v.se);
    push(g);
}

static void exchange(struct gen *g)
{
    take_both(g, 8);
    value(g, false, 0, 1, 6);
    value(g, false, 2, 3, R_DST);
    finish(g, 0, C1_CLEAR);
}

/* FST and FSTP ST(i). */
static void copy(struct gen *g, unsigned pops)
{
    struct as *a = g->a;
    take_st(g);
    sti(g, 6);
    address(g, 7, 6);
    value(g, false, 0, 1, 7);
    fpu(g, true, 1, 4, CPU_OFF(fpu.tag));
    as_mov_i(a, 5, 1);
    as_rrr(a, OP_LSLV, false, 5, 5, 6);
    as_rrr(a, OP_ORR, false, 4, 4, 5);
    fpu(g, false, 1, 4, CPU_OFF(fpu.tag));
    finish(g, pops, C1_CLEAR);
}

static void copy_if(struct gen *g)
{
    uint8_t *not;
    take_both(g, 8);
    not = as_cbz(g->a, false, H_S0);
    value(g, false, 2, 3, R_DST);
    as_patch(not, g->a->p);
    finish(g, 0, C1_KEEP);
}

static void sign(struct gen *g, unsigned op)
{
    take_st(g);
    if (op == X87_FCHS)
        as_logic_i(g->a, OPI_EOR, false, 1, 1, 0x8000);
    else
        as_logic_i(g->a, OPI_AND, false, 1, 1, 0x7fff);
    as_ldst(g->a, OP_STR, 1, 1, R_DST, offsetof(struct f80, se));
    finish(g, 0, C1_CLEAR);
}

static void turn(struct gen *g, int by)
{
    top(g);
    as_rri(g->a, by < 0 ? OPI_SUB : OPI_ADD, false, R_TOP, R_TOP, 1);
    status(g, 6);
    as_bfi(g->a, false, 6, R_TOP, 11, 3);
    as_bfi(g->a, false, 6, H_ZR, 9, 1);
    fpu(g, false, 1, 6, CPU_OFF(fpu.sw));
    as_ret(g->a);
}

/* ---- stores ---- */

/*
 * ST to a float or double: x0:x6 is the significand at the format's last bit.  Adding the exponent less one to
 * x0, whose highest bit is the 1 before the point, lets a carry grow it.
 */
static void store_float(struct gen *g, bool dbl)
{
    struct as *a = g->a;
    unsigned ebits = dbl ? 11 : 8, fbits = dbl ? 52 : 23, emax = (1u << ebits) - 1;
    uint8_t *zero;
    take_st(g);
    to_nearest(g);
    as_ubfx(a, false, 7, 1, 15, 1);
    as_ubfx(a, false, 1, 1, 0, 15);
    as_rrr(a, OP_ORR, true, 4, 0, 1);
    zero = as_cbz(a, true, 4);
    slow(g, as_tbz(a, 0, 63));
    as_mov_i(a, 4, BIAS - (emax >> 1) + 1);             /* w1: its exponent less one, 0 to emax - 3 */
    as_rrr(a, OP_SUB, false, 1, 1, 4);
    as_rri(a, OPI_SUBS, false, H_ZR, 1, emax - 2);
    slow(g, as_bcc(a, A_CS));
    as_lsl(a, true, 6, 0, fbits + 1);
    as_lsr(a, true, 0, 0, 63 - fbits);
    round_nearest(g);
    as_rrs(a, OP_ADD, true, 0, 0, 1, SH_LSL, fbits);
    as_rrs(a, OP_ORR, true, 0, 0, 7, SH_LSL, fbits + ebits);
    finish(g, 0, C1_ROUNDED);
    as_patch(zero, a->p);
    as_lsl(a, true, 0, 7, fbits + ebits);
    finish(g, 0, C1_CLEAR);
}

/*
 * ST to an integer, rounded to nearest or, if asked for or `cut`, towards zero.  x0:x6 is the magnitude; what is less
 * than a half is known to be inexact and nothing more.
 */
static void store_int(struct gen *g, unsigned bits, bool cut)
{
    struct as *a = g->a;
    uint8_t *zero, *small, *tiny, *made[2], *nearest = NULL, *rounded = NULL;
    take_st(g);
    as_ubfx(a, false, 7, 1, 15, 1);
    as_ubfx(a, false, 1, 1, 0, 15);
    as_rrr(a, OP_ORR, true, 4, 0, 1);
    zero = as_cbz(a, true, 4);
    slow(g, as_tbz(a, 0, 63));
    if (!cut) {                                         /* w3: 0 is to nearest, 3 towards zero */
        fpu(g, true, 1, 3, CPU_OFF(fpu.cw));
        as_ubfx(a, false, 3, 3, 10, 2);
        as_rri(a, OPI_SUB, false, 4, 3, 1);
        as_rri(a, OPI_SUBS, false, H_ZR, 4, 2);
        slow(g, as_bcc(a, A_CC));
    }
    as_mov_i(a, 4, BIAS);
    as_rrr(a, OP_SUBS, false, 1, 1, 4);
    small = as_bcc(a, A_MI);
    as_rri(a, OPI_SUBS, false, H_ZR, 1, 63);
    slow(g, as_bcc(a, A_CS));
    as_rri(a, OPI_ADD, false, 4, 1, 1);
    as_rrr(a, OP_LSLV, true, 6, 0, 4);                  /* 1 to 63 bits before the point */
    as_rrr(a, OP_ORN, false, 4, H_ZR, 1);
    as_rrr(a, OP_LSRV, true, 0, 0, 4);
    made[0] = as_b(a);
    as_patch(small, a->p);
    as_rri(a, OPI_ADDS, false, H_ZR, 1, 1);             /* a half to one? */
    tiny = as_bcc(a, A_NE);
    as_mov(a, true, 6, 0);
    as_mov_i(a, 0, 0);
    made[1] = as_b(a);
    as_patch(tiny, a->p);
    as_mov_i(a, 6, 1);
    as_mov_i(a, 0, 0);
    as_patch(made[0], a->p);
    as_patch(made[1], a->p);
    if (!cut)
        nearest = as_cbz(a, false, 3);
    as_rrr(a, OP_SUBS, true, H_ZR, 6, H_ZR);
    as_cset(a, 5, A_NE);
    as_mov_i(a, 4, 0);
    if (!cut) {
        rounded = as_b(a);
        as_patch(nearest, a->p);
        round_nearest(g);
        as_patch(rounded, a->p);
    }
    /* The largest magnitude is one more if it is negative; then the sign. */
    as_mov_i(a, 2, (1ull << (bits - 1)) - 1);
    as_rrr(a, OP_ADD, true, 2, 2, 7);
    as_rrr(a, OP_SUBS, true, H_ZR, 0, 2);
    slow(g, as_bcc(a, A_HI));
    as_rrr(a, OP_SUBS, false, H_ZR, 7, H_ZR);
    as_csneg(a, true, 0, 0, 0, A_EQ);
    if (bits < 64)
        as_ubfx(a, true, 0, 0, 0, bits);
    finish(g, 0, C1_ROUNDED);
    as_patch(zero, a->p);
    as_mov_i(a, 0, 0);
    finish(g, 0, C1_CLEAR);
}

static void store_80(struct gen *g)
{
    take_st(g);
    fpu(g, false, 1, 1, CPU_OFF(hv) + 8);
    finish(g, 0, C1_CLEAR);
}

/* The popping form behind a store: that has left the flags and C1 this would. */
static void pop(struct gen *g)
{
    top(g);
    tags(g);
    want(g, R_TOP, true);
    finish(g, 1, C1_KEEP);
}

/* ---- all of them ---- */

/* Operation op; false: it is left to C. */
static bool routine(struct gen *g, unsigned op)
{
    if (op < X87_FADD_M32) {
        arith_st(g, op % 6, op >= X87_FADD_TO, op >= X87_FADDP);
        return true;
    }
    if (op <= X87_FDIVR_I32) {
        arith_mem(g, (op - X87_FADD_M32) % 6, (op - X87_FADD_M32) / 6);
        return true;
    }
    if (op >= X87_FCOM_M32 && op <= X87_FCOMP_I32) {
        compare_mem(g, (op - X87_FCOM_M32) / 2, (op - X87_FCOM_M32) % 2);
        return true;
    }
    if (x87_info[op].kind == X87_POP) {
        pop(g);
        return true;
    }
    switch (op) {
    case X87_FCOM: case X87_FCOMP:
        compare_st(g, 8, op - X87_FCOM);
        break;
    case X87_FUCOM: case X87_FUCOMP:
        compare_st(g, 8, op - X87_FUCOM);
        break;
    case X87_FCOMPP: case X87_FUCOMPP:
        compare_st(g, 1, 2);
        break;
    case X87_FCOMI: case X87_FUCOMI:
        compare_flags(g, 0);
        break;
    case X87_FCOMIP: case X87_FUCOMIP:
        compare_flags(g, 1);
        break;
    case X87_FTST:
        test_zero(g);
        break;
    case X87_FLD:
        load_st(g);
        break;
    case X87_FXCH:
        exchange(g);
        break;
    case X87_FST: case X87_FSTP:
        copy(g, op == X87_FSTP);
        break;
    case X87_FCMOV:
        copy_if(g);
        break;
    case X87_FLD_M32: case X87_FLD_M64: case X87_FLD_M80: case X87_FILD_16: case X87_FILD_32: case X87_FILD_64:
        load_mem(g, op);
        break;
    case X87_FLD1:
        load_const(g, f80_make(false, BIAS, TOP_BIT));
        break;
    case X87_FLDZ:
        load_const(g, f80_zero(false));
        break;
    case X87_FCHS: case X87_FABS:
        sign(g, op);
        break;
    case X87_FDECSTP: case X87_FINCSTP:
        turn(g, op == X87_FINCSTP ? 1 : -1);
        break;
    case X87_FST_M32: case X87_FST_M64:
        store_float(g, op == X87_FST_M64);
        break;
    case X87_FST_M80:
        store_80(g);
        break;
    case X87_FIST_16: case X87_FIST_32: case X87_FIST_64:
        store_int(g, 16u << (op - X87_FIST_16), false);
        break;
    case X87_FISTT_16: case X87_FISTT_32: case X87_FISTT_64:
        store_int(g, 16u << (op - X87_FISTT_16), true);
        break;
    default:
        return false;
    }
    return true;
}

/* What no routine does.  C may use floating point for a function, the flags in FPSR are SSE's. */
static uint64_t by_c(struct cpu *c, uint64_t aux, uint64_t m)
{
    union vreg a = { .q = { m, 0 } }, res;
    backend_fp_sync(c);
    x87_op(c, (unsigned)aux, &a, &res);
    backend_fp_changed(c);
    return res.q[0];
}

/*
 * A call of C that needs none of the guest's registers: only what C may destroy is kept, which is
 * x8 to x14 and the vector registers.
 */
static uint8_t *gen_by_c(struct as *a)
{
    enum { VECTORS = 64, FRAME = VECTORS + 16 * (VT_COUNT + 16) };
    uint8_t *p = a->p;
    as_pair(a, OP_STP_PRE, 8, H_LR, H_SP, -FRAME);
    for (unsigned r = 9; r < 15; r += 2)
        as_pair(a, OP_STP, r, r + 1, H_SP, 16 + 8 * (int32_t)(r - 9));
    for (unsigned v = 0; v < VT_COUNT + 16; v += 2) {
        unsigned x = v < VT_COUNT ? VT_FIRST + v : V_HOME + v - VT_COUNT;
        as_vpair(a, true, x, x + 1, H_SP, VECTORS + 16 * (int32_t)v);
    }
    as_ldst(a, OP_STR, 3, H_LR, H_CPU, CPU_OFF(link_ra));
    as_mov(a, true, 0, H_CPU);
    as_mov(a, true, 1, H_S1);
    as_mov(a, true, 2, H_S0);
    as_mov_i(a, H_S0, (uint64_t)(uintptr_t)by_c);
    as_call(a, H_S0);
    for (unsigned v = 0; v < VT_COUNT + 16; v += 2) {
        unsigned x = v < VT_COUNT ? VT_FIRST + v : V_HOME + v - VT_COUNT;
        as_vpair(a, false, x, x + 1, H_SP, VECTORS + 16 * (int32_t)v);
    }
    for (unsigned r = 9; r < 15; r += 2)
        as_pair(a, OP_LDP, r, r + 1, H_SP, 16 + 8 * (int32_t)(r - 9));
    as_pair(a, OP_LDP_POST, 8, H_LR, H_SP, FRAME);
    as_ret(a);
    return p;
}

void x87_routines(struct backend *be, struct as *a)
{
    uint8_t *c = gen_by_c(a);
    for (unsigned op = 0; op < X87_COUNT; op++) {
        struct gen g = { .a = a };
        uint8_t *p = a->p;
        be->x87[op] = routine(&g, op) ? p : c;
        if (!g.nslow)
            continue;
        for (unsigned k = 0; k < g.nslow; k++)
            as_patch(g.slow[k], a->p);
        as_b_to(a, c);
    }
}
