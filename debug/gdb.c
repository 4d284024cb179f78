/*
 * gdb.c - the debugger's line: sockets, packets and their acknowledgement (GDB manual, appendix E).
 *
 * Everything here runs in the event loop with the device lock held. What comes in is bounded: a packet longer
 * than GDB_PACKET is read to its end and answered with an error. What goes out waits in a queue; a client
 * that asks and never reads is dropped when that has grown to QUEUE_MAX.
 *
 * Invariant: c->debug is set exactly while a client is connected.
 */
#include "debug/gdb_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "debug/migrate.h"
#include "host/chardev_socket.h"
#include "hw/boards.h"
#include "translator/exec.h"

#define QUEUE_MAX (4u << 20)

/* ---- text ---- */

void text_raw(struct gdb_text *t, const void *p, size_t n)
{
    if (n > GDB_PACKET - t->n) {
        t->full = true;
        return;
    }
    memcpy(t->s + t->n, p, n);
    t->n += (unsigned)n;
    t->s[t->n] = 0;
}

void text_add(struct gdb_text *t, const char *fmt, ...)
{
    char buf[512];
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(buf, sizeof(buf), fmt, ap);
    va_end(ap);
    if (n > 0)
        text_raw(t, buf, (size_t)n < sizeof(buf) ? (size_t)n : sizeof(buf) - 1);
}

void text_byte(struct gdb_text *t, uint8_t b)
{
    static const char digit[] = "0123456789abcdef";
    const char two[2] = { digit[b >> 4], digit[b & 15] };

    text_raw(t, two, 2);
}

/* ---- out ---- */

/* Where the machine may not run (it is being sent elsewhere) it stands, and the client may interrupt what it waits for. */
void gdb_cont(struct gdb *g)
{
    char err[512];

    if (!migrate_cont(g->m, err, sizeof(err)))
        fprintf(stderr, "latimer: gdb: the machine does not run: %s\n", err);
}

static void hang_up(struct gdb *g, bool go);

/* As much of the queue as the other side takes now. */
static void flush(struct gdb *g)
{
    size_t done = 0;

    while (g->connected && done < g->queued) {
        const uint8_t *from = g->queue + done;
        ssize_t n = g->listen >= 0 ? send(g->out, from, g->queued - done, MSG_NOSIGNAL)
                                   : write(g->out, from, g->queued - done);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            break;
        if (n <= 0) {
            done = g->queued;           /* it is gone; reading will say so */
            break;
        }
        done += (size_t)n;
    }
    memmove(g->queue, g->queue + done, g->queued - done);
    g->queued -= done;
    if (g->in_watch && g->in == g->out)
        evloop_change(g->in_watch, g->queued ? POLLIN | POLLOUT : POLLIN);
}

static void put(struct gdb *g, const void *p, size_t n)
{
    if (g->queued + n > QUEUE_MAX)
        return;                         /* on_input() drops a client that does not read */
    if (g->queued + n > g->queue_cap) {
        g->queue_cap = 2 * (g->queued + n);
        g->queue = realloc(g->queue, g->queue_cap);
        if (!g->queue)
            die(EXIT_CODE_HOST, "out of memory for what the debugger is sent");
    }
    memcpy(g->queue + g->queued, p, n);
    g->queued += n;
    flush(g);
}

void gdb_send(struct gdb *g)
{
    struct gdb_text *t = &g->reply;
    uint8_t sum = 0;
    char *p = g->last;

    if (!g->connected)
        return;
    for (unsigned i = 0; i < t->n; i++)
        sum = (uint8_t)(sum + (uint8_t)t->s[i]);
    *p++ = '$';
    memcpy(p, t->s, t->n);
    p += t->n;
    p += sprintf(p, "#%02x", sum);
    g->last_len = (size_t)(p - g->last);
    put(g, g->last, g->last_len);
}

void gdb_console(struct gdb *g, const char *text)
{
    struct gdb_text saved = g->reply;

    while (*text) {
        size_t n = strlen(text);

        if (n > GDB_PACKET / 4)
            n = GDB_PACKET / 4;
        g->reply.n = 0;
        text_add(&g->reply, "O");
        for (size_t i = 0; i < n; i++)
            text_byte(&g->reply, (uint8_t)text[i]);
        gdb_send(g);
        text += n;
    }
    g->reply = saved;
}

