/*
 * test_uhci.c - UHCI with a small driver: registers, ports, control and interrupt transfers, hubs, errors,
 * idle guests, hostile schedules.
 */
#include <check.h>
#include <string.h>

#include "hw/usb/hid.h"
#include "tests/dev/bus_env.h"
#include "tests/run_suite.h"

#define MS 1000000ull
#define SLOT 4
#define IO 0xc000
#define FRAMES 0x1000u
#define QUEUE 0x2000u
#define TDS 0x3000u
#define SETUP_AT 0x4000u
#define DATA 0x5000u
#define IRQ ((SLOT + 3) & 3)    /* INTD */

#define ACTIVE (1u << 23)
#define STALLED (1u << 22)
#define NAK (1u << 19)
#define TIMEOUT (1u << 18)
#define IOC (1u << 24)
#define SPD (1u << 29)
#define TRIES (3u << 27)

static struct bus_env *b;
static struct usb_bus *bus;

static uint32_t in(unsigned reg, unsigned size)
{
    return ports_read(b->e->ports, IO + reg, size);
}

static void out(unsigned reg, uint32_t val, unsigned size)
{
    ports_write(b->e->ports, IO + reg, val, size);
}

static void start(void)
{
    env_config_write(b->e, SLOT << 3, 0x20, IO, 4);
    env_config_write(b->e, SLOT << 3, 4, 5, 2);
    for (unsigned i = 0; i < 1024; i++)
        ram_put(b, FRAMES + 4 * i, QUEUE | 2);
    ram_put(b, QUEUE, 1);
    ram_put(b, QUEUE + 4, 1);
    out(8, FRAMES, 4);
    out(4, 15, 2);
    out(0, 1, 2);
}

static void setup(void)
{
    b = bus_env_new();
    bus_env_plug(b, "piix3-usb-uhci", "addr", "4", NULL);
    bus_env_plug(b, "usb-tablet", NULL);
    bus_env_plug(b, "usb-hub", NULL);
    bus_env_plug(b, "usb-kbd", "port", "2.5", NULL);
    bus = plug_bus_find(&b->plugs, "usb-bus.0");
    start();
}

static void teardown(void)
{
    bus_env_free(b);
}

static void pass(uint64_t ns)
{
    clock_advance(b->e->clock, ns);
}

static void td(unsigned n, bool last, uint32_t ctrl, unsigned pid, unsigned addr, unsigned ep, uint32_t buf,
               unsigned len)
{
    uint32_t at = TDS + 32 * n;

    ram_put(b, at, last ? 1 : (at + 32) | 4);
    ram_put(b, at + 4, ctrl | ACTIVE);
    ram_put(b, at + 8, pid | addr << 8 | ep << 15 | ((len - 1) & 0x7ff) << 21);
    ram_put(b, at + 12, buf);
}

static uint32_t status(unsigned n)
{
    return ram_get(b, TDS + 32 * n + 4);
}

static void go(void)
{
    ram_put(b, QUEUE + 4, TDS);
}

/* Returns the bytes of data, -1: stalled, -2: not done. */
static int control(unsigned addr, unsigned type, unsigned request, unsigned value, unsigned index,
                   unsigned len)
{
    const uint8_t packet[8] = { type, request, value, value >> 8, index, index >> 8, len, len >> 8 };
    unsigned pid = type & 0x80 ? 0x69 : 0xe1, n = 0, data;
    int got = 0;

    memcpy(b->ram + SETUP_AT, packet, 8);
    td(n++, false, TRIES, 0x2d, addr, 0, SETUP_AT, 8);
    for (unsigned at = 0; at < len; at += 64)
        td(n++, false, TRIES, pid, addr, 0, DATA + at, len - at < 64 ? len - at : 64);
    data = n;
    td(n++, true, TRIES | IOC, pid == 0x69 && len ? 0xe1 : 0x69, addr, 0, 0, 0);
    go();
    for (unsigned i = 0; i < 40 && status(n - 1) & ACTIVE; i++) {
        pass(MS);
        for (unsigned t = 0; t < n; t++)
            if (status(t) & STALLED)
                return -1;
    }
    if (status(n - 1) & ACTIVE)
        return -2;
    for (unsigned t = 1; t < data; t++)
        got += ((status(t) & 0x7ff) + 1) & 0x7ff;
    return got;
}

