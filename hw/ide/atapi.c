/*
 * atapi.c - PACKET commands: how a CD-ROM's commands and data go through the registers (ATA/ATAPI-7 volume 1, 6.21,
 * and volume 2, 9.8).
 *
 * `sector` and `left` count 512 bytes here, too. Data of whole blocks goes to the adapter's memory directly; PIO,
 * answers and the odd block sizes of READ CD go through buf.
 */
#include "hw/ide/ata_int.h"

#include <string.h>

#include "base/trace.h"

#define PER_BLOCK (MMC_BLOCK / ATA_SECTOR)
/* Blocks that buf holds, whatever their size. */
#define BUF_BLOCKS (ATA_BUF / MMC_RAW)

#define READY (ATA_DRDY | ATA_DSC)

/* The status phase. */
static void end(struct ata *a, uint8_t status, uint8_t error)
{
    a->phase = ATA_IDLE;
    a->count[0] = ATA_COD | ATA_IO;
    a->status = status;
    a->error = error;
    trace_ide_status(a->drive->id, a->command, a->status, a->error);
    ata_set_irq(a, true);
}

static void finish(struct ata *a)
{
    end(a, READY, 0);
}

static void fail(struct ata *a)
{
    end(a, READY | ATA_ERR, a->mmc.sense[0] << 4 | ATA_ABRT);
}

/* The next DRQ block of buf[at, end), to the host or from it. */
static void offer(struct ata *a)
{
    uint32_t n = a->end - a->at;

    if (n > a->block_size)
        n = a->block_size;
    a->phase = a->write ? ATA_PIO_OUT : ATA_PIO_IN;
    a->block = a->at + n;
    a->count[0] = a->write ? 0 : ATA_IO;
    a->lba[1][0] = n;
    a->lba[2][0] = n >> 8;
    a->status = READY | ATA_DRQ;
    ata_set_irq(a, true);
}

static void blocks_read(struct ata *a, const struct ata_request *q)
{
    uint32_t sectors = (uint32_t)(q->r.len / ATA_SECTOR), n = sectors / PER_BLOCK;

    if (q->r.error) {
        mmc_read_failed(&a->mmc);
        fail(a);
        return;
    }
    mmc_expand(&a->mmc, a->buf, (uint32_t)(a->sector / PER_BLOCK), n);
    a->sector += sectors;
    a->left -= sectors;
    a->at = 0;
    a->end = a->mmc.parts == MMC_PART_DATA ? sectors * ATA_SECTOR : n * mmc_block_len(&a->mmc);
    if (a->dma)
        atapi_dma(a);
    else
        offer(a);
}

/* The next blocks into buf; only user data may go on in the middle of one. */
static void read_blocks(struct ata *a)
{
    uint32_t most = BUF_BLOCKS * PER_BLOCK, n = a->left < most ? a->left : most;
    struct ata_request *q;

    if (!ata_in_range(a) || a->mmc.open) {      /* taken out in the middle */
        mmc_read_failed(&a->mmc);
        fail(a);
        return;
    }
    q = ata_request(a, DISK_READ, a->sector, (uint64_t)n * ATA_SECTOR, blocks_read);
    q->buf[0] = (struct disk_buf){ a->buf, q->r.len };
    q->r.nbufs = 1;
    ata_submit(a);
}

static void direct(struct ata *a, const struct ata_request *q)
{
    if (q->r.error) {
        mmc_read_failed(&a->mmc);
        fail(a);
        return;
    }
    a->sector += q->r.len / ATA_SECTOR;
    a->left -= q->r.len / ATA_SECTOR;
    atapi_dma(a);
}

/* Go on with the command's data phase by DMA. */
void atapi_dma(struct ata *a)
{
    if (a->at < a->end) {
        if (!ata_dma_copy(a, !a->write))
            return;
        if (a->write) {
            if (mmc_parameters(&a->mmc, a->packet, a->buf, a->end))
                finish(a);
            else
                fail(a);
            return;
        }
    }
    if (!a->left)
        finish(a);
    else if (a->mmc.parts != MMC_PART_DATA || !ata_in_range(a) || a->mmc.open ||
             ata_dma_request(a, a->sector * ATA_SECTOR, (size_t)a->left * ATA_SECTOR, false, direct) ==
                 ATA_DMA_SMALL)
        read_blocks(a);
}

void atapi_pio_block(struct ata *a)
{
    if (a->command != 0xa0) {   /* IDENTIFY PACKET DEVICE: the interrupt came with the data */
        a->phase = ATA_IDLE;
        a->status = READY;
    } else if (a->at < a->end) {
        offer(a);
    } else if (a->write) {
        if (mmc_parameters(&a->mmc, a->packet, a->buf, a->end))
            finish(a);
        else
            fail(a);
    } else if (a->left) {
        read_blocks(a);
    } else {
        finish(a);
    }
}

void atapi_packet(struct ata *a)
{
    if (a->feature[0] & 2) {    /* overlapped */
        ata_fail(a, ATA_ABRT);
        return;
    }
    a->dma = a->feature[0] & 1;
    a->phase = ATA_PACKET_OUT;
    a->at = 0;
    a->block = a->end = ATA_PACKET;
    a->count[0] = ATA_COD;
    a->status = READY | ATA_DRQ;
}

void atapi_execute(struct ata *a)
{
    uint32_t limit = a->lba[1][0] | (uint32_t)a->lba[2][0] << 8;
    struct mmc_result r;

    memcpy(a->packet, a->buf, ATA_PACKET);
    trace_atapi_packet(a->drive->id, a->packet, limit);
    r = mmc_command(&a->mmc, a->packet, a->buf);
    /* 6.21.4: an odd limit counts as one less, none as 65534. */
    a->block_size = limit > 1 && limit != 0xffff ? limit & ~1u : 0xfffe;
    a->at = a->end = 0;
    switch (r.what) {
    case MMC_FAILED:
        fail(a);
        return;
    case MMC_DONE:
        finish(a);
        return;
    case MMC_TAKES:
        a->write = 1;
        a->end = r.len;
        break;
    case MMC_READS:
        a->sector = (uint64_t)r.lba * PER_BLOCK;
        a->left = r.blocks * PER_BLOCK;
        break;
    case MMC_REPLIES:
        a->end = r.len;
        break;
    }
    if (a->dma)
        atapi_dma(a);
    else
        atapi_pio_block(a);
}

static void changed(void *dev)
{
    struct ata *a = dev;

    mmc_changed(&a->mmc);
}

static void tray(void *dev, struct drive_tray *t)
{
    struct ata *a = dev;

    *t = (struct drive_tray){ a->mmc.open, a->mmc.locked };
}

static void ask(void *dev)
{
    struct ata *a = dev;

    mmc_ask(&a->mmc);
}

static void move(void *dev, bool open)
{
    struct ata *a = dev;

    mmc_move(&a->mmc, open);
}

const struct drive_user atapi_user = { changed, tray, ask, move };
