/* test_kbc.c - the 8042 and its keyboard. */
#include "tests/dev/kbc_env.h"

#include <stdlib.h>
#include <string.h>

START_TEST(controller_commands)
{
    cmd(0xaa);
    ck_assert_int_eq(next(), 0x55);
    cmd(0xab);
    ck_assert_int_eq(next(), 0x00);
    cmd(0xa9);
    ck_assert_int_eq(next(), 0x00);
    cmd(0xa4);
    ck_assert_int_eq(next(), 0xf1);
    cmd2(0x60, 0x30);
    cmd(0x20);
    ck_assert_int_eq(next(), 0x30);
    cmd(0xa8);
    cmd(0xae);
    cmd(0x20);
    ck_assert_int_eq(next(), 0x00);
    cmd2(0x65, 0xab);
    cmd(0x25);
    ck_assert_int_eq(next(), 0xab);
    cmd2(0xd2, 0x99);
    ck_assert_uint_eq(in8(&e, 0x64) & 0x21, 0x01);
    ck_assert_int_eq(next(), 0x99);
    cmd2(0xd3, 0x5a);
    ck_assert_int_eq(next_aux(), 0x5a);
    cmd(0x77);
    ck_assert_uint_eq(in8(&e, 0x64) & 0x08, 0x08);
    out8(&e, 0x60, 0);
    ck_assert_uint_eq(in8(&e, 0x64) & 0x08, 0);
}
END_TEST

START_TEST(a20_and_reset)
{
    ck_assert(e.level[A20]);
    cmd(0xd0);
    ck_assert_int_eq(next() & 3, 3);
    cmd2(0xd1, 0xdd);
    ck_assert(!e.level[A20]);
    cmd2(0xd1, 0xdf);
    ck_assert(e.level[A20]);
    cmd(0xdd);
    ck_assert(!e.level[A20]);
    cmd(0xdf);
    ck_assert(e.level[A20]);
    ck_assert(!e.level[RESET]);
    cmd(0xff);
    ck_assert(!e.level[RESET]);
    cmd(0xfe);
    ck_assert(e.level[RESET]);
}
END_TEST

START_TEST(keys_translated_and_interrupts)
{
    ps2_key(kbd, 30, true);                     /* A */
    ck_assert(e.level[IRQ1]);
    ck_assert_int_eq(next(), 0x1e);
    ck_assert(!e.level[IRQ1]);
    ps2_key(kbd, 30, true);                     /* the host repeats: ignored */
    ck_assert_int_eq(next(), -1);
    ps2_key(kbd, 30, false);
    EXPECT(0x9e);
    ps2_key(kbd, 103, true);                    /* Up */
    ps2_key(kbd, 103, false);
    EXPECT(0xe0, 0x48, 0xe0, 0xc8);
    ck_assert_uint_eq(e.rises[IRQ1], 6);
    ps2_key(kbd, 99, true);                     /* Print Screen */
    EXPECT(0xe0, 0x2a, 0xe0, 0x37);
    ps2_key(kbd, 99, false);
    EXPECT(0xe0, 0xb7, 0xe0, 0xaa);
    ps2_key(kbd, 119, true);                    /* Pause */
    ps2_key(kbd, 119, false);
    EXPECT(0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5);
    cmd(0xad);                                  /* keyboard off: it waits */
    ps2_key(kbd, 16, true);
    ck_assert_int_eq(next(), -1);
    cmd(0xae);
    EXPECT(0x10);
}
END_TEST

/* Set 1 as the table has it must be what the controller makes of set 2. */
START_TEST(translated_set_2_is_set_1)
{
    static const struct { unsigned key, s1, s2; } keys[] = {
#define KEY(number, name, a, b, c) { number, a, b },
#include "hw/ps2_keys.def"
#undef KEY
    };
    for (unsigned i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        ps2_key(kbd, keys[i].key, true);
        if (keys[i].s1 >> 8)
            ck_assert_int_eq(next(), keys[i].s1 >> 8);
        ck_assert_msg(next() == (int)(keys[i].s1 & 0xff), "key %u", keys[i].key);
        ps2_key(kbd, keys[i].key, false);
        if (keys[i].s1 >> 8)
            ck_assert_int_eq(next(), keys[i].s1 >> 8);
        ck_assert_msg(next() == (int)((keys[i].s1 & 0xff) | 0x80), "key %u break", keys[i].key);
    }
}
END_TEST

