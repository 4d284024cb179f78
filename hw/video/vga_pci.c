/*
 * vga_pci.c - the VGA as a PCI card, as guests' drivers for Bochs' and QEMU's standard VGA know it: 1234:1111, video
 * memory in BAR 0, the registers' memory in BAR 2 (vga.h), the video BIOS as expansion ROM. The legacy ports and the
 * window at A0000h answer whatever the command register says: nothing else on the bus would. Bridges before it must
 * pass them on; VBE's ports, which no bridge knows, answer always.
 */
#include "base/log.h"
#include "hw/pci.h"
#include "hw/plug.h"
#include "hw/video/vga.h"

struct vga_props {
    struct plug_common common;
    uint64_t mib, xres, yres;
    const char *romfile;
};

static const struct prop props[] = {
    { "vgamem_mb", PROP_NUMBER, offsetof(struct vga_props, mib), 1, 256, "video memory in MiB, a power of two" },
    { "xres", PROP_NUMBER, offsetof(struct vga_props, xres), 640, 2560, "width the monitor prefers" },
    { "yres", PROP_NUMBER, offsetof(struct vga_props, yres), 480, 1600, "height the monitor prefers" },
    { "romfile", PROP_STRING, offsetof(struct vga_props, romfile), 0, 0, "its video BIOS" },
    PROP_END
};

static const struct vga_props defaults = { .mib = 16, .xres = 1280, .yres = 800, .romfile = "vgabios-stdvga.bin" };

struct card {
    struct pci_dev *pci;
    struct vga *vga;
    const uint8_t *rom;
    size_t rom_len;
};

static void path(void *dev)
{
    struct card *c = dev;

    vga_legacy(c->vga, pci_vga_reached(c->pci));
}

/* No state of its own: it keeps what direct boots need. */
static const struct chip card_chip = { "vga-card", sizeof(struct card), path, NULL, path, NULL };

static bool text_mode(void *dev)
{
    struct card *c = dev;

    return c->rom && vga_text_mode(c->vga, c->rom, c->rom_len);
}

static void make(struct plug_env *env, void *bus, const void *p)
{
    static const struct pci_ident id = { .vendor = 0x1234, .device = 0x1111, .subvendor = 0x1af4,
                                         .subdevice = 0x1100, .class = 0x030000 };
    const struct vga_props *o = p;
    struct machine *m = env->m;
    char chip[60];
    const struct rom_image *rom;
    struct pci_dev *d;
    struct card *c;
    uint32_t len;
    void *vram;

    if (o->mib & (o->mib - 1))
        die(EXIT_CODE_USAGE, "-device VGA: vgamem_mb=%llu: use a power of two", (unsigned long long)o->mib);
    d = pci_add(env->pci, o->common.name, o->common.slot, o->common.fn, &id);
    snprintf(chip, sizeof(chip), "%s:card", o->common.name);
    c = chip_new(m->chips, &card_chip, chip);
    c->pci = d;
    c->vga = vga_new(m->chips, o->common.name, m->ports, m->phys, m->clock, m->cfg.display, (unsigned)o->mib);
    vga_monitor(c->vga, (unsigned)o->xres, (unsigned)o->yres);
    vram = vga_vram(c->vga, &len);
    pci_on_path(d, path, c);
    path(c);
    pci_bar_ram(d, 0, len, PCI_BAR_PREFETCH, vram);
    pci_bar(d, 2, VGA_MMIO_LEN, 0, &vga_mmio_ops, c->vga);
    /* I/O space, memory space, bus master: firmware takes a card for the primary one that has the first two on. */
    pci_config_writable(d, 0x04, 1, 0x07);
    rom = plug_rom(env, o->romfile);
    if (rom) {
        pci_rom(d, rom->data, rom->len);
        c->rom = rom->data;
        c->rom_len = rom->len;
    }
    m->video = c;
    m->video_text = text_mode;
}

const struct plug VGA_plug = {
    "VGA", "standard VGA with Bochs' VBE", "PCI", sizeof(struct vga_props), &defaults, props, make
};
