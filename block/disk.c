/*
 * disk.c - the queue between a chip and its image.
 *
 * Requests lie in one list in the order they came; a thread takes the first that conflicts with none before
 * it and none that is running.  So the order that matters is kept (hw/disk_if.h) and everything else runs
 * side by side.  Lists are short, as guests have a few dozen requests under way at most.
 *
 * A request that failed and is to wait (struct disk_policy) goes back to its place in the list, and nothing is begun
 * until it is tried again; of a full disk, nothing that writes.  Nothing but time has passed for the guest.
 *
 * Answers are outside input to the machine; deliver() is the one place where they enter it.  The thread that did
 * a request delivers it itself if the device lock is free: to wake the event loop for it would cost the guest another
 * change of threads.  It only tries the lock, since who holds it may be waiting for this very thread.  What needs
 * more than done() (errors, a full disk) is always the loop's.
 *
 * Threads are woken one at a time: one that takes a request wakes another if there is more that may start.
 */
#include "block/disk.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/trace.h"
#include "host/evloop.h"

#define SCRATCH_KEPT ((size_t)2 << 20)  /* Linux merges up to 1280 KiB; what is larger is made for a request */

/* A thread's buffer for requests in pieces: new memory for each would cost more than what is copied. */
struct scratch {
    uint8_t *p;
    size_t len;
};

struct list {
    struct disk_req *first, **end;
};

struct imgdisk {
    struct disk disk;
    struct block *b;
    struct evloop *loop;
    struct evfd *watch;
    struct evdelay retry;
    int fd;                     /* tells the loop that there is something in `done` */
    disk_event_fn *event;
    void *arg;
    const struct disk_policy *policy;
    int told_held;              /* `held` of which the last event was; 0: of none */
    bool told_damage, told_forged, told_other;
    bool bounce;                /* disk_bounce() */
    struct disk_stats stats;

    pthread_mutex_t lock;       /* what follows */
    pthread_cond_t work, idle;
    struct list waiting, running, done;
    uint64_t next_number;
    unsigned delivering;        /* requests taken off `done` whose done() has not returned */
    bool told;                  /* the loop, that there is something in `done` */
    int held;                   /* requests wait, since one failed with this negative errno; 0: they do not */
    bool held_read;             /* that was a read */
    bool room, ending;          /* room: something was written since the loop looked */
    unsigned nthreads;
    pthread_t threads[];
};

static const char *const op_names[] = {
    [DISK_READ] = "read", [DISK_WRITE] = "write", [DISK_FLUSH] = "flush", [DISK_DISCARD] = "discard", [DISK_ZERO] = "zero"
};

/* ---- lists ---- */

static void list_init(struct list *l)
{
    l->first = NULL;
    l->end = &l->first;
}

static void list_add(struct list *l, struct disk_req *r)
{
    r->next = NULL;
    *l->end = r;
    l->end = &r->next;
}

static void list_remove(struct list *l, struct disk_req *r)
{
    struct disk_req **p = &l->first;

    while (*p != r)
        p = &(*p)->next;
    *p = r->next;
    if (!*p)
        l->end = p;
}

/* By number: back to where it was. */
static void list_return(struct list *l, struct disk_req *r)
{
    struct disk_req **p = &l->first;

    while (*p && (*p)->number < r->number)
        p = &(*p)->next;
    r->next = *p;
    *p = r;
    if (!r->next)
        l->end = &r->next;
}

/* ---- order ---- */

static bool writes(const struct imgdisk *d, const struct disk_req *r)
{
    return r->op == DISK_WRITE || r->op == DISK_DISCARD || r->op == DISK_ZERO || (r->op == DISK_READ && block_read_writes(d->b));
}

static bool conflict(const struct imgdisk *d, const struct disk_req *a, const struct disk_req *b)
{
    if (a->op == DISK_FLUSH || b->op == DISK_FLUSH)
        return writes(d, a) || writes(d, b);
    return (writes(d, a) || writes(d, b)) && a->off < b->off + b->len && b->off < a->off + a->len;
}

static bool no_room(int error)
{
    return error == -ENOSPC || error == -EDQUOT;
}

