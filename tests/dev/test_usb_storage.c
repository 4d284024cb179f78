/*
 * test_usb_storage.c - usb-storage by its packets: descriptors of each speed, commands, the thirteen cases of
 * host and device that disagree (BOT 6.7), stalls, reset recovery, commands that are dropped, state, random
 * packets.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "tests/dev/usb_env.h"
#include "tests/run_suite.h"

#define IN 1u
#define OUT 2u
#define NONE 0xffffffffu                /* no status came */
enum { PASSED, FAILED, PHASE };

static struct usb_env *u;
static struct usb_dev *d;
static unsigned max;                    /* of a packet */
static uint8_t data[0x80000], buf[0x400];
static uint32_t tag, residue;
static int ended;                       /* how the data ended: 0, or USB_STALL */
static uint32_t moved;

static void plug(const char *controller, const char *drive)
{
    u = usb_env_new();
    bus_env_plug(u->b, controller, NULL);
    bus_env_plug(u->b, "usb-storage", "drive", drive, "removable", "on", NULL);
    d = usb_env_device(u, "usb-bus.0", "1");
    max = d->speed == USB_SUPER ? 1024 : d->speed == USB_HIGH ? 512 : 64;
    ck_assert_int_eq(usb_env_control(d, 0, 9, 1, 0, 0, buf), 0);
}

static void end(void)
{
    usb_env_free(u);
}

/* A packet, with what the disk must do first. */
static int packet(enum usb_pid pid, unsigned ep, uint8_t *b, unsigned len)
{
    int n = usb_packet(d, pid, ep, b, len);

    while (n == USB_NAK && usb_env_run(u))
        n = usb_packet(d, pid, ep, b, len);
    return n;
}

static int clear_halt(unsigned ep)
{
    return usb_env_control(d, 2, 1, 0, ep, 0, buf);
}

static void put32(uint8_t *p, uint32_t v)
{
    for (unsigned i = 0; i < 4; i++)
        p[i] = v >> 8 * i;
}

static int send_command(uint32_t len, bool in, const char *cdb, unsigned n)
{
    uint8_t b[31] = "USBC";

    put32(b + 4, ++tag);
    put32(b + 8, len);
    b[12] = in ? 0x80 : 0;
    b[14] = n;
    memcpy(b + 15, cdb, n);
    return packet(USB_OUT, OUT, b, 31);
}

static void move_data(uint32_t len, bool in)
{
    ended = 0;
    for (moved = 0; moved < len;) {
        unsigned part = len - moved < max ? len - moved : max;
        int n = packet(in ? USB_IN : USB_OUT, in ? IN : OUT, data + moved, part);

        if (n < 0) {
            ck_assert_int_eq(n, USB_STALL);
            ended = n;
            ck_assert_int_eq(packet(in ? USB_IN : USB_OUT, in ? IN : OUT, data, part), USB_STALL);
            ck_assert_int_eq(clear_halt(in ? 0x80 | IN : OUT), 0);
            return;
        }
        moved += n;
        if (in && (unsigned)n < part)
            return;
    }
}

static unsigned fetch_status(void)
{
    uint8_t b[13];
    int n = packet(USB_IN, IN, b, 13);

    if (n != 13)
        return NONE;
    ck_assert_mem_eq(b, "USBS", 4);
    ck_assert_uint_eq(usb_le32(b + 4), tag);
    residue = usb_le32(b + 8);
    return b[12];
}

#define command(len, in, cdb) run_command(len, in, cdb, sizeof(cdb) - 1)
static unsigned run_command(uint32_t len, bool in, const char *cdb, unsigned n)
{
    ck_assert_int_eq(send_command(len, in, cdb, n), 31);
    move_data(len, in);
    return fetch_status();
}

#define READY "\0\0\0\0\0\0"
#define INQUIRY(len) "\x12\0\0\0" len "\0"
#define SENSE "\3\0\0\0\x12\0"
#define READ10(lba, count) "\x28\0\0\0" lba "\0\0" count "\0"
#define WRITE10(lba, count) "\x2a\0\0\0" lba "\0\0" count "\0"

