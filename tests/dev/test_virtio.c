/*
 * test_virtio.c - the virtio transport and its rings, with a disk as the device: every kind of driver,
 * hostile rings, resets while requests are under way, and random writes everywhere.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "tests/dev/virtio_env.h"
#include "tests/run_suite.h"

#define DISK (8u << 20)
#define F_RO    (1ull << 5)
#define F_FLUSH (1ull << 9)
#define F_WCE   (1ull << 11)
#define F_MQ    (1ull << 12)
#define F_DISCARD (1ull << 13)
#define F_ZEROES (1ull << 14)
#define ALL     (F_FLUSH | F_WCE | F_MQ | F_DISCARD | F_ZEROES)
#define NEEDS_RESET 0x40

enum { OK = 0, IOERR = 1, UNSUPP = 2 };

static struct vt *v;
static struct vt_disk *d;

static struct drive *find_drive(void *arg, const char *id)
{
    return strcmp(id, d->drive.id) == 0 ? &d->drive : NULL;
}

static void start(const char *spec)
{
    d = vt_disk_new(DISK, "disk");
    v = vt_new();
    v->names.drive = find_drive;
    if (spec)
        vt_add(v, spec);
}

static void stop(void)
{
    vt_disk_run(d);
    vt_free(v);
    vt_disk_free(d);
}

#define HEADER  VT_DATA
#define STATUS  (VT_DATA + 0x100)
#define BUFFER  (VT_DATA + 0x10000)

/* A request whose data are `n` pieces. */
static void submit(unsigned q, unsigned type, uint64_t sector, const struct vt_seg *data, unsigned n)
{
    struct vt_seg s[32] = { { HEADER, 16, false } };

    vt_put(v, HEADER, type, 4);
    vt_put(v, HEADER + 4, 0, 4);
    vt_put(v, HEADER + 8, sector, 8);
    vt_put(v, STATUS, 0xff, 1);
    for (unsigned i = 0; i < n; i++)
        s[1 + i] = data[i];
    s[1 + n] = (struct vt_seg){ STATUS, 1, true };
    vt_offer(v, q, s, n + 2);
    vt_kick(v, q);
    vt_disk_run(d);
}

/* Its status, FFh: not answered. */
static unsigned request(unsigned q, unsigned type, uint64_t sector, const struct vt_seg *data, unsigned n)
{
    unsigned id;
    uint32_t len;

    submit(q, type, sector, data, n);
    if (vt_used(v, q, &id, &len))
        ck_assert_uint_eq(vt_interrupts(v, q), 1);
    else
        ck_assert_uint_eq(vt_get(v, STATUS, 1), 0xff);
    return vt_get(v, STATUS, 1);
}

static unsigned one(unsigned type, uint64_t sector, uint32_t len)
{
    struct vt_seg s = { BUFFER, len, type == 0 || type == 8 };

    return request(0, type, sector, &s, len ? 1 : 0);
}

static void same(uint64_t pa, uint64_t off, uint64_t len)
{
    ck_assert_int_eq(memcmp(v->ram + pa, d->bytes + off, len), 0);
}

/* ---- registers ---- */

