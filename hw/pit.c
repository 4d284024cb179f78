/*
 * pit.c - 8254 programmable interval timer (Intel 231164-005, "82C54 CHMOS Programmable Interval
 * Timer") and the PC's system control port B, 61h, which holds channel 2's gate.
 *
 * No counter is ever decremented: a channel remembers the input clock tick at which its counting
 * element was loaded, and count and OUT are computed from the ticks since then.  Invariant: whatever
 * reads or changes a channel calls settle() first, which makes a new count of modes 2 and 3 that
 * waited for the end of its (half) cycle the current one.  Only OUT of channel 0 has a timer behind
 * it; the others are computed when looked at.
 */
#include "hw/pit.h"

#include "base/log.h"
#include "base/trace.h"

enum { RW_LATCH, RW_LOW, RW_HIGH, RW_BOTH };

struct channel {
    uint64_t start;             /* tick at which `n` was loaded; counting = true only */
    uint64_t stopped;           /* gate low in modes 0 and 4: ticks counted so far */
    uint64_t next_at;           /* tick at which next_n takes over; next_n != 0 only */
    uint64_t told;              /* of the cycles since start: ticks given (channel 0) */
    uint32_t n, next_n;         /* 1-65536 (BCD: 1-10000); 0: none */
    uint8_t untold;             /* ticks from before start, not given yet */
    uint16_t latch;
    uint8_t cw;                 /* control word bits 5:0 as written */
    uint8_t low_byte;           /* the low byte of a count being written */
    uint8_t counting;           /* start is valid and the count runs (or stands, see stopped) */
    uint8_t gate;
    uint8_t write_high, read_high;      /* which byte comes next in RW_BOTH */
    uint8_t latched;            /* bytes of latch left to read */
    uint8_t latched_high;       /* the next one is the high byte */
    uint8_t status_latched, status;
    uint8_t half_written;       /* mode 0: the first byte of two stopped the count */
};

struct pit {
    struct clock *clock;
    struct irq irq0;
    struct timer timer;
    struct channel ch[3];
    uint8_t port61;             /* bits 3:0 as written */
    void (*speaker)(void *dev); /* told before what the speaker hears changes; NULL: nobody listens */
    void *speaker_dev;
};

static unsigned mode(const struct channel *c)
{
    unsigned m = (c->cw >> 1) & 7;
    return m > 5 ? m - 4 : m;   /* 6 and 7 are 2 and 3 */
}

static unsigned rw(const struct channel *c)
{
    return (c->cw >> 4) & 3;
}

static uint64_t ticks_at(uint64_t ns)
{
    return ns / 1000000000u * PIT_HZ + ns % 1000000000u * PIT_HZ / 1000000000u;
}

/* The first nanosecond of a tick. */
static uint64_t tick_ns(uint64_t tick)
{
    return tick / PIT_HZ * 1000000000u + (tick % PIT_HZ * 1000000000u + PIT_HZ - 1) / PIT_HZ;
}

static uint64_t now_tick(struct pit *p)
{
    return ticks_at(clock_now(p->clock));
}

/* ---- count and OUT as functions of time ---- */

/* The load lies ahead.  Compared as a difference: a low half of mode 3 taken over in a machine's
 * first moments has its start before tick 0. */
static bool ahead(const struct channel *c, uint64_t now)
{
    return (int64_t)(now - c->start) < 0;
}

/* Ticks since the load; a load that lies a tick ahead counts as 0. */
static uint64_t elapsed(const struct channel *c, uint64_t now)
{
    if ((mode(c) == 0 || mode(c) == 4) && (!c->gate || c->half_written))
        return c->stopped;
    return ahead(c, now) ? 0 : now - c->start;
}

/* Mode 3: ticks OUT is high in each cycle; an odd count gives the high half one more. */
static uint32_t high_ticks(uint32_t n)
{
    return (n + 1) / 2;
}

