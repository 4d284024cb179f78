/*
 * ne2000.c - Novell NE2000 on ISA (ne2k_isa) and as the Realtek RTL8029 on PCI (ne2k_pci): a DP8390 with 16
 * KiB of packet memory behind a data port (National "DP8390D/NS32490D NIC", July 1995; Realtek RTL8029AS data
 * sheet).
 *
 *   +00h-0Fh  DP8390, four pages (page 3: RTL8029)    +10h  data port    +18h-1Fh  reset, by reading
 *
 * Memory as the remote DMA sees it: the address PROM at 0 (each byte twice), packet memory at 4000h.
 * Invariant: CURR lies in PSTART..PSTOP-1 whenever a frame is stored; a ring that does not lie in packet
 * memory takes none.
 */
#include "hw/net/nic.h"

#include <string.h>

#include "base/log.h"

#define PORTS    32u
#define DATA     0x10u
#define RESET    0x18u
#define MEM_AT   0x4000u
#define MEM_SIZE 0x4000u
#define MEM_END  (MEM_AT + MEM_SIZE)
#define PAGE     256u
#define HEADER   4u
#define FRAME_MAX 1514u

enum { CR_STP = 0x01, CR_STA = 0x02, CR_TXP = 0x04, CR_RD = 0x38, CR_READ = 0x08, CR_WRITE = 0x10,
       CR_SEND = 0x18,
       CR_NODMA = 0x20 };
enum { ISR_PRX = 0x01, ISR_PTX = 0x02, ISR_OVW = 0x10, ISR_CNT = 0x20, ISR_RDC = 0x40, ISR_RST = 0x80 };
enum { RCR_SEP = 0x01, RCR_AR = 0x02, RCR_AB = 0x04, RCR_AM = 0x08, RCR_PRO = 0x10, RCR_MON = 0x20 };
enum { RSR_PRX = 0x01, RSR_MPA = 0x10, RSR_PHY = 0x20, RSR_DIS = 0x40 };
enum { DCR_WTS = 0x01, DCR_LS = 0x08 };
#define TSR_PTX  0x01u
#define TSR_CRS  0x10u          /* carrier lost */
#define TCR_LOOP 0x06u

struct ne2000 {
    struct irq irq;             /* ISA */
    struct pci_dev *pci;        /* or PCI; the other is empty */
    struct net *net;
    struct nic_crc crc;
    uint8_t mac[6];
    uint8_t cr, isr, imr, dcr, tcr, rcr, tsr, rsr;
    uint8_t pstart, pstop, bnry, tpsr, curr;
    uint8_t par[6], mar[8], missed;
    uint8_t r9346, config[3];   /* RTL8029, page 3 */
    uint16_t tbcr, rsar, rbcr;
    uint8_t mem[MEM_SIZE];
};

/* ---- interrupts, memory ---- */

static void update(struct ne2000 *s)
{
    bool level = s->isr & s->imr & 0x7f;

    if (s->pci)
        pci_irq(s->pci, level);
    else
        irq_set(&s->irq, level);
}

static void cause(struct ne2000 *s, uint8_t bits)
{
    s->isr |= bits;
    update(s);
}

static uint8_t mem_read(const struct ne2000 *s, unsigned at)
{
    if (at >= MEM_AT && at < MEM_END)
        return s->mem[at - MEM_AT];
    if (at >= 32)
        return 0xff;
    return at / 2 < 6 ? s->mac[at / 2] : at / 2 >= 14 ? 0x57 : 0;       /* a word-wide card has two W */
}

static void mem_write(struct ne2000 *s, unsigned at, uint8_t val)
{
    if (at >= MEM_AT && at < MEM_END)
        s->mem[at - MEM_AT] = val;
    else
        log_msg(LOG_GUEST, "ne2000: write to %#x, where there is no memory", at);
}

/* ---- receiver (section 7 of the data sheet) ---- */

static bool filtered_in(const struct ne2000 *s, const uint8_t *frame)
{
    unsigned h;

    if (nic_is_broadcast(frame))
        return s->rcr & RCR_AB;
    if (nic_is_group(frame)) {
        h = nic_hash(frame);
        return (s->rcr & RCR_AM) && (s->mar[h >> 3] >> (h & 7) & 1);
    }
    return (s->rcr & RCR_PRO) || memcmp(frame, s->par, 6) == 0;
}