START_TEST(one_byte_at_a_time)
{
    ps2_key(kbd, 30, true);
    ps2_key(kbd, 30, false);
    ck_assert_uint_eq(in8(&e, 0x60), 0x1e);
    ck_assert_uint_eq(in8(&e, 0x60), 0x1e);     /* a chained handler reads it again */
    ck_assert(!full());
    pass(&e, 100 * US);
    ck_assert(full());
    ck_assert_uint_eq(e.rises[IRQ1], 2);
}
END_TEST

/* A host so busy that more than the wire's time passes between any two looks at the clock. */
static uint64_t busy_now(void *arg)
{
    static uint64_t now;

    return now += 200 * US;
}
static int64_t busy_wall(void *arg) { return 0; }
static int64_t busy_zone(void *arg, int64_t s) { return 0; }
static void busy_entropy(void *arg, void *buf, size_t len) { memset(buf, 7, len); }

START_TEST(no_byte_is_lost_on_a_busy_host)
{
    static const struct clock_source busy = { busy_now, busy_wall, busy_zone, busy_entropy, NULL };

    env_free(&e);
    env_init(&e);
    clock_free(e.clock);
    e.clock = clock_new(&busy);
    wire();
    for (unsigned i = 0; i < 2; i++) {
        ps2_key(kbd, 30, !i);
        ps2_key(kbd, 48, !i);
    }
    for (unsigned i = 0; i < 4; i++) {
        ck_assert(full());
        ck_assert_uint_eq(in8(&e, 0x60), ((uint8_t[]){ 0x1e, 0x30, 0x9e, 0xb0 })[i]);
    }
    ck_assert(!full());
}
END_TEST

START_TEST(keyboard_commands)
{
    cmd2(0x60, 0x03);                           /* no translation */
    out8(&e, 0x60, 0xff);
    EXPECT(0xfa, 0xaa);
    out8(&e, 0x60, 0xf2);
    EXPECT(0xfa, 0xab, 0x83);
    out8(&e, 0x60, 0xee);
    EXPECT(0xee);
    out8(&e, 0x60, 0xed);
    EXPECT(0xfa);
    out8(&e, 0x60, 0x06);
    EXPECT(0xfa);
    ck_assert_uint_eq(ps2_leds(kbd), 6);
    out8(&e, 0x60, 0xf0);
    EXPECT(0xfa);
    out8(&e, 0x60, 0x00);
    EXPECT(0xfa, 0x02);
    ps2_key(kbd, 30, true);
    ps2_key(kbd, 30, false);
    EXPECT(0x1c, 0xf0, 0x1c);
    out8(&e, 0x60, 0xfe);
    EXPECT(0x1c);
    out8(&e, 0x60, 0xf5);
    EXPECT(0xfa);
    ps2_key(kbd, 30, true);
    ck_assert_int_eq(next(), -1);
    out8(&e, 0x60, 0xf4);
    EXPECT(0xfa);
    ps2_key(kbd, 31, true);
    ps2_key(kbd, 31, false);
    EXPECT(0x1b, 0xf0, 0x1b);
    out8(&e, 0x60, 0x42);                       /* no such command */
    EXPECT(0xfe);
    /* set 3: letters make only until told otherwise */
    out8(&e, 0x60, 0xf0);
    EXPECT(0xfa);
    out8(&e, 0x60, 0x03);
    EXPECT(0xfa);
    ps2_key(kbd, 32, true);
    ps2_key(kbd, 32, false);
    EXPECT(0x23);
    out8(&e, 0x60, 0xf8);
    EXPECT(0xfa);
    ps2_key(kbd, 32, true);
    ps2_key(kbd, 32, false);
    EXPECT(0x23, 0xf0, 0x23);
}
END_TEST

