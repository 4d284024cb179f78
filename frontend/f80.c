/*
 * f80.c - 80-bit floating point in integer arithmetic: the basic operations and
 * conversions.
 *
 * Invariant: results, flags and C1 are bit for bit what the hardware gives
 * (tests/x87 compares them on x86 hosts), denormals, pseudo-denormals and
 * invalid encodings included.  SDM vol. 1, 4.8, 4.9, 8.4, 8.5.
 */
#include "frontend/f80.h"

#define BIAS 16383
#define EMIN (-16382)
#define WRAP 24576              /* exponent adjustment of unmasked overflow and underflow */
#define TOP (1ull << 63)

#define u128 unsigned __int128

struct f80_num f80_unpack(struct f80 x)
{
    unsigned e = x.se & 0x7fff;
    struct f80_num n = { .sig = x.sig, .sign = x.se >> 15, .cls = FC_NORMAL, .exp = (int)e - BIAS };

    if (e == 0x7fff) {
        if (!(x.sig & TOP))
            n.cls = FC_BAD;
        else if (x.sig == TOP)
            n.cls = FC_INF;
        else
            n.cls = x.sig & (TOP >> 1) ? FC_QNAN : FC_SNAN;
    } else if (e == 0) {
        if (!x.sig) {
            n.cls = FC_ZERO;
        } else {
            unsigned s = (unsigned)__builtin_clzll(x.sig);

            n.denormal = true;
            n.sig <<= s;
            n.exp = EMIN - (int)s;
        }
    } else if (!(x.sig & TOP)) {
        n.cls = FC_BAD;
    }
    return n;
}

struct f80 f80_invalid(struct f80_env *e)
{
    e->flags |= F80_IE;
    return F80_INDEF;
}

static bool is_nan(const struct f80_num *x)
{
    return x->cls == FC_QNAN || x->cls == FC_SNAN;
}

static struct f80 quiet(struct f80 a)
{
    a.sig |= TOP >> 1;
    return a;
}

bool f80_special1(struct f80_env *e, struct f80 a, const struct f80_num *x, struct f80 *r)
{
    if (x->cls == FC_BAD) {
        *r = f80_invalid(e);
        return true;
    }
    if (is_nan(x)) {
        if (x->cls == FC_SNAN)
            e->flags |= F80_IE;
        *r = quiet(a);
        return true;
    }
    if (x->denormal) {
        e->flags |= F80_DE;
        *r = a;
        return !(e->mask & F80_DE);
    }
    return false;
}

bool f80_special2(struct f80_env *e, struct f80 a, const struct f80_num *x, struct f80 b,
                  const struct f80_num *y, struct f80 *r)
{
    if (x->cls == FC_BAD || y->cls == FC_BAD) {
        *r = f80_invalid(e);
        return true;
    }
    if (is_nan(x) || is_nan(y)) {
        if (x->cls == FC_SNAN || y->cls == FC_SNAN)
            e->flags |= F80_IE;
        /* One NaN: that one, except that a QNaN is preferred to an SNaN; two of a kind: the larger
         * significand; equal: the positive one.  (SDM vol. 1, table 4-7) */
        if (!is_nan(y))
            *r = a;
        else if (!is_nan(x))
            *r = b;
        else if (x->cls != y->cls)
            *r = x->cls == FC_QNAN ? a : b;
        else if (a.sig != b.sig)
            *r = a.sig > b.sig ? a : b;
        else
            *r = x->sign ? b : a;
        *r = quiet(*r);
        return true;
    }
    return false;
}

/* Denormal operands; true: unmasked, stop. */
static bool denormals(struct f80_env *e, const struct f80_num *x, const struct f80_num *y)
{
    if (!x->denormal && !y->denormal && !e->denormal)
        return false;
    e->flags |= F80_DE;
    return !(e->mask & F80_DE);
}

/* ---- rounding ---- */

struct rounded {
    uint64_t sig;
    bool carry;                 /* overflowed to 1.0: sig is 1 << 63 */
    bool inexact, up;
};

/* Round hi:lo to its top 64 - drop bits. */
static struct rounded round_at(uint64_t hi, uint64_t lo, unsigned drop, unsigned rc, bool sign)
{
    uint64_t unit = drop < 64 ? 1ull << drop : 0, below = unit ? hi & (unit - 1) : hi;
    bool half, sticky, odd = (hi & unit) != 0;
    struct rounded r = { .sig = hi - below };

