/*
 * test_ir.c - builder, text, verifier; cc_eval and ir_alu against the host CPU;
 * random blocks, raw against optimised.
 */
#include <check.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tests/ir/ir_env.h"
#include "tests/run_suite.h"
#include "translator/alu.h"

static uint64_t next_random(uint64_t *s)
{
    *s ^= *s << 13;
    *s ^= *s >> 7;
    *s ^= *s << 17;
    return *s;
}

/* Boundary values often. */
static uint64_t operand(uint64_t *s, enum ir_type t)
{
    static const uint64_t edge[] = {
        0, 1, 2, 15, 16, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff,
        0x7fffffffffffffff, 0x8000000000000000, ~0ull, ~0ull - 1
    };
    uint64_t v = next_random(s);
    if ((v & 3) == 0)
        v = edge[(v >> 8) % (sizeof edge / sizeof *edge)];
    else if ((v & 3) == 1)
        v >>= (v >> 8) & 63;
    return v & type_mask(t);
}

/* ---- builder ---- */

START_TEST(folding)
{
    struct ir_block b;
    ir_init(&b);
    ir_ref x = ir_emit(&b, IR_GET, TY_I64, 0, 0, 0, 0, SLOT_R(0));
    ir_ref k5 = ir_const(&b, TY_I64, 5), k3 = ir_const(&b, TY_I64, 3), zero = ir_const(&b, TY_I64, 0);
    ir_ref sum = ir_bin(&b, IR_ADD, TY_I64, k5, k3);
    ck_assert(b.ins[sum].op == IR_CONST && b.ins[sum].imm == 8);
    ck_assert_uint_eq(ir_bin(&b, IR_ADD, TY_I64, x, zero), x);
    ck_assert_uint_eq(ir_bin(&b, IR_ADD, TY_I64, zero, x), x);
    ck_assert_uint_eq(ir_bin(&b, IR_AND, TY_I64, x, ir_const(&b, TY_I64, -1)), x);
    ck_assert_uint_eq(b.ins[ir_bin(&b, IR_XOR, TY_I64, x, x)].op, IR_CONST);
    ir_ref ea = ir_emit(&b, IR_EA, TY_I64, 0, x, 0, 0, -8);
    ir_ref ea2 = ir_emit(&b, IR_EA, TY_I64, 3, ea, k5, 0, 0);
    ck_assert(b.ins[ea2].a == x && !b.ins[ea2].b && b.ins[ea2].imm == 32);
    ir_ref ea3 = ir_bin(&b, IR_ADD, TY_I64, ea2, k3);
    ck_assert(b.ins[ea3].op == IR_EA && b.ins[ea3].a == x && b.ins[ea3].imm == 35);
    ck_assert_uint_eq(ir_emit(&b, IR_EA, TY_I64, 0, ea, 0, 0, 8), x);
    /* A constant of more than 32 bits stays an operand, whatever the numbers of the two are. */
    for (unsigned n = 0; n < 40; n++) {
        ir_ref y = ir_emit(&b, IR_GET, TY_I64, 0, 0, 0, 0, SLOT_R(1)), k = ir_const(&b, TY_I64, -(1ll << 40) - n);
        ir_ref big = ir_emit(&b, IR_EA, TY_I64, 0, y, k, 0, 0);
        ck_assert(b.ins[big].a == y && b.ins[big].b == k && !b.ins[big].imm);
    }
    ir_ref t8 = ir_un(&b, IR_TRUNC, TY_I8, x), z = ir_un(&b, IR_ZEXT, TY_I64, t8);
    ck_assert_uint_eq(ir_un(&b, IR_TRUNC, TY_I8, z), t8);
    ir_ref t32 = ir_un(&b, IR_TRUNC, TY_I32, z);
    ck_assert(b.ins[t32].op == IR_ZEXT && b.ins[t32].a == t8);
    ir_ref k8 = ir_const(&b, TY_I8, 0xff);
    ck_assert_int_eq(b.ins[k8].imm, -1);
    ck_assert_int_eq(b.ins[ir_un(&b, IR_ZEXT, TY_I64, k8)].imm, 255);
    ck_assert_int_eq(b.ins[ir_un(&b, IR_SEXT, TY_I64, k8)].imm, -1);
    ir_free(&b);
}
END_TEST

