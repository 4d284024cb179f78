/*
 * pci_dma.c - bus mastering: what a PCI device may read and write is the guest's RAM, and nothing else.
 */
#include "base/log.h"
#include "hw/pci_int.h"

static bool refused(const struct pci_dev *d, const char *what, uint64_t pa, uint64_t len)
{
    log_msg(LOG_GUEST, "%s: %s %#llx bytes of memory at %#llx: %s", d->name, what, (unsigned long long)len,
            (unsigned long long)pa, pci_bus_master(d) ? "no RAM" : "bus mastering is off");
    return false;
}

/* Where its accesses go; NULL: nowhere, a device that may not drive the bus sees nothing of memory. */
static struct phys *memory(const struct pci_dev *d, uint64_t pa, uint64_t len)
{
    return pci_bus_master(d) && pci_to_memory(d, pa, len) ? d->bus->phys : NULL;
}

bool pci_dma_read(struct pci_dev *d, uint64_t pa, void *buf, uint64_t len)
{
    if (!phys_dma_read(memory(d, pa, len), pa, buf, len))
        return refused(d, "reads", pa, len);
    return true;
}

bool pci_dma_write(struct pci_dev *d, uint64_t pa, const void *buf, uint64_t len)
{
    struct phys *phys = memory(d, pa, len);

    if (!phys || !phys_dma_write(phys, pa, buf, len))
        return refused(d, "writes", pa, len);
    return true;
}

void *pci_dma_host(struct pci_dev *d, uint64_t pa, uint64_t len, bool write, uint64_t *run)
{
    struct phys *phys = memory(d, pa, len);
    void *host = phys ? phys_dma_host(phys, pa, write, run) : NULL;

    if (!host) {
        refused(d, write ? "writes" : "reads", pa, len);
        return NULL;
    }
    if (*run > len)
        *run = len;
    return host;
}

void pci_dma_written(struct pci_dev *d, uint64_t pa, uint64_t len)
{
    phys_dma_written(d->bus->phys, pa, len);
}

void pci_dma_discard(struct pci_dev *d, uint64_t pa, uint64_t len)
{
    if (memory(d, pa, len))
        phys_dma_discard(d->bus->phys, pa, len);
}
