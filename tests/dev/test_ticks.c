/*
 * test_ticks.c - no tick of a periodic source is lost where the processor takes interrupts late, or timers
 * fire late: every source behind every controller it reaches, wired as on a board.
 *
 * Each experiment lets periods end while nobody acknowledges, and then counts what is taken.
 */
#include <check.h>
#include <stdlib.h>

#include "hw/hpet.h"
#include "hw/ioapic.h"
#include "hw/pic.h"
#include "hw/pit.h"
#include "hw/rtc.h"
#include "tests/dev/chipset_env.h"
#include "tests/run_suite.h"

#define MS 1000000ull
#define LAPIC(off) (LAPIC_BASE + (off))
#define SVR 0xf0
#define EOI 0xb0
#define LINT0 0x350
#define LVTT 0x320
#define TICR 0x380
#define TDCR 0x3e0
#define HPET_CONFIG (HPET_BASE + 0x10)
#define HPET_COUNT (HPET_BASE + 0xf0)
#define HPET_TCONF(n) (HPET_BASE + 0x100 + 0x20 * (n))
#define HPET_TCMP(n) (HPET_BASE + 0x108 + 0x20 * (n))
#define T_ON (1u << 2)
#define T_PERIODIC (1u << 3)
#define T_SET (1u << 6)
#define T_32 (1u << 8)
#define MASKED 0x10000u

static struct env *e;
static struct apics *a;
static struct ioapic *io;
static struct pic *pic;

/* ISA IRQs 0 and 8, as board_micro.c wires them. */
static void isa_set(void *to, int line, bool level)
{
    pic_set_line(pic, line, level);
    ioapic_set(io, line ? line : 2, level);
}

static void isa_tick(void *to, int line, unsigned n)
{
    struct irq q = pic_line(pic, line);

    irq_tick(&q, n);
    ioapic_tick(io, line ? line : 2, n);
}

static void gsi_set(void *to, int n, bool level)
{
    ioapic_set(io, n, level);
}

static void gsi_tick(void *to, int pin, unsigned n)
{
    ioapic_tick(io, pin, n);
}

static uint8_t in(uint16_t port)
{
    return (uint8_t)ports_read(e->ports, port, 1);
}

static void out(uint16_t port, uint8_t v)
{
    ports_write(e->ports, port, v, 1);
}

static void red(unsigned pin, uint32_t val)
{
    env_write(e, IOAPIC_BASE, 0x11 + 2 * pin);
    env_write(e, IOAPIC_BASE + 0x10, 0);
    env_write(e, IOAPIC_BASE, 0x10 + 2 * pin);
    env_write(e, IOAPIC_BASE + 0x10, val);
}

static void rtc_set(uint8_t reg, uint8_t v)
{
    out(0x70, reg);
    out(0x71, v);
}

static uint8_t rtc_flags(void)
{
    out(0x70, 12);
    return in(0x71);
}

static void setup(void)
{
    struct hpet_lines lines = { { .set = gsi_set, .tick = gsi_tick },
                                { .set = isa_set, .line = 0, .tick = isa_tick },
                                { .set = isa_set, .line = 8, .tick = isa_tick } };
    struct hpet *h;

    e = env_new();
    a = apics_new(e->chips, e->phys, e->clock, &e->m, &env_lines, 1, 40);
    io = ioapic_new(e->chips, e->phys, IOAPIC_BASE, a, 0);
    pic = pic_new(e->chips, e->ports, (struct irq){ .set = apics_lint0, .to = a });
    h = hpet_new(e->chips, e->phys, HPET_BASE, e->clock, &lines);
    pit_new(e->chips, e->ports, e->clock, hpet_pit_in(h));
    rtc_new(e->chips, e->ports, e->clock, hpet_rtc_in(h));
    env_write(e, LAPIC(SVR), 0x1ff);
    env_write(e, LAPIC(TDCR), 0xb);
    env_write(e, LAPIC(LINT0), MASKED);
    out(0x21, 0xff);                            /* nobody takes what comes to the 8259s */
    out(0xa1, 0xff);
    clock_advance(e->clock, 100 * MS);
}

static void teardown(void)
{
    env_check_state(e);
    env_free(e);
}

/* ---- the sources, each with a period of a millisecond ---- */

enum source { PIT_MODE2, PIT_MODE3, HPET_LEGACY, HPET_PIN, LAPIC_TIMER, SOURCES };

