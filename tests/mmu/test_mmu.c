/*
 * test_mmu.c - the soft MMU: formats, rights and error codes, A/D, TLB upkeep, odd accesses.
 */
#include "base/log.h"
#include "tests/mmu/mmu_env.h"
#include "tests/run_suite.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ALL (P | W | U)

/* Assert an access outcome: code < 0 is success. */
static void expect(struct env *e, uint64_t lin, enum mmu_access acc, enum mmu_idx idx, int code)
{
    struct cpu *c = &e->c;
    bool faulted;
    uint64_t pa;

    memset(&c->fault, 0, sizeof(c->fault));
    if (acc == ACC_EXEC) {
        c->cpl = idx == MMU_USER ? 3 : 0;
        faulted = !mmu_code(c, lin, &pa, NULL);
    } else {
        faulted = mmu_check(c, lin, 1, acc, idx);
    }
    ck_assert_msg(faulted == (code >= 0), "lin %llx acc %d idx %d: faulted %d, code %x",
                  (unsigned long long)lin, acc, idx, faulted, c->fault.code);
    if (!faulted)
        return;
    ck_assert_int_eq(c->fault.vector, EXC_PF);
    ck_assert_int_eq(c->fault.code, code);
    ck_assert_uint_eq(c->fault.cr2, lin);
}

static void put64(struct env *e, uint64_t pa, uint64_t v)
{
    memcpy(e->ram + pa, &v, 8);
}

/* lin maps to pa, for loads and fetches. */
static void maps(struct env *e, uint64_t lin, uint64_t pa)
{
    uint64_t got;

    put64(e, pa & ~7ull, pa * 3 + 1);
    ck_assert_uint_eq(load8(e, lin & ~7ull, MMU_KERNEL_NOSMAP, NULL), pa * 3 + 1);
    e->c.cpl = 0;
    ck_assert(mmu_code(&e->c, lin, &got, NULL));
    ck_assert_uint_eq(got, pa);
    ck_assert(mmu_debug_translate(&e->c, lin, &got));
    ck_assert_uint_eq(got, pa);
}

START_TEST(no_paging)
{
    struct env *e = env_new(ENV_REAL);
    bool global;
    uint64_t pa;

    maps(e, 0x12340, 0x12340);
    maps(e, 0x100012340ull, 0x12340);           /* 32-bit linear addresses */
    ck_assert(mmu_code(&e->c, 0x1000, &pa, &global) && global);
    ck_assert(fast_hit(e, 0x12340, 8, MMU_KERNEL_NOSMAP, false));
    env_free(e);
}
END_TEST

START_TEST(format_32)
{
    struct env *e = env_new(ENV_32);
    uint64_t at;

    map_page(e, 0x80001000u, 0x205000, 12, ALL, ALL);
    map_page(e, 0xc0000000u, 0x800000, 22, ALL, ALL);
    maps(e, 0x80001238u, 0x205238);
    maps(e, 0xc0123458u, 0x923458);
    expect(e, 0x80002000u, ACC_READ, MMU_KERNEL, 0);
    expect(e, 0x90000000u, ACC_WRITE, MMU_USER, 6);
    /* PSE-36: bits 20:13 are address bits 39:32; bit 21 is reserved. */
    at = map_page(e, 0xd0000000u, 0x00002000, 22, ALL, ALL);
    expect(e, 0xd0000000u, ACC_READ, MMU_KERNEL, -1);
    ck_assert_uint_eq(load8(e, 0xd0000000u, MMU_KERNEL, NULL), ~0ull);
    set_entry(e, at, get_entry(e, at) | 1u << 21);
    mmu_invlpg(&e->c, 0xd0000000u);
    expect(e, 0xd0000000u, ACC_READ, MMU_KERNEL, 9);
    /* Without PSE the PS bit means nothing. */
    e->c.cr4 &= ~(uint64_t)CR4_PSE;
    mmu_flush_all(&e->c);
    at = map_page(e, 0xa0000000u, 0x206000, 12, ALL, ALL | PS);
    maps(e, 0xa0000010u, 0x206010);
    env_free(e);
}
END_TEST

START_TEST(format_pae)
{
    struct env *e = env_new(ENV_PAE);
    uint64_t at;

    at = map_page(e, 0x80001000u, 0x205000, 12, ALL, ALL);
    map_page(e, 0xc0200000u, 0x600000, 21, ALL, ALL);
    maps(e, 0x80001238u, 0x205238);
    maps(e, 0xc0323458u, 0x723458);
    expect(e, 0x00001000u, ACC_READ, MMU_USER, 4);      /* PDPTE not present */
    set_entry(e, at, get_entry(e, at) | 1ull << 52);    /* reserved in PAE, ignored in long mode */
    mmu_invlpg(&e->c, 0x80001000u);
    expect(e, 0x80001000u, ACC_READ, MMU_USER, 13);
    /* PDPTEs are cached: clearing one in memory changes nothing until CR3 is loaded. */
    set_entry(e, ROOT + 24, 0);
    mmu_invlpg(&e->c, 0xc0323458u);
    maps(e, 0xc0323458u, 0x723458);
    set_entry(e, ROOT + 24, 3);                         /* bit 1 is reserved */
    ck_assert(mmu_load_pdptes(&e->c, ROOT));
    set_entry(e, ROOT + 24, 0);
    ck_assert(!mmu_load_pdptes(&e->c, ROOT));
    mmu_set_cr3(&e->c, ROOT, false);
    expect(e, 0xc0323458u, ACC_READ, MMU_KERNEL, 0);
    env_free(e);
}
END_TEST