/* The unit attention of the start. */
static void settle(void)
{
    ck_assert_uint_eq(command(0, false, READY), FAILED);
    ck_assert_uint_eq(command(18, true, SENSE), PASSED);
    ck_assert_uint_eq(data[2], 6);
    ck_assert_uint_eq(data[12], 0x29);
    ck_assert_uint_eq(command(18, true, SENSE), PASSED);        /* told once */
    ck_assert_uint_eq(data[2], 0);
    ck_assert_uint_eq(command(0, false, READY), PASSED);
}

START_TEST(descriptors)
{
    static const struct { const char *controller; uint16_t version; uint8_t ep0; uint16_t packet; } at[] = {
        { "piix3-usb-uhci", 0x200, 64, 64 }, { "usb-ehci", 0x210, 64, 512 }, { "qemu-xhci", 0x300, 9, 1024 }
    };

    for (unsigned i = 0; i < 3; i++) {
        unsigned endpoints = 0, companions = 0;

        plug(at[i].controller, "d0");
        ck_assert_int_eq(usb_env_control(d, 0x80, 6, 0x100, 0, 18, buf), 18);
        ck_assert_uint_eq(usb_le16(buf + 2), at[i].version);
        ck_assert_uint_eq(buf[7], at[i].ep0);
        ck_assert_int_eq(usb_env_control(d, 0x80, 6, 0x200, 0, 255, buf), i == 2 ? 44 : 32);
        ck_assert_uint_eq(usb_le16(buf + 2), i == 2 ? 44 : 32);
        for (unsigned k = 0; k < usb_le16(buf + 2); k += buf[k]) {
            if (buf[k + 1] == 4)
                ck_assert_mem_eq(buf + k + 5, "\x08\x06\x50", 3);
            companions += buf[k + 1] == 0x30;
            if (buf[k + 1] != 5)
                continue;
            endpoints++;
            ck_assert_uint_eq(buf[k + 3], 2);
            ck_assert_uint_eq(usb_le16(buf + k + 4), at[i].packet);
        }
        ck_assert_uint_eq(endpoints, 2);
        ck_assert_uint_eq(companions, i == 2 ? 2 : 0);
        /* What it would be at the other of the speeds of USB 2.0. */
        ck_assert_int_eq(usb_env_control(d, 0x80, 6, 0x600, 0, 10, buf), i == 2 ? USB_STALL : 10);
        ck_assert_int_eq(usb_env_control(d, 0x80, 6, 0x700, 0, 255, buf), i == 2 ? USB_STALL : 32);
        if (i < 2) {
            ck_assert_uint_eq(buf[1], 7);
            ck_assert_uint_eq(usb_le16(buf + 22), i ? 64 : 512);
        }
        ck_assert_int_eq(usb_env_control(d, 0x80, 6, 0xf00, 0, 64, buf), i ? 22 : USB_STALL);
        ck_assert_int_eq(usb_env_control(d, 0x80, 6, 0x303, 0x409, 255, buf), 26);
        for (unsigned k = 2; k < 26; k += 2)    /* hexadecimal, at least twelve */
            ck_assert_ptr_nonnull(memchr("0123456789ABCDEF", buf[k], 16));
        ck_assert_int_eq(usb_env_control(d, 0xa1, 0xfe, 0, 0, 1, buf), 1);
        ck_assert_uint_eq(buf[0], 0);
        ck_assert_int_eq(usb_env_control(d, 0x00, 3, 48, 0, 0, buf), i == 2 ? 0 : USB_STALL);
        ck_assert_int_eq(usb_env_control(d, 0x80, 0, 0, 0, 2, buf), 2);
        ck_assert_uint_eq(buf[0], i == 2 ? 5 : 1);
        end();
    }
}
END_TEST

