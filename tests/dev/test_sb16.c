/*
 * test_sb16.c - Sound Blaster 16 with a small driver: what it says it is, blocks of all kinds, interrupts and DMA that
 * move, volumes, recording, MPU-401, hostile programming.
 */
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/dev/sb16_env.h"
#include "tests/run_suite.h"

#define BUF 0x20000u
#define IRQ 5

static void setup(void)
{
    sb16_setup("0x405", 20000);
}

static void block(uint8_t cmd, uint8_t mode, unsigned units)
{
    dsp(cmd);
    dsp(mode);
    dsp((units - 1) & 0xff);
    dsp((units - 1) >> 8);
}

static void rate(unsigned hz)
{
    dsp(0x41);
    dsp(hz >> 8);
    dsp(hz & 0xff);
}

START_TEST(identity)
{
    static const char text[] = "COPYRIGHT (C) CREATIVE TECHNOLOGY LTD, 1992.";

    dsp(0xe1);
    ck_assert_uint_eq(dsp_answer(), 4);
    ck_assert_uint_eq(dsp_answer(), 5);
    ck_assert(!(in(SB + 0xe) & 0x80));
    dsp(0xe0);
    dsp(0x5c);
    ck_assert_uint_eq(dsp_answer(), 0xa3);
    dsp(0xe4);
    dsp(0x99);
    dsp(0xe8);
    ck_assert_uint_eq(dsp_answer(), 0x99);
    dsp(0xe3);
    for (unsigned i = 0; i < sizeof(text); i++)
        ck_assert_uint_eq(dsp_answer(), (uint8_t)text[i]);
    dsp(0xd8);
    ck_assert_uint_eq(dsp_answer(), 0);
    dsp(0xd1);
    dsp(0xd8);
    ck_assert_uint_eq(dsp_answer(), 0xff);
    out(SB + 0xc, 0xf8);
    ck_assert(in(SB + 0xc) & 0x80);             /* busy for a moment */
    pass(10000);
    ck_assert(!(in(SB + 0xc) & 0x80));
    out(SB + 6, 1);
    out(SB + 6, 0);
    ck_assert(!(in(SB + 0xe) & 0x80));          /* a reset takes its time */
    pass(100000);
    ck_assert(in(SB + 0xe) & 0x80);
    ck_assert_uint_eq(in(SB + 0xa), 0xaa);
    dsp(0x34);                                  /* UART mode takes all for MIDI, until a reset that only ends it */
    dsp(0xe1);
    pass(100000);
    ck_assert(!(in(SB + 0xe) & 0x80));
    ck_assert(dsp_reset());
    dsp(0xe1);
    ck_assert_uint_eq(dsp_answer(), 4);
}
END_TEST

/* What each bit of a parameter adds to the byte, as it was read from cards: the sign differs from call to call. */
START_TEST(dma_ident)
{
    static const int add[4][9] = {
        { 1, -2, -4, 8, -16, 32, 64, -128, -106 }, { -1, 2, -4, 8, 16, -32, 64, -128, 165 },
        { -1, 2, 4, -8, 16, -32, -64, 128, -151 }, { 1, -2, 4, -8, -16, 32, -64, 128, 90 }
    };
    static const uint8_t given[6] = { 0x00, 0xff, 0x5a, 0x3c, 0x01, 0x80 };
    int val = 0xaa;

    for (unsigned i = 0; i < 6; i++) {
        dma_program(1, BUF + i, 1, DMA_WRITE);
        dsp(0xe2);
        dsp(given[i]);
        for (unsigned bit = 0; bit < 8; bit++)
            val += given[i] >> bit & 1 ? add[i % 4][bit] : 0;
        val += add[i % 4][8];
        ck_assert_uint_eq(b->ram[BUF + i], val & 0xff);
    }
    dsp(0xe2);                                  /* the channel's count has ended: it waits */
    dsp(0);
    b->ram[BUF] = 0;
    dma_program(1, BUF, 1, DMA_WRITE);
    ck_assert_uint_ne(b->ram[BUF], 0);
}
END_TEST

static int16_t ramp(unsigned i)
{
    return (int16_t)(i * 7 - 12000);
}

