/*
 * image.c - latimer image: the command line by the tables in image.def, create and resize.
 *
 * Commands and options are qemu-img's, as far as there are any; so are the exit codes of check.
 */
#include "main/image.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/size.h"
#include "base/nearest.h"

#define CHECK_FAILED 1

struct command {
    const char *name, *args, *help;
    int (*run)(const struct image_args *);
};

struct arg {
    const char *commands, *names, *arg, *help;
};

static int image_create(const struct image_args *a);
static int image_resize(const struct image_args *a);

static const struct command commands[] = {
#define COMMAND(id, args, help) { #id, args, help, image_##id },
#define ARG(commands, names, arg, help)
#define CODE(code, meaning)
#include "main/image.def"
#undef COMMAND
#undef ARG
};

static const struct arg args[] = {
#define COMMAND(id, args, help)
#define ARG(commands, names, arg, help) { commands, names, arg, help },
#include "main/image.def"
#undef ARG
#undef CODE
};

static const struct { const char *code, *meaning; } codes[] = {
#define ARG(commands, names, arg, help)
#define CODE(code, meaning) { code, meaning },
#include "main/image.def"
#undef COMMAND
#undef ARG
#undef CODE
};

#define N(a) (sizeof(a) / sizeof((a)[0]))

/* check's exit codes 2 and 3 are findings; whatever else goes wrong is 1. */
static bool checking;

static int code_for(int code)
{
    return checking ? CHECK_FAILED : code;
}

void image_fail(int error, const struct block_error *e)
{
    bool host = error == -ENOMEM || error == -ENOSPC || error == -EDQUOT || error == -EFBIG;

    die(code_for(host ? EXIT_CODE_HOST : EXIT_CODE_FILE), "%s", e->text);
}

static void __attribute__((noreturn, format(printf, 1, 2))) wrong(const char *fmt, ...)
{
    char text[512];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    die(code_for(EXIT_CODE_USAGE), "image %s", text);
}

/* ---- values ---- */

bool image_size(const char *s, uint64_t *out)
{
    return size_parse(s, 0, out);
}

/* Is it one of the words of the list? */
static bool is_in(const char *word, const char *list)
{
    size_t n = strlen(word);

    for (const char *p = list; *p; p += strspn(p, " ")) {
        size_t len = strcspn(p, " ");

        if (len == n && memcmp(p, word, n) == 0)
            return true;
        p += len;
    }
    return false;
}

static enum block_prealloc prealloc_mode(const char *s)
{
    static const char *const names[] = { "off", "metadata", "falloc", "full" };

    for (unsigned i = 0; i < N(names); i++)
        if (strcmp(s, names[i]) == 0)
            return (enum block_prealloc)i;
    wrong("preallocation=%s: use off, metadata, falloc or full", s);
}

static bool on_off(const char *name, const char *s)
{
    if (strcmp(s, "on") != 0 && strcmp(s, "off") != 0)
        wrong("%s=%s: use on or off", name, s);
    return strcmp(s, "on") == 0;
}

static void set_property(struct image_args *a, const char *name, const char *val)
{
    static const char *const names[] = { "backing_file", "backing_fmt", "cluster_size", "compat",
                                        "compression_type",
        "extended_l2", "lazy_refcounts", "preallocation", "refcount_bits", "size" };
    struct block_create *c = &a->create;
    uint64_t n;

    if (strcmp(name, "preallocation") == 0) {
        c->prealloc = prealloc_mode(val);
    } else if (strcmp(name, "cluster_size") == 0) {
        if (!image_size(val, &c->cluster_size))
            wrong("cluster_size=%s: not a size: write bytes, or a number with suffix K or M", val);
    } else if (strcmp(name, "compat") == 0) {
        if (!is_in(val, "0.10 1.1 v2 v3"))
            wrong("compat=%s: use 0.10 (version 2) or 1.1 (version 3)", val);
        c->version = is_in(val, "0.10 v2") ? 2 : 3;
    } else if (strcmp(name, "compression_type") == 0) {
        if (strcmp(val, "zlib") != 0 && strcmp(val, "zstd") != 0)
            wrong("compression_type=%s: use zlib or zstd", val);
        c->zstd = strcmp(val, "zstd") == 0;
    } else if (strcmp(name, "refcount_bits") == 0) {
        c->refcount_bits = image_size(val, &n) && n <= 64 ? (unsigned)n : 0;
    } else if (strcmp(name, "lazy_refcounts") == 0) {
        c->lazy_refcounts = on_off(name, val);
    } else if (strcmp(name, "extended_l2") == 0) {
        c->extended_l2 = on_off(name, val);
    } else if (strcmp(name, "backing_file") == 0) {
        a->b = val;
    } else if (strcmp(name, "backing_fmt") == 0) {
        a->F = val;
    } else if (strcmp(name, "size") == 0) {
        a->size = val;
    } else {
        struct nearest near;

        nearest_init(&near, name, "");
        for (size_t i = 0; i < N(names); i++)
            nearest_try(&near, names[i], strlen(names[i]));
        if (near.list[0])
            wrong("-o %s: there is no such property: did you mean %s?", name, near.list);
        wrong("-o %s: there is no such property (latimer image --help lists them)", name);
    }
}

