/*
 * control.c - see control.h.
 *
 * At most one pause (vcpus_pause()) is ours at a time: c->paused, guarded by c->mutex, since any thread may ask.
 * A request pauses at once in the thread that makes it and leaves the rest (waiting, telling) to the event loop,
 * which an eventfd wakes.
 */
#include "debug/control.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/log.h"
#include "host/evloop.h"

struct control {
    struct machine *m;
    const struct control_ops *ops;
    pthread_mutex_t mutex;              /* guards paused and request */
    bool paused;
    enum run_state request;             /* RUN_RUNNING: none */
    enum run_state state;
    int event;
    struct evfd *watch;
    struct control_watcher *watchers;
};

static void tell(struct control *c)
{
    for (struct control_watcher *w = c->watchers, *next; w; w = next) {
        next = w->next;                 /* it may leave */
        w->changed(w->arg, c->state);
    }
}

static void enter(struct control *c, enum run_state state)
{
    if (c->state == state)
        return;
    c->state = state;
    tell(c);
}

/* True: it ran. */
static bool pause_once(struct control *c)
{
    bool ran;

    pthread_mutex_lock(&c->mutex);
    ran = !c->paused;
    if (ran)
        c->ops->pause(c->m);
    c->paused = true;
    pthread_mutex_unlock(&c->mutex);
    return ran;
}

static void on_request(void *arg, short revents)
{
    struct control *c = arg;
    enum run_state why;
    uint64_t n;

    (void)revents;
    if (read(c->event, &n, sizeof(n)) != (ssize_t)sizeof(n))
        return;
    pthread_mutex_lock(&c->mutex);
    why = c->request;
    c->request = RUN_RUNNING;
    pthread_mutex_unlock(&c->mutex);
    if (why == RUN_RUNNING)
        return;                         /* somebody else has stopped or continued it meanwhile */
    c->ops->wait_still(c->m);
    enter(c, why);
}

struct control *control_new(struct machine *m, const struct control_ops *ops, enum run_state first)
{
    struct control *c = calloc(1, sizeof(*c));

    if (!c)
        die(EXIT_CODE_HOST, "out of memory for run control");
    c->m = m;
    c->ops = ops;
    c->state = first;
    c->paused = first != RUN_RUNNING;
    c->request = RUN_RUNNING;
    pthread_mutex_init(&c->mutex, NULL);
    c->event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (c->event < 0)
        die(EXIT_CODE_HOST, "cannot make an event descriptor: %s", strerror(errno));
    c->watch = evloop_add(m->loop, c->event, POLLIN, on_request, c);
    return c;
}

void control_free(struct control *c)
{
    if (!c)
        return;
    evloop_remove(c->watch);
    close(c->event);
    pthread_mutex_destroy(&c->mutex);
    free(c);
}

void control_watch(struct control *c, struct control_watcher *w)
{
    w->next = c->watchers;
    c->watchers = w;
}

void control_unwatch(struct control *c, struct control_watcher *w)
{
    for (struct control_watcher **p = &c->watchers; *p; p = &(*p)->next)
        if (*p == w) {
            *p = w->next;
            return;
        }
}

enum run_state control_state(const struct control *c)
{
    return c->state;
}

const char *control_state_name(enum run_state state)
{
    static const char *const names[] = {
#define X(name, text) text,
        RUN_STATES(X)
#undef X
    };
    return names[state];
}

void control_stop(struct control *c, enum run_state why)
{
    pause_once(c);
    pthread_mutex_lock(&c->mutex);
    c->request = RUN_RUNNING;           /* one that came at the same time is answered by this */
    pthread_mutex_unlock(&c->mutex);
    c->ops->wait_still(c->m);
    enter(c, why);
}

void control_settle(struct control *c)
{
    c->ops->wait_still(c->m);
}

void control_cont(struct control *c)
{
    bool go;

    /* Watchers first: what they note of the machine (its time, say) is of before it runs. */
    enter(c, RUN_RUNNING);
    pthread_mutex_lock(&c->mutex);
    go = c->paused && c->request == RUN_RUNNING;        /* a request that is still to be told of stays */
    if (go)
        c->paused = false;
    if (go)
        c->ops->resume(c->m);
    pthread_mutex_unlock(&c->mutex);
}

void control_act_as(struct control *c, int cpu)
{
    c->ops->act_as(c->m, cpu);
}

void control_request(struct control *c, enum run_state why)
{
    const uint64_t one = 1;
    bool ran;

    pthread_mutex_lock(&c->mutex);
    ran = !c->paused;
    if (ran) {
        c->ops->pause(c->m);
        c->paused = true;
        c->request = why;
    }
    pthread_mutex_unlock(&c->mutex);
    /* A full counter means that the loop will wake all the same. */
    if (ran && write(c->event, &one, sizeof(one)) < 0 && errno != EAGAIN)
        die(EXIT_CODE_HOST, "cannot wake the event loop: %s", strerror(errno));
}

void control_hold(struct control *c)
{
    if (!c)
        return;
    c->ops->pause(c->m);
    c->ops->wait_still(c->m);
}

void control_release(struct control *c)
{
    if (c)
        c->ops->resume(c->m);
}
