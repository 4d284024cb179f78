/*
 * track.c - which pages of a piece of host memory that guests see as RAM have been written: for displays, and for a
 * machine that runs while it is sent elsewhere. Pieces may overlap: each has its own notes.
 *
 * Translated code stores without telling anybody, through write entries of the vCPU's TLB.  So a tracked page is
 * `open` to a vCPU as long as that may have a write entry for it; it becomes open before the entry is made
 * (track_open(), on the slow path), and stays so until the vCPU itself, in its own thread and between two blocks
 * (exec_work()), has dropped the entries.  Then, and not before, it is noted as dirty.  Whoever asks
 * (track_take()) is given what is open or dirty, and has the vCPUs close what is open.
 *
 * Invariant: a store to a tracked page is followed by a track_take() that names the page.  While a page is open
 * each names it; a store that nobody was told of after it was closed cannot be, since it would have to make an
 * entry first.  A page that is no longer written is named at most once more after it was closed, then never.
 * Stores that need no entry (phys_write(), DMA, the walker's accessed and dirty bits) are noted by who makes them,
 * after the store. What a chip stores to memory of its own (a VGA's planes) is not.
 */
#include <assert.h>
#include <stdlib.h>

#include "base/log.h"
#include "softmmu/mmu.h"
#include "translator/exec.h"

struct track {
    struct phys *phys;
    struct track *next;
    uint8_t *host;
    uint64_t len;
    unsigned words;             /* of a bitmap with one bit a page */
    uint64_t *dirty;
    uint64_t *open[PHYS_MAX_CPUS];      /* by the vCPU's index in phys; made on first use */
    bool close[PHYS_MAX_CPUS];          /* that vCPU is to drop its entries (atomic) */
};

static uint64_t *bitmap(const struct track *t)
{
    uint64_t *b = calloc(t->words, sizeof(*b));

    if (!b)
        die(EXIT_CODE_HOST, "out of memory (dirty pages)");
    return b;
}

struct track *track_new(struct phys *p, void *host, uint64_t len)
{
    struct track *t = calloc(1, sizeof(*t));

    if (!t)
        die(EXIT_CODE_HOST, "out of memory (dirty pages)");
    assert(len && !(len & ~PAGE_MASK) && !((uintptr_t)host & ~PAGE_MASK));
    t->phys = p;
    t->host = host;
    t->len = len;
    t->words = (unsigned)((len / PAGE_SIZE + 63) / 64);
    t->dirty = bitmap(t);
    t->next = p->tracks;
    __atomic_store_n(&p->tracks, t, __ATOMIC_RELEASE);
    for (unsigned i = 0; i < p->ncpu; i++)      /* entries made before are not known of */
        tlb_drop_writes(p->cpu[i], t->host, len);
    return t;
}

static void release(struct track *t)
{
    for (unsigned i = 0; i < PHYS_MAX_CPUS; i++)
        free(t->open[i]);
    free(t->dirty);
    free(t);
}

void track_free(struct track *t)
{
    struct track **at;

    if (!t)
        return;
    at = &t->phys->tracks;
    while (*at != t)
        at = &(*at)->next;
    *at = t->next;
    release(t);
}

void tracks_free(struct phys *p)
{
    for (struct track *t = p->tracks, *next; t; t = next) {
        next = t->next;
        release(t);
    }
    p->tracks = NULL;
}

/* The first of t and what follows that watches it. */
static struct track *find(struct track *t, const uint8_t *host)
{
    while (t && (uintptr_t)host - (uintptr_t)t->host >= t->len)
        t = t->next;
    return t;
}

static void set(uint64_t *bits, uint64_t page)
{
    __atomic_fetch_or(&bits[page / 64], (uint64_t)1 << (page % 64), __ATOMIC_ACQ_REL);
}

bool track_knows(const struct phys *p, const uint8_t *host)
{
    return find(p->tracks, host);
}

