/*
 * test_virtio_net.c - virtio network card: frames both ways in buffers of any shape, what it takes and what
 * not, the control queue, hostile commands; and the source of entropy.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "hw/net_if.h"
#include "hw/rng_if.h"
#include "tests/dev/virtio_env.h"
#include "tests/run_suite.h"

#define F_MRG    (1ull << 15)
#define F_STATUS (1ull << 16)
#define F_CTRL   (1ull << 17 | 1ull << 18 | 1ull << 19 | 1ull << 20 | 1ull << 23)
#define ALL      (F_MRG | F_STATUS | F_CTRL)
enum { RX, TX, CTRL };

static struct vt *v;
static struct net net;
static uint8_t sent[NET_FRAME_MAX];
static size_t sent_len;
static unsigned sends, readies;

static void net_sent(struct net *n, const uint8_t *frame, size_t len)
{
    ck_assert_uint_le(len, NET_FRAME_MAX);
    memcpy(sent, frame, len);
    sent_len = len;
    sends++;
}

static void ready(struct net *n)
{
    readies++;
}

static const struct net_ops net_ops = { net_sent, ready };

static struct net *find_net(void *arg, const char *id)
{
    return strcmp(id, "n0") == 0 ? &net : NULL;
}

static void setup(void)
{
    net = (struct net){ .ops = &net_ops, .id = "n0", .up = true };
    sends = readies = 0;
    v = vt_new();
    v->names.netdev = find_net;
    vt_add(v, "virtio-net-pci,netdev=n0,mac=52:54:00:aa:bb:cc,packed=on");
}

static void teardown(void)
{
    vt_free(v);
}

static const uint64_t drivers[] = {
    0, VT_EVENT, VT_INDIRECT, F_MRG, VT_MODERN, VT_MODERN | VT_EVENT | VT_INDIRECT, VT_MODERN | F_MRG,
    VT_MODERN | VT_PACKED, VT_MODERN | VT_PACKED | F_MRG | VT_EVENT
};
#define DRIVERS (sizeof(drivers) / sizeof(drivers[0]))

static unsigned header(void)
{
    return v->features & (VT_MODERN | F_MRG) ? 12 : 10;
}

static void make_frame(uint8_t *f, size_t len, const char *to)
{
    for (size_t i = 0; i < len; i++)
        f[i] = (uint8_t)(i * 5 + len);
    memcpy(f, to, 6);
    f[12] = 8;
    f[13] = 0;
}
#define OWN "\x52\x54\x00\xaa\xbb\xcc"

static bool receive(const uint8_t *f, size_t len)
{
    return net.user->receive(net.dev, f, len);
}

START_TEST(transmit)
{
    uint8_t f[3000];
    unsigned id;
    uint32_t len;

    vt_start(v, drivers[_i] | (ALL & ~F_MRG), _i & 1, 3);
    for (unsigned n = 1; n < 3000; n += 7) {
        struct vt_seg s[] = { { VT_DATA, header() - 3, false }, { VT_DATA + 0x100, 3, false },
                              { VT_DATA + 0x1000, n / 3, false }, { VT_DATA + 0x3000, n - n / 3, false } };

        for (unsigned i = 0; i < n; i++)
            f[i] = v->ram[(i < n / 3 ? VT_DATA + 0x1000 : VT_DATA + 0x3000 - n / 3) + i] = (uint8_t)(i * 3 + n);
        vt_offer(v, TX, s, 4);
        vt_kick(v, TX);
        ck_assert(vt_used(v, TX, &id, &len));
        ck_assert_uint_eq(len, 0);
        ck_assert_uint_eq(vt_interrupts(v, TX), 1);
        ck_assert_uint_eq(sent_len, n);
        ck_assert_int_eq(memcmp(sent, f, n), 0);
    }
    /* A header alone, and more than any frame: nothing is sent. */
    for (unsigned i = 0; i < 2; i++) {
        struct vt_seg s = { VT_DATA, i ? NET_FRAME_MAX + 13 : header(), false };
        unsigned before = sends;

        vt_offer(v, TX, &s, 1);
        vt_kick(v, TX);
        ck_assert(vt_used(v, TX, &id, &len));
        ck_assert_uint_eq(sends, before);
    }
    net.up = false;
    ck_assert_uint_gt(sends, 400);
}
END_TEST

