/*
 * i440fx.c - Intel 82441FX PCI and memory controller: configuration space; PAM and SMRAM are in pam.c (data
 * sheet 290549).
 */
#include "hw/i440fx.h"
#include "hw/pam.h"

#define PAM   0x59
#define SMRAM 0x72

struct i440fx {
    struct pam pam;
};

static const struct field i440fx_state[] = { FIELD_END };      /* all of it is in the configuration space */

static void written(void *dev, unsigned off, unsigned size)
{
    pam_written(&((struct i440fx *)dev)->pam, off, size);
}

void i440fx_smi_act(struct i440fx *s)
{
    pam_smi_act(&s->pam);
}

void i440fx_shadow_all(struct i440fx *s)
{
    pam_shadow_all(&s->pam);
}

/* After the configuration space, a chip of its own that comes first, has been reset or loaded. */
static void i440fx_reset(void *dev)
{
    pam_update(&((struct i440fx *)dev)->pam);
}

static const struct chip i440fx_chip = {
    "i440fx", sizeof(struct i440fx), i440fx_reset, i440fx_state, i440fx_reset
};

struct i440fx *i440fx_new(struct chip_list *chips, struct pci_bus *bus, struct phys *phys, void *ram)
{
    static const struct pci_ident id = { .vendor = 0x8086, .device = 0x1237, .class = 0x060000, .revision = 2,
                                         .subvendor = 0x1af4, .subdevice = 0x1100 };
    struct pci_dev *pci = pci_add(bus, "host-bridge", 0, 0, &id);
    struct i440fx *s = chip_new(chips, &i440fx_chip, "i440fx");

    pam_init(&s->pam, pci, phys, ram, PAM, SMRAM);
    pci_on_config(pci, written, s);
    return s;
}
