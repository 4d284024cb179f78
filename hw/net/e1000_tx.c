/*
 * e1000_tx.c - the 82540EM's transmitter (SDM 3.3 to 3.5): descriptors, checksums, segmentation, VLAN tags.
 *
 * A frame is gathered in e->frame over as many descriptors as it has. With segmentation the frame starts with
 * the header, and whenever header and MSS bytes are there a segment leaves and the header stays. One kick
 * does a bounded amount of work; a timer goes on with the rest, so that a huge ring does not keep the device
 * lock.
 */
#include "hw/net/e1000_int.h"

#include <string.h>

#include "base/log.h"

#define CMD_EOP  0x01u
#define CMD_IFCS 0x02u
#define CMD_IC   0x04u          /* legacy: insert checksum */
#define CMD_TSE  0x04u          /* extended: segment */
#define CMD_RS   0x08u
#define CMD_RPS  0x10u
#define CMD_DEXT 0x20u
#define CMD_VLE  0x40u
#define CMD_IDE  0x80u
#define POPTS_IXSM 1u
#define POPTS_TXSM 2u
#define TUCMD_TCP 1u
#define TUCMD_IP  2u
#define MSS_MIN  16u            /* less makes no sense, and many frames of nothing but header */
#define WORK     (4u << 20)     /* bytes of one kick, and for each descriptor and segment as many as SMALL */
#define SMALL    256u

/* ---- the finished frame ---- */

static void leave(struct e1000 *e, const uint8_t *data, size_t len)
{
    uint8_t padded[NIC_MIN];
    size_t wire;

    if (len < NIC_HEAD) {
        log_msg(LOG_GUEST, "e1000: a frame of %zu bytes is no frame: dropped", len);
        return;
    }
    if (len < NIC_MIN && (*e1000_reg(e, R_TCTL) & TCTL_PSP)) {
        memset(padded, 0, sizeof(padded));
        memcpy(padded, data, len);
        data = padded;
        len = NIC_MIN;
    }
    wire = len + NIC_FCS;
    e1000_count(e, S_GPTC, 1);
    e1000_count(e, S_TPT, 1);
    e1000_count64(e, S_GOTC, wire);
    e1000_count64(e, S_TOT, wire);
    e1000_count_size(e, S_PTC64, wire);
    if (nic_is_broadcast(data))
        e1000_count(e, S_BPTC, 1);
    else if (nic_is_group(data))
        e1000_count(e, S_MPTC, 1);
    if ((*e1000_reg(e, R_RCTL) & RCTL_LBM) || e1000_phy_loops(e))
        e1000_receive_frame(e, data, len);
    else if (e1000_link(e))
        net_send(e->net, data, len);
}

/* VLAN tag and the sequence the driver may have put at the end; then it leaves. */
static void finish(struct e1000 *e, uint8_t *data, size_t len)
{
    uint8_t tagged[FRAME_MAX + VLAN_TAG];

    if (!(e->tx_cmd & CMD_IFCS) && len > NIC_FCS)
        len -= NIC_FCS;
    if ((e->tx_cmd & CMD_VLE) && (*e1000_reg(e, R_CTRL) & CTRL_VME) && len >= NIC_HEAD) {
        memcpy(tagged, data, 12);
        put_be16(tagged + 12, *e1000_reg(e, R_VET));
        put_be16(tagged + 14, e->tx_special);
        memcpy(tagged + 16, data + 12, len - 12);
        data = tagged;
        len += VLAN_TAG;
    }
    leave(e, data, len);
}

/* From css to cse (0: to the end), both included, to cso, which holds what is to be added. */
static void insert_sum(uint8_t *data, size_t len, unsigned css, unsigned cso, unsigned cse, bool udp)
{
    size_t end = cse && cse + 1 < len ? cse + 1 : len;
    uint16_t sum;

    if (css >= end || cso + 2 > len) {
        log_msg(LOG_GUEST, "e1000: checksum from %u to %u at %u of a frame of %zu bytes", css, cse, cso, len);
        return;
    }
    sum = (uint16_t)~nic_sum(data + css, end - css, 0);
    put_be16(data + cso, udp && !sum ? 0xffff : sum);       /* UDP: 0 means that there is none */
}

static void insert_sums(struct e1000 *e, const struct e1000_ctx *c, uint8_t *data, size_t len)
{
    if (e->tx_popts & POPTS_TXSM)
        insert_sum(data, len, c->tucss, c->tucso, c->tucse, !(c->tucmd & TUCMD_TCP));
    if (e->tx_popts & POPTS_IXSM)
        insert_sum(data, len, c->ipcss, c->ipcso, c->ipcse, false);
}