START_TEST(typematic)
{
    ps2_key(kbd, 30, true);
    EXPECT(0x1e);
    pass(&e, 499 * MS);
    ck_assert(!full());
    pass(&e, 1 * MS);
    ck_assert_int_eq(next(), 0x1e);             /* 500 ms after the press */
    unsigned n = 0;
    for (unsigned i = 0; i < 1000; i++) {
        pass(&e, 1 * MS);
        while (full()) {
            ck_assert_uint_eq(in8(&e, 0x60), 0x1e);
            n++;
        }
    }
    ck_assert_uint_ge(n, 10);
    ck_assert_uint_le(n, 11);
    ps2_key(kbd, 30, false);
    EXPECT(0x9e);
    pass(&e, 1000 * MS);
    ck_assert_int_eq(next(), -1);
}
END_TEST

/* Far more than the keyboard's buffer holds, typed before the guest looks: all comes, in order, with Shift
 * where it was. Codes of several bytes come whole. */
START_TEST(typed_fast)
{
    cmd(0xad);
    for (unsigned k = 2; k < 32; k++) {
        ps2_key(kbd, 42, true);
        ps2_key(kbd, k, true);
        ps2_key(kbd, k, false);
        ps2_key(kbd, 42, false);
        ps2_key(kbd, 103, true);                /* Up: no shift code, Shift is up by then */
        ps2_key(kbd, 103, false);
    }
    check_state();
    cmd(0xae);
    for (unsigned k = 2; k < 32; k++) {
        const int want[] = { 0x2a, (int)k, (int)k | 0x80, 0xaa, 0xe0, 0x48, 0xe0, 0xc8 };

        if (k == 29)
            check_state();                      /* keys wait in it, and some in the buffer */
        for (unsigned i = 0; i < 8; i++)
            ck_assert_msg(next() == want[i], "key %u, byte %u", k, i);
    }
    ck_assert_int_eq(next(), -1);
    pass(&e, 2000 * MS);
    ck_assert_int_eq(next(), -1);               /* nothing repeats */
}
END_TEST

/* A key whose release still waits does not repeat. */
START_TEST(release_waits)
{
    cmd(0xad);
    for (unsigned k = 2; k < 20; k++) {
        ps2_key(kbd, k, true);
        ps2_key(kbd, k, false);
    }
    pass(&e, 5000 * MS);
    cmd(0xae);
    for (int k = 2; k < 20; k++) {
        ck_assert_int_eq(next(), k);
        ck_assert_int_eq(next(), k | 0x80);
    }
    pass(&e, 2000 * MS);
    ck_assert_int_eq(next(), -1);
}
END_TEST

/* More than waits at most: presses are lost, which is said once, but each that was given ends. */
START_TEST(keyboard_overrun)
{
    unsigned n[2] = { 0, 0 }, lost = 0;
    bool is_down[128] = { false };
    int v;

    cmd(0xad);
    for (unsigned i = 0; i < 1000; i++) {
        ps2_key(kbd, 2 + i % 60, true);
        if (i >= 20)                            /* some are held when it overflows */
            ps2_key(kbd, 2 + (i - 20) % 60, false);
        if (i % 100 == 0)
            check_state();
    }
    for (unsigned k = 2; k < 62; k++)
        ps2_key(kbd, k, false);
    cmd(0xae);
    while ((v = next()) >= 0) {
        if (v == 0xff) {                        /* overrun 00h, translated */
            lost++;
            continue;
        }
        ck_assert_int_eq(is_down[v & 0x7f], v >> 7);
        is_down[v & 0x7f] = !(v >> 7);
        n[v >> 7]++;
    }
    ck_assert_uint_eq(n[0], n[1]);
    ck_assert_uint_ge(n[0], 120);
    ck_assert_uint_lt(n[0], 140);
    ck_assert_uint_eq(lost, 1);
    ps2_key(kbd, 30, true);                     /* and it works as before */
    ps2_key(kbd, 30, false);
    EXPECT(0x1e, 0x9e);
}
END_TEST

