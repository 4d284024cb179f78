/*
 * cache.c - code memory and the tables of blocks (cache.h).
 */
#include "translator/cache.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "translator/stencil.h"

#define HASH_BITS 16
#define PAGE_HASH_BITS 14
#define NO_PAGE (~(uint64_t)0)

static void *must(void *p)
{
    if (!p)
        die(EXIT_CODE_HOST, "out of memory for translated code");
    return p;
}

static unsigned hash_of(uint64_t pa, uint32_t mode, uint32_t eip)
{
    uint64_t h = (pa ^ (uint64_t)mode << 32 ^ (uint64_t)eip << 20) * 0x9e3779b97f4a7c15u;
    return (unsigned)(h >> (64 - HASH_BITS));
}

static struct block **page_list(struct cache *k, uint64_t page)
{
    return &k->pages[((page >> PAGE_BITS) * 0x9e3779b97f4a7c15u) >> (64 - PAGE_HASH_BITS)];
}

void cache_init(struct cache *k, struct phys *phys, uint64_t size, const struct backend_config *config, bool no_file)
{
    bool interp = !config;
    k->phys = phys;
    k->interp = interp;
    k->hash = must(calloc((size_t)1 << HASH_BITS, sizeof *k->hash));
    k->pages = must(calloc((size_t)1 << PAGE_HASH_BITS, sizeof *k->pages));
    uint64_t first = 0;
    if (!interp) {
        k->recipes = k->be_out.recipes = recipe_table_new();
        const char *missing = backend_missing();
        if (missing)
            die(EXIT_CODE_HOST, "translated code needs %s, which this host's processor lacks: use -accel interp, which "
                "is slow", missing);
        code_mem_map(&k->mem, size, no_file);
        k->be = backend_new(k->mem.rw, k->mem.rx_off, config);
        if (log_on(LOG_COUNT) && backend_counts)
            backend_count(k->be);
        first = BACKEND_THUNK_BYTES;
    }
    uint64_t each = (size - first) / CACHE_REGIONS & ~(uint64_t)4095;
    for (unsigned i = 0; i < CACHE_REGIONS; i++) {
        struct region *r = &k->region[i];
        r->start = r->next = k->mem.rw + first + i * each;
        r->mid = r->cold_next = r->start + (each / 2 & ~(uint64_t)4095);
        r->end = r->start + each;
        if (!interp)
            r->at = must(calloc(each / CACHE_STEP + 1, sizeof *r->at));
    }
}

#define ARENA_BYTES (256u << 10)

/* Memory that lives as long as the region's blocks; not cleared. */
static void *region_alloc(struct region *r, size_t bytes)
{
    struct arena *a = r->arena;
    bytes = (bytes + 7) & ~(size_t)7;
    if (!a || a->size - a->used < bytes) {
        size_t size = bytes > ARENA_BYTES ? bytes : ARENA_BYTES;
        a = must(malloc(sizeof *a + size));
        a->size = (uint32_t)size;
        a->used = 0;
        a->next = r->arena;
        r->arena = a;
    }
    void *p = (uint8_t *)a->mem + a->used;
    a->used += (uint32_t)bytes;
    return p;
}

/* Free what the region's blocks consist of. */
static void region_free(struct region *r)
{
    for (unsigned j = 0; j < r->n; j++)
        if (r->block[j]->ir) {
            ir_free(r->block[j]->ir);
            free(r->block[j]->ir);
        }
    while (r->arena) {
        struct arena *next = r->arena->next;
        free(r->arena);
        r->arena = next;
    }
    r->n = 0;
}

void cache_free(struct cache *k)
{
    for (unsigned i = 0; i < CACHE_REGIONS; i++) {
        region_free(&k->region[i]);
        free(k->region[i].block);
        free(k->region[i].at);
    }
    free(k->hash);
    free(k->pages);
    if (k->interp)
        return;
    backend_free(k->be);
    recipe_table_free(k->recipes);
    code_mem_unmap(&k->mem);
}

