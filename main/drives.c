/*
 * drives.c - images in drives: opened before the board is wired, closed when the machine has stopped.
 */
#include "main/drives.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "block/disk.h"
#include "debug/control.h"
#include "hw/machine.h"
#include "main/optarg.h"

#define FLASH_MAX (64u << 20)
#define THREADS 4               /* of each image: requests under way at the host */
#define SECTOR 512u
#define CD_BLOCK 2048u

struct drive *drive_find(struct drive_arg *list, const char *id)
{
    for (struct drive_arg *a = list; a; a = a->next)
        if (a->drive.id && strcmp(a->drive.id, id) == 0)
            return &a->drive;
    return NULL;
}

struct drive *drives_nth(struct machine *m, unsigned n)
{
    struct drive_arg *a = m->drives;

    while (a && n--)
        a = a->next;
    return a ? &a->drive : NULL;
}

/* Something happened to the image that its user should know; the device lock is held. */
static void event(void *arg, const struct disk_event *e)
{
    static const enum machine_news news[] = {
        [DISK_EVENT_FULL] = NEWS_DISK_STOP, [DISK_EVENT_STOP] = NEWS_DISK_STOP, [DISK_EVENT_REPORT] = NEWS_DISK_REPORT,
        [DISK_EVENT_IGNORE] = NEWS_DISK_IGNORE
    };
    struct drive_arg *a = arg;

    if (e->text)
        fprintf(stderr, "latimer: drive %s: %s\n", a->drive.id, e->text);
    if (e->kind != DISK_EVENT_ROOM)
        machine_news(a->m, news[e->kind], a->drive.id, e->read ? e->error : -e->error);
    /* A guest that waits for long takes its disk for broken: its time stands still, too. */
    if (e->kind == DISK_EVENT_FULL || e->kind == DISK_EVENT_STOP)
        control_request(a->m->control, RUN_IO_ERROR);
    else if (e->kind == DISK_EVENT_ROOM && control_state(a->m->control) == RUN_IO_ERROR)
        control_cont(a->m->control);
}

/* Whoever lets the machine go on wants what failed to be tried again. */
static void run_changed(void *arg, enum run_state now)
{
    struct machine *m = arg;

    for (struct drive_arg *a = m->drives; a && now == RUN_RUNNING; a = a->next)
        if (a->drive.disk)
            disk_resume(a->drive.disk);
}

void drives_watch(struct machine *m, struct control_watcher *w)
{
    *w = (struct control_watcher){ run_changed, m, NULL };
    control_watch(m->control, w);
}

static void eject(struct drive *d)
{
    struct disk *disk = d->disk;
    int error;

    if (!disk)
        return;
    d->disk = NULL;
    error = disk_free(disk);
    if (error < 0)
        fprintf(stderr, "latimer: drive %s: closing its image: %s\n", d->id, strerror(-error));
}

void drive_stand_on(struct drive_arg *a, struct drive_arg *file)
{
    a->below = file;
    a->file = file->file;
    a->drive.read_only |= file->drive.read_only;
    a->open.no_lock |= file->open.no_lock;
    a->open.no_discard |= file->open.no_discard;
    if (!a->open.detect_zeroes)
        a->open.detect_zeroes = file->open.detect_zeroes;
    if (a->open.cache == BLOCK_WRITEBACK)
        a->open.cache = file->open.cache;
    file->taken = file->drive.used = true;
}

void drive_step_off(struct drive_arg *a)
{
    if (a->below)
        a->below->taken = a->below->drive.used = false;
    a->below = NULL;
}

static void moved(struct drive *d, bool open)
{
    struct drive_arg *a = d->arg;

    machine_news(a->m, open ? NEWS_TRAY_OPEN : NEWS_TRAY_CLOSED, d->id, 0);
}

static struct disk *open_image(struct drive_arg *a, const char *file, const struct block_open *how,
                               struct block_error *e, int *error)
{
    struct block *b = block_open(file, how, e, error);
    struct disk *disk;

