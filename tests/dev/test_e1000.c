/*
 * test_e1000.c - the 82540EM driven as its manual says: EEPROM, PHY, rings, filters, offloads, interrupts,
 * statistics, and what a broken or hostile driver does.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "hw/net/e1000_int.h"
#include "tests/dev/nic_env.h"
#include "tests/run_suite.h"

#define RX_RING 0x10000u
#define TX_RING 0x20000u
#define RX_BUFS 0x40000u
#define TX_BUFS 0x100000u
#define N       16u
#define BUF     2048u

static struct nic_env *x;
static unsigned tx_next, rx_next;
static const uint8_t broadcast[6] = { 255, 255, 255, 255, 255, 255 }, other[6] = { 2, 0, 0, 0, 0, 9 };

static uint32_t rd(unsigned off)
{
    return env_read(x->e, NIC_MMIO + off);
}

static void wr(unsigned off, uint32_t val)
{
    env_write(x->e, NIC_MMIO + off, val);
}

static uint16_t phy(unsigned n)
{
    wr(R_MDIC, 2u << 26 | 1u << 21 | n << 16);
    ck_assert_uint_eq(rd(R_MDIC) >> 28, 1);
    return (uint16_t)rd(R_MDIC);
}

static void phy_set(unsigned n, uint16_t val)
{
    wr(R_MDIC, 1u << 26 | 1u << 21 | n << 16 | val);
    ck_assert_uint_eq(rd(R_MDIC) >> 28, 1);
}

static void ms(unsigned n)
{
    clock_advance(x->e->clock, n * 1000000ull);
}

static void rx_fill(uint32_t rctl)
{
    memset(x->ram + RX_RING, 0, N * DESC);
    for (unsigned i = 0; i < N; i++)
        put_le32(x->ram + RX_RING + i * DESC, RX_BUFS + i * BUF);
    wr(R_RDBAL, RX_RING);
    wr(R_RDLEN, N * DESC);
    wr(R_RDH, 0);
    wr(R_RDT, N - 1);
    wr(R_RCTL, rctl | RCTL_EN);
    rx_next = 0;
}

static void start(void)
{
    wr(R_CTRL, CTRL_SLU | CTRL_FD);
    ms(200);
    wr(R_TDBAL, TX_RING);
    wr(R_TDLEN, N * DESC);
    wr(R_TDH, 0);
    wr(R_TDT, 0);
    wr(R_TCTL, TCTL_EN | TCTL_PSP);
    tx_next = 0;
    rx_fill(RCTL_BAM | RCTL_SECRC);
    rd(R_ICR);
}

static void setup(void)
{
    x = nic_env_new("e1000", NULL);
    start();
}

static void teardown(void)
{
    nic_env_free(x);
}

/* One descriptor; buffer `pa`. */
static uint8_t *tx_desc(uint32_t pa, uint32_t dw2, uint32_t dw3)
{
    uint8_t *d = x->ram + TX_RING + tx_next * DESC;

    put_le32(d, pa);
    put_le32(d + 4, 0);
    put_le32(d + 8, dw2);
    put_le32(d + 12, dw3);
    tx_next = (tx_next + 1) % N;
    return d;
}

/* The next received descriptor, which must be there. */
static uint8_t *rx_desc(void)
{
    uint8_t *d = x->ram + RX_RING + rx_next * DESC;

    ck_assert_uint_eq(d[12] & 1, 1);
    ck_assert_uint_eq(rd(R_RDH), (rx_next + 1) % N);
    rx_next = (rx_next + 1) % N;
    return d;
}

START_TEST(identity)
{
    ck_assert_uint_eq(env_config_read(x->e, 0, 0, 4), 0x100e8086);
    ck_assert_uint_eq(env_config_read(x->e, 0, 8, 4) >> 8, 0x020000);
    /* The same registers by ports. */
    ports_write(x->e->ports, NIC_PORTS, R_RA, 4);
    ck_assert_uint_eq(ports_read(x->e->ports, NIC_PORTS + 4, 4), rd(R_RA));
    ck_assert_uint_eq(rd(R_RA), 0xab005452);
    ck_assert_uint_eq(rd(R_RA + 4), 0x8000eecd);
    wr(R_RA, 1);
    wr(R_CTRL, CTRL_RST);
    ck_assert_uint_eq(rd(R_RA), 0xab005452);
}
END_TEST

