/*
 * chardev.c - byte streams to the outside: terminal or pipe on stdio, files, pseudo-terminals, sockets.
 *
 * Output never blocks a vCPU: bytes go into a 64 KiB buffer that is written out at each line's end, at once where
 * nothing was lately, so that what is typed is echoed without delay, and else a moment later by the event loop,
 * which also goes on when the reader was slow.  With the
 * buffer full, stdio and files make the device wait (it keeps its bytes and is told by
 * writable()); a pty, which may have no reader at all, drops what does not fit.  A stream whose
 * descriptor failed (disk full, reader gone) drops everything, after one message.
 *
 * A socket has one client at a time; output while there is none is dropped, as is the rest for one that goes.
 *
 * Input is read ahead into a 4 KiB buffer, so that the escape key works while the guest takes
 * nothing; beyond it a pipe waits, and a terminal's keys are lost.  End of input is no event.
 */
#ifndef _GNU_SOURCE             /* ptsname_r */
#define _GNU_SOURCE
#endif
#include "host/chardev.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "base/log.h"
#include "host/chardev_socket.h"
#include "host/evloop.h"
#include "host/term.h"

#define OUT_SIZE 65536u
#define IN_SIZE 4096u
#define FLUSH_NS 250000u        /* between two writes of what ends no line: echoes of several bytes stay fast, too */
#define FLUSH_BYTES 1024u
#define ESCAPE 0x01             /* Ctrl-A */

#define FRONTS 4                /* users of one stream */

/* One user of the stream, with what was typed to it. */
struct front {
    struct chardev base;        /* first: the chips' view */
    struct host_chardev *h;
    bool stalled;               /* it waits for writable() */
    bool told_open;
    unsigned in_start, in_len;
    uint8_t in_buf[IN_SIZE];
};

struct host_chardev {
    struct evloop *loop;
    struct front *front[FRONTS];
    unsigned nfronts, focus;    /* focus: who is typed to */
    char label[32];
    int in_fd, out_fd, slave_fd;        /* -1: none */
    struct evfd *in, *out;
    bool is_socket;             /* in_fd and out_fd are the client's, -1: none */
    struct chardev_socket sock;
    struct evfd *listen;
    bool nonblocking;           /* out_fd is, or never blocks */
    bool drops;                 /* full buffer: drop (pty) instead of making the device wait */
    bool dead;                  /* out_fd failed */
    bool tty_in, stdio, mux, escaped;
    bool blocked;               /* the last write did not take all: POLLOUT is awaited */
    bool telnet;
    unsigned iac;               /* what of a telnet command has come, enum below */
    uint64_t flushed;           /* evloop_now() at the last write */
    struct evdelay flush_delay, deliver_delay, open_delay;
    unsigned out_start, out_len;
    uint8_t out_buf[OUT_SIZE];
};

enum { IAC_NONE, IAC_IAC, IAC_OPTION, IAC_SUB, IAC_SUB_IAC };
enum {
    TELNET_SE = 240,
    TELNET_BREAK = 243,
    TELNET_SB = 250,
    TELNET_WILL = 251,
    TELNET_DO = 253,
    TELNET_DONT = 254,
    TELNET_IAC = 255
};

static struct host_chardev *host(struct chardev *c)
{
    return ((struct front *)c)->h;
}

/* ---- who is there ---- */

/* Behind a device and a monitor sits the same terminal: the monitor's is there while it is typed to. */
static bool is_open(const struct host_chardev *h, const struct front *f)
{
    return (!h->is_socket || h->out_fd >= 0) && f == h->front[h->focus];
}

static void tell_opened(void *arg)
{
    struct host_chardev *h = arg;

    for (unsigned i = 0; i < h->nfronts; i++) {
        struct front *f = h->front[i];
        bool open = is_open(h, f);

        if (f->told_open == open || !f->base.user)
            continue;
        f->told_open = open;
        if (!open && f->base.user->opened)
            f->in_len = 0;      /* nobody waits for what that does */
        if (f->base.user->opened)
            f->base.user->opened(f->base.dev, open);
    }
}

/* ---- output ---- */

static void watch(struct host_chardev *h);

