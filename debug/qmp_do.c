/*
 * qmp_do.c - what QMP does to the machine: action.h with QMP's arguments.
 */
#include "debug/qmp_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fds.h"
#include "debug/action.h"
#include "debug/dump.h"
#include "debug/migrate.h"
#include "hw/input_if.h"

#define DO(q, call)                                     \
    do {                                                \
        char err[512];                                  \
        if (!(call))                                    \
            qmp_fail(q, "%s", err);                     \
    } while (0)

/* ---- running ---- */

void qmp_stop(struct qmp_call *q)
{
    if (control_state(q->m->control) == RUN_RUNNING)
        control_stop(q->m->control, RUN_PAUSED);
}

void qmp_cont(struct qmp_call *q)
{
    if (control_state(q->m->control) == RUN_SHUTDOWN)
        qmp_fail(q, "Resetting the Virtual Machine is required");
    else
        DO(q, migrate_cont(q->m, err, sizeof(err)));
}

void qmp_system_reset(struct qmp_call *q)
{
    action_reset(q->m);
}

void qmp_system_powerdown(struct qmp_call *q)
{
    action_powerdown(q->m);
}

void qmp_quit(struct qmp_call *q)
{
    action_quit(q->m);
}

void qmp_watchdog_set_action(struct qmp_call *q)
{
    DO(q, action_on_event(q->m, "watchdog", qmp_string(q, "action"), err, sizeof(err)));
}

void qmp_set_action(struct qmp_call *q)
{
    const char *event;
    json_t *what;

    json_object_foreach(q->args, event, what)
        if (!*q->error)
            DO(q, action_on_event(q->m, event, json_string_value(what), err, sizeof(err)));
}

void qmp_inject_nmi(struct qmp_call *q)
{
    action_nmi(q->m);
}

/* ---- memory ---- */

static void save(struct qmp_call *q, struct cpu *c)
{
    int64_t val = qmp_integer(q, "val", 0), size = qmp_integer(q, "size", 0);

    if (size <= 0)
        qmp_fail(q, "Parameter 'size' expects a number of bytes");
    else
        DO(q,
           action_save(q->m, c, (uint64_t)val, (uint64_t)size, qmp_string(q, "filename"), err, sizeof(err)));
}

void qmp_memsave(struct qmp_call *q)
{
    int64_t cpu = qmp_integer(q, "cpu-index", 0);

    if (cpu < 0 || cpu >= (int64_t)q->m->ncpu)
        qmp_fail(q, "Invalid parameter 'cpu-index': there are %u processors", q->m->ncpu);
    else
        save(q, q->m->cpu[cpu]);
}

void qmp_pmemsave(struct qmp_call *q)
{
    save(q, NULL);
}

/* It is done when the answer comes: "detach" asks for the event, which there is anyway. */
void qmp_dump_guest_memory(struct qmp_call *q)
{
    const char *to = qmp_string(q, "protocol"), *format = qmp_string(q, "format");
    int64_t begin = qmp_integer(q, "begin", -1), length = qmp_integer(q, "length", -1);
    struct dump d = { NULL, -1, qmp_boolean(q, "paging", false), begin < 0 ? 0 : (uint64_t)begin,
                      length < 0 ? 0 : (uint64_t)length };
    bool given = strncmp(to, "fd:", 3) == 0;
    uint64_t size = 0;

    if (!given && strncmp(to, "file:", 5))
        qmp_fail(q, "Parameter 'protocol' must start with 'file:' or 'fd:'");
    else if (format && strcmp(format, "elf"))
        qmp_fail(q, "Parameter 'format' does not accept value '%.60s': use elf", format);
    else if ((begin < 0) != (length <= 0) || (begin >= 0 && d.paging))
        qmp_fail(q, "Parameters 'begin' and 'length' belong together, and not to 'paging'");
    d.file = given ? to : to + 5;
    if (!*q->error && given && (d.fd = fds_take(q->m->fds, to + 3)) < 0)
        qmp_fail(q, "File descriptor named '%.100s' not found", to + 3);
    if (*q->error)
        return;
    DO(q, dump_write(q->m, &d, &size, err, sizeof(err)));
    if (!*q->error)
        qmp_tell(q->m, QMP_DUMP, json_pack("{s:{s:I, s:s, s:I}}", "result", "total", (json_int_t)size, "status", "completed",
                                           "completed", (json_int_t)size));
}