    if (drop == 0) {
        half = lo >> 63;
        sticky = (lo << 1) != 0;
    } else {
        uint64_t h = 1ull << (drop - 1);

        half = (below & h) != 0;
        sticky = (below & (h - 1)) || lo;
    }
    r.inexact = half || sticky;
    switch (rc) {
    case F80_NEAREST:
        r.up = half && (sticky || odd);
        break;
    case F80_DOWN:
        r.up = r.inexact && sign;
        break;
    case F80_UP:
        r.up = r.inexact && !sign;
        break;
    default:
        r.up = false;
    }
    if (r.up) {
        r.sig += unit;
        r.carry = r.sig == 0;
        if (r.carry && unit)
            r.sig = TOP;
    }
    return r;
}

/* Shift hi:lo right by n, keeping what falls off as a sticky bit. */
static void shift_jam(uint64_t *hi, uint64_t *lo, unsigned n)
{
    u128 v = (u128)*hi << 64 | *lo, w;

    if (!n)
        return;
    if (n > 127) {
        *lo = v != 0;
        *hi = 0;
        return;
    }
    w = v >> n;
    if (w << n != v)
        w |= 1;
    *hi = (uint64_t)(w >> 64);
    *lo = (uint64_t)w;
}

struct f80 f80_round(struct f80_env *e, bool sign, int exp, uint64_t hi, uint64_t lo, unsigned bits)
{
    unsigned drop = 64 - bits;
    int be = exp + BIAS;
    struct rounded r = round_at(hi, lo, drop, e->rc, sign);

    if (be < 0 || (be == 0 && !r.carry)) {
        /* Tiny after rounding. */
        if (!(e->mask & F80_UE)) {
            e->flags |= F80_UE;
            be += WRAP;
        } else {
            shift_jam(&hi, &lo, 1 - be > 200 ? 200u : (unsigned)(1 - be));
            r = round_at(hi, lo, drop, e->rc, sign);
            if (r.inexact)
                e->flags |= F80_UE | F80_PE;
            e->c1 = r.up;
            return f80_make(sign, r.sig >> 63, r.sig);
        }
    }
    if (r.carry)
        be++;
    if (be >= 0x7fff) {
        e->flags |= F80_OE;
        if (e->mask & F80_OE) {
            bool to_inf = e->rc == F80_NEAREST || (e->rc == F80_DOWN && sign) || (e->rc == F80_UP && !sign);

            e->flags |= F80_PE;
            e->c1 = to_inf;
            return to_inf ? f80_inf(sign) : f80_make(sign, 0x7ffe, ~0ull << drop);
        }
        be -= WRAP;
    }
    if (r.inexact)
        e->flags |= F80_PE;
    e->c1 = r.up;
    return f80_make(sign, (unsigned)be, r.sig);
}

/* Normalise and round a 128-bit magnitude v * 2^(exp - 127), v != 0. */
static struct f80 round128(struct f80_env *e, bool sign, int exp, u128 v, unsigned bits)
{
    uint64_t hi = (uint64_t)(v >> 64);
    unsigned s = hi ? (unsigned)__builtin_clzll(hi) : 64 + (unsigned)__builtin_clzll((uint64_t)v);

    v <<= s;
    return f80_round(e, sign, exp - (int)s, (uint64_t)(v >> 64), (uint64_t)v, bits);
}

/* ---- arithmetic ---- */

struct f80 f80_add(struct f80_env *e, struct f80 a, struct f80 b, bool subtract)
{
    struct f80_num x = f80_unpack(a), y = f80_unpack(b);
    struct f80 r;
    u128 u, v;
    unsigned d;

    if (f80_special2(e, a, &x, b, &y, &r))
        return r;
    if (subtract)
        y.sign = !y.sign;
    if (x.cls == FC_INF || y.cls == FC_INF) {
        if (x.cls == y.cls && x.sign != y.sign)
            return f80_invalid(e);
        denormals(e, &x, &y);
        return f80_inf(x.cls == FC_INF ? x.sign : y.sign);
    }
    if (denormals(e, &x, &y))
        return a;
    if (x.cls == FC_ZERO && y.cls == FC_ZERO)
        return f80_zero(x.sign == y.sign ? x.sign : e->rc == F80_DOWN);
    if (x.cls == FC_ZERO)
        return f80_round(e, y.sign, y.exp, y.sig, 0, e->bits);
    if (y.cls == FC_ZERO)
        return f80_round(e, x.sign, x.exp, x.sig, 0, e->bits);
    if (x.exp < y.exp || (x.exp == y.exp && x.sig < y.sig)) {
        struct f80_num t = x;

        x = y;
        y = t;
    }
    u = (u128)x.sig << 63;
    v = (u128)y.sig << 63;
    d = (unsigned)(x.exp - y.exp);
    if (d > 127) {
        v = 1;
    } else if (d) {
        u128 w = v >> d;

        v = w | (w << d != v);
    }
    if (x.sign == y.sign)
        return round128(e, x.sign, x.exp + 1, u + v, e->bits);
    if (u == v)
        return f80_zero(e->rc == F80_DOWN);
    return round128(e, x.sign, x.exp + 1, u - v, e->bits);
}

