/*
 * virtio_net.c - network card (virtio 1.2, 5.1): pairs of queues and the control queue; frames are received
 * into one buffer or (VIRTIO_NET_F_MRG_RXBUF) several.
 *
 * What the driver sends is finished here (net_offload.c), checksums and the cutting of large TCP segments,
 * so that every network can have it. Unfinished frames are received only from networks that have them
 * (net_has_offload()), and offered to the driver only there.
 *
 * A frame for which the driver has no buffers waits outside until it gives some (hw/net_if.h). Until a
 * driver says by the control queue what it wants, it gets everything. With several pairs a frame comes by the
 * pair by which its connection was sent last (5.1.6.5.5), all others by the first.
 */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "hw/net_if.h"
#include "hw/virtio/net_offload.h"
#include "hw/virtio/virtio.h"

#define F_CSUM       (1ull << 0)
#define F_GUEST_CSUM (1ull << 1)
#define F_CTRL_GUEST (1ull << 2)
#define F_MAC        (1ull << 5)
#define F_GUEST_TSO4 (1ull << 7)
#define F_GUEST_TSO6 (1ull << 8)
#define F_GUEST_ECN  (1ull << 9)
#define F_HOST_TSO4  (1ull << 11)
#define F_HOST_TSO6  (1ull << 12)
#define F_HOST_ECN   (1ull << 13)
#define F_MRG_RXBUF  (1ull << 15)
#define F_STATUS     (1ull << 16)
#define F_CTRL_VQ    (1ull << 17)
#define F_CTRL_RX    (1ull << 18)
#define F_CTRL_VLAN  (1ull << 19)
#define F_CTRL_EXTRA (1ull << 20)
#define F_ANNOUNCE   (1ull << 21)
#define F_MQ         (1ull << 22)
#define F_CTRL_MAC   (1ull << 23)
#define F_GUEST      (F_GUEST_CSUM | F_GUEST_TSO4 | F_GUEST_TSO6 | F_GUEST_ECN)

enum { RX, TX, PAIR };                  /* then those of the next pair, at last the control queue */
enum { CFG_MAC = 0, CFG_STATUS = 6, CFG_PAIRS = 8, CFG_LEN = 10 };
#define LINK_UP  1u
#define ANNOUNCE 2u
#define PAIRS_MAX 32u
#define FLOWS     256u

#define HEADER        12u               /* legacy, without F_MRG_RXBUF: 10 */
#define HEADER_LEGACY 10u
#define HEADER_COUNT  10u
#define MERGE_MAX     64u               /* buffers of a frame */
#define MACS          64u
#define VLANS         4096u

enum { CLASS_RX = 0, CLASS_MAC = 1, CLASS_VLAN = 2, CLASS_ANNOUNCE = 3, CLASS_MQ = 4, CLASS_GUEST = 5 };
enum { RX_PROMISC, RX_ALLMULTI, RX_ALLUNI, RX_NOMULTI, RX_NOUNI, RX_NOBCAST, RX_MODES };
enum { MAC_TABLE = 0, MAC_ADDR = 1, VLAN_ADD = 0, VLAN_DEL = 1 };

struct virtio_net {
    struct virtio_dev *v;
    struct net *net;
    uint8_t mode[RX_MODES];
    uint8_t macs[MACS][6];
    uint8_t nmacs, overflow_uni, overflow_multi;        /* overflow: more than the table holds: all of them */
    uint8_t vlan[VLANS / 8];
    uint8_t most, pairs;                /* that there are; that the driver uses */
    uint8_t flow[FLOWS];                /* the pair by which each was sent */
    uint64_t takes;                     /* F_GUEST_*: what the driver wants of what it negotiated */
    unsigned told;                      /* the outside: NET_TAKES_* */
    uint8_t frame[NET_SUPER_MAX];       /* being sent */
    uint8_t room[NET_SUPER_MAX];
};

static const struct field net_state[] = {
    FIELD_ARRAY(struct virtio_net, mode), { "macs", offsetof(struct virtio_net, macs), 1, MACS * 6 },
    FIELD_MAX(struct virtio_net, nmacs, MACS), FIELD(struct virtio_net, overflow_uni),
    FIELD(struct virtio_net, overflow_multi), FIELD_ARRAY(struct virtio_net, vlan),
    FIELD(struct virtio_net, pairs), FIELD_ARRAY(struct virtio_net, flow), FIELD(struct virtio_net, takes), FIELD_END
};

