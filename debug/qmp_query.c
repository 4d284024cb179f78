/*
 * qmp_query.c - QMP's questions about the machine.
 */
#include "debug/qmp_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "block/disk.h"
#include "debug/outside.h"
#include "frontend/cpu.h"
#include "frontend/cpu_model.h"
#include "host/displays.h"
#include "host/memdev.h"
#include "hw/boards.h"
#include "hw/input_if.h"
#include "hw/pci.h"
#include "hw/virtio/balloon.h"

/* ---- QMP itself ---- */

void qmp_query_version(struct qmp_call *q)
{
    q->ret = qmp_version();
}

void qmp_query_commands(struct qmp_call *q)
{
    q->ret = json_array();
    for (unsigned i = 0; qmp_nth(i); i++)
        json_array_append_new(q->ret, json_pack("{s:s}", "name", qmp_nth(i)->name));
}

void qmp_query_events(struct qmp_call *q)
{
    q->ret = json_array();
    for (unsigned i = 0; qmp_event_name(i); i++)
        json_array_append_new(q->ret, json_pack("{s:s}", "name", qmp_event_name(i)));
}

static const struct { char letter; const char *name, *json; } types[] = {
    { 's', "str", "string" }, { 'i', "int", "int" }, { 'b', "bool", "boolean" }, { 'a', "any", "value" }
};

/* Of a word of a row. */
static json_t *argument_schema(const char *s)
{
    const char *colon = strchr(s, ':'), *type = colon[1] == 'l' ? "[any]" : "any";
    json_t *member;

    for (unsigned k = 0; k < sizeof(types) / sizeof(types[0]); k++)
        if (types[k].letter == colon[1])
            type = types[k].name;
    member = json_pack("{s:s%, s:s}", "name", s, (size_t)(colon - s), "type", type);
    if (colon[2] == '?')
        json_object_set_new(member, "default", json_null());
    return member;
}

