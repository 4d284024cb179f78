/*
 * walk.c - page-table walks: all of the SDM's paging formats (vol. 3, chapter 4).
 *
 * One loop serves them all; a format is a row of (entry size, index bits, top level).  Invariant:
 * an entry is used only as it was read: accessed and dirty bits are set by compare-and-swap on the
 * entry in guest memory, and if it changed meanwhile the walk starts again.
 *
 * What the walk cache holds may be more restrictive than the tables by now (software need not
 * flush when it grants rights), so a fault found through it is only believed after a walk from the
 * root (SDM vol. 3, 4.10.4.3 allows either, this is the friendlier).
 */
#include "base/log.h"
#include "softmmu/mmu.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define RETRY_LIMIT 64

enum format { FMT_NONE, FMT_32, FMT_PAE, FMT_4LEVEL };

static const struct { uint8_t entry_bytes, index_bits, top; const char *name; } formats[] = {
    [FMT_NONE]   = { 0, 0, 0, "no paging" },
    [FMT_32]     = { 4, 10, 2, "32-bit paging" },
    [FMT_PAE]    = { 8, 9, 2, "PAE paging" },      /* below the cached PDPTEs */
    [FMT_4LEVEL] = { 8, 9, 4, "4-level paging" },
};

static enum format format_of(const struct cpu *c)
{
    if (!(c->cr0 & CR0_PG))
        return FMT_NONE;
    if (c->efer & EFER_LMA)
        return FMT_4LEVEL;
    return c->cr4 & CR4_PAE ? FMT_PAE : FMT_32;
}

static unsigned level_shift(enum format f, unsigned level)
{
    return PAGE_BITS + formats[f].index_bits * (level - 1);
}

#define ADDR_MASK ((PA_LIMIT - 1) & PAGE_MASK)

/* Bits that must be zero in a present entry at `level`; `leaf`: it maps a page. */
static uint64_t reserved_bits(const struct cpu *c, enum format f, unsigned level, bool leaf)
{
    uint64_t r;

    if (f == FMT_32)            /* 4 MiB page: bits 20:13 are address bits 39:32 (PSE-36) */
        return leaf && level == 2 ? 1u << 21 : 0;
    r = 0x000fffffffffffffull & ~(PA_LIMIT - 1);
    if (f == FMT_PAE)
        r = 0x7fffffffffffffffull & ~(PA_LIMIT - 1);
    if (!(c->efer & EFER_NXE))
        r |= PTE_NX;
    if (level == 4)
        r |= PTE_PS;
    if (leaf && level > 1)      /* between the PAT bit (12) and the frame */
        r |= (((uint64_t)1 << level_shift(f, level)) - 1) & ~(uint64_t)0x1fff;
    return r;
}

static bool is_leaf(const struct cpu *c, enum format f, unsigned level, uint64_t e)
{
    if (level == 1)
        return true;
    if (!(e & PTE_PS) || level == 4)
        return false;
    return f != FMT_32 || (c->cr4 & CR4_PSE);
}

/* Frame address of a leaf entry. */
static uint64_t leaf_frame(enum format f, unsigned level, uint64_t e)
{
    if (f == FMT_32 && level == 2)
        return (e & 0xffc00000u) | (e >> 13 & 0xff) << 32;
    return e & ADDR_MASK & ~(((uint64_t)1 << level_shift(f, level)) - 1);
}

bool walk_permits(const struct cpu *c, uint32_t rights, enum mmu_access acc, unsigned idx)
{
    bool user_page = rights & PTE_U;

    if (idx == MMU_USER) {
        if (!user_page || (acc == ACC_WRITE && !(rights & PTE_W)))
            return false;
    } else {
        if (acc == ACC_WRITE && !(rights & PTE_W) && (c->cr0 & CR0_WP))
            return false;
        if (acc == ACC_EXEC ? user_page && (c->cr4 & CR4_SMEP)
                            : user_page && idx == MMU_KERNEL && (c->cr4 & CR4_SMAP))
            return false;
    }
    return acc != ACC_EXEC || !(rights & WALK_NX);
}

static uint64_t read_entry(struct phys *p, const uint8_t *host, uint64_t pa, unsigned bytes)
{
    if (!host) {                /* tables in a device or a hole: legal, if senseless */
        return phys_io_read(p, pa, bytes);
    }
    if (bytes == 4)
        return __atomic_load_n((const uint32_t *)(const void *)host, __ATOMIC_ACQUIRE);
    return __atomic_load_n((const uint64_t *)(const void *)host, __ATOMIC_ACQUIRE);
}

