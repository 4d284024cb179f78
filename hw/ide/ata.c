/*
 * ata.c - an ATA or ATAPI device: registers, phases, requests (ATA/ATAPI-7 volume 1).
 *
 * Data of PIO commands goes through buf, up to 64 KiB ahead of the data register, so that a command waits for the
 * disk once and not for each of its sectors. DMA goes to and from the adapter's memory directly.
 */
#include "hw/ide/ata_int.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/trace.h"

#define READY (ATA_DRDY | ATA_DSC)

/* ---- the end of commands ---- */

void ata_set_irq(struct ata *a, bool level)
{
    a->intrq = level;
    a->host->irq(a->host->to, a->dev, level);
}

/* Count and address as they stand when the command ends. */
static void show_progress(struct ata *a)
{
    uint64_t s = a->shown;

    if (a->drive->cdrom || !a->sector)
        return;
    if (!a->ext && !(a->device & 0x40)) {          /* CHS */
        unsigned heads = a->heads, secs = a->secs;
        uint64_t cyl = s / secs / heads;

        a->lba[0][0] = s % secs + 1;
        a->lba[1][0] = cyl;
        a->lba[2][0] = cyl >> 8;
        a->device = (a->device & 0xf0) | (s / secs % heads);
        return;
    }
    for (unsigned i = 0; i < 3; i++) {
        a->lba[i][0] = s >> 8 * i;
        if (a->ext)
            a->lba[i][1] = s >> (8 * i + 24);
    }
    if (!a->ext)
        a->device = (a->device & 0xf0) | (s >> 24 & 15);
}

void ata_complete(struct ata *a)
{
    a->phase = ATA_IDLE;
    a->status = READY;
    a->error = 0;
    trace_ide_status(a->drive->id, a->command, a->status, a->error);
    show_progress(a);
    ata_set_irq(a, true);
}

void ata_fail(struct ata *a, uint8_t error)
{
    a->phase = ATA_IDLE;
    a->status = READY | ATA_ERR;
    a->error = error;
    trace_ide_status(a->drive->id, a->command, a->status, a->error);
    if (error != ATA_ABRT)
        show_progress(a);
    ata_set_irq(a, true);
}

/* ---- requests ---- */

static void request_free(struct ata_request *q)
{
    free(q->own);
    free(q);
}

static void done(struct disk_req *r)
{
    struct ata_request *q = r->dev;
    struct ata *a = q->a;

    if (!a) {
        request_free(q);
        return;
    }
    a->req = NULL;
    if (r->error)
        log_dev(IDE, "drive %s: request for byte %llu failed: %s", a->drive->id, (unsigned long long)r->off,
                strerror(-r->error));
    if (q->mapped && !r->error)
        a->host->dma_done(a->host->to, a->dev, r->op == DISK_READ, r->len);
    else if (q->mapped && r->op == DISK_READ)
        a->host->dma_spoilt(a->host->to, a->dev, r->len);
    a->phase = ATA_IDLE;
    a->req_done(a, q);
    request_free(q);
}

struct ata_request *ata_request(struct ata *a, enum disk_op op, uint64_t sector, uint64_t bytes,
                                void (*fn)(struct ata *, const struct ata_request *))
{
    struct ata_request *q = calloc(1, sizeof(*q));

    assert(!a->req && a->drive->disk);
    if (!q)
        die(EXIT_CODE_HOST, "out of memory for a disk request");
    q->a = a;
    q->r = (struct disk_req){ .op = op, .off = sector * ATA_SECTOR, .len = bytes, .bufs = q->buf, .done = done,
                              .dev = q };
    a->req = q;
    a->req_done = fn;
    return q;
}

void ata_submit(struct ata *a)
{
    a->phase = ATA_BUSY_REQUEST;
    a->status = ATA_BSY | ATA_DRDY;
    disk_submit(a->drive->disk, &a->req->r);
}

void ata_drop(struct ata *a)
{
    struct ata_request *q = a->req;
    bool read;
    uint64_t len;

    if (!q)
        return;
    read = q->mapped && q->r.op == DISK_READ;
    len = q->r.len;
    q->a = NULL;
    a->req = NULL;
    disk_drain_reads(a->drive->disk);           /* frees a read */
    if (read)
        a->host->dma_spoilt(a->host->to, a->dev, len);
}

/* ---- DMA ---- */

