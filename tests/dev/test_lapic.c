/*
 * test_lapic.c - local APICs through their registers and the message bus, without a CPU.
 */
#include <check.h>
#include <stdlib.h>

#include "hw/lapic.h"
#include "tests/dev/chipset_env.h"
#include "tests/run_suite.h"

#define REG(off) (LAPIC_BASE + (off))
#define ID 0x20
#define VER 0x30
#define TPR 0x80
#define PPR 0xa0
#define EOI 0xb0
#define LDR 0xd0
#define DFR 0xe0
#define SVR 0xf0
#define ISR 0x100
#define TMR 0x180
#define IRR 0x200
#define ESR 0x280
#define ICR 0x300
#define ICR2 0x310
#define LVTT 0x320
#define LINT0 0x350
#define LINT1 0x360
#define LVTE 0x370
#define TICR 0x380
#define TCCR 0x390
#define TDCR 0x3e0

static struct env *e;
static struct apics *a;
static unsigned eois;
static uint8_t last_eoi;

static uint32_t rd(uint32_t off)
{
    return env_read(e, REG(off));
}

static void wr(uint32_t off, uint32_t val)
{
    env_write(e, REG(off), val);
}

static void on_eoi(void *arg, uint8_t vector)
{
    eois++;
    last_eoi = vector;
}

static void start(unsigned cpus)
{
    e = env_new();
    a = apics_new(e->chips, e->phys, e->clock, &e->m, &env_lines, cpus, 40);
    apics_on_eoi(a, on_eoi, NULL);
    eois = 0;
    for (unsigned i = 0; i < cpus; i++) {
        e->current = i;
        wr(SVR, 0x1ff);
    }
    e->current = 0;
}

static void setup(void)
{
    start(4);
}

static void teardown(void)
{
    env_check_state(e);
    env_free(e);
}

static uint64_t msr(unsigned cpu, uint32_t n)
{
    uint64_t v = 0;

    ck_assert(!apics_rdmsr(a, cpu, n, &v));
    return v;
}

static void x2apic(unsigned cpu)
{
    ck_assert(!apics_wrmsr(a, cpu, 0x1b, msr(cpu, 0x1b) | 1u << 10));
}

static bool send(uint32_t dest, bool logical, enum apic_mode mode, uint8_t vector, bool level)
{
    struct apic_msg g = { .dest = dest, .logical = logical, .level = level, .mode = mode,
                          .vector = vector };

    return apics_send(a, &g);
}

START_TEST(reset_state)
{
    apics_rdmsr(a, 0, 0x1b, &(uint64_t){ 0 });
    chips_reset(e->chips);
    ck_assert_uint_eq(rd(VER), 0x01050014);
    ck_assert_uint_eq(rd(SVR), 0xff);
    ck_assert_uint_eq(rd(DFR), 0xffffffff);
    ck_assert_uint_eq(rd(LVTT), 0x10000);
    ck_assert_uint_eq(rd(LINT0), 0x10000);
    ck_assert_uint_eq(msr(0, 0x1b), 0xfee00900);
    ck_assert_uint_eq(msr(1, 0x1b), 0xfee00800);
    e->current = 2;
    ck_assert_uint_eq(rd(ID), 2u << 24);
    /* Software-disabled: masks cannot be cleared, fixed interrupts are not taken. */
    wr(LVTT, 0x30);
    ck_assert_uint_eq(rd(LVTT), 0x10030);
    send(2, false, APIC_FIXED, 0x40, false);
    ck_assert(!e->cpu[2].intr);
}
END_TEST

