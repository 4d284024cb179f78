/*
 * test_net.c - the host's ends of cables: sockets (by another of ours, and byte by byte as QEMU speaks),
 * captures, the queue for a chip without buffers, user networking's DHCP, ARP and forwarded ports.
 */
#include <arpa/inet.h>
#include <check.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host/evloop.h"
#include "host/net.h"
#include "tests/run_suite.h"

#define MOST 2000

/* A chip that notes what comes. */
struct chip {
    struct net net;
    unsigned got, room, links;
    size_t len[MOST];
    uint8_t last[NET_FRAME_MAX];
};

static struct evloop *loop;
static struct chip a, b;
static char err[400];

static bool receive(void *dev, const uint8_t *frame, size_t len)
{
    struct chip *c = dev;

    if (!c->room)
        return false;
    c->room--;
    c->len[c->got++ % MOST] = len;
    memcpy(c->last, frame, len);
    return true;
}

static void link_changed(void *dev, bool up)
{
    ((struct chip *)dev)->links++;
}

static const struct net_user user = { receive, link_changed };

static void setup(void)
{
    loop = evloop_new();
    memset(&a, 0, sizeof(a));
    memset(&b, 0, sizeof(b));
    a.net.id = "a";
    b.net.id = "b";
    a.room = b.room = MOST;
    net_connect(&a.net, &user, &a, (const uint8_t[6]){ 2, 0, 0, 0, 0, 1 });
    net_connect(&b.net, &user, &b, (const uint8_t[6]){ 2, 0, 0, 0, 0, 2 });
}

static void teardown(void)
{
    net_close(&a.net);
    net_close(&b.net);
    evloop_free(loop);
}

static void turn(void)
{
    evloop_step(loop, 1000000);
}

#define UNTIL(what)                                                             \
    do {                                                                        \
        unsigned turns_ = 0;                                                    \
        while (!(what) && turns_++ < 3000)                                      \
            turn();                                                             \
        ck_assert(what);                                                        \
    } while (0)

static void frame(uint8_t *f, size_t len, unsigned seed)
{
    for (size_t i = 0; i < len; i++)
        f[i] = (uint8_t)(seed * 31 + i * 7 + (i >> 8));
}