START_TEST(words_auto)
{
    unsigned edges;

    for (unsigned i = 0; i < 8000; i++) {       /* 4000 frames */
        b->ram[BUF + 2 * i] = ramp(i);
        b->ram[BUF + 2 * i + 1] = ramp(i) >> 8;
    }
    rate(20000);
    dma_program(5, BUF, 16000, DMA_READ | DMA_AUTO);
    block(0xb6, 0x30, 2000);                    /* 1000 frames: 50 ms */
    pass(49 * MS);
    ck_assert(!b->e->line[IRQ]);
    pass(2 * MS);
    ck_assert(b->e->line[IRQ]);
    ck_assert_uint_eq(mixer_get(0x82) & 7, 2);
    in(SB + 0xe);
    ck_assert(b->e->line[IRQ]);                 /* that is the other one's acknowledgement */
    in(SB + 0xf);
    ck_assert(!b->e->line[IRQ]);
    env_check_state(b->e);
    pass(149 * MS);
    in(SB + 0xf);
    for (unsigned i = 0; i < 3900; i++) {
        ck_assert_int_eq(a->heard[i][0], ramp(2 * i));
        ck_assert_int_eq(a->heard[i][1], ramp(2 * i + 1));
    }
    dsp(0xd5);                                  /* pauses */
    edges = b->e->edges[IRQ];
    pass(200 * MS);
    ck_assert_uint_eq(b->e->edges[IRQ], edges);
    dsp(0xd6);
    pass(60 * MS);
    ck_assert_uint_eq(b->e->edges[IRQ], edges + 1);
    in(SB + 0xf);
    dsp(0xd9);                                  /* this block is the last */
    pass(60 * MS);
    ck_assert_uint_eq(b->e->edges[IRQ], edges + 2);
    in(SB + 0xf);
    pass(300 * MS);
    ck_assert_uint_eq(b->e->edges[IRQ], edges + 2);
}
END_TEST

START_TEST(bytes_single)
{
    for (unsigned i = 0; i < 2000; i++)
        b->ram[BUF + i] = (uint8_t)(i / 8);
    dsp(0x40);
    dsp(256 - 50);                              /* 20 kHz */
    dma_program(1, BUF, 2000, DMA_READ);
    dsp(0x14);
    dsp(0xe7);
    dsp(0x03);                                  /* 1000 */
    pass(51 * MS);
    ck_assert_uint_eq(mixer_get(0x82) & 7, 1);
    in(SB + 0xe);
    ck_assert(!b->e->line[IRQ]);
    pass(10 * MS);
    for (unsigned i = 0; i < 1000; i++)
        ck_assert_int_eq(a->heard[i][0], ((int)(uint8_t)(i / 8) - 128) * 256);
    ck_assert_int_eq(a->heard[1100][1], (124 - 128) * 256);     /* the last level stands */
    dsp(0x48);                                  /* blocks of 500, until the channel's count ends */
    dsp(0xf3);
    dsp(0x01);
    dsp(0x1c);
    pass(26 * MS);
    ck_assert(b->e->line[IRQ]);
    in(SB + 0xe);
    pass(26 * MS);
    ck_assert(b->e->line[IRQ]);
    in(SB + 0xe);
    pass(100 * MS);
    ck_assert(!b->e->line[IRQ]);                /* stalled: nothing comes by DMA */
    dma_program(1, BUF, 2000, DMA_READ);
    pass(26 * MS);
    ck_assert(b->e->line[IRQ]);
}
END_TEST

START_TEST(every_kind)
{
    static const struct { uint8_t cmd, mode; int val[4]; } kinds[] = {
        { 0xc0, 0x00, { -0x7f00, -0x7e00, -0x7d00, -0x7c00 } }, { 0xc0, 0x10, { 0x100, 0x200, 0x300, 0x400 } },
        { 0xb0, 0x00, { -0x7dff, -0x7bfd, -0x79fb, -0x77f9 } }, { 0xb0, 0x10, { 0x201, 0x403, 0x605, 0x807 } }
    };

    for (unsigned i = 0; i < 64; i++)
        b->ram[BUF + i] = i + 1;
    for (unsigned k = 0; k < 4; k++) {
        a->n = 0;
        rate(20000);
        dma_program(kinds[k].cmd == 0xb0 ? 5 : 1, BUF, 64, DMA_READ);
        block(kinds[k].cmd, kinds[k].mode, 32);
        pass(3 * MS);
        for (unsigned i = 0; i < 4; i++)
            ck_assert_int_eq(a->heard[i][0], kinds[k].val[i]);
        in(SB + 0xe);
        in(SB + 0xf);
        dsp_reset();
    }
    mixer(0x81, 0x02);                          /* no word channel: words by bytes */
    rate(20000);
    a->n = 0;
    dma_program(1, BUF, 64, DMA_READ);
    block(0xb0, 0x30, 32);
    pass(3 * MS);
    ck_assert(b->e->line[IRQ]);
    ck_assert_int_eq(a->heard[0][0], 0x201);
    ck_assert_int_eq(a->heard[0][1], 0x403);
}
END_TEST

