/*
 * net_offload.c - work that a driver leaves to its network card (virtio 1.2, 5.1.6.2): checksums (RFC 1071) and
 * cutting of large TCP segments (RFC 9293, RFC 8200). Offsets and sizes are the guest's: each is checked against the
 * frame.
 */
#include "hw/virtio/net_offload.h"

#include <string.h>

#include "hw/net/nic.h"

#define IP4_MIN 20u
#define IP6     40u
#define TCP_MIN 20u
enum { TCP_SEQ = 4, TCP_OFFSET = 12, TCP_FLAGS = 13, TCP_SUM = 16 };
enum { FIN = 0x01, PSH = 0x08, CWR = 0x80 };
enum { PROTO_TCP = 6, PROTO_UDP = 17 };

/* Where the IP header is, behind VLAN tags; 0: there is none. *version: 4 or 6. */
static unsigned find_ip(const uint8_t *f, size_t len, unsigned *version)
{
    unsigned at = 12;

    while (at <= 20 && len >= at + 4 && (be16(f + at) == 0x8100 || be16(f + at) == 0x88a8))
        at += 4;
    if (len < at + 2 + IP4_MIN)
        return 0;
    *version = be16(f + at) == 0x0800 ? 4 : be16(f + at) == 0x86dd ? 6 : 0;
    at += 2;
    if (!*version || f[at] >> 4 != *version || (*version == 6 && len < at + IP6))
        return 0;
    return at;
}

static bool checksum(const struct net_offload *o, uint8_t *f, size_t len)
{
    size_t at = (size_t)o->csum_start + o->csum_offset;
    uint16_t sum;

    if (o->csum_start >= len || at + 2 > len)
        return false;
    /* What stands there is the pseudo header's. */
    sum = (uint16_t)~nic_sum(f + o->csum_start, len - o->csum_start, 0);
    put_be16(f + at, sum ? sum : 0xffff);
    return true;
}

struct cut {
    unsigned version, ip, tcp, head;    /* offsets; the headers' length */
    uint32_t seq;
    uint16_t id;
    uint8_t flags;
};

static bool find_headers(const struct net_offload *o, const uint8_t *f, size_t len, struct cut *c)
{
    c->ip = find_ip(f, len, &c->version);
    if (!c->ip || c->version != ((o->gso_type & ~NET_GSO_ECN) == NET_GSO_TCP4 ? 4u : 6u))
        return false;
    c->tcp = o->csum_start;
    if (c->tcp < c->ip + (c->version == 4 ? IP4_MIN : IP6) || len < c->tcp + TCP_MIN)
        return false;
    if (c->version == 4 && (c->tcp != c->ip + 4u * (f[c->ip] & 15) || f[c->ip + 9] != PROTO_TCP))
        return false;
    c->head = c->tcp + 4u * (f[c->tcp + TCP_OFFSET] >> 4);
    if (c->head < c->tcp + TCP_MIN || c->head > len)
        return false;
    c->seq = be32(f + c->tcp + TCP_SEQ);
    c->id = be16(f + c->ip + 4);
    c->flags = f[c->tcp + TCP_FLAGS];
    return true;
}

/* Finishes the headers in front of `n` bytes, which lie at `off` of what is cut. */
static void finish(const struct cut *c, uint8_t *f, uint32_t off, unsigned n, unsigned index, bool last)
{
    unsigned len = c->head + n;
    uint8_t flags = c->flags;

    if (c->version == 4) {
        put_be16(f + c->ip + 2, len - c->ip);
        put_be16(f + c->ip + 4, (c->id + index) & 0xffff);
        put_be16(f + c->ip + 10, 0);
        put_be16(f + c->ip + 10, (uint16_t)~nic_sum(f + c->ip, c->tcp - c->ip, 0));
    } else {
        put_be16(f + c->ip + 4, len - c->ip - IP6);
    }
    put_be32(f + c->tcp + TCP_SEQ, c->seq + off);
    if (!last)
        flags &= (uint8_t)~(FIN | PSH);
    if (index)
        flags &= (uint8_t)~CWR;
    f[c->tcp + TCP_FLAGS] = flags;
    put_be16(f + c->tcp + TCP_SUM, 0);
    put_be16(f + c->tcp + TCP_SUM, (uint16_t)~nic_sum(f + c->tcp, len - c->tcp,
             nic_pseudo_sum(f + c->ip, c->version, PROTO_TCP, len - c->tcp)));
}

bool net_offload(const struct net_offload *o, uint8_t *f, size_t len, uint8_t *room,
                 void (*emit)(void *arg, const uint8_t *frame, size_t len), void *arg)
{
    unsigned type = o->gso_type & ~NET_GSO_ECN, index = 0;
    struct cut c;

    if (type == NET_GSO_NONE) {
        if (((o->flags & NET_NEEDS_CSUM) && !checksum(o, f, len)) || len > NET_FRAME_MAX)
            return false;
        emit(arg, f, len);
        return true;
    }
    if ((type != NET_GSO_TCP4 && type != NET_GSO_TCP6) || !(o->flags & NET_NEEDS_CSUM) || o->gso_size < NET_MSS_MIN ||
        len > NET_SUPER_MAX || !find_headers(o, f, len, &c))
        return false;
    memcpy(room, f, c.head);
    for (size_t off = 0; off < len - c.head || !index; index++) {
        size_t left = len - c.head - off, n = left < o->gso_size ? left : o->gso_size;

        memcpy(room + c.head, f + c.head + off, n);
        finish(&c, room, (uint32_t)off, (unsigned)n, index, n == left);
        if (c.head + n <= NET_FRAME_MAX)
            emit(arg, room, c.head + n);
        off += n;
    }
    return true;
}

unsigned net_flow(const uint8_t *f, size_t len)
{
    unsigned version, ip = find_ip(f, len, &version), proto, l4, n;
    uint32_t sum = 0;

    if (!ip)
        return 0;
    proto = version == 4 ? f[ip + 9] : f[ip + 6];
    l4 = ip + (version == 4 ? 4u * (f[ip] & 15) : IP6);
    n = version == 4 ? 8 : 32;
    /* Sums do not care which side is the sender. */
    for (unsigned i = 0; i < n; i += 4)
        sum += be32(f + ip + (version == 4 ? 12 : 8) + i);
    if ((proto == PROTO_TCP || proto == PROTO_UDP) && len >= l4 + 4 && (version == 6 || !(be16(f + ip + 6) & 0x3fff)))
        sum += be16(f + l4) + be16(f + l4 + 2);
    return (sum ^ proto) * 2654435761u >> 24;
}
