/*
 * e1000.c - Intel 82540EM Gigabit Ethernet controller: registers, interrupts, PHY, EEPROM ("PCI/PCI-X Family
 * of Gigabit Ethernet Controllers Software Developer's Manual", 317453, "SDM" below).
 *
 * Transmitting (e1000_tx.c) happens inside the write to TDT, receiving (e1000_rx.c) when a frame comes; here
 * is what both stand on. Invariant: the interrupt line is high exactly while ICR & IMS is not zero, except
 * that after a rise it stays low until ITR's interval has passed.
 *
 * Not there (logged under unimp): wake-up, flash memory, the packet buffer as memory, manageability.
 */
#include "hw/net/e1000_int.h"

#include <string.h>

#include "base/log.h"

#define MMIO_SIZE   0x20000u
#define IO_SIZE     64u
#define DELAY_NS    1024u
#define ITR_NS      256u
#define NEGOTIATE_NS 100000000u /* a partner that answers at once */
#define EE_SUM      0xbabau
#define EE_WORD_SUM 63
#define PHY_ADDR    1u

#define EECD_SK   0x01u
#define EECD_CS   0x02u
#define EECD_DI   0x04u
#define EECD_DO   0x08u
#define EECD_REQ  0x40u
#define EECD_GNT  0x80u
#define EECD_PRES 0x100u

#define MDIC_WRITE (1u << 26)
#define MDIC_READ  (2u << 26)
#define MDIC_READY (1u << 28)
#define MDIC_INT   (1u << 29)
#define MDIC_ERROR (1u << 30)

enum { PHY_CTRL, PHY_STATUS, PHY_ID1, PHY_ID2, PHY_ANAR, PHY_LPAR, PHY_ANER, PHY_1000 = 9, PHY_1000_STATUS,
       PHY_EXT = 15,
       PHY_PSCR, PHY_PSSR, PHY_EPSCR = 20 };
#define PHY_RESET     0x8000u
#define PHY_LOOP      0x4000u
#define PHY_AN        0x1000u
#define PHY_DOWN      0x0800u
#define PHY_RESTART   0x0200u
#define PHY_DUPLEX    0x0100u

/* ---- interrupts (3.2.7, 13.4.17-13.4.22) ---- */

static void update(struct e1000 *e)
{
    bool want = *e1000_reg(e, R_ICR) & *e1000_reg(e, R_IMS);
    uint64_t gap = (*e1000_reg(e, R_ITR) & 0xffff) * ITR_NS, now;

    if (want == e->line)
        return;
    if (want && gap) {
        now = clock_now(e->clock);
        if (now < e->last_int + gap && e->last_int) {
            if (e->throttle.due == UINT64_MAX)
                timer_set(&e->throttle, e->last_int + gap);
            return;
        }
        e->last_int = now;
    }
    timer_cancel(&e->throttle);
    e->line = want;
    pci_irq(e->pci, want);
}

static void throttle_fire(void *dev)
{
    struct e1000 *e = dev;

    e->last_int = 0;
    update(e);
}

void e1000_cause(struct e1000 *e, uint32_t causes)
{
    *e1000_reg(e, R_ICR) |= causes;
    update(e);
}

void e1000_delay(struct e1000 *e, struct timer *t, uint32_t units)
{
    timer_set(t, clock_now(e->clock) + (uint64_t)units * DELAY_NS);
}

static void rx_fire(void *dev)
{
    struct e1000 *e = dev;

    timer_cancel(&e->rx_packet);
    timer_cancel(&e->rx_absolute);
    e1000_cause(e, INT_RXT0);
}

static void tx_goes_on(void *dev)
{
    struct e1000 *e = dev;

    timer_cancel(&e->tx_more);
    e1000_transmit(e);
}

static void tx_fire(void *dev)
{
    struct e1000 *e = dev;

    timer_cancel(&e->tx_packet);
    timer_cancel(&e->tx_absolute);
    e1000_cause(e, INT_TXDW);
}

/* ---- statistics (13.7): they stick at their highest value, and reading clears them ---- */

void e1000_count(struct e1000 *e, unsigned stat, uint64_t n)
{
    uint32_t *s = e1000_reg(e, stat);

    *s = n > UINT32_MAX - *s ? UINT32_MAX : *s + (uint32_t)n;
}