/* A guest that sets the keyboard up anew gets nothing of what was typed before. */
START_TEST(pending_cleared)
{
    cmd(0xad);
    for (unsigned k = 2; k < 40; k++)
        ps2_key(kbd, k, true);
    out8(&e, 0x60, 0xf4);                       /* turns the clock on as well */
    pass(&e, 1 * MS);
    while (full() && in8(&e, 0x60) != 0xfa)
        pass(&e, 1 * MS);
    ck_assert_int_eq(next(), -1);
    ps2_key(kbd, 20, false);
    EXPECT(0x94);
}
END_TEST

/* Print Screen, Pause and the keys beside the keypad change with Shift, Ctrl, Alt and Num Lock. */
START_TEST(keys_that_change)
{
    cmd2(0x60, 0x03);                           /* no translation: set 2 */
    ps2_key(kbd, 102, true);                    /* Home */
    ps2_key(kbd, 102, false);
    EXPECT(0xe0, 0x6c, 0xe0, 0xf0, 0x6c);
    ps2_key(kbd, 42, true);
    EXPECT(0x12);
    ps2_key(kbd, 102, true);
    EXPECT(0xe0, 0xf0, 0x12, 0xe0, 0x6c);
    ps2_key(kbd, 102, false);
    EXPECT(0xe0, 0xf0, 0x6c, 0xe0, 0x12);
    ps2_key(kbd, 98, true);                     /* keypad / */
    EXPECT(0xe0, 0xf0, 0x12, 0xe0, 0x4a);
    ps2_key(kbd, 98, false);
    EXPECT(0xe0, 0xf0, 0x4a, 0xe0, 0x12);
    ps2_key(kbd, 54, true);
    EXPECT(0x59);
    ps2_key(kbd, 111, true);                    /* Delete, both shift keys held */
    EXPECT(0xe0, 0xf0, 0x12, 0xe0, 0xf0, 0x59, 0xe0, 0x71);
    ps2_key(kbd, 111, false);
    EXPECT(0xe0, 0xf0, 0x71, 0xe0, 0x12, 0xe0, 0x59);
    ps2_key(kbd, 54, false);
    EXPECT(0xf0, 0x59);
    ps2_key(kbd, 99, true);                     /* Print Screen with Shift */
    ps2_key(kbd, 99, false);
    EXPECT(0xe0, 0x7c, 0xe0, 0xf0, 0x7c);
    ps2_key(kbd, 42, false);
    EXPECT(0xf0, 0x12);
    out8(&e, 0x60, 0xed);
    EXPECT(0xfa);
    out8(&e, 0x60, 2);                          /* Num Lock */
    EXPECT(0xfa);
    ps2_key(kbd, 103, true);
    ps2_key(kbd, 103, false);
    EXPECT(0xe0, 0x12, 0xe0, 0x75, 0xe0, 0xf0, 0x75, 0xe0, 0xf0, 0x12);
    ps2_key(kbd, 42, true);
    EXPECT(0x12);
    ps2_key(kbd, 103, true);
    ps2_key(kbd, 103, false);
    EXPECT(0xe0, 0x75, 0xe0, 0xf0, 0x75);
    ps2_key(kbd, 42, false);
    EXPECT(0xf0, 0x12);
    ps2_key(kbd, 56, true);                     /* SysRq */
    EXPECT(0x11);
    ps2_key(kbd, 99, true);
    ps2_key(kbd, 99, false);
    EXPECT(0x84, 0xf0, 0x84);
    ps2_key(kbd, 56, false);
    EXPECT(0xf0, 0x11);
    ps2_key(kbd, 97, true);                     /* Break */
    EXPECT(0xe0, 0x14);
    ps2_key(kbd, 119, true);
    ps2_key(kbd, 119, false);
    EXPECT(0xe0, 0x7e, 0xe0, 0xf0, 0x7e);
    ps2_key(kbd, 97, false);
    EXPECT(0xe0, 0xf0, 0x14);
    cmd2(0x60, 0x43);                           /* the same as set 1 */
    ps2_key(kbd, 56, true);
    ps2_key(kbd, 99, true);
    ps2_key(kbd, 99, false);
    EXPECT(0x38, 0x54, 0xd4);
    cmd2(0x60, 0x03);
    out8(&e, 0x60, 0xf0);                       /* and in a set 1 of the keyboard's own */
    EXPECT(0xfa);
    out8(&e, 0x60, 0x01);
    EXPECT(0xfa);
    ps2_key(kbd, 56, false);
    EXPECT(0xb8);
    ps2_key(kbd, 103, true);
    ps2_key(kbd, 103, false);
    EXPECT(0xe0, 0x2a, 0xe0, 0x48, 0xe0, 0xc8, 0xe0, 0xaa);
    ps2_key(kbd, 29, true);
    ps2_key(kbd, 119, true);
    EXPECT(0x1d, 0xe0, 0x46, 0xe0, 0xc6);
}
END_TEST

