/*
 * opt_monitor.c - -monitor, -mon and -qmp: who may look into the machine, on what stream.
 *
 * A serial port on mon:DEV shares its stream with a monitor of its own. A -monitor stdio takes the terminal
 * from the serial port that would be there by default; with -nographic, where both belong there, they share
 * it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "debug/monitor.h"
#include "host/chardev.h"
#include "main/options_priv.h"

struct monitor_arg {
    const char *opt, *spec;     /* spec NULL: of -chardev `id` */
    const char *id;
    enum monitor_mode mode;
    struct chardev *own;        /* that was opened for it */
    struct monitor_arg *next;
};

static struct monitor_arg *add(struct options *o, const char *opt, const char *spec, enum monitor_mode mode)
{
    struct monitor_arg *a = calloc(1, sizeof(*a)), **last = &o->monitors;

    if (!a)
        die(EXIT_CODE_HOST, "out of memory");
    while (*last)
        last = &(*last)->next;
    *last = a;
    a->opt = opt;
    a->mode = mode;
    if (spec && strncmp(spec, "chardev:", 8) == 0)
        a->id = spec + 8;
    else
        a->spec = spec;
    return a;
}

void opt_monitor(struct options *o, const char *opt, const char *val)
{
    if (strncmp(val, "vc", 2) == 0)
        die(EXIT_CODE_USAGE,
            "%s %s: windows have no consoles of text: use stdio, telnet:, tcp:, unix: or pty", opt, val);
    add(o, opt, val, MONITOR_TEXT);
}

void opt_qmp(struct options *o, const char *opt, const char *val)
{
    add(o, opt, val, MONITOR_QMP);
}

void opt_qmp_pretty(struct options *o, const char *opt, const char *val)
{
    add(o, opt, val, MONITOR_QMP_PRETTY);
}

void opt_mon(struct options *o, const char *opt, const char *val)
{
    struct monitor_arg *a = add(o, opt, NULL, MONITOR_TEXT);
    bool first = true, pretty = false, control = false;
    struct arg_item it;

    for (; arg_next(&val, &it); first = false) {
        if ((!it.val && first) || (it.val && strcmp(it.key, "chardev") == 0))
            a->id = options_keep(o, it.val ? it.val : it.key);
        else if (it.val && strcmp(it.key, "mode") == 0 &&
                 (strcmp(it.val, "control") == 0 || strcmp(it.val, "readline") == 0))
            control = strcmp(it.val, "control") == 0;
        else if (strcmp(it.key, "pretty") == 0)
            pretty = arg_bool(opt, it.key, it.val);
        else if (!it.val || strcmp(it.key, "id"))       /* its name; nothing here speaks of monitors by name */
            die(EXIT_CODE_USAGE, "%s: '%s%s%s': use chardev=ID, mode=readline, mode=control or pretty=on",
                opt, it.key, it.val ? "=" : "", it.val ? it.val : "");
    }
    if (!a->id)
        die(EXIT_CODE_USAGE, "%s: needs chardev=ID, of a -chardev", opt);
    a->mode = !control ? MONITOR_TEXT : pretty ? MONITOR_QMP_PRETTY : MONITOR_QMP;
}

/* With -nographic the serial port has the terminal as well. */
static bool shares(const struct options *o, const struct monitor_arg *a)
{
    return o->nographic && a->mode == MONITOR_TEXT && a->spec && strcmp(a->spec, "stdio") == 0;
}

bool options_monitor_stdio(const struct options *o)
{
    for (const struct monitor_arg *a = o->monitors; a; a = a->next)
        if (a->spec && strcmp(a->spec, "stdio") == 0 && !shares(o, a))
            return true;
    return false;
}

struct chardev *chardevs_take(struct chardev_arg *list, const char *id, const char *who)
{
    struct chardev_arg *a = chardev_find(list, id);
    struct chardev *c;

    if (!a)
        die(EXIT_CODE_USAGE, "%s: there is no -chardev with id=%s", who, id);
    if (chardev_take(&a->slot))
        return a->slot.chr;
    c = a->slot.chr ? chardev_front(a->slot.chr) : NULL;
    if (!c)
        die(EXIT_CODE_USAGE,
            "%s: chardev %s is already used by another device: with mux=on up to four share it", who, id);
    return c;
}

void monitors_open(struct machine *m, struct options *o)
{
    bool on_terminal = false;

    for (unsigned i = 0; i < o->nserial; i++) {
        if (strncmp(o->serial[i], "mon:", 4))
            continue;
        monitor_add(m, chardev_front(m->cfg.serial[i]), MONITOR_TEXT);
        on_terminal |= strcmp(o->serial[i], "mon:stdio") == 0;
    }
    for (struct monitor_arg *a = o->monitors; a; a = a->next) {
        if (a->spec && strcmp(a->spec, "none") == 0)
            continue;
        if (a->spec && shares(o, a) && on_terminal)
            continue;
        if (a->spec)
            a->own = chardevs_open_one(m, a->spec, NULL, a->mode == MONITOR_TEXT ? "monitor" : "qmp");
        monitor_add(m, a->spec ? a->own : chardevs_take(o->chardevs, a->id, a->opt), a->mode);
    }
}

void monitors_close(struct machine *m, struct options *o)
{
    monitors_free(m);
    for (struct monitor_arg *a = o->monitors, *next; a; a = next) {
        next = a->next;
        chardev_close(a->own);
        free(a);
    }
    o->monitors = NULL;
}
