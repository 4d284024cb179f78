/*
 * net_user.c - user networking: libslirp is the other end of the cable, a small network with a router, DHCP,
 * DNS and TFTP, and turns the guest's connections into sockets of this process. No privilege is needed.
 *
 * libslirp is called by the event loop's thread alone, with the device lock held: it asks before each sleep
 * for the descriptors and the time it wants to wait for, and looks at them afterwards (struct evsource).
 */
#include "host/net.h"

#include <errno.h>
#include <libslirp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "host/evloop.h"

#define MS 1000000u

struct user {
    struct net *net;
    struct evloop *loop;
    Slirp *slirp;
    struct in_addr dhcp;        /* the first address that guests get */
    struct evsource source;
};

struct user_timer {
    struct user *user;
    struct evdelay delay;
    SlirpTimerCb fire;
    void *arg;
};

/* ---- what libslirp calls ---- */

static ssize_t send_packet(const void *buf, size_t len, void *arg)
{
    net_deliver(((struct user *)arg)->net, buf, len);
    return (ssize_t)len;
}

static void guest_error(const char *msg, void *arg)
{
    log_msg(LOG_GUEST, "network %s: %s", ((struct user *)arg)->net->id, msg);
}

static int64_t now_ns(void *arg)
{
    return (int64_t)evloop_now();
}

static void timer_fire(void *arg)
{
    struct user_timer *t = arg;

    t->fire(t->arg);
}

static void *timer_make(SlirpTimerCb fire, void *arg, void *user)
{
    struct user_timer *t = calloc(1, sizeof(*t));

    if (!t)
        die(EXIT_CODE_HOST, "out of memory for a timer of the network");
    *t = (struct user_timer){ user, { .fire = timer_fire, .arg = t }, fire, arg };
    return t;
}

static void timer_end(void *timer, void *user)
{
    struct user_timer *t = timer;

    evloop_delay_cancel(t->user->loop, &t->delay);
    free(t);
}

static void timer_move(void *timer, int64_t ms, void *user)
{
    struct user_timer *t = timer;
    int64_t wait = ms * MS - now_ns(user);

    evloop_delay_cancel(t->user->loop, &t->delay);
    evloop_delay(t->user->loop, &t->delay, wait > 0 ? (uint64_t)wait : 0);
}

/* All its descriptors are asked for before each sleep. */
static void register_fd(int fd, void *arg)
{
}

static void notify(void *arg)
{
    evloop_wake(((struct user *)arg)->loop);
}

static const SlirpCb callbacks = {
    .send_packet = send_packet, .guest_error = guest_error, .clock_get_ns = now_ns, .timer_new = timer_make,
    .timer_free = timer_end, .timer_mod = timer_move, .register_poll_fd = register_fd,
    .unregister_poll_fd = register_fd, .notify = notify,
};

/* ---- the event loop ---- */

static const struct { int slirp; short poll; } events[] = {
    { SLIRP_POLL_IN, POLLIN }, { SLIRP_POLL_OUT, POLLOUT }, { SLIRP_POLL_PRI, POLLPRI },
    { SLIRP_POLL_ERR, POLLERR },
    { SLIRP_POLL_HUP, POLLHUP }
};
#define EVENTS (sizeof(events) / sizeof(events[0]))

static int add_poll(int fd, int want, void *arg)
{
    short what = 0;

    for (unsigned i = 0; i < EVENTS; i++)
        what |= want & events[i].slirp ? events[i].poll : 0;
    return evloop_poll_fd(((struct user *)arg)->loop, fd, what);
}

static int get_revents(int number, void *arg)
{
    short got = evloop_revents(((struct user *)arg)->loop, number);
    int what = 0;

    for (unsigned i = 0; i < EVENTS; i++)
        what |= got & events[i].poll ? events[i].slirp : 0;
    return what;
}

static void prepare(void *arg, uint64_t *sleep_ns)
{
    struct user *u = arg;
    uint32_t ms = *sleep_ns / MS < UINT32_MAX ? (uint32_t)(*sleep_ns / MS) : UINT32_MAX, asked = ms;

    slirp_pollfds_fill(u->slirp, &ms, add_poll, u);
    if (ms < asked)
        *sleep_ns = (uint64_t)ms * MS;
}

static void done(void *arg)
{
    struct user *u = arg;

    slirp_pollfds_poll(u->slirp, 0, get_revents, u);
}

/* ---- the cable ---- */

static void user_send(void *end, const uint8_t *frame, size_t len)
{
    struct user *u = end;

    slirp_input(u->slirp, frame, (int)len);
}