static void settle(struct channel *c, uint64_t now)
{
    if (!c->next_n || now < c->next_at)
        return;
    uint64_t start = c->next_at, cycles = (start - c->start) / c->n;
    c->untold = irq_owe(c->untold, cycles > c->told ? cycles - c->told : 0);
    c->told = 0;
    if (mode(c) == 3 && (c->next_at - c->start) % c->n != 0)
        start -= high_ticks(c->next_n);         /* taken over at the start of a low half */
    c->start = start;
    c->n = c->next_n;
    c->next_n = 0;
}

static bool out(const struct channel *c, uint64_t now)
{
    if (!c->counting)
        return mode(c) != 0;
    uint64_t e = elapsed(c, now);
    switch (mode(c)) {
    case 0: return e >= c->n;
    case 1: return ahead(c, now) || e >= c->n;
    case 2: return !c->gate || e % c->n != c->n - 1 || c->n == 1;
    case 3: return !c->gate || e % c->n < high_ticks(c->n);
    default: return e != c->n;
    }
}

/* The counting element as a number below 65536 or 10000. */
static uint32_t element(const struct channel *c, uint64_t now)
{
    uint32_t wrap = c->cw & 1 ? 10000 : 65536;
    if (!c->n)
        return 0;
    uint64_t e = c->counting ? elapsed(c, now) : 0;
    uint32_t v;
    switch (mode(c)) {
    case 2:
        v = c->n - (uint32_t)(c->gate ? e % c->n : 0);
        break;
    case 3: {
        uint32_t pos = (uint32_t)(c->gate ? e % c->n : 0);
        if (pos >= high_ticks(c->n))
            pos -= high_ticks(c->n);
        v = (c->n & ~1u) - 2 * pos;
        break;
    }
    default:
        v = (uint32_t)((c->n + (uint64_t)wrap - e % wrap) % wrap);
        break;
    }
    return v % wrap;
}

static uint16_t to_guest(const struct channel *c, uint32_t v)
{
    if (!(c->cw & 1))
        return (uint16_t)v;
    return (uint16_t)(v % 10 | v / 10 % 10 << 4 | v / 100 % 10 << 8 | v / 1000 % 10 << 12);
}

static uint32_t from_guest(const struct channel *c, uint16_t v)
{
    if (!(c->cw & 1))
        return v ? v : 65536;
    uint32_t n = (v & 15u) + (v >> 4 & 15u) * 10 + (v >> 8 & 15u) * 100 + (v >> 12) * 1000u;
    return n ? n : 10000;
}

/* The first tick after `now` at which OUT changes, UINT64_MAX if it stays. */
static uint64_t next_change(const struct channel *c, uint64_t now)
{
    if (!c->counting)
        return UINT64_MAX;
    uint64_t e = elapsed(c, now), at;
    switch (mode(c)) {
    case 0:
        return c->gate && !c->half_written && e < c->n ? c->start + c->n : UINT64_MAX;
    case 1:
        if (ahead(c, now))
            return c->start;
        return e < c->n ? c->start + c->n : UINT64_MAX;
    case 2:
        if (!c->gate || c->n == 1)
            return UINT64_MAX;
        /* The low pulse is one tick: the timer comes once, at its end, and makes both edges. */
        at = ahead(c, now) ? c->start + c->n : now - e % c->n + c->n;
        return at;
    case 3:
        if (!c->gate)
            return UINT64_MAX;
        if (ahead(c, now))
            return c->start + high_ticks(c->n);
        at = now - e % c->n;
        return at + (e % c->n < high_ticks(c->n) ? high_ticks(c->n) : c->n);
    default:
        if (!c->gate && mode(c) == 4)
            return UINT64_MAX;
        /* As in mode 2: both edges at the end of the one-tick strobe. */
        return e <= c->n ? c->start + c->n + 1 : UINT64_MAX;
    }
}

/* ---- channel 0's line ---- */

