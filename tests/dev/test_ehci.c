/*
 * test_ehci.c - EHCI with a small driver: registers, ports between it and its companions, both schedules,
 * split transactions, bulk transfers of a disk, interrupts and their threshold, idle guests, hostile schedules.
 */
#include <check.h>
#include <string.h>

#include "hw/usb/hid.h"
#include "tests/dev/usb_env.h"
#include "tests/run_suite.h"

#define MS 1000000ull
#define SLOT 5
#define EHCI (SLOT << 3 | 7)
#define MMIO 0xe0000000u
#define UHCI_IO(n) (0xc000 + 0x20 * (n))
#define IRQ ((SLOT + 3) & 3)    /* INTD */
enum { CMD = 0x20, STS = 0x24, INTR = 0x28, FRINDEX = 0x2c, SEGMENT = 0x30, PERIODIC = 0x34, ASYNC = 0x38,
       CONFIG = 0x60 };
#define PORTSC(n) (0x64 + 4 * (n))

#define FRAMES 0x1000u
#define HEAD 0x3000u            /* queue heads: the head of the list, which is empty, and others */
#define QH(n) (HEAD + 0x80 * (n))
#define TD(n) (0x4000u + 0x40 * (n))
#define SETUP_AT 0x5000u
#define DATA 0x8000u

enum { OUT_, IN_, SETUP_ };
enum { FULL, LOW, HIGH };
#define ACTIVE 0x80u
#define HALTED 0x40u
#define ERROR 0x08u
#define IOC 0x8000u
#define TRIES 0xc00u

static struct usb_env *u;
static struct bus_env *b;

static uint32_t in(unsigned reg)
{
    return phys_io_read(b->e->phys, MMIO + reg, 4);
}

static void out(unsigned reg, uint32_t val)
{
    phys_io_write(b->e->phys, MMIO + reg, val, 4);
}

static void pass(uint64_t ns)
{
    clock_advance(b->e->clock, ns);
}

static void start(void)
{
    env_config_write(b->e, EHCI, 0x10, MMIO, 4);
    env_config_write(b->e, EHCI, 4, 6, 2);
    out(CMD, 2);
    for (unsigned i = 0; i < 1024; i++)
        ram_put(b, FRAMES + 4 * i, 1);
    memset(b->ram + HEAD, 0, 0x800);
    ram_put(b, HEAD, HEAD | 2);
    ram_put(b, HEAD + 4, 1 << 15 | HIGH << 12);
    ram_put(b, HEAD + 0x10, 1);
    ram_put(b, HEAD + 0x14, 1);
    ram_put(b, HEAD + 0x18, HALTED);
    out(PERIODIC, FRAMES);
    out(ASYNC, HEAD);
    out(INTR, 0x3f);
    out(CMD, 0x10031);
    out(CONFIG, 1);
}

static void setup(void)
{
    u = usb_env_new();
    b = u->b;
    bus_env_plug(b, "ich9-usb-ehci1", "id", "e", "addr", "5.7", NULL);
    bus_env_plug(b, "ich9-usb-uhci1", "masterbus", "e.0", "addr", "5.0", NULL);
    bus_env_plug(b, "ich9-usb-uhci2", "masterbus", "e.0", "firstport", "2", "addr", "5.1", NULL);
    bus_env_plug(b, "ich9-usb-uhci3", "masterbus", "e.0", "firstport", "4", "addr", "5.2", NULL);
    bus_env_plug(b, "usb-storage", "drive", "d0", NULL);
    bus_env_plug(b, "usb-tablet", NULL);
    bus_env_plug(b, "usb-kbd", "usb_version", "1", NULL);
    bus_env_plug(b, "usb-hub", NULL);
    bus_env_plug(b, "usb-kbd", "usb_version", "1", "port", "4.3", NULL);
    bus_env_plug(b, "usb-storage", "drive", "d2", "port", "4.4", NULL);
    for (unsigned n = 0; n < 3; n++) {
        env_config_write(b->e, SLOT << 3 | n, 0x20, UHCI_IO(n), 4);
        env_config_write(b->e, SLOT << 3 | n, 4, 5, 2);
    }
    start();
}

static void teardown(void)
{
    usb_env_free(u);
}

