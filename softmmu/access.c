/*
 * access.c - guest memory accesses off the fast path: filling the TLB, complete loads and stores,
 * instruction fetch translation, data breakpoints.
 *
 * Invariant: an access that faults changed nothing but accessed and dirty bits; both pages of a
 * crossing access are translated before either is touched.  c->fault says what the CPU would
 * (SDM vol. 3, 4.7, 6.15; canonical faults vol. 1, 3.3.7.1).
 */
#include "softmmu/mmu.h"

#include <string.h>

#include "frontend/debug.h"
#include "softmmu/journal.h"
#include "translator/ir.h"

/* Where one page's part of an access goes. */
struct where {
    uint8_t *host;              /* NULL: special, at pa */
    uint64_t pa;
};

static void fault_set(struct cpu *c, unsigned vector, uint32_t code, uint64_t cr2)
{
    c->fault = (struct fault){ .vector = (uint8_t)vector, .has_code = true, .code = code, .cr2 = cr2 };
}

static void page_fault(struct cpu *c, uint64_t lin, uint32_t code)
{
    /* SDM vol. 3, 4.10.4.1: a page fault invalidates what is cached for that page. */
    tlb_drop_page(c, lin);
    fault_set(c, EXC_PF, code, lin);
}

/* ---- data breakpoints (SDM vol. 3, 17.2) ---- */

void mmu_watch_changed(struct cpu *c)
{
    static const uint8_t lengths[4] = { 1, 2, 8, 4 };
    struct softmmu *m = c->mmu;
    struct watch old[4];
    unsigned n = 0, old_n = m->nwatch;

    memcpy(old, m->watch, sizeof(old));
    memset(m->watch, 0, sizeof(m->watch));
    for (unsigned i = 0; i < 4; i++) {
        unsigned how = c->dr[7] >> (16 + 4 * i) & 3;
        unsigned len = lengths[c->dr[7] >> (18 + 4 * i) & 3];

        if (!(c->dr[7] >> (2 * i) & 3) || !(how & 1))
            continue;           /* off, or execution (0) or I/O (2) */
        m->watch[n].lin = c->dr[i] & ~(uint64_t)(len - 1);
        m->watch[n].len = len;
        m->watch[n].on_read = how == 3;
        m->watch[n].on_write = true;
        m->watch[n].bit = (uint8_t)(1u << i);
        n++;
    }
    m->nwatch = n;
    if (n != old_n || memcmp(old, m->watch, sizeof(old)) != 0)
        tlb_drop_fast(c);
}

void mmu_debug_changed(struct cpu *c)
{
    bool was = c->mmu->debugged;

    c->mmu->debugged = c->debug && c->debug->points->nwatch;
    if (was || c->mmu->debugged)
        tlb_drop_fast(c);
}

static bool page_watched(const struct cpu *c, uint64_t page, bool write)
{
    const struct softmmu *m = c->mmu;

    if (m->debugged && debug_page_watched(c->debug->points, page, write))
        return true;
    for (unsigned i = 0; i < m->nwatch; i++)
        if ((m->watch[i].lin & PAGE_MASK) == page && (write ? m->watch[i].on_write : m->watch[i].on_read))
            return true;
    return false;
}

static void watch_access(struct cpu *c, uint64_t lin, unsigned size, bool write)
{
    const struct softmmu *m = c->mmu;

    for (unsigned i = 0; i < m->nwatch; i++) {
        const struct watch *w = &m->watch[i];

        if ((lin - w->lin < w->len || w->lin - lin < size) && (write ? w->on_write : w->on_read))
            c->dbg_hits |= w->bit;
    }
}

/* ---- translation ---- */

static struct slow_entry *slow_slot(struct softmmu *m, uint64_t page, unsigned idx)
{
    return &m->slow[((page >> PAGE_BITS) ^ idx << 3) & (SLOWS - 1)];
}

/*
 * After a walk: which fast entries may exist?  The one asked for, and, where its place is free, the
 * other direction's too: a page just read is likely to be written next, and permission and dirty
 * bit are known.
 */
static void fill_tables(struct cpu *c, uint64_t page, enum mmu_access acc, unsigned idx,
                        const struct walk_result *w, uint8_t *read_host, uint8_t *write_host)
{
    uint8_t *first = acc == ACC_WRITE ? write_host : read_host;
    uint8_t *other = acc == ACC_WRITE ? read_host : write_host;

    if (!first && !other)
        return;
    if (w->shift > PAGE_BITS)
        tlb_note_large(c, page, w->shift, w->global);
    if (first)
        tlb_insert(c, idx, acc == ACC_WRITE, page, first, w->global);
    if (other && (acc == ACC_WRITE || (w->dirty && walk_permits(c, w->rights, ACC_WRITE, idx))))
        tlb_insert_weak(c, idx, acc != ACC_WRITE, page, other, w->global);
}

