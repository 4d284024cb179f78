/*
 * ps2.c - PS/2 keyboard and mouse (IBM "PS/2 Hardware Interface Technical Reference": Keyboards, and
 * Mouse; Microsoft's "IntelliMouse" wheel protocol).
 *
 * A device has two queues: replies to commands, which go first, and events (key codes, movement
 * packets).  A command throws away replies not fetched yet.  A mouse adds movement up until its packet was
 * fetched and the time of a sample is over.  Its resolution is kept and reported; how far the pointer moves
 * is the host's choice.
 *
 * A keyboard's buffer is short, and displays and scripts type faster than fingers: keys wait in front of it
 * until the code of each fits as a whole.  Invariant: each press that waits or was given has a place kept for
 * its release (pending_count + held <= PENDING), so presses alone are lost, and one overrun code says so.
 */
#include "hw/ps2.h"

#include <string.h>

#include "base/log.h"
#include "base/trace.h"
#include "hw/input_if.h"

#define KEYS 128
#define KEY_SYSRQ 99            /* Print Screen */
#define KEY_PAUSE 119
enum { KEY_CTRL = 29, KEY_SHIFT = 42, KEY_RSHIFT = 54, KEY_ALT = 56, KEY_RCTRL = 97, KEY_SLASH = 98,
       KEY_RALT = 100,
       KEY_HOME = 102, KEY_DELETE = 111 };
#define LED_NUM 2
#define CODE_MAX 12             /* bytes of the longest code: with both shift keys held */
#define EVENTS 64
#define EVENT_LIMIT 17          /* a keyboard's buffer: 16 codes and the overrun code */
#define REPLIES 8
#define PENDING 256             /* keys that wait: pending_head wraps there by itself */
#define PENDING_DOWN 0x80u      /* with a key: it was pressed */
#define PENDING_LOST 0x00u      /* no key: presses were lost here */

enum { ACK = 0xfa, RESEND = 0xfe, BAT_OK = 0xaa };

struct ps2 {
    struct clock *clock;
    struct timer repeat;        /* keyboard: next repeat of repeat_key; mouse: end of the sample's time */
    void (*ready)(void *arg);
    void *ready_arg;
    uint8_t is_mouse;

    uint8_t reply[REPLIES], reply_head, reply_count;
    uint8_t event[EVENTS], event_head, event_count;
    uint8_t command;            /* waits for its parameter; 0: none */
    uint8_t last;               /* for RESEND */
    uint8_t enabled;            /* keyboard scanning, mouse data reporting */

    /* keyboard */
    uint8_t set;                /* scan code set 1-3 */
    uint8_t leds, typematic;
    uint8_t repeat_key;         /* 0: none */
    uint8_t down[KEYS];         /* as the codes up to now say */
    uint8_t pending[PENDING], pending_head;
    uint16_t pending_count;
    uint8_t wanted[KEYS];       /* `down` when nothing will be pending; held: how many of them are */
    uint8_t held, lost;         /* lost: a PENDING_LOST waits */
    uint8_t key_type[256];      /* set 3, by code: KT_* */

    /* mouse */
    uint8_t id;                 /* 0 standard, 3 wheel, 4 wheel and five buttons */
    uint8_t rate, resolution, scaling2, remote, wrap;
    uint8_t knock[2];           /* the two sample rates before the last: the wheel's magic knock */
    uint8_t buttons, sent_buttons;
    int32_t dx, dy, dz;
};

/* What a key of set 3 sends; F8h-FDh change it. */
enum { KT_TYPEMATIC = 1, KT_BREAK = 2 };

struct key {
    uint16_t code[3];           /* by set - 1 */
};

#define KEY(number, name, s1, s2, s3) [number] = { { s1, s2, s3 } },
static const struct key keys[KEYS] = {
#include "hw/ps2_keys.def"
};
#undef KEY

/* ---- queues ---- */

bool ps2_has_byte(struct ps2 *d)
{
    return d->reply_count || (d->event_count && !d->command);
}

static void tell(struct ps2 *d)
{
    if (d->ready && ps2_has_byte(d))
        d->ready(d->ready_arg);
}

static void reply(struct ps2 *d, uint8_t byte)
{
    if (d->reply_count < REPLIES)
        d->reply[(d->reply_head + d->reply_count++) % REPLIES] = byte;
}