/* Set accessed and dirty bits. False: the entry changed under us. */
static bool mark_entry(struct phys *p, uint8_t *host, uint64_t pa, unsigned bytes, uint64_t e,
                       uint64_t bits)
{
    bool ok;

    if (!host || !phys_host(p, pa, true, NULL))
        return true;            /* not RAM: the write has no effect */
    if (bytes == 4) {
        uint32_t old = (uint32_t)e;

        ok = __atomic_compare_exchange_n((uint32_t *)(void *)host, &old, old | (uint32_t)bits, false,
                                         __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    } else {
        ok = __atomic_compare_exchange_n((uint64_t *)(void *)host, &e, e | bits, false, __ATOMIC_SEQ_CST,
                                         __ATOMIC_SEQ_CST);
    }
    if (ok)
        smc_written(p, pa, bytes);
    if (ok && p->tracks)
        track_written(p, host, bytes);
    return ok;
}

/* Where the walk stands: about to read the entry of `level` in `table`. */
struct position {
    uint64_t table_pa;
    uint8_t *table;
    uint32_t rights;
    unsigned level;
};

static uint8_t *table_host(struct phys *p, uint64_t pa)
{
    return phys_host(p, pa, false, NULL);
}

/* The top of the walk. True: not present (PAE). */
static bool start(struct cpu *c, struct phys *p, enum format f, uint64_t lin, struct position *at)
{
    uint64_t pa = c->cr3 & ADDR_MASK;

    if (f == FMT_32)
        pa = c->cr3 & 0xfffff000u;
    if (f == FMT_PAE) {
        uint64_t e = c->pdpte[lin >> 30 & 3];

        if (!(e & PTE_P))
            return true;
        pa = e & ADDR_MASK;
    }
    at->table_pa = mmu_bus_pa(c, pa, false);
    at->table = table_host(p, at->table_pa);
    at->rights = PTE_W | PTE_U;
    at->level = formats[f].top;
    return false;
}

enum outcome { DONE, FAULT, AGAIN };

/* From a position down to the leaf. */
static enum outcome descend(struct cpu *c, enum format f, uint64_t lin, enum mmu_access acc, unsigned idx,
                            bool peek, struct position *at, struct walk_result *w, uint32_t *code)
{
    struct phys *p = c->mmu->phys;
    unsigned bytes = formats[f].entry_bytes;
    uint64_t index_mask = ((uint64_t)1 << formats[f].index_bits) - 1;

    for (;;) {
        unsigned shift = level_shift(f, at->level);
        uint64_t off = (lin >> shift & index_mask) * bytes;
        uint64_t pa = at->table_pa + off;
        uint8_t *host = at->table ? at->table + off : NULL;
        uint64_t e = read_entry(p, host, pa, bytes), want = PTE_A;
        uint32_t rights;
        bool leaf;

        if (!(e & PTE_P)) {
            *code = 0;
            return FAULT;
        }
        leaf = is_leaf(c, f, at->level, e);
        if (e & reserved_bits(c, f, at->level, leaf)) {
            *code = PF_P | PF_R;
            return FAULT;
        }
        rights = (at->rights & (uint32_t)e & (PTE_W | PTE_U)) | (at->rights & WALK_NX);
        if (bytes == 8 && (e & PTE_NX))
            rights |= WALK_NX;
        if (leaf) {
            if (!peek && !walk_permits(c, rights, acc, idx)) {
                *code = PF_P;
                return FAULT;
            }
            if (acc == ACC_WRITE)
                want |= PTE_D;
        }
        if (!peek && (e & want) != want && !mark_entry(p, host, pa, bytes, e, want))
            return AGAIN;
        if (leaf) {
            uint64_t in_page = ((uint64_t)1 << shift) - 1;

            w->pa = mmu_bus_pa(c, (leaf_frame(f, at->level, e) & ~in_page) | (lin & in_page), acc == ACC_EXEC);
            w->rights = rights;
            w->shift = (uint8_t)shift;
            w->global = (e & PTE_G) && (c->cr4 & CR4_PGE);
            w->dirty = (e | want) & PTE_D;
            return DONE;
        }
        at->rights = rights;
        at->table_pa = mmu_bus_pa(c, e & ADDR_MASK, false);
        at->table = table_host(p, at->table_pa);
        at->level--;
    }
}

static uint32_t access_code(const struct cpu *c, enum mmu_access acc, unsigned idx)
{
    uint32_t code = 0;

    if (acc == ACC_WRITE)
        code |= PF_W;
    if (idx == MMU_USER)
        code |= PF_U;
    if (acc == ACC_EXEC && ((c->cr4 & CR4_SMEP) || ((c->efer & EFER_NXE) && (c->cr4 & CR4_PAE))))
        code |= PF_I;
    return code;
}

/*
 * Nearly every TLB miss is this: 8-byte entries, the leaf's table known, nothing to mark.  False
 * means "not so simple", never a verdict; it must agree with descend(), which it only shortens.
 */
static inline bool quick(const struct cpu *c, enum format f, const struct walk_entry *cache, uint64_t lin,
                         enum mmu_access acc, unsigned idx, struct walk_result *w)
{
    uint64_t e, need = acc == ACC_WRITE ? PTE_P | PTE_A | PTE_D : PTE_P | PTE_A;
    uint32_t rights;

    if (cache->level != 1 || f == FMT_32)
        return false;
    e = read_entry(NULL, cache->table + (lin >> PAGE_BITS & 511) * 8, 0, 8);
    if ((e & need) != need || (e & reserved_bits(c, f, 1, true)))
        return false;
    rights = (cache->rights & (uint32_t)e & (PTE_W | PTE_U)) | (cache->rights & WALK_NX);
    if (e & PTE_NX)
        rights |= WALK_NX;
    if (!walk_permits(c, rights, acc, idx))
        return false;
    w->pa = mmu_bus_pa(c, (e & ADDR_MASK) | (lin & 0xfff), acc == ACC_EXEC);
    w->rights = rights;
    w->shift = PAGE_BITS;
    w->global = (e & PTE_G) && (c->cr4 & CR4_PGE);
    w->dirty = e & PTE_D;
    return true;
}

static bool walk(struct cpu *c, uint64_t lin, enum mmu_access acc, unsigned idx, bool peek,
                 struct walk_result *w, uint32_t *code)
{
    struct softmmu *m = c->mmu;
    enum format f = format_of(c);
    struct walk_entry *cache = &m->cur->walk[lin >> 21 & (WALKS - 1)];
    struct position at;
    enum outcome o;

    if (f == FMT_NONE) {
        *w = (struct walk_result){ mmu_bus_pa(c, (uint32_t)lin, acc == ACC_EXEC), PTE_W | PTE_U, PAGE_BITS, false,
                                   true };
        return false;
    }
    if (!peek && cache->key == lin >> 21 && cache->gen == m->cur->gen) {
        m->stats.walk_hits++;
        if (quick(c, f, cache, lin, acc, idx, w))
            return false;
        at = (struct position){ cache->table_pa, cache->table, cache->rights, cache->level };
        if (descend(c, f, lin, acc, idx, false, &at, w, code) == DONE)
            return false;
    }
    for (unsigned tries = 0; ; tries++) {
        if (!peek)
            m->stats.walks++;
        *code = 0;
        o = start(c, m->phys, f, lin, &at) ? FAULT : descend(c, f, lin, acc, idx, peek, &at, w, code);
        if (o == DONE)
            break;
        if (o == FAULT || tries == RETRY_LIMIT) {
            *code |= access_code(c, acc, idx);
            return true;
        }
    }
    if (!peek && at.table)
        *cache = (struct walk_entry){ lin >> 21, m->cur->gen, at.table, at.table_pa, at.rights, at.level };
    return false;
}

bool walk_lin(struct cpu *c, uint64_t lin, enum mmu_access acc, unsigned idx, bool peek,
              struct walk_result *w, uint32_t *code)
{
    static const char *const what[] = { [ACC_READ] = "read", [ACC_WRITE] = "write", [ACC_EXEC] = "execute" };
    bool fault = walk(c, lin, acc, idx, peek, w, code);

    if (peek || !log_on(LOG_MMU))
        return fault;
    if (fault)
        log_msg(LOG_MMU, "%s %llx: page fault, code %x", what[acc], (unsigned long long)lin, *code);
    else
        log_msg(LOG_MMU, "%s %llx -> %llx, page of 2^%u bytes, %s%s%s%s", what[acc], (unsigned long long)lin,
                (unsigned long long)w->pa, w->shift, w->rights & PTE_W ? "writable " : "",
                w->rights & PTE_U ? "user " : "", w->rights & WALK_NX ? "nx " : "",
                w->global ? "global" : "");
    return fault;
}

bool mmu_load_pdptes(struct cpu *c, uint64_t cr3)
{
    struct phys *p = c->mmu->phys;
    uint64_t base = mmu_bus_pa(c, cr3 & 0xffffffe0u, false), e[4];

    for (unsigned i = 0; i < 4; i++) {
        e[i] = phys_io_read(p, base + 8 * i, 8);
        if ((e[i] & PTE_P) && (e[i] & (~(PA_LIMIT - 1) | 0x1e6)))
            return true;
    }
    memcpy(c->pdpte, e, sizeof(e));
    return false;
}

bool mmu_code_mapping(struct cpu *c, uint64_t lin, struct code_mapping *m)
{
    struct walk_result w;
    uint32_t code;
    uint64_t mask;

    lin = lin_wrap(c, lin);
    if (!lin_canonical(c, lin) || walk_lin(c, lin, ACC_EXEC, MMU_KERNEL_NOSMAP, true, &w, &code))
        return false;
    if (c->smm)
        w.shift = PAGE_BITS;    /* a large page may be only partly what others see there */
    mask = ~(((uint64_t)1 << w.shift) - 1);
    memset(m, 0, sizeof(*m));   /* padding too: callers compare */
    m->lin = lin & mask;
    m->pa = w.pa & mask;
    m->rights = w.rights;
    m->shift = w.shift;
    m->global = w.global;
    return true;
}

uint64_t mmu_smm_pa(const struct cpu *c, uint64_t pa)
{
    return smm_alias(c->mmu->phys, pa, false);
}

bool mmu_debug_translate(struct cpu *c, uint64_t lin, uint64_t *pa)
{
    struct walk_result w;
    uint32_t code;

    lin = lin_wrap(c, lin);
    if (!lin_canonical(c, lin) || walk_lin(c, lin, ACC_READ, MMU_KERNEL_NOSMAP, true, &w, &code))
        return false;
    *pa = w.pa;
    return true;
}

bool mmu_debug_read(struct cpu *c, uint64_t lin, void *buf, unsigned len)
{
    uint8_t *b = buf;

    while (len) {
        unsigned n = PAGE_SIZE - (lin & 0xfff);
        uint64_t pa, run;
        uint8_t *host;

        if (n > len)
            n = len;
        if (!mmu_debug_translate(c, lin, &pa))
            return false;
        host = phys_host(c->mmu->phys, pa, false, &run);
        if (!host || run < n)   /* never disturb a device */
            return false;
        memcpy(b, host, n);
        b += n;
        lin += n;
        len -= n;
    }
    return true;
}

/* ---- the walk in words ---- */

struct text { char *at; size_t room; };

static void say(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void say(struct text *t, const char *fmt, ...)
{
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(t->at, t->room, fmt, ap);
    va_end(ap);
    if (n > 0 && (size_t)n >= t->room)
        n = t->room ? (int)t->room - 1 : 0;
    if (n > 0) {
        t->at += n;
        t->room -= (size_t)n;
    }
}

static void say_entry(struct text *t, const struct cpu *c, enum format f, unsigned level, uint64_t pa,
                      uint64_t e)
{
    static const char *const names[] = { "", "PTE", "PDE", "PDPTE", "PML4E" };
    bool leaf = is_leaf(c, f, level, e);

    say(t, "  %-5s at %010" PRIx64 ": %016" PRIx64, names[level], pa, e);
    if (!(e & PTE_P)) {
        say(t, "  NOT PRESENT\n");
        return;
    }
    say(t, "  %s %s%s%s%s%s", e & PTE_W ? "writable" : "read-only", e & PTE_U ? "user" : "supervisor",
        e & PTE_A ? " accessed" : "", leaf && (e & PTE_D) ? " dirty" : "",
        leaf && (e & PTE_G) ? " global" : "", f != FMT_32 && (e & PTE_NX) ? " no-execute" : "");
    if (e & reserved_bits(c, f, level, leaf))
        say(t, "  RESERVED BITS %016" PRIx64, e & reserved_bits(c, f, level, leaf));
    say(t, "\n");
}

void mmu_explain(struct cpu *c, uint64_t lin, char *buf, unsigned len)
{
    struct phys *p = c->mmu->phys;
    enum format f = format_of(c);
    struct text t = { buf, len };
    struct position at;

    if (len)
        buf[0] = 0;
    lin = lin_wrap(c, lin);
    say(&t, "%016" PRIx64 ": %s, CR3 %010" PRIx64 "\n", lin, formats[f].name, c->cr3);
    if (!lin_canonical(c, lin)) {
        say(&t, "  NOT CANONICAL: bits 63:47 differ\n");
        return;
    }
    if (f == FMT_NONE) {
        say(&t, "  physical %08" PRIx64 "\n", mmu_bus_pa(c, (uint32_t)lin, false));
        return;
    }
    if (f == FMT_PAE)
        say(&t, "  PDPTE %u (cached): %016" PRIx64 "%s\n", (unsigned)(lin >> 30), c->pdpte[lin >> 30 & 3],
            c->pdpte[lin >> 30 & 3] & PTE_P ? "" : "  NOT PRESENT");
    if (start(c, p, f, lin, &at))
        return;
    for (;; at.level--) {
        unsigned shift = level_shift(f, at.level);
        uint64_t pa = at.table_pa + (lin >> shift & (((uint64_t)1 << formats[f].index_bits) - 1)) *
                                        formats[f].entry_bytes;
        uint8_t *host = phys_host(p, pa, false, NULL);
        uint64_t e;

        if (!host) {
            say(&t, "  table at %010" PRIx64 " IS NOT IN MEMORY\n", at.table_pa);
            return;
        }
        e = read_entry(p, host, pa, formats[f].entry_bytes);
        say_entry(&t, c, f, at.level, pa, e);
        if (!(e & PTE_P))
            return;
        if (is_leaf(c, f, at.level, e)) {
            uint64_t in_page = ((uint64_t)1 << shift) - 1;
            uint64_t to = mmu_bus_pa(c, (leaf_frame(f, at.level, e) & ~in_page) | (lin & in_page), false);

            say(&t, "  physical %010" PRIx64 " (%s)\n", to,
                phys_host(p, to, true, NULL) ? "RAM" : phys_host(p, to, false, NULL) ? "ROM"
                : phys_find(p, to) ? "device" : "nothing there");
            return;
        }
        at.table_pa = mmu_bus_pa(c, e & ADDR_MASK, false);
    }
}

/* ---- all that is mapped ---- */

struct listing {
    struct cpu *c;
    enum format f;
    bool (*each)(void *arg, const struct mmu_page *);
    void *arg;
    unsigned tables;            /* that may still be looked at */
};

/* False: no more, tables ran out or nobody wants them. */
static bool list_table(struct listing *l, unsigned level, uint64_t table_pa, uint64_t lin, uint32_t rights)
{
    struct phys *p = l->c->mmu->phys;
    unsigned bytes = formats[l->f].entry_bytes, shift = level_shift(l->f, level);
    uint8_t *table = table_host(p, table_pa);

    if (!l->tables)
        return false;
    l->tables--;
    for (uint64_t i = 0; table && i < (uint64_t)1 << formats[l->f].index_bits; i++) {
        uint64_t e = read_entry(p, table + i * bytes, table_pa + i * bytes, bytes), at = lin | i << shift;
        bool leaf = is_leaf(l->c, l->f, level, e), ok;
        uint32_t r = (rights & (uint32_t)e & (PTE_W | PTE_U)) | (rights & WALK_NX);

        if (!(e & PTE_P) || (e & reserved_bits(l->c, l->f, level, leaf)))
            continue;
        if (bytes == 8 && (e & PTE_NX))
            r |= WALK_NX;
        if (shift + formats[l->f].index_bits == 48 && (i & 256))
            at |= 0xffff000000000000u;  /* canonical */
        if (leaf) {
            struct mmu_page page = { at,
                                     mmu_bus_pa(l->c, leaf_frame(l->f, level, e), false),
                                     e,
                                     (uint8_t)shift,
                                     r & PTE_W,
                                     r & PTE_U,
                                     !(r & WALK_NX) };
            ok = l->each(l->arg, &page);
        } else {
            ok = list_table(l, level - 1, mmu_bus_pa(l->c, e & ADDR_MASK, false), at, r);
        }
        if (!ok)
            return false;
    }
    return true;
}

enum mmu_listing mmu_list(struct cpu *c, unsigned tables, bool (*each)(void *arg, const struct mmu_page *),
                          void *arg)
{
    struct listing l = { c, format_of(c), each, arg, tables };
    struct position at;
    bool ok = true;

    if (l.f == FMT_NONE)
        return MMU_LIST_NO_PAGING;
    for (uint64_t i = 0; ok && i < (l.f == FMT_PAE ? 4 : 1); i++)
        if (!start(c, c->mmu->phys, l.f, i << 30, &at))
            ok = list_table(&l, at.level, at.table_pa, i << 30, at.rights);
    return ok || l.tables ? MMU_LIST_ALL : MMU_LIST_CUT;
}
