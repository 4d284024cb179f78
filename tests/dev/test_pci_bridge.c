/*
 * test_pci_bridge.c - bridges and ports: buses and their numbers, windows, interrupts, bus mastering, resets.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "hw/boards.h"
#include "hw/pci.h"
#include "hw/plug.h"
#include "tests/dev/usb_env.h"
#include "tests/run_suite.h"

#define RAM_LEN 0x100000u
#define LINES_AT 0              /* the root bus's lines */

static struct env *e;
static struct pci_bus *root;
static struct plug_env plugs;
static struct plug_use *uses[32];
static unsigned nuses, resets, messages;
static struct pci_dev *nic, *vga;
static unsigned vga_changes;
static uint8_t *ram;

static uint64_t dev_read(void *dev, uint64_t off, unsigned size)
{
    return 0xabcd0000 | off;
}

static void dev_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
}

static const struct io_ops ops = { dev_read, dev_write, 1 | 2 | 4, LOG_DEV_NONE };

static void nic_reset(void *dev)
{
    resets++;
}

static const struct chip nic_chip = { "test-nic", 8, nic_reset, NULL, NULL, NULL };

static void path(void *dev)
{
    vga_changes++;
}

static void make_nic(struct plug_env *env, void *bus, const void *p)
{
    static const struct pci_ident id = { .vendor = 0x1234, .device = 0x5678, .class = 0x020000, .pin = 1 };
    const struct plug_common *c = p;

    nic = vga = pci_add(env->pci, c->name, (unsigned)c->slot, (unsigned)c->fn, &id);
    chip_new(e->chips, &nic_chip, c->name);
    pci_bar(nic, 0, 0x1000, 0, &ops, NULL);
    pci_bar(nic, 1, 64, PCI_BAR_IO, &ops, NULL);
    pci_bar(nic, 2, 0x10000, PCI_BAR_64 | PCI_BAR_PREFETCH, &ops, NULL);
    pci_msi_init(nic, 1);
    pci_express_init(nic);
    pci_on_path(vga, path, NULL);
}

static const struct plug nic_plug = {
    "test-nic", "a device", "PCI", sizeof(struct plug_common), NULL, NULL, make_nic,
    "ethernet@*/ethernet-phy@0"
};

static void msi(void *to, uint64_t addr, uint32_t data)
{
    messages++;
}

static void start(bool express)
{
    static struct board board = { "test" };

    e = env_new();
    e->m.cfg.board = &board;
    e->m.chips = e->chips;
    ram = phys_ram_alloc(e->phys, RAM_LEN);
    phys_map_ram(e->phys, 0, RAM_LEN, ram, false, "ram");
    root = pci_bus_new(e->chips, e->ports, e->phys, NULL, NULL, env_line(e, LINES_AT));
    if (express) {
        pci_bus_express(root);
        pci_mmconfig(root, 0xb0000000, 256);
    }
    pci_bus_msi(root, (struct pci_msi_to){ msi, NULL });
    plugs = (struct plug_env){ .m = &e->m, .pci = root };
    nuses = resets = messages = vga_changes = 0;
}

static void use(const struct plug *plug, const char *id, const char *bus, int slot)
{
    struct plug_use *u = uses[nuses] = plug_use_new(plug);

    ck_assert_ptr_nonnull(plug);
    u->props->id = id;
    u->props->bus = bus;
    u->props->slot = slot;
    if (nuses)
        uses[nuses - 1]->next = u;
    nuses++;
}

static void set(const char *name, const char *val)
{
    struct plug_use *u = uses[nuses - 1];
    static const struct plug_names names;
    char why[200];

    ck_assert(plug_set(u, plug_prop(u->plug, name), val, &names, why, sizeof(why)));
}

static void finish(void)
{
    plugs_make(&plugs, uses[0]);
}

static void teardown(void)
{
    if (!e)
        return;
    env_check_state(e);
    plug_buses_free(&plugs);
    for (unsigned i = 0; i < nuses; i++)
        plug_use_free(uses[i]);
    env_free(e);
    e = NULL;
}

