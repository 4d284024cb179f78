/*
 * test_rtl8139.c - an RTL8139C+: the ring of bytes and the four slots, descriptors with their offloads,
 * EEPROM, timer.
 */
#include <check.h>
#include <string.h>

#include "tests/dev/nic_env.h"
#include "tests/run_suite.h"

#define RING 0x10000u
#define RX_D 0x20000u           /* C+ descriptors */
#define TX_D 0x21000u
#define BUFS 0x40000u
#define OWN  0x80000000u
#define EOR  0x40000000u

static struct nic_env *x;
static const uint8_t broadcast[6] = { 255, 255, 255, 255, 255, 255 };

static uint32_t rd(unsigned off, unsigned size)
{
    return ports_read(x->e->ports, (uint16_t)(NIC_PORTS + off), size);
}

static void wr(unsigned off, uint32_t val, unsigned size)
{
    ports_write(x->e->ports, (uint16_t)(NIC_PORTS + off), val, size);
}

static void start(uint32_t rcr)
{
    wr(0x37, 0x10, 1);
    wr(0x37, 0x0c, 1);
    wr(0x30, RING, 4);
    wr(0x44, rcr, 4);
    wr(0x3c, 0xffff, 2);
    wr(0x3e, 0xffff, 2);
}

static void start_plus(uint32_t cpcr)
{
    wr(0x37, 0x10, 1);
    wr(0xe0, cpcr | 3, 2);
    wr(0x37, 0x0c, 1);
    wr(0x20, TX_D, 4);
    wr(0x24, 0, 4);
    wr(0xe4, RX_D, 4);
    wr(0xe8, 0, 4);
    wr(0x44, 0x0e, 4);
    wr(0x3c, 0xffff, 2);
    memset(x->ram + RX_D, 0, 0x2000);
}

static void setup(void)
{
    x = nic_env_new("rtl8139", NULL);
    start(0x0e);
}

static void teardown(void)
{
    nic_env_free(x);
}

START_TEST(identity)
{
    unsigned v = 0;

    /* Drivers take a chip that keeps what is written to the longest frame for an RTL8169. */
    wr(0xda, 0x05f6, 2);
    ck_assert_uint_eq(rd(0xda, 2), 0);

    ck_assert_uint_eq(rd(0, 4), le32(nic_mac));
    ck_assert_uint_eq(rd(4, 2), le16(nic_mac + 4));
    ck_assert_uint_eq(env_read(x->e, NIC_MMIO), le32(nic_mac));
    wr(0, 0, 4);
    ck_assert_uint_eq(rd(0, 4), le32(nic_mac));         /* locked */
    wr(0x50, 0xc0, 1);
    wr(0, 0x01020304, 4);
    ck_assert_uint_eq(rd(0, 4), 0x01020304);
    /* Word 7 of the EEPROM: the address. */
    wr(0x50, 0x88, 1);
    for (int i = 8; i >= 0; i--) {
        wr(0x50, 0x88 | ((6u << 6 | 7) >> i & 1) << 1, 1);
        wr(0x50, 0x8c | ((6u << 6 | 7) >> i & 1) << 1, 1);
    }
    for (int i = 0; i < 16; i++) {
        wr(0x50, 0x88, 1);
        wr(0x50, 0x8c, 1);
        v = v << 1 | (rd(0x50, 1) & 1);
    }
    ck_assert_uint_eq(v, le16(nic_mac));
    ck_assert_uint_eq(rd(0x64, 2) & 4, 4);
    nic_plug(x, false);
    ck_assert_uint_eq(rd(0x64, 2) & 4, 0);
    ck_assert_uint_eq(rd(0x58, 1) & 4, 4);
    ck_assert_uint_eq(rd(0x3e, 2), 0x20);
    ck_assert(nic_line(x));
}
END_TEST

START_TEST(slots)
{
    uint8_t frame[700];

    for (unsigned i = 0; i < 9; i++) {
        unsigned n = i % 4;

        nic_frame(x, frame, 100 + i, broadcast, 0x88b5);
        memcpy(x->ram + BUFS, frame, 100 + i);
        ck_assert_uint_eq(rd(0x10 + 4 * n, 4) & 0x2000, 0x2000);
        wr(0x20 + 4 * n, BUFS, 4);
        wr(0x10 + 4 * n, 100 + i, 4);
        ck_assert_uint_eq(x->nsent, i + 1);
        ck_assert_uint_eq(x->sent[i].len, 100 + i);
        ck_assert_int_eq(memcmp(x->sent[i].data, frame, 100 + i), 0);
        ck_assert_uint_eq(rd(0x10 + 4 * n, 4) & 0xe000, 0xa000);
        ck_assert(nic_line(x));
        ck_assert_uint_eq(rd(0x3e, 2), 4);
        wr(0x3e, 4, 2);
        ck_assert(!nic_line(x));
    }
    wr(0x20, 0xfffffff0, 4);                            /* no memory there */
    wr(0x10, 100, 4);
    ck_assert_uint_eq(rd(0x3e, 2), 8);
    ck_assert_uint_eq(x->nsent, 9);
}
END_TEST

