/*
 * hid.c - usb-kbd, usb-mouse, usb-tablet: HID devices with one interface and one interrupt endpoint (Device
 * Class Definition for HID 1.11), of full and high speed.
 *
 * What happens to the device waits in a queue until the host reads it, so that quick clicks and keys are
 * not lost; movements are put together while the host is slow. The tablet has no boot protocol; keyboard
 * and mouse have reports that begin as those of the boot protocol. Invariants: count <= QUEUE, first <
 * QUEUE; a keyboard's queue has a place kept for the release of each key that will be down at its end.
 */
#include "hw/usb/hid.h"

#include <string.h>

#include "base/log.h"
#include "hw/input_if.h"

#define QUEUE 240
#define REPORT_MAX 8
#define KEYS 6                          /* of a keyboard's report */
#define ROLLOVER 1                      /* usage: more keys are down */
#define MODIFIER 0xe0
#define USAGES 256

enum hid_request { HID_GET_REPORT = 0xa101, HID_GET_IDLE = 0xa102, HID_GET_PROTOCOL = 0xa103,
                   HID_SET_REPORT = 0x2109,
                   HID_SET_IDLE = 0x210a, HID_SET_PROTOCOL = 0x210b };
#define REPORT_INPUT 1
#define REPORT_OUTPUT 2

struct usb_hid {
    struct usb_dev usb;
    uint8_t kind;
    struct clock *clock;
    struct timer idle_timer;
    /* pointers: events; keyboards: dz is a usage and buttons says whether it goes down */
    int32_t x[QUEUE], y[QUEUE];
    int16_t dz[QUEUE];
    uint8_t buttons[QUEUE];
    uint8_t first, count;
    uint8_t down[USAGES / 8];           /* keys, as the host has read of them */
    int32_t now_x, now_y;               /* a tablet's position */
    uint8_t now_buttons;
    uint8_t changed;                    /* the report differs from what was read, or idle time is over */
    uint8_t protocol;                   /* 0: boot, 1: report */
    uint8_t idle;                       /* 4 ms; 0: only changes are told */
    uint8_t leds;
};

static const struct field hid_state[] = {
    USB_DEV_FIELDS(struct usb_hid, usb), FIELD_ARRAY(struct usb_hid, x), FIELD_ARRAY(struct usb_hid, y),
    FIELD_ARRAY(struct usb_hid, dz), FIELD_ARRAY(struct usb_hid, buttons), FIELD_MAX(struct usb_hid, first, QUEUE - 1),
    FIELD_MAX(struct usb_hid, count, QUEUE), FIELD_ARRAY(struct usb_hid, down), FIELD(struct usb_hid, now_x),
    FIELD(struct usb_hid, now_y), FIELD(struct usb_hid, now_buttons), FIELD(struct usb_hid, changed),
    FIELD(struct usb_hid, protocol), FIELD(struct usb_hid, idle), FIELD(struct usb_hid, leds),
    FIELD(struct usb_hid, idle_timer.due), FIELD_END
};

/* ---- descriptors ---- */