static struct usb_dev *device(const char *path)
{
    return usb_env_device(u, "e.0", path);
}

/* ---- the driver ---- */

/* A transfer descriptor that goes on with the next one, unless it is the last. */
static void td(unsigned n, bool last, uint32_t token, unsigned pid, uint32_t at, unsigned len)
{
    memset(b->ram + TD(n), 0, 0x40);
    ram_put(b, TD(n), last ? 1 : TD(n + 1));
    ram_put(b, TD(n) + 4, 1);
    ram_put(b, TD(n) + 8, token | ACTIVE | pid << 8 | len << 16);
    for (unsigned k = 0; k < 5; k++)
        ram_put(b, TD(n) + 12 + 4 * k, k ? (at & ~0xfffu) + 0x1000 * k : at);
}

static uint32_t token(unsigned n)
{
    return ram_get(b, TD(n) + 8);
}

/* Queue 1 behind the head: to an endpoint; it begins with TD(0). */
static void queue(unsigned addr, unsigned ep, unsigned speed, unsigned max, uint32_t caps)
{
    memset(b->ram + QH(1), 0, 0x80);
    ram_put(b, QH(1), HEAD | 2);
    ram_put(b, QH(1) + 4, addr | ep << 8 | speed << 12 | (ep ? 0 : 1 << 14) | max << 16);
    ram_put(b, QH(1) + 8, caps | 1 << 30);
    ram_put(b, QH(1) + 0x10, TD(0));
    ram_put(b, QH(1) + 0x14, 1);
    ram_put(b, HEAD, QH(1) | 2);
    out(CMD, in(CMD));                  /* look again */
}

static uint32_t caps_of(unsigned hub, unsigned port)
{
    return hub << 16 | port << 23;
}

static unsigned moved(unsigned n, unsigned len)
{
    return len - (token(n) >> 16 & 0x7fff);
}

/* Until the transfer is over; false: it is not. */
static bool wait_td(unsigned n)
{
    for (unsigned i = 0; i < 100 && token(n) & ACTIVE && !(ram_get(b, QH(1) + 0x18) & HALTED); i++)
        pass(MS);
    return !(token(n) & (ACTIVE | HALTED));
}

/* Bytes of data; -1: it failed. */
static int control_at(unsigned addr, unsigned speed, uint32_t caps, unsigned type, unsigned request,
                      unsigned value, unsigned index, unsigned len)
{
    const uint8_t packet[8] = { type, request, value, value >> 8, index, index >> 8, len, len >> 8 };
    bool data_in = type & 0x80;
    unsigned n = 1;

    memcpy(b->ram + SETUP_AT, packet, 8);
    td(0, false, TRIES, SETUP_, SETUP_AT, 8);
    if (len)
        td(n++, false, TRIES | 0x80000000, data_in ? IN_ : OUT_, DATA, len);
    td(n, true, TRIES | IOC | 0x80000000, data_in && len ? OUT_ : IN_, 0, 0);
    if (len)
        ram_put(b, TD(1) + 4, TD(n));   /* after a short packet */
    queue(addr, 0, speed, 64, caps);
    if (!wait_td(n))
        return -1;
    return len ? (int)moved(1, len) : 0;
}

static int control(unsigned addr, unsigned type, unsigned request, unsigned value, unsigned index,
                   unsigned len)
{
    return control_at(addr, HIGH, 0, type, request, value, index, len);
}

static void reset_port(unsigned n)
{
    out(PORTSC(n), 0x1100);
    pass(50 * MS);
    out(PORTSC(n), 0x1000);
    ck_assert_uint_eq(in(PORTSC(n)) & 5, 5);
}

/* Address `addr`, configuration 1. */
static void set_up(unsigned addr)
{
    ck_assert_int_eq(control(0, 0, 5, addr, 0, 0), 0);
    ck_assert_int_eq(control(addr, 0, 9, 1, 0, 0), 0);
}

