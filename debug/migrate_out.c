/*
 * migrate_out.c - sending the machine (migrate.h).
 *
 * A thread of its own compresses and writes; it reads memory while the guest writes to it, which is right since what was
 * written is sent again (softmmu/track.c). Whatever is about the machine itself it asks the event loop for and waits:
 * which pages were written, the state of a machine that stands still, the images. So the loop never waits for the other
 * side.
 *
 *   thread                              loop
 *   connects                ASK_BEGIN   from now on pages are watched
 *   sends all memory        ASK_PAGES   those written since: not few yet
 *   sends these             ASK_PAGES   few: the machine stops; all that was written, and its state
 *   sends these             ASK_IMAGES  the images are let go of
 *   sends state, the end,
 *   reads the answer        ASK_DONE    the machine is there, or goes on here
 */
#include "debug/migrate_int.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/log.h"
#include "debug/control.h"
#include "debug/outside.h"
#include "debug/qmp_int.h"
#include "debug/snapshot_int.h"
#include "host/conduit.h"
#include "host/evloop.h"

enum ask { ASK_NOTHING, ASK_BEGIN, ASK_PAGES, ASK_IMAGES, ASK_DONE };
enum order { ORDER_NONE, ORDER_GO, ORDER_LAST, ORDER_LEAVE };

struct outgoing {
    struct migration *g;
    struct machine *m;
    char *uri;
    int given;                  /* what it names, by getfd; -1: nothing */
    enum snapshot_disks disks;
    pthread_t thread;
    pthread_mutex_t mutex;      /* guards the two */
    pthread_cond_t cond;
    enum ask ask;
    enum order order;
    int to_loop, cancel;        /* eventfds */
    struct evfd *watch;
    bool leave;                 /* the loop's: every answer from now on is ORDER_LEAVE */

    /* the thread's, or the loop's while that waits for it */
    struct conduit to;
    struct conduit_pace pace;
    struct snap_writer *w;
    uint8_t *ram;
    uint64_t len;
    uint64_t *pages;            /* to be sent: one bit each */
    size_t words;
    unsigned pass;
    _Atomic uint64_t sent, zero, pass_sent;     /* pages that were read, those of zeros among them; of this pass */
    _Atomic uint64_t bytes;     /* of the stream */
    uint64_t pass_begun, pass_ns;
    struct snapshot_states states;
    char error[512];            /* "": none */
    bool unknown;               /* all was sent, and nothing came back */

    /* the loop's */
    struct track *track;
    bool ran, stopped, lent;    /* ran: until we stopped it */
    uint64_t stopped_at;
};

/* ---- the thread ---- */

static void fail(struct outgoing *o, const char *text)
{
    if (!o->error[0])
        snprintf(o->error, sizeof(o->error), "%s", text);
}

/* Asks the loop, and waits for what it says. */
static enum order ask(struct outgoing *o, enum ask what)
{
    const uint64_t one = 1;
    enum order order;

    pthread_mutex_lock(&o->mutex);
    o->ask = what;
    o->order = ORDER_NONE;
    if (write(o->to_loop, &one, sizeof(one)) < 0 && errno != EAGAIN)
        die(EXIT_CODE_HOST, "cannot wake the event loop: %s", strerror(errno));
    while (!o->order)
        pthread_cond_wait(&o->cond, &o->mutex);
    order = o->order;
    pthread_mutex_unlock(&o->mutex);
    return order;
}

static int to_conduit(void *arg, const void *data, size_t len)
{
    struct outgoing *o = arg;

    o->pace.rate = o->g->limits.bandwidth;
    o->bytes += len;
    return conduit_write(&o->to, data, len, &o->pace, o->cancel);
}

static bool page_bit(const struct outgoing *o, uint64_t page)
{
    return o->pages[page / 64] >> (page % 64) & 1;
}

/* Pieces are runs of pages that are to be sent, and that are not. */
static int page_kind(void *arg, uint64_t off, uint64_t *len, enum snap_kind *kind)
{
    const struct outgoing *o = arg;
    bool send = page_bit(o, off / PAGE_SIZE);
    uint64_t n = PAGE_SIZE;

    if (o->pass == 0)           /* all of it: what was never written is left out */
        send = phys_ram_used(o->m->phys, 0, off, len);
    else
        while (n < *len && page_bit(o, (off + n) / PAGE_SIZE) == send)
            n += PAGE_SIZE;
    if (o->pass && n < *len)
        *len = n;
    *kind = send ? SNAP_DATA : SNAP_ABSENT;
    return 0;
}

