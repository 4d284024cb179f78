/*
 * uhci.c - USB 1.1 host controllers of the PIIX3, PIIX4 and ICH9 (Universal Host Controller Interface
 * Design Guide 1.1; Intel 82371SB data sheet 290550, chapter 5).
 *
 * A frame is a millisecond of virtual time. Each frame's schedule is walked once, after the frame's start:
 * until its end, until its time is used up (a byte costs a byte's time), or until a round of queue heads
 * brought nothing. Frames are walked in their order before any register is accessed. The guest adds
 * transfers by writing memory, which nobody tells the controller; so it must look. While frames bring
 * nothing but NAK it looks at several at once, up to QUIET_MAX ms late; a device that has something, a
 * register that is written or a transaction that is done bring it back to every millisecond. No frame is
 * left out, but where the host let so many pass that none of CATCH_UP was walked in time. Legacy keyboard
 * emulation by SMI is not there.
 *
 * Its ports are its own, or two of a high-speed controller whose companion it is: there it sees the devices
 * that the other one leaves to it.
 */
#include "hw/usb/usb.h"

#include <string.h>

#include "base/log.h"
#include "hw/pci.h"

#define MS 1000000u
#define FRAME_BYTES 1500        /* of bus time */
#define PACKET_BYTES 13         /* of it that a transaction takes besides its data */
#define LINKS_MAX 4096          /* that are followed in one frame */
#define CATCH_UP 32
#define QUIET_MAX 8
#define PORTS 2
#define DATA_MAX 1280

#define LEGSUP 0xc0

enum { CMD = 0x00, STS = 0x02, INTR = 0x04, FRNUM = 0x06, FRBASE = 0x08, SOFMOD = 0x0c, PORTSC = 0x10 };
#define REGS 0x20
enum { CMD_RS = 1, CMD_HCRESET = 2, CMD_GRESET = 4, CMD_EGSM = 8, CMD_FGR = 0x10, CMD_ALL = 0xff };
enum { STS_INT = 1, STS_ERR = 2, STS_RESUME = 4, STS_HSE = 8, STS_HCPE = 0x10, STS_HALTED = 0x20 };
enum { INTR_ERR = 1, INTR_RESUME = 2, INTR_IOC = 4, INTR_SHORT = 8 };
enum { PORT_CCS = 1, PORT_CSC = 2, PORT_PED = 4, PORT_PEDC = 8, PORT_RESUME = 0x40, PORT_ONE = 0x80,
       PORT_LOW = 0x100,
       PORT_RESET = 0x200, PORT_SUSPEND = 0x1000 };

#define LINK_END 1u
#define LINK_QH 2u
#define LINK_DEPTH 4u
#define LINK_ADDR 0xfffffff0u

#define TD_ACTIVE (1u << 23)
#define TD_STALLED (1u << 22)
#define TD_BABBLE (1u << 20)
#define TD_NAK (1u << 19)
#define TD_TIMEOUT (1u << 18)
#define TD_STATUS 0x00fe0000u
#define TD_IOC (1u << 24)
#define TD_ISO (1u << 25)
#define TD_LOW (1u << 26)
#define TD_ERRORS(ctrl) ((ctrl) >> 27 & 3)
#define TD_ERROR 0x08000000u
#define TD_SHORT (1u << 29)

struct uhci {
    struct pci_dev *pci;
    struct clock *clock;
    struct timer timer;
    struct usb_bus bus;
    struct usb_port own[PORTS], *port[PORTS];
    uint16_t cmd, sts, intr, frnum, portsc[PORTS];
    uint32_t frbase;
    uint8_t sofmod;
    uint8_t cause;              /* why STS_INT is set: INTR_IOC, INTR_SHORT */
    uint16_t quiet;             /* frames since something was done */
    uint64_t next;              /* start of frame `frnum` */
    /* of the frame that is walked */
    int left;                   /* bytes of time */
    unsigned done;              /* transactions that were no NAK */
};

