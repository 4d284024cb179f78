/*
 * ioapic.c - I/O APIC (Intel 82093AA data sheet; version 20h adds the EOI
 * register at 40h, ICH9 data sheet 13.5).
 *
 * Inputs are given as "asserted", whatever the polarity bit says: boards wire
 * asserted lines and tables tell the guest the matching polarity.
 * Invariant: a level-triggered entry with Remote IRR set sends nothing until an
 * EOI for its vector has cleared it.
 */
#include <assert.h>

#include "base/log.h"
#include "base/trace.h"
#include "hw/ioapic.h"

#define RED_RIRR   (1ull << 14)
#define RED_LEVEL  (1ull << 15)
#define RED_MASKED (1ull << 16)
#define RED_WRITE  0xff0000000001afffull        /* delivery status and Remote IRR are read-only */

struct ioapic {
    struct apics *apics;
    uint8_t select;
    uint8_t id;
    uint8_t first_id;
    uint32_t level;             /* inputs asserted */
    uint64_t red[IOAPIC_PINS];
    uint64_t raised[IOAPIC_PINS];       /* how often, for who watches: not the guest's business */
};

static const struct field ioapic_state[] = {
    FIELD(struct ioapic, select), FIELD(struct ioapic, id), FIELD(struct ioapic, level),
    FIELD_ARRAY(struct ioapic, red), FIELD_END
};

/* ticks: how many edges of a periodic source this is, 0: not one. */
static void deliver(struct ioapic *s, unsigned pin, unsigned ticks)
{
    uint64_t r = s->red[pin];
    struct apic_msg g = { .dest = r >> 56, .logical = r >> 11 & 1, .level = r & RED_LEVEL,
                          .mode = r >> 8 & 7, .vector = r & 0xff,
                          .ticks = ticks };

    if (g.mode == APIC_SIPI || g.mode == APIC_RESERVED) {
        log_msg(LOG_GUEST, "ioapic: pin %u has delivery mode %u", pin, g.mode);
        return;
    }
    /* Only fixed and lowest priority can be level-triggered. */
    if (g.mode != APIC_FIXED && g.mode != APIC_LOWEST)
        g.level = false;
    trace_ioapic_send(pin, g.dest, g.mode, g.vector, g.level);
    if (apics_send(s->apics, &g) && g.level)
        s->red[pin] |= RED_RIRR;
}

/* A level-triggered pin sends while it is asserted, unmasked and not in service. */
static void level_check(struct ioapic *s, unsigned pin)
{
    uint64_t r = s->red[pin];

    if ((r & RED_LEVEL) && !(r & (RED_MASKED | RED_RIRR)) && (s->level >> pin & 1))
        deliver(s, pin, 0);
}

void ioapic_set(void *ioapic, int pin, bool level)
{
    struct ioapic *s = ioapic;
    uint32_t bit = 1u << pin;
    bool was = s->level & bit;

    assert(pin >= 0 && pin < IOAPIC_PINS);
    if (level != was) {
        log_dev(IOAPIC, "pin %d %s", pin, level ? "up" : "down");
        trace_ioapic_pin(pin, level);
    }
    s->raised[pin] += level && !was;
    s->level = level ? s->level | bit : s->level & ~bit;
    if (s->red[pin] & RED_LEVEL)
        level_check(s, pin);
    else if (level && !was && !(s->red[pin] & RED_MASKED))
        deliver(s, pin, 0);
}

/* What an edge-triggered entry's local APICs owe is forgotten. */
static void forget(struct ioapic *s, uint64_t r)
{
    if (!(r & RED_LEVEL))
        apics_forget(s->apics, r & 0xff);
}

void ioapic_tick(void *ioapic, int pin, unsigned n)
{
    struct ioapic *s = ioapic;

    if (!n) {
        forget(s, s->red[pin]);
    } else if (s->red[pin] & RED_LEVEL) {
        ioapic_set(s, pin, true);
    } else {
        log_dev(IOAPIC, "pin %d: %u ticks", pin, n);
        trace_ioapic_tick(pin, n);
        s->level |= 1u << pin;
        s->raised[pin] += n;
        if (!(s->red[pin] & RED_MASKED))
            deliver(s, pin, n);
    }
}

