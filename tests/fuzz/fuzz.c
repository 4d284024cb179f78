/*
 * fuzz.c - the fuzzer's main loop, and what it does with a difference: repeat it
 * from a known state, reduce it to few instructions, show everything.
 *
 *     fuzz --seconds 60 --seed 7 --modes long,p32
 *     fuzz --case 0x1234        one case again, as a failure's report names it
 */
#include <ctype.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "frontend/decode.h"
#include "tests/fuzz/fuzz.h"
#include "translator/check.h"
#include "translator/exec.h"

#define ROUNDS 24
#define TICKS_INTERP 3          /* a round that runs longer is left out */
#define TICKS_JIT 250
#define UNDEF_TRIES 100         /* random choices of undefined flags before they are held innocent */

struct fuzz {
    struct fuzz_machine a, b;   /* interpreter, host code */
    struct fuzz_case k;
    struct fuzz_start start[ROUNDS];
    uint8_t before[FZ_RAM], pre[FZ_RAM], after[FZ_RAM];
    struct cpu *cpu;            /* a copy */
    unsigned long undefined;
    const char *what;           /* the last difference */
    unsigned long cases, rounds, timeouts, stops, failures;
    unsigned long mode_rounds[FM_COUNT];
};

enum round_result { ROUND_SAME, ROUND_SKIP, ROUND_DIFF };

/*
 * Would the interpreter come to the same end if the flags the manual leaves undefined were others?
 * If not, host code may differ as well and the round says nothing.
 */
static bool depends_on_undefined(struct fuzz *z, const struct fuzz_start *s, uint64_t io_hash, uint32_t io_reads)
{
    struct fuzz_machine first = z->a;
    bool differs = false;

    memcpy(z->after, z->a.ram, FZ_RAM);
    memcpy(z->cpu, z->a.c, sizeof(*z->cpu));
    first.ram = z->after;
    first.c = z->cpu;
    for (unsigned n = 0; n < UNDEF_TRIES && !differs; n++) {
        fuzz_memory(&z->a, z->pre);
        z->a.io_hash = io_hash;
        z->a.io_reads = io_reads;
        /* A loop that one constant value keeps going for ever hardly ever stays in it by chance. */
        z->a.c->flip_undef = n == 0 ? FLIP_ZEROS : n == 1 ? FLIP_ONES : 0x9e3779b9u * (n + 1);
        fuzz_begin(&z->a, &z->k, s);
        differs = fuzz_run(&z->a, TICKS_INTERP) == FE_TIMEOUT || fuzz_compare(&first, &z->a, &z->k);
    }
    z->a.c->flip_undef = 0;
    return differs;
}

static enum round_result run_round(struct fuzz *z, const struct fuzz_start *s)
{
    uint64_t io_hash = z->a.io_hash;
    uint32_t io_reads = z->a.io_reads;
    enum fuzz_end e, f;

    /* The counter of backward jumps starts anew. */
    for (unsigned m = 0; m < 2; m++) {
        uint8_t n[2] = { 12, 0 };
        phys_write((m ? &z->b : &z->a)->m.phys, FZ_COUNTER, n, 2);
    }
    memcpy(z->pre, z->a.ram, FZ_RAM);
    fuzz_begin(&z->a, &z->k, s);
    e = fuzz_run(&z->a, TICKS_INTERP);
    if (e == FE_TIMEOUT) {
        z->timeouts++;
        return ROUND_SKIP;
    }
    fuzz_begin(&z->b, &z->k, s);
    z->stops += e == FE_STOP;
    f = e == FE_CRASH ? FE_HALT : fuzz_run(&z->b, TICKS_JIT);
    z->what = e == FE_CRASH ? "the interpreter crashes" : f == FE_CRASH ? "the host code crashes" :
              f == FE_TIMEOUT ? "the host code does not end" : fuzz_compare(&z->a, &z->b, &z->k);
    if (z->what && e != FE_CRASH && f != FE_CRASH && depends_on_undefined(z, s, io_hash, io_reads)) {
        z->undefined++;
        return ROUND_SKIP;
    }
    return z->what ? ROUND_DIFF : ROUND_SAME;
}

static void set_memory(struct fuzz *z, const uint8_t *image)
{
    fuzz_memory(&z->a, image);
    fuzz_memory(&z->b, image);
}

