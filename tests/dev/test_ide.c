/*
 * test_ide.c - IDE channels, bus master and ATA disks behind PIIX3's function: registers, interrupts, transfers.
 */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/dev/ide_env.h"
#include "tests/run_suite.h"

#define SECTORS 4096u
#define SIZE (SECTORS * 512u)

static uint8_t buf[512 * 600];

static void setup(void)
{
    ide_start("dd-d", SIZE, 0);
}

static void same(const uint8_t *p, uint64_t from, uint64_t len)
{
    for (uint64_t i = 0; i < len; i++)
        if (p[i] != pattern(from + i))          /* an assertion that holds costs a system call */
            ck_abort_msg("byte %u of those from %u", (unsigned)i, (unsigned)from);
}

static unsigned word(const uint8_t *page, unsigned n)
{
    return page[2 * n] | (unsigned)page[2 * n + 1] << 8;
}

static void identify(unsigned ch, unsigned dev)
{
    cmd28(ch, dev, 0xec, 0, 0);
    ck_assert_uint_eq(pio_read(ch, buf, 512, 512), 1);
    ck_assert_uint_eq(rd(ch, R_STATUS), ST_OK);
}

START_TEST(identity)
{
    char text[41] = "";
    uint8_t sum = 0;

    ck_assert_uint_eq(env_config_read(e, IDE_FN, 0, 4), 0x70108086);
    ck_assert_uint_eq(env_config_read(e, IDE_FN, 8, 4) >> 8, 0x010180);
    identify(0, 0);
    ck_assert_uint_eq(word(buf, 0), 0x0040);
    ck_assert_uint_eq(word(buf, 1), SECTORS / 16 / 63);
    ck_assert_uint_eq(word(buf, 3), 16);
    ck_assert_uint_eq(word(buf, 6), 63);
    ck_assert_uint_eq(word(buf, 47), 0x8010);
    ck_assert_uint_eq(word(buf, 49) & 0x300, 0x300);
    ck_assert_uint_eq(word(buf, 60) | word(buf, 61) << 16, SECTORS);
    ck_assert_uint_eq(word(buf, 83) & 0x7400, 0x7400);
    ck_assert_uint_eq(word(buf, 100), SECTORS);
    ck_assert_uint_eq(word(buf, 169), 1);
    for (unsigned i = 0; i < 40; i++)
        text[i] = (char)buf[54 + (i ^ 1)];
    ck_assert_str_eq(text, "LATIMER HARDDISK                        ");
    for (unsigned i = 0; i < 512; i++)
        sum += buf[i];
    ck_assert_uint_eq(sum, 0);
    ck_assert_uint_eq(word(buf, 255) & 0xff, 0xa5);
    /* Settings show. */
    wr(0, R_COUNT, 0x42);
    wr(0, R_FEATURE, 3);
    wr(0, R_COMMAND, 0xef);
    ck_assert_uint_eq(finish(0), ST_OK);
    wr(0, R_COUNT, 0x24);                       /* no such mode: refused, the one before stays */
    wr(0, R_COMMAND, 0xef);
    ck_assert_uint_eq(finish(0), ST_OK | ST_ERR);
    ck_assert_uint_eq(rd(0, R_ERROR), 4);
    identify(0, 0);
    ck_assert_uint_eq(word(buf, 88), 0x043f);
    ck_assert_uint_eq(word(buf, 63), 7);
}
END_TEST

static uint8_t *sectors(uint64_t lba)
{
    return disk[0].data + lba * 512;
}

START_TEST(pio)
{
    uint32_t lba;

    /* LBA28; an interrupt for each sector, none behind the last. */
    e->edges[14] = 0;
    cmd28(0, 0, 0x20, 100, 5);
    ck_assert_uint_eq(pio_read(0, buf, 5 * 512, 512), 5);
    same(buf, 100 * 512, 5 * 512);
    ck_assert_uint_eq(e->edges[14], 5);
    ck_assert_uint_eq(rd(0, R_STATUS), ST_OK);
    /* 256 sectors, more than one request can hold */
    cmd28(0, 0, 0x20, 7, 0);
    ck_assert_uint_eq(pio_read(0, buf, 256 * 512, 512), 256);
    same(buf, 7 * 512, 256 * 512);
    /* CHS: cylinder 1, head 2, sector 3 */
    wr(0, R_DEVICE, 0xa2);
    wr(0, R_COUNT, 2);
    wr(0, R_LOW, 3);
    wr(0, R_MID, 1);
    wr(0, R_HIGH, 0);
    wr(0, R_COMMAND, 0x21);
    pio_read(0, buf, 1024, 512);
    lba = (1 * 16 + 2) * 63 + 2;
    same(buf, lba * 512, 1024);
    wr(0, R_LOW, 0);                            /* sectors count from 1 */
    wr(0, R_COMMAND, 0x20);
    ck_assert_uint_eq(finish(0), ST_OK | ST_ERR);
    ck_assert_uint_eq(rd(0, R_ERROR), 0x10);
    wr(0, R_COUNT, 32);                         /* other geometry: 32 sectors, 4 heads */
    wr(0, R_DEVICE, 3);
    wr(0, R_COMMAND, 0x91);
    ck_assert_uint_eq(finish(0), ST_OK);
    wr(0, R_LOW, 32);
    wr(0, R_COUNT, 1);
    wr(0, R_COMMAND, 0x20);
    pio_read(0, buf, 512, 512);
    same(buf, ((1 * 4 + 3) * 32 + 31) * 512, 512);
    /* LBA48 with 300 sectors, by MULTIPLE of 8: 38 blocks */
    wr(0, R_COUNT, 8);
    wr(0, R_COMMAND, 0xc6);
    ck_assert_uint_eq(finish(0), ST_OK);
    cmd48(0, 0, 0x29, 1001, 300);
    ck_assert_uint_eq(pio_read(0, buf, 300 * 512, 8 * 512), 38);
    same(buf, 1001 * 512, 300 * 512);
    ctl(0, 0x80);
    ck_assert_uint_eq(rd(0, R_COUNT), 300 >> 8);        /* what was written before */
    wr(0, R_FEATURE, 0);
    ck_assert_uint_eq(rd(0, R_COUNT), 300 & 0xff);      /* any write clears HOB */
    wr(0, R_COUNT, 3);                          /* no power of two */
    wr(0, R_COMMAND, 0xc6);
    ck_assert_uint_eq(finish(0), ST_OK | ST_ERR);
}
END_TEST