static void reset_port(unsigned n)
{
    out(0x10 + 2 * n, 0x200, 2);
    pass(50 * MS);
    out(0x10 + 2 * n, 0, 2);
    out(0x10 + 2 * n, 0x4 | 0xa, 2);
}

START_TEST(identity)
{
    ck_assert_uint_eq(env_config_read(b->e, SLOT << 3, 0, 4), 0x70208086);
    ck_assert_uint_eq(env_config_read(b->e, SLOT << 3, 8, 4), 0x0c030001);
    ck_assert_uint_eq(env_config_read(b->e, SLOT << 3, 0x60, 1), 0x10);
    ck_assert_uint_eq(env_config_read(b->e, SLOT << 3, 0xc0, 2), 0x2000);
    ck_assert_uint_eq(env_config_read(b->e, SLOT << 3, 0x3d, 1), 4);
}
END_TEST

START_TEST(registers)
{
    ck_assert_uint_eq(in(2, 2), 0);
    ck_assert_uint_eq(in(6, 2), 0);
    pass(5 * MS);
    ck_assert_uint_eq(in(6, 2), 5);
    pass(2043 * MS);
    ck_assert_uint_eq(in(6, 2), 0);             /* 11 bits */
    ck_assert_uint_eq(in(8, 4), FRAMES);
    ck_assert_uint_eq(in(0xc, 1), 0x40);
    out(0xc, 0x3f, 1);
    ck_assert_uint_eq(in(0xc, 1), 0x3f);
    out(0, 0, 2);
    ck_assert_uint_eq(in(2, 2), 0x20);
    out(6, 0x7fff, 2);
    ck_assert_uint_eq(in(6, 2), 0x7ff);
    pass(5 * MS);
    ck_assert_uint_eq(in(6, 2), 0x7ff);
    out(9, 0x70, 1);                            /* a byte of a register alone */
    ck_assert_uint_eq(in(8, 4), 0x7000);
    ck_assert_uint_eq(in(0x14, 2), 0xffff);     /* no third port */
    out(0, 2, 2);
    ck_assert_uint_eq(in(0, 2), 0);
    ck_assert_uint_eq(in(8, 4), 0);
}
END_TEST

START_TEST(ports)
{
    ck_assert_uint_eq(in(0x10, 2), 0x83);
    out(0x10, 2, 1);
    ck_assert_uint_eq(in(0x10, 2), 0x81);
    out(0x10, 0x200, 2);
    ck_assert_uint_eq(in(0x10, 2), 0x281);
    ck_assert_ptr_null(usb_find(bus, 0));
    out(0x10, 4, 2);
    ck_assert_uint_eq(in(0x10, 2), 0x85);
    ck_assert_ptr_nonnull(usb_find(bus, 0));
    out(0x10, 0x1004, 2);
    ck_assert_ptr_null(usb_find(bus, 0));       /* suspended: no packets */
    out(0x10, 0x1044, 2);
    out(0x10, 0x1004, 2);                       /* the end of resume */
    ck_assert_uint_eq(in(0x10, 2), 0x85);
    ck_assert_ptr_nonnull(usb_find(bus, 0));
    out(0, 5, 2);
    ck_assert_uint_eq(in(0x10, 2), 0x83);
    ck_assert_ptr_null(usb_find(bus, 0));
}
END_TEST

START_TEST(enumerate)
{
    reset_port(0);
    ck_assert_int_eq(control(0, 0x80, 6, 0x100, 0, 64), 18);
    ck_assert_uint_eq(b->ram[DATA], 18);
    ck_assert_uint_eq(b->ram[DATA + 8], 0x27);
    ck_assert(b->e->line[IRQ]);
    ck_assert_uint_eq(in(2, 2), 1);
    out(2, 1, 2);
    ck_assert(!b->e->line[IRQ]);
    ck_assert_int_eq(control(0, 0, 5, 9, 0, 0), 0);
    ck_assert_int_eq(control(0, 0x80, 6, 0x100, 0, 18), -1);    /* nobody is there any more */
    ck_assert_uint_eq(in(2, 2) & 2, 2);
    ck_assert_uint_eq(status(0) & (TIMEOUT | STALLED), TIMEOUT | STALLED);
    ck_assert_int_eq(control(9, 0x80, 6, 0x200, 0, 255), 34);
    ck_assert_int_eq(control(9, 0x80, 6, 0x302, 0x409, 255), 22);
    ck_assert_mem_eq(b->ram + DATA, "\026\003U\0S\0B\0 \0T\0", 12);
    ck_assert_int_eq(control(9, 0x80, 6, 0x309, 0x409, 255), -1);
    ck_assert_uint_eq(status(1) & (TIMEOUT | STALLED), STALLED);
    ck_assert_int_eq(control(9, 0, 9, 2, 0, 0), -1);
    ck_assert_int_eq(control(9, 0, 9, 1, 0, 0), 0);
    ck_assert_int_eq(control(9, 0x80, 8, 0, 0, 1), 1);
    ck_assert_uint_eq(b->ram[DATA], 1);
    ck_assert_int_eq(control(9, 0x81, 6, 0x2200, 0, 255), 74);
    ck_assert_int_eq(control(9, 0x80, 0, 0, 0, 2), 2);
    ck_assert_uint_eq(b->ram[DATA], 0);
    ck_assert_int_eq(control(9, 0, 3, 1, 0, 0), 0);
    ck_assert_int_eq(control(9, 0x80, 0, 0, 0, 2), 2);
    ck_assert_uint_eq(b->ram[DATA], 2);
    env_check_state(b->e);
}
END_TEST

