/*
 * e1000_rx.c - the 82540EM's receiver (SDM 3.2, 9, 13.5): address and VLAN filters, checksums, descriptors.
 *
 * A frame is taken whole or not at all: where the ring has too few descriptors, it waits outside until RDT
 * moves, as it would in the chip's packet buffer.
 */
#include "hw/net/e1000_int.h"

#include <string.h>

#include "base/log.h"

#define ST_DD    0x01u
#define ST_EOP   0x02u
#define ST_IXSM  0x04u
#define ST_VP    0x08u
#define ST_TCPCS 0x20u
#define ST_IPCS  0x40u
#define ST_PIF   0x80u
#define ERR_TCPE 0x20u
#define ERR_IPE  0x40u

#define RXCSUM_IPOFL  (1u << 8)
#define RXCSUM_TUOFL  (1u << 9)
#define RXCSUM_V6OFL  (1u << 10)
#define RAH_VALID (1u << 31)
#define LONGEST   1522u         /* without LPE; check sequence and one tag included */
#define ETH_PAUSE_OPCODE 1u

struct rx {
    uint8_t data[FRAME_MAX + NIC_FCS];
    size_t len;
    uint16_t sum, special;
    uint8_t status, errors;
};

/* ---- filters ---- */

static bool exact(struct e1000 *e, const uint8_t *frame)
{
    for (unsigned i = 0; i < 16; i++) {
        uint32_t lo = *e1000_reg(e, R_RA + 8 * i), hi = *e1000_reg(e, R_RA + 8 * i + 4);
        const uint8_t *a = (hi >> 16 & 3) == 1 ? frame + 6 : frame;     /* ASEL: the source */

        if ((hi & RAH_VALID) && le32(a) == lo && le16(a + 4) == (hi & 0xffff))
            return true;
    }
    return false;
}

static bool hashed(struct e1000 *e, const uint8_t *a)
{
    static const uint8_t shift[4] = { 4, 3, 2, 0 };
    unsigned h = le16(a + 4) >> shift[*e1000_reg(e, R_RCTL) >> 12 & 3] & 0xfff;

    return *e1000_reg(e, R_MTA + 4 * (h >> 5)) >> (h & 31) & 1;
}

static bool wanted(struct e1000 *e, const uint8_t *frame, uint8_t *status)
{
    uint32_t rctl = *e1000_reg(e, R_RCTL);

    if (exact(e, frame) || ((rctl & RCTL_BAM) && nic_is_broadcast(frame)))
        return true;
    *status |= ST_PIF;
    if (!nic_is_group(frame))
        return rctl & RCTL_UPE;
    return (rctl & RCTL_MPE) || hashed(e, frame);
}

static bool vlan_wanted(struct e1000 *e, uint16_t tag)
{
    uint32_t rctl = *e1000_reg(e, R_RCTL);
    unsigned id = tag & 0xfff;

    if (!(rctl & RCTL_VFE))
        return true;
    if ((rctl & RCTL_CFIEN) && (tag >> 12 & 1) != !!(rctl & RCTL_CFI))
        return false;
    return *e1000_reg(e, R_VFTA + 4 * (id >> 5)) >> (id & 31) & 1;
}

/* Frames of flow control are for the chip alone (3.7.5). */
static bool is_pause(struct e1000 *e, const uint8_t *frame, size_t len)
{
    if (len < 18 || be16(frame + 12) != *e1000_reg(e, R_FCT) || le32(frame) != *e1000_reg(e, R_FCAL) ||
        le16(frame + 4) != *e1000_reg(e, R_FCAH) || be16(frame + 14) != ETH_PAUSE_OPCODE)
        return false;
    if (*e1000_reg(e, R_CTRL) & CTRL_RFCE)
        e1000_count(e, be16(frame + 16) ? S_XOFFRXC : S_XONRXC, 1);
    return true;
}

/* ---- checksums (3.2.9) ---- */

