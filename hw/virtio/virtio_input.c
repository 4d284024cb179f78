/*
 * virtio_input.c - keyboard, mouse and tablet (virtio 1.2, 5.8): events as Linux' evdev interface has them, LEDs by
 * the status queue. Modern interface alone.
 *
 * Events wait here until the driver has buffers for them. What does not fit is movements, which are lost, and keys
 * and buttons, of which the last state is told as soon as there is room: none stays down for ever.
 */
#include <string.h>

#include "base/log.h"
#include "hw/input_if.h"
#include "hw/virtio/virtio.h"

#define QUEUE  64u
#define EVENTS 256u
#define MOVES  192u                     /* beyond this many, movements are lost */
#define KEYS   0x120u
#define BTN    0x110u                   /* left, right, middle, side, extra */
#define EVENT  8u                       /* bytes of one */

enum { EVENTQ, STATUSQ, QUEUES };
enum { CFG_SELECT = 0, CFG_SUBSEL = 1, CFG_SIZE = 2, CFG_DATA = 8, DATA_LEN = 128, CFG_LEN = CFG_DATA + DATA_LEN };
enum { ID_NAME = 1, ID_SERIAL = 2, ID_DEVIDS = 3, EV_BITS = 0x11, ABS_INFO = 0x12 };
enum { EV_SYN = 0, EV_KEY = 1, EV_REL = 2, EV_ABS = 3, EV_LED = 0x11, EV_REP = 0x14 };
enum { REL_X = 0, REL_Y = 1, REL_WHEEL = 8, ABS_X = 0, ABS_Y = 1, LED_NUM = 0, LED_CAPS = 1, LED_SCROLL = 2 };
#define BUS_VIRTUAL 6u

enum kind { KEYBOARD, MOUSE, TABLET };

struct virtio_input {
    struct virtio_dev *v;
    enum kind kind;
    uint16_t type[EVENTS], code[EVENTS];
    int32_t value[EVENTS];
    uint16_t first, count;
    uint8_t down[KEYS / 8], told[KEYS / 8];     /* as it is; as the events here and before leave it */
    uint32_t x, y;                      /* tablet */
    uint8_t behind;                     /* something did not fit */
    uint8_t leds;
};

static const struct field input_state[] = {
    FIELD_ARRAY(struct virtio_input, type), FIELD_ARRAY(struct virtio_input, code),
    FIELD_ARRAY(struct virtio_input, value), FIELD_MAX(struct virtio_input, first, EVENTS - 1),
    FIELD_MAX(struct virtio_input, count, EVENTS), FIELD_ARRAY(struct virtio_input, down),
    FIELD_ARRAY(struct virtio_input, told), FIELD(struct virtio_input, x), FIELD(struct virtio_input, y),
    FIELD(struct virtio_input, behind), FIELD(struct virtio_input, leds), FIELD_END
};

static bool bit(const uint8_t *bits, unsigned n)
{
    return bits[n / 8] >> n % 8 & 1;
}

static void set_bit(uint8_t *bits, unsigned n, bool on)
{
    bits[n / 8] = on ? bits[n / 8] | 1u << n % 8 : bits[n / 8] & ~(1u << n % 8);
}

static bool in_use(void *dev)
{
    const struct virtio_input *s = dev;

    return s->v->queue[EVENTQ]->enabled && virtio_live(s->v);
}

/* ---- events ---- */

static void add(struct virtio_input *s, unsigned type, unsigned code, int value)
{
    unsigned n = (s->first + s->count++) % EVENTS;

    s->type[n] = (uint16_t)type;
    s->code[n] = (uint16_t)code;
    s->value[n] = value;
}

/* A change of a key or button; the caller ends it with EV_SYN. */
static void add_key(struct virtio_input *s, unsigned key)
{
    if (bit(s->down, key) == bit(s->told, key))
        return;
    if (s->count >= EVENTS - 1) {
        s->behind = 1;
        return;
    }
    add(s, EV_KEY, key, bit(s->down, key));
    set_bit(s->told, key, bit(s->down, key));
}

/* There is room again: what was left out. */
static void catch_up(struct virtio_input *s)
{
    if (!s->behind || s->count)
        return;
    s->behind = 0;
    for (unsigned key = 0; key < KEYS; key++)
        add_key(s, key);
    if (s->kind == TABLET && s->count < MOVES) {
        add(s, EV_ABS, ABS_X, (int)s->x);
        add(s, EV_ABS, ABS_Y, (int)s->y);
    }
    if (s->count)
        add(s, EV_SYN, 0, 0);
}

