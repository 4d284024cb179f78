/*
 * xhci.c - USB 3 host controller (eXtensible Host Controller Interface 1.1): registers, ports, events.
 * xhci_cmd.c has commands, xhci_xfer.c transfers; xhci.h says how.
 */
#include "hw/usb/xhci.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"

#define OPER 0x40u
#define PORT_REGS 0x440u
#define RUNTIME 0x1000u
#define INTERRUPTERS_AT 0x1020u
#define DOORBELLS 0x2000u
#define BAR_LEN 0x4000u
#define MSIX_BAR 2
#define USB2_SPEEDS (USB_SPEED(USB_LOW) | USB_SPEED(USB_FULL) | USB_SPEED(USB_HIGH))
#define USB3_SPEEDS USB_SPEED(USB_SUPER)

enum { USBCMD = OPER, USBSTS = OPER + 4, PAGESIZE = OPER + 8, DNCTRL = OPER + 0x14, CRCR = OPER + 0x18,
       DCBAAP = OPER + 0x30,
       CONFIG = OPER + 0x38 };
enum { CMD_HCRST = 2, CMD_INTE = 4, CMD_ALL = 0xd0d };
enum { IMAN = 0x00, IMOD = 0x04, ERSTSZ = 0x08, ERSTBA = 0x10, ERDP = 0x18 };
#define IMAN_IP 1u
#define IMAN_IE 2u
#define ERDP_EHB 8u
#define CRCR_STOP 6u
#define CRCR_RUNNING 8u
#define EVENT_RING_MAX 4096u     /* entries */

enum { P_CCS = 1, P_PED = 2, P_PR = 0x10, P_PP = 0x200, P_LWS = 0x10000, P_CSC = 1 << 17, P_WRC = 1 << 19,
       P_PRC = 1 << 21,
       P_PLC = 1 << 22, P_CHANGES = 0xfe0000, P_WAKES = 7 << 25 };
#define P_WPR (1u << 31)
#define P_PLS(sc) ((sc) >> 5 & 15)
enum { PLS_U0 = 0, PLS_U3 = 3, PLS_DISABLED = 4, PLS_RX_DETECT = 5, PLS_POLLING = 7, PLS_RESUME = 15 };

#define EVENT_COMMAND 33u
#define EVENT_PORT 34u

/* ---- events ---- */

static void update_irq(struct xhci *x)
{
    pci_irq(x->pci, x->cmd & CMD_INTE && x->iman[0] & IMAN_IP && x->iman[0] & IMAN_IE);
}

static void signal(struct xhci *x, unsigned n)
{
    if (x->erdp[n] & ERDP_EHB)
        return;
    x->erdp[n] |= ERDP_EHB;
    x->iman[n] |= IMAN_IP;
    x->sts |= XHCI_STS_EINT;
    /* A message takes the pending bit with it. */
    if (x->cmd & CMD_INTE && x->iman[n] & IMAN_IE && pci_msi_send(x->pci, n))
        x->iman[n] &= ~IMAN_IP;
    update_irq(x);
}

/* The ring of the table that software has set, from its start. */
static void load_event_ring(struct xhci *x, unsigned n)
{
    uint8_t b[16];

    x->er_new[n] = 0;
    x->er_size[n] = 0;
    if (!x->erstsz[n] || !pci_dma_read(x->pci, x->erstba[n], b, 16))
        return;
    x->er_base[n] = xhci_le64(b) & ~0x3full;
    x->er_size[n] = usb_le16(b + 8);
    x->er_index[n] = 0;
    x->er_cycle[n] = 1;
    if (x->er_size[n] < 16 || x->er_size[n] > EVENT_RING_MAX) {
        log_msg(LOG_GUEST, "xhci: an event ring of %u entries: 16 to 4096 are allowed", x->er_size[n]);
        x->er_size[n] = 0;
    }
}

unsigned xhci_event_room(struct xhci *x, unsigned n)
{
    uint64_t at;
    unsigned deq;

    if (x->er_new[n])
        load_event_ring(x, n);
    if (!x->er_size[n])
        return 0;
    at = (x->erdp[n] & ~0xfull) - x->er_base[n];
    deq = at / 16 < x->er_size[n] ? at / 16 : x->er_index[n];
    return (deq + x->er_size[n] - x->er_index[n] - 1) % x->er_size[n];
}

