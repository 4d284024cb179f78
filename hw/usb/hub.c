/*
 * hub.c - usb-hub: a hub of full or high speed with eight ports (USB 2.0, chapter 11).
 *
 * All ports have power of their own. A device that comes or goes, and a port whose reset or resume is over,
 * set a change bit; the interrupt endpoint tells of ports with such bits. Reset is done at once: the bus
 * has no time between packets. At high speed it has one transaction translator for the slower devices behind
 * it, which the controllers play (usb_translator()): no packet waits in the hub.
 */
#include "hw/usb/usb.h"

#include <string.h>

#define PORTS 8
#define CHANGES 5               /* of a port: C_PORT_CONNECTION to C_PORT_RESET */

enum { CONNECTION = 1, ENABLE = 2, SUSPEND = 4, RESET = 0x10, POWER = 0x100, LOW_SPEED = 0x200,
       HIGH_SPEED = 0x400 };
/* feature selectors; a change bit's is 16 more than the bit's number */
enum { F_ENABLE = 1, F_SUSPEND = 2, F_RESET = 4, F_POWER = 8, F_CHANGE = 16 };
enum hub_request { GET_HUB = 0xa006, HUB_STATUS = 0xa000, PORT_STATUS = 0xa300, CLEAR_HUB = 0x2001,
                   CLEAR_PORT = 0x2301, SET_PORT = 0x2303, CLEAR_TT_BUFFER = 0x2308, RESET_TT = 0x2309,
                   STOP_TT = 0x230b };

struct usb_hub {
    struct usb_dev usb;
    struct usb_port port[PORTS];
    uint16_t status[PORTS], change[PORTS];
};

static const struct field hub_state[] = {
    USB_DEV_FIELDS(struct usb_hub, usb), FIELD_ARRAY(struct usb_hub, status),
    FIELD_ARRAY(struct usb_hub, change),
    FIELD_END
};

#define DEVICE(protocol)                                                                                     \
    { 18, USB_DT_DEVICE, 0x00, 0x02, 9, 0, protocol, 64, 0x09, 0x04, 0xaa, 0x55, 0x01, 0x01, 1, 2, 3, 1 }
#define CONFIG(interval)                                                                                     \
    { 9, USB_DT_CONFIG, 25, 0, 1, 1, 0, 0xe0, 0, 9, 4, 0, 0, 1, 9, 0, 0, 0, 7, 5, 0x81, 3, 2, 0, interval }
static const uint8_t full_device[18] = DEVICE(0), high_device[18] = DEVICE(1);
static const uint8_t full_config[25] = CONFIG(0xff), high_config[25] = CONFIG(12);
/* Power switched for each port, no protection, 4 ms from power to good; no port is captive. */
static const uint8_t descriptor[] = { 11, USB_DT_HUB, PORTS, 0x0a, 0, 2, 0, 0, 0, 0xff, 0xff };
static const char *const strings[] = { "Latimer", "USB Hub", "", NULL };

static bool pending(const struct usb_hub *h)
{
    for (unsigned n = 0; n < PORTS; n++)
        if (h->change[n])
            return true;
    return false;
}

static void changed(struct usb_hub *h, unsigned n, unsigned bits)
{
    h->change[n] |= bits;
    usb_ready(&h->usb, USB_DIR_IN | 1);
}

static void set_status(struct usb_hub *h, unsigned n, unsigned status)
{
    h->status[n] = status;
    h->port[n].enabled = status & ENABLE;
    usb_suspend(h->port[n].dev, status & SUSPEND);
}

/* What the port sees while it has power. */
static unsigned connected(const struct usb_hub *h, unsigned n)
{
    const struct usb_dev *d = h->port[n].dev;

    return !d ? 0 : CONNECTION | (d->speed == USB_LOW ? LOW_SPEED : d->speed == USB_HIGH ? HIGH_SPEED : 0);
}

static void port_changed(void *hub, unsigned n)
{
    struct usb_hub *h = hub;

    if (!(h->status[n] & POWER))
        return;
    set_status(h, n, POWER | connected(h, n));
    changed(h, n, CONNECTION);
}

static void port_wake(void *hub, unsigned n)
{
    struct usb_hub *h = hub;

    set_status(h, n, h->status[n] & ~SUSPEND);
    changed(h, n, SUSPEND);
}

static const struct usb_hub_ops port_ops = { port_changed, port_wake };

