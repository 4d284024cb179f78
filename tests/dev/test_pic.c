/* test_pic.c - 8259A pair: initialisation, priorities, EOI kinds, modes, cascade, spurious requests. */
#include "tests/dev/dev_env.h"

#include "hw/pic.h"

static struct env e;
static struct pic *pic;

static void init(uint8_t master_icw4, uint8_t slave_icw4)
{
    static const uint16_t port[2] = { 0x20, 0xa0 };
    uint8_t icw4[2] = { master_icw4, slave_icw4 };
    for (int c = 0; c < 2; c++) {
        out8(&e, port[c], 0x11);
        out8(&e, port[c] + 1, c ? 0x28 : 0x20);
        out8(&e, port[c] + 1, c ? 2 : 4);
        out8(&e, port[c] + 1, icw4[c]);
    }
}

static void setup(void)
{
    env_init(&e);
    pic = pic_new(e.chips, e.ports, env_irq(&e, 0));
    init(0x01, 0x01);
}
static void teardown(void) { env_free(&e); }
static void raise(int n) { pic_set_line(pic, n, true); }
static void lower(int n) { pic_set_line(pic, n, false); }
static uint8_t isr(uint16_t port) { out8(&e, port, 0x0b); return in8(&e, port); }
static uint8_t irr(uint16_t port) { out8(&e, port, 0x0a); return in8(&e, port); }

START_TEST(fixed_priority_and_eoi)
{
    raise(4);
    raise(1);
    ck_assert(e.level[0]);
    ck_assert_uint_eq(irr(0x20), 0x12);
    ck_assert_uint_eq(pic_ack(pic), 0x21);
    ck_assert_uint_eq(isr(0x20), 0x02);
    ck_assert(!e.level[0]);             /* 4 waits behind 1 */
    raise(0);
    ck_assert(e.level[0]);              /* 0 nests */
    ck_assert_uint_eq(pic_ack(pic), 0x20);
    out8(&e, 0x20, 0x20);               /* non-specific: the highest, 0 */
    ck_assert_uint_eq(isr(0x20), 0x02);
    out8(&e, 0x20, 0x61);               /* specific */
    ck_assert_uint_eq(isr(0x20), 0x00);
    ck_assert_uint_eq(pic_ack(pic), 0x24);
    ck_assert_uint_eq(irr(0x20), 0);    /* edge: no new request while the line stays high */
}
END_TEST

START_TEST(mask)
{
    out8(&e, 0x21, 0x10);
    raise(4);
    ck_assert(!e.level[0]);
    ck_assert_uint_eq(in8(&e, 0x21), 0x10);
    out8(&e, 0x21, 0x00);
    ck_assert(e.level[0]);
}
END_TEST

START_TEST(cascade_and_spurious)
{
    raise(12);
    ck_assert_uint_eq(irr(0x20), 0x04);
    ck_assert_uint_eq(pic_ack(pic), 0x2c);
    ck_assert_uint_eq(isr(0xa0), 0x10);
    ck_assert_uint_eq(isr(0x20), 0x04);
    raise(8);                           /* higher in the slave, but the master's 2 is in service */
    ck_assert(!e.level[0]);
    out8(&e, 0x20, 0x62);
    ck_assert(e.level[0]);
    ck_assert_uint_eq(pic_ack(pic), 0x28);
    out8(&e, 0xa0, 0x20);
    out8(&e, 0xa0, 0x20);
    out8(&e, 0x20, 0x20);
    ck_assert_uint_eq(isr(0xa0), 0);
    /* a request that goes away before the acknowledge: IR7 with no in-service bit */
    raise(5);
    lower(5);
    ck_assert(!e.level[0]);
    ck_assert_uint_eq(pic_ack(pic), 0x27);
    ck_assert_uint_eq(isr(0x20), 0);
}
END_TEST

START_TEST(special_fully_nested)
{
    init(0x11, 0x01);
    raise(12);
    ck_assert_uint_eq(pic_ack(pic), 0x2c);
    raise(8);
    ck_assert(e.level[0]);
    ck_assert_uint_eq(pic_ack(pic), 0x28);
}
END_TEST

