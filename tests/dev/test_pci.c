/*
 * test_pci.c - configuration mechanism 1, BARs, INTx, MSI and MSI-X, bus mastering, saved states.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE             /* memmem() */
#endif
#include <check.h>
#include <stdlib.h>
#include <string.h>

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

/* ---- messages ---- */

static struct { uint64_t addr; uint32_t data; } sent[8];
static unsigned nsent;

static void msi(void *to, uint64_t addr, uint32_t data)
{
    ck_assert_uint_lt(nsent, 8);
    sent[nsent].addr = addr;
    sent[nsent++].data = data;
}

#define RAM_SIZE 0x20000u
static uint8_t ram[RAM_SIZE] __attribute__((aligned(65536)));

static void with_ram(void)
{
    memset(ram, 0, sizeof(ram));
    phys_map_ram(e->phys, 0, 0x10000, ram, false, "low");
    phys_map_ram(e->phys, 0x18000, 0x8000, ram + 0x18000, false, "high");
    pci_bus_msi(bus, (struct pci_msi_to){ msi, NULL });
    nsent = 0;
}

START_TEST(message)
{
    unsigned cap;

    with_ram();
    pci_msi_init(d, 4);
    cap = rd(3, 0x34, 1);
    ck_assert_uint_eq(rd(3, cap, 1), 5);
    ck_assert_uint_eq(rd(3, cap + 2, 2), 0x184);        /* 4 vectors, 64 bits, masks */
    ck_assert(!pci_msi_send(d, 0));
    wr(3, cap + 4, 0xfee01003, 4);
    wr(3, cap + 12, 0x4143, 2);
    wr(3, cap + 2, 0x1, 2);                     /* one vector allowed */
    ck_assert(pci_msi_send(d, 0));
    ck_assert_uint_eq(nsent, 0);                /* it may not drive the bus */
    wr(3, 4, 4, 2);
    ck_assert(pci_msi_send(d, 3));
    ck_assert_uint_eq(nsent, 1);
    ck_assert_uint_eq(sent[0].addr, 0xfee01000);
    ck_assert_uint_eq(sent[0].data, 0x4143);
    wr(3, cap + 2, 0x71, 2);                    /* more than it has: 4 */
    pci_msi_send(d, 2);
    ck_assert_uint_eq(sent[1].data, 0x4142);
    wr(3, cap + 16, 0xffffffff, 4);
    ck_assert_uint_eq(rd(3, cap + 16, 4), 15);
    ck_assert(pci_msi_send(d, 1));
    ck_assert(pci_msi_send(d, 3));
    ck_assert_uint_eq(nsent, 2);
    ck_assert_uint_eq(rd(3, cap + 20, 4), 10);
    env_check_state(e);
    wr(3, cap + 20, 0, 4);                      /* read-only */
    ck_assert_uint_eq(rd(3, cap + 20, 4), 10);
    wr(3, cap + 16, 8, 4);
    ck_assert_uint_eq(nsent, 3);
    ck_assert_uint_eq(sent[2].data, 0x4141);
    ck_assert_uint_eq(rd(3, cap + 20, 4), 8);
    /* Elsewhere it is a write to memory, and only to that. */
    wr(3, cap + 4, 0x2000, 4);
    wr(3, cap + 16, 0, 4);
    ck_assert_uint_eq(nsent, 3);
    ck_assert_uint_eq(ram[0x2000] | ram[0x2001] << 8, 0x4143);
    wr(3, cap + 4, 0x14000, 4);
    ck_assert(pci_msi_send(d, 0));
    wr(3, cap + 4, 0xfee00000, 4);
    wr(3, cap + 8, 1, 4);                       /* 1FEE00000h is no message address */
    ck_assert(pci_msi_send(d, 0));
    ck_assert_uint_eq(nsent, 3);
}
END_TEST

