/*
 * tlb.c - the soft TLB's tables: filling, growing, flushing, PCID banks, INVLPG and INVPCID.
 *
 * Invariants: c->tlb shows exactly the current bank's tables.  An entry is only there while the
 * fast path may use it without any further check (softmmu.h).  Every table is empty outside the
 * lines its bitmaps mark.  A bank that is not `valid` may hold anything and is flushed before use.
 *
 * A flush costs what was touched: the line bitmaps of a 256-entry table are one word each.  A
 * table doubles as soon as half its size has been evicted from it, in the middle of whatever the
 * guest does (waiting for a flush is what makes pointer chases slow), and halves after SHRINK_AFTER
 * flushes that found it mostly empty.  SDM vol. 3, 4.10 (caching translation information).
 */
#include "softmmu/mmu.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "hw/machine.h"
#include "translator/exec.h"

#define SHRINK_AFTER 8
#define TABLES_LIMIT (16u << 20)        /* bytes of all tables of one vCPU */

/* ---- one table ---- */

static size_t table_size(uint32_t n)
{
    return n * sizeof(struct tlb_entry) + (n / 256 * 2 + n / 64) * sizeof(uint64_t);
}

static void table_alloc(struct softmmu *m, struct tlb_table *t, uint32_t n)
{
    size_t size = (table_size(n) + 63) & ~(size_t)63;
    uint8_t *mem = aligned_alloc(64, size);

    if (!mem)
        die(EXIT_CODE_HOST, "out of memory (TLB)");
    memset(mem, 0, size);
    memset(t, 0, sizeof(*t));
    t->e = (struct tlb_entry *)(void *)mem;
    t->nline = (uint64_t *)(void *)(mem + n * sizeof(struct tlb_entry));
    t->gline = t->nline + n / 256;
    t->glob = t->gline + n / 256;
    t->n = n;
    for (uint32_t i = 0; i < n; i++)
        t->e[i].tag = TLB_INVALID;
    m->table_bytes += table_size(n);
}

static void table_free(struct softmmu *m, struct tlb_table *t)
{
    m->table_bytes -= table_size(t->n);
    free(t->e);
    t->e = NULL;
}

static inline uint32_t table_index(const struct tlb_table *t, uint64_t tag)
{
    return (uint32_t)tag & (t->n - 1);
}

static inline bool is_global(const struct tlb_table *t, uint32_t i)
{
    return t->glob[i / 64] >> (i % 64) & 1;
}

static inline void put(struct tlb_table *t, uint32_t i, uint64_t tag, uint64_t delta, bool global)
{
    uint64_t line = (uint64_t)1 << (i / 4 % 64);

    if (global) {
        t->gline[i / 256] |= line;
        t->glob[i / 64] |= (uint64_t)1 << (i % 64);
    } else {
        t->nline[i / 256] |= line;
        t->glob[i / 64] &= ~((uint64_t)1 << (i % 64));
    }
    t->e[i].tag = tag;
    t->e[i].delta = delta;
}

static inline void table_drop(struct tlb_table *t, uint32_t i)
{
    t->e[i].tag = TLB_INVALID;
    if (t->used)
        t->used--;
}

/* Give the table another size; entries move, two that meet leave one. */
static void table_resize(struct softmmu *m, struct tlb_table *t, uint32_t n)
{
    struct tlb_table old = *t;

    table_alloc(m, t, n);
    memcpy(t->vict, old.vict, sizeof(t->vict));
    t->nvict = old.nvict;
    t->next_vict = old.next_vict;
    for (uint32_t w = 0; w < old.n / 256; w++) {
        for (uint64_t lines = old.nline[w] | old.gline[w]; lines; lines &= lines - 1) {
            uint32_t first = (w * 64 + (uint32_t)__builtin_ctzll(lines)) * 4;

            for (uint32_t i = first; i < first + 4; i++) {
                uint32_t to;

                if (old.e[i].tag == TLB_INVALID)
                    continue;
                to = table_index(t, old.e[i].tag);
                if (t->e[to].tag == TLB_INVALID)
                    t->used++;
                put(t, to, old.e[i].tag, old.e[i].delta, is_global(&old, i));
            }
        }
    }
    table_free(m, &old);
}

