/*
 * test_ioapic.c - the I/O APIC with local APICs behind it.
 */
#include <check.h>

#include "hw/ioapic.h"
#include "tests/dev/chipset_env.h"
#include "tests/run_suite.h"

static struct env *e;
static struct apics *a;
static struct ioapic *io;

static uint32_t rd(unsigned reg)
{
    env_write(e, IOAPIC_BASE, reg);
    return env_read(e, IOAPIC_BASE + 0x10);
}

static void wr(unsigned reg, uint32_t val)
{
    env_write(e, IOAPIC_BASE, reg);
    env_write(e, IOAPIC_BASE + 0x10, val);
}

static void red(unsigned pin, uint64_t val)
{
    wr(0x11 + 2 * pin, val >> 32);
    wr(0x10 + 2 * pin, val);
}

static void eoi(void)
{
    env_write(e, LAPIC_BASE + 0xb0, 0);
}

static void setup(void)
{
    e = env_new();
    a = apics_new(e->chips, e->phys, e->clock, &e->m, &env_lines, 2, 40);
    io = ioapic_new(e->chips, e->phys, IOAPIC_BASE, a, 3);
    for (int i = 1; i >= 0; i--) {
        e->current = i;
        env_write(e, LAPIC_BASE + 0xf0, 0x1ff);
    }
}

static void teardown(void)
{
    env_check_state(e);
    env_free(e);
}

START_TEST(registers)
{
    ck_assert_uint_eq(rd(0), 3u << 24);
    ck_assert_uint_eq(rd(1), 0x00170020);
    wr(0, 0xff000000);
    ck_assert_uint_eq(rd(0), 0x0f000000);
    for (unsigned i = 0; i < IOAPIC_PINS; i++)
        ck_assert_uint_eq(rd(0x10 + 2 * i), 0x10000);
    red(5, UINT64_MAX);
    ck_assert_uint_eq(rd(0x1a), 0x1afff);       /* delivery status and Remote IRR stay 0 */
    ck_assert_uint_eq(rd(0x1b), 0xff000000);
    wr(0x1a, 0x10000);
    ck_assert_uint_eq(rd(0x1b), 0xff000000);
    ck_assert_uint_eq(rd(0x40), 0);             /* behind the last entry */
    wr(0xff, 1);
}
END_TEST

START_TEST(edge)
{
    red(4, 0x34);
    ioapic_set(io, 4, true);
    ck_assert_int_eq(apics_ack(a, 0), 0x34);
    eoi();
    ck_assert(!e->cpu[0].intr);                 /* still high: no new edge */
    ioapic_set(io, 4, true);
    ck_assert(!e->cpu[0].intr);
    ioapic_set(io, 4, false);
    ioapic_set(io, 4, true);
    ck_assert_int_eq(apics_ack(a, 0), 0x34);
    eoi();
    red(4, 0x10034);                            /* masked edges are lost */
    ioapic_set(io, 4, false);
    ioapic_set(io, 4, true);
    red(4, 0x34);
    ck_assert(!e->cpu[0].intr);
    red(7, 1ull << 56 | 0x44);                  /* to CPU 1 */
    ioapic_set(io, 7, true);
    ck_assert(e->cpu[1].intr && !e->cpu[0].intr);
}
END_TEST

START_TEST(level)
{
    red(9, 0x8059);
    ioapic_set(io, 9, true);
    ck_assert_uint_eq(rd(0x22), 0xc059);
    ck_assert_int_eq(apics_ack(a, 0), 0x59);
    ck_assert(!e->cpu[0].intr);
    eoi();                                      /* still high: again */
    ck_assert_int_eq(apics_ack(a, 0), 0x59);
    ioapic_set(io, 9, false);
    eoi();
    ck_assert(!e->cpu[0].intr);
    ck_assert_uint_eq(rd(0x22), 0x8059);
    ioapic_set(io, 9, true);
    ck_assert_int_eq(apics_ack(a, 0), 0x59);
    ioapic_set(io, 9, false);
    env_write(e, IOAPIC_BASE + 0x40, 0x58);     /* another vector */
    ck_assert_uint_eq(rd(0x22), 0xc059);
    env_write(e, IOAPIC_BASE + 0x40, 0x59);
    ck_assert_uint_eq(rd(0x22), 0x8059);
    eoi();
    red(9, 0x18059);                            /* masked level: seen when unmasked */
    ioapic_set(io, 9, true);
    ck_assert(!e->cpu[0].intr);
    red(9, 0x8059);
    ck_assert(e->cpu[0].intr);
    red(9, 0x10059);                            /* edge mode clears Remote IRR */
    red(9, 0x18059);
    ck_assert_uint_eq(rd(0x22), 0x18059);
}
END_TEST

START_TEST(modes)
{
    red(1, 0x400);
    ioapic_set(io, 1, true);
    ck_assert_uint_eq(e->cpu[0].nmi, 1);
    red(2, 0x500 | 1ull << 56);
    ioapic_set(io, 2, true);
    ck_assert_uint_eq(e->cpu[1].init, 1);
    red(0, 0x700);                              /* ExtINT: the 8259 has the vector */
    ioapic_set(io, 0, true);
    ck_assert(e->cpu[0].intr);
    ck_assert_int_eq(apics_ack(a, 0), -1);
    ck_assert(!e->cpu[0].intr);
    red(3, 0x300);                              /* reserved */
    ioapic_set(io, 3, true);
    red(20, 0x8000 | 0x5a | 9ull << 56);        /* nobody there: not in service for ever */
    ioapic_set(io, 20, true);
    ck_assert_uint_eq(rd(0x38), 0x805a);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("ioapic");
    TCase *t = tcase_create("ioapic");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, registers);
    tcase_add_test(t, edge);
    tcase_add_test(t, level);
    tcase_add_test(t, modes);
    suite_add_tcase(s, t);
    return run_suite(s);
}
