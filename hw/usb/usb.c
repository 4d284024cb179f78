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
#include "base/trace.h"
#include "hw/pci.h"

enum { CONTROL_IDLE, CONTROL_IN, CONTROL_OUT, CONTROL_STATUS_IN, CONTROL_STALLED };

#define HUB_SPEEDS (USB_SPEED(USB_LOW) | USB_SPEED(USB_FULL))
#define LINK_STATES 0x0cu       /* U1 and U2 in a device's status */

/* ---- buses and ports ---- */

static void set_up(struct usb_bus *bus, struct plug_env *env, const struct plug_common *c)
{
    bus->chips = env->m->chips;
    bus->clock = env->m->clock;
    bus->pci = pci_function(env->pci, (unsigned)c->slot, (unsigned)c->fn);
}

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
    set_up(bus, env, c);
    plug_bus_add(env, "USB", bus->name, bus);
}

void usb_companion_init(struct usb_bus *bus, struct plug_env *env, const struct plug_common *c,
                        const char *master)
{
    bus->master = plug_bus_find(env, master);
    if (!bus->master || strcmp(bus->master->name, master))
        die(EXIT_CODE_USAGE, "-device %s: masterbus=%s: no USB bus before it has that name", c->name, master);
    snprintf(bus->name, sizeof(bus->name), "%s", master);
    set_up(bus, env, c);
}

void usb_port_add(struct usb_bus *bus, struct usb_port *p, const struct usb_dev *of)
{
    struct usb_port **last = &bus->ports;
    int n;

    p->own.bus = bus;
    p->host = &p->own;
    p->of = of;
    p->next = NULL;
    n = snprintf(p->path, sizeof(p->path), "%s%s%u", of ? of->port->path : "", of ? "." : "", p->own.n + 1);
    if (n < 0 || (size_t)n >= sizeof(p->path))
        die(EXIT_CODE_USAGE, "%s: too many hubs behind each other", bus->name);
    while (*last)
        last = &(*last)->next;
    *last = p;
}

struct usb_port *usb_port_join(unsigned n, const struct usb_host *host)
{
    struct usb_port *p = host->bus->master->ports;

    while (p && (p->of || p->own.n != n))
        p = p->next;
    if (!p || p->companion.bus || !p->own.ops->joined)
        return NULL;
    p->companion = *host;
    p->own.ops->joined(p->own.hub, n);
    return p;
}

static const struct usb_port *root_of(const struct usb_port *p)
{
    while (p->of)
        p = p->of->port;
    return p;
}

/* Its host's packets reach the device. */
static bool reached(const struct usb_port *p)
{
    for (;; p = p->of->port) {
        if (!p->enabled || !p->dev || p->dev->suspended)
            return false;
        if (!p->of)
            return true;
    }
}

struct usb_dev *usb_find(const struct usb_bus *bus, unsigned addr)
{
    const struct usb_port *all = (bus->master ? bus->master : bus)->ports;

    for (const struct usb_port *p = all; p; p = p->next)
        if (p->dev && p->dev->addr == addr && reached(p) && root_of(p)->host->bus == bus)
            return p->dev;
    return NULL;
}

const struct usb_dev *usb_translator(const struct usb_dev *d, unsigned *port)
{
    const struct usb_port *p = d->port;

    while (p->of && p->of->speed != USB_HIGH)
        p = p->of->port;
    *port = p->own.n + 1;
    return p->of;
}

static unsigned speeds_of(const struct usb_type *t)
{
    unsigned mask = 0;

    for (unsigned i = 0; i < USB_SPEEDS; i++)
        mask |= t->at[i].device ? USB_SPEED(i) : 0;
    return mask;
}

static unsigned port_speeds(const struct usb_port *p)
{
    return !p->of ? p->host->speeds : HUB_SPEEDS | (p->of->speed == USB_HIGH ? USB_SPEED(USB_HIGH) : 0);
}

static void settle(struct usb_port *p)
{
    unsigned mask = speeds_of(p->dev->type), common = mask & port_speeds(p);

    /* Where a port has none of its speeds, the device shows itself at its lowest. */
    p->dev->speed = 0;
    for (unsigned i = 0; i < USB_SPEEDS; i++)
        if (common ? common & USB_SPEED(i) : mask & USB_SPEED(i) && !(mask & (USB_SPEED(i) - 1)))
            p->dev->speed = i;
}

static const struct usb_host *host_of(const struct usb_port *p, bool companion)
{
    return companion && p->companion.bus ? &p->companion : &p->own;
}

