/* test_input.c - who gets keys, movements and positions. */
#include <check.h>
#include <stdio.h>
#include <string.h>

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

/* While the machine stands still nobody hears anything, and no key stays down that has gone up meanwhile. */
START_TEST(still)
{
    input_add(in, &keyboard, a);
    input_add(in, &mouse, m);
    input_key(in, 30, true);
    input_key(in, 31, true);
    input_key(in, 32, true);
    input_move(in, 1, 2, 0, INPUT_LEFT);
    ck_assert_str_eq(said, "a+30 a+31 a+32 m:1,2,0,1 ");
    said[0] = 0;
    input_still(in, true);
    input_key(in, 30, false);
    input_key(in, 31, false);
    input_key(in, 31, true);            /* it is down again before anybody knows */
    input_key(in, 33, true);
    input_key(in, 33, false);
    input_key(in, 34, true);
    input_move(in, 5, 5, 1, INPUT_LEFT | INPUT_RIGHT);
    input_move(in, 5, 5, 0, 0);
    ck_assert_str_eq(said, "");
    input_still(in, false);
    ck_assert_str_eq(said, "a-30 m:0,0,0,0 ");
    said[0] = 0;
    input_key(in, 34, false);           /* nobody knows that it was down */
    input_key(in, 31, false);
    input_key(in, 32, false);
    ck_assert_str_eq(said, "a-31 a-32 ");
    said[0] = 0;
    used = true;
    input_add(in, &tablet, t);
    input_still(in, true);
    input_place(in, 10, 20, 1, INPUT_LEFT);
    input_place(in, 30, 40, 0, 0);
    input_still(in, false);
    ck_assert_str_eq(said, "t:30,40,0,0 ");
}
END_TEST

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

int main(void)
{
    Suite *suite = suite_create("input");
    TCase *c = tcase_create("input");

    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, routes);
    tcase_add_test(c, still);
    suite_add_tcase(suite, c);
    return run_suite(suite);
}