static void deliver(struct virtio_input *s)
{
    struct virtq *q = s->v->queue[EVENTQ];
    struct virtq_chain *c;
    uint8_t b[EVENT];

    for (;;) {
        catch_up(s);
        c = s->count ? virtq_pop(q) : NULL;
        if (!c)
            break;
        le_put(b, 2, s->type[s->first]);
        le_put(b + 2, 2, s->code[s->first]);
        le_put(b + 4, 4, (uint32_t)s->value[s->first]);
        s->first = (s->first + 1) % EVENTS;
        s->count--;
        if (c->in_len < EVENT)
            log_msg(LOG_GUEST, "%s: a buffer of %u bytes for an event", s->v->type->name, c->in_len);
        virtq_push(c, chain_put(c, 0, b, c->in_len < EVENT ? 0 : EVENT));
    }
    virtq_notify(q);
}

static void forget(struct virtio_input *s)
{
    s->first = s->count = s->behind = 0;
    memset(s->down, 0, sizeof(s->down));
    memset(s->told, 0, sizeof(s->told));
}

/* ---- from the displays ---- */

static bool has_key(unsigned key)
{
    static const uint8_t keys[KEYS] = {
#define KEY(number, name, set1, set2, set3) [number] = 1,
#include "hw/ps2_keys.def"
#undef KEY
    };

    return key < BTN && keys[key];
}

static void key(void *dev, unsigned number, bool down)
{
    struct virtio_input *s = dev;

    if (!in_use(s) || !has_key(number))
        return;
    set_bit(s->down, number, down);
    if (bit(s->told, number) == down)
        return;                         /* the guest repeats keys itself */
    add_key(s, number);
    if (bit(s->told, number) == down)
        add(s, EV_SYN, 0, 0);
    deliver(s);
}

static unsigned leds(void *dev)
{
    unsigned on = ((struct virtio_input *)dev)->leds;

    return (on >> LED_NUM & 1 ? INPUT_NUM_LOCK : 0) | (on >> LED_CAPS & 1 ? INPUT_CAPS_LOCK : 0) |
        (on >> LED_SCROLL & 1 ? INPUT_SCROLL_LOCK : 0);
}

/* What comes with each movement: buttons have the order of INPUT_*. */
static void buttons_and_wheel(struct virtio_input *s, int dz, unsigned buttons)
{
    for (unsigned n = 0; n < 5; n++) {
        set_bit(s->down, BTN + n, buttons >> n & 1);
        add_key(s, BTN + n);
    }
    if (dz && s->count < MOVES)
        add(s, EV_REL, REL_WHEEL, -dz);
    if (s->count < EVENTS)
        add(s, EV_SYN, 0, 0);
    deliver(s);
}

static void move(void *dev, int dx, int dy, int dz, unsigned buttons)
{
    struct virtio_input *s = dev;

    if (!in_use(s))
        return;
    if (dx && s->count < MOVES)
        add(s, EV_REL, REL_X, dx);
    if (dy && s->count < MOVES)
        add(s, EV_REL, REL_Y, dy);
    buttons_and_wheel(s, dz, buttons);
}

static void place(void *dev, unsigned x, unsigned y, int dz, unsigned buttons)
{
    struct virtio_input *s = dev;

    if (!in_use(s))
        return;
    s->x = x;
    s->y = y;
    if (s->count < MOVES) {
        add(s, EV_ABS, ABS_X, (int)x);
        add(s, EV_ABS, ABS_Y, (int)y);
    } else {
        s->behind = 1;
    }
    buttons_and_wheel(s, dz, buttons);
}

/* ---- the configuration: what device this is (5.8.4) ---- */

static unsigned event_bits(const struct virtio_input *s, unsigned type, uint8_t *bits)
{
    if (type == EV_KEY && s->kind == KEYBOARD) {
        for (unsigned n = 0; n < BTN; n++)
            set_bit(bits, n, has_key(n));
        return BTN / 8;
    }
    if (type == EV_KEY) {
        bits[BTN / 8] = 0x1f;
        return BTN / 8 + 1;
    }
    if (type == EV_REP && s->kind == KEYBOARD)
        return 1;
    if (type == EV_LED && s->kind == KEYBOARD) {
        bits[0] = 1 << LED_NUM | 1 << LED_CAPS | 1 << LED_SCROLL;
        return 1;
    }
    if (type == EV_REL && s->kind != KEYBOARD) {
        bits[0] = s->kind == MOUSE ? 1 << REL_X | 1 << REL_Y : 0;
        bits[REL_WHEEL / 8] |= 1 << REL_WHEEL % 8;
        return REL_WHEEL / 8 + 1;
    }
    if (type == EV_ABS && s->kind == TABLET) {
        bits[0] = 1 << ABS_X | 1 << ABS_Y;
        return 1;
    }
    return 0;
}

