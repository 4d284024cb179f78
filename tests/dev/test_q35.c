/*
 * test_q35.c - the Q35's host bridge: PAM, SMRAM, configuration spaces in memory; the ICH9: PIRQ routing, power
 * management, SMIs, GPIO, SMBus; and what a guest writes at random.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "hw/ich9.h"
#include "hw/q35.h"
#include "tests/dev/chipset_env.h"
#include "tests/run_suite.h"

#define MM    0xb0000000u
#define RCBA  0xfed1c000u
#define PM    0x600
#define SMB   0x700
#define GPIO  0x800
#define LPC   (31u << 3)
#define SMBUS (31u << 3 | 3)
#define ENDPOINT (4u << 3)      /* PCI Express */
#define OLD   (5u << 3)         /* PCI */

/* Lines: ISA interrupts, then I/O APIC inputs from GSI_LINE on. */
enum { SCI = 16, SMI, GSI_LINE = 32 };

static struct env *e;
static struct q35 *bridge;
static struct ich9 *lpc;
static struct pci_dev *endpoint, *old, *inner;
static uint8_t ram[0x100000];
static unsigned offs;

static uint32_t rd(unsigned devfn, unsigned reg, unsigned size)
{
    return env_config_read(e, devfn, reg, size);
}

static void wr(unsigned devfn, unsigned reg, uint32_t val, unsigned size)
{
    env_config_write(e, devfn, reg, val, size);
}

static void gsi(void *env, int n, bool level)
{
    env_set(env, GSI_LINE + n, level);
}

static void intx(void *unused, int n, bool level)
{
    ich9_pirq(lpc, n, level);
}

static void off(void *arg)
{
    offs++;
}

static void setup(void)
{
    struct pci_ident id = { .vendor = 0x1234, .device = 0x5678, .class = 0x020000, .pin = 1 };
    struct ich9_lines lines;
    struct pci_bus *bus;

    e = env_new();
    offs = 0;
    memset(ram, 0x11, sizeof(ram));
    phys_map_ram(e->phys, 0, 0xa0000, ram, false, "ram");
    lines = (struct ich9_lines){ .isa = { .set = env_set, .to = e }, .gsi = { .set = gsi, .to = e },
                                 .sci = env_line(e, SCI), .smi = env_line(e, SMI), .off = off };
    bus = pci_bus_new(e->chips, e->ports, e->phys, NULL, NULL, (struct irq){ .set = intx });
    pci_bus_express(bus);
    bridge = q35_new(e->chips, bus, e->phys, ram, 0x80000000u, 0x40000000u);
    lpc = ich9_new(e->chips, bus, e->ports, e->phys, e->clock, &lines);
    ich9_smbus_new(e->chips, bus);
    endpoint = pci_add(bus, "endpoint", ENDPOINT >> 3, 0, &id);
    pci_express_init(endpoint);
    old = pci_add(bus, "old", OLD >> 3, 0, &id);
    inner = pci_add(bus, "inner", 27, 0, &id);
}

static void teardown(void)
{
    env_check_state(e);
    env_free(e);
}

START_TEST(identity)
{
    ck_assert_uint_eq(rd(0, 0, 4), 0x29c08086);
    ck_assert_uint_eq(rd(0, 8, 4) >> 8, 0x060000);
    ck_assert_uint_eq(rd(0, 0xb0, 2), 0x8000);          /* TOLUD: 2 GiB, in units of 64 KiB */
    ck_assert_uint_eq(rd(0, 0xa0, 2), 3u << 4);         /* TOM: 3 GiB, in units of 64 MiB */
    ck_assert_uint_eq(rd(0, 0xa2, 2), 5u << 10);        /* TOUUD: 5 GiB, in units of 1 MiB */
    ck_assert_uint_eq(rd(LPC, 0, 4), 0x29188086);
    ck_assert_uint_eq(rd(LPC, 8, 4) >> 8, 0x060100);
    ck_assert_uint_eq(rd(LPC, 0x0e, 1), 0x80);
    ck_assert_uint_eq(rd(SMBUS, 0, 4), 0x29308086);
    ck_assert_uint_eq(rd(SMBUS, 8, 4) >> 8, 0x0c0500);
}
END_TEST

static uint8_t peek(uint32_t at)
{
    uint8_t b;

    phys_read(e->phys, at, &b, 1);
    return b;
}

