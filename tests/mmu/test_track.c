/*
 * test_track.c - pages that were written: every way of writing is noted, a write entry lives as long as its page is
 * open, and no longer.
 */
#include "tests/mmu/mmu_env.h"
#include "tests/run_suite.h"

#include <check.h>
#include <string.h>

#define AT   0x400000u          /* in RAM and, one to one, in linear space */
#define LEN  0x80000u           /* 128 pages */
#define KERNEL MMU_KERNEL_NOSMAP

static struct env *e;
static struct track *t;
static uint64_t bits[2];

static void setup(void)
{
    memset(&told, 0, sizeof(told));
    e = env_new(ENV_LONG);
    t = track_new(e->m.phys, e->ram + AT, LEN);
    for (unsigned i = 0; i < LEN; i += PAGE_SIZE)
        map_page(e, AT + i, AT + i, 12, P | W, P | W);
    map_page(e, AT - PAGE_SIZE, AT - PAGE_SIZE, 12, P | W, P | W);
}

static void teardown(void)
{
    env_free(e);
}

static void take(void)
{
    memset(bits, 0, sizeof(bits));
    track_take(t, bits);
}

static void store(uint64_t lin)
{
    uint32_t val = 0x12345678;

    ck_assert(!mmu_store(&e->c, lin, 4, KERNEL, &val));
}

START_TEST(stores)
{
    bool faulted;

    take();
    ck_assert_uint_eq(bits[0] | bits[1], 0);
    load8(e, AT + 0x3000, KERNEL, &faulted);            /* reading is no writing */
    ck_assert(!fast_hit(e, AT + 0x3000, 1, KERNEL, true));
    take();
    ck_assert_uint_eq(bits[0] | bits[1], 0);
    store(AT + 0x3010);
    ck_assert(fast_hit(e, AT + 0x3000, 1, KERNEL, true));
    take();                     /* exec_ask() lets it close at once: noted as dirty then */
    ck_assert_uint_eq(bits[0], 8);
    ck_assert(!fast_hit(e, AT + 0x3000, 1, KERNEL, true));
    ck_assert(fast_hit(e, AT + 0x3000, 1, KERNEL, false));
    take();
    ck_assert_uint_eq(bits[0], 8);
    take();
    ck_assert_uint_eq(bits[0], 0);
    store(AT - 4);              /* beside it, and across its edges */
    take();
    ck_assert_uint_eq(bits[0] | bits[1], 0);
    store(AT - 2);
    store(AT + 64 * PAGE_SIZE - 2);
    take();
    ck_assert_uint_eq(bits[0], 1 | (uint64_t)1 << 63);
    ck_assert_uint_eq(bits[1], 1);
}
END_TEST

/* Until the vCPU has done its part, its entries stay and the page is named each time. */
START_TEST(open_pages)
{
    told.busy = true;
    store(AT + 0x5000);
    for (unsigned i = 0; i < 3; i++) {
        take();
        ck_assert_uint_eq(bits[0], 0x20);
        ck_assert(fast_hit(e, AT + 0x5000, 1, KERNEL, true));
    }
    ck_assert_uint_eq(told.asked, 3);
    mmu_work(&e->c);
    ck_assert(!fast_hit(e, AT + 0x5000, 1, KERNEL, true));
    take();
    ck_assert_uint_eq(bits[0], 0x20);
    take();
    ck_assert_uint_eq(bits[0], 0);
    ck_assert_uint_eq(told.asked, 3);
    mmu_work(&e->c);            /* nothing to do */
    store(AT + 0x5000);
    ck_assert(fast_hit(e, AT + 0x5000, 1, KERNEL, true));
    take();
    ck_assert_uint_eq(bits[0], 0x20);
}
END_TEST