START_TEST(receive_frames)
{
    uint8_t f[4096], got[8192];
    unsigned id;
    uint32_t len;

    vt_start(v, drivers[_i] | (ALL & ~F_MRG), _i & 1, 3);
    make_frame(f, 100, OWN);
    ck_assert(!receive(f, 100));                /* no buffer yet: it waits */
    for (unsigned n = 14; n < 4000; n += 31) {
        bool merge = v->features & F_MRG;
        unsigned buffers = merge ? (header() + n + 599) / 600 : 1, at = 0;

        make_frame(f, n, OWN);
        for (unsigned i = 0; i < buffers; i++) {
            struct vt_seg s[] = { { VT_DATA + 0x2000 * i, merge ? 250 : 12, true },
                                  { VT_DATA + 0x2000 * i + 0x1000, merge ? 350 : 4000, true } };

            if (i + 1 == buffers && buffers > 1)
                ck_assert(!receive(f, n));      /* not enough yet; what was looked at is still there */
            readies = 0;
            vt_offer(v, RX, s, 2);
            vt_kick_always(v, RX);
            ck_assert_uint_eq(readies, 1);
        }
        ck_assert(receive(f, n));
        ck_assert_uint_eq(vt_interrupts(v, RX), 1);
        for (unsigned i = 0; i < buffers; i++) {
            ck_assert(vt_used(v, RX, &id, &len));
            for (unsigned k = 0; k < len; k++) {
                unsigned first = merge ? 250 : 12;

                got[at++] = v->ram[VT_DATA + 0x2000 * i + (k < first ? k : 0x1000 + k - first)];
            }
        }
        ck_assert(!vt_used(v, RX, &id, &len));
        ck_assert_uint_eq(at, header() + n);
        for (unsigned k = 0; k < 10; k++)
            ck_assert_uint_eq(got[k], 0);
        if (header() == 12)
            ck_assert_uint_eq(got[10] | got[11] << 8, buffers);
        ck_assert_int_eq(memcmp(got + header(), f, n), 0);
        env_check_state(v->e);
    }
}
END_TEST

static void buffers(unsigned n)
{
    while (n--) {
        struct vt_seg s = { VT_DATA, 2000, true };

        vt_offer(v, RX, &s, 1);
    }
    vt_kick_always(v, RX);
}

/* Is a frame to that address taken? */
static bool takes(const char *to, unsigned vlan)
{
    uint8_t f[64];
    unsigned id;
    uint32_t len;

    make_frame(f, sizeof(f), to);
    if (vlan) {
        f[12] = 0x81;
        f[14] = vlan >> 8;
        f[15] = vlan;
    }
    buffers(1);
    ck_assert(receive(f, sizeof(f)));
    if (!vt_used(v, RX, &id, &len))
        return false;
    ck_assert_uint_eq(len, sizeof(f) + header());
    return true;
}

/* A control command; returns its answer. */
static unsigned control(unsigned class, unsigned cmd, const void *data, unsigned n)
{
    struct vt_seg s[] = { { VT_DATA + 0x100000, 2, false }, { VT_DATA + 0x101000, n, false },
                          { VT_DATA + 0x102000, 1, true } };
    unsigned id;
    uint32_t len;

    vt_put(v, s[0].pa, class | cmd << 8, 2);
    memcpy(v->ram + s[1].pa, data, n);
    vt_put(v, s[2].pa, 0xff, 1);
    vt_offer(v, CTRL, s, 3);
    vt_kick(v, CTRL);
    ck_assert(vt_used(v, CTRL, &id, &len));
    ck_assert_uint_eq(len, 1);
    return vt_get(v, s[2].pa, 1);
}