START_TEST(memory)
{
    uint8_t v = 0x77;

    ck_assert_uint_eq(peek(0xc0000), 0xff);
    wr(0, 0x91, 0x11, 1);                       /* PAM1: C0000 to C7FFF, reads */
    ck_assert_uint_eq(peek(0xc0000), 0x11);
    ck_assert_uint_eq(peek(0xc7fff), 0x11);
    ck_assert_uint_eq(peek(0xc8000), 0xff);
    wr(0, 0x90, 0x20, 1);                       /* PAM0: F0000, writes */
    phys_write(e->phys, 0xf1234, &v, 1);
    ck_assert_uint_eq(ram[0xf1234], 0x77);
    ck_assert_uint_eq(peek(0xf1234), 0xff);
    ck_assert_uint_eq(peek(0xa0000), 0xff);
    wr(0, 0x9d, 0x4a, 1);                       /* SMRAM open */
    ck_assert_uint_eq(peek(0xa0000), 0x11);
    wr(0, 0x9d, 0x1a, 1);                       /* locked */
    ck_assert_uint_eq(peek(0xa0000), 0xff);
    wr(0, 0x9d, 0x4a, 1);
    ck_assert_uint_eq(rd(0, 0x9d, 1), 0x1a);
    ck_assert_uint_eq(rd(0, 0x9e, 1), 0x38);
    chips_reset(e->chips);
    ck_assert_uint_eq(peek(0xc0000), 0xff);
    wr(0, 0x9d, 0x4a, 1);
    ck_assert_uint_eq(peek(0xa0000), 0x11);
    q35_place(bridge, MM);
    ck_assert_uint_eq(peek(0xf1234), 0x77);
    ck_assert_uint_eq(q35_mmconfig(bridge), MM);
    ck_assert_uint_eq(env_read(e, MM), 0x29c08086);
}
END_TEST

START_TEST(mmconfig)
{
    uint32_t at = MM + (ENDPOINT << 12), cap = rd(ENDPOINT, 0x34, 1);

    ck_assert_uint_eq(env_read(e, 0xe0000000u), 0xffffffff);
    ck_assert_uint_eq(q35_mmconfig(bridge), 0);
    wr(0, 0x60, MM | 1, 4);
    ck_assert_uint_eq(q35_mmconfig(bridge), MM);
    ck_assert_uint_eq(env_read(e, MM), 0x29c08086);
    ck_assert_uint_eq(env_read(e, at), 0x56781234);
    ck_assert_uint_eq(phys_io_read(e->phys, at + 2, 2), 0x5678);
    ck_assert_uint_eq(phys_io_read(e->phys, at + 1, 1), 0x12);
    phys_io_write(e->phys, at + 0x3c, 0x55, 1);
    ck_assert_uint_eq(rd(ENDPOINT, 0x3c, 1), 0x55);
    env_write(e, at, 0);
    ck_assert_uint_eq(env_read(e, at), 0x56781234);
    /* Behind the first 256 bytes: no extended capability; nothing at all for a function that is not
       Express. */
    ck_assert_uint_eq(env_read(e, at + 0x100), 0);
    ck_assert_uint_eq(env_read(e, MM + (OLD << 12)), 0x56781234);
    ck_assert_uint_eq(env_read(e, MM + (OLD << 12) + 0x100), 0xffffffff);
    ck_assert_uint_eq(env_read(e, MM + (6u << 15)), 0xffffffff);        /* nobody */
    ck_assert_uint_eq(env_read(e, MM + (1u << 20)), 0xffffffff);        /* bus 1 */
    ck_assert_uint_eq(env_read(e, MM + (255u << 20)), 0xffffffff);
    /* The capability: version 2, integrated endpoint. */
    ck_assert_uint_eq(rd(ENDPOINT, cap, 1), 0x10);
    ck_assert_uint_eq(rd(ENDPOINT, cap + 2, 2), 0x92);
    ck_assert_uint_eq(rd(OLD, 6, 2) & 0x10, 0);
    /* Smaller, elsewhere, nowhere. */
    wr(0, 0x60, 0xcc000000u | 2 << 1 | 1, 4);
    ck_assert_uint_eq(q35_mmconfig(bridge), 0xcc000000u);
    ck_assert_uint_eq(env_read(e, MM), 0xffffffff);
    ck_assert_uint_eq(env_read(e, 0xcc000000u), 0x29c08086);
    ck_assert_uint_eq(env_read(e, 0xcc000000u + (ENDPOINT << 12)), 0x56781234);
    env_check_state(e);
    ck_assert_uint_eq(env_read(e, 0xcc000000u), 0x29c08086);
    wr(0, 0x64, 1, 4);                          /* above 4 GiB */
    ck_assert_uint_eq(env_read(e, 0xcc000000u), 0xffffffff);
    ck_assert_uint_eq(env_read(e, 0x1cc000000u), 0x29c08086);
    wr(0, 0x60, 0, 4);
    ck_assert_uint_eq(env_read(e, 0x1cc000000u), 0xffffffff);
    wr(0, 0x60, MM | 1, 4);
    chips_reset(e->chips);
    ck_assert_uint_eq(env_read(e, MM), 0xffffffff);
}
END_TEST

