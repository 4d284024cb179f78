/*
 * rtl8139.c - Realtek RTL8139C+ ("RTL8139C+ Programming Guide" and data sheets of RTL8139C and C+): the ring
 * of bytes and four transmit slots of the RTL8139, and the C+'s rings of descriptors with checksums,
 * segmentation and VLANs.
 *
 * Registers are bytes, kept as the guest wrote them, but for those that do something. Frames are sent inside
 * the write that starts them. Invariant: CBR (where the next frame goes) is below the ring's length whenever
 * one is stored.
 *
 * Not there (logged under unimp): wake-up, the second PHY registers' tests.
 */
#include "hw/net/eeprom93.h"
#include "hw/net/nic.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"

#define REGS      256u
#define TX_MAX    65536u        /* a frame before it is segmented */
#define FRAME_MAX 16384u
#define RX_RINGS_MAX 64u        /* descriptors of a ring (C+) */
#define TIMER_PS  30303u        /* a tick of the bus clock */
#define TALLY     64u

enum { R_IDR = 0x00, R_MAR = 0x08, R_DTCCR = 0x10, R_TSD = 0x10, R_TSAD = 0x20, R_TNPDS = 0x20,
       R_THPDS = 0x28,
       R_RBSTART = 0x30, R_CR = 0x37, R_CAPR = 0x38, R_CBR = 0x3a, R_IMR = 0x3c, R_ISR = 0x3e, R_TCR = 0x40,
       R_RCR = 0x44, R_TCTR = 0x48, R_MPC = 0x4c, R_9346 = 0x50, R_CONFIG0 = 0x51, R_CONFIG1 = 0x52,
       R_TIMER = 0x54, R_MSR = 0x58, R_CONFIG3 = 0x59, R_CONFIG4 = 0x5a, R_MULINT = 0x5c, R_TSADS = 0x60,
       R_BMCR = 0x62, R_BMSR = 0x64, R_ANAR = 0x66,
       R_ANLPAR = 0x68, R_ANER = 0x6a, R_CONFIG5 = 0xd8, R_TPPOLL = 0xd9, R_CPCR = 0xe0,
       R_RDSAR = 0xe4 };

#define CR_BUFE 0x01u
#define CR_TE   0x04u
#define CR_RE   0x08u
#define CR_RST  0x10u
#define INT_ROK 0x0001u
#define INT_TOK 0x0004u
#define INT_TER 0x0008u
#define INT_RXOVW 0x0010u       /* C+: no receive descriptor */
#define INT_LINK 0x0020u
#define INT_TDU  0x0080u
#define INT_SW   0x0100u
#define INT_TIMEOUT 0x4000u
#define TSD_OWN 0x2000u
#define TSD_TUN 0x4000u
#define TSD_TOK 0x8000u
#define TSD_CRS 0x80000000u
#define RCR_AAP 0x01u
#define RCR_APM 0x02u
#define RCR_AM  0x04u
#define RCR_AB  0x08u
#define RCR_WRAP 0x80u
#define TCR_LOOP (3u << 17)
#define TCR_VERSION 0x74800000u
#define TCR_FIXED   0x7cc00000u
#define CPCR_TX   0x0001u
#define CPCR_RX   0x0002u
#define CPCR_SUMS 0x0020u
#define CPCR_VLAN 0x0040u
#define D_OWN   (1u << 31)
#define D_EOR   (1u << 30)
#define D_FS    (1u << 29)
#define D_LS    (1u << 28)
#define D_LGSEN (1u << 27)
#define D_IPCS  (1u << 18)
#define D_UDPCS (1u << 17)
#define D_TCPCS (1u << 16)
#define D_TAGC  (1u << 17)
#define D_TAVA  (1u << 16)

struct rtl8139 {
    struct pci_dev *pci;
    struct net *net;
    struct clock *clock;
    struct nic_crc crc;
    uint8_t reg[REGS];
    struct eeprom93 ee;
    uint32_t tx_at[2], rx_at;   /* number of the descriptor that is next: normal, high priority; receive */
    uint64_t timer_start;
    struct timer timer;
    uint64_t tx_ok, rx_ok, rx_broadcast;        /* tally */
    uint32_t rx_multicast;
    uint16_t missed;
    uint8_t *scratch;           /* TX_MAX + a segment's copy; nothing lives there */
};