START_TEST(filters)
{
    static const char other[] = "\x52\x54\x00\x01\x02\x03", group[] = "\x01\x00\x5e\x01\x02\x03",
        all[] = "\xff\xff\xff\xff\xff\xff";
    static const uint8_t table[] = "\1\0\0\0\x52\x54\x00\x01\x02\x03\1\0\0\0\x01\x00\x5e\x01\x02\x03", on = 1,
        off = 0;
    uint8_t big[4 + 100 * 6 + 4] = { 100 };

    vt_start(v, VT_MODERN | ALL, true, 3);
    ck_assert_uint_eq(vt_config(v, 0, 6), 0xccbbaa005452);
    ck_assert(takes(OWN, 0) && takes(other, 0) && takes(group, 0) && takes(all, 0));
    ck_assert_uint_eq(control(0, 0, &off, 1), 0);       /* no longer promiscuous */
    ck_assert(takes(OWN, 0) && !takes(other, 0) && !takes(group, 0) && takes(all, 0));
    ck_assert_uint_eq(control(0, 5, &on, 1), 0);
    ck_assert(!takes(all, 0));
    ck_assert_uint_eq(control(0, 5, &off, 1), 0);
    ck_assert_uint_eq(control(1, 0, table, 20), 0);
    ck_assert(takes(OWN, 0) && takes(other, 0) && takes(group, 0) && !takes("\x01\x00\x5e\x01\x02\x04", 0));
    ck_assert_uint_eq(control(0, 3, &on, 1), 0);
    ck_assert(takes(other, 0) && !takes(group, 0));
    ck_assert_uint_eq(control(0, 3, &off, 1), 0);
    ck_assert_uint_eq(control(0, 4, &on, 1), 0);
    ck_assert(!takes(other, 0) && !takes(OWN, 0) && takes(group, 0));
    ck_assert_uint_eq(control(0, 4, &off, 1), 0);
    ck_assert_uint_eq(control(1, 0, "\0\0\0\0\0\0\0\0", 8), 0);
    ck_assert(!takes(other, 0) && !takes(group, 0));
    ck_assert_uint_eq(control(0, 1, &on, 1), 0);
    ck_assert(!takes(other, 0) && takes(group, 0));
    ck_assert_uint_eq(control(0, 1, &off, 1), 0);
    ck_assert_uint_eq(control(0, 2, &on, 1), 0);
    ck_assert(takes(other, 0) && !takes(group, 0));
    ck_assert_uint_eq(control(0, 2, &off, 1), 0);
    ck_assert_uint_eq(control(1, 0, big, sizeof(big)), 0);      /* more than the table holds */
    ck_assert(takes(other, 0) && !takes(group, 0));
    env_check_state(v->e);
    ck_assert_uint_eq(control(1, 0, "\0\0\0\0\0\0\0\0", 8), 0);
    ck_assert_uint_eq(control(1, 1, other, 6), 0);
    ck_assert(takes(other, 0) && !takes(OWN, 0));
    ck_assert_uint_eq(vt_config(v, 0, 6), 0x030201005452);
    ck_assert(!takes(other, 5));
    ck_assert_uint_eq(control(2, 0, "\5", 2), 0);
    ck_assert(takes(other, 5) && !takes(other, 6) && takes(other, 0));
    ck_assert_uint_eq(control(2, 1, "\5", 2), 0);
    ck_assert(!takes(other, 5));
    /* Nonsense. */
    ck_assert_uint_eq(control(1, 0, "\xff\xff\xff\xff", 4), 1);
    ck_assert_uint_eq(control(1, 0, "\xab\xaa\xaa\x2a", 4), 1);         /* times six it is 2 */
    ck_assert_uint_eq(control(1, 0, "\1\0", 2), 1);
    ck_assert_uint_eq(control(1, 1, other, 5), 1);
    ck_assert_uint_eq(control(0, 6, &on, 1), 1);
    ck_assert_uint_eq(control(9, 9, &on, 1), 1);
    ck_assert_uint_eq(control(0, 0, &on, 0), 1);
    vt_start(v, VT_MODERN | ALL, true, 3);              /* as it was */
    ck_assert(takes(other, 9));
    ck_assert_uint_eq(vt_config(v, 0, 6), 0xccbbaa005452);
}
END_TEST

static unsigned sum_of(const uint8_t *p, size_t n, unsigned sum)
{
    for (size_t i = 0; i < n; i++)
        sum += i & 1 ? p[i] : p[i] << 8;
    while (sum >> 16)
        sum = (sum >> 16) + (sum & 0xffff);
    return sum;
}

/* Checksums and TCP segments that the driver leaves to the device; what makes no sense is not sent. */
START_TEST(offloads)
{
    static const uint8_t head[] = { 0x45, 0, 0, 0, 0x12, 0x34, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2,
                                    0, 80, 0x10, 0, 0, 0, 0, 100, 0, 0, 0, 0, 0x50, 0x19, 1, 0, 0, 0, 0, 0 };
    uint8_t *f = v->ram + VT_DATA + 12;
    struct vt_seg s = { VT_DATA, 12 + 54 + 2500, false };
    unsigned id, before;
    uint32_t len;

    for (unsigned bad = 0; bad < 5; bad++) {
        vt_start(v, VT_MODERN | ALL | (bad == 4 ? 0 : 1 | 1ull << 11), true, 3);
        make_frame(f, 54 + 2500, OWN);
        memcpy(f + 14, head, sizeof(head));
        memset(v->ram + VT_DATA, 0, 12);
        v->ram[VT_DATA] = bad == 1 ? 0 : 1;
        v->ram[VT_DATA + 1] = 1;
        vt_put(v, VT_DATA + 4, bad == 2 ? 0 : 1000, 2);
        vt_put(v, VT_DATA + 6, bad == 3 ? 3000 : 34, 2);
        vt_put(v, VT_DATA + 8, 16, 2);
        before = sends;
        vt_offer(v, TX, &s, 1);
        vt_kick(v, TX);
        ck_assert(vt_used(v, TX, &id, &len));
        ck_assert_uint_eq(sends - before, bad ? 0 : 3);
        if (bad)
            continue;
        ck_assert_uint_eq(sent_len, 54 + 500);
        ck_assert_uint_eq(sent[16] << 8 | sent[17], 540);
        ck_assert_uint_eq(sent[18] << 8 | sent[19], 0x1236);
        ck_assert_uint_eq(sent[40] << 8 | sent[41], 2100);
        ck_assert_uint_eq(sent[47], 0x19);
        ck_assert_uint_eq(sum_of(sent + 14, 20, 0), 0xffff);
        ck_assert_uint_eq(sum_of(sent + 34, 520, sum_of(sent + 26, 8, 6 + 520)), 0xffff);
        ck_assert_int_eq(memcmp(sent + 54, f + 54 + 2000, 500), 0);
    }
}
END_TEST