enum ata_dma ata_dma_request(struct ata *a, uint64_t byte, size_t want, bool write,
                             void (*fn)(struct ata *, const struct ata_request *))
{
    struct ata_request *q = ata_request(a, write ? DISK_WRITE : DISK_READ, 0, 0, fn);
    bool some;

    q->r.nbufs = ATA_DMA_PIECES;
    q->r.len = a->host->dma_map(a->host->to, a->dev, !write, want < ATA_DMA_MAX ? want : ATA_DMA_MAX, q->buf,
                                &q->r.nbufs);
    some = q->r.len;
    q->r.len &= ~(uint64_t)(ATA_SECTOR - 1);    /* what is left over comes with the next piece */
    for (uint64_t n = 0, i = 0; i < q->r.nbufs; n += q->buf[i++].len)
        if (n + q->buf[i].len >= q->r.len) {
            q->buf[i].len = q->r.len - n;
            q->r.nbufs = i + 1;
        }
    if (!q->r.len) {
        a->req = NULL;
        request_free(q);
        if (some)
            return ATA_DMA_SMALL;
        a->phase = ATA_DMA_WAIT;
        a->status = READY | ATA_DRQ;
        return ATA_DMA_NONE;
    }
    q->mapped = true;
    q->r.off = byte;
    q->r.fua = a->fua || !a->write_cache;
    ata_submit(a);
    return ATA_DMA_STARTED;
}

bool ata_dma_copy(struct ata *a, bool in)
{
    struct disk_buf b[ATA_DMA_PIECES];

    while (a->at < a->end) {
        unsigned n = ATA_DMA_PIECES;
        size_t got = a->host->dma_map(a->host->to, a->dev, in, a->end - a->at, b, &n);

        if (!got) {
            a->phase = ATA_DMA_WAIT;
            a->status = READY | ATA_DRQ;
            return false;
        }
        for (unsigned i = 0; i < n; i++) {
            if (in)
                memcpy(b[i].data, a->buf + a->at, b[i].len);
            else
                memcpy(a->buf + a->at, b[i].data, b[i].len);
            a->at += b[i].len;
        }
        a->host->dma_done(a->host->to, a->dev, in, got);
    }
    return true;
}

/* ---- the data register ---- */

static void next_block(struct ata *a)
{
    a->block = a->end - a->at < a->block_size ? a->end : a->at + a->block_size;
    a->status = READY | ATA_DRQ;
}

void ata_pio_in(struct ata *a, uint32_t bytes)
{
    a->phase = ATA_PIO_IN;
    a->at = 0;
    a->end = bytes;
    next_block(a);
    ata_set_irq(a, true);
}

/* A DRQ block has gone through. */
static void block_done(struct ata *a)
{
    if (a->phase == ATA_PACKET_OUT) {
        atapi_execute(a);
    } else if (a->drive->cdrom) {
        atapi_pio_block(a);
    } else if (a->at < a->end) {
        next_block(a);
        ata_set_irq(a, true);
    } else {
        ata_disk_pio_block(a);
    }
}

uint32_t ata_data_read(struct ata *a, unsigned size)
{
    uint32_t v = 0;

    if (a->phase != ATA_PIO_IN)
        return 0;
    for (unsigned i = 0; i < size && a->at < a->block; i++)
        v |= (uint32_t)a->buf[a->at++] << 8 * i;
    if (a->at >= a->block)
        block_done(a);
    return v;
}

void ata_data_write(struct ata *a, uint32_t val, unsigned size)
{
    if (a->phase != ATA_PIO_OUT && a->phase != ATA_PACKET_OUT)
        return;
    for (unsigned i = 0; i < size && a->at < a->block; i++)
        a->buf[a->at++] = val >> 8 * i;
    if (a->at >= a->block)
        block_done(a);
}

enum ata_pio ata_pio_block(struct ata *a, uint8_t **at, uint32_t *len)
{
    if (a->phase != ATA_PIO_IN && a->phase != ATA_PIO_OUT && a->phase != ATA_PACKET_OUT)
        return ATA_PIO_NONE;
    *at = a->buf + a->at;
    *len = a->block - a->at;
    return a->phase == ATA_PIO_IN ? ATA_PIO_TO_HOST : a->phase == ATA_PIO_OUT ? ATA_PIO_FROM_HOST : ATA_PIO_PACKET;
}

bool ata_pio_last(const struct ata *a)
{
    return a->phase == ATA_PIO_IN && a->block == a->end && !a->left && a->command != 0xa0;
}

void ata_pio_moved(struct ata *a)
{
    a->at = a->block;
    block_done(a);
}

/* ---- reset ---- */

/* 9.12: what the registers say after a reset, EXECUTE DEVICE DIAGNOSTIC and DEVICE RESET. */
void ata_signature(struct ata *a)
{
    a->phase = ATA_IDLE;
    a->count[0] = 1;
    a->lba[0][0] = 1;
    a->lba[1][0] = a->drive->cdrom ? 0x14 : 0;
    a->lba[2][0] = a->drive->cdrom ? 0xeb : 0;
    a->device &= ATA_DEV;
    a->error = 1;               /* no fault was found */
    a->status = a->drive->cdrom ? 0 : READY;
}

