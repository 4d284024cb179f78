/*
 * test_floppy.c - a floppy driver of the test's own: every command against an image in memory, by DMA and
 * without, seeks and what they tell, resets, disk change, formats by size, errors, and random accesses.
 */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "hw/dma8237.h"
#include "hw/floppy.h"
#include "tests/dev/chipset_env.h"
#include "tests/run_suite.h"

#define RAM   (1u << 20)
#define IRQ   6
#define US    1000u
#define BUF   0x20000u          /* of DMA */

struct image {
    struct disk disk;
    uint8_t *bytes;
    struct disk_req *first, **end;      /* not answered yet */
    unsigned flushes, requests;
    int error;                  /* what the next requests end with */
    uint64_t most;              /* size of bytes[] */
};

static struct env *e;
static struct dma8237 *dma;
static struct floppy *f;
static struct image image[2];
static struct drive drive[2];
static uint8_t *ram, result[16];

/* ---- the medium ---- */

static void submit(struct disk *disk, struct disk_req *r)
{
    struct image *i = (struct image *)disk;

    ck_assert(r->op == DISK_FLUSH || (r->len && r->off + r->len <= disk->size));
    r->next = NULL;
    *i->end = r;
    i->end = &r->next;
}

static const struct disk_ops ops = { submit };

static void answer(struct image *i)
{
    struct disk_req *r;

    while ((r = i->first)) {
        i->first = r->next;
        if (!i->first)
            i->end = &i->first;
        r->error = i->error;
        i->requests++;
        if (r->op == DISK_FLUSH)
            i->flushes++;
        else if (r->op == DISK_READ && !i->error)
            memcpy(r->bufs[0].data, i->bytes + r->off, r->len);
        else if (!i->error)
            memcpy(i->bytes + r->off, r->bufs[0].data, r->len);
        r->done(r);
    }
}

static void insert(unsigned n, uint64_t size)
{
    struct image *i = &image[n];

    free(i->bytes);
    *i = (struct image){ .disk = { .ops = &ops, .size = size } };
    i->bytes = malloc(size);
    i->end = &i->first;
    for (uint64_t at = 0; at < size; at++)
        i->bytes[at] = at / 512 * 31 + at * 7 + (at >> 16);
    drive[n].disk = &i->disk;
}

/* ---- the driver ---- */

static void out(unsigned reg, unsigned val)
{
    ports_write(e->ports, FLOPPY_PORT + reg, val, 1);
}

static unsigned in(unsigned reg)
{
    return ports_read(e->ports, FLOPPY_PORT + reg, 1);
}

/* Time passes, and the medium answers. */
static void pass(unsigned us)
{
    for (unsigned i = 0; i < us; i += 10) {
        clock_advance(e->clock, 10 * US);
        answer(&image[0]);
        answer(&image[1]);
    }
}

static bool irq_comes(void)
{
    for (unsigned i = 0; i < 20000 && !e->line[IRQ]; i++)
        pass(10);
    return e->line[IRQ];
}

static void send(const uint8_t *bytes, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        ck_assert_uint_eq(in(4) & 0xc0, 0x80);
        out(5, bytes[i]);
    }
}
#define SEND(...) send((const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ }))

/* Reads what there is to read; returns how many bytes. */
static unsigned fetch(void)
{
    unsigned n = 0;

    while ((in(4) & 0xd0) == 0xd0 && n < sizeof(result))
        result[n++] = in(5);
    ck_assert_uint_eq(in(4) & 0xd0, 0x80);
    return n;
}
#define EXPECT(...)                                                             \
    do {                                                                        \
        static const uint8_t want_[] = { __VA_ARGS__ };                         \
        ck_assert_uint_eq(fetch(), sizeof(want_));                              \
        for (unsigned i_ = 0; i_ < sizeof(want_); i_++)                         \
            ck_assert_msg(result[i_] == want_[i_], "byte %u: %02x, not %02x", i_, result[i_], want_[i_]);  \
    } while (0)

static void start(void)
{
    out(2, 0x0c);
    ck_assert(irq_comes());
    for (unsigned i = 0; i < 4; i++) {
        SEND(8);
        ck_assert_uint_eq(fetch(), 2);
        ck_assert_uint_eq(result[0], 0xc0 | i);
    }
    ck_assert(!e->line[IRQ]);
    SEND(8);
    EXPECT(0x80);
    SEND(3, 0xdf, 2);           /* DMA mode */
    SEND(0x13, 0, 0x0f, 0);     /* FIFO on */
    out(7, 0);                  /* 500 kbit/s */
    out(2, 0x1c);
}

static void seek(unsigned unit, unsigned cyl)
{
    SEND(0x0f, unit, cyl);
    ck_assert(irq_comes());
    SEND(8);
    ck_assert_uint_eq(fetch(), 2);
    ck_assert_uint_eq(result[0], 0x20 | unit);
    ck_assert_uint_eq(result[1], cyl);
    ck_assert(!e->line[IRQ]);
}

