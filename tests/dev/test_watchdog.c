/*
 * test_watchdog.c - i6300esb: unlocking, both stages, interrupt, SMI, free running, lock, what outlives a
 * reset; pvpanic on a port and as a PCI function; random register accesses.
 */
#include <check.h>
#include <stdlib.h>

#include "hw/i6300esb.h"
#include "hw/pvpanic.h"
#include "tests/dev/chipset_env.h"
#include "tests/run_suite.h"

#define DEVFN  (4u << 3)
#define PANIC  (5u << 3)
#define BASE   0xfe000000u
#define PBASE  0xfe001000u
#define SMI    40
#define TICK   (32768 * 30ull)          /* ns, at 1 kHz */
#define FAST   (32 * 30ull)

static struct env *e;
static unsigned bites, panics, crashes;

static void expired(void *arg)
{
    bites++;
}

static void event(void *arg, bool crash_kernel)
{
    (*(crash_kernel ? &crashes : &panics))++;
}

static void wr(unsigned reg, uint32_t val, unsigned size)
{
    phys_io_write(e->phys, BASE + reg, val, size);
}

static uint32_t rd(unsigned reg, unsigned size)
{
    return phys_io_read(e->phys, BASE + reg, size);
}

static void unlocked(unsigned reg, uint32_t val, unsigned size)
{
    wr(12, 0x80, 2);
    wr(12, 0x86, 2);
    wr(reg, val, size);
}

static void config(unsigned reg, uint32_t val, unsigned size)
{
    env_config_write(e, DEVFN, reg, val, size);
}

static void place(void)
{
    config(0x10, BASE, 4);
    config(4, 2, 2);
    env_config_write(e, PANIC, 0x10, PBASE, 4);
    env_config_write(e, PANIC, 4, 2, 2);
}

static void setup(void)
{
    struct i6300esb_lines lines;
    struct pci_bus *bus;

    e = env_new();
    bites = panics = crashes = 0;
    lines = (struct i6300esb_lines){ env_line(e, SMI), expired, NULL };
    bus = pci_bus_new(e->chips, e->ports, e->phys, NULL, NULL, (struct irq){ .set = env_set, .to = e });
    i6300esb_new(e->chips, "watchdog", bus, 4, 0, e->clock, &lines);
    pvpanic_isa_new(e->chips, "pvpanic", e->ports, 0x505, event, NULL);
    pvpanic_pci_new(e->chips, "pvpanic-pci", bus, 5, 0, event, NULL);
    place();
}

static void teardown(void)
{
    env_check_state(e);
    env_free(e);
}

/* INTA of slot 4. */
static bool irq(void)
{
    return e->line[0] || e->line[1] || e->line[2] || e->line[3];
}

START_TEST(unlocking)
{
    ck_assert_uint_eq(env_config_read(e, DEVFN, 0, 4), 0x25ab8086);
    ck_assert_uint_eq(env_config_read(e, DEVFN, 8, 4) >> 8, 0x088000);
    wr(0, 1000, 4);
    ck_assert_uint_eq(rd(0, 4), 0xfffff);
    unlocked(0, 1000, 4);
    ck_assert_uint_eq(rd(0, 4), 1000);
    wr(4, 2000, 4);                             /* one write is all there is */
    ck_assert_uint_eq(rd(4, 4), 0xfffff);
    wr(12, 0x86, 2);
    wr(4, 2000, 4);
    ck_assert_uint_eq(rd(4, 4), 0xfffff);
    wr(12, 0x80, 1);
    wr(12, 0x86, 1);
    wr(4, 0xffff1234, 4);
    ck_assert_uint_eq(rd(4, 4), 0xf1234);       /* 20 bits */
    unlocked(5, 0x56, 1);
    ck_assert_uint_eq(rd(4, 2), 0x5634);
    ck_assert_uint_eq(rd(6, 1), 0xf);
    ck_assert_uint_eq(rd(12, 4), 0);
}
END_TEST

START_TEST(two_stages)
{
    unlocked(0, 512, 4);
    unlocked(4, 256, 4);
    config(0x60, 0, 2);
    config(0x68, 2, 1);
    clock_advance(e->clock, 511 * TICK);
    unlocked(12, 0x100, 2);                     /* fed */
    clock_advance(e->clock, 511 * TICK);
    ck_assert(!irq());
    env_check_state(e);
    clock_advance(e->clock, TICK);
    ck_assert(irq());
    ck_assert_uint_eq(rd(8, 4), 1);
    ck_assert_uint_eq(bites, 0);
    wr(8, 1, 1);
    ck_assert(!irq());
    ck_assert_uint_eq(rd(8, 4), 0);
    clock_advance(e->clock, 255 * TICK);
    ck_assert_uint_eq(bites, 0);
    clock_advance(e->clock, TICK);
    ck_assert_uint_eq(bites, 1);
    ck_assert_uint_eq(rd(12, 2), 0x200);
    clock_advance(e->clock, 10000 * TICK);
    ck_assert_uint_eq(bites, 1);                /* it stands */
    chips_reset(e->chips);
    place();
    ck_assert_uint_eq(rd(12, 2), 0x200);        /* why this reset was */
    ck_assert_uint_eq(rd(0, 4), 0xfffff);
    ck_assert_uint_eq(env_config_read(e, DEVFN, 0x68, 1), 0);
    unlocked(12, 0x200, 2);
    ck_assert_uint_eq(rd(12, 2), 0);
    clock_advance(e->clock, 100000 * TICK);
    ck_assert_uint_eq(bites, 1);
}
END_TEST

