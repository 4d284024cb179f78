/*
 * net_if.h - an Ethernet cable between a chip and the outside, seen from the chip.
 *
 * The outside (host/net_*.c, or a test) implements struct net_ops; a chip implements struct net_user. Both are
 * called with the device lock held. Frames begin with the destination address and have no frame check sequence;
 * the outside gives and takes them without padding to 60 bytes. A chip without a cable has NULL. A cable whose ops
 * are NULL ends nowhere (yet, or no longer): the machine is being put together or taken apart.
 */
#ifndef HW_NET_IF_H
#define HW_NET_IF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/trace.h"

#define NET_FRAME_MAX 65550u    /* the longest frame that goes either way; chips of old take 1518 bytes and less */

struct net;

/* What a frame still needs, as virtio and Linux' tap interfaces say it. All zero: nothing. */
struct net_offload {
    uint8_t flags, gso_type;
    uint16_t head_len, gso_size;        /* bytes of headers, as a hint; bytes of data of each frame */
    uint16_t csum_start, csum_offset;   /* the sum of what is behind start goes to start + offset */
};
enum { NET_NEEDS_CSUM = 1, NET_CSUM_VALID = 2 };                /* flags */
enum { NET_GSO_NONE = 0, NET_GSO_TCP4 = 1, NET_GSO_TCP6 = 4, NET_GSO_ECN = 0x80 };      /* gso_type */
enum { NET_TAKES_CSUM = 1, NET_TAKES_TSO4 = 2, NET_TAKES_TSO6 = 4, NET_TAKES_ECN = 8 };

struct net_ops {
    /* Never blocks; what the outside cannot take is lost, as on a cable. */
    void (*send)(struct net *, const uint8_t *frame, size_t len);
    void (*ready)(struct net *);        /* the chip takes frames again */
    /* The chip takes unfinished frames from now on: NET_TAKES_*. NULL: the outside has none. */
    void (*takes)(struct net *, unsigned what);
};

struct net_user {
    /* Takes the frame, or drops it as a chip does that does not want it (other addresses, receiver off). False: it
       has no buffer just now; the outside keeps the frame until net_ready(). */
    bool (*receive)(void *dev, const uint8_t *frame, size_t len);
    void (*link)(void *dev, bool up);   /* the cable was plugged in or out; may be NULL */
};

struct net {
    const struct net_ops *ops;
    const char *id;
    bool up;                    /* the cable is plugged in */
    const struct net_user *user;        /* NULL: no chip */
    void *dev;
    uint8_t mac[6];             /* the chip's address, as it was wired */
    const struct net_offload *offload;  /* while receive() is called: what the frame needs; NULL: nothing */
    void *arg;                  /* the outside's */
};

/* False: another chip has the cable. */
static inline bool net_connect(struct net *n, const struct net_user *user, void *dev, const uint8_t mac[6])
{
    if (!n)
        return true;
    if (n->user)
        return false;
    n->user = user;
    n->dev = dev;
    memcpy(n->mac, mac, sizeof(n->mac));
    return true;
}

static inline bool net_is_up(const struct net *n)
{
    return n && n->up;
}

static inline void net_send(struct net *n, const uint8_t *frame, size_t len)
{
    if (n && n->up && n->ops) {
        trace_net_send(n->id, frame, len);
        n->ops->send(n, frame, len);
    }
}

/* Some outside has frames that are unfinished, and would give them to a chip that takes them. */
static inline bool net_has_offload(const struct net *n)
{
    return n && n->ops && n->ops->takes;
}

static inline void net_takes(struct net *n, unsigned what)
{
    if (net_has_offload(n))
        n->ops->takes(n, what);
}

static inline void net_ready(struct net *n)
{
    if (n && n->ops)
        n->ops->ready(n);
}

#endif