START_TEST(format_long)
{
    struct env *e = env_new(ENV_LONG);
    uint64_t at, at2, at3;

    at = map_page(e, 0xffff800012345000ull, 0x205000, 12, ALL, ALL);
    at2 = map_page(e, 0x00007fffffe00000ull, 0x600000, 21, ALL, ALL);
    at3 = map_page(e, 0x40000000ull, 0, 30, ALL, ALL);
    maps(e, 0xffff800012345678ull & ~7ull, 0x205678);
    maps(e, 0x00007fffffe12340ull, 0x612340);
    maps(e, 0x40abcde8ull, 0xabcde8);
    set_entry(e, at, get_entry(e, at) | 1ull << 52);    /* ignored */
    set_entry(e, at2, get_entry(e, at2) | 1ull << 13);
    set_entry(e, at3, get_entry(e, at3) | 1ull << 29);
    mmu_flush_all(&e->c);
    maps(e, 0xffff800012345678ull, 0x205678);
    expect(e, 0x00007fffffe12340ull, ACC_READ, MMU_USER, 13);
    expect(e, 0x40abcde8ull, ACC_WRITE, MMU_KERNEL, 11);
    set_entry(e, at, 0x205000 | ALL | 1ull << 40);      /* beyond MAXPHYADDR */
    mmu_flush_all(&e->c);
    expect(e, 0xffff800012345000ull, ACC_READ, MMU_KERNEL, 9);
    set_entry(e, at, 0x205000 | ALL);
    set_entry(e, ROOT + 256 * 8, get_entry(e, ROOT + 256 * 8) | PS);    /* PML4E bit 7 */
    mmu_flush_all(&e->c);
    expect(e, 0xffff800012345000ull, ACC_READ, MMU_KERNEL, 9);
    env_free(e);
}
END_TEST

START_TEST(canonical)
{
    struct env *e = env_new(ENV_LONG);
    struct cpu *c = &e->c;
    uint64_t v = 0, pa;

    map_page(e, 0x00007ffffffff000ull, 0x205000, 12, ALL, ALL);
    ck_assert(mmu_load(c, 0x0000800000000000ull, 1, MMU_KERNEL, false, &v));
    ck_assert_int_eq(c->fault.vector, EXC_GP);
    ck_assert(c->fault.has_code && c->fault.code == 0);
    ck_assert(mmu_store(c, 0xffff7fffffffffffull, 1, MMU_KERNEL | MMU_SS, &v));
    ck_assert_int_eq(c->fault.vector, EXC_SS);
    ck_assert(!mmu_load(c, 0x00007ffffffffff8ull, 8, MMU_KERNEL, false, &v));
    ck_assert(mmu_load(c, 0x00007ffffffffff9ull, 8, MMU_KERNEL, false, &v));
    ck_assert_int_eq(c->fault.vector, EXC_GP);
    ck_assert(!mmu_code(c, 0x0000800000000000ull, &pa, NULL));
    ck_assert_int_eq(c->fault.vector, EXC_GP);
    ck_assert(mmu_store_aux(c, 0x0000800000000000ull, 8, 0x400 | MMU_USER << 8, &v));
    ck_assert_int_eq(c->fault.vector, EXC_SS);
    ck_assert(mmu_load_aux(c, 0x00007ffffffff001ull, 16, 0x40, &v));    /* MEM_ALIGN */
    ck_assert_int_eq(c->fault.vector, EXC_GP);
    ck_assert(mmu_load_aux(c, 0x00007ffffffff001ull, 4, 0x80, &v));     /* MEM_AC */
    ck_assert_int_eq(c->fault.vector, EXC_AC);
    ck_assert(mmu_load_aux(c, 0x00007fffffffe001ull, 4, 0x80, &v));     /* #PF goes before */
    ck_assert_int_eq(c->fault.vector, EXC_PF);
    env_free(e);
}
END_TEST

