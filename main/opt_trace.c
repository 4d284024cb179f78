/*
 * opt_trace.c - -trace: events of devices, by name; -perfmap and -jitdump: translated code, for the host's perf.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/nearest.h"
#include "base/trace.h"
#include "main/options_priv.h"
#include "translator/perf.h"

static void __attribute__((noreturn)) unknown(const char *opt, const char *where, const char *item)
{
    struct nearest near;
    const char *name = item + (item[0] == '-');

    nearest_init(&near, name, "");
    trace_names(&near);
    if (near.list[0])
        die(EXIT_CODE_USAGE, "%s%s: no event '%s': did you mean %s? (-trace help lists all)", opt, where, name, near.list);
    die(EXIT_CODE_USAGE, "%s%s: no event %s '%s': -trace help lists what there is", opt, where,
        strpbrk(name, "*?[") ? "matches" : "has the name", name);
}

static void read_events(const char *opt, const char *file)
{
    FILE *f = fopen(file, "re");
    char bad[256], where[512];
    unsigned line;

    if (!f)
        die(EXIT_CODE_FILE, "%s: cannot read the list of events %s: %s", opt, file, strerror(errno));
    if (!trace_read(f, bad, sizeof(bad), &line)) {
        snprintf(where, sizeof(where), ": %s, line %u", file, line);
        unknown(opt, where, bad);
    }
    if (ferror(f))
        die(EXIT_CODE_FILE, "%s: cannot read the list of events %s: %s", opt, file, strerror(errno));
    fclose(f);
}

static void write_to(const char *opt, const char *file)
{
    FILE *f = fopen(file, "we");

    if (!f)
        die(EXIT_CODE_FILE, "%s: cannot write %s: %s", opt, file, strerror(errno));
    trace_set_file(f);
}

void opt_trace(struct options *o, const char *opt, const char *val)
{
    struct arg_item it;

    if (arg_is_help(val)) {
        trace_help(stdout);
        exit(0);
    }
    while (arg_next(&val, &it)) {
        const char *item = it.val ? it.val : it.key;

        if (it.val && strcmp(it.key, "events") == 0)
            read_events(opt, it.val);
        else if (it.val && strcmp(it.key, "file") == 0)
            write_to(opt, it.val);
        else if (it.val && strcmp(it.key, "enable"))
            die(EXIT_CODE_USAGE, "%s: '%s=%s': use [enable=]PATTERN, events=FILE or file=FILE", opt, it.key, it.val);
        else if (!trace_apply(item))
            unknown(opt, "", item);
    }
}

void opt_perfmap(struct options *o, const char *opt, const char *val)
{
    o->perfmap = true;
}

void opt_jitdump(struct options *o, const char *opt, const char *val)
{
    o->jitdump = true;
}

void host_perf_open(struct options *o)
{
    char err[256];

    if (!o->perfmap && !o->jitdump)
        return;
    if (o->interp)
        arg_note("%s: -accel interp translates nothing: perf will find no guest code", o->perfmap ? "-perfmap" : "-jitdump");
    o->perf = perf_open(o->perfmap, o->jitdump, err, sizeof(err));
    if (!o->perf)
        die(EXIT_CODE_FILE, "%s: %s", o->jitdump ? "-jitdump" : "-perfmap", err);
}
