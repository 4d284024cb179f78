/*
 * test_vga.c - the VGA: registers, the window against a model that works bit by bit, pictures of all kinds of modes
 * against what memory and the manuals say a dot must be, the beam.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/dev/vga_env.h"
#include "tests/run_suite.h"

/* ---- registers ---- */

START_TEST(registers)
{
    set_mode(&mode3);
    for (unsigned i = 0; i < 25; i++)
        ck_assert_uint_eq(get(0x3d4, i), mode3.cr[i]);
    reg(0x3d4, 0x00, 0x11);             /* CR11 bit 7 protects */
    ck_assert_uint_eq(get(0x3d4, 0x00), 0x5f);
    reg(0x3d4, 0x07, 0x00);             /* but for bit 4 of CR7 */
    ck_assert_uint_eq(get(0x3d4, 0x07), 0x0f);
    reg(0x3d4, 0x11, 0x0e);
    reg(0x3d4, 0x00, 0x11);
    ck_assert_uint_eq(get(0x3d4, 0x00), 0x11);
    ck_assert_uint_eq(in(0x3b5), 0xff);
    out(0x3c2, 0x66);                   /* the other address */
    ck_assert_uint_eq(in(0x3cc), 0x66);
    ck_assert_uint_eq(in(0x3d5), 0xff);
    ck_assert_uint_eq(get(0x3b4, 0x01), 0x4f);
    out(0x3c2, 0x67);
    out(0x3c3, 0);                      /* asleep */
    ck_assert_uint_eq(in(0x3cc), 0xff);
    poke(0x18000, 0x55);
    ck_assert_uint_eq(peek(0x18000), 0xff);
    out(0x3c3, 1);
    ck_assert_uint_eq(in(0x3cc), 0x67);
    ck_assert_uint_ne(peek(0x18000), 0x55);
    reg(0x3c4, 2, 0xff);
    ck_assert_uint_eq(get(0x3c4, 2), 0x0f);
    out(0x3da, 1);
    ck_assert_uint_eq(in(0x3ca), 1);
    /* Attribute controller: index and data by turns, 3DAh starts over. */
    in(0x3da);
    out(0x3c0, 0x31);
    out(0x3c0, 0x2a);
    out(0x3c0, 0x11);
    ck_assert_uint_eq(in(0x3c1), 0x2a);
    ck_assert_uint_eq(get(0x3d4, 0x24), 0x80);
    in(0x3da);
    ck_assert_uint_eq(get(0x3d4, 0x24), 0x00);
    ck_assert_uint_eq(get(0x3d4, 0x26), 0x11);
    /* DAC */
    out(0x3c8, 0xff);
    for (unsigned i = 0; i < 6; i++)
        out(0x3c9, 0xc1 + i);
    out(0x3c7, 0xff);
    ck_assert_uint_eq(in(0x3c7), 3);
    for (unsigned i = 0; i < 6; i++)
        ck_assert_uint_eq(in(0x3c9), 1 + i);
    out(0x3c8, 3);
    ck_assert_uint_eq(in(0x3c7), 0);
    ck_assert_uint_eq(in(0x3c8), 3);
}
END_TEST

START_TEST(beam)
{
    unsigned retraces = 0, off = 0, n = 0;
    bool was = false;

    set_mode(&mode3);           /* 100 characters of 9 dots at 28.322 MHz, 449 lines: 70.08 Hz */
    for (; n < 200000; n++) {
        unsigned s = in(0x3da);

        retraces += (s & 8) && !was;
        was = s & 8;
        off += s & 1;
        ck_assert(!(s & 8) || (s & 1));
        clock_advance(e->clock, 5000);
    }
    ck_assert_uint_ge(retraces, 69);    /* a second */
    ck_assert_uint_le(retraces, 71);
    /* 80 of 100 characters in 400 of 449 lines are shown. */
    ck_assert_int_le(abs((int)(n - off) - (int)(n * 0.8 * 400 / 449)), (int)n / 50);
    reg(0x3d4, 0x11, 0);
    for (unsigned i = 0; i < 25; i++)
        reg(0x3d4, i, 0);
    in(0x3da);                  /* nonsense does no harm */
}
END_TEST

