/*
 * exec_work.c - what other threads want of a vCPU's own tables: stores into code, pages no longer to be written unseen.
 *
 * The cache of translated code is the vCPU's own: it looks blocks up, links and discards them without a lock.  So
 * a device that writes to memory from the event loop does not discard blocks itself, but leaves a note and sets
 * ATTN_WORK; the vCPU does it when it next leaves a block, and before it takes the interrupt that tells of the
 * device's work. A guest that runs code which a device is just writing sees the old code a little longer, as
 * it may on a processor that has fetched it already.
 */
#include <stdlib.h>

#include "base/log.h"
#include "frontend/cpu.h"
#include "translator/exec_priv.h"

void exec_work_init(struct exec *e)
{
    pthread_mutex_init(&e->work.lock, NULL);
}

void exec_work_free(struct exec *e)
{
    free(e->work.span);
    pthread_mutex_destroy(&e->work.lock);
}

void exec_work_thread(struct exec *e)
{
    pthread_mutex_lock(&e->work.lock);
    e->work.thread = pthread_self();
    e->work.has_thread = true;
    pthread_mutex_unlock(&e->work.lock);
}

/* Neighbours are joined: a disk's transfer comes page by page. */
static void note(struct exec_work *w, uint64_t pa, unsigned len)
{
    struct code_span *last = w->n ? &w->span[w->n - 1] : NULL;

    if (last && pa >= last->pa && pa <= last->pa + last->len) {
        if (pa + len > last->pa + last->len)
            last->len = pa + len - last->pa;
        return;
    }
    if (w->n == w->cap) {
        w->cap = w->cap ? 2 * w->cap : 64;
        w->span = realloc(w->span, w->cap * sizeof(w->span[0]));
        if (!w->span)
            die(EXIT_CODE_HOST, "out of memory for the list of overwritten code");
    }
    w->span[w->n++] = (struct code_span){ pa, len };
}

void exec_invalidate(struct phys *p, uint64_t pa, unsigned len)
{
    struct cpu *c;

    for (unsigned n = 0; (c = phys_cpu(p, n)); n++) {
        struct exec *e = c->exec;
        bool own;

        if (!e)
            continue;
        pthread_mutex_lock(&e->work.lock);
        own = !e->work.has_thread || pthread_equal(e->work.thread, pthread_self());
        if (!own) {
            note(&e->work, pa, len);
            __atomic_fetch_or(&c->attn, ATTN_WORK, __ATOMIC_SEQ_CST);
        }
        pthread_mutex_unlock(&e->work.lock);
        if (own)
            cache_invalidate(&e->cache, pa, len);
    }
}

bool exec_ask(struct cpu *c)
{
    struct exec *e = c->exec;
    bool own;

    if (!e)
        return true;
    pthread_mutex_lock(&e->work.lock);
    own = !e->work.has_thread || pthread_equal(e->work.thread, pthread_self());
    if (!own)
        __atomic_fetch_or(&c->attn, ATTN_WORK, __ATOMIC_SEQ_CST);
    pthread_mutex_unlock(&e->work.lock);
    return own;
}

void exec_work(struct cpu *c)
{
    struct exec *e = c->exec;
    struct code_span *span;
    unsigned n;

    pthread_mutex_lock(&e->work.lock);
    __atomic_fetch_and(&c->attn, ~ATTN_WORK, __ATOMIC_SEQ_CST);
    span = e->work.span;
    n = e->work.n;
    e->work.span = NULL;
    e->work.n = e->work.cap = 0;
    pthread_mutex_unlock(&e->work.lock);
    for (unsigned i = 0; i < n; i++) {
        for (uint64_t pa = span[i].pa, left = span[i].len, len; left; pa += len, left -= len) {
            len = PAGE_SIZE - (pa & (PAGE_SIZE - 1));
            if (len > left)
                len = left;
            if (smc_has_code(c->m->phys, pa, (unsigned)len))
                cache_invalidate(&e->cache, pa, (unsigned)len);
        }
    }
    free(span);
    mmu_work(c);
}
