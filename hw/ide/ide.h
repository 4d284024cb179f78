/*
 * ide.h - one IDE channel: two ATA devices on a cable, their ports, and the bus master that moves their data.
 */
#ifndef HW_IDE_IDE_H
#define HW_IDE_IDE_H

#include "hw/ide/bus.h"
#include "hw/pci.h"

struct ide_channel;

/*
 * Channel n of its function. drive[n], which may be NULL, becomes device n. `pci` is the function whose bus mastering
 * moves the data. `irq` is the channel's interrupt.
 */
struct ide_channel *ide_channel_new(struct chip_list *, const char *name, unsigned n, struct pci_dev *pci, struct irq irq,
                                    struct drive *const drive[2]);
struct ide_bus *ide_channel_bus(struct ide_channel *);
/* Command block (8 ports: 1F0h) and control block (1 port: 3F6h) appear or go. */
void ide_channel_map(struct ide_channel *, struct ports *, uint16_t command, uint16_t control, bool on);
/* The bus master's registers: 8 ports of BAR 4 for each channel. */
uint64_t ide_bm_read(struct ide_channel *, unsigned off);
void ide_bm_write(struct ide_channel *, unsigned off, uint8_t val);

#endif
