/*
 * action.c - see action.h.
 *
 * The order in which media are changed is that of a hand at a drive: the tray is opened, where the guest lets
 * it, the medium is exchanged, the tray is closed. An image that cannot be opened changes nothing.
 */
#include "debug/action.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fds.h"
#include "debug/control.h"
#include "debug/migrate.h"
#include "debug/monitor_int.h"
#include "host/screen.h"
#include "host/screendump.h"
#include "hw/boards.h"
#include "hw/clock.h"
#include "hw/input_if.h"
#include "hw/pcfirm.h"
#include "hw/virtio/balloon.h"

/* ---- the machine ---- */

void action_reset(struct machine *m)
{
    m->monitors->reset_by_user = true;
    if (m->stop == STOP_POWEROFF && m->cfg.no_shutdown) {
        /* Off, and kept: on again. */
        machine_news(m, NEWS_STOP, NULL, STOP_RESET);
        __atomic_store_n(&m->stop, STOP_RESET, __ATOMIC_SEQ_CST);
        cpu_lines.kick(m);
    } else {
        machine_request_stop(m, STOP_RESET, 0);
    }
    m->monitors->reset_by_user = false;
    if (m->control && control_state(m->control) != RUN_RUNNING && !migrate_active(m) && !migrate_gone(m))
        control_stop(m->control, RUN_PRELAUNCH);
}

void action_powerdown(struct machine *m)
{
    machine_power_button(m);
}

void action_quit(struct machine *m)
{
    m->monitors->quit_reason = "host-qmp-quit";
    machine_request_stop(m, STOP_QUIT, 0);
}

bool action_boot_set(struct machine *m, const char *order, char *err, size_t len)
{
    if (!m->boot_set) {
        snprintf(err, len, "machine %s has no firmware to tell", m->cfg.board->name);
    } else if (!*order || !pcfirm_order_known(order)) {
        snprintf(err, len, "'%.60s': use each of a (floppy), c (disk), d (CD) and n (network) at most once", order);
    } else {
        snprintf(m->cfg.firmware.set, sizeof(m->cfg.firmware.set), "%s", order);
        m->cfg.firmware.order = m->cfg.firmware.set;
        m->cfg.firmware.once = NULL;
        m->boot_set(m);
        return true;
    }
    return false;
}

void action_nmi(struct machine *m)
{
    for (unsigned i = 0; i < m->ncpu; i++)
        cpu_lines.nmi(m, i);
}

bool action_on_event(struct machine *m, const char *event, const char *what, char *err, size_t len)
{
    if (m->outside)
        return m->outside->action(m, event, what, err, len);
    snprintf(err, len, "this machine has no such events");
    return false;
}

/* ---- memory ---- */

bool action_read(struct machine *m, struct cpu *c, uint64_t addr, void *buf, unsigned len)
{
    uint8_t *to = buf;

    if (c)
        return mmu_debug_read(c, addr, buf, len);
    while (len) {
        uint64_t run = 0;
        const uint8_t *p = phys_host(m->phys, addr, false, &run);
        unsigned n = run < len ? (unsigned)run : len;

        if (!p || !n)
            return false;
        memcpy(to, p, n);
        to += n;
        addr += n;
        len -= n;
    }
    return true;
}

bool action_save(struct machine *m, struct cpu *c, uint64_t addr, uint64_t size, const char *file, char *err,
                 size_t len)
{
    const char *kind = c ? "linear" : "physical";
    uint8_t b[4096];
    FILE *f = NULL;
    bool ok = true;

    if (!size || size > (uint64_t)1 << 40) {
        snprintf(err, len, "the size must be 1 byte to 1 TiB");
        return false;
    }
    control_hold(m->control);
    while (size && ok) {
        unsigned n = sizeof(b) - (unsigned)(addr % sizeof(b));

        n = n < size ? n : (unsigned)size;
        ok = action_read(m, c, addr, b, n);
        if (!ok)
            snprintf(err, len, "cannot read memory at %s address 0x%llx", kind, (unsigned long long)addr);
        if (ok && !f)           /* not before it is clear that there is something to be written */
            f = fopen(file, "we");
        if (ok && (!f || fwrite(b, n, 1, f) != 1)) {
            snprintf(err, len, "cannot write %s: %s", file, strerror(errno));
            ok = false;
        }
        addr += n;
        size -= n;
    }
    if (f && fclose(f) && ok) {
        snprintf(err, len, "cannot write %s: %s", file, strerror(errno));
        ok = false;
    }
    control_release(m->control);
    return ok;
}