static struct sockaddr_in local(uint16_t port)
{
    return (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(port),
                                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
}

static struct net_addr net_local(uint16_t port)
{
    return (struct net_addr){ .in = local(port), .len = sizeof(struct sockaddr_in) };
}

static uint16_t free_port(int type)
{
    struct sockaddr_in at = local(0);
    socklen_t len = sizeof(at);
    int fd = socket(AF_INET, type, 0);

    ck_assert_int_eq(bind(fd, (struct sockaddr *)&at, len), 0);
    getsockname(fd, (struct sockaddr *)&at, &len);
    close(fd);
    return ntohs(at.sin_port);
}

static void both_ways(void)
{
    static uint8_t f[NET_FRAME_MAX];
    static const size_t lens[] = { 14, 60, 1514, 9000, NET_FRAME_MAX };

    for (unsigned i = 0; i < 5; i++) {
        unsigned na = a.got, nb = b.got;

        if (lens[i] > 9000 && a.len[MOST - 1])          /* datagrams end at 64 KiB */
            break;
        frame(f, lens[i], i);
        net_send(&a.net, f, lens[i]);
        UNTIL(b.got == nb + 1);
        ck_assert_uint_eq(b.len[nb], lens[i]);
        ck_assert_int_eq(memcmp(b.last, f, lens[i]), 0);
        frame(f, lens[i], i + 100);
        net_send(&b.net, f, lens[i]);
        UNTIL(a.got == na + 1);
        ck_assert_int_eq(memcmp(a.last, f, lens[i]), 0);
    }
}

START_TEST(streams)
{
    struct net_socket_config c = { .how = NET_LISTEN, .addr = net_local(free_port(SOCK_STREAM)) };

    ck_assert(net_open_socket(&a.net, loop, &c, err, sizeof(err)));
    ck_assert(!a.net.up);
    /* The port is taken. */
    ck_assert(!net_open_socket(&b.net, loop, &c, err, sizeof(err)));
    ck_assert_ptr_nonnull(strstr(err, "in use"));
    c.how = NET_CONNECT;
    ck_assert(net_open_socket(&b.net, loop, &c, err, sizeof(err)));
    UNTIL(a.net.up && b.net.up);
    ck_assert_uint_eq(a.links, 1);
    both_ways();
    /* Gone: the cable is down; and comes back. */
    net_close(&b.net);
    UNTIL(!a.net.up);
    ck_assert_uint_eq(a.links, 2);
    ck_assert(net_open_socket(&b.net, loop, &c, err, sizeof(err)));
    UNTIL(a.net.up);
    both_ways();
    net_close(&a.net);
    net_close(&b.net);
    ck_assert(!net_open_socket(&b.net, loop, &c, err, sizeof(err)));
    ck_assert_ptr_nonnull(strstr(err, "refused"));
}
END_TEST

/* Frames in pieces and several at once; then what is none. */
START_TEST(framing)
{
    struct net_socket_config c = { .how = NET_LISTEN, .addr = net_local(free_port(SOCK_STREAM)) };
    uint8_t out[3 * 104], in[104];
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    ck_assert(net_open_socket(&a.net, loop, &c, err, sizeof(err)));
    ck_assert_int_eq(connect(fd, &c.addr.any, c.addr.len), 0);
    UNTIL(a.net.up);
    for (unsigned i = 0; i < 3; i++) {
        memcpy(out + 104 * i, "\0\0\0\144", 4);
        frame(out + 104 * i + 4, 100, i);
    }
    for (unsigned i = 0; i < 150; i++) {
        ck_assert_int_eq(write(fd, out + i, 1), 1);
        turn();
    }
    UNTIL(a.got == 1);
    ck_assert_int_eq(write(fd, out + 150, sizeof(out) - 150), (ssize_t)sizeof(out) - 150);
    UNTIL(a.got == 3);
    ck_assert_int_eq(memcmp(a.last, out + 212, 100), 0);
    net_send(&a.net, out + 4, 100);
    for (unsigned i = 0; i < 5; i++)
        turn();
    ck_assert_int_eq(recv(fd, in, sizeof(in), MSG_WAITALL), (ssize_t)sizeof(in));
    ck_assert_int_eq(memcmp(in, out, 104), 0);
    ck_assert_int_eq(write(fd, "\377\377\377\377", 4), 4);
    UNTIL(!a.net.up);
    ck_assert_int_eq(recv(fd, in, sizeof(in), 0), 0);
    close(fd);
}
END_TEST

/* Without buffers nothing is lost, and the sender waits in the end. */
START_TEST(backlog)
{
    struct net_socket_config c = { .how = NET_LISTEN, .addr = net_local(free_port(SOCK_STREAM)) };
    uint8_t f[1000];

    ck_assert(net_open_socket(&a.net, loop, &c, err, sizeof(err)));
    c.how = NET_CONNECT;
    ck_assert(net_open_socket(&b.net, loop, &c, err, sizeof(err)));
    UNTIL(a.net.up);
    b.room = 3;
    for (unsigned i = 0; i < 500; i++) {
        frame(f, sizeof(f), i);
        net_send(&a.net, f, sizeof(f) - i);
        turn();
    }
    ck_assert_uint_eq(b.got, 3);
    while (b.got < 500) {
        unsigned got = b.got, n = b.room = 7;

        net_ready(&b.net);
        UNTIL(b.got == got + n || b.got == 500);
    }
    for (unsigned i = 0; i < 500; i++)
        ck_assert_uint_eq(b.len[i], sizeof(f) - i);
}
END_TEST

START_TEST(datagrams)
{
    uint16_t p = free_port(SOCK_DGRAM), q = free_port(SOCK_DGRAM);
    struct net_socket_config c = { .how = NET_DATAGRAMS, .addr = net_local(q), .local = net_local(p) };

    ck_assert(net_open_socket(&a.net, loop, &c, err, sizeof(err)));
    c.addr = net_local(p);
    c.local = net_local(q);
    ck_assert(net_open_socket(&b.net, loop, &c, err, sizeof(err)));
    a.len[MOST - 1] = 1;
    both_ways();
}
END_TEST

START_TEST(group)
{
    struct net_socket_config c = { .how = NET_MCAST, .addr = net_local(free_port(SOCK_DGRAM)),
                                   .local = net_local(0) };

    inet_pton(AF_INET, "239.192.7.9", &c.addr.in.sin_addr);
    if (!net_open_socket(&a.net, loop, &c, err, sizeof(err))) {
        /* An emulated host may lack it. */
        ck_assert_msg(strstr(err, "not available"), "%s", err);
        printf("test_net: group is skipped: %s\n", err);
        return;
    }
    ck_assert(net_open_socket(&b.net, loop, &c, err, sizeof(err)));
    a.len[MOST - 1] = 1;
    both_ways();                /* what one sends does not come back to it */
    ck_assert_uint_eq(a.got, 4);
    ck_assert_uint_eq(b.got, 4);
}
END_TEST

static struct net_addr net_path(const char *dir, const char *name)
{
    struct net_addr at = { .un.sun_family = AF_UNIX, .len = sizeof(at.un) };

