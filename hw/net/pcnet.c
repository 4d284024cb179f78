/*
 * pcnet.c - AMD Am79C970A, PCnet-PCI II (data sheet 19436): word and double word I/O, software styles 0
 * (LANCE), 2 and 3 of initialization block and descriptors.
 *
 * Frames are sent when the driver demands it (TDMD); the rings are in memory, and where one has no descriptor
 * for a frame that waits, it is looked at again on the next access to CSR0, or after POLL_NS. Invariant: INTR
 * in CSR0 says whether any cause is set that CSR3, 4 and 5 do not mask; the line is INTR and IENA.
 *
 * Not there (logged under unimp): polling the transmit ring without a demand, ILACC's style 1, wake-up.
 */
#include "hw/net/nic.h"

#include <string.h>

#include "base/log.h"

#define PORTS   32u
#define CSRS    128u
#define BCRS    32u
#define FRAME_MAX 16384u
#define WORK    1024u           /* frames sent by one demand */
#define POLL_NS 500000u

enum { CSR0_INIT = 0x0001, CSR0_STRT = 0x0002, CSR0_STOP = 0x0004, CSR0_TDMD = 0x0008, CSR0_TXON = 0x0010,
       CSR0_RXON = 0x0020, CSR0_IENA = 0x0040, CSR0_INTR = 0x0080, CSR0_IDON = 0x0100, CSR0_TINT = 0x0200,
       CSR0_RINT = 0x0400,
       CSR0_MERR = 0x0800, CSR0_MISS = 0x1000, CSR0_BABL = 0x4000 };
#define CSR0_CAUSES (CSR0_IDON | CSR0_TINT | CSR0_RINT | CSR0_MERR | CSR0_MISS | CSR0_BABL)
enum { MODE_DRX = 0x0001, MODE_DTX = 0x0002, MODE_LOOP = 0x0004, MODE_DRCVPA = 0x2000, MODE_DRCVBC = 0x4000,
       MODE_PROM = 0x8000 };
#define CSR4_ASTRP   0x0400u
#define CSR4_APAD    0x0800u
#define CSR4_UINT    0x0040u
#define CSR4_UINTCMD 0x0080u
#define CSR5_SPND    0x0001u
#define CSR5_TOKINTD 0x8000u
#define D_OWN  0x8000u          /* the upper half of a descriptor's status */
#define D_ERR  0x4000u
#define D_STP  0x0200u
#define D_ENP  0x0100u
#define D_PAM  0x0040u
#define D_LAFM 0x0020u
#define D_BAM  0x0010u

struct pcnet {
    struct pci_dev *pci;
    struct net *net;
    struct clock *clock;
    struct nic_crc crc;
    uint8_t mac[6];
    uint16_t csr[CSRS], bcr[BCRS];
    uint8_t rap, dwio;
    uint32_t rx_ring, tx_ring;  /* addresses */
    uint32_t rx_len, tx_len;    /* descriptors */
    uint32_t rx_at, tx_at;      /* the next */
    struct timer poll;
    bool sending;
};

struct desc {
    uint32_t addr;
    uint16_t status;
    unsigned size;              /* bytes of the buffer, 1 to 4096 */
};

/* ---- interrupts ---- */

static void update(struct pcnet *s)
{
    bool intr = (s->csr[0] & CSR0_CAUSES & ~s->csr[3]) || (s->csr[4] & CSR4_UINT);

    s->csr[0] = (uint16_t)((s->csr[0] & ~CSR0_INTR) | (intr ? CSR0_INTR : 0));
    pci_irq(s->pci, intr && (s->csr[0] & CSR0_IENA));
}

static void cause(struct pcnet *s, uint16_t bits)
{
    s->csr[0] |= bits;
    update(s);
}

/* ---- descriptors ---- */

static unsigned style(const struct pcnet *s)
{
    return s->bcr[20] & 0xff;
}

static uint32_t place(const struct pcnet *s, uint32_t ring, uint32_t n)
{
    return ring + n * (style(s) ? 16 : 8);
}

