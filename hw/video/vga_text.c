/*
 * vga_text.c - text mode 3 as firmware leaves it, for kernels that are loaded without one (IBM's reference, mode
 * tables).
 *
 * The font comes from the video BIOS: its 8x16 font is found by the glyphs of "A" and "B", which are the same in all
 * of them, with an empty space before.
 */
#include <string.h>

#include "hw/video/vga_int.h"

#define FONT_LEN (256u * 16)

static const uint8_t seq3[SEQ_REGS] = { 0x03, 0x00, 0x03, 0x00, 0x02 };
static const uint8_t cr3[CR_REGS] = {
    0x5f, 0x4f, 0x50, 0x82, 0x55, 0x81, 0xbf, 0x1f, 0x00, 0x4f, 0x0d, 0x0e, 0x00, 0x00, 0x00, 0x00, 0x9c, 0x8e, 0x8f,
    0x28, 0x1f, 0x96, 0xb9, 0xa3, 0xff
};
static const uint8_t gc3[GC_REGS] = { 0x00, 0x00, 0x00, 0x00, 0x00, 0x10, 0x0e, 0x00, 0xff };
static const uint8_t ac3[AC_REGS] = {
    0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x14, 0x07, 0x38, 0x39, 0x3a, 0x3b, 0x3c, 0x3d, 0x3e, 0x3f, 0x0c, 0x00, 0x0f,
    0x08, 0x00
};

static const uint8_t *find_font(const uint8_t *rom, size_t len)
{
    static const uint8_t ab[] = {
        0x00, 0x00, 0x10, 0x38, 0x6c, 0xc6, 0xc6, 0xfe, 0xc6, 0xc6, 0xc6, 0xc6, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x00, 0xfc, 0x66, 0x66, 0x66, 0x7c, 0x66, 0x66, 0x66, 0x66, 0xfc, 0x00, 0x00, 0x00, 0x00
    };
    static const uint8_t space[16];

    for (size_t at = 0; len >= FONT_LEN && at <= len - FONT_LEN; at++)
        if (memcmp(rom + at + 'A' * 16, ab, sizeof(ab)) == 0 && memcmp(rom + at + ' ' * 16, space, sizeof(space)) == 0)
            return rom + at;
    return NULL;
}

/* The 64 colours an EGA makes of six bits: two of each of red, green and blue. */
static void ega_colours(uint8_t *dac)
{
    for (unsigned i = 0; i < 64; i++)
        for (unsigned k = 0; k < 3; k++)
            *dac++ = (i >> (2 - k) & 1) * 42 + (i >> (5 - k) & 1) * 21;
}

bool vga_text_mode(struct vga *v, const uint8_t *rom, size_t len)
{
    const uint8_t *font = find_font(rom, len);

    if (!font)
        return false;
    v->misc = 0x67;
    v->enabled = 1;
    memcpy(v->seq, seq3, sizeof(seq3));
    memcpy(v->cr, cr3, sizeof(cr3));
    memcpy(v->gc, gc3, sizeof(gc3));
    memcpy(v->ac, ac3, sizeof(ac3));
    v->ac_index = 0x20;
    v->ac_data = 0;
    ega_colours(v->dac);
    vga_vbe_reset(v);
    memset(v->vram, 0, 4 * PLANE_LEN);
    for (unsigned n = 0; n < 80 * 25; n++) {            /* word addresses; attribute: grey on black */
        v->vram[4 * (2 * n)] = ' ';
        v->vram[4 * (2 * n) + 1] = 0x07;
    }
    for (unsigned c = 0; c < 256; c++)
        for (unsigned row = 0; row < 16; row++)
            v->vram[4 * (c * 32 + row) + 2] = font[c * 16 + row];
    track_mark(v->track, 0, 4 * PLANE_LEN);
    v->changed = true;
    return true;
}