/* Set 3: what F7h to FDh make of keys, and what each sends by itself. */
START_TEST(set_3_types)
{
    static const struct { unsigned key; uint8_t code; bool breaks, repeats; } keys[] = {
        { 30, 0x1c, false, true }, { 42, 0x12, true, false }, { 29, 0x11, true, false },
        { 58, 0x14, true, false },
        { 56, 0x19, true, false }, { 54, 0x59, true, false }, { 97, 0x58, false, false },
        { 100, 0x39, false, false },
        { 1, 0x08, false, false }, { 59, 0x07, false, false }, { 103, 0x63, false, true },
        { 111, 0x64, false, true },
        { 110, 0x67, false, false }, { 99, 0x57, false, false }, { 119, 0x62, false, false },
        { 78, 0x7c, false, true }, { 96, 0x79, false, false }
    };
    static const struct { uint8_t command; bool breaks, repeats; } all[] = {
        { 0xf7, false, true }, { 0xf8, true, false }, { 0xf9, false, false }, { 0xfa, true, true }
    };

    cmd2(0x60, 0x03);
    out8(&e, 0x60, 0xf0);
    EXPECT(0xfa);
    out8(&e, 0x60, 0x03);
    EXPECT(0xfa);
    for (unsigned a = 0; a < 5; a++) {
        if (a) {
            out8(&e, 0x60, all[a - 1].command);
            EXPECT(0xfa);
        }
        for (unsigned i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
            bool breaks = a ? all[a - 1].breaks : keys[i].breaks, repeats = a ?
                all[a - 1].repeats : keys[i].repeats;
            unsigned n = 0;

            ps2_key(kbd, keys[i].key, true);
            EXPECT_VALUES(keys[i].code);
            for (unsigned ms = 0; ms < 700; ms++) {
                pass(&e, 1 * MS);
                while (full()) {
                    ck_assert_uint_eq(in8(&e, 0x60), keys[i].code);
                    n++;
                }
            }
            ck_assert_msg((n > 0) == (repeats && keys[i].key != 119), "key %u repeats %u times", keys[i].key,
                          n);
            ps2_key(kbd, keys[i].key, false);
            if (breaks)
                EXPECT_VALUES(0xf0, keys[i].code);
            else
                ck_assert_int_eq(next(), -1);
        }
    }
    out8(&e, 0x60, 0xf6);                       /* defaults, then one key at a time */
    EXPECT(0xfa);
    out8(&e, 0x60, 0xf0);
    EXPECT(0xfa);
    out8(&e, 0x60, 0x03);
    EXPECT(0xfa);
    out8(&e, 0x60, 0xfc);
    EXPECT(0xfa);
    out8(&e, 0x60, 0x1c);
    EXPECT(0xfa);
    out8(&e, 0x60, 0x08);                       /* several */
    EXPECT(0xfa);
    out8(&e, 0x60, 0xf4);
    EXPECT(0xfa);
    ps2_key(kbd, 30, true);
    ps2_key(kbd, 30, false);
    ps2_key(kbd, 1, true);
    ps2_key(kbd, 1, false);
    ps2_key(kbd, 31, true);
    ps2_key(kbd, 31, false);
    EXPECT(0x1c, 0xf0, 0x1c, 0x08, 0xf0, 0x08, 0x1b);
}
END_TEST

