/*
 * f80_fn.c - the transcendental functions of the x87.
 *
 * They are computed with 128-bit significands (error below 2^-110 relative) and
 * rounded once, so results are within half an ulp and a hair; hardware promises
 * one ulp and its last bit differs between chips, so tests compare within that.
 * Trigonometric arguments are reduced by the 66-bit pi the hardware uses, so
 * large arguments agree with it.  SDM vol. 1, 8.3.7 to 8.3.10.
 */
#include "frontend/f80.h"

#define u128 unsigned __int128
#define U128(hi, lo) ((u128)(hi) << 64 | (lo))
#define HALF128 U128(1ull << 63, 0)

/* sig * 2^(exp - 127), bit 127 of sig set, or 0. */
struct xf {
    u128 sig;
    int exp;
    bool neg;
};

static const struct xf one = { HALF128, 0, false };
static const struct xf ln2 = { U128(0xb17217f7d1cf79abull, 0xc9e3b39803f2f6afull), -1, false };
static const struct xf inv_ln2 = { U128(0xb8aa3b295c17f0bbull, 0xbe87fed0691d3e88ull), 0, false };
static const struct xf pi = { U128(0xc90fdaa22168c234ull, 0xc4c6628b80dc1cd1ull), 1, false };

static struct xf norm(u128 sig, int exp, bool neg)
{
    uint64_t hi = (uint64_t)(sig >> 64);
    unsigned s;

    if (!sig)
        return (struct xf){ 0, 0, neg };
    s = hi ? (unsigned)__builtin_clzll(hi) : 64 + (unsigned)__builtin_clzll((uint64_t)sig);
    return (struct xf){ sig << s, exp - (int)s, neg };
}

static struct xf from_num(const struct f80_num *x)
{
    if (x->cls == FC_ZERO)
        return (struct xf){ 0, 0, x->sign };
    return (struct xf){ (u128)x->sig << 64, x->exp, x->sign };
}

static struct xf scaled(struct xf x, int n)
{
    x.exp += n;
    return x;
}

static struct xf negate(struct xf x)
{
    x.neg = !x.neg;
    return x;
}

static struct xf mul(struct xf a, struct xf b)
{
    uint64_t ah = (uint64_t)(a.sig >> 64), al = (uint64_t)a.sig;
    uint64_t bh = (uint64_t)(b.sig >> 64), bl = (uint64_t)b.sig;
    u128 mid1 = (u128)ah * bl, mid2 = (u128)al * bh, low = (u128)al * bl >> 64;
    u128 sum = low + (uint64_t)mid1 + (uint64_t)mid2;
    u128 hi = (u128)ah * bh + (mid1 >> 64) + (mid2 >> 64) + (sum >> 64);

    return norm(hi, a.exp + b.exp + 1, a.neg != b.neg);
}

static struct xf add(struct xf a, struct xf b)
{
    int d;

    if (!a.sig)
        return b;
    if (!b.sig)
        return a;
    if (a.exp < b.exp || (a.exp == b.exp && a.sig < b.sig)) {
        struct xf t = a;

        a = b;
        b = t;
    }
    d = a.exp - b.exp;
    if (d > 127)                /* a shade less, so that directed rounding sees it */
        return a.neg != b.neg ? norm(a.sig - 1, a.exp, a.neg) : a;
    if (a.neg != b.neg)
        return norm(a.sig - (b.sig >> d), a.exp, a.neg);
    b.sig >>= d;
    if (a.sig + b.sig >= a.sig)
        return (struct xf){ a.sig + b.sig, a.exp, a.neg };
    return (struct xf){ (a.sig + b.sig) >> 1 | HALF128, a.exp + 1, a.neg };
}

/* Bit by bit: speed does not matter here.  `top` is bit 128 of the doubled remainder. */
static struct xf divide(struct xf a, struct xf b)
{
    u128 rem = a.sig, q = 0;
    bool top = false;

