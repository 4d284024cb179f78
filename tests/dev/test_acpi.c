/*
 * test_acpi.c - PM registers; the tables' checksums and links; all tables through iasl, if installed.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hw/acpi.h"
#include "hw/pci.h"
#include "hw/reset.h"
#include "tests/dev/chipset_env.h"
#include "tests/run_suite.h"

#define PM 0x600
#define AT 0xe0000u
#define S5_TYPE 5

static struct env *e;
static struct acpi *a;
static unsigned offs;

static void off(void *arg)
{
    offs++;
}

static void setup(void)
{
    static const struct acpi_model model = { .s5_type = S5_TYPE };

    e = env_new();
    offs = 0;
    a = acpi_new(e->chips, &model, e->ports, PM, e->clock, env_line(e, 9), off, NULL);
}

static void teardown(void)
{
    env_check_state(e);
    env_free(e);
}

START_TEST(power)
{
    ck_assert_uint_eq(ports_read(e->ports, PM + 4, 2), 1);      /* ACPI mode, always */
    acpi_power_button(a);
    ck_assert(!e->line[9]);
    ports_write(e->ports, PM + 2, 0x100, 2);
    ck_assert(e->line[9]);
    ck_assert_uint_eq(ports_read(e->ports, PM, 4), 0x01000100);
    ports_write(e->ports, PM, 0x100, 2);
    ck_assert(!e->line[9]);
    ports_write(e->ports, PM + 4, S5_TYPE << 10, 2);
    ck_assert_uint_eq(offs, 0);
    ports_write(e->ports, PM + 4, 1 << 13 | 1 << 10, 2);        /* a sleep state we do not have */
    ck_assert_uint_eq(offs, 0);
    ports_write(e->ports, PM + 4, 1 << 13 | S5_TYPE << 10, 2);
    ck_assert_uint_eq(offs, 1);
    ck_assert_uint_eq(ports_read(e->ports, PM + 4, 2), S5_TYPE << 10 | 1);
}
END_TEST

START_TEST(pm_timer)
{
    ck_assert_uint_eq(ports_read(e->ports, PM + 8, 4), 0);
    clock_advance(e->clock, 1000000000);
    ck_assert_uint_eq(ports_read(e->ports, PM + 8, 4), ACPI_PM_HZ);
    ports_write(e->ports, PM + 2, 1, 2);
    clock_advance(e->clock, 598ull * 1000000000);
    ck_assert(!e->line[9]);
    clock_advance(e->clock, 1000000000);
    ck_assert(e->line[9]);                                      /* bit 31 went up */
    ck_assert_uint_ne(ports_read(e->ports, PM + 8, 4) & 0x80000000u, 0);
    ports_write(e->ports, PM, 1, 2);
    ck_assert(!e->line[9]);
}
END_TEST

START_TEST(reset_port)
{
    struct reset *r = reset_new(e->chips, env_line(e, 3));

    pci_bus_new(e->chips, e->ports, e->phys, &reset_ops, r, env_line(e, 0));
    ports_write(e->ports, 0xcf9, 2, 1);
    ck_assert_uint_eq(e->edges[3], 0);
    ports_write(e->ports, 0xcf9, 6, 1);
    ck_assert_uint_eq(e->edges[3], 1);
    ck_assert_uint_eq(ports_read(e->ports, 0xcf9, 1), 6);
}
END_TEST

static uint32_t le32(const uint8_t *p)
{
    return p[0] | p[1] << 8 | p[2] << 16 | (uint32_t)p[3] << 24;
}

static void sums(const uint8_t *p, size_t n)
{
    uint8_t s = 0;

    while (n--)
        s += *p++;
    ck_assert_uint_eq(s, 0);
}

static bool contains(const uint8_t *p, size_t n, const char *text)
{
    size_t len = strlen(text);

    for (size_t i = 0; i + len <= n; i++)
        if (!memcmp(p + i, text, len))
            return true;
    return false;
}