/* Walk for a data access to lin (canonical, wrapped).  True: faulted. */
static bool translate(struct cpu *c, uint64_t lin, enum mmu_access acc, unsigned idx, struct where *to)
{
    struct softmmu *m = c->mmu;
    uint64_t page = lin & PAGE_MASK, off = lin & 0xfff, pa;
    uint64_t key = page | idx << 1 | (acc == ACC_WRITE);
    struct slow_entry *slow = slow_slot(m, page, idx);
    uint8_t *host = NULL, *read_host, *write_host = NULL, *plain;
    const struct flat *f;
    struct walk_result w;
    uint32_t code;

    to->host = NULL;
    if (slow->key == key) {
        to->pa = slow->pa + off;
        return false;
    }
    m->stats.fills++;
    if (walk_lin(c, lin, acc, idx, false, &w, &code)) {
        page_fault(c, lin, code);
        return true;
    }
    to->pa = w.pa;
    pa = w.pa & PAGE_MASK;
    f = phys_find(m->phys, pa);
    if (f && f->host && f->end - pa >= PAGE_SIZE)
        host = f->host + (pa - f->base);
    read_host = host;
    /* A watched page counts as written once it has a write entry: reads alone make none. */
    if (host && !f->rom && !smc_page_lines(m->phys, pa) &&
        (!m->phys->tracks || acc == ACC_WRITE || !track_knows(m->phys, host))) {
        write_host = host;
        if (m->phys->tracks)
            track_open(c, host);
        smc_write_entry(m->phys, pa);
    }
    plain = acc == ACC_WRITE ? write_host : read_host;
    if (m->nwatch || m->debugged) {
        if (page_watched(c, page, false))
            read_host = NULL;
        if (page_watched(c, page, true))
            write_host = NULL;
    }
    fill_tables(c, page, acc, idx, &w, read_host, write_host);
    to->host = acc == ACC_WRITE ? write_host : read_host;
    if (to->host) {
        to->host += off;
        return false;
    }
    m->stats.specials++;
    slow->key = key;
    slow->pa = pa;
    slow->host = plain;
    m->slow_used = true;
    return false;
}

/* Translate one page's part of a data access, from the tables where possible.  True: faulted. */
static inline bool resolve(struct cpu *c, uint64_t lin, enum mmu_access acc, unsigned idx_ss,
                           struct where *to)
{
    unsigned idx = idx_ss & 3;
    const struct tlb_fast *t = &c->tlb[idx][acc == ACC_WRITE];
    const struct tlb_entry *e = (const struct tlb_entry *)(const void *)
        ((const uint8_t *)t->base + (lin >> 8 & t->mask));

    if (e->tag == TLB_TAG(lin)) {
        to->host = (uint8_t *)(uintptr_t)(lin + e->delta);
        return false;
    }
    to->host = tlb_victim(c, idx, acc == ACC_WRITE, lin & PAGE_MASK);
    if (to->host) {
        to->host += lin & 0xfff;
        return false;
    }
    if (!lin_canonical(c, lin)) {
        fault_set(c, idx_ss & MMU_SS ? EXC_SS : EXC_GP, 0, 0);
        return true;
    }
    return translate(c, lin, acc, idx, to);
}

/* Fetch translation, always by a walk.  True: faulted. */
static bool walk_fetch(struct cpu *c, uint64_t lin, unsigned idx, struct walk_result *w)
{
    uint32_t code;

    if (!lin_canonical(c, lin)) {
        fault_set(c, EXC_GP, 0, 0);
        return true;
    }
    if (!walk_lin(c, lin, ACC_EXEC, idx, false, w, &code))
        return false;
    page_fault(c, lin, code);
    return true;
}

enum mmu_result mmu_fill(struct cpu *c, uint64_t lin, unsigned size, enum mmu_access acc,
                         enum mmu_idx idx, void **host, uint64_t *pa)
{
    struct where to;

