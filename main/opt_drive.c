/*
 * opt_drive.c - -drive and its short forms: what is in which drive, and who is given it. -blockdev: opt_blockdev.c.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "hw/boards.h"
#include "main/options_priv.h"

#define CD_INDEX   2            /* -cdrom, and the drive that is there without being asked for */
#define FLOPPIES   2
#define PFLASHES   2

static const char *const iface_name[DRIVE_IFS] = {
    [DRIVE_IF_IDE] = "ide", [DRIVE_IF_FLOPPY] = "floppy", [DRIVE_IF_SCSI] = "scsi", [DRIVE_IF_VIRTIO] = "virtio",
    [DRIVE_IF_NONE] = "none", [DRIVE_IF_PFLASH] = "pflash"
};

struct drive_arg *drive_arg_new(struct options *o, const char *opt)
{
    struct drive_arg *a = calloc(1, sizeof(*a)), **last = &o->drives;

    if (!a)
        die(EXIT_CODE_HOST, "out of memory");
    a->opt = opt;
    a->open.fds = o->fds;
    a->index = a->bus = a->unit = -1;
    while (*last)
        last = &(*last)->next;
    *last = a;
    return a;
}

static unsigned small(const char *opt, const struct arg_item *it, unsigned max)
{
    uint64_t n;

    if (!it->val || !arg_number(it->val, &n) || n > max)
        die(EXIT_CODE_USAGE, "%s: %s=%s: use a number from 0 to %u", opt, it->key, it->val ? it->val : "", max);
    return (unsigned)n;
}

static void set_cache(struct drive_arg *a, const struct arg_item *it)
{
    if (!it->val || !block_cache_mode(it->val, &a->open.cache))
        die(EXIT_CODE_USAGE, "%s: cache=%s: use writeback, none, writethrough, directsync or unsafe", a->opt,
            it->val ? it->val : "");
}

static unsigned on_error(const struct drive_arg *a, const struct arg_item *it, bool read)
{
    static const char *const words[] = DISK_ON_ERROR_WORDS;
    unsigned n = DISK_REPORT;

    while (words[n] && (!it->val || strcmp(it->val, words[n]) || (read && n == DISK_ENOSPC)))
        n++;
    if (!words[n])
        die(EXIT_CODE_USAGE, "%s: %s=%s: use report, ignore%s or stop", a->opt, it->key, it->val ? it->val : "",
            read ? "" : ", enospc");
    return n;
}

void drive_arg_format(struct drive_arg *a, struct options *o, const struct arg_item *it)
{
    static const char *const formats[] = { "raw", "qcow2", NULL };

    arg_one_of(a->opt, it, formats, "raw or qcow2");
    a->open.format = options_keep(o, it->val);
}

void drive_arg_discard(struct drive_arg *a, const struct arg_item *it)
{
    static const char *const words[] = { "unmap", "on", "ignore", "off", NULL };

    arg_one_of(a->opt, it, words, "unmap or ignore");
    a->open.no_discard = strcmp(it->val, "ignore") == 0 || strcmp(it->val, "off") == 0;
}

void drive_arg_detect_zeroes(struct drive_arg *a, const struct arg_item *it)
{
    static const char *const words[] = BLOCK_DETECT_WORDS;
    unsigned n = 0;

    arg_one_of(a->opt, it, words, "off, on or unmap");
    while (strcmp(it->val, words[n]))
        n++;
    a->open.detect_zeroes = (enum block_detect_zeroes)n;
}

void drive_arg_check(struct drive_arg *a)
{
    if (a->open.detect_zeroes == BLOCK_DETECT_UNMAP && a->open.no_discard)
        die(EXIT_CODE_USAGE, "%s: detect-zeroes=unmap gives space back, which discard=ignore forbids: use detect-zeroes=on, or "
            "discard=unmap", a->opt);
    if (a->open.copy_on_read && (a->drive.read_only || a->drive.cdrom)) {
        arg_note("%s: copy-on-read=on: the drive is read-only, so nothing is copied", a->opt);
        a->open.copy_on_read = false;
    }
}

void drive_arg_file_driver(struct drive_arg *a, const struct arg_item *it)
{
    static const char *const words[] = { "file", "host_device", "host_cdrom", NULL };

    arg_one_of(a->opt, it, words, "file or host_device");
}

bool drive_arg_lock(struct drive_arg *a, const struct arg_item *it)
{
    static const char *const words[] = { "on", "auto", "off", NULL };

    if (strcmp(it->key, "force-share") == 0) {
        a->open.no_lock |= arg_bool(a->opt, it->key, it->val);
    } else if (strcmp(it->key, "locking") == 0 || strcmp(it->key, "file.locking") == 0) {
        arg_one_of(a->opt, it, words, "on, auto or off");
        a->open.no_lock |= strcmp(it->val, "off") == 0;
    } else {
        return false;
    }
    return true;
}