/* Rounds [from, to] on fresh machines: is there a difference? */
static bool repeat(struct fuzz *z, const uint8_t *image, unsigned from, unsigned to)
{
    set_memory(z, image);
    fuzz_fresh(&z->a, false);
    fuzz_fresh(&z->b, false);
    for (unsigned n = from; n <= to; n++) {
        enum round_result r = run_round(z, &z->start[n]);
        if (r != ROUND_SAME)
            return r == ROUND_DIFF;
    }
    return false;
}

/* ---- reducing ---- */

static void blank(uint8_t *image, const struct fuzz_unit *u)
{
    memset(image + u->off, 0x90, u->len);
}

/* Replace as many instructions as possible by NOPs: larger groups first. */
static unsigned reduce_code(struct fuzz *z, uint8_t *image, unsigned from, unsigned to)
{
    static uint8_t saved[FZ_CODE_SIZE];
    bool gone[FZ_UNITS] = { false };
    unsigned left = 0;

    for (unsigned size = z->k.nunits; size; size /= 2) {
        for (unsigned n = 0; n < z->k.nunits; n += size) {
            bool any = false;

            memcpy(saved, image + FZ_CODE, FZ_CODE_SIZE);
            for (unsigned u = n; u < n + size && u < z->k.nunits; u++) {
                any |= !gone[u];
                blank(image, &z->k.unit[u]);
            }
            if (any && repeat(z, image, from, to)) {
                for (unsigned u = n; u < n + size && u < z->k.nunits; u++)
                    gone[u] = true;
            } else {
                memcpy(image + FZ_CODE, saved, FZ_CODE_SIZE);
            }
        }
    }
    for (unsigned u = 0; u < z->k.nunits; u++)
        left += !gone[u];
    return left;
}

/* Simplify the registers a single round begins with. */
static void reduce_state(struct fuzz *z, const uint8_t *image, unsigned n)
{
    struct fuzz_start *s = &z->start[n], old;

    for (unsigned r = 0; r < 16; r++) {
        old = *s;
        s->r[r] = 0;
        if (r != R_SP && !repeat(z, image, n, n))
            *s = old;
    }
    for (unsigned r = 0; r < 16; r++) {
        old = *s;
        memset(&s->fx.x[r], 0, 16);
        if (!repeat(z, image, n, n))
            *s = old;
    }
    for (unsigned f = 0; f < 32; f++) {
        old = *s;
        s->eflags &= ~(1u << f);
        if (f == 1 || f == 17 || !(old.eflags >> f & 1) || !repeat(z, image, n, n))
            *s = old;
    }
}

/* ---- reporting ---- */

static void print_code(const struct fuzz *z, const uint8_t *image)
{
    unsigned bits = z->k.mode == FM_LONG ? 64 : (z->k.decode_mode & M_CODE) == M_CODE32 ? 32 : 16;

    for (unsigned n = 0; n < z->k.nunits; n++) {
        const struct fuzz_unit *u = &z->k.unit[n];
        const uint8_t *p = image + u->off;
        bool nop = true;

        for (unsigned i = 0; i < u->len; i++)
            nop &= p[i] == 0x90;
        if (nop)
            continue;
        fprintf(stderr, "  %05x:", u->off);
        for (unsigned i = 0; i < u->len; i++)
            fprintf(stderr, " %02x", p[i]);
        fprintf(stderr, "\n");
        check_disassemble(stderr, p, u->len, u->off, bits, 0, false);
    }
}

static void print_start(const struct fuzz_start *s)
{
    fprintf(stderr, "start: rip %llx eflags %x mxcsr %x fcw %x fsw %x ftw %x%s, segments", (unsigned long long)s->rip,
            s->eflags, s->fx.mxcsr, s->fx.fcw, s->fx.fsw, s->fx.ftw, s->intr ? ", interrupt pending" : "");
    for (unsigned n = 0; n < 6; n++)
        fprintf(stderr, " %x", s->sel[n]);
    for (unsigned n = 0; n < 16; n++)
        fprintf(stderr, "%s%16llx", n % 4 ? " " : "\n  ", (unsigned long long)s->r[n]);
    fprintf(stderr, "\n");
}