/* Keys that wait go with the codes in the buffer: to the guest they all were typed before. */
static void clear_events(struct ps2 *d)
{
    d->event_count = d->pending_head = 0;
    d->pending_count = d->lost = 0;
    memset(d->pending, 0, sizeof(d->pending));
    memcpy(d->down, d->wanted, sizeof(d->down));
}

/* A code of several bytes is queued whole or not at all. */
static bool queue(struct ps2 *d, const uint8_t *buf, unsigned n, unsigned limit)
{
    if (d->event_count + n > limit)
        return false;
    for (unsigned i = 0; i < n; i++)
        d->event[(d->event_head + d->event_count++) % EVENTS] = buf[i];
    return true;
}

void ps2_connect(struct ps2 *d, void (*ready)(void *arg), void *arg)
{
    d->ready = ready;
    d->ready_arg = arg;
}

/* ---- keyboard ---- */

/* The same key of set 2 in set 1. */
static uint8_t in_set_1(uint8_t code)
{
    switch (code) {
    case 0x12: return 0x2a;
    case 0x59: return 0x36;
    default: return code;
    }
}

static unsigned put_shift(const struct ps2 *d, uint8_t *b, uint8_t code, bool down)
{
    unsigned n = 0;

    b[n++] = 0xe0;
    if (d->set == 1) {
        b[n++] = in_set_1(code) | (down ? 0 : 0x80);
    } else {
        if (!down)
            b[n++] = 0xf0;
        b[n++] = code;
    }
    return n;
}

/*
 * Keys that an 84-key keyboard had on its keypad alone, in sets 1 and 2: software that knows no E0h would
 * take them for those, so the shift keys are made to look released, or, with Num Lock on, pressed, while
 * they are down. `down`: before the make code; else behind the break code.
 */
static unsigned shifts(const struct ps2 *d, unsigned key, bool down, uint8_t *b)
{
    bool cursor = key >= KEY_HOME && key <= KEY_DELETE, left = d->down[KEY_SHIFT],
        right = d->down[KEY_RSHIFT];
    bool num = d->leds & LED_NUM;
    unsigned n = 0;

    if (d->set == 3 || (!cursor && key != KEY_SLASH))
        return 0;
    if (num && cursor)          /* then a shift key alone makes them cursor keys already */
        return left || right ? 0 : put_shift(d, b, 0x12, down);
    if (left)
        n += put_shift(d, b + n, 0x12, !down);
    if (right)
        n += put_shift(d, b + n, 0x59, !down);
    return n;
}

/* Print Screen with Alt is SysRq, with Shift or Ctrl it has no shift code of its own; Pause with Ctrl is
 * Break. */
static unsigned changed_code(const struct ps2 *d, unsigned key, bool down, uint8_t *b)
{
    static const struct { uint8_t n, b[6]; } seq[3][2][2] = {  /* [case][set - 1][down] */
        { { { 1, { 0xd4 } }, { 1, { 0x54 } } }, { { 2, { 0xf0, 0x84 } }, { 1, { 0x84 } } } },
        { { { 2, { 0xe0, 0xb7 } }, { 2, { 0xe0, 0x37 } } },
          { { 3, { 0xe0, 0xf0, 0x7c } }, { 2, { 0xe0, 0x7c } } } },
        { { { 0, { 0 } }, { 4, { 0xe0, 0x46, 0xe0, 0xc6 } } },
          { { 0, { 0 } }, { 5, { 0xe0, 0x7e, 0xe0, 0xf0, 0x7e } } } },
    };
    bool ctrl = d->down[KEY_CTRL] || d->down[KEY_RCTRL], shift = d->down[KEY_SHIFT] || d->down[KEY_RSHIFT];
    unsigned i;

    if (key == KEY_PAUSE && ctrl)
        i = 2;
    else if (key == KEY_SYSRQ && (d->down[KEY_ALT] || d->down[KEY_RALT]))
        i = 0;
    else if (key == KEY_SYSRQ && (ctrl || shift))
        i = 1;
    else
        return 0;
    memcpy(b, seq[i][d->set - 1][down].b, 6);
    return seq[i][d->set - 1][down].n;
}