static void pit(unsigned mode, unsigned count)
{
    out(0x43, 0x30 | mode << 1);
    out(0x40, count & 0xff);
    out(0x40, count >> 8);
}

static void hpet(unsigned config, uint32_t tconfig, uint32_t count)
{
    env_write(e, HPET_CONFIG, 0);
    env_write(e, HPET_COUNT, 0);
    env_write(e, HPET_TCONF(0), tconfig | T_ON | T_32 | (tconfig & T_PERIODIC ? T_SET : 0));
    env_write(e, HPET_TCMP(0), count);
    if (tconfig & T_PERIODIC)
        env_write(e, HPET_TCMP(0), count);
    env_write(e, HPET_CONFIG, config | 1);
}

/* A millisecond, periodic or once, with vector 50h. */
static void start(enum source s, bool periodic)
{
    switch (s) {
    case PIT_MODE2:
    case PIT_MODE3:
        red(2, 0x50);
        pit(periodic ? s == PIT_MODE2 ? 2 : 3 : 0, PIT_HZ / 1000);
        break;
    case HPET_LEGACY:
        red(2, 0x50);
        hpet(2, periodic ? T_PERIODIC : 0, 100000);
        break;
    case HPET_PIN:
        red(21, 0x50);
        hpet(0, 21u << 9 | (periodic ? T_PERIODIC : 0), 100000);
        break;
    default:
        env_write(e, LAPIC(LVTT), (periodic ? 0x20000 : 0) | 0x50);
        env_write(e, LAPIC(TICR), 1000000);
    }
    while (e->cpu[0].intr) {                    /* what programming a PIT's mode raised */
        apics_ack(a, 0);
        env_write(e, LAPIC(EOI), 0);
    }
}

static void stop(enum source s)
{
    switch (s) {
    case PIT_MODE2:
    case PIT_MODE3:
        out(0x43, 0x30);
        break;
    case HPET_LEGACY:
    case HPET_PIN:
        env_write(e, HPET_TCONF(0), s == HPET_PIN ? 21u << 9 : 0);
        break;
    default:
        env_write(e, LAPIC(TICR), 0);
    }
}

/* The processor takes all it is offered. */
static unsigned taken(void)
{
    unsigned n = 0;

    for (; e->cpu[0].intr; n++) {
        ck_assert_uint_lt(n, 1000);
        ck_assert_int_eq(apics_ack(a, 0), 0x50);
        ck_assert(!e->cpu[0].intr);             /* in service: the next one waits for the EOI */
        env_write(e, LAPIC(EOI), 0);
    }
    return n;
}

START_TEST(a_processor_that_is_late_gets_every_tick)
{
    start(_i, true);
    for (unsigned round = 0; round < 3; round++) {
        clock_advance(e->clock, 40 * MS + MS / 100);
        ck_assert_uint_eq(taken(), 40);
        ck_assert_uint_eq(taken(), 0);
        clock_advance(e->clock, 5 * MS);        /* and in step again */
        ck_assert_uint_eq(taken(), 5);
    }
}
END_TEST

START_TEST(timers_that_are_late_make_every_tick)
{
    start(_i, true);
    clock_advance_late(e->clock, 40 * MS + MS / 100);
    ck_assert_uint_eq(taken(), 40);
    clock_advance_late(e->clock, 7 * MS + MS / 2);
    ck_assert_uint_eq(taken(), 7);
    clock_advance(e->clock, MS);
    ck_assert_uint_eq(taken(), 1);
}
END_TEST

START_TEST(the_debt_is_bounded)
{
    start(_i, true);
    clock_advance(e->clock, 3000 * MS);
    ck_assert_uint_eq(taken(), IRQ_TICKS_MAX + 1);
    clock_advance_late(e->clock, 3000 * MS);
    ck_assert_uint_le(taken(), IRQ_TICKS_MAX + 1);
    clock_advance(e->clock, MS + MS / 2);
    ck_assert_uint_ge(taken(), 1);
}
END_TEST

START_TEST(what_is_owed_ends_with_the_source)
{
    start(_i, true);
    clock_advance(e->clock, 40 * MS + MS / 2);
    stop(_i);
    ck_assert_uint_le(taken(), 2);              /* the one pending, and an edge of the PIT's new mode */
    clock_advance(e->clock, 100 * MS);
    ck_assert_uint_le(taken(), 1);
}
END_TEST

START_TEST(a_one_shot_fires_once)
{
    start(_i, false);
    clock_advance(e->clock, 2 * MS);
    start(_i, false);                           /* takes the first */
    clock_advance(e->clock, 40 * MS);
    ck_assert_uint_eq(taken(), 1);
}
END_TEST

