/*
 * profile.c - see profile.h.
 *
 * Each vCPU's thread is interrupted so many times a second (ops->start) and asks itself, by the CPU time it has had, whether
 * a sample is due (profile_tick()): to have another thread ask and signal would wake two threads for each, which cost
 * more than all the rest. What the vCPU says for one is two things: the instruction that ran at the tick, and, a
 * moment later, between two blocks, all registers. The stack is walked with the latter; join() makes one stack of both,
 * since the instruction may have been the last of a function that has returned by then, or have called another.
 *
 * Stacks are kept as addresses, in a tree in which equal beginnings are one; names come when files are written, so
 * symbols that are found late name what was seen early.
 */
#include "debug/profile.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/text.h"
#include "debug/flame.h"
#include "frontend/help.h"
#include "hw/machine.h"

#define NS 1000000000u
#define NODES_MAX (4u << 20)            /* 128 MiB */
#define BUCKETS (1u << 16)
#define NAMES_MAX 65536u

/* A node's address, or what it is of the tree's first level. */
enum kind { IS_USER, IS_KERNEL, IS_PROCESS };
struct node {
    uint64_t ip;                /* IS_PROCESS: number of its name */
    uint64_t self;
    uint32_t up, chain;         /* node numbers: the caller; the next of the same bucket. 0: none */
    uint8_t kind;
};

/* The thread's own, and its signal handler's; what others may ask for is atomic. */
struct vcpu_time {
    bool begun;                 /* there was a tick */
    uint64_t had, credit;       /* CPU time in ns at the last tick; what of it no sample was asked for */
    uint64_t owed;              /* periods that the next sample stands for */
    uint64_t own;               /* time in ns that samples took and the guest did not have */
    volatile bool sampling;     /* one is being taken: how long that takes is not known yet */
    uint64_t idle;              /* periods in halts that are over, and in this one's beginning (atomic) */
    uint64_t rests;             /* since when nothing ticks in this halt, ns (atomic); 0: ticks come */
};

struct profile {
    struct machine *m;
    const struct profile_ops *ops;
    pthread_mutex_t lock;       /* guards all below, but for `time` */
    bool running;                       /* ticks read it without the lock (atomic) */
    bool written;                       /* both files, whole */
    unsigned hz;
    enum unwind_how how;
    char *file;
    FILE *folded, *svg;
    struct vcpu_time *time;
    struct node *node;          /* 0 is no node */
    uint32_t n, cap, bucket[BUCKETS];
    char **name;
    uint32_t names;
    uint64_t samples, lost;
};

/* ---- the tree ---- */

static uint32_t node_of(struct profile *p, uint32_t up, enum kind kind, uint64_t ip)
{
    uint64_t h = (ip ^ ((uint64_t)up << 32 | kind)) * 0x9e3779b97f4a7c15;
    uint32_t *b = &p->bucket[h >> 48], i;

    for (i = *b; i; i = p->node[i].chain)
        if (p->node[i].ip == ip && p->node[i].up == up && p->node[i].kind == kind)
            return i;
    if (p->n == p->cap) {
        struct node *more = p->cap < NODES_MAX ? realloc(p->node, 2 * (size_t)p->cap * sizeof(*more)) : NULL;

        if (!more)
            return 0;
        p->node = more;
        p->cap *= 2;
    }
    i = p->n++;
    p->node[i] = (struct node){ .ip = ip, .up = up, .chain = *b, .kind = kind };
    *b = i;
    return i;
}

static uint32_t name_of(struct profile *p, const char *name)
{
    char **more;

    for (uint32_t i = p->names; i--;)
        if (strcmp(p->name[i], name) == 0)
            return i;
    if (p->names == NAMES_MAX || !(more = realloc(p->name, (p->names + 1) * sizeof(*more))))
        return 0;
    p->name = more;
    p->name[p->names] = strdup(name);
    return p->name[p->names] ? p->names++ : 0;
}

static void count(struct profile *p, const char *process, const struct frame *f, unsigned n, uint64_t weight)
{
    uint32_t at = node_of(p, 0, IS_PROCESS, name_of(p, process));

    while (at && n--)
        at = node_of(p, at, f[n].user ? IS_USER : IS_KERNEL, f[n].ip);
    if (at)
        p->node[at].self += weight;
    else
        p->lost += weight;
}

static void clear(struct profile *p)
{
    memset(p->bucket, 0, sizeof(p->bucket));
    for (uint32_t i = 0; i < p->names; i++)
        free(p->name[i]);
    free(p->name);
    free(p->node);
    free(p->file);
    p->name = NULL;
    p->node = NULL;
    p->file = NULL;
    p->names = 0;
    p->written = false;
    p->n = 1;
    p->samples = p->lost = 0;
}