static void channel(unsigned mode, unsigned count)
{
    ports_write(e->ports, 0xd6, 0xc0, 1);
    ports_write(e->ports, 0xd4, 0, 1);
    ports_write(e->ports, 0x0a, 6, 1);
    ports_write(e->ports, 0x0c, 0, 1);
    ports_write(e->ports, 0x0b, mode | 2, 1);
    ports_write(e->ports, 0x04, BUF & 0xff, 1);
    ports_write(e->ports, 0x04, BUF >> 8 & 0xff, 1);
    ports_write(e->ports, 0x81, BUF >> 16, 1);
    ports_write(e->ports, 0x05, (count - 1) & 0xff, 1);
    ports_write(e->ports, 0x05, (count - 1) >> 8, 1);
    ports_write(e->ports, 0x0a, 2, 1);
}

static unsigned lba(unsigned c, unsigned h, unsigned r, unsigned heads, unsigned secs)
{
    return ((c * heads + h) * secs + r - 1) * 512;
}

static void make(uint64_t a, uint64_t b)
{
    struct drive *drives[2] = { NULL, NULL };

    e = env_new();
    ram = phys_ram_alloc(e->phys, RAM);
    phys_map_ram(e->phys, 0, RAM, ram, false, "ram");
    dma = dma8237_new(e->chips, e->ports, e->phys);
    memset(drive, 0, sizeof(drive));
    for (unsigned n = 0; n < 2; n++) {
        drive[n].id = n ? "b" : "a";
        if (n ? b : a)
            drives[n] = &drive[n];
        if ((n ? b : a) > 1)
            insert(n, n ? b : a);
    }
    f = floppy_new(e->chips, e->ports, e->clock, env_line(e, IRQ), dma, drives);
}

static void end(void)
{
    pass(1000);
    env_check_state(e);
    env_free(e);
    for (unsigned n = 0; n < 2; n++) {
        free(image[n].bytes);
        memset(&image[n], 0, sizeof(image[n]));
        image[n].end = &image[n].first;
    }
}

static void setup(void)
{
    image[0].end = &image[0].first;
    image[1].end = &image[1].first;
    make(1474560, 1);           /* 1.44M in A, nothing in B */
}

/* ---- tests ---- */

START_TEST(identity_and_reset)
{
    ck_assert_uint_eq(in(4), 0);                /* in reset */
    ck_assert_uint_eq(in(0), 0xff);             /* no status registers in AT mode */
    start();
    SEND(0x10);
    EXPECT(0x90);
    SEND(0x18);
    EXPECT(0x01);
    SEND(0x42);                                 /* READ TRACK, FM: its parameters do not matter */
    for (unsigned i = 0; i < 8; i++)
        out(5, 1);
    ck_assert(irq_comes());
    ck_assert_uint_eq(fetch(), 7);
    SEND(0x1f);
    EXPECT(0x80);
    ck_assert_uint_eq(in(2), 0x1c);
    out(3, 2);
    ck_assert_uint_eq(in(3), 0xfe);
    SEND(0x13, 0, 0x57, 0x21);
    SEND(0x12, 0x84);                           /* perpendicular: OW, D0 */
    SEND(0x94);
    EXPECT(0x10);
    SEND(0x0e);
    EXPECT(0, 0, 0, 0, 0xdf, 2, 1, 0x84, 0x57, 0x21);
    out(4, 0x80);                               /* reset by DSR: locked values survive */
    ck_assert_uint_eq(in(4), 0);
    ck_assert(irq_comes());                     /* polling is on again */
    SEND(0x0e);
    EXPECT(0, 0, 0, 0, 0xdf, 2, 1, 0x84, 0x07, 0x21);
    SEND(0x14);
    EXPECT(0);
    out(2, 0x18);
    out(2, 0x1c);
    ck_assert(irq_comes());
    SEND(8);
    EXPECT(0xc0, 0);
    SEND(0x0e);
    EXPECT(0, 0, 0, 0, 0xdf, 2, 1, 0x04, 0x20, 0);
    out(2, 0x14);                               /* interrupt and DREQ gated off */
    SEND(7, 0);
    pass(1000);
    ck_assert(!e->line[IRQ]);
    out(2, 0x1c);
    ck_assert(e->line[IRQ]);
    SEND(0x13, 0, 0x10, 0);                     /* without polling */
    SEND(0x17, 0x11);
    EXPECT(0x11);
    SEND(0x33, 1);
    SEND(0x8e, 0x05, 0x2a, 0x80);
    EXPECT(0x05, 0x0a, 0, 0);
    SEND(0x8e, 0x45, 0xc0);
    SEND(0x2e);
    ck_assert_uint_eq(fetch(), 16);
    uint8_t all[17] = { 0x4e };
    memcpy(all + 1, result, 16);
    SEND(3, 1, 3);
    SEND(0x13, 0, 0x0f, 9);
    send(all, 17);
    SEND(0x2e);
    ck_assert_uint_eq(fetch(), 16);
    ck_assert_int_eq(memcmp(result, all + 1, 16), 0);
}
END_TEST