/* Rising edges of OUT in modes 2 and 3 that were not given: the end of each cycle is one. */
static unsigned new_ticks(struct channel *c, uint64_t now)
{
    unsigned n = c->untold;
    c->untold = 0;
    if ((mode(c) != 2 && mode(c) != 3) || !c->counting || !c->gate || c->n == 1)
        return n;
    uint64_t cycles = elapsed(c, now) / c->n;
    n = irq_owe(n, cycles > c->told ? cycles - c->told : 0);
    c->told = cycles;
    return n;
}

static void rearm(struct pit *p)
{
    struct channel *c = &p->ch[0];
    uint64_t now = now_tick(p);
    settle(c, now);
    unsigned n = new_ticks(c, now);
    if (n) {
        trace_pit_tick(n);
        irq_tick(&p->irq0, n);
    }
    irq_set(&p->irq0, out(c, now));
    uint64_t at = next_change(c, now);
    if (at == UINT64_MAX)
        timer_cancel(&p->timer);
    else
        timer_set(&p->timer, tick_ns(at > now ? at : now + 1));
}

static void fire(void *dev)
{
    struct pit *p = dev;
    if (mode(&p->ch[0]) >= 4)
        irq_set(&p->irq0, false);
    rearm(p);
}

/* ---- programming ---- */

static void load(struct channel *c, uint32_t n, uint64_t now)
{
    c->n = n;
    c->next_n = 0;
    c->start = now + 1;         /* the clock pulse after the write loads the counting element */
    c->stopped = c->told = 0;
    c->untold = 0;
    c->half_written = 0;
    c->counting = 1;
}

static void write_count(struct channel *c, uint16_t val, uint64_t now)
{
    uint32_t n = from_guest(c, val);
    unsigned m = mode(c);
    if (m == 1 || m == 5) {             /* taken over by the next trigger */
        if (c->counting)
            c->next_n = n, c->next_at = UINT64_MAX;
        else
            c->n = n;
    } else if ((m == 2 || m == 3) && c->counting && c->gate) {
        uint64_t e = elapsed(c, now);
        uint64_t cycle = now - e % c->n;
        if (ahead(c, now)) {
            load(c, n, now);            /* the first count was not even loaded */
            return;
        }
        c->next_n = n;
        if (m == 3 && e % c->n < high_ticks(c->n))
            c->next_at = cycle + high_ticks(c->n);
        else
            c->next_at = cycle + c->n;
        if (m == 3 && n == 1)
            c->next_at = cycle + c->n;
    } else {
        load(c, n, now);
    }
}

static void write_channel(struct channel *c, uint8_t val, uint64_t now)
{
    switch (rw(c)) {
    case RW_LOW:
        write_count(c, val, now);
        break;
    case RW_HIGH:
        write_count(c, (uint16_t)(val << 8), now);
        break;
    default:
        if (!c->write_high) {
            c->low_byte = val;
            c->write_high = 1;
            if (mode(c) == 0 && c->counting) {  /* OUT goes low and counting stops now */
                c->stopped = 0;
                c->half_written = 1;
            }
        } else {
            c->write_high = 0;
            write_count(c, (uint16_t)(val << 8 | c->low_byte), now);
        }
        break;
    }
}

/* Null count (status bit 6): the count written last is not in the counting element yet. */
static bool null_count(const struct channel *c, uint64_t now)
{
    return !c->counting || c->next_n || ahead(c, now);
}

static void latch_count(struct channel *c, uint64_t now)
{
    if (c->latched)
        return;                 /* a second latch command is ignored until the first is read */
    c->latch = to_guest(c, element(c, now));
    c->latched = rw(c) == RW_BOTH ? 2 : 1;
    c->latched_high = rw(c) == RW_HIGH || (rw(c) == RW_BOTH && c->read_high);
}

static void latch_status(struct channel *c, uint64_t now)
{
    if (c->status_latched)
        return;
    c->status_latched = 1;
    c->status = (uint8_t)(c->cw | null_count(c, now) << 6 | out(c, now) << 7);
}

