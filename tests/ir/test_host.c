/*
 * test_host.c - random blocks of register operations as host code against the interpreter.
 *
 * Far more values live at once than the host has registers for, of all widths,
 * cut from each other and put to guest registers in between: this is about where
 * values are, not about what the operations mean (tests/hw asks the CPU that), but
 * for flags no guest instruction asks for.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "tests/host_env.h"
#include "tests/run_suite.h"
#include "translator/alu.h"
#include "translator/backend.h"
#include "translator/backend_hooks.h"
#include "translator/interp.h"

#define CODE_BYTES (4u << 20)
#define POOL 20

static uint64_t seed = 0x9e3779b97f4a7c15ull;
static struct backend *be;
static uint8_t *code;
static struct cpu *cpu;
static struct host_block out;

static unsigned rnd(unsigned n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (unsigned)(seed * 0x2545f4914f6cdd1dull >> 33) % n;
}

static uint64_t rnd64(void)
{
    return (uint64_t)rnd(1u << 31) << 40 ^ (uint64_t)rnd(1u << 31) << 20 ^ rnd(1u << 31);
}

static void setup(void)
{
    code = mmap(NULL, CODE_BYTES, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert(code != MAP_FAILED);
    be = host_env_backend(code);
    cpu = backend_cpu_alloc(CPU_AFTER);
    cpu->mxcsr = 0x1f80;
    backend_fp_changed(cpu);
}

static ir_ref get(struct ir_block *b, enum ir_type t)
{
    return ir_emit(b, IR_GET, t, 0, 0, 0, 0, SLOT_R(rnd(16)));
}

static void put(struct ir_block *b, ir_ref r)
{
    ir_emit(b, IR_PUT, (enum ir_type)b->ins[r].type, 0, r, 0, 0, SLOT_R(rnd(16)));
}

/* The value in type t: cut from it or widened. */
static ir_ref as_type(struct ir_block *b, ir_ref r, enum ir_type t)
{
    enum ir_type have = (enum ir_type)b->ins[r].type;
    if (have == t)
        return r;
    if (type_bits(have) > type_bits(t))
        return ir_emit(b, IR_TRUNC, t, 0, r, 0, 0, 0);
    return ir_emit(b, rnd(2) ? IR_ZEXT : IR_SEXT, t, 0, r, 0, 0, 0);
}

static ir_ref integer_op(struct ir_block *b, const ir_ref *pool)
{
    static const enum ir_type type[] = { TY_I8, TY_I16, TY_I32, TY_I32, TY_I64, TY_I64 };
    static const uint8_t op[] = { IR_ADD, IR_SUB, IR_AND, IR_OR, IR_XOR };
    enum ir_type t = type[rnd(6)];
    ir_ref x = as_type(b, pool[rnd(POOL)], t), y;
    switch (rnd(6)) {
    case 0:
        return x;
    case 1:
        return get(b, t);
    case 2:
        y = ir_emit(b, IR_CONST, TY_I8, 0, 0, 0, 0, 1 + rnd(7));
        return ir_emit(b, rnd(2) ? IR_SHL : IR_SHR, t, 0, x, y, 0, 0);
    default:
        y = as_type(b, pool[rnd(POOL)], t);
        return ir_emit(b, op[rnd(5)], t, 0, x, y, 0, 0);
    }
}

/* What both sides must agree on; the interpreter runs on a copy. */
static void compare(struct ir_block *b, unsigned n)
{
    static struct cpu want;
    uint8_t *at = code + BACKEND_THUNK_BYTES;
    unsigned exit_index;
    ck_assert(ir_verify(b) == NULL);
    for (unsigned k = 0; k < 16; k++) {
        cpu->r[k] = rnd64();
        cpu->x[k] = (union vreg) { .q = { rnd64(), rnd64() } };
    }
    memcpy(&want, cpu, sizeof want);
    ck_assert_int_eq(interp_run(&want, b, &exit_index), WHY_NEXT);
    opt_needs(b);
    backend_emit(be, b, at, at + backend_bound(b), &out);
    ck_assert_int_eq(backend_enter(be, cpu, at), WHY_LINK);
    backend_fp_sync(cpu);
    if (memcmp(want.r, cpu->r, sizeof want.r) || memcmp(want.x, cpu->x, sizeof want.x)) {
        for (unsigned k = 0; k < 16; k++)
            fprintf(stderr, "r%-2u %016llx %016llx  xmm%-2u %016llx %016llx\n", k, (unsigned long long)want.r[k],
                    (unsigned long long)cpu->r[k], k, (unsigned long long)want.x[k].q[0],
                    (unsigned long long)cpu->x[k].q[0]);
        ir_print(stderr, b);
        ck_abort_msg("block %u differs", n);
    }
}