/* Every combination of leaf rights, control bits and accessor against a plain statement of 4.6. */
START_TEST(rights)
{
    struct env *e = env_new(ENV_LONG);
    struct cpu *c = &e->c;

    for (unsigned n = 0; n < 1u << 9; n++) {
        bool w = n & 1, u = n & 2, nx = n & 4, uw = n & 8, uu = n & 16;
        bool wp = n & 32, smep = n & 64, smap = n & 128, nxe = n & 256;
        bool page_w = w && uw, page_u = u && uu;
        uint64_t lin = 0x10000000ull + (uint64_t)n * 0x200000;

        c->cr0 = CR0_PE | CR0_PG | (wp ? CR0_WP : 0);
        c->cr4 = CR4_PAE | (smep ? CR4_SMEP : 0) | (smap ? CR4_SMAP : 0);
        c->efer = EFER_LME | EFER_LMA | (nxe ? EFER_NXE : 0);
        mmu_flush_all(c);
        map_page(e, lin, 0x205000, 12, P | (w ? W : 0) | (u ? U : 0) | (nx ? NX : 0), ALL);
        /* the PDE above it holds the upper rights */
        uint64_t pdpt = get_entry(e, ROOT) & 0xfffffff000ull;
        uint64_t pd = get_entry(e, pdpt + (lin >> 30) * 8) & 0xfffffff000ull;
        uint64_t at = pd + (lin >> 21 & 511) * 8;
        set_entry(e, at, (get_entry(e, at) & ~(uint64_t)(W | U)) | (uw ? W : 0) | (uu ? U : 0));
        for (unsigned idx = 0; idx < MMU_IDX_COUNT; idx++)
            for (unsigned acc = 0; acc < 3; acc++) {
                bool user = idx == MMU_USER, ok;
                int code = (acc == ACC_WRITE ? 2 : 0) | (user ? 4 : 0) |
                           (acc == ACC_EXEC && (smep || nxe) ? 16 : 0);

                if (acc == ACC_EXEC)
                    ok = (user ? page_u : !(page_u && smep)) && !nx;
                else if (user)
                    ok = page_u && (acc == ACC_READ || page_w);
                else
                    ok = (acc == ACC_READ || page_w || !wp) && !(idx == MMU_KERNEL && smap && page_u);
                if (nx && !nxe)
                    expect(e, lin, acc, idx, code | 9);
                else
                    expect(e, lin, acc, idx, ok ? -1 : code | 1);
            }
    }
    env_free(e);
}
END_TEST

START_TEST(accessed_dirty)
{
    static const enum env_mode modes[] = { ENV_32, ENV_PAE, ENV_LONG };

    for (unsigned k = 0; k < 3; k++) {
        struct env *e = env_new(modes[k]);
        uint64_t at = map_page(e, 0x400000, 0x205000, 12, ALL, ALL), v = 5;

        expect(e, 0x401000, ACC_READ, MMU_USER, 4);
        ck_assert_uint_eq(get_entry(e, at) & (A | D), 0);
        ck_assert(!mmu_load(&e->c, 0x400000, 8, MMU_USER, false, &v));
        ck_assert_uint_eq(get_entry(e, at) & (A | D), A);
        ck_assert(fast_hit(e, 0x400000, 8, MMU_USER, false));
        ck_assert(!fast_hit(e, 0x400000, 8, MMU_USER, true));
        ck_assert(!mmu_store(&e->c, 0x400000, 8, MMU_USER, &v));
        ck_assert_uint_eq(get_entry(e, at) & (A | D), A | D);
        ck_assert(fast_hit(e, 0x400000, 8, MMU_USER, true));
        /* A read of a dirty page makes the write entry too. */
        mmu_invlpg(&e->c, 0x400000);
        ck_assert(!fast_hit(e, 0x400000, 8, MMU_USER, true));
        load8(e, 0x400000, MMU_USER, NULL);
        ck_assert(fast_hit(e, 0x400000, 8, MMU_USER, true));
        /* for_write asks for write permission. */
        set_entry(e, at, 0x205000 | P | U);
        mmu_invlpg(&e->c, 0x400000);
        ck_assert(mmu_load(&e->c, 0x400000, 4, MMU_USER, true, &v));
        ck_assert_int_eq(e->c.fault.code, 7);
        env_free(e);
    }
}
END_TEST

START_TEST(globals)
{
    struct env *e = env_new(ENV_LONG);
    struct cpu *c = &e->c;
    bool global;
    uint64_t pa;

    map_page(e, 0x400000, 0x205000, 12, ALL | G, ALL);
    map_page(e, 0x401000, 0x206000, 12, ALL, ALL);
    load8(e, 0x400000, MMU_USER, NULL);
    load8(e, 0x401000, MMU_USER, NULL);
    ck_assert(mmu_code(c, 0x400000, &pa, &global) && global);
    ck_assert(mmu_code(c, 0x401000, &pa, &global) && !global);
    told.map_changed = 0;
    mmu_set_cr3(c, ROOT, false);
    ck_assert_uint_eq(told.map_changed, 1);
    ck_assert(!told.all && !told.one);
    ck_assert(fast_hit(e, 0x400000, 8, MMU_USER, false));
    ck_assert(!fast_hit(e, 0x401000, 8, MMU_USER, false));
    mmu_flush_all(c);
    ck_assert(told.all);
    ck_assert(!fast_hit(e, 0x400000, 8, MMU_USER, false));
    /* CR4.PGE off: the bit means nothing. */
    c->cr4 &= ~(uint64_t)CR4_PGE;
    mmu_flush_all(c);
    load8(e, 0x400000, MMU_USER, NULL);
    mmu_flush_nonglobal(c);
    ck_assert(!fast_hit(e, 0x400000, 8, MMU_USER, false));
    env_free(e);
}
END_TEST

