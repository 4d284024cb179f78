/*
 * vga_draw.c - the picture: what CRT controller, graphics controller, attribute controller and DAC make of memory.
 *
 * Lines are made one by one as the hardware does, so that line compare, panning, double scanning and the CRTC's ways of
 * addressing hold in all modes, text among them. Each is compared with what the surface shows: damage is exact.
 * Nothing is made if neither a register nor memory has changed; in VBE modes only lines whose pages were written.
 * The surface has the dots the monitor would get: 640x400 in mode 13h, 720x400 in text mode 3.
 */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "hw/video/vga_int.h"

#define CHARS_MAX 256u
#define LINE_MAX  ((CHARS_MAX + 1) * 9 * 2)     /* dots of the VGA's longest line; VBE's are shorter */
#define FRAME_NS  14268498ull   /* 70.086 Hz, that of text modes: cursor and text blink by frames */
#define CURSOR_FRAMES 16        /* half a period of the cursor; text blinks at half that rate */

#define CLOCK_8DOT   0x01u
#define CLOCK_HALF   0x08u
#define CLOCK_OFF    0x20u
#define AC_INDEX_ON  0x20u
#define AC_GRAPHICS  0x01u
#define AC_LINE_GR   0x04u
#define AC_BLINK     0x08u
#define AC_PAN_SPLIT 0x20u
#define AC_8BIT      0x40u
#define AC_P54       0x80u
#define GC_GRAPHICS  0x01u

/* One line of the VGA proper. */
struct scan {
    unsigned counter;           /* the CRTC's address counter at its start */
    unsigned row;               /* of the character, or for CGA's banks */
    unsigned pan;               /* dots */
};

/* ---- colours ---- */

static uint32_t dac_rgb(const struct vga *v, uint8_t index)
{
    const uint8_t *c = &v->dac[3 * (index & v->dac_mask)];
    uint32_t rgb = 0;

    for (unsigned i = 0; i < 3; i++)
        rgb = rgb << 8 | (v->vbe[VBE_ENABLE] & VBE_DAC8 ? c[i] : (c[i] & 0x3f) << 2 | (c[i] & 0x3f) >> 4);
    return rgb;
}

static void make_colours(struct vga *v)
{
    unsigned select = v->ac[AC_COLOR];

    for (unsigned i = 0; i < 256; i++)
        v->rgb[i] = dac_rgb(v, i);
    for (unsigned i = 0; i < 16; i++) {
        unsigned c = v->ac[i & v->ac[AC_PLANES]] & 0x3f;

        if (v->ac[AC_MODE] & AC_P54)
            c = (c & 0x0f) | (select & 3) << 4;
        v->rgb16[i] = v->rgb[c | (select & 0xc) << 4];
    }
}

/* ---- the CRTC ---- */

unsigned vga_lines(const struct vga *v)
{
    unsigned n = (v->cr[CR_VDISP] | (v->cr[CR_OVERFLOW] & 2u) << 7 | (v->cr[CR_OVERFLOW] & 0x40u) << 3) + 1;

    return v->cr[CR_MODE] & 4 ? 2 * n : n;
}

static bool half_clock(const struct vga *v)
{
    return v->seq[SEQ_CLOCK] & CLOCK_HALF;
}

static bool graphics(const struct vga *v)
{
    return v->gc[GC_MISC] & GC_GRAPHICS;
}

static unsigned char_dots(const struct vga *v)
{
    return graphics(v) || (v->seq[SEQ_CLOCK] & CLOCK_8DOT) ? 8 : 9;
}

/* The planes' bytes that the counter shows. */
static uint32_t fetch(const struct vga *v, unsigned counter, unsigned row)
{
    unsigned mode = v->cr[CR_MODE], at = counter & 0xffff;

    if (v->cr[CR_UNDERLINE] & 0x40)
        at = at << 2 | at >> 14;
    else if (!(mode & 0x40))
        at = at << 1 | (at >> (mode & 0x20 ? 15 : 13) & 1);
    if (!(mode & 1))
        at = (at & ~0x2000u) | (row & 1) << 13;
    if (!(mode & 2))
        at = (at & ~0x4000u) | (row >> 1 & 1) << 14;
    return vga_word(v, at & (PLANE_LEN - 1));
}