static const struct field uhci_state[] = {
    FIELD(struct uhci, cmd), FIELD(struct uhci, sts), FIELD(struct uhci, intr), FIELD_MAX(struct uhci, frnum, 0x7ff),
    FIELD_ARRAY(struct uhci, portsc), FIELD(struct uhci, frbase), FIELD(struct uhci, sofmod),
    FIELD(struct uhci, cause),
    FIELD(struct uhci, quiet), FIELD(struct uhci, next), FIELD_END
};

static void update_irq(struct uhci *s)
{
    bool level = (s->sts & STS_INT && s->cause & s->intr) || (s->sts & STS_ERR && s->intr & INTR_ERR) ||
                 (s->sts & STS_RESUME && s->intr & INTR_RESUME) || s->sts & (STS_HSE | STS_HCPE);

    pci_irq(s->pci, level);
}

static void halt(struct uhci *s, unsigned why)
{
    s->sts |= why | STS_HALTED;
    s->cmd &= ~CMD_RS;
}

static bool get(struct uhci *s, uint32_t at, void *buf, unsigned len)
{
    if (pci_dma_read(s->pci, at, buf, len))
        return true;
    halt(s, STS_HSE);
    return false;
}

static bool put(struct uhci *s, uint32_t at, const void *buf, unsigned len)
{
    if (pci_dma_write(s->pci, at, buf, len))
        return true;
    halt(s, STS_HSE);
    return false;
}

static bool put32(struct uhci *s, uint32_t at, uint32_t val)
{
    uint8_t b[4];

    usb_put32(b, val);
    return put(s, at, b, 4);
}

/* ---- transfer descriptors ---- */

/* What became of one. */
enum td_end { END_KEEP, END_DONE, END_FRAME };

static int transact(struct uhci *s, uint32_t token, uint8_t *data, unsigned len)
{
    struct usb_dev *d = usb_find(&s->bus, token >> 8 & 0x7f);

    if (!d)
        return USB_TIMEOUT;
    return usb_packet(d, token & 0xff, token >> 15 & 15, data, len);
}

/* The status of a TD after a transaction that had this answer. */
static uint32_t judge(struct uhci *s, uint32_t ctrl, int n, unsigned len)
{
    ctrl &= ~(TD_STATUS | 0x7ff);
    if (n >= 0) {
        ctrl |= (n - 1) & 0x7ff;
        if (ctrl & TD_SHORT && (unsigned)n < len)
            s->cause |= INTR_SHORT;
        return ctrl;
    }
    ctrl |= 0x7ff;
    if (n == USB_NAK)
        return ctrl | TD_NAK | (ctrl & TD_ISO ? 0 : TD_ACTIVE);
    if (n == USB_TIMEOUT && !(ctrl & TD_ISO)) {
        if (TD_ERRORS(ctrl) != 1) {     /* try again; without a count for ever */
            if (TD_ERRORS(ctrl))
                ctrl -= TD_ERROR;
            return ctrl | TD_TIMEOUT | TD_ACTIVE;
        }
        ctrl -= TD_ERROR;
    }
    s->sts |= STS_ERR;
    return ctrl | (n == USB_TIMEOUT ? TD_TIMEOUT : n == USB_BABBLE ? TD_BABBLE : 0) |
           (ctrl & TD_ISO ? 0 : TD_STALLED);
}

static enum td_end run_td(struct uhci *s, uint32_t at, const uint8_t *td)
{
    uint32_t ctrl = usb_le32(td + 4), token = usb_le32(td + 8), buffer = usb_le32(td + 12);
    unsigned len = ((token >> 21) + 1) & 0x7ff;
    uint8_t data[DATA_MAX];
    int cost, n;