/* The two keys with sequences of their own in sets 1 and 2. */
static unsigned special_code(unsigned set, unsigned key, bool down, uint8_t *b)
{
    static const struct { uint8_t n, b[8]; } seq[2][2][2] = {  /* [key][set - 1][down] */
        { { { 4, { 0xe0, 0xb7, 0xe0, 0xaa } }, { 4, { 0xe0, 0x2a, 0xe0, 0x37 } } },
          { { 6, { 0xe0, 0xf0, 0x7c, 0xe0, 0xf0, 0x12 } }, { 4, { 0xe0, 0x12, 0xe0, 0x7c } } } },
        { { { 0, { 0 } }, { 6, { 0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5 } } },
          { { 0, { 0 } }, { 8, { 0xe1, 0x14, 0x77, 0xe1, 0xf0, 0x14, 0xf0, 0x77 } } } },
    };
    unsigned k = key == KEY_PAUSE;

    if (key == KEY_PAUSE && !down)
        return 0;
    memcpy(b, seq[k][set - 1][down].b, 8);
    return seq[k][set - 1][down].n;
}

static unsigned plain_code(const struct ps2 *d, unsigned code, bool down, uint8_t *b)
{
    unsigned n = 0;
    if (!code)
        return 0;
    if (code >> 8)
        b[n++] = (uint8_t)(code >> 8);
    if (!down && d->set != 1)
        b[n++] = 0xf0;
    b[n++] = (uint8_t)(code | (!down && d->set == 1 ? 0x80u : 0));
    return n;
}

static unsigned code_of(const struct ps2 *d, unsigned key)
{
    if (d->set == 3 && (key == KEY_SYSRQ || key == KEY_PAUSE))
        return key == KEY_SYSRQ ? 0x57 : 0x62;
    return keys[key].code[d->set - 1];
}

/* False: there is no room for its code now, and nothing was queued. */
static bool send_key(struct ps2 *d, unsigned key, bool down)
{
    uint8_t b[CODE_MAX];
    unsigned n = 0, code = code_of(d, key);
    bool special = key == KEY_SYSRQ || key == KEY_PAUSE;
    if (d->set == 3 && !down && !(d->key_type[code & 0xff] & KT_BREAK))
        return true;
    if (special && d->set != 3) {
        n = changed_code(d, key, down, b);
        if (!n)
            n = special_code(d->set, key, down, b);
    } else {
        if (down)
            n = shifts(d, key, true, b);
        n += plain_code(d, code, down, b + n);
        if (!down)
            n += shifts(d, key, false, b + n);
    }
    return queue(d, b, n, EVENT_LIMIT - 1);
}

static bool repeats(const struct ps2 *d, unsigned key)
{
    if (key == KEY_PAUSE)
        return false;
    return d->set != 3 || (d->key_type[code_of(d, key) & 0xff] & KT_TYPEMATIC);
}

/* Typematic byte: bits 6:5 delay in 250 ms steps; 4:0 period = (8 + A) * 2^B * 4.17 ms. */
static uint64_t repeat_delay(const struct ps2 *d)
{
    return (1u + (d->typematic >> 5 & 3)) * 250000000ull;
}

static uint64_t repeat_period(const struct ps2 *d)
{
    return (uint64_t)(8 + (d->typematic & 7)) * (1u << (d->typematic >> 3 & 3)) * 4170000u;
}

static void repeat_stop(struct ps2 *d)
{
    d->repeat_key = 0;
    timer_cancel(&d->repeat);
}

static void mouse_stream(struct ps2 *d);

static void repeat_fire(void *dev)
{
    struct ps2 *d = dev;
    if (d->is_mouse) {
        timer_cancel(&d->repeat);
        mouse_stream(d);
        tell(d);
        return;
    }
    if (!d->repeat_key)
        return;
    /* A guest that does not fetch gets no more of them: nobody wants a queue of repeats. */
    if (d->event_count < 4 && !d->pending_count && send_key(d, d->repeat_key, true))
        tell(d);
    timer_set(&d->repeat, clock_now(d->clock) + repeat_period(d));
}

/* Give the keyboard the next key that waits; false: its code does not fit yet. */
static bool give_key(struct ps2 *d)
{
    unsigned p = d->pending[d->pending_head], key = p & (KEYS - 1);
    bool down = p & PENDING_DOWN;

    if (p == PENDING_LOST) {
        uint8_t overrun = d->set == 1 ? 0xff : 0x00;

        if (!queue(d, &overrun, 1, EVENT_LIMIT))
            return false;
        d->lost = 0;
        return true;
    }
    d->down[key] = down;        /* a shift key counts as down in its own code; no code asks for it there */
    if (!send_key(d, key, down)) {
        d->down[key] = !down;
        return false;
    }
    if (!down) {
        if (key == d->repeat_key)
            repeat_stop(d);
    } else if (repeats(d, key)) {
        d->repeat_key = (uint8_t)key;
        timer_set(&d->repeat, clock_now(d->clock) + repeat_delay(d));
    }
    return true;
}