/* What the table says; what it does not say (answers, what is in lists) is "any". */
void qmp_query_qmp_schema(struct qmp_call *q)
{
    q->ret = json_pack("[{s:s, s:s, s:s}, {s:s, s:s, s:[]}]", "name", "[any]", "meta-type", "array",
                       "element-type", "any", "name", "nothing", "meta-type", "object", "members");
    for (unsigned i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        json_array_append_new(q->ret,
                              json_pack("{s:s, s:s, s:s}", "name", types[i].name, "meta-type", "builtin",
                                        "json-type", types[i].json));
    for (unsigned i = 0; qmp_nth(i); i++) {
        const struct qmp_row *r = qmp_nth(i);
        json_t *members = json_array();
        char name[80];

        snprintf(name, sizeof(name), "%s-arg", r->name);
        for (const char *s = r->args; *s; s += strcspn(s, " "), s += *s == ' ') {
            if (*s == '*')
                qmp_object_members(members);
            else
                json_array_append_new(members, argument_schema(s));
        }
        json_array_append_new(
            q->ret, json_pack("{s:s, s:s, s:o}", "name", name, "meta-type", "object", "members", members));
        json_array_append_new(q->ret,
                              json_pack("{s:s, s:s, s:s, s:s}", "name", r->name, "meta-type", "command",
                                        "arg-type", name, "ret-type", "any"));
    }
    for (unsigned i = 0; qmp_event_name(i); i++)
        json_array_append_new(q->ret,
                              json_pack("{s:s, s:s, s:s}", "name", qmp_event_name(i), "meta-type", "event",
                                        "arg-type", "nothing"));
}

/* ---- the machine ---- */

void qmp_query_status(struct qmp_call *q)
{
    enum run_state s = control_state(q->m->control);

    q->ret = json_pack("{s:b, s:b, s:s}", "running", s == RUN_RUNNING, "singlestep", 0, "status",
                       control_state_name(s));
}

void qmp_query_name(struct qmp_call *q)
{
    const char *name = q->m->outside ? q->m->outside->name(q->m) : "";

    q->ret = *name ? json_pack("{s:s}", "name", name) : json_object();
}

void qmp_query_uuid(struct qmp_call *q)
{
    char text[40] = "";

    for (unsigned i = 0; i < 16; i++)
        sprintf(text + strlen(text), i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" : "%02x",
                q->m->cfg.uuid[i]);
    q->ret = json_pack("{s:s}", "UUID", text);
}

void qmp_query_kvm(struct qmp_call *q)
{
    q->ret = json_pack("{s:b, s:b}", "enabled", 0, "present", 0);
}

void qmp_query_target(struct qmp_call *q)
{
    q->ret = json_pack("{s:s}", "arch", "x86_64");
}

/* No board offers S3 to its guest (acpi_tables.c). */
void qmp_query_current_machine(struct qmp_call *q)
{
    q->ret = json_pack("{s:b}", "wakeup-suspend-support", 0);
}

/* Disks have threads of their own, which no client makes (block/disk.c). */
void qmp_query_iothreads(struct qmp_call *q)
{
    q->ret = json_array();
}

/* What can be plugged into a memory slot while the machine runs. */
void qmp_query_memory_devices(struct qmp_call *q)
{
    q->ret = json_array();
}

/* The jobs there are do not belong to one drive: query-jobs. */
void qmp_query_block_jobs(struct qmp_call *q)
{
    q->ret = json_array();
}

void qmp_query_hotpluggable_cpus(struct qmp_call *q)
{
    qmp_fail(q, "machine does not support hot-plugging CPUs");
}

/* The default processor by that of its names which QEMU's clients know: libvirt makes no machine of one that it knows nothing of. */
void qmp_query_machines(struct qmp_call *q)
{
    char cpu[80];

    qmp_cpu_type("qemu64", cpu, sizeof(cpu));
    q->ret = json_array();
    for (unsigned i = 0; q->m->outside && q->m->outside->board(i); i++) {
        const struct board *b = q->m->outside->board(i);
        json_t *j = json_pack("{s:s, s:s, s:i, s:b, s:b, s:b}", "name", b->name, "default-ram-id",
                              b->ram_id, "cpu-max", (int)q->m->outside->max_cpus,
                              "hotpluggable-cpus", 0, "numa-mem-supported", 0, "deprecated", 0);

        if (!b->bare)
            json_object_set_new(j, "default-cpu-type", json_string(cpu));
        if (b->usual)
            json_object_set_new(j, "is-default", json_true());
        json_array_append_new(q->ret, j);
    }
}

/* All models are one; a later version's may be another. */
void qmp_query_cpu_definitions(struct qmp_call *q)
{
    q->ret = json_array();
    for (unsigned i = 0; cpu_model_nth(i); i++) {
        char type[80];
        json_t *j;

        qmp_cpu_type(cpu_model_nth(i), type, sizeof(type));
        j = json_pack("{s:s, s:s, s:b, s:b, s:b, s:[]}", "name", cpu_model_nth(i), "typename", type, "static", 0,
                      "migration-safe", 0, "deprecated", 0, "unavailable-features");
        if (i)
            json_object_set_new(j, "alias-of", json_string(cpu_model_nth(0)));
        json_array_append_new(q->ret, j);
    }
}

void qmp_query_cpus_fast(struct qmp_call *q)
{
    q->ret = json_array();
    for (unsigned i = 0; i < q->m->ncpu; i++) {
        char path[40];

        qmp_cpu_path(i, path, sizeof(path));
        json_array_append_new(
            q->ret,
            json_pack("{s:i, s:s, s:i, s:s, s:{s:i, s:i, s:i}}", "cpu-index", (int)i, "qom-path", path,
                      "thread-id", q->m->outside ? q->m->outside->thread_id(q->m, i) : 0, "target", "x86_64",
                      "props", "socket-id", (int)i, "core-id", 0, "thread-id", 0));
    }
}

json_t *qmp_memdev_nodes(const struct memdev *d)
{
    json_t *list = json_array();

    for (unsigned n = 0; n < MEMDEV_NODES; n++)
        if (d->nodes[n / 64] >> n % 64 & 1)
            json_array_append_new(list, json_integer(n));
    return list;
}

void qmp_query_memdev(struct qmp_call *q)
{
    q->ret = json_array();
    for (const struct memdev *d = q->m->memdevs; d; d = d->next)
        json_array_append_new(q->ret, json_pack("{s:s, s:I, s:b, s:b, s:b, s:b, s:b, s:s, s:o}", "id", d->id,
                                                "size", (json_int_t)d->size, "merge", d->merge,
                                                "dump", d->dump != MEMDEV_OFF, "prealloc", d->prealloc,
                                                "share", d->share, "reserve", d->reserved,
                                                "policy", memdev_policy_name(d->policy),
                                                "host-nodes", qmp_memdev_nodes(d)));
}

void qmp_query_memory_size_summary(struct qmp_call *q)
{
    q->ret = json_pack("{s:I, s:i}", "base-memory", (json_int_t)(q->m->ram_low + q->m->ram_high), "plugged-memory", 0);
}

void qmp_query_balloon(struct qmp_call *q)
{
    if (q->m->balloon) {
        q->ret = json_pack("{s:I}", "actual", (json_int_t)balloon_actual(q->m->balloon));
        return;
    }
    qmp_fail(q, "No balloon device has been activated");
    q->class = "DeviceNotActive";
}

void qmp_query_mice(struct qmp_call *q)
{
    struct input_view v;
    int n = 0;

    q->ret = json_array();
    for (unsigned i = 0; input_nth(q->m->cfg.input, i, &v); i++)
        if (v.moves || v.places)
            json_array_append_new(q->ret,
                                  json_pack("{s:s, s:i, s:b, s:b}", "name", v.places ? "tablet" : "mouse",
                                            "index", n++, "current", v.current, "absolute", v.places));
}

/* Members of where the server listens; NULL: there is none. */
static json_t *vnc_server(struct qmp_call *q)
{
    struct outside_vnc v = { NULL };
    const char *colon;
    char port[16];

    if (q->m->outside)
        q->m->outside->vnc(q->m, &v);
    colon = v.address ? strrchr(v.address, ':') : NULL;
    if (!colon)
        return NULL;
    if (strncmp(v.address, "unix:", 5) == 0)
        return json_pack("{s:s, s:s, s:s, s:s}", "host", "", "service", v.address + 5, "family", "unix", "auth",
                         v.password ? "vnc" : "none");
    snprintf(port, sizeof(port), "%d", 5900 + atoi(colon + 1));
    return json_pack("{s:o, s:s, s:s, s:s}", "host",
                     colon == v.address ? json_string("127.0.0.1") :
                                          json_stringn(v.address, (size_t)(colon - v.address)),
                     "service", port, "family", "ipv4", "auth", v.password ? "vnc" : "none");
}

static json_t *vnc_clients_of(struct qmp_call *q)
{
    json_t *list = json_array();
    struct vnc_peer p;

    for (unsigned i = 0; q->m->outside && q->m->outside->vnc_client(q->m, i, &p); i++)
        json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:b}", "host", p.host, "service", p.service, "family",
                                              p.family, "websocket", 0));
    return list;
}

