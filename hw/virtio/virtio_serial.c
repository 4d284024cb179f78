/*
 * virtio_serial.c - consoles and byte streams by name (virtio 1.2, 5.3): virtio-serial-pci is the bus,
 * virtconsole and virtserialport are its ports, each a stream from or to the host.
 *
 * What comes from the host waits in a small buffer of the port until the guest has opened it and gives room;
 * what the guest writes stays in its ring until the host takes it, of a chain taken in part `sent` says how
 * much. What is to be told by the control queue is remembered as bits for each port, so that it needs no
 * buffer of its own.
 */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "hw/chardev_if.h"
#include "hw/virtio/virtio.h"

#define F_MULTIPORT   (1ull << 1)
#define F_EMERG_WRITE (1ull << 2)
enum { CFG_MAX_PORTS = 4, CFG_EMERG = 8, CFG_LEN = 12 };

#define PORTS      31u
#define QUEUE      128u
#define CONTROL_RX 2u
#define CONTROL_TX 3u
#define ROOM       4096u                /* bytes for the guest that a port holds */
#define PIECE      1024u
#define MESSAGE    8u                   /* of the control queue: port, event, value */
#define NAME_MAX_  64u

enum { READY = 0, ADD = 1, PORT_READY = 3, CONSOLE = 4, OPEN = 6, NAME = 7 };     /* events */

struct port {                           /* a chip of its own */
    struct virtio_serial *s;
    unsigned nr;
    bool console;
    const char *name;
    struct chardev *chr;
    uint8_t open;                       /* by the guest */
    uint8_t tell;                       /* 1 << event: to be told to the guest */
    uint32_t sent;                      /* of the chain at the front of its transmit queue */
    uint16_t len;
    uint8_t buf[ROOM];                  /* for the guest */
};

struct virtio_serial {
    struct virtio_dev *v;
    struct port *port[PORTS];
    unsigned max;
    char bus_name[64];
};

static struct virtq *rx_of(const struct port *p)
{
    return p->s->v->queue[p->nr ? 2 * p->nr + 2 : 0];
}

static struct virtq *tx_of(const struct port *p)
{
    return p->s->v->queue[p->nr ? 2 * p->nr + 3 : 1];
}

/* ---- control messages ---- */

static uint32_t put_message(const struct port *p, unsigned event, const struct virtq_chain *c)
{
    uint8_t m[MESSAGE + NAME_MAX_];
    uint32_t len = MESSAGE;

    le_put(m, 4, p->nr);
    le_put(m + 4, 2, event);
    le_put(m + 6, 2, 1);
    if (event == NAME) {
        memcpy(m + MESSAGE, p->name, strlen(p->name));
        len += (uint32_t)strlen(p->name);
    }
    log_dev(VIRTIO, "virtio-serial: tells event %u of port %u", event, p->nr);
    return chain_put(c, 0, m, len);
}

static void tell(struct virtio_serial *s)
{
    struct virtq *q = s->v->queue[CONTROL_RX];

    for (unsigned i = 0; i < s->max; i++) {
        struct port *p = s->port[i];

        for (unsigned event = 0; p && p->tell; event++) {
            struct virtq_chain *c = p->tell >> event & 1 ? virtq_pop(q) : NULL;

            if (!(p->tell >> event & 1))
                continue;
            if (!c) {
                virtq_notify(q);
                return;
            }
            p->tell &= (uint8_t)~(1u << event);
            virtq_push(c, put_message(p, event, c));
        }
    }
    virtq_notify(q);
}

static void flush(struct port *p);

static void hear(struct virtio_serial *s, const uint8_t *m)
{
    unsigned id = (unsigned)le_get(m, 4), event = (unsigned)le_get(m + 4, 2),
        value = (unsigned)le_get(m + 6, 2);
    struct port *p = id < s->max ? s->port[id] : NULL;

    log_dev(VIRTIO, "virtio-serial: hears event %u, %u, of port %u", event, value, id);
    if (event == READY) {
        for (unsigned i = 0; value && i < s->max; i++)
            if (s->port[i])
                s->port[i]->tell |= 1u << ADD;
    } else if (!p) {
        log_msg(LOG_GUEST, "virtio-serial: event %u of port %u, which is not there", event, id);
    } else if (event == PORT_READY) {
        if (value)
            p->tell |= (p->console ? 1u << CONSOLE : 0) | (p->name ? 1u << NAME : 0) |
                (p->chr ? 1u << OPEN : 0);
    } else if (event == OPEN) {
        p->open = value != 0;
        flush(p);
    } else {
        log_msg(LOG_UNIMP, "virtio-serial: event %u of port %u", event, id);
    }
}

