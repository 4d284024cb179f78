/*
 * piix3.h - 82371SB (PIIX3) ISA bridge, function 0: routes the PCI interrupts to ISA lines.
 */
#ifndef HW_PIIX3_H
#define HW_PIIX3_H

#include "hw/pci.h"

struct piix3;
/* isa.set(isa.to, irq, level) drives ISA interrupt `irq` (isa.line is unused). */
struct piix3 *piix3_new(struct chip_list *, struct pci_bus *, unsigned slot, struct irq isa);
/* PIRQ n = 0-3 (A-D). */
void piix3_pirq(struct piix3 *, unsigned n, bool level);
/* As firmware leaves it: PIRQ n goes to irq. */
void piix3_route(struct piix3 *, unsigned n, uint8_t irq);

#endif
