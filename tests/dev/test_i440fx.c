/*
 * test_i440fx.c - PAM and SMRAM of the host bridge.
 */
#include <check.h>
#include <string.h>

#include "hw/i440fx.h"
#include "tests/dev/chipset_env.h"
#include "tests/run_suite.h"

static struct env *e;
static struct i440fx *s;
static uint8_t ram[0x100000], rom[0x20000];

static uint32_t rd(unsigned reg, unsigned size)
{
    return env_config_read(e, 0, reg, size);
}

static void wr(unsigned reg, uint32_t val, unsigned size)
{
    env_config_write(e, 0, reg, val, size);
}

static void setup(void)
{
    e = env_new();
    memset(ram, 0x11, sizeof(ram));
    memset(rom, 0x22, sizeof(rom));
    phys_map_ram(e->phys, 0, 0xa0000, ram, false, "ram");
    phys_map_ram(e->phys, 0xe0000, sizeof(rom), rom, true, "rom");
    s = i440fx_new(e->chips, pci_bus_new(e->chips, e->ports, e->phys, NULL, NULL, (struct irq){ 0 }), e->phys, ram);
}

static void teardown(void)
{
    env_check_state(e);
    env_free(e);
}

START_TEST(identity)
{
    ck_assert_uint_eq(rd(0, 4), 0x12378086);
    ck_assert_uint_eq(rd(8, 4), 0x06000002);
    ck_assert_uint_eq(rd(0x2c, 4), 0x11001af4);
    ck_assert_uint_eq(rd(0x72, 1), 0x02);
}
END_TEST

/* Register and nibble of each segment. */
static const struct { uint32_t base, len; uint8_t reg, shift; } segment[] = {
    { 0xc0000, 0x4000, 0x5a, 0 }, { 0xc4000, 0x4000, 0x5a, 4 }, { 0xc8000, 0x4000, 0x5b, 0 },
    { 0xcc000, 0x4000, 0x5b, 4 }, { 0xd0000, 0x4000, 0x5c, 0 }, { 0xd4000, 0x4000, 0x5c, 4 },
    { 0xd8000, 0x4000, 0x5d, 0 }, { 0xdc000, 0x4000, 0x5d, 4 }, { 0xe0000, 0x4000, 0x5e, 0 },
    { 0xe4000, 0x4000, 0x5e, 4 }, { 0xe8000, 0x4000, 0x5f, 0 }, { 0xec000, 0x4000, 0x5f, 4 },
    { 0xf0000, 0x10000, 0x59, 4 },
};
#define SEGMENTS (sizeof(segment) / sizeof(segment[0]))

static uint8_t peek(uint32_t at)
{
    uint8_t b;

    phys_read(e->phys, at, &b, 1);
    return b;
}

START_TEST(pam)
{
    for (unsigned i = 0; i < SEGMENTS; i++) {
        uint32_t first = segment[i].base, last = first + segment[i].len - 1;
        uint8_t pci = first < 0xe0000 ? 0xff : 0x22;

        for (unsigned way = 0; way < 4; way++) {
            uint8_t v = 0x44 + way;

            wr(segment[i].reg, way << segment[i].shift, 1);
            memset(ram + first, 0x11, segment[i].len);
            ck_assert_uint_eq(peek(first), way & 1 ? 0x11 : pci);
            phys_write(e->phys, first, &v, 1);
            phys_write(e->phys, last, &v, 1);
            ck_assert_uint_eq(ram[first], way & 2 ? v : 0x11);
            ck_assert_uint_eq(ram[last], way & 2 ? v : 0x11);
            ck_assert_uint_eq(peek(last), way == 3 ? v : way == 1 ? 0x11 : pci);
            if (first > 0xc0000)
                ck_assert_uint_eq(peek(first - 1), first <= 0xe0000 ? 0xff : 0x22);
            if (last < 0xfffff)
                ck_assert_uint_eq(peek(last + 1), last < 0xdffff ? 0xff : 0x22);
        }
        wr(segment[i].reg, 0, 1);
        ck_assert_uint_eq(peek(first), pci);
    }
    ck_assert_uint_eq(rom[0], 0x22);
    wr(0x58, 0xffffffff, 4);                    /* several at once; reserved bits stay 0 */
    ck_assert_uint_eq(rd(0x58, 4), 0x33333000);
    ck_assert_uint_eq(peek(0xc0000), 0x47);
    chips_reset(e->chips);
    ck_assert_uint_eq(peek(0xc0000), 0xff);
    i440fx_shadow_all(s);
    for (uint32_t at = 0xc0000; at < 0x100000; at += 0x1000)
        ck_assert_ptr_eq(phys_host(e->phys, at, true, NULL), ram + at);
}
END_TEST

START_TEST(smram)
{
    uint8_t v = 0x77;

    ck_assert_uint_eq(peek(0xa0000), 0xff);
    wr(0x72, 0x42, 1);                          /* not enabled */
    ck_assert_uint_eq(peek(0xa0000), 0xff);
    wr(0x72, 0x48, 1);
    ck_assert_uint_eq(rd(0x72, 1), 0x4a);
    phys_write(e->phys, 0xbffff, &v, 1);
    ck_assert_uint_eq(ram[0xbffff], 0x77);
    ck_assert_uint_eq(peek(0xc0000), 0xff);
    wr(0x72, 0x08, 1);
    ck_assert_uint_eq(peek(0xbffff), 0xff);
    wr(0x72, 0x58, 1);                          /* lock: shut, and nothing changes any more */
    ck_assert_uint_eq(rd(0x72, 1), 0x1a);
    ck_assert_uint_eq(peek(0xbffff), 0xff);
    wr(0x72, 0x40, 1);
    ck_assert_uint_eq(rd(0x72, 1), 0x1a);
    env_check_state(e);
    wr(0x72, 0x40, 1);
    ck_assert_uint_eq(rd(0x72, 1), 0x1a);
    chips_reset(e->chips);
    wr(0x72, 0x48, 1);
    ck_assert_uint_eq(rd(0x72, 1), 0x4a);
    ck_assert_uint_eq(peek(0xbffff), 0x77);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("i440fx");
    TCase *t = tcase_create("i440fx");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, identity);
    tcase_add_test(t, pam);
    tcase_add_test(t, smram);
    suite_add_tcase(suite, t);
    return run_suite(suite);
}
