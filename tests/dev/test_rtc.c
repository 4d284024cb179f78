/* test_rtc.c - MC146818: time in all notations, SET, UIP, interrupts, alarm, CMOS RAM. */
#include "tests/dev/dev_env.h"

#include "hw/rtc.h"

static struct env e;
static struct rtc *rtc;

static void setup(void)
{
    env_init(&e);
    rtc = rtc_new(e.chips, e.ports, e.clock, env_irq(&e, 8));
}
static void teardown(void) { env_free(&e); }
static uint8_t get(uint8_t reg) { out8(&e, 0x70, reg); return in8(&e, 0x71); }
static void set(uint8_t reg, uint8_t v) { out8(&e, 0x70, reg); out8(&e, 0x71, v); }

static void expect(uint8_t century, uint8_t y, uint8_t mon, uint8_t d, uint8_t h, uint8_t min, uint8_t s)
{
    ck_assert_uint_eq(get(0x32), century);
    ck_assert_uint_eq(get(9), y);
    ck_assert_uint_eq(get(8), mon);
    ck_assert_uint_eq(get(7), d);
    ck_assert_uint_eq(get(4), h);
    ck_assert_uint_eq(get(2), min);
    ck_assert_uint_eq(get(0), s);
}

START_TEST(starts_at_the_wall_clock_and_runs)
{
    expect(0x20, 0x24, 0x02, 0x28, 0x23, 0x59, 0x50);
    ck_assert_uint_eq(get(6), 4);               /* Wednesday */
    pass(&e, 10000 * MS);
    expect(0x20, 0x24, 0x02, 0x29, 0x00, 0x00, 0x00);
    ck_assert_uint_eq(get(6), 5);
    ck_assert_uint_eq(get(13), 0x80);
    pass(&e, 86400ull * 1000 * MS);
    expect(0x20, 0x24, 0x03, 0x01, 0x00, 0x00, 0x00);
}
END_TEST

START_TEST(binary_and_12_hours)
{
    set(11, 0x06);                              /* binary, 24 h */
    expect(20, 24, 2, 28, 23, 59, 50);
    set(11, 0x04);                              /* binary, 12 h */
    expect(20, 24, 2, 28, 0x80 | 11, 59, 50);
    set(11, 0x00);                              /* BCD, 12 h */
    pass(&e, 10000 * MS);
    expect(0x20, 0x24, 0x02, 0x29, 0x12, 0x00, 0x00);   /* midnight is 12 AM */
    pass(&e, 12ull * 3600 * 1000 * MS);
    ck_assert_uint_eq(get(4), 0x92);            /* noon 12 PM */
}
END_TEST

START_TEST(set_holds_and_releases)
{
    set(11, 0x82);
    pass(&e, 5000 * MS);
    ck_assert_uint_eq(get(0), 0x50);
    set(0, 0x58); set(2, 0x59); set(4, 0x23); set(7, 0x31); set(8, 0x12); set(9, 0x99); set(0x32, 0x19);
    set(6, 6);
    pass(&e, 5000 * MS);
    expect(0x19, 0x99, 0x12, 0x31, 0x23, 0x59, 0x58);
    ck_assert_uint_eq(get(10) & 0x80, 0);
    set(11, 0x02);
    pass(&e, 2000 * MS);
    expect(0x20, 0x00, 0x01, 0x01, 0x00, 0x00, 0x00);
    ck_assert_uint_eq(get(6), 7);
}
END_TEST

START_TEST(divider_reset_starts_half_a_second_before_an_update)
{
    pass(&e, 300 * MS);
    set(10, 0x76);
    pass(&e, 3000 * MS);
    ck_assert_uint_eq(get(0), 0x50);
    set(10, 0x26);
    pass(&e, 499 * MS);
    ck_assert_uint_eq(get(0), 0x50);
    pass(&e, 2 * MS);
    ck_assert_uint_eq(get(0), 0x51);
}
END_TEST

START_TEST(writing_a_running_clock)
{
    set(2, 0x30);
    ck_assert_uint_eq(get(2), 0x30);
    ck_assert_uint_eq(get(4), 0x23);
    pass(&e, 1000 * MS);
    ck_assert_uint_eq(get(0), 0x51);
}
END_TEST

