/*
 * net.h - the outside ends of Ethernet cables (hw/net_if.h): user networking, tap interfaces, sockets.
 *
 * A cable is a struct net that the caller has; net_open_*() plugs its outside end in. All functions are for
 * the event loop's thread, or before it runs.
 */
#ifndef HOST_NET_H
#define HOST_NET_H

#include <netinet/in.h>
#include <sys/un.h>

#include "hw/net_if.h"

struct evloop;

/* hostfwd= */
struct net_forward {
    bool udp;
    struct in_addr host, guest; /* guest 0.0.0.0: the first address that DHCP gives */
    uint16_t host_port, guest_port;
    const char *text;           /* as the user wrote it */
    struct net_forward *next;
};

/* guestfwd=: connections to an address of the guest's network are a program's, or a socket's in the file
   system. */
struct net_service {
    struct in_addr addr;
    uint16_t port;
    const char *command, *path; /* one of them */
    const char *text;
    struct net_service *next;
};

struct net_user_config {
    bool restricted, ipv4, ipv6;
    struct in_addr net, mask, host, dhcp, dns;
    struct in6_addr prefix6, host6, dns6;
    uint8_t prefix6_len;
    const char *hostname, *domain, *tftp, *bootfile, *tftp_name;
    const char *search[9];      /* NULL behind the last */
    struct net_forward *forwards;
    struct net_service *services;
};

struct net_tap_config {
    const char *ifname;         /* NULL: the host's choice */
    int fd;                     /* of an open tap interface; -1: none */
    bool whole;                 /* vnet_hdr=off: the host finishes all frames for us */
};

enum net_socket_how { NET_LISTEN, NET_CONNECT, NET_DATAGRAMS, NET_MCAST };

struct net_addr {
    union {
        struct sockaddr any;
        struct sockaddr_in in;
        struct sockaddr_un un;
    };
    socklen_t len;              /* 0: none */
};

struct net_socket_config {
    enum net_socket_how how;
    struct net_addr addr;       /* to listen on, to connect or send to, the group (IPv4) */
    struct net_addr local;      /* NET_DATAGRAMS: where to receive; NET_MCAST: the interface */
    bool given;                 /* NET_CONNECT, NET_DATAGRAMS: `fd` is it, open and connected; no addresses */
    int fd;
};

/* False: err says what the host refused and why. */
bool net_open_user(struct net *, struct evloop *, const struct net_user_config *, char *err, size_t errlen);
bool net_open_tap(struct net *, struct evloop *, const struct net_tap_config *, char *err, size_t errlen);
bool net_open_socket(struct net *, struct evloop *, const struct net_socket_config *, char *err,
                     size_t errlen);
/* From now on all frames go to a file in pcap's format as well, the first `max` bytes of each. */
bool net_dump(struct net *, const char *path, uint32_t max, char *err, size_t errlen);
/*
 * Tells the network where the chip's address is now: some broadcast requests of RFC 903 in the next second. Switches learn
 * from them, and nobody needs to answer. Of no effect without a chip or a plugged cable.
 */
void net_announce(struct net *);
/*
 * The machine stands still, or (on false) runs again: what comes for the chip waits meanwhile, as far as the queue holds it.
 */
void net_still(struct net *, bool on);
/* Everything net_open_*() and net_dump() made. */
void net_close(struct net *);

/* ---- for the kinds of outside ---- */

struct net_end_ops {
    void (*send)(void *end, const uint8_t *frame, size_t len);
    void (*hold)(void *end, bool on);   /* the chip has no buffers: read nothing for now; may be NULL */
    void (*free)(void *end);
    void (*takes)(void *end, unsigned what);    /* as in struct net_ops; NULL: frames are always whole */
};
/* Plugs it in; the cable is up. */
void net_end_new(struct net *, struct evloop *, const struct net_end_ops *, void *end);
/* The end that net_end_new() was given, NULL: it is of another kind. */
void *net_end_of(const struct net *, const struct net_end_ops *);
/* To the chip, at once or when it has room. Where hold() is NULL, what is too much for the queue is lost. */
void net_deliver(struct net *, const uint8_t *frame, size_t len);
/* The same for one that may be unfinished. */
void net_deliver_offload(struct net *, const struct net_offload *, const uint8_t *frame, size_t len);
/* The cable is plugged in or out: the other end has gone. */
void net_set_up(struct net *, bool up);

/* ---- for monitors ---- */

/* The user pulls the cable out of the chip, or plugs it in again: it is up when the other end is, too. */
void net_plug(struct net *, bool in);
/* One more way through a user network, or one less (by where it begins). False: err says why. */
bool net_user_forward(struct net *, bool add, const struct net_forward *, char *err, size_t errlen);
/* What a user network's connections are, as libslirp tells it, in lines (free()). NULL: it is none. */
char *net_user_connections(const struct net *);
/* Does net_user_forward() make sense? */
bool net_is_user(const struct net *);

#endif
