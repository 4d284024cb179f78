/*
 * test_sse.c - translated SSE code against vec.c: floating point with all its flags, shuffles with every
 * immediate.
 */
#include <check.h>
#include <string.h>

#include "frontend/decode.h"
#include "softmmu/phys.h"
#include "tests/run_suite.h"
#include "tests/sys/sys_env.h"
#include "tests/host_env.h"
#include "translator/backend_hooks.h"
#include "translator/vec.h"

#define CODE 0x30000u           /* user code */

/* Blocks are translated at once, or put together from stencils. */
static const unsigned hots[] = { 0, 1u << 30 };
#define NHOTS 2

static void halt(struct cpu *c)
{
    __atomic_fetch_or(&c->attn, ATTN_EXIT, __ATOMIC_SEQ_CST);
}

static struct sys_env *start(unsigned hot)
{
    struct sys_env *e = sys_new(LONG);
    struct exec_options o = { .cache_size = 8u << 20, .verify = true, .m = &e->m, .halt = halt, .hot = hot };

    decode_init();
    e->m.cpu = &e->c;
    e->m.ncpu = 1;
    host_env(&o);
    exec_init(e->c, &o);
    sys_poke(e, S_HANDLER + 16 * EXC_GP, 1, 0xf4);      /* #GP: HLT ends a run */
    e->c->cr4 |= CR4_OSFXSR | CR4_OSXMMEXCPT;
    return e;
}

static void end(struct sys_env *e)
{
    exec_free(e->c);
    sys_free(e);
}

/* From `rip` at CPL 3 until a #GP. */
static void run_at(struct sys_env *e, uint64_t rip)
{
    struct cpu *c = e->c;

    sys_ring3(e);
    c->rip = rip;
    c->attn = 0;
    c->halted = 0;
    exec_run(c);
    ck_assert_uint_eq(c->cpl, 0);
}

/* The code there has changed. */
static void changed(struct sys_env *e)
{
    smc_written(e->m.phys, CODE, 256);
}

static const uint64_t wide[] = {
    0x3ff0000000000000, 0x3ff0000000000001, 0xbff0000000000000, 0x4008000000000000, 0x3fb999999999999a,
    0x7fefffffffffffff, 0x0010000000000000, 0x0010000000000001, 0x000fffffffffffff, 0x8000000000000001,
    0, 0x8000000000000000, 0x7ff0000000000000, 0xfff0000000000000, 0x7ff8000000000123, 0x7ff0000000000456,
    0x5fe0000000000003, 0x1ff123456789abcd,
};
static const uint32_t narrow[] = { 0x3f800000, 0x3f800001, 0xbf800000, 0x40400000, 0x3dcccccd, 0x7f7fffff, 0x00800000,
                                   0x00800001, 0x007fffff, 0x80000001, 0, 0x80000000, 0x7f800000, 0xff800000, 0x7fc00123,
                                   0x7f800456, 0x5f000003, 0x1f123456 };
/* Rounding, FTZ and DAZ; and flags that are set before: DE, UE, both, all. */
static const uint32_t modes[] = { 0x1f80, 0x3f80, 0x5f80, 0x7f80, 0x9fc0, 0x1fc0, 0x9f80, 0x1f82, 0x1f90,
                                  0x1f92, 0x1fbf };
#define NFP (sizeof(wide) / sizeof(wide[0]))
#define NMODES (sizeof(modes) / sizeof(modes[0]))
_Static_assert(NFP == sizeof(narrow) / sizeof(narrow[0]), "the same kinds of numbers");

