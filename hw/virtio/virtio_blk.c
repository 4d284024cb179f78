/*
 * virtio_blk.c - a disk as virtio block device (virtio 1.2, 5.2).
 *
 * A request is its header, data and a status byte, however they are cut into descriptors. Requests go to the
 * disk in the order of their queue and are answered as they are done. Without VIRTIO_BLK_F_FLUSH, or with the
 * write cache switched off, a write is answered when it is on the medium.
 */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/trace.h"
#include "hw/disk_xfer.h"
#include "hw/virtio/virtio.h"

#define SECTOR 512u
#define QUEUES_MAX 16u
#define ID_LEN 20u
#define HEADER 16u
#define RANGE  16u                      /* of discard and write zeroes: sector, count, flags */
#define RANGE_MAX 0x400000u             /* sectors */

#define F_SEG_MAX      (1ull << 2)
#define F_GEOMETRY     (1ull << 4)
#define F_RO           (1ull << 5)
#define F_BLK_SIZE     (1ull << 6)
#define F_FLUSH        (1ull << 9)
#define F_TOPOLOGY     (1ull << 10)
#define F_CONFIG_WCE   (1ull << 11)
#define F_MQ           (1ull << 12)
#define F_DISCARD      (1ull << 13)
#define F_WRITE_ZEROES (1ull << 14)

enum { T_IN = 0, T_OUT = 1, T_FLUSH = 4, T_GET_ID = 8, T_DISCARD = 11, T_WRITE_ZEROES = 13 };
enum { S_OK = 0, S_IOERR = 1, S_UNSUPP = 2 };
#define ZERO_UNMAP 1u

enum { CFG_CAPACITY = 0, CFG_SEG_MAX = 12, CFG_CYLS = 16, CFG_HEADS = 18, CFG_SECS = 19, CFG_BLK_SIZE = 20,
       CFG_PHYS_EXP = 24, CFG_MIN_IO = 26, CFG_OPT_IO = 28, CFG_WCE = 32, CFG_QUEUES = 34,
       CFG_DISCARD_MAX = 36, CFG_DISCARD_SEGS = 40, CFG_DISCARD_ALIGN = 44, CFG_ZERO_MAX = 48,
       CFG_ZERO_SEGS = 52, CFG_ZERO_UNMAP = 56, CFG_LEN = 60 };

struct virtio_blk {
    struct virtio_dev *v;
    struct drive *drive;
    bool read_only;
    char id[ID_LEN + 1];
};

struct request {
    struct disk_xfer x;
    struct virtio_blk *s;
    struct virtq_chain *c;
};

/* Its status is the last byte there is room for. */
static void answer(struct virtq_chain *c, uint8_t status)
{
    trace_virtio_blk_status(c->head, status);
    chain_put(c, c->in_len - 1, &status, 1);
    virtq_push(c, c->in_len);
}

static void done(struct disk_xfer *x)
{
    struct request *r = (struct request *)x;
    struct virtio_blk *s = r->s;
    struct virtq *q = r->c->q;

    if (x->op == DISK_READ)             /* the memory has changed, whoever is its driver now */
        chain_written(r->c, 0, r->c->in_len - 1);
    if (chain_current(r->c))
        answer(r->c, x->error ? S_IOERR : S_OK);
    else
        virtq_drop(r->c);
    free(r);
    virtq_notify(q);
    virtio_release(s->v);
}

static uint32_t map(struct disk_xfer *x, uint64_t pos, uint32_t len, struct disk_buf *bufs, unsigned max,
                    unsigned *n)
{
    struct request *r = (struct request *)x;

    /* The driver is gone, and its memory no longer what it was. */
    if (!chain_current(r->c))
        return 0;
    if (x->op == DISK_READ)
        return chain_map(r->c, true, (uint32_t)pos, len, bufs, max, n);
    return chain_map(r->c, false, (uint32_t)pos + HEADER, len, bufs, max, n);
}

/* Is there such a range? What counts is the disk, not what the driver was told of its size. */
static bool within(const struct virtio_blk *s, uint64_t sector, uint64_t len)
{
    uint64_t sectors = s->drive->disk->size / SECTOR;

    return len % SECTOR == 0 && sector <= sectors && len / SECTOR <= sectors - sector;
}

static void submit(struct virtio_blk *s, struct virtq_chain *c, enum disk_op op, uint64_t sector,
                   uint64_t len, bool unmap)
{
    struct request *r;
    bool writes = op != DISK_READ && op != DISK_FLUSH;
    bool cached = virtio_has(s->v, F_FLUSH) && virtio_config_get(s->v, CFG_WCE, 1);

    if (!s->drive->disk || !within(s, sector, len) || (writes && s->read_only)) {
        answer(c, S_IOERR);
        return;
    }
    r = malloc(sizeof(*r));
    if (!r)
        die(EXIT_CODE_HOST, "out of memory for a disk request");
    r->s = s;
    r->c = c;
    r->x.disk = s->drive->disk;
    r->x.op = op;
    r->x.fua = writes && op != DISK_DISCARD && !cached;
    r->x.unmap = unmap;
    r->x.off = sector * SECTOR;
    r->x.len = len;
    r->x.map = map;
    r->x.done = done;
    virtio_hold(s->v);
    disk_xfer_start(&r->x);
}