static bool may_start(const struct imgdisk *d, const struct disk_req *r)
{
    if (d->held && (!no_room(d->held) || r->op != DISK_READ))
        return false;
    for (const struct disk_req *p = d->running.first; p; p = p->next)
        if (conflict(d, p, r))
            return false;
    for (const struct disk_req *p = d->waiting.first; p != r; p = p->next)
        if (conflict(d, p, r))
            return false;
    return true;
}

static struct disk_req *choose(const struct imgdisk *d)
{
    struct disk_req *r = d->waiting.first;

    while (r && !may_start(d, r))
        r = r->next;
    return r;
}

/* ---- the threads ---- */

/* A request in pieces goes through one buffer, so that the image sees it as a whole. */
static void gather(uint8_t *to, const struct disk_req *r)
{
    for (unsigned i = 0; i < r->nbufs; to += r->bufs[i++].len)
        memcpy(to, r->bufs[i].data, r->bufs[i].len);
}

static void scatter(const struct disk_req *r, const uint8_t *from)
{
    for (unsigned i = 0; i < r->nbufs; from += r->bufs[i++].len)
        memcpy(r->bufs[i].data, from, r->bufs[i].len);
}

static uint8_t *scratch_for(struct scratch *s, size_t len)
{
    if (len <= s->len)
        return s->p;
    free(s->p);
    s->p = hostfile_buffer(len);
    s->len = s->p ? len : 0;
    return s->p;
}

/* Straight to or from its pieces: 1 if the image would rather have one. */
static int transfer_pieces(struct imgdisk *d, const struct disk_req *r)
{
    struct iovec v[HOSTFILE_PIECES];

    if (r->nbufs > HOSTFILE_PIECES)
        return 1;
    for (unsigned i = 0; i < r->nbufs; i++)
        v[i] = (struct iovec){ r->bufs[i].data, r->bufs[i].len };
    return r->op == DISK_READ ? block_readv(d->b, r->off, v, r->nbufs, r->len) :
        block_writev(d->b, r->off, v, r->nbufs, r->len);
}

static int transfer(struct imgdisk *d, struct disk_req *r, struct scratch *s)
{
    bool in = r->op == DISK_READ, own = (in && d->bounce) || r->len > SCRATCH_KEPT;
    uint8_t *whole;
    int error;

    if (r->nbufs == 1 && !(in && d->bounce))
        return in ? block_read(d->b, r->off, r->bufs[0].data, r->len) :
            block_write(d->b, r->off, r->bufs[0].data, r->len);
    if (!(in && d->bounce)) {
        error = transfer_pieces(d, r);
        if (error <= 0)
            return error;
    }
    whole = own ? hostfile_buffer(r->len) : scratch_for(s, r->len);
    if (!whole)
        return -ENOMEM;
    if (!in)
        gather(whole, r);
    error = in ? block_read(d->b, r->off, whole, r->len) : block_write(d->b, r->off, whole, r->len);
    if (in && !error && d->bounce) {
        r->bounce = whole;
        return 0;
    }
    if (in && !error)
        scatter(r, whole);
    if (own)
        free(whole);
    return error;
}

static int perform(struct imgdisk *d, struct disk_req *r, struct scratch *s)
{
    struct block *b = d->b;
    int error;

    switch (r->op) {
    case DISK_FLUSH:
        return block_flush(b);
    case DISK_DISCARD:
        return block_discard(b, r->off, r->len);
    case DISK_ZERO:
        error = block_zero(b, r->off, r->len, r->unmap);
        break;
    default:
        error = transfer(d, r, s);
    }
    return !error && r->fua && r->op != DISK_READ ? block_flush(b) : error;
}

/* The lock is held. */
static void tell_loop(struct imgdisk *d)
{
    uint64_t one = 1;

    if (d->told)
        return;
    d->told = true;
    while (write(d->fd, &one, sizeof(one)) < 0 && errno == EINTR)
        ;
}

/* ---- what fails ---- */

/* What is the guest's doing, or a chip's, is no failure of the host. */
static bool host_failed(int error)
{
    return error && error != -EPERM && error != -EROFS && error != -EINVAL && error != -ECANCELED;
}

static enum disk_on_error on_error(const struct imgdisk *d, const struct disk_req *r, int error)
{
    const struct disk_policy *p = d->policy;
    unsigned wanted = !p ? DISK_AUTO : r->op == DISK_READ ? p->read : p->write;