/* Configuration mechanism 1, any bus. */
static uint32_t rd(unsigned bus, unsigned slot, unsigned reg, unsigned size)
{
    ports_write(e->ports, 0xcf8, 0x80000000u | bus << 16 | slot << 11 | (reg & 0xfc), 4);
    return ports_read(e->ports, 0xcfc + (reg & 3), size);
}

static void wr(unsigned bus, unsigned slot, unsigned reg, uint32_t val, unsigned size)
{
    ports_write(e->ports, 0xcf8, 0x80000000u | bus << 16 | slot << 11 | (reg & 0xfc), 4);
    ports_write(e->ports, 0xcfc + (reg & 3), val, size);
}

/* Windows of a bridge, all of them in one write each, as firmware does. */
static void windows(unsigned bus, unsigned slot)
{
    wr(bus, slot, 0x1c, 0xd0c0, 2);             /* C000-DFFF */
    wr(bus, slot, 0x20, 0xe0f0e000, 4);         /* E0000000-E0FFFFFF */
    wr(bus, slot, 0x24, 0x00000000, 4);         /* 4000000000-4000FFFFF */
    wr(bus, slot, 0x28, 0x40, 4);
    wr(bus, slot, 0x2c, 0x40, 4);
    wr(bus, slot, 4, 7, 2);
}

static void place_nic(unsigned bus, unsigned slot)
{
    wr(bus, slot, 0x10, 0xe0100000, 4);
    wr(bus, slot, 0x14, 0xc100, 4);
    wr(bus, slot, 0x18, 0x00010000, 4);
    wr(bus, slot, 0x1c, 0x40, 4);
    wr(bus, slot, 4, 7, 2);
}

/* pci-bridge in slot 5, another in slot 2 behind it, the device in slot 3 behind that. */
static void start_nested(void)
{
    start(false);
    use(plug_find("pci-bridge"), "b1", NULL, 5);
    set("chassis_nr", "9");
    use(plug_find("pci-bridge"), "b2", "b1", 2);
    use(&nic_plug, NULL, "b2", 3);
    finish();
    wr(0, 5, 0x18, 0x020100, 4);
    wr(1, 2, 0x18, 0x020201, 4);
}

START_TEST(header)
{
    start_nested();
    ck_assert_uint_eq(rd(0, 5, 0, 4), 0x00011b36);
    ck_assert_uint_eq(rd(0, 5, 8, 4), 0x06040000);
    ck_assert_uint_eq(rd(0, 5, 0x0e, 1), 1);
    wr(0, 5, 0x1c, 0xffffffff, 4);
    ck_assert_uint_eq(rd(0, 5, 0x1c, 4), 0xf0f0);
    wr(0, 5, 0x20, 0xffffffff, 4);
    ck_assert_uint_eq(rd(0, 5, 0x20, 4), 0xfff0fff0);
    wr(0, 5, 0x24, 0xffffffff, 4);
    ck_assert_uint_eq(rd(0, 5, 0x24, 4), 0xfff1fff1);
    wr(0, 5, 0x28, 0x12345678, 4);
    wr(0, 5, 0x2c, 0x9abcdef0, 4);
    ck_assert_uint_eq(rd(0, 5, 0x28, 4), 0x12345678);
    ck_assert_uint_eq(rd(0, 5, 0x2c, 4), 0x9abcdef0);
    wr(0, 5, 0x10, 0xffffffff, 4);              /* no BARs, no ROM, 16-bit I/O */
    wr(0, 5, 0x30, 0xffffffff, 4);
    wr(0, 5, 0x38, 0xffffffff, 4);
    ck_assert_uint_eq(rd(0, 5, 0x10, 4) | rd(0, 5, 0x30, 4) | rd(0, 5, 0x38, 4), 0);
    ck_assert_uint_eq(rd(0, 5, 0x34, 1), 0x44); /* subsystem, then slot numbering */
    ck_assert_uint_eq(rd(0, 5, 0x44, 4) & 0xffff, 0x400d);
    ck_assert_uint_eq(rd(0, 5, 0x40, 4), 0x09200004 | 0x0000);
    wr(0, 5, 0x43, 7, 1);
    ck_assert_uint_eq(rd(0, 5, 0x43, 1), 7);
}
END_TEST

