/*
 * test_ne2000.c - an NE2000, on ISA and on PCI, driven as drivers do: PROM, rings, filters, what a bad one
 * does.
 */
#include <check.h>
#include <string.h>

#include "tests/dev/nic_env.h"
#include "tests/run_suite.h"

#define START 0x46u             /* pages of the receive ring */
#define STOP  0x60u

static struct nic_env *x;
static unsigned base;
static const uint8_t broadcast[6] = { 255, 255, 255, 255, 255, 255 };

static uint8_t rd(unsigned reg)
{
    return (uint8_t)ports_read(x->e->ports, (uint16_t)(base + reg), 1);
}

static void wr(unsigned reg, unsigned val)
{
    ports_write(x->e->ports, (uint16_t)(base + reg), val, 1);
}

static void dma(unsigned cmd, unsigned at, unsigned len)
{
    wr(8, at & 0xff);
    wr(9, at >> 8);
    wr(10, len & 0xff);
    wr(11, len >> 8);
    wr(0, cmd | 2);
}

static void fetch(unsigned at, uint8_t *to, unsigned len)
{
    dma(0x08, at, (len + 1) & ~1u);
    for (unsigned i = 0; i < len; i += 2) {
        uint16_t v = (uint16_t)ports_read(x->e->ports, (uint16_t)(base + 16), 2);

        to[i] = (uint8_t)v;
        if (i + 1 < len)
            to[i + 1] = v >> 8;
    }
    ck_assert_uint_eq(rd(7) & 0x40, 0x40);
    wr(7, 0x40);
}

static void put(unsigned at, const uint8_t *from, unsigned len)
{
    dma(0x10, at, len);
    for (unsigned i = 0; i < len; i += 2)
        ports_write(x->e->ports, (uint16_t)(base + 16), le16(from + i), 2);
    ck_assert_uint_eq(rd(7) & 0x40, 0x40);
    wr(7, 0x40);
}

static void start(unsigned rcr)
{
    wr(0, 0x21);
    wr(14, 0x49);
    wr(12, rcr);
    wr(13, 0);
    wr(1, START);
    wr(2, STOP);
    wr(3, START);
    wr(7, 0xff);
    wr(15, 0x3f);
    wr(0, 0x61);
    for (unsigned i = 0; i < 6; i++)
        wr(1 + i, nic_mac[i]);
    for (unsigned i = 0; i < 8; i++)
        wr(8 + i, 0);
    wr(7, START + 1);
    wr(0, 0x22);
}

static void setup_pci(void)
{
    x = nic_env_new("ne2k_pci", NULL);
    base = NIC_PORTS;
    start(0x04);
}

static void setup_isa(void)
{
    x = nic_env_new("ne2k_isa", "iobase=0x320,irq=5");
    base = 0x320;
    start(0x04);
}

static void teardown(void)
{
    nic_env_free(x);
}

static unsigned curr(void)
{
    unsigned v;

    wr(0, 0x62);
    v = rd(7);
    wr(0, 0x22);
    return v;
}

/* Takes the next frame off the ring as a driver does, and compares it. */
static void take(const uint8_t *frame, unsigned len)
{
    uint8_t head[4], data[1600], want[1600] = { 0 };
    unsigned page = rd(3) + 1, n = len < 60 ? 60 : len;

    page = page == STOP ? START : page;
    ck_assert_uint_ne(page, curr());
    fetch(page * 256, head, 4);
    ck_assert_uint_eq(head[0] & 1, 1);
    ck_assert_uint_eq(le16(head + 2), n + 8);
    fetch(page * 256 + 4, data, n + 4);
    memcpy(want, frame, len);
    put_le32(want + n, nic_plain_crc(want, n));
    ck_assert_int_eq(memcmp(data, want, n + 4), 0);
    wr(3, head[1] == START ? STOP - 1u : head[1] - 1u);
}

START_TEST(prom)
{
    uint8_t b[32];

    fetch(0, b, 32);
    for (unsigned i = 0; i < 12; i++)
        ck_assert_uint_eq(b[i], nic_mac[i / 2]);
    ck_assert_uint_eq(b[28], 0x57);
    ck_assert_uint_eq(b[31], 0x57);
    rd(0x1f);                                           /* reset */
    ck_assert_uint_eq(rd(7) & 0x80, 0x80);
    ck_assert_uint_eq(rd(0) & 0x21, 0x21);
}
END_TEST

START_TEST(transmit)
{
    uint8_t frame[300];

    nic_frame(x, frame, sizeof(frame), broadcast, 0x88b5);
    put(0x4000, frame, sizeof(frame));
    wr(4, 0x40);
    wr(5, sizeof(frame) & 0xff);
    wr(6, sizeof(frame) >> 8);
    wr(0, 0x26);
    ck_assert_uint_eq(x->nsent, 1);
    ck_assert_uint_eq(x->sent[0].len, sizeof(frame));
    ck_assert_int_eq(memcmp(x->sent[0].data, frame, sizeof(frame)), 0);
    ck_assert(nic_line(x));
    ck_assert_uint_eq(rd(7), 2);
    ck_assert_uint_eq(rd(4) & 1, 1);
    wr(7, 2);
    ck_assert(!nic_line(x));
    wr(4, 0x7f);                                        /* runs out of memory */
    wr(0, 0x26);
    ck_assert_uint_eq(x->nsent, 1);
    ck_assert_uint_eq(rd(7), 2);
}
END_TEST

