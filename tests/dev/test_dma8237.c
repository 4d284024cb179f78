/*
 * test_dma8237.c - DMA controllers: registers, flip-flop, masks, modes, terminal count, pages, software
 * requests, the cascade, and random register accesses beside a device that moves data.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "hw/dma8237.h"
#include "tests/dev/chipset_env.h"
#include "tests/run_suite.h"

#define RAM (1u << 20)

static struct env *e;
static struct dma8237 *d;
static uint8_t *ram;
static unsigned readies[8];
static bool moves;              /* ready() moves what it can at once */

static void out(unsigned port, unsigned val)
{
    ports_write(e->ports, port, val, 1);
}

static unsigned in(unsigned port)
{
    return ports_read(e->ports, port, 1);
}

static void ready(void *dev)
{
    unsigned ch = (unsigned *)dev - readies;
    uint8_t buf[64] = { 0 };
    bool tc;

    readies[ch]++;
    ck_assert(dma8237_granted(d, ch));
    if (moves)
        dma8237_to_memory(d, ch, buf, sizeof(buf), &tc);
}

static const struct dma_user user = { ready };

static void cascade(void)
{
    out(0xd6, 0xc0);
    out(0xd4, 0);
}

/* Address in units, count - 1 in units, page. */
static void program(unsigned ch, unsigned mode, unsigned page, unsigned addr, unsigned count)
{
    static const uint8_t page_port[8] = { 0x87, 0x83, 0x81, 0x82, 0x8f, 0x8b, 0x89, 0x8a };
    unsigned base = ch < 4 ? 0 : 0xc0, step = ch < 4 ? 1 : 2;

    out(base + 10 * step, 4 | (ch & 3));
    out(base + 12 * step, 0);
    out(base + 11 * step, mode | (ch & 3));
    out(base + (ch & 3) * 2 * step, addr);
    out(base + (ch & 3) * 2 * step, addr >> 8);
    out(base + ((ch & 3) * 2 + 1) * step, count);
    out(base + ((ch & 3) * 2 + 1) * step, count >> 8);
    out(page_port[ch], page);
    out(base + 10 * step, ch & 3);
}

static unsigned pair(unsigned port)
{
    unsigned low = in(port);

    return low | in(port) << 8;
}

static void setup(void)
{
    e = env_new();
    ram = phys_ram_alloc(e->phys, RAM);
    phys_map_ram(e->phys, 0, RAM, ram, false, "ram");
    d = dma8237_new(e->chips, e->ports, e->phys);
    memset(readies, 0, sizeof(readies));
    moves = false;
    for (unsigned ch = 0; ch < 8; ch++)
        ck_assert_int_eq(dma8237_attach(d, ch, &user, &readies[ch]), ch != 4);
    ck_assert(!dma8237_attach(d, 2, &user, NULL));
    ck_assert(!dma8237_attach(d, 8, &user, NULL));
}

static void teardown(void)
{
    env_check_state(e);
    env_free(e);
}

START_TEST(registers)
{
    ck_assert_uint_eq(in(0x0f), 0xff);          /* all masked */
    out(0x0c, 0);
    out(0x02, 0x34);
    out(0x02, 0x12);
    out(0x03, 0xff);
    out(0x03, 0x01);
    ck_assert_uint_eq(pair(2), 0x1234);
    ck_assert_uint_eq(pair(3), 0x01ff);
    in(2);                                      /* half of a pair, then the flip-flop is cleared */
    out(0x0c, 0);
    ck_assert_uint_eq(pair(2), 0x1234);
    out(0x0e, 0);
    ck_assert_uint_eq(in(0x0f), 0xf0);
    out(0x0a, 6);
    ck_assert_uint_eq(in(0x0f), 0xf4);
    out(0x0f, 9);
    ck_assert_uint_eq(in(0x0f), 0xf9);
    out(0x0d, 0);
    ck_assert_uint_eq(in(0x0f), 0xff);
    ck_assert_uint_eq(in(0x0d), 0);
    ck_assert_uint_eq(pair(2), 0x1234);         /* a master clear leaves addresses alone */
    for (unsigned i = 0; i < 16; i++)
        out(0x80 + i, 0x30 + i);
    for (unsigned i = 0; i < 16; i++)
        ck_assert_uint_eq(in(0x80 + i), 0x30 + i);
    out(0xc5, 0x78);                            /* odd ports are the even ones */
    out(0xc4, 0x56);
    ck_assert_uint_eq(pair(0xc4), 0x5678);
    chips_reset(e->chips);
    ck_assert_uint_eq(in(0xde), 0xff);
    ck_assert_uint_eq(in(0x80), 0);
}
END_TEST