START_TEST(modes)
{
    unlocked(0, 100, 4);
    unlocked(4, 100, 4);
    config(0x60, 0x26, 2);                      /* SMI, 1 MHz, output not connected */
    config(0x68, 2, 1);
    clock_advance(e->clock, 100 * FAST);
    ck_assert_uint_eq(e->edges[SMI], 1);
    ck_assert(!irq());
    clock_advance(e->clock, 100 * FAST);
    ck_assert_uint_eq(bites, 0);
    ck_assert_uint_eq(rd(12, 2), 0x200);
    config(0x68, 0, 1);
    config(0x60, 7, 2);                         /* no interrupt, free running: only the second value */
    unlocked(0, 7, 4);
    config(0x68, 6, 1);
    clock_advance(e->clock, 99 * FAST);
    ck_assert_uint_eq(bites, 0);
    clock_advance(e->clock, FAST);              /* it was low, though nobody saw it */
    ck_assert_uint_eq(bites, 0);
    clock_advance(e->clock, 100 * FAST);
    ck_assert_uint_eq(bites, 1);
    clock_advance(e->clock, 100 * FAST);
    ck_assert_uint_eq(bites, 1);
    clock_advance(e->clock, 100 * FAST);
    ck_assert_uint_eq(bites, 2);
    config(0x68, 4, 1);                         /* stopped */
    clock_advance(e->clock, 1000 * FAST);
    ck_assert_uint_eq(bites, 2);
    config(0x68, 3, 1);                         /* locked while it runs */
    config(0x68, 0, 1);
    ck_assert_uint_eq(env_config_read(e, DEVFN, 0x68, 1), 3);
    env_check_state(e);
    config(0x68, 0, 1);
    ck_assert_uint_eq(env_config_read(e, DEVFN, 0x68, 1), 3);
    clock_advance(e->clock, 107 * FAST);
    ck_assert_uint_eq(bites, 3);
    chips_reset(e->chips);
    config(0x68, 4, 1);                         /* a reset unlocks */
    ck_assert_uint_eq(env_config_read(e, DEVFN, 0x68, 1), 4);
}
END_TEST

START_TEST(panic)
{
    ck_assert_uint_eq(ports_read(e->ports, 0x505, 1), 3);
    ports_write(e->ports, 0x505, 0, 1);
    ports_write(e->ports, 0x505, 0x80, 1);
    ck_assert_uint_eq(panics + crashes, 0);
    ports_write(e->ports, 0x505, 1, 1);
    ck_assert_uint_eq(panics, 1);
    ports_write(e->ports, 0x505, 2, 1);
    ck_assert_uint_eq(crashes, 1);
    ck_assert_uint_eq(env_config_read(e, PANIC, 0, 4), 0x00111b36);
    ck_assert_uint_eq(phys_io_read(e->phys, PBASE, 1), 3);
    phys_io_write(e->phys, PBASE, 1, 1);
    ck_assert_uint_eq(panics, 2);
    phys_io_write(e->phys, PBASE + 1, 1, 1);
    ck_assert_uint_eq(panics, 2);
}
END_TEST

START_TEST(random_accesses)
{
    srand(6300);
    for (unsigned i = 0; i < 200000; i++) {
        unsigned r = rand(), size = 1u << (r >> 4 & 3) % 3, reg = r >> 8 & 15 & ~(size - 1);

        switch (r & 7) {
        case 0: wr(reg, rand(), size); break;
        case 1: unlocked(reg, rand() & (r >> 16 & 1 ? 0xff : -1), size); break;
        case 2: rd(reg, size); break;
        case 3: config(0x60, r >> 16, 2); break;
        case 4: config(0x68, r >> 16 & ((r & 0x700) ? 6 : 7), 1); break;
        case 5: clock_advance(e->clock, (r >> 8 & 1023) * FAST); break;
        case 6:
            if ((r & 0xff00) == 0) {
                chips_reset(e->chips);
                place();
            }
            break;
        default:
            if ((r & 0x3f00) == 0)
                env_check_state(e);
            phys_io_write(e->phys, PBASE + reg, rand(), size);
            ports_write(e->ports, 0x505, r >> 16, 1);
        }
    }
    ck_assert_uint_gt(bites, 10);
    ck_assert_uint_gt(panics, 10);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("watchdog");
    TCase *t = tcase_create("watchdog");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 60);
    tcase_add_test(t, unlocking);
    tcase_add_test(t, two_stages);
    tcase_add_test(t, modes);
    tcase_add_test(t, panic);
    tcase_add_test(t, random_accesses);
    suite_add_tcase(suite, t);
    return run_suite(suite);
}
