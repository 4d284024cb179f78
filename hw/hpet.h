/* hpet.h - IA-PC HPET 1.0a: 64-bit counter at 100 MHz, three comparators, legacy replacement. */
#ifndef HW_HPET_H
#define HW_HPET_H

#include "hw/dev.h"

#define HPET_BASE   0xfed00000u
#define HPET_TIMERS 3
#define HPET_NS     10          /* one count */

/* Where interrupts go: gsi.set(gsi.to, n, level) drives I/O APIC input n (gsi.line is unused); irq0
 * and irq8 are the ISA lines, which pass the PIT's and the RTC's outputs through or, in
 * legacy-replacement mode, those of comparators 0 and 1. */
struct hpet_lines {
    struct irq gsi, irq0, irq8;
};

struct hpet;
/* phys NULL: the guest finds none, and what passes through it does. */
struct hpet *hpet_new(struct chip_list *, struct phys *, uint64_t base, struct clock *,
                      const struct hpet_lines *);
/* The lines the PIT (OUT0) and the RTC drive. */
struct irq hpet_pit_in(struct hpet *);
struct irq hpet_rtc_in(struct hpet *);

#endif