    if (!host_failed(error))
        return DISK_REPORT;
    if (wanted == DISK_AUTO)
        wanted = r->op == DISK_READ ? DISK_REPORT : DISK_ENOSPC;
    return wanted != DISK_ENOSPC ? wanted : no_room(error) ? DISK_STOP : DISK_REPORT;
}

static void tell(struct imgdisk *d, enum disk_event_kind kind, bool read, int error, const char *text)
{
    if (d->event)
        d->event(d->arg, &(struct disk_event){ kind, read, error, text });
}

/* What went wrong, once for each reason. */
static const char *reason(struct imgdisk *d, bool read, int error, bool again, char *text, size_t len)
{
    const char *problem = block_problem(d->b);

    if (error == -EPERM && !d->told_forged) {
        d->told_forged = true;
        snprintf(text, len, "%s: the guest wrote a header to its first sector that would make the image look like another "
                 "format: refused, since the image is taken for raw by a guess only: say format=raw to allow it", d->b->name);
    } else if (problem && (!d->told_damage || again)) {
        d->told_damage = true;
        snprintf(text, len, "%s: the image is damaged: %s (latimer image check says more)", d->b->name, problem);
    } else if (error != -EPERM && !problem && (!d->told_other || again)) {
        d->told_other = true;
        snprintf(text, len, "%s: %s failed: %s", d->b->name, read ? "reading" : "writing", strerror(-error));
    } else {
        return NULL;
    }
    return text;
}

static void tell_failed(struct imgdisk *d, const struct disk_req *r)
{
    char text[512];

    tell(d, r->error ? DISK_EVENT_REPORT : DISK_EVENT_IGNORE, r->op == DISK_READ, r->failed,
         reason(d, r->op == DISK_READ, r->failed, false, text, sizeof(text)));
}

static void tell_held(struct imgdisk *d, int held, bool read)
{
    char why[400], text[512];

    if (no_room(held)) {
        snprintf(text, sizeof(text), "%s: no room for what the guest writes on the host's disk: it waits until there is",
                 d->b->name);
    } else {
        reason(d, read, held, true, why, sizeof(why));
        snprintf(text, sizeof(text), "%s: the machine stops; going on (cont) tries again", why);
    }
    tell(d, no_room(held) ? DISK_EVENT_FULL : DISK_EVENT_STOP, read, held, text);
}

/* ---- answers ---- */

static uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void account(struct imgdisk *d, const struct disk_req *r)
{
    d->stats.op[r->op].failed += r->failed && r->failed != -ECANCELED;
    if (r->failed)
        return;
    d->stats.op[r->op].n++;
    d->stats.op[r->op].bytes += r->op == DISK_FLUSH ? 0 : r->len;
    d->stats.op[r->op].ns += now_ns() - r->since;
    if ((r->op == DISK_WRITE || r->op == DISK_ZERO) && r->off + r->len > d->stats.highest)
        d->stats.highest = r->off + r->len;
}

/* What was not read is zeros: never what the host's memory held. */
static void read_nothing(struct disk_req *r)
{
    for (unsigned i = 0; i < r->nbufs; i++)
        memset(r->bufs[i].data, 0, r->bufs[i].len);
}

/* The first of `done` is answered. The device lock is held, and the lock, which is given up meanwhile. */
static void answer(struct imgdisk *d, struct disk_req *r)
{
    list_remove(&d->done, r);
    d->delivering++;
    pthread_mutex_unlock(&d->lock);
    if (r->failed && r->failed != -ECANCELED)
        tell_failed(d, r);
    account(d, r);
    trace_disk_done(d->b->name, r->number, op_names[r->op], r->error);
    if (r->bounce)
        scatter(r, r->bounce);
    else if (r->op == DISK_READ && r->failed && !r->error)
        read_nothing(r);
    free(r->bounce);
    r->done(r);
    pthread_mutex_lock(&d->lock);
    d->delivering--;
}

/* The lock is held. */
static void hold(struct imgdisk *d, struct disk_req *r, int error)
{
    if (!d->held || no_room(d->held)) {         /* what no room made stops cannot be in the way of what fails */
        d->held = error;
        d->held_read = r->op == DISK_READ;
    }
    list_return(&d->waiting, r);
}