static bool load(struct pcnet *s, uint32_t at, struct desc *d)
{
    uint8_t b[16];
    uint16_t count;

    if (!style(s)) {
        if (!pci_dma_read(s->pci, at, b, 8))
            return false;
        d->addr = le16(b) | (uint32_t)b[2] << 16;
        d->status = (uint16_t)(b[3] << 8);
        count = le16(b + 4);
    } else {
        if (!pci_dma_read(s->pci, at, b, 16))
            return false;
        d->addr = le32(b + (style(s) == 3 ? 8 : 0));
        d->status = le16(b + 6);
        count = le16(b + 4);
    }
    d->size = 4096 - (count & 0xfff);   /* two's complement in 12 bits */
    return true;
}

/* Status, and for a received frame its length. The byte with OWN goes last. */
static void store(struct pcnet *s, uint32_t at, uint16_t status, bool rx, unsigned len)
{
    uint8_t b[4], st[2];

    put_le32(b, len);
    put_le16(st, status);
    if (!style(s)) {
        if (rx)
            pci_dma_write(s->pci, at + 6, b, 2);
        pci_dma_write(s->pci, at + 3, st + 1, 1);
        return;
    }
    if (rx)
        pci_dma_write(s->pci, at + (style(s) == 3 ? 0 : 8), b, 4);
    pci_dma_write(s->pci, at + 6, st, 2);
}

/* ---- receiver ---- */

static uint16_t match(const struct pcnet *s, const uint8_t *frame)
{
    uint16_t mode = s->csr[15];
    uint8_t own[6];
    unsigned h;

    for (unsigned i = 0; i < 3; i++)
        put_le16(own + 2 * i, s->csr[12 + i]);
    if (nic_is_broadcast(frame) && !(mode & MODE_DRCVBC))
        return D_BAM;
    if (!nic_is_group(frame) && !(mode & MODE_DRCVPA) && memcmp(frame, own, 6) == 0)
        return D_PAM;
    h = nic_hash_le(frame);
    if (nic_is_group(frame) && !nic_is_broadcast(frame) && (s->csr[8 + (h >> 4)] >> (h & 15) & 1))
        return D_LAFM;
    return 0;
}

static bool is_on(const struct pcnet *s, uint16_t what)
{
    return (s->csr[0] & what) && !(s->csr[5] & CSR5_SPND);
}

/* Descriptors that are ours, from the next one on, hold `len` bytes. */
static bool has_room(struct pcnet *s, size_t len)
{
    size_t room = 0;
    struct desc d;

    for (uint32_t n = 0; n < s->rx_len && room < len; n++) {
        if (!load(s, place(s, s->rx_ring, (s->rx_at + n) % s->rx_len), &d) || !(d.status & D_OWN))
            return false;
        room += d.size;
    }
    return room >= len;
}

static void wait(struct pcnet *s)
{
    if (s->poll.due == UINT64_MAX)
        timer_set(&s->poll, clock_now(s->clock) + POLL_NS);
}

static bool receive_frame(struct pcnet *s, const uint8_t *frame, size_t len)
{
    uint8_t data[FRAME_MAX + NIC_FCS];
    uint16_t how = match(s, frame);
    size_t n = len < NIC_MIN ? NIC_MIN : len, done = 0;
    struct desc d;

    if (!how && !(s->csr[15] & MODE_PROM))
        return true;
    memcpy(data, frame, len);
    memset(data + len, 0, n - len);
    if ((s->csr[4] & CSR4_ASTRP) && be16(frame + 12) <= NIC_MIN - NIC_HEAD) {
        n = NIC_HEAD + be16(frame + 12);        /* 802.3: padding and check sequence are stripped */
    } else {
        put_le32(data + n, nic_crc(&s->crc, data, n));
        n += NIC_FCS;
    }
    if (!has_room(s, n)) {
        wait(s);
        return false;
    }
    for (bool first = true; done < n; first = false) {
        uint32_t at = place(s, s->rx_ring, s->rx_at);
        size_t chunk;

        if (!load(s, at, &d))
            break;
        chunk = n - done < d.size ? n - done : d.size;
        pci_dma_write(s->pci, d.addr, data + done, chunk);
        done += chunk;
        store(s, at, (uint16_t)((first ? D_STP : 0) | (done == n ? D_ENP | (style(s) ? how : 0) : 0)), true,
              done == n ? (unsigned)n : 0);
        s->rx_at = (s->rx_at + 1) % s->rx_len;
    }
    cause(s, CSR0_RINT);
    return true;
}

