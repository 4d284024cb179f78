/*
 * test_files.c - the *.ir files: parse, verify, print and parse again; then every
 * `; run:` line, raw and optimised (`; run-optimised:` only so); and `; opt: OP=N` lines, which say how many
 * instructions OP are left after the passes.
 *
 * Usage: test_files FILE...; without arguments all of $srcdir/tests/ir.
 */
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/ir/ir_env.h"

static int failures;

static void fail(const char *file, const char *what, const char *why)
{
    printf("%s: %s: %s\n", file, what, why);
    failures++;
}

static char *slurp(const char *file)
{
    FILE *f = fopen(file, "r");
    char *text = calloc(1, 1 << 16);
    if (!f || !fread(text, 1, (1 << 16) - 1, f)) {
        perror(file);
        exit(1);
    }
    fclose(f);
    return text;
}

static char *printed(const struct ir_block *b)
{
    char *text = NULL;
    size_t len;
    FILE *f = open_memstream(&text, &len);
    ir_print(f, b);
    fclose(f);
    return text;
}

static void round_trip(struct ir_env *e, const char *file, const char *what)
{
    struct ir_block again;
    char *one = printed(&e->b), *two;
    ir_init(&again);
    const char *wrong = ir_parse(&again, one);
    if (wrong) {
        fail(file, what, wrong);
    } else {
        two = printed(&again);
        if (strcmp(one, two) != 0)
            fail(file, what, "prints differently after having been parsed again");
        free(two);
    }
    free(one);
    ir_free(&again);
}

static void run_lines(struct ir_env *e, const char *file, const char *text, const char *what,
                      const char *key)
{
    for (const char *p = text; (p = strstr(p, key)); p++) {
        const char *wrong = ir_env_run(e, p + strlen(key));
        if (wrong)
            fail(file, what, wrong);
    }
}

static void opt_lines(struct ir_env *e, const char *file, const char *text)
{
    for (const char *p = text; (p = strstr(p, "; opt:")); p += 6) {
        char op[32], msg[96];
        unsigned want, got = 0;
        if (sscanf(p + 6, " %31[a-z0-9_]=%u", op, &want) != 2) {
            fail(file, "opt", "bad line");
            continue;
        }
        for (unsigned k = 1; k < e->b.n; k++)
            got += strcmp(ir_info[e->b.ins[k].op].text, op) == 0;
        snprintf(msg, sizeof msg, "%u of %s, not %u", got, op, want);
        if (got != want) {
            fail(file, "opt", msg);
            ir_print(stdout, &e->b);
        }
    }
}

static void test_file(struct ir_env *e, const char *file)
{
    char *text = slurp(file);
    const char *wrong = ir_parse(&e->b, text);
    if (!wrong)
        wrong = ir_verify(&e->b);
    if (wrong) {
        fail(file, "parse", wrong);
        free(text);
        return;
    }
    round_trip(e, file, "raw");
    run_lines(e, file, text, "raw", "; run:");
    ir_optimize(&e->b, &(struct opt_options) { .verify = true });
    round_trip(e, file, "optimised");
    run_lines(e, file, text, "optimised", "; run:");
    run_lines(e, file, text, "optimised", "; run-optimised:");
    opt_lines(e, file, text);
    free(text);
}

int main(int argc, char **argv)
{
    struct ir_env e;
    char pattern[512];
    glob_t g;
    const char *srcdir = getenv("srcdir");
    ir_env_init(&e);
    if (argc > 1) {
        for (int k = 1; k < argc; k++)
            test_file(&e, argv[k]);
    } else {
        snprintf(pattern, sizeof pattern, "%s/tests/ir/*.ir", srcdir ? srcdir : ".");
        if (glob(pattern, 0, NULL, &g) != 0) {
            printf("no files match %s\n", pattern);
            return 1;
        }
        for (size_t k = 0; k < g.gl_pathc; k++)
            test_file(&e, g.gl_pathv[k]);
        globfree(&g);
    }
    ir_env_free(&e);
    return failures != 0;
}
