/*
 * hpet.c - high precision event timers (IA-PC HPET specification 1.0a).
 *
 * The main counter is virtual time: counter + (now - base) / 10 ns while running,
 * `counter` while halted.  Each comparator has one host-side timer, armed
 * for the next match; MSI (FSB) delivery is not offered.
 */
#include <assert.h>

#include "base/log.h"
#include "base/trace.h"
#include "hw/hpet.h"

#define CFG_ENABLE 1u
#define CFG_LEGACY 2u

#define T_LEVEL    (1u << 1)
#define T_ENABLE   (1u << 2)
#define T_PERIODIC (1u << 3)
#define T_CAP_PER  (1u << 4)
#define T_CAP_64   (1u << 5)
#define T_VAL_SET  (1u << 6)
#define T_32       (1u << 8)
#define T_ROUTE_SHIFT 9
#define T_WRITE    (T_LEVEL | T_ENABLE | T_PERIODIC | T_VAL_SET | T_32 | 31u << T_ROUTE_SHIFT)

/* I/O APIC inputs the comparators may use: 20-23, which nothing else on the board drives, and 2,
 * where the timer interrupt is in legacy mode. */
#define ROUTES 0x00f00004u

/* Shortest period honoured, so that a guest cannot keep the event loop busy for good. */
#define MIN_PERIOD 1000u        /* counts: 10 us */

struct comparator {
    struct hpet *hpet;
    unsigned index;
    struct timer timer;
};

struct hpet {
    struct clock *clock;
    struct hpet_lines lines;
    uint64_t config, status;
    uint64_t counter;           /* value at `base`, or while halted */
    uint64_t base;              /* while running: the virtual ns at which it was `counter` */
    uint64_t tconfig[HPET_TIMERS], compare[HPET_TIMERS], period[HPET_TIMERS];
    uint8_t driven[HPET_TIMERS];        /* the comparator's output (level-triggered mode) */
    uint8_t in[2];              /* the PIT's and the RTC's outputs */
    struct comparator t[HPET_TIMERS];
};

static const struct field hpet_state[] = {
    FIELD(struct hpet, config), FIELD(struct hpet, status), FIELD(struct hpet, counter),
    FIELD(struct hpet, base), FIELD_ARRAY(struct hpet, tconfig), FIELD_ARRAY(struct hpet, compare),
    FIELD_ARRAY(struct hpet, period), FIELD_ARRAY(struct hpet, driven), FIELD_ARRAY(struct hpet, in),
    FIELD_END
};

static bool running(const struct hpet *s)
{
    return s->config & CFG_ENABLE;
}

static uint64_t count(const struct hpet *s)
{
    return s->counter + (running(s) ? (clock_now(s->clock) - s->base) / HPET_NS : 0);
}

static bool is32(const struct hpet *s, unsigned n)
{
    return s->tconfig[n] & T_32;
}

/* Drive the output of comparator n. */
static void drive(struct hpet *s, unsigned n, bool level)
{
    unsigned route = s->tconfig[n] >> T_ROUTE_SHIFT & 31;

    if ((s->config & CFG_LEGACY) && n < 2)
        irq_set(n == 0 ? &s->lines.irq0 : &s->lines.irq8, level);
    else if (ROUTES >> route & 1 && s->lines.gsi.set)
        s->lines.gsi.set(s->lines.gsi.to, route, level);
}

/* The same for edges of a periodic comparator (dev.h). */
static void drive_ticks(struct hpet *s, unsigned n, unsigned ticks)
{
    unsigned route = s->tconfig[n] >> T_ROUTE_SHIFT & 31;

    if ((s->config & CFG_LEGACY) && n < 2) {
        irq_tick(n == 0 ? &s->lines.irq0 : &s->lines.irq8, ticks);
    } else if (ROUTES >> route & 1 && s->lines.gsi.set) {
        struct irq gsi = s->lines.gsi;

        gsi.line = (int)route;
        irq_tick(&gsi, ticks);
    }
}