    if (!(ctrl & TD_ACTIVE)) {
        if (ctrl & TD_IOC)
            s->cause |= INTR_IOC;
        return END_KEEP;
    }
    if (len > DATA_MAX || ((token & 0xff) != USB_IN && (token & 0xff) != USB_OUT && (token & 0xff) != USB_SETUP)) {
        log_msg(LOG_GUEST, "uhci: transfer descriptor at %#x: token %#x is not valid", at, token);
        halt(s, STS_HCPE);
        return END_FRAME;
    }
    cost = (PACKET_BYTES + len) * (ctrl & TD_LOW ? 8 : 1);
    if (cost > s->left)
        return END_FRAME;
    if ((token & 0xff) != USB_IN && len && !get(s, buffer, data, len))
        return END_FRAME;
    n = transact(s, token, data, len);
    if (n < 0 && (token & 0xff) == USB_IN)
        cost = PACKET_BYTES;
    s->left -= cost;
    if ((token & 0xff) == USB_IN && n > 0 && !put(s, buffer, data, n))
        return END_FRAME;
    if (n != USB_NAK)
        s->done++;
    ctrl = judge(s, ctrl, n, len);
    if (!(ctrl & TD_ACTIVE) && ctrl & TD_IOC)
        s->cause |= INTR_IOC;
    if (!put32(s, at + 4, ctrl))
        return END_FRAME;
    if (ctrl & (TD_ACTIVE | TD_STALLED) || (n >= 0 && (unsigned)n < len && ctrl & TD_SHORT))
        return END_KEEP;
    return END_DONE;
}

/* Finds out that rounds of queue heads bring nothing: Brent's algorithm, started anew by each transaction. */
struct rounds {
    uint32_t mark;
    unsigned steps, power, done;
};

static bool idle_round(struct rounds *r, uint32_t link, unsigned done)
{
    if (done != r->done)
        *r = (struct rounds){ .mark = link, .power = 1, .done = done };
    else if (r->power && link == r->mark)
        return true;
    else if (++r->steps >= r->power)
        *r = (struct rounds){ .mark = link, .power = r->power ? 2 * r->power : 1, .done = done };
    return false;
}

static void walk(struct uhci *s)
{
    uint8_t b[16];
    uint32_t link, queue = 0, head = LINK_END;
    bool in_queue = false;
    struct rounds rounds = { 0 };

    if (!get(s, s->frbase + 4 * (s->frnum & 1023), b, 4))
        return;
    link = usb_le32(b);
    for (unsigned n = 0; n < LINKS_MAX && !(link & LINK_END); n++) {
        uint32_t at = link & LINK_ADDR;

        if (link & LINK_QH) {
            if (idle_round(&rounds, link & ~LINK_DEPTH, s->done) || !get(s, at, b, 8))
                return;
            head = usb_le32(b);
            queue = at;
            in_queue = !(usb_le32(b + 4) & (LINK_END | LINK_QH));
            link = usb_le32(b + 4) & LINK_END ? head : usb_le32(b + 4);
            continue;
        }
        if (!get(s, at, b, 16))
            return;
        switch (run_td(s, at, b)) {
        case END_FRAME:
            return;
        case END_KEEP:
            link = in_queue ? head : usb_le32(b);
            in_queue = false;
            break;
        case END_DONE:
            link = usb_le32(b);
            if (!in_queue)
                break;
            if (!put32(s, queue + 4, link))
                return;
            if (!(link & LINK_DEPTH) || link & (LINK_END | LINK_QH)) {
                in_queue = false;
                link = link & LINK_DEPTH && !(link & LINK_END) ? link : head;
            }
            break;
        }
    }
}

/* ---- time ---- */

/* Frames until the controller must look again. */
static unsigned patience(const struct uhci *s)
{
    unsigned n = 1;

    while (n < QUIET_MAX && s->quiet >= 8 * n)
        n *= 2;
    return n;
}

static void arm(struct uhci *s)
{
    if (s->cmd & CMD_RS)
        timer_set(&s->timer, s->next + (patience(s) - 1) * (uint64_t)MS);
    else
        timer_cancel(&s->timer);
}

static void catch_up(struct uhci *s)
{
    uint64_t now = clock_now(s->clock), late;

    if (!(s->cmd & CMD_RS) || now < s->next)
        return;
    late = (now - s->next) / MS + 1;
    if (late > CATCH_UP) {
        s->frnum = (s->frnum + (late - CATCH_UP)) & 0x7ff;
        s->next += (late - CATCH_UP) * MS;
    }
    while (s->cmd & CMD_RS && now >= s->next) {
        s->left = FRAME_BYTES;
        s->done = 0;
        walk(s);
        s->quiet = s->done ? 0 : s->quiet < UINT16_MAX ? s->quiet + 1 : s->quiet;
        s->frnum = (s->frnum + 1) & 0x7ff;
        s->next += MS;
    }
    if (s->cause)
        s->sts |= STS_INT;
    update_irq(s);
    arm(s);
}