START_TEST(bus_numbers)
{
    start_nested();
    ck_assert_uint_eq(rd(2, 3, 0, 4), 0x56781234);
    ck_assert_uint_eq(rd(2, 4, 0, 4), 0xffffffff);
    ck_assert_uint_eq(rd(3, 3, 0, 4), 0xffffffff);
    ck_assert_uint_eq(rd(1, 3, 0, 4), 0xffffffff);
    wr(0, 5, 0x1a, 1, 1);                       /* the first passes bus 1 alone */
    ck_assert_uint_eq(rd(2, 3, 0, 4), 0xffffffff);
    ck_assert_uint_eq(rd(1, 2, 0, 4), 0x00011b36);
    wr(0, 5, 0x18, 0x401000, 4);
    wr(0x10, 2, 0x18, 0x302010, 4);
    ck_assert_uint_eq(rd(0x20, 3, 0, 4), 0x56781234);
    ck_assert_uint_eq(rd(0x21, 3, 0, 4), 0xffffffff);
    ck_assert_uint_eq(rd(2, 3, 0, 4), 0xffffffff);
    wr(0, 5, 0x19, 0, 1);                       /* bus 0 stays the root */
    ck_assert_uint_eq(rd(0, 5, 0, 4), 0x00011b36);
    wr(0, 5, 0x19, 0x20, 1);                    /* both say 20h: the one nearer to the processor has it */
    ck_assert_uint_eq(rd(0x20, 2, 0, 4), 0x00011b36);
}
END_TEST

static bool seen(void)
{
    return env_read(e, 0xe0100010) == 0xabcd0010;
}

static bool seen_high(void)
{
    return env_read(e, 0x4000010020) == 0xabcd0020;
}

static bool seen_io(void)
{
    return ports_read(e->ports, 0xc104, 4) == 0xabcd0004;
}

static void check_seen(bool mem, bool high, bool io)
{
    ck_assert(seen() == mem && seen_high() == high && seen_io() == io);
}

START_TEST(gates)
{
    start_nested();
    place_nic(2, 3);
    check_seen(false, false, false);
    windows(1, 2);
    check_seen(false, false, false);            /* the first is closed still */
    windows(0, 5);
    check_seen(true, true, true);
    for (unsigned bus = 0; bus < 2; bus++) {
        unsigned slot = bus ? 2 : 5;

        wr(bus, slot, 4, 6, 2);
        check_seen(true, true, false);
        wr(bus, slot, 4, 5, 2);
        check_seen(false, false, true);
        wr(bus, slot, 4, 7, 2);
        wr(bus, slot, 0x1c, 0xb0, 1);           /* limit D000: still within */
        check_seen(true, true, true);
        wr(bus, slot, 0x1c, 0xd0, 1);
        check_seen(true, true, false);
        wr(bus, slot, 0x1c, 0xb0b0, 2);
        check_seen(true, true, false);
        wr(bus, slot, 0x1c, 0xd0c0, 2);
        wr(bus, slot, 0x20, 0xe0f0e020, 4);
        check_seen(false, true, true);
        wr(bus, slot, 0x20, 0x0000fff0, 4);     /* closed */
        check_seen(false, true, true);
        wr(bus, slot, 0x20, 0xe010e010, 4);
        check_seen(true, true, true);
        wr(bus, slot, 0x20, 0xe0f0e000, 4);
        wr(bus, slot, 0x28, 0x41, 4);
        check_seen(true, false, true);
        wr(bus, slot, 0x28, 0x40, 4);
        wr(bus, slot, 0x2c, 0x3f, 4);
        check_seen(true, false, true);
        wr(bus, slot, 0x2c, 0x40, 4);
        check_seen(true, true, true);
        wr(bus, slot, 0x3e, 4, 2);              /* ISA enable: C100 is not of the first quarter */
        check_seen(true, true, false);
        wr(2, 3, 0x14, 0xc400, 4);
        ck_assert_uint_eq(ports_read(e->ports, 0xc404, 4), 0xabcd0004);
        wr(2, 3, 0x14, 0xc100, 4);
        wr(bus, slot, 0x3e, 0, 2);
        check_seen(true, true, true);
    }
    /* What is not prefetchable passes a prefetchable window, and the other way round. */
    wr(2, 3, 0x18, 0xe0200000, 4);
    wr(2, 3, 0x1c, 0, 4);
    ck_assert_uint_eq(env_read(e, 0xe0200020), 0xabcd0020);
    chips_reset(e->chips);
    check_seen(false, false, false);
}
END_TEST

