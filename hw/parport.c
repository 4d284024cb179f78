/*
 * parport.c - parallel port: data, status and control as in the PC/AT (IBM Technical Reference, Printer
 * Adapter; bidirectional as in the PS/2), and a printer by IEEE 1284's compatibility mode at its other end.
 *
 * A strobe's leading edge gives the printer a byte. It is busy while it takes it (TAKE_NS, or until the
 * outside has room again), pulls nACK low at the end of that (ACK_NS) and is ready. With interrupts enabled
 * the end of nACK is an edge on the interrupt line. Lines that tell the printer more (auto feed, select in)
 * change nothing of what is printed. EPP and ECP are not there: their registers are nobody's ports.
 *
 * Invariant: a byte is in `byte` and not yet taken exactly while `state` is TAKING.
 */
#include "hw/parport.h"

#include "base/log.h"

#define TAKE_NS 2000u
#define ACK_NS  1000u
#define RETRY_NS 1000000u       /* while the outside has no room; it tells of some, too */

enum { REG_DATA, REG_STATUS, REG_CONTROL };
enum { STATUS_READY = 0x80, STATUS_ACK = 0x40, STATUS_SELECTED = 0x10, STATUS_NO_ERROR = 0x08,
       STATUS_ONES = 0x07 };
enum { CONTROL_STROBE = 0x01, CONTROL_INIT = 0x04, CONTROL_IRQ = 0x10, CONTROL_INPUT = 0x20 };
enum state { READY, TAKING, ACKING };

struct parport {
    struct irq irq;
    struct clock *clock;
    struct chardev *chr;
    struct timer timer;
    uint8_t data, control, byte, state;
};

/* The printer tries to get rid of its byte. */
static void take(struct parport *p)
{
    bool taken = chardev_write(p->chr, &p->byte, 1);

    p->state = taken ? ACKING : TAKING;
    timer_set(&p->timer, clock_now(p->clock) + (taken ? ACK_NS : RETRY_NS));
}

static void fire(void *dev)
{
    struct parport *p = dev;

    if (p->state == TAKING) {
        take(p);
    } else if (p->state == ACKING) {
        p->state = READY;
        if (p->control & CONTROL_IRQ) {
            irq_set(&p->irq, true);
            irq_set(&p->irq, false);
        }
    }
}

static void writable(void *dev)
{
    struct parport *p = dev;

    if (p->state == TAKING)
        take(p);
}

static uint8_t status(const struct parport *p)
{
    uint8_t v = STATUS_SELECTED | STATUS_NO_ERROR | STATUS_ONES;

    /* While nINIT is low the printer is busy with itself. */
    if (p->state == READY && (p->control & CONTROL_INIT))
        v |= STATUS_READY;
    return v | (p->state == ACKING ? 0 : STATUS_ACK);
}

static void write_control(struct parport *p, uint8_t val)
{
    uint8_t old = p->control;

    p->control = val & 0x3f;
    if (!(val & CONTROL_INIT)) {
        if (p->state != READY)
            log_dev(PARPORT, "a byte was lost by initialising the printer");
        p->state = READY;
        timer_cancel(&p->timer);
        return;
    }
    if (!(val & ~old & CONTROL_STROBE))
        return;
    if (p->state != READY) {
        log_msg(LOG_GUEST, "parallel port: byte %02x strobed while the printer is busy", p->data);
        return;
    }
    p->byte = val & CONTROL_INPUT ? 0xff : p->data;
    p->state = TAKING;
    timer_set(&p->timer, clock_now(p->clock) + TAKE_NS);
}

static uint64_t parport_read(void *dev, uint64_t off, unsigned size)
{
    struct parport *p = dev;

    switch (off) {
    case REG_DATA: return p->control & CONTROL_INPUT ? 0xff : p->data;  /* a printer drives no data lines */
    case REG_STATUS: return status(p);
    default: return p->control | 0xc0;
    }
}

static void parport_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
    struct parport *p = dev;

    if (off == REG_DATA)
        p->data = val;
    else if (off == REG_CONTROL)
        write_control(p, val);
}

/* nINIT is high afterwards, as firmware leaves it. */
static void parport_reset(void *dev)
{
    struct parport *p = dev;

    p->data = p->byte = 0;
    p->state = READY;
    p->control = CONTROL_INIT | 0x08;
    timer_cancel(&p->timer);
    irq_set(&p->irq, false);
}

static void parport_loaded(void *dev)
{
    struct parport *p = dev;

    timer_set(&p->timer, p->timer.due);
}

static unsigned room(void *dev)
{
    return 0;
}

static void receive(void *dev, const uint8_t *buf, unsigned n)
{
}

const struct parport_lpt parport_lpt[PARPORTS] = { { "lpt1", 0x378 }, { "lpt2", 0x278 }, { "lpt3", 0x3bc } };

static const struct io_ops parport_ops = { parport_read, parport_write, 1, LOG_DEV_PARPORT };
static const struct chardev_user parport_user = { room, receive, NULL, writable };

static const struct field parport_state[] = {
    FIELD(struct parport, data), FIELD(struct parport, control), FIELD(struct parport, byte),
    FIELD_MAX(struct parport, state, ACKING), FIELD(struct parport, timer.due), FIELD_END
};

static const struct chip parport_chip = {
    "parport", sizeof(struct parport), parport_reset, parport_state, parport_loaded
};

struct parport *parport_new(struct chip_list *chips, const char *name, struct ports *ports, uint16_t base,
                            struct irq irq, struct clock *clock, struct chardev *chr)
{
    struct parport *p = chip_new(chips, &parport_chip, name);

    p->irq = irq;
    p->clock = clock;
    p->chr = chr;
    timer_init(&p->timer, clock, fire, p);
    ports_map(ports, base, 3, &parport_ops, p, name);
    parport_reset(p);
    chardev_connect(chr, &parport_user, p);
    return p;
}
