/*
 * fuzz_dev.c - the device fuzzer: boards pc and q35 with everything in hw/plugs.def that fits, and a guest that means
 * harm (fuzz_dev.h).
 *
 *     fuzz_dev [--seed N] [--seconds N] [--steps N]     one case after the other, each in a process of its own
 *     fuzz_dev --case N [--trace]                       one case again, as a failure's report names it
 *
 * A case fails that crashes (a sanitizer's report counts), hangs, breaks an assertion, whose state differs after save,
 * load and save, or that touches what lies beside guest RAM: pages that nobody may access stand before and behind it.
 * In every other case its state is saved now and then, numbers in it are changed, and it goes on with that (tamper.c);
 * what was saved then has to be taken again, but may not come back the same.
 */
#define _GNU_SOURCE
#include "tests/fuzz/dev/fuzz_dev.h"

#include <getopt.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "hw/chardev_if.h"

#define USES_MAX  96
#define GUARD     (16u << 20)
#define HANG      120           /* seconds for a case */
#define BIOS_SIZE 0x20000u

/* ---- what the program replaces of Latimer's ---- */

static void intr(struct machine *m, unsigned cpu, bool level) { }
static void event(struct machine *m, unsigned cpu) { }
static void kick(struct machine *m) { }
static void sipi(struct machine *m, unsigned cpu, uint8_t vector) { }
static void level(struct machine *m, unsigned cpu, bool on) { }
static void a20(struct machine *m, bool on) { phys_set_a20(m->phys, on); }
static uint64_t apic_base(struct machine *m, unsigned cpu) { return 0xfee00900u; }
static int current(struct machine *m) { return 0; }
static int64_t tsc_offset(struct machine *m, unsigned cpu) { return 0; }

const struct cpu_lines cpu_lines = {
    .intr = intr, .nmi = event, .init = event, .sipi = sipi, .smi = event, .ignne = level, .a20 = a20,
    .apic_base = apic_base, .current = current, .tsc_offset = tsc_offset, .kick = kick,
};

/* Guest RAM gets neighbours that nobody may touch (linked with --wrap=mmap). */
void *__real_mmap(void *, size_t, int, int, int, off_t);
void *__wrap_mmap(void *, size_t, int, int, int, off_t);
void *__wrap_mmap(void *at, size_t len, int prot, int flags, int fd, off_t off)
{
    uint8_t *p;

    if (len != RAM_SIZE || at)
        return __real_mmap(at, len, prot, flags, fd, off);
    p = __real_mmap(NULL, len + 2 * (size_t)GUARD, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return p == MAP_FAILED ? p : __real_mmap(p + GUARD, len, prot, flags | MAP_FIXED, fd, off);
}

/* A board that does not take a device says so by die(): it is built anew without that one (--wrap=die). */
static struct {
    jmp_buf back;
    bool building, quiet;
    unsigned made;              /* devices that have been made so far */
    const struct plug *real[USES_MAX];
} build;

void __wrap_die(int code, const char *fmt, ...) __attribute__((noreturn, format(printf, 2, 3)));
void __wrap_die(int code, const char *fmt, ...)
{
    va_list ap;

    if (!build.quiet) {
        va_start(ap, fmt);
        vfprintf(stderr, fmt, ap);
        va_end(ap);
        fputc('\n', stderr);
    }
    if (!build.building)
        abort();
    longjmp(build.back, 1);
}

static void make_next(struct plug_env *env, void *bus, const void *props)
{
    build.real[build.made]->make(env, bus, props);
    build.made++;
}

/* ---- building ---- */

static const char *one_of(struct fuzz *z, const char *a, const char *b)
{
    return chance(z, 2) ? a : b;
}

static bool is_bridge(const struct plug *p)
{
    static const char *const names[] = { "pci-bridge", "i82801b11-bridge", "pcie-pci-bridge", "pcie-root-port", "ioh3420",
                                         "x3130-upstream", "xio3130-downstream" };

    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(p->name, names[i]) == 0)
            return true;
    return false;
}

/* A PCI device goes behind one of the bridges before it at times; of those, more often to one that has many slots. */
static void choose_bus(struct fuzz *z, struct plug_use *u, const struct plug_use *first)
{
    if (strcmp(u->plug->bus, "PCI") || chance(z, 2))
        return;
    for (const struct plug_use *b = first; b; b = b->next)
        if (b->props->id && chance(z, strstr(b->props->id, "bridge") ? 3 : 12))
            u->props->bus = b->props->id;
}

/* Its ends, and some of its switches. */
static void choose_props(struct fuzz *z, struct plug_use *u)
{
    bool cdrom = strstr(u->plug->name, "cd") != NULL;
    char why[200];

    for (const struct prop *p = u->plug->props; p && p->name; p++) {
        uint8_t *at = (uint8_t *)u->props + p->offset;
        void *end = outside_new(z, p->type, cdrom);

        if (end)
            memcpy(at, &end, sizeof(end));
        else if (p->type == PROP_STRING && strcmp(p->name, "mount_tag") == 0)
            memcpy(at, &(const char *){ "tag" }, sizeof(const char *));
        else if (p->type == PROP_BOOL && chance(z, 6))
            plug_set(u, p, one_of(z, "on", "off"), &(struct plug_names){ 0 }, why, sizeof(why));
    }
}