/* False: the key is none of a drive. */
static bool set_drive(struct options *o, struct drive_arg *a, struct arg_item *it)
{
    static const char *const media[] = { "disk", "cdrom", NULL }, *const aio[] = { "threads", "native", "io_uring", NULL };
    const char *key = it->key;

    if (it->val && (strcmp(key, "file") == 0 || strcmp(key, "file.filename") == 0)) {
        a->file = options_keep(o, it->val);
    } else if (it->val && strcmp(key, "id") == 0) {
        a->drive.id = options_keep(o, it->val);
    } else if (it->val && strcmp(key, "if") == 0) {
        for (a->iface = 0; a->iface < DRIVE_IFS && strcmp(it->val, iface_name[a->iface]); a->iface++)
            ;
        if (a->iface == DRIVE_IFS)
            die(EXIT_CODE_USAGE, "%s: if=%s: use ide, floppy, scsi, virtio, pflash or none", a->opt, it->val);
    } else if (strcmp(key, "index") == 0) {
        a->index = (int)small(a->opt, it, 255);
    } else if (strcmp(key, "bus") == 0) {
        a->bus = (int)small(a->opt, it, 127);
    } else if (strcmp(key, "unit") == 0) {
        a->unit = (int)small(a->opt, it, 127);
    } else if (strcmp(key, "media") == 0) {
        arg_one_of(a->opt, it, media, "disk or cdrom");
        a->drive.cdrom = strcmp(it->val, "cdrom") == 0;
    } else if (strcmp(key, "file.driver") == 0) {
        drive_arg_file_driver(a, it);
    } else if (strcmp(key, "format") == 0 || strcmp(key, "driver") == 0) {
        drive_arg_format(a, o, it);
    } else if (strcmp(key, "cache") == 0) {
        set_cache(a, it);
    } else if (strcmp(key, "discard") == 0) {
        drive_arg_discard(a, it);
    } else if (strcmp(key, "detect-zeroes") == 0) {
        drive_arg_detect_zeroes(a, it);
    } else if (strcmp(key, "copy-on-read") == 0) {
        a->open.copy_on_read = arg_bool(a->opt, key, it->val);
    } else if (strcmp(key, "snapshot") == 0) {
        a->snapshot = arg_bool(a->opt, key, it->val);
    } else if (strcmp(key, "readonly") == 0 || strcmp(key, "read-only") == 0) {
        a->drive.read_only = arg_bool(a->opt, key, it->val);
    } else if (drive_arg_lock(a, it)) {
        ;
    } else if (it->val && strcmp(key, "serial") == 0) {
        a->drive.serial = options_keep(o, it->val);
    } else if (strcmp(key, "cyls") == 0) {
        a->drive.chs.cyls = small(a->opt, it, 65535);
    } else if (strcmp(key, "heads") == 0) {
        a->drive.chs.heads = small(a->opt, it, 16);
    } else if (strcmp(key, "secs") == 0) {
        a->drive.chs.secs = small(a->opt, it, 63);
    } else if (strcmp(key, "aio") == 0) {
        arg_one_of(a->opt, it, aio, "threads (what there is; native and io_uring are taken for it)");
        if (strcmp(it->val, "threads"))
            arg_note("%s: aio=%s: requests are done by threads", a->opt, it->val);
    } else if (strcmp(key, "werror") == 0) {
        a->drive.on_error.write = on_error(a, it, false);
    } else if (strcmp(key, "rerror") == 0) {
        a->drive.on_error.read = on_error(a, it, true);
    } else {
        return false;
    }
    return true;
}

void opt_drive(struct options *o, const char *opt, const char *val)
{
    struct drive_arg *a = drive_arg_new(o, opt);
    struct arg_item it;

    while (arg_next(&val, &it))
        if (!set_drive(o, a, &it))
            die(EXIT_CODE_USAGE, "%s: unknown property '%s%s%s': use file, if, index, bus, unit, media, format, cache, "
                "discard, detect-zeroes, copy-on-read, werror, rerror, snapshot, readonly, force-share, id, serial, cyls, heads or secs", opt, it.key, it.val ? "=" : "",
                it.val ? it.val : "");
    drive_arg_check(a);
}

struct drive *options_empty_drive(struct options *o, const char *opt, const char *id)
{
    struct drive_arg *a = drive_arg_new(o, opt);
    unsigned n = 0;

    a->iface = DRIVE_IF_NONE;
    a->node = a->drive.cdrom = a->drive.read_only = true;
    if (id && !drive_find(o->drives, id)) {
        a->drive.id = id;
        return &a->drive;
    }
    do
        snprintf(a->name, sizeof(a->name), "empty%u", n++);
    while (drive_find(o->drives, a->name));
    a->drive.id = a->name;
    return &a->drive;
}