START_TEST(message_x)
{
    unsigned cap;

    with_ram();
    pci_msix_init(d, 5, 66);
    cap = rd(3, 0x34, 1);
    ck_assert_uint_eq(rd(3, cap, 1), 0x11);
    ck_assert_uint_eq(rd(3, cap + 2, 2), 65);
    ck_assert_uint_eq(rd(3, cap + 4, 4), 5);
    ck_assert_uint_eq(rd(3, cap + 8, 4), 0x805);
    wr(3, 0x24, 0xe0000000, 4);
    wr(3, 4, 6, 2);
    ck_assert_uint_eq(env_read(e, 0xe000000c), 1);      /* masked */
    ck_assert(!pci_msix_on(d) && !pci_msi_send(d, 65));
    for (unsigned v = 64; v < 66; v++) {
        env_write(e, 0xe0000000 + 16 * v, 0xfee00000 + 0x1000 * v);
        env_write(e, 0xe0000008 + 16 * v, v);
    }
    wr(3, cap + 2, 0xc000, 2);                  /* enabled, all masked */
    env_write(e, 0xe000000c + 16 * 65, 0);
    ck_assert(pci_msi_send(d, 64) && pci_msi_send(d, 65) && pci_msi_send(d, 66) && pci_msi_send(d, 4000));
    ck_assert_uint_eq(nsent, 0);
    ck_assert_uint_eq(env_read(e, 0xe0000808), 3);      /* pending bits 64 and 65 */
    env_write(e, 0xe0000808, 0);
    env_check_state(e);
    wr(3, cap + 2, 0x8000, 2);
    ck_assert_uint_eq(nsent, 1);
    ck_assert_uint_eq(sent[0].addr, 0xfee00000 + 0x1000 * 65);
    ck_assert_uint_eq(sent[0].data, 65);
    ck_assert_uint_eq(env_read(e, 0xe0000808), 1);
    env_write(e, 0xe000000c + 16 * 64, 0);
    ck_assert_uint_eq(nsent, 2);
    ck_assert_uint_eq(sent[1].data, 64);
    ck_assert_uint_eq(env_read(e, 0xe0000808), 0);
    ck_assert_uint_eq(env_read(e, 0xe0000000 + 16 * 66), 0);    /* between the two tables */
    ck_assert_uint_eq(env_read(e, 0xe0000ffc), 0);
    wr(3, 4, 2, 2);
    ck_assert(pci_msi_send(d, 64));
    ck_assert_uint_eq(nsent, 2);
    chips_reset(e->chips);
    ck_assert(!pci_msi_send(d, 64));
}
END_TEST

/* The pin is silent while messages are on, also if it was not when they were turned on. */
START_TEST(message_and_pin)
{
    unsigned msi_cap, msix_cap;

    with_ram();
    pci_msi_init(d, 1);
    pci_msix_init(d, 5, 2);
    msix_cap = rd(3, 0x34, 1);
    msi_cap = rd(3, msix_cap + 1, 1);
    ck_assert_uint_eq(rd(3, msi_cap, 1), 5);
    pci_irq(d, true);
    ck_assert(e->line[3]);
    for (unsigned i = 0; i < 2; i++) {
        wr(3, (i ? msix_cap : msi_cap) + 2, i ? 0x8000 : 1, 2);
        ck_assert(!e->line[3]);
        pci_irq(d, false);
        pci_irq(d, true);
        ck_assert(!e->line[3]);
        ck_assert_uint_eq(rd(3, 6, 2) & 8, 8);  /* it waits all the same */
        env_check_state(e);
        wr(3, (i ? msix_cap : msi_cap) + 2, 0, 2);
        ck_assert(e->line[3]);
    }
    wr(3, msi_cap + 2, 1, 2);
    chips_reset(e->chips);
    ck_assert(!e->line[3]);
}
END_TEST

/* ---- bus mastering ---- */