/* Header and some payload are in e->frame: what differs from segment to segment (3.5.9). */
static void segment(struct e1000 *e, bool last)
{
    const struct e1000_ctx *c = &e->ctx[1];
    uint8_t out[FRAME_MAX];
    size_t len = e->tx_len, ip = c->ipcss, tu = c->tucss;
    uint32_t n = e->tx_segment++;

    memcpy(out, e->frame, len);
    if (ip + 40 > len || tu + 20 > len || c->tucso + 2u > len) {
        log_msg(LOG_GUEST, "e1000: a segment of %zu bytes with headers at %zu and %zu: dropped", len, ip, tu);
        return;
    }
    if (c->tucmd & TUCMD_IP) {
        put_be16(out + ip + 2, (uint32_t)(len - ip));
        put_be16(out + ip + 4, be16(out + ip + 4) + n);
    } else {
        put_be16(out + ip + 4, (uint32_t)(len - ip - 40));
    }
    if (c->tucmd & TUCMD_TCP) {
        put_be32(out + tu + 4, be32(out + tu + 4) + n * c->mss);
        if (!last)
            out[tu + 13] &= (uint8_t)~0x09;     /* FIN, PSH */
    } else {
        put_be16(out + tu + 4, (uint32_t)(len - tu));
    }
    /* The driver left the pseudo header's sum without a length. */
    if (e->tx_popts & POPTS_TXSM) {
        uint32_t sum = be16(out + c->tucso) + (uint32_t)(len - tu);

        put_be16(out + c->tucso, (sum & 0xffff) + (sum >> 16));
    }
    insert_sums(e, c, out, len);
    finish(e, out, len);
}

/* ---- gathering ---- */

static bool fetch(struct e1000 *e, uint64_t pa, uint32_t len)
{
    if (!pci_dma_read(e->pci, pa, e->frame + e->tx_len, len))
        e->tx_bad = 1;
    e->tx_len += len;
    return !e->tx_bad;
}

static void add(struct e1000 *e, uint64_t pa, uint32_t len)
{
    if (e->tx_bad)
        return;
    if (len > FRAME_MAX - e->tx_len) {
        log_msg(LOG_GUEST, "e1000: a frame of more than %u bytes: dropped", FRAME_MAX);
        e->tx_bad = 1;
        return;
    }
    fetch(e, pa, len);
}

/* Returns the number of segments that left. */
static uint32_t add_segmented(struct e1000 *e, uint64_t pa, uint32_t len)
{
    const struct e1000_ctx *c = &e->ctx[1];
    uint32_t limit = (uint32_t)c->hdrlen + c->mss, sent = 0;

    if (!e->tx_bad && (c->mss < MSS_MIN || limit > FRAME_MAX || e->tx_len > limit)) {
        log_msg(LOG_GUEST, "e1000: segmentation with a header of %u and segments of %u bytes: dropped",
                c->hdrlen, c->mss);
        e->tx_bad = 1;
    }
    while (!e->tx_bad && len) {
        uint32_t n = len < limit - e->tx_len ? len : limit - e->tx_len;

        if (!fetch(e, pa, n))
            break;
        pa += n;
        len -= n;
        if (e->tx_len < limit)
            break;
        e->tx_left -= e->tx_left < c->mss ? e->tx_left : c->mss;
        segment(e, e->tx_left == 0);
        e->tx_len = c->hdrlen;
        sent++;
    }
    return sent;
}

static void end_of_packet(struct e1000 *e)
{
    if (e->tx_bad) {
        /* nothing to send */
    } else if (e->tx_tse) {
        if (e->tx_len > e->ctx[1].hdrlen)
            segment(e, true);
        e1000_count(e, e->tx_left > e->tx_len ? S_TSCTFC : S_TSCTC, 1);
    } else {
        if (e->tx_extended)
            insert_sums(e, &e->ctx[0], e->frame, e->tx_len);
        else if (e->tx_cmd & CMD_IC)
            insert_sum(e->frame, e->tx_len, e->tx_css, e->tx_cso, 0, false);
        finish(e, e->frame, e->tx_len);
    }
    e->tx_active = e->tx_bad = 0;
    e->tx_len = 0;
}

/* ---- descriptors ---- */