/* ---- the window ---- */

/* One bit of one plane at a time, as the manual tells it. */
struct model {
    uint8_t mem[4][0x10000], latch[4];
};

static unsigned model_bit(const struct model *m, const uint8_t *gc, unsigned p, unsigned bit, unsigned val)
{
    unsigned mode = gc[5] & 3, turned = (val >> (gc[3] & 7) | val << (8 - (gc[3] & 7))) & 0xff;
    unsigned mask = gc[8] >> bit & 1, data, latch = m->latch[p] >> bit & 1;

    if (mode == 1)
        return latch;
    if (mode == 0)
        data = gc[1] >> p & 1 ? gc[0] >> p & 1 : turned >> bit & 1;
    else if (mode == 2)
        data = val >> p & 1;
    else {
        data = gc[0] >> p & 1;
        mask = mask && (turned >> bit & 1);
    }
    switch (gc[3] >> 3) {
    case 1: data = data && latch; break;
    case 2: data = data || latch; break;
    case 3: data = data != latch; break;
    }
    return mask ? data : latch;
}

static void model_write(struct model *m, const uint8_t *seq, const uint8_t *gc, unsigned a, unsigned val)
{
    unsigned n = a;

    if (seq[4] & 8)
        n &= 0xfffc;
    else if (gc[6] & 2)
        n &= 0xfffe;
    for (unsigned p = 0; p < 4; p++) {
        unsigned byte = 0;

        if (!(seq[2] >> p & 1))
            continue;
        if (seq[4] & 8 ? p != (a & 3) : !(seq[4] & 4) && (p & 1) != (a & 1))
            continue;
        for (unsigned bit = 0; bit < 8; bit++)
            byte |= model_bit(m, gc, p, bit, val) << bit;
        m->mem[p][n] = byte;
    }
}

static unsigned model_read(struct model *m, const uint8_t *seq, const uint8_t *gc, unsigned a)
{
    unsigned n = a, p = gc[4] & 3, byte = 0;

    if (seq[4] & 8) {
        n &= 0xfffc;
        p = a & 3;
    } else {
        if (gc[6] & 2)
            n &= 0xfffe;
        if (gc[5] & 0x10)
            p = (p & 2) | (a & 1);
    }
    for (unsigned i = 0; i < 4; i++)
        m->latch[i] = m->mem[i][n];
    if (!(gc[5] & 8))
        return m->latch[p];
    for (unsigned bit = 0; bit < 8; bit++) {
        bool same = true;

        for (unsigned i = 0; i < 4; i++)
            same = same && (!(gc[7] >> i & 1) || (m->latch[i] >> bit & 1) == (gc[2] >> i & 1));
        byte |= (unsigned)same << bit;
    }
    return byte;
}

START_TEST(window)
{
    struct model *m = calloc(1, sizeof(*m));
    uint8_t seq[5] = { 3, 1, 15, 0, 6 }, gc[9] = { 0, 0, 0, 0, 0, 0, 5, 15, 255 };
    uint8_t all = 0;

    set_mode(&mode12);
    for (unsigned n = 0; n < 60000; n++) {
        unsigned a = rnd() & 0x3f, val = rnd() & 0xff;

        if (n % 8 == 0) {
            unsigned r = rnd() % 9;

            gc[r] = rnd() & (r == 3 ? 0x1f : r == 5 ? 0x1b : r == 8 ? 0xff : r == 4 ? 3 : 15);
            if (r == 6)
                gc[6] = (gc[6] & 3) | 4;
            reg(0x3ce, r, gc[r]);
            reg(0x3ce, 6, gc[6] = (gc[6] & 3) | 4);
        }
        if (n % 32 == 0)
            reg(0x3c4, 2, seq[2] = rnd() & 15);
        if (n % 64 == 0)
            reg(0x3c4, 4, seq[4] = 2 | (rnd() & 12));
        if (rnd() & 1) {
            unsigned want = model_read(m, seq, gc, a);

            all |= want;
            ck_assert_uint_eq(peek(a), want);
        } else {
            model_write(m, seq, gc, a, val);
            poke(a, val);
        }
        if (n % 100 == 0)
            for (unsigned i = 0; i < 0x40; i++)
                for (unsigned p = 0; p < 4; p++)
                    if (plane(p, i) != m->mem[p][i])
                        ck_abort_msg("plane %u, byte %u: %02x, not %02x", p, i, plane(p, i), m->mem[p][i]);
    }
    ck_assert_uint_eq(all, 0xff);
    free(m);
}
END_TEST