static void table_flush(struct softmmu *m, struct tlb_table *t, bool all)
{
    bool mostly_unused = t->used * 8 < t->n;

    for (uint32_t w = 0; w < t->n / 256; w++) {
        uint64_t lines = t->nline[w] | (all ? t->gline[w] : 0);

        t->nline[w] = 0;
        if (all)
            t->gline[w] = 0;
        for (; lines; lines &= lines - 1) {
            uint32_t first = (w * 64 + (uint32_t)__builtin_ctzll(lines)) * 4;

            for (uint32_t i = first; i < first + 4; i++)
                if (t->e[i].tag != TLB_INVALID && (all || !is_global(t, i)))
                    table_drop(t, i);
        }
    }
    for (unsigned v = 0; v < t->nvict; v++)
        if (all || !t->vict[v].global)
            t->vict[v].e.tag = TLB_INVALID;
    if (all)
        t->nvict = t->next_vict = 0;
    t->evicted = 0;
    t->idle = mostly_unused && t->n > 1u << TLB_MIN_BITS ? t->idle + 1 : 0;
    if (t->idle >= SHRINK_AFTER) {
        table_resize(m, t, t->n / 2);
        m->stats.shrinks++;
    }
}

/* Forget [base, base + len), len a power of two of at least a page, base aligned. */
static void table_drop_range(struct tlb_table *t, uint64_t base, uint64_t len)
{
    uint64_t first = TLB_TAG(base), pages = len >> PAGE_BITS, mask = ~(pages - 1);

    if (pages >= t->n) {
        for (uint32_t i = 0; i < t->n; i++)
            if ((t->e[i].tag & mask) == first)
                table_drop(t, i);
    } else {
        for (uint64_t tag = first; tag - first < pages; tag++) {
            uint32_t i = table_index(t, tag);

            if (t->e[i].tag == tag)
                table_drop(t, i);
        }
    }
    for (unsigned v = 0; v < t->nvict; v++)
        if ((t->vict[v].e.tag & mask) == first)
            t->vict[v].e.tag = TLB_INVALID;
}

/* ---- banks ---- */

static void publish(struct cpu *c)
{
    struct bank *b = c->mmu->cur;

    for (unsigned i = 0; i < MMU_IDX_COUNT; i++)
        for (unsigned w = 0; w < 2; w++) {
            c->tlb[i][w].base = b->t[i][w].e;
            c->tlb[i][w].mask = (uint64_t)(b->t[i][w].n - 1) << 4;
        }
}

static struct bank *bank_new(struct softmmu *m)
{
    struct bank *b = calloc(1, sizeof(*b));

    if (!b)
        die(EXIT_CODE_HOST, "out of memory (TLB)");
    for (unsigned i = 0; i < MMU_IDX_COUNT; i++)
        for (unsigned w = 0; w < 2; w++)
            table_alloc(m, &b->t[i][w], 1u << TLB_MIN_BITS);
    for (unsigned i = 0; i < ETLB; i++)
        b->etlb[i].tag = ~(uint64_t)0;
    b->gen = 1;
    b->valid = true;
    return b;
}

static void etlb_flush(struct bank *b, bool all)
{
    for (unsigned w = 0; w < ETLB / 64; w++) {
        uint64_t keep = 0;

        for (uint64_t u = b->etlb_used[w]; u; u &= u - 1) {
            unsigned bit = (unsigned)__builtin_ctzll(u);
            struct etlb_entry *e = &b->etlb[w * 64 + bit];

            if (!all && (e->pa & 1))
                keep |= (uint64_t)1 << bit;
            else
                e->tag = ~(uint64_t)0;
        }
        b->etlb_used[w] = keep;
    }
}

