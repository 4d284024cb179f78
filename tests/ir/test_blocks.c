/*
 * test_blocks.c - how many host instructions blocks take that real programs spend their time in.
 *
 * A golden test of this host's code generator: blocks.txt has guest code, and for ways through its blocks the
 * host instructions counted when that was last meant to change.  More and fewer are failures alike.  On AArch64
 * the groups also have bars (docs/aarch64.md, "Code quality"), with all optional features and with none.
 *
 *      test_blocks             compare
 *      test_blocks --print     write blocks.txt as it would have to be, to standard output
 *      test_blocks --code      show the code, too
 *
 * Counted is one way from the block's entry to an exit, everything hits: as -d count does where the code
 * generator counts, else what lies before the instruction behind the exit.  The guest code is what the frontend
 * looked at in the run the block is from, so it is lifted to the same block, in the same mode.  Nothing is
 * executed.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "frontend/decode.h"
#include "frontend/lift.h"
#include "tests/sys/sys_env.h"
#include "translator/check.h"

#define CODE_BYTES (4u << 20)
#define PAGE_AT 0x100000u       /* where in guest memory the block's page is */
#define LINE 4096
#define GROUPS 8

/* One kind of code for this host: its name in blocks.txt. */
static const struct column {
    const char *name;
    bool all;                   /* features of the host: all that are known, or none */
    bool bars;
} columns[] = {
#if defined __aarch64__
    { "arm", true, true }, { "arm-base", false, true },
#elif defined __x86_64__
    { "x86", true, false },
#else
#error "this host's code has no column in tests/ir/blocks.txt"
#endif
};
#define COLUMNS (sizeof columns / sizeof columns[0])

struct group {
    char name[32];
    double each, all;           /* bars on host instructions a guest instruction: every way, together; 0: none */
    unsigned ways;
    uint64_t guest, host[COLUMNS];      /* instructions, each way as often as it is run */
};

struct test {
    struct sys_env *e;
    struct ir_block b;
    struct host_block out[COLUMNS];
    struct backend *be[COLUMNS];
    uint8_t *code[COLUMNS];
    size_t counted[COLUMNS];    /* backend_counted() before the block */
    struct group group[GROUPS], *g;
    unsigned ngroups, line, failures;
    char block[64];
    unsigned mode;
    bool lifted, print, show;
};

__attribute__((format(printf, 2, 3)))
static void fail(struct test *t, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fprintf(stderr, "blocks.txt:%u: %s: ", t->line, t->block);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
    t->failures++;
}

static void bad_line(const struct test *t, const char *why)
{
    fprintf(stderr, "blocks.txt:%u: %s; the legend is at its top\n", t->line, why);
    exit(1);
}

/* ---- the machine and the code generator ---- */

static void make_machine(struct test *t)
{
    t->e = sys_new(LONG);
    decode_init();
    ir_init(&t->b);
    for (unsigned k = 0; k < COLUMNS; k++) {
        uint64_t all = ((uint64_t)1 << backend_nfeatures) - 1;
        t->code[k] = mmap(NULL, CODE_BYTES, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS,
                          -1, 0);
        if (t->code[k] == MAP_FAILED) {
            perror("test_blocks: no memory for code");
            exit(1);
        }
        t->be[k] = backend_new(t->code[k], 0, &(struct backend_config){ columns[k].all ? all : 0, false });
        t->out[k].recipes = recipe_table_new();
        if (backend_counts)
            backend_count(t->be[k]);
    }
}

static void free_machine(struct test *t)
{
    for (unsigned k = 0; k < COLUMNS; k++) {
        backend_free(t->be[k]);
        recipe_table_free(t->out[k].recipes);
        munmap(t->code[k], CODE_BYTES);
    }
    ir_free(&t->b);
    sys_free(t->e);
}

/* A new block: what is not said of its page and the next is HLT. */
static void begin_block(struct test *t, unsigned start)
{
    memset(t->e->ram + PAGE_AT, 0xf4, 2 * PAGE_SIZE);
    t->e->c->cpl = (t->mode & M_CPL) >> M_CPL_SHIFT;
    t->e->c->rip = PAGE_AT + start;
    t->lifted = false;
}

static void put_code(struct test *t, unsigned at, const char *hex)
{
    for (; isxdigit((unsigned char)hex[0]) && isxdigit((unsigned char)hex[1]); hex += 2, at++) {
        unsigned byte;
        if (at >= 2 * PAGE_SIZE || sscanf(hex, "%2x", &byte) != 1)
            bad_line(t, "code beyond two pages");
        t->e->ram[PAGE_AT + at] = (uint8_t)byte;
    }
    if (*hex && !isspace((unsigned char)*hex))
        bad_line(t, "code in hexadecimal digits is expected");
}