void qmp_query_vnc(struct qmp_call *q)
{
    json_t *server = vnc_server(q);

    q->ret = json_pack("{s:b}", "enabled", server != NULL);
    if (!server)
        return;
    json_object_update(q->ret, server);
    json_object_set_new(q->ret, "clients", vnc_clients_of(q));
    json_decref(server);
}

void qmp_query_vnc_servers(struct qmp_call *q)
{
    json_t *server = vnc_server(q), *auth = json_object_get(server, "auth");

    q->ret = json_array();
    if (!server)
        return;
    json_object_set_new(server, "websocket", json_false());
    json_array_append_new(q->ret, json_pack("{s:s, s:O, s:[o], s:o}", "id", "default", "auth", auth, "server", server,
                                            "clients", vnc_clients_of(q)));
}

void qmp_query_chardev(struct qmp_call *q)
{
    struct outside_chardev c;

    q->ret = json_array();
    for (unsigned i = 0; q->m->outside && q->m->outside->chardev(q->m, i, &c); i++)
        json_array_append_new(
            q->ret, json_pack("{s:s, s:s, s:b}", "label", c.id, "filename", c.spec, "frontend-open", c.open));
}

void qmp_query_chardev_backends(struct qmp_call *q)
{
    q->ret = json_array();
    for (unsigned i = 0; q->m->outside && q->m->outside->chardev_kind(i); i++)
        json_array_append_new(q->ret, json_pack("{s:s}", "name", q->m->outside->chardev_kind(i)));
}

