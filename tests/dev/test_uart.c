/* test_uart.c - 16550A: registers, FIFO, interrupts and their priorities, loopback, flow control. */
#include "tests/dev/dev_env.h"

#include <string.h>

#include "hw/uart.h"

#define COM 0x3f8
enum { RBR = COM, THR = COM, IER, IIR, FCR = COM + 2, LCR, MCR, LSR, MSR, SCR };

static struct env e;

static void setup(void)
{
    env_init(&e);
    uart_new(e.chips, "com1", e.ports, COM, env_irq(&e, 4), e.clock, &e.chr);
    out8(&e, MCR, 0x08);        /* OUT2 */
}
static void teardown(void) { env_free(&e); }

static void send(const char *s)
{
    e.chr.user->receive(e.chr.dev, (const uint8_t *)s, (unsigned)strlen(s));
}

static unsigned room(void) { return e.chr.user->room(e.chr.dev); }

START_TEST(reset_values_and_plain_registers)
{
    ck_assert_uint_eq(in8(&e, IER), 0);
    ck_assert_uint_eq(in8(&e, IIR), 1);
    ck_assert_uint_eq(in8(&e, LCR), 0);
    ck_assert_uint_eq(in8(&e, LSR), 0x60);
    ck_assert_uint_eq(in8(&e, MSR), 0xb0);
    out8(&e, SCR, 0x5a);
    ck_assert_uint_eq(in8(&e, SCR), 0x5a);
    out8(&e, IER, 0xff);
    ck_assert_uint_eq(in8(&e, IER), 0x0f);
    out8(&e, LCR, 0x83);
    out8(&e, COM, 0x34);
    out8(&e, COM + 1, 0x12);
    ck_assert_uint_eq(in8(&e, COM), 0x34);
    ck_assert_uint_eq(in8(&e, COM + 1), 0x12);
    out8(&e, LCR, 0x03);
    ck_assert_uint_eq(in8(&e, IER), 0x0f);
    out8(&e, FCR, 0x01);
    ck_assert_uint_eq(in8(&e, IIR) & 0xc0, 0xc0);
}
END_TEST

START_TEST(transmit_and_thre_interrupt)
{
    out8(&e, THR, 'A');
    ck_assert_uint_eq(e.out_len, 1);
    ck_assert_uint_eq(e.out[0], 'A');
    ck_assert(!e.level[4]);
    out8(&e, IER, 2);           /* enabling with THR empty interrupts */
    ck_assert(e.level[4]);
    ck_assert_uint_eq(in8(&e, IIR), 2);
    ck_assert(!e.level[4]);     /* reading took it back */
    ck_assert_uint_eq(in8(&e, IIR), 1);
    out8(&e, THR, 'B');
    ck_assert(e.level[4]);
    ck_assert_uint_eq(e.rises[4], 2);
    out8(&e, MCR, 0);           /* OUT2 gates the line, not the register */
    ck_assert(!e.level[4]);
    ck_assert_uint_eq(in8(&e, IIR), 2);
}
END_TEST

START_TEST(a_full_outside_holds_the_transmitter)
{
    out8(&e, FCR, 0x01);
    out8(&e, IER, 2);
    in8(&e, IIR);
    e.out_room = 1;
    out8(&e, THR, 'a');
    in8(&e, IIR);
    out8(&e, THR, 'b');
    out8(&e, THR, 'c');
    ck_assert_uint_eq(in8(&e, LSR) & 0x60, 0);
    ck_assert(!e.level[4]);
    e.out_room = 100;
    e.chr.user->writable(e.chr.dev);
    ck_assert_uint_eq(in8(&e, LSR) & 0x60, 0x60);
    ck_assert(e.level[4]);
    ck_assert_mem_eq(e.out, "abc", 3);
}
END_TEST

START_TEST(receive_without_fifo)
{
    ck_assert_uint_eq(room(), 1);
    out8(&e, IER, 1);
    send("x");
    ck_assert_uint_eq(room(), 0);
    ck_assert(e.level[4]);
    ck_assert_uint_eq(in8(&e, IIR), 4);
    ck_assert_uint_eq(in8(&e, LSR), 0x61);
    unsigned before = e.accepts;
    ck_assert_uint_eq(in8(&e, RBR), 'x');
    ck_assert(!e.level[4]);
    ck_assert_uint_eq(in8(&e, LSR), 0x60);
    ck_assert(e.accepts > before);
}
END_TEST

