/*
 * test_phys.c - the physical map: priorities, moves, access sizes, DMA, RAM.
 */
#include "base/log.h"
#include "base/shm.h"
#include "tests/mmu/mmu_env.h"
#include "tests/run_suite.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* A device that is memory and notes each call as "r4@8 ". */
struct dev {
    uint8_t mem[64];
    char calls[256];
};

static void note(struct dev *d, char what, unsigned size, uint64_t off)
{
    size_t n = strlen(d->calls);

    snprintf(d->calls + n, sizeof(d->calls) - n, "%c%u@%u ", what, size, (unsigned)off);
}

static uint64_t dev_read(void *dev, uint64_t off, unsigned size)
{
    struct dev *d = dev;
    uint64_t v = 0;

    note(d, 'r', size, off);
    memcpy(&v, d->mem + off, size);
    return v;
}

static void dev_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
    struct dev *d = dev;

    note(d, 'w', size, off);
    memcpy(d->mem + off, &val, size);
}

static const struct io_ops byte_ops = { dev_read, dev_write, 1, LOG_DEV_NONE };
static const struct io_ops word_ops = { dev_read, dev_write, 4, LOG_DEV_NONE };
static const struct io_ops all_ops = { dev_read, dev_write, 15, LOG_DEV_NONE };
static const struct io_ops mute_ops = { NULL, NULL, 7, LOG_DEV_NONE };

static struct phys *make(uint8_t **ram)
{
    struct phys *p = phys_new(NULL);

    memset(&told, 0, sizeof(told));
    *ram = phys_ram_alloc(p, 4 << 20);
    ck_assert_ptr_nonnull(phys_map_ram(p, 0, 2 << 20, *ram, false, "low"));
    ck_assert_ptr_nonnull(phys_map_ram(p, 1ull << 32, 2 << 20, *ram + (2 << 20), false, "high"));
    return p;
}

START_TEST(ranges)
{
    uint8_t *ram;
    struct phys *p = make(&ram);
    static uint8_t rom[PAGE_SIZE];
    struct dev d = { 0 };
    struct map *io, *r;
    uint64_t run;

    ck_assert_ptr_null(phys_map_ram(p, 0x1000, 0x1000, ram, false, "overlap"));
    ck_assert_ptr_null(phys_map_io(p, ~0ull - 10, 100, &all_ops, &d, "wraps"));
    ck_assert_ptr_null(phys_map_io(p, 0, 0, &all_ops, &d, "empty"));
    ck_assert_ptr_eq(phys_host(p, 0x1ffff0, true, &run), ram + 0x1ffff0);
    ck_assert_uint_eq(run, 16);
    ck_assert_ptr_null(phys_host(p, 0x200000, false, NULL));
    ck_assert_ptr_eq(phys_host(p, (1ull << 32) + 5, true, NULL), ram + (2 << 20) + 5);

    r = phys_map_ram(p, 0xf0000, PAGE_SIZE, rom, true, "rom");
    io = phys_map_io(p, 0xf0800, 64, &all_ops, &d, "io");
    ck_assert(r && io);
    ck_assert_ptr_eq(phys_host(p, 0xf0000, false, &run), rom);
    ck_assert_uint_eq(run, 0x800);
    ck_assert_ptr_null(phys_host(p, 0xf0000, true, NULL));
    ck_assert_ptr_null(phys_host(p, 0xf0800, false, NULL));
    ck_assert_ptr_eq(phys_host(p, 0xf0840, false, &run), rom + 0x840);
    ck_assert_ptr_eq(phys_host(p, 0xf1000, true, NULL), ram + 0xf1000);
    ck_assert_ptr_eq(phys_host(p, 0xeffff, true, &run), ram + 0xeffff);
    ck_assert_uint_eq(run, 1);

    smc_mark(p, 0xf0010, 4);                    /* the code under a region that goes is forgotten */
    ck_assert(map_move(r, 0xf0000, false));
    ck_assert_uint_ge(told.invalidated, 1);
    ck_assert_ptr_eq(phys_host(p, 0xf0000, true, NULL), ram + 0xf0000);
    ck_assert(map_move(io, 0x80000000u, true));
    ck_assert_ptr_eq(phys_host(p, 0xf0800, true, NULL), ram + 0xf0800);
    ck_assert_uint_eq(phys_io_read(p, 0x80000000u, 1), 0);
    ck_assert_uint_eq(phys_io_read(p, 0x80000040u, 1), 0xff);
    map_free(io);
    ck_assert_uint_eq(phys_io_read(p, 0x80000000u, 4), 0xffffffffu);
    for (unsigned i = 0; i < 200; i++)          /* more changes than views are kept */
        ck_assert(map_move(r, 0xf0000 + i * PAGE_SIZE, i & 1));
    phys_free(p);
}
END_TEST

