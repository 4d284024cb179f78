/* uart.h - 16550A serial port: 8 ports at `base`. */
#ifndef HW_UART_H
#define HW_UART_H

#include "hw/chardev_if.h"
#include "hw/dev.h"

struct uart;
struct uart *uart_new(struct chip_list *, const char *name, struct ports *, uint16_t base,
                      struct irq irq, struct clock *, struct chardev *);

#endif