/* ---- text and verifier ---- */

static const struct { const char *text, *parse, *verify; } rejects[] = {
    { "v1 = get.i64 @rax\n exit #0\n", NULL, NULL },
    { "v1 = frob.i64 @rax\n exit #0\n", "line 1: no such operation", NULL },
    { "\nv1 = get.i63 @rax\n exit #0\n", "line 2: no such type", NULL },
    { "v1 = get.i64 @rxx\n exit #0\n", "line 1: no such slot", NULL },
    { " put.i64 @rax, v1\n exit #0\n", "line 1: operand is not defined above", NULL },
    { "v1 = get.i64 @rax\nv1 = get.i64 @rcx\n exit #0\n", "line 2: value defined twice", NULL },
    { "v1 = get.i64 @rax\n", NULL, "the block does not end" },
    { "v1 = get.i64 @rax\n exit #0\n exit #0\n", NULL, "ends the block before its end" },
    { "v1 = get.i64 @rax\nv2 = get.i32 @rcx\nv3 = add.i64 v1, v2\n exit #0\n", NULL, "wrong type" },
    { "v1 = get.i64 @rax\nv2 = add.i64 v1\n exit #0\n", NULL, "operand 2 is missing" },
    { "v1 = get.i64 @rax\n put.i64 @rcx, v1\nv3 = ld.i64 v1\n exit #0\n", NULL,
      "may fault after state was changed" },
    { "v1 = get.i64 @rax\n put.i64 @rcx, v1\n mark{1} #1\nv3 = ld.i64 v1\n exit #1\n", NULL, NULL },
    { "v1 = get.i64 @rax\nv2 = flags{sub} v1\n putf v2\n exit #0\n", NULL, "flags of kind" },
    { "v1 = get.i64 @rax\nv2 = get.i32 @rax\nv3 = eq v1, v2\n exit #0\n", NULL,
      "operands of different types" },
};

START_TEST(rejected)
{
    struct ir_block b;
    ir_init(&b);
    const char *parse = ir_parse(&b, rejects[_i].text), *verify = NULL;
    if (rejects[_i].parse) {
        ck_assert_ptr_nonnull(parse);
        ck_assert_str_eq(parse, rejects[_i].parse);
    } else {
        ck_assert_msg(!parse, "%s", parse);
        verify = ir_verify(&b);
        if (rejects[_i].verify)
            ck_assert_msg(verify && strstr(verify, rejects[_i].verify), "%s", verify ? verify : "accepted");
        else
            ck_assert_msg(!verify, "%s", verify);
    }
    ir_free(&b);
}
END_TEST

/* A hole in a displacement is found whatever is added to it; no number a guest can bring looks like one. */
START_TEST(holes)
{
    static const int64_t add[] = { 0, 1, -1, 8, INT32_MAX, INT32_MIN };
    static const int64_t number[] = { 0, -1, INT32_MAX, INT32_MIN, UINT32_MAX, INT64_MAX, INT64_MIN };

    for (unsigned h = HOLE_NONE; h < HOLE_COUNT; h++)
        for (unsigned k = 0; k < sizeof add / sizeof *add; k++)
            ck_assert_uint_eq(ir_hole_of(ir_hole_imm((enum ir_hole)h, (int32_t)add[k])), h);
    for (unsigned k = 0; k < sizeof number / sizeof *number; k++)
        ck_assert_uint_eq(ir_hole_of(number[k]), HOLE_NONE);
}
END_TEST

START_TEST(conditions)
{
    for (uint32_t f = 0; f < 64; f++) {
        uint32_t fl = fl_from_flx(f);
        ck_assert_uint_eq(flx_from_fl(fl), f);
        for (unsigned cc = 0; cc < 16; cc++) {
            ck_assert(cc_test(cc, fl) != cc_test(cc ^ 1, fl));
            /* flags it does not read do not matter */
            ck_assert(cc_test(cc, fl) == cc_test(cc, fl_from_flx(f & cc_reads[cc])));
        }
    }
}
END_TEST