static bool pcnet_receive(void *dev, const uint8_t *frame, size_t len)
{
    struct pcnet *s = dev;

    if (len < NIC_HEAD || len > 4096 - NIC_FCS || !s->rx_len || !is_on(s, CSR0_RXON) ||
        (s->csr[15] & MODE_LOOP))
        return true;
    return receive_frame(s, frame, len);
}

static void poll_fire(void *dev)
{
    struct pcnet *s = dev;

    timer_cancel(&s->poll);
    net_ready(s->net);
}

/* ---- transmitter ---- */

static void leave(struct pcnet *s, uint8_t *data, size_t len)
{
    if (len < NIC_MIN && (s->csr[4] & CSR4_APAD)) {
        memset(data + len, 0, NIC_MIN - len);
        len = NIC_MIN;
    }
    if (!(s->csr[15] & MODE_LOOP))
        net_send(s->net, data, len);
    else if (s->rx_len && is_on(s, CSR0_RXON) && len <= 4096 - NIC_FCS && !receive_frame(s, data, len))
        cause(s, CSR0_MISS);
}

/* A frame, whole or not at all. False: there is none. */
static bool transmit_frame(struct pcnet *s)
{
    uint8_t data[FRAME_MAX];
    size_t len = 0;
    uint32_t n = 0;
    struct desc d;
    bool bad = false;

    do {
        if (n == s->tx_len || !load(s, place(s, s->tx_ring, (s->tx_at + n) % s->tx_len), &d) ||
            !(d.status & D_OWN))
            return false;
        bad |= (!n && !(d.status & D_STP)) || len + d.size > FRAME_MAX ||
               !pci_dma_read(s->pci, d.addr, data + len, d.size);
        len += bad ? 0 : d.size;
        n++;
    } while (!(d.status & D_ENP));
    if (bad || len < NIC_HEAD)
        log_msg(LOG_GUEST, "pcnet: a frame of %zu bytes in %u descriptors is not sent", len, n);
    else
        leave(s, data, len);
    for (; n--; s->tx_at = (s->tx_at + 1) % s->tx_len) {
        uint32_t at = place(s, s->tx_ring, s->tx_at);

        if (load(s, at, &d))
            store(s, at, (uint16_t)((d.status & ~D_OWN) | (bad ? D_ERR : 0)), false, 0);
    }
    return true;
}

static void transmit(struct pcnet *s)
{
    unsigned n = 0;

    if (!s->tx_len || s->sending || !is_on(s, CSR0_TXON))
        return;
    s->sending = true;
    while (n < WORK && transmit_frame(s))
        n++;
    s->sending = false;
    if (n && !(s->csr[5] & CSR5_TOKINTD))
        cause(s, CSR0_TINT);
}

/* ---- initialization block ---- */

static void initialize(struct pcnet *s)
{
    uint32_t at = s->csr[1] | (uint32_t)s->csr[2] << 16;
    uint8_t b[28];
    unsigned rlen, tlen;

    if (!pci_dma_read(s->pci, at, b, style(s) ? 28 : 24)) {
        cause(s, CSR0_MERR);
        return;
    }
    s->csr[15] = le16(b);
    if (style(s)) {
        rlen = b[2] >> 4;
        tlen = b[3] >> 4;
        memmove(b + 2, b + 4, 6);
        memmove(b + 8, b + 12, 8);
        s->rx_ring = le32(b + 20);
        s->tx_ring = le32(b + 24);
    } else {
        rlen = b[19] >> 5;
        tlen = b[23] >> 5;
        s->rx_ring = le32(b + 16) & 0xfffff8;
        s->tx_ring = le32(b + 20) & 0xfffff8;
    }
    for (unsigned i = 0; i < 3; i++)
        s->csr[12 + i] = le16(b + 2 + 2 * i);
    for (unsigned i = 0; i < 4; i++)
        s->csr[8 + i] = le16(b + 8 + 2 * i);
    s->rx_len = 1u << (rlen > 9 ? 9 : rlen);
    s->tx_len = 1u << (tlen > 9 ? 9 : tlen);
    s->rx_at = s->tx_at = 0;
    cause(s, CSR0_IDON);
}

