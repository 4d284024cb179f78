/*
 * snapshot.c - see snapshot.h; the stream is debug/snap_file.h's, what it consists of debug/snapshot_int.h's.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE             /* asprintf(), mkostemp() */
#endif

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "block/block.h"
#include "debug/control.h"
#include "debug/migrate.h"
#include "debug/snapshot_int.h"
#include "hw/clock.h"

#define FILE_STEP (8u << 20)

/* ---- saving ---- */

static void save_all(struct machine *m, struct snap_writer *w, enum snapshot_disks disks)
{
    struct snapshot_states s = { 0 };

    snapshot_states_begin(m, &s);
    snapshot_states_take(m, &s);
    snapshot_states_put(&s, w);
    snapshot_put_memory(m, w, 0);
    snapshot_put_disks(m, w, disks);
}

struct file {
    int fd;
    size_t unasked;             /* bytes, since the host was last asked to write */
};

static int file_write(void *arg, const void *data, size_t len)
{
    struct file *f = arg;
    const uint8_t *p = data;

    f->unasked += len;
    while (len) {
        ssize_t n = write(f->fd, p, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        p += n;
        len -= (size_t)n;
    }
    if (f->unasked >= FILE_STEP) {      /* its disk begins at once: there is less to wait for in the end */
        sync_file_range(f->fd, 0, 0, SYNC_FILE_RANGE_WRITE);
        f->unasked = 0;
    }
    return 0;
}

/* To a new file, which takes the other's place when it is whole. */
static bool save_file(struct machine *m, const char *path, struct reason why)
{
    struct file f = { .fd = -1 };
    char *temp = NULL;
    int error;

    if (asprintf(&temp, "%s.XXXXXX", path) < 0)
        return snapshot_fail(why, "out of memory");
    f.fd = mkostemp(temp, O_CLOEXEC);
    error = f.fd < 0 ? -errno : 0;
    if (!error) {
        struct snap_writer *w = snap_begin(&(struct snap_sink){ file_write, &f });

        save_all(m, w, DISKS_IN_STREAM);
        error = snap_end(w, NULL);
        if (!error && (fchmod(f.fd, 0600) < 0 || fdatasync(f.fd) < 0))
            error = -errno;
        if (!error && rename(temp, path) < 0)
            error = -errno;
        if (error)
            unlink(temp);
        close(f.fd);
    }
    free(temp);
    return !error || snapshot_fail(why, "cannot write %s: %s", path, strerror(-error));
}

static int memory_write(void *arg, const void *data, size_t len)
{
    state_put(arg, data, len);
    return 0;
}

struct block *snapshot_image(struct machine *m)
{
    struct drive *d;

    for (unsigned n = 0; (d = m->drive(m, n)); n++)
        if (snapshot_block(d) && block_has_snapshots(snapshot_block(d)))
            return snapshot_block(d);
    return NULL;
}

/* A snapshot of each image that can have one; the first has the state. Those made are taken back where one fails. */
static bool keep_images(struct machine *m, const char *tag, const struct state_out *state, struct reason why)
{
    struct block *first = snapshot_image(m);
    struct timespec now;
    struct block_snapshot s = { .name = (char *)(uintptr_t)tag, .vm_clock_ns = clock_now(m->clock) };
    struct block_error e;
    struct drive *d;
    unsigned n;
    int r = 0;

    clock_gettime(CLOCK_REALTIME, &now);
    s.date = (uint32_t)now.tv_sec;
    s.date_ns = (uint32_t)now.tv_nsec;
    for (n = 0; !r && (d = m->drive(m, n)); n++) {
        struct block *b = snapshot_block(d);

        if (!b || !block_has_snapshots(b))
            continue;
        if (snapshot_in_image(b, tag))
            r = block_snapshot_delete(b, tag, &e);
        s.vm_state = b == first ? state->len : 0;
        if (!r)
            r = block_snapshot_create(b, &s, state->buf, &e);
    }
    if (!r)
        return true;
    snapshot_fail(why, "drive %s: %s", m->drive(m, n - 1)->id, e.text);
    for (unsigned k = 0; k + 1 < n; k++) {
        struct block *b = snapshot_block(m->drive(m, k));

        if (b && block_has_snapshots(b))
            block_snapshot_delete(b, tag, &e);
    }
    return false;
}

static bool save_images(struct machine *m, const char *tag, struct reason why)
{
    struct state_out state = { 0 };
    struct snap_writer *w = snap_begin(&(struct snap_sink){ memory_write, &state });
    bool ok;

    save_all(m, w, DISKS_IN_IMAGES);
    snap_end(w, NULL);
    ok = keep_images(m, tag, &state, why);
    free(state.buf);
    return ok;
}

/* Stops the machine if it runs; true: it did. */
static bool stop(struct machine *m, enum run_state state)
{
    bool ran = control_state(m->control) == RUN_RUNNING;

    if (ran)
        control_stop(m->control, state);
    else
        control_settle(m->control);
    return ran;
}

static bool is_file(const char *where)
{
    return strchr(where, '/');
}

static bool may_touch(struct machine *m, struct reason why)
{
    if (migrate_active(m))
        return snapshot_fail(why, "a migration is under way: wait for its end, or use migrate_cancel");
    if (migrate_gone(m))
        return snapshot_fail(why, "the machine has gone elsewhere: 'cont' takes it back, if it does not run there");
    return true;
}

/* What would refuse is asked before anything is stopped. */
static bool may_save(struct machine *m, const char *where, struct reason why)
{
    const char *chip, *blocked = chips_unsaveable(m->chips, &chip);

    if (!may_touch(m, why))
        return false;
    if (blocked)
        return snapshot_fail(why, "%s: %s", chip, blocked);
    if (is_file(where))
        return true;
    if (!snapshot_image(m))
        return snapshot_fail(why, "no drive has a qcow2 image that can be written, where '%s' could be kept: give a file with a "
                    "'/' in its name, ./%s say, which takes all there is", where, where);
    if (!where[0] || strlen(where) > 255)
        return snapshot_fail(why, "a snapshot's name has 1 to 255 bytes");
    return true;
}

bool snapshot_save(struct machine *m, const char *where, char *text, size_t len)
{
    struct reason why = { text, len };
    bool ran, ok;

    if (!may_save(m, where, why))
        return false;
    ran = stop(m, RUN_SAVING);
    ok = snapshot_settle(m, why) && (is_file(where) ? save_file(m, where, why) : save_images(m, where, why));
    if (ran)
        control_cont(m->control);
    return ok;
}

bool snapshot_delete(struct machine *m, const char *where, char *text, size_t len)
{
    struct reason why = { text, len };
    struct drive *d;
    unsigned found = 0;
    bool ran, ok = true;

    if (is_file(where))
        return snapshot_fail(why, "%s is a file: delete it as other files are", where);
    if (!may_touch(m, why))
        return false;
    ran = stop(m, RUN_SAVING);
    ok = snapshot_settle(m, why);
    for (unsigned n = 0; ok && (d = m->drive(m, n)); n++) {
        struct block_error e;

        if (!snapshot_block(d) || !snapshot_in_image(snapshot_block(d), where))
            continue;
        found++;
        if (block_snapshot_delete(snapshot_block(d), where, &e) != 0)
            ok = snapshot_fail(why, "drive %s: %s", d->id, e.text);
    }
    if (ran)
        control_cont(m->control);
    return ok && (found || snapshot_fail(why, "no image has a snapshot '%s'", where));
}

/* ---- loading ---- */

static struct snap_image *read_file(const char *path, struct reason why)
{
    struct snap_image *i = NULL;
    struct stat st;
    const char *wrong;
    uint8_t *buf = NULL;
    size_t have = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);     /* a FIFO must not keep us waiting */

    if (fd < 0 || fstat(fd, &st) < 0) {
        snapshot_fail(why, "cannot open %s: %s", path, strerror(errno));
    } else if (!S_ISREG(st.st_mode)) {
        snapshot_fail(why, "%s is no file", path);
    } else if (!(buf = malloc((size_t)st.st_size + 1))) {
        snapshot_fail(why, "%s: out of memory", path);
    } else {
        while (have < (size_t)st.st_size) {
            ssize_t n = read(fd, buf + have, (size_t)st.st_size - have);

            if (n < 0 && errno == EINTR)
                continue;
            if (n <= 0)
                break;
            have += (size_t)n;
        }
        i = snap_open(buf, have, &wrong);
        if (!i)
            snapshot_fail(why, "%s: %s: it is not loaded", path, wrong);
    }
    if (fd >= 0)
        close(fd);
    return i;
}

