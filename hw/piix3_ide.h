/* piix3_ide.h - the IDE function of Intel's PIIX3. */
#ifndef HW_PIIX3_IDE_H
#define HW_PIIX3_IDE_H

#include "hw/disk_if.h"
#include "hw/pci.h"

struct ide_bus;
struct piix3_ide;

/* irq: 14 and 15; drive: primary master and slave, secondary master and slave, NULL: nothing there. */
struct piix3_ide *piix3_ide_new(struct chip_list *, struct pci_bus *, struct ports *, unsigned slot,
                                const struct irq irq[2], struct drive *const drive[4]);
/* As firmware leaves it: both channels decoded at their usual ports. */
void piix3_ide_enable(struct piix3_ide *);
/* Channel 0 or 1, for devices to be plugged in. */
struct ide_bus *piix3_ide_bus(struct piix3_ide *, unsigned channel);

#endif
