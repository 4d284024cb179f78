/*
 * test_x87_jit.c - the IR op X87 as host code against its portable definition.
 *
 * Each operation alone, with its operand in a register and its result to one,
 * on random stacks with everything masked, and on values around the limits of formats
 * and of what host code does by itself; and sequences with calls in between,
 * after which the state must be found again in struct cpu or in the host.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "frontend/help.h"
#include "tests/host_env.h"
#include "tests/run_suite.h"
#include "translator/backend.h"
#include "translator/backend_hooks.h"

#define CODE_BYTES (4u << 20)

static uint64_t seed = 0x9e3779b97f4a7c15ull;

static uint64_t rnd(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed * 0x2545f4914f6cdd1dull;
}

static const char *const name[X87_COUNT] = {
#define X87(id, kind, size, op, modrm) [X87_##id] = #id,
#include "frontend/x87.def"
#undef X87
};

static struct backend *be;
static uint8_t *code;
static struct cpu *cpu;
static struct host_block out;

static void setup(void)
{
    code = mmap(NULL, CODE_BYTES, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert(code != MAP_FAILED);
    be = host_env_backend(code);
    cpu = backend_cpu_alloc(CPU_AFTER);
    cpu->mxcsr = 0x1f80;
    backend_fp_changed(cpu);
}

static struct f80 random_f80(void)
{
    struct f80 v = { .sig = rnd() << (rnd() % 64), .se = (uint16_t)(rnd() & 0x8000) };

    switch (rnd() % 12) {
    case 0:
        break;
    case 1:
        v.se |= 0x7fff;
        v.sig |= 1ull << 63;
        break;
    case 2:
        v.se = (uint16_t)rnd();
        break;
    default:
        v.se |= (uint16_t)(0x3fff - 30 + rnd() % 60);
        v.sig |= 1ull << 63;
    }
    return v;
}

static void random_state(void)
{
    struct x87 *f = &cpu->fpu;

    memset(f, 0, sizeof(*f));
    f->cw = (uint16_t)(0x7f | (rnd() & 0xf00));
    f->sw = (uint16_t)(rnd() & 0x7f7f);
    f->tag = rnd() % 4 ? (uint16_t)(1u << (f->sw >> 11 & 7) | 1u << (((f->sw >> 11) + 1) & 7)) : rnd() & 0xff;
    for (unsigned k = 0; k < 8; k++)
        f->r[k] = random_f80();
    cpu->x87_live = 0;
    for (unsigned k = 0; k < 16; k++)
        cpu->r[k] = rnd();
    cpu->flags = rnd() & FL_ARITH;
}

/* Emit one operation: operand from rbx (hi: rdx), result to rcx (hi: rsi). */
static void emit_op(struct ir_block *b, unsigned op, unsigned i)
{
    const struct x87_info *x = &x87_info[op];
    enum ir_type t = x->size == 2 ? TY_I16 : x->size == 4 ? TY_I32 : TY_I64;
    ir_ref a = 0, r;

    if (op == X87_FCMOV) {
        ir_ref f = ir_emit(b, IR_GETF, TY_FLAGS, 0, 0, 0, 0, 0);

        a = ir_emit(b, IR_CC, TY_I8, CC_B, f, 0, 0, 0);
    } else if (x->kind == X87_LD || op == X87_LDCW) {
        if (x->size == 10)
            ir_emit(b, IR_X87, TY_NONE, X87_SETHI, ir_emit(b, IR_GET, TY_I16, 0, 0, 0, 0, SLOT_R(R_DX)), 0, 0, 0);
        a = ir_emit(b, IR_GET, t, 0, 0, 0, 0, SLOT_R(R_BX));
    }
    if (x->kind == X87_FL) {
        r = ir_emit(b, IR_X87, TY_I32, op | i << 8, 0, 0, 0, 0);
        r = ir_emit(b, IR_FMERGE, TY_FLAGS, 0, r, 0, 0, FL_ARITH);
        ir_emit(b, IR_PUTF, TY_NONE, 0, r, 0, 0, 0);
    } else if (x->kind == X87_ST || x->kind == X87_STP || op == X87_STSW || op == X87_STCW) {
        r = ir_emit(b, IR_X87, t, op, 0, 0, 0, 0);
        ir_emit(b, IR_PUT, t, 0, r, 0, 0, SLOT_R(R_CX));
        if (x->size == 10) {
            r = ir_emit(b, IR_X87, TY_I16, X87_GETHI, 0, 0, 0, 0);
            ir_emit(b, IR_PUT, TY_I16, 0, r, 0, 0, SLOT_R(R_SI));
        }
        if (x->kind == X87_STP || (x->kind == X87_ST && rnd() % 2))
            ir_emit(b, IR_X87, TY_NONE, op - X87_FST_M32 + X87_FSTP_M32, 0, 0, 0, 0);
    } else {
        ir_emit(b, IR_X87, TY_NONE, op | i << 8, a, 0, 0, 0);
    }
}