    if (b && a->snapshot) {
        struct block *over = block_overlay(b, e);

        if (!over)
            block_close(b);
        b = over;
    }
    if (!b)
        return NULL;
    disk = disk_new(a->m->loop, b, THREADS, &a->drive.on_error, event, a);
    if (a->bounce)
        disk_bounce(disk);
    return disk;
}

/* As the guest is to have it; or, lent, as somebody else's who may be writing to it: looked at, and not locked. */
static struct disk *open_again(struct drive_arg *a, bool lent, struct block_error *e, int *error)
{
    struct block_open how = a->open;
    bool writable = !a->drive.read_only && !a->snapshot;
    struct disk *disk;

    how.writable = writable && !lent;
    how.no_lock |= writable && lent;
    disk = open_image(a, a->file, &how, e, error);
    a->lent = writable && lent;
    if (disk && a->lent) {
        /* To its device, which tells the guest what can be done, it is what it will be: none runs before it is ours. */
        disk->read_only = false;
        disk->discards = disk_block(disk)->discard;
        a->size = disk->size;
        a->format = disk_block(disk)->ops->format;
    }
    return disk;
}

/* Sizes that are allowed, but seldom meant. */
static void note_size(const struct drive_arg *a)
{
    const struct block *b = disk_block(a->drive.disk);
    uint64_t size = b->size, file = b->file.size;

    if (!size && a->iface != DRIVE_IF_PFLASH)
        arg_note("%s: %s is empty: the guest finds a medium without sectors (latimer image create makes one that has some)",
                 a->opt, a->file);
    else if (a->drive.cdrom && size % CD_BLOCK)
        arg_note("%s: %s has %llu bytes, and a CD blocks of %u: the last %u bytes are not there for the guest: is the file "
                 "cut off?", a->opt, a->file, (unsigned long long)size, CD_BLOCK, (unsigned)(size % CD_BLOCK));
    else if (b->ops == &raw_ops && file % SECTOR && !a->file_node)
        arg_note("%s: %s has %llu bytes, and a disk sectors of %u: zeros fill up the last one: is the file cut off?",
                 a->opt, a->file, (unsigned long long)file, SECTOR);
}

static void open_one(struct drive_arg *a, bool lent)
{
    struct block_error e;
    struct block_open how = { .writable = !a->drive.read_only && !a->snapshot };
    int error = 0;

    if (a->open.no_lock && how.writable)
        die(EXIT_CODE_USAGE, "%s: without a lock two can write %s, which destroys it: use readonly=on or snapshot=on", a->opt,
            a->file);
    a->drive.disk = open_again(a, lent, &e, &error);
    if (!a->drive.disk)
        die(EXIT_CODE_FILE, "%s: %s%s", a->opt, e.text,
            how.writable && (error == -EACCES || error == -EROFS || error == -EPERM) ?
                ": with -drive file=FILE,readonly=on or snapshot=on it need not be" : "");
    note_size(a);
}

struct disk *drive_open(struct drive_arg *a, const char *file, const struct block_open *how, char *err,
                        size_t len)
{
    struct block_error e;
    struct disk *disk = open_image(a, file, how, &e, NULL);

    if (!disk)
        snprintf(err, len, "%s", e.text);
    return disk;
}

void drive_put(struct drive_arg *a, struct disk *disk, const char *file)
{
    struct drive *d = &a->drive;
    bool same = !disk && !d->disk;

    eject(d);
    d->disk = disk;
    if (disk)
        disk_hand_over(disk, &d->on_error, a);
    free(a->put);
    a->file = a->put = file ? strdup(file) : NULL;
    a->lent = false;
    if (!same && d->user && d->user->changed)
        d->user->changed(d->dev);
}

static void open_drive(struct machine *m, struct drive_arg *a, bool bounce, bool lent)
{
    a->m = m;
    a->drive.eject = eject;
    a->drive.moved = moved;
    a->bounce = bounce;
    a->drive.arg = a;
    if (a->below)
        eject(&a->below->drive);
    if (a->file && !a->taken)
        open_one(a, lent);
}

void drives_open(struct machine *m, struct drive_arg *list, bool bounce, bool lent)
{
    for (struct drive_arg *a = list; a; a = a->next)
        open_drive(m, a, bounce, lent);
}