/* A word by the serial interface, bit by bit. */
static uint16_t microwire(unsigned addr)
{
    uint32_t out = 6u << 6 | addr;
    uint16_t v = 0;

    wr(R_EECD, 0x40);
    ck_assert_uint_eq(rd(R_EECD) & 0x80, 0x80);
    wr(R_EECD, 0x42);
    for (int i = 8; i >= 0; i--) {
        wr(R_EECD, 0x42 | (out >> i & 1) << 2);
        wr(R_EECD, 0x43 | (out >> i & 1) << 2);
    }
    ck_assert_uint_eq(rd(R_EECD) & 8, 0);               /* the zero before the data */
    for (int i = 0; i < 16; i++) {
        wr(R_EECD, 0x42);
        wr(R_EECD, 0x43);
        v = (uint16_t)(v << 1 | (rd(R_EECD) >> 3 & 1));
    }
    wr(R_EECD, 0);
    return v;
}

START_TEST(eeprom)
{
    uint16_t sum = 0;

    for (unsigned i = 0; i < 64; i++) {
        wr(R_EERD, i << 8 | 1);
        ck_assert_uint_eq(rd(R_EERD) & 0x10, 0x10);
        ck_assert_uint_eq(rd(R_EERD) >> 16, microwire(i));
        sum += rd(R_EERD) >> 16;
        if (i < 3)
            ck_assert_uint_eq(rd(R_EERD) >> 16, le16(nic_mac + 2 * i));
    }
    ck_assert_uint_eq(sum, 0xbaba);
    ck_assert_uint_eq(rd(R_EECD) & 0x100, 0x100);
}
END_TEST

/* Software shares nothing with a management firmware here, but takes turns with itself. */
START_TEST(semaphores)
{
    ck_assert_uint_eq(rd(R_SWSM) & 3, 0);
    ck_assert_uint_eq(rd(R_SWSM) & 3, 1);
    wr(R_SWSM, 3);
    ck_assert_uint_eq(rd(R_SWSM) & 3, 3);
    wr(R_SWSM, 0);
    ck_assert_uint_eq(rd(R_SWSM) & 3, 0);
    wr(R_SW_FW_SYNC, 0x10001);
    ck_assert_uint_eq(rd(R_SW_FW_SYNC), 0x10001);
    wr(R_CTRL, 1u << 26);
    ck_assert_uint_eq(rd(R_SWSM) & 3, 0);
    ck_assert_uint_eq(rd(R_SW_FW_SYNC), 0);
}
END_TEST

START_TEST(link)
{
    ck_assert_uint_eq(phy(2), 0x0141);
    ck_assert_uint_eq(phy(3) & 0xfff0, 0x0c20);
    ck_assert_uint_eq(rd(R_STATUS) & 0xc3, 0x83);       /* up, 1000 Mb/s, full duplex */
    ck_assert_uint_eq(phy(1) & 0x24, 0x24);
    wr(R_IMS, INT_LSC);
    phy_set(0, 0x1340);                                 /* negotiate again */
    ck_assert(nic_line(x));
    ck_assert_uint_eq(rd(R_ICR), INT_LSC);
    ck_assert(!nic_line(x));
    ck_assert_uint_eq(rd(R_STATUS) & 2, 0);
    ms(200);
    ck_assert_uint_eq(rd(R_ICR), INT_LSC);
    ck_assert_uint_eq(rd(R_STATUS) & 2, 2);
    ck_assert_uint_eq(phy(1) & 4, 0);                   /* that it was down is told once */
    ck_assert_uint_eq(phy(1) & 4, 4);
    nic_plug(x, false);
    ck_assert_uint_eq(rd(R_ICR), INT_LSC);
    ck_assert_uint_eq(rd(R_STATUS) & 2, 0);
    ck_assert_uint_eq(phy(17) & 0x400, 0);
    nic_plug(x, true);
    ms(200);
    ck_assert_uint_eq(rd(R_STATUS) & 2, 2);
    phy_set(9, 0);                                      /* offer no 1000 Mb/s */
    phy_set(0, 0x1340);
    ms(200);
    ck_assert_uint_eq(rd(R_STATUS) & 0xc3, 0x43);
    phy_set(0, 0);                                      /* 10 Mb/s, half duplex, no negotiation */
    ms(200);
    ck_assert_uint_eq(rd(R_STATUS) & 0xc3, 0x02);
    ck_assert_uint_eq(phy(1) & 0x20, 0);
    phy_set(0, 0x0800);                                 /* power-down */
    ms(200);
    ck_assert_uint_eq(rd(R_STATUS) & 2, 0);
    wr(R_MDIC, 2u << 26 | 5u << 21);                    /* nobody has that address */
    ck_assert_uint_eq(rd(R_MDIC) >> 30, 1);
    wr(R_CTRL, CTRL_FD);
    ck_assert_uint_eq(rd(R_STATUS) & 2, 0);
}
END_TEST

