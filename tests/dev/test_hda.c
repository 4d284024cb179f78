/*
 * test_hda.c - HD audio with a small driver: link reset, commands by ring and directly, the codec's tree,
 * what is played and recorded, positions, interrupts, formats, hostile rings and buffers.
 */
#include <check.h>
#include <string.h>

#include "tests/dev/audio_env.h"
#include "tests/dev/bus_env.h"
#include "tests/run_suite.h"

#define MS 1000000ull
#define SLOT 5
#define MMIO 0xe0000000u
#define IRQ (SLOT & 3)
#define CORB 0x1000u
#define RIRB 0x2000u
#define POS 0x3000u
#define BDL 0x4000u
#define BUF 0x10000u
#define SD(n) (0x80 + 0x20 * (n))
#define OUT 4                   /* the first stream out */

static struct bus_env *b;
static struct audio_env *a;

static uint32_t in(unsigned reg, unsigned size)
{
    return phys_io_read(b->e->phys, MMIO + reg, size);
}

static void out(unsigned reg, uint32_t val, unsigned size)
{
    phys_io_write(b->e->phys, MMIO + reg, val, size);
}

static void pass(uint64_t ns)
{
    clock_advance(b->e->clock, ns);
}

static void setup(void)
{
    b = bus_env_new();
    a = audio_env_new(48000);
    bus_env_plug(b, "intel-hda", "addr", "5", NULL);
    bus_env_plug(b, "hda-duplex", "audiodev", &a->audio, NULL);
    env_config_write(b->e, SLOT << 3, 0x10, MMIO, 4);
    env_config_write(b->e, SLOT << 3, 4, 6, 2);
    out(0x08, 1, 4);
}

static void teardown(void)
{
    env_check_state(b->e);
    bus_env_free(b);
    audio_env_free(a);
}

static uint32_t verb(unsigned node, uint32_t v)
{
    out(0x60, node << 20 | v, 4);
    out(0x68, 1, 2);
    ck_assert_uint_eq(in(0x68, 2), 2);
    out(0x68, 2, 2);
    ck_assert_uint_eq(in(0x68, 2), 0);
    return in(0x64, 4);
}

static void stream(unsigned n, unsigned fmt, unsigned bytes, unsigned parts)
{
    for (unsigned i = 0; i < parts; i++) {
        ram_put(b, BDL + 16 * i, BUF + bytes / parts * i);
        ram_put(b, BDL + 16 * i + 4, 0);
        ram_put(b, BDL + 16 * i + 8, bytes / parts);
        ram_put(b, BDL + 16 * i + 12, 1);
    }
    out(SD(n) + 0x18, BDL, 4);
    out(SD(n) + 0x08, bytes, 4);
    out(SD(n) + 0x0c, parts - 1, 2);
    out(SD(n) + 0x12, fmt, 2);
    out(SD(n) + 0x02, 0x50, 1);                 /* tag 5 */
}

/* Node 2 plays stream 5 at full volume. */
static void route(void)
{
    verb(2, 0x70650);
    verb(3, 0x70740);
    verb(2, 0x3b03f);
}

START_TEST(reset)
{
    ck_assert_uint_eq(env_config_read(b->e, SLOT << 3, 0, 4), 0x26688086);
    ck_assert_uint_eq(env_config_read(b->e, SLOT << 3, 8, 4), 0x04030001);
    ck_assert_uint_eq(in(0, 4), 0x01004401);
    ck_assert_uint_eq(in(0x0e, 2), 1);
    out(0x0e, 1, 2);
    ck_assert_uint_eq(in(0x0e, 2), 0);
    ck_assert_uint_eq(in(0x4e, 1), 0x42);
    pass(MS);
    ck_assert_uint_eq(in(0x30, 4), 24000);
    out(0x40, 0x12345678, 4);
    ck_assert_uint_eq(in(0x40, 4), 0x12345600);
    out(0x08, 0, 1);
    ck_assert_uint_eq(in(0x08, 4), 0);
    ck_assert_uint_eq(in(0x40, 4), 0);
    out(0x40, 0x12345678, 4);
    ck_assert_uint_eq(in(0x40, 4), 0);
    ck_assert_uint_eq(in(0x30, 4), 0);
    out(0x0c, 1, 2);
    out(0x20, 0xc0000000, 4);
    out(0x08, 1, 1);
    out(0x20, 0xc0000000, 4);
    ck_assert_uint_eq(in(0x24, 4), 0xc0000000);
    ck_assert(b->e->line[IRQ]);
    out(0x0e, 0xff, 2);
    ck_assert(!b->e->line[IRQ]);
    ck_assert_uint_eq(in(SD(0) + 3, 1), 0x20);
    ck_assert_uint_eq(in(0x2000, 4), 0);
}
END_TEST

