/*
 * vnc_pump.c - see vnc_pump.h.
 *
 * Invariant: only the thread looks at links; others hand over descriptors in `fresh`, under the lock, and wake it.
 *
 * A client may type and be gone before it has taken the pictures it asked for. What it typed is the guest's all the same:
 * pictures are thrown away from then on, the library gets the rest of what the client said and then its end, and closes.
 */
#ifndef _GNU_SOURCE             /* SOCK_CLOEXEC */
#define _GNU_SOURCE
#endif
#include "host/vnc_pump.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define CHUNK 65536u            /* bytes read at once */

/* What was read from `from` and not yet written to `to`. */
struct flow {
    int from, to;
    size_t limit;               /* no more is read than this */
    uint8_t *buf;
    size_t at, len, size;       /* buf[at, at + len) waits */
    bool ended;                 /* nothing more comes */
    bool deaf;                  /* nobody takes it any more: what comes is thrown away */
};

struct link {
    int client, library;        /* -1: no client */
    struct flow down, up;       /* to the client, to the library */
};

struct vnc_pump {
    pthread_t thread;
    pthread_mutex_t lock;
    int wake_fd;
    bool stop;                              /* under the lock, as is what follows */
    unsigned clients;
    struct { int client, library; } fresh[VNC_PUMP_CLIENTS];
    unsigned nfresh;
    struct link link[VNC_PUMP_CLIENTS];     /* the thread's */
};

/* ---- one direction ---- */

static bool make_room(struct flow *f)
{
    uint8_t *buf;

    if (f->size - f->at - f->len >= CHUNK)
        return true;
    if (f->at)
        memmove(f->buf, f->buf + f->at, f->len);
    f->at = 0;
    if (f->size - f->len >= CHUNK)
        return true;
    buf = realloc(f->buf, f->size * 2 + CHUNK);
    if (!buf)
        return false;
    f->buf = buf;
    f->size = f->size * 2 + CHUNK;
    return true;
}

