/*
 * linux_guest.c - see linux_guest.h.
 *
 * What was found is kept while the page-fault gate stays what it is. Where that changes (the kernel has several on
 * its way up, and a reset may bring another kernel, or the same at another place) it is looked whether the tables
 * still are what they were, and only else everything is searched anew.
 */
#include "debug/linux_guest.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "debug/kallsyms.h"
#include "frontend/help.h"
#include "hw/machine.h"

#define MIB ((uint64_t)1 << 20)
#define SEARCH_BEHIND (128 * MIB)       /* of the gate's handler: a kernel's image is smaller */
#define SEARCH_BEFORE (64 * MIB)
#define ORC_MAX (4u << 20)
#define ORC_TELLS 4096u                 /* so many entries tell of which kind all are */
#define PF_GATE 14
#define MARK 32                         /* bytes of the tables that tell whether they are still there */

/*
 * Where the guest has it, some megabytes of which few are needed: they are not copied. So they may change at any
 * time, and whatever they are, nothing but a wrong stack comes of it.
 */
struct orc_table {
    uint64_t at;                        /* __start_orc_unwind_ip: from each of four bytes, how far to what it describes */
    uint64_t ip_pa, entry_pa;           /* __start_orc_unwind: six bytes each */
    const uint8_t *ip, *entry;          /* from linux_guest_begin() on; NULL: they are not memory any more */
    unsigned n;                         /* 0: none */
    bool old;                           /* the types of Linux before 6.4 */
};

struct linux_guest {
    pthread_mutex_t lock;
    struct symbols *symbols;
    bool kallsyms;
    uint64_t gate, lstar;               /* all below is about these; gate 0: nothing */
    /* The kernel's own symbols, NULL: not found; percpu: offsets of per-CPU variables. */
    struct symtab *own, *percpu;
    uint64_t mark_pa[2];                /* of the token index and the relative base */
    uint8_t mark[2][MARK];
    uint64_t image;                     /* virtual - physical address of the kernel's image */
    struct orc_table orc;
    uint64_t current, per_cpu_offset;   /* addresses; current is in per-CPU memory if per_cpu_offset */
    uint64_t init_task, comm;           /* comm: in struct task_struct, 0: not known yet */
};

static unsigned word_of(const struct cpu *c)
{
    return cpu_lma(c) ? 8 : 4;
}

static bool read_word(struct cpu *c, uint64_t lin, uint64_t *v)
{
    *v = 0;
    return mmu_debug_read(c, lin, v, word_of(c));
}

/* Where page faults lead, if that may be a Linux kernel; 0: nowhere. */
static uint64_t gate_of(struct cpu *c)
{
    unsigned size = 2 * word_of(c);
    uint8_t g[16] = { 0 };
    uint64_t at;

    if (!cpu_pe(c) || !(c->cr0 & CR0_PG) || c->idt.limit < (PF_GATE + 1) * size - 1 ||
        !mmu_debug_read(c, c->idt.base + PF_GATE * size, g, size) || !(g[5] & 0x80))
        return 0;
    at = g[0] | (uint64_t)g[1] << 8 | (uint64_t)g[6] << 16 | (uint64_t)g[7] << 24;
    if (size == 8)
        return at >> 31 ? at : 0;
    for (unsigned i = 0; i < 4; i++)
        at |= (uint64_t)g[8 + i] << (32 + 8 * i);
    return at >= 0xffffffff80000000 ? at : 0;
}

/* ---- finding the kernel's symbols ---- */

static bool read_phys(struct cpu *c, uint64_t pa, void *to, uint64_t len)
{
    uint64_t run = 0;
    const void *p = phys_host(c->m->phys, pa, false, &run);

    if (!p || run < len)
        return false;
    memcpy(to, p, len);
    return true;
}

static bool still_there(const struct linux_guest *g, struct cpu *c)
{
    uint8_t now[MARK];

    for (unsigned i = 0; i < 2; i++)
        if (!read_phys(c, g->mark_pa[i], now, MARK) || memcmp(now, g->mark[i], MARK))
            return false;
    return true;
}

static void forget(struct linux_guest *g)
{
    symbols_drop(g->symbols, g->own);
    symtab_free(g->percpu);
    g->own = g->percpu = NULL;
    g->orc = (struct orc_table){ 0 };
    g->current = g->per_cpu_offset = g->init_task = g->comm = 0;
}

