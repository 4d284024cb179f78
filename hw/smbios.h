/*
 * smbios.h - SMBIOS structures that describe the machine (DMTF DSP0134, version 2.8).
 */
#ifndef HW_SMBIOS_H
#define HW_SMBIOS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SMBIOS_ANCHOR 31        /* bytes of the entry point structure */

struct smbios_info {
    const char *product;
    unsigned ncpu;
    const uint8_t *uuid;        /* 16 bytes, as it is written; all zero: none */
    uint64_t ram_low, ram_high; /* bytes from 0 and from 4 GiB */
    bool bios;                  /* type 0, too: there is no firmware that adds its own */
};
/* Returns malloc'ed structures that are to lie at `pa`; the anchor goes to a multiple of 16 in F0000-FFFFF.
 * Firmware that moves the structures puts their address and the checksums right. */
uint8_t *smbios_tables(const struct smbios_info *, uint32_t pa, size_t *len, uint8_t anchor[SMBIOS_ANCHOR]);

#endif
