/*
 * test_virtio_input.c - keyboard, mouse and tablet by virtio: what they say they are, events, LEDs, drivers that give
 * no buffers.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "hw/input_if.h"
#include "tests/dev/virtio_env.h"
#include "tests/run_suite.h"

enum { EVENTQ, STATUSQ };
enum { SYN = 0, KEY = 1, REL = 2, ABS = 3, LED = 0x11, REP = 0x14 };

static struct vt *v;
static struct input *in;
static unsigned buffers;                /* of events, offered */

static const uint64_t drivers[] = { VT_MODERN, VT_MODERN | VT_INDIRECT | VT_EVENT, VT_MODERN | VT_PACKED,
                                    VT_MODERN | VT_PACKED | VT_EVENT };
#define DRIVERS (sizeof(drivers) / sizeof(drivers[0]))

static void start(const char *spec, uint64_t driver)
{
    v = vt_new();
    in = input_new();
    v->e->m.cfg.input = in;
    vt_add(v, spec);
    vt_start(v, driver, true, 2);
    buffers = 0;
}

static void end(void)
{
    vt_free(v);
    input_free(in);
}

static void give(unsigned n)
{
    for (; n; n--) {
        struct vt_seg s = { VT_DATA + 8 * (buffers++ % 64), 8, true };

        vt_offer(v, EVENTQ, &s, 1);
    }
    vt_kick_always(v, EVENTQ);
}

/* The next event: type, code and value are these; the place of its buffer is known by its number. */
static unsigned taken;

static bool next(unsigned *type, unsigned *code, int *value)
{
    unsigned id;
    uint32_t len;
    uint64_t at = VT_DATA + 8 * (taken % 64);

    if (!vt_used(v, EVENTQ, &id, &len))
        return false;
    ck_assert_uint_eq(len, 8);
    *type = (unsigned)vt_get(v, at, 2);
    *code = (unsigned)vt_get(v, at + 2, 2);
    *value = (int)vt_get(v, at + 4, 4);
    taken++;
    return true;
}

static void expect(unsigned type, unsigned code, int value)
{
    unsigned t, c;
    int n;

    ck_assert(next(&t, &c, &n));
    ck_assert_uint_eq(t, type);
    ck_assert_uint_eq(c, code);
    ck_assert_int_eq(n, value);
}

static void nothing(void)
{
    unsigned t, c;
    int n;

    ck_assert(!next(&t, &c, &n));
}

/* Size of what is told; its bytes follow in the configuration at 8. */
static unsigned ask(unsigned select, unsigned subsel)
{
    vt_config_write(v, 0, select, 1);
    vt_config_write(v, 1, subsel, 1);
    return (unsigned)vt_config(v, 2, 1);
}

static bool has(unsigned n)
{
    return vt_config(v, 8 + n / 8, 1) >> n % 8 & 1;
}

START_TEST(identity)
{
    static const struct { const char *spec; unsigned keys, rel, abs, led, rep; } kinds[] = {
        { "virtio-keyboard-pci", 34, 0, 0, 1, 1 }, { "virtio-mouse-pci", 35, 2, 0, 0, 0 },
        { "virtio-tablet-pci", 35, 2, 1, 0, 0 }
    };
    char name[20] = "";

    start(kinds[_i].spec, VT_MODERN);
    ck_assert_uint_eq(env_config_read(v->e, VT_SLOT << 3, 0, 4), 0x10521af4);
    ck_assert_uint_eq(ask(0, 0), 0);
    ck_assert_uint_ge(ask(1, 0), 10);
    for (unsigned i = 0; i < 7; i++)
        name[i] = (char)vt_config(v, 8 + i, 1);
    ck_assert_str_eq(name, "Latimer");
    ck_assert_uint_eq(ask(3, 0), 8);
    ck_assert_uint_eq(vt_config(v, 8, 2), 6);
    ck_assert_uint_eq(ask(0x11, KEY), kinds[_i].keys);
    ck_assert(has(30) == (_i == 0));
    ck_assert(has(0x110) == (_i != 0));
    ck_assert_uint_eq(ask(0x11, REL), kinds[_i].rel);
    if (_i == 2)
        ck_assert(has(8) && !has(0));
    ck_assert_uint_eq(ask(0x11, ABS), kinds[_i].abs);
    ck_assert_uint_eq(ask(0x11, LED), kinds[_i].led);
    ck_assert_uint_eq(ask(0x11, REP), kinds[_i].rep);
    ck_assert_uint_eq(ask(0x11, 0xff), 0);
    ck_assert_uint_eq(ask(0x12, 1), _i == 2 ? 20 : 0);
    if (_i == 2)
        ck_assert_uint_eq(vt_config(v, 12, 4), INPUT_ABS_MAX);
    ck_assert_uint_eq(ask(0x12, 2), 0);
    ck_assert_uint_eq(ask(0xff, 0), 0);
    vt_config_write(v, 8, 0x55, 1);
    ck_assert_uint_eq(vt_config(v, 8, 1), 0);
    end();
}
END_TEST

