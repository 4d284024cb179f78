/*
 * asm.h - emitting AArch64 machine code, one function an encoding shape.
 *
 * Registers are numbers 0 to 31, of which 31 is XZR or SP as the instruction has
 * it.  `w` means 64 bits.  Words go to `p`, the writable view of code memory;
 * branch targets are given in the same view, since both ends move together.
 * Source: Arm Architecture Reference Manual for A-profile (DDI 0487), chapter C4
 * (encoding index) and C6 (instructions).
 */
#ifndef BACKEND_AARCH64_ASM_H
#define BACKEND_AARCH64_ASM_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum { H_ZR = 31, H_SP = 31, H_LR = 30, NOREG = 0xff };

/* Condition codes (C1.2.4); the lowest bit inverts. */
enum { A_EQ, A_NE, A_CS, A_CC, A_MI, A_PL, A_VS, A_VC, A_HI, A_LS, A_GE, A_LT, A_GT, A_LE };

struct as {
    uint8_t *p;                 /* next word (writable view) */
};

static inline void as_w(struct as *a, uint32_t v)
{
    memcpy(a->p, &v, 4);
    a->p += 4;
}

#define SF(w) ((uint32_t)(w) << 31)

/* --- two source registers: op d, n, m shifted --- */
enum { OP_ADD = 0x0b000000, OP_ADDS = 0x2b000000, OP_SUB = 0x4b000000, OP_SUBS = 0x6b000000,
       OP_ADC = 0x1a000000, OP_ADCS = 0x3a000000, OP_SBC = 0x5a000000, OP_SBCS = 0x7a000000,
       OP_AND = 0x0a000000, OP_ORR = 0x2a000000, OP_EOR = 0x4a000000, OP_ANDS = 0x6a000000,
       OP_BIC = 0x0a200000, OP_ORN = 0x2a200000, OP_EON = 0x4a200000,
       OP_LSLV = 0x1ac02000, OP_LSRV = 0x1ac02400, OP_ASRV = 0x1ac02800, OP_RORV = 0x1ac02c00,
       OP_UDIV = 0x1ac00800, OP_SDIV = 0x1ac00c00, OP_MUL = 0x1b007c00,
       OP_UMULH = 0x9bc07c00, OP_SMULH = 0x9b407c00 };
enum { SH_LSL, SH_LSR, SH_ASR, SH_ROR };

static inline void as_rrr(struct as *a, uint32_t op, bool w, unsigned d, unsigned n, unsigned m)
{
    as_w(a, op | SF(w) | m << 16 | n << 5 | d);
}
static inline void as_rrs(struct as *a, uint32_t op, bool w, unsigned d, unsigned n, unsigned m, unsigned shift,
                          unsigned by)
{
    as_w(a, op | SF(w) | shift << 22 | m << 16 | by << 10 | n << 5 | d);
}
/* d = n - m, zero-extended from so many bits (8 or 16), in 32 bits, and flags */
static inline void as_subs_ext(struct as *a, unsigned d, unsigned n, unsigned m, unsigned bits)
{
    as_w(a, 0x6b200000u | m << 16 | (bits == 16) << 13 | n << 5 | d);
}
static inline void as_mov(struct as *a, bool w, unsigned d, unsigned s)
{
    as_rrr(a, OP_ORR, w, d, H_ZR, s);
}
static inline void as_msub(struct as *a, bool w, unsigned d, unsigned n, unsigned m, unsigned minuend)
{
    as_w(a, 0x1b008000u | SF(w) | m << 16 | minuend << 10 | n << 5 | d);
}

/* CRC-32C of 1 << log bytes of m into n. */
static inline void as_crc32c(struct as *a, unsigned log, unsigned d, unsigned n, unsigned m)
{
    as_w(a, 0x1ac05000u | SF(log == 3) | log << 10 | m << 16 | n << 5 | d);
}

/* --- one source register --- */
enum { OP_RBIT = 0x5ac00000, OP_REV16 = 0x5ac00400, OP_REV32 = 0x5ac00800, OP_REV64 = 0xdac00c00, OP_CLZ = 0x5ac01000 };

static inline void as_rr(struct as *a, uint32_t op, bool w, unsigned d, unsigned n)
{
    as_w(a, op | SF(w) | n << 5 | d);
}

/* --- bit fields --- */
enum { OP_SBFM = 0x13000000, OP_BFM = 0x33000000, OP_UBFM = 0x53000000 };