void usb_port_restore(struct usb_port *p, bool companion)
{
    p->host = host_of(p, companion);
}

void usb_port_route(struct usb_port *p, bool companion)
{
    const struct usb_host *was = p->host, *now = host_of(p, companion);
    struct usb_dev *d = p->dev;

    if (now == was)
        return;
    p->enabled = false;
    if (d) {
        p->dev = NULL;
        was->ops->changed(was->hub, was->n);
    }
    p->host = now;
    if (d) {
        p->dev = d;
        settle(p);
        now->ops->changed(now->hub, now->n);
    }
}

void usb_attach(struct usb_bus *bus, struct usb_dev *d, const struct usb_type *type,
                const struct usb_props *props)
{
    struct usb_port *p = bus->ports;
    unsigned mask = speeds_of(type);

    while (p && (props->port ? strcmp(p->path, props->port) != 0 :
                 p->dev || !(mask & (port_speeds(p) | p->companion.speeds))))
        p = p->next;
    if (!p && props->port)
        die(EXIT_CODE_USAGE, "-device %s: %s has no port %s", props->common.name, bus->name, props->port);
    if (!p)
        die(EXIT_CODE_USAGE, "-device %s: all ports of %s that have its speed are taken: add a usb-hub before "
            "it, or a companion (ich9-usb-uhci1,masterbus=%s)", props->common.name, bus->name, bus->name);
    if (p->dev)
        die(EXIT_CODE_USAGE, "-device %s: port %s of %s is taken", props->common.name, p->path, bus->name);
    if (!(mask & (port_speeds(p) | p->companion.speeds)))
        die(EXIT_CODE_USAGE, "-device %s: port %s of %s has another speed", props->common.name, p->path,
            bus->name);
    d->type = type;
    d->port = p;
    if (props->serial)
        snprintf(d->serial, sizeof(d->serial), "%s", props->serial);
    else
        snprintf(d->serial, sizeof(d->serial), "%s", p->path);
    p->dev = d;
    settle(p);
    p->host->ops->changed(p->host->hub, p->host->n);
}

static void append_hubs(const struct usb_port *p, char *buf, size_t len)
{
    size_t n;

    if (!p->of)
        return;
    append_hubs(p->of->port, buf, len);
    n = strlen(buf);
    snprintf(buf + n, len - n, "/hub@%x", p->of->port->own.n + 1);
}

void usb_boot_path(const struct usb_dev *d, char *buf, size_t len)
{
    size_t n;

    pci_path(d->port->own.bus->pci, "usb", buf, len);
    append_hubs(d->port, buf, len);
    n = strlen(buf);
    snprintf(buf + n, len - n, "/storage@%x/channel@0/disk@0,0", d->port->own.n + 1);
}

/* ---- state ---- */