static bool ring_is_good(const struct ne2000 *s)
{
    return s->pstart >= MEM_AT / PAGE && s->pstop <= MEM_END / PAGE && s->pstart < s->pstop &&
        s->curr >= s->pstart &&
           s->curr < s->pstop;
}

static void count_missed(struct ne2000 *s)
{
    if (s->missed < 0xff && (++s->missed & 0xc0) == 0xc0)
        cause(s, ISR_CNT);
}

static bool store(struct ne2000 *s, const uint8_t *frame, size_t len)
{
    unsigned wire = (unsigned)(len < NIC_MIN ? NIC_MIN : len), total = wire + NIC_FCS + HEADER;
    unsigned pages = (total + PAGE - 1) / PAGE, ring = s->pstop - s->pstart, next, room = 0,
        at = s->curr * PAGE;
    uint8_t data[HEADER + FRAME_MAX + NIC_FCS];

    /*
     * The page before BNRY is never used. A frame for which there is no room waits on the cable, and comes
     * when BNRY has moved and the driver has seen what there was. Where it has seen all and left it there,
     * that is an overflow.
     */
    if (s->bnry + 1 == s->pstart)       /* drivers count down from the first page, too */
        room = s->pstop - 1u - s->curr;
    else if (s->bnry >= s->pstart && s->bnry < s->pstop)
        room = (s->bnry + ring - s->curr) % ring;
    if (room && pages >= room) {
        if (!(s->isr & ISR_PRX))
            cause(s, ISR_OVW);
        return false;
    }
    if (pages >= ring) {
        log_msg(LOG_GUEST, "ne2000: a receive ring of %u pages: a frame of %zu bytes does not fit", ring,
                len);
        count_missed(s);
        return true;
    }
    next = s->curr + pages;
    next = next >= s->pstop ? next - ring : next;
    s->rsr = RSR_PRX | (nic_is_group(frame) ? RSR_PHY : 0);
    data[0] = s->rsr;
    data[1] = (uint8_t)next;
    put_le16(data + 2, total);
    memcpy(data + HEADER, frame, len);
    memset(data + HEADER + len, 0, wire - len);
    put_le32(data + HEADER + wire, nic_crc(&s->crc, data + HEADER, wire));
    for (unsigned i = 0; i < total; i++) {
        s->mem[at - MEM_AT] = data[i];
        if (++at == s->pstop * PAGE)
            at = s->pstart * PAGE;
    }
    s->curr = (uint8_t)next;
    cause(s, ISR_PRX);
    return true;
}

static bool receive_frame(struct ne2000 *s, const uint8_t *frame, size_t len)
{
    if (len < NIC_HEAD || len > FRAME_MAX || !filtered_in(s, frame))
        return true;
    if (s->rcr & RCR_MON) {     /* counted, not stored */
        count_missed(s);
        return true;
    }
    if (!ring_is_good(s)) {
        log_msg(LOG_GUEST, "ne2000: receive ring from %#x to %#x, at %#x, boundary %#x", s->pstart, s->pstop,
                s->curr, s->bnry);
        count_missed(s);
        return true;
    }
    return store(s, frame, len);
}

static bool ne2000_receive(void *dev, const uint8_t *frame, size_t len)
{
    struct ne2000 *s = dev;

    if ((s->cr & CR_STP) || !(s->cr & CR_STA) || (s->tcr & TCR_LOOP))
        return true;
    return receive_frame(s, frame, len);
}

/* ---- transmitter ---- */

static void loop_back(struct ne2000 *s, const uint8_t *data, size_t len)
{
    uint8_t frame[FRAME_MAX];   /* the ring may lie over the frame */

    memcpy(frame, data, len);
    if (!receive_frame(s, frame, len))
        cause(s, ISR_OVW);
}

static void transmit(struct ne2000 *s)
{
    unsigned at = s->tpsr * PAGE, len = s->tbcr;
    bool loop = s->tcr & TCR_LOOP;

    s->tsr = TSR_PTX;
    s->cr &= (uint8_t)~CR_TXP;
    if (at < MEM_AT || at + len > MEM_END || len < NIC_HEAD || len > FRAME_MAX)
        log_msg(LOG_GUEST, "ne2000: a frame of %u bytes at %#x is not sent", len, at);
    else if (loop)
        loop_back(s, s->mem + at - MEM_AT, len);
    else if (net_is_up(s->net))
        net_send(s->net, s->mem + at - MEM_AT, len);
    else
        s->tsr |= TSR_CRS;
    cause(s, ISR_PTX);
}

