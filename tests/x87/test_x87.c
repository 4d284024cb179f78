/*
 * test_x87.c - the portable x87 (x87_op.c, f80.c) against the host's x87.
 *
 * Every operation of x87.def runs on random states: any control word, any stack,
 * operands biased to where things happen (denormals, limits, NaNs, encodings no
 * arithmetic makes).  All registers, the status word, the tags and what would be
 * stored must agree.  The transcendental functions may differ in the last bit.
 * Elsewhere than on x86-64 only the tests that need no x87 run.
 */
#include <check.h>
#ifdef __x86_64__
#include <cpuid.h>
#endif
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "frontend/help.h"
#include "tests/run_suite.h"

static uint64_t seed = 88172645463325252ull;

static uint64_t rnd(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed * 0x2545f4914f6cdd1dull;
}

#ifdef __x86_64__

static unsigned pick(unsigned n)
{
    return (unsigned)(rnd() >> 33) % n;
}

struct image {
    uint16_t cw, sw;
    uint8_t tag, reserved;
    uint16_t op;
    uint64_t ip, dp;
    uint32_t mxcsr, mxcsr_mask;
    struct f80 st[8];
    uint8_t rest[512 - 160];
} __attribute__((aligned(16)));

static const char *const name[X87_COUNT] = {
#define X87(id, kind, size, op, modrm) [X87_##id] = #id,
#include "frontend/x87.def"
#undef X87
};

/* ---- operands ---- */

static uint64_t random_sig(void)
{
    static const uint64_t edge[] = {
        1, 2, 3, 1ull << 39, 1ull << 40, 1ull << 41, 1ull << 10, 1ull << 11, 1ull << 12, ~0ull, ~0ull << 11, ~0ull << 40,
        1ull << 63, 1ull << 62, 3ull << 62, 0x7fffffffffffffff, 0x8000000000000001, 0x8000008000000000,
        0x8000000000000400, 0xb504f333f9de6484,
    };

    switch (pick(5)) {
    case 0:
        return edge[pick(sizeof(edge) / sizeof(edge[0]))];
    case 1:
        return rnd() & ~0ull << pick(64);
    case 2:
        return edge[pick(sizeof(edge) / sizeof(edge[0]))] ^ 1ull << pick(64);
    default:
        return rnd();
    }
}

static struct f80 random_f80(void)
{
    unsigned sign = pick(2) << 15, e;
    uint64_t sig = random_sig();

    switch (pick(20)) {
    case 0:
        return (struct f80){ .sig = 0, .se = (uint16_t)sign };
    case 1:
        return (struct f80){ .sig = 1ull << 63, .se = (uint16_t)(sign | 0x7fff) };
    case 2:
        return (struct f80){ .sig = sig | 1ull << 63, .se = (uint16_t)(sign | 0x7fff) };
    case 3:
        return (struct f80){ .sig = sig, .se = (uint16_t)sign };        /* denormals, pseudo-denormals */
    case 4:
        return (struct f80){ .sig = sig, .se = (uint16_t)rnd() };       /* invalid encodings */
    case 5:
        return (struct f80){ .sig = sig >> pick(64), .se = (uint16_t)sign };
    case 6:
        e = 1 + pick(70);
        break;
    case 7:
        e = 0x7ffe - pick(70);
        break;
    case 8:
        e = 0x3fff - 127 - 30 + pick(60);
        break;
    case 9:
        e = 0x3fff + 120 + pick(12);
        break;
    case 10:
        e = 0x3fff - 1023 - 60 + pick(70);
        break;
    case 11:
        e = 0x3fff + 1015 + pick(12);
        break;
    case 12:
        e = 1 + pick(0x7ffe);
        break;
    case 13: case 14:
        e = 0x3fff + pick(68);
        break;
    default:
        e = 0x3fff - 40 + pick(80);
    }
    return (struct f80){ .sig = sig | 1ull << 63, .se = (uint16_t)(sign | e) };
}