START_TEST(routing)
{
    for (unsigned slot = 0; slot < 32; slot++)
        for (unsigned pin = 0; pin < 4; pin++)
            ck_assert_uint_eq(ich9_pirq_of(slot, pin), slot < 25 ? 4 + (slot + pin) % 4 : pin);
    ck_assert_uint_eq(rd(LPC, 0x60, 4), 0x80808080);
    ck_assert_uint_eq(rd(LPC, 0x68, 4), 0x80808080);
    for (unsigned n = 0; n < 8; n++) {
        ich9_pirq(lpc, n, true);
        ck_assert(e->line[GSI_LINE + 16 + n]);
        ck_assert_uint_eq(e->edges[GSI_LINE + 16 + n], 1);
        for (unsigned i = 0; i < 16; i++)
            ck_assert(!e->line[i]);
        wr(LPC, (n < 4 ? 0x60 : 0x64) + n, 10 + (n & 1), 1);
        ck_assert(e->line[10 + (n & 1)]);
        ich9_pirq(lpc, n, false);
        ck_assert(!e->line[GSI_LINE + 16 + n]);
        ck_assert(!e->line[10 + (n & 1)]);
    }
    /* Two PIRQs on a line; another route; none; one that cannot be. */
    ich9_pirq(lpc, 0, true);
    ich9_pirq(lpc, 6, true);
    ich9_pirq(lpc, 0, false);
    ck_assert(e->line[10]);
    wr(LPC, 0x6a, 5, 1);
    ck_assert(!e->line[10]);
    ck_assert(e->line[5]);
    wr(LPC, 0x6a, 0x85, 1);
    ck_assert(!e->line[5]);
    wr(LPC, 0x6a, 8, 1);
    ck_assert(!e->line[8]);
    ich9_pirq(lpc, 6, false);
    /* Devices: slot 4 INTA is E, slot 5 INTA is F; slot 27 has a register of its own. */
    pci_irq(endpoint, true);
    ck_assert(e->line[GSI_LINE + 20]);
    pci_irq(old, true);
    ck_assert(e->line[GSI_LINE + 21]);
    pci_irq(inner, true);
    ck_assert(e->line[GSI_LINE + 16]);
    wr(LPC, 0xf0, RCBA | 1, 4);
    ck_assert_uint_eq(phys_io_read(e->phys, RCBA + 0x3148, 2), 0x3210);
    phys_io_write(e->phys, RCBA + 0x3148, 0x3215, 2);
    ck_assert(!e->line[GSI_LINE + 16]);
    ck_assert(e->line[GSI_LINE + 21]);
    pci_irq(old, false);
    ck_assert(e->line[GSI_LINE + 21]);
    env_check_state(e);
    pci_irq(inner, false);
    ck_assert(!e->line[GSI_LINE + 21]);
    pci_irq(endpoint, false);
    ck_assert(!e->line[GSI_LINE + 20]);
}
END_TEST

START_TEST(root_complex)
{
    ck_assert_uint_eq(env_read(e, RCBA + 0x3410), 0xffffffff);
    wr(LPC, 0xf0, RCBA | 1, 4);
    ck_assert_uint_eq(env_read(e, RCBA + 0x3410), 0x20);
    ck_assert_uint_eq(env_read(e, RCBA + 0x3404), 0x80);
    env_write(e, RCBA + 0x3410, 0xffffffff);
    ck_assert_uint_eq(env_read(e, RCBA + 0x3410), 0xc20);
    env_write(e, RCBA + 0x1000, 0xffffffff);
    ck_assert_uint_eq(env_read(e, RCBA + 0x1000), 0);
    wr(LPC, 0xf0, (RCBA + 0x4000) | 1, 4);
    ck_assert_uint_eq(env_read(e, RCBA + 0x3410), 0xffffffff);
    ck_assert_uint_eq(env_read(e, RCBA + 0x7410), 0xc20);
    wr(LPC, 0xf0, 0, 4);
    ck_assert_uint_eq(env_read(e, RCBA + 0x7410), 0xffffffff);
}
END_TEST