struct f80 f80_mul(struct f80_env *e, struct f80 a, struct f80 b)
{
    struct f80_num x = f80_unpack(a), y = f80_unpack(b);
    bool sign = x.sign != y.sign;
    struct f80 r;

    if (f80_special2(e, a, &x, b, &y, &r))
        return r;
    if ((x.cls == FC_INF && y.cls == FC_ZERO) || (x.cls == FC_ZERO && y.cls == FC_INF))
        return f80_invalid(e);
    if (denormals(e, &x, &y))
        return a;
    if (x.cls == FC_INF || y.cls == FC_INF)
        return f80_inf(sign);
    if (x.cls == FC_ZERO || y.cls == FC_ZERO)
        return f80_zero(sign);
    return round128(e, sign, x.exp + y.exp + 1, (u128)x.sig * y.sig, e->bits);
}

struct f80 f80_div(struct f80_env *e, struct f80 a, struct f80 b)
{
    struct f80_num x = f80_unpack(a), y = f80_unpack(b);
    bool sign = x.sign != y.sign;
    struct f80 r;
    int exp;
    u128 n, q;
    uint64_t rem, lo;

    if (f80_special2(e, a, &x, b, &y, &r))
        return r;
    if ((x.cls == FC_INF && y.cls == FC_INF) || (x.cls == FC_ZERO && y.cls == FC_ZERO))
        return f80_invalid(e);
    if (y.cls == FC_ZERO && x.cls != FC_INF) {
        e->flags |= F80_ZE;
        return f80_inf(sign);
    }
    if (denormals(e, &x, &y))
        return a;
    if (x.cls == FC_INF)
        return f80_inf(sign);
    if (x.cls == FC_ZERO || y.cls == FC_INF)
        return f80_zero(sign);
    exp = x.exp - y.exp - (x.sig < y.sig);
    n = (u128)x.sig << (x.sig < y.sig ? 64 : 63);
    q = n / y.sig;
    rem = (uint64_t)(n - q * y.sig);
    /* The bit behind the quotient, and whether anything follows it. */
    lo = rem >= y.sig - rem ? TOP : 0;
    if (rem && rem != y.sig - rem)
        lo |= 1;
    return f80_round(e, sign, exp, (uint64_t)q, lo, e->bits);
}

struct f80 f80_sqrt(struct f80_env *e, struct f80 a)
{
    struct f80_num x = f80_unpack(a);
    struct f80 r;
    u128 n, root = 0, rem = 0;

    if (f80_special1(e, a, &x, &r)) {
        /* A negative denormal is invalid before it is denormal. */
        if (x.cls != FC_NORMAL || !x.sign)
            return r;
    }
    if (x.cls == FC_ZERO)
        return a;
    if (x.sign) {
        e->flags &= (uint8_t)~F80_DE;
        return f80_invalid(e);
    }
    if (x.cls == FC_INF)
        return a;
    /* n: 127 or 128 bits with an even exponent, root 64 bits, two bits a step */
    n = (u128)x.sig << (x.exp & 1 ? 64 : 63);
    for (int k = 126; k >= 0; k -= 2) {
        u128 t;

        rem = rem << 2 | (n >> k & 3);
        t = root << 2 | 1;
        root <<= 1;
        if (rem >= t) {
            rem -= t;
            root |= 1;
        }
    }
    return f80_round(e, false, x.exp >> 1, (uint64_t)root, (rem > root ? TOP : 0) | (rem != 0), e->bits);
}

/* Integer part of a number: magnitude in *v (exp < 63), rounded by rc. */
static struct rounded to_integer(const struct f80_num *x, unsigned rc)
{
    uint64_t hi = x->sig, lo = 0;
    struct rounded r;