static void connected(struct host_chardev *h, int fd)
{
    static const uint8_t hello[] = {
        TELNET_IAC, TELNET_WILL, 1, TELNET_IAC, TELNET_WILL, 3,
        TELNET_IAC, TELNET_WILL, 0, TELNET_IAC, TELNET_DO,   0
    }; /* we echo; no turns; eight bits */

    tell_opened(h);             /* the one before is gone, should nobody have said so yet */
    fcntl(fd, F_SETFL, O_NONBLOCK);
    h->in_fd = h->out_fd = fd;
    h->iac = IAC_NONE;
    if (h->telnet) {
        memcpy(h->out_buf, hello, sizeof(hello));
        h->out_start = 0;
        h->out_len = sizeof(hello);
    }
    watch(h);
    evloop_delay(h->loop, &h->open_delay, 0);
    evloop_delay(h->loop, &h->flush_delay, 0);
}

/* The client is gone; another one may come. */
static void disconnected(struct host_chardev *h)
{
    if (h->in)
        evloop_remove(h->in);
    if (h->out)
        evloop_remove(h->out);
    h->in = h->out = NULL;
    close(h->out_fd);
    h->in_fd = h->out_fd = -1;
    h->out_len = 0;
    h->blocked = false;
    if (h->listen)
        evloop_change(h->listen, POLLIN);
    evloop_delay(h->loop, &h->flush_delay, 0);  /* whoever waited to write need not */
    evloop_delay(h->loop, &h->open_delay, 0);
}

static void client_ready(void *arg, short revents)
{
    struct host_chardev *h = arg;
    int fd = accept(h->sock.listen, NULL, NULL);

    if (fd < 0)
        return;
    evloop_change(h->listen, 0);
    connected(h, fd);
}

static void output_failed(struct host_chardev *h)
{
    if (h->is_socket) {
        disconnected(h);
        return;
    }
    fprintf(stderr, "latimer: %s: writing failed (%s): its output is dropped from here on\n", h->label,
            strerror(errno));
    h->dead = true;
    h->out_len = 0;
}

/* One write of at most n bytes that does not block; 0: not now, -1: failed. */
static ssize_t write_some(struct host_chardev *h, const uint8_t *p, size_t n)
{
    if (!h->nonblocking) {
        struct pollfd pf = { h->out_fd, POLLOUT, 0 };
        if (poll(&pf, 1, 0) <= 0)
            return 0;
        n = n < 256 ? n : 256;          /* what a writable pipe or terminal surely takes */
    }
    ssize_t got = h->is_socket ? send(h->out_fd, p, n, MSG_NOSIGNAL) : write(h->out_fd, p, n);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    return got;
}

static bool stalled(const struct host_chardev *h)
{
    bool any = false;

    for (unsigned i = 0; i < h->nfronts; i++)
        any |= h->front[i]->stalled;
    return any;
}

static void flush(struct host_chardev *h)
{
    h->flushed = evloop_now();
    while (h->out_len) {
        unsigned run = OUT_SIZE - h->out_start;
        run = h->out_len < run ? h->out_len : run;
        ssize_t n = write_some(h, h->out_buf + h->out_start, run);
        if (n < 0) {
            output_failed(h);
            break;
        }
        if (n == 0)
            break;
        h->out_start = (h->out_start + (unsigned)n) % OUT_SIZE;
        h->out_len -= (unsigned)n;
    }
    h->blocked = h->out_len != 0;
    if (h->out)
        evloop_change(h->out, h->blocked ? POLLOUT : 0);
    if (!h->blocked && !stalled(h) && h->flush_delay.due)
        evloop_delay_cancel(h->loop, &h->flush_delay);
}

static void tell_writable(struct host_chardev *h)
{
    for (unsigned i = 0; i < h->nfronts && h->out_len < OUT_SIZE / 2; i++) {
        struct front *f = h->front[i];

        if (!f->stalled)
            continue;
        f->stalled = false;
        if (f->base.user && f->base.user->writable)
            f->base.user->writable(f->base.dev);
    }
}

static void out_ready(void *arg, short revents)
{
    flush(arg);
    tell_writable(arg);
}

static void flush_later(void *arg)
{
    out_ready(arg, 0);
}

static unsigned host_write(struct chardev *c, const uint8_t *buf, unsigned n)
{
    struct host_chardev *h = host(c);
    unsigned take;
    bool line_end = memchr(buf, '\n', n) != NULL;
    if (h->dead || h->out_fd < 0)
        return n;
    for (take = 0; take < n; take++) {
        unsigned twice = h->telnet && buf[take] == TELNET_IAC;

        if (h->out_len + 1 + twice > OUT_SIZE)
            break;
        for (unsigned i = 0; i <= twice; i++)
            h->out_buf[(h->out_start + h->out_len++) % OUT_SIZE] = buf[take];
    }
    if (h->blocked)
        ;                       /* the event loop goes on when the reader does */
    else if (line_end || h->out_len >= FLUSH_BYTES || evloop_now() - h->flushed >= FLUSH_NS)
        flush(h);
    else
        evloop_delay(h->loop, &h->flush_delay, FLUSH_NS);
    if (h->drops || h->dead || h->out_fd < 0)
        return n;
    ((struct front *)c)->stalled |= take < n;
    return take;
}