START_TEST(transmit)
{
    uint8_t frame[1514], *d;

    nic_frame(x, frame, sizeof(frame), broadcast, 0x88b5);
    memcpy(x->ram + TX_BUFS, frame, sizeof(frame));
    tx_desc(TX_BUFS, 1000 | 2u << 24, 0);
    d = tx_desc(TX_BUFS + 1000, 514 | 0xbu << 24, 0);
    wr(R_IMS, INT_TXDW);
    wr(R_TDT, 2);
    ck_assert_uint_eq(rd(R_TDH), 2);
    ck_assert_uint_eq(x->nsent, 1);
    ck_assert_uint_eq(x->sent[0].len, 1514);
    ck_assert_int_eq(memcmp(x->sent[0].data, frame, 1514), 0);
    ck_assert_uint_eq(d[12], 1);
    ck_assert_uint_eq(x->ram[TX_RING + 12], 0);         /* RS was not asked for */
    ck_assert(nic_line(x));
    ck_assert_uint_eq(rd(R_ICR), INT_TXDW | INT_TXQE);
    ck_assert(!nic_line(x));
    ck_assert_uint_eq(rd(S_GPTC), 1);
    ck_assert_uint_eq(rd(S_GPTC), 0);
    ck_assert_uint_eq(rd(S_BPTC), 1);
    ck_assert_uint_eq(rd(S_GOTC), 1518);
    ck_assert_uint_eq(rd(S_GOTC + 4), 0);
    ck_assert_uint_eq(rd(S_GOTC), 0);
    ck_assert_uint_eq(rd(S_PTC64 + 20), 1);
    /* Short: padded; later: by the delay timer. */
    wr(R_TIDV, 100);
    tx_desc(TX_BUFS, 20 | 0x8bu << 24, 0);
    wr(R_TDT, 3);
    ck_assert_uint_eq(x->sent[1].len, 60);
    ck_assert_uint_eq(x->sent[1].data[20], 0);
    ck_assert_uint_eq(rd(R_ICR) & INT_TXDW, 0);
    clock_advance(x->e->clock, 99 * 1024);
    ck_assert_uint_eq(rd(R_ICR) & INT_TXDW, 0);
    clock_advance(x->e->clock, 1024);
    ck_assert_uint_eq(rd(R_ICR), INT_TXDW);
    /* Off: nothing leaves until it is on. */
    wr(R_TCTL, 0);
    tx_desc(TX_BUFS, 100 | 0xbu << 24, 0);
    wr(R_TDT, 4);
    ck_assert_uint_eq(x->nsent, 2);
    wr(R_TCTL, TCTL_EN);
    ck_assert_uint_eq(x->nsent, 3);
    /* A tag. */
    wr(R_CTRL, CTRL_SLU | CTRL_VME);
    tx_desc(TX_BUFS, 100 | 0x4bu << 24, 0x2005u << 16);
    wr(R_TDT, 5);
    ck_assert_uint_eq(x->sent[3].len, 104);
    ck_assert_uint_eq(be32(x->sent[3].data + 12), 0x81002005);
    ck_assert_int_eq(memcmp(x->sent[3].data + 16, frame + 12, 88), 0);
}
END_TEST

