/*
 * pci_express.c - configuration spaces in memory, and the capability of endpoints (PCI Express Base
 * Specification 5.0, 7.2.2 and 7.5.3).
 *
 * There are no links: functions are integrated into the root complex, and have no extended capabilities;
 * the first header of their list is 0, which says so.
 */
#include "hw/pci_int.h"

#include "base/log.h"

#define CAP_EXPRESS 0x10
#define EXPRESS_LEN 0x3c
#define VERSION_2   2u
#define INTEGRATED  (9u << 4)   /* root complex integrated endpoint */
#define DEVCAP      4
#define DEVCTL      8
#define ROLE_ERRORS (1u << 15)  /* role-based error reporting */
#define BUS_SHIFT   20

static struct pci_dev *addressed(struct pci_bus *s, uint64_t off, unsigned *reg)
{
    struct pci_dev *d = off >> BUS_SHIFT ? NULL : s->dev[off >> 12 & 0xff];

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

void pci_express_init(struct pci_dev *d)
{
    unsigned cap;

    if (!d->bus->express)
        return;
    d->express = true;
    cap = pci_add_cap(d, CAP_EXPRESS, EXPRESS_LEN);
    pci_config_init(d, cap + 2, 2, VERSION_2 | INTEGRATED, 0);
    pci_config_init(d, cap + DEVCAP, 4, ROLE_ERRORS, 0);
    /* Error reporting, relaxed ordering, payload and request sizes, no snoop: nothing here depends on
       them. */
    pci_config_init(d, cap + DEVCTL, 2, 0x2810, 0x78ff);
}