START_TEST(receive)
{
    uint8_t frame[1514];
    unsigned page, taken = 0;

    for (unsigned i = 0; i < 200; i++) {
        unsigned len = 42 + nic_random(x) % (1514 - 42);

        nic_frame(x, frame, len, nic_mac, 0x88b5);
        ck_assert(nic_give(x, frame, len));
        ck_assert(nic_line(x));
        take(frame, len);
        wr(7, 1);
        ck_assert(!nic_line(x));
    }
    /* Full: waits; and comes when there is room and the driver has looked. */
    nic_frame(x, frame, 1000, nic_mac, 0x88b5);
    while (nic_give(x, frame, 1000))
        taken++;
    ck_assert_uint_eq(taken, (STOP - START - 1) / 4);
    ck_assert_uint_eq(rd(7), 1);
    page = x->nready;
    take(frame, 1000);
    ck_assert_uint_eq(x->nready, page);
    wr(7, 1);
    ck_assert_uint_eq(x->nready, page + 1);
    ck_assert(nic_give(x, frame, 1000));
    wr(7, 1);
    ck_assert(!nic_give(x, frame, 1000));
    ck_assert_uint_eq(rd(7), 0x10);                     /* seen, and yet no room */
}
END_TEST

/* Once started, the chip receives until STP stops it, whatever is written to STA. */
START_TEST(start_stop)
{
    uint8_t frame[100] = { 255, 255, 255, 255, 255, 255, 2, 0, 0, 0, 0, 9, 8, 0, 42 };

    wr(0, 0x40);
    nic_give(x, frame, sizeof(frame));
    ck_assert_uint_eq(rd(7), START + 2);
    wr(0, 0x00);
    nic_give(x, frame, sizeof(frame));
    ck_assert_uint_eq(curr(), START + 3);
    take(frame, sizeof(frame));
    take(frame, sizeof(frame));
    wr(0, 0x21);
    wr(0, 0x20);
    nic_give(x, frame, sizeof(frame));
    wr(0, 0x60);
    ck_assert_uint_eq(rd(7), START + 3);
}
END_TEST

START_TEST(filters)
{
    static const uint8_t group[6] = { 1, 0, 0x5e, 0, 0, 0xfb }, other[6] = { 2, 1, 2, 3, 4, 5 };
    uint32_t crc = 0;
    uint8_t frame[100];
    unsigned at, h;

#define STORED(to, want)                                                        \
    do {                                                                        \
        nic_frame(x, frame, 100, to, 0x88b5);                                   \
        at = curr();                                                            \
        ck_assert(nic_give(x, frame, 100));                                     \
        ck_assert_uint_eq(curr(), at + ((want) ? 1 : 0));                       \
    } while (0)
    STORED(nic_mac, true);
    STORED(broadcast, true);
    STORED(group, false);
    STORED(other, false);
    wr(12, 0x08);                                       /* groups by their hash; no broadcast */
    STORED(broadcast, false);
    /* The upper six bits of the check sequence, the first bit sent on top (DP8390 data sheet, 6.2). */
    for (unsigned i = 0, c = ~nic_plain_crc(group, 6); i < 32; i++)
        crc |= (c >> i & 1) << (31 - i);
    h = crc >> 26;
    wr(0, 0x62);
    wr(8 + h / 8, 1u << h % 8);
    wr(0, 0x22);
    STORED(group, true);
    wr(12, 0x10);
    STORED(other, true);
    wr(12, 0x24);                                       /* monitor: counted */
    STORED(nic_mac, false);
    ck_assert_uint_eq(rd(15), 1);
    ck_assert_uint_eq(rd(15), 0);
    wr(12, 0x04);
    wr(0, 0x21);
    nic_frame(x, frame, 100, nic_mac, 0x88b5);
    ck_assert(nic_give(x, frame, 100));                 /* stopped: lost */
    wr(0, 0x22);
}
END_TEST

START_TEST(fuzz)
{
    uint8_t frame[1514];

    memcpy(frame, broadcast, 6);
    for (unsigned i = 0; i < 100000; i++) {
        uint32_t r = nic_random(x);
        unsigned reg = r & 0x1f, size = 1u << (r >> 8) % 3;

        if (r >> 16 & 1)
            ports_read(x->e->ports, (uint16_t)(base + reg), size);
        else
            ports_write(x->e->ports, (uint16_t)(base + reg), nic_random(x), size);
        if ((r >> 20 & 15) == 0)
            nic_give(x, frame, 14 + nic_random(x) % 1500);
        if (i % 5000 == 0) {
            env_check_state(x->e);
            start(0x1c);
        }
    }
    chips_reset(x->e->chips);
    ck_assert(!nic_line(x));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ne2000");
    static const char *const names[] = { "pci", "isa" };

    for (unsigned i = 0; i < 2; i++) {
        TCase *t = tcase_create(names[i]);

        tcase_add_checked_fixture(t, i ? setup_isa : setup_pci, teardown);
        tcase_set_timeout(t, 60);
        tcase_add_test(t, prom);
        tcase_add_test(t, transmit);
        tcase_add_test(t, receive);
        tcase_add_test(t, start_stop);
        tcase_add_test(t, filters);
        tcase_add_test(t, fuzz);
        suite_add_tcase(suite, t);
    }
    return run_suite(suite);
}