/* Comparator n is about to be programmed anew. */
static void forget(struct hpet *s, unsigned n)
{
    if ((s->tconfig[n] & (T_ENABLE | T_PERIODIC | T_LEVEL)) == (T_ENABLE | T_PERIODIC))
        drive_ticks(s, n, 0);
}

static void lower(struct hpet *s, unsigned n)
{
    if (s->driven[n]) {
        s->driven[n] = 0;
        drive(s, n, false);
    }
}

/* Counts until comparator n matches next: 1 .. 2^64-1 (2^32 in 32-bit mode). */
static uint64_t until(const struct hpet *s, unsigned n)
{
    uint64_t d = s->compare[n] - count(s);

    if (is32(s, n))
        d = (uint32_t)d ? (uint32_t)d : 1ull << 32;
    return d ? d : UINT64_MAX;
}

static void arm(struct hpet *s, unsigned n)
{
    uint64_t d;

    if (!running(s)) {
        timer_cancel(&s->t[n].timer);
        return;
    }
    d = until(s, n);
    if (d > (UINT64_MAX / 4) / HPET_NS)
        timer_cancel(&s->t[n].timer);           /* centuries away */
    else
        timer_set(&s->t[n].timer, s->base + (count(s) - s->counter + d) * HPET_NS);
}

static void fire(void *dev)
{
    struct comparator *t = dev;
    struct hpet *s = t->hpet;
    unsigned n = t->index;
    uint64_t period = s->period[n], ticks = 0;

    if (!running(s))
        return;
    trace_hpet_fire(n, count(s));
    if ((s->tconfig[n] & T_PERIODIC) && period) {
        uint64_t late;

        if (period < MIN_PERIOD)
            period = (MIN_PERIOD + period - 1) / period * period;
        late = count(s) - s->compare[n];
        if (is32(s, n))
            late = (uint32_t)late;
        ticks = late / period + 1;
        s->compare[n] += ticks * period;
        if (is32(s, n))
            s->compare[n] = (uint32_t)s->compare[n];
    }
    if (s->tconfig[n] & T_LEVEL) {
        s->status |= 1u << n;
        if (s->tconfig[n] & T_ENABLE) {
            s->driven[n] = 1;
            drive(s, n, true);
        }
    } else if (s->tconfig[n] & T_ENABLE) {
        if (ticks)
            drive_ticks(s, n, ticks < IRQ_TICKS_MAX ? ticks : IRQ_TICKS_MAX);
        else
            drive(s, n, true);
        drive(s, n, false);
    }
    arm(s, n);
}

static void write_config(struct hpet *s, uint64_t val)
{
    uint64_t was = s->config;

    for (unsigned n = 0; n < HPET_TIMERS && ((was ^ val) & (CFG_LEGACY | CFG_ENABLE)); n++) {
        forget(s, n);
        if ((was ^ val) & CFG_LEGACY)
            lower(s, n);
    }
    if (!(val & CFG_ENABLE) && (was & CFG_ENABLE))
        s->counter = count(s);
    if ((val & CFG_ENABLE) && !(was & CFG_ENABLE))
        s->base = clock_now(s->clock);
    s->config = val & (CFG_ENABLE | CFG_LEGACY);
    if ((was ^ s->config) & CFG_LEGACY) {
        /* The ISA lines change hands: what their new owner drives now. */
        bool legacy = s->config & CFG_LEGACY;

        irq_set(&s->lines.irq0, !legacy && s->in[0]);
        irq_set(&s->lines.irq8, !legacy && s->in[1]);
    }
    for (unsigned n = 0; n < HPET_TIMERS; n++)
        arm(s, n);
}

