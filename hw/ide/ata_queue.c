/*
 * ata_queue.c - the queue of a Serial ATA disk: READ and WRITE FPDMA QUEUED and the log that tells which one has failed
 * (Serial ATA 2.6, 13.6; ATA8-ACS 7.29 and A.13).
 *
 * Up to 32 commands are with the disk at a time, which answers them in any order.  The first that fails stops the queue:
 * the log says which one it was, and nothing more is told of the others until the host has read it.
 * Invariant: a bit of `queued` is set exactly while the command of that tag has a transfer of this device; a transfer
 * that was dropped has none, and goes away when the disk has answered.
 */
#include "hw/ide/ata_int.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/trace.h"
#include "hw/disk_xfer.h"

enum { LOG_DIRECTORY = 0x00, LOG_QUEUE = 0x10 };
#define LOG_NOT_QUEUED 0x80u    /* the command was none of the queue */
#define FUA 0x80u               /* device register */

struct ata_queued {
    struct disk_xfer x;
    struct ata *a;              /* NULL: dropped */
    unsigned tag;
};

static void put_log(struct ata *a, uint8_t which, uint64_t lba, uint16_t count)
{
    uint8_t *l = a->queue_log;

    l[0] = which;
    l[2] = a->status;
    l[3] = a->error;
    l[7] = 0x40;
    for (unsigned i = 0; i < 3; i++) {
        l[4 + i] = lba >> 8 * i;
        l[8 + i] = lba >> (24 + 8 * i);
    }
    l[12] = count;
    l[13] = count >> 8;
}

static uint32_t map(struct disk_xfer *x, uint64_t pos, uint32_t len, struct disk_buf *buf, unsigned max, unsigned *n)
{
    struct ata_queued *q = x->dev;

    *n = 0;
    return q->a ? q->a->host->queue_map(q->a->host->to, q->tag, x->op == DISK_READ, pos, len, buf, max, n) : 0;
}

static void done(struct disk_xfer *x)
{
    struct ata_queued *q = x->dev;
    struct ata *a = q->a;
    bool in = x->op == DISK_READ;

    if (!a) {
        free(q);
        return;
    }
    a->queued &= ~(1u << q->tag);
    if (in)
        a->host->queue_written(a->host->to, q->tag);
    if (a->queue_failed)
        return;
    if (x->error) {
        log_dev(IDE, "drive %s: queued command %u failed: %s", a->drive->id, q->tag, strerror(-x->error));
        a->queue_failed = 1;
        a->status = ATA_DRDY | ATA_DSC | ATA_ERR;
        a->error = x->error == -EFAULT ? ATA_ABRT : in ? ATA_UNC : ATA_IDNF;
        put_log(a, q->tag, (x->off + x->pos) / ATA_SECTOR, 0);
    }
    trace_ide_queue_done(a->drive->id, q->tag, x->error);
    a->host->queue_done(a->host->to, q->tag, !x->error);
}

/* The command is not even begun; `which` is its tag. */
static void refuse(struct ata *a, unsigned which, uint64_t lba, uint8_t error)
{
    a->queue_failed = 1;
    a->status = ATA_DRDY | ATA_DSC | ATA_ERR;
    a->error = error;
    put_log(a, which, lba, a->count[0] | a->count[1] << 8);
    ata_fail(a, error);
}

void ata_queue_clash(struct ata *a)
{
    log_msg(LOG_GUEST, "ide: %s: command %02x comes while others are queued", a->drive->id, a->command);
    refuse(a, LOG_NOT_QUEUED, 0, ATA_ABRT);
}

/* The count is in the feature register, the tag in bits 7-3 of the count. */
void ata_queue_command(struct ata *a)
{
    unsigned tag = a->count[0] >> 3;
    uint64_t lba = ata_address(a), n = a->feature[0] | (unsigned)a->feature[1] << 8;
    struct ata_queued *q;

    if (!n)
        n = 65536;
    if (a->queued >> tag & 1) {
        log_msg(LOG_GUEST, "ide: %s: queued command %u is there already", a->drive->id, tag);
        refuse(a, tag, lba, ATA_ABRT);
        return;
    }
    if (lba >= a->max_lba || n > a->max_lba - lba) {
        refuse(a, tag, lba, ATA_IDNF);
        return;
    }
    if (!a->queue[tag]) {
        a->queue[tag] = calloc(1, sizeof(*q));
        if (!a->queue[tag])
            die(EXIT_CODE_HOST, "out of memory for a disk request");
    }
    q = a->queue[tag];
    q->a = a;
    q->tag = tag;
    a->queued |= 1u << tag;
    a->phase = ATA_IDLE;
    a->status = ATA_DRDY | ATA_DSC;
    a->error = 0;
    q->x.disk = a->drive->disk;
    q->x.op = a->write ? DISK_WRITE : DISK_READ;
    q->x.fua = (a->device & FUA) || !a->write_cache;
    q->x.off = lba * ATA_SECTOR;
    q->x.len = n * ATA_SECTOR;
    q->x.map = map;
    q->x.done = done;
    q->x.dev = q;
    disk_xfer_start(&q->x);
}

void ata_queue_drop(struct ata *a)
{
    uint32_t reads = 0;

    if (!a->queued)
        return;
    for (unsigned tag = 0; tag < ATA_TAGS; tag++) {
        if (!(a->queued >> tag & 1))
            continue;
        reads |= (uint32_t)(a->queue[tag]->x.op == DISK_READ) << tag;
        a->queue[tag]->a = NULL;
        a->queue[tag] = NULL;
    }
    a->queued = 0;
    if (!reads)
        return;
    disk_drain_reads(a->drive->disk);
    for (unsigned tag = 0; tag < ATA_TAGS; tag++)
        if (reads >> tag & 1)
            a->host->queue_written(a->host->to, tag);
}

void ata_queue_free(struct ata *a)
{
    for (unsigned tag = 0; tag < ATA_TAGS; tag++)
        free(a->queue[tag]);
}

/* Log address in the low byte of the address, page in the next ones; each log here has one page. */
void ata_read_log(struct ata *a)
{
    unsigned log = a->lba[0][0], page = a->lba[1][0] | a->lba[1][1] << 8, n = a->count[0] | a->count[1] << 8;
    uint8_t sum = 0;

    if (page || n != 1 || (log != LOG_DIRECTORY && log != LOG_QUEUE) || (a->queue_failed && log != LOG_QUEUE)) {
        ata_fail(a, ATA_ABRT);
        return;
    }
    memset(a->buf, 0, ATA_SECTOR);
    if (log == LOG_DIRECTORY) {
        a->buf[0] = 1;                  /* version */
        a->buf[2 * LOG_QUEUE] = 1;      /* pages */
    } else {
        memcpy(a->buf, a->queue_log, sizeof(a->queue_log));
        for (unsigned i = 0; i < ATA_SECTOR - 1; i++)
            sum += a->buf[i];
        a->buf[ATA_SECTOR - 1] = -sum;
        a->queue_failed = 0;
    }
    ata_pio_in(a, ATA_SECTOR);
}