/* Its timer has not been fired yet when a source is programmed anew: the interrupt came before that all the same. */
START_TEST(what_was_due_comes_before_what_is_written)
{
    enum source s = _i % SOURCES;
    struct clock_state late;

    start(s, _i < SOURCES);
    clock_save(e->clock, &late);
    late.now += MS + MS / 2;
    clock_load(e->clock, &late);
    stop(s);
    clock_advance(e->clock, 10 * MS);
    ck_assert_uint_eq(taken(), 1);
}
END_TEST

/* The strobe of the PIT's mode 4 has no level that could be seen behind it. */
START_TEST(a_strobe_comes_before_what_is_written)
{
    struct clock_state late;

    red(2, 0x50);
    pit(4, PIT_HZ / 1000);
    taken();
    clock_save(e->clock, &late);
    late.now += MS + MS / 2;
    clock_load(e->clock, &late);
    out(0x43, 0x80);                            /* channel 2's count is latched */
    clock_advance(e->clock, 10 * MS);
    ck_assert_uint_eq(taken(), 1);
}
END_TEST

START_TEST(a_masked_input_owes_nothing)
{
    start(PIT_MODE2, true);
    clock_advance(e->clock, 10 * MS);
    red(2, MASKED | 0x50);
    clock_advance(e->clock, 20 * MS);
    ck_assert_uint_eq(taken(), 1);              /* what was pending; what was owed went with the mask */
    red(2, 0x50);
    clock_advance(e->clock, 3 * MS);
    ck_assert_uint_eq(taken(), 3);
}
END_TEST

START_TEST(a_level_triggered_input_is_told_once)
{
    red(2, 0x8050);
    pit(2, PIT_HZ / 1000);
    clock_advance(e->clock, 10 * MS);
    ck_assert_int_eq(apics_ack(a, 0), 0x50);
    ck_assert(!e->cpu[0].intr);
    clock_advance(e->clock, 10 * MS);
    ck_assert(!e->cpu[0].intr);                 /* Remote IRR */
}
END_TEST

START_TEST(a_new_count_takes_over_in_step)
{
    start(PIT_MODE2, true);
    clock_advance(e->clock, 10 * MS + MS / 2);
    out(0x40, (PIT_HZ / 500) & 0xff);           /* 2 ms from the end of this cycle on */
    out(0x40, PIT_HZ / 500 >> 8);
    clock_advance_late(e->clock, 20 * MS + MS / 4);
    ck_assert_uint_eq(taken(), 10 + 1 + 9);
}
END_TEST

/* ---- the 8259s ---- */

static void pic_init(uint8_t icw4)
{
    out(0x20, 0x11);
    out(0x21, 0x20);
    out(0x21, 4);
    out(0x21, icw4);
    out(0x21, 0xfe);
    env_write(e, LAPIC(LINT0), 7 << 8);         /* ExtINT */
}

static unsigned pic_taken(bool eoi)
{
    unsigned n = 0;

    for (; e->cpu[0].intr; n++) {
        ck_assert_uint_lt(n, 1000);
        ck_assert_int_eq(apics_ack(a, 0), -1);
        ck_assert_uint_eq(pic_ack(pic), 0x20);
        if (eoi)
            out(0x20, 0x20);
    }
    return n;
}

/* _i: mode 3 (the line falls each half period), automatic EOI */
START_TEST(the_8259s_count_what_is_acknowledged)
{
    pic_init(_i & 2 ? 3 : 1);
    pit(_i & 1 ? 3 : 2, PIT_HZ / 1000);
    pic_taken(!(_i & 2));
    clock_advance(e->clock, 5 * MS);
    ck_assert_uint_ge(pic_taken(!(_i & 2)), 1); /* before the first acknowledge edges merge */
    clock_advance(e->clock, 40 * MS + MS / 4);
    ck_assert_uint_eq(pic_taken(!(_i & 2)), 40);
    clock_advance_late(e->clock, 20 * MS + MS / 2);
    ck_assert_uint_eq(pic_taken(!(_i & 2)), 20);
    clock_advance(e->clock, 30 * MS);
    out(0x43, 0x30);                            /* mode 0: OUT low, nothing owed */
    ck_assert_uint_eq(pic_taken(!(_i & 2)), 0);
}
END_TEST