static void translate(struct test *t)
{
    struct lift_options o = { .max_insns = EXEC_INSNS, .max_branches = EXEC_BRANCHES };
    const char *wrong;
    if (t->lifted)
        return;
    t->lifted = true;
    for (unsigned k = 0; k < COLUMNS; k++) {
        uint8_t *at = t->code[k] + BACKEND_THUNK_BYTES;
        if (!lift_block(t->e->c, &t->b, t->mode, &o)) {
            fail(t, "its code cannot be fetched");
            exit(1);
        }
        ir_optimize(&t->b, &(struct opt_options){ .verify = true });
        wrong = ir_verify(&t->b);
        if (wrong) {
            fail(t, "%s", wrong);
            exit(1);
        }
        if (backend_counts)
            backend_counted(t->be[k], &t->counted[k]);
        backend_emit(t->be[k], &t->b, at, at + backend_bound(&t->b), &t->out[k]);
        if (t->show) {
            printf("%s: %s\n", t->block, columns[k].name);
            check_disassemble(stdout, at, t->out[k].size, (uint64_t)(uintptr_t)at, CHECK_HOST, 0, false);
        }
    }
}

/* Instructions of the code up to the offset `end`; branch: up to the last conditional branch before it. */
static unsigned count_code(const uint8_t *at, size_t end, bool branch)
{
    csh cs;
    cs_insn *in;
    size_t n;
    if (!backend_disassembler(&cs))
        return 0;
    n = cs_disasm(cs, at, end, (uint64_t)(uintptr_t)at, 0, &in);
    for (size_t k = n; k > 0 && branch; k--)
        if (in[k - 1].mnemonic[0] == 'j' && strcmp(in[k - 1].mnemonic, "jmp") != 0) {
            n = k;
            branch = false;
        }
    cs_free(in, n);
    cs_close(&cs);
    return branch ? 0 : (unsigned)n;
}

/* Host instructions on the way by the branch behind so many guest instructions, or to the block's end behind
 * them; 0: there is none. */
static unsigned count_way(struct test *t, unsigned k, unsigned guest, bool at_end)
{
    size_t n, from = t->counted[k], end = t->out[k].size;
    if (backend_counts) {
        const struct host_count *c = backend_counted(t->be[k], &n);
        bool ends = t->b.ins[t->b.n - 1].op != IR_RAISE;        /* not counted; other ends come first */
        for (size_t i = from + (ends && !at_end); i < (at_end ? from + ends : n); i++)
            if (c[i].guest == guest)
                return c[i].host;
        return 0;
    }
    if (at_end && guest != t->b.insns)
        return 0;
    if (guest < t->b.insns)
        end = guest < t->out[k].nmarks ? t->out[k].mark[guest].off : 0;
    return guest > t->b.insns ? 0 : count_code(t->code[k] + BACKEND_THUNK_BYTES, end, !at_end);
}

/* ---- blocks.txt ---- */

/* The number recorded as " NAME=N" in a line, -1: there is none. */
static int recorded(const char *line, const char *name)
{
    size_t len = strlen(name);
    for (const char *p = strchr(line, ' '); p; p = strchr(p + 1, ' '))
        if (strncmp(p + 1, name, len) == 0 && p[1 + len] == '=')
            return atoi(p + 2 + len);
    return -1;
}

/* The line with this host's numbers, those of others as they were. */
static void print_way(const char *line, unsigned guest, const unsigned *host)
{
    static const char *const all[] = { "arm", "arm-base", "x86" };
    printf("%.3s %u n=%d", line, guest, recorded(line, "n"));
    for (unsigned n = 0; n < sizeof all / sizeof all[0]; n++) {
        int v = recorded(line, all[n]);
        for (unsigned k = 0; k < COLUMNS; k++)
            if (strcmp(all[n], columns[k].name) == 0)
                v = (int)host[k];
        if (v >= 0)
            printf(" %s=%d", all[n], v);
    }
    putchar('\n');
}

