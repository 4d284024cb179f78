/*
 * qmp_types.c - QMP's questions about what could be: types of devices, machines and processors, options of the
 * command line; and the tree of objects of this machine with their properties.
 *
 * Both are made when they are asked for, of the tables of which everything else is made (plugs.def, cpuid.def,
 * boards, options.def) and of the devices that the command line made; nothing else is in the tree:
 *
 *   /machine                                   of type BOARD-machine
 *   /machine/peripheral/ID                     devices with an id
 *   /machine/peripheral-anon/device[N]         those without
 *   /machine/unattached/device[N]              processors
 *   /objects/ID                                memory backends and secrets, sources of random bytes
 */
#include "debug/qmp_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "debug/outside.h"
#include "frontend/cpu.h"
#include "frontend/cpu_model.h"
#include "host/memdev.h"
#include "host/rng.h"
#include "host/secret.h"
#include "hw/boards.h"
#include "hw/chardev_if.h"
#include "hw/disk_if.h"
#include "hw/fs_if.h"
#include "hw/net_if.h"
#include "hw/plug.h"
#include "translator/backend.h"

#define TYPE_MAX 80             /* bytes of a type's name */

/* ---- types ---- */

/* What no other table has; real: there are instances. Rows come behind those of their parents. */
static const struct fixed { const char *name, *parent; bool real; } fixed[] = {
    { "object", NULL, false },
    { "machine", "object", false },
    { "device", "object", false },
    { "cpu", "device", false },
    { "x86_64-cpu", "cpu", false },
    { "pci-device", "device", false },
    { "isa-device", "device", false },
    { "ide-device", "device", false },
    { "scsi-device", "device", false },
    { "usb-device", "device", false },
    { "hda-codec", "device", false },
    { "virtio-serial-port", "device", false },
    { "memory-backend", "object", false },
    { "secret_common", "object", false },
    { "secret", "secret_common", true },
    { "rng-backend", "object", false },
    { "rng-random", "rng-backend", true },
    { "rng-builtin", "rng-backend", true },
    { "accel", "object", false },
    { "tcg-accel", "accel", true },     /* what libvirt looks for; a build without code generator refuses -accel tcg */
};

static const struct fixed *fixed_nth(unsigned n)
{
    return n < sizeof(fixed) / sizeof(fixed[0]) - !backend_exists ? &fixed[n] : NULL;
}

/* Of a device, by the bus it sits on. */
static const char *parent_of(const struct plug *p)
{
    static const struct { const char *bus, *parent; } buses[] = {
        { "PCI", "pci-device" }, { "ISA", "isa-device" }, { "IDE", "ide-device" },
        { "SCSI", "scsi-device" }, { "USB", "usb-device" }, { "HDA", "hda-codec" },
        { "virtio-serial-bus", "virtio-serial-port" },
    };

    for (unsigned i = 0; i < sizeof(buses) / sizeof(buses[0]); i++)
        if (strcmp(buses[i].bus, p->bus) == 0)
            return buses[i].parent;
    return "device";
}

static bool descends(const char *type, const char *from)
{
    while (type && strcmp(type, from)) {
        const struct fixed *f;
        unsigned i = 0;

        while ((f = fixed_nth(i)) && strcmp(f->name, type))
            i++;
        type = f ? f->parent : NULL;
    }
    return type;
}

static void add_type(struct qmp_call *q, const char *name, const char *parent, bool is_abstract)
{
    const char *implements = qmp_string(q, "implements");
    json_t *j;

    if ((implements && strcmp(name, implements) && !descends(parent, implements)) ||
        (is_abstract && !qmp_boolean(q, "abstract", true)))
        return;
    j = json_pack("{s:s}", "name", name);
    if (is_abstract)
        json_object_set_new(j, "abstract", json_true());
    if (parent)
        json_object_set_new(j, "parent", json_string(parent));
    json_array_append_new(q->ret, j);
}

void qmp_qom_list_types(struct qmp_call *q)
{
    char name[TYPE_MAX];

    q->ret = json_array();
    for (unsigned i = 0; fixed_nth(i); i++)
        add_type(q, fixed_nth(i)->name, fixed_nth(i)->parent, !fixed_nth(i)->real);
    for (unsigned i = 0; plug_nth(i); i++)
        add_type(q, plug_nth(i)->name, parent_of(plug_nth(i)), false);
    for (unsigned i = 0; cpu_model_nth(i); i++) {
        qmp_cpu_type(cpu_model_nth(i), name, sizeof(name));
        add_type(q, name, "x86_64-cpu", false);
    }
    for (unsigned c = 0; c < MEMDEV_CLASSES; c++)
        add_type(q, memdev_class_name(c), "memory-backend", false);
    for (unsigned i = 0; q->m->outside && q->m->outside->board(i); i++) {
        snprintf(name, sizeof(name), "%s-machine", q->m->outside->board(i)->name);
        add_type(q, name, "machine", false);
    }
}

