/*
 * test_xhci.c - xHCI with a small driver: registers, ports, slots, control and interrupt transfers, stalls,
 * stopping, event rings that are full, messages, hubs by route, super-speed ports and a disk there, hostile
 * rings.
 */
#include <check.h>
#include <string.h>

#include "hw/usb/hid.h"
#include "tests/dev/usb_env.h"
#include "tests/run_suite.h"

#define SLOT 6
#define MMIO 0xe0000000u
#define MSIX 0xe0100000u
#define OPER 0x40
#define PORTSC(n) (0x440 + 16 * (n))
#define INTR 0x1020
#define BELL(n) (0x2000 + 4 * (n))
#define IRQ (SLOT & 3)

#define DCBAA 0x1000u
#define COMMANDS 0x2000u
#define ERST 0x3000u
#define EVENTS 0x4000u
#define EVENTS_N 32u
#define INPUT 0x5000u
#define CONTEXT 0x6000u         /* + 0x400 * slot */
#define RING 0x10000u           /* + 0x1000 * (slot * 4 + ring): endpoints 1, 3 and 4 */
#define DATA 0x8000u

static struct usb_env *u;
static struct bus_env *b;
static struct usb_bus *bus;
static unsigned cmd_at, event_at, event_cycle;
static struct { unsigned at, cycle; } ring[64];
static uint32_t ev[4];          /* the last event */

static uint32_t in(unsigned reg)
{
    return phys_io_read(b->e->phys, MMIO + reg, 4);
}

static void out(unsigned reg, uint32_t val)
{
    phys_io_write(b->e->phys, MMIO + reg, val, 4);
}

static void start(void)
{
    env_config_write(b->e, SLOT << 3, 0x10, MMIO, 4);
    env_config_write(b->e, SLOT << 3, 0x18, MSIX, 4);
    env_config_write(b->e, SLOT << 3, 4, 6, 2);
    out(OPER, 2);
    out(OPER + 0x38, 8);
    out(OPER + 0x30, DCBAA);
    out(OPER + 0x18, COMMANDS | 1);
    ram_put(b, ERST, EVENTS);
    ram_put(b, ERST + 8, EVENTS_N);
    out(INTR + 8, 1);
    out(INTR + 0x18, EVENTS);
    out(INTR + 0x10, ERST);
    out(INTR, 2);
    cmd_at = event_at = 0;
    event_cycle = 1;
    out(OPER, 5);
}

static void setup(void)
{
    u = usb_env_new();
    b = u->b;
    bus_env_plug(b, "qemu-xhci", "addr", "6", NULL);
    bus_env_plug(b, "usb-tablet", NULL);
    bus_env_plug(b, "usb-hub", NULL);
    bus_env_plug(b, "usb-kbd", "port", "2.3", NULL);
    bus_env_plug(b, "usb-storage", "drive", "d0", NULL);
    bus = plug_bus_find(&b->plugs, "usb-bus.0");
    memset(ring, 0, sizeof(ring));
    start();
}

static void teardown(void)
{
    usb_env_free(u);
}

static bool peek_event(void)
{
    return (ram_get(b, EVENTS + 16 * event_at + 12) & 1) == event_cycle;
}

/* The next event's type, 0: there is none. */
static unsigned event(void)
{
    if (!peek_event())
        return 0;
    for (unsigned i = 0; i < 4; i++)
        ev[i] = ram_get(b, EVENTS + 16 * event_at + 4 * i);
    event_at = (event_at + 1) % EVENTS_N;
    event_cycle ^= event_at == 0;
    out(INTR + 0x18, (EVENTS + 16 * event_at) | 8);
    return ev[3] >> 10 & 63;
}

static unsigned code(void)
{
    return ev[2] >> 24;
}

static void trb(uint32_t at, uint32_t p0, uint32_t p1, uint32_t status, uint32_t control)
{
    ram_put(b, at, p0);
    ram_put(b, at + 4, p1);
    ram_put(b, at + 8, status);
    ram_put(b, at + 12, control);
}

