/*
 * ide_env.h - PIIX3's IDE function with disks of memory behind it, and a driver for its registers.
 *
 * RAM lies from 0 to IDE_HOLE and from IDE_HIGH to IDE_TOP. The disks answer after each access to a port,
 * or, while they are held, when disk_answer() is called.
 */
#ifndef TESTS_DEV_IDE_ENV_H
#define TESTS_DEV_IDE_ENV_H

#include "hw/disk_if.h"
#include "tests/dev/chipset_env.h"

#define IDE_HOLE 0x100000u
#define IDE_HIGH 0x180000u
#define IDE_TOP  0x200000u
#define IDE_BM   0xc000u
#define IDE_FN   (1u << 3 | 1)
#define IDE_TABLE 0x8000u       /* where ide_table() puts it */
#define IDE_IRQ(ch) (14 + (ch))

enum { R_DATA, R_FEATURE, R_COUNT, R_LOW, R_MID, R_HIGH, R_DEVICE, R_COMMAND };
#define R_ERROR R_FEATURE
#define R_STATUS R_COMMAND
enum { ST_ERR = 1, ST_DRQ = 8, ST_DSC = 0x10, ST_DRDY = 0x40, ST_BSY = 0x80 };
#define ST_OK (ST_DRDY | ST_DSC)

struct fake {
    struct disk d;
    uint8_t *data;
    struct disk_req *wait[8];
    unsigned n;
    bool held;
    int error;                  /* what a request that touches byte fail_at gets */
    uint64_t fail_at;
    /* what was asked for */
    unsigned reads, writes, fuas, flushes, discards;
    uint64_t discarded[16][2];
};

extern struct env *e;
extern uint8_t *ram;
extern struct fake disk[4];
extern struct drive drive[4];
extern unsigned mmio;           /* accesses to the device at E0000000h */

/* For each of the four places: d a disk, c a CD-ROM with a medium, e one without, - nothing. */
void ide_start(const char *kinds, uint64_t disk_size, uint64_t cd_size);
void ide_end(void);
void disk_answer(struct fake *);

uint8_t rd(unsigned ch, unsigned reg);
void wr(unsigned ch, unsigned reg, unsigned val);
uint8_t alt(unsigned ch);
void ctl(unsigned ch, uint8_t val);
uint8_t bm(unsigned ch, unsigned reg);
void bm_set(unsigned ch, unsigned reg, uint8_t val);
uint16_t data(unsigned ch);
void data_set(unsigned ch, uint16_t val);

/* LBA28 and LBA48 commands to device `dev`. */
void cmd28(unsigned ch, unsigned dev, uint8_t command, uint32_t lba, uint8_t count);
void cmd48(unsigned ch, unsigned dev, uint8_t command, uint64_t lba, uint16_t count);
/* The status after the command; the interrupt has come, and is gone afterwards. */
uint8_t finish(unsigned ch);
/* DRQ blocks until `bytes` are there; each came with an interrupt. Returns how many blocks. */
unsigned pio_read(unsigned ch, void *to, uint32_t bytes, uint32_t block);
/* The first block comes without one; after the last comes one. */
unsigned pio_write(unsigned ch, const void *from, uint32_t bytes, uint32_t block);
/* Regions: address and length in pairs, ended by length 0; the last is marked unless `open`. */
void ide_table(unsigned ch, const uint32_t (*regions)[2], bool open);
/* Start the bus master (to memory?), wait for nothing. */
void bm_start(unsigned ch, bool in);
/* What a sector of a fresh disk holds. */
uint8_t pattern(uint64_t byte);

#endif