/* ---- PCI ---- */

static json_t *regions(const struct pci_view *v)
{
    json_t *list = json_array();

    for (int i = 0; i < 7; i++) {
        json_t *r;

        if (!v->bar[i].size)
            continue;
        r = json_pack("{s:i, s:s, s:I, s:I}", "bar", i, "type", v->bar[i].io ? "io" : "memory", "size",
                      (json_int_t)v->bar[i].size, "address", (json_int_t)v->bar[i].at);
        if (!v->bar[i].io) {
            json_object_set_new(r, "prefetch", json_boolean(v->bar[i].prefetch));
            json_object_set_new(r, "mem_type_64", json_boolean(v->bar[i].wide));
        }
        json_array_append_new(list, r);
    }
    return list;
}

void qmp_query_pci(struct qmp_call *q)
{
    json_t *devices = json_array();
    struct pci_view v;

    for (unsigned i = 0; q->m->pci && pci_nth(q->m->pci, i, &v); i++) {
        json_t *d =
            json_pack("{s:i, s:i, s:i, s:{s:i}, s:{s:i, s:i, s:i, s:i}, s:i, s:s, s:o}", "bus", (int)v.bus, "slot",
                      (int)v.slot, "function", (int)v.fn, "class_info", "class", (int)(v.id.class >> 8), "id",
                      "device", (int)v.id.device, "vendor", (int)v.id.vendor, "subsystem",
                      (int)v.id.subdevice, "subsystem-vendor", (int)v.id.subvendor, "irq_pin", (int)v.id.pin,
                      "qdev_id", v.name, "regions", regions(&v));

        if (v.id.pin)
            json_object_set_new(d, "irq", json_integer(v.line));
        json_array_append_new(devices, d);
    }
    q->ret = q->m->pci ? json_pack("[{s:i, s:o}]", "bus", 0, "devices", devices) : devices;
}

/* ---- drives ---- */

#define EACH_DRIVE(q, d)                                                                                         \
    for (unsigned i = 0; (q)->m->outside && (q)->m->outside->drive((q)->m, i, &(d)); i++)                        \
        if (!(d).taken)