/* A list of NAME=VALUE, which is cut up; ",," stands for a comma. */
static void properties(struct image_args *a, char *list)
{
    while (*list) {
        char *name = list, *out = list, *val = NULL;

        for (; *list && (*list != ',' || list[1] == ','); list++) {
            list += *list == ',';
            if (*list == '=' && !val) {
                *out++ = 0;
                val = out;
            } else {
                *out++ = *list;
            }
        }
        if (*list)
            list++;
        *out = 0;
        if (!val)
            wrong("-o %s: write NAME=VALUE", name);
        set_property(a, name, val);
    }
}

/* ---- the command line ---- */

static void wrap(const char *text, int from)
{
    int col = from;

    while (*text) {
        int n = (int)strcspn(text, " ");

        if (col > from && col + 1 + n > 95) {
            printf("\n%*s", from, "");
            col = from;
        }
        col += printf("%s%.*s", col > from ? " " : "", n, text);
        text += n;
        text += strspn(text, " ");
    }
    printf("\n");
}

static int print_names(const char *names)
{
    int col = 0;

    for (const char *p = names; *p; p += strspn(p, " ")) {
        int n = (int)strcspn(p, " ");

        col += printf("%s%s%.*s", col ? ", " : "  ", n > 1 ? "--" : "-", n, p);
        p += n;
    }
    return col;
}

static void help(const struct command *only)
{
    printf("usage: latimer image COMMAND [OPTION]... FILE...\nMakes, shows, copies, checks and resizes disk "
           "images.\n");
    printf("\nCommands\n");
    for (size_t i = 0; i < N(commands); i++) {
        if (only && only != &commands[i])
            continue;
        printf("  %s %s\n%*s", commands[i].name, commands[i].args, 24, "");
        wrap(commands[i].help, 24);
    }
    printf("\nOptions\n");
    for (size_t i = 0; i < N(args); i++) {
        int col;

        if (only && !is_in(only->name, args[i].commands))
            continue;
        col = print_names(args[i].names);
        if (args[i].arg)
            col += printf(" %s", args[i].arg);
        if (!only && strcmp(args[i].commands, args[0].commands) != 0)
            col += printf("  (%s)", args[i].commands);
        printf("\n%*s", 24, "");
        wrap(args[i].help, 24);
    }
    printf("\nExit codes\n");
    for (size_t i = 0; i < N(codes); i++) {
        printf("  %-20s  ", codes[i].code);
        wrap(codes[i].meaning, 24);
    }
    exit(0);
}

static void set(struct image_args *a, const struct command *cmd, const char *name, char *val)
{
    struct { const char *name; const char **text; bool *flag; } fields[] = {
        { "f", &a->f, NULL }, { "O", &a->O, NULL }, { "b", &a->b, NULL }, { "F", &a->F, NULL }, { "l", &a->l,
                NULL }, { "a", &a->apply, NULL }, { "d", &a->remove, NULL },
        { "t", &a->t, NULL }, { "r", &a->r, NULL }, { "output", &a->output, NULL },
        { "preallocation", &a->preallocation, NULL }, { "u", NULL, &a->u }, { "c", &a->make, &a->c }, { "p",
                NULL, &a->p },
        { "shrink", NULL, &a->shrink }, { "backing-chain", NULL, &a->backing_chain }, { "U", NULL, &a->U },
        { "q", NULL, &a->q },
    };

    if (strcmp(name, "h") == 0)
        help(cmd);
    if (strcmp(name, "o") == 0)
        properties(a, val);
    for (size_t i = 0; i < N(fields); i++) {
        if (strcmp(name, fields[i].name) == 0) {
            if (fields[i].text && val)
                *fields[i].text = val;
            else if (fields[i].flag)
                *fields[i].flag = true;
        }
    }
}