START_TEST(memory_maps)
{
    static const struct { unsigned at, len; } map[4] = {
        { 0, 0x20000 }, { 0, 0x10000 }, { 0x10000, 0x8000 }, { 0x18000, 0x8000 }
    };

    set_mode(&mode12);
    for (unsigned i = 0; i < 4; i++) {
        reg(0x3ce, 6, 1 | i << 2);
        for (unsigned a = 0; a < 0x20000; a += 0x3ff) {
            bool inside = a >= map[i].at && a < map[i].at + map[i].len;

            poke(a, a >> 9 & 0x7f);
            ck_assert_uint_eq(peek(a), inside ? a >> 9 & 0x7f : 0xff);
        }
    }
    out(0x3c2, 0xe1);           /* no RAM for the processor */
    ck_assert_uint_eq(peek(0x18000), 0xff);
    /* A wide access is bytes. */
    set_mode(&mode13);
    phys_io_write(e->phys, VGA_MEM + 0x100, 0x44332211, 4);
    for (unsigned p = 0; p < 4; p++)
        ck_assert_uint_eq(plane(p, 0x100), 0x11 * (p + 1));
    ck_assert_uint_eq(phys_io_read(e->phys, VGA_MEM + 0x101, 2), 0x3322);
}
END_TEST

/* ---- text ---- */

static void random_text(void)
{
    fill(0x10000);
    for (unsigned c = 0; c < 512; c++)
        for (unsigned row = 0; row < 32; row++) {
            uint8_t b = (c ^ row * 37) + (c >> 8) * 91;
            unsigned base = c >> 8 ? 0x4000 : 0;

            phys_write(e->phys, LFB + 4 * (base + (c & 255) * 32 + row) + 2, &b, 1);
        }
}

/* Colour number of a dot in a text mode: character n from the start, dot x of it, line y of it. */
static unsigned text_dot(unsigned n, unsigned x, unsigned y, unsigned map_a, const uint8_t *ac, bool cursor, bool hidden)
{
    unsigned code = plane(0, 2 * n), at = plane(1, 2 * n), base = at & 8 ? map_a : 0, bits = plane(2, base + code * 32 + y);
    unsigned fg = at & 15, bg = ac[16] & 8 ? at >> 4 & 7 : at >> 4;
    bool set = x < 8 ? bits >> (7 - x) & 1 : (ac[16] & 4) && code >= 0xc0 && code <= 0xdf && (bits & 1);

    if (hidden && (ac[16] & 8) && (at & 0x80))
        set = false;
    return ac[set || cursor ? fg : bg];
}