/* ---- input ---- */

static struct front *focus(const struct host_chardev *h)
{
    return h->front[h->focus];
}

static void deliver_to(struct front *f)
{
    const struct chardev_user *user = f->base.user;

    while (f->in_len && user) {
        unsigned n = user->room(f->base.dev), run = IN_SIZE - f->in_start, at = f->in_start;

        n = f->in_len < n ? f->in_len : n;
        n = run < n ? run : n;
        if (!n)
            break;
        f->in_start = (f->in_start + n) % IN_SIZE;
        f->in_len -= n;
        user->receive(f->base.dev, f->in_buf + at, n);
    }
}

static void deliver(struct host_chardev *h)
{
    for (unsigned i = 0; i < h->nfronts; i++)
        deliver_to(h->front[i]);
    if (h->in)
        evloop_change(h->in, focus(h)->in_len < IN_SIZE || h->tty_in ? POLLIN : 0);
}

static void deliver_later(void *arg)
{
    deliver(arg);
}

/* A chip has room again: bytes that wait go to it from the event loop's thread. */
static void host_accept(struct chardev *c)
{
    struct host_chardev *h = host(c);

    if (((struct front *)c)->in_len)
        evloop_delay(h->loop, &h->deliver_delay, 0);
    if (((struct front *)c)->told_open != is_open(h, (struct front *)c))
        evloop_delay(h->loop, &h->open_delay, 0);
}

static void push(struct host_chardev *h, uint8_t byte)
{
    struct front *f = focus(h);

    if (f->in_len < IN_SIZE)
        f->in_buf[(f->in_start + f->in_len++) % IN_SIZE] = byte;
}

static void send_break(struct host_chardev *h)
{
    struct chardev *c = &focus(h)->base;

    if (c->user && c->user->receive_break)
        c->user->receive_break(c->dev);
}

static void help(struct host_chardev *h)
{
    static const char text[] = "\r\nCtrl-A h  this help\r\n"
                               "Ctrl-A c  between the serial port and the monitor\r\n"
                               "Ctrl-A x  leave Latimer\r\n"
                               "Ctrl-A b  send a break\r\n"
                               "Ctrl-A Ctrl-A  send a Ctrl-A\r\n";
    host_write(&focus(h)->base, (const uint8_t *)text, sizeof(text) - 1);
}

static void escape(struct host_chardev *h, uint8_t key)
{
    switch (key) {
    case ESCAPE:
        push(h, ESCAPE);
        break;
    case 'x': case 'X':
        host_write(&focus(h)->base, (const uint8_t *)"\r\n", 2);
        evloop_quit(h->loop);
        break;
    case 'b': case 'B':
        send_break(h);
        break;
    case 'c': case 'C':
        deliver(h);             /* what was typed before is for the one before */
        h->focus = (h->focus + 1) % h->nfronts;
        tell_opened(h);
        break;
    case 'h': case 'H': case '?':
        help(h);
        break;
    default:                    /* no command: swallowed, so that a slip does no harm */
        break;
    }
}

/* False: the byte is the protocol's (RFC 854). */
static bool telnet_data(struct host_chardev *h, uint8_t c)
{
    switch (h->iac) {
    case IAC_IAC:
        h->iac = c == TELNET_SB ? IAC_SUB : c >= TELNET_WILL && c <= TELNET_DONT ? IAC_OPTION : IAC_NONE;
        if (c == TELNET_BREAK)
            send_break(h);
        return c == TELNET_IAC;
    case IAC_OPTION:
        h->iac = IAC_NONE;
        return false;
    case IAC_SUB:
        h->iac = c == TELNET_IAC ? IAC_SUB_IAC : IAC_SUB;
        return false;
    case IAC_SUB_IAC:
        h->iac = c == TELNET_SE ? IAC_NONE : IAC_SUB;
        return false;
    default:
        if (c == TELNET_IAC)
            h->iac = IAC_IAC;
        return c != TELNET_IAC;
    }
}