START_TEST(seeks)
{
    start();
    ck_assert_uint_eq(in(7), 0xff);             /* the disk may have been changed */
    SEND(4, 0);
    EXPECT(0x38);                               /* track 0, two sides */
    SEND(7, 0);
    ck_assert_uint_eq(in(4), 0x81);
    ck_assert(irq_comes());
    SEND(8);
    EXPECT(0x20, 0);
    ck_assert_uint_eq(in(7), 0xff);             /* no step, no change */
    seek(0, 5);
    ck_assert_uint_eq(in(7), 0x7f);
    SEND(4, 4);
    EXPECT(0x2c);
    SEND(0x0f, 0, 79);
    SEND(0x0f, 1, 3);                           /* both at once */
    ck_assert_uint_eq(in(4), 0x83);
    pass(1000);
    ck_assert_uint_eq(in(4), 0x81);             /* the shorter way is over first */
    SEND(8);
    EXPECT(0x21, 3);
    ck_assert(irq_comes());
    SEND(8);
    EXPECT(0x20, 79);
    SEND(0x8f, 0, 9);                           /* relative: out, and in */
    ck_assert(irq_comes());
    SEND(8);
    EXPECT(0x20, 70);
    SEND(0xcf, 0, 2);
    ck_assert(irq_comes());
    SEND(8);
    EXPECT(0x20, 72);
    SEND(7, 2);                                 /* no such drive: no track 0 */
    ck_assert(irq_comes());
    SEND(8);
    EXPECT(0x72, 0);
    out(2, 0x1d);                               /* drive B: empty, its line never goes */
    seek(1, 7);
    ck_assert_uint_eq(in(7), 0xff);
}
END_TEST

START_TEST(read_by_dma)
{
    start();
    seek(0, 2);
    /* Both heads of a cylinder, from sector 5 on: 18 + 14 sectors. */
    channel(0x44, 32 * 512);
    SEND(0xe6, 0, 2, 0, 5, 2, 18, 27, 0xff);
    ck_assert_uint_eq(in(4) & 0xf0, 0x10);
    ck_assert(irq_comes());
    EXPECT(0x04, 0, 0, 3, 0, 1, 2);
    ck_assert(!e->line[IRQ]);
    ck_assert_int_eq(memcmp(ram + BUF, image[0].bytes + lba(2, 0, 5, 2, 18), 32 * 512), 0);
    /* Terminal count in the middle of a sector. */
    memset(ram + BUF, 0, 4096);
    channel(0x44, 700);
    SEND(0x66, 4, 2, 1, 3, 2, 18, 27, 0xff);
    ck_assert(irq_comes());
    EXPECT(0x04, 0, 0, 2, 1, 5, 2);
    ck_assert_int_eq(memcmp(ram + BUF, image[0].bytes + lba(2, 1, 3, 2, 18), 700), 0);
    ck_assert_uint_eq(ram[BUF + 700], 0);
    /* No terminal count: the end of the cylinder. */
    channel(0x44, 0x8000);
    SEND(0x66, 0, 2, 0, 17, 2, 18, 27, 0xff);
    ck_assert(irq_comes());
    EXPECT(0x40, 0x80, 0, 3, 0, 1, 2);
    ck_assert_int_eq(memcmp(ram + BUF, image[0].bytes + lba(2, 0, 17, 2, 18), 1024), 0);
    /* The channel is masked: it waits for it, with DREQ up. */
    channel(0x44, 512);
    ports_write(e->ports, 0x0a, 6, 1);
    memset(ram + BUF, 0, 512);
    SEND(0x66, 0, 2, 0, 1, 2, 18, 27, 0xff);
    pass(1000);
    ck_assert(!e->line[IRQ]);
    ck_assert_uint_eq(ports_read(e->ports, 8, 1) & 0xf0, 0x40);
    env_check_state(e);
    ports_write(e->ports, 0x0a, 2, 1);
    ck_assert(irq_comes());
    EXPECT(0, 0, 0, 2, 0, 2, 2);
    ck_assert_int_eq(memcmp(ram + BUF, image[0].bytes + lba(2, 0, 1, 2, 18), 512), 0);
    ck_assert_uint_eq(ports_read(e->ports, 8, 1) & 0xf0, 0);
    /* Implied seek. */
    SEND(0x13, 0, 0x4f, 0);
    channel(0x44, 512);
    SEND(0x66, 0, 44, 0, 9, 2, 18, 27, 0xff);
    ck_assert(irq_comes());
    EXPECT(0, 0, 0, 44, 0, 10, 2);
    ck_assert_int_eq(memcmp(ram + BUF, image[0].bytes + lba(44, 0, 9, 2, 18), 512), 0);
}
END_TEST

