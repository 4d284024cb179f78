/* test_parport.c - parallel port: registers, a printer by interrupt and by polling, a slow outside,
 * random accesses. */
#include "tests/dev/dev_env.h"

#include <stdlib.h>
#include <string.h>

#include "hw/parport.h"

#define BASE 0x378

static struct env e;

static void check_state(void) { env_check_state(&e); }

static void setup(void)
{
    env_init(&e);
    parport_new(e.chips, "lpt1", e.ports, BASE, env_irq(&e, 7), e.clock, &e.chr);
}

static void teardown(void)
{
    check_state();
    env_free(&e);
}

static void strobe(uint8_t byte)
{
    uint8_t c = in8(&e, BASE + 2) & 0x3e;

    out8(&e, BASE, byte);
    out8(&e, BASE + 2, c | 1);
    out8(&e, BASE + 2, c);
}

START_TEST(registers)
{
    ck_assert_uint_eq(in8(&e, BASE + 1), 0xdf);         /* ready, selected, no error */
    ck_assert_uint_eq(in8(&e, BASE + 2), 0xcc);
    out8(&e, BASE, 0xa5);
    ck_assert_uint_eq(in8(&e, BASE), 0xa5);
    out8(&e, BASE + 2, 0x2c);                           /* turned round: nobody drives the lines */
    ck_assert_uint_eq(in8(&e, BASE), 0xff);
    out8(&e, BASE + 2, 0x0c);
    ck_assert_uint_eq(in8(&e, BASE), 0xa5);
    out8(&e, BASE + 1, 0);                              /* status is read only */
    ck_assert_uint_eq(in8(&e, BASE + 1), 0xdf);
    out8(&e, BASE + 2, 0x08);                           /* nINIT low */
    ck_assert_uint_eq(in8(&e, BASE + 1) & 0x80, 0);
    chips_reset(e.chips);
    ck_assert_uint_eq(in8(&e, BASE + 1), 0xdf);
    ck_assert_uint_eq(in8(&e, BASE), 0);
    ck_assert_uint_eq(in8(&e, BASE + 3), 0xff);         /* no EPP */
}
END_TEST

START_TEST(printing)
{
    static const char text[] = "Printed.\r\n";
    bool low = false;

    for (unsigned i = 0; i < sizeof(text) - 1; i++) {
        ck_assert_uint_eq(in8(&e, BASE + 1) & 0x80, 0x80);
        strobe(text[i]);
        ck_assert_uint_eq(in8(&e, BASE + 1) & 0xc0, 0x40);      /* busy */
        check_state();
        for (unsigned n = 0; n < 100 && !(in8(&e, BASE + 1) & 0x80); n++) {
            pass(&e, 100);
            low |= !(in8(&e, BASE + 1) & 0x40);
        }
    }
    ck_assert(low);                                     /* nACK was seen */
    ck_assert_uint_eq(e.out_len, sizeof(text) - 1);
    ck_assert_int_eq(memcmp(e.out, text, sizeof(text) - 1), 0);
    ck_assert_uint_eq(e.rises[7], 0);
    /* A byte is taken by the strobe's edge; one while busy is lost. */
    out8(&e, BASE, 'x');
    pass(&e, 1 * MS);
    ck_assert_uint_eq(e.out_len, sizeof(text) - 1);
    strobe('y');
    strobe('z');
    pass(&e, 1 * MS);
    ck_assert_uint_eq(e.out_len, sizeof(text));
    ck_assert_uint_eq(e.out[sizeof(text) - 1], 'y');
}
END_TEST

START_TEST(interrupts)
{
    out8(&e, BASE + 2, 0x1c);
    ck_assert_uint_eq(in8(&e, BASE + 2), 0xdc);
    for (unsigned i = 1; i < 50; i++) {
        strobe(i);
        ck_assert_uint_eq(e.rises[7], i - 1);
        pass(&e, 10 * US);
        ck_assert_uint_eq(e.rises[7], i);
        ck_assert(!e.level[7]);
        ck_assert_uint_eq(e.out[i - 1], i);
    }
}
END_TEST

START_TEST(slow_outside)
{
    e.out_room = 1;
    strobe('a');
    pass(&e, 10 * US);
    strobe('b');
    pass(&e, 1000 * MS);
    ck_assert_uint_eq(in8(&e, BASE + 1) & 0xc0, 0x40);  /* busy for as long as it takes */
    check_state();
    e.out_room = 10;
    e.chr.user->writable(e.chr.dev);
    pass(&e, 10 * US);
    ck_assert_uint_eq(in8(&e, BASE + 1), 0xdf);
    ck_assert_int_eq(memcmp(e.out, "ab", 2), 0);
    e.out_room = 0;
    strobe('c');
    pass(&e, 1 * MS);
    out8(&e, BASE + 2, 0x08);                           /* initialised: it forgets the byte */
    out8(&e, BASE + 2, 0x0c);
    ck_assert_uint_eq(in8(&e, BASE + 1), 0xdf);
    e.out_room = 10;
    e.chr.user->writable(e.chr.dev);
    pass(&e, 1 * MS);
    ck_assert_uint_eq(e.out_len, 2);
}
END_TEST

START_TEST(random_accesses)
{
    unsigned strobes = 0;

    srand(1284);
    for (unsigned i = 0; i < 300000; i++) {
        unsigned r = rand();

        switch (r & 7) {
        case 0: in8(&e, BASE + (r >> 8) % 3); break;
        case 1: out8(&e, BASE + (r >> 8) % 3, r >> 16); break;
        case 2: strobe(r >> 16); strobes++; break;
        case 3: pass(&e, r >> 8 & 4095); break;
        case 4:
            if ((r & 0xff00) == 0)
                check_state();
            break;
        case 5: e.out_room = r >> 8 & 3; e.out_len = 0; break;
        case 6: e.chr.user->writable(e.chr.dev); break;
        default: out8(&e, BASE + 2, 0x0c | (r >> 8 & 0x10)); break;
        }
        ck_assert_uint_eq(in8(&e, BASE + 1) & 0x3f, 0x1f);
    }
    ck_assert_uint_gt(strobes, 1000);
    ck_assert_uint_gt(e.rises[7], 100);
}
END_TEST

Suite *suite_parport(void)
{
    Suite *s = suite_create("parport");
    TCase *t = tcase_create("parport");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 60);
    tcase_add_test(t, registers);
    tcase_add_test(t, printing);
    tcase_add_test(t, interrupts);
    tcase_add_test(t, slow_outside);
    tcase_add_test(t, random_accesses);
    suite_add_tcase(s, t);
    return s;
}