static void in_ready(void *arg, short revents)
{
    struct host_chardev *h = arg;
    uint8_t buf[IN_SIZE];
    size_t room = h->tty_in ? sizeof(buf) : IN_SIZE - focus(h)->in_len;
    if (!room) {
        evloop_change(h->in, 0);
        return;
    }
    ssize_t n = read(h->in_fd, buf, room);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0 && h->is_socket) {
        disconnected(h);
        return;
    }
    if (n <= 0) {               /* end of input; a pty's EIO cannot be: we hold its slave open */
        evloop_remove(h->in);
        h->in = NULL;
    }
    for (ssize_t i = 0; i < n; i++) {
        if (h->telnet && !telnet_data(h, buf[i])) {
            ;
        } else if (h->escaped) {
            h->escaped = false;
            escape(h, buf[i]);
        } else if (h->mux && buf[i] == ESCAPE) {
            h->escaped = true;
        } else {
            push(h, buf[i]);
        }
    }
    deliver(h);
}

/* ---- opening ---- */

static const struct chardev_ops host_ops = { host_write, NULL, host_accept };

static struct front *add_front(struct host_chardev *h)
{
    struct front *f = calloc(1, sizeof(*f));

    if (!f)
        die(EXIT_CODE_HOST, "out of memory for %s", h->label);
    f->base.ops = &host_ops;
    f->h = h;
    return h->front[h->nfronts++] = f;
}

static struct host_chardev *make(struct evloop *loop, const char *label)
{
    struct host_chardev *h = calloc(1, sizeof(*h));
    if (!h)
        die(EXIT_CODE_HOST, "out of memory for %s", label);
    h->loop = loop;
    add_front(h);
    snprintf(h->label, sizeof(h->label), "%s", label);
    h->in_fd = h->out_fd = h->slave_fd = -1;
    h->sock = (struct chardev_socket){ .listen = -1, .fd = -1 };
    h->flush_delay = (struct evdelay){ 0, flush_later, h, NULL };
    h->deliver_delay = (struct evdelay){ 0, deliver_later, h, NULL };
    h->open_delay = (struct evdelay){ 0, tell_opened, h, NULL };
    return h;
}

static void watch(struct host_chardev *h)
{
    if (h->in_fd >= 0)
        h->in = evloop_add(h->loop, h->in_fd, POLLIN, in_ready, h);
    if (h->out_fd >= 0)
        h->out = evloop_add(h->loop, h->out_fd, 0, out_ready, h);
}

/*
 * Standard output as a descriptor of our own that does not block.  O_NONBLOCK belongs to the open
 * file, which our parent shares: a pipe or terminal is opened a second time instead.
 */
static void open_stdout(struct host_chardev *h)
{
    struct stat st;
    if (fstat(STDOUT_FILENO, &st) < 0)
        return;                 /* closed: output goes nowhere */
    h->out_fd = -1;
    if (S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode))
        h->out_fd = open("/proc/self/fd/1", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    h->nonblocking = h->out_fd >= 0 || S_ISREG(st.st_mode);
    if (h->out_fd < 0)
        h->out_fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0);
}

static bool open_stdio(struct host_chardev *h, char *err, size_t len)
{
    if (!evloop_claim_stdio(h->loop)) {
        snprintf(err, len, "%s: standard input and output are already used by another device, or not there "
                 "(-daemonize): give this one file:PATH, pty or none", h->label);
        return false;
    }
    h->stdio = true;
    h->tty_in = isatty(STDIN_FILENO);
    if (!term_raw(!h->mux)) {
        snprintf(err, len, "%s: the terminal on standard input cannot be set to raw mode (%s): "
                 "redirect it (</dev/null) or use -serial file:PATH", h->label, strerror(errno));
        return false;
    }
    if (fcntl(STDIN_FILENO, F_GETFD) >= 0)
        h->in_fd = STDIN_FILENO;
    open_stdout(h);
    return true;
}

static bool open_file(struct host_chardev *h, const char *path, char *err, size_t len)
{
    if (!*path) {
        snprintf(err, len, "%s: unknown destination 'file:': a path is missing, as in file:console.log", h->label);
        return false;
    }
    h->out_fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, 0666);
    if (h->out_fd < 0) {
        snprintf(err, len, "%s: cannot write %s: %s", h->label, path, strerror(errno));
        return false;
    }
    struct stat st;
    h->nonblocking = fstat(h->out_fd, &st) == 0 && S_ISREG(st.st_mode);
    return true;
}

