/*
 * exec.c - the run loop.
 *
 *      attention? -> deliver, halt, leave
 *      find the block at c->rip (jump cache, tables, else lift and translate it)
 *      run it; translated blocks run on through their links until something leaves
 *      act on why it left
 *
 * Invariants on entry to a block: c->mode is the mode it was made for (but for
 * M_NOSHARE and M_ONE, which the loop adds), c->pc_page is the linear page of its
 * first byte, c->pagekey that page's key.
 *
 * Page keys.  A direct jump into another page is linked behind a guard: c->pagekey
 * must be the key it was made under.  A key is a number that stands for (address
 * space, page): whoever enters a page through the run loop, the jump cache or a
 * guarded link sets it.  When mappings change, the space gets a new identity, all
 * its pages new keys, and old guards fail; nothing has to be searched.
 */
#include "translator/exec.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/stopwatch.h"
#include "frontend/lift.h"
#include "hw/machine.h"
#include "translator/backend_hooks.h"
#include "translator/cache.h"
#include "translator/check.h"
#include "translator/interp.h"
#include "translator/stencil.h"

#define KEYS 4096               /* direct-mapped table of page keys */
#define BLOOM_BITS 16
#define RELINK_MAX 200          /* a guarded link remade this often is left to the jump cache (backend_hop) */
#define REDO 512                /* entries, a power of two */
#define MAPPINGS 64             /* global mappings of code that are remembered */
#define SAMPLE 8                /* one block in so many is timed: see stopwatch.h */

struct pagekey {
    uint64_t page, space;
    uint32_t id;
};

struct exec {
    struct exec_options o;
    struct cache cache;
    struct ir_block ir;
    struct lift_options lift;
    struct exec_stats stats;
    struct stopwatch watch;
    struct pagekey key[KEYS];
    uint32_t next_key;
    uint64_t global_gen;        /* changes with global mappings */
    uint64_t local_gen;         /* changes when non-global supervisor code may have moved */
    struct code_mapping map[MAPPINGS];  /* the global mappings code ran through since global_gen changed */
    unsigned nmap;              /* MAPPINGS + 1: more than fit */
    bool verify_maps;           /* all mappings were flushed: look whether those still hold */
    bool local_code;            /* supervisor code was entered through non-global pages */
    uint64_t bloom_large[1 << (BLOOM_BITS - 6)];        /* the same for their GiB */
    uint64_t bloom[1 << (BLOOM_BITS - 6)];      /* pages code ran from, by hash, since global_gen changed */
    bool stale;                 /* the salt must be computed again */
    uint32_t salt_mode;
    struct check *check;        /* lock-step */
    struct stencils *stencils;  /* NULL: blocks are translated at once */
    uint32_t next_heat;         /* number of the next block of stencils */
    uint8_t shadow;             /* INHIBIT_* of the interrupt shadow the instruction to run alone is in, 0: none */
    bool hot;                   /* the next block is one that has become hot */
    struct jc_entry redo[REDO]; /* blocks without shared probes, like the jump cache */
};

/* ---- address-space identities ---- */

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

static void new_global_gen(struct exec *e)
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
            new_global_gen(e);
            return;
        }
    }
    if (e->nmap > MAPPINGS)
        new_global_gen(e);
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

static uint32_t pagekey_of(struct cpu *c, uint64_t page, bool global)
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

/* ---- the jump cache, and the same for blocks without shared probes ---- */

static struct jc_entry *jc_at(struct cpu *c)
{
    return &jc_table(c)[jc_hash(c->rip)];
}

static struct jc_entry *redo_at(struct cpu *c)
{
    return &c->exec->redo[jc_hash(c->rip) & (REDO - 1)];
}

/* The host code to go on with at c->rip if the entry is for it, else NULL. */
static const void *jc_hit(struct cpu *c, const struct jc_entry *j)
{
    if (j->tag != (c->rip ^ c->jc_salt))
        return NULL;
    c->pc_page = j->page;
    c->pagekey = j->key;
    return j->host;
}