/* The ring of bytes, twice around, with and without wrapping. */
START_TEST(ring)
{
    for (unsigned wrap = 0; wrap < 2; wrap++) {
        uint8_t frame[1514];
        unsigned at = 0, taken = 0;

        start(0x0e | wrap << 7);
        for (unsigned i = 0; i < 40; i++) {
            unsigned len = 42 + nic_random(x) % 1400, n = len < 60 ? 60 : len;
            uint8_t got[1600], want[1600] = { 0 };

            ck_assert_uint_eq(rd(0x37, 1) & 1, 1);
            nic_frame(x, frame, len, nic_mac, 0x88b5);
            ck_assert(nic_give(x, frame, len));
            ck_assert_uint_eq(rd(0x37, 1) & 1, 0);
            ck_assert_uint_eq(rd(0x3e, 2), 1);
            wr(0x3e, 1, 2);
            ck_assert_uint_eq(le16(x->ram + RING + at), 0x4001);
            ck_assert_uint_eq(le16(x->ram + RING + at + 2), n + 4);
            for (unsigned k = 0; k < n + 4; k++)
                got[k] = x->ram[RING + (wrap ? at + 4 + k : (at + 4 + k) % 8192)];
            memcpy(want, frame, len);
            put_le32(want + n, nic_plain_crc(want, n));
            ck_assert_int_eq(memcmp(got, want, n + 4), 0);
            at = (at + 4 + n + 4 + 3) & ~3u;
            at %= 8192;
            ck_assert_uint_eq(rd(0x3a, 2), at);
            wr(0x38, (at - 16) & 0xffff, 2);
        }
        nic_frame(x, frame, 1000, nic_mac, 0x88b5);
        while (nic_give(x, frame, 1000))
            taken++;
        ck_assert_uint_eq(taken, 8);
        wr(0x38, (at + 1008 - 16) % 8192, 2);
        ck_assert(nic_give(x, frame, 1000));
    }
}
END_TEST