START_TEST(codec)
{
    ck_assert_uint_eq(verb(0, 0xf0000), 0x1af40022);
    ck_assert_uint_eq(verb(0, 0xf0004), 0x00010001);
    ck_assert_uint_eq(verb(1, 0xf0004), 0x00020004);
    ck_assert_uint_eq(verb(1, 0xf0005), 1);
    ck_assert_uint_eq(verb(2, 0xf0009) >> 20, 0);
    ck_assert_uint_eq(verb(3, 0xf0009) >> 20, 4);
    ck_assert_uint_eq(verb(4, 0xf0009) >> 20, 1);
    ck_assert_uint_eq(verb(3, 0xf000e), 1);
    ck_assert_uint_eq(verb(3, 0xf0200), 2);
    ck_assert_uint_eq(verb(3, 0xf1c00), 0x01014010);
    verb(3, 0x71fab);
    ck_assert_uint_eq(verb(3, 0xf1c00), 0xab014010);
    verb(2, 0x24011);
    ck_assert_uint_eq(verb(2, 0xa0000), 0x4011);
    verb(2, 0x3a020);                           /* left alone */
    ck_assert_uint_eq(verb(2, 0xba000), 0x20);
    ck_assert_uint_eq(verb(2, 0xb8000), 0x3f);
    verb(2, 0x3b0ff);
    ck_assert_uint_eq(verb(2, 0xb8000), 0xbf);
    verb(1, 0x70503);
    ck_assert_uint_eq(verb(1, 0xf0500), 0x33);
    ck_assert_uint_eq(verb(9, 0xf0009), 0);
    verb(1, 0x7ff00);
    ck_assert_uint_eq(verb(3, 0xf1c00), 0x01014010);
    ck_assert_uint_eq(verb(1, 0xf0500), 0);
    out(0x60, 0x300f0000, 4);                   /* nobody at that address */
    out(0x68, 1, 2);
    ck_assert_uint_eq(in(0x68, 2), 0);
}
END_TEST

START_TEST(rings)
{
    out(0x40, CORB, 4);
    out(0x50, RIRB, 4);
    out(0x4a, 0x8000, 2);
    ck_assert_uint_eq(in(0x4a, 2), 0x8000);
    out(0x4a, 0, 2);
    out(0x58, 0x8000, 2);
    out(0x5a, 2, 2);
    out(0x5c, 3, 1);
    out(0x20, 0xc0000000, 4);
    ram_put(b, CORB + 4, 0x000f0000);
    ram_put(b, CORB + 8, 0x001f0005);
    out(0x48, 2, 2);
    ck_assert_uint_eq(in(0x4a, 2), 0);          /* not started */
    out(0x4c, 2, 1);
    ck_assert_uint_eq(in(0x4a, 2), 2);
    ck_assert_uint_eq(in(0x58, 2), 2);
    ck_assert_uint_eq(ram_get(b, RIRB + 8), 0x1af40022);
    ck_assert_uint_eq(ram_get(b, RIRB + 16), 1);
    ck_assert_uint_eq(in(0x5d, 1), 1);
    ck_assert(b->e->line[IRQ]);
    ck_assert_uint_eq(in(0x24, 4), 0xc0000000);
    out(0x5d, 1, 1);
    ck_assert(!b->e->line[IRQ]);
    for (unsigned i = 0; i < 256; i++)
        ram_put(b, CORB + 4 * i, 0x000f0000);
    out(0x48, 1, 2);                            /* round the end */
    ck_assert_uint_eq(in(0x4a, 2), 1);
    ck_assert_uint_eq(in(0x58, 2), 1);
    ck_assert_uint_eq(in(0x5d, 1), 1);
    out(0x40, 0xf0000000, 4);
    out(0x48, 5, 2);
    ck_assert_uint_eq(in(0x4d, 1), 1);
    ck_assert_uint_eq(in(0x4c, 1), 0);
}
END_TEST