START_TEST(moves)
{
    static const char *const controllers[] = { "piix3-usb-uhci", "usb-ehci", "qemu-xhci" };

    for (unsigned i = 0; i < 3; i++) {
        plug(controllers[i], "d0");
        settle();
        ck_assert_uint_eq(command(36, true, INQUIRY("\x24")), PASSED);
        ck_assert_mem_eq(data, "\0\x80\5", 3);
        ck_assert_mem_eq(data + 8, "LATIMER HARDDISK", 16);
        ck_assert_uint_eq(residue, 0);
        ck_assert_uint_eq(command(8, true, "\x25\0\0\0\0\0\0\0\0\0"), PASSED);
        ck_assert_mem_eq(data, "\0\0\x1f\xff\0\0\2\0", 8);
        ck_assert_uint_eq(command(512 * 7, true, READ10("\0\5", "\7")), PASSED);
        ck_assert_mem_eq(data, u->disk[0]->bytes + 5 * 512, 7 * 512);
        /* More than the buffer holds. */
        ck_assert_uint_eq(command(512 * 1000, true, "\x28\0\0\0\0\1\0\3\xe8\0"), PASSED);
        ck_assert_uint_eq(residue, 0);
        ck_assert_mem_eq(data, u->disk[0]->bytes + 512, 512 * 1000);
        for (unsigned k = 0; k < 512 * 777; k++)
            data[k] = k * 3 + (k >> 8) + i;
        ck_assert_uint_eq(command(512 * 777, false, "\x2a\0\0\0\1\0\0\3\x09\0"), PASSED);
        ck_assert_uint_eq(residue, 0);
        ck_assert_mem_eq(u->disk[0]->bytes + 256 * 512, data, 512 * 777);
        ck_assert_uint_eq(command(0, false, "\x35\0\0\0\0\0\0\0\0\0"), PASSED);
        ck_assert_uint_gt(u->disk[0]->flushes, 0);
        end();
    }
}
END_TEST

START_TEST(thirteen)
{
    plug("usb-ehci", "d0");
    settle();
    memset(u->disk[0]->bytes, 0x5a, 0x10000);
    memset(data, 0xa5, sizeof(data));
    /* 1: Hn = Dn */
    ck_assert_uint_eq(command(0, false, READY), PASSED);
    /* 2, 3: Hn < Di, Hn < Do */
    ck_assert_uint_eq(command(0, false, READ10("\0\0", "\1")), PHASE);
    ck_assert_uint_eq(command(0, false, INQUIRY("\x24")), PHASE);
    ck_assert_uint_eq(command(0, false, WRITE10("\0\0", "\1")), PHASE);
    ck_assert_uint_eq(command(0, false, "\x41\0\0\0\0\0\0\0\1\0"), PHASE);         /* WRITE SAME */
    ck_assert_uint_eq(u->disk[0]->bytes[0], 0x5a);
    /* 4: Hi > Dn */
    ck_assert_uint_eq(command(512, true, READY), PASSED);
    ck_assert_int_eq(ended, USB_STALL);
    ck_assert_uint_eq(residue, 512);
    /* 5: Hi > Di; the end by a short packet, and by a stall */
    ck_assert_uint_eq(command(255, true, INQUIRY("\xff")), PASSED);
    ck_assert_int_eq(ended, 0);
    ck_assert_uint_eq(moved, 36);
    ck_assert_uint_eq(residue, 255 - 36);
    ck_assert_uint_eq(command(2048, true, READ10("\0\0", "\1")), PASSED);
    ck_assert_int_eq(ended, USB_STALL);
    ck_assert_uint_eq(moved, 512);
    ck_assert_uint_eq(residue, 2048 - 512);
    /* 6: Hi = Di */
    ck_assert_uint_eq(command(512, true, READ10("\0\0", "\1")), PASSED);
    ck_assert_uint_eq(residue, 0);
    /* 7: Hi < Di */
    ck_assert_uint_eq(command(512, true, READ10("\0\0", "\2")), PHASE);
    ck_assert_int_eq(ended, USB_STALL);
    ck_assert_uint_eq(command(8, true, INQUIRY("\x24")), PHASE);
    /* 8: Hi <> Do */
    ck_assert_uint_eq(command(512, true, WRITE10("\0\0", "\1")), PHASE);
    ck_assert_int_eq(ended, USB_STALL);
    ck_assert_uint_eq(u->disk[0]->bytes[0], 0x5a);
    /* 9: Ho > Dn */
    ck_assert_uint_eq(command(512, false, READY), PASSED);
    ck_assert_uint_eq(residue, 512);
    /* 10: Ho <> Di */
    ck_assert_uint_eq(command(512, false, READ10("\0\0", "\1")), PHASE);
    /* 11: Ho > Do; also with more than it takes in */
    memset(data, 0xa5, sizeof(data));
    ck_assert_uint_eq(command(1024, false, WRITE10("\0\1", "\1")), PASSED);
    ck_assert_uint_eq(residue, 512);
    ck_assert_uint_eq(u->disk[0]->bytes[512], 0xa5);
    ck_assert_uint_eq(u->disk[0]->bytes[1024], 0x5a);
    ck_assert_uint_eq(command(0x40000, false, WRITE10("\0\1", "\1")), PASSED);
    ck_assert_int_eq(ended, USB_STALL);
    ck_assert_uint_eq(residue, 0x40000 - 512);
    /* 12: Ho = Do */
    ck_assert_uint_eq(command(512, false, WRITE10("\0\2", "\1")), PASSED);
    ck_assert_uint_eq(residue, 0);
    ck_assert_uint_eq(u->disk[0]->bytes[1024], 0xa5);
    /* 13: Ho < Do */
    ck_assert_uint_eq(command(512, false, WRITE10("\0\3", "\2")), PHASE);
    ck_assert_uint_eq(u->disk[0]->bytes[1536], 0x5a);
    ck_assert_uint_eq(command(0, false, READY), PASSED);
    end();
}
END_TEST

