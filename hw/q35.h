/*
 * q35.h - 82Q35 memory controller hub (MCH): the host bridge of board q35.
 */
#ifndef HW_Q35_H
#define HW_Q35_H

#include "hw/pci.h"

struct q35;
/* The bridge at 00:00.0. ram: as i440fx_new()'s; its sizes below and above 4 GiB are told to who asks. */
struct q35 *q35_new(struct chip_list *, struct pci_bus *, struct phys *, void *ram, uint64_t low,
                    uint64_t high);
/* A TSEG of that many MiB, at most 64, can be had, too; 0: not. */
void q35_ext_tseg(struct q35 *, unsigned mib);
void q35_smi_act(struct q35 *);
/* As firmware leaves it: all of C0000-FFFFF is RAM, configuration spaces of 256 buses from `mmconfig` on. */
void q35_place(struct q35 *, uint32_t mmconfig);
/* Where configuration spaces are in memory now; 0: nowhere. */
uint64_t q35_mmconfig(struct q35 *);

#endif
