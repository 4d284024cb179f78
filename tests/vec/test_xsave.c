/*
 * test_xsave.c - FXSAVE, FXRSTOR, XSAVE and XRSTOR against the host: the same
 * random image is restored and saved again natively and by the helpers; and the
 * faults the manual lists.
 */
#include <check.h>
#ifdef __x86_64__
#include <cpuid.h>
#endif
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/cpu_model.h"
#include "frontend/help.h"
#include "hw/machine.h"
#include "softmmu/softmmu.h"
#include "tests/run_suite.h"

#define RAM (1u << 20)
#define IMAGE 0x10000u
#define OUT   0x20000u
#define AREA  576u

static struct {
    struct cpu *c;
    struct cpu_model *model;
    uint8_t *ram;
    pthread_mutex_t lock;
    uint64_t seed;
} g = { .seed = 12345 };

/* The helpers look at the mode word only; restores recompute it from the other state. */
static void long_mode(struct cpu *c)
{
    c->mode = M_CODE64 | M_PE | MMU_KERNEL << M_MMU_SHIFT;
}

static void boot(void)
{
    static struct machine m;
    struct cpu *c = aligned_alloc(4096, (sizeof(*c) + 4095) & ~(size_t)4095);

    memset(c, 0, sizeof(*c));
    g.c = c;
    pthread_mutex_init(&g.lock, NULL);
    m.phys = phys_new(&g.lock);
    g.ram = phys_ram_alloc(m.phys, RAM);
    m.ram = g.ram;
    phys_map_ram(m.phys, 0, RAM, g.ram, false, "ram");
    phys_set_a20(m.phys, true);
    m.cpu = &g.c;
    m.ncpu = 1;
    c->m = &m;
    ck_assert_ptr_null(cpu_model_parse(NULL, &g.model));
    c->model = g.model;
    mmu_init(c);
    cpu_reset(c, false);
    c->a20 = 1;
    c->cr0 = CR0_PE | CR0_MP | CR0_NE | CR0_ET;
    c->cr4 = CR4_OSFXSR | CR4_OSXSAVE;
    c->xcr0 = 3;
    long_mode(c);
}

#if defined(__x86_64__)

static uint64_t rnd(void)
{
    g.seed = g.seed * UINT64_C(6364136223846793005) + 1442695040888963407;
    return g.seed >> 11 ^ g.seed << 30;
}

/* A random legacy area as FXSAVE could have written it. */
static void random_image(uint8_t *p)
{
    for (unsigned n = 0; n < AREA; n += 8) {
        uint64_t v = rnd();

        memcpy(p + n, &v, 8);
    }
    p[1] &= 0x1f;
    p[5] = 0;
    p[7] &= 7;
    p[25] = (uint8_t)(p[25] & 0x7f);
    memset(p + 26, 0, 2);
    p[1] |= 3;                          /* mask all x87 exceptions, so that nothing is pending */
    p[0] |= 0x3f;
    p[2] &= 0x7f;
    p[3] &= 0x7f;
    for (unsigned n = 0; n < 8; n++)
        memset(p + 32 + 16 * n + 10, 0, 6);
    memset(p + 512, 0, 64);
}

/* Bytes of the x87 and SSE components, FIP/FDP only as far as both sides keep them. */
static void same(const uint8_t *ours, const uint8_t *host)
{
    unsigned max, b = 0, c, d;

    /* AMD's chips save FOP only while an exception is pending. */
    __get_cpuid(0, &max, &b, &c, &d);
    ck_assert_mem_eq(ours, host, b == signature_INTEL_ebx ? 8 : 6);
    ck_assert_mem_eq(ours + 24, host + 24, 4);          /* behind it is MXCSR_MASK, which is the model's */
    ck_assert_mem_eq(ours + 32, host + 32, 416 - 32);
}

START_TEST(test_fx)
{
    struct cpu *c = g.c;
    uint8_t host[512] __attribute__((aligned(64))), keep[512] __attribute__((aligned(64)));

    for (unsigned n = 0; n < 2000; n++) {
        random_image(g.ram + IMAGE);
        memcpy(host, g.ram + IMAGE, 512);
        __asm__ volatile("fxsave64 %0" : "=m"(keep));
        __asm__ volatile("fxrstor64 %0\n\tfxsave64 %0\n\tfxrstor64 %1" : "+m"(host) : "m"(keep) : "memory");
        ck_assert(!help_fxrstor(c, IMAGE, 1));
        long_mode(c);
        ck_assert(!help_fxsave(c, OUT, 1));
        same(g.ram + OUT, host);
    }
}
END_TEST