START_TEST(pcid)
{
    struct env *e = env_new(ENV_LONG);
    struct cpu *c = &e->c;
    uint64_t at[12], root[12];

    c->cr4 |= CR4_PCIDE;
    mmu_flush_all(c);
    for (unsigned i = 0; i < 12; i++) {         /* more spaces than banks */
        root[i] = ROOT + i * PAGE_SIZE;
        new_space(e, root[i]);
        at[i] = map_page(e, 0x400000, 0x800000 + i * 0x1000, 12, ALL, ALL);
        map_page(e, 0x401000, 0x205000, 12, ALL | G, ALL);
        put64(e, 0x800000 + i * 0x1000, 100 + i);
    }
    for (unsigned round = 0; round < 2; round++)
        for (unsigned i = 0; i < 12; i++) {
            mmu_set_cr3(c, root[i] | i, true);
            ck_assert_uint_eq(c->cr3, root[i] | i);
            ck_assert_uint_eq(load8(e, 0x400000, MMU_USER, NULL), 100 + i);
            load8(e, 0x401000, MMU_USER, NULL);
        }
    /* Kept: 10's translation outlives the switch, and its PTE's change, until invalidated. */
    set_entry(e, at[10], 0);
    mmu_set_cr3(c, root[10] | 10, true);
    ck_assert(fast_hit(e, 0x400000, 8, MMU_USER, false));
    mmu_set_cr3(c, root[11] | 11, true);
    mmu_set_cr3(c, root[10] | 10, false);
    ck_assert(!fast_hit(e, 0x400000, 8, MMU_USER, false));
    ck_assert(fast_hit(e, 0x401000, 8, MMU_USER, false));
    expect(e, 0x400000, ACC_READ, MMU_USER, 4);
    /* INVLPG drops a global page in all PCIDs, a private one only here. */
    mmu_set_cr3(c, root[11] | 11, true);
    mmu_invlpg(c, 0x401000);
    ck_assert(!fast_hit(e, 0x401000, 8, MMU_USER, false));
    mmu_set_cr3(c, root[10] | 10, true);
    ck_assert(!fast_hit(e, 0x401000, 8, MMU_USER, false));
    /* INVPCID */
    mmu_set_cr3(c, root[11] | 11, true);
    load8(e, 0x400000, MMU_USER, NULL);
    load8(e, 0x401000, MMU_USER, NULL);
    mmu_set_cr3(c, root[9] | 9, true);
    load8(e, 0x400000, MMU_USER, NULL);
    load8(e, 0x401000, MMU_USER, NULL);
    ck_assert(!mmu_invpcid(c, 0, 11, 0x400000));
    ck_assert(fast_hit(e, 0x400000, 8, MMU_USER, false));
    mmu_set_cr3(c, root[11] | 11, true);
    ck_assert(!fast_hit(e, 0x400000, 8, MMU_USER, false));
    mmu_set_cr3(c, root[9] | 9, true);
    ck_assert(!mmu_invpcid(c, 1, 9, 0));
    ck_assert(!fast_hit(e, 0x400000, 8, MMU_USER, false));
    ck_assert(fast_hit(e, 0x401000, 8, MMU_USER, false));
    load8(e, 0x400000, MMU_USER, NULL);
    ck_assert(!mmu_invpcid(c, 3, 0, 0));
    ck_assert(!fast_hit(e, 0x400000, 8, MMU_USER, false));
    ck_assert(fast_hit(e, 0x401000, 8, MMU_USER, false));
    ck_assert(!mmu_invpcid(c, 2, 0, 0));
    ck_assert(!fast_hit(e, 0x401000, 8, MMU_USER, false));
    ck_assert(mmu_invpcid(c, 4, 0, 0));
    ck_assert_int_eq(c->fault.vector, EXC_GP);
    ck_assert(mmu_invpcid(c, 1, 0x1000, 0));
    ck_assert(mmu_invpcid(c, 0, 9, 0x800000000000ull));
    c->cr4 &= ~(uint64_t)CR4_PCIDE;
    ck_assert(mmu_invpcid(c, 1, 1, 0));
    env_free(e);
}
END_TEST

START_TEST(invlpg_large)
{
    struct env *e = env_new(ENV_LONG);
    struct cpu *c = &e->c;

    map_page(e, 0x400000, 0x800000, 21, ALL, ALL);
    map_page(e, 0x600000, 0x205000, 12, ALL, ALL);
    map_page(e, 0x80000000ull, 0, 30, ALL, ALL);
    for (unsigned i = 0; i < 512; i++)
        load8(e, 0x400000 + i * 0x1000, i & 1 ? MMU_USER : MMU_KERNEL, NULL);
    load8(e, 0x600000, MMU_USER, NULL);
    mmu_invlpg(c, 0x4abcde);
    for (unsigned i = 0; i < 512; i++)
        ck_assert(!fast_hit(e, 0x400000 + i * 0x1000, 1, i & 1 ? MMU_USER : MMU_KERNEL, false));
    ck_assert(fast_hit(e, 0x600000, 1, MMU_USER, false));
    load8(e, 0x80000000ull, MMU_USER, NULL);
    load8(e, 0x80000000ull + RAM_SIZE - 8, MMU_USER, NULL);
    mmu_invlpg(c, 0xbffff000ull);
    ck_assert(!fast_hit(e, 0x80000000ull, 1, MMU_USER, false));
    ck_assert(!fast_hit(e, 0x80000000ull + RAM_SIZE - 8, 1, MMU_USER, false));
    /* a small page alone */
    map_page(e, 0x601000, 0x206000, 12, ALL, ALL);
    load8(e, 0x600000, MMU_USER, NULL);
    load8(e, 0x601000, MMU_USER, NULL);
    mmu_invlpg(c, 0x600123);
    ck_assert(told.one && told.lin == 0x600123);
    ck_assert(!fast_hit(e, 0x600000, 1, MMU_USER, false));
    ck_assert(fast_hit(e, 0x601000, 1, MMU_USER, false));
    env_free(e);
}
END_TEST

