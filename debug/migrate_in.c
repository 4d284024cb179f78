/*
 * migrate_in.c - a machine that comes from elsewhere (migrate.h).
 *
 * Memory goes into a place of its own as it comes (phys_fresh), everything else is kept; when the end has shown that all of it
 * is sound, images are taken, everything is compared with the machine, and it becomes the one that came. Until then
 * nothing of it was changed: what is refused leaves it as it was, waiting.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE             /* accept4() */
#endif

#include "debug/migrate_int.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "debug/control.h"
#include "debug/outside.h"
#include "debug/snapshot_int.h"
#include "host/conduit.h"
#include "host/evloop.h"

#define PIECE (256u << 10)      /* bytes that are taken at once: others are served in between */

struct incoming {
    struct migration *g;
    struct machine *m;
    char *uri;                  /* NULL: it is to be said later */
    struct conduit from;
    struct evfd *listening, *watch;
    struct snap_stream *stream;
    bool same;                  /* "machine" was compared */
    char wrong[400];            /* what that found; "": nothing */
    struct phys_fresh *fresh[PHYS_RAMS + 1];
    uint8_t buf[PIECE];
};

static void drop(struct incoming *in)
{
    snap_stream_free(in->stream);
    in->stream = NULL;
    in->same = false;
    in->wrong[0] = 0;
    for (unsigned n = 0; n < PHYS_RAMS; n++) {
        phys_fresh_drop(in->fresh[n]);
        in->fresh[n] = NULL;
    }
}

static void hang_up(struct incoming *in)
{
    if (in->watch)
        evloop_remove(in->watch);
    in->watch = NULL;
    if (in->from.fd >= 0)
        close(in->from.fd);
    in->from.fd = -1;
}

void incoming_free(struct migration *g)
{
    struct incoming *in = g->in;
    char err[256];

    if (!in)
        return;
    g->in = NULL;
    hang_up(in);
    drop(in);
    if (in->listening)
        evloop_remove(in->listening);
    conduit_close(&in->from, false, err, sizeof(err));
    free(in->uri);
    free(in);
}

