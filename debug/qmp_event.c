/*
 * qmp_event.c - what QMP clients are told by itself. It comes from any thread that holds the device lock.
 *
 * Events that a guest can bring about as often as it likes are told once a second at most, and then the last
 * one.
 */
#include "debug/qmp_int.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "debug/outside.h"
#include "host/evloop.h"

static const struct { const char *name; unsigned ms; } events[] = {
#define CMD(id, name, when, args)
#define EVENT(id, name, ms) { name, ms },
#include "debug/qmp.def"
#undef CMD
#undef EVENT
};

/* Of an event that is limited: when it was told last, and what waits to be. */
struct limit {
    struct machine *m;
    enum qmp_event event;
    uint64_t last;
    json_t *waits;
    struct evdelay delay;
};

struct qmp_limits {
    struct limit of[QMP_EVENTS];
};

const char *qmp_event_name(unsigned n)
{
    return n < QMP_EVENTS ? events[n].name : NULL;
}

static void tell(struct machine *m, enum qmp_event event, json_t *data)
{
    struct timespec now;
    json_t *j;

    clock_gettime(CLOCK_REALTIME, &now);
    j = json_pack("{s:{s:I, s:I}, s:s}", "timestamp", "seconds", (json_int_t)now.tv_sec, "microseconds",
                  (json_int_t)(now.tv_nsec / 1000), "event", events[event].name);
    if (data)
        json_object_set_new(j, "data", data);
    for (struct mon *mon = m->monitors->first; mon; mon = mon->next)
        if (qmp_ready(mon))
            qmp_send(mon, json_incref(j), true);
    json_decref(j);
}

static uint64_t mono_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void later(void *arg)
{
    struct limit *l = arg;
    json_t *data = l->waits;

    l->waits = NULL;
    l->last = mono_ns();
    tell(l->m, l->event, data);
}

void qmp_tell(struct machine *m, enum qmp_event event, json_t *data)
{
    struct limit *l = &m->monitors->limits->of[event];
    uint64_t now = mono_ns(), gap = (uint64_t)events[event].ms * 1000000;

    if (!l->waits && (!l->last || now - l->last >= gap)) {
        l->last = now;
        tell(m, event, data);
        return;
    }
    json_decref(l->waits);
    l->waits = data;
    evloop_delay(m->loop, &l->delay, gap);
}

void qmp_events_init(struct monitors *all)
{
    all->limits = calloc(1, sizeof(*all->limits));
    if (!all->limits)
        die(EXIT_CODE_HOST, "out of memory for QMP");
    for (unsigned i = 0; i < QMP_EVENTS; i++) {
        struct limit *l = &all->limits->of[i];

        *l = (struct limit){ .m = all->m, .event = i, .delay = { 0, later, l, NULL } };
    }
}

void qmp_events_free(struct monitors *all)
{
    for (unsigned i = 0; i < QMP_EVENTS; i++) {
        evloop_delay_cancel(all->m->loop, &all->limits->of[i].delay);
        json_decref(all->limits->of[i].waits);
    }
    free(all->limits);
}

/* ---- what happens ---- */

static void ended(struct machine *m, const char *reason, bool guest)
{
    qmp_tell(m, QMP_SHUTDOWN, json_pack("{s:b, s:s}", "guest", guest, "reason", reason));
}

static void stopping(struct machine *m, enum stop_reason why)
{
    bool user = m->monitors->reset_by_user;
    const char *reset = user ? "host-qmp-system-reset" : "guest-reset";

    switch (why) {
    case STOP_RESET: case STOP_TRIPLE:
        if (m->cfg.no_reboot)
            ended(m, reset, !user);
        else
            qmp_tell(m, QMP_RESET, json_pack("{s:b, s:s}", "guest", !user, "reason", reset));
        break;
    case STOP_POWEROFF: case STOP_DEBUG_EXIT:
        ended(m, "guest-shutdown", true);
        if (why == STOP_POWEROFF && m->cfg.no_shutdown)
            control_request(m->control, RUN_SHUTDOWN);
        break;
    case STOP_PANIC:
        ended(m, "guest-panic", true);
        break;
    default:
        ended(m, m->monitors->quit_reason ? m->monitors->quit_reason : "host-ui", false);
        break;
    }
}

