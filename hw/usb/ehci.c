/*
 * ehci.c - USB 2.0 host controllers of the ICH4 and ICH9 (Enhanced Host Controller Interface Specification
 * 1.0; Intel ICH9 data sheet 316972, chapter 17): registers, ports, time. ehci_sched.c has the schedules;
 * ehci.h says how.
 *
 * Each port is the controller's own or its companion's (an UHCI controller): all are the companions' until
 * software configures the controller, and then those whose owner bit it sets, as it does for devices that
 * have no high speed. A port without companion is always its own.
 */
#include "hw/usb/ehci.h"

#include "base/log.h"

#define OPER 0x20u
#define BAR_LEN 0x400u
#define LEGSUP 0x68u
#define MICROFRAME 125000u
#define CATCH_UP 256            /* microframes */
#define QUIET_MAX 64
#define FRINDEX_MAX 0x3fffu

enum { CAPS = 0x00, HCS = 0x04, HCC = 0x08, CMD = OPER, STS = OPER + 4, INTR = OPER + 8, FRINDEX = OPER + 0xc,
       SEGMENT = OPER + 0x10, PERIODIC = OPER + 0x14, ASYNC = OPER + 0x18, CONFIG = OPER + 0x40,
       PORTSC = OPER + 0x44 };
enum { CMD_RESET = 2, CMD_DOORBELL = 0x40, CMD_ALL = 0xff0031 };
enum { STS_CLEAR = 0x3f, STS_PSS = 0x4000, STS_ASS = 0x8000 };
enum { P_CCS = 1, P_CSC = 2, P_PED = 4, P_PEDC = 8, P_RESUME = 0x40, P_SUSPEND = 0x80, P_RESET = 0x100,
       P_LINE_K = 0x400, P_LINE_J = 0x800, P_POWER = 0x1000, P_OWNER = 0x2000, P_TEST = 0xf0000,
       P_WAKES = 0x700000, P_CLEAR = P_CSC | P_PEDC };

static void update_irq(struct ehci *s)
{
    pci_irq(s->pci, s->sts & s->intr & STS_CLEAR);
}

static bool own(const struct ehci *s, unsigned n)
{
    return s->port[n].host == &s->port[n].own;
}

static struct usb_dev *device(const struct ehci *s, unsigned n)
{
    return own(s, n) ? s->port[n].dev : NULL;
}

/* ---- time ---- */

/* Microframes until the controller must look again. */
static unsigned patience(const struct ehci *s)
{
    unsigned n = 1;

    while (n < QUIET_MAX && s->quiet >= 8 * n)
        n *= 2;
    return n;
}

static void arm(struct ehci *s)
{
    bool schedules = s->cmd & (EHCI_CMD_PSE | EHCI_CMD_ASE);

    if (s->cmd & EHCI_CMD_RS && (schedules || s->intr & EHCI_STS_ROLLOVER))
        timer_set(&s->timer, s->next + ((schedules ? patience(s) : QUIET_MAX) - 1) * (uint64_t)MICROFRAME);
    else
        timer_cancel(&s->timer);
}

/* Microframes end: FRINDEX goes on, and what waited for that is told. */
static void step(struct ehci *s, uint64_t n)
{
    unsigned threshold = s->cmd >> 16 & 0x7f, was = s->frindex;

    threshold = threshold ? threshold : 1;
    if ((was & 0x1fff) + n > 0x1fff)
        s->sts |= EHCI_STS_ROLLOVER;
    if (was / threshold != (was + n) / threshold || n > 64) {
        s->sts |= s->pending;
        s->pending = 0;
    }
    s->frindex = (was + n) & FRINDEX_MAX;
    s->next += n * MICROFRAME;
}

static void catch_up(struct ehci *s)
{
    uint64_t now = clock_now(s->clock), late;

    if (!(s->cmd & EHCI_CMD_RS) || now < s->next)
        return;
    late = (now - s->next) / MICROFRAME + 1;
    if (late > CATCH_UP)
        step(s, late - CATCH_UP);
    while (s->cmd & EHCI_CMD_RS && now >= s->next) {
        unsigned first = s->frindex & 7, n = 8 - first;

        late = (now - s->next) / MICROFRAME + 1;
        n = late < n ? (unsigned)late : n;
        s->left = (int)n * EHCI_MICROFRAME_BYTES;
        s->done = 0;
        if (s->cmd & EHCI_CMD_PSE)
            ehci_walk_periodic(s, s->frindex >> 3, ((1u << n) - 1) << first);
        if (s->cmd & EHCI_CMD_ASE && s->cmd & EHCI_CMD_RS)
            ehci_walk_async(s);
        s->quiet = s->done ? 0 : s->quiet < UINT16_MAX - n ? s->quiet + n : s->quiet;
        step(s, n);
    }
    if (!(s->cmd & EHCI_CMD_RS)) {
        s->sts |= s->pending;
        s->pending = 0;
    }
    update_irq(s);
    arm(s);
}

