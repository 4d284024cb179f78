/*
 * exec_space.c - address-space identities: which links between pages, and which
 * jump-cache entries, are still right when mappings or the mode change.
 *
 * Page keys.  A direct jump into another page is linked behind a guard: c->pagekey
 * must be the key it was made under.  A key is a number that stands for (address
 * space, page): whoever enters a page through the run loop, the jump cache or a
 * guarded link sets it.  When mappings change, the space gets a new identity, all
 * its pages new keys, and old guards fail; nothing has to be searched.
 */
#include "translator/exec_priv.h"

#include <string.h>

static unsigned bloom_bit(uint64_t page)
{
    return (unsigned)((page >> PAGE_BITS) * 0x9e3779b97f4a7c15u >> (64 - BLOOM_BITS));
}

static uint64_t mix(uint64_t a, uint64_t b)
{
    a = (a ^ b) * 0x9e3779b97f4a7c15u;
    return a ^ a >> 29;
}

/* The number that stands for what a lookup at this privilege depends on. */
static uint64_t space_of(struct cpu *c, bool global)
{
    struct exec *e = c->exec;
    if (global)
        return e->global_gen << 1;
    return mix(e->global_gen, mmu_space(c) << 8 | 0x80) | 1;
}

static uint64_t salt_of(struct cpu *c)
{
    struct exec *e = c->exec;
    uint64_t who = c->cpl == 3 ? mmu_space(c) << 1 | 1 : e->local_gen << 1;
    return mix(mix(e->global_gen, who), c->mode) | (uint64_t)1 << 47;
}

void exec_code_map_changed(struct cpu *c, bool all, bool one, uint64_t lin)
{
    struct exec *e = c->exec;
    if (one) {
        unsigned n = bloom_bit(lin & PAGE_MASK);
        if (!(e->bloom[n >> 6] >> (n & 63) & 1))
            return;                             /* no code ran from that page */
    } else if (lin) {
        unsigned n = bloom_bit(lin >> 30 << PAGE_BITS);
        if (!(e->bloom_large[n >> 6] >> (n & 63) & 1))
            return;                             /* nor from that GiB */
    }
    e->stale = true;
    if (e->local_code) {
        e->local_gen++;
        e->local_code = false;
    }
    if (all || one)
        e->verify_maps = true;
}

void exec_new_gen(struct exec *e)
{
    e->global_gen++;
    e->nmap = 0;
    memset(e->bloom, 0, sizeof e->bloom);
    memset(e->bloom_large, 0, sizeof e->bloom_large);
}

/*
 * Kernels flush everything far more often than they remap their own code.  So a
 * flush only asks for a look at the few (mostly large) pages that code ran from;
 * if all are as they were, links and jump cache stay good.
 */
static void verify_maps(struct cpu *c)
{
    struct exec *e = c->exec;
    e->verify_maps = false;
    for (unsigned i = 0; i < e->nmap && e->nmap <= MAPPINGS; i++) {
        struct code_mapping m;
        if (!mmu_code_mapping(c, e->map[i].lin, &m) || memcmp(&m, &e->map[i], sizeof m)) {
            exec_new_gen(e);
            return;
        }
    }
    if (e->nmap > MAPPINGS)
        exec_new_gen(e);
}

void exec_forget(struct cpu *c)
{
    struct exec *e = c->exec;

    cache_flush(&e->cache);
    exec_new_gen(e);
    e->local_gen++;
    e->local_code = false;
    e->stale = true;
    e->hot = false;
}

/* Code runs from this global page: remember its mapping. */
static void note_map(struct cpu *c, uint64_t page)
{
    struct exec *e = c->exec;
    for (unsigned i = 0; i < e->nmap && e->nmap <= MAPPINGS; i++)
        if (e->map[i].lin == (page & ~(((uint64_t)1 << e->map[i].shift) - 1)))
            return;
    if (e->nmap >= MAPPINGS) {
        e->nmap = MAPPINGS + 1;
        return;
    }
    struct code_mapping *m = &e->map[e->nmap];
    memset(m, 0, sizeof *m);
    if (mmu_code_mapping(c, page, m))
        e->nmap++;
    else
        e->nmap = MAPPINGS + 1;
}

uint32_t pagekey_of(struct cpu *c, uint64_t page, bool global)
{
    struct exec *e = c->exec;
    uint64_t space = space_of(c, global);
    struct pagekey *k = &e->key[(page >> PAGE_BITS ^ page >> 24) & (KEYS - 1)];
    unsigned n = bloom_bit(page);
    if (k->page == page && k->space == space && k->id)
        return k->id;
    e->bloom[n >> 6] |= (uint64_t)1 << (n & 63);
    n = bloom_bit(page >> 30 << PAGE_BITS);
    e->bloom_large[n >> 6] |= (uint64_t)1 << (n & 63);
    if (!global && c->cpl != 3)
        e->local_code = true;
    if (global)
        note_map(c, page);
    k->page = page;
    k->space = space;
    k->id = ++e->next_key;
    if (!k->id) {                               /* wrapped: all guards could lie */
        cache_flush(&e->cache);
        memset(e->key, 0, sizeof e->key);
        *k = (struct pagekey){ page, space, e->next_key = 1 };
    }
    return k->id;
}

void exec_refresh(struct cpu *c)
{
    struct exec *e = c->exec;
    if (e->verify_maps)
        verify_maps(c);
    if (e->stale || e->salt_mode != c->mode) {
        c->jc_salt = salt_of(c);
        e->salt_mode = c->mode;
        e->stale = false;
    }
}
