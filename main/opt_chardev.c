/*
 * opt_chardev.c - -chardev: streams with a name, opened before the board is wired; -add-fd: what they may be made of.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fds.h"
#include "base/log.h"
#include "host/chardev.h"
#include "hw/machine.h"
#include "main/options_priv.h"

struct chardev_arg *chardev_find(struct chardev_arg *list, const char *id)
{
    for (struct chardev_arg *a = list; a; a = a->next)
        if (strcmp(a->slot.id, id) == 0)
            return a;
    return NULL;
}

struct chardev *chardevs_open_one(struct machine *m, const char *spec, const struct chardev_options *more, const char *label)
{
    struct chardev_options how = more ? *more : (struct chardev_options){ .signal = 0 };
    char err[512];
    struct chardev *c;

    how.fds = m->fds;
    c = chardev_open_with(m->loop, spec, &how, label, err, sizeof(err));

    if (!c && err[0]) {
        /* A wrong word is wrong use; what the host refuses is the host's failure. */
        bool usage = strstr(err, "unknown destination") || strstr(err, "already used");

        bool file = strncmp(spec, "file:", 5) == 0 || strstr(err, "its log");

        die(usage ? EXIT_CODE_USAGE : file ? EXIT_CODE_FILE : EXIT_CODE_HOST, "%s", err);
    }
    return c;
}

void chardevs_open(struct machine *m, struct chardev_arg *list)
{
    for (struct chardev_arg *a = list; a; a = a->next)
        a->slot.chr = chardevs_open_one(m, a->spec, &a->more, a->label);
}

/* Streams that are told twice, as -serial chardev:ID is, hear it once. */
static void run_changed(void *arg, enum run_state now)
{
    const struct chardevs_watcher *w = arg;
    const struct machine_config *cfg = &w->m->cfg;
    bool still = now != RUN_RUNNING;

    for (struct chardev_arg *a = w->list; a; a = a->next)
        chardev_still(a->slot.chr, still);
    for (unsigned i = 0; i < cfg->nserial; i++)
        chardev_still(cfg->serial[i], still);
    for (unsigned i = 0; i < cfg->nparallel; i++)
        chardev_still(cfg->parallel[i], still);
    chardev_still(cfg->debugcon, still);
}

void chardevs_watch(struct machine *m, struct chardev_arg *list, struct chardevs_watcher *w)
{
    *w = (struct chardevs_watcher){ { run_changed, w, NULL }, m, list };
    run_changed(w, control_state(m->control));
    control_watch(m->control, &w->watcher);
}

void chardevs_close(struct chardev_arg *list)
{
    for (struct chardev_arg *a = list; a; a = a->next) {
        chardev_close(a->slot.chr);
        a->slot.chr = NULL;
    }
}

void chardevs_free(struct chardev_arg *list)
{
    for (struct chardev_arg *a = list, *next; a; a = next) {
        next = a->next;
        free(a);
    }
}

void opt_add_fd(struct options *o, const char *opt, const char *val)
{
    uint64_t fd = UINT64_MAX, set = UINT64_MAX;
    const char *opaque = NULL;
    struct arg_item it;
    int own;

    while (arg_next(&val, &it)) {
        if (it.val && strcmp(it.key, "opaque") == 0)
            opaque = options_keep(o, it.val);
        else if (!it.val || (strcmp(it.key, "fd") && strcmp(it.key, "set")))
            die(EXIT_CODE_USAGE, "%s: unknown property '%s': use fd=N,set=N and opaque=TEXT", opt, it.key);
        else if (!arg_number(it.val, *it.key == 'f' ? &fd : &set) || (*it.key == 'f' ? fd : set) > INT32_MAX)
            die(EXIT_CODE_USAGE, "%s: %s=%s: use a number", opt, it.key, it.val);
    }
    if (fd == UINT64_MAX || set == UINT64_MAX)
        die(EXIT_CODE_USAGE, "%s: needs fd=N and set=N", opt);
    own = fd > STDERR_FILENO && !(fcntl((int)fd, F_GETFD) & FD_CLOEXEC) ? fcntl((int)fd, F_DUPFD_CLOEXEC, 3) : -1;
    if (own < 0)
        die(EXIT_CODE_USAGE, "%s: fd=%d: Latimer was not started with such a descriptor (0 to 2 are its own)", opt, (int)fd);
    fds_add(o->fds, (int64_t)set, own, opaque);
}

/* ---- the option ---- */

#define PROPS_MAX 12
#define COMMON " id mux logfile logappend "
#define FLAGS  " server wait nowait telnet append mux logappend signal "

/* Properties of one -chardev. */
struct given {
    const char *key[PROPS_MAX], *val[PROPS_MAX];
    unsigned n;
};

struct backend {
    const char *name, *props;   /* props: between spaces */
    const char *spec;           /* for chardev_open(), with path= behind it; NULL: make() knows */
    const char *(*make)(struct options *, const char *opt, const struct given *);
};

static const char *find(const struct given *g, const char *key)
{
    for (unsigned i = 0; i < g->n; i++)
        if (strcmp(g->key[i], key) == 0)
            return g->val[i];
    return NULL;
}

static bool flag(const struct given *g, const char *opt, const char *key, bool otherwise)
{
    const char *val = find(g, key);

    return val ? arg_bool(opt, key, val) : otherwise;
}