START_TEST(registers)
{
    ck_assert_uint_eq(env_config_read(b->e, EHCI, 0, 4), 0x293a8086);
    ck_assert_uint_eq(env_config_read(b->e, EHCI, 8, 4), 0x0c032003);
    ck_assert_uint_eq(env_config_read(b->e, EHCI, 0x60, 2), 0x2020);
    ck_assert_uint_eq(env_config_read(b->e, EHCI, 0x68, 4), 1);
    env_config_write(b->e, EHCI, 0x6b, 1, 1);           /* the system takes it */
    ck_assert_uint_eq(env_config_read(b->e, EHCI, 0x68, 4), 0x01000001);
    ck_assert_uint_eq(in(0), 0x01000020);
    ck_assert_uint_eq(in(4), 0x00003206);
    ck_assert_uint_eq(in(8), 0x6801);
    ck_assert_uint_eq(in(STS), 0xc004);                 /* a new device is at the ports */
    out(STS, 4);
    pass(125000 * 100);
    ck_assert_uint_eq(in(FRINDEX), 100);
    out(FRINDEX, 5);                                    /* not while it runs */
    ck_assert_uint_eq(in(FRINDEX), 100);
    pass(1024 * MS);
    ck_assert_uint_eq(in(STS) & 0x3f, 8);               /* the frame list has been used up */
    ck_assert(b->e->line[IRQ]);
    out(STS, 8);
    ck_assert(!b->e->line[IRQ]);
    out(CMD, 0x10030);
    ck_assert_uint_eq(in(STS) & 0xffffdfff, 0x1000);
    out(FRINDEX, 0xffff);
    ck_assert_uint_eq(in(FRINDEX), 0x3fff);
    phys_io_write(b->e->phys, MMIO + PERIODIC + 1, 0x70, 1);
    ck_assert_uint_eq(in(PERIODIC), 0x7000);
    ck_assert_uint_eq(phys_io_read(b->e->phys, MMIO + 2, 2), 0x100);
    out(SEGMENT, 0x12345678);
    ck_assert_uint_eq(in(SEGMENT), 0x12345678);
    out(CMD, 2);
    ck_assert_uint_eq(in(CMD), 0x80000);
    ck_assert_uint_eq(in(SEGMENT), 0);
    ck_assert_uint_eq(in(CONFIG), 0);
    env_check_state(b->e);
}
END_TEST

static uint32_t uhci_port(unsigned n)
{
    return ports_read(b->e->ports, UHCI_IO(n / 2) + 0x10 + 2 * (n % 2), 2);
}

START_TEST(routing)
{
    out(CMD, 2);
    for (unsigned n = 0; n < 4; n++) {                  /* all are the companions' */
        ck_assert_uint_eq(in(PORTSC(n)) & 0x3001, 0x3000);
        ck_assert_uint_eq(uhci_port(n) & 1, 1);
    }
    ck_assert_uint_eq(uhci_port(4) & 1, 0);
    ck_assert_uint_eq(device("1")->speed, USB_FULL);
    ports_write(b->e->ports, UHCI_IO(0) + 0x10, 4, 2);
    ck_assert(device("1")->port->enabled);
    out(CONFIG, 1);
    ck_assert(!device("1")->port->enabled);
    ck_assert_uint_eq(uhci_port(0) & 3, 2);
    ck_assert_uint_eq(in(PORTSC(0)), 0x1803);
    ck_assert_uint_eq(device("1")->speed, USB_HIGH);
    reset_port(0);
    ck_assert_uint_eq(in(PORTSC(0)), 0x1007);
    /* A keyboard of USB 1.1 is no high speed's: it is not enabled, and goes to the companion. */
    out(PORTSC(2), 0x1102);
    ck_assert_uint_eq(in(PORTSC(2)), 0x1101);
    out(PORTSC(2), 0x1000);
    ck_assert_uint_eq(in(PORTSC(2)), 0x1801);
    ck_assert_uint_eq(uhci_port(2) & 1, 0);
    out(PORTSC(2), 0x3000);
    ck_assert_uint_eq(in(PORTSC(2)), 0x3002);
    ck_assert_uint_eq(uhci_port(2) & 3, 3);
    ports_write(b->e->ports, UHCI_IO(1) + 0x10, 4, 2);
    ck_assert(device("3")->port->enabled);
    env_check_state(b->e);
    ck_assert(device("3")->port->enabled);
    out(PORTSC(2), 0x1002);                             /* and comes back */
    ck_assert_uint_eq(in(PORTSC(2)), 0x1803);
    ck_assert_uint_eq(uhci_port(2) & 3, 2);
    ck_assert(!device("3")->port->enabled);
}
END_TEST