START_TEST(text)
{
    const struct surface *s;

    set_mode(&mode3);
    random_text();
    reg(0x3c4, 3, 0x04);        /* map A is the other font */
    reg(0x3d4, 0x0e, 0);
    reg(0x3d4, 0x0f, 81);       /* cursor: second line, second column */
    s = look();
    ck_assert_uint_eq(resizes, 1);
    ck_assert_uint_eq(s->width, 720);
    ck_assert_uint_eq(s->height, 400);
    for (unsigned y = 0; y < 400; y++)
        for (unsigned x = 0; x < 720; x++) {
            unsigned n = y / 16 * 80 + x / 9;

            ck_dot(s, x, y, text_dot(n, x % 9, y % 16, 0x4000, mode3.ac, n == 81 && y % 16 >= 13 && y % 16 < 15, false));
        }
    ck_assert_ptr_nonnull(s->text.cells);
    ck_assert_uint_eq(s->text.cols, 80);
    ck_assert_uint_eq(s->text.rows, 25);
    ck_assert_int_eq(s->text.cursor_x, 1);
    ck_assert_int_eq(s->text.cursor_y, 1);
    for (unsigned n = 0; n < 2000; n++) {
        ck_assert_uint_eq(s->text.cells[n].code, plane(0, 2 * n));
        ck_assert_uint_eq(s->text.cells[n].attr, plane(1, 2 * n));
    }
    /* The cursor blinks: its cell and no other changes. */
    look();
    ck_assert_uint_eq(damages, 0);
    clock_advance(e->clock, 250 * MS);
    s = look();
    ck_assert_uint_eq(damages, 1);
    ck_assert_uint_eq(hurt.x0 / 9, 1);
    ck_assert_uint_eq((hurt.x1 - 1) / 9, 1);
    ck_assert_uint_ge(hurt.y0, 29);
    ck_assert_uint_le(hurt.y1, 31);
    /* And so does text, half as fast. */
    clock_advance(e->clock, 250 * MS);
    s = look();
    for (unsigned y = 0; y < 400; y++)
        for (unsigned x = 0; x < 720; x++) {
            unsigned n = y / 16 * 80 + x / 9;

            ck_dot(s, x, y, text_dot(n, x % 9, y % 16, 0x4000, mode3.ac, n == 81 && y % 16 >= 13 && y % 16 < 15, true));
        }
    reg(0x3d4, 0x0a, 0x2d);     /* off */
    s = look();
    ck_assert_int_eq(s->text.cursor_x, -1);
    ck_dot(s, 10, 29, text_dot(81, 1, 13, 0x4000, mode3.ac, false, true));
}
END_TEST

START_TEST(text_kinds)
{
    const struct surface *s;
    uint8_t ac[21];

    set_mode(&mode1);
    random_text();
    reg(0x3d4, 0x0a, 0x20);
    s = look();
    ck_assert_uint_eq(s->width, 720);
    ck_assert_uint_eq(s->text.cols, 40);
    for (unsigned y = 0; y < 400; y++)
        for (unsigned x = 0; x < 720; x++)
            ck_dot(s, x, y, text_dot(y / 16 * 40 + x / 18, x % 18 / 2, y % 16, 0, mode1.ac, false, false));
    /* 8 dots, no blinking but 16 backgrounds, no line graphics; a start address and panning. */
    set_mode(&mode3);
    random_text();
    memcpy(ac, mode3.ac, 21);
    ac[16] = 0;
    attr(16, 0);
    attr(19, 3);
    reg(0x3c4, 1, 1);
    reg(0x3d4, 0x0a, 0x20);
    reg(0x3d4, 0x0c, 0x01);
    reg(0x3d4, 0x0d, 0x23);
    reg(0x3d4, 0x08, 5);        /* preset row scan */
    s = look();
    ck_assert_uint_eq(s->width, 640);
    for (unsigned y = 0; y < 400; y++)
        for (unsigned x = 0; x < 640; x++)
            ck_dot(s, x, y, text_dot(0x123 + (y + 5) / 16 * 80 + (x + 3) / 8, (x + 3) % 8, (y + 5) % 16, 0, ac, false,
                                     false));
    /* Nine dots: 8 is no panning, 0 is one dot. */
    reg(0x3c4, 1, 0);
    reg(0x3d4, 0x08, 0);
    s = look();
    ck_dot(s, 0, 0, text_dot(0x123, 4, 0, 0, ac, false, false));
    attr(19, 8);
    s = look();
    ck_dot(s, 0, 0, text_dot(0x123, 0, 0, 0, ac, false, false));
    attr(19, 0);
    s = look();
    ck_dot(s, 0, 0, text_dot(0x123, 1, 0, 0, ac, false, false));
    /* Off, by the sequencer and by the attribute controller. */
    reg(0x3c4, 1, 0x20);
    s = look();
    ck_assert_uint_eq(dot(s, 0, 0), 0);
    ck_assert_ptr_null(s->text.cells);
    reg(0x3c4, 1, 0);
    in(0x3da);
    out(0x3c0, 0);
    s = look();
    ck_assert_uint_eq(dot(s, 0, 0), 0);
}
END_TEST

