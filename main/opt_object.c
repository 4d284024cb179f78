/*
 * opt_object.c - -object, and object-add and object-del of monitors: captures of networks (opt_net.c makes them), secrets, memory backends;
 * and which of these is the machine's memory.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/log.h"
#include "hw/boards.h"
#include "main/options_priv.h"

static void help(void)
{
    printf("Objects:\n  %-22s a network's frames go to a file\n", "filter-dump");
    for (unsigned c = 0; c < MEMDEV_CLASSES; c++)
        printf("  %-22s %s\n", memdev_class_name(c), memdev_class_help(c));
    printf("  %-22s a password or a key, as data= or in file=\n", "secret");
    printf("  %-22s the host's kernel, for -device virtio-rng-pci,rng=ID\n  %-22s the same from "
           "filename=FILE (/dev/urandom)\n", "rng-builtin", "rng-random");
    printf("CLASS,help lists the properties of a memory backend\n");
    exit(0);
}

static void help_properties(enum memdev_class class)
{
    const struct memdev_prop *p;

    printf("%s: %s\n", memdev_class_name(class), memdev_class_help(class));
    for (unsigned i = 0; (p = memdev_prop_nth(class, i)); i++)
        printf("  %-38s %s\n", p->name, p->help);
    exit(0);
}

/* ---- reading ---- */

/* The value of that name; the class may come first without one. NULL: it is not there. */
static const char *value(struct options *o, const char *list, const char *name)
{
    bool first = true, class = strcmp(name, "qom-type") == 0;
    const char *found = NULL;
    struct arg_item it;

    for (; arg_next(&list, &it); first = false) {
        if (it.val && strcmp(it.key, name) == 0)
            found = options_keep(o, it.val);
        else if (first && class && !it.val)
            found = options_keep(o, it.key);
    }
    return found;
}

static bool is_type(const json_t *j, enum memdev_type type)
{
    switch (type) {
    case MEMDEV_BOOL:
    case MEMDEV_CHOICE:   return json_is_boolean(j);
    case MEMDEV_SIZE:     return json_is_integer(j);
    case MEMDEV_NODE_SET: return json_is_array(j);
    default:              return json_is_string(j);
    }
}

/* Words of a list are of no type, JSON's are. */
static void check_type(const char *opt, const struct memdev_prop *p, const json_t *val)
{
    static const char *const names[] = { [MEMDEV_BOOL] = "boolean", [MEMDEV_CHOICE] = "boolean",
                                         [MEMDEV_SIZE] = "integer",
                                         [MEMDEV_TEXT] = "string", [MEMDEV_POLICY] = "string",
                                         [MEMDEV_NODE_SET] = "array" };
    const json_t *one;
    size_t i;

    if (!is_type(val, p->type))
        die(EXIT_CODE_USAGE, "%s: Invalid parameter type for '%s', expected: %s", opt, p->name, names[p->type]);
    json_array_foreach(val, i, one)
        if (!json_is_integer(one))
            die(EXIT_CODE_USAGE, "%s: Invalid parameter type for '%s[%zu]', expected: integer", opt, p->name, i);
}

/* "nodes": [0, 1] is nodes=0,nodes=1 in a list, behind the others. */
static const char *with_arrays(struct options *o, const char *list, json_t *arrays)
{
    const char *key;
    json_t *val, *one;
    char *text = NULL;
    size_t len = 0, i;
    FILE *to = open_memstream(&text, &len);

    if (!to)
        die(EXIT_CODE_HOST, "out of memory");
    fputs(list, to);
    json_object_foreach(arrays, key, val)
        json_array_foreach(val, i, one)
            fprintf(to, ",%s=%" JSON_INTEGER_FORMAT, key, json_integer_value(one));
    fclose(to);
    list = options_keep(o, text);
    free(text);
    return list;
}

static const char *from_json(struct options *o, const char *opt, const char *text)
{
    json_t *j = options_json(opt, text), *arrays = json_object(), *val;
    const char *class = json_string_value(json_object_get(j, "qom-type")), *key, *list;
    enum memdev_class c = class ? memdev_class_find(class) : MEMDEV_CLASSES;
    void *next;

    json_object_foreach_safe(j, next, key, val) {
        const struct memdev_prop *p = c < MEMDEV_CLASSES ? memdev_prop_find(c, key) : NULL;

        if (!p)
            continue;
        check_type(opt, p, val);
        if (!json_is_array(val))
            continue;
        json_object_set(arrays, key, val);
        json_object_del(j, key);
    }
    list = with_arrays(o, options_json_list(o, opt, j), arrays);
    json_decref(arrays);
    json_decref(j);
    return list;
}