static void begin(struct ir_block *b)
{
    ir_reset(b);
    b->mode = M_CODE64;
    b->flat = true;
    ir_emit(b, IR_MARK, TY_NONE, 2, 0, 0, 0, 0);
}

/* A block whose values begin as guest registers and end in them. */
static void begin_pool(struct ir_block *b, ir_ref *pool)
{
    begin(b);
    for (unsigned k = 0; k < POOL; k++)
        pool[k] = get(b, rnd(2) ? TY_I64 : TY_I32);
}

static void compare_pool(struct ir_block *b, const ir_ref *pool, unsigned n)
{
    for (unsigned k = 0; k < POOL; k++)
        put(b, pool[k]);
    ir_emit(b, IR_EXIT, TY_NONE, 0, 0, 0, 0, 4);
    compare(b, n);
}

START_TEST(test_integer)
{
    struct ir_block b;
    ir_ref pool[POOL];
    setup();
    ir_init(&b);
    for (unsigned n = 0; n < 20000; n++) {
        begin_pool(&b, pool);
        for (unsigned k = rnd(60); k > 0; k--) {
            ir_ref r = integer_op(&b, pool);
            pool[rnd(POOL)] = r;
            if (rnd(2))
                put(&b, r);
        }
        compare_pool(&b, pool, n);
    }
    ir_free(&b);
}
END_TEST

/* Numbers of bits, 0 among the values, and the flags made of them. */
START_TEST(test_count)
{
    static const struct { enum ir_op op; unsigned flags; } how[] = {
        { IR_CTZ, FK_BSCAN }, { IR_CLZ, FK_BSCAN }, { IR_CTZ, FK_ZCNT }, { IR_CLZ, FK_ZCNT }, { IR_POPCNT, FK_POPCNT },
    };
    struct ir_block b;
    setup();
    ir_init(&b);
    for (unsigned n = 0; n < 5000; n++) {
        unsigned k = rnd(5);
        enum ir_type t = (enum ir_type)(TY_I16 + rnd(3));
        uint64_t bits = rnd(3) ? rnd64() >> rnd(64) << rnd(64) : 0;
        begin(&b);
        ir_ref x = ir_emit(&b, IR_AND, t, 0, get(&b, t), ir_emit(&b, IR_CONST, t, 0, 0, 0, 0,
                                                                 (int64_t)(bits & type_mask(t))), 0, 0);
        ir_ref r = ir_emit(&b, how[k].op, t, 0, x, 0, 0, 0);
        ir_ref f = ir_emit(&b, IR_FLAGS, TY_FLAGS, how[k].flags, r, ir_emit(&b, IR_GETF, TY_FLAGS, 0, 0, 0, 0, 0), 0, 0);
        ir_emit(&b, IR_PUTF, TY_NONE, 0, f, 0, 0, 0);
        ir_ref z = ir_emit(&b, IR_CC, TY_I8, CC_Z, f, 0, 0, 0);
        ir_ref c = how[k].flags == FK_BSCAN ? z : ir_emit(&b, IR_CC, TY_I8, CC_B, f, 0, 0, 0);
        ir_emit(&b, IR_PUT, TY_I64, 0, as_type(&b, r, TY_I64), 0, 0, SLOT_R(R_AX));
        ir_emit(&b, IR_PUT, TY_I64, 0, as_type(&b, z, TY_I64), 0, 0, SLOT_R(R_CX));
        ir_emit(&b, IR_PUT, TY_I64, 0, as_type(&b, c, TY_I64), 0, 0, SLOT_R(R_DX));
        ir_emit(&b, IR_EXIT, TY_NONE, 0, 0, 0, 0, 4);
        compare(&b, n);
    }
    ir_free(&b);
}
END_TEST

