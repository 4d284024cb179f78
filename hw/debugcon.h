/* debugcon.h - debug console: bytes written to one port go to a chardev; reading gives `readback`. */
#ifndef HW_DEBUGCON_H
#define HW_DEBUGCON_H

#include "hw/chardev_if.h"
#include "hw/dev.h"

struct debugcon;
#define DEBUGCON_READBACK 0xe9u
struct debugcon *debugcon_new(struct chip_list *, const char *name, struct ports *, uint16_t port, uint8_t readback,
                              struct chardev *);

#endif
