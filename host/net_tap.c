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
#include <linux/virtio_net.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/log.h"
#include "host/evloop.h"

#define BURST 64                /* frames read in one round of the event loop */
#define HEADER 10u              /* struct virtio_net_hdr, in the host's byte order */

struct tap {
    struct net *net;
    struct evfd *watch;
    int fd;
    bool held;
    bool vnet;                  /* a header says what each frame still needs */
    uint8_t buf[HEADER + NET_FRAME_MAX];
};

static void deliver(struct tap *t, size_t len)
{
    struct net_offload o;
    struct virtio_net_hdr h;

    if (!t->vnet) {
        net_deliver(t->net, t->buf, len);
        return;
    }
    if (len <= HEADER)
        return;
    memcpy(&h, t->buf, HEADER);
    o = (struct net_offload){ h.flags, h.gso_type, h.hdr_len, h.gso_size, h.csum_start, h.csum_offset };
    net_deliver_offload(t->net, &o, t->buf + HEADER, len - HEADER);
}

static void tap_ready(void *arg, short revents)
{
    struct tap *t = arg;

    for (unsigned i = 0; i < BURST && !t->held; i++) {
        ssize_t n = read(t->fd, t->buf, sizeof(t->buf));

        if (n > 0) {
            deliver(t, (size_t)n);
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
    uint8_t none[HEADER] = { 0 };
    struct iovec parts[] = { { none, HEADER }, { (void *)(uintptr_t)frame, len } };

    if ((t->vnet ? writev(t->fd, parts, 2) : write(t->fd, frame, len)) < 0)
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

static void tap_takes(void *end, unsigned what)
{
    struct tap *t = end;
    unsigned flags = 0;

    if (what & NET_TAKES_CSUM)
        flags = TUN_F_CSUM | (what & NET_TAKES_TSO4 ? TUN_F_TSO4 : 0) | (what & NET_TAKES_TSO6 ? TUN_F_TSO6 : 0) |
            (what & NET_TAKES_ECN ? TUN_F_TSO_ECN : 0);
    if (ioctl(t->fd, TUNSETOFFLOAD, flags) < 0)
        log_msg(LOG_DEV, "network %s: the host goes on finishing frames: %s", t->net->id, strerror(errno));
}

static const struct net_end_ops end_ops = { tap_send, tap_hold, tap_free, NULL };
static const struct net_end_ops vnet_ops = { tap_send, tap_hold, tap_free, tap_takes };

/* Its frames have headers, of the size that we know. */
static bool has_header(int fd)
{
    struct ifreq req = { .ifr_flags = 0 };
    int size = HEADER;

    return ioctl(fd, TUNGETIFF, &req) == 0 && (req.ifr_flags & IFF_VNET_HDR) && ioctl(fd, TUNSETVNETHDRSZ, &size) == 0;
}

static int open_interface(const char *ifname, bool vnet, char *err, size_t errlen)
{
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    struct ifreq req = { .ifr_flags = IFF_TAP | IFF_NO_PI };
    unsigned features;

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
    if (vnet && ioctl(fd, TUNGETFEATURES, &features) == 0 && (features & IFF_VNET_HDR))
        req.ifr_flags |= IFF_VNET_HDR;
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
        fd = open_interface(c->ifname, !c->whole, err, errlen);
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
    t->vnet = has_header(fd);
    net_end_new(n, loop, t->vnet ? &vnet_ops : &end_ops, t);
    /* An interface that stays may have been left otherwise by who had it before. */
    tap_takes(t, 0);
    t->watch = evloop_add(loop, fd, POLLIN, tap_ready, t);
    return true;
}