static void bank_flush(struct softmmu *m, struct bank *b, bool all)
{
    for (unsigned i = 0; i < MMU_IDX_COUNT; i++)
        for (unsigned w = 0; w < 2; w++)
            table_flush(m, &b->t[i][w], all);
    etlb_flush(b, all);
    b->gen++;
    memset(b->large.mb[0], 0, sizeof(b->large.mb[0]));
    b->large.gb[0] = 0;
    if (all) {
        memset(b->large.mb[1], 0, sizeof(b->large.mb[1]));
        b->large.gb[1] = 0;
        b->has_global = false;
        b->npend = 0;
    }
}

static void bank_drop(struct bank *b, uint64_t base, uint64_t len)
{
    uint64_t mask = ~(len - 1);

    for (unsigned i = 0; i < MMU_IDX_COUNT; i++)
        for (unsigned w = 0; w < 2; w++)
            table_drop_range(&b->t[i][w], base, len);
    if (len == PAGE_SIZE) {
        struct etlb_entry *e = &b->etlb[base >> PAGE_BITS & (ETLB - 1)];

        if ((e->tag & PAGE_MASK) == base)
            e->tag = ~(uint64_t)0;
    } else {
        for (unsigned i = 0; i < ETLB; i++)
            if ((b->etlb[i].tag & mask) == base)
                b->etlb[i].tag = ~(uint64_t)0;
    }
}

static unsigned large_hash(uint64_t lin)
{
    uint64_t r = lin >> 21;

    return (unsigned)(r ^ r >> 10 ^ r >> 20) & 1023;
}

void tlb_note_large(struct cpu *c, uint64_t lin, unsigned shift, bool global)
{
    struct large_seen *l = &c->mmu->cur->large;

    if (shift >= 30) {
        l->gb[global] |= (uint64_t)1 << (lin >> 30 & 63);
        return;
    }
    for (unsigned half = 0; half < (shift == 22 ? 2 : 1); half++) {
        unsigned h = large_hash(lin ^ (uint64_t)half << 21);

        l->mb[global][h / 64] |= (uint64_t)1 << (h % 64);
    }
}

/* Forget the page of lin, of whatever size it was. Returns true if it may have been a large one. */
static bool bank_invlpg(const struct cpu *c, struct bank *b, uint64_t lin)
{
    const struct large_seen *l = &b->large;
    unsigned h = large_hash(lin);
    uint64_t len = PAGE_SIZE;

    b->gen++;
    if ((l->gb[0] | l->gb[1]) >> (lin >> 30 & 63) & 1)
        len = (uint64_t)1 << 30;
    else if ((l->mb[0][h / 64] | l->mb[1][h / 64]) >> (h % 64) & 1)
        len = (uint64_t)1 << (c->cr4 & CR4_PAE ? 21 : 22);
    bank_drop(b, lin & ~(len - 1), len);
    return len != PAGE_SIZE;
}

/* An INVLPG a bank that is not current must do before it is used again. */
static void bank_pend(struct bank *b, uint64_t lin)
{
    if (b->npend == PENDING)
        b->valid = false;
    else
        b->pend[b->npend++] = lin;
}

static uint16_t current_pcid(const struct cpu *c)
{
    return c->cr4 & CR4_PCIDE ? c->cr3 & 0xfff : 0;
}

static struct bank *bank_find(struct softmmu *m, uint16_t pcid)
{
    for (unsigned i = 0; i < BANKS; i++)
        if (m->bank[i] && m->bank[i]->valid && m->bank[i]->pcid == pcid)
            return m->bank[i];
    return NULL;
}

/* A bank to give to a new PCID: an unused one, else the one current longest ago. */
static struct bank *bank_take(struct softmmu *m)
{
    struct bank *best = NULL;

    for (unsigned i = 0; i < BANKS; i++) {
        struct bank *b = m->bank[i];

        if (!b)
            return m->bank[i] = bank_new(m);
        if (b != m->cur && (!best || !b->valid || (best->valid && b->stamp < best->stamp)))
            best = b;
    }
    bank_flush(m, best, true);
    return best;
}

