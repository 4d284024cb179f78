/*
 * rng.c - see rng.h. A file that has nothing yet (a pipe, a hardware generator) is waited for; the guest with it.
 */
#include "host/rng.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/log.h"
#include "host/evloop.h"

static struct rng_source *of(struct rng *r)
{
    return (struct rng_source *)((char *)r - offsetof(struct rng_source, rng));
}

static size_t get(struct rng *r, void *buf, size_t len)
{
    struct rng_source *s = of(r);
    ssize_t n;

    if (s->ended)
        return 0;
    do
        n = s->file ? read(s->fd, buf, len) : getrandom(buf, len, 0);
    while (n < 0 && errno == EINTR);
    if (n > 0)
        return (size_t)n;
    if (n < 0 && errno == EAGAIN) {
        evloop_change(s->watch, POLLIN);
        return 0;
    }
    fprintf(stderr, "latimer: rng-random,id=%s: %s: %s: the guest gets no more from it\n", s->id,
            s->file ? s->file : "getrandom",
            n ? strerror(errno) : "it has come to its end");
    s->ended = true;
    return 0;
}

static void wait_for(struct rng *r)
{
    struct rng_source *s = of(r);

    if (s->watch && !s->ended)
        evloop_change(s->watch, POLLIN);
}

static void readable(void *arg, short revents)
{
    struct rng_source *s = arg;

    (void)revents;
    evloop_change(s->watch, 0);
    if (s->rng.ready)
        s->rng.ready(s->rng.dev);
}

static void *must(void *p)
{
    if (!p)
        die(EXIT_CODE_HOST, "out of memory for a source of random bytes");
    return p;
}

struct rng_source *rng_source_new(const char *id, const char *file)
{
    static const struct rng_ops ops = { get, wait_for };
    struct rng_source *s = must(calloc(1, sizeof(*s)));

    s->id = must(strdup(id));
    s->file = file ? must(strdup(file)) : NULL;
    s->rng = (struct rng){ .ops = &ops, .id = s->id };
    s->fd = -1;
    return s;
}

bool rng_source_open(struct rng_source *s, struct evloop *loop, char *err, size_t len)
{
    if (!s->file)
        return true;
    s->fd = open(s->file, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (s->fd < 0) {
        snprintf(err, len, "cannot read %s: %s", s->file, strerror(errno));
        return false;
    }
    s->watch = evloop_add(loop, s->fd, 0, readable, s);
    return true;
}

void rng_source_close(struct rng_source *s)
{
    if (s->watch)
        evloop_remove(s->watch);
    s->watch = NULL;
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
}

void rng_source_free(struct rng_source *s)
{
    free(s->file);
    free(s->id);
    free(s);
}
