/*
 * hmp_run.c - running, keys, mouse, screen, media, networks and the log in the human monitor.
 */
#include "debug/hmp_int.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/nearest.h"
#include "base/size.h"
#include "base/trace.h"
#include "debug/action.h"
#include "debug/control.h"
#include "debug/gdb.h"
#include "debug/migrate.h"
#include "debug/profile.h"
#include "hw/input_if.h"

/* ---- running ---- */

void hmp_stop(struct hmp *h)
{
    if (control_state(h->m->control) == RUN_RUNNING)
        control_stop(h->m->control, RUN_PAUSED);
}

void hmp_cont(struct hmp *h)
{
    char err[512];

    if (!migrate_cont(h->m, err, sizeof(err)))
        hmp_fail(h, "%s", err);
}

void hmp_system_reset(struct hmp *h)
{
    action_reset(h->m);
}

void hmp_system_powerdown(struct hmp *h)
{
    action_powerdown(h->m);
}

void hmp_quit(struct hmp *h)
{
    action_quit(h->m);
}

void hmp_watchdog_action(struct hmp *h)
{
    char err[512];

    if (!action_on_event(h->m, "watchdog", h->arg[0].s, err, sizeof(err)))
        hmp_fail(h, "%s", err);
}

void hmp_gdbserver(struct hmp *h)
{
    const char *where = h->arg[0].s ? h->arg[0].s : "tcp::1234";
    bool none = strcmp(where, "none") == 0;
    char err[512];

    if (!gdb_server(h->m, none ? NULL : where, err, sizeof(err)))
        hmp_fail(h, "%s", err);
    else if (none)
        hmp_say(h, "no debugger is listened for now\n");
    else
        hmp_say(h, "a debugger can connect to %s\n", where);
}

void hmp_nmi(struct hmp *h)
{
    action_nmi(h->m);
}

/* ---- media ---- */

#define DO(h, call)                                     \
    do {                                                \
        char err[512];                                  \
        if (!(call))                                    \
            hmp_fail(h, "%s", err);                     \
    } while (0)

void hmp_eject(struct hmp *h)
{
    DO(h, action_eject(h->m, h->arg[0].s, hmp_flag(h, 'f'), err, sizeof(err)));
}

/* "change vnc password WORD" */
static void change_password(struct hmp *h)
{
    if (strcmp(h->arg[1].s, "password") && strcmp(h->arg[1].s, "passwd"))
        hmp_fail(h, "'%s': the VNC server stays where it is: use change vnc password PASSWORD", h->arg[1].s);
    else if (!h->arg[2].s)
        hmp_fail(h, "which one? use change vnc password PASSWORD");
    else
        DO(h, action_vnc_password(h->m, h->arg[2].s, err, sizeof(err)));
}

void hmp_change(struct hmp *h)
{
    static const struct { const char *name; enum outside_medium how; } modes[] = {
        { "retain", MEDIUM_RETAIN }, { "read-only", MEDIUM_READ_ONLY }, { "read-write", MEDIUM_READ_WRITE }
    };
    unsigned i = 0;

    if (strcmp(h->arg[0].s, "vnc") == 0) {
        change_password(h);
        return;
    }
    while (h->arg[3].s && i < 3 && strcmp(modes[i].name, h->arg[3].s))
        i++;
    if (i == 3)
        hmp_fail(h, "'%s': use retain, read-only or read-write", h->arg[3].s);
    else
        DO(h,
           action_change(h->m, h->arg[0].s, h->arg[1].s, h->arg[2].s, modes[i].how, false, err, sizeof(err)));
}

/* The first argument is where a PCI device would be plugged, of QEMU before there was device_add. */
void hmp_drive_add(struct hmp *h)
{
    DO(h, action_drive_add(h->m, h->arg[1].s, false, err, sizeof(err)));
}

void hmp_drive_del(struct hmp *h)
{
    DO(h, action_drive_del(h->m, h->arg[0].s, err, sizeof(err)));
}

void hmp_object_add(struct hmp *h)
{
    DO(h, action_object_add(h->m, h->arg[0].s, err, sizeof(err)));
}

void hmp_object_del(struct hmp *h)
{
    DO(h, action_object_del(h->m, h->arg[0].s, err, sizeof(err)));
}