/* The options of one command, for getopt_long(); each is known by its place in args[]. */
static void parse(struct image_args *a, const struct command *cmd, int argc, char **argv)
{
    struct option longs[2 * N(args) + 1] = { { 0 } };
    char shorts[3 * N(args) + 2] = ":", name[32];
    const char *minus = NULL;
    size_t nlongs = 0, nshorts = 1;
    int c, which;

    for (size_t i = 0; i < N(args); i++) {
        if (!is_in(cmd->name, args[i].commands))
            continue;
        for (const char *p = args[i].names; *p; p += strspn(p, " ")) {
            size_t n = strcspn(p, " ");

            if (n == 1) {
                shorts[nshorts++] = *p;
                if (args[i].arg)
                    shorts[nshorts++] = ':';
            } else {
                longs[nlongs++] = (struct option){ strndup(p, n), args[i].arg ? required_argument :
                                                  no_argument, NULL,
                                                   256 + (int)i };
            }
            p += n;
        }
    }
    /* "-1G" is a size, not an option. */
    for (int i = 1; i < argc; i++) {
        if (argv[i][0] == '-' && argv[i][1] >= '0' && argv[i][1] <= '9') {
            minus = argv[i];
            memmove(&argv[i], &argv[i + 1], (size_t)(argc - i) * sizeof(*argv));
            argc--;
            break;
        }
    }
    opterr = 0;
    while ((c = getopt_long(argc, argv, shorts, longs, &which)) >= 0) {
        if (c == '?' || c == ':') {
            const char *what = argv[optind - 1];

            if (c == ':')
                wrong("%s: %s needs an argument", cmd->name, what);
            if (optopt > 0 && optopt < 256)
                wrong("%s: there is no option -%c (latimer image %s --help lists what there is)", cmd->name,
                      optopt, cmd->name);
            wrong("%s: there is no option %s (latimer image %s --help lists what there is)", cmd->name, what,
                  cmd->name);
        }
        if (c >= 256)
            snprintf(name, sizeof(name), "%.*s", (int)strcspn(args[c - 256].names, " "), args[c - 256].names);
        else
            snprintf(name, sizeof(name), "%c", c);
        set(a, cmd, name, optarg);
    }
    for (size_t i = 0; i < nlongs; i++)
        free((char *)longs[i].name);
    a->file = optind < argc ? argv[optind++] : NULL;
    if (optind < argc)
        a->other = argv[optind++];
    else if (minus)
        a->other = minus;
    if (!a->file)
        wrong("%s: FILE is missing: latimer image %s %s", cmd->name, cmd->name, cmd->args);
    if (optind < argc)
        wrong("%s: '%s': too many arguments: latimer image %s %s", cmd->name, argv[optind], cmd->name,
              cmd->args);
    if (a->output && strcmp(a->output, "json") != 0 && strcmp(a->output, "human") != 0)
        wrong("%s: --output=%s: use human or json", cmd->name, a->output);
    a->json = a->output && strcmp(a->output, "json") == 0;
}

int image_main(int argc, char **argv)
{
    const struct command *cmd = NULL;
    struct image_args a = { 0 };
    struct nearest near;

    block_create_defaults(&a.create);
    if (argc < 2)
        wrong("needs a command: create, info, convert, check or resize (latimer image --help)");
    if (strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0)
        help(NULL);
    nearest_init(&near, argv[1], "");
    for (size_t i = 0; i < N(commands); i++) {
        if (strcmp(argv[1], commands[i].name) == 0)
            cmd = &commands[i];
        nearest_try(&near, commands[i].name, strlen(commands[i].name));
    }
    if (!cmd && near.list[0])
        wrong("%s: unknown command: did you mean %s?", argv[1], near.list);
    if (!cmd)
        wrong("%s: unknown command: use create, info, convert, check or resize (latimer image --help)",
              argv[1]);
    checking = strcmp(cmd->name, "check") == 0;
    parse(&a, cmd, argc - 1, argv + 1);
    return cmd->run(&a);
}