static void configure(struct fuzz *z, uint8_t *bios)
{
    struct machine_config *c = &z->m.cfg;
    pthread_mutexattr_t recursive;

    memset(&z->m, 0, sizeof(z->m));
    z->ends = NULL;
    outside_init(z);
    pthread_mutexattr_init(&recursive);
    pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&z->m.lock, &recursive);
    z->m.clock = clock_new_manual(1000000000);
    z->m.settle = outside_settle;
    c->ram = RAM_SIZE;
    c->cpus = 1;
    c->bios = bios;
    c->bios_len = BIOS_SIZE;
    c->bios_name = "bios";
    c->nserial = 2;
    for (unsigned i = 0; i < 2; i++)
        c->serial[i] = ((struct chardev_slot *)outside_new(z, PROP_CHARDEV, false))->chr;
    c->debugcon = ((struct chardev_slot *)outside_new(z, PROP_CHARDEV, false))->chr;
    c->debugcon_port = 0x402;
    c->parallel[0] = ((struct chardev_slot *)outside_new(z, PROP_CHARDEV, false))->chr;
    c->nparallel = 1;
    c->display = &z->display;
    c->input = input_new();
    c->pcspk = &z->audio;
    c->rtc_base = 1000000000;
    c->on_watchdog = (enum machine_action)pick(z, ACTION_FAIL);
}

/* Builds a machine with these devices. False: the board did not take number build.made. */
static bool build_with(struct fuzz *z, const struct board *board, const struct plug *const *list, unsigned n, uint8_t *bios)
{
    struct plug *proxies = calloc(n, sizeof(*proxies));
    struct plug_use *first = NULL, **last = &first;

    if (!proxies)
        abort();
    configure(z, bios);
    z->m.cfg.board = board;
    for (unsigned i = 0; board->ide && i < 4; i++)
        z->m.cfg.ide[i] = outside_new(z, PROP_DRIVE, i >= 2);
    for (unsigned i = 0; board->floppy && i < 2; i++)
        z->m.cfg.floppy[i] = outside_new(z, PROP_DRIVE, false);
    for (unsigned i = 0; i < n; i++) {
        struct plug_use *u = plug_use_new(list[i]);

        choose_props(z, u);
        choose_bus(z, u, first);
        if (is_bridge(u->plug))
            u->props->id = u->plug->name;       /* each is there once */
        proxies[i] = *list[i];
        proxies[i].make = make_next;
        build.real[i] = list[i];
        u->plug = &proxies[i];
        *last = u;
        last = &u->next;
    }
    z->m.cfg.devices = first;
    build.made = 0;
    build.building = true;
    if (setjmp(build.back))
        return build.building = false;
    board->init(&z->m);
    build.building = false;
    return true;
}

static void build_machine(struct fuzz *z)
{
    static uint8_t bios[BIOS_SIZE];
    const struct board *board = chance(z, 2) ? &board_pc : &board_q35;
    const struct plug *list[USES_MAX];
    unsigned n = 0;

    for (const struct plug *p; n < USES_MAX && (p = plug_nth(n)); n++)
        list[n] = p;
    /*
     * In another order each time, for who comes first gets the places: but bridges before
     * what may be behind them, and controllers before what sits on them.
     */
    for (unsigned i = 0; i < n; i++) {
        unsigned k = pick(z, n);
        const struct plug *p = list[i];

        list[i] = list[k];
        list[k] = p;
    }
    for (unsigned pass = 0; pass < 2; pass++) {
        for (unsigned i = 0, front = 0; i < n; i++) {
            const struct plug *p = list[i];

            if (pass ? !is_bridge(p) : strcmp(p->bus, "PCI") && strcmp(p->bus, "ISA"))
                continue;
            list[i] = list[front];
            list[front++] = p;
        }
    }
    while (!build_with(z, board, list, n, bios)) {
        if (build.made >= n)
            abort();            /* the board itself */
        if (z->trace)
            fprintf(stderr, "without %s\n", list[build.made]->name);
        memmove(&list[build.made], &list[build.made + 1], (n - build.made - 1) * sizeof(list[0]));
        n--;
    }
    if (z->trace)
        for (unsigned i = 0; i < n; i++)
            fprintf(stderr, "%s: %s\n", board->name, list[i]->name);
}

/* ---- a case ---- */

static void reset(struct fuzz *z)
{
    outside_settle(&z->m);
    machine_reset(&z->m);
    z->m.stop = STOP_NONE;
    enumerate(z);
}

