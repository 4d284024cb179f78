/*
 * io.c - NVMe commands to the namespace (NVM Express 1.4, chapter 6).
 *
 * Reads and writes go between the disk and guest RAM without a copy; what is compared or verified is read
 * into memory of our own, no more at once than a command may transfer.
 * Every range is checked against the medium there is when it is submitted.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "hw/nvme/nvme_int.h"

enum { OP_FLUSH = 0x00, OP_WRITE = 0x01, OP_READ = 0x02, OP_COMPARE = 0x05, OP_WRITE_ZEROES = 0x08,
       OP_DATASET = 0x09, OP_VERIFY = 0x0c };

#define FUA        (1u << 30)   /* dword 12 */
#define DEALLOCATE (1u << 25)
#define DSM_AD     4u           /* dword 11: the ranges are no longer needed */
#define RANGE      16u          /* bytes of a range's description */
#define VERIFY_MAX (512u << 10)

static uint16_t failure(struct nvme *s, const struct disk_req *r)
{
    if (r->op != DISK_READ && r->error == -EROFS)
        return NVME_PROTECTED;
    if (r->op != DISK_READ && (r->error == -ENOSPC || r->error == -EDQUOT))
        return NVME_NO_ROOM;
    s->media_errors++;
    return r->op == DISK_READ ? NVME_READ_FAULT : NVME_WRITE_FAULT;
}

/* Hand c->req, but for what is the same for all, to the disk. */
static uint16_t submit(struct nvme_cmd *c, void (*then)(struct disk_req *))
{
    nvme_submit(c, c->s->drive->disk, then);
    return NVME_LATER;
}

/* The blocks that dwords 10 to 12 name. */
static uint16_t blocks(const struct nvme_cmd *c, uint64_t *first, uint64_t *n)
{
    uint64_t all = nvme_blocks(c->s);

    *first = c->dw[10] | (uint64_t)c->dw[11] << 32;
    *n = (c->dw[12] & 0xffff) + 1;
    return *n > all || *first > all - *n ? NVME_BAD_LBA : NVME_OK;
}

static uint8_t *scratch(struct nvme_cmd *c, size_t len)
{
    c->scratch = malloc(len);
    if (!c->scratch)
        log_msg(LOG_GUEST, "nvme: no memory on the host for a command of %zu bytes", len);
    return c->scratch;
}

/* ---- read, write, compare ---- */

static void transferred(struct disk_req *r)
{
    struct nvme_cmd *c = (struct nvme_cmd *)r;
    struct nvme *s = c->s;
    uint64_t sectors = r->len / 512;

    if (r->op == DISK_READ) {
        nvme_data_written(c);
        s->reads++;
        s->read_units += sectors;
    } else {
        s->writes++;
        s->write_units += sectors;
    }
    nvme_finish(c, r->error ? failure(s, r) : NVME_OK);
}

static void compared(struct disk_req *r)
{
    struct nvme_cmd *c = (struct nvme_cmd *)r;
    const uint8_t *p = c->scratch;
    bool same = true;

    c->s->reads++;
    c->s->read_units += r->len / 512;
    for (unsigned i = 0; i < c->nbufs && !r->error; p += c->bufs[i++].len)
        same = same && memcmp(c->bufs[i].data, p, c->bufs[i].len) == 0;
    nvme_finish(c, r->error ? failure(c->s, r) : same ? NVME_OK : NVME_DIFFERENT);
}

static uint16_t transfer(struct nvme_cmd *c, unsigned op)
{
    struct nvme *s = c->s;
    uint64_t first, n, len;
    uint16_t status = blocks(c, &first, &n);

    if (status)
        return status;
    if (op == OP_WRITE && nvme_read_only(s))
        return NVME_PROTECTED;
    len = n * s->config.block_size;
    if (len > (uint64_t)4096 << s->config.mdts)
        return NVME_BAD_FIELD;
    status = nvme_map(c, len, op == OP_READ);
    if (status)
        return status;
    c->req = (struct disk_req){ .op = op == OP_WRITE ? DISK_WRITE : DISK_READ,
                                .off = first * s->config.block_size, .len = len, .bufs = c->bufs,
                                .nbufs = c->nbufs,
                                .fua = op == OP_WRITE && ((c->dw[12] & FUA) || !s->write_cache) };
    if (op != OP_COMPARE)
        return submit(c, transferred);
    if (!scratch(c, len))
        return NVME_INTERNAL;
    c->whole = (struct disk_buf){ c->scratch, len };
    c->req.bufs = &c->whole;
    c->req.nbufs = 1;
    return submit(c, compared);
}

/* ---- verify: a part after the other ---- */

static uint16_t verify_part(struct nvme_cmd *c);

static void verified(struct disk_req *r)
{
    struct nvme_cmd *c = (struct nvme_cmd *)r;
    uint16_t status = r->error ? failure(c->s, r) : NVME_OK;

    c->at += r->len;
    c->left -= r->len;
    if (!status && c->left)
        status = verify_part(c);
    if (status != NVME_LATER)
        nvme_finish(c, status);
}

