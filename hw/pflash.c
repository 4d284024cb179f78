/*
 * pflash.c - flash memory with the Intel command set, a byte wide (Intel StrataFlash 28F640J3,
                                                                    data sheet 290667;
 * Common Flash Interface, JESD68).
 *
 * Until a command comes it is a ROM that runs at full speed; while it answers commands, a region of I/O hides
 * that ROM. Programming clears bits, erasing sets all of a block. Both take no time.
 * The ready bit of the status register is cleared with the others: firmware for emulated machines tells flash
 * from ROM and RAM by the 0 it reads then. Blocks have no lock bits.
 * A secure one takes commands from processors in SMM alone.
 * What changes is written to the drive a block at a time, one request under way; the guest does not wait.
 * Invariant: a block that differs from the drive is dirty, or the request that writes it is under way.
 */
#include "hw/pflash.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

enum { CMD_PROGRAM = 0x10, CMD_ERASE = 0x20, CMD_PROGRAM2 = 0x40, CMD_CLEAR = 0x50, CMD_LOCK = 0x60,
       CMD_STATUS = 0x70,
       CMD_ID = 0x90, CMD_CFI = 0x98, CMD_CONFIRM = 0xd0, CMD_BUFFER = 0xe8, CMD_ARRAY = 0xff };

#define READY         0x80u
#define ERASE_FAILED  0x20u
#define PROGRAM_FAILED 0x10u
#define PROTECTED     0x02u
#define BUFFER        32        /* bytes that are programmed at once */

/* What the guest's next write is. */
enum { NEXT_COMMAND, NEXT_BYTE, NEXT_CONFIRM_ERASE, NEXT_LOCK, NEXT_COUNT, NEXT_DATA, NEXT_CONFIRM_BUFFER };

struct pflash {
    struct map *io;             /* while it answers commands */
    uint64_t base;
    uint8_t *image;
    uint64_t len;
    struct drive *drive;
    uint8_t *dirty;             /* of each block */
    bool (*may)(void *);        /* NULL: everybody may */
    void *may_arg;
    bool busy, failed;          /* a request is under way; one has failed */
    struct disk_req req;
    struct disk_buf buf;
    /* state */
    uint8_t mode;               /* what reads give: a command */
    uint8_t next, status;
    uint8_t count, have;        /* buffer: bytes to come, bytes that came */
    uint64_t at;                /* buffer: of the first */
    uint8_t buffer[BUFFER];
};

static const struct field pflash_state[] = {
    FIELD(struct pflash, mode), FIELD(struct pflash, next), FIELD(struct pflash,
                                                                  status), FIELD(struct pflash, count),
    FIELD(struct pflash, have), FIELD(struct pflash, at), FIELD_ARRAY(struct pflash, buffer), FIELD_END
};

/* ---- the drive ---- */

static void save_next(struct pflash *s);

static void saved(struct disk_req *r)
{
    struct pflash *s = r->dev;

    s->busy = false;
    s->failed |= r->error != 0;
    save_next(s);
}

static void save_next(struct pflash *s)
{
    uint64_t n = 0, blocks = s->len / PFLASH_BLOCK;

    while (n < blocks && !s->dirty[n])
        n++;
    if (s->busy || n == blocks || !s->drive->disk)
        return;
    s->dirty[n] = 0;
    s->busy = true;
    s->buf = (struct disk_buf){ s->image + n * PFLASH_BLOCK, PFLASH_BLOCK };
    s->req = (struct disk_req){ .op = DISK_WRITE, .off = n * PFLASH_BLOCK, .len = PFLASH_BLOCK,
                                .bufs = &s->buf,
                                .nbufs = 1, .done = saved, .dev = s };
    disk_submit(s->drive->disk, &s->req);
}

static bool read_only(const struct pflash *s)
{
    return s->drive->read_only || !s->drive->disk || s->drive->disk->read_only;
}

/* ---- programming and erasing ---- */

