/*
 * usb.c - what all USB devices have: control transfers and standard requests (USB 2.0, 8.5.3 and chapter
 * 9), their ports.
 *
 * A request is carried out when its data are complete: at once if there are none from the host, so that NAK
 * is never needed; the new address alone waits for the status stage, as 9.4.6 wants. Invariant: off <= len
 * <= USB_CONTROL_MAX.
 */
#include "hw/usb/usb.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"

enum { CONTROL_IDLE, CONTROL_IN, CONTROL_OUT, CONTROL_STATUS_IN, CONTROL_STALLED };

#define EP0_FULL 64u
#define EP0_LOW 8u

const struct prop usb_props[] = {
    { "port", PROP_STRING, offsetof(struct usb_props, port), 0, 0,
      "port of the bus, 1 or (behind a hub) 1.2" },
    { "serial", PROP_STRING, offsetof(struct usb_props, serial), 0, 0, "serial number" },
    PROP_END
};

/* ---- buses and ports ---- */

void usb_bus_init(struct usb_bus *bus, struct plug_env *env, const struct plug_common *c)
{
    unsigned n = 0;
    int len;

    do {                        /* the first name that is free */
        snprintf(bus->name, sizeof(bus->name), "usb-bus.%u", n++);
    } while (plug_bus_find(env, bus->name));
    if (c->id) {
        len = snprintf(bus->name, sizeof(bus->name), "%s.0", c->id);
        if (len < 0 || (size_t)len >= sizeof(bus->name))
            die(EXIT_CODE_USAGE, "-device: id=%s: too long", c->id);
    }
    bus->chips = env->m->chips;
    bus->clock = env->m->clock;
    plug_bus_add(env, "USB", bus->name, bus);
}

void usb_port_add(struct usb_bus *bus, struct usb_port *p, struct usb_port *up)
{
    struct usb_port **last = &bus->ports;
    int n;

    p->bus = bus;
    p->up = up;
    p->next = NULL;
    n = snprintf(p->path, sizeof(p->path), "%s%s%u", up ? up->path : "", up ? "." : "", p->n + 1);
    if (n < 0 || (size_t)n >= sizeof(p->path))
        die(EXIT_CODE_USAGE, "%s: too many hubs behind each other", bus->name);
    while (*last)
        last = &(*last)->next;
    *last = p;
}

static bool reached(const struct usb_port *p)
{
    for (; p; p = p->up)
        if (!p->enabled || !p->dev || p->dev->suspended)
            return false;
    return true;
}

struct usb_dev *usb_find(struct usb_bus *bus, unsigned addr)
{
    for (struct usb_port *p = bus->ports; p; p = p->next)
        if (p->dev && p->dev->addr == addr && reached(p))
            return p->dev;
    return NULL;
}

void usb_attach(struct usb_bus *bus, struct usb_dev *d, const struct usb_type *type,
                const struct usb_props *props)
{
    struct usb_port *p = bus->ports;

    while (p && (props->port ? strcmp(p->path, props->port) != 0 : p->dev != NULL))
        p = p->next;
    if (!p && props->port)
        die(EXIT_CODE_USAGE, "-device %s: %s has no port %s", props->common.name, bus->name, props->port);
    if (!p)
        die(EXIT_CODE_USAGE, "-device %s: all ports of %s are taken: add a usb-hub before it",
            props->common.name,
            bus->name);
    if (p->dev)
        die(EXIT_CODE_USAGE, "-device %s: port %s of %s is taken", props->common.name, p->path, bus->name);
    d->type = type;
    d->port = p;
    if (props->serial)
        snprintf(d->serial, sizeof(d->serial), "%s", props->serial);
    else
        snprintf(d->serial, sizeof(d->serial), "%s", p->path);
    p->dev = d;
    p->ops->changed(p->hub, p->n);
}

/* ---- state ---- */

void usb_bus_reset(struct usb_dev *d)
{
    if (!d)
        return;
    d->addr = d->new_addr = d->configuration = d->wakeup = d->suspended = 0;
    d->control = CONTROL_IDLE;
    d->halted[0] = d->halted[1] = 0;
    d->off = d->len = 0;
    if (d->type->reset)
        d->type->reset(d);
}

void usb_dev_reset(struct usb_dev *d)
{
    memset(d->setup, 0, sizeof(d->setup));
    memset(d->data, 0, sizeof(d->data));
    usb_bus_reset(d);
}

void usb_dev_loaded(struct usb_dev *d)
{
    if (d->len > USB_CONTROL_MAX)
        d->len = 0;
    if (d->off > d->len)
        d->off = d->len;
}