void ata_reset(struct ata *a)
{
    ata_drop(a);
    ata_queue_drop(a);
    a->queue_failed = 0;
    a->phase = ATA_RESET;
    a->status = ATA_BSY;
    a->at = a->end = a->block = a->left = 0;
    a->standby = 0;
    ata_set_irq(a, false);
}

bool ata_reset_done(struct ata *a)
{
    if (a->phase != ATA_RESET)
        return false;
    a->device = 0;
    ata_signature(a);
    return true;
}

/* ---- registers ---- */

uint8_t ata_alt_status(const struct ata *a)
{
    return a->status;
}

uint8_t ata_read(struct ata *a, enum ata_reg reg, bool hob)
{
    switch (reg) {
    case ATA_FEATURE:
        return a->error;
    case ATA_COUNT:
        return a->count[hob];
    case ATA_LBA_LOW:
    case ATA_LBA_MID:
    case ATA_LBA_HIGH:
        return a->lba[reg - ATA_LBA_LOW][hob];
    case ATA_DEVICE:
        return a->device | 0xa0;
    default:
        ata_set_irq(a, false);
        return a->status;
    }
}

static void write_command(struct ata *a, uint8_t val)
{
    bool reset = val == 0x08 && a->drive->cdrom;

    /* Commands to a busy device are for DEVICE RESET alone; in the middle of data they end the one before. */
    if (a->phase == ATA_RESET || ((a->status & ATA_BSY) && !reset))
        return;
    ata_drop(a);
    if (reset)
        a->queue_failed = 0;
    ata_set_irq(a, false);
    a->command = val;
    a->phase = ATA_IDLE;
    a->status = READY;
    a->error = 0;
    a->ext = a->dma = a->write = a->fua = a->verify = 0;
    a->sector = a->shown = 0;
    a->left = 0;
    a->block_size = ATA_SECTOR;
    ata_disk_command(a);
}

void ata_write(struct ata *a, enum ata_reg reg, uint8_t val)
{
    if (reg == ATA_COMMAND) {
        write_command(a, val);
        return;
    }
    if (a->status & ATA_BSY && reg != ATA_DEVICE)
        return;
    switch (reg) {
    case ATA_FEATURE:
        a->feature[1] = a->feature[0];
        a->feature[0] = val;
        break;
    case ATA_COUNT:
        a->count[1] = a->count[0];
        a->count[0] = val;
        break;
    case ATA_LBA_LOW:
    case ATA_LBA_MID:
    case ATA_LBA_HIGH:
        a->lba[reg - ATA_LBA_LOW][1] = a->lba[reg - ATA_LBA_LOW][0];
        a->lba[reg - ATA_LBA_LOW][0] = val;
        break;
    default:
        a->device = val;
        break;
    }
}

bool ata_irq(const struct ata *a)
{
    return a->intrq;
}

bool ata_idle(const struct ata *a)
{
    return a->phase == ATA_IDLE;
}

void ata_stop(struct ata *a)
{
    ata_queue_drop(a);
    ata_drop(a);
    if (a->phase == ATA_IDLE || a->phase == ATA_RESET)
        return;
    a->phase = ATA_IDLE;
    a->status = READY | ATA_ERR;
    a->error = ATA_ABRT;
}

bool ata_is_cd(const struct ata *a)
{
    return a->drive->cdrom;
}

void ata_dma_ready(struct ata *a)
{
    if (a->phase != ATA_DMA_WAIT)
        return;
    if (a->drive->cdrom)
        atapi_dma(a);
    else
        ata_disk_dma(a);
}

void ata_dma_stop(struct ata *a)
{
    if (!a->req || !a->dma)
        return;
    ata_drop(a);
    /* The transfer cannot go on: the driver has given it up and will reset the device. */
    a->phase = ATA_IDLE;
    a->status = READY | ATA_ERR;
    a->error = ATA_ABRT;
}

/* ---- the chip ---- */

static const struct field ata_state[] = {
    FIELD_ARRAY(struct ata, feature), FIELD_ARRAY(struct ata, count),
    { "lba", offsetof(struct ata, lba), 1, 6 }, FIELD(struct ata, device), FIELD(struct ata, status),
    FIELD(struct ata, error), FIELD(struct ata, intrq), FIELD_MAX(struct ata, multiple, ATA_MULTIPLE),
    FIELD(struct ata, write_cache),
    FIELD(struct ata, look_ahead), FIELD(struct ata, mwdma), FIELD(struct ata, udma), FIELD(struct ata, smart),
    FIELD(struct ata, standby), FIELD(struct ata, heads), FIELD(struct ata, secs), FIELD(struct ata, max_lba),
    FIELD(struct ata, command), FIELD_MAX(struct ata, phase, ATA_PACKET_OUT), FIELD(struct ata, ext), FIELD(struct ata, dma),
    FIELD(struct ata, write), FIELD(struct ata, fua), FIELD(struct ata, verify), FIELD(struct ata, sector),
    FIELD(struct ata, shown), FIELD(struct ata, left), FIELD_MAX(struct ata, at, ATA_BUF),
    FIELD_MAX(struct ata, block, ATA_BUF), FIELD_MAX(struct ata, end, ATA_BUF),
    FIELD_MAX(struct ata, block_size, ATA_BUF), FIELD_ARRAY(struct ata, packet),
    { "buf low", offsetof(struct ata, buf), 1, ATA_BUF / 2 },
    { "buf high", offsetof(struct ata, buf) + ATA_BUF / 2, 1, ATA_BUF / 2 },
    MMC_FIELDS(struct ata, mmc), FIELD(struct ata, queue_failed), FIELD_ARRAY(struct ata, queue_log), FIELD_END
};