static void fire(void *dev)
{
    catch_up(dev);
}

static void hurry(struct uhci *s)
{
    s->quiet = 0;
    arm(s);
}

static void device_ready(void *dev, struct usb_dev *d, unsigned ep)
{
    hurry(dev);
}

/* ---- ports ---- */

/* What it sees in a port. */
static struct usb_dev *device(const struct uhci *s, unsigned n)
{
    return s->port[n]->host->bus == &s->bus ? s->port[n]->dev : NULL;
}

static void enable(struct uhci *s, unsigned n, bool on)
{
    if (s->port[n]->host->bus == &s->bus)
        s->port[n]->enabled = on;
}

static void port_changed(void *dev, unsigned n)
{
    struct uhci *s = dev;
    struct usb_dev *d = device(s, n);

    s->portsc[n] &= ~(PORT_CCS | PORT_LOW | PORT_SUSPEND | PORT_RESUME);
    s->portsc[n] |= PORT_CSC;
    if (s->portsc[n] & PORT_PED)
        s->portsc[n] = (s->portsc[n] & ~PORT_PED) | PORT_PEDC;
    if (d)
        s->portsc[n] |= PORT_CCS | (d->speed == USB_LOW ? PORT_LOW : 0);
    enable(s, n, false);
    if (s->cmd & CMD_EGSM) {
        s->sts |= STS_RESUME;
        update_irq(s);
    }
}

static void port_wake(void *dev, unsigned n)
{
    struct uhci *s = dev;

    if (s->portsc[n] & PORT_SUSPEND)
        s->portsc[n] |= PORT_RESUME;
    if (s->cmd & CMD_EGSM)
        s->sts |= STS_RESUME;
    update_irq(s);
}

static const struct usb_hub_ops port_ops = { port_changed, port_wake };

static void set_suspended(struct uhci *s)
{
    for (unsigned n = 0; n < PORTS; n++)
        usb_suspend(device(s, n), s->portsc[n] & PORT_SUSPEND || s->cmd & CMD_EGSM);
}

static void port_write(struct uhci *s, unsigned n, uint16_t val)
{
    uint16_t was = s->portsc[n], now = was & ~(val & (PORT_CSC | PORT_PEDC));

    now = (now & ~(PORT_RESET | PORT_SUSPEND | PORT_RESUME | PORT_PED)) |
          (val & (PORT_RESET | PORT_SUSPEND | PORT_RESUME | PORT_PED));
    if (val & PORT_RESET) {
        now &= ~(PORT_PED | PORT_SUSPEND | PORT_RESUME);
        if (!(was & PORT_RESET))
            usb_bus_reset(device(s, n));
    }
    if (!(now & PORT_CCS))
        now &= ~PORT_PED;
    if (was & PORT_RESUME && !(now & PORT_RESUME))
        now &= ~PORT_SUSPEND;           /* the end of resume signalling ends suspend */
    s->portsc[n] = now;
    enable(s, n, now & PORT_PED);
    set_suspended(s);
}

static void reset_ports(struct uhci *s, uint16_t change)
{
    for (unsigned n = 0; n < PORTS; n++) {
        struct usb_dev *d = device(s, n);

        s->portsc[n] = PORT_ONE | (d ? PORT_CCS | change | (d->speed == USB_LOW ? PORT_LOW : 0) : 0);
        enable(s, n, false);
        usb_bus_reset(d);
    }
}

/* ---- registers ---- */

static void reset_regs(struct uhci *s)
{
    s->cmd = s->intr = s->frnum = s->quiet = 0;
    s->sts = STS_HALTED;
    s->frbase = 0;
    s->sofmod = 0x40;
    s->cause = 0;
    s->next = 0;
    timer_cancel(&s->timer);
    reset_ports(s, PORT_CSC);
    update_irq(s);
}