static const uint8_t keyboard_report[] = {
    0x05, 0x01, 0x09, 0x06, 0xa1, 0x01,         /* generic desktop, keyboard: application */
    0x05, 0x07, 0x19, 0xe0, 0x29, 0xe7, 0x15, 0x00, 0x25, 0x01, 0x75, 0x01, 0x95, 0x08, 0x81, 0x02, /* modifiers */
    0x95, 0x01, 0x75, 0x08, 0x81, 0x01,         /* a byte that is reserved */
    0x95, 0x05, 0x75, 0x01, 0x05, 0x08, 0x19, 0x01, 0x29, 0x05, 0x91, 0x02, /* LEDs: output */
    0x95, 0x01, 0x75, 0x03, 0x91, 0x01,
    0x95, 0x06, 0x75, 0x08, 0x15, 0x00, 0x26, 0xff, 0x00, 0x05, 0x07, 0x19, 0x00, 0x2a, 0xff, 0x00, 0x81,
    0x00,
    0xc0
};
static const uint8_t mouse_report[] = {
    0x05, 0x01, 0x09, 0x02, 0xa1, 0x01,         /* generic desktop, mouse: application */
    0x09, 0x01, 0xa1, 0x00,                     /* pointer: physical */
    0x05, 0x09, 0x19, 0x01, 0x29, 0x05, 0x15, 0x00, 0x25, 0x01, 0x95, 0x05, 0x75, 0x01, 0x81, 0x02, /* buttons */
    0x95, 0x01, 0x75, 0x03, 0x81, 0x01,
    0x05, 0x01, 0x09, 0x30, 0x09, 0x31, 0x09, 0x38, 0x15, 0x81, 0x25, 0x7f, 0x75, 0x08, 0x95, 0x03, 0x81,
    0x06,
    0xc0, 0xc0
};
static const uint8_t tablet_report[] = {
    0x05, 0x01, 0x09, 0x02, 0xa1, 0x01,         /* generic desktop, mouse: application */
    0x09, 0x01, 0xa1, 0x00,
    0x05, 0x09, 0x19, 0x01, 0x29, 0x05, 0x15, 0x00, 0x25, 0x01, 0x95, 0x05, 0x75, 0x01, 0x81, 0x02,
    0x95, 0x01, 0x75, 0x03, 0x81, 0x01,
    0x05, 0x01, 0x09, 0x30, 0x09, 0x31, 0x15, 0x00, 0x26, 0xff, 0x7f, 0x35, 0x00, 0x46, 0xff, 0x7f,
    0x75, 0x10, 0x95, 0x02, 0x81, 0x02,         /* X and Y, absolute */
    0x05, 0x01, 0x09, 0x38, 0x15, 0x81, 0x25, 0x7f, 0x35, 0x00, 0x45, 0x00, 0x75, 0x08, 0x95, 0x01, 0x81,
    0x06,
    0xc0, 0xc0
};

#define DEVICE(version, product)                                                                             \
    { 18, USB_DT_DEVICE, version,  0, 0, 0, 64, 0x27, 0x06, (product), 0x00, 0x00, 0x00, 1, 2, 3, 1 }
#define HID_AT 18               /* the HID descriptor in the configuration's */
/* Bus-powered, 100 mA, remote wake-up; a report may be fetched every 10 ms, or 8 ms at high speed. */
#define CONFIG(subclass, protocol, report, bytes, every)                                                     \
    { 9, USB_DT_CONFIG, 34, 0, 1, 1, 0, 0xa0, 50,                                                            \
      9, 4, 0, 0, 1, 3, subclass, protocol, 0,                                                               \
      9, USB_DT_HID, 0x11, 0x01, 0, 1, USB_DT_REPORT, sizeof(report) & 0xff, sizeof(report) >> 8,            \
      7, 5, 0x81, 3, bytes, 0, every }
#define FULL_ONLY 0x10, 0x01    /* USB 1.1 */
#define BOTH 0x00, 0x02
#define DESCRIPTORS(product, subclass, protocol, report, bytes)                                              \
    { DEVICE(FULL_ONLY, product), DEVICE(BOTH, product) },                                                   \
    { CONFIG(subclass, protocol, report, bytes, 10), CONFIG(subclass, protocol, report, bytes, 7) }

static const struct kind {
    const char *strings[4];
    uint8_t device[2][18], config[2][34];       /* of USB 1.1 and 2.0; of full and high speed */
    const uint8_t *report;
    uint16_t report_len;
    uint8_t len;                /* of an input report */
} kinds[] = {
    [USB_HID_KEYBOARD] = { { "Latimer", "USB Keyboard", "", NULL }, DESCRIPTORS(1, 1, 1, keyboard_report, 8),
                           keyboard_report, sizeof(keyboard_report), 8 },
    [USB_HID_MOUSE] = { { "Latimer", "USB Mouse", "", NULL }, DESCRIPTORS(2, 1, 2, mouse_report, 4),
                        mouse_report, sizeof(mouse_report), 4 },
    [USB_HID_TABLET] = { { "Latimer", "USB Tablet", "", NULL }, DESCRIPTORS(3, 0, 0, tablet_report, 6),
                         tablet_report, sizeof(tablet_report), 6 },
};

/* ---- events ---- */

static unsigned at(const struct usb_hid *h, unsigned n)
{
    return (h->first + n) % QUEUE;
}

static void tell(struct usb_hid *h)
{
    h->changed = 1;
    usb_ready(&h->usb, USB_DIR_IN | 1);
}

/* A new event at the end of the queue; NULL: there is no room. */
static bool push(struct usb_hid *h, int x, int y, int dz, unsigned buttons)
{
    unsigned n = at(h, h->count);

    if (h->count == QUEUE)
        return false;
    h->x[n] = x;
    h->y[n] = y;
    h->dz[n] = (int16_t)dz;
    h->buttons[n] = buttons;
    h->count++;
    return true;
}

