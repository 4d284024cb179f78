/*
 * snapshot.c - see snapshot.h; the stream is debug/snap_file.h's.
 *
 * Sections: "machine" (what must be the same where it is loaded: words with a description each), "clock", "chips", "cpu0"
 * and so on, "ram0"... (phys_ram()), and for each drive "drive:ID" (its medium) and, where the guest can write it,
 * "disk:ID", unless its image keeps that itself, in a snapshot of the same name. Everything is compared before anything is changed; then disks are first, since only they can fail.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE             /* asprintf(), mkostemp() */
#endif

#include "debug/snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/state.h"
#include "block/disk.h"
#include "debug/control.h"
#include "debug/snap_file.h"
#include "frontend/cpu_model.h"
#include "frontend/cpu_state.h"
#include "hw/boards.h"
#include "hw/clock.h"
#include "softmmu/softmmu.h"
#include "translator/exec.h"

#define FILE_STEP (8u << 20)

struct reason {
    char *text;
    size_t len;
};

__attribute__((format(printf, 2, 3)))
static bool fail(struct reason why, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(why.text, why.len, fmt, ap);
    va_end(ap);
    return false;
}

/* "disk:ida0", "ram1". */
static const char *name(char out[256], const char *kind, const char *id)
{
    snprintf(out, 256, "%s%.200s", kind, id);
    return out;
}

static const char *number(char out[256], const char *kind, unsigned n)
{
    snprintf(out, 256, "%s%u", kind, n);
    return out;
}

/* ---- what must be the same ---- */

/* Words "key=value\n", compared line by line so that the difference can be told. */
static void describe(struct machine *m, struct state_out *o)
{
    const struct cpu_model *model = m->cpu[0]->model;
    char line[256];

#define LINE(...) state_put(o, line, (size_t)snprintf(line, sizeof(line), __VA_ARGS__))
    LINE("board=%s\n", m->cfg.board->name);
    LINE("memory=%" PRIu64 " MiB\n", m->cfg.ram >> 20);
    LINE("processors=%u\n", m->ncpu);
    LINE("processor=%s\n", model->name);
    LINE("features=");
    for (size_t i = 0; i < sizeof(model->feats) / sizeof(model->feats[0]); i++)
        LINE("%016" PRIx64, model->feats[i]);
    LINE("\n");
#undef LINE
    state_put_num(o, 0, 1);
}

static bool compare_machine(struct machine *m, const struct snap_image *i, struct reason why)
{
    struct state_out mine = { 0 };
    size_t len;
    const char *theirs = (const char *)snap_get_state(i, "machine", &len), *a, *b;
    bool same = true;

    if (!theirs || !len || theirs[len - 1])
        return fail(why, "damaged: it does not say of what machine it is");
    describe(m, &mine);
    a = (const char *)mine.buf;
    b = theirs;
    while (same && (*a || *b)) {
        size_t la = strcspn(a, "\n"), lb = strcspn(b, "\n");

        if (la != lb || memcmp(a, b, la) != 0)
            same = fail(why, "it is of another machine: %.*s there, %.*s here: start Latimer with the options it was "
                        "made with", (int)(lb < 80 ? lb : 80), b, (int)(la < 80 ? la : 80), a);
        a += la + (a[la] == '\n');
        b += lb + (b[lb] == '\n');
    }
    free(mine.buf);
    return same;
}

/* ---- drives ---- */

struct medium {
    uint64_t size;              /* 0: there is none */
    uint64_t backing;           /* size of what is beneath the image, 0: nothing is */
    uint8_t writable;
};
static const struct field medium_fields[] = {
    FIELD(struct medium, size), FIELD(struct medium, backing), FIELD(struct medium, writable), FIELD_END
};

static struct block *image_of(const struct drive *d)
{
    return d->disk ? disk_block(d->disk) : NULL;
}

static struct medium medium_of(const struct drive *d)
{
    const struct block *b = image_of(d);

    if (!b)
        return (struct medium){ 0 };
    return (struct medium){ .size = b->size, .backing = b->backing ? b->backing->size : 0, .writable = b->writable };
}