START_TEST(identity)
{
    unsigned devfn = VT_SLOT << 3;

    start("virtio-blk-pci,drive=disk,num-queues=2");
    ck_assert_uint_eq(env_config_read(v->e, devfn, 0, 4), 0x10011af4);
    ck_assert_uint_eq(env_config_read(v->e, devfn, 8, 4), 0x01000000);
    ck_assert_uint_eq(env_config_read(v->e, devfn, 0x2c, 4), 0x00021af4);
    ck_assert_uint_eq(env_config_read(v->e, devfn, v->cap[0] + 2, 2), 2);       /* three vectors */
    for (unsigned type = 1; type <= 5; type++)
        ck_assert_uint_ne(v->cap[type], 0);
    ck_assert_uint_eq(env_config_read(v->e, devfn, v->cap[2] + 16, 4), 4);
    v->features = VT_MODERN;
    ck_assert_uint_eq(vt_offered(v) & (VT_MODERN | VT_EVENT | VT_INDIRECT | ALL | F_RO),
                      VT_MODERN | VT_EVENT | VT_INDIRECT | ALL);
    ck_assert_uint_eq(vt_read(v, 1, 0x12, 2), 2);
    vt_write(v, 1, 0, 2, 4);
    ck_assert_uint_eq(vt_read(v, 1, 4, 4), 0);
    vt_write(v, 1, 0x16, 2, 2);
    ck_assert_uint_eq(vt_read(v, 1, 0x18, 2), 0);       /* there is no queue 2 */
    ck_assert_uint_eq(vt_config(v, 0, 8), DISK / 512);
    ck_assert_uint_eq(vt_config(v, 20, 4), 512);
    ck_assert_uint_eq(vt_config(v, 34, 2), 2);
    vt_config_write(v, 0, 0, 4);
    ck_assert_uint_eq(vt_config(v, 0, 8), DISK / 512);
    v->features = 0;
    ck_assert_uint_eq(vt_offered(v) >> 32, 0);
    ck_assert_uint_eq(vt_config(v, 0, 8), DISK / 512);
    vt_legacy_write(v, 14, 1, 2);
    ck_assert_uint_eq(vt_legacy_read(v, 12, 2), 256);
    vt_legacy_write(v, 14, 2, 2);
    ck_assert_uint_eq(vt_legacy_read(v, 12, 2), 0);
    stop();

    start("virtio-blk-pci,drive=disk,disable-legacy=on,vectors=0");
    ck_assert_uint_eq(env_config_read(v->e, devfn, 0, 4), 0x10421af4);
    ck_assert_uint_eq(env_config_read(v->e, devfn, 8, 4), 0x01000001);
    ck_assert_uint_eq(env_config_read(v->e, devfn, 0x10, 4), 0);        /* no BAR there */
    ck_assert_uint_eq(v->cap[0], 0);
    stop();

    start("virtio-blk-pci,drive=disk,disable-modern=on");
    ck_assert_uint_eq(env_config_read(v->e, devfn, 0, 4), 0x10011af4);
    ck_assert_uint_eq(v->cap[1], 0);
    vt_start(v, ALL, true, 1);
    ck_assert_uint_eq(one(0, 5, 4096), OK);
    same(BUFFER, 5 * 512, 4096);
    stop();
}
END_TEST

START_TEST(negotiation)
{
    start("virtio-blk-pci,drive=disk");
    v->features = VT_MODERN;
    vt_set_status(v, 3);
    vt_write(v, 1, 8, 0, 4);
    vt_write(v, 1, 12, 0xffffffff, 4);
    ck_assert_uint_eq(vt_read(v, 1, 12, 4), (uint32_t)vt_offered(v));   /* no more than is offered */
    vt_set_status(v, 0x0b);
    ck_assert_uint_eq(vt_status(v), 3);                 /* not without VERSION_1 */
    vt_write(v, 1, 8, 1, 4);
    vt_write(v, 1, 12, 1, 4);
    vt_set_status(v, 0x0b);
    ck_assert_uint_eq(vt_status(v), 0x0b);
    vt_write(v, 1, 12, 0, 4);
    ck_assert_uint_eq(vt_read(v, 1, 12, 4), 1);         /* too late */
    vt_write(v, 1, 0x16, 0, 2);
    vt_write(v, 1, 0x18, 100, 2);                       /* no power of two */
    ck_assert_uint_eq(vt_read(v, 1, 0x18, 2), 256);
    vt_write(v, 1, 0x18, 512, 2);
    ck_assert_uint_eq(vt_read(v, 1, 0x18, 2), 256);
    vt_write(v, 1, 0x18, 64, 2);
    ck_assert_uint_eq(vt_read(v, 1, 0x18, 2), 64);
    vt_write(v, 1, 0x1a, 7, 2);                         /* no such vector */
    ck_assert_uint_eq(vt_read(v, 1, 0x1a, 2), 0xffff);
    vt_write(v, 1, 0x20, 0x12345678, 4);
    vt_write(v, 1, 0x24, 0x9, 4);
    ck_assert_uint_eq(vt_read(v, 1, 0x20, 4), 0x12345678);
    ck_assert_uint_eq(vt_read(v, 1, 0x24, 4), 9);
    vt_write(v, 1, 0x1c, 1, 2);                         /* not aligned */
    ck_assert_uint_eq(vt_status(v), 0x0b | NEEDS_RESET);
    vt_set_status(v, 0);
    ck_assert_uint_eq(vt_status(v), 0);
    ck_assert_uint_eq(vt_read(v, 1, 0x18, 2), 256);
    ck_assert_uint_eq(vt_read(v, 1, 0x20, 4), 0);
    stop();
}
END_TEST