struct block *cache_find(struct cache *k, uint64_t pa, uint32_t mode, uint32_t eip)
{
    if (mode & M_FLAT_CS)
        eip = 0;
    for (struct block *b = k->hash[hash_of(pa, mode, eip)]; b; b = b->hash_next)
        if (b->pa == pa && b->mode == mode && (b->flat || b->start == eip))
            return b;
    return NULL;
}

/* The block whose code contains p, or ends there: a return address may be the first byte behind. */
struct block *cache_by_host(struct cache *k, const void *rx)
{
    uint8_t *p = (uint8_t *)(uintptr_t)rx - k->mem.rx_off;
    for (unsigned i = 0; i < CACHE_REGIONS; i++) {
        struct region *r = &k->region[i];
        if (p <= r->start || p > r->end || !r->n)
            continue;
        bool cold = p > r->mid;
        unsigned n = r->at[(p - 1 - r->start) / CACHE_STEP];
        if (n >= r->n)                          /* code of before the region was emptied */
            return NULL;
        while (n + 1 < r->n && (cold ? r->block[n + 1]->cold : r->block[n + 1]->rw) < p)
            n++;
        struct block *b = r->block[n];
        uint8_t *from = cold ? b->cold : b->rw;
        return p > from && p <= from + (cold ? b->cold_size : b->size) ? b : NULL;
    }
    return NULL;
}

/* Block number n of r was put at [from, to): enter it for the steps that start there. */
static void region_note(struct region *r, unsigned n, const uint8_t *from, const uint8_t *to)
{
    for (size_t s = ((size_t)(from - r->start) + CACHE_STEP - 1) / CACHE_STEP;
         s < ((size_t)(to - r->start) + CACHE_STEP - 1) / CACHE_STEP; s++)
        r->at[s] = n;
}

/* ---- forgetting ---- */

static void link_drop(struct cache *k, struct link *l)
{
    if (!l->to)
        return;
    for (struct link **p = &l->to->in; *p; p = &(*p)->next_in)
        if (*p == l) {
            *p = l->next_in;
            break;
        }
    l->to = NULL;
    if (!k->interp)
        backend_unlink(k->be, l->from->rw, &l->x);
}

static void page_remove(struct cache *k, struct block *b, unsigned n)
{
    if (b->page[n] == NO_PAGE)
        return;
    struct block **p = page_list(k, b->page[n]);
    while (*p && *p != b) {
        unsigned m = (*p)->page[0] != NO_PAGE && page_list(k, (*p)->page[0]) == page_list(k, b->page[n]) ? 0 : 1;
        p = &(*p)->page_next[m];
    }
    if (*p)
        *p = b->page_next[n];
}

/* Take b out of all tables; its memory stays until its region is emptied. */
void cache_kill(struct cache *k, struct block *b)
{
    if (b->dead)
        return;
    b->dead = true;
    for (struct block **p = &k->hash[hash_of(b->pa, b->mode, b->flat ? 0 : b->start)]; *p; p = &(*p)->hash_next)
        if (*p == b) {
            *p = b->hash_next;
            break;
        }
    page_remove(k, b, 0);
    page_remove(k, b, 1);
    while (b->in)
        link_drop(k, b->in);
    for (unsigned i = 0; i < b->nlinks; i++)
        link_drop(k, &b->link[i]);
    if (!k->interp)
        backend_kill(k->be, b->rw);
    k->invalidated++;
}

/* Which lines of a page still hold code? */
static uint64_t page_lines(struct cache *k, uint64_t page)
{
    uint64_t lines = 0;
    for (struct block *b = *page_list(k, page); b;) {
        unsigned m = page_list(k, b->page[0]) == page_list(k, page) ? 0 : 1;
        for (unsigned i = 0; i < b->nrange; i++)
            if ((b->range[i].pa & PAGE_MASK) == page)
                for (uint64_t a = b->range[i].pa & ~(uint64_t)63; a < b->range[i].pa + b->range[i].len; a += 64)
                    lines |= (uint64_t)1 << ((a & 0xfff) >> 6);
        b = b->page_next[m];
    }
    return lines;
}