    lin = lin_wrap(c, lin);
    if (acc == ACC_EXEC) {
        struct walk_result w;

        if (walk_fetch(c, lin, idx & 3, &w))
            return MMU_FAULT;
        to = (struct where){ phys_host(c->mmu->phys, w.pa, false, NULL), w.pa };
    } else if (pa) {            /* the tables do not know physical addresses */
        if (!lin_canonical(c, lin)) {
            fault_set(c, idx & MMU_SS ? EXC_SS : EXC_GP, 0, 0);
            return MMU_FAULT;
        }
        if (translate(c, lin, acc, idx & 3, &to))
            return MMU_FAULT;
    } else if (resolve(c, lin, acc, idx, &to)) {
        return MMU_FAULT;
    }
    if (pa)
        *pa = to.pa;
    if (host)
        *host = to.host;
    return to.host ? MMU_PLAIN : MMU_SPECIAL;
}

/*
 * Host address of what lies in one page that the debugger watches and which is otherwise plain memory; NULL:
 * find out. Whatever drops entries of the tables drops these, too.
 */
static inline uint8_t *watched_plain(const struct cpu *c, uint64_t lin, unsigned size, unsigned idx,
                                     bool write)
{
    const struct softmmu *m = c->mmu;
    const struct slow_entry *s = &m->slow[((lin >> PAGE_BITS) ^ (idx & 3) << 3) & (SLOWS - 1)];

    if (!m->debugged || s->key != ((lin & PAGE_MASK) | (idx & 3) << 1 | write) ||
        (lin & 0xfff) + size > PAGE_SIZE || !s->host)
        return NULL;
    return s->host + (lin & 0xfff);
}

bool mmu_watched_plain(struct cpu *c, uint64_t lin, unsigned size, enum mmu_idx idx)
{
    return watched_plain(c, lin_wrap(c, lin), size, idx, true) != NULL;
}

/* ---- complete accesses ---- */

/* The page after lin's: 32-bit linear addresses wrap, in compatibility mode too. */
static uint64_t next_page(const struct cpu *c, uint64_t lin)
{
    uint64_t next = lin_wrap(c, (lin & PAGE_MASK) + PAGE_SIZE);

    return next == (uint64_t)1 << 32 && (c->mode & M_CODE) != M_CODE64 ? 0 : next;
}

/* One host access for the sizes that x86 makes atomic when aligned. */
static inline void copy(void *to, const void *from, unsigned size)
{
    switch (size) {
    case 1: memcpy(to, from, 1); break;
    case 2: memcpy(to, from, 2); break;
    case 4: memcpy(to, from, 4); break;
    case 8: memcpy(to, from, 8); break;
    case 16: memcpy(to, from, 16); break;
    default: memcpy(to, from, size);
    }
}

static inline void read_part(struct cpu *c, const struct where *w, void *buf, unsigned n)
{
    if (w->host) {
        copy(buf, w->host, n);
        return;
    }
    if (c->journal)
        c->journal->world = true;
    phys_rw(c->mmu->phys, w->pa, buf, n, false);
}

static inline void write_part(struct cpu *c, const struct where *w, const void *buf, unsigned n)
{
    if (w->host) {
        if (c->journal)
            journal_note(c->journal, w->host, n);
        copy(w->host, buf, n);
        return;
    }
    if (c->journal)
        c->journal->world = true;
    /* devices; RAM lines that hold code are invalidated there */
    phys_rw(c->mmu->phys, w->pa, (void *)(uintptr_t)buf, n, true);
}

bool mmu_load(struct cpu *c, uint64_t lin, unsigned size, enum mmu_idx idx, bool for_write, void *buf)
{
    enum mmu_access acc = for_write ? ACC_WRITE : ACC_READ;
    struct where a, b;
    unsigned first;

    lin = lin_wrap(c, lin);
    first = PAGE_SIZE - (lin & 0xfff);
    a.host = watched_plain(c, lin, size, idx, for_write);
    if ((!a.host && resolve(c, lin, acc, idx, &a)) ||
        (size > first && resolve(c, next_page(c, lin), acc, idx, &b)) ||
        (c->mmu->debugged && debug_access(c, lin, size, true, for_write)))
        return true;
    if (size <= first) {
        read_part(c, &a, buf, size);
    } else {
        read_part(c, &a, buf, first);
        read_part(c, &b, (uint8_t *)buf + first, size - first);
    }
    if (c->mmu->nwatch)
        watch_access(c, lin, size, false);
    return false;
}

bool mmu_store(struct cpu *c, uint64_t lin, unsigned size, enum mmu_idx idx, const void *buf)
{
    struct where a, b;
    unsigned first;

    lin = lin_wrap(c, lin);
    first = PAGE_SIZE - (lin & 0xfff);
    a.host = watched_plain(c, lin, size, idx, true);
    if ((!a.host && resolve(c, lin, ACC_WRITE, idx, &a)) ||
        (size > first && resolve(c, next_page(c, lin), ACC_WRITE, idx, &b)) ||
        (c->mmu->debugged && debug_access(c, lin, size, false, true)))
        return true;
    if (size <= first) {
        write_part(c, &a, buf, size);
    } else {
        write_part(c, &a, buf, first);
        write_part(c, &b, (const uint8_t *)buf + first, size - first);
    }
    if (c->mmu->nwatch)
        watch_access(c, lin, size, true);
    return false;
}

