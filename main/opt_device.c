/*
 * opt_device.c - -device: a type of hw/plugs.def and its properties by that type's table.
 *
 * Devices name drives and other host ends that may come later on the command line, so they are made when all of it
 * has been read.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/nearest.h"
#include "main/options_priv.h"

struct device_arg {
    const char *opt, *val;
    struct device_arg *next;
};

static void __attribute__((noreturn)) list_devices(void)
{
    const struct plug *p;

    printf("Devices (-device NAME,help lists the properties of one):\n");
    for (unsigned i = 0; (p = plug_nth(i)); i++)
        printf("  %-22s %-5s %s\n", p->name, p->bus, p->what);
    exit(0);
}

static void print_default(const struct plug *plug, const struct prop *p)
{
    const uint8_t *at;
    const char *const *text;

    if (!plug->defaults)
        return;
    at = (const uint8_t *)plug->defaults + p->offset;
    text = (const void *)at;
    if (p->type == PROP_BOOL)
        printf(" (default %s)", *(const bool *)(const void *)at ? "on" : "off");
    else if (p->type == PROP_NUMBER || p->type == PROP_SIZE)
        printf(p->type == PROP_NUMBER && p->max == 0xffff ? " (default %#llx)" : " (default %llu)",
               *(const unsigned long long *)(const void *)at);
    else if (p->type == PROP_WORD)
        printf(" (default %s)", p->words[*(const unsigned *)(const void *)at]);
    else if (p->type == PROP_STRING && *text)
        printf(" (default %s)", *text);
}

static void __attribute__((noreturn)) list_props(const struct plug *plug)
{
    static const char *const value[] = {
        [PROP_NUMBER] = "N", [PROP_SIZE] = "SIZE", [PROP_BOOL] = "on|off", [PROP_STRING] = "TEXT", [PROP_MAC] = "MAC",
        [PROP_DRIVE] = "DRIVE", [PROP_NETDEV] = "NETDEV", [PROP_CHARDEV] = "CHARDEV", [PROP_AUDIODEV] = "AUDIODEV",
        [PROP_FSDEV] = "FSDEV", [PROP_RNG] = "RNG"
    };
    char text[80];

    printf("%s: %s\n", plug->name, plug->what);
    for (const struct prop *p = plug->props; p && p->name; p++) {
        size_t len = (size_t)snprintf(text, sizeof(text), "%s=%s", p->name, p->type == PROP_WORD ? "" : value[p->type]);

        for (unsigned n = 0; p->type == PROP_WORD && p->words[n] && len < sizeof(text); n++)
            len += (size_t)snprintf(text + len, sizeof(text) - len, n ? "|%s" : "%s", p->words[n]);
        printf("  %-24s %s", text, p->help);
        print_default(plug, p);
        printf("\n");
    }
    printf("  id=, bus=, bootindex= and, on PCI, addr= and multifunction= are for every device\n");
    exit(0);
}

static void __attribute__((noreturn)) unknown_device(const char *opt, const char *name)
{
    struct nearest near;
    const struct plug *p;

    nearest_init(&near, name, "");
    for (unsigned i = 0; (p = plug_nth(i)); i++)
        nearest_try(&near, p->name, strlen(p->name));
    if (near.list[0])
        die(EXIT_CODE_USAGE, "%s: there is no device '%s': did you mean %s? (%s help lists all)", opt, name, near.list,
            opt);
    die(EXIT_CODE_USAGE, "%s: there is no device '%s': %s help lists what there is", opt, name, opt);
}

/* NAME or driver=NAME */
static const char *type_name(const struct arg_item *it)
{
    return it->val && strcmp(it->key, "driver") == 0 ? it->val : it->key;
}

void opt_device(struct options *o, const char *opt, const char *val)
{
    struct device_arg *a, **last = &o->device_args;
    struct arg_item it;
    const struct plug *plug;
    const char *p;

    p = val = options_list(o, opt, val, "driver");
    /* What help is asked for, and wrong names, need not wait. */
    if (!arg_next(&p, &it) || arg_is_help(it.key))
        list_devices();
    if (it.val && strcmp(it.key, "driver"))
        die(EXIT_CODE_USAGE, "%s: %s=%s: the device's name comes first: NAME,property=value", opt, it.key, it.val);
    plug = plug_find(type_name(&it));
    if (!plug)
        unknown_device(opt, type_name(&it));
    while (arg_next(&p, &it)) {
        if (arg_is_help(it.key))
            list_props(plug);
        if (!plug_prop(plug, it.key))
            die(EXIT_CODE_USAGE, "%s: %s has no property '%s': %s %s,help lists what there is", opt, plug->name, it.key,
                opt, plug->name);
    }
    a = calloc(1, sizeof(*a));
    if (!a)
        die(EXIT_CODE_HOST, "out of memory");
    *a = (struct device_arg){ opt, val, NULL };
    while (*last)
        last = &(*last)->next;
    *last = a;
}