START_TEST(to_memory)
{
    uint8_t buf[1024];
    bool tc;

    for (unsigned i = 0; i < sizeof(buf); i++)
        buf[i] = i * 7 + 1;
    program(2, 0x44, 3, 0x1230, 999);
    ck_assert_uint_eq(dma8237_to_memory(d, 2, buf, 100, &tc), 0);       /* no cascade yet */
    cascade();
    ck_assert_uint_eq(dma8237_to_memory(d, 2, buf, 100, &tc), 100);
    ck_assert(!tc);
    ck_assert_uint_eq(in(8), 0);
    out(0x0c, 0);
    ck_assert_uint_eq(pair(4), 0x1230 + 100);
    ck_assert_uint_eq(pair(5), 899);
    ck_assert_uint_eq(dma8237_to_memory(d, 2, buf + 100, 1024 - 100, &tc), 900);
    ck_assert(tc);
    ck_assert_int_eq(memcmp(ram + 0x31230, buf, 1000), 0);
    ck_assert_uint_eq(ram[0x31230 + 1000], 0);
    ck_assert_uint_eq(in(8), 4);
    ck_assert_uint_eq(in(8), 0);                /* reading took it back */
    ck_assert_uint_eq(in(0x0f), 0xff);          /* channel 2 is masked again (1, 0, 3 always were) */
    ck_assert_uint_eq(pair(5), 0xffff);
    ck_assert(!dma8237_granted(d, 2));
    ck_assert_uint_eq(dma8237_to_memory(d, 2, buf, 1, &tc), 0);
}
END_TEST

START_TEST(from_memory_with_autoinit)
{
    uint8_t buf[64];
    bool tc;

    cascade();
    for (unsigned i = 0; i < 16; i++)
        ram[0x4fff8 + (i < 8 ? i : i - 0x10000)] = 0x80 + i;    /* round the end of the page */
    program(1, 0x58, 4, 0xfff8, 15);
    for (unsigned turn = 0; turn < 3; turn++) {
        memset(buf, 0, sizeof(buf));
        ck_assert_uint_eq(dma8237_from_memory(d, 1, buf, sizeof(buf), &tc), 16);
        ck_assert(tc);
        for (unsigned i = 0; i < 16; i++)
            ck_assert_uint_eq(buf[i], 0x80 + i);
        ck_assert_uint_eq(in(8), 2);
        ck_assert_uint_eq(pair(2), 0xfff8);
        ck_assert_uint_eq(pair(3), 15);
    }
}
END_TEST

START_TEST(words_and_down)
{
    static const uint8_t give[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };
    uint8_t buf[8];
    bool tc;

    cascade();
    /* Page bit 0 does not count; word addresses. */
    program(5, 0x44, 0x05, 0x1000, 3);
    ck_assert_uint_eq(dma8237_to_memory(d, 5, give, 8, &tc), 8);
    ck_assert(tc);
    ck_assert_int_eq(memcmp(ram + 0x42000, give, 8), 0);
    ck_assert_uint_eq(in(0xd0), 2);
    /* Downwards: the first word is the highest. */
    program(7, 0x64, 0x02, 0x3, 3);
    ck_assert_uint_eq(dma8237_to_memory(d, 7, give, 7, &tc), 6);        /* half a word stays */
    ck_assert_uint_eq(dma8237_to_memory(d, 7, give + 6, 2, &tc), 2);
    ck_assert(tc);
    ck_assert_int_eq(memcmp(ram + 0x20000, "\7\10\5\6\3\4\1\2", 8), 0);
    program(0, 0x68, 0x02, 0x5, 3);
    ck_assert_uint_eq(dma8237_from_memory(d, 0, buf, 8, &tc), 4);
    ck_assert_int_eq(memcmp(buf, "\4\3\6\5", 4), 0);
    program(3, 0x64, 0x02, 0x1, 3);             /* and below 0 round to the page's end */
    ck_assert_uint_eq(dma8237_to_memory(d, 3, give, 4, &tc), 4);
    ck_assert_uint_eq(ram[0x20001], 1);
    ck_assert_uint_eq(ram[0x20000], 2);
    ck_assert_uint_eq(ram[0x2ffff], 3);
    ck_assert_uint_eq(ram[0x2fffe], 4);
}
END_TEST