START_TEST(pio_out)
{
    for (unsigned i = 0; i < sizeof(buf); i++)
        buf[i] = (uint8_t)(i * 13 + (i >> 8));
    e->edges[14] = 0;
    cmd28(0, 0, 0x30, 10, 3);
    ck_assert_uint_eq(pio_write(0, buf, 3 * 512, 512), 3);
    ck_assert_uint_eq(finish(0), ST_OK);
    ck_assert_uint_eq(e->edges[14], 3);
    ck_assert_int_eq(memcmp(sectors(10), buf, 3 * 512), 0);
    same(sectors(13), 13 * 512, 512);
    ck_assert_uint_eq(rd(0, R_LOW), 12);                /* the last one */
    cmd48(0, 0, 0x39, 2000, 500);               /* MULTIPLE, 16 after power on; several requests */
    ck_assert_uint_eq(pio_write(0, buf, 500 * 512, 16 * 512), 32);
    ck_assert_uint_eq(finish(0), ST_OK);
    ck_assert_int_eq(memcmp(sectors(2000), buf, 500 * 512), 0);
    same(sectors(2500), 2500 * 512, 512);
    ck_assert_uint_eq(disk[0].fuas, 0);
    cmd48(0, 0, 0xce, 5, 1);                    /* FUA */
    pio_write(0, buf, 512, 16 * 512);
    ck_assert_uint_eq(finish(0), ST_OK);
    ck_assert_uint_eq(disk[0].fuas, 1);
    /* The buffer: what was written is read. */
    wr(0, R_COMMAND, 0xe8);
    pio_write(0, buf + 512, 512, 512);
    ck_assert_uint_eq(finish(0), ST_OK);
    wr(0, R_COMMAND, 0xe4);
    pio_read(0, buf, 512, 512);
    ck_assert_int_eq(memcmp(buf, buf + 512, 512), 0);
    /* Cache off: what is in it is flushed, and every write goes through. */
    wr(0, R_FEATURE, 0x82);
    wr(0, R_COMMAND, 0xef);
    ck_assert_uint_eq(finish(0), ST_OK);
    ck_assert_uint_eq(disk[0].flushes, 1);
    cmd28(0, 0, 0x30, 0, 1);
    pio_write(0, buf, 512, 512);
    ck_assert_uint_eq(finish(0), ST_OK);
    ck_assert_uint_eq(disk[0].fuas, 2);
    wr(0, R_COMMAND, 0xe7);
    ck_assert_uint_eq(finish(0), ST_OK);
    wr(0, R_COMMAND, 0xea);
    ck_assert_uint_eq(finish(0), ST_OK);
    ck_assert_uint_eq(disk[0].flushes, 3);
}
END_TEST