START_TEST(link)
{
    uint8_t f[60] = { 0 };

    ck_assert(receive(f, 60));                  /* no driver: dropped */
    vt_start(v, VT_MODERN | ALL, false, 3);
    ck_assert_uint_eq(vt_config(v, 6, 2), 1);
    net.up = false;
    net.user->link(net.dev, false);
    ck_assert(v->e->line[VT_SLOT & 3]);
    ck_assert_uint_eq(vt_isr(v), 2);
    ck_assert_uint_eq(vt_config(v, 6, 2), 0);
    net.user->link(net.dev, true);
    ck_assert_uint_eq(vt_config(v, 6, 2), 1);
    vt_isr(v);
    buffers(1);
    ck_assert(receive(f, 5));                   /* no frame at all */
    vt_start(v, VT_MODERN | F_STATUS, false, 2);
    {
        struct vt_seg s = { VT_DATA, 40, true };

        vt_offer(v, RX, &s, 1);
        vt_kick_always(v, RX);
        ck_assert(receive(f, 60));              /* will never fit: dropped, and the buffer is still there */
        ck_assert(receive(f, 28));
        ck_assert_uint_eq(vt_interrupts(v, RX), 1);
    }
    vt_start(v, 0, false, 2);                   /* a legacy driver sets its address */
    vt_config_write(v, 0, 0x77, 1);
    ck_assert_uint_eq(vt_config(v, 0, 6), 0xccbbaa005477);
}
END_TEST

START_TEST(fuzz)
{
    uint64_t seed = 99;
    uint8_t f[3000];

    for (unsigned round = 0; round < 20000; round++) {
        unsigned r, q, n = 1 + round % 3;
        struct vt_seg s[3];

        seed = seed * 6364136223846793005ull + 1442695040888963407ull;
        r = (unsigned)(seed >> 33);
        if (round % 200 == 0)
            vt_start(v, drivers[r % DRIVERS] | (r & 64 ? ALL : 0), r & 32, 3);
        q = r % 3;
        for (unsigned i = 0; i < n; i++)
            s[i] = (struct vt_seg){ VT_DATA + r % 0x3000 + i * 0x1000, (r >> (4 * i)) % 1600, (r >> i) & 1 };
        if (r & 8)
            vt_put(v, VT_DATA + r % 0x4000, r & 0x100 ? 0x10001u * (r % 10) : r, 4);
        vt_offer(v, q, s, n);
        vt_kick_always(v, q);
        if (r & 16) {
            make_frame(f, 6 + r % 2000, r & 128 ? OWN : "\xff\xff\xff\xff\xff\xff");
            receive(f, 6 + r % 2000);
        }
        if (r % 97 == 0)
            vt_put(v, v->q[q].avail + r % 16, r, 2);
    }
    vt_start(v, VT_MODERN | ALL, true, 3);
    ck_assert(takes(OWN, 0));
}
END_TEST

static void no_setup(void)
{
    v = vt_new();
    vt_add(v, "virtio-rng-pci,packed=on");
}