void hmp_block_resize(struct hmp *h)
{
    uint64_t size;

    if (!size_parse(h->arg[1].s, 20, &size))
        hmp_fail(h, "'%s' is no size: use a number of MiB, or one with suffix K, M, G or T", h->arg[1].s);
    else
        DO(h, action_resize(h->m, h->arg[0].s, size, err, sizeof(err)));
}

void hmp_balloon(struct hmp *h)
{
    if (h->arg[0].n >> 40)
        hmp_fail(h, "that is no number of MiB");
    else
        DO(h, action_balloon(h->m, h->arg[0].n << 20, err, sizeof(err)));
}

void hmp_boot_set(struct hmp *h)
{
    DO(h, action_boot_set(h->m, h->arg[0].s, err, sizeof(err)));
}

/* ---- keyboard, mouse, screen ---- */

void hmp_mouse_set(struct hmp *h)
{
    if (h->arg[0].n > UINT32_MAX || !input_choose(h->m->cfg.input, (unsigned)h->arg[0].n))
        hmp_fail(h, "there is no pointer %" PRIu64 ": 'info mice' lists them", h->arg[0].n);
}

void hmp_sendkey(struct hmp *h)
{
    unsigned keys[ACTION_KEYS], n = 0;
    const char *s = h->arg[0].s;

    if (h->arg[1].s && (!h->arg[1].n || h->arg[1].n > 60000)) {
        hmp_fail(h, "a key is held 1 to 60000 ms");
        return;
    }
    for (;; s++) {
        size_t len = strcspn(s, "-");
        unsigned key = action_key(s, len);

        if (!key || n == ACTION_KEYS) {
            hmp_fail(h,
                     key ? "'%.*s': more than 16 keys" :
                           "there is no key '%.*s': names are those of QMP (a, ret, spc, "
                           "f1, ctrl, kp_5), or evdev numbers (0x1e)",
                     (int)len, s);
            return;
        }
        keys[n++] = key;
        s += len;
        if (!*s)
            break;
    }
    DO(h, action_keys(h->m, keys, n, (unsigned)h->arg[1].n, err, sizeof(err)));
}

static int step(uint64_t n)
{
    int64_t v = (int64_t)n;

    return v < -10000 ? -10000 : v > 10000 ? 10000 : (int)v;
}

void hmp_mouse_move(struct hmp *h)
{
    action_mouse(h->m, step(h->arg[0].n), step(h->arg[1].n), step(h->arg[2].n));
}

void hmp_mouse_button(struct hmp *h)
{
    action_buttons(h->m, (unsigned)h->arg[0].n);
}

void hmp_screendump(struct hmp *h)
{
    static const char *const formats[] = { "png", "ppm", "txt" };
    const char *line = h->arg[0].s, *format = NULL;
    size_t n = strlen(line);
    char file[HMP_LINE + 1];

    for (unsigned i = 0; i < 3; i++)
        if (n > 7 && strncmp(line + n - 7, " -f ", 4) == 0 && strcmp(line + n - 3, formats[i]) == 0)
            format = formats[i];
    snprintf(file, sizeof(file), "%.*s", (int)(format ? n - 7 : n), line);
    DO(h, action_screendump(h->m, file, format, err, sizeof(err)));
}

/* The other protocol that QEMU has, SPICE, is none of ours. */
static bool is_vnc(struct hmp *h)
{
    if (strcmp(h->arg[0].s, "vnc") == 0)
        return true;
    hmp_fail(h, "'%s': use vnc", h->arg[0].s);
    return false;
}

void hmp_set_password(struct hmp *h)
{
    if (h->arg[2].s && strcmp(h->arg[2].s, "keep"))
        hmp_fail(h, "'%s': clients that are connected stay: use keep", h->arg[2].s);
    else if (is_vnc(h))
        DO(h, action_vnc_password(h->m, h->arg[1].s, err, sizeof(err)));
}

void hmp_expire_password(struct hmp *h)
{
    if (is_vnc(h))
        DO(h, action_vnc_expire(h->m, h->arg[1].s, err, sizeof(err)));
}

/* ---- network ---- */

