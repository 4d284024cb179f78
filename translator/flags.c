/*
 * flags.c - x86's arithmetic flags: the one definition of what each kind of
 * flags.def computes (SDM vol. 1, 3.4.3.1, and the instructions' pages).
 */
#include "frontend/cpu.h"
#include "translator/alu.h"
#include "translator/ir.h"

/* A compile-time flx_from_fl(). */
#define FLX(m) (((m) & FL_OF ? 32u : 0) | ((m) & FL_SF ? 16u : 0) | ((m) & FL_ZF ? 8u : 0) | \
                ((m) & FL_AF ? 4u : 0) | ((m) & FL_PF ? 2u : 0) | ((m) & FL_CF ? 1u : 0))

const uint8_t fk_writes[FK_COUNT] = {
#define F(id, text, writes, undef) FLX(writes),
#include "translator/flags.def"
#undef F
};

const uint8_t cc_reads[16] = {
    FLX(FL_OF), FLX(FL_OF), FLX(FL_CF), FLX(FL_CF), FLX(FL_ZF), FLX(FL_ZF),
    FLX(FL_CF | FL_ZF), FLX(FL_CF | FL_ZF), FLX(FL_SF), FLX(FL_SF), FLX(FL_PF), FLX(FL_PF),
    FLX(FL_SF | FL_OF), FLX(FL_SF | FL_OF), FLX(FL_ZF | FL_SF | FL_OF), FLX(FL_ZF | FL_SF | FL_OF),
};

unsigned flx_from_fl(uint32_t fl)
{
    return FLX(fl);
}

uint32_t fl_from_flx(unsigned flx)
{
    return (flx & 32 ? FL_OF : 0) | (flx & 16 ? FL_SF : 0) | (flx & 8 ? FL_ZF : 0) |
           (flx & 4 ? FL_AF : 0) | (flx & 2 ? FL_PF : 0) | (flx & 1 ? FL_CF : 0);
}

/* PF is set for an even number of ones in the low byte: fold it to four bits and look that up. */
static uint32_t parity(uint64_t r)
{
    unsigned x = (unsigned)(r ^ r >> 4) & 15;
    return (0x9669u >> x & 1) << 2;
}

static uint32_t szp(uint64_t r, unsigned w)
{
    return (uint32_t)(r >> (w - 1) & 1) << 7 | (r == 0 ? FL_ZF : 0) | parity(r);
}

/* CF and OF of ROL, ROR, RCL, RCR by n (masked, not 0); old CF where a whole turn leaves it. */
static uint32_t rotate(enum ir_op op, unsigned w, uint64_t r, uint64_t x, unsigned n, uint32_t old)
{
    uint64_t msb = 1ull << (w - 1);
    uint32_t cf;
    if (op == IR_ROL) {
        cf = r & 1;
    } else if (op == IR_ROR) {
        cf = (r & msb) != 0;
    } else {
        n %= w + 1;
        cf = n == 0 ? old & FL_CF : op == IR_RCL ? x >> (w - n) & 1 : x >> (n - 1) & 1;
    }
    if (op == IR_ROL || op == IR_RCL)
        return cf | ((x ^ x << 1) & msb ? FL_OF : 0);
    /* By one to the right, this comes in on top; RCR's carry has got into the result. */
    uint64_t in = op == IR_ROR ? x & 1 : n == 0 ? old & FL_CF : r >> (w - n) & 1;
    return cf | (((x & msb) != 0) != (in != 0) ? FL_OF : 0);
}

/* The bit SHLD/SHRD shift out last; 16 bits by more than 16: see ir_alu(). */
static uint32_t shifted_out(enum ir_op op, unsigned w, uint64_t x, uint64_t y, unsigned n)
{
    if (w == 16) {
        uint64_t wide = x << 32 | y << 16 | x;
        return wide >> (op == IR_SHLD ? 48 - n : n - 1) & 1;
    }
    return x >> (op == IR_SHLD ? w - n : n - 1) & 1;
}

/*
 * Where the SDM leaves a flag undefined: shifts clear AF, and for every count give
 * OF what shifting by 1 would; multiplications set SF and PF from
 * the low half and clear ZF and AF, as Intel's processors do; the rest is 0.
 */