/* ---- descriptors ---- */

bool action_getfd(struct machine *m, struct mon *mon, const char *name, char *err, size_t len)
{
    int fd = mon ? chardev_take_fd(mon->chr) : -1;

    if (fd < 0) {
        snprintf(err, len, "No file descriptor supplied via SCM_RIGHTS");
    } else if (!*name || isdigit((unsigned char)*name)) {
        close(fd);
        fd = -1;
        snprintf(err, len, "Parameter 'fdname' expects a name not starting with a digit");
    } else {
        fds_put(m->fds, name, fd);
    }
    return fd >= 0;
}

bool action_closefd(struct machine *m, const char *name, char *err, size_t len)
{
    int fd = fds_take(m->fds, name);

    if (fd >= 0)
        close(fd);
    else
        snprintf(err, len, "File descriptor named '%.100s' not found", name);
    return fd >= 0;
}

/* ---- media ---- */

static bool removable(struct machine *m, const char *id, struct outside_drive *d, char *err, size_t len)
{
    if (!outside_find_drive(m, id, d, err, len))
        return false;
    if (d->removable)
        return true;
    snprintf(err, len, "Device '%s' is not removable: only media of CD-ROM and floppy drives can be changed",
             id);
    return false;
}

/* Open it, or find it open. */
static bool open_tray(const struct outside_drive *d, bool force, char *err, size_t len)
{
    const struct drive *x = d->drive;
    struct drive_tray t = { false, false };

    if (!x->user || !x->user->tray)
        return true;
    x->user->tray(x->dev, &t);
    if (t.open)
        return true;
    if (t.locked && !force) {
        if (x->user->ask)
            x->user->ask(x->dev);
        snprintf(
            err, len,
            "Device '%s' is locked and force was not specified: the guest has been asked to open the tray, "
            "wait for that and try again",
            x->id);
        return false;
    }
    if (x->user->move)
        x->user->move(x->dev, true);
    return true;
}

static void close_tray(const struct outside_drive *d)
{
    if (d->drive->user && d->drive->user->move)
        d->drive->user->move(d->drive->dev, false);
}

bool action_eject(struct machine *m, const char *id, bool force, char *err, size_t len)
{
    struct outside_drive d;

    if (!removable(m, id, &d, err, len) || !open_tray(&d, force, err, len))
        return false;
    m->outside->put(m, d.drive, NULL, NULL);
    return true;
}

bool action_change(struct machine *m, const char *id, const char *file, const char *format,
                   enum outside_medium how, bool force, char *err, size_t len)
{
    struct outside_drive d;
    struct disk *disk;

    if (!removable(m, id, &d, err, len))
        return false;
    disk = m->outside->open(m, d.drive, file, format, how, err, len);
    if (!disk)
        return false;
    if (!open_tray(&d, force, err, len)) {
        m->outside->close(m, disk);
        return false;
    }
    m->outside->put(m, d.drive, disk, file);
    close_tray(&d);
    return true;
}

bool action_tray(struct machine *m, const char *id, bool open, bool force, char *err, size_t len)
{
    struct outside_drive d;
    struct drive_tray t = { false, false };

    if (!removable(m, id, &d, err, len))
        return false;
    if (d.drive->user && d.drive->user->tray)
        d.drive->user->tray(d.drive->dev, &t);
    if (open && d.drive->user && !d.drive->user->move && !t.open) {
        snprintf(err, len, "Device '%s' does not have a tray that can be open with a medium in it: use eject",
                 id);
        return false;
    }
    if (open)
        return open_tray(&d, force, err, len);
    close_tray(&d);
    return true;
}

