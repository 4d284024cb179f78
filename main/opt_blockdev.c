/*
 * opt_blockdev.c - -blockdev: images for devices by name, as lists or as JSON.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/log.h"
#include "main/options_priv.h"

/* {"file": {"driver": "file"}, "read-only": true} is file.driver=file,read-only=on. */
static void flatten(FILE *to, const char *opt, const char *prefix, json_t *object)
{
    const char *key;
    json_t *val;

    json_object_foreach(object, key, val) {
        char name[256];

        snprintf(name, sizeof(name), "%s%.100s", prefix, key);
        if (json_is_null(val)) {
            fprintf(to, ",%s=", name);
            continue;
        }
        if (json_is_object(val)) {
            strncat(name, ".", sizeof(name) - strlen(name) - 1);
            flatten(to, opt, name, val);
            continue;
        }
        fprintf(to, ",%s=", name);
        if (json_is_boolean(val))
            fputs(json_is_true(val) ? "on" : "off", to);
        else if (json_is_integer(val))
            fprintf(to, "%" JSON_INTEGER_FORMAT, json_integer_value(val));
        else if (!json_is_string(val))
            die(EXIT_CODE_USAGE, "%s: %s: use a string, a number, true, false or an object", opt, name);
        for (const char *s = json_is_string(val) ? json_string_value(val) : ""; *s; s++)
            fprintf(to, *s == ',' ? ",," : "%c", *s);
    }
}

json_t *options_json(const char *opt, const char *text)
{
    json_error_t e;
    json_t *j = json_loads(text, JSON_REJECT_DUPLICATES, &e);

    if (!json_is_object(j))
        die(EXIT_CODE_USAGE, "%s: that is no JSON: %s (column %d)", opt, j ? "not an object" : e.text, j ? 1 : e.column);
    return j;
}

const char *options_json_list(struct options *o, const char *opt, json_t *j)
{
    const char *text;
    char *list = NULL;
    size_t len = 0;
    FILE *to = open_memstream(&list, &len);

    if (!to)
        die(EXIT_CODE_HOST, "out of memory");
    flatten(to, opt, "", j);
    fclose(to);
    text = options_keep(o, *list ? list + 1 : list);
    free(list);
    return text;
}

const char *options_list(struct options *o, const char *opt, const char *text, const char *first)
{
    json_t *j, *head;

    if (*text != '{')
        return text;
    j = options_json(opt, text);
    head = json_object();
    if (json_object_get(j, first))
        json_object_set(head, first, json_object_get(j, first));
    json_object_update_missing(head, j);
    text = options_json_list(o, opt, head);
    json_decref(head);
    json_decref(j);
    return text;
}

static const char *from_json(struct options *o, const char *opt, const char *text)
{
    json_t *j = options_json(opt, text);
    const char *list = options_json_list(o, opt, j);

    json_decref(j);
    return list;
}

/* "qcow2,node-name=..." is "driver=qcow2,node-name=...". */
static const char *with_driver(struct options *o, const char *list)
{
    size_t first = strcspn(list, ",=");
    char *whole;

    if (list[first] == '=' || !first)
        return list;
    whole = malloc(strlen(list) + sizeof("driver="));
    if (!whole)
        die(EXIT_CODE_HOST, "out of memory");
    sprintf(whole, "driver=%s", list);
    list = options_keep(o, whole);
    free(whole);
    return list;
}