/* ---- against the host's CPU ---- */

/* What the manual leaves undefined after a multiplication is as on Intel's processors: ZF and AF clear. */
START_TEST(multiply_undefined)
{
    ck_assert_uint_eq(cc_eval(FK_MULS, IR_MUL, TY_I32, 0, 0x4e, 0, 0, FL_ARITH), FL_PF);
    ck_assert_uint_eq(cc_eval(FK_MULU, IR_MUL, TY_I32, 0, 0x80000000, 2, 0, FL_ARITH), FL_PF | FL_CF | FL_OF);
    ck_assert_uint_eq(cc_eval(FK_MULS, IR_MUL, TY_I32, 0x80000000, 0x80000000, 1, 0, 0), FL_SF | FL_PF);
}
END_TEST

/* n times eax = eax * ecx, flags and all. */
static void ir_block_of_multiplications(struct ir_block *b, unsigned n)
{
    ir_reset(b);
    b->flat = true;
    b->mode = M_CODE64 | M_PE | M_LMA | M_FLAT_CS;
    for (unsigned k = 0; k < n; k++) {
        ir_emit(b, IR_MARK, TY_NONE, 3, 0, 0, 0, k * 3);
        ir_ref x = ir_emit(b, IR_GET, TY_I32, 0, 0, 0, 0, SLOT_R(R_AX));
        ir_ref y = ir_emit(b, IR_GET, TY_I32, 0, 0, 0, 0, SLOT_R(R_CX));
        ir_ref r = ir_emit(b, IR_MUL, TY_I32, 0, x, y, 0, 0);
        ir_ref f = ir_emit(b, IR_FLAGS, TY_FLAGS, FK_MULS, r, 0, 0, 0);
        ir_emit(b, IR_PUTF, TY_FLAGS, 0, f, 0, 0, 0);
        ir_emit(b, IR_PUT, TY_I32, 0, r, 0, 0, SLOT_R(R_AX));
    }
    ir_emit(b, IR_EXIT, TY_NONE, FLX_ALL, 0, 0, 0, n * 3);
}

/*
 * With undefined flags chosen at random, all combinations of two flags turn up soon,
 * whatever number of choices came before.
 */
START_TEST(flips)
{
    struct ir_env e;
    ir_env_init(&e);
    ir_block_of_multiplications(&e.b, (unsigned)_i + 1);
    unsigned seen = 0;
    for (unsigned n = 1; n <= 100; n++) {
        unsigned exit;
        ir_env_reset(&e);
        e.c->flip_undef = 0x9e3779b9u * n;
        ck_assert(interp_run(e.c, &e.b, &exit) == WHY_NEXT);
        seen |= 1u << (!(e.c->flags & FL_ZF) * 2 + !(e.c->flags & FL_SF));
    }
    ck_assert_uint_eq(seen, 15);
    ir_env_free(&e);
}
END_TEST

#if defined(__x86_64__)
struct result { uint64_t r; uint32_t fl; };

/* Out of the way of the compiler's red zone. */
#define BEFORE "lea -128(%%rsp), %%rsp; push %1; popf; "
#define AFTER "; pushf; pop %1; lea 128(%%rsp), %%rsp"

#define ASM2(T, insn, con)                                                                          \
    {                                                                                               \
        T r = (T)x, s = (T)y;                                                                       \
        uint64_t f = in;                                                                            \
        __asm__ volatile(BEFORE insn " %2, %0 " AFTER                                               \
                         : "+r"(r), "+&r"(f) : con(s) : "cc", "memory");                            \
        return (struct result) { r, (uint32_t)f & FL_ARITH };                                       \
    }
#define ASM1(T, insn)                                                                               \
    {                                                                                               \
        T r = (T)x;                                                                                 \
        uint64_t f = in;                                                                            \
        __asm__ volatile(BEFORE insn " %0 " AFTER : "+r"(r), "+&r"(f) : : "cc", "memory");          \
        return (struct result) { r, (uint32_t)f & FL_ARITH };                                       \
    }
