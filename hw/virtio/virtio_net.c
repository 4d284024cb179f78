/*
 * virtio_net.c - network card (virtio 1.2, 5.1): one pair of queues and the control queue; frames whole,
 * without offloads, received into one buffer or (VIRTIO_NET_F_MRG_RXBUF) several.
 *
 * A frame for which the driver has no buffers waits outside until it gives some (hw/net_if.h). Until a
 * driver says by the control queue what it wants, it gets everything.
 */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "hw/net_if.h"
#include "hw/virtio/virtio.h"

#define F_MAC        (1ull << 5)
#define F_MRG_RXBUF  (1ull << 15)
#define F_STATUS     (1ull << 16)
#define F_CTRL_VQ    (1ull << 17)
#define F_CTRL_RX    (1ull << 18)
#define F_CTRL_VLAN  (1ull << 19)
#define F_CTRL_EXTRA (1ull << 20)
#define F_CTRL_MAC   (1ull << 23)

enum { RX, TX, CTRL, QUEUES };
enum { CFG_MAC = 0, CFG_STATUS = 6, CFG_LEN = 8 };
#define LINK_UP 1u

#define HEADER        12u               /* legacy, without F_MRG_RXBUF: 10 */
#define HEADER_LEGACY 10u
#define HEADER_COUNT  10u
#define MERGE_MAX     64u               /* buffers of a frame */
#define MACS          64u
#define VLANS         4096u

enum { CLASS_RX = 0, CLASS_MAC = 1, CLASS_VLAN = 2 };
enum { RX_PROMISC, RX_ALLMULTI, RX_ALLUNI, RX_NOMULTI, RX_NOUNI, RX_NOBCAST, RX_MODES };
enum { MAC_TABLE = 0, MAC_ADDR = 1, VLAN_ADD = 0, VLAN_DEL = 1 };

struct virtio_net {
    struct virtio_dev *v;
    struct net *net;
    uint8_t mode[RX_MODES];
    uint8_t macs[MACS][6];
    uint8_t nmacs, overflow_uni, overflow_multi;        /* overflow: more than the table holds: all of them */
    uint8_t vlan[VLANS / 8];
    uint8_t frame[NET_FRAME_MAX];       /* being sent */
};

static const struct field net_state[] = {
    FIELD_ARRAY(struct virtio_net, mode), { "macs", offsetof(struct virtio_net, macs), 1, MACS * 6 },
    FIELD(struct virtio_net, nmacs), FIELD(struct virtio_net, overflow_uni),
    FIELD(struct virtio_net, overflow_multi), FIELD_ARRAY(struct virtio_net, vlan), FIELD_END
};

static unsigned header_len(const struct virtio_net *s)
{
    return virtio_has(s->v, VIRTIO_F_VERSION_1) || virtio_has(s->v, F_MRG_RXBUF) ? HEADER : HEADER_LEGACY;
}

/* ---- to the cable ---- */