    shift_jam(&hi, &lo, 63 - x->exp > 127 ? 127u : (unsigned)(63 - x->exp));
    r = round_at(hi, lo, 0, rc, x->sign);
    if (r.carry)
        r.sig = 0;
    return r;
}

struct f80 f80_rint(struct f80_env *e, struct f80 a)
{
    struct f80_num x = f80_unpack(a);
    struct f80 r;
    struct rounded i;
    unsigned shift;

    if (f80_special1(e, a, &x, &r))
        return r;
    if (x.cls != FC_NORMAL || x.exp >= 63)
        return a;
    i = to_integer(&x, e->rc);
    if (i.inexact)
        e->flags |= F80_PE;
    e->c1 = i.up;
    if (!i.sig)
        return f80_zero(x.sign);
    shift = (unsigned)__builtin_clzll(i.sig);
    return f80_make(x.sign, BIAS + 63 - shift, i.sig << shift);
}

struct f80 f80_scale(struct f80_env *e, struct f80 a, struct f80 b)
{
    struct f80_num x = f80_unpack(a), y = f80_unpack(b);
    struct f80 r;
    int n;

    if (f80_special2(e, a, &x, b, &y, &r))
        return r;
    if (y.cls == FC_INF) {
        if ((x.cls == FC_ZERO && !y.sign) || (x.cls == FC_INF && y.sign))
            return f80_invalid(e);
        if (denormals(e, &x, &y))
            return a;
        return y.sign ? f80_zero(x.sign) : f80_inf(x.sign);
    }
    if (denormals(e, &x, &y))
        return a;
    if (x.cls == FC_INF || x.cls == FC_ZERO || (y.cls == FC_ZERO && x.exp < EMIN))
        return a;
    if (y.cls == FC_ZERO || y.exp < 0)
        n = 0;
    else if (y.exp > 16)
        n = 1 << 17;
    else
        n = (int)(y.sig >> (63 - y.exp));
    n = x.exp + (y.sign ? -n : n);
    if (n + BIAS + WRAP < 1 || n + BIAS - WRAP >= 0x7fff) {
        uint8_t bit = n > 0 ? F80_OE : F80_UE;

        if (!(e->mask & bit)) {
            /* Too far even for the adjusted exponent: zero or infinity, whatever the rounding. */
            e->flags |= bit | F80_PE;
            e->c1 = n > 0;
            return n > 0 ? f80_inf(x.sign) : f80_zero(x.sign);
        }
    }
    return f80_round(e, x.sign, n, x.sig, 0, 64);
}

struct f80 f80_rem(struct f80_env *e, struct f80 a, struct f80 b, bool nearest, unsigned *q, bool *partial)
{
    struct f80_num x = f80_unpack(a), y = f80_unpack(b);
    struct f80 r;
    bool sign = x.sign;
    u128 rem, m;
    uint64_t quo = 0;
    int d, n;

    *q = 8;
    *partial = false;
    if (f80_special2(e, a, &x, b, &y, &r))
        return r;
    if (x.cls == FC_INF || y.cls == FC_ZERO)
        return f80_invalid(e);
    if (denormals(e, &x, &y))
        return a;
    *q = 0;
    if (x.cls == FC_ZERO)
        return a;
    if (y.cls == FC_INF)
        return x.exp < EMIN ? a : f80_round(e, sign, x.exp, x.sig, 0, 64);
    d = x.exp - y.exp;
    if (d < -1 || (d < 0 && !nearest))
        return f80_round(e, sign, x.exp, x.sig, 0, 64);
    if (d >= 64) {
        /* Reduce by 32 to 63 bits of the quotient; more to do. */
        n = (d & 31) | 32;
        *partial = true;
    } else {
        n = d;
    }
    /* rem in units of 2^(y.exp - 63 - 1): one bit for the case d = -1 */
    m = (u128)y.sig << 1;
    rem = n >= 0 ? (u128)x.sig << 1 : x.sig;
    for (int k = 0; k <= n; k++) {
        quo <<= 1;
        if (rem >= m) {
            rem -= m;
            quo |= 1;
        }
        if (k < n)
            rem <<= 1;
    }
    if (!*partial) {
        if (nearest && (rem > m - rem || (rem == m - rem && (quo & 1)))) {
            rem = m - rem;
            sign = !sign;
            quo++;
        }
        *q = (unsigned)quo & 7;
    }
    if (!rem)
        return f80_zero(x.sign);
    /* rem * 2^(exp - 64) with the exponent the last step had */
    return round128(e, sign, (*partial ? x.exp - n : y.exp) + 63, rem, 64);
}