static void context(struct e1000 *e, const uint8_t *d)
{
    uint32_t w = le32(d + 8);
    struct e1000_ctx *c = &e->ctx[w >> 26 & 1];

    *c = (struct e1000_ctx){ .ipcss = d[0], .ipcso = d[1], .ipcse = le16(d + 2), .tucss = d[4], .tucso = d[5],
                             .tucse = le16(d + 6), .paylen = w & 0xfffff, .tucmd = (uint8_t)(w >> 24),
                             .hdrlen = d[13],
                             .mss = le16(d + 14) };
}

/* A piece of a frame; returns what it cost. */
static uint32_t data(struct e1000 *e, const uint8_t *d, bool extended)
{
    uint32_t w = le32(d + 8), len = extended ? w & 0xfffff : w & 0xffff, cost = len + SMALL;
    uint64_t pa = le32(d) | (uint64_t)le32(d + 4) << 32;
    uint8_t cmd = (uint8_t)(w >> 24);

    if (!e->tx_active) {
        e->tx_active = 1;
        e->tx_bad = 0;
        e->tx_len = e->tx_segment = 0;
        e->tx_extended = extended;
        e->tx_tse = extended && (cmd & CMD_TSE);
        e->tx_popts = extended ? d[13] : 0;
        e->tx_left = e->ctx[1].paylen;
    }
    e->tx_cmd = cmd;
    e->tx_special = le16(d + 14);
    e->tx_cso = d[10];
    e->tx_css = d[13];
    if (e->tx_tse)
        cost += add_segmented(e, pa, len) * SMALL;
    else
        add(e, pa, len);
    if (cmd & CMD_EOP)
        end_of_packet(e);
    return cost;
}

/* Returns the causes: written back now, or later where IDE says so. */
static uint32_t write_back(struct e1000 *e, uint64_t at, const uint8_t *d)
{
    uint8_t cmd = d[11], status = (uint8_t)(d[12] | 1);     /* DD */

    if (!(cmd & (CMD_RS | CMD_RPS)))
        return 0;
    pci_dma_write(e->pci, at + 12, &status, 1);
    if (!(cmd & CMD_IDE) || !*e1000_reg(e, R_TIDV))
        return INT_TXDW;
    e1000_delay(e, &e->tx_packet, *e1000_reg(e, R_TIDV));
    if (*e1000_reg(e, R_TADV) && e->tx_absolute.due == UINT64_MAX)
        e1000_delay(e, &e->tx_absolute, *e1000_reg(e, R_TADV));
    return 0;
}

void e1000_transmit(struct e1000 *e)
{
    uint64_t base = (*e1000_reg(e, R_TDBAL) & ~0xfu) | (uint64_t)*e1000_reg(e, R_TDBAH) << 32;
    uint32_t n = *e1000_reg(e, R_TDLEN) / DESC, *head = e1000_reg(e, R_TDH), tail = *e1000_reg(e, R_TDT);
    uint32_t low = (*e1000_reg(e, R_TXDCTL) >> 25) * 8, causes = 0, cost = 0;

    if (!(*e1000_reg(e, R_TCTL) & TCTL_EN) || e->sending || *head == tail)
        return;
    if (*head >= n || tail >= n) {
        log_msg(LOG_GUEST, "e1000: transmit ring of %u descriptors with head %u and tail %u", n, *head, tail);
        return;
    }
    e->sending = true;          /* loopback may lead back here */
    while (*head != tail && cost < WORK) {
        uint64_t at = base + (uint64_t)*head * DESC;
        uint32_t was = (tail + n - *head) % n;
        uint8_t d[DESC];

        if (!pci_dma_read(e->pci, at, d, DESC))
            break;
        if ((d[11] & CMD_DEXT) && (d[10] >> 4) == 0) {
            context(e, d);
            cost += SMALL;
        } else if (!(d[11] & CMD_DEXT) || (d[10] >> 4) == 1) {
            cost += data(e, d, d[11] & CMD_DEXT);
        } else {
            log_msg(LOG_GUEST, "e1000: transmit descriptor of type %u", d[10] >> 4);
            cost += SMALL;
        }
        causes |= write_back(e, at, d);
        *head = (*head + 1) % n;
        if (low && was == low)
            causes |= INT_TXD_LOW;
    }
    e->sending = false;
    if (*head == tail)
        causes |= INT_TXQE;
    else if (cost >= WORK)
        timer_set(&e->tx_more, clock_now(e->clock));
    e1000_cause(e, causes);
}
