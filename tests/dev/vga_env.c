/* vga_env.c - see vga_env.h. */
#include "tests/dev/vga_env.h"

struct env *e;
struct vga *v;
struct display cable;
unsigned resizes, damages;
struct hurt hurt;
uint64_t seed;

uint32_t rnd(void)
{
    seed = seed * 6364136223846793005ull + 1442695040888963407ull;
    return seed >> 32;
}

static void resized(struct display *d)
{
    resizes++;
}

static void damaged(struct display *d, unsigned x, unsigned y, unsigned w, unsigned h)
{
    if (!damages++) {
        hurt.x0 = x;
        hurt.y0 = y;
        hurt.x1 = hurt.y1 = 0;
    }
    hurt.x0 = x < hurt.x0 ? x : hurt.x0;
    hurt.y0 = y < hurt.y0 ? y : hurt.y0;
    hurt.x1 = x + w > hurt.x1 ? x + w : hurt.x1;
    hurt.y1 = y + h > hurt.y1 ? y + h : hurt.y1;
}

static const struct display_ops ops = { resized, damaged };

void vga_setup(void)
{
    uint32_t len;

    e = env_new();
    cable = (struct display){ .ops = &ops };
    resizes = damages = 0;
    seed = 1;
    v = vga_new(e->chips, "vga", e->ports, e->phys, e->clock, &cable, 4);
    vga_vram(v, &len);
    ck_assert_uint_eq(len, 4 << 20);
    ck_assert_ptr_nonnull(phys_map_ram(e->phys, LFB, len, v->vram, false, "lfb"));
}

void vga_teardown(void)
{
    env_check_state(e);
    env_free(e);
}

void out(unsigned port, unsigned val)
{
    ports_write(e->ports, port, val, 1);
}

unsigned in(unsigned port)
{
    return ports_read(e->ports, port, 1);
}

void reg(unsigned port, unsigned index, unsigned val)
{
    ports_write(e->ports, port, index | val << 8, 2);
}

unsigned get(unsigned port, unsigned index)
{
    out(port, index);
    return in(port + 1);
}

void attr(unsigned index, unsigned val)
{
    in(0x3da);
    out(0x3c0, index);
    out(0x3c0, val);
    out(0x3c0, 0x20);
}

void vbe(unsigned index, unsigned val)
{
    ports_write(e->ports, 0x1ce, index, 2);
    ports_write(e->ports, 0x1cf, val, 2);
}

unsigned vbe_get(unsigned index)
{
    ports_write(e->ports, 0x1ce, index, 2);
    return ports_read(e->ports, 0x1cf, 2);
}

void poke(unsigned off, unsigned val)
{
    uint8_t b = val;

    phys_write(e->phys, VGA_MEM + off, &b, 1);
}

unsigned peek(unsigned off)
{
    uint8_t b;

    phys_read(e->phys, VGA_MEM + off, &b, 1);
    return b;
}

/* ---- modes as the BIOS sets them (IBM's tables) ---- */

