/*
 * test_vbe.c - VBE modes and registers, the registers' memory, damage, and a fuzzer of all that the VGA has.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/dev/vga_env.h"
#include "tests/run_suite.h"

/* ---- VBE ---- */

static void vbe_mode(unsigned w, unsigned h, unsigned bpp, unsigned flags)
{
    vbe(VBE_ENABLE, 0);
    vbe(VBE_XRES, w);
    vbe(VBE_YRES, h);
    vbe(VBE_BPP, bpp);
    vbe(VBE_ENABLE, VBE_ON | flags);
    attr(0, 0);
}

static unsigned wide5(unsigned c)
{
    return c << 3 | c >> 2;
}

START_TEST(vbe_pictures)
{
    static const unsigned depth[] = { 8, 15, 16, 24, 32 };
    const struct surface *s;

    set_mode(&mode3);
    fill(0x100000);
    for (unsigned k = 0; k < 5; k++) {
        unsigned bpp = depth[k], bytes = (bpp + 7) / 8, pitch = 900 * bytes;

        vbe_mode(800, 600, bpp, VBE_LFB | VBE_KEEP);
        ck_assert_uint_eq(vbe_get(VBE_VIRT_WIDTH), 800);
        vbe(VBE_VIRT_WIDTH, 900);
        vbe(VBE_X_OFFSET, 60);
        vbe(VBE_Y_OFFSET, 30);
        s = look();
        ck_assert_uint_eq(s->width, 800);
        ck_assert_uint_eq(s->height, 600);
        for (unsigned y = 0; y < 600; y++)
            for (unsigned x = 0; x < 800; x++) {
                const uint8_t *p = v->vram + (y + 30) * pitch + (x + 60) * bytes;
                unsigned w = p[0] | p[1] << 8;
                uint32_t want = bpp == 8 ? rgb(p[0]) :
                    bpp == 15 ? wide5(w >> 10 & 31) << 16 | wide5(w >> 5 & 31) << 8 | wide5(w & 31) :
                    bpp == 16 ? wide5(w >> 11) << 16 | ((w >> 3 & 0xfc) | (w >> 9 & 3)) << 8 | wide5(w & 31) :
                    p[0] | p[1] << 8 | (uint32_t)p[2] << 16;

                if (dot(s, x, y) != want)
                    ck_abort_msg("%u bits: %u,%u is %06x, not %06x", bpp, x, y, dot(s, x, y), want);
            }
    }
    vbe_mode(640, 480, 4, VBE_KEEP);
    vbe(VBE_VIRT_WIDTH, 1024);
    vbe(VBE_X_OFFSET, 13);
    s = look();
    for (unsigned y = 0; y < 480; y++)
        for (unsigned x = 0; x < 640; x++) {
            unsigned n = y * 128 + (x + 13) / 8, c = 0;

            for (unsigned p = 0; p < 4; p++)
                c |= (v->vram[4 * n + p] >> (7 - (x + 13) % 8) & 1u) << p;
            ck_dot(s, x, y, mode3.ac[c]);
        }
    /* Not possible, and what is left of that. */
    vbe_mode(1600, 1200, 32, 0);
    ck_assert_uint_eq(vbe_get(VBE_ENABLE) & 1, 0);
    vbe_mode(800, 600, 7, 0);
    ck_assert_uint_eq(vbe_get(VBE_ENABLE) & 1, 0);
    s = look();
    ck_assert_uint_eq(s->width, 720);
}
END_TEST

