/*
 * hwtest.c - the driver of the hardware differential test (see hw.h).
 *
 *   hwtest [--engine interp|jit|copy|both|old] [--count N] [--seed S] [--row NAME] [--no-opt] [--dump]
 *          [--verbose]
 *
 * --row takes a row's id, a mnemonic, or a family: int, x87, mmx, sse.
 * --dump adds IR and host code to each difference.
 * Prints the seed, the first differences (row, bytes, disassembly, what
 * differs), and the rows that failed.  A failure is repeated with --seed and
 * --count.  Rows that exist only outside 64-bit mode cannot be run in this
 * process and are not covered.  Exit status 0: no difference.
 */
#include <capstone/capstone.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/hw/hw.h"

#define MAX_REPORTS 40

static const char *const row_ids[X86_COUNT] = {
#define K(kind) 0
#define X(id, ...) [X86_##id] = #id,
#include "frontend/x86.def"
#undef X
#undef K
};

static const char *const names[16] = { "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                       "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15" };

static bool pointers;           /* the x87's pointers are compared */

struct report {
    bool failed;
    char text[4096];
    unsigned n;
};

static void differs(struct report *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void differs(struct report *p, const char *fmt, ...)
{
    va_list a;

    p->failed = true;
    va_start(a, fmt);
    if (p->n < sizeof(p->text) - 200)
        p->n += (unsigned)vsnprintf(p->text + p->n, 200, fmt, a);
    va_end(a);
}

static void compare(struct report *p, const struct hw_case *c, const struct hw_state *hw,
                    const struct hw_state *us, const uint8_t *data)
{
    uint32_t fmask = (FL_ARITH & ~c->undef_flags) | FL_DF;
    const uint8_t *native = (const uint8_t *)(uintptr_t)HW_DATA;

    if (hw->vector != us->vector) {
        differs(p, "  vector: host %ld, latimer %ld\n", (long)hw->vector, (long)us->vector);
        return;
    }
    if (hw->vector < 0 && us->rip != hw->rip)
        differs(p, "  rip: host %lx, latimer %lx\n", (long)hw->rip, (long)us->rip);
    if (hw->vector >= 0)
        fmask = FL_ARITH | FL_DF;
    for (unsigned k = 0; k < 16; k++) {
        if (hw->r[k] != us->r[k])
            differs(p, "  %s: %016lx -> host %016lx, latimer %016lx\n", names[k], (long)c->in.r[k],
                    (long)hw->r[k], (long)us->r[k]);
    }
    if ((hw->flags ^ us->flags) & fmask)
        differs(p, "  flags: %03lx -> host %03lx, latimer %03lx (compared %03x)\n", (long)c->in.flags,
                (long)hw->flags, (long)us->flags, fmask);
    for (unsigned k = 0; k < 16; k++) {
        if (memcmp(&hw->fx.x[k], &us->fx.x[k], 16))
            differs(p, "  xmm%u: %016lx_%016lx -> host %016lx_%016lx, latimer %016lx_%016lx\n", k,
                    (long)c->in.fx.x[k].q[1], (long)c->in.fx.x[k].q[0], (long)hw->fx.x[k].q[1],
                    (long)hw->fx.x[k].q[0], (long)us->fx.x[k].q[1], (long)us->fx.x[k].q[0]);
    }
    /* DPPS, DPPD: which of their steps' flags an unmasked exception lets through is not documented. */
    if (hw->fx.mxcsr != us->fx.mxcsr && !(hw->vector == EXC_XM && !strncmp(c->row->name, "dpp", 3)))
        differs(p, "  mxcsr: %04x -> host %04x, latimer %04x\n", c->in.fx.mxcsr, hw->fx.mxcsr, us->fx.mxcsr);
    if (hw->fx.fcw != us->fx.fcw || hw->fx.fsw != us->fx.fsw || hw->fx.ftw != us->fx.ftw)
        differs(p, "  x87 cw sw tag: %04x %04x %02x -> host %04x %04x %02x, latimer %04x %04x %02x\n",
                c->in.fx.fcw, c->in.fx.fsw, c->in.fx.ftw, hw->fx.fcw, hw->fx.fsw, hw->fx.ftw, us->fx.fcw,
                us->fx.fsw, us->fx.ftw);
    if (pointers && (hw->fx.fop != us->fx.fop || hw->fx.fip != us->fx.fip || hw->fx.fdp != us->fx.fdp))
        differs(p, "  x87 op ip dp: %03x %lx %lx -> host %03x %lx %lx, latimer %03x %lx %lx\n", c->in.fx.fop,
                (long)c->in.fx.fip, (long)c->in.fx.fdp, hw->fx.fop, (long)hw->fx.fip, (long)hw->fx.fdp,
                us->fx.fop, (long)us->fx.fip, (long)us->fx.fdp);
    for (unsigned k = 0; k < 8; k++) {
        if (hw->fx.st[k].sig != us->fx.st[k].sig || hw->fx.st[k].se != us->fx.st[k].se)
            differs(p, "  st%u: %04x_%016lx -> host %04x_%016lx, latimer %04x_%016lx\n", k, c->in.fx.st[k].se,
                    (long)c->in.fx.st[k].sig, hw->fx.st[k].se, (long)hw->fx.st[k].sig, us->fx.st[k].se,
                    (long)us->fx.st[k].sig);
    }
    if (memcmp(native, data, HW_DATA_SIZE)) {
        unsigned shown = 0;

        for (unsigned k = 0; k < HW_DATA_SIZE && shown < 8; k++) {
            if (native[k] != data[k]) {
                differs(p, "  memory %x: host %02x, latimer %02x\n", HW_DATA + k, native[k], data[k]);
                shown++;
            }
        }
    }
}

static void print_case(csh cs, const struct hw_case *c)
{
    cs_insn *i;
    size_t n = cs_disasm(cs, c->code, c->len, HW_CODE + c->off, 1, &i);

    printf("%s:", row_ids[c->row - x86_rows]);
    for (unsigned k = 0; k < c->len; k++)
        printf(" %02x", c->code[k]);
    printf("  %s %s\n", n ? i->mnemonic : c->row->name, n ? i->op_str : "?");
    if (n)
        cs_free(i, n);
}

struct options {
    enum hw_engine engine;
    bool one;                   /* engine was given */
    uint64_t count, seed;
    const char *row;
    bool verbose, no_opt, dump;
};

static const char *const engines[] = { [HW_INTERP] = "interp", [HW_JIT] = "jit", [HW_COPY] = "copy",
                                       [HW_BOTH] = "both", [HW_OLD] = "old" };

static bool engine_of(const char *name, enum hw_engine *e)
{
    for (unsigned k = 0; k < sizeof(engines) / sizeof(engines[0]); k++)
        if (!strcmp(name, engines[k])) {
            *e = (enum hw_engine)k;
            return true;
        }
    return false;
}

static bool parse(struct options *o, int argc, char **argv)
{
    for (int k = 1; k < argc; k++) {
        const char *a = argv[k], *v = k + 1 < argc ? argv[k + 1] : NULL;

        if (!strcmp(a, "--verbose")) {
            o->verbose = true;
            continue;
        }
        if (!strcmp(a, "--dump")) {
            o->dump = true;
            continue;
        }
        if (!strcmp(a, "--no-opt")) {
            o->no_opt = true;
            continue;
        }
        if (!v)
            return false;
        k++;
        if (!strcmp(a, "--engine")) {
            if (!engine_of(v, &o->engine))
                return false;
            o->one = true;
        } else if (!strcmp(a, "--count"))
            o->count = strtoull(v, NULL, 0);
        else if (!strcmp(a, "--seed"))
            o->seed = strtoull(v, NULL, 0);
        else if (!strcmp(a, "--row"))
            o->row = v;
        else
            return false;
    }
    return true;
}

static bool family(const struct x86_row *r, const char *name)
{
    static const struct { const char *name; uint32_t attr; } f[] = {
        { "x87", AT_X87 }, { "mmx", AT_MMX }, { "sse", AT_SSE },
    };

    for (unsigned k = 0; k < 3; k++) {
        if (!strcmp(name, f[k].name))
            return r->attrs & f[k].attr;
    }
    return !strcmp(name, "int") && !(r->attrs & (AT_X87 | AT_MMX | AT_SSE));
}

/* Rows to run: usable, and chosen by id, mnemonic or family. */
static unsigned choose(const struct options *o, const struct x86_row **list)
{
    unsigned n = 0;

    for (unsigned k = 0; k < X86_COUNT; k++) {
        if (hw_row_usable(&x86_rows[k]) &&
            (!o->row || !strcmp(o->row, row_ids[k]) || !strcmp(o->row, x86_rows[k].name) ||
             family(&x86_rows[k], o->row)))
            list[n++] = &x86_rows[k];
    }
    return n;
}

int main(int argc, char **argv)
{
    struct options o = { .count = 60000, .seed = (uint64_t)time(NULL) };
    static const struct x86_row *rows[X86_COUNT];
    static unsigned bad[X86_COUNT], none[X86_COUNT];
    struct hw_rng rng;
    unsigned nrows, reports = 0;
    uint64_t failures = 0, faults = 0, ran = 0;
    uint8_t *data;
    csh cs;

    if (!parse(&o, argc, argv)) {
        fprintf(stderr, "usage: hwtest [--engine interp|jit|copy|both|old] [--count N] [--seed S] [--row ID] "
                "[--no-opt] [--dump] [--verbose]\n");
        return 2;
    }
    /* The interpreter and code for an old processor in processes of their own, then host code in this one. */
    for (unsigned k = 0; !o.one && k < 2; k++) {
        int status = 0;
        pid_t child = fork();

        if (!child) {
            o.engine = k ? HW_OLD : HW_INTERP;
            o.one = true;
        } else if (child < 0 || waitpid(child, &status, 0) < 0 || status) {
            return 1;
        }
    }
    if (!o.one)
        o.engine = HW_BOTH;
    decode_init();
    nrows = choose(&o, rows);
    if (!nrows) {
        fprintf(stderr, "hwtest: no row %s can be run here\n", o.row);
        return 2;
    }
    hw_native_init();
    pointers = hw_native_pointers();
    hw_guest_init(o.engine, !o.no_opt);
    data = hw_guest_data();
    cs_open(CS_ARCH_X86, CS_MODE_64, &cs);
    printf("hwtest: seed %lu, %u rows, %lu instances, engine %s\n", (unsigned long)o.seed, nrows,
           (unsigned long)o.count, engines[o.engine]);
    fflush(stdout);
    for (uint64_t k = 0; k < o.count; k++) {
        const struct x86_row *row = rows[k % nrows];
        struct hw_case c;
        struct hw_state hw, us;
        struct report p = { .n = 0 };

        /* each instance has its own stream, so that one can be repeated alone */
        rng.s = (o.seed << 32) + k * 0x100000001b3u;
        if (k % 1024 == 0) {
            hw_fill_data(&rng, (uint8_t *)(uintptr_t)HW_DATA);
            memcpy(data, (const void *)(uintptr_t)HW_DATA, HW_DATA_SIZE);
        }
        if (!hw_generate(&rng, row, &c)) {
            none[row - x86_rows]++;
            continue;
        }
        ran++;
        if (o.verbose) {
            print_case(cs, &c);
            fflush(stdout);
        }
        hw = us = c.in;
        hw_native(&hw, c.code, c.len, c.off);
        hw_guest(&us, c.code, c.len, c.off);
        faults += hw.vector >= 0;
        compare(&p, &c, &hw, &us, data);
        if (!p.failed)
            continue;
        failures++;
        if (reports < MAX_REPORTS && bad[row - x86_rows] < 2) {
            reports++;
            printf("difference at instance %lu: ", (unsigned long)k);
            print_case(cs, &c);
            fputs(p.text, stdout);
            if (o.dump)
                hw_guest_dump();
            fflush(stdout);
        }
        bad[row - x86_rows]++;
        memcpy(data, (const void *)(uintptr_t)HW_DATA, HW_DATA_SIZE);
    }
    for (unsigned k = 0; k < X86_COUNT; k++) {
        if (bad[k])
            printf("row %-24s %u differences\n", row_ids[k], bad[k]);
        if (none[k])
            printf("row %-24s no instance could be made (%u tries)\n", row_ids[k], none[k]);
    }
    printf("hwtest: %lu instances run, %lu of them by stencils, %lu faulted, %lu differences\n",
           (unsigned long)ran, hw_guest_copied(), (unsigned long)faults, (unsigned long)failures);
    cs_close(&cs);
    if (!o.row && (o.engine == HW_COPY || o.engine == HW_BOTH) && hw_guest_copied() < ran / 10) {
        printf("hwtest: stencils are hardly used\n");
        failures++;
    }
    return failures ? 1 : 0;
}