START_TEST(interrupts)
{
    ctl(0, 2);                                  /* nIEN */
    cmd28(0, 0, 0x20, 0, 1);
    ck_assert(!e->line[14]);
    ck_assert_uint_eq(bm(0, 2) & 4, 0);
    ctl(0, 0);                                  /* still pending */
    ck_assert(e->line[14]);
    ck_assert_uint_eq(bm(0, 2) & 4, 4);
    bm_set(0, 2, 0x64);
    ck_assert_uint_eq(bm(0, 2) & 4, 0);
    wr(0, R_DEVICE, 0x50);                      /* the other device does not assert it */
    ck_assert(!e->line[14]);
    wr(0, R_DEVICE, 0x40);
    ck_assert(e->line[14]);
    ck_assert_uint_eq(alt(0), ST_OK | ST_DRQ);
    ck_assert(e->line[14]);
    wr(0, R_COMMAND, 0xe5);                     /* a command in the middle: the data is given up */
    ck_assert_uint_eq(finish(0), ST_OK);
    ck_assert_uint_eq(rd(0, R_COUNT), 0xff);
    /* While the disk works: busy, registers do not take anything, nor a second command. */
    disk[0].held = true;
    cmd28(0, 0, 0x20, 9, 1);
    ck_assert_uint_eq(alt(0) & ST_BSY, ST_BSY);
    wr(0, R_COUNT, 77);
    wr(0, R_COMMAND, 0xec);
    ck_assert_uint_eq(disk[0].n, 1);
    ck_assert(!e->line[14]);
    disk_answer(&disk[0]);
    ck_assert(e->line[14]);
    ck_assert_uint_eq(rd(0, R_COUNT), 1);
    disk[0].held = false;
    pio_read(0, buf, 512, 512);
    same(buf, 9 * 512, 512);
    /* The second channel's interrupt is its own. */
    cmd28(1, 1, 0x40, 0, 8);                    /* READ VERIFY: no data */
    ck_assert(!e->line[14]);
    ck_assert_uint_eq(finish(1), ST_OK);
    /* A reset with nIEN set and the interrupt pending raises none. */
    ctl(0, 2);
    cmd28(0, 0, 0xe5, 0, 0);
    e->edges[14] = 0;
    chips_reset(e->chips);
    ck_assert_uint_eq(e->edges[14], 0);
}
END_TEST

/* ---- bus master ---- */

static const uint32_t odd[][2] = { { 0x10002, 0x1fe }, { 0x20000, 2 }, { IDE_HIGH + 0x7f6, 0x80a }, { 0x30ffe, 0x3f6 },
                                   { 0, 0 } };

START_TEST(dma_in)
{
    uint32_t at = 300 * 512;

    ck_assert_uint_eq(bm(0, 2), 0x60);
    ck_assert_uint_eq(bm(1, 2), 0x40);
    ide_table(0, odd, false);
    cmd28(0, 0, 0xc8, 300, 7);                  /* the command first, as drivers do */
    ck_assert_uint_eq(alt(0), ST_OK | ST_DRQ);
    ck_assert_uint_eq(disk[0].reads, 0);
    bm_start(0, true);
    ck_assert_uint_eq(bm(0, 2), 0x64);          /* done, the table's end reached */
    ck_assert_uint_eq(finish(0), ST_OK);
    for (unsigned i = 0; odd[i][1]; at += odd[i++][1])
        same(ram + odd[i][0], at, odd[i][1]);
    ck_assert_uint_eq(ram[0x10001] | ram[0x10200] | ram[0x20002] | ram[0x1ffff], 0);
    ck_assert_uint_eq(rd(0, R_LOW) | rd(0, R_MID) << 8, 306);
    bm_set(0, 0, 0);
    bm_set(0, 2, 0x64);
    ck_assert_uint_eq(bm(0, 2), 0x60);
    /* The bus master first, and a longer table than the transfer: it stays active. */
    memset(ram + 0x10000, 0, 0x30000);
    ide_table(0, (const uint32_t[][2]){ { 0x10000, 0x10000 }, { 0x20000, 0x4000 }, { 0, 0 } }, false);
    bm_start(0, true);
    cmd48(0, 1, 0x25, 0, 129);
    ck_assert_uint_eq(bm(0, 2), 0x65);
    same(ram + 0x10000, 0, 129 * 512);
    ck_assert_uint_eq(ram[0x20200], 0);
    ck_assert_uint_eq(finish(0), ST_OK);
    bm_set(0, 0, 8);
    ck_assert_uint_eq(bm(0, 2) & 1, 0);
}
END_TEST

START_TEST(dma_out)
{
    uint32_t at = 20 * 512;

    for (unsigned i = 0; i < IDE_HOLE; i++)
        ram[i] = (uint8_t)(i * 7 + (i >> 8));
    memcpy(ram + IDE_HIGH, ram + 0x40001, 0x10000);
    ide_table(0, odd, false);
    cmd48(0, 0, 0x35, 20, 7);
    bm_start(0, false);
    ck_assert_uint_eq(bm(0, 2), 0x64);
    ck_assert_uint_eq(finish(0), ST_OK);
    for (unsigned i = 0; odd[i][1]; at += odd[i++][1])
        ck_assert_int_eq(memcmp(disk[0].data + at, ram + odd[i][0], odd[i][1]), 0);
    same(sectors(27), 27 * 512, 512);
    same(sectors(19), 19 * 512, 512);
    ck_assert_uint_eq(disk[0].fuas, 0);
    cmd48(0, 0, 0x3d, 20, 7);
    bm_start(0, false);
    ck_assert_uint_eq(finish(0), ST_OK);
    ck_assert_uint_eq(disk[0].fuas, disk[0].writes - 1);
}
END_TEST