START_TEST(short_packet)
{
    reset_port(0);
    memcpy(b->ram + SETUP_AT, "\x80\x06\0\1\0\0\x40\0", 8);
    td(0, false, TRIES, 0x2d, 0, 0, SETUP_AT, 8);
    td(1, false, TRIES | SPD, 0x69, 0, 0, DATA, 64);
    td(2, true, TRIES | IOC, 0xe1, 0, 0, 0, 0);
    go();
    pass(20 * MS);
    ck_assert_uint_eq(status(1) & (ACTIVE | 0x7ff), 17);
    ck_assert(status(2) & ACTIVE);              /* the queue stands */
    ck_assert_uint_eq(ram_get(b, QUEUE + 4), (TDS + 32) | 4);
    ck_assert_uint_eq(in(2, 2), 1);
    ck_assert(b->e->line[IRQ]);
    out(4, 7, 2);                               /* not for short packets */
    ck_assert(!b->e->line[IRQ]);
}
END_TEST

static struct usb_hid *tablet(void)
{
    reset_port(0);
    ck_assert_int_eq(control(0, 0, 5, 1, 0, 0), 0);
    ck_assert_int_eq(control(1, 0, 9, 1, 0, 0), 0);
    return (struct usb_hid *)usb_find(bus, 1);
}

START_TEST(interrupt)
{
    struct usb_hid *h = tablet();

    out(2, 0xffff, 2);
    td(0, true, IOC, 0x69, 1, 1, DATA, 8);
    go();
    pass(100 * MS);
    ck_assert_uint_eq(status(0) & (ACTIVE | NAK), ACTIVE | NAK);
    ck_assert(!b->e->line[IRQ]);
    ck_assert_uint_eq(in(2, 2), 0);
    usb_hid_place(h, 0x1234, 0x7fff, 0, 1);
    pass(MS);                                   /* at the next frame, idle as the guest may have been */
    ck_assert_uint_eq(status(0) & (ACTIVE | 0x7ff), 5);
    ck_assert_mem_eq(b->ram + DATA, "\x01\x34\x12\xff\x7f\0", 6);
    ck_assert(b->e->line[IRQ]);
    /* A buffer that is too small. */
    usb_hid_place(h, 1, 2, 0, 1);
    td(0, true, 0, 0x69, 1, 1, DATA, 4);
    go();
    pass(MS * 2);
    ck_assert_uint_eq(status(0) & (ACTIVE | STALLED | 1u << 20), STALLED | 1u << 20);
    /* No such endpoint. */
    td(0, true, TRIES, 0x69, 1, 2, DATA, 4);
    go();
    pass(MS * 12);
    ck_assert_uint_eq(status(0) & (ACTIVE | STALLED | TIMEOUT), STALLED | TIMEOUT);
}
END_TEST

START_TEST(idle)
{
    unsigned wakes = 0;

    tablet();
    td(0, true, IOC, 0x69, 1, 1, DATA, 8);
    go();
    pass(200 * MS);
    for (uint64_t end = clock_now(b->e->clock) + 1000 * MS; clock_now(b->e->clock) < end; wakes++)
        pass(clock_next(b->e->clock) - clock_now(b->e->clock));
    ck_assert_uint_le(wakes, 126);              /* an eighth of the frames */
    ck_assert_uint_eq(in(6, 2), clock_now(b->e->clock) / MS % 2048);
    /* A new transfer is done soon all the same, and the next ones quickly. */
    pass(8 * MS);
    ck_assert_int_eq(control(1, 0x80, 8, 0, 0, 1), 1);
    for (unsigned i = 0; i < 4; i++) {
        uint64_t from = clock_now(b->e->clock);

        ck_assert_int_eq(control(1, 0x80, 8, 0, 0, 1), 1);
        ck_assert_uint_le(clock_now(b->e->clock) - from, 2 * MS);
    }
}
END_TEST