/* Power-on and hardware reset. */
static void chip_reset(void *dev)
{
    struct ata *a = dev;

    ata_reset(a);
    memset(a->feature, 0, sizeof(a->feature));
    memset(a->count, 0, sizeof(a->count));
    memset(a->lba, 0, sizeof(a->lba));
    a->multiple = ATA_MULTIPLE;
    a->block_size = ATA_SECTOR;
    a->write_cache = !a->who.cache_off;
    a->look_ahead = a->smart = 1;
    a->mwdma = 2;
    a->udma = 0xff;
    a->heads = a->drive->chs.heads ? a->drive->chs.heads : 16;
    a->secs = a->drive->chs.secs ? a->drive->chs.secs : 63;
    a->max_lba = ata_sectors(a);
    if (a->drive->cdrom)
        mmc_reset(&a->mmc);
    memset(a->queue_log, 0, sizeof(a->queue_log));
    ata_reset_done(a);
}

void ata_hard_reset(struct ata *a)
{
    chip_reset(a);
}

/* What buf holds of a command that is not over, and where on the medium that goes. */
static const char *check_transfer(const struct ata *a)
{
    bool pio = a->phase == ATA_PIO_IN || a->phase == ATA_PIO_OUT || a->phase == ATA_PACKET_OUT;
    bool writes = a->left && !a->drive->cdrom && a->at < a->end &&
                  (a->phase == ATA_PIO_OUT || (a->phase == ATA_DMA_WAIT && a->write));

    if (a->at > a->end)
        return "at is behind end";
    if (pio && (a->at >= a->block || a->block > a->end))
        return "block is not between at and end";
    if (a->phase == ATA_PACKET_OUT && (!a->drive->cdrom || a->end != ATA_PACKET))
        return "phase has it wait for a packet, which it does not take";
    if (a->phase == ATA_IDLE || a->drive->cdrom)
        return NULL;            /* a CD-ROM drive looks at each request, for the medium may have gone */
    if (a->left && !ata_in_range(a))
        return "sector and left are not all on the medium";
    if (writes && (a->drive->read_only || a->end % ATA_SECTOR || a->end / ATA_SECTOR > a->left))
        return "end is not what there is to write";
    return NULL;
}

static const char *check(const void *dev)
{
    const struct ata *a = dev;

    if (a->phase == ATA_BUSY_REQUEST)
        return "phase has a request with the disk, which nobody saved";
    if (!a->heads || !a->secs)
        return "heads or secs is 0";
    if (!a->block_size)
        return "block_size is 0";
    if (!a->drive->cdrom && a->max_lba > ata_sectors(a))
        return "max_lba is behind the end of the disk";
    return check_transfer(a);
}

static void loaded(void *dev)
{
    struct ata *a = dev;

    a->host->irq(a->host->to, a->dev, a->intrq);
}

static void chip_free(void *dev)
{
    struct ata *a = dev;

    if (a->req)
        request_free(a->req);
    ata_queue_free(a);
}

static const struct chip ata_chip = {
    "ata", sizeof(struct ata), chip_reset, ata_state, loaded, chip_free, .check = check
};

static const struct drive_user disk_user = { NULL };

struct ata *ata_new(struct chip_list *chips, const char *name, unsigned dev, struct drive *drive,
                    const struct ata_host *host, const struct ata_who *who)
{
    struct ata *a = chip_new(chips, &ata_chip, name);

    if (!drive_take(drive, drive->cdrom ? &atapi_user : &disk_user, a))
        die(EXIT_CODE_USAGE, "drive %s: two devices were given it", drive->id);
    a->drive = drive;
    a->host = host;
    a->dev = dev;
    a->who = *who;
    if (who->serial || drive->serial)
        snprintf(a->serial, sizeof(a->serial), "%s", who->serial ? who->serial : drive->serial);
    else
        snprintf(a->serial, sizeof(a->serial), "LT%06u", who->number % 1000000);
    if (drive->cdrom)
        mmc_init(&a->mmc, drive);
    chip_reset(a);
    return a;
}