/* What clients call a drive, "" if nothing, and the device that has it. */
static const char *names(struct machine *m, const char *drive, char *device, size_t len)
{
    char err[200];
    struct outside_drive d;

    snprintf(device, len, "%s", drive);
    if (!outside_find_drive(m, drive, &d, err, sizeof(err)))
        return drive;
    if (!*d.place)
        outside_device(m, &d, device, len);
    return d.node ? "" : drive;
}

static void tray(struct machine *m, const char *drive, bool open)
{
    char device[200];
    const char *name = names(m, drive, device, sizeof(device));

    qmp_tell(m, QMP_TRAY, json_pack("{s:s, s:s, s:b}", "device", name, "id", device, "tray-open", open));
}

static void io_error(struct machine *m, const char *drive, const char *action, int64_t n)
{
    int error = (int)(n < 0 ? -n : n);
    char device[200];

    qmp_tell(m, QMP_IO_ERROR,
             json_pack("{s:s, s:s, s:s, s:b, s:s, s:s}", "device", names(m, drive, device, sizeof(device)),
                       "operation", n < 0 ? "read" : "write", "action",
                       action, "nospace", error == ENOSPC, "node-name", drive, "reason", strerror(error)));
}

void qmp_news(struct machine *m, enum machine_news what, const char *who, int64_t n)
{
    static const char *const watchdog[] = {
        [ACTION_RESET] = "reset", [ACTION_POWEROFF] = "poweroff", [ACTION_POWER_BUTTON] = "shutdown",
        [ACTION_NMI] = "inject-nmi", [ACTION_NONE] = "none", [ACTION_FAIL] = "poweroff",
        [ACTION_PAUSE] = "pause"
    };

    switch (what) {
    case NEWS_STOP:
        stopping(m, (enum stop_reason)n);
        break;
    case NEWS_POWER_BUTTON:
        qmp_tell(m, QMP_POWERDOWN, NULL);
        break;
    case NEWS_WATCHDOG:
        qmp_tell(m, QMP_WATCHDOG, json_pack("{s:s}", "action", watchdog[m->cfg.on_watchdog]));
        break;
    case NEWS_PANIC:
        qmp_tell(m, QMP_PANICKED,
                 json_pack("{s:s}", "action", m->cfg.on_panic == ACTION_NONE  ? "run" :
                                              m->cfg.on_panic == ACTION_PAUSE ? "pause" :
                                                                                "poweroff"));
        break;
    case NEWS_CRASH_KERNEL:
        qmp_tell(m, QMP_CRASHLOADED, json_pack("{s:s}", "action", "run"));
        break;
    case NEWS_RTC:
        qmp_tell(m, QMP_RTC, json_pack("{s:I, s:s}", "offset", (json_int_t)n, "qom-path", "/machine/rtc"));
        break;
    case NEWS_BALLOON:
        qmp_tell(m, QMP_BALLOON, json_pack("{s:I}", "actual", (json_int_t)n));
        break;
    case NEWS_TRAY_OPEN: case NEWS_TRAY_CLOSED:
        tray(m, who, what == NEWS_TRAY_OPEN);
        break;
    case NEWS_DISK_STOP:
        io_error(m, who, "stop", n);
        break;
    case NEWS_DISK_REPORT:
        io_error(m, who, "report", n);
        break;
    case NEWS_DISK_IGNORE:
        io_error(m, who, "ignore", n);
        break;
    }
}

/* Clients hear that the machine stands, and that it goes, not why: they ask (query-status). */
void qmp_state(void *monitors, enum run_state now)
{
    struct monitors *all = monitors;
    bool ran = all->last == RUN_RUNNING;

    all->last = now;
    if (ran && now != RUN_RUNNING)
        qmp_tell(all->m, QMP_STOP, NULL);
    else if (!ran && now == RUN_RUNNING)
        qmp_tell(all->m, QMP_RESUME, NULL);
}