START_TEST(priorities)
{
    send(0, false, APIC_FIXED, 0x41, false);
    send(0, false, APIC_FIXED, 0x83, false);
    ck_assert(e->cpu[0].intr);
    ck_assert_uint_eq(rd(IRR + 0x40), 8);
    ck_assert_int_eq(apics_ack(a, 0), 0x83);
    ck_assert_uint_eq(rd(PPR), 0x80);
    ck_assert(!e->cpu[0].intr);                 /* 41h waits for 83h */
    send(0, false, APIC_FIXED, 0x8f, false);    /* same class: waits too */
    ck_assert(!e->cpu[0].intr);
    send(0, false, APIC_FIXED, 0x91, false);
    ck_assert(e->cpu[0].intr);
    ck_assert_int_eq(apics_ack(a, 0), 0x91);
    wr(EOI, 0);
    ck_assert(!e->cpu[0].intr);
    wr(EOI, 0);
    ck_assert_int_eq(apics_ack(a, 0), 0x8f);
    wr(EOI, 0);
    wr(TPR, 0x4f);
    ck_assert(!e->cpu[0].intr);                 /* class 4 is not above TPR class 4 */
    wr(TPR, 0x3f);
    ck_assert(e->cpu[0].intr);
    apics_cr8_set(a, 0, 4);
    ck_assert(!e->cpu[0].intr);
    ck_assert_uint_eq(rd(TPR), 0x40);
    ck_assert_uint_eq(apics_cr8_get(a, 0), 4);
    /* The request vanished before the acknowledge: spurious, and nothing in service. */
    ck_assert_int_eq(apics_ack(a, 0), 0xff);
    wr(TPR, 0);
    ck_assert_int_eq(apics_ack(a, 0), 0x41);
    ck_assert_uint_eq(rd(ISR + 0x20), 2);
    ck_assert_uint_eq(eois, 0);
}
END_TEST

START_TEST(level_eoi)
{
    send(0, false, APIC_FIXED, 0x51, true);
    ck_assert_uint_eq(rd(TMR + 0x20), 1u << 17);
    ck_assert_int_eq(apics_ack(a, 0), 0x51);
    wr(EOI, 0);
    ck_assert_uint_eq(eois, 1);
    ck_assert_uint_eq(last_eoi, 0x51);
    wr(SVR, 0x11ff);                            /* suppressed */
    send(0, false, APIC_FIXED, 0x51, true);
    apics_ack(a, 0);
    wr(EOI, 0);
    ck_assert_uint_eq(eois, 1);
}
END_TEST

START_TEST(ipis)
{
    wr(ICR2, 2u << 24);
    wr(ICR, 0x4000 | 0x30);
    ck_assert(e->cpu[2].intr && !e->cpu[0].intr && !e->cpu[1].intr);
    ck_assert_int_eq(apics_ack(a, 2), 0x30);
    wr(ICR, 0x4000 | 0x31 | 1 << 18);           /* self */
    ck_assert_int_eq(apics_ack(a, 0), 0x31);
    wr(ICR, 0x4000 | 0x41 | 2 << 18);           /* all */
    for (unsigned i = 0; i < 4; i++)
        ck_assert_int_eq(apics_ack(a, i), 0x41);
    wr(ICR, 0x4000 | 0x51 | 3 << 18);           /* all but self */
    ck_assert(!e->cpu[0].intr);
    for (unsigned i = 1; i < 4; i++)
        ck_assert_int_eq(apics_ack(a, i), 0x51);
    wr(ICR2, 1u << 24);
    wr(ICR, 0x4000 | 4 << 8);
    ck_assert_uint_eq(e->cpu[1].nmi, 1);
    wr(ICR, 0xc000 | 5 << 8);
    ck_assert_uint_eq(e->cpu[1].init, 1);
    wr(ICR, 0x8000 | 5 << 8);                   /* de-assert: nothing */
    ck_assert_uint_eq(e->cpu[1].init, 1);
    wr(ICR, 0x4000 | 6 << 8 | 0x9a);
    ck_assert_uint_eq(e->cpu[1].sipi, 1);
    ck_assert_uint_eq(e->cpu[1].sipi_vector, 0x9a);
    wr(ICR2, 0xffu << 24);                      /* broadcast by destination */
    wr(ICR, 0x4000 | 0x61);
    for (unsigned i = 0; i < 4; i++)
        ck_assert(e->cpu[i].intr);
}
END_TEST

