/*
 * test_virtio_serial.c - virtio consoles and byte streams: control messages, both directions with ends that
 * are slow, drivers of one port; and the balloon: memory given back, statistics, hostile page numbers.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "hw/chardev_if.h"
#include "hw/virtio/balloon.h"
#include "tests/dev/virtio_env.h"
#include "tests/run_suite.h"

#define MULTIPORT (1ull << 1)
#define EMERG     (1ull << 2)
enum { READY = 0, ADD = 1, PORT_READY = 3, CONSOLE = 4, OPEN = 6, NAME = 7 };

static struct vt *v;
static struct end {
    struct chardev chr;
    struct chardev_slot slot;
    uint8_t out[65536];
    unsigned len, room, accepts;
} ends[2];

static struct end *end_of(struct chardev *c)
{
    return (struct end *)c;
}

static unsigned end_write(struct chardev *c, const uint8_t *buf, unsigned n)
{
    struct end *e = end_of(c);

    n = n < e->room ? n : e->room;
    n = n < sizeof(e->out) - e->len ? n : (unsigned)sizeof(e->out) - e->len;
    memcpy(e->out + e->len, buf, n);
    e->len += n;
    e->room -= n;
    return n;
}

static void end_accept(struct chardev *c)
{
    end_of(c)->accepts++;
}

static const struct chardev_ops end_ops = { end_write, NULL, end_accept };

static struct chardev_slot *find_chardev(void *arg, const char *id)
{
    return id[0] == 'c' ? &ends[id[1] - '0'].slot : NULL;
}

static void setup(void)
{
    memset(ends, 0, sizeof(ends));
    for (unsigned i = 0; i < 2; i++) {
        ends[i].chr.ops = &end_ops;
        ends[i].slot = (struct chardev_slot){ i ? "c1" : "c0", &ends[i].chr, false };
        ends[i].room = 100000;
    }
    v = vt_new();
    v->names.chardev = find_chardev;
    vt_add(v, "virtio-serial-pci,id=s,packed=on,max_ports=4");
    vt_add(v, "virtconsole,chardev=c0");
    vt_add(v, "virtserialport,chardev=c1,name=org.example.agent,nr=2,bus=s.0");
}

static void teardown(void)
{
    vt_free(v);
}

static const uint64_t drivers[] = { 0, VT_EVENT, VT_MODERN | VT_INDIRECT, VT_MODERN | VT_PACKED,
                                    VT_MODERN | VT_PACKED | VT_EVENT };
#define DRIVERS (sizeof(drivers) / sizeof(drivers[0]))
#define RX(port) ((port) ? 2 * (port) + 2 : 0)
#define TX(port) (RX(port) + 1)

static void control(unsigned port, unsigned event, unsigned value)
{
    struct vt_seg s = { VT_DATA, 8, false };
    unsigned id;
    uint32_t len;

    vt_put(v, VT_DATA, port, 4);
    vt_put(v, VT_DATA + 4, event | value << 16, 4);
    vt_offer(v, 3, &s, 1);
    vt_kick(v, 3);
    ck_assert(vt_used(v, 3, &id, &len));
}

/* A buffer for control messages; then what was told: port | event << 8 | value << 16, 0: nothing. */
static void listen_to(void)
{
    struct vt_seg s = { VT_DATA + 0x1000, 100, true };

    vt_offer(v, 2, &s, 1);
    vt_kick_always(v, 2);
}

static unsigned told(void)
{
    unsigned id;
    uint32_t len;

    if (!vt_used(v, 2, &id, &len))
        return 0;
    ck_assert_uint_ge(len, 8);
    v->ram[VT_DATA + 0x1000 + len] = 0;
    return vt_get(v, VT_DATA + 0x1000, 4) | vt_get(v, VT_DATA + 0x1004, 2) << 8 |
        vt_get(v, VT_DATA + 0x1006, 2) << 16;
}

