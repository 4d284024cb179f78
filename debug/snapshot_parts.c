/*
 * snapshot_parts.c - what of a machine goes into a stream, and how it is compared, checked and taken back from there
 * (snapshot_int.h).
 *
 * Sections: "machine" (what must be the same where it is loaded: words with a description each), "clock", "chips", "cpu0"
 * and so on, for each drive "drive:ID" (its medium), "ram0"... (phys_ram()), and for drives whose contents the stream
 * keeps "disk:ID". Everything is compared before anything is changed; then disks are first, since only they can fail.
 */
#include "debug/snapshot_int.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "block/disk.h"
#include "frontend/cpu_model.h"
#include "frontend/cpu_state.h"
#include "hw/boards.h"
#include "hw/clock.h"
#include "translator/exec.h"

bool snapshot_fail(struct reason why, const char *fmt, ...)
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
    const struct cpu_model *model = m->ncpu ? m->cpu[0]->model : NULL;
    const char *names;
    enum x86_feat f;
    char line[256];

#define LINE(...) state_put(o, line, (size_t)snprintf(line, sizeof(line), __VA_ARGS__))
    LINE("board=%s\n", m->cfg.board->name);
    LINE("memory=%" PRIu64 " MiB\n", m->cfg.ram >> 20);
    LINE("processors=%u\n", m->ncpu);
    if (model)
        LINE("processor=%s\n", model->name);
    LINE("hpet=%s\nsmm=%s\n", m->cfg.no_hpet ? "off" : "on", m->cfg.no_smm ? "off" : "on");
    /* By name, so that a difference can be told; then all, those among them that cannot be chosen. */
    for (unsigned i = 0; model && (names = cpu_feature_nth(i, &f)); i++)
        LINE("%.*s=%s\n", (int)strcspn(names, " "), names, model_has(model, f) ? "on" : "off");
    LINE("features=");
    for (size_t i = 0; model && i < sizeof(model->feats) / sizeof(model->feats[0]); i++)
        LINE("%016" PRIx64, model->feats[i]);
    LINE("\n");
#undef LINE
    state_put_num(o, 0, 1);
}