/* The stream in the image whose snapshot has one. */
static struct snap_image *read_images(struct machine *m, const char *tag, struct reason why)
{
    struct snap_image *i = NULL;
    struct drive *d;
    bool found = false;

    for (unsigned n = 0; !found && (d = m->drive(m, n)); n++) {
        struct block *b = snapshot_block(d);
        struct block_info info;
        struct block_error e;
        uint64_t len = 0;
        const char *wrong;
        uint8_t *buf;

        if (!b || !snapshot_in_image(b, tag))
            continue;
        block_info(b, &info);
        for (unsigned k = 0; k < info.nsnapshots; k++)
            if (strcmp(info.snapshots[k].name, tag) == 0)
                len = info.snapshots[k].vm_state;
        if (!len)
            continue;
        found = true;
        buf = len < b->file.size ? malloc(len) : NULL;
        if (!buf) {
            snapshot_fail(why, "drive %s: snapshot '%s' cannot be of %" PRIu64 " bytes", d->id, tag, len);
        } else if (block_snapshot_state(b, tag, buf, len, &e) != 0) {
            snapshot_fail(why, "drive %s: %s", d->id, e.text);
            free(buf);
        } else {
            i = snap_open(buf, len, &wrong);
            if (!i)
                snapshot_fail(why, "drive %s: snapshot '%s': %s: it is not loaded", d->id, tag, wrong);
        }
    }
    if (!found)
        snapshot_fail(why, "no image has a snapshot '%s' of a machine; files have a '/' in their names, ./%s say", tag, tag);
    return i;
}

bool snapshot_load(struct machine *m, const char *where, char *text, size_t text_len)
{
    struct reason why = { text, text_len };
    const char *tag = is_file(where) ? NULL : where;
    struct snap_image *i;
    struct phys_fresh *fresh[PHYS_RAMS + 1] = { NULL };
    bool ran, ok;

    if (!may_touch(m, why))
        return false;
    ran = stop(m, RUN_RESTORING);
    /* Disks first: what is read of an image must be all there. */
    ok = snapshot_settle(m, why);
    i = !ok ? NULL : tag ? read_images(m, tag, why) : read_file(where, why);
    ok = i && snapshot_check(m, i, tag ? DISKS_IN_IMAGES : DISKS_IN_STREAM, tag, why) &&
        snapshot_load_memory(m, i, fresh, why);
    if (ok && !snapshot_become(m, i, tag, fresh, why)) {
        ok = ran = false;
        control_stop(m->control, RUN_IO_ERROR);
    }
    for (unsigned n = 0; n < PHYS_RAMS; n++)
        phys_fresh_drop(fresh[n]);
    if (ran)
        control_cont(m->control);
    snap_close(i);
    return ok;
}