static bool aux_align(struct cpu *c, uint64_t lin, unsigned size, unsigned aux)
{
    if (!(aux & MEM_ALIGN) || !(lin & (size - 1)))
        return false;
    fault_set(c, EXC_GP, 0, 0);
    return true;
}

/* #AC comes after page faults: so check those first. */
static bool aux_ac(struct cpu *c, uint64_t lin, unsigned size, unsigned aux, bool write)
{
    if (!(aux & MEM_AC) || !(lin & (size - 1)))
        return false;
    if (mmu_check(c, lin, size, write ? ACC_WRITE : ACC_READ, MMU_AUX_IDX(aux)))
        return true;
    fault_set(c, EXC_AC, 0, 0);
    return true;
}

bool mmu_load_aux(struct cpu *c, uint64_t lin, unsigned size, unsigned aux, void *buf)
{
    bool for_write = aux & MEM_WRITE;

    return aux_align(c, lin, size, aux) || aux_ac(c, lin, size, aux, for_write) ||
           mmu_load(c, lin, size, MMU_AUX_IDX(aux), for_write, buf);
}

bool mmu_store_aux(struct cpu *c, uint64_t lin, unsigned size, unsigned aux, const void *buf)
{
    return aux_align(c, lin, size, aux) || aux_ac(c, lin, size, aux, true) ||
           mmu_store(c, lin, size, MMU_AUX_IDX(aux), buf);
}

bool mmu_check(struct cpu *c, uint64_t lin, unsigned size, enum mmu_access acc, enum mmu_idx idx)
{
    uint64_t left = size, first;

    first = lin = lin_wrap(c, lin);
    for (;;) {
        uint64_t n = PAGE_SIZE - (lin & 0xfff);

        if (mmu_fill(c, lin, 1, acc, idx, NULL, NULL) == MMU_FAULT)
            return true;
        if (left <= n)
            break;
        left -= n;
        lin = next_page(c, lin);
    }
    /* Who asks first may do something between this and the access that cannot be done twice (INS). */
    return c->mmu->debugged && c->debug->raise && debug_access(c, first, size, acc == ACC_READ,
                                                               acc == ACC_WRITE);
}

long mmu_span(struct cpu *c, uint64_t lin, uint64_t len, enum mmu_access acc, enum mmu_idx idx,
              void **host)
{
    uint64_t run;

    lin = lin_wrap(c, lin);
    run = PAGE_SIZE - (lin & 0xfff);
    switch (mmu_fill(c, lin, 1, acc, idx, host, NULL)) {
    case MMU_FAULT:
        return -1;
    case MMU_SPECIAL:
        return 0;
    case MMU_PLAIN:
        break;
    }
    if (run > len)
        run = len;
    if (c->journal && acc == ACC_WRITE)
        journal_note(c->journal, *host, (uint32_t)run);
    return (long)run;
}

/* ---- fetch ---- */

bool mmu_code(struct cpu *c, uint64_t lin, uint64_t *pa, bool *global)
{
    struct bank *b = c->mmu->cur;
    uint64_t page, tag;
    unsigned slot;
    struct etlb_entry *e;
    bool paging = c->cr0 & CR0_PG;

    lin = lin_wrap(c, lin);
    page = lin & PAGE_MASK;
    slot = page >> PAGE_BITS & (ETLB - 1);
    e = &b->etlb[slot];
    tag = page | (c->cpl == 3 ? 2 : 0);
    if (e->tag != tag) {
        struct walk_result w;

        if (walk_fetch(c, lin, c->cpl == 3 ? MMU_USER : MMU_KERNEL_NOSMAP, &w))
            return false;
        if (w.shift > PAGE_BITS)
            tlb_note_large(c, page, w.shift, w.global);
        e->tag = tag;
        e->pa = (w.pa & PAGE_MASK) | (w.global ? 1 : 0);
        b->etlb_used[slot / 64] |= (uint64_t)1 << (slot % 64);
        b->has_global |= w.global;
    }
    *pa = (e->pa & PAGE_MASK) | (lin & 0xfff);
    if (global)
        *global = (e->pa & 1) || !paging;
    return true;
}