void e1000_count64(struct e1000 *e, unsigned stat, uint64_t n)
{
    uint32_t *s = e1000_reg(e, stat);
    uint64_t v = (uint64_t)s[1] << 32 | s[0];

    v = n > UINT64_MAX - v ? UINT64_MAX : v + n;
    s[0] = (uint32_t)v;
    s[1] = (uint32_t)(v >> 32);
}

void e1000_count_size(struct e1000 *e, unsigned base, size_t len)
{
    static const uint16_t end[] = { 64, 127, 255, 511, 1023 };
    unsigned n = 0;

    while (n < 5 && len > end[n])
        n++;
    e1000_count(e, base + 4 * n, 1);
}

static uint32_t read_stat(struct e1000 *e, unsigned off)
{
    uint32_t v = *e1000_reg(e, off);
    bool low = off == S_GORC || off == S_GOTC || off == S_TOR || off == S_TOT;

    if (low)                    /* both halves go when the upper one is read */
        return v;
    *e1000_reg(e, off) = 0;
    if (off == S_GORC + 4 || off == S_GOTC + 4 || off == S_TOR + 4 || off == S_TOT + 4)
        *e1000_reg(e, off - 4) = 0;
    return v;
}

/* ---- PHY: an 88E1011 (SDM chapter 8 and 10; IEEE 802.3 clause 22) ---- */

bool e1000_phy_loops(const struct e1000 *e)
{
    return e->phy[PHY_CTRL] & PHY_LOOP;
}

bool e1000_link(const struct e1000 *e)
{
    return e->phy_link && (e->reg[R_CTRL / 4] & CTRL_SLU);
}

/* 0, 1, 2 for 10, 100, 1000 Mb/s; the partner can do everything. */
static unsigned phy_speed(const struct e1000 *e, bool *full)
{
    uint16_t ctrl = e->phy[PHY_CTRL];

    if (!(ctrl & PHY_AN)) {
        *full = ctrl & PHY_DUPLEX;
        return ctrl & 0x40 ? 2 : ctrl >> 13 & 1;
    }
    if (e->phy[PHY_1000] & 0x300) {
        *full = e->phy[PHY_1000] & 0x200;
        return 2;
    }
    if (e->phy[PHY_ANAR] & 0x180) {
        *full = e->phy[PHY_ANAR] & 0x100;
        return 1;
    }
    *full = e->phy[PHY_ANAR] & 0x40;
    return 0;
}

static void set_link(struct e1000 *e, bool up)
{
    if (e->phy_link == up)
        return;
    e->phy_link = up;
    if (!up)
        e->phy_link_lost = 1;
    log_dev(E1000, "e1000: link %s", up ? "up" : "down");
    e1000_cause(e, INT_LSC);
    if (up)
        net_ready(e->net);
}

static void negotiated(void *dev)
{
    struct e1000 *e = dev;

    timer_cancel(&e->negotiation);
    set_link(e, net_is_up(e->net) && !(e->phy[PHY_CTRL] & PHY_DOWN));
}

/* Something changed that makes the partners begin anew. */
static void negotiate(struct e1000 *e)
{
    set_link(e, false);
    timer_set(&e->negotiation, clock_now(e->clock) + NEGOTIATE_NS);
}

static void phy_reset(struct e1000 *e)
{
    static const struct { uint8_t reg; uint16_t val; } first[] = {
        { PHY_CTRL, 0x1140 }, { PHY_ID1, 0x0141 }, { PHY_ID2, 0x0c20 }, { PHY_ANAR, 0x0de1 },
        { PHY_1000, 0x0e00 },
        { PHY_EXT, 0x3000 }, { PHY_PSCR, 0x0360 }, { PHY_EPSCR, 0x0d60 }
    };

    memset(e->phy, 0, sizeof(e->phy));
    for (unsigned i = 0; i < sizeof(first) / sizeof(first[0]); i++)
        e->phy[first[i].reg] = first[i].val;
    negotiate(e);
}

