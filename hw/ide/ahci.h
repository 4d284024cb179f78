/*
 * ahci.h - the SATA controller of the ICH9, as an AHCI host bus adapter with six ports.
 */
#ifndef HW_IDE_AHCI_H
#define HW_IDE_AHCI_H

#include "hw/ide/bus.h"
#include "hw/pci.h"

#define AHCI_PORTS 6u

struct ahci;

/* `pin` as in struct pci_ident. staggered: ports spin up when they are told to. */
struct ahci *ahci_new(struct chip_list *, struct pci_bus *, const char *name, unsigned slot, unsigned fn, unsigned pin,
                      bool staggered);
/* Port n, for a device to be plugged in. */
struct ide_bus *ahci_bus(struct ahci *, unsigned n);

struct plug_env;
/* Its ports are buses for devices: "ID.0" and so on, without an id "ide.N". */
void ahci_add_buses(struct plug_env *, struct ahci *, const char *id);

#endif