START_TEST(update_in_progress)
{
    ck_assert_uint_eq(get(10), 0x26);
    pass(&e, 997 * MS);
    ck_assert_uint_eq(get(10), 0x26);
    pass(&e, 1 * MS);                           /* 2 ms before the second */
    ck_assert_uint_eq(get(10), 0xa6);
    ck_assert_uint_eq(get(0), 0x50);
    pass(&e, 2 * MS);
    ck_assert_uint_eq(get(10), 0x26);
    ck_assert_uint_eq(get(0), 0x51);
}
END_TEST

START_TEST(update_interrupt)
{
    set(11, 0x12);
    get(12);
    pass(&e, 999 * MS);
    ck_assert(!e.level[8]);
    pass(&e, 1 * MS);
    ck_assert(e.level[8]);
    ck_assert_uint_eq(get(12) & 0x90, 0x90);
    ck_assert(!e.level[8]);
    ck_assert_uint_eq(get(12), 0);
    pass(&e, 5000 * MS);
    ck_assert_uint_eq(e.rises[8], 2);           /* stays up until C is read */
}
END_TEST

START_TEST(periodic_interrupt)
{
    set(11, 0x42);                              /* 1024 Hz */
    get(12);
    unsigned n = 0;
    for (unsigned i = 0; i < 10000; i++) {
        pass(&e, 100 * US);
        if (e.level[8]) {
            ck_assert_uint_eq(get(12) & 0xc0, 0xc0);
            n++;
        }
    }
    ck_assert_uint_eq(n, 1024);
    set(10, 0x2f);                              /* 2 Hz; flags come without enables too */
    set(11, 0x02);
    get(12);
    pass(&e, 499 * MS);
    uint8_t early = get(12);
    pass(&e, 502 * MS);
    ck_assert_uint_eq((early | get(12)) & 0xc0, 0x40);
    ck_assert(!e.level[8]);
}
END_TEST

START_TEST(alarm)
{
    set(1, 0x05);
    set(3, 0xff);                               /* any minute */
    set(5, 0xff);
    set(11, 0x22);
    get(12);
    pass(&e, 14999 * MS);
    ck_assert(!e.level[8]);
    pass(&e, 1 * MS);
    ck_assert(e.level[8]);
    ck_assert_uint_eq(get(12) & 0xa0, 0xa0);
    pass(&e, 59999 * MS);
    ck_assert(!e.level[8]);
    pass(&e, 1 * MS);
    ck_assert(e.level[8]);
    get(12);
    set(1, 0x00); set(3, 0x30); set(5, 0x07);   /* 07:30:00 */
    pass(&e, 7ull * 3600 * 1000 * MS);
    ck_assert(!e.level[8]);
    pass(&e, 1800ull * 1000 * MS);
    ck_assert(e.level[8]);
    get(12);
    set(5, 0x33);                               /* no such hour: never */
    pass(&e, 86400ull * 2000 * MS);
    ck_assert(!e.level[8]);
}
END_TEST

START_TEST(cmos_and_reset)
{
    set(0x40, 0x77);
    rtc_cmos_set(rtc, 0x41, 0x88);
    out8(&e, 0x70, 0x80 | 0x41);                /* the NMI mask is no part of the index */
    ck_assert_uint_eq(in8(&e, 0x71), 0x88);
    set(11, 0x72);
    pass(&e, 2000 * MS);
    ck_assert(e.level[8]);
    chips_reset(e.chips);
    ck_assert(!e.level[8]);
    ck_assert_uint_eq(get(11), 0x02);
    ck_assert_uint_eq(get(0x40), 0x77);
    ck_assert_uint_eq(get(0), 0x52);
}
END_TEST

Suite *suite_rtc(void)
{
    Suite *s = suite_create("rtc");
    TCase *t = tcase_create("rtc");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, starts_at_the_wall_clock_and_runs);
    tcase_add_test(t, binary_and_12_hours);
    tcase_add_test(t, set_holds_and_releases);
    tcase_add_test(t, divider_reset_starts_half_a_second_before_an_update);
    tcase_add_test(t, writing_a_running_clock);
    tcase_add_test(t, update_in_progress);
    tcase_add_test(t, update_interrupt);
    tcase_add_test(t, periodic_interrupt);
    tcase_add_test(t, alarm);
    tcase_add_test(t, cmos_and_reset);
    suite_add_tcase(s, t);
    return s;
}
