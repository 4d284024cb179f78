/*
 * vga_vbe.c - Bochs' VBE extensions, interface B0C5 (Bochs' vbe_spec: "VBE DISPI interface"), and the monitor's EDID
 * block (VESA E-EDID 1.4).
 *
 * Invariant: while VBE is enabled, the picture - offsets, virtual width, lines - lies within video memory, for
 * vga_draw.c reads what these registers say. A mode that memory is too small for is not enabled.
 */
#include <string.h>

#include "base/log.h"
#include "base/trace.h"
#include "hw/video/vga_int.h"

#define ID_FIRST 0xb0c0u
#define ID_LAST  0xb0c5u

static bool depth_known(unsigned bpp)
{
    return bpp == 4 || bpp == 8 || bpp == 15 || bpp == 16 || bpp == 24 || bpp == 32;
}

/* Bytes of `pixels` in a line; of one plane in modes of 4 bits. */
static uint32_t line_bytes(const struct vga *v, uint32_t pixels)
{
    unsigned bpp = v->vbe[VBE_BPP];

    return bpp == 4 ? pixels / 8 : pixels * ((bpp + 7) / 8);
}

uint32_t vga_vbe_pitch(const struct vga *v)
{
    return line_bytes(v, v->vbe[VBE_VIRT_WIDTH]);
}

static uint32_t memory(const struct vga *v)
{
    return v->vbe[VBE_BPP] == 4 ? v->vram_len / 4 : v->vram_len;
}

/* Bring offsets and virtual size to what memory and the mode allow. False: the mode does not fit. */
static bool fit(struct vga *v)
{
    uint16_t *r = v->vbe;
    uint32_t lines;

    if (!depth_known(r[VBE_BPP]) || !r[VBE_XRES] || !r[VBE_YRES] || r[VBE_XRES] > VBE_XMAX || r[VBE_YRES] > VBE_YMAX)
        return false;
    if (r[VBE_BPP] == 4)
        r[VBE_XRES] &= ~7u;
    if (!r[VBE_XRES])
        return false;
    if (r[VBE_VIRT_WIDTH] < r[VBE_XRES])
        r[VBE_VIRT_WIDTH] = r[VBE_XRES];
    if (r[VBE_BPP] == 4)
        r[VBE_VIRT_WIDTH] &= ~7u;
    lines = memory(v) / vga_vbe_pitch(v);
    if (lines < r[VBE_YRES]) {          /* too wide: as if the virtual screen were as wide as the real one */
        r[VBE_VIRT_WIDTH] = r[VBE_XRES];
        lines = memory(v) / vga_vbe_pitch(v);
    }
    if (lines < r[VBE_YRES])
        return false;
    r[VBE_VIRT_HEIGHT] = lines > 0xffff ? 0xffff : lines;
    if (r[VBE_X_OFFSET] > r[VBE_VIRT_WIDTH] - r[VBE_XRES])
        r[VBE_X_OFFSET] = r[VBE_VIRT_WIDTH] - r[VBE_XRES];
    if (r[VBE_Y_OFFSET] > r[VBE_VIRT_HEIGHT] - r[VBE_YRES])
        r[VBE_Y_OFFSET] = r[VBE_VIRT_HEIGHT] - r[VBE_YRES];
    return true;
}

static void enable(struct vga *v, uint16_t val)
{
    uint16_t *r = v->vbe, was = r[VBE_ENABLE];

    r[VBE_ENABLE] = val & (VBE_ON | VBE_CAPS | VBE_DAC8 | VBE_LFB | VBE_KEEP);
    if (!(val & VBE_ON) || (was & VBE_ON))
        return;
    r[VBE_VIRT_WIDTH] = r[VBE_XRES];
    r[VBE_X_OFFSET] = r[VBE_Y_OFFSET] = 0;
    if (!fit(v)) {
        log_msg(LOG_GUEST, "vga: a VBE mode of %ux%u with %u bits is not possible with %u MiB", r[VBE_XRES],
                r[VBE_YRES], r[VBE_BPP], v->vram_len >> 20);
        r[VBE_ENABLE] &= ~VBE_ON;
        return;
    }
    log_dev(VGA, "vga: VBE mode %ux%u, %u bits", r[VBE_XRES], r[VBE_YRES], r[VBE_BPP]);
    trace_vga_mode(r[VBE_XRES], r[VBE_YRES], r[VBE_BPP]);
    if (!(val & VBE_KEEP)) {
        memset(v->vram, 0, v->vram_len);
        track_mark(v->track, 0, v->vram_len);
    }
}

/* A value for a register that memory must hold: without effect where it does not. */
static void set(struct vga *v, unsigned index, uint16_t val)
{
    uint16_t old[VBE_REGS];

    memcpy(old, v->vbe, sizeof(old));
    v->vbe[index] = val;
    if (vga_vbe_on(v) && !fit(v)) {
        log_msg(LOG_GUEST, "vga: VBE register %u cannot be %u in this mode", index, val);
        memcpy(v->vbe, old, sizeof(old));
    }
    v->vbe[VBE_BANK] %= memory(v) >> 16;        /* planes have fewer banks */
}

void vga_vbe_write(struct vga *v, unsigned index, uint16_t val)
{
    v->changed = true;
    switch (index) {
    case VBE_ID:
        if (val >= ID_FIRST && val <= ID_LAST)
            v->vbe[VBE_ID] = val;
        break;
    case VBE_ENABLE:
        enable(v, val);
        break;
    case VBE_BANK:
        v->vbe[VBE_BANK] = val % (memory(v) >> 16);
        break;
    case VBE_XRES: case VBE_YRES: case VBE_BPP: case VBE_VIRT_WIDTH: case VBE_X_OFFSET: case VBE_Y_OFFSET:
        set(v, index, val);
        break;
    default:
        log_msg(LOG_GUEST, "vga: write of %04x to VBE register %u, which cannot be written", val, index);
        break;
    }
}