/* A working set of 4096 pages ends up hitting without any flush, and tables shrink afterwards. */
START_TEST(growth)
{
    struct env *e = env_new(ENV_LONG);
    unsigned hits = 0;

    for (unsigned i = 0; i < 4096; i++)
        map_page(e, 0x10000000ull + i * 0x1000, 0x800000 + i % 1024 * 0x1000, 12, ALL | D, ALL);
    for (unsigned round = 0; round < 8; round++)
        for (unsigned i = 0; i < 4096; i++)
            ck_assert_uint_eq(load8(e, 0x10000000ull + i * 0x1000, MMU_USER, NULL), 0);
    for (unsigned i = 0; i < 4096; i++)
        hits += fast_hit(e, 0x10000000ull + i * 0x1000, 8, MMU_USER, false);
    ck_assert_uint_eq(hits, 4096);
    ck_assert_uint_ge(mmu_stats(&e->c)->grows, 4);
    for (unsigned i = 0; i < 100; i++) {
        load8(e, 0x10000000ull, MMU_USER, NULL);
        mmu_flush_nonglobal(&e->c);
        ck_assert(!fast_hit(e, 0x10000000ull, 8, MMU_USER, false));
    }
    ck_assert_uint_eq(e->c.tlb[MMU_USER][0].mask, 255 << 4);
    env_free(e);
}
END_TEST

START_TEST(crossing)
{
    struct env *e = env_new(ENV_LONG);
    struct cpu *c = &e->c;
    uint8_t buf[16], back[16];

    for (unsigned i = 0; i < 16; i++)
        buf[i] = (uint8_t)(i + 1);
    map_page(e, 0x400000, 0x205000, 12, ALL, ALL);
    map_page(e, 0x401000, 0x209000, 12, ALL, ALL);
    map_page(e, 0x402000, 0x20a000, 12, P | U, ALL);
    for (unsigned size = 2; size <= 16; size++)
        for (unsigned first = 1; first < size; first++) {
            memset(e->ram + 0x205ff0, 0, 16);
            memset(e->ram + 0x209000, 0, 16);
            ck_assert(!mmu_store(c, 0x401000 - first, size, MMU_USER, buf));
            ck_assert_int_eq(memcmp(e->ram + 0x206000 - first, buf, first), 0);
            ck_assert_int_eq(memcmp(e->ram + 0x209000, buf + first, size - first), 0);
            ck_assert(!mmu_load(c, 0x401000 - first, size, MMU_USER, false, back));
            ck_assert_int_eq(memcmp(back, buf, size), 0);
        }
    ck_assert(fast_hit(e, 0x400ff8, 8, MMU_USER, true));
    ck_assert(!fast_hit(e, 0x400ff9, 8, MMU_USER, true));       /* last byte's page differs */
    /* The second page refuses: nothing is written, CR2 is its first byte. */
    memset(e->ram + 0x209ff0, 0x55, 16);
    ck_assert(mmu_store(c, 0x401ffc, 8, MMU_USER, buf));
    ck_assert_int_eq(c->fault.code, 7);
    ck_assert_uint_eq(c->fault.cr2, 0x402000);
    ck_assert_int_eq(e->ram[0x209ffc], 0x55);
    ck_assert(mmu_load(c, 0x402ffc, 8, MMU_USER, false, buf));
    ck_assert_uint_eq(c->fault.cr2, 0x403000);
    ck_assert(mmu_check(c, 0x401ffc, 8, ACC_WRITE, MMU_USER));
    ck_assert(!mmu_check(c, 0x401ffc, 8, ACC_READ, MMU_USER));
    env_free(e);
}
END_TEST

START_TEST(wrap_4g)
{
    struct env *e = env_new(ENV_32);
    uint64_t v = 0x1122334455667788ull;

    map_page(e, 0xfffff000u, 0x205000, 12, ALL, ALL);
    map_page(e, 0, 0x206000, 12, ALL, ALL);
    ck_assert(!mmu_store(&e->c, 0xfffffffcu, 8, MMU_USER, &v));
    ck_assert_int_eq(memcmp(e->ram + 0x205ffc, &v, 4), 0);
    ck_assert_int_eq(memcmp(e->ram + 0x206000, (char *)&v + 4, 4), 0);
    env_free(e);
}
END_TEST

struct dev { uint64_t reads, writes, last_off, last_val; unsigned last_size; };

static uint64_t dev_read(void *d, uint64_t off, unsigned size)
{
    struct dev *x = d;

    x->reads++;
    x->last_off = off;
    x->last_size = size;
    return 0x8877665544332211ull >> (off & 7) * 8;
}

static void dev_write(void *d, uint64_t off, uint64_t val, unsigned size)
{
    struct dev *x = d;

    x->writes++;
    x->last_off = off;
    x->last_val = val;
    x->last_size = size;
}

static const struct io_ops dev_ops = { dev_read, dev_write, 7, LOG_DEV_NONE };