/* What interp.c does with such a block. */
static void portable(const struct ir_block *b, struct cpu *c)
{
    static union vreg v[IR_MAX];

    for (unsigned k = 1; k < b->n; k++) {
        const struct ir_ins *n = &b->ins[k];
        unsigned bytes = n->type == TY_FLAGS ? 0 : type_bytes((enum ir_type)n->type);

        switch (n->op) {
        case IR_GET:
            v[k].q[0] = 0;
            memcpy(&v[k], (char *)c + n->imm, bytes);
            break;
        case IR_PUT:
            if (bytes == 4)
                bytes = 8;
            memcpy((char *)c + n->imm, &v[n->a], bytes);
            break;
        case IR_CC:
            v[k].q[0] = c->flags & FL_CF;
            break;
        case IR_FMERGE:
            v[k] = v[n->a];
            break;
        case IR_PUTF:
            c->flags = v[n->a].d[0];
            break;
        case IR_CALL:
            help_x87_wait(c);
            break;
        case IR_X87:
            x87_op(c, n->aux, &v[n->a], &v[k]);
            break;
        default:
            break;
        }
    }
}

static void translate(struct ir_block *b)
{
    uint8_t *at = code + BACKEND_THUNK_BYTES;

    ir_emit(b, IR_EXIT_SYS, TY_NONE, 0, 0, 0, 0, 0);
    opt_needs(b);
    backend_emit(be, b, at, at + backend_bound(b), &out);
}

static void execute(void)
{
    ck_assert_int_eq(backend_enter(be, cpu, code + BACKEND_THUNK_BYTES), WHY_NEXT);
    backend_fp_sync(cpu);
}

static void run(struct ir_block *b)
{
    translate(b);
    execute();
}

static bool same(const struct cpu *c, const char *what, unsigned op)
{
    const struct x87 *x = &cpu->fpu, *y = &c->fpu;
    bool ok = x->cw == y->cw && x->sw == y->sw && x->tag == y->tag && !memcmp(x->r, y->r, sizeof(x->r)) &&
              !memcmp(cpu->r, c->r, sizeof(c->r)) && !((cpu->flags ^ c->flags) & FL_ARITH);

    if (!ok)
        fprintf(stderr, "%s %s: host cw %04x sw %04x tag %02x rcx %llx fl %x, portable %04x %04x %02x %llx %x\n", what,
                name[op], x->cw, x->sw, x->tag, (unsigned long long)cpu->r[R_CX], (unsigned)cpu->flags, y->cw, y->sw,
                y->tag, (unsigned long long)c->r[R_CX], (unsigned)c->flags);
    return ok;
}

static bool testable(unsigned op)
{
    switch (op) {
    case X87_F2XM1: case X87_FYL2X: case X87_FYL2XP1: case X87_FPTAN: case X87_FPATAN: case X87_FSIN: case X87_FCOS:
    case X87_FSINCOS: case X87_SETHI: case X87_GETHI: case X87_FBLD:
        return false;
    default:
        return x87_info[op].kind != X87_POP;
    }
}