bool xhci_event(struct xhci *x, unsigned n, uint64_t param, uint32_t status, uint32_t control)
{
    uint8_t b[16];

    if (!xhci_event_room(x, n)) {
        log_msg(LOG_GUEST, "xhci: no room for an event");
        return false;
    }
    usb_put32(b, param);
    usb_put32(b + 4, param >> 32);
    usb_put32(b + 8, status);
    usb_put32(b + 12, control | x->er_cycle[n]);
    if (!pci_dma_write(x->pci, x->er_base[n] + 16 * x->er_index[n], b, 16))
        x->sts |= XHCI_STS_HSE;
    if (++x->er_index[n] == x->er_size[n]) {
        x->er_index[n] = 0;
        x->er_cycle[n] ^= 1;
    }
    signal(x, n);
    return true;
}

/* ---- ports ---- */

/* Ports from 0: those of USB 2 first. Connector i is port i of each kind. */
static unsigned port_of(const struct xhci *x, unsigned connector)
{
    const struct usb_dev *d = x->port[connector].dev;

    return d && d->speed == USB_SUPER ? x->p2 + connector : connector;
}

static void port_events(struct xhci *x)
{
    for (unsigned n = 0; n < x->p2 + x->p3 && x->cmd & XHCI_CMD_RUN; n++) {
        if (!(x->port_due >> n & 1) || xhci_event_room(x, 0) < 1)
            continue;
        x->port_due &= ~(1u << n);
        xhci_event(x, 0, (uint64_t)(n + 1) << 24, XHCI_SUCCESS << 24, EVENT_PORT << 10);
    }
}

static void port_change(struct xhci *x, unsigned n, uint32_t bits)
{
    if (!(x->portsc[n] & bits))
        x->port_due |= 1u << n;
    x->portsc[n] |= bits;
    x->sts |= XHCI_STS_PCD;
    port_events(x);
}

static void set_link(struct xhci *x, unsigned n, unsigned state)
{
    unsigned connector = n < x->p2 ? n : n - x->p2;

    x->portsc[n] = (x->portsc[n] & ~0x1e0u) | state << 5;
    if (port_of(x, connector) == n) {
        x->port[connector].enabled = x->portsc[n] & P_PED;
        usb_suspend(x->port[connector].dev, state == PLS_U3);
    }
}

/* What a port shows of its device, at power-on and when one comes or goes. */
static void port_init(struct xhci *x, unsigned connector, bool change)
{
    static const uint8_t speed[] = { [USB_LOW] = 2, [USB_FULL] = 1, [USB_HIGH] = 3, [USB_SUPER] = 4 };
    const struct usb_dev *d = x->port[connector].dev;
    unsigned own = port_of(x, connector);

    for (unsigned k = 0; k < 2; k++) {
        unsigned n = k ? x->p2 + connector : connector;
        uint32_t changes = x->portsc[n] & P_CHANGES;

        if (connector >= (k ? x->p3 : x->p2))
            continue;
        x->portsc[n] = P_PP | (change ? changes : 0);
        if (d && n == own) {
            x->portsc[n] |= P_CCS | (uint32_t)speed[d->speed] << 10 | (k ? P_PED : 0);
            set_link(x, n, k ? PLS_U0 : PLS_POLLING);
            port_change(x, n, P_CSC);
        } else {
            set_link(x, n, PLS_RX_DETECT);
        }
    }
}

static void port_changed(void *dev, unsigned n)
{
    struct xhci *x = dev;

    x->port[n].enabled = false;
    port_init(x, n, true);
    if (!x->port[n].dev) {      /* which of the two it was does not matter: who reads finds nothing connected */
        port_change(x, n < x->p2 ? n : x->p2 + n, P_CSC);
        if (n < x->p2 && n < x->p3)
            port_change(x, x->p2 + n, P_CSC);
    }
}

