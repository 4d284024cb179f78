/*
 * monitor.c - the streams of monitors: what comes in goes to a line editor or to QMP, what goes out is kept
 * until the stream takes it.
 *
 * A client that does not read costs a bounded amount: while MONITOR_PENDING bytes wait for it no more of its
 * commands are carried out, so its own stream fills up; a command's answer is bounded (MONITOR_ANSWER in
 * lines); events, which come by themselves, are left out for it, and how many is logged. A client that goes
 * is forgotten with all that was meant for it.
 */
#include "debug/monitor_int.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"

/* ---- out ---- */

static void flush(struct mon *mon)
{
    size_t done = 0;

    while (done < mon->out_len) {
        unsigned n = chardev_write(mon->chr, (const uint8_t *)mon->out + done,
                                   mon->out_len - done < 65536 ? (unsigned)(mon->out_len - done) : 65536);

        if (!n)
            break;
        done += n;
    }
    if (!done)
        return;                 /* perhaps there is no buffer yet */
    memmove(mon->out, mon->out + done, mon->out_len - done);
    mon->out_len -= done;
}

bool monitor_put(struct mon *mon, const char *s, size_t n)
{
    if (!mon->connected)
        return true;
    if (mon->out_len + n > MONITOR_PENDING + MONITOR_ANSWER)
        return false;
    if (mon->out_len + n > mon->out_size) {
        mon->out_size = 2 * (mon->out_len + n);
        mon->out = realloc(mon->out, mon->out_size);
        if (!mon->out)
            die(EXIT_CODE_HOST, "out of memory for a monitor");
    }
    memcpy(mon->out + mon->out_len, s, n);
    mon->out_len += n;
    flush(mon);
    return true;
}

bool monitor_full(const struct mon *mon)
{
    return mon->out_len >= MONITOR_PENDING;
}

/* ---- in ---- */

static unsigned room(void *dev)
{
    struct mon *mon = dev;

    return mon->busy || mon->waits || monitor_full(mon) ? 0 : 1;       /* a byte may be a whole command more */
}

static void receive(void *dev, const uint8_t *buf, unsigned n)
{
    struct mon *mon = dev;

    mon->busy = true;
    if (mon->line)
        line_input(mon, buf, n);
    else
        qmp_input(mon, buf, n);
    mon->busy = false;
}

static void writable(void *dev)
{
    struct mon *mon = dev;
    bool full = monitor_full(mon);

    flush(mon);
    if (full && !monitor_full(mon))
        chardev_accept(mon->chr);
}

static void opened(void *dev, bool open)
{
    struct mon *mon = dev;

    if (mon->connected == open)
        return;
    mon->out_len = 0;
    mon->lost = 0;
    mon->waits = false;
    mon->connected = true;
    if (mon->line)
        line_open(mon, open);
    else
        qmp_open(mon, open);
    mon->connected = open;
}

/* ---- life ---- */

static const struct chardev_user user = { room, receive, NULL, writable, opened, .outside = true };

void monitor_add(struct machine *m, struct chardev *chr, enum monitor_mode mode)
{
    struct mon *mon = calloc(1, sizeof(*mon)), **last = &m->monitors->first;

    if (!mon)
        die(EXIT_CODE_HOST, "out of memory for a monitor");
    mon->all = m->monitors;
    mon->chr = chr;
    mon->mode = mode;
    if (mode == MONITOR_TEXT)
        line_open(mon, false);
    else
        qmp_open(mon, false);
    while (*last)
        last = &(*last)->next;
    *last = mon;
    chardev_connect(chr, &user, mon);
}

void monitors_new(struct machine *m)
{
    struct monitors *all = calloc(1, sizeof(*all));

    if (!all)
        die(EXIT_CODE_HOST, "out of memory for the monitors");
    all->m = m;
    all->last = control_state(m->control);
    all->watcher = (struct control_watcher){ qmp_state, all, NULL };
    m->monitors = all;
    m->news = qmp_news;
    action_keys_init(all);
    qmp_events_init(all);
    control_watch(m->control, &all->watcher);
}

void monitors_reason(struct machine *m, const char *reason)
{
    m->monitors->quit_reason = reason;
}

void monitors_free(struct machine *m)
{
    struct monitors *all = m->monitors;

    m->news = NULL;
    m->monitors = NULL;
    control_unwatch(m->control, &all->watcher);
    timer_cancel(&all->keys.timer);
    for (struct mon *mon = all->first, *next; mon; mon = next) {
        next = mon->next;
        flush(mon);
        if (mon->chr)
            mon->chr->user = NULL;
        line_free(mon);
        qmp_free(mon);
        free(mon->out);
        free(mon);
    }
    qmp_events_free(all);
    qmp_jobs_free(all);
    free(all);
}