START_TEST(errors)
{
    plug("qemu-xhci", "d2");
    settle();
    ck_assert_uint_eq(command(512, true, READ10("\x20\0", "\1")), FAILED);       /* beyond the end */
    ck_assert_uint_eq(residue, 512);
    ck_assert_int_eq(ended, USB_STALL);
    ck_assert_uint_eq(command(36, true, INQUIRY("\x24")), PASSED);      /* does not take the sense away */
    ck_assert_uint_eq(command(18, true, SENSE), PASSED);
    ck_assert_uint_eq(data[2], 5);
    ck_assert_uint_eq(data[12], 0x21);
    ck_assert_uint_eq(command(512, false, WRITE10("\0\0", "\1")), FAILED);
    ck_assert_uint_eq(residue, 512);
    ck_assert_uint_eq(command(18, true, SENSE), PASSED);
    ck_assert_uint_eq(data[2], 7);                                              /* protected */
    ck_assert_uint_eq(command(0, false, "\xff\0\0\0\0\0"), FAILED);
    ck_assert_uint_eq(command(0, false, READY), PASSED);                        /* but this does */
    ck_assert_uint_eq(command(18, true, SENSE), PASSED);
    ck_assert_uint_eq(data[2], 0);
    u->disk[2]->error = -5;
    ck_assert_uint_eq(command(0x40000, true, "\x28\0\0\0\0\0\0\2\0\0"), FAILED);
    ck_assert_uint_eq(residue, 0x40000);
    ck_assert_uint_eq(command(18, true, SENSE), PASSED);
    ck_assert_uint_eq(data[2], 3);
    /* The second half cannot be read. */
    u->disk[2]->error = 0;
    ck_assert_int_eq(send_command(0x40000, true, "\x28\0\0\0\0\0\0\2\0\0", 10), 31);
    move_data(0x20000, true);
    u->disk[2]->error = -5;
    move_data(0x20000, true);
    ck_assert_int_eq(ended, USB_STALL);
    ck_assert_uint_eq(fetch_status(), FAILED);
    ck_assert_uint_eq(residue, 0x20000);
    end();
    plug("qemu-xhci", "d1");
    settle();
    ck_assert_uint_eq(command(36, true, INQUIRY("\x24")), PASSED);
    ck_assert_mem_eq(data, "\5\x80", 2);
    ck_assert_uint_eq(command(2048 * 3, true, READ10("\0\7", "\3")), PASSED);
    ck_assert_mem_eq(data, u->disk[1]->bytes + 7 * 2048, 3 * 2048);
    end();
}
END_TEST

/* Reset recovery (5.3.4): reset, then both endpoints. */
static void recover(void)
{
    ck_assert_int_eq(usb_env_control(d, 0x21, 0xff, 0, 0, 0, buf), 0);
    ck_assert_int_eq(clear_halt(0x80 | IN), 0);
    ck_assert_int_eq(clear_halt(OUT), 0);
}