START_TEST(checksum_offload)
{
    uint8_t frame[900], want[900];

    for (int udp = 0; udp < 2; udp++) {
        unsigned at = 34 + (udp ? 6 : 16), n = x->nsent;

        nic_tcp_frame(x, want, sizeof(want), other, udp);
        memcpy(frame, want, sizeof(frame));
        put_be16(frame + 24, 0);
        put_be16(frame + at, nic_plain_sum(frame + 26, 8, frame[23] + 900 - 34));   /* pseudo header */
        memcpy(x->ram + TX_BUFS, frame, sizeof(frame));
        tx_desc(14 | 24u << 8 | 33u << 16, 0x20u << 24 | (udp ? 0 : 1u << 24) | 2u << 24, 0);
        x->ram[TX_RING + ((tx_next + N - 1) % N) * DESC + 4] = 34;
        x->ram[TX_RING + ((tx_next + N - 1) % N) * DESC + 5] = (uint8_t)at;
        tx_desc(TX_BUFS, 300 | 1u << 20 | 0x22u << 24, 3u << 8);
        tx_desc(TX_BUFS + 300, 600 | 1u << 20 | 0x2bu << 24, 3u << 8);
        wr(R_TDT, tx_next);
        ck_assert_uint_eq(x->nsent, n + 1);
        ck_assert_uint_eq(x->sent[n].len, 900);
        ck_assert_int_eq(memcmp(x->sent[n].data, want, 900), 0);
    }
    /* Legacy: one sum. */
    nic_tcp_frame(x, want, sizeof(want), other, false);
    memcpy(x->ram + TX_BUFS, want, sizeof(want));
    put_be16(x->ram + TX_BUFS + 24, 0);
    tx_desc(TX_BUFS, 900 | 50u << 16 | 0xfu << 24, 34u << 8);
    put_be16(x->ram + TX_BUFS + 50, nic_plain_sum(want + 26, 8, 6 + 900 - 34));
    wr(R_TDT, tx_next);
    ck_assert_uint_eq(be16(x->sent[2].data + 50), be16(want + 50));
    ck_assert_uint_eq(be16(x->sent[2].data + 24), 0);
}
END_TEST

START_TEST(segmentation)
{
    enum { MSS = 700, PAY = 3 * MSS + 123, HEAD = 54 };
    static uint8_t frame[HEAD + PAY];
    uint8_t *d;

    nic_tcp_frame(x, frame, sizeof(frame), other, false);
    put_be32(frame + 38, 0xfffffe00);                   /* sequence numbers wrap */
    put_be16(frame + 18, 0xffff);                       /* IP's number, too */
    frame[47] = 0x19;                                   /* ACK, PSH, FIN */
    put_be16(frame + 16, 0);
    put_be16(frame + 24, 0);
    put_be16(frame + 50, nic_plain_sum(frame + 26, 8, 6));
    memcpy(x->ram + TX_BUFS, frame, sizeof(frame));
    d = tx_desc(14 | 24u << 8 | 33u << 16, PAY | 0x27u << 24, HEAD << 8 | MSS << 16);
    d[4] = 34;
    d[5] = 50;
    tx_desc(TX_BUFS, HEAD | 1u << 20 | 0x26u << 24, 3u << 8);
    tx_desc(TX_BUFS + HEAD, 1000 | 1u << 20 | 0x26u << 24, 3u << 8);
    tx_desc(TX_BUFS + HEAD + 1000, (PAY - 1000) | 1u << 20 | 0x2fu << 24, 3u << 8);
    wr(R_TDT, tx_next);
    ck_assert_uint_eq(x->nsent, 4);
    for (unsigned i = 0; i < 4; i++) {
        const uint8_t *f = x->sent[i].data;
        unsigned pay = i < 3 ? MSS : 123;

        ck_assert_uint_eq(x->sent[i].len, HEAD + pay);
        ck_assert_int_eq(memcmp(f + HEAD, frame + HEAD + i * MSS, pay), 0);
        ck_assert_uint_eq(be16(f + 16), 40 + pay);
        ck_assert_uint_eq(be16(f + 18), (0xffff + i) & 0xffff);
        ck_assert_uint_eq(be32(f + 38), 0xfffffe00 + i * MSS);
        ck_assert_uint_eq(f[47], i < 3 ? 0x10 : 0x19);
        ck_assert_uint_eq(nic_plain_sum(f + 14, 20, 0), 0xffff);
        ck_assert_uint_eq(nic_plain_sum(f + 34, 20 + pay, nic_plain_sum(f + 26, 8, 6 + 20 + pay)), 0xffff);
    }
    ck_assert_uint_eq(rd(S_TSCTC), 1);
}
END_TEST