static void check_transport(struct rx *r, const uint8_t *ip, unsigned version, uint8_t protocol, size_t head,
                            size_t len)
{
    const uint8_t *p = ip + head;
    size_t field = protocol == 6 ? 16 : 6;

    if ((protocol != 6 && protocol != 17) || ip + head + len > r->data + r->len ||
        len < (protocol == 6 ? 20u : 8u))
        return;
    if (protocol == 17 && !be16(p + field))     /* UDP without checksum */
        return;
    r->status |= ST_TCPCS;
    if (nic_sum(p, len, nic_pseudo_sum(ip, version, protocol, (uint32_t)len)) != 0xffff)
        r->errors |= ERR_TCPE;
}

static void check_sums(struct e1000 *e, struct rx *r, size_t at)
{
    uint32_t on = *e1000_reg(e, R_RXCSUM);
    const uint8_t *ip = r->data + at + 2;
    size_t room = r->len - at - 2, head;
    unsigned type = be16(r->data + at);

    if (type == 0x0800 && room >= 20 && ip[0] >> 4 == 4) {
        head = (size_t)(ip[0] & 15) * 4;
        if (head < 20 || head > room)
            return;
        if (on & RXCSUM_IPOFL) {
            r->status |= ST_IPCS;
            if (nic_sum(ip, head, 0) != 0xffff)
                r->errors |= ERR_IPE;
        }
        if ((on & RXCSUM_TUOFL) && !(be16(ip + 6) & 0x3fff) && be16(ip + 2) > head)
            check_transport(r, ip, 4, ip[9], head, be16(ip + 2) - head);
    } else if (type == 0x86dd && room >= 40 && (on & RXCSUM_TUOFL) && (on & RXCSUM_V6OFL)) {
        check_transport(r, ip, 6, ip[6], 40, be16(ip + 4));
    }
}

/* ---- the ring ---- */

static size_t buffer_size(const struct e1000 *e)
{
    uint32_t rctl = e->reg[R_RCTL / 4];
    size_t size = 2048u >> (rctl >> 16 & 3);

    return (rctl & RCTL_BSEX) && size < 2048 ? size * 16 : size;
}

/* False: too few descriptors for now. */
static bool store(struct e1000 *e, const struct rx *r)
{
    uint64_t base = (*e1000_reg(e, R_RDBAL) & ~0xfu) | (uint64_t)*e1000_reg(e, R_RDBAH) << 32;
    uint32_t n = *e1000_reg(e, R_RDLEN) / DESC, *head = e1000_reg(e, R_RDH), tail = *e1000_reg(e, R_RDT);
    size_t size = buffer_size(e), need = (r->len + size - 1) / size;
    uint32_t least = n >> ((*e1000_reg(e, R_RCTL) >> 8 & 3) + 1), before, after, causes = 0, rdtr;

    if (*head >= n || tail >= n || need >= n) {
        log_msg(LOG_GUEST, "e1000: receive ring of %u descriptors with head %u and tail %u", n, *head, tail);
        e1000_count(e, S_MPC, 1);
        return true;
    }
    before = (tail + n - *head) % n;
    if (before < need) {
        e1000_count(e, S_RNBC, 1);
        e1000_cause(e, INT_RXO);
        return false;
    }
    for (size_t done = 0; done < r->len;) {
        uint64_t at = base + (uint64_t)*head * DESC;
        size_t len = r->len - done < size ? r->len - done : size;
        uint8_t d[DESC];
        uint64_t pa;

        if (!pci_dma_read(e->pci, at, d, 8))
            return true;        /* no ring there: the frame is lost */
        pa = le32(d) | (uint64_t)le32(d + 4) << 32;
        pci_dma_write(e->pci, pa, r->data + done, len);
        done += len;
        put_le16(d + 8, (uint32_t)len);
        put_le16(d + 10, r->sum);
        d[12] = ST_DD | (done == r->len ? ST_EOP | r->status : r->status & ST_VP);
        d[13] = done == r->len ? r->errors : 0;
        put_le16(d + 14, r->special);
        pci_dma_write(e->pci, at + 8, d + 8, 8);
        *head = (*head + 1) % n;
    }
    after = (tail + n - *head) % n;
    if (after <= least && before > least)
        causes |= INT_RXDMT0;
    if (r->len <= *e1000_reg(e, R_RSRPD))
        causes |= INT_SRPD;
    rdtr = *e1000_reg(e, R_RDTR);
    if (!rdtr) {
        causes |= INT_RXT0;
    } else {
        e1000_delay(e, &e->rx_packet, rdtr);
        if (*e1000_reg(e, R_RADV) && e->rx_absolute.due == UINT64_MAX)
            e1000_delay(e, &e->rx_absolute, *e1000_reg(e, R_RADV));
    }
    e1000_cause(e, causes);
    return true;
}