static uint16_t phy_read(struct e1000 *e, unsigned n)
{
    bool full, an = (e->phy[PHY_CTRL] & PHY_AN) && e->phy_link;
    uint16_t v;

    switch (n) {
    case PHY_STATUS:
        v = 0x7949 | (an ? 0x20 : 0) | (e->phy_link && !e->phy_link_lost ? 0x04 : 0);
        e->phy_link_lost = 0;
        return v;
    case PHY_LPAR:
        return an ? 0xc5e1 : 0;
    case PHY_ANER:
        return an ? 0x0f : 0x04;
    case PHY_1000_STATUS:
        return an ? 0x7c00 : 0;
    case PHY_PSSR:
        v = (uint16_t)(phy_speed(e, &full) << 14);
        return e->phy_link ? v | (full ? 0x2000 : 0) | 0x0c00 : 0;
    default:
        return e->phy[n];
    }
}

static void phy_write(struct e1000 *e, unsigned n, uint16_t val)
{
    uint16_t old;

    switch (n) {
    case PHY_CTRL:
        if (val & PHY_RESET) {
            phy_reset(e);
            return;
        }
        old = e->phy[PHY_CTRL];
        e->phy[PHY_CTRL] = val & 0x7d40;
        if ((val & PHY_RESTART) || ((old ^ val) & (PHY_AN | PHY_DOWN | PHY_DUPLEX | 0x2040)))
            negotiate(e);
        return;
    case PHY_STATUS: case PHY_ID1: case PHY_ID2: case PHY_LPAR: case PHY_ANER: case PHY_1000_STATUS:
    case PHY_EXT:
    case PHY_PSSR:
        return;
    default:
        e->phy[n] = val;
    }
}

static void write_mdic(struct e1000 *e, uint32_t val)
{
    unsigned n = val >> 16 & 31, op = val & (MDIC_WRITE | MDIC_READ);
    uint32_t *mdic = e1000_reg(e, R_MDIC);

    *mdic = (val & ~(MDIC_ERROR | 0xffffu)) | MDIC_READY;
    if ((val >> 21 & 31) != PHY_ADDR || (op != MDIC_READ && op != MDIC_WRITE))
        *mdic |= MDIC_ERROR;
    else if (op == MDIC_READ)
        *mdic |= phy_read(e, n);
    else
        phy_write(e, n, (uint16_t)val);
    if (op == MDIC_WRITE)
        *mdic |= val & 0xffff;
    if (val & MDIC_INT)
        e1000_cause(e, INT_MDAC);
}

static uint32_t read_status(struct e1000 *e)
{
    uint32_t ctrl = *e1000_reg(e, R_CTRL), speed;
    bool full;

    speed = phy_speed(e, &full);
    if (ctrl & CTRL_FRCSPD)
        speed = ctrl >> 8 & 3;
    if (ctrl & CTRL_FRCDPX)
        full = ctrl & CTRL_FD;
    speed = speed > 2 ? 2 : speed;
    return (full ? 1 : 0) | (e1000_link(e) ? STATUS_LU : 0) | speed << 6 | speed << 8;
}

static void link_changed(void *dev, bool up)
{
    struct e1000 *e = dev;

    if (up)
        negotiate(e);
    else
        set_link(e, false);
}

/* ---- EEPROM (5.2 to 5.6) ---- */

static void eeprom_init(struct e1000 *e, const struct pci_ident *id)
{
    static const struct { uint8_t word; uint16_t val; } first[] = {
        { 0x05, 0x4000 }, { 0x08, 0xa845 }, { 0x09, 0x0010 }, { 0x0a, 0x640b }, { 0x0f, 0x3040 },
        { 0x10, 0x0008 },
        { 0x11, 0xf000 }
    };
    uint16_t sum = 0;

    memset(e->ee.word, 0xff, sizeof(e->ee.word));
    for (unsigned i = 0; i < 3; i++)
        e->ee.word[i] = le16(e->mac + 2 * i);
    for (unsigned i = 0; i < sizeof(first) / sizeof(first[0]); i++)
        e->ee.word[first[i].word] = first[i].val;
    e->ee.word[3] = 0;
    e->ee.word[0x0b] = id->subdevice;
    e->ee.word[0x0c] = id->subvendor;
    e->ee.word[0x0d] = id->device;
    e->ee.word[0x0e] = id->vendor;
    for (unsigned i = 0; i < EE_WORD_SUM; i++)
        sum += e->ee.word[i];
    e->ee.word[EE_WORD_SUM] = (uint16_t)(EE_SUM - sum);
}