START_TEST(automatic_eoi_and_rotation)
{
    init(0x03, 0x01);
    raise(3);
    ck_assert_uint_eq(pic_ack(pic), 0x23);
    ck_assert_uint_eq(isr(0x20), 0);
    out8(&e, 0x20, 0x80);               /* rotate in automatic EOI mode */
    raise(1);
    ck_assert_uint_eq(pic_ack(pic), 0x21);      /* 1 is now the lowest */
    lower(1);
    raise(1);
    raise(5);
    ck_assert_uint_eq(pic_ack(pic), 0x25);
    ck_assert_uint_eq(pic_ack(pic), 0x21);
}
END_TEST

START_TEST(set_priority_and_rotate_on_eoi)
{
    out8(&e, 0x20, 0xc3);               /* 3 lowest: 4 is the highest */
    raise(0);
    raise(4);
    ck_assert_uint_eq(pic_ack(pic), 0x24);
    out8(&e, 0x20, 0xa0);               /* rotate on non-specific EOI: 4 the lowest */
    raise(5);
    ck_assert_uint_eq(pic_ack(pic), 0x25);
    out8(&e, 0x20, 0xe5);               /* rotate on specific EOI */
    ck_assert_uint_eq(isr(0x20), 0);
    raise(6);
    ck_assert_uint_eq(pic_ack(pic), 0x26);
}
END_TEST

START_TEST(special_mask_mode)
{
    raise(1);
    ck_assert_uint_eq(pic_ack(pic), 0x21);
    raise(6);
    ck_assert(!e.level[0]);
    out8(&e, 0x21, 0x02);
    ck_assert(!e.level[0]);
    out8(&e, 0x20, 0x68);
    ck_assert(e.level[0]);              /* the masked level in service blocks nobody */
    ck_assert_uint_eq(pic_ack(pic), 0x26);
    out8(&e, 0x20, 0x20);               /* and a non-specific EOI passes it by */
    ck_assert_uint_eq(isr(0x20), 0x02);
    out8(&e, 0x20, 0x48);
    out8(&e, 0x20, 0x20);
    ck_assert_uint_eq(isr(0x20), 0);
}
END_TEST

START_TEST(polled_mode)
{
    raise(3);
    out8(&e, 0x20, 0x0c);
    ck_assert_uint_eq(in8(&e, 0x20), 0x83);
    ck_assert_uint_eq(isr(0x20), 0x08);
    out8(&e, 0x20, 0x0c);
    ck_assert_uint_eq(in8(&e, 0x20) & 0x80, 0);
}
END_TEST

START_TEST(level_lines)
{
    out8(&e, 0x4d0, 0xff);
    out8(&e, 0x4d1, 0xff);
    ck_assert_uint_eq(in8(&e, 0x4d0), 0xf8);
    ck_assert_uint_eq(in8(&e, 0x4d1), 0xde);
    raise(11);
    ck_assert_uint_eq(pic_ack(pic), 0x2b);
    out8(&e, 0xa0, 0x20);
    out8(&e, 0x20, 0x20);
    ck_assert(e.level[0]);              /* still high: asks again */
    lower(11);
    ck_assert(!e.level[0]);
}
END_TEST

START_TEST(initialisation_forgets)
{
    raise(4);
    out8(&e, 0x21, 0xff);
    init(0x01, 0x01);
    ck_assert_uint_eq(in8(&e, 0x21), 0);
    ck_assert(!e.level[0]);             /* the edge was before: the line must rise again */
    lower(4);
    raise(4);
    ck_assert(e.level[0]);
}
END_TEST

Suite *suite_pic(void)
{
    Suite *s = suite_create("pic");
    TCase *t = tcase_create("pic");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, fixed_priority_and_eoi);
    tcase_add_test(t, mask);
    tcase_add_test(t, cascade_and_spurious);
    tcase_add_test(t, special_fully_nested);
    tcase_add_test(t, automatic_eoi_and_rotation);
    tcase_add_test(t, set_priority_and_rotate_on_eoi);
    tcase_add_test(t, special_mask_mode);
    tcase_add_test(t, polled_mode);
    tcase_add_test(t, level_lines);
    tcase_add_test(t, initialisation_forgets);
    suite_add_tcase(s, t);
    return s;
}
