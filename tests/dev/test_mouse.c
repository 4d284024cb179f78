/* test_mouse.c - the PS/2 mouse, behind the 8042. */
#include "tests/dev/kbc_env.h"

static void aux(uint8_t byte)
{
    cmd2(0xd4, byte);
    ck_assert_int_eq(next_aux(), 0xfa);
}

START_TEST(mouse_standard)
{
    aux(0xff);
    ck_assert_int_eq(next_aux(), 0xaa);
    ck_assert_int_eq(next_aux(), 0x00);
    aux(0xf2);
    ck_assert_int_eq(next_aux(), 0x00);
    ps2_mouse(mouse, 5, 5, 0, 0);               /* not enabled */
    ck_assert_int_eq(next(), -1);
    aux(0xf4);
    pass(&e, 1 * MS);
    while (full())
        in8(&e, 0x60), pass(&e, 1 * MS);
    ps2_mouse(mouse, 0, 0, 0, 0);
    ps2_mouse(mouse, 3, 2, 0, 1);
    ck_assert(e.level[IRQ12]);
    ck_assert_int_eq(next_aux(), 0x29);         /* left, y negative */
    ck_assert_int_eq(next_aux(), 0x03);
    ck_assert_int_eq(next_aux(), 0xfe);
    ck_assert(!e.level[IRQ12]);
    ps2_mouse(mouse, 1, 0, 0, 1);
    ps2_mouse(mouse, 200, 0, 0, 1);             /* adds up behind the packet in the queue */
    ps2_mouse(mouse, 10, 0, 0, 0);
    ck_assert_int_eq(next(), -1);               /* 100 samples a second */
    pass(&e, 10 * MS);
    EXPECT(0x08, 127, 0);                       /* with its buttons as they are by then */
    pass(&e, 8 * MS);
    ck_assert_int_eq(next(), -1);
    pass(&e, 2 * MS);
    EXPECT(0x08, 84, 0);
    pass(&e, 100 * MS);
    ck_assert_int_eq(next(), -1);
    aux(0xf3);
    aux(10);
    ps2_mouse(mouse, 1, 0, 0, 0);
    EXPECT(0x08, 1, 0);
    ps2_mouse(mouse, 2, 0, 0, 0);
    pass(&e, 98 * MS);
    ck_assert_int_eq(next(), -1);
    pass(&e, 3 * MS);
    EXPECT(0x08, 2, 0);
    pass(&e, 100 * MS);
    aux(0xf3);
    aux(100);
    aux(0xe9);
    ck_assert_int_eq(next_aux(), 0x20);
    ck_assert_int_eq(next_aux(), 0x02);
    ck_assert_int_eq(next_aux(), 100);
    aux(0xf0);                                  /* remote: only when asked */
    ps2_mouse(mouse, -4, 0, 0, 0);
    ck_assert_int_eq(next(), -1);
    aux(0xeb);
    EXPECT(0x18, 0xfc, 0);
    aux(0xea);                                  /* stream again */
    aux(0xe7);                                  /* 2:1 */
    for (int v = 1; v < 8; v++) {
        static const int twice[] = { 0, 1, 1, 3, 6, 9, 12, 14 };

        pass(&e, 10 * MS);
        ps2_mouse(mouse, v, -v, 0, 0);
        EXPECT_VALUES(0x08, twice[v], twice[v]);
    }
    aux(0xe6);
    pass(&e, 10 * MS);
    aux(0xee);                                  /* wrap: everything comes back */
    ps2_mouse(mouse, 1, 1, 0, 0);
    for (unsigned c = 0; c < 256; c++) {
        if (c == 0xec || c == 0xff)
            continue;
        cmd2(0xd4, c);
        ck_assert_int_eq(next_aux(), c);
    }
    cmd2(0xd4, 0xec);
    EXPECT(0xfa, 0x28, 1, 0xff);                /* what moved meanwhile was not lost */
    aux(0xe8);
    aux(3);
    aux(0xf3);
    cmd2(0xd4, 55);                             /* no such rate */
    EXPECT(0xfe);
    aux(0xe8);
    cmd2(0xd4, 4);
    EXPECT(0xfe);
    aux(0xe9);
    EXPECT(0x20, 3, 100);
    aux(0xf6);
    aux(0xe9);
    EXPECT(0x00, 2, 100);
}
END_TEST

/* Moved fast while the guest reads slowly: packets come whole and no movement is lost. */
START_TEST(mouse_moved_fast)
{
    int sum = 0, all = 0, packet[3];
    unsigned n = 0;

    aux(0xf4);
    pass(&e, 20 * MS);
    for (int i = 0; i < 4000; i++) {
        int dx = i < 2000 ? i % 7 - 2 : 0;      /* it stops in the end */

        ps2_mouse(mouse, dx, 0, 0, 0);
        all += dx;
        pass(&e, 1 * MS);
        if (i % 2 || !full())
            continue;
        packet[n++] = in8(&e, 0x60);
        if (n < 3)
            continue;
        n = 0;
        ck_assert_int_eq(packet[0] & ~0x10, 0x08);
        ck_assert_int_eq(packet[2], 0);
        sum += packet[1] - (packet[0] & 0x10 ? 256 : 0);
    }
    ck_assert_uint_eq(n, 0);
    ck_assert_int_eq(sum, all);
}
END_TEST

START_TEST(mouse_wheel)
{
    static const uint8_t knock[6] = { 200, 100, 80, 200, 200, 80 };
    for (unsigned i = 0; i < 6; i++) {
        aux(0xf3);
        aux(knock[i]);
        if (i == 2) {
            aux(0xf2);
            ck_assert_int_eq(next_aux(), 3);
            aux(0xf4);
            pass(&e, 20 * MS);
            ps2_mouse(mouse, 0, 0, -1, 0);
            EXPECT(0x08, 0, 0, 0xff);
            aux(0xf5);
        }
    }
    aux(0xf2);
    ck_assert_int_eq(next_aux(), 4);
    aux(0xf4);
    pass(&e, 20 * MS);
    ps2_mouse(mouse, 0, 0, 2, 8);
    EXPECT(0x08, 0, 0, 0x12);
    pass(&e, 20 * MS);
    cmd(0xa7);                                  /* aux off */
    ps2_mouse(mouse, 1, 0, 0, 8);
    ck_assert_int_eq(next(), -1);
    cmd(0xa8);
    EXPECT(0x08, 1, 0, 0x10);
}
END_TEST

Suite *suite_mouse(void)
{
    Suite *s = suite_create("mouse");
    TCase *t = tcase_create("mouse");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, mouse_standard);
    tcase_add_test(t, mouse_moved_fast);
    tcase_add_test(t, mouse_wheel);
    suite_add_tcase(s, t);
    return s;
}