static void give_keys(struct ps2 *d)
{
    while (d->pending_count && give_key(d)) {
        d->pending[d->pending_head++] = 0;
        d->pending_count--;
    }
}

static void put_pending(struct ps2 *d, unsigned p)
{
    if (d->pending_count < PENDING)
        d->pending[(d->pending_head + d->pending_count++) % PENDING] = (uint8_t)p;
}

void ps2_key(struct ps2 *d, unsigned key, bool down)
{
    if (!key || key >= KEYS || d->wanted[key] == down)
        return;                 /* the host's own repeats are not ours */
    trace_ps2_key(key, down);
    if (!d->enabled) {
        d->down[key] = d->wanted[key] = down;
        d->held = (uint8_t)(down ? d->held + 1 : d->held - 1);
        return;
    }
    /* A press takes a place and keeps another for its release; one is kept for PENDING_LOST. */
    if (down && d->pending_count + d->held + 2u >= PENDING) {
        if (!d->lost)
            put_pending(d, PENDING_LOST);
        d->lost = 1;
        return;
    }
    d->wanted[key] = down;
    d->held = (uint8_t)(down ? d->held + 1 : d->held - 1);
    put_pending(d, key | (down ? PENDING_DOWN : 0));
    give_keys(d);
    tell(d);
}

/* What follows from `down` and the keys that wait. */
static void count_keys(struct ps2 *d)
{
    d->held = d->lost = 0;
    for (unsigned k = 0; k < KEYS; k++)
        d->wanted[k] = d->down[k] = d->down[k] != 0;
    for (unsigned i = 0; i < d->pending_count; i++) {
        unsigned p = d->pending[(d->pending_head + i) % PENDING];

        if (p == PENDING_LOST)
            d->lost = 1;
        else
            d->wanted[p & (KEYS - 1)] = (p & PENDING_DOWN) != 0;
    }
    for (unsigned k = 0; k < KEYS; k++)
        d->held = (uint8_t)(d->held + d->wanted[k]);
}

unsigned ps2_leds(struct ps2 *d)
{
    return d->leds;
}

static void keyboard_defaults(struct ps2 *d)
{
    d->set = 2;
    d->typematic = 0x2b;        /* 500 ms, 10.9 a second */
    memset(d->key_type, KT_TYPEMATIC, sizeof(d->key_type));
    /* Set 3 (figure 8): modifiers and locks make and break or make only, all else repeats. */
    static const uint8_t make_break[] = { 0x11, 0x12, 0x59, 0x14 };
    static const uint8_t make_only[] = { 0x08, 0x07, 0x0f, 0x17, 0x1f, 0x27, 0x2f, 0x37, 0x3f, 0x47, 0x4f,
        0x56, 0x5e, 0x57, 0x5f, 0x62, 0x67, 0x6e, 0x6f, 0x65, 0x6d, 0x76, 0x77, 0x6c, 0x6b, 0x69, 0x75,
        0x73, 0x72, 0x70, 0x7e, 0x7d, 0x74, 0x7a, 0x71, 0x84, 0x79, 0x58, 0x39 };
    for (unsigned i = 0; i < sizeof(make_break); i++)
        d->key_type[make_break[i]] = KT_BREAK;
    for (unsigned i = 0; i < sizeof(make_only); i++)
        d->key_type[make_only[i]] = 0;
    d->key_type[0x19] = KT_BREAK;               /* left Alt */
    clear_events(d);
    repeat_stop(d);
}

static void keyboard_parameter(struct ps2 *d, uint8_t cmd, uint8_t val)
{
    switch (cmd) {
    case 0xed:
        d->leds = val & 7;
        break;
    case 0xf0:
        if (val > 3) {
            reply(d, RESEND);
            return;
        }
        reply(d, ACK);
        if (val == 0) {
            reply(d, d->set);
        } else {
            d->set = val;
            clear_events(d);
        }
        return;
    case 0xf3:
        if (val & 0x80) {
            reply(d, RESEND);
            return;
        }
        d->typematic = val;
        break;
    case 0xfb: d->key_type[val] = KT_TYPEMATIC; break;
    case 0xfc: d->key_type[val] = KT_BREAK; break;
    default:   d->key_type[val] = 0; break;
    }
    reply(d, ACK);
    if (cmd >= 0xfb)
        d->command = cmd;       /* goes on until a command comes */
}