START_TEST(logical)
{
    for (unsigned i = 0; i < 4; i++) {
        e->current = i;
        wr(LDR, 1u << (24 + i));
    }
    ck_assert(send(0x0a, true, APIC_FIXED, 0x33, false));
    ck_assert(!e->cpu[0].intr && e->cpu[1].intr && !e->cpu[2].intr && e->cpu[3].intr);
    for (unsigned i = 0; i < 4; i++) {          /* clusters of two */
        e->current = i;
        wr(DFR, 0x0fffffff);
        wr(LDR, (i / 2) << 28 | 1u << (24 + i % 2));
    }
    ck_assert(send(0x11, true, APIC_FIXED, 0x63, false));
    ck_assert_int_eq(apics_ack(a, 2), 0x63);
    ck_assert(!send(0x28, true, APIC_FIXED, 0x63, false));
}
END_TEST

START_TEST(lowest_priority)
{
    for (unsigned i = 0; i < 4; i++) {
        e->current = i;
        wr(LDR, 1u << (24 + i));
        wr(TPR, i == 2 ? 0x10 : 0x20);
    }
    send(0x0f, true, APIC_LOWEST, 0x70, false);
    ck_assert(!e->cpu[0].intr && !e->cpu[1].intr && e->cpu[2].intr && !e->cpu[3].intr);
    ck_assert_int_eq(apics_ack(a, 2), 0x70);
    /* CPU 2 is busy now: the others in turn. */
    send(0x0f, true, APIC_LOWEST, 0x71, false);
    send(0x0f, true, APIC_LOWEST, 0x72, false);
    send(0x0f, true, APIC_LOWEST, 0x73, false);
    ck_assert(e->cpu[0].intr && e->cpu[1].intr && e->cpu[3].intr);
    apics_msi(a, 0xfee0000c | 0x0f << 12, 0x74);        /* logical, redirectable */
}
END_TEST

START_TEST(errors)
{
    wr(LVTE, 0xe0);
    wr(ICR2, 0);
    wr(ICR, 0x4005);
    ck_assert_int_eq(apics_ack(a, 0), 0xe0);
    ck_assert_uint_eq(rd(ESR), 0);              /* only a write moves it there */
    wr(ESR, 0);
    ck_assert_uint_eq(rd(ESR), 0x20);
    send(0, false, APIC_FIXED, 3, false);
    rd(0x3a0);
    wr(ESR, 0);
    ck_assert_uint_eq(rd(ESR), 0xc0);
    wr(ESR, 0);
    ck_assert_uint_eq(rd(ESR), 0);
    wr(LVTE, 0x05);                             /* the error's own vector is illegal */
    wr(ICR, 0x4005);
}
END_TEST

START_TEST(virtual_wire)
{
    apics_lint0(a, 0, true);
    ck_assert(!e->cpu[0].intr);                 /* masked */
    apics_virtual_wire(a);
    ck_assert(e->cpu[0].intr && !e->cpu[1].intr);
    ck_assert_int_eq(apics_ack(a, 0), -1);      /* the 8259 has the vector */
    ck_assert(e->cpu[0].intr);                  /* and drops its line itself */
    apics_lint0(a, 0, false);
    ck_assert(!e->cpu[0].intr);
    apics_lint1(a, 0, true);
    ck_assert_uint_eq(e->cpu[0].nmi, 1);
    apics_lint1(a, 0, false);
    /* Disabled altogether: the pin is the processor's INTR. */
    ck_assert(!apics_wrmsr(a, 0, 0x1b, 0xfee00100));
    ck_assert_uint_eq(rd(SVR), 0xffffffff);
    apics_lint0(a, 0, true);
    ck_assert(e->cpu[0].intr);
    ck_assert_int_eq(apics_ack(a, 0), -1);
    apics_lint0(a, 0, false);
    ck_assert(!apics_wrmsr(a, 0, 0x1b, 0xfee00900));
    wr(SVR, 0x1ff);
    /* LINT0 as a level-triggered fixed interrupt: again after EOI while the pin is high. */
    wr(LINT0, 0x8000 | 0x57);
    apics_lint0(a, 0, true);
    ck_assert_int_eq(apics_ack(a, 0), 0x57);
    ck_assert_uint_eq(rd(LINT0), 0xc057);
    ck_assert(!e->cpu[0].intr);
    wr(EOI, 0);
    ck_assert_int_eq(apics_ack(a, 0), 0x57);
    apics_lint0(a, 0, false);
    wr(EOI, 0);
    ck_assert(!e->cpu[0].intr);
}
END_TEST