static void cmd_write(struct uhci *s, uint16_t val)
{
    uint16_t was = s->cmd;

    if (val & CMD_HCRESET) {
        reset_regs(s);
        return;
    }
    s->cmd = val & CMD_ALL;
    if (val & CMD_GRESET && !(was & CMD_GRESET))
        reset_ports(s, PORT_CSC);
    if (val & CMD_RS && !(was & CMD_RS)) {
        s->sts &= ~STS_HALTED;
        s->next = (clock_now(s->clock) / MS + 1) * MS;
    } else if (!(val & CMD_RS)) {
        s->sts |= STS_HALTED;
    }
    set_suspended(s);
}

static uint16_t reg16(const struct uhci *s, unsigned off)
{
    switch (off) {
    case CMD: return s->cmd;
    case STS: return s->sts;
    case INTR: return s->intr;
    case FRNUM: return s->frnum;
    case FRBASE: return s->frbase;
    case FRBASE + 2: return s->frbase >> 16;
    case SOFMOD: return s->sofmod;
    case PORTSC: case PORTSC + 2: return s->portsc[(off - PORTSC) / 2];
    }
    return off < PORTSC ? 0 : 0xffff;   /* software counts ports by bit 7, which is 1 in them, until all are ones */
}

static void write16(struct uhci *s, unsigned off, uint16_t val)
{
    switch (off) {
    case CMD:
        cmd_write(s, val);
        break;
    case STS:
        s->sts &= ~(val & (STS_INT | STS_ERR | STS_RESUME | STS_HSE | STS_HCPE));
        if (val & STS_INT)
            s->cause = 0;
        break;
    case INTR:
        s->intr = val & 15;
        break;
    case FRNUM:
        if (!(s->cmd & CMD_RS))
            s->frnum = val & 0x7ff;
        break;
    case FRBASE:
        s->frbase = (s->frbase & 0xffff0000) | (val & 0xf000);
        break;
    case FRBASE + 2:
        s->frbase = (s->frbase & 0xffff) | (uint32_t)val << 16;
        break;
    case SOFMOD:
        s->sofmod = val & 0x7f;
        break;
    case PORTSC: case PORTSC + 2:
        port_write(s, (off - PORTSC) / 2, val);
        break;
    }
}

static uint64_t uhci_read(void *dev, uint64_t off, unsigned size)
{
    struct uhci *s = dev;
    unsigned at = off & ~1u;

    catch_up(s);
    if (size == 4)
        return reg16(s, at) | (uint32_t)reg16(s, at + 2) << 16;
    return size == 2 ? reg16(s, at) : reg16(s, at) >> 8 * (off & 1) & 0xff;
}

static void uhci_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
    struct uhci *s = dev;
    unsigned at = off & ~1u;

    catch_up(s);
    if (size == 1) {            /* the other half stays: no ones for bits that ones clear */
        unsigned ones = at == STS ? 0xffff : at >= PORTSC ? PORT_CSC | PORT_PEDC : 0, shift = 8 * (off & 1);

        val = (reg16(s, at) & ~ones & ~(0xffu << shift)) | (val & 0xff) << shift;
    }
    write16(s, at, val);
    if (size == 4)
        write16(s, at + 2, val >> 16);
    update_irq(s);
    hurry(s);
}

static const struct io_ops uhci_ops = { uhci_read, uhci_write, 1 | 2 | 4, LOG_DEV_UHCI };

static void config_written(void *dev, unsigned off, unsigned size)
{
    struct uhci *s = dev;

    if (off < LEGSUP + 2 && off + size > LEGSUP && pci_config(s->pci, LEGSUP, 2) & 0xf)
        log_msg(LOG_UNIMP, "uhci: legacy keyboard emulation by SMI");
}

static void uhci_reset(void *dev)
{
    reset_regs(dev);
}

static void uhci_loaded(void *dev)
{
    struct uhci *s = dev;

    for (unsigned n = 0; n < PORTS; n++)
        enable(s, n, s->portsc[n] & PORT_PED && device(s, n));
    update_irq(s);
    arm(s);
}

static void uhci_info(const void *dev, struct text *t)
{
    usb_info(&((const struct uhci *)dev)->bus, t);
}