START_TEST(write_by_dma)
{
    start();
    seek(0, 79);
    for (unsigned i = 0; i < 1500; i++)
        ram[BUF + i] = i * 13 + 5;
    channel(0x48, 1500);
    SEND(0xc5, 0, 79, 0, 18, 2, 18, 27, 0xff);
    ck_assert(irq_comes());
    EXPECT(0x04, 0, 0, 79, 1, 3, 2);            /* on to the other head */
    ck_assert_int_eq(memcmp(ram + BUF, image[0].bytes + lba(79, 0, 18, 2, 18), 1500), 0);
    for (unsigned i = 1500; i < 1536; i++)      /* the rest of the last sector is zeros */
        ck_assert_uint_eq(image[0].bytes[lba(79, 0, 18, 2, 18) + i], 0);
    ck_assert_uint_eq(image[0].flushes, 0);
    out(2, 0x0c);                               /* motor off */
    pass(100);
    ck_assert_uint_eq(image[0].flushes, 1);
    drive[0].read_only = true;
    out(2, 0x1c);
    channel(0x48, 512);
    SEND(0x45, 0, 79, 0, 18, 2, 18, 27, 0xff);
    ck_assert(irq_comes());
    EXPECT(0x40, 2, 0, 79, 0, 18, 2);
    SEND(4, 0);
    EXPECT(0x68);
}
END_TEST

/* Data by the processor: an interrupt for each FIFO, then the result, which is an end of cylinder. */
START_TEST(without_dma)
{
    uint8_t buf[1024];
    unsigned n, edges;

    start();
    SEND(3, 0xdf, 3);
    seek(0, 1);
    edges = e->edges[IRQ];
    SEND(0x46, 0, 1, 0, 17, 2, 18, 27, 0xff);
    for (n = 0; n < sizeof(buf); n++) {
        ck_assert(irq_comes());
        ck_assert_uint_eq(in(4) & 0xf0, 0xf0);
        buf[n] = in(5);
    }
    ck_assert(irq_comes());
    EXPECT(0x40, 0x80, 0, 2, 0, 1, 2);
    ck_assert_int_eq(memcmp(buf, image[0].bytes + lba(1, 0, 17, 2, 18), sizeof(buf)), 0);
    ck_assert_uint_eq(e->edges[IRQ] - edges, 1024 + 1);         /* threshold 15: one byte each */
    SEND(0x13, 0, 0x08, 0);
    edges = e->edges[IRQ];
    SEND(0x45, 0, 1, 0, 18, 2, 18, 27, 0xff);
    for (n = 0; n < 512; n++) {
        ck_assert(irq_comes());
        ck_assert_uint_eq(in(4) & 0xf0, 0xb0);
        out(5, n ^ 0x5a);
    }
    env_check_state(e);
    ck_assert(irq_comes());
    EXPECT(0x40, 0x80, 0, 2, 0, 1, 2);
    for (n = 0; n < 512; n++)
        ck_assert_uint_eq(image[0].bytes[lba(1, 0, 18, 2, 18) + n], (n ^ 0x5a) & 0xff);
    ck_assert_uint_eq(e->edges[IRQ] - edges, 512 / 8 + 1);
}
END_TEST