/* The lock is held. */
static void finished(struct imgdisk *d, struct disk_req *r, int error)
{
    enum disk_on_error what = error ? on_error(d, r, error) : DISK_REPORT;

    list_remove(&d->running, r);
    if (what == DISK_STOP && !d->ending) {
        hold(d, r, error);
    } else {
        r->failed = error;
        r->error = what == DISK_IGNORE ? 0 : error;
        list_add(&d->done, r);
        d->room |= !error && r->op != DISK_READ;
    }
    pthread_cond_broadcast(&d->idle);
}

/* The lock is held, and given up meanwhile; afterwards the loop knows of all that is left. */
static void deliver_here(struct imgdisk *d)
{
    if (!d->held && evloop_enter(d->loop)) {
        while (!d->told_held && d->done.first && !d->done.first->failed)
            answer(d, d->done.first);
        pthread_cond_broadcast(&d->idle);
        evloop_leave(d->loop);
    }
    if (d->done.first || d->held)
        tell_loop(d);
}

static void *worker(void *arg)
{
    struct imgdisk *d = arg;
    struct scratch scratch = { NULL, 0 };

    trace_thread("disk");
    pthread_mutex_lock(&d->lock);
    for (;;) {
        struct disk_req *r = choose(d);
        int error;

        if (!r && d->ending)
            break;
        if (!r) {
            pthread_cond_wait(&d->work, &d->lock);
            continue;
        }
        list_remove(&d->waiting, r);
        list_add(&d->running, r);
        trace_disk_begin(d->b->name, r->number);
        if (choose(d))
            pthread_cond_signal(&d->work);
        pthread_mutex_unlock(&d->lock);
        error = perform(d, r, &scratch);
        pthread_mutex_lock(&d->lock);
        finished(d, r, error);
        deliver_here(d);
    }
    pthread_mutex_unlock(&d->lock);
    free(scratch.p);
    return NULL;
}

/* ---- the event loop's side ---- */

static void deliver(struct imgdisk *d)
{
    struct disk_req *r;
    bool room, read;
    int held;

    pthread_mutex_lock(&d->lock);
    held = d->held;
    read = d->held_read;
    room = d->room;
    d->room = false;
    d->told = false;
    while ((r = d->done.first))
        answer(d, r);
    pthread_mutex_unlock(&d->lock);
    if (no_room(d->told_held) && room && !held) {
        char text[400];

        d->told_held = 0;
        snprintf(text, sizeof(text), "%s: there is room again: going on", d->b->name);
        tell(d, DISK_EVENT_ROOM, false, 0, text);
    }
    if (held && d->told_held != held) {
        d->told_held = held;
        tell_held(d, held, read);
    }
    if (no_room(held))
        evloop_delay(d->loop, &d->retry, DISK_RETRY_MS * (uint64_t)1000000);
}

static void ready(void *arg, short revents)
{
    struct imgdisk *d = arg;
    uint64_t count;

    if (read(d->fd, &count, sizeof(count)) == (ssize_t)sizeof(count))
        deliver(d);
}

static void retry(void *arg)
{
    struct imgdisk *d = arg;

    pthread_mutex_lock(&d->lock);
    d->held = 0;
    pthread_cond_broadcast(&d->work);
    pthread_mutex_unlock(&d->lock);
}

void disk_resume(struct disk *disk)
{
    struct imgdisk *d = (struct imgdisk *)disk;

    d->told_held = 0;
    retry(d);
}

int disk_waits(struct disk *disk)
{
    return ((struct imgdisk *)disk)->told_held;
}

static void submit(struct disk *disk, struct disk_req *r)
{
    struct imgdisk *d = (struct imgdisk *)disk;

    r->bounce = NULL;
    r->failed = 0;
    r->since = now_ns();
    pthread_mutex_lock(&d->lock);
    r->number = d->next_number++;
    trace_disk_submit(d->b->name, r->number, op_names[r->op], r->off, r->len);
    list_add(&d->waiting, r);
    pthread_cond_signal(&d->work);
    pthread_mutex_unlock(&d->lock);
}

static struct disk_req *first_read(const struct list *l)
{
    struct disk_req *r = l->first;

    while (r && r->op != DISK_READ)
        r = r->next;
    return r;
}