/* The registers through configuration space. */
START_TEST(config_window)
{
    unsigned devfn = VT_SLOT << 3, cap;

    start("virtio-blk-pci,drive=disk");
    cap = v->cap[5];
    env_config_write(v->e, devfn, 4, 0, 2);             /* needs no BAR */
    env_config_write(v->e, devfn, cap + 4, 4, 1);
    env_config_write(v->e, devfn, cap + 8, v->at[4], 4);
    env_config_write(v->e, devfn, cap + 12, 4, 4);
    ck_assert_uint_eq(env_config_read(v->e, devfn, cap + 16, 4), DISK / 512);
    env_config_write(v->e, devfn, cap + 8, v->at[1] + 0x14, 4);
    env_config_write(v->e, devfn, cap + 12, 1, 4);
    env_config_write(v->e, devfn, cap + 16, 3, 1);
    ck_assert_uint_eq(env_config_read(v->e, devfn, cap + 16, 1), 3);
    env_config_write(v->e, devfn, 4, 7, 2);
    v->features = VT_MODERN;
    ck_assert_uint_eq(vt_status(v), 3);
    env_config_write(v->e, devfn, cap + 8, 0xfffffffe, 4);      /* nothing there */
    env_config_write(v->e, devfn, cap + 12, 2, 4);
    env_config_write(v->e, devfn, cap + 16, 0xaaaa, 2);
    ck_assert_uint_eq(env_config_read(v->e, devfn, cap + 16, 2), 0xaaaa);
    ck_assert_uint_eq(vt_status(v), 3);
    stop();
}
END_TEST

/* ---- requests, by every kind of driver ---- */

static const uint64_t drivers[] = {
    0, VT_INDIRECT, VT_EVENT, VT_INDIRECT | VT_EVENT, VT_MODERN, VT_MODERN | VT_INDIRECT,
    VT_MODERN | VT_EVENT,
    VT_MODERN | VT_INDIRECT | VT_EVENT, VT_MODERN | VT_PACKED, VT_MODERN | VT_PACKED | VT_INDIRECT,
    VT_MODERN | VT_PACKED | VT_EVENT, VT_MODERN | VT_PACKED | VT_INDIRECT | VT_EVENT
};
#define DRIVERS (sizeof(drivers) / sizeof(drivers[0]))

static void rounds(bool msix)
{
    struct vt_seg s[20];
    uint64_t seed = 1;

    for (unsigned round = 0; round < 600; round++) {
        bool write = round % 3 == 0;
        uint64_t sector = round * 37 % 8000, at = BUFFER;
        uint32_t len = (1 + round % 40) * 512, left = len, n = 0;

        for (; left && n < 19; n++) {           /* pieces of any length */
            seed = seed * 6364136223846793005ull + 1442695040888963407ull;
            s[n] = (struct vt_seg){ at, n == 18 ? left : 1 + seed % 3000, !write };
            if (s[n].len > left)
                s[n].len = left;
            at += s[n].len + seed % 7;
            left -= s[n].len;
        }
        if (write)
            for (uint32_t i = 0; i < 0x8000; i++)
                v->ram[BUFFER + i] = (uint8_t)(round + i * 3);
        else
            memset(v->ram + BUFFER, 0, 0x8000);
        ck_assert_uint_eq(request(round % 2, write, sector, s, n), OK);
        for (uint32_t i = 0, off = 0; i < n; off += s[i++].len)
            same(s[i].pa, sector * 512 + off, s[i].len);
    }
    ck_assert_uint_eq(v->msix, msix);
}