static void port_wake(void *dev, unsigned connector)
{
    struct xhci *x = dev;
    unsigned n = port_of(x, connector);

    if (P_PLS(x->portsc[n]) != PLS_U3)
        return;
    set_link(x, n, n < x->p2 ? PLS_RESUME : PLS_U0);
    port_change(x, n, P_PLC);
}

static const struct usb_hub_ops port_ops = { port_changed, port_wake };

static void portsc_write(struct xhci *x, unsigned n, uint32_t val)
{
    unsigned connector = n < x->p2 ? n : n - x->p2, state = P_PLS(val);
    struct usb_dev *d = port_of(x, connector) == n ? x->port[connector].dev : NULL;

    x->portsc[n] &= ~(val & P_CHANGES);
    x->portsc[n] = (x->portsc[n] & ~P_WAKES) | (val & P_WAKES);
    if (val & P_PED && x->portsc[n] & P_PED) {
        x->portsc[n] &= ~P_PED;
        set_link(x, n, PLS_DISABLED);
    }
    if ((val & P_PR || (val & P_WPR && n >= x->p2)) && d) {
        usb_bus_reset(d);
        x->portsc[n] |= P_PED;
        set_link(x, n, PLS_U0);
        port_change(x, n, P_PRC | (val & P_WPR && n >= x->p2 ? P_WRC : 0));
        return;
    }
    if (val & P_LWS && state == PLS_RX_DETECT && P_PLS(x->portsc[n]) == PLS_DISABLED && n >= x->p2) {
        port_init(x, connector, true);  /* a super-speed link trains anew */
        return;
    }
    if (!(val & P_LWS) || !(x->portsc[n] & P_PED))
        return;
    if (state == PLS_U3 && P_PLS(x->portsc[n]) == PLS_U0) {
        set_link(x, n, PLS_U3);
    } else if (state == PLS_RESUME && P_PLS(x->portsc[n]) == PLS_U3 && n < x->p2) {
        set_link(x, n, PLS_RESUME);
    } else if (state == PLS_U0 && P_PLS(x->portsc[n]) != PLS_U0) {
        set_link(x, n, PLS_U0);
        port_change(x, n, P_PLC);
    }
}

/* ---- registers ---- */

static uint32_t capability(const struct xhci *x, unsigned off)
{
    const uint32_t regs[] = {
        0x01000000 | OPER, XHCI_SLOTS | XHCI_INTERRUPTERS << 8 | (x->p2 + x->p3) << 24, 0xf, 0,
        0x20 / 4 << 16 | 1, DOORBELLS, RUNTIME, 0,
        /* which ports are of USB 2, and which of USB 3 */
        0x02000002 | (x->p3 ? 0x10 / 4 << 8 : 0), 0x20425355, 1 | x->p2 << 8, 0,
        0x03000002, 0x20425355, (x->p2 + 1) | x->p3 << 8, 0
    };

    return off / 4 < sizeof(regs) / sizeof(regs[0]) ? regs[off / 4] : 0;
}

static uint32_t half(uint64_t v, unsigned off)
{
    return off & 4 ? v >> 32 : v;
}

static void set_half(uint64_t *v, unsigned off, uint32_t val)
{
    *v = off & 4 ? (*v & 0xffffffff) | (uint64_t)val << 32 : (*v & ~0xffffffffull) | val;
}

static uint32_t port_read(const struct xhci *x, unsigned off)
{
    unsigned n = off / 16;

    if (n >= x->p2 + x->p3)
        return 0;
    return off % 16 == 0 ? x->portsc[n] : off % 16 == 4 ? x->portpmsc[n] : 0;
}

static uint32_t interrupter_read(const struct xhci *x, unsigned off)
{
    unsigned n = off / 32;

    if (n >= XHCI_INTERRUPTERS)
        return 0;
    switch (off % 32) {
    case IMAN: return x->iman[n];
    case IMOD: return x->imod[n];
    case ERSTSZ: return x->erstsz[n];
    case ERSTBA: case ERSTBA + 4: return half(x->erstba[n], off);
    case ERDP: case ERDP + 4: return half(x->erdp[n], off);
    }
    return 0;
}

