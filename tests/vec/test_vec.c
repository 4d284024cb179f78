/*
 * test_vec.c - vec.c against the host CPU.  Every row of backend-x86_64/vec.def
 * is assembled and run on random and boundary operands, under all rounding
 * modes, DAZ and FTZ; result, MXCSR flags and (for comparisons) EFLAGS must be
 * what vec_op() says.  So the test proves the semantics and the table at once.
 *
 * VEC_ROUNDS in the environment: operand pairs a row (default 20000); VEC_SEED.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "tests/run_suite.h"
#include "translator/vec.h"

#if defined(__x86_64__)
#include <cpuid.h>

enum shape { RM, RMI, UN, UNI, UNB, UNBI, SHI, BLENDV, G2V, V2G, V2GR, INS, EXT, CVTG, FLG };

static const struct row {
    const char *name;
    uint8_t op;
    uint16_t aux;
    uint8_t pfx, map, opcode, shape, ext;
} rows[] = {
#define V(op, aux, pfx, map, opcode, shape, ext, mem) { #op, IR_##op, aux, pfx, map, opcode, shape, ext },
#include "backend-x86_64/vec.def"
#undef V
};

/* What the stub takes in rdi. */
struct frame {
    union vreg a, b, c, out;    /* 0, 16, 32, 48 */
    uint64_t gout;              /* 64 */
    uint32_t mxcsr, clean;      /* 72, 76 */
    uint64_t flags;             /* 80 */
};

static uint8_t *put_bytes(uint8_t *p, const char *s, size_t n)
{
    memcpy(p, s, n);
    return p + n;
}
#define PUT(s) (p = put_bytes(p, s, sizeof(s) - 1))

/* xmm1 = a, xmm2 = b, xmm0 = c, rcx = a, rdx = b; result xmm1 or rax; all but FLG leave flags alone. */
static void assemble(uint8_t *p, const struct row *r, unsigned imm, bool w)
{
    bool has_imm = r->shape == RMI || r->shape == UNI || r->shape == UNBI || r->shape == SHI ||
                   r->shape == INS || r->shape == EXT;
    unsigned modrm;

    PUT("\x0f\xae\x57\x48");                            /* ldmxcsr 72(%rdi) */
    PUT("\xf3\x0f\x6f\x0f\xf3\x0f\x6f\x57\x10\xf3\x0f\x6f\x47\x20");
    PUT("\x48\x8b\x0f\x48\x8b\x57\x10\x31\xc0");
    if (r->pfx)
        *p++ = r->pfx;
    if (w)
        *p++ = 0x48;
    *p++ = 0x0f;
    if (r->map > 1)
        *p++ = r->map == 2 ? 0x38 : 0x3a;
    *p++ = r->opcode;
    switch (r->shape) {
    case UN: case UNI:          modrm = 1 << 3 | 1; break;
    case SHI:                   modrm = r->ext << 3 | 1u; break;
    case G2V:                   modrm = 1 << 3 | R_CX; break;
    case V2G: case EXT:         modrm = 1 << 3 | R_AX; break;
    case V2GR:                  modrm = R_AX << 3 | 1; break;
    case INS: case CVTG:        modrm = 1 << 3 | R_DX; break;
    default:                    modrm = 1 << 3 | 2; break;
    }
    *p++ = (uint8_t)(0xc0 | modrm);
    if (has_imm)
        *p++ = (uint8_t)imm;
    PUT("\x9c\x5a\x48\x89\x57\x50");                    /* pushfq; pop %rdx; mov %rdx,80(%rdi) */
    PUT("\xf3\x0f\x7f\x4f\x30\x48\x89\x47\x40\x0f\xae\x5f\x48\x0f\xae\x57\x4c\xc3");
}

static uint64_t seed = 0x9e3779b97f4a7c15;

static uint64_t rnd(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed * UINT64_C(0x2545f4914f6cdd1d);
}

