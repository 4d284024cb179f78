/* parport.h - parallel port with a printer that prints to a byte stream: three ports at `base`. */
#ifndef HW_PARPORT_H
#define HW_PARPORT_H

#include "hw/chardev_if.h"
#include "hw/dev.h"

struct parport;
/* A PC's parallel ports, LPT1 to LPT3. */
#define PARPORTS 3u
#define PARPORT_IRQ 7u
extern const struct parport_lpt { const char *name; uint16_t port; } parport_lpt[PARPORTS];

struct parport *parport_new(struct chip_list *, const char *name, struct ports *, uint16_t base,
                            struct irq irq, struct clock *, struct chardev *);

#endif