struct f80 f80_extract(struct f80_env *e, struct f80 a, struct f80 *sig)
{
    struct f80_num x = f80_unpack(a);
    struct f80 r;

    if (f80_special1(e, a, &x, &r)) {
        *sig = r;
        return r;
    }
    *sig = a;
    if (x.cls == FC_ZERO) {
        e->flags |= F80_ZE;
        return f80_inf(true);
    }
    if (x.cls == FC_INF)
        return f80_inf(false);
    *sig = f80_make(x.sign, BIAS, x.sig);
    return f80_from_int(x.exp);
}

int f80_compare(struct f80_env *e, struct f80 a, struct f80 b, bool quiet_ok)
{
    struct f80_num x = f80_unpack(a), y = f80_unpack(b);
    int mag;

    if (x.cls == FC_BAD || y.cls == FC_BAD || is_nan(&x) || is_nan(&y)) {
        if (!quiet_ok || x.cls >= FC_SNAN || y.cls >= FC_SNAN)
            e->flags |= F80_IE;
        return 2;
    }
    denormals(e, &x, &y);
    if (x.cls == FC_ZERO && y.cls == FC_ZERO)
        return 0;
    if (x.cls == FC_ZERO)
        return y.sign ? 1 : -1;
    if (y.cls == FC_ZERO || x.sign != y.sign)
        return x.sign ? -1 : 1;
    if (x.cls == FC_INF || y.cls == FC_INF)
        mag = x.cls == y.cls ? 0 : x.cls == FC_INF ? 1 : -1;
    else if (x.exp != y.exp)
        mag = x.exp > y.exp ? 1 : -1;
    else
        mag = x.sig == y.sig ? 0 : x.sig > y.sig ? 1 : -1;
    return x.sign ? -mag : mag;
}

/* ---- conversions from memory formats ---- */

/* frac: the fraction, left-aligned below bit 63. */
static struct f80 widen(struct f80_env *e, bool sign, unsigned be, unsigned emax, int bias, uint64_t frac)
{
    if (be == emax) {
        struct f80 r = f80_make(sign, 0x7fff, TOP | frac);

        if (frac && !(frac & (TOP >> 1))) {
            e->flags |= F80_IE;
            r = quiet(r);
        }
        return r;
    }
    if (be)
        return f80_make(sign, be - (unsigned)bias + BIAS, TOP | frac);
    if (!frac)
        return f80_zero(sign);
    e->flags |= F80_DE;
    be = (unsigned)__builtin_clzll(frac);
    return f80_make(sign, (unsigned)(BIAS - bias + 1) - be, frac << be);
}

struct f80 f80_from_f32(struct f80_env *e, uint32_t v)
{
    return widen(e, v >> 31, v >> 23 & 0xff, 0xff, 127, (uint64_t)(v & 0x7fffff) << 40);
}

struct f80 f80_from_f64(struct f80_env *e, uint64_t v)
{
    return widen(e, v >> 63, v >> 52 & 0x7ff, 0x7ff, 1023, (v & 0xfffffffffffffull) << 11);
}

struct f80 f80_from_int(int64_t v)
{
    uint64_t m = v < 0 ? -(uint64_t)v : (uint64_t)v;
    unsigned s;

    if (!v)
        return f80_zero(false);
    s = (unsigned)__builtin_clzll(m);
    return f80_make(v < 0, BIAS + 63 - s, m << s);
}

struct f80 f80_from_bcd(uint64_t lo, uint16_t hi)
{
    int64_t v = 0;
    struct f80 r;

    for (int k = 17; k >= 0; k--)
        v = v * 10 + (int64_t)((k >= 16 ? (unsigned)hi >> 4 * (k - 16) : (unsigned)(lo >> 4 * k)) & 15);
    r = f80_from_int(v);
    r.se |= hi & 0x8000;
    return r;
}

/* ---- conversions to memory formats ---- */

