/*
 * alu.h - what the integer operations compute; the constant folder (ir.c) and
 * the interpreter share it.
 *
 * Invariant: values are held zero-extended to 64 bits, arguments and result
 * alike.  With a constant `op` the function folds to that operation's code.
 */
#ifndef TRANSLATOR_ALU_H
#define TRANSLATOR_ALU_H

#include "translator/ir.h"

static inline uint64_t type_mask(enum ir_type t)
{
    static const uint64_t mask[TY_COUNT] = { ~0ull, 0xff, 0xffff, 0xffffffff, ~0ull, ~0ull, ~0ull };
    return mask[t];
}

static inline int64_t sext(enum ir_type t, uint64_t v)
{
    unsigned sh = 64 - type_bits(t);
    return (int64_t)(v << sh) >> sh;
}

static inline uint64_t mulhu64(uint64_t x, uint64_t y)
{
    uint64_t xl = (uint32_t)x, xh = x >> 32, yl = (uint32_t)y, yh = y >> 32;
    uint64_t mid = xh * yl + (xl * yl >> 32), mid2 = xl * yh + (uint32_t)mid;
    return xh * yh + (mid >> 32) + (mid2 >> 32);
}

static inline uint64_t mulhs64(uint64_t x, uint64_t y)
{
    return mulhu64(x, y) - ((int64_t)x < 0 ? y : 0) - ((int64_t)y < 0 ? x : 0);
}

/* Quotient (and remainder) of hi:lo / d, unsigned, by schoolbook steps; d > hi. */
static inline uint64_t udiv128(uint64_t hi, uint64_t lo, uint64_t d, uint64_t *rem)
{
    if (!hi) {
        *rem = lo % d;
        return lo / d;
    }
    uint64_t q = 0;
    for (unsigned k = 0; k < 64; k++) {
        bool carry = hi >> 63;
        hi = hi << 1 | lo >> 63;
        lo <<= 1;
        q <<= 1;
        if (carry || hi >= d) {
            hi -= d;
            q |= 1;
        }
    }
    *rem = hi;
    return q;
}

/* Division of the double-width a:b (a high) by c.  False: #DE (c = 0 or the quotient does not fit). */
static inline bool ir_divide(enum ir_type t, bool is_signed, uint64_t a, uint64_t b, uint64_t c,
                             uint64_t *quot, uint64_t *rem)
{
    unsigned w = type_bits(t);
    uint64_t m = type_mask(t), hi = a, lo = b, d = c;
    bool neg_n = false, neg_d = false;
    if (is_signed) {
        neg_n = hi >> (w - 1) & 1;
        neg_d = d >> (w - 1) & 1;
        if (neg_n) {
            lo = -lo & m;
            hi = (~hi + (lo == 0)) & m;
        }
        if (neg_d)
            d = -d & m;
    }
    if (d == 0 || hi >= d)
        return false;
    uint64_t q, r;
    if (w == 64) {
        q = udiv128(hi, lo, d, &r);
    } else {
        uint64_t n = hi << w | lo;
        q = n / d;
        r = n % d;
    }
    if (is_signed && q > (m >> 1) + (neg_n != neg_d))
        return false;
    *quot = (neg_n != neg_d ? -q : q) & m;
    *rem = (neg_n ? -r : r) & m;
    return true;
}

/* CRC-32C (polynomial 1EDC6F41h, bit-reversed) of the `bytes` low bytes of v. */
static inline uint32_t crc32c(uint32_t crc, uint64_t v, unsigned bytes)
{
    for (unsigned k = 0; k < bytes; k++) {
        crc ^= (uint8_t)(v >> 8 * k);
        for (unsigned bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
    }
    return crc;
}

/*
 * Operation op of type t on x, y, z; cf is the carry of a flags operand; ot is
 * the type of the operands where it is not t (SEXT, comparisons, CRC32's b).
 */
__attribute__((always_inline))
static inline uint64_t ir_alu(enum ir_op op, enum ir_type t, enum ir_type ot, uint64_t x, uint64_t y,
                              uint64_t z, unsigned cf)
{
    uint64_t m = type_mask(t);
    unsigned w = type_bits(t), n = (unsigned)y & (w == 64 ? 63 : 31);
    switch (op) {
    case IR_ADD: return (x + y) & m;
    case IR_SUB: return (x - y) & m;
    case IR_ADC: return (x + y + cf) & m;
    case IR_SBB: return (x - y - cf) & m;
    case IR_AND: return x & y;
    case IR_OR:  return x | y;
    case IR_XOR: return x ^ y;
    case IR_NOT: return ~x & m;
    case IR_NEG: return -x & m;
    case IR_SHL: return (x << n) & m;
    case IR_SHR: return x >> n;
    case IR_SAR: return (uint64_t)(sext(t, x) >> n) & m;
    case IR_ROL:
        n &= w - 1;
        return n ? (x << n | x >> (w - n)) & m : x;
    case IR_ROR:
        n &= w - 1;
        return n ? (x >> n | x << (w - n)) & m : x;
    case IR_RCL:        /* rotates w + 1 bits */
        n %= w + 1;
        if (n == 0)
            return x;
        return (x << n | (uint64_t)cf << (n - 1) | (n > 1 ? x >> (w + 1 - n) : 0)) & m;
    case IR_RCR:
        n %= w + 1;
        if (n == 0)
            return x;
        return (x >> n | (uint64_t)cf << (w - n) | (n > 1 ? x << (w + 1 - n) : 0)) & m;
    case IR_SHLD:       /* 16 bits shifted by more: x comes in again behind y, as on Intel's chips */
        n = (unsigned)z & (w == 64 ? 63 : 31);
        if (w == 16)
            return ((x << 32 | y << 16 | x) << n >> 32) & m;
        return n ? (x << n | y >> (w - n)) & m : x;
    case IR_SHRD:
        n = (unsigned)z & (w == 64 ? 63 : 31);
        if (w == 16)
            return ((x << 32 | y << 16 | x) >> n) & m;
        return n ? (x >> n | y << (w - n)) & m : x;
    case IR_MUL: return x * y & m;
    case IR_MULHU: return w == 64 ? mulhu64(x, y) : x * y >> w;
    case IR_MULHS:
        return w == 64 ? mulhs64(x, y) : (uint64_t)(sext(t, x) * sext(t, y)) >> w & m;
    case IR_BSWAP: return __builtin_bswap64(x) >> (64 - w);
    case IR_CTZ: return x ? (unsigned)__builtin_ctzll(x) : w;
    case IR_CLZ: return x ? (unsigned)__builtin_clzll(x) - (64 - w) : w;
    case IR_POPCNT: return (unsigned)__builtin_popcountll(x);
    case IR_CRC32: return crc32c((uint32_t)x, y, type_bytes(ot));
    case IR_BIT: return x >> (y & (w - 1)) & 1;
    case IR_ZEXT: return x;
    case IR_SEXT: return (uint64_t)sext(ot, x) & m;
    case IR_TRUNC: return x & m;
    case IR_SELECT: return x ? y : z;
    case IR_EQ:  return x == y;
    case IR_LTU: return x < y;
    case IR_LTS: return sext(ot, x) < sext(ot, y);
    default: __builtin_unreachable();
    }
}

#endif