START_TEST(errors)
{
    start();
    seek(0, 10);
    channel(0x44, 512);
    SEND(0x66, 0, 11, 0, 1, 2, 18, 27, 0xff);   /* heads on another cylinder */
    ck_assert(irq_comes());
    EXPECT(0x40, 4, 0x10, 11, 0, 1, 2);
    SEND(0x66, 0, 10, 0, 19, 2, 36, 27, 0xff);  /* no such sector */
    ck_assert(irq_comes());
    EXPECT(0x40, 4, 0, 10, 0, 19, 2);
    SEND(0x66, 0, 10, 1, 1, 2, 18, 27, 0xff);   /* the wrong head number in the ID */
    ck_assert(irq_comes());
    EXPECT(0x40, 4, 0, 10, 1, 1, 2);
    SEND(0x66, 0, 10, 0, 1, 3, 18, 27, 0xff);   /* 1024 bytes */
    ck_assert(irq_comes());
    EXPECT(0x40, 4, 0, 10, 0, 1, 3);
    SEND(0x26, 0, 10, 0, 1, 2, 18, 27, 0xff);   /* FM */
    ck_assert(irq_comes());
    EXPECT(0x40, 1, 0, 10, 0, 1, 2);
    out(7, 2);                                  /* 250 kbit/s */
    SEND(0x4a, 0);
    ck_assert(irq_comes());
    ck_assert_uint_eq(fetch(), 7);
    ck_assert_uint_eq(result[0], 0x40);
    ck_assert_uint_eq(result[1], 1);
    out(7, 0);
    SEND(0x4a, 4);
    ck_assert(irq_comes());
    ck_assert_uint_eq(fetch(), 7);
    ck_assert_uint_eq(result[0], 0x04);
    ck_assert_uint_eq(result[3], 10);
    ck_assert_uint_eq(result[4], 1);
    ck_assert_uint_le(result[5] - 1u, 17);
    ck_assert_uint_eq(result[6], 2);
    out(2, 0x0c);                               /* motor off */
    SEND(0x4a, 0);
    ck_assert(irq_comes());
    ck_assert_uint_eq(fetch(), 7);
    ck_assert_uint_eq(result[1], 1);
    out(2, 0x2d);                               /* drive B: nothing in it */
    SEND(0x4a, 1);
    ck_assert(irq_comes());
    ck_assert_uint_eq(fetch(), 7);
    ck_assert_uint_eq(result[0], 0x41);
    ck_assert_uint_eq(result[1], 1);
    out(2, 0x1c);
    image[0].error = -EIO;
    SEND(0x66, 0, 10, 0, 1, 2, 18, 27, 0xff);
    ck_assert(irq_comes());
    EXPECT(0x40, 0x20, 0x20, 10, 0, 1, 2);
    seek(0, 83);
    SEND(0x4a, 0);
    ck_assert(irq_comes());
    ck_assert_uint_eq(fetch(), 7);
    ck_assert_uint_eq(result[1], 1);
}
END_TEST

START_TEST(deleted_data)
{
    start();
    seek(0, 4);
    channel(0x48, 512);
    SEND(0x49, 0, 4, 0, 3, 2, 18, 27, 0xff);
    ck_assert(irq_comes());
    EXPECT(0, 0, 0, 4, 0, 4, 2);
    channel(0x44, 1536);
    SEND(0x46, 0, 4, 0, 2, 2, 18, 27, 0xff);    /* stops behind it */
    ck_assert(irq_comes());
    EXPECT(0, 0, 0x40, 4, 0, 3, 2);
    ck_assert_int_eq(memcmp(ram + BUF, image[0].bytes + lba(4, 0, 2, 2, 18), 1024), 0);
    channel(0x44, 1024);
    SEND(0x66, 0, 4, 0, 2, 2, 18, 27, 0xff);    /* leaves it out */
    ck_assert(irq_comes());
    EXPECT(0, 0, 0x40, 4, 0, 5, 2);
    ck_assert_int_eq(memcmp(ram + BUF + 512, image[0].bytes + lba(4, 0, 4, 2, 18), 512), 0);
    channel(0x44, 512);
    SEND(0x4c, 0, 4, 0, 3, 2, 18, 27, 0xff);
    ck_assert(irq_comes());
    EXPECT(0, 0, 0, 4, 0, 4, 2);
    channel(0x48, 512);
    SEND(0x45, 0, 4, 0, 3, 2, 18, 27, 0xff);    /* ordinary again */
    ck_assert(irq_comes());
    EXPECT(0, 0, 0, 4, 0, 4, 2);
    channel(0x44, 512);
    SEND(0x4c, 0, 4, 0, 3, 2, 18, 27, 0xff);
    ck_assert(irq_comes());
    EXPECT(0, 0, 0x40, 4, 0, 3, 2);
}
END_TEST

