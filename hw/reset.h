/* reset.h - the reset control register, port CF9h (ICH9 data sheet 13.7.5). */
#ifndef HW_RESET_H
#define HW_RESET_H

#include "hw/dev.h"

struct reset;
/* The register lies inside the PCI configuration ports, so that chip maps it (pci.h).  `reset` is
 * pulsed (set true). */
struct reset *reset_new(struct chip_list *, struct irq reset);
extern const struct io_ops reset_ops;

#endif
