/*
 * clock.c - virtual time, timers and entropy: the one door through which the outside world's time and
 * randomness enter the machine (docs/design.md, section 8), so that a recorder can stand here.
 *
 * Virtual time = host's CLOCK_MONOTONIC / slowdown - origin; while paused it is frozen.  clock_now(), clock_tsc()
 * and clock_entropy() may be called from any thread without a lock (RDTSC, RDRAND); all else needs
 * the device lock.  Invariant: the timer list is sorted by key, and a timer is in the list exactly
 * when its key is not UINT64_MAX.
 */
#include "hw/clock.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

#include "base/log.h"

#define RUNNING UINT64_MAX

struct clock {
    _Atomic uint64_t origin;    /* CLOCK_MONOTONIC / slowdown at virtual time 0 */
    _Atomic uint64_t frozen;    /* virtual time while paused (or manual), RUNNING otherwise */
    unsigned slowdown;          /* host nanoseconds a virtual one lasts */
    bool manual;
    int64_t wall_ns;            /* wall clock at virtual time 0, ns since 1970 */
    struct timer *timers;
    void (*earlier)(void *arg);
    void *earlier_arg;
    pthread_mutex_t entropy_lock;
    unsigned entropy_left;
    uint64_t entropy[64];
};

static uint64_t host_ns(clockid_t id)
{
    struct timespec ts;
    clock_gettime(id, &ts);
    return (uint64_t)ts.tv_sec * NS_PER_SEC + (uint64_t)ts.tv_nsec;
}

static uint64_t host_time(const struct clock *c)
{
    uint64_t ns = host_ns(CLOCK_MONOTONIC);
    return c->slowdown == 1 ? ns : ns / c->slowdown;
}

struct clock *clock_new(void)
{
    struct clock *c = calloc(1, sizeof(*c));
    if (!c)
        die(EXIT_CODE_HOST, "out of memory for the clock");
    pthread_mutex_init(&c->entropy_lock, NULL);
    c->slowdown = 1;
    atomic_store(&c->frozen, RUNNING);
    atomic_store(&c->origin, host_time(c));
    c->wall_ns = (int64_t)host_ns(CLOCK_REALTIME);
    return c;
}

struct clock *clock_new_manual(int64_t wall)
{
    struct clock *c = clock_new();
    c->manual = true;
    atomic_store(&c->frozen, 0);
    c->wall_ns = wall * (int64_t)NS_PER_SEC;
    return c;
}

void clock_free(struct clock *c)
{
    if (!c)
        return;
    pthread_mutex_destroy(&c->entropy_lock);
    free(c);
}

uint64_t clock_now(struct clock *c)
{
    uint64_t frozen = atomic_load_explicit(&c->frozen, memory_order_relaxed);
    if (frozen != RUNNING)
        return frozen;
    return host_time(c) - atomic_load_explicit(&c->origin, memory_order_relaxed);
}

void clock_set_slowdown(struct clock *c, unsigned n)
{
    uint64_t now = clock_now(c);
    c->slowdown = n;
    if (!c->manual)
        atomic_store(&c->origin, host_time(c) - now);
}

uint64_t clock_host_ns(const struct clock *c, uint64_t ns)
{
    return ns > UINT64_MAX / c->slowdown ? UINT64_MAX : ns * c->slowdown;
}

void clock_pause(struct clock *c, bool paused)
{
    bool is_paused = atomic_load(&c->frozen) != RUNNING;
    if (c->manual || paused == is_paused)
        return;
    if (paused) {
        atomic_store(&c->frozen, clock_now(c));
    } else {
        atomic_store(&c->origin, host_time(c) - atomic_load(&c->frozen));
        atomic_store(&c->frozen, RUNNING);
        if (c->earlier && c->timers)
            c->earlier(c->earlier_arg);
    }
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
    int64_t ns = (int64_t)host_ns(CLOCK_REALTIME) - (int64_t)clock_now(c);
    if (localtime) {
        time_t t = (time_t)(ns / (int64_t)NS_PER_SEC);
        struct tm tm;
        if (localtime_r(&t, &tm))
            ns += (int64_t)tm.tm_gmtoff * (int64_t)NS_PER_SEC;
    }
    c->wall_ns = ns;
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
    if (c->timers == t && c->earlier)
        c->earlier(c->earlier_arg);
}

uint64_t clock_next(struct clock *c)
{
    if (!c->timers || (!c->manual && atomic_load(&c->frozen) != RUNNING))
        return UINT64_MAX;
    return c->timers->key;
}

void clock_run(struct clock *c)
{
    /* The time is read once, and the number bounded: a timer whose guest-chosen period is shorter
     * than its handler must not hold the device lock for ever. */
    uint64_t now = clock_now(c);
    for (unsigned n = 0; n < 64 && c->timers && c->timers->key <= now; n++) {
        struct timer *t = c->timers;
        timer_cancel(t);
        t->fire(t->dev);
    }
}

void clock_advance(struct clock *c, uint64_t ns)
{
    uint64_t end = atomic_load(&c->frozen) + ns;
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

static void entropy_fill(struct clock *c)
{
    unsigned char *p = (unsigned char *)c->entropy;
    size_t left = sizeof(c->entropy);
    while (left) {
        ssize_t n = getrandom(p, left, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            die(EXIT_CODE_HOST, "the host gives no random numbers (getrandom failed)");
        p += n;
        left -= (size_t)n;
    }
    c->entropy_left = sizeof(c->entropy) / sizeof(c->entropy[0]);
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