static void fire(void *dev)
{
    catch_up(dev);
}

static void hurry(struct ehci *s)
{
    s->quiet = 0;
    arm(s);
}

static void device_ready(void *dev, struct usb_dev *d, unsigned ep)
{
    hurry(dev);
}

/* ---- ports ---- */

static void port_changed(void *dev, unsigned n)
{
    struct ehci *s = dev;
    uint32_t sc = s->portsc[n];

    if (sc & P_PED)
        sc |= P_PEDC;
    sc &= ~(P_CCS | P_PED | P_SUSPEND | P_RESUME);
    sc |= P_CSC | (device(s, n) ? P_CCS : 0);
    s->portsc[n] = sc;
    s->port[n].enabled = false;
    s->sts |= EHCI_STS_PORT;
    update_irq(s);
}

static void port_wake(void *dev, unsigned n)
{
    struct ehci *s = dev;

    if (!(s->portsc[n] & P_SUSPEND))
        return;
    s->portsc[n] |= P_RESUME;
    s->sts |= EHCI_STS_PORT;
    update_irq(s);
}

static void give(struct ehci *s, unsigned n, bool companion)
{
    if (!(s->companions >> n & 1))
        return;
    s->portsc[n] = (s->portsc[n] & ~P_OWNER) | (companion ? P_OWNER : 0);
    usb_port_route(&s->port[n], companion);
}

static void port_joined(void *dev, unsigned n)
{
    struct ehci *s = dev;

    s->companions |= 1u << n;
    give(s, n, !s->configured);
}

static const struct usb_hub_ops port_ops = { port_changed, port_wake, port_joined };

static uint32_t port_read(const struct ehci *s, unsigned n)
{
    const struct usb_dev *d = device(s, n);

    /* What is no high speed's yet shows its speed by the lines: all but low speed by J. */
    return s->portsc[n] | P_POWER |
           (!d || s->portsc[n] & (P_PED | P_RESET) ? 0 : d->speed == USB_LOW ? P_LINE_K : P_LINE_J);
}

static void port_write(struct ehci *s, unsigned n, uint32_t val)
{
    uint32_t was, now;

    s->portsc[n] &= ~(val & P_CLEAR);
    if (s->configured && !(val & P_OWNER) != !(s->portsc[n] & P_OWNER))
        give(s, n, val & P_OWNER);
    was = s->portsc[n];
    now = (was & ~(P_WAKES | P_RESET | P_RESUME)) | (val & (P_WAKES | P_RESET | P_RESUME));
    if (!(val & P_PED))
        now &= ~(P_PED | P_SUSPEND | P_RESUME);
    if (val & P_RESET) {
        now &= ~(P_PED | P_SUSPEND | P_RESUME);
        if (!(was & P_RESET))
            usb_bus_reset(device(s, n));
    } else if (was & P_RESET && device(s, n) && device(s, n)->speed == USB_HIGH) {
        now |= P_PED;
    }
    if (val & P_SUSPEND && now & P_PED)
        now |= P_SUSPEND;
    if (!(now & P_SUSPEND))
        now &= ~P_RESUME;
    if (was & P_RESUME && !(now & P_RESUME))
        now &= ~P_SUSPEND;              /* the end of resume signalling ends suspend */
    if (val & P_TEST)
        log_msg(LOG_UNIMP, "ehci: test modes of ports");
    s->portsc[n] = now;
    if (own(s, n)) {
        s->port[n].enabled = now & P_PED;
        usb_suspend(s->port[n].dev, now & P_SUSPEND);
    }
}

/* ---- registers ---- */

static void reset_regs(struct ehci *s)
{
    s->cmd = 8u << 16;                  /* an interrupt each millisecond at most */
    s->sts = EHCI_STS_HALTED;
    s->intr = s->segment = s->periodic = s->async = s->configured = s->pending = 0;
    s->frindex = s->quiet = 0;
    s->next = 0;
    timer_cancel(&s->timer);
    for (unsigned n = 0; n < EHCI_PORTS; n++) {
        struct usb_dev *d;

        give(s, n, true);
        d = device(s, n);
        s->portsc[n] = (s->portsc[n] & P_OWNER) | (d ? P_CCS | P_CSC : 0);
        if (own(s, n))
            s->port[n].enabled = false;
        usb_bus_reset(d);
    }
    s->sts &= ~EHCI_STS_PORT;
    update_irq(s);
}