/* The lock-step check says most, if the difference shows in it; else every block made. */
static void explain(struct fuzz *z, const uint8_t *image, unsigned from, unsigned to)
{
    int status = 0;
    pid_t child = fork();

    if (!child) {
        alarm(10);
        set_memory(z, image);
        fuzz_fresh(&z->b, true);
        for (unsigned n = from; n <= to; n++) {
            uint8_t w[2] = { 12, 0 };
            phys_write(z->b.m.phys, FZ_COUNTER, w, 2);
            fuzz_begin(&z->b, &z->k, &z->start[n]);
            fuzz_run(&z->b, TICKS_JIT);
        }
        _exit(0);
    }
    waitpid(child, &status, 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_CODE_CHECK)
        return;
    fprintf(stderr, "the lock-step check finds nothing; all blocks:\n");
    log_mask |= LOG_IN | LOG_IR | LOG_OUT | LOG_INT | LOG_EXEC;
    repeat(z, image, from, to);
    log_mask &= ~(LOG_IN | LOG_IR | LOG_OUT | LOG_INT | LOG_EXEC);
}

static void report(struct fuzz *z, unsigned round, bool verbose)
{
    static uint8_t image[FZ_RAM];
    unsigned from = round, left;
    const struct fuzz_case *k = &z->k;
    const char *what = z->what;

    fprintf(stderr, "\nfuzz: %s: mode %s, CPL %u, paging %u, cr0 %x cr4 %x efer %llx; again: fuzz --case 0x%llx\n", what,
            fuzz_mode_name(k->mode), k->cpl, k->paging, k->cr0, k->cr4, (unsigned long long)k->efer,
            (unsigned long long)k->seed);
    z->failures++;
    if (!verbose) {
        fuzz_fresh(&z->a, false);
        fuzz_fresh(&z->b, false);
        return;
    }
    fuzz_print(stderr, &z->a, &z->b);
    memcpy(image, z->before, FZ_RAM);
    if (!repeat(z, image, round, round)) {
        memcpy(image, k->image, FZ_RAM);
        from = 0;
        if (!repeat(z, image, 0, round)) {
            fprintf(stderr, "fuzz: does not repeat from fresh machines\n");
            fuzz_fresh(&z->a, false);
            fuzz_fresh(&z->b, false);
            return;
        }
    }
    left = reduce_code(z, image, from, round);
    if (from == round)
        reduce_state(z, image, round);
    repeat(z, image, from, round);
    fprintf(stderr, "reduced to %u instructions, rounds %u to %u: %s\n", left, from, round,
            z->what ? z->what : "(gone)");
    fuzz_print(stderr, &z->a, &z->b);
    print_start(&z->start[round]);
    print_code(z, image);
    fflush(stderr);
    explain(z, image, from, round);
    fuzz_fresh(&z->a, false);
    fuzz_fresh(&z->b, false);
}

/* True: all rounds agreed. */
static bool run_case(struct fuzz *z, uint64_t seed, bool verbose)
{
    struct hw_rng r = { seed ^ 0x5deece66d };

    fuzz_make_case(&z->k, seed);
    set_memory(z, z->k.image);
    z->cases++;
    for (unsigned n = 0; n < ROUNDS; n++) {
        fuzz_make_start(&r, &z->k, &z->start[n]);
        memcpy(z->before, z->a.ram, FZ_RAM);
        z->rounds++;
        z->mode_rounds[z->k.mode]++;
        switch (run_round(z, &z->start[n])) {
        case ROUND_SAME:
            continue;
        case ROUND_SKIP:
            return true;
        case ROUND_DIFF:
            report(z, n, verbose);
            return false;
        }
    }
    return true;
}

static void run_known(struct fuzz *z, bool verbose)
{
    const char *what;

    for (unsigned n = 0; fuzz_known(n, &z->k, &z->start[0], &what); n++) {
        enum round_result r = ROUND_SKIP;

        /* The first ones may take too long where an emulator of the host has yet to translate all that. */
        for (unsigned tries = 0; r == ROUND_SKIP && tries < 10; tries++) {
            set_memory(z, z->k.image);
            memcpy(z->before, z->a.ram, FZ_RAM);
            r = run_round(z, &z->start[0]);
        }
        if (r == ROUND_SAME)
            continue;
        fprintf(stderr, "fuzz: known case %u: %s\n", n, what);
        if (!z->what)
            z->what = "it does not end";
        report(z, 0, verbose);
    }
}

