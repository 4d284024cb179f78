/*
 * hwtest.c - the driver of the hardware differential test (see hw.h).
 *
 *   hwtest                      run instances on the host CPU and in Latimer, and compare
 *   hwtest --recorded [FILE...] compare Latimer with what was recorded, on any host; else with all there is
 *   hwtest --record DIR         record what the host CPU does, a file for each family
 *     --engine interp|jit|copy|both|old   of Latimer; without it all that this build has
 *     --row NAME                a row's id, a mnemonic, or a family: int, x87, mmx, sse
 *     --seed S                  (without --recorded) else taken from the clock, or 1 to record
 *     --count N                 (without --recorded) instances altogether; to record, of each row
 *     --instance N              of each row this one alone, as told when it differed
 *     --no-opt --dump --verbose no optimisation; IR and host code of each difference; each instance
 *
 * Prints the first differences (row, bytes, disassembly, what differs), and the
 * rows that failed.  Rows that exist only outside 64-bit mode are run in
 * compatibility mode.  Exit status 0: no difference; 1: some; 2: usage, or
 * a recording that is missing, damaged, or of other instances; 4: the host failed.
 */
#include <capstone/capstone.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

#include "tests/hw/hw.h"
#include "translator/backend.h"

#define MAX_REPORTS 40
#define IMAGES 64u              /* memory images instances take turns in starting from */
#define ONE_IMAGE 32u           /* instances of a row in a row that start from the same one */

struct options {
    enum hw_engine engine;
    bool one;                   /* engine was given */
    bool counted, seeded, alone;
    uint64_t count, seed, instance;
    const char *row, *record;
    bool recorded, verbose, no_opt, dump;
    char **file;
    int nfiles;
};

static const char *const families[] = { "int", "mmx", "sse", "x87" };
#define FAMILIES (sizeof(families) / sizeof(families[0]))

static const char *const engines[] = { [HW_INTERP] = "interp", [HW_JIT] = "jit", [HW_COPY] = "copy",
                                       [HW_BOTH] = "both", [HW_OLD] = "old" };

static struct {
    csh cs[2];                  /* of 64-bit and 32-bit code */
    uint8_t *image[IMAGES];
    uint32_t image_crc[IMAGES];
    uint8_t *guest, *native;    /* HW_DATA of both */
    unsigned reports, stale;    /* differences shown; rows of which other instances were recorded */
    uint64_t ran, faults, differences;
} t;

/* --- options --- */

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
    o->file = argv + 1;
    for (int k = 1; k < argc; k++) {
        const char *a = argv[k], *v = k + 1 < argc ? argv[k + 1] : NULL;
        bool *flag = !strcmp(a, "--verbose") ? &o->verbose : !strcmp(a, "--dump") ? &o->dump :
                     !strcmp(a, "--no-opt") ? &o->no_opt : !strcmp(a, "--recorded") ? &o->recorded : NULL;

        if (flag) {
            *flag = true;
            continue;
        }
        if (a[0] != '-') {
            argv[1 + o->nfiles++] = argv[k];
            continue;
        }
        if (!v)
            return false;
        k++;
        if (!strcmp(a, "--engine")) {
            if (!engine_of(v, &o->engine))
                return false;
            o->one = true;
        } else if (!strcmp(a, "--count")) {
            o->count = strtoull(v, NULL, 0);
            o->counted = true;
        } else if (!strcmp(a, "--seed")) {
            o->seed = strtoull(v, NULL, 0);
            o->seeded = true;
        } else if (!strcmp(a, "--instance")) {
            o->instance = strtoull(v, NULL, 0);
            o->alone = true;
        } else if (!strcmp(a, "--row")) {
            o->row = v;
        } else if (!strcmp(a, "--record")) {
            o->record = v;
        } else {
            return false;
        }
    }
    if (!o->recorded)
        return !o->nfiles && (!o->record || !(o->row || o->alone || o->one));
    return !o->record && !o->seeded && !o->counted;
}

static const char *family(const struct x86_row *r)
{
    return r->attrs & AT_X87 ? "x87" : r->attrs & AT_MMX ? "mmx" : r->attrs & AT_SSE ? "sse" : "int";
}

/* Rows to run: usable, and chosen by id, mnemonic or family; of this family only. */
static unsigned choose(const struct options *o, const char *of, const struct x86_row **list)
{
    unsigned n = 0;

    for (unsigned k = 0; k < X86_COUNT; k++) {
        const struct x86_row *r = &x86_rows[k];

        if (hw_row_usable(r) && (!of || !strcmp(of, family(r))) &&
            (!o->row || !strcmp(o->row, hw_row_ids[k]) || !strcmp(o->row, r->name) ||
             !strcmp(o->row, family(r))))
            list[n++] = r;
    }
    return n;
}

/* --- instances --- */