#define ASMD(T, insn)                                                                               \
    {                                                                                               \
        T r = (T)x, s = (T)y;                                                                       \
        uint64_t f = in;                                                                            \
        uint8_t n = (uint8_t)z;                                                                     \
        __asm__ volatile(BEFORE insn " %%cl, %2, %0 " AFTER                                         \
                         : "+r"(r), "+&r"(f) : "r"(s), "c"(n) : "cc", "memory");                    \
        return (struct result) { r, (uint32_t)f & FL_ARITH };                                       \
    }
#define WIDTHS(M, insn, ...)                                                                        \
    switch (t) {                                                                                    \
    case TY_I8: M(uint8_t, insn "b", ##__VA_ARGS__) break;                                          \
    case TY_I16: M(uint16_t, insn "w", ##__VA_ARGS__) break;                                        \
    case TY_I32: M(uint32_t, insn "l", ##__VA_ARGS__) break;                                        \
    default: M(uint64_t, insn "q", ##__VA_ARGS__) break;                                            \
    }
#define WIDTHS3(M, insn, ...)                                                                       \
    switch (t) {                                                                                    \
    case TY_I16: M(uint16_t, insn "w", ##__VA_ARGS__) break;                                        \
    case TY_I32: M(uint32_t, insn "l", ##__VA_ARGS__) break;                                        \
    default: M(uint64_t, insn "q", ##__VA_ARGS__) break;                                            \
    }
#define SHIFT(T, insn)                                                                              \
    {                                                                                               \
        T r = (T)x;                                                                                 \
        uint64_t f = in;                                                                            \
        uint8_t n = (uint8_t)y;                                                                     \
        __asm__ volatile(BEFORE insn " %%cl, %0 " AFTER                                             \
                         : "+r"(r), "+&r"(f) : "c"(n) : "cc", "memory");                            \
        return (struct result) { r, (uint32_t)f & FL_ARITH };                                       \
    }
#define BITS(T, insn, con)                                                                          \
    {                                                                                               \
        T r = (T)x, s = (T)y;                                                                       \
        uint64_t f = in;                                                                            \
        __asm__ volatile(BEFORE insn " %2, %0 " AFTER                                               \
                         : "+r"(r), "+&r"(f) : con(s) : "cc", "memory");                            \
        return (struct result) { (uint32_t)f & 1, (uint32_t)f & FL_ARITH };                         \
    }

/* Operation op on the host, flags `in` before. */
static struct result host(enum flags_kind k, enum ir_op op, enum ir_type t, uint64_t x, uint64_t y,
                          uint64_t z, uint32_t in)
{
    if (k == FK_INC)
        WIDTHS(ASM1, "inc")
    if (k == FK_DEC)
        WIDTHS(ASM1, "dec")
    switch (op) {
    case IR_ADD: WIDTHS(ASM2, "add", "r") break;
    case IR_SUB: WIDTHS(ASM2, "sub", "r") break;
    case IR_ADC: WIDTHS(ASM2, "adc", "r") break;
    case IR_SBB: WIDTHS(ASM2, "sbb", "r") break;
    case IR_AND: WIDTHS(ASM2, "and", "r") break;
    case IR_OR:  WIDTHS(ASM2, "or", "r") break;
    case IR_XOR: WIDTHS(ASM2, "xor", "r") break;
    case IR_NEG: WIDTHS(ASM1, "neg") break;
    case IR_SHL: WIDTHS(SHIFT, "shl") break;
    case IR_SHR: WIDTHS(SHIFT, "shr") break;
    case IR_SAR: WIDTHS(SHIFT, "sar") break;
    case IR_ROL: WIDTHS(SHIFT, "rol") break;
    case IR_ROR: WIDTHS(SHIFT, "ror") break;
    case IR_RCL: WIDTHS(SHIFT, "rcl") break;
    case IR_RCR: WIDTHS(SHIFT, "rcr") break;
    case IR_SHLD: WIDTHS3(ASMD, "shld") break;
    case IR_SHRD: WIDTHS3(ASMD, "shrd") break;
    case IR_MUL: WIDTHS3(ASM2, "imul", "r") break;
    case IR_BIT: WIDTHS3(BITS, "bt", "r") break;
    default: break;
    }
    abort();
}

static const struct { uint8_t kind, op; const char *name; bool narrow; } hosted[] = {
    { FK_ADD, IR_ADD, "add", true }, { FK_ADD, IR_ADC, "adc", true }, { FK_SUB, IR_SUB, "sub", true },
    { FK_SUB, IR_SBB, "sbb", true }, { FK_SUB, IR_NEG, "neg", true }, { FK_LOGIC, IR_AND, "and", true },
    { FK_LOGIC, IR_OR, "or", true }, { FK_LOGIC, IR_XOR, "xor", true }, { FK_INC, IR_ADD, "inc", true },
    { FK_DEC, IR_SUB, "dec", true }, { FK_SHL, IR_SHL, "shl", true }, { FK_SHR, IR_SHR, "shr", true },
    { FK_SAR, IR_SAR, "sar", true }, { FK_ROT, IR_ROL, "rol", true }, { FK_ROT, IR_ROR, "ror", true },
    { FK_ROT, IR_RCL, "rcl", true }, { FK_ROT, IR_RCR, "rcr", true }, { FK_SHD, IR_SHLD, "shld", false },
    { FK_SHD, IR_SHRD, "shrd", false }, { FK_MULS, IR_MUL, "imul", false }, { FK_BT, IR_BIT, "bt", false },
};
static const uint32_t undefined[FK_COUNT] = {
#define F(id, text, writes, undef) undef,
#include "translator/flags.def"
#undef F
};

START_TEST(host_cpu)
{
    enum flags_kind k = hosted[_i].kind;
    enum ir_op op = hosted[_i].op;
    uint64_t seed = 0x9e3779b97f4a7c15u + (unsigned)_i;
    for (unsigned n = 0; n < 100000; n++) {
        enum ir_type t = TY_I8 + next_random(&seed) % 4;
        if (t == TY_I8 && !hosted[_i].narrow)
            continue;
        uint32_t in = (uint32_t)next_random(&seed) & FL_ARITH, ignore = undefined[k];
        uint64_t x = operand(&seed, t), y = operand(&seed, t), z = next_random(&seed) & 0xff, hy = y;
        bool shift = op >= IR_SHL && op <= IR_RCR;
        if (shift)
            z = y = hy = z;
        if (k == FK_INC || k == FK_DEC)
            y = 1;
        struct result h = host(k, op, t, x, hy, z, in);
        unsigned count = (unsigned)z & (t == TY_I64 ? 63 : 31), w = type_bits(t);
        if (shift || k == FK_SHD) {
            if (count == 1)
                ignore &= ~FL_OF;
            if (count == 0)
                ignore = 0;
            if ((k == FK_SHL || k == FK_SHR) && count >= w)
                ignore |= FL_CF;                /* SDM: undefined there */
            if (k == FK_SHD && count > w)
                continue;
            if (k == FK_ROT && count > 0 && count % (op == IR_RCL || op == IR_RCR ? w + 1 : w) == 0)
                ignore |= FL_OF;
        }
        uint64_t r = ir_alu(op, t, t, x, y, z, in & FL_CF);
        if (op != IR_BIT)
            ck_assert_msg(r == h.r, "%s.i%u %" PRIx64 ", %" PRIx64 ", %" PRIx64 ": %" PRIx64
                          ", host %" PRIx64,
                          hosted[_i].name, w, x, y, z, r, h.r);
        uint32_t f = op == IR_NEG ? cc_eval(k, op, t, r, 0, x, 0, in) : cc_eval(k, op, t, r, x, y, z, in);
        if (k == FK_BT)
            ignore |= FL_ARITH & ~FL_CF & ~FL_ZF;
        ck_assert_msg(((f ^ h.fl) & ~ignore) == 0, "%s.i%u %" PRIx64 ", %" PRIx64 ", %" PRIx64
                      " flags %x: %x, host %x", hosted[_i].name, w, x, y, z, in, f, h.fl);
    }
}
END_TEST

START_TEST(host_divide)
{
    uint64_t seed = 77, q = 0, r = 0;
    for (unsigned n = 0; n < 200000; n++) {
        uint64_t d = operand(&seed, TY_I64), lo = operand(&seed, TY_I64), hi = operand(&seed, TY_I64);
        if (d && hi < d) {
            uint64_t hq, hr;
            __asm__("divq %4" : "=a"(hq), "=d"(hr) : "0"(lo), "1"(hi), "r"(d) : "cc");
            ck_assert(ir_divide(TY_I64, false, hi, lo, d, &q, &r) && q == hq && r == hr);
        } else {
            ck_assert(!ir_divide(TY_I64, false, hi, lo, d, &q, &r));
        }
        int32_t d32 = (int32_t)d;
        int64_t n32 = (int64_t)lo >> (lo & 31);
        bool fits = d32 && !(n32 == INT64_MIN && d32 == -1) && n32 / d32 == (int32_t)(n32 / d32);
        ck_assert(ir_divide(TY_I32, true, (uint64_t)n32 >> 32, (uint32_t)n32, (uint32_t)d32, &q, &r) == fits);
        if (fits)
            ck_assert((int32_t)q == n32 / d32 && (int32_t)r == n32 % d32);
    }
}
END_TEST
#endif

/* ---- random blocks: what the passes do must not show ---- */

struct gen {
    struct ir_block *b;
    uint64_t seed;
};

static unsigned pick(struct gen *g, unsigned n)
{
    return (unsigned)(next_random(&g->seed) >> 20) % n;
}

static ir_ref get(struct gen *g, enum ir_type t)
{
    unsigned reg = pick(g, 6);
    bool high = t == TY_I8 && reg < 4 && pick(g, 3) == 0;
    return ir_emit(g->b, IR_GET, t, high, 0, 0, 0, SLOT_R(reg));
}

static void put(struct gen *g, ir_ref v)
{
    unsigned reg = pick(g, 6);
    enum ir_type t = ir_type_of(g->b, v);
    bool high = t == TY_I8 && reg < 4 && pick(g, 3) == 0;
    ir_emit(g->b, IR_PUT, t, high, v, 0, 0, SLOT_R(reg));
}

/* rsi and rdi point into RAM and only move a little. */
static ir_ref address(struct gen *g, int64_t *imm)
{
    ir_ref base = ir_emit(g->b, IR_GET, TY_I64, 0, 0, 0, 0, SLOT_R(R_SI + pick(g, 2)));
    *imm = (int64_t)pick(g, 5) * 8 - 16;
    if (pick(g, 2)) {
        base = ir_emit(g->b, IR_EA, TY_I64, 0, base, 0, 0, (int64_t)pick(g, 40) - 20);
    } else if (pick(g, 2)) {
        ir_ref narrow = ir_emit(g->b, IR_EA, TY_I32, 0, ir_un(g->b, IR_TRUNC, TY_I32, base), 0, 0,
                                (int64_t)pick(g, 40) - 20);
        base = ir_un(g->b, IR_ZEXT, TY_I64, narrow);
        *imm = 0;
    }
    return base;
}

static void flags_from(struct gen *g, enum flags_kind k, ir_ref op)
{
    ir_ref old = ir_emit(g->b, IR_GETF, TY_FLAGS, 0, 0, 0, 0, 0);
    ir_ref f = ir_emit(g->b, IR_FLAGS, TY_FLAGS, k, op, old, 0, 0);
    ir_emit(g->b, IR_PUTF, TY_FLAGS, 0, f, 0, 0, 0);
}

static void guest_insn(struct gen *g, unsigned pc)
{
    static const struct { uint8_t op, kind; } alu[] = {
        { IR_ADD, FK_ADD }, { IR_SUB, FK_SUB },
        { IR_AND, FK_LOGIC }, { IR_OR, FK_LOGIC }, { IR_XOR, FK_LOGIC },
        { IR_ADD, FK_INC }, { IR_SUB, FK_DEC }, { IR_MUL, FK_MULS }, { IR_BIT, FK_BT },
        { IR_SHL, FK_SHL }, { IR_SHR, FK_SHR }, { IR_SAR, FK_SAR }, { IR_ROL, FK_ROT }, { IR_ROR, FK_ROT },
        { IR_ADC, FK_ADD }, { IR_SBB, FK_SUB }, { IR_RCL, FK_ROT }, { IR_RCR, FK_ROT },
    };
    struct ir_block *b = g->b;
    enum ir_type t = TY_I8 + pick(g, 4);
    int64_t imm;
    unsigned aux = MMU_KERNEL_NOSMAP << MEM_IDX_SHIFT;
    ir_emit(b, IR_MARK, TY_NONE, 1, 0, 0, 0, pc);
    switch (pick(g, 12)) {
    case 0: {
        ir_ref a = address(g, &imm);
        put(g, ir_emit(b, IR_LD, t, aux, a, 0, 0, imm));
        break;
    }
    case 1: {
        ir_ref a = address(g, &imm);
        ir_emit(b, IR_ST, t, aux, a, get(g, t), 0, imm);
        break;
    }
    case 2: {                   /* read, change, write */
        ir_ref a = address(g, &imm);
        ir_ref old = ir_emit(b, IR_LD, t, aux | MEM_WRITE, a, 0, 0, imm);
        ir_ref sum = ir_emit(b, IR_SUB, t, 0, old, get(g, t), 0, 0);
        ir_emit(b, IR_ST, t, aux, a, sum, 0, imm);
        flags_from(g, FK_SUB, sum);
        break;
    }
    case 3: {                   /* move the pointer a little */
        unsigned reg = R_SI + pick(g, 2);
        ir_ref p = ir_emit(b, IR_GET, TY_I64, 0, 0, 0, 0, SLOT_R(reg));
        ir_ref q = ir_bin(b, pick(g, 2) ? IR_ADD : IR_SUB, TY_I64, p, ir_const(b, TY_I64, 8));
        ir_emit(b, IR_PUT, TY_I64, 0, q, 0, 0, SLOT_R(reg));
        break;
    }
    case 4:                     /* moves, extensions */
        if (pick(g, 2)) {
            put(g, get(g, t));
        } else {
            enum ir_type to = TY_I8 + pick(g, 4);
            ir_ref v = get(g, t);
            put(g, to == t ? v : ir_un(b, to < t ? IR_TRUNC : pick(g, 2) ? IR_ZEXT : IR_SEXT, to, v));
        }
        break;
    case 5:
        put(g, ir_const(b, t, pick(g, 2) ? 0 : (int64_t)next_random(&g->seed)));
        break;
    case 6: {                   /* conditional */
        ir_ref f = ir_emit(b, IR_GETF, TY_FLAGS, 0, 0, 0, 0, 0);
        ir_ref cc = ir_emit(b, IR_CC, TY_I8, pick(g, 16), f, 0, 0, 0);
        if (pick(g, 2))
            ir_emit(b, IR_EXIT_IF, TY_NONE, FLX_ALL, cc, 0, 0, pc + 1000);
        else
            put(g, ir_emit(b, IR_SELECT, TY_I64, 0, cc, get(g, TY_I64), get(g, TY_I64), 0));
        break;
    }
    case 7: {                   /* a fault point */
        ir_ref zero = ir_const(b, TY_I32, 0), d = get(g, TY_I32), n = get(g, TY_I32);
        if (pick(g, 3) == 0) {
            ir_emit(b, IR_DIVCHK, TY_I32, 0, zero, n, d, 0);
            put(g, ir_emit(b, IR_DIV, TY_I32, 0, zero, n, d, 0));
        }
        break;
    }
    default: {
        unsigned k = pick(g, sizeof alu / sizeof *alu);
        ir_ref x = get(g, t), cf = 0;
        ir_ref y = pick(g, 4) ? get(g, t) : pick(g, 2) ? x : ir_const(b, t, pick(g, 70));
        if (alu[k].op >= IR_SHL && alu[k].op <= IR_RCR)
            y = pick(g, 2) ? get(g, TY_I8) : ir_const(b, TY_I8, pick(g, 70));
        if (alu[k].kind == FK_INC || alu[k].kind == FK_DEC)
            y = ir_const(b, t, 1);
        if (ir_info[alu[k].op].nargs == 3)
            cf = ir_emit(b, IR_GETF, TY_FLAGS, 0, 0, 0, 0, 0);
        ir_ref r = ir_emit(b, alu[k].op, t, 0, x, y, cf, 0);
        flags_from(g, alu[k].kind, r);
        if (pick(g, 4))
            put(g, r);
        break;
    }
    }
}

START_TEST(passes_random)
{
    struct ir_env raw, opt;
    uint64_t seed = 0x1234567 + (uint64_t)_i * 0x9e3779b97f4a7c15u;
    ir_env_init(&raw);
    ir_env_init(&opt);
    ir_env_reset(&raw);
    for (unsigned round = 0; round < 400; round++) {
        struct gen g = { .b = &raw.b, .seed = next_random(&seed) };
        unsigned n = 1 + pick(&g, 24), at_raw, at_opt;
        ir_reset(&raw.b);
        raw.b.mode = raw.c->mode;
        raw.b.flat = true;
        for (unsigned k = 0; k < n; k++)
            guest_insn(&g, k);
        ir_emit(&raw.b, IR_EXIT, TY_NONE, FLX_ALL, 0, 0, 0, n);
        const char *wrong = ir_verify(&raw.b);
        ck_assert_msg(!wrong, "%s", wrong);
        memcpy(opt.b.ins, raw.b.ins, raw.b.n * sizeof *raw.b.ins);
        opt.b.n = raw.b.n;
        opt.b.mode = raw.b.mode;
        opt.b.flat = true;
        ir_optimize(&opt.b, &(struct opt_options) { .verify = true });
        for (unsigned k = 0; k < 16; k++)
            raw.c->r[k] = operand(&seed, TY_I64);
        raw.c->r[R_SI] = 0x8e00 + (next_random(&seed) & 0x3ff);
        raw.c->r[R_DI] = 0x8e00 + (next_random(&seed) & 0x3ff);
        raw.c->flags = next_random(&seed) & FL_ARITH;
        memcpy(opt.c->r, raw.c->r, sizeof raw.c->r);
        memcpy(opt.ram, raw.ram, ENV_RAM);
        opt.c->flags = raw.c->flags;
        raw.c->pc_page = opt.c->pc_page = 0x400000;
        enum exec_why wr = interp_run(raw.c, &raw.b, &at_raw), wo = interp_run(opt.c, &opt.b, &at_opt);
        if (wo == WHY_SLOW)
            continue;           /* the range crossed a page */
        bool same = wr == wo && raw.c->rip == opt.c->rip && raw.c->flags == opt.c->flags &&
                    memcmp(raw.c->r, opt.c->r, sizeof raw.c->r) == 0 && memcmp(raw.ram, opt.ram, ENV_RAM) == 0;
        if (!same) {
            ir_print(stdout, &raw.b);
            ir_print(stdout, &opt.b);
            for (unsigned k = 0; k < 16; k++)
                printf("r%u %" PRIx64 " %" PRIx64 "\n", k, raw.c->r[k], opt.c->r[k]);
        }
        ck_assert_msg(same, "seed %d round %u: why %d %d pc %" PRIx64 " %" PRIx64 " flags %x %x", _i, round,
                      wr, wo, raw.c->rip, opt.c->rip, (unsigned)raw.c->flags, (unsigned)opt.c->flags);
    }
    ir_env_free(&raw);
    ir_env_free(&opt);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("ir");
    TCase *t = tcase_create("ir");
    tcase_set_timeout(t, 120);
    tcase_add_test(t, folding);
    tcase_add_loop_test(t, rejected, 0, sizeof rejects / sizeof *rejects);
    tcase_add_test(t, conditions);
    tcase_add_test(t, holes);
    tcase_add_test(t, multiply_undefined);
    tcase_add_loop_test(t, flips, 0, 20);
#if defined(__x86_64__)
    tcase_add_loop_test(t, host_cpu, 0, sizeof hosted / sizeof *hosted);
    tcase_add_test(t, host_divide);
#endif
    tcase_add_loop_test(t, passes_random, 0, 20);
    suite_add_tcase(s, t);
    return run_suite(s);
}
