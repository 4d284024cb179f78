/*
 * vga.c - the VGA's registers (IBM "PS/2 Hardware Interface Technical Reference: Video Subsystems"; FreeVGA project).
 *
 * Sequencer, CRT, graphics and attribute controller, DAC. What the registers mean is in vga_mem.c (how memory is
 * reached) and vga_draw.c (the picture). Invariant: whatever a register can hold, both stay within video memory.
 *
 * Beams move in virtual time: what port 3DAh says follows from the CRTC's numbers and the clock. The vertical
 * interrupt is not connected, as on most cards for PCI.
 */
#include "hw/video/vga_int.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

#define FIRST_B 0x3b0u
#define FIRST_C 0x3c0u
#define VBE_PORT 0x1ceu

#define MISC_COLOR 0x01u        /* CRTC at 3D4h, not 3B4h */
#define PROTECT    0x80u        /* CR11 */

/* ---- the beam ---- */

/* Bit 3: vertical retrace, bit 0: the beam is outside of the picture. */
static uint8_t beam(struct vga *v)
{
    static const uint32_t khz[4] = { 25175, 28322, 25175, 25175 };
    unsigned dots = v->seq[SEQ_CLOCK] & 1 ? 8 : 9, chars = v->cr[CR_HTOTAL] + 5u, lines = vga_vtotal(v);
    unsigned shown = v->cr[CR_HDISP] + 1u, sync, len, line, at;
    uint64_t line_ns = (uint64_t)chars * dots * 1000000u / khz[v->misc >> 2 & 3], now;
    uint8_t bits = 0;

    if (v->seq[SEQ_CLOCK] & 8)
        line_ns *= 2;
    if (v->cr[CR_MODE] & 4)
        line_ns *= 2;
    if (!line_ns)
        return 0;
    now = clock_now(v->clock) % (line_ns * lines);
    line = (unsigned)(now / line_ns);
    at = (unsigned)(now % line_ns * chars / line_ns);
    sync = v->cr[CR_VSYNC_START] | (v->cr[CR_OVERFLOW] & 4u) << 6 | (v->cr[CR_OVERFLOW] & 0x80u) << 2;
    len = (v->cr[CR_VSYNC_END] - sync) & 15;
    if (line - sync < len)
        bits |= 8;
    if (line > (v->cr[CR_VDISP] | (v->cr[CR_OVERFLOW] & 2u) << 7 | (v->cr[CR_OVERFLOW] & 0x40u) << 3) || at >= shown)
        bits |= 1;
    return bits;
}

/* ---- registers behind an index ---- */

static const uint8_t seq_mask[SEQ_REGS] = { 0x03, 0x3d, 0x0f, 0x3f, 0x0e };
static const uint8_t gc_mask[GC_REGS] = { 0x0f, 0x0f, 0x0f, 0x1f, 0x03, 0x7b, 0x0f, 0x0f, 0xff };
static const uint8_t ac_mask[AC_REGS + 1] = {
    0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f,
    0xef, 0xff, 0x3f, 0x0f, 0x0f
};

static void seq_write(struct vga *v, uint8_t val)
{
    if (v->seq_index >= SEQ_REGS)
        return;
    v->seq[v->seq_index] = val & seq_mask[v->seq_index];
    v->changed |= v->seq_index != SEQ_MAP_MASK;
    if (v->seq_index == SEQ_CLOCK && (val & 0x14))
        log_msg(LOG_UNIMP, "vga: sequencer clocking mode %02x: shift registers that are not loaded for each character",
                val);
}

static void gc_write(struct vga *v, uint8_t val)
{
    if (v->gc_index >= GC_REGS)
        return;
    v->gc[v->gc_index] = val & gc_mask[v->gc_index];
    v->changed |= v->gc_index == GC_MODE || v->gc_index == GC_MISC;
}