START_TEST(play)
{
    route();
    for (unsigned i = 0; i < 4800; i++)
        ram_put(b, BUF + 4 * i, i | (uint32_t)(uint16_t)-i << 16);
    stream(OUT, 0x0011, 19200, 2);
    out(0x70, POS | 1, 4);
    out(0x20, 0x80000000 | 1 << OUT, 4);
    out(SD(OUT), 6, 1);
    pass(25 * MS);
    ck_assert_uint_eq(in(SD(OUT) + 4, 4), 4800);
    ck_assert_uint_eq(ram_get(b, POS + 8 * OUT), 4800);
    ck_assert(!b->e->line[IRQ]);
    env_check_state(b->e);
    pass(25 * MS);
    ck_assert(b->e->line[IRQ]);
    ck_assert_uint_eq(in(0x24, 4), 0x80000010);
    ck_assert_uint_eq(in(SD(OUT) + 3, 1), 0x24);
    out(SD(OUT) + 3, 4, 1);
    ck_assert(!b->e->line[IRQ]);
    pass(75 * MS);
    ck_assert_uint_eq(in(SD(OUT) + 4, 4), 4800);        /* round the end */
    ck_assert_uint_eq(a->n, 6000);
    for (unsigned i = 0; i < 6000; i++) {
        ck_assert_int_eq(a->heard[i][0], (int16_t)(i % 4800));
        ck_assert_int_eq(a->heard[i][1], (int16_t)-(i % 4800));
    }
    out(SD(OUT), 0, 1);
    pass(50 * MS);
    ck_assert_uint_eq(in(SD(OUT) + 4, 4), 4800);
    ck_assert_uint_eq(a->n, 6000);
    out(SD(OUT), 2, 1);                         /* goes on where it was */
    pass(10 * MS);
    ck_assert_uint_eq(a->n, 6480);
    ck_assert_int_eq(a->heard[6000][0], 1200);
    out(SD(OUT), 1, 1);
    ck_assert_uint_eq(in(SD(OUT), 1), 1);
    ck_assert_uint_eq(in(SD(OUT) + 8, 4), 0);
    out(SD(OUT), 0, 1);
    ck_assert_uint_eq(in(SD(OUT), 1), 0);
}
END_TEST

START_TEST(formats)
{
    route();
    memset(b->ram + BUF, 0, 0x10000);
    for (unsigned i = 0; i < 2000; i++)         /* 24 bits in 32, mono, in buffers that cut frames */
        ram_put(b, BUF + 4 * i, i << 16);
    stream(OUT, 0x0030, 6003, 3);
    out(SD(OUT), 2, 1);
    pass(20 * MS);
    ck_assert_uint_eq(in(SD(OUT) + 4, 4), 3840);
    ck_assert_uint_eq(a->n, 960);
    for (unsigned i = 0; i < 960; i++) {
        ck_assert_int_eq(a->heard[i][0], i);
        ck_assert_int_eq(a->heard[i][1], i);
    }
    out(SD(OUT), 1, 1);
    out(SD(OUT), 0, 1);
    stream(OUT, 0x4111, 8000, 1);               /* 22050 Hz */
    out(SD(OUT), 2, 1);
    pass(40 * MS);
    ck_assert_uint_eq(in(SD(OUT) + 4, 4), 882 * 4);
    verb(2, 0x3b0bf);                           /* mute */
    a->n = 0;
    pass(20 * MS);
    ck_assert_uint_gt(a->n, 900);
    for (unsigned i = 0; i < a->n; i++)
        ck_assert_int_eq(a->heard[i][0], 0);
}
END_TEST

START_TEST(record)
{
    verb(4, 0x70650);
    stream(0, 0x0011, 1920, 1);
    out(0x20, 0x80000001, 4);
    out(SD(0), 6, 1);
    pass(10 * MS);
    ck_assert(b->e->line[IRQ]);
    for (unsigned i = 0; i < 480; i++)
        ck_assert_uint_eq(ram_get(b, BUF + 4 * i), i | (-i & 0xffff) << 16);
    verb(4, 0x70600);                           /* no converter belongs to it */
    pass(10 * MS);
    ck_assert_uint_eq(ram_get(b, BUF + 4), 0);
}
END_TEST