static void write_timer_config(struct hpet *s, unsigned n, uint64_t val)
{
    uint64_t was = s->tconfig[n];
    unsigned route = val >> T_ROUTE_SHIFT & 31;

    forget(s, n);
    if (!(ROUTES >> route & 1))                 /* 2.3.8: an unsupported route does not stick */
        val = (val & ~(31ull << T_ROUTE_SHIFT)) | (was & 31ull << T_ROUTE_SHIFT);
    if ((was ^ val) & (T_ENABLE | T_LEVEL | 31u << T_ROUTE_SHIFT))
        lower(s, n);
    s->tconfig[n] = (val & T_WRITE) | (was & ~(uint64_t)T_WRITE);
    if (is32(s, n)) {
        s->compare[n] = (uint32_t)s->compare[n];
        s->period[n] = (uint32_t)s->period[n];
    }
    if ((s->tconfig[n] & T_LEVEL) && (s->tconfig[n] & T_ENABLE) && s->status >> n & 1) {
        s->driven[n] = 1;
        drive(s, n, true);
    }
    arm(s, n);
}

/*
 * 2.3.9.2.2: in periodic mode a write sets the accumulator only if VAL_SET is on
 * (which the write clears) and the period in any case.  Half writes see the
 * registers as two words.
 */
static void write_compare(struct hpet *s, unsigned n, uint64_t val)
{
    if (is32(s, n))
        val = (uint32_t)val;
    forget(s, n);
    if (s->tconfig[n] & T_PERIODIC) {
        s->period[n] = val;
        if (s->tconfig[n] & T_VAL_SET)
            s->compare[n] = val;
    } else {
        s->compare[n] = s->period[n] = val;
    }
    s->tconfig[n] &= ~(uint64_t)T_VAL_SET;
    arm(s, n);
}

static uint64_t reg_read(struct hpet *s, uint64_t reg)
{
    unsigned n = (reg - 0x100) / 0x20;

    switch (reg) {
    case 0x00:          /* period in fs, Intel, legacy replacement, 64 bits, timers, revision 1 */
        return (uint64_t)HPET_NS * 1000000 << 32 | 0x8086u << 16 | 1u << 15 | 1u << 13
               | (HPET_TIMERS - 1) << 8 | 1;
    case 0x10:
        return s->config;
    case 0x20:
        return s->status;
    case 0xf0:
        return count(s);
    }
    if (reg >= 0x100 && n < HPET_TIMERS)
        switch (reg & 0x1f) {
        case 0x00:
            return s->tconfig[n];
        case 0x08:
            return s->compare[n];
        }
    return 0;
}

static void reg_write(struct hpet *s, uint64_t reg, uint64_t val, unsigned shift, unsigned size)
{
    unsigned n = (reg - 0x100) / 0x20;
    uint64_t mask = size == 8 ? UINT64_MAX : 0xffffffffull << shift;

    val = size == 8 ? val : (val & 0xffffffffu) << shift;
    for (unsigned i = 0; i < HPET_TIMERS; i++)
        timer_catch_up(&s->t[i].timer);
    switch (reg) {
    case 0x10:
        write_config(s, (s->config & ~mask) | (val & mask));
        return;
    case 0x20:
        val &= s->status & mask;
        s->status &= ~val;
        for (unsigned i = 0; i < HPET_TIMERS; i++)
            if (val >> i & 1)
                lower(s, i);
        return;
    case 0xf0:
        if (running(s))
            log_msg(LOG_GUEST, "hpet: write to the running main counter");
        s->counter = (count(s) & ~mask) | val;
        s->base = clock_now(s->clock);
        for (unsigned i = 0; i < HPET_TIMERS; i++)
            arm(s, i);
        return;
    }
    if (reg < 0x100 || n >= HPET_TIMERS)
        return;
    switch (reg & 0x1f) {
    case 0x00:
        write_timer_config(s, n, (s->tconfig[n] & ~mask) | (val & mask));
        break;
    case 0x08:
        if (size == 8 || is32(s, n)) {
            if (!shift)
                write_compare(s, n, val);
        } else if (s->tconfig[n] & T_PERIODIC) {
            /* VAL_SET must outlive the first half. */
            uint64_t set = s->tconfig[n] & T_VAL_SET, p = s->period[n];

            forget(s, n);
            if (set)
                s->compare[n] = (s->compare[n] & ~mask) | val;
            s->period[n] = (p & ~mask) | val;
            if (shift)
                s->tconfig[n] &= ~(uint64_t)T_VAL_SET;
            arm(s, n);
        } else {
            write_compare(s, n, (s->compare[n] & ~mask) | val);
        }
        break;
    }
}

