/*
 * exec_count.c - what was executed in translated code (-d count), and the blocks in
 * which most of it was.
 */
#include "translator/exec_priv.h"

#include <stdlib.h>

#include "base/log.h"

#define TOP 40                  /* blocks shown */

/* All ways through one block together. */
struct total {
    const uint8_t *block;
    uint64_t n, host, guest;
};

static int by_block(const void *a, const void *b)
{
    const struct host_count *x = a, *y = b;
    return x->block < y->block ? -1 : x->block > y->block;
}

static int by_host(const void *a, const void *b)
{
    const struct total *x = a, *y = b;
    return x->host > y->host ? -1 : x->host < y->host;
}

static void show(struct cpu *c, const struct total *t, const struct total *all)
{
    FILE *f = log_file();
    struct block *b = cache_by_host(&c->exec->cache, t->block + 1);
    fprintf(f, "\n%.2f %% of all host instructions, %.2f for each of the guest's; run %llu times\n",
            100.0 * (double)t->host / (double)all->host, (double)t->host / (double)t->guest, (unsigned long long)t->n);
    if (!b || (const uint8_t *)block_rx(&c->exec->cache, b) != t->block) {
        fprintf(f, "(its code memory was used again)\n");
        return;
    }
    check_guest_code(f, c->m->phys, b->mode, b->start, b->range, b->nrange, 0);
    check_disassemble(f, b->rw, b->size, (uint64_t)(uintptr_t)t->block, CHECK_HOST, 0, false);
}

void exec_report_count(struct cpu *c)
{
    struct total all = { .n = 0 }, *t;
    struct host_count *r;
    size_t n, blocks = 0;
    if (c->exec->o.interp || !backend_counts) {
        log_msg(LOG_COUNT, "CPU %u: nothing was counted: %s", c->index, c->exec->o.interp ?
                "no code was translated" : "the code generator for this host cannot count");
        return;
    }
    const struct host_count *counted = backend_counted(c->exec->cache.be, &n);
    r = malloc((n + 1) * sizeof *r);
    t = calloc(n + 1, sizeof *t);
    if (!r || !t)
        die(EXIT_CODE_HOST, "out of memory for -d count");
    for (size_t k = 0; k < n; k++)
        r[k] = counted[k];
    qsort(r, n, sizeof *r, by_block);
    for (size_t k = 0; k < n; k++) {
        if (!k || r[k].block != r[k - 1].block)
            t[blocks++].block = r[k].block;
        struct total *b = &t[blocks - 1];
        b->n += r[k].n;
        b->host += r[k].n * r[k].host;
        b->guest += r[k].n * r[k].guest;
        all.host += r[k].n * r[k].host;
        all.guest += r[k].n * r[k].guest;
    }
    qsort(t, blocks, sizeof *t, by_host);
    log_msg(LOG_COUNT, "CPU %u: %llu guest instructions executed in translated code, by %llu host instructions: %.3f each",
            c->index, (unsigned long long)all.guest, (unsigned long long)all.host,
            all.guest ? (double)all.host / (double)all.guest : 0);
    for (size_t k = 0; k < blocks && k < TOP && t[k].host; k++)
        show(c, &t[k], &all);
    free(r);
    free(t);
}