START_TEST(receive)
{
    uint8_t frame[1514], *d;

    nic_tcp_frame(x, frame, 800, nic_mac, false);
    wr(R_IMS, INT_RXT0);
    wr(R_RXCSUM, 0x300 | 14);
    ck_assert(nic_give(x, frame, 800));
    ck_assert(nic_line(x));
    ck_assert_uint_eq(rd(R_ICR), INT_RXT0);
    d = rx_desc();
    ck_assert_uint_eq(le16(d + 8), 800);
    ck_assert_uint_eq(d[12], 0x63);                     /* DD, EOP, TCPCS, IPCS */
    ck_assert_uint_eq(d[13], 0);
    ck_assert_uint_eq(le16(d + 10), (uint16_t)~nic_plain_sum(frame + 14, 786, 0));
    ck_assert_int_eq(memcmp(x->ram + RX_BUFS, frame, 800), 0);
    frame[700] ^= 1;
    nic_give(x, frame, 800);
    ck_assert_uint_eq(rx_desc()[13], 0x20);
    frame[700] ^= 1;
    frame[22] ^= 1;
    nic_give(x, frame, 800);
    ck_assert_uint_eq(rx_desc()[13], 0x40);
    nic_tcp_frame(x, frame, 333, nic_mac, true);
    nic_give(x, frame, 333);
    d = rx_desc();
    ck_assert_uint_eq(d[12] << 8 | d[13], 0x6300);
    /* With the check sequence, padded. */
    wr(R_RCTL, RCTL_EN | RCTL_BAM);
    nic_frame(x, frame, 42, broadcast, 0x0806);
    nic_give(x, frame, 42);
    d = rx_desc();
    ck_assert_uint_eq(le16(d + 8), 64);
    ck_assert_uint_eq(d[12], 0x07);                     /* IXSM: nothing was summed */
    memset(frame + 42, 0, 18);
    ck_assert_uint_eq(le32(x->ram + RX_BUFS + 4 * BUF + 60), nic_plain_crc(frame, 60));
    /* Small buffers: a frame over three of them. */
    wr(R_RCTL, RCTL_EN | RCTL_SECRC | 2u << 16);
    nic_frame(x, frame, 1200, nic_mac, 0x88b5);
    nic_give(x, frame, 1200);
    for (unsigned i = 5; i < 8; i++) {
        d = x->ram + RX_RING + i * DESC;
        ck_assert_uint_eq(le16(d + 8), i < 7 ? 512 : 1200 - 1024);
        ck_assert_uint_eq(d[12] & 3, i < 7 ? 1 : 3);
        ck_assert_int_eq(memcmp(x->ram + RX_BUFS + i * BUF, frame + 512 * (i - 5), i < 7 ? 512 : 176), 0);
    }
    ck_assert_uint_eq(rd(S_GPRC), 6);
    ck_assert_uint_eq(rd(S_BPRC), 1);
    ck_assert_uint_eq(rd(S_GORC), 3 * 804 + 337 + 64 + 1204);
    ck_assert_uint_eq(rd(S_GORC + 4), 0);
    /* Too long without LPE. */
    nic_frame(x, frame, 1514, nic_mac, 0x88b5);
    {
        uint8_t jumbo[4000];

        nic_frame(x, jumbo, sizeof(jumbo), nic_mac, 0x88b5);
        ck_assert(nic_give(x, jumbo, sizeof(jumbo)));
        ck_assert_uint_eq(rd(S_ROC), 1);
        ck_assert_uint_eq(rd(R_RDH), 8);
        wr(R_RCTL, RCTL_EN | RCTL_SECRC | RCTL_LPE);
        nic_give(x, jumbo, sizeof(jumbo));
        ck_assert_uint_eq(rd(R_RDH), 10);
    }
}
END_TEST