/* To a format with `bits` of precision, exponents emin..emax; ebits of exponent. */
static uint64_t narrow(struct f80_env *e, struct f80 a, unsigned bits, unsigned ebits, bool *ok)
{
    struct f80_num x = f80_unpack(a);
    unsigned drop = 64 - bits, emask = (1u << ebits) - 1;
    uint64_t sign = (uint64_t)x.sign << (bits - 1 + ebits), inf = (uint64_t)emask << (bits - 1);
    int bias = (int)(emask >> 1), be = x.exp + bias;
    uint64_t hi = x.sig, lo = 0;
    struct rounded r;

    *ok = true;
    switch (x.cls) {
    case FC_ZERO:
        return sign;
    case FC_INF:
        return sign | inf;
    case FC_BAD:
        e->flags |= F80_IE;
        *ok = e->mask & F80_IE;
        return (1ull << (bits - 1 + ebits)) | inf | 1ull << (bits - 2);
    case FC_SNAN:
        e->flags |= F80_IE;
        *ok = e->mask & F80_IE;
        __attribute__((fallthrough));
    case FC_QNAN:
        return sign | inf | 1ull << (bits - 2) | (x.sig << 1) >> (drop + 1);
    default:
        break;
    }
    r = round_at(hi, 0, drop, e->rc, x.sign);
    if (be < 0 || (be == 0 && !r.carry)) {
        if (!(e->mask & F80_UE)) {
            e->flags |= F80_UE;
            *ok = false;
            return 0;
        }
        shift_jam(&hi, &lo, 1 - be > 127 ? 127u : (unsigned)(1 - be));
        r = round_at(hi, lo, drop, e->rc, x.sign);
        if (r.inexact)
            e->flags |= F80_UE | F80_PE;
        e->c1 = r.up;
        return sign + (r.sig >> drop);  /* a carry into the exponent is right */
    }
    if (be + r.carry >= (int)emask) {
        bool to_inf = e->rc == F80_NEAREST || (e->rc == F80_DOWN && x.sign) || (e->rc == F80_UP && !x.sign);

        e->flags |= F80_OE;
        if (!(e->mask & F80_OE)) {
            *ok = false;
            return 0;
        }
        e->flags |= F80_PE;
        e->c1 = to_inf;
        return sign | (to_inf ? inf : inf - 1);
    }
    if (r.inexact)
        e->flags |= F80_PE;
    e->c1 = r.up;
    return sign | (uint64_t)(be + r.carry) << (bits - 1) | (r.sig << 1) >> (drop + 1);
}

uint32_t f80_to_f32(struct f80_env *e, struct f80 a, bool *ok)
{
    return (uint32_t)narrow(e, a, 24, 8, ok);
}

uint64_t f80_to_f64(struct f80_env *e, struct f80 a, bool *ok)
{
    return narrow(e, a, 53, 11, ok);
}

/* Magnitude rounded to an integer <= limit; false: invalid. */
static bool integer(struct f80_env *e, const struct f80_num *x, unsigned rc, uint64_t limit, uint64_t *v)
{
    struct rounded r = { .sig = 0 };

    if (x->cls == FC_NORMAL) {
        if (x->exp > 63)
            return false;
        r = to_integer(x, rc);
        if (r.carry || r.sig > limit)
            return false;
    } else if (x->cls != FC_ZERO) {
        return false;
    }
    if (r.inexact)
        e->flags |= F80_PE;
    e->c1 = r.up;
    *v = r.sig;
    return true;
}

uint64_t f80_to_int(struct f80_env *e, struct f80 a, unsigned bits, unsigned rc, bool *ok)
{
    struct f80_num x = f80_unpack(a);
    uint64_t half = 1ull << (bits - 1), v;

    *ok = true;
    if (!integer(e, &x, rc, x.sign ? half : half - 1, &v)) {
        e->flags |= F80_IE;
        *ok = e->mask & F80_IE;
        return half;
    }
    return (x.sign ? -v : v) & (half | (half - 1));
}

uint64_t f80_to_bcd(struct f80_env *e, struct f80 a, uint16_t *hi, bool *ok)
{
    struct f80_num x = f80_unpack(a);
    uint64_t v, lo = 0;

    *ok = true;
    if (!integer(e, &x, e->rc, 999999999999999999ull, &v)) {
        e->flags |= F80_IE;
        *ok = e->mask & F80_IE;
        *hi = 0xffff;
        return 0xc000000000000000ull;
    }
    for (unsigned k = 0; k < 16; k++, v /= 10)
        lo |= (v % 10) << 4 * k;
    *hi = (uint16_t)(v % 10 | v / 10 << 4 | (uint64_t)x.sign << 15);
    return lo;
}