/* Those that have not begun, which may wait for a write that waits for room, are answered undone. */
static void drain_reads(struct disk *disk)
{
    struct imgdisk *d = (struct imgdisk *)disk;
    struct disk_req *r;

    pthread_mutex_lock(&d->lock);
    while ((r = first_read(&d->waiting))) {
        list_remove(&d->waiting, r);
        r->error = r->failed = -ECANCELED;
        list_add(&d->done, r);
    }
    while (first_read(&d->running))
        pthread_cond_wait(&d->idle, &d->lock);
    pthread_cond_broadcast(&d->work);           /* what stood behind one may start */
    pthread_mutex_unlock(&d->lock);
    deliver(d);
}

static const struct disk_ops ops = { submit, drain_reads };

void disk_bounce(struct disk *disk)
{
    ((struct imgdisk *)disk)->bounce = true;
}

void disk_stats(const struct disk *disk, struct disk_stats *s)
{
    *s = ((const struct imgdisk *)disk)->stats;
}

void disk_resized(struct disk *disk)
{
    disk->size = ((struct imgdisk *)disk)->b->size;
}

struct block *disk_block(struct disk *disk)
{
    return ((struct imgdisk *)disk)->b;
}

void disk_hand_over(struct disk *disk, const struct disk_policy *policy, void *arg)
{
    struct imgdisk *d = (struct imgdisk *)disk;

    pthread_mutex_lock(&d->lock);
    d->policy = policy;
    d->arg = arg;
    pthread_mutex_unlock(&d->lock);
}

struct disk *disk_new(struct evloop *loop, struct block *b, unsigned threads, const struct disk_policy *policy,
                      disk_event_fn *event, void *arg)
{
    struct imgdisk *d = calloc(1, sizeof(*d) + threads * sizeof(d->threads[0]));
    sigset_t all, before;

    if (!d)
        die(EXIT_CODE_HOST, "out of memory for the disk %s", b->name);
    d->disk = (struct disk){ &ops, b->size, !b->writable, b->writable && b->discard };
    d->b = b;
    d->loop = loop;
    d->policy = policy;
    d->event = event;
    d->arg = arg;
    d->retry.fire = retry;
    d->retry.arg = d;
    d->nthreads = threads;
    list_init(&d->waiting);
    list_init(&d->running);
    list_init(&d->done);
    pthread_mutex_init(&d->lock, NULL);
    pthread_cond_init(&d->work, NULL);
    pthread_cond_init(&d->idle, NULL);
    d->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (d->fd < 0)
        die(EXIT_CODE_HOST, "cannot make an eventfd: %s", strerror(errno));
    d->watch = evloop_add(loop, d->fd, POLLIN, ready, d);
    /* Signals are for the event loop. */
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    for (unsigned i = 0; i < threads; i++) {
        int error = pthread_create(&d->threads[i], NULL, worker, d);

        if (error)
            die(EXIT_CODE_HOST, "cannot start a thread for the disk %s: %s", b->name, strerror(error));
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return &d->disk;
}

int disk_drain(struct disk *disk)
{
    struct imgdisk *d = (struct imgdisk *)disk;
    int waits = 0;
    bool more;

    retry(d);
    do {
        pthread_mutex_lock(&d->lock);
        while (d->running.first || d->delivering || (d->waiting.first && choose(d)))
            pthread_cond_wait(&d->idle, &d->lock);
        waits = d->waiting.first ? d->held : 0;
        pthread_mutex_unlock(&d->lock);
        deliver(d);
        pthread_mutex_lock(&d->lock);
        more = d->running.first || d->done.first || choose(d);
        pthread_mutex_unlock(&d->lock);
    } while (more);
    return waits;
}

int disk_free(struct disk *disk)
{
    struct imgdisk *d = (struct imgdisk *)disk;
    int drained = disk_drain(disk), closed;

    /* What waits is tried once more, and then answered whatever happens. */
    pthread_mutex_lock(&d->lock);
    d->ending = true;
    d->held = 0;
    pthread_cond_broadcast(&d->work);
    pthread_mutex_unlock(&d->lock);
    for (unsigned i = 0; i < d->nthreads; i++)
        pthread_join(d->threads[i], NULL);
    deliver(d);
    evloop_delay_cancel(d->loop, &d->retry);
    evloop_remove(d->watch);
    close(d->fd);
    pthread_mutex_destroy(&d->lock);
    pthread_cond_destroy(&d->work);
    pthread_cond_destroy(&d->idle);
    closed = block_close(d->b);
    free(d);
    return drained ? drained : closed;
}