/* SSE operations of two registers, and the operation of vec.c; cmp: that predicate follows. */
static const struct fp_form { uint8_t code, op, cmp; } fp_forms[] = {
    { 0x58, IR_VFADD, 0 }, { 0x5c, IR_VFSUB, 0 }, { 0x59, IR_VFMUL, 0 }, { 0x5e, IR_VFDIV, 0 },
    { 0x51, IR_VFSQRT, 0 }, { 0x5d, IR_VFMIN, 0 }, { 0x5f, IR_VFMAX, 0 }, { 0xc2, IR_VFCMP, 0 },
    { 0xc2, IR_VFCMP, 2 }, { 0xc2, IR_VFCMP, 5 }, { 0xc2, IR_VFCMP, 3 },
};
#define NFORMS (sizeof(fp_forms) / sizeof(fp_forms[0]))
static const uint8_t fp_lanes[] = { VL_S32, VL_S64, VL_F32, VL_F64 };

/* The form of these lanes (of fp_lanes) on xmm[d] and xmm[s]: bytes at p. */
static unsigned fp_code(uint8_t *p, const struct fp_form *f, unsigned lanes, unsigned d, unsigned s)
{
    static const uint8_t prefix[] = { 0xf3, 0xf2, 0x3e, 0x66 };     /* 3e: means nothing here */
    p[0] = prefix[lanes];
    p[1] = 0x0f;
    p[2] = f->code;
    p[3] = (uint8_t)(0xc0 | d << 3 | s);
    p[4] = f->cmp;
    return f->code == 0xc2 ? 5 : 4;
}

static union vreg fp_result(const struct fp_form *f, unsigned lanes, union vreg a, union vreg b,
                            struct fp_env *fp)
{
    const struct ir_ins op = { .op = f->op, .type = TY_V128, .aux = fp_lanes[lanes], .imm = f->cmp };
    union vreg r;
    vec_op(&op, &r, &a, &b, NULL, fp);
    return r;
}

/*
 * SSE arithmetic, scalar and packed, against vec.c: normal numbers and all that is not, in each rounding
 * mode, with and without FTZ and DAZ, the sticky flags included.  Where it is packed, the numbers in
 * question are in each lane in turn.
 */
START_TEST(test_fp)
{
    const unsigned n = NFP;
    struct sys_env *e = start(hots[_i]);
    struct cpu *c = e->c;

    for (unsigned k = 0; k < 8 * NFORMS; k++) {         /* addss xmm2, xmm1 or xmm2, and so on; hlt */
        uint8_t *p = e->ram + CODE + 16 * k;
        p[fp_code(p, &fp_forms[k / 8], k / 2 & 3, 2, k & 1 ? 2 : 1)] = 0xf4;
    }
    for (unsigned m = 0; m < NMODES; m++)
        for (unsigned t = 0; t < 8 * NFORMS * n * n; t++) {
            unsigned k = t % (8 * NFORMS), x = t / (8 * NFORMS) % n, y = t / (8 * NFORMS) / n;
            unsigned lanes = k / 2 & 3;
            union vreg a = { .q = { 0x1111111122222222, 0x3333333344444444 } }, b = a, want;
            struct fp_env fp = { modes[m] };

            if ((k & 1) && x != y)
                continue;
            if (lanes >= 2 && (x ^ y) & 1)              /* zeros beside them */
                a.q[0] = a.q[1] = 0;
            if (lanes & 1) {
                unsigned at = lanes == 3 ? (x + y) / 2 & 1 : 0;
                a.q[at] = wide[x];
                b.q[at] = wide[y];
            } else {
                unsigned at = lanes == 2 ? (x + y) / 2 & 3 : 0;
                a.d[at] = narrow[x];
                b.d[at] = narrow[y];
            }
            want = fp_result(&fp_forms[k / 8], lanes, a, k & 1 ? a : b, &fp);
            c->x[2] = a;
            c->x[1] = b;
            c->mxcsr = modes[m];
            backend_fp_changed(c);
            run_at(e, CODE + 16 * k);
            ck_assert_msg(!memcmp(&c->x[2], &want, 16) && c->mxcsr == fp.mxcsr,
                          "op %u of %u and %u, mode %x: %llx %llx not %llx %llx, mxcsr %x not %x", k, x, y,
                          modes[m], (unsigned long long)c->x[2].q[0], (unsigned long long)c->x[2].q[1],
                          (unsigned long long)want.q[0], (unsigned long long)want.q[1], c->mxcsr, fp.mxcsr);
        }
    end(e);
}
END_TEST

