/*
 * test_opl3.c - YM3812 and YMF262: detection and timers; what sounds, measured: pitch against the manual's formula,
 * envelopes against its table of times, levels, waves, sides, four operators, drums; random registers.
 */
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/dev/audio_env.h"
#include "tests/dev/bus_env.h"
#include "tests/run_suite.h"

#define MS 1000000ull
#define RATE 49716u
#define PORT 0x388
#define FULL 4084               /* one operator's amplitude */

static struct bus_env *b;
static struct audio_env *a;

static uint8_t status(void)
{
    return (uint8_t)ports_read(b->e->ports, PORT, 1);
}

/* Registers 100h and up are the second half's. */
static void set(unsigned reg, uint8_t val)
{
    ports_write(b->e->ports, PORT + (reg >> 8) * 2, reg & 0xff, 1);
    ports_write(b->e->ports, PORT + (reg >> 8) * 2 + 1, val, 1);
}

static void pass(uint64_t ns)
{
    clock_advance(b->e->clock, ns);
}

static void start(const char *opl3)
{
    b = bus_env_new();
    a = audio_env_new(RATE);
    bus_env_plug(b, "adlib", "opl3", opl3, "audiodev", &a->audio, NULL);
}

static void setup(void)
{
    start("on");
    set(0x105, 1);
}

static void teardown(void)
{
    env_check_state(b->e);
    bus_env_free(b);
    audio_env_free(a);
}

/* Channel 0's second operator alone is heard: at once, as long as the key is down. */
static void carrier(uint8_t flags, uint8_t level, uint8_t wave)
{
    set(0x40, 0x3f);
    set(0x60, 0);
    set(0x23, flags);
    set(0x43, level);
    set(0x63, 0xf0);
    set(0x83, 0x0f);
    set(0xe3, wave);
    set(0xc0, 0x31);
}

static void key(unsigned fnum, unsigned octave, bool on)
{
    set(0xa0, fnum);
    set(0xb0, (on ? 0x20 : 0) | octave << 2 | fnum >> 8);
}

static int peak(unsigned from, unsigned to, unsigned c)
{
    int most = 0;

    for (unsigned i = from; i < to; i++)
        most = abs(a->heard[i][c]) > most ? abs(a->heard[i][c]) : most;
    return most;
}

static void check_level(int got, double want_db, double tolerance)
{
    double db = 20 * log10(got / (double)FULL);

    ck_assert_msg(fabs(db - want_db) <= tolerance, "%.2f dB instead of %.2f", db, want_db);
}

/* Hz, by the zeroes that are passed upwards. */
static double pitch(unsigned from)
{
    unsigned first = 0, last = 0, n = 0;

    for (unsigned i = from + 1; i < a->n; i++) {
        if (a->heard[i - 1][0] < 0 && a->heard[i][0] >= 0) {
            first = n ? first : i;
            last = i;
            n++;
        }
    }
    return n > 1 ? (n - 1) * (double)RATE / (last - first) : 0;
}

/* AdLib's programming guide: how software finds the card. */
START_TEST(detection)
{
    set(4, 0x60);
    set(4, 0x80);
    ck_assert_uint_eq(status() & 0xe0, 0);
    set(2, 0xff);
    set(4, 0x21);
    pass(100000);
    ck_assert_uint_eq(status() & 0xe0, 0xc0);
    set(4, 0x60);
    set(4, 0x80);
    ck_assert_uint_eq(status(), 0);             /* an OPL3: the others have 06h */
    teardown();
    start("off");
    ck_assert_uint_eq(status(), 0x06);
}
END_TEST

START_TEST(timers)
{
    set(2, 256 - 100);                          /* 100 * 80.46 us */
    set(3, 256 - 100);
    set(4, 0x03);
    pass(8040000);
    ck_assert_uint_eq(status(), 0);
    pass(10000);
    ck_assert_uint_eq(status(), 0xc0);
    pass(24100000);
    ck_assert_uint_eq(status(), 0xc0);
    pass(40000);
    ck_assert_uint_eq(status(), 0xe0);
    set(4, 0x80);
    ck_assert_uint_eq(status(), 0);
    pass(8100000);
    ck_assert_uint_eq(status(), 0xc0);          /* they run on */
    set(4, 0x80);
    set(4, 0x43);                               /* timer 1 masked */
    pass(50 * MS);
    ck_assert_uint_eq(status(), 0xa0);
    set(4, 0x00);
    set(4, 0x80);
    pass(500 * MS);
    ck_assert_uint_eq(status(), 0);
}
END_TEST

