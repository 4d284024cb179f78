/* pvpanic.h - a guest's kernel tells that it has panicked, or that it has but goes on in another kernel. */
#ifndef HW_PVPANIC_H
#define HW_PVPANIC_H

#include "hw/pci.h"

void pvpanic_isa_new(struct chip_list *, const char *name, struct ports *, uint16_t port,
                     void (*event)(void *arg, bool crash_kernel), void *arg);
void pvpanic_pci_new(struct chip_list *, const char *name, struct pci_bus *, unsigned slot, unsigned fn,
                     void (*event)(void *arg, bool crash_kernel), void *arg);

#endif
