/*
 * net_socket.c - another program as the other end of the cable, by a stream (TCP or a Unix socket: one listens, one
 * connects; before each frame its length in four bytes, big-endian) or datagrams (UDP or Unix sockets, a frame in each:
 * between two, or to a multicast group). QEMU's -netdev socket, stream and dgram speak the same, and so does passt(1).
 *
 * The one that listens takes one connection at a time and, when that has ended, the next. The cable of a stream is
 * up while there is a connection.
 */
#ifndef _GNU_SOURCE             /* accept4 */
#define _GNU_SOURCE
#endif
#include "host/net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "host/evloop.h"
#include "host/unix_path.h"

#define BURST   64              /* datagrams read in one round of the event loop */
#define HEAD    4u
#define IN_MAX  (2 * (HEAD + NET_FRAME_MAX))
#define OUT_MAX (1u << 20)      /* unsent bytes kept for a slow peer */

struct sock {
    struct net *net;
    struct evloop *loop;
    enum net_socket_how how;
    int fd, listen_fd, send_fd; /* -1: none; send_fd: NET_MCAST */
    struct evfd *watch, *listener;
    struct net_addr to;         /* datagrams; none: their socket is connected */
    char *path;                 /* of ours in the file system, NULL: none */
    struct sockaddr_in own;     /* NET_MCAST: of send_fd: our datagrams come back, and are not for us */
    bool connecting, held;
    size_t in_len, out_start, out_len;
    uint8_t in[IN_MAX];
    uint8_t out[OUT_MAX];
};

static bool is_stream(const struct sock *s)
{
    return s->how == NET_LISTEN || s->how == NET_CONNECT;
}

static void watch(struct sock *s)
{
    short events = s->held ? 0 : POLLIN;

    if (s->connecting || s->out_len)
        events |= POLLOUT;
    if (s->watch)
        evloop_change(s->watch, events);
}

/* ---- streams ---- */

static void hang_up(struct sock *s, const char *why)
{
    fprintf(stderr, "latimer: network %s: %s\n", s->net->id, why);
    evloop_remove(s->watch);
    close(s->fd);
    s->watch = NULL;
    s->fd = -1;
    s->in_len = s->out_len = s->out_start = 0;
    s->connecting = false;
    net_set_up(s->net, false);
    if (s->listener)
        evloop_change(s->listener, POLLIN);
}

static bool again(void)
{
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
}

/* False: the connection has gone. */
static bool write_out(struct sock *s)
{
    while (s->out_len) {
        ssize_t n = send(s->fd, s->out + s->out_start, s->out_len, MSG_NOSIGNAL);

        if (n < 0 && again())
            break;
        if (n < 0) {
            hang_up(s, strerror(errno));
            return false;
        }
        s->out_start += (size_t)n;
        s->out_len -= (size_t)n;
    }
    watch(s);
    return true;
}

static void stream_send(struct sock *s, const uint8_t *frame, size_t len)
{
    uint8_t *p;

    if (s->fd < 0 || s->connecting)
        return;
    if (s->out_start + s->out_len + HEAD + len > OUT_MAX) {
        memmove(s->out, s->out + s->out_start, s->out_len);
        s->out_start = 0;
    }
    if (s->out_len + HEAD + len > OUT_MAX)
        return;                 /* lost: the peer reads too slowly */
    p = s->out + s->out_start + s->out_len;
    for (unsigned i = 0; i < HEAD; i++)
        p[i] = (uint8_t)(len >> 8 * (HEAD - 1 - i));
    memcpy(p + HEAD, frame, len);
    s->out_len += HEAD + len;
    write_out(s);
}

/* Whole frames go to the chip; false: that is no stream of frames. */
static bool take_frames(struct sock *s)
{
    size_t at = 0;

    while (!s->held && s->in_len - at >= HEAD) {
        size_t len = 0;

        for (unsigned i = 0; i < HEAD; i++)
            len = len << 8 | s->in[at + i];
        if (len > NET_FRAME_MAX)
            return false;
        if (s->in_len - at < HEAD + len)
            break;
        at += HEAD + len;
        net_deliver(s->net, s->in + at - len, len);
    }
    s->in_len -= at;
    memmove(s->in, s->in + at, s->in_len);
    return true;
}

static void connected(struct sock *s)
{
    int one = 1;

    setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    s->connecting = false;
    watch(s);
    net_set_up(s->net, true);
}