/* For the two that are steps of a change: the tray must be open, where there is one. */
static bool tray_is_open(const struct outside_drive *d, char *err, size_t len)
{
    struct drive_tray t = { true, false };

    if (d->drive->user && d->drive->user->move)
        d->drive->user->tray(d->drive->dev, &t);
    if (!t.open)
        snprintf(err, len, "Tray of device '%s' is not open", d->drive->id);
    return t.open;
}

bool action_insert(struct machine *m, const char *id, const char *node, char *err, size_t len)
{
    struct outside_drive d, from;

    if (!removable(m, id, &d, err, len) || !tray_is_open(&d, err, len) ||
        !outside_find_drive(m, node, &from, err, len))
        return false;
    if (d.drive->disk)
        snprintf(err, len, "There already is a medium in device '%s'", id);
    else if (from.drive->used || from.drive == d.drive)
        snprintf(err, len, "Node '%s' is in use by a device", node);
    else if (!from.drive->disk)
        snprintf(err, len, "Node '%s' has no medium", node);
    else
        m->outside->move(m, from.drive, d.drive);
    return d.drive->disk;
}

bool action_remove(struct machine *m, const char *id, char *err, size_t len)
{
    struct outside_drive d;

    if (!removable(m, id, &d, err, len) || !tray_is_open(&d, err, len))
        return false;
    m->outside->put(m, d.drive, NULL, NULL);
    return true;
}

bool action_drive_add(struct machine *m, const char *text, bool node, char *err, size_t len)
{
    if (m->outside)
        return m->outside->add(m, text, node, err, len);
    snprintf(err, len, "this machine has no drives");
    return false;
}

bool action_drive_del(struct machine *m, const char *id, char *err, size_t len)
{
    struct outside_drive d;

    return outside_find_drive(m, id, &d, err, len) && m->outside->remove(m, d.drive, err, len);
}

bool action_object_add(struct machine *m, const char *text, char *err, size_t len)
{
    if (m->outside)
        return m->outside->object_add(m, text, err, len);
    snprintf(err, len, "this machine has no objects");
    return false;
}

bool action_object_del(struct machine *m, const char *id, char *err, size_t len)
{
    if (m->outside)
        return m->outside->object_del(m, id, err, len);
    snprintf(err, len, "object '%s' not found", id);
    return false;
}

bool action_resize(struct machine *m, const char *id, uint64_t size, char *err, size_t len)
{
    struct outside_drive d;

    return outside_find_drive(m, id, &d, err, len) && m->outside->resize(m, d.drive, size, err, len);
}

/* ---- networks, memory ---- */

bool action_link(struct machine *m, const char *id, bool up, char *err, size_t len)
{
    struct outside_net n;

    if (!outside_find_net(m, id, &n, err, len))
        return false;
    m->outside->plug(m, n.net, up);
    return true;
}

bool action_hostfwd(struct machine *m, const char *id, bool add, const char *text, char *err, size_t len)
{
    if (!m->outside) {
        snprintf(err, len, "there are no networks");
        return false;
    }
    return m->outside->hostfwd(m, id, add, text, err, len);
}

bool action_balloon(struct machine *m, uint64_t bytes, char *err, size_t len)
{
    if (!m->balloon)
        snprintf(err, len, "No balloon device has been activated: -device virtio-balloon-pci makes one");
    else if (!bytes)
        snprintf(err, len, "Parameter 'target' expects a size");
    else
        balloon_set(m->balloon, bytes);
    return m->balloon && bytes;
}

bool action_screendump(struct machine *m, const char *file, const char *format, char *err, size_t len)
{
    struct screen *s = m->outside ? m->outside->screen(m) : NULL;
    size_t n = strlen(file);
    const char *kind = format ? format : n > 4 && file[n - 4] == '.' ? file + n - 3 : "";

    if (!s || !screen_has_chip(s)) {
        snprintf(err, len, "There is no console to take a screendump from: this machine has no video");
        return false;
    }
    return (strcmp(kind, "txt") == 0     ? screendump_text :
                strcmp(kind, "ppm") == 0 ? screendump_ppm :
                                           screendump_png)(screen_refresh(s), file, err, len);
}