void qmp_cpu_type(const char *model, char *buf, size_t len)
{
    snprintf(buf, len, "%s-x86_64-cpu", model);
}

/* The model that a processor's type is named after; NULL: it is none. */
static const char *model_of(const char *type)
{
    char name[TYPE_MAX];

    for (unsigned i = 0; cpu_model_nth(i); i++) {
        qmp_cpu_type(cpu_model_nth(i), name, sizeof(name));
        if (strcmp(name, type) == 0)
            return cpu_model_nth(i);
    }
    return NULL;
}

/* ---- properties of types ---- */

static const char *type_name(const struct prop *p)
{
    return p->type == PROP_NUMBER ? "uint64" : p->type == PROP_SIZE ? "size" : p->type == PROP_BOOL ? "bool" : "str";
}

static void add_property(json_t *list, const char *name, const char *type, const char *what)
{
    json_t *j = json_pack("{s:s, s:s}", "name", name, "type", type);

    if (what)
        json_object_set_new(j, "description", json_string(what));
    json_array_append_new(list, j);
}

/* The n-th property of a device, those that all have last; NULL behind them. */
static const struct prop *nth_prop(const struct plug *plug, unsigned n)
{
    for (const struct prop *p = plug->props; p && p->name; p++)
        if (!n--)
            return p;
    return plug_common_nth(n);
}

static void device_properties(json_t *list, const struct plug *plug)
{
    const struct prop *p;

    for (unsigned i = 0; (p = nth_prop(plug, i)); i++)
        add_property(list, p->name, type_name(p), p->help);
}

static const char *memdev_type(const struct memdev_prop *p)
{
    static const char *const types[] = { [MEMDEV_BOOL] = "bool", [MEMDEV_CHOICE] = "bool", [MEMDEV_SIZE] = "int",
                                         [MEMDEV_TEXT] = "string", [MEMDEV_POLICY] = "HostMemPolicy",
                                         [MEMDEV_NODE_SET] = "int" };

    return types[p->type];
}

static void memdev_properties(json_t *list, enum memdev_class class)
{
    const struct memdev_prop *p;

    for (unsigned i = 0; (p = memdev_prop_nth(class, i)); i++)
        add_property(list, p->name, memdev_type(p), p->help);
}

void qmp_object_members(json_t *list)
{
    static const char *const types[] = { [MEMDEV_BOOL] = "bool", [MEMDEV_CHOICE] = "bool", [MEMDEV_SIZE] = "int",
                                         [MEMDEV_TEXT] = "str", [MEMDEV_POLICY] = "str",
                                         [MEMDEV_NODE_SET] = "[any]" };
    const struct memdev_prop *p;

    for (unsigned c = 0; c < MEMDEV_CLASSES; c++)
        for (unsigned i = 0; (p = memdev_prop_nth(c, i)); i++)
            if ((unsigned)__builtin_ctz(p->classes) == c)       /* once */
                json_array_append_new(list, json_pack("{s:s, s:s, s:n}", "name", p->name, "type",
                                                      types[p->type], "default"));
}

/* Each name of a feature by itself: f's are parted by blanks. */
static void each_feature(const struct cpu_model *m, void (*fn)(void *, const char *, bool), void *arg)
{
    enum x86_feat f;
    const char *names;
    char name[40];

    for (unsigned i = 0; (names = cpu_feature_nth(i, &f)); i++)
        for (; *names; names += strcspn(names, " "), names += *names == ' ') {
            snprintf(name, sizeof(name), "%.*s", (int)strcspn(names, " "), names);
            fn(arg, name, m && model_has(m, f));
        }
}

static void list_feature(void *list, const char *name, bool on)
{
    add_property(list, name, "bool", NULL);
}

static void set_feature(void *props, const char *name, bool on)
{
    json_object_set_new(props, name, json_boolean(on));
}

