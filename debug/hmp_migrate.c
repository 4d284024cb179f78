/* hmp_migrate.c - migration in the human monitor. */
#include <stdio.h>
#include <string.h>

#include "base/size.h"
#include "debug/action.h"
#include "debug/hmp_int.h"
#include "debug/migrate.h"
#include "debug/monitor_int.h"

/* For the monitor that waits. */
static void done(void *arg)
{
    struct mon *mon = arg;
    struct migrate_status s;
    char text[600] = "";

    migrate_query(mon->all->m, &s);
    if (s.error)
        snprintf(text, sizeof(text), "%s\n", s.error);
    line_resume(mon, text);
}

void hmp_migrate(struct hmp *h)
{
    struct mon *mon = h->m->monitors ? h->m->monitors->asks : NULL;
    char err[512];

    if (!migrate_start(h->m, h->arg[0].s, hmp_flag(h, 'b'), err, sizeof(err))) {
        hmp_fail(h, "%s", err);
    } else if (mon && !hmp_flag(h, 'd')) {
        mon->waits = true;
        migrate_when_done(h->m, done, mon);
    } else if (!hmp_flag(h, 'd')) {
        hmp_say(h, "it goes on by itself: 'info migrate' tells how far it is\n");
    }
}

void hmp_getfd(struct hmp *h)
{
    char err[200];

    if (!action_getfd(h->m, h->m->monitors ? h->m->monitors->asks : NULL, h->arg[0].s, err, sizeof(err)))
        hmp_fail(h, "%s", err);
}

void hmp_closefd(struct hmp *h)
{
    char err[200];

    if (!action_closefd(h->m, h->arg[0].s, err, sizeof(err)))
        hmp_fail(h, "%s", err);
}

void hmp_migrate_cancel(struct hmp *h)
{
    migrate_cancel(h->m);
}

void hmp_migrate_incoming(struct hmp *h)
{
    char err[512];

    if (!migrate_receive(h->m, h->arg[0].s, err, sizeof(err)))
        hmp_fail(h, "%s", err);
}

void hmp_migrate_set_parameter(struct hmp *h)
{
    struct migrate_limits *l = migrate_limits(h->m);
    const char *name = h->arg[0].s;
    uint64_t n;

    if (strcmp(name, "max-bandwidth") && strcmp(name, "downtime-limit"))
        hmp_fail(h, "'%.60s': there are max-bandwidth and downtime-limit", name);
    else if (!size_parse(h->arg[1].s, 0, &n) || (*name == 'd' && n > MIGRATE_DOWNTIME_MAX))
        hmp_fail(h, "'%.60s': %s", h->arg[1].s, *name == 'd' ? "the machine may stand still for 0 to 2000000 ms" :
                 "use a number of bytes a second, or one with suffix K, M or G; 0: no limit");
    else if (*name == 'd')
        l->downtime = (unsigned)n;
    else
        l->bandwidth = n;
}

void hmp_announce_self(struct hmp *h)
{
    migrate_announce(h->m);
}

#define KIB(n) ((n) >> 10)

void info_migrate(struct hmp *h)
{
    struct migrate_status s;

    migrate_query(h->m, &s);
    hmp_say(h, "Migration status: %s%s%s%s\n", migrate_state_name(s.state), s.error ? " (" : "", s.error ? s.error : "",
            s.error ? ")" : "");
    if (s.state == MIGRATE_NONE)
        return;
    hmp_say(h, "total time: %" PRIu64 " ms\n", s.total_ms);
    if (s.incoming)
        return;
    hmp_say(h, s.state == MIGRATE_COMPLETED ? "downtime: %" PRIu64 " ms\n" : "expected downtime: %" PRIu64 " ms\n",
            s.downtime_ms);
    hmp_say(h, "setup: %" PRIu64 " ms\n", s.setup_ms);
    hmp_say(h, "transferred ram: %" PRIu64 " kbytes\nthroughput: %.2f mbps\n", KIB(s.sent), s.mbps);
    hmp_say(h, "remaining ram: %" PRIu64 " kbytes\ntotal ram: %" PRIu64 " kbytes\n", KIB(s.left), KIB(s.ram));
    hmp_say(h, "duplicate: %" PRIu64 " pages\nnormal: %" PRIu64 " pages\n", s.zero_pages, s.pages - s.zero_pages);
    hmp_say(h, "dirty sync count: %" PRIu64 "\n", s.passes);
    if (s.dirty_rate)
        hmp_say(h, "dirty pages rate: %" PRIu64 " pages\n", s.dirty_rate);
}

void info_migrate_parameters(struct hmp *h)
{
    const struct migrate_limits *l = migrate_limits(h->m);

    hmp_say(h, "max-bandwidth: %" PRIu64 " bytes/second%s\n", l->bandwidth, l->bandwidth ? "" : " (no limit)");
    hmp_say(h, "downtime-limit: %u ms\n", l->downtime);
}
