/*
 * net_tap.c - a tap interface of the host as the other end of the cable (Linux,
 * Documentation/networking/tuntap.rst).
 *
 * The interface is made (which needs CAP_NET_ADMIN) or opened, if it is there and ours, but not configured:
 * that is the user's business.
 */
#include "host/net.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/log.h"
#include "host/evloop.h"

#define BURST 64                /* frames read in one round of the event loop */

struct tap {
    struct net *net;
    struct evfd *watch;
    int fd;
    bool held;
    uint8_t buf[NET_FRAME_MAX];
};

static void tap_ready(void *arg, short revents)
{
    struct tap *t = arg;

    for (unsigned i = 0; i < BURST && !t->held; i++) {
        ssize_t n = read(t->fd, t->buf, sizeof(t->buf));

        if (n > 0) {
            net_deliver(t->net, t->buf, (size_t)n);
            continue;
        }
        /* The interface was taken away: polling goes on telling so for ever. */
        if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
            fprintf(stderr, "latimer: network %s: the tap interface is gone: %s\n", t->net->id,
                    n ? strerror(errno) : "closed");
            evloop_change(t->watch, 0);
            net_set_up(t->net, false);
        }
        return;
    }
}

static void tap_send(void *end, const uint8_t *frame, size_t len)
{
    struct tap *t = end;

    if (write(t->fd, frame, len) < 0)
        log_msg(LOG_DEV, "network %s: a frame of %zu bytes was lost: %s", t->net->id, len, strerror(errno));
}

static void tap_hold(void *end, bool on)
{
    struct tap *t = end;

    t->held = on;
    evloop_change(t->watch, on ? 0 : POLLIN);
}

static void tap_free(void *end)
{
    struct tap *t = end;

    evloop_remove(t->watch);
    close(t->fd);
    free(t);
}

static const struct net_end_ops end_ops = { tap_send, tap_hold, tap_free };

static int open_interface(const char *ifname, char *err, size_t errlen)
{
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    struct ifreq req = { .ifr_flags = IFF_TAP | IFF_NO_PI };

    if (fd < 0) {
        snprintf(err, errlen, "cannot open /dev/net/tun: %s: tap needs that device and the right to use it; "
                 "user networking (-netdev user) needs neither", strerror(errno));
        return -1;
    }
    if (ifname && strlen(ifname) >= sizeof(req.ifr_name)) {
        snprintf(err, errlen, "ifname=%s: names of interfaces have at most %zu characters", ifname,
                 sizeof(req.ifr_name) - 1);
        close(fd);
        return -1;
    }
    if (ifname)
        memcpy(req.ifr_name, ifname, strlen(ifname));
    if (ioctl(fd, TUNSETIFF, &req) < 0) {
        snprintf(err, errlen, "the host does not give us tap interface %s: %s: it must exist and belong to "
                 "this user (ip tuntap add mode tap user NAME), or this must run with CAP_NET_ADMIN",
                 ifname ? ifname : "(a new one)", strerror(errno));
        close(fd);
        return -1;
    }
    return fd;
}

bool net_open_tap(struct net *n, struct evloop *loop, const struct net_tap_config *c, char *err,
                  size_t errlen)
{
    int fd = c->fd, flags;
    struct tap *t;

    if (fd < 0)
        fd = open_interface(c->ifname, err, errlen);
    if (fd < 0)
        return false;
    flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) {
        snprintf(err, errlen, "fd=%d: %s", fd, strerror(errno));
        return false;
    }
    t = calloc(1, sizeof(*t));
    if (!t)
        die(EXIT_CODE_HOST, "out of memory for network %s", n->id);
    t->net = n;
    t->fd = fd;
    net_end_new(n, loop, &end_ops, t);
    t->watch = evloop_add(loop, fd, POLLIN, tap_ready, t);
    return true;
}