static void cmd_write(struct ehci *s, uint32_t val)
{
    uint32_t was = s->cmd;

    if (val & CMD_RESET) {
        reset_regs(s);
        return;
    }
    s->cmd = val & CMD_ALL;
    if (s->cmd & EHCI_CMD_RS && !(was & EHCI_CMD_RS)) {
        s->sts &= ~EHCI_STS_HALTED;
        s->next = (clock_now(s->clock) / MICROFRAME + 1) * MICROFRAME;
    } else if (!(s->cmd & EHCI_CMD_RS)) {
        s->sts |= EHCI_STS_HALTED | s->pending;
        s->pending = 0;
    }
    if (!(val & CMD_DOORBELL))
        return;
    /* Nothing of the schedule is kept, so it may have what it took out at once. */
    if (s->cmd & EHCI_CMD_ASE && s->cmd & EHCI_CMD_RS)
        s->sts |= EHCI_STS_ADVANCE;
    else
        log_msg(LOG_GUEST, "ehci: the doorbell rings while the asynchronous schedule is off");
}

static uint32_t status(const struct ehci *s)
{
    uint32_t run = s->cmd & EHCI_CMD_RS;

    return s->sts | (run && s->cmd & EHCI_CMD_PSE ? STS_PSS : 0) |
           (run && s->cmd & EHCI_CMD_ASE ? STS_ASS : 0);
}

static uint32_t reg(const struct ehci *s, unsigned off)
{
    unsigned companions = 0;

    for (unsigned m = s->companions; m; m &= m - 1)
        companions++;
    switch (off) {
    case CAPS: return 0x01000000 | OPER;
    case HCS: return EHCI_PORTS | (companions ? 2 << 8 | companions / 2 << 12 : 0);
    case HCC: return LEGSUP << 8 | s->wide;
    case CMD: return s->cmd;
    case STS: return status(s);
    case INTR: return s->intr;
    case FRINDEX: return s->frindex;
    case SEGMENT: return s->segment;
    case PERIODIC: return s->periodic;
    case ASYNC: return s->async;
    case CONFIG: return s->configured;
    }
    if (off >= PORTSC && off < PORTSC + 4 * EHCI_PORTS)
        return port_read(s, (off - PORTSC) / 4);
    return 0;
}

static void write_reg(struct ehci *s, unsigned off, uint32_t val)
{
    switch (off) {
    case CMD:
        cmd_write(s, val);
        break;
    case STS:
        s->sts &= ~(val & STS_CLEAR);
        break;
    case INTR:
        s->intr = val & STS_CLEAR;
        break;
    case FRINDEX:
        if (!(s->cmd & EHCI_CMD_RS))
            s->frindex = val & FRINDEX_MAX;
        break;
    case SEGMENT:
        s->segment = s->wide ? val : 0;
        break;
    case PERIODIC:
        s->periodic = val & ~0xfffu;
        break;
    case ASYNC:
        s->async = val & ~0x1fu;
        break;
    case CONFIG:
        if (s->configured == (val & 1))
            break;
        s->configured = val & 1;
        for (unsigned n = 0; n < EHCI_PORTS; n++)
            give(s, n, !s->configured);
        break;
    default:
        if (off >= PORTSC && off < PORTSC + 4 * EHCI_PORTS)
            port_write(s, (off - PORTSC) / 4, val);
        break;
    }
}

static uint64_t ehci_read(void *dev, uint64_t off, unsigned size)
{
    struct ehci *s = dev;

    catch_up(s);
    return (uint64_t)reg(s, off & ~3u) >> 8 * (off & 3) & (size == 4 ? 0xffffffff : (1u << 8 * size) - 1);
}

static void ehci_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
    struct ehci *s = dev;
    unsigned at = off & ~3u, shift = 8 * (off & 3);
    uint32_t mask = size == 4 ? 0xffffffff : ((1u << 8 * size) - 1) << shift;

    catch_up(s);
    if (size < 4) {             /* the other bytes stay: no ones for bits that ones clear */
        uint32_t ones = at == STS ? STS_CLEAR : at >= PORTSC ? P_CLEAR : 0;

        val = (reg(s, at) & ~mask & ~ones) | ((uint32_t)val << shift & mask);
    }
    write_reg(s, at, (uint32_t)val);
    update_irq(s);
    hurry(s);
}

static const struct io_ops ehci_ops = { ehci_read, ehci_write, 1 | 2 | 4, LOG_DEV_EHCI };

