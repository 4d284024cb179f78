/*
 * dev.h - what a chip is made of: interrupt lines, timers, I/O ports, state.
 *
 * A chip knows offsets and lines, never addresses and CPUs.  Its constructor
 * takes its lines, timers' clock and host endpoints, and is called only in a
 * board's wiring function (hw/board_*.c).  Chips are called with the machine's
 * device lock held.
 */
#ifndef HW_DEV_H
#define HW_DEV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/state.h"
#include "base/text.h"
#include "softmmu/softmmu.h"

/* ---- interrupt lines ---- */
struct irq {
    void (*set)(void *to, int line, bool level);
    void *to;
    int line;
    void (*tick)(void *to, int line, unsigned n);       /* NULL: nobody counts */
};
static inline void irq_set(const struct irq *q, bool level)
{
    if (q->set)
        q->set(q->to, q->line, level);
}

/*
 * Ticks: the edges of a periodic source, of which none may be lost.
 *
 * A guest that counts ticks takes them for time.  Real edges come so far apart that a processor has taken
 * one long before the next; ours may meet a vCPU that the host has not let run, or that is slow, and a
 * timer that fires late has several to give at once.  Interrupt controllers remember one edge a line, so
 * the rest would merge and the guest's time fall behind its other clocks (a Linux whose timer seems to make
 * fewer than five ticks in 40 panics).  The clock gives every vCPU the time to take a tick (clock.c), but
 * not one that needs longer than a period, as the first does whose handler must be translated.  So sources
 * say how many periods have ended, and the controllers owe what they cannot give: each acknowledge makes
 * the next one pending, and all are taken before the guest does anything else.  One-shot modes give plain
 * edges: two that merge are one event.
 *
 * At most IRQ_TICKS_MAX are owed: a guest that keeps interrupts off for long loses ticks on real hardware,
 * too, and must not be buried under them afterwards.
 */
#define IRQ_TICKS_MAX 250u

/* n rising edges, after which the line is high.  0: the source is programmed anew, forget what is owed. */
static inline void irq_tick(const struct irq *q, unsigned n)
{
    if (q->tick) {
        q->tick(q->to, q->line, n);
    } else if (n) {
        irq_set(q, false);
        irq_set(q, true);
    }
}

/* What is owed when n more are. */
static inline uint8_t irq_owe(unsigned owed, uint64_t n)
{
    return (uint8_t)(n < IRQ_TICKS_MAX - owed ? owed + n : IRQ_TICKS_MAX);
}

/* ---- virtual time and timers (clock.c) ---- */
struct clock;
/* All time enters here. Nanoseconds since the machine started, monotonic; stops while paused. */
uint64_t clock_now(struct clock *);
/* Wall-clock time of the guest's RTC at start, seconds since 1970 (-rtc base=). */
int64_t clock_wall(struct clock *);
/* The same in UTC, whatever zone the guest keeps its RTC in, in nanoseconds. */
int64_t clock_start_utc(struct clock *);
/* The guest TSC's unscaled source and its frequency (Hz). */
uint64_t clock_tsc(struct clock *);
uint64_t clock_tsc_hz(struct clock *);

struct timer {
    uint64_t due;               /* virtual ns; UINT64_MAX: not armed */
    uint64_t key;               /* `due` when it was listed: loading state may overwrite due */
    void (*fire)(void *dev);
    void *dev;
    struct clock *clock;
    struct timer *next;         /* the clock's sorted list */
};
void timer_init(struct timer *, struct clock *, void (*fire)(void *dev), void *dev);
void timer_set(struct timer *, uint64_t due);   /* absolute virtual ns */
void timer_cancel(struct timer *);
/*
 * Fire it if it is due. Before a guest's write changes what it is about: an event loop that is late would come behind the
 * write with what happened before it, or find nothing to do any more.
 */