START_TEST(all_drivers)
{
    start("virtio-blk-pci,drive=disk,packed=on,num-queues=2,queue-size=32");
    for (unsigned msix = 0; msix < 2; msix++) {
        vt_start(v, drivers[_i] | ALL, msix, 2);
        ck_assert_uint_eq(v->features, drivers[_i] | ALL);
        rounds(msix);
        ck_assert_uint_eq(one(8, 0, 20), OK);
        ck_assert_uint_eq(one(99, 0, 0), UNSUPP);
        env_check_state(v->e);
        rounds(msix);
    }
    ck_assert_uint_eq(d->fuas, 0);
    stop();
}
END_TEST

/* Many at once: one interrupt for all of them; by index only when the driver says. */
START_TEST(batch)
{
    unsigned id;
    uint32_t len;

    start("virtio-blk-pci,drive=disk,packed=on,queue-size=64");
    vt_start(v, drivers[_i] | ALL, true, 1);
    for (unsigned round = 0; round < 200; round++) {
        bool table = drivers[_i] & VT_INDIRECT;
        unsigned n = table ? 16 : 20;

        for (unsigned k = 0; k < n; k++) {
            struct vt_seg s[] = { { HEADER + 32 * k, 16, false }, { BUFFER + 0x1000 * k, 512, true },
                                  { STATUS + 0x1000 + k, 1, true } };

            vt_put(v, s[0].pa, 0, 8);
            vt_put(v, s[0].pa + 8, round * n + k, 8);
            vt_offer(v, 0, s, 3);
        }
        vt_kick(v, 0);
        ck_assert_uint_eq(vt_disk_run(d), n);
        ck_assert_uint_ge(v->msis[1], 1);
        if (drivers[_i] & VT_EVENT)             /* none since the driver has looked at the first */
            ck_assert_uint_eq(v->msis[1], 1);
        v->msis[1] = 0;
        for (unsigned k = 0; k < n; k++) {
            ck_assert(vt_used(v, 0, &id, &len));
            ck_assert_uint_eq(len, 513);
            same(BUFFER + 0x1000 * k, (round * n + k) * 512, 512);
        }
        ck_assert(!vt_used(v, 0, &id, &len));
    }
    stop();
}
END_TEST

