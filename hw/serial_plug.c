/*
 * serial_plug.c - serial and parallel ports and debug consoles that -device adds: isa-serial, isa-parallel, isa-debugcon, and
 * serial ports on PCI (QEMU's docs/specs/pci-serial: 1b36:0002 to 0004, register block n of BAR 0 is port n's, one INTA for
 * all).
 */
#include <stdio.h>

#include "base/log.h"
#include "hw/debugcon.h"
#include "hw/parport.h"
#include "hw/pci.h"
#include "hw/plug.h"
#include "hw/uart.h"

#define AUTO 0xffu              /* index=, irq=: what is usual and free */
#define PORTS_MAX 4u

static struct chardev *take(const struct plug_common *c, const char *prop, struct chardev_slot *slot)
{
    if (!slot)
        die(EXIT_CODE_USAGE, "-device %s: needs %s=ID, of a -chardev (null: one to nowhere)", c->name, prop);
    if (!chardev_take(slot))
        die(EXIT_CODE_USAGE, "-device %s: %s=%s: another device has it", c->name, prop, slot->id);
    return slot->chr;
}

/* ---- on ISA ---- */

struct isa_props {
    struct plug_common common;
    uint64_t index, iobase, irq;        /* AUTO, 0, AUTO: those of the first that is free */
    struct chardev_slot *chr;
};

/* Which of `max` usual places is meant; max: another place. Dies where all are taken. */
static unsigned place(const struct isa_props *p, unsigned taken, unsigned max)
{
    unsigned i = (unsigned)p->index;

    if (i == AUTO && p->iobase)
        return max;
    for (i = i == AUTO ? 0 : i; p->index == AUTO && i < max && taken >> i & 1; i++)
        ;
    if (i == max)
        die(EXIT_CODE_USAGE, "-device %s: all %u usual places are taken: choose an iobase= and irq=", p->common.name, max);
    return i;
}

static void make_serial(struct plug_env *env, void *bus, const void *props)
{
    const struct isa_props *p = props;
    unsigned i = place(p, env->serial, UART_COMS), irq = i < UART_COMS ? uart_com[i].irq : 4;
    uint16_t base = p->iobase ? (uint16_t)p->iobase : uart_com[i].port;

    if (p->irq != AUTO)
        irq = (unsigned)p->irq;
    uart_new(env->m->chips, p->common.name, env->m->ports, base, plug_isa_irq(env, irq), env->m->clock,
             take(&p->common, "chardev", p->chr));
    if (i < UART_COMS && base == uart_com[i].port && irq == uart_com[i].irq)
        env->serial |= 1u << i;
}

static void make_parallel(struct plug_env *env, void *bus, const void *props)
{
    const struct isa_props *p = props;
    unsigned i = place(p, env->parallel, PARPORTS), irq = p->irq == AUTO ? PARPORT_IRQ : (unsigned)p->irq;
    uint16_t base = p->iobase ? (uint16_t)p->iobase : parport_lpt[i].port;

    parport_new(env->m->chips, p->common.name, env->m->ports, base, plug_isa_irq(env, irq), env->m->clock,
                take(&p->common, "chardev", p->chr));
    if (i < PARPORTS && base == parport_lpt[i].port && irq == PARPORT_IRQ)
        env->parallel |= 1u << i;
}

#define ISA_PROPS(last)                                                                                          \
    { "index", PROP_NUMBER, offsetof(struct isa_props, index), 0, last,                                          \
      "which of the usual places (default: the first that is free)" },                                           \
    { "iobase", PROP_NUMBER, offsetof(struct isa_props, iobase), 1, 0xfff8, "its first port" },                  \
    { "irq", PROP_NUMBER, offsetof(struct isa_props, irq), 3, 15, "its interrupt" },                             \
    { "chardev", PROP_CHARDEV, offsetof(struct isa_props, chr), 0, 0, "the host's end" },                        \
    PROP_END

static const struct prop serial_props[] = { ISA_PROPS(UART_COMS - 1) };
static const struct prop parallel_props[] = { ISA_PROPS(PARPORTS - 1) };
static const struct isa_props isa_defaults = { .index = AUTO, .irq = AUTO };

const struct plug isa_serial_plug = {
    "isa-serial", "a serial port (16550A)", "ISA", sizeof(struct isa_props), &isa_defaults, serial_props, make_serial
};

const struct plug isa_parallel_plug = {
    "isa-parallel", "a parallel port with a printer", "ISA", sizeof(struct isa_props), &isa_defaults, parallel_props,
    make_parallel
};

struct debugcon_props {
    struct plug_common common;
    uint64_t iobase, readback;
    struct chardev_slot *chr;
};

static const struct prop debugcon_props[] = {
    { "iobase", PROP_NUMBER, offsetof(struct debugcon_props, iobase), 0, 0xffff, "its port" },
    { "readback", PROP_NUMBER, offsetof(struct debugcon_props, readback), 0, 0xff, "what reading it gives" },
    { "chardev", PROP_CHARDEV, offsetof(struct debugcon_props, chr), 0, 0, "the host's end" },
    PROP_END
};