static int clamp(int v, int lo, int hi)
{
    return v < lo ? lo : v > hi ? hi : v;
}

void usb_hid_move(void *mouse, int dx, int dy, int dz, unsigned buttons)
{
    struct usb_hid *h = mouse;
    unsigned last = at(h, h->count + QUEUE - 1);

    /* Behind the last change of buttons, movements add up. */
    if (h->count && h->buttons[last] == (uint8_t)buttons) {
        h->x[last] = clamp(h->x[last] + clamp(dx, -1000, 1000), -10000, 10000);
        h->y[last] = clamp(h->y[last] + clamp(dy, -1000, 1000), -10000, 10000);
        h->dz[last] = (int16_t)clamp(h->dz[last] - clamp(dz, -100, 100), -1000, 1000);
    } else if (!push(h, clamp(dx, -10000, 10000), clamp(dy, -10000, 10000), -clamp(dz, -1000, 1000),
                     buttons)) {
        h->buttons[last] = buttons;     /* what is held at the end is what counts */
    }
    tell(h);
}

void usb_hid_place(void *tablet, unsigned x, unsigned y, int dz, unsigned buttons)
{
    struct usb_hid *h = tablet;
    unsigned last = at(h, h->count + QUEUE - 1);

    x = x > USB_HID_ABS_MAX ? USB_HID_ABS_MAX : x;
    y = y > USB_HID_ABS_MAX ? USB_HID_ABS_MAX : y;
    if (h->count && (h->buttons[last] == (uint8_t)buttons || h->count == QUEUE)) {
        h->x[last] = x;
        h->y[last] = y;
        h->dz[last] = (int16_t)clamp(h->dz[last] - clamp(dz, -100, 100), -1000, 1000);
        h->buttons[last] = buttons;
    } else {
        push(h, x, y, -clamp(dz, -1000, 1000), buttons);
    }
    tell(h);
}

/* Whether a key will be down when all that waits was read. */
static bool will_be_down(const struct usb_hid *h, unsigned usage)
{
    for (unsigned i = h->count; i-- > 0;)
        if ((uint16_t)h->dz[at(h, i)] % USAGES == usage)
            return h->buttons[at(h, i)];
    return h->down[usage / 8] >> usage % 8 & 1;
}

static unsigned held(const struct usb_hid *h)
{
    uint8_t down[USAGES / 8];
    unsigned n = 0;

    memcpy(down, h->down, sizeof(down));
    for (unsigned i = 0; i < h->count; i++) {
        unsigned u = (uint16_t)h->dz[at(h, i)] % USAGES, bit = 1u << u % 8;

        down[u / 8] = (uint8_t)(h->buttons[at(h, i)] ? down[u / 8] | bit : down[u / 8] & ~bit);
    }
    for (unsigned u = 0; u < USAGES; u++)
        n += down[u / 8] >> u % 8 & 1;
    return n;
}

void usb_hid_key(void *keyboard, unsigned key, bool down)
{
    static const uint8_t usage[] = {
#define KEY(evdev, hid) [evdev] = hid,
#include "hw/usb/hid_keys.def"
#undef KEY
    };
    struct usb_hid *h = keyboard;

    if (key >= sizeof(usage) || !usage[key])
        return;
    if (will_be_down(h, usage[key]) == down)
        return;                         /* the host's own repeat, or the end of a press that was lost */
    if (down && h->count + held(h) + 2 > QUEUE)
        return;
    if (push(h, 0, 0, usage[key], down))
        tell(h);
}

unsigned usb_hid_leds(void *keyboard)
{
    unsigned leds = ((struct usb_hid *)keyboard)->leds;

    return (leds & 1 ? USB_HID_NUM_LOCK : 0) | (leds & 2 ? USB_HID_CAPS_LOCK : 0) |
           (leds & 4 ? USB_HID_SCROLL_LOCK : 0);
}

bool usb_hid_in_use(void *hid)
{
    return ((struct usb_hid *)hid)->usb.configuration;
}

/* ---- reports ---- */

static unsigned keyboard_input(struct usb_hid *h, uint8_t *buf)
{
    unsigned n = 0;

    memset(buf, 0, 8);
    buf[0] = h->down[MODIFIER / 8];
    for (unsigned u = 0; u < MODIFIER; u++) {
        if (!(h->down[u / 8] >> u % 8 & 1))
            continue;
        if (n == KEYS) {
            memset(buf + 2, ROLLOVER, KEYS);
            break;
        }
        buf[2 + n++] = u;
    }
    return 8;
}

