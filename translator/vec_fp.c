/*
 * vec_fp.c - the floating-point half of the vector operations (ir_vec.def).
 *
 * Done in integers, so that results, NaNs and MXCSR flags are the same on every
 * host and nothing depends on the C compiler's idea of the FP environment.  A
 * number is unpacked into sign, exponent and a 64-bit significand whose top bit
 * is set; results are rounded once from such a form, with all lost bits ORed
 * into bit 0 ("jammed").
 *
 * Sources: SDM vol. 1, 4.8.3-4.9 (NaNs, exceptions, tininess after rounding),
 * 10.2.3 and 11.5 (MXCSR, DAZ, FTZ, SIMD exceptions), vol. 2 for the rows.
 *
 * RCP and RSQRT: the manual only bounds the error (1.5 * 2^-12).  Intel chips
 * compute 1/m and 1/sqrt(m) of the middle m of the interval that the top 11 (10)
 * fraction bits name, rounded to 13 significant bits; so does this.
 */
#include <assert.h>
#include <string.h>

#include "translator/vec.h"

struct fmt {
    uint8_t frac;               /* fraction bits */
    uint8_t ebits;
    uint8_t lane;               /* VL_32, VL_64 */
};
static const struct fmt f32 = { 23, 8, VL_32 }, f64 = { 52, 11, VL_64 };

enum num_class { N_ZERO, N_NORM, N_INF, N_QNAN, N_SNAN };
enum { RC_NEAR, RC_DOWN, RC_UP, RC_ZERO };

struct num {
    uint8_t cls;
    bool sign, denormal;
    int exp;                    /* value = sig / 2^63 * 2^exp */
    uint64_t sig;
    uint64_t raw;
};

static int bias_of(const struct fmt *f) { return (1 << (f->ebits - 1)) - 1; }
static uint64_t sign_bit(const struct fmt *f, bool s) { return (uint64_t)s << (f->frac + f->ebits); }
static uint64_t inf_of(const struct fmt *f, bool s)
{
    return sign_bit(f, s) | ((UINT64_C(1) << f->ebits) - 1) << f->frac;
}
static uint64_t quiet(const struct fmt *f, uint64_t raw) { return raw | UINT64_C(1) << (f->frac - 1); }
static uint64_t default_nan(const struct fmt *f) { return quiet(f, inf_of(f, true)); }
static bool is_nan(const struct num *n) { return n->cls >= N_QNAN; }
static unsigned rc_of(const struct fp_env *e) { return (e->mxcsr & MX_RC) >> MX_RC_SHIFT; }

static uint64_t get(const union vreg *v, const struct fmt *f, unsigned n)
{
    return f->lane == VL_32 ? v->d[n] : v->q[n];
}

static void put(union vreg *v, const struct fmt *f, unsigned n, uint64_t x)
{
    if (f->lane == VL_32)
        v->d[n] = (uint32_t)x;
    else
        v->q[n] = x;
}

static struct num unpack(const struct fmt *f, uint64_t raw, const struct fp_env *e)
{
    uint64_t frac = raw & ((UINT64_C(1) << f->frac) - 1);
    unsigned emax = (1u << f->ebits) - 1, exp = (unsigned)(raw >> f->frac) & emax;
    struct num n = { .sign = raw >> (f->frac + f->ebits) & 1, .raw = raw };

    if (exp == emax) {
        n.cls = !frac ? N_INF : frac >> (f->frac - 1) ? N_QNAN : N_SNAN;
    } else if (exp) {
        n.cls = N_NORM;
        n.sig = (frac | UINT64_C(1) << f->frac) << (63 - f->frac);
        n.exp = (int)exp - bias_of(f);
    } else if (frac && !(e->mxcsr & MX_DAZ)) {
        int up = __builtin_clzll(frac);

        n.cls = N_NORM;
        n.denormal = true;
        n.sig = frac << up;
        n.exp = 1 - bias_of(f) + 63 - f->frac - up;
    } else {
        n.cls = N_ZERO;
        n.raw = sign_bit(f, n.sign);
    }
    return n;
}