START_TEST(mmio_rom)
{
    struct env *e = env_new(ENV_LONG);
    struct cpu *c = &e->c;
    struct dev d = { 0 };
    static uint8_t rom[PAGE_SIZE];
    uint64_t v = 0xabcd, pa;
    void *host;

    rom[0] = 0x42;
    phys_map_io(e->m.phys, 0xfee00000u, PAGE_SIZE, &dev_ops, &d, "dev");
    phys_map_ram(e->m.phys, 0xfffff000u, PAGE_SIZE, rom, true, "rom");
    map_page(e, 0x400000, 0xfee00000u, 12, ALL, ALL);
    map_page(e, 0x401000, 0xfffff000u, 12, ALL, ALL);
    map_page(e, 0x402000, 0x90000000u, 12, ALL, ALL);
    ck_assert_int_eq(mmu_fill(c, 0x400004, 4, ACC_READ, MMU_USER, &host, &pa), MMU_SPECIAL);
    ck_assert_uint_eq(pa, 0xfee00004u);
    ck_assert_uint_eq(d.reads, 0);
    ck_assert(!mmu_load(c, 0x400004, 4, MMU_USER, false, &v));
    ck_assert_uint_eq((uint32_t)v, 0x88776655u);
    ck_assert_uint_eq(d.reads, 1);
    ck_assert_uint_eq(d.last_size, 4);
    v = 0x1234;
    ck_assert(!mmu_store(c, 0x400006, 2, MMU_USER, &v));
    ck_assert(d.writes == 1 && d.last_off == 6 && d.last_val == 0x1234 && d.last_size == 2);
    ck_assert(!fast_hit(e, 0x400004, 4, MMU_USER, false));
    /* ROM: reads are plain, writes vanish */
    ck_assert_int_eq(load8(e, 0x401000, MMU_USER, NULL) & 0xff, 0x42);
    ck_assert(fast_hit(e, 0x401000, 8, MMU_USER, false));
    ck_assert(!mmu_store(c, 0x401000, 2, MMU_USER, &v));
    ck_assert_int_eq(rom[0], 0x42);
    ck_assert_int_eq(mmu_span(c, 0x401ff0, 100, ACC_READ, MMU_USER, &host), 16);
    ck_assert_ptr_eq(host, rom + 0xff0);
    ck_assert_int_eq(mmu_span(c, 0x401ff0, 100, ACC_WRITE, MMU_USER, &host), 0);
    ck_assert_int_eq(mmu_span(c, 0x403000, 100, ACC_READ, MMU_USER, &host), -1);
    /* nothing there: ones */
    ck_assert_uint_eq(load8(e, 0x402000, MMU_USER, NULL), ~0ull);
    ck_assert(!mmu_store(c, 0x402000, 8, MMU_USER, &v));
    env_free(e);
}
END_TEST

START_TEST(code_pages)
{
    struct env *e = env_new(ENV_LONG);
    struct cpu *c = &e->c;
    struct phys *p = e->m.phys;
    uint64_t v = 7;

    map_page(e, 0x400000, 0x205000, 12, ALL, ALL);
    map_page(e, 0x500000, 0x205000, 12, ALL | G, ALL);  /* alias */
    mmu_store(c, 0x400000, 8, MMU_USER, &v);
    mmu_store(c, 0x500000, 8, MMU_KERNEL_NOSMAP, &v);
    ck_assert(fast_hit(e, 0x400000, 8, MMU_USER, true));
    ck_assert(fast_hit(e, 0x500000, 8, MMU_KERNEL_NOSMAP, true));
    smc_mark(p, 0x2050f0, 32);                          /* lines 3 and 4 */
    ck_assert_uint_eq(smc_lines(p, 0x205000), 0x18);
    ck_assert(smc_page_has_code(p, 0x205fff));
    for (unsigned at = 0; at < PAGE_SIZE; at += 4)      /* per line, not per page */
        ck_assert_int_eq(smc_has_code(p, 0x205000 + at, 4), smc_lines(p, 0x205000) >> at / 64 & 1);
    ck_assert(!fast_hit(e, 0x400000, 8, MMU_USER, true));
    ck_assert(!fast_hit(e, 0x500000, 8, MMU_KERNEL_NOSMAP, true));
    ck_assert(fast_hit(e, 0x400000, 8, MMU_USER, false));
    v = 9;
    mmu_store(c, 0x400000, 8, MMU_USER, &v);            /* data beside code */
    ck_assert_uint_eq(told.invalidated, 0);
    ck_assert_int_eq(e->ram[0x205000], 9);
    mmu_store(c, 0x5000bc, 8, MMU_USER, &v);            /* touches line 3 */
    ck_assert_uint_eq(told.invalidated, 1);
    ck_assert(told.pa == 0x2050bc && told.len == 8);
    ck_assert_int_eq(e->ram[0x2050bc], 9);
    phys_write(p, 0x204f00, e->ram, 0x200);             /* DMA across the page, ends before line 4 */
    ck_assert_uint_eq(told.invalidated, 2);
    ck_assert(told.pa == 0x205000 && told.len == 0x100);
    /* A page-table entry in a code page: accessed bits count as stores. */
    smc_unmark(p, 0x205000, 0x8);
    ck_assert_uint_eq(smc_lines(p, 0x205000), 0x10);
    ck_assert(!fast_hit(e, 0x400000, 8, MMU_USER, true));
    smc_clear_page(p, 0x205000);
    ck_assert(!smc_page_has_code(p, 0x205000));
    mmu_store(c, 0x400000, 8, MMU_USER, &v);
    ck_assert(fast_hit(e, 0x400000, 8, MMU_USER, true));
    smc_clear_page(p, 0x205000);                        /* changes nothing: the entry must be found below */
    smc_mark(p, 0x205fff, 2);                           /* two pages */
    ck_assert(!fast_hit(e, 0x400000, 8, MMU_USER, true));
    ck_assert_uint_eq(smc_lines(p, 0x205000), 1ull << 63);
    ck_assert_uint_eq(smc_lines(p, 0x206000), 1);
    env_free(e);
}
END_TEST