static inline void as_bfm(struct as *a, uint32_t op, bool w, unsigned d, unsigned n, unsigned immr, unsigned imms)
{
    as_w(a, op | SF(w) | (uint32_t)w << 22 | immr << 16 | imms << 10 | n << 5 | d);
}
static inline void as_ubfx(struct as *a, bool w, unsigned d, unsigned n, unsigned lsb, unsigned len)
{
    as_bfm(a, OP_UBFM, w, d, n, lsb, lsb + len - 1);
}
static inline void as_sbfx(struct as *a, bool w, unsigned d, unsigned n, unsigned lsb, unsigned len)
{
    as_bfm(a, OP_SBFM, w, d, n, lsb, lsb + len - 1);
}
/* The low len bits of n to d, from bit lsb on; the rest of d stays. */
static inline void as_bfi(struct as *a, bool w, unsigned d, unsigned n, unsigned lsb, unsigned len)
{
    unsigned bits = w ? 64 : 32;
    as_bfm(a, OP_BFM, w, d, n, (bits - lsb) & (bits - 1), len - 1);
}
/* The low len bits of n, from bit lsb on, between zeros. */
static inline void as_ubfiz(struct as *a, bool w, unsigned d, unsigned n, unsigned lsb, unsigned len)
{
    unsigned bits = w ? 64 : 32;
    as_bfm(a, OP_UBFM, w, d, n, (bits - lsb) & (bits - 1), len - 1);
}
static inline void as_lsl(struct as *a, bool w, unsigned d, unsigned n, unsigned by)
{
    unsigned bits = w ? 64 : 32;
    as_bfm(a, OP_UBFM, w, d, n, (bits - by) & (bits - 1), bits - 1 - by);
}
static inline void as_lsr(struct as *a, bool w, unsigned d, unsigned n, unsigned by)
{
    as_bfm(a, OP_UBFM, w, d, n, by, w ? 63 : 31);
}
static inline void as_asr(struct as *a, bool w, unsigned d, unsigned n, unsigned by)
{
    as_bfm(a, OP_SBFM, w, d, n, by, w ? 63 : 31);
}
/* Bits of hi:lo from bit lsb of lo on. */
static inline void as_extr(struct as *a, bool w, unsigned d, unsigned hi, unsigned lo, unsigned lsb)
{
    as_w(a, 0x13800000u | SF(w) | (uint32_t)w << 22 | lo << 16 | lsb << 10 | hi << 5 | d);
}

/* --- immediates --- */
static inline void as_mov_i(struct as *a, unsigned d, uint64_t v)
{
    unsigned ones = 0, zeros = 0, first = 4;
    for (unsigned k = 0; k < 4; k++) {
        unsigned h = v >> 16 * k & 0xffff;
        ones += h == 0xffff;
        zeros += h == 0;
    }
    uint16_t rest = ones > zeros ? 0xffff : 0;
    for (unsigned k = 0; k < 4; k++) {
        unsigned h = v >> 16 * k & 0xffff;
        if (h == rest && !(k == 3 && first == 4))
            continue;
        if (first == 4)
            as_w(a, (rest ? 0x92800000u : 0xd2800000u) | k << 21 | (h ^ rest) << 5 | d);
        else
            as_w(a, 0xf2800000u | k << 21 | h << 5 | d);
        first = k;
    }
}
/* The same in two words, whatever the value: to be patched by as_set_imm32(). */
static inline void as_mov_imm32(struct as *a, unsigned d, uint32_t v)
{
    as_w(a, 0x52800000u | (v & 0xffff) << 5 | d);
    as_w(a, 0x72a00000u | (v >> 16) << 5 | d);
}
static inline void as_set_imm32(uint8_t *at, uint32_t v)
{
    for (unsigned k = 0; k < 2; k++) {
        uint32_t x;
        memcpy(&x, at + 4 * k, 4);
        x = (x & ~(0xffffu << 5)) | (v >> 16 * k & 0xffff) << 5;
        memcpy(at + 4 * k, &x, 4);
    }
}

/* Immediate of ADD and SUB: 12 bits, or 12 bits shifted by 12. */
static inline bool as_is_imm12(uint64_t v)
{
    return v < 0x1000 || (v < 0x1000000 && !(v & 0xfff));
}
enum { OPI_ADD = 0x11000000, OPI_ADDS = 0x31000000, OPI_SUB = 0x51000000, OPI_SUBS = 0x71000000 };
static inline void as_rri(struct as *a, uint32_t op, bool w, unsigned d, unsigned n, uint32_t v)
{
    assert(as_is_imm12(v));
    as_w(a, op | SF(w) | (v >= 0x1000 ? 1u << 22 | (v >> 12) << 10 : v << 10) | n << 5 | d);
}