static void say(struct incoming *in, const char *text)
{
    /* Who does not take so few bytes has gone. */
    if (in->from.answers && send(in->from.fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
        fprintf(stderr, "latimer: -incoming %s: the other side cannot be told how it went: %s\n", in->uri, strerror(errno));
}

/* What came is no good. */
static void refuse(struct incoming *in, const char *why)
{
    struct migration *g = in->g;
    char text[MIGRATE_ANSWER];

    snprintf(g->error, sizeof(g->error), "%.400s", why);
    g->status.error = g->error;
    snprintf(text, sizeof(text), MIGRATE_NO "%.400s\n", g->error);
    say(in, text);
    hang_up(in);
    drop(in);
    if (!in->listening)
        die(EXIT_CODE_FILE, "-incoming %s: %s", in->uri, g->error);
    fprintf(stderr, "latimer: -incoming %s: %s; waiting for another one\n", in->uri, g->error);
    migrate_enter(g, MIGRATE_FAILED);
}

/* "ram1" is 1; -1: no memory. */
static int memory_of(const char *section)
{
    return strncmp(section, "ram", 3) == 0 && section[3] >= '0' && section[3] < '0' + PHYS_RAMS && !section[4] ?
        section[3] - '0' : -1;
}

/* What is on a disk is kept until the end: no more of it than a drive that is here can have. */
static bool is_disk(struct machine *m, const char *section, uint64_t len)
{
    struct drive *d;

    for (unsigned n = 0; strncmp(section, "disk:", 5) == 0 && (d = m->drive(m, n)); n++)
        if (strcmp(section + 5, d->id) == 0)
            return d->disk && d->disk->size == len;
    return false;
}

static int wants(void *arg, const char *section, uint64_t len)
{
    struct incoming *in = arg;
    int n = memory_of(section);
    uint64_t here;

    if (!in->same) {            /* before there is much to wait for in vain */
        in->same = true;
        if (!snapshot_same_machine(in->m, snap_stream_image(in->stream), (struct reason){ in->wrong, sizeof(in->wrong) }))
            return -EINVAL;
    }
    if (n < 0)
        return is_disk(in->m, section, len) ? 1 : -EINVAL;
    if (!phys_ram(in->m->phys, (unsigned)n, &here) || here != len)
        return -EINVAL;
    if (!in->fresh[n])
        in->fresh[n] = phys_fresh_new(in->m->phys, (unsigned)n);
    else
        phys_fresh_again(in->fresh[n]);
    return in->fresh[n] ? 0 : -ENOMEM;
}

static int put(void *arg, const char *section, uint64_t off, const uint8_t *data, size_t len)
{
    return snapshot_memory_put(((struct incoming *)arg)->fresh[memory_of(section)], off, data, len);
}

static bool all_memory(struct incoming *in, struct reason why)
{
    uint64_t len;

    for (unsigned n = 0; phys_ram(in->m->phys, n, &len); n++)
        if (!in->fresh[n])
            return snapshot_fail(why, "its memory is another: start Latimer with the options it was made with");
    return true;
}

/* Everything came. */
static void arrive(struct incoming *in)
{
    const struct snap_image *i = snap_stream_image(in->stream);
    struct migration *g = in->g;
    struct machine *m = in->m;
    char text[400];
    struct reason why = { text, sizeof(text) };
    const uint8_t *ran;
    size_t len;
    bool run, waits = control_state(m->control) == RUN_INMIGRATE;       /* no debugger has stopped it */

    control_settle(m->control);
    if (m->outside && !m->outside->disks(m, true, text, sizeof(text))) {
        refuse(in, text);
        return;
    }
    if (!all_memory(in, why) || !snapshot_check(m, i, DISKS_SHARED, NULL, why)) {
        if (m->outside)
            m->outside->disks(m, false, (char[400]){ 0 }, 400);
        refuse(in, text);
        return;
    }
    if (!snapshot_become(m, i, NULL, in->fresh, why))
        die(EXIT_CODE_FILE, "-incoming %s: %s", in->uri, text);
    ran = snap_get_state(i, "run", &len);
    run = g->start && (!ran || !len || ran[0]) && waits;
    say(in, MIGRATE_YES);
    incoming_free(g);
    g->status.error = NULL;
    migrate_tell(g, NULL);
    if (run)
        control_cont(m->control);
    else if (waits)
        control_stop(m->control, RUN_PAUSED);
    migrate_announce(m);
}

static void on_data(void *arg, short revents)
{
    struct incoming *in = arg;
    ssize_t n = read(in->from.fd, in->buf, sizeof(in->buf));
    bool complete = false;
    const char *why;

    (void)revents;
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        refuse(in, n < 0 ? strerror(errno) : "truncated: it ended before all of the machine had come");
        return;
    }
    in->g->status.sent += (uint64_t)n;
    why = snap_stream_feed(in->stream, in->buf, (size_t)n, &complete);
    if (why)
        refuse(in, in->wrong[0] ? in->wrong : why);
    else if (complete)
        arrive(in);
}

static void begin(struct incoming *in)
{
    in->stream = snap_stream_new(&(struct snap_taker){ wants, put, in });
    in->watch = evloop_add(in->m->loop, in->from.fd, POLLIN, on_data, in);
    in->g->begun = evloop_now();
    in->g->status = (struct migrate_status){ .incoming = true };
    migrate_enter(in->g, MIGRATE_ACTIVE);
}

static void on_client(void *arg, short revents)
{
    struct incoming *in = arg;
    int fd = accept4(in->from.listen, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    (void)revents;
    if (fd < 0)
        return;
    if (in->from.fd >= 0) {     /* one at a time */
        close(fd);
        return;
    }
    in->from.fd = fd;
    in->from.answers = true;
    begin(in);
}

bool migrate_receive(struct machine *m, const char *uri, char *err, size_t len)
{
    struct migration *g = m->migration;
    struct incoming *in = g->in;
    char *text;
    int given;
    bool ok;

    if (!in && control_state(m->control) != RUN_INMIGRATE) {
        snprintf(err, len, "the machine has run already: start Latimer with -incoming defer");
        return false;
    }
    if (in && in->uri) {
        snprintf(err, len, "it comes from %s already", in->uri);
        return false;
    }
    if (!in) {
        in = g->in = calloc(1, sizeof(*in));
        if (!in)
            die(EXIT_CODE_HOST, "out of memory for migration");
        in->g = g;
        in->m = m;
        in->from = (struct conduit){ .fd = -1, .listen = -1 };
    }
    if (strcmp(uri, "defer") == 0)
        return true;
    text = migrate_uri(m, uri, &given);
    ok = conduit_receive(&in->from, text, err, len);
    free(text);
    if (given >= 0)
        close(given);
    if (!ok)
        return false;
    in->uri = strdup(uri);
    migrate_enter(g, MIGRATE_SETUP);
    if (in->from.listen >= 0)
        in->listening = evloop_add(m->loop, in->from.listen, POLLIN, on_client, in);
    else
        begin(in);
    return true;
}
