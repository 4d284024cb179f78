/*
 * ich9.h - 82801I (ICH9) LPC bridge: PCI interrupt routing, power management, general-purpose I/O; SMBus host.
 */
#ifndef HW_ICH9_H
#define HW_ICH9_H

#include "hw/acpi.h"
#include "hw/pci.h"

#define ICH9_SLOT     31
#define ICH9_PIRQS    8
#define ICH9_GPE      0x20      /* from the PM base: general-purpose event status and enable, 8 bytes each */
#define ICH9_GPE_LEN  16
#define ICH9_PM_LEN   0x80
/*
 * SLP_TYP of soft-off. The chip's own is 7, but firmware for emulated machines of this kind powers off with 0, and what
 * \_S5 says is ours.
 */
#define ICH9_S5_TYPE  0
#define ICH9_SCI      9         /* where ACPI_CNTL puts it after a reset */
#define ICH9_APM_PORT 0xb2      /* command, then status */
#define ICH9_ACPI_ENABLE  2
#define ICH9_ACPI_DISABLE 3

struct ich9_lines {
    struct irq isa;             /* isa.set(isa.to, n, level) drives ISA interrupt n (isa.line is unused) */
    struct irq gsi;             /* the same for input n of the I/O APIC: PIRQ n is on 16 + n */
    struct irq sci;             /* level */
    struct irq smi;             /* set(true): an SMI; .set NULL: there is no SMM */
    void (*off)(void *arg);     /* soft-off */
    void *arg;
};

struct ich9;
/* 00:1f.0. Interrupts of the bus go through it. */
struct ich9 *ich9_new(struct chip_list *, struct pci_bus *, struct ports *, struct phys *, struct clock *,
                      const struct ich9_lines *);
/* intx.set of the bus, whose lines are PIRQs. */
void ich9_pirq(void *ich9, int n, bool level);
void ich9_power_button(struct ich9 *);
/* As firmware leaves it: PM registers at `pm`, root complex registers, PIRQs to IRQ 10 and 11. */
void ich9_place(struct ich9 *, uint16_t pm, uint32_t rcba);
/* The PIRQ of pin 0-3 of a slot, as the chip has it after a reset. */
unsigned ich9_pirq_of(unsigned slot, unsigned pin);

/*
 * What firmware and machine agree on about SMIs, by files etc/smi/ of fw_cfg (ich9_smi.c): supported-features,
 * requested-features, which the guest writes, and features-ok, whose reading settles it.
 */
struct ich9_smi;
struct fw_cfg;
struct ich9_smi *ich9_smi_new(struct chip_list *, struct fw_cfg *);
/* The APM command interrupts all processors; else the boot processor alone. */
bool ich9_smi_broadcast(const struct ich9_smi *);

/* 00:1f.3 (ich9_smbus.c). */
void ich9_smbus_new(struct chip_list *, struct pci_bus *);

#endif