static const char *id_of(const struct x86_row *row)
{
    return hw_row_ids[row - x86_rows];
}

static void forget_images(void)
{
    for (unsigned k = 0; k < IMAGES; k++) {
        free(t.image[k]);
        t.image[k] = NULL;
    }
}

/* The memory that instance n of every row starts from. */
static unsigned image_of(uint64_t seed, uint64_t n)
{
    unsigned k = (unsigned)(n / ONE_IMAGE % IMAGES);
    struct hw_rng rng;

    if (t.image[k])
        return k;
    t.image[k] = malloc(HW_DATA_SIZE);
    if (!t.image[k]) {
        perror("hwtest: memory");
        exit(4);
    }
    hw_seed(&rng, seed, "memory", k);
    hw_fill_data(&rng, t.image[k]);
    t.image_crc[k] = (uint32_t)crc32(0, t.image[k], HW_DATA_SIZE);
    return k;
}

/* The instance, and the memory before it; NULL: none can be made. */
static const uint8_t *make(const struct x86_row *row, uint64_t seed, uint64_t n, struct hw_case *c)
{
    const uint8_t *image = t.image[image_of(seed, n)];
    struct hw_rng rng;

    hw_seed(&rng, seed, id_of(row), n);
    return hw_generate(&rng, row, image, c) ? image : NULL;
}

static void print_case(const struct hw_case *c)
{
    cs_insn *i;
    size_t n = cs_disasm(t.cs[hw_row_code32(c->row)], c->code, c->len, HW_CODE + c->off, 1, &i);

    printf("%s:", id_of(c->row));
    for (unsigned k = 0; k < c->len; k++)
        printf(" %02x", c->code[k]);
    printf("  %s %s\n", n ? i->mnemonic : c->row->name, n ? i->op_str : "?");
    if (n)
        cs_free(i, n);
}

static void on_chip(const struct hw_case *c, const uint8_t *image, struct hw_state *s)
{
    memcpy(t.native, image, HW_DATA_SIZE);
    *s = c->in;
    (hw_row_code32(c->row) ? hw_native32 : hw_native)(s, c->code, c->len, c->off);
    t.faults += s->vector >= 0;
}

static void in_latimer(const struct options *o, const struct hw_case *c, const uint8_t *image,
                       struct hw_state *s)
{
    if (o->verbose) {
        print_case(c);
        fflush(stdout);
    }
    memcpy(t.guest, image, HW_DATA_SIZE);
    *s = c->in;
    hw_guest(s, c->code, c->len, c->off, hw_row_code32(c->row));
    t.ran++;
}

/* The first two differences of a row are shown. */
static void show(const struct options *o, const struct hw_case *c, const char *text, uint64_t seed,
                 uint64_t n, unsigned before)
{
    t.differences++;
    if (t.reports >= MAX_REPORTS || before >= 2)
        return;
    t.reports++;
    printf("difference (--seed %lu --row %s --instance %lu) ", (unsigned long)seed, id_of(c->row),
           (unsigned long)n);
    print_case(c);
    fputs(text, stdout);
    if (o->dump)
        hw_guest_dump();
    fflush(stdout);
}

/* --- the host CPU against Latimer --- */

static void live(const struct options *o, const struct x86_row *row, uint64_t count, bool pointers)
{
    unsigned bad = 0, none = 0;

    for (uint64_t n = o->alone ? o->instance : 0; n < (o->alone ? o->instance + 1 : count); n++) {
        struct hw_report p = { .chip = "host", .pointers = pointers };
        struct hw_state chip, us;
        struct hw_case c;
        const uint8_t *image = make(row, o->seed, n, &c);

        if (!image) {
            none++;
            continue;
        }
        if (hw_native_differs(&c))
            continue;
        on_chip(&c, image, &chip);
        in_latimer(o, &c, image, &us);
        hw_compare(&p, &c, &chip, t.native, &us, t.guest);
        if (p.failed)
            show(o, &c, p.text, o->seed, n, bad++);
    }
    if (bad)
        printf("row %-24s %u differences\n", id_of(row), bad);
    if (none)
        printf("row %-24s no instance could be made (%u tries)\n", id_of(row), none);
}

/* --- to files --- */