/* RAM over a ROM, a hole and RAM beneath: each of the four ways, whole and at the edges. */
START_TEST(shadow)
{
    static uint8_t rom[0x2000], over[0x4000];
    uint8_t *ram, b[2];
    struct phys *p = make(&ram);
    struct map *s;

    memset(rom, 0x11, sizeof(rom));
    memset(over, 0x22, sizeof(over));
    memset(ram + 0x1ff000, 0x33, 0x1000);       /* RAM ends at 200000 */
    phys_map_ram(p, 0x201000, sizeof(rom), rom, true, "rom");
    s = phys_map_shadow(p, 0x1ff000, sizeof(over), over, "shadow");     /* RAM, hole, ROM, ROM */
    for (unsigned way = 0; way < 5; way++) {
        bool read = way & 1, write = way & 2;
        static const uint32_t at[] = { 0x1fffff, 0x200fff, 0x201fff };
        static const uint8_t beneath[] = { 0x33, 0xff, 0x11, 0x11 };

        memset(over, 0x22, sizeof(over));
        memset(ram + 0x1ff000, 0x33, 0x1000);
        told.invalidated = 0;
        smc_mark(p, 0x201010, 4);
        map_shadow(s, read, write);
        if (way)
            ck_assert_uint_ge(told.invalidated, 1);
        for (unsigned i = 0; i < 3; i++) {
            phys_read(p, at[i], b, 2);
            ck_assert_uint_eq(b[0], read ? 0x22 : beneath[i]);
            ck_assert_uint_eq(b[1], read ? 0x22 : beneath[i + 1]);
            phys_write(p, at[i], "DD", 2);
            ck_assert_uint_eq(over[at[i] - 0x1ff000], write ? 'D' : 0x22);
            ck_assert_uint_eq(over[at[i] - 0x1ff000 + 1], write ? 'D' : 0x22);
            phys_read(p, at[i], b, 2);
            ck_assert_uint_eq(b[0], read ? (write ? 'D' : 0x22) : i || write ? beneath[i] : 'D');
        }
        ck_assert_uint_eq(rom[0xfff], 0x11);
        ck_assert_uint_eq(ram[0x1fffff], way & 3 ? 0x33 : 'D');
        ck_assert(!!phys_host(p, 0x201000, true, NULL) == (read && write));
        ck_assert_ptr_eq(phys_host(p, 0x201004, false, NULL), read ? over + 0x2004 : rom + 4);
    }
    phys_free(p);
}
END_TEST