static void config_written(void *dev, unsigned off, unsigned len)
{
    static const char *const names[] = { "Latimer virtio keyboard", "Latimer virtio mouse", "Latimer virtio tablet" };
    struct virtio_input *s = dev;
    uint8_t *config = s->v->config, *data = config + CFG_DATA;
    unsigned subsel = config[CFG_SUBSEL], size = 0;

    memset(data, 0, DATA_LEN);
    switch (config[CFG_SELECT]) {
    case ID_NAME:
        size = (unsigned)strlen(names[s->kind]);
        memcpy(data, names[s->kind], size);
        break;
    case ID_DEVIDS:
        size = 8;
        le_put(data, 2, BUS_VIRTUAL);
        le_put(data + 2, 2, 0x0627);
        le_put(data + 4, 2, 1 + s->kind);
        le_put(data + 6, 2, 1);
        break;
    case EV_BITS:
        size = event_bits(s, subsel, data);
        break;
    case ABS_INFO:
        if (s->kind == TABLET && subsel <= ABS_Y) {
            size = 20;
            le_put(data + 4, 4, INPUT_ABS_MAX);
        }
        break;
    default:
        break;
    }
    config[CFG_SIZE] = (uint8_t)size;
}

/* ---- the device ---- */

static void status(struct virtio_input *s)
{
    struct virtq *q = s->v->queue[STATUSQ];
    struct virtq_chain *c;
    uint8_t b[EVENT];

    while ((c = virtq_pop(q))) {
        unsigned type = 0, code = 0;

        if (chain_get(c, 0, b, EVENT) == EVENT) {
            type = (unsigned)le_get(b, 2);
            code = (unsigned)le_get(b + 2, 2);
        }
        if (type == EV_LED && code <= LED_SCROLL)
            s->leds = (uint8_t)((s->leds & ~(1u << code)) | (le_get(b + 4, 4) ? 1u << code : 0));
        log_dev(VIRTIO, "%s: the guest says: type %u, code %u, value %u", s->v->type->name, type, code,
                (unsigned)le_get(b + 4, 4));
        virtq_push(c, 0);
    }
    virtq_notify(q);
}

static void kick(void *dev, unsigned queue)
{
    if (queue == STATUSQ)
        status(dev);
    else
        deliver(dev);
}

static void reset(void *dev)
{
    struct virtio_input *s = dev;

    forget(s);
    s->leds = 0;
    s->x = s->y = 0;
}

static void loaded(void *dev)
{
    struct virtio_input *s = dev;

    config_written(s, 0, 2);
}

static const struct chip input_chip = { "virtio-input", sizeof(struct virtio_input), NULL, input_state, loaded };

#define TYPE(text, pci_class)                                                                                \
    { .name = text, .id = VIRTIO_INPUT, .class = pci_class, .config_len = CFG_LEN, .kick = kick, .reset = reset,       \
      .config_written = config_written }

static void make(struct plug_env *env, const struct virtio_props *p, enum kind kind)
{
    static const struct virtio_type types[] = { TYPE("virtio-keyboard", 0x090000), TYPE("virtio-mouse", 0x090200),
                                                TYPE("virtio-tablet", 0x090200) };
    static const struct input_device input[] = {
        [KEYBOARD] = { .key = key, .leds = leds, .in_use = in_use }, [MOUSE] = { .move = move, .in_use = in_use },
        [TABLET] = { .place = place, .in_use = in_use }
    };
    struct virtio_input *s = chip_new(env->m->chips, &input_chip, p->common.name);

    s->kind = kind;
    s->v = virtio_new(env, p, &types[kind], s, QUEUES, QUEUE, 0);
    virtio_config_writable(s->v, CFG_SELECT, 2);
    input_add(env->m->cfg.input, &input[kind], s);
}

static const struct prop props_table[] = { VIRTIO_PROPS, PROP_END };
static const struct virtio_props defaults = VIRTIO_DEFAULTS;

#define PLUGGED(id, name, what, kind)                                                                        \
    static void make_##id(struct plug_env *env, void *bus, const void *props)                                \
    {                                                                                                        \
        make(env, props, kind);                                                                              \
    }                                                                                                        \
    const struct plug id##_plug = { name, what, "PCI", sizeof(struct virtio_props), &defaults, props_table, make_##id };

PLUGGED(virtio_keyboard, "virtio-keyboard-pci", "keyboard (virtio)", KEYBOARD)
PLUGGED(virtio_mouse, "virtio-mouse-pci", "mouse (virtio)", MOUSE)
PLUGGED(virtio_tablet, "virtio-tablet-pci", "tablet: a pointer with absolute positions (virtio)", TABLET)