void usb_suspend(struct usb_dev *d, bool on)
{
    if (d)
        d->suspended = on;
}

void usb_ready(struct usb_dev *d, unsigned ep)
{
    struct usb_port *p = d->port;

    if (d->suspended && d->wakeup)
        p->ops->wake(p->hub, p->n);
    if (p->bus->ready)
        p->bus->ready(p->bus->controller, d, ep);
}

/* ---- requests ---- */

static int get_string(const struct usb_dev *d, unsigned n, uint8_t *buf)
{
    const char *text = NULL;
    size_t len;

    if (n == 0) {
        memcpy(buf, (const uint8_t[]){ 4, USB_DT_STRING, 0x09, 0x04 }, 4);      /* US English */
        return 4;
    }
    for (unsigned i = 1; d->type->strings[i - 1] && !text; i++)
        if (i == n)
            text = d->type->strings[i - 1];
    if (!text)
        return USB_STALL;
    if (!*text)                 /* the place of the serial number */
        text = d->serial;
    len = strlen(text) < 126 ? strlen(text) : 126;
    buf[0] = 2 + 2 * len;
    buf[1] = USB_DT_STRING;
    for (size_t i = 0; i < len; i++) {
        buf[2 + 2 * i] = text[i];
        buf[3 + 2 * i] = 0;
    }
    return buf[0];
}

static int get_descriptor(const struct usb_dev *d, const struct usb_setup *s, uint8_t *buf)
{
    const struct usb_type *t = d->type;

    switch (s->value >> 8) {
    case USB_DT_DEVICE:
        memcpy(buf, t->device, t->device[0]);
        return t->device[0];
    case USB_DT_CONFIG:
        if (s->value & 0xff)
            return USB_STALL;
        memcpy(buf, t->config, t->config_len);
        return t->config_len;
    case USB_DT_STRING:
        return get_string(d, s->value & 0xff, buf);
    }
    return USB_STALL;
}

static uint16_t *halt_of(struct usb_dev *d, unsigned ep)
{
    return &d->halted[ep >> 7 & 1];
}

static int set_halt(struct usb_dev *d, const struct usb_setup *s, bool on)
{
    uint16_t bit = 1u << (s->index & 15), *halted = halt_of(d, s->index);

    if (s->value != USB_FEATURE_HALT)
        return USB_STALL;
    if (s->index & 15)
        *halted = on ? *halted | bit : *halted & ~bit;
    return 0;
}

static int standard(struct usb_dev *d, const struct usb_setup *s, uint8_t *buf)
{
    unsigned interfaces = d->type->config[4];

    switch (s->type << 8 | s->request) {
    case USB_GET_DEVICE_STATUS:
        buf[0] = (d->type->config[7] >> 6 & 1) | d->wakeup << 1;
        buf[1] = 0;
        return 2;
    case USB_GET_INTERFACE_STATUS:
        buf[0] = buf[1] = 0;
        return s->index < interfaces ? 2 : USB_STALL;
    case USB_GET_ENDPOINT_STATUS:
        buf[0] = *halt_of(d, s->index) >> (s->index & 15) & 1;
        buf[1] = 0;
        return 2;
    case USB_CLEAR_DEVICE_FEATURE:
    case USB_SET_DEVICE_FEATURE:
        if (s->value != USB_FEATURE_WAKEUP || !(d->type->config[7] & 0x20))
            return USB_STALL;
        d->wakeup = s->request == (USB_SET_DEVICE_FEATURE & 0xff);
        return 0;
    case USB_CLEAR_ENDPOINT_FEATURE:
        return set_halt(d, s, false);
    case USB_SET_ENDPOINT_FEATURE:
        return set_halt(d, s, true);
    case USB_SET_ADDRESS:
        if (s->value > 127)
            return USB_STALL;
        d->new_addr = s->value;
        return 0;
    case USB_GET_DESCRIPTOR:
        return get_descriptor(d, s, buf);
    case USB_GET_CONFIGURATION:
        buf[0] = d->configuration;
        return 1;
    case USB_SET_CONFIGURATION:
        if (s->value && s->value != d->type->config[5])
            return USB_STALL;
        d->configuration = s->value;
        d->halted[0] = d->halted[1] = 0;
        if (d->type->reset)
            d->type->reset(d);
        return 0;
    case USB_GET_INTERFACE:
        buf[0] = 0;
        return s->index < interfaces ? 1 : USB_STALL;
    case USB_SET_INTERFACE:     /* there are no alternatives */
        if (s->index >= interfaces || s->value)
            return USB_STALL;
        d->halted[0] = d->halted[1] = 0;
        return 0;
    }
    return USB_STALL;
}