static void jc_clear(void *arg)
{
    struct cpu *c = arg;
    memset(jc_table(c), 0xff, JC_SIZE * sizeof(struct jc_entry));
    memset(c->exec->redo, 0xff, sizeof c->exec->redo);
}

/* ---- finding and making blocks ---- */

static uint64_t lin_of(const struct cpu *c)
{
    if (c->mode & M_FLAT_CS)
        return (c->mode & M_CODE) == M_CODE64 ? c->rip : (uint32_t)c->rip;
    return (uint32_t)(c->seg[SEG_CS].base + c->rip);
}

/* Dumps of translation are wanted for code at lin. */
static bool dump_at(struct cpu *c, uint64_t lin)
{
    const struct exec_options *o = &c->exec->o;
    return log_on(LOG_IN | LOG_IR | LOG_OPT | LOG_OUT | LOG_EXEC) &&
           (!o->log_hi || (lin >= o->log_lo && lin < o->log_hi));
}

static void log_block(struct cpu *c, const struct ir_block *b)
{
    if (log_on(LOG_EXEC | LOG_IN))
        fprintf(log_file(), "block %llx mode %x: %u instructions\n", (unsigned long long)lin_of(c), b->mode,
                b->insns);
    if (log_on(LOG_IN))
        check_guest_code(log_file(), c->m->phys, b->mode, b->lin, b->range, b->nrange);
    if (log_on(LOG_IR))
        ir_print(log_file(), b);
}

/* The code at pa, put together from stencils; NULL: it must be translated. */
static struct block *copy_block(struct cpu *c, uint32_t mode, uint64_t lin, uint64_t pa)
{
    struct exec *e = c->exec;
    struct ir_block *b = &e->ir;
    uint64_t run;
    const uint8_t *page = phys_host(c->m->phys, pa & PAGE_MASK, false, &run);
    if (!page || run < PAGE_SIZE)
        return NULL;
    ir_reset(b);
    b->pa = pa;
    b->lin = lin;
    b->mode = mode;
    b->start = (uint32_t)(lin & ~PAGE_MASK);
    b->flat = true;
    if (!stencils_plan(e->stencils, c, b, page, &e->lift))
        return NULL;
    if (e->o.check) {                           /* the interpreter needs the same block as IR */
        struct lift_options o = { .max_insns = b->insns, .smp = e->lift.smp, .stay = true };
        unsigned insns = b->insns;
        if (!lift_block(c, b, mode, &o))
            return NULL;
        ir_optimize(b, &(struct opt_options){ .verify = e->o.verify });
        if (b->insns != insns)
            die(EXIT_CODE_CHECK, "internal error: a block of stencils has %u instructions, its IR %u", insns, b->insns);
    }
    unsigned heat = e->next_heat++ % HEAT_SIZE;
    heat_table(c)[heat] = e->o.check ? INT32_MAX : (int32_t)e->o.hot;
    e->stats.copied++;
    e->stats.copied_insns += b->insns;
    return cache_add_copy(&e->cache, b, e->stencils, heat);
}

/* The code at lin, physical address pa, made to a block. NULL: the fetch faulted, c->fault is set. */
static struct block *translate(struct cpu *c, uint32_t mode, uint64_t lin, uint64_t pa)
{
    struct exec *e = c->exec;
    bool dump = dump_at(c, lin), hot = e->hot;
    bool timed = e->o.time && !dump && e->stats.blocks % SAMPLE == 0;
    struct block *b;
    e->hot = false;
    if (timed)
        stopwatch_start(&e->watch);
    b = e->stencils && !hot && (mode & (M_FLAT_CS | M_ONE | M_NOSHARE | M_TF | M_BRK)) == M_FLAT_CS ?
        copy_block(c, mode, lin, pa) : NULL;
    if (timed)
        e->stats.stage_ns[STAGE_COPY] += stopwatch_lap(&e->watch);
    if (!b) {
        if (!lift_block(c, &e->ir, mode, &e->lift))
            return NULL;
        if (timed)
            e->stats.stage_ns[STAGE_LIFT] += stopwatch_lap(&e->watch);
        if (dump)
            log_block(c, &e->ir);
        ir_optimize(&e->ir, &(struct opt_options){ .verify = e->o.verify, .dump = dump && log_on(LOG_OPT),
                                                   .dump_to = log_file() });
        if (timed)
            e->stats.stage_ns[STAGE_OPT] += stopwatch_lap(&e->watch);
        b = cache_add(&e->cache, &e->ir);
        if (timed)
            e->stats.stage_ns[STAGE_EMIT] += stopwatch_lap(&e->watch);
    } else if (dump) {
        log_block(c, &e->ir);
    }
    if (timed)
        *(b->copied ? &e->stats.timed_copied : &e->stats.timed_insns) += b->insns;
    if (dump && log_on(LOG_OUT) && !e->o.interp)
        check_disassemble(log_file(), b->rw, b->size, (uint64_t)(uintptr_t)block_rx(&e->cache, b), 64, 0);
    return b;
}

