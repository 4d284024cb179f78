/*
 * ata_disk.c - commands of ATA devices, and those that packet devices share with them (ATA/ATAPI-7 volume 1,
 * chapter 6): one table.
 */
#include "hw/ide/ata_int.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/trace.h"

enum {                          /* struct command.flags */
    EXT = 1, DMA = 2, WRITE = 4, FUA = 8, MULTIPLE = 16,
    DISK = 32, CD = 64,         /* who has it */
    MEDIUM = 128,               /* wakes a device in standby */
    SERIAL = 256,               /* Serial ATA has it */
};

struct command {
    uint8_t code;
    uint16_t flags;
    void (*run)(struct ata *);
};

/* ---- addresses (6.2) ---- */

uint64_t ata_address(const struct ata *a)
{
    uint64_t lba = a->lba[0][0] | (uint32_t)a->lba[1][0] << 8 | (uint32_t)a->lba[2][0] << 16;
    unsigned cyl = a->lba[1][0] | a->lba[2][0] << 8, head = a->device & 15, sec = a->lba[0][0];

    if (a->ext)
        return lba | (uint64_t)a->lba[0][1] << 24 | (uint64_t)a->lba[1][1] << 32 | (uint64_t)a->lba[2][1] << 40;
    if (a->device & 0x40)
        return lba | (uint32_t)(a->device & 15) << 24;
    if (!sec || sec > a->secs || head >= a->heads)
        return UINT64_MAX;
    return ((uint64_t)cyl * a->heads + head) * a->secs + sec - 1;
}

static uint32_t count(const struct ata *a)
{
    uint32_t n = a->count[0];

    if (!a->ext)
        return n ? n : 256;
    n |= (uint32_t)a->count[1] << 8;
    return n ? n : 65536;
}

/* The command's sectors; false: it has been refused. */
static bool range(struct ata *a)
{
    uint64_t at = ata_address(a), limit = a->max_lba;

    a->left = count(a);
    if (at < limit && a->left <= limit - at) {
        a->sector = a->shown = at;
        return true;
    }
    a->error = ATA_IDNF;
    ata_fail(a, ATA_IDNF);
    return false;
}

/* Bytes of what is left that buf holds. */
static uint32_t chunk(const struct ata *a)
{
    return a->left < ATA_BUF / ATA_SECTOR ? a->left * ATA_SECTOR : ATA_BUF;
}

static void advance(struct ata *a, uint64_t bytes)
{
    a->sector += bytes / ATA_SECTOR;
    a->left -= bytes / ATA_SECTOR;
    a->shown = a->sector - 1;
}

static void medium_error(struct ata *a, bool write, int error)
{
    a->shown = a->sector;
    ata_fail(a, !write ? ATA_UNC : error == -EROFS || error == -EPERM ? ATA_ABRT : ATA_IDNF);
}

/* ---- PIO, and READ VERIFY, which is a read without data ---- */

static void fill(struct ata *a);

static void filled(struct ata *a, const struct ata_request *q)
{
    if (q->r.error) {
        medium_error(a, false, q->r.error);
        return;
    }
    advance(a, q->r.len);
    if (!a->verify)
        ata_pio_in(a, (uint32_t)q->r.len);
    else if (a->left)
        fill(a);
    else
        ata_complete(a);
}

static void fill(struct ata *a)
{
    struct ata_request *q = ata_request(a, DISK_READ, a->sector, chunk(a), filled);

    q->buf[0] = (struct disk_buf){ a->buf, q->r.len };
    q->r.nbufs = 1;
    ata_submit(a);
}

static void read_pio(struct ata *a)
{
    if (range(a))
        fill(a);
}

static void read_verify(struct ata *a)
{
    a->verify = 1;
    read_pio(a);
}

static void want_data(struct ata *a, uint32_t bytes)
{
    a->phase = ATA_PIO_OUT;
    a->at = 0;
    a->end = bytes;
    a->block = a->end < a->block_size ? a->end : a->block_size;
    a->status = ATA_DRDY | ATA_DSC | ATA_DRQ;
}

static void written(struct ata *a, const struct ata_request *q)
{
    if (q->r.error) {
        medium_error(a, true, q->r.error);
        return;
    }
    advance(a, q->r.len);
    if (!a->left) {
        ata_complete(a);
        return;
    }
    want_data(a, chunk(a));
    ata_set_irq(a, true);
}

static void write_pio(struct ata *a)
{
    if (range(a))
        want_data(a, chunk(a));
}

