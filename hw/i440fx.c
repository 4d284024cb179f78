/*
 * i440fx.c - Intel 82441FX PCI and memory controller: configuration space, PAM and SMRAM (data sheet
 * 290549, 3.2.18 and 3.2.21).
 *
 * PAM: F0000-FFFFF and twelve segments of 16 KiB from C0000 are RAM or PCI (ROM), apart for reads and
 * writes. What goes to PCI finds what the board has mapped there.
 * SMRAM: the RAM under the video window, A0000-BFFFF, is for processors in SMM (G_SMRAME), or for all while
 * D_OPEN; with D_CLS their data accesses go to PCI, fetches stay. D_LCK holds all that until a reset.
 */
#include "hw/i440fx.h"

#define PAM   0x59
#define SMRAM 0x72
#define SMM_BASE 0xa0000u
#define SMM_LEN  0x20000u

#define PAM_READ  1u            /* of each nibble */
#define PAM_WRITE 2u
#define SMRAM_A0000    0x02u    /* C_BASE_SEG: fixed */
#define SMRAM_ENABLE   0x08u
#define SMRAM_LOCK     0x10u
#define SMRAM_CLOSE    0x20u
#define SMRAM_OPEN     0x40u

#define SEGMENTS 13             /* [0]: F0000; [n]: C0000 + (n - 1) * 16 KiB */

struct i440fx {
    struct pci_dev *pci;
    struct phys *phys;
    struct map *segment[SEGMENTS], *open;
};

static const struct field i440fx_state[] = { FIELD_END };      /* all of it is in the configuration space */

/* PAM0 (59h): F0000 in its upper nibble; PAM1-PAM6: two segments each, the lower first. */
static void pam_update(struct i440fx *s)
{
    for (unsigned i = 0; i < SEGMENTS; i++) {
        unsigned nibble = i ? i + 1 : 1;
        unsigned v = pci_config(s->pci, PAM + nibble / 2, 1) >> 4 * (nibble & 1);

        map_shadow(s->segment[i], v & PAM_READ, v & PAM_WRITE);
    }
}

static void smram_update(struct i440fx *s)
{
    unsigned v = pci_config(s->pci, SMRAM, 1);
    bool on = v & SMRAM_ENABLE, open;

    if (v & SMRAM_LOCK) {
        v &= ~SMRAM_OPEN;
        pci_config_set(s->pci, SMRAM, 1, v);
        pci_config_writable(s->pci, SMRAM, 1, 0);
    }
    open = on && (v & SMRAM_OPEN);
    map_shadow(s->open, open, open);
    phys_smm_show(s->phys, on, on && !(v & SMRAM_CLOSE));
}

static void written(void *dev, unsigned off, unsigned size)
{
    struct i440fx *s = dev;

    if (off < PAM + 7 && off + size > PAM)
        pam_update(s);
    if (off <= SMRAM && off + size > SMRAM)
        smram_update(s);
}

void i440fx_smi_act(struct i440fx *s)
{
    unsigned v = pci_config(s->pci, SMRAM, 1);

    if ((v & SMRAM_ENABLE) && (v & SMRAM_OPEN))
        phys_smm_written(s->phys);
}

void i440fx_shadow_all(struct i440fx *s)
{
    pci_config_set(s->pci, PAM, 1, 0x30);
    for (unsigned i = 1; i < 7; i++)
        pci_config_set(s->pci, PAM + i, 1, 0x33);
    pam_update(s);
}

/* After the configuration space, a chip of its own that comes first, has been reset or loaded. */
static void i440fx_reset(void *dev)
{
    struct i440fx *s = dev;

    pci_config_writable(s->pci, SMRAM, 1, SMRAM_ENABLE | SMRAM_LOCK | SMRAM_CLOSE | SMRAM_OPEN);
    pam_update(s);
    smram_update(s);
}

static void i440fx_loaded(void *dev)
{
    i440fx_reset(dev);
}

static const struct chip i440fx_chip = {
    "i440fx", sizeof(struct i440fx), i440fx_reset, i440fx_state, i440fx_loaded
};

struct i440fx *i440fx_new(struct chip_list *chips, struct pci_bus *bus, struct phys *phys, void *ram)
{
    static const struct pci_ident id = { .vendor = 0x8086, .device = 0x1237, .class = 0x060000, .revision = 2,
                                         .subvendor = 0x1af4, .subdevice = 0x1100 };
    struct pci_dev *pci = pci_add(bus, "host-bridge", 0, 0, &id);
    struct i440fx *s = chip_new(chips, &i440fx_chip, "i440fx");
    uint8_t *host = ram;

    s->pci = pci;
    s->phys = phys;
    for (unsigned i = 0; i < 7; i++)
        pci_config_init(pci, PAM + i, 1, 0, i ? 0x33 : 0x30);
    pci_config_init(pci, SMRAM, 1, SMRAM_A0000, SMRAM_ENABLE | SMRAM_LOCK | SMRAM_CLOSE | SMRAM_OPEN);
    pci_on_config(pci, written, s);
    for (unsigned i = 0; i < SEGMENTS; i++) {
        uint32_t base = i ? 0xc0000 + (i - 1) * 0x4000 : 0xf0000;

        s->segment[i] = phys_map_shadow(phys, base, i ? 0x4000 : 0x10000, host + base, "shadow");
    }
    s->open = phys_map_shadow(phys, SMM_BASE, SMM_LEN, host + SMM_BASE, "smram");
    phys_smm_ram(phys, SMM_BASE, SMM_LEN, host + SMM_BASE);
    i440fx_reset(s);
    return s;
}
