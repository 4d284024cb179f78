/*
 * test_serial_plug.c - serial and parallel ports that -device adds: places on ISA, ports that share a PCI function's interrupt.
 */
#include <check.h>
#include <string.h>

#include "hw/chardev_if.h"
#include "tests/dev/bus_env.h"
#include "tests/run_suite.h"

#define IO 0xc000u
enum { THR, IER, IIR, LCR, MCR, LSR, MSR, SCR };

static struct bus_env *b;
static struct end {
    struct chardev chr;
    struct chardev_slot slot;
    char out[64];
    unsigned n;
} ends[4];

static unsigned end_write(struct chardev *c, const uint8_t *buf, unsigned n)
{
    struct end *d = (struct end *)c;

    memcpy(d->out + d->n, buf, n);
    d->n += n;
    return n;
}

static void end_accept(struct chardev *c)
{
}

static const struct chardev_ops end_ops = { .write = end_write, .accept = end_accept };

static struct chardev_slot *find(void *arg, const char *id)
{
    return &ends[id[1] - '0'].slot;
}

static struct irq isa_irq(struct machine *m, unsigned irq, unsigned source)
{
    return env_line(b->e, (int)(16 + irq));
}

static void setup(void)
{
    static const char *const id[] = { "c0", "c1", "c2", "c3" };

    memset(ends, 0, sizeof(ends));
    for (unsigned i = 0; i < 4; i++) {
        ends[i].chr.ops = &end_ops;
        ends[i].slot = (struct chardev_slot){ .id = id[i], .chr = &ends[i].chr };
    }
    b = bus_env_new();
    b->names.chardev = find;
    b->plugs.isa_irq = isa_irq;
}

static void teardown(void)
{
    bus_env_free(b);
}

static void out8(unsigned port, uint8_t val)
{
    ports_write(b->e->ports, (uint16_t)port, val, 1);
}

static uint8_t in8(unsigned port)
{
    return (uint8_t)ports_read(b->e->ports, (uint16_t)port, 1);
}

static void typed(unsigned end, const char *text)
{
    const struct chardev *c = &ends[end].chr;

    c->user->receive(c->dev, (const uint8_t *)text, (unsigned)strlen(text));
}

static unsigned pin(void)
{
    return b->e->line[0] + b->e->line[1] + b->e->line[2] + b->e->line[3];
}

START_TEST(isa_places)
{
    b->plugs.serial = 1;                        /* the board has COM1 */
    bus_env_plug(b, "isa-serial", "chardev", "c0", NULL);
    bus_env_plug(b, "isa-serial", "chardev", "c1", "index", "3", NULL);
    bus_env_plug(b, "isa-serial", "chardev", "c2", "iobase", "0x1a8", "irq", "10", NULL);
    ck_assert_uint_eq(b->plugs.serial, 1 | 2 | 8);
    out8(0x2f8, 'a');
    out8(0x2e8, 'b');
    out8(0x1a8, 'c');
    ck_assert(ends[0].out[0] == 'a' && ends[1].out[0] == 'b' && ends[2].out[0] == 'c');
    out8(0x1a8 + MCR, 8);
    out8(0x1a8 + IER, 1);
    typed(2, "x");
    ck_assert(b->e->line[16 + 10] && !b->e->line[16 + 3]);
    ck_assert_uint_eq(in8(0x1a8), 'x');
    ck_assert(!b->e->line[16 + 10]);
}
END_TEST

START_TEST(printers_and_consoles)
{
    bus_env_plug(b, "isa-parallel", "chardev", "c0", NULL);
    bus_env_plug(b, "isa-parallel", "chardev", "c1", NULL);
    bus_env_plug(b, "isa-debugcon", "chardev", "c2", "iobase", "0x402", "readback", "0x55", NULL);
    bus_env_plug(b, "isa-debugcon", "chardev", "c3", NULL);
    ck_assert_uint_eq(b->plugs.parallel, 3);
    out8(0x278, 'p');
    out8(0x27a, 0x0d);                          /* strobe */
    out8(0x27a, 0x0c);
    clock_advance(b->e->clock, 10000);
    ck_assert(ends[0].n == 0 && ends[1].n == 1 && ends[1].out[0] == 'p');
    ck_assert(in8(0x402) == 0x55 && in8(0xe9) == 0xe9);
    out8(0x402, 'd');
    out8(0xe9, 'e');
    ck_assert(ends[2].out[0] == 'd' && ends[3].out[0] == 'e');
}
END_TEST

