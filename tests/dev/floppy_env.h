/*
 * floppy_env.h - a floppy controller with DMA, images in memory that answer when told, and a driver for it.
 */
#ifndef TESTS_DEV_FLOPPY_ENV_H
#define TESTS_DEV_FLOPPY_ENV_H

#include <check.h>

#include "hw/dma8237.h"
#include "hw/floppy.h"
#include "tests/dev/chipset_env.h"

#define RAM   (1u << 20)
#define IRQ   6
#define US    1000u
#define BUF   0x20000u          /* of DMA */
#define BUF_SIZE 0x10000u

struct image {
    struct disk disk;
    uint8_t *bytes;
    struct disk_req *first, **end;      /* not answered yet */
    unsigned flushes, requests;
    int error;                  /* what the next requests end with */
};

extern struct env *e;
extern struct dma8237 *dma;
extern struct floppy *f;
extern struct image image[2];
extern struct drive drive[2];
extern uint8_t *ram, result[16];
/*
 * Each so many steps (writes to registers, 10 us of pass()) a machine whose chips are other than at the last move is saved and goes on
 * in a new one, which asks the medium again what has not been answered; 0: never.
 */
extern unsigned moves;

/* The medium answers what it was asked. */
void answer(struct image *i);
/* A medium of that size into drive n, with bytes that tell where they are. */
void insert(unsigned n, uint64_t size);
/* Registers, counted from 3F0h. */
void out(unsigned reg, unsigned val);
unsigned in(unsigned reg);
/* Time passes, and the medium answers. */
void pass(unsigned us);
bool irq_comes(void);
/* A command. */
void give(const uint8_t *bytes, unsigned n);
/* Reads what there is to read; returns how many bytes. */
unsigned fetch(void);
/* Out of reset: DMA mode, 500 kbit/s, motor of drive A on. */
void start(void);
void seek(unsigned unit, unsigned cyl);
/* DMA channel 2: mode, bytes at BUF. */
void channel(unsigned mode, unsigned count);
/* Where a sector lies in the image. */
unsigned lba(unsigned c, unsigned h, unsigned r, unsigned heads, unsigned secs);
/* A machine with media of these sizes; 1: an empty drive, 0: no drive. */
void make(uint64_t a, uint64_t b);
void finish(void);
void setup(void);

#define SEND(...) give((const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ }))
#define EXPECT(...)                                                             \
    do {                                                                        \
        static const uint8_t want_[] = { __VA_ARGS__ };                         \
        ck_assert_uint_eq(fetch(), sizeof(want_));                              \
        for (unsigned i_ = 0; i_ < sizeof(want_); i_++)                         \
            ck_assert_msg(result[i_] == want_[i_], "byte %u: %02x, not %02x", i_, result[i_], want_[i_]);  \
    } while (0)

#endif
