/*
 * outside.c - drives, networks, streams and the screen, as monitors see and change them.
 */
#include "main/outside.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "block/disk.h"
#include "debug/outside.h"
#include "host/chardev.h"
#include "main/displays.h"
#include "main/options_priv.h"
#include "main/vcpu.h"

static struct options *options_of(struct machine *m)
{
    return m->outside_arg;
}

/* ---- drives ---- */

/* May an error stop the machine? */
static bool drive_stops(const struct disk_policy *p)
{
    return p->write == DISK_AUTO || p->write == DISK_ENOSPC || p->write == DISK_STOP || p->read == DISK_STOP;
}

static bool drive(struct machine *m, unsigned n, struct outside_drive *d)
{
    static const char *const ifaces[DRIVE_IFS] = { "ide", "floppy", "scsi", "virtio", "none", "pflash" };
    static const char *const caches[] = { [BLOCK_WRITEBACK] = "writeback",
                                          [BLOCK_NONE] = "none",
                                          [BLOCK_WRITETHROUGH] = "writethrough",
                                          [BLOCK_DIRECTSYNC] = "directsync",
                                          [BLOCK_UNSAFE] = "unsafe" };
    struct drive_arg *a = options_of(m)->drives;

    while (a && n--)
        a = a->next;
    if (!a)
        return false;
    *d = (struct outside_drive){
        .drive = &a->drive, .file = a->drive.disk ? a->file : NULL, .iface = ifaces[a->iface],
        .cache = caches[a->open.cache], .snapshot = a->snapshot, .node = a->node, .taken = a->taken,
        .stops = drive_stops(&a->drive.on_error),
        .removable = !a->drive.used || (a->drive.user && a->drive.user->tray),
        .block = a->drive.disk ? disk_block(a->drive.disk) : NULL
    };
    for (unsigned i = 0; i < 4; i++)
        if (m->cfg.ide[i] == &a->drive)
            snprintf(d->place, sizeof(d->place), "ide%u-%s%u", i / 2, a->drive.cdrom ? "cd" : "hd", i % 2);
        else if (i < 2 && m->cfg.floppy[i] == &a->drive)
            snprintf(d->place, sizeof(d->place), "floppy%u", i);
    return true;
}

static struct disk *open_medium(struct machine *m, struct drive *d, const char *file, const char *format,
                                enum outside_medium medium, char *err, size_t len)
{
    struct drive_arg *a = d->arg;
    struct block_open how = a->open;

    how.format = format;
    how.writable =
        medium == MEDIUM_READ_WRITE || (medium == MEDIUM_RETAIN && !a->drive.read_only && !a->snapshot);
    how.no_lock &= !how.writable;
    if (how.writable && d->cdrom) {
        snprintf(err, len, "a CD-ROM drive writes nothing: use read-only");
        return NULL;
    }
    return drive_open(a, file, &how, err, len);
}

static void put_medium(struct machine *m, struct drive *d, struct disk *disk, const char *file)
{
    drive_put(d->arg, disk, file);
}

static void move_medium(struct machine *m, struct drive *from, struct drive *to)
{
    struct drive_arg *a = from->arg;
    struct disk *disk = from->disk;

    from->disk = NULL;
    drive_put(to->arg, disk, a->file);
}

static void close_medium(struct machine *m, struct disk *disk)
{
    disk_free(disk);
}

static bool add_drive(struct machine *m, const char *text, bool node, char *err, size_t len)
{
    return options_add_drive(options_of(m), m, text, node, err, len);
}

static bool remove_drive(struct machine *m, struct drive *d, char *err, size_t len)
{
    bool ok = drives_remove(&options_of(m)->drives, d, err, len);

    m->drives = options_of(m)->drives;
    return ok;
}

static bool add_object(struct machine *m, const char *text, char *err, size_t len)
{
    return options_add_object(options_of(m), m, text, err, len);
}

static bool remove_object(struct machine *m, const char *id, char *err, size_t len)
{
    return options_remove_object(options_of(m), m, id, err, len);
}

static bool resize(struct machine *m, struct drive *d, uint64_t size, char *err, size_t len)
{
    struct drive_arg *a = d->arg;
    struct block_error e;
    int error;

    if (!d->disk || d->disk->read_only || d->cdrom || a->iface == DRIVE_IF_FLOPPY) {
        snprintf(err, len, "drive %s has no image that can be written", d->id);
        return false;
    }
    if (size < d->disk->size || size % 512) {
        snprintf(err, len, "a disk in use can only grow, to a multiple of 512 bytes: it has %llu now",
                 (unsigned long long)d->disk->size);
        return false;
    }
    if (d->user && !d->user->changed) {
        snprintf(
            err, len,
            "the device of drive %s cannot tell its guest of another size: virtio, SCSI and NVMe disks can",
            d->id);
        return false;
    }
    error = disk_drain(d->disk);
    if (error < 0) {
        snprintf(err, len, "drive %s: %s", d->id, strerror(-error));
        return false;
    }
    error = block_resize(disk_block(d->disk), size, BLOCK_PREALLOC_OFF, &e);
    if (error < 0) {
        snprintf(err, len, "%s", e.text);
        return false;
    }
    disk_resized(d->disk);
    if (d->user)
        d->user->changed(d->dev);
    return true;
}