/* Worked out by hand from the tables of steps. */
START_TEST(adpcm)
{
    static const uint8_t four[3] = { 0x80, 0x37, 0xf1 };

    rate(20000);
    memcpy(b->ram + BUF, four, 3);
    dma_program(1, BUF, 3, DMA_READ);
    dsp(0x75);
    dsp(2);
    dsp(0);
    pass(2 * MS);
    ck_assert(b->e->line[IRQ]);
    /* 80h; +3; +7, step 2; -(7*2+1), step 4; +(1*4+2) */
    ck_assert_int_eq(a->heard[0][0], 3 * 256);
    ck_assert_int_eq(a->heard[1][0], 10 * 256);
    ck_assert_int_eq(a->heard[2][0], -5 * 256);
    ck_assert_int_eq(a->heard[3][0], 1 * 256);
    in(SB + 0xe);
    dsp_reset();
    rate(20000);
    a->n = 0;
    b->ram[BUF + 1] = 0x5e;                     /* 01 01 11 10 */
    dma_program(1, BUF, 2, DMA_READ);
    dsp(0x17);
    dsp(1);
    dsp(0);
    pass(2 * MS);
    /* +1, step 2; +(2+1), step 4; -(4+2), step 8; -(0+4) */
    ck_assert_int_eq(a->heard[0][0], 1 * 256);
    ck_assert_int_eq(a->heard[1][0], 4 * 256);
    ck_assert_int_eq(a->heard[2][0], -2 * 256);
    ck_assert_int_eq(a->heard[3][0], -6 * 256);
    in(SB + 0xe);
    dsp_reset();
    rate(20000 / 2 * 3);                        /* 10000 bytes a second */
    a->n = 0;
    b->ram[BUF + 1] = 0x6d;                     /* 011 011 01(0) */
    dma_program(1, BUF, 2, DMA_READ);
    dsp(0x77);
    dsp(1);
    dsp(0);
    pass(20 * MS);
    ck_assert(b->e->line[IRQ]);
    ck_assert_int_eq(a->heard[a->n - 1][0], 20 * 256);      /* +3, step 2; +7, step 4; +(2*4+2) stays */
}
END_TEST

START_TEST(lines_move)
{
    ck_assert_uint_eq(mixer_get(0x80), 2);
    ck_assert_uint_eq(mixer_get(0x81), 0x22);
    dsp(0xf2);
    ck_assert(b->e->line[5]);
    ck_assert_uint_eq(mixer_get(0x82) & 7, 1);
    mixer(0x80, 8);
    ck_assert(!b->e->line[5]);
    ck_assert(b->e->line[10]);
    in(SB + 0xe);
    ck_assert(!b->e->line[10]);
    dsp(0xf3);
    ck_assert(b->e->line[10]);
    ck_assert_uint_eq(mixer_get(0x82) & 7, 2);
    mixer(0x80, 1);                             /* interrupt 2 is the second controller's 9 */
    ck_assert(b->e->line[9]);
    in(SB + 0xf);
    ck_assert(!b->e->line[9]);
    mixer(0x81, 0x88);                          /* channels 3 and 7 */
    rate(20000);
    memset(b->ram + BUF, 0x40, 200);
    dma_program(3, BUF, 100, DMA_READ);
    block(0xc0, 0x10, 100);
    pass(6 * MS);
    ck_assert(b->e->line[9]);
    ck_assert_int_eq(a->heard[50][0], 0x4000);
    in(SB + 0xe);
    dma_program(7, BUF, 200, DMA_READ);
    block(0xb0, 0x10, 100);
    pass(6 * MS);
    ck_assert_uint_eq(mixer_get(0x82) & 7, 2);
    mixer(0, 0);                                /* a reset of the mixer leaves them */
    ck_assert_uint_eq(mixer_get(0x80), 1);
    ck_assert_uint_eq(mixer_get(0x81), 0x88);
}
END_TEST