static void write_eecd(struct e1000 *e, uint32_t val)
{
    *e1000_reg(e, R_EECD) = val & (EECD_SK | EECD_CS | EECD_DI | EECD_REQ | 0x30);
    eeprom93_lines(&e->ee, val & EECD_CS, val & EECD_SK, val & EECD_DI);
}

static uint32_t read_eecd(struct e1000 *e)
{
    uint32_t v = *e1000_reg(e, R_EECD);

    return v | EECD_PRES | (e->ee.out ? EECD_DO : 0) | (v & EECD_REQ ? EECD_GNT : 0);
}

static void write_eerd(struct e1000 *e, uint32_t val)
{
    unsigned addr = val >> 8 & 0xff;

    *e1000_reg(e, R_EERD) = val & 0xff00;
    if (val & 1)
        *e1000_reg(e, R_EERD) |= (uint32_t)(addr < EEPROM93_WORDS ? e->ee.word[addr] : 0xffff) << 16 | 0x10;
}

/* ---- resets ---- */

static void mac_reset(struct e1000 *e)
{
    struct timer *const timers[] = { &e->throttle, &e->rx_packet, &e->rx_absolute, &e->tx_packet,
                                     &e->tx_absolute,
                                     &e->tx_more };

    for (unsigned i = 0; i < sizeof(timers) / sizeof(timers[0]); i++)
        timer_cancel(timers[i]);
    memset(e->reg, 0, sizeof(e->reg));
    memset(e->ctx, 0, sizeof(e->ctx));
    memset(e->frame, 0, sizeof(e->frame));
    e->tx_active = e->tx_cmd = e->tx_popts = e->tx_bad = 0;
    e->tx_cso = e->tx_css = e->tx_tse = e->tx_extended = 0;
    e->tx_special = 0;
    e->tx_len = e->tx_left = e->tx_segment = 0;
    e->io_addr = 0;
    eeprom93_reset(&e->ee);
    e->last_int = 0;
    *e1000_reg(e, R_CTRL) = 0x0200 | CTRL_FD;   /* as the EEPROM says: 1000 Mb/s, full duplex */
    *e1000_reg(e, R_LEDCTL) = 0x07068302;
    *e1000_reg(e, R_PBA) = 0x00100030;
    *e1000_reg(e, R_TXDCTL) = 0;
    *e1000_reg(e, R_FCAL) = 0x00c28001;
    *e1000_reg(e, R_FCAH) = 0x00000100;
    *e1000_reg(e, R_FCT) = 0x00008808;
    *e1000_reg(e, R_VET) = 0x8100;
    *e1000_reg(e, R_RXCSUM) = 0;
    *e1000_reg(e, R_RXDCTL) = 0x00010000;
    *e1000_reg(e, R_TIPG) = 10 | 10u << 10 | 10u << 20;
    *e1000_reg(e, R_RA) = e->ee.word[0] | (uint32_t)e->ee.word[1] << 16;
    *e1000_reg(e, R_RA + 4) = e->ee.word[2] | 1u << 31;
    update(e);
}

/* ---- registers ---- */

/* Semaphores between software and a management firmware, which is not there ("PCIe* GbE Controllers Open Source
 * Software Developer's Manual", 316080): drivers for all chips of the family take them of this one, too. */
#define SWSM_SMBI    1u
#define SWSM_SWESMBI 2u