static void range(struct virtio_blk *s, struct virtq_chain *c, uint32_t type)
{
    bool zero = type == T_WRITE_ZEROES;
    uint8_t b[RANGE];
    uint32_t flags, count;

    if (c->out_len != HEADER + RANGE || chain_get(c, HEADER, b, RANGE) != RANGE) {
        answer(c, S_IOERR);
        return;
    }
    count = (uint32_t)le_get(b + 8, 4);
    flags = (uint32_t)le_get(b + 12, 4);
    if (flags & ~(zero ? ZERO_UNMAP : 0))
        answer(c, S_UNSUPP);
    else if (count > RANGE_MAX)
        answer(c, S_IOERR);
    else
        submit(s, c, zero ? DISK_ZERO : DISK_DISCARD, le_get(b, 8), (uint64_t)count * SECTOR,
               flags & ZERO_UNMAP);
}

static void get_id(struct virtio_blk *s, struct virtq_chain *c)
{
    answer(c, c->in_len == ID_LEN + 1 && chain_put(c, 0, s->id, ID_LEN) == ID_LEN ? S_OK : S_IOERR);
}

static void handle(struct virtio_blk *s, struct virtq_chain *c)
{
    uint8_t h[HEADER];
    uint32_t type;
    uint64_t sector;

    if (chain_get(c, 0, h, HEADER) != HEADER || !c->in_len) {
        virtio_broken(s->v, "a request of %u bytes with %u for the answer", c->out_len, c->in_len);
        virtq_drop(c);
        return;
    }
    type = (uint32_t)le_get(h, 4);
    sector = le_get(h + 8, 8);
    log_dev(VIRTIO, "virtio-blk: type %u, sector %#llx, %u and %u bytes", type, (unsigned long long)sector,
            c->out_len, c->in_len);
    trace_virtio_blk_request(c->head, type, sector, c->out_len, c->in_len);
    switch (type) {
    case T_IN: submit(s, c, DISK_READ, sector, c->in_len - 1, false); break;
    case T_OUT: submit(s, c, DISK_WRITE, sector, c->out_len - HEADER, false); break;
    case T_FLUSH: submit(s, c, DISK_FLUSH, 0, 0, false); break;
    case T_GET_ID: get_id(s, c); break;
    case T_DISCARD:
    case T_WRITE_ZEROES:
        if (s->v->offered & (type == T_DISCARD ? F_DISCARD : F_WRITE_ZEROES)) {
            range(s, c, type);
            break;
        }
        /* fall through */
    default: answer(c, S_UNSUPP);
    }
}

static void kick(void *dev, unsigned queue)
{
    struct virtio_blk *s = dev;
    struct virtq *q = s->v->queue[queue];
    struct virtq_chain *c;

    while ((c = virtq_pop(q)))
        handle(s, c);
    virtq_notify(q);
}

static const struct virtio_type type = {
    .name = "virtio-blk", .id = VIRTIO_BLK, .legacy_id = 0x1001, .class = 0x010000, .config_len = CFG_LEN,
    .kick = kick
};

/* ---- the drive ---- */

static void set_capacity(struct virtio_blk *s)
{
    uint64_t sectors = s->drive->disk ? s->drive->disk->size / SECTOR : 0, cyls = sectors / (16 * 63);

    virtio_config_set(s->v, CFG_CAPACITY, 8, sectors);
    if (s->drive->chs.cyls) {
        virtio_config_set(s->v, CFG_CYLS, 2, s->drive->chs.cyls);
        virtio_config_set(s->v, CFG_HEADS, 1, s->drive->chs.heads);
        virtio_config_set(s->v, CFG_SECS, 1, s->drive->chs.secs);
        return;
    }
    virtio_config_set(s->v, CFG_CYLS, 2, cyls < 0xffff ? cyls : 0xffff);
    virtio_config_set(s->v, CFG_HEADS, 1, 16);
    virtio_config_set(s->v, CFG_SECS, 1, 63);
}

static void changed(void *dev)
{
    struct virtio_blk *s = dev;

    set_capacity(s);
    virtio_config_changed(s->v);
}

static const struct drive_user user = { changed };

static void loaded(void *dev)
{
    set_capacity(dev);          /* of the image that is there now */
}

static const struct field blk_state[] = { FIELD_END };
static const struct chip blk_chip = { "virtio-blk", sizeof(struct virtio_blk), NULL, blk_state, loaded };

/* ---- the plug ---- */

struct props {
    struct virtio_props virtio;
    struct drive *drive;
    struct disk_policy on_error;
    const char *serial;
    uint64_t queues, queue_size, logical, physical;
    bool wce, discard, zeroes;
    unsigned cache;
};