/* ---- names of host ends ---- */

static struct drive *find_drive(void *arg, const char *id)
{
    struct drive_arg *a = ((struct options *)arg)->drives;

    while (a && (!a->drive.id || strcmp(a->drive.id, id)))
        a = a->next;
    if (a && a->taken)
        die(EXIT_CODE_USAGE, "-device: drive=%s: that node is the file of another: give the one that has file=%s", id, id);
    return a ? &a->drive : NULL;
}

static struct net *find_netdev(void *arg, const char *id)
{
    struct netdev_arg *a = netdev_find(((struct options *)arg)->netdevs, id);

    return a ? &a->net : NULL;
}

static struct chardev_slot *find_chardev(void *arg, const char *id)
{
    struct chardev_arg *a = chardev_find(((struct options *)arg)->chardevs, id);

    return a ? &a->slot : NULL;
}

static struct audio *find_audiodev(void *arg, const char *id)
{
    return audiodev_find(((struct options *)arg)->audiodevs, id);
}

static struct fs *find_fsdev(void *arg, const char *id)
{
    return fsdevs_find(((struct options *)arg)->fsdevs, id);
}

/* CD-ROM drives that were given none have an empty one; clients know it by the device's id. */
static void add_empty(struct options *o, const char *opt, struct plug_use *use)
{
    static const char *const kinds[] = { "ide-cd", "scsi-cd", NULL };
    const struct prop *p = plug_prop(use->plug, "drive");
    const char *const *kind = kinds;
    struct drive *d;

    while (*kind && strcmp(*kind, use->plug->name))
        kind++;
    if (!*kind)
        return;
    memcpy(&d, (const char *)use->props + p->offset, sizeof(d));
    if (d)
        return;
    d = options_empty_drive(o, opt, use->props->id);
    memcpy((char *)use->props + p->offset, &d, sizeof(d));
}

static struct rng *find_rng(void *arg, const char *id)
{
    struct rng_source *s = ((struct options *)arg)->rngs;

    while (s && strcmp(s->id, id))
        s = s->next;
    return s ? &s->rng : NULL;
}

static void make_device(struct options *o, const struct device_arg *a)
{
    const struct plug_names names = { .drive = find_drive, .netdev = find_netdev, .chardev = find_chardev,
                                      .audiodev = find_audiodev, .fsdev = find_fsdev, .rng = find_rng, .arg = o };
    const char *p = a->val;
    struct arg_item it;
    struct plug_use *use;
    char why[200];

    arg_next(&p, &it);
    use = plug_use_new(plug_find(type_name(&it)));
    while (arg_next(&p, &it)) {
        const struct prop *prop = plug_prop(use->plug, it.key);
        const char *val = it.val ? options_keep(o, it.val) : "on";

        if (!plug_set(use, prop, val, &names, why, sizeof(why)))
            die(EXIT_CODE_USAGE, "%s: %s: %s=%s: %s", a->opt, use->plug->name, it.key, val, why);
    }
    add_empty(o, a->opt, use);
    options_add_device(o, use);
}

void options_add_device(struct options *o, struct plug_use *use)
{
    if (!o->last_device)
        o->last_device = &o->devices;
    *o->last_device = use;
    o->last_device = &use->next;
    o->cfg.devices = o->devices;
}

void options_add_device_first(struct options *o, struct plug_use *use)
{
    use->next = o->devices;
    o->devices = use;
    if (!use->next)
        o->last_device = &use->next;
    o->cfg.devices = o->devices;
}

bool options_has_device(const struct options *o, const char *const *names)
{
    for (const struct device_arg *a = o->device_args; a; a = a->next) {
        const char *p = a->val, *const *n = names;
        struct arg_item it;

        arg_next(&p, &it);
        while (*n && strcmp(*n, plug_find(type_name(&it))->name))
            n++;
        if (*n)
            return true;
    }
    return false;
}

void options_devices(struct options *o)
{
    for (struct device_arg *a = o->device_args, *next; a; a = next) {
        next = a->next;
        make_device(o, a);
        free(a);
    }
    o->device_args = NULL;
}

bool options_asked_for(const struct options *o, const char *name)
{
    for (const struct plug_use *u = o->devices; u; u = u->next)
        if (strcmp(u->plug->name, name) == 0)
            return true;
    return false;
}
