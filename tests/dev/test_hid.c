/*
 * test_hid.c - USB keyboard, mouse and tablet: reports of what happened to them, in its order, and HID
 * requests.
 */
#include <check.h>
#include <string.h>

#include "hw/input_if.h"
#include "hw/usb/hid.h"
#include "tests/dev/usb_env.h"
#include "tests/run_suite.h"

static struct bus_env *b;
static struct usb_dev *d;
static struct input *input;             /* what displays feed; NULL: nobody */
static uint8_t buf[USB_CONTROL_MAX];

static int control(unsigned type, unsigned request, unsigned value, unsigned index, unsigned len)
{
    return usb_env_control(d, type, request, value, index, len, buf);
}

static void plug(const char *name)
{
    struct usb_bus *bus;

    b = bus_env_new();
    b->e->m.cfg.input = input;
    bus_env_plug(b, "piix3-usb-uhci", NULL);
    bus_env_plug(b, name, "serial", "42", NULL);
    bus = plug_bus_find(&b->plugs, "usb-bus.0");
    d = bus->ports->dev;
    ck_assert_uint_eq(d->configuration, 0);
    ck_assert_int_eq(control(0, 9, 1, 0, 0), 0);
    ck_assert_uint_eq(d->configuration, 1);
}

static void end(void)
{
    bus_env_free(b);
}

/* The next report; its length, USB_NAK: none. */
static int next(void)
{
    return usb_packet(d, USB_IN, 1, buf, 8);
}

/* Displays send positions once a guest has set the tablet up, and they become its reports. */
START_TEST(from_displays)
{
    input = input_new();
    plug("usb-tablet");
    ck_assert(input_absolute(input));
    input_place(input, 0x1234, 0x567, 0, INPUT_LEFT);
    ck_assert_int_eq(next(), 6);
    ck_assert_mem_eq(buf, "\1\x34\x12\x67\5\0", 6);
    ck_assert_int_eq(control(0, 9, 0, 0, 0), 0);        /* back to no configuration */
    ck_assert(!input_absolute(input));
    end();
    plug("usb-kbd");
    input_key(input, 30, true);                         /* A */
    ck_assert_int_eq(next(), 8);
    ck_assert_mem_eq(buf, "\0\0\4\0\0\0\0\0", 8);
    ck_assert_uint_eq(input_leds(input), 0);
    buf[0] = 6;                                         /* and its lights theirs */
    ck_assert_int_eq(control(0x21, 9, 0x200, 0, 1), 1);
    ck_assert_uint_eq(input_leds(input), INPUT_CAPS_LOCK | INPUT_SCROLL_LOCK);
    end();
    input_free(input);
    input = NULL;
}
END_TEST

START_TEST(tablet)
{
    plug("usb-tablet");
    ck_assert_int_eq(next(), USB_NAK);
    usb_hid_place(d, 1, 2, 0, 0);
    usb_hid_place(d, 3, 4, 0, 0);               /* put together */
    usb_hid_place(d, 3, 4, 0, 1);               /* a quick click */
    usb_hid_place(d, 3, 4, 0, 0);
    usb_hid_place(d, 99999, 5, 1, 0);
    ck_assert_int_eq(next(), 6);
    ck_assert_mem_eq(buf, "\0\3\0\4\0\0", 6);
    ck_assert_int_eq(next(), 6);
    ck_assert_mem_eq(buf, "\1\3\0\4\0\0", 6);
    env_check_state(b->e);
    ck_assert_int_eq(next(), 6);
    ck_assert_mem_eq(buf, "\0\xff\x7f\5\0\xff", 6);
    ck_assert_int_eq(next(), USB_NAK);
    usb_hid_place(d, 1, 1, -300, 0);            /* more than a report holds */
    for (int left = 300; left > 0; left -= 127) {
        ck_assert_int_eq(next(), 6);
        ck_assert_int_eq((int8_t)buf[5], left > 127 ? 127 : left);
    }
    ck_assert_int_eq(next(), USB_NAK);
    for (unsigned i = 0; i < 1000; i++)         /* nobody reads: what is held at the end stays right */
        usb_hid_place(d, i, i, 0, i & 1);
    for (unsigned i = 0; next() > 0; i++)
        ck_assert_uint_lt(i, 300);
    usb_hid_place(d, 7, 7, 0, 0);
    ck_assert_int_eq(next(), 6);
    ck_assert_mem_eq(buf, "\0\7\0\7\0\0", 6);
    ck_assert_int_eq(control(0xa1, 3, 0, 0, 1), USB_STALL);     /* no boot protocol */
    ck_assert_int_eq(control(0xa1, 1, 0x100, 0, 6), 6);
    ck_assert_mem_eq(buf, "\0\7\0\7\0\0", 6);
    end();
}
END_TEST