/* ---- samples ---- */

/* Where nothing has a name, code of one page counts as one function. */
static bool same_function(struct profile *p, uint64_t a, uint64_t b)
{
    uint64_t x, y;
    bool named = symbols_start(p->m->symbols, a, &x);

    if (named != symbols_start(p->m->symbols, b, &y))
        return false;
    return named ? x == y : !((a ^ b) & PAGE_MASK);
}

/*
 * leaf ran at the tick, f[0] to f[n - 1] is the stack a moment later; f has room for one more. The result is the stack at
 * the tick.
 */
static unsigned join(struct profile *p, struct frame leaf, struct frame *f, unsigned n)
{
    uint64_t start;

    /* It is still there: it goes on, or has called others or was interrupted, and they are dropped. */
    for (unsigned i = 0; i < n && i < 6; i++)
        if (f[i].user == leaf.user && same_function(p, leaf.ip, f[i].ip)) {
            memmove(f, f + i, (n - i) * sizeof(f[0]));
            f[0] = leaf;
            return n - i;
        }
    if (leaf.user && !f[0].user) {      /* the kernel was entered, and its stack does not lead back */
        f[0] = leaf;
        return 1;
    }
    /* It has jumped to where another function begins; else it has returned. */
    if (f[0].user != leaf.user || !symbols_start(p->m->symbols, f[0].ip, &start) || start != f[0].ip) {
        n = n < UNWIND_MAX ? n : UNWIND_MAX - 1;
        memmove(f + 1, f, n * sizeof(f[0]));
        n++;
    }
    f[0] = leaf;
    return n;
}

static void name_process(const struct profile *p, struct cpu *c, char *name, size_t size)
{
    char comm[LINUX_COMM];

    if (!cpu_pe(c))
        snprintf(name, size, "real mode");
    else if (!(c->cr0 & CR0_PG))
        snprintf(name, size, "no paging");
    else if (linux_guest_comm(p->m->linux_guest, c, comm))
        snprintf(name, size, "%s", comm);
    else
        snprintf(name, size, "cr3 0x%llx", (unsigned long long)(c->cr3 & 0x000ffffffffff000));
}

static uint64_t now_ns(clockid_t clock)
{
    struct timespec t = { 0, 0 };

    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * NS + (uint64_t)t.tv_nsec;
}

void profile_sample(struct cpu *c, const struct exec_sample *s)
{
    struct profile *p = c->m->profile;
    struct frame f[UNWIND_MAX], leaf = { s->lin, s->cpl == 3 && cpu_pe(c) };
    struct vcpu_time *t = &p->time[c->index];
    uint64_t weight, begin;
    char process[64];
    unsigned n;

    t->sampling = true;         /* from here on no tick changes anything of t */
    weight = t->owed;
    t->owed = 0;
    if (!weight) {              /* the sample before was for this tick, too */
        t->sampling = false;
        return;
    }
    begin = now_ns(CLOCK_MONOTONIC);    /* which unlike the thread's CPU time costs no system call */
    linux_guest_begin(p->m->linux_guest, c);
    name_process(p, c, process, sizeof(process));
    n = unwind(c, p->m->linux_guest, p->how, f);
    linux_guest_done(p->m->linux_guest);
    n = p->how == UNWIND_OFF ? 1 : join(p, leaf, f, n);
    if (p->how == UNWIND_OFF)
        f[0] = leaf;
    pthread_mutex_lock(&p->lock);
    if (p->running) {
        p->samples += weight;
        count(p, process, f, n, weight);
    }
    pthread_mutex_unlock(&p->lock);
    t->own += now_ns(CLOCK_MONOTONIC) - begin;
    t->sampling = false;
}

/* NULL: nothing is counted. */
static struct vcpu_time *time_of(const struct cpu *c)
{
    struct profile *p = c->m->profile;

    return p && __atomic_load_n(&p->running, __ATOMIC_ACQUIRE) && !p->time[c->index].sampling ? &p->time[c->index] : NULL;
}

/* What CPU time there was since the last tick. */
static void credit(struct vcpu_time *t)
{
    uint64_t now = now_ns(CLOCK_THREAD_CPUTIME_ID) - t->own;

    if (t->begun)
        t->credit += (int64_t)(now - t->had) > 0 ? now - t->had : 0;
    t->begun = true;
    t->had = now;
}

bool profile_tick(struct cpu *c)
{
    struct vcpu_time *t = time_of(c);
    uint64_t period;

    if (!t)
        return false;
    period = NS / c->m->profile->hz;
    credit(t);
    if (t->credit < period)
        return false;
    t->owed += t->credit / period;
    t->credit %= period;
    return true;
}

