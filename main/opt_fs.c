/*
 * opt_fs.c - -fsdev and -virtfs: folders of the host for devices with fsdev=ID; and opening all of them.
 */
#include "main/fsdevs.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "hw/machine.h"
#include "main/options_priv.h"

struct fs *fsdevs_find(struct fsdev_arg *list, const char *id)
{
    for (struct fsdev_arg *a = list; a; a = a->next)
        if (strcmp(a->fs.id, id) == 0)
            return &a->fs;
    return NULL;
}

static void set_model(struct fsdev_arg *a, const char *opt, const char *val)
{
    static const struct { const char *name; enum fsdev_model model; } models[] = {
        { "none", FSDEV_NONE }, { "passthrough", FSDEV_PASSTHROUGH }, { "mapped-xattr", FSDEV_MAPPED_XATTR },
        { "mapped", FSDEV_MAPPED_XATTR }
    };

    for (unsigned i = 0; i < sizeof(models) / sizeof(models[0]); i++) {
        if (strcmp(models[i].name, val))
            continue;
        a->cfg.model = models[i].model;
        return;
    }
    die(EXIT_CODE_USAGE, "%s: security_model=%s: use none, passthrough or mapped-xattr%s", opt, val,
        strcmp(val, "mapped-file") ? "" : " (which keeps in attributes what mapped-file keeps in files)");
}

static void set_multidevs(struct fsdev_arg *a, const char *opt, const char *val)
{
    if (strcmp(val, "remap") == 0)
        a->cfg.multidevs = FSDEV_REMAP;
    else if (strcmp(val, "forbid") == 0)
        a->cfg.multidevs = FSDEV_FORBID;
    else if (strcmp(val, "warn") == 0)
        a->cfg.multidevs = FSDEV_WARN;
    else
        die(EXIT_CODE_USAGE, "%s: multidevs=%s: use remap, forbid or warn", opt, val);
}

/* Reads either option; tag: of -virtfs. */
static struct fsdev_arg *read_arg(struct options *o, const char *opt, const char *val, const char **tag)
{
    struct fsdev_arg *a = calloc(1, sizeof(*a)), **last = &o->fsdevs;
    bool model = false;
    struct arg_item it;

    if (!a)
        die(EXIT_CODE_HOST, "out of memory");
    a->opt = opt;
    if (!arg_next(&val, &it) || it.val || strcmp(it.key, "local"))
        die(EXIT_CODE_USAGE, "%s: the kind of folder comes first, and there is one: local", opt);
    while (arg_next(&val, &it)) {
        if (it.val && strcmp(it.key, "id") == 0)
            a->fs.id = options_keep(o, it.val);
        else if (it.val && strcmp(it.key, "path") == 0)
            a->cfg.path = options_keep(o, it.val);
        else if (it.val && tag && strcmp(it.key, "mount_tag") == 0)
            *tag = options_keep(o, it.val);
        else if (it.val && (strcmp(it.key, "security_model") == 0 || strcmp(it.key, "security-model") == 0))
            set_model(a, opt, it.val), model = true;
        else if (it.val && strcmp(it.key, "multidevs") == 0)
            set_multidevs(a, opt, it.val);
        else if (strcmp(it.key, "readonly") == 0)
            a->cfg.readonly = !it.val || arg_bool(opt, it.key, it.val);
        else
            die(EXIT_CODE_USAGE, "%s: unknown property '%s': use id=, path=, %ssecurity_model=, readonly=, multidevs=",
                opt, it.key, tag ? "mount_tag=, " : "");
    }
    if (!a->cfg.path)
        die(EXIT_CODE_USAGE, "%s: no folder: give one with path=FOLDER", opt);
    if (tag && !*tag)
        die(EXIT_CODE_USAGE, "%s: no name for the guest to mount: give one with mount_tag=NAME", opt);
    if (!model)
        die(EXIT_CODE_USAGE, "%s: whose are the files? security_model=passthrough: owners and modes are the host's; "
            "none: the same, as far as the host lets us; mapped-xattr: in attributes of files of yours", opt);
    if (!a->fs.id && tag)
        a->fs.id = *tag;
    if (!a->fs.id)
        die(EXIT_CODE_USAGE, "%s: it needs a name: id=ID", opt);
    if (fsdevs_find(o->fsdevs, a->fs.id))
        die(EXIT_CODE_USAGE, "%s: there is another folder with id=%s", opt, a->fs.id);
    while (*last)
        last = &(*last)->next;
    *last = a;
    return a;
}

void opt_fsdev(struct options *o, const char *opt, const char *val)
{
    read_arg(o, opt, val, NULL);
}

void opt_virtfs(struct options *o, const char *opt, const char *val)
{
    const char *tag = NULL;
    struct fsdev_arg *a = read_arg(o, opt, val, &tag);
    struct plug_use *use = plug_use_new(plug_find("virtio-9p-pci"));
    struct fs *fs = &a->fs;

    memcpy((uint8_t *)use->props + plug_prop(use->plug, "fsdev")->offset, &fs, sizeof(fs));
    memcpy((uint8_t *)use->props + plug_prop(use->plug, "mount_tag")->offset, &tag, sizeof(tag));
    options_add_device(o, use);
}

void fsdevs_open(struct machine *m, struct fsdev_arg *list)
{
    char err[400];

    for (struct fsdev_arg *a = list; a; a = a->next)
        if (!fsdev_open(&a->fs, m->loop, &a->cfg, err, sizeof(err)))
            die(EXIT_CODE_FILE, "%s %s: %s", a->opt, a->fs.id, err);
}

void fsdevs_close(struct fsdev_arg *list)
{
    for (struct fsdev_arg *a = list; a; a = a->next)
        fsdev_close(&a->fs);
}

void fsdevs_free(struct fsdev_arg *list)
{
    for (struct fsdev_arg *a = list, *next; a; a = next) {
        next = a->next;
        free(a);
    }
}