void track_open(struct cpu *c, const uint8_t *host)
{
    struct phys *p = c->mmu->phys;
    unsigned n = 0;

    while (p->cpu[n] != c)
        n++;
    for (struct track *t = find(p->tracks, host); t; t = find(t->next, host)) {
        if (!t->open[n])
            __atomic_store_n(&t->open[n], bitmap(t), __ATOMIC_RELEASE);
        set(t->open[n], (uint64_t)(host - t->host) / PAGE_SIZE);
    }
}

void track_mark(struct track *t, uint64_t off, uint64_t len)
{
    for (uint64_t page = off / PAGE_SIZE; len && page <= (off + len - 1) / PAGE_SIZE; page++)
        set(t->dirty, page);
}

void track_mark_all(struct phys *p)
{
    for (struct track *t = p->tracks; t; t = t->next)
        track_mark(t, 0, t->len);
}

void track_written(struct phys *p, const uint8_t *host, uint64_t len)
{
    while (len) {
        uint64_t n = PAGE_SIZE - ((uintptr_t)host & (PAGE_SIZE - 1));

        if (n > len)
            n = len;
        for (struct track *t = find(p->tracks, host); t; t = find(t->next, host))
            set(t->dirty, (uint64_t)(host - t->host) / PAGE_SIZE);
        host += n;
        len -= n;
    }
}

/* The vCPU's own thread: what was open to it is closed, and dirty. */
static void track_close(struct cpu *c, struct track *t, unsigned n)
{
    tlb_drop_writes(c, t->host, t->len);
    for (unsigned w = 0; w < t->words; w++) {
        uint64_t bits = __atomic_load_n(&t->open[n][w], __ATOMIC_RELAXED);

        if (!bits)
            continue;
        __atomic_fetch_or(&t->dirty[w], bits, __ATOMIC_ACQ_REL);
        __atomic_store_n(&t->open[n][w], 0, __ATOMIC_RELEASE);
    }
}

void track_cpu_gone(struct phys *p, unsigned n, unsigned last)
{
    for (struct track *t = p->tracks; t; t = t->next) {
        for (unsigned w = 0; t->open[n] && w < t->words; w++)
            __atomic_fetch_or(&t->dirty[w], t->open[n][w], __ATOMIC_ACQ_REL);
        free(t->open[n]);
        t->open[n] = n == last ? NULL : t->open[last];
        t->close[n] = t->close[last];
        t->open[last] = NULL;
        t->close[last] = false;
    }
}

void mmu_work(struct cpu *c)
{
    struct phys *p = c->mmu->phys;
    unsigned n = 0;

    while (p->cpu[n] != c)
        n++;
    for (struct track *t = __atomic_load_n(&p->tracks, __ATOMIC_ACQUIRE); t; t = t->next)
        if (__atomic_exchange_n(&t->close[n], false, __ATOMIC_ACQ_REL))
            track_close(c, t, n);
}

void track_take(struct track *t, uint64_t *bits)
{
    struct phys *p = t->phys;

    for (unsigned w = 0; w < t->words; w++)
        if (__atomic_load_n(&t->dirty[w], __ATOMIC_RELAXED))
            bits[w] |= __atomic_exchange_n(&t->dirty[w], 0, __ATOMIC_ACQ_REL);
    for (unsigned i = 0; i < p->ncpu; i++) {
        uint64_t *open = __atomic_load_n(&t->open[i], __ATOMIC_ACQUIRE), any = 0;

        for (unsigned w = 0; open && w < t->words; w++) {
            uint64_t o = __atomic_load_n(&open[w], __ATOMIC_ACQUIRE);

            bits[w] |= o;
            any |= o;
        }
        if (any) {
            __atomic_store_n(&t->close[i], true, __ATOMIC_RELEASE);
            if (exec_ask(p->cpu[i]))
                mmu_work(p->cpu[i]);
        }
    }
}
