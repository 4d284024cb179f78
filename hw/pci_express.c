/*
 * pci_express.c - configuration spaces in memory, and the capability of endpoints and ports (PCI Express Base
 * Specification 5.0, 7.2.2 and 7.5.3).
 *
 * Links have one lane of 2.5 GT/s, and are up while something is at their other end and the port does not disable
 * them. Nothing comes or goes while the machine runs. There are no extended capabilities; the first header of
 * their list is 0, which says so.
 */
#include "hw/pci_int.h"

#include "base/log.h"

#define CAP_EXPRESS 0x10
#define EXPRESS_LEN 0x3c
#define VERSION_2   2u
#define INTEGRATED  9u          /* root complex integrated endpoint */
#define ENDPOINT    0u
#define TYPE(t)     ((t) << 4)
#define SLOT        (1u << 8)
#define DEVCAP      4
#define DEVCTL      8
#define LNKCAP      0x0c
#define SLTCAP      0x14
#define ROOTCTL     0x1c
#define LNKCAP2     0x2c
#define LNKCTL2     0x30
#define LINK        0x11u       /* 2.5 GT/s, one lane */
#define LINK_TELLS  (1u << 20)  /* the status says whether it is up */
#define ROLE_ERRORS (1u << 15)  /* role-based error reporting */
#define BUS_SHIFT   20

static struct pci_dev *addressed(struct pci_bus *s, uint64_t off, unsigned *reg)
{
    struct pci_dev *d = pci_lookup(s, off >> BUS_SHIFT & 0xff, off >> 12 & 0xff);

    *reg = off & (CONFIG_EXT - 1);
    return d && (d->express || *reg < CONFIG) ? d : NULL;
}

static uint64_t mm_read(void *dev, uint64_t off, unsigned size)
{
    unsigned reg;
    struct pci_dev *d = addressed(dev, off, &reg);

    return d ? pci_config_read(d, reg, size) : UINT64_MAX;
}

static void mm_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
    unsigned reg;
    struct pci_dev *d = addressed(dev, off, &reg);

    if (d)
        pci_config_write(d, reg, size, val);
}

static const struct io_ops mm_ops = { mm_read, mm_write, 1 | 2 | 4, LOG_DEV_PCI };

void pci_bus_express(struct pci_bus *s)
{
    s->express = true;
}

void pci_mmconfig(struct pci_bus *s, uint64_t base, unsigned buses)
{
    if (s->mmconfig)
        map_free(s->mmconfig);
    s->mmconfig = NULL;
    if (!base)
        return;
    s->mmconfig = phys_map_io(s->phys, base, (uint64_t)buses << BUS_SHIFT, &mm_ops, s, "pci-mmconfig");
    if (!s->mmconfig)
        log_msg(LOG_GUEST, "pci: configuration spaces at %#llx overlap a device", (unsigned long long)base);
}

bool pci_is_express(const struct pci_bus *s)
{
    return s->express;
}

static unsigned capability(struct pci_dev *d, unsigned flags)
{
    unsigned cap = pci_add_cap(d, CAP_EXPRESS, EXPRESS_LEN);

    d->express = true;
    d->express_cap = cap;
    pci_config_init(d, cap + 2, 2, VERSION_2 | flags, 0);
    pci_config_init(d, cap + DEVCAP, 4, ROLE_ERRORS, 0);
    /* Error reporting, relaxed ordering, payload and request sizes, no snoop: nothing here depends on
       them. */
    pci_config_init(d, cap + DEVCTL, 2, 0x2810, 0x78ff);
    return cap;
}

/* The function is at one end of a link. */
static void link_end(struct pci_dev *d, unsigned cap, uint32_t can)
{
    pci_config_init(d, cap + LNKCAP, 4, LINK | can, 0);
    pci_config_init(d, cap + EXPRESS_LNKCTL, 2, 0, 0x00c8);     /* common clock, extended synch */
    pci_config_init(d, cap + EXPRESS_LNKSTA, 2, LINK, 0);
    pci_config_init(d, cap + LNKCAP2, 4, 1u << 1, 0);
    pci_config_init(d, cap + LNKCTL2, 2, 1, 0xf);
}

void pci_express_init(struct pci_dev *d)
{
    unsigned cap;

    if (!d->bus->express)
        return;
    cap = capability(d, TYPE(d->bus->parent ? ENDPOINT : INTEGRATED));
    if (d->bus->parent)
        link_end(d, cap, 0);
}

void pci_express_port(struct pci_dev *d, enum pci_port type, unsigned slot)
{
    bool down = type == PCI_ROOT_PORT || type == PCI_SWITCH_DOWN;
    unsigned cap = capability(d, TYPE((unsigned)type) | (down && slot ? SLOT : 0));

    if (down || d->bus->parent)
        link_end(d, cap, down ? LINK_TELLS : 0);
    if (down)                                   /* it may be disabled, too */
        pci_config_writable(d, cap + EXPRESS_LNKCTL, 2, 0x00c8 | EXPRESS_LINK_OFF);
    if (down && slot)
        pci_config_init(d, cap + SLTCAP, 4, slot << 19, 0);
    if (type == PCI_ROOT_PORT)                  /* which errors and events would be told: there are none */
        pci_config_init(d, cap + ROOTCTL, 2, 0, 0x0f);
}