/* Returns its completion code. */
static unsigned command(unsigned type, uint32_t param, uint32_t control)
{
    unsigned kind;

    trb(COMMANDS + 16 * cmd_at, param, 0, 0, type << 10 | control | 1);
    cmd_at++;
    out(BELL(0), 0);
    while ((kind = event()) != 0 && kind != 33)
        ;
    ck_assert_uint_eq(kind, 33);
    ck_assert_uint_eq(ev[0], COMMANDS + 16 * (cmd_at - 1));
    return code();
}

static uint32_t ring_base(unsigned slot, unsigned ep)
{
    return RING + 0x1000 * (slot * 4 + (ep == 1 ? 0 : ep - 2));
}

static uint32_t put(unsigned slot, unsigned ep, uint32_t p0, uint32_t p1, uint32_t status, uint32_t control)
{
    unsigned r = slot * 4 + (ep == 1 ? 0 : ep - 2);
    uint32_t at = ring_base(slot, ep) + 16 * ring[r].at;

    trb(at, p0, p1, status, control | (ring[r].cycle ^ 1));
    if (++ring[r].at == 60) {                   /* a link back */
        trb(at + 16, ring_base(slot, ep), 0, 0, 6 << 10 | 2 | (ring[r].cycle ^ 1));
        ring[r].at = 0;
        ring[r].cycle ^= 1;
    }
    return at;
}

/* Bytes of data, or a negative code. */
static int control(unsigned slot, unsigned type, unsigned request, unsigned value, unsigned index,
                   unsigned len)
{
    uint32_t dir = type & 0x80 ? 0x10000 : 0;
    int left = 0;

    put(slot, 1, type | request << 8 | value << 16, index | len << 16, 8, 2 << 10 | 0x40);
    if (len)
        put(slot, 1, DATA, 0, len, 3 << 10 | dir | 4);
    put(slot, 1, 0, 0, 0, 4 << 10 | (len && dir ? 0 : 0x10000) | 0x20);
    out(BELL(slot), 1);
    for (unsigned n = 0; n < 3; n++) {
        if (event() != 32)
            return -1000;
        if (code() == 13)
            left = ev[2] & 0xffffff;
        else
            return code() == 1 ? (int)len - left : -(int)code();
    }
    return -2000;
}

static void input_context(unsigned slot, uint32_t add, uint32_t route, unsigned port, unsigned ep)
{
    memset(b->ram + INPUT, 0, 0x500);
    ram_put(b, INPUT + 4, add);
    ram_put(b, INPUT + 0x20, route | 1 << 20 | (ep ? ep : 1) << 27);
    ram_put(b, INPUT + 0x24, port << 16);
    ram_put(b, INPUT + 0x44, 4 << 3 | 64 << 16);
    ram_put(b, INPUT + 0x48, ring_base(slot, 1) | 1);
    if (ep) {
        ram_put(b, INPUT + 0x20 + 0x20 * ep + 4, 7 << 3 | 8 << 16);
        ram_put(b, INPUT + 0x20 + 0x20 * ep + 8, ring_base(slot, ep) | 1);
    }
}

static unsigned new_device(uint32_t route, unsigned port)
{
    unsigned slot;

    ck_assert_uint_eq(command(9, 0, 0), 1);
    slot = ev[3] >> 24;
    ram_put(b, DCBAA + 8 * slot, CONTEXT + 0x400 * slot);
    input_context(slot, 3, route, port, 0);
    ck_assert_uint_eq(command(11, INPUT, slot << 24), 1);
    ck_assert_uint_eq(ram_get(b, CONTEXT + 0x400 * slot + 12), 2u << 27 | slot);
    ck_assert_uint_eq(ram_get(b, CONTEXT + 0x400 * slot + 0x20) & 7, 1);
    return slot;
}

static void reset_port(unsigned n)
{
    out(PORTSC(n), 0x210);
    ck_assert_uint_eq(in(PORTSC(n)) & 0x200003, 0x200003);
    out(PORTSC(n), 0x200 | 0xfe0000);
}

/* Address, configuration, endpoint 1 IN. */
static unsigned hid(uint32_t route, unsigned port)
{
    unsigned slot = new_device(route, port);

    ck_assert_int_eq(control(slot, 0, 9, 1, 0, 0), 0);
    input_context(slot, 1 | 1 << 3, route, port, 3);
    ck_assert_uint_eq(command(12, INPUT, slot << 24), 1);
    return slot;
}

