/* debugcon.h - debug console: bytes written to one port go to a chardev; reading gives E9h. */
#ifndef HW_DEBUGCON_H
#define HW_DEBUGCON_H

#include "hw/chardev_if.h"
#include "hw/dev.h"

struct debugcon;
struct debugcon *debugcon_new(struct chip_list *, struct ports *, uint16_t port, struct chardev *);

#endif
