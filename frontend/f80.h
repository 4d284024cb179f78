/*
 * f80.h - 80-bit floating point in integer arithmetic, as the x87 does it.
 *
 * Operations take operands as they lie in registers (struct f80) and give the
 * masked response, unless the exception is unmasked in env->mask; the exceptions
 * raised are collected in env->flags.  If an unmasked invalid, denormal or
 * zero-divide exception was raised (f80_stopped), the result is not to be used.
 * Unmasked overflow and underflow give the result with the exponent adjusted by
 * 24576.  SDM vol. 1, chapters 4.8, 4.9 and 8.4, 8.5.
 */
#ifndef FRONTEND_F80_H
#define FRONTEND_F80_H

#include "frontend/cpu.h"

/* Exception flags: bits of the x87 status word, mask bits of its control word. */
#define F80_IE 0x01u
#define F80_DE 0x02u
#define F80_ZE 0x04u
#define F80_OE 0x08u
#define F80_UE 0x10u
#define F80_PE 0x20u

enum { F80_NEAREST, F80_DOWN, F80_UP, F80_ZERO };       /* rounding control */

struct f80_env {
    uint8_t rc;                 /* F80_NEAREST.. */
    uint8_t bits;               /* precision control: 24, 53 or 64 */
    uint8_t mask;               /* F80_* that are masked */
    uint8_t flags;              /* F80_* raised */
    bool c1;                    /* the last rounding was away from zero */
    bool denormal;              /* an operand was denormal in memory: raises DE where denormals do */
};

static inline bool f80_stopped(const struct f80_env *e)
{
    return e->flags & ~e->mask & (F80_IE | F80_DE | F80_ZE);
}

enum f80_class { FC_ZERO, FC_NORMAL, FC_INF, FC_QNAN, FC_SNAN, FC_BAD };

/* Value = sig * 2^(exp - 63); finite nonzero numbers are normalised (bit 63 set). */
struct f80_num {
    uint64_t sig;
    int exp;
    uint8_t cls;
    bool sign, denormal;
};

#define F80_INDEF ((struct f80){ .sig = 0xc000000000000000ull, .se = 0xffff })

static inline struct f80 f80_make(bool sign, unsigned e, uint64_t sig)
{
    return (struct f80){ .sig = sig, .se = (uint16_t)(e | (unsigned)sign << 15) };
}
static inline struct f80 f80_zero(bool sign) { return f80_make(sign, 0, 0); }
static inline struct f80 f80_inf(bool sign) { return f80_make(sign, 0x7fff, 1ull << 63); }

struct f80_num f80_unpack(struct f80 x);
/*
 * Round sign * (hi:lo) * 2^(exp - 63) (hi with bit 63 set; lo the 64 bits below, its
 * bit 0 sticky) to `bits` bits and pack it.
 */
struct f80 f80_round(struct f80_env *e, bool sign, int exp, uint64_t hi, uint64_t lo, unsigned bits);
/* Invalid operation: raise IE, default NaN. */
struct f80 f80_invalid(struct f80_env *e);
/*
 * Operands that decide the result alone: NaNs and invalid encodings (true: *r is
 * the result); else denormals raise DE (true if that is unmasked).
 */
bool f80_special1(struct f80_env *e, struct f80 a, const struct f80_num *x, struct f80 *r);
bool f80_special2(struct f80_env *e, struct f80 a, const struct f80_num *x, struct f80 b,
                  const struct f80_num *y, struct f80 *r);

struct f80 f80_add(struct f80_env *e, struct f80 a, struct f80 b, bool subtract);
struct f80 f80_mul(struct f80_env *e, struct f80 a, struct f80 b);
struct f80 f80_div(struct f80_env *e, struct f80 a, struct f80 b);
struct f80 f80_sqrt(struct f80_env *e, struct f80 a);
struct f80 f80_rint(struct f80_env *e, struct f80 a);
struct f80 f80_scale(struct f80_env *e, struct f80 a, struct f80 b);
/* FPREM, FPREM1 (nearest): *q low three quotient bits, 8 if there is no quotient; *partial: reduction
 * not complete. */
struct f80 f80_rem(struct f80_env *e, struct f80 a, struct f80 b, bool nearest, unsigned *q, bool *partial);
/* Exponent and significand; the exponent is returned. */
struct f80 f80_extract(struct f80_env *e, struct f80 a, struct f80 *sig);

/* Order: -1, 0, 1, or 2 for unordered.  quiet: quiet NaNs are not invalid. */
int f80_compare(struct f80_env *e, struct f80 a, struct f80 b, bool quiet);

/* Conversions.  From memory formats: */
struct f80 f80_from_f32(struct f80_env *e, uint32_t v);
struct f80 f80_from_f64(struct f80_env *e, uint64_t v);
struct f80 f80_from_int(int64_t v);
struct f80 f80_from_bcd(uint64_t lo, uint16_t hi);
/* To memory formats.  *ok = false: an unmasked exception forbids the store. */
uint32_t f80_to_f32(struct f80_env *e, struct f80 a, bool *ok);
uint64_t f80_to_f64(struct f80_env *e, struct f80 a, bool *ok);
/* Signed integer of 16, 32 or 64 bits, zero-extended; rounds by rc. */
uint64_t f80_to_int(struct f80_env *e, struct f80 a, unsigned bits, unsigned rc, bool *ok);
uint64_t f80_to_bcd(struct f80_env *e, struct f80 a, uint16_t *hi, bool *ok);

/* Transcendental functions (f80_fn.c). */
struct f80 f80_2xm1(struct f80_env *e, struct f80 a);
struct f80 f80_yl2x(struct f80_env *e, struct f80 x, struct f80 y);
struct f80 f80_yl2xp1(struct f80_env *e, struct f80 x, struct f80 y);
struct f80 f80_atan2(struct f80_env *e, struct f80 y, struct f80 x);
/* Sine and cosine (either may be NULL); false: |a| >= 2^63, nothing done. */
bool f80_sincos(struct f80_env *e, struct f80 a, struct f80 *sin, struct f80 *cos);
bool f80_tan(struct f80_env *e, struct f80 a, struct f80 *tan);

#endif