/* False: the key is none of a node. */
static bool set_node(struct options *o, struct drive_arg *a, const struct arg_item *it)
{
    const char *key = it->key, *opt = a->opt;

    if (it->val && strcmp(key, "node-name") == 0) {
        a->drive.id = options_keep(o, it->val);
    } else if (it->val && strcmp(key, "driver") == 0 && (strcmp(it->val, "raw") == 0 || strcmp(it->val, "qcow2") == 0)) {
        drive_arg_format(a, o, it);
    } else if (strcmp(key, "driver") == 0) {
        drive_arg_file_driver(a, it);
        a->file_node = true;
    } else if (strcmp(key, "file.driver") == 0) {
        drive_arg_file_driver(a, it);
    } else if (it->val && strcmp(key, "backing") == 0) {
        if (*it->val)
            die(EXIT_CODE_USAGE, "%s: backing=%s: an image says itself what is beneath it: leave that "
                                 "out, or use \"backing\": null to look at the image alone",
                opt, it->val);
        a->open.no_backing = true;
    } else if (it->val && (strcmp(key, "filename") == 0 || strcmp(key, "file.filename") == 0)) {
        a->file = options_keep(o, it->val);
    } else if (strcmp(key, "read-only") == 0 || strcmp(key, "file.read-only") == 0) {
        a->drive.read_only |= arg_bool(opt, key, it->val);
    } else if (strcmp(key, "discard") == 0 || strcmp(key, "file.discard") == 0) {
        drive_arg_discard(a, it);
    } else if (strcmp(key, "detect-zeroes") == 0 || strcmp(key, "file.detect-zeroes") == 0) {
        drive_arg_detect_zeroes(a, it);
    } else if (strcmp(key, "cache.direct") == 0 || strcmp(key, "file.cache.direct") == 0) {
        if (arg_bool(opt, key, it->val) && a->open.cache == BLOCK_WRITEBACK)
            a->open.cache = BLOCK_NONE;
    } else if (strcmp(key, "cache.no-flush") == 0 || strcmp(key, "file.cache.no-flush") == 0) {
        if (arg_bool(opt, key, it->val))
            a->open.cache = BLOCK_UNSAFE;
    } else if (!drive_arg_lock(a, it)) {
        return strcmp(key, "auto-read-only") == 0 || strcmp(key, "file.auto-read-only") == 0 || strcmp(key, "file.aio") == 0 ||
               strcmp(key, "aio") == 0;
    }
    return true;
}

static void stand_on(struct options *o, struct drive_arg *a, const char *node)
{
    struct drive_arg *file = o->drives;

    while (file && (file == a || !file->drive.id || strcmp(file->drive.id, node)))
        file = file->next;
    if (!file)
        die(EXIT_CODE_USAGE, "%s: file=%s: there is no such node: its -blockdev, with node-name=%s, comes before", a->opt, node,
            node);
    if (!file->file_node || a->file_node)
        die(EXIT_CODE_USAGE, "%s: file=%s: use a format (driver=raw or qcow2) on a node with driver=file", a->opt, node);
    if (file->drive.used)
        die(EXIT_CODE_USAGE, "%s: file=%s: somebody else has that node", a->opt, node);
    drive_stand_on(a, file);
}

/*
 * A format and its file, [driver=FORMAT,]node-name=ID,file.filename=PATH; a file alone, driver=file,filename=PATH; or a format on a
 * file that was named before, file=NODE.
 */
void opt_blockdev(struct options *o, const char *opt, const char *val)
{
    struct drive_arg *a;
    struct arg_item it;
    const char *node = NULL;

    if (*val == '{')
        val = from_json(o, opt, val);
    else
        val = with_driver(o, val);
    a = drive_arg_new(o, opt);
    a->iface = DRIVE_IF_NONE;
    a->node = true;
    a->open.format = "raw";
    while (arg_next(&val, &it)) {
        if (it.val && strcmp(it.key, "file") == 0)
            node = options_keep(o, it.val);
        else if (!set_node(o, a, &it))
            die(EXIT_CODE_USAGE, "%s: unknown property '%s': use driver, node-name, file, file.driver, file.filename, read-only, "
                "discard, detect-zeroes, force-share, backing, cache.direct or cache.no-flush", opt, it.key);
    }
    if (node && a->file)
        die(EXIT_CODE_USAGE, "%s: file=%s is a node, whose file is said already: leave file.filename= out", opt, node);
    drive_arg_check(a);
    if (node)
        stand_on(o, a, node);
    if (!a->drive.id || !a->file)
        die(EXIT_CODE_USAGE, "%s: needs node-name= and file.filename=, as in driver=qcow2,node-name=disk,"
            "file.driver=file,file.filename=PATH", opt);
}