static void denormal_flag(const struct num *a, const struct num *b, struct fp_env *e)
{
    if (a->denormal || b->denormal)
        e->mxcsr |= MX_DE;
}

static uint64_t shr_jam(uint64_t x, unsigned n)
{
    if (!n)
        return x;
    return n > 63 ? x != 0 : x >> n | ((x << (64 - n)) != 0);
}

/* Does dropping `drop` (1..63) low bits of a number round its magnitude up? */
static bool round_up(unsigned rc, bool sign, uint64_t sig, unsigned drop)
{
    uint64_t lost = sig << (64 - drop);

    switch (rc) {
    case RC_NEAR: return lost > UINT64_C(1) << 63 || (lost == UINT64_C(1) << 63 && (sig >> drop & 1));
    case RC_DOWN: return sign && lost;
    case RC_UP:   return !sign && lost;
    default:      return false;
    }
}

/* Flags whose exceptions are not masked.  (What was sticky before is cleared then.) */
static uint32_t trapped(const struct fp_env *e)
{
    return e->mxcsr & ~(e->mxcsr >> MX_MASK_SHIFT) & MX_FLAGS;
}

/*
 * End of a step that began with the flags `before`: if an unmasked exception was
 * found before computing (invalid, denormal, divide by zero, in any lane), what
 * computing would have flagged is not.  True if the instruction ends here.
 */
static bool step_traps(struct fp_env *e, uint32_t before)
{
    if (trapped(e) & (MX_IE | MX_DE | MX_ZE))
        e->mxcsr &= ~(MX_OE | MX_UE | MX_PE) | before;
    return trapped(e) != 0;
}

/* Unmasked overflow and underflow: inexact is what the result would be with unbounded exponent. */
static uint64_t overflow(const struct fmt *f, bool sign, bool inexact, struct fp_env *e)
{
    unsigned rc = rc_of(e);

    e->mxcsr |= MX_OE | (inexact || (e->mxcsr & MX_OE << MX_MASK_SHIFT) ? MX_PE : 0);
    if (rc == RC_ZERO || (rc == RC_DOWN && !sign) || (rc == RC_UP && sign))
        return inf_of(f, sign) - 1;
    return inf_of(f, sign);
}

/* Result below the normal range before rounding. */
static uint64_t round_tiny(const struct fmt *f, bool sign, int exp, uint64_t sig, struct fp_env *e)
{
    unsigned drop = 63u - f->frac, rc = rc_of(e);
    int emin = 1 - bias_of(f);
    bool all_ones = sig >> drop == (UINT64_C(2) << f->frac) - 1;
    /* With unbounded exponent range, rounding would carry into the normal range. */
    bool tiny = !(exp == emin - 1 && all_ones && round_up(rc, sign, sig, drop));
    bool masked = e->mxcsr & MX_UE << MX_MASK_SHIFT;
    uint64_t r;

    if (tiny && masked && (e->mxcsr & MX_FTZ)) {
        e->mxcsr |= MX_UE | MX_PE;
        return sign_bit(f, sign);
    }
    if (tiny && !masked) {
        e->mxcsr |= MX_UE | (sig << (64 - drop) ? MX_PE : 0);
        return sign_bit(f, sign);
    }
    sig = shr_jam(sig, (unsigned)(emin - exp));
    r = (sig >> drop) + round_up(rc, sign, sig, drop);
    if (sig << (64 - drop))
        e->mxcsr |= MX_PE | (tiny ? MX_UE : 0);
    return sign_bit(f, sign) | r;
}