static void crtc_write(struct vga *v, uint8_t val)
{
    if (v->cr_index >= CR_REGS)
        return;
    if (v->cr_index <= CR_OVERFLOW && (v->cr[CR_VSYNC_END] & PROTECT)) {
        if (v->cr_index != CR_OVERFLOW)
            return;
        val = (v->cr[CR_OVERFLOW] & ~0x10) | (val & 0x10);      /* bit 8 of the line compare is not protected */
    }
    if (v->cr_index == CR_VSYNC_END && (val & 0x30) == 0x10)
        log_msg(LOG_UNIMP, "vga: the vertical interrupt is not connected");
    v->cr[v->cr_index] = val;
    v->changed = true;
}

static uint8_t crtc_read(const struct vga *v)
{
    switch (v->cr_index) {
    case 0x22:                  /* the latch, of the plane the read map selects */
        return v->latch >> 8 * (v->gc[GC_READ_MAP] & 3);
    case 0x24:                  /* what the next write to 3C0h is: 80h data */
        return v->ac_data << 7;
    case 0x26:
        return v->ac_index;
    default:
        return v->cr_index < CR_REGS ? v->cr[v->cr_index] : 0;
    }
}

static void attr_write(struct vga *v, uint8_t val)
{
    unsigned n = v->ac_index & 0x1f;

    v->ac_data = !v->ac_data;
    v->changed = true;
    if (v->ac_data)
        v->ac_index = val & 0x3f;
    else if (n <= AC_COLOR)
        v->ac[n] = val & ac_mask[n];
}

/* ---- DAC ---- */

static void dac_write(struct vga *v, uint8_t val)
{
    bool wide = v->vbe[VBE_ENABLE] & VBE_DAC8;

    v->dac_buf[v->dac_part++] = wide ? val : val & 0x3f;
    if (v->dac_part < 3)
        return;
    memcpy(&v->dac[3 * v->dac_write++], v->dac_buf, 3);
    v->dac_part = 0;
    v->changed = true;
}

static uint8_t dac_read(struct vga *v)
{
    uint8_t val = v->dac[3 * v->dac_read + v->dac_part];

    if (++v->dac_part == 3) {
        v->dac_part = 0;
        v->dac_read++;
    }
    return val;
}

/* ---- ports ---- */

/* 3B4h-3BAh and 3D4h-3DAh are one set of registers at two places; the other place is dead. */
static bool there(const struct vga *v, unsigned port)
{
    if (!v->enabled)
        return port == 0x3c3;
    return port >= 0x3c0 && port < 0x3d0 ? true : (port >= 0x3d0) == (v->misc & MISC_COLOR);
}

uint8_t vga_port_read(struct vga *v, unsigned port)
{
    if (!there(v, port))
        return 0xff;
    switch (port >= 0x3c0 && port < 0x3d0 ? port : (port & 0xf) | 0x3d0) {
    case 0x3c0:
        return v->ac_index;
    case 0x3c1:
        return (v->ac_index & 0x1f) <= AC_COLOR ? v->ac[v->ac_index & 0x1f] : 0;
    case 0x3c2:
        return 0x10;            /* a colour monitor; no interrupt */
    case 0x3c3:
        return v->enabled;
    case 0x3c4:
        return v->seq_index;
    case 0x3c5:
        return v->seq_index < SEQ_REGS ? v->seq[v->seq_index] : 0;
    case 0x3c6:
        return v->dac_mask;
    case 0x3c7:
        return v->dac_state;
    case 0x3c8:
        return v->dac_write;
    case 0x3c9:
        return dac_read(v);
    case 0x3ca:
        return v->feature;
    case 0x3cc:
        return v->misc;
    case 0x3ce:
        return v->gc_index;
    case 0x3cf:
        return v->gc_index < GC_REGS ? v->gc[v->gc_index] : 0;
    case 0x3d4:
        return v->cr_index;
    case 0x3d5:
        return crtc_read(v);
    case 0x3da:
        v->ac_data = 0;
        return beam(v);
    default:
        return 0xff;
    }
}