/* Carry out what d->setup says; data from the host are in d->data. */
static int perform(struct usb_dev *d, const struct usb_setup *s)
{
    int n = d->type->control ? d->type->control(d, s, d->data) : USB_STALL;

    if (n == USB_STALL)
        n = standard(d, s, d->data);
    if (n < 0) {
        log_msg(LOG_GUEST,
                "usb device at port %s: request %02x%02x, value %04x, index %04x, length %u: refused",
                d->port->path, s->type, s->request, s->value, s->index, s->length);
        d->control = CONTROL_STALLED;
    }
    return n;
}

static struct usb_setup setup_of(const struct usb_dev *d)
{
    const uint8_t *p = d->setup;

    return (struct usb_setup){ p[0], p[1], usb_le16(p + 2), usb_le16(p + 4), usb_le16(p + 6) };
}

static int take_setup(struct usb_dev *d, const uint8_t *buf, unsigned len)
{
    struct usb_setup s;
    int n;

    if (len != 8)
        return USB_TIMEOUT;     /* no setup packet: devices do not answer what is malformed */
    memcpy(d->setup, buf, 8);
    s = setup_of(d);
    d->off = d->len = 0;
    d->new_addr = d->addr;
    if (s.type & USB_DIR_IN) {
        d->control = CONTROL_IN;
        n = perform(d, &s);
        if (n >= 0)
            d->len = n < s.length ? n : s.length;
    } else if (s.length > USB_CONTROL_MAX) {
        d->control = CONTROL_STALLED;
    } else if (s.length) {
        d->control = CONTROL_OUT;
        d->len = s.length;
    } else {
        d->control = CONTROL_STATUS_IN;
        perform(d, &s);
    }
    return 8;
}

static unsigned smaller(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

static int control_in(struct usb_dev *d, uint8_t *buf, unsigned len)
{
    unsigned n = smaller(smaller(len, d->type->speed == USB_LOW ? EP0_LOW : EP0_FULL), d->len - d->off);

    switch (d->control) {
    case CONTROL_IN:
        memcpy(buf, d->data + d->off, n);
        d->off += n;
        return n;
    case CONTROL_STATUS_IN:
        d->control = CONTROL_IDLE;
        d->addr = d->new_addr;
        return 0;
    }
    return USB_STALL;
}

static int control_out(struct usb_dev *d, const uint8_t *buf, unsigned len)
{
    struct usb_setup s = setup_of(d);

    switch (d->control) {
    case CONTROL_IN:            /* the status stage, also when the host has enough */
        d->control = CONTROL_IDLE;
        return len;
    case CONTROL_OUT:
        if (len > (unsigned)(d->len - d->off)) {
            d->control = CONTROL_STALLED;
            return USB_STALL;
        }
        memcpy(d->data + d->off, buf, len);
        d->off += len;
        if (d->off == d->len) {
            d->control = CONTROL_STATUS_IN;
            perform(d, &s);
        }
        return len;
    }
    return USB_STALL;
}

int usb_packet(struct usb_dev *d, enum usb_pid pid, unsigned ep, uint8_t *buf, unsigned len)
{
    if (ep == 0) {
        if (pid == USB_SETUP)
            return take_setup(d, buf, len);
        return pid == USB_IN ? control_in(d, buf, len) : control_out(d, buf, len);
    }
    if (pid == USB_SETUP || ep > 15 || !d->configuration || !d->type->packet)
        return USB_TIMEOUT;
    if (d->halted[pid == USB_IN] >> ep & 1)
        return USB_STALL;
    return d->type->packet(d, pid, ep, buf, len);
}

/* ---- for monitors ---- */

void usb_info(const struct usb_bus *bus, struct text *t)
{
    static const char *const speeds[] = { "1.5", "12", "480", "5000" };

    for (const struct usb_port *p = bus->ports; p; p = p->next)
        if (p->dev)
            text_say(t, "  bus %s, port %s, address %u, %s Mb/s, %04x:%04x%s%s\n", bus->name, p->path,
                     p->dev->addr, speeds[p->dev->type->speed],
                     p->dev->type->device[8] | p->dev->type->device[9] << 8,
                     p->dev->type->device[10] | p->dev->type->device[11] << 8,
                     p->dev->configuration ? "" : ", not configured", p->dev->suspended ? ", suspended" : "");
}
