/*
 * clock.c - virtual time, timers and entropy: the one door through which the outside world's time and
 * randomness enter the machine (docs/design.md, section 8), so that a recorder can stand here.
 *
 * What comes through it is a struct clock_source's, which main chooses.  clock_now(), clock_tsc() and
 * clock_entropy() may be called from any thread (RDTSC, RDRAND); all else needs the device
 * lock.  Invariant: the timer list is sorted by key, and a timer is in the list exactly when its key is not
 * UINT64_MAX.
 *
 * Virtual time follows the machine
 * --------------------------------
 * A real processor has every nanosecond that its clocks count.  Ours shares the host's with others: between
 * two of its instructions, or between a timer's deadline and the event loop's turn to fire it, there may be
 * 200 ms, or an hour if somebody stopped us.  If virtual time were the host's, the guest would see this: a
 * delay is over before a tick of it has come ("IO-APIC + timer doesn't work"), two clocks read in turn
 * differ by more than one of them can be wrong ("TSC unstable"), a task has not run for 20 s ("soft
 * lockup").  So virtual time is the host's with two rules, which hold for all that is made of it, TSC, APIC
 * timers, HPET, PIT, PM timer and RTC alike:
 *
 *   - It does not pass a deadline whose timer has not fired, nor a bound that a device has set, but by LEAD: no
 *     processor sees the effect missing.
 *   - It does not pass faster than 5/4 of the time that the processors have had, but by LEAD: a processor
 *     that was to take an interrupt has been able to before the next one comes.  Time had is CPU time (of
 *     the processor that had least) and time spent halted.
 *
 * LEAD and the quarter make both rules invisible on a host that is not overloaded: hiccups shorter than
 * LEAD change nothing, and a processor that gets four fifths of a host's has the host's time.
 *
 * What virtual time falls behind so is owed, up to LAG_MAX, and paid back where the rules allow, an eighth
 * faster than the host's time: the guest's clock is right again after a busy spell, and one that was
 * stopped for an hour makes up for a minute of it.
 *
 * In numbers: `budget` is what virtual time may advance without a look at the processors.  It grows by 5/4
 * of what they had, up to LEAD, and shrinks by what passes.  pace() does that arithmetic, at least each
 * GRACE, and where time stands at a reading, but no two within LOOK: a look costs system calls; between, clock_now() is the source's time less `origin`, up
 * to `limit`.  `seq` is odd while pace() changes these (a sequence lock, so that readers do not wait for
 * each other); since `limit` is never set beyond budget and deadline, no reading has to be taken back.
 */
#include "hw/clock.h"

#include <pthread.h>
#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/log.h"

#define RUNNING UINT64_MAX

#define LEAD      500000u               /* shorter than the period of any tick in use, 1 ms */
#define GRACE     500000u               /* how long a look at the processors holds */
#define LOOK      100000u               /* no second look before */
#define PAY_MAX   1000000u              /* paid back at once */
#define LAG_MAX   (60 * NS_PER_SEC)     /* more is not owed */
#define HELD_WAIT 200000u               /* the event loop sleeps so long while time stands */

struct clock {
    const struct clock_source *src;     /* NULL: manual */
    _Atomic unsigned seq;
    _Atomic uint64_t origin;    /* source's time / slowdown at virtual time 0 */
    _Atomic uint64_t limit;     /* source's time / slowdown up to which `origin` holds */
    _Atomic uint64_t frozen;    /* virtual time while paused (or manual), RUNNING otherwise */
    _Atomic bool held;          /* clock_hold() */
    _Atomic uint64_t next;      /* the first timer's key, or the first bound */
    unsigned slowdown;          /* source's nanoseconds a virtual one lasts */
    int64_t wall_ns;            /* wall clock at virtual time 0, ns since 1970 */
    int64_t zone_ns;            /* of that, the guest's zone */
    struct timer *timers;
    struct bound *bounds;
    uint64_t firing;            /* key of the timer that is just being fired, UINT64_MAX: none */
    void (*earlier)(void *arg);
    void *earlier_arg;
    pthread_mutex_t pace_lock;          /* guards what follows, and writes of origin and limit */
    uint64_t (*ran)(void *arg, uint64_t ns);    /* NULL: not paced */
    void *ran_arg;
    uint64_t checked, virt;     /* source's time / slowdown, and virtual time, of the last look */
    uint64_t budget, lag;
    pthread_mutex_t entropy_lock;
    unsigned entropy_left;
    uint64_t entropy[64];
    uint64_t random;            /* manual: state of the generator */
};

static uint64_t source_time(const struct clock *c)
{
    uint64_t ns = c->src->now(c->src->arg);
    return c->slowdown == 1 ? ns : ns / c->slowdown;
}