static int port_feature(struct usb_hub *h, unsigned n, unsigned feature, bool set)
{
    unsigned st = h->status[n];

    if (!set && feature >= F_CHANGE && feature < F_CHANGE + CHANGES) {
        h->change[n] &= ~(1u << (feature - F_CHANGE));
        return 0;
    }
    switch (feature) {
    case F_ENABLE:
        if (!set)
            set_status(h, n, st & ~(ENABLE | SUSPEND));
        return 0;
    case F_SUSPEND:
        if (set && st & ENABLE) {
            set_status(h, n, st | SUSPEND);
        } else if (!set && st & SUSPEND) {
            set_status(h, n, st & ~SUSPEND);
            changed(h, n, SUSPEND);
        }
        return 0;
    case F_RESET:
        if (!set)
            return USB_STALL;
        if (!(st & CONNECTION))
            return 0;
        usb_bus_reset(h->port[n].dev);
        set_status(h, n, POWER | ENABLE | connected(h, n));
        changed(h, n, RESET);
        return 0;
    case F_POWER:
        if (set && !(st & POWER)) {
            set_status(h, n, POWER | connected(h, n));
            if (h->port[n].dev)
                changed(h, n, CONNECTION);
        } else if (!set && st & POWER) {
            usb_bus_reset(h->port[n].dev);
            set_status(h, n, 0);
            h->change[n] = 0;
        }
        return 0;
    }
    return USB_STALL;
}

static int hub_control(struct usb_dev *d, const struct usb_setup *s, uint8_t *buf)
{
    struct usb_hub *h = (struct usb_hub *)d;
    unsigned n = (s->index & 0xff) - 1u;

    switch (s->type << 8 | s->request) {
    case GET_HUB:
        memcpy(buf, descriptor, sizeof(descriptor));
        return sizeof(descriptor);
    case HUB_STATUS:                    /* power is good, nothing has changed */
        memset(buf, 0, 4);
        return 4;
    case CLEAR_HUB:                     /* C_HUB_LOCAL_POWER, C_HUB_OVER_CURRENT: never set */
        return s->value < 2 ? 0 : USB_STALL;
    case PORT_STATUS:
        if (n >= PORTS)
            return USB_STALL;
        usb_put32(buf, h->status[n] | (uint32_t)h->change[n] << 16);
        return 4;
    case CLEAR_TT_BUFFER:               /* nothing waits there */
    case RESET_TT:
    case STOP_TT:
        return d->speed == USB_HIGH ? 0 : USB_STALL;
    case CLEAR_PORT:
    case SET_PORT:
        return n < PORTS ? port_feature(h, n, s->value, s->request == (SET_PORT & 0xff)) : USB_STALL;
    }
    return USB_STALL;
}

static int hub_packet(struct usb_dev *d, enum usb_pid pid, unsigned ep, uint8_t *buf, unsigned len)
{
    struct usb_hub *h = (struct usb_hub *)d;
    unsigned bits = 0;

    if (pid != USB_IN || ep != 1)
        return USB_TIMEOUT;
    if (!pending(h))
        return USB_NAK;
    for (unsigned n = 0; n < PORTS; n++)
        if (h->change[n])
            bits |= 2u << n;
    for (unsigned i = 0; i < 2 && i < len; i++)
        buf[i] = bits >> 8 * i;
    return len < 2 ? (int)len : 2;
}

static void hub_bus_reset(struct usb_dev *d)
{
    struct usb_hub *h = (struct usb_hub *)d;

    for (unsigned n = 0; n < PORTS; n++) {
        usb_bus_reset(h->port[n].dev);
        h->change[n] = 0;
        set_status(h, n, 0);
    }
}

static void hub_reset(void *dev)
{
    usb_dev_reset(&((struct usb_hub *)dev)->usb);
}

static void hub_loaded(void *dev)
{
    struct usb_hub *h = dev;

    for (unsigned n = 0; n < PORTS; n++)
        set_status(h, n, h->status[n]);
}

static const struct chip hub_chip = {
    "usb-hub", sizeof(struct usb_hub), hub_reset, hub_state, hub_loaded, .check = usb_dev_check
};
static const struct usb_type hub_type = {
    .at = { [USB_FULL] = { full_device, full_config, sizeof(full_config) },
            [USB_HIGH] = { high_device, high_config, sizeof(high_config) } },
    .strings = strings, .control = hub_control, .packet = hub_packet, .reset = hub_bus_reset
};

static void make(struct plug_env *env, void *to, const void *props)
{
    struct usb_bus *bus = to;
    struct usb_hub *h = chip_new(bus->chips, &hub_chip, ((const struct usb_props *)props)->common.name);

    usb_attach(bus, &h->usb, &hub_type, props);
    for (unsigned n = 0; n < PORTS; n++) {
        h->port[n].own = (struct usb_host){ .ops = &port_ops, .hub = h, .n = n };
        usb_port_add(bus, &h->port[n], &h->usb);
    }
    hub_reset(h);
}

static const struct prop hub_props[] = { USB_PROPS, PROP_END };
const struct plug usb_hub_plug = {
    "usb-hub", "USB hub with eight ports", "USB", sizeof(struct usb_props), NULL, hub_props, make
};