/* What is no more than memory: from, to, and the bits that are kept. */
static const struct plain { uint16_t first, last; uint32_t mask; } plain[] = {
    { R_FCAL, R_FCAL, ~0u }, { R_FCAH, R_FCAH, 0xffff }, { R_FCT, R_FCT, 0xffff }, { R_VET, R_VET, 0xffff },
    { R_FLA, R_FLA, 0 }, { R_FCTTV, R_FCTTV, 0xffff }, { R_TXCW, R_TXCW, ~0u }, { R_RXCW, R_RXCW, 0 },
    { R_TIPG, R_TIPG, 0x3fffffff }, { R_AIFS, R_AIFS, 0xffff }, { R_LEDCTL, R_LEDCTL, 0xcfcfcfcf },
    { R_PBA, R_PBA, 0x0000ffff }, { R_FCRTL, R_FCRTL, 0x8000fff8 }, { R_FCRTH, R_FCRTH, 0xfff8 },
    { R_RDFH, R_RDFPC, 0x1fff }, { R_RDBAL, R_RDBAL, ~0xfu }, { R_RDBAH, R_RDBAH, ~0u },
    { R_RDLEN, R_RDLEN, 0xfff80 }, { R_RDH, R_RDH, 0xffff }, { R_RXDCTL, R_RXDCTL, ~0u },
    { R_RADV, R_RADV, 0xffff }, { R_RSRPD, R_RSRPD, 0xfff }, { R_TXDMAC, R_TXDMAC, 1 },
    { R_TDFH, R_TDFPC, 0x1fff }, { R_TDBAL, R_TDBAL, ~0xfu }, { R_TDBAH, R_TDBAH, ~0u },
    { R_TDLEN, R_TDLEN, 0xfff80 }, { R_TDH, R_TDH, 0xffff }, { R_TIDV, R_TIDV, 0xffff },
    { R_TXDCTL, R_TXDCTL, ~0u }, { R_TADV, R_TADV, 0xffff }, { R_TSPMT, R_TSPMT, ~0u },
    { R_STATS, R_STATS_END, ~0u }, { R_RXCSUM, R_RXCSUM, 0x7ff }, { R_MTA, R_MTA + 0x1fc, ~0u },
    { R_RA, R_RA + 0x7c, ~0u }, { R_VFTA, R_VFTA + 0x1fc, ~0u }, { R_WUC, R_WUC, 0xf }, { R_WUS, R_WUS, ~0u },
    { R_MANC, R_MANC, ~0u }, { R_IPAV, R_IPAV, 0x1000f }, { R_IP4AT, R_IP4AT + 0x18, ~0u },
    { R_IP6AT, R_IP6AT + 0xc, ~0u }, { R_WUPL, R_WUPL, 0 }, { R_WUPM, R_WUPM + 0x7c, ~0u },
    { R_SWSM, R_SWSM, SWSM_SMBI | SWSM_SWESMBI }, { R_SW_FW_SYNC, R_SW_FW_SYNC, ~0u }
};

static const struct plain *find_plain(uint64_t off)
{
    for (unsigned i = 0; i < sizeof(plain) / sizeof(plain[0]); i++)
        if (off >= plain[i].first && off <= plain[i].last)
            return &plain[i];
    return NULL;
}

static uint64_t reg_read(void *dev, uint64_t off, unsigned size)
{
    struct e1000 *e = dev;
    uint32_t v;

    off &= ~3ull;
    switch (off) {
    case R_CTRL + 4:            /* a second place for CTRL */
        return *e1000_reg(e, R_CTRL);
    case R_STATUS:
        return read_status(e);
    case R_EECD:
        return read_eecd(e);
    case R_ICR:
        v = *e1000_reg(e, R_ICR);
        *e1000_reg(e, R_ICR) = 0;
        update(e);
        return v;
    case R_SWSM:                /* who reads SMBI as 0 has it */
        v = *e1000_reg(e, R_SWSM);
        *e1000_reg(e, R_SWSM) |= SWSM_SMBI;
        return v;
    case R_CTRL: case R_EERD: case R_CTRL_EXT: case R_MDIC: case R_ITR: case R_IMS: case R_RCTL: case R_TCTL:
    case R_RDT:
    case R_TDT: case R_RDTR: case R_WUFC:
        return *e1000_reg(e, (unsigned)off);
    case R_IMC: case R_ICS:     /* write only */
        return 0;
    }
    if (off >= R_STATS && off < R_STATS_END)
        return read_stat(e, (unsigned)off);
    if (find_plain(off))
        return *e1000_reg(e, (unsigned)off);
    log_msg(LOG_UNIMP, "e1000: register %#llx is read", (unsigned long long)off);
    return 0;
}

static void write_ctrl(struct e1000 *e, uint32_t val)
{
    bool was_up = e1000_link(e);

    if (val & CTRL_PHY_RST)
        phy_reset(e);
    if (val & CTRL_RST) {
        mac_reset(e);
        return;
    }
    *e1000_reg(e, R_CTRL) = val & ~(CTRL_RST | CTRL_PHY_RST);
    if (e1000_link(e) != was_up)
        e1000_cause(e, INT_LSC);
}

