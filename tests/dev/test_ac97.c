/*
 * test_ac97.c - voices and sample clocks; AC97 with a small driver: codec registers, what is played and
 * recorded, interrupts, positions, hostile descriptors.
 */
#include <check.h>
#include <string.h>

#include "tests/dev/audio_env.h"
#include "tests/dev/bus_env.h"
#include "tests/run_suite.h"

#define MS 1000000ull
#define SLOT 3
#define NAM 0xc000
#define NABM 0xc400
#define BDL 0x1000u
#define BUF 0x10000u
#define IRQ SLOT
enum { PI = 0x00, PO = 0x10, MC = 0x20 };

static struct bus_env *b;
static struct audio_env *a;

static uint32_t in(unsigned reg, unsigned size)
{
    return ports_read(b->e->ports, NABM + reg, size);
}

static void out(unsigned reg, uint32_t val, unsigned size)
{
    ports_write(b->e->ports, NABM + reg, val, size);
}

static uint16_t nam(unsigned reg)
{
    return ports_read(b->e->ports, NAM + reg, 2);
}

static void nam_set(unsigned reg, uint16_t val)
{
    ports_write(b->e->ports, NAM + reg, val, 2);
}

static void pass(uint64_t ns)
{
    clock_advance(b->e->clock, ns);
}

static void setup(void)
{
    b = bus_env_new();
    a = audio_env_new(48000);
    bus_env_plug(b, "AC97", "addr", "3", "audiodev", &a->audio, NULL);
    env_config_write(b->e, SLOT << 3, 0x10, NAM, 4);
    env_config_write(b->e, SLOT << 3, 0x14, NABM, 4);
    env_config_write(b->e, SLOT << 3, 4, 5, 2);
    out(0x2c, 2, 4);
    nam_set(0x02, 0);
    nam_set(0x18, 0x808);
}

static void teardown(void)
{
    env_check_state(b->e);
    bus_env_free(b);
    audio_env_free(a);
}

/* Frame i of what the buffers hold. */
static int16_t left(unsigned i)
{
    return (int16_t)(i * 3 - 20000);
}

static void fill(unsigned frames)
{
    for (unsigned i = 0; i < frames; i++)
        ram_put(b, BUF + 4 * i, (uint16_t)left(i) | (uint32_t)(uint16_t)-left(i) << 16);
}

static void descriptor(unsigned n, uint32_t addr, unsigned samples, uint32_t flags)
{
    ram_put(b, BDL + 8 * n, addr);
    ram_put(b, BDL + 8 * n + 4, samples | flags);
}

static void check_heard(unsigned from, unsigned frames)
{
    ck_assert_uint_ge(a->n, from + frames);
    for (unsigned i = 0; i < frames; i++) {
        ck_assert_int_eq(a->heard[from + i][0], left(i));
        ck_assert_int_eq(a->heard[from + i][1], (int16_t)-left(i));
    }
}

START_TEST(pace)
{
    struct audio_pace p;

    audio_pace_start(&p, 1000, 44100);
    ck_assert_uint_eq(audio_pace_due(&p, 1000), 0);
    for (unsigned i = 1; i < 44100; i += 997) {
        uint64_t at = audio_pace_when(&p, i);

        ck_assert_uint_eq(audio_pace_due(&p, at), i);
        ck_assert_uint_eq(audio_pace_due(&p, at - 1), i - 1);
    }
    audio_pace_start(&p, 0, 48000);
    ck_assert_uint_eq(audio_pace_due(&p, 3600 * 1000 * MS), 48000);
    audio_pace_took(&p, 48000);
    ck_assert_uint_eq(audio_pace_due(&p, 3600 * 1000 * MS), 0);
}
END_TEST

START_TEST(convert)
{
    static const uint8_t u8[] = { 0, 128, 255, 192 };
    static const uint8_t s32[] = { 0xff, 0xff, 0x34, 0x12, 0, 0, 0, 0x80 };
    struct audio_format f = { 48000, 1, SAMPLE_U8 };
    struct audio_voice v, w;
    int16_t ramp[1000][2];

    audio_voice_init(&v, &a->audio);
    audio_start(&v, &f);
    audio_write(&v, u8, 4);
    ck_assert_uint_eq(a->n, 4);
    ck_assert_int_eq(a->heard[0][0], -32768);
    ck_assert_int_eq(a->heard[1][0], 0);
    ck_assert_int_eq(a->heard[2][1], 127 * 256);
    f = (struct audio_format){ 48000, 2, SAMPLE_S32 };
    audio_start(&v, &f);
    audio_volume(&v, AUDIO_UNITY, AUDIO_UNITY / 2);
    audio_write(&v, s32, 1);
    ck_assert_int_eq(a->heard[4][0], 0x1234);
    ck_assert_int_eq(a->heard[4][1], -16384);
    a->n = 0;
    audio_volume(&v, AUDIO_UNITY, AUDIO_UNITY);
    f = (struct audio_format){ 24000, 2, SAMPLE_S16 };
    audio_start(&v, &f);
    for (int i = 0; i < 1000; i++)
        ramp[i][0] = ramp[i][1] = (int16_t)(i * 10);
    audio_write(&v, ramp, 1000);
    ck_assert_uint_eq(a->n, 2000);
    for (int i = 10; i < 2000; i++)             /* a frame late, halfway between neighbours */
        ck_assert_int_eq(a->heard[i][0], (i - 2) * 5);
    audio_voice_init(&w, &a->audio);
    f.rate = 48000;
    audio_start(&v, &f);
    audio_start(&w, &f);
    a->n = 0;
    audio_write(&v, ramp, 1000);
    ck_assert_uint_eq(a->n, 0);                 /* the other one is waited for */
    audio_write(&w, ramp, 500);
    ck_assert_uint_eq(a->n, 500);
    ck_assert_int_eq(a->heard[100][0], 2000);
    audio_stop(&w);
    ck_assert_uint_eq(a->n, 1000);
    ck_assert_int_eq(a->heard[900][0], 9000);
    audio_voice_free(&v);
    audio_voice_free(&w);
}
END_TEST