/* NULL: the fetch faulted, c->fault is set. */
static struct block *block_at(struct cpu *c, uint32_t mode, uint64_t *page, bool *global)
{
    struct exec *e = c->exec;
    uint64_t lin = lin_of(c), pa;
    if (!mmu_code(c, lin, &pa, global))
        return NULL;
    *page = lin & PAGE_MASK;
    e->stats.lookups++;         /* the jump cache did not know it */
    struct block *b = cache_find(&e->cache, pa, mode, (uint32_t)c->rip);
    if (b && b->once) {
        cache_kill(&e->cache, b);
        b = NULL;
    }
    if (b && b->crosses) {
        /* the second page must still be the one it was made from */
        uint64_t pa2;
        bool g2;
        if (!mmu_code(c, *page + PAGE_SIZE, &pa2, &g2) || (pa2 & PAGE_MASK) != b->page2) {
            cache_kill(&e->cache, b);
            b = NULL;
        } else {
            *global = *global && g2;
        }
    }
    if (b)
        return b;
    b = translate(c, mode, lin, pa);
    if (b) {
        e->stats.blocks++;
        e->stats.insns += b->insns;
    }
    return b;
}

const struct block *exec_translate(struct cpu *c)
{
    uint64_t page;
    bool global;
    return block_at(c, c->mode, &page, &global);
}

/* The guest RIP of page offset or EIP `pc` of a block that runs now. */
static uint64_t rip_of(const struct cpu *c, const struct block *b, int64_t pc)
{
    if (!b->flat)
        return (uint32_t)pc;
    uint64_t r = c->pc_page + (uint64_t)pc;
    return (b->mode & M_CODE) == M_CODE64 ? r : (uint32_t)r;
}

/* The fault point host offset `off` of b belongs to. */
static struct host_fault fault_at(const struct block *b, uint32_t off)
{
    unsigned lo = 0, hi = b->nfaults;
    while (hi - lo > 1) {
        unsigned m = (lo + hi) / 2;
        if (b->fault[m].ra <= off)
            lo = m;
        else
            hi = m;
    }
    return b->nfaults ? b->fault[lo] : (struct host_fault){ .pc = (int32_t)b->start };
}

/* The part of b's code that holds `host`: the straight way or the cold rest. */
static const uint8_t *part_of(const struct cache *k, const struct block *b, const uint8_t *host,
                              uint32_t *size)
{
    bool cold = b->cold && host >= b->cold + k->rx_off && host < b->cold + k->rx_off + b->cold_size;
    *size = cold ? b->cold_size : b->size;
    return cold ? b->cold : b->rw;
}

/* The block of the instruction at `host`: cache_by_host() is asked for return addresses, which lie behind. */
static struct block *block_of_insn(struct cpu *c, const void *host)
{
    return cache_by_host(&c->exec->cache, (const uint8_t *)host + 1);
}

bool exec_at_host(struct cpu *c, const void *host, uint64_t *rip)
{
    struct block *b = c->exec ? block_of_insn(c, host) : NULL;
    if (b) {
        const uint8_t *start = block_rx(&c->exec->cache, b);
        *rip = rip_of(c, b, fault_at(b, (uint32_t)((const uint8_t *)host - start)).pc);
    }
    return b;
}