START_TEST(power)
{
    uint32_t count;

    wr(LPC, 0x40, PM | 1, 4);
    ck_assert(!ports_taken(e->ports, PM, 128));
    wr(LPC, 0x44, 0x80, 1);
    ck_assert_uint_eq(ports_read(e->ports, PM + 4, 2), 0);
    count = ports_read(e->ports, PM + 8, 4);
    clock_advance(e->clock, 1000000000);
    ck_assert_uint_eq(ports_read(e->ports, PM + 8, 4) - count, 3579545);
    /* The power button, when enabled and in ACPI mode. */
    ports_write(e->ports, PM + 2, 1 << 8, 2);
    ich9_power_button(lpc);
    ck_assert(!e->line[SCI]);
    ports_write(e->ports, 0xb2, 2, 1);
    ck_assert_uint_eq(ports_read(e->ports, PM + 4, 2), 1);
    ck_assert(e->line[SCI]);
    ports_write(e->ports, PM, 1 << 8, 2);
    ck_assert(!e->line[SCI]);
    ports_write(e->ports, 0xb2, 3, 1);
    ck_assert_uint_eq(ports_read(e->ports, PM + 4, 2), 0);
    /* GPEs: 8 bytes status, 8 enable. */
    ports_write(e->ports, PM + 0x28, 0x12345678, 4);
    ports_write(e->ports, PM + 0x2c, 0x9abcdef0, 4);
    ck_assert_uint_eq(ports_read(e->ports, PM + 0x28, 4), 0x12345678);
    ck_assert_uint_eq(ports_read(e->ports, PM + 0x2c, 4), 0x9abcdef0);
    ports_write(e->ports, PM + 0x20, 0xffffffff, 4);
    ck_assert_uint_eq(ports_read(e->ports, PM + 0x20, 4), 0);
    env_check_state(e);
    ports_write(e->ports, PM + 4, 1 << 13 | 5 << 10, 2);        /* no such state */
    ck_assert_uint_eq(offs, 0);
    ports_write(e->ports, PM + 4, 1 << 13 | ICH9_S5_TYPE << 10, 2);
    ck_assert_uint_eq(offs, 1);
    wr(LPC, 0x40, 0x1001, 4);
    ck_assert(!ports_taken(e->ports, PM, 128));
    ck_assert_uint_eq(ports_read(e->ports, 0x1028, 4), 0x12345678);
    chips_reset(e->chips);
    ck_assert(!ports_taken(e->ports, 0x1000, 128));
    ich9_place(lpc, PM, RCBA);
    ck_assert_uint_eq(ports_read(e->ports, PM + 0x28, 4), 0);
    ck_assert_uint_eq(env_read(e, RCBA + 0x3410), 0x20);
    ck_assert_uint_eq(rd(LPC, 0x60, 4), 0x0b0b0a0a);
}
END_TEST

static bool has(struct env *t, uint32_t at)
{
    uint8_t b;

    return phys_read(t->phys, at, &b, 1) && b == 0x77;
}

static void look(struct env *t, unsigned mib)
{
    uint8_t b = 0;

    ck_assert(has(t, (32 - mib) * 0x100000u - 1));
    ck_assert(!has(t, (32 - mib) * 0x100000u) && !has(t, 0x1ffffff));
    ck_assert(!phys_dma_read(t->phys, 0x1ffffff, &b, 1) && !phys_dma_write(t->phys, 0x1ffffff, &b, 1));
    ck_assert(phys_dma_read(t->phys, (32 - mib) * 0x100000u - 1, &b, 1));
}