START_TEST(registers)
{
    ck_assert_uint_eq(env_config_read(b->e, SLOT << 3, 0, 4), 0x000d1b36);
    ck_assert_uint_eq(env_config_read(b->e, SLOT << 3, 8, 4), 0x0c033001);
    ck_assert_uint_eq(in(0), 0x01000040);
    ck_assert_uint_eq(in(4), 0x08001020);
    ck_assert_uint_eq(in(0x20), 0x02000402);
    ck_assert_uint_eq(in(0x28), 0x401);
    ck_assert_uint_eq(in(0x30), 0x03000002);
    ck_assert_uint_eq(in(0x38), 0x405);
    ck_assert_uint_eq(in(OPER + 4) & 1, 0);
    clock_advance(b->e->clock, 125000 * 5);
    ck_assert_uint_eq(in(0x1000), 5);
    out(OPER, 0);
    ck_assert_uint_eq(in(OPER + 4) & 1, 1);
    ck_assert_uint_eq(in(OPER + 0x30), DCBAA);
    out(OPER, 2);
    ck_assert_uint_eq(in(OPER + 0x30), 0);
    ck_assert_uint_eq(in(OPER), 0);
    ck_assert_uint_eq(in(0x3ff0), 0);
}
END_TEST

START_TEST(ports)
{
    ck_assert_uint_eq(event(), 34);
    ck_assert_uint_eq(ev[0], 1u << 24);
    ck_assert_uint_eq(event(), 34);
    ck_assert_uint_eq(ev[0], 2u << 24);
    ck_assert_uint_eq(event(), 34);
    ck_assert_uint_eq(ev[0], 7u << 24);
    ck_assert_uint_eq(event(), 0);
    ck_assert_uint_eq(in(PORTSC(0)), 0x00020ee1);
    ck_assert_uint_eq(in(PORTSC(2)), 0x000002a0);
    ck_assert_uint_eq(in(PORTSC(4)), 0x000002a0);
    ck_assert_uint_eq(in(OPER + 4) & 0x10, 0x10);
    reset_port(0);
    ck_assert_uint_eq(event(), 34);
    ck_assert_uint_eq(in(PORTSC(0)), 0x00000e03);
    out(PORTSC(0), 0x10060 | 0x200);            /* suspend */
    ck_assert_uint_eq(in(PORTSC(0)) & 0x1e0, 0x60);
    ck_assert(bus->ports->dev->suspended);
    out(PORTSC(0), 0x101e0 | 0x200);
    out(PORTSC(0), 0x10000 | 0x200);
    ck_assert_uint_eq(in(PORTSC(0)), 0x00400e03);
    ck_assert_uint_eq(event(), 34);
    ck_assert(!bus->ports->dev->suspended);
    out(PORTSC(0), 0x202);
    ck_assert_uint_eq(in(PORTSC(0)) & 0x1e3, 0x081);
}
END_TEST