/* Entries in other banks and among the victims go, too. */
START_TEST(hidden_entries)
{
    told.busy = true;
    e->c.cr4 |= CR4_PCIDE;
    mmu_flush_all(&e->c);
    store(AT + 0x1000);
    mmu_set_cr3(&e->c, e->root | 1, true);
    store(AT + 0x2000);
    take();
    ck_assert_uint_eq(bits[0], 6);
    mmu_work(&e->c);
    take();
    ck_assert_uint_eq(bits[0], 6);
    ck_assert(!fast_hit(e, AT + 0x2000, 1, KERNEL, true));
    mmu_set_cr3(&e->c, e->root, true);
    ck_assert(!fast_hit(e, AT + 0x1000, 1, KERNEL, true));
    store(AT + 0x1000);
    take();
    ck_assert_uint_eq(bits[0], 2);
}
END_TEST

START_TEST(other_ways)
{
    uint8_t b[3 * PAGE_SIZE] = { 0 };

    phys_write(e->m.phys, AT + 0x7ffe, b, 4);
    take();
    ck_assert_uint_eq(bits[0], 0x180);
    phys_dma_write(e->m.phys, AT + 0x10000 - PAGE_SIZE / 2, b, 2 * PAGE_SIZE);
    take();
    ck_assert_uint_eq(bits[0], 0x38000);
    phys_dma_written(e->m.phys, AT - PAGE_SIZE, 3 * PAGE_SIZE);
    take();
    ck_assert_uint_eq(bits[0], 3);
    track_mark(t, PAGE_SIZE - 1, 2);
    take();
    ck_assert_uint_eq(bits[0], 3);
    track_mark(t, 0, LEN);
    take();
    ck_assert_uint_eq(bits[0] & bits[1], UINT64_MAX);
    /* A page that holds code has no entry. */
    smc_mark(e->m.phys, AT + 0x6000, 64);
    store(AT + 0x6800);
    ck_assert(!fast_hit(e, AT + 0x6000, 1, KERNEL, true));
    take();
    ck_assert_uint_eq(bits[0], 0x40);
    take();
    ck_assert_uint_eq(bits[0], 0);
}
END_TEST

/* Pieces that overlap are told each for itself; one that is new knows of no entry that was there before it. */
START_TEST(overlapping)
{
    struct track *all;
    uint64_t more[(AT + LEN) / PAGE_SIZE / 64] = { 0 };

    told.busy = true;
    store(AT + 0x3000);
    store(AT - 8);
    ck_assert(fast_hit(e, AT + 0x3000, 1, KERNEL, true));
    all = track_new(e->m.phys, e->ram, AT + LEN);
    ck_assert(!fast_hit(e, AT + 0x3000, 1, KERNEL, true));
    track_take(all, more);
    ck_assert_uint_eq(more[AT / PAGE_SIZE / 64], 0);
    store(AT + 0x4000);
    phys_write(e->m.phys, AT + 0x5000, &(uint32_t){ 1 }, 4);
    track_take(all, more);
    ck_assert_uint_eq(more[AT / PAGE_SIZE / 64], 0x30);
    take();
    ck_assert_uint_eq(bits[0], 0x38);           /* 3000h is still open to this one */
    mmu_work(&e->c);
    track_free(all);
    take();
    ck_assert_uint_eq(bits[0], 0x18);
    take();
    ck_assert_uint_eq(bits[0], 0);
}
END_TEST

/* The walker's accessed and dirty bits are stores as others are. */
START_TEST(page_tables)
{
    struct track *tables = track_new(e->m.phys, e->ram, AT);
    uint64_t pages[AT / PAGE_SIZE / 64] = { 0 }, any = 0;

    map_page(e, AT + LEN, AT + LEN, 12, P | W, P | W);
    memset(pages, 0, sizeof(pages));
    track_take(tables, pages);
    memset(pages, 0, sizeof(pages));
    store(AT + LEN + 8);
    track_take(tables, pages);
    for (unsigned i = 0; i < AT / PAGE_SIZE / 64; i++)
        any |= pages[i];
    ck_assert_uint_ne(any, 0);
    track_free(tables);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("track");
    TCase *c = tcase_create("track");

    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, stores);
    tcase_add_test(c, open_pages);
    tcase_add_test(c, hidden_entries);
    tcase_add_test(c, other_ways);
    tcase_add_test(c, overlapping);
    tcase_add_test(c, page_tables);
    suite_add_tcase(s, c);
    return run_suite(s);
}