static unsigned pirq(unsigned slot, unsigned pin)
{
    return (slot + pin) & 3;
}

enum { MICRO, PC, Q35 };

static uint8_t *build(unsigned cpus, unsigned kind, size_t *len)
{
    struct acpi_board b = { .ncpu = cpus, .lapic = 0xfee00000, .ioapic = 0xfec00000,
                            .hpet = 0xfed00000, .pm = PM, .sci = 9, .s5_type = S5_TYPE, .pm_len = ACPI_PM_LEN, .reset_port = 0xcf9,
                            .pci_lo = 0xc0000000, .pci_hi = 0xfec00000, .serial = 15 };

    if (kind) {
        b.gpe = PM + 12;
        b.gpe_len = kind == PC ? 4 : 16;
        b.smi_cmd = 0xb2;
        b.acpi_enable = 0xf1;
        b.acpi_disable = 0xf0;
        b.links = kind == PC ? 4 : 8;
        b.pirq = pirq;
        b.isa_slot = kind == PC ? 1 : 31;
        b.mmconfig = kind == PC ? 0 : 0xd0000000;
        b.fw_cfg = 0x510;
    }
    return acpi_tables(&b, AT, len, NULL);
}

START_TEST(tables)
{
    static const unsigned cpus[] = { 1, 2, 255, 288 };

    for (unsigned k = 0; k < 4; k++) {
        size_t len;
        uint8_t *t = build(cpus[k], k == 1 ? PC : MICRO, &len);
        uint32_t rsdt = le32(t + 16) - AT, xsdt = le32(t + 24) - AT, n;
        unsigned lapics = 0;

        ck_assert_uint_lt(len, 0x20000);
        ck_assert_int_eq(memcmp(t, "RSD PTR ", 8), 0);
        sums(t, 20);
        sums(t, 36);
        ck_assert_int_eq(memcmp(t + rsdt, "RSDT", 4), 0);
        ck_assert_int_eq(memcmp(t + xsdt, "XSDT", 4), 0);
        sums(t + rsdt, le32(t + rsdt + 4));
        sums(t + xsdt, le32(t + xsdt + 4));
        n = (le32(t + rsdt + 4) - 36) / 4;
        ck_assert_uint_eq(n, 3);
        for (unsigned i = 0; i < n; i++) {
            uint32_t at = le32(t + rsdt + 36 + 4 * i);
            const uint8_t *p = t + at - AT;

            ck_assert_uint_eq(le32(t + xsdt + 36 + 8 * i), at);
            ck_assert_uint_lt(at - AT + le32(p + 4), len);
            sums(p, le32(p + 4));
            if (!memcmp(p, "FACP", 4)) {
                const uint8_t *dsdt = t + le32(p + 40) - AT, *facs = t + le32(p + 36) - AT;

                ck_assert_int_eq(memcmp(dsdt, "DSDT", 4), 0);
                ck_assert_int_eq(memcmp(facs, "FACS", 4), 0);
                ck_assert_uint_eq((facs - t) & 63, 0);
                sums(dsdt, le32(dsdt + 4));
                ck_assert_uint_eq(le32(p + 56), PM);
                ck_assert_uint_eq(le32(p + 48), k == 1 ? 0xb2 : 0);
                ck_assert_uint_eq(le32(p + 80), k == 1 ? PM + 12 : 0);
                ck_assert_uint_eq(p[92], k == 1 ? 4 : 0);
                ck_assert_uint_eq(p[128], 6);           /* reset value */
                /* The power button is a fixed one (PWR_BUTTON 0: status and enable in PM1, and no PNP0C0C
                 * device); there is no sleep button (SLP_BUTTON 1 and no device). */
                ck_assert_uint_eq(le32(p + 112) & (1u << 4 | 1u << 5), 1u << 5);
                ck_assert(!contains(dsdt, le32(dsdt + 4), "\x41\xd0\x0c\x0c"));
                ck_assert(contains(dsdt, le32(dsdt + 4), "\x41\xd0\x05\x01"));
            }
            if (!memcmp(p, "APIC", 4))
                for (const uint8_t *q = p + 44; q < p + le32(p + 4); q += q[1]) {
                    ck_assert_uint_ge(q[1], 6);
                    lapics += q[0] == 0 || q[0] == 9;
                }
        }
        ck_assert_uint_eq(lapics, cpus[k]);
        free(t);
    }
}
END_TEST

