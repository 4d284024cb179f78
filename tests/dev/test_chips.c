/*
 * test_chips.c - saved state over every chip of this folder: save-load-save is identical, a loaded
 * machine goes on like the one that was saved, and no bad stream is taken or does harm.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE             /* memmem() */
#endif
#include "tests/dev/dev_env.h"

#include <stdlib.h>
#include <string.h>

#include "hw/debugcon.h"
#include "hw/debugexit.h"
#include "hw/ferr.h"
#include "hw/kbc.h"
#include "hw/pic.h"
#include "hw/pit.h"
#include "hw/port92.h"
#include "hw/rtc.h"
#include "hw/testdev.h"
#include "hw/uart.h"

/* A machine of all chips whose lines lead where a PC's do. */
struct all {
    struct env e;
    struct pic *pic;
    struct ps2 *kbd, *mouse;
    struct ferr *ferr;
};

static void stop(void *arg, int code) { }

static void build(struct all *a)
{
    struct env *e = &a->e;
    env_init(e);
    a->pic = pic_new(e->chips, e->ports, env_irq(e, 0));
    pit_new(e->chips, e->ports, e->clock, pic_line(a->pic, 0));
    rtc_new(e->chips, e->ports, e->clock, pic_line(a->pic, 8));
    a->kbd = ps2_keyboard_new(e->chips, "kbd", e->clock);
    a->mouse = ps2_mouse_new(e->chips, "mouse", e->clock);
    struct kbc_lines lines = { pic_line(a->pic, 1), pic_line(a->pic, 12), env_irq(e, 1), env_irq(e, 2) };
    kbc_new(e->chips, e->ports, e->clock, &lines, a->kbd, a->mouse);
    a->ferr = ferr_new(e->chips, e->ports, pic_line(a->pic, 13), env_irq(e, 3));
    port92_new(e->chips, e->ports, env_irq(e, 1), env_irq(e, 2));
    uart_new(e->chips, "com1", e->ports, 0x3f8, pic_line(a->pic, 4), e->clock, &e->chr);
    debugexit_new(e->chips, e->ports, 0xf4, 4, stop, NULL);
    debugcon_new(e->chips, "debugcon", e->ports, 0xe9, DEBUGCON_READBACK, NULL);
    testdev_new(e->chips, e->ports, NULL, (struct irq){ 0 });
}

/* Random port traffic and input, the same for the same seed. */
static void shake(struct all *a, unsigned seed, unsigned steps)
{
    static const uint16_t port[] = { 0x20, 0x21, 0xa0, 0xa1, 0x40, 0x41, 0x42, 0x43, 0x61, 0x70, 0x71, 0x60,
        0x64, 0x92, 0x3f8, 0x3f9, 0x3fa, 0x3fb, 0x3fc, 0x3fd, 0x3fe, 0x3ff, 0x4d0, 0x4d1, 0xe0, 0x2003,
        0xf0 };
    for (unsigned i = 0; i < steps; i++) {
        uint16_t p = port[(unsigned)rand_r(&seed) % (sizeof(port) / sizeof(port[0]))];
        unsigned r = (unsigned)rand_r(&seed);
        if (r & 1)
            out8(&a->e, p, (uint8_t)(r >> 8));
        else
            in8(&a->e, p);
        if (i % 3 == 0)
            ferr_set(a->ferr, r >> 7 & 1);
        if (i % 7 == 0)
            ps2_key(a->kbd, (r >> 9) % 128, r >> 8 & 1);
        if (i % 11 == 0)
            ps2_mouse(a->mouse, (int)(r >> 9) % 50 - 25, (int)(r >> 12) % 50 - 25, 0, r >> 5 & 7);
        if (i % 5 == 0 && a->e.chr.user->room(a->e.chr.dev))
            a->e.chr.user->receive(a->e.chr.dev, (const uint8_t *)"k", 1);
        pass(&a->e, (r >> 4) % 100000);
        a->e.out_len = 0;
        a->e.out_room = sizeof(a->e.out);
        if (pic_intr(a->pic) && (r & 2))
            pic_ack(a->pic);
    }
}

START_TEST(save_load_save)
{
    struct all a, b;
    build(&a);
    build(&b);
    shake(&a, (unsigned)_i + 1, 3000);
    uint8_t *one, *two;
    size_t n = chips_save(a.e.chips, &one), m;
    pass(&b.e, clock_now(a.e.clock));           /* b's clock to where a's stands */
    const char *err = chips_load(b.e.chips, one, n);
    ck_assert_msg(!err, "%s", err ? err : "");
    m = chips_save(b.e.chips, &two);
    ck_assert_uint_eq(n, m);
    ck_assert_mem_eq(one, two, n);
    free(one);
    free(two);
    /* and both go on alike */
    shake(&a, 99, 2000);
    shake(&b, 99, 2000);
    n = chips_save(a.e.chips, &one);
    m = chips_save(b.e.chips, &two);
    ck_assert_uint_eq(n, m);
    ck_assert_mem_eq(one, two, n);
    free(one);
    free(two);
    env_free(&a.e);
    env_free(&b.e);
}
END_TEST