/*
 * Immediate of AND, ORR, EOR: a run of ones, rotated, repeated in elements of 2 to
 * 64 bits (DecodeBitMasks).  Its encoding N:immr:imms in bits 22 to 10, or AS_NO_MASK.
 */
#define AS_NO_MASK (~0u)
static inline uint32_t as_bitmask(bool w, uint64_t v)
{
    unsigned size = 64;
    if (!w)
        v = (uint32_t)v | v << 32;
    if (v == 0 || v == ~0ull)
        return AS_NO_MASK;
    while (size > 2) {
        unsigned half = size / 2;
        uint64_t m = ((uint64_t)1 << half) - 1;
        if ((v & m) != (v >> half & m))
            break;
        size = half;
    }
    uint64_t m = size == 64 ? ~0ull : ((uint64_t)1 << size) - 1, e = v & m;
    unsigned rot = 0, ones;
    /* rotate right until the run is at the bottom: bit 0 set, top bit clear */
    while (!((e & 1) && !(e >> (size - 1) & 1))) {
        e = (e >> 1 | e << (size - 1)) & m;
        if (++rot == size)
            return AS_NO_MASK;
    }
    ones = (unsigned)__builtin_popcountll(e);
    if (ones < 64 && e != ((uint64_t)1 << ones) - 1)
        return AS_NO_MASK;
    unsigned immr = (size - rot) & (size - 1);
    unsigned imms = (~(size * 2 - 1) & 0x3f) | (ones - 1);
    return (uint32_t)(size == 64) << 22 | immr << 16 | (imms & 0x3f) << 10;
}
enum { OPI_AND = 0x12000000, OPI_ORR = 0x32000000, OPI_EOR = 0x52000000, OPI_ANDS = 0x72000000 };
static inline void as_logic_i(struct as *a, uint32_t op, bool w, unsigned d, unsigned n, uint64_t v)
{
    uint32_t m = as_bitmask(w, v);
    assert(m != AS_NO_MASK);
    as_w(a, op | SF(w) | m | n << 5 | d);
}

/* d = n + v, by way of `t` (not n) where it takes more than two instructions. */
static inline void as_add_i(struct as *a, bool w, unsigned d, unsigned n, int64_t v, unsigned t)
{
    uint64_t m = v < 0 ? -(uint64_t)v : (uint64_t)v;
    uint32_t op = v < 0 ? OPI_SUB : OPI_ADD;
    if (v == 0) {
        if (d != n)
            as_mov(a, w, d, n);
    } else if (as_is_imm12(m)) {
        as_rri(a, op, w, d, n, (uint32_t)m);
    } else if (m < 0x1000000) {
        as_rri(a, op, w, d, n, (uint32_t)m & 0xfff000);
        as_rri(a, op, w, d, d, (uint32_t)m & 0xfff);
    } else {
        as_mov_i(a, t, w ? (uint64_t)v : (uint32_t)v);
        as_rrr(a, OP_ADD, w, d, n, t);
    }
}

/* --- conditions --- */
static inline void as_csel(struct as *a, bool w, unsigned d, unsigned n, unsigned m, unsigned cc)
{
    as_w(a, 0x1a800000u | SF(w) | m << 16 | cc << 12 | n << 5 | d);
}
static inline void as_csinc(struct as *a, bool w, unsigned d, unsigned n, unsigned m, unsigned cc)
{
    as_w(a, 0x1a800400u | SF(w) | m << 16 | cc << 12 | n << 5 | d);
}
/* d = n or, if cc is false, -m */
static inline void as_csneg(struct as *a, bool w, unsigned d, unsigned n, unsigned m, unsigned cc)
{
    as_w(a, 0x5a800400u | SF(w) | m << 16 | cc << 12 | n << 5 | d);
}
static inline void as_cset(struct as *a, unsigned d, unsigned cc)
{
    as_csinc(a, false, d, H_ZR, H_ZR, cc ^ 1);
}
static inline void as_mrs_nzcv(struct as *a, unsigned d)
{
    as_w(a, 0xd53b4200u | d);
}
static inline void as_msr_nzcv(struct as *a, unsigned s)
{
    as_w(a, 0xd51b4200u | s);
}