START_TEST(requests)
{
    struct vt_seg range = { BUFFER, 16, false };
    struct vt_seg hole[] = { { VT_HOLE - 512, 1024, true }, { BUFFER, 512, true } };
    struct vt_seg big[] = { { 0x600000, 6 << 20, true } };

    start("virtio-blk-pci,drive=disk,serial=ABC-0123456789-0123456789");
    vt_start(v, VT_MODERN | ALL, true, 1);
    ck_assert_uint_eq(one(8, 0, 20), OK);
    ck_assert_int_eq(memcmp(v->ram + BUFFER, "ABC-0123456789-01234", 20), 0);
    ck_assert_uint_eq(one(8, 0, 19), IOERR);
    ck_assert_uint_eq(one(4, 0, 0), OK);
    ck_assert_uint_eq(d->flushes, 1);
    ck_assert_uint_eq(one(0, DISK / 512 - 1, 512), OK);
    ck_assert_uint_eq(one(0, DISK / 512 - 1, 1024), IOERR);
    ck_assert_uint_eq(one(0, DISK / 512, 512), IOERR);
    ck_assert_uint_eq(one(1, UINT64_MAX, 512), IOERR);
    ck_assert_uint_eq(one(0, UINT64_MAX / 512 + 1, 512), IOERR);
    ck_assert_uint_eq(one(0, 0, 511), IOERR);
    ck_assert_uint_eq(one(0, 0, 0), OK);
    ck_assert_uint_eq(request(0, 0, 0, big, 1), OK);    /* more than one portion */
    same(0x600000, 0, 6 << 20);
    ck_assert_uint_eq(request(0, 0, 0, hole, 2), IOERR);        /* half of it is no RAM */
    /* Zeros, and what no longer counts. */
    vt_put(v, BUFFER, 16, 8);
    vt_put(v, BUFFER + 8, 8, 4);
    vt_put(v, BUFFER + 12, 1, 4);
    ck_assert_uint_eq(request(0, 13, 0, &range, 1), OK);
    for (unsigned i = 0; i < 8 * 512; i++)
        ck_assert_uint_eq(d->bytes[16 * 512 + i], 0);
    ck_assert_uint_eq(request(0, 11, 0, &range, 1), UNSUPP);    /* a flag that discard does not have */
    vt_put(v, BUFFER + 12, 0, 4);
    ck_assert_uint_eq(request(0, 11, 0, &range, 1), OK);
    ck_assert_uint_eq(d->discards, 1);
    vt_put(v, BUFFER, DISK / 512 - 1, 8);
    ck_assert_uint_eq(request(0, 11, 0, &range, 1), IOERR);
    vt_put(v, BUFFER, UINT64_MAX - 2, 8);
    ck_assert_uint_eq(request(0, 13, 0, &range, 1), IOERR);
    range.len = 17;
    ck_assert_uint_eq(request(0, 13, 0, &range, 1), IOERR);
    ck_assert_uint_eq(d->fuas, 0);
    vt_config_write(v, 32, 0, 1);                       /* write cache off */
    ck_assert_uint_eq(one(1, 7, 512), OK);
    ck_assert_uint_eq(d->fuas, 1);
    vt_start(v, ALL & ~F_FLUSH, false, 1);              /* its driver cannot flush */
    ck_assert_uint_eq(one(1, 7, 512), OK);
    ck_assert_uint_eq(d->fuas, 2);
    d->error = -5;
    ck_assert_uint_eq(one(0, 7, 512), IOERR);
    ck_assert_uint_eq(one(4, 0, 0), IOERR);
    stop();

    start(NULL);
    d->drive.read_only = true;
    vt_add(v, "virtio-blk-pci,drive=disk");
    vt_start(v, VT_MODERN | ALL | F_RO, true, 1);
    ck_assert_uint_eq(v->features, VT_MODERN | F_RO | F_FLUSH | F_WCE);
    ck_assert_uint_eq(one(1, 0, 512), IOERR);
    ck_assert_uint_eq(one(11, 0, 16), UNSUPP);
    ck_assert_uint_eq(d->writes, 0);
    ck_assert_uint_eq(one(0, 0, 512), OK);
    stop();
}
END_TEST

/* Off before a driver says anything, which may switch it on. */
START_TEST(cache_off)
{
    start("virtio-blk-pci,drive=disk,write-cache=off");
    vt_start(v, ALL, false, 1);
    ck_assert_uint_eq(vt_config(v, 32, 1), 0);
    ck_assert_uint_eq(one(1, 7, 512), OK);
    ck_assert_uint_eq(d->fuas, 1);
    vt_config_write(v, 32, 1, 1);
    ck_assert_uint_eq(one(1, 7, 512), OK);
    ck_assert_uint_eq(d->fuas, 1);
    stop();
}
END_TEST

/* Without bus mastering nothing is read or written. */
START_TEST(no_master)
{
    start("virtio-blk-pci,drive=disk");
    vt_start(v, VT_MODERN | ALL, true, 1);
    env_config_write(v->e, VT_SLOT << 3, 4, 3, 2);
    ck_assert_uint_eq(one(0, 0, 512), 0xff);
    ck_assert_uint_eq(vt_status(v) & NEEDS_RESET, NEEDS_RESET);
    ck_assert_uint_eq(d->reads, 0);
    env_config_write(v->e, VT_SLOT << 3, 4, 7, 2);
    vt_start(v, VT_MODERN | ALL, true, 1);
    ck_assert_uint_eq(one(0, 0, 512), OK);
    stop();
}
END_TEST