static uint64_t round_pack(const struct fmt *f, bool sign, int exp, uint64_t sig, struct fp_env *e)
{
    unsigned drop = 63u - f->frac;
    uint64_t r;

    if (exp < 1 - bias_of(f))
        return round_tiny(f, sign, exp, sig, e);
    r = (sig >> drop) + round_up(rc_of(e), sign, sig, drop);
    if (r >> (f->frac + 1)) {
        r >>= 1;
        exp++;
    }
    if (exp > bias_of(f))
        return overflow(f, sign, sig << (64 - drop), e);
    if (sig << (64 - drop))
        e->mxcsr |= MX_PE;
    /* r's top bit adds the one that the exponent field lacks. */
    return sign_bit(f, sign) | (((uint64_t)(exp + bias_of(f) - 1) << f->frac) + r);
}

/* ---- arithmetic on one lane ---- */

static uint64_t invalid(const struct fmt *f, struct fp_env *e)
{
    e->mxcsr |= MX_IE;
    return default_nan(f);
}

/* The NaN two-operand arithmetic returns: the first operand if it is one, quieted. */
static uint64_t pick_nan(const struct fmt *f, const struct num *a, const struct num *b, struct fp_env *e)
{
    if (a->cls == N_SNAN || b->cls == N_SNAN)
        e->mxcsr |= MX_IE;
    return quiet(f, is_nan(a) ? a->raw : b->raw);
}

static uint64_t fp_addsub(const struct fmt *f, uint64_t x, uint64_t y, bool sub, struct fp_env *e)
{
    struct num a = unpack(f, x, e), b = unpack(f, y, e);
    uint64_t sig;
    int up;

    if (is_nan(&a) || is_nan(&b))
        return pick_nan(f, &a, &b, e);
    b.sign ^= sub;
    if (a.cls == N_INF && b.cls == N_INF && a.sign != b.sign)
        return invalid(f, e);
    denormal_flag(&a, &b, e);
    if (a.cls == N_INF || b.cls == N_INF)
        return inf_of(f, a.cls == N_INF ? a.sign : b.sign);
    if (a.cls == N_ZERO && b.cls == N_ZERO)
        return sign_bit(f, a.sign == b.sign ? a.sign : rc_of(e) == RC_DOWN);
    if (a.cls == N_ZERO)
        return round_pack(f, b.sign, b.exp, b.sig, e);
    if (b.cls == N_ZERO)
        return round_pack(f, a.sign, a.exp, a.sig, e);
    if (a.exp < b.exp || (a.exp == b.exp && a.sig < b.sig)) {
        struct num t = a;

        a = b;
        b = t;
    }
    /* One bit of room for the carry; the low bits are free (at most 53 are used). */
    a.sig >>= 1;
    b.sig = shr_jam(b.sig >> 1, (unsigned)(a.exp - b.exp));
    sig = a.sign == b.sign ? a.sig + b.sig : a.sig - b.sig;
    if (!sig)
        return sign_bit(f, rc_of(e) == RC_DOWN);
    up = __builtin_clzll(sig);
    return round_pack(f, a.sign, a.exp + 1 - up, sig << up, e);
}

/* High half of the product, the low half jammed. */
static uint64_t mul_jam(uint64_t a, uint64_t b)
{
    uint64_t al = (uint32_t)a, ah = a >> 32, bl = (uint32_t)b, bh = b >> 32;
    uint64_t m = ah * bl + (al * bl >> 32), n = al * bh + (uint32_t)m;

    return (ah * bh + (m >> 32) + (n >> 32)) | (((uint32_t)n | (uint32_t)(al * bl)) != 0);
}

static uint64_t fp_mul(const struct fmt *f, uint64_t x, uint64_t y, struct fp_env *e)
{
    struct num a = unpack(f, x, e), b = unpack(f, y, e);
    bool sign = a.sign ^ b.sign;
    uint64_t sig;
    int up;

    if (is_nan(&a) || is_nan(&b))
        return pick_nan(f, &a, &b, e);
    if ((a.cls == N_INF && b.cls == N_ZERO) || (a.cls == N_ZERO && b.cls == N_INF))
        return invalid(f, e);
    denormal_flag(&a, &b, e);
    if (a.cls == N_INF || b.cls == N_INF)
        return inf_of(f, sign);
    if (a.cls == N_ZERO || b.cls == N_ZERO)
        return sign_bit(f, sign);
    sig = mul_jam(a.sig, b.sig);
    up = __builtin_clzll(sig);
    return round_pack(f, sign, a.exp + b.exp + 1 - up, sig << up, e);
}