/* Memory for SMM at the end of 32 MiB. */
START_TEST(tseg)
{
    struct env *t = env_new();
    struct pci_bus *bus = pci_bus_new(t->chips, t->ports, t->phys, NULL, NULL, env_line(t, 0));
    uint8_t *mem = phys_ram_alloc(t->phys, 32 << 20);
    struct q35 *q;

    memset(mem, 0x77, 32 << 20);
    phys_map_ram(t->phys, 0x100000, 31 << 20, mem + 0x100000, false, "ram");
    q = q35_new(t->chips, bus, t->phys, mem, 32 << 20, 0);
    env_config_write(t, 0, 0x50, 0xffff, 2);
    ck_assert_uint_eq(env_config_read(t, 0, 0x50, 2), 0);       /* there is no other size */
    q35_ext_tseg(q, 16);
    env_config_write(t, 0, 0x50, 0x1234, 2);
    ck_assert_uint_eq(env_config_read(t, 0, 0x50, 2), 0);
    env_config_write(t, 0, 0x50, 0xffff, 2);
    ck_assert_uint_eq(env_config_read(t, 0, 0x50, 2), 16);
    env_config_write(t, 0, 0xac, 0x01000000, 4);
    ck_assert_uint_eq(env_config_read(t, 0, 0xac, 4), 0x01000000);
    env_config_write(t, 0, 0x9e, 0x01, 1);
    ck_assert(has(t, 0x1ffffff));                               /* G_SMRAME is off */
    env_config_write(t, 0, 0x9d, 0x08, 1);
    look(t, 1);
    for (unsigned n = 0; n < 4; n++) {
        env_config_write(t, 0, 0x9e, 0x01 | n << 1, 1);
        look(t, (const unsigned[]){ 1, 2, 8, 16 }[n]);
    }
    env_config_write(t, 0, 0x9e, 0x06, 1);
    ck_assert(has(t, 0x1ffffff) && has(t, 0x1000000));
    env_config_write(t, 0, 0x9e, 0x05, 1);
    env_config_write(t, 0, 0x9d, 0x18, 1);                      /* locked */
    env_config_write(t, 0, 0x9e, 0x00, 1);
    env_config_write(t, 0, 0x9d, 0x00, 1);
    env_config_write(t, 0, 0x50, 0xffff, 2);
    env_config_write(t, 0, 0xac, 0, 4);
    ck_assert_uint_eq(env_config_read(t, 0, 0xac, 4), 0x01000000);
    ck_assert_uint_eq(env_config_read(t, 0, 0x9e, 1), 0x3d);
    look(t, 8);
    env_check_state(t);
    look(t, 8);
    chips_reset(t->chips);
    ck_assert(has(t, 0x1ffffff) && has(t, 0x1000000));
    env_config_write(t, 0, 0x9d, 0x08, 1);
    env_config_write(t, 0, 0x9e, 0x03, 1);
    look(t, 2);
    env_free(t);
}
END_TEST

START_TEST(smi)
{
    wr(LPC, 0x40, PM | 1, 4);
    wr(LPC, 0x44, 0x80, 1);
    ports_write(e->ports, 0xb2, 0x55, 1);
    ports_write(e->ports, 0xb3, 0x66, 1);
    ck_assert_uint_eq(ports_read(e->ports, 0xb2, 2), 0x6655);
    ports_write(e->ports, PM + 0x30, 0x20, 4);          /* APMC_EN alone */
    ports_write(e->ports, 0xb2, 1, 1);
    ck_assert(!e->line[SMI]);
    ports_write(e->ports, PM + 0x30, 0x21, 4);
    ports_write(e->ports, 0xb2, 1, 1);
    ck_assert(e->line[SMI]);
    ck_assert_uint_eq(ports_read(e->ports, PM + 0x34, 4), 0x20);
    ports_write(e->ports, PM + 0x34, 0x20, 4);
    ck_assert_uint_eq(ports_read(e->ports, PM + 0x34, 4), 0);
    wr(LPC, 0xa0, 0x10, 2);                     /* locked: GBL_SMI_EN stays, the rest does not */
    ports_write(e->ports, PM + 0x30, 0, 4);
    ck_assert_uint_eq(ports_read(e->ports, PM + 0x30, 4), 1);
}
END_TEST

START_TEST(gpio)
{
    wr(LPC, 0x48, GPIO | 1, 4);
    ck_assert(!ports_taken(e->ports, GPIO, 64));
    wr(LPC, 0x4c, 0x10, 1);
    ck_assert_uint_eq(ports_read(e->ports, GPIO + 4, 4), 0xffffffff);
    ck_assert_uint_eq(ports_read(e->ports, GPIO + 12, 4), 0xffffffff);
    ports_write(e->ports, GPIO + 4, 0xfffffff0, 4);     /* four outputs */
    ports_write(e->ports, GPIO + 12, 5, 4);
    ck_assert_uint_eq(ports_read(e->ports, GPIO + 12, 4), 0xfffffff5);
    wr(LPC, 0x4c, 0, 1);
    ck_assert(!ports_taken(e->ports, GPIO, 64));
}
END_TEST

