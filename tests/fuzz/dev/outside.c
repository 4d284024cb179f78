/*
 * outside.c - disks and folders that answer late, cables, streams, sound, a screen and hands: what devices are plugged into
 * (fuzz_dev.h).
 */
#include "tests/fuzz/dev/fuzz_dev.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "hw/chardev_if.h"
#include "hw/disk_if.h"
#include "hw/fs_if.h"
#include "hw/net_if.h"
#include "hw/rng_if.h"

#define DISK_SIZE 1474560u          /* what fits a floppy drive, too */

struct end {
    enum prop_type type;
    struct fuzz *z;
    struct end *next;
    struct drive drive;
    struct disk disk;
    uint8_t *image;
    struct disk_req *first, **last;     /* what waits for an answer */
    struct fs fs;
    struct fs_req *asked, **last_asked;
    struct net net;
    struct chardev chr;
    struct chardev_slot slot;
    struct rng rng;
    unsigned sum;                       /* of all bytes that came out, so that each is looked at */
};

static void *make_end(struct fuzz *z, enum prop_type type)
{
    struct end *e = calloc(1, sizeof(*e));

    if (!e)
        abort();
    e->type = type;
    e->z = z;
    e->next = z->ends;
    z->ends = e;
    return e;
}

static void look(struct end *e, const void *data, size_t len)
{
    for (size_t i = 0; i < len; i++)
        e->sum = e->sum * 31 + ((const uint8_t *)data)[i];
}

/* ---- disks ---- */

static struct end *of_disk(struct disk *d)
{
    return (struct end *)((char *)d - offsetof(struct end, disk));
}

static void submit(struct disk *d, struct disk_req *r)
{
    struct end *e = of_disk(d);
    uint64_t total = 0;

    if (r->op != DISK_FLUSH && (r->off > d->size || r->len > d->size - r->off))
        abort();                /* the chip's to refuse */
    for (unsigned i = 0; (r->op == DISK_READ || r->op == DISK_WRITE) && i < r->nbufs; i++)
        total += r->bufs[i].len;
    if ((r->op == DISK_READ || r->op == DISK_WRITE) && total != r->len)
        abort();
    r->next = NULL;
    *e->last = r;
    e->last = &r->next;
}

static void answer(struct end *e, int error)
{
    struct disk_req *r = e->first;
    uint8_t *at = e->image + r->off;

    e->first = r->next;
    if (!e->first)
        e->last = &e->first;
    r->error = error;
    for (unsigned i = 0; !error && i < r->nbufs; at += r->bufs[i++].len) {
        if (r->op == DISK_READ)
            memcpy(r->bufs[i].data, at, r->bufs[i].len);
        else if (r->op == DISK_WRITE)
            memcpy(at, r->bufs[i].data, r->bufs[i].len);
    }
    if (!error && (r->op == DISK_ZERO || r->op == DISK_DISCARD))
        memset(at, 0, r->len);
    r->done(r);
}

static void drain_reads(struct disk *d)
{
    struct end *e = of_disk(d);
    struct disk_req *reads = NULL, **last = &reads, **p = &e->first;

    while (*p) {
        struct disk_req *r = *p;

        if (r->op != DISK_READ) {
            p = &r->next;
            continue;
        }
        *p = r->next;
        r->next = NULL;
        *last = r;
        last = &r->next;
    }
    e->last = p;
    while (reads) {
        struct disk_req *r = reads;

        reads = r->next;
        r->error = -ECANCELED;
        r->done(r);
    }
}

static const struct disk_ops disk_ops = { submit, drain_reads };

static void eject(struct drive *d)
{
    struct end *e = (struct end *)((char *)d - offsetof(struct end, drive));

    while (e->first)
        answer(e, 0);
    d->disk = NULL;
}

/* What a disk has to begin with; boards are built again and again. */
static uint8_t *image_new(void)
{
    static uint8_t first[DISK_SIZE];
    uint8_t *image = malloc(DISK_SIZE);

    if (!image)
        abort();
    for (unsigned i = 0; !first[DISK_SIZE - 1] && i < DISK_SIZE; i++)
        first[i] = (uint8_t)(i * 2654435761u >> 13);
    return memcpy(image, first, DISK_SIZE);
}