static void stream_ready(void *arg, short revents)
{
    struct sock *s = arg;
    ssize_t n;

    if (s->connecting) {
        int error = 0;
        socklen_t len = sizeof(error);

        if (!(revents & (POLLOUT | POLLERR | POLLHUP)))
            return;
        getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &len);
        if (error)
            hang_up(s, strerror(error));
        else
            connected(s);
        return;
    }
    if ((revents & POLLOUT) && !write_out(s))
        return;
    if (s->held || !(revents & (POLLIN | POLLERR | POLLHUP)))
        return;
    n = recv(s->fd, s->in + s->in_len, IN_MAX - s->in_len, 0);
    if (n < 0 && again())
        return;
    if (n <= 0) {
        hang_up(s, n ? strerror(errno) : "the other end has closed the connection");
        return;
    }
    s->in_len += (size_t)n;
    if (!take_frames(s))
        hang_up(s, "what comes is no stream of frames: connection closed");
}

static void accept_ready(void *arg, short revents)
{
    struct sock *s = arg;
    int fd = accept4(s->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (fd < 0)
        return;
    s->fd = fd;
    s->watch = evloop_add(s->loop, fd, POLLIN, stream_ready, s);
    evloop_change(s->listener, 0);
    connected(s);
}

/* ---- datagrams ---- */

static void datagrams_ready(void *arg, short revents)
{
    struct sock *s = arg;

    for (unsigned i = 0; i < BURST && !s->held; i++) {
        struct sockaddr_in from;
        socklen_t len = sizeof(from);
        ssize_t n = recvfrom(s->fd, s->in, NET_FRAME_MAX, 0, (struct sockaddr *)&from, &len);

        /* An error is what a datagram met that was sent before: nobody there. It may come. */
        if (n < 0)
            return;
        if (s->how == NET_MCAST && from.sin_port == s->own.sin_port &&
            from.sin_addr.s_addr == s->own.sin_addr.s_addr)
            continue;
        net_deliver(s->net, s->in, (size_t)n);
    }
}

/* ---- the cable ---- */

static void sock_send(void *end, const uint8_t *frame, size_t len)
{
    struct sock *s = end;

    if (is_stream(s))
        stream_send(s, frame, len);
    else if (sendto(s->send_fd >= 0 ? s->send_fd : s->fd, frame, len, MSG_NOSIGNAL, s->to.len ? &s->to.any : NULL,
                    s->to.len) < 0)
        log_msg(LOG_DEV, "network %s: a frame of %zu bytes was lost: %s", s->net->id, len, strerror(errno));
}

static void sock_hold(void *end, bool on)
{
    struct sock *s = end;

    s->held = on;
    watch(s);
    if (!on && is_stream(s) && s->fd >= 0 && !take_frames(s))
        hang_up(s, "what comes is no stream of frames: connection closed");
}

static void sock_free(void *end)
{
    struct sock *s = end;

    if (s->watch)
        evloop_remove(s->watch);
    if (s->listener)
        evloop_remove(s->listener);
    if (s->fd >= 0)
        close(s->fd);
    if (s->listen_fd >= 0)
        close(s->listen_fd);
    if (s->send_fd >= 0)
        close(s->send_fd);
    if (s->path)
        unlink(s->path);
    free(s->path);
    free(s);
}

static const struct net_end_ops end_ops = { sock_send, sock_hold, sock_free, NULL };

static bool refused(const char *what, const struct net_addr *a, char *err, size_t errlen)
{
    char text[INET_ADDRSTRLEN];
    int error = errno;

    if (a->any.sa_family == AF_UNIX) {
        snprintf(err, errlen, "cannot %s %s: %s", what, a->un.sun_path, strerror(error));
        return false;
    }
    inet_ntop(AF_INET, &a->in.sin_addr, text, sizeof(text));
    snprintf(err, errlen, "cannot %s %s:%u: %s", what, text, ntohs(a->in.sin_port), strerror(error));
    return false;
}

/* errno says why not. */
static bool bind_to(struct sock *s, int fd, const struct net_addr *a, int type)
{
    bool here = a->any.sa_family == AF_UNIX, bound = here ? unix_bind(fd, &a->un, type) : bind(fd, &a->any, a->len) == 0;

    if (bound && here && !(s->path = strdup(a->un.sun_path)))
        die(EXIT_CODE_HOST, "out of memory for network %s", s->net->id);
    return bound;
}

/* It was open when this process began. */
static bool take_fd(struct sock *s, const struct net_socket_config *c, char *err, size_t errlen)
{
    int type = 0, want = c->how == NET_CONNECT ? SOCK_STREAM : SOCK_DGRAM;
    socklen_t len = sizeof(type);

    if (getsockopt(c->fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0 || type != want) {
        snprintf(err, errlen, "descriptor %d is no open socket for %s", c->fd, want == SOCK_STREAM ? "streams" : "datagrams");
        return false;
    }
    fcntl(c->fd, F_SETFL, fcntl(c->fd, F_GETFL) | O_NONBLOCK);
    fcntl(c->fd, F_SETFD, FD_CLOEXEC);
    s->fd = c->fd;
    return true;
}

static bool open_stream(struct sock *s, const struct net_socket_config *c, char *err, size_t errlen)
{
    int fd = socket(c->addr.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;

    if (c->how == NET_LISTEN) {
        s->listen_fd = fd;
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
        if (fd < 0 || !bind_to(s, fd, &c->addr, SOCK_STREAM) || listen(fd, 1) < 0)
            return refused("listen on", &c->addr, err, errlen);
        return true;
    }
    s->fd = fd;
    if (fd >= 0 && connect(fd, &c->addr.any, c->addr.len) == 0)
        return true;
    if (fd < 0 || errno != EINPROGRESS)
        return refused("connect to", &c->addr, err, errlen);
    /* A peer that is not there is told at once; for one far away the machine need not wait. */
    if (poll(&(struct pollfd){ fd, POLLOUT, 0 }, 1, 1000) > 0) {
        socklen_t len = sizeof(int);
        int error = 0;

        getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len);
        errno = error;
        return error ? refused("connect to", &c->addr, err, errlen) : true;
    }
    s->connecting = true;
    return true;
}

static bool open_datagrams(struct sock *s, const struct net_socket_config *c, char *err, size_t errlen)
{
    int one = 1;
    socklen_t len = sizeof(s->own);
    struct ip_mreq group = { c->addr.in.sin_addr, c->local.in.sin_addr };
    const struct net_addr *at = c->how == NET_MCAST ? &c->addr : &c->local;

    s->to = c->addr;
    s->fd = socket(at->any.sa_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->how == NET_MCAST)
        setsockopt(s->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (s->fd < 0 || !bind_to(s, s->fd, at, SOCK_DGRAM))
        return refused("receive on", at, err, errlen);
    if (c->how == NET_DATAGRAMS)
        return true;
    /* All members receive on one port; a socket of its own for sending tells one from the other. */
    s->send_fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (setsockopt(s->fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &group, sizeof(group)) < 0 || s->send_fd < 0 ||
        setsockopt(s->send_fd, IPPROTO_IP, IP_MULTICAST_LOOP, &one, sizeof(one)) < 0 ||
        (c->local.in.sin_addr.s_addr &&
         setsockopt(s->send_fd, IPPROTO_IP, IP_MULTICAST_IF, &c->local.in.sin_addr,
                    sizeof(c->local.in.sin_addr)) < 0) ||
        connect(s->send_fd, &c->addr.any, c->addr.len) < 0 ||
        getsockname(s->send_fd, (struct sockaddr *)&s->own, &len) < 0)
        return refused("join group", &c->addr, err, errlen);
    return true;
}

bool net_open_socket(struct net *n, struct evloop *loop, const struct net_socket_config *c, char *err,
                     size_t errlen)
{
    struct sock *s = calloc(1, sizeof(*s));

    if (!s)
        die(EXIT_CODE_HOST, "out of memory for network %s", n->id);
    s->net = n;
    s->loop = loop;
    s->how = c->how;
    s->fd = s->listen_fd = s->send_fd = -1;
    if (!(c->given ? take_fd(s, c, err, errlen) :
          is_stream(s) ? open_stream(s, c, err, errlen) : open_datagrams(s, c, err, errlen))) {
        sock_free(s);
        return false;
    }
    net_end_new(n, loop, &end_ops, s);
    if (s->listen_fd >= 0)
        s->listener = evloop_add(loop, s->listen_fd, POLLIN, accept_ready, s);
    if (s->fd >= 0)
        s->watch = evloop_add(loop, s->fd, POLLIN, is_stream(s) ? stream_ready : datagrams_ready, s);
    if (is_stream(s))
        n->up = s->fd >= 0 && !s->connecting;
    watch(s);
    return true;
}