START_TEST(wakeup)
{
    struct usb_hid *h = tablet();

    ck_assert_int_eq(control(1, 0, 3, 1, 0, 0), 0);
    out(2, 0xffff, 2);
    out(0x10, 0x1004, 2);
    out(0, 8, 2);                               /* the whole bus sleeps */
    usb_hid_place(h, 1, 1, 0, 0);
    ck_assert_uint_eq(in(2, 2) & 4, 4);
    ck_assert(b->e->line[IRQ]);
    ck_assert_uint_eq(in(0x10, 2) & 0x40, 0x40);
}
END_TEST

START_TEST(hub)
{
    struct usb_hid *kbd;

    reset_port(1);
    ck_assert_int_eq(control(0, 0, 5, 3, 0, 0), 0);
    ck_assert_int_eq(control(3, 0, 9, 1, 0, 0), 0);
    ck_assert_int_eq(control(3, 0xa0, 6, 0x2900, 0, 64), 11);
    ck_assert_uint_eq(b->ram[DATA + 2], 8);
    td(0, true, IOC, 0x69, 3, 1, DATA, 2);
    go();
    pass(20 * MS);
    ck_assert(status(0) & ACTIVE);              /* ports without power tell nothing */
    for (unsigned n = 1; n <= 8; n++)
        ck_assert_int_eq(control(3, 0x23, 3, 8, n, 0), 0);
    td(0, true, IOC, 0x69, 3, 1, DATA, 2);
    go();
    pass(20 * MS);
    ck_assert_uint_eq(status(0) & (ACTIVE | 0x7ff), 1);
    ck_assert_mem_eq(b->ram + DATA, "\x20\0", 2);
    ck_assert_int_eq(control(3, 0xa3, 0, 0, 5, 4), 4);
    ck_assert_uint_eq(ram_get(b, DATA), 0x00010101);
    ck_assert_int_eq(control(3, 0x23, 1, 16, 5, 0), 0);
    ck_assert_ptr_null(usb_find(bus, 0));
    ck_assert_int_eq(control(3, 0x23, 3, 4, 5, 0), 0);
    ck_assert_int_eq(control(3, 0xa3, 0, 0, 5, 4), 4);
    ck_assert_uint_eq(ram_get(b, DATA), 0x00100103);
    ck_assert_int_eq(control(0, 0, 5, 4, 0, 0), 0);
    ck_assert_int_eq(control(4, 0, 9, 1, 0, 0), 0);
    kbd = (struct usb_hid *)usb_find(bus, 4);
    usb_hid_key(kbd, 30, true);
    td(0, true, IOC, 0x69, 4, 1, DATA, 8);
    go();
    pass(20 * MS);
    ck_assert_mem_eq(b->ram + DATA, "\0\0\x04\0\0\0\0\0", 8);
    env_check_state(b->e);
    ck_assert_int_eq(control(3, 0xa3, 0, 0, 9, 4), -1);
    ck_assert_int_eq(control(3, 0x23, 1, 1, 5, 0), 0);          /* port disabled */
    ck_assert_ptr_null(usb_find(bus, 4));
    ck_assert_int_eq(control(3, 0x23, 3, 2, 1, 0), 0);
    reset_port(1);
    ck_assert_ptr_eq(usb_find(bus, 0), bus->ports->next->dev);
}
END_TEST

