/* kbc.h - 8042 keyboard controller, ports 60h and 64h. */
#ifndef HW_KBC_H
#define HW_KBC_H

#include "hw/dev.h"
#include "hw/ps2.h"

struct kbc_lines {
    struct irq irq1, irq12;
    struct irq a20;             /* set(true): A20 enabled; only called on writes and resets */
    struct irq reset;           /* set(true): the CPU reset line was pulsed */
};

struct kbc;
/* kbd or mouse may be NULL: nothing plugged in. */
struct kbc *kbc_new(struct chip_list *, struct ports *, struct clock *, const struct kbc_lines *,
                    struct ps2 *kbd, struct ps2 *mouse);

#endif