START_TEST(sizes)
{
    uint8_t *ram;
    struct phys *p = make(&ram);
    struct dev b = { 0 }, w = { 0 }, q = { 0 }, m = { 0 };

    phys_map_io(p, 0x80000000u, 64, &byte_ops, &b, "byte");
    phys_map_io(p, 0x80001000u, 64, &word_ops, &w, "word");
    phys_map_io(p, 0x80002000u, 64, &all_ops, &q, "all");
    phys_map_io(p, 0x80003000u, 64, &mute_ops, &m, "mute");
    phys_io_write(p, 0x80000002u, 0x44332211, 4);
    ck_assert_str_eq(b.calls, "w1@2 w1@3 w1@4 w1@5 ");
    ck_assert_uint_eq(phys_io_read(p, 0x80000002u, 4), 0x44332211);
    w.mem[4] = 1, w.mem[5] = 2, w.mem[6] = 3, w.mem[7] = 4;
    ck_assert_uint_eq(phys_io_read(p, 0x80001005u, 2), 0x0302);
    ck_assert_str_eq(w.calls, "r4@4 ");
    w.calls[0] = 0;
    phys_io_write(p, 0x80001006u, 0xaa, 1);
    ck_assert_str_eq(w.calls, "r4@4 w4@4 ");
    ck_assert_int_eq(w.mem[5], 2);
    ck_assert_int_eq(w.mem[6], 0xaa);
    w.calls[0] = 0;
    phys_io_write(p, 0x80001008u, 0x1122334455667788ull, 8);
    ck_assert_str_eq(w.calls, "w4@8 w4@12 ");
    phys_io_write(p, 0x80002008u, 1, 8);
    phys_io_read(p, 0x80002002u, 4);            /* misaligned: natural pieces */
    ck_assert_str_eq(q.calls, "w8@8 r2@2 r2@4 ");
    ck_assert_uint_eq(phys_io_read(p, 0x80003000u, 2), 0xffff);
    phys_io_write(p, 0x80003000u, 1, 2);
    /* over the region's end: the rest is an open bus */
    ck_assert_uint_eq(phys_io_read(p, 0x8000203eu, 4), 0xffff0000u);
    phys_free(p);
}
END_TEST

/* What was written between a look at memory and its mark is found, whoever wrote it. */
START_TEST(overtaken)
{
    uint8_t *ram, byte = 1;
    struct phys *p = make(&ram);
    uint64_t since = smc_now(p);

    ck_assert(!smc_overtaken(p, since, 0x1000, 16));
    phys_dma_write(p, 0x1010, &byte, 1);
    ck_assert(!smc_overtaken(p, since, 0x1000, 16));
    ck_assert(smc_overtaken(p, since, 0x1000, 17));
    ck_assert(smc_overtaken(p, since, 0x1010, 1));
    ck_assert(!smc_overtaken(p, smc_now(p), 0x1010, 1));
    phys_write(p, 0x2000, &byte, 1);
    ck_assert(smc_overtaken(p, since, 0x1fff, 2));
    ck_assert(!smc_overtaken(p, since, 0x2001, 100));
    for (unsigned n = 0; n < 100; n++)          /* more than are remembered: it may have been */
        phys_dma_write(p, 0x3000, &byte, 1);
    ck_assert(smc_overtaken(p, since, 0x5000, 1));
    ck_assert(!smc_overtaken(p, smc_now(p) - 10, 0x5000, 1));
    phys_free(p);
}
END_TEST

START_TEST(dma)
{
    uint8_t *ram, buf[PAGE_SIZE * 2];
    struct phys *p = make(&ram);
    struct dev d = { 0 };

    memset(buf, 0x5a, sizeof(buf));
    ck_assert(phys_write(p, 0x1000, buf, sizeof(buf)));
    ck_assert(ram[0x1000] == 0x5a && ram[0x2fff] == 0x5a && ram[0x3000] == 0);
    ck_assert(!phys_write(p, 0x1fff00, buf, 0x200));
    ck_assert_int_eq(ram[0x1fffff], 0x5a);
    memset(buf, 0, sizeof(buf));
    ck_assert(!phys_read(p, 0x1fff00, buf, 0x200));
    ck_assert(buf[0xff] == 0x5a && buf[0x100] == 0xff && buf[0x1ff] == 0xff);
    phys_map_io(p, 0x200000, 64, &all_ops, &d, "dev");
    ck_assert(phys_read(p, 0x1ffff8, buf, 24));
    ck_assert_str_eq(d.calls, "r8@0 r8@8 ");
    smc_mark(p, 0x10000, 64);
    phys_write(p, 0xf000, buf, 0x1000);
    ck_assert_uint_eq(told.invalidated, 0);
    phys_write(p, 0xf000, buf, 0x1001);
    ck_assert_uint_eq(told.invalidated, 1);
    ck_assert(phys_touched(p) >= 0x2000);
    phys_free(p);
}
END_TEST