static const struct chip uhci_chip = {
    "uhci", sizeof(struct uhci), uhci_reset, uhci_state, uhci_loaded, .info = uhci_info
};

struct uhci_props {
    struct plug_common common;
    const char *master;
    uint64_t first;
};
static const struct prop props_table[] = {
    { "masterbus", PROP_STRING, offsetof(struct uhci_props, master), 0, 0,
      "bus of the high-speed controller (ich9-usb-ehci1) whose companion it is" },
    { "firstport", PROP_NUMBER, offsetof(struct uhci_props, first), 0, 14,
      "first of its ports there, from 0" },
    PROP_END
};

static void add_ports(struct uhci *s, struct plug_env *env, const struct uhci_props *p)
{
    if (p->master)
        usb_companion_init(&s->bus, env, &p->common, p->master);
    else
        usb_bus_init(&s->bus, env, &p->common);
    for (unsigned n = 0; n < PORTS; n++) {
        const struct usb_host host = { .bus = &s->bus, .ops = &port_ops, .hub = s, .n = n,
                                       .speeds = USB_SPEED(USB_LOW) | USB_SPEED(USB_FULL) };

        if (p->master) {
            s->port[n] = usb_port_join(p->first + n, &host);
            if (!s->port[n])
                die(EXIT_CODE_USAGE, "-device %s: firstport=%u: port %u of %s is not there, or has a "
                    "companion", p->common.name, (unsigned)p->first, (unsigned)p->first + n, p->master);
            continue;
        }
        s->port[n] = &s->own[n];
        s->own[n].own = host;
        usb_port_add(&s->bus, &s->own[n], NULL);
    }
}

static void make(struct plug_env *env, const struct uhci_props *p, uint16_t device, uint8_t revision,
                 uint8_t pin)
{
    const struct plug_common *c = &p->common;
    const struct pci_ident id = { .vendor = 0x8086, .device = device, .class = 0x0c0300, .revision = revision,
                                  .subvendor = 0x1af4, .subdevice = 0x1100, .pin = pin };
    struct pci_dev *pci = pci_add(env->pci, c->name, c->slot, c->fn, &id);
    struct uhci *s;

    pci_config_init(pci, 0x60, 1, 0x10, 0);     /* USB 1.0 */
    pci_config_init(pci, LEGSUP, 2, 0x2000, 0x203f);
    s = chip_new(env->m->chips, &uhci_chip, c->name);
    s->pci = pci;
    s->clock = env->m->clock;
    timer_init(&s->timer, s->clock, fire, s);
    s->bus.ready = device_ready;
    s->bus.controller = s;
    add_ports(s, env, p);
    pci_bar(pci, 4, REGS, PCI_BAR_IO, &uhci_ops, s);
    pci_on_config(pci, config_written, s);
    reset_regs(s);
}

/* The PIIX's is function 2 beside the ISA bridge, with INTD; the ICH9's six are in slots of their own. */
#define MODEL(id, name, what, device, revision, pin)                                                         \
    static void make_##id(struct plug_env *env, void *bus, const void *props)                                \
    {                                                                                                        \
        make(env, props, device, revision, pin);                                                             \
    }                                                                                                        \
    const struct plug id##_plug = { name, what, "PCI", sizeof(struct uhci_props), NULL, props_table,         \
                                    make_##id };

MODEL(piix3_uhci, "piix3-usb-uhci", "USB 1.1 controller (UHCI) of the PIIX3", 0x7020, 1, 4)
MODEL(piix4_uhci, "piix4-usb-uhci", "USB 1.1 controller (UHCI) of the PIIX4", 0x7112, 1, 4)
MODEL(ich9_uhci1, "ich9-usb-uhci1", "USB 1.1 controller (UHCI) of the ICH9", 0x2934, 3, 1)
MODEL(ich9_uhci2, "ich9-usb-uhci2", "USB 1.1 controller (UHCI) of the ICH9", 0x2935, 3, 2)
MODEL(ich9_uhci3, "ich9-usb-uhci3", "USB 1.1 controller (UHCI) of the ICH9", 0x2936, 3, 3)