/* False: too much waits. */
static bool take(struct flow *f)
{
    ssize_t n;

    if (f->len >= f->limit || !make_room(f))
        return false;
    n = recv(f->from, f->buf + f->at + f->len, CHUNK, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return true;
    f->len += n > 0 ? (size_t)n : 0;
    f->ended = n <= 0;
    return true;
}

static void give(struct flow *f)
{
    while (f->len && !f->deaf) {
        ssize_t n = send(f->to, f->buf + f->at, f->len, MSG_DONTWAIT | MSG_NOSIGNAL);

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (n < 0) {
            f->deaf = true;
            break;
        }
        f->at += (size_t)n;
        f->len -= (size_t)n;
    }
    f->len = 0;
    f->at = 0;
    if (f->size > 4 * CHUNK) {      /* it was a burst */
        free(f->buf);
        f->buf = NULL;
        f->size = 0;
    }
}

/* All that came is given, and nothing more comes. */
static bool over(const struct flow *f)
{
    return f->ended && !f->len;
}

static short wants(const struct flow *in, const struct flow *out)
{
    return (short)((in->ended ? 0 : POLLIN) | (out->len ? POLLOUT : 0));
}

/* ---- clients ---- */

static void drop(struct vnc_pump *p, struct link *l)
{
    pthread_mutex_lock(&p->lock);
    p->clients--;               /* before anybody sees the end */
    pthread_mutex_unlock(&p->lock);
    close(l->client);
    close(l->library);
    free(l->down.buf);
    free(l->up.buf);
    *l = (struct link){ .client = -1 };
}

static void serve(struct vnc_pump *p, struct link *l, short client, short library)
{
    bool ok = true, was_over = over(&l->up);

    if (library & (POLLIN | POLLHUP | POLLERR) && !l->down.ended)
        ok = take(&l->down);
    /* Keys are taken when the library has got those before: it reads at once. */
    if (ok && client & (POLLIN | POLLHUP | POLLERR) && !l->up.ended && !l->up.len)
        ok = take(&l->up);
    give(&l->down);
    give(&l->up);
    if (over(&l->up) && !was_over)
        shutdown(l->library, SHUT_WR);
    /* What the library said last, why it refuses, is the client's still. */
    if (!ok || over(&l->down))
        drop(p, l);
}

static bool welcome(struct vnc_pump *p)
{
    bool stop;

    pthread_mutex_lock(&p->lock);
    for (struct link *l = p->link; p->nfresh; l++) {
        if (l->client >= 0)
            continue;
        p->nfresh--;
        l->client = p->fresh[p->nfresh].client;
        l->library = p->fresh[p->nfresh].library;
        l->down = (struct flow){ .from = l->library, .to = l->client, .limit = VNC_PUMP_MAX };
        l->up = (struct flow){ .from = l->client, .to = l->library, .limit = CHUNK };
    }
    stop = p->stop;
    pthread_mutex_unlock(&p->lock);
    return !stop;
}

static void *thread(void *arg)
{
    struct vnc_pump *p = arg;
    uint64_t count;

    while (welcome(p)) {
        struct pollfd fd[1 + 2 * VNC_PUMP_CLIENTS] = { { p->wake_fd, POLLIN, 0 } };

        for (unsigned i = 0; i < VNC_PUMP_CLIENTS; i++) {
            const struct link *l = &p->link[i];
            struct pollfd *f = &fd[1 + 2 * i];

            f[0].fd = f[1].fd = -1;
            if (l->client < 0)
                continue;
            if (!l->up.ended || l->down.len)    /* one that hung up would be reported for ever */
                f[0] = (struct pollfd){ l->client, wants(&l->up, &l->down), 0 };
            if (!l->down.ended)         /* the same */
                f[1] = (struct pollfd){ l->library, wants(&l->down, &l->up), 0 };
            if (l->up.len)
                f[0].events &= ~POLLIN;
        }
        if (poll(fd, 1 + 2 * VNC_PUMP_CLIENTS, -1) < 0)
            continue;
        if (fd[0].revents && read(p->wake_fd, &count, sizeof(count)) < 0)
            continue;
        for (unsigned i = 0; i < VNC_PUMP_CLIENTS; i++)
            if (fd[1 + 2 * i].revents || fd[2 + 2 * i].revents)
                serve(p, &p->link[i], fd[1 + 2 * i].revents, fd[2 + 2 * i].revents);
    }
    return NULL;
}

/* ---- for the display ---- */

static void wake(struct vnc_pump *p)
{
    uint64_t one = 1;
    ssize_t n;

    do {
        n = write(p->wake_fd, &one, sizeof(one));
    } while (n < 0 && errno == EINTR);
}

struct vnc_pump *vnc_pump_start(void)
{
    struct vnc_pump *p = calloc(1, sizeof(*p));
    sigset_t all, old;
    int failed;

    if (!p)
        return NULL;
    for (unsigned i = 0; i < VNC_PUMP_CLIENTS; i++)
        p->link[i].client = -1;
    pthread_mutex_init(&p->lock, NULL);
    p->wake_fd = eventfd(0, EFD_CLOEXEC);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    failed = p->wake_fd < 0 || pthread_create(&p->thread, NULL, thread, p);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (!failed)
        return p;
    if (p->wake_fd >= 0)
        close(p->wake_fd);
    free(p);
    return NULL;
}

int vnc_pump_add(struct vnc_pump *p, int fd)
{
    int pair[2] = { -1, -1 };
    bool full;

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));    /* a socket of another kind has no delay */
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair)) {
        close(fd);
        return -1;
    }
    pthread_mutex_lock(&p->lock);
    full = p->clients == VNC_PUMP_CLIENTS;
    if (!full) {
        p->clients++;
        p->fresh[p->nfresh].client = fd;
        p->fresh[p->nfresh++].library = pair[0];
    }
    pthread_mutex_unlock(&p->lock);
    if (full) {
        close(fd);
        close(pair[0]);
        close(pair[1]);
        return -1;
    }
    wake(p);
    return pair[1];
}

void vnc_pump_stop(struct vnc_pump *p)
{
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    p->stop = true;
    pthread_mutex_unlock(&p->lock);
    wake(p);
    pthread_join(p->thread, NULL);
    for (unsigned i = 0; i < VNC_PUMP_CLIENTS; i++)
        if (p->link[i].client >= 0)
            drop(p, &p->link[i]);
    close(p->wake_fd);
    pthread_mutex_destroy(&p->lock);
    free(p);
}