static uint64_t random_mem(unsigned size, bool real)
{
    uint64_t v = rnd();

    if (!real)
        return pick(3) ? v : (uint64_t)((int64_t)v >> pick(64));
    if (size == 4) {
        unsigned e = pick(4) ? 0x7f - 20 + pick(40) : pick(2) ? 0 : pick(2) ? 0xff : pick(0x100);

        return (v & 0x807fffff & ~((1ull << pick(24)) - 1)) | (uint64_t)e << 23;
    }
    v &= ~((1ull << pick(53)) - 1);
    return (v & 0x800fffffffffffff) |
           (uint64_t)(pick(4) ? 0x3ff - 30 + pick(60) : pick(2) ? 0 : pick(2) ? 0x7ff : pick(0x800)) << 52;
}

/* ---- the host ---- */

typedef uint64_t (*host_fn)(const struct image *in, struct image *out, void *mem, uint64_t flags);

static host_fn host_code(unsigned op, unsigned modrm, bool mem)
{
    static uint8_t *buf;
    uint8_t *p;

    if (!buf) {
        buf = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        ck_assert(buf != MAP_FAILED);
    }
    p = buf;
    memcpy(p, "\x48\x0f\xae\x0f\x51\x9d", 6);   /* fxrstor64 [rdi]; push rcx; popfq */
    p += 6;
    *p++ = (uint8_t)op;
    *p++ = (uint8_t)(mem ? (modrm & 0x38) | 2 : modrm);
    memcpy(p, "\x9c\x58\x48\x0f\xae\x06\xdb\xe3\xc3", 9);       /* pushfq; pop rax; fxsave64 [rsi]; fninit; ret */
    return (host_fn)(void *)buf;
}

/* ---- one operation ---- */

static bool transcendental(unsigned op)
{
    switch (op) {
    case X87_F2XM1: case X87_FYL2X: case X87_FYL2XP1: case X87_FPTAN: case X87_FPATAN: case X87_FSIN: case X87_FCOS:
    case X87_FSINCOS:
        return true;
    default:
        return false;
    }
}

static void random_state(struct image *in, struct cpu *c)
{
    unsigned top = pick(8);

    memset(in, 0, sizeof(*in));
    in->mxcsr = 0x1f80;
    in->cw = (uint16_t)(0x40 | (pick(2) ? 0x3f : rnd() & 0x3f) | pick(4) << 10 | pick(4) << 8);
    in->sw = (uint16_t)(top << 11 | (rnd() & 0x4700) | (pick(4) ? 0 : rnd() & 0x7f & in->cw));
    switch (pick(8)) {
    case 0:
        in->tag = (uint8_t)rnd();
        break;
    case 1:
        in->tag = 0xff;
        break;
    default:                                    /* ST and ST(1) full, ST(7) empty */
        in->tag = (uint8_t)(1u << top | 1u << ((top + 1) & 7) | rnd());
        in->tag &= (uint8_t)~(1u << ((top + 7) & 7));
    }
    for (unsigned k = 0; k < 8; k++) {
        in->st[k] = random_f80();
        if (k && !pick(4)) {                    /* near the neighbour: cancellation, equal operands */
            in->st[k] = in->st[k - 1];
            if (pick(2))
                in->st[k].sig ^= 1ull << pick(64);
            if (pick(2))
                in->st[k].se ^= (uint16_t)(1u << pick(16));
        }
        c->fpu.r[(top + k) & 7] = in->st[k];
    }
    c->fpu.cw = in->cw;
    c->fpu.sw = in->sw;
    c->fpu.tag = in->tag;
}

static bool same_reg(struct f80 a, struct f80 b)
{
    return a.sig == b.sig && a.se == b.se;
}

/* Within one unit in the last place (of either's exponent). */
static bool near(struct f80 a, struct f80 b)
{
    if ((a.se ^ b.se) & 0x8000)
        return false;
    if (!(a.se & 0x7fff))                       /* denormals have the exponent of the least normal numbers */
        a.se++;
    if (!(b.se & 0x7fff))
        b.se++;
    return same_reg(a, b) || (a.se == b.se && a.sig - b.sig + 2 <= 4) ||
           (abs(a.se - b.se) == 1 && ((a.sig >= ~1ull && b.sig <= (1ull << 63) + 1) ||
                                      (b.sig >= ~1ull && a.sig <= (1ull << 63) + 1)));
}