START_TEST(mixer_registers)
{
    mixer(0, 0);
    for (uint8_t reg = 0x30; reg < 0x36; reg++)
        ck_assert_uint_eq(mixer_get(reg), 0xc0);
    ck_assert_uint_eq(mixer_get(0x3c), 0x1f);
    ck_assert_uint_eq(mixer_get(0x3d), 0x15);
    ck_assert_uint_eq(mixer_get(0x3e), 0x0b);
    ck_assert_uint_eq(mixer_get(0x44), 0x80);
    ck_assert_uint_eq(mixer_get(0x22), 0xcc);
    mixer(0x22, 0x5a);                          /* the Pro's registers are the same volumes */
    ck_assert_uint_eq(mixer_get(0x30) & 0xf0, 0x50);
    ck_assert_uint_eq(mixer_get(0x31) & 0xf0, 0xa0);
    mixer(0x0a, 5);
    ck_assert_uint_eq(mixer_get(0x3a) >> 5, 5);
    ck_assert_uint_eq(mixer_get(0x0a), 5);
    mixer(0x30, 0xff);
    ck_assert_uint_eq(mixer_get(0x30), 0xf8);
    ck_assert_uint_eq(mixer_get(0x22), 0xfa);
    ck_assert_uint_eq(mixer_get(0x20), 0);
}
END_TEST

START_TEST(volumes)
{
    rate(20000);
    memset(b->ram + BUF, 0x40, 2000);
    dma_program(1, BUF, 2000, DMA_READ | DMA_AUTO);
    block(0xc6, 0x10, 2000);
    mixer(0x32, 28 << 3);                       /* left: 6 dB less */
    mixer(0x31, 21 << 3);                       /* right: 20 dB less, then 6 more */
    mixer(0x42, 0x40);
    a->n = 0;
    pass(20 * MS);
    ck_assert_int_le(abs(a->heard[300][0] - (int)(0x4000 * pow(10, -0.3))), 2);
    ck_assert_int_le(abs(a->heard[300][1] - 0x4000 / 10 * 2), 4);
}
END_TEST

START_TEST(direct)
{
    unsigned rises = 0;

    for (unsigned i = 0; i < 4000; i++) {       /* 500 Hz, a write every 25 us or so */
        dsp(0x10);
        dsp(i / 40 & 1 ? 0xe0 : 0x20);
        pass(21000);
    }
    for (unsigned i = 1; i < a->n; i++)
        rises += a->heard[i - 1][0] < 0 && a->heard[i][0] >= 0;
    ck_assert_uint_ge(rises, 48);
    ck_assert_uint_le(rises, 51);
    pass(500 * MS);
    ck_assert_uint_lt(a->n, 20000 * 3 / 10);    /* it does not play for ever */
}
END_TEST

START_TEST(recording)
{
    mixer(0x3d, 0x01);                          /* the microphone at full volume, both sides */
    mixer(0x3e, 0x01);
    mixer(0x3a, 0xf8);
    rate(20000);
    dma_program(5, BUF, 4000, DMA_WRITE);
    block(0xb8, 0x30, 2000);
    pass(51 * MS);
    ck_assert_uint_eq(mixer_get(0x82) & 7, 2);
    for (unsigned i = 0; i < 1000; i++)
        ck_assert_uint_eq(ram_get(b, BUF + 4 * i), i | (-i & 0xffff) << 16);
    mixer(0x3d, 0);                             /* nothing is selected: silence */
    mixer(0x3e, 0);
    in(SB + 0xf);
    dma_program(1, BUF, 100, DMA_WRITE);
    dsp(0x24);
    dsp(99);
    dsp(0);
    pass(6 * MS);
    ck_assert_uint_eq(mixer_get(0x82) & 7, 1);
    for (unsigned i = 0; i < 100; i++)
        ck_assert_uint_eq(b->ram[BUF + i], 0x80);
    dsp(0x20);
    ck_assert_uint_eq(dsp_answer(), 0x80);
}
END_TEST

START_TEST(silence)
{
    rate(20000);
    dsp(0x80);
    dsp(0xcf);
    dsp(0x07);                                  /* 2000: 100 ms, without DMA */
    pass(99 * MS);
    ck_assert(!b->e->line[IRQ]);
    pass(2 * MS);
    ck_assert(b->e->line[IRQ]);
    ck_assert_int_eq(a->heard[1000][0], 0);
}
END_TEST