START_TEST(bad_streams_change_nothing)
{
    struct all a;
    build(&a);
    shake(&a, 5, 500);
    uint8_t *good, *now;
    size_t n = chips_save(a.e.chips, &good);
    for (size_t cut = 0; cut < n; cut += cut < 2000 ? 1 : 997)
        ck_assert(chips_load(a.e.chips, good, cut) != NULL);
    uint8_t *longer = malloc(n + 1);
    memcpy(longer, good, n);
    longer[n] = 0;
    ck_assert(chips_load(a.e.chips, longer, n + 1) != NULL);
    longer[8] = 77;
    ck_assert(chips_load(a.e.chips, longer, n) != NULL);
    ck_assert_uint_eq(chips_save(a.e.chips, &now), n);
    ck_assert_mem_eq(good, now, n);
    free(longer);
    free(now);
    free(good);
    env_free(&a.e);
}
END_TEST

/* Where the stream has element `n` of a chip's field. */
static uint8_t *element(uint8_t *buf, size_t len, const char *chip, const char *field, unsigned n)
{
    uint8_t *p = memmem(buf, len, chip, strlen(chip));

    ck_assert_ptr_nonnull(p);
    p = memmem(p, len - (size_t)(p - buf), field, strlen(field));
    ck_assert_ptr_nonnull(p);
    p += strlen(field);
    return p + 4 + n * p[0];
}

/* The name of the chip and of the field is told, and nothing has changed; the bound itself is loaded. */
START_TEST(bounds_are_checked)
{
    static const struct { const char *chip, *field; unsigned n, max; } bounds[] = {
        { "com1", "rx_head", 0, 15 }, { "com1", "rx_count", 0, 16 }, { "com1", "tx_count", 0, 16 },
        { "kbd", "reply_head", 0, 7 }, { "mouse", "set", 0, 3 }, { "pic", "lowest", 1, 7 },
    };
    struct all a;
    uint8_t *good, *now;
    size_t n;

    build(&a);
    n = chips_save(a.e.chips, &good);
    for (unsigned i = 0; i < sizeof(bounds) / sizeof(bounds[0]); i++) {
        uint8_t *at = element(good, n, bounds[i].chip, bounds[i].field, bounds[i].n), old = *at;
        const char *err;

        *at = (uint8_t)(bounds[i].max + 1);
        err = chips_load(a.e.chips, good, n);
        ck_assert_msg(err && strstr(err, bounds[i].chip) && strstr(err, bounds[i].field), "%s: %s: %s", bounds[i].chip,
                      bounds[i].field, err ? err : "taken");
        *at = old;
        ck_assert_uint_eq(chips_save(a.e.chips, &now), n);
        ck_assert_mem_eq(good, now, n);
        free(now);
        *at = (uint8_t)bounds[i].max;
        ck_assert_ptr_null(chips_check(a.e.chips, good, n));
        *at = old;
    }
    free(good);
    env_free(&a.e);
}
END_TEST

/* Values no chip would write: loading may take them, going on must not crash. */
START_TEST(wild_values_do_no_harm)
{
    struct all a;
    build(&a);
    uint8_t *buf;
    size_t n = chips_save(a.e.chips, &buf);
    unsigned seed = (unsigned)_i + 1, taken = 0;
    for (unsigned round = 0; round < 200; round++) {
        uint8_t *wild = malloc(n);
        memcpy(wild, buf, n);
        for (unsigned i = 0; i < 20; i++)
            wild[16 + (unsigned)rand_r(&seed) % 3000] = (uint8_t)rand_r(&seed);
        if (!chips_load(a.e.chips, wild, n)) {
            taken++;
            shake(&a, seed, 50);
        }
        free(wild);
    }
    free(buf);
    env_free(&a.e);
}
END_TEST

Suite *suite_chips(void)
{
    Suite *s = suite_create("chips");
    TCase *t = tcase_create("state");
    tcase_add_loop_test(t, save_load_save, 0, 8);
    tcase_add_test(t, bad_streams_change_nothing);
    tcase_add_test(t, bounds_are_checked);
    tcase_add_loop_test(t, wild_values_do_no_harm, 0, 4);
    tcase_set_timeout(t, 30);
    suite_add_tcase(s, t);
    return s;
}