/* More regions than a request can have, all smaller than a sector together. */
START_TEST(dma_crumbs)
{
    uint32_t table[400][2] = { { 0 } };

    for (unsigned i = 0; i < 384; i++) {
        table[i][0] = 0x10000 + 16 * i;
        table[i][1] = 4;
    }
    ide_table(0, table, false);
    cmd28(0, 0, 0xc8, 50, 3);
    bm_start(0, true);
    ck_assert_uint_eq(bm(0, 2), 0x64);
    ck_assert_uint_eq(finish(0), ST_OK);
    for (unsigned i = 0; i < 384; i++)
        same(ram + table[i][0], 50 * 512 + 4 * i, 4);
    cmd28(0, 0, 0xca, 60, 3);
    bm_start(0, false);
    ck_assert_uint_eq(bm(0, 2), 0x64);
    ck_assert_uint_eq(finish(0), ST_OK);
    same(sectors(60), 50 * 512, 3 * 512);
    same(sectors(63), 63 * 512, 512);
}
END_TEST

START_TEST(dma_trouble)
{
    /* A table that ends early: neither active nor an interrupt; the rest comes by another table. */
    ide_table(0, (const uint32_t[][2]){ { 0x10000, 700 }, { 0, 0 } }, false);
    cmd28(0, 0, 0xc8, 40, 2);
    bm_start(0, true);
    ck_assert_uint_eq(bm(0, 2), 0x60);
    ck_assert(!e->line[14]);
    ck_assert_uint_eq(alt(0), ST_OK | ST_DRQ);
    same(ram + 0x10000, 40 * 512, 700);
    ck_assert_uint_eq(ram[0x10000 + 700], 0);
    bm_set(0, 0, 0);
    env_check_state(e);
    ide_table(0, (const uint32_t[][2]){ { 0x11000, 324 }, { 0, 0 } }, false);
    bm_start(0, true);
    ck_assert_uint_eq(finish(0), ST_OK);
    same(ram + 0x11000, 40 * 512 + 700, 324);
    bm_set(0, 0, 0);
    /* The wrong way: nothing moves. */
    ide_table(0, odd, false);
    cmd28(0, 0, 0xc8, 1, 7);
    bm_start(0, false);
    ck_assert_uint_eq(bm(0, 2), 0x61);
    ck_assert_uint_eq(disk[0].writes, 0);
    bm_set(0, 0, 0);
    /* Regions and tables where there is no RAM: the error bit; devices are not reached. */
    ide_table(0, (const uint32_t[][2]){ { 0x10000, 512 }, { 0xe0000000u, 512 }, { 0, 0 } }, false);
    cmd28(0, 0, 0xc8, 80, 2);
    bm_start(0, true);
    ck_assert_uint_eq(bm(0, 2), 0x62);
    same(ram + 0x10000, 80 * 512, 512);
    ck_assert(!e->line[14]);
    bm_set(0, 0, 0);
    ports_write(e->ports, IDE_BM + 4, IDE_HOLE, 4);
    bm_start(0, true);
    ck_assert_uint_eq(bm(0, 2), 0x62);
    bm_set(0, 2, 0x62);
    ck_assert_uint_eq(bm(0, 2), 0x60);
    bm_set(0, 0, 0);
    ck_assert_uint_eq(mmio, 0);
    /* Bus mastering off. */
    ide_table(0, (const uint32_t[][2]){ { 0x12000, 512 }, { 0, 0 } }, false);
    env_config_write(e, IDE_FN, 4, 1, 2);
    cmd28(0, 0, 0xc8, 80, 1);
    ports_write(e->ports, IDE_BM, 9, 1);        /* the BAR is off, too, without I/O: it is not here */
    ck_assert_uint_eq(bm(0, 2) & 2, 2);
    ck_assert_uint_eq(ram[0x12000], 0);
    ports_write(e->ports, IDE_BM, 0, 1);
    env_config_write(e, IDE_FN, 4, 5, 2);
    bm_start(0, true);
    ck_assert_uint_eq(finish(0), ST_OK);
    /* A table that goes on for ever: the transfer's end is the end. */
    for (unsigned i = 0; i < IDE_HOLE; i += 8)
        memcpy(ram + i, (const uint8_t[]){ 0, 0, 0x1f, 0, 2, 0, 0, 0 }, 8);
    cmd48(0, 0, 0x25, 0, 4);
    bm_start(0, true);
    ck_assert_uint_eq(finish(0), ST_OK);
}
END_TEST