void qmp_device_list_properties(struct qmp_call *q)
{
    const char *name = qmp_string(q, "typename");
    const struct plug *plug = plug_find(name);

    if (!plug && !model_of(name)) {
        qmp_fail(q, "Device '%.100s' not found", name);
        q->class = "DeviceNotFound";
        return;
    }
    q->ret = json_array();
    if (plug)
        device_properties(q->ret, plug);
    else
        each_feature(NULL, list_feature, q->ret);
}

void qmp_qom_list_properties(struct qmp_call *q)
{
    const char *name = qmp_string(q, "typename");
    const struct plug *plug = plug_find(name);
    enum memdev_class class = memdev_class_find(name);
    bool known = plug || model_of(name) || class < MEMDEV_CLASSES;
    size_t n = strlen(name);

    for (unsigned i = 0; !known && fixed_nth(i); i++)
        known = strcmp(name, fixed_nth(i)->name) == 0;
    for (unsigned i = 0; !known && q->m->outside && q->m->outside->board(i); i++) {
        const char *board = q->m->outside->board(i)->name;

        known = n == strlen(board) + 8 && strncmp(name, board, n - 8) == 0 && strcmp(name + n - 8, "-machine") == 0;
    }
    if (!known) {
        qmp_fail(q, "Class '%.100s' not found", name);
        q->class = "DeviceNotFound";
        return;
    }
    q->ret = json_array();
    add_property(q->ret, "type", "string", NULL);
    if (plug)
        device_properties(q->ret, plug);
    else if (model_of(name))
        each_feature(NULL, list_feature, q->ret);
    else if (class < MEMDEV_CLASSES)
        memdev_properties(q->ret, class);
}

/* What tells a processor from others, beside its features. */
static void set_identity(json_t *props, const struct cpu_model *m)
{
    json_object_set_new(props, "vendor", json_string(m->vendor));
    json_object_set_new(props, "family", json_integer(m->family));
    json_object_set_new(props, "model", json_integer(m->model));
    json_object_set_new(props, "stepping", json_integer(m->stepping));
    json_object_set_new(props, "model-id", json_string(m->brand));
}

/* A model of that name, by its `props` with more or fewer features; what it was told to be may come along. NULL: it failed. */
static struct cpu_model *model_with(struct qmp_call *q, const char *name, json_t *props)
{
    json_t *own = json_object(), *val;
    const char *key, *wrong = NULL;
    struct cpu_model *m = NULL;
    char spec[4096];
    bool known = false;

    for (unsigned i = 0; cpu_model_nth(i); i++)
        known |= strcmp(cpu_model_nth(i), name) == 0;
    if (!known)
        qmp_fail(q, "CPU model '%.100s' not found", name);
    else if (!(wrong = cpu_model_parse(name, &m)))
        set_identity(own, m);
    snprintf(spec, sizeof(spec), "%s", name);
    json_object_foreach(props, key, val) {
        size_t n = strlen(spec);

        if (*q->error || json_equal(val, json_object_get(own, key)))
            continue;
        if (json_object_get(own, key))
            qmp_fail(q, "Property '%s.%.60s' cannot be another", name, key);
        else if (!json_is_boolean(val) || strchr(key, ',') || n + strlen(key) + 8 > sizeof(spec))
            qmp_fail(q, "Invalid parameter type for 'model.props.%.60s', expected: boolean", key);
        else
            snprintf(spec + n, sizeof(spec) - n, ",%s=%s", key, json_is_true(val) ? "on" : "off");
    }
    free(m);
    m = NULL;
    if (!wrong && !*q->error)
        wrong = cpu_model_parse(spec, &m);
    if (wrong)
        qmp_fail(q, "%s", wrong);
    json_decref(own);
    return m;
}

/*
 * "static" is answered in full, too: no name here stands for a set of features that later versions will keep. "host" is what
 * libvirt calls the best processor that a guest can have, whatever runs it, and takes the host's own features for where that
 * is not answered: here the best is "max". As in QEMU it has no invariant TSC unless it is "migratable": false, since libvirt saves
 * no machine whose processor has one.
 */
void qmp_query_cpu_model_expansion(struct qmp_call *q)
{
    const char *type = qmp_string(q, "type");
    const json_t *model = json_object_get(q->args, "model");
    const char *name = json_string_value(json_object_get(model, "name"));
    struct cpu_model *m;
    json_t *all, *props;

    if (strcmp(type, "full") && strcmp(type, "static")) {
        qmp_fail(q, "Parameter 'type' does not accept value '%.60s'", type);
        return;
    }
    if (!name) {
        qmp_fail(q, "Parameter 'model.name' is missing");
        return;
    }
    props = json_copy(json_object_get(model, "props"));
    if (strcmp(name, "host") == 0) {
        name = "max";
        if (!props)
            props = json_object();
        if (!json_is_false(json_object_get(props, "migratable")))
            json_object_set_new(props, "invtsc", json_false());
    }
    m = model_with(q, name, props);
    json_decref(props);
    if (!m)
        return;
    all = json_object();
    each_feature(m, set_feature, all);
    set_identity(all, m);
    free(m);
    q->ret = json_pack("{s:{s:s, s:o}}", "model", "name", name, "props", all);
}