static void program(struct pflash *s, uint64_t at, const uint8_t *from, unsigned n)
{
    s->status |= READY;
    if (read_only(s) || s->failed || at >= s->len || n > s->len - at) {
        s->status |= PROGRAM_FAILED | (read_only(s) ? PROTECTED : 0);
        return;
    }
    for (unsigned i = 0; i < n; i++, at++) {
        s->image[at] &= from[i];
        s->dirty[at / PFLASH_BLOCK] = 1;
    }
    save_next(s);
}

static void erase(struct pflash *s, uint64_t at)
{
    at -= at % PFLASH_BLOCK;
    s->status |= READY;
    if (read_only(s) || s->failed) {
        s->status |= ERASE_FAILED | (read_only(s) ? PROTECTED : 0);
        return;
    }
    memset(s->image + at, 0xff, PFLASH_BLOCK);
    s->dirty[at / PFLASH_BLOCK] = 1;
    save_next(s);
}

/* ---- reads ---- */

static uint8_t cfi(const struct pflash *s, uint64_t at)
{
    static const uint8_t head[] = { 'Q', 'R', 'Y', 1, 0, 0x31, 0, 0, 0, 0, 0, /* at 1Bh: voltages, times */
                                    0x45, 0x55, 0, 0, 7, 7, 10, 0, 4, 4, 4, 0 };
    uint64_t blocks = s->len / PFLASH_BLOCK - 1;

    if (at - 0x10 < sizeof(head))
        return head[at - 0x10];
    switch (at) {
    case 0x27: {                                /* length: log2, rounded up */
        unsigned n = 0;

        while (1ull << n < s->len)
            n++;
        return n;
    }
    case 0x2a: return 5;                        /* log2 of the buffer */
    case 0x2c: return 1;                        /* kinds of blocks: how many, of which size */
    case 0x2d: return blocks;
    case 0x2e: return blocks >> 8;
    case 0x2f: return PFLASH_BLOCK >> 8 & 0xff;
    case 0x30: return PFLASH_BLOCK >> 16;
    case 0x31: return 'P';                      /* the Intel command set's own table */
    case 0x32: return 'R';
    case 0x33: return 'I';
    case 0x34:
    case 0x35: return '1';
    }
    return 0;
}

static uint64_t io_read(void *dev, uint64_t off, unsigned size)
{
    struct pflash *s = dev;

    if (s->may && !s->may(s->may_arg))
        return s->image[off];
    switch (s->mode) {
    case CMD_ID: return off == 0 ? 0x89 : off == 1 ? 0x17 : 0;          /* Intel, 64 Mbit */
    case CMD_CFI: return cfi(s, off);
    }
    return s->status;
}

/* ---- commands ---- */

static void set_mode(struct pflash *s, uint8_t mode)
{
    s->mode = mode;
    map_move(s->io, s->base, mode != CMD_ARRAY);
}

static void command(struct pflash *s, uint64_t off, uint8_t val)
{
    switch (val) {
    case CMD_ARRAY:
    case CMD_ID:
    case CMD_CFI:
    case CMD_STATUS:
        set_mode(s, val);
        return;
    case CMD_CLEAR:
        s->status = 0;
        set_mode(s, CMD_STATUS);
        return;
    case CMD_PROGRAM:
    case CMD_PROGRAM2:
        s->next = NEXT_BYTE;
        break;
    case CMD_ERASE:
        s->next = NEXT_CONFIRM_ERASE;
        break;
    case CMD_LOCK:
        s->next = NEXT_LOCK;
        break;
    case CMD_BUFFER:
        s->next = NEXT_COUNT;
        s->status |= READY;                     /* the buffer is free */
        break;
    default:
        log_msg(LOG_GUEST, "pflash: no command %#x", val);
        return;
    }
    set_mode(s, CMD_STATUS);
}