START_TEST(filters)
{
    static const uint8_t group[6] = { 1, 0, 0x5e, 0x7f, 0x12, 0x34 };
    static const uint8_t shift[4] = { 4, 3, 2, 0 };
    uint8_t frame[100];

#define PASSES(to, want)                                                                \
    do {                                                                                \
        nic_frame(x, frame, 100, to, 0x88b5);                                           \
        ck_assert(nic_give(x, frame, 100));                                             \
        ck_assert_uint_eq(rd(R_RDH), (rx_next + ((want) ? 1 : 0)) % N);                 \
        if (want)                                                                       \
            rx_desc();                                                                  \
        wr(R_RDT, (rx_next + N - 1) % N);                                               \
    } while (0)
    PASSES(nic_mac, true);
    PASSES(broadcast, true);
    PASSES(other, false);
    PASSES(group, false);
    wr(R_RCTL, RCTL_EN);
    PASSES(broadcast, false);
    wr(R_RCTL, RCTL_EN | RCTL_UPE);
    PASSES(other, true);
    PASSES(group, false);
    wr(R_RCTL, RCTL_EN | RCTL_MPE);
    PASSES(other, false);
    PASSES(group, true);
    for (unsigned mo = 0; mo < 4; mo++) {
        unsigned h = (0x34u << 8 | 0x12) >> shift[mo] & 0xfff;

        wr(R_RCTL, RCTL_EN | mo << 12);
        PASSES(group, false);
        wr(R_MTA + 4 * (h >> 5), 1u << (h & 31));
        PASSES(group, true);
        wr(R_MTA + 4 * (h >> 5), 0);
    }
    /* Another address; one that is not valid. */
    wr(R_RA + 8, le32(other));
    wr(R_RA + 12, le16(other + 4));
    PASSES(other, false);
    wr(R_RA + 12, le16(other + 4) | 1u << 31);
    PASSES(other, true);
    /* VLANs: stripped, and filtered by number. */
    wr(R_CTRL, CTRL_SLU | CTRL_VME);
    wr(R_RCTL, RCTL_EN | RCTL_SECRC);
    nic_frame(x, frame, 100, nic_mac, 0x8100);
    put_be16(frame + 14, 0x6123);
    nic_give(x, frame, 100);
    ck_assert_uint_eq(rx_desc()[12] & 8, 8);
    ck_assert_uint_eq(le16(x->ram + RX_RING + (rx_next - 1) * DESC + 14), 0x6123);
    ck_assert_uint_eq(le16(x->ram + RX_RING + (rx_next - 1) * DESC + 8), 96);
    ck_assert_int_eq(memcmp(x->ram + RX_BUFS + (rx_next - 1) * BUF + 12, frame + 16, 84), 0);
    wr(R_RCTL, RCTL_EN | RCTL_SECRC | RCTL_VFE);
    nic_give(x, frame, 100);
    ck_assert_uint_eq(rd(R_RDH), rx_next);
    wr(R_VFTA + 4 * (0x123 >> 5), 1u << (0x123 & 31));
    nic_give(x, frame, 100);
    rx_desc();
    /* Receiver off, cable out: dropped, not kept. */
    wr(R_RCTL, 0);
    PASSES(nic_mac, false);
    wr(R_RCTL, RCTL_EN);
    nic_plug(x, false);
    PASSES(nic_mac, false);
}
END_TEST

START_TEST(no_buffers)
{
    uint8_t frame[100];
    unsigned ready;

    nic_frame(x, frame, 100, nic_mac, 0x88b5);
    rd(R_ICR);
    wr(R_RCTL, RCTL_EN | RCTL_SECRC | 1u << 8);         /* RDMT0 at a quarter */
    for (unsigned i = 0; i < N - 1; i++) {
        ck_assert(nic_give(x, frame, 100));
        ck_assert_uint_eq(rd(R_ICR), INT_RXT0 | (i == N - 1 - N / 4 - 1 ? INT_RXDMT0 : 0));
    }
    ck_assert(!nic_give(x, frame, 100));
    ck_assert_uint_eq(rd(R_ICR), INT_RXO);
    ck_assert_uint_eq(rd(S_RNBC), 1);
    ready = x->nready;
    wr(R_RDT, 0);
    ck_assert_uint_eq(x->nready, ready + 1);
    ck_assert(nic_give(x, frame, 100));
    ck_assert(!nic_give(x, frame, 100));
}
END_TEST

