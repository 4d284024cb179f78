/*
 * opt_chardev.c - -chardev: streams with a name, opened before the board is wired.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

struct chardev *chardevs_open_one(struct machine *m, const char *spec, const char *label)
{
    char err[256];
    struct chardev *c = chardev_open(m->loop, spec, label, err, sizeof(err));

    if (!c && err[0]) {
        /* A wrong word is wrong use; what the host refuses is the host's failure. */
        bool usage = strstr(err, "unknown destination") || strstr(err, "already used");

        die(usage ? EXIT_CODE_USAGE : strncmp(spec, "file:", 5) == 0 ? EXIT_CODE_FILE : EXIT_CODE_HOST, "%s",
            err);
    }
    return c;
}

void chardevs_open(struct machine *m, struct chardev_arg *list)
{
    for (struct chardev_arg *a = list; a; a = a->next)
        a->slot.chr = chardevs_open_one(m, a->spec, a->label);
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

/* ---- the option ---- */

struct socket_arg {
    const char *path, *host, *port;
    bool server, wait, telnet;
};

static const char *socket_spec(struct options *o, const char *opt, const struct socket_arg *s)
{
    char text[4096];

    if (!s->path == !s->port)
        die(EXIT_CODE_USAGE, "%s socket: needs path=PATH, or port=N and host=NAME", opt);
    if (s->path)
        snprintf(text, sizeof(text), "unix:%s", s->path);
    else
        snprintf(text, sizeof(text), "%s:%s:%s", s->telnet ? "telnet" : "tcp", s->host ? s->host : "",
                 s->port);
    if (s->server)
        strncat(text, s->wait ? ",server" : ",server,nowait", sizeof(text) - strlen(text) - 1);
    return options_keep(o, text);
}

void opt_chardev(struct options *o, const char *opt, const char *val)
{
    static const char *const plain[] = { "pty", "null", NULL };
    struct chardev_arg *a = calloc(1, sizeof(*a)), **last = &o->chardevs;
    struct socket_arg sock = { .wait = true };
    const char *path = NULL;
    char kind[16] = "";
    bool mux = false;
    struct arg_item it;
    unsigned i = 0;

    if (!a)
        die(EXIT_CODE_HOST, "out of memory");
    if (arg_is_help(val)) {
        printf("Character devices: stdio file pty null socket\n");
        exit(0);
    }
    while (*last)
        last = &(*last)->next;
    *last = a;
    a->opt = opt;
    if (arg_next(&val, &it))
        snprintf(kind, sizeof(kind), "%s", it.val && strcmp(it.key, "backend") == 0 ? it.val : it.key);
    while (arg_next(&val, &it)) {
        bool file = strcmp(kind, "file") == 0, socket = strcmp(kind, "socket") == 0;

        if (it.val && strcmp(it.key, "id") == 0)
            a->slot.id = options_keep(o, it.val);
        else if (it.val && (file || socket) && strcmp(it.key, "path") == 0)
            path = sock.path = options_keep(o, it.val);
        else if (strcmp(it.key, "mux") == 0)
            mux = arg_bool(opt, it.key, it.val);
        else if (socket && it.val && strcmp(it.key, "host") == 0)
            sock.host = options_keep(o, it.val);
        else if (socket && it.val && strcmp(it.key, "port") == 0)
            sock.port = options_keep(o, it.val);
        else if (socket && strcmp(it.key, "telnet") == 0)
            sock.telnet = arg_bool(opt, it.key, it.val);
        else if (socket && strcmp(it.key, "server") == 0)
            sock.server = arg_bool(opt, it.key, it.val);
        else if (socket && strcmp(it.key, "wait") == 0)
            sock.wait = arg_bool(opt, it.key, it.val);
        else if (socket && strcmp(it.key, "nowait") == 0 && !it.val)
            sock.wait = false;
        else
            die(EXIT_CODE_USAGE,
                "%s %s: unknown property '%s': use id and mux; of file path; of socket path, or host "
                "and port, server, wait and telnet", opt, kind, it.key);
    }
    if (!a->slot.id)
        die(EXIT_CODE_USAGE, "%s %s: needs id=NAME", opt, kind);
    if (chardev_find(o->chardevs, a->slot.id) != a)
        die(EXIT_CODE_USAGE, "%s: there are two with id=%s", opt, a->slot.id);
    snprintf(a->label, sizeof(a->label), "chardev %s", a->slot.id);
    while (plain[i] && strcmp(kind, plain[i]))
        i++;
    if (plain[i]) {
        a->spec = plain[i];
    } else if (strcmp(kind, "stdio") == 0) {
        a->spec = "stdio";
    } else if (strcmp(kind, "socket") == 0) {
        a->spec = socket_spec(o, opt, &sock);
    } else if (strcmp(kind, "file") == 0 && path) {
        char text[4096];

        snprintf(text, sizeof(text), "file:%s", path);
        a->spec = options_keep(o, text);
    } else if (strcmp(kind, "file") == 0) {
        die(EXIT_CODE_USAGE, "%s file: needs path=PATH", opt);
    } else {
        die(EXIT_CODE_USAGE, "%s: there is no '%s': use stdio, file, pty, null or socket", opt, kind);
    }
    if (mux) {
        char text[4100];

        snprintf(text, sizeof(text), "mon:%s", a->spec);
        a->spec = options_keep(o, text);
    }
}