static uint32_t get(const struct rtl8139 *s, unsigned off, unsigned size)
{
    return size == 1 ? s->reg[off] : size == 2 ? le16(s->reg + off) : le32(s->reg + off);
}

static uint64_t get64(const struct rtl8139 *s, unsigned off)
{
    return get(s, off, 4) | (uint64_t)get(s, off + 4, 4) << 32;
}

/* ---- interrupts, timer ---- */

static void update(struct rtl8139 *s)
{
    pci_irq(s->pci, get(s, R_ISR, 2) & get(s, R_IMR, 2));
}

static void cause(struct rtl8139 *s, unsigned bits)
{
    put_le16(s->reg + R_ISR, get(s, R_ISR, 2) | bits);
    update(s);
}

static uint32_t timer_count(const struct rtl8139 *s)
{
    return (uint32_t)((clock_now(s->clock) - s->timer_start) * 1000 / TIMER_PS);
}

static void timer_arm(struct rtl8139 *s)
{
    uint32_t at = get(s, R_TIMER, 4), now = timer_count(s);

    if (at)
        timer_set(&s->timer, clock_now(s->clock) +
                  ((uint64_t)(uint32_t)(at - now - 1) + 1) * TIMER_PS / 1000 + 1);
    else
        timer_cancel(&s->timer);
}

static void timer_fire(void *dev)
{
    struct rtl8139 *s = dev;

    timer_cancel(&s->timer);
    cause(s, INT_TIMEOUT);
}

/* ---- receiver ---- */

static bool filtered_in(const struct rtl8139 *s, const uint8_t *frame)
{
    uint32_t rcr = get(s, R_RCR, 4);
    unsigned h;

    if (nic_is_broadcast(frame))
        return rcr & (RCR_AB | RCR_AAP);
    if (nic_is_group(frame)) {
        h = nic_hash(frame);
        return (rcr & RCR_AAP) || ((rcr & RCR_AM) && (s->reg[R_MAR + (h >> 3)] >> (h & 7) & 1));
    }
    return (rcr & RCR_AAP) || ((rcr & RCR_APM) && memcmp(frame, s->reg + R_IDR, 6) == 0);
}

/* ROK and the kinds of address, as the ring's header has them. */
static unsigned rx_status(const struct rtl8139 *s, const uint8_t *frame)
{
    unsigned st = 1;

    if (nic_is_broadcast(frame))
        st |= 0x2000;
    else if (nic_is_group(frame))
        st |= 0x8000;
    else if (memcmp(frame, s->reg + R_IDR, 6) == 0)
        st |= 0x4000;
    return st;
}

static void count_received(struct rtl8139 *s, const uint8_t *frame)
{
    s->rx_ok++;
    s->rx_broadcast += nic_is_broadcast(frame);
    s->rx_multicast += nic_is_group(frame) && !nic_is_broadcast(frame);
}

/* The ring of bytes. data: frame with check sequence. */
static bool store_bytes(struct rtl8139 *s, const uint8_t *data, unsigned len, unsigned status)
{
    uint32_t rcr = get(s, R_RCR, 4), base = get(s, R_RBSTART, 4), size = 8192u << (rcr >> 11 & 3), at, room,
        need, first;
    uint8_t head[4];

    at = get(s, R_CBR, 2) % size;
    room = ((get(s, R_CAPR, 2) + 16) % size + size - at) % size;
    need = (4 + len + 3) & ~3u;
    if (need + 4 >= size) {
        s->missed++;
        return true;
    }
    /* Full and empty look the same: the last dword is never used. */
    if (room && need + 4 > room)
        return false;
    put_le16(head, status);
    put_le16(head + 2, len);
    pci_dma_write(s->pci, base + at, head, 4);
    first = size - at - 4;
    /* Without wrapping the frame's end lies behind the ring: 64 KiB rings wrap always. */
    if (len <= first || ((rcr & RCR_WRAP) && size < 65536)) {
        pci_dma_write(s->pci, base + at + 4, data, len);
    } else {
        if (first)
            pci_dma_write(s->pci, base + at + 4, data, first);
        pci_dma_write(s->pci, base, data + first, len - first);
    }
    put_le16(s->reg + R_CBR, (at + need) % size);
    cause(s, INT_ROK);
    return true;
}