START_TEST(test_xs)
{
    struct cpu *c = g.c;
    uint8_t host[1024] __attribute__((aligned(64))), keep[512] __attribute__((aligned(64)));
    uint8_t first[AREA] __attribute__((aligned(64)));

    for (unsigned n = 0; n < 2000; n++) {
        unsigned rfbm = (unsigned)rnd() & 3, bv = (unsigned)rnd() & 3;

        memset(host, 0, sizeof(host));
        random_image(first);
        random_image(g.ram + IMAGE);
        g.ram[IMAGE + 512] = (uint8_t)bv;
        memcpy(host, g.ram + IMAGE, AREA);
        __asm__ volatile("fxsave64 %0" : "=m"(keep));
        __asm__ volatile("fxrstor64 %1\n\txrstor64 %0\n\tfxsave64 %0\n\tfxrstor64 %2"
                         : "+m"(host) : "m"(first), "m"(keep), "a"(rfbm), "d"(0) : "memory");
        memcpy(g.ram + OUT, first, 512);
        long_mode(c);
        ck_assert(!help_fxrstor(c, OUT, 1));
        long_mode(c);
        c->r[R_AX] = rfbm;
        c->r[R_DX] = 0;
        ck_assert(!help_xrstor(c, IMAGE, 1));
        long_mode(c);
        ck_assert(!help_fxsave(c, OUT, 1));
        same(g.ram + OUT, host);

        /* Only the requested components are written, and the header says so. */
        memset(g.ram + OUT, 0xaa, AREA);
        g.ram[OUT + 512] = 0;
        memset(g.ram + OUT + 513, 0, 63);
        ck_assert(!help_xsave(c, OUT, 1));
        ck_assert_uint_eq(g.ram[OUT + 512], rfbm);
        ck_assert_int_eq(g.ram[OUT + 160] == 0xaa && g.ram[OUT + 175] == 0xaa, !(rfbm & 2));
        ck_assert_int_eq(g.ram[OUT + 5] == 0xaa, !(rfbm & 1));
    }
}
END_TEST

#endif

START_TEST(test_faults)
{
    struct cpu *c = g.c;

    ck_assert(help_fxsave(c, OUT + 8, 0));
    ck_assert_uint_eq(c->fault.vector, EXC_GP);
    ck_assert(help_xsave(c, OUT + 16, 0));
    ck_assert_uint_eq(c->fault.vector, EXC_GP);
    memset(g.ram + IMAGE, 0, AREA);
    g.ram[IMAGE + 26] = 1;              /* reserved MXCSR bit */
    ck_assert(help_fxrstor(c, IMAGE, 0));
    ck_assert_uint_eq(c->fault.vector, EXC_GP);
    g.ram[IMAGE + 26] = 0;
    g.ram[IMAGE + 512] = 4;             /* component not in XCR0 */
    c->r[R_AX] = 3;
    ck_assert(help_xrstor(c, IMAGE, 0));
    ck_assert_uint_eq(c->fault.vector, EXC_GP);
    c->cr0 |= CR0_TS;
    ck_assert(help_fxsave(c, OUT, 0));
    ck_assert_uint_eq(c->fault.vector, EXC_NM);
    c->cr0 ^= CR0_TS | CR0_EM;
    ck_assert(help_fxsave(c, OUT, 0));
    ck_assert_uint_eq(c->fault.vector, EXC_UD);
    c->cr0 &= ~(uint64_t)CR0_EM;
    ck_assert(help_ldmxcsr(c, 0x10000));
    ck_assert_uint_eq(c->fault.vector, EXC_GP);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("xsave");
    TCase *t = tcase_create("xsave");

    tcase_add_unchecked_fixture(t, boot, NULL);
#if defined(__x86_64__)
    tcase_add_test(t, test_fx);
    tcase_add_test(t, test_xs);
#endif
    tcase_add_test(t, test_faults);
    suite_add_tcase(s, t);
    return run_suite(s);
}