/* Character clocks for each step of the counter, as a shift. */
static unsigned count_shift(const struct vga *v)
{
    return v->cr[CR_UNDERLINE] & 0x20 ? 2 : v->cr[CR_MODE] & 8 ? 1 : 0;
}

static unsigned pan_dots(const struct vga *v)
{
    unsigned pan = v->ac[AC_PAN];

    if (char_dots(v) == 9)
        return pan >= 8 ? 0 : pan + 1;
    return pan & 7;
}

/* ---- lines of the VGA proper; all dots of chars + 1 characters, from the first one's ---- */

static uint32_t *text_char(const struct vga *v, uint32_t word, const struct scan *s, bool cursor, uint32_t *out)
{
    unsigned code = word & 0xff, attr = word >> 8 & 0xff, map = v->seq[SEQ_FONT], font, bits;
    unsigned dots = char_dots(v);
    uint32_t fg = v->rgb16[attr & 15], bg = v->rgb16[attr >> 4];

    /* Three bits choose 8 KiB of plane 2, even and odd ones apart; map A is for bit 3 of the attribute. */
    font = attr & 8 ? (map >> 2 & 3) | (map >> 3 & 4) : (map & 3) | (map >> 2 & 4);
    font = (font & 3) * 0x4000 + (font >> 2) * 0x2000;
    bits = vga_word(v, font + code * 32 + s->row) >> 16 & 0xff;
    if (v->ac[AC_MODE] & AC_BLINK) {
        bg = v->rgb16[attr >> 4 & 7];
        if ((attr & 0x80) && (v->blink & 2))
            bits = 0;
    }
    if ((attr & 0x77) == 1 && s->row == (v->cr[CR_UNDERLINE] & 0x1fu))
        bits = 0xff;
    bits <<= 1;
    /* The ninth dot is the eighth's in characters that draw lines. */
    if ((v->ac[AC_MODE] & AC_LINE_GR) && code >= 0xc0 && code <= 0xdf)
        bits |= bits >> 1 & 1;
    if (cursor)
        bits = 0x1ff;
    for (unsigned i = 0; i < dots; i++)
        *out++ = bits << i & 0x100 ? fg : bg;
    return out;
}

static bool cursor_row(const struct vga *v, unsigned row)
{
    unsigned start = v->cr[CR_CURSOR_START];

    return !(start & 0x20) && !(v->blink & 1) && row >= (start & 0x1f) && row <= (v->cr[CR_CURSOR_END] & 0x1fu);
}

/* The cursor's place, which its skew moves to the right. */
static unsigned cursor_at(const struct vga *v)
{
    return ((unsigned)v->cr[CR_CURSOR_HI] << 8 | v->cr[CR_CURSOR_LO]) + (v->cr[CR_CURSOR_END] >> 5 & 3);
}

static void text_line(const struct vga *v, const struct scan *s, unsigned chars, uint32_t *out)
{
    unsigned shift = count_shift(v), at = cursor_at(v);
    bool cursor = cursor_row(v, s->row);

    for (unsigned i = 0; i <= chars; i++) {
        unsigned counter = (s->counter + (i >> shift)) & 0xffff;

        out = text_char(v, fetch(v, counter, s->row), s, cursor && counter == at, out);
    }
}

/* Eight dots of 4 bits each, the first one in the lowest byte. */
static uint64_t shifted(const struct vga *v, uint32_t word)
{
    unsigned how = v->gc[GC_MODE] >> 5 & 3;
    uint64_t n = 0;

    if (how == 0) {
        for (unsigned p = 0; p < 4; p++)
            n |= v->spread[word >> 8 * p & 0xff] << p;
    } else if (how == 1) {      /* CGA's two bits a dot, in planes 0 and 1; 2 and 3 have the upper two */
        for (unsigned i = 0; i < 8; i++) {
            unsigned low = word >> (i < 4 ? 0 : 8), high = word >> (i < 4 ? 16 : 24), at = 6 - 2 * (i & 3);

            n |= (uint64_t)((low >> at & 3) | (high >> at & 3) << 2) << 8 * i;
        }
    } else {                    /* four bits a dot, in the planes' order */
        for (unsigned i = 0; i < 8; i++)
            n |= (uint64_t)(word >> (8 * (i >> 1) + 4 * (~i & 1)) & 15) << 8 * i;
    }
    return n;
}

