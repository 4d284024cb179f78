/*
 * mmc.h - a CD or DVD-ROM drive's SCSI commands (MMC-5, SPC-3), whatever carries them.
 *
 * mmc_command() says what is to be done: nothing more, to send what it has put into the buffer, to read blocks
 * from the medium, or to take parameters for mmc_parameters(). What went wrong is in `sense` until REQUEST
 * SENSE; the carrier shows its key.
 */
#ifndef HW_IDE_MMC_H
#define HW_IDE_MMC_H

#include "hw/dev.h"
#include "hw/disk_if.h"

#define MMC_BLOCK 2048u         /* user data */
#define MMC_RAW   2352u         /* with synchronisation, header, EDC and ECC */
#define MMC_REPLY 4096u         /* bytes of an answer, at most */

struct mmc {
    struct drive *drive;
    uint8_t sense[3];           /* key, additional code and its qualifier */
    uint8_t attention[2];       /* additional code of the unit attention that waits; 0: none */
    uint8_t open, locked, event;        /* tray; PREVENT; MMC_EVENT_* for GET EVENT STATUS NOTIFICATION */
    uint8_t parts;              /* of a READ CD's blocks: MMC_PART_* */
    uint8_t params[8];          /* audio control page, as MODE SELECT left it */
};
#define MMC_FIELDS(type, m)                                                                                     \
    { "mmc sense", offsetof(type, m.sense), 1, 3 }, { "mmc attention", offsetof(type, m.attention), 1, 2 },     \
    { "mmc open", offsetof(type, m.open), 1, 1 }, { "mmc locked", offsetof(type, m.locked), 1, 1 },             \
    { "mmc event", offsetof(type, m.event), 1, 1 }, { "mmc parts", offsetof(type, m.parts), 1, 1 },             \
    { "mmc params", offsetof(type, m.params), 1, 8 }

enum { MMC_PART_SYNC = 1, MMC_PART_HEADER = 2, MMC_PART_DATA = 4, MMC_PART_ECC = 8 };

enum mmc_do { MMC_FAILED, MMC_DONE, MMC_REPLIES, MMC_READS, MMC_TAKES };

struct mmc_result {
    enum mmc_do what;
    uint32_t len;               /* bytes to send, or that it takes; of each block */
    uint32_t lba, blocks;       /* MMC_READS */
};

void mmc_init(struct mmc *, struct drive *);
void mmc_reset(struct mmc *);
/* cdb: 12 bytes; reply: MMC_REPLY bytes. */
struct mmc_result mmc_command(struct mmc *, const uint8_t *cdb, uint8_t *reply);
/* What a command took. False: it failed. */
bool mmc_parameters(struct mmc *, const uint8_t *cdb, const uint8_t *data, uint32_t len);
/* Reading the blocks failed. */
void mmc_read_failed(struct mmc *);
/* The user put another medium in, or took it out; into a tray that is open it stays there. */
void mmc_changed(struct mmc *);
/* The button was pressed: a guest that locks the medium is asked for it. */
void mmc_ask(struct mmc *);
/* The tray is moved by the user. */
void mmc_move(struct mmc *, bool open);
/* Turns n blocks of user data at `buf` into what READ CD asked for, in place; bytes of each: mmc_block_len(). */
void mmc_expand(const struct mmc *, uint8_t *buf, uint32_t lba, uint32_t n);
uint32_t mmc_block_len(const struct mmc *);

#endif