static struct clock *make(void)
{
    struct clock *c = calloc(1, sizeof(*c));
    if (!c)
        die(EXIT_CODE_HOST, "out of memory for the clock");
    pthread_mutex_init(&c->entropy_lock, NULL);
    pthread_mutex_init(&c->pace_lock, NULL);
    c->slowdown = 1;
    c->firing = UINT64_MAX;
    atomic_store(&c->next, UINT64_MAX);
    return c;
}

struct clock *clock_new(const struct clock_source *src)
{
    struct clock *c = make();
    c->src = src;
    atomic_store(&c->frozen, RUNNING);
    atomic_store(&c->origin, source_time(c));
    atomic_store(&c->limit, UINT64_MAX);
    c->wall_ns = src->wall(src->arg);
    return c;
}

struct clock *clock_new_manual(int64_t wall)
{
    struct clock *c = make();
    c->wall_ns = wall * (int64_t)NS_PER_SEC;
    return c;
}

void clock_free(struct clock *c)
{
    if (!c)
        return;
    pthread_mutex_destroy(&c->pace_lock);
    pthread_mutex_destroy(&c->entropy_lock);
    free(c);
}

/* ---- virtual time ---- */

static uint64_t min(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Furthest that virtual time may go now: LEAD behind the next deadline. */
static uint64_t horizon(const struct clock *c)
{
    uint64_t next = atomic_load(&c->next);
    return next > UINT64_MAX - LEAD ? UINT64_MAX : next + LEAD;
}

/* Virtual time is `virt` at the source's time `now`; pace_lock held. */
static void set_origin(struct clock *c, uint64_t now, uint64_t virt)
{
    uint64_t ahead = UINT64_MAX, end = horizon(c);
    if (c->ran)
        ahead = min(min(GRACE, c->budget), end > virt ? end - virt : 0);
    c->checked = now;
    c->virt = virt;
    atomic_fetch_add(&c->seq, 1);
    atomic_store(&c->origin, now - virt);
    atomic_store(&c->limit, ahead == UINT64_MAX ? ahead : now + ahead);
    atomic_fetch_add(&c->seq, 1);
}

/* The virtual time now, with a look at the processors.  False: it is not paced (any more), ask again. */
static bool pace(struct clock *c, uint64_t *virt)
{
    pthread_mutex_lock(&c->pace_lock);
    uint64_t now = source_time(c), gone = now - c->checked, end = horizon(c), had, step;
    uint64_t seen = min(now, atomic_load(&c->limit)) - c->checked;     /* what readers may have seen of it */
    if (!c->ran || atomic_load(&c->frozen) != RUNNING) {
        pthread_mutex_unlock(&c->pace_lock);
        return false;
    }
    if (gone < LOOK) {
        *virt = c->virt + seen;
        pthread_mutex_unlock(&c->pace_lock);
        return true;
    }
    had = min(c->ran(c->ran_arg, gone * c->slowdown) / c->slowdown, gone);
    c->budget += had + had / 4;
    step = min(gone + min(min(c->lag, gone / 8), PAY_MAX), c->budget);
    step = min(step, end > c->virt ? end - c->virt : 0);
    if (step < seen)            /* a deadline before what was seen has been set since */
        step = seen;
    c->lag = min(c->lag + gone - step, LAG_MAX);
    c->budget = min(c->budget - step, LEAD);
    *virt = c->virt + step;
    set_origin(c, now, *virt);
    pthread_mutex_unlock(&c->pace_lock);
    return true;
}

uint64_t clock_now(struct clock *c)
{
    for (;;) {
        uint64_t frozen = atomic_load_explicit(&c->frozen, memory_order_relaxed);
        if (frozen != RUNNING)
            return frozen;
        unsigned seq = atomic_load_explicit(&c->seq, memory_order_acquire);
        uint64_t origin = atomic_load_explicit(&c->origin, memory_order_relaxed);
        uint64_t limit = atomic_load_explicit(&c->limit, memory_order_relaxed);
        uint64_t now = source_time(c);
        atomic_thread_fence(memory_order_acquire);
        if ((seq & 1) || seq != atomic_load_explicit(&c->seq, memory_order_relaxed))
            continue;
        uint64_t virt = now - origin;
        if (now <= limit || pace(c, &virt))
            return virt;
    }
}

void clock_pace(struct clock *c, uint64_t (*ran)(void *arg, uint64_t ns), void *arg)
{
    uint64_t virt = clock_now(c);
    pthread_mutex_lock(&c->pace_lock);
    c->ran = ran;
    c->ran_arg = arg;
    c->budget = LEAD;
    c->lag = 0;
    if (ran)
        ran(arg, 0);
    if (atomic_load(&c->frozen) == RUNNING)
        set_origin(c, source_time(c), virt);
    pthread_mutex_unlock(&c->pace_lock);
}

void clock_set_slowdown(struct clock *c, unsigned n)
{
    uint64_t now = clock_now(c);
    pthread_mutex_lock(&c->pace_lock);
    c->slowdown = n;
    if (c->src)
        set_origin(c, source_time(c), now);
    pthread_mutex_unlock(&c->pace_lock);
}

void clock_pause(struct clock *c, bool paused)
{
    bool is_paused = atomic_load(&c->frozen) != RUNNING;
    if (!c->src || paused == is_paused || (!paused && atomic_load(&c->held)))
        return;
    if (paused) {
        atomic_store(&c->frozen, clock_now(c));
        return;
    }
    pthread_mutex_lock(&c->pace_lock);
    if (c->ran)
        c->ran(c->ran_arg, 0);
    set_origin(c, source_time(c), atomic_load(&c->frozen));
    atomic_store(&c->frozen, RUNNING);
    pthread_mutex_unlock(&c->pace_lock);
    if (c->earlier && c->timers)
        c->earlier(c->earlier_arg);
}

const struct field clock_fields[] = {
    FIELD(struct clock_state, now), FIELD(struct clock_state, wall), FIELD(struct clock_state, zone), FIELD_END
};

void clock_save(struct clock *c, struct clock_state *s)
{
    *s = (struct clock_state){ clock_now(c), c->wall_ns, c->zone_ns };
}

static bool is_time(int64_t ns)
{
    return ns >= -(int64_t)CLOCK_END && ns <= (int64_t)CLOCK_END;
}

const char *clock_check(const struct clock_state *s)
{
    if (s->now > CLOCK_END / 2)
        return "now is behind the end of time";
    return is_time(s->wall) && is_time(s->zone) ? NULL : "wall or zone is no time";
}

void clock_load(struct clock *c, const struct clock_state *s)
{
    assert(atomic_load(&c->frozen) != RUNNING);
    atomic_store(&c->frozen, s->now);
    c->wall_ns = s->wall;
    c->zone_ns = s->zone;
}

void clock_hold(struct clock *c, bool held)
{
    atomic_store(&c->held, held);
}

uint64_t clock_tsc(struct clock *c)
{
    return clock_now(c);
}

uint64_t clock_tsc_hz(struct clock *c)
{
    return NS_PER_SEC;
}

/* ---- wall clock ---- */

void clock_set_rtc(struct clock *c, int64_t base, bool localtime)
{
    if (base != INT64_MIN) {
        c->wall_ns = base * (int64_t)NS_PER_SEC;
        return;
    }
    if (!c->src)
        return;
    int64_t ns = c->src->wall(c->src->arg) - (int64_t)clock_now(c);
    if (localtime)
        c->zone_ns = c->src->zone(c->src->arg, ns / (int64_t)NS_PER_SEC) * (int64_t)NS_PER_SEC;
    c->wall_ns = ns + c->zone_ns;
}

int64_t clock_start_utc(struct clock *c)
{
    return c->wall_ns - c->zone_ns;
}

int64_t clock_wall(struct clock *c)
{
    return c->wall_ns / (int64_t)NS_PER_SEC;
}

int64_t clock_wall_ns(struct clock *c)
{
    return c->wall_ns + (int64_t)clock_now(c);
}

/* ---- timers ---- */

void timer_init(struct timer *t, struct clock *c, void (*fire)(void *dev), void *dev)
{
    *t = (struct timer){ .due = UINT64_MAX, .key = UINT64_MAX, .fire = fire, .dev = dev, .clock = c };
}

static uint64_t first_bound(const struct clock *c)
{
    uint64_t first = UINT64_MAX;

    for (const struct bound *b = c->bounds; b; b = b->next)
        first = min(first, b->due);
    return first;
}

static void first_changed(struct clock *c)
{
    uint64_t first = c->timers ? c->timers->key : UINT64_MAX;
    atomic_store(&c->next, min(min(first, c->firing), first_bound(c)));
}

void clock_bound(struct clock *c, struct bound *b, uint64_t due)
{
    struct bound **p = &c->bounds;
    bool was;

    while (*p && *p != b)
        p = &(*p)->next;
    was = *p != NULL;
    if (was)
        *p = b->next;
    b->due = due;
    if (due != UINT64_MAX) {
        b->next = c->bounds;
        c->bounds = b;
    }
    first_changed(c);
    if (was && c->earlier)      /* timers behind it are waited for again */
        c->earlier(c->earlier_arg);
}

static void timer_unlink(struct timer *t)
{
    if (t->key == UINT64_MAX)
        return;
    struct timer **p = &t->clock->timers;
    while (*p && *p != t)
        p = &(*p)->next;
    if (*p)
        *p = t->next;
    t->key = UINT64_MAX;
    first_changed(t->clock);
}

void timer_cancel(struct timer *t)
{
    timer_unlink(t);
    t->due = UINT64_MAX;
}

void timer_set(struct timer *t, uint64_t due)
{
    struct clock *c = t->clock;
    timer_unlink(t);
    t->due = t->key = due;
    if (due == UINT64_MAX)
        return;
    struct timer **p = &c->timers;
    while (*p && (*p)->key <= due)
        p = &(*p)->next;
    t->next = *p;
    *p = t;
    first_changed(c);
    if (c->timers == t && c->earlier)
        c->earlier(c->earlier_arg);
}

static bool is_paused(const struct clock *c)
{
    return c->src && atomic_load(&c->frozen) != RUNNING;
}

uint64_t clock_next(struct clock *c)
{
    return c->timers && !is_paused(c) ? c->timers->key : UINT64_MAX;
}

uint64_t clock_wait(struct clock *c)
{
    uint64_t next = clock_next(c), now = clock_now(c), wait;
    if (next == UINT64_MAX || next <= now)
        return next <= now ? 0 : UINT64_MAX;
    if (next > min(first_bound(c), UINT64_MAX - LEAD) + LEAD)
        return UINT64_MAX;      /* it does not get there by itself */
    wait = next - now;
    pthread_mutex_lock(&c->pace_lock);
    if (c->ran)                 /* while it pays back it gets there sooner */
        wait -= min(min(c->lag, wait / 9), PAY_MAX);
    if (c->ran && c->budget < min(wait, HELD_WAIT) && wait < HELD_WAIT)
        wait = HELD_WAIT;
    pthread_mutex_unlock(&c->pace_lock);
    return wait > UINT64_MAX / c->slowdown ? UINT64_MAX : wait * c->slowdown;
}

static void fire(struct timer *t)
{
    struct clock *c = t->clock;

    c->firing = t->key;                 /* until it has fired, and a periodic one is set again */
    timer_cancel(t);
    t->fire(t->dev);
    c->firing = UINT64_MAX;
    first_changed(c);
}

void timer_catch_up(struct timer *t)
{
    if (t->key != UINT64_MAX && t->key <= clock_now(t->clock))
        fire(t);
}

/* True: something was due. */
static bool fire_due(struct clock *c)
{
    /* The time is read once, and the number bounded: a timer whose guest-chosen period is shorter
     * than its handler must not hold the device lock for ever. */
    uint64_t now = clock_now(c);
    unsigned n = 0;
    for (; n < 64 && c->timers && c->timers->key <= now; n++)
        fire(c->timers);
    return n;
}

void clock_run(struct clock *c)
{
    /* What is due when time is stopped is due until it goes on, or somebody settles it: chips do nothing in a machine
     * that is being looked at, saved or sent. */
    if (!is_paused(c))
        fire_due(c);
}

bool clock_settle(struct clock *c)
{
    return fire_due(c);
}

void clock_advance(struct clock *c, uint64_t ns)
{
    uint64_t end = atomic_load(&c->frozen) + ns, bound = first_bound(c);

    end = min(end, bound > atomic_load(&c->frozen) ? bound : atomic_load(&c->frozen));
    while (c->timers && c->timers->key <= end) {
        if (c->timers->key > atomic_load(&c->frozen))
            atomic_store(&c->frozen, c->timers->key);
        clock_run(c);
    }
    atomic_store(&c->frozen, end);
}

void clock_advance_late(struct clock *c, uint64_t ns)
{
    atomic_fetch_add(&c->frozen, ns);
    clock_run(c);
}

void clock_on_earlier(struct clock *c, void (*fn)(void *), void *arg)
{
    c->earlier = fn;
    c->earlier_arg = arg;
}

/* ---- entropy ---- */

/* splitmix64 (Steele, Lea, Flood 2014) */
static uint64_t manual_random(struct clock *c)
{
    uint64_t z = c->random += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static void entropy_fill(struct clock *c)
{
    const unsigned n = sizeof(c->entropy) / sizeof(c->entropy[0]);
    if (c->src)
        c->src->entropy(c->src->arg, c->entropy, sizeof(c->entropy));
    else
        for (unsigned i = 0; i < n; i++)
            c->entropy[i] = manual_random(c);
    c->entropy_left = n;
}

uint64_t clock_entropy(struct clock *c)
{
    pthread_mutex_lock(&c->entropy_lock);
    if (!c->entropy_left)
        entropy_fill(c);
    uint64_t v = c->entropy[--c->entropy_left];
    c->entropy[c->entropy_left] = 0;        /* a used number is not kept around */
    pthread_mutex_unlock(&c->entropy_lock);
    return v;
}
