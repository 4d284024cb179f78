/*
 * test_keymap.c - keyboard layouts: characters of every layout, beside QEMU's own tables where they are installed; what is
 * pressed around a key.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "host/keymap.h"
#include "hw/input_if.h"
#include "tests/run_suite.h"
#ifdef HAVE_XKB
#include <xkbcommon/xkbcommon.h>
#endif

static struct input *in;
static char said[400];
static unsigned lights;
static bool deaf;               /* the guest changes no LEDs */

static void key(void *dev, unsigned k, bool down)
{
    size_t n = strlen(said);

    ck_assert_uint_lt(n + 8, sizeof(said));
    snprintf(said + n, sizeof(said) - n, "%c%u ", down ? '+' : '-', k);
    if (down && !deaf)
        lights ^= k == 69 ? INPUT_NUM_LOCK : k == 58 ? INPUT_CAPS_LOCK : 0;
}

static unsigned leds(void *dev)
{
    return lights;
}

static const struct input_device keyboard = { .key = key, .leds = leds };
static char dev[] = "keyboard";

static void setup(void)
{
    in = input_new();
    input_add(in, &keyboard, dev);
    said[0] = 0;
    lights = 0;
    deaf = false;
}

static void teardown(void)
{
    input_free(in);
}

static struct keymap *map_of(const char *name)
{
    char err[400];
    struct keymap *map = keymap_open(name, err, sizeof(err));

    ck_assert_msg(map, "%s: %s", name ? name : "default", err);
    return map;
}

START_TEST(layouts)
{
    static const struct { const char *map; uint32_t sym; unsigned key, mods; } want[] = {
        { "en-us", 'a', 30, 0 }, { "en-us", 'A', 30, KEYMAP_SHIFT }, { "en-us", '\\', 43, 0 }, { "en-us", '/', 53, 0 },
        { "en-us", 0xffbe, 59, 0 }, { "en-us", 0xff0d, 28, 0 }, { "en-us", '"', 40, KEYMAP_SHIFT },
        { NULL, '@', 3, KEYMAP_SHIFT },
        { "en-gb", 0xa3, 4, KEYMAP_SHIFT }, { "en-gb", '#', 43, 0 }, { "en-gb", '@', 40, KEYMAP_SHIFT },
        { "de", 'z', 21, 0 }, { "de", 'y', 44, 0 }, { "de", '@', 16, KEYMAP_ALTGR }, { "de", 0xe4, 40, 0 },
        { "de", '/', 8, KEYMAP_SHIFT }, { "de", 0x10020ac, 18, KEYMAP_ALTGR }, { "de", 0x20ac, 18, KEYMAP_ALTGR },
        { "de", '<', 86, 0 }, { "de", 0x10000e4, 40, 0 }, { "de", '^', 41, 0 }, { "de", 0xfe52, 41, 0 },
        { "fr", 'a', 16, 0 }, { "fr", '1', 2, KEYMAP_SHIFT }, { "fr", 0xe9, 3, 0 }, { "fr", '.', 51, KEYMAP_SHIFT },
        { "fr", 'm', 39, 0 }, { "fr", '[', 6, KEYMAP_ALTGR },
    };
    unsigned mods;
    char err[400];

    for (unsigned i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
        struct keymap *map = map_of(want[i].map);

        ck_assert_msg(keymap_key(map, want[i].sym, 0, &mods) == want[i].key && mods == want[i].mods,
                      "%s: keysym %x", want[i].map, want[i].sym);
        ck_assert_uint_eq(keymap_key(map, 0x1234567, 0, &mods), 0);
        ck_assert_uint_eq(keymap_key(map, 0, 0, &mods), 0);
        keymap_free(map);
    }
    ck_assert_uint_gt(keymap_nth(3) != NULL, 0);
    ck_assert_ptr_null(keymap_open("xx", err, sizeof(err)));
    ck_assert_ptr_nonnull(strstr(err, "en-us"));
    ck_assert_ptr_null(keymap_open("../us", err, sizeof(err)));
    ck_assert_ptr_null(keymap_open("us(", err, sizeof(err)));
    keymap_free(NULL);
}
END_TEST