START_TEST(bad_pointers)
{
    out(8, 0xfffff000, 4);                      /* no RAM there */
    pass(9 * MS);
    ck_assert_uint_eq(in(2, 2), 0x28);
    ck_assert(b->e->line[IRQ]);
    out(2, 8, 2);
    ck_assert(!b->e->line[IRQ]);
    out(8, FRAMES, 4);
    reset_port(0);
    td(0, true, 0, 0x69, 0, 0, 0xf0000000, 8);
    ram_put(b, TDS + 8, 0x12 | 7 << 21);        /* no such packet */
    go();
    out(0, 1, 2);
    pass(9 * MS);
    ck_assert_uint_eq(in(2, 2), 0x30);
    out(2, 0x10, 2);
    td(0, true, 0, 0xe1, 0, 0, 0xf0000000, 8);
    go();
    out(0, 1, 2);
    pass(9 * MS);
    ck_assert_uint_eq(in(2, 2), 0x28);
    out(2, 0x3f, 2);
    td(0, true, 0, 0xe1, 0, 0, DATA, 1281);
    go();
    out(0, 1, 2);
    pass(9 * MS);
    ck_assert_uint_eq(in(2, 2), 0x30);
}
END_TEST

START_TEST(loops)
{
    reset_port(0);
    /* Queue heads in a ring, a queue whose element is itself, a descriptor that links to itself. */
    ram_put(b, QUEUE, (QUEUE + 0x20) | 2);
    ram_put(b, QUEUE + 4, 1);
    ram_put(b, QUEUE + 0x20, QUEUE | 2);
    ram_put(b, QUEUE + 0x24, 1);
    pass(50 * MS);
    ck_assert_uint_eq(in(2, 2), 0);
    ram_put(b, QUEUE + 4, QUEUE | 2);
    pass(50 * MS);
    td(0, true, 0, 0x69, 0, 0, DATA, 8);
    ram_put(b, TDS, TDS | 4);
    ram_put(b, TDS + 4, 0);
    for (unsigned i = 0; i < 1024; i++)
        ram_put(b, FRAMES + 4 * i, TDS);
    pass(50 * MS);
    ck_assert_uint_eq(in(2, 2), 0);
    ck_assert_uint_eq(in(6, 2), clock_now(b->e->clock) / MS % 2048);
}
END_TEST

START_TEST(bandwidth)
{
    /* 19 packets of 64 bytes fit into a frame: more wait for the next one. */
    reset_port(0);
    for (unsigned i = 0; i < 40; i++) {
        td(i, i == 39, 0, 0x2d, 0, 0, SETUP_AT, 8);
        ram_put(b, TDS + 32 * i + 8, 0xe1 | 63u << 21);
    }
    memcpy(b->ram + SETUP_AT, "\0\x09\0\0\0\0\0\4", 8);
    td(0, false, 0, 0x2d, 0, 0, SETUP_AT, 8);
    go();
    out(0xc, 0x40, 1);
    pass(MS);
    ck_assert(!(status(16) & ACTIVE));
    ck_assert(status(25) & ACTIVE);
}
END_TEST

START_TEST(fuzz)
{
    uint64_t seed = 1;

    reset_port(0);
    reset_port(1);
    for (unsigned round = 0; round < 3000; round++) {
        for (unsigned i = 0; i < 64; i++) {
            uint32_t v = bus_env_random(&seed), kind = v & 7;

            v = bus_env_random(&seed);
            if (kind < 4)
                v = QUEUE + (v & 0x0ff0) + (v >> 16 & 7);
            else if (kind == 4)
                v = v << 1 | ACTIVE;
            else if (kind == 5)
                v = (v & 1 ? 0x69 : v & 2 ? 0x2d : 0xe1) | (v & 0x10000 ? v & 0xfff80000 : 7u << 21);
            ram_put(b, QUEUE + 4 * (bus_env_random(&seed) & 1023), v);
        }
        if (bus_env_random(&seed) % 4 == 0)
            out(bus_env_random(&seed) & 0x1f, bus_env_random(&seed), 1u << bus_env_random(&seed) % 3);
        if (bus_env_random(&seed) % 16 == 0) {
            out(8, FRAMES, 4);
            out(0, 1, 2);
        }
        pass(MS * (bus_env_random(&seed) & 3));
        if (round % 500 == 0)
            env_check_state(b->e);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("uhci");
    TCase *t = tcase_create("uhci");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 60);
    tcase_add_test(t, identity);
    tcase_add_test(t, registers);
    tcase_add_test(t, ports);
    tcase_add_test(t, enumerate);
    tcase_add_test(t, short_packet);
    tcase_add_test(t, interrupt);
    tcase_add_test(t, idle);
    tcase_add_test(t, wakeup);
    tcase_add_test(t, hub);
    tcase_add_test(t, bad_pointers);
    tcase_add_test(t, loops);
    tcase_add_test(t, bandwidth);
    tcase_add_test(t, fuzz);
    suite_add_tcase(suite, t);
    return run_suite(suite);
}