/*
 * Runs of such operations in one block, so that what one of them produces - denormals, flags that let
 * later ones pass - meets the next; each is run twice, the second time with the flags of the first.
 */
START_TEST(test_fp_runs)
{
    enum { RUNS = 1500, OPS = 12, REGS = 4 };
    struct sys_env *e = start(hots[_i]);
    struct cpu *c = e->c;
    uint64_t seed = 88172645463325252u;

    for (unsigned t = 0; t < RUNS; t++) {
        struct { const struct fp_form *f; uint8_t lanes, d, s; } op[OPS];
        union vreg x[REGS];
        struct fp_env fp = { 0x1f80 };
        uint8_t *p = e->ram + CODE;
        for (unsigned k = 0; k < OPS + REGS; k++) {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            uint32_t r = (uint32_t)(seed >> 20);
            if (k >= OPS) {                             /* values, mostly near the smallest */
                union vreg *v = &x[k - OPS];
                for (unsigned i = 0; i < 4; i++)
                    v->d[i] = narrow[(r >> 8 * i & 3) ? (r >> 8 * i >> 2 & 7) % 6 + 5
                                                      : (r >> 8 * i >> 2 & 63) % NFP];
                if (r & 1)
                    v->q[0] = wide[(r >> 1) % NFP];
                if (r & 2)
                    v->q[1] = wide[(r >> 6) % NFP];
                c->x[k - OPS] = *v;
                continue;
            }
            op[k].f = &fp_forms[r % NFORMS < 7 || r >> 28 ? r % 7 % NFORMS : r % NFORMS];
            op[k].lanes = t & 1 ? r >> 4 & 3 : t >> 1 & 3;      /* all kinds, or one of them */
            op[k].d = r >> 6 & 3;
            op[k].s = r >> 8 & 3;
            p += fp_code(p, op[k].f, op[k].lanes, op[k].d, op[k].s);
        }
        *p = 0xf4;
        changed(e);
        c->mxcsr = fp.mxcsr;
        backend_fp_changed(c);
        for (unsigned again = 0; again < 2; again++) {
            run_at(e, CODE);
            for (unsigned k = 0; k < OPS; k++)
                x[op[k].d] = fp_result(op[k].f, op[k].lanes, x[op[k].d], x[op[k].s], &fp);
            ck_assert_msg(!memcmp(c->x, x, sizeof(x)) && c->mxcsr == fp.mxcsr, "run %u: mxcsr %x not %x", t,
                          c->mxcsr, fp.mxcsr);
        }
    }
    end(e);
}
END_TEST