static const uint32_t special32[] = {
    0, 0x80000000, 1, 0x80000001, 0x007fffff, 0x807fffff, 0x00400000, 0x00800000, 0x80800000, 0x00800001,
    0x3f800000, 0xbf800000, 0x3f800001, 0x3f7fffff, 0x40000000, 0x3f000000, 0x3effffff, 0x3fc00000,
    0x40200000, 0x7f7fffff, 0xff7fffff, 0x7f800000, 0xff800000, 0x7fc00000, 0xffc00000, 0x7fc12345,
    0x7f800001, 0xff812345, 0x7fbfffff, 0x4effffff, 0x4f000000, 0xcf000000, 0xcf000001, 0x5f000000,
    0xdf000000, 0x5effffff, 0x4b000001, 0x4affffff, 0x4b7fffff, 0x7fffffff, 0xffffffff, 0x34000000,
};
static const uint64_t special64[] = {
    0, 0x8000000000000000, 1, 0x8000000000000001, 0x000fffffffffffff, 0x0010000000000000,
    0x8010000000000000, 0x0010000000000001, 0x3ff0000000000000, 0xbff0000000000000, 0x3ff0000000000001,
    0x3fefffffffffffff, 0x4000000000000000, 0x3fe0000000000000, 0x3fdfffffffffffff, 0x3ff8000000000000,
    0x4004000000000000, 0x7fefffffffffffff, 0xffefffffffffffff, 0x7ff0000000000000, 0xfff0000000000000,
    0x7ff8000000000000, 0xfff8000000000000, 0x7ff8123456789abc, 0x7ff0000000000001, 0xfff0123456789abc,
    0x41dfffffffc00000, 0x41dfffffffe00000, 0x41e0000000000000, 0xc1e0000000000000, 0xc1e0000000100000,
    0xc1e0000000200000, 0x43e0000000000000, 0xc3e0000000000000, 0x43dfffffffffffff, 0x4330000000000001,
    0x432fffffffffffff, 0x3cb0000000000000, 0x47efffffe0000000, 0x47effffff0000000, 0x3810000000000000,
    0x380fffffffffffff, 0x380fffffe0000000, 0x380ffffff0000000, 0x36a0000000000000, 0x3690000000000000,
    0x7ff0000020000000, 0x7ff4000000000000, 0x0008000000000000, 0x7fffffffffffffff,
};

static uint32_t rnd32(void)
{
    uint32_t x = (uint32_t)rnd();

    switch (rnd() % 6) {
    case 0: return special32[rnd() % (sizeof(special32) / 4)];
    case 1: return (x & 0x807fffff) | (0x70 + (uint32_t)(rnd() % 0x20)) << 23;  /* near one */
    case 2: return (x & 0x807fffff) | (uint32_t)(rnd() % 28) << 23;             /* tiny */
    case 3: return (x & 0x80700000) | (0x60 + (uint32_t)(rnd() % 0x40)) << 23;  /* few bits */
    case 4: return (x & 0x807fffff) | (0xe6 + (uint32_t)(rnd() % 26)) << 23;    /* huge */
    default: return x;
    }
}

static uint64_t rnd64(void)
{
    uint64_t x = rnd(), m = UINT64_C(0x800fffffffffffff);

    switch (rnd() % 6) {
    case 0: return special64[rnd() % (sizeof(special64) / 8)];
    case 1: return (x & m) | (0x3f0 + rnd() % 0x20) << 52;
    case 2: return (x & m) | (rnd() % 58) << 52;
    case 3: return (x & UINT64_C(0x800e000000000000)) | (0x370 + rnd() % 0x100) << 52;
    case 4: return (x & m) | (0x7c0 + rnd() % 63) << 52;
    default: return x;
    }
}