static void stop(struct pcnet *s)
{
    s->csr[0] = CSR0_STOP;
    s->csr[4] &= (uint16_t)~(0x02c2 | 0x0028);
    s->csr[5] &= (uint16_t)~CSR5_SPND;
    timer_cancel(&s->poll);
    update(s);
}

static void write_csr0(struct pcnet *s, uint16_t val)
{
    s->csr[0] &= (uint16_t)~(val & 0x7f00);
    s->csr[0] = (uint16_t)((s->csr[0] & ~CSR0_IENA) | (val & CSR0_IENA));
    if (val & CSR0_STOP) {
        stop(s);
        return;
    }
    if (val & (CSR0_INIT | CSR0_STRT))
        s->csr[0] &= (uint16_t)~CSR0_STOP;
    if ((val & CSR0_INIT) && !(s->csr[0] & CSR0_INIT)) {
        s->csr[0] |= CSR0_INIT;
        initialize(s);
    }
    if ((val & CSR0_STRT) && !(s->csr[0] & CSR0_STRT)) {
        s->csr[0] |= CSR0_STRT;
        s->csr[0] |= s->csr[15] & MODE_DTX ? 0 : CSR0_TXON;
        s->csr[0] |= s->csr[15] & MODE_DRX ? 0 : CSR0_RXON;
    }
    update(s);
    if (val & (CSR0_TDMD | CSR0_STRT))
        transmit(s);
    net_ready(s->net);
}

/* ---- registers ---- */

static uint32_t csr_read(struct pcnet *s, unsigned n)
{
    switch (n) {
    case 16: case 17: return s->csr[n - 15];            /* other names of CSR1 and 2 */
    case 24: return s->rx_ring & 0xffff;
    case 25: return s->rx_ring >> 16;
    case 28: return place(s, s->rx_ring, s->rx_at) & 0xffff;
    case 29: return place(s, s->rx_ring, s->rx_at) >> 16;
    case 30: return s->tx_ring & 0xffff;
    case 31: return s->tx_ring >> 16;
    case 34: return place(s, s->tx_ring, s->tx_at) & 0xffff;
    case 35: return place(s, s->tx_ring, s->tx_at) >> 16;
    case 58: return s->bcr[20];
    case 72: return s->rx_len - s->rx_at;               /* these count down */
    case 74: return s->tx_len - s->tx_at;
    case 76: return (0 - s->rx_len) & 0xffff;
    case 78: return (0 - s->tx_len) & 0xffff;
    case 88: return 0x1003;                             /* with CSR89: Am79C970A */
    case 89: return 0x0262;
    default: return s->csr[n];
    }
}

static void set_style(struct pcnet *s, uint16_t val)
{
    unsigned n = val & 0xff;

    if (n == 1 || n > 3) {
        log_msg(LOG_UNIMP, "pcnet: software style %u", n);
        return;
    }
    s->bcr[20] = (uint16_t)(n | (n ? 0x0300 : 0x0200));
}

static uint32_t ring_length(uint16_t val)
{
    uint32_t n = 0x10000u - val;

    return n > 65535 ? 0 : n;
}