void profile_rest(struct cpu *c, unsigned periods)
{
    struct vcpu_time *t = time_of(c);

    if (!t)
        return;
    credit(t);
    __atomic_fetch_add(&t->idle, periods, __ATOMIC_RELAXED);
    __atomic_store_n(&t->rests, now_ns(CLOCK_MONOTONIC), __ATOMIC_RELAXED);
}

/* Periods that began to pass at `since`. */
static uint64_t rested(const struct profile *p, uint64_t since)
{
    return since ? (now_ns(CLOCK_MONOTONIC) - since) / (NS / p->hz) : 0;
}

/* The vCPU wakes, or nothing more is counted. */
static void end_rest(struct profile *p, struct vcpu_time *t)
{
    uint64_t since = __atomic_exchange_n(&t->rests, 0, __ATOMIC_RELAXED);

    __atomic_fetch_add(&t->idle, rested(p, since), __ATOMIC_RELAXED);
}

void profile_wake(struct cpu *c)
{
    struct vcpu_time *t = time_of(c);

    if (t)
        end_rest(c->m->profile, t);
}

static uint64_t idle(const struct profile *p)
{
    uint64_t n = 0;

    for (unsigned i = 0; i < p->m->ncpu; i++)
        n += __atomic_load_n(&p->time[i].idle, __ATOMIC_RELAXED) + rested(p, __atomic_load_n(&p->time[i].rests, __ATOMIC_RELAXED));
    return n;
}

/* ---- files ---- */

/* The name of a node; a function without one is its page. */
static void describe(struct profile *p, const struct node *n, char *to, size_t size)
{
    const char *mark = n->kind == IS_KERNEL ? "_[k]" : "";
    struct symbol_at at;

    if (n->kind == IS_PROCESS)
        snprintf(to, size, "%s", p->name[n->ip]);
    else if (symbols_lookup(p->m->symbols, NULL, n->ip, &at))
        snprintf(to, size, "%s%s", at.name, mark);
    else
        snprintf(to, size, "0x%llxxxx%s", (unsigned long long)(n->ip >> 12), mark);
}

static struct flame *make_flame(struct profile *p)
{
    struct flame *f = flame_new();
    const char *halts = "[idle]", *lost = "[lost: out of memory]";
    char (*text)[SYMBOL_NAME + 8] = malloc((UNWIND_MAX + 1) * sizeof(*text));
    const char *stack[UNWIND_MAX + 1];

    if (!text)
        die(EXIT_CODE_HOST, "out of memory for a flame graph");
    for (uint32_t i = 1; i < p->n; i++) {
        unsigned n = UNWIND_MAX + 1;

        if (!p->node[i].self)
            continue;
        for (uint32_t at = i; at && n--; at = p->node[at].up) {
            describe(p, &p->node[at], text[n], sizeof(text[n]));
            stack[n] = text[n];
        }
        flame_add(f, stack + n, UNWIND_MAX + 1 - n, p->node[i].self);
    }
    free(text);
    if (idle(p))
        flame_add(f, &halts, 1, idle(p));
    if (p->lost)
        flame_add(f, &lost, 1, p->lost);
    return f;
}

/* False: in err, what failed. */
static bool finish_file(FILE *f, const char *file, const char *end, bool ok, char *err, size_t len)
{
    if (fclose(f) == 0 && ok)
        return true;
    snprintf(err, len, "cannot write %s%s: %s", file, end, strerror(errno));
    return false;
}

static bool write_files(struct profile *p, char *err, size_t len)
{
    struct flame *f = make_flame(p);
    char title[80];
    bool ok;

    snprintf(title, sizeof(title), "Guest: %llu samples at %u Hz", (unsigned long long)flame_total(f), p->hz);
    flame_folded(f, p->folded);
    flame_svg(f, title, "samples", p->svg);
    flame_free(f);
    ok = finish_file(p->folded, p->file, ".folded", !ferror(p->folded), err, len);
    return finish_file(p->svg, p->file, ".svg", !ferror(p->svg), err, len) && ok;
}

/* A file as it is, or an empty one: `made`. NULL: errno says why. */
static FILE *open_file(const char *name, bool *made)
{
    int fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);

    *made = fd >= 0;
    if (fd < 0 && errno == EEXIST)
        fd = open(name, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    return fd < 0 ? NULL : fdopen(fd, "w");
}