static uint64_t xhci_read(void *dev, uint64_t off, unsigned size)
{
    struct xhci *x = dev;

    if (off < OPER)
        return capability(x, off);
    if (off >= PORT_REGS && off < RUNTIME)
        return port_read(x, off - PORT_REGS);
    if (off >= INTERRUPTERS_AT && off < DOORBELLS)
        return interrupter_read(x, off - INTERRUPTERS_AT);
    switch (off) {
    case USBCMD: return x->cmd;
    case USBSTS: return x->sts;
    case PAGESIZE: return 1;
    case DNCTRL: return x->dnctrl;
    case CRCR: return x->cmd_running ? CRCR_RUNNING : 0;
    case DCBAAP: case DCBAAP + 4: return half(x->dcbaap, off);
    case CONFIG: return x->slots;
    case RUNTIME: return clock_now(x->clock) / 125000 & 0x3fff;
    }
    return 0;
}

static void reset_controller(struct xhci *x)
{
    timer_cancel(&x->timer);
    memset((uint8_t *)x + XHCI_STATE_FROM, 0, XHCI_STATE_TO - XHCI_STATE_FROM);
    x->imod[0] = 4000;
    for (unsigned n = 0; n < x->p2 || n < x->p3; n++) {
        x->port[n].enabled = false;
        usb_bus_reset(x->port[n].dev);
        port_init(x, n, false);
    }
    x->sts |= XHCI_STS_HALTED;
    update_irq(x);
}

static void cmd_write(struct xhci *x, uint32_t val)
{
    if (val & CMD_HCRST) {
        reset_controller(x);
        return;
    }
    x->cmd = val & CMD_ALL & ~0x300u;   /* what it saves and restores it never loses: done at once */
    if (x->cmd & XHCI_CMD_RUN) {
        x->sts &= ~XHCI_STS_HALTED;
        port_events(x);
        xhci_run(x);
    } else {
        x->sts |= XHCI_STS_HALTED;
        x->cmd_running = 0;
    }
    update_irq(x);
}

static void crcr_write(struct xhci *x, unsigned off, uint32_t val)
{
    if (x->cmd_running) {
        if (off == CRCR && val & CRCR_STOP) {
            x->cmd_running = 0;
            xhci_event(x, 0, x->cmd_dequeue, XHCI_RING_STOPPED << 24, EVENT_COMMAND << 10);
        }
        return;
    }
    if (off == CRCR) {
        set_half(&x->cmd_dequeue, off, val & ~0x3fu);
        x->cmd_cycle = val & 1;
    } else {
        set_half(&x->cmd_dequeue, off, val);
    }
}

static void interrupter_write(struct xhci *x, unsigned off, uint32_t val)
{
    unsigned n = off / 32;

    if (n >= XHCI_INTERRUPTERS)
        return;
    switch (off % 32) {
    case IMAN:
        x->iman[n] = (x->iman[n] & ~(val & IMAN_IP) & ~IMAN_IE) | (val & IMAN_IE);
        break;
    case IMOD:
        x->imod[n] = val;
        break;
    case ERSTSZ:
        x->erstsz[n] = val & 0xffff;
        x->er_new[n] = 1;
        break;
    case ERSTBA: case ERSTBA + 4:
        set_half(&x->erstba[n], off, off & 4 ? val : val & ~0x3fu);
        x->er_new[n] = 1;
        break;
    case ERDP + 4:
        set_half(&x->erdp[n], off, val);
        break;
    case ERDP:
        set_half(&x->erdp[n], off, (val & ~ERDP_EHB) | (val & ERDP_EHB ? 0 : half(x->erdp[n],
                                                                                  off) & ERDP_EHB));
        if (val & ERDP_EHB && x->er_size[n] && xhci_event_room(x, n) + 1 < x->er_size[n])
            signal(x, n);       /* there is more than what software has seen */
        xhci_run(x);            /* what waited for room */
        break;
    }
    update_irq(x);
}