static struct drive *new_drive(struct fuzz *z, bool cdrom)
{
    struct end *e = make_end(z, PROP_DRIVE);

    e->image = image_new();
    e->last = &e->first;
    e->disk = (struct disk){ &disk_ops, DISK_SIZE, cdrom, !chance(z, 3) };
    e->drive = (struct drive){ .id = "drive", .disk = &e->disk, .cdrom = cdrom, .read_only = cdrom || chance(z, 8),
                               .serial = "SERIAL", .eject = eject };
    return &e->drive;
}

/* Some answers; a medium comes or goes. */
static void disk_acts(struct end *e)
{
    struct fuzz *z = e->z;

    for (unsigned n = pick(z, 8); n && e->first; n--)
        answer(e, chance(z, 50) ? -EIO : 0);
    if (!e->drive.cdrom || !chance(z, 20))
        return;
    if (e->drive.disk)
        eject(&e->drive);
    else
        e->drive.disk = &e->disk;
    if (e->drive.user && e->drive.user->changed)
        e->drive.user->changed(e->drive.dev);
}

/* ---- folders ---- */

static void fs_submit(struct fs *fs, struct fs_req *r)
{
    struct end *e = fs->arg;

    r->next = NULL;
    *e->last_asked = r;
    e->last_asked = &r->next;
}

/* A reference is a byte of its own, so that using one that was forgotten is seen. */
static struct fs_node *new_node(void)
{
    void *node = malloc(1);

    if (!node)
        abort();
    return node;
}

static void fs_entries(struct fuzz *z, struct fs_req *r)
{
    struct fs_qid qid = { FS_QID_DIR, 1, 2 };

    for (uint64_t off = r->off; pick(z, 10) && r->entry(r, &qid, off + 1, 4, chance(z, 8) ? ".." : "entry"); off++)
        continue;
}

/* Any answer that the interface allows (hw/fs_if.h). */
static void fs_does(struct end *e, struct fs_req *r)
{
    struct fuzz *z = e->z;

    r->attr.mode = (uint32_t)rnd(z);
    r->attr.size = rnd(z);
    r->attr.qid = (struct fs_qid){ chance(z, 2) ? FS_QID_DIR : 0, 3, rnd(z) };
    switch (r->op) {
    case FS_ATTACH:
        r->made = new_node();
        break;
    case FS_WALK:
        r->walked = r->nnames && chance(z, 4) ? 1 + pick(z, r->nnames) : r->nnames;
        if (r->walked == r->nnames)
            r->made = new_node();
        break;
    case FS_READ: case FS_READLINK:
        r->done_len = chance(z, 4) ? pick(z, r->len + 1) : r->len;
        memset(r->data, 'x', r->done_len);
        break;
    case FS_WRITE:
        look(e, r->data, r->len);
        r->done_len = chance(z, 4) ? pick(z, r->len + 1) : r->len;
        break;
    case FS_READDIR:
        fs_entries(z, r);
        break;
    case FS_GETXATTR:
        r->made = new_node();
        r->data = calloc(1, FS_XATTR_MAX);
        r->done_len = r->data ? pick(z, 300) : 0;
        break;
    case FS_SETXATTR:
        look(e, r->data, r->len);
        break;
    case FS_LOCK: case FS_GETLOCK:
        r->lock.type = (uint8_t)pick(z, FS_LOCK_BLOCKED + 1);
        break;
    default:
        break;
    }
}

static void fs_answer(struct end *e)
{
    struct fs_req *r = e->asked;

    e->asked = r->next;
    if (!e->asked)
        e->last_asked = &e->asked;
    r->error = 0;
    if (r->op == FS_FORGET)
        free(r->node);
    else if (r->op != FS_NOTHING && chance(e->z, 6))
        r->error = 1 + (int)pick(e->z, 100);
    else
        fs_does(e, r);
    r->done(r);
}