/* ---- objects ---- */

enum place { NOWHERE, ROOT, MACHINE, PERIPHERAL, ANON, UNATTACHED, OBJECTS, DEVICE, CPU, MEMORY, SECRET, RNG };

struct object {
    enum place place;
    const struct plug_use *use;         /* DEVICE */
    const struct memdev *memory;        /* MEMORY */
    const struct rng_source *rng;       /* RNG */
};

static const struct { const char *path; enum place place; } places[] = {
    { "/", ROOT }, { "/machine", MACHINE }, { "/machine/peripheral", PERIPHERAL },
    { "/machine/peripheral-anon", ANON }, { "/machine/unattached", UNATTACHED }, { "/objects", OBJECTS },
};

/* The n-th device with or without an id. */
static const struct plug_use *nth_use(struct machine *m, bool named, unsigned n)
{
    for (const struct plug_use *u = m->cfg.devices; u; u = u->next)
        if (!u->props->id == !named && !n--)
            return u;
    return NULL;
}

void qmp_cpu_path(unsigned cpu, char *buf, size_t len)
{
    snprintf(buf, len, "/machine/unattached/device[%u]", cpu);
}

/* False: there is no such object; the error is said. */
static bool find(struct qmp_call *q, struct object *o)
{
    const char *path = qmp_string(q, "path");
    const struct plug_use *u;
    char name[TYPE_MAX + 40];

    *o = (struct object){ .place = NOWHERE };
    for (unsigned i = 0; i < sizeof(places) / sizeof(places[0]); i++)
        if (strcmp(places[i].path, path) == 0)
            o->place = places[i].place;
    for (unsigned i = 0; (u = nth_use(q->m, true, i)) && !o->place; i++)
        if (strncmp(path, "/machine/peripheral/", 20) == 0 && strcmp(path + 20, u->props->id) == 0)
            *o = (struct object){ .place = DEVICE, .use = u };
    for (unsigned i = 0; (u = nth_use(q->m, false, i)) && !o->place; i++) {
        snprintf(name, sizeof(name), "/machine/peripheral-anon/device[%u]", i);
        if (strcmp(name, path) == 0)
            *o = (struct object){ .place = DEVICE, .use = u };
    }
    for (unsigned i = 0; i < q->m->ncpu && !o->place; i++) {
        qmp_cpu_path(i, name, sizeof(name));
        if (strcmp(name, path) == 0)
            o->place = CPU;
    }
    if (strncmp(path, "/objects/", 9) == 0 && (o->memory = memdev_find(q->m->memdevs, path + 9)))
        o->place = MEMORY;
    else if (strncmp(path, "/objects/", 9) == 0 && secret_find(q->m->secrets, path + 9))
        o->place = SECRET;
    for (const struct rng_source *s = q->m->rngs; s && !o->place; s = s->next)
        if (strncmp(path, "/objects/", 9) == 0 && strcmp(path + 9, s->id) == 0)
            *o = (struct object){ .place = RNG, .rng = s };
    if (o->place)
        return true;
    qmp_fail(q, "Device '%.100s' not found", path);
    q->class = "DeviceNotFound";
    return false;
}

static void add_child(json_t *list, const char *name, const char *type)
{
    char text[TYPE_MAX + 8];

    snprintf(text, sizeof(text), "child<%s>", type);
    add_property(list, name, text, NULL);
}

static const char *rng_type(const struct rng_source *s)
{
    return s->file ? "rng-random" : "rng-builtin";
}

static void type_of(struct qmp_call *q, const struct object *o, char *buf, size_t len)
{
    switch (o->place) {
    case MACHINE: snprintf(buf, len, "%s-machine", q->m->cfg.board->name); break;
    case DEVICE:  snprintf(buf, len, "%s", o->use->plug->name); break;
    case MEMORY:  snprintf(buf, len, "%s", memdev_class_name(o->memory->class)); break;
    case CPU:     qmp_cpu_type(cpu_model_nth(0), buf, len); break;
    case SECRET:  snprintf(buf, len, "secret"); break;
    case RNG:     snprintf(buf, len, "%s", rng_type(o->rng)); break;
    default:      snprintf(buf, len, "container"); break;
    }
}