/* Flags whose image is made from operands, result and the flags before, while other values fill the temporaries. */
START_TEST(test_images)
{
    static const struct { enum ir_op op; unsigned flags; } how[] = {
        { IR_SHL, FK_SHL }, { IR_SHR, FK_SHR }, { IR_SAR, FK_SAR }, { IR_ROL, FK_ROT }, { IR_ROR, FK_ROT },
        { IR_BIT, FK_BT },
    };
    static const uint8_t conditions[] = { CC_B, CC_Z, CC_S };
    struct ir_block b;
    ir_ref pool[POOL];
    setup();
    ir_init(&b);
    for (unsigned n = 0; n < 20000; n++) {
        begin_pool(&b, pool);
        for (unsigned k = rnd(12); k > 0; k--)
            pool[rnd(POOL)] = integer_op(&b, pool);
        ir_ref f = ir_emit(&b, IR_GETF, TY_FLAGS, 0, 0, 0, 0, 0);
        for (unsigned j = 1 + rnd(3); j > 0; j--) {
            unsigned k = rnd(sizeof how / sizeof how[0]);
            enum ir_type t = (enum ir_type)(TY_I8 + (how[k].op == IR_BIT) + rnd(how[k].op == IR_BIT ? 3 : 4));
            ir_ref x = as_type(&b, pool[rnd(POOL)], t);
            ir_ref y = as_type(&b, pool[rnd(POOL)], how[k].op == IR_BIT ? t : TY_I8);
            ir_ref r = ir_emit(&b, how[k].op, t, 0, x, y, 0, 0);
            f = ir_emit(&b, IR_FLAGS, TY_FLAGS, how[k].flags, r, f, 0, 0);
            ir_emit(&b, IR_PUTF, TY_NONE, 0, f, 0, 0, 0);
            put(&b, ir_emit(&b, IR_CC, TY_I8, conditions[how[k].flags <= FK_SAR ? rnd(3) : 0], f, 0, 0, 0));
            pool[rnd(POOL)] = r;
        }
        compare_pool(&b, pool, n);
    }
    ir_free(&b);
}
END_TEST

/* Bit-sliced ciphers: as many vectors live as the guest has registers, and a few more. */
START_TEST(test_vector)
{
    struct ir_block b;
    ir_ref pool[POOL];
    setup();
    ir_init(&b);
    for (unsigned n = 0; n < 5000; n++) {
        begin(&b);
        for (unsigned k = 0; k < POOL; k++)
            pool[k] = ir_emit(&b, IR_GETV, TY_V128, 0, 0, 0, 0, SLOT_X(rnd(16)));
        for (unsigned k = rnd(60); k > 0; k--) {
            ir_ref x = pool[rnd(POOL)], y = pool[rnd(POOL)];
            ir_ref r = rnd(3) ? ir_emit(&b, IR_VXOR, TY_V128, 0, x, y, 0, 0)
                              : ir_emit(&b, IR_VSHUFD, TY_V128, 2, x, 0, 0, rnd(256));
            pool[rnd(POOL)] = r;
            if (rnd(3) == 0)
                ir_emit(&b, IR_PUTV, TY_NONE, 0, r, 0, 0, SLOT_X(rnd(16)));
        }
        for (unsigned k = 0; k < POOL; k++)
            ir_emit(&b, IR_PUTV, TY_NONE, 0, pool[k], 0, 0, SLOT_X(rnd(16)));
        ir_emit(&b, IR_EXIT, TY_NONE, 0, 0, 0, 0, 4);
        compare(&b, n);
    }
    ir_free(&b);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("host");
    TCase *tc = tcase_create("host");

    tcase_set_timeout(tc, 300);
    tcase_add_test(tc, test_integer);
    tcase_add_test(tc, test_vector);
    tcase_add_test(tc, test_count);
    tcase_add_test(tc, test_images);
    suite_add_tcase(s, tc);
    return run_suite(s);
}