START_TEST(dma)
{
    static uint8_t rom[0x1000] __attribute__((aligned(65536)));
    static uint8_t smm[0x2000] __attribute__((aligned(65536)));
    uint8_t b[64], got[64];
    uint64_t run;

    with_ram();
    memset(rom, 0x77, sizeof(rom));
    memset(smm, 0x66, sizeof(smm));
    phys_map_ram(e->phys, 0x30000, 0x1000, rom, true, "rom");
    phys_map_io(e->phys, 0x40000, 0x1000, &ops, NULL, "mmio");
    phys_smm_ram(e->phys, 0x50000, 0x2000, smm);
    phys_smm_show(e->phys, true, true);
    for (unsigned i = 0; i < 64; i++)
        b[i] = (uint8_t)(i + 1);
    ck_assert(!pci_dma_write(d, 0x1000, b, 64));        /* bus mastering is off */
    ck_assert_uint_eq(ram[0x1000], 0);
    ram[0x1000] = 5;
    ck_assert(!pci_dma_read(d, 0x1000, got, 4));
    ck_assert_uint_eq(got[0] & got[3], 0xff);
    ck_assert_ptr_null(pci_dma_host(d, 0x1000, 4, false, &run));
    wr(3, 4, 4, 2);
    ck_assert(pci_dma_write(d, 0x1ffe, b, 64) && pci_dma_read(d, 0x1ffe, got, 64));
    ck_assert_int_eq(memcmp(b, got, 64), 0);
    ck_assert_ptr_eq(pci_dma_host(d, 0xfff0, 64, true, &run), ram + 0xfff0);
    ck_assert_uint_eq(run, 16);
    ck_assert_ptr_eq(pci_dma_host(d, 0x100, 64, true, &run), ram + 0x100);
    ck_assert_uint_eq(run, 64);
    /* Into a hole, and across it. */
    ck_assert(!pci_dma_write(d, 0xfff0, b, 32));
    ck_assert_int_eq(memcmp(ram + 0xfff0, b, 16), 0);
    memset(got, 0, 64);
    ck_assert(!pci_dma_read(d, 0x17ff0, got, 32));
    ck_assert_uint_eq(got[15], 0xff);
    ck_assert_uint_eq(got[16], ram[0x18000]);
    /* ROM is read, and not written; devices and SMM's memory are neither. */
    ck_assert(pci_dma_read(d, 0x30010, got, 4));
    ck_assert_uint_eq(got[0], 0x77);
    ck_assert(!pci_dma_write(d, 0x30010, b, 4));
    ck_assert_ptr_null(pci_dma_host(d, 0x30000, 4, true, &run));
    ck_assert_uint_eq(rom[0x10], 0x77);
    ck_assert(!pci_dma_read(d, 0x40000, got, 4) && !pci_dma_write(d, 0x40000, b, 4));
    ck_assert_uint_eq(got[1], 0xff);            /* the device would say ABCDh */
    ck_assert(!pci_dma_read(d, 0x50000, got, 4) && !pci_dma_write(d, 0x50000, b, 4));
    ck_assert_uint_eq(smm[0], 0x66);
    ck_assert_uint_eq(got[0], 0xff);
    for (unsigned n = 40; n < 64; n++) {        /* where it may have a place of its own */
        ck_assert_ptr_null(pci_dma_host(d, ((uint64_t)1 << n) + 0x50000, 4, true, &run));
        ck_assert(!pci_dma_read(d, (uint64_t)1 << n, got, 4));
    }
    /* The end of all addresses: no way round to 0. */
    memset(ram, 0x12, 64);
    ck_assert(!pci_dma_read(d, UINT64_MAX - 3, got, 8));
    for (unsigned i = 0; i < 8; i++)
        ck_assert_uint_eq(got[i], 0xff);
    ck_assert(!pci_dma_write(d, UINT64_MAX - 3, b, 8));
    ck_assert_uint_eq(ram[0] | ram[3], 0x12);
    ck_assert(pci_dma_read(d, UINT64_MAX, got, 0));
}
END_TEST