static bool record_row(const struct x86_row *row, const struct hw_recording *r, struct hw_recorded_row *w)
{
    *w = (struct hw_recorded_row){ .id = id_of(row) };
    if (!hw_native_has((enum x86_feat)row->feat)) {
        fprintf(stderr, "hwtest: row %s: this processor (%s) does not know it: record on one that does\n",
                w->id, r->cpu);
        return false;
    }
    if (hw_row_code32(row) && !hw_native32_exists()) {
        fprintf(stderr, "hwtest: row %s: this host's kernel has no segment for 32-bit code: record on one that has\n", w->id);
        return false;
    }
    for (unsigned n = 0; n < r->count; n++) {
        struct hw_case c;
        struct hw_state chip;
        const uint8_t *image = make(row, r->seed, n, &c);

        if (!image) {
            fprintf(stderr, "hwtest: row %s: instance %u could not be made: take another --seed\n", w->id, n);
            return false;
        }
        on_chip(&c, image, &chip);
        t.ran++;
        w->fingerprint = hw_fingerprint(w->fingerprint ^ t.image_crc[image_of(r->seed, n)], &c);
        hw_mask(&c, &chip, r->pointers, &chip);
        hw_changes_put(&w->changes, &c.in, &chip, image, t.native);
    }
    return true;
}

static int record(const struct options *o)
{
    static const struct x86_row *list[X86_COUNT];
    static struct hw_recorded_row row[X86_COUNT];

    for (unsigned f = 0; f < FAMILIES; f++) {
        struct hw_recording r = { .seed = o->seed, .count = (unsigned)o->count, .row = row,
                                  .nrows = choose(o, families[f], list),
                                  .pointers = hw_native_pointers() };
        char path[4096];
        bool ok = true;

        strcpy(r.family, families[f]);
        hw_native_cpu(r.cpu, sizeof(r.cpu));
        snprintf(path, sizeof(path), "%s/%s.gz", o->record, families[f]);
        for (unsigned k = 0; ok && k < r.nrows; k++)
            ok = record_row(list[k], &r, &row[k]);
        if (!ok || !hw_recording_write(&r, path))
            return 2;
        for (unsigned k = 0; k < r.nrows; k++)
            free(row[k].changes.p);
        printf("hwtest: %s: %u rows, %u instances of each, recorded on %s\n", path, r.nrows, r.count, r.cpu);
    }
    return 0;
}

/* --- from files --- */

static void stale(const char *id, const char *why)
{
    if (t.stale++ < 10)
        fprintf(stderr, "hwtest: row %s: %s\n", id, why);
}

static void replay_row(const struct options *o, const struct x86_row *row, const struct hw_recording *r,
                       struct hw_recorded_row *w)
{
    static uint8_t want[HW_DATA_SIZE];
    struct hw_report shown[2];
    struct hw_case first[2];
    uint64_t which[2], faults = 0;
    unsigned bad = 0;
    uint32_t crc = 0;

    for (unsigned n = 0; n < r->count; n++) {
        struct hw_report p = { .chip = "recorded", .pointers = r->pointers };
        struct hw_case c;
        struct hw_state chip, us;
        const uint8_t *image = make(row, r->seed, n, &c);

        if (!image)
            break;
        crc = hw_fingerprint(crc ^ t.image_crc[image_of(r->seed, n)], &c);
        chip = c.in;
        memcpy(want, image, HW_DATA_SIZE);
        if (!hw_changes_take(&w->changes, &chip, want))
            break;
        chip.rip = HW_CODE + c.off + (chip.vector < 0 ? c.len : 0);
        faults += chip.vector >= 0;
        if (o->alone && n != o->instance)
            continue;
        in_latimer(o, &c, image, &us);
        hw_compare(&p, &c, &chip, want, &us, t.guest);
        if (p.failed && bad++ < 2) {
            shown[bad - 1] = p;
            first[bad - 1] = c;
            which[bad - 1] = n;
        }
    }
    /* Only now is it known whether the results belong to these instances. */
    if (crc != w->fingerprint || w->changes.at != w->changes.n) {
        stale(w->id, "other instances were recorded: its table row, the decoder or tests/hw/gen.c changed");
        return;
    }
    t.faults += faults;
    for (unsigned k = 0; k < bad; k++)
        show(o, &first[k < 2 ? k : 0], shown[k < 2 ? k : 0].text, r->seed, which[k < 2 ? k : 0], k);
    if (bad)
        printf("row %-24s %u differences\n", w->id, bad);
}

static int replay(const struct options *o, const char *path)
{
    static const struct x86_row *list[X86_COUNT];
    struct hw_recording r;
    unsigned nrows;

    if (!hw_recording_read(&r, path))
        return 2;
    nrows = choose(o, r.family, list);
    printf("hwtest: %s: %u rows, %u instances of each, recorded on %s, engine %s\n", path, nrows, r.count,
           r.cpu, engines[o->engine]);
    fflush(stdout);
    for (unsigned k = 0; k < nrows; k++) {
        const char *id = id_of(list[k]);
        unsigned at = 0;

        while (at < r.nrows && strcmp(r.row[at].id, id))
            at++;
        if (at == r.nrows)
            stale(id, "nothing was recorded of it");
        else
            replay_row(o, list[k], &r, &r.row[at]);
    }
    forget_images();
    hw_recording_free(&r);
    return 0;
}