void drives_open_one(struct machine *m, struct drive_arg *a)
{
    open_drive(m, a, m->drives && m->drives->bounce, false);
}

bool drives_remove(struct drive_arg **list, struct drive *d, char *err, size_t len)
{
    struct drive_arg **at = list, *a;

    while (&(*at)->drive != d)
        at = &(*at)->next;
    a = *at;
    if (a->taken) {
        snprintf(err, len, "node '%s' is the file of another, which is to go first", d->id);
        return false;
    }
    if (d->used || a->iface != DRIVE_IF_NONE) {
        snprintf(err, len, "drive '%s' belongs to a device: its medium can be taken out (eject)", d->id);
        return false;
    }
    eject(d);
    drive_step_off(a);
    *at = a->next;
    a->next = NULL;
    drives_free(a);
    return true;
}

/* Whose turn it is changes: the same image is opened in the other way. Its device is not told. */
static bool exchange(struct drive_arg *a, bool lent, char *err, size_t len)
{
    struct disk *was = a->drive.disk, *now;
    struct block_error e;
    int error = 0;

    if (lent) {                 /* what was written is there before anybody else looks */
        a->size = was->size;
        a->format = disk_block(was)->ops->format;
        a->drive.disk = NULL;
        error = disk_free(was);
    }
    now = error < 0 ? NULL : open_again(a, lent, &e, NULL);
    if (error < 0) {
        snprintf(err, len, "drive %s: closing its image: %s", a->drive.id, strerror(-error));
    } else if (!now) {
        snprintf(err, len, "drive %s: %s", a->drive.id, e.text);
    } else if (now->size != a->size || strcmp(disk_block(now)->ops->format, a->format) != 0) {
        snprintf(err, len, "drive %s: %s is another image than before: it had %llu bytes", a->drive.id, a->file,
                 (unsigned long long)a->size);
        disk_free(now);
        now = NULL;
    }
    if (!now) {
        a->lent = true;
        return false;
    }
    if (!lent && was)
        disk_free(was);
    a->drive.disk = now;
    return true;
}

bool drives_turn(struct machine *m, bool ours, char *err, size_t len)
{
    bool ok = true;

    for (struct drive_arg *a = m->drives; a && ok; a = a->next) {
        struct block *b = a->drive.disk ? disk_block(a->drive.disk) : NULL;

        if (ours ? a->lent && a->file : b && b->writable && !b->temporary)
            ok = exchange(a, !ours, err, len);
    }
    if (!ok && ours)
        drives_turn(m, false, (char[256]){ 0 }, 256);
    return ok;
}

uint8_t *drive_contents(struct drive *d)
{
    uint64_t len = (d->disk->size + PAGE_SIZE - 1) & PAGE_MASK;
    uint8_t *p = len <= FLASH_MAX ? aligned_alloc(PAGE_SIZE, len) : NULL;
    int error = p ? block_read(disk_block(d->disk), 0, p, d->disk->size) : -EFBIG;

    if (error < 0)
        die(EXIT_CODE_FILE, "drive %s: cannot read it into memory: %s", d->id, strerror(-error));
    return p;
}

void drives_settle(struct machine *m)
{
    machine_lock(m);
    for (struct drive_arg *a = m->drives; a; a = a->next)
        if (a->drive.disk && disk_drain(a->drive.disk) < 0)
            disk_drain_reads(a->drive.disk);    /* what waits is given up; writes are the medium's, and stay */
    machine_unlock(m);
}

bool drives_close(struct drive_arg *list)
{
    bool ok = true;

    for (struct drive_arg *a = list; a; a = a->next) {
        int error = a->drive.disk ? disk_free(a->drive.disk) : 0;

        a->drive.disk = NULL;
        if (error == 0)
            continue;
        fprintf(stderr, "latimer: drive %s: not all that the guest wrote reached %s: %s\n", a->drive.id, a->file,
                strerror(-error));
        ok = false;
    }
    return ok;
}

void drives_free(struct drive_arg *list)
{
    for (struct drive_arg *a = list, *next; a; a = next) {
        next = a->next;
        free(a->put);
        free(a);
    }
}
