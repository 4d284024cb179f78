/*
 * usb.h - USB devices, the ports they are in and the packets they get (Universal Serial Bus 2.0, chapters
 * 8, 9 and 11).
 *
 * A controller or hub owns ports; a device sits in one. Packets are answered at once: a device that has
 * nothing yet says NAK, and usb_ready() when that has changed, so that controllers that keep their own
 * lists need not poll. Nothing is ever under way between two packets but what a device's state table holds.
 * Data toggles are not modelled: no packet is ever lost between host and device.
 */
#ifndef HW_USB_USB_H
#define HW_USB_USB_H

#include "hw/plug.h"

struct usb_bus;
struct usb_dev;

enum usb_speed { USB_LOW, USB_FULL, USB_HIGH, USB_SUPER };
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
};
enum { USB_DT_DEVICE = 1, USB_DT_CONFIG = 2, USB_DT_STRING = 3, USB_DT_HID = 0x21, USB_DT_REPORT = 0x22,
       USB_DT_HUB = 0x29 };
enum { USB_FEATURE_HALT = 0, USB_FEATURE_WAKEUP = 1 };

/* What a kind of device is. */
struct usb_type {
    enum usb_speed speed;
    const uint8_t *device, *config;     /* descriptors; the device has one configuration */
    uint16_t config_len;
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
    uint8_t addr, new_addr, configuration, wakeup, suspended;
    uint8_t control;            /* enum of usb.c: stage of the control transfer */
    uint16_t halted[2];         /* OUT and IN endpoints, a bit each */
    uint8_t setup[8];
    uint16_t off, len;
    uint8_t data[USB_CONTROL_MAX];
};
#define USB_DEV_FIELDS(type, member)                                                                         \
    FIELD(type, member.addr), FIELD(type, member.new_addr), FIELD(type, member.configuration),               \
    FIELD(type, member.wakeup), FIELD(type, member.suspended), FIELD(type, member.control),                  \
    FIELD_ARRAY(type, member.halted), FIELD_ARRAY(type, member.setup), FIELD(type, member.off),              \
    FIELD(type, member.len), FIELD_ARRAY(type, member.data)

/* Who owns a port: told with the port's number. */
struct usb_hub_ops {
    void (*changed)(void *hub, unsigned n);     /* a device came (port->dev) or went */
    void (*wake)(void *hub, unsigned n);        /* a suspended device signals resume */
};
struct usb_port {
    struct usb_bus *bus;
    struct usb_dev *dev;
    struct usb_port *up;        /* the one its hub is in; NULL: it is the controller's */
    bool enabled;               /* packets pass; set by its owner */
    const struct usb_hub_ops *ops;
    void *hub;
    unsigned n;                 /* from 0 */
    char path[USB_PATH_MAX];
    struct usb_port *next;      /* of all of the bus */
};

struct usb_bus {
    char name[48];              /* for bus= */
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
/* Takes the port's ops, hub and n as they are set. up: where its hub is. */
void usb_port_add(struct usb_bus *, struct usb_port *, struct usb_port *up);
/* Its devices, for monitors. */
void usb_info(const struct usb_bus *, struct text *);
/* The device with that address, through enabled ports; NULL: none. */
struct usb_dev *usb_find(struct usb_bus *, unsigned addr);
void usb_bus_reset(struct usb_dev *);           /* reset signalled to it; dev NULL: nothing */
void usb_suspend(struct usb_dev *, bool);
/* One transaction. Up to `len` bytes from or into buf. */
int usb_packet(struct usb_dev *, enum usb_pid, unsigned ep, uint8_t *buf, unsigned len);

/* ---- for devices ---- */

struct usb_props {
    struct plug_common common;
    const char *port, *serial;
};
extern const struct prop usb_props[];

/* Put it into the port that `props` names, or the first that is free. Dies if there is none. */
void usb_attach(struct usb_bus *, struct usb_dev *, const struct usb_type *, const struct usb_props *props);
void usb_dev_reset(struct usb_dev *);           /* power-on */
void usb_ready(struct usb_dev *, unsigned ep);  /* and wake the host, if that is allowed */
/* USB_DEV_FIELDS were loaded: what a stream may have made of them. */
void usb_dev_loaded(struct usb_dev *);

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
