/*
 * nvme.h - an NVMe controller with one namespace (NVM Express 1.4), a PCI device.
 */
#ifndef HW_NVME_NVME_H
#define HW_NVME_NVME_H

#include "hw/disk_if.h"
#include "hw/pci.h"

struct nvme_config {
    const char *serial;         /* at most 20 characters; NULL: the drive's, or its name */
    unsigned ioqpairs;          /* 1 to PCI_MSIX_MAX - 1 */
    unsigned mdts;              /* a command transfers at most 4 KiB << mdts, 1 to 9 */
    unsigned block_size;        /* 512 or 4096 */
    bool msix;
    bool cache_off;             /* the write cache is, until the driver says otherwise */
};

struct nvme;
/* NULL: the drive is another device's already. */
struct nvme *nvme_new(struct chip_list *, struct pci_bus *, struct clock *, const char *name, unsigned slot,
                      unsigned fn, struct drive *, const struct nvme_config *);

#endif