static uint64_t fp_div(const struct fmt *f, uint64_t x, uint64_t y, struct fp_env *e)
{
    struct num a = unpack(f, x, e), b = unpack(f, y, e);
    bool sign = a.sign ^ b.sign;
    uint64_t q = 0, rem;
    int exp;

    if (is_nan(&a) || is_nan(&b))
        return pick_nan(f, &a, &b, e);
    if ((a.cls == N_INF && b.cls == N_INF) || (a.cls == N_ZERO && b.cls == N_ZERO))
        return invalid(f, e);
    if (b.cls == N_ZERO && a.cls == N_NORM) {
        e->mxcsr |= MX_ZE;
        return inf_of(f, sign);
    }
    denormal_flag(&a, &b, e);
    if (a.cls == N_INF || b.cls == N_ZERO)
        return inf_of(f, sign);
    if (a.cls == N_ZERO || b.cls == N_INF)
        return sign_bit(f, sign);
    rem = a.sig >> 1;
    b.sig >>= 1;
    exp = a.exp - b.exp;
    if (rem < b.sig) {
        rem <<= 1;
        exp--;
    }
    for (unsigned n = 0; n < 64; n++) {
        q <<= 1;
        if (rem >= b.sig) {
            rem -= b.sig;
            q |= 1;
        }
        rem <<= 1;
    }
    return round_pack(f, sign, exp, q | (rem != 0), e);
}

static uint64_t fp_sqrt(const struct fmt *f, uint64_t x, struct fp_env *e)
{
    struct num a = unpack(f, x, e);
    uint64_t rad, root = 0, rem = 0;

    if (is_nan(&a))
        return pick_nan(f, &a, &a, e);
    if (a.cls == N_ZERO)
        return a.raw;
    if (a.sign)
        return invalid(f, e);
    denormal_flag(&a, &a, e);
    if (a.cls == N_INF)
        return a.raw;
    /* Digit by digit; the radicand's top pair of bits is 01 for even exponents, 1x for odd. */
    rad = a.exp & 1 ? a.sig : a.sig >> 1;
    for (unsigned n = 0; n < 59; n++) {
        rem = rem << 2 | rad >> 62;
        rad <<= 2;
        root <<= 1;
        if (rem >= (root << 1 | 1)) {
            rem -= root << 1 | 1;
            root |= 1;
        }
    }
    return round_pack(f, false, (a.exp - (a.exp & 1)) / 2, root << 5 | (rem != 0), e);
}

/* -1 less, 0 equal, 1 greater, 2 unordered.  signal: quiet NaNs are invalid too. */
static int fp_compare(const struct fmt *f, uint64_t x, uint64_t y, bool signal, struct fp_env *e)
{
    struct num a = unpack(f, x, e), b = unpack(f, y, e);
    uint64_t mask = sign_bit(f, true) - 1;

    if (is_nan(&a) || is_nan(&b)) {
        if (signal || a.cls == N_SNAN || b.cls == N_SNAN)
            e->mxcsr |= MX_IE;
        return 2;
    }
    denormal_flag(&a, &b, e);
    if (a.raw == b.raw || (a.cls == N_ZERO && b.cls == N_ZERO))
        return 0;
    if (a.sign != b.sign)
        return a.sign ? -1 : 1;
    return ((a.raw & mask) < (b.raw & mask)) != a.sign ? -1 : 1;
}

static uint64_t fp_minmax(const struct fmt *f, uint64_t x, uint64_t y, bool max, struct fp_env *e)
{
    int c = fp_compare(f, x, y, true, e);

    return unpack(f, c == (max ? 1 : -1) ? x : y, e).raw;
}