START_TEST(mouse)
{
    int x = 0, y = 0;

    plug("usb-mouse");
    usb_hid_move(d, 200, -300, 0, 0);
    usb_hid_move(d, 100, -5, 2, 0);
    usb_hid_move(d, 0, 0, 0, 2);
    while (next() == 4) {
        x += (int8_t)buf[1];
        y += (int8_t)buf[2];
        ck_assert_uint_eq(buf[0], x == 300 && y == -305 && !buf[1] && !buf[2] ? 2 : 0);
    }
    ck_assert_int_eq(x, 300);
    ck_assert_int_eq(y, -305);
    ck_assert_uint_eq(buf[0], 2);
    ck_assert_int_eq(control(0x21, 11, 0, 0, 0), 0);
    usb_hid_move(d, 1, 1, 1, 0);
    ck_assert_int_eq(next(), 3);                /* the boot protocol knows no wheel */
    ck_assert_mem_eq(buf, "\0\1\1", 3);
    end();
}
END_TEST

START_TEST(keyboard)
{
    static const uint8_t seven[] = { 2, 3, 4, 5, 6, 7, 8 };

    plug("usb-kbd");
    ck_assert_int_eq(next(), USB_NAK);
    usb_hid_key(d, 42, true);                   /* left shift, A */
    usb_hid_key(d, 30, true);
    usb_hid_key(d, 30, false);
    usb_hid_key(d, 42, false);
    usb_hid_key(d, 9999, true);
    ck_assert_int_eq(next(), 8);
    ck_assert_mem_eq(buf, "\2\0\0\0\0\0\0\0", 8);
    ck_assert_int_eq(next(), 8);
    ck_assert_mem_eq(buf, "\2\0\4\0\0\0\0\0", 8);
    ck_assert_int_eq(next(), 8);
    ck_assert_int_eq(next(), 8);
    ck_assert_mem_eq(buf, "\0\0\0\0\0\0\0\0", 8);
    ck_assert_int_eq(next(), USB_NAK);
    for (unsigned i = 0; i < sizeof(seven); i++)
        usb_hid_key(d, seven[i], true);
    for (unsigned i = 0; i < sizeof(seven); i++)
        ck_assert_int_eq(next(), 8);
    ck_assert_mem_eq(buf, "\0\0\1\1\1\1\1\1", 8);
    usb_hid_key(d, 8, false);
    ck_assert_int_eq(next(), 8);
    ck_assert_mem_eq(buf, "\0\0\x1e\x1f\x20\x21\x22\x23", 8);
    ck_assert_uint_eq(usb_hid_leds(d), 0);
    buf[0] = 3;
    ck_assert_int_eq(control(0x21, 9, 0x200, 0, 1), 1);
    ck_assert_uint_eq(usb_hid_leds(d), USB_HID_NUM_LOCK | USB_HID_CAPS_LOCK);
    end();
}
END_TEST

/* Typed faster than the host reads: all comes in order. Of too much, presses are lost and no key stays
 * down. */
START_TEST(typed_fast)
{
    static const uint8_t order[] = { 0x14, 0x1a, 0x08, 0x15, 0x17, 0x1c, 0x18, 0x0c, 0x12, 0x13 };  /* QWERTY */
    unsigned presses = 0;

    plug("usb-kbd");
    for (unsigned i = 0; i < 60; i++) {
        usb_hid_key(d, 16 + i % 10, true);
        usb_hid_key(d, 16 + i % 10, false);
    }
    for (unsigned i = 0; i < 60; i++) {
        ck_assert_int_eq(next(), 8);
        ck_assert_uint_eq(buf[2], order[i % 10]);
        ck_assert_int_eq(next(), 8);
        ck_assert_mem_eq(buf, "\0\0\0\0\0\0\0\0", 8);
    }
    ck_assert_int_eq(next(), USB_NAK);
    for (unsigned i = 0; i < 1000; i++) {
        usb_hid_key(d, 42, i % 3 == 0);                 /* Shift, often let go twice */
        usb_hid_key(d, 16 + i % 10, true);
        usb_hid_key(d, 16 + i % 10, true);              /* repeated by the host */
        if (i > 4)
            usb_hid_key(d, 16 + (i - 4) % 10, false);
        if (i == 999)
            env_check_state(b->e);
    }
    for (unsigned k = 16; k < 26; k++)
        usb_hid_key(d, k, false);
    usb_hid_key(d, 42, false);
    for (unsigned last = 0; next() == 8; last = buf[2] != 0)
        presses += buf[2] && !last;
    ck_assert_uint_gt(presses, 0);
    ck_assert_mem_eq(buf, "\0\0\0\0\0\0\0\0", 8);
    usb_hid_key(d, 30, true);                           /* and it works as before */
    ck_assert_int_eq(next(), 8);
    ck_assert_mem_eq(buf, "\0\0\4\0\0\0\0\0", 8);
    end();
}
END_TEST