START_TEST(codec)
{
    ck_assert_uint_eq(env_config_read(b->e, SLOT << 3, 0, 4), 0x24158086);
    ck_assert_uint_eq(env_config_read(b->e, SLOT << 3, 8, 4), 0x04010001);
    ck_assert_uint_eq(in(0x30, 4), 0x100);
    ck_assert_uint_eq(nam(0x7c), 0x8384);
    ck_assert_uint_eq(nam(0x26), 0xf);
    nam_set(0x02, 0x3f3f);
    ck_assert_uint_eq(nam(0x02), 0x1f1f);
    ck_assert_uint_eq(nam(0x2c), 48000);
    nam_set(0x2c, 22050);                       /* rates are fixed */
    ck_assert_uint_eq(nam(0x2c), 48000);
    nam_set(0x2a, 1);
    nam_set(0x2c, 22050);
    ck_assert_uint_eq(nam(0x2c), 22050);
    nam_set(0x2c, 1);
    ck_assert_uint_eq(nam(0x2c), 4000);
    nam_set(0x2a, 0);
    ck_assert_uint_eq(nam(0x2c), 48000);
    nam_set(0x7c, 0);
    ck_assert_uint_eq(nam(0x7c), 0x8384);
    ck_assert_uint_eq(in(0x34, 1), 0);
    ck_assert_uint_eq(in(0x34, 1), 1);          /* held until an access to the codec */
    nam_set(0, 0);
    ck_assert_uint_eq(in(0x34, 1), 0);
    ck_assert_uint_eq(nam(0x02), 0x8000);
    out(0x2c, 0, 4);
    ck_assert_uint_eq(nam(0x02), 0xffff);
    ck_assert_uint_eq(in(0x30, 4), 0);
}
END_TEST

START_TEST(play)
{
    fill(9600);
    descriptor(0, BUF, 9600, 0x80000000);       /* 100 ms each */
    descriptor(1, BUF + 19200, 9600, 0);
    out(PO, BDL, 4);
    out(PO + 5, 1, 1);
    out(PO + 0xb, 0x15, 1);
    ck_assert_uint_eq(in(PO + 8, 2), 9600);
    pass(50 * MS);
    ck_assert_uint_eq(in(PO + 8, 2), 4800);
    env_check_state(b->e);
    ck_assert_uint_eq(in(PO + 4, 4), 0x00000100);
    ck_assert(!b->e->line[IRQ]);
    pass(50 * MS);
    ck_assert(b->e->line[IRQ]);
    ck_assert_uint_eq(in(PO + 6, 2), 8);
    ck_assert_uint_eq(in(0x30, 4), 0x140);
    out(PO + 6, 8, 2);
    ck_assert(!b->e->line[IRQ]);
    ck_assert_uint_eq(in(PO + 4, 1), 1);
    ck_assert_uint_eq(in(PO + 0xa, 1), 2);
    pass(100 * MS);
    ck_assert_uint_eq(in(PO + 6, 2), 7);        /* halted at the last valid one */
    ck_assert(b->e->line[IRQ]);
    pass(500 * MS);
    ck_assert_uint_eq(a->n, 9600);
    check_heard(0, 9600);
    /* More, by a new last valid index. */
    descriptor(2, BUF, 960, 0);
    out(PO + 6, 0x1c, 2);
    out(PO + 5, 2, 1);
    ck_assert_uint_eq(in(PO + 6, 2), 0);
    pass(20 * MS);
    ck_assert_uint_eq(in(PO + 6, 2), 7);
    ck_assert_uint_eq(a->n, 9600 + 480);
    check_heard(9600, 480);
    out(PO + 0xb, 2, 1);
    ck_assert_uint_eq(in(PO, 4), 0);
    ck_assert_uint_eq(in(PO + 6, 2), 1);
    ck_assert(!b->e->line[IRQ]);
}
END_TEST