/* Stopped, reset or pulled away in the middle: nothing comes to memory afterwards. */
START_TEST(dma_stop)
{
    ide_table(0, (const uint32_t[][2]){ { 0x10000, 0x1000 }, { 0, 0 } }, false);
    for (unsigned how = 0; how < 4; how++) {
        disk[0].held = true;
        cmd28(0, 0, 0xc8, 5, 8);
        bm_start(0, true);
        ck_assert_uint_eq(disk[0].n, 1);
        ck_assert_uint_eq(alt(0) & ST_BSY, ST_BSY);
        switch (how) {
        case 0: bm_set(0, 0, 8); break;
        case 1: ctl(0, 4); break;
        case 2: chips_reset(e->chips); break;
        case 3: bm_set(0, 0, 0); break;
        }
        memset(ram + 0x10000, 0xee, 0x1000);
        disk_answer(&disk[0]);
        disk[0].held = false;
        for (unsigned i = 0; i < 0x1000; i++)
            ck_assert_uint_eq(ram[0x10000 + i], 0xee);
        ck_assert(!e->line[14]);
        ctl(0, 0);
        if (how == 2) {
            env_config_write(e, IDE_FN, 0x20, IDE_BM, 4);
            env_config_write(e, IDE_FN, 0x40, 0x80008000u, 4);
            env_config_write(e, IDE_FN, 4, 5, 2);
            ide_table(0, (const uint32_t[][2]){ { 0x10000, 0x1000 }, { 0, 0 } }, false);
        }
        bm_set(0, 0, 0);
        ck_assert_uint_eq(bm(0, 2) & 1, 0);
        /* and the next one works */
        cmd28(0, 0, 0xc8, 5, 8);
        bm_start(0, true);
        ck_assert_uint_eq(finish(0), ST_OK);
        same(ram + 0x10000, 5 * 512, 0x1000);
        bm_set(0, 0, 0);
    }
    /* A write that waits while its command is given up: what was in the buffer then is what is written. */
    disk[0].held = true;
    memset(buf, 0x11, 512);
    cmd28(0, 0, 0x30, 3, 1);
    pio_write(0, buf, 512, 512);
    ctl(0, 4);
    ctl(0, 0);
    wr(0, R_COMMAND, 0xec);
    ck_assert(e->line[14]);
    disk_answer(&disk[0]);
    ck_assert_int_eq(memcmp(sectors(3), buf, 512), 0);
    /* One device's transfer waits while the other is selected. */
    disk[0].held = false;
    ide_table(0, (const uint32_t[][2]){ { 0x10000, 0x1000 }, { 0, 0 } }, false);
    cmd28(0, 0, 0xc8, 5, 8);
    wr(0, R_DEVICE, 0x50);
    bm_start(0, true);
    ck_assert_uint_eq(bm(0, 2) & 5, 1);
    wr(0, R_DEVICE, 0x40);
    ck_assert_uint_eq(bm(0, 2) & 5, 4);
    ck_assert_uint_eq(finish(0), ST_OK);
}
END_TEST

/* ---- errors ---- */

START_TEST(errors)
{
    uint8_t fine[512];

    cmd28(0, 0, 0x20, SECTORS - 1, 2);
    ck_assert_uint_eq(finish(0), ST_OK | ST_ERR);
    ck_assert_uint_eq(rd(0, R_ERROR), 0x10);
    ck_assert_uint_eq(disk[0].reads, 0);
    cmd48(0, 0, 0x24, 0xffffffffffffull, 1);
    ck_assert_uint_eq(finish(0), ST_OK | ST_ERR);
    cmd28(0, 0, 0xc8, SECTORS, 1);
    ck_assert_uint_eq(finish(0), ST_OK | ST_ERR);
    wr(0, R_COMMAND, 0x05);                     /* no such command */
    ck_assert_uint_eq(finish(0), ST_OK | ST_ERR);
    ck_assert_uint_eq(rd(0, R_ERROR), 4);
    /* The medium: what could be read before comes, and the address says where. */
    disk[0].error = -EIO;
    disk[0].fail_at = 0x12345 & ~1u;
    cmd28(0, 0, 0x20, disk[0].fail_at / 512 - 128, 0);
    ck_assert_uint_eq(pio_read(0, buf, 128 * 512, 512), 128);
    ck_assert_uint_eq(finish(0), ST_OK | ST_ERR);
    ck_assert_uint_eq(rd(0, R_ERROR), 0x40);
    ck_assert_uint_eq(rd(0, R_LOW) | rd(0, R_MID) << 8, disk[0].fail_at / 512);
    ide_table(0, (const uint32_t[][2]){ { 0x10000, 0x2000 }, { 0, 0 } }, false);
    cmd48(0, 0, 0x25, disk[0].fail_at / 512, 4);
    bm_start(0, true);
    ck_assert_uint_eq(finish(0), ST_OK | ST_ERR);
    ck_assert_uint_eq(rd(0, R_ERROR), 0x40);
    bm_set(0, 0, 0);
    cmd28(0, 0, 0x30, disk[0].fail_at / 512, 1);
    pio_write(0, buf, 512, 512);
    ck_assert_uint_eq(finish(0), ST_OK | ST_ERR);
    disk[0].error = 0;
    /* Read-only to the guest, whether the image could be written or not. */
    memcpy(fine, sectors(1), 512);
    drive[0].read_only = true;
    cmd28(0, 0, 0x30, 1, 1);
    ck_assert_uint_eq(finish(0), ST_OK | ST_ERR);
    ck_assert_uint_eq(rd(0, R_ERROR), 4);
    cmd28(0, 0, 0xca, 1, 1);
    bm_start(0, false);
    ck_assert_uint_eq(finish(0), ST_OK | ST_ERR);
    ck_assert_int_eq(memcmp(sectors(1), fine, 512), 0);
    ck_assert_uint_eq(disk[0].writes, 1);
}
END_TEST

