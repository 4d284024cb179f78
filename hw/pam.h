/*
 * pam.h - what of the first MiB is RAM: PAM and SMRAM registers, the same in Intel's host bridges from
 * 82441FX to Q35.
 */
#ifndef HW_PAM_H
#define HW_PAM_H

#include "hw/pci.h"

#define PAM_SEGMENTS 13         /* [0]: F0000; [n]: C0000 + (n - 1) * 16 KiB */

struct pam {
    struct pci_dev *pci;
    struct phys *phys;
    unsigned pam, smram;        /* where the registers are */
    struct map *segment[PAM_SEGMENTS], *open;
};

/* ram: host memory of guest RAM from address 0, at least 1 MiB; the board leaves A0000-FFFFF unmapped or
   gives it to * ROM and devices. */
void pam_init(struct pam *, struct pci_dev *, struct phys *, void *ram, unsigned pam, unsigned smram);
/* After a guest's write to the configuration space. */
void pam_written(struct pam *, unsigned off, unsigned size);
/* After the configuration space was reset or loaded. */
void pam_update(struct pam *);
/* SMRAM's bits G_SMRAME and D_LCK. */
bool pam_smram_on(const struct pam *);
bool pam_smram_locked(const struct pam *);
/* A processor enters system management mode (SMIACT#). */
void pam_smi_act(struct pam *);
/* As firmware leaves it: C0000-FFFFF is RAM, SMRAM closed. */
void pam_shadow_all(struct pam *);

#endif