void vga_port_write(struct vga *v, unsigned port, uint8_t val)
{
    if (!there(v, port))
        return;
    switch (port >= 0x3c0 && port < 0x3d0 ? port : (port & 0xf) | 0x3d0) {
    case 0x3c0:
        attr_write(v, val);
        break;
    case 0x3c2:
        v->misc = val;
        v->changed = true;
        break;
    case 0x3c3:
        v->enabled = val & 1;
        break;
    case 0x3c4:
        v->seq_index = val & 7;
        break;
    case 0x3c5:
        seq_write(v, val);
        break;
    case 0x3c6:
        v->dac_mask = val;
        v->changed = true;
        break;
    case 0x3c7:
        v->dac_read = val;
        v->dac_part = 0;
        v->dac_state = 3;
        break;
    case 0x3c8:
        v->dac_write = val;
        v->dac_part = 0;
        v->dac_state = 0;
        break;
    case 0x3c9:
        dac_write(v, val);
        break;
    case 0x3ce:
        v->gc_index = val & 15;
        break;
    case 0x3cf:
        gc_write(v, val);
        break;
    case 0x3d4:
        v->cr_index = val & 0x3f;
        break;
    case 0x3d5:
        crtc_write(v, val);
        break;
    case 0x3da:
        v->feature = val & 3;
        break;
    default:
        log_msg(LOG_GUEST, "vga: write of %02x to port %03x, which has no register", val, port);
        break;
    }
}

static uint64_t b_read(void *dev, uint64_t off, unsigned size)
{
    return vga_port_read(dev, FIRST_B + (unsigned)off);
}

static void b_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
    vga_port_write(dev, FIRST_B + (unsigned)off, (uint8_t)val);
}

static uint64_t c_read(void *dev, uint64_t off, unsigned size)
{
    return vga_port_read(dev, FIRST_C + (unsigned)off);
}

static void c_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
    vga_port_write(dev, FIRST_C + (unsigned)off, (uint8_t)val);
}

static const struct io_ops b_ops = { b_read, b_write, 1, LOG_DEV_VGA };
static const struct io_ops c_ops = { c_read, c_write, 1, LOG_DEV_VGA };

/* ---- the same as memory ---- */

#define MMIO_PORTS 0x400u
#define MMIO_VBE   0x500u

static uint64_t mmio_read(void *dev, uint64_t off, unsigned size)
{
    struct vga *v = dev;

    if (off < EDID_LEN)
        return v->edid[off];
    if (off - MMIO_PORTS < 0x20)
        return vga_port_read(v, FIRST_C + (unsigned)(off - MMIO_PORTS));
    if (off - MMIO_VBE < 2 * VBE_REGS)
        return vga_vbe_read(v, (unsigned)(off - MMIO_VBE) / 2) >> 8 * (off & 1);
    return UINT64_MAX;
}

static uint64_t mmio_read_any(void *dev, uint64_t off, unsigned size)
{
    uint64_t val = 0;

    for (unsigned i = 0; i < size; i++)
        val |= (mmio_read(dev, off + i, 1) & 0xff) << 8 * i;
    return val;
}

static void mmio_write_any(void *dev, uint64_t off, uint64_t val, unsigned size)
{
    struct vga *v = dev;

    if (off - MMIO_PORTS < 0x20) {
        for (unsigned i = 0; i < size && off + i - MMIO_PORTS < 0x20; i++)
            vga_port_write(v, FIRST_C + (unsigned)(off + i - MMIO_PORTS), (uint8_t)(val >> 8 * i));
    } else if (off - MMIO_VBE < 2 * VBE_REGS && size == 2) {
        vga_vbe_write(v, (unsigned)(off - MMIO_VBE) / 2, (uint16_t)val);
    } else {
        log_msg(LOG_GUEST, "vga: %u-byte write to offset %03x of the registers' memory", size, (unsigned)off);
    }
}

const struct io_ops vga_mmio_ops = { mmio_read_any, mmio_write_any, 1 | 2, LOG_DEV_VGA };

/* ---- construction ---- */