/* The candidate is a copy's: then nobody changes it. True: it is the table of the kernel whose gate this is. */
static bool take_copy(struct linux_guest *g, struct cpu *c, const uint8_t *copy, size_t len, size_t index, uint64_t pa)
{
    unsigned word = word_of(c);
    struct kallsyms k;
    uint64_t first, last, size;
    const char *name;

    if (!kallsyms_parse(copy, len, index, word, &k))
        return false;
    g->percpu = symtab_new("per-CPU variables");
    g->own = kallsyms_read(copy, &k, word, g->percpu);
    /* Without CONFIG_KALLSYMS_ALL there are functions only, and nothing says where the image ends. */
    if (!symtab_nth(g->own, 0, &first, &size, &name) ||
        !symtab_nth(g->own, symtab_count(g->own) - 1, &last, &size, &name) || g->gate < first || g->gate >= last + size) {
        symtab_free(g->own);
        symtab_free(g->percpu);
        g->own = g->percpu = NULL;
        return false;
    }
    g->mark_pa[0] = pa + k.index;
    g->mark_pa[1] = pa + k.base;
    for (unsigned i = 0; i < 2; i++)
        if (!read_phys(c, g->mark_pa[i], g->mark[i], MARK))
            memset(g->mark[i], 0, MARK);        /* looked for again next time */
    symbols_add(g->symbols, g->own, false);
    return true;
}

/* Take what is around `at` in len bytes of memory, which are at pa. */
static bool take(struct linux_guest *g, struct cpu *c, const uint8_t *mem, size_t len, size_t at, uint64_t pa)
{
    /* Addresses, names and tokens before, perhaps addresses behind: of usual kernels, and of the largest. */
    static const struct { uint64_t before, behind; } reach[] = { { 4 * MIB, 2 * MIB }, { 48 * MIB, 24 * MIB } };
    bool found = false;

    for (unsigned i = 0; i < 2 && !found; i++) {
        size_t first = at > reach[i].before ? (at - reach[i].before) & ~(size_t)7 : 0;
        size_t n = len - at < reach[i].behind ? len - first : at - first + reach[i].behind;
        uint8_t *copy = malloc(n);

        if (!copy)
            return false;
        memcpy(copy, mem + first, n);
        found = take_copy(g, c, copy, n, at - first, pa + first);
        free(copy);
    }
    return found;
}

/* Look through len bytes of memory, which are at pa, for a token index that begins at `from` to `to`. */
static bool search(struct linux_guest *g, struct cpu *c, const uint8_t *mem, size_t len, size_t from, size_t to, uint64_t pa)
{
    size_t end = len - to < KALLSYMS_INDEX ? len : to + KALLSYMS_INDEX;

    for (size_t at = from; (at = kallsyms_candidate(mem, end, at)) < to; at += 4)
        if (take(g, c, mem, len, at, pa))
            return true;
    return false;
}

/*
 * The nearest first, both ways: it is within some 16 MiB, and to read what the guest never touched makes the host provide
 * memory for it.
 */
static void find_own(struct linux_guest *g, struct cpu *c)
{
    uint64_t pa, low, run, gate, behind, before;
    const uint8_t *mem;

    if (!mmu_debug_translate(c, g->gate, &pa))
        return;
    g->image = g->gate - pa;
    pa &= PAGE_MASK;
    low = pa > SEARCH_BEFORE + MIB ? pa - SEARCH_BEFORE : MIB;
    mem = phys_host(c->m->phys, low, false, &run);
    if (!mem || low > pa || run <= pa - low) {
        low = pa;
        mem = phys_host(c->m->phys, low, false, &run);
    }
    if (!mem)
        return;
    gate = pa - low;
    behind = run - gate < SEARCH_BEHIND ? run - gate : SEARCH_BEHIND;
    before = gate;
    run = gate + behind;
    while (behind || before) {
        uint64_t on = behind < MIB ? behind : MIB, back = before < MIB ? before : MIB;

        if (search(g, c, mem, run, run - behind, run - behind + on, low) ||
            search(g, c, mem, run, before - back, before, low))
            return;
        behind -= on;
        before -= back;
    }
}

/* ---- ORC ---- */