static uint64_t hpet_read(void *dev, uint64_t off, unsigned size)
{
    uint64_t v = reg_read(dev, off & ~(uint64_t)7);

    return size == 8 ? v : v >> (off & 4 ? 32 : 0) & 0xffffffffu;
}

static void hpet_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
    reg_write(dev, off & ~(uint64_t)7, val, off & 4 ? 32 : 0, size);
}

/* The PIT's (0) and the RTC's (1) outputs: blocked while the HPET owns their lines. */
static void legacy_in(void *dev, int line, bool level)
{
    struct hpet *s = dev;

    s->in[line] = level;
    if (!(s->config & CFG_LEGACY))
        irq_set(line == 0 ? &s->lines.irq0 : &s->lines.irq8, level);
}

static void legacy_ticks(void *dev, int line, unsigned n)
{
    struct hpet *s = dev;

    s->in[line] |= n != 0;
    if (!(s->config & CFG_LEGACY))
        irq_tick(line == 0 ? &s->lines.irq0 : &s->lines.irq8, n);
}

struct irq hpet_pit_in(struct hpet *s)
{
    return (struct irq){ legacy_in, s, 0, legacy_ticks };
}

struct irq hpet_rtc_in(struct hpet *s)
{
    return (struct irq){ legacy_in, s, 1, legacy_ticks };
}

static void hpet_reset(void *dev)
{
    struct hpet *s = dev;

    for (unsigned n = 0; n < HPET_TIMERS; n++) {
        lower(s, n);
        s->tconfig[n] = (uint64_t)ROUTES << 32 | T_CAP_PER | T_CAP_64;
        s->compare[n] = UINT64_MAX;
        s->period[n] = 0;
        timer_cancel(&s->t[n].timer);
    }
    s->config = s->status = s->counter = s->base = 0;
    s->in[0] = s->in[1] = 0;
}

static const char *hpet_check(const void *dev)
{
    const struct hpet *s = dev;

    for (unsigned n = 0; n < HPET_TIMERS; n++)
        if (is32(s, n) && (s->compare[n] | s->period[n]) >> 32)
            return "compare or period has 64 bits of a timer with 32";
    return NULL;
}

static void hpet_loaded(void *dev)
{
    struct hpet *s = dev;

    for (unsigned n = 0; n < HPET_TIMERS; n++)
        arm(s, n);
}

static const struct io_ops hpet_ops = { hpet_read, hpet_write, 4 | 8, LOG_DEV_HPET };
static const struct chip hpet_chip = {
    "hpet", sizeof(struct hpet), hpet_reset, hpet_state, hpet_loaded, .check = hpet_check
};

struct hpet *hpet_new(struct chip_list *chips, struct phys *phys, uint64_t base, struct clock *clock,
                      const struct hpet_lines *lines)
{
    struct hpet *s = chip_new(chips, &hpet_chip, "hpet");
    struct map *map = phys ? phys_map_io(phys, base, 1024, &hpet_ops, s, "hpet") : NULL;

    assert(map || !phys);
    s->clock = clock;
    s->lines = *lines;
    for (unsigned n = 0; n < HPET_TIMERS; n++) {
        s->t[n].hpet = s;
        s->t[n].index = n;
        timer_init(&s->t[n].timer, clock, fire, &s->t[n]);
    }
    hpet_reset(s);
    return s;
}