static void save_load_save(struct fuzz *z)
{
    uint8_t *a, *b;
    size_t n, k;
    const char *wrong;

    drive_to_rest(z);
    outside_settle(&z->m);
    n = chips_save(z->m.chips, &a);
    wrong = chips_load(z->m.chips, a, n);
    k = chips_save(z->m.chips, &b);
    if (!wrong && (z->tampers || (n == k && !memcmp(a, b, n)))) {
        free(a);
        free(b);
        return;
    }
    if (wrong)
        fprintf(stderr, "its own state is refused: %s\n", wrong);
    for (size_t i = 0, shown = 0; i < n && i < k && shown < 8; i++) {
        size_t from = i > 80 ? i - 80 : 0;

        if (a[i] == b[i])
            continue;
        shown++;
        fprintf(stderr, "state differs at byte %zu of %zu: ", i, n);
        for (size_t c = from; c < i + 24 && c < n; c++)
            fprintf(stderr, a[c] >= 32 && a[c] < 127 ? "%c" : "<%02x>", a[c]);
        fprintf(stderr, "\nthen %02x instead of %02x\n", b[i], a[i]);
        i += 24;
    }
    abort();
}

static void step(struct fuzz *z)
{
    static const uint32_t ns[] = { 100, 10000, 1000000, 20000000, 1000000000 };
    unsigned what = pick(z, 100);

    if (what < 50)
        wild(z);
    else if (what < 70 && z->nfns)
        drive(z, &z->fn[pick(z, z->nfns)]);
    else if (what < 82)
        drive_old(z);
    else if (what < 90)
        outside_acts(z);
    else
        clock_advance_late(z->m.clock, pick(z, ns[pick(z, 5)]));
    if (z->m.stop != STOP_NONE)
        reset(z);
    if (chance(z, 4000))
        save_load_save(z);
    if (z->tampers && chance(z, 100))
        tamper(z);
    if (chance(z, 4000))
        reset(z);
    if (chance(z, 2000))
        enumerate(z);
    if (chance(z, 5000))
        z->m.cfg.board->power_button(&z->m);
}

static void run_case(uint64_t seed, unsigned steps, bool trace)
{
    struct fuzz *z = calloc(1, sizeof(*z));

    if (!z)
        abort();
    z->random = seed * 0x9e3779b97f4a7c15u + 1;
    z->trace = trace;
    z->tampers = seed & 1;
    build.quiet = !trace;
    if (trace)
        log_mask |= LOG_GUEST | LOG_UNIMP;
    build_machine(z);
    machine_lock(&z->m);
    reset(z);
    tamper_known(z);
    for (unsigned i = 0; i < steps; i++)
        step(z);
    save_load_save(z);
    machine_unlock(&z->m);
    z->m.cfg.board->free(&z->m);
}

/* ---- many ---- */

/* How a child came to its end; NULL: well. */
static const char *ended(int status)
{
    static char text[60];

    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return NULL;
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
        return "it does not end";
    if (WIFSIGNALED(status))
        snprintf(text, sizeof(text), "%s", strsignal(WTERMSIG(status)));
    else
        snprintf(text, sizeof(text), "exit code %d", WEXITSTATUS(status));
    return text;
}

static bool fork_case(uint64_t seed, unsigned steps)
{
    const char *why;
    int status;
    pid_t pid = fork();

    if (pid < 0)
        return false;
    if (!pid) {
        alarm(HANG);
        run_case(seed, steps, false);
        _exit(0);
    }
    while (waitpid(pid, &status, 0) < 0)
        ;
    why = ended(status);
    if (why)
        printf("FAIL: %s: tests/fuzz/fuzz_dev --case %llu --steps %u\n", why, (unsigned long long)seed, steps);
    fflush(stdout);
    return !why;
}

int main(int argc, char **argv)
{
    static const struct option opts[] = {
        { "seed", 1, NULL, 's' }, { "seconds", 1, NULL, 't' }, { "steps", 1, NULL, 'n' }, { "case", 1, NULL, 'c' },
        { "trace", 0, NULL, 'v' }, { 0 }
    };
    unsigned long long seed = 1, one = 0, cases = 0, failures = 0;
    unsigned seconds = 5, steps = 4000;
    bool trace = false;
    time_t end;

    for (int c; (c = getopt_long(argc, argv, "", opts, NULL)) != -1; ) {
        switch (c) {
        case 's': seed = strtoull(optarg, NULL, 0); break;
        case 't': seconds = (unsigned)atoi(optarg); break;
        case 'n': steps = (unsigned)atoi(optarg); break;
        case 'c': one = strtoull(optarg, NULL, 0); break;
        case 'v': trace = true; break;
        default: return 2;
        }
    }
    if (one) {
        run_case(one, steps, trace);
        return 0;
    }
    end = time(NULL) + seconds;
    printf("fuzz_dev: --seed %llu, %u s\n", seed, seconds);
    fflush(stdout);
    for (; time(NULL) < end && failures < 10; cases++)
        failures += !fork_case(seed * 1000000 + cases + 1, steps);
    printf("fuzz_dev: %llu cases of %u steps, %llu failures\n", cases, steps, failures);
    return failures > 0;
}