static void transmit(struct virtio_net *s)
{
    struct virtq *q = s->v->queue[TX];
    struct virtq_chain *c;
    unsigned header = header_len(s);

    while ((c = virtq_pop(q))) {
        uint32_t len = c->out_len - header;

        if (c->out_len <= header || len > NET_FRAME_MAX) {
            log_msg(LOG_GUEST, "virtio-net: a frame of %u bytes with its header", c->out_len);
        } else {
            chain_get(c, header, s->frame, len);
            log_dev(VIRTIO, "virtio-net: sends %u bytes", len);
            net_send(s->net, s->frame, len);
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
static unsigned take(struct virtio_net *s, uint32_t len, struct virtq_chain **c, bool *never)
{
    unsigned n = 0, max = virtio_has(s->v, F_MRG_RXBUF) ? MERGE_MAX : 1;
    uint64_t room = 0;

    *never = false;
    while (room < len && n < max) {
        c[n] = virtq_pop(s->v->queue[RX]);
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

static bool receive(void *dev, const uint8_t *frame, size_t len)
{
    struct virtio_net *s = dev;
    struct virtq_chain *c[MERGE_MAX];
    uint32_t written[MERGE_MAX], header = header_len(s), done = 0;
    uint8_t h[HEADER] = { 0 };
    unsigned n;
    bool never;

    if (!virtio_live(s->v) || !s->v->queue[RX]->enabled || len > NET_FRAME_MAX || !wanted(s, frame, len))
        return true;
    n = take(s, header + (uint32_t)len, c, &never);
    if (!n && !never)
        return !virtio_live(s->v);
    if (!n) {
        log_msg(LOG_GUEST, "virtio-net: its driver's buffers are too small for %zu bytes", len);
        return true;
    }
    le_put(h + HEADER_COUNT, 2, n);
    for (unsigned i = 0; i < n; i++) {
        uint32_t at = i ? 0 : chain_put(c[i], 0, h, header);

        written[i] = at + chain_put(c[i], at, frame + done, (uint32_t)len - done);
        done += written[i] - at;
    }
    log_dev(VIRTIO, "virtio-net: receives %zu bytes in %u buffers", len, n);
    virtq_push_all(c, written, n);
    virtq_notify(s->v->queue[RX]);
    return true;
}

static void link_changed(void *dev, bool up)
{
    struct virtio_net *s = dev;

    virtio_config_set(s->v, CFG_STATUS, 2, up ? LINK_UP : 0);
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
    } else {
        log_msg(LOG_UNIMP, "virtio-net: control command %u of class %u", h[1], h[0]);
        return false;
    }
    return true;
}

static void controls(struct virtio_net *s)
{
    struct virtq *q = s->v->queue[CTRL];
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

    if (queue == TX)
        transmit(s);
    else if (queue == CTRL)
        controls(s);
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
}

static void loaded(void *dev)
{
    struct virtio_net *s = dev;

    if (s->nmacs > MACS)
        s->nmacs = 0;
}

static const struct virtio_type type = {
    .name = "virtio-net", .id = VIRTIO_NET, .legacy_id = 0x1000, .class = 0x020000, .config_len = CFG_LEN,
    .kick = kick, .reset = reset
};

static const struct chip net_chip = { "virtio-net", sizeof(struct virtio_net), NULL, net_state, loaded };

struct props {
    struct virtio_props virtio;
    struct net *netdev;
    uint8_t mac[6];
    uint64_t queue_size;
    bool mergeable;
};

static void make(struct plug_env *env, void *bus, const void *props)
{
    static const uint8_t none[6], usual[6] = { 0x52, 0x54, 0x00, 0x12, 0x34, 0x56 };
    const struct props *p = props;
    struct virtio_net *s = chip_new(env->m->chips, &net_chip, p->virtio.common.name);
    const uint8_t *mac = memcmp(p->mac, none, sizeof(none)) ? p->mac : usual;

    if (p->queue_size & (p->queue_size - 1))
        die(EXIT_CODE_USAGE, "-device %s: queue-size must be a power of two", p->virtio.common.name);
    s->net = p->netdev;
    s->v = virtio_new(env, &p->virtio, &type, s, QUEUES, (unsigned)p->queue_size,
                      F_MAC | F_STATUS | F_CTRL_VQ | F_CTRL_RX | F_CTRL_VLAN | F_CTRL_EXTRA | F_CTRL_MAC |
                      (p->mergeable ? F_MRG_RXBUF : 0));
    for (unsigned i = 0; i < sizeof(none); i++)
        virtio_config_set(s->v, CFG_MAC + i, 1, mac[i]);
    virtio_config_set(s->v, CFG_STATUS, 2, net_is_up(s->net) ? LINK_UP : 0);
    virtio_config_writable(s->v, CFG_MAC, 6);           /* how legacy drivers set it */
    reset(s);
    if (!net_connect(s->net, &net_user, s))
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
    VIRTIO_PROPS, PROP_END
};

static const struct props defaults = { .virtio = VIRTIO_DEFAULTS, .queue_size = 256, .mergeable = true };

const struct plug virtio_net_plug = {
    "virtio-net-pci", "network card (virtio)", "PCI", sizeof(struct props), &defaults, props_table, make,
    "ethernet@*/ethernet-phy@0"
};