static void bank_switch(struct cpu *c, uint16_t pcid)
{
    struct softmmu *m = c->mmu;
    struct bank *b = bank_find(m, pcid);

    m->cur->stamp = ++m->clock;
    if (b) {
        for (unsigned i = 0; i < b->npend; i++)
            bank_invlpg(c, b, b->pend[i]);
        if (b->npend)
            b->gen++;
    } else {
        b = bank_take(m);
        b->pcid = pcid;
        b->valid = true;
    }
    b->npend = 0;
    m->cur = b;
    publish(c);
}

/* Make room for a bigger table at the expense of banks not in use. */
static bool make_room(struct softmmu *m, size_t size)
{
    for (unsigned k = 0; k < BANKS && m->table_bytes + size > TABLES_LIMIT; k++) {
        struct bank *b = m->bank[k];

        if (!b || b == m->cur)
            continue;
        for (unsigned i = 0; i < MMU_IDX_COUNT; i++)
            for (unsigned w = 0; w < 2; w++) {
                table_free(m, &b->t[i][w]);
                table_alloc(m, &b->t[i][w], 1u << TLB_MIN_BITS);
            }
        b->valid = false;
    }
    return m->table_bytes + size <= TABLES_LIMIT;
}

/* ---- filling ---- */

/* A valid entry is about to be lost: time to grow? */
static void count_eviction(struct cpu *c, struct tlb_table *t)
{
    struct softmmu *m = c->mmu;

    m->stats.evictions++;
    if (++t->evicted < t->n / 2)
        return;
    t->evicted = 0;
    if (t->used < t->n / 4 || t->n >= 1u << TLB_MAX_BITS || !make_room(m, table_size(t->n * 2)))
        return;
    table_resize(m, t, t->n * 2);
    m->stats.grows++;
    publish(c);
}

static void insert_at(struct tlb_table *t, uint64_t tag, uint64_t delta, bool global)
{
    uint32_t i = table_index(t, tag);
    struct tlb_entry *e = &t->e[i];

    if (e->tag == TLB_INVALID) {
        t->used++;
    } else if (e->tag != tag) {
        unsigned v = t->next_vict;

        t->vict[v].e = *e;
        t->vict[v].global = is_global(t, i);
        t->next_vict = (uint8_t)((v + 1) % VICTIMS);
        if (t->nvict <= v)
            t->nvict = (uint8_t)(v + 1);
    }
    put(t, i, tag, delta, global);
}

void tlb_insert(struct cpu *c, unsigned idx, bool write, uint64_t page, uint8_t *host, bool global)
{
    struct tlb_table *t = &c->mmu->cur->t[idx][write];
    uint64_t tag = TLB_TAG(page), old = t->e[table_index(t, tag)].tag;

    if (old != TLB_INVALID && old != tag)
        count_eviction(c, t);
    c->mmu->cur->has_global |= global;
    insert_at(t, tag, (uint64_t)(uintptr_t)host - page, global);
}

void tlb_insert_weak(struct cpu *c, unsigned idx, bool write, uint64_t page, uint8_t *host, bool global)
{
    struct tlb_table *t = &c->mmu->cur->t[idx][write];

    if (t->e[table_index(t, TLB_TAG(page))].tag == TLB_INVALID)
        tlb_insert(c, idx, write, page, host, global);
}

uint8_t *tlb_victim(struct cpu *c, unsigned idx, bool write, uint64_t page)
{
    struct tlb_table *t = &c->mmu->cur->t[idx][write];

    for (unsigned v = 0; v < t->nvict; v++) {
        struct tlb_entry e = t->vict[v].e;

        if (e.tag != TLB_TAG(page))
            continue;
        t->vict[v].e.tag = TLB_INVALID;
        c->mmu->stats.victims++;
        count_eviction(c, t);
        insert_at(t, e.tag, e.delta, t->vict[v].global);
        return (uint8_t *)(uintptr_t)(e.delta + page);
    }
    return NULL;
}

/* ---- forgetting ---- */