START_TEST(descriptors)
{
    uint8_t frame[1000], want[1000];

    start_plus(0x60);                                   /* sums, VLANs */
    for (unsigned i = 0; i < 3; i++) {
        put_le32(x->ram + RX_D + 16 * i, OWN | (i == 2 ? EOR : 0) | 700);
        put_le32(x->ram + RX_D + 16 * i + 8, BUFS + 1024 * i);
    }
    nic_tcp_frame(x, frame, 500, nic_mac, false);
    ck_assert(nic_give(x, frame, 500));
    ck_assert_uint_eq(le32(x->ram + RX_D), 0x30000000u | 1u << 26 | 1u << 16 | 504);
    ck_assert_int_eq(memcmp(x->ram + BUFS, frame, 500), 0);
    nic_tcp_frame(x, frame, 1000, nic_mac, true);
    frame[900] ^= 4;
    ck_assert(nic_give(x, frame, 1000));                /* over two, a bad sum */
    ck_assert_uint_eq(le32(x->ram + RX_D + 16), 0x20000000u | 700);
    ck_assert_uint_eq(le32(x->ram + RX_D + 32), EOR | 0x10000000u | 1u << 26 | 2u << 16 | 1u << 14 | 1004);
    ck_assert(!nic_give(x, frame, 1000));               /* none left */
    ck_assert_uint_eq(rd(0x3e, 2) & 0x10, 0x10);
    put_le32(x->ram + RX_D, OWN | 1600);
    nic_frame(x, frame, 200, nic_mac, 0x8100);
    put_be16(frame + 14, 0x0123);
    ck_assert(nic_give(x, frame, 200));
    ck_assert_uint_eq(le32(x->ram + RX_D + 4), 0x10000u | 0x2301);
    ck_assert_uint_eq(le32(x->ram + RX_D) & 0x1fff, 200);
    ck_assert_int_eq(memcmp(x->ram + BUFS + 12, frame + 16, 184), 0);
    /* Out: checksums, a tag. */
    nic_tcp_frame(x, want, 1000, broadcast, false);
    memcpy(x->ram + BUFS, want, 1000);
    put_be16(x->ram + BUFS + 24, 0);
    put_be16(x->ram + BUFS + 50, 0x1234);
    put_le32(x->ram + TX_D, OWN | 1u << 29 | 1u << 18 | 1u << 16 | 400);
    put_le32(x->ram + TX_D + 8, BUFS);
    put_le32(x->ram + TX_D + 16, OWN | EOR | 1u << 28 | 600);
    put_le32(x->ram + TX_D + 24, BUFS + 400);
    wr(0xd9, 0x40, 1);
    ck_assert_uint_eq(x->nsent, 1);
    ck_assert_uint_eq(x->sent[0].len, 1000);
    ck_assert_int_eq(memcmp(x->sent[0].data, want, 1000), 0);
    ck_assert_uint_eq(le32(x->ram + TX_D) >> 31, 0);
    ck_assert_uint_eq(le32(x->ram + TX_D + 16) >> 31, 0);
    /* In segments of 300. */
    put_le32(x->ram + TX_D, OWN | EOR | 3u << 28 | 1u << 27 | 300u << 16 | 1000);
    put_le32(x->ram + TX_D + 4, 1u << 17 | 0x0500);
    wr(0xd9, 0x40, 1);
    ck_assert_uint_eq(x->nsent, 5);
    for (unsigned i = 0; i < 4; i++) {
        const uint8_t *f = x->sent[1 + i].data;
        unsigned pay = i < 3 ? 300 : 46;

        ck_assert_uint_eq(be32(f + 12), 0x81000005);
        ck_assert_uint_eq(x->sent[1 + i].len, 58 + pay);
        ck_assert_uint_eq(be32(f + 42), be32(want + 38) + 300 * i);
        ck_assert_int_eq(memcmp(f + 58, want + 54 + 300 * i, pay), 0);
        ck_assert_uint_eq(nic_plain_sum(f + 18, 20, 0), 0xffff);
        ck_assert_uint_eq(nic_plain_sum(f + 38, 20 + pay, nic_plain_sum(f + 30, 8, 26 + pay)), 0xffff);
    }
    /* The tally. */
    wr(0x14, 0, 4);
    wr(0x10, (BUFS + 0x8000) | 8, 4);
    ck_assert_uint_eq(rd(0x10, 4) & 8, 0);
    ck_assert_uint_eq(le32(x->ram + BUFS + 0x8000), 5);
    ck_assert_uint_eq(le32(x->ram + BUFS + 0x8008), 3);
}
END_TEST

START_TEST(timer)
{
    wr(0x48, 0, 4);
    wr(0x54, 33000, 4);                                 /* a millisecond */
    clock_advance(x->e->clock, 990000);
    ck_assert_uint_eq(rd(0x3e, 2), 0);
    clock_advance(x->e->clock, 20000);
    ck_assert_uint_eq(rd(0x3e, 2), 0x4000);
    ck_assert_uint_ge(rd(0x48, 4), 33000);
}
END_TEST

START_TEST(fuzz)
{
    uint8_t frame[1514];

    memcpy(frame, broadcast, 6);
    for (unsigned i = 0; i < 100000; i++) {
        uint32_t r = nic_random(x), v = nic_random(x);
        unsigned off = r & 0xff, size = 1u << (r >> 8) % 3;

        if ((r >> 12 & 7) == 0)
            off = r & 1 ? 0xd9 : 0x10 + (r >> 1 & 12);
        if (off == 0x20 || off == 0x28 || off == 0xe4 || off == 0x30)
            v &= 0x3ffff0;
        if (off == 0x24 || off == 0x2c || off == 0xe8)
            v = 0;
        if (r >> 16 & 1)
            rd(off, size);
        else
            wr(off, v, size);
        if ((r >> 20 & 7) == 0)
            nic_give(x, frame, 14 + nic_random(x) % 1500);
        if ((r >> 20 & 7) == 1)
            x->ram[nic_random(x) % NIC_RAM] = (uint8_t)nic_random(x);
        if ((r >> 20 & 7) == 2)
            clock_advance(x->e->clock, v % 100000);
        if (i % 2000 == 0) {
            env_check_state(x->e);
            if (i % 4000)
                start_plus(0x60);
            else
                start(0x0f);
            for (unsigned k = 0; k < 0x2000; k++)
                x->ram[RX_D + k] = (uint8_t)nic_random(x);
        }
    }
    chips_reset(x->e->chips);
    ck_assert(!nic_line(x));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("rtl8139");
    TCase *t = tcase_create("rtl8139");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 60);
    tcase_add_test(t, identity);
    tcase_add_test(t, slots);
    tcase_add_test(t, ring);
    tcase_add_test(t, descriptors);
    tcase_add_test(t, timer);
    tcase_add_test(t, fuzz);
    suite_add_tcase(suite, t);
    return run_suite(suite);
}