static void keyboard_command(struct ps2 *d, uint8_t cmd)
{
    static const uint8_t all_types[4] = { KT_TYPEMATIC, KT_BREAK, 0, KT_TYPEMATIC | KT_BREAK };
    switch (cmd) {
    case 0xee:
        reply(d, 0xee);
        return;
    case 0xf2:
        reply(d, ACK);
        reply(d, 0xab);
        reply(d, 0x83);
        return;
    case 0xed: case 0xf0: case 0xf3: case 0xfb: case 0xfc: case 0xfd:
        d->command = cmd;
        break;
    case 0xf4:
        clear_events(d);
        d->enabled = 1;
        break;
    case 0xf5: case 0xf6:
        keyboard_defaults(d);
        d->enabled = cmd == 0xf6;
        break;
    case 0xf7: case 0xf8: case 0xf9: case 0xfa:
        memset(d->key_type, all_types[cmd - 0xf7], sizeof(d->key_type));
        break;
    case RESEND:
        reply(d, d->last);
        return;
    case 0xff:
        keyboard_defaults(d);
        d->leds = 0;
        d->enabled = 1;
        reply(d, ACK);
        reply(d, BAT_OK);
        return;
    default:
        log_msg(LOG_GUEST, "ps/2 keyboard: unknown command %02x", cmd);
        reply(d, RESEND);
        return;
    }
    reply(d, ACK);
}

/* ---- mouse ---- */

static int clamp(int v, int low, int high)
{
    return v < low ? low : v > high ? high : v;
}

/* 2:1 scaling of small movements (Mouse reference, "Set scaling 2:1"); stream mode only. */
static int scale(const struct ps2 *d, int v)
{
    static const uint8_t to[6] = { 0, 1, 1, 3, 6, 9 };
    int a = v < 0 ? -v : v;
    if (!d->scaling2 || d->remote)
        return v;
    a = a < 6 ? to[a] : 2 * a;
    return v < 0 ? -a : a;
}

/* A movement packet from what has added up; what does not fit stays for the next. */
static unsigned mouse_packet(struct ps2 *d, uint8_t *b)
{
    int dx = clamp(d->dx, -127, 127), dy = clamp(d->dy, -127, 127), dz = clamp(d->dz, -7, 7);
    d->dx -= dx;
    d->dy -= dy;
    d->dz -= dz;
    d->sent_buttons = d->buttons;
    int x = clamp(scale(d, dx), -256, 255), y = clamp(scale(d, -dy), -256, 255);
    b[0] = (uint8_t)(0x08 | (d->buttons & 7) | (x < 0 ? 0x10 : 0) | (y < 0 ? 0x20 : 0));
    b[1] = (uint8_t)x;
    b[2] = (uint8_t)y;
    if (d->id == 0)
        return 3;
    b[3] = d->id == 3 ? (uint8_t)dz : (uint8_t)((dz & 15) | (d->buttons >> 3 & 3) << 4);
    return 4;
}

static void mouse_stream(struct ps2 *d)
{
    uint8_t b[4];
    bool news = d->dx || d->dy || (d->id && d->dz) || d->buttons != d->sent_buttons;
    if (!d->enabled || d->remote || d->wrap || !news || d->event_count || d->repeat.due != UINT64_MAX)
        return;
    queue(d, b, mouse_packet(d, b), EVENTS);
    timer_set(&d->repeat, clock_now(d->clock) + 1000000000u / d->rate);
}

void ps2_mouse(struct ps2 *d, int dx, int dy, int dz, unsigned buttons)
{
    trace_ps2_mouse(dx, dy, dz, buttons);
    d->dx = clamp(d->dx + clamp(dx, -4096, 4096), -4096, 4096);
    d->dy = clamp(d->dy + clamp(dy, -4096, 4096), -4096, 4096);
    d->dz = clamp(d->dz + clamp(dz, -64, 64), -64, 64);
    d->buttons = buttons & 0x1f;
    mouse_stream(d);
    tell(d);
}