START_TEST(keys)
{
    unsigned id;
    uint32_t len;
    struct vt_seg s = { VT_DATA + 0x1000, 8, false };

    taken = 0;
    start("virtio-keyboard-pci,packed=on", drivers[_i]);
    input_key(in, 30, true);
    give(16);
    expect(KEY, 30, 1);
    expect(SYN, 0, 0);
    nothing();
    input_key(in, 30, true);                    /* repeated: the guest does that */
    input_key(in, 0, true);                     /* no key of this keyboard */
    input_key(in, 0x110, true);
    nothing();
    input_key(in, 30, false);
    expect(KEY, 30, 0);
    expect(SYN, 0, 0);
    ck_assert_uint_ge(vt_interrupts(v, EVENTQ), 1);
    for (unsigned led = 0; led < 3; led++) {
        vt_put(v, VT_DATA + 0x1000, LED, 2);
        vt_put(v, VT_DATA + 0x1002, led, 2);
        vt_put(v, VT_DATA + 0x1004, 1, 4);
        vt_offer(v, STATUSQ, &s, 1);
        vt_kick(v, STATUSQ);
        ck_assert(vt_used(v, STATUSQ, &id, &len));
        ck_assert_uint_eq(len, 0);
        ck_assert_uint_eq(input_leds(in), led == 0 ? INPUT_NUM_LOCK : led == 1 ? INPUT_NUM_LOCK | INPUT_CAPS_LOCK :
                          INPUT_NUM_LOCK | INPUT_CAPS_LOCK | INPUT_SCROLL_LOCK);
    }
    vt_put(v, VT_DATA + 0x1004, 0, 4);
    vt_offer(v, STATUSQ, &s, 1);
    vt_kick(v, STATUSQ);
    ck_assert_uint_eq(input_leds(in), INPUT_NUM_LOCK | INPUT_CAPS_LOCK);
    end();
}
END_TEST

START_TEST(pointers)
{
    taken = 0;
    start("virtio-tablet-pci", drivers[_i % 2]);
    vt_add(v, "virtio-mouse-pci");
    ck_assert(input_absolute(in));
    give(16);
    input_place(in, 0x1234, INPUT_ABS_MAX + 5, -1, INPUT_LEFT | INPUT_EXTRA);
    expect(ABS, 0, 0x1234);
    expect(ABS, 1, INPUT_ABS_MAX);
    expect(KEY, 0x110, 1);
    expect(KEY, 0x114, 1);
    expect(REL, 8, 1);
    expect(SYN, 0, 0);
    input_place(in, 1, 2, 0, INPUT_RIGHT);
    expect(ABS, 0, 1);
    expect(ABS, 1, 2);
    expect(KEY, 0x110, 0);
    expect(KEY, 0x111, 1);
    expect(KEY, 0x114, 0);
    expect(SYN, 0, 0);
    nothing();
    vt_set_status(v, 0);
    ck_assert(!input_absolute(in));
    end();

    taken = 0;
    start("virtio-mouse-pci", drivers[_i % 2]);
    give(16);
    input_move(in, -5, 7, 2, INPUT_MIDDLE);
    expect(REL, 0, -5);
    expect(REL, 1, 7);
    expect(KEY, 0x112, 1);
    expect(REL, 8, -2);
    expect(SYN, 0, 0);
    nothing();
    end();
}
END_TEST

/* Without buffers: what was pressed and released last is what the guest knows in the end. */
START_TEST(full)
{
    bool down[0x120] = { false };
    unsigned type, code, n = 0;
    int value;

    taken = 0;
    start("virtio-keyboard-pci", VT_MODERN);
    for (unsigned i = 0; i < 1001; i++)
        input_key(in, 2 + i / 3 % 50, i % 3 != 2);
    input_key(in, 57, true);
    input_key(in, 60, true);
    input_key(in, 60, false);
    for (unsigned round = 0; round < 30; round++) {
        give(32);
        for (; next(&type, &code, &value); n++)
            if (type == KEY)
                down[code] = value;
    }
    ck_assert_uint_ge(n, 250);
    for (unsigned key = 0; key < 0x120; key++)
        ck_assert_msg(down[key] == (key == 57 || key == 2 + 1000 / 3 % 50), "key %u is %s", key,
                      down[key] ? "down" : "up");
    end();
}
END_TEST

START_TEST(fuzz)
{
    static const char *const specs[] = { "virtio-keyboard-pci,packed=on", "virtio-mouse-pci", "virtio-tablet-pci" };

    srand((unsigned)_i + 1);
    start(specs[_i], drivers[_i]);
    for (unsigned i = 0; i < 60000; i++) {
        struct vt_seg s = { VT_DATA + (uint64_t)(rand() % 1000), 1 + (uint32_t)(rand() % 20), rand() % 4 != 0 };
        unsigned id;
        uint32_t len;

        switch (rand() % 12) {
        case 0: case 1: vt_config_write(v, (unsigned)rand() % 140, (unsigned)rand(), 1u << rand() % 3); break;
        case 2: vt_config(v, (unsigned)rand() % 140, 1); break;
        case 3: case 4: input_key(in, (unsigned)rand() % 300, rand() % 2); break;
        case 5: input_move(in, rand(), -rand(), rand() % 7 - 3, (unsigned)rand()); break;
        case 6: input_place(in, (unsigned)rand(), (unsigned)rand(), rand() % 7 - 3, (unsigned)rand()); break;
        case 7: vt_used(v, (unsigned)rand() % 2, &id, &len); break;
        case 8: input_leds(in); break;
        case 9:
            if (rand() % 40 == 0 || (vt_status(v) & 0x40))
                vt_start(v, drivers[rand() % (int)DRIVERS] | VT_MODERN, rand() % 2, 2);
            break;
        default:
            vt_offer(v, (unsigned)rand() % 2, &s, 1);
            vt_kick_always(v, (unsigned)rand() % 3);
        }
        if (i % 5000 == 0)
            env_check_state(v->e);
    }
    end();
}
END_TEST

int main(void)
{
    Suite *s = suite_create("virtio-input");
    TCase *t = tcase_create("input");

    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, identity, 0, 3);
    tcase_add_loop_test(t, keys, 0, DRIVERS);
    tcase_add_loop_test(t, pointers, 0, 2);
    tcase_add_test(t, full);
    tcase_add_loop_test(t, fuzz, 0, 3);
    suite_add_tcase(s, t);
    return run_suite(s);
}
