/*
 * test_hpet.c - HPET registers, one-shot and periodic comparators, legacy replacement.
 */
#include <check.h>

#include "hw/hpet.h"
#include "tests/dev/chipset_env.h"
#include "tests/run_suite.h"

#define CONFIG 0x10
#define STATUS 0x20
#define COUNT 0xf0
#define TCONF(n) (0x100 + 0x20 * (n))
#define TCMP(n) (0x108 + 0x20 * (n))

/* Lines of the environment: n for I/O APIC input n, these for the ISA lines. */
enum { IRQ0 = 40, IRQ8 = 41 };

static struct env *e;
static struct hpet *h;

static uint64_t rd(unsigned off)
{
    return phys_io_read(e->phys, HPET_BASE + off, 8);
}

static void wr(unsigned off, uint64_t val)
{
    phys_io_write(e->phys, HPET_BASE + off, val, 8);
}

static void setup(void)
{
    struct hpet_lines l;

    e = env_new();
    l = (struct hpet_lines){ env_line(e, 0), env_line(e, IRQ0), env_line(e, IRQ8) };
    h = hpet_new(e->chips, e->phys, HPET_BASE, e->clock, &l);
}

static void teardown(void)
{
    env_check_state(e);
    env_free(e);
}

START_TEST(counter)
{
    ck_assert_uint_eq(rd(0), 10000000ull << 32 | 0x8086a201);
    clock_advance(e->clock, 1000);
    ck_assert_uint_eq(rd(COUNT), 0);            /* halted */
    wr(CONFIG, 1);
    clock_advance(e->clock, 1000);
    ck_assert_uint_eq(rd(COUNT), 100);
    ck_assert_uint_eq(env_read(e, HPET_BASE + COUNT), 100);
    wr(CONFIG, 0);
    clock_advance(e->clock, 1000);
    ck_assert_uint_eq(rd(COUNT), 100);
    wr(COUNT, UINT64_MAX - 1);
    wr(CONFIG, 1);
    clock_advance(e->clock, 30);
    ck_assert_uint_eq(rd(COUNT), 1);            /* wrapped */
    env_write(e, HPET_BASE + COUNT + 4, 5);     /* halves */
    ck_assert_uint_eq(rd(COUNT), 5ull << 32 | 1);
    ck_assert_uint_eq(rd(TCONF(0)) >> 32, 0x00f00004);
    ck_assert_uint_eq(rd(TCONF(0)) & 0xffff, 0x30);
    wr(TCONF(0), 3u << 9);                      /* not a route it has */
    ck_assert_uint_eq(rd(TCONF(0)) >> 9 & 31, 0);
    ck_assert_uint_eq(rd(0x180), 0);            /* no fourth comparator */
}
END_TEST

START_TEST(oneshot)
{
    wr(CONFIG, 1);
    wr(TCONF(1), 21u << 9 | 4);
    wr(TCMP(1), 1000);
    clock_advance(e->clock, 9999);
    ck_assert_uint_eq(e->edges[21], 0);
    clock_advance(e->clock, 1);
    ck_assert_uint_eq(e->edges[21], 1);
    ck_assert(!e->line[21]);
    clock_advance(e->clock, 1000000);
    ck_assert_uint_eq(e->edges[21], 1);
    /* Level-triggered: high until the status bit is cleared. */
    wr(TCONF(2), 22u << 9 | 4 | 2);
    wr(TCMP(2), rd(COUNT) + 10);
    clock_advance(e->clock, 100);
    ck_assert(e->line[22]);
    ck_assert_uint_eq(rd(STATUS), 4);
    wr(STATUS, 3);
    ck_assert(e->line[22]);
    wr(STATUS, 4);
    ck_assert(!e->line[22]);
    /* A comparator set behind the counter waits for the wrap: 2^32 counts in 32-bit mode. */
    wr(TCONF(1), 21u << 9 | 4 | 0x100);
    wr(TCMP(1), rd(COUNT) - 1);
    clock_advance(e->clock, 42949672960ull - 20);
    ck_assert_uint_eq(e->edges[21], 1);
    clock_advance(e->clock, 20);
    ck_assert_uint_eq(e->edges[21], 2);
}
END_TEST

START_TEST(periodic)
{
    wr(CONFIG, 3);                              /* legacy replacement: timer 0 on IRQ 0 */
    wr(TCONF(0), 4 | 8 | 0x40);
    wr(TCMP(0), 5000);                          /* first match */
    wr(TCMP(0), 2000);                          /* then every 2000 */
    ck_assert_uint_eq(rd(TCMP(0)), 5000);
    clock_advance(e->clock, 49990);
    ck_assert_uint_eq(e->edges[IRQ0], 0);
    clock_advance(e->clock, 10);
    ck_assert_uint_eq(e->edges[IRQ0], 1);
    ck_assert_uint_eq(rd(TCMP(0)), 7000);
    clock_advance(e->clock, 200000);
    ck_assert_uint_eq(e->edges[IRQ0], 11);
    wr(TCONF(1), 4 | 8 | 0x40);                 /* timer 1 on IRQ 8, absurdly short */
    wr(TCMP(1), rd(COUNT) + 1);
    wr(TCMP(1), 1);
    clock_advance(e->clock, 100000);
    ck_assert_uint_le(e->edges[IRQ8], 12);
    ck_assert_uint_ge(e->edges[IRQ8], 9);
}
END_TEST

START_TEST(legacy)
{
    struct irq pit = hpet_pit_in(h), rtc = hpet_rtc_in(h);

    irq_set(&pit, true);
    ck_assert(e->line[IRQ0]);
    irq_set(&rtc, true);
    ck_assert(e->line[IRQ8]);
    wr(CONFIG, 2);
    ck_assert(!e->line[IRQ0] && !e->line[IRQ8]);
    irq_set(&pit, false);
    irq_set(&pit, true);
    ck_assert(!e->line[IRQ0]);
    wr(CONFIG, 0);
    ck_assert(e->line[IRQ0] && e->line[IRQ8]);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("hpet");
    TCase *t = tcase_create("hpet");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, counter);
    tcase_add_test(t, oneshot);
    tcase_add_test(t, periodic);
    tcase_add_test(t, legacy);
    suite_add_tcase(s, t);
    return run_suite(s);
}