static void doorbell(struct xhci *x, unsigned slot, uint32_t val)
{
    if (!(x->cmd & XHCI_CMD_RUN) || slot > XHCI_SLOTS)
        return;
    if (slot == 0) {
        x->cmd_running = (val & 0xff) == 0;
        xhci_run(x);
    } else {
        xhci_kick(x, slot, val & 0xff);
    }
}

static void xhci_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
    struct xhci *x = dev;

    if (off >= DOORBELLS) {
        doorbell(x, (off - DOORBELLS) / 4, val);
    } else if (off >= INTERRUPTERS_AT) {
        interrupter_write(x, off - INTERRUPTERS_AT, val);
    } else if (off >= PORT_REGS) {
        unsigned n = (off - PORT_REGS) / 16;

        if (n < x->p2 + x->p3 && off % 16 == 0)
            portsc_write(x, n, val);
        else if (n < x->p2 + x->p3 && off % 16 == 4)
            x->portpmsc[n] = val & (n < x->p2 ? 0xfff8 : 0x1ffff);
    } else {
        switch (off) {
        case USBCMD: cmd_write(x, val); break;
        case USBSTS: x->sts &= ~(val & (XHCI_STS_HSE | XHCI_STS_EINT | XHCI_STS_PCD)); break;
        case DNCTRL: x->dnctrl = val & 0xffff; break;
        case CRCR: case CRCR + 4: crcr_write(x, off, val); break;
        case DCBAAP: case DCBAAP + 4: set_half(&x->dcbaap, off, off & 4 ? val : val & ~0x3fu); break;
        case CONFIG: x->slots = (val & 0xff) < XHCI_SLOTS ? val & 0xff : XHCI_SLOTS; break;
        }
    }
}

static const struct io_ops xhci_ops = { xhci_read, xhci_write, 4, LOG_DEV_XHCI };

static void fire(void *dev)
{
    xhci_run(dev);
}

static void xhci_reset(void *dev)
{
    reset_controller(dev);
}

static const char *xhci_check(const void *dev)
{
    const struct xhci *x = dev;

    for (unsigned n = 0; n < XHCI_INTERRUPTERS; n++)
        if (x->er_size[n] && x->er_index[n] >= x->er_size[n])
            return "er_index is behind the end of an event ring";
    for (unsigned i = 0; i < XHCI_EPS; i++)
        if (x->ep_state[i] != XHCI_DISABLED && !x->ep_packet[i])
            return "ep_packet is 0 of an endpoint that is there";
    return NULL;
}

static void xhci_loaded(void *dev)
{
    struct xhci *x = dev;

    for (unsigned n = 0; n < x->p2 || n < x->p3; n++)
        x->port[n].enabled = x->portsc[port_of(x, n)] & P_PED;
    xhci_later(x);
    update_irq(x);
}

static const struct field xhci_state[] = {
    FIELD(struct xhci, cmd), FIELD(struct xhci, sts), FIELD(struct xhci, dnctrl),
    FIELD_MAX(struct xhci, slots, XHCI_SLOTS),
    FIELD(struct xhci, port_due), FIELD(struct xhci, dcbaap), FIELD(struct xhci, cmd_dequeue),
    FIELD(struct xhci, cmd_cycle),
    FIELD(struct xhci, cmd_running), FIELD_ARRAY(struct xhci, portsc), FIELD_ARRAY(struct xhci, portpmsc),
    FIELD_ARRAY(struct xhci, iman), FIELD_ARRAY(struct xhci, imod), FIELD_ARRAY(struct xhci, erstsz),
    FIELD_ARRAY(struct xhci, erstba), FIELD_ARRAY(struct xhci, erdp), FIELD_ARRAY(struct xhci, er_base),
    FIELD_ARRAY_MAX(struct xhci, er_size, EVENT_RING_MAX), FIELD_ARRAY(struct xhci, er_index), FIELD_ARRAY(struct xhci, er_cycle),
    FIELD_ARRAY(struct xhci, er_new), FIELD_ARRAY_MAX(struct xhci, slot_state, XHCI_SLOT_CONFIGURED),
    FIELD_ARRAY(struct xhci, slot_port),
    FIELD_ARRAY_MAX(struct xhci, slot_target, XHCI_INTERRUPTERS - 1), FIELD_ARRAY(struct xhci, slot_route),
    FIELD_ARRAY(struct xhci, slot_context),
    FIELD_ARRAY(struct xhci, kicked), FIELD_ARRAY_MAX(struct xhci, ep_state, XHCI_ERROR), FIELD_ARRAY(struct xhci, ep_cycle),
    FIELD_ARRAY_MAX(struct xhci, ep_packet, XHCI_PACKET_MAX), FIELD_ARRAY(struct xhci, ep_dequeue),
    FIELD_ARRAY(struct xhci, ep_pos),
    FIELD_END
};