static void rnd_vreg(union vreg *v, unsigned vl, bool is_int)
{
    if (is_int || vl < VL_F32) {
        static const uint64_t edge[] = { 0, ~UINT64_C(0), 0x8000800080008000, 0x7fff7fff7fff7fff,
                                         0x8080808080808080, 0x7f7f7f7f7f7f7f7f, 0x8000000080000000, 1, 17 };

        for (unsigned n = 0; n < 2; n++) {
            v->q[n] = rnd();
            if (rnd() % 4 == 0)
                v->q[n] = edge[rnd() % 9];
            if (rnd() % 4 == 0)
                v->q[n] = v->q[n] << rnd() % 64;
            if (rnd() % 4 == 0)
                v->q[n] = (uint64_t)((int64_t)v->q[n] >> rnd() % 64);
        }
        return;
    }
    for (unsigned n = 0; n < 4; n++) {
        if (vl == VL_F32 || vl == VL_S32)
            v->d[n] = rnd32();
        else
            v->q[n & 1] = rnd64();
    }
}

static void rnd_pair(struct frame *f, unsigned vl, bool is_int)
{
    rnd_vreg(&f->a, vl, is_int);
    rnd_vreg(&f->b, vl, is_int);
    rnd_vreg(&f->c, VL_8, true);
    if (rnd() % 8 == 0)                 /* equal lanes, and nearly equal ones */
        f->b = f->a;
    if (rnd() % 16 == 0)
        f->b.q[rnd() & 1] = f->a.q[0] + rnd() % 5 - 2;
    if (rnd() % 16 == 0)
        f->b.q[0] = f->a.q[0] ^ UINT64_C(0x8000000000000000) ^ (uint32_t)(rnd() & 0x80000003);
}

static void show(const char *what, const union vreg *v)
{
    fprintf(stderr, "  %-6s %016llx %016llx\n", what, (unsigned long long)v->q[1],
            (unsigned long long)v->q[0]);
}

/* 0 if host and vec.c agree. */
static unsigned run_one(const struct row *r, const struct ir_ins *i, void (*stub)(struct frame *),
                        struct frame *f, bool gpr_out)
{
    bool merge = r->shape != UNB && r->shape != UNBI;
    struct fp_env env = { f->mxcsr };
    uint32_t mx_in = f->mxcsr;
    union vreg want;

    f->clean = MX_DEFAULT;
    stub(f);
    if (r->shape == FLG) {
        f->out = (union vreg){ .q = { f->flags & FL_ARITH, 0 } };
    } else if (gpr_out) {
        f->out = (union vreg){ .q = { f->gout, 0 } };
    }
    vec_op(i, &want, merge ? &f->a : NULL, &f->b, &f->c, &env);
    if (!memcmp(&want, &f->out, 16) && env.mxcsr == f->mxcsr)
        return 0;
    fprintf(stderr, "%s aux %03x imm %02x type %u mxcsr %04x: vec.c %04x, host %04x\n", r->name, r->aux,
            (unsigned)i->imm, i->type, mx_in, env.mxcsr, f->mxcsr);
    show("a", &f->a);
    show("b", &f->b);
    show("c", &f->c);
    show("vec.c", &want);
    show("host", &f->out);
    return 1;
}

/* Not all chips choose as Intel's do what the manuals leave open: such a host is no oracle for these, nor are they used there. */
static bool host_differs(const struct row *r)
{
    unsigned max, b = 0, c, d;

    __get_cpuid(0, &max, &b, &c, &d);
    return b != signature_INTEL_ebx && (r->op == IR_VFRCP || r->op == IR_VFRSQRT || r->op == IR_VFDP);
}