/* A copy, which no longer changes while it is compressed. */
static const void *page_read(void *arg, uint64_t off, void *buf, size_t len)
{
    static const uint8_t zeros[PAGE_SIZE];
    struct outgoing *o = arg;

    memcpy(buf, o->ram + off, len);
    for (size_t at = 0; at < len; at += PAGE_SIZE)
        o->zero += memcmp((uint8_t *)buf + at, zeros, PAGE_SIZE) == 0;
    o->sent += len / PAGE_SIZE;
    o->pass_sent += len / PAGE_SIZE;
    return buf;
}

static void send_pages(struct outgoing *o)
{
    o->pass_begun = evloop_now();
    o->pass_sent = 0;
    snap_extents(o->w, "ram0", o->len, &(struct snap_source){
        page_kind, page_read, o, .zero_is_absent = o->pass == 0, .pieces = o->pass > 0 });
    o->pass_ns = evloop_now() - o->pass_begun;
    o->pass++;
}

/* What the other side says when it has had all. */
static void hear(struct outgoing *o)
{
    char said[MIGRATE_ANSWER + 1];
    size_t n = 0;
    int error = conduit_read_all(&o->to, said, MIGRATE_ANSWER, &n, o->cancel);

    said[n] = 0;
    if (error == 0 && strcmp(said, MIGRATE_YES) == 0)
        return;
    if (strncmp(said, MIGRATE_NO, strlen(MIGRATE_NO)) == 0) {
        said[strcspn(said, "\n")] = 0;
        fail(o, said + strlen(MIGRATE_NO));
        return;
    }
    o->unknown = true;
    fail(o, "all of it was sent, but the other side did not say whether it could be used; the machine stands still here: "
            "look there before 'cont'");
}

/* A write failed: perhaps since the other side has said why it wants no more. */
static void broken(struct outgoing *o, int error)
{
    if (error != -ECANCELED && o->to.answers) {
        hear(o);
        o->unknown = false;
        if (strncmp(o->error, "all of it", 9) != 0)
            return;
        o->error[0] = 0;
    }
    fail(o, error == -ECANCELED ? "cancelled" : strerror(-error));
}

static void send_all(struct outgoing *o)
{
    enum order order;
    int error;

    o->w = snap_begin(&(struct snap_sink){ to_conduit, o });
    snapshot_states_put(&o->states, o->w);
    do {
        send_pages(o);
        order = snap_error(o->w) ? ORDER_LEAVE : ask(o, ASK_PAGES);
    } while (order == ORDER_GO);
    if (order == ORDER_LAST) {
        send_pages(o);
        snapshot_put_memory(o->m, o->w, 1);
        snapshot_put_disks(o->m, o->w, o->disks);
        if (!snap_error(o->w))
            order = ask(o, ASK_IMAGES);
    }
    snapshot_states_put(&o->states, order == ORDER_LEAVE ? NULL : o->w);
    error = snap_end(o->w, NULL);
    if (order == ORDER_LEAVE && !error)
        error = -ECANCELED;
    if (error) {
        broken(o, error);
        return;
    }
    conduit_shut(&o->to);
    if (o->to.answers)
        hear(o);
}

static void *work(void *arg)
{
    struct outgoing *o = arg;
    char err[512];
    sigset_t all;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, NULL);
    if (!conduit_send(&o->to, o->uri, err, sizeof(err))) {
        fail(o, err);
    } else {
        o->pace.since = evloop_now();
        if (ask(o, ASK_BEGIN) == ORDER_GO)
            send_all(o);
        else
            fail(o, "cancelled");
        if (conduit_close(&o->to, !o->error[0], err, sizeof(err)) != 0)
            fail(o, err);
    }
    ask(o, ASK_DONE);
    return NULL;
}

/* ---- the loop ---- */

static uint64_t count(const uint64_t *bits, size_t words)
{
    uint64_t n = 0;

    for (size_t i = 0; i < words; i++)
        n += (uint64_t)__builtin_popcountll(bits[i]);
    return n;
}

static enum order begin(struct outgoing *o)
{
    struct migration *g = o->g;

    g->status.setup_ms = (evloop_now() - g->begun) / 1000000;
    control_hold(o->m->control);
    o->track = track_new(o->m->phys, o->ram, o->len);
    control_release(o->m->control);
    memset(o->pages, 0xff, o->words * sizeof(*o->pages));
    g->status.passes = 1;
    g->status.left = o->len;
    migrate_enter(g, MIGRATE_ACTIVE);
    return ORDER_GO;
}