/* All of buf has come. */
static void write_buf(struct ata *a, void (*done)(struct ata *, const struct ata_request *))
{
    struct ata_request *q = ata_request(a, DISK_WRITE, a->sector, a->end, done);

    /* A copy: should the command be dropped while the host's disk is full, buf is used again before it is written. */
    q->own = malloc(a->end);
    if (!q->own)
        die(EXIT_CODE_HOST, "out of memory for a disk request");
    memcpy(q->own, a->buf, a->end);
    q->buf[0] = (struct disk_buf){ q->own, a->end };
    q->r.nbufs = 1;
    q->r.fua = a->fua || !a->write_cache;
    ata_submit(a);
}

void ata_disk_pio_block(struct ata *a)
{
    if (a->phase == ATA_PIO_OUT) {
        if (a->left)
            write_buf(a, written);
        else
            ata_complete(a);    /* WRITE BUFFER */
    } else if (a->left) {
        fill(a);
    } else {                    /* the interrupt came with the last block */
        a->phase = ATA_IDLE;
        a->status = ATA_DRDY | ATA_DSC;
    }
}

/* buf[0, 512) is the answer. */
static void answer(struct ata *a)
{
    a->block_size = ATA_SECTOR;
    ata_pio_in(a, ATA_SECTOR);
}

/* ---- DMA ---- */

static void trim_next(struct ata *a);

static void transferred(struct ata *a, const struct ata_request *q)
{
    if (q->r.error) {
        medium_error(a, a->write, q->r.error);
        return;
    }
    advance(a, q->r.len);
    a->at = a->end = 0;
    ata_disk_dma(a);
}

/* A sector for memory in many small pieces. */
static void sector_read(struct ata *a, const struct ata_request *q)
{
    if (q->r.error) {
        medium_error(a, false, q->r.error);
        return;
    }
    advance(a, q->r.len);
    a->at = 0;
    a->end = ATA_SECTOR;
    ata_disk_dma(a);
}

static void sector_by_buf(struct ata *a)
{
    struct ata_request *q;

    a->at = 0;
    if (a->write) {
        a->end = ATA_SECTOR;
        ata_disk_dma(a);
        return;
    }
    q = ata_request(a, DISK_READ, a->sector, ATA_SECTOR, sector_read);
    q->buf[0] = (struct disk_buf){ a->buf, ATA_SECTOR };
    q->r.nbufs = 1;
    ata_submit(a);
}

void ata_disk_dma(struct ata *a)
{
    if (a->command == 0x06) {   /* DATA SET MANAGEMENT: its ranges come first */
        if (ata_dma_copy(a, false)) {
            a->at = 0;
            trim_next(a);
        }
    } else if (a->at < a->end) {        /* a sector goes through buf */
        if (!ata_dma_copy(a, !a->write))
            return;
        if (a->write)
            write_buf(a, transferred);
        else
            ata_disk_dma(a);
    } else if (a->left) {
        if (ata_dma_request(a, a->sector * ATA_SECTOR, (size_t)a->left * ATA_SECTOR, a->write, transferred) ==
            ATA_DMA_SMALL)
            sector_by_buf(a);
    } else {
        ata_complete(a);
    }
}

static void transfer_dma(struct ata *a)
{
    a->at = a->end = 0;
    if (range(a))
        ata_disk_dma(a);
}

/* 6.x DATA SET MANAGEMENT (ACS-2 7.10): entries of 48 bits address and 16 bits count. */
static void trimmed(struct ata *a, const struct ata_request *q)
{
    if (q->r.error)
        ata_fail(a, ATA_ABRT);
    else
        trim_next(a);
}

static void trim_next(struct ata *a)
{
    while (a->at + 8 <= a->end) {
        const uint8_t *e = a->buf + a->at;
        uint64_t lba = 0;
        uint32_t n = e[6] | (uint32_t)e[7] << 8;

        for (unsigned i = 0; i < 6; i++)
            lba |= (uint64_t)e[i] << 8 * i;
        a->at += 8;
        if (!n)
            continue;
        if (lba >= a->max_lba || n > a->max_lba - lba) {
            ata_fail(a, ATA_IDNF);
            return;
        }
        ata_request(a, DISK_DISCARD, lba, (uint64_t)n * ATA_SECTOR, trimmed);
        ata_submit(a);
        return;
    }
    ata_complete(a);
}

static void data_set_management(struct ata *a)
{
    uint32_t n = a->count[0] | (uint32_t)a->count[1] << 8;

    if (a->feature[0] != 1 || !n || n > ATA_BUF / ATA_SECTOR || !a->drive->disk->discards) {
        ata_fail(a, ATA_ABRT);
        return;
    }
    a->at = 0;
    a->end = n * ATA_SECTOR;
    ata_disk_dma(a);
}

/* ---- everything else ---- */

static void flushed(struct ata *a, const struct ata_request *q)
{
    if (q->r.error)
        ata_fail(a, ATA_ABRT);
    else
        ata_complete(a);
}

