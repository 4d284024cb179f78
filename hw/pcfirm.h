/*
 * pcfirm.h - what PC boards tell their firmware, and what a kernel that is loaded directly finds of it.
 */
#ifndef HW_PCFIRM_H
#define HW_PCFIRM_H

#include "hw/acpi.h"
#include "hw/pcbase.h"
#include "hw/smbios.h"

struct fw_cfg;

struct pcfirm {
    struct fw_cfg *cfg;
    uint8_t *tables, *smbios;           /* for a kernel that is loaded directly */
    size_t tables_len, smbios_len;
    uint8_t anchor[SMBIOS_ANCHOR];
    unsigned started;                   /* times; a guest's resets count */
};

/* The configuration device; before the devices that add to it. */
void pcfirm_init(struct pcfirm *, struct machine *);
/* When all devices are there: items and files, the firmware's ROM or, with a kernel, the tables. */
void pcfirm_configure(struct pcfirm *, struct machine *, struct acpi_board *, struct smbios_info *);
/* Letters as of -boot: a, c, d and n, each once at most. */
bool pcfirm_order_known(const char *order);
/* On resets. */
void pcfirm_reset(struct pcfirm *, struct machine *);
/* On resets, with a kernel: puts tables where C0000-FFFFF is RAM already, and other chips as firmware leaves them. */
void pcfirm_place(const struct pcfirm *, struct machine *);
void pcfirm_free(struct pcfirm *);

#endif