void qmp_query_dump_guest_memory_capability(struct qmp_call *q)
{
    q->ret = json_pack("{s:[s]}", "formats", "elf");
}

void qmp_balloon(struct qmp_call *q)
{
    int64_t value = qmp_integer(q, "value", 0);

    DO(q, action_balloon(q->m, value > 0 ? (uint64_t)value : 0, err, sizeof(err)));
    if (!q->m->balloon)
        q->class = "DeviceNotActive";
}

/* ---- media ---- */

/* Clients name the drive, or the device that has it: here both have one name. NULL: it failed. */
static const char *which(struct qmp_call *q)
{
    const char *device = qmp_string(q, "device"), *id = qmp_string(q, "id");
    struct outside_drive d;

    if (!device == !id) {
        qmp_fail(q, "Need exactly one of 'device' and 'id'");
        return NULL;
    }
    id = id ? id : device;
    if (outside_find_drive(q->m, id, &d, q->error, sizeof(q->error)))
        return id;
    q->class = "DeviceNotFound";
    return NULL;
}

void qmp_eject(struct qmp_call *q)
{
    const char *id = which(q);

    if (id)
        DO(q, action_eject(q->m, id, qmp_boolean(q, "force", false), err, sizeof(err)));
}

void qmp_open_tray(struct qmp_call *q)
{
    const char *id = which(q);

    if (id)
        DO(q, action_tray(q->m, id, true, qmp_boolean(q, "force", false), err, sizeof(err)));
}

void qmp_close_tray(struct qmp_call *q)
{
    const char *id = which(q);

    if (id)
        DO(q, action_tray(q->m, id, false, false, err, sizeof(err)));
}

void qmp_change_medium(struct qmp_call *q)
{
    static const char *const modes[] = { [MEDIUM_RETAIN] = "retain", [MEDIUM_READ_ONLY] = "read-only",
                                         [MEDIUM_READ_WRITE] = "read-write" };
    const char *id = which(q), *mode = qmp_string(q, "read-only-mode");
    unsigned how = 0;

    while (mode && how < 3 && strcmp(modes[how], mode))
        how++;
    if (id && how == 3)
        qmp_fail(q, "Parameter 'read-only-mode' does not accept value '%.60s'", mode);
    else if (id)
        DO(q, action_change(q->m, id, qmp_string(q, "filename"), qmp_string(q, "format"), how,
                            qmp_boolean(q, "force", false), err, sizeof(err)));
}

void qmp_insert_medium(struct qmp_call *q)
{
    DO(q, action_insert(q->m, qmp_string(q, "id"), qmp_string(q, "node-name"), err, sizeof(err)));
}

void qmp_remove_medium(struct qmp_call *q)
{
    DO(q, action_remove(q->m, qmp_string(q, "id"), err, sizeof(err)));
}

void qmp_blockdev_add(struct qmp_call *q)
{
    char *text = json_dumps(q->args, 0);

    DO(q, action_drive_add(q->m, text ? text : "{}", true, err, sizeof(err)));
    free(text);
}

void qmp_blockdev_del(struct qmp_call *q)
{
    DO(q, action_drive_del(q->m, qmp_string(q, "node-name"), err, sizeof(err)));
}

void qmp_object_add(struct qmp_call *q)
{
    char *text = json_dumps(q->args, 0);

    DO(q, action_object_add(q->m, text ? text : "{}", err, sizeof(err)));
    free(text);
}

void qmp_object_del(struct qmp_call *q)
{
    DO(q, action_object_del(q->m, qmp_string(q, "id"), err, sizeof(err)));
}

