/*
 * test_pci.c - configuration mechanism 1, BARs, INTx.
 */
#include <check.h>

#include "base/log.h"
#include "hw/pci.h"
#include "tests/dev/chipset_env.h"
#include "tests/run_suite.h"

static struct env *e;
static struct pci_bus *bus;
static struct pci_dev *d, *d2;
static unsigned written;

static uint64_t dev_read(void *dev, uint64_t off, unsigned size)
{
    return 0xabcd0000 | off;
}

static void dev_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
}

static const struct io_ops ops = { dev_read, dev_write, 1 | 2 | 4, LOG_DEV_NONE };

static void on_config(void *dev, unsigned off, unsigned size)
{
    written++;
}

static uint32_t rd(unsigned slot, unsigned reg, unsigned size)
{
    return env_config_read(e, slot << 3, reg, size);
}

static void wr(unsigned slot, unsigned reg, uint32_t val, unsigned size)
{
    env_config_write(e, slot << 3, reg, val, size);
}

static void setup(void)
{
    struct pci_ident id = { .vendor = 0x1234, .device = 0x5678, .class = 0x020000, .revision = 3,
                            .subvendor = 0x9abc, .subdevice = 0xdef0, .pin = 1 };

    e = env_new();
    bus = pci_bus_new(e->chips, e->ports, e->phys, NULL, NULL, env_line(e, 0));
    d = pci_add(bus, "nic", 3, 0, &id);
    d2 = pci_add(bus, "nic2", 7, 0, &id);
    pci_bar(d, 0, 0x1000, 0, &ops, NULL);
    pci_bar(d, 1, 64, PCI_BAR_IO, &ops, NULL);
    pci_bar(d, 2, 0x10000, PCI_BAR_64 | PCI_BAR_PREFETCH, &ops, NULL);
    pci_on_config(d, on_config, NULL);
    written = 0;
}

static void teardown(void)
{
    env_check_state(e);
    env_free(e);
}

START_TEST(header)
{
    ck_assert_uint_eq(rd(3, 0, 4), 0x56781234);
    ck_assert_uint_eq(rd(3, 2, 2), 0x5678);
    ck_assert_uint_eq(rd(3, 1, 1), 0x12);
    ck_assert_uint_eq(rd(3, 8, 4), 0x02000003);
    ck_assert_uint_eq(rd(3, 0x2c, 4), 0xdef09abc);
    ck_assert_uint_eq(rd(4, 0, 4), 0xffffffff);         /* nobody */
    wr(3, 0, 0, 4);
    ck_assert_uint_eq(rd(3, 0, 4), 0x56781234);
    wr(3, 0x3c, 0x55, 1);
    ck_assert_uint_eq(rd(3, 0x3c, 2), 0x155);
    ports_write(e->ports, 0xcf8, 3 << 11, 4);           /* disabled */
    ck_assert_uint_eq(ports_read(e->ports, 0xcfc, 4), 0xffffffff);
    ports_write(e->ports, 0xcf8, 0x80010000u, 4);       /* another bus */
    ck_assert_uint_eq(ports_read(e->ports, 0xcfc, 4), 0xffffffff);
    ck_assert_uint_eq(ports_read(e->ports, 0xcf8, 4), 0x80010000u);
    ports_write(e->ports, 0xcf8, 0x12, 1);              /* not a dword: not the address register */
    ck_assert_uint_eq(ports_read(e->ports, 0xcf8, 4), 0x80010000u);
    ck_assert_uint_eq(written, 2);
}
END_TEST

START_TEST(sizing)
{
    for (unsigned r = 0x10; r < 0x28; r += 4)
        wr(3, r, 0xffffffff, 4);
    ck_assert_uint_eq(rd(3, 0x10, 4), 0xfffff000);
    ck_assert_uint_eq(rd(3, 0x14, 4), 0xffffffc1);
    ck_assert_uint_eq(rd(3, 0x18, 4), 0xffff000c);
    ck_assert_uint_eq(rd(3, 0x1c, 4), 0xffffffff);
    ck_assert_uint_eq(rd(3, 0x20, 4), 0);
}
END_TEST

START_TEST(mapping)
{
    wr(3, 0x10, 0xe0000000, 4);
    wr(3, 0x14, 0xc000, 4);
    wr(3, 0x18, 0x00010000, 4);
    wr(3, 0x1c, 0x40, 4);
    ck_assert_uint_eq(env_read(e, 0xe0000010), 0xffffffff);     /* not enabled yet */
    wr(3, 4, 7, 2);
    ck_assert(pci_bus_master(d));
    ck_assert_uint_eq(env_read(e, 0xe0000010), 0xabcd0010);
    ck_assert_uint_eq(env_read(e, 0x4000010020), 0xabcd0020);
    ck_assert_uint_eq(ports_read(e->ports, 0xc004, 4), 0xabcd0004);
    wr(3, 0x10, 0xe1000000, 4);
    ck_assert_uint_eq(env_read(e, 0xe0000010), 0xffffffff);
    ck_assert_uint_eq(env_read(e, 0xe1000010), 0xabcd0010);
    /* Sizing while enabled must not leave it anywhere. */
    wr(3, 0x10, 0xffffffff, 4);
    ck_assert_uint_eq(env_read(e, 0xe1000010), 0xffffffff);
    wr(3, 0x10, 0xe1000000, 4);
    /* On top of the configuration ports, or of another region: refused, the machine lives. */
    wr(3, 0x14, 0xcc0, 4);
    ck_assert_uint_eq(rd(3, 0, 4), 0x56781234);
    wr(3, 0x18, 0xe1000000, 4);
    wr(3, 0x1c, 0, 4);
    ck_assert_uint_eq(env_read(e, 0xe1000010), 0xabcd0010);
    wr(3, 4, 0, 2);
    ck_assert_uint_eq(env_read(e, 0xe1000010), 0xffffffff);
    wr(3, 4, 7, 2);
    chips_reset(e->chips);
    ck_assert_uint_eq(env_read(e, 0xe1000010), 0xffffffff);
    ck_assert_uint_eq(rd(3, 0x10, 4), 0);
}
END_TEST

START_TEST(intx)
{
    pci_irq(d, true);                           /* slot 3, INTA: line 3 */
    ck_assert(e->line[3]);
    ck_assert_uint_ne(rd(3, 6, 2) & 8, 0);
    pci_irq(d2, true);                          /* slot 7: the same line */
    pci_irq(d, false);
    ck_assert(e->line[3]);
    wr(7, 4, 0x400, 2);                         /* INTx disable */
    ck_assert(!e->line[3]);
    wr(7, 4, 0, 2);
    ck_assert(e->line[3]);
    chips_reset(e->chips);
    ck_assert(!e->line[3]);
}
END_TEST

START_TEST(capabilities)
{
    unsigned a, b;

    ck_assert_uint_eq(rd(3, 6, 2) & 0x10, 0);
    a = pci_add_cap(d, 5, 10);
    b = pci_add_cap(d, 0x11, 12);
    ck_assert_uint_eq(rd(3, 6, 2) & 0x10, 0x10);
    ck_assert_uint_eq(rd(3, 0x34, 1), b);
    ck_assert_uint_eq(rd(3, b, 2), 0x11 | a << 8);
    ck_assert_uint_eq(rd(3, a, 2), 5);
    ck_assert_uint_ge(b, a + 10);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("pci");
    TCase *t = tcase_create("pci");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, header);
    tcase_add_test(t, sizing);
    tcase_add_test(t, mapping);
    tcase_add_test(t, intx);
    tcase_add_test(t, capabilities);
    suite_add_tcase(s, t);
    return run_suite(s);
}
