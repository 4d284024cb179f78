/*
 * gdb_points.c - the debugger's breakpoints, watchpoints and view of memory.
 *
 * The list is as the debugger has it; what the vCPUs see (struct debug_points) is made from it before the
 * machine runs, and only counts as changed if it differs from what it was then: debuggers take everything
 * away whenever the guest stops and put it back before it runs.
 */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "debug/gdb_priv.h"
#include "softmmu/softmmu.h"
#include "translator/exec.h"

static struct gdb_point *find(const struct gdb *g, enum gdb_point_kind kind, uint64_t addr, uint64_t len)
{
    for (unsigned i = 0; i < g->npoint; i++)
        if (g->point[i].kind == kind && g->point[i].addr == addr &&
            (kind <= POINT_HW || g->point[i].len == len))
            return &g->point[i];
    return NULL;
}

bool gdb_point_at(const struct gdb *g, enum gdb_point_kind kind, uint64_t addr)
{
    return find(g, kind, addr, 0) != NULL;
}

int gdb_point_add(struct gdb *g, enum gdb_point_kind kind, uint64_t addr, uint64_t len)
{
    if (kind > POINT_HW && (!len || addr + len - 1 < addr))
        return ERR_BAD;
    if (find(g, kind, addr, len))
        return ERR_NONE;
    if (g->npoint == GDB_POINTS)
        return ERR_FULL;
    if (g->npoint == g->cap_point) {
        g->cap_point = g->cap_point ? 2 * g->cap_point : 64;
        g->point = realloc(g->point, g->cap_point * sizeof(g->point[0]));
        if (!g->point)
            die(EXIT_CODE_HOST, "out of memory for breakpoints");
    }
    g->point[g->npoint++] = (struct gdb_point){ addr, len, kind };
    g->points_changed = true;
    return ERR_NONE;
}

int gdb_point_remove(struct gdb *g, enum gdb_point_kind kind, uint64_t addr, uint64_t len)
{
    struct gdb_point *p = find(g, kind, addr, len);

    if (!p)
        return ERR_BAD;
    *p = g->point[--g->npoint];
    g->points_changed = true;
    return ERR_NONE;
}

void gdb_points_clear(struct gdb *g)
{
    g->npoint = 0;
    g->points_changed = true;
}

static int by_address(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

static int by_watch(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct debug_watch));
}

static void *must(void *p)
{
    if (!p)
        die(EXIT_CODE_HOST, "out of memory for breakpoints");
    return p;
}

/* The pages, ascending, of addresses that are in one of two ascending lists and not in the other. Room for a + b of them. */
static unsigned differing_pages(const uint64_t *x, unsigned a, const uint64_t *y, unsigned b, uint64_t *page)
{
    unsigned n = 0;

    while (a || b) {
        uint64_t at = a && (!b || *x <= *y) ? *x : *y;
        bool one = a && *x == at, other = b && *y == at;

        x += one, a -= one;
        y += other, b -= other;
        if (one != other && (!n || page[n - 1] != (at & PAGE_MASK)))
            page[n++] = at & PAGE_MASK;
    }
    return n;
}

/* The pages whose breakpoints are others than before, to be freed, and their number. */
static uint64_t *take_breaks(struct gdb *g, unsigned *changed)
{
    struct debug_points *p = &g->points;
    uint64_t *brk = must(malloc((g->npoint + 1) * sizeof(brk[0]))), *page;
    unsigned n = 0, unique = 0;

    for (unsigned i = 0; i < g->npoint; i++)
        if (g->point[i].kind <= POINT_HW)
            brk[n++] = g->point[i].addr;
    qsort(brk, n, sizeof(brk[0]), by_address);
    for (unsigned i = 0; i < n; i++)
        if (!i || brk[i] != brk[unique - 1])
            brk[unique++] = brk[i];
    page = must(malloc((p->nbrk + unique + 1) * sizeof(page[0])));
    *changed = differing_pages(p->brk, p->nbrk, brk, unique, page);
    free(p->brk);
    p->brk = brk;
    p->nbrk = unique;
    return page;
}

static bool take_watches(struct gdb *g)
{
    struct debug_points *p = &g->points;
    struct debug_watch *watch = must(calloc(g->npoint + 1, sizeof(watch[0])));
    unsigned n = 0;
    bool same;

    for (unsigned i = 0; i < g->npoint; i++) {
        const struct gdb_point *q = &g->point[i];

        if (q->kind > POINT_HW) {
            watch[n].lin = q->addr;
            watch[n].len = q->len;
            watch[n].on_read = q->kind != POINT_WRITE;
            watch[n++].on_write = q->kind != POINT_READ;
        }
    }
    qsort(watch, n, sizeof(watch[0]), by_watch);
    same = n == p->nwatch && (!n || !memcmp(watch, p->watch, n * sizeof(watch[0])));
    free(p->watch);
    p->watch = watch;
    p->nwatch = n;
    return !same;
}