START_TEST(timer_oneshot)
{
    wr(TDCR, 0xb);                              /* divide by 1 */
    wr(LVTT, 0x30);
    wr(TICR, 1000);
    clock_advance(e->clock, 400);
    ck_assert_uint_eq(rd(TCCR), 600);
    ck_assert(!e->cpu[0].intr);
    clock_advance(e->clock, 600);
    ck_assert_int_eq(apics_ack(a, 0), 0x30);
    ck_assert_uint_eq(rd(TCCR), 0);
    wr(EOI, 0);
    clock_advance(e->clock, 5000);
    ck_assert(!e->cpu[0].intr);
    wr(TDCR, 0x3);                              /* 16 */
    wr(TICR, 1000);
    clock_advance(e->clock, 8000);
    ck_assert_uint_eq(rd(TCCR), 500);
    wr(TDCR, 0x0);                              /* 2, from where it is */
    ck_assert_uint_eq(rd(TCCR), 500);
    clock_advance(e->clock, 999);
    ck_assert(!e->cpu[0].intr);
    clock_advance(e->clock, 1);
    ck_assert(e->cpu[0].intr);
    apics_ack(a, 0);
    wr(EOI, 0);
    wr(TICR, 1000);
    wr(TICR, 0);                                /* stops it */
    clock_advance(e->clock, 1000000);
    ck_assert(!e->cpu[0].intr);
}
END_TEST

START_TEST(timer_periodic)
{
    wr(TDCR, 0xb);
    wr(LVTT, 0x20030);
    wr(TICR, 100000);
    for (unsigned i = 0; i < 5; i++) {
        clock_advance(e->clock, 99999);
        ck_assert(!e->cpu[0].intr);
        clock_advance(e->clock, 1);
        ck_assert_int_eq(apics_ack(a, 0), 0x30);
        wr(EOI, 0);
    }
    clock_advance(e->clock, 30000);
    ck_assert_uint_eq(rd(TCCR), 70000);
    wr(LVTT, 0x30030);
    clock_advance(e->clock, 70000);
    ck_assert(!e->cpu[0].intr);                 /* masked: lost */
    wr(LVTT, 0x20030);
    clock_advance(e->clock, 100000);
    ck_assert(e->cpu[0].intr);
    apics_ack(a, 0);
    wr(EOI, 0);
    wr(TICR, 1);                                /* absurdly short: bounded work */
    clock_advance(e->clock, 1000000000);
    ck_assert(e->cpu[0].intr);
}
END_TEST