/* What can be typed: letters, digits and signs on all of them, but for what scripts of their own have no place for. */
START_TEST(ascii)
{
    unsigned mods;

    for (unsigned n = 0; keymap_nth(n); n++) {
        struct keymap *map = map_of(keymap_nth(n));

        for (uint32_t c = ' '; c < 0x7f; c++)
            if (strcmp(keymap_nth(n), "is") || c != '^')
                ck_assert_msg(keymap_key(map, c, 0, &mods), "%s: no %c", keymap_nth(n), (char)c);
        keymap_free(map);
    }
}
END_TEST

#ifdef HAVE_XKB
static void expect(const char *name, uint32_t sym, unsigned want, unsigned want_mods)
{
    struct keymap *map = map_of(name);
    unsigned mods, k = keymap_key(map, sym, 0, &mods);

    ck_assert_msg(k == want && mods == want_mods, "%s: keysym %x is key %u+%u", name, sym, k, mods);
    keymap_free(map);
}

START_TEST(xkb)
{
    expect("ru", 0x6c6, 30, 0);                 /* Cyrillic_ef by its old keysym, and as Unicode */
    expect("ru", 0x1000444, 30, 0);
    expect("ru", 'a', 30, 0);                   /* no letter of this layout's: that of en-us */
    expect("et", 0xf5, 27, 0);
    expect("bepo", 'b', 16, 0);
    expect("sv", 0xe5, 26, 0);
    expect("pl", 0x1000105, 30, KEYMAP_ALTGR);
    expect("pl", 0x1b1, 30, KEYMAP_ALTGR);      /* aogonek by its old keysym */
    expect("es", '^', 26, KEYMAP_SHIFT);        /* dead there */
    expect("gr", 0x10003b1, 30, 0);             /* XKB's */
    expect("us(dvorak)", 'o', 31, 0);
}
END_TEST

/*
 * QEMU's tables (package qemu-system-data): NAME NUMBER [shift] [altgr] ...; of a prefixed code bit 7 is set. Every key of the
 * main block makes here what it makes there; signs with AltGr are elsewhere in other editions of XKB's data, so that some may
 * differ, but no letter.
 */
static unsigned evdev_of(unsigned number)
{
    return number <= 0x35 || number == 0x56 || number == 0x39 ? number : 0;
}

static void compare(const char *name, FILE *f, unsigned *same, unsigned *other)
{
    struct keymap *map = map_of(name);
    char line[200], sym[64];

    while (fgets(line, sizeof(line), f)) {
        unsigned number, mods, want, k, want_mods = (strstr(line, " shift") ? KEYMAP_SHIFT : 0) |
                                                     (strstr(line, " altgr") ? KEYMAP_ALTGR : 0);
        uint32_t s;

        if (line[0] == '#' || sscanf(line, "%63s %x", sym, &number) != 2 || !(want = evdev_of(number)) ||
            !(s = xkb_keysym_from_name(sym, XKB_KEYSYM_NO_FLAGS)) || s == XKB_KEY_VoidSymbol)
            continue;
        k = keymap_key(map, s, want_mods, &mods);       /* as if the sender held what belongs to it */
        if (getenv("VERBOSE") && (k != want || mods != want_mods))
            printf("%s: %s is %u+%u, there %u+%u\n", name, sym, k, mods, want, want_mods);
        *(k == want && mods == want_mods ? same : other) += 1;
        if (s < 0x80 && (s | 0x20) >= 'a' && (s | 0x20) <= 'z')
            ck_assert_msg(k == want, "%s: %s is key %u, there %u", name, sym, k, want);
    }
    keymap_free(map);
}

START_TEST(beside_qemu)
{
    unsigned seen = 0;

    for (unsigned n = 0; keymap_nth(n); n++) {
        const char *name = keymap_nth(n);
        unsigned same = 0, other = 0;
        char path[200];
        FILE *f;

        snprintf(path, sizeof(path), "/usr/share/qemu/keymaps/%s", name);
        /* Of these, two are other languages there (layouts.def), and two no tables made out of XKB's. */
        if (strstr(" et bepo sl sv ", name) || !(f = fopen(path, "r")))
            continue;
        compare(name, f, &same, &other);
        fclose(f);
        if (getenv("VERBOSE"))
            printf("%s: %u same, %u other\n", name, same, other);
        ck_assert_msg(same > 90 && other * 5 < same, "%s: %u keysyms as in QEMU, %u not", name, same, other);
        seen++;
    }
    if (!seen)
        fprintf(stderr, "test_keymap: no comparison with QEMU's layouts: qemu-system-data is not installed\n");
}
END_TEST
#endif

