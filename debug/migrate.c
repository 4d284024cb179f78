/*
 * migrate.c - see migrate.h: what is common to both directions, and what may be done meanwhile.
 */
#ifndef _GNU_SOURCE             /* asprintf */
#define _GNU_SOURCE
#endif
#include "debug/migrate_int.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fds.h"
#include "base/log.h"
#include "debug/control.h"
#include "debug/outside.h"
#include "debug/qmp_int.h"
#include "host/evloop.h"

#define DOWNTIME_MS 300

const char *migrate_state_name(enum migrate_state s)
{
    static const char *const names[] = {
#define X(name, text) text,
        MIGRATE_STATES(X)
#undef X
    };
    return names[s];
}

void migrate_new(struct machine *m)
{
    m->migration = calloc(1, sizeof(*m->migration));
    if (!m->migration)
        die(EXIT_CODE_HOST, "out of memory for migration");
    m->migration->m = m;
    m->migration->limits.downtime = DOWNTIME_MS;
    m->migration->start = !m->cfg.paused;
}

void migrate_free(struct machine *m)
{
    if (!m->migration)
        return;
    outgoing_free(m->migration);
    incoming_free(m->migration);
    free(m->migration);
    m->migration = NULL;
}

void migrate_enter(struct migration *g, enum migrate_state s)
{
    g->status.state = s;
    if (g->limits.events && g->m->monitors)
        qmp_tell(g->m, QMP_MIGRATION, json_pack("{s:s}", "status", migrate_state_name(s)));
}

void migrate_tell(struct migration *g, const char *error)
{
    void (*done)(void *) = g->done;

    bool cancelled = error && g->status.state == MIGRATE_CANCELLING;

    if (error)
        snprintf(g->error, sizeof(g->error), "%s", error);
    g->status.error = error && !cancelled ? g->error : NULL;
    migrate_enter(g, !error ? MIGRATE_COMPLETED : cancelled ? MIGRATE_CANCELLED : MIGRATE_FAILED);
    g->done = NULL;
    if (done)
        done(g->done_arg);
}

char *migrate_uri(struct machine *m, const char *uri, int *given)
{
    char *text = NULL;

    *given = strncmp(uri, "fd:", 3) == 0 && !isdigit((unsigned char)uri[3]) ? fds_take(m->fds, uri + 3) : -1;
    if ((*given < 0 ? asprintf(&text, "%s", uri) : asprintf(&text, "fd:%d", *given)) < 0)
        die(EXIT_CODE_HOST, "out of memory for migration");
    return text;
}

bool migrate_active(const struct machine *m)
{
    return m->migration && (m->migration->out || m->migration->in);
}

struct migrate_limits *migrate_limits(struct machine *m)
{
    return &m->migration->limits;
}

void migrate_when_done(struct machine *m, void (*done)(void *arg), void *arg)
{
    m->migration->done = done;
    m->migration->done_arg = arg;
}

bool migrate_gone(const struct machine *m)
{
    return m->migration && m->migration->gone;
}

/* Debuggers and resets give a machine that stands other reasons to: they do not count here. */
bool migrate_cont(struct machine *m, char *err, size_t len)
{
    struct migration *g = m->migration;

    if (control_state(m->control) == RUN_SHUTDOWN) {
        snprintf(err, len, "the guest has switched the machine off: use system_reset first");
        return false;
    }
    if (g && outgoing_stopped(g)) {
        snprintf(err, len, "the rest of the machine is being sent: wait, or use migrate_cancel");
        return false;
    }
    if (g && g->in) {                   /* when it is there */
        g->start = true;
        control_stop(m->control, RUN_INMIGRATE);
        return true;
    }
    if (g && g->gone) {
        if (m->outside && !m->outside->disks(m, true, err, len))
            return false;
        g->gone = false;
    }
    control_cont(m->control);
    return true;
}

void migrate_announce(struct machine *m)
{
    struct outside_net n;

    for (unsigned i = 0; m->outside && m->outside->net(m, i, &n); i++)
        m->outside->announce(m, n.net);
}