START_TEST(tracks_verify_scan)
{
    start();
    seek(0, 6);
    channel(0x44, 18 * 512);
    SEND(0x42, 4, 6, 1, 1, 2, 18, 27, 0xff);
    ck_assert(irq_comes());
    ck_assert_uint_eq(fetch(), 7);
    ck_assert_uint_eq(result[0], 0x04);
    ck_assert_uint_eq(result[1], 0);
    ck_assert_int_eq(memcmp(ram + BUF, image[0].bytes + lba(6, 1, 1, 2, 18), 18 * 512), 0);
    channel(0x44, 512);
    SEND(0x42, 0, 7, 0, 1, 2, 1, 27, 0xff);     /* reads all the same, and tells */
    ck_assert(irq_comes());
    ck_assert_uint_eq(fetch(), 7);
    ck_assert_uint_eq(result[1], 4);

    SEND(0x56, 0, 6, 0, 1, 2, 18, 27, 0xff);    /* verify to the end of the track */
    ck_assert(irq_comes());
    EXPECT(0, 0, 0, 7, 0, 1, 2);
    image[0].requests = 0;
    SEND(0xd6, 0x80, 6, 0, 15, 2, 18, 27, 9);   /* nine sectors */
    ck_assert(irq_comes());
    EXPECT(0x04, 0, 0, 6, 1, 6, 2);
    ck_assert_uint_eq(image[0].requests, 9);
    SEND(0x56, 0x80, 6, 0, 15, 2, 30, 27, 9);
    ck_assert(irq_comes());
    EXPECT(0x40, 4, 0, 6, 0, 19, 2);

    memset(image[0].bytes + lba(6, 0, 3, 2, 18), 9, 512);
    memset(image[0].bytes + lba(6, 0, 4, 2, 18), 11, 512);
    memset(image[0].bytes + lba(6, 0, 5, 2, 18), 10, 512);
    memset(ram + BUF, 10, 4096);
    ram[BUF + 1024 + 17] = 0xff;                /* matches everything */
    channel(0x48, 4096);
    SEND(0x51, 0, 6, 0, 3, 2, 18, 27, 1);
    ck_assert(irq_comes());
    EXPECT(0, 0, 8, 6, 0, 5, 2);
    channel(0x48, 4096);
    SEND(0x59, 0, 6, 0, 4, 2, 18, 27, 1);       /* low or equal: sector 5 */
    ck_assert(irq_comes());
    EXPECT(0, 0, 8, 6, 0, 5, 2);
    channel(0x48, 4096);
    SEND(0x5d, 0, 6, 0, 3, 2, 18, 27, 1);       /* high or equal: sector 4 */
    ck_assert(irq_comes());
    EXPECT(0, 0, 0, 6, 0, 4, 2);
    channel(0x48, 4096);
    SEND(0x51, 0, 6, 0, 3, 2, 4, 27, 1);        /* neither 3 nor 4 */
    ck_assert(irq_comes());
    EXPECT(0x40, 0x80, 4, 7, 0, 1, 2);
    channel(0x48, 4096);
    SEND(0x51, 0, 6, 0, 3, 2, 5, 27, 2);        /* 3 and 5 */
    ck_assert(irq_comes());
    EXPECT(0, 0, 8, 6, 0, 5, 2);
}
END_TEST

START_TEST(format)
{
    start();
    seek(0, 12);
    for (unsigned i = 0; i < 18; i++)
        memcpy(ram + BUF + 4 * i, (uint8_t[]){ 12, 1, i * 5 % 18 + 1, 2 }, 4);
    channel(0x48, 18 * 4);
    SEND(0x4d, 4, 2, 18, 0x54, 0xf6);
    ck_assert(irq_comes());
    ck_assert_uint_eq(fetch(), 7);
    ck_assert_uint_eq(result[0], 0x04);
    for (unsigned i = 0; i < 18 * 512; i++)
        ck_assert_uint_eq(image[0].bytes[lba(12, 1, 1, 2, 18) + i], 0xf6);
    ck_assert_uint_eq(image[0].bytes[lba(12, 1, 1, 2, 18) - 1],
                      (uint8_t)((lba(12, 1, 1, 2, 18) / 512 - 1) * 31 +
                      (lba(12, 1, 1, 2, 18) - 1) * 7 + ((lba(12, 1, 1, 2, 18) - 1) >> 16)));
    ram[BUF + 2] = 21;                          /* more sectors than the image has room for */
    channel(0x48, 4);
    SEND(0x4d, 0, 2, 21, 0x54, 0xf6);
    ck_assert(irq_comes());
    ck_assert_uint_eq(fetch(), 7);
    ck_assert_uint_eq(result[0], 0x50);
    /* Without DMA. */
    SEND(3, 0xdf, 3);
    SEND(0x4d, 0, 2, 18, 0x54, 0xe5);
    for (unsigned i = 0; i < 18 * 4; i++) {
        ck_assert(irq_comes());
        out(5, (uint8_t[]){ 12, 0, i / 4 + 1, 2 }[i & 3]);
    }
    ck_assert(irq_comes());
    ck_assert_uint_eq(fetch(), 7);
    ck_assert_uint_eq(result[0], 0);
    for (unsigned i = 0; i < 18 * 512; i++)
        ck_assert_uint_eq(image[0].bytes[lba(12, 0, 1, 2, 18) + i], 0xe5);
}
END_TEST

/* Each size of image: its last sector is where it is expected, at its data rate and in the right kind of
 * drive. */