START_TEST(pitches)
{
    static const struct { unsigned fnum, octave, multiple; double factor; } notes[] = {
        { 0x244, 4, 1, 1 }, { 0x3ff, 7, 0, 0.5 }, { 0x200, 3, 7, 7 }, { 0x16b, 2, 11, 10 }, { 0x2ae, 5, 2, 2 }
    };

    for (unsigned i = 0; i < sizeof(notes) / sizeof(notes[0]); i++) {
        double want = notes[i].fnum * exp2(notes[i].octave - 20.0) * RATE * notes[i].factor;

        a->n = 0;
        carrier(0x20 | notes[i].multiple, 0, 0);
        key(notes[i].fnum, notes[i].octave, true);
        pass(500 * MS);
        ck_assert_msg(fabs(pitch(10) / want - 1) < 0.002, "%f Hz instead of %f", pitch(10), want);
        check_level(peak(100, a->n, 0), 0, 0.1);
        key(notes[i].fnum, notes[i].octave, false);
        pass(300 * MS);
    }
    ck_assert(!b->e->line[0]);
    a->n = 0;
    pass(1000 * MS);
    ck_assert_uint_eq(a->n, 0);                 /* nothing is made where nothing sounds */
}
END_TEST

START_TEST(levels)
{
    for (unsigned tl = 0; tl < 64; tl += 9) {
        carrier(0x21, tl, 0);
        key(0x244, 4, true);
        pass(20 * MS);
        a->n = 0;
        pass(50 * MS);
        check_level(peak(0, a->n, 0), tl * -0.75, tl < 50 ? 0.3 : 1.5);
    }
    for (unsigned octave = 5; octave < 8; octave++) {   /* key scaling: 6 dB an octave, 42 at the highest note */
        carrier(0x20, 0xc0, 0);
        key(0x3ff, octave, true);
        pass(20 * MS);
        a->n = 0;
        pass(50 * MS);
        check_level(peak(0, a->n, 0), -42 + 6.0 * (7 - octave), 0.6);
    }
}
END_TEST

START_TEST(waves)
{
    static const struct { int least, most, mean; } want[8] = {      /* of 1000 */
        { -1000, 1000, 0 }, { 0, 1000, 318 }, { 0, 1000, 637 }, { 0, 1000, 318 }, { -1000, 1000, 0 }, { 0, 1000, 318 },
        { -1000, 1000, 0 }, { -1000, 1000, 0 }
    };

    for (unsigned w = 0; w < 8; w++) {
        int least = 0, most = 0;
        double sum = 0;

        carrier(0x21, 0, w);
        key(0x200, 2, true);
        pass(20 * MS);
        a->n = 0;
        pass(1000 * MS);
        for (unsigned i = 0; i < a->n; i++) {
            least = a->heard[i][0] < least ? a->heard[i][0] : least;
            most = a->heard[i][0] > most ? a->heard[i][0] : most;
            sum += a->heard[i][0];
        }
        ck_assert_int_le(abs(least - want[w].least * FULL / 1000), w == 7 ? 100 : 10);  /* its tip has one step */
        ck_assert_int_le(abs(most - want[w].most * FULL / 1000), 10);
        ck_assert_msg(fabs(sum / a->n - want[w].mean * FULL / 1000.0) < 40, "wave %u: %f", w, sum / a->n);
    }
    set(0x105, 0);                              /* as an OPL2 it has four of them */
    a->n = 0;
    carrier(0x21, 0, 6);
    key(0x200, 2, true);
    pass(1000 * MS);
    for (unsigned i = 0; i < a->n; i++)
        ck_assert_int_ge(a->heard[i][0], 0);
}
END_TEST