/* What translated code remembers of the stack's page: it must not outlive the page's write entry. */
START_TEST(stack_page)
{
    struct env *e = env_new(ENV_LONG);
    struct cpu *c = &e->c;
    uint64_t leaf = map_page(e, 0x400000, 0x205000, 12, ALL, ALL);

    c->cr4 |= CR4_PCIDE;
    for (unsigned how = 0; how < 10; how++) {
        for (unsigned i = 0; i < MMU_IDX_COUNT; i++)
            c->stack_page[i] = (struct tlb_page){ .page = 0x400000, .below = { 1, 1 } };
        switch (how) {
        case 0: mmu_flush_all(c); break;
        case 1: mmu_flush_nonglobal(c); break;
        case 2: mmu_set_cr3(c, c->cr3, false); break;
        case 3: mmu_set_cr3(c, c->cr3 ^ 1, true); break;
        case 4: mmu_invlpg(c, 0x400000); break;
        case 5: ck_assert(!mmu_invpcid(c, 0, c->cr3 & 0xfff, 0x400000)); break;
        case 6: smc_mark(e->m.phys, 0x205000, 8); smc_clear_page(e->m.phys, 0x205000); break;
        case 7: c->dr[0] = 0x400010; c->dr[7] = 0x30002; mmu_watch_changed(c); break;
        case 8: phys_set_a20(e->m.phys, false); phys_set_a20(e->m.phys, true); break;
        case 9:                 /* a page fault */
            set_entry(e, leaf, 0);
            mmu_flush_all(c);
            c->stack_page[MMU_USER] = (struct tlb_page){ .page = 0x400000, .below = { 1, 1 } };
            expect(e, 0x400000, ACC_WRITE, MMU_USER, 6);
            break;
        }
        for (unsigned i = 0; i < MMU_IDX_COUNT; i++)
            ck_assert_msg(!c->stack_page[i].below[0] && !c->stack_page[i].below[1], "case %u, index %u", how,
                          i);
    }
    env_free(e);
}
END_TEST

START_TEST(a20_gate)
{
    struct env *e = env_new(ENV_REAL);
    uint64_t v = 0;

    e->ram[0x10] = 1;
    e->ram[0x100010] = 2;
    mmu_load(&e->c, 0x100010, 1, MMU_KERNEL, false, &v);
    ck_assert_uint_eq(v, 2);
    phys_set_a20(e->m.phys, false);
    mmu_load(&e->c, 0x100010, 1, MMU_KERNEL, false, &v);
    ck_assert_uint_eq(v, 1);
    mmu_load(&e->c, 0x300010, 1, MMU_KERNEL, false, &v);
    ck_assert_uint_eq(v, 0);
    phys_set_a20(e->m.phys, true);
    mmu_load(&e->c, 0x100010, 1, MMU_KERNEL, false, &v);
    ck_assert_uint_eq(v, 2);
    env_free(e);
}
END_TEST

START_TEST(watch)
{
    struct env *e = env_new(ENV_LONG);
    struct cpu *c = &e->c;
    uint64_t v = 0;

    map_page(e, 0x400000, 0x205000, 12, ALL, ALL);
    map_page(e, 0x401000, 0x206000, 12, ALL, ALL);
    mmu_store(c, 0x400100, 8, MMU_USER, &v);
    ck_assert(fast_hit(e, 0x400100, 8, MMU_USER, true));
    c->dr[1] = 0x400104;
    c->dr[7] = 1u << 2 | 1u << 20 | 3u << 22;           /* L1, write, 4 bytes */
    mmu_watch_changed(c);
    ck_assert(!fast_hit(e, 0x400100, 8, MMU_USER, true));
    mmu_store(c, 0x400100, 4, MMU_USER, &v);
    ck_assert_uint_eq(c->dbg_hits, 0);
    ck_assert(!fast_hit(e, 0x400100, 8, MMU_USER, true));
    mmu_load(c, 0x400104, 4, MMU_USER, false, &v);
    ck_assert_uint_eq(c->dbg_hits, 0);
    ck_assert(fast_hit(e, 0x400100, 8, MMU_USER, false));       /* reads are not watched */
    mmu_store(c, 0x400101, 4, MMU_USER, &v);
    ck_assert_uint_eq(c->dbg_hits, 2);
    c->dbg_hits = 0;
    c->dr[7] |= 3u << 20;                               /* reads too */
    mmu_watch_changed(c);
    ck_assert(!fast_hit(e, 0x400100, 8, MMU_USER, false));
    mmu_load(c, 0x400107, 1, MMU_USER, false, &v);
    ck_assert_uint_eq(c->dbg_hits, 2);
    c->dbg_hits = 0;
    mmu_store(c, 0x401000, 4, MMU_USER, &v);
    ck_assert_uint_eq(c->dbg_hits, 0);
    ck_assert(fast_hit(e, 0x401000, 4, MMU_USER, true));
    c->dr[7] = 0;
    mmu_watch_changed(c);
    mmu_store(c, 0x400104, 4, MMU_USER, &v);
    ck_assert(fast_hit(e, 0x400104, 4, MMU_USER, true));
    ck_assert_uint_eq(c->dbg_hits, 0);
    env_free(e);
}
END_TEST

