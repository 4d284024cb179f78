/*
 * usb.h - USB devices, the ports they are in and the packets they get (Universal Serial Bus 2.0, chapters
 * 8, 9 and 11).
 *
 * A controller or hub owns ports; a device sits in one. Packets are answered at once: a device that has
 * nothing yet says NAK, and usb_ready() when that has changed, so that controllers that keep their own
 * lists need not poll. Nothing is ever under way between two packets but what a device's state table holds.
 * Data toggles are not modelled: no packet is ever lost between host and device.
 *
 * A device works at the highest speed that it and its port have; that is settled by each reset. A port of
 * a controller for high speed may be served by a companion, which then sees the device come.
 */
#ifndef HW_USB_USB_H
#define HW_USB_USB_H

#include "hw/plug.h"

struct usb_bus;
struct usb_dev;

enum usb_speed { USB_LOW, USB_FULL, USB_HIGH, USB_SUPER, USB_SPEEDS };
#define USB_SPEED(speed) (1u << (speed))        /* in masks */
enum usb_pid { USB_SETUP = 0x2d, USB_IN = 0x69, USB_OUT = 0xe1 };
enum usb_answer { USB_NAK = -1, USB_STALL = -2, USB_TIMEOUT = -3, USB_BABBLE = -4 };

#define USB_CONTROL_MAX 1024    /* data of one control transfer */
#define USB_DIR_IN 0x80u
#define USB_PATH_MAX 32         /* "1.2.3": ports from the controller's on */

struct usb_setup {
    uint8_t type, request;
    uint16_t value, index, length;
};

/* type << 8 | request, as USB 2.0, table 9-3, and the classes number them */
enum usb_request {
    USB_GET_DEVICE_STATUS = 0x8000, USB_GET_INTERFACE_STATUS = 0x8100, USB_GET_ENDPOINT_STATUS = 0x8200,
    USB_CLEAR_DEVICE_FEATURE = 0x0001, USB_CLEAR_ENDPOINT_FEATURE = 0x0201,
    USB_SET_DEVICE_FEATURE = 0x0003, USB_SET_ENDPOINT_FEATURE = 0x0203, USB_SET_ADDRESS = 0x0005,
    USB_GET_DESCRIPTOR = 0x8006, USB_GET_INTERFACE_DESCRIPTOR = 0x8106, USB_GET_CONFIGURATION = 0x8008,
    USB_SET_CONFIGURATION = 0x0009, USB_GET_INTERFACE = 0x810a, USB_SET_INTERFACE = 0x010b,
    USB_CLEAR_INTERFACE_FEATURE = 0x0101, USB_SET_INTERFACE_FEATURE = 0x0103,
    USB_SET_SEL = 0x0030, USB_SET_ISOCH_DELAY = 0x0031,         /* USB 3.0, 9.4 */
};
enum { USB_DT_DEVICE = 1, USB_DT_CONFIG = 2, USB_DT_STRING = 3, USB_DT_QUALIFIER = 6, USB_DT_OTHER_SPEED = 7,
       USB_DT_BOS = 15, USB_DT_HID = 0x21, USB_DT_REPORT = 0x22, USB_DT_HUB = 0x29 };
enum { USB_FEATURE_HALT = 0, USB_FEATURE_WAKEUP = 1, USB_FEATURE_TEST = 2, USB_FEATURE_U1 = 48,
       USB_FEATURE_U2 = 49 };

/* Descriptors of a device at one speed; it has one configuration. device NULL: it does not have that speed. */
struct usb_desc {
    const uint8_t *device, *config;
    uint16_t config_len;
};

/* What a kind of device is. */
struct usb_type {
    struct usb_desc at[USB_SPEEDS];     /* full speed is always there */
    const uint8_t *bos;                 /* of super-speed devices, its length in bytes 2 and 3; NULL: none */
    const char *const *strings;         /* from index 1 on; NULL ends */
    /* A request that usb.c does not know. Data to the host: into buf (USB_CONTROL_MAX), returns its length; data
       from the host are there. USB_STALL: refused. */
    int (*control)(struct usb_dev *, const struct usb_setup *, uint8_t *buf);
    /* To an endpoint other than 0 of the configured device; not halted. Returns bytes, or an answer. */
    int (*packet)(struct usb_dev *, enum usb_pid, unsigned ep, uint8_t *buf, unsigned len);
    void (*reset)(struct usb_dev *);    /* bus reset, configuration chosen: its own state */
};

/* First member of each device's struct; in its state table by USB_DEV_FIELDS. */
struct usb_dev {
    const struct usb_type *type;
    struct usb_port *port;
    char serial[32];
    uint8_t speed;              /* enum usb_speed */
    uint8_t addr, new_addr, configuration, wakeup, suspended;
    uint8_t links;              /* U1 and U2 are enabled, as in the device's status: 4, 8 */
    uint8_t control;            /* enum of usb.c: stage of the control transfer */
    uint16_t halted[2];         /* OUT and IN endpoints, a bit each */
    uint8_t setup[8];
    uint16_t off, len;
    uint8_t data[USB_CONTROL_MAX];
};
#define USB_DEV_FIELDS(type, member)                                                                         \
    FIELD_MAX(type, member.speed, USB_SPEEDS - 1), FIELD(type, member.links),                                \
    FIELD(type, member.addr), FIELD(type, member.new_addr), FIELD(type, member.configuration),               \
    FIELD(type, member.wakeup), FIELD(type, member.suspended), FIELD(type, member.control),                  \
    FIELD_ARRAY(type, member.halted), FIELD_ARRAY(type, member.setup), FIELD(type, member.off),              \
    FIELD_MAX(type, member.len, USB_CONTROL_MAX), FIELD_ARRAY(type, member.data)