/* ---- graphics ---- */

/* The 16-colour dot at bit 7-x of byte n. */
static unsigned planar_dot(unsigned n, unsigned x, const uint8_t *ac)
{
    unsigned c = 0;

    for (unsigned p = 0; p < 4; p++)
        c |= (plane(p, n) >> (7 - x) & 1) << p;
    return ac[c & ac[18]];
}

START_TEST(planar)
{
    const struct surface *s;

    set_mode(&mode12);
    fill(0x10000);
    s = look();
    ck_assert_uint_eq(s->width, 640);
    ck_assert_uint_eq(s->height, 480);
    ck_assert_ptr_null(s->text.cells);
    for (unsigned y = 0; y < 480; y++)
        for (unsigned x = 0; x < 640; x++)
            ck_dot(s, x, y, planar_dot(y * 80 + x / 8, x % 8, mode12.ac));
    /* Panning, a start address, a split screen that pans along. */
    attr(19, 5);
    reg(0x3d4, 0x0c, 0xf0);     /* wraps around */
    reg(0x3d4, 0x0d, 0x07);
    reg(0x3d4, 0x18, 99);       /* line compare 99 */
    reg(0x3d4, 0x11, 0x0c);
    reg(0x3d4, 0x07, 0x2e);
    reg(0x3d4, 0x09, 0x00);
    s = look();
    for (unsigned y = 0; y < 480; y++)
        for (unsigned x = 0; x < 640; x++) {
            unsigned at = y <= 99 ? 0xf007 + y * 80 : (y - 100) * 80;

            ck_dot(s, x, y, planar_dot(at + (x + 5) / 8, (x + 5) % 8, mode12.ac));
        }
    attr(16, 0x21);             /* the lower part stays */
    s = look();
    ck_dot(s, 0, 99, planar_dot(0xf007 + 99 * 80, 5, mode12.ac));
    ck_dot(s, 0, 100, planar_dot(0, 0, mode12.ac));
    /* Planes switched off, and colours by the colour select register. */
    attr(18, 5);
    attr(16, 0xa1);
    attr(20, 0x0b);
    s = look();
    for (unsigned x = 0; x < 640; x++) {
        unsigned c = 0;

        for (unsigned p = 0; p < 4; p += 2)
            c |= (plane(p, x / 8) >> (7 - x % 8) & 1) << p;
        ck_dot(s, x, 100, (mode12.ac[c] & 15) | 0xb0);
    }
    set_mode(&mode0d);
    reg(0x3d4, 0x13, 0x18);     /* a virtual screen wider than the real one: 48 bytes a line */
    s = look();
    ck_assert_uint_eq(s->width, 640);
    ck_assert_uint_eq(s->height, 400);
    for (unsigned y = 0; y < 400; y++)
        for (unsigned x = 0; x < 640; x++)
            ck_dot(s, x, y, planar_dot(y / 2 * 48 + x / 16, x / 2 % 8, mode0d.ac));
}
END_TEST

START_TEST(cga)
{
    const struct surface *s;

    set_mode(&mode4);
    fill(0x10000);
    s = look();
    ck_assert_uint_eq(s->width, 640);
    ck_assert_uint_eq(s->height, 400);
    for (unsigned y = 0; y < 400; y++)
        for (unsigned x = 0; x < 640; x++) {
            /* The processor's byte: even ones in plane 0, odd lines 8 KiB further. */
            unsigned line = y / 2, px = x / 2, byte = (line & 1) * 0x2000 + line / 2 * 80 + px / 4;
            unsigned bits = plane(byte & 1, byte & ~1u);

            ck_dot(s, x, y, mode4.ac[bits >> (6 - 2 * (px & 3)) & 3]);
        }
    set_mode(&mode6);
    s = look();
    for (unsigned y = 0; y < 400; y++)
        for (unsigned x = 0; x < 640; x++) {
            unsigned line = y / 2, byte = (line & 1) * 0x2000 + line / 2 * 80 + x / 8;

            ck_dot(s, x, y, mode6.ac[plane(0, byte) >> (7 - x % 8) & 1]);
        }
}
END_TEST