START_TEST(one_on_pci)
{
    bus_env_plug(b, "pci-serial", "chardev", "c0", "addr", "4", NULL);
    ck_assert_uint_eq(env_config_read(b->e, 4 << 3, 0, 4), 0x00021b36);
    ck_assert_uint_eq(env_config_read(b->e, 4 << 3, 8, 4), 0x07000201);         /* a 16550's interface */
    env_config_write(b->e, 4 << 3, 0x10, 0xffffffff, 4);
    ck_assert_uint_eq(env_config_read(b->e, 4 << 3, 0x10, 4), 0xfffffff9);      /* eight ports */
    env_config_write(b->e, 4 << 3, 0x10, IO, 4);
    env_config_write(b->e, 4 << 3, 4, 1, 2);
    out8(IO, 'a');
    ck_assert(ends[0].n == 1 && ends[0].out[0] == 'a');
    out8(IO + SCR, 0x5a);
    ck_assert_uint_eq(in8(IO + SCR), 0x5a);
    out8(IO + MCR, 8);
    out8(IO + IER, 1);
    typed(0, "x");
    ck_assert_uint_eq(pin(), 1);
    env_check_state(b->e);
    ck_assert_uint_eq(in8(IO), 'x');
    ck_assert_uint_eq(pin(), 0);
}
END_TEST

START_TEST(four_on_pci)
{
    bus_env_plug(b, "pci-serial-4x", "chardev1", "c0", "chardev2", "c1", "chardev4", "c3", "addr", "5", NULL);
    ck_assert_uint_eq(env_config_read(b->e, 5 << 3, 0, 4), 0x00041b36);
    env_config_write(b->e, 5 << 3, 0x10, 0xffffffff, 4);
    ck_assert_uint_eq(env_config_read(b->e, 5 << 3, 0x10, 4), 0xffffffe1);
    env_config_write(b->e, 5 << 3, 0x10, IO, 4);
    env_config_write(b->e, 5 << 3, 4, 1, 2);
    for (unsigned i = 0; i < 4; i++) {
        out8(IO + 8 * i, (uint8_t)('a' + i));
        out8(IO + 8 * i + MCR, 8);
        out8(IO + 8 * i + IER, 1);
    }
    ck_assert(ends[0].out[0] == 'a' && ends[1].out[0] == 'b' && ends[2].n == 0 && ends[3].out[0] == 'd');
    typed(1, "x");
    typed(3, "y");
    ck_assert_uint_eq(pin(), 1);
    ck_assert_uint_eq(in8(IO + 8), 'x');
    ck_assert_uint_eq(pin(), 1);                /* the other one still wants it */
    ck_assert_uint_eq(in8(IO + 24), 'y');
    ck_assert_uint_eq(pin(), 0);
    ck_assert_uint_eq(in8(IO + 16 + LSR), 0x60);        /* the third goes to nowhere */
}
END_TEST

START_TEST(two_on_pci)
{
    bus_env_plug(b, "pci-serial-2x", "chardev2", "c1", "addr", "6", NULL);
    ck_assert_uint_eq(env_config_read(b->e, 6 << 3, 0, 4), 0x00031b36);
    env_config_write(b->e, 6 << 3, 0x10, IO, 4);
    env_config_write(b->e, 6 << 3, 4, 1, 2);
    out8(IO + 8, 'z');
    ck_assert(ends[1].n == 1 && ends[1].out[0] == 'z');
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("serial_plug");
    TCase *c = tcase_create("serial_plug");

    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, isa_places);
    tcase_add_test(c, printers_and_consoles);
    tcase_add_test(c, one_on_pci);
    tcase_add_test(c, four_on_pci);
    tcase_add_test(c, two_on_pci);
    suite_add_tcase(suite, c);
    return run_suite(suite);
}