START_TEST(enumerate)
{
    reset_port(0);
    ck_assert_int_eq(control(0, 0x80, 6, 0x100, 0, 64), 18);
    ck_assert_uint_eq(b->ram[DATA + 8], 0x27);
    ck_assert_uint_eq(in(STS) & 3, 1);
    ck_assert(b->e->line[IRQ]);
    out(STS, 0x3f);
    ck_assert(!b->e->line[IRQ]);
    ck_assert_uint_eq(ram_get(b, QH(1) + 0xc), TD(2));
    set_up(9);
    ck_assert_int_eq(control(9, 0x80, 6, 0x200, 0, 255), 32);
    ck_assert_int_eq(control(0, 0x80, 6, 0x100, 0, 18), -1);    /* nobody is there any more */
    ck_assert_uint_eq(ram_get(b, QH(1) + 0x18) & (ACTIVE | HALTED | ERROR | TRIES), HALTED | ERROR);
    ck_assert_uint_eq(token(0) & (ACTIVE | HALTED), HALTED);
    ck_assert_uint_eq(in(STS) & 2, 2);
    ck_assert_int_eq(control(9, 0x80, 6, 0x309, 0x409, 255), -1);
    ck_assert_uint_eq(token(1) & (ACTIVE | HALTED | ERROR), HALTED);    /* a stall */
    ck_assert_int_eq(control_at(9, FULL, 0, 0x80, 8, 0, 0, 1), -1);     /* it has another speed */
    ck_assert_int_eq(control(9, 0x80, 8, 0, 0, 1), 1);
    env_check_state(b->e);
}
END_TEST

/* A command block of usb-storage, and then an IN. */
static void read_blocks(unsigned addr, uint32_t lba, unsigned n)
{
    static const uint8_t head[15] = "USBC\1\2\3\4\0\0\0\0\x80\0\x0a";
    uint8_t *p = b->ram + SETUP_AT;

    memset(p, 0, 31);
    memcpy(p, head, 15);
    ram_put(b, SETUP_AT + 8, n * 512);
    p[15] = 0x28;
    p[19] = lba >> 8;
    p[20] = lba;
    p[23] = n;
    td(0, true, TRIES, OUT_, SETUP_AT, 31);
    queue(addr, 2, HIGH, 512, 0);
    ck_assert(wait_td(0));
}