static const struct fs_ops fs_ops = { fs_submit };

void outside_settle(struct machine *m)
{
    struct fuzz *z = (struct fuzz *)((char *)m - offsetof(struct fuzz, m));
    bool more = true;

    while (more) {
        more = false;
        for (struct end *e = z->ends; e; e = e->next) {
            for (; e->type == PROP_DRIVE && e->first; more = true)
                answer(e, 0);
            for (; e->type == PROP_FSDEV && e->asked; more = true)
                fs_answer(e);
        }
    }
}

/* ---- random bytes, or none yet ---- */

static size_t rng_get(struct rng *r, void *buf, size_t len)
{
    struct end *e = (struct end *)((char *)r - offsetof(struct end, rng));
    size_t n = pick(e->z, 3) ? 1 + pick(e->z, (unsigned)len) : 0;

    memset(buf, 0x5a, n);
    return n;
}

static void rng_wait(struct rng *r)
{
    (void)r;
}

static const struct rng_ops rng_ops = { rng_get, rng_wait };

/* ---- networks ---- */

static void send_frame(struct net *n, const uint8_t *frame, size_t len)
{
    struct end *e = n->arg;

    if (len > NET_FRAME_MAX)
        abort();
    look(e, frame, len);
    if (chance(e->z, 4) && n->user)
        n->user->receive(n->dev, frame, len);
}

static void net_has_room(struct net *n)
{
}

static const struct net_ops net_ops = { send_frame, net_has_room };

static void net_acts(struct end *e)
{
    struct fuzz *z = e->z;
    unsigned len = chance(z, 10) ? 14 + pick(z, NET_FRAME_MAX - 14) : 14 + pick(z, 1600);
    uint8_t *frame = e->net.user ? malloc(len) : NULL;

    if (!frame)
        return;
    for (unsigned i = 0; i < len; i++)
        frame[i] = (uint8_t)(i * 7 + (unsigned)z->random);
    if (chance(z, 2))
        memset(frame, 0xff, 6);
    frame[12] = 8;              /* IPv4 and TCP, for who looks at checksums */
    frame[13] = 0;
    if (len > 40) {
        frame[14] = (uint8_t)(0x45 + (chance(z, 8) ? pick(z, 11) : 0));
        frame[23] = chance(z, 2) ? 6 : 17;
    }
    if (e->net.up)
        e->net.user->receive(e->net.dev, frame, len);
    free(frame);
    if (chance(z, 30) && e->net.user->link) {
        e->net.up = !e->net.up;
        e->net.user->link(e->net.dev, e->net.up);
    }
}

/* ---- streams ---- */

static unsigned chr_write(struct chardev *c, const uint8_t *buf, unsigned n)
{
    struct end *e = (struct end *)((char *)c - offsetof(struct end, chr));

    n = chance(e->z, 4) ? pick(e->z, n + 1) : n;
    look(e, buf, n);
    return n;
}

static void chr_accept(struct chardev *c)
{
}

static const struct chardev_ops chr_ops = { chr_write, NULL, chr_accept };

static void chr_acts(struct end *e)
{
    const struct chardev_user *u = e->chr.user;
    uint8_t data[64];
    unsigned n;

    if (!u)
        return;
    if (u->writable && chance(e->z, 2))
        u->writable(e->chr.dev);
    n = u->room(e->chr.dev);
    n = pick(e->z, (n < sizeof(data) ? n : sizeof(data)) + 1);
    for (unsigned i = 0; i < n; i++)
        data[i] = (uint8_t)rnd(e->z);
    if (n)
        u->receive(e->chr.dev, data, n);
    if (u->receive_break && chance(e->z, 20))
        u->receive_break(e->chr.dev);
}

/* ---- sound ---- */

static void sound_written(struct audio *a)
{
    int16_t frames[256][2];
    unsigned n = audio_ready(a);

    audio_mix(a, frames, n < 256 ? n : 256);
}

static unsigned sound_record(struct audio *a, int16_t (*to)[2], unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        to[i][0] = to[i][1] = (int16_t)(i * 77);
    return n;
}