/* Kind and checksums of an IPv4 frame (C+). */
static uint32_t rx_sums(const uint8_t *f, size_t len)
{
    const uint8_t *ip = f + NIC_HEAD;
    size_t head, total;
    uint32_t v;

    if (len < NIC_HEAD + 20 || be16(f + 12) != 0x0800 || ip[0] >> 4 != 4)
        return 0;
    head = (size_t)(ip[0] & 15) * 4;
    total = be16(ip + 2);
    if (head < 20 || total < head || NIC_HEAD + total > len)
        return 0;
    v = 3u << 16;
    if (nic_sum(ip, head, 0) != 0xffff)
        v |= 1u << 15;
    if ((be16(ip + 6) & 0x3fff) || (ip[9] != 6 && ip[9] != 17))
        return v;
    v = (v & 0xffff) | (ip[9] == 6 ? 1u : 2u) << 16;
    if (ip[9] == 17 && (total < head + 8 || !be16(ip + head + 6)))
        return v;
    if (nic_sum(ip + head, total - head, nic_pseudo_sum(ip, 4, ip[9], (uint32_t)(total - head))) != 0xffff)
        v |= ip[9] == 6 ? 1u << 13 : 1u << 14;
    return v;
}

/* Are there enough descriptors from the next one on? */
static bool room_in_descriptors(struct rtl8139 *s, uint32_t len)
{
    uint32_t at = s->rx_at, done = 0;
    uint8_t d[4];

    for (unsigned n = 0; n < RX_RINGS_MAX && done < len; n++) {
        if (!pci_dma_read(s->pci, get64(s, R_RDSAR) + 16ull * at, d, 4) || !(le32(d) & D_OWN))
            return false;
        done += le32(d) & 0x1fff;
        at = le32(d) & D_EOR ? 0 : (at + 1) % RX_RINGS_MAX;
    }
    return done >= len;
}

/* A ring of descriptors: one for each frame, or several. */
static bool store_descriptors(struct rtl8139 *s, uint8_t *data, unsigned len, unsigned status)
{
    uint64_t ring = get64(s, R_RDSAR);
    uint32_t done = 0, tag = 0;

    if (!room_in_descriptors(s, len)) {
        cause(s, INT_RXOVW);
        return false;
    }

    if ((get(s, R_CPCR, 2) & CPCR_VLAN) && be16(data + 12) == 0x8100 && len >= NIC_HEAD + 4 + NIC_FCS) {
        tag = D_TAVA | le16(data + 14);         /* as in the frame: big-endian */
        memmove(data + 12, data + 16, len - 16);
        len -= 4;
    }
    for (unsigned n = 0; done < len; n++) {
        uint64_t at = ring + 16ull * s->rx_at;
        uint32_t opts, size, chunk;
        uint8_t d[16];

        if (n == RX_RINGS_MAX || !pci_dma_read(s->pci, at, d, 16))
            break;              /* what was copied lay over the ring */
        opts = le32(d);
        size = opts & 0x1fff;
        chunk = len - done < size ? len - done : size;
        pci_dma_write(s->pci, le32(d + 8) | (uint64_t)le32(d + 12) << 32, data + done, chunk);
        s->rx_at = (opts & D_EOR) ? 0 : (s->rx_at + 1) % RX_RINGS_MAX;
        done += chunk;
        if (done < len) {
            put_le32(d, (opts & D_EOR) | (n ? 0 : D_FS) | chunk);
            put_le32(d + 4, 0);
        } else {
            put_le32(d, (opts & D_EOR) | (n ? 0 : D_FS) | D_LS | (status & 0x8000 ? 1u << 27 : 0) |
                     (status & 0x4000 ? 1u << 26 : 0) | (status & 0x2000 ? 1u << 25 : 0) | len |
                     (get(s, R_CPCR, 2) & CPCR_SUMS ? rx_sums(data, len - NIC_FCS) : 0));
            put_le32(d + 4, tag);
        }
        pci_dma_write(s->pci, at, d, 8);
    }
    cause(s, INT_ROK);
    return true;
}