static uint16_t verify_part(struct nvme_cmd *c)
{
    const struct disk *disk = c->s->drive->disk;
    uint64_t len = c->left < VERIFY_MAX ? c->left : VERIFY_MAX;

    /* The medium may have been exchanged since the last part. */
    if (!disk || disk->size < c->at || disk->size - c->at < len)
        return NVME_NOT_READY;
    c->whole = (struct disk_buf){ c->scratch, len };
    c->req = (struct disk_req){ .op = DISK_READ, .off = c->at, .len = len, .bufs = &c->whole, .nbufs = 1 };
    return submit(c, verified);
}

static uint16_t verify(struct nvme_cmd *c)
{
    uint64_t first, n;
    uint16_t status = blocks(c, &first, &n);

    if (status)
        return status;
    c->at = first * c->s->config.block_size;
    c->left = n * c->s->config.block_size;
    return scratch(c, c->left < VERIFY_MAX ? c->left : VERIFY_MAX) ? verify_part(c) : NVME_INTERNAL;
}

/* ---- flush, write zeroes, deallocate ---- */

static void simple_done(struct disk_req *r)
{
    struct nvme_cmd *c = (struct nvme_cmd *)r;

    if (r->op == DISK_ZERO)
        c->s->writes++;
    nvme_finish(c, r->error ? failure(c->s, r) : NVME_OK);
}

static uint16_t write_zeroes(struct nvme_cmd *c)
{
    struct nvme *s = c->s;
    uint64_t first, n;
    uint16_t status = blocks(c, &first, &n);

    if (status)
        return status;
    if (nvme_read_only(s))
        return NVME_PROTECTED;
    c->req = (struct disk_req){ .op = DISK_ZERO, .off = first * s->config.block_size,
                                .len = n * s->config.block_size,
                                .unmap = c->dw[12] & DEALLOCATE,
                                .fua = (c->dw[12] & FUA) || !s->write_cache };
    return submit(c, simple_done);
}

static uint16_t next_range(struct nvme_cmd *c);

static void range_done(struct disk_req *r)
{
    struct nvme_cmd *c = (struct nvme_cmd *)r;
    uint16_t status = r->error ? failure(c->s, r) : next_range(c);

    if (status != NVME_LATER)
        nvme_finish(c, status);
}

/* Range c->at of c->left, in c->scratch. All were found to be within the medium there was then. */
static uint16_t next_range(struct nvme_cmd *c)
{
    struct nvme *s = c->s;

    for (; c->at < c->left; c->at++) {
        const uint8_t *d = c->scratch + RANGE * c->at;
        uint64_t n = nvme_get(d + 4, 4), first = nvme_get(d + 8, 8), all = nvme_blocks(s);

        if (!n)
            continue;
        if (n > all || first > all - n)
            return NVME_BAD_LBA;
        c->at++;
        c->req = (struct disk_req){ .op = DISK_DISCARD, .off = first * s->config.block_size,
                                    .len = n * s->config.block_size };
        return submit(c, range_done);
    }
    return NVME_OK;
}

static uint16_t dataset(struct nvme_cmd *c)
{
    uint64_t n = (c->dw[10] & 0xff) + 1, all = nvme_blocks(c->s);
    uint16_t status = nvme_map(c, n * RANGE, false);

    if (status)
        return status;
    if (!scratch(c, n * RANGE))
        return NVME_INTERNAL;
    nvme_data_get(c, c->scratch);
    for (unsigned i = 0; i < n; i++) {
        const uint8_t *d = c->scratch + RANGE * i;
        uint64_t len = nvme_get(d + 4, 4), first = nvme_get(d + 8, 8);

        if (len > all || first > all - len)
            return NVME_BAD_LBA;
    }
    /* All else is advice on how the ranges will be used. */
    if (!(c->dw[11] & DSM_AD))
        return NVME_OK;
    if (nvme_read_only(c->s))
        return NVME_PROTECTED;
    if (!c->s->drive->disk->discards)
        return NVME_OK;
    c->at = 0;
    c->left = n;
    return next_range(c);
}

uint16_t nvme_io(struct nvme_cmd *c)
{
    unsigned op = c->dw[0] & 0xff;

    switch (op) {
    case OP_FLUSH:
    case OP_WRITE:
    case OP_READ:
    case OP_COMPARE:
    case OP_WRITE_ZEROES:
    case OP_DATASET:
    case OP_VERIFY:
        break;
    default:
        log_msg(LOG_UNIMP, "nvme: I/O command %#x", op);
        return NVME_BAD_OPCODE;
    }
    if (c->dw[1] != NSID && !(op == OP_FLUSH && c->dw[1] == NSID_ALL))
        return NVME_BAD_NAMESPACE;
    if (!nvme_blocks(c->s))
        return NVME_NOT_READY;
    switch (op) {
    case OP_FLUSH:
        c->req = (struct disk_req){ .op = DISK_FLUSH };
        return submit(c, simple_done);
    case OP_WRITE_ZEROES:
        return write_zeroes(c);
    case OP_DATASET:
        return dataset(c);
    case OP_VERIFY:
        return verify(c);
    }
    return transfer(c, op);
}