static void buffer_data(struct pflash *s, uint64_t off, uint8_t val)
{
    if (!s->have)
        s->at = off;
    if (off - s->at >= BUFFER) {                /* outside: the sequence is wrong */
        s->status |= READY | PROGRAM_FAILED | ERASE_FAILED;
        s->next = NEXT_COMMAND;
        return;
    }
    s->buffer[off - s->at] = val;
    if (++s->have == s->count)
        s->next = NEXT_CONFIRM_BUFFER;
}

static void io_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
    struct pflash *s = dev;
    uint8_t byte = val, next = s->next;

    if (s->may && !s->may(s->may_arg)) {
        log_msg(LOG_GUEST, "pflash: %02x written at %#llx by who is not in SMM", byte, (unsigned long long)off);
        return;
    }
    log_dev(PFLASH, "%#llx <- %02x", (unsigned long long)off, byte);
    if (next == NEXT_COMMAND) {
        command(s, off, byte);
        return;
    }
    if (next == NEXT_DATA) {
        buffer_data(s, off, byte);
        return;
    }
    s->next = NEXT_COMMAND;
    if (next == NEXT_BYTE) {
        program(s, off, &byte, 1);
    } else if (next == NEXT_COUNT) {
        s->count = byte + 1;
        s->have = 0;
        memset(s->buffer, 0xff, sizeof(s->buffer));
        s->next = NEXT_DATA;
        if (byte < BUFFER)
            return;
        s->status |= READY | PROGRAM_FAILED | ERASE_FAILED;
        s->next = NEXT_COMMAND;
    } else if (next == NEXT_LOCK) {
        log_msg(LOG_UNIMP, "pflash: blocks have no lock bits");
        s->status |= READY | (byte == CMD_CONFIRM ? 0 : PROGRAM_FAILED);
    } else if (byte != CMD_CONFIRM) {
        s->status |= READY | PROGRAM_FAILED | ERASE_FAILED;
    } else if (next == NEXT_CONFIRM_ERASE) {
        erase(s, off);
    } else {
        program(s, s->at, s->buffer, s->len - s->at < BUFFER ? s->len - s->at : BUFFER);
    }
}

static const struct io_ops ops = { io_read, io_write, 1, LOG_DEV_PFLASH };

/* ---- construction ---- */

static void pflash_reset(void *dev)
{
    struct pflash *s = dev;

    s->next = NEXT_COMMAND;
    s->status = READY;
    s->count = s->have = 0;
    s->at = 0;
    memset(s->buffer, 0, sizeof(s->buffer));
    set_mode(s, CMD_ARRAY);
}

static void pflash_loaded(void *dev)
{
    struct pflash *s = dev;

    set_mode(s, s->mode);
}

static void pflash_free(void *dev)
{
    free(((struct pflash *)dev)->dirty);
}

static const struct chip pflash_chip = {
    "pflash", sizeof(struct pflash), pflash_reset, pflash_state, pflash_loaded, pflash_free
};

void pflash_secure(struct pflash *s, bool (*may)(void *arg), void *arg)
{
    s->may = may;
    s->may_arg = arg;
}

struct pflash *pflash_new(struct chip_list *chips, struct phys *phys, const char *name, uint64_t base,
                          uint8_t *image,
                          uint64_t len, struct drive *drive)
{
    struct pflash *s = chip_new(chips, &pflash_chip, name);

    s->image = image;
    s->len = len;
    s->drive = drive;
    s->base = base;
    s->dirty = calloc(len / PFLASH_BLOCK, 1);
    if (!s->dirty)
        die(EXIT_CODE_HOST, "out of memory for %s", name);
    s->io = phys_map_io(phys, base, len, &ops, s, name);
    if (!s->io || !phys_map_rom_io(phys, base, len, image, &ops, s, name))
        die(EXIT_CODE_USAGE, "%s: there is something at %#llx, where its memory would be", name,
            (unsigned long long)base);
    pflash_reset(s);
    return s;
}