void hmp_set_link(struct hmp *h)
{
    bool on = strcmp(h->arg[1].s, "on") == 0;

    if (!on && strcmp(h->arg[1].s, "off"))
        hmp_fail(h, "'%s': use on or off", h->arg[1].s);
    else
        DO(h, action_link(h->m, h->arg[0].s, on, err, sizeof(err)));
}

static void hostfwd(struct hmp *h, bool add)
{
    bool named = h->arg[1].s;

    DO(h,
       action_hostfwd(h->m, named ? h->arg[0].s : NULL, add, named ? h->arg[1].s : h->arg[0].s, err,
                      sizeof(err)));
}

void hmp_hostfwd_add(struct hmp *h)
{
    hostfwd(h, true);
}

void hmp_hostfwd_remove(struct hmp *h)
{
    hostfwd(h, false);
}

/* ---- profiler ---- */

void hmp_profile(struct hmp *h)
{
    const char *what = h->arg[0].s, *file = h->arg[1].s;
    struct profile *p = h->m->profile;
    uint64_t hz = h->arg[2].s ? h->arg[2].n : PROFILE_HZ;

    if (!p)
        hmp_fail(h, "there is no profiler here");
    else if (strcmp(what, "start") == 0 && !file)
        hmp_fail(h, "file is missing: profile start FILE [HZ]");
    else if (strcmp(what, "start") == 0 && (!hz || hz > PROFILE_HZ_MAX))
        hmp_fail(h, "samples are taken 1 to %u times a second", PROFILE_HZ_MAX);
    else if (strcmp(what, "start") == 0)
        DO(h, profile_files(p, file, err, sizeof(err)) && profile_start(p, (unsigned)hz, UNWIND_AUTO, err, sizeof(err)));
    else if (strcmp(what, "stop") == 0)
        DO(h, profile_stop(p, err, sizeof(err)));
    else if (strcmp(what, "info") == 0)
        profile_info(p, h->out);
    else
        hmp_fail(h, "'%.60s': use profile start FILE [HZ], profile stop or profile info", what);
}

/* ---- log ---- */

void hmp_log(struct hmp *h)
{
    char bad[64];
    uint64_t before = log_mask;
    char *text = NULL;
    size_t len = 0;
    FILE *f;

    if (strcmp(h->arg[0].s, "none") == 0) {
        log_mask = 0;
        return;
    }
    if (strcmp(h->arg[0].s, "help")) {
        log_mask = 0;
        if (log_parse(h->arg[0].s, bad, sizeof(bad)))
            return;
        log_mask = before;
        hmp_fail(h, "unknown log item '%s': 'log help' lists what there is", bad);
        return;
    }
    f = open_memstream(&text, &len);
    if (!f)
        return;
    log_help(f);
    fclose(f);
    h->out->put(h->out->arg, text, len);
    free(text);
}

static void no_event(struct hmp *h, const char *pattern)
{
    struct nearest near;

    nearest_init(&near, pattern, "");
    trace_names(&near);
    if (near.list[0])
        hmp_fail(h, "no event '%.60s': did you mean %s?", pattern, near.list);
    else
        hmp_fail(h, "no event '%.60s': 'info trace-events' lists what there is", pattern);
}

void hmp_trace_event(struct hmp *h)
{
    const char *state = h->arg[1].s;
    bool on = strcmp(state, "on") == 0;

    if (!on && strcmp(state, "off"))
        hmp_fail(h, "'%.60s': use on or off", state);
    else if (!trace_switch(h->arg[0].s, on))
        no_event(h, h->arg[0].s);
}

void info_trace_events(struct hmp *h)
{
    const char *pattern = h->arg[0].s ? h->arg[0].s : "*";

    if (!trace_means(pattern))
        no_event(h, pattern);
    for (unsigned e = 0; e < TRACE_COUNT; e++)
        if (trace_matches(e, pattern))
            hmp_say(h, "%s : state %d\n", trace_name(e), trace_on(e));
}

void hmp_logfile(struct hmp *h)
{
    FILE *f = fopen(h->arg[0].s, "we");

    if (!f)
        hmp_fail(h, "cannot write %s: %s", h->arg[0].s, strerror(errno));
    else
        log_set_file(f);
}