static const char *socket_spec(struct options *o, const char *opt, const struct given *g)
{
    const char *path = find(g, "path"), *host = find(g, "host"), *port = find(g, "port"), *fd = find(g, "fd");
    bool wait = flag(g, opt, "wait", !find(g, "nowait"));
    char text[4096];

    if (!!path + !!port + !!fd != 1)
        die(EXIT_CODE_USAGE, "%s socket: needs path=PATH, fd=N, or port=N and host=NAME", opt);
    if (fd)
        snprintf(text, sizeof(text), "fd:%s", fd);
    else if (path)
        snprintf(text, sizeof(text), "unix:%s", path);
    else
        snprintf(text, sizeof(text), "%s:%s:%s", flag(g, opt, "telnet", false) ? "telnet" : "tcp", host ? host : "", port);
    if (flag(g, opt, "server", false))
        strncat(text, wait ? ",server" : ",server,nowait", sizeof(text) - strlen(text) - 1);
    return options_keep(o, text);
}

static const char *udp_spec(struct options *o, const char *opt, const struct given *g)
{
    const char *host = find(g, "host"), *port = find(g, "port"), *here = find(g, "localaddr");
    const char *here_port = find(g, "localport");
    char text[1024];

    if (!port)
        die(EXIT_CODE_USAGE, "%s udp: needs port=N, where datagrams go to (host=NAME: on another host)", opt);
    snprintf(text, sizeof(text), "udp:%s:%s%s%s%s%s", host ? host : "", port, here || here_port ? "@" : "", here ? here : "",
             here || here_port ? ":" : "", here_port ? here_port : "");
    return options_keep(o, text);
}

static const struct backend backends[] = {
    { "stdio", " signal ", "stdio", NULL },
    { "file", " path append ", "file:", NULL },
    { "pipe", " path ", "pipe:", NULL },
    { "pty", "", "pty", NULL },
    { "null", "", "null", NULL },
    { "socket", " path host port fd telnet server wait nowait ", NULL, socket_spec },
    { "udp", " host port localaddr localport ", NULL, udp_spec },
    { "serial", " path ", "tty:", NULL },
    { "tty", " path ", "tty:", NULL },
};
#define BACKENDS (sizeof(backends) / sizeof(backends[0]))

const char *chardevs_kind(unsigned n)
{
    return n < BACKENDS ? backends[n].name : NULL;
}

static const struct backend *backend(const char *opt, const char *name)
{
    for (unsigned i = 0; i < BACKENDS; i++)
        if (strcmp(backends[i].name, name) == 0)
            return &backends[i];
    if (strcmp(name, "vc") == 0)
        die(EXIT_CODE_USAGE, "%s vc: windows have no consoles of text: use pty, stdio or socket", opt);
    die(EXIT_CODE_USAGE, "%s: there is no '%s': use stdio, file, pipe, pty, null, socket, udp or serial", opt, name);
}

static bool among(const char *list, const char *key)
{
    char word[40];

    return !strchr(key, ' ') && snprintf(word, sizeof(word), " %s ", key) < (int)sizeof(word) && strstr(list, word);
}

static void take_props(struct options *o, const char *opt, const struct backend *b, const char *val, struct given *g)
{
    struct arg_item it;

    while (arg_next(&val, &it)) {
        if (!(it.val || among(FLAGS, it.key)) || !(among(COMMON, it.key) || among(b->props, it.key)))
            die(EXIT_CODE_USAGE, "%s %s: unknown property '%s': use one of%s%s", opt, b->name, it.key, COMMON, b->props);
        if (g->n == PROPS_MAX)
            die(EXIT_CODE_USAGE, "%s %s: there are properties twice", opt, b->name);
        g->key[g->n] = options_keep(o, it.key);
        g->val[g->n++] = it.val ? options_keep(o, it.val) : "on";
    }
}

static const char *spec_of(struct options *o, const char *opt, const struct backend *b, const struct given *g)
{
    const char *path = find(g, "path");
    char text[4110];

    if (b->make)
        return b->make(o, opt, g);
    if (among(b->props, "path") && !path)
        die(EXIT_CODE_USAGE, "%s %s: needs path=PATH", opt, b->name);
    snprintf(text, sizeof(text), "%s%s", b->spec, path ? path : "");
    return options_keep(o, text);
}

static void add(struct options *o, struct chardev_arg *a)
{
    struct chardev_arg **last = &o->chardevs;

    while (*last)
        last = &(*last)->next;
    *last = a;
}

void opt_chardev(struct options *o, const char *opt, const char *val)
{
    struct chardev_arg *a = calloc(1, sizeof(*a));
    const struct backend *b;
    struct given g = { .n = 0 };
    struct arg_item it = { .key = it.text };

    if (!a)
        die(EXIT_CODE_HOST, "out of memory");
    if (arg_is_help(val)) {
        printf("Character devices:");
        for (unsigned i = 0; i < BACKENDS; i++)
            printf(" %s", backends[i].name);
        printf("\n");
        exit(0);
    }
    add(o, a);
    a->opt = opt;
    arg_next(&val, &it);
    b = backend(opt, it.val && strcmp(it.key, "backend") == 0 ? it.val : it.key);
    take_props(o, opt, b, val, &g);
    if (!(a->slot.id = find(&g, "id")))
        die(EXIT_CODE_USAGE, "%s %s: needs id=NAME", opt, b->name);
    if (chardev_find(o->chardevs, a->slot.id) != a)
        die(EXIT_CODE_USAGE, "%s: there are two with id=%s", opt, a->slot.id);
    snprintf(a->label, sizeof(a->label), "chardev %s", a->slot.id);
    a->more = (struct chardev_options){
        .logfile = find(&g, "logfile"), .log_append = flag(&g, opt, "logappend", false),
        .append = flag(&g, opt, "append", false),
        .signal = !find(&g, "signal") ? 0 : flag(&g, opt, "signal", true) ? 1 : -1
    };
    a->spec = spec_of(o, opt, b, &g);
    if (flag(&g, opt, "mux", false)) {
        char text[4120];

        snprintf(text, sizeof(text), "mon:%s", a->spec);
        a->spec = options_keep(o, text);
    }
}