static const struct audio_ops audio_ops = { .written = sound_written, .record = sound_record };

/* ---- screen and hands ---- */

static void resized(struct display *d)
{
    struct fuzz *z = (struct fuzz *)((char *)d - offsetof(struct fuzz, display));

    z->width = z->height = 0;
}

static void damage(struct display *d, unsigned x, unsigned y, unsigned w, unsigned h)
{
    struct fuzz *z = (struct fuzz *)((char *)d - offsetof(struct fuzz, display));

    if (z->width && (x + w > z->width || y + h > z->height))
        abort();
}

static const struct display_ops display_ops = { resized, damage };

static void screen_acts(struct fuzz *z)
{
    const struct surface *s;
    uint32_t sum = 0;

    if (!z->display.user)
        return;
    s = z->display.user->refresh(z->display.dev);
    z->width = s->width;
    z->height = s->height;
    for (unsigned y = 0; y < s->height; y++)
        sum += s->pixels[(size_t)y * s->stride] + s->pixels[(size_t)y * s->stride + s->width - 1];
    for (unsigned i = 0; s->text.cells && i < s->text.cols * s->text.rows; i++)
        sum += s->text.cells[i].code;
    z->accesses += sum == 1;    /* so that it is not left out */
}

static void hands_act(struct fuzz *z)
{
    struct input *in = z->m.cfg.input;

    switch (pick(z, 4)) {
    case 0: input_key(in, pick(z, 256), chance(z, 2)); break;
    case 1: input_move(in, (int)pick(z, 600) - 300, (int)pick(z, 600) - 300, (int)pick(z, 5) - 2, pick(z, 32)); break;
    case 2: input_place(in, pick(z, INPUT_ABS_MAX + 1), pick(z, INPUT_ABS_MAX + 1), (int)pick(z, 5) - 2, pick(z, 32)); break;
    default: input_release(in);
    }
}

/* ---- all of it ---- */

void outside_init(struct fuzz *z)
{
    z->audio = (struct audio){ .ops = &audio_ops, .id = "sound", .rate = 44100, .limit = 4096, .prefill = 64 };
    z->display = (struct display){ .ops = &display_ops };
}

void *outside_new(struct fuzz *z, enum prop_type type, bool cdrom)
{
    struct end *e;

    switch (type) {
    case PROP_DRIVE:
        return new_drive(z, cdrom);
    case PROP_NETDEV:
        e = make_end(z, type);
        e->net = (struct net){ .ops = &net_ops, .id = "net", .up = true, .arg = e };
        return &e->net;
    case PROP_CHARDEV:
        e = make_end(z, type);
        e->chr.ops = &chr_ops;
        e->slot = (struct chardev_slot){ "stream", &e->chr, false };
        return &e->slot;
    case PROP_AUDIODEV:
        return &z->audio;
    case PROP_FSDEV:
        e = make_end(z, type);
        e->fs = (struct fs){ .ops = &fs_ops, .id = "folder", .arg = e };
        e->last_asked = &e->asked;
        return &e->fs;
    case PROP_RNG:
        e = make_end(z, type);
        e->rng = (struct rng){ .ops = &rng_ops, .id = "rng" };
        return &e->rng;
    default:
        return NULL;
    }
}

void outside_acts(struct fuzz *z)
{
    for (struct end *e = z->ends; e; e = e->next) {
        if (e->type == PROP_DRIVE && !chance(z, 3))
            disk_acts(e);
        else if (e->type == PROP_FSDEV)
            for (unsigned n = pick(z, 8); n && e->asked; n--)
                fs_answer(e);
        else if (e->type == PROP_RNG && e->rng.ready && chance(z, 3))
            e->rng.ready(e->rng.dev);
        else if (e->type == PROP_NETDEV && chance(z, 3))
            net_acts(e);
        else if (e->type == PROP_CHARDEV && chance(z, 3))
            chr_acts(e);
    }
    if (chance(z, 10))
        screen_acts(z);
    if (chance(z, 3))
        hands_act(z);
}
