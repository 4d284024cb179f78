/*
 * test_floppy.c - a floppy driver of the test's own: every command against an image in memory, by DMA and
 * without, seeks and what they tell, resets, errors, and random accesses.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/dev/floppy_env.h"
#include "tests/run_suite.h"

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
    give(all, 17);
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

/* An image that answers late: no driver's patience is over before. */
START_TEST(the_guests_time_waits_for_an_image)
{
    uint64_t before;

    start();
    seek(0, 3);
    channel(0x48, 1024);
    SEND(0x45, 0, 3, 0, 1, 2, 18, 27, 0xff);
    before = clock_now(e->clock);
    for (unsigned i = 0; i < 50; i++)
        clock_advance(e->clock, 100000 * US);
    ck_assert(clock_now(e->clock) >= before + 200000 * US && clock_now(e->clock) <= before + 210000 * US);
    ck_assert(irq_comes());
    EXPECT(0, 0, 0, 3, 0, 3, 2);
    before = clock_now(e->clock);
    clock_advance(e->clock, 5000000ull * US);
    ck_assert_uint_eq(clock_now(e->clock) - before, 5000000ull * US);
    channel(0x44, 512);
    SEND(0x46, 0, 3, 0, 1, 2, 18, 27, 0xff);
    clock_advance(e->clock, 1000 * US);
    out(2, 0x18);                               /* nobody waits for that any more */
    before = clock_now(e->clock);
    clock_advance(e->clock, 5000000ull * US);
    ck_assert_uint_eq(clock_now(e->clock) - before, 5000000ull * US);
}
END_TEST

START_TEST(random_accesses)
{
    static const uint8_t codes[] = { 0x46, 0xe6, 0x45, 0xc5, 0x4c, 0x49, 0x42, 0x56, 0x51, 0x59, 0x5d, 0x4d,
                                     0x4a, 0x07, 0x08, 0x03, 0x04, 0x0f, 0x8f, 0xcf, 0x13, 0x0e, 0x12, 0x14,
                                     0x94, 0x2e, 0x4e, 0x8e };
    unsigned requests;

    srand(82077);
    finish();
    make(1474560, 360 * 1024);
    if (moves)
        moves = 4999;           /* of so many steps nearly all are new */
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

/* All of it once more, by machines that are saved and go on elsewhere at each moment. */
static void setup_moving(void)
{
    setup();
    moves = 1;
}

static void finish_moving(void)
{
    finish();
    moves = 0;
}

static TCase *cases(const char *name, void (*before)(void), void (*after)(void))
{
    TCase *t = tcase_create(name);

    tcase_add_checked_fixture(t, before, after);
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
    tcase_add_test(t, reset_while_busy);
    tcase_add_test(t, the_guests_time_waits_for_an_image);
    tcase_add_test(t, random_accesses);
    return t;
}

int main(void)
{
    Suite *suite = suite_create("floppy");

    suite_add_tcase(suite, cases("floppy", setup, finish));
    suite_add_tcase(suite, cases("moving", setup_moving, finish_moving));
    return run_suite(suite);
}