/* Every immediate of the shuffles and blends, with source and destination the same register and not. */
START_TEST(test_shuffle)
{
    static const struct { uint8_t bytes[4], n, op, lane, two; } forms[] = {
        { { 0x66, 0x0f, 0x70 }, 3, IR_VSHUFD, VL_32, 0 }, { { 0xf2, 0x0f, 0x70 }, 3, IR_VSHUFLW, VL_16, 0 },
        { { 0xf3, 0x0f, 0x70 }, 3, IR_VSHUFHW, VL_16, 0 }, { { 0x0f, 0xc6 }, 2, IR_VSHUF2, VL_32, 1 },
        { { 0x66, 0x0f, 0xc6 }, 3, IR_VSHUF2, VL_64, 1 },
        { { 0x66, 0x0f, 0x3a, 0x0c }, 4, IR_VBLENDI, VL_32, 1 },
        { { 0x66, 0x0f, 0x3a, 0x0d }, 4, IR_VBLENDI, VL_64, 1 },
        { { 0x66, 0x0f, 0x3a, 0x0e }, 4, IR_VBLENDI, VL_16, 1 },
        { { 0x66, 0x0f, 0x3a, 0x0f }, 4, IR_VALIGN, VL_8, 1 },
    };
    const union vreg first = { .q = { 0x0706050403020100, 0x0f0e0d0c0b0a0908 } };
    const union vreg second = { .q = { 0x1716151413121110, 0x1f1e1d1c1b1a1918 } };
    struct sys_env *e = start(hots[_i]);
    struct cpu *c = e->c;

    for (unsigned k = 0; k < 2 * sizeof(forms) / sizeof(forms[0]); k++)
        for (unsigned imm = 0; imm < 256; imm++) {
            const struct ir_ins op = { .op = forms[k / 2].op, .type = TY_V128, .aux = forms[k / 2].lane,
                                       .imm = (int)imm };
            union vreg b = k & 1 ? first : second, want;
            uint8_t *p = e->ram + CODE;
            memcpy(p, forms[k / 2].bytes, 4);
            p += forms[k / 2].n;
            p[0] = k & 1 ? 0xd2 : 0xd1;
            p[1] = (uint8_t)imm;
            p[2] = 0xf4;
            changed(e);
            c->x[2] = first;
            c->x[1] = second;
            vec_op(&op, &want, forms[k / 2].two ? &first : &b, &b, NULL, NULL);
            run_at(e, CODE);
            ck_assert_msg(!memcmp(&c->x[2], &want, 16), "form %u, %02x: %llx %llx not %llx %llx", k, imm,
                          (unsigned long long)c->x[2].q[0], (unsigned long long)c->x[2].q[1],
                          (unsigned long long)want.q[0], (unsigned long long)want.q[1]);
            ck_assert(!memcmp(&c->x[1], &second, 16));
        }
    end(e);
}
END_TEST