static void write_control(struct pit *p, uint8_t val, uint64_t now)
{
    unsigned sel = val >> 6;
    if (sel == 3) {             /* read-back */
        for (unsigned i = 0; i < 3; i++) {
            if (!(val >> (i + 1) & 1))
                continue;
            settle(&p->ch[i], now);
            if (!(val & 0x20))
                latch_count(&p->ch[i], now);
            if (!(val & 0x10))
                latch_status(&p->ch[i], now);
        }
        return;
    }
    struct channel *c = &p->ch[sel];
    settle(c, now);
    if ((val >> 4 & 3) == RW_LATCH) {
        latch_count(c, now);
        return;
    }
    if (sel == 0)
        irq_tick(&p->irq0, 0);
    c->cw = val & 0x3f;
    c->counting = c->half_written = 0;
    c->next_n = 0;
    c->untold = 0;
    c->write_high = c->read_high = c->latched = c->status_latched = 0;
}

static uint8_t read_channel(struct channel *c, uint64_t now)
{
    if (c->status_latched) {
        c->status_latched = 0;
        return c->status;
    }
    uint16_t v;
    bool high;
    if (c->latched) {
        v = c->latch;
        high = c->latched_high;
        c->latched_high ^= 1;
        c->latched--;
    } else {
        v = to_guest(c, element(c, now));
        high = rw(c) == RW_HIGH || (rw(c) == RW_BOTH && c->read_high);
    }
    if (rw(c) == RW_BOTH)
        c->read_high ^= 1;
    return (uint8_t)(high ? v >> 8 : v);
}

static void set_gate(struct channel *c, bool gate, uint64_t now)
{
    unsigned m = mode(c);
    if (gate == c->gate)
        return;
    settle(c, now);
    if (!gate) {
        if (m == 0 || m == 4)
            c->stopped = elapsed(c, now);
        c->gate = 0;
        return;
    }
    c->gate = 1;
    if (m == 0 || m == 4) {
        c->start = now - c->stopped;
    } else if (c->n && (c->counting || m == 1 || m == 5)) {
        load(c, c->next_n ? c->next_n : c->n, now);     /* the trigger reloads */
    }
}

static void tell_speaker(struct pit *p)
{
    if (p->speaker)
        p->speaker(p->speaker_dev);
}

/* ---- ports ---- */

static uint64_t pit_read(void *dev, uint64_t off, unsigned size)
{
    struct pit *p = dev;
    if (off == 3)
        return 0xff;            /* the control word cannot be read */
    uint64_t now = now_tick(p);
    settle(&p->ch[off], now);
    return read_channel(&p->ch[off], now);
}

static void pit_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
    struct pit *p = dev;
    uint64_t now = now_tick(p);
    timer_catch_up(&p->timer);
    if (off >= 2)
        tell_speaker(p);
    if (off == 3) {
        write_control(p, (uint8_t)val, now);
    } else {
        settle(&p->ch[off], now);
        write_channel(&p->ch[off], (uint8_t)val, now);
        if (!p->ch[off].write_high)
            trace_pit_count((unsigned)off, mode(&p->ch[off]), p->ch[off].next_n ? p->ch[off].next_n : p->ch[off].n);
    }
    rearm(p);
}

/* Bit 4 toggles with every refresh request, that is, every cycle of channel 1. */
static uint64_t port61_read(void *dev, uint64_t off, unsigned size)
{
    struct pit *p = dev;
    uint64_t now = now_tick(p);
    struct channel *refresh = &p->ch[1], *speaker = &p->ch[2];
    settle(refresh, now);
    settle(speaker, now);
    unsigned toggle = refresh->counting ? (unsigned)(elapsed(refresh, now) / refresh->n) & 1 : 0;
    return (uint64_t)(p->port61 | toggle << 4 | (unsigned)out(speaker, now) << 5);
}

static void port61_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
    struct pit *p = dev;
    tell_speaker(p);
    p->port61 = (uint8_t)val & 0x0f;
    set_gate(&p->ch[2], val & 1, now_tick(p));
    tell_speaker(p);
}

void pit_speaker(struct pit *p, void (*change)(void *dev), void *dev)
{
    p->speaker = change;
    p->speaker_dev = dev;
}