/* A region of 4 MiB of which the window holds half. */
START_TEST(partly)
{
    static const struct pci_ident id = { .vendor = 0x1234, .device = 0x5679, .class = 0x020000 };
    struct pci_dev *big;

    start_nested();
    big = pci_add(pci_bus_below(pci_add(root, "other", 9, 0, &id), "far", false, 32), "big", 1, 0, &id);
    pci_bar(big, 0, 4 << 20, 0, &ops, NULL);
    wr(0, 9, 0x20, 0, 4);
    pci_config_set(big, 0x10, 4, 0xe0400000);
    pci_config_set(big, 4, 2, 2);
    ck_assert_uint_eq(env_read(e, 0xe0400010), 0xffffffff);
}
END_TEST

START_TEST(vga_bits)
{
    start_nested();
    windows(0, 5);
    windows(1, 2);
    vga_changes = 0;
    ck_assert(!pci_vga_reached(vga));
    wr(1, 2, 0x3e, 8, 2);
    ck_assert(!pci_vga_reached(vga));
    wr(0, 5, 0x3e, 8, 2);
    ck_assert(pci_vga_reached(vga));
    ck_assert_uint_eq(vga_changes, 2);
    wr(0, 5, 4, 5, 2);
    ck_assert(!pci_vga_reached(vga));
    wr(0, 5, 4, 7, 2);
    ck_assert(pci_vga_reached(vga));
    wr(1, 2, 0x3e, 0, 2);
    ck_assert(!pci_vga_reached(vga));
}
END_TEST

START_TEST(swizzle)
{
    start(false);
    use(plug_find("pci-bridge"), "b1", NULL, 5);
    use(plug_find("pci-bridge"), "b2", "b1", 2);
    for (int slot = 1; slot < 9; slot++)
        use(&nic_plug, NULL, slot & 1 ? "b2" : "b1", slot + 2);
    finish();
    wr(0, 5, 0x18, 0x020100, 4);
    wr(1, 2, 0x18, 0x020201, 4);
    /* The last made is in slot 10 of the first bridge: pin (10 + 0) & 3 = 2 there, line (5 + 2) & 3. */
    pci_irq(nic, true);
    for (unsigned n = 0; n < 4; n++)
        ck_assert(e->line[LINES_AT + n] == (n == 3));
    pci_irq(nic, false);
    ck_assert(!e->line[LINES_AT + 3]);
}
END_TEST

START_TEST(swizzle_twice)
{
    start_nested();
    /* Slot 3: pin 3; slot 2: pin 1; slot 5: line 2. */
    pci_irq(nic, true);
    for (unsigned n = 0; n < 4; n++)
        ck_assert(e->line[LINES_AT + n] == (n == 2));
    wr(2, 3, 4, 0x400, 2);
    ck_assert(!e->line[LINES_AT + 2]);
    wr(2, 3, 4, 0, 2);
    ck_assert(e->line[LINES_AT + 2]);
    chips_reset(e->chips);
    ck_assert(!e->line[LINES_AT + 2]);
}
END_TEST

