/*
 * evloop.h - the event loop: file descriptors, the virtual clock's timers, wake-ups.  It runs in the
 * main thread.
 *
 * Every callback is called with the device lock held.  Functions here are for the loop's own
 * thread, or for any thread that holds the device lock, except where they say more.
 */
#ifndef HOST_EVLOOP_H
#define HOST_EVLOOP_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct clock;
struct evloop;
struct evfd;                    /* one watched file descriptor */

struct evloop *evloop_new(void);
void evloop_free(struct evloop *);
/* The clock whose timers it runs (NULL: none) and the lock its callbacks need; call before evloop_run(). */
void evloop_attach(struct evloop *, struct clock *, pthread_mutex_t *device_lock);

/* events: POLLIN, POLLOUT or 0 (nothing, for now).  The callback gets poll's revents. */
struct evfd *evloop_add(struct evloop *, int fd, short events,
                        void (*ready)(void *arg, short revents), void *arg);
void evloop_change(struct evfd *, short events);
void evloop_remove(struct evfd *);

/* The host's time that delays are in: ns of CLOCK_MONOTONIC. Any thread, no lock needed. */
uint64_t evloop_now(void);
/* One-shot call after about `ns` of host time (for output batching, not for the guest). */
struct evdelay {
    uint64_t due;               /* CLOCK_MONOTONIC ns; 0: not armed */
    void (*fire)(void *arg);
    void *arg;
    struct evdelay *next;
};
void evloop_delay(struct evloop *, struct evdelay *, uint64_t ns);     /* no change if armed */
void evloop_delay_cancel(struct evloop *, struct evdelay *);

/* Descriptors of a library that wants to be asked for them before each sleep, and told of them after it. */
struct evsource {
    /* Calls evloop_poll_fd() for each; may shorten the sleep. */
    void (*prepare)(void *arg, uint64_t *sleep_ns);
    void (*done)(void *arg);    /* evloop_revents() of each */
    void *arg;
    struct evsource *next;
};
void evloop_source(struct evloop *, struct evsource *);
void evloop_source_remove(struct evloop *, struct evsource *);  /* not from its own functions */
int evloop_poll_fd(struct evloop *, int fd, short events);      /* returns the descriptor's number */
short evloop_revents(struct evloop *, int number);

/* Called when the user asks to leave (Ctrl-A x); main requests STOP_QUIT. */
void evloop_on_quit(struct evloop *, void (*fn)(void *arg), void *arg);
void evloop_quit(struct evloop *);
/* Standard input and output have one user: true for the first who asks. */
bool evloop_claim_stdio(struct evloop *);

/*
 * A thread of its own that has something for the machine may do what a callback would, without a change of threads, if
 * the device lock is free: true, and it has the lock until evloop_leave(). False: it must wake the loop instead. Any
 * thread.
 */
bool evloop_enter(struct evloop *);
void evloop_leave(struct evloop *);

void evloop_run(struct evloop *);       /* until evloop_stop() */
void evloop_stop(struct evloop *);      /* any thread, no lock needed */
void evloop_wake(struct evloop *);      /* any thread or signal handler: go round once */
/* One round, sleeping at most max_ns (UINT64_MAX: no bound). False after evloop_stop(). */
bool evloop_step(struct evloop *, uint64_t max_ns);

#endif
