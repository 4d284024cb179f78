/*
 * i440fx.h - 82441FX host bridge (PMC): what of the first MiB is RAM (PAM), and memory for SMM (SMRAM).
 */
#ifndef HW_I440FX_H
#define HW_I440FX_H

#include "hw/pci.h"

struct i440fx;
/* The bridge at 00:00.0. ram: host memory of guest RAM from address 0, at least 1 MiB; the board leaves
 * A0000-FFFFF unmapped or gives it to ROM and devices. */
struct i440fx *i440fx_new(struct chip_list *, struct pci_bus *, struct phys *, void *ram);
/* A processor enters system management mode (SMIACT#). */
void i440fx_smi_act(struct i440fx *);
/* As firmware leaves it: C0000-FFFFF is RAM, SMRAM closed. */
void i440fx_shadow_all(struct i440fx *);

#endif