void cache_invalidate(struct cache *k, uint64_t pa, unsigned len)
{
    for (uint64_t page = pa & PAGE_MASK; page < pa + len; page += PAGE_SIZE) {
        struct block *b = *page_list(k, page), *next;
        bool any = false;
        for (; b; b = next) {
            next = b->page_next[page_list(k, b->page[0]) == page_list(k, page) ? 0 : 1];
            for (unsigned i = 0; i < b->nrange; i++)
                if (b->range[i].pa < pa + len && pa < b->range[i].pa + b->range[i].len) {
                    cache_kill(k, b);
                    any = true;
                    break;
                }
        }
        if (any || !*page_list(k, page)) {
            uint64_t keep = page_lines(k, page);
            smc_unmark(k->phys, page, ~keep);
        }
    }
}

static void region_empty(struct cache *k, struct region *r)
{
    for (unsigned j = 0; j < r->n; j++)
        cache_kill(k, r->block[j]);
    region_free(r);
    r->next = r->start;
    r->cold_next = r->mid;
    k->forget(k->arg);
}

void cache_flush(struct cache *k)
{
    for (unsigned i = 0; i < CACHE_REGIONS; i++)
        region_empty(k, &k->region[i]);
    k->cur = 0;
    k->flushes++;
}

static int by_page(const void *key, const void *page)
{
    uint64_t x = *(const uint64_t *)key, y = *(const uint64_t *)page;
    return x < y ? -1 : x > y;
}

void cache_kill_broken(struct cache *k, const uint64_t *page, unsigned n)
{
    for (unsigned i = 0; i < CACHE_REGIONS; i++)
        for (unsigned j = 0; j < k->region[i].n; j++) {
            struct block *b = k->region[i].block[j];
            if ((b->mode & M_BP) && bsearch(&b->lin_page, page, n, sizeof(*page), by_page))
                cache_kill(k, b);
        }
}

/* ---- adding ---- */

static struct region *room(struct cache *k, uint32_t bytes)
{
    struct region *r = &k->region[k->cur];
    if (r->next + bytes <= r->mid && r->cold_next + bytes <= r->end && r->n < 1u << 20)
        return r;
    k->cur = (k->cur + 1) % CACHE_REGIONS;
    r = &k->region[k->cur];
    if (r->n) {
        region_empty(k, r);
        k->flushes++;
    }
    return r;
}

static void *copy(const void *p, size_t n)
{
    return n ? memcpy(must(malloc(n)), p, n) : NULL;
}

/* The region with room for a block of at most this size, hot and cold part each. */
static struct region *begin(struct cache *k, uint32_t bound)
{
    if (!k->interp && recipe_table_full(k->recipes)) {
        cache_flush(k);
        recipe_table_clear(k->recipes);
    }
    return room(k, bound);
}

/* A block with what ir says of it. */
static struct block *block_new(struct cache *k, struct region *r, const struct ir_block *ir)
{
    struct block *b = region_alloc(r, sizeof *b);
    *b = (struct block){ .pa = ir->pa, .mode = ir->mode, .start = ir->start, .shadow = ir->shadow,
                         .flat = ir->flat, .crosses = ir->crosses, .once = ir->once, .insns = ir->insns,
                         .nrange = (uint16_t)ir->nrange, .rw = r->next, .cold = r->cold_next,
                         .lin_page = ir->lin & PAGE_MASK };
    b->range = region_alloc(r, ir->nrange * sizeof *b->range);
    memcpy(b->range, ir->range, ir->nrange * sizeof *b->range);
    if (k->keep_ir) {
        b->ir = must(malloc(sizeof *b->ir));
        *b->ir = *ir;
        b->ir->ins = copy(ir->ins, ir->n * sizeof *ir->ins);
        b->ir->use = NULL;                      /* for building and backends only */
        b->ir->opt = b->ir->opt_mem = NULL;
        b->ir->cap = ir->n;
    }
    return b;
}