START_TEST(interrupt_rates)
{
    uint8_t frame[100];
    unsigned edges;

    nic_frame(x, frame, 100, nic_mac, 0x88b5);
    wr(R_IMS, INT_RXT0);
    wr(R_ITR, 1000);                                    /* 256 us */
    nic_give(x, frame, 100);
    ck_assert(nic_line(x));
    rd(R_ICR);
    nic_give(x, frame, 100);
    ck_assert(!nic_line(x));
    clock_advance(x->e->clock, 255000);
    ck_assert(!nic_line(x));
    clock_advance(x->e->clock, 1000);
    ck_assert(nic_line(x));
    ck_assert_uint_eq(rd(R_ICR), INT_RXT0);
    wr(R_ITR, 0);
    /* Receive delay: each frame starts it anew, but no longer than the absolute one. */
    wr(R_RDTR, 100);
    wr(R_RADV, 250);
    edges = 0;
    for (unsigned t = 0; t < 500; t += 50) {
        nic_give(x, frame, 100);
        wr(R_RDT, (rd(R_RDH) + N - 1) % N);
        clock_advance(x->e->clock, 50 * 1024);
        if (nic_line(x)) {
            ck_assert_uint_eq(rd(R_ICR), INT_RXT0);
            edges++;
        }
    }
    ck_assert_uint_eq(edges, 2);
    nic_give(x, frame, 100);
    ck_assert(!nic_line(x));
    wr(R_RDTR, 100 | 1u << 31);                         /* flush */
    ck_assert(nic_line(x));
    wr(R_IMC, INT_RXT0);
    ck_assert(!nic_line(x));
    rd(R_ICR);
    wr(R_ICS, INT_SRPD | INT_MDAC);
    ck_assert(!nic_line(x));
    wr(R_IMS, INT_MDAC);
    ck_assert(nic_line(x));
    ck_assert_uint_eq(rd(R_ICR), INT_SRPD | INT_MDAC);
}
END_TEST

START_TEST(loopback)
{
    uint8_t frame[200];

    wr(R_RCTL, RCTL_EN | RCTL_SECRC | 1u << 6);
    nic_frame(x, frame, 200, nic_mac, 0x88b5);
    memcpy(x->ram + TX_BUFS, frame, 200);
    tx_desc(TX_BUFS, 200 | 0xbu << 24, 0);
    wr(R_TDT, tx_next);
    ck_assert_uint_eq(x->nsent, 0);
    rx_desc();
    ck_assert_int_eq(memcmp(x->ram + RX_BUFS, frame, 200), 0);
    wr(R_RCTL, RCTL_EN | RCTL_SECRC);
    phy_set(0, 0x4140);
    ms(200);
    tx_desc(TX_BUFS, 200 | 0xbu << 24, 0);
    wr(R_TDT, tx_next);
    ck_assert_uint_eq(x->nsent, 0);
    rx_desc();
}
END_TEST

/* What no driver should do must end, and stay in the guest's memory. */
START_TEST(hostile)
{
    uint8_t frame[100], *d;

    nic_frame(x, frame, 100, nic_mac, 0x88b5);
    wr(R_TDT, N + 3);                                   /* beyond the ring */
    ck_assert_uint_eq(x->nsent, 0);
    wr(R_TDT, 0);
    wr(R_RDT, N + 3);
    ck_assert(nic_give(x, frame, 100));
    wr(R_RDLEN, 0);
    ck_assert(nic_give(x, frame, 100));
    rx_fill(RCTL_BAM);
    put_le32(x->ram + RX_RING, 0xfffffff0);             /* no memory there */
    put_le32(x->ram + RX_RING + 4, 0xffffffff);
    ck_assert(nic_give(x, frame, 100));
    /* A frame longer than any: 64 KiB four times. */
    for (unsigned i = 0; i < 4; i++)
        tx_desc(TX_BUFS, 0xffff | (i == 3 ? 0xbu : 2u) << 24, 0);
    wr(R_TDT, tx_next);
    ck_assert_uint_eq(x->nsent, 0);
    ck_assert_uint_eq(rd(R_TDH), tx_next);
    /* Segments without payload, headers beyond the frame, checksums out of it. */
    d = tx_desc(0xffffffff, 0x27u << 24 | 0xfffff, 0xffu << 8);
    d[4] = 0xff;
    tx_desc(TX_BUFS, 0xfffff | 1u << 20 | 0x2fu << 24, 3u << 8);
    d = tx_desc(0xffffffff, 0x27u << 24 | 0xfffff, 0xffu << 8 | 16u << 16);
    tx_desc(TX_BUFS, 0xfffff | 1u << 20 | 0x2fu << 24, 3u << 8);
    tx_desc(0xffffffff, 0x20u << 24, 0);
    tx_desc(TX_BUFS, 60 | 1u << 20 | 0x2bu << 24, 3u << 8);
    wr(R_TDT, tx_next);
    for (unsigned i = 0; i < N; i++)                    /* as much work is done in pieces */
        clock_advance(x->e->clock, 1);
    ck_assert_uint_eq(rd(R_TDH), tx_next);
    wr(R_TDBAL, 0xfffffff0);
    wr(R_TDT, (tx_next + 1) % N);
    ck_assert_uint_eq(rd(R_TDH), tx_next);
    /* Not a bus master: nothing happens. */
    env_config_write(x->e, 0, 4, 3, 2);
    wr(R_TDBAL, TX_RING);
    wr(R_TDT, (tx_next + 2) % N);
    ck_assert_uint_eq(rd(R_TDH), tx_next);
}
END_TEST