START_TEST(timer_deadline)
{
    uint64_t tsc = clock_tsc(e->clock);

    wr(LVTT, 0x30);
    apics_wrmsr(a, 0, 0x6e0, tsc + 100);
    ck_assert_uint_eq(msr(0, 0x6e0), 0);        /* not in that mode */
    wr(LVTT, 0x40030);
    apics_wrmsr(a, 0, 0x6e0, tsc + 1000);
    ck_assert_uint_eq(msr(0, 0x6e0), tsc + 1000);
    clock_advance(e->clock, 999);
    ck_assert(!e->cpu[0].intr);
    clock_advance(e->clock, 1);
    ck_assert_int_eq(apics_ack(a, 0), 0x30);
    ck_assert_uint_eq(msr(0, 0x6e0), 0);
    wr(EOI, 0);
    apics_wrmsr(a, 0, 0x6e0, 1);                /* past: at once */
    clock_advance(e->clock, 0);
    ck_assert(e->cpu[0].intr);
    apics_ack(a, 0);
    wr(EOI, 0);
    apics_wrmsr(a, 0, 0x6e0, UINT64_MAX);
    clock_advance(e->clock, 1000000000);
    ck_assert(!e->cpu[0].intr);
    apics_wrmsr(a, 0, 0x6e0, 0);
    ck_assert_uint_eq(msr(0, 0x6e0), 0);
    /* The guest's TSC is behind ours. */
    e->cpu[1].tsc_offset = -5000;
    e->current = 1;
    wr(LVTT, 0x40031);
    apics_wrmsr(a, 1, 0x6e0, clock_tsc(e->clock) - 5000 + 200);
    clock_advance(e->clock, 199);
    ck_assert(!e->cpu[1].intr);
    clock_advance(e->clock, 1);
    ck_assert(e->cpu[1].intr);
    /* Leaving the mode disarms. */
    apics_ack(a, 1);
    wr(EOI, 0);
    apics_wrmsr(a, 1, 0x6e0, clock_tsc(e->clock));
    wr(LVTT, 0x31);
    clock_advance(e->clock, 100000);
    ck_assert(!e->cpu[1].intr);
}
END_TEST

START_TEST(base_msr)
{
    uint64_t v;

    ck_assert(apics_wrmsr(a, 0, 0x1b, 0xfee00400));             /* EXTD without EN */
    ck_assert(apics_wrmsr(a, 0, 0x1b, 0xfee00900 | 1));         /* reserved */
    ck_assert(apics_wrmsr(a, 0, 0x1b, 0xfee00900 | 1ull << 40));
    ck_assert(apics_rdmsr(a, 0, 0x802, &v));                    /* not in x2APIC mode */
    x2apic(0);
    ck_assert_uint_eq(msr(0, 0x1b), 0xfee00d00);
    ck_assert_uint_eq(rd(ID), 0xffffffff);                      /* the window is gone */
    ck_assert(apics_wrmsr(a, 0, 0x1b, 0xfee00900));             /* no way back to xAPIC */
    ck_assert(!apics_wrmsr(a, 0, 0x1b, 0xfee00100));
    ck_assert(apics_wrmsr(a, 0, 0x1b, 0xfee00d00));             /* nor from disabled to x2APIC */
    ck_assert(!apics_wrmsr(a, 0, 0x1b, 0xfee00900));
    ck_assert_uint_eq(rd(SVR), 0xff);                           /* as after reset */
}
END_TEST