bool pit_speaker_on(const struct pit *p)
{
    return p->port61 & 2;
}

bool pit_speaker_out(struct pit *p, uint64_t ns)
{
    struct channel *c = &p->ch[2];
    uint64_t tick = ticks_at(ns);
    settle(c, tick);
    return out(c, tick);
}

unsigned pit_speaker_hz(struct pit *p)
{
    struct channel *c = &p->ch[2];
    settle(c, now_tick(p));
    if ((p->port61 & 3) != 3 || !c->counting || mode(c) != 3)
        return 0;
    return PIT_HZ / c->n;
}

static void pit_reset(void *dev)
{
    struct pit *p = dev;
    /* The chip's own power-on state is undefined: this is what a PC's firmware leaves, because
     * directly booted kernels look for it (refresh toggling, an 18.2 Hz tick). */
    static const struct { uint8_t cw; uint32_t n; } init[3] = {
        { 0x36, 65536 }, { 0x14, 18 }, { 0x36, 65536 }
    };
    uint64_t now = now_tick(p);
    irq_tick(&p->irq0, 0);
    for (unsigned i = 0; i < 3; i++) {
        p->ch[i] = (struct channel){ .cw = init[i].cw, .gate = i != 2 };
        load(&p->ch[i], init[i].n, now);
    }
    p->port61 = 0;
    rearm(p);
}

static const char *pit_check(const void *dev)
{
    const struct pit *p = dev;

    for (unsigned i = 0; i < 3; i++)
        if (!p->ch[i].n && (p->ch[i].counting || p->ch[i].next_n))
            return "n is 0 of a channel that counts";
    return NULL;
}

static void pit_loaded(void *dev)
{
    struct pit *p = dev;
    for (unsigned i = 0; i < 3; i++) {
        struct channel *c = &p->ch[i];
        c->untold = irq_owe(0, c->untold);
    }
    rearm(p);
}

static const struct io_ops pit_ops = { pit_read, pit_write, 1, LOG_DEV_PIT };
static const struct io_ops port61_ops = { port61_read, port61_write, 1, LOG_DEV_PIT };

#define CHANNEL(i)                                                                          \
    FIELD(struct pit, ch[i].start), FIELD(struct pit, ch[i].stopped),                       \
    FIELD(struct pit, ch[i].next_at), FIELD_MAX(struct pit, ch[i].n, 65536),                \
    FIELD_MAX(struct pit, ch[i].next_n, 65536), FIELD(struct pit, ch[i].latch),             \
    FIELD(struct pit, ch[i].cw), FIELD(struct pit, ch[i].low_byte),                         \
    FIELD(struct pit, ch[i].counting), FIELD(struct pit, ch[i].gate),                       \
    FIELD(struct pit, ch[i].write_high), FIELD(struct pit, ch[i].read_high),                \
    FIELD(struct pit, ch[i].latched), FIELD(struct pit, ch[i].latched_high),                \
    FIELD(struct pit, ch[i].status_latched), FIELD(struct pit, ch[i].status),               \
    FIELD(struct pit, ch[i].half_written),                                                  \
    FIELD(struct pit, ch[i].told), FIELD(struct pit, ch[i].untold)

static const struct field pit_state[] = {
    CHANNEL(0), CHANNEL(1), CHANNEL(2), FIELD(struct pit, port61), FIELD_END
};

static const struct chip pit_chip = {
    "8254", sizeof(struct pit), pit_reset, pit_state, pit_loaded, .check = pit_check
};

struct pit *pit_new(struct chip_list *chips, struct ports *ports, struct clock *clock, struct irq irq0)
{
    struct pit *p = chip_new(chips, &pit_chip, "pit");
    p->clock = clock;
    p->irq0 = irq0;
    timer_init(&p->timer, clock, fire, p);
    ports_map(ports, 0x40, 4, &pit_ops, p, "pit");
    ports_map(ports, 0x61, 1, &port61_ops, p, "port 61h");
    pit_reset(p);
    return p;
}