void exec_show_host(struct cpu *c, const void *host, FILE *f)
{
    struct cache *k = &c->exec->cache;
    struct block *b = block_of_insn(c, host);
    uint32_t size;
    const uint8_t *p = part_of(k, b, host, &size);
    fprintf(f, "guest code:\n");
    check_guest_code(f, c->m->phys, b->mode, b->flat ? c->pc_page | b->start : c->seg[SEG_CS].base + b->start,
                     b->range, b->nrange);
    fprintf(f, "host code:\n");
    check_disassemble(f, p, size, (uint64_t)(uintptr_t)(p + k->rx_off), 64, (uint64_t)(uintptr_t)host);
}

/* Translated code left at c->link_ra: make c->rip and c->flags exact (but for flags the code at c->rip
 * overwrites unseen); *l: the direct exit it left by, if it was one. */
static struct block *left_from(struct cpu *c, struct link **l)
{
    struct exec *e = c->exec;
    struct block *b = cache_by_host(&e->cache, (const void *)(uintptr_t)c->link_ra);
    uint32_t off = (uint32_t)((const uint8_t *)(uintptr_t)c->link_ra - (const uint8_t *)block_rx(&e->cache, b));
    struct host_fault f = fault_at(b, off);
    *l = NULL;
    recipe_resolve(e->cache.recipes, c, f.ra == off ? f.recipe : 0);
    if (b->dead && off == 5) {
        c->rip = rip_of(c, b, b->start);
        jc_at(c)->tag = redo_at(c)->tag = ~(uint64_t)0;         /* one may be how we got there */
        return b;
    }
    for (unsigned i = 0; i < b->nlinks; i++)
        if (b->link[i].x.stub_ra == off) {
            *l = &b->link[i];
            c->rip = rip_of(c, b, b->link[i].x.pc);
            return b;
        }
    c->rip = rip_of(c, b, f.pc);
    return b;
}

void exec_resolve_flags(struct cpu *c)
{
    recipe_resolve(c->exec->cache.recipes, c, 0);
}

bool exec_store_hits_self(struct cpu *c, uint64_t lin, unsigned size, enum mmu_idx idx)
{
    struct exec *e = c->exec;
    for (unsigned end = 0; end < 2; end++) {
        uint64_t a = end ? lin + size - 1 : lin, pa;
        if (end && !((lin ^ a) & PAGE_MASK))
            break;
        if (mmu_fill(c, a, 1, ACC_WRITE, idx, NULL, NULL) != MMU_SPECIAL)
            continue;
        mmu_fill(c, a, 1, ACC_WRITE, idx, NULL, &pa);
        uint64_t lo = end ? pa & PAGE_MASK : pa, hi = end ? pa + 1 : pa + size;
        if (!smc_has_code(c->m->phys, lo, (unsigned)(hi - lo)))
            continue;                           /* most stores: data beside code */
        struct block *b = cache_by_host(&e->cache, (const void *)(uintptr_t)c->link_ra);
        if (!b || (b->mode & M_ONE))
            return false;
        for (unsigned i = 0; i < b->nrange; i++)
            if (b->range[i].pa < hi && lo < b->range[i].pa + b->range[i].len)
                return true;
    }
    return false;
}

void exec_invalidate(struct phys *p, uint64_t pa, unsigned len)
{
    struct cpu *c;
    for (unsigned n = 0; (c = phys_cpu(p, n)); n++)
        if (c->exec)
            cache_invalidate(&c->exec->cache, pa, len);
}

/* ---- the loop ---- */

static void deliver(struct cpu *c)
{
    if (log_on(LOG_INT))
        log_msg(LOG_INT, "fault %u code %x at %llx cr2 %llx", c->fault.vector, c->fault.code,
                (unsigned long long)c->rip, (unsigned long long)c->fault.cr2);
    if (cpu_deliver_fault(c))
        machine_request_stop(c->m, STOP_TRIPLE, 0);
}