    snprintf(at.un.sun_path, sizeof(at.un.sun_path), "%s/%s", dir, name);
    return at;
}

/* Sockets in the file system: they go with their owner, and one whose owner was killed is in nobody's way. */
START_TEST(paths)
{
    char dir[] = "/tmp/test_net.XXXXXX";
    struct net_socket_config c = { .how = NET_LISTEN };
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    ck_assert_ptr_nonnull(mkdtemp(dir));
    c.addr = net_path(dir, "s");
    ck_assert_int_eq(bind(fd, &c.addr.any, c.addr.len), 0);
    close(fd);
    ck_assert(net_open_socket(&a.net, loop, &c, err, sizeof(err)));
    ck_assert(!net_open_socket(&b.net, loop, &c, err, sizeof(err)));
    ck_assert_ptr_nonnull(strstr(err, "/s: Address already in use"));
    c.how = NET_CONNECT;
    ck_assert(net_open_socket(&b.net, loop, &c, err, sizeof(err)));
    UNTIL(a.net.up && b.net.up);
    both_ways();
    net_close(&a.net);
    net_close(&b.net);
    ck_assert(!net_open_socket(&b.net, loop, &c, err, sizeof(err)));
    ck_assert_ptr_nonnull(strstr(err, "No such file"));
    a.got = b.got = 0;
    a.room = b.room = MOST;
    c.how = NET_DATAGRAMS;
    c.local = net_path(dir, "a");
    c.addr = net_path(dir, "b");
    ck_assert(net_open_socket(&a.net, loop, &c, err, sizeof(err)));
    c.local = net_path(dir, "b");
    c.addr = net_path(dir, "a");
    ck_assert(net_open_socket(&b.net, loop, &c, err, sizeof(err)));
    both_ways();
    net_close(&a.net);
    net_close(&b.net);
    /* What is no socket stays. */
    c.how = NET_LISTEN;
    c.addr = net_path(dir, "file");
    fd = creat(c.addr.un.sun_path, 0600);
    ck_assert_int_ge(fd, 0);
    close(fd);
    ck_assert(!net_open_socket(&a.net, loop, &c, err, sizeof(err)));
    ck_assert_int_eq(unlink(c.addr.un.sun_path), 0);
    ck_assert_int_eq(rmdir(dir), 0);
}
END_TEST

START_TEST(descriptors)
{
    static const struct { int type; enum net_socket_how how, wrong; } kinds[] = {
        { SOCK_STREAM, NET_CONNECT, NET_DATAGRAMS }, { SOCK_DGRAM, NET_DATAGRAMS, NET_CONNECT }
    };

    for (unsigned i = 0; i < 2; i++) {
        struct net_socket_config c = { .how = kinds[i].wrong, .given = true };
        int fds[2];

        ck_assert_int_eq(socketpair(AF_UNIX, kinds[i].type, 0, fds), 0);
        c.fd = fds[0];
        ck_assert(!net_open_socket(&a.net, loop, &c, err, sizeof(err)));
        ck_assert_ptr_nonnull(strstr(err, "is no open socket for"));
        c.how = kinds[i].how;
        ck_assert(net_open_socket(&a.net, loop, &c, err, sizeof(err)));
        c.fd = fds[1];
        ck_assert(net_open_socket(&b.net, loop, &c, err, sizeof(err)));
        ck_assert(a.net.up && b.net.up);
        both_ways();
        net_close(&a.net);
        net_close(&b.net);
    }
}
END_TEST

START_TEST(capture)
{
    struct net_socket_config c = { .how = NET_LISTEN, .addr = net_local(free_port(SOCK_STREAM)) };
    static const uint8_t head[24] = { 0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, [16] = 100, [20] = 1 };
    char path[] = "/tmp/netXXXXXX";
    uint8_t f[200], got[1000];
    int fd = mkstemp(path);
    FILE *in;

    ck_assert(net_open_socket(&a.net, loop, &c, err, sizeof(err)));
    c.how = NET_CONNECT;
    ck_assert(net_open_socket(&b.net, loop, &c, err, sizeof(err)));
    ck_assert(!net_dump(&a.net, "/nowhere/at/all", 100, err, sizeof(err)));
    ck_assert(net_dump(&a.net, path, 100, err, sizeof(err)));
    UNTIL(a.net.up);
    frame(f, sizeof(f), 1);
    net_send(&a.net, f, 60);
    UNTIL(b.got == 1);
    net_send(&b.net, f, 200);
    UNTIL(a.got == 1);
    in = fdopen(fd, "r");
    ck_assert_uint_eq(fread(got, 1, sizeof(got), in), 24 + 16 + 60 + 16 + 100);
    ck_assert_int_eq(memcmp(got, head, 24), 0);
    ck_assert_uint_eq(got[24 + 8], 60);
    ck_assert_uint_eq(got[24 + 12], 60);
    ck_assert_int_eq(memcmp(got + 40, f, 60), 0);
    ck_assert_uint_eq(got[100 + 8], 100);
    ck_assert_uint_eq(got[100 + 12], 200);
    ck_assert_int_eq(memcmp(got + 116, f, 100), 0);
    fclose(in);
    unlink(path);
}
END_TEST

static struct net_user_config user_config(void)
{
    struct net_user_config c = { .ipv4 = true };