static void add_uses(struct qmp_call *q, bool named)
{
    const struct plug_use *u;
    char name[24];

    for (unsigned i = 0; (u = nth_use(q->m, named, i)); i++) {
        snprintf(name, sizeof(name), "device[%u]", i);
        add_child(q->ret, named ? u->props->id : name, u->plug->name);
    }
}

void qmp_qom_list(struct qmp_call *q)
{
    struct object o;
    char type[TYPE_MAX], name[24];

    if (!find(q, &o))
        return;
    q->ret = json_array();
    add_property(q->ret, "type", "string", NULL);
    switch (o.place) {
    case ROOT:
        type_of(q, &(struct object){ .place = MACHINE }, type, sizeof(type));
        add_child(q->ret, "machine", type);
        add_child(q->ret, "objects", "container");
        break;
    case MACHINE:
        for (unsigned i = 0; i < sizeof(places) / sizeof(places[0]); i++)
            if (strncmp(places[i].path, "/machine/", 9) == 0)
                add_child(q->ret, places[i].path + 9, "container");
        break;
    case OBJECTS:
        for (const struct memdev *d = q->m->memdevs; d; d = d->next)
            add_child(q->ret, d->id, memdev_class_name(d->class));
        for (const struct secret *s = q->m->secrets; s; s = s->next)
            add_child(q->ret, s->id, "secret");
        for (const struct rng_source *s = q->m->rngs; s; s = s->next)
            add_child(q->ret, s->id, rng_type(s));
        break;
    case PERIPHERAL:
    case ANON:
        add_uses(q, o.place == PERIPHERAL);
        break;
    case UNATTACHED:
        type_of(q, &(struct object){ .place = CPU }, type, sizeof(type));
        for (unsigned i = 0; i < q->m->ncpu; i++) {
            snprintf(name, sizeof(name), "device[%u]", i);
            add_child(q->ret, name, type);
        }
        break;
    case DEVICE: device_properties(q->ret, o.use->plug); break;
    case MEMORY: memdev_properties(q->ret, o.memory->class); break;
    case RNG:
        if (o.rng->file)
            add_property(q->ret, "filename", "string", NULL);
        break;
    case CPU:    each_feature(NULL, list_feature, q->ret); break;
    default:     break;         /* what a secret is nobody is told */
    }
}

static json_t *text_or_empty(const char *s)
{
    return json_string(s ? s : "");
}

/* What a device's property is set to; NULL: it cannot be said. */
static json_t *value_of(const struct plug_use *u, const struct prop *p)
{
    const uint8_t *at = (const uint8_t *)u->props + p->offset;
    const struct plug_common *c = u->props;
    const void *thing;
    char text[24];

    if (strcmp(p->name, "addr") == 0 && !plug_own_prop(u->plug, p)) {
        snprintf(text, sizeof(text), "%02x.%x", (unsigned)c->slot & 0x1f, (unsigned)c->fn);
        return json_string(c->slot < 0 ? "" : text);
    }
    if (strcmp(p->name, "bootindex") == 0 && !plug_own_prop(u->plug, p))
        return json_integer(c->bootindex);
    memcpy(&thing, at, p->type == PROP_BOOL || p->type == PROP_MAC || p->type == PROP_WORD ? 1 : sizeof(thing));
    switch (p->type) {
    case PROP_NUMBER:
    case PROP_SIZE:    return json_integer((json_int_t)*(const uint64_t *)(const void *)at);
    case PROP_BOOL:    return json_boolean(*(const bool *)(const void *)at);
    case PROP_WORD:    return json_string(p->words[*(const unsigned *)(const void *)at]);
    case PROP_STRING:  return text_or_empty(thing);
    case PROP_DRIVE:   return text_or_empty(thing ? ((const struct drive *)thing)->id : NULL);
    case PROP_NETDEV:  return text_or_empty(thing ? ((const struct net *)thing)->id : NULL);
    case PROP_CHARDEV: return text_or_empty(thing ? ((const struct chardev_slot *)thing)->id : NULL);
    case PROP_FSDEV:   return text_or_empty(thing ? ((const struct fs *)thing)->id : NULL);
    case PROP_MAC:
        snprintf(text, sizeof(text), "%02x:%02x:%02x:%02x:%02x:%02x", at[0], at[1], at[2], at[3], at[4], at[5]);
        return json_string(text);
    case PROP_RNG:     return text_or_empty(thing ? ((const struct rng *)thing)->id : NULL);
    case PROP_AUDIODEV: break;
    }
    return NULL;
}