START_TEST(presence)
{
    /* Channel 1 has device 1 alone: as device 0 nobody is there. */
    wr(1, R_DEVICE, 0x40);
    ck_assert_uint_eq(rd(1, R_STATUS), 0);
    wr(1, R_COUNT, 0x55);
    wr(1, R_COMMAND, 0xec);
    ck_assert(!e->line[15]);
    ck_assert_uint_ne(rd(1, R_COUNT), 0x55);
    identify(1, 1);
    ck_assert_uint_eq(word(buf, 60), SECTORS);
    ctl(1, 4);
    ctl(1, 0);
    ck_assert_uint_eq(rd(1, R_DEVICE) & 0x10, 0);
    wr(1, R_DEVICE, 0x50);
    ck_assert_uint_eq(rd(1, R_STATUS), ST_OK);
    ide_end();
    ide_start("d---", SIZE, 0);
    wr(0, R_DEVICE, 0x50);                      /* device 0 answers for it */
    ck_assert_uint_eq(rd(0, R_STATUS), 0);
    ck_assert_uint_eq(alt(0), 0);
    wr(0, R_COUNT, 0x33);
    ck_assert_uint_eq(rd(0, R_COUNT), 0x33);
    wr(0, R_COMMAND, 0xec);
    ck_assert(!e->line[14]);
    ck_assert_uint_eq(rd(1, R_STATUS), 0x7f);   /* an empty cable is not busy */
    ck_assert_uint_eq(alt(1), 0x7f);
    ck_assert_uint_eq(data(1), 0xff7f);
    wr(0, R_DEVICE, 0x40);
    ck_assert_uint_eq(rd(0, R_STATUS), ST_OK);
}
END_TEST

START_TEST(resets)
{
    for (unsigned how = 0; how < 2; how++) {
        wr(0, R_DEVICE, 0x50);
        wr(0, R_COUNT, 9);
        if (how) {
            ctl(0, 4);
            ck_assert_uint_eq(alt(0), ST_BSY);
            wr(0, R_DEVICE, 0x50);              /* nobody listens */
            wr(0, R_COMMAND, 0xec);
            ctl(0, 0);
            ck_assert(!e->line[14]);
        } else {
            wr(0, R_COMMAND, 0x90);             /* both do it, device 0 interrupts */
            ck_assert_uint_eq(finish(0), ST_OK);
        }
        for (unsigned dev = 0; dev < 2; dev++) {
            if (dev)
                wr(0, R_DEVICE, 0x10);
            ck_assert_uint_eq(rd(0, R_DEVICE) & 0x10, dev << 4);
            ck_assert_uint_eq(rd(0, R_ERROR), 1);
            ck_assert_uint_eq(rd(0, R_COUNT), 1);
            ck_assert_uint_eq(rd(0, R_LOW), 1);
            ck_assert_uint_eq(rd(0, R_MID) | rd(0, R_HIGH), 0);
            ck_assert_uint_eq(rd(0, R_STATUS), ST_OK);
        }
    }
}
END_TEST

/* A disk without sectors has no last one to tell; what reads or writes is refused. */
START_TEST(no_sectors)
{
    ide_end();
    ide_start("d---", 0, 0);
    identify(0, 0);
    ck_assert_uint_eq(word(buf, 60), 0);
    cmd28(0, 0, 0xf8, 0, 0);
    ck_assert_uint_eq(finish(0), ST_OK | ST_ERR);
    ck_assert_uint_eq(rd(0, R_ERROR), 4);
    cmd28(0, 0, 0x20, 0, 1);
    ck_assert_uint_eq(finish(0), ST_OK | ST_ERR);
    ck_assert_uint_eq(rd(0, R_ERROR), 0x10);
    cmd28(0, 0, 0xe7, 0, 0);
    ck_assert_uint_eq(finish(0), ST_OK);
}
END_TEST

static void trim(unsigned i, uint64_t lba, uint16_t n)
{
    for (unsigned b = 0; b < 8; b++)
        ram[0x10000 + 8 * i + b] = (uint8_t)((lba | (uint64_t)n << 48) >> 8 * b);
}