/* Manual, table of rates: ms for the whole way of an attack, and for 96 dB of a decay. */
START_TEST(envelopes)
{
    static const struct { unsigned rate; double attack, decay; } times[] = {
        { 4, 353.28, 4910.08 }, { 6, 88.32, 1227.52 }, { 8, 22.08, 306.88 }, { 10, 5.52, 76.72 }
    };

    for (unsigned i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
        /* Rates that belong to 4 * nibble + 4: the key code adds four where it scales. */
        unsigned nibble = times[i].rate - 1, n = 0;
        double ms;

        carrier(0x31, 0, 6);
        set(0x63, nibble << 4);
        set(0x83, nibble);
        a->n = 0;
        key(0x3ff, 2, false);                   /* key code 5 */
        key(0x1ff, 2, true);                    /* key code 4 */
        pass((uint64_t)(times[i].attack * 1.5 * MS) + 20 * MS);
        while (n < a->n && abs(a->heard[n][0]) < FULL)
            n++;
        ms = n * 1000.0 / RATE;
        ck_assert_msg(fabs(ms / times[i].attack - 1) < 0.12, "attack %u: %f ms", times[i].rate, ms);
        set(8, 0);                              /* what was due before is made */
        a->n = 0;
        key(0x1ff, 2, false);
        pass((uint64_t)(times[i].decay * 1.2 * MS) + 20 * MS);
        for (n = 0; n < a->n && abs(a->heard[n][0]) > FULL / 1000; n++)         /* 60 dB */
            ;
        ms = n * 1000.0 / RATE * 96 / 60;
        ck_assert_msg(fabs(ms / times[i].decay - 1) < 0.12, "decay %u: %f ms", times[i].rate, ms);
        pass(3000 * MS);
    }
    carrier(0x21, 0, 6);                        /* to the sustain level, and to nothing when the key is up */
    set(0x63, 0xf9);
    set(0x83, 0x4f);
    key(0x244, 4, true);
    pass(1000 * MS);
    a->n = 0;
    pass(100 * MS);
    check_level(peak(0, a->n, 0), -12, 0.3);
    set(0x23, 0x01);                            /* percussive: it goes on falling */
    a->n = 0;
    pass(100 * MS);
    ck_assert_int_eq(peak(2000, a->n, 0), 0);
}
END_TEST

START_TEST(low_frequencies)
{
    int high = 0, low = FULL;

    carrier(0xa1, 0, 6);
    set(0xbd, 0x80);
    key(0x244, 4, true);
    pass(1000 * MS);
    for (unsigned i = 100; i < a->n; i++) {
        high = abs(a->heard[i][0]) > high ? abs(a->heard[i][0]) : high;
        low = abs(a->heard[i][0]) < low ? abs(a->heard[i][0]) : low;
    }
    check_level(high, 0, 0.2);
    check_level(low, -4.8, 0.3);
    set(0xbd, 0x40);                            /* vibrato: 14 cents up and down, as much above as below */
    carrier(0x61, 0, 0);
    a->n = 0;
    pass(2000 * MS);
    ck_assert(fabs(pitch(10) / (0x244 * exp2(-16) * RATE) - 1) < 0.003);
}
END_TEST

START_TEST(sides)
{
    carrier(0x21, 0, 0);
    for (unsigned where = 0; where < 4; where++) {
        set(0xc0, where << 4 | 1);
        key(0x244, 4, true);
        pass(20 * MS);
        a->n = 0;
        pass(20 * MS);
        ck_assert_int_eq(peak(0, a->n, 0) > 4000, where & 1);
        ck_assert_int_eq(peak(0, a->n, 1) > 4000, where >> 1);
    }
    set(0xc0, 0x01);
    set(0x105, 0);                              /* an OPL2 has no sides */
    pass(20 * MS);
    a->n = 0;
    pass(20 * MS);
    ck_assert_int_gt(peak(0, a->n, 0), 4000);
}
END_TEST

