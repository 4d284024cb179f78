/* uart.h - 16550A serial port: 8 ports at `base`. */
#ifndef HW_UART_H
#define HW_UART_H

#include "hw/chardev_if.h"
#include "hw/dev.h"

struct uart;
/* A PC's serial ports, COM1 to COM4. */
#define UART_COMS 4u
extern const struct uart_com { const char *name; uint16_t port; uint8_t irq; } uart_com[UART_COMS];

struct uart *uart_new(struct chip_list *, const char *name, struct ports *, uint16_t base,
                      struct irq irq, struct clock *, struct chardev *);
/* The same behind other addresses: uart_ops, given the chip, are its eight registers. */
struct uart *uart_new_behind(struct chip_list *, const char *name, struct irq irq, struct clock *, struct chardev *);
extern const struct io_ops uart_ops;

#endif