START_TEST(media)
{
    static const struct { unsigned kib, cyls, heads, secs, rate, type; } m[] = {
        { 160, 40, 1, 8, 2, 1 }, { 180, 40, 1, 9, 2, 1 }, { 320, 40, 2, 8, 2, 1 }, { 360, 40, 2, 9, 2, 1 },
        { 720, 80, 2, 9, 2, 4 }, { 800, 80, 2, 10, 2, 4 }, { 1200, 80, 2, 15, 0, 2 },
        { 1440, 80, 2, 18, 0, 4 },
        { 1680, 80, 2, 21, 0, 4 }, { 1722, 82, 2, 21, 0, 4 }, { 2880, 80, 2, 36, 3, 5 },
    };

    for (unsigned i = 0; i < sizeof(m) / sizeof(m[0]); i++) {
        unsigned c = m[i].cyls - 1, h = m[i].heads - 1, r = m[i].secs;

        end();
        make(m[i].kib * 1024, 0);
        ck_assert_uint_eq(floppy_type(f, 0), m[i].type);
        ck_assert_uint_eq(floppy_type(f, 1), 0);
        start();
        for (unsigned rate = 0; rate < 4; rate++) {
            out(7, rate);
            SEND(0x4a, 0);
            ck_assert(irq_comes());
            ck_assert_uint_eq(fetch(), 7);
            ck_assert_uint_eq(result[0], rate == m[i].rate ? 0 : 0x40);
        }
        out(7, m[i].rate);
        seek(0, c);
        channel(0x44, 512);
        SEND(0x46, h << 2, c, h, r, 2, r, 27, 0xff);
        ck_assert(irq_comes());
        ck_assert_uint_eq(fetch(), 7);
        ck_assert_uint_eq(result[0], h << 2);
        ck_assert_int_eq(memcmp(ram + BUF, image[0].bytes + m[i].kib * 1024 - 512, 512), 0);
    }
    /* A boot sector and no more: a 1.44M disk, whose rest cannot be written. */
    end();
    make(700, 0);
    start();
    channel(0x44, 1024);
    SEND(0x46, 0, 0, 0, 2, 2, 18, 27, 0xff);
    ck_assert(irq_comes());
    EXPECT(0, 0, 0, 0, 0, 4, 2);
    ck_assert_int_eq(memcmp(ram + BUF, image[0].bytes + 512, 188), 0);
    for (unsigned i = 188; i < 1024; i++)
        ck_assert_uint_eq(ram[BUF + i], 0);
    channel(0x48, 512);
    SEND(0x45, 0, 0, 0, 3, 2, 18, 27, 0xff);
    ck_assert(irq_comes());
    EXPECT(0x40, 2, 0, 0, 0, 3, 2);
    /* cyls=, heads=, secs= say what it is. */
    end();
    make(1, 0);
    drive[0].chs.cyls = 77;
    drive[0].chs.heads = 2;
    drive[0].chs.secs = 16;
    insert(0, 77 * 2 * 16 * 512);
    drive[0].user->changed(drive[0].dev);
    start();
    SEND(0x4a, 4);
    ck_assert(irq_comes());
    ck_assert_uint_eq(fetch(), 7);
    ck_assert_uint_eq(result[0], 4);
    ck_assert_uint_le(result[5], 16);
}
END_TEST

START_TEST(change_of_medium)
{
    start();
    seek(0, 3);
    seek(0, 0);
    ck_assert_uint_eq(in(7), 0x7f);
    drive[0].disk = NULL;
    drive[0].user->changed(drive[0].dev);
    ck_assert_uint_eq(in(7), 0xff);
    seek(0, 3);
    ck_assert_uint_eq(in(7), 0xff);
    SEND(0x4a, 0);
    ck_assert(irq_comes());
    ck_assert_uint_eq(fetch(), 7);
    ck_assert_uint_eq(result[0], 0x40);
    insert(0, 720 * 1024);                      /* fits into the drive */
    drive[0].user->changed(drive[0].dev);
    ck_assert_uint_eq(in(7), 0xff);
    seek(0, 1);
    ck_assert_uint_eq(in(7), 0x7f);
    out(7, 2);
    SEND(0x4a, 0);
    ck_assert(irq_comes());
    ck_assert_uint_eq(fetch(), 7);
    ck_assert_uint_eq(result[0], 0);
    ck_assert_uint_eq(result[3], 1);
    insert(0, 1200 * 1024);                     /* does not */
    drive[0].user->changed(drive[0].dev);
    out(7, 0);
    SEND(0x4a, 0);
    ck_assert(irq_comes());
    ck_assert_uint_eq(fetch(), 7);
    ck_assert_uint_eq(result[0], 0x40);
    insert(0, 2880 * 1024 * 4);                 /* nor is this a floppy disk */
    drive[0].user->changed(drive[0].dev);
    SEND(0x4a, 0);
    ck_assert(irq_comes());
    ck_assert_uint_eq(fetch(), 7);
    ck_assert_uint_eq(result[0], 0x40);
    /* 40 cylinders in a drive of 80: two steps each. */
    end();
    make(1200 * 1024, 0);
    insert(0, 360 * 1024);
    drive[0].user->changed(drive[0].dev);
    start();
    out(7, 1);
    seek(0, 20);
    channel(0x44, 512);
    SEND(0x46, 0, 10, 0, 9, 2, 9, 27, 0xff);
    ck_assert(irq_comes());
    EXPECT(0, 0, 0, 11, 0, 1, 2);
    ck_assert_int_eq(memcmp(ram + BUF, image[0].bytes + lba(10, 0, 9, 2, 9), 512), 0);
}
END_TEST