START_TEST(features)
{
    ide_table(0, (const uint32_t[][2]){ { 0x10000, 0x200 }, { 0, 0 } }, false);
    trim(0, 100, 8);
    trim(1, 0, 0);
    trim(2, SECTORS - 1, 1);
    wr(0, R_FEATURE, 1);
    cmd48(0, 0, 0x06, 0, 1);
    bm_start(0, false);
    ck_assert_uint_eq(finish(0), ST_OK);
    ck_assert_uint_eq(disk[0].discards, 2);
    ck_assert_uint_eq(disk[0].discarded[0][0], 100 * 512);
    ck_assert_uint_eq(disk[0].discarded[0][1], 8 * 512);
    ck_assert_uint_eq(disk[0].discarded[1][0], SIZE - 512);
    trim(0, SECTORS, 1);
    cmd48(0, 0, 0x06, 0, 1);
    bm_start(0, false);
    ck_assert_uint_eq(finish(0), ST_OK | ST_ERR);
    ck_assert_uint_eq(disk[0].discards, 2);
    cmd48(0, 0, 0x06, 0, 0);
    ck_assert_uint_eq(finish(0), ST_OK | ST_ERR);
    /* SET MAX hides sectors until the next hardware reset. */
    wr(0, R_FEATURE, 0);
    cmd28(0, 0, 0xf8, 0, 0);
    ck_assert_uint_eq(finish(0), ST_OK);
    ck_assert_uint_eq(rd(0, R_LOW) | rd(0, R_MID) << 8, SECTORS - 1);
    cmd48(0, 0, 0x27, 0, 0);
    ck_assert_uint_eq(finish(0), ST_OK);
    ck_assert_uint_eq(rd(0, R_LOW) | rd(0, R_MID) << 8, SECTORS - 1);
    cmd28(0, 0, 0xf9, 999, 0);
    ck_assert_uint_eq(finish(0), ST_OK);
    cmd28(0, 0, 0x40, 1000, 1);
    ck_assert_uint_eq(finish(0), ST_OK | ST_ERR);
    identify(0, 0);
    ck_assert_uint_eq(word(buf, 60), 1000);
    cmd48(0, 0, 0x37, SECTORS, 0);
    ck_assert_uint_eq(finish(0), ST_OK | ST_ERR);
    /* SMART */
    wr(0, R_FEATURE, 0xd0);
    cmd28(0, 0, 0xb0, 0xc24f00, 0);
    pio_read(0, buf, 512, 512);
    ck_assert_uint_eq(word(buf, 0), 1);
    wr(0, R_FEATURE, 0xda);
    cmd28(0, 0, 0xb0, 0xc24f00, 0);
    ck_assert_uint_eq(finish(0), ST_OK);
    ck_assert_uint_eq(rd(0, R_MID) | rd(0, R_HIGH) << 8, 0xc24f);
    cmd28(0, 0, 0xb0, 0, 0);
    ck_assert_uint_eq(finish(0), ST_OK | ST_ERR);
    wr(0, R_FEATURE, 0xd9);
    cmd28(0, 0, 0xb0, 0xc24f00, 0);
    ck_assert_uint_eq(finish(0), ST_OK);
    wr(0, R_FEATURE, 0xda);
    cmd28(0, 0, 0xb0, 0xc24f00, 0);
    ck_assert_uint_eq(finish(0), ST_OK | ST_ERR);
    /* Power: standby flushes; reading wakes it. */
    wr(0, R_COMMAND, 0xe0);
    ck_assert_uint_eq(finish(0), ST_OK);
    ck_assert_uint_eq(disk[0].flushes, 1);
    wr(0, R_COMMAND, 0xe5);
    ck_assert_uint_eq(finish(0), ST_OK);
    ck_assert_uint_eq(rd(0, R_COUNT), 0);
    cmd28(0, 0, 0x40, 1, 1);
    ck_assert_uint_eq(finish(0), ST_OK);
    wr(0, R_COMMAND, 0xe5);
    ck_assert_uint_eq(finish(0), ST_OK);
    ck_assert_uint_eq(rd(0, R_COUNT), 0xff);
    chips_reset(e->chips);
    env_config_write(e, IDE_FN, 4, 1, 2);
    identify(0, 0);
    ck_assert_uint_eq(word(buf, 60), SECTORS);
}
END_TEST

START_TEST(decoding)
{
    env_config_write(e, IDE_FN, 0x40, 0, 2);
    ck_assert_uint_eq(rd(0, R_STATUS), 0xff);
    ck_assert_uint_eq(alt(0), 0xff);
    wr(1, R_DEVICE, 0x50);
    ck_assert_uint_eq(rd(1, R_STATUS), ST_OK);
    env_config_write(e, IDE_FN, 4, 0, 2);
    ck_assert_uint_eq(rd(1, R_STATUS), 0xff);
    /* A reset decodes both again, as soon as the function's ports are on. */
    chips_reset(e->chips);
    ck_assert_uint_eq(env_config_read(e, IDE_FN, 0x40, 4), 0x80008000u);
    ck_assert_uint_eq(rd(0, R_STATUS), 0xff);
    env_config_write(e, IDE_FN, 4, 5, 2);
    ck_assert_uint_eq(alt(0) & 0x80, 0);
    ck_assert_uint_eq(alt(1) & 0x80, 0);
    env_config_write(e, IDE_FN, 0x40, 0, 2);
    /* The bus master lies on the channel's ports: they stay its own, the machine lives. */
    env_config_write(e, IDE_FN, 0x20, 0x1f0, 4);
    env_config_write(e, IDE_FN, 0x40, 0x8000, 2);
    ck_assert_uint_eq((uint8_t)ports_read(e->ports, 0x1f2, 1), 0x60);
    env_config_write(e, IDE_FN, 0x20, IDE_BM, 4);
    env_config_write(e, IDE_FN, 0x40, 0x8000, 2);
    ck_assert_uint_eq(rd(0, R_STATUS), ST_OK);
    ck_assert_uint_eq(bm(0, 2), 0x60);
}
END_TEST