/* Another image: the driver is told of its size. */
START_TEST(medium)
{
    start("virtio-blk-pci,drive=disk");
    vt_start(v, VT_MODERN | ALL, false, 1);
    d->disk.size = DISK / 2;
    d->drive.user->changed(d->drive.dev);
    ck_assert(v->e->line[VT_SLOT & 3]);
    ck_assert_uint_eq(vt_isr(v), 2);
    ck_assert(!v->e->line[VT_SLOT & 3]);
    ck_assert_uint_eq(vt_config(v, 0, 8), DISK / 1024);
    ck_assert_uint_eq(vt_read(v, 1, 0x15, 1), 1);
    ck_assert_uint_eq(one(0, DISK / 1024, 512), IOERR);
    d->drive.disk = NULL;
    d->drive.user->changed(d->drive.dev);
    ck_assert_uint_eq(vt_config(v, 0, 8), 0);
    vt_isr(v);
    ck_assert_uint_eq(one(0, 0, 512), IOERR);
    stop();
}
END_TEST

/* ---- resets ---- */

START_TEST(reset_under_way)
{
    struct vt_seg s[] = { { HEADER, 16, false }, { BUFFER, 512, true }, { STATUS, 1, true } };

    start("virtio-blk-pci,drive=disk");
    for (unsigned how = 0; how < 4; how++) {
        unsigned id;
        uint32_t len;

        vt_start(v, (how & 1 ? VT_MODERN : 0) | ALL, false, 1);
        vt_put(v, HEADER, 0, 8);
        vt_put(v, HEADER + 8, 3, 8);
        vt_put(v, STATUS, 0xff, 1);
        for (unsigned i = 0; i < 10; i++)
            vt_offer(v, 0, s, 3);
        vt_kick(v, 0);
        if (how & 2) {
            chips_reset(v->e->chips);
            env_config_write(v->e, VT_SLOT << 3, 0x10, VT_BAR0, 4);
            env_config_write(v->e, VT_SLOT << 3, 0x20, VT_BAR4, 4);
            env_config_write(v->e, VT_SLOT << 3, 4, 7, 2);
        } else {
            vt_set_status(v, 0);
        }
        ck_assert_uint_ne(vt_status(v), 0);             /* not yet */
        ck_assert_uint_eq(vt_disk_run(d), 10);
        ck_assert_uint_eq(vt_status(v), 0);
        ck_assert_uint_eq(vt_get(v, STATUS, 1), 0xff);  /* no answer */
        ck_assert(!vt_used(v, 0, &id, &len));
        ck_assert(!v->e->line[VT_SLOT & 3]);
        env_config_write(v->e, VT_SLOT << 3, 0x14, VT_BAR1, 4);
    }
    /* A legacy driver that does not wait is served when the old requests are done. */
    vt_start(v, ALL, false, 1);
    vt_offer(v, 0, s, 3);
    vt_kick(v, 0);
    vt_set_status(v, 0);
    vt_set_status(v, 3);
    memset(v->ram + v->q[0].desc, 0, 0x4000);
    vt_legacy_write(v, 14, 0, 2);
    vt_legacy_write(v, 8, (uint32_t)(v->q[0].desc >> 12), 4);
    v->q[0].avail_idx = v->q[0].last_used = v->q[0].free = 0;
    vt_set_status(v, 7);
    vt_offer(v, 0, s, 3);
    vt_kick(v, 0);
    ck_assert_uint_eq(vt_get(v, STATUS, 1), 0xff);
    ck_assert_uint_eq(vt_disk_run(d), 2);
    ck_assert_uint_eq(vt_get(v, STATUS, 1), OK);
    ck_assert_uint_eq(vt_get(v, v->q[0].used + 2, 2), 1);
    stop();
}
END_TEST

/* ---- hostile rings ---- */

enum { LOOP, WIDE, TOO_MANY, ORDER, DESC_AWAY, RING_AWAY, INDIRECT_LEN, INDIRECT_NEXT, NESTED, WRAP, SUM,
       LONG, NO_STATUS, NO_HEADER, AWAY_HEADER, HOSTILE };

