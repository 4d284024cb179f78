/* testdev.h - pc-testdev: the device kvm-unit-tests drive interrupts and I/O with. */
#ifndef HW_TESTDEV_H
#define HW_TESTDEV_H

#include "hw/dev.h"

struct testdev;
/* gsi: interrupt input n is driven as gsi.set(gsi.to, n, level), n = 0-23 (gsi.line is not used). */
struct testdev *testdev_new(struct chip_list *, struct ports *, struct phys *, struct irq gsi);

#endif