static bool receive_frame(struct rtl8139 *s, const uint8_t *frame, size_t len)
{
    uint8_t data[FRAME_MAX + NIC_FCS];
    unsigned n = len < NIC_MIN ? NIC_MIN : (unsigned)len;
    unsigned max = get(s, R_CPCR, 2) & CPCR_RX ? 0x1fff - NIC_FCS : 4096 - 8;
    bool taken;

    if (!(s->reg[R_CR] & CR_RE) || len < NIC_HEAD || !filtered_in(s, frame))
        return true;
    if (n > max) {
        s->missed++;
        return true;
    }
    memcpy(data, frame, len);
    memset(data + len, 0, n - len);
    put_le32(data + n, nic_crc(&s->crc, data, n));
    if (get(s, R_CPCR, 2) & CPCR_RX)
        taken = store_descriptors(s, data, n + NIC_FCS, rx_status(s, frame));
    else
        taken = store_bytes(s, data, n + NIC_FCS, rx_status(s, frame));
    if (taken)
        count_received(s, frame);
    return taken;
}

static bool rtl8139_receive(void *dev, const uint8_t *frame, size_t len)
{
    struct rtl8139 *s = dev;

    if ((get(s, R_TCR, 4) & TCR_LOOP) == TCR_LOOP)
        return true;
    return receive_frame(s, frame, len);
}

/* ---- transmitter ---- */

static void leave(struct rtl8139 *s, const uint8_t *data, size_t len)
{
    s->tx_ok++;
    if ((get(s, R_TCR, 4) & TCR_LOOP) == TCR_LOOP)
        receive_frame(s, data, len);
    else
        net_send(s->net, data, len);
}

/* Slot n of four. */
static void transmit_slot(struct rtl8139 *s, unsigned n)
{
    uint8_t *tsd = s->reg + R_TSD + 4 * n;
    uint32_t v = le32(tsd), len = v & 0x1fff;

    if (!(s->reg[R_CR] & CR_TE) || (get(s, R_CPCR, 2) & CPCR_TX))
        return;
    if (len < NIC_HEAD || !pci_dma_read(s->pci, get(s, R_TSAD + 4 * n, 4), s->scratch, len)) {
        put_le32(tsd, v | TSD_OWN | TSD_TUN);
        cause(s, INT_TER);
        return;
    }
    if (net_is_up(s->net) || (get(s, R_TCR, 4) & TCR_LOOP) == TCR_LOOP)
        leave(s, s->scratch, len);
    else
        v |= TSD_CRS;
    put_le32(tsd, v | TSD_OWN | TSD_TOK);
    cause(s, INT_TOK);
}

/* Sums of an IPv4 frame: the driver left the fields in any state. */
static void insert_sums(uint8_t *f, size_t len, uint32_t opts)
{
    uint8_t *ip = f + NIC_HEAD, *l4;
    size_t head, n;

    if (len < NIC_HEAD + 20 || be16(f + 12) != 0x0800 || ip[0] >> 4 != 4)
        return;
    head = (size_t)(ip[0] & 15) * 4;
    if (head < 20 || be16(ip + 2) < head || NIC_HEAD + (size_t)be16(ip + 2) > len)
        return;
    l4 = ip + head;
    n = be16(ip + 2) - head;
    if (opts & (D_IPCS | D_LGSEN)) {
        put_be16(ip + 10, 0);
        put_be16(ip + 10, (uint16_t)~nic_sum(ip, head, 0));
    }
    if ((opts & (D_TCPCS | D_LGSEN)) && ip[9] == 6 && n >= 20) {
        put_be16(l4 + 16, 0);
        put_be16(l4 + 16, (uint16_t)~nic_sum(l4, n, nic_pseudo_sum(ip, 4, 6, (uint32_t)n)));
    } else if ((opts & D_UDPCS) && ip[9] == 17 && n >= 8) {
        uint16_t sum;

        put_be16(l4 + 6, 0);
        sum = (uint16_t)~nic_sum(l4, n, nic_pseudo_sum(ip, 4, 17, (uint32_t)n));
        put_be16(l4 + 6, sum ? sum : 0xffff);
    }
}

static void finish(struct rtl8139 *s, uint8_t *f, size_t len, uint32_t tag)
{
    uint8_t tagged[FRAME_MAX + 4];

    if (!(tag & D_TAGC) || len > FRAME_MAX) {
        leave(s, f, len);
        return;
    }
    memcpy(tagged, f, 12);
    put_be16(tagged + 12, 0x8100);
    put_le16(tagged + 14, tag & 0xffff);
    memcpy(tagged + 16, f + 12, len - 12);
    leave(s, tagged, len + 4);
}

