/*
 * ata.h - an ATA device (hard disk) or ATAPI device (CD-ROM), as the adapter it is plugged in to sees it: registers
 * of the command block, data, INTRQ, DMA, and the queue of a Serial ATA device.
 *
 * Sources: ATA/ATAPI-7 (T13/1532D) volume 1, MMC-5 for what PACKET commands do (mmc.h), ATA8-ACS and Serial ATA 2.6 for
 * the queue.
 */
#ifndef HW_IDE_ATA_H
#define HW_IDE_ATA_H

#include "hw/dev.h"
#include "hw/disk_if.h"

#define ATA_SECTOR 512u
#define ATA_DMA_PIECES 64u      /* of one dma_map(), at most */
#define ATA_TAGS 32u            /* commands a queue has */

/* Registers of the command block; reading 1 is error, 7 status, writing features and command. */
enum ata_reg { ATA_DATA, ATA_FEATURE, ATA_COUNT, ATA_LBA_LOW, ATA_LBA_MID, ATA_LBA_HIGH, ATA_DEVICE, ATA_COMMAND };

enum { ATA_ERR = 0x01, ATA_DRQ = 0x08, ATA_DSC = 0x10, ATA_DF = 0x20, ATA_DRDY = 0x40, ATA_BSY = 0x80 };
#define ATA_DEV 0x10u           /* of the device register: device 1 is selected */

struct ata;

/* What the adapter does for its devices. */
struct ata_host {
    void (*irq)(void *to, unsigned dev, bool level);    /* INTRQ of device 0 or 1 */
    /*
     * Memory for the next bytes of a DMA transfer, at most `want`, in at most *n pieces; the pieces are written by
     * the device if `in`. Returns how many bytes they hold, 0 while the adapter is not ready (ata_dma_ready() tells),
     * and *n.
     */
    size_t (*dma_map)(void *to, unsigned dev, bool in, size_t want, struct disk_buf *, unsigned *n);
    /* That many of them are done. */
    void (*dma_done)(void *to, unsigned dev, bool in, size_t bytes);
    /* That many were perhaps written, by a transfer that has failed or was dropped. */
    void (*dma_spoilt)(void *to, unsigned dev, size_t bytes);
    void *to;
    /* Serial ATA: the device says so, and disks take queued commands. What follows is for these. */
    bool serial;
    /* Memory of command `tag`, from its byte `pos` on, as struct disk_xfer's map(). */
    uint32_t (*queue_map)(void *to, unsigned tag, bool in, uint64_t pos, uint32_t want, struct disk_buf *, unsigned max,
                          unsigned *n);
    /* What queue_map() gave last for it was perhaps written. */
    void (*queue_written)(void *to, unsigned tag);
    /* It is done. ok: false: the queue has stopped; status and error tell, and the log which one it was. */
    void (*queue_done)(void *to, unsigned tag, bool ok);
};

/* What the device tells of itself; NULL, 0: what is usual. */
struct ata_who {
    const char *serial, *model, *version;       /* at most 20, 40 and 8 characters */
    unsigned number;            /* the serial number is made of it where there is none */
    uint64_t wwn;               /* 0: it has none */
    unsigned rotation;          /* revolutions a minute; 1: none, 0: it does not say */
    bool cache_off;             /* the write cache is, until the guest says otherwise */
    unsigned physical;          /* bytes of a physical sector, a power of two from 512 up */
};

/* `drive` is taken; what it says decides between disk and CD-ROM. A disk must have a medium. */
struct ata *ata_new(struct chip_list *, const char *name, unsigned dev, struct drive *, const struct ata_host *,
                    const struct ata_who *);

/* hob: what was written before the last value (HOB of the control register). Reading status withdraws INTRQ. */
uint8_t ata_read(struct ata *, enum ata_reg, bool hob);
uint8_t ata_alt_status(const struct ata *);
void ata_write(struct ata *, enum ata_reg, uint8_t val);
/* The data register, 2 or 4 bytes at a time. */
uint32_t ata_data_read(struct ata *, unsigned size);
void ata_data_write(struct ata *, uint32_t val, unsigned size);
/* For adapters that move whole DRQ blocks: the one that waits, at *at, and ata_pio_moved() when all of it has gone. */
enum ata_pio { ATA_PIO_NONE, ATA_PIO_TO_HOST, ATA_PIO_FROM_HOST, ATA_PIO_PACKET };
enum ata_pio ata_pio_block(struct ata *, uint8_t **at, uint32_t *len);
void ata_pio_moved(struct ata *);
/* The block to the host is the last of its command, which ends without an interrupt then. */
bool ata_pio_last(const struct ata *);
bool ata_irq(const struct ata *);
/* No command is under way, but for queued ones. */
bool ata_idle(const struct ata *);
/* SRST was set (or hardware reset): what is under way is dropped. */
void ata_reset(struct ata *);
/* SRST was cleared: the signature is there. */
/* False: it was not set. */
bool ata_reset_done(struct ata *);
/* As after power-on. */
void ata_hard_reset(struct ata *);
/* The adapter has memory for a transfer that waits for it. */
void ata_dma_ready(struct ata *);
/* The adapter takes its memory back: no request may write to it any more. */
void ata_dma_stop(struct ata *);
/* The same for all that is under way, queued commands too: the device is idle then. */
void ata_stop(struct ata *);
bool ata_is_cd(const struct ata *);

#endif