/* ---- remote DMA: the data port ---- */

static void stepped(struct ne2000 *s, unsigned n)
{
    s->rsar = (uint16_t)(s->rsar + n);
    /* It wraps as the receive ring does, so that one transfer takes a frame. */
    if (s->pstop && s->rsar == s->pstop * PAGE)
        s->rsar = (uint16_t)(s->pstart * PAGE);
    if (s->rbcr <= n) {
        s->rbcr = 0;
        cause(s, ISR_RDC);
    } else {
        s->rbcr = (uint16_t)(s->rbcr - n);
    }
}

/* The card is 16 bits wide; the RTL8029 takes two words at once. */
static uint64_t data_read(struct ne2000 *s, unsigned size)
{
    uint64_t v = 0;
    unsigned step = s->dcr & DCR_WTS ? 2 : 1;

    for (unsigned i = 0; i < size; i += step) {
        if (!s->rbcr)
            return v | UINT64_MAX << 8 * i;
        for (unsigned k = 0; k < step; k++)
            v |= (uint64_t)mem_read(s, s->rsar + k) << 8 * (i + k);
        stepped(s, step);
    }
    return v;
}

static void data_write(struct ne2000 *s, uint64_t val, unsigned size)
{
    unsigned step = s->dcr & DCR_WTS ? 2 : 1;

    for (unsigned i = 0; i < size && s->rbcr; i += step) {
        for (unsigned k = 0; k < step; k++)
            mem_write(s, s->rsar + k, (uint8_t)(val >> 8 * (i + k)));
        stepped(s, step);
    }
}

/* ---- registers ---- */

static void write_cr(struct ne2000 *s, uint8_t val)
{
    bool was_on = s->cr & CR_STA && !(s->cr & CR_STP);

    /* Only STP stops it: drivers that choose a page write 0 to both. */
    if (was_on && !(val & CR_STP))
        val |= CR_STA;
    s->cr = val;
    if (val & CR_STP) {
        cause(s, ISR_RST);
    } else if (val & CR_STA) {
        s->isr &= (uint8_t)~ISR_RST;
        if (!was_on)
            net_ready(s->net);
    }
    if ((val & CR_RD) == CR_SEND) {     /* the frame at BNRY, as far as its header says */
        unsigned at = s->bnry * PAGE;

        s->rsar = (uint16_t)at;
        s->rbcr = (uint16_t)(mem_read(s, at + 2) | mem_read(s, at + 3) << 8);
    }
    if ((val & (CR_READ | CR_WRITE)) && !s->rbcr && !(val & CR_NODMA))
        cause(s, ISR_RDC);
    if ((val & CR_TXP) && (val & CR_STA))
        transmit(s);
}

static uint8_t reset_chip(struct ne2000 *s)
{
    s->cr = CR_STP | CR_NODMA;
    s->isr = ISR_RST;
    s->imr = 0;
    s->rbcr = 0;
    update(s);
    return 0;
}

static uint8_t page0_read(struct ne2000 *s, unsigned n)
{
    uint8_t v;

    switch (n) {
    case 1: return (uint8_t)s->rsar;            /* CLDA: the local DMA's, of which there is no sight here */
    case 2: return s->rsar >> 8;
    case 3: return s->bnry;
    case 4: return s->tsr;
    case 5: return 0;                           /* collisions */
    case 7: return s->isr;
    case 8: return (uint8_t)s->rsar;            /* CRDA */
    case 9: return s->rsar >> 8;
    case 10: return s->pci ? 0x50 : 0xff;       /* 8029ID0 */
    case 11: return s->pci ? 0x43 : 0xff;
    case 12: return s->rsr;
    case 13: case 14: return 0;                 /* alignment and check sequence errors */
    case 15:
        v = s->missed;
        s->missed = 0;
        return v;
    default: return 0xff;                       /* 6: the FIFO, in loopback */
    }
}