static void set_property(struct memdev *d, const char *opt, const struct arg_item *it)
{
    const struct memdev_prop *p = memdev_prop_find(d->class, it->key);
    char err[300];

    if (!p)
        die(EXIT_CODE_USAGE, "%s %s: Parameter '%.100s' is unexpected: -object %s,help lists what it takes",
            opt, memdev_class_name(d->class), it->key,
            memdev_class_name(d->class));
    if (!memdev_set(d, p, it->val, err, sizeof(err)))
        die(EXIT_CODE_USAGE, "%s %s,id=%s: %s", opt, memdev_class_name(d->class), d->id, err);
}

/* A letter, then letters, digits, '-', '.' and '_'. */
static bool well_formed(const char *id)
{
    bool ok = isalpha((unsigned char)*id);

    for (; ok && *id; id++)
        ok = isalnum((unsigned char)*id) || strchr("-._", *id);
    return ok;
}

bool options_object_called(const struct options *o, const char *id)
{
    for (const struct rng_source *s = o->rngs; s; s = s->next)
        if (strcmp(s->id, id) == 0)
            return true;
    return memdev_find(o->memdevs, id) || secret_find(o->secrets, id) || options_dump_called(o, id);
}

/* The id of a new object. */
static const char *new_id(struct options *o, const char *opt, const char *class, const char *list)
{
    const char *id = value(o, list, "id");

    if (!id)
        die(EXIT_CODE_USAGE, "%s %s: Parameter 'id' is missing: add id=NAME", opt, class);
    if (!well_formed(id))
        die(EXIT_CODE_USAGE, "%s %s: id=%s: Parameter 'id' expects an identifier: a letter, then letters, "
                             "digits, '-', '.' and '_'", opt, class, id);
    if (options_object_called(o, id))
        die(EXIT_CODE_USAGE, "%s %s: there is an object of id=%s already: take another", opt, class, id);
    return id;
}

/* Is that word one that each object has: its class, its id? */
static bool names_it(const struct arg_item *it, bool first)
{
    return strcmp(it->key, "qom-type") == 0 || strcmp(it->key, "id") == 0 || (first && !it->val);
}

static bool is_base64(const char *opt, const char *id, const char *format)
{
    if (format && strcmp(format, "raw") && strcmp(format, "base64"))
        die(EXIT_CODE_USAGE, "%s secret,id=%s: format=%s: use raw or base64", opt, id, format);
    return format && strcmp(format, "base64") == 0;
}

static void add_secret(struct options *o, const char *opt, const char *list)
{
    const char *id = new_id(o, opt, "secret", list), *data = value(o, list, "data"), *file = value(o, list, "file");
    bool base64 = is_base64(opt, id, value(o, list, "format")), first = true;
    struct secret *s, **end = &o->secrets;
    struct arg_item it;
    char err[400];
    int code;

    for (const char *rest = list; arg_next(&rest, &it); first = false) {
        if (strcmp(it.key, "keyid") == 0 || strcmp(it.key, "iv") == 0)
            die(EXIT_CODE_USAGE, "%s secret,id=%s: %s=: secrets that are encrypted with another are not "
                                 "understood: use file=", opt, id, it.key);
        if (!names_it(&it, first) && strcmp(it.key, "data") && strcmp(it.key, "file") && strcmp(it.key, "format"))
            die(EXIT_CODE_USAGE, "%s secret: Parameter '%.100s' is unexpected: use id=, data= or file=, "
                                 "and format=raw or base64", opt, it.key);
    }
    if (!data == !file)
        die(EXIT_CODE_USAGE, "%s secret,id=%s: needs one of data=TEXT and file=PATH", opt, id);
    s = secret_new(id, data, file, base64, &code, err, sizeof(err));
    if (!s)
        die(code, "%s secret,id=%s: %s", opt, id, err);
    while (*end)
        end = &(*end)->next;
    *end = s;
}

static void add_rng(struct options *o, const char *opt, const char *class, const char *list)
{
    const char *id = new_id(o, opt, class, list), *file = value(o, list, "filename");
    bool kernel = strcmp(class, "rng-builtin") == 0, first = true;
    struct rng_source **end = &o->rngs;
    struct arg_item it;

    for (const char *rest = list; arg_next(&rest, &it); first = false)
        if (!names_it(&it, first) && (kernel || strcmp(it.key, "filename")))
            die(EXIT_CODE_USAGE, "%s %s: Parameter '%.100s' is unexpected: use id=%s", opt, class, it.key,
                kernel ? "" : " and filename=FILE");
    while (*end)
        end = &(*end)->next;
    *end = rng_source_new(id, kernel ? NULL : file ? file : "/dev/urandom");
}