START_TEST(vbe_registers)
{
    static const uint8_t byte = 0xa5;
    uint8_t b;

    ck_assert_uint_eq(vbe_get(VBE_ID), 0xb0c5);
    vbe(VBE_ID, 0xb0c0);
    ck_assert_uint_eq(vbe_get(VBE_ID), 0xb0c0);
    vbe(VBE_ID, 0xb0c6);
    ck_assert_uint_eq(vbe_get(VBE_ID), 0xb0c0);
    ck_assert_uint_eq(vbe_get(VBE_MEMORY), 64);
    vbe(VBE_ENABLE, VBE_CAPS);
    ck_assert_uint_eq(vbe_get(VBE_XRES), 2560);
    ck_assert_uint_eq(vbe_get(VBE_YRES), 1600);
    ck_assert_uint_eq(vbe_get(VBE_BPP), 32);
    out(0x3c2, 0x63);
    reg(0x3ce, 6, 5);
    /* Memory is cleared unless told not to. */
    phys_write(e->phys, LFB + 12345, &byte, 1);
    vbe_mode(1024, 768, 32, VBE_KEEP);
    phys_read(e->phys, LFB + 12345, &b, 1);
    ck_assert_uint_eq(b, 0xa5);
    vbe_mode(1024, 768, 32, 0);
    phys_read(e->phys, LFB + 12345, &b, 1);
    ck_assert_uint_eq(b, 0);
    ck_assert_uint_eq(vbe_get(VBE_VIRT_HEIGHT), 1024);
    vbe(VBE_Y_OFFSET, 600);             /* as far as memory goes */
    ck_assert_uint_eq(vbe_get(VBE_Y_OFFSET), 256);
    vbe(VBE_X_OFFSET, 5);
    ck_assert_uint_eq(vbe_get(VBE_X_OFFSET), 0);
    /* Banks of 64 KiB in the window. */
    for (unsigned bank = 0; bank < 64; bank += 9) {
        vbe(VBE_BANK, bank);
        poke(0x1234, bank + 1);
        phys_read(e->phys, LFB + (bank << 16) + 0x1234, &b, 1);
        ck_assert_uint_eq(b, bank + 1);
        ck_assert_uint_eq(peek(0x1234), bank + 1);
    }
    vbe(VBE_BANK, 64 + 3);
    ck_assert_uint_eq(vbe_get(VBE_BANK), 3);
    /* Planes have a quarter of the banks: one beyond them does not stay behind, what is loaded is what was saved. */
    vbe(VBE_BANK, 16 + 2);
    vbe(VBE_BPP, 4);
    ck_assert_uint_eq(vbe_get(VBE_BANK), 2);
    /* 8 bits for each colour. */
    vbe_mode(640, 480, 8, VBE_DAC8);
    out(0x3c8, 0);
    out(0x3c9, 0x12);
    out(0x3c9, 0xc4);
    out(0x3c9, 0xff);
    ck_assert_uint_eq(dot(look(), 0, 0), 0x12c4ff);
    vbe(VBE_ENABLE, VBE_ON);
    ck_assert_uint_eq(dot(look(), 0, 0), 0x4910ff);
}
END_TEST

START_TEST(mmio)
{
    unsigned sum = 0;

    ck_assert_ptr_nonnull(phys_map_io(e->phys, 0xfe000000, VGA_MMIO_LEN, &vga_mmio_ops, v, "mmio"));
    for (unsigned i = 0; i < 128; i++)
        sum += phys_io_read(e->phys, 0xfe000000 + i, 1);
    ck_assert_uint_eq(sum & 0xff, 0);
    ck_assert_uint_eq(phys_io_read(e->phys, 0xfe000000, 4), 0xffffff00);
    vga_monitor(v, 1920, 1080);
    ck_assert_uint_eq(phys_io_read(e->phys, 0xfe000000 + 56, 1) | phys_io_read(e->phys, 0xfe000000 + 58, 1) >> 4 << 8, 1920);
    ck_assert_uint_eq(phys_io_read(e->phys, 0xfe000000 + 59, 1) | phys_io_read(e->phys, 0xfe000000 + 61, 1) >> 4 << 8, 1080);
    ck_assert_uint_eq(phys_io_read(e->phys, 0xfe000500, 2), 0xb0c5);
    ck_assert_uint_eq(phys_io_read(e->phys, 0xfe000514, 2), 64);
    phys_io_write(e->phys, 0xfe000502, 1024, 2);
    ck_assert_uint_eq(vbe_get(VBE_XRES), 1024);
    phys_io_write(e->phys, 0xfe000402, 0x67, 1);
    ck_assert_uint_eq(in(0x3cc), 0x67);
    phys_io_write(e->phys, 0xfe000404, 0x0b02, 2);
    ck_assert_uint_eq(get(0x3c4, 2), 0x0b);
    ck_assert_uint_eq(phys_io_read(e->phys, 0xfe000405, 1), 0x0b);
    ck_assert_uint_eq(phys_io_read(e->phys, 0xfe000700, 2), 0xffff);
}
END_TEST

