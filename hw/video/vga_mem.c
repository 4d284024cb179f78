/*
 * vga_mem.c - the window at A0000h: how the sequencer and the graphics controller let the processor reach the
 * planes (FreeVGA, "Accessing the VGA display memory"; IBM's reference as in vga.c).
 *
 * In the VGA's own chain-4 mode the address's low two bits select the plane and the rest, with two zeros, the byte in
 * it, as on IBM's: what such modes leave in memory is where programs look for it that unchain the planes.
 */
#include <string.h>

#include "base/log.h"
#include "hw/video/vga_int.h"

#define MISC_RAM      0x02u     /* 3C2h: the processor reaches memory */
#define SEQ_ODD_EVEN  0x04u     /* SEQ_MEMORY: 0: odd addresses write to odd planes */
#define SEQ_CHAIN4    0x08u
#define GC_ODD_EVEN   0x10u     /* GC_MODE: reads */
#define GC_READ_CMP   0x08u
#define GC_CHAIN      0x02u     /* GC_MISC: the address's lowest bit is no part of the offset */

/* Each of four bits as a byte. */
static const uint32_t wide[16] = {
    0x00000000, 0x000000ff, 0x0000ff00, 0x0000ffff, 0x00ff0000, 0x00ff00ff, 0x00ffff00, 0x00ffffff,
    0xff000000, 0xff0000ff, 0xff00ff00, 0xff00ffff, 0xffff0000, 0xffff00ff, 0xffffff00, 0xffffffff
};

static uint32_t each(uint8_t val)
{
    return val * 0x01010101u;
}

/* Offset in the memory map the guest has chosen. False: nothing is there. */
static bool in_map(const struct vga *v, uint64_t at, uint32_t *off)
{
    static const struct { uint32_t at, len; } maps[4] = {
        { 0, 0x20000 }, { 0, 0x10000 }, { 0x10000, 0x8000 }, { 0x18000, 0x8000 }
    };
    unsigned map = v->gc[GC_MISC] >> 2 & 3;

    *off = (uint32_t)at - maps[map].at;
    return v->enabled && (v->misc & MISC_RAM) && *off < maps[map].len;
}

/* VBE's banks; the byte's place in memory. */
static bool packed(const struct vga *v, uint32_t off, uint32_t *at)
{
    *at = ((uint32_t)v->vbe[VBE_BANK] << 16) + off;
    return *at < v->vram_len;
}

/* Byte number in the planes, for an access to offset `off` that is not chained. */
static bool in_plane(const struct vga *v, uint32_t *off)
{
    if (vga_vbe_on(v)) {
        *off += (uint32_t)v->vbe[VBE_BANK] << 16;
        return *off < v->vram_len / 4;
    }
    if ((v->gc[GC_MISC] & GC_CHAIN) && !(v->seq[SEQ_MEMORY] & SEQ_CHAIN4))
        *off = (*off & ~1u) | (*off >> 16 & 1);
    *off &= PLANE_LEN - 1;
    return true;
}

static uint8_t read_byte(struct vga *v, uint64_t at)
{
    uint32_t off, byte;
    unsigned plane = v->gc[GC_READ_MAP];

    if (!in_map(v, at, &off))
        return 0xff;
    if (vga_vbe_packed(v))
        return packed(v, off, &byte) ? v->vram[byte] : 0xff;
    if (v->seq[SEQ_MEMORY] & SEQ_CHAIN4) {
        plane = off & 3;
        off &= ~3u;
    } else if (v->gc[GC_MODE] & GC_ODD_EVEN) {
        plane = (plane & 2) | (off & 1);
    }
    if (!in_plane(v, &off))
        return 0xff;
    v->latch = vga_word(v, off);
    if (v->gc[GC_MODE] & GC_READ_CMP) {
        uint32_t diff = (v->latch ^ wide[v->gc[GC_COMPARE]]) & wide[v->gc[GC_DONT_CARE]];

        diff |= diff >> 16;
        return ~(diff | diff >> 8);
    }
    return v->latch >> 8 * plane;
}

/* What the graphics controller makes of a byte written. */
static uint32_t alu(const struct vga *v, uint8_t val)
{
    unsigned mode = v->gc[GC_MODE] & 3, turn = v->gc[GC_ROTATE] & 7;
    uint8_t turned = val >> turn | val << (8 - turn), bits = v->gc[GC_BIT_MASK];
    uint32_t data, mask;

    switch (mode) {
    case 0:
        data = (each(turned) & ~wide[v->gc[GC_SR_ENABLE]]) | wide[v->gc[GC_SET_RESET] & v->gc[GC_SR_ENABLE]];
        break;
    case 1:
        return v->latch;
    case 2:
        data = wide[val & 15];
        break;
    default:
        data = wide[v->gc[GC_SET_RESET]];
        bits &= turned;
        break;
    }
    switch (v->gc[GC_ROTATE] >> 3 & 3) {
    case 1: data &= v->latch; break;
    case 2: data |= v->latch; break;
    case 3: data ^= v->latch; break;
    }
    mask = each(bits);
    return (data & mask) | (v->latch & ~mask);
}

static void write_byte(struct vga *v, uint64_t at, uint8_t val)
{
    uint32_t off, byte, mask, word;
    unsigned planes = v->seq[SEQ_MAP_MASK];

    if (!in_map(v, at, &off))
        return;
    if (vga_vbe_packed(v)) {
        if (packed(v, off, &byte)) {
            v->vram[byte] = val;
            vga_dirty(v, byte);
        }
        return;
    }
    if (v->seq[SEQ_MEMORY] & SEQ_CHAIN4) {
        planes &= 1u << (off & 3);
        off &= ~3u;
    } else if (!(v->seq[SEQ_MEMORY] & SEQ_ODD_EVEN)) {
        planes &= off & 1 ? 0xa : 0x5;
    }
    if (!in_plane(v, &off) || !planes)
        return;
    mask = wide[planes];
    word = (vga_word(v, off) & ~mask) | (alu(v, val) & mask);
    for (unsigned p = 0; p < 4; p++)
        v->vram[4 * off + p] = word >> 8 * p;
    vga_dirty(v, 4 * off);
}

static uint64_t mem_read(void *dev, uint64_t off, unsigned size)
{
    uint64_t val = 0;

    for (unsigned i = 0; i < size; i++)
        val |= (uint64_t)read_byte(dev, off + i) << 8 * i;
    return val;
}

static void mem_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
    for (unsigned i = 0; i < size; i++)
        write_byte(dev, off + i, val >> 8 * i);
}

const struct io_ops vga_mem_ops = { mem_read, mem_write, 1 | 2 | 4 | 8, LOG_DEV_VGA };
