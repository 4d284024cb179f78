/*
 * test_input.c - who gets keys, movements and positions; keymaps: characters of every layout, modifiers pressed around
 * a key.
 */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "host/keymap.h"
#include "hw/input_if.h"
#include "tests/run_suite.h"

static struct input *in;
static char said[400];
static bool used;

static void say(const char *what)
{
    ck_assert_uint_lt(strlen(said) + strlen(what), sizeof(said));
    strcat(said, what);
}

static void key(void *dev, unsigned k, bool down)
{
    char b[40];

    snprintf(b, sizeof(b), "%s%c%u ", (const char *)dev, down ? '+' : '-', k);
    say(b);
}

static void move(void *dev, int dx, int dy, int dz, unsigned buttons)
{
    char b[60];

    snprintf(b, sizeof(b), "%s:%d,%d,%d,%u ", (const char *)dev, dx, dy, dz, buttons);
    say(b);
}

static void place(void *dev, unsigned x, unsigned y, int dz, unsigned buttons)
{
    move(dev, (int)x, (int)y, dz, buttons);
}

static bool in_use(void *dev)
{
    return used;
}

static unsigned leds(void *dev)
{
    return *(const char *)dev == 'a' ? INPUT_CAPS_LOCK : INPUT_NUM_LOCK;
}

static const struct input_device keyboard = { .key = key, .leds = leds }, mouse = { .move = move };
static const struct input_device tablet = { .place = place, .in_use = in_use };
static char a[] = "a", b[] = "b", m[] = "m", t[] = "t";

static void setup(void)
{
    in = input_new();
    said[0] = 0;
    used = false;
}

static void teardown(void)
{
    input_free(in);
}

START_TEST(routes)
{
    input_key(in, 30, true);            /* nobody is there */
    input_move(in, 1, 2, 0, 0);
    input_add(NULL, &keyboard, a);
    input_add(in, &keyboard, a);
    input_add(in, &mouse, m);
    input_add(in, &tablet, t);
    input_key(in, 30, true);
    input_add(in, &keyboard, b);        /* the newest gets what is pressed from now on */
    input_key(in, 31, true);
    input_key(in, 30, false);
    input_key(in, 99999, true);
    ck_assert_str_eq(said, "a+30 b+31 a-30 ");
    ck_assert_uint_eq(input_leds(in), INPUT_NUM_LOCK);
    input_key(in, 42, true);
    said[0] = 0;
    input_release(in);
    input_release(in);
    ck_assert_str_eq(said, "b-31 b-42 ");
    said[0] = 0;
    ck_assert(!input_absolute(in));     /* the guest has no driver for it */
    input_move(in, 3, -4, 1, INPUT_LEFT);
    used = true;
    ck_assert(input_absolute(in));
    input_place(in, 7, 99999, 0, INPUT_RIGHT);
    ck_assert_str_eq(said, "m:3,-4,1,1 t:7,32767,0,2 ");
    said[0] = 0;
    input_key(in, 30, true);
    input_remove(in, b);
    input_key(in, 30, false);           /* went with it */
    input_key(in, 30, true);
    input_remove(in, t);
    ck_assert(!input_absolute(in));
    ck_assert_uint_eq(input_leds(in), INPUT_CAPS_LOCK);
    ck_assert_str_eq(said, "b+30 a+30 ");
}
END_TEST

START_TEST(layouts)
{
    static const struct { const char *map; uint32_t sym; unsigned key, mods; } want[] = {
        { "en-us", 'a', 30, 0 }, { "en-us", 'A', 30, KEYMAP_SHIFT }, { "en-us", '\\', 43, 0 }, { "en-us", '/', 53, 0 },
        { "en-us", 0xffbe, 59, 0 }, { "en-us", 0xff0d, 28, 0 }, { "en-us", '"', 40, KEYMAP_SHIFT },
        { "en-gb", 0xa3, 4, KEYMAP_SHIFT }, { "en-gb", '#', 43, 0 }, { "en-gb", '@', 40, KEYMAP_SHIFT },
        { "de", 'z', 21, 0 }, { "de", 'y', 44, 0 }, { "de", '@', 16, KEYMAP_ALTGR }, { "de", 0xe4, 40, 0 },
        { "de", '/', 8, KEYMAP_SHIFT }, { "de", 0x10020ac, 18, KEYMAP_ALTGR }, { "de", '<', 86, 0 },
        { "fr", 'a', 16, 0 }, { "fr", '1', 2, KEYMAP_SHIFT }, { "fr", 0xe9, 3, 0 }, { "fr", '.', 51, KEYMAP_SHIFT },
        { "fr", 'm', 39, 0 }, { "fr", '[', 6, KEYMAP_ALTGR },
    };
    unsigned mods;

    for (unsigned i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
        ck_assert_msg(keymap_key(keymap_find(want[i].map), want[i].sym, &mods) == want[i].key && mods == want[i].mods,
                      "%s: keysym %x", want[i].map, want[i].sym);
    }
    /* All of ASCII can be typed on each, but for what only dead keys make. */
    for (unsigned n = 0; keymap_nth(n); n++)
        for (uint32_t c = ' '; c < 0x7f; c++)
            ck_assert_msg(keymap_key(keymap_find(keymap_nth(n)), c, &mods), "%s: no %c", keymap_nth(n), (char)c);
    ck_assert_ptr_null(keymap_find("xx"));
    ck_assert_uint_eq(keymap_key(keymap_find("de"), 0x1234567, &mods), 0);
    ck_assert_uint_eq(keymap_key(keymap_find("de"), 0, &mods), 0);
}
END_TEST

START_TEST(modifiers)
{
    struct key_sender s = { .map = keymap_find("en-us"), .input = in };

    input_add(in, &keyboard, a);
    ck_assert(key_send(&s, 'A', true));         /* the sender has no Shift: it is pressed for it */
    ck_assert(key_send(&s, 'A', true));         /* repeats are the guest's business */
    ck_assert(key_send(&s, 'A', false));
    ck_assert_str_eq(said, "a+42 a+30 a-30 a-42 ");
    said[0] = 0;
    ck_assert(key_send(&s, 0xffe1, true));
    ck_assert(key_send(&s, 'A', true));
    ck_assert(key_send(&s, 'A', false));
    ck_assert(key_send(&s, 0xffe1, false));
    ck_assert(key_send(&s, 'B', true));
    ck_assert(key_send(&s, 'B', false));
    ck_assert_str_eq(said, "a+42 a+30 a-30 a-42 a+42 a+48 a-48 a-42 ");
    ck_assert(!key_send(&s, 'B', false));
    ck_assert(!key_send(&s, 0x1234, true));
    for (unsigned i = 0; i < 26; i++)           /* more than it counts */
        key_send(&s, 'a' + i, true);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("input");
    TCase *c = tcase_create("input");

    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, routes);
    tcase_add_test(c, layouts);
    tcase_add_test(c, modifiers);
    suite_add_tcase(suite, c);
    return run_suite(suite);
}