static void csr_write(struct pcnet *s, unsigned n, uint16_t val)
{
    switch (n) {
    case 0:
        write_csr0(s, val);
        return;
    case 1: case 2: case 16: case 17:
        s->csr[n > 2 ? n - 15 : n] = val;
        return;
    case 3:
        s->csr[3] = val & 0x5f7c;
        break;
    case 4:                     /* causes are cleared by ones */
        s->csr[4] = (uint16_t)((val & ~0x026au) | (s->csr[4] & ~val & 0x026a));
        if (val & CSR4_UINTCMD)
            s->csr[4] |= CSR4_UINT;
        else if (val & CSR4_UINT)
            s->csr[4] &= (uint16_t)~CSR4_UINT;
        break;
    case 5:
        s->csr[5] = val & 0xfd55;
        net_ready(s->net);
        break;
    case 24: s->rx_ring = (s->rx_ring & 0xffff0000) | val; return;
    case 25: s->rx_ring = (s->rx_ring & 0xffff) | (uint32_t)val << 16; return;
    case 30: s->tx_ring = (s->tx_ring & 0xffff0000) | val; return;
    case 31: s->tx_ring = (s->tx_ring & 0xffff) | (uint32_t)val << 16; return;
    case 58: set_style(s, val); return;
    case 72: s->rx_at = s->rx_len ? (s->rx_len - val % s->rx_len) % s->rx_len : 0; return;
    case 74: s->tx_at = s->tx_len ? (s->tx_len - val % s->tx_len) % s->tx_len : 0; return;
    case 76: s->rx_len = ring_length(val); s->rx_at = 0; return;
    case 78: s->tx_len = ring_length(val); s->tx_at = 0; return;
    case 28: case 29: case 34: case 35: case 88: case 89:
        return;
    default:
        s->csr[n] = val;
        return;
    }
    update(s);
}

static uint16_t bcr_read(const struct pcnet *s, unsigned n)
{
    /* LED0 shows the link, where it is told to. */
    if (n == 4)
        return s->bcr[4] | (net_is_up(s->net) && (s->bcr[4] & 0x40) ? 0x8000 : 0);
    return s->bcr[n];
}

static void bcr_write(struct pcnet *s, unsigned n, uint16_t val)
{
    if (n == 20)
        set_style(s, val);
    else if (n == 18)
        s->bcr[n] = (uint16_t)((val & ~0x0080u) | (s->dwio ? 0x80 : 0));
    else if (n != 16 && n != 17 && n != 21)
        s->bcr[n] = val;
}

static uint16_t reset_register(struct pcnet *s)
{
    stop(s);
    s->csr[3] = 0;
    s->csr[4] = 0x0115;
    s->csr[5] = 0;
    s->csr[15] = 0;
    s->rap = 0;
    update(s);
    return 0;
}

/* RDP, RAP, RESET, BDP: two or four bytes apart from 10h on, by the mode. */
static uint32_t port_get(struct pcnet *s, unsigned n)
{
    switch (n) {
    case 0: return csr_read(s, s->rap % CSRS);
    case 1: return s->rap;
    case 2: return reset_register(s);
    default: return s->rap < BCRS ? bcr_read(s, s->rap) : 0;
    }
}

static void port_set(struct pcnet *s, unsigned n, uint16_t val)
{
    if (n == 0)
        csr_write(s, s->rap % CSRS, val);
    else if (n == 1)
        s->rap = val & 0x7f;
    else if (n == 3 && s->rap < BCRS)
        bcr_write(s, s->rap, val);
}

static uint8_t aprom(const struct pcnet *s, unsigned n)
{
    unsigned sum = 2 * 0x57;

    for (unsigned i = 0; i < 6; i++)
        sum += s->mac[i];
    return n < 6 ? s->mac[n] : n == 12 ? (uint8_t)sum : n == 13 ? (uint8_t)(sum >> 8) : n >= 14 ? 0x57 : 0;
}

static uint64_t port_read(void *dev, uint64_t off64, unsigned size)
{
    struct pcnet *s = dev;
    unsigned off = (unsigned)off64, width = s->dwio ? 4 : 2;
    uint64_t v = 0;

    if (off < 16) {
        for (unsigned i = 0; i < size; i++)
            v |= (uint64_t)aprom(s, (off + i) % 16) << 8 * i;
        return v;
    }
    if (size != width || off % width || (off - 16) / width > 3)
        return UINT64_MAX;      /* registers are there in the mode's width alone */
    return port_get(s, (off - 16) / width);
}

static void port_write(void *dev, uint64_t off64, uint64_t val, unsigned size)
{
    struct pcnet *s = dev;
    unsigned off = (unsigned)off64, width;

    if (off == 16 && size == 4) {       /* this chooses double word I/O */
        s->dwio = 1;
        s->bcr[18] |= 0x80;
    }
    width = s->dwio ? 4 : 2;
    if (off >= 16 && size == width && off % width == 0 && (off - 16) / width < 4)
        port_set(s, (off - 16) / width, (uint16_t)val);
    else
        log_msg(LOG_GUEST, "pcnet: write of %u bytes to port %u in mode of %u bytes", size, off, width);
}