/* A reset in the middle of everything; what the medium still answers is not heard. */
START_TEST(reset_while_busy)
{
    start();
    seek(0, 3);
    for (unsigned us = 0; us < 400; us += 10) {
        channel(0x44, 18 * 512);
        SEND(0x46, 0, 3, 0, 1, 2, 18, 27, 0xff);
        for (unsigned i = 0; i <= us; i += 10)
            clock_advance(e->clock, 10 * US);   /* the medium does not answer */
        out(2, 0x18);
        ck_assert_uint_eq(in(4), 0);
        out(2, 0x1c);
        ck_assert(irq_comes());
        SEND(8);
        EXPECT(0xc0, 0);
        SEND(7, 0);
        ck_assert(irq_comes());
        SEND(8);
        EXPECT(0x20, 0);
        seek(0, 3);
        channel(0x44, 512);
        memset(ram + BUF, 0, 512);
        SEND(0x46, 0, 3, 0, 7, 2, 18, 27, 0xff);
        ck_assert(irq_comes());
        EXPECT(0, 0, 0, 3, 0, 8, 2);
        ck_assert_int_eq(memcmp(ram + BUF, image[0].bytes + lba(3, 0, 7, 2, 18), 512), 0);
    }
}
END_TEST

START_TEST(random_accesses)
{
    static const uint8_t codes[] = { 0x46, 0xe6, 0x45, 0xc5, 0x4c, 0x49, 0x42, 0x56, 0x51, 0x59, 0x5d, 0x4d,
                                     0x4a, 0x07, 0x08, 0x03, 0x04, 0x0f, 0x8f, 0xcf, 0x13, 0x0e, 0x12, 0x14,
                                     0x94, 0x2e, 0x4e, 0x8e };
    unsigned requests;

    srand(82077);
    end();
    make(1474560, 360 * 1024);
    out(2, 0x3c);
    for (unsigned i = 0; i < 200000; i++) {
        unsigned r = rand(), v = rand() & 0xff;

        switch (r & 31) {
        case 0: out(2, (r & 0x300) ? v | 0x3c : v); break;
        case 1: out(4, v & (r & 0x700 ? 0x7f : 0xff)); break;
        case 2: out(7, r >> 8 & 1 ? 0 : v); break;
        case 3: in(7); in(3); out(3, v); break;
        case 4: case 5: channel(r >> 8 & 1 ? 0x44 : 0x48, (r >> 9 & 2047) + 1); break;
        case 6:
            if ((r & 0xf00) == 0)
                env_check_state(e);
            break;
        case 7:
            if ((r & 0xff00) == 0) {
                unsigned n = r >> 20 & 1;

                answer(&image[n]);
                drive[n].disk = r >> 21 & 1 ? &image[n].disk : NULL;
                drive[n].user->changed(drive[n].dev);
            }
            break;
        case 8:
            if ((r & 0xf00) == 0)
                ports_write(e->ports, 0x0a, 6, 1);
            break;
        case 9: case 10: case 11: case 12: case 13: pass((r >> 8 & 63) * 10); break;
        default:
            /* A whole command now and then gets further than bytes by chance. */
            if (in(4) >> 4 == 8 && (r >> 8 & 3)) {
                out(5, codes[(r >> 10) % sizeof(codes)]);
                out(5, r >> 16 & 5);
                for (unsigned k = 0; k < 7; k++)
                    out(5, k == 3 ? 2 : rand() & (k == 1 ? 1 : 15));
            } else if (in(4) & 0x40) {
                in(5);
            } else {
                out(5, v);
            }
        }
    }
    requests = image[0].requests;
    ck_assert_uint_gt(requests, 100);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("floppy");
    TCase *t = tcase_create("floppy");

    tcase_add_checked_fixture(t, setup, end);
    tcase_set_timeout(t, 120);
    tcase_add_test(t, identity_and_reset);
    tcase_add_test(t, seeks);
    tcase_add_test(t, read_by_dma);
    tcase_add_test(t, write_by_dma);
    tcase_add_test(t, without_dma);
    tcase_add_test(t, errors);
    tcase_add_test(t, deleted_data);
    tcase_add_test(t, tracks_verify_scan);
    tcase_add_test(t, format);
    tcase_add_test(t, media);
    tcase_add_test(t, change_of_medium);
    tcase_add_test(t, reset_while_busy);
    tcase_add_test(t, random_accesses);
    suite_add_tcase(suite, t);
    return run_suite(suite);
}
