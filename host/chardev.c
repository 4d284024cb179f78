/*
 * chardev.c - byte streams to the outside, whatever that is (chardev_open.c).
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
 * Input is read ahead into a buffer of 4,096 bytes, so that the escape key works while the guest takes
 * nothing; beyond it a pipe waits, and a terminal's keys are lost.  End of input is no event.
 *
 * While the machine stands still its devices are not called: debuggers and snapshots, which are not made in one moment,
 * see chips that nobody changes.  Input for them stays with the host if nobody else has the stream, and in the buffer if the
 * escape key is to be found; monitors behind the same stream go on.
 */
#include "host/chardev.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "host/chardev_int.h"
#include "host/term.h"

#define FLUSH_NS 250000u        /* between two writes of what ends no line: echoes of several bytes stay fast, too */
#define FLUSH_BYTES 1024u
#define DATAGRAM 1024u          /* bytes in one that is sent, at most: networks carry it whole */
#define ESCAPE 0x01             /* Ctrl-A */

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

/* It is the machine's, and that stands still: it hears nothing. */
static bool rests(const struct front *f)
{
    return f->h->still && !(f->base.user && f->base.user->outside);
}

static struct front *focus(const struct host_chardev *h)
{
    return h->front[h->focus];
}

/*
 * Bytes to be read now. What descriptors came with is done first, so that each finds its own; what is for the machine
 * while that stands still waits where it is, unless somebody else may have to hear of it.
 */
static size_t room_for(struct host_chardev *h)
{
    unsigned waits = focus(h)->in_len;

    if ((h->ngiven && waits) || (!h->mux && rests(focus(h))))
        return 0;
    return h->lossy_in ? IN_SIZE : IN_SIZE - waits;
}