    if (!a.sig)
        return a;
    for (unsigned k = 0; k < 128; k++) {
        q <<= 1;
        if (top || rem >= b.sig) {
            rem -= b.sig;
            q |= 1;
        }
        top = rem >> 127;
        rem <<= 1;
    }
    return norm(q, a.exp - b.exp, a.neg != b.neg);
}

static struct xf from_int(int v)
{
    return norm((u128)(v < 0 ? -(int64_t)v : v) << 64, 63, v < 0);
}

/* Sum of x^(2k+1)/(2k+1), signs alternating or not: atan and atanh for |x| < 1/2. */
static struct xf odd_series(struct xf x, bool alternate)
{
    struct xf sq = mul(x, x), p = x, sum = x;

    if (!x.sig)
        return x;
    for (int k = 3; k < 400; k += 2) {
        struct xf t;

        p = mul(p, sq);
        if (alternate)
            p.neg = !p.neg;
        if (!p.sig || p.exp < x.exp - 124)
            break;
        t = divide(p, from_int(k));
        sum = add(sum, t);
    }
    return sum;
}

static struct f80 result(struct f80_env *e, struct xf r)
{
    if (!r.sig)
        return f80_zero(r.neg);
    /* Irrational: never exact. */
    return f80_round(e, r.neg, r.exp, (uint64_t)(r.sig >> 64), (uint64_t)r.sig | 1, 64);
}

/* ---- 2^x - 1 ---- */

struct f80 f80_2xm1(struct f80_env *e, struct f80 a)
{
    struct f80_num x = f80_unpack(a);
    struct f80 r;
    struct xf y, t, sum;

    if (f80_special1(e, a, &x, &r))
        return r;
    if (x.cls == FC_ZERO)
        return a;
    if (x.cls == FC_INF)
        return x.sign ? f80_make(true, 0x3fff, 1ull << 63) : a;
    e->flags |= F80_PE;         /* Intel's processors do so whatever comes, even where it is exact */
    if (x.exp > 0 || (x.exp == 0 && x.sig != 1ull << 63))
        return a;               /* outside [-1, 1]: undefined; they leave the operand */
    if (x.exp == 0)
        return x.sign ? f80_make(true, 0x3ffe, 1ull << 63) : a;
    y = mul(from_num(&x), ln2);
    t = sum = y;
    for (int k = 2; k < 64 && t.sig && t.exp > sum.exp - 126; k++) {
        t = divide(mul(t, y), from_int(k));
        sum = add(sum, t);
    }
    return result(e, sum);
}

/* ---- logarithms ---- */

/* log2((1 + s) / (1 - s)) = 2 atanh(s) / ln 2. */
static struct xf log2_of(struct xf s)
{
    return mul(scaled(odd_series(s, false), 1), inv_ln2);
}

struct f80 f80_yl2x(struct f80_env *e, struct f80 xa, struct f80 ya)
{
    struct f80_num x = f80_unpack(xa), y = f80_unpack(ya);
    struct f80 r;
    struct xf m, l;
    int n;
    bool unit;

    if (f80_special2(e, xa, &x, ya, &y, &r))
        return r;
    if (x.sign && x.cls != FC_ZERO)
        return f80_invalid(e);
    unit = x.cls == FC_NORMAL && x.exp == 0 && x.sig == 1ull << 63;
    if (x.cls == FC_INF) {
        if (y.cls == FC_ZERO)
            return f80_invalid(e);
        if (y.denormal)
            e->flags |= F80_DE;
        return f80_inf(y.sign);
    }
    if (y.cls == FC_INF) {
        if (unit)
            return f80_invalid(e);
        if (x.denormal)
            e->flags |= F80_DE;
        return f80_inf(y.sign != (x.cls == FC_ZERO || x.exp < 0));
    }
    if (x.cls == FC_ZERO) {
        if (y.cls == FC_ZERO)
            return f80_invalid(e);
        e->flags |= F80_ZE;
        return f80_inf(!y.sign);
    }
    if (x.denormal || y.denormal) {
        e->flags |= F80_DE;
        if (!(e->mask & F80_DE))
            return ya;
    }
    if (y.cls == FC_ZERO)
        return f80_zero(y.sign != (x.exp < 0));
    if (unit)
        return f80_zero(y.sign);
    m = from_num(&x);
    n = m.exp;
    m.exp = 0;
    if (x.sig > 0xb504f333f9de6484ull) {
        m.exp = -1;
        n++;
    }
    l = log2_of(divide(add(m, negate(one)), add(m, one)));
    return result(e, mul(add(from_int(n), l), from_num(&y)));
}

