/* port92.h - system control port A, 92h: fast A20 gate and fast reset. */
#ifndef HW_PORT92_H
#define HW_PORT92_H

#include "hw/dev.h"

struct port92;
/* a20: set on each write; reset: set(true) is a pulse.  A board gives the same a20 line to the 8042:
 * the last writer wins, as software that uses either one expects. */
struct port92 *port92_new(struct chip_list *, struct ports *, struct irq a20, struct irq reset);

#endif