START_TEST(mastering)
{
    uint64_t run;
    uint32_t v = 0x12345678;

    start_nested();
    wr(2, 3, 4, 4, 2);
    ck_assert_uint_eq(rd(0, 5, 4, 2), 4);       /* on after a reset */
    ck_assert(pci_dma_write(nic, 0x1000, &v, 4) && ram[0x1000] == 0x78);
    ck_assert_uint_eq(rd(2, 3, 0x40, 1), 5);    /* MSI */
    wr(2, 3, 0x44, 0xfee00000, 4);
    wr(2, 3, 0x42, 1, 2);
    ck_assert(pci_msi_send(nic, 0) && messages == 1);
    for (unsigned bus = 0; bus < 2; bus++) {
        wr(bus, bus ? 2 : 5, 4, 0, 2);
        v = 0;
        ck_assert(!pci_dma_write(nic, 0x1000, &v, 4) && ram[0x1000] == 0x78);
        ck_assert(!pci_dma_read(nic, 0x1000, &v, 4) && v == 0xffffffff);
        ck_assert_ptr_null(pci_dma_host(nic, 0x1000, 4, true, &run));
        ck_assert(pci_msi_send(nic, 0) && messages == 1 + bus);
        wr(bus, bus ? 2 : 5, 4, 4, 2);
        ck_assert(pci_msi_send(nic, 0) && messages == 2 + bus);
    }
    /* What a window passes down is not memory. */
    wr(0, 5, 0x20, 0, 4);                       /* the first MiB, once it decodes */
    wr(0, 5, 0x24, 0x0000fff0, 4);
    ck_assert(pci_dma_write(nic, 0x2000, &v, 4));
    wr(0, 5, 4, 6, 2);
    ck_assert(!pci_dma_write(nic, 0x2000, &v, 4));
    wr(0, 5, 0x20, 0xe0f0e000, 4);
    ck_assert(pci_dma_write(nic, 0x2000, &v, 4));
    ck_assert(!pci_dma_write(nic, UINT64_MAX - 1, &v, 4));
}
END_TEST

START_TEST(bus_reset)
{
    start_nested();
    windows(0, 5);
    windows(1, 2);
    place_nic(2, 3);
    pci_irq(nic, true);
    resets = 0;
    wr(0, 5, 0x3e, 0x40, 2);
    ck_assert_uint_eq(resets, 1);
    check_seen(false, false, false);
    ck_assert(!e->line[LINES_AT + 2]);
    ck_assert_uint_eq(rd(1, 2, 0, 4), 0xffffffff);      /* nobody answers while it lasts */
    ck_assert(!pci_bus_master(nic));
    wr(0, 5, 0x3e, 0x40, 2);
    ck_assert_uint_eq(resets, 1);
    wr(0, 5, 0x3e, 0, 2);
    ck_assert_uint_eq(rd(1, 2, 0, 4), 0x00011b36);
    ck_assert_uint_eq(rd(1, 2, 0x18, 4), 0);            /* as after power-on */
    ck_assert_uint_eq(rd(0, 5, 0x20, 4), 0xe0f0e000);   /* the bridge itself is as it was */
    wr(1, 2, 0x18, 0x020201, 4);
    ck_assert_uint_eq(rd(2, 3, 0x10, 4), 0);
    ck_assert_uint_eq(resets, 1);
}
END_TEST