/* ---- in ---- */

static int digit(uint8_t c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 :
           c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* `}` and a byte stand for that byte with bit 5 turned. */
static unsigned unescape(uint8_t *p, unsigned len)
{
    unsigned n = 0;

    for (unsigned i = 0; i < len; i++) {
        if (p[i] == '}' && i + 1 < len)
            p[n++] = p[++i] ^ 0x20;
        else
            p[n++] = p[i];
    }
    return n;
}

static void packet_done(struct gdb *g)
{
    unsigned len, greeting;
    bool again;

    if (!g->no_ack) {
        if (g->sum != g->sum_got) {
            put(g, "-", 1);
            return;
        }
        put(g, "+", 1);
    }
    if (g->too_long) {
        g->reply.n = 0;
        text_add(&g->reply, "E%02x", ERR_SIZE);
        gdb_send(g);
        return;
    }
    if (!g->waiting && control_state(g->m->control) == RUN_RUNNING)
        control_stop(g->m->control, RUN_PAUSED);        /* a monitor let it go on behind the debugger's back */
    else if (!g->still)                 /* with -S the first reset may not be over yet */
        control_stop(g->m->control, control_state(g->m->control));
    g->still = true;
    len = unescape(g->body, g->len);
    g->body[len] = 0;
    /*
     * Sent once more because this Latimer took its time to begin: gdb waits for one answer only, and would take the
     * second for that to what it asks next.
     */
    greeting = strncmp((char *)g->body, "qSupported", 10) ? 0 : len << 8 | g->sum;
    again = greeting && greeting == g->greeted && !g->no_ack;
    g->greeted = greeting;
    if (again)
        return;
    gdb_packet(g, g->body, len);
    if (g->ack_next_off) {              /* QStartNoAckMode: from behind its reply on */
        g->ack_next_off = false;
        g->no_ack = true;
    }
}

static void byte_in(struct gdb *g, uint8_t c)
{
    switch (g->state) {
    case IN_IDLE:
        if (c == '$' || c == 3) {
            /* A debugger that waits and speaks wants the guest to stop first. */
            if (g->waiting) {
                g->interrupted = true;
                control_stop(g->m->control, RUN_PAUSED);
            }
        }
        if (c == '$') {
            g->state = IN_BODY;
            g->len = 0;
            g->sum = 0;
            g->too_long = false;
        } else if (c == '-' && !g->no_ack && g->last_len) {
            put(g, g->last, g->last_len);
        }
        break;
    case IN_BODY:
        if (c == '#') {
            g->state = IN_SUM1;
            break;
        }
        if (c == '$') {                 /* the one before was cut off */
            g->len = 0;
            g->sum = 0;
            g->too_long = false;
            break;
        }
        g->sum = (uint8_t)(g->sum + c);
        if (g->len < GDB_PACKET)
            g->body[g->len++] = c;
        else
            g->too_long = true;
        break;
    case IN_SUM1:
        g->sum_got = (uint8_t)(digit(c) < 0 ? ~g->sum : digit(c) << 4);
        g->state = IN_SUM2;
        break;
    case IN_SUM2:
        g->sum_got = (uint8_t)(digit(c) < 0 ? ~g->sum : g->sum_got | digit(c));
        g->state = IN_IDLE;
        packet_done(g);
        break;
    }
}

/* False: there is nothing to read now. */
static bool read_some(struct gdb *g)
{
    uint8_t buf[4096];
    ssize_t n = read(g->in, buf, sizeof(buf));

    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
        return false;
    g->heard |= n > 0;
    for (ssize_t i = 0; i < n && g->connected; i++)
        byte_in(g, buf[i]);
    if (n <= 0 || (g->connected && g->queued > QUEUE_MAX - 4 * GDB_PACKET))
        hang_up(g, true);
    return true;
}

static void on_input(void *arg, short revents)
{
    struct gdb *g = arg;

    if (revents & POLLOUT)
        flush(g);
    if (revents & ~POLLOUT)
        read_some(g);
}

/* ---- clients come and go ---- */

static void on_change(void *arg, enum run_state now)
{
    struct gdb *g = arg;

    if (!g->connected)
        return;
    if (now == RUN_RUNNING)
        gdb_going(g);
    else
        gdb_stopped(g);
}

static void attach(struct gdb *g, int in, int out)
{
    int one = 1;

    g->in = in;
    g->out = out;
    fcntl(in, F_SETFL, fcntl(in, F_GETFL) | O_NONBLOCK);
    fcntl(out, F_SETFL, fcntl(out, F_GETFL) | O_NONBLOCK);
    /* of no effect on what is no such socket */
    setsockopt(in, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    g->state = IN_IDLE;
    g->no_ack = g->waiting = g->phys = g->real_linear = g->interrupted = g->swbreak = g->hwbreak = false;
    g->sstep = SSTEP_ENABLE | SSTEP_NOIRQ | SSTEP_NOTIMER;
    g->cpu_g = g->cpu_c = g->greeted = 0;
    g->queued = g->last_len = 0;
    if (control_state(g->m->control) == RUN_RUNNING)
        control_stop(g->m->control, RUN_PAUSED);
    g->still = false;
    for (unsigned i = 0; i < g->m->ncpu; i++) {
        g->cpu[i] = (struct cpu_debug){ .points = &g->points };
        g->m->cpu[i]->debug = &g->cpu[i];
    }
    g->connected = true;
    g->in_watch = evloop_add(g->m->loop, in, POLLIN, on_input, g);
}

void gdb_detach(struct gdb *g, bool go)
{
    enum run_state was = control_state(g->m->control);

    g->waiting = false;
    if (was == RUN_RUNNING)
        control_stop(g->m->control, RUN_DEBUG);
    gdb_points_clear(g);
    memset(&g->points.catch, 0, sizeof(g->points.catch));
    gdb_points_apply(g);
    gdb_going(g);
    for (unsigned i = 0; i < g->m->ncpu; i++) {
        struct cpu *c = g->m->cpu[i];

        /* An exception that was caught and not delivered yet. */
        if (g->cpu[i].pending && !g->cpu[i].again && c->rip == g->cpu[i].stop.rip) {
            g->cpu[i].deliver = true;
            if (cpu_deliver_fault(c))
                cpu_shut_down(c);
        }
        c->debug = NULL;
    }
    g->connected = false;
    if (go && (was == RUN_RUNNING || was == RUN_PAUSED || was == RUN_DEBUG || was == RUN_PRELAUNCH))
        gdb_cont(g);
}

static void hang_up(struct gdb *g, bool go)
{
    if (g->in_watch)
        evloop_remove(g->in_watch);
    g->in_watch = NULL;
    if (g->connected)
        gdb_detach(g, go);
    if (g->in >= 0 && g->listen >= 0)
        close(g->in);
    g->in = g->out = -1;
    /* Who began Latimer for itself (target remote | latimer -gdb stdio) waits for its end. */
    if (g->listen < 0 && g->heard)
        machine_request_stop(g->m, STOP_QUIT, 0);
}

static void on_client(void *arg, short revents)
{
    struct gdb *g = arg;
    int fd = accept(g->listen, NULL, NULL);

    (void)revents;
    if (fd < 0)
        return;
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    /* The one before may have gone, and its end not been read yet. */
    for (unsigned n = 0; n < 256 && g->connected && read_some(g); n++)
        continue;
    if (g->in >= 0) {
        if (g->connected) {
            static const char busy[] = "$E.another debugger is connected#";

            log_msg(LOG_GUEST, "gdb: refused a second debugger");
            (void)!send(fd, busy, sizeof(busy) - 1, MSG_NOSIGNAL);
            close(fd);
            return;
        }
        hang_up(g, false);              /* it has detached and not closed yet */
    }
    attach(g, fd, fd);
}

/* It listens and never waits, whatever else is said; without a host's name only this host may come. */
static bool socket_spec(const char *spec, char *to, size_t len)
{
    bool here = strncmp(spec, "tcp::", 5) == 0;

    return (strncmp(spec, "tcp:", 4) == 0 || strncmp(spec, "unix:", 5) == 0) &&
           snprintf(to, len, "%s%s,server,nowait", here ? "tcp:127.0.0.1" : "", spec + (here ? 4 : 0)) < (int)len;
}

struct gdb *gdb_new(struct machine *m, const char *spec, char *err, size_t len, bool *usage)
{
    struct chardev_socket s = { .listen = -1 };
    struct gdb *g;
    char text[512];

    *usage = true;
    if (!m->ncpu) {
        snprintf(err, len, "-gdb: machine %s has no processor that could be debugged", m->cfg.board->name);
        return NULL;
    }
    g = calloc(1, sizeof(*g));
    if (g)
        g->cpu = calloc(m->ncpu, sizeof(g->cpu[0]));
    if (g)
        g->last = malloc(GDB_PACKET + 8);
    if (!g || !g->cpu || !g->last)
        die(EXIT_CODE_HOST, "out of memory for the debugger");
    g->m = m;
    g->listen = g->in = g->out = -1;
    g->watcher = (struct control_watcher){ .changed = on_change, .arg = g };
    gdb_regs_init(g);
    if (strcmp(spec, "stdio") == 0) {
        if (!evloop_claim_stdio(m->loop)) {
            snprintf(err, len, "-gdb stdio: standard input and output are used already");
            goto bad;
        }
    } else if (!socket_spec(spec, text, sizeof(text))) {
        snprintf(err, len, "-gdb %s: use tcp::PORT, tcp:HOST:PORT, unix:PATH or stdio", spec);
        goto bad;
    } else if (!chardev_socket_open(text, "-gdb", &s, err, len)) {
        *usage = strstr(err, "unknown destination") != NULL;
        if (*usage)
            snprintf(err, len, "-gdb %s: use tcp::PORT, tcp:HOST:PORT, unix:PATH or stdio", spec);
        goto bad;
    }
    control_watch(m->control, &g->watcher);
    g->listen = s.listen;
    g->path = s.path;
    if (g->listen >= 0)
        g->listen_watch = evloop_add(m->loop, g->listen, POLLIN, on_client, g);
    else
        attach(g, STDIN_FILENO, STDOUT_FILENO);
    return g;

bad:
    free(g->xml);
    free(g->cpu);
    free(g->last);
    free(g);
    return NULL;
}

void gdb_free(struct gdb *g, int code)
{
    if (!g)
        return;
    if (g->connected) {
        g->reply.n = 0;
        text_add(&g->reply, "W%02x", code & 0xff);
        fcntl(g->out, F_SETFL, fcntl(g->out, F_GETFL) & ~O_NONBLOCK);
        if (g->waiting || g->killed)
            gdb_send(g);
        for (unsigned i = 0; i < g->m->ncpu; i++)
            g->m->cpu[i]->debug = NULL;
        g->connected = false;
    }
    control_unwatch(g->m->control, &g->watcher);
    if (g->in_watch)
        evloop_remove(g->in_watch);
    if (g->listen >= 0) {
        evloop_remove(g->listen_watch);
        close(g->listen);
        if (g->in >= 0)
            close(g->in);
    }
    if (g->path)
        unlink(g->path);
    free(g->path);
    free(g->queue);
    free(g->last);
    free(g->xml);
    free(g->point);
    free(g->points.brk);
    free(g->points.watch);
    free(g->cpu);
    free(g);
}

bool gdb_server(struct machine *m, const char *spec, char *err, size_t len)
{
    struct gdb *g = NULL;
    bool usage;

    if (m->gdb && m->gdb->connected) {
        snprintf(err, len, "a debugger is connected: it has to detach first");
        return false;
    }
    if (spec && strcmp(spec, "stdio") == 0) {
        snprintf(err, len, "standard input and output cannot be taken while the machine runs: use tcp::PORT or unix:PATH");
        return false;
    }
    if (spec && !(g = gdb_new(m, spec, err, len, &usage)))
        return false;
    gdb_free(m->gdb, 0);
    m->gdb = g;
    return true;
}