/* A ring that takes long is done in pieces. */
START_TEST(long_ring)
{
    for (unsigned i = 0; i < 0xfff0; i++) {
        uint8_t *d = x->ram + 0x200000 + i * DESC;

        put_le32(d, TX_BUFS);
        put_le32(d + 8, 60 | 3u << 24);
    }
    wr(R_TDBAL, 0x200000);
    wr(R_TDLEN, 0xfff80);
    wr(R_TDT, 0xff00);
    ck_assert_uint_gt(rd(R_TDH), 1000);
    ck_assert_uint_lt(rd(R_TDH), 0xff00);
    env_check_state(x->e);
    for (unsigned i = 0; i < 100 && rd(R_TDH) != 0xff00; i++)
        clock_advance(x->e->clock, 1);
    ck_assert_uint_eq(rd(R_TDH), 0xff00);
    ck_assert_uint_eq(x->nsent, 0xff00);
}
END_TEST

START_TEST(fuzz)
{
    static const uint16_t regs[] = {
        R_CTRL, R_EECD, R_EERD, R_CTRL_EXT, R_MDIC, R_ITR, R_ICS, R_IMS, R_IMC, R_RCTL, R_TCTL, R_RDBAL,
        R_RDLEN, R_RDH, R_RDT,
        R_RDTR, R_RADV, R_TDBAL, R_TDLEN, R_TDH, R_TDT, R_TIDV, R_TADV, R_RXCSUM, R_ICR, R_TXDCTL
    };
    uint8_t frame[2000];

    memcpy(frame, nic_mac, 6);
    for (unsigned i = 0; i < 60000; i++) {
        uint32_t r = nic_random(x), off = regs[nic_random(x) % (sizeof(regs) / sizeof(regs[0]))],
            v = nic_random(x);

        if (r % 8 == 0)
            off = nic_random(x) % 0x20000 & ~3u;
        if (off == R_TDLEN || off == R_RDLEN)
            v &= 0xfff;
        if (off == R_TDH || off == R_TDT || off == R_RDH || off == R_RDT)
            v %= 0x110;
        if (off == R_TDBAL || off == R_RDBAL)
            v &= 0x1fffff;
        switch (r >> 8 & 7) {
        case 0:
            rd(off);
            break;
        case 1:
            for (unsigned k = 0; k < 40; k++)
                x->ram[nic_random(x) % 0x200000] = (uint8_t)nic_random(x);
            break;
        case 2:
            nic_give(x, frame, 14 + nic_random(x) % (sizeof(frame) - 14));
            break;
        case 3:
            clock_advance(x->e->clock, nic_random(x) % 1000000);
            break;
        default:
            wr(off, v);
        }
        if (i % 3000 == 0) {
            env_check_state(x->e);
            start();
        }
    }
    chips_reset(x->e->chips);
    ck_assert(!nic_line(x));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("e1000");
    TCase *t = tcase_create("e1000");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 60);
    tcase_add_test(t, identity);
    tcase_add_test(t, eeprom);
    tcase_add_test(t, semaphores);
    tcase_add_test(t, link);
    tcase_add_test(t, transmit);
    tcase_add_test(t, checksum_offload);
    tcase_add_test(t, segmentation);
    tcase_add_test(t, receive);
    tcase_add_test(t, filters);
    tcase_add_test(t, no_buffers);
    tcase_add_test(t, interrupt_rates);
    tcase_add_test(t, loopback);
    tcase_add_test(t, hostile);
    tcase_add_test(t, long_ring);
    tcase_add_test(t, fuzz);
    suite_add_tcase(suite, t);
    return run_suite(suite);
}