START_TEST(a_masked_8259_owes_nothing)
{
    pic_init(1);
    pit(2, PIT_HZ / 1000);
    pic_taken(true);
    clock_advance(e->clock, MS + MS / 4);
    ck_assert_uint_eq(pic_taken(true), 1);
    out(0x21, 0xff);
    clock_advance(e->clock, 40 * MS);
    out(0x21, 0xfe);
    ck_assert_uint_eq(pic_taken(true), 1);      /* the line is high, one edge is remembered */
    clock_advance(e->clock, 10 * MS);
    pic_init(1);                                /* ICW1 forgets */
    ck_assert_uint_eq(pic_taken(true), 0);
}
END_TEST

/* ---- the RTC: register C is the acknowledge ---- */

/* Lets the RTC's interrupt be taken for that long, in steps of 0.1 ms. */
static unsigned rtc_taken(uint64_t ns)
{
    unsigned n = 0;

    for (uint64_t t = 0; t < ns; t += MS / 10) {
        clock_advance(e->clock, MS / 10);
        while (e->cpu[0].intr) {
            ck_assert_int_eq(apics_ack(a, 0), 0x58);
            n += (rtc_flags() & 0xc0) == 0xc0;
            ck_assert_uint_eq(rtc_flags(), 0);  /* cleared by one read */
            env_write(e, LAPIC(EOI), 0);
        }
    }
    return n;
}

/* Periods of the RTC at 1024 Hz that have ended since virtual time 0. */
static unsigned rtc_periods(void)
{
    return clock_now(e->clock) * 1024 / 1000000000;
}

START_TEST(the_rtc_owes_periods)
{
    unsigned from;

    red(8, 0x58);
    rtc_set(10, 0x26);                          /* 1024 Hz */
    rtc_set(11, 0x42);
    rtc_flags();
    from = rtc_periods();
    clock_advance(e->clock, 40 * MS);
    ck_assert_uint_eq(rtc_taken(30 * MS), rtc_periods() - from);
    from = rtc_periods();
    clock_advance_late(e->clock, 20 * MS);
    ck_assert_uint_eq(rtc_taken(30 * MS), rtc_periods() - from);
    clock_advance(e->clock, 3000 * MS);
    from = rtc_periods();
    ck_assert_uint_eq(rtc_taken(1000 * MS), IRQ_TICKS_MAX + 1 + rtc_periods() - from);
    clock_advance(e->clock, 100 * MS);
    rtc_set(11, 0x02);                          /* PIE off: nothing is owed, periods are flags only */
    rtc_flags();
    clock_advance(e->clock, 100 * MS);
    ck_assert_uint_eq(rtc_flags(), 0x40);
    from = rtc_periods();
    rtc_set(11, 0x42);
    ck_assert_uint_eq(rtc_taken(10 * MS), rtc_periods() - from);
}
END_TEST

START_TEST(debts_are_saved)
{
    uint8_t *state;
    size_t n;
    unsigned owed;

    start(_i, true);
    clock_advance(e->clock, 20 * MS + MS / 2);
    n = chips_save(e->chips, &state);
    owed = taken();
    ck_assert_uint_eq(owed, 20);
    ck_assert_ptr_null(chips_load(e->chips, state, n));
    ck_assert_uint_eq(taken(), owed);
    free(state);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("ticks");
    TCase *t = tcase_create("ticks");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_loop_test(t, a_processor_that_is_late_gets_every_tick, 0, SOURCES);
    tcase_add_loop_test(t, timers_that_are_late_make_every_tick, 0, SOURCES);
    tcase_add_loop_test(t, the_debt_is_bounded, 0, SOURCES);
    tcase_add_loop_test(t, what_is_owed_ends_with_the_source, 0, SOURCES);
    tcase_add_loop_test(t, a_one_shot_fires_once, 0, SOURCES);
    tcase_add_loop_test(t, what_was_due_comes_before_what_is_written, 0, 2 * SOURCES);
    tcase_add_test(t, a_strobe_comes_before_what_is_written);
    tcase_add_loop_test(t, debts_are_saved, 0, SOURCES);
    tcase_add_loop_test(t, the_8259s_count_what_is_acknowledged, 0, 4);
    tcase_add_test(t, a_masked_8259_owes_nothing);
    tcase_add_test(t, a_masked_input_owes_nothing);
    tcase_add_test(t, a_level_triggered_input_is_told_once);
    tcase_add_test(t, a_new_count_takes_over_in_step);
    tcase_add_test(t, the_rtc_owes_periods);
    suite_add_tcase(s, t);
    return run_suite(s);
}