static void add_memdev(struct options *o, const char *opt, enum memdev_class class, const char *list)
{
    const char *id = new_id(o, opt, memdev_class_name(class), list);
    struct memdev *d, **end = &o->memdevs;
    struct arg_item it;

    while (*end)
        end = &(*end)->next;
    d = *end = memdev_new(class, id);
    for (bool first = true; arg_next(&list, &it); first = false) {
        if (!names_it(&it, first))
            set_property(d, opt, &it);
    }
    if (!d->size)
        die(EXIT_CODE_USAGE, "%s %s,id=%s: Parameter 'size' is missing: add size=SIZE", opt,
            memdev_class_name(class), id);
    if (class == MEMDEV_FILE && !d->path)
        die(EXIT_CODE_USAGE, "%s %s,id=%s: Parameter 'mem-path' is missing: add mem-path=PATH", opt,
            memdev_class_name(class), id);
}

static void add_object(struct options *o, const char *opt, const char *list)
{
    const char *name = value(o, list, "qom-type");
    enum memdev_class class = name ? memdev_class_find(name) : MEMDEV_CLASSES;

    if (!name)
        die(EXIT_CODE_USAGE, "%s: Parameter 'qom-type' is missing: the class comes first (-object help "
                             "lists them)", opt);
    if (class < MEMDEV_CLASSES)
        add_memdev(o, opt, class, list);
    else if (strcmp(name, "secret") == 0)
        add_secret(o, opt, list);
    else if (strcmp(name, "rng-random") == 0 || strcmp(name, "rng-builtin") == 0)
        add_rng(o, opt, name, list);
    else if (strcmp(name, "filter-dump") == 0)
        options_add_dump(o, opt, list);
    else
        die(EXIT_CODE_USAGE, "%s: there is no object '%s': -object help lists what there is", opt, name);
}

void opt_object(struct options *o, const char *opt, const char *val)
{
    const char *list = *val == '{' ? from_json(o, opt, val) : val, *name = value(o, list, "qom-type");
    enum memdev_class class = name ? memdev_class_find(name) : MEMDEV_CLASSES;
    struct arg_item it;

    if (name && arg_is_help(name))
        help();
    for (const char *s = list; class < MEMDEV_CLASSES && arg_next(&s, &it);)
        if (!it.val && arg_is_help(it.key))
            help_properties(class);
    add_object(o, opt, list);
}

/* ---- the machine's memory ---- */

void opt_mem_path(struct options *o, const char *opt, const char *val)
{
    o->mem_path = options_keep(o, val);
}

void opt_mem_prealloc(struct options *o, const char *opt, const char *val)
{
    o->mem_prealloc = true;
}

/* QEMU's name of a board's memory. */
static const char *own_id(const struct options *o)
{
    return o->cfg.board->ram_id;
}

static void take_named(struct options *o)
{
    struct memdev *d = memdev_find(o->memdevs, o->memory_backend);

    if (!d)
        die(EXIT_CODE_USAGE, "-machine: Memory backend '%s' not found: -object "
                             "memory-backend-ram,id=%s,size=SIZE makes one", o->memory_backend,
            o->memory_backend);
    if (o->mem_path || o->mem_prealloc)
        die(EXIT_CODE_USAGE, "-mem-path and -mem-prealloc cannot be used together with -machine "
                             "memory-backend=: use mem-path= and prealloc= of "
            "-object");
    if (d->readonly)
        die(EXIT_CODE_USAGE, "-machine: memory-backend=%s: a machine writes to its memory, and that is "
                             "readonly=on: leave this out (with share=off "
            "the file is only read)", d->id);
    if (o->cfg.ram && o->cfg.ram != d->size)
        die(EXIT_CODE_USAGE, "-m: Machine memory size does not match the size of the memory backend: %" PRIu64 " bytes, and %s has %" PRIu64
            ": leave -m out, or use the same size", o->cfg.ram, d->id, d->size);
    options_check_memory("-object", d->id, d->size);
    o->cfg.ram = d->size;
    o->memory = d;
}

/* What is said of memory that is no -object. */
static void make_own(struct options *o)
{
    struct memdev *d;

    if (memdev_find(o->memdevs, own_id(o)))
        die(EXIT_CODE_USAGE, "-object: id=%s is reserved for the machine's own memory: take another, or "
                             "use -machine memory-backend=%s", own_id(o),
            own_id(o));
    d = memdev_new(o->mem_path ? MEMDEV_FILE : MEMDEV_RAM, own_id(o));
    d->size = o->cfg.ram;
    d->path = o->mem_path ? strdup(o->mem_path) : NULL;
    d->prealloc = o->mem_prealloc;
    d->next = o->memdevs;
    o->memdevs = o->memory = d;
}