START_TEST(transfers)
{
    unsigned slot;
    struct usb_hid *h;

    reset_port(0);
    slot = hid(0, 1);
    h = (struct usb_hid *)bus->ports->dev;
    ck_assert_int_eq(control(slot, 0x80, 6, 0x100, 0, 18), 18);
    ck_assert_uint_eq(b->ram[DATA + 8], 0x27);
    ck_assert_int_eq(control(slot, 0x80, 6, 0x200, 0, 255), 34);        /* short */
    for (unsigned i = 0; i < 50; i++)           /* round the ring */
        ck_assert_int_eq(control(slot, 0x80, 8, 0, 0, 1), 1);
    put(slot, 3, DATA, 0, 8, 1 << 10 | 0x24);
    out(BELL(slot), 3);
    ck_assert_uint_eq(event(), 0);              /* NAK */
    ck_assert_uint_eq(clock_next(b->e->clock), UINT64_MAX);     /* and nothing that polls */
    env_check_state(b->e);
    usb_hid_place((void *)h, 0x1234, 0x4321, 0, 1);
    clock_advance(b->e->clock, 1000000);
    ck_assert_uint_eq(event(), 32);
    ck_assert_uint_eq(ev[2], 13u << 24 | 2);
    ck_assert_uint_eq(ev[3] >> 16, slot << 8 | 3);
    ck_assert_mem_eq(b->ram + DATA, "\x01\x34\x12\x21\x43\0", 6);
    /* A chain of two, and event data. */
    put(slot, 3, DATA, 0, 2, 1 << 10 | 0x10);
    put(slot, 3, DATA + 0x100, 0, 4, 1 << 10 | 0x10);
    put(slot, 3, 0xabcd, 0, 0, 7 << 10 | 0x20);
    usb_hid_place((void *)h, 1, 2, 0, 0);
    out(BELL(slot), 3);
    ck_assert_uint_eq(event(), 32);
    ck_assert_uint_eq(ev[0], 0xabcd);
    ck_assert_uint_eq(ev[2], 1u << 24 | 6);
    ck_assert_uint_eq(ev[3] & 4, 4);
    ck_assert_mem_eq(b->ram + DATA, "\0\1", 2);
    ck_assert_mem_eq(b->ram + DATA + 0x100, "\0\2\0\0", 4);
}
END_TEST

/* A running endpoint is told to have packets that it cannot have: the command fails, and it goes on with the others. */
START_TEST(packet_sizes)
{
    static const uint16_t bad[] = { 0, 1025, 0xffff };
    unsigned slot;

    reset_port(0);
    slot = hid(0, 1);
    while (event())
        ;
    for (unsigned i = 0; i < 3; i++) {
        input_context(slot, 1 | 1 << 3, 0, 1, 3);
        ram_put(b, INPUT + 0x84, 7 << 3 | (uint32_t)bad[i] << 16);
        ck_assert_uint_eq(command(12, INPUT, slot << 24), 17);
        env_check_state(b->e);
        put(slot, 3, DATA, 0, 8, 1 << 10 | 0x24);
        usb_hid_place((void *)bus->ports->dev, 100 + i, 2, 0, 0);
        out(BELL(slot), 3);
        ck_assert_uint_eq(event(), 32);
        ck_assert_uint_eq(ev[2], 13u << 24 | 2);
    }
}
END_TEST


START_TEST(stall)
{
    unsigned slot;

    reset_port(0);
    slot = new_device(0, 1);
    ck_assert_int_eq(control(slot, 0x80, 6, 0x900, 0, 18), -6);
    ck_assert_uint_eq(ram_get(b, CONTEXT + 0x400 * slot + 0x20) & 7, 2);
    out(BELL(slot), 1);
    ck_assert_uint_eq(event(), 0);
    ck_assert_uint_eq(command(16, 0, slot << 24 | 1 << 16), 19);        /* halted: not yet */
    ck_assert_uint_eq(command(14, 0, slot << 24 | 1 << 16), 1);
    ck_assert_uint_eq(ram_get(b, CONTEXT + 0x400 * slot + 0x20) & 7, 3);
    ck_assert_uint_eq(command(16, (ring_base(slot, 1) + 16 * ring[4].at) | 1, slot << 24 | 1 << 16), 1);
    ck_assert_int_eq(control(slot, 0x80, 6, 0x100, 0, 18), 18);
}
END_TEST