/* TCP over IPv4 in pieces of mss bytes. */
static void segment(struct rtl8139 *s, uint8_t *f, size_t len, uint32_t opts, uint32_t tag)
{
    uint8_t *ip = f + NIC_HEAD, *out = s->scratch + TX_MAX;
    size_t head, mss = opts >> 16 & 0x7ff, ip_head = len > NIC_HEAD + 20 ? (size_t)(ip[0] & 15) * 4 : 0;

    head = NIC_HEAD + ip_head;
    if (mss < 16 || ip_head < 20 || len < head + 20 || be16(f + 12) != 0x0800 || ip[9] != 6) {
        log_msg(LOG_GUEST, "rtl8139: segments of %zu bytes of a frame that is no TCP over IPv4: dropped",
                mss);
        return;
    }
    head += (size_t)(f[head + 12] >> 4) * 4;
    if (head < NIC_HEAD + ip_head + 20 || head > len)
        return;
    for (size_t at = head, n = 0; at < len || !n; n++) {
        size_t pay = len - at < mss ? len - at : mss;
        uint8_t *oip = out + NIC_HEAD, *tcp = oip + ip_head;

        memcpy(out, f, head);
        memcpy(out + head, f + at, pay);
        put_be16(oip + 2, (uint32_t)(head - NIC_HEAD + pay));
        put_be16(oip + 4, be16(ip + 4) + (uint32_t)n);
        put_be32(tcp + 4, be32(tcp + 4) + (uint32_t)(at - head));
        at += pay;
        if (at < len)
            tcp[13] &= (uint8_t)~0x09;
        insert_sums(out, head + pay, D_LGSEN);
        finish(s, out, head + pay, tag);
    }
}

/* One frame off a ring of descriptors, whole or not at all. False: there is none. */
static bool transmit_frame(struct rtl8139 *s, unsigned which)
{
    uint64_t ring = get64(s, which ? R_THPDS : R_TNPDS);
    uint32_t at = s->tx_at[which], len = 0, opts = 0, tag = 0;
    bool bad = false;
    unsigned n = 0;
    uint8_t d[16];

    do {
        uint32_t chunk;

        if (n == RX_RINGS_MAX || !pci_dma_read(s->pci, ring + 16ull * at, d, 16) || !(le32(d) & D_OWN))
            return false;
        if (!n++) {
            opts = le32(d);
            tag = le32(d + 4);
        }
        chunk = le32(d) & 0xffff;
        if (len + chunk > TX_MAX)
            bad = true;
        else
            bad |= !pci_dma_read(s->pci, le32(d + 8) | (uint64_t)le32(d + 12) << 32, s->scratch + len, chunk);
        len += bad ? 0 : chunk;
        at = le32(d) & D_EOR ? 0 : (at + 1) % RX_RINGS_MAX;
    } while (!(le32(d) & D_LS));
    if (bad || len < NIC_HEAD || !(opts & D_FS) || (!(opts & D_LGSEN) && len > FRAME_MAX)) {
        log_msg(LOG_GUEST, "rtl8139: a frame of %u bytes is not sent", len);
    } else if (opts & D_LGSEN) {
        segment(s, s->scratch, len, opts, tag);
    } else {
        insert_sums(s->scratch, len, opts);
        finish(s, s->scratch, len, tag);
    }
    for (at = s->tx_at[which]; n--; at = le32(d) & D_EOR ? 0 : (at + 1) % RX_RINGS_MAX) {
        if (!pci_dma_read(s->pci, ring + 16ull * at, d, 4))
            break;
        put_le32(d, le32(d) & ~D_OWN);
        pci_dma_write(s->pci, ring + 16ull * at, d, 4);
    }
    s->tx_at[which] = at;
    return true;
}

static void poll(struct rtl8139 *s, uint8_t val)
{
    if (val & 1)
        cause(s, INT_SW);
    for (unsigned which = 2; which-- && (s->reg[R_CR] & CR_TE) && (get(s, R_CPCR, 2) & CPCR_TX);) {
        unsigned n = 0;

        if (!(val & (which ? 0x80 : 0x40)))
            continue;
        while (n < RX_RINGS_MAX && transmit_frame(s, which))
            n++;
        if (n)
            cause(s, INT_TOK | INT_TDU);
    }
}

/* ---- the rest of the registers ---- */