START_TEST(entropy)
{
    struct vt_seg s[] = { { VT_DATA, 3, true }, { VT_DATA + 0x100, 61, true } };
    struct vt_seg large = { VT_DATA, 1 << 20, true }, out = { VT_DATA, 64, false };
    uint8_t first[64];
    unsigned id, zeros = 0;
    uint32_t len;

    vt_start(v, drivers[_i] & ~F_MRG, _i & 1, 1);
    vt_offer(v, 0, s, 2);
    vt_kick(v, 0);
    ck_assert(vt_used(v, 0, &id, &len));
    ck_assert_uint_eq(len, 64);
    ck_assert_uint_eq(vt_interrupts(v, 0), 1);
    memcpy(first, v->ram + VT_DATA + 0x100, 61);
    for (unsigned i = 0; i < 61; i++)
        zeros += !first[i];
    ck_assert_uint_lt(zeros, 10);
    ck_assert_uint_eq(vt_get(v, VT_DATA + 3, 1) | vt_get(v, VT_DATA + 0x100 + 61, 1), 0);
    vt_offer(v, 0, s, 2);
    vt_kick(v, 0);
    ck_assert_int_ne(memcmp(first, v->ram + VT_DATA + 0x100, 61), 0);
    vt_used(v, 0, &id, &len);
    vt_offer(v, 0, &large, 1);
    vt_offer(v, 0, &out, 1);
    vt_kick(v, 0);
    ck_assert(vt_used(v, 0, &id, &len));
    ck_assert_uint_eq(len, 4096);
    ck_assert_uint_eq(vt_get(v, VT_DATA + 4096, 8), 0);
    ck_assert(vt_used(v, 0, &id, &len));
    ck_assert_uint_eq(len, 0);
}
END_TEST

/* ---- entropy from a source that may have none ---- */

static struct source {
    struct rng rng;
    size_t has;                 /* bytes */
    uint8_t next;
    unsigned waits;
} source;

static size_t source_get(struct rng *r, void *buf, size_t len)
{
    size_t n = source.has < len ? source.has : len;

    (void)r;
    for (size_t i = 0; i < n; i++)
        ((uint8_t *)buf)[i] = source.next++;
    source.has -= n;
    return n;
}

static void source_wait(struct rng *r)
{
    (void)r;
    source.waits++;
}

static struct rng *find_source(void *arg, const char *id)
{
    (void)arg;
    return strcmp(id, "s") ? NULL : &source.rng;
}

static void source_setup(void)
{
    static const struct rng_ops ops = { source_get, source_wait };

    source = (struct source){ .rng = { .ops = &ops, .id = "s" }, .next = 1 };
    v = vt_new();
    v->names.rng = find_source;
    vt_add(v, "virtio-rng-pci,packed=on,rng=s");
}

START_TEST(waiting)
{
    struct vt_seg s = { VT_DATA, 64, true }, none = { VT_DATA + 0x1000, 64, false };
    unsigned id;
    uint32_t len;

    vt_start(v, drivers[_i] & ~F_MRG, _i & 1, 1);
    source.has = 40;
    vt_offer(v, 0, &s, 1);
    vt_offer(v, 0, &s, 1);
    vt_offer(v, 0, &none, 1);
    vt_kick(v, 0);
    ck_assert(vt_used(v, 0, &id, &len));        /* what there is, at once */
    ck_assert_uint_eq(len, 40);
    ck_assert_uint_eq(vt_get(v, VT_DATA, 2), 0x0201);
    ck_assert(!vt_used(v, 0, &id, &len));
    source.rng.ready(source.rng.dev);           /* for nothing */
    vt_kick(v, 0);
    ck_assert(!vt_used(v, 0, &id, &len));
    source.has = 1000;
    source.rng.ready(source.rng.dev);
    ck_assert(vt_used(v, 0, &id, &len));
    ck_assert_uint_eq(len, 64);
    ck_assert_uint_eq(vt_get(v, VT_DATA, 2), 0x2a29);
    ck_assert(vt_used(v, 0, &id, &len));
    ck_assert_uint_eq(len, 0);
    ck_assert_uint_eq(source.has, 1000 - 64);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("virtio-net");
    TCase *t = tcase_create("net"), *rng = tcase_create("rng"), *from = tcase_create("rng-source");

    tcase_set_timeout(t, 120);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_loop_test(t, transmit, 0, DRIVERS);
    tcase_add_loop_test(t, receive_frames, 0, DRIVERS);
    tcase_add_test(t, filters);
    tcase_add_test(t, link);
    tcase_add_test(t, offloads);
    tcase_add_test(t, fuzz);
    tcase_add_checked_fixture(rng, no_setup, teardown);
    tcase_add_loop_test(rng, entropy, 0, DRIVERS);
    suite_add_tcase(suite, t);
    suite_add_tcase(suite, rng);
    tcase_add_checked_fixture(from, source_setup, teardown);
    tcase_add_loop_test(from, waiting, 0, DRIVERS);
    suite_add_tcase(suite, from);
    return run_suite(suite);
}