static unsigned report(unsigned op, unsigned i, const struct image *in, const struct image *out, const struct cpu *c,
                       unsigned bad, const char *what)
{
    unsigned t2 = c->fpu.sw >> 11 & 7;

    if (bad < 4) {
        fprintf(stderr, "%s i=%u: %s\n  in  cw %04x sw %04x tag %02x st0 %04x.%016llx st1 %04x.%016llx sti %04x.%016llx\n",
                name[op], i, what, in->cw, in->sw, in->tag, in->st[0].se, (unsigned long long)in->st[0].sig,
                in->st[1].se, (unsigned long long)in->st[1].sig, in->st[i].se, (unsigned long long)in->st[i].sig);
        fprintf(stderr, "  cpu sw %04x tag %02x st0 %04x.%016llx st1 %04x.%016llx\n", out->sw, out->tag, out->st[0].se,
                (unsigned long long)out->st[0].sig, out->st[1].se, (unsigned long long)out->st[1].sig);
        fprintf(stderr, "  us  sw %04x tag %02x st0 %04x.%016llx st1 %04x.%016llx\n", c->fpu.sw, c->fpu.tag,
                c->fpu.r[t2].se, (unsigned long long)c->fpu.r[t2].sig, c->fpu.r[(t2 + 1) & 7].se,
                (unsigned long long)c->fpu.r[(t2 + 1) & 7].sig);
    }
    return bad + 1;
}

static unsigned run_op(unsigned op, unsigned rounds)
{
    static struct cpu cpu;
    struct cpu *c = &cpu;
    const struct x87_info *x = &x87_info[op];
    bool mem = x->kind == X87_LD || x->kind == X87_ST || x->kind == X87_STP || op == X87_STSW;
    bool store = mem && x->kind != X87_LD, fuzzy = transcendental(op);
    bool sti = x->kind == X87_FL || op == X87_FCMOV ||
               (x->kind == X87_RR && (op < X87_FADD_M32 || op == X87_FCOM || op == X87_FCOMP || op == X87_FUCOM ||
                                      op == X87_FUCOMP || (op >= X87_FLD && op <= X87_FSTPNCE) || op == X87_FFREE ||
                                      op == X87_FFREEP));
    unsigned bad = 0, pop_op = op;

    if (x->kind == X87_STP)
        pop_op = op - X87_FST_M32 + X87_FSTP_M32;
    for (unsigned n = 0; n < rounds; n++) {
        struct image in, out;
        uint8_t mh[16], mu[16];
        union vreg a = { .q = { 0, 0 } }, res, res2;
        unsigned i = sti ? pick(8) : 0, modrm = x->modrm + i, byte = x->op, cond = pick(2);
        uint64_t flags = cond ? 0x202 : 0xad7, hf;
        const char *what = NULL;
        uint16_t ignore = 0;

        random_state(&in, c);
        c->hv.q[0] = c->hv.q[1] = 0;
        for (unsigned k = 0; k < 16; k++)
            mh[k] = (uint8_t)rnd();
        if (x->kind == X87_LD && x->size < 10) {
            bool real = (op >= X87_FADD_M32 && op <= X87_FDIVR_M64) || (op >= X87_FCOM_M32 && op <= X87_FCOMP_M64) ||
                        op == X87_FLD_M32 || op == X87_FLD_M64;
            uint64_t v = random_mem(x->size, real);

            memcpy(mh, &v, 8);
        } else if (op == X87_FLD_M80) {
            struct f80 v = random_f80();

            memcpy(mh, &v, 10);
        } else if (op == X87_FBLD) {
            for (unsigned k = 0; k < 9; k++)
                mh[k] = (uint8_t)(pick(10) | pick(10) << 4);
            mh[9] &= 0x80;
        }
        if (op == X87_FYL2XP1) {                /* |x| < 1 - sqrt(1/2) is what is defined */
            if ((in.st[0].se & 0x7fff) >= 0x3ffd && (in.st[0].se & 0x7fff) < 0x7fff)
                in.st[0].se = (uint16_t)((in.st[0].se & 0x8000) | (0x3ffc - pick(20)));
            c->fpu.r[in.sw >> 11 & 7] = in.st[0];
        }
        memcpy(mu, mh, sizeof(mu));
        memcpy(&a.q[0], mu, 8);
        if (x->size < 8 && x->kind == X87_LD)
            a.q[0] &= (1ull << 8 * x->size) - 1;
        if (x->size == 10)
            memcpy(&c->hv.w[4], mu + 8, 2);
        if (op == X87_FCMOV) {
            byte = 0xda;                        /* fcmove */
            a.q[0] = !cond;
        }
        hf = host_code(byte, modrm, mem)(&in, &out, mh, flags);
        x87_op(c, op | i << 8, &a, &res);
        if (store) {
            bool ok = op == X87_STSW || !c->hv.d[3];
            uint16_t hi = c->hv.w[4], sw = c->fpu.sw;

            if (op != X87_STSW) {
                x87_op(c, op | i << 8, &a, &res2);
                if (res2.q[0] != res.q[0] || sw != c->fpu.sw || hi != c->hv.w[4] || ok == (bool)c->hv.d[3])
                    what = "not repeatable";
            }
            if (ok)
                memcpy(mu, &res.q[0], x->size < 8 ? x->size : 8);
            if (ok && x->size == 10)
                memcpy(mu + 8, &hi, 2);
            if (pop_op != op)
                x87_op(c, pop_op, &a, &res);
            if (memcmp(mu, mh, 16)) {
                what = "memory";
                if (bad < 4)
                    fprintf(stderr, "stored: cpu %016llx us %016llx\n", *(unsigned long long *)mh,
                            *(unsigned long long *)mu);
            }
        } else if (x->kind == X87_FL) {
            if ((hf & FL_ARITH) != res.q[0])
                what = "flags";
        }
        if (fuzzy)
            ignore = X87_C1 | (op == X87_F2XM1 ? 0x10u : 0x30u);
        if ((out.sw ^ c->fpu.sw) & ~ignore)
            what = "status word";
        else if (out.tag != (uint8_t)c->fpu.tag)
            what = "tag";
        for (unsigned k = 0; k < 8 && !what; k++) {
            struct f80 u = c->fpu.r[((c->fpu.sw >> 11) + k) & 7];

            if (!(fuzzy ? near(u, out.st[k]) : same_reg(u, out.st[k])))
                what = "register";
        }
        if (what)
            bad = report(op, i, &in, &out, c, bad, what);
    }
    return bad;
}