static void dump_tally(struct rtl8139 *s)
{
    uint64_t at = (get(s, R_DTCCR, 4) & ~63u) | (uint64_t)get(s, R_DTCCR + 4, 4) << 32;
    uint8_t t[TALLY] = { 0 };

    put_le32(t, (uint32_t)s->tx_ok);
    put_le32(t + 4, (uint32_t)(s->tx_ok >> 32));
    put_le32(t + 8, (uint32_t)s->rx_ok);
    put_le32(t + 12, (uint32_t)(s->rx_ok >> 32));
    put_le16(t + 28, s->missed);
    put_le32(t + 40, (uint32_t)s->rx_ok);
    put_le32(t + 44, (uint32_t)(s->rx_ok >> 32));
    put_le32(t + 48, (uint32_t)s->rx_broadcast);
    put_le32(t + 52, (uint32_t)(s->rx_broadcast >> 32));
    put_le32(t + 56, s->rx_multicast);
    pci_dma_write(s->pci, at, t, sizeof(t));
    s->reg[R_DTCCR] &= (uint8_t)~0x08;
}

static void chip_reset(struct rtl8139 *s)
{
    uint8_t config[6] = { s->reg[R_CONFIG0], s->reg[R_CONFIG1], s->reg[R_CONFIG3], s->reg[R_CONFIG4],
                          s->reg[R_CONFIG5],
                          s->reg[R_9346] };
    uint8_t id[6], phy[8];

    memcpy(id, s->reg, 6);
    memcpy(phy, s->reg + R_BMCR, 8);
    memset(s->reg, 0, sizeof(s->reg));
    memcpy(s->reg, id, 6);
    memcpy(s->reg + R_BMCR, phy, 8);
    s->reg[R_CONFIG0] = config[0];
    s->reg[R_CONFIG1] = config[1];
    s->reg[R_CONFIG3] = config[2];
    s->reg[R_CONFIG4] = config[3];
    s->reg[R_CONFIG5] = config[4];
    s->reg[R_9346] = config[5];
    for (unsigned i = 0; i < 4; i++)
        put_le32(s->reg + R_TSD + 4 * i, TSD_OWN);
    put_le16(s->reg + R_CAPR, 0xfff0);
    put_le32(s->reg + R_TCR, TCR_VERSION);
    memset(s->tx_at, 0, sizeof(s->tx_at));
    s->rx_at = 0;
    s->timer_start = clock_now(s->clock);
    timer_cancel(&s->timer);
    update(s);
}

/* What is read is not always what was written. */
static uint8_t read_byte(struct rtl8139 *s, unsigned off)
{
    uint32_t rcr = get(s, R_RCR, 4), size = 8192u << (rcr >> 11 & 3);
    bool up = net_is_up(s->net);

    switch (off) {
    case R_CR:
        return s->reg[off] | ((get(s, R_CAPR, 2) + 16) % size == get(s, R_CBR, 2) % size ? CR_BUFE : 0);
    case R_TCTR: case R_TCTR + 1: case R_TCTR + 2: case R_TCTR + 3:
        return (uint8_t)(timer_count(s) >> 8 * (off - R_TCTR));
    case R_MPC:
        return (uint8_t)s->missed;
    case R_MPC + 1:
        return s->missed >> 8;
    case R_9346:
        return (uint8_t)((s->reg[off] & 0xfe) | s->ee.out);
    case R_MSR:
        return up ? 0x10 : 0x14;        /* LINKB */
    case R_BMSR:
        return up ? 0x2d : 0x09;
    case R_BMSR + 1:
        return 0x78;
    case R_ANLPAR:
        return up ? 0xe1 : 0;
    case R_ANLPAR + 1:
        return up ? 0x45 : 0;
    case R_ANER:
        return up ? 1 : 0;
    case R_TSADS: case R_TSADS + 1: {           /* OWN, TABT, TUN, TOK of the four slots, in nibbles */
        unsigned v = 0;

        for (unsigned n = 0; n < 4; n++) {
            uint32_t tsd = get(s, R_TSD + 4 * n, 4);

            v |= (tsd & TSD_OWN ? 0x1u : 0) << n | (tsd >> 30 & 1) << (4 + n) |
                (tsd & TSD_TUN ? 0x100u : 0) << n |
                 (tsd & TSD_TOK ? 0x1000u : 0) << n;
        }
        return (uint8_t)(v >> 8 * (off - R_TSADS));
    }
    default:
        return s->reg[off];
    }
}

static uint64_t reg_read(void *dev, uint64_t off, unsigned size)
{
    uint64_t v = 0;

    for (unsigned i = 0; i < size; i++)
        v |= (uint64_t)read_byte(dev, (unsigned)(off + i) % REGS) << 8 * i;
    return v;
}