static void mouse_defaults(struct ps2 *d)
{
    d->rate = 100;
    d->resolution = 2;
    d->scaling2 = d->remote = d->wrap = d->enabled = 0;
    d->dx = d->dy = d->dz = 0;
    clear_events(d);
    timer_cancel(&d->repeat);
}

static void mouse_rate(struct ps2 *d, uint8_t rate)
{
    if (d->knock[0] == 200 && d->knock[1] == 100 && rate == 80)
        d->id = 3;
    else if (d->knock[0] == 200 && d->knock[1] == 200 && rate == 80 && d->id == 3)
        d->id = 4;
    d->knock[0] = d->knock[1];
    d->knock[1] = rate;
    d->rate = rate;
}

static void mouse_command(struct ps2 *d, uint8_t cmd)
{
    uint8_t b[4], l = d->buttons;
    unsigned n;
    if (d->wrap && cmd != 0xec && cmd != 0xff) {
        reply(d, cmd);
        return;
    }
    if (cmd == RESEND) {
        reply(d, d->last);
        return;
    }
    reply(d, ACK);
    switch (cmd) {
    case 0xe6: d->scaling2 = 0; break;
    case 0xe7: d->scaling2 = 1; break;
    case 0xe8: case 0xf3:
        d->command = cmd;
        break;
    case 0xe9:                  /* buttons here: left in bit 2, right in bit 0 */
        reply(d, (uint8_t)((l & 1) << 2 | (l & 4) >> 1 | (l & 2) >> 1 | d->scaling2 << 4 |
                           d->enabled << 5 | d->remote << 6));
        reply(d, d->resolution);
        reply(d, d->rate);
        break;
    case 0xea: d->remote = 0; break;
    case 0xeb:
        n = mouse_packet(d, b);
        for (unsigned i = 0; i < n; i++)
            reply(d, b[i]);
        break;
    case 0xec: d->wrap = 0; break;
    case 0xee: d->wrap = 1; break;
    case 0xf0: d->remote = 1; break;
    case 0xf2: reply(d, d->id); break;
    case 0xf4:
        d->enabled = 1;
        d->dx = d->dy = d->dz = 0;      /* what moved before was not reported for a reason */
        break;
    case 0xf5: d->enabled = 0; break;
    case 0xf6: mouse_defaults(d); break;
    case 0xff:
        mouse_defaults(d);
        d->id = 0;
        d->knock[0] = d->knock[1] = 0;
        reply(d, BAT_OK);
        reply(d, 0x00);
        break;
    default:
        log_msg(LOG_GUEST, "ps/2 mouse: unknown command %02x", cmd);
        d->reply_count = 0;
        reply(d, RESEND);
        break;
    }
}

static void mouse_parameter(struct ps2 *d, uint8_t cmd, uint8_t val)
{
    static const uint8_t rates[] = { 10, 20, 40, 60, 80, 100, 200 };
    bool good = cmd == 0xe8 ? val <= 3 : memchr(rates, val, sizeof(rates)) != NULL;

    if (good && cmd == 0xe8)
        d->resolution = val;
    else if (good)
        mouse_rate(d, val);
    else
        log_msg(LOG_GUEST, "ps/2 mouse: %s %u: there is no such", cmd == 0xe8 ? "resolution" : "sample rate",
                val);
    reply(d, good ? ACK : RESEND);
}

/* ---- the cable ---- */

void ps2_host_write(struct ps2 *d, uint8_t byte)
{
    uint8_t cmd = d->command;
    trace_ps2_command(d->is_mouse, byte);
    d->command = 0;
    if (byte != RESEND)
        d->reply_count = 0;     /* whatever the host did not fetch, it gave up */
    /* On the keyboard EDh and above are commands even where a parameter is awaited; the mouse's
     * parameters are all smaller too. */
    if (d->is_mouse) {
        if (!cmd)
            clear_events(d);    /* half-fetched packets end with a command */
        if (cmd && byte < 0xe6)
            mouse_parameter(d, cmd, byte);
        else
            mouse_command(d, byte);
    } else if (cmd && byte < 0xed) {
        keyboard_parameter(d, cmd, byte);
    } else {
        keyboard_command(d, byte);
    }
    tell(d);
}