START_TEST(recovery)
{
    static const struct { const char *what; unsigned len; const char *block; } bad[] = {
        { "signature", 31, "USBD\0\0\0\0\0\0\0\0\0\0\6\0\0\0\0\0\0" },
        { "length", 30, "USBC\0\0\0\0\0\0\0\0\0\0\6\0\0\0\0\0\0" },
        { "flags", 31, "USBC\0\0\0\0\0\0\0\0\1\0\6\0\0\0\0\0\0" },
        { "unit", 31, "USBC\0\0\0\0\0\0\0\0\0\x10\6\0\0\0\0\0\0" },
        { "no command", 31, "USBC\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0" },
        { "long command", 31, "USBC\0\0\0\0\0\0\0\0\0\0\x11\0\0\0\0\0\0" },
    };
    uint8_t b[64];

    plug("usb-ehci", "d0");
    settle();
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        memset(b, 0, sizeof(b));
        memcpy(b, bad[i].block, 21);
        ck_assert_int_eq(packet(USB_OUT, OUT, b, bad[i].len), USB_STALL);
        ck_assert_int_eq(packet(USB_IN, IN, b, 13), USB_STALL);
        /* They stay so until the reset, whatever the host clears. */
        ck_assert_int_eq(clear_halt(0x80 | IN), 0);
        ck_assert_int_eq(clear_halt(OUT), 0);
        ck_assert_int_eq(packet(USB_IN, IN, b, 13), USB_STALL);
        ck_assert_int_eq(send_command(0, false, READY, 6), USB_STALL);
        env_check_state(u->b->e);
        ck_assert_int_eq(usb_env_control(d, 0x21, 0xff, 0, 0, 0, buf), 0);
        ck_assert_int_eq(send_command(0, false, READY, 6), USB_STALL);          /* the reset clears no halt */
        ck_assert_int_eq(clear_halt(0x80 | IN), 0);
        ck_assert_int_eq(clear_halt(OUT), 0);
        ck_assert_uint_eq(command(0, false, READY), PASSED);
    }
    /* In the middle of data, and while the disk is at work. */
    ck_assert_int_eq(send_command(0x40000, true, "\x28\0\0\0\0\0\0\2\0\0", 10), 31);
    move_data(0x400, true);
    recover();
    ck_assert_uint_eq(command(0, false, READY), PASSED);
    memset(data, 0x77, 0x40000);
    ck_assert_int_eq(send_command(0x40000, false, "\x2a\0\0\0\0\0\0\2\0\0", 10), 31);
    move_data(0x20200, false);
    recover();
    ck_assert_uint_eq(command(0, false, READY), PASSED);
    ck_assert_int_eq(send_command(512, true, READ10("\0\0", "\1"), 10), 31);
    ck_assert_int_eq(usb_packet(d, USB_IN, IN, b, 64), USB_NAK);
    recover();
    memcpy(b, "USBC\0\0\0\0\0\0\0\0\0\0\6\0\0\0\0\0\0", 21);
    ck_assert_int_eq(usb_packet(d, USB_OUT, OUT, b, 31), USB_NAK);      /* until the disk has answered */
    ck_assert_uint_eq(command(0, false, READY), PASSED);
    /* A bus reset. */
    ck_assert_int_eq(send_command(512, true, READ10("\0\0", "\1"), 10), 31);
    usb_bus_reset(d);
    ck_assert_int_eq(usb_env_control(d, 0, 9, 1, 0, 0, buf), 0);
    settle();
    /* More than it said. */
    ck_assert_int_eq(send_command(100, false, WRITE10("\0\0", "\1"), 10), 31);
    ck_assert_int_eq(packet(USB_OUT, OUT, data, 512), USB_STALL);
    recover();
    ck_assert_uint_eq(command(0, false, READY), PASSED);
    /* Status in too small a buffer. */
    ck_assert_int_eq(send_command(0, false, READY, 6), 31);
    ck_assert_int_eq(packet(USB_IN, IN, b, 12), USB_BABBLE);
    ck_assert_uint_eq(fetch_status(), PASSED);
    end();
}
END_TEST

/* Saved and loaded after each packet, wherever the command is. */
START_TEST(state)
{
    plug("qemu-xhci", "d0");
    settle();
    ck_assert_int_eq(send_command(0x60000, true, "\x28\0\0\0\0\3\0\3\0\0", 10), 31);
    for (uint32_t at = 0; at < 0x60000; at += 0x8000) {
        usb_env_run(u);
        env_check_state(u->b->e);
        usb_env_run(u);
        move_data(0x8000, true);
        ck_assert_mem_eq(data, u->disk[0]->bytes + 3 * 512 + at, 0x8000);
    }
    env_check_state(u->b->e);
    ck_assert_uint_eq(fetch_status(), PASSED);
    ck_assert_int_eq(send_command(0x60000, false, "\x2a\0\0\0\0\7\0\3\0\0", 10), 31);
    for (uint32_t at = 0; at < 0x60000; at += 0x8000) {
        for (unsigned k = 0; k < 0x8000; k++)
            data[k] = k * 5 + (k >> 7) + (at >> 12);
        move_data(0x8000, false);
        usb_env_run(u);
        env_check_state(u->b->e);
    }
    ck_assert_uint_eq(fetch_status(), PASSED);
    for (uint32_t at = 0; at < 0x60000; at++) {
        uint8_t want = (uint8_t)((at & 0x7fff) * 5 + ((at & 0x7fff) >> 7) + (at >> 15 << 3));

        if (u->disk[0]->bytes[7 * 512 + at] != want)            /* an assertion that holds costs a system call */
            ck_abort_msg("byte %u is not %u", at, want);
    }
    end();
}
END_TEST