static unsigned random_i(unsigned op)
{
    const struct x87_info *x = &x87_info[op];
    bool sti = x->kind == X87_FL || op == X87_FCMOV ||
               (x->kind == X87_RR && (op < X87_FADD_M32 || op == X87_FCOM || op == X87_FCOMP || op == X87_FUCOM ||
                                      op == X87_FUCOMP || (op >= X87_FLD && op <= X87_FSTPNCE) || op == X87_FFREE ||
                                      op == X87_FFREEP));
    return sti ? rnd() & 7 : 0;
}

static void begin(struct ir_block *b)
{
    ir_reset(b);
    b->mode = M_CODE64 | M_ONE;                 /* comes back behind the block, whatever follows */
    b->flat = true;
    b->uses_x87 = rnd() & 1;
    ir_emit(b, IR_MARK, TY_NONE, 2, 0, 0, 0, 0);
}

START_TEST(test_single)
{
    static struct cpu copy;
    struct ir_block b;

    setup();
    ir_init(&b);
    for (unsigned op = 0; op < X87_COUNT; op++) {
        for (unsigned n = 0; n < 300 && testable(op); n++) {
            begin(&b);
            random_state();
            if (op == X87_LDCW)
                cpu->r[R_BX] |= 0x3f;
            copy = *cpu;
            emit_op(&b, op, random_i(op));
            portable(&b, &copy);
            run(&b);
            ck_assert(same(&copy, "single", op));
        }
    }
    ir_free(&b);
}
END_TEST

#define PICK(a) ((a)[rnd() % (sizeof(a) / sizeof((a)[0]))])
#define TOP (1ull << 63)

/* Bits that round in each precision, ties among them; halves for which a quotient is hard to guess. */
static uint64_t border_sig(void)
{
    static const uint64_t sig[] = { TOP, TOP | 1, ~0ull, ~0ull - 1, TOP | TOP >> 1 };
    static const unsigned drop[] = { 11, 40, 1, 2, 16, 32, 48 };
    static const uint32_t hi[] = { 0x80000000, 0x80000001, 0xffffffff, 0xfffffffe, 0xc0000000 };
    static const uint32_t lo[] = { 0, 1, 0xffffffff, 0xfffffffe, 0x80000000, 0x7fffffff };
    uint64_t half;

    switch (rnd() % 5) {
    case 0:
        return PICK(sig);
    case 1:
        half = 1ull << (PICK(drop) - 1);
        return ((TOP | rnd()) & ~(4 * half - 1)) + (rnd() % 4) * half + rnd() % 3 - 1;
    case 2:
        return (uint64_t)PICK(hi) << 32 | PICK(lo);
    case 3:
        return TOP | 1ull << rnd() % 64;
    default:
        return TOP | rnd();
    }
}

/* Exponents at which something ends: of each format, of integers, of products and quotients. */
static unsigned border_exp(void)
{
    static const int at[] = { 0, 0x7fff, 0x3fff, 0x3fff - 1023, 0x3fff + 1023, 0x3fff - 1074,
                              0x3fff - 127, 0x3fff + 127, 0x3fff - 149, 0x3fff + 15, 0x3fff + 31,
                              0x3fff + 62, 0x1fff, 0x2000, 0x5ffe, 0x5fff };

    return (unsigned)(PICK(at) + (int)(rnd() % 7) - 3) & 0x7fff;
}

static struct f80 border_f80(void)
{
    struct f80 v = { .sig = border_sig(), .se = (uint16_t)(border_exp() | (rnd() & 0x8000)) };

    switch (rnd() % 12) {
    case 0:
        v.sig = 0;
        v.se &= 0x8000;
        break;
    case 1:
        v.sig &= ~TOP;
        break;
    default:
        break;
    }
    return v;
}

/* Another operand: as far away as makes a difference to a sum, or the same. */
static struct f80 border_near(struct f80 a)
{
    static const int far[] = { 0, 0, 1, 2, 31, 32, 62, 63, 64, 65, 66, 67, 127, 128 };
    struct f80 b = border_f80();
    int d = PICK(far);

    if (rnd() % 4 == 0)
        return b;
    b.se = (uint16_t)((b.se & 0x8000) | ((unsigned)((a.se & 0x7fff) + (rnd() % 2 ? d : -d)) & 0x7fff));
    if (rnd() % 3 == 0)
        b.sig = a.sig + rnd() % 3 - 1;
    return b;
}