START_TEST(state)
{
    cmd28(0, 0, 0x20, 30, 3);
    for (unsigned i = 0; i < 300; i++)
        ck_assert_uint_eq(data(0), (uint16_t)(pattern(30 * 512 + 2 * i) | pattern(30 * 512 + 2 * i + 1) << 8));
    env_check_state(e);
    for (unsigned i = 300; i < 3 * 256; i++)
        ck_assert_uint_eq(data(0), (uint16_t)(pattern(30 * 512 + 2 * i) | pattern(30 * 512 + 2 * i + 1) << 8));
    ck_assert_uint_eq(rd(0, R_STATUS), ST_OK);
    cmd28(0, 0, 0x30, 5, 1);
    for (unsigned i = 0; i < 256; i++) {
        data_set(0, 0x4321);
        if (i == 100)
            env_check_state(e);
    }
    ck_assert_uint_eq(finish(0), ST_OK);
    ck_assert_uint_eq(sectors(5)[511], 0x43);
    ide_table(0, odd, false);
    cmd28(0, 0, 0xc8, 300, 7);
    env_check_state(e);
    bm_start(0, true);
    env_check_state(e);
    ck_assert_uint_eq(finish(0), ST_OK);
    same(ram + odd[2][0], 301 * 512, odd[2][1]);
    /* What a refused command wanted counts no longer. */
    cmd48(0, 0, 0x24, 1, 0xffff);
    ck_assert_uint_eq(alt(0), ST_OK | ST_ERR);
    env_check_state(e);
    ck_assert_uint_eq(finish(0), ST_OK | ST_ERR);
    ctl(0, 4);                                  /* nor in a reset */
    env_check_state(e);
    ck_assert_uint_eq(alt(0), ST_BSY);
}
END_TEST

/* Whatever the guest does: no crash, no access outside of disk and memory (the fake disk and ASan look). */
START_TEST(fuzz)
{
    static const uint8_t codes[] = { 0x20, 0x24, 0x25, 0x29, 0x30, 0x34, 0x35, 0x39, 0xc8, 0xca, 0x06, 0x90, 0xa0, 0xec,
                                     0xa1, 0xef, 0xf9, 0xc4, 0xc5, 0xc6, 0x91, 0x08, 0xe8, 0xe4, 0xb0, 0x40 };
    unsigned seed = (unsigned)_i + 1;

    ide_end();
    ide_start("dcc-", 300 * 512, 600 * 2048);
    for (unsigned i = 0; i < 60000; i++) {
        unsigned r = (unsigned)rand_r(&seed), v = (unsigned)rand_r(&seed), ch = r >> 3 & 1;

        switch (r & 7) {
        case 0: wr(ch, r >> 4 & 7, v >> 8); break;
        case 1: wr(ch, R_COMMAND, codes[v % sizeof(codes)]); break;
        case 2: wr(ch, R_LOW + v % 4, v & 0x1000 ? 0x40 : 0); break;
        case 3:
            for (unsigned k = 0; k < (v & 0x3ff); k++)
                if (v & 0x400)
                    data_set(ch, (uint16_t)(v * k >> 3));
                else
                    data(ch);
            break;
        case 4:
            if (v & 0x70)
                bm_set(ch, v & 3, v >> 8);
            else
                ports_write(e->ports, IDE_BM + 8 * ch + 4, v & 0x100 ? v : v & 0x1fffff, 4);
            break;
        case 5:
            for (unsigned k = 0; k < 64; k++)
                ram[0x1000 + 64 * (v & 63) + k] = (uint8_t)rand_r(&seed);
            ports_write(e->ports, IDE_BM + 8 * ch + 4, 0x1000 + 64 * (v & 63), 4);
            if (v & 0x100)
                ram[0x1003 + 64 * (v & 63)] = ram[0x1007 + 64 * (v & 63)] = 0;
            bm_start(ch, v & 0x200);
            break;
        case 6:
            rd(ch, r >> 4 & 7);
            alt(ch);
            if (!(v & 0x70))
                ctl(ch, v >> 8);
            break;
        case 7:
            disk[v & 1].held = v & 2;
            disk_answer(&disk[v & 1]);
            if (!(v & 0xff00))
                env_config_write(e, IDE_FN, v & 0x10000 ? 4 : 0x40, v & 0x20000 ? 0x80008005u : 5, 4);
            break;
        }
    }
    ck_assert_uint_eq(mmio, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ide");
    TCase *t = tcase_create("ide");

    tcase_set_timeout(t, 120);
    tcase_add_checked_fixture(t, setup, ide_end);
    tcase_add_test(t, identity);
    tcase_add_test(t, pio);
    tcase_add_test(t, pio_out);
    tcase_add_test(t, interrupts);
    tcase_add_test(t, dma_in);
    tcase_add_test(t, dma_out);
    tcase_add_test(t, dma_crumbs);
    tcase_add_test(t, dma_trouble);
    tcase_add_test(t, dma_stop);
    tcase_add_test(t, errors);
    tcase_add_test(t, presence);
    tcase_add_test(t, no_sectors);
    tcase_add_test(t, resets);
    tcase_add_test(t, features);
    tcase_add_test(t, decoding);
    tcase_add_test(t, state);
    tcase_add_loop_test(t, fuzz, 0, 4);
    suite_add_tcase(suite, t);
    return run_suite(suite);
}
