/*
 * scsi_block.c - reading and writing blocks, capacity, unmapping (SBC-3, chapter 5).
 *
 * Ranges are checked before anything is done. With the write cache disabled, or FUA, a write is answered
 * when it is on the medium.
 */
#include "hw/scsi/scsi.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"

#define PATTERN    0x10000u             /* bytes of a block that is written many times, repeated */
#define SAME_MAX   0x200000u            /* blocks, as page B0h says */
#define FUA        0x08u
#define SAME_NDOB  0x01u
#define SAME_UNMAP 0x08u

/* ---- transfers ---- */

static uint32_t map(struct disk_xfer *x, uint64_t pos, uint32_t len, struct disk_buf *bufs, unsigned max,
                    unsigned *n)
{
    struct scsi_cmd *c = x->dev;

    return c->transport->map(c, x->op == DISK_READ, pos, len, bufs, max, n);
}

/* The buffer in `params` again and again: a pattern, or a place for what nobody wants. */
static uint32_t map_again(struct disk_xfer *x, uint64_t pos, uint32_t len, struct disk_buf *bufs,
                          unsigned max, unsigned *n)
{
    struct scsi_cmd *c = x->dev;
    uint32_t done = 0;

    for (*n = 0; *n < max && done < len; done += (uint32_t)bufs[(*n)++].len)
        bufs[*n] = (struct disk_buf){ c->params, len - done < PATTERN ? len - done : PATTERN };
    return done;
}

static void failed(struct scsi_cmd *c)
{
    if (c->x.op == DISK_READ)
        scsi_fail(c, SENSE_MEDIUM, ASC_READ);
    else
        scsi_fail(c, SENSE_MEDIUM, ASC_WRITE);
}

static void xfer_done(struct disk_xfer *x)
{
    struct scsi_cmd *c = x->dev;

    if (x->op == DISK_READ && x->map == map)
        c->transport->written(c, x->len);       /* after an error it may be any part of it */
    if (x->error) {
        failed(c);
        return;
    }
    if (x->map == map)
        c->moved = x->len;
    scsi_good(c);
}

static bool in_range(struct scsi_cmd *c, uint64_t lba, uint64_t blocks)
{
    uint64_t all = scsi_blocks(c->dev);

    if (lba <= all && blocks <= all - lba)
        return true;
    scsi_fail(c, SENSE_ILLEGAL, ASC_LBA);
    return false;
}

static void start(struct scsi_cmd *c, enum disk_op op, uint64_t lba, uint64_t blocks, bool fua)
{
    struct disk_xfer *x = &c->x;

    x->disk = c->dev->drive->disk;
    x->op = op;
    x->fua = fua;
    x->unmap = false;
    x->off = lba * c->dev->block;
    x->len = blocks * c->dev->block;
    x->map = map;
    x->done = xfer_done;
    x->dev = c;
}

static void move(struct scsi_cmd *c, enum disk_op op, uint64_t lba, uint64_t blocks, bool fua)
{
    if (!in_range(c, lba, blocks))
        return;
    start(c, op, lba, blocks, op == DISK_WRITE && (fua || !c->dev->wce));
    if (c->x.len > (op == DISK_READ ? c->in_len : c->out_len)) {
        c->overrun = true;
        scsi_good(c);
        return;
    }
    disk_xfer_start(&c->x);
}

static void move6(struct scsi_cmd *c, enum disk_op op)
{
    move(c, op, be_get(c->cdb + 1, 3) & 0x1fffff, c->cdb[4] ? c->cdb[4] : 256, false);
}

void scsi_read6(struct scsi_cmd *c) { move6(c, DISK_READ); }
void scsi_write6(struct scsi_cmd *c) { move6(c, DISK_WRITE); }

#define MOVE(name, op, lba_len, count_at, count_len)                                                         \
    void name(struct scsi_cmd *c)                                                                            \
    {                                                                                                        \
        move(c, op, be_get(c->cdb + 2, lba_len), be_get(c->cdb + count_at, count_len), c->cdb[1] & FUA);     \
    }
MOVE(scsi_read10, DISK_READ, 4, 7, 2)
MOVE(scsi_read12, DISK_READ, 4, 6, 4)
MOVE(scsi_read16, DISK_READ, 8, 10, 4)
MOVE(scsi_write10, DISK_WRITE, 4, 7, 2)
MOVE(scsi_write12, DISK_WRITE, 4, 6, 4)
MOVE(scsi_write16, DISK_WRITE, 8, 10, 4)

static uint8_t *make_params(struct scsi_cmd *c, uint32_t len)
{
    c->params = malloc(len);
    if (!c->params)
        die(EXIT_CODE_HOST, "out of memory for a SCSI command");
    return c->params;
}

/* The medium is read, and nobody wants the data. */
static void verify(struct scsi_cmd *c, uint64_t lba, uint64_t blocks)
{
    if (c->cdb[1] & 6) {                /* comparing it with the driver's */
        log_msg(LOG_UNIMP, "scsi: VERIFY that compares");
        scsi_fail(c, SENSE_ILLEGAL, ASC_FIELD);
        return;
    }
    if (!in_range(c, lba, blocks))
        return;
    make_params(c, PATTERN);
    start(c, DISK_READ, lba, blocks, false);
    c->x.map = map_again;
    disk_xfer_start(&c->x);
}