static uint64_t border_operand(const struct x87_info *x, unsigned op)
{
    static const uint64_t ints[] = { 0, 1, ~0ull, 0x8000, 0x7fff, 0x80000000, 0x7fffffff, TOP, TOP - 1 };
    static const uint64_t frac[] = { 0, 1, ~0ull, 0x8000000000000000ull, 0x7fffffffffffffffull };
    bool integer = (op >= X87_FADD_I16 && op <= X87_FDIVR_I32) ||
                   (op >= X87_FCOM_I16 && op <= X87_FCOMP_I32) || (op >= X87_FILD_16 && op <= X87_FILD_64);
    unsigned ebits = x->size == 8 ? 11 : 8, fbits = x->size == 8 ? 52 : 23, max = (1u << ebits) - 1;
    unsigned exp[] = { 0, 1, 2, max / 2, max - 1, max, (unsigned)rnd() & max, (unsigned)rnd() & max };
    uint64_t f = rnd() % 2 ? rnd() : PICK(frac);

    if (x->size == 10)
        return border_sig();
    if (integer)
        return rnd() % 2 ? rnd() : PICK(ints);
    return (rnd() & 1) << (ebits + fbits) | (uint64_t)PICK(exp) << fbits | f >> (64 - fbits);
}

static void border_state(unsigned op, unsigned i)
{
    struct x87 *f = &cpu->fpu;
    unsigned top;

    random_state();
    top = f->sw >> 11 & 7;
    if (rnd() % 4)
        f->cw = rnd() % 2 ? 0x37f : (uint16_t)(0x7f | (rnd() & 0xf00));
    for (unsigned k = 0; k < 8; k++)
        f->r[k] = border_f80();
    f->r[(top + (i ? i : 1)) & 7] = border_near(f->r[top]);
    if (rnd() % 8)
        f->tag = (uint16_t)(0xff & ~(1u << ((top + 7) & 7)));
    cpu->r[R_BX] = border_operand(&x87_info[op], op);
    cpu->r[R_DX] = border_exp() | (rnd() & 0x8000);
    if (op == X87_LDCW)
        cpu->r[R_BX] |= 0x3f;
}

START_TEST(test_borders)
{
    static struct cpu copy;
    struct ir_block b;

    setup();
    ir_init(&b);
    for (unsigned op = 0; op < X87_COUNT; op++) {
        for (unsigned k = 0; k < 8 && testable(op); k++) {
            unsigned i = random_i(op);

            begin(&b);
            emit_op(&b, op, i);
            translate(&b);
            for (unsigned n = 0; n < 400; n++) {
                border_state(op, i);
                copy = *cpu;
                execute();
                portable(&b, &copy);
                ck_assert(same(&copy, "border", op));
            }
        }
    }
    ir_free(&b);
}
END_TEST

START_TEST(test_sequences)
{
    static struct cpu copy;
    struct ir_block b;

    setup();
    ir_init(&b);
    for (unsigned n = 0; n < 4000; n++) {
        unsigned op = 0;

        begin(&b);
        random_state();
        cpu->fpu.tag = 0xf0;
        cpu->fpu.sw &= (uint16_t)~X87_TOP;
        cpu->fpu.sw |= 4 << 11;
        for (unsigned k = 0; k < 12; k++) {
            do
                op = (unsigned)(rnd() % X87_COUNT);
            while (!testable(op) || op == X87_LDCW);
            emit_op(&b, op, random_i(op));
            if (rnd() % 4 == 0)
                ir_emit(&b, IR_CALL, TY_I64, HELP_x87_wait, 0, 0, 0, 0);
        }
        copy = *cpu;
        portable(&b, &copy);
        run(&b);
        ck_assert(same(&copy, "sequence ending in", op));
    }
    ir_free(&b);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("x87_jit");
    TCase *tc = tcase_create("x87_jit");

    tcase_set_timeout(tc, 600);
    tcase_add_test(tc, test_single);
    tcase_add_test(tc, test_borders);
    tcase_add_test(tc, test_sequences);
    suite_add_tcase(s, tc);
    return run_suite(s);
}