START_TEST(x2apic_msrs)
{
    uint64_t v;

    for (unsigned i = 0; i < 4; i++)
        x2apic(i);
    ck_assert_uint_eq(msr(3, 0x802), 3);
    ck_assert_uint_eq(msr(3, 0x80d), 8);
    ck_assert_uint_eq(msr(3, 0x803), 0x01050014);
    ck_assert(apics_wrmsr(a, 0, 0x802, 0) && apics_wrmsr(a, 0, 0x80d, 0) && apics_wrmsr(a, 0, 0x80a, 0));
    ck_assert(apics_rdmsr(a, 0, 0x80b, &v) && apics_rdmsr(a, 0, 0x80e, &v) && apics_rdmsr(a, 0, 0x831, &v));
    ck_assert(apics_rdmsr(a, 0, 0x83f, &v) && apics_rdmsr(a, 0, 0x82f, &v) && apics_rdmsr(a, 0, 0x8ff, &v));
    ck_assert(apics_wrmsr(a, 0, 0x80b, 1) && apics_wrmsr(a, 0, 0x828, 1) && apics_wrmsr(a, 0, 0x808, 0x100));
    ck_assert(apics_wrmsr(a, 0, 0x832, 1u << 20));
    ck_assert(!apics_wrmsr(a, 0, 0x828, 0));
    ck_assert(!apics_wrmsr(a, 0, 0x830, 2ull << 32 | 0x4000 | 0x55));
    ck_assert_int_eq(apics_ack(a, 2), 0x55);
    ck_assert_uint_eq(msr(0, 0x830), 2ull << 32 | 0x4000 | 0x55);
    ck_assert(!apics_wrmsr(a, 2, 0x80b, 0));
    ck_assert_uint_eq(msr(2, 0x812), 0);
    ck_assert(!apics_wrmsr(a, 1, 0x83f, 0x66));                 /* self IPI */
    ck_assert_int_eq(apics_ack(a, 1), 0x66);
    ck_assert(!apics_wrmsr(a, 0, 0x830, 0xffffffffull << 32 | 0x77));
    for (unsigned i = 0; i < 4; i++)
        ck_assert(e->cpu[i].intr);
}
END_TEST

START_TEST(x2apic_clusters)
{
    env_free(e);
    start(20);
    for (unsigned i = 0; i < 20; i++)
        x2apic(i);
    ck_assert_uint_eq(msr(18, 0x80d), 1u << 16 | 4);
    ck_assert(!apics_wrmsr(a, 0, 0x830, (1ull << 16 | 0xa) << 32 | 0x800 | 0x99));
    for (unsigned i = 0; i < 20; i++)
        ck_assert(e->cpu[i].intr == (i == 17 || i == 19));
}
END_TEST

START_TEST(init_keeps_mode)
{
    x2apic(1);
    apics_wrmsr(a, 1, 0x808, 0x30);
    send(1, false, APIC_FIXED, 0x99, false);
    ck_assert(e->cpu[1].intr);
    apics_init(a, 1);
    ck_assert(!e->cpu[1].intr);
    ck_assert_uint_eq(msr(1, 0x1b), 0xfee00c00);
    ck_assert_uint_eq(msr(1, 0x808), 0);
    ck_assert_uint_eq(msr(1, 0x80f), 0xff);
}
END_TEST

START_TEST(window_moves)
{
    env_free(e);
    start(1);
    ck_assert(!apics_wrmsr(a, 0, 0x1b, 0xfeb00900));
    ck_assert_uint_eq(env_read(e, 0xfeb00030), 0x01050014);
    ck_assert_uint_eq(rd(VER), 0xffffffff);
    chips_reset(e->chips);
    ck_assert_uint_eq(rd(VER), 0x01050014);
    /* A device's write into the page is an MSI. */
    wr(SVR, 0x1ff);
    e->current = -1;
    env_write(e, LAPIC_BASE, 0x45);
    ck_assert_int_eq(apics_ack(a, 0), 0x45);
    e->current = 0;
}
END_TEST

int main(void)
{
    Suite *s = suite_create("lapic");
    TCase *t = tcase_create("lapic");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, reset_state);
    tcase_add_test(t, priorities);
    tcase_add_test(t, level_eoi);
    tcase_add_test(t, ipis);
    tcase_add_test(t, logical);
    tcase_add_test(t, lowest_priority);
    tcase_add_test(t, errors);
    tcase_add_test(t, virtual_wire);
    tcase_add_test(t, timer_oneshot);
    tcase_add_test(t, timer_periodic);
    tcase_add_test(t, timer_deadline);
    tcase_add_test(t, base_msr);
    tcase_add_test(t, x2apic_msrs);
    tcase_add_test(t, x2apic_clusters);
    tcase_add_test(t, init_keeps_mode);
    tcase_add_test(t, window_moves);
    suite_add_tcase(s, t);
    return run_suite(s);
}