/* The machine stands still: what else was written, and its state. */
static enum order stop_and_take(struct outgoing *o)
{
    struct reason why = { o->error, sizeof(o->error) };
    struct state_out run = { 0 };

    o->ran = control_state(o->m->control) == RUN_RUNNING;
    o->stopped_at = evloop_now();
    if (o->ran)
        control_stop(o->m->control, RUN_FINISH_MIGRATE);
    else
        control_settle(o->m->control);
    o->stopped = true;
    if (!snapshot_settle(o->m, why))
        return ORDER_LEAVE;
    track_take(o->track, o->pages);
    track_free(o->track);
    o->track = NULL;
    snapshot_states_take(o->m, &o->states);
    state_put_num(&run, o->ran, 1);
    snapshot_states_add(&o->states, "run", &run);
    migrate_enter(o->g, MIGRATE_DEVICE);
    return ORDER_LAST;
}

static enum order next_pages(struct outgoing *o)
{
    struct migrate_status *s = &o->g->status;
    uint64_t pages;
    double ms_a_page = (double)o->pass_ns / 1e6 / (double)(o->pass_sent ? o->pass_sent : 1), rest;

    memset(o->pages, 0, o->words * sizeof(*o->pages));
    track_take(o->track, o->pages);
    pages = count(o->pages, o->words);
    s->left = pages * PAGE_SIZE;
    s->dirty_rate = (uint64_t)((double)pages * 1e9 / (double)(o->pass_ns ? o->pass_ns : 1));
    rest = (double)pages * ms_a_page;
    s->downtime_ms = (uint64_t)rest;
    s->passes++;
    if (o->g->limits.events && o->m->monitors)
        qmp_tell(o->m, QMP_MIGRATION_PASS, json_pack("{s:I}", "pass", (json_int_t)s->passes));
    if (control_state(o->m->control) != RUN_RUNNING || rest <= o->g->limits.downtime)
        return stop_and_take(o);
    return ORDER_GO;
}

static enum order let_images_go(struct outgoing *o)
{
    o->lent = true;
    return !o->m->outside || o->disks != DISKS_SHARED || o->m->outside->disks(o->m, false, o->error, sizeof(o->error)) ?
        ORDER_GO : ORDER_LEAVE;
}

static void count_up(const struct outgoing *o, struct migrate_status *s)
{
    s->total_ms = (evloop_now() - o->g->begun) / 1000000;
    s->sent = o->bytes;
    s->pages = o->sent;
    s->zero_pages = o->zero;
    s->mbps = (double)o->bytes * 8e-3 / (double)(s->total_ms ? s->total_ms : 1);
}

/* It did not go elsewhere. */
static void stay(struct outgoing *o)
{
    char err[300];

    if (o->lent && o->disks == DISKS_SHARED && o->m->outside && !o->m->outside->disks(o->m, true, err, sizeof(err))) {
        size_t n = strlen(o->error);

        o->g->gone = true;
        control_stop(o->m->control, RUN_POSTMIGRATE);
        snprintf(o->error + n, sizeof(o->error) - n, "; it cannot go on here either: %s", err);
    } else if (o->ran && control_state(o->m->control) == RUN_FINISH_MIGRATE) {
        control_cont(o->m->control);
    }
}

/* The thread has nothing more to do. */
static void finish(struct outgoing *o)
{
    struct migration *g = o->g;
    char error[sizeof(o->error)];

    evloop_remove(o->watch);
    if (o->track) {
        control_hold(o->m->control);
        track_free(o->track);
        control_release(o->m->control);
    }
    if (!o->error[0] || o->unknown) {
        g->status.downtime_ms = (evloop_now() - o->stopped_at) / 1000000;
        g->status.left = 0;
        g->gone = true;
        control_stop(o->m->control, RUN_POSTMIGRATE);
    } else {
        stay(o);
    }
    count_up(o, &g->status);
    if (o->unknown)             /* and not just cancelled */
        g->status.state = MIGRATE_DEVICE;
    snprintf(error, sizeof(error), "%s", o->error);
    pthread_mutex_destroy(&o->mutex);
    pthread_cond_destroy(&o->cond);
    close(o->to_loop);
    close(o->cancel);
    free(o->pages);
    free(o->uri);
    if (o->given >= 0)
        close(o->given);
    free(o);
    g->out = NULL;
    migrate_tell(g, error[0] ? error : NULL);
}

static enum order answer(struct outgoing *o, enum ask what)
{
    if (o->leave)
        return ORDER_LEAVE;
    switch (what) {
    case ASK_BEGIN: return begin(o);
    case ASK_PAGES: return next_pages(o);
    case ASK_IMAGES: return let_images_go(o);
    default: return ORDER_GO;
    }
}