/* Other makers' chips differ in operands that are no numbers any more (pseudo-denormals, unnormals), and in C1. */
static bool not_as_intel(unsigned op)
{
    unsigned max, b = 0, c, d;

    __get_cpuid(0, &max, &b, &c, &d);
    return b != signature_INTEL_ebx && (op == X87_FPREM || op == X87_FPREM1 || op == X87_FSCALE || op == X87_FSIN ||
                                        op == X87_FCOS || op == X87_FSINCOS || op == X87_FPTAN);
}

START_TEST(test_op)
{
    unsigned op = (unsigned)_i, rounds = 20000, bad;
    const char *env = getenv("X87_ROUNDS");

    if (op == X87_SETHI || op == X87_GETHI || op == X87_LDCW || op == X87_STCW || x87_info[op].kind == X87_POP)
        return;
    if (not_as_intel(op))
        return;
    if (env)
        rounds = (unsigned)strtoul(env, NULL, 0);
    seed += op;
    bad = run_op(op, rounds);
    ck_assert_msg(!bad, "%s: %u of %u differ", name[op], bad, rounds);
}
END_TEST
#endif

START_TEST(test_tags)
{
    struct x87 f = { .tag = 0x0f };

    f.r[0] = (struct f80){ .sig = 0, .se = 0x8000 };            /* zero */
    f.r[1] = (struct f80){ .sig = 1ull << 63, .se = 0x3fff };   /* valid */
    f.r[2] = (struct f80){ .sig = 1ull << 63, .se = 0x7fff };   /* special */
    f.r[3] = (struct f80){ .sig = 1, .se = 0 };                 /* special */
    ck_assert_uint_eq(x87_full_tag(&f), 0xffa1);
    for (unsigned k = 0; k < 1000; k++) {
        uint16_t tw = (uint16_t)rnd();

        x87_set_full_tag(&f, tw);
        for (unsigned n = 0; n < 8; n++)
            ck_assert_uint_eq(f.tag >> n & 1, (tw >> 2 * n & 3) != 3);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("x87");
    TCase *tc = tcase_create("x87");

    tcase_set_timeout(tc, 600);
    tcase_add_test(tc, test_tags);
#ifdef __x86_64__
    tcase_add_loop_test(tc, test_op, 0, X87_COUNT);
#endif
    suite_add_tcase(s, tc);
    return run_suite(s);
}
