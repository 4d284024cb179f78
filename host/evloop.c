/*
 * evloop.c - ppoll over the watched descriptors, with the next deadline of the virtual clock as the
 * time-out.
 *
 * Lost wake-ups cannot happen: deadlines change under the device lock; the loop announces under that
 * lock that it is about to sleep until a certain time (`sleep_until`), and whoever then sets an
 * earlier deadline writes to the eventfd that the loop polls.  While the loop is awake nobody needs
 * to write: it looks again before it sleeps.
 *
 * Watched descriptors are removed in two steps (marked, then freed by the loop itself), because a
 * callback may remove any of them.
 */
#ifndef _GNU_SOURCE             /* ppoll */
#define _GNU_SOURCE
#endif
#include "host/evloop.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "hw/clock.h"

#define AWAKE 0
#define NEVER UINT64_MAX

struct evfd {
    struct evloop *loop;
    int fd;
    short events;
    bool removed;
    void (*ready)(void *arg, short revents);
    void *arg;
};

struct evloop {
    struct clock *clock;
    pthread_mutex_t *lock;
    int wake_fd;
    atomic_bool stopping;
    uint64_t sleep_until;       /* CLOCK_MONOTONIC ns, AWAKE or NEVER; device lock */
    struct evfd **fds;
    unsigned nfds, cap;
    struct pollfd *polls;       /* polls[0] is wake_fd, polls[i + 1] belongs to fds[i]; then those of sources */
    unsigned npolls, polls_cap;
    struct evsource *sources;
    struct evdelay *delays;
    void (*on_quit)(void *arg);
    void *quit_arg;
    bool stdio_claimed;
};

uint64_t evloop_now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

struct evloop *evloop_new(void)
{
    struct evloop *l = calloc(1, sizeof(*l));
    if (!l)
        die(EXIT_CODE_HOST, "out of memory for the event loop");
    l->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (l->wake_fd < 0)
        die(EXIT_CODE_HOST, "cannot make an eventfd: %s", strerror(errno));
    /* The kernel may round sleeps up by 50 us by default: guest timers want better. */
    prctl(PR_SET_TIMERSLACK, 1000ul, 0ul, 0ul, 0ul);
    return l;
}

void evloop_free(struct evloop *l)
{
    if (!l)
        return;
    if (l->clock)
        clock_on_earlier(l->clock, NULL, NULL);
    for (unsigned i = 0; i < l->nfds; i++)
        free(l->fds[i]);
    close(l->wake_fd);
    free(l->fds);
    free(l->polls);
    free(l);
}

void evloop_wake(struct evloop *l)
{
    uint64_t one = 1;
    int saved = errno;          /* may run in a signal handler */
    while (write(l->wake_fd, &one, sizeof(one)) < 0 && errno == EINTR)
        ;
    errno = saved;
}

/* A deadline changed, device lock held: wake a loop that would sleep past it. */
static void wake_sleeper(struct evloop *l)
{
    if (l->sleep_until == AWAKE)
        return;
    l->sleep_until = AWAKE;
    evloop_wake(l);
}

static void clock_earlier(void *arg)
{
    wake_sleeper(arg);
}

void evloop_attach(struct evloop *l, struct clock *clock, pthread_mutex_t *device_lock)
{
    l->clock = clock;
    l->lock = device_lock;
    if (clock)
        clock_on_earlier(clock, clock_earlier, l);
}

struct evfd *evloop_add(struct evloop *l, int fd, short events, void (*ready)(void *, short), void *arg)
{
    struct evfd *e = calloc(1, sizeof(*e));
    if (l->nfds == l->cap) {
        l->cap = l->cap * 2 + 8;
        l->fds = realloc(l->fds, l->cap * sizeof(*l->fds));
    }
    if (!e || !l->fds)
        die(EXIT_CODE_HOST, "out of memory for the event loop");
    *e = (struct evfd){ l, fd, events, false, ready, arg };
    l->fds[l->nfds++] = e;
    wake_sleeper(l);
    return e;
}

void evloop_change(struct evfd *e, short events)
{
    if (e->events == events)
        return;
    e->events = events;
    wake_sleeper(e->loop);
}

void evloop_remove(struct evfd *e)
{
    e->removed = true;
    wake_sleeper(e->loop);
}

static void sweep(struct evloop *l)
{
    unsigned n = 0;
    for (unsigned i = 0; i < l->nfds; i++) {
        if (l->fds[i]->removed)
            free(l->fds[i]);
        else
            l->fds[n++] = l->fds[i];
    }
    l->nfds = n;
}

/* ---- sources ---- */

void evloop_source(struct evloop *l, struct evsource *s)
{
    s->next = l->sources;
    l->sources = s;
    wake_sleeper(l);
}

void evloop_source_remove(struct evloop *l, struct evsource *s)
{
    struct evsource **p = &l->sources;

    while (*p && *p != s)
        p = &(*p)->next;
    if (*p)
        *p = s->next;
}