/* NULL: it has no such property. */
static json_t *memory_value(const struct memdev *d, const char *name)
{
    const struct memdev_prop *p = memdev_prop_find(d->class, name);
    const void *at = p ? (const char *)d + p->offset : NULL;

    if (!p)
        return NULL;
    switch (p->type) {
    case MEMDEV_BOOL:     return json_boolean(*(const bool *)at);
    case MEMDEV_CHOICE:   return json_boolean(at == &d->dump ? d->dump != MEMDEV_OFF : d->reserved);
    case MEMDEV_SIZE:     return json_integer((json_int_t)*(const uint64_t *)at);
    case MEMDEV_TEXT:     return text_or_empty(d->path);
    case MEMDEV_POLICY:   return json_string(memdev_policy_name(d->policy));
    case MEMDEV_NODE_SET: return qmp_memdev_nodes(d);
    }
    return NULL;
}

/* A processor's feature; the machine's processors are all alike. */
static json_t *feature_of(struct qmp_call *q, const char *name)
{
    json_t *all = json_object(), *found;

    each_feature(q->m->cpu[0]->model, set_feature, all);
    found = json_incref(json_object_get(all, name));
    json_decref(all);
    return found;
}

void qmp_qom_get(struct qmp_call *q)
{
    const char *name = qmp_string(q, "property");
    const struct prop *p;
    char type[TYPE_MAX];
    struct object o;

    if (!find(q, &o))
        return;
    type_of(q, &o, type, sizeof(type));
    p = o.place == DEVICE ? plug_prop(o.use->plug, name) : NULL;
    if (strcmp(name, "type") == 0)
        q->ret = json_string(type);
    else if (p)
        q->ret = value_of(o.use, p);
    else if (o.place == CPU)
        q->ret = feature_of(q, name);
    else if (o.place == MEMORY)
        q->ret = memory_value(o.memory, name);
    else if (o.place == RNG && o.rng->file && strcmp(name, "filename") == 0)
        q->ret = json_string(o.rng->file);
    if (!q->ret && p)
        qmp_fail(q, "Property '%s.%.60s' cannot be read", type, name);
    else if (!q->ret)
        qmp_fail(q, "Property '%s.%.60s' not found", type, name);
}

/* ---- options of the command line ---- */

/* The type of a value, by the word that the usage has for it. */
static const char *value_type(const char *s, size_t n)
{
    static const char *const numbers[] = { "N", "MIB", "MS", "HZ", "BYTES" };

    if (n >= 6 && strncmp(s, "on|off", 6) == 0)
        return "boolean";
    if (n == 4 && strncmp(s, "SIZE", 4) == 0)
        return "size";
    for (unsigned i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        if (strlen(numbers[i]) == n && strncmp(numbers[i], s, n) == 0)
            return "number";
    return "string";
}

/* Parameters are what the usage has as "name=VALUE" or "[name=]VALUE". */
static json_t *parameters(const char *usage)
{
    json_t *list = json_array();

    for (const char *s = usage; s && *s;) {
        size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-_.");
        const char *val = s + n + 1;

        if (n && s[n] == '=' && (s == usage || strchr("[,|", s[-1]))) {
            val += *val == ']';
            json_array_append_new(list, json_pack("{s:s%, s:s}", "name", s, n, "type",
                                                  value_type(val, strcspn(val, "[],"))));
        }
        s += n + (s[n] != 0);
    }
    return list;
}

void qmp_query_command_line_options(struct qmp_call *q)
{
    const char *only = qmp_string(q, "option"), *names, *usage;

    q->ret = json_array();
    for (unsigned i = 0; q->m->outside && q->m->outside->option(i, &names, &usage); i++)
        for (const char *s = names; s && *s; s += strcspn(s, " "), s += *s == ' ') {
            size_t n = strcspn(s, " ");

            if (!only || (strlen(only) == n && strncmp(only, s, n) == 0))
                json_array_append_new(q->ret,
                                      json_pack("{s:s%, s:o}", "option", s, n, "parameters", parameters(usage)));
        }
    if (only && !json_array_size(q->ret)) {
        qmp_fail(q, "invalid option name: %.100s", only);
        json_decref(q->ret);
        q->ret = NULL;
    }
}