/* Comparisons and conversions in the same way. */
START_TEST(test_fp_convert)
{
    static const uint8_t code[][8] = {
        { 0x0f, 0x2e, 0xd1, 0xf4 },             /* ucomiss xmm2, xmm1; hlt */
        { 0x66, 0x0f, 0x2f, 0xd1, 0xf4 },       /* comisd xmm2, xmm1 */
        { 0xf3, 0x0f, 0x2c, 0xc1, 0xf4 },       /* cvttss2si eax, xmm1 */
        { 0xf2, 0x48, 0x0f, 0x2c, 0xc1, 0xf4 }, /* cvttsd2si rax, xmm1 */
        { 0xf3, 0x48, 0x0f, 0x2d, 0xc1, 0xf4 }, /* cvtss2si rax, xmm1 */
        { 0xf2, 0x0f, 0x2d, 0xc1, 0xf4 },       /* cvtsd2si eax, xmm1 */
        { 0xf3, 0x48, 0x0f, 0x2a, 0xd0, 0xf4 }, /* cvtsi2ss xmm2, rax */
        { 0xf2, 0x48, 0x0f, 0x2a, 0xd0, 0xf4 }, /* cvtsi2sd xmm2, rax */
        { 0xf2, 0x0f, 0x2a, 0xd0, 0xf4 },       /* cvtsi2sd xmm2, eax */
        { 0xf2, 0x0f, 0x5a, 0xd1, 0xf4 },       /* cvtsd2ss xmm2, xmm1 */
        { 0xf3, 0x0f, 0x5a, 0xd1, 0xf4 },       /* cvtss2sd xmm2, xmm1 */
    };
    static const struct ir_ins op[] = {
        { .op = IR_VFCOM, .type = TY_I32, .aux = VL_S32 },
        { .op = IR_VFCOM, .type = TY_I32, .aux = VL_S64 | VA_SIGNAL },
        { .op = IR_VF2G, .type = TY_I32, .aux = VL_S32 | VA_TRUNC },
        { .op = IR_VF2G, .type = TY_I64, .aux = VL_S64 | VA_TRUNC },
        { .op = IR_VF2G, .type = TY_I64, .aux = VL_S32 },
        { .op = IR_VF2G, .type = TY_I32, .aux = VL_S64 },
        { .op = IR_VCVTG, .type = TY_V128, .aux = VL_S32, .imm = 8 },
        { .op = IR_VCVTG, .type = TY_V128, .aux = VL_S64, .imm = 8 },
        { .op = IR_VCVTG, .type = TY_V128, .aux = VL_S64, .imm = 4 },
        { .op = IR_VFCVT, .type = TY_V128, .aux = VL_S64 },
        { .op = IR_VFCVT, .type = TY_V128, .aux = VL_S32 },
    };
    static const uint64_t more[] = {    /* near the ends of the integers' ranges, and in between */
        0x41dfffffffc00000, 0x41e0000000000000, 0xc1e0000000000000, 0xc1e0000000200000, 0x43dfffffffffffff,
        0x43e0000000000000, 0xc3e0000000000000, 0x3fe0000000000000, 0x3ff8000000000000, 0xc004000000000000,
        0x4f000000, 0xcf000000, 0x4effffff, 0x5effffff, 0x3f000000, 0x40200000, 0x7fffffffffffffff, 0x20000000000001,
        /* near the smallest float, normal and not */
        0x3810000000000000, 0x380fffffe0000000, 0x380fffffefffffff, 0x380ffffff0000000, 0xb690000000000000,
        0x3690000000000001,
    };
    const unsigned n = NFP + sizeof(more) / sizeof(more[0]), kinds = sizeof(op) / sizeof(op[0]);
    struct sys_env *e = start(hots[_i]);
    struct cpu *c = e->c;

    for (unsigned k = 0; k < kinds; k++)
        memcpy(e->ram + CODE + 16 * k, code[k], sizeof(code[k]));
    for (unsigned m = 0; m < NMODES; m++)
        for (unsigned t = 0; t < kinds * n * n; t++) {
            unsigned k = t % kinds, x = t / kinds % n, y = t / kinds / n;
            bool two = op[k].op == IR_VFCOM, dbl = (op[k].aux & VL_MASK) == VL_S64;
            union vreg a = { .q = { 0x1111111122222222, 0x3333333344444444 } }, b = a, want = { .q = { 0, 0 } };
            struct fp_env fp = { modes[m] };

            if (!two && x)
                continue;
            a.q[0] = x >= NFP ? more[x - NFP] : dbl ? wide[x] : narrow[x];
            b.q[0] = y >= NFP ? more[y - NFP] : dbl ? wide[y] : narrow[y];
            vec_op(&op[k], &want, op[k].op == IR_VF2G ? &b : &a, &b, NULL, &fp);
            c->x[2] = a;
            c->x[1] = b;
            c->r[R_AX] = b.q[0];
            c->mxcsr = modes[m];
            backend_fp_changed(c);
            run_at(e, CODE + 16 * k);
            uint64_t got = op[k].op == IR_VF2G ? c->r[R_AX] : c->x[2].q[0];
            if (two)            /* what EFLAGS of the #GP say */
                got = sys_peek(e, c->r[R_SP] + 24, 8) & FL_ARITH;
            ck_assert_msg(got == want.q[0] && c->mxcsr == fp.mxcsr, "op %u of %llx and %llx, mode %x: %llx not %llx, "
                          "mxcsr %x not %x", k, (unsigned long long)a.q[0], (unsigned long long)b.q[0], modes[m],
                          (unsigned long long)got, (unsigned long long)want.q[0], c->mxcsr, fp.mxcsr);
        }
    end(e);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("sse");
    TCase *tc = tcase_create("sse");

    tcase_set_timeout(tc, 120);
    tcase_add_loop_test(tc, test_fp, 0, NHOTS);
    tcase_add_loop_test(tc, test_fp_runs, 0, NHOTS);
    tcase_add_loop_test(tc, test_fp_convert, 0, NHOTS);
    tcase_add_loop_test(tc, test_shuffle, 0, NHOTS);
    suite_add_tcase(s, tc);
    return run_suite(s);
}