static void page0_write(struct ne2000 *s, unsigned n, uint8_t val)
{
    switch (n) {
    case 1: s->pstart = val; break;
    case 2: s->pstop = val; break;
    case 3:
        s->bnry = val;
        if (!(s->isr & ISR_PRX))
            net_ready(s->net);
        break;
    case 4: s->tpsr = val; break;
    case 5: s->tbcr = (uint16_t)((s->tbcr & 0xff00) | val); break;
    case 6: s->tbcr = (uint16_t)((s->tbcr & 0xff) | val << 8); break;
    case 7:
        s->isr &= (uint8_t)(~val | ISR_RST);
        update(s);
        if (val & ISR_PRX)
            net_ready(s->net);
        break;
    case 8: s->rsar = (uint16_t)((s->rsar & 0xff00) | val); break;
    case 9: s->rsar = (uint16_t)((s->rsar & 0xff) | val << 8); break;
    case 10: s->rbcr = (uint16_t)((s->rbcr & 0xff00) | val); break;
    case 11: s->rbcr = (uint16_t)((s->rbcr & 0xff) | val << 8); break;
    case 12: s->rcr = val & 0x3f; break;
    case 13: s->tcr = val & 0x1f; break;
    case 14: s->dcr = val & 0x7f; break;
    default:
        s->imr = val & 0x7f;
        update(s);
    }
}

static uint8_t page1(const struct ne2000 *s, unsigned n)
{
    return n < 7 ? s->par[n - 1] : n == 7 ? s->curr : s->mar[n - 8];
}

static void page1_write(struct ne2000 *s, unsigned n, uint8_t val)
{
    if (n < 7)
        s->par[n - 1] = val;
    else if (n == 7)
        s->curr = val;
    else
        s->mar[n - 8] = val;
}

/* For tests of the chip: what page 0 takes. */
static uint8_t page2_read(const struct ne2000 *s, unsigned n)
{
    const uint8_t v[16] = { [1] = s->pstart, s->pstop, [4] = s->tpsr, [12] = s->rcr | 0xc0, s->tcr | 0xe0,
                            s->dcr | 0x80,
                            s->imr | 0x80 };

    return v[n];
}

static uint8_t page3_read(const struct ne2000 *s, unsigned n)
{
    switch (s->pci ? n : 0) {
    case 1: return s->r9346;
    case 3: return s->config[0];
    case 5: return s->config[1];
    case 6: return s->config[2];
    default: return 0xff;
    }
}

static void page3_write(struct ne2000 *s, unsigned n, uint8_t val)
{
    bool open = (s->r9346 & 0xc0) == 0xc0;      /* EEM: configuration registers may be written */

    if (s->pci && n == 1)
        s->r9346 = val;
    else if (s->pci && n == 5 && open)
        s->config[1] = val & 0xe0;
    else if (s->pci && n == 6 && open)
        s->config[2] = val & 0x46;
}

static uint64_t port_read(void *dev, uint64_t off, unsigned size)
{
    struct ne2000 *s = dev;
    unsigned n = (unsigned)off;

    if (n >= RESET)
        return reset_chip(s);
    if (n >= DATA)
        return data_read(s, size);
    if (n == 0)
        return s->cr;
    switch (s->cr >> 6) {
    case 0: return page0_read(s, n);
    case 1: return page1(s, n);
    case 2: return page2_read(s, n);
    default: return page3_read(s, n);
    }
}

static void port_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
    struct ne2000 *s = dev;
    unsigned n = (unsigned)off;

    if (n >= RESET)
        return;                 /* what was read is written back: the reset ends */
    if (n >= DATA)
        data_write(s, val, size);
    else if (n == 0)
        write_cr(s, (uint8_t)val);
    else if (s->cr >> 6 == 0)
        page0_write(s, n, (uint8_t)val);
    else if (s->cr >> 6 == 1)
        page1_write(s, n, (uint8_t)val);
    else if (s->cr >> 6 == 3)
        page3_write(s, n, (uint8_t)val);
}

/* The data port takes every size, the others bytes. */
static uint64_t ports_read_split(void *dev, uint64_t off, unsigned size)
{
    uint64_t v = 0;

    if (off >= DATA && off < RESET)
        return port_read(dev, off, size);
    for (unsigned i = 0; i < size; i++)
        v |= (port_read(dev, (off + i) % PORTS, 1) & 0xff) << 8 * i;
    return v;
}

static void ports_write_split(void *dev, uint64_t off, uint64_t val, unsigned size)
{
    if (off >= DATA && off < RESET) {
        port_write(dev, off, val, size);
        return;
    }
    for (unsigned i = 0; i < size; i++)
        port_write(dev, (off + i) % PORTS, val >> 8 * i & 0xff, 1);
}

static const struct io_ops ne2000_ops = { ports_read_split, ports_write_split, 1 | 2 | 4, LOG_DEV_NE2000 };

/* ---- construction ---- */