START_TEST(memory_bars)
{
    static uint8_t image[0x2000] __attribute__((aligned(65536))), vram[0x4000] __attribute__((aligned(65536)));

    memset(image, 0x5a, sizeof(image));
    pci_rom(d2, image, sizeof(image));
    pci_bar_ram(d2, 0, sizeof(vram), PCI_BAR_PREFETCH, vram);
    wr(7, 0x30, 0xfffffffe, 4);
    ck_assert_uint_eq(rd(7, 0x30, 4), 0xffffe000);
    wr(7, 0x30, 0xe8000000, 4);
    wr(7, 0x10, 0xe4000000, 4);
    ck_assert_uint_eq(rd(7, 0x10, 4), 0xe4000008);
    wr(7, 4, 2, 2);
    ck_assert_uint_eq(env_read(e, 0xe8000000), 0xffffffff);     /* its own enable bit is clear */
    wr(7, 0x30, 0xe8000001, 4);
    ck_assert_uint_eq(env_read(e, 0xe8001ffc), 0x5a5a5a5a);
    env_write(e, 0xe8000000, 0);
    ck_assert_uint_eq(image[0], 0x5a);
    env_write(e, 0xe4003ffc, 0x11223344);
    ck_assert_uint_eq(vram[0x3ffc] | vram[0x3fff] << 8, 0x1144);
    wr(7, 0x10, 0xe5000000, 4);
    ck_assert_uint_eq(env_read(e, 0xe4003ffc), 0xffffffff);
    ck_assert_uint_eq(env_read(e, 0xe5003ffc), 0x11223344);
    env_check_state(e);
    wr(7, 4, 0, 2);
    ck_assert_uint_eq(env_read(e, 0xe5003ffc), 0xffffffff);
    ck_assert_uint_eq(env_read(e, 0xe8001ffc), 0xffffffff);
}
END_TEST

static uint8_t foreign[0x2000] __attribute__((aligned(65536)));

/* The image of another card. */
static void make_foreign(void)
{
    static const uint8_t header[] = { 0x55, 0xaa, 2, 0xe9, 1, 2, 3 };

    memset(foreign, 0, sizeof(foreign));
    memcpy(foreign, header, sizeof(header));
    foreign[0x18] = 0x1c;
    memcpy(foreign + 0x1c, "PCIR\xf3\xff\x41\x10\0\0\x18\0\0\0\0\2\1\0\7\0\0\x80\0", 23);
}

/* What firmware checks is this card's, and the sum of all bytes as it was. */
START_TEST(rom_of_another)
{
    uint8_t sum = 0, was = 0;
    uint32_t ident = rd(7, 0, 4), in_image;

    make_foreign();
    for (unsigned i = 0; i < 1024; i++)
        was += foreign[i];
    pci_rom(d2, foreign, sizeof(foreign));
    wr(7, 0x30, 0xe8000001, 4);
    wr(7, 4, 2, 2);
    ck_assert_uint_eq(env_read(e, 0xe8000020), ident);
    for (unsigned i = 0; i < 1024; i += 4) {
        in_image = env_read(e, 0xe8000000 + i);
        for (unsigned k = 0; k < 4; k++) {
            sum += (uint8_t)(in_image >> 8 * k);
            if (i + k < 0x20 || (i + k >= 0x24 && i + k != 0x1c + 0x12))
                ck_assert_uint_eq((uint8_t)(in_image >> 8 * k), foreign[i + k]);
        }
    }
    ck_assert_uint_eq(sum, was);
    ck_assert_mem_eq(foreign + 0x20, "\xf3\xff\x41\x10", 4);     /* others use it */
}
END_TEST