/* ---- while the machine runs ---- */

struct adding {
    struct options *o;
    struct machine *m;
    const char *text;
    bool node;
    struct drive_arg **end;     /* where it is put, if all is well */
};

static void add_one(void *arg)
{
    struct adding *n = arg;
    struct drive_arg *a;

    if (n->node)
        opt_blockdev(n->o, "blockdev-add", n->text);
    else
        opt_drive(n->o, "drive_add", n->text);
    a = *n->end;
    if (a->iface != DRIVE_IF_NONE)
        die(EXIT_CODE_USAGE, "the machine's drives are there already: use if=none, and give its medium to one of them");
    if (!a->file || !a->drive.id)
        die(EXIT_CODE_USAGE, "needs file=PATH and id=ID");
    if (drive_find(n->o->drives, a->drive.id) != &a->drive)
        die(EXIT_CODE_USAGE, "there is a drive '%s' already", a->drive.id);
    a->drive.read_only |= a->drive.cdrom;
    drives_open_one(n->m, a);
}

bool options_add_drive(struct options *o, struct machine *m, const char *text, bool node, char *err, size_t len)
{
    struct adding n = { o, m, text, node, &o->drives };
    struct drive_arg *a;

    while (*n.end)
        n.end = &(*n.end)->next;
    if (!die_caught(add_one, &n, err, len)) {
        m->drives = o->drives;
        return true;
    }
    a = *n.end;
    *n.end = NULL;
    if (a)
        drive_step_off(a);
    free(a);
    return false;
}

static void short_form(struct options *o, const char *opt, const char *file, enum drive_if iface, int index, bool cd)
{
    struct drive_arg *a = drive_arg_new(o, opt);

    a->file = file;
    a->iface = iface;
    a->index = index;
    a->drive.cdrom = cd;
}

#define DISK_OPTION(name, index)                                                                                   \
    void opt_hd##name(struct options *o, const char *opt, const char *val)                                         \
    {                                                                                                              \
        short_form(o, opt, val, DRIVE_IF_IDE, index, false);                                                       \
    }
DISK_OPTION(a, 0)
DISK_OPTION(b, 1)
DISK_OPTION(c, 2)
DISK_OPTION(d, 3)

void opt_cdrom(struct options *o, const char *opt, const char *val)
{
    short_form(o, opt, val, DRIVE_IF_IDE, CD_INDEX, true);
}

void opt_fda(struct options *o, const char *opt, const char *val)
{
    short_form(o, opt, val, DRIVE_IF_FLOPPY, 0, false);
}

void opt_fdb(struct options *o, const char *opt, const char *val)
{
    short_form(o, opt, val, DRIVE_IF_FLOPPY, 1, false);
}

void opt_pflash(struct options *o, const char *opt, const char *val)
{
    short_form(o, opt, val, DRIVE_IF_PFLASH, -1, false);
    for (struct drive_arg *a = o->drives; a; a = a->next)
        if (a->opt == opt && a->file == val)
            a->open.format = "raw";
}

void opt_snapshot(struct options *o, const char *opt, const char *val)
{
    o->snapshot = true;
}

/* ---- who is given them ---- */

/* A device for a drive of an interface that the board has no controller for. */
static void add_device(struct options *o, struct drive_arg *a, const char *name)
{
    const struct plug *plug = plug_find(name);
    struct plug_use *use;
    const struct prop *prop;

    if (!plug)
        die(EXIT_CODE_USAGE, "%s: if=%s: there is no such controller in this version: use if=ide", a->opt,
            iface_name[a->iface]);
    use = plug_use_new(plug);
    prop = plug_prop(plug, "drive");
    memcpy((uint8_t *)use->props + prop->offset, &(struct drive *){ &a->drive }, sizeof(struct drive *));
    options_add_device(o, use);
}

/* if=scsi needs no -device for the controller. */
static void scsi_controller(struct options *o)
{
    const struct plug *plug = plug_find("virtio-scsi-pci");

    for (const struct plug_use *u = o->devices; u; u = u->next)
        if (u->plug == plug)
            return;
    options_add_device(o, plug_use_new(plug));
}

/* Its place on an interface with `n` of them: the one asked for, or the first free one. */
static void put(struct drive_arg *a, struct drive **place, unsigned n)
{
    int at = a->index;

    for (unsigned i = 0; at < 0 && i < n; i++)
        if (!place[i])
            at = (int)i;
    if (at < 0 || at >= (int)n)
        die(EXIT_CODE_USAGE, "%s: interface %s has places 0 to %u: use another index or interface", a->opt,
            iface_name[a->iface], n - 1);
    if (place[at])
        die(EXIT_CODE_USAGE, "%s: %s drive %d is already there: use another index", a->opt, iface_name[a->iface], at);
    place[at] = &a->drive;
}