/* FLAGM: C inverted; flags of `mask` (N Z C V: 8 4 2 1) from s rotated right; N and Z of the lowest 8 or 16 bits. */
static inline void as_cfinv(struct as *a)
{
    as_w(a, 0xd500401fu);
}
static inline void as_rmif(struct as *a, unsigned s, unsigned ror, unsigned mask)
{
    as_w(a, 0xba000400u | ror << 15 | s << 5 | mask);
}
static inline void as_setf(struct as *a, unsigned bits, unsigned s)
{
    as_w(a, (bits == 8 ? 0x3a00080du : 0x3a00480du) | s << 5);
}

/* --- memory: log2 of the size, general registers --- */
enum { OP_STR = 0x39000000, OP_LDR = 0x39400000 };

/* [n + off], off a multiple of the size up to 4095 times that. */
static inline void as_ldst(struct as *a, uint32_t op, unsigned log, unsigned t, unsigned n, uint32_t off)
{
    assert(!(off & ((1u << log) - 1)) && off >> log < 0x1000);
    as_w(a, op | log << 30 | (off >> log) << 10 | n << 5 | t);
}
/* [n + m] */
static inline void as_ldst_r(struct as *a, uint32_t op, unsigned log, unsigned t, unsigned n, unsigned m)
{
    as_w(a, (op == OP_LDR ? 0x38606800u : 0x38206800u) | log << 30 | m << 16 | n << 5 | t);
}
/* [n + off], 9 bits, signed */
static inline void as_ldst_u(struct as *a, uint32_t op, unsigned log, unsigned t, unsigned n, int32_t off)
{
    assert(off >= -256 && off < 256);
    as_w(a, (op == OP_LDR ? 0x38400000u : 0x38000000u) | log << 30 | ((uint32_t)off & 0x1ff) << 12 | n << 5 | t);
}
enum { OP_STP = 0xa9000000, OP_LDP = 0xa9400000, OP_STP_PRE = 0xa9800000, OP_LDP_POST = 0xa8c00000 };
static inline void as_pair(struct as *a, uint32_t op, unsigned t, unsigned u, unsigned n, int32_t off)
{
    assert(!(off & 7) && off >= -512 && off < 512);
    as_w(a, op | ((uint32_t)(off >> 3) & 0x7f) << 15 | u << 10 | n << 5 | t);
}

/* --- memory, in order: log2 of the size, the address in n --- */
enum { OP_LDAR = 0x08dffc00, OP_STLR = 0x089ffc00, OP_LDAXR = 0x085ffc00, OP_LDAPR = 0x38bfc000 };
static inline void as_order(struct as *a, uint32_t op, unsigned log, unsigned t, unsigned n)
{
    as_w(a, op | log << 30 | n << 5 | t);
}
/* [n + off], 9 bits, signed */
enum { OP_LDAPUR = 0x19400000, OP_STLUR = 0x19000000 };
static inline void as_order_u(struct as *a, uint32_t op, unsigned log, unsigned t, unsigned n, int32_t off)
{
    assert(off >= -256 && off < 256);
    as_w(a, op | log << 30 | ((uint32_t)off & 0x1ff) << 12 | n << 5 | t);
}
/* status = 0: t was stored */
static inline void as_stlxr(struct as *a, unsigned log, unsigned status, unsigned t, unsigned n)
{
    as_w(a, 0x0800fc00u | log << 30 | status << 16 | n << 5 | t);
}
/* s: the operand, t: what was there; of CASAL s is compared with and becomes what was there, t is stored. */
enum { OP_LDADDAL = 0x38e00000, OP_LDCLRAL = 0x38e01000, OP_LDEORAL = 0x38e02000, OP_LDSETAL = 0x38e03000,
       OP_SWPAL = 0x38e08000, OP_CASAL = 0x08e0fc00 };
static inline void as_atomic(struct as *a, uint32_t op, unsigned log, unsigned s, unsigned t, unsigned n)
{
    as_w(a, op | log << 30 | s << 16 | n << 5 | t);
}