/* A byte is kept, or changes something by itself; what needs the whole register is done afterwards. */
static void write_byte(struct rtl8139 *s, unsigned off, uint8_t val)
{
    bool open = (s->reg[R_9346] & 0xc0) == 0xc0;

    switch (off) {
    case R_CBR: case R_CBR + 1: case R_BMSR: case R_BMSR + 1: case R_ANLPAR:
    case R_ANLPAR + 1: case R_ANER: case R_ANER + 1:
    case R_TSADS: case R_TSADS + 1: case 0x34: case 0x35: case 0x36: case R_TPPOLL:
        return;
    case R_ISR: case R_ISR + 1:
        s->reg[off] &= (uint8_t)~val;
        return;
    case R_CR:
        s->reg[off] = val & (CR_TE | CR_RE);
        return;
    case R_MPC: case R_MPC + 1: case R_MPC + 2: case R_MPC + 3:
        s->missed = 0;
        return;
    case R_9346:
        s->reg[off] = val & 0xce;
        eeprom93_lines(&s->ee, (val & 0x88) == 0x88, val & 4, val & 2);
        return;
    case R_CONFIG0:
        return;
    case 0xda: case 0xdb:       /* the RTL8169's longest frame, by which drivers tell the chips apart */
        return;
    case R_CONFIG1: case R_CONFIG3: case R_CONFIG4: case R_MSR:
        if (open)
            s->reg[off] = val;
        return;
    case R_IDR: case 1: case 2: case 3: case 4: case 5:
        if (open)
            s->reg[off] = val;
        return;
    default:
        s->reg[off] = val;
    }
}

/* Was any byte of the register written? */
static bool hit(unsigned off, unsigned size, unsigned reg, unsigned width)
{
    return off < reg + width && reg < off + size;
}

static void reg_write(void *dev, uint64_t off64, uint64_t val, unsigned size)
{
    struct rtl8139 *s = dev;
    unsigned off = (unsigned)off64 % REGS;
    bool plus = get(s, R_CPCR, 2) & CPCR_TX;
    uint8_t cr = s->reg[R_CR];

    for (unsigned i = 0; i < size && off + i < REGS; i++)
        write_byte(s, off + i, (uint8_t)(val >> 8 * i));
    if (hit(off, size, R_CR, 1)) {
        if (val >> 8 * (R_CR - off) & CR_RST)
            chip_reset(s);
        else if (s->reg[R_CR] & ~cr & CR_RE)
            net_ready(s->net);
    }
    if (hit(off, size, R_ISR, 2) || hit(off, size, R_IMR, 2))
        update(s);
    if (hit(off, size, R_TCR, 4))
        put_le32(s->reg + R_TCR, (get(s, R_TCR, 4) & ~TCR_FIXED) | TCR_VERSION);
    if (hit(off, size, R_TCTR, 4))
        s->timer_start = clock_now(s->clock);
    if (hit(off, size, R_TIMER, 4) || hit(off, size, R_TCTR, 4))
        timer_arm(s);
    if (hit(off, size, R_RBSTART, 4))
        put_le16(s->reg + R_CBR, 0);
    if (hit(off, size, R_RDSAR, 8))
        s->rx_at = 0;
    if (plus && hit(off, size, R_TNPDS, 8))
        s->tx_at[0] = 0;
    if (plus && hit(off, size, R_THPDS, 8))
        s->tx_at[1] = 0;
    if (plus && hit(off, size, R_DTCCR, 4) && (s->reg[R_DTCCR] & 8))
        dump_tally(s);
    for (unsigned n = 0; n < 4 && !plus; n++)   /* clearing OWN starts it; the last byte says so */
        if (off + size == R_TSD + 4 * n + 4 && !(get(s, R_TSD + 4 * n, 4) & TSD_OWN))
            transmit_slot(s, n);
    if (hit(off, size, R_TPPOLL, 1))
        poll(s, (uint8_t)(val >> 8 * (R_TPPOLL - off)));
    if (hit(off, size, R_BMCR, 2))
        put_le16(s->reg + R_BMCR, get(s, R_BMCR, 2) & 0x3100);  /* reset and restart are done at once */
    if (hit(off, size, R_CAPR, 2) || (hit(off, size, R_ISR, 2) && (s->reg[R_CR] & CR_RE)))
        net_ready(s->net);
}