/* Forget what is remembered of translations beside the tables. */
static void slow_flush(struct cpu *c)
{
    struct softmmu *m = c->mmu;

    for (unsigned i = 0; i < MMU_IDX_COUNT; i++)
        c->stack_page[i] = (struct tlb_page){ .page = TLB_NO_PAGE };
    if (!m->slow_used)
        return;
    for (unsigned i = 0; i < SLOWS; i++)
        m->slow[i].key = ~(uint64_t)0;
    m->slow_used = false;
}

static void tell_exec(struct cpu *c, bool all, bool one, uint64_t lin)
{
    if (c->exec)
        exec_code_map_changed(c, all, one, lin);
}

void tlb_drop_page(struct cpu *c, uint64_t lin)
{
    bank_drop(c->mmu->cur, lin & PAGE_MASK, PAGE_SIZE);
    for (unsigned i = 0; i < MMU_IDX_COUNT; i++)
        if (c->stack_page[i].page == (lin & PAGE_MASK))
            c->stack_page[i] = (struct tlb_page){ .page = TLB_NO_PAGE };
}

void tlb_drop_fast(struct cpu *c)
{
    struct softmmu *m = c->mmu;

    for (unsigned k = 0; k < BANKS; k++) {
        if (!m->bank[k])
            continue;
        for (unsigned i = 0; i < MMU_IDX_COUNT; i++)
            for (unsigned w = 0; w < 2; w++)
                table_flush(m, &m->bank[k]->t[i][w], true);
    }
    slow_flush(c);
    publish(c);
}

/* e is for a page in [host, host + len). */
static bool entry_is(const struct tlb_entry *e, uint64_t host, uint64_t len)
{
    return e->tag != TLB_INVALID && (e->tag << PAGE_BITS) + e->delta - host < len;
}

static void table_drop_host(struct tlb_table *t, uint64_t host, uint64_t len)
{
    for (uint32_t w = 0; w < t->n / 256; w++) {
        for (uint64_t lines = t->nline[w] | t->gline[w]; lines; lines &= lines - 1) {
            uint32_t first = (w * 64 + (uint32_t)__builtin_ctzll(lines)) * 4;

            for (uint32_t i = first; i < first + 4; i++)
                if (entry_is(&t->e[i], host, len))
                    table_drop(t, i);
        }
    }
    for (unsigned v = 0; v < t->nvict; v++)
        if (entry_is(&t->vict[v].e, host, len))
            t->vict[v].e.tag = TLB_INVALID;
}

void tlb_code_page(struct cpu *c, uint8_t *host)
{
    if (host)
        tlb_drop_writes(c, host, PAGE_SIZE);
    else
        slow_flush(c);
}

void tlb_drop_writes(struct cpu *c, const uint8_t *host, uint64_t len)
{
    struct softmmu *m = c->mmu;

    slow_flush(c);
    for (unsigned k = 0; k < BANKS; k++)
        for (unsigned i = 0; m->bank[k] && m->bank[k]->valid && i < MMU_IDX_COUNT; i++)
            table_drop_host(&m->bank[k]->t[i][1], (uint64_t)(uintptr_t)host, len);
}

void mmu_flush_all(struct cpu *c)
{
    struct softmmu *m = c->mmu;

    log_msg(LOG_MMU, "flush of everything");
    m->stats.flushes++;
    for (unsigned k = 0; k < BANKS; k++)
        if (m->bank[k] && m->bank[k] != m->cur)
            m->bank[k]->valid = false;
    bank_flush(m, m->cur, true);
    m->cur->pcid = current_pcid(c);
    slow_flush(c);
    publish(c);
    tell_exec(c, true, false, 0);
}

void mmu_flush_nonglobal(struct cpu *c)
{
    log_msg(LOG_MMU, "flush of what is not global");
    c->mmu->stats.flushes++;
    bank_flush(c->mmu, c->mmu->cur, false);
    slow_flush(c);
    publish(c);
    tell_exec(c, false, false, 0);
}