/* Follow a direct exit from block `b`: link it to `to` if it may be linked. */
static void try_link(struct cpu *c, struct link *l, struct block *to, uint32_t from_mode, uint32_t key_from,
                     uint32_t key_to)
{
    struct exec *e = c->exec;
    struct block *b = l->from;
    if (b->dead || to->dead || to->once || (l->x.aux & EXIT_EVENT) || (from_mode & ~(M_ONE | M_NOSHARE)) != to->mode)
        return;
    if (to->crosses && !(l->x.aux & EXIT_CROSS))
        return;
    if (l->x.aux & EXIT_CROSS) {
        if (!b->flat || l->relinks > RELINK_MAX)
            return;
        if (l->relinks++ == RELINK_MAX) {
            backend_hop(e->cache.be, b->rw, &l->x, (b->mode & M_CODE) == M_CODE64);
            return;
        }
    }
    cache_link(&e->cache, l, to, key_from, key_to);
    e->stats.links++;
}

void exec_left(struct cpu *c, enum exec_why why)
{
    struct link *l;
    uint64_t rip = c->rip;
    if (why == WHY_NEXT) {
        recipe_resolve(c->exec->cache.recipes, c, 0);
        return;
    }
    left_from(c, &l);
    if (why == WHY_FAULT && (c->fault.trap || c->fault.soft))
        c->rip = rip;
}

/*
 * Block b was left before the instruction at c->rip, which is to be run alone.  If it is the one in STI's
 * shadow, nothing may come in between: go through exec_run(), which knows shadows.
 */
static bool in_shadow(struct cpu *c, const struct block *b)
{
    if (b->shadow == NO_SHADOW || rip_of(c, b, b->flat ? (int32_t)b->shadow : (int64_t)b->shadow) != c->rip)
        return false;
    c->inhibit = INHIBIT_STI;
    return true;
}

static void shadow_passed(struct cpu *c)
{
    c->exec->shadow = 0;
    cpu_if_changed(c);
}

/* Lock-step: block by block, nothing linked. */
static void run_check(struct cpu *c, uint32_t extra)
{
    struct exec *e = c->exec;
    do {
        uint64_t page;
        bool global, interp;
        enum exec_why why;
        struct block *b = block_at(c, c->mode | extra, &page, &global);
        if (!b) {
            deliver(c);
            return;
        }
        bool shadow = extra != 0;
        extra = 0;
        c->pc_page = page;
        c->pagekey = ~0u;                       /* no guard matches */
        c->jc_salt = 0;                         /* no tag matches: jc_clear() */
        check_block(e->check, c, &e->cache, b, b->ir, &why, &interp);
        if (!interp && (why == WHY_ATTN || why == WHY_SLOW || why == WHY_UNSHARED))
            exec_left(c, why);
        if (why == WHY_ATTN && shadow) {
            c->inhibit = e->shadow;
            return;
        }
        if ((why == WHY_SLOW || why == WHY_UNSHARED) && in_shadow(c, b))
            return;
        if (why == WHY_UNSHARED) {
            extra = M_NOSHARE;
            continue;
        }
        if (why == WHY_SLOW) {
            extra = M_ONE | M_NOSHARE;
            continue;
        }
        if (why == WHY_FAULT) {
            deliver(c);
            return;
        }
        if (shadow)
            shadow_passed(c);
    } while (extra || !(c->attn | c->halted | c->inhibit));
}

/* Bring what depends on mappings and mode up to date before looking anything up. */
static void refresh(struct cpu *c)
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

const void *exec_dispatch(struct cpu *c)
{
    struct exec *e = c->exec;
    if ((c->attn | c->halted | c->inhibit) || e->o.check)
        return NULL;
    refresh(c);
    return jc_hit(c, jc_at(c));
}

const void *exec_redo(struct cpu *c)
{
    struct exec *e = c->exec;
    recipe_resolve(e->cache.recipes, c, (uint32_t)c->arg[0]);
    if ((c->attn | c->halted | c->inhibit) || e->o.check || e->stale)
        return NULL;
    const void *rx = jc_hit(c, redo_at(c));
    if (rx)
        e->stats.slow++;
    return rx;
}