static unsigned hear(void)
{
    listen_to();
    return told();
}

/* Writes n bytes to a port; true: taken at once. */
static bool say(unsigned port, unsigned n, unsigned first)
{
    struct vt_seg s[] = { { VT_DATA + 0x10000, n / 2 + 1, false }, { VT_DATA + 0x20000, n - n / 2, false } };
    unsigned id;
    uint32_t len;

    for (unsigned i = 0; i < n + 1; i++)
        v->ram[(i < n / 2 + 1 ? s[0].pa : s[1].pa - n / 2 - 1) + i] = (uint8_t)(first + i);
    vt_offer(v, TX(port), s, 2);
    vt_kick(v, TX(port));
    return vt_used(v, TX(port), &id, &len);
}

static void give(struct end *e, unsigned n, unsigned first)
{
    uint8_t buf[5000];

    ck_assert_uint_le(n, e->chr.user->room(e->chr.dev));
    for (unsigned i = 0; i < n; i++)
        buf[i] = (uint8_t)(first + i);
    e->chr.user->receive(e->chr.dev, buf, n);
}

/* Offers a buffer and reads what comes there. */
static unsigned hold(unsigned port, unsigned size)
{
    struct vt_seg s = { VT_DATA + 0x30000, size, true };
    unsigned id;
    uint32_t len;

    vt_offer(v, RX(port), &s, 1);
    vt_kick_always(v, RX(port));
    return vt_used(v, RX(port), &id, &len) ? len : 0;
}

START_TEST(ports)
{
    vt_start(v, drivers[_i] | MULTIPORT | EMERG, _i & 1, 0);
    vt_start(v, drivers[_i] | MULTIPORT | EMERG, false, 8);
    ck_assert_uint_eq(vt_config(v, 4, 4), 4);
    control(0, READY, 1);
    ck_assert_uint_eq(hear(), 0 | ADD << 8 | 1 << 16);
    ck_assert_uint_eq(hear(), 2 | ADD << 8 | 1 << 16);
    ck_assert_uint_eq(hear(), 0);               /* that buffer is still there */
    control(0, PORT_READY, 1);
    ck_assert_uint_eq(told(), 0 | CONSOLE << 8 | 1 << 16);
    ck_assert_uint_eq(hear(), 0 | OPEN << 8 | 1 << 16);
    control(2, PORT_READY, 1);
    env_check_state(v->e);                      /* what is to be told is part of it */
    ck_assert_uint_eq(hear(), 2 | OPEN << 8 | 1 << 16);
    ck_assert_uint_eq(hear(), 2 | NAME << 8 | 1 << 16);
    ck_assert_str_eq((char *)v->ram + VT_DATA + 0x1008, "org.example.agent");
    control(3, OPEN, 1);                        /* there is none */
    control(0xffffffff, PORT_READY, 1);
    control(0, 0x4242, 1);
    ck_assert_uint_eq(hear(), 0);
    /* Input waits until the port is open and there is a buffer. */
    give(&ends[1], 100, 7);
    ck_assert_uint_eq(hold(2, 64), 0);
    control(2, OPEN, 1);
    {
        unsigned id;
        uint32_t len;

        ck_assert(vt_used(v, RX(2), &id, &len));
        ck_assert_uint_eq(len, 64);
        ck_assert_uint_eq(vt_interrupts(v, RX(2)), 1);
    }
    ck_assert_uint_eq(hold(2, 64), 36);
    for (unsigned i = 0; i < 36; i++)
        ck_assert_uint_eq(v->ram[VT_DATA + 0x30000 + i], (uint8_t)(7 + 64 + i));
    ends[1].accepts = 0;
    give(&ends[1], 4096, 0);
    ck_assert_uint_eq(ends[1].chr.user->room(ends[1].chr.dev), 0);
    ck_assert_uint_eq(hold(2, 1000), 1000);
    ck_assert_uint_eq(ends[1].accepts, 1);
    ck_assert_uint_eq(ends[1].chr.user->room(ends[1].chr.dev), 1000);
    env_check_state(v->e);
    ck_assert_uint_eq(hold(2, 5000), 3096);
    ck_assert_uint_eq(v->ram[VT_DATA + 0x30000], (uint8_t)1000);
    /* A port that is not there swallows. */
    ck_assert(say(1, 10, 0));
}
END_TEST