START_TEST(idle)
{
    plug("usb-kbd");
    ck_assert_int_eq(control(0x21, 10, 25 << 8, 0, 0), 0);      /* 100 ms */
    ck_assert_int_eq(control(0xa1, 2, 0, 0, 1), 1);
    ck_assert_uint_eq(buf[0], 25);
    clock_advance(b->e->clock, 99000000);
    ck_assert_int_eq(next(), USB_NAK);
    env_check_state(b->e);
    clock_advance(b->e->clock, 1000000);
    ck_assert_int_eq(next(), 8);
    ck_assert_int_eq(next(), USB_NAK);
    clock_advance(b->e->clock, 100000000);
    ck_assert_int_eq(next(), 8);
    ck_assert_int_eq(control(0x21, 10, 0, 0, 0), 0);
    clock_advance(b->e->clock, 1000000000);
    ck_assert_int_eq(next(), USB_NAK);
    end();
}
END_TEST

START_TEST(requests)
{
    plug("usb-mouse");
    ck_assert_int_eq(control(0x80, 6, 0x303, 0x409, 255), 6);
    ck_assert_mem_eq(buf, "\6\3" "4\0" "2\0", 6);
    ck_assert_int_eq(control(0x02, 3, 0, 0x81, 0), 0);          /* halted */
    usb_hid_move(d, 1, 1, 0, 0);
    ck_assert_int_eq(next(), USB_STALL);
    ck_assert_int_eq(control(0x82, 0, 0, 0x81, 2), 2);
    ck_assert_uint_eq(buf[0], 1);
    ck_assert_int_eq(control(0x02, 1, 0, 0x81, 0), 0);
    ck_assert_int_eq(next(), 4);
    ck_assert_int_eq(control(0x81, 6, 0x2100, 0, 9), 9);
    ck_assert_uint_eq(buf[1], 0x21);
    ck_assert_int_eq(control(0x81, 6, 0x2200, 1, 255), USB_STALL);
    ck_assert_int_eq(control(0x01, 11, 1, 0, 0), USB_STALL);
    ck_assert_int_eq(control(0, 9, 0, 0, 0), 0);
    ck_assert_int_eq(next(), USB_TIMEOUT);                      /* not configured */
    end();
}
END_TEST

START_TEST(fuzz)
{
    static const char *const names[] = { "usb-kbd", "usb-mouse", "usb-tablet", "usb-hub" };
    static const enum usb_pid pids[] = { USB_SETUP, USB_IN, USB_OUT };
    uint64_t seed = 7;

    for (unsigned k = 0; k < 4; k++) {
        plug(names[k]);
        for (unsigned i = 0; i < 100000; i++) {
            uint32_t v = bus_env_random(&seed);
            unsigned len = v & 1 ? 8 : v >> 8 & 0x3ff;

            for (unsigned j = 0; j < 8; j++)
                buf[j] = bus_env_random(&seed) >> (bus_env_random(&seed) & 7);
            if (v & 0x100000)
                buf[0] = "\x80\x81\x82\x00\x01\x02\x21\xa1\xa0\xa3\x23\x20\x80\x81\0\0"[v >> 24 & 15];
            ck_assert_int_le(usb_packet(d, pids[(v >> 4) % 3], v >> 21 & 7 ? v >> 22 & 1 : v & 15, buf, len),
                             (int)len);
            if (k == 0)
                usb_hid_key(d, v & 0xff, v & 0x100);
            else if (k == 1)
                usb_hid_move(d, (int)v, (int)(v << 5), (int)v >> 7, v >> 12);
            else if (k == 2)
                usb_hid_place(d, v, v << 5, (int)v >> 7, v >> 12);
        }
        end();
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("hid");
    TCase *t = tcase_create("hid");

    tcase_set_timeout(t, 60);
    tcase_add_test(t, from_displays);
    tcase_add_test(t, tablet);
    tcase_add_test(t, mouse);
    tcase_add_test(t, keyboard);
    tcase_add_test(t, typed_fast);
    tcase_add_test(t, idle);
    tcase_add_test(t, requests);
    tcase_add_test(t, fuzz);
    suite_add_tcase(suite, t);
    return run_suite(suite);
}