/* Operators that add up, by each of the four connections. */
START_TEST(four_operators)
{
    static const struct { uint8_t c0, c3; unsigned heard; } kinds[] = {
        { 0, 0, 1 }, { 0, 1, 2 }, { 1, 0, 2 }, { 1, 1, 3 }
    };
    static const uint8_t ops[4] = { 0x00, 0x03, 0x08, 0x0b };

    for (unsigned i = 0; i < 4; i++) {
        set(0x20 + ops[i], 0x21);
        set(0x40 + ops[i], 0);
        set(0x60 + ops[i], 0xf0);
        set(0x80 + ops[i], 0x0f);
        set(0xe0 + ops[i], 6);                  /* squares: their sum's peak is the number that are added */
    }
    set(0x104, 1);
    for (unsigned k = 0; k < 4; k++) {
        set(0xc0, 0x30 | kinds[k].c0);
        set(0xc3, 0x30 | kinds[k].c3);
        key(0x244, 4, true);
        pass(20 * MS);
        a->n = 0;
        pass(50 * MS);
        ck_assert_int_le(abs(peak(0, a->n, 0) - (int)kinds[k].heard * FULL), 8);
        key(0x244, 4, false);
        pass(20 * MS);
    }
    set(0x104, 0);
    set(0xb3, 0x31);                            /* now the second pair has a key of its own */
    pass(20 * MS);
    a->n = 0;
    pass(20 * MS);
    ck_assert_int_gt(peak(0, a->n, 0), FULL - 8);
}
END_TEST

START_TEST(rhythm)
{
    static const struct { uint8_t bit, ops[2]; } drums[] = {
        { 0x10, { 0x10, 0x13 } }, { 0x08, { 0x14, 0x14 } }, { 0x04, { 0x12, 0x12 } }, { 0x02, { 0x15, 0x15 } },
        { 0x01, { 0x11, 0x11 } }
    };

    for (unsigned ch = 6; ch < 9; ch++) {
        set(0xa0 + ch, 0x44);
        set(0xb0 + ch, 0x0a);
        set(0xc0 + ch, 0x30);
    }
    for (unsigned i = 0; i < 5; i++) {
        for (unsigned k = 0; k < 2; k++) {
            set(0x20 + drums[i].ops[k], 0x21);
            set(0x40 + drums[i].ops[k], 0);
            set(0x60 + drums[i].ops[k], 0xf0);
            set(0x80 + drums[i].ops[k], 0x0f);
        }
        set(0xbd, 0x20 | drums[i].bit);
        a->n = 0;
        pass(50 * MS);
        ck_assert_msg(peak(0, a->n, 0) > FULL * 4 / 3, "drum %02x: %d", drums[i].bit, peak(0, a->n, 0));
        set(0xbd, 0x20);
        pass(50 * MS);
        a->n = 0;
        pass(20 * MS);
        ck_assert_int_eq(peak(0, a->n, 0), 0);
    }
}
END_TEST

/* Before bit 0 of 105h is set, the second half's ports reach the first. */
START_TEST(compatible)
{
    set(0x105, 0);
    carrier(0x21, 0, 0);
    ports_write(b->e->ports, PORT + 2, 0xa0, 1);
    ports_write(b->e->ports, PORT + 3, 0x44, 1);
    ports_write(b->e->ports, PORT + 2, 0xb0, 1);
    ports_write(b->e->ports, PORT + 3, 0x32, 1);
    pass(50 * MS);
    check_level(peak(100, a->n, 0), 0, 0.1);
    teardown();
    start("off");
    carrier(0x21, 0, 1);                        /* waves are off until register 01h says otherwise */
    key(0x244, 4, true);
    pass(50 * MS);
    ck_assert(pitch(10) > 0);
    set(1, 0x20);
    a->n = 0;
    pass(50 * MS);
    ck_assert(pitch(10) == 0);
    check_level(peak(0, a->n, 0), 0, 0.1);
}
END_TEST

START_TEST(hostile)
{
    uint64_t seed = 9;

    for (unsigned i = 0; i < 20000; i++) {
        ports_write(b->e->ports, PORT + bus_env_random(&seed) % 4, bus_env_random(&seed), 1);
        ports_read(b->e->ports, PORT + bus_env_random(&seed) % 4, 1);
        pass(bus_env_random(&seed) % (MS / 4));
        a->n = 0;
        if (i % 2000 == 0)
            env_check_state(b->e);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("opl3");
    TCase *t = tcase_create("opl3");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 60);
    tcase_add_test(t, detection);
    tcase_add_test(t, timers);
    tcase_add_test(t, pitches);
    tcase_add_test(t, levels);
    tcase_add_test(t, waves);
    tcase_add_test(t, envelopes);
    tcase_add_test(t, low_frequencies);
    tcase_add_test(t, sides);
    tcase_add_test(t, four_operators);
    tcase_add_test(t, rhythm);
    tcase_add_test(t, compatible);
    tcase_add_test(t, hostile);
    suite_add_tcase(suite, t);
    return run_suite(suite);
}