static unsigned header_len(const struct virtio_net *s)
{
    return virtio_has(s->v, VIRTIO_F_VERSION_1) || virtio_has(s->v, F_MRG_RXBUF) ? HEADER : HEADER_LEGACY;
}

static unsigned control_queue(const struct virtio_net *s)
{
    return virtio_has(s->v, F_MQ) ? s->most * PAIR : PAIR;
}

/* Tell the outside what the driver takes; without a driver, nothing. */
static void update_takes(struct virtio_net *s)
{
    static const struct { uint64_t feature; unsigned takes; } all[] = {
        { F_GUEST_CSUM, NET_TAKES_CSUM }, { F_GUEST_TSO4, NET_TAKES_TSO4 }, { F_GUEST_TSO6, NET_TAKES_TSO6 },
        { F_GUEST_ECN, NET_TAKES_ECN }
    };
    unsigned what = 0;

    for (unsigned i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        if (virtio_has(s->v, all[i].feature) && (s->takes & all[i].feature))
            what |= all[i].takes;
    if (!(what & NET_TAKES_CSUM))
        what = 0;                       /* large frames have no checksum */
    if (what != s->told)
        net_takes(s->net, what);
    s->told = what;
}

/* ---- to the cable ---- */

static void emit(void *arg, const uint8_t *frame, size_t len)
{
    struct virtio_net *s = arg;

    log_dev(VIRTIO, "virtio-net: sends %zu bytes", len);
    net_send(s->net, frame, len);
}

static struct net_offload get_header(const uint8_t *h)
{
    return (struct net_offload){ h[0], h[1], (uint16_t)le_get(h + 2, 2), (uint16_t)le_get(h + 4, 2),
                                 (uint16_t)le_get(h + 6, 2), (uint16_t)le_get(h + 8, 2) };
}

/* The driver may ask for what it negotiated. */
static bool may_ask(const struct virtio_net *s, const struct net_offload *o)
{
    unsigned type = o->gso_type & ~NET_GSO_ECN;

    return (!(o->flags & NET_NEEDS_CSUM) || virtio_has(s->v, F_CSUM)) &&
        (type == NET_GSO_NONE || (type == NET_GSO_TCP4 && virtio_has(s->v, F_HOST_TSO4)) ||
         (type == NET_GSO_TCP6 && virtio_has(s->v, F_HOST_TSO6))) &&
        (!(o->gso_type & NET_GSO_ECN) || virtio_has(s->v, F_HOST_ECN));
}

static void transmit(struct virtio_net *s, unsigned pair)
{
    struct virtq *q = s->v->queue[pair * PAIR + TX];
    struct virtq_chain *c;
    unsigned header = header_len(s);

    while ((c = virtq_pop(q))) {
        uint32_t len = c->out_len - header;
        uint8_t h[HEADER] = { 0 };
        struct net_offload o;

        chain_get(c, 0, h, header);
        o = get_header(h);
        if (c->out_len <= header || len > NET_SUPER_MAX || !may_ask(s, &o)) {
            log_msg(LOG_GUEST, "virtio-net: a frame of %u bytes with its header, flags %#x, type %u", c->out_len,
                    o.flags, o.gso_type);
        } else {
            chain_get(c, header, s->frame, len);
            if (s->pairs > 1)
                s->flow[net_flow(s->frame, len) % FLOWS] = (uint8_t)pair;
            if (!net_offload(&o, s->frame, len, s->room, emit, s))
                log_msg(LOG_GUEST, "virtio-net: nothing of %u bytes can be made with flags %#x, type %u, size %u, "
                        "sum of %u to %u", len, o.flags, o.gso_type, o.gso_size, o.csum_start, o.csum_offset);
        }
        virtq_push(c, 0);
    }
    virtq_notify(q);
}

/* ---- from the cable ---- */

static bool in_vlan(const struct virtio_net *s, const uint8_t *frame, size_t len)
{
    unsigned id;

    if (!virtio_has(s->v, F_CTRL_VLAN) || len < 16 || frame[12] != 0x81 || frame[13] != 0x00)
        return true;
    id = (frame[14] << 8 | frame[15]) & (VLANS - 1);
    return s->vlan[id / 8] >> (id % 8) & 1;
}

static bool wanted(const struct virtio_net *s, const uint8_t *frame, size_t len)
{
    static const uint8_t broadcast[6] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
    bool group;

    if (len < 6)
        return false;
    group = frame[0] & 1;
    if (s->mode[RX_PROMISC])
        return true;
    if (!in_vlan(s, frame, len))
        return false;
    if (memcmp(frame, broadcast, 6) == 0)
        return !s->mode[RX_NOBCAST];
    if (s->mode[group ? RX_NOMULTI : RX_NOUNI])
        return false;
    if (s->mode[group ? RX_ALLMULTI : RX_ALLUNI] || (group ? s->overflow_multi : s->overflow_uni))
        return true;
    if (memcmp(frame, &s->v->config[CFG_MAC], 6) == 0)
        return true;
    for (unsigned i = 0; i < s->nmacs; i++)
        if (memcmp(frame, s->macs[i], 6) == 0)
            return true;
    return false;
}

/* Takes buffers for `len` bytes; 0: there are not enough, and *never: there never will be. */
static unsigned take(struct virtio_net *s, struct virtq *q, uint32_t len, struct virtq_chain **c, bool *never)
{
    unsigned n = 0, max = virtio_has(s->v, F_MRG_RXBUF) ? MERGE_MAX : 1;
    uint64_t room = 0;

    *never = false;
    while (room < len && n < max) {
        c[n] = virtq_pop(q);
        if (!c[n])
            break;
        room += c[n++]->in_len;
    }
    if (room >= len)
        return n;
    *never = n == max;
    while (n)
        virtq_unpop(c[--n]);
    return 0;
}

/* A frame that needs what the driver does not do (any more) is lost. */
static bool can_take(const struct virtio_net *s, const struct net_offload *o)
{
    unsigned type = o->gso_type & ~NET_GSO_ECN;

    return (!(o->flags & NET_NEEDS_CSUM) || (s->told & NET_TAKES_CSUM)) &&
        (type == NET_GSO_NONE || (type == NET_GSO_TCP4 && (s->told & NET_TAKES_TSO4)) ||
         (type == NET_GSO_TCP6 && (s->told & NET_TAKES_TSO6)));
}

static void put_header(const struct virtio_net *s, const struct net_offload *o, uint8_t *h)
{
    /* Whether a checksum is right is for those to know who take part in that. */
    h[0] = s->told & NET_TAKES_CSUM ? o->flags & (NET_NEEDS_CSUM | NET_CSUM_VALID) : 0;
    h[1] = o->gso_type;
    le_put(h + 2, 2, o->head_len);
    le_put(h + 4, 2, o->gso_size);
    le_put(h + 6, 2, o->csum_start);
    le_put(h + 8, 2, o->csum_offset);
}

static bool receive(void *dev, const uint8_t *frame, size_t len)
{
    struct virtio_net *s = dev;
    struct virtq *q = s->v->queue[s->pairs > 1 ? s->flow[net_flow(frame, len) % FLOWS] * PAIR + RX : RX];
    struct virtq_chain *c[MERGE_MAX];
    uint32_t written[MERGE_MAX], header = header_len(s), done = 0;
    uint8_t h[HEADER] = { 0 };
    unsigned n;
    bool never;

    if (!virtio_live(s->v) || !q->enabled || len > NET_FRAME_MAX || !wanted(s, frame, len) ||
        (s->net->offload && !can_take(s, s->net->offload)))
        return true;
    n = take(s, q, header + (uint32_t)len, c, &never);
    if (!n && !never)
        return !virtio_live(s->v);
    if (!n) {
        log_msg(LOG_GUEST, "virtio-net: its driver's buffers are too small for %zu bytes", len);
        return true;
    }
    if (s->net->offload)
        put_header(s, s->net->offload, h);
    le_put(h + HEADER_COUNT, 2, n);
    for (unsigned i = 0; i < n; i++) {
        uint32_t at = i ? 0 : chain_put(c[i], 0, h, header);

        written[i] = at + chain_put(c[i], at, frame + done, (uint32_t)len - done);
        done += written[i] - at;
    }
    log_dev(VIRTIO, "virtio-net: receives %zu bytes in %u buffers", len, n);
    virtq_push_all(c, written, n);
    virtq_notify(q);
    return true;
}

static void link_changed(void *dev, bool up)
{
    struct virtio_net *s = dev;

    virtio_config_set(s->v, CFG_STATUS, 2, up ? LINK_UP : 0);
    /* Behind another plug nobody knows the guest: it is to say who it is. */
    if (up && virtio_has(s->v, F_ANNOUNCE))
        s->v->config[CFG_STATUS] |= ANNOUNCE;
    if (virtio_has(s->v, F_STATUS))
        virtio_config_changed(s->v);
}

static const struct net_user net_user = { receive, link_changed };

/* ---- control ---- */

/* One of the two tables of addresses at `off`; false: it is cut off. */
static bool mac_table(struct virtio_net *s, const struct virtq_chain *c, uint32_t *off, uint8_t *overflow)
{
    uint8_t b[4];
    uint64_t n;

    if (chain_get(c, *off, b, 4) != 4)
        return false;
    n = le_get(b, 4);
    *off += 4;
    if (n > (c->out_len - *off) / 6)
        return false;
    *overflow = n > MACS - s->nmacs;
    for (unsigned i = 0; i < n && !*overflow; i++)
        chain_get(c, *off + 6 * i, s->macs[s->nmacs++], 6);
    *off += 6 * (uint32_t)n;
    return true;
}

static bool control_mac(struct virtio_net *s, const struct virtq_chain *c, uint8_t cmd)
{
    uint8_t mac[6];
    uint32_t off = 2;

    if (cmd == MAC_ADDR) {
        if (c->out_len != 2 + sizeof(mac))
            return false;
        chain_get(c, 2, mac, sizeof(mac));
        memcpy(&s->v->config[CFG_MAC], mac, sizeof(mac));
        return true;
    }
    if (cmd != MAC_TABLE)
        return false;
    s->nmacs = 0;
    return mac_table(s, c, &off, &s->overflow_uni) && mac_table(s, c, &off, &s->overflow_multi);
}

static bool set_takes(struct virtio_net *s, const struct virtq_chain *c)
{
    uint8_t b[8];
    uint64_t want;

    if (chain_get(c, 2, b, 8) != 8)
        return false;
    want = le_get(b, 8);
    if (want & ~(s->v->features & F_GUEST))
        return false;
    s->takes = want;
    update_takes(s);
    return true;
}

static bool control(struct virtio_net *s, const struct virtq_chain *c)
{
    uint8_t h[2], b[2] = { 0, 0 };
    unsigned n = chain_get(c, 0, h, 2), id;

    if (n != 2)
        return false;
    n = chain_get(c, 2, b, 2);
    id = (b[0] | b[1] << 8) & (VLANS - 1);
    if (h[0] == CLASS_RX && h[1] < RX_MODES && n) {
        s->mode[h[1]] = b[0] != 0;
    } else if (h[0] == CLASS_MAC) {
        return control_mac(s, c, h[1]);
    } else if (h[0] == CLASS_VLAN && h[1] <= VLAN_DEL && n == 2) {
        s->vlan[id / 8] &= (uint8_t)~(1u << (id % 8));
        s->vlan[id / 8] |= (h[1] == VLAN_ADD) << (id % 8);
    } else if (h[0] == CLASS_ANNOUNCE && h[1] == 0 && virtio_has(s->v, F_ANNOUNCE)) {
        s->v->config[CFG_STATUS] &= (uint8_t)~ANNOUNCE;
    } else if (h[0] == CLASS_MQ && h[1] == 0 && virtio_has(s->v, F_MQ) && n == 2 && (b[0] | b[1] << 8) >= 1 &&
               (b[0] | b[1] << 8) <= s->most) {
        s->pairs = b[0];
        memset(s->flow, 0, sizeof(s->flow));
    } else if (h[0] == CLASS_GUEST && h[1] == 0 && virtio_has(s->v, F_CTRL_GUEST)) {
        return set_takes(s, c);
    } else {
        log_msg(LOG_UNIMP, "virtio-net: control command %u of class %u", h[1], h[0]);
        return false;
    }
    return true;
}

static void controls(struct virtio_net *s)
{
    struct virtq *q = s->v->queue[control_queue(s)];
    struct virtq_chain *c;

    while ((c = virtq_pop(q))) {
        uint8_t ack = !control(s, c);

        virtq_push(c, chain_put(c, 0, &ack, 1));
    }
    virtq_notify(q);
    net_ready(s->net);          /* what was not wanted may be now */
}

/* ---- the device ---- */

static void kick(void *dev, unsigned queue)
{
    struct virtio_net *s = dev;

    update_takes(s);
    if (queue == control_queue(s))
        controls(s);
    else if (queue > control_queue(s))
        log_msg(LOG_GUEST, "virtio-net: queue %u is none without VIRTIO_NET_F_MQ", queue);
    else if (queue % PAIR == TX)
        transmit(s, queue / PAIR);
    else
        net_ready(s->net);
}

static void reset(void *dev)
{
    struct virtio_net *s = dev;

    memset(s->mode, 0, sizeof(s->mode));
    s->mode[RX_PROMISC] = 1;
    s->nmacs = s->overflow_uni = s->overflow_multi = 0;
    memset(s->vlan, 0, sizeof(s->vlan));
    memset(s->flow, 0, sizeof(s->flow));
    s->pairs = 1;
    s->takes = F_GUEST;
    update_takes(s);
}

static const char *check(const void *dev)
{
    const struct virtio_net *s = dev;

    if (!s->pairs || s->pairs > s->most)
        return "pairs is no number of queues that it can have";
    for (unsigned i = 0; i < FLOWS; i++)
        if (s->flow[i] >= s->most)
            return "flow is to a queue that it has not";
    return NULL;
}

static void loaded(void *dev)
{
    struct virtio_net *s = dev;

    update_takes(s);
}

static const struct virtio_type type = {
    .name = "virtio-net", .id = VIRTIO_NET, .legacy_id = 0x1000, .class = 0x020000, .config_len = CFG_LEN,
    .kick = kick, .reset = reset
};

static const struct chip net_chip = { "virtio-net", sizeof(struct virtio_net), NULL, net_state, loaded,
                                       .check = check };

struct props {
    struct virtio_props virtio;
    struct net *netdev;
    uint8_t mac[6];
    uint64_t queue_size, pairs;
    bool mergeable, mq, announce, csum, tso4, tso6, ecn, guest_csum, guest_tso4, guest_tso6, guest_ecn;
    const char *romfile;
};

static uint64_t features(const struct props *p, unsigned pairs)
{
    uint64_t f = F_MAC | F_STATUS | F_CTRL_VQ | F_CTRL_RX | F_CTRL_VLAN | F_CTRL_EXTRA | F_CTRL_MAC;

    f |= (p->mergeable ? F_MRG_RXBUF : 0) | (pairs > 1 ? F_MQ : 0) | (p->announce ? F_ANNOUNCE : 0);
    if (p->csum)
        f |= F_CSUM | (p->tso4 ? F_HOST_TSO4 : 0) | (p->tso6 ? F_HOST_TSO6 : 0) |
            (p->ecn && (p->tso4 || p->tso6) ? F_HOST_ECN : 0);
    if (p->guest_csum && net_has_offload(p->netdev))
        f |= F_GUEST_CSUM | F_CTRL_GUEST | (p->guest_tso4 ? F_GUEST_TSO4 : 0) | (p->guest_tso6 ? F_GUEST_TSO6 : 0) |
            (p->guest_ecn && (p->guest_tso4 || p->guest_tso6) ? F_GUEST_ECN : 0);
    return f;
}

static void make(struct plug_env *env, void *bus, const void *props)
{
    static const uint8_t none[6], usual[6] = { 0x52, 0x54, 0x00, 0x12, 0x34, 0x56 };
    const struct props *p = props;
    struct virtio_net *s = chip_new(env->m->chips, &net_chip, p->virtio.common.name);
    uint64_t cpus = env->m->ncpu < PAIRS_MAX ? env->m->ncpu : PAIRS_MAX;
    unsigned pairs = !p->mq ? 1 : p->pairs ? (unsigned)p->pairs : cpus ? (unsigned)cpus : 1;
    const uint8_t *mac = memcmp(p->mac, none, sizeof(none)) ? p->mac : usual;
    const struct rom_image *rom = plug_rom(env, p->romfile);

    if (p->queue_size & (p->queue_size - 1))
        die(EXIT_CODE_USAGE, "-device %s: queue-size must be a power of two", p->virtio.common.name);
    s->net = p->netdev;
    if (p->pairs > 1 && !p->mq)
        die(EXIT_CODE_USAGE, "-device %s: queues=%u needs mq=on", p->virtio.common.name, (unsigned)p->pairs);
    s->most = (uint8_t)pairs;
    s->v = virtio_new(env, &p->virtio, &type, s, pairs * PAIR + 1, (unsigned)p->queue_size, features(p, pairs));
    virtio_config_set(s->v, CFG_PAIRS, 2, pairs);
    if (rom)
        pci_rom(s->v->pci, rom->data, rom->len);
    for (unsigned i = 0; i < sizeof(none); i++)
        virtio_config_set(s->v, CFG_MAC + i, 1, mac[i]);
    virtio_config_set(s->v, CFG_STATUS, 2, net_is_up(s->net) ? LINK_UP : 0);
    virtio_config_writable(s->v, CFG_MAC, 6);           /* how legacy drivers set it */
    reset(s);
    if (!net_connect(s->net, &net_user, s, mac))
        die(EXIT_CODE_USAGE, "-device %s: netdev=%s: another device has it", p->virtio.common.name,
            s->net->id);
}

static const struct prop props_table[] = {
    { "netdev", PROP_NETDEV, offsetof(struct props, netdev), 0, 0, "its cable" },
    { "mac", PROP_MAC, offsetof(struct props, mac), 0, 0, "its address" },
    { "queue-size", PROP_NUMBER, offsetof(struct props, queue_size), 64, VIRTQ_SIZE_MAX,
      "buffers of a queue" },
    { "mrg_rxbuf", PROP_BOOL, offsetof(struct props, mergeable), 0, 0,
      "offer to receive into several buffers" },
    { "mq", PROP_BOOL, offsetof(struct props, mq), 0, 0, "several pairs of queues" },
    { "queues", PROP_NUMBER, offsetof(struct props, pairs), 0, PAIRS_MAX, "pairs, with mq=on; 0: one for each processor" },
    { "guest_announce", PROP_BOOL, offsetof(struct props, announce), 0, 0, "ask the guest to say who it is on a new link" },
    { "csum", PROP_BOOL, offsetof(struct props, csum), 0, 0, "offer to make checksums" },
    { "host_tso4", PROP_BOOL, offsetof(struct props, tso4), 0, 0, "offer to cut TCP segments (IPv4)" },
    { "host_tso6", PROP_BOOL, offsetof(struct props, tso6), 0, 0, "offer to cut TCP segments (IPv6)" },
    { "host_ecn", PROP_BOOL, offsetof(struct props, ecn), 0, 0, "those with congestion marks, too" },
    { "guest_csum", PROP_BOOL, offsetof(struct props, guest_csum), 0, 0,
      "frames without checksums, where the network has them (tap)" },
    { "guest_tso4", PROP_BOOL, offsetof(struct props, guest_tso4), 0, 0, "large TCP segments (IPv4) from there" },
    { "guest_tso6", PROP_BOOL, offsetof(struct props, guest_tso6), 0, 0, "large TCP segments (IPv6) from there" },
    { "guest_ecn", PROP_BOOL, offsetof(struct props, guest_ecn), 0, 0, "those with congestion marks, too" },
    { "romfile", PROP_STRING, offsetof(struct props, romfile), 0, 0, "option ROM; empty: none" },
    VIRTIO_PROPS, PROP_END
};

static const struct props defaults = { .virtio = VIRTIO_DEFAULTS, .queue_size = 256, .mergeable = true,
    .announce = true, .csum = true, .tso4 = true, .tso6 = true, .ecn = true, .guest_csum = true, .guest_tso4 = true,
    .guest_tso6 = true, .guest_ecn = true, .romfile = "efi-virtio.rom"
};

const struct plug virtio_net_plug = {
    "virtio-net-pci", "network card (virtio)", "PCI", sizeof(struct props), &defaults, props_table, make,
    "ethernet@*/ethernet-phy@0"
};