START_TEST(colours256)
{
    const struct surface *s;

    set_mode(&mode13);
    for (unsigned i = 0; i < 64000; i++)
        poke(i, i * 7 + i / 320);
    s = look();
    ck_assert_uint_eq(s->width, 640);
    ck_assert_uint_eq(s->height, 400);
    for (unsigned y = 0; y < 400; y++)
        for (unsigned x = 0; x < 640; x++) {
            unsigned i = y / 2 * 320 + x / 2;

            ck_dot(s, x, y, (i * 7 + i / 320) & 0xff);
        }
    out(0x3c6, 0x0f);           /* the DAC's mask */
    s = look();
    ck_dot(s, 2, 0, 7);
    ck_dot(s, 6, 0, 21 & 15);
    out(0x3c6, 0xff);
    /* Mode X: planes unchained, bytes counted; 320x240. */
    reg(0x3c4, 4, 0x06);
    out(0x3c2, 0xe3);
    reg(0x3d4, 0x11, 0x0c);
    reg(0x3d4, 0x14, 0);
    reg(0x3d4, 0x17, 0xe3);
    reg(0x3d4, 0x06, 0x0d);
    reg(0x3d4, 0x07, 0x3e);
    reg(0x3d4, 0x12, 0xdf);
    for (unsigned p = 0; p < 4; p++) {
        reg(0x3c4, 2, 1u << p);
        for (unsigned n = 0; n < 240 * 80; n++)
            poke(n, n * 5 + p * 3 + n / 80);
    }
    attr(19, 2);                /* one dot to the left */
    s = look();
    ck_assert_uint_eq(s->height, 480);
    for (unsigned y = 0; y < 478; y++)
        for (unsigned x = 0; x < 640; x++) {
            unsigned px = x / 2 + 1, n = y / 2 * 80 + px / 4, row = n / 80;

            ck_dot(s, x, y, (n * 5 + (px & 3) * 3 + row) & 0xff);
        }
}
END_TEST

START_TEST(firmware_text)
{
    static uint8_t rom[16384];
    static const uint8_t ab[] = {
        0x00, 0x00, 0x10, 0x38, 0x6c, 0xc6, 0xc6, 0xfe, 0xc6, 0xc6, 0xc6, 0xc6, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x00, 0xfc, 0x66, 0x66, 0x66, 0x7c, 0x66, 0x66, 0x66, 0x66, 0xfc, 0x00, 0x00, 0x00, 0x00
    };
    const struct surface *s;

    ck_assert(!vga_text_mode(v, rom, sizeof(rom)));
    memcpy(rom + 16384 - 4096 + 'A' * 16, ab, sizeof(ab));
    ck_assert(!vga_text_mode(v, rom, 100));
    ck_assert(vga_text_mode(v, rom, sizeof(rom)));
    s = look();
    ck_assert_uint_eq(s->width, 720);
    ck_assert_uint_eq(s->text.cells[0].code, ' ');
    poke(0x18000, 'A');
    s = look();
    ck_assert_uint_eq(s->text.cells[0].code, 'A');
    for (unsigned x = 0; x < 8; x++)
        ck_assert_uint_eq(dot(s, x, 3), ab[3] >> (7 - x) & 1 ? 0xaaaaaa : 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("vga");
    TCase *t = tcase_create("vga");

    tcase_set_timeout(t, 120);
    tcase_add_checked_fixture(t, vga_setup, vga_teardown);
    tcase_add_test(t, registers);
    tcase_add_test(t, beam);
    tcase_add_test(t, window);
    tcase_add_test(t, memory_maps);
    tcase_add_test(t, text);
    tcase_add_test(t, text_kinds);
    tcase_add_test(t, planar);
    tcase_add_test(t, cga);
    tcase_add_test(t, colours256);
    tcase_add_test(t, firmware_text);
    suite_add_tcase(s, t);
    return run_suite(s);
}