static void control(struct virtio_serial *s)
{
    struct virtq *q = s->v->queue[CONTROL_TX];
    struct virtq_chain *c;
    uint8_t m[MESSAGE];

    while ((c = virtq_pop(q))) {
        if (chain_get(c, 0, m, MESSAGE) == MESSAGE)
            hear(s, m);
        else
            log_msg(LOG_GUEST, "virtio-serial: a control message of %u bytes", c->out_len);
        virtq_push(c, 0);
    }
    virtq_notify(q);
    tell(s);
}

/* ---- from the host ---- */

static bool listens(const struct port *p)
{
    return p->open || !virtio_has(p->s->v, F_MULTIPORT);
}

static void flush(struct port *p)
{
    struct virtq *q = rx_of(p);
    struct virtq_chain *c;
    unsigned before = p->len;

    while (p->len && listens(p) && (c = virtq_pop(q))) {
        uint32_t n = chain_put(c, 0, p->buf, p->len);

        virtq_push(c, n);
        p->len -= n;
        memmove(p->buf, p->buf + n, p->len);
    }
    virtq_notify(q);
    if (p->len < before)
        chardev_accept(p->chr);
}

static unsigned room(void *dev)
{
    const struct port *p = dev;

    return ROOM - p->len;
}

static void receive(void *dev, const uint8_t *buf, unsigned n)
{
    struct port *p = dev;

    memcpy(p->buf + p->len, buf, n);
    p->len += n;
    flush(p);
}

/* ---- to the host ---- */

/* False: the host takes no more just now. */
static bool send(struct port *p, const struct virtq_chain *c)
{
    uint8_t buf[PIECE];

    while (p->sent < c->out_len) {
        uint32_t n = chain_get(c, p->sent, buf, sizeof(buf)), taken = chardev_write(p->chr, buf, n);

        p->sent += taken;
        if (taken < n)
            return false;
    }
    return true;
}

static void transmit(struct port *p)
{
    struct virtq *q = tx_of(p);
    struct virtq_chain *c;

    while ((c = virtq_pop(q))) {
        if (!send(p, c)) {
            virtq_unpop(c);
            break;
        }
        p->sent = 0;
        virtq_push(c, 0);
    }
    virtq_notify(q);
}

static void writable(void *dev)
{
    transmit(dev);
}

static const struct chardev_user port_user = { room, receive, NULL, writable };

/* ---- the bus ---- */

static void kick(void *dev, unsigned queue)
{
    struct virtio_serial *s = dev;
    unsigned nr = queue < 2 ? 0 : queue / 2 - 1;
    struct port *p = nr < s->max ? s->port[nr] : NULL;
    struct virtq_chain *c;

    if (queue == CONTROL_RX) {
        tell(s);
    } else if (queue == CONTROL_TX) {
        control(s);
    } else if (p && !(queue & 1)) {
        flush(p);
    } else if (p) {
        transmit(p);
    } else if (queue & 1) {             /* nobody is there: gone */
        while ((c = virtq_pop(s->v->queue[queue])))
            virtq_push(c, 0);
        virtq_notify(s->v->queue[queue]);
    }
}

static void reset(void *dev)
{
    struct virtio_serial *s = dev;

    for (unsigned i = 0; i < s->max; i++) {
        if (!s->port[i])
            continue;
        s->port[i]->open = s->port[i]->tell = 0;
        s->port[i]->sent = 0;
    }
}

/* A character without rings, for a guest in trouble. */
static void config_written(void *dev, unsigned off, unsigned len)
{
    struct virtio_serial *s = dev;
    uint8_t byte = s->v->config[CFG_EMERG];

    if (off == CFG_EMERG && s->port[0])
        chardev_write(s->port[0]->chr, &byte, 1);
}

static const struct virtio_type type = {
    .name = "virtio-serial", .id = VIRTIO_CONSOLE, .legacy_id = 0x1003, .class = 0x078000,
    .config_len = CFG_LEN, .kick = kick, .reset = reset, .config_written = config_written
};

static const struct field serial_state[] = { FIELD_END };
static const struct chip serial_chip = { "virtio-serial", sizeof(struct virtio_serial), NULL, serial_state,
                                         NULL };

struct props {
    struct virtio_props virtio;
    uint64_t max;
};