static void count(struct e1000 *e, const uint8_t *frame, size_t wire)
{
    e1000_count(e, S_GPRC, 1);
    e1000_count64(e, S_GORC, wire);
    e1000_count_size(e, S_PRC64, wire);
    if (nic_is_broadcast(frame))
        e1000_count(e, S_BPRC, 1);
    else if (nic_is_group(frame))
        e1000_count(e, S_MPRC, 1);
}

bool e1000_receive_frame(struct e1000 *e, const uint8_t *frame, size_t len)
{
    uint32_t rctl = *e1000_reg(e, R_RCTL), fcs;
    size_t wire = (len < NIC_MIN ? NIC_MIN : len) + NIC_FCS, at = 12, pcss = *e1000_reg(e, R_RXCSUM) & 0xff;
    struct rx r;

    if (!(rctl & RCTL_EN) || len < NIC_HEAD)
        return true;
    r.status = r.errors = 0;
    r.special = 0;
    if (wire > FRAME_MAX || (wire > LONGEST && !(rctl & RCTL_LPE))) {
        e1000_count(e, S_ROC, 1);
        return true;
    }
    if (is_pause(e, frame, len) ? !(rctl & RCTL_PMCF) : !wanted(e, frame, &r.status)) {
        e1000_count(e, S_TPR, 1);
        e1000_count64(e, S_TOR, wire);
        return true;
    }
    memcpy(r.data, frame, len);
    r.len = wire - NIC_FCS;
    memset(r.data + len, 0, r.len - len);
    fcs = rctl & RCTL_SECRC ? 0 : nic_crc(&e->crc, r.data, r.len);
    if (be16(frame + 12) == (*e1000_reg(e, R_VET) & 0xffff) && len >= NIC_HEAD + VLAN_TAG) {
        if (!vlan_wanted(e, be16(frame + 14)))
            return true;
        at += VLAN_TAG;
        if (*e1000_reg(e, R_CTRL) & CTRL_VME) {
            r.special = be16(frame + 14);
            r.status |= ST_VP;
            r.len -= VLAN_TAG;
            memmove(r.data + 12, r.data + 16, r.len - 12);
            at -= VLAN_TAG;
        }
    }
    check_sums(e, &r, at);
    if (!(r.status & (ST_IPCS | ST_TCPCS)))
        r.status |= ST_IXSM;
    r.sum = pcss < r.len ? (uint16_t)~nic_sum(r.data + pcss, r.len - pcss, 0) : 0xffff;
    if (!(rctl & RCTL_SECRC)) {
        put_le32(r.data + r.len, fcs);
        r.len += NIC_FCS;
    }
    if (!store(e, &r))
        return false;
    e1000_count(e, S_TPR, 1);
    e1000_count64(e, S_TOR, wire);
    count(e, frame, wire);
    return true;
}

/* From the cable. */
bool e1000_receive(void *dev, const uint8_t *frame, size_t len)
{
    struct e1000 *e = dev;

    if (!e1000_link(e) || (*e1000_reg(e, R_RCTL) & RCTL_LBM) || e1000_phy_loops(e))
        return true;
    return e1000_receive_frame(e, frame, len);
}