/* Nothing is under way any more. */
static bool settle_disks(struct machine *m, struct reason why)
{
    struct drive *d;

    for (unsigned n = 0; (d = m->drive(m, n)); n++)
        if (d->disk && disk_drain(d->disk) == -ENOSPC)
            return fail(why, "drive %s: the host's disk is full, and what the guest wrote waits: make room first", d->id);
    return true;
}

static int image_kind(void *arg, uint64_t off, uint64_t *len, enum snap_kind *kind)
{
    static const enum snap_kind kinds[] = {
        [BLOCK_DATA] = SNAP_DATA, [BLOCK_ZERO] = SNAP_ZERO, [BLOCK_ABSENT] = SNAP_ABSENT
    };
    enum block_kind k;
    int error = block_extent(arg, off, len, &k);

    if (!error)
        *kind = kinds[k];
    return error;
}

static const void *image_read(void *arg, uint64_t off, void *buf, size_t len)
{
    int error = block_read(arg, off, buf, len);

    if (!error)
        return buf;
    errno = -error;
    return NULL;
}

/* Into the images: what they can keep themselves is left out. */
static void save_drives(struct machine *m, struct snap_writer *w, bool in_images)
{
    struct drive *d;
    char id[256];

    for (unsigned n = 0; (d = m->drive(m, n)); n++) {
        struct medium medium = medium_of(d);
        struct state_out o = { 0 };

        state_put_fields(&o, d->id, "medium", medium_fields, &medium);
        snap_state(w, name(id, "drive:", d->id), o.buf, o.len);
        free(o.buf);
        if (medium.writable && !(in_images && block_has_snapshots(image_of(d))))
            snap_extents(w, name(id, "disk:", d->id), medium.size,
                         &(struct snap_source){ image_kind, image_read, image_of(d) });
    }
}

static bool has_snapshot(struct block *b, const char *tag)
{
    struct block_info info;

    if (!block_has_snapshots(b))
        return false;
    block_info(b, &info);
    for (unsigned n = 0; n < info.nsnapshots; n++)
        if (strcmp(info.snapshots[n].name, tag) == 0)
            return true;
    return false;
}

/* tag: of the snapshots in images, NULL: everything is in the stream. */
static bool compare_drives(struct machine *m, const struct snap_image *i, const char *tag, struct reason why)
{
    struct drive *d;
    char id[256];

    for (unsigned n = 0; (d = m->drive(m, n)); n++) {
        struct medium here = medium_of(d), there;
        uint64_t whole;
        struct state_in in = { .bad = false };

        in.p = snap_get_state(i, name(id, "drive:", d->id), &in.left);
        if (!in.p || state_get_fields(&in, d->id, "medium", medium_fields, &there))
            return fail(why, "it knows no drive %s: start Latimer with the options it was made with", d->id);
        if (there.size != here.size || there.backing != here.backing || there.writable != here.writable)
            return fail(why, "drive %s: another medium: %" PRIu64 " bytes%s there, %" PRIu64 " bytes%s here", d->id,
                        there.size, there.writable ? "" : ", read-only", here.size, here.writable ? "" : ", read-only");
        if (!here.writable || (tag && has_snapshot(image_of(d), tag)))
            continue;
        if (!snap_has_extents(i, name(id, "disk:", d->id), &whole) || whole != here.size)
            return fail(why, tag ? "what was on drive %s is missing: its image has no snapshot of that name" :
                        "damaged: what was on drive %s is missing", d->id);
    }
    return true;
}

/* Disks cannot take back what was written to them: all of it must be there first. */
static bool check_disks(struct machine *m, const struct snap_image *i, struct reason why)
{
    struct drive *d;
    char id[256];

    for (unsigned n = 0; (d = m->drive(m, n)); n++)
        if (snap_each(i, name(id, "disk:", d->id), NULL, NULL) != 0)
            return fail(why, "damaged: an extent of drive %s cannot be decompressed", d->id);
    return true;
}

static int image_put(void *arg, uint64_t off, const uint8_t *data, size_t len)
{
    return data ? block_write(arg, off, data, len) : block_zero(arg, off, len, true);
}