static void graphics_line(const struct vga *v, const struct scan *s, unsigned chars, uint32_t *out)
{
    unsigned shift = count_shift(v);
    bool bytes = v->ac[AC_MODE] & AC_8BIT;

    for (unsigned i = 0; i <= chars; i++) {
        uint64_t n = shifted(v, fetch(v, s->counter + (i >> shift), s->row));

        for (unsigned d = 0; d < 8; d++, n >>= 8) {
            if (!bytes) {
                *out++ = v->rgb16[n & 15];
            } else if (!(d & 1)) {      /* two dots are one */
                out[0] = out[1] = v->rgb[(n & 15) << 4 | (n >> 8 & 15)];
                out += 2;
            }
        }
    }
}

/* ---- lines of VBE modes ---- */

static void packed_line(const struct vga *v, const uint8_t *p, unsigned n, uint32_t *out)
{
    for (unsigned i = 0; i < n; i++) {
        unsigned w;

        switch (v->vbe[VBE_BPP]) {
        case 8:
            *out++ = v->rgb[*p++];
            break;
        case 15:
            w = p[0] | p[1] << 8;
            *out++ = (w >> 7 & 0xf8) << 16 | (w >> 12 & 7) << 16 | (w >> 2 & 0xf8) << 8 | (w >> 7 & 7) << 8 |
                     (w << 3 & 0xf8) | (w >> 2 & 7);
            p += 2;
            break;
        case 16:
            w = p[0] | p[1] << 8;
            *out++ = (w >> 8 & 0xf8) << 16 | (w >> 13 & 7) << 16 | (w >> 3 & 0xfc) << 8 | (w >> 9 & 3) << 8 |
                     (w << 3 & 0xf8) | (w >> 2 & 7);
            p += 2;
            break;
        case 24:
            *out++ = p[0] | p[1] << 8 | (uint32_t)p[2] << 16;
            p += 3;
            break;
        default:
            *out++ = p[0] | p[1] << 8 | (uint32_t)p[2] << 16;
            p += 4;
            break;
        }
    }
}

static void vbe_planar_line(const struct vga *v, uint32_t at, unsigned skip, unsigned n, uint32_t *out)
{
    for (unsigned x = skip; x < skip + n; x++) {
        uint32_t word = vga_word(v, (at + x / 8) % (v->vram_len / 4));
        unsigned bit = 7 - x % 8;

        *out++ = v->rgb16[(word >> bit & 1) | (word >> (bit + 7) & 2) | (word >> (bit + 14) & 4) |
                          (word >> (bit + 21) & 8)];
    }
}

/* ---- the surface ---- */

/* Rectangles of lines that changed, put together from lines. */
struct rect {
    unsigned x0, x1, y0, y1;    /* without x1 and y1; y1 0: nothing yet */
};

static void rect_flush(struct vga *v, struct rect *r)
{
    if (r->y1)
        display_damage(v->display, r->x0, r->y0, r->x1 - r->x0, r->y1 - r->y0);
    r->y1 = 0;
}

static void put_line(struct vga *v, struct rect *r, unsigned y, const uint32_t *line)
{
    uint32_t *to = v->surface.pixels + (size_t)y * v->surface.stride;
    unsigned x0 = 0, x1 = v->surface.width;

    if (memcmp(to, line, x1 * sizeof(*to)) == 0)
        return;
    while (to[x0] == line[x0])
        x0++;
    while (to[x1 - 1] == line[x1 - 1])
        x1--;
    memcpy(to + x0, line + x0, (x1 - x0) * sizeof(*to));
    if (r->y1 != y)
        rect_flush(v, r);
    if (!r->y1)
        *r = (struct rect){ x0, x1, y, y };
    r->x0 = x0 < r->x0 ? x0 : r->x0;
    r->x1 = x1 > r->x1 ? x1 : r->x1;
    r->y1 = y + 1;
}

static void draw_blank(struct vga *v)
{
    struct rect r = { 0 };

    memset(v->line, 0, v->surface.width * sizeof(*v->line));
    for (unsigned y = 0; y < v->surface.height; y++)
        put_line(v, &r, y, v->line);
    rect_flush(v, &r);
}

