/*
 * port92.c - system control port A (IBM PS/2; Intel 290550 PIIX3 data sheet, 2.6.4): bit 1 is the A20
 * gate, a rise of bit 0 resets the CPU, the others are storage.
 */
#include "base/log.h"
#include "hw/port92.h"

enum { FAST_RESET = 0x01, FAST_A20 = 0x02 };

struct port92 {
    struct irq a20, reset;
    uint8_t val;
};

static uint64_t port92_read(void *dev, uint64_t off, unsigned size)
{
    return ((struct port92 *)dev)->val;
}

static void port92_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
    struct port92 *p = dev;
    bool pulse = (val & ~(uint64_t)p->val & FAST_RESET) != 0;
    p->val = (uint8_t)val;
    irq_set(&p->a20, (val & FAST_A20) != 0);
    if (pulse)
        irq_set(&p->reset, true);
}

static void port92_reset(void *dev)
{
    struct port92 *p = dev;
    p->val = FAST_A20;          /* machines without DOS firmware start with A20 enabled */
}

static const struct io_ops port92_ops = { port92_read, port92_write, 1, LOG_DEV_PORT92 };
static const struct field port92_state[] = { FIELD(struct port92, val), FIELD_END };
static const struct chip port92_chip = { "port92", sizeof(struct port92), port92_reset, port92_state, NULL };

struct port92 *port92_new(struct chip_list *chips, struct ports *ports, struct irq a20, struct irq reset)
{
    struct port92 *p = chip_new(chips, &port92_chip, "port92");
    p->a20 = a20;
    p->reset = reset;
    ports_map(ports, 0x92, 1, &port92_ops, p, "port 92h");
    port92_reset(p);
    return p;
}
