/*
 * ata_int.h - what the files of the ATA device share; adapters see ata.h.
 *
 * A command is in one of these phases. Invariant: BSY is set exactly in ATA_BUSY_*; in the others the device waits for
 * its adapter, or for nothing.
 */
#ifndef HW_IDE_ATA_INT_H
#define HW_IDE_ATA_INT_H

#include "hw/ide/ata.h"
#include "hw/ide/mmc.h"

enum ata_phase {
    ATA_IDLE,
    ATA_RESET,                  /* SRST is set */
    ATA_BUSY_REQUEST,           /* the disk has a request of ours */
    ATA_PIO_IN, ATA_PIO_OUT,    /* buf[at .. block) goes through the data register */
    ATA_DMA_WAIT,               /* for the adapter's memory */
    ATA_PACKET_OUT,             /* a packet command comes through the data register */
};

enum { ATA_ABRT = 0x04, ATA_IDNF = 0x10, ATA_UNC = 0x40 };      /* error register */
enum { ATA_COD = 1, ATA_IO = 2 };                               /* count register, PACKET */

#define ATA_BUF      65536u
#define ATA_DMA_MAX  (1u << 20) /* bytes of one request to the disk */
#define ATA_PACKET   12u
#define ATA_MULTIPLE 16u        /* sectors of READ MULTIPLE, at most */
#define ATA_LOG      14u        /* bytes of the queue's error log that are not 0 */

/* A request outlives the command if that is dropped: a full host disk keeps writes. */
struct ata_request {
    struct disk_req r;
    struct disk_buf buf[ATA_DMA_PIECES];
    struct ata *a;              /* NULL: nobody waits for it */
    bool mapped;                /* buf is the adapter's memory */
    uint8_t *own;               /* data of a PIO write */
};

struct ata_queued;              /* a queued command: ata_queue.c */

struct ata {
    struct drive *drive;
    const struct ata_host *host;
    unsigned dev;
    char serial[21];
    struct ata_who who;

    /* registers; [1]: what was written before */
    uint8_t feature[2], count[2], lba[3][2], device, status, error, intrq;
    /* settings */
    uint8_t multiple, write_cache, look_ahead, mwdma, udma, smart, standby;
    uint8_t heads, secs;        /* for CHS addresses */
    uint64_t max_lba;           /* sectors that SET MAX ADDRESS leaves, the disk's otherwise */
    /* the command under way */
    uint8_t command, phase, ext, dma, write, fua, verify;
    uint64_t sector;            /* next to be requested */
    uint64_t shown;             /* the one the registers tell of */
    uint32_t left;              /* sectors not requested yet */
    uint32_t at, block, end;    /* in buf: next byte, end of the DRQ block, end of what is there */
    uint32_t block_size;        /* bytes of a DRQ block */
    uint8_t packet[ATA_PACKET];
    uint8_t buf[ATA_BUF];

    struct ata_request *req;    /* under way; NULL: none */
    void (*req_done)(struct ata *, const struct ata_request *);
    struct mmc mmc;             /* CD-ROM */

    struct ata_queued *queue[ATA_TAGS];         /* NULL: never used */
    uint32_t queued;            /* tags under way */
    uint8_t queue_failed;       /* one has failed: nothing but reading the log is done */
    uint8_t queue_log[ATA_LOG];
};

static inline uint64_t ata_sectors(const struct ata *a)
{
    return a->drive->disk ? a->drive->disk->size / ATA_SECTOR : 0;
}

/* What is left of the command is on the medium: that of a CD-ROM may have been exchanged. */
static inline bool ata_in_range(const struct ata *a)
{
    return a->sector <= ata_sectors(a) && a->left <= ata_sectors(a) - a->sector;
}

/* ---- ata.c ---- */
void ata_set_irq(struct ata *, bool level);
/* The command ends; the interrupt comes. */
void ata_complete(struct ata *);
void ata_fail(struct ata *, uint8_t error);
/* buf[0, bytes) is ready: to the adapter in DRQ blocks of block_size, then the command ends. */
void ata_pio_in(struct ata *, uint32_t bytes);
/* A new request with `op` for the medium; fill in its buffers, then ata_submit(). */
struct ata_request *ata_request(struct ata *, enum disk_op, uint64_t sector, uint64_t bytes,
                                void (*done)(struct ata *, const struct ata_request *));
void ata_submit(struct ata *);
/*
 * A request between the medium, from `byte`, and the next memory of the adapter, for at most `want` bytes; how many
 * it is, is in r.len. ATA_DMA_NONE: there is no memory now; the device waits in ATA_DMA_WAIT. ATA_DMA_SMALL: there is
 * less than a sector in all these pieces: use buf and ata_dma_copy().
 */
enum ata_dma { ATA_DMA_STARTED, ATA_DMA_NONE, ATA_DMA_SMALL };
enum ata_dma ata_dma_request(struct ata *, uint64_t byte, size_t want, bool write,
                             void (*done)(struct ata *, const struct ata_request *));
/* buf[at, end) to the adapter's memory (in) or from it. False: the device waits for more of that. */
bool ata_dma_copy(struct ata *, bool in);
/* Forget the request under way; after that nothing writes to the adapter's memory. */
void ata_drop(struct ata *);
void ata_signature(struct ata *);

/* ---- ata_disk.c ---- */
void ata_disk_command(struct ata *);
void ata_disk_pio_block(struct ata *);          /* a DRQ block has gone through the data register */
void ata_disk_dma(struct ata *);                /* go on with a DMA command */

/* A command's address and count as all commands but queued ones have them; address UINT64_MAX: there is none such. */
uint64_t ata_address(const struct ata *);

/* ---- ata_queue.c ---- */
void ata_queue_command(struct ata *);           /* READ or WRITE FPDMA QUEUED was written */
/* A command of another kind came while some were queued. */
void ata_queue_clash(struct ata *);
/* Forget what is queued; after that nothing writes to the adapter's memory. */
void ata_queue_drop(struct ata *);
void ata_queue_free(struct ata *);
void ata_read_log(struct ata *);

/* ---- ata_identify.c ---- */
void ata_identify(const struct ata *, uint8_t *page);
void ata_identify_packet(const struct ata *, uint8_t *page);
void ata_smart(struct ata *);

/* ---- atapi.c ---- */
void atapi_packet(struct ata *);                /* PACKET was written */
void atapi_execute(struct ata *);               /* its 12 bytes are in buf */
void atapi_pio_block(struct ata *);
void atapi_dma(struct ata *);
extern const struct drive_user atapi_user;

#endif