/* Root port, switch, device; another port with nothing. */
START_TEST(ports_and_links)
{
    unsigned cap, at;

    start(true);
    use(plug_find("pcie-root-port"), "rp", NULL, 4);
    set("slot", "17");
    set("multifunction", "on");
    use(plug_find("ioh3420"), "rp2", "pcie.0", 6);
    use(plug_find("x3130-upstream"), "up", "rp", 0);
    use(plug_find("xio3130-downstream"), "down", "up", 2);
    use(&nic_plug, NULL, "down", -1);
    finish();
    ck_assert_uint_eq(rd(0, 4, 0x0e, 1), 0x81);
    wr(0, 4, 0x18, 0x030100, 4);
    wr(1, 0, 0x18, 0x030201, 4);
    wr(2, 2, 0x18, 0x030302, 4);
    ck_assert_uint_eq(rd(0, 4, 0, 4), 0x000c1b36);
    ck_assert_uint_eq(rd(1, 0, 0, 4), 0x8232104c);
    ck_assert_uint_eq(rd(2, 2, 0, 4), 0x8233104c);
    ck_assert_uint_eq(rd(3, 0, 0, 4), 0x56781234);
    ck_assert_uint_eq(pci_devfn(nic), 0);
    for (cap = rd(0, 4, 0x34, 1); rd(0, 4, cap, 1) != 0x10;)
        ck_assert_uint_ne(cap = rd(0, 4, cap + 1, 1), 0);
    ck_assert_uint_eq(rd(0, 4, cap + 2, 2), 0x142);     /* root port with a slot */
    ck_assert_uint_eq(rd(0, 4, cap + 0x0c, 4), 0x00100011);
    ck_assert_uint_eq(rd(0, 4, cap + 0x12, 2), 0x2011); /* up */
    ck_assert_uint_eq(rd(0, 4, cap + 0x14, 4), 17 << 19);
    ck_assert_uint_eq(rd(0, 4, cap + 0x1a, 2), 0x40);   /* present */
    at = rd(0, 6, 0x34, 1);
    while (rd(0, 6, at, 1) != 0x10)
        ck_assert_uint_ne(at = rd(0, 6, at + 1, 1), 0);
    ck_assert_uint_eq(rd(0, 6, at + 2, 2), 0x042);      /* none was asked for */
    ck_assert_uint_eq(rd(0, 6, at + 0x12, 2), 0x0011);
    ck_assert_uint_eq(rd(0, 6, at + 0x1a, 2), 0);
    /* All of it by memory, the extended registers too. */
    ck_assert_uint_eq(env_read(e, 0xb0000000 + (3 << 20)), 0x56781234);
    ck_assert_uint_eq(env_read(e, 0xb0000000 + (3 << 20) + 0x100), 0);
    ck_assert_uint_eq(env_read(e, 0xb0000000 + (4 << 20)), 0xffffffff);
    /* A link that is disabled: its other end is reset, and gone. */
    wr(3, 0, 0x3c, 0x55, 1);
    resets = 0;
    wr(0, 4, cap + 0x10, 0x10, 2);
    ck_assert_uint_eq(resets, 1);
    ck_assert_uint_eq(rd(1, 0, 0, 4), 0xffffffff);
    ck_assert_uint_eq(rd(0, 4, cap + 0x12, 2), 0x0011);
    wr(0, 4, cap + 0x10, 0, 2);
    ck_assert_uint_eq(rd(0, 4, cap + 0x12, 2), 0x2011);
    ck_assert_uint_eq(rd(1, 0, 0, 4), 0x8232104c);
    ck_assert_uint_eq(rd(1, 0, 0x18, 4), 0);
    wr(1, 0, 0x18, 0x030201, 4);
    wr(2, 2, 0x18, 0x030302, 4);
    ck_assert_uint_eq(rd(3, 0, 0x3c, 1), 0);
    /* The device is an endpoint at a link. */
    for (at = rd(3, 0, 0x34, 1); rd(3, 0, at, 1) != 0x10;)
        ck_assert_uint_ne(at = rd(3, 0, at + 1, 1), 0);
    ck_assert_uint_eq(rd(3, 0, at + 2, 2), 2);
    ck_assert_uint_eq(rd(3, 0, at + 0x12, 2), 0x11);
}
END_TEST

/* Behind a bridge to conventional PCI there are no extended registers. */
START_TEST(to_conventional)
{
    start(true);
    use(plug_find("pcie-pci-bridge"), "pb", NULL, 4);
    use(&nic_plug, NULL, "pb", 7);
    finish();
    wr(0, 4, 0x18, 0x010100, 4);
    ck_assert_uint_eq(rd(1, 7, 0, 4), 0x56781234);
    ck_assert_uint_eq(env_read(e, 0xb0000000 + (1 << 20) + (7 << 15)), 0x56781234);
    ck_assert_uint_eq(env_read(e, 0xb0000000 + (1 << 20) + (7 << 15) + 0x100), 0xffffffff);
    ck_assert_uint_eq(env_read(e, 0xb0000000 + (4 << 15) + 0x100), 0);
}
END_TEST

