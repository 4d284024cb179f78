/*
 * vga.h - the VGA with Bochs' VBE extensions, without the bus it sits on (vga_pci.c).
 */
#ifndef HW_VIDEO_VGA_H
#define HW_VIDEO_VGA_H

#include "hw/dev.h"
#include "hw/display_if.h"

#define VGA_MMIO_LEN 0x1000u
#define VGA_MEM      0xa0000u           /* the window: 128 KiB */

struct vga;

/* `mib`: MiB of video memory, a power of two. It is guest RAM (phys_ram_alloc()), and saved with that. */
struct vga *vga_new(struct chip_list *, const char *name, struct ports *, struct phys *, struct clock *,
                    struct display *, unsigned mib);
uint8_t *vga_vram(struct vga *, uint32_t *len);
/* The monitor's preferred mode, for its EDID block. */
/* The addresses of old, ports 3B0h-3DFh and the window at A0000h, lead to it; at first they do. */
void vga_legacy(struct vga *, bool on);
void vga_monitor(struct vga *, unsigned xres, unsigned yres);
/* Registers as memory: EDID at 0, ports 3C0h-3DFh at 400h, the VBE registers at 500h. */
extern const struct io_ops vga_mmio_ops;
/*
 * What firmware would leave behind: text mode 3, 80x25, with the 8x16 font in the video BIOS `rom`. False: there is
 * no such font in it, and nothing was changed.
 */
bool vga_text_mode(struct vga *, const uint8_t *rom, size_t len);

#endif