static int8_t take(int32_t *left)
{
    int n = clamp(*left, -127, 127);

    *left -= n;
    return (int8_t)n;
}

/* Moves on to the next event, or by as much of it as a report can hold; builds the report of how things are. */
static unsigned input_report(struct usb_hid *h, uint8_t *buf, bool next)
{
    unsigned n = h->first;
    bool more = next && h->count;
    int32_t dz = more ? h->dz[n] : 0, dx = more ? h->x[n] : 0, dy = more ? h->y[n] : 0;

    if (h->kind == USB_HID_KEYBOARD) {
        if (more) {
            unsigned u = (uint16_t)dz % USAGES;

            h->down[u / 8] = h->buttons[n] ? h->down[u / 8] | 1u << u % 8 : h->down[u / 8] & ~(1u << u % 8);
            h->first = at(h, 1);
            h->count--;
        }
        return keyboard_input(h, buf);
    }
    if (more)
        h->now_buttons = h->buttons[n];
    buf[0] = h->now_buttons & 0x1f;
    if (h->kind == USB_HID_TABLET) {
        if (more) {
            h->now_x = dx;
            h->now_y = dy;
        }
        buf[1] = h->now_x;
        buf[2] = h->now_x >> 8;
        buf[3] = h->now_y;
        buf[4] = h->now_y >> 8;
        buf[5] = take(&dz);
        dx = dy = 0;
    } else {
        buf[1] = take(&dx);
        buf[2] = take(&dy);
        buf[3] = take(&dz);
    }
    if (more && (dx || dy || dz)) {
        if (h->kind == USB_HID_MOUSE) {
            h->x[n] = dx;
            h->y[n] = dy;
        }
        h->dz[n] = (int16_t)dz;
    } else if (more) {
        h->first = at(h, 1);
        h->count--;
    }
    return h->kind == USB_HID_MOUSE && !h->protocol ? 3 : kinds[h->kind].len;
}

static void idle_over(void *dev)
{
    tell(dev);
}

static void start_idle(struct usb_hid *h)
{
    if (h->idle)
        timer_set(&h->idle_timer, clock_now(h->clock) + h->idle * 4000000ull);
    else
        timer_cancel(&h->idle_timer);
}

static int hid_packet(struct usb_dev *d, enum usb_pid pid, unsigned ep, uint8_t *buf, unsigned len)
{
    struct usb_hid *h = (struct usb_hid *)d;
    uint8_t report[REPORT_MAX];
    unsigned n;

    if (pid != USB_IN || ep != 1)
        return USB_TIMEOUT;
    if (!h->changed)
        return USB_NAK;
    n = input_report(h, report, true);
    h->changed = h->count > 0;
    start_idle(h);
    if (n > len)
        return USB_BABBLE;
    memcpy(buf, report, n);
    return n;
}

/* ---- requests ---- */

static int hid_control(struct usb_dev *d, const struct usb_setup *s, uint8_t *buf)
{
    struct usb_hid *h = (struct usb_hid *)d;
    const struct kind *k = &kinds[h->kind];

    if (s->index & 0xff)
        return USB_STALL;               /* there is one interface, 0 */
    switch (s->type << 8 | s->request) {
    case USB_GET_INTERFACE_DESCRIPTOR:
        if (s->value >> 8 == USB_DT_HID) {
            memcpy(buf, k->config[0] + HID_AT, 9);
            return 9;
        }
        if (s->value >> 8 == USB_DT_REPORT) {
            memcpy(buf, k->report, k->report_len);
            return k->report_len;
        }
        return USB_STALL;
    case HID_GET_REPORT:
        return s->value >> 8 == REPORT_INPUT ? (int)input_report(h, buf, false) : USB_STALL;
    case HID_SET_REPORT:
        if (h->kind != USB_HID_KEYBOARD || s->value >> 8 != REPORT_OUTPUT || s->length < 1)
            return USB_STALL;
        h->leds = buf[0] & 0x1f;
        return 0;
    case HID_GET_IDLE:
        buf[0] = h->idle;
        return 1;
    case HID_SET_IDLE:
        h->idle = s->value >> 8;
        start_idle(h);
        return 0;
    case HID_GET_PROTOCOL:
        buf[0] = h->protocol;
        return h->kind == USB_HID_TABLET ? USB_STALL : 1;
    case HID_SET_PROTOCOL:
        if (h->kind == USB_HID_TABLET || s->value > 1)
            return USB_STALL;
        h->protocol = s->value;
        return 0;
    }
    return USB_STALL;
}