START_TEST(damage)
{
    uint32_t white = 0xffffff;

    vbe_mode(1024, 768, 32, 0);
    look();
    look();
    ck_assert_uint_eq(damages, 0);
    phys_write(e->phys, LFB + 4 * (1024 * 100 + 77), &white, 4);
    phys_write(e->phys, LFB + 4 * (1024 * 101 + 80), &white, 4);
    ck_assert_uint_eq(dot(look(), 77, 100), white);
    ck_assert_uint_eq(damages, 1);
    ck_assert_uint_eq(hurt.x0, 77);
    ck_assert_uint_eq(hurt.x1, 81);
    ck_assert_uint_eq(hurt.y0, 100);
    ck_assert_uint_eq(hurt.y1, 102);
    phys_write(e->phys, LFB + 4 * (1024 * 100 + 77), &white, 4);        /* the same again */
    look();
    ck_assert_uint_eq(damages, 0);
    vbe(VBE_Y_OFFSET, 1);
    look();
    ck_assert_uint_eq(hurt.y0, 99);
    ck_assert_uint_eq(hurt.y1, 102);
    /* Behind the picture: nothing to be seen. */
    phys_write(e->phys, LFB + 4 * 1024 * 900, &white, 4);
    look();
    ck_assert_uint_eq(damages, 0);
    chips_reset(e->chips);
    ck_assert_uint_eq(dot(look(), 0, 0), 0);
}
END_TEST

START_TEST(fuzz)
{
    static const uint16_t port[] = { 0x3c0, 0x3c0, 0x3c2, 0x3c4, 0x3c5, 0x3ce, 0x3cf, 0x3d4, 0x3d5, 0x3c6, 0x3c8, 0x3c9 };
    static const uint16_t size[] = { 640, 800, 1024, 320, 1280, 2560, 8, 1, 0, 65535, 1600, 600, 480, 768 };
    static uint8_t *state;
    size_t len;

    seed = 4711;
    for (unsigned n = 0; n < 25000; n++) {
        switch (rnd() % 8) {
        case 0: case 1: case 2:
            out(port[rnd() % 12], rnd());
            break;
        case 3:
            vbe(rnd() % 12, rnd() & 1 ? size[rnd() % 14] : rnd() & 0xff);
            break;
        case 4:
            phys_io_write(e->phys, VGA_MEM + (rnd() & 0x1ffff), rnd(), 1u << rnd() % 4);
            break;
        case 5:
            phys_io_read(e->phys, VGA_MEM + (rnd() & 0x1ffff), 1u << rnd() % 4);
            break;
        case 6:
            in(0x3b0 + rnd() % 0x30);
            clock_advance(e->clock, rnd() % 20000000);
            break;
        default:
            if (rnd() % 16 == 0) {
                const struct surface *s = look();

                ck_assert_uint_ge(s->width, 1);
                ck_assert_uint_le(s->width, 4608);
                ck_assert_uint_le(s->height, 2048);
                ck_assert(!s->text.cells || (s->text.cols && s->text.rows));
            }
            if (rnd() % 200 == 0)
                out(0x3c3, 1);
        }
    }
    /* State that was tampered with. */
    out(0x3c3, 1);
    len = chips_save(e->chips, &state);
    for (unsigned n = 0; n < 300; n++) {
        uint8_t *copy = malloc(len);

        memcpy(copy, state, len);
        for (unsigned i = 0; i < 20; i++)
            copy[100 + rnd() % (len - 100)] = rnd();
        if (!chips_load(e->chips, copy, len))
            look();
        free(copy);
    }
    free(state);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("vbe");
    TCase *t = tcase_create("vbe");

    tcase_set_timeout(t, 120);
    tcase_add_checked_fixture(t, vga_setup, vga_teardown);
    tcase_add_test(t, vbe_pictures);
    tcase_add_test(t, vbe_registers);
    tcase_add_test(t, mmio);
    tcase_add_test(t, damage);
    tcase_add_test(t, fuzz);
    suite_add_tcase(s, t);
    return run_suite(s);
}