static void make_debugcon(struct plug_env *env, void *bus, const void *props)
{
    const struct debugcon_props *p = props;

    debugcon_new(env->m->chips, p->common.name, env->m->ports, (uint16_t)p->iobase, (uint8_t)p->readback,
                 take(&p->common, "chardev", p->chr));
}

const struct plug isa_debugcon_plug = {
    "isa-debugcon", "a port that what is written to goes out from: firmware's debug messages", "ISA",
    sizeof(struct debugcon_props), &(const struct debugcon_props){ .iobase = 0xe9, .readback = DEBUGCON_READBACK },
    debugcon_props, make_debugcon
};

/* ---- on PCI ---- */

struct pci_serial {
    struct pci_dev *pci;
    struct uart *port[PORTS_MAX];
    unsigned ports;
    uint8_t wants;              /* bit n: port n its interrupt */
};

static uint64_t pci_serial_read(void *dev, uint64_t off, unsigned size)
{
    struct pci_serial *s = dev;

    return off / 8 < s->ports ? uart_ops.read(s->port[off / 8], off % 8, size) : 0xff;
}

static void pci_serial_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
    struct pci_serial *s = dev;

    if (off / 8 < s->ports)
        uart_ops.write(s->port[off / 8], off % 8, val, size);
}

static const struct io_ops pci_serial_ops = { pci_serial_read, pci_serial_write, 1, LOG_DEV_UART };

static void port_irq(void *dev, int line, bool level)
{
    struct pci_serial *s = dev;

    s->wants = (uint8_t)((s->wants & ~(1u << line)) | (unsigned)level << line);
    pci_irq(s->pci, s->wants != 0);
}

/* Of its state there is none that the ports do not tell anew. */
static const struct field pci_serial_state[] = { FIELD_END };
static const struct chip pci_serial_chip = { "pci-serial", sizeof(struct pci_serial), NULL, pci_serial_state, NULL };

struct pci_serial_props {
    struct plug_common common;
    struct chardev_slot *chr[PORTS_MAX];
};

static void make_pci(struct plug_env *env, const struct pci_serial_props *p, unsigned ports)
{
    static const char *const props[] = { "chardev1", "chardev2", "chardev3", "chardev4" };
    struct pci_ident id = { .vendor = 0x1b36, .device = (uint16_t)(ports == 1 ? 2 : ports == 2 ? 3 : 4), .subvendor = 0x1af4,
                            .subdevice = 0x1100, .class = 0x070002, .revision = 1, .pin = 1 };
    struct pci_serial *s = chip_new(env->m->chips, &pci_serial_chip, p->common.name);

    s->pci = pci_add(env->pci, p->common.name, (unsigned)p->common.slot, (unsigned)p->common.fn, &id);
    s->ports = ports;
    for (unsigned i = 0; i < ports; i++) {
        struct irq irq = { .set = port_irq, .to = s, .line = (int)i };
        struct chardev *chr = ports == 1 ? take(&p->common, "chardev", p->chr[0]) :
                              p->chr[i] ? take(&p->common, props[i], p->chr[i]) : NULL;
        char name[64];

        snprintf(name, sizeof(name), "%s.%u", p->common.name, i);
        s->port[i] = uart_new_behind(env->m->chips, name, irq, env->m->clock, chr);
    }
    pci_bar(s->pci, 0, 8u * ports, PCI_BAR_IO, &pci_serial_ops, s);
}

static void make_1x(struct plug_env *env, void *bus, const void *props)
{
    make_pci(env, props, 1);
}

static void make_2x(struct plug_env *env, void *bus, const void *props)
{
    make_pci(env, props, 2);
}

static void make_4x(struct plug_env *env, void *bus, const void *props)
{
    make_pci(env, props, 4);
}

#define CHARDEV(name, n) { name, PROP_CHARDEV, offsetof(struct pci_serial_props, chr[n]), 0, 0, "the host's end of a port" }

static const struct prop pci_1x_props[] = { CHARDEV("chardev", 0), PROP_END };
static const struct prop pci_2x_props[] = { CHARDEV("chardev1", 0), CHARDEV("chardev2", 1), PROP_END };
static const struct prop pci_4x_props[] = {
    CHARDEV("chardev1", 0), CHARDEV("chardev2", 1), CHARDEV("chardev3", 2), CHARDEV("chardev4", 3), PROP_END
};

const struct plug pci_serial_plug = {
    "pci-serial", "a serial port (16550A) on PCI", "PCI", sizeof(struct pci_serial_props), NULL, pci_1x_props, make_1x
};

const struct plug pci_serial_2x_plug = {
    "pci-serial-2x", "two of them on one card", "PCI", sizeof(struct pci_serial_props), NULL, pci_2x_props, make_2x
};

const struct plug pci_serial_4x_plug = {
    "pci-serial-4x", "four of them on one card", "PCI", sizeof(struct pci_serial_props), NULL, pci_4x_props, make_4x
};