/* Predicates: EQ LT LE UNORD NEQ NLT NLE ORD. */
static bool fp_predicate(const struct fmt *f, uint64_t x, uint64_t y, unsigned pred, struct fp_env *e)
{
    int c = fp_compare(f, x, y, (pred & 3) == 1 || (pred & 3) == 2, e);
    bool r;

    switch (pred & 3) {
    case 0:  r = c == 0; break;
    case 1:  r = c == -1; break;
    case 2:  r = c == -1 || c == 0; break;
    default: r = c == 2; break;
    }
    return r != ((pred & 4) != 0);
}

/* ---- conversions ---- */

/* Integral magnitude of a (exp <= 63), rounded; *exact as it says. */
static uint64_t to_integral(const struct num *a, unsigned rc, bool *exact)
{
    uint64_t ip = 0, lost = 0;

    if (a->cls == N_ZERO) {
        *exact = true;
        return 0;
    }
    if (a->exp >= 0) {
        ip = a->sig >> (63 - a->exp);
        lost = a->exp == 63 ? 0 : a->sig << (a->exp + 1);
    } else {
        lost = shr_jam(a->sig, a->exp < -64 ? 63u : (unsigned)(-1 - a->exp));
    }
    *exact = !lost;
    switch (rc) {
    case RC_NEAR: return ip + (lost > UINT64_C(1) << 63 || (lost == UINT64_C(1) << 63 && (ip & 1)));
    case RC_DOWN: return ip + (a->sign && lost);
    case RC_UP:   return ip + (!a->sign && lost);
    default:      return ip;
    }
}

static uint64_t to_int(const struct fmt *f, uint64_t x, unsigned bits, bool trunc, struct fp_env *e)
{
    struct num a = unpack(f, x, e);
    uint64_t indefinite = UINT64_C(1) << (bits - 1), mag;
    bool exact;

    if (a.cls >= N_INF || (a.cls == N_NORM && a.exp > 63)) {
        e->mxcsr |= MX_IE;
        return indefinite;
    }
    mag = to_integral(&a, trunc ? RC_ZERO : rc_of(e), &exact);
    if (mag > indefinite - !a.sign) {
        e->mxcsr |= MX_IE;
        return indefinite;
    }
    if (!exact)
        e->mxcsr |= MX_PE;
    return a.sign ? -mag : mag;
}

static uint64_t from_int(const struct fmt *f, int64_t v, struct fp_env *e)
{
    uint64_t mag = v < 0 ? -(uint64_t)v : (uint64_t)v;
    int up;

    if (!v)
        return 0;
    up = __builtin_clzll(mag);
    return round_pack(f, v < 0, 63 - up, mag << up, e);
}

static uint64_t fp_round(const struct fmt *f, uint64_t x, unsigned imm, struct fp_env *e)
{
    struct num a = unpack(f, x, e);
    uint64_t mag;
    bool exact;
    int up;

    if (is_nan(&a))
        return pick_nan(f, &a, &a, e);
    if (a.cls != N_NORM || a.exp >= f->frac)
        return a.raw;
    mag = to_integral(&a, imm & 4 ? rc_of(e) : imm & 3, &exact);
    if (!exact && !(imm & 8))
        e->mxcsr |= MX_PE;
    if (!mag)
        return sign_bit(f, a.sign);
    up = __builtin_clzll(mag);
    return round_pack(f, a.sign, 63 - up, mag << up, e);
}

static uint64_t fp_convert(const struct fmt *to, const struct fmt *from, uint64_t x, struct fp_env *e)
{
    struct num a = unpack(from, x, e);

    if (is_nan(&a)) {
        uint64_t frac = a.raw << (64 - from->frac) >> (64 - to->frac);

        if (from->frac < to->frac)
            frac = (a.raw & ((UINT64_C(1) << from->frac) - 1)) << (to->frac - from->frac);
        if (a.cls == N_SNAN)
            e->mxcsr |= MX_IE;
        return quiet(to, inf_of(to, a.sign) | frac);
    }
    denormal_flag(&a, &a, e);
    if (a.cls == N_INF)
        return inf_of(to, a.sign);
    if (a.cls == N_ZERO)
        return sign_bit(to, a.sign);
    return round_pack(to, a.sign, a.exp, a.sig, e);
}