static bool find_two(const struct symtab *t, const char *a, const char *b, uint64_t *from, uint64_t *len)
{
    uint64_t to;

    if (!symtab_find(t, a, from) || !symtab_find(t, b, &to) || to < *from)
        return false;
    *len = to - *from;
    return true;
}

/* For as long as c stands still. */
static void orc_map(struct orc_table *o, const struct cpu *c)
{
    uint64_t run = 0, entries = 0;

    o->ip = phys_host(c->m->phys, o->ip_pa, false, &run);
    o->entry = phys_host(c->m->phys, o->entry_pa, false, &entries);
    if (run / 4 < o->n || entries / 6 < o->n)
        o->ip = o->entry = NULL;
}

/* Most functions are called: in the bits of type this is 0 before Linux 6.4 and 2 since. */
static bool is_old(const struct orc_table *o)
{
    unsigned zero = 0, two = 0;

    for (unsigned i = 0; i < o->n && i < ORC_TELLS; i++) {
        zero += !(o->entry[6 * i + 5] & 7);
        two += (o->entry[6 * i + 5] & 7) == 2;
    }
    return zero > two;
}

/* Sorted since the kernel was built, or since it began. */
static uint64_t orc_ip(const struct orc_table *o, unsigned i)
{
    int32_t off;

    memcpy(&off, o->ip + 4 * (size_t)i, 4);
    return o->at + 4 * (uint64_t)i + (uint64_t)(int64_t)off;
}

static void find_orc(struct linux_guest *g, struct cpu *c)
{
    struct orc_table *o = &g->orc;
    uint64_t ips, ip_len, entries, len;

    if (!cpu_lma(c) ||
        !find_two(g->own, "__start_orc_unwind_ip", "__stop_orc_unwind_ip", &ips, &ip_len) ||
        !find_two(g->own, "__start_orc_unwind", "__stop_orc_unwind", &entries, &len) ||
        ip_len / 4 != len / 6 || !ip_len || ip_len / 4 > ORC_MAX)
        return;
    *o = (struct orc_table){ .at = ips, .ip_pa = ips - g->image, .entry_pa = entries - g->image, .n = (unsigned)(ip_len / 4) };
    orc_map(o, c);
    if (o->ip)
        o->old = is_old(o);
    else
        o->n = 0;
}

bool linux_guest_has_orc(const struct linux_guest *g)
{
    return g->orc.n && g->orc.ip;
}