START_TEST(boot_paths)
{
    char *order;

    start(false);
    use(plug_find("pci-bridge"), "b1", NULL, 5);
    use(plug_find("pci-bridge"), "b2", "b1", 2);
    uses[1]->props->fn = 4;
    use(&nic_plug, NULL, "b2", 3);
    uses[2]->props->bootindex = 1;
    use(&nic_plug, NULL, NULL, 6);
    uses[3]->props->bootindex = 0;
    finish();
    order = plugs_boot_order(uses[0], false);
    ck_assert_str_eq(order, "/pci@i0cf8/ethernet@6/ethernet-phy@0\n"
                            "/pci@i0cf8/pci-bridge@5/pci-bridge@2,4/ethernet@3/ethernet-phy@0\n");
    free(order);
    order = plugs_boot_order(uses[0], true);
    ck_assert_str_eq(order, "/pci@i0cf8/ethernet@6/ethernet-phy@0\n"
                            "/pci@i0cf8/pci-bridge@5/pci-bridge@2,4/ethernet@3/ethernet-phy@0\nHALT\n");
    free(order);
}
END_TEST

/* The same of disks, which name their controller; each is the second of its kind where there may be two. */
START_TEST(boot_paths_disks)
{
    static const struct { const char *controller, *bus, *disk, *place, *number, *path; } t[] = {
        { "ahci", "c.3", "ide-hd", NULL, NULL, "pci8086,2922@7,1/drive@3/disk@0" },
        { "virtio-scsi-pci", "c.0", "scsi-hd", "scsi-id", "4", "scsi@7,1/channel@0/disk@4,0" },
        { "usb-ehci", "c.0", "usb-storage", "port", "3", "usb@7,1/storage@3/channel@0/disk@0,0" },
        { "qemu-xhci", "c.0", "usb-storage", "port", "2", "usb@7,1/storage@2/channel@0/disk@0,0" },
    };

    for (unsigned i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        struct usb_env *u = usb_env_new();
        const struct plug_common *c;
        char want[100];

        bus_env_plug(u->b, "pci-bridge", "id", "b1", "addr", "5", NULL);
        bus_env_plug(u->b, "pci-bridge", "id", "b2", "addr", "2", "bus", "b1", NULL);
        bus_env_plug(u->b, t[i].controller, "id", "c", "addr", "7.1", "bus", "b2", NULL);
        c = bus_env_plug(u->b, t[i].disk, "drive", "d0", "bus", t[i].bus, t[i].place, t[i].number, NULL);
        snprintf(want, sizeof(want), "/pci@i0cf8/pci-bridge@5/pci-bridge@2/%s", t[i].path);
        ck_assert_str_eq(c->boot_path, want);
        usb_env_free(u);
    }
}
END_TEST

/* More bridges than firmware has room for: there is no path, rather than another device's. */
START_TEST(boot_path_too_long)
{
    char ids[20][8];

    start(false);
    for (unsigned i = 0; i < 20; i++) {
        snprintf(ids[i], sizeof(ids[i]), "b%u", i);
        use(plug_find("pci-bridge"), ids[i], i ? ids[i - 1] : NULL, 5);
    }
    use(&nic_plug, NULL, "b19", 3);
    finish();
    ck_assert_str_eq(uses[20]->boot_path, "");
}
END_TEST

/* What cannot be wired: exit code and no crash. */
static void wrong(bool express, const char *first, const char *first_bus, const char *second, const char *bus, int slot)
{
    start(express);
    use(plug_find(first), "one", first_bus, -1);
    use(plug_find(second), "two", bus, slot);
    finish();
}