/* ---- approximations; no flags, denormals always count as zero ---- */

static uint32_t isqrt(uint64_t v)
{
    uint64_t root = 0, bit = UINT64_C(1) << 62;

    for (; bit; bit >>= 2) {
        if (v >= root + bit) {
            v -= root + bit;
            root = (root >> 1) + bit;
        } else {
            root >>= 1;
        }
    }
    return (uint32_t)root;
}

static uint32_t approx(uint32_t x, bool rsqrt)
{
    struct fp_env daz = { MX_DAZ };
    struct num a = unpack(&f32, x, &daz);
    uint32_t q;                 /* 13 bits: result / 2^13 in [1/2, 1) */
    int exp;                    /* of the result's leading bit */

    if (is_nan(&a))
        return (uint32_t)quiet(&f32, a.raw);
    if (a.cls == N_ZERO)
        return (uint32_t)inf_of(&f32, a.sign);
    if (rsqrt && a.sign)
        return (uint32_t)default_nan(&f32);
    if (a.cls == N_INF)
        return (uint32_t)sign_bit(&f32, a.sign);
    if (rsqrt) {
        uint32_t den = 2049 + 2 * ((uint32_t)(a.sig >> 53) & 0x3ff);

        q = (isqrt((UINT64_C(1) << (a.exp & 1 ? 38 : 39)) / den) + 1) >> 1;
        exp = -(a.exp - (a.exp & 1)) / 2 - 1;
    } else {
        uint32_t den = 4097 + 2 * ((uint32_t)(a.sig >> 52) & 0x7ff);

        q = ((1u << 26) + den) / (2 * den);
        exp = -a.exp - 1;
    }
    if (exp < -126)
        return (uint32_t)sign_bit(&f32, a.sign);
    return (uint32_t)sign_bit(&f32, a.sign) | ((uint32_t)(exp + 127) << 23) | ((q << 11) & 0x7fffff);
}

/* ---- rows ---- */

static uint64_t lane_op(const struct ir_ins *i, const struct fmt *f, uint64_t x, uint64_t y, unsigned n,
                        struct fp_env *e)
{
    switch (i->op) {
    case IR_VFADD:   return fp_addsub(f, x, y, false, e);
    case IR_VFSUB:   return fp_addsub(f, x, y, true, e);
    case IR_VFADDSUB: return fp_addsub(f, x, y, !(n & 1), e);
    case IR_VFMUL:   return fp_mul(f, x, y, e);
    case IR_VFDIV:   return fp_div(f, x, y, e);
    case IR_VFMIN:   return fp_minmax(f, x, y, false, e);
    case IR_VFMAX:   return fp_minmax(f, x, y, true, e);
    case IR_VFSQRT:  return fp_sqrt(f, y, e);
    case IR_VFRCP:   return approx((uint32_t)y, false);
    case IR_VFRSQRT: return approx((uint32_t)y, true);
    case IR_VFROUND: return fp_round(f, y, (unsigned)i->imm, e);
    case IR_VFCMP:   return fp_predicate(f, x, y, (unsigned)i->imm, e) ? ~UINT64_C(0) : 0;
    }
    assert(!"vec: row without floating-point semantics");
    return 0;
}

static uint32_t compare_flags(int c)
{
    switch (c) {
    case 2:  return FL_ZF | FL_PF | FL_CF;
    case -1: return FL_CF;
    case 0:  return FL_ZF;
    default: return 0;
    }
}

static void op_convert(union vreg *r, const union vreg *a, const union vreg *b, const struct fmt *f,
                       bool scalar, struct fp_env *e)
{
    const struct fmt *to = f == &f32 ? &f64 : &f32;

    if (scalar)
        *r = *a;
    for (unsigned n = 0; n < (scalar ? 1 : 2); n++)
        put(r, to, n, fp_convert(to, f, get(b, f, n), e));
}

