/*
 * acpi.h - ACPI fixed hardware: PM1a event and control blocks and the PM timer
 * (ACPI 6.4, 4.8), and the tables that describe a board (acpi_tables.c).
 */
#ifndef HW_ACPI_H
#define HW_ACPI_H

#include "hw/dev.h"

#define ACPI_PM_HZ   3579545u
#define ACPI_PM_LEN  12         /* ports: PM1a event 4, PM1a control 2, unused 2, PM timer 4 */
#define ACPI_PM_CNT  4
#define ACPI_PM_TMR  8

struct acpi_model {
    uint8_t s5_type;            /* SLP_TYP of soft-off, as \_S5 says */
    bool legacy;                /* SCI_EN is software's, clear at first; else always set: no SMI_CMD */
};

struct acpi;
/* base 0: nowhere yet. sci: level. off(arg) is called on soft-off. */
struct acpi *acpi_new(struct chip_list *, const struct acpi_model *, struct ports *, uint16_t base,
                      struct clock *, struct irq sci, void (*off)(void *arg), void *arg);
/* To another base, 0: nowhere. The ports are free. */
void acpi_move(struct acpi *, uint16_t base);
/* Set or clear SCI_EN, as a legacy firmware's SMI handler does for ACPI_ENABLE and ACPI_DISABLE. */
void acpi_enable(struct acpi *, bool on);
/* The power button is pressed (device lock held). */
void acpi_power_button(struct acpi *);

/* What the tables say; addresses are physical. */
struct acpi_board {
    unsigned ncpu;
    uint32_t lapic, ioapic;
    uint8_t ioapic_id;
    uint32_t hpet;
    uint16_t pm;                /* PM1a event block */
    uint8_t sci;                /* GSI, level-triggered */
    uint8_t s5_type;            /* as struct acpi_model */
    uint16_t reset_port;        /* write 6 */
    uint16_t gpe;               /* GPE0 block: gpe_len / 2 bytes status, as many enable; 0: none */
    uint8_t gpe_len;
    uint8_t pm_len;             /* ports from `pm` on that are the chip's */
    uint16_t smi_cmd;           /* port that turns ACPI mode on and off; 0: always on */
    uint8_t acpi_enable, acpi_disable;  /* what is written there */
    /* PCI interrupts go where `links` PIRQ registers say, 4 or, with I/O APICs, to GSI 16-23, 8; 0: to
       GSI 16-19. */
    unsigned links;
    unsigned (*pirq)(unsigned slot, unsigned pin);      /* links: pin 0-3 of a slot is on this one */
    uint8_t isa_slot;           /* links: the ISA bridge that has them */
    uint32_t mmconfig;          /* configuration spaces of 256 buses; 0: not in memory */
    uint16_t fw_cfg;            /* its ports; 0: none */
    uint32_t pci_lo, pci_hi;    /* 32-bit PCI memory window [lo, hi) */
    uint64_t pci64_lo, pci64_hi;        /* the same above 4 GiB; hi 0: nothing there */
    uint8_t serial;             /* bit n: COM n+1 is there */
    bool vga;
    bool floppy;                /* its controller is there */
    uint8_t parallel;           /* bit n: LPT n+1 is there */
    uint16_t pvpanic;           /* its port; 0: none */
};
/* What a firmware that moves the tables must do again. Offsets are into the tables. */
struct acpi_fixes {
    struct { uint32_t at, size; } pointer[32];
    struct { uint32_t field, start, len; } sum[16];
    unsigned npointer, nsum;
};
/*
 * Build all tables to lie at `pa` (16-byte aligned, below 4 GiB), RSDP first.
 * Returns a malloc'ed blob, *len its length. fixes: filled in, may be NULL.
 */
uint8_t *acpi_tables(const struct acpi_board *, uint32_t pa, size_t *len, struct acpi_fixes *);

#define ACPI_LINK_IRQS (1u << 5 | 1u << 10 | 1u << 11)
/* The PIRQ link devices LNKA-LNKD or LNKA-LNKH, and the _PRT that names them (acpi_links.c). */
struct aml;
void acpi_links(struct aml *, const struct acpi_board *);
void acpi_links_prt(struct aml *, const struct acpi_board *);

/* The tables as files for firmware, and the script that tells it how to place them (acpi_loader.c). */
struct fw_cfg;
void acpi_fw_cfg(const struct acpi_board *, struct fw_cfg *);
/* Addresses have changed: the same tables with others. */
void acpi_fw_cfg_again(const struct acpi_board *, struct fw_cfg *);
/* fn(arg) is called when the firmware begins to read the tables. */
void acpi_fw_cfg_asked(struct fw_cfg *, void (*fn)(void *arg), void *arg);

#endif