/* [off, end) is not in the snapshot: it becomes what is beneath the image, or zeros. */
static int uncover(struct block *b, uint64_t off, uint64_t end)
{
    static const size_t step = SNAP_EXTENT;
    uint8_t *buf = malloc(step);
    int error = buf ? 0 : -ENOMEM;

    while (!error && off < end) {
        uint64_t len = end - off;
        enum block_kind kind;

        error = block_extent(b, off, &len, &kind);
        if (!error && kind != BLOCK_ABSENT) {
            uint64_t base = b->backing ? b->backing->size : 0;

            if (off < base) {
                len = len < step ? len : step;
                len = len < base - off ? len : base - off;
                error = block_read(b->backing, off, buf, len);
                if (!error)
                    error = block_write(b, off, buf, len);
            } else {
                error = block_zero(b, off, len, true);
            }
        }
        off += len;
    }
    free(buf);
    return error;
}

static bool load_drives(struct machine *m, const struct snap_image *i, const char *tag, struct reason why)
{
    struct drive *d;
    char id[256];

    for (unsigned n = 0; (d = m->drive(m, n)); n++) {
        struct block *b = image_of(d);
        uint64_t off, last = 0;
        uint32_t len;
        int error = 0;

        if (!b || !b->writable)
            continue;
        if (!snap_has_extents(i, name(id, "disk:", d->id), &off)) {
            struct block_error e;

            if (block_snapshot_apply(b, tag, &e) != 0)
                return fail(why, "drive %s: %s", d->id, e.text);
            continue;
        }
        for (size_t k = 0; !error && snap_extent(i, id, k, &off, &len); k++) {
            error = uncover(b, last, off);
            last = off + len;
        }
        if (!error)
            error = uncover(b, last, b->size);
        if (!error)
            error = snap_each(i, id, image_put, b);
        if (!error)
            error = block_flush(b);
        if (error)
            return fail(why, "drive %s: cannot be written: %s: it is neither what it was nor what is in the snapshot; load "
                        "again when it can be", d->id, strerror(-error));
    }
    for (unsigned n = 0; n < 2; n++)            /* flash memory is in memory as well */
        if (m->cfg.pflash[n] && image_of(m->cfg.pflash[n]) && image_of(m->cfg.pflash[n])->writable)
            block_read(image_of(m->cfg.pflash[n]), 0, m->cfg.flash[n], image_of(m->cfg.pflash[n])->size);
    return true;
}

/* ---- memory ---- */

struct memory {
    struct phys *phys;
    unsigned n;
    const uint8_t *host;
};

static int memory_kind(void *arg, uint64_t off, uint64_t *len, enum snap_kind *kind)
{
    const struct memory *x = arg;

    *kind = phys_ram_used(x->phys, x->n, off, len) ? SNAP_DATA : SNAP_ABSENT;
    return 0;
}

static const void *memory_read(void *arg, uint64_t off, void *buf, size_t len)
{
    return ((const struct memory *)arg)->host + off;
}

static int memory_put(void *arg, uint64_t off, const uint8_t *data, size_t len)
{
    return data ? phys_fresh_put(arg, off, data, len) : 0;
}

/* Memory as it is in the snapshot, beside that which the guest has, so that it can still be refused. */
static bool load_memory(struct machine *m, const struct snap_image *i, struct phys_fresh *fresh[], struct reason why)
{
    uint64_t len;
    char id[256];

    for (unsigned n = 0; phys_ram(m->phys, n, &len); n++) {
        int error;

        fresh[n] = phys_fresh_new(m->phys, n);
        error = fresh[n] ? snap_each(i, number(id, "ram", n), memory_put, fresh[n]) : -errno;
        if (error)
            return fail(why, error == -EBADMSG ? "damaged: an extent of memory cannot be decompressed" :
                        "the host has no memory for it: %s", strerror(-error));
    }
    return true;
}

/* ---- saving ---- */