START_TEST(verify_and_wrong_direction)
{
    uint8_t buf[4] = { 1, 2, 3, 4 };
    bool tc;

    cascade();
    program(2, 0x40, 1, 0, 3);
    ck_assert_uint_eq(dma8237_to_memory(d, 2, buf, 4, &tc), 4);
    ck_assert(tc);
    ck_assert_uint_eq(ram[0x10000], 0);
    program(2, 0x44, 1, 0, 3);
    ck_assert_uint_eq(dma8237_from_memory(d, 2, buf, 4, &tc), 4);
    ck_assert_uint_eq(buf[0], 0xff);
    ck_assert_uint_eq(ram[0x10000], 0);
    program(2, 0x48, 1, 0, 3);
    ck_assert_uint_eq(dma8237_to_memory(d, 2, buf, 4, &tc), 4);
    ck_assert_uint_eq(ram[0x10000], 0);
    program(2, 0x44, 0xff, 0, 3);               /* nothing there: it counts all the same */
    ck_assert_uint_eq(dma8237_to_memory(d, 2, buf, 4, &tc), 4);
    ck_assert(tc);
    program(2, 0xc4, 1, 0, 3);
    ck_assert(dma8237_granted(d, 2));           /* a bus master would have it, this device moves nothing */
    ck_assert_uint_eq(dma8237_to_memory(d, 2, buf, 4, &tc), 0);
}
END_TEST

START_TEST(devices_wait)
{
    bool tc;
    uint8_t b = 0;

    cascade();
    dma8237_request(d, 2, true);
    ck_assert_uint_eq(in(8), 0x40);
    program(2, 0x44, 0, 0, 9);
    ck_assert_uint_eq(readies[2], 1);
    out(0x08, 4);                               /* the whole controller off, and on */
    ck_assert(!dma8237_granted(d, 2));
    out(0x08, 0);
    ck_assert_uint_eq(readies[2], 2);
    out(0xd4, 4);                               /* the cascade */
    ck_assert_uint_eq(dma8237_to_memory(d, 2, &b, 1, &tc), 0);
    out(0xd4, 0);
    ck_assert_uint_eq(readies[2], 3);
    dma8237_request(d, 2, false);
    out(0x0a, 6);
    out(0x0a, 2);
    ck_assert_uint_eq(readies[2], 3);
    ck_assert_uint_eq(in(8), 0);
}
END_TEST

START_TEST(software_requests)
{
    cascade();
    program(3, 0x84, 1, 0x100, 7);              /* block, write: an idle bus is what there is to write */
    out(0x0a, 7);                               /* masks do not hold software back */
    out(0x09, 7);
    for (unsigned i = 0; i < 8; i++)
        ck_assert_uint_eq(ram[0x10100 + i], 0xff);
    ck_assert_uint_eq(ram[0x10108], 0);
    ck_assert_uint_eq(in(8), 8);
    program(3, 0x44, 1, 0x200, 7);              /* single mode: none */
    out(0x09, 7);
    ck_assert_uint_eq(ram[0x10200], 0);
    ck_assert_uint_eq(in(8), 0x80);
    out(0x09, 3);
    ck_assert_uint_eq(in(8), 0);
}
END_TEST

