/*
 * test_pcnet.c - an Am79C970A in each software style, in word and double word mode.
 */
#include <check.h>
#include <string.h>

#include "tests/dev/nic_env.h"
#include "tests/run_suite.h"

#define BLOCK 0x10000u
#define RX    0x11000u
#define TX    0x12000u
#define BUFS  0x40000u
#define N     4u
#define BUF   600u

static struct nic_env *x;
static unsigned width, style;
static const uint8_t broadcast[6] = { 255, 255, 255, 255, 255, 255 };

static uint32_t rd(unsigned n)
{
    return ports_read(x->e->ports, (uint16_t)(NIC_PORTS + 16 + n * width), width);
}

static void wr(unsigned n, uint32_t val)
{
    ports_write(x->e->ports, (uint16_t)(NIC_PORTS + 16 + n * width), val, width);
}

static uint32_t csr(unsigned n)
{
    wr(1, n);
    return rd(0);
}

static void csr_set(unsigned n, uint32_t val)
{
    wr(1, n);
    wr(0, val);
}

static uint8_t *desc(uint32_t ring, unsigned n)
{
    return x->ram + ring + n * (style ? 16 : 8);
}

static void fill(uint32_t ring, unsigned n, uint32_t pa, unsigned status, unsigned len)
{
    uint8_t *d = desc(ring, n);

    if (!style) {
        put_le32(d, pa);
        d[3] = (uint8_t)(status >> 8);
    } else {
        put_le32(d + (style == 3 ? 8 : 0), pa);
        put_le16(d + 6, status);
    }
    put_le16(d + 4, (0x10000u - len) & 0xffff);
}

static unsigned status(uint32_t ring, unsigned n)
{
    return style ? le16(desc(ring, n) + 6) : desc(ring, n)[3] << 8u;
}

static unsigned count(unsigned n)
{
    return style ? le16(desc(RX, n) + (style == 3 ? 0 : 8)) : le16(desc(RX, n) + 6);
}

static void start(unsigned mode)
{
    uint8_t *b = x->ram + BLOCK;

    memset(x->ram + BLOCK, 0, 0x3000);
    csr_set(0, 4);
    wr(1, 20);
    wr(3, style);
    put_le16(b, mode);
    if (style) {
        b[2] = b[3] = 2 << 4;
        memcpy(b + 4, nic_mac, 6);
        put_le32(b + 20, RX);
        put_le32(b + 24, TX);
    } else {
        memcpy(b + 2, nic_mac, 6);
        put_le32(b + 16, RX | 2u << 29);
        put_le32(b + 20, TX | 2u << 29);
    }
    for (unsigned i = 0; i < N; i++)
        fill(RX, i, BUFS + 0x1000 * i, 0x8000, BUF);
    csr_set(1, BLOCK & 0xffff);
    csr_set(2, BLOCK >> 16);
    csr_set(0, 0x41);
    ck_assert_uint_eq(csr(0), 0x01c1);
    ck_assert(nic_line(x));
    csr_set(0, 0x142);
    ck_assert_uint_eq(csr(0), mode & 1 ? 0x0053 : 0x0073);
    ck_assert(!nic_line(x));
}

static void setup(void)
{
    x = nic_env_new("pcnet", NULL);
    width = 2;
    style = 0;
}

static void teardown(void)
{
    nic_env_free(x);
}

START_TEST(identity)
{
    ck_assert_uint_eq(ports_read(x->e->ports, NIC_PORTS, 4), le32(nic_mac));
    ck_assert_uint_eq(ports_read(x->e->ports, NIC_PORTS + 14, 2), 0x5757);
    ck_assert_uint_eq(csr(0), 4);
    ck_assert_uint_eq(csr(12), le16(nic_mac));
    ck_assert_uint_eq(csr(88) | csr(89) << 16, 0x02621003);
    ports_write(x->e->ports, NIC_PORTS + 16, 0, 4);     /* double words from now on */
    ck_assert_uint_eq(ports_read(x->e->ports, NIC_PORTS + 16, 2), 0xffff);
    width = 4;
    ck_assert_uint_eq(csr(88), 0x1003);
    wr(1, 4);
    ck_assert_uint_eq(rd(3), 0x80c0);                   /* the link's light */
    x->net.up = false;
    ck_assert_uint_eq(rd(3), 0x00c0);
    rd(2);
    ck_assert_uint_eq(csr(0), 4);
    chips_reset(x->e->chips);
    env_config_write(x->e, 0, 0x10, NIC_PORTS, 4);
    env_config_write(x->e, 0, 4, 7, 2);
    width = 2;
    ck_assert_uint_eq(csr(88), 0x1003);
}
END_TEST