START_TEST(receive_trigger_and_timeout)
{
    out8(&e, LCR, 0x83);
    out8(&e, COM, 1);           /* 115200 baud: a character takes 86.8 us */
    out8(&e, COM + 1, 0);
    out8(&e, LCR, 0x03);
    out8(&e, FCR, 0x81);        /* trigger at 8 */
    out8(&e, IER, 1);
    ck_assert_uint_eq(room(), 16);
    send("1234567");
    ck_assert(!e.level[4]);
    send("8");
    ck_assert(e.level[4]);
    ck_assert_uint_eq(in8(&e, IIR), 0xc4);
    ck_assert_uint_eq(in8(&e, RBR), '1');
    ck_assert(!e.level[4]);
    pass(&e, 340 * US);
    ck_assert(!e.level[4]);
    pass(&e, 20 * US);          /* four character times */
    ck_assert(e.level[4]);
    ck_assert_uint_eq(in8(&e, IIR), 0xcc);
    ck_assert_uint_eq(in8(&e, RBR), '2');
    ck_assert(!e.level[4]);     /* a read restarts it */
    pass(&e, 400 * US);
    ck_assert(e.level[4]);
    for (char c = '3'; c <= '8'; c++)
        ck_assert_uint_eq(in8(&e, RBR), (uint8_t)c);
    pass(&e, 400 * US);
    ck_assert(!e.level[4]);
    send("abc");
    out8(&e, FCR, 0x83);        /* clears the receiver */
    ck_assert_uint_eq(in8(&e, LSR) & 1, 0);
}
END_TEST

START_TEST(break_and_line_status)
{
    out8(&e, FCR, 0x01);
    out8(&e, IER, 5);
    send("a");
    e.chr.user->receive_break(e.chr.dev);
    ck_assert_uint_eq(in8(&e, IIR), 0xc4);              /* the break is not at the top yet */
    ck_assert_uint_eq(in8(&e, LSR) & 0x9f, 0x81);
    ck_assert_uint_eq(in8(&e, RBR), 'a');
    ck_assert_uint_eq(in8(&e, IIR), 0xc6);
    ck_assert_uint_eq(in8(&e, LSR) & 0x9f, 0x99);
    ck_assert_uint_eq(in8(&e, LSR) & 0x9f, 0x01);
    ck_assert_uint_eq(in8(&e, IIR), 0xc4);
    ck_assert_uint_eq(in8(&e, RBR), 0);
    ck_assert_uint_eq(in8(&e, IIR), 0xc1);
}
END_TEST

START_TEST(loopback)
{
    out8(&e, MCR, 0x1a);        /* loop, OUT2, RTS */
    ck_assert_uint_eq(in8(&e, MSR) & 0xf0, 0x90);
    ck_assert_uint_eq(room(), 0);
    out8(&e, THR, 'z');
    ck_assert_uint_eq(e.out_len, 0);
    ck_assert_uint_eq(in8(&e, RBR), 'z');
    out8(&e, IER, 8);
    in8(&e, MSR);
    ck_assert(!e.level[4]);
    out8(&e, MCR, 0x19);        /* RTS off, DTR on: CTS falls, DSR rises */
    ck_assert(e.level[4]);
    ck_assert_uint_eq(in8(&e, IIR), 0);
    ck_assert_uint_eq(in8(&e, MSR), 0xa3);
    ck_assert(!e.level[4]);
    out8(&e, MCR, 0x1c);        /* OUT1 on: RI rises, TERI does not count that */
    ck_assert_uint_eq(in8(&e, MSR) & 0x44, 0x40);
    out8(&e, MCR, 0x18);
    ck_assert_uint_eq(in8(&e, MSR) & 0x44, 0x04);
    /* overrun: without a FIFO the new character replaces the old */
    out8(&e, THR, '1');
    out8(&e, THR, '2');
    ck_assert_uint_eq(in8(&e, LSR) & 0x03, 0x03);
    ck_assert_uint_eq(in8(&e, LSR) & 0x03, 0x01);
    ck_assert_uint_eq(in8(&e, RBR), '2');
    /* and with one it is the new that is lost */
    out8(&e, FCR, 0x01);
    for (int i = 0; i < 17; i++)
        out8(&e, THR, (uint8_t)('a' + i));
    ck_assert_uint_eq(in8(&e, LSR) & 0x03, 0x03);
    for (int i = 0; i < 16; i++)
        ck_assert_uint_eq(in8(&e, RBR), 'a' + i);
    ck_assert_uint_eq(in8(&e, LSR) & 0x01, 0);
}
END_TEST