int evloop_poll_fd(struct evloop *l, int fd, short events)
{
    if (l->npolls == l->polls_cap) {
        l->polls_cap = l->polls_cap * 2 + 16;
        l->polls = realloc(l->polls, l->polls_cap * sizeof(*l->polls));
        if (!l->polls)
            die(EXIT_CODE_HOST, "out of memory for the event loop");
    }
    l->polls[l->npolls] = (struct pollfd){ fd, events, 0 };
    return (int)l->npolls++;
}

short evloop_revents(struct evloop *l, int number)
{
    return number >= 0 && (unsigned)number < l->npolls ? l->polls[number].revents : 0;
}

/* ---- delays ---- */

void evloop_delay(struct evloop *l, struct evdelay *d, uint64_t ns)
{
    if (d->due)
        return;
    d->due = evloop_now() + ns;
    d->next = l->delays;
    l->delays = d;
    if (d->due < l->sleep_until)
        wake_sleeper(l);
}

void evloop_delay_cancel(struct evloop *l, struct evdelay *d)
{
    for (struct evdelay **p = &l->delays; *p; p = &(*p)->next) {
        if (*p == d) {
            *p = d->next;
            break;
        }
    }
    d->due = 0;
}

static uint64_t next_delay(const struct evloop *l)
{
    uint64_t due = NEVER;
    for (const struct evdelay *d = l->delays; d; d = d->next)
        due = d->due < due ? d->due : due;
    return due;
}

static void run_delays(struct evloop *l)
{
    uint64_t now = evloop_now();
    for (struct evdelay *d = l->delays, *next; d; d = next) {
        next = d->next;
        if (d->due <= now) {
            evloop_delay_cancel(l, d);
            d->fire(d->arg);
        }
    }
}

/* ---- the loop ---- */

void evloop_on_quit(struct evloop *l, void (*fn)(void *), void *arg)
{
    l->on_quit = fn;
    l->quit_arg = arg;
}

void evloop_quit(struct evloop *l)
{
    if (l->on_quit)
        l->on_quit(l->quit_arg);
    else
        evloop_stop(l);
}

bool evloop_claim_stdio(struct evloop *l)
{
    bool was = l->stdio_claimed;
    l->stdio_claimed = true;
    return !was;
}

void evloop_stop(struct evloop *l)
{
    atomic_store(&l->stopping, true);
    evloop_wake(l);
}

static void lock(struct evloop *l)
{
    if (l->lock)
        pthread_mutex_lock(l->lock);
}

static void unlock(struct evloop *l)
{
    if (l->lock)
        pthread_mutex_unlock(l->lock);
}

bool evloop_enter(struct evloop *l)
{
    return l->lock && pthread_mutex_trylock(l->lock) == 0;
}

void evloop_leave(struct evloop *l)
{
    pthread_mutex_unlock(l->lock);
}

/* Nanoseconds to sleep: to the virtual clock's or a delay's deadline. */
static uint64_t sleep_ns(struct evloop *l, uint64_t max_ns)
{
    uint64_t ns = max_ns, due = next_delay(l);
    if (l->clock) {
        uint64_t wait = clock_wait(l->clock);
        ns = wait < ns ? wait : ns;
    }
    if (due != NEVER) {
        uint64_t now = evloop_now(), wait = due > now ? due - now : 0;
        ns = wait < ns ? wait : ns;
    }
    return ns;
}

bool evloop_step(struct evloop *l, uint64_t max_ns)
{
    lock(l);
    sweep(l);
    unsigned n = l->nfds;
    l->npolls = 0;
    evloop_poll_fd(l, l->wake_fd, POLLIN);
    for (unsigned i = 0; i < n; i++) {
        /* Without events the descriptor is left out: an error condition would spin. */
        evloop_poll_fd(l, l->fds[i]->events ? l->fds[i]->fd : -1, l->fds[i]->events);
    }
    uint64_t ns = sleep_ns(l, max_ns);
    for (struct evsource *s = l->sources; s; s = s->next)
        s->prepare(s->arg, &ns);
    l->sleep_until = ns == NEVER ? NEVER : evloop_now() + ns;
    unlock(l);

    struct timespec ts = { (time_t)(ns / 1000000000u), (long)(ns % 1000000000u) };
    int got = 0;
    if (!atomic_load(&l->stopping))
        got = ppoll(l->polls, l->npolls, ns == NEVER ? NULL : &ts, NULL);

    lock(l);
    l->sleep_until = AWAKE;
    uint64_t count;
    if (got > 0 && l->polls[0].revents && read(l->wake_fd, &count, sizeof(count)) < 0)
        count = 0;              /* another round drained it */
    if (l->clock)
        clock_run(l->clock);
    run_delays(l);
    for (unsigned i = 0; got > 0 && i < n; i++) {
        struct evfd *e = l->fds[i];
        short revents = l->polls[i + 1].revents;
        if (revents && !e->removed && e->events)
            e->ready(e->arg, revents);
    }
    for (unsigned i = 0; got <= 0 && i < l->npolls; i++)
        l->polls[i].revents = 0;
    for (struct evsource *s = l->sources; s; s = s->next)
        s->done(s->arg);
    unlock(l);
    return !atomic_load(&l->stopping);
}

void evloop_run(struct evloop *l)
{
    while (evloop_step(l, UINT64_MAX))
        ;
}