/* Memory of somebody else's: given back and loaded where it is, so that who else maps it sees that. */
START_TEST(lent)
{
    static uint8_t page[PAGE_SIZE];
    const uint64_t len = 1 << 20;
    int fd = shm_memfd("test", len);
    uint8_t *mine = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    uint8_t *theirs = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    ck_assert(fd >= 0 && mine != MAP_FAILED && theirs != MAP_FAILED);
    for (unsigned taken = 0; taken < 2; taken++) {
        struct phys *p = phys_new(NULL);
        struct phys_lent l = { .p = mine, .len = len, .fd = fd, .holes = true, .fixed = true, .taken = taken };
        struct phys_fresh *f;
        uint64_t n = len;

        ck_assert_ptr_eq(phys_ram_lend(p, &l), mine);
        phys_map_ram(p, 0, len, mine, false, "ram");
        ck_assert_ptr_eq(phys_ram(p, 0, &n), mine);
        memset(page, 0x5a, sizeof(page));
        phys_write(p, 0x3f000, page, sizeof(page));
        phys_write(p, 0x8000, page, sizeof(page));
        phys_write(p, 0x40000, page, sizeof(page));
        ck_assert_int_eq(theirs[0x3ffff], 0x5a);
        phys_dma_discard(p, 0x30000, 0x10000);  /* a page of any host */
        ck_assert_int_eq(theirs[0x3ffff], 0);
        f = phys_fresh_new(p, 0);
        ck_assert_ptr_nonnull(f);
        memset(page, 0xc3, sizeof(page));
        ck_assert_int_eq(phys_fresh_put(f, 0x8000, page, sizeof(page)), 0);
        ck_assert_int_eq(theirs[0x8000], 0x5a);
        phys_fresh_use(f);
        ck_assert_int_eq(theirs[0x8000], 0xc3);
        ck_assert_int_eq(theirs[0x40000], 0);
        theirs[0x40000] = 1;
        phys_read(p, 0x40000, page, 1);
        ck_assert_int_eq(page[0], 1);
        phys_free(p);
        ck_assert_int_eq(mine[0x8000], 0xc3);
        memset(mine, 0, len);
    }
    munmap(mine, len);
    munmap(theirs, len);
    close(fd);
}
END_TEST

/* A copy of a file's contents: what was never written is not zero, and other memory takes its place. */
START_TEST(lent_copy)
{
    const uint64_t len = 1 << 20;
    int fd = shm_memfd("test", len);
    uint8_t *file = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    uint8_t *mine = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0), b = 0;
    struct phys *p = phys_new(NULL);
    struct phys_fresh *f;
    uint64_t n = len;

    ck_assert(fd >= 0 && file != MAP_FAILED && mine != MAP_FAILED);
    file[0x5000] = 7;
    phys_ram_lend(p, &(struct phys_lent){ .p = mine, .len = len, .fd = -1 });
    phys_map_ram(p, 0, len, mine, false, "ram");
    ck_assert(phys_ram_used(p, 0, 0, &n) && n == len);
    phys_dma_discard(p, 0, len);
    phys_read(p, 0x5000, &b, 1);
    ck_assert_int_eq(b, 7);
    f = phys_fresh_new(p, 0);
    ck_assert_ptr_nonnull(f);
    b = 9;
    ck_assert_int_eq(phys_fresh_put(f, 0x6000, &b, 1), 0);
    phys_fresh_use(f);
    ck_assert(mine[0x6000] == 9 && mine[0x5000] == 0 && file[0x5000] == 7 && file[0x6000] == 0);
    n = len;
    ck_assert(!phys_ram_used(p, 0, 0, &n) && n <= 0x6000);
    phys_free(p);
    munmap(mine, len);
    munmap(file, len);
    close(fd);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("phys");
    TCase *t = tcase_create("all");

    tcase_add_test(t, ranges);
    tcase_add_test(t, shadow);
    tcase_add_test(t, sizes);
    tcase_add_test(t, dma);
    tcase_add_test(t, overtaken);
    tcase_add_test(t, lent);
    tcase_add_test(t, lent_copy);
    suite_add_tcase(s, t);
    return run_suite(s);
}