/* ---- the command line ---- */

static bool parse_modes(const char *list, unsigned *mask)
{
    *mask = 0;
    while (*list) {
        size_t n = strcspn(list, ",");
        unsigned m = 0;

        while (m < FM_COUNT && (strlen(fuzz_mode_name((enum fuzz_mode)m)) != n ||
                                strncmp(fuzz_mode_name((enum fuzz_mode)m), list, n)))
            m++;
        if (m == FM_COUNT)
            return false;
        *mask |= 1u << m;
        list += n + (list[n] == ',');
    }
    return *mask;
}

static void usage(void)
{
    fprintf(stderr, "usage: fuzz [--seconds N] [--seed N] [--modes " FZ_MODES "] [--case SEED]\n"
            "            [--decode COUNT] [--keep-going [--brief]] [--hot N]\n");
    exit(2);
}

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
    static const struct option opts[] = {
        { "seconds", 1, NULL, 's' }, { "seed", 1, NULL, 'r' }, { "modes", 1, NULL, 'm' }, { "case", 1, NULL, 'c' },
        { "decode", 1, NULL, 'd' }, { "keep-going", 0, NULL, 'k' }, { "brief", 0, NULL, 'b' },
        { "hot", 1, NULL, 'h' }, { 0 }
    };
    struct fuzz *z = calloc(1, sizeof(*z));
    unsigned modes = (1u << FM_COUNT) - 1;
    uint64_t seed = 91, single = 0;     /* make check runs the same cases each time, make fuzz new ones */
    double seconds = 15, start = now();
    unsigned long decodes = 100000;
    /* Blocks are translated at once, put together from stencils first, or never anything else. */
    unsigned hots[] = { 0, 2, 1u << 30 }, nhots = 3;
    bool keep = false, brief = false, one = false;
    struct hw_rng r;

    for (int o; (o = getopt_long(argc, argv, "", opts, NULL)) != -1;) {
        switch (o) {
        case 's': seconds = atof(optarg); break;
        case 'r': seed = strtoull(optarg, NULL, 0); break;
        case 'm':
            if (!parse_modes(optarg, &modes))
                usage();
            break;
        case 'c': single = strtoull(optarg, NULL, 0); one = true; break;
        case 'd': decodes = strtoul(optarg, NULL, 0); break;
        case 'k': keep = true; break;
        case 'b': brief = true; break;
        case 'h': hots[0] = (unsigned)strtoul(optarg, NULL, 0); nhots = 1; break;
        default: usage();
        }
    }
    if (!z || optind < argc)
        usage();
    setvbuf(stdout, NULL, _IOLBF, 0);
    z->cpu = aligned_alloc(64, (sizeof(*z->cpu) + 63) & ~(size_t)63);
    decode_init();
    log_mask = 0;
    fuzz_init(&z->a, true);
    fuzz_hot = hots[0];
    fuzz_init(&z->b, false);
    r.s = seed;
    if (one) {
        for (unsigned h = 0; h < nhots && !z->failures; h++) {
            fuzz_hot = hots[h];
            fuzz_fresh(&z->b, false);
            run_case(z, single, !brief);
        }
    } else {
        printf("fuzz: seed %llu\n", (unsigned long long)seed);
        run_known(z, !brief);
        if (decodes && !fuzz_decode(&r, decodes))
            z->failures++;
        start = now();                  /* the time is for running code */
        for (unsigned h = 0; h < nhots; h++) {
            fuzz_hot = hots[h];
            fuzz_fresh(&z->b, false);
            while (now() - start < seconds * (h + 1) / nhots && (keep || !z->failures)) {
                uint64_t s = hw_rand(&r);

                if (modes >> s % FM_COUNT & 1)
                    run_case(z, s, !brief);
            }
        }
    }
    printf("fuzz: %lu cases, %lu rounds (%lu without end, %lu shutdowns, %lu undefined), %.0f a second, "
           "%lu differences\n", z->cases, z->rounds, z->timeouts, z->stops, z->undefined,
           (double)z->rounds / (now() - start), z->failures);
    fuzz_free(&z->a);
    fuzz_free(&z->b);
    one = z->failures;
    free(z->cpu);
    free(z);
    return one;
}