START_TEST(stop)
{
    unsigned slot;
    uint32_t at;

    reset_port(0);
    slot = hid(0, 1);
    at = put(slot, 3, DATA, 0, 8, 1 << 10 | 0x24);
    out(BELL(slot), 3);
    trb(COMMANDS + 16 * cmd_at++, 0, 0, 0, 15 << 10 | slot << 24 | 3 << 16 | 1);
    out(BELL(0), 0);
    ck_assert_uint_eq(event(), 32);
    ck_assert_uint_eq(ev[0], at);
    ck_assert_uint_eq(ev[2], 26u << 24 | 8);
    ck_assert_uint_eq(event(), 33);
    ck_assert_uint_eq(code(), 1);
    ck_assert_uint_eq(ram_get(b, CONTEXT + 0x400 * slot + 0x68), at | 1);
    usb_hid_place(bus->ports->dev, 1, 2, 0, 0);
    ck_assert_uint_eq(event(), 0);
    out(BELL(slot), 3);                         /* goes on */
    ck_assert_uint_eq(event(), 32);
    ck_assert_uint_eq(command(15, 0, slot << 24 | 9 << 16), 12);
    ck_assert_uint_eq(command(12, 0, slot << 24 | 1 << 9), 1);
    ck_assert_uint_eq(command(15, 0, slot << 24 | 3 << 16), 12);
    ck_assert_uint_eq(command(17, 0, slot << 24), 1);
    ck_assert_uint_eq(ram_get(b, CONTEXT + 0x400 * slot + 12) >> 27, 1);
    ck_assert_uint_eq(command(10, 0, slot << 24), 1);
    ck_assert_uint_eq(command(10, 0, slot << 24), 11);
    ck_assert_uint_eq(command(23, 0, 0), 1);
    ck_assert_uint_eq(command(40, 0, 0), 5);
}
END_TEST

START_TEST(hub)
{
    unsigned hub_slot, slot;

    reset_port(1);
    hub_slot = hid(0, 2);
    ck_assert_int_eq(control(hub_slot, 0x23, 3, 8, 3, 0), 0);
    put(hub_slot, 3, DATA, 0, 2, 1 << 10 | 0x20);
    out(BELL(hub_slot), 3);
    ck_assert_uint_eq(event(), 32);
    ck_assert_uint_eq(b->ram[DATA], 8);
    ck_assert_int_eq(control(hub_slot, 0x23, 3, 4, 3, 0), 0);
    slot = hid(3, 2);
    ck_assert_int_eq(control(slot, 0x80, 6, 0x100, 0, 18), 18);
    put(slot, 3, DATA, 0, 8, 1 << 10 | 0x20);
    out(BELL(slot), 3);
    usb_hid_key(bus->ports->next->next->next->next->next->next->dev, 30, true);
    clock_advance(b->e->clock, 1000000);
    ck_assert_uint_eq(event(), 32);
    ck_assert_mem_eq(b->ram + DATA, "\0\0\4\0\0\0\0\0", 8);
    ck_assert_uint_eq(command(9, 0, 0), 1);
    ram_put(b, DCBAA + 8 * 3, CONTEXT + 0x400 * 3);
    input_context(3, 3, 5, 2, 0);
    ck_assert_uint_eq(command(11, INPUT, 3 << 24), 4);          /* nothing there */
}
END_TEST

/* What a port of super speed goes through. */
START_TEST(super_ports)
{
    const unsigned n = 6;               /* behind four of USB 2 */
    struct usb_dev *d = usb_env_device(u, "usb-bus.0", "3");

    while (event())
        ;
    ck_assert_uint_eq(in(PORTSC(n)), 0x00021203);       /* on its own: connected, enabled, U0 */
    ck_assert_uint_eq(in(PORTSC(2)), 0x000002a0);
    out(PORTSC(n), 0x200 | 0xfe0000);
    reset_port(n);
    ck_assert_uint_eq(event(), 34);
    out(PORTSC(n), 0x80000200);                         /* a warm reset */
    ck_assert_uint_eq(in(PORTSC(n)), 0x00281203);
    out(PORTSC(n), 0x200 | 0xfe0000);
    while (event())
        ;
    out(PORTSC(n), 0x10060 | 0x200);                    /* U3 */
    ck_assert_uint_eq(in(PORTSC(n)), 0x00001263);
    ck_assert(d->suspended);
    env_check_state(b->e);
    ck_assert(d->suspended);
    out(PORTSC(n), 0x10000 | 0x200);
    ck_assert_uint_eq(in(PORTSC(n)), 0x00401203);
    ck_assert(!d->suspended);
    ck_assert_uint_eq(event(), 34);
    out(PORTSC(n), 0x400200);
    out(PORTSC(n), 0x202);                              /* disabled, and back */
    ck_assert_uint_eq(in(PORTSC(n)) & 0x1e2, 0x080);
    ck_assert(!d->port->enabled);
    out(PORTSC(n), 0x100a0 | 0x200);
    ck_assert_uint_eq(in(PORTSC(n)) & 0x1e3, 0x003);
    ck_assert(d->port->enabled);
}
END_TEST