START_TEST(output)
{
    unsigned id, pos = 0;
    uint32_t len;

    vt_start(v, drivers[_i] | MULTIPORT, false, 8);
    ck_assert(say(0, 20, 'A'));
    ck_assert_uint_eq(ends[0].len, 21);
    ck_assert_int_eq(memcmp(ends[0].out, "ABCDEFGHIJKLMNOPQRSTU", 21), 0);
    ck_assert_uint_eq(vt_interrupts(v, TX(0)), 1);
    ends[0].len = ends[0].room = 0;
    ck_assert(!say(0, 6000, 3));                /* the host takes none */
    ck_assert(!say(0, 300, 3));                 /* a second one, behind it; its data are those of both */
    while (ends[0].len < 6001 + 301) {
        ends[0].room = 777;
        env_check_state(v->e);
        ends[0].chr.user->writable(ends[0].chr.dev);
        ck_assert_uint_eq(ends[0].room, ends[0].len == 6001 + 301 ? 777 - (6001 + 301) % 777 : 0);
    }
    for (unsigned i = 0; i < 2; i++)
        ck_assert(vt_used(v, TX(0), &id, &len));
    ck_assert(!vt_used(v, TX(0), &id, &len));
    for (; pos < 151; pos++)
        ck_assert_uint_eq(ends[0].out[pos], (uint8_t)(3 + pos));
    /* Reset in the middle: the rest is not sent, and the next chain from its front. */
    ends[0].len = 0;
    ends[0].room = 100;
    ck_assert(!say(0, 1000, 9));
    vt_start(v, drivers[_i] | MULTIPORT, false, 8);
    ends[0].room = 10000;
    ends[0].chr.user->writable(ends[0].chr.dev);
    ck_assert_uint_eq(ends[0].len, 100);
    ck_assert(say(0, 50, 1));
    ck_assert_uint_eq(ends[0].len, 151);
    ck_assert_uint_eq(ends[0].out[100], 1);
}
END_TEST

/* A driver that knows one port only, open from the start; and a character without rings. */
START_TEST(single)
{
    vt_start(v, drivers[_i], false, 2);
    give(&ends[0], 10, 'a');
    ck_assert_uint_eq(hold(0, 4), 4);
    ck_assert_uint_eq(hold(0, 10), 6);
    ck_assert(say(0, 5, 'x'));
    ck_assert_uint_eq(ends[0].len, 6);
    vt_config_write(v, 8, '!', 4);
    ck_assert_uint_eq(ends[0].len, 7);
    ck_assert_uint_eq(ends[0].out[6], '!');
}
END_TEST

START_TEST(fuzz)
{
    uint64_t seed = 77;

    for (unsigned round = 0; round < 20000; round++) {
        unsigned r, q, n = 1 + round % 2;
        struct vt_seg s[2];

        seed = seed * 6364136223846793005ull + 1442695040888963407ull;
        r = (unsigned)(seed >> 33);
        if (round % 100 == 0)
            vt_start(v, drivers[r % DRIVERS] | (r & 64 ? MULTIPORT : 0), false, 8);
        q = r % 8;
        for (unsigned i = 0; i < n; i++)
            s[i] = (struct vt_seg){ VT_DATA + r % 0x1000, (r >> (5 * i)) % 300, r & (4u << i) };
        vt_put(v, VT_DATA + r % 0x1000, r % 6, 4);
        vt_put(v, VT_DATA + r % 0x1000 + 4, r / 8 % 9 | (r & 0x10000), 4);
        vt_offer(v, q, s, n);
        vt_kick_always(v, q);
        for (unsigned i = 0; i < 2; i++) {
            ends[i].room = r % 500;
            ends[i].len = 0;
            ends[i].chr.user->writable(ends[i].chr.dev);
            n = ends[i].chr.user->room(ends[i].chr.dev);
            ck_assert_uint_le(n, 4096);
            give(&ends[i], n < r % 100 ? n : r % 100, r);
        }
        if (r % 50 == 0)
            vt_put(v, v->q[q].avail + r % 16, r, 2);
    }
    vt_start(v, VT_MODERN, false, 2);
    ends[0].room = 1000;
    ck_assert(say(0, 5, 'x'));
}
END_TEST