static const struct io_ops rtl8139_ops = { reg_read, reg_write, 1 | 2 | 4, LOG_DEV_RTL8139 };

/* ---- construction ---- */

static void link_changed(void *dev, bool up)
{
    cause(dev, INT_LINK);
}

static void rtl8139_reset(void *dev)
{
    struct rtl8139 *s = dev;

    memset(s->reg, 0, sizeof(s->reg));
    for (unsigned i = 0; i < 3; i++)
        put_le16(s->reg + 2 * i, s->ee.word[7 + i]);
    put_le16(s->reg + R_BMCR, 0x1100);
    put_le16(s->reg + R_ANAR, 0x05e1);
    s->reg[R_CONFIG1] = 0x0c;           /* I/O and memory */
    s->reg[R_CONFIG3] = 0x01;
    eeprom93_reset(&s->ee);
    s->tx_ok = s->rx_ok = s->rx_broadcast = 0;
    s->rx_multicast = 0;
    s->missed = 0;
    chip_reset(s);
}

static void rtl8139_loaded(void *dev)
{
    struct rtl8139 *s = dev;

    timer_set(&s->timer, s->timer.due);
    update(s);
    net_ready(s->net);
}

static void rtl8139_free(void *dev)
{
    free(((struct rtl8139 *)dev)->scratch);
}

static const struct field rtl8139_state[] = {
    FIELD_ARRAY(struct rtl8139, reg), EEPROM93_FIELDS(struct rtl8139, ee),
    FIELD_ARRAY_MAX(struct rtl8139, tx_at, RX_RINGS_MAX - 1), FIELD_MAX(struct rtl8139, rx_at, RX_RINGS_MAX - 1),
    FIELD(struct rtl8139, timer_start), FIELD(struct rtl8139, timer.due),
    FIELD(struct rtl8139, tx_ok), FIELD(struct rtl8139, rx_ok), FIELD(struct rtl8139, rx_broadcast),
    FIELD(struct rtl8139, rx_multicast), FIELD(struct rtl8139, missed), FIELD_END
};

static const struct chip rtl8139_chip = {
    "rtl8139", sizeof(struct rtl8139), rtl8139_reset, rtl8139_state, rtl8139_loaded, rtl8139_free
};
static const struct net_user rtl8139_user = { rtl8139_receive, link_changed };

static void make(struct plug_env *env, void *bus, const void *props)
{
    static const struct pci_ident id = { .vendor = 0x10ec, .device = 0x8139, .subvendor = 0x10ec,
                                         .subdevice = 0x8139,
                                         .class = 0x020000, .revision = 0x20, .pin = 1 };
    const struct nic_props *p = props;
    struct pci_dev *pci = nic_pci_add(env, p, &id);
    struct rtl8139 *s = chip_new(env->m->chips, &rtl8139_chip, p->common.name);

    s->pci = pci;
    s->net = p->net;
    s->clock = env->m->clock;
    s->scratch = malloc(TX_MAX + FRAME_MAX);
    if (!s->scratch)
        die(EXIT_CODE_HOST, "out of memory for %s", p->common.name);
    nic_crc_init(&s->crc);
    timer_init(&s->timer, s->clock, timer_fire, s);
    memset(s->ee.word, 0xff, sizeof(s->ee.word));
    s->ee.word[0] = 0x8129;             /* that there is something */
    s->ee.word[1] = id.vendor;
    s->ee.word[2] = id.device;
    s->ee.word[3] = id.subvendor;
    s->ee.word[4] = id.subdevice;
    for (unsigned i = 0; i < 3; i++)
        s->ee.word[7 + i] = le16(p->mac + 2 * i);
    pci_bar(pci, 0, REGS, PCI_BAR_IO, &rtl8139_ops, s);
    pci_bar(pci, 1, REGS, 0, &rtl8139_ops, s);
    rtl8139_reset(s);
    nic_connect(p, &rtl8139_user, s);
}

static const struct prop rtl8139_props[] = { NIC_PROPS, NIC_ROM_PROP, PROP_END };

const struct plug rtl8139_plug = {
    "rtl8139", "network: Realtek RTL8139C+", "PCI", sizeof(struct nic_props),
    &(const struct nic_props){ .romfile = "efi-rtl8139.rom" }, rtl8139_props, make,
    "ethernet@*/ethernet-phy@0"
};
