/*
 * smbios.h - SMBIOS structures that describe the machine (DMTF DSP0134, version 2.8).
 */
#ifndef HW_SMBIOS_H
#define HW_SMBIOS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SMBIOS_ANCHOR 31        /* bytes of the entry point structure */

enum smbios_text {
#define TEXT(id, type, key) SMBIOS_##id,
#include "hw/smbios_texts.def"
#undef TEXT
    SMBIOS_TEXTS
};

#define SMBIOS_OEM 64u          /* texts of type 11 */

/* What the user wants in the structures. */
struct smbios_given {
    const char *text[SMBIOS_TEXTS];     /* NULL: as the machine has it */
    bool type[128];                     /* one of these was given something: structures 0 and 2 are made only then */
    uint8_t release[2];                 /* of the firmware: major, minor */
    const char *oem[SMBIOS_OEM];
    unsigned noem;
};

struct smbios_info {
    const struct smbios_given *given;   /* NULL: nothing */
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