/* A real line: what the guest sets goes to it, and its modem lines come from it. */
static struct chardev_line line;
static unsigned outputs;
static int inputs;
static void set_line(struct chardev *c, const struct chardev_line *l) { line = *l; }
static void set_modem(struct chardev *c, unsigned out) { outputs = out; }
static int modem(struct chardev *c) { return inputs; }

START_TEST(a_real_line)
{
    struct chardev_ops ops = *e.chr.ops;

    ops.set_line = set_line;
    ops.set_modem = set_modem;
    ops.modem = modem;
    e.chr.ops = &ops;
    inputs = CHARDEV_CTS;
    out8(&e, LCR, 0x9b);
    out8(&e, COM, 12);
    out8(&e, COM + 1, 0);
    ck_assert_uint_eq(line.baud, 0);            /* not while the divisor is being set */
    out8(&e, LCR, 0x1a);                        /* seven bits, even parity */
    ck_assert(line.baud == 9600 && line.bits == 7 && line.stop == 1 && line.parity == CHARDEV_EVEN);
    out8(&e, LCR, 0x2f);
    ck_assert(line.bits == 8 && line.stop == 2 && line.parity == CHARDEV_MARK);
    out8(&e, LCR, 0x03);
    ck_assert(line.stop == 1 && line.parity == CHARDEV_NO_PARITY);
    out8(&e, MCR, 0x0b);
    ck_assert_uint_eq(outputs, CHARDEV_DTR | CHARDEV_RTS);
    ck_assert_uint_eq(in8(&e, MSR) & 0xf0, 0x10);
    out8(&e, MCR, 0x1b);                        /* loopback cuts it off */
    ck_assert_uint_eq(outputs, 0);
    ck_assert_uint_eq(in8(&e, MSR) & 0xf0, 0xb0);
    out8(&e, MCR, 0x09);
    ck_assert_uint_eq(outputs, CHARDEV_DTR);
    in8(&e, MSR);
    out8(&e, IER, 8);
    pass(&e, 20000 * US);
    ck_assert(!e.level[4]);
    inputs = CHARDEV_CTS | CHARDEV_DCD | CHARDEV_RI;
    pass(&e, 20000 * US);
    ck_assert(e.level[4]);                      /* a change interrupts */
    ck_assert_uint_eq(in8(&e, IIR), 0);
    ck_assert_uint_eq(in8(&e, MSR), 0xd8);      /* of carrier; a ring does at its end */
    inputs = CHARDEV_CTS | CHARDEV_DCD;
    pass(&e, 20000 * US);
    ck_assert(e.level[4]);
    ck_assert_uint_eq(in8(&e, MSR), 0x94);
    out8(&e, IER, 0);
    inputs = 0;
    pass(&e, 20000 * US);
    ck_assert(!e.level[4]);
    ck_assert_uint_eq(in8(&e, MSR), 0x09);      /* who reads sees it at once */
}
END_TEST

Suite *suite_uart(void)
{
    Suite *s = suite_create("uart");
    TCase *t = tcase_create("uart");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, a_real_line);
    tcase_add_test(t, reset_values_and_plain_registers);
    tcase_add_test(t, transmit_and_thre_interrupt);
    tcase_add_test(t, a_full_outside_holds_the_transmitter);
    tcase_add_test(t, receive_without_fifo);
    tcase_add_test(t, receive_trigger_and_timeout);
    tcase_add_test(t, break_and_line_status);
    tcase_add_test(t, loopback);
    suite_add_tcase(s, t);
    return s;
}