/* Who adds disks or CD drives as devices gets no CD drive that was not asked for: its place may be wanted. */
static const char *const own_disks[] = { "ide-hd", "ide-cd", "scsi-hd", "scsi-cd", NULL };

/* A PC has a CD drive, even if nothing is in it. */
static void default_cd(struct options *o)
{
    struct drive_arg *a = drive_arg_new(o, "-cdrom");

    a->index = CD_INDEX;
    a->drive.cdrom = a->drive.read_only = true;
    a->drive.id = drive_find(o->drives, "cd") ? "default-cd" : "cd";
    put(a, o->cfg.ide, o->cfg.board->ide);
}

static const char *const own_floppies[] = { "floppy", NULL };

/* And a floppy drive. */
static void default_floppy(struct options *o)
{
    struct drive_arg *a = drive_arg_new(o, "-fda");

    a->index = 0;
    a->iface = DRIVE_IF_FLOPPY;
    a->drive.id = drive_find(o->drives, "floppy") ? "default-floppy" : "floppy";
    put(a, o->cfg.floppy, FLOPPIES);
}

void options_drives(struct options *o)
{
    unsigned n = 0;

    for (struct drive_arg *a = o->drives; a; a = a->next, n++) {
        a->snapshot |= o->snapshot && !a->drive.cdrom;
        a->drive.read_only |= a->drive.cdrom;
        if (!a->file && !a->drive.cdrom && a->iface != DRIVE_IF_FLOPPY)
            die(EXIT_CODE_USAGE, "%s: a disk needs file=PATH", a->opt);
        if (!a->drive.id) {
            snprintf(a->name, sizeof(a->name), "%s%u", iface_name[a->iface], n);
            a->drive.id = a->name;
        }
        if ((a->iface == DRIVE_IF_FLOPPY || a->iface == DRIVE_IF_PFLASH) && (a->drive.on_error.write || a->drive.on_error.read))
            die(EXIT_CODE_USAGE, "%s: if=%s: werror= and rerror= are for disks of IDE, SCSI, virtio and if=none", a->opt,
                iface_name[a->iface]);
        if (drive_find(o->drives, a->drive.id) != &a->drive)
            die(EXIT_CODE_USAGE, "%s: there are two drives with id=%s", a->opt, a->drive.id);
        if (a->bus >= 0 || a->unit >= 0)        /* the other way to say which place it has */
            a->index = (a->bus < 0 ? 0 : a->bus) * (int)(a->iface == DRIVE_IF_IDE ? o->cfg.board->ide_units : 2) +
                       (a->unit < 0 ? 0 : a->unit);
    }
    /* Those that ask for a place first. */
    for (int asked = 1; asked >= 0; asked--) {
        for (struct drive_arg *a = o->drives; a; a = a->next) {
            if (asked != (a->index >= 0))
                continue;
            if ((a->iface == DRIVE_IF_IDE && !o->cfg.board->ide) ||
                (a->iface == DRIVE_IF_FLOPPY && !o->cfg.board->floppy))
                die(EXIT_CODE_USAGE, "%s: machine %s has no %s controller: use -machine pc%s", a->opt,
                    o->cfg.board->name, a->iface == DRIVE_IF_IDE ? "IDE" : "floppy",
                    o->cfg.board->firmware ? ", or -drive if=virtio, or -device nvme" : "");
            if (a->iface == DRIVE_IF_IDE)
                put(a, o->cfg.ide, o->cfg.board->ide);
            else if (a->iface == DRIVE_IF_FLOPPY)
                put(a, o->cfg.floppy, FLOPPIES);
            else if (a->iface == DRIVE_IF_PFLASH)
                put(a, o->cfg.pflash, PFLASHES);
        }
    }
    if (o->cfg.pflash[1] && !o->cfg.pflash[0])
        die(EXIT_CODE_USAGE, "if=pflash: the first one, index=0, is missing: it has the firmware");
    if (o->cfg.pflash[0] && !o->cfg.board->firmware)
        die(EXIT_CODE_USAGE, "if=pflash: machine %s has no flash memory: use -machine pc or q35",
            o->cfg.board->name);
    for (struct drive_arg *a = o->drives; a; a = a->next) {
        if (a->iface == DRIVE_IF_VIRTIO)
            add_device(o, a, "virtio-blk-pci");
        if (a->iface == DRIVE_IF_SCSI) {
            scsi_controller(o);
            add_device(o, a, a->drive.cdrom ? "scsi-cd" : "scsi-hd");
        }
    }
    if (!o->nodefaults && o->cfg.board->ide && !o->cfg.ide[CD_INDEX] && !options_has_device(o, own_disks))
        default_cd(o);
    if (!o->nodefaults && o->cfg.board->firmware && !o->cfg.floppy[0] && !options_has_device(o, own_floppies))
        default_floppy(o);
}
