/*
 * piix4.h - 82371AB (PIIX4) power management, function 3: ACPI registers, APM ports, SMBus host.
 */
#ifndef HW_PIIX4_H
#define HW_PIIX4_H

#include "hw/acpi.h"
#include "hw/pci.h"

#define PIIX4_GPE     0x0c      /* from the PM base: general-purpose event status and enable, 2 bytes each */
#define PIIX4_GPE_LEN 4
#define PIIX4_PM_LEN  0x38
#define PIIX4_S5_TYPE 0         /* SLP_TYP of soft-off */
#define PIIX4_SCI     9         /* the ISA line it is wired to in the chip */
#define APM_PORT         0xb2   /* command, then status */
#define APM_ACPI_ENABLE  0xf1
#define APM_ACPI_DISABLE 0xf0

struct piix4_lines {
    struct irq sci;             /* level */
    struct irq smi;             /* set(true): an SMI */
    void (*off)(void *arg);     /* soft-off */
    void *arg;
};

struct piix4;
struct piix4 *piix4_new(struct chip_list *, struct pci_bus *, struct ports *, struct clock *, unsigned slot,
                        const struct piix4_lines *);
void piix4_power_button(struct piix4 *);
/* As firmware leaves it: registers at `base`. */
void piix4_place(struct piix4 *, uint16_t base);

#endif