static unsigned run_row(const struct row *r, uint8_t *code, unsigned rounds)
{
    unsigned vl = r->aux & VL_MASK, bad = 0;
    bool fp = vl >= VL_F32, gpr_out = r->shape == V2G || r->shape == V2GR || r->shape == EXT;
    unsigned imms = r->shape == RMI || r->shape == UNI || r->shape == UNBI || r->shape == SHI ? 24 : 4;

    for (unsigned k = 0; k < imms; k++) {
        unsigned imm = (unsigned)(k < 16 ? k : rnd() & 0xff);
        bool w = false;
        struct ir_ins i = { .op = r->op, .aux = r->aux, .type = TY_V128, .imm = imm };

        if (r->op == IR_VFCMP)
            i.imm = imm &= 7;
        if (gpr_out || r->shape == G2V || r->shape == CVTG) {
            w = k & 1;
            if (r->shape == G2V || r->shape == V2G)
                w = vl == VL_64;
            if (r->op == IR_VMASK)
                w = false;
            if (r->shape == EXT)
                w = r->ext;
            if (gpr_out)
                i.type = w ? TY_I64 : TY_I32;
            if (r->shape == CVTG)
                i.imm = w ? 8 : 4;
        }
        if (r->shape == INS)
            w = r->ext;
        if (r->shape == FLG)
            i.type = TY_I32;
        assemble(code, r, imm, w);
        for (unsigned n = 0; n < rounds / imms && bad < 3; n++) {
            struct frame f;

            memset(&f, 0, sizeof(f));
            rnd_pair(&f, vl, r->op == IR_VI2F || r->shape == CVTG);
            f.mxcsr = MX_DEFAULT | (fp ? (uint32_t)(rnd() & (MX_RC | MX_DAZ | MX_FTZ)) : 0);
            if (rnd() % 2)
                f.mxcsr &= ~(MX_DAZ | MX_FTZ);
            bad += run_one(r, &i, (void (*)(struct frame *))(uintptr_t)code, &f, gpr_out);
        }
    }
    return bad;
}

START_TEST(test_host)
{
    const char *s = getenv("VEC_ROUNDS");
    unsigned rounds = s ? (unsigned)atoi(s) : 20000, bad = 0;
    uint8_t *code = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    ck_assert_ptr_ne(code, MAP_FAILED);
    if (getenv("VEC_SEED"))
        seed = strtoull(getenv("VEC_SEED"), NULL, 0) | 1;
    for (size_t n = 0; n < sizeof(rows) / sizeof(rows[0]); n++)
        bad += host_differs(&rows[n]) ? 0 : run_row(&rows[n], code, rounds);
    munmap(code, 4096);
    ck_assert_msg(!bad, "%u differences (seed %#llx)", bad, (unsigned long long)seed);
}
END_TEST

#endif

/* The 64-bit (MMX) forms of the rows whose 128-bit form is different there. */
START_TEST(test_width64)
{
    struct fp_env env = { MX_DEFAULT };
    union vreg a = { .q = { 0x0807060504030201, 0 } }, b = { .q = { 0x1817161514131211, 0 } }, d;
    static const struct { uint8_t op; uint16_t aux; int64_t imm; uint64_t want; } t[] = {
        { IR_VUNPCKH, VL_8, 0,    0x1808170716061505 },
        { IR_VUNPCKH, VL_32, 0,   0x1817161508070605 },
        { IR_VUNPCKL, VL_16, 0,   0x1413040312110201 },
        { IR_VPACKS, VL_16, 0,    0x7f7f7f7f7f7f7f7f },
        { IR_VALIGN, VL_8, 3,     0x0302011817161514 },
        { IR_VALIGN, VL_8, 9,     0x0008070605040302 },
        { IR_VSHUFLW, VL_16, 0x1b, 0x0201040306050807 },
        { IR_VHADD, VL_32, 0,     0x2c2a28260c0a0806 },
        { IR_VSAD, VL_8, 0,       0x80 },
    };

    for (size_t n = 0; n < sizeof(t) / sizeof(t[0]); n++) {
        struct ir_ins i = { .op = t[n].op, .aux = (uint16_t)(t[n].aux | VW_64), .type = TY_V128,
                            .imm = t[n].imm };

        vec_op(&i, &d, &a, &b, NULL, &env);
        ck_assert_msg(d.q[0] == t[n].want && !d.q[1], "row %zu: %016llx", n, (unsigned long long)d.q[0]);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("vec");
    TCase *t = tcase_create("vec");

    tcase_set_timeout(t, 600);
    tcase_add_test(t, test_width64);
#if defined(__x86_64__)
    tcase_add_test(t, test_host);
#endif
    suite_add_tcase(s, t);
    return run_suite(s);
}