/* Its host code has been written: note what is in it. */
static void take_code(struct cache *k, struct region *r, struct block *b)
{
    const struct host_block *out = &k->be_out;
    b->size = out->size;
    b->cold_size = out->cold_size;
    b->nlinks = out->nexits;
    b->nfaults = out->nfaults;
    b->link = region_alloc(r, b->nlinks * sizeof *b->link);
    for (unsigned i = 0; i < b->nlinks; i++)
        b->link[i] = (struct link){ .x = out->exit[i], .from = b };
    b->fault = region_alloc(r, out->nfaults * sizeof *out->fault);
    memcpy(b->fault, out->fault, out->nfaults * sizeof *out->fault);
    b->nmarks = out->nmarks;
    b->mark = region_alloc(r, out->nmarks * sizeof *out->mark);
    memcpy(b->mark, out->mark, out->nmarks * sizeof *out->mark);
    region_note(r, r->n, b->rw, b->rw + ((b->size + 15) & ~15u));
    region_note(r, r->n, b->cold, b->cold + b->cold_size);
}

/* Into all tables. */
static void enter(struct cache *k, struct region *r, struct block *b)
{
    r->next += (b->size + 15) & ~15u;
    r->cold_next += b->cold_size;
    k->code_bytes += b->size + b->cold_size;
    k->nblocks++;
    if (r->n == r->cap) {
        r->cap = r->cap ? r->cap * 2 : 1024;
        r->block = must(realloc(r->block, r->cap * sizeof *r->block));
    }
    r->block[r->n++] = b;
    struct block **h = &k->hash[hash_of(b->pa, b->mode, b->flat ? 0 : b->start)];
    b->hash_next = *h;
    *h = b;
    b->page[0] = b->pa & PAGE_MASK;
    b->page[1] = NO_PAGE;
    for (unsigned i = 0; i < b->nrange; i++) {
        smc_mark(k->phys, b->range[i].pa, b->range[i].len);
        uint64_t page = b->range[i].pa & PAGE_MASK;
        if (page != b->page[0])
            b->page[1] = b->page2 = page;
    }
    /* two pages that share a list are entered once, under the first */
    for (unsigned n = 0; n < 2; n++) {
        if (b->page[n] == NO_PAGE || (n && page_list(k, b->page[1]) == page_list(k, b->page[0])))
            continue;
        struct block **p = page_list(k, b->page[n]);
        b->page_next[n] = *p;
        *p = b;
    }
    if (b->page[1] != NO_PAGE && page_list(k, b->page[1]) == page_list(k, b->page[0]))
        b->page[1] = NO_PAGE;
}

struct block *cache_add(struct cache *k, struct ir_block *ir)
{
    struct region *r = begin(k, k->interp ? 64 : backend_bound(ir));
    struct block *b = block_new(k, r, ir);
    if (k->interp) {
        b->size = 64;
    } else {
        backend_emit(k->be, ir, r->next, r->cold_next, &k->be_out);
        take_code(k, r, b);
    }
    enter(k, r, b);
    return b;
}

struct block *cache_add_copy(struct cache *k, struct ir_block *ir, struct stencils *s, unsigned heat)
{
    struct region *r = begin(k, stencils_bound(s));
    struct block *b = block_new(k, r, ir);
    b->copied = true;
    stencils_copy(s, r->next, r->cold_next, heat, &k->be_out);
    take_code(k, r, b);
    enter(k, r, b);
    return b;
}

void cache_link(struct cache *k, struct link *l, struct block *to, uint32_t key_from, uint32_t key_to)
{
    if (l->to && l->to != to)
        link_drop(k, l);
    backend_link(k->be, l->from->rw, &l->x, to->rw, key_from, key_to);
    if (!l->to) {
        l->to = to;
        l->next_in = to->in;
        to->in = l;
    }
}