void gdb_points_apply(struct gdb *g)
{
    uint64_t *page;
    unsigned n;
    bool watches;

    if (!g->points_changed)
        return;
    g->points_changed = false;
    page = take_breaks(g, &n);
    watches = take_watches(g);
    for (unsigned i = 0; i < g->m->ncpu; i++) {
        if (n)
            exec_debug_changed(g->m->cpu[i], page, n);
        if (watches)
            mmu_debug_changed(g->m->cpu[i]);
    }
    free(page);
}

/* ---- memory ---- */

/* Bytes at one physical place, within a page. */
static bool access_phys(struct gdb *g, uint64_t pa, uint8_t *buf, unsigned len, bool write)
{
    struct phys *p = g->m->phys;
    uint64_t run = 0;
    uint8_t *rom;

    if (!write)
        return phys_read(p, pa, buf, len);
    rom = phys_host(p, pa, true, &run) ? NULL : phys_host(p, pa, false, &run);
    if (!rom || run < len)
        return phys_write(p, pa, buf, len);
    memcpy(rom, buf, len);              /* a debugger may change what the guest cannot */
    exec_invalidate(p, pa, len);
    return true;
}

static unsigned access_pages(struct gdb *g, struct cpu *c, uint64_t addr, uint8_t *buf, unsigned len,
                             bool write)
{
    unsigned done = 0;

    while (done < len) {
        uint64_t at = addr + done, pa = at;
        unsigned n = PAGE_SIZE - (unsigned)(at & ~PAGE_MASK);

        if (n > len - done)
            n = len - done;
        if (!g->phys && !mmu_debug_translate(c, at, &pa))
            return done;
        if (!access_phys(g, pa, buf + done, n, write)) {
            /* Not all of it: as far as it goes. */
            unsigned k = 0;

            while (k < n && access_phys(g, pa + k, buf + done + k, 1, write))
                k++;
            return done + k;
        }
        done += n;
    }
    return done;
}

unsigned gdb_memory(struct gdb *g, struct cpu *c, uint64_t addr, uint8_t *buf, unsigned len, bool write)
{
    unsigned done;

    control_act_as(g->m->control, (int)c->index);
    done = access_pages(g, c, addr, buf, len, write);
    control_act_as(g->m->control, -1);
    return done;
}

/* ---- what is mapped ---- */

#define TABLES 65536u           /* looked at for one answer: a guest can name a table any number of times */

struct search {
    uint64_t at;                /* what is looked for */
    struct gdb_region *found;
    bool any;                   /* found->last is a mapped page's: the range may go on with the next one */
};

/* Pages come in ascending order. False: what follows does not matter. */
static bool see_page(void *arg, const struct mmu_page *p)
{
    struct search *s = arg;
    struct gdb_region *r = s->found;
    uint64_t last = p->lin + (((uint64_t)1 << p->shift) - 1);

    if (s->any && p->lin == r->last + 1 && r->writable == p->writable && r->exec == p->exec) {
        r->last = last;
        return true;
    }
    if (s->any && r->last >= s->at)
        return false;
    if (p->lin > s->at) {               /* it lies in the gap before this page */
        *r = (struct gdb_region){ s->any ? r->last + 1 : 0, p->lin - 1, false, false, false };
        s->any = false;
        return false;
    }
    *r = (struct gdb_region){ p->lin, last, true, p->writable, p->exec };
    s->any = true;
    return true;
}

bool gdb_region(struct gdb *g, struct cpu *c, uint64_t addr, struct gdb_region *r)
{
    struct search s = { addr, r, false };
    uint64_t all = g->phys ? ((uint64_t)1 << 52) - 1 : UINT32_MAX;
    enum mmu_listing how = MMU_LIST_NO_PAGING;

    *r = (struct gdb_region){ .last = UINT64_MAX - 1 };
    if (!g->phys)
        how = mmu_list(c, TABLES, see_page, &s);
    if (how == MMU_LIST_NO_PAGING)
        *r = addr <= all ? (struct gdb_region){ 0, all, true, true, true }
                         : (struct gdb_region){ all + 1, UINT64_MAX - 1, false, false, false };
    else if (s.any && r->last < addr)   /* behind all that is mapped */
        *r = (struct gdb_region){ r->last + 1, UINT64_MAX - 1, false, false, false };
    return how != MMU_LIST_CUT && addr <= r->last;
}