START_TEST(smbus)
{
    wr(SMBUS, 0x20, SMB, 4);
    wr(SMBUS, 4, 1, 2);
    ports_write(e->ports, SMB + 4, 0xa1, 1);
    ck_assert_uint_eq(ports_read(e->ports, SMB + 4, 1), 0);     /* not on yet */
    wr(SMBUS, 0x40, 1, 1);
    ports_write(e->ports, SMB + 4, 0xa1, 1);
    ck_assert_uint_eq(ports_read(e->ports, SMB + 4, 1), 0xa1);
    ports_write(e->ports, SMB + 2, 0x48, 1);            /* start, byte data */
    ck_assert_uint_eq(ports_read(e->ports, SMB, 1), 4);
    ck_assert_uint_eq(ports_read(e->ports, SMB + 2, 1), 0x08);
    ck_assert(!e->line[GSI_LINE + 17]);
    ports_write(e->ports, SMB + 2, 0x49, 1);            /* with interrupt: INTB of slot 31 is PIRQ B */
    ck_assert(e->line[GSI_LINE + 17]);
    ports_write(e->ports, SMB, 0xff, 1);
    ck_assert_uint_eq(ports_read(e->ports, SMB, 1), 0);
    ck_assert(!e->line[GSI_LINE + 17]);
}
END_TEST

START_TEST(fuzz)
{
    static const unsigned fn[] = { 0, LPC, SMBUS, ENDPOINT, OLD };
    struct timespec begin, now;

    srand(_i + 1);
    clock_gettime(CLOCK_MONOTONIC, &begin);
    for (unsigned n = 1; ; n++) {
        unsigned size = 1u << rand() % 3, reg = rand() % 256 & ~(size - 1);
        uint32_t val = rand() & 1 ? (uint32_t)rand() << 1 : 1u << rand() % 32;

        switch (rand() % 8) {
        case 0: wr(fn[rand() % 5], reg, val, size); break;
        case 1: rd(fn[rand() % 5], reg, size); break;
        case 2: wr(LPC, rand() & 1 ? 0x40 : 0x48, (rand() % 64) << 7 | 1, 4); break;
        case 3: wr(LPC, rand() & 1 ? 0x44 : 0x4c, val, 1); break;
        case 4: ports_write(e->ports, rand() % 0x2000, val, size); break;
        case 5: ports_read(e->ports, rand() % 0x2000, size); break;
        case 6: phys_io_write(e->phys, (rand() & 1 ? MM + rand() % (1 << 20) :
                                        RCBA + rand() % 0x4000) & ~3u, val, 4); break;
        default:
            pci_irq(rand() & 1 ? endpoint : inner, rand() & 1);
            if (rand() % 16 == 0)
                wr(0, 0x60, MM | 1, 4);
            if (rand() % 16 == 0)
                wr(LPC, 0xf0, RCBA | 1, 4);
        }
        if (n % 1024 == 0)
            env_check_state(e);
        clock_gettime(CLOCK_MONOTONIC, &now);
        if (now.tv_sec - begin.tv_sec >= 2)
            break;
    }
    pci_irq(endpoint, false);
    pci_irq(inner, false);
    chips_reset(e->chips);
    for (unsigned i = 0; i < 8; i++)
        ck_assert(!e->line[GSI_LINE + 16 + i]);
    for (unsigned i = 0; i < 16; i++)
        ck_assert(!e->line[i]);
    wr(0, 0x60, MM | 1, 4);
    ck_assert_uint_eq(env_read(e, MM), 0x29c08086);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        identity, memory, mmconfig, routing, root_complex, power, smi, tseg, gpio, smbus,
    };
    Suite *s = suite_create("q35");
    TCase *t = tcase_create("q35");

    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, setup, teardown);
    for (unsigned i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
        tcase_add_test(t, tests[i]);
    tcase_add_loop_test(t, fuzz, 0, 2);
    suite_add_tcase(s, t);
    return run_suite(s);
}
