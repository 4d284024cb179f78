/*
 * smc.c - pages that hold translated code: which 64-byte lines of which physical page.
 *
 * Invariant: while a page has a marked line, no vCPU's TLB holds a write entry for it, so every
 * store to it comes through mmu_store (or phys_write), which looks at the lines.
 *
 * The store is two-level (2 MiB leaves, made on first use and kept), read without locks.  Marking
 * removes write entries from the TLBs of all registered vCPUs: with one vCPU that is its own
 * thread's business; with several, the marking thread must hold the device lock and have the
 * others stopped, or queue the removal for them (ATTN_WORK) and wait before the block may run.
 */
#include "softmmu/mmu.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "base/log.h"
#include "translator/exec.h"

#define TOP_ENTRIES (PA_END >> 21)
#define TOP_BYTES (TOP_ENTRIES * sizeof(struct smc_leaf *))

void smc_init(struct phys *p)
{
    pthread_mutex_init(&p->recent.lock, NULL);
    /* 4 MiB of address space, touched only where code is. */
    p->smc = mmap(NULL, TOP_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                  -1, 0);
    if (p->smc == MAP_FAILED)
        die(EXIT_CODE_HOST, "cannot reserve the code-page table (out of address space)");
}

void smc_free(struct phys *p)
{
    /* Not by the table: to read all of that costs a page fault for each of its pages. */
    for (struct smc_leaf *l = p->smc_made, *next; l; l = next) {
        next = l->next;
        free(l);
    }
    munmap(p->smc, TOP_BYTES);
    pthread_mutex_destroy(&p->recent.lock);
}

static uint64_t *slot(struct phys *p, uint64_t pa, bool make)
{
    struct smc_leaf *l;

    if (pa >= PA_END)
        return NULL;
    l = p->smc[pa >> 21];
    if (!l && make) {
        l = calloc(1, sizeof(*l));
        if (!l)
            die(EXIT_CODE_HOST, "out of memory (code-page table)");
        l->next = p->smc_made;
        p->smc_made = l;
        __atomic_store_n(&p->smc[pa >> 21], l, __ATOMIC_RELEASE);
    }
    return l ? &l->lines[pa >> 12 & 511] : NULL;
}

/*
 * A page began to hold code (or ceased to): entries made under the old assumption
 * go.  Code that is patched and run in turn changes this all the time, so a page
 * that got no write entry in between is not searched for any.
 */
static void page_changed(struct phys *p, uint64_t pa, bool has_code)
{
    uint64_t *u = &p->smc[pa >> 21]->unwritten[pa >> 18 & 7], bit = (uint64_t)1 << (pa >> 12 & 63);
    uint8_t *host = NULL;

    if (!has_code)
        __atomic_fetch_or(u, bit, __ATOMIC_ACQ_REL);
    else if (!(__atomic_fetch_and(u, ~bit, __ATOMIC_ACQ_REL) & bit))
        host = phys_host(p, pa & PAGE_MASK, true, NULL);

    for (unsigned i = 0; i < p->ncpu; i++)
        tlb_code_page(p->cpu[i], host);
}

void smc_mark(struct phys *p, uint64_t pa, unsigned len)
{
    while (len) {
        unsigned n = PAGE_SIZE - (pa & 0xfff);
        uint64_t *s = slot(p, pa, true);
        uint64_t old;

        if (n > len)
            n = len;
        if (s) {
            old = __atomic_fetch_or(s, smc_span(pa, n), __ATOMIC_ACQ_REL);
            if (!old)
                page_changed(p, pa, true);
        }
        pa += n;
        len -= n;
    }
}

void smc_unmark(struct phys *p, uint64_t pa, uint64_t lines)
{
    uint64_t *s = slot(p, pa, false);
    uint64_t old = s ? __atomic_fetch_and(s, ~lines, __ATOMIC_ACQ_REL) : 0;

    if (old && !(old & ~lines))
        page_changed(p, pa, false);
}

void smc_clear_page(struct phys *p, uint64_t pa)
{
    smc_unmark(p, pa, ~(uint64_t)0);
}

bool smc_page_has_code(struct phys *p, uint64_t pa)
{
    return smc_page_lines(p, pa) != 0;
}

bool smc_has_code(struct phys *p, uint64_t pa, unsigned len)
{
    unsigned left = PAGE_SIZE - (pa & 0xfff);

    return smc_page_lines(p, pa) & smc_span(pa, len < left ? len : left);
}

uint64_t smc_lines(struct phys *p, uint64_t pa)
{
    return smc_page_lines(p, pa);
}

static void note(struct phys *p, uint64_t pa, uint64_t len)
{
    uint64_t n;

    pthread_mutex_lock(&p->recent.lock);
    n = p->recent.n;
    __atomic_store_n(&p->recent.pa[n % SMC_RECENT], pa, __ATOMIC_RELAXED);
    __atomic_store_n(&p->recent.len[n % SMC_RECENT], len, __ATOMIC_RELAXED);
    __atomic_store_n(&p->recent.n, n + 1, __ATOMIC_SEQ_CST);
    pthread_mutex_unlock(&p->recent.lock);
}

uint64_t smc_now(const struct phys *p)
{
    return __atomic_load_n(&p->recent.n, __ATOMIC_SEQ_CST);
}

bool smc_overtaken(const struct phys *p, uint64_t since, uint64_t pa, uint64_t len)
{
    uint64_t now = smc_now(p);

    for (uint64_t n = since; n < now && now - since < SMC_RECENT; n++) {
        uint64_t at = __atomic_load_n(&p->recent.pa[n % SMC_RECENT], __ATOMIC_RELAXED);

        if (at < pa + len && pa < at + __atomic_load_n(&p->recent.len[n % SMC_RECENT], __ATOMIC_RELAXED))
            return true;
    }
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    return smc_now(p) - since >= SMC_RECENT;    /* some were overwritten: it may be so */
}

void smc_written(struct phys *p, uint64_t pa, uint64_t len)
{
    note(p, pa, len);
    while (len && pa < PA_END) {
        uint64_t n = PAGE_SIZE - (pa & 0xfff);

        if (!__atomic_load_n(&p->smc[pa >> 21], __ATOMIC_ACQUIRE)) {
            n = ((uint64_t)1 << 21) - (pa & 0x1fffff);
            if (n > len)
                n = len;
        } else {
            if (n > len)
                n = len;
            if (smc_page_lines(p, pa) & smc_span(pa, n))
                exec_invalidate(p, pa, (unsigned)n);
        }
        pa += n;
        len -= n;
    }
}