/* A device that sleeps signals that it has something. */
START_TEST(wakeup)
{
    unsigned slot;
    struct usb_dev *d = usb_env_device(u, "usb-bus.0", "1");

    reset_port(0);
    slot = hid(0, 1);
    ck_assert_int_eq(control(slot, 0, 3, 1, 0, 0), 0);
    out(PORTSC(0), 0x10060 | 0x200);
    while (event())
        ;
    usb_hid_place(d, 1, 2, 0, 0);
    ck_assert_uint_eq(in(PORTSC(0)), 0x00400fe3);       /* resume */
    ck_assert_uint_eq(event(), 34);
    ck_assert_uint_eq(ev[0], 1u << 24);
    out(PORTSC(0), 0x10000 | 0x400200);
    ck_assert_uint_eq(in(PORTSC(0)) & 0x1ef, 3);
    put(slot, 3, DATA, 0, 8, 1 << 10 | 0x24);
    out(BELL(slot), 3);
    while (event() == 34)
        ;
    ck_assert_mem_eq(b->ram + DATA, "\0\1\0\2\0\0", 6);
}
END_TEST

/* A bulk transfer in pieces; its completion code, 0: it waits. */
static unsigned bulk(unsigned slot, unsigned ep, uint32_t at, unsigned len, unsigned pieces)
{
    for (unsigned i = 0; i < pieces; i++)
        put(slot, ep, at + len / pieces * i, 0, len / pieces, 1 << 10 | (i + 1 < pieces ? 0x10 : 0x24));
    out(BELL(slot), ep);
    return event() == 32 ? code() : 0;
}

START_TEST(disk)
{
    static const uint8_t ready[31] = "USBC\1\2\3\4\0\0\0\0\0\0\6";
    static const uint8_t read[31] = "USBC\1\2\3\4\0\0\1\0\x80\0\x0a\x28\0\0\0\0\5\0\0\x80";
    const uint32_t at = 0x80000;
    unsigned slot;

    while (event())
        ;
    slot = new_device(0, 7);
    ck_assert_int_eq(control(slot, 0x80, 6, 0x100, 0, 18), 18);
    ck_assert_uint_eq(usb_le16(b->ram + DATA + 2), 0x300);
    ck_assert_int_eq(control(slot, 0x80, 6, 0xf00, 0, 64), 22);
    ck_assert_int_eq(control(slot, 0, 9, 1, 0, 0), 0);
    input_context(slot, 1 | 1 << 3 | 1 << 4, 0, 7, 4);
    for (unsigned ep = 3; ep <= 4; ep++) {
        ram_put(b, INPUT + 0x20 + 0x20 * ep + 4, (ep == 3 ? 6 : 2) << 3 | 1024 << 16);
        ram_put(b, INPUT + 0x20 + 0x20 * ep + 8, ring_base(slot, ep) | 1);
    }
    ck_assert_uint_eq(command(12, INPUT, slot << 24), 1);
    /* The unit attention of the start. */
    memcpy(b->ram + DATA, ready, 31);
    ck_assert_uint_eq(bulk(slot, 4, DATA, 31, 1), 1);
    ck_assert_uint_eq(bulk(slot, 3, DATA + 0x100, 13, 1), 1);
    ck_assert_uint_eq(b->ram[DATA + 0x10c], 1);
    /* 64 KiB, in 16 pieces; the disk answers later. */
    memcpy(b->ram + DATA, read, 31);
    ck_assert_uint_eq(bulk(slot, 4, DATA, 31, 1), 1);
    ck_assert_uint_eq(bulk(slot, 3, at, 0x10000, 16), 0);
    ck_assert_uint_eq(clock_next(b->e->clock), UINT64_MAX);     /* and nothing polls */
    usb_env_run(u);
    env_check_state(b->e);
    ck_assert_uint_eq(event(), 32);
    ck_assert_uint_eq(ev[2], 1u << 24);
    ck_assert_mem_eq(b->ram + at, u->disk[0]->bytes + 5 * 512, 0x10000);
    ck_assert_uint_eq(bulk(slot, 3, DATA + 0x100, 64, 1), 13);
    ck_assert_mem_eq(b->ram + DATA + 0x100, "USBS\1\2\3\4\0\0\0\0\0", 13);
    /* What is no command stalls both ways. */
    ck_assert_uint_eq(bulk(slot, 4, DATA, 30, 1), 6);
    ck_assert_uint_eq(bulk(slot, 3, DATA, 13, 1), 6);
    ck_assert_uint_eq(ram_get(b, CONTEXT + 0x400 * slot + 0x60) & 7, 2);
}
END_TEST

