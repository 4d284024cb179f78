/*
 * vga_int.h - what the files of the VGA share.
 *
 * Video memory is interleaved: plane p's byte n is at vram[4 * n + p], so that one 32-bit word is what the hardware
 * fetches and latches at once (p in bits 8p+7:8p). VBE modes but those of 4 bits see the same memory as it is.
 */
#ifndef HW_VIDEO_VGA_INT_H
#define HW_VIDEO_VGA_INT_H

#include "hw/video/vga.h"

#define PLANE_LEN 0x10000u      /* of the VGA proper: 256 KiB in all */
#define EDID_LEN  128u

/* Sequencer */
enum { SEQ_RESET, SEQ_CLOCK, SEQ_MAP_MASK, SEQ_FONT, SEQ_MEMORY, SEQ_REGS };
/* Graphics controller */
enum { GC_SET_RESET, GC_SR_ENABLE, GC_COMPARE, GC_ROTATE, GC_READ_MAP, GC_MODE, GC_MISC, GC_DONT_CARE, GC_BIT_MASK,
       GC_REGS };
/* CRT controller */
enum { CR_HTOTAL = 0x00, CR_HDISP = 0x01, CR_HBLANK = 0x02, CR_VTOTAL = 0x06, CR_OVERFLOW = 0x07, CR_PRESET = 0x08,
       CR_MAX_SCAN = 0x09, CR_CURSOR_START = 0x0a, CR_CURSOR_END = 0x0b, CR_START_HI = 0x0c, CR_START_LO = 0x0d,
       CR_CURSOR_HI = 0x0e, CR_CURSOR_LO = 0x0f, CR_VSYNC_START = 0x10, CR_VSYNC_END = 0x11, CR_VDISP = 0x12,
       CR_OFFSET = 0x13, CR_UNDERLINE = 0x14, CR_MODE = 0x17, CR_COMPARE = 0x18, CR_REGS };
/* Attribute controller */
enum { AC_MODE = 0x10, AC_OVERSCAN = 0x11, AC_PLANES = 0x12, AC_PAN = 0x13, AC_COLOR = 0x14, AC_REGS };
/* VBE */
enum { VBE_ID, VBE_XRES, VBE_YRES, VBE_BPP, VBE_ENABLE, VBE_BANK, VBE_VIRT_WIDTH, VBE_VIRT_HEIGHT, VBE_X_OFFSET,
       VBE_Y_OFFSET, VBE_MEMORY, VBE_REGS };
#define VBE_ON        0x01u
#define VBE_CAPS      0x02u
#define VBE_DAC8      0x20u
#define VBE_LFB       0x40u
#define VBE_KEEP      0x80u
#define VBE_XMAX 2560u
#define VBE_YMAX 1600u

struct vga {
    struct ports *ports;
    struct map *window;         /* at A0000h */
    bool legacy;                /* that and the ports answer */
    struct clock *clock;
    struct display *display;
    uint8_t *vram;
    uint32_t vram_len;
    struct track *track;
    uint8_t edid[EDID_LEN];

    /* state */
    uint8_t misc, feature, enabled;     /* 3C2h, 3DAh, 3C3h */
    uint8_t seq_index, seq[SEQ_REGS];
    uint8_t gc_index, gc[GC_REGS];
    uint8_t cr_index, cr[CR_REGS];
    uint8_t ac_index, ac_data, ac[AC_REGS];     /* ac_data: the next write is data */
    uint8_t dac[768], dac_mask, dac_state, dac_part, dac_buf[3];
    uint8_t dac_read, dac_write;
    uint32_t latch;
    uint16_t vbe_index, vbe[VBE_REGS];

    /* the picture (vga_draw.c): made anew from the state */
    bool changed;               /* some register that matters was written since */
    uint64_t *pages;            /* bits: written since the last refresh */
    struct surface surface;
    size_t room;                /* pixels allocated */
    uint32_t *line;             /* one line being made */
    struct text_cell *cells;
    unsigned cell_room, blink;  /* blink: phases of cursor and text when drawn */
    uint32_t rgb[256];          /* of what leaves the attribute controller */
    uint32_t rgb16[16];         /* of what enters it in 16-colour modes */
    uint64_t spread[256];       /* bit 7-i in byte i */
};

/* ---- vga.c ---- */
uint8_t vga_port_read(struct vga *, unsigned port);
void vga_port_write(struct vga *, unsigned port, uint8_t val);

/* ---- vga_vbe.c ---- */
uint16_t vga_vbe_read(struct vga *, unsigned index);
void vga_vbe_write(struct vga *, unsigned index, uint16_t val);
void vga_vbe_reset(struct vga *);
void vga_vbe_check(struct vga *);       /* after loading: values the registers can have */
void vga_edid(uint8_t edid[EDID_LEN], unsigned xres, unsigned yres);
extern const struct io_ops vga_vbe_ops;
/* Bytes from one line to the next, of one plane in modes of 4 bits. */
uint32_t vga_vbe_pitch(const struct vga *);
static inline bool vga_vbe_on(const struct vga *v)
{
    return v->vbe[VBE_ENABLE] & VBE_ON;
}
/* The window shows memory as it is. */
static inline bool vga_vbe_packed(const struct vga *v)
{
    return vga_vbe_on(v) && v->vbe[VBE_BPP] != 4;
}

/* ---- vga_mem.c ---- */
extern const struct io_ops vga_mem_ops;

static inline uint32_t vga_word(const struct vga *v, uint32_t n)        /* all planes' byte n */
{
    const uint8_t *p = v->vram + 4 * n;

    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}
static inline void vga_dirty(struct vga *v, uint32_t byte)
{
    v->pages[byte / PAGE_SIZE / 64] |= (uint64_t)1 << (byte / PAGE_SIZE % 64);
}

/* ---- vga_draw.c ---- */
extern const struct display_user vga_display;
void vga_draw_init(struct vga *);
void vga_draw_free(struct vga *);
/* Lines and characters of the VGA proper, as the CRT controller's registers say. */
unsigned vga_lines(const struct vga *);
static inline unsigned vga_vtotal(const struct vga *v)
{
    return (v->cr[CR_VTOTAL] | (v->cr[CR_OVERFLOW] & 1u) << 8 | (v->cr[CR_OVERFLOW] & 0x20u) << 4) + 2;
}

#endif