/* Who owns a port: told with the port's number. */
struct usb_hub_ops {
    void (*changed)(void *hub, unsigned n);     /* a device came (port->dev) or went */
    void (*wake)(void *hub, unsigned n);        /* a suspended device signals resume */
    void (*joined)(void *hub, unsigned n);      /* the port has a companion now; NULL: it cannot have one */
};
struct usb_host {
    struct usb_bus *bus;
    const struct usb_hub_ops *ops;
    void *hub;
    unsigned n;                 /* from 0 */
    uint8_t speeds;             /* mask; ports of hubs: by the hub's speed */
};
struct usb_port {
    struct usb_host own, companion;     /* companion.bus NULL: there is none */
    const struct usb_host *host;        /* the one of them that serves it */
    struct usb_dev *dev;
    const struct usb_dev *of;   /* its hub; NULL: it is the controller's */
    bool enabled;               /* packets pass; set by its host */
    char path[USB_PATH_MAX];
    struct usb_port *next;      /* of all of the bus */
};

struct usb_bus {
    char name[48];              /* for bus= */
    struct usb_bus *master;     /* the ports are that one's, and this controller a companion; NULL: its own */
    const struct pci_dev *pci;  /* the controller's */
    struct chip_list *chips;
    struct clock *clock;
    struct usb_port *ports;
    /* An endpoint that said NAK may say something else now; ep with USB_DIR_IN. */
    void (*ready)(void *controller, struct usb_dev *, unsigned ep);
    void *controller;
};

/* ---- for controllers and hubs ---- */

/* Name it, for the controller `c`, and offer it to devices. */
void usb_bus_init(struct usb_bus *, struct plug_env *, const struct plug_common *c);
/* Without devices of its own: ports of `master`, a bus's name, will be added to it. Dies if there is none. */
void usb_companion_init(struct usb_bus *, struct plug_env *, const struct plug_common *c, const char *master);
/* The port's `own` is set but for its bus. of: its hub. */
void usb_port_add(struct usb_bus *, struct usb_port *, const struct usb_dev *of);
/* Offers to serve port n of the master; NULL: there is none, or it has a companion. */
struct usb_port *usb_port_join(unsigned n, const struct usb_host *);
/* Who serves it from now on: its own controller, or the companion, if there is one. */
void usb_port_route(struct usb_port *, bool companion);
/* The same when state was loaded, of which both know already. */
void usb_port_restore(struct usb_port *, bool companion);
/* Its devices, for monitors. */
void usb_info(const struct usb_bus *, struct text *);
/* The device with that address, through enabled ports; NULL: none. */
struct usb_dev *usb_find(const struct usb_bus *, unsigned addr);
/* The hub that translates the transactions of a device of low or full speed, *port (from 1) its port there; NULL:
   it is on a bus of such speed. */
const struct usb_dev *usb_translator(const struct usb_dev *, unsigned *port);
void usb_bus_reset(struct usb_dev *);           /* reset signalled to it; dev NULL: nothing */
void usb_suspend(struct usb_dev *, bool);
/* One transaction. Up to `len` bytes from or into buf. */
int usb_packet(struct usb_dev *, enum usb_pid, unsigned ep, uint8_t *buf, unsigned len);

/* ---- for devices ---- */

struct usb_props {
    struct plug_common common;
    const char *port, *serial;
};
/* Of a struct that begins with struct usb_props. */
#define USB_PROPS                                                                                            \
    { "port", PROP_STRING, offsetof(struct usb_props, port), 0, 0,                                           \
      "port of the bus, 1 or (behind a hub) 1.2" },                                                          \
    { "serial", PROP_STRING, offsetof(struct usb_props, serial), 0, 0, "serial number" }

/* Put it into the port that `props` names, or the first that is free. Dies if there is none. */
void usb_attach(struct usb_bus *, struct usb_dev *, const struct usb_type *, const struct usb_props *props);
void usb_dev_reset(struct usb_dev *);           /* power-on */
/* How firmware names a disk: "/pci@i0cf8/usb@4/hub@2/storage@1/channel@0/disk@0,0". */
void usb_boot_path(const struct usb_dev *, char *buf, size_t len);
void usb_ready(struct usb_dev *, unsigned ep);  /* and wake the host, if that is allowed */
void usb_halt(struct usb_dev *, unsigned ep);   /* stalls until the host clears that; ep with USB_DIR_IN */
/* A chip's check(): what is wrong between USB_DEV_FIELDS of `dev`, which begins with struct usb_dev; NULL: nothing. */
const char *usb_dev_check(const void *dev);

static inline uint16_t usb_le16(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}
static inline uint32_t usb_le32(const uint8_t *p)
{
    return usb_le16(p) | (uint32_t)usb_le16(p + 2) << 16;
}
static inline void usb_put32(uint8_t *p, uint32_t v)
{
    for (unsigned i = 0; i < 4; i++)
        p[i] = v >> 8 * i;
}

#endif