void usb_bus_reset(struct usb_dev *d)
{
    if (!d)
        return;
    settle(d->port);
    d->addr = d->new_addr = d->configuration = d->wakeup = d->suspended = d->links = 0;
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

const char *usb_dev_check(const void *dev)
{
    const struct usb_dev *d = dev;

    if (!d->type->at[d->speed].device)
        return "speed is none that it has";
    return d->off > d->len ? "off is behind len" : NULL;
}

void usb_suspend(struct usb_dev *d, bool on)
{
    if (d)
        d->suspended = on;
}

void usb_ready(struct usb_dev *d, unsigned ep)
{
    const struct usb_host *h = d->port->host;
    struct usb_bus *bus = root_of(d->port)->host->bus;

    if (d->suspended && d->wakeup)
        h->ops->wake(h->hub, h->n);
    if (bus->ready)
        bus->ready(bus->controller, d, ep);
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

static const struct usb_desc *desc(const struct usb_dev *d)
{
    return &d->type->at[d->speed];
}

/* What a device that has both full and high speed would be at the other one; NULL: it has not. */
static const struct usb_desc *other_speed(const struct usb_dev *d)
{
    const struct usb_desc *other = &d->type->at[d->speed == USB_HIGH ? USB_FULL : USB_HIGH];

    return (d->speed == USB_HIGH || d->speed == USB_FULL) && other->device ? other : NULL;
}

static int get_descriptor(const struct usb_dev *d, const struct usb_setup *s, uint8_t *buf)
{
    const struct usb_desc *t = desc(d), *other = other_speed(d);

    switch (s->value >> 8) {
    case USB_DT_DEVICE:
        memcpy(buf, t->device, t->device[0]);
        return t->device[0];
    case USB_DT_QUALIFIER:
        if (!other)
            return USB_STALL;
        memcpy(buf, other->device, 8);
        buf[0] = 10;
        buf[1] = USB_DT_QUALIFIER;
        buf[8] = other->device[17];
        buf[9] = 0;
        return 10;
    case USB_DT_OTHER_SPEED:
        t = other;
        /* fall through */
    case USB_DT_CONFIG:
        if (!t || s->value & 0xff)
            return USB_STALL;
        memcpy(buf, t->config, t->config_len);
        buf[1] = s->value >> 8;
        return t->config_len;
    case USB_DT_STRING:
        return get_string(d, s->value & 0xff, buf);
    case USB_DT_BOS:
        if (!d->type->bos || d->speed < USB_HIGH)
            return USB_STALL;
        memcpy(buf, d->type->bos, usb_le16(d->type->bos + 2));
        return usb_le16(d->type->bos + 2);
    }
    return USB_STALL;
}

static uint16_t *halt_of(struct usb_dev *d, unsigned ep)
{
    return &d->halted[ep >> 7 & 1];
}

void usb_halt(struct usb_dev *d, unsigned ep)
{
    *halt_of(d, ep) |= 1u << (ep & 15);
}

/* Features of the device; SET_FEATURE or CLEAR_FEATURE. */
static int device_feature(struct usb_dev *d, const struct usb_setup *s, bool on)
{
    uint8_t bit;

    switch (s->value) {
    case USB_FEATURE_WAKEUP:
        if (!(desc(d)->config[7] & 0x20))
            return USB_STALL;
        d->wakeup = on;
        return 0;
    case USB_FEATURE_U1:
    case USB_FEATURE_U2:
        if (d->speed != USB_SUPER || !d->configuration)
            return USB_STALL;
        bit = s->value == USB_FEATURE_U1 ? 4 : 8;
        d->links = on ? d->links | bit : d->links & ~bit;
        return 0;
    case USB_FEATURE_TEST:
        log_msg(LOG_UNIMP, "usb: test modes");
        return USB_STALL;
    }
    return USB_STALL;
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
    const uint8_t *config = desc(d)->config;
    unsigned interfaces = config[4];

    switch (s->type << 8 | s->request) {
    case USB_GET_DEVICE_STATUS:
        buf[0] = (config[7] >> 6 & 1) | d->wakeup << 1 | (d->links & LINK_STATES);
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
        return device_feature(d, s, false);
    case USB_SET_DEVICE_FEATURE:
        return device_feature(d, s, true);
    case USB_CLEAR_INTERFACE_FEATURE:   /* USB 3.0: function suspend, which changes nothing here */
    case USB_SET_INTERFACE_FEATURE:
        return d->speed == USB_SUPER && (s->index & 0xff) < interfaces && s->value == 0 ? 0 : USB_STALL;
    case USB_SET_SEL:
        return d->speed == USB_SUPER && s->length == 6 ? 0 : USB_STALL;
    case USB_SET_ISOCH_DELAY:
        return d->speed == USB_SUPER ? 0 : USB_STALL;
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
        if (s->value && s->value != config[5])
            return USB_STALL;
        d->configuration = s->value;
        d->halted[0] = d->halted[1] = 0;
        d->links = 0;
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
    unsigned max = d->speed == USB_SUPER ? 1u << desc(d)->device[7] : desc(d)->device[7];
    unsigned n = smaller(smaller(len, max), d->len - d->off);

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

static int packet(struct usb_dev *d, enum usb_pid pid, unsigned ep, uint8_t *buf, unsigned len)
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

int usb_packet(struct usb_dev *d, enum usb_pid pid, unsigned ep, uint8_t *buf, unsigned len)
{
    unsigned addr = d->addr;            /* the packet may change it */
    int n = packet(d, pid, ep, buf, len);

    trace_usb_packet(d->port->path, addr, pid, ep, len, n);
    return n;
}

/* ---- for monitors ---- */

void usb_info(const struct usb_bus *bus, struct text *t)
{
    static const char *const speeds[] = { "1.5", "12", "480", "5000" };

    for (const struct usb_port *p = bus->ports; p; p = p->next) {
        const struct usb_dev *d = p->dev;
        const uint8_t *desc = d ? d->type->at[d->speed].device : NULL;

        if (desc)
            text_say(t, "  bus %s, port %s, address %u, %s Mb/s, %04x:%04x%s%s\n", bus->name, p->path, d->addr,
                     speeds[d->speed], desc[8] | desc[9] << 8, desc[10] | desc[11] << 8,
                     d->configuration ? "" : ", not configured", d->suspended ? ", suspended" : "");
    }
}