static void check(const struct props *p)
{
    const char *name = p->virtio.common.name;

    if (!p->drive)
        die(EXIT_CODE_USAGE, "-device %s: needs drive=ID, with -drive if=none,id=ID,file=PATH", name);
    if (!p->drive->disk)
        die(EXIT_CODE_USAGE, "-device %s: drive %s has no medium: a disk needs file=PATH", name,
            p->drive->id);
    if (p->queue_size & (p->queue_size - 1))
        die(EXIT_CODE_USAGE, "-device %s: queue-size must be a power of two", name);
    if ((p->logical & (p->logical - 1)) || (p->physical & (p->physical - 1)) || p->physical < p->logical)
        die(EXIT_CODE_USAGE,
            "-device %s: block sizes must be powers of two, the physical not below the logical", name);
}

static void make(struct plug_env *env, void *bus, const void *props)
{
    const struct props *p = props;
    struct virtio_blk *s = chip_new(env->m->chips, &blk_chip, p->virtio.common.name);
    uint64_t features = F_SEG_MAX | F_GEOMETRY | F_BLK_SIZE | F_TOPOLOGY | F_FLUSH | F_CONFIG_WCE;
    unsigned exp = 0;

    check(p);
    if (!drive_take(p->drive, &user, s))
        die(EXIT_CODE_USAGE, "-device %s: drive %s is in use", p->virtio.common.name, p->drive->id);
    s->drive = p->drive;
    drive_on_error(s->drive, &p->on_error);
    s->read_only = p->drive->read_only || p->drive->disk->read_only;
    strncpy(s->id, p->serial ? p->serial : p->drive->serial ? p->drive->serial : "", ID_LEN);
    features |= (s->read_only ? F_RO : 0) | (p->queues > 1 ? F_MQ : 0) |
        (p->zeroes && !s->read_only ? F_WRITE_ZEROES : 0) |
        (p->discard && p->drive->disk->discards && !s->read_only ? F_DISCARD : 0);
    s->v = virtio_new(env, &p->virtio, &type, s, (unsigned)p->queues, (unsigned)p->queue_size, features);
    while (p->logical << exp < p->physical)
        exp++;
    set_capacity(s);
    virtio_config_set(s->v, CFG_SEG_MAX, 4, p->queue_size - 2);
    virtio_config_set(s->v, CFG_BLK_SIZE, 4, p->logical);
    virtio_config_set(s->v, CFG_PHYS_EXP, 1, exp);
    virtio_config_set(s->v, CFG_MIN_IO, 2, p->physical / p->logical);
    virtio_config_set(s->v, CFG_WCE, 1, p->cache ? p->cache == PLUG_CACHE_ON : p->wce);
    virtio_config_writable(s->v, CFG_WCE, 1);
    virtio_config_set(s->v, CFG_QUEUES, 2, p->queues);
    virtio_config_set(s->v, CFG_DISCARD_MAX, 4, RANGE_MAX);
    virtio_config_set(s->v, CFG_DISCARD_SEGS, 4, 1);
    virtio_config_set(s->v, CFG_DISCARD_ALIGN, 4, p->physical / SECTOR);
    virtio_config_set(s->v, CFG_ZERO_MAX, 4, RANGE_MAX);
    virtio_config_set(s->v, CFG_ZERO_SEGS, 4, 1);
    virtio_config_set(s->v, CFG_ZERO_UNMAP, 1, 1);
}

static const struct prop props_table[] = {
    { "drive", PROP_DRIVE, offsetof(struct props, drive), 0, 0, "the disk" },
    DRIVE_ERROR_PROPS(struct props, on_error),
    { "serial", PROP_STRING, offsetof(struct props, serial), 0, 0, "what it is called, up to 20 characters" },
    { "num-queues", PROP_NUMBER, offsetof(struct props, queues), 1, QUEUES_MAX, "of requests" },
    { "queue-size", PROP_NUMBER, offsetof(struct props, queue_size), 4, VIRTQ_SIZE_MAX,
      "requests of a queue" },
    { "logical_block_size", PROP_NUMBER, offsetof(struct props, logical), 512, 4096, "bytes" },
    { "physical_block_size", PROP_NUMBER, offsetof(struct props, physical), 512, 32768, "bytes" },
    { "config-wce", PROP_BOOL, offsetof(struct props, wce), 0, 0, "starts with the write cache on" },
    WRITE_CACHE_PROP(struct props, cache),
    { "discard", PROP_BOOL, offsetof(struct props, discard), 0, 0, "offer discard, where the image can" },
    { "write-zeroes", PROP_BOOL, offsetof(struct props, zeroes), 0, 0, "offer writing zeros" },
    VIRTIO_PROPS, PROP_END
};

static const struct props defaults = {
    .virtio = VIRTIO_DEFAULTS, .queues = 1, .queue_size = 256, .logical = 512, .physical = 512, .wce = true,
    .discard = true, .zeroes = true
};

const struct plug virtio_blk_plug = {
    "virtio-blk-pci", "disk (virtio)", "PCI", sizeof(struct props), &defaults, props_table, make,
    "scsi@*/disk@0,0"
};