void timer_catch_up(struct timer *);
/*
 * Where a device waits for the host, and its guest gives it up after a time that the host may exceed: virtual time stands at
 * `due` (as at a timer that has not fired) until that is another one, UINT64_MAX for none. Zeroed: none.
 */
struct bound {
    uint64_t due;
    struct bound *next;
};
void clock_bound(struct clock *, struct bound *, uint64_t due);
/* No virtual time is behind it (146 years), so that what is added to one does not wrap round. */
#define CLOCK_END (UINT64_MAX / 4)

void clock_free(struct clock *);
void clock_run(struct clock *);                 /* fire what is due, if time is not paused */
/*
 * Fire it, paused or not, some at a time: before the state is saved, since chips that are loaded take it that what was due
 * has been. False: nothing was.
 */
bool clock_settle(struct clock *);
/* Called when an earlier deadline than before was set (wakes the event loop). */
void clock_on_earlier(struct clock *, void (*fn)(void *), void *arg);
/* Entropy: the other input that must come through one door (RDRAND, virtio-rng). */
uint64_t clock_entropy(struct clock *);

/* ---- I/O ports: one 64 Ki table (ports.c) ---- */
struct ports;
struct ports *ports_new(void);
void ports_free(struct ports *);
/* Claim [base, base+len); dies naming both owners if one is taken. */
void ports_map(struct ports *, uint16_t base, unsigned len, const struct io_ops *, void *dev,
               const char *name);
bool ports_taken(struct ports *, uint16_t base, unsigned len);     /* some port has an owner */
void ports_unmap(struct ports *, uint16_t base, unsigned len);
void ports_info(const struct ports *, struct text *);
uint32_t ports_read(struct ports *, uint16_t port, unsigned size);      /* unclaimed: all ones */
void ports_write(struct ports *, uint16_t port, uint32_t val, unsigned size);

/* ---- chips; their state tables: base/state.h ---- */
struct chip {                   /* const description of a chip type */
    const char *name;
    size_t size;
    void (*reset)(void *dev);
    const struct field *state;
    void (*loaded)(void *dev);  /* after state was loaded: re-arm timers, drive lines; may be NULL */
    void (*free)(void *dev);    /* what it holds besides itself; may be NULL */
    void (*info)(const void *dev, struct text *);       /* tells a monitor how it is, in lines; may be NULL */
    /* Why its state cannot be saved now, for the user; NULL: it can. May be NULL: it always can. */
    const char *(*unsaveable)(void *dev);
    /*
     * What is wrong between fields, whose own bounds hold, by a field's name; NULL: nothing. `dev` is a copy with the
     * fields to be loaded: it may read its members and what it was wired to, but not what other chips hold, which is to be
     * loaded, too; nothing is changed. May be NULL: all is well.
     */
    const char *(*check)(const void *dev);
};
/* Instances a board made, in order; owned by the machine. */
struct chip_list;
struct chip_list *chips_new(void);
void chips_free(struct chip_list *);
void *chip_new(struct chip_list *, const struct chip *, const char *instance);  /* zeroed */
void chips_reset(struct chip_list *);
/* The chips of that type tell how they are (NULL: names and types of all); returns how many there are. */
unsigned chips_info(struct chip_list *, const char *type, struct text *);
/* NULL: all can be saved now. Otherwise why one cannot, and its name. */
const char *chips_unsaveable(struct chip_list *, const char **name);
/* Chips made from now on are of this group, and can be reset together; 0: of none. */
void chips_group(struct chip_list *, unsigned group);
unsigned chips_group_now(const struct chip_list *);
void chips_reset_group(struct chip_list *, unsigned group);
/* Serialised state (name-tagged, little-endian); size returned, *out malloc'ed. */
size_t chips_save(struct chip_list *, uint8_t **out);
/* NULL, or what is wrong: then nothing has changed. Checking only: the same answer. */
const char *chips_load(struct chip_list *, const uint8_t *, size_t);
const char *chips_check(struct chip_list *, const uint8_t *, size_t);

#endif