    inet_pton(AF_INET, "10.0.2.0", &c.net);
    inet_pton(AF_INET, "255.255.255.0", &c.mask);
    inet_pton(AF_INET, "10.0.2.2", &c.host);
    inet_pton(AF_INET, "10.0.2.15", &c.dhcp);
    inet_pton(AF_INET, "10.0.2.3", &c.dns);
    return c;
}

START_TEST(user_network)
{
    static const uint8_t ask[] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x52, 0x54, 0, 1, 2, 3, 8, 6, 0, 1, 8,
                                   0, 6, 4, 0, 1,
                                   0x52, 0x54, 0, 1, 2, 3, 10, 0, 2, 15, 0, 0, 0, 0, 0, 0, 10, 0, 2, 2 };
    struct net_user_config c = user_config();
    struct net_forward f = { .host_port = free_port(SOCK_STREAM), .guest_port = 80, .text = "x" };
    struct sockaddr_in at = local(f.host_port);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    unsigned n;

    f.host = at.sin_addr;
    c.forwards = &f;
    ck_assert(net_open_user(&a.net, loop, &c, err, sizeof(err)));
    net_send(&a.net, ask, sizeof(ask));
    UNTIL(a.got == 1);
    ck_assert_int_eq(memcmp(a.last + 28, ask + 38, 4), 0);      /* the router tells its address */
    ck_assert_uint_eq(a.last[21], 2);
    /* Somebody connects to the forwarded port: the guest is asked for its address, or gets a SYN. */
    n = a.got;
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    UNTIL(a.got > n);
    ck_assert(a.last[12] == 8 && (a.last[13] == 6 ||
                                  (a.last[13] == 0 && a.last[23] == 6 && a.last[37] == 80)));
    close(fd);
    ck_assert(!net_open_user(&b.net, loop, &c, err, sizeof(err)));
    ck_assert_ptr_nonnull(strstr(err, "in use"));
}
END_TEST