uint8_t ps2_next_byte(struct ps2 *d)
{
    if (d->reply_count) {
        d->last = d->reply[d->reply_head];
        d->reply_head = (d->reply_head + 1) % REPLIES;
        d->reply_count--;
    } else if (d->event_count) {
        d->last = d->event[d->event_head];
        d->event_head = (d->event_head + 1) % EVENTS;
        d->event_count--;
    }
    trace_ps2_byte(d->is_mouse, d->last);
    if (d->is_mouse)
        mouse_stream(d);        /* the next packet; who fetches looks again by itself */
    else
        give_keys(d);
    return d->last;
}

/* Power-on; the BAT's AAh is not queued: the 8042's own self-test has swallowed it. */
static void ps2_reset(void *dev)
{
    struct ps2 *d = dev;
    d->reply_count = d->command = 0;
    clear_events(d);
    d->leds = 0;
    if (d->is_mouse) {
        mouse_defaults(d);
        d->id = d->knock[0] = d->knock[1] = 0;
    } else {
        keyboard_defaults(d);
        d->enabled = 1;
    }
}

static void ps2_loaded(void *dev)
{
    struct ps2 *d = dev;
    d->set = d->set ? d->set : 2;
    count_keys(d);
    if (d->is_mouse && !d->rate)
        d->rate = 100;
    timer_set(&d->repeat, d->repeat.due);
}

static const struct field ps2_state[] = {
    FIELD_ARRAY(struct ps2, reply), FIELD_MAX(struct ps2, reply_head, REPLIES - 1),
    FIELD_MAX(struct ps2, reply_count, REPLIES),
    FIELD_ARRAY(struct ps2, event), FIELD_MAX(struct ps2, event_head, EVENTS - 1),
    FIELD_MAX(struct ps2, event_count, EVENTS),
    FIELD(struct ps2, command), FIELD(struct ps2, last), FIELD(struct ps2, enabled),
    FIELD_MAX(struct ps2, set, 3), FIELD(struct ps2, leds), FIELD(struct ps2, typematic),
    FIELD_MAX(struct ps2, repeat_key, KEYS - 1), FIELD(struct ps2, repeat.due), FIELD_ARRAY(struct ps2, down),
    FIELD_ARRAY(struct ps2, pending), FIELD(struct ps2, pending_head), FIELD_MAX(struct ps2, pending_count, PENDING),
    FIELD_ARRAY(struct ps2, key_type), FIELD(struct ps2, id), FIELD(struct ps2, rate),
    FIELD(struct ps2, resolution), FIELD(struct ps2, scaling2), FIELD(struct ps2, remote),
    FIELD(struct ps2, wrap), FIELD_ARRAY(struct ps2, knock), FIELD(struct ps2, buttons),
    FIELD(struct ps2, sent_buttons), FIELD(struct ps2, dx), FIELD(struct ps2, dy),
    FIELD(struct ps2, dz), FIELD_END
};

static const struct chip keyboard_chip = {
    "ps2-keyboard", sizeof(struct ps2), ps2_reset, ps2_state, ps2_loaded
};
static const struct chip mouse_chip = { "ps2-mouse", sizeof(struct ps2), ps2_reset, ps2_state, ps2_loaded };

static struct ps2 *make(struct chip_list *chips, const struct chip *type, const char *name,
                        struct clock *clock)
{
    struct ps2 *d = chip_new(chips, type, name);
    d->clock = clock;
    d->is_mouse = type == &mouse_chip;
    d->set = 2;
    timer_init(&d->repeat, clock, repeat_fire, d);
    ps2_reset(d);
    return d;
}

struct ps2 *ps2_keyboard_new(struct chip_list *chips, const char *name, struct clock *clock)
{
    return make(chips, &keyboard_chip, name, clock);
}

struct ps2 *ps2_mouse_new(struct chip_list *chips, const char *name, struct clock *clock)
{
    return make(chips, &mouse_chip, name, clock);
}

/* ---- for displays ---- */

static void input_from_key(void *dev, unsigned key, bool down)
{
    ps2_key(dev, key, down);
}

static unsigned leds(void *dev)
{
    return ps2_leds(dev);
}

static void input_from_mouse(void *dev, int dx, int dy, int dz, unsigned buttons)
{
    ps2_mouse(dev, dx, dy, dz, buttons);
}

const struct input_device ps2_keyboard_input = { .key = input_from_key, .leds = leds };
const struct input_device ps2_mouse_input = { .move = input_from_mouse };