static void vga_reset(void *dev)
{
    struct vga *v = dev;

    /* The registers are undefined after power-on: whoever sets a mode writes them all. Memory stays as it is. */
    v->misc = MISC_COLOR;
    v->feature = 0;
    v->enabled = 1;             /* the PCI command register is what matters at power-on */
    v->seq_index = v->gc_index = v->cr_index = v->ac_index = v->ac_data = 0;
    memset(v->seq, 0, sizeof(v->seq));
    memset(v->gc, 0, sizeof(v->gc));
    memset(v->cr, 0, sizeof(v->cr));
    memset(v->ac, 0, sizeof(v->ac));
    memset(v->dac, 0, sizeof(v->dac));
    memset(v->dac_buf, 0, sizeof(v->dac_buf));
    v->dac_mask = 0xff;
    v->dac_state = v->dac_part = v->dac_read = v->dac_write = 0;
    v->latch = 0;
    vga_vbe_reset(v);
    v->changed = true;
}

static void vga_loaded(void *dev)
{
    struct vga *v = dev;

    vga_vbe_check(v);
    v->changed = true;
}

static void vga_free(void *dev)
{
    vga_draw_free(dev);
}

static const struct field vga_state[] = {
    FIELD(struct vga, misc), FIELD(struct vga, feature), FIELD(struct vga, enabled),
    FIELD(struct vga, seq_index), FIELD_ARRAY(struct vga, seq), FIELD(struct vga, gc_index),
    FIELD_ARRAY(struct vga, gc), FIELD(struct vga, cr_index), FIELD_ARRAY(struct vga, cr),
    FIELD(struct vga, ac_index), FIELD_MAX(struct vga, ac_data, 1), FIELD_ARRAY(struct vga, ac),
    FIELD_ARRAY(struct vga, dac), FIELD(struct vga, dac_mask), FIELD(struct vga, dac_state),
    FIELD_MAX(struct vga, dac_part, 2), FIELD_ARRAY(struct vga, dac_buf), FIELD(struct vga, dac_read),
    FIELD(struct vga, dac_write), FIELD(struct vga, latch), FIELD(struct vga, vbe_index),
    FIELD_ARRAY(struct vga, vbe), FIELD_END
};

static const struct chip vga_chip = { "vga", sizeof(struct vga), vga_reset, vga_state, vga_loaded, vga_free };

void vga_legacy(struct vga *v, bool on)
{
    if (on == v->legacy)
        return;
    v->legacy = on;
    map_move(v->window, VGA_MEM, on);
    if (on) {
        ports_map(v->ports, FIRST_B, 12, &b_ops, v, "vga");
        ports_map(v->ports, FIRST_C, 32, &c_ops, v, "vga");
    } else {
        ports_unmap(v->ports, FIRST_B, 12);
        ports_unmap(v->ports, FIRST_C, 32);
    }
}

struct vga *vga_new(struct chip_list *chips, const char *name, struct ports *ports, struct phys *phys,
                    struct clock *clock, struct display *display, unsigned mib)
{
    struct vga *v = chip_new(chips, &vga_chip, name);

    assert(mib && !(mib & (mib - 1)));
    v->clock = clock;
    v->display = display;
    v->vram_len = mib << 20;
    v->vram = phys_ram_alloc(phys, v->vram_len);
    v->track = track_new(phys, v->vram, v->vram_len);
    vga_draw_init(v);
    vga_monitor(v, 1280, 800);
    vga_reset(v);
    v->window = phys_map_io(phys, VGA_MEM, 0x20000, &vga_mem_ops, v, "vga-memory");
    if (!v->window)
        die(EXIT_CODE_USAGE, "%s: there is another VGA: leave one out", name);
    ports_map(ports, VBE_PORT, 3, &vga_vbe_ops, v, "vga-vbe");
    v->ports = ports;
    vga_legacy(v, true);
    if (!display_connect(display, &vga_display, v))
        die(EXIT_CODE_USAGE, "%s: there is another device with a display: leave one out", name);
    return v;
}

uint8_t *vga_vram(struct vga *v, uint32_t *len)
{
    *len = v->vram_len;
    return v->vram;
}

void vga_monitor(struct vga *v, unsigned xres, unsigned yres)
{
    vga_edid(v->edid, xres, yres);
}