static void sense_away(unsigned addr)
{
    memcpy(b->ram + SETUP_AT, "USBC\1\2\3\4\0\0\0\0\0\0\6\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 31);
    td(0, true, TRIES, OUT_, SETUP_AT, 31);
    queue(addr, 2, HIGH, 512, 0);
    ck_assert(wait_td(0));
    td(0, true, TRIES, IN_, DATA, 13);
    queue(addr, 1, HIGH, 512, 0);
    ck_assert(wait_td(0));
}

START_TEST(bulk)
{
    reset_port(0);
    set_up(1);
    sense_away(1);
    read_blocks(1, 3, 40);
    out(STS, 0x3f);
    /* 20 KiB over five pages that begin in the middle and do not follow each other. */
    td(0, true, TRIES | IOC, IN_, DATA + 0x200, 0x4e00);
    for (unsigned k = 1; k < 5; k++)
        ram_put(b, TD(0) + 12 + 4 * k, DATA + 0x10000 - 0x2000 * k);
    queue(1, 1, HIGH, 512, 0);
    pass(3 * MS);
    ck_assert(token(0) & ACTIVE);               /* the disk has not answered */
    ck_assert_uint_eq(in(STS) & 3, 0);
    pass(200 * MS);
    usb_env_run(u);
    env_check_state(b->e);
    pass(MS);                                   /* quickly, idle as it may have been */
    ck_assert_uint_eq(token(0) & (ACTIVE | HALTED), 0);
    ck_assert_uint_eq(moved(0, 0x4e00), 0x4e00);
    ck_assert_uint_eq(in(STS) & 3, 1);
    for (unsigned at = 0; at < 0x4e00; at++) {
        unsigned page = (at + 0x200) >> 12;
        uint32_t where = page ? DATA + 0x10000 - 0x2000 * page + ((at + 0x200) & 0xfff) : DATA + 0x200 + at;

        ck_assert_uint_eq(b->ram[where], u->disk[0]->bytes[3 * 512 + at]);
    }
    /* The rest, which is less than was asked for: the queue goes on by the other pointer. */
    td(0, false, TRIES, IN_, DATA, 512);
    td(1, false, TRIES, IN_, DATA + 512, 1024);
    td(2, true, TRIES, IN_, DATA + 0x800, 100);
    ram_put(b, TD(1) + 4, TD(3));
    td(3, true, TRIES | IOC, IN_, DATA + 0x900, 13);
    ram_put(b, TD(0) + 8, token(0));
    queue(1, 1, HIGH, 512, 0);
    out(STS, 0x3f);
    pass(MS);
    ck_assert_uint_eq(token(0) & ACTIVE, 0);
    ck_assert_uint_eq(moved(1, 1024), 13);      /* the status was a short packet */
    ck_assert_mem_eq(b->ram + DATA + 512, "USBS\1\2\3\4", 8);
    ck_assert(token(2) & ACTIVE);
    ck_assert(token(3) & ACTIVE);               /* nothing more comes */
    ck_assert_uint_eq(ram_get(b, QH(1) + 0xc), TD(3));
    ck_assert_uint_eq(in(STS) & 3, 1);          /* a short packet is told */
}
END_TEST

START_TEST(interrupt)
{
    reset_port(1);
    set_up(2);
    out(STS, 0x3f);
    td(0, true, TRIES | IOC, IN_, DATA, 8);
    queue(2, 1, HIGH, 8, 0x10);                 /* in microframe 4 */
    ram_put(b, HEAD, HEAD | 2);                 /* in the periodic schedule instead */
    ram_put(b, QH(1), 1);
    for (unsigned i = 0; i < 1024; i += 8)
        ram_put(b, FRAMES + 4 * i, QH(1) | 2);
    pass(100 * MS);
    ck_assert(token(0) & ACTIVE);
    usb_hid_place(device("2"), 0x1234, 0x7fff, 0, 1);
    pass(8 * MS);
    ck_assert_uint_eq(token(0) & (ACTIVE | HALTED), 0);
    ck_assert_mem_eq(b->ram + DATA, "\x01\x34\x12\xff\x7f\0", 6);
    ck_assert_uint_eq(in(STS) & 3, 1);
    ck_assert(b->e->line[IRQ]);
    td(0, true, TRIES, IN_, DATA, 4);           /* too small */
    ram_put(b, QH(1) + 0x10, TD(0));
    usb_hid_place(device("2"), 1, 1, 0, 0);
    pass(10 * MS);
    ck_assert_uint_eq(token(0) & (ACTIVE | HALTED | 0x10), HALTED | 0x10);
}
END_TEST

/* A keyboard of full speed and a disk of high speed behind the hub. */
START_TEST(hub)
{
    uint32_t caps = caps_of(3, 3);

    reset_port(3);
    set_up(3);
    ck_assert_int_eq(control(3, 0x80, 6, 0x100, 0, 18), 18);
    ck_assert_uint_eq(b->ram[DATA + 6], 1);     /* one translator */
    for (unsigned n = 3; n <= 4; n++)
        ck_assert_int_eq(control(3, 0x23, 3, 8, n, 0), 0);
    ck_assert_int_eq(control(3, 0x23, 3, 4, 3, 0), 0);
    ck_assert_int_eq(control(3, 0xa3, 0, 0, 3, 4), 4);
    ck_assert_uint_eq(ram_get(b, DATA), 0x00110103);
    ck_assert_int_eq(control(0, 0x80, 6, 0x100, 0, 18), -1);            /* not without the hub */
    ck_assert_int_eq(control_at(0, FULL, caps_of(3, 4), 0x80, 6, 0x100, 0, 18), -1);
    ck_assert_int_eq(control_at(0, FULL, caps_of(4, 3), 0x80, 6, 0x100, 0, 18), -1);
    ck_assert_int_eq(control_at(0, FULL, caps, 0x80, 6, 0x100, 0, 18), 18);
    ck_assert_int_eq(control_at(0, FULL, caps, 0, 5, 4, 0, 0), 0);
    ck_assert_int_eq(control_at(4, FULL, caps, 0, 9, 1, 0, 0), 0);
    td(0, true, TRIES | IOC, IN_, DATA, 8);
    queue(4, 1, FULL, 8, caps | 0x1c01);        /* start in microframe 0, complete in 2 to 4 */
    ram_put(b, HEAD, HEAD | 2);
    ram_put(b, QH(1), 1);
    for (unsigned i = 0; i < 1024; i++)
        ram_put(b, FRAMES + 4 * i, QH(1) | 2);
    usb_hid_key(device("4.3"), 30, true);
    pass(2 * MS);
    ck_assert_uint_eq(token(0) & (ACTIVE | HALTED), 0);
    ck_assert_mem_eq(b->ram + DATA, "\0\0\x04\0\0\0\0\0", 8);
    ck_assert_int_eq(control(3, 0x23, 3, 4, 4, 0), 0);
    ck_assert_int_eq(control(3, 0xa3, 0, 0, 4, 4), 4);
    ck_assert_uint_eq(ram_get(b, DATA), 0x00110503);                    /* high speed */
    set_up(5);
    sense_away(5);
    env_check_state(b->e);
}
END_TEST

START_TEST(doorbell)
{
    out(STS, 0x3f);
    out(CMD, 0x10071);
    ck_assert_uint_eq(in(STS) & 0x20, 0x20);
    ck_assert_uint_eq(in(CMD) & 0x40, 0);
    ck_assert(b->e->line[IRQ]);
    out(STS, 0x20);
    ck_assert(!b->e->line[IRQ]);
    out(CMD, 0x10051);                          /* not without that schedule */
    ck_assert_uint_eq(in(STS) & 0x20, 0);
}
END_TEST

START_TEST(threshold)
{
    uint64_t from;

    reset_port(0);
    pass(MS - clock_now(b->e->clock) % MS);
    out(CMD, 0x400031);                         /* 64 microframes, 8 ms */
    out(STS, 0x3f);
    from = clock_now(b->e->clock);
    ck_assert_int_eq(control(0, 0x80, 6, 0x100, 0, 18), 18);
    while (!b->e->line[IRQ] && clock_now(b->e->clock) < from + 20 * MS)
        pass(MS / 8);
    ck_assert(b->e->line[IRQ]);
    ck_assert_uint_eq(in(FRINDEX) / 64, (from / 125000 + 64) / 64);
}
END_TEST

START_TEST(suspend)
{
    reset_port(1);
    set_up(2);
    ck_assert_int_eq(control(2, 0, 3, 1, 0, 0), 0);     /* it may wake the system */
    out(STS, 0x3f);
    out(PORTSC(1), 0x1086);
    ck_assert_uint_eq(in(PORTSC(1)), 0x1085);
    ck_assert(device("2")->suspended);
    ck_assert_int_eq(control(2, 0x80, 8, 0, 0, 1), -1);
    env_check_state(b->e);
    out(STS, 0x3f);
    usb_hid_place(device("2"), 1, 1, 0, 0);
    ck_assert_uint_eq(in(PORTSC(1)), 0x10c5);
    ck_assert_uint_eq(in(STS) & 4, 4);
    ck_assert(b->e->line[IRQ]);
    out(PORTSC(1), 0x1084);                     /* the end of resume */
    ck_assert_uint_eq(in(PORTSC(1)), 0x1005);
    ck_assert_int_eq(control(2, 0x80, 8, 0, 0, 1), 1);
    out(PORTSC(1), 0x1084);
    out(PORTSC(1), 0x10c4);                     /* by the host */
    ck_assert_uint_eq(in(PORTSC(1)), 0x10c5);
    out(PORTSC(1), 0x1004);
    ck_assert_uint_eq(in(PORTSC(1)), 0x1005);
    out(PORTSC(1), 0x1000);
    ck_assert_uint_eq(in(PORTSC(1)), 0x1801);
}
END_TEST

START_TEST(idle)
{
    unsigned wakes = 0;

    reset_port(1);
    set_up(2);
    td(0, true, TRIES | IOC, IN_, DATA, 8);
    queue(2, 1, HIGH, 8, 0);
    pass(200 * MS);
    for (uint64_t end = clock_now(b->e->clock) + 1000 * MS; clock_now(b->e->clock) < end; wakes++)
        pass(clock_next(b->e->clock) - clock_now(b->e->clock));
    ck_assert_uint_le(wakes, 126);
    usb_hid_place(device("2"), 1, 1, 0, 0);
    pass(MS / 4);
    ck_assert_uint_eq(token(0) & ACTIVE, 0);
    for (unsigned i = 0; i < 4; i++) {
        uint64_t from = clock_now(b->e->clock);

        ck_assert_int_eq(control(2, 0x80, 8, 0, 0, 1), 1);
        ck_assert_uint_le(clock_now(b->e->clock) - from, MS);
    }
    out(CMD, 0x10001);                          /* no schedule, and no reason to look */
    out(INTR, 0);
    ck_assert_uint_eq(clock_next(b->e->clock), UINT64_MAX);
}
END_TEST

START_TEST(isochronous)
{
    uint32_t itd = 0x6000;

    reset_port(1);
    set_up(2);
    out(STS, 0x3f);
    memset(b->ram + itd, 0, 0x60);
    ram_put(b, itd, 1);
    ram_put(b, itd + 4 + 4 * 2, 0x80000000 | 8 << 16 | IOC);    /* microframe 2 */
    ram_put(b, itd + 4 + 4 * 3, 8 << 16);                       /* not active */
    ram_put(b, itd + 0x24, DATA | 1 << 8 | 2);
    ram_put(b, itd + 0x28, 0x800 | 8);
    ram_put(b, itd + 0x2c, 1);
    usb_hid_place(device("2"), 0x102, 0x304, 0, 1);
    for (unsigned i = 0; i < 1024; i++)
        ram_put(b, FRAMES + 4 * i, itd);
    pass(3 * MS);
    ck_assert_uint_eq(ram_get(b, itd + 4 + 4 * 2), 6 << 16 | IOC);
    ck_assert_mem_eq(b->ram + DATA, "\x01\x02\x01\x04\x03\0", 6);
    ck_assert_uint_eq(in(STS) & 1, 1);
    ram_put(b, itd + 4 + 4 * 2, 0x80000000 | 8 << 16);
    ram_put(b, itd + 0x24, DATA | 5 << 8 | 2);                  /* no such endpoint */
    pass(3 * MS);
    ck_assert_uint_eq(ram_get(b, itd + 4 + 4 * 2), 0x10000000);
    ram_put(b, itd, itd | 4);                                   /* a split one, that links to itself */
    pass(3 * MS);
    ck_assert_uint_eq(in(STS) & 0x1010, 0);
}
END_TEST

START_TEST(wide)
{
    reset_port(0);
    set_up(1);
    /* The upper half of a buffer's address counts. */
    memcpy(b->ram + SETUP_AT, "\x80\6\0\1\0\0\x12\0", 8);
    td(0, false, TRIES, SETUP_, SETUP_AT, 8);
    td(1, true, TRIES, IN_, DATA, 18);
    ram_put(b, TD(1) + 32, 0x10);
    queue(1, 0, HIGH, 64, 0);
    pass(3 * MS);
    ck_assert_uint_eq(in(STS) & 0x1010, 0x1010);
    ck_assert(b->e->line[IRQ]);
    /* So does the segment of all structures. */
    start();
    out(SEGMENT, 3);
    pass(MS);
    ck_assert_uint_eq(in(STS) & 0x1010, 0x1010);
}
END_TEST

START_TEST(hostile)
{
    reset_port(0);
    set_up(1);
    /* A list without a head, a head that links to what is no queue, no RAM. */
    ram_put(b, QH(1) + 4, HIGH << 12 | 64 << 16);
    ram_put(b, QH(1), QH(2) | 2);
    ram_put(b, QH(2), QH(1) | 2);
    out(ASYNC, QH(1));
    pass(20 * MS);
    ram_put(b, QH(2), QH(2) | 2);
    pass(20 * MS);
    ram_put(b, QH(2), QH(1) | 4);
    pass(20 * MS);
    ck_assert_uint_eq(in(STS) & 0x1010, 0);
    /* A descriptor that is its own successor, and is active again whenever it is done. */
    out(ASYNC, HEAD);
    td(0, true, 0, OUT_, SETUP_AT, 0);
    ram_put(b, TD(0), TD(0));
    queue(1, 0, HIGH, 64, 0);
    pass(20 * MS);
    ck_assert_uint_eq(in(STS) & 0x1010, 0);
    /* A page that there is not, a packet of no length, an unknown packet. */
    for (unsigned i = 0; i < 3; i++) {
        td(0, true, TRIES | (i == 0 ? 5 << 12 : 0), i == 2 ? 3 : OUT_, SETUP_AT, 8);
        queue(1, 0, HIGH, i == 1 ? 0 : 64, 0);
        pass(3 * MS);
        ck_assert_uint_eq(token(0) & (ACTIVE | HALTED), HALTED);
    }
    /* Rings in the periodic schedule. */
    for (unsigned i = 0; i < 1024; i++)
        ram_put(b, FRAMES + 4 * i, QH(1) | 2);
    ram_put(b, QH(1), QH(2) | 6);
    ram_put(b, QH(2), QH(1) | 2);
    pass(20 * MS);
    ck_assert_uint_eq(in(STS) & 0x1010, 0);
    ram_put(b, QH(2), 0xf0000002);
    pass(20 * MS);
    ck_assert_uint_eq(in(STS) & 0x1010, 0x1010);
    start();
    reset_port(0);
    set_up(1);
}
END_TEST

START_TEST(fuzz)
{
    uint64_t seed = 5;

    reset_port(0);
    set_up(1);
    for (unsigned round = 0; round < 4000; round++) {
        for (unsigned i = 0; i < 64; i++) {
            uint32_t v = bus_env_random(&seed), kind = v & 7;

            v = bus_env_random(&seed);
            if (kind < 4)
                v = HEAD + (v & 0x17e0) + (v >> 16 & 7);
            else if (kind == 4)
                v = (v & 0x7fff0f0c) | ACTIVE;
            else if (kind == 5)
                v = (v & 0x0100) | (v >> 16 & 3) | HIGH << 12 | 64 << 16 | (v & 0xc000);
            else if (kind == 6)
                v = DATA + (v & 0xffff);
            ram_put(b, HEAD + 4 * (bus_env_random(&seed) % 0x600), v);
        }
        if (bus_env_random(&seed) % 4 == 0)
            phys_io_write(b->e->phys, MMIO + (bus_env_random(&seed) & 0x7c), bus_env_random(&seed), 4);
        if (bus_env_random(&seed) % 32 == 0)
            ports_write(b->e->ports, UHCI_IO(bus_env_random(&seed) % 3) + (bus_env_random(&seed) & 0x1e),
                        bus_env_random(&seed), 2);
        if (bus_env_random(&seed) % 16 == 0) {
            out(SEGMENT, 0);
            out(PERIODIC, FRAMES);
            out(ASYNC, HEAD + (bus_env_random(&seed) & 0x7e0));
            out(CONFIG, 1);
            out(PORTSC(0), 0x1100);
            out(PORTSC(0), 0x1000);
            for (unsigned i = 0; i < 1024; i++)
                ram_put(b, FRAMES + 4 * i,
                        HEAD + (bus_env_random(&seed) & 0x7e0) + (bus_env_random(&seed) & 6));
            out(CMD, 0x10031);
        }
        pass(bus_env_random(&seed) & 0x3fffff);
        usb_env_run(u);
        if (round % 500 == 0)
            env_check_state(b->e);
    }
    start();
    reset_port(0);
    set_up(1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ehci");
    TCase *t = tcase_create("ehci");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 60);
    tcase_add_test(t, registers);
    tcase_add_test(t, routing);
    tcase_add_test(t, enumerate);
    tcase_add_test(t, bulk);
    tcase_add_test(t, interrupt);
    tcase_add_test(t, hub);
    tcase_add_test(t, doorbell);
    tcase_add_test(t, threshold);
    tcase_add_test(t, suspend);
    tcase_add_test(t, idle);
    tcase_add_test(t, isochronous);
    tcase_add_test(t, wide);
    tcase_add_test(t, hostile);
    tcase_add_test(t, fuzz);
    suite_add_tcase(suite, t);
    return run_suite(suite);
}