START_TEST(stop_and_go)
{
    fill(4800);
    descriptor(0, BUF, 9600, 0);
    out(PO, BDL, 4);
    out(PO + 0xb, 1, 1);
    pass(30 * MS);
    out(PO + 0xb, 0, 1);
    pass(100 * MS);
    ck_assert_uint_eq(a->n, 1440);
    out(PO + 0xb, 1, 1);
    pass(200 * MS);
    ck_assert_uint_eq(a->n, 4800);
    check_heard(0, 4800);
}
END_TEST

START_TEST(volume_and_rate)
{
    fill(4800);
    descriptor(0, BUF, 9600, 0);
    nam_set(0x02, 0x0400);                      /* 6 dB less at the left */
    nam_set(0x2a, 1);
    nam_set(0x2c, 24000);
    out(PO, BDL, 4);
    out(PO + 0xb, 1, 1);
    pass(100 * MS);
    ck_assert_uint_eq(in(PO + 8, 2), 4800);     /* half the rate */
    ck_assert_uint_eq(a->n, 4800);
    ck_assert_int_eq(a->heard[2000][1], -left(999));
    ck_assert_int_le(a->heard[2000][0] - left(999) * 501 / 1000, 20);
    ck_assert_int_ge(a->heard[2000][0] - left(999) * 501 / 1000, -20);
    nam_set(0x02, 0x8000);
    pass(50 * MS);
    ck_assert_int_eq(a->heard[a->n - 1][0], 0);
}
END_TEST

START_TEST(record)
{
    descriptor(0, BUF, 960, 0x80000000);
    out(PI, BDL, 4);
    out(PI + 0xb, 0x11, 1);
    pass(10 * MS);
    ck_assert(b->e->line[IRQ]);
    ck_assert_uint_eq(in(0x30, 4), 0x120);
    for (unsigned i = 0; i < 480; i++)
        ck_assert_uint_eq(ram_get(b, BUF + 4 * i), i | (-i & 0xffff) << 16);
    descriptor(0, BUF, 960, 0);
    out(MC, BDL, 4);
    out(MC + 0xb, 1, 1);
    pass(20 * MS);
    ck_assert_uint_eq(in(MC + 6, 2), 7);
    ck_assert_uint_eq(ram_get(b, BUF), 0);      /* the mean of both channels */
}
END_TEST

START_TEST(hostile)
{
    out(PO, 0xfffffff8, 4);                     /* no memory there */
    out(PO + 0xb, 0x1d, 1);
    ck_assert_uint_eq(in(PO + 6, 2), 0x11);
    ck_assert(b->e->line[IRQ]);
    out(PO + 0xb, 2, 1);
    memset(b->ram + BDL, 0, 256);               /* only empty ones */
    out(PO, BDL, 4);
    out(PO + 5, 31, 1);
    out(PO + 0xb, 1, 1);
    pass(100 * MS);
    out(PO + 0xb, 2, 1);
    descriptor(0, 0xf0000000, 0xffff, 0);       /* silence */
    out(PO, BDL, 4);
    out(PO + 0xb, 1, 1);
    a->n = 0;
    pass(100 * MS);
    ck_assert_uint_eq(a->n, 4800);
    ck_assert_int_eq(a->heard[100][0], 0);
}
END_TEST

START_TEST(fuzz)
{
    uint64_t seed = 3;

    for (unsigned i = 0; i < 40000; i++) {
        uint32_t v = bus_env_random(&seed), at = bus_env_random(&seed);

        if (v & 1)
            out(at & 0x3f, bus_env_random(&seed) & (v & 2 ? 0xff1f : 0xffffffff), 1u << (at >> 8) % 3);
        else if (v & 4)
            nam_set(at & 0xfe, bus_env_random(&seed));
        else
            ram_put(b, BDL + (at & 0xfc), bus_env_random(&seed) & (at & 0x100 ? 0xfffff : 0xc000003f));
        if (at % 64 == 0) {
            out(PO, BDL, 4);
            out(PI, BDL, 4);
            out(0x2c, 2, 4);
        }
        in(at >> 3 & 0x3f, 4);
        pass(bus_env_random(&seed) % (4 * MS));
        a->n = 0;
        if (i % 5000 == 0)
            env_check_state(b->e);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ac97");
    TCase *t = tcase_create("ac97");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 60);
    tcase_add_test(t, pace);
    tcase_add_test(t, convert);
    tcase_add_test(t, codec);
    tcase_add_test(t, play);
    tcase_add_test(t, stop_and_go);
    tcase_add_test(t, volume_and_rate);
    tcase_add_test(t, record);
    tcase_add_test(t, hostile);
    tcase_add_test(t, fuzz);
    suite_add_tcase(suite, t);
    return run_suite(suite);
}