static void desc(unsigned n, uint64_t pa, uint32_t len, unsigned flags, unsigned next)
{
    uint64_t at = v->q[0].desc + 16 * n;

    vt_put(v, at, pa, 8);
    vt_put(v, at + 8, len, 4);
    vt_put(v, at + 12, flags, 2);
    vt_put(v, at + 14, next, 2);
}

static void hostile(unsigned what)
{
    struct vt_queue *q = &v->q[0];
    unsigned head = 0, idx = 1;

    desc(0, HEADER, 16, 1, 1);
    desc(1, BUFFER, 512, 3, 2);
    desc(2, STATUS, 1, 2, 0);
    switch (what) {
    case LOOP: desc(2, STATUS, 1, 3, 1); break;
    case WIDE: desc(1, BUFFER, 512, 3, 256); break;
    case TOO_MANY: idx = 257; break;
    case ORDER: desc(2, STATUS, 1, 0, 0); break;
    case DESC_AWAY: head = 0xffff; break;
    case RING_AWAY: desc(0, 0xd0000000, 16, 4, 0); break;
    case INDIRECT_LEN: desc(0, BUFFER, 17, 4, 0); break;
    case INDIRECT_NEXT: desc(0, BUFFER, 16, 5, 1); break;
    case NESTED:
        vt_put(v, BUFFER, BUFFER, 8);
        vt_put(v, BUFFER + 8, 16, 4);
        vt_put(v, BUFFER + 12, 4, 4);
        desc(0, BUFFER, 16, 4, 0);
        break;
    case WRAP: desc(1, UINT64_MAX - 100, 512, 3, 2); break;
    case SUM:
        desc(1, BUFFER, 0xffffffff, 3, 2);
        break;
    case LONG:
        for (unsigned i = 0; i < 1100; i++) {
            vt_put(v, BUFFER + 16 * i, BUFFER, 8);
            vt_put(v, BUFFER + 16 * i + 8, 1, 4);
            vt_put(v, BUFFER + 16 * i + 12, 3 | (i + 1) << 16, 4);
        }
        desc(0, HEADER, 16, 1, 1);
        desc(1, BUFFER, 16 * 1100, 4, 0);
        break;
    case NO_STATUS: desc(0, HEADER, 16, 0, 0); break;
    case NO_HEADER: desc(0, HEADER, 15, 1, 2); break;
    default: desc(0, 0xa8000, 16, 1, 2); break;
    }
    vt_put(v, q->avail + 4, head, 2);
    vt_put(v, q->avail + 2, idx, 2);
    vt_kick_always(v, 0);
    vt_disk_run(d);
}

START_TEST(bad_rings)
{
    start("virtio-blk-pci,drive=disk");
    for (unsigned modern = 0; modern < 2; modern++) {
        unsigned id;
        uint32_t len;

        vt_start(v, (modern ? VT_MODERN : 0) | VT_INDIRECT | ALL, false, 1);
        hostile(_i);
        if (_i == AWAY_HEADER) {                /* a buffer that is no RAM: reads as ones */
            ck_assert_uint_eq(vt_get(v, STATUS, 1), UNSUPP);
            continue;
        }
        ck_assert(!vt_used(v, 0, &id, &len));
        if (modern) {
            ck_assert_uint_eq(vt_status(v), 0x0f | NEEDS_RESET);
            ck_assert_uint_eq(vt_isr(v), 2);
        }
        vt_start(v, (modern ? VT_MODERN : 0) | ALL, false, 1);
        ck_assert_uint_eq(one(0, 9, 512), OK);
        same(BUFFER, 9 * 512, 512);
    }
    stop();
}
END_TEST