static int replay_all(const struct options *o)
{
    const char *src = getenv("srcdir");
    char path[4096];
    int bad = 0;

    for (int k = 0; k < o->nfiles; k++)
        bad |= replay(o, o->file[k]);
    for (unsigned f = 0; !o->nfiles && f < FAMILIES; f++) {
        snprintf(path, sizeof(path), "%s/tests/hw/recorded/%s.gz", src ? src : ".", families[f]);
        bad |= replay(o, path);
    }
    if (t.stale)
        fprintf(stderr, "hwtest: of %u rows other instances or none were recorded: on an x86-64 machine, "
                "record again: make record-hw\n", t.stale);
    return t.differences ? 1 : bad || t.stale ? 2 : 0;
}

/* --- */

static bool has_engine(enum hw_engine e)
{
    return e == HW_INTERP ||
           (e == HW_JIT ? backend_exists : e == HW_OLD ? hw_old_exists : backend_has_stencils);
}

/* Each engine in a process of its own: the exit status of one that failed, or 0: go on with o->engine. */
static int each_engine(struct options *o)
{
    static const enum hw_engine first[] = { HW_INTERP, HW_OLD };

    o->engine = backend_has_stencils ? HW_BOTH : backend_exists ? HW_JIT : HW_INTERP;
    for (unsigned k = 0; k < sizeof(first) / sizeof(first[0]); k++) {
        int status = 0;
        pid_t child;

        if (first[k] == o->engine || !has_engine(first[k]))
            continue;
        fflush(stdout);
        child = fork();
        if (!child) {
            o->engine = first[k];
            return 0;
        }
        if (child < 0 || waitpid(child, &status, 0) < 0) {
            perror("hwtest: fork");
            exit(4);
        }
        if (status)
            return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
    }
    return 0;
}

int main(int argc, char **argv)
{
    struct options o = { .count = 60000, .seed = (uint64_t)time(NULL) };
    static const struct x86_row *rows[X86_COUNT];
    unsigned nrows;
    int status = 0;

    if (!parse(&o, argc, argv)) {
        fprintf(stderr, "usage: hwtest [--engine interp|jit|copy|both|old] [--row NAME] [--instance N] "
                "[--no-opt] [--dump] [--verbose]\n"
                "              [--seed S] [--count N] | --recorded [FILE...]\n"
                "       hwtest --record DIR [--seed S] [--count N]\n");
        return 2;
    }
    if (o.one && !has_engine(o.engine)) {
        fprintf(stderr, "hwtest: this build has no engine %s: take --engine interp%s\n", engines[o.engine],
                backend_exists ? " or jit" : "");
        return 2;
    }
    decode_init();
    nrows = choose(&o, NULL, rows);
    if (!nrows) {
        fprintf(stderr, "hwtest: no row %s can be run here\n", o.row);
        return 2;
    }
    if (!o.record && !o.one) {
        status = each_engine(&o);
        if (status)
            return status;
    }
    if (!o.recorded) {
        if (!hw_native_init()) {
            fprintf(stderr, "hwtest: this host is no x86-64: compare with what was recorded on one: "
                    "hwtest --recorded\n");
            return 2;
        }
        t.native = (uint8_t *)(uintptr_t)HW_DATA;
    }
    if (o.record) {
        o.seed = o.seeded ? o.seed : 1;
        o.count = o.counted ? o.count : 300;
        return record(&o);
    }
    hw_guest_init(o.engine, !o.no_opt);
    t.guest = hw_guest_data();
    cs_open(CS_ARCH_X86, CS_MODE_64, &t.cs[0]);
    cs_open(CS_ARCH_X86, CS_MODE_32, &t.cs[1]);
    if (o.recorded) {
        status = replay_all(&o);
    } else {
        printf("hwtest: seed %lu, %u rows, %lu instances, engine %s\n", (unsigned long)o.seed, nrows,
               (unsigned long)o.count, engines[o.engine]);
        fflush(stdout);
        for (unsigned k = 0; k < nrows; k++) {
            if (hw_row_code32(rows[k]) && !hw_native32_exists())
                printf("row %-24s left out: this host's kernel has no segment for 32-bit code\n", id_of(rows[k]));
            else
                live(&o, rows[k], (o.count + nrows - 1) / nrows, hw_native_pointers());
        }
        status = t.differences != 0;
    }
    printf("hwtest: %lu instances run, %lu of them by stencils, %lu faulted, %lu differences\n",
           (unsigned long)t.ran, hw_guest_copied(), (unsigned long)t.faults, (unsigned long)t.differences);
    cs_close(&t.cs[0]);
    cs_close(&t.cs[1]);
    if (!o.row && !o.alone && (o.engine == HW_COPY || o.engine == HW_BOTH) &&
        hw_guest_copied() < t.ran / 10) {
        printf("hwtest: stencils are hardly used\n");
        status = 1;
    }
    return status;
}