static bool vnc_refused(char *err, size_t len)
{
    snprintf(err, len, "there is no VNC server that asks for a password: use -vnc ADDRESS,password=on");
    return false;
}

bool action_vnc_password(struct machine *m, const char *password, char *err, size_t len)
{
    return (m->outside && m->outside->vnc_password(m, password)) || vnc_refused(err, len);
}

bool action_vnc_expire(struct machine *m, const char *when, char *err, size_t len)
{
    bool later = when[0] == '+', now = strcmp(when, "now") == 0, never = strcmp(when, "never") == 0;
    const char *digits = when + later;
    time_t at = later || now ? time(NULL) : 0;

    if (!now && !never) {
        if (!digits[0] || strlen(digits) > 12 || digits[strspn(digits, "0123456789")]) {
            snprintf(err, len, "'%.60s': use now, never, +SECONDS, or seconds since the epoch", when);
            return false;
        }
        at += (time_t)strtoull(digits, NULL, 10);
        at += !at;              /* the epoch itself is past, and 0 means never */
    }
    return (m->outside && m->outside->vnc_expire(m, at)) || vnc_refused(err, len);
}

/* ---- keys and mouse ---- */

static const struct { unsigned key; const char *name; } keys[] = {
#define KEY(key, name) { key, name },
#include "debug/keys.def"
#undef KEY
};
#define KEYS (sizeof(keys) / sizeof(keys[0]))

unsigned action_key(const char *name, size_t len)
{
    char number[8], *end;
    unsigned long n;

    for (unsigned i = 0; i < KEYS; i++)
        if (strlen(keys[i].name) == len && memcmp(keys[i].name, name, len) == 0)
            return keys[i].key;
    if (len < 3 || len >= sizeof(number) || strncmp(name, "0x", 2))
        return 0;
    snprintf(number, sizeof(number), "%.*s", (int)len, name);
    n = strtoul(number, &end, 16);
    return !*end && n < 256 ? (unsigned)n : 0;
}

const char *action_key_name(unsigned n)
{
    return n < KEYS ? keys[n].name : NULL;
}

static void next_key(void *arg)
{
    struct monitors *all = arg;
    struct key_queue *q = &all->keys;

    while (q->n) {
        struct key_step s = q->step[q->first];

        q->first = (q->first + 1) % KEY_STEPS;
        q->n--;
        if (s.wait_ms) {
            timer_set(&q->timer, clock_now(all->m->clock) + (uint64_t)s.wait_ms * 1000000);
            return;
        }
        input_key(all->m->cfg.input, s.key, s.down);
    }
    q->busy = false;
}

void action_keys_init(struct monitors *all)
{
    timer_init(&all->keys.timer, all->m->clock, next_key, all);
}

static void add_step(struct key_queue *q, struct key_step s)
{
    q->step[(q->first + q->n++) % KEY_STEPS] = s;
}

bool action_keys(struct machine *m, const unsigned *list, unsigned n, unsigned ms, char *err, size_t len)
{
    struct key_queue *q = &m->monitors->keys;

    if (q->n + 4 * n > KEY_STEPS) {
        snprintf(err, len, "too many keys wait to be pressed: try again later");
        return false;
    }
    if (!ms)
        ms = 100;
    for (unsigned i = 0; i < n; i++)
        add_step(q, (struct key_step){ list[i], true, 0 });
    add_step(q, (struct key_step){ 0, false, ms });
    while (n--)
        add_step(q, (struct key_step){ list[n], false, 0 });
    add_step(q, (struct key_step){ 0, false, KEY_GAP_MS });
    if (!q->busy) {
        q->busy = true;
        next_key(m->monitors);
    }
    return true;
}

void action_mouse(struct machine *m, int dx, int dy, int dz)
{
    input_move(m->cfg.input, dx, dy, dz, m->monitors->buttons);
}

void action_buttons(struct machine *m, unsigned buttons)
{
    m->monitors->buttons = buttons & 0x1f;
    input_move(m->cfg.input, 0, 0, 0, m->monitors->buttons);
}
