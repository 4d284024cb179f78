/* ioapic.h - 82093AA I/O APIC, 24 inputs, version 20h (with the EOI register). */
#ifndef HW_IOAPIC_H
#define HW_IOAPIC_H

#include "hw/dev.h"
#include "hw/lapic.h"

#define IOAPIC_PINS 24
#define IOAPIC_BASE 0xfec00000u

struct ioapic;
struct ioapic *ioapic_new(struct chip_list *, struct phys *, uint64_t base, struct apics *, unsigned id);
/* Input n (struct irq); polarity bits of the redirection table only matter to software. */
void ioapic_set(void *ioapic, int pin, bool level);
/* n ticks at input `pin` (struct irq). */
void ioapic_tick(void *ioapic, int pin, unsigned n);

#endif