START_TEST(messages)
{
    unsigned cap = env_config_read(b->e, SLOT << 3, 0x34, 1);

    ck_assert_uint_eq(env_config_read(b->e, SLOT << 3, cap, 1), 5);
    env_config_write(b->e, SLOT << 3, cap + 4, 0xfee00000, 4);
    env_config_write(b->e, SLOT << 3, cap + 12, 0x41, 2);
    env_config_write(b->e, SLOT << 3, cap + 2, 1, 2);
    out(0x20, 0xc0000000, 4);
    out(0x0c, 1, 2);
    ck_assert_uint_eq(b->msis, 1);
    ck_assert_uint_eq(b->msi_data, 0x41);
    ck_assert(!b->e->line[IRQ]);
    out(0x0e, 1, 2);
    ck_assert_uint_eq(b->msis, 1);
}
END_TEST

START_TEST(hostile)
{
    route();
    stream(OUT, 0x0011, 4096, 1);
    out(SD(OUT) + 0x18, 0xf0000000, 4);
    out(0x20, 0x80000010, 4);
    out(SD(OUT), 0x12, 1);
    ck_assert_uint_eq(in(SD(OUT) + 3, 1), 0x30);
    ck_assert_uint_eq(in(SD(OUT), 1), 0x10);
    ck_assert(b->e->line[IRQ]);
    out(SD(OUT) + 3, 0x10, 1);
    memset(b->ram + BDL, 0, 4096);              /* buffers of nothing */
    out(SD(OUT) + 0x18, BDL, 4);
    out(SD(OUT), 2, 1);
    pass(100 * MS);
    out(SD(OUT), 1, 1);
    out(SD(OUT), 0, 1);
    stream(OUT, 0x0011, 4096, 1);
    ram_put(b, BDL, 0xf0000000);                /* silence */
    out(SD(OUT), 2, 1);
    a->n = 0;
    pass(10 * MS);
    ck_assert_uint_eq(a->n, 480);
}
END_TEST

START_TEST(fuzz)
{
    uint64_t seed = 11;

    for (unsigned i = 0; i < 6000; i++) {
        uint32_t v = bus_env_random(&seed), at = bus_env_random(&seed);

        if (v & 1)
            out(at & 0x1fc ? at & 0x1ff & ~3u : at & 0x3fff & ~3u,
                bus_env_random(&seed) & (v & 2 ? 0x0001ffff : 0xffffffff), 4);
        else if (v & 4)
            out(SD(at & 7) + (v >> 8 & 0x1f), bus_env_random(&seed), 1);
        else
            ram_put(b, BDL + (at & 0xffc), bus_env_random(&seed) & (at & 0x1000 ? 0xfffff : 0x1f));
        if (at % 64 == 0) {
            out(8, 1, 4);
            for (unsigned n = 0; n < 8; n++) {
                out(SD(n) + 0x18, BDL, 4);
                out(SD(n) + 0x1c, 0, 4);
                out(SD(n), 2, 1);
                out(SD(n) + 2, n << 4, 1);
            }
        }
        if (v & 0x800) {
            out(0x60, bus_env_random(&seed) & 0x00ffffff & ~(v & 0x1000 ? 0xf00000u : 0), 4);
            out(0x68, 1, 2);
        }
        in(at >> 4 & 0x1fc, 4);
        pass(bus_env_random(&seed) % (4 * MS));
        a->n = 0;
        if (i % 1000 == 0)
            env_check_state(b->e);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("hda");
    TCase *t = tcase_create("hda");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 60);
    tcase_add_test(t, reset);
    tcase_add_test(t, codec);
    tcase_add_test(t, rings);
    tcase_add_test(t, play);
    tcase_add_test(t, formats);
    tcase_add_test(t, record);
    tcase_add_test(t, messages);
    tcase_add_test(t, hostile);
    tcase_add_test(t, fuzz);
    suite_add_tcase(suite, t);
    return run_suite(suite);
}
