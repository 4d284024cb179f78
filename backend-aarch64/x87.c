/*
 * x87.c - the x87's operations as routines that translated code calls (emit_x87.c).
 *
 * Here is what programs do all the time, on operands for which little can happen: everything
 * masked (blocks with something unmasked have no IR op X87), no empty or full stack, normal
 * numbers and zeros, results that are such too, rounding to nearest.  A routine that meets
 * anything else goes to by_c() before it has changed anything; frontend/x87_op.c, which defines
 * all of it, then does the operation.  SDM vol. 1, 4.8, 8.1 to 8.3.
 */
#include "backend-aarch64/x87.h"
#include "translator/backend_hooks.h"

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
    as_patch(other, a->p);                              /* different signs: equal if both are 0 */
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
    back(g);
}

/* ---- stores ---- */

/*
 * ST to a float or double: x0:x6 is the significand at the format's last bit.  Adding the exponent
 * less one to x0, whose highest bit is the 1 before the point, lets a carry grow it.
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
 * ST to an integer, rounded to nearest or, if asked for or `cut`, towards zero.  x0:x6 is the
 * magnitude; what is less than a half is known to be inexact and nothing more.
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
        x87_arith_st(g, op % 6, op >= X87_FADD_TO, op >= X87_FADDP);
        return true;
    }
    if (op <= X87_FDIVR_I32) {
        x87_arith_mem(g, (op - X87_FADD_M32) % 6, (op - X87_FADD_M32) / 6);
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
    case X87_FLD_M32: case X87_FLD_M64: case X87_FLD_M80:
    case X87_FILD_16: case X87_FILD_32: case X87_FILD_64:
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
    entry_tables(a);
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
