/*
 * exec_count.c - what was executed in translated code (-d count), and the blocks in
 * which most of it was.
 */
#include "translator/exec_priv.h"

#include <stdlib.h>

#include "base/log.h"

#define TOP 40                  /* blocks shown */

/* One way through a block; end: the last, where it has an end (an exception has no counter). */
struct way {
    struct host_count c;
    bool end;
};

/* All ways through one block together. */
struct total {
    const uint8_t *block;
    uint64_t n, host, guest;
    const struct way *way;      /* nways of them, the shortest first */
    size_t nways;
};

static int by_block(const void *a, const void *b)
{
    const struct way *x = a, *y = b;
    if (x->c.block != y->c.block)
        return x->c.block < y->c.block ? -1 : 1;
    return x->c.guest != y->c.guest ? (x->c.guest < y->c.guest ? -1 : 1) : x->end - y->end;
}

static int by_host(const void *a, const void *b)
{
    const struct total *x = a, *y = b;
    return x->host > y->host ? -1 : x->host < y->host;
}

/* The block as tests/ir/blocks.txt has it. */
static void show_bytes(FILE *f, struct phys *phys, const struct block *b)
{
    uint8_t code[1024];
    for (unsigned i = 0; i < b->nrange; i++) {
        const struct ir_range *r = &b->range[i];
        unsigned len = r->len < sizeof code ? r->len : sizeof code;
        phys_read(phys, r->pa, code, len);
        fprintf(f, "code %llx ", (unsigned long long)((r->pa & ~PAGE_MASK) +
                ((r->pa ^ b->range[0].pa) & PAGE_MASK ? PAGE_SIZE : 0)));
        for (unsigned k = 0; k < len; k++)
            fprintf(f, "%02x", code[k]);
        fputc('\n', f);
    }
}

static void show(struct cpu *c, const struct total *t, const struct total *all)
{
    FILE *f = log_file();
    struct block *b = cache_by_host(&c->exec->cache, t->block + 1);
    fprintf(f, "\n%.2f %% of all host instructions, %.2f for each of the guest's; run %llu times\n",
            100.0 * (double)t->host / (double)all->host, (double)t->host / (double)t->guest, (unsigned long long)t->n);
    for (size_t k = 0; k < t->nways; k++)
        if (t->way[k].c.n)
            fprintf(f, "%s of %u guest instructions: %u of the host's, %llu times\n",
                    t->way[k].end ? "end" : "way", t->way[k].c.guest, t->way[k].c.host,
                    (unsigned long long)t->way[k].c.n);
    if (!b || (const uint8_t *)block_rx(&c->exec->cache, b) != t->block) {
        fprintf(f, "(its code memory was used again)\n");
        return;
    }
    fprintf(f, "mode %x, starts at %x\n", b->mode, b->start);
    check_guest_code(f, c->m->phys, b->mode, b->start, b->range, b->nrange, 0);
    show_bytes(f, c->m->phys, b);
    check_disassemble(f, b->rw, b->size, (uint64_t)(uintptr_t)t->block, CHECK_HOST, 0, false);
}

void exec_report_count(struct cpu *c)
{
    struct total all = { .n = 0 }, *t;
    struct way *r;
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
    for (size_t k = 0; k < n; k++)          /* the end of a block is counted first */
        r[k] = (struct way){ counted[k], !k || counted[k].block != counted[k - 1].block };
    qsort(r, n, sizeof *r, by_block);
    for (size_t k = 0; k < n; k++) {
        const struct host_count *w = &r[k].c;
        if (!k || w->block != r[k - 1].c.block)
            t[blocks++] = (struct total){ .block = w->block, .way = &r[k] };
        struct total *b = &t[blocks - 1];
        b->nways++;
        b->n += w->n;
        b->host += w->n * w->host;
        b->guest += w->n * w->guest;
        all.host += w->n * w->host;
        all.guest += w->n * w->guest;
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