bool linux_guest_orc(const struct linux_guest *g, uint64_t ip, struct orc *out)
{
    const struct orc_table *o = &g->orc;
    static const uint8_t old_types[] = { ORC_CALL, ORC_REGS, ORC_REGS_PARTIAL, ORC_NOTHING };
    unsigned lo = 0, hi = o->n;
    const uint8_t *e;

    while (lo < hi) {
        unsigned mid = lo + (hi - lo) / 2;

        if (orc_ip(o, mid) <= ip)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (!lo)
        return false;
    e = o->entry + 6 * (size_t)(lo - 1);
    out->sp_offset = (int16_t)(e[0] | e[1] << 8);
    out->bp_offset = (int16_t)(e[2] | e[3] << 8);
    out->sp_reg = e[4] & 15;
    out->bp_reg = e[4] >> 4;
    if (o->old)         /* no stack pointer: the end, or code nobody described */
        out->type = out->sp_reg == ORC_UNDEFINED ? ORC_END : old_types[e[5] & 3];
    else
        out->type = e[5] & 7;
    return out->type == ORC_CALL || out->type == ORC_REGS || out->type == ORC_REGS_PARTIAL;
}

/* ---- processes ---- */

static void find_current(struct linux_guest *g)
{
    const struct symtab *t = g->own;

    if (!symtab_find(t, "init_task", &g->init_task))
        return;
    if (symtab_find(t, "__per_cpu_offset", &g->per_cpu_offset)) {
        /* Since 6.2 it is the first member of what is used most. */
        if (!symtab_find(g->percpu, "current_task", &g->current) && !symtab_find(g->percpu, "pcpu_hot", &g->current))
            g->per_cpu_offset = g->init_task = 0;
    } else if (!symtab_find(t, "current_task", &g->current)) {
        g->init_task = 0;       /* one processor: a plain variable */
    }
}

/* The first process is called "swapper" from the first instruction on. */
static void find_comm(struct linux_guest *g, struct cpu *c)
{
    static const char name[] = "swapper";
    char task[16384];
    unsigned n = 0;

    while (n < sizeof(task) && mmu_debug_read(c, g->init_task + n, task + n, 512))
        n += 512;
    for (unsigned i = 0; i + sizeof(name) <= n && !g->comm; i++)
        if (memcmp(task + i, name, sizeof(name) - 1) == 0 && (!task[i + 7] || task[i + 7] == '/'))
            g->comm = i;
}

bool linux_guest_comm(const struct linux_guest *g, struct cpu *c, char name[LINUX_COMM])
{
    uint64_t at = g->current, base = 0, task;

    if (!g->comm || (g->per_cpu_offset && !read_word(c, g->per_cpu_offset + c->index * word_of(c), &base)))
        return false;
    at += base;
    if (word_of(c) == 4)
        at = (uint32_t)at;
    if (!read_word(c, at, &task) || !mmu_debug_read(c, task + g->comm, name, LINUX_COMM))
        return false;
    name[LINUX_COMM - 1] = 0;
    for (char *p = name; *p; p++)
        if (*p <= ' ' || *p > '~' || *p == ';')
            *p = '_';
    return name[0];
}

/* ---- tables from files ---- */

struct place {
    uint64_t gate, lstar;
};

/* KASLR moves the kernel by whole pages, and not far. */
static bool moved(const struct symtab *t, const char *name, uint64_t now, uint64_t *by)
{
    uint64_t at;

    if (!now || !symtab_find(t, name, &at))
        return false;
    *by = now - at;
    return !(*by & 0xfff) && (*by + ((uint64_t)1 << 31)) >> 32 == 0;
}

static bool slide(void *arg, const struct symtab *t, uint64_t *by)
{
    const struct place *p = arg;

    return moved(t, "entry_SYSCALL_64", p->lstar, by) || moved(t, "asm_exc_page_fault", p->gate, by) ||
           moved(t, "page_fault", p->gate, by) || moved(t, "async_page_fault", p->gate, by);
}

/* ---- all of it ---- */

static void look_again(struct linux_guest *g, struct cpu *c)
{
    struct place p = { g->gate, cpu_lma(c) ? c->lstar : 0 };

    symbols_slide_all(g->symbols, slide, &p);
    if (!g->kallsyms)
        return;
    if (!g->own || !still_there(g, c)) {
        forget(g);
        find_own(g, c);
        if (g->own) {
            find_current(g);
            log_msg(LOG_STATS, "symbols: %u found in the guest's kernel", symtab_count(g->own));
        }
    }
    if (g->own && !g->orc.n)
        find_orc(g, c);
}

static void look(void *arg, struct cpu *c)
{
    struct linux_guest *g = arg;
    uint64_t gate = gate_of(c);

    if (gate && (gate != g->gate || (c->lstar && c->lstar != g->lstar))) {
        g->gate = gate;
        g->lstar = c->lstar;
        look_again(g, c);
    }
    if (g->init_task && !g->comm)
        find_comm(g, c);
}

static void look_locked(void *arg, struct cpu *c)
{
    struct linux_guest *g = arg;

    pthread_mutex_lock(&g->lock);
    look(g, c);
    pthread_mutex_unlock(&g->lock);
}

void linux_guest_begin(struct linux_guest *g, struct cpu *c)
{
    pthread_mutex_lock(&g->lock);
    look(g, c);
    if (g->orc.n)
        orc_map(&g->orc, c);
}

void linux_guest_done(struct linux_guest *g)
{
    pthread_mutex_unlock(&g->lock);
}

struct linux_guest *linux_guest_new(struct symbols *s, bool kallsyms)
{
    struct linux_guest *g = calloc(1, sizeof(*g));

    if (!g)
        die(EXIT_CODE_HOST, "out of memory for the guest's symbols");
    g->symbols = s;
    g->kallsyms = kallsyms;
    pthread_mutex_init(&g->lock, NULL);
    symbols_on_lookup(s, look_locked, g);
    return g;
}

void linux_guest_free(struct linux_guest *g)
{
    if (!g)
        return;
    symbols_on_lookup(g->symbols, NULL, NULL);
    forget(g);
    pthread_mutex_destroy(&g->lock);
    free(g);
}