static void user_free(void *end)
{
    struct user *u = end;

    evloop_source_remove(u->loop, &u->source);
    if (u->slirp)
        slirp_cleanup(u->slirp);
    free(u);
}

/* Where frames for the chip pile up, the guest's window closes: what is lost is sent again. */
static const struct net_end_ops end_ops = { user_send, NULL, user_free, NULL };

static bool forward(struct user *u, const struct net_user_config *c, char *err, size_t errlen)
{
    for (const struct net_forward *f = c->forwards; f; f = f->next) {
        struct in_addr guest = f->guest.s_addr ? f->guest : c->dhcp;

        if (slirp_add_hostfwd(u->slirp, f->udp, f->host, f->host_port, guest, f->guest_port) == 0)
            continue;
        snprintf(err, errlen, "hostfwd=%s: the host does not let us listen there: %s", f->text,
                 strerror(errno));
        return false;
    }
    for (const struct net_service *s = c->services; s; s = s->next) {
        struct in_addr at = s->addr;
        int r = s->command ? slirp_add_exec(u->slirp, s->command, &at, s->port) :
                slirp_add_unix(u->slirp, s->path, &at, s->port);

        if (r == 0)
            continue;
        snprintf(err, errlen, "guestfwd=%s: not an address of the guest's network that is free: it must not "
                 "be the router's nor the name server's", s->text);
        return false;
    }
    return true;
}

bool net_open_user(struct net *n, struct evloop *loop, const struct net_user_config *c, char *err,
                   size_t errlen)
{
    struct user *u;
    struct stat st;
    SlirpConfig sc = {
        .version = 1, .restricted = c->restricted, .in_enabled = c->ipv4, .vnetwork = c->net,
        .vnetmask = c->mask, .vhost = c->host, .in6_enabled = c->ipv6, .vprefix_addr6 = c->prefix6,
        .vprefix_len = c->prefix6_len, .vhost6 = c->host6, .vhostname = c->hostname,
        .tftp_server_name = c->tftp_name, .tftp_path = c->tftp, .bootfile = c->bootfile,
        .vdhcp_start = c->dhcp, .vnameserver = c->dns, .vnameserver6 = c->dns6,
        .vdnssearch = c->search[0] ? (const char **)(uintptr_t)c->search : NULL, .vdomainname = c->domain,
    };

    if (c->tftp && (stat(c->tftp, &st) || !S_ISDIR(st.st_mode))) {
        snprintf(err, errlen, "tftp=%s: %s: it must be the folder with the files", c->tftp,
                 strerror(access(c->tftp, F_OK) ? errno : ENOTDIR));
        return false;
    }
    u = calloc(1, sizeof(*u));
    if (!u)
        die(EXIT_CODE_HOST, "out of memory for network %s", n->id);
    u->net = n;
    u->loop = loop;
    u->dhcp = c->dhcp;
    u->slirp = slirp_new(&sc, &callbacks, u);
    if (!u->slirp) {
        snprintf(err, errlen, "libslirp does not take these addresses");
        free(u);
        return false;
    }
    net_end_new(n, loop, &end_ops, u);
    if (!forward(u, c, err, errlen)) {
        net_close(n);
        return false;
    }
    u->source = (struct evsource){ prepare, done, u, NULL };
    evloop_source(loop, &u->source);
    return true;
}

/* ---- for monitors ---- */

bool net_is_user(const struct net *n)
{
    return net_end_of(n, &end_ops) != NULL;
}

char *net_user_connections(const struct net *n)
{
    struct user *u = net_end_of(n, &end_ops);

    return u ? slirp_connection_info(u->slirp) : NULL;          /* of g_malloc(), which is malloc() since GLib 2.46 */
}

bool net_user_forward(struct net *n, bool add, const struct net_forward *f, char *err, size_t errlen)
{
    struct user *u = net_end_of(n, &end_ops);
    int r;

    if (!u) {
        snprintf(err, errlen, "network %s is no user network", n->id);
        return false;
    }
    r = add ? slirp_add_hostfwd(u->slirp, f->udp, f->host, f->host_port, f->guest.s_addr ? f->guest : u->dhcp,
                                f->guest_port) :
              slirp_remove_hostfwd(u->slirp, f->udp, f->host, f->host_port);
    if (r == 0)
        return true;
    if (add)
        snprintf(err, errlen, "the host does not let us listen there: %s", strerror(errno));
    else
        snprintf(err, errlen, "nothing is led on from there");
    return false;
}