uint32_t cc_eval(enum flags_kind k, enum ir_op op, enum ir_type t, uint64_t r, uint64_t x,
                 uint64_t y, uint64_t z, uint32_t old)
{
    unsigned w = type_bits(t), n = (unsigned)z & (w == 64 ? 63 : 31);
    uint64_t msb = 1ull << (w - 1), carry;
    uint32_t cf;
    switch (k) {
    case FK_ADD:        /* carry: what each bit position carried out, carry-in or not */
        carry = (x & y) | ((x | y) & ~r);
        return szp(r, w) | (uint32_t)(carry >> (w - 1) & 1) | (uint32_t)((x ^ y ^ r) & FL_AF) |
               ((x ^ r) & (y ^ r) & msb ? FL_OF : 0);
    case FK_SUB:
        carry = (~x & y) | (~(x ^ y) & r);
        return szp(r, w) | (uint32_t)(carry >> (w - 1) & 1) | (uint32_t)((x ^ y ^ r) & FL_AF) |
               ((x ^ y) & (x ^ r) & msb ? FL_OF : 0);
    case FK_LOGIC:
        return szp(r, w);
    case FK_INC:
        return szp(r, w) | (r == msb ? FL_OF : 0) | ((r & 15) == 0 ? FL_AF : 0) | (old & FL_CF);
    case FK_DEC:
        return szp(r, w) | (r == msb - 1 ? FL_OF : 0) | ((r & 15) == 15 ? FL_AF : 0) | (old & FL_CF);
    case FK_SHL:
        if (n == 0)
            return old;
        cf = n <= w ? x >> (w - n) & 1 : 0;
        return szp(r, w) | cf | ((x ^ x << 1) & msb ? FL_OF : 0);
    case FK_SHR:
        if (n == 0)
            return old;
        return szp(r, w) | (uint32_t)(x >> (n - 1) & 1) | (x & msb ? FL_OF : 0);
    case FK_SAR:
        if (n == 0)
            return old;
        return szp(r, w) | (uint32_t)(sext(t, x) >> (n - 1) & 1);
    case FK_ROT:
        return n == 0 ? old : (old & ~(FL_CF | FL_OF)) | rotate(op, w, r, x, n, old);
    case FK_SHD:
        if (n == 0)
            return old;
        carry = (x ^ (op == IR_SHLD ? x << 1 : y << (w - 1))) & msb;    /* does the sign change, by 1? */
        return szp(r, w) | shifted_out(op, w, x, y, n) | (carry ? FL_OF : 0);
    case FK_MULU:
        return (szp(r, w) & ~FL_ZF) | (ir_alu(IR_MULHU, t, t, x, y, 0, 0) ? FL_CF | FL_OF : 0);
    case FK_MULS:       /* fits: the high half repeats the low half's sign */
        carry = ir_alu(IR_MULHS, t, t, x, y, 0, 0);
        return (szp(r, w) & ~FL_ZF) | (carry != (r & msb ? type_mask(t) : 0) ? FL_CF | FL_OF : 0);
    case FK_BT:
        return (old & ~FL_CF) | (uint32_t)(r & 1);
    case FK_BSCAN:
        return (old & ~FL_ZF) | (x == 0 ? FL_ZF : 0);
    case FK_POPCNT:
        return x == 0 ? FL_ZF : 0;
    case FK_ZCNT:
        return (x == 0 ? FL_CF : 0) | (r == 0 ? FL_ZF : 0);
    default:
        return old;
    }
}

uint32_t cc_of_op(enum flags_kind k, enum ir_op op, enum ir_type t, uint64_t r, uint64_t a, uint64_t b,
                  uint64_t c, uint32_t old)
{
    if (op == IR_NEG)
        return cc_eval(k, op, t, r, 0, a, 0, old);
    return cc_eval(k, op, t, r, a, b, op >= IR_SHL && op <= IR_RCR ? b : c, old);
}

uint32_t cc_undefined(enum flags_kind k, enum ir_type t, uint64_t z)
{
    static const uint32_t undef[FK_COUNT] = {
#define F(id, text, writes, undef) [FK_##id] = (undef),
#include "translator/flags.def"
#undef F
    };
    unsigned w = type_bits(t), n = (unsigned)z & (w == 64 ? 63 : 31);
    switch (k) {
    case FK_SHL: case FK_SHR: case FK_SHD:
        if (n == 0)
            return 0;
        return n == 1 ? FL_AF : undef[k] | (n >= w ? FL_CF : 0) | (k == FK_SHD && n > w ? FL_ARITH : 0);
    case FK_SAR:
        return n == 0 ? 0 : n == 1 ? FL_AF : undef[k];
    case FK_ROT:
        return n <= 1 ? 0 : undef[k];
    case FK_BSCAN:
        return FL_ARITH & ~FL_ZF;
    default:
        return undef[k];
    }
}

bool cc_test(unsigned cc, uint32_t fl)
{
    bool sf_of = !(fl & FL_SF) != !(fl & FL_OF), yes;
    switch (cc >> 1) {
    case 0:  yes = fl & FL_OF; break;
    case 1:  yes = fl & FL_CF; break;
    case 2:  yes = fl & FL_ZF; break;
    case 3:  yes = fl & (FL_CF | FL_ZF); break;
    case 4:  yes = fl & FL_SF; break;
    case 5:  yes = fl & FL_PF; break;
    case 6:  yes = sf_of; break;
    default: yes = sf_of || (fl & FL_ZF); break;
    }
    return yes != (cc & 1);
}