uint64_t mmu_space(struct cpu *c)
{
    const struct softmmu *m = c->mmu;
    unsigned k = 0;

    while (m->bank[k] != m->cur)
        k++;
    return m->cur->gen * BANKS + k;
}

void mmu_set_cr3(struct cpu *c, uint64_t cr3, bool keep)
{
    struct softmmu *m = c->mmu;
    uint16_t pcid;

    log_msg(LOG_MMU, "cr3 %llx%s", (unsigned long long)cr3, keep ? ", entries kept" : "");
    c->cr3 = cr3 & ~((uint64_t)1 << 63);
    pcid = current_pcid(c);
    if (m->cur->pcid != pcid)
        bank_switch(c, pcid);
    if (!keep || !(c->cr4 & CR4_PCIDE)) {
        m->stats.flushes++;
        bank_flush(m, m->cur, false);
        publish(c);
    }
    slow_flush(c);
    tell_exec(c, false, false, 0);
}

void mmu_invlpg(struct cpu *c, uint64_t lin)
{
    struct softmmu *m = c->mmu;
    bool large;

    log_msg(LOG_MMU, "invlpg %llx", (unsigned long long)lin);
    lin = lin_wrap(c, lin);
    if (!lin_canonical(c, lin))
        return;
    for (unsigned k = 0; k < BANKS; k++)
        if (m->bank[k] && m->bank[k] != m->cur && m->bank[k]->valid && m->bank[k]->has_global)
            bank_pend(m->bank[k], lin);
    large = bank_invlpg(c, m->cur, lin);
    slow_flush(c);
    tell_exec(c, true, !large, lin);
}

bool mmu_invpcid(struct cpu *c, unsigned type, uint64_t pcid, uint64_t lin)
{
    struct softmmu *m = c->mmu;
    struct bank *b;

    if (type > 3 || pcid >> 12 || (type < 2 && pcid && !(c->cr4 & CR4_PCIDE)) ||
        (type == 0 && !lin_canonical(c, lin))) {
        c->fault = (struct fault){ .vector = EXC_GP, .has_code = true };
        return true;
    }
    if (type == 2) {
        mmu_flush_all(c);
        return false;
    }
    slow_flush(c);
    if (type == 3) {            /* dropping more than asked, other banks' globals, is allowed */
        for (unsigned k = 0; k < BANKS; k++)
            if (m->bank[k] && m->bank[k] != m->cur)
                m->bank[k]->valid = false;
        mmu_flush_nonglobal(c);
        return false;
    }
    b = bank_find(m, (uint16_t)pcid);
    if (type == 1) {
        if (b == m->cur)
            mmu_flush_nonglobal(c);
        else if (b)
            b->valid = false;
    } else if (b == m->cur) {
        bool large = bank_invlpg(c, b, lin);

        tell_exec(c, true, !large, large ? 0 : lin);
    } else if (b) {
        bank_pend(b, lin);
    }
    return false;
}

const struct mmu_stats *mmu_stats(struct cpu *c)
{
    return &c->mmu->stats;
}

void mmu_init(struct cpu *c)
{
    struct softmmu *m = calloc(1, sizeof(*m));

    if (!m)
        die(EXIT_CODE_HOST, "out of memory (MMU)");
    c->mmu = m;
    m->phys = c->m->phys;
    m->bank[0] = m->cur = bank_new(m);
    m->slow_used = true;
    slow_flush(c);
    publish(c);
    phys_add_cpu(m->phys, c);
    mmu_watch_changed(c);
}

void mmu_free(struct cpu *c)
{
    struct softmmu *m = c->mmu;

    if (!m)
        return;
    phys_remove_cpu(m->phys, c);
    for (unsigned k = 0; k < BANKS; k++) {
        for (unsigned i = 0; m->bank[k] && i < MMU_IDX_COUNT; i++)
            for (unsigned w = 0; w < 2; w++)
                table_free(m, &m->bank[k]->t[i][w]);
        free(m->bank[k]);
    }
    free(m);
    c->mmu = NULL;
}