/* ---- create and resize ---- */

struct block *image_open(const struct image_args *a, const char *path, struct block_open o)
{
    struct block_error e;
    struct block *b;
    int error;

    o.format = a->f;
    b = block_open(path, &o, &e, &error);
    if (!b)
        image_fail(error, &e);
    return b;
}

/* The backing file's size; it must be there and be what -F says. */
static uint64_t backing_size(const struct image_args *a)
{
    struct block_error e;
    char *path = block_backing_path(a->file, a->b, &e);
    struct block *b;
    uint64_t size;
    int error = -EINVAL;

    if (!path)
        image_fail(error, &e);
    b = block_open(path, &(struct block_open){ .format = a->F, .no_lock = true }, &e, &error);
    if (!b)
        image_fail(error, &e);
    size = b->size;
    block_close(b);
    free(path);
    return size;
}

static int image_create(const struct image_args *a)
{
    struct block_create c = a->create;
    const char *size = a->other ? a->other : a->size;
    struct block_error e;
    int r;

    c.format = a->f ? a->f : "raw";
    c.backing = a->b;
    c.backing_format = a->F;
    if (a->b && strcmp(c.format, "raw") == 0)
        wrong("create: raw images have no backing files: use -f qcow2");
    if (a->b && !a->F)
        wrong("create: say with -F which format the backing file has: it cannot be told safely from its "
              "contents, which a guest may have written");
    if (!a->b && (a->F || a->u))
        wrong("create: -%s goes with a backing file: -b FILE", a->F ? "F" : "u");
    if (size && !image_size(size, &c.size))
        wrong("create: '%s': not a size: write bytes, or a number with suffix K, M, G, T or P", size);
    if (a->b && !a->u)
        c.size = size ? (backing_size(a), c.size) : backing_size(a);
    else if (!size)
        wrong("create: SIZE is missing: latimer image create -f %s FILE SIZE", c.format);
    c.size = (c.size + 511) & ~(uint64_t)511;
    r = block_create(a->file, &c, &e);
    if (r)
        image_fail(r, &e);
    if (!a->q)
        printf("%s: %s, %llu bytes%s%s\n", a->file, c.format, (unsigned long long)c.size, a->b ? ", over " :
               "",
               a->b ? a->b : "");
    return 0;
}

static int image_resize(const struct image_args *a)
{
    struct block *b;
    struct block_error e;
    uint64_t by, size;
    char sign = a->other ? a->other[0] : 0;
    int r;

    if (!a->other)
        wrong("resize: SIZE is missing: latimer image resize FILE [+|-]SIZE");
    if (!image_size(a->other + (sign == '+' || sign == '-'), &by))
        wrong("resize: '%s': not a size: write bytes, or a number with suffix K, M, G, T or P; + or - before "
              "it", a->other);
    b = image_open(a, a->file, (struct block_open){ .writable = true });
    size = sign == '+' ? b->size + by : sign == '-' ? b->size - by : by;
    if (sign == '-' && by > b->size)
        wrong("resize: %s has only %llu bytes", a->file, (unsigned long long)b->size);
    size = (size + 511) & ~(uint64_t)511;
    if (size > INT64_MAX)
        wrong("resize: %s would be too large", a->file);
    if (size < b->size && !a->shrink)
        wrong("resize: from %llu to %llu bytes: what lies behind is lost: say --shrink if that is meant",
              (unsigned long long)b->size, (unsigned long long)size);
    r = block_resize(b, size, a->preallocation ? prealloc_mode(a->preallocation) : BLOCK_PREALLOC_OFF, &e);
    if (!r && (r = block_flush(b)))
        block_fail(&e, -r, "%s: %s", a->file, strerror(-r));
    if (r)
        image_fail(r, &e);
    block_close(b);
    if (!a->q)
        printf("%s: %llu bytes\n", a->file, (unsigned long long)size);
    return 0;
}