static void ne2000_reset(void *dev)
{
    struct ne2000 *s = dev;

    s->dcr = s->tcr = s->rcr = s->tsr = s->rsr = 0;
    s->pstart = s->pstop = s->bnry = s->tpsr = s->curr = s->missed = 0;
    s->tbcr = s->rsar = 0;
    s->r9346 = 0;
    memset(s->config, 0, sizeof(s->config));
    memset(s->par, 0, sizeof(s->par));
    memset(s->mar, 0, sizeof(s->mar));
    memset(s->mem, 0, sizeof(s->mem));
    reset_chip(s);
}

static void ne2000_loaded(void *dev)
{
    struct ne2000 *s = dev;

    update(s);
    net_ready(s->net);
}

static const struct field ne2000_state[] = {
    FIELD(struct ne2000, cr), FIELD(struct ne2000, isr), FIELD(struct ne2000, imr), FIELD(struct ne2000, dcr),
    FIELD(struct ne2000, tcr), FIELD(struct ne2000, rcr), FIELD(struct ne2000, tsr),
    FIELD(struct ne2000, rsr), FIELD(struct ne2000, pstart), FIELD(struct ne2000, pstop),
    FIELD(struct ne2000, bnry), FIELD(struct ne2000, tpsr), FIELD(struct ne2000, curr),
    FIELD_ARRAY(struct ne2000, par), FIELD_ARRAY(struct ne2000, mar), FIELD(struct ne2000, missed),
    FIELD(struct ne2000, r9346), FIELD_ARRAY(struct ne2000, config), FIELD(struct ne2000, tbcr),
    FIELD(struct ne2000, rsar), FIELD(struct ne2000, rbcr), FIELD_ARRAY(struct ne2000, mem),
    FIELD_END
};

static const struct chip ne2000_chip = { "ne2000", sizeof(struct ne2000), ne2000_reset, ne2000_state,
                                         ne2000_loaded };
static const struct net_user ne2000_user = { ne2000_receive, NULL };

static struct ne2000 *new_chip(struct plug_env *env, const struct nic_props *p)
{
    struct ne2000 *s = chip_new(env->m->chips, &ne2000_chip, p->common.name);

    s->net = p->net;
    memcpy(s->mac, p->mac, 6);
    nic_crc_init(&s->crc);
    return s;
}

static void make_pci(struct plug_env *env, void *bus, const void *props)
{
    static const struct pci_ident id = { .vendor = 0x10ec, .device = 0x8029, .subvendor = 0x10ec,
                                         .subdevice = 0x8029,
                                         .class = 0x020000, .pin = 1 };
    const struct nic_props *p = props;
    struct pci_dev *pci = nic_pci_add(env, p, &id);
    struct ne2000 *s = new_chip(env, p);

    s->pci = pci;
    pci_bar(pci, 0, PORTS, PCI_BAR_IO, &ne2000_ops, s);
    ne2000_reset(s);
    nic_connect(p, &ne2000_user, s);
}

static const struct prop pci_props[] = { NIC_PROPS, NIC_ROM_PROP, PROP_END };

const struct plug ne2k_pci_plug = {
    "ne2k_pci", "network: Realtek RTL8029, an NE2000 on PCI", "PCI", sizeof(struct nic_props),
    &(const struct nic_props){ .romfile = "efi-ne2k_pci.rom" }, pci_props, make_pci,
    "ethernet@*/ethernet-phy@0"
};

struct isa_props {
    struct nic_props nic;
    uint64_t iobase, irq;
};

static void make_isa(struct plug_env *env, void *bus, const void *props)
{
    const struct isa_props *p = props;
    struct ne2000 *s = new_chip(env, &p->nic);

    s->irq = plug_isa_irq(env, (unsigned)p->irq);
    ports_map(env->m->ports, (uint16_t)p->iobase, PORTS, &ne2000_ops, s, p->nic.common.name);
    ne2000_reset(s);
    nic_connect(&p->nic, &ne2000_user, s);
}

static const struct prop isa_props[] = {
    NIC_PROPS,
    { "iobase", PROP_NUMBER, offsetof(struct isa_props, iobase), 0, 0xffe0, "its first port" },
    { "irq", PROP_NUMBER, offsetof(struct isa_props, irq), 3, 15, "its interrupt" },
    PROP_END
};

const struct plug ne2k_isa_plug = {
    "ne2k_isa", "network: Novell NE2000", "ISA", sizeof(struct isa_props),
    &(const struct isa_props){ .iobase = 0x300, .irq = 9 }, isa_props, make_isa
};