void scsi_verify10(struct scsi_cmd *c) { verify(c, be_get(c->cdb + 2, 4), be_get(c->cdb + 7, 2)); }
void scsi_verify12(struct scsi_cmd *c) { verify(c, be_get(c->cdb + 2, 4), be_get(c->cdb + 6, 4)); }
void scsi_verify16(struct scsi_cmd *c) { verify(c, be_get(c->cdb + 2, 8), be_get(c->cdb + 10, 4)); }

void scsi_flush(struct scsi_cmd *c)
{
    start(c, DISK_FLUSH, 0, 0, false);
    disk_xfer_start(&c->x);
}

/* ---- one block many times ---- */

static bool all_zero(const uint8_t *p, unsigned len)
{
    return !*p && memcmp(p, p + 1, len - 1) == 0;
}

static void same(struct scsi_cmd *c, uint64_t lba, uint64_t blocks, bool no_data)
{
    unsigned size = c->dev->block;
    uint8_t *p;

    if (!blocks || blocks > SAME_MAX) {
        scsi_fail(c, SENSE_ILLEGAL, ASC_FIELD);
        return;
    }
    if (!in_range(c, lba, blocks))
        return;
    if (!no_data && c->out_len < size) {
        c->overrun = true;
        scsi_good(c);
        return;
    }
    p = make_params(c, PATTERN);
    memset(p, 0, size);
    if (!no_data)
        c->transport->get(c, 0, p, size);
    c->moved = no_data ? 0 : size;
    start(c, all_zero(p, size) ? DISK_ZERO : DISK_WRITE, lba, blocks, !c->dev->wce);
    c->x.unmap = c->cdb[1] & SAME_UNMAP;
    c->x.map = map_again;
    for (unsigned i = size; i < PATTERN; i += size)
        memcpy(p + i, p, size);
    disk_xfer_start(&c->x);
}

void scsi_same10(struct scsi_cmd *c)
{
    same(c, be_get(c->cdb + 2, 4), be_get(c->cdb + 7, 2), false);
}

void scsi_same16(struct scsi_cmd *c)
{
    same(c, be_get(c->cdb + 2, 8), be_get(c->cdb + 10, 4), c->cdb[1] & SAME_NDOB);
}

/* ---- unmapping ---- */

static void unmap_next(struct scsi_cmd *c);

static void unmapped(struct disk_xfer *x)
{
    struct scsi_cmd *c = x->dev;

    if (x->error)
        failed(c);
    else
        unmap_next(c);
}

static void unmap_next(struct scsi_cmd *c)
{
    const uint8_t *p = c->params + c->params_at;

    if (c->params_at == c->params_len) {
        scsi_good(c);
        return;
    }
    c->params_at += 16;
    start(c, DISK_DISCARD, be_get(p, 8), be_get(p + 8, 4), false);
    c->x.done = unmapped;
    disk_xfer_start(&c->x);
}

void scsi_unmap(struct scsi_cmd *c)
{
    uint32_t len = (uint32_t)be_get(c->cdb + 7, 2), ranges;
    uint8_t *p;

    if (!c->dev->drive->disk->discards) {
        scsi_fail(c, SENSE_ILLEGAL, ASC_OPCODE);
    } else if (!len) {
        scsi_good(c);
    } else if (len < 8 || len > SCSI_PARAMS) {
        scsi_fail(c, SENSE_ILLEGAL, ASC_PARAMETER_LEN);
    } else if (len > c->out_len) {
        c->overrun = true;
        scsi_good(c);
    } else {
        p = make_params(c, len);
        c->transport->get(c, 0, p, len);
        c->moved = len;
        ranges = (uint32_t)be_get(p + 2, 2);
        ranges = (ranges < len - 8 ? ranges : len - 8) / 16 * 16;
        for (uint32_t at = 8; at < 8 + ranges; at += 16)
            if (!in_range(c, be_get(p + at, 8), be_get(p + at + 8, 4)))
                return;
        c->params_at = 8;
        c->params_len = 8 + ranges;
        unmap_next(c);
    }
}

/* ---- capacity ---- */

void scsi_capacity10(struct scsi_cmd *c)
{
    uint64_t blocks = scsi_blocks(c->dev);
    uint8_t r[8];

    if (!blocks) {
        scsi_fail(c, SENSE_NOT_READY, ASC_NO_MEDIUM);
        return;
    }
    be_put(r, 4, blocks - 1 < 0xffffffff ? blocks - 1 : 0xffffffff);
    be_put(r + 4, 4, c->dev->block);
    scsi_reply(c, r, sizeof(r), sizeof(r));
}

void scsi_capacity16(struct scsi_cmd *c)
{
    const struct scsi_dev *d = c->dev;
    uint64_t blocks = scsi_blocks(d);
    uint8_t r[32] = { 0 };

    if ((c->cdb[1] & 0x1f) != 0x10) {
        log_msg(LOG_UNIMP, "scsi: service action %#x of command 9e", c->cdb[1] & 0x1f);
        scsi_fail(c, SENSE_ILLEGAL, ASC_FIELD);
        return;
    }
    if (!blocks) {
        scsi_fail(c, SENSE_NOT_READY, ASC_NO_MEDIUM);
        return;
    }
    be_put(r, 8, blocks - 1);
    be_put(r + 8, 4, d->block);
    r[14] = d->drive->disk->discards && !d->read_only ? 0x80 : 0;      /* thin provisioned */
    scsi_reply(c, r, sizeof(r), (uint32_t)be_get(c->cdb + 10, 4));
}