/* False: nothing is as it was not before; in err, why. */
static bool open_both(struct profile *p, const char *folded, const char *svg, char *err, size_t len)
{
    bool made, svg_made;

    p->folded = open_file(folded, &made);
    if (!p->folded) {
        snprintf(err, len, "cannot write %s: %s", folded, strerror(errno));
        return false;
    }
    p->svg = open_file(svg, &svg_made);
    if (!p->svg) {
        snprintf(err, len, "cannot write %s: %s", svg, strerror(errno));
        fclose(p->folded);
        if (made)
            unlink(folded);
        return false;
    }
    /* What cannot be cut (a pipe) has nothing that would stay. */
    (void)!ftruncate(fileno(p->folded), 0);
    (void)!ftruncate(fileno(p->svg), 0);
    return true;
}

/* Both are made at once, so that what forbids it is said before the measurement, and not behind it. */
static bool open_files(struct profile *p, const char *file, char *err, size_t len)
{
    size_t n = strlen(file) + 8;
    char *folded = malloc(n), *svg = malloc(n);
    bool ok;

    p->file = strdup(file);
    if (!folded || !svg || !p->file)
        die(EXIT_CODE_HOST, "out of memory");
    snprintf(folded, n, "%s.folded", file);
    snprintf(svg, n, "%s.svg", file);
    ok = open_both(p, folded, svg, err, len);
    if (!ok) {
        free(p->file);
        p->file = NULL;                 /* nothing was measured for it */
    }
    free(folded);
    free(svg);
    return ok;
}

/* ---- commands ---- */

struct profile *profile_new(struct machine *m, const struct profile_ops *ops)
{
    struct profile *p = calloc(1, sizeof(*p));

    if (!p || !(p->time = calloc(m->ncpu, sizeof(p->time[0]))))
        die(EXIT_CODE_HOST, "out of memory for the profiler");
    p->m = m;
    p->ops = ops;
    p->n = 1;
    pthread_mutex_init(&p->lock, NULL);
    return p;
}

void profile_free(struct profile *p)
{
    clear(p);
    pthread_mutex_destroy(&p->lock);
    free(p->time);
    free(p);
}

bool profile_end(struct profile *p)
{
    char err[512];

    if (!p->running || profile_stop(p, err, sizeof(err)))
        return true;
    fprintf(stderr, "latimer: %s\n", err);
    return false;
}

bool profile_files(struct profile *p, const char *file, char *err, size_t len)
{
    if (p->running) {
        snprintf(err, len, "the profiler runs already, for %s: stop it first", p->file);
        return false;
    }
    clear(p);
    return open_files(p, file, err, len);
}

bool profile_start(struct profile *p, unsigned hz, enum unwind_how how, char *err, size_t len)
{
    p->cap = 4096;
    p->node = malloc(p->cap * sizeof(p->node[0]));
    if (!p->node)
        die(EXIT_CODE_HOST, "out of memory for the profiler");
    p->hz = hz;
    p->how = how;
    memset(p->time, 0, p->m->ncpu * sizeof(p->time[0]));
    name_of(p, "unknown");              /* number 0, for when there are too many */
    __atomic_store_n(&p->running, true, __ATOMIC_RELEASE);
    if (p->ops->start(p->m, NS / hz, err, len))
        return true;
    __atomic_store_n(&p->running, false, __ATOMIC_SEQ_CST);
    fclose(p->folded);
    fclose(p->svg);
    return false;
}

bool profile_stop(struct profile *p, char *err, size_t len)
{
    if (!p->running) {
        snprintf(err, len, "the profiler does not run: 'profile start FILE' starts it");
        return false;
    }
    p->ops->stop(p->m);
    pthread_mutex_lock(&p->lock);
    __atomic_store_n(&p->running, false, __ATOMIC_SEQ_CST);
    pthread_mutex_unlock(&p->lock);
    for (unsigned i = 0; i < p->m->ncpu; i++)
        end_rest(p, &p->time[i]);
    p->written = write_files(p, err, len);
    return p->written;
}

void profile_info(struct profile *p, struct text *out)
{
    static const char *const how[] = { [UNWIND_AUTO] = "auto", [UNWIND_FP] = "fp", [UNWIND_OFF] = "off" };

    pthread_mutex_lock(&p->lock);
    if (!p->file)
        text_say(out, "the profiler has not run\n");
    else
        text_say(out, "%s %s.folded and %s.svg, %u Hz, stack=%s: %llu samples, %llu of halts, %u frames kept, %llu lost\n",
                 p->running ? "running, for" : p->written ? "stopped; wrote" : "stopped; did not write all of", p->file, p->file, p->hz, how[p->how],
                 (unsigned long long)p->samples, (unsigned long long)idle(p), p->n - 1, (unsigned long long)p->lost);
    pthread_mutex_unlock(&p->lock);
}