START_TEST(modifiers)
{
    struct keymap *map = map_of("en-us");
    struct key_sender s = { .map = map, .input = in };

    ck_assert(key_send(&s, 'A', true));         /* the sender has no Shift: it is pressed for it */
    ck_assert(key_send(&s, 'A', true));         /* repeats are the guest's business */
    ck_assert(key_send(&s, 'A', false));
    ck_assert_str_eq(said, "+42 +30 -30 -42 ");
    said[0] = 0;
    ck_assert(key_send(&s, 0xffe1, true));
    ck_assert(key_send(&s, 'A', true));
    ck_assert(key_send(&s, 'A', false));
    ck_assert(key_send(&s, 0xffe1, false));
    ck_assert(key_send(&s, 'B', true));
    ck_assert(key_send(&s, 'B', false));
    ck_assert_str_eq(said, "+42 +30 -30 -42 +42 +48 -48 -42 ");
    ck_assert(!key_send(&s, 'B', false));
    ck_assert(!s.noted);
    ck_assert(!key_send(&s, 0x1234, true));
    ck_assert(s.noted);
    said[0] = 0;
    for (unsigned i = 0; i < 17; i++)           /* more than it counts */
        key_send(&s, 'a' + i, true);
    ck_assert_ptr_nonnull(strstr(said, "+16 -25 "));
    keymap_free(map);
}
END_TEST

static void type(struct key_sender *s, uint32_t sym, const char *want)
{
    said[0] = 0;
    key_send(s, sym, true);
    key_send(s, sym, false);
    ck_assert_str_eq(said, want);
}

START_TEST(locks)
{
    struct keymap *map = map_of(NULL);
    struct key_sender s = { .map = map, .input = in };

    type(&s, 0xffb7, "+69 -69 +71 -71 ");       /* a digit of the keypad: Num Lock was off */
    type(&s, 0xffb7, "+71 -71 ");
    type(&s, 0xffab, "+78 -78 ");               /* + is the same with and without */
    type(&s, 0xff95, "+69 -69 +71 -71 ");       /* Home */
    type(&s, 0xff7f, "+69 -69 ");               /* the sender's own Num Lock */
    type(&s, 0xffb7, "+71 -71 ");
    lights = 0;                                 /* the guest thinks otherwise */
    type(&s, 0xffb7, "+69 -69 +71 -71 ");
    type(&s, ' ', "+57 -57 ");
    lights = 0;
    deaf = true;                                /* a guest that is slow to show it */
    type(&s, 0xffb8, "+69 -69 +72 -72 ");
    type(&s, 0xffb8, "+72 -72 ");
    deaf = false;
    type(&s, 0xffe5, "+58 -58 ");               /* Caps Lock, with which this sender's A comes without Shift */
    type(&s, 'A', "+30 -30 ");
    type(&s, '!', "+42 +2 -2 -42 ");
    type(&s, 'a', "+58 -58 +30 -30 ");          /* its Caps Lock went off elsewhere */
    ck_assert_uint_eq(lights & INPUT_CAPS_LOCK, 0);
    key_send(&s, 0xffe1, true);
    type(&s, 'a', "+58 -58 +30 -30 ");          /* only Caps Lock makes that */
    type(&s, 'A', "+58 -58 +30 -30 ");
    keymap_free(map);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("keymap");
    TCase *c = tcase_create("keymap");

    tcase_add_checked_fixture(c, setup, teardown);
    tcase_set_timeout(c, 60);
    tcase_add_test(c, layouts);
    tcase_add_test(c, ascii);
#ifdef HAVE_XKB
    tcase_add_test(c, xkb);
    tcase_add_test(c, beside_qemu);
#endif
    tcase_add_test(c, modifiers);
    tcase_add_test(c, locks);
    suite_add_tcase(suite, c);
    return run_suite(suite);
}