/* --- memory: vector registers, log2 of the size 2, 3 or 4 --- */
static inline void as_vldst(struct as *a, bool store, unsigned log, unsigned t, unsigned n, uint32_t off)
{
    uint32_t op = log == 4 ? (store ? 0x3d800000u : 0x3dc00000u) : (store ? 0x3d000000u : 0x3d400000u) | log << 30;
    assert(!(off & ((1u << log) - 1)) && off >> log < 0x1000);
    as_w(a, op | (off >> log) << 10 | n << 5 | t);
}
static inline void as_vldst_r(struct as *a, bool store, unsigned log, unsigned t, unsigned n, unsigned m)
{
    uint32_t op = log == 4 ? (store ? 0x3ca06800u : 0x3ce06800u) : (store ? 0x3c206800u : 0x3c606800u) | log << 30;
    as_w(a, op | m << 16 | n << 5 | t);
}
/* [n + off], 9 bits, signed */
static inline void as_vldst_u(struct as *a, bool store, unsigned log, unsigned t, unsigned n, int32_t off)
{
    uint32_t op = log == 4 ? (store ? 0x3c800000u : 0x3cc00000u) : (store ? 0x3c000000u : 0x3c400000u) | log << 30;
    assert(off >= -256 && off < 256);
    as_w(a, op | ((uint32_t)off & 0x1ff) << 12 | n << 5 | t);
}
static inline void as_vpair(struct as *a, bool store, unsigned t, unsigned u, unsigned n, int32_t off)
{
    assert(!(off & 15) && off >= -1024 && off < 1024);
    as_w(a, (store ? 0xad000000u : 0xad400000u) | ((uint32_t)(off >> 4) & 0x7f) << 15 | u << 10 | n << 5 | t);
}
static inline void as_vmov(struct as *a, unsigned d, unsigned s)
{
    as_w(a, 0x4ea01c00u | s << 16 | s << 5 | d);
}

/* --- branches; what is returned is to be given to as_patch() --- */
static inline uint8_t *as_br(struct as *a, uint32_t op)
{
    as_w(a, op);
    return a->p - 4;
}
static inline uint8_t *as_b(struct as *a)
{
    return as_br(a, 0x14000000u);
}
static inline uint8_t *as_bcc(struct as *a, unsigned cc)
{
    return as_br(a, 0x54000000u | cc);
}
static inline uint8_t *as_cbz(struct as *a, bool w, unsigned t)
{
    return as_br(a, 0x34000000u | SF(w) | t);
}
static inline uint8_t *as_cbnz(struct as *a, bool w, unsigned t)
{
    return as_br(a, 0x35000000u | SF(w) | t);
}
/* Test bit n and branch: 32 KiB. */
static inline uint8_t *as_tbz(struct as *a, unsigned t, unsigned n)
{
    return as_br(a, 0x36000000u | (n >> 5) << 31 | (n & 31) << 19 | t);
}
static inline uint8_t *as_tbnz(struct as *a, unsigned t, unsigned n)
{
    return as_br(a, 0x37000000u | (n >> 5) << 31 | (n & 31) << 19 | t);
}
/* Let the branch at `at` go to `to`. */
static inline void as_patch(uint8_t *at, const uint8_t *to)
{
    int64_t d = (to - at) / 4;
    uint32_t x;
    memcpy(&x, at, 4);
    if ((x & 0x7c000000u) == 0x14000000u) {     /* B, BL: 26 bits */
        assert(d >= -(1 << 25) && d < 1 << 25);
        x = (x & 0xfc000000u) | ((uint32_t)d & 0x3ffffffu);
    } else if ((x & 0x7e000000u) == 0x36000000u) {      /* TBZ, TBNZ: 14 bits */
        assert(d >= -(1 << 13) && d < 1 << 13);
        x = (x & ~(0x3fffu << 5)) | ((uint32_t)d & 0x3fffu) << 5;
    } else {                                    /* B.cond, CBZ, CBNZ: 19 bits */
        assert(d >= -(1 << 18) && d < 1 << 18);
        x = (x & ~(0x7ffffu << 5)) | ((uint32_t)d & 0x7ffffu) << 5;
    }
    memcpy(at, &x, 4);
}
static inline void as_b_to(struct as *a, const uint8_t *to)
{
    as_patch(as_b(a), to);
}
static inline void as_bl_to(struct as *a, const uint8_t *to)
{
    as_patch(as_br(a, 0x94000000u), to);
}
static inline void as_jump(struct as *a, unsigned n)
{
    as_w(a, 0xd61f0000u | n << 5);
}
static inline void as_call(struct as *a, unsigned n)
{
    as_w(a, 0xd63f0000u | n << 5);
}
static inline void as_ret(struct as *a)
{
    as_w(a, 0xd65f03c0u);
}
static inline void as_dmb(struct as *a)         /* everything before everything behind */
{
    as_w(a, 0xd5033bbfu);
}
static inline void as_dmb_ld(struct as *a)      /* loads before everything behind */
{
    as_w(a, 0xd50339bfu);
}
static inline void as_dmb_st(struct as *a)      /* stores before stores behind */
{
    as_w(a, 0xd5033abfu);
}

#endif