START_TEST(refused)
{
    static const struct { bool express; const char *first, *first_bus, *second, *bus; int slot; } cases[] = {
        { false, "pci-bridge", NULL, "pcie-root-port", NULL, -1 },
        { false, "pci-bridge", "pcie.0", "pci-bridge", NULL, -1 },
        { true, "pcie-root-port", NULL, "pcie-root-port", "one", -1 },
        { true, "pcie-root-port", NULL, "pci-bridge", "one", 1 },
        { true, "pcie-root-port", NULL, "pci-bridge", "two", -1 },
        { true, "pcie-root-port", NULL, "x3130-upstream", NULL, -1 },
        { true, "pcie-root-port", NULL, "xio3130-downstream", "one", -1 },
    };

    wrong(cases[_i].express, cases[_i].first, cases[_i].first_bus, cases[_i].second, cases[_i].bus, cases[_i].slot);
}
END_TEST

/* Registers of everything written at random: it neither crashes nor loses its way back. */
START_TEST(fuzz)
{
    uint64_t seed = 0x9e3779b97f4a7c15u + (unsigned)_i;

    start(true);
    use(plug_find("pcie-root-port"), "rp", NULL, 4);
    use(plug_find("x3130-upstream"), "up", "rp", 0);
    use(plug_find("xio3130-downstream"), "down", "up", 2);
    use(&nic_plug, NULL, "down", -1);
    use(plug_find("pcie-pci-bridge"), "pb", NULL, 6);
    use(plug_find("pci-bridge"), "b2", "pb", 2);
    use(&nic_plug, NULL, "b2", 3);
    finish();
    for (unsigned i = 0; i < 60000; i++) {
        uint32_t r, val;
        unsigned bus, slot, reg, size;

        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        r = (uint32_t)(seed >> 32);
        val = (uint32_t)seed;
        bus = r & 3;
        slot = (r >> 2 & 7) < 5 ? (const unsigned[]){ 0, 2, 3, 4, 6 }[r >> 2 & 7] : r >> 5 & 31;
        reg = r >> 10 & 0x7f;
        size = 1u << (r >> 17) % 3;
        reg &= ~(size - 1);
        if (reg == 0x18)                        /* numbers that mean something, mostly */
            val &= 0x03030303;
        if (reg >= 0x1c && reg < 0x30 && (r >> 30))
            val = 0xe0f0e000;
        wr(bus, slot, reg, val, size);
        if (!(r >> 20 & 15))
            pci_irq(nic, val & 1);
        if (!(r >> 24 & 7)) {
            env_read(e, 0xe0000000 + (val & 0xffffff));
            ports_read(e->ports, (uint16_t)val | 0x1000, 1);
            pci_dma_write(nic, val & 0x1fffff, &val, 4);
        }
    }
    env_check_state(e);
    chips_reset(e->chips);
    wr(0, 6, 0x18, 0x020100, 4);
    wr(1, 2, 0x18, 0x020201, 4);
    windows(0, 6);
    windows(1, 2);
    place_nic(2, 3);
    check_seen(true, true, true);
    for (unsigned n = 0; n < 4; n++)
        ck_assert(!e->line[LINES_AT + n]);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("pci_bridge");
    TCase *t = tcase_create("bridges");

    tcase_add_checked_fixture(t, NULL, teardown);
    tcase_add_test(t, header);
    tcase_add_test(t, bus_numbers);
    tcase_add_test(t, gates);
    tcase_add_test(t, partly);
    tcase_add_test(t, vga_bits);
    tcase_add_test(t, swizzle);
    tcase_add_test(t, swizzle_twice);
    tcase_add_test(t, mastering);
    tcase_add_test(t, bus_reset);
    tcase_add_test(t, ports_and_links);
    tcase_add_test(t, to_conventional);
    tcase_add_test(t, boot_paths);
    tcase_add_test(t, boot_paths_disks);
    tcase_add_test(t, boot_path_too_long);
    tcase_add_loop_exit_test(t, refused, EXIT_CODE_USAGE, 0, 7);
    tcase_add_loop_test(t, fuzz, 0, 4);
    suite_add_tcase(s, t);
    return run_suite(s);
}