static void hid_bus_reset(struct usb_dev *d)
{
    struct usb_hid *h = (struct usb_hid *)d;

    memset(h->down, 0, sizeof(h->down));
    h->first = h->count = h->changed = h->leds = h->now_buttons = 0;
    h->now_x = h->now_y = 0;
    h->protocol = 1;
    h->idle = 0;
    timer_cancel(&h->idle_timer);
}

static void hid_reset(void *dev)
{
    struct usb_hid *h = dev;

    memset(h->x, 0, sizeof(h->x));
    memset(h->y, 0, sizeof(h->y));
    memset(h->dz, 0, sizeof(h->dz));
    memset(h->buttons, 0, sizeof(h->buttons));
    usb_dev_reset(&h->usb);
}

static void hid_loaded(void *dev)
{
    struct usb_hid *h = dev;
    uint64_t due = h->idle_timer.due;

    timer_cancel(&h->idle_timer);
    if (due != UINT64_MAX)
        timer_set(&h->idle_timer, due);
}

static const struct chip hid_chip = {
    "usb-hid", sizeof(struct usb_hid), hid_reset, hid_state, hid_loaded, .check = usb_dev_check
};

#define COMMON(kind) .strings = kinds[kind].strings, .control = hid_control, .packet = hid_packet,           \
                     .reset = hid_bus_reset
#define AT(kind, version, speed)                                                                             \
    { kinds[kind].device[version], kinds[kind].config[speed], sizeof(kinds[kind].config[0]) }
/* Of USB 1.1, and of USB 2.0. */
#define TYPES(kind)                                                                                          \
    { { .at = { [USB_FULL] = AT(kind, 0, 0) }, COMMON(kind) },                                               \
      { .at = { [USB_FULL] = AT(kind, 1, 0), [USB_HIGH] = AT(kind, 1, 1) }, COMMON(kind) } }

struct props {
    struct usb_props usb;
    uint64_t version;
};

static struct usb_hid *hid_new(struct usb_bus *bus, enum usb_hid_kind kind, const struct props *p)
{
    static const struct usb_type types[][2] = {
        [USB_HID_KEYBOARD] = TYPES(USB_HID_KEYBOARD), [USB_HID_MOUSE] = TYPES(USB_HID_MOUSE),
        [USB_HID_TABLET] = TYPES(USB_HID_TABLET)
    };
    const struct usb_props *props = &p->usb;
    struct usb_hid *h = chip_new(bus->chips, &hid_chip, props->common.name);

    h->kind = kind;
    h->clock = bus->clock;
    timer_init(&h->idle_timer, h->clock, idle_over, h);
    usb_attach(bus, &h->usb, &types[kind][p->version - 1], props);
    hid_reset(h);
    return h;
}

static const struct input_device input[] = {
    [USB_HID_KEYBOARD] = { .key = usb_hid_key, .leds = usb_hid_leds, .in_use = usb_hid_in_use },
    [USB_HID_MOUSE] = { .move = usb_hid_move, .in_use = usb_hid_in_use },
    [USB_HID_TABLET] = { .place = usb_hid_place, .in_use = usb_hid_in_use },
};

static const struct props defaults = { .version = 2 };
static const struct prop props_table[] = {
    USB_PROPS,
    { "usb_version", PROP_NUMBER, offsetof(struct props, version), 1, 2,
      "2: high speed, where the port has it" },
    PROP_END
};

#define PLUGGED(id, name, what, kind)                                                                        \
    static void make_##id(struct plug_env *env, void *bus, const void *props)                                \
    {                                                                                                        \
        input_add(env->m->cfg.input, &input[kind], hid_new(bus, kind, props));                           \
    }                                                                                                        \
    const struct plug id##_plug = { name, what, "USB", sizeof(struct props), &defaults, props_table,         \
                                    make_##id };

PLUGGED(usb_kbd, "usb-kbd", "USB keyboard", USB_HID_KEYBOARD)
PLUGGED(usb_mouse, "usb-mouse", "USB mouse", USB_HID_MOUSE)
PLUGGED(usb_tablet, "usb-tablet", "USB tablet: a pointer with absolute positions", USB_HID_TABLET)