static void on_ask(void *arg, short revents)
{
    struct outgoing *o = arg;
    enum order order;
    enum ask what;
    uint64_t n;

    (void)revents;
    if (read(o->to_loop, &n, sizeof(n)) != (ssize_t)sizeof(n))
        return;
    pthread_mutex_lock(&o->mutex);
    what = o->ask;
    o->ask = ASK_NOTHING;
    pthread_mutex_unlock(&o->mutex);
    if (what == ASK_NOTHING)
        return;
    order = answer(o, what);
    pthread_mutex_lock(&o->mutex);
    o->order = order;
    pthread_cond_signal(&o->cond);
    pthread_mutex_unlock(&o->mutex);
    if (what == ASK_DONE) {
        pthread_join(o->thread, NULL);
        finish(o);
    }
}

static bool may_start(struct machine *m, const char *uri, char *err, size_t len)
{
    const char *chip, *blocked = chips_unsaveable(m->chips, &chip);
    if (migrate_active(m))
        snprintf(err, len, m->migration->in ? "the machine has not come yet" : "a migration is under way already");
    else if (migrate_gone(m))
        snprintf(err, len, "the machine has gone elsewhere: 'cont' takes it back, if it does not run there");
    else if (!conduit_known(uri))
        snprintf(err, len, "'%.200s': use tcp:HOST:PORT, unix:PATH, exec:COMMAND, fd:NUMBER, fd:NAME (of getfd) or "
                 "file:PATH", uri);
    else if (blocked)
        snprintf(err, len, "%s: %s", chip, blocked);
    else
        return true;
    return false;
}

bool migrate_start(struct machine *m, const char *uri, bool disks, char *err, size_t len)
{
    struct migration *g = m->migration;
    struct outgoing *o;
    int error;

    if (!may_start(m, uri, err, len))
        return false;
    o = calloc(1, sizeof(*o));
    if (!o)
        die(EXIT_CODE_HOST, "out of memory for migration");
    o->g = g;
    o->m = m;
    o->uri = migrate_uri(m, uri, &o->given);
    o->disks = disks ? DISKS_IN_STREAM : DISKS_SHARED;
    o->to = (struct conduit){ .fd = -1, .listen = -1 };
    o->ram = phys_ram(m->phys, 0, &o->len);
    o->words = (size_t)((o->len / PAGE_SIZE + 63) / 64);
    o->pages = calloc(o->words, sizeof(*o->pages));
    o->to_loop = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    o->cancel = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (!o->pages || o->to_loop < 0 || o->cancel < 0)
        die(EXIT_CODE_HOST, "cannot begin a migration: %s", strerror(errno));
    pthread_mutex_init(&o->mutex, NULL);
    pthread_cond_init(&o->cond, NULL);
    snapshot_states_begin(m, &o->states);
    g->begun = evloop_now();
    g->status = (struct migrate_status){ .ram = o->len };
    g->out = o;
    migrate_enter(g, MIGRATE_SETUP);
    o->watch = evloop_add(m->loop, o->to_loop, POLLIN, on_ask, o);
    error = pthread_create(&o->thread, NULL, work, o);
    if (error)
        die(EXIT_CODE_HOST, "cannot make a thread: %s", strerror(error));
    return true;
}

void migrate_cancel(struct machine *m)
{
    struct outgoing *o = m->migration->out;
    const uint64_t one = 1;

    if (!o || o->leave)
        return;
    o->leave = true;
    migrate_enter(m->migration, MIGRATE_CANCELLING);
    if (write(o->cancel, &one, sizeof(one)) < 0)
        die(EXIT_CODE_HOST, "cannot cancel a migration: %s", strerror(errno));
}

bool outgoing_stopped(const struct migration *g)
{
    return g->out && g->out->stopped;
}

/* The machine ends: what the thread still asks for is answered here. */
void outgoing_free(struct migration *g)
{
    migrate_cancel(g->m);
    while (g->out) {
        struct pollfd p = { g->out->to_loop, POLLIN, 0 };

        poll(&p, 1, -1);
        on_ask(g->out, 0);
    }
}

void migrate_query(struct machine *m, struct migrate_status *s)
{
    struct migration *g = m->migration;
    struct outgoing *o = g->out;

    *s = g->status;
    s->incoming |= g->in != NULL;
    if (!o)
        return;
    count_up(o, s);
    if (s->state == MIGRATE_ACTIVE) {
        uint64_t done = o->pass_sent * PAGE_SIZE;

        s->left = s->left > done ? s->left - done : 0;
    }
}