void qmp_block_resize(struct qmp_call *q)
{
    const char *device = qmp_string(q, "device"), *node = qmp_string(q, "node-name");
    int64_t size = qmp_integer(q, "size", 0);

    if (!device == !node)
        qmp_fail(q, "Need exactly one of 'device' and 'node-name'");
    else if (size <= 0)
        qmp_fail(q, "Parameter 'size' expects a number of bytes");
    else
        DO(q, action_resize(q->m, device ? device : node, (uint64_t)size, err, sizeof(err)));
}

void qmp_set_link(struct qmp_call *q)
{
    struct outside_net n;
    const char *name = qmp_string(q, "name");

    if (!outside_find_net(q->m, name, &n, q->error, sizeof(q->error)))
        q->class = "DeviceNotFound";
    else
        DO(q, action_link(q->m, name, qmp_boolean(q, "up", false), err, sizeof(err)));
}

/* ---- passwords of VNC clients ---- */

void qmp_change_vnc_password(struct qmp_call *q)
{
    DO(q, action_vnc_password(q->m, qmp_string(q, "password"), err, sizeof(err)));
}

static bool is_vnc(struct qmp_call *q)
{
    const char *protocol = qmp_string(q, "protocol");

    if (strcmp(protocol, "vnc") == 0)
        return true;
    qmp_fail(q, "Parameter 'protocol' does not accept value '%.60s'", protocol);
    return false;
}

void qmp_set_password(struct qmp_call *q)
{
    const char *connected = qmp_string(q, "connected");

    if (connected && strcmp(connected, "keep"))
        qmp_fail(q, "Parameter 'connected' must be 'keep' when 'protocol' is 'vnc'");
    else if (is_vnc(q))
        DO(q, action_vnc_password(q->m, qmp_string(q, "password"), err, sizeof(err)));
}

void qmp_expire_password(struct qmp_call *q)
{
    if (is_vnc(q))
        DO(q, action_vnc_expire(q->m, qmp_string(q, "time"), err, sizeof(err)));
}

/* ---- keys, pointers, screen ---- */

/* {"type": "qcode", "data": "ret"} or {"type": "number", "data": 28}; 0: neither. */
static unsigned key(struct qmp_call *q, const json_t *j)
{
    const char *type = json_string_value(json_object_get(j, "type"));
    const json_t *data = json_object_get(j, "data");
    unsigned k = 0;

    if (type && strcmp(type, "qcode") == 0 && json_is_string(data)) {
        const char *name = json_string_value(data);

        k = strncmp(name, "0x", 2) ? action_key(name, strlen(name)) : 0;
        if (!k)
            qmp_fail(q, "Parameter 'data' does not accept value '%.60s'", name);
        return k;
    }
    /* Numbers are PC scan codes: up to 58h evdev's are the same. */
    if (type && strcmp(type, "number") == 0 && json_is_integer(data) && json_integer_value(data) >= 1 &&
        json_integer_value(data) <= 0x58)
        k = (unsigned)json_integer_value(data);
    if (!k)
        qmp_fail(q,
                 "Invalid parameter 'key': use {\"type\": \"qcode\", \"data\": NAME}, or type number with a "
                 "scan code "
                 "of set 1 up to 88");
    return k;
}

void qmp_send_key(struct qmp_call *q)
{
    json_t *list = json_object_get(q->args, "keys");
    int64_t ms = qmp_integer(q, "hold-time", 100);
    size_t n = json_array_size(list);
    unsigned keys[ACTION_KEYS];

    if (!n || n > ACTION_KEYS || ms < 1 || ms > 60000) {
        qmp_fail(q, "Parameter '%s'", n && n <= ACTION_KEYS ? "hold-time' expects 1 to 60000 ms" :
                 "keys' expects 1 to 16 keys");
        return;
    }
    for (size_t i = 0; i < n; i++)
        if (!(keys[i] = key(q, json_array_get(list, i))))
            return;
    DO(q, action_keys(q->m, keys, (unsigned)n, (unsigned)ms, err, sizeof(err)));
}

/* What a list of events comes to: first it is looked through, then done. */
struct pointing {
    int d[2], wheel;
    int64_t at[2];              /* -1: not said */
    unsigned buttons;
    bool moved, placed;
};