/* Every rate and delay there is. */
START_TEST(typematic_rates)
{
    for (unsigned v = 0; v < 128; v += 9) {
        unsigned delay = (1 + (v >> 5)) * 250, period = (8 + (v & 7)) * (1 << (v >> 3 & 3)) * 417, n = 0;

        out8(&e, 0x60, 0xf3);
        EXPECT(0xfa);
        out8(&e, 0x60, v);
        EXPECT(0xfa);
        ps2_key(kbd, 30, true);
        EXPECT(0x1e);
        for (unsigned ms = 0; ms < delay + 1000; ms++) {
            pass(&e, 1 * MS);
            ck_assert(ms + 2 >= delay || !full());
            while (full()) {
                in8(&e, 0x60);
                n++;
            }
        }
        ck_assert_uint_ge(n, 100000 / period);
        ck_assert_uint_le(n, 100000 / period + 2);
        ps2_key(kbd, 30, false);
        EXPECT(0x9e);
    }
    out8(&e, 0x60, 0xf3);
    EXPECT(0xfa);
    out8(&e, 0x60, 0x80);
    EXPECT(0xfe);
}
END_TEST

/* Anything to both ports, keys and movement at any time; whatever comes out, state survives saving and
 * loading. */
START_TEST(random_accesses)
{
    static const uint8_t commands[] = { 0x20, 0x60, 0xa7, 0xa8, 0xad, 0xae, 0xd2, 0xd3, 0xd4, 0xd0, 0xe0 };
    unsigned bytes = 0;

    srand(8042);
    for (unsigned i = 0; i < 300000; i++) {
        unsigned r = rand(), v = r >> 16 & 0xff;

        switch (r & 15) {
        case 0: out8(&e, 0x64, v); break;
        case 1: out8(&e, 0x64, commands[v % sizeof(commands)]); break;
        case 2: out8(&e, 0x60, v); break;
        case 3: out8(&e, 0x60, 0xe6 + v % 26); break;
        case 4: cmd2(0xd4, r & 0x100 ? v : 0xe6 + v % 26); break;
        case 5: cmd2(0x60, 0x43); break;
        case 6: case 7: ps2_key(kbd, v, r >> 8 & 1); break;
        case 8: case 9: ps2_mouse(mouse, (int)(r >> 8 & 511) - 256, (int)v - 128, (int)(r & 7) - 3,
                                  r >> 9); break;
        case 10: pass(&e, (r >> 8 & 1023) * US); break;
        case 11:
            if ((r & 0x3f00) == 0)
                check_state();
            break;
        default:
            bytes += in8(&e, 0x64) & 1;
            in8(&e, 0x60);
        }
        ck_assert_uint_le(ps2_leds(kbd), 7);
    }
    ck_assert_uint_gt(bytes, 1000);
}
END_TEST

Suite *suite_kbc(void)
{
    Suite *s = suite_create("kbc");
    TCase *t = tcase_create("kbc");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 60);
    tcase_add_test(t, controller_commands);
    tcase_add_test(t, a20_and_reset);
    tcase_add_test(t, keys_translated_and_interrupts);
    tcase_add_test(t, translated_set_2_is_set_1);
    tcase_add_test(t, one_byte_at_a_time);
    tcase_add_test(t, no_byte_is_lost_on_a_busy_host);
    tcase_add_test(t, keyboard_commands);
    tcase_add_test(t, typematic);
    tcase_add_test(t, typed_fast);
    tcase_add_test(t, release_waits);
    tcase_add_test(t, keyboard_overrun);
    tcase_add_test(t, pending_cleared);
    tcase_add_test(t, keys_that_change);
    tcase_add_test(t, set_3_types);
    tcase_add_test(t, typematic_rates);
    tcase_add_test(t, random_accesses);
    suite_add_tcase(s, t);
    return s;
}