/* A Sound Blaster Pro: stereo by the mixer, high speed that only a reset ends, the speaker's switch. */
START_TEST(pro)
{
    sb16_teardown();
    sb16_setup("0x302", 11111);
    dsp(0xe1);
    ck_assert_uint_eq(dsp_answer(), 3);
    ck_assert_uint_eq(dsp_answer(), 2);
    dsp(0xb0);                                  /* no command: nothing follows it */
    dsp(0xe0);
    dsp(0x0f);
    ck_assert_uint_eq(dsp_answer(), 0xf0);
    for (unsigned i = 0; i < 4000; i++)
        b->ram[BUF + i] = i & 1 ? 0x90 : 0x70;
    mixer(0x0e, 2);
    dsp(0xd1);
    dsp(0x40);
    dsp(256 - 45);                              /* 22222 bytes a second: 11111 frames */
    dsp(0x48);
    dsp(0x9f);
    dsp(0x0f);
    dma_program(1, BUF, 4000, DMA_READ | DMA_AUTO);
    dsp(0x90);
    pass(100 * MS);
    ck_assert_int_eq(a->heard[500][0], -0x1000);
    ck_assert_int_eq(a->heard[500][1], 0x1000);
    ck_assert(in(SB + 0xc) & 0x80);
    pass(90 * MS);
    ck_assert(b->e->line[IRQ]);
    in(SB + 0xe);
    ck_assert(dsp_reset());
    pass(500 * MS);
    ck_assert(!b->e->line[IRQ]);
    dsp(0xe1);
    ck_assert_uint_eq(dsp_answer(), 3);
}
END_TEST

START_TEST(mpu)
{
    ck_assert_uint_eq(in(0x331) & 0xc0, 0x80);
    out(0x331, 0xff);
    ck_assert_uint_eq(in(0x331) & 0xc0, 0);
    ck_assert_uint_eq(in(0x330), 0xfe);
    ck_assert_uint_eq(in(0x331) & 0xc0, 0x80);
    out(0x331, 0x3f);
    ck_assert_uint_eq(in(0x330), 0xfe);
    out(0x330, 0x90);
    ck_assert_uint_eq(in(0x331) & 0xc0, 0x80);
    out(0x331, 0x3f);                           /* UART mode knows the reset only, and does not acknowledge it */
    ck_assert_uint_eq(in(0x331) & 0xc0, 0x80);
    out(0x331, 0xff);
    ck_assert_uint_eq(in(0x331) & 0xc0, 0x80);
    out(0x331, 0xff);
    ck_assert_uint_eq(in(0x330), 0xfe);
}
END_TEST

START_TEST(hostile)
{
    uint64_t seed = 5;

    rate(44100);
    dma_program(1, BUF, 100, DMA_WRITE);        /* the wrong direction */
    block(0xc6, 0x00, 1);
    pass(100 * MS);
    block(0xb6, 0x30, 65536);
    mixer(0x81, 0);
    pass(100 * MS);
    for (unsigned i = 0; i < 30000; i++) {
        uint32_t v = bus_env_random(&seed), at = bus_env_random(&seed);

        if (v % 64 == 0)
            dma_program(at & 1 ? 1 : 5, at & 0xffffff, (at >> 8 & 0xfff) + 2, at >> 20 & 0xfc);
        else if (v % 8 == 0)
            mixer(at % 3 ? 0x80 | at >> 8 % 4 : at >> 8, bus_env_random(&seed));
        else if (v % 100 == 1)
            dsp_reset();
        else
            out(at & 0x100 ? SB + (at & 15) : SB + 0xc, bus_env_random(&seed));
        in(SB + (at >> 4 & 15));
        pass(bus_env_random(&seed) % MS);
        a->n = 0;
        if (i % 3000 == 0)
            env_check_state(b->e);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sb16");
    TCase *t = tcase_create("sb16");

    tcase_add_checked_fixture(t, setup, sb16_teardown);
    tcase_set_timeout(t, 60);
    tcase_add_test(t, identity);
    tcase_add_test(t, dma_ident);
    tcase_add_test(t, words_auto);
    tcase_add_test(t, bytes_single);
    tcase_add_test(t, every_kind);
    tcase_add_test(t, adpcm);
    tcase_add_test(t, lines_move);
    tcase_add_test(t, mixer_registers);
    tcase_add_test(t, volumes);
    tcase_add_test(t, direct);
    tcase_add_test(t, recording);
    tcase_add_test(t, silence);
    tcase_add_test(t, pro);
    tcase_add_test(t, mpu);
    tcase_add_test(t, hostile);
    suite_add_tcase(suite, t);
    return run_suite(suite);
}
