/* test_pit.c - 8254: the six modes by count and OUT, latches, BCD, gate, port 61h. */
#include "tests/dev/dev_env.h"

#include "hw/pit.h"

static struct env e;
static struct pit *pit;
static uint64_t tick;           /* since the environment began */

/* Virtual time to the middle of input clock pulse `tick + n`. */
static void ticks(uint64_t n)
{
    tick += n;
    uint64_t ns = (uint64_t)(((double)tick + 0.5) * 1e9 / PIT_HZ);
    pass(&e, ns - clock_now(e.clock));
}

static void setup(void)
{
    env_init(&e);
    pit = pit_new(e.chips, e.ports, e.clock, env_irq(&e, 0));
    tick = 0;
    ticks(10);
}
static void teardown(void) { env_free(&e); }

static void program(unsigned ch, unsigned mode, unsigned count)
{
    out8(&e, 0x43, (uint8_t)(ch << 6 | 0x30 | mode << 1));
    out8(&e, (uint16_t)(0x40 + ch), (uint8_t)count);
    out8(&e, (uint16_t)(0x40 + ch), (uint8_t)(count >> 8));
}

static unsigned latch(unsigned ch)
{
    out8(&e, 0x43, (uint8_t)(ch << 6));
    unsigned v = in8(&e, (uint16_t)(0x40 + ch));
    return v | (unsigned)in8(&e, (uint16_t)(0x40 + ch)) << 8;
}

static bool out2(void) { return in8(&e, 0x61) & 0x20; }

static uint8_t status(unsigned ch)
{
    out8(&e, 0x43, (uint8_t)(0xe0 | 2 << ch));
    return in8(&e, (uint16_t)(0x40 + ch));
}

START_TEST(mode_0_counts_down_once)
{
    program(0, 0, 100);
    ck_assert(!e.level[0]);
    ck_assert_uint_eq(status(0), 0x70);         /* null count: not loaded yet */
    ticks(1);
    ck_assert_uint_eq(status(0), 0x30);
    ck_assert_uint_eq(latch(0), 100);
    ticks(40);
    ck_assert_uint_eq(latch(0), 60);
    ticks(59);
    ck_assert(!e.level[0]);
    ticks(1);
    ck_assert(e.level[0]);
    ck_assert_uint_eq(status(0), 0xb0);
    ticks(1);
    ck_assert_uint_eq(latch(0), 0xffff);        /* goes on counting */
    program(0, 0, 5);
    ck_assert(!e.level[0]);
    out8(&e, 0x40, 50);                         /* a first byte stops it */
    ticks(20);
    ck_assert(!e.level[0]);
    out8(&e, 0x40, 0);
    ticks(50);
    ck_assert(!e.level[0]);
    ticks(1);
    ck_assert(e.level[0]);
}
END_TEST

START_TEST(mode_1_is_a_retriggerable_one_shot)
{
    program(2, 1, 20);
    ck_assert(out2());
    ticks(30);
    ck_assert(out2());
    out8(&e, 0x61, 1);                          /* gate: trigger */
    ticks(1);
    ck_assert(!out2());
    out8(&e, 0x61, 0);                          /* the level does not matter */
    ticks(10);
    out8(&e, 0x61, 1);
    ticks(20);
    ck_assert(!out2());
    ticks(1);
    ck_assert(out2());
}
END_TEST

START_TEST(mode_2_divides)
{
    program(0, 2, 10);
    unsigned before = e.rises[0];
    ticks(1);
    ck_assert_uint_eq(latch(0), 10);
    ticks(9);
    ck_assert_uint_eq(latch(0), 1);
    ck_assert_uint_eq(status(0) & 0x80, 0);
    ticks(1);
    ck_assert_uint_eq(latch(0), 10);
    ck_assert_uint_eq(e.rises[0] - before, 1);
    ticks(100);
    ck_assert_uint_eq(e.rises[0] - before, 11);
    ticks(5);
    out8(&e, 0x40, 20);                         /* taken over at the end of the cycle */
    out8(&e, 0x40, 0);
    ck_assert_uint_eq(status(0) & 0x40, 0x40);
    ck_assert_uint_eq(latch(0), 5);
    ticks(5);
    ck_assert_uint_eq(latch(0), 20);
    ck_assert_uint_eq(status(0) & 0x40, 0);
    ticks(200);
    ck_assert_uint_eq(e.rises[0] - before, 22);
}
END_TEST

START_TEST(mode_3_is_a_square_wave)
{
    program(0, 3, 7);                           /* high 4, low 3 */
    ticks(1);
    static const uint8_t count[7] = { 6, 4, 2, 0, 6, 4, 2 };
    for (unsigned i = 0; i < 21; i++) {
        ck_assert_uint_eq(latch(0), count[i % 7]);
        ck_assert_uint_eq(status(0) >> 7, i % 7 < 4);
        ck_assert_uint_eq(e.level[0], i % 7 < 4);
        ticks(1);
    }
    program(0, 3, 0);                           /* 65536 */
    ticks(1);
    ck_assert_uint_eq(latch(0), 0);
    ticks(1);
    ck_assert_uint_eq(latch(0), 65534);
    unsigned before = e.rises[0];
    ticks(65536 * 3);
    ck_assert_uint_eq(e.rises[0] - before, 3);
}
END_TEST

