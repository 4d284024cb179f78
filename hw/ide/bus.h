/*
 * bus.h - where IDE devices are plugged in: a channel with two of them, or a port of a Serial ATA controller.
 */
#ifndef HW_IDE_BUS_H
#define HW_IDE_BUS_H

#include "hw/ide/ata.h"
#include "hw/pci.h"

struct ide_bus {
    unsigned units;             /* 1 or 2 */
    unsigned number;            /* of unit 0 among all the machine may have: serial numbers are made of it */
    struct ata *ata[2];
    struct ata_host host;
    char path[PCI_PATH_MAX];    /* how firmware names it: "/pci@i0cf8/ide@1,1/drive@0" */
    /* A device came; NULL: nobody needs to know. */
    void (*attached)(struct ide_bus *, unsigned unit);
};

/* It is the n-th of a controller that firmware calls `type`. */
void ide_bus_path(struct ide_bus *, const struct pci_dev *, const char *type, unsigned n);
/* who may be NULL: nothing special. */
void ide_attach(struct ide_bus *, struct chip_list *, const char *name, unsigned unit, struct drive *,
                const struct ata_who *who);

#endif