static json_t *image(struct block *b, const char *name)
{
    json_t *j = json_pack("{s:s, s:s, s:I}", "filename", name, "format", b->ops->format, "virtual-size",
                          (json_int_t)b->size);
    struct block_info info = { 0 };
    struct stat st;

    if (fstat(b->file.fd, &st) == 0)
        json_object_set_new(j, "actual-size", json_integer((json_int_t)st.st_blocks * 512));
    block_info(b, &info);
    if (info.cluster_size)
        json_object_set_new(j, "cluster-size", json_integer((json_int_t)info.cluster_size));
    json_object_set_new(j, "dirty-flag", json_boolean(info.dirty));
    if (info.version)
        json_object_set_new(j, "format-specific",
                            json_pack("{s:s, s:{s:s, s:b, s:b, s:b, s:i, s:s}}", "type", b->ops->format, "data", "compat",
                                      info.version < 3 ? "0.10" : "1.1", "lazy-refcounts", info.lazy_refcounts, "corrupt",
                                      info.corrupt, "extended-l2", info.extended_l2, "refcount-bits",
                                      (int)info.refcount_bits, "compression-type",
                                      info.compression ? info.compression : "zlib"));
    if (b->backing_name)
        json_object_set_new(j, "backing-filename", json_string(b->backing_name));
    if (b->backing)
        json_object_set_new(j, "backing-image", image(b->backing, b->backing->name));
    if (info.nsnapshots) {
        json_t *list = json_array();

        for (unsigned i = 0; i < info.nsnapshots; i++)
            json_array_append_new(
                list,
                json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:I}", "id", info.snapshots[i].id, "name",
                          info.snapshots[i].name, "vm-state-size", (json_int_t)info.snapshots[i].vm_state,
                          "date-sec", (json_int_t)info.snapshots[i].date, "date-nsec",
                          (json_int_t)info.snapshots[i].date_ns, "vm-clock-sec",
                          (json_int_t)(info.snapshots[i].vm_clock_ns / 1000000000), "vm-clock-nsec",
                          (json_int_t)(info.snapshots[i].vm_clock_ns % 1000000000)));
        json_object_set_new(j, "snapshots", list);
    }
    return j;
}

static json_t *node(const struct outside_drive *d, struct block *b, const char *name, const char *node_name)
{
    bool none = strcmp(d->cache, "none") == 0 || strcmp(d->cache, "directsync") == 0;
    bool through = strcmp(d->cache, "writethrough") == 0 || strcmp(d->cache, "directsync") == 0;
    static const char *const detect[] = BLOCK_DETECT_WORDS;
    unsigned depth = 0;

    for (const struct block *x = b->backing; x; x = x->backing)
        depth++;
    json_t *j = json_pack(
        "{s:s, s:s, s:s, s:b, s:b, s:i, s:{s:b, s:b, s:b}, s:s, s:o}", "file", name, "node-name", node_name,
        "drv", b->ops->format, "ro", b != d->block || d->drive->disk->read_only || d->drive->read_only,
        "encrypted", 0, "backing_file_depth", (int)depth, "cache", "writeback", !through, "direct", none,
        "no-flush", strcmp(d->cache, "unsafe") == 0, "detect_zeroes", detect[b->detect_zeroes], "image", image(b, name));
    static const char *const limits[] = { "bps",     "bps_rd",  "bps_wr",         "iops",
                                          "iops_rd", "iops_wr", "write_threshold" };

    for (unsigned i = 0; i < sizeof(limits) / sizeof(limits[0]); i++)
        json_object_set_new(j, limits[i], json_integer(0));     /* there are no limits */
    if (b->backing_name)
        json_object_set_new(j, "backing_file", json_string(b->backing_name));
    return j;
}

static const char *io_status(const struct outside_drive *d)
{
    int waits = d->drive->disk ? disk_waits(d->drive->disk) : 0;

    return !waits ? "ok" : waits == -ENOSPC || waits == -EDQUOT ? "nospace" : "failed";
}

/* By what names clients know a drive; of an image that no device has there is none. NULL: that is it. */
static json_t *names(struct qmp_call *q, const struct outside_drive *d)
{
    char device[200];

    if (d->node && !d->drive->used)
        return NULL;
    outside_device(q->m, d, device, sizeof(device));
    return json_pack("{s:s, s:s}", "device", d->node ? "" : d->drive->id, "qdev", device);
}