static void tell_opened(void *arg)
{
    struct host_chardev *h = arg;

    for (unsigned i = 0; i < h->nfronts; i++) {
        struct front *f = h->front[i];
        bool open = is_open(h, f);

        if (f->told_open == open || !f->base.user || rests(f))
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

void chardev_connected(struct host_chardev *h, int fd)
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
static void close_given(struct host_chardev *h)
{
    while (h->ngiven)
        close(h->given[--h->ngiven]);
}

static void disconnected(struct host_chardev *h)
{
    close_given(h);
    if (h->in)
        evloop_remove(h->in);
    if (h->out)
        evloop_remove(h->out);
    h->in = h->out = NULL;
    close(h->out_fd);
    h->in_fd = h->out_fd = -1;
    h->out_len = 0;
    h->blocked = h->deaf = false;
    if (h->listen)
        evloop_change(h->listen, POLLIN);
    evloop_delay(h->loop, &h->flush_delay, 0);  /* whoever waited to write need not */
    evloop_delay(h->loop, &h->open_delay, 0);
}

void chardev_client_ready(void *arg, short revents)
{
    struct host_chardev *h = arg;
    int fd = accept(h->sock.listen, NULL, NULL);

    if (fd < 0)
        return;
    evloop_change(h->listen, 0);
    chardev_connected(h, fd);
}

/* A client's end is found where it is read, behind what it has sent; at once where nobody reads. */
static void output_failed(struct host_chardev *h)
{
    if (h->is_socket && (room_for(h) || rests(focus(h)))) {
        h->deaf = true;
        h->out_len = 0;
        return;
    }
    if (h->is_socket) {
        disconnected(h);
        return;
    }
    fprintf(stderr, "latimer: %s: writing failed (%s): its output is dropped from here on\n", h->label,
            strerror(errno));
    h->dead = true;
    h->out_len = 0;
}

/* A datagram, which nobody may be there for: then it is lost. */
static ssize_t send_datagram(struct host_chardev *h, const uint8_t *p, size_t n)
{
    ssize_t got = send(h->out_fd, p, n = n < DATAGRAM ? n : DATAGRAM, MSG_NOSIGNAL);

    return got < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : (ssize_t)n;
}

/* One write of at most n bytes that does not block; 0: not now, -1: failed. */
static ssize_t write_some(struct host_chardev *h, const uint8_t *p, size_t n)
{
    if (h->datagrams)
        return send_datagram(h, p, n);
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

        if (!f->stalled || rests(f))
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

/* logfile=: what the device has got rid of, whoever has it. */
static unsigned logged(struct host_chardev *h, const uint8_t *buf, unsigned n)
{
    for (unsigned done = 0; h->log_fd >= 0 && done < n; ) {
        ssize_t got = write(h->log_fd, buf + done, n - done);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            fprintf(stderr, "latimer: %s: writing its log failed (%s): it ends here\n", h->label, strerror(errno));
            close(h->log_fd);
            h->log_fd = -1;
            break;
        }
        done += (unsigned)got;
    }
    return n;
}

static unsigned host_write(struct chardev *c, const uint8_t *buf, unsigned n)
{
    struct host_chardev *h = host(c);
    unsigned take;
    bool line_end = memchr(buf, '\n', n) != NULL;
    if (h->dead || h->deaf || h->out_fd < 0)
        return logged(h, buf, n);
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
    if (h->drops || h->dead || h->deaf || h->out_fd < 0)
        return logged(h, buf, n);
    ((struct front *)c)->stalled |= take < n;
    return logged(h, buf, take);
}

/* ---- input ---- */

/* Takes what comes first: bytes (how many, at most `max`), or a break, which is none. */
static unsigned take(struct front *f, uint8_t *buf, unsigned max)
{
    unsigned n = 0, at = f->in_start;

    while (n < max && n < f->in_len && f->in_buf[at] != IN_BREAK) {
        buf[n++] = (uint8_t)f->in_buf[at];
        at = (at + 1) % IN_SIZE;
    }
    f->in_start = n ? at : (at + 1) % IN_SIZE;
    f->in_len -= n ? n : 1;
    return n;
}

static void deliver_to(struct front *f)
{
    const struct chardev_user *user = f->base.user;
    uint8_t buf[IN_SIZE];
    unsigned room, n;

    while (f->in_len && user && !rests(f) && (room = user->room(f->base.dev)) > 0) {
        n = take(f, buf, room < IN_SIZE ? room : IN_SIZE);
        if (n)
            user->receive(f->base.dev, buf, n);
        else if (user->receive_break)
            user->receive_break(f->base.dev);
    }
}

static void deliver(struct host_chardev *h)
{
    for (unsigned i = 0; i < h->nfronts; i++)
        deliver_to(h->front[i]);
    if (h->in)
        evloop_change(h->in, room_for(h) ? POLLIN : 0);
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

void chardev_still(struct chardev *c, bool on)
{
    struct host_chardev *h = c ? host(c) : NULL;

    if (!h || h->still == on)
        return;
    h->still = on;
    /* From the event loop: who let the machine go on may be behind this stream, and not be done. */
    evloop_delay(h->loop, &h->deliver_delay, 0);
    evloop_delay(h->loop, &h->flush_delay, 0);
    evloop_delay(h->loop, &h->open_delay, 0);
}

/* A byte, or IN_BREAK. */
static void push(struct host_chardev *h, uint16_t what)
{
    struct front *f = focus(h);

    if (f->in_len < IN_SIZE)
        f->in_buf[(f->in_start + f->in_len++) % IN_SIZE] = what;
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
        push(h, IN_BREAK);
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
            push(h, IN_BREAK);
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

/* read(), with descriptors: those that come replace those that came before and nobody took. */
static ssize_t receive(struct host_chardev *h, void *buf, size_t room)
{
    union {
        struct cmsghdr head;
        char buf[CMSG_SPACE(GIVEN_FDS * sizeof(int))];
    } control;
    struct iovec piece = { buf, room };
    struct msghdr m = { .msg_iov = &piece, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };
    ssize_t n = recvmsg(h->in_fd, &m, MSG_CMSG_CLOEXEC);

    for (struct cmsghdr *c = n < 0 ? NULL : CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        close_given(h);
        h->ngiven = (int)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
        memcpy(h->given, CMSG_DATA(c), (size_t)h->ngiven * sizeof(int));
    }
    return n;
}

static void in_ready(void *arg, short revents)
{
    struct host_chardev *h = arg;
    uint8_t buf[IN_SIZE];
    size_t room = room_for(h);
    if (!room) {
        evloop_change(h->in, 0);
        return;
    }
    ssize_t n = h->is_socket ? receive(h, buf, room) : read(h->in_fd, buf, room);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0 && h->is_socket) {
        disconnected(h);
        return;
    }
    if (n <= 0 && h->datagrams)
        return;                 /* an empty one, or word that an earlier one met nobody */
    if (n <= 0) {               /* end of input; a pty's EIO cannot be: we hold its slave open */
        evloop_remove(h->in);
        h->in = NULL;
    }
    for (ssize_t i = 0; i < n; i++) {
        int c = h->tty ? chardev_tty_input(h->tty, buf[i]) : buf[i];

        buf[i] = (uint8_t)c;
        if (c == CHARDEV_TTY_BREAK) {
            push(h, IN_BREAK);
        } else if (c < 0 || (h->telnet && !telnet_data(h, buf[i]))) {
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

static void tty_line(struct chardev *c, const struct chardev_line *line)
{
    chardev_tty_line(host(c)->tty, line);
}

static void tty_break(struct chardev *c, int on)
{
    chardev_tty_break(host(c)->tty, on);
}

static void tty_modem(struct chardev *c, unsigned out)
{
    chardev_tty_modem(host(c)->tty, out);
}

static int tty_inputs(struct chardev *c)
{
    return chardev_tty_inputs(host(c)->tty);
}

/* In their order. */
static int host_take_fd(struct chardev *c)
{
    struct host_chardev *h = host(c);
    int fd = h->ngiven ? h->given[0] : -1;

    if (fd >= 0)
        memmove(h->given, h->given + 1, (size_t)--h->ngiven * sizeof(int));
    return fd;
}

static const struct chardev_ops host_ops = { .write = host_write, .accept = host_accept, .take_fd = host_take_fd };
static const struct chardev_ops tty_ops = { host_write, tty_break, host_accept, tty_line, tty_modem, tty_inputs, NULL };

static struct front *add_front(struct host_chardev *h)
{
    struct front *f = calloc(1, sizeof(*f));

    if (!f)
        die(EXIT_CODE_HOST, "out of memory for %s", h->label);
    f->base.ops = h->tty ? &tty_ops : &host_ops;
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
    h->in_fd = h->out_fd = h->slave_fd = h->log_fd = -1;
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

static void release(struct host_chardev *h)
{
    close_given(h);
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
    chardev_tty_free(h->tty);
    if (h->in_fd >= 0 && h->in_fd != h->out_fd && !h->stdio)
        close(h->in_fd);
    if (h->out_fd >= 0)
        close(h->out_fd);
    if (h->log_fd >= 0)
        close(h->log_fd);
    if (h->stdio)
        term_restore();
    for (unsigned i = 0; i < h->nfronts; i++)
        free(h->front[i]);
    free(h);
}

struct chardev *chardev_open_with(struct evloop *loop, const char *spec, const struct chardev_options *opt,
                                  const char *label, char *err, size_t errlen)
{
    struct host_chardev *h;

    err[0] = 0;
    if (strcmp(spec, "none") == 0)
        return NULL;
    h = make(loop, label);
    h->mux = strncmp(spec, "mon:", 4) == 0;
    if (!chardev_find_end(h, spec + (h->mux ? 4 : 0), opt, err, errlen)) {
        release(h);
        return NULL;
    }
    if (h->tty)
        h->front[0]->base.ops = &tty_ops;
    if (!h->is_socket)
        watch(h);
    return &h->front[0]->base;
}

struct chardev *chardev_open(struct evloop *loop, const char *spec, const char *label, char *err, size_t errlen)
{
    return chardev_open_with(loop, spec, &(struct chardev_options){ 0 }, label, err, errlen);
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