/* ---- networks and streams ---- */

static bool network(struct machine *m, unsigned n, struct outside_net *out)
{
    static const char *const kinds[] = { [NETDEV_NONE] = "none", [NETDEV_USER] = "user", [NETDEV_TAP] = "tap",
                                         [NETDEV_SOCKET] = "socket",
                                         [NETDEV_STREAM] = "stream", [NETDEV_DGRAM] = "dgram" };
    struct netdev_arg *a = options_of(m)->netdevs;

    while (a && n--)
        a = a->next;
    if (!a)
        return false;
    *out = (struct outside_net){ &a->net, kinds[a->kind],
                                 a->kind == NETDEV_USER && a->user.restricted ? "restrict=on" : "" };
    return true;
}

static bool hostfwd(struct machine *m, const char *id, bool add, const char *text, char *err, size_t len)
{
    struct netdev_arg *a = options_of(m)->netdevs;
    struct net_forward f = { .text = text };

    while (a && (id ? !a->net.id || strcmp(a->net.id, id) : !net_is_user(&a->net)))
        a = a->next;
    if (!a) {
        snprintf(err, len, id ? "there is no network %s" : "there is no user network", id);
        return false;
    }
    if (!netdev_parse_forward(text, add, &f)) {
        snprintf(err, len, "'%s': use %s, as in %s", text,
                 add ? "tcp:[ADDRESS]:PORT-[ADDRESS]:PORT (or udp)" : "tcp:[ADDRESS]:PORT (or udp)",
                 add ? "tcp:127.0.0.1:2222-:22" : "tcp:127.0.0.1:2222");
        return false;
    }
    return net_user_forward(&a->net, add, &f, err, len);
}

static char *connections(struct machine *m, struct net *n)
{
    return net_user_connections(n);
}

static void plug(struct machine *m, struct net *n, bool in)
{
    net_plug(n, in);
}

static void announce(struct machine *m, struct net *n)
{
    net_announce(n);
}

static bool chardev(struct machine *m, unsigned n, struct outside_chardev *c)
{
    static const char *const serial[] = { "serial0", "serial1", "serial2", "serial3" };
    struct options *o = options_of(m);
    struct chardev_arg *a = o->chardevs;

    if (n < o->nserial) {
        *c = (struct outside_chardev){ serial[n], o->serial[n],
                                       !m->cfg.serial[n] || chardev_is_open(m->cfg.serial[n]) };
        return true;
    }
    n -= o->nserial;
    while (a && n--)
        a = a->next;
    if (a)
        *c = (struct outside_chardev){ a->slot.id, a->spec, !a->slot.chr || chardev_is_open(a->slot.chr) };
    return a;
}

/* ---- the rest ---- */

static struct screen *screen(struct machine *m)
{
    return displays_screen(m->displays);
}

static void vnc(struct machine *m, struct outside_vnc *v)
{
    struct options *o = options_of(m);

    *v = (struct outside_vnc){ o->vnc ? o->vnc_config.address : NULL, o->vnc_config.auth,
                               displays_vnc_clients(m->displays) };
}

static bool vnc_peer(struct machine *m, unsigned n, struct vnc_peer *p)
{
    return displays_vnc_client(m->displays, n, p);
}

static bool password(struct machine *m, const char *text)
{
    return displays_vnc_password(m->displays, text);
}

static bool expire(struct machine *m, time_t when)
{
    return displays_vnc_expire(m->displays, when);
}

static const char *name(struct machine *m)
{
    return options_of(m)->name;
}

static bool set_action(struct machine *m, const char *event, const char *what, char *err, size_t len)
{
    return options_action(&m->cfg, event, what, err, len);
}

void outside_new(struct machine *m, struct options *o)
{
    static const struct outside outside = { .drive = drive,
                                            .net = network,
                                            .chardev = chardev,
                                            .chardev_kind = chardevs_kind,
                                            .connections = connections,
                                            .open = open_medium,
                                            .put = put_medium,
                                            .close = close_medium,
                                            .disks = drives_turn,
                                            .add = add_drive,
                                            .remove = remove_drive,
                                            .object_add = add_object,
                                            .object_del = remove_object,
                                            .move = move_medium,
                                            .resize = resize,
                                            .hostfwd = hostfwd,
                                            .plug = plug,
                                            .announce = announce,
                                            .screen = screen,
                                            .vnc = vnc,
                                            .vnc_client = vnc_peer,
                                            .vnc_password = password,
                                            .vnc_expire = expire,
                                            .name = name,
                                            .board = options_board,
                                            .option = options_nth,
                                            .action = set_action,
                                            .max_cpus = 1,
                                            .thread_id = vcpus_thread_id };

    m->outside = &outside;
    m->outside_arg = o;
}
