/*
 * test_piix.c - PIIX3: PIRQ routing; PIIX4: where the PM block and the SMBus are, ACPI mode, APM, SMBus.
 */
#include <check.h>

#include "hw/piix3.h"
#include "hw/piix4.h"
#include "tests/dev/chipset_env.h"
#include "tests/run_suite.h"

#define SMI 20
#define PM  0x600
#define SMB 0x700

static struct env *e;
static struct piix3 *isa;
static struct piix4 *pm;
static unsigned offs;

static uint32_t rd(unsigned fn, unsigned reg, unsigned size)
{
    return env_config_read(e, 1 << 3 | fn, reg, size);
}

static void wr(unsigned fn, unsigned reg, uint32_t val, unsigned size)
{
    env_config_write(e, 1 << 3 | fn, reg, val, size);
}

static void off(void *arg)
{
    offs++;
}

static void setup(void)
{
    struct pci_bus *bus;
    struct piix4_lines lines;

    e = env_new();
    offs = 0;
    bus = pci_bus_new(e->chips, e->ports, e->phys, NULL, NULL, (struct irq){ 0 });
    isa = piix3_new(e->chips, bus, 1, (struct irq){ .set = env_set, .to = e });
    lines = (struct piix4_lines){ .sci = env_line(e, PIIX4_SCI), .smi = env_line(e, SMI), .off = off };
    pm = piix4_new(e->chips, bus, e->ports, e->clock, 1, &lines);
}

static void teardown(void)
{
    env_check_state(e);
    env_free(e);
}

START_TEST(identity)
{
    ck_assert_uint_eq(rd(0, 0, 4), 0x70008086);
    ck_assert_uint_eq(rd(0, 8, 4), 0x06010000);
    ck_assert_uint_eq(rd(0, 0x0e, 1), 0x80);
    ck_assert_uint_eq(rd(3, 0, 4), 0x71138086);
    ck_assert_uint_eq(rd(3, 8, 4), 0x06800003);
    ck_assert_uint_eq(rd(3, 0x3d, 1), 1);
}
END_TEST

START_TEST(routing)
{
    ck_assert_uint_eq(rd(0, 0x60, 4), 0x80808080);
    piix3_pirq(isa, 0, true);
    for (unsigned i = 0; i < 16; i++)
        ck_assert(!e->line[i]);
    wr(0, 0x60, 0x0b0a0b0a, 4);
    ck_assert(e->line[10]);
    ck_assert(!e->line[11]);
    piix3_pirq(isa, 2, true);                   /* the same line */
    piix3_pirq(isa, 0, false);
    ck_assert(e->line[10]);
    wr(0, 0x62, 0x05, 1);                       /* moved while high */
    ck_assert(!e->line[10]);
    ck_assert(e->line[5]);
    for (unsigned irq = 0; irq < 16; irq++) {
        bool can = irq >= 3 && irq != 8 && irq != 13;

        wr(0, 0x62, irq, 1);
        ck_assert_uint_eq(rd(0, 0x62, 1), irq);
        for (unsigned i = 0; i < 16; i++)
            ck_assert_uint_eq(e->line[i], i == irq && can);
    }
    wr(0, 0x62, 0x8f, 1);
    ck_assert(!e->line[15]);
    piix3_route(isa, 2, 11);
    ck_assert(e->line[11]);
    wr(0, 0x60, 0xffffffff, 4);
    ck_assert_uint_eq(rd(0, 0x60, 4), 0x8f8f8f8f);
    piix3_route(isa, 2, 11);
    chips_reset(e->chips);
    ck_assert(!e->line[11]);
    ck_assert_uint_eq(rd(0, 0x60, 4), 0x80808080);
}
END_TEST

