/*
 * hmp_complete.c - what may follow what has been typed into the human monitor.
 *
 * The row of the command (hmp.def) says what its arguments are; what one can be goes by its name there, or is an
 * expression (type n).
 */
#include "debug/hmp_int.h"

#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/trace.h"
#include "block/block.h"
#include "debug/action.h"
#include "debug/outside.h"
#include "host/memdev.h"

struct completion {
    struct machine *m;
    const char *part;           /* what the words begin with */
    void (*fn)(void *, const char *);
    void *arg;
};

static void offer(const struct completion *c, const char *word)
{
    if (strncmp(word, c->part, strlen(c->part)) == 0)
        c->fn(c->arg, word);
}

static void offer_name(void *arg, const char *s, size_t len)
{
    char name[64];

    snprintf(name, sizeof(name), "%.*s", (int)len, s);
    offer(arg, name);
}

/* ---- kinds of arguments ---- */

static void commands(const struct completion *c)
{
    hmp_names(false, offer_name, (void *)(uintptr_t)c);
}

static void items(const struct completion *c)
{
    hmp_names(true, offer_name, (void *)(uintptr_t)c);
}

static void drives(const struct completion *c)
{
    struct outside_drive d;

    for (unsigned i = 0; c->m->outside && c->m->outside->drive(c->m, i, &d); i++)
        offer(c, d.drive->id);
}

static void nets(const struct completion *c)
{
    struct outside_net n;

    for (unsigned i = 0; c->m->outside && c->m->outside->net(c->m, i, &n); i++)
        if (n.net->id)
            offer(c, n.net->id);
}

static void memdevs(const struct completion *c)
{
    for (const struct memdev *d = c->m->memdevs; d; d = d->next)
        offer(c, d->id);
}

static void states(const struct completion *c)
{
    offer(c, "on");
    offer(c, "off");
}

static void events(const struct completion *c)
{
    for (unsigned e = 0; e < TRACE_COUNT; e++)
        offer(c, trace_name(e));
}

/* Folders end in a '/'. Names with blanks are left out, since they would be two words; hidden ones unless asked for. */
static void files(const struct completion *c)
{
    const char *slash = strrchr(c->part, '/'), *base = slash ? slash + 1 : c->part;
    char folder[HMP_LINE + 1], name[HMP_LINE + 300];
    struct dirent *e;
    struct stat st;
    DIR *d;

    snprintf(folder, sizeof(folder), "%.*s", (int)(base - c->part), c->part);
    d = opendir(*folder ? folder : ".");
    while (d && (e = readdir(d))) {
        if (strncmp(e->d_name, base, strlen(base)) || (e->d_name[0] == '.' && *base != '.') || strpbrk(e->d_name, " \t"))
            continue;
        snprintf(name, sizeof(name), "%s%s", folder, e->d_name);
        if (stat(name, &st) == 0 && S_ISDIR(st.st_mode))
            strcat(name, "/");
        offer(c, name);
    }
    if (d)
        closedir(d);
}

/* A snapshot in the images, or a file where there is a '/'. */
static void snapshots(const struct completion *c)
{
    struct outside_drive d;

    if (strchr(c->part, '/'))
        files(c);
    for (unsigned i = 0; c->m->outside && c->m->outside->drive(c->m, i, &d); i++) {
        struct block_info info = { 0 };

        if (!d.block || d.taken)
            continue;
        block_info(d.block, &info);
        for (unsigned k = 0; k < info.nsnapshots; k++)
            offer(c, info.snapshots[k].name);
    }
}

/* The last of keys with '-' between. */
static void keys(const struct completion *c)
{
    const char *dash = strrchr(c->part, '-');
    int before = dash ? (int)(dash + 1 - c->part) : 0;
    char word[128];

    for (unsigned i = 0; action_key_name(i); i++)
        if (snprintf(word, sizeof(word), "%.*s%s", before, c->part, action_key_name(i)) < (int)sizeof(word))
            offer(c, word);
}

static void symbols(const struct completion *c)
{
    symbols_complete(c->m->symbols, c->part, c->fn, c->arg);
    for (unsigned i = 0; *c->part == '$' && hmp_register(i); i++) {
        char name[32];

        snprintf(name, sizeof(name), "$%s", hmp_register(i));
        offer(c, name);
    }
}

/* ---- which argument it is ---- */

static void argument(const struct completion *c, const char *spec)
{
    static const struct { const char *name; void (*all)(const struct completion *); } kinds[] = {
        { "cmd", commands }, { "item", items }, { "drive", drives }, { "net", nets }, { "memdev", memdevs },
            { "state", states }, { "event", events },
        { "file", files }, { "name", snapshots }, { "keys", keys }
    };
    size_t n = strcspn(spec, ":");

    if (spec[n] == ':' && spec[n + 1] == 'n') {
        symbols(c);
        return;
    }
    for (unsigned i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (strlen(kinds[i].name) == n && strncmp(kinds[i].name, spec, n) == 0)
            kinds[i].all(c);
}

static const char *next(const char *s)
{
    s += strcspn(s, " \t");
    return s + strspn(s, " \t");
}

void hmp_complete(struct machine *m, const char *line, void (*fn)(void *arg, const char *word), void *arg)
{
    const char *first = line + strspn(line, " \t"), *last = first + strlen(first), *s, *spec;
    struct completion c = { m, NULL, fn, arg };
    bool info;

    while (last > first && !isspace((unsigned char)last[-1]))
        last--;
    c.part = last;
    if (last == first) {
        commands(&c);
        return;
    }
    info = strncmp(first, "info", 4) == 0 && isspace((unsigned char)first[4]);
    s = info ? next(first) : first;
    if (info && s == last) {
        items(&c);
        return;
    }
    spec = hmp_arguments(info, s, strcspn(s, " \t/"));
    /* Words typed so far; a format, and options, have no place of their own. */
    for (s = next(s); spec && *spec;) {
        bool format = spec[strcspn(spec, ":")] && spec[strcspn(spec, ":") + 1] == 'f';

        if (*s == '-' && s != last)
            s = next(s);
        else if (*spec == '-')
            spec = next(spec);
        else if (format && s != last && *s == '/')
            s = next(s);
        else if (format)
            spec = next(spec);
        else if (s == last || spec[strcspn(spec, ":") + 1] == 'r')
            break;
        else {
            s = next(s);
            spec = next(spec);
        }
    }
    /* help's second word is an item of info only. */
    if (spec && *spec && !(strncmp(spec, "item:", 5) == 0 && !info && strncmp(next(first), "info", 4)))
        argument(&c, spec);
}