static void run_jit(struct cpu *c, uint32_t extra)
{
    struct exec *e = c->exec;
    struct link *l = NULL;
    uint32_t from_mode = 0, from_key = 0;
    for (;;) {
        uint64_t page;
        bool global;
        uint32_t mode = c->mode | extra;
        refresh(c);
        const void *rx = l || extra ? NULL : jc_hit(c, jc_at(c));
        if (!rx) {
            uint64_t emptied = e->cache.flushes;
            struct block *b = block_at(c, mode, &page, &global);
            if (!b) {
                deliver(c);
                return;
            }
            c->pc_page = page;
            c->pagekey = pagekey_of(c, page, global);
            rx = block_rx(&e->cache, b);
            /* Making room for b may have taken the memory of the block that was left, and of l. */
            if (l && e->cache.flushes == emptied)
                try_link(c, l, b, from_mode, from_key, (uint32_t)c->pagekey);
            if (!(extra & M_ONE) && b->flat && !b->once) {
                struct jc_entry *j = extra == M_NOSHARE ? redo_at(c) : jc_at(c);
                *j = (struct jc_entry){ .tag = c->rip ^ c->jc_salt, .host = rx, .page = page,
                                        .key = c->pagekey };
            }
        }
        l = NULL;
        enum exec_why why = backend_enter(e->cache.be, c, rx);
        e->stats.left[why]++;
        struct block *b;
        switch (why) {
        case WHY_NEXT:
            recipe_resolve(e->cache.recipes, c, 0);
            break;
        case WHY_EXIT:
            left_from(c, &l);
            l = NULL;
            break;
        case WHY_LINK:
            b = left_from(c, &l);
            from_mode = b->mode;
            from_key = (uint32_t)c->pagekey;
            break;
        case WHY_ATTN:
            left_from(c, &l);
            if (extra & M_ONE)
                c->inhibit = e->shadow;
            return;
        case WHY_SLOW:
            if (in_shadow(c, left_from(c, &l)))
                return;
            l = NULL;
            extra = M_ONE | M_NOSHARE;
            e->stats.slow++;
            continue;
        case WHY_UNSHARED:
            if (in_shadow(c, left_from(c, &l)))
                return;
            l = NULL;
            extra = M_NOSHARE;
            e->stats.slow++;
            continue;
        case WHY_HOT:
            cache_kill(&e->cache, left_from(c, &l));
            l = NULL;
            e->hot = true;
            break;
        case WHY_COUNT:
            break;
        case WHY_FAULT: {
            uint64_t rip = c->rip;
            left_from(c, &l);
            if (c->fault.trap || c->fault.soft)
                c->rip = rip;
            deliver(c);
            return;
        }
        }
        if (extra)
            shadow_passed(c);
        extra = 0;
        if (c->attn | c->halted | c->inhibit)
            return;
    }
}

static void run_interp(struct cpu *c, uint32_t extra)
{
    do {
        uint64_t page;
        bool global;
        unsigned exit;
        struct block *b = block_at(c, c->mode | extra, &page, &global);
        if (!b) {
            deliver(c);
            return;
        }
        c->pc_page = page;
        switch (interp_run(c, b->ir, &exit)) {
        case WHY_FAULT:
            deliver(c);
            return;
        case WHY_ATTN:
            if (extra & M_ONE)
                c->inhibit = c->exec->shadow;
            return;
        case WHY_SLOW:
            if (in_shadow(c, b))
                return;
            extra = M_ONE | M_NOSHARE;
            continue;
        default:
            break;
        }
        if (extra)
            shadow_passed(c);
        extra = 0;
    } while (extra || !(c->attn | c->halted | c->inhibit));
}

/*
 * Somebody is about to look at the flags between two instructions: an interrupt,
 * or whoever stopped the machine.  Those which the code at c->rip overwrites before
 * any instruction could show them are not kept up to date (lift_live.c).  So run on,
 * instruction by instruction, until all flags are new; that is as if the event had
 * come a moment later.  What is run cannot fault: it would be seen by lift_live().
 */