/*
 * DPPS, DPPD: products selected by imm 7:4, summed in a tree, to the lanes imm
 * 3:0.  Which of several NaNs comes out is not architectural; Intel chips add
 * swapped copies of the register, so each lane prefers another NaN.  A step that
 * raises an unmasked exception is the last.
 */
static void op_dot(union vreg *r, const union vreg *a, const union vreg *b, const struct fmt *f,
                   unsigned imm, struct fp_env *e)
{
    unsigned lanes = f == &f32 ? 4 : 2;
    uint64_t p[4] = { 0, 0, 0, 0 }, t[4];
    uint32_t before = e->mxcsr;

    for (unsigned n = 0; n < lanes; n++) {
        if (imm >> (4 + n) & 1)
            p[n] = fp_mul(f, get(a, f, n), get(b, f, n), e);
    }
    if (step_traps(e, before))
        return;
    before = e->mxcsr;
    if (lanes == 4) {
        for (unsigned n = 0; n < 4; n++)
            t[n] = fp_addsub(f, p[n ^ 1], p[n], false, e);
        memcpy(p, t, sizeof(p));
        if (step_traps(e, before))
            return;
        before = e->mxcsr;
    }
    for (unsigned n = 0; n < lanes; n++) {
        uint64_t sum = fp_addsub(f, p[n], p[n ^ lanes / 2], false, e);

        put(r, f, n, imm >> n & 1 ? sum : 0);
    }
    step_traps(e, before);
}

void vec_fp_op(const struct ir_ins *i, union vreg *d, const union vreg *a, const union vreg *b,
               struct fp_env *e)
{
    unsigned vl = i->aux & VL_MASK;
    const struct fmt *f = vl == VL_F32 || vl == VL_S32 ? &f32 : &f64;
    bool scalar = vl == VL_S32 || vl == VL_S64;
    unsigned lanes = scalar ? 1 : f == &f32 ? 4 : 2;
    uint32_t before = e->mxcsr;
    union vreg r;

    memset(&r, 0, sizeof(r));
    switch (i->op) {
    case IR_VFCOM:
        r.q[0] = compare_flags(fp_compare(f, get(a, f, 0), get(b, f, 0), i->aux & VA_SIGNAL, e));
        break;
    case IR_VFCVT:
        op_convert(&r, a, b, f, scalar, e);
        break;
    case IR_VI2F:
        for (unsigned n = 0; n < lanes; n++)
            put(&r, f, n, from_int(f, a->sd[n], e));
        break;
    case IR_VF2I:
        for (unsigned n = 0; n < lanes; n++)
            r.d[n] = (uint32_t)to_int(f, get(a, f, n), 32, i->aux & VA_TRUNC, e);
        break;
    case IR_VF2G:
        r.q[0] = to_int(f, get(a, f, 0), i->type == TY_I64 ? 64 : 32, i->aux & VA_TRUNC, e);
        if (i->type != TY_I64)
            r.q[0] = (uint32_t)r.q[0];
        break;
    case IR_VCVTG:
        r = *a;
        put(&r, f, 0, from_int(f, i->imm == 8 ? b->sq[0] : b->sd[0], e));
        break;
    case IR_VFDP:
        op_dot(&r, a, b, f, (unsigned)i->imm, e);
        break;
    case IR_VFHADD:
    case IR_VFHSUB:
        for (unsigned n = 0; n < lanes; n++) {
            const union vreg *v = n < lanes / 2 ? a : b;
            unsigned at = 2 * n & (lanes - 1);

            put(&r, f, n, fp_addsub(f, get(v, f, at), get(v, f, at + 1), i->op == IR_VFHSUB, e));
        }
        break;
    default:
        if (scalar)
            r = *a;
        for (unsigned n = 0; n < lanes; n++)
            put(&r, f, n, lane_op(i, f, a ? get(a, f, n) : 0, get(b, f, n), n, e));
        break;
    }
    if (i->op != IR_VFDP)
        step_traps(e, before);
    *d = r;
}