static void flush(struct ata *a)
{
    if (!a->drive->disk) {
        ata_complete(a);
        return;
    }
    ata_request(a, DISK_FLUSH, 0, 0, flushed);
    ata_submit(a);
}

static void nop(struct ata *a)
{
    ata_fail(a, ATA_ABRT);
}

static void nothing(struct ata *a)
{
    ata_complete(a);
}

static void identify(struct ata *a)
{
    if (a->drive->cdrom) {      /* 6.16: packet devices abort it, and tell what they are */
        ata_signature(a);
        ata_fail(a, ATA_ABRT);
        return;
    }
    ata_identify(a, a->buf);
    answer(a);
}

static void identify_packet(struct ata *a)
{
    ata_identify_packet(a, a->buf);
    answer(a);
}

static void diagnostic(struct ata *a)
{
    a->device = 0;
    ata_signature(a);
    ata_set_irq(a, true);
}

static void device_reset(struct ata *a)
{
    ata_signature(a);
}

static void init_params(struct ata *a)
{
    if (!a->count[0]) {
        ata_fail(a, ATA_ABRT);
        return;
    }
    a->secs = a->count[0];
    a->heads = (a->device & 15) + 1;
    ata_complete(a);
}

static void set_multiple(struct ata *a)
{
    unsigned n = a->count[0];

    if (n > ATA_MULTIPLE || (n & (n - 1))) {
        ata_fail(a, ATA_ABRT);
        return;
    }
    a->multiple = n;
    ata_complete(a);
}

/* 6.46.2 */
static bool transfer_mode(struct ata *a, unsigned mode)
{
    unsigned n = mode & 7;

    switch (mode >> 3) {
    case 0:                     /* PIO default */
        return n <= 1;
    case 1:                     /* PIO with flow control */
        return n <= 4;
    case 4:
        if (n > 2)
            return false;
        a->mwdma = n;
        a->udma = 0xff;
        return true;
    case 8:
        if (n > 5)
            return false;
        a->udma = n;
        a->mwdma = 0xff;
        return true;
    default:
        return false;
    }
}

static void set_features(struct ata *a)
{
    bool ok = true;

    switch (a->feature[0]) {
    case 0x02: a->write_cache = 1; break;
    case 0x82: a->write_cache = 0; break;
    case 0x03: ok = transfer_mode(a, a->count[0]); break;
    case 0xaa: a->look_ahead = 1; break;
    case 0x55: a->look_ahead = 0; break;
    case 0x66: case 0xcc:       /* whether a software reset restores defaults: none does */
        break;
    default: ok = false; break;
    }
    if (!ok)
        ata_fail(a, ATA_ABRT);
    else if (a->feature[0] == 0x82 && !a->drive->cdrom)
        flush(a);               /* what was in the cache is written */
    else
        ata_complete(a);
}

static void check_power(struct ata *a)
{
    a->count[0] = a->standby ? 0 : 0xff;
    ata_complete(a);
}

static void standby(struct ata *a)
{
    a->standby = 1;
    flush(a);
}

static void idle(struct ata *a)
{
    a->standby = 0;
    ata_complete(a);
}

static void read_buffer(struct ata *a)
{
    answer(a);
}

static void write_buffer(struct ata *a)
{
    want_data(a, ATA_SECTOR);
}

static void native_max(struct ata *a)
{
    uint64_t last = ata_sectors(a) - 1;

    if (!ata_sectors(a)) {
        ata_fail(a, ATA_ABRT);
        return;
    }
    if (!a->ext && last > 0x0fffffff)
        last = 0x0fffffff;
    a->sector = a->shown = last;
    a->device |= 0x40;
    ata_complete(a);
}

/* Until the next hardware reset. Features 1 to 4 are SET MAX's passwords. */
static void set_max(struct ata *a)
{
    uint64_t last = ata_address(a);

    if ((!a->ext && a->feature[0]) || last >= ata_sectors(a)) {
        ata_fail(a, ATA_ABRT);
        return;
    }
    a->max_lba = last + 1;
    a->sector = a->shown = last;
    ata_complete(a);
}