static void settle_flags(struct cpu *c)
{
    struct exec *e = c->exec;
    unsigned writes, exit, open;
    if (c->halted || c->inhibit)                /* these come behind exits at which all is stored */
        return;
    open = lift_flags_open(c, &e->ir, &e->lift, &writes);
    while (open) {
        if (!lift_block(c, &e->ir, c->mode | M_ONE | M_NOSHARE, &e->lift))
            return;
        ir_optimize(&e->ir, &(struct opt_options){ .verify = e->o.verify });
        c->pc_page = lin_of(c) & PAGE_MASK;
        if (interp_now(c, &e->ir, &exit) != WHY_NEXT)
            return;
        open &= ~writes;
        (void)lift_flags_open(c, &e->ir, &e->lift, &writes);
    }
}

void exec_run(struct cpu *c)
{
    struct exec *e = c->exec;
    while (!(c->attn & (ATTN_EXIT | ATTN_INIT | ATTN_SIPI))) {
        if (c->attn) {
            settle_flags(c);
            cpu_take_interrupt(c);
        }
        if (c->halted) {
            e->o.halt(c);
            continue;
        }
        uint32_t extra = 0;
        e->shadow = c->inhibit;
        if (c->inhibit) {
            c->inhibit = 0;
            extra = M_ONE;
        }
        if (e->o.check)
            run_check(c, extra);
        else if (e->o.interp)
            run_interp(c, extra);
        else
            run_jit(c, extra);
    }
    if (c->attn & ATTN_EXIT)
        settle_flags(c);
}

void exec_init(struct cpu *c, const struct exec_options *o)
{
    struct exec *e = calloc(1, sizeof *e);
    if (!e)
        die(EXIT_CODE_HOST, "out of memory");
    e->o = *o;
    e->lift = (struct lift_options){ .max_insns = o->max_insns ? o->max_insns : 48, .max_branches = 2,
                                     .smp = o->smp };
    e->cache.forget = jc_clear;
    e->cache.arg = c;
    e->global_gen = e->local_gen = 1;
    e->stale = true;
    ir_init(&e->ir);
    interp_init();
    cache_init(&e->cache, o->m->phys, o->cache_size ? o->cache_size : 64u << 20, o->interp);
    e->cache.keep_ir = o->interp || o->check;
    if (!o->interp && o->hot)
        e->stencils = stencils_new(e->cache.be);
    if (o->check)
        e->check = check_new();
    if (o->time)
        stopwatch_init(&e->watch);
    c->exec = e;
    jc_clear(c);
    backend_fp_changed(c);
}

void exec_free(struct cpu *c)
{
    cache_free(&c->exec->cache);
    check_free(c->exec->check);
    stencils_free(c->exec->stencils);
    ir_free(&c->exec->ir);
    free(c->exec);
    c->exec = NULL;
}

const struct exec_stats *exec_stats(struct cpu *c)
{
    struct exec *e = c->exec;
    e->stats.host_bytes = e->cache.code_bytes;
    e->stats.invalidated = e->cache.invalidated;
    e->stats.flushes = e->cache.flushes;
    if (e->stencils)
        stencils_count(e->stencils, &e->stats.forms, &e->stats.stencils);
    e->stats.checked = e->check ? check_count(e->check) : 0;
    return &e->stats;
}

double exec_stage_ns(const struct exec_stats *s, enum exec_stage stage)
{
    uint64_t n = stage == STAGE_COPY ? s->timed_copied : s->timed_insns;
    return n ? (double)s->stage_ns[stage] / (double)n : 0;
}

double exec_translation_ns(const struct exec_stats *s)
{
    uint64_t ns = 0, n = s->timed_copied + s->timed_insns;
    for (unsigned k = 0; k < STAGE_COUNT; k++)
        ns += s->stage_ns[k];
    return n ? (double)ns / (double)n : 0;
}