START_TEST(msi)
{
    unsigned cap = env_config_read(b->e, SLOT << 3, 0x34, 1);

    while (cap && env_config_read(b->e, SLOT << 3, cap, 1) != 5)
        cap = env_config_read(b->e, SLOT << 3, cap + 1, 1);
    ck_assert_uint_ne(cap, 0);
    env_config_write(b->e, SLOT << 3, cap + 4, 0xfee01000, 4);
    env_config_write(b->e, SLOT << 3, cap + 12, 0x4321, 2);
    env_config_write(b->e, SLOT << 3, cap + 2, 1, 2);
    while (event())
        ;
    b->msis = 0;
    ck_assert_uint_eq(command(23, 0, 0), 1);
    ck_assert_uint_eq(b->msis, 1);
    ck_assert_uint_eq(b->msi_addr, 0xfee01000);
    ck_assert_uint_eq(b->msi_data, 0x4321);
    ck_assert(!b->e->line[IRQ]);
}
END_TEST

START_TEST(full)
{
    /* Software takes no events: commands wait, none is lost. */
    unsigned done = 0;

    while (event())
        ;
    for (unsigned i = 0; i < 100; i++)
        trb(COMMANDS + 16 * i, 0, 0, 0, 23 << 10 | 1);
    out(BELL(0), 0);
    while (event() == 33) {
        ck_assert_uint_eq(ev[0], COMMANDS + 16 * done);
        done++;
        clock_advance(b->e->clock, 2000000);
    }
    ck_assert_uint_eq(done, 100);
}
END_TEST

START_TEST(interrupts)
{
    unsigned cap = env_config_read(b->e, SLOT << 3, 0x34, 1);

    ck_assert(b->e->line[IRQ]);
    ck_assert_uint_eq(in(INTR), 3);
    ck_assert_uint_eq(in(OPER + 4) & 8, 8);
    out(INTR, 3);
    ck_assert(!b->e->line[IRQ]);
    while (event())                             /* another one for what was not seen */
        out(INTR, 3);
    ck_assert(!b->e->line[IRQ]);
    while (cap && env_config_read(b->e, SLOT << 3, cap, 1) != 0x11)
        cap = env_config_read(b->e, SLOT << 3, cap + 1, 1);
    ck_assert_uint_ne(cap, 0);
    env_config_write(b->e, SLOT << 3, cap + 2, 0x8000, 2);
    env_write(b->e, MSIX, 0xfee00000);
    env_write(b->e, MSIX + 8, 0x55);
    env_write(b->e, MSIX + 12, 0);
    ck_assert_uint_eq(command(23, 0, 0), 1);
    ck_assert_uint_eq(b->msis, 1);
    ck_assert_uint_eq(b->msi_data, 0x55);
    ck_assert(!b->e->line[IRQ]);
}
END_TEST

START_TEST(hostile)
{
    unsigned slot;

    reset_port(0);
    slot = hid(0, 1);
    /* A transfer ring that goes round for ever, and a ring of links. */
    trb(ring_base(slot, 3), 0, 0, 0, 8 << 10 | 1);
    trb(ring_base(slot, 3) + 16, ring_base(slot, 3), 0, 0, 6 << 10 | 1);
    out(BELL(slot), 3);
    clock_advance(b->e->clock, 20000000);
    trb(ring_base(slot, 3), ring_base(slot, 3), 0, 0, 6 << 10 | 1);
    out(BELL(slot), 3);
    clock_advance(b->e->clock, 20000000);
    ck_assert_int_eq(control(slot, 0x80, 8, 0, 0, 1), 1);
    trb(ring_base(slot, 3), 0, 0, 0, 8 << 10 | 1 | 0x10);       /* a chain without end */
    trb(ring_base(slot, 3) + 16, ring_base(slot, 3), 0, 0, 6 << 10 | 1);
    clock_advance(b->e->clock, 20000000);
    ck_assert_int_eq(control(slot, 0x80, 8, 0, 0, 1), 1);
    out(OPER + 0x18, 0xf0000000);
    out(BELL(0), 0);
    ck_assert_uint_eq(command(23, 0, 0), 1);    /* it runs: its place does not change */
}
END_TEST