struct f80 f80_yl2xp1(struct f80_env *e, struct f80 xa, struct f80 ya)
{
    struct f80_num x = f80_unpack(xa), y = f80_unpack(ya);
    struct f80 r;
    struct xf v;

    if (f80_special2(e, xa, &x, ya, &y, &r))
        return r;
    if (x.cls == FC_INF) {
        if (x.sign || y.cls == FC_ZERO)
            return f80_invalid(e);
        if (y.denormal)
            e->flags |= F80_DE;
        return f80_inf(y.sign);
    }
    if (x.cls == FC_NORMAL && x.sign && x.exp >= 0)
        return f80_invalid(e);  /* at or below -1: undefined */
    if (y.cls == FC_INF) {
        if (x.cls == FC_ZERO)
            return f80_invalid(e);
        if (x.denormal)
            e->flags |= F80_DE;
        return f80_inf(y.sign != x.sign);
    }
    if (x.denormal || y.denormal) {
        e->flags |= F80_DE;
        if (!(e->mask & F80_DE))
            return ya;
    }
    if (x.cls == FC_ZERO || y.cls == FC_ZERO)
        return f80_zero(x.sign != y.sign);
    v = from_num(&x);
    if (x.exp >= -1) {
        /* large: as a logarithm of 1 + x */
        struct xf m = add(v, one);
        int n = m.exp;

        m.exp = 0;
        if (m.sig >> 64 > 0xb504f333f9de6484ull) {
            m.exp = -1;
            n++;
        }
        v = add(from_int(n), log2_of(divide(add(m, negate(one)), add(m, one))));
    } else {
        v = log2_of(divide(v, add(v, scaled(one, 1))));
    }
    return result(e, mul(v, from_num(&y)));
}

/* ---- arc tangent ---- */

static struct xf atan01(struct xf t)    /* 0 <= t <= 1 */
{
    static const struct xf limit = { U128(0xd413cccfe7799211ull, 0), -2, false };      /* tan(pi / 8) */
    struct xf r;

    if (t.sig && (t.exp > limit.exp || (t.exp == limit.exp && t.sig > limit.sig))) {
        r = odd_series(divide(add(t, negate(one)), add(t, one)), true);
        return add(scaled(pi, -2), r);
    }
    return odd_series(t, true);
}

struct f80 f80_atan2(struct f80_env *e, struct f80 ya, struct f80 xa)
{
    struct f80_num y = f80_unpack(ya), x = f80_unpack(xa);
    struct f80 r;
    struct xf t, ax, ay;
    bool swap;

    if (f80_special2(e, ya, &y, xa, &x, &r))
        return r;
    if (x.denormal || y.denormal) {
        e->flags |= F80_DE;
        if (!(e->mask & F80_DE))
            return ya;
    }
    if (y.cls == FC_INF) {
        t = x.cls != FC_INF ? scaled(pi, -1) : x.sign ? mul(from_int(3), scaled(pi, -2)) : scaled(pi, -2);
    } else if (x.cls == FC_INF || y.cls == FC_ZERO || x.cls == FC_ZERO) {
        bool small = x.cls == FC_INF || y.cls == FC_ZERO;

        if (small && !x.sign)
            return f80_zero(y.sign);
        t = small ? pi : scaled(pi, -1);
    } else {
        ax = from_num(&x);
        ay = from_num(&y);
        ax.neg = ay.neg = false;
        swap = ay.exp > ax.exp || (ay.exp == ax.exp && ay.sig > ax.sig);
        t = atan01(swap ? divide(ax, ay) : divide(ay, ax));
        if (swap)
            t = add(scaled(pi, -1), negate(t));
        if (x.sign)
            t = add(pi, negate(t));
    }
    t.neg = y.sign;
    return result(e, t);
}