void qmp_query_block(struct qmp_call *q)
{
    struct outside_drive d;

    q->ret = json_array();
    EACH_DRIVE(q, d) {
        struct drive_tray t = { false, false };
        json_t *j = names(q, &d);

        if (!j)
            continue;
        json_object_set_new(j, "type", json_string("unknown"));
        json_object_set_new(j, "removable", json_boolean(d.removable));

        if (d.removable && d.drive->user && d.drive->user->tray) {
            d.drive->user->tray(d.drive->dev, &t);
            json_object_set_new(j, "tray_open", json_boolean(t.open));
        }
        json_object_set_new(j, "locked", json_boolean(t.locked));
        if (d.stops)
            json_object_set_new(j, "io-status", json_string(io_status(&d)));
        if (d.drive->disk)
            json_object_set_new(j, "inserted", node(&d, d.block, d.file, d.drive->id));
        json_array_append_new(q->ret, j);
    }
}

void qmp_query_named_block_nodes(struct qmp_call *q)
{
    struct outside_drive d;

    q->ret = json_array();
    EACH_DRIVE(q, d) {
        unsigned n = 1;

        if (!d.block)
            continue;
        json_array_append_new(q->ret, node(&d, d.block, d.file, d.drive->id));
        for (struct block *b = d.block->backing; b; b = b->backing, n++) {
            char name[128];

            snprintf(name, sizeof(name), "%.100s-backing%u", d.drive->id, n);
            json_array_append_new(q->ret, node(&d, b, b->name, name));
        }
    }
}

/* Requests reach the image as they come: none is merged with another, none is refused before it gets there. */
static json_t *stats(const struct outside_drive *d)
{
    static const char *const none[] = { "rd_merged", "wr_merged", "unmap_merged", "invalid_rd_operations",
                                        "invalid_wr_operations", "invalid_unmap_operations", "invalid_flush_operations" };
    struct disk_stats s = { .op = { { .n = 0 } } };
    json_t *j = json_object();

    if (d->drive->disk)
        disk_stats(d->drive->disk, &s);
#define N(name, value) json_object_set_new(j, name, json_integer((json_int_t)(value)))
#define ALL(name, member, op1, op2) N(name, s.op[op1].member + (op1 == op2 ? 0 : s.op[op2].member))
#define KIND(prefix, fails, op1, op2)                                                                            \
    do {                                                                                                         \
        ALL(prefix "_operations", n, op1, op2);                                                                  \
        ALL(prefix "_total_time_ns", ns, op1, op2);                                                              \
        ALL(fails, failed, op1, op2);                                                                            \
    } while (0)
    KIND("rd", "failed_rd_operations", DISK_READ, DISK_READ);
    KIND("wr", "failed_wr_operations", DISK_WRITE, DISK_ZERO);
    KIND("flush", "failed_flush_operations", DISK_FLUSH, DISK_FLUSH);
    KIND("unmap", "failed_unmap_operations", DISK_DISCARD, DISK_DISCARD);
    ALL("rd_bytes", bytes, DISK_READ, DISK_READ);
    ALL("wr_bytes", bytes, DISK_WRITE, DISK_ZERO);
    ALL("unmap_bytes", bytes, DISK_DISCARD, DISK_DISCARD);
    N("wr_highest_offset", s.highest);
    for (unsigned i = 0; i < sizeof(none) / sizeof(none[0]); i++)
        N(none[i], 0);
#undef KIND
#undef ALL
#undef N
    json_object_set_new(j, "account_invalid", json_false());
    json_object_set_new(j, "account_failed", json_false());     /* they count above, but neither bytes nor time */
    json_object_set_new(j, "timed_stats", json_array());
    return j;
}

/* query-nodes: of images, not of drives. */
void qmp_query_blockstats(struct qmp_call *q)
{
    bool nodes = qmp_boolean(q, "query-nodes", false);
    struct outside_drive d;

    q->ret = json_array();
    EACH_DRIVE(q, d) {
        json_t *j = nodes && d.drive->disk ? json_object() : nodes ? NULL : names(q, &d);

        if (!j)
            continue;
        json_object_set_new(j, "stats", stats(&d));
        if (d.drive->disk)
            json_object_set_new(j, "node-name", json_string(d.drive->id));
        json_array_append_new(q->ret, j);
    }
}