const struct mode mode3 = {
    0x67, { 0x03, 0x00, 0x03, 0x00, 0x02 },
    { 0x5f, 0x4f, 0x50, 0x82, 0x55, 0x81, 0xbf, 0x1f, 0x00, 0x4f, 0x0d, 0x0e, 0, 0, 0, 0, 0x9c, 0x8e, 0x8f, 0x28,
      0x1f, 0x96, 0xb9, 0xa3, 0xff },
    { 0, 0, 0, 0, 0, 0x10, 0x0e, 0, 0xff },
    { 0, 1, 2, 3, 4, 5, 0x14, 7, 0x38, 0x39, 0x3a, 0x3b, 0x3c, 0x3d, 0x3e, 0x3f, 0x0c, 0, 0x0f, 0x08, 0 }
};
const struct mode mode1 = {      /* 40 columns */
    0x67, { 0x03, 0x08, 0x03, 0x00, 0x02 },
    { 0x2d, 0x27, 0x28, 0x90, 0x2b, 0xa0, 0xbf, 0x1f, 0x00, 0x4f, 0x0d, 0x0e, 0, 0, 0, 0, 0x9c, 0x8e, 0x8f, 0x14,
      0x1f, 0x96, 0xb9, 0xa3, 0xff },
    { 0, 0, 0, 0, 0, 0x10, 0x0e, 0, 0xff },
    { 0, 1, 2, 3, 4, 5, 0x14, 7, 0x38, 0x39, 0x3a, 0x3b, 0x3c, 0x3d, 0x3e, 0x3f, 0x0c, 0, 0x0f, 0x08, 0 }
};
const struct mode mode4 = {      /* CGA, 320x200 in four colours */
    0x63, { 0x03, 0x09, 0x03, 0x00, 0x02 },
    { 0x2d, 0x27, 0x28, 0x90, 0x2b, 0x80, 0xbf, 0x1f, 0x00, 0xc1, 0, 0, 0, 0, 0, 0, 0x9c, 0x8e, 0x8f, 0x14, 0x00,
      0x96, 0xb9, 0xa2, 0xff },
    { 0, 0, 0, 0, 0, 0x30, 0x0f, 0, 0xff },
    { 0, 0x13, 0x15, 0x17, 2, 4, 6, 7, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x01, 0, 0x03, 0, 0 }
};
const struct mode mode6 = {      /* CGA, 640x200 in two colours */
    0x63, { 0x03, 0x01, 0x01, 0x00, 0x06 },
    { 0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0xbf, 0x1f, 0x00, 0xc1, 0, 0, 0, 0, 0, 0, 0x9c, 0x8e, 0x8f, 0x28, 0x00,
      0x96, 0xb9, 0xc2, 0xff },
    { 0, 0, 0, 0, 0, 0x00, 0x0d, 0, 0xff },
    { 0, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x01, 0, 0x01, 0, 0 }
};
const struct mode mode0d = {     /* 320x200 in 16 colours */
    0x63, { 0x03, 0x09, 0x0f, 0x00, 0x06 },
    { 0x2d, 0x27, 0x28, 0x90, 0x2b, 0x80, 0xbf, 0x1f, 0x00, 0xc0, 0, 0, 0, 0, 0, 0, 0x9c, 0x8e, 0x8f, 0x14, 0x00,
      0x96, 0xb9, 0xe3, 0xff },
    { 0, 0, 0, 0, 0, 0x00, 0x05, 0x0f, 0xff },
    { 0, 1, 2, 3, 4, 5, 6, 7, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x01, 0, 0x0f, 0, 0 }
};
const struct mode mode12 = {     /* 640x480 in 16 colours */
    0xe3, { 0x03, 0x01, 0x0f, 0x00, 0x06 },
    { 0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0x0b, 0x3e, 0x00, 0x40, 0, 0, 0, 0, 0, 0, 0xea, 0x8c, 0xdf, 0x28, 0x00,
      0xe7, 0x04, 0xe3, 0xff },
    { 0, 0, 0, 0, 0, 0x00, 0x05, 0x0f, 0xff },
    { 0, 1, 2, 3, 4, 5, 0x14, 7, 0x38, 0x39, 0x3a, 0x3b, 0x3c, 0x3d, 0x3e, 0x3f, 0x01, 0, 0x0f, 0, 0 }
};
const struct mode mode13 = {     /* 320x200 in 256 colours */
    0x63, { 0x03, 0x01, 0x0f, 0x00, 0x0e },
    { 0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0xbf, 0x1f, 0x00, 0x41, 0, 0, 0, 0, 0, 0, 0x9c, 0x8e, 0x8f, 0x28, 0x40,
      0x96, 0xb9, 0xa3, 0xff },
    { 0, 0, 0, 0, 0, 0x40, 0x05, 0x0f, 0xff },
    { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0x41, 0, 0x0f, 0, 0 }
};

void set_mode(const struct mode *m)
{
    out(0x3c2, m->misc);
    for (unsigned i = 0; i < 5; i++)
        reg(0x3c4, i, m->seq[i]);
    reg(0x3d4, 0x11, 0);        /* unprotect */
    for (unsigned i = 0; i < 25; i++)
        reg(0x3d4, i, m->cr[i]);
    for (unsigned i = 0; i < 9; i++)
        reg(0x3ce, i, m->gc[i]);
    for (unsigned i = 0; i < 21; i++)
        attr(i, m->ac[i]);
    /* A colour of the DAC says which one it is. */
    out(0x3c8, 0);
    for (unsigned i = 0; i < 256; i++) {
        out(0x3c9, i >> 4);
        out(0x3c9, i & 15);
        out(0x3c9, 0x20);
    }
}

/* The dot of DAC colour i; six bits become eight by repeating the upper ones. */
uint32_t rgb(unsigned i)
{
    unsigned r = i >> 4, g = i & 15;

    return (r << 2) << 16 | (g << 2) << 8 | 0x82;
}

const struct surface *look(void)
{
    damages = 0;
    return cable.user->refresh(cable.dev);
}

uint32_t dot(const struct surface *s, unsigned x, unsigned y)
{
    if (x >= s->width || y >= s->height)
        ck_abort_msg("the picture has %ux%u dots", s->width, s->height);
    return s->pixels[y * s->stride + x];
}

void ck_dot(const struct surface *s, unsigned x, unsigned y, unsigned colour)
{
    if (dot(s, x, y) != rgb(colour))
        ck_abort_msg("dot %u,%u is %06x, not %06x", x, y, dot(s, x, y), rgb(colour));
}

void fill(unsigned len)
{
    for (unsigned i = 0; i < 4 * len; i++)
        v->vram[i] = rnd();
    track_mark(v->track, 0, 4 * len);
}

unsigned plane(unsigned p, unsigned n)
{
    return v->vram[4 * (n & 0xffff) + p];
}