static const struct command commands[] = {
    { 0x00, DISK | CD, nop },
    { 0x06, DISK | DMA | EXT | WRITE | MEDIUM, data_set_management },
    { 0x08, CD, device_reset },
    { 0x20, DISK | MEDIUM, read_pio }, { 0x21, DISK | MEDIUM, read_pio },
    { 0x24, DISK | EXT | MEDIUM, read_pio },
    { 0x25, DISK | EXT | DMA | MEDIUM, transfer_dma },
    { 0x27, DISK | EXT, native_max },
    { 0x29, DISK | EXT | MULTIPLE | MEDIUM, read_pio },
    { 0x2f, DISK | EXT | SERIAL, ata_read_log },
    { 0x30, DISK | WRITE | MEDIUM, write_pio }, { 0x31, DISK | WRITE | MEDIUM, write_pio },
    { 0x34, DISK | EXT | WRITE | MEDIUM, write_pio },
    { 0x35, DISK | EXT | DMA | WRITE | MEDIUM, transfer_dma },
    { 0x37, DISK | EXT, set_max },
    { 0x39, DISK | EXT | WRITE | MULTIPLE | MEDIUM, write_pio },
    { 0x3d, DISK | EXT | DMA | WRITE | FUA | MEDIUM, transfer_dma },
    { 0x40, DISK | MEDIUM, read_verify }, { 0x41, DISK | MEDIUM, read_verify },
    { 0x42, DISK | EXT | MEDIUM, read_verify },
    { 0x60, DISK | EXT | DMA | SERIAL | MEDIUM, ata_queue_command },
    { 0x61, DISK | EXT | DMA | WRITE | SERIAL | MEDIUM, ata_queue_command },
    { 0x90, DISK | CD, diagnostic },
    { 0x91, DISK, init_params },
    { 0x94, DISK | CD, standby }, { 0x95, DISK | CD, idle }, { 0x96, DISK | CD, standby }, { 0x97, DISK | CD, idle },
    { 0x98, DISK | CD, check_power }, { 0x99, DISK | CD, standby },
    { 0xa0, CD, atapi_packet }, { 0xa1, CD, identify_packet },
    { 0xb0, DISK, ata_smart },
    { 0xc4, DISK | MULTIPLE | MEDIUM, read_pio },
    { 0xc5, DISK | WRITE | MULTIPLE | MEDIUM, write_pio },
    { 0xc6, DISK, set_multiple },
    { 0xc8, DISK | DMA | MEDIUM, transfer_dma }, { 0xc9, DISK | DMA | MEDIUM, transfer_dma },
    { 0xca, DISK | DMA | WRITE | MEDIUM, transfer_dma }, { 0xcb, DISK | DMA | WRITE | MEDIUM, transfer_dma },
    { 0xce, DISK | EXT | WRITE | MULTIPLE | FUA | MEDIUM, write_pio },
    { 0xe0, DISK | CD, standby }, { 0xe1, DISK | CD, idle }, { 0xe2, DISK | CD, standby }, { 0xe3, DISK | CD, idle },
    { 0xe4, DISK, read_buffer }, { 0xe5, DISK | CD, check_power }, { 0xe6, DISK | CD, standby },
    { 0xe7, DISK | CD, flush }, { 0xe8, DISK, write_buffer }, { 0xea, DISK | EXT, flush },
    { 0xec, DISK | CD, identify }, { 0xef, DISK | CD, set_features },
    { 0xf8, DISK, native_max }, { 0xf9, DISK, set_max },
};

static const struct command *find(uint8_t code)
{
    for (unsigned i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
        if (commands[i].code == code)
            return &commands[i];
    return NULL;
}

void ata_disk_command(struct ata *a)
{
    const struct command *c = find(a->command);
    unsigned who = a->drive->cdrom ? CD : DISK;

    /* 7x SEEK and 1x RECALIBRATE: sixteen codes each, and nothing moves. */
    if (!c && who == DISK && (a->command >> 4 == 7 || a->command >> 4 == 1)) {
        nothing(a);
        return;
    }
    if (c && who == CD && a->command == 0x20)
        c = find(0xec);         /* READ SECTORS to a packet device ends as IDENTIFY DEVICE does */
    if (!c || !(c->flags & who) || ((c->flags & MULTIPLE) && !a->multiple) ||
        ((c->flags & SERIAL) && !a->host->serial)) {
        log_msg(LOG_GUEST, "ide: %s: command %02x is not there", a->drive->id, a->command);
        ata_fail(a, ATA_ABRT);
        return;
    }
    if (a->queued && c->run != ata_queue_command) {
        ata_queue_clash(a);
        return;
    }
    if (a->queue_failed && c->run != ata_read_log) {
        ata_fail(a, ATA_ABRT);
        return;
    }
    if ((c->flags & WRITE) && (a->drive->read_only || a->drive->disk->read_only)) {
        ata_fail(a, ATA_ABRT);
        return;
    }
    a->ext = c->flags & EXT ? 1 : 0;
    a->dma = c->flags & DMA ? 1 : 0;
    a->write = c->flags & WRITE ? 1 : 0;
    a->fua = c->flags & FUA ? 1 : 0;
    a->block_size = c->flags & MULTIPLE ? a->multiple * ATA_SECTOR : ATA_SECTOR;
    if (c->flags & MEDIUM)
        a->standby = 0;
    trace_ide_command(a->drive->id, a->command, a->feature[0], (int64_t)ata_address(a), count(a));
    c->run(a);
}