static const struct io_ops pcnet_ops = { port_read, port_write, 1 | 2 | 4, LOG_DEV_PCNET };

/* ---- construction ---- */

static void pcnet_reset(void *dev)
{
    struct pcnet *s = dev;

    memset(s->csr, 0, sizeof(s->csr));
    memset(s->bcr, 0, sizeof(s->bcr));
    for (unsigned i = 0; i < 3; i++)
        s->csr[12 + i] = le16(s->mac + 2 * i);
    s->bcr[0] = s->bcr[1] = 0x0005;
    s->bcr[2] = 0x0002;
    s->bcr[4] = 0x00c0;
    s->bcr[5] = 0x0084;
    s->bcr[6] = 0x0088;
    s->bcr[7] = 0x0090;
    s->bcr[18] = 0x9001 & ~0x80;
    s->bcr[19] = 0x0002;
    s->bcr[20] = 0x0200;
    s->dwio = 0;
    s->rx_ring = s->tx_ring = s->rx_len = s->tx_len = s->rx_at = s->tx_at = 0;
    reset_register(s);
}

static const char *pcnet_check(const void *dev)
{
    const struct pcnet *s = dev;

    return (s->rx_at && s->rx_at >= s->rx_len) || (s->tx_at && s->tx_at >= s->tx_len) ?
           "rx_at or tx_at is behind the end of its ring" : NULL;
}

static void pcnet_loaded(void *dev)
{
    struct pcnet *s = dev;

    timer_set(&s->poll, s->poll.due);
    update(s);
    net_ready(s->net);
}

static const struct field pcnet_state[] = {
    FIELD_ARRAY(struct pcnet, csr), FIELD_ARRAY(struct pcnet, bcr), FIELD_MAX(struct pcnet, rap, 0x7f),
    FIELD(struct pcnet, dwio), FIELD(struct pcnet, rx_ring), FIELD(struct pcnet, tx_ring),
    FIELD_MAX(struct pcnet, rx_len, 0xffff), FIELD_MAX(struct pcnet, tx_len, 0xffff),
    FIELD(struct pcnet, rx_at), FIELD(struct pcnet, tx_at), FIELD(struct pcnet, poll.due), FIELD_END
};

static const struct chip pcnet_chip = { "pcnet", sizeof(struct pcnet), pcnet_reset, pcnet_state,
                                        pcnet_loaded, .check = pcnet_check };
static const struct net_user pcnet_user = { pcnet_receive, NULL };

static void make(struct plug_env *env, void *bus, const void *props)
{
    static const struct pci_ident id = { .vendor = 0x1022, .device = 0x2000, .subvendor = 0x1022,
                                         .subdevice = 0x2000,
                                         .class = 0x020000, .revision = 0x16, .pin = 1 };
    const struct nic_props *p = props;
    struct pci_dev *pci = nic_pci_add(env, p, &id);
    struct pcnet *s = chip_new(env->m->chips, &pcnet_chip, p->common.name);

    s->pci = pci;
    s->net = p->net;
    s->clock = env->m->clock;
    memcpy(s->mac, p->mac, 6);
    nic_crc_init(&s->crc);
    timer_init(&s->poll, s->clock, poll_fire, s);
    pci_bar(pci, 0, PORTS, PCI_BAR_IO, &pcnet_ops, s);
    pci_bar(pci, 1, PORTS, 0, &pcnet_ops, s);
    pcnet_reset(s);
    nic_connect(p, &pcnet_user, s);
}

static const struct prop pcnet_props[] = { NIC_PROPS, NIC_ROM_PROP, PROP_END };

const struct plug pcnet_plug = {
    "pcnet", "network: AMD Am79C970A, PCnet-PCI II", "PCI", sizeof(struct nic_props),
    &(const struct nic_props){ .romfile = "efi-pcnet.rom" }, pcnet_props, make,
    "ethernet@*/ethernet-phy@0"
};
