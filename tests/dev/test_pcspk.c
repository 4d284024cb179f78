/*
 * test_pcspk.c - the PC's speaker: tones, pulses, silence, and that it stops.
 */
#include <check.h>
#include <stdlib.h>

#include "hw/audio/pcspk.h"
#include "hw/pit.h"
#include "tests/dev/audio_env.h"
#include "tests/dev/bus_env.h"
#include "tests/run_suite.h"

#define MS 1000000ull

static struct env *e;
static struct audio_env *a;

static void out(uint16_t port, uint8_t val)
{
    ports_write(e->ports, port, val, 1);
}

static void pass(uint64_t ns)
{
    clock_advance(e->clock, ns);
}

static void tone(unsigned count)
{
    out(0x43, 0xb6);
    out(0x42, count);
    out(0x42, count >> 8);
}

static void setup(void)
{
    e = env_new();
    a = audio_env_new(48000);
    pcspk_new(e->chips, pit_new(e->chips, e->ports, e->clock, env_line(e, 0)), e->clock, &a->audio);
    chips_reset(e->chips);
}

static void teardown(void)
{
    env_check_state(e);
    env_free(e);
    audio_env_free(a);
}

static unsigned rises(void)
{
    unsigned n = 0;

    for (unsigned i = 1; i < a->n; i++)
        n += a->heard[i - 1][0] < 0 && a->heard[i][0] >= 0;
    return n;
}

START_TEST(beep)
{
    tone(1193);                                 /* 1000 Hz */
    pass(100 * MS);
    ck_assert_uint_eq(a->n, 0);
    out(0x61, 3);
    pass(500 * MS);
    env_check_state(e);
    pass(500 * MS);
    out(0x61, 0);
    ck_assert_uint_eq(a->n, 48000);
    ck_assert_uint_ge(rises(), 998);
    ck_assert_uint_le(rises(), 1002);
    for (unsigned i = 0; i < a->n; i++)
        ck_assert_int_le(abs(a->heard[i][0]), 8000);
    pass(1000 * MS);
    ck_assert_uint_le(a->n, 48000 + 5760);      /* it stops */
    ck_assert_int_eq(a->heard[a->n - 1][0], 0);
}
END_TEST

START_TEST(change)
{
    tone(11932);                                /* 100 Hz, then 200 Hz, in the middle of the sound */
    out(0x61, 3);
    pass(500 * MS);
    ck_assert_uint_ge(rises(), 49);
    ck_assert_uint_le(rises(), 51);
    tone(5966);
    pass(500 * MS);
    ck_assert_uint_ge(rises(), 148);
    ck_assert_uint_le(rises(), 152);
}
END_TEST

START_TEST(pulses)
{
    /* Samples as pulses: bit 1 is on for a quarter of each 100 us. */
    long sum = 0;

    out(0x61, 0);
    for (unsigned i = 0; i < 1000; i++) {
        out(0x61, 2);                           /* OUT of channel 2 is high with its gate low */
        pass(25000);
        out(0x61, 0);
        pass(75000);
    }
    ck_assert_uint_ge(a->n, 4700);
    for (unsigned i = 0; i < a->n; i++)
        sum += a->heard[i][0];
    ck_assert_int_gt(sum / (long)a->n, 1000);
    ck_assert_int_lt(sum / (long)a->n, 3500);
}
END_TEST

START_TEST(fuzz)
{
    uint64_t seed = 5;

    for (unsigned i = 0; i < 20000; i++) {
        uint32_t v = bus_env_random(&seed);

        out(v & 3 ? 0x61 : 0x42 + (v >> 2 & 1), v >> 8);
        pass(bus_env_random(&seed) % (v & 8 ? 300000 : 3000));
        a->n = 0;
        if (i % 2000 == 0)
            env_check_state(e);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pcspk");
    TCase *t = tcase_create("pcspk");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 60);
    tcase_add_test(t, beep);
    tcase_add_test(t, change);
    tcase_add_test(t, pulses);
    tcase_add_test(t, fuzz);
    suite_add_tcase(suite, t);
    return run_suite(suite);
}
