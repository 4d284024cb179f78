/* qmp_migrate.c - QMP: migration, as QEMU's schema has it. */
#include <string.h>

#include "debug/migrate.h"
#include "debug/qmp_int.h"

void qmp_migrate(struct qmp_call *q)
{
    char err[512];

    if (qmp_boolean(q, "resume", false))
        qmp_fail(q, "There is nothing to resume: a migration that failed begins anew");
    else if (qmp_boolean(q, "inc", false))
        qmp_fail(q, "Parameter 'inc' is not there: 'blk' takes all of the disks along, and without it both sides share them");
    else if (!migrate_start(q->m, qmp_string(q, "uri"), qmp_boolean(q, "blk", false), err, sizeof(err)))
        qmp_fail(q, "%s", err);
}

void qmp_migrate_cancel(struct qmp_call *q)
{
    migrate_cancel(q->m);
}

void qmp_migrate_incoming(struct qmp_call *q)
{
    char err[512];

    if (!migrate_receive(q->m, qmp_string(q, "uri"), err, sizeof(err)))
        qmp_fail(q, "%s", err);
}

static json_t *ram(const struct migrate_status *s)
{
    uint64_t normal = s->pages - s->zero_pages;

#define I(x) ((json_int_t)(x))
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:I, s:I, s:I, s:I, s:I, s:I}",
                     "transferred", I(s->sent), "remaining", I(s->left), "total", I(s->ram), "duplicate", I(s->zero_pages),
                     "skipped", I(0), "normal", I(normal), "normal-bytes", I(normal * 4096),
                     "dirty-pages-rate", I(s->dirty_rate), "mbps", s->mbps, "dirty-sync-count", I(s->passes),
                     "page-size", I(4096), "multifd-bytes", I(0), "pages-per-second",
                     I(s->total_ms ? s->pages * 1000 / s->total_ms : 0), "postcopy-requests", I(0), "precopy-bytes", I(s->sent));
#undef I
}

void qmp_query_migrate(struct qmp_call *q)
{
    struct migrate_status s;

    migrate_query(q->m, &s);
    q->ret = json_object();
    if (s.state == MIGRATE_NONE)
        return;
    json_object_set_new(q->ret, "status", json_string(migrate_state_name(s.state)));
    if (s.error)
        json_object_set_new(q->ret, "error-desc", json_string(s.error));
    if (s.incoming)
        return;
    json_object_set_new(q->ret, "total-time", json_integer((json_int_t)s.total_ms));
    json_object_set_new(q->ret, s.state == MIGRATE_COMPLETED ? "downtime" : "expected-downtime",
                        json_integer((json_int_t)s.downtime_ms));
    json_object_set_new(q->ret, "setup-time", json_integer((json_int_t)s.setup_ms));
    json_object_set_new(q->ret, "ram", ram(&s));
}

void qmp_migrate_set_parameters(struct qmp_call *q)
{
    struct migrate_limits *l = migrate_limits(q->m);
    int64_t bandwidth = qmp_integer(q, "max-bandwidth", (int64_t)l->bandwidth);
    int64_t downtime = qmp_integer(q, "downtime-limit", l->downtime);

    if (bandwidth < 0)
        qmp_fail(q, "Parameter 'max-bandwidth' expects bytes a second, 0 for no limit");
    else if (downtime < 0 || downtime > MIGRATE_DOWNTIME_MAX)
        qmp_fail(q, "Parameter 'downtime-limit' expects 0 to 2000000 milliseconds");
    if (q->error[0])
        return;
    l->bandwidth = (uint64_t)bandwidth;
    l->downtime = (unsigned)downtime;
}

void qmp_query_migrate_parameters(struct qmp_call *q)
{
    const struct migrate_limits *l = migrate_limits(q->m);

    q->ret = json_pack("{s:I, s:I}", "max-bandwidth", (json_int_t)l->bandwidth, "downtime-limit", (json_int_t)l->downtime);
}

/* Clients switch on what they know and hope for; of these there is one here. */
void qmp_migrate_set_capabilities(struct qmp_call *q)
{
    bool events = migrate_limits(q->m)->events;
    json_t *one;
    size_t i;

    json_array_foreach(json_object_get(q->args, "capabilities"), i, one) {
        const char *name = json_string_value(json_object_get(one, "capability"));
        json_t *state = json_object_get(one, "state");

        if (!name || !json_is_boolean(state)) {
            qmp_fail(q, "Parameter 'capabilities' expects objects of 'capability' and 'state'");
            return;
        }
        if (strcmp(name, "events") == 0) {
            events = json_is_true(state);
        } else if (json_is_true(state)) {
            qmp_fail(q, "There is no capability '%.60s' here: 'events' is all", name);
            return;
        }
    }
    migrate_limits(q->m)->events = events;
}

void qmp_query_migrate_capabilities(struct qmp_call *q)
{
    q->ret = json_pack("[{s:s, s:b}]", "capability", "events", "state", migrate_limits(q->m)->events);
}