/* ---- sine, cosine, tangent ---- */

/* sin or cos of |x| <= pi / 4 and a bit by Taylor's series. */
static struct xf taylor(struct xf x, bool cosine)
{
    struct xf sq = negate(mul(x, x)), t = cosine ? one : x, sum = t;

    if (!x.sig)
        return t;
    for (int k = cosine ? 1 : 2; k < 80 && t.sig && t.exp > sum.exp - 126; k += 2) {
        t = divide(mul(t, sq), from_int(k * (k + 1)));
        sum = add(sum, t);
    }
    return sum;
}

static void sin_and_cos(const struct f80_num *x, struct xf *s, struct xf *c)
{
    /* pi / 2 in units of 2^-65, 66 bits */
    const u128 half_pi = U128(0xc90fdaa22168c234ull, 0xc000000000000000ull) >> 62;
    struct xf r = from_num(x), a, b;
    unsigned quadrant = 0;

    r.neg = false;
    if (x->exp >= -1) {
        u128 v = (u128)x->sig << (x->exp + 2);

        quadrant = (unsigned)(v / half_pi) & 3;
        v %= half_pi;
        if (v > half_pi >> 1) {
            v = half_pi - v;
            quadrant++;
            r = norm(v, 62, true);
        } else {
            r = norm(v, 62, false);
        }
    }
    a = taylor(r, false);
    b = taylor(r, true);
    switch (quadrant & 3) {
    case 0: *s = a; *c = b; break;
    case 1: *s = b; *c = negate(a); break;
    case 2: *s = negate(a); *c = negate(b); break;
    default: *s = negate(b); *c = a; break;
    }
    if (x->sign)
        *s = negate(*s);
}

/* So small that f(x) = x: whatever the rounding, x it is, inexact. */
static struct f80 tiny(struct f80_env *e, const struct f80_num *x)
{
    struct f80 r = f80_round(e, x->sign, x->exp, x->sig, 0, 64);

    e->flags |= F80_PE | (x->exp < -16382 ? F80_UE : 0);
    return r;
}

bool f80_sincos(struct f80_env *e, struct f80 a, struct f80 *sin, struct f80 *cos)
{
    struct f80_num x = f80_unpack(a);
    struct f80 r;
    struct xf s, c;

    if (f80_special1(e, a, &x, &r) || x.cls == FC_INF) {
        if (x.cls == FC_INF)
            r = f80_invalid(e);
        if (sin)
            *sin = r;
        if (cos)
            *cos = r;
        return true;
    }
    if (x.cls == FC_ZERO) {
        if (sin)
            *sin = a;
        if (cos)
            *cos = f80_make(false, 0x3fff, 1ull << 63);
        return true;
    }
    if (x.exp >= 63)
        return false;
    sin_and_cos(&x, &s, &c);
    if (cos)
        *cos = result(e, c);
    if (sin)
        *sin = x.exp < -68 ? tiny(e, &x) : result(e, s);
    return true;
}

bool f80_tan(struct f80_env *e, struct f80 a, struct f80 *tan)
{
    struct f80_num x = f80_unpack(a);
    struct f80 r;
    struct xf s, c;

    if (f80_special1(e, a, &x, &r)) {
        *tan = r;
        return true;
    }
    if (x.cls == FC_ZERO) {
        *tan = a;
        return true;
    }
    if (x.cls == FC_INF) {
        *tan = f80_invalid(e);
        return true;
    }
    if (x.exp >= 63)
        return false;
    sin_and_cos(&x, &s, &c);
    *tan = x.exp < -68 ? tiny(e, &x) : result(e, divide(s, c));
    return true;
}