START_TEST(memory_to_memory)
{
    cascade();
    for (unsigned i = 0; i < 32; i++)
        ram[0x10000 + i] = i + 1;
    program(0, 0x88, 1, 0, 31);
    program(1, 0x84, 2, 0x40, 31);
    out(0x08, 1);
    out(0x09, 4);
    ck_assert_int_eq(memcmp(ram + 0x10000, ram + 0x20040, 32), 0);
    ck_assert_uint_eq(in(8), 2);
    ck_assert_uint_eq(in(0x0d), 32);
    out(0x08, 3);                               /* channel 0's address stays: a fill */
    program(0, 0x88, 1, 4, 31);
    program(1, 0x84, 2, 0x80, 15);
    out(0x09, 4);
    for (unsigned i = 0; i < 16; i++)
        ck_assert_uint_eq(ram[0x20080 + i], 5);
    ck_assert_uint_eq(ram[0x20090], 0);
}
END_TEST

static unsigned order[4], served;

static void note(void *dev)
{
    bool tc;
    uint8_t b = 0;
    unsigned ch = (unsigned *)dev - readies;

    order[served++ & 3] = ch;
    dma8237_to_memory(d, ch, &b, 1, &tc);
}

START_TEST(priority)
{
    static const struct dma_user noting = { note };
    struct env *mine = env_new();

    env_free(e);
    e = mine;
    ram = phys_ram_alloc(e->phys, RAM);
    phys_map_ram(e->phys, 0, RAM, ram, false, "ram");
    d = dma8237_new(e->chips, e->ports, e->phys);
    cascade();
    for (unsigned ch = 0; ch < 4; ch++) {
        dma8237_attach(d, ch, &noting, &readies[ch]);
        program(ch, 0x44, 0, 0x100 * ch, 99);
    }
    out(0x0f, 15);
    for (unsigned ch = 0; ch < 4; ch++)
        dma8237_request(d, ch, true);
    served = 0;
    out(0x0f, 0);
    for (unsigned i = 0; i < 4; i++)
        ck_assert_uint_eq(order[i], i);
    out(0x0f, 15);
    out(0x08, 0x10);                            /* rotating: who was served last is last */
    out(0x0f, 13);
    out(0x0f, 15);
    served = 0;
    out(0x0f, 0);
    for (unsigned i = 0; i < 4; i++)
        ck_assert_uint_eq(order[i], (i + 2) & 3);
}
END_TEST

START_TEST(random_accesses)
{
    static uint8_t before[RAM];
    uint8_t buf[700];
    bool tc;

    srand(8237);
    moves = true;
    memset(ram, 0x5a, RAM);
    memcpy(before, ram, RAM);
    for (unsigned i = 0; i < 60000; i++) {
        static const uint8_t base[4] = { 0, 0x80, 0xc0, 0xd0 };
        unsigned r = rand(), ch = r >> 20 & 7, port = base[r & 3] + (r >> 2 & 15);

        switch (r >> 8 & 15) {
        case 0:
            if (ch != 4)
                dma8237_request(d, ch, r >> 12 & 1);
            break;
        case 1: case 2:
            if (ch != 4)
                ck_assert_uint_le(dma8237_to_memory(d, ch, buf, r >> 12 & 511, &tc), r >> 12 & 511);
            break;
        case 3: case 4:
            if (ch != 4)
                ck_assert_uint_le(dma8237_from_memory(d, ch, buf, r >> 12 & 511, &tc), r >> 12 & 511);
            break;
        case 5: in(port); break;
        case 6: cascade(); break;
        case 7:
            if ((i & 63) == 0)
                env_check_state(e);
            break;
        default: out(port, rand() & 0xff); break;
        }
    }
    ck_assert_int_ne(memcmp(before, ram, RAM), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("dma8237");
    TCase *t = tcase_create("dma8237");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 60);
    tcase_add_test(t, registers);
    tcase_add_test(t, to_memory);
    tcase_add_test(t, from_memory_with_autoinit);
    tcase_add_test(t, words_and_down);
    tcase_add_test(t, verify_and_wrong_direction);
    tcase_add_test(t, devices_wait);
    tcase_add_test(t, software_requests);
    tcase_add_test(t, memory_to_memory);
    tcase_add_test(t, priority);
    tcase_add_test(t, random_accesses);
    suite_add_tcase(suite, t);
    return run_suite(suite);
}
