/* ferr.h - the PC's coprocessor error logic: FERR# to IRQ 13, port F0h to IGNNE#. */
#ifndef HW_FERR_H
#define HW_FERR_H

#include "hw/dev.h"

struct ferr;
/* irq: to line 13 of the interrupt controllers; ignne: to the processor's IGNNE#. */
struct ferr *ferr_new(struct chip_list *, struct ports *, struct irq irq, struct irq ignne);
/* The processor's FERR#: true = asserted. */
void ferr_set(struct ferr *, bool level);

#endif