/* Images that are for other firmware, or say nothing, or point out of themselves, stay as they are. */
START_TEST(rom_unknown)
{
    static const struct { unsigned at; uint8_t byte; } wrong[] = {
        { 0x1c + 0x14, 3 }, { 0x1c, 'X' }, { 0x19, 0x1f }, { 0x19, 0xff }, { 0, 0x54 }
    };

    make_foreign();
    foreign[wrong[_i].at] = wrong[_i].byte;
    pci_rom(d2, foreign, sizeof(foreign));
    wr(7, 0x30, 0xe8000001, 4);
    wr(7, 4, 2, 2);
    ck_assert_uint_eq(env_read(e, 0xe8000020), 0x1041fff3);
}
END_TEST

/* What a function is comes from no snapshot. */
START_TEST(saved_identity)
{
    static const struct { const char *field; unsigned n; uint8_t val; } bad[] = {
        { "config", 0x00, 0x35 }, { "config", 0x0a, 1 }, { "config", 0x0e, 1 }, { "config", 0x34, 0x80 },
        { "config", 0x3d, 0 }, { "config", 0x3d, 9 }, { "config", 0x40, 0x11 }, { "config", 0x41, 0x44 },
        { "config", 0x42, 0x8a }, { "irq", 0, 2 }, { "intx", 0, 255 }, { "line", 0, 4 },
    };
    uint8_t *good, *now;
    size_t n;

    pci_msi_init(d, 1);
    pci_irq(d, true);
    n = chips_save(e->chips, &good);
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        uint8_t *at = memmem(good, n, "pci:nic", 7), old;
        const char *err;

        at = memmem(at, n - (size_t)(at - good), bad[i].field, strlen(bad[i].field));
        at += strlen(bad[i].field) + 4 + bad[i].n;
        old = *at;
        ck_assert_uint_ne(old, bad[i].val);
        *at = bad[i].val;
        err = chips_load(e->chips, good, n);
        ck_assert_msg(err && strstr(err, "pci:nic: ") && strstr(err, bad[i].field), "%s %#x: %s", bad[i].field, bad[i].n,
                      err ? err : "taken");
        *at = old;
        ck_assert_uint_eq(chips_save(e->chips, &now), n);
        ck_assert_mem_eq(good, now, n);
        free(now);
    }
    ck_assert_ptr_null(chips_load(e->chips, good, n));
    free(good);
}
END_TEST

/* Regions are where they were when the state was saved, whatever has been there since. */
START_TEST(saved_places)
{
    uint8_t *state;
    size_t n;

    pci_bar(d2, 0, 0x1000, 0, &ops, NULL);
    wr(3, 0x10, 0xe0000000, 4);
    wr(3, 0x18, 0xe1000000, 4);
    wr(7, 0x10, 0xe2000000, 4);
    wr(3, 4, 7, 2);
    wr(7, 4, 7, 2);
    n = chips_save(e->chips, &state);
    wr(3, 4, 0, 2);
    wr(7, 0x10, 0xe0000000, 4);
    wr(3, 0x18, 0xe2000000, 4);
    wr(3, 0x10, 0xe1000000, 4);
    wr(3, 4, 7, 2);
    ck_assert_uint_eq(env_read(e, 0xe0000010), 0xabcd0010);
    ck_assert_uint_eq(env_read(e, 0xe2008010), 0xabcd8010);
    ck_assert_ptr_null(chips_load(e->chips, state, n));
    ck_assert_uint_eq(env_read(e, 0xe0000010), 0xabcd0010);
    ck_assert_uint_eq(env_read(e, 0xe1008010), 0xabcd8010);
    ck_assert_uint_eq(env_read(e, 0xe2000010), 0xabcd0010);
    ck_assert_uint_eq(env_read(e, 0xe2008010), 0xffffffff);
    free(state);
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
    tcase_add_test(t, message);
    tcase_add_test(t, message_x);
    tcase_add_test(t, message_and_pin);
    tcase_add_test(t, dma);
    tcase_add_test(t, memory_bars);
    tcase_add_test(t, rom_of_another);
    tcase_add_loop_test(t, rom_unknown, 0, 5);
    tcase_add_test(t, saved_identity);
    tcase_add_test(t, saved_places);
    suite_add_tcase(s, t);
    return run_suite(s);
}