static bool open_pty(struct host_chardev *h, char *err, size_t len)
{
    char name[128];
    struct termios t;
    int fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (fd < 0 || grantpt(fd) < 0 || unlockpt(fd) < 0 || ptsname_r(fd, name, sizeof(name)) != 0 ||
        fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
        goto failed;
    /* Held open by us, the slave keeps raw mode and what was written while nobody listens. */
    h->slave_fd = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (h->slave_fd < 0 || tcgetattr(h->slave_fd, &t) < 0)
        goto failed;
    cfmakeraw(&t);
    if (tcsetattr(h->slave_fd, TCSANOW, &t) < 0)
        goto failed;
    h->in_fd = h->out_fd = fd;
    h->nonblocking = h->drops = true;
    fprintf(stderr, "latimer: %s is on %s\n", h->label, name);
    return true;
failed:
    snprintf(err, len, "%s: cannot make a pseudo-terminal: %s", h->label, strerror(errno));
    if (fd >= 0)
        close(fd);
    return false;
}

static bool open_socket(struct host_chardev *h, const char *spec, char *err, size_t len)
{
    if (!chardev_socket_open(spec, h->label, &h->sock, err, len))
        return false;
    h->is_socket = h->nonblocking = true;
    if (h->sock.listen >= 0)
        h->listen = evloop_add(h->loop, h->sock.listen, h->sock.fd < 0 ? POLLIN : 0, client_ready, h);
    if (h->sock.fd >= 0)
        connected(h, h->sock.fd);
    return true;
}

static void release(struct host_chardev *h)
{
    if (h->listen)
        evloop_remove(h->listen);
    if (h->sock.listen >= 0)
        close(h->sock.listen);
    if (h->sock.path)
        unlink(h->sock.path);
    free(h->sock.path);
    if (h->in)
        evloop_remove(h->in);
    if (h->out)
        evloop_remove(h->out);
    evloop_delay_cancel(h->loop, &h->flush_delay);
    evloop_delay_cancel(h->loop, &h->deliver_delay);
    evloop_delay_cancel(h->loop, &h->open_delay);
    if (h->slave_fd >= 0)
        close(h->slave_fd);
    if (h->out_fd >= 0)
        close(h->out_fd);
    if (h->stdio)
        term_restore();
    for (unsigned i = 0; i < h->nfronts; i++)
        free(h->front[i]);
    free(h);
}

struct chardev *chardev_open(struct evloop *loop, const char *spec, const char *label, char *err,
                             size_t errlen)
{
    bool ok = true;
    err[0] = 0;
    if (strcmp(spec, "none") == 0)
        return NULL;
    struct host_chardev *h = make(loop, label);
    h->mux = strncmp(spec, "mon:", 4) == 0;
    spec += h->mux ? 4 : 0;
    h->telnet = strncmp(spec, "telnet:", 7) == 0;
    if (strcmp(spec, "stdio") == 0) {
        ok = open_stdio(h, err, errlen);
    } else if (strncmp(spec, "file:", 5) == 0) {
        ok = open_file(h, spec + 5, err, errlen);
    } else if (strcmp(spec, "pty") == 0) {
        ok = open_pty(h, err, errlen);
    } else if (h->telnet || strncmp(spec, "tcp:", 4) == 0 || strncmp(spec, "unix:", 5) == 0) {
        ok = open_socket(h, spec, err, errlen);
    } else if (strcmp(spec, "null") != 0) {
        snprintf(err, errlen, "%s: unknown destination '%s': use stdio, mon:stdio, file:PATH, pty, null, "
                 "none, tcp:HOST:PORT, telnet:HOST:PORT or unix:PATH", label, spec);
        ok = false;
    }
    if (!ok) {
        release(h);
        return NULL;
    }
    if (!h->is_socket)
        watch(h);
    return &h->front[0]->base;
}

bool chardev_is_open(const struct chardev *c)
{
    const struct front *f = (const struct front *)c;

    return f->told_open;
}

struct chardev *chardev_front(struct chardev *c)
{
    struct host_chardev *h = host(c);

    return h->mux && h->nfronts < FRONTS ? &add_front(h)->base : NULL;
}

void chardev_close(struct chardev *c)
{
    if (!c)
        return;
    struct host_chardev *h = host(c);
    /* A reader that is merely slow gets a second for the rest; nobody waits for a pty. */
    for (int tries = 0; h->out_len && !h->dead && !h->drops && tries < 100; tries++) {
        flush(h);
        struct pollfd pf = { h->out_fd, POLLOUT, 0 };
        if (h->out_len)
            poll(&pf, 1, 10);
    }
    release(h);
}