START_TEST(mode_3_new_count_at_the_half_cycle)
{
    program(0, 3, 100);
    ticks(1 + 20);                              /* in the high half */
    out8(&e, 0x40, 10);
    out8(&e, 0x40, 0);
    ticks(29);
    ck_assert(e.level[0]);
    ticks(1);
    ck_assert(!e.level[0]);                     /* the low half has the new length, 5 */
    ticks(5);
    ck_assert(e.level[0]);
    ticks(5);
    ck_assert(!e.level[0]);
}
END_TEST

START_TEST(mode_4_strobes_once)
{
    program(0, 4, 10);
    ck_assert(e.level[0]);
    unsigned before = e.rises[0];
    ticks(11);
    ck_assert_uint_eq(status(0) & 0x80, 0);
    ticks(1);
    ck_assert_uint_eq(status(0) & 0x80, 0x80);
    ticks(100000);
    ck_assert_uint_eq(e.rises[0] - before, 1);
}
END_TEST

START_TEST(mode_5_strobes_after_a_trigger)
{
    program(2, 5, 10);
    ticks(50);
    ck_assert(out2());
    out8(&e, 0x61, 1);
    ticks(10);
    ck_assert(out2());
    ticks(1);
    ck_assert(!out2());
    ticks(1);
    ck_assert(out2());
}
END_TEST

START_TEST(gate_stops_counting)
{
    out8(&e, 0x61, 1);
    program(2, 0, 100);
    ticks(31);
    ck_assert_uint_eq(latch(2), 70);
    out8(&e, 0x61, 0);
    ticks(500);
    ck_assert_uint_eq(latch(2), 70);
    out8(&e, 0x61, 1);
    ticks(69);
    ck_assert(!out2());
    ticks(1);
    ck_assert(out2());
    program(2, 3, 100);
    ticks(60);
    ck_assert(!out2());
    out8(&e, 0x61, 0);                          /* modes 2 and 3: OUT high at once */
    ck_assert(out2());
    out8(&e, 0x61, 1);                          /* and a rise starts the cycle anew */
    ticks(1);
    ck_assert_uint_eq(latch(2), 100);
}
END_TEST

START_TEST(latches_hold)
{
    program(0, 2, 1000);
    ticks(101);
    out8(&e, 0x43, 0xc2);                       /* count and status of channel 0 */
    ticks(300);
    out8(&e, 0x43, 0x00);                       /* ignored: latched already */
    ck_assert_uint_eq(in8(&e, 0x40), 0xb4);     /* status first */
    ck_assert_uint_eq(in8(&e, 0x40), 900 & 0xff);
    ck_assert_uint_eq(in8(&e, 0x40), 900 >> 8);
    ck_assert_uint_eq(in8(&e, 0x40), 600 & 0xff);
    ck_assert_uint_eq(in8(&e, 0x40), 600 >> 8);
}
END_TEST

START_TEST(single_byte_access_and_bcd)
{
    out8(&e, 0x43, 0x15);                       /* channel 0, low byte, mode 2, BCD */
    out8(&e, 0x40, 0x25);
    ticks(1 + 6);
    ck_assert_uint_eq(in8(&e, 0x40), 0x19);
    ck_assert_uint_eq(in8(&e, 0x40), 0x19);
    out8(&e, 0x43, 0x24);                       /* high byte, binary */
    out8(&e, 0x40, 0x02);
    ticks(1 + 12);
    ck_assert_uint_eq(in8(&e, 0x40), 0x01);     /* 500 */
    out8(&e, 0x43, 0x31);                       /* both, mode 0, BCD, 0 = 10000 */
    out8(&e, 0x40, 0);
    out8(&e, 0x40, 0);
    ticks(2);
    ck_assert_uint_eq(latch(0), 0x9999);
}
END_TEST

START_TEST(port_61)
{
    program(1, 2, 18);
    ticks(1);
    unsigned toggles = 0;
    uint8_t last = in8(&e, 0x61);
    for (unsigned i = 0; i < 180; i++) {
        ticks(1);
        uint8_t now = in8(&e, 0x61);
        toggles += ((now ^ last) >> 4) & 1;
        last = now;
    }
    ck_assert_uint_eq(toggles, 10);
    out8(&e, 0x61, 0xff);
    ck_assert_uint_eq(in8(&e, 0x61) & 0xcf, 0x0f);
    program(2, 3, 1193);
    ck_assert_uint_eq(pit_speaker_hz(pit), 1000);
    out8(&e, 0x61, 0x01);
    ck_assert_uint_eq(pit_speaker_hz(pit), 0);
}
END_TEST

Suite *suite_pit(void)
{
    Suite *s = suite_create("pit");
    TCase *t = tcase_create("pit");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, mode_0_counts_down_once);
    tcase_add_test(t, mode_1_is_a_retriggerable_one_shot);
    tcase_add_test(t, mode_2_divides);
    tcase_add_test(t, mode_3_is_a_square_wave);
    tcase_add_test(t, mode_3_new_count_at_the_half_cycle);
    tcase_add_test(t, mode_4_strobes_once);
    tcase_add_test(t, mode_5_strobes_after_a_trigger);
    tcase_add_test(t, gate_stops_counting);
    tcase_add_test(t, latches_hold);
    tcase_add_test(t, single_byte_access_and_bcd);
    tcase_add_test(t, port_61);
    suite_add_tcase(s, t);
    return s;
}