/* A tap interface, with a socket on the host's side of it; needs the right to make one. */
START_TEST(tap)
{
    struct net_tap_config c = { .ifname = "latimertest0", .fd = -1 };
    struct ifreq req = { .ifr_name = "latimertest0" };
    uint8_t f[300], got[2000];
    struct sockaddr_ll at = { .sll_family = AF_PACKET, .sll_protocol = htons(0x88b5) };
    int fd, ctl = socket(AF_INET, SOCK_DGRAM, 0);

    ck_assert(!net_open_tap(&a.net, loop, &(struct net_tap_config){ .ifname = "a name that is too long",
                                                                    .fd = -1 },
                            err, sizeof(err)));
    if (!net_open_tap(&a.net, loop, &c, err, sizeof(err))) {
        printf("test_net: tap is skipped: %s\n", err);
        close(ctl);
        return;
    }
    req.ifr_flags = IFF_UP;
    fd = socket(AF_PACKET, SOCK_RAW, htons(0x88b5));
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(ioctl(ctl, SIOCSIFFLAGS, &req), 0);
    at.sll_ifindex = (int)if_nametoindex("latimertest0");
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    frame(f, sizeof(f), 3);
    memcpy(f + 12, "\x88\xb5", 2);
    f[0] = 0xff;
    net_send(&a.net, f, sizeof(f));
    turn();
    ck_assert_int_eq(recv(fd, got, sizeof(got), 0), (ssize_t)sizeof(f));
    ck_assert_int_eq(memcmp(got, f, sizeof(f)), 0);
    frame(f + 14, sizeof(f) - 14, 4);
    ck_assert_int_eq(send(fd, f, sizeof(f), 0), (ssize_t)sizeof(f));
    /* The host says other things on a new interface. */
    UNTIL(a.got && a.len[(a.got - 1) % MOST] == sizeof(f) && memcmp(a.last, f, sizeof(f)) == 0);
    close(fd);
    close(ctl);
}
END_TEST

/* Frames that are none, cut anywhere: libslirp must bear them, and the queue end. */
START_TEST(garbage)
{
    struct net_user_config c = user_config();
    uint64_t seed = 7;
    uint8_t f[1514];

    ck_assert(net_open_user(&a.net, loop, &c, err, sizeof(err)));
    a.room = 0;
    for (unsigned i = 0; i < 3000; i++) {
        size_t len = i % 600;

        for (size_t k = 0; k < len; k++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            f[k] = (uint8_t)(seed >> 56);
        }
        if (len > 14) {
            memcpy(f + 12, i & 1 ? "\10\6" : "\10\0", 2);
            f[14] = 0x45;
        }
        net_send(&a.net, f, len);
        if (i % 50 == 0)
            turn();
    }
    turn();
    ck_assert_uint_eq(a.got, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("net");
    TCase *t = tcase_create("net");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 60);
    tcase_add_test(t, streams);
    tcase_add_test(t, framing);
    tcase_add_test(t, backlog);
    tcase_add_test(t, datagrams);
    tcase_add_test(t, group);
    tcase_add_test(t, paths);
    tcase_add_test(t, descriptors);
    tcase_add_test(t, capture);
    tcase_add_test(t, user_network);
    tcase_add_test(t, tap);
    tcase_add_test(t, garbage);
    suite_add_tcase(suite, t);
    return run_suite(suite);
}