static void way(struct test *t, const char *line)
{
    unsigned guest, host[COLUMNS];
    int times = recorded(line, "n");
    bool at_end = strncmp(line, "end ", 4) == 0;
    if (sscanf(line + 4, "%u", &guest) != 1 || !guest || times < 1 || !t->g || !t->block[0])
        bad_line(t, "a way belongs to a block, that to a group; it has guest instructions and n=TIMES");
    translate(t);
    t->g->ways++;
    t->g->guest += (uint64_t)guest * (unsigned)times;
    for (unsigned k = 0; k < COLUMNS; k++) {
        int want = recorded(line, columns[k].name);
        double each;
        host[k] = count_way(t, k, guest, at_end);
        each = (double)host[k] / guest;
        t->g->host[k] += (uint64_t)host[k] * (unsigned)times;
        if (!host[k])
            fail(t, "%s: the block has no such way of %u guest instructions any more: it is lifted "
                 "otherwise, see what -d count prints", columns[k].name, guest);
        else if (!t->print && want < 0)
            fail(t, "%s: nothing is recorded for the way of %u guest instructions", columns[k].name, guest);
        else if (!t->print && (int)host[k] != want)
            fail(t, "%s: %u host instructions for %u guest instructions, %s than the %d recorded",
                 columns[k].name, host[k], guest, (int)host[k] > want ? "more" : "fewer", want);
        if (!t->print && columns[k].bars && t->g->each > 0 && each > t->g->each)
            fail(t, "%s: %u host instructions for %u guest instructions are %.2f each, at most %.2f are wanted "
                 "of group %s", columns[k].name, host[k], guest, each, t->g->each, t->g->name);
    }
    if (t->print)
        print_way(line, guest, host);
}

static void one_line(struct test *t, char *line)
{
    unsigned start;
    int at;
    if (strncmp(line, "way ", 4) == 0 || strncmp(line, "end ", 4) == 0) {
        way(t, line);
        return;
    }
    if (t->print)
        puts(line);
    if (!*line || *line == '#' || *line == ';')
        return;
    if (strncmp(line, "group ", 6) == 0) {
        if (t->ngroups == GROUPS)
            bad_line(t, "too many groups");
        t->g = &t->group[t->ngroups++];
        t->block[0] = 0;
        if (sscanf(line, "group %31s each %lf all %lf", t->g->name, &t->g->each, &t->g->all) != 3)
            bad_line(t, "'group NAME each BAR all BAR' is expected");
    } else if (strncmp(line, "block ", 6) == 0) {
        if (sscanf(line, "block %63s mode %x, starts at %x", t->block, &t->mode, &start) != 3 ||
            start >= PAGE_SIZE)
            bad_line(t, "'block NAME mode M, starts at OFFSET' is expected");
        begin_block(t, start);
    } else if (sscanf(line, "code %x %n", &start, &at) == 1 && t->block[0] && !t->lifted) {
        put_code(t, start, line + at);
    } else {
        bad_line(t, "'group', 'block', 'code' and behind all of it 'way' and 'end' are expected");
    }
}

static void judge_groups(struct test *t)
{
    for (struct group *g = t->group; g < t->group + t->ngroups; g++)
        for (unsigned k = 0; k < COLUMNS; k++) {
            double all = g->guest ? (double)g->host[k] / g->guest : 0;
            fprintf(stderr, "%s: %s: %u ways, %.2f host instructions for each of the guest's", g->name,
                    columns[k].name, g->ways, all);
            if (columns[k].bars && g->all > 0)
                fprintf(stderr, " (at most %.2f)", g->all);
            fputc('\n', stderr);
            if (!g->ways || (!t->print && columns[k].bars && g->all > 0 && all > g->all)) {
                fprintf(stderr, "group %s: %s\n", g->name,
                        g->ways ? "too many host instructions" : "no ways");
                t->failures++;
            }
        }
}

int main(int argc, char **argv)
{
    static struct test t;
    const char *srcdir = getenv("srcdir");
    char path[512], line[LINE];
    FILE *f;
    t.print = argc == 2 && strcmp(argv[1], "--print") == 0;
    t.show = argc == 2 && strcmp(argv[1], "--code") == 0;
    if (argc > 2 || (argc == 2 && !t.print && !t.show)) {
        fprintf(stderr, "usage: test_blocks [--print | --code]\n");
        return 2;
    }
    snprintf(path, sizeof path, "%s/tests/ir/blocks.txt", srcdir ? srcdir : ".");
    f = fopen(path, "r");
    if (!f) {
        fprintf(stderr, "test_blocks: %s: ", path);
        perror(NULL);
        return 1;
    }
    make_machine(&t);
    while (t.line++, fgets(line, sizeof line, f)) {
        if (!strchr(line, '\n'))
            bad_line(&t, "too long, or the file ends without newline");
        *strchr(line, '\n') = 0;
        one_line(&t, line);
    }
    fclose(f);
    if (!t.ngroups)
        bad_line(&t, "no groups");
    judge_groups(&t);
    if (t.failures && !t.print)
        fprintf(stderr, "%u failures.  Where a number was meant to change, write the new ones down, on each kind "
                "of host:\n"
                "    srcdir=. tests/ir/test_blocks --print >blocks.new && mv blocks.new tests/ir/blocks.txt\n"
                "(in a build for AArch64 by qemu-aarch64-static; --code shows the code that is made)\n", t.failures);
    free_machine(&t);
    return t.failures != 0;
}