static void config_written(void *dev, unsigned off, unsigned size)
{
    struct ehci *s = dev;

    if (off < LEGSUP + 8 && off + size > LEGSUP + 4 && pci_config(s->pci, LEGSUP + 4, 4) & 0xe03f)
        log_msg(LOG_UNIMP, "ehci: system management interrupts");
}

/* ---- the chip ---- */

static const struct field ehci_state[] = {
    FIELD(struct ehci, cmd), FIELD(struct ehci, sts), FIELD(struct ehci, intr), FIELD(struct ehci, segment),
    FIELD(struct ehci, periodic), FIELD(struct ehci, async), FIELD_MAX(struct ehci, configured, 1),
    FIELD_ARRAY(struct ehci, portsc), FIELD(struct ehci, pending), FIELD_MAX(struct ehci, frindex, FRINDEX_MAX),
    FIELD(struct ehci, quiet), FIELD(struct ehci, next), FIELD_END
};

static void ehci_reset(void *dev)
{
    reset_regs(dev);
}

/* Companions are made, and so loaded, later: they find the ports that are theirs. */
static void ehci_loaded(void *dev)
{
    struct ehci *s = dev;

    for (unsigned n = 0; n < EHCI_PORTS; n++) {
        if (!(s->companions >> n & 1))
            s->portsc[n] &= ~P_OWNER;
        usb_port_restore(&s->port[n], s->portsc[n] & P_OWNER);
        s->port[n].enabled = own(s, n) && s->portsc[n] & P_PED && s->port[n].dev;
    }
    update_irq(s);
    arm(s);
}

static void ehci_info(const void *dev, struct text *t)
{
    usb_info(&((const struct ehci *)dev)->bus, t);
}

static const struct chip ehci_chip = {
    "ehci", sizeof(struct ehci), ehci_reset, ehci_state, ehci_loaded, .info = ehci_info
};

struct ehci_props {
    struct plug_common common;
    bool wide;
};
static const struct prop props_table[] = {
    { "addr64", PROP_BOOL, offsetof(struct ehci_props, wide), 0, 0, "addresses of 64 bits" }, PROP_END
};

static void make(struct plug_env *env, const struct ehci_props *p, uint16_t device, uint8_t revision,
                 uint8_t pin)
{
    const struct plug_common *c = &p->common;
    const struct pci_ident id = { .vendor = 0x8086, .device = device, .class = 0x0c0320, .revision = revision,
                                  .subvendor = 0x1af4, .subdevice = 0x1100, .pin = pin };
    struct pci_dev *pci = pci_add(env->pci, c->name, c->slot, c->fn, &id);
    struct ehci *s = chip_new(env->m->chips, &ehci_chip, c->name);

    pci_config_init(pci, 0x60, 2, 0x2020, 0x3f00);      /* USB 2.0, frame length */
    pci_config_init(pci, 0x62, 2, 0x7f, 0x7f);          /* ports that wake */
    pci_config_init(pci, LEGSUP, 4, 0x00000001, 0x01010000);
    pci_config_init(pci, LEGSUP + 4, 4, 0, 0xe03f);
    s->pci = pci;
    s->clock = env->m->clock;
    s->wide = p->wide;
    timer_init(&s->timer, s->clock, fire, s);
    usb_bus_init(&s->bus, env, c);
    s->bus.ready = device_ready;
    s->bus.controller = s;
    for (unsigned n = 0; n < EHCI_PORTS; n++) {
        s->port[n].own = (struct usb_host){ .ops = &port_ops, .hub = s, .n = n,
                                            .speeds = USB_SPEED(USB_HIGH) };
        usb_port_add(&s->bus, &s->port[n], NULL);
    }
    pci_bar(pci, 0, BAR_LEN, 0, &ehci_ops, s);
    pci_on_config(pci, config_written, s);
    reset_regs(s);
}

static void make_ich4(struct plug_env *env, void *bus, const void *props)
{
    make(env, props, 0x24cd, 0x10, 4);
}

static void make_ich9(struct plug_env *env, void *bus, const void *props)
{
    make(env, props, 0x293a, 3, 4);
}

static const struct ehci_props defaults = { .wide = false }, ich9_defaults = { .wide = true };

const struct plug usb_ehci_plug = {
    "usb-ehci", "USB 2.0 controller (EHCI) of the ICH4", "PCI", sizeof(struct ehci_props), &defaults,
    props_table, make_ich4
};
const struct plug ich9_ehci1_plug = {
    "ich9-usb-ehci1", "USB 2.0 controller (EHCI) of the ICH9", "PCI", sizeof(struct ehci_props),
    &ich9_defaults, props_table, make_ich9
};
