/*
 * ata.h - an ATA device (hard disk) or ATAPI device (CD-ROM), as the adapter it is plugged in to sees it: registers
 * of the command block, data, INTRQ, and DMA.
 *
 * Sources: ATA/ATAPI-7 (T13/1532D) volume 1, MMC-5 for what PACKET commands do (mmc.h).
 */
#ifndef HW_IDE_ATA_H
#define HW_IDE_ATA_H

#include "hw/dev.h"
#include "hw/disk_if.h"

#define ATA_SECTOR 512u
#define ATA_DMA_PIECES 64u      /* of one dma_map(), at most */

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
};

/* `drive` is taken; what it says decides between disk and CD-ROM. A disk must have a medium. */
struct ata *ata_new(struct chip_list *, const char *name, unsigned dev, struct drive *, const struct ata_host *);

/* hob: what was written before the last value (HOB of the control register). Reading status withdraws INTRQ. */
uint8_t ata_read(struct ata *, enum ata_reg, bool hob);
uint8_t ata_alt_status(const struct ata *);
void ata_write(struct ata *, enum ata_reg, uint8_t val);
/* The data register, 2 or 4 bytes at a time. */
uint32_t ata_data_read(struct ata *, unsigned size);
void ata_data_write(struct ata *, uint32_t val, unsigned size);
bool ata_irq(const struct ata *);
/* SRST was set (or hardware reset): what is under way is dropped. */
void ata_reset(struct ata *);
/* SRST was cleared: the signature is there. */
void ata_reset_done(struct ata *);
/* The adapter has memory for a transfer that waits for it. */
void ata_dma_ready(struct ata *);
/* The adapter takes its memory back: no request may write to it any more. */
void ata_dma_stop(struct ata *);
bool ata_is_cd(const struct ata *);

#endif