static void ioapic_eoi(void *dev, uint8_t vector)
{
    struct ioapic *s = dev;

    for (unsigned pin = 0; pin < IOAPIC_PINS; pin++)
        if ((s->red[pin] & RED_RIRR) && (s->red[pin] & 0xff) == vector) {
            trace_ioapic_eoi(pin, vector);
            s->red[pin] &= ~RED_RIRR;
            level_check(s, pin);
        }
}

static uint32_t reg_read(struct ioapic *s)
{
    unsigned n = s->select;

    switch (n) {
    case 0:
    case 2:
        return (uint32_t)s->id << 24;
    case 1:
        return 0x20 | (IOAPIC_PINS - 1) << 16;
    }
    if (n >= 0x10 && n < 0x10 + 2 * IOAPIC_PINS)
        return s->red[(n - 0x10) / 2] >> (n & 1 ? 32 : 0);
    return 0;
}

static void reg_write(struct ioapic *s, uint32_t val)
{
    unsigned n = s->select, pin;
    uint64_t old, new;

    if (n == 0) {
        s->id = val >> 24 & 15;
        return;
    }
    if (n < 0x10 || n >= 0x10 + 2 * IOAPIC_PINS)
        return;
    pin = (n - 0x10) / 2;
    old = s->red[pin];
    new = n & 1 ? (old & 0xffffffffu) | (uint64_t)val << 32 : (old & ~0xffffffffull) | val;
    new = (new & RED_WRITE) | (old & ~RED_WRITE);
    if (!(new & RED_LEVEL))
        new &= ~RED_RIRR;       /* software that lacks the EOI register clears it so */
    s->red[pin] = new;
    if (!(old & RED_MASKED) && ((new & RED_MASKED) || (old ^ new) & 0xff))
        forget(s, old);
    level_check(s, pin);
}

static uint64_t ioapic_read(void *dev, uint64_t off, unsigned size)
{
    struct ioapic *s = dev;

    switch (off & 0xff) {
    case 0x00:
        return s->select;
    case 0x10:
        return reg_read(s);
    }
    return 0;
}

static void ioapic_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
    struct ioapic *s = dev;

    switch (off & 0xff) {
    case 0x00:
        s->select = val;
        break;
    case 0x10:
        reg_write(s, val);
        break;
    case 0x40:
        ioapic_eoi(s, val);
        break;
    }
}

static void ioapic_reset(void *dev)
{
    struct ioapic *s = dev;

    s->select = 0;
    s->id = s->first_id;
    s->level = 0;
    for (unsigned i = 0; i < IOAPIC_PINS; i++)
        s->red[i] = RED_MASKED;
}

static void ioapic_info(const void *dev, struct text *t)
{
    static const char *const modes[] = {
        "fixed", "lowest", "SMI", "reserved", "NMI", "INIT", "SIPI", "ExtINT"
    };
    const struct ioapic *s = dev;

    text_say(t, "ioapic: id %u, register %02x is selected\n", s->id, s->select);
    for (unsigned i = 0; i < IOAPIC_PINS; i++) {
        uint64_t r = s->red[i];

        text_say(t, "  pin %2u: %016llx vector %02llx %-8s %-5s to %s %02llx%s%s%s", i, (unsigned long long)r,
                 (unsigned long long)(r & 0xff), modes[r >> 8 & 7], r & RED_LEVEL ? "level" : "edge",
                 r >> 11 & 1 ? "logical" : "APIC", (unsigned long long)(r >> 56),
                 r & RED_MASKED ? " masked" : "", r & RED_RIRR ? " in service" : "",
                 s->level >> i & 1 ? " asserted" : "");
        text_say(t, s->raised[i] ? ", raised %llu times\n" : "\n", (unsigned long long)s->raised[i]);
    }
}

static const struct io_ops ioapic_ops = { ioapic_read, ioapic_write, 4, LOG_DEV_IOAPIC };
static const struct chip ioapic_chip = {
    "ioapic", sizeof(struct ioapic), ioapic_reset, ioapic_state, .info = ioapic_info
};

struct ioapic *ioapic_new(struct chip_list *chips, struct phys *phys, uint64_t base,
                          struct apics *apics, unsigned id)
{
    struct ioapic *s = chip_new(chips, &ioapic_chip, "ioapic");
    struct map *map = phys_map_io(phys, base, PAGE_SIZE, &ioapic_ops, s, "ioapic");

    assert(map);
    s->apics = apics;
    s->first_id = id;
    apics_on_eoi(apics, ioapic_eoi, s);
    ioapic_reset(s);
    return s;
}