START_TEST(boot_path)
{
    const struct plug_common *c;

    u = usb_env_new();
    bus_env_plug(u->b, "qemu-xhci", "addr", "4.2", NULL);
    bus_env_plug(u->b, "usb-hub", "port", "3", NULL);
    bus_env_plug(u->b, "usb-hub", "port", "3.7", NULL);
    c = bus_env_plug(u->b, "usb-storage", "drive", "d0", "port", "3.7.2", NULL);
    ck_assert_str_eq(c->boot_path, "/pci@i0cf8/usb@4,2/hub@3/hub@7/storage@2/channel@0/disk@0,0");
    ck_assert_uint_eq(usb_env_device(u, "usb-bus.0", "3.7.2")->speed, USB_HIGH);
    c = bus_env_plug(u->b, "usb-storage", "drive", "d1", NULL);
    ck_assert_str_eq(c->boot_path, "/pci@i0cf8/usb@4,2/storage@1/channel@0/disk@0,0");
    end();
}
END_TEST

START_TEST(fuzz)
{
    uint64_t seed = 11;

    plug("usb-ehci", "d0");
    for (unsigned i = 0; i < 200000; i++) {
        uint32_t v = bus_env_random(&seed), w = bus_env_random(&seed);
        unsigned len = v >> 8 & 1 ? 512 : w & 0x3ff;
        uint8_t b[0x400];

        for (unsigned k = 0; k < 31; k++)
            b[k] = bus_env_random(&seed) >> 7;
        switch (v & 7) {
        case 0: case 1:
            memcpy(b, "USBC", 4);
            put32(b + 8, w >> (w & 31));
            b[12] = v & 0x1000 ? 0x80 : 0;
            b[13] = 0;
            b[14] = v & 0x2000 ? 10 : 16;
            b[15] = "\x00\x03\x12\x1a\x1b\x1e\x25\x28\x2a\x35\x41\x42\x5a\x88\x8a\x93"[v >> 14 & 15];
            memset(b + 17, 0, 3);
            usb_packet(d, USB_OUT, OUT, b, 31);
            break;
        case 2: case 3:
            ck_assert_int_le(usb_packet(d, USB_IN, IN, b, len), (int)len);
            break;
        case 4: case 5:
            ck_assert_int_le(usb_packet(d, USB_OUT, OUT, b, len), (int)len);
            break;
        case 6:
            usb_env_run(u);
            break;
        default:
            if (w & 1) {
                clear_halt(0x80 | IN);
                clear_halt(OUT);
            } else if (w % 14 == 0) {
                recover();
            } else if (w % 1000 == 0) {
                usb_bus_reset(d);
                usb_env_control(d, 0, 9, 1, 0, 0, buf);
            }
            break;
        }
        if (i % 20000 == 0) {
            usb_env_run(u);
            env_check_state(u->b->e);
        }
    }
    recover();
    usb_env_run(u);
    command(0, false, READY);
    command(0, false, "\x1b\0\0\0\1\0");     /* it may have been stopped */
    ck_assert_uint_eq(command(0, false, READY), PASSED);
    end();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("usb-storage");
    TCase *t = tcase_create("usb-storage");

    tcase_set_timeout(t, 60);
    tcase_add_test(t, descriptors);
    tcase_add_test(t, moves);
    tcase_add_test(t, thirteen);
    tcase_add_test(t, errors);
    tcase_add_test(t, recovery);
    tcase_add_test(t, state);
    tcase_add_test(t, boot_path);
    tcase_add_test(t, fuzz);
    suite_add_tcase(suite, t);
    return run_suite(suite);
}