START_TEST(frames)
{
    static const uint8_t styles[] = { 0, 2, 3 };
    uint8_t frame[1000], want[1100];

    style = styles[_i];
    start(0);
    for (unsigned i = 0; i < 6; i++) {                  /* over two descriptors each */
        unsigned a = (2 * i) % N, b = a + 1;

        nic_frame(x, frame, 900, broadcast, 0x88b5);
        memcpy(x->ram + BUFS + 0x8000, frame, 900);
        fill(TX, a, BUFS + 0x8000, 0x8200, 500);
        fill(TX, b, BUFS + 0x8000 + 500, 0x8100, 400);
        csr_set(0, 0x48);
        ck_assert_uint_eq(x->nsent, i + 1);
        ck_assert_uint_eq(x->sent[i].len, 900);
        ck_assert_int_eq(memcmp(x->sent[i].data, frame, 900), 0);
        ck_assert_uint_eq(status(TX, a), 0x0200);
        ck_assert_uint_eq(status(TX, b), 0x0100);
        ck_assert(nic_line(x));
        ck_assert_uint_eq(csr(0), 0x02f3);
        csr_set(0, 0x0240);
        ck_assert(!nic_line(x));
    }
    for (unsigned i = 0; i < 6; i++) {
        unsigned a = (2 * i) % N, b = a + 1;

        nic_frame(x, frame, 1000, nic_mac, 0x88b5);
        ck_assert(nic_give(x, frame, 1000));
        memcpy(want, frame, 1000);
        put_le32(want + 1000, nic_plain_crc(frame, 1000));
        ck_assert_int_eq(memcmp(x->ram + BUFS + 0x1000 * a, want, BUF), 0);
        ck_assert_int_eq(memcmp(x->ram + BUFS + 0x1000 * b, want + BUF, 1004 - BUF), 0);
        ck_assert_uint_eq(status(RX, a), 0x0200);
        ck_assert_uint_eq(status(RX, b), style ? 0x0140 : 0x0100);
        ck_assert_uint_eq(count(b), 1004);
        ck_assert_uint_eq(csr(0), 0x04f3);
        csr_set(0, 0x0440);
        fill(RX, a, BUFS + 0x1000 * a, 0x8000, BUF);
        fill(RX, b, BUFS + 0x1000 * b, 0x8000, BUF);
    }
    /* None left: it waits, and is asked for again. */
    ck_assert(nic_give(x, frame, 1000));
    ck_assert(nic_give(x, frame, 1000));
    ck_assert(!nic_give(x, frame, 1000));
    {
        unsigned ready = x->nready;

        clock_advance(x->e->clock, 1000000);
        ck_assert_uint_gt(x->nready, ready);
    }
    ck_assert(!nic_give(x, frame, 1000));
}
END_TEST

START_TEST(filters)
{
    static const uint8_t group[6] = { 1, 0, 0x5e, 0, 0, 0xfb }, other[6] = { 2, 1, 2, 3, 4, 5 };
    unsigned h = (~nic_plain_crc(group, 6)) >> 26;
    uint8_t frame[100];

    style = 2;
#define STORED(mode, to, want)                                                  \
    do {                                                                        \
        start(mode);                                                            \
        nic_frame(x, frame, 100, to, 0x88b5);                                   \
        ck_assert(nic_give(x, frame, 100));                                     \
        ck_assert_uint_eq(status(RX, 0) >> 15, (want) ? 0 : 1);                 \
    } while (0)
    STORED(0, nic_mac, true);
    STORED(0x2000, nic_mac, false);
    STORED(0, broadcast, true);
    STORED(0x4000, broadcast, false);
    STORED(0, other, false);
    STORED(0x8000, other, true);
    STORED(0, group, false);
    csr_set(8 + (h >> 4), 1u << (h & 15));
    nic_give(x, frame, 100);
    ck_assert_uint_eq(status(RX, 0), 0x0320);
    STORED(1, nic_mac, false);                          /* receiver off */
    /* Loopback. */
    start(4);
    memcpy(x->ram + BUFS + 0x8000, nic_mac, 6);
    fill(TX, 0, BUFS + 0x8000, 0x8300, 100);
    csr_set(0, 0x48);
    ck_assert_uint_eq(x->nsent, 0);
    ck_assert_uint_eq(count(0), 104);
    ck_assert_int_eq(memcmp(x->ram + BUFS, x->ram + BUFS + 0x8000, 100), 0);
}
END_TEST

START_TEST(fuzz)
{
    uint8_t frame[1514];

    memcpy(frame, broadcast, 6);
    for (unsigned i = 0; i < 60000; i++) {
        uint32_t r = nic_random(x), v = nic_random(x);
        unsigned size = 1u << (r >> 8) % 3;

        switch (r >> 12 & 7) {
        case 0:
            ports_read(x->e->ports, (uint16_t)(NIC_PORTS + (r & 31)), size);
            break;
        case 1:
            ports_write(x->e->ports, (uint16_t)(NIC_PORTS + (r & 31)), v, size);
            break;
        case 2:
            csr_set(v & 0x7f, nic_random(x));
            break;
        case 3:
            csr_set(0, r >> 16 & 0x7f4b);
            break;
        case 4:
            nic_give(x, frame, 14 + v % 1500);
            break;
        case 5:
            clock_advance(x->e->clock, v % 1000000);
            break;
        default:
            for (unsigned k = 0; k < 20; k++)
                x->ram[BLOCK + nic_random(x) % 0x3000] = (uint8_t)nic_random(x);
        }
        if (i % 1000 == 0) {
            env_check_state(x->e);
            chips_reset(x->e->chips);
            env_config_write(x->e, 0, 0x10, NIC_PORTS, 4);
            env_config_write(x->e, 0, 4, 7, 2);
            style = i % 3000 == 0 ? 0 : i % 2000 == 0 ? 2 : 3;
            start(0x8000);
        }
    }
    chips_reset(x->e->chips);
    ck_assert(!nic_line(x));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pcnet");
    TCase *t = tcase_create("pcnet");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 60);
    tcase_add_test(t, identity);
    tcase_add_loop_test(t, frames, 0, 3);
    tcase_add_test(t, filters);
    tcase_add_test(t, fuzz);
    suite_add_tcase(suite, t);
    return run_suite(suite);
}