/* And not a name in AML that looks like the beginning of one. */
static bool is_table(const uint8_t *p, size_t room)
{
    uint8_t sum = 0;
    if (room < 36 || le32(p + 4) > room)
        return false;
    for (uint32_t i = 0; i < le32(p + 4); i++)
        sum = (uint8_t)(sum + p[i]);
    return sum == 0 || !memcmp(p, "FACS", 4);
}

START_TEST(dsdt)
{
    size_t len;
    uint8_t *t = build(2, _i, &len);
    static const char *const name[] = { "DSDT", "FACP", "FACS", "APIC", "HPET", "RSDT", "XSDT", "MCFG" };
    unsigned names = _i == Q35 ? 8 : 7;
    char dir[] = "/tmp/test_acpi.XXXXXX", cmd[256];
    unsigned found = 0;
    FILE *f;

    if (system("command -v iasl >/dev/null") != 0) {
        fprintf(stderr, "SKIP dsdt: iasl is not installed (package acpica-tools)\n");
        free(t);
        return;
    }
    ck_assert_ptr_nonnull(mkdtemp(dir));
    for (size_t i = 0; i < len; i += 16)
        for (unsigned k = 0; k < names; k++)
            if (!memcmp(t + i, name[k], 4) && is_table(t + i, len - i)) {
                snprintf(cmd, sizeof(cmd), "%s/%s.aml", dir, k ? name[k] : "dsdt");
                f = fopen(cmd, "wb");
                ck_assert_ptr_nonnull(f);
                fwrite(t + i, 1, le32(t + i + 4), f);
                fclose(f);
                found |= 1u << k;
            }
    free(t);
    ck_assert_uint_eq(found, (1u << names) - 1);
    /* The tables of data disassemble without a complaint. */
    for (unsigned k = 1; k < names; k++) {
        snprintf(cmd, sizeof(cmd), "cd %s && iasl -d %s.aml >%s.log 2>&1 && "
                 "! grep -iE 'error|warning|invalid|unknown' %s.log %s.dsl", dir, name[k], name[k], name[k], name[k]);
        ck_assert_int_eq(system(cmd), 0);
    }
    /* Disassembles, and what comes out compiles without a warning. */
    snprintf(cmd, sizeof(cmd), "cd %s && iasl -d dsdt.aml >d.log 2>&1 && "
             "iasl -we -p out dsdt.dsl >c.log 2>&1", dir);
    ck_assert_int_eq(system(cmd), 0);
    snprintf(cmd, sizeof(cmd), "cd %s && grep -q ' 0 Warnings' c.log && grep -q 'PNP0501' dsdt.dsl && "
             "grep -q '_PRT' dsdt.dsl && %s grep -q %s dsdt.dsl", dir, _i ? "" : "!",
             _i == Q35 ? "LNKH" : "LNKA");
    ck_assert_int_eq(system(cmd), 0);
    snprintf(cmd, sizeof(cmd), "rm -r %s", dir);
    ck_assert_int_eq(system(cmd), 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("acpi");
    TCase *t = tcase_create("acpi");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, power);
    tcase_add_test(t, pm_timer);
    tcase_add_test(t, reset_port);
    tcase_add_test(t, tables);
    tcase_add_loop_test(t, dsdt, MICRO, Q35 + 1);
    suite_add_tcase(s, t);
    return run_suite(s);
}