uint16_t vga_vbe_read(struct vga *v, unsigned index)
{
    static const uint16_t most[] = { [VBE_XRES] = VBE_XMAX, [VBE_YRES] = VBE_YMAX, [VBE_BPP] = 32 };

    if (index >= VBE_REGS)
        return 0xffff;
    if (index == VBE_MEMORY)
        return v->vram_len >> 16;
    if ((v->vbe[VBE_ENABLE] & VBE_CAPS) && index >= VBE_XRES && index <= VBE_BPP)
        return most[index];
    return v->vbe[index];
}

void vga_vbe_reset(struct vga *v)
{
    memset(v->vbe, 0, sizeof(v->vbe));
    v->vbe[VBE_ID] = ID_LAST;
    v->vbe[VBE_BPP] = 8;
    v->vbe_index = 0;
}

void vga_vbe_check(struct vga *v)
{
    v->vbe[VBE_BANK] %= memory(v) >> 16;
    if (vga_vbe_on(v) && !fit(v))
        v->vbe[VBE_ENABLE] &= ~VBE_ON;
}

/* Port 1CEh: index, 1CFh: data, words at odd addresses, too; 1D0h: data for those who cannot do that. */
static uint64_t vbe_read(void *dev, uint64_t off, unsigned size)
{
    struct vga *v = dev;
    uint16_t val = off ? vga_vbe_read(v, v->vbe_index) : v->vbe_index;

    return size == 1 && off == 2 ? val >> 8 : val;
}

static void vbe_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
    struct vga *v = dev;

    if (!off)
        v->vbe_index = (uint16_t)val;
    else if (size == 2)
        vga_vbe_write(v, v->vbe_index, (uint16_t)val);
    else
        log_msg(LOG_GUEST, "vga: a byte written to a VBE register, which has 16 bits");
}

const struct io_ops vga_vbe_ops = { vbe_read, vbe_write, 1 | 2, LOG_DEV_VGA };

/* ---- EDID ---- */

#define EDID_DETAILED 54
#define EDID_LIMITS   72
#define EDID_NAME     90
#define EDID_UNUSED   108

/* Detailed timing (3.10.2) at 60 Hz, with CVT's reduced blanking. */
static void detailed(uint8_t *p, unsigned x, unsigned y)
{
    enum { HBLANK = 160, HFRONT = 48, HSYNC = 32, VFRONT = 3, VSYNC = 6 };
    unsigned vblank = y / 36 + VFRONT + VSYNC, clock = (x + HBLANK) * (y + vblank) / 1000 * 60 / 10;
    unsigned wide_mm = x * 254 / 960, high_mm = y * 254 / 960;

    p[0] = clock;
    p[1] = clock >> 8;
    p[2] = x;
    p[3] = HBLANK;
    p[4] = x >> 8 << 4;
    p[5] = y;
    p[6] = vblank;
    p[7] = y >> 8 << 4;
    p[8] = HFRONT;
    p[9] = HSYNC;
    p[10] = VFRONT << 4 | VSYNC;
    p[12] = wide_mm;
    p[13] = high_mm;
    p[14] = wide_mm >> 8 << 4 | high_mm >> 8;
    p[17] = 0x1a;               /* digital separate syncs, the horizontal one positive */
}

void vga_edid(uint8_t edid[EDID_LEN], unsigned xres, unsigned yres)
{
    static const uint8_t head[] = {
        0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00,
        0x32, 0x8d,             /* manufacturer LTM, five bits a letter */
        0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 1, 36,      /* product, serial number, week, year since 1990 */
        1, 4, 0xa5, 0, 0, 120, 0x06,    /* EDID 1.4; digital, 8 bits; size below; gamma 2.2; sRGB, native mode */
        0xee, 0x91, 0xa3, 0x54, 0x4c, 0x99, 0x26, 0x0f, 0x50, 0x54,     /* chromaticities of sRGB */
        0x21, 0x08, 0x00,       /* 640x480, 800x600, 1024x768 at 60 Hz */
        0xd1, 0xc0, 0x81, 0x80, 0xa9, 0x40, 0x95, 0x00, /* 1920x1080, 1280x1024, 1600x1200, 1440x900 */
        0x81, 0xc0, 0x81, 0x40, 0xb3, 0x00, 0xd1, 0x00  /* 1280x720, 1280x960, 1680x1050, 1920x1200 */
    };
    static const uint8_t limits[] = { 0, 0, 0, 0xfd, 0, 50, 125, 30, 160, 60, 0x01, 10, 32, 32, 32, 32, 32, 32 };
    static const uint8_t name[] = "\0\0\0\xfc\0Latimer\n     ";
    uint8_t sum = 0;

    memset(edid, 0, EDID_LEN);
    memcpy(edid, head, sizeof(head));
    edid[21] = (xres * 254 / 960 + 5) / 10;
    edid[22] = (yres * 254 / 960 + 5) / 10;
    detailed(edid + EDID_DETAILED, xres, yres);
    memcpy(edid + EDID_LIMITS, limits, sizeof(limits));
    memcpy(edid + EDID_NAME, name, 18);
    edid[EDID_UNUSED + 3] = 0x10;
    for (unsigned i = 0; i < EDID_LEN - 1; i++)
        sum += edid[i];
    edid[EDID_LEN - 1] = -sum;
}