/* A packed ring whose chain goes round for ever; and more chains than entries. */
START_TEST(bad_packed)
{
    struct vt_queue *q;
    unsigned all = 0;

    start("virtio-blk-pci,drive=disk,packed=on,queue-size=16");
    q = &v->q[0];
    vt_start(v, VT_MODERN | VT_PACKED | ALL, false, 1);
    for (unsigned i = 0; i < 16; i++) {
        vt_put(v, q->desc + 16 * i, BUFFER, 8);
        vt_put(v, q->desc + 16 * i + 8, 16, 4);
        vt_put(v, q->desc + 16 * i + 12, 0x81u << 16, 4);
    }
    vt_kick_always(v, 0);
    ck_assert_uint_eq(vt_status(v), 0x0f | NEEDS_RESET);
    vt_start(v, VT_MODERN | VT_PACKED | VT_INDIRECT | ALL, false, 1);
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < 16; i++) {
            struct vt_seg s[] = { { HEADER, 16, false }, { BUFFER, 512, true }, { STATUS, 1, true } };

            vt_put(v, HEADER, 0, 8);
            vt_put(v, HEADER + 8, 1, 8);
            vt_offer(v, 0, s, 3);
        }
        vt_kick_always(v, 0);
    }
    ck_assert_uint_eq(vt_status(v), 0x0f | NEEDS_RESET);
    all = vt_disk_run(d);
    ck_assert_uint_eq(all, 16);
    stop();
}
END_TEST

/* ---- random ---- */

static uint64_t seed;

static uint32_t rnd(void)
{
    seed = seed * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)(seed >> 33);
}

static void scribble(void)
{
    struct vt_queue *q = &v->q[rnd() % 2];
    uint64_t parts[] = { q->desc, q->avail, q->used, q->tables, HEADER, BUFFER };
    uint64_t at = parts[rnd() % 6] + rnd() % (rnd() % 4 ? 64 : 0x4000);
    static const uint64_t values[] = { 0, 1, 2, 3, 4, 7, 0x80, 0x8080, 0xffff, HEADER, BUFFER, 0x200000,
                                       0xa0000, 16, 512 };

    vt_put(v, at, rnd() % 4 ? values[rnd() % 15] : rnd(), 1u << rnd() % 4);
}

START_TEST(fuzz)
{
    start("virtio-blk-pci,drive=disk,packed=on,num-queues=2,queue-size=32");
    seed = 4711 + _i;
    for (unsigned round = 0; round < 150; round++) {
        vt_disk_run(d);
        vt_start(v, drivers[rnd() % DRIVERS] | ALL, rnd() % 2, 2);
        for (unsigned n = 0; n < 250; n++) {
            unsigned size = 1u << rnd() % 3;
            struct vt_seg data = { BUFFER, rnd() % 5000, rnd() % 2 };

            switch (rnd() % 8) {
            case 0: vt_write(v, 1, rnd() % 64, rnd() % 3 ? rnd() % 32 : rnd(), size); break;
            case 1: vt_legacy_write(v, rnd() % 128, rnd() % 3 ? rnd() % 32 : rnd(), size); break;
            case 2: vt_read(v, 1 + rnd() % 4, rnd() % 0x1000, size); break;
            case 3: vt_legacy_read(v, rnd() % 120, size); break;
            case 4: vt_kick_always(v, rnd() % 3); break;
            case 5:
                if (rnd() % 4 == 0)
                    vt_disk_run(d);
                break;
            case 6: submit(rnd() % 2, rnd() % 14, rnd() % 20000, &data, 1); break;
            default: scribble(); break;
            }
        }
    }
    stop();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("virtio");
    TCase *t = tcase_create("virtio");

    tcase_set_timeout(t, 120);
    tcase_add_test(t, identity);
    tcase_add_test(t, negotiation);
    tcase_add_test(t, config_window);
    tcase_add_loop_test(t, all_drivers, 0, DRIVERS);
    tcase_add_loop_test(t, batch, 0, DRIVERS);
    tcase_add_test(t, requests);
    tcase_add_test(t, cache_off);
    tcase_add_test(t, no_master);
    tcase_add_test(t, medium);
    tcase_add_test(t, reset_under_way);
    tcase_add_loop_test(t, bad_rings, 0, HOSTILE);
    tcase_add_test(t, bad_packed);
    tcase_add_loop_test(t, fuzz, 0, 2);
    suite_add_tcase(suite, t);
    return run_suite(suite);
}
