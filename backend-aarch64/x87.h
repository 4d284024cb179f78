/*
 * x87.h - what the routines for x87 operations are made of (x87.c, x87_arith.c).
 *
 * A routine finds the operand in s0, zero-extended, and the IR op's aux (operation, i << 8)
 * in s1.  It may destroy x0 to x4, x5 to x7 until it goes back(), NZCV, x15 and x29; a result is in x0.  Values are computed
 * as in f80.c:
 *
 *      x0, w1      a, then the result: significand; sign and exponent
 *      x2, w3      b
 *      x15         TOP, the number of the physical register ST
 *      x29         address of the register that receives the result
 *
 * Rounding works on x0:x6 (integer part and what is behind it), w1 the exponent, bit 15 of w7
 * the sign; whether it went up and whether the result is inexact are in w4 and w5.  What a
 * routine leaves to C it leaves by slow(), before it has changed anything.
 */
#ifndef BACKEND_AARCH64_X87_H
#define BACKEND_AARCH64_X87_H

#include <assert.h>

#include "backend-aarch64/emit.h"
#include "frontend/f80.h"

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

static inline void slow(struct gen *g, uint8_t *branch)
{
    assert(g->nslow < NSLOW);
    g->slow[g->nslow++] = branch;
}

static inline void fpu(struct gen *g, bool load, unsigned log, unsigned r, uint32_t off)
{
    as_ldst(g->a, load ? OP_LDR : OP_STR, log, r, H_CPU, off);
}

static inline void back(struct gen *g)
{
    for (unsigned r = H_WMASK; r <= H_MASK; r++)
        fpu(g, true, 3, r, CPU_OFF(temp) + 8 * r);
    as_ret(g->a);
}

/* ---- the stack ---- */

/* The status word in r, without ES and B: nothing unmasked can be pending. */
static inline void status(struct gen *g, unsigned r)
{
    fpu(g, true, 1, r, CPU_OFF(fpu.sw));
    as_logic_i(g->a, OPI_AND, false, r, r, 0x7f7f7f7f);
}

static inline void top(struct gen *g)
{
    fpu(g, true, 1, R_TOP, CPU_OFF(fpu.sw));
    as_ubfx(g->a, false, R_TOP, R_TOP, 11, 3);
}

/* d = the number of ST(i). */
static inline void sti(struct gen *g, unsigned d)
{
    as_rrs(g->a, OP_ADD, false, d, R_TOP, H_S1, SH_LSR, 8);
    as_logic_i(g->a, OPI_AND, false, d, d, 7);
}

/* The register whose number is in r has to be full, or empty; tags in w4, w5 is destroyed. */
static inline void tags(struct gen *g)
{
    fpu(g, true, 1, 4, CPU_OFF(fpu.tag));
}
static inline void want(struct gen *g, unsigned r, bool full)
{
    as_rrr(g->a, OP_LSRV, false, 5, 4, r);
    slow(g, full ? as_tbz(g->a, 5, 0) : as_tbnz(g->a, 5, 0));
}

/* d = address of register r; w4 is destroyed. */
static inline void address(struct gen *g, unsigned d, unsigned r)
{
    as_add_i(g->a, true, 4, H_CPU, CPU_OFF(fpu.r), 4);
    as_rrs(g->a, OP_ADD, true, d, 4, r, SH_LSL, 4);
}
_Static_assert(sizeof(struct f80) == 16, "shifted by 4");

static inline void value(struct gen *g, bool load, unsigned sig, unsigned se, unsigned at)
{
    uint32_t op = load ? OP_LDR : OP_STR;
    as_ldst(g->a, op, 3, sig, at, offsetof(struct f80, sig));
    as_ldst(g->a, op, 1, se, at, offsetof(struct f80, se));
}

/* ST, full: a; its address in x29. */
static inline void take_st(struct gen *g)
{
    top(g);
    tags(g);
    want(g, R_TOP, true);
    address(g, R_DST, R_TOP);
    value(g, true, 0, 1, R_DST);
}

/* Addresses of ST and ST(i), both full, in x29 and x6.  i: 8 is what aux says. */
static inline void find_both(struct gen *g, unsigned i)
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
static inline void take_both(struct gen *g, unsigned i)
{
    find_both(g, i);
    value(g, true, 0, 1, R_DST);
    value(g, true, 2, 3, 6);
}

enum c1 { C1_CLEAR, C1_KEEP, C1_ROUNDED };      /* rounded: w4 is C1, w5 is PE */

/* The end: the status word in w6, after TOP has moved by `pops` (its old value in w15). */
static inline void finish(struct gen *g, unsigned pops, enum c1 c1)
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
    back(g);
}

/* Make room: w15 = the new TOP, which has to be empty; tags stay in w4. */
static inline void room(struct gen *g)
{
    as_rri(g->a, OPI_SUB, false, R_TOP, R_TOP, 1);
    as_logic_i(g->a, OPI_AND, false, R_TOP, R_TOP, 7);
    want(g, R_TOP, false);
}

/* a is pushed to register w15, which is empty. */
static inline void push(struct gen *g)
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
    back(g);
}

/* ---- operands ---- */

/* Unless it is a normal number, branch to what is to be patched: two branches.  w4 is destroyed. */
static inline void normal_or(struct gen *g, unsigned sig, unsigned se, uint8_t *odd[2])
{
    as_rri(g->a, OPI_ADD, false, 4, se, 1);             /* exponent 0 or all ones: now these bits are 0 */
    as_logic_i(g->a, OPI_ANDS, false, H_ZR, 4, 0x7ffe);
    odd[0] = as_bcc(g->a, A_EQ);
    odd[1] = as_tbz(g->a, sig, 63);
}
static inline void normal(struct gen *g, unsigned sig, unsigned se)
{
    uint8_t *odd[2];
    normal_or(g, sig, se, odd);
    slow(g, odd[0]);
    slow(g, odd[1]);
}

/* The same, but zeros pass. */
static inline void normal_or_zero(struct gen *g, unsigned sig, unsigned se)
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
static inline void from_float(struct gen *g, bool dbl, unsigned sig, unsigned se)
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
static inline void from_int(struct gen *g, unsigned bits, unsigned sig, unsigned se)
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
static inline void from_memory(struct gen *g, unsigned kind, unsigned sig, unsigned se)
{
    if (kind < 2)
        from_float(g, kind == 1, sig, se);
    else
        from_int(g, kind == 2 ? 16 : 32, sig, se);
}

/* Slow unless rounding is to nearest, and the control word in w4. */
static inline void to_nearest(struct gen *g)
{
    fpu(g, true, 1, 4, CPU_OFF(fpu.cw));
    as_logic_i(g->a, OPI_ANDS, false, H_ZR, 4, 0xc00);
    slow(g, as_bcc(g->a, A_NE));
}
#define CW_PC 0x300u
#define CW_PC_LONG 8            /* bit of precision control that tells 64 bits from 53 */

/*
 * Round x0:x6 to nearest, ties to even: up if x6 is at least half and, if x0 is even, more than that.
 * Carry then tells that x0 became 0.
 */
static inline void round_nearest(struct gen *g)
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

/* --- x87_arith.c --- k: ADD MUL SUB SUBR DIV DIVR, as x87.def orders them */
/* to: ST(i) = ST(i) op ST, else ST = ST op ST(i). */
void x87_arith_st(struct gen *g, unsigned k, bool to, unsigned pops);
/* kind: M32 M64 I16 I32. */
void x87_arith_mem(struct gen *g, unsigned k, unsigned kind);

#endif