/* ---- balloon ---- */

enum { INFLATE, DEFLATE, STATS, REPORTING };
#define STATS_VQ    (1ull << 1)
#define F_REPORTING (1ull << 5)

static void balloon_setup(void)
{
    v = vt_new();
    vt_add(v, "virtio-balloon-pci,free-page-reporting=on,packed=on");
}

static bool zero(uint64_t pa, uint64_t len)
{
    return !v->ram[pa] && memcmp(v->ram + pa, v->ram + pa + 1, len - 1) == 0;
}

static void inflate(const uint32_t *pfns, unsigned n)
{
    struct vt_seg s = { VT_DATA, 4 * n, false };
    unsigned id;
    uint32_t len;

    for (unsigned i = 0; i < n; i++)
        vt_put(v, VT_DATA + 4 * i, pfns[i], 4);
    vt_offer(v, INFLATE, &s, 1);
    vt_kick(v, INFLATE);
    ck_assert(vt_used(v, INFLATE, &id, &len));
    ck_assert_uint_eq(vt_interrupts(v, INFLATE), 1);
}

START_TEST(pages)
{
    uint32_t pfns[64], odd[] = { 0x800, 0xffffffff, 0xa0, 0x7fffffff, 0x801, 0x1000, 0xfff };
    uint64_t before;
    struct balloon *b = v->e->m.balloon;
    struct vt_seg s[] = { { 0x700000, 0x10000, true }, { 0x730000, 0x10000, true },
                          { 0xb0000, 0x10000, true } };
    unsigned id;
    uint32_t len;

    ck_assert_ptr_nonnull(b);
    vt_start(v, drivers[_i] | STATS_VQ | F_REPORTING, true, 4);
    memset(v->ram + 0x600000, 0x55, 0x200000);
    memset(v->ram + 0x800000, 0x55, 0x800000);
    before = phys_touched(v->e->phys);
    for (unsigned i = 0; i < 64; i++)
        pfns[i] = 0x600 + i;
    inflate(pfns, 64);
    ck_assert_uint_le(phys_touched(v->e->phys), before - 48 * 4096);    /* the rings are new there */
    ck_assert(zero(0x600000, 64 * 4096));
    ck_assert_uint_eq(v->ram[0x5fffff], 0);
    ck_assert_uint_eq(v->ram[0x640000], 0x55);
    memset(v->ram + 0x600000, 0x66, 64 * 4096);         /* it is there again when touched */
    inflate(odd, 7);                            /* pages that are none, and neighbours not in order */
    ck_assert(v->ram[0x802000] == 0x55);
    vt_offer(v, REPORTING, s, 3);
    vt_kick(v, REPORTING);
    ck_assert(vt_used(v, REPORTING, &id, &len));
    ck_assert(zero(0x700000, 0x10000));
    ck_assert(zero(0x730000, 0x10000));
    ck_assert_uint_eq(v->ram[0x710000], 0x55);
    ck_assert_uint_eq(v->ram[0x740000], 0x55);
    vt_offer(v, DEFLATE, &(struct vt_seg){ VT_DATA, 64, false }, 1);
    vt_kick(v, DEFLATE);
    ck_assert(vt_used(v, DEFLATE, &id, &len));
    /* What is asked of the guest, and what it says it did. */
    v->msis[0] = 0;
    ck_assert_uint_eq(balloon_actual(b), VT_RAM);
    balloon_set(b, 12 << 20);
    ck_assert_uint_eq(v->msis[0], 1);
    ck_assert_uint_eq(vt_config(v, 0, 4), 1024);
    vt_config_write(v, 4, 1000, 4);
    ck_assert_uint_eq(balloon_actual(b), VT_RAM - 1000 * 4096);
    vt_config_write(v, 4, 0xffffffff, 4);
    ck_assert_uint_eq(balloon_actual(b), 0);
    vt_start(v, drivers[_i], true, 4);
    ck_assert_uint_eq(balloon_actual(b), VT_RAM);
    ck_assert_uint_eq(vt_config(v, 0, 4), 1024);        /* still wanted */
    balloon_set(b, UINT64_MAX);
    ck_assert_uint_eq(vt_config(v, 0, 4), 0);
    /* More pages at a time than any driver gives. */
    vt_offer(v, INFLATE, &(struct vt_seg){ VT_DATA, 0x50000, false }, 1);
    vt_kick(v, INFLATE);
    if (v->features & VT_MODERN)
        ck_assert_uint_eq(vt_status(v), 0x4f);
}
END_TEST