static bool page_written(const struct vga *v, uint32_t at, uint32_t len)
{
    for (uint32_t page = at / PAGE_SIZE; page <= (at + len - 1) / PAGE_SIZE; page++)
        if (v->pages[page / 64] >> (page % 64) & 1)
            return true;
    return false;
}

static void draw_vbe(struct vga *v, bool all)
{
    unsigned bpp = v->vbe[VBE_BPP], n = v->surface.width, bytes = (bpp + 7) / 8;
    uint32_t pitch = vga_vbe_pitch(v);
    struct rect r = { 0 };

    for (unsigned y = 0; y < v->surface.height; y++) {
        uint32_t at = (v->vbe[VBE_Y_OFFSET] + y) * pitch;
        unsigned x = v->vbe[VBE_X_OFFSET];

        if (bpp == 4) {
            if (all || page_written(v, 4 * at, 4 * pitch)) {
                vbe_planar_line(v, at, x, n, v->line);
                put_line(v, &r, y, v->line);
            }
        } else if (all || page_written(v, at + x * bytes, n * bytes)) {
            packed_line(v, v->vram + at + x * bytes, n, v->line);
            put_line(v, &r, y, v->line);
        }
    }
    rect_flush(v, &r);
}

static void draw_vga(struct vga *v)
{
    unsigned chars = v->cr[CR_HDISP] + 1u, dots = (chars + 1) * char_dots(v), max = v->cr[CR_MAX_SCAN] & 0x1f;
    unsigned twice = v->cr[CR_MODE] & 4 ? 2 : 1, step = v->cr[CR_OFFSET] * 2u, times = 0, lines;
    unsigned compare = v->cr[CR_COMPARE] | (v->cr[CR_OVERFLOW] & 0x10u) << 4 | (v->cr[CR_MAX_SCAN] & 0x40u) << 3;
    struct scan s = { .row = v->cr[CR_PRESET] & 0x1f, .pan = pan_dots(v) };
    struct rect r = { 0 };

    s.counter = ((unsigned)v->cr[CR_START_HI] << 8 | v->cr[CR_START_LO]) + (v->cr[CR_PRESET] >> 5 & 3);
    lines = v->surface.height / twice;
    for (unsigned y = 0; y < lines; y++) {
        uint32_t *line = v->line;

        if (graphics(v))
            graphics_line(v, &s, chars, line);
        else
            text_line(v, &s, chars, line);
        line += s.pan;
        if (half_clock(v)) {
            line = v->line;
            memmove(line, line + s.pan, (dots - s.pan) * sizeof(*line));
            for (unsigned i = v->surface.width / 2; i-- > 0;)
                line[2 * i] = line[2 * i + 1] = line[i];
        }
        for (unsigned i = 0; i < twice; i++)
            put_line(v, &r, y * twice + i, line);
        if (y == compare) {
            s.counter = s.row = times = 0;
            if (v->ac[AC_MODE] & AC_PAN_SPLIT)
                s.pan = 0;
        } else if (!(v->cr[CR_MAX_SCAN] & 0x80) || (times ^= 1) == 0) {
            if (s.row == max) {
                s.row = 0;
                s.counter += step;
            } else {
                s.row = (s.row + 1) & 0x1f;
            }
        }
    }
    rect_flush(v, &r);
}

/* ---- characters for terminals ---- */