static void write_mac(struct e1000 *e, unsigned off, uint32_t val)
{
    const struct plain *p = find_plain(off);

    if (p && off >= R_STATS && off < R_STATS_END) {
        log_msg(LOG_GUEST, "e1000: statistics register %#x is written", off);
    } else if (p) {
        *e1000_reg(e, off) = val & p->mask;
        /* The address is complete when its upper half comes: until then it is not valid (13.5.2). */
        if (off >= R_RA && off < R_RA + 0x80 && off & 4)
            *e1000_reg(e, off) = val & 0x8003ffff;
    } else {
        log_msg(LOG_UNIMP, "e1000: register %#x = %#x", off, val);
    }
}

static void reg_write(void *dev, uint64_t off64, uint64_t val64, unsigned size)
{
    struct e1000 *e = dev;
    unsigned off = (unsigned)off64 & ~3u;
    uint32_t val = (uint32_t)val64;

    switch (off) {
    case R_CTRL: case R_CTRL + 4:
        write_ctrl(e, val);
        break;
    case R_STATUS:
        break;                  /* read only */
    case R_EECD:
        write_eecd(e, val);
        break;
    case R_EERD:
        write_eerd(e, val);
        break;
    case R_CTRL_EXT:
        if (val & 1u << 13)     /* EE_RST: as after power-on, what comes from the EEPROM */
            mac_reset(e);
        *e1000_reg(e, off) = val & ~(1u << 13);
        break;
    case R_MDIC:
        write_mdic(e, val);
        break;
    case R_ICR:
        *e1000_reg(e, R_ICR) &= ~val;
        update(e);
        break;
    case R_ITR:
        *e1000_reg(e, off) = val & 0xffff;
        timer_cancel(&e->throttle);
        update(e);
        break;
    case R_ICS:
        e1000_cause(e, val & INT_ALL);
        break;
    case R_IMS:
        *e1000_reg(e, off) |= val & INT_ALL;
        update(e);
        break;
    case R_IMC:
        *e1000_reg(e, R_IMS) &= ~val;
        update(e);
        break;
    case R_RCTL:
        *e1000_reg(e, off) = val & 0x07fffffe;
        if (val & RCTL_EN)
            net_ready(e->net);
        break;
    case R_RDT:
        *e1000_reg(e, off) = val & 0xffff;
        net_ready(e->net);
        break;
    case R_RDTR:
        *e1000_reg(e, off) = val & 0xffff;
        if ((val & 1u << 31) && (e->rx_packet.due != UINT64_MAX || e->rx_absolute.due != UINT64_MAX))
            rx_fire(e);         /* FPD: what waits is told now */
        break;
    case R_TCTL:
        *e1000_reg(e, off) = val & 0x03ffffff;
        e1000_transmit(e);
        break;
    case R_TDT:
        *e1000_reg(e, off) = val & 0xffff;
        e1000_transmit(e);
        break;
    case R_WUFC:
        if (val & 0xff)
            log_msg(LOG_UNIMP, "e1000: wake-up by %#x", val);
        *e1000_reg(e, off) = val;
        break;
    default:
        write_mac(e, off, val);
    }
}

/* IOADDR and IODATA (13.2). */
static uint64_t io_read(void *dev, uint64_t off, unsigned size)
{
    struct e1000 *e = dev;

    if (off == 0)
        return e->io_addr;
    return off == 4 && e->io_addr < MMIO_SIZE ? reg_read(e, e->io_addr, 4) : 0;
}

static void io_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
    struct e1000 *e = dev;

    if (off == 0)
        e->io_addr = (uint32_t)val;
    else if (off == 4 && e->io_addr < MMIO_SIZE)
        reg_write(e, e->io_addr, val, 4);
}

static const struct io_ops mmio_ops = { reg_read, reg_write, 4, LOG_DEV_E1000 };
static const struct io_ops io_ops = { io_read, io_write, 4, LOG_DEV_E1000 };

/* ---- construction ---- */

static void e1000_reset(void *dev)
{
    struct e1000 *e = dev;

    e->line = 0;
    mac_reset(e);
    e->phy_link = 0;
    phy_reset(e);
    e->phy_link_lost = 0;
}

