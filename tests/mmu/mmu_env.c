/*
 * mmu_env.c - see mmu_env.h.  Stands in for the translator: records what the MMU tells it.
 */
#include "tests/mmu/mmu_env.h"

#include <stdlib.h>
#include <string.h>

#include "translator/exec.h"

struct told told;

void exec_code_map_changed(struct cpu *c, bool all, bool one, uint64_t lin)
{
    told.map_changed++;
    told.all = all;
    told.one = one;
    told.lin = lin;
}

void exec_invalidate(struct phys *p, uint64_t pa, unsigned len)
{
    told.invalidated++;
    told.pa = pa;
    told.len = len;
}

bool exec_ask(struct cpu *c)
{
    told.asked++;
    return !told.busy;
}

void new_space(struct env *e, uint64_t root)
{
    e->root = root;
    memset(e->ram + root, 0, PAGE_SIZE);
}

struct env *env_new(enum env_mode mode)
{
    struct env *e = calloc(1, sizeof(*e));

    memset(&told, 0, sizeof(told));
    e->mode = mode;
    e->m.phys = phys_new(NULL);
    e->ram = phys_ram_alloc(e->m.phys, RAM_SIZE);
    phys_map_ram(e->m.phys, 0, RAM_SIZE, e->ram, false, "ram");
    e->c.m = &e->m;
    e->c.exec = (struct exec *)e;       /* only asked for being there */
    e->c.mode = M_CODE64;
    e->next_table = ROOT + PAGE_SIZE * 16;
    new_space(e, ROOT);
    if (mode != ENV_REAL)
        e->c.cr0 = CR0_PE | CR0_PG | CR0_WP;
    if (mode == ENV_32)
        e->c.cr4 = CR4_PSE | CR4_PGE;
    if (mode == ENV_PAE || mode == ENV_LONG) {
        e->c.cr4 = CR4_PAE | CR4_PGE;
        e->c.efer = EFER_NXE;
    }
    if (mode == ENV_LONG)
        e->c.efer |= EFER_LME | EFER_LMA;
    else
        e->c.mode = M_CODE32;
    mmu_init(&e->c);
    mmu_set_cr3(&e->c, ROOT, false);
    return e;
}

void env_free(struct env *e)
{
    mmu_free(&e->c);
    phys_free(e->m.phys);
    free(e);
}

uint64_t get_entry(const struct env *e, uint64_t at)
{
    uint64_t v = 0;

    memcpy(&v, e->ram + at, e->mode == ENV_32 ? 4 : 8);
    return v;
}

void set_entry(struct env *e, uint64_t at, uint64_t val)
{
    memcpy(e->ram + at, &val, e->mode == ENV_32 ? 4 : 8);
}

uint64_t map_page(struct env *e, uint64_t lin, uint64_t pa, unsigned shift, uint64_t flags, uint64_t upper)
{
    unsigned bits = e->mode == ENV_32 ? 10 : 9, bytes = e->mode == ENV_32 ? 4 : 8;
    unsigned level_shift = e->mode == ENV_LONG ? 39 : e->mode == ENV_PAE ? 30 : 22;
    uint64_t table = e->root;

    for (;; level_shift -= bits) {
        unsigned mask = e->mode == ENV_PAE && level_shift == 30 ? 3 : (1u << bits) - 1;
        uint64_t at = table + (lin >> level_shift & mask) * bytes;

        if (level_shift == shift) {
            set_entry(e, at, pa | flags | (shift > 12 ? PS : 0));
            return at;
        }
        if (!(get_entry(e, at) & P)) {
            memset(e->ram + e->next_table, 0, PAGE_SIZE);
            set_entry(e, at, e->next_table | (e->mode == ENV_PAE && level_shift == 30 ? P : upper));
            e->next_table += PAGE_SIZE;
        }
        table = get_entry(e, at) & 0xfffffff000ull;
        if (e->mode == ENV_PAE && level_shift == 30)
            mmu_load_pdptes(&e->c, e->root);
    }
}

uint64_t load8(struct env *e, uint64_t lin, enum mmu_idx idx, bool *faulted)
{
    uint64_t v = 0;
    bool f = mmu_load(&e->c, lin, 8, idx, false, &v);

    if (faulted)
        *faulted = f;
    return v;
}

bool fast_hit(const struct env *e, uint64_t lin, unsigned size, enum mmu_idx idx, bool write)
{
    const struct tlb_fast *t = &e->c.tlb[idx & 3][write];
    const struct tlb_entry *en = (const void *)((const char *)t->base + (lin >> 8 & t->mask));

    return en->tag == TLB_TAG(lin + size - 1);
}