static void make(struct plug_env *env, void *bus, const void *props)
{
    const struct props *p = props;
    const struct plug_common *common = &p->virtio.common;
    struct virtio_serial *s = chip_new(env->m->chips, &serial_chip, common->name);

    s->max = (unsigned)p->max;
    s->v = virtio_new(env, &p->virtio, &type, s, 2 * (s->max + 1), QUEUE, F_MULTIPORT | F_EMERG_WRITE);
    virtio_config_set(s->v, CFG_MAX_PORTS, 4, s->max);
    virtio_config_writable(s->v, CFG_EMERG, 4);
    snprintf(s->bus_name, sizeof(s->bus_name), "%s.0", common->id ? common->id : common->name);
    plug_bus_add(env, "virtio-serial-bus", s->bus_name, s);
}

static const struct prop props_table[] = {
    { "max_ports", PROP_NUMBER, offsetof(struct props, max), 1, PORTS, "ports it may have" }, VIRTIO_PROPS,
    PROP_END
};

/* Two vectors: drivers that find one for each of so many queues would take them all. */
static const struct props defaults = {
    .virtio = { .indirect = true, .event_idx = true, .vectors = 2 }, .max = PORTS
};

const struct plug virtio_serial_plug = {
    "virtio-serial-pci", "bus for virtconsole and virtserialport (virtio)", "PCI", sizeof(struct props),
    &defaults, props_table, make
};

/* ---- ports ---- */

static const struct field port_state[] = {
    FIELD(struct port, open), FIELD(struct port, tell), FIELD(struct port, sent), FIELD_MAX(struct port, len, ROOM),
    FIELD_ARRAY(struct port, buf), FIELD_END
};

static void port_loaded(void *dev)
{
    struct port *p = dev;

    chardev_accept(p->chr);
}

static const struct chip port_chip = { "virtio-serial-port", sizeof(struct port), NULL, port_state,
                                       port_loaded };

struct port_props {
    struct plug_common common;
    struct chardev_slot *chardev;
    const char *name;
    uint64_t nr;
};
#define AUTO UINT64_MAX

static void make_port(struct plug_env *env, struct virtio_serial *s, const struct port_props *o, bool console)
{
    struct port *p = chip_new(env->m->chips, &port_chip, o->common.name);
    unsigned nr = (unsigned)o->nr;

    /* Port 0 is what old drivers take for the console. */
    if (o->nr == AUTO)
        for (nr = !console; nr < s->max && s->port[nr];)
            nr++;
    if (nr >= s->max || s->port[nr] || (nr == 0 && !console))
        die(EXIT_CODE_USAGE,
            "-device %s: nr=%u: ports are numbered from 0 (a virtconsole only) to %u, each once",
            o->common.name, nr, s->max - 1);
    if (o->chardev && !chardev_take(o->chardev))
        die(EXIT_CODE_USAGE, "-device %s: chardev=%s: another device has it", o->common.name, o->chardev->id);
    if (o->name && strlen(o->name) > NAME_MAX_)
        die(EXIT_CODE_USAGE, "-device %s: name=%s: at most %u characters", o->common.name, o->name,
            NAME_MAX_);
    p->s = s;
    p->nr = nr;
    p->console = console;
    p->name = o->name;
    p->chr = o->chardev ? o->chardev->chr : NULL;
    s->port[nr] = p;
    chardev_connect(p->chr, &port_user, p);
}

static void make_console(struct plug_env *env, void *bus, const void *props)
{
    make_port(env, bus, props, true);
}

static void make_serialport(struct plug_env *env, void *bus, const void *props)
{
    make_port(env, bus, props, false);
}

static const struct prop port_props[] = {
    { "chardev", PROP_CHARDEV, offsetof(struct port_props, chardev), 0, 0, "the host's end" },
    { "name", PROP_STRING, offsetof(struct port_props, name), 0, 0, "by which the guest finds it" },
    { "nr", PROP_NUMBER, offsetof(struct port_props, nr), 0, PORTS - 1,
      "its number (default: the first free)" },
    PROP_END
};
static const struct port_props port_defaults = { .nr = AUTO };

const struct plug virtconsole_plug = {
    "virtconsole", "console", "virtio-serial-bus", sizeof(struct port_props), &port_defaults, port_props,
    make_console
};
const struct plug virtserialport_plug = {
    "virtserialport", "byte stream with a name", "virtio-serial-bus", sizeof(struct port_props),
    &port_defaults, port_props, make_serialport
};