START_TEST(explain)
{
    struct env *e = env_new(ENV_LONG);
    char buf[1024], small[20];

    map_page(e, 0x400000, 0x205000, 12, P | U | NX, ALL);
    mmu_explain(&e->c, 0x400123, buf, sizeof(buf));
    ck_assert_ptr_nonnull(strstr(buf, "4-level paging"));
    ck_assert_ptr_nonnull(strstr(buf, "PML4E"));
    ck_assert_ptr_nonnull(strstr(buf, "read-only user no-execute"));
    ck_assert_ptr_nonnull(strstr(buf, "physical 0000205123 (RAM)"));
    mmu_explain(&e->c, 0x401000, buf, sizeof(buf));
    ck_assert_ptr_nonnull(strstr(buf, "NOT PRESENT"));
    mmu_explain(&e->c, 0x401000, small, sizeof(small));
    ck_assert_uint_lt(strlen(small), sizeof(small));
    mmu_explain(&e->c, 1ull << 50, buf, sizeof(buf));
    ck_assert_ptr_nonnull(strstr(buf, "NOT CANONICAL"));
    env_free(e);
}
END_TEST

/* Random maps, unmaps (with INVLPG), accesses and switches against a plain model of memory. */
START_TEST(random_model)
{
    enum { PAGES = 2048 };
    struct env *e = env_new(ENV_LONG);
    struct cpu *c = &e->c;
    unsigned seed = (unsigned)time(NULL);
    static uint64_t at[2][PAGES];
    static uint16_t to[2][PAGES];               /* 0: unmapped */
    unsigned space = 0;
    uint64_t root[2] = { ROOT, ROOT + PAGE_SIZE };

    if (getenv("TEST_SEED"))
        seed = (unsigned)atoi(getenv("TEST_SEED"));
    srand(seed);
    memset(to, 0, sizeof(to));
    c->cr4 |= CR4_PCIDE;
    mmu_flush_all(c);
    for (unsigned s = 0; s < 2; s++) {
        new_space(e, root[s]);
        for (unsigned i = 0; i < PAGES; i++)
            at[s][i] = map_page(e, 0x40000000ull + i * 0x1000ull, 0, 12, 0, ALL);
    }
    for (unsigned n = 0; n < 400000; n++) {
        unsigned page = (unsigned)rand() % (n < 100000 ? 64 : PAGES);
        uint64_t lin = 0x40000000ull + page * 0x1000ull, v = n, off = (unsigned)rand() % 512 * 8;
        bool faulted;

        switch (rand() % 16) {
        case 0:
            to[space][page] = (uint16_t)(1 + rand() % 1000);
            set_entry(e, at[space][page], (0x1000000ull + to[space][page] * 0x1000ull) | ALL);
            mmu_invlpg(c, lin);
            break;
        case 1:
            to[space][page] = 0;
            set_entry(e, at[space][page], 0);
            mmu_invlpg(c, lin);
            break;
        case 2:
            if (rand() % 8 == 0) {
                space ^= 1;
                mmu_set_cr3(c, root[space] | space, rand() & 1);
            }
            break;
        case 3: case 4: case 5: case 6: case 7:
            faulted = mmu_store(c, lin + off, 8, MMU_USER, &v);
            ck_assert_msg(faulted == !to[space][page], "seed %u step %u", seed, n);
            if (!faulted)
                ck_assert(memcmp(e->ram + 0x1000000 + to[space][page] * 0x1000 + off, &v, 8) == 0);
            break;
        default:
            v = load8(e, lin + off, MMU_USER, &faulted);
            ck_assert_msg(faulted == !to[space][page], "seed %u step %u", seed, n);
            if (!faulted)
                ck_assert_msg(memcmp(e->ram + 0x1000000 + to[space][page] * 0x1000 + off, &v, 8) == 0,
                              "seed %u step %u", seed, n);
        }
    }
    env_free(e);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("mmu");
    TCase *t = tcase_create("all");

    tcase_set_timeout(t, 60);
    tcase_add_test(t, no_paging);
    tcase_add_test(t, format_32);
    tcase_add_test(t, format_pae);
    tcase_add_test(t, format_long);
    tcase_add_test(t, canonical);
    tcase_add_test(t, rights);
    tcase_add_test(t, accessed_dirty);
    tcase_add_test(t, globals);
    tcase_add_test(t, pcid);
    tcase_add_test(t, invlpg_large);
    tcase_add_test(t, growth);
    tcase_add_test(t, crossing);
    tcase_add_test(t, wrap_4g);
    tcase_add_test(t, mmio_rom);
    tcase_add_test(t, code_pages);
    tcase_add_test(t, stack_page);
    tcase_add_test(t, a20_gate);
    tcase_add_test(t, watch);
    tcase_add_test(t, explain);
    tcase_add_test(t, random_model);
    suite_add_tcase(s, t);
    return run_suite(s);
}