void options_memory(struct options *o)
{
    if (o->memory_backend)
        take_named(o);
    if (!o->cfg.ram && !o->cfg.board->bare)
        o->cfg.ram = RAM_DEFAULT;
    if (o->cfg.ram && !o->memory)
        make_own(o);
    if (o->memory)
        o->memory->used = true;
}

/* ---- while there is a machine ---- */

static void open_one(struct options *o, struct memdev *d)
{
    char err[512];
    int code;

    if (d->dump == MEMDEV_UNSAID)
        d->dump = o->no_core ? MEMDEV_OFF : MEMDEV_ON;
    code = memdev_open(d, err, sizeof(err));
    if (code && d == o->memory && !o->memory_backend)
        die(code, "%s%s", o->mem_path ? "-mem-path: " : "", err);
    if (code)
        die(code, "%s,id=%s: %s", memdev_class_name(d->class), d->id, err);
}

void objects_open(struct machine *m, struct options *o)
{
    char err[400];

    for (struct memdev *d = o->memdevs; d; d = d->next)
        open_one(o, d);
    for (struct rng_source *s = o->rngs; s; s = s->next)
        if (!rng_source_open(s, m->loop, err, sizeof(err)))
            die(EXIT_CODE_FILE, "-object rng-random,id=%s: %s", s->id, err);
    m->memdevs = o->memdevs;
    m->secrets = o->secrets;
    m->rngs = o->rngs;
    m->cfg.memory = o->memory ? &o->memory->lent : NULL;
}

void objects_close(struct options *o)
{
    for (struct rng_source *s = o->rngs; s; s = s->next)
        rng_source_close(s);
}

void objects_free(struct options *o)
{
    for (struct memdev *d = o->memdevs, *next; d; d = next) {
        next = d->next;
        memdev_free(d);
    }
    o->memdevs = NULL;
    for (struct secret *s = o->secrets, *next; s; s = next) {
        next = s->next;
        secret_free(s);
    }
    o->secrets = NULL;
    for (struct rng_source *s = o->rngs, *next; s; s = next) {
        next = s->next;
        rng_source_free(s);
    }
    o->rngs = NULL;
}

struct adding {
    struct options *o;
    const char *text;
    struct memdev **end;        /* where it is put, if all is well */
};

static void add_one(void *arg)
{
    struct adding *n = arg;
    const char *list = *n->text == '{' ? from_json(n->o, "object-add", n->text) : n->text,
        *name = value(n->o, list, "qom-type");

    if (name && memdev_class_find(name) == MEMDEV_CLASSES && strcmp(name, "secret"))
        die(EXIT_CODE_USAGE, "Parameter 'qom-type' does not accept value '%s': memory backends and "
                             "secrets can be added while the machine runs", name);
    add_object(n->o, "object-add", list);
    if (*n->end)
        open_one(n->o, *n->end);
}

bool options_add_object(struct options *o, struct machine *m, const char *text, char *err, size_t len)
{
    struct adding n = { o, text, &o->memdevs };
    bool ok;

    while (*n.end)
        n.end = &(*n.end)->next;
    ok = !die_caught(add_one, &n, err, len);
    if (!ok && *n.end) {
        memdev_free(*n.end);
        *n.end = NULL;
    }
    m->memdevs = o->memdevs;
    m->secrets = o->secrets;
    return ok;
}

static bool remove_secret(struct options *o, const char *id)
{
    struct secret **at = &o->secrets, *s;

    while (*at && strcmp((*at)->id, id))
        at = &(*at)->next;
    s = *at;
    if (s)
        *at = s->next;
    secret_free(s);
    return s;
}

bool options_remove_object(struct options *o, struct machine *m, const char *id, char *err, size_t len)
{
    struct memdev **at = &o->memdevs, *d;

    if (remove_secret(o, id)) {
        m->secrets = o->secrets;
        return true;
    }
    while (*at && strcmp((*at)->id, id))
        at = &(*at)->next;
    d = *at;
    if (!d || d->used) {
        snprintf(err, len, d ? "object '%s' is in use, can not be deleted: it is the machine's memory" : "object '%s' not found", id);
        return false;
    }
    *at = d->next;
    memdev_free(d);
    m->memdevs = o->memdevs;
    return true;
}