static void save_all(struct machine *m, struct snap_writer *w, bool in_images)
{
    struct state_out o = { 0 };
    struct clock_state clock;
    uint8_t *chips;
    uint64_t len;
    void *ram;
    char id[256];

    describe(m, &o);
    snap_state(w, "machine", o.buf, o.len);
    o.len = 0;
    clock_save(m->clock, &clock);
    state_put_fields(&o, "clock", "clock", clock_fields, &clock);
    snap_state(w, "clock", o.buf, o.len);
    len = chips_save(m->chips, &chips);
    snap_state(w, "chips", chips, len);
    free(chips);
    for (unsigned n = 0; n < m->ncpu; n++) {
        o.len = 0;
        cpu_state_save(m->cpu[n], &o);
        snap_state(w, number(id, "cpu", n), o.buf, o.len);
    }
    free(o.buf);
    for (unsigned n = 0; (ram = phys_ram(m->phys, n, &len)); n++)
        snap_extents(w, number(id, "ram", n), len, &(struct snap_source){
            memory_kind, memory_read, &(struct memory){ m->phys, n, ram }, .zero_is_absent = true });
    save_drives(m, w, in_images);
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
        return fail(why, "out of memory");
    f.fd = mkostemp(temp, O_CLOEXEC);
    error = f.fd < 0 ? -errno : 0;
    if (!error) {
        struct snap_writer *w = snap_begin(&(struct snap_sink){ file_write, &f });

        save_all(m, w, false);
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
    return !error || fail(why, "cannot write %s: %s", path, strerror(-error));
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
        if (image_of(d) && block_has_snapshots(image_of(d)))
            return image_of(d);
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
        struct block *b = image_of(d);

        if (!b || !block_has_snapshots(b))
            continue;
        if (has_snapshot(b, tag))
            r = block_snapshot_delete(b, tag, &e);
        s.vm_state = b == first ? state->len : 0;
        if (!r)
            r = block_snapshot_create(b, &s, state->buf, &e);
    }
    if (!r)
        return true;
    fail(why, "drive %s: %s", m->drive(m, n - 1)->id, e.text);
    for (unsigned k = 0; k + 1 < n; k++) {
        struct block *b = image_of(m->drive(m, k));

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

    save_all(m, w, true);
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

/* What would refuse is asked before anything is stopped. */
static bool may_save(struct machine *m, const char *where, struct reason why)
{
    const char *chip, *blocked = chips_unsaveable(m->chips, &chip);

    if (blocked)
        return fail(why, "%s: %s", chip, blocked);
    if (is_file(where))
        return true;
    if (!snapshot_image(m))
        return fail(why, "no drive has a qcow2 image that can be written, where '%s' could be kept: give a file with a "
                    "'/' in its name, ./%s say, which takes all there is", where, where);
    if (!where[0] || strlen(where) > 255)
        return fail(why, "a snapshot's name has 1 to 255 bytes");
    return true;
}

bool snapshot_save(struct machine *m, const char *where, char *text, size_t len)
{
    struct reason why = { text, len };
    bool ran, ok;

    if (!may_save(m, where, why))
        return false;
    ran = stop(m, RUN_SAVING);
    ok = settle_disks(m, why) && (is_file(where) ? save_file(m, where, why) : save_images(m, where, why));
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
        return fail(why, "%s is a file: delete it as other files are", where);
    ran = stop(m, RUN_SAVING);
    ok = settle_disks(m, why);
    for (unsigned n = 0; ok && (d = m->drive(m, n)); n++) {
        struct block_error e;

        if (!image_of(d) || !has_snapshot(image_of(d), where))
            continue;
        found++;
        if (block_snapshot_delete(image_of(d), where, &e) != 0)
            ok = fail(why, "drive %s: %s", d->id, e.text);
    }
    if (ran)
        control_cont(m->control);
    return ok && (found || fail(why, "no image has a snapshot '%s'", where));
}

/* ---- loading ---- */

static bool compare_states(struct machine *m, const struct snap_image *i, struct reason why)
{
    struct state_in in = { .bad = false };
    const char *wrong;
    uint64_t len, there;
    char id[256];

    in.p = snap_get_state(i, "clock", &in.left);
    if (!in.p || state_get_fields(&in, "clock", "clock", clock_fields, NULL))
        return fail(why, "damaged: its clock is missing");
    in.p = snap_get_state(i, "chips", &in.left);
    wrong = in.p ? chips_check(m->chips, in.p, in.left) : "they are missing";
    if (wrong)
        return fail(why, "its devices cannot be loaded: %s", wrong);
    for (unsigned n = 0; n < m->ncpu; n++) {
        in = (struct state_in){ .bad = false };
        in.p = snap_get_state(i, number(id, "cpu", n), &in.left);
        wrong = in.p ? cpu_state_load(NULL, &in) : "it is missing";
        if (wrong)
            return fail(why, "its processor %u cannot be loaded: %s", n, wrong);
    }
    for (unsigned n = 0; phys_ram(m->phys, n, &len); n++)
        if (!snap_has_extents(i, number(id, "ram", n), &there) || there != len)
            return fail(why, "its memory is another: start Latimer with the options it was made with");
    return true;
}

static void load_states(struct machine *m, const struct snap_image *i, struct phys_fresh *fresh[])
{
    struct clock_state clock;
    struct state_in in = { .bad = false };
    char id[256];

    for (unsigned n = 0; n < m->ncpu; n++)
        exec_forget(m->cpu[n]);
    for (unsigned n = 0; fresh[n]; n++) {
        phys_fresh_use(fresh[n]);
        fresh[n] = NULL;
    }
    track_mark_all(m->phys);
    in.p = snap_get_state(i, "clock", &in.left);
    state_get_fields(&in, "clock", "clock", clock_fields, &clock);
    clock_load(m->clock, &clock);
    /* Chips first: lines they drive are in the processors' state as they were. */
    in.p = snap_get_state(i, "chips", &in.left);
    chips_load(m->chips, in.p, in.left);
    for (unsigned n = 0; n < m->ncpu; n++) {
        in.p = snap_get_state(i, number(id, "cpu", n), &in.left);
        cpu_state_load(m->cpu[n], &in);
    }
}

static struct snap_image *read_file(const char *path, struct reason why)
{
    struct snap_image *i = NULL;
    struct stat st;
    const char *wrong;
    uint8_t *buf = NULL;
    size_t have = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0 || fstat(fd, &st) < 0) {
        fail(why, "cannot open %s: %s", path, strerror(errno));
    } else if (!S_ISREG(st.st_mode)) {
        fail(why, "%s is no file", path);
    } else if (!(buf = malloc((size_t)st.st_size + 1))) {
        fail(why, "%s: out of memory", path);
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
            fail(why, "%s: %s: it is not loaded", path, wrong);
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
        struct block *b = image_of(d);
        struct block_info info;
        struct block_error e;
        uint64_t len = 0;
        const char *wrong;
        uint8_t *buf;

        if (!b || !has_snapshot(b, tag))
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
            fail(why, "drive %s: snapshot '%s' cannot be of %" PRIu64 " bytes", d->id, tag, len);
        } else if (block_snapshot_state(b, tag, buf, len, &e) != 0) {
            fail(why, "drive %s: %s", d->id, e.text);
            free(buf);
        } else {
            i = snap_open(buf, len, &wrong);
            if (!i)
                fail(why, "drive %s: snapshot '%s': %s: it is not loaded", d->id, tag, wrong);
        }
    }
    if (!found)
        fail(why, "no image has a snapshot '%s' of a machine; files have a '/' in their names, ./%s say", tag, tag);
    return i;
}

bool snapshot_load(struct machine *m, const char *where, char *text, size_t text_len)
{
    struct reason why = { text, text_len };
    const char *tag = is_file(where) ? NULL : where;
    struct snap_image *i;
    struct phys_fresh *fresh[PHYS_RAMS + 1] = { NULL };
    bool ran = stop(m, RUN_RESTORING), ok;

    /* Disks first: what is read of an image must be all there. */
    ok = settle_disks(m, why);
    i = !ok ? NULL : tag ? read_images(m, tag, why) : read_file(where, why);
    ok = i && compare_machine(m, i, why) && compare_drives(m, i, tag, why) && compare_states(m, i, why) &&
        check_disks(m, i, why) && load_memory(m, i, fresh, why);
    if (ok) {
        ok = load_drives(m, i, tag, why);
        if (ok) {
            load_states(m, i, fresh);
        } else {
            ran = false;
            control_stop(m->control, RUN_IO_ERROR);
        }
    }
    for (unsigned n = 0; n < PHYS_RAMS; n++)
        phys_fresh_drop(fresh[n]);
    if (ran)
        control_cont(m->control);
    snap_close(i);
    return ok;
}