static void e1000_loaded(void *dev)
{
    struct e1000 *e = dev;
    struct timer *const timers[] = { &e->throttle, &e->rx_packet, &e->rx_absolute, &e->tx_packet,
                                     &e->tx_absolute,
                                     &e->tx_more, &e->negotiation };

    for (unsigned i = 0; i < sizeof(timers) / sizeof(timers[0]); i++)
        timer_set(timers[i], timers[i]->due);
    pci_irq(e->pci, e->line);
    net_ready(e->net);
}

#define CTX(n, m) FIELD(struct e1000, ctx[n].m)
#define CTX_FIELDS(n)                                                                                        \
    CTX(n, ipcss), CTX(n, ipcso), CTX(n, tucss), CTX(n, tucso), CTX(n, hdrlen), CTX(n, tucmd), CTX(n, ipcse), \
    CTX(n, tucse), CTX(n, mss), CTX(n, paylen)
static const struct field e1000_state[] = {
    FIELD_ARRAY(struct e1000, reg), FIELD(struct e1000, io_addr), FIELD(struct e1000, line),
    FIELD(struct e1000, last_int), FIELD(struct e1000, throttle.due), FIELD(struct e1000, rx_packet.due),
    FIELD(struct e1000, rx_absolute.due), FIELD(struct e1000, tx_packet.due),
    FIELD(struct e1000, tx_absolute.due), FIELD(struct e1000, tx_more.due),
    FIELD_ARRAY(struct e1000, phy), FIELD(struct e1000, phy_link), FIELD(struct e1000, phy_link_lost),
    FIELD(struct e1000, negotiation.due), EEPROM93_FIELDS(struct e1000, ee), CTX_FIELDS(0), CTX_FIELDS(1),
    FIELD(struct e1000, tx_active), FIELD(struct e1000, tx_cmd), FIELD(struct e1000, tx_popts),
    FIELD(struct e1000, tx_bad), FIELD(struct e1000, tx_cso), FIELD(struct e1000, tx_css),
    FIELD(struct e1000, tx_tse), FIELD(struct e1000, tx_extended), FIELD(struct e1000, tx_special),
    FIELD_MAX(struct e1000, tx_len, FRAME_MAX),
    FIELD(struct e1000, tx_left), FIELD(struct e1000, tx_segment), FIELD_ARRAY(struct e1000, frame), FIELD_END
};

static const struct chip e1000_chip = { "e1000", sizeof(struct e1000), e1000_reset, e1000_state,
                                        e1000_loaded };
static const struct net_user e1000_user = { e1000_receive, link_changed };

static void make(struct plug_env *env, void *bus, const void *props)
{
    static const struct pci_ident id = { .vendor = 0x8086, .device = 0x100e, .subvendor = 0x8086,
                                         .subdevice = 0x001e,
                                         .class = 0x020000, .revision = 2, .pin = 1 };
    const struct nic_props *p = props;
    struct pci_dev *pci = nic_pci_add(env, p, &id);
    struct e1000 *e = chip_new(env->m->chips, &e1000_chip, p->common.name);

    e->pci = pci;
    e->net = p->net;
    e->clock = env->m->clock;
    memcpy(e->mac, p->mac, 6);
    nic_crc_init(&e->crc);
    timer_init(&e->throttle, e->clock, throttle_fire, e);
    timer_init(&e->rx_packet, e->clock, rx_fire, e);
    timer_init(&e->rx_absolute, e->clock, rx_fire, e);
    timer_init(&e->tx_packet, e->clock, tx_fire, e);
    timer_init(&e->tx_absolute, e->clock, tx_fire, e);
    timer_init(&e->tx_more, e->clock, tx_goes_on, e);
    timer_init(&e->negotiation, e->clock, negotiated, e);
    eeprom_init(e, &id);
    pci_bar(pci, 0, MMIO_SIZE, 0, &mmio_ops, e);
    pci_bar(pci, 2, IO_SIZE, PCI_BAR_IO, &io_ops, e);
    e1000_reset(e);
    nic_connect(p, &e1000_user, e);
}

static const struct prop e1000_props[] = { NIC_PROPS, NIC_ROM_PROP, PROP_END };

const struct plug e1000_plug = {
    "e1000", "network: Intel 82540EM, PRO/1000 MT", "PCI", sizeof(struct nic_props),
    &(const struct nic_props){ .romfile = "efi-e1000.rom" }, e1000_props, make,
    "ethernet@*/ethernet-phy@0"
};