/* The last of a slot's doorbells, of an endpoint that the device does not have. */
START_TEST(last_endpoint)
{
    unsigned slot;

    reset_port(0);
    slot = hid(0, 1);
    input_context(slot, 1 | 1u << 31, 0, 1, 31);
    ck_assert_uint_eq(command(12, INPUT, slot << 24), 1);
    trb(ring_base(slot, 31), DATA, 0, 8, 1 << 10 | 0x21);
    out(BELL(slot), 31);
    ck_assert_uint_eq(event(), 32);
    ck_assert_uint_eq(ev[3] >> 16 & 31, 31);
    ck_assert_uint_ne(code(), 1);
    ck_assert_uint_eq(event(), 0);
    ck_assert_int_eq(control(slot, 0x80, 8, 0, 0, 1), 1);
}
END_TEST

START_TEST(fuzz)
{
    uint64_t seed = 9;

    reset_port(0);
    reset_port(1);
    reset_port(6);
    for (unsigned i = 0; i < 30000; i++) {
        uint32_t v = bus_env_random(&seed), at = bus_env_random(&seed);
        unsigned slot = v >> 8 & 3, type = v >> 12 & 31;

        switch (v & 7) {
        case 0:
            out((at & 0x3fff) & ~3u, bus_env_random(&seed) & (at & 0x10000 ? 0xffff : 0xffffffff));
            break;
        case 1: case 2:
            trb(COMMANDS + (at & 0xf0), v & 0x80000 ? INPUT : bus_env_random(&seed) & 0xffff0, 0, 0,
                type << 10 | slot << 24 | (at >> 8 & 3) << 16 | (at >> 12 & 1));
            break;
        case 3: case 4:
            trb(ring_base(slot, v & 0x80000 ? 1 : 3) + (at & 0x1f0), bus_env_random(&seed) & 0xffff8,
                v >> 20 & 1, bus_env_random(&seed) & 0x83f, (type % 9) << 10 | (at >> 12 & 0x10077));
            break;
        case 5:
            input_context(slot, at & 0xf, at >> 4 & 3, at & 0x200 ? 7 : 1 + (at >> 8 & 1),
                          at & 0x400 ? 3 : 0);
            ram_put(b, INPUT + (at >> 12 & 0x3fc), bus_env_random(&seed));
            break;
        default:
            out(BELL(v >> 8 & 3), at & 3);
            break;
        }
        if (at % 256 == 0)
            start();
        while (v & 0x100000 && event())
            ;
        if (v & 0x600000)
            usb_hid_place(bus->ports->dev, at & 0x7fff, v & 0x7fff, 0, v & 1);
        clock_advance(b->e->clock, v & 0x3fffff);
        usb_env_run(u);
        if (i % 5000 == 0)
            env_check_state(b->e);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("xhci");
    TCase *t = tcase_create("xhci");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 60);
    tcase_add_test(t, registers);
    tcase_add_test(t, ports);
    tcase_add_test(t, transfers);
    tcase_add_test(t, packet_sizes);
    tcase_add_test(t, stall);
    tcase_add_test(t, stop);
    tcase_add_test(t, hub);
    tcase_add_test(t, super_ports);
    tcase_add_test(t, wakeup);
    tcase_add_test(t, disk);
    tcase_add_test(t, msi);
    tcase_add_test(t, full);
    tcase_add_test(t, interrupts);
    tcase_add_test(t, hostile);
    tcase_add_test(t, last_endpoint);
    tcase_add_test(t, fuzz);
    suite_add_tcase(suite, t);
    return run_suite(suite);
}