static bool one_of(const char *s, const char *const *words, unsigned n, unsigned *which)
{
    for (*which = 0; s && *which < n; ++*which)
        if (strcmp(s, words[*which]) == 0)
            return true;
    return false;
}

static bool button(struct pointing *p, const json_t *data)
{
    static const char *const names[] = {
        "left", "right", "middle", "side", "extra", "wheel-up", "wheel-down"
    };
    const json_t *down = json_object_get(data, "down");
    unsigned n;

    if (!json_is_boolean(down) || !one_of(json_string_value(json_object_get(data, "button")), names, 7, &n))
        return false;
    if (n >= 5)
        p->wheel += json_is_true(down) ? (n == 5 ? -1 : 1) : 0;
    else if (json_is_true(down))
        p->buttons |= 1u << n;
    else
        p->buttons &= ~(1u << n);
    p->moved = true;
    return true;
}

static bool axis(struct pointing *p, const json_t *data, bool absolute)
{
    static const char *const names[] = { "x", "y" };
    const json_t *value = json_object_get(data, "value");
    json_int_t v = json_integer_value(value);
    unsigned n;

    if (!json_is_integer(value) || !one_of(json_string_value(json_object_get(data, "axis")), names, 2, &n))
        return false;
    if (absolute) {
        p->at[n] = v < 0 ? 0 : v > INPUT_ABS_MAX ? INPUT_ABS_MAX : v;
        p->placed = true;
    } else {
        p->d[n] = (int)(v < -10000 ? -10000 : v > 10000 ? 10000 : v);
        p->moved = true;
    }
    return true;
}

static bool input_event(struct qmp_call *q, const json_t *e, struct pointing *p, bool act)
{
    const char *type = json_string_value(json_object_get(e, "type"));
    const json_t *data = json_object_get(e, "data"), *down = json_object_get(data, "down");
    unsigned k;

    if (type && strcmp(type, "key") == 0 && json_is_boolean(down)) {
        k = key(q, json_object_get(data, "key"));
        if (k && act)
            input_key(q->m->cfg.input, k, json_is_true(down));
        return k;
    }
    return type &&
        ((strcmp(type, "btn") == 0 && button(p, data)) ||
         (strcmp(type, "rel") == 0 && axis(p, data, false)) ||
         (strcmp(type, "abs") == 0 && axis(p, data, true)));
}

void qmp_input_send_event(struct qmp_call *q)
{
    json_t *list = json_object_get(q->args, "events"), *e;
    struct monitors *all = q->m->monitors;
    size_t i;

    for (int act = 0; act < 2; act++) {
        struct pointing p = { .at = { all->at[0], all->at[1] }, .buttons = all->buttons };

        json_array_foreach(list, i, e) {
            if (input_event(q, e, &p, act))
                continue;
            if (!*q->error)
                qmp_fail(q,
                         "Invalid parameter 'events': number %zu is none of key, btn, rel and abs as they "
                         "should be",
                         i);
            return;
        }
        if (!act)
            continue;
        all->buttons = p.buttons;
        all->at[0] = (unsigned)p.at[0];
        all->at[1] = (unsigned)p.at[1];
        if (p.placed || (p.moved && input_absolute(q->m->cfg.input)))
            input_place(q->m->cfg.input, all->at[0], all->at[1], p.wheel, p.buttons);
        if (p.moved && !input_absolute(q->m->cfg.input))
            input_move(q->m->cfg.input, p.d[0], p.d[1], p.wheel, p.buttons);
    }
}

void qmp_screendump(struct qmp_call *q)
{
    static const char *const formats[] = { "png", "ppm", "txt" };
    const char *format = qmp_string(q, "format");
    unsigned n;

    if (format && !one_of(format, formats, 3, &n))
        qmp_fail(q, "Parameter 'format' does not accept value '%.60s'", format);
    else
        DO(q, action_screendump(q->m, qmp_string(q, "filename"), format, err, sizeof(err)));
}