START_TEST(place)
{
    ck_assert_uint_eq(ports_read(e->ports, PM + 8, 4), UINT32_MAX);
    wr(3, 0x40, PM | 1, 4);
    ck_assert_uint_eq(rd(3, 0x40, 4), PM | 1);
    ck_assert_uint_eq(ports_read(e->ports, PM + 8, 4), UINT32_MAX);
    wr(3, 0x80, 1, 1);
    ck_assert_uint_eq(ports_read(e->ports, PM + 8, 4), 0);
    ports_write(e->ports, PM + 0x0e, 0x1234, 2);
    ck_assert_uint_eq(ports_read(e->ports, PM + 0x0c, 4), 0x12340000);
    wr(3, 0x40, 0xb001, 4);
    ck_assert_uint_eq(ports_read(e->ports, PM + 0x0c, 4), UINT32_MAX);
    ck_assert_uint_eq(ports_read(e->ports, 0xb00c, 4), 0x12340000);
    wr(3, 0x40, 0x81, 4);                       /* over the APM ports: refused */
    ck_assert_uint_eq(ports_read(e->ports, 0x88, 4), UINT32_MAX);
    env_check_state(e);
    wr(3, 0x40, 0xb001, 4);
    ck_assert_uint_eq(ports_read(e->ports, 0xb00c, 4), 0x12340000);
    chips_reset(e->chips);
    ck_assert_uint_eq(ports_read(e->ports, 0xb00c, 4), UINT32_MAX);
    piix4_place(pm, PM);
    ck_assert_uint_eq(rd(3, 0x40, 4), PM | 1);
    ck_assert_uint_eq(ports_read(e->ports, PM + 0x0c, 4), 0);
}
END_TEST

START_TEST(acpi_mode)
{
    piix4_place(pm, PM);
    ports_write(e->ports, PM + 2, 0x100, 2);
    piix4_power_button(pm);
    ck_assert(!e->line[PIIX4_SCI]);             /* not in ACPI mode */
    ck_assert_uint_eq(ports_read(e->ports, PM + 4, 2), 0);
    ports_write(e->ports, 0xb2, APM_ACPI_ENABLE, 1);
    ck_assert_uint_eq(ports_read(e->ports, PM + 4, 2), 1);
    ck_assert(e->line[PIIX4_SCI]);
    ports_write(e->ports, 0xb2, APM_ACPI_DISABLE, 1);
    ck_assert(!e->line[PIIX4_SCI]);
    ports_write(e->ports, PM + 4, 1, 2);        /* what an SMI handler does */
    ck_assert(e->line[PIIX4_SCI]);
    ports_write(e->ports, PM + 4, 0x2000 | 5 << 10 | 1, 2);
    ck_assert_uint_eq(offs, 0);
    ports_write(e->ports, PM + 4, 0x2000, 2);   /* soft-off is type 0 */
    ck_assert_uint_eq(offs, 1);
    ck_assert_uint_eq(e->edges[SMI], 0);
}
END_TEST

START_TEST(apm)
{
    piix4_place(pm, PM);
    ports_write(e->ports, 0xb3, 0x42, 1);
    ports_write(e->ports, 0xb2, 0x17, 1);
    ck_assert_uint_eq(e->edges[SMI], 0);
    ck_assert_uint_eq(ports_read(e->ports, 0xb2, 2), 0x4217);
    wr(3, 0x58, 1u << 25, 4);
    ports_write(e->ports, 0xb3, 1, 1);
    ck_assert_uint_eq(e->edges[SMI], 0);
    ports_write(e->ports, 0xb2, 0, 1);
    ck_assert_uint_eq(e->edges[SMI], 1);
    ck_assert_uint_eq(ports_read(e->ports, PM + 0x18, 2), 0x20);
    ports_write(e->ports, PM + 0x18, 0x20, 2);
    ck_assert_uint_eq(ports_read(e->ports, PM + 0x18, 2), 0);
}
END_TEST

START_TEST(smbus)
{
    wr(3, 0x90, SMB | 1, 4);
    ck_assert_uint_eq(ports_read(e->ports, SMB, 1), 0xff);
    wr(3, 0xd2, 9, 1);
    ck_assert_uint_eq(ports_read(e->ports, SMB, 1), 0);
    ports_write(e->ports, SMB + 4, 0xa1, 1);
    ports_write(e->ports, SMB + 2, 0x48, 1);    /* start: nobody answers */
    ck_assert_uint_eq(ports_read(e->ports, SMB, 1), 4);
    ck_assert_uint_eq(ports_read(e->ports, SMB + 2, 1), 8);
    ck_assert_uint_eq(ports_read(e->ports, SMB + 4, 1), 0xa1);
    ports_write(e->ports, SMB, 4, 1);
    ck_assert_uint_eq(ports_read(e->ports, SMB, 1), 0);
    wr(3, 0xd2, 0, 1);
    ck_assert_uint_eq(ports_read(e->ports, SMB, 1), 0xff);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("piix");
    TCase *t = tcase_create("piix");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, identity);
    tcase_add_test(t, routing);
    tcase_add_test(t, place);
    tcase_add_test(t, acpi_mode);
    tcase_add_test(t, apm);
    tcase_add_test(t, smbus);
    suite_add_tcase(suite, t);
    return run_suite(suite);
}