static void offer_stats(unsigned value)
{
    struct vt_seg s = { VT_DATA, 30, false };

    memset(v->ram + VT_DATA, 0, 30);
    vt_put(v, VT_DATA, BALLOON_FREE, 2);
    vt_put(v, VT_DATA + 2, value, 8);
    vt_put(v, VT_DATA + 10, BALLOON_TOTAL, 2);
    vt_put(v, VT_DATA + 12, 0x123456789abc, 8);
    vt_put(v, VT_DATA + 20, 0x7777, 2);         /* a tag of the future */
    vt_offer(v, STATS, &s, 1);
    vt_kick(v, STATS);
}

START_TEST(statistics)
{
    struct balloon *b = v->e->m.balloon;
    uint64_t stats[BALLOON_STATS];
    unsigned id;
    uint32_t len;

    ck_assert(!balloon_ask(b));
    vt_start(v, drivers[_i] | STATS_VQ, true, 3);
    ck_assert_uint_eq(balloon_stats(b, stats), 0);
    ck_assert_uint_eq(stats[BALLOON_FREE], UINT64_MAX);
    for (unsigned round = 1; round < 600; round++) {
        offer_stats(round);
        ck_assert_uint_eq(balloon_stats(b, stats), round);
        ck_assert_uint_eq(stats[BALLOON_FREE], round);
        ck_assert_uint_eq(stats[BALLOON_TOTAL], 0x123456789abc);
        ck_assert_uint_eq(stats[BALLOON_CACHES], UINT64_MAX);
        ck_assert(!vt_used(v, STATS, &id, &len));       /* kept */
        env_check_state(v->e);
        ck_assert(balloon_ask(b));
        ck_assert(vt_used(v, STATS, &id, &len));
        ck_assert_uint_eq(vt_interrupts(v, STATS), 1);
        ck_assert(!balloon_ask(b));
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("virtio-serial");
    TCase *t = tcase_create("serial"), *b = tcase_create("balloon");

    tcase_set_timeout(t, 120);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_loop_test(t, ports, 0, DRIVERS);
    tcase_add_loop_test(t, output, 0, DRIVERS);
    tcase_add_loop_test(t, single, 0, DRIVERS);
    tcase_add_test(t, fuzz);
    tcase_set_timeout(b, 120);
    tcase_add_checked_fixture(b, balloon_setup, teardown);
    tcase_add_loop_test(b, pages, 0, DRIVERS);
    tcase_add_loop_test(b, statistics, 0, DRIVERS);
    suite_add_tcase(suite, t);
    suite_add_tcase(suite, b);
    return run_suite(suite);
}