static void make_text(struct vga *v)
{
    struct text_screen *t = &v->surface.text;
    unsigned height = (v->cr[CR_MAX_SCAN] & 0x1fu) + 1, start, step = v->cr[CR_OFFSET] * 2u, shift = count_shift(v);
    unsigned at = cursor_at(v);

    if (v->cr[CR_MAX_SCAN] & 0x80)
        height *= 2;
    t->cols = v->cr[CR_HDISP] + 1u;
    t->rows = vga_lines(v) / height;
    if (!t->rows)
        t->rows = 1;
    if (t->cols * t->rows > v->cell_room) {
        v->cell_room = t->cols * t->rows;
        v->cells = realloc(v->cells, v->cell_room * sizeof(*v->cells));
        if (!v->cells)
            die(EXIT_CODE_HOST, "out of memory for a screen of text");
    }
    t->cursor_x = t->cursor_y = -1;
    t->blinks = v->ac[AC_MODE] & AC_BLINK;
    start = (unsigned)v->cr[CR_START_HI] << 8 | v->cr[CR_START_LO];
    for (unsigned y = 0; y < t->rows; y++) {
        for (unsigned x = 0; x < t->cols; x++) {
            unsigned counter = (start + y * step + (x >> shift)) & 0xffff;
            uint32_t word = fetch(v, counter, 0);

            v->cells[y * t->cols + x] = (struct text_cell){ word, word >> 8 };
            if (counter == at && !(v->cr[CR_CURSOR_START] & 0x20) && t->cursor_x < 0) {
                t->cursor_x = (int)x;
                t->cursor_y = (int)y;
            }
        }
    }
    t->cells = v->cells;
}

/* ---- refreshing ---- */

/* The surface gets the mode's size. True: it is a new one. */
static bool resize(struct vga *v)
{
    unsigned w = v->vbe[VBE_XRES], h = v->vbe[VBE_YRES];
    size_t n;

    if (!vga_vbe_on(v)) {
        w = (v->cr[CR_HDISP] + 1u) * char_dots(v) * (half_clock(v) ? 2 : 1);
        h = vga_lines(v);
    }
    if (v->surface.pixels && w == v->surface.width && h == v->surface.height)
        return false;
    n = (size_t)w * h;
    if (n > v->room) {
        free(v->surface.pixels);
        v->surface.pixels = malloc(n * sizeof(uint32_t));
        if (!v->surface.pixels)
            die(EXIT_CODE_HOST, "out of memory for a picture of %ux%u", w, h);
        v->room = n;
    }
    memset(v->surface.pixels, 0, n * sizeof(uint32_t));
    v->surface.width = v->surface.stride = w;
    v->surface.height = h;
    display_resized(v->display);
    return true;
}

static bool blank(const struct vga *v)
{
    if (!(v->ac_index & AC_INDEX_ON) || !v->enabled)
        return true;
    if (vga_vbe_on(v))
        return false;
    return v->seq[SEQ_CLOCK] & CLOCK_OFF || (v->seq[SEQ_RESET] & 3) != 3 || !(v->cr[CR_MODE] & 0x80);
}

static const struct surface *refresh(void *dev)
{
    struct vga *v = dev;
    unsigned words = (v->vram_len / PAGE_SIZE + 63) / 64, blink = 0;
    uint64_t any = 0, frames = clock_now(v->clock) / FRAME_NS;
    bool text = !vga_vbe_on(v) && !graphics(v), all = resize(v) || v->changed;

    track_take(v->track, v->pages);
    for (unsigned w = 0; w < words; w++)
        any |= v->pages[w];
    if (text)
        blink = (frames / CURSOR_FRAMES & 1) | (frames / CURSOR_FRAMES & 2);
    all |= blink != v->blink;
    if (!all && !any)
        return &v->surface;
    v->blink = blink;
    v->surface.text = (struct text_screen){ .cells = NULL };
    make_colours(v);
    if (blank(v)) {
        draw_blank(v);
    } else if (vga_vbe_on(v)) {
        draw_vbe(v, all);
    } else {
        draw_vga(v);
        if (text)
            make_text(v);
    }
    memset(v->pages, 0, words * sizeof(*v->pages));
    v->changed = false;
    return &v->surface;
}

const struct display_user vga_display = { refresh };

void vga_draw_init(struct vga *v)
{
    v->pages = calloc((v->vram_len / PAGE_SIZE + 63) / 64, sizeof(*v->pages));
    v->line = malloc(LINE_MAX * sizeof(*v->line));
    if (!v->pages || !v->line)
        die(EXIT_CODE_HOST, "out of memory for the display");
    for (unsigned i = 0; i < 256; i++)
        for (unsigned bit = 0; bit < 8; bit++)
            v->spread[i] |= (uint64_t)(i >> (7 - bit) & 1) << 8 * bit;
}

void vga_draw_free(struct vga *v)
{
    free(v->pages);
    free(v->line);
    free(v->cells);
    free(v->surface.pixels);
}