bool snapshot_same_machine(struct machine *m, const struct snap_image *i, struct reason why)
{
    struct state_out mine = { 0 };
    size_t len;
    const char *theirs = (const char *)snap_get_state(i, "machine", &len), *a, *b;
    bool same = true;

    if (!theirs || !len || theirs[len - 1])
        return snapshot_fail(why, "damaged: it does not say of what machine it is");
    describe(m, &mine);
    a = (const char *)mine.buf;
    b = theirs;
    while (same && (*a || *b)) {
        size_t la = strcspn(a, "\n"), lb = strcspn(b, "\n");

        if (la != lb || memcmp(a, b, la) != 0)
            same = snapshot_fail(why, "it is of another machine: %.*s there, %.*s here: start Latimer with the options it was "
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

struct block *snapshot_block(const struct drive *d)
{
    return d->disk ? disk_block(d->disk) : NULL;
}

static struct medium medium_of(const struct drive *d)
{
    const struct block *b = snapshot_block(d);

    if (!b)
        return (struct medium){ 0 };
    return (struct medium){ .size = b->size, .backing = b->backing ? b->backing->size : 0, .writable = b->writable };
}

static bool drain(struct machine *m, struct reason why)
{
    struct drive *d;
    int error;

    for (unsigned n = 0; (d = m->drive(m, n)); n++)
        if (d->disk && (error = disk_drain(d->disk)) < 0)
            return snapshot_fail(why, "drive %s: requests of the guest wait, since one failed: %s: put that right first", d->id,
                                 strerror(-error));
    return true;
}

bool snapshot_settle(struct machine *m, struct reason why)
{
    /* An answer has timers set, a timer asks a disk; with time at rest that ends. A guest may try to see that it does not. */
    unsigned rounds = 1000;

    do
        if (!drain(m, why))
            return false;
    while (clock_settle(m->clock) && --rounds);
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

/* Do its contents go into the stream? */
static bool in_stream(const struct block *b, enum snapshot_disks disks)
{
    return b && b->writable && (disks == DISKS_IN_STREAM || (disks == DISKS_IN_IMAGES && !block_has_snapshots(b)) ||
                                (disks == DISKS_SHARED && b->temporary));
}

void snapshot_put_disks(struct machine *m, struct snap_writer *w, enum snapshot_disks disks)
{
    struct drive *d;
    char id[256];

    for (unsigned n = 0; (d = m->drive(m, n)); n++)
        if (in_stream(snapshot_block(d), disks))
            snap_extents(w, name(id, "disk:", d->id), snapshot_block(d)->size,
                         &(struct snap_source){ image_kind, image_read, snapshot_block(d) });
}

bool snapshot_in_image(struct block *b, const char *tag)
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

static bool compare_drives(struct machine *m, const struct snap_image *i, enum snapshot_disks disks, const char *tag,
                           struct reason why)
{
    struct drive *d;
    char id[256];

    for (unsigned n = 0; (d = m->drive(m, n)); n++) {
        struct medium here = medium_of(d), there;
        uint64_t whole;
        struct state_in in = { .bad = false };

        in.p = snap_get_state(i, name(id, "drive:", d->id), &in.left);
        if (!in.p || state_get_fields(&in, d->id, "medium", medium_fields, &there))
            return snapshot_fail(why, "it knows no drive %s: start Latimer with the options it was made with", d->id);
        if (there.size != here.size || there.backing != here.backing || there.writable != here.writable)
            return snapshot_fail(why, "drive %s: another medium: %" PRIu64 " bytes%s there, %" PRIu64 " bytes%s here", d->id,
                        there.size, there.writable ? "" : ", read-only", here.size, here.writable ? "" : ", read-only");
        if (!here.writable || (disks == DISKS_IN_IMAGES && snapshot_in_image(snapshot_block(d), tag)))
            continue;
        if (snap_has_extents(i, name(id, "disk:", d->id), &whole)) {
            if (whole != here.size)
                return snapshot_fail(why, "damaged: what was on drive %s is of another size", d->id);
        } else if (disks != DISKS_SHARED || snapshot_block(d)->temporary) {
            return snapshot_fail(why, disks == DISKS_IN_IMAGES ?
                                 "what was on drive %s is missing: its image has no snapshot of that name" :
                                 "what was on drive %s is not in it: was it made by 'migrate' without -b? Then -incoming "
                                 "loads it, with that drive's image as it was", d->id);
        }
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
            return snapshot_fail(why, "damaged: an extent of drive %s cannot be decompressed", d->id);
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

/* tag NULL: what is not in the stream is as it should be. */
static bool load_drives(struct machine *m, const struct snap_image *i, const char *tag, struct reason why)
{
    struct drive *d;
    char id[256];

    for (unsigned n = 0; (d = m->drive(m, n)); n++) {
        struct block *b = snapshot_block(d);
        uint64_t off, last = 0;
        uint32_t len;
        int error = 0;

        if (!b || !b->writable)
            continue;
        if (!snap_has_extents(i, name(id, "disk:", d->id), &off)) {
            struct block_error e;

            if (tag && block_snapshot_apply(b, tag, &e) != 0)
                return snapshot_fail(why, "drive %s: %s", d->id, e.text);
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
            return snapshot_fail(why, "drive %s: cannot be written: %s: it is neither what it was nor what is in the snapshot; load "
                        "again when it can be", d->id, strerror(-error));
    }
    for (unsigned n = 0; n < 2; n++)            /* flash memory is in memory as well */
        if (m->cfg.pflash[n] && snapshot_block(m->cfg.pflash[n]) && snapshot_block(m->cfg.pflash[n])->writable)
            block_read(snapshot_block(m->cfg.pflash[n]), 0, m->cfg.flash[n], snapshot_block(m->cfg.pflash[n])->size);
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

int snapshot_memory_put(void *arg, uint64_t off, const uint8_t *data, size_t len)
{
    return phys_fresh_put(arg, off, data, len);
}

/* Memory as it is in the snapshot, beside that which the guest has, so that it can still be refused. */
bool snapshot_load_memory(struct machine *m, const struct snap_image *i, struct phys_fresh *fresh[], struct reason why)
{
    uint64_t len, there;
    char id[256];

    for (unsigned n = 0; phys_ram(m->phys, n, &len); n++) {
        int error;

        if (!snap_has_extents(i, number(id, "ram", n), &there) || there != len)
            return snapshot_fail(why, "its memory is another: start Latimer with the options it was made with");
        fresh[n] = phys_fresh_new(m->phys, n);
        if (fresh[n] && snap_has_extents(i, id, &there) > 1)
            phys_fresh_again(fresh[n]);
        error = fresh[n] ? snap_each(i, id, snapshot_memory_put, fresh[n]) : -errno;
        if (error)
            return snapshot_fail(why, error == -EBADMSG ? "damaged: an extent of memory cannot be decompressed" :
                        "the host has no memory for it: %s", strerror(-error));
    }
    return true;
}

/* ---- states ---- */

static struct state_out *add_state(struct snapshot_states *s, const char *section)
{
    s->one = realloc(s->one, (s->n + 1) * sizeof(s->one[0]));
    if (!s->one)
        die(EXIT_CODE_HOST, "out of memory for a snapshot");
    s->one[s->n] = (struct snapshot_state){ .state = { 0 } };
    snprintf(s->one[s->n].name, sizeof(s->one[0].name), "%s", section);
    return &s->one[s->n++].state;
}

void snapshot_states_begin(struct machine *m, struct snapshot_states *s)
{
    describe(m, add_state(s, "machine"));
}

void snapshot_states_take(struct machine *m, struct snapshot_states *s)
{
    struct clock_state clock;
    struct state_out *o;
    struct drive *d;
    uint8_t *chips;
    size_t len;
    char id[256];

    clock_save(m->clock, &clock);
    state_put_fields(add_state(s, "clock"), "clock", "clock", clock_fields, &clock);
    len = chips_save(m->chips, &chips);
    o = add_state(s, "chips");
    state_put(o, chips, len);
    free(chips);
    for (unsigned n = 0; n < m->ncpu; n++)
        cpu_state_save(m->cpu[n], add_state(s, number(id, "cpu", n)));
    for (unsigned n = 0; (d = m->drive(m, n)); n++) {
        struct medium medium = medium_of(d);

        state_put_fields(add_state(s, name(id, "drive:", d->id)), d->id, "medium", medium_fields, &medium);
    }
}

void snapshot_states_add(struct snapshot_states *s, const char *section, struct state_out *o)
{
    *add_state(s, section) = *o;
}

void snapshot_states_put(struct snapshot_states *s, struct snap_writer *w)
{
    for (unsigned n = 0; n < s->n; n++) {
        if (w)
            snap_state(w, s->one[n].name, s->one[n].state.buf, s->one[n].state.len);
        free(s->one[n].state.buf);
    }
    free(s->one);
    *s = (struct snapshot_states){ 0 };
}

void snapshot_put_memory(struct machine *m, struct snap_writer *w, unsigned n)
{
    uint64_t len;
    void *ram;
    char id[256];

    for (; (ram = phys_ram(m->phys, n, &len)); n++)
        snap_extents(w, number(id, "ram", n), len, &(struct snap_source){
            memory_kind, memory_read, &(struct memory){ m->phys, n, ram }, .zero_is_absent = true });
}

static bool compare_states(struct machine *m, const struct snap_image *i, struct reason why)
{
    struct state_in in = { .bad = false };
    struct clock_state clock;
    const char *wrong;
    char id[256];

    in.p = snap_get_state(i, "clock", &in.left);
    wrong = in.p ? state_get_fields(&in, "clock", "clock", clock_fields, &clock) : "it is missing";
    if (wrong || (wrong = clock_check(&clock)))
        return snapshot_fail(why, "its clock cannot be loaded: %s", wrong);
    in.p = snap_get_state(i, "chips", &in.left);
    wrong = in.p ? chips_check(m->chips, in.p, in.left) : "they are missing";
    if (wrong)
        return snapshot_fail(why, "its devices cannot be loaded: %s", wrong);
    for (unsigned n = 0; n < m->ncpu; n++) {
        in = (struct state_in){ .bad = false };
        in.p = snap_get_state(i, number(id, "cpu", n), &in.left);
        wrong = in.p ? cpu_state_load(NULL, &in) : "it is missing";
        if (wrong)
            return snapshot_fail(why, "its processor %u cannot be loaded: %s", n, wrong);
    }
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

bool snapshot_check(struct machine *m, const struct snap_image *i, enum snapshot_disks disks, const char *tag,
                    struct reason why)
{
    return snapshot_same_machine(m, i, why) && compare_drives(m, i, disks, tag, why) && compare_states(m, i, why) &&
        check_disks(m, i, why);
}

bool snapshot_become(struct machine *m, const struct snap_image *i, const char *tag, struct phys_fresh *fresh[],
                     struct reason why)
{
    if (!load_drives(m, i, tag, why))
        return false;
    load_states(m, i, fresh);
    return true;
}