static void xhci_info(const void *dev, struct text *t)
{
    usb_info(&((const struct xhci *)dev)->bus, t);
}

static const struct chip xhci_chip = {
    "xhci", sizeof(struct xhci), xhci_reset, xhci_state, xhci_loaded, .info = xhci_info,
    .check = xhci_check
};

struct xhci_props {
    struct plug_common common;
    uint64_t p2, p3;
    bool msi, msix;
};
static const struct xhci_props defaults = { .p2 = 4, .p3 = 4, .msi = true, .msix = true };
static const struct prop props[] = {
    { "p2", PROP_NUMBER, offsetof(struct xhci_props, p2), 1, XHCI_PORTS, "ports of USB 2" },
    { "p3", PROP_NUMBER, offsetof(struct xhci_props, p3), 0, XHCI_PORTS, "ports of USB 3" },
    { "msi", PROP_BOOL, offsetof(struct xhci_props, msi), 0, 0, "interrupts by message" },
    { "msix", PROP_BOOL, offsetof(struct xhci_props, msix), 0, 0, "the same with a table of vectors" },
    PROP_END
};

static void make(struct plug_env *env, const struct xhci_props *p, uint16_t vendor, uint16_t device,
                 uint8_t revision)
{
    const struct pci_ident id = { .vendor = vendor, .device = device, .class = 0x0c0330, .revision = revision,
                                  .subvendor = 0x1af4, .subdevice = 0x1100, .pin = 1 };
    struct pci_dev *pci = pci_add(env->pci, p->common.name, p->common.slot, p->common.fn, &id);
    struct xhci *x = chip_new(env->m->chips, &xhci_chip, p->common.name);

    pci_config_init(pci, 0x60, 1, 0x30, 0);     /* USB 3.0 */
    x->pci = pci;
    x->clock = env->m->clock;
    x->p2 = p->p2;
    x->p3 = p->p3;
    timer_init(&x->timer, x->clock, fire, x);
    usb_bus_init(&x->bus, env, &p->common);
    x->bus.ready = xhci_ready;
    x->bus.controller = x;
    for (unsigned n = 0; n < x->p2 || n < x->p3; n++) {
        x->port[n].own = (struct usb_host){ .ops = &port_ops, .hub = x, .n = n };
        x->port[n].own.speeds = (n < x->p2 ? USB2_SPEEDS : 0) | (n < x->p3 ? USB3_SPEEDS : 0);
        usb_port_add(&x->bus, &x->port[n], NULL);
    }
    pci_bar(pci, 0, BAR_LEN, PCI_BAR_64, &xhci_ops, x);
    if (p->msi)
        pci_msi_init(pci, XHCI_INTERRUPTERS);
    if (p->msix)
        pci_msix_init(pci, MSIX_BAR, XHCI_INTERRUPTERS);
    reset_controller(x);
}

static void make_qemu(struct plug_env *env, void *bus, const void *p)
{
    make(env, p, 0x1b36, 0x000d, 1);
}

static void make_nec(struct plug_env *env, void *bus, const void *p)
{
    make(env, p, 0x1033, 0x0194, 3);
}

const struct plug qemu_xhci_plug = {
    "qemu-xhci", "USB 3 controller (xHCI)", "PCI", sizeof(struct xhci_props), &defaults, props, make_qemu
};
const struct plug nec_xhci_plug = {
    "nec-usb-xhci", "USB 3 controller (xHCI) of NEC's uPD720200", "PCI", sizeof(struct xhci_props), &defaults,
    props, make_nec
};
