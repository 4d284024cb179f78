/*
 * test_ahci.c - the AHCI controller: registers, links, commands by DMA, PIO and packet, queued commands.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "tests/dev/ahci_env.h"
#include "tests/run_suite.h"

START_TEST(registers)
{
    ck_assert_uint_eq(env_config_read(e, DEVFN, 0, 4), 0x29228086);
    ck_assert_uint_eq(env_config_read(e, DEVFN, 8, 4) >> 8, 0x010601);
    ck_assert_uint_eq(env_config_read(e, DEVFN, 0x90, 1), 0x40);
    ck_assert_uint_eq(env_config_read(e, DEVFN, 0x92, 2), 0x073f);
    ck_assert_uint_eq(reg(CAP), 0xc1241f05);
    ck_assert_uint_eq(reg(GHC), 0x80000000);
    ck_assert_uint_eq(reg(PI), 0x3f);
    ck_assert_uint_eq(reg(VS), 0x10200);
    set(GHC, 2);
    ck_assert_uint_eq(reg(GHC), 0x80000002);
    set(CAP, 0);
    set(PI, 0);
    ck_assert_uint_eq(reg(CAP), 0xc1241f05);
    ck_assert_uint_eq(reg(PI), 0x3f);
    ck_assert_uint_eq(preg(0, P_SIG), 0x00000101);
    ck_assert_uint_eq(preg(1, P_SIG), 0xeb140101);
    ck_assert_uint_eq(preg(3, P_SIG), 0xffffffff);
    ck_assert_uint_eq(preg(0, P_SSTS), 0x123);
    ck_assert_uint_eq(preg(3, P_SSTS), 0);
    ck_assert_uint_eq(preg(0, P_TFD), 0x150);
    ck_assert_uint_eq(preg(3, P_TFD), 0x7f);
    ck_assert_uint_eq(preg(0, P_CMD), 6);
    pset(0, P_CLB, 0xffffffff);
    pset(0, P_CLBU, 0x12345678);
    pset(0, P_FB, 0xffffffff);
    pset(0, P_FBU, 0x9abcdef0);
    pset(0, P_IE, 0xffffffff);
    ck_assert_uint_eq(preg(0, P_CLB), 0xfffffc00);
    ck_assert_uint_eq(preg(0, P_CLBU), 0x12345678);
    ck_assert_uint_eq(preg(0, P_FB), 0xffffff00);
    ck_assert_uint_eq(preg(0, P_FBU), 0x9abcdef0);
    ck_assert_uint_eq(preg(0, P_IE), 0x7dc000ff);
    /* Bytes and words. */
    phys_io_write(e->phys, BAR + 0x101, 0x14, 1);
    ck_assert_uint_eq(preg(0, P_CLB), 0xffff1400);
    phys_io_write(e->phys, BAR + 0x102, 0x2222, 2);
    ck_assert_uint_eq(preg(0, P_CLB), 0x22221400);
    ck_assert_uint_eq(phys_io_read(e->phys, BAR + 0x103, 1), 0x22);
    /* A reset leaves these two, and nothing else. */
    set(GHC, 3);
    ck_assert_uint_eq(reg(GHC), 0x80000000);
    ck_assert_uint_eq(preg(0, P_CLB), 0x22221400);
    ck_assert_uint_eq(preg(0, P_IE), 0);
    ck_assert_uint_eq(preg(0, P_SSTS), 0x123);
    /* Nothing runs before ST. */
    pset(0, P_CI, 1);
    pset(0, P_SACT, 1);
    ck_assert_uint_eq(preg(0, P_CI) | preg(0, P_SACT), 0);
    /* The index and data pair. */
    ports_write(e->ports, PAIR + 0x10, VS, 4);
    ck_assert_uint_eq(ports_read(e->ports, PAIR + 0x14, 4), 0x10200);
    ports_write(e->ports, PAIR + 0x10, 0x100, 4);
    ports_write(e->ports, PAIR + 0x14, 0x400, 4);
    ck_assert_uint_eq(preg(0, P_CLB), 0x400);
    ports_write(e->ports, PAIR + 0x10, 0xffffffff, 4);
    ck_assert_uint_eq(ports_read(e->ports, PAIR + 0x14, 4), 0);
}
END_TEST

START_TEST(links)
{
    /* The first FIS waits for a place to go. */
    ck_assert_uint_eq(preg(0, P_SERR), 1u << 16 | 1u << 26);
    ck_assert_uint_eq(preg(0, P_IS), PC | PRC);
    pset(0, P_IS, 0xffffffff);                  /* mirrors of SERR */
    ck_assert_uint_eq(preg(0, P_IS), PC | PRC);
    pset(0, P_SERR, 1u << 26);
    ck_assert_uint_eq(preg(0, P_IS), PRC);
    pset(0, P_FB, FB(0));
    ck_assert_uint_eq(ram[FB(0) + 0x40], 0);
    pset(0, P_CMD, FRE);
    ck_assert_uint_eq(ram[FB(0) + 0x40], 0x34);
    ck_assert_uint_eq(ram[FB(0) + 0x42], 0x50);
    ck_assert_uint_eq(ram[FB(0) + 0x43], 1);
    /* COMRESET. */
    pset(0, P_SERR, 0xffffffff);
    pset(0, P_SCTL, 0x301);
    ck_assert_uint_eq(preg(0, P_SSTS), 0);
    ck_assert_uint_eq(preg(0, P_TFD), 0x7f);
    ck_assert_uint_eq(preg(0, P_SERR), 1u << 16);
    memset(ram + FB(0), 0, 256);
    pset(0, P_SCTL, 0x310);                     /* at 1.5 Gbit/s */
    ck_assert_uint_eq(preg(0, P_SSTS), 0x113);
    ck_assert_uint_eq(preg(0, P_TFD), 0x150);
    ck_assert_uint_eq(preg(0, P_SERR), 1u << 16 | 1u << 26);
    ck_assert_uint_eq(ram[FB(0) + 0x40], 0x34);
    /* Off, and on again. */
    pset(0, P_SCTL, 0x304);
    ck_assert_uint_eq(preg(0, P_SSTS), 4);
    ck_assert_uint_eq(preg(0, P_SIG), 0xffffffff);
    pset(0, P_SCTL, 0x300);
    ck_assert_uint_eq(preg(0, P_SSTS), 0x123);
    /* Nobody there. */
    pset(4, P_SCTL, 0x301);
    pset(4, P_SCTL, 0x300);
    ck_assert_uint_eq(preg(4, P_SSTS), 0);
    ck_assert_uint_eq(preg(4, P_SERR), 0);
    start(4);
    issue(4, 1);
    ck_assert_uint_eq(preg(4, P_CI), 1);
    stop(4);
    ck_assert_uint_eq(preg(4, P_CI), 0);
}
END_TEST

START_TEST(staggered)
{
    teardown();
    setup_with(true);
    ck_assert_uint_eq(reg(CAP), 0xc9241f05);
    ck_assert_uint_eq(preg(0, P_CMD), 4);
    ck_assert_uint_eq(preg(0, P_SSTS), 0);
    pset(0, P_CMD, SUD);
    ck_assert_uint_eq(preg(0, P_CMD), 6);
    ck_assert_uint_eq(preg(0, P_SSTS), 0x123);
    ck_assert_uint_eq(preg(0, P_SIG), 0x101);
    pset(0, P_CMD, 0);
    ck_assert_uint_eq(preg(0, P_SSTS), 0);
}
END_TEST

static void text_is(uint64_t at, const char *s, unsigned len)
{
    for (unsigned i = 0; i < len; i++)
        ck_assert_int_eq(ram[at + (i ^ 1)], *s ? *s++ : ' ');
}

static unsigned word(unsigned n)
{
    return ram[DATA + 2 * n] | ram[DATA + 2 * n + 1] << 8;
}

START_TEST(identification)
{
    const struct cmd identify = { .command = 0xec, .prd = { { DATA, 512 } } };
    uint8_t sum = 0;

    start(0);
    start(1);
    ck_assert_uint_eq(run(0, &identify), PS);
    ck_assert_uint_eq(preg(0, P_CI), 0);
    ck_assert_uint_eq(preg(0, P_TFD), 0x50);
    ck_assert_uint_eq(r32(CLB(0) + 4), 512);
    /* PIO setup: to the host, interrupt; status, then the one of the end; 512 bytes */
    ck_assert_uint_eq(r32(FB(0) + 0x20), 0x0058605f);
    ck_assert_uint_eq(ram[FB(0) + 0x20 + 15], 0x50);
    ck_assert_uint_eq(r32(FB(0) + 0x20 + 16), 512);
    text_is(DATA + 20, "SERIAL", 20);
    text_is(DATA + 46, "V1", 8);
    text_is(DATA + 54, "MODEL", 40);
    ck_assert_uint_eq(word(75), 31);
    ck_assert_uint_eq(word(76), 0x106);
    ck_assert_uint_eq(word(84) & 0x4120, 0x4120);
    ck_assert_uint_eq(word(87) & 0x4120, 0x4120);
    ck_assert_uint_eq(word(93), 0);
    ck_assert_uint_eq(word(85) & 0x20, 0x20);           /* its write cache is on */
    ck_assert_uint_eq(word(106), 0x6003);
    ck_assert_uint_eq(word(108), 0x5000);
    ck_assert_uint_eq(word(111), 0x9abc);
    ck_assert_uint_eq(word(217), 7200);
    ck_assert_uint_eq(word(222), 0x1020);
    for (unsigned i = 0; i < 512; i++)
        sum += ram[DATA + i];
    ck_assert_uint_eq(sum, 0);
    start(2);
    ck_assert_uint_eq(run(2, &identify), PS);
    ck_assert_uint_eq(word(85) & 0x20, 0);              /* this one's is not */
    ck_assert_uint_eq(word(217), 1);
    /* The CD-ROM refuses, and has one of its own. */
    ck_assert_uint_eq(run(1, &identify), TFE | DHR);
    ck_assert_uint_eq(preg(1, P_CI), 1);
    ck_assert_uint_eq(preg(1, P_TFD) & 0xff, 0x51);
    ck_assert_uint_eq(ram[FB(1) + 0x45], 0x14);
    ck_assert_uint_eq(ram[FB(1) + 0x46], 0xeb);
    stop(1);
    start(1);
    ck_assert_uint_eq(run(1, &(struct cmd){ .command = 0xa1, .prd = { { DATA, 512 } } }), PS);
    ck_assert_uint_eq(preg(1, P_TFD), 0x50);
    ck_assert_uint_eq(word(0), 0x85c0);
    ck_assert_uint_eq(word(76), 6);
    ck_assert_uint_eq(word(75), 0);
}
END_TEST

START_TEST(dma)
{
    start(0);
    ck_assert_uint_eq(run(0, READ_DMA(3, 5, DATA)), DHR);
    ck_assert(same(DATA, 0, 3, 5));
    ck_assert_uint_eq(preg(0, P_CI), 0);
    ck_assert_uint_eq(preg(0, P_TFD), 0x50);
    ck_assert_uint_eq(r32(CLB(0) + 4), 5 * 512);
    ck_assert_uint_eq(ram[FB(0) + 0x40], 0x34);
    ck_assert_uint_eq(ram[FB(0) + 0x41], 0x40);
    for (unsigned i = 0; i < 7 * 512; i++)
        ram[DATA + i] = (uint8_t)(i * 3 + (i >> 8));
    ck_assert_uint_eq(run(0, WRITE_DMA(100, 7, DATA)), DHR);
    ck_assert(same(DATA, 0, 100, 7));
    ck_assert_uint_eq(disk[0].fuas, 0);
    /* Pieces of odd sizes, one of which asks for an interrupt. */
    put(0, 0, &(struct cmd){ .command = 0x25, .lba = 9, .count = 3,
                             .prd = { { DATA, 2 }, { DATA + 0x1000, 700 }, { DATA + 0x2000, 10 }, { DATA + 0x3000, 824 } } });
    ram[TABLE(0, 0) + 0x80 + 16 + 15] |= 0x80;
    issue(0, 1);
    ck_assert_uint_eq(preg(0, P_IS), DHR | DP);
    pset(0, P_IS, 0xffffffff);
    ck_assert(memcmp(ram + DATA, disk[0].data + 9 * 512, 2) == 0);
    ck_assert(memcmp(ram + DATA + 0x1000, disk[0].data + 9 * 512 + 2, 700) == 0);
    ck_assert(memcmp(ram + DATA + 0x2000, disk[0].data + 9 * 512 + 702, 10) == 0);
    ck_assert(memcmp(ram + DATA + 0x3000, disk[0].data + 9 * 512 + 712, 824) == 0);
    ck_assert_uint_eq(r32(CLB(0) + 4), 3 * 512);
    /* 2 MiB in pieces of up to 1 MiB. */
    ck_assert_uint_eq(run(0, &(struct cmd){ .command = 0x25, .lba = 1000, .count = 4096,
                                            .prd = { { DATA, 1 << 20 }, { DATA + (1 << 20), 1 << 20 } } }), DHR);
    ck_assert(same(DATA, 0, 1000, 4096));
    /* FUA, and a flush. */
    ck_assert_uint_eq(run(0, &(struct cmd){ .command = 0x3d, .lba = 1, .count = 1, .write = true,
                                            .prd = { { DATA, 512 } } }), DHR);
    ck_assert_uint_eq(disk[0].fuas, 1);
    ck_assert_uint_eq(run(0, &(struct cmd){ .command = 0xea }), DHR);
    ck_assert_uint_eq(disk[0].flushes, 1);
}
END_TEST

START_TEST(order)
{
    /* From slot 0 on, and then from where it was; one at a time. */
    start(0);
    disk[0].lazy = true;
    for (unsigned i = 0; i < 4; i++)
        put(0, 7 * i, READ_DMA(10 * i, 1, DATA + 0x1000 * i));
    issue(0, 1 << 21 | 1 << 7 | 1 << 14);
    ck_assert_uint_eq(disk[0].n, 1);
    ck_assert_uint_eq(disk[0].wait[0]->off, 10 * 512);
    ck_assert_uint_eq(preg(0, P_CMD) >> 8 & 31, 7);
    ck_assert_uint_eq(preg(0, P_TFD) & 0x80, 0x80);
    issue(0, 1);
    answer(&disk[0], 0);
    ck_assert_uint_eq(disk[0].n, 1);
    ck_assert_uint_eq(disk[0].wait[0]->off, 20 * 512);
    answer(&disk[0], 0);
    ck_assert_uint_eq(disk[0].wait[0]->off, 30 * 512);
    ck_assert_uint_eq(preg(0, P_CI), 1 << 21 | 1);
    answer(&disk[0], 0);
    ck_assert_uint_eq(disk[0].wait[0]->off, 0);
    answer(&disk[0], 0);
    ck_assert_uint_eq(preg(0, P_CI), 0);
    for (unsigned i = 0; i < 4; i++)
        ck_assert(same(DATA + 0x1000 * i, 0, 10 * i, 1));
}
END_TEST

START_TEST(pio)
{
    start(0);
    ck_assert_uint_eq(run(0, &(struct cmd){ .command = 0x24, .lba = 50, .count = 200, .prd = { { DATA, 200 * 512 } } }), PS);
    ck_assert(same(DATA, 0, 50, 200));
    ck_assert_uint_eq(preg(0, P_CI), 0);
    ck_assert_uint_eq(r32(CLB(0) + 4), 200 * 512);
    ck_assert_uint_eq(ram[FB(0) + 0x20 + 15], 0x50);
    for (unsigned i = 0; i < 300 * 512; i++)
        ram[DATA + i] = (uint8_t)(i * 5 + (i >> 9));
    ck_assert_uint_eq(run(0, &(struct cmd){ .command = 0x34, .lba = 400, .count = 300, .write = true,
                                            .prd = { { DATA, 1000 }, { DATA + 1000, 300 * 512 - 1000 } } }), PS | DHR);
    ck_assert(same(DATA, 0, 400, 300));
    /* READ MULTIPLE: blocks of 16 sectors. */
    ck_assert_uint_eq(run(0, &(struct cmd){ .command = 0x29, .lba = 70, .count = 20, .prd = { { DATA, 20 * 512 } } }), PS);
    ck_assert(same(DATA, 0, 70, 20));
    ck_assert_uint_eq(r32(FB(0) + 0x20 + 16), 4 * 512);
    /* No data: SET FEATURES, and a command that is not there. */
    ck_assert_uint_eq(run(0, &(struct cmd){ .command = 0xef, .feature = 0x82 }), DHR);
    ck_assert_uint_eq(run(0, &(struct cmd){ .command = 0xfe }), TFE | DHR);
    ck_assert_uint_eq(preg(0, P_TFD), 0x451);
    ck_assert_uint_eq(preg(0, P_CI), 1);
    issue(0, 2);                                /* nothing is begun after an error */
    ck_assert_uint_eq(preg(0, P_CI), 3);
    stop(0);
    ck_assert_uint_eq(preg(0, P_CI), 0);
}
END_TEST

static uint32_t packet(const uint8_t *cdb, bool dma, uint64_t where, uint32_t len)
{
    struct cmd c = { .command = 0xa0, .feature = dma, .atapi = true, .lba = 0xfffe00, .prd = { { where, len } } };

    memcpy(c.packet, cdb, 12);
    return run(1, &c);
}

START_TEST(packets)
{
    const uint8_t ready[12] = { 0 }, sense[12] = { 3, 0, 0, 0, 18 };
    const uint8_t read[12] = { 0x28, 0, 0, 0, 0, 3, 0, 0, 20 }, bad[12] = { 0x28, 0, 0, 0, 1, 0, 0, 0, 1 };
    const uint8_t select[12] = { 0x55, 0x10, 0, 0, 0, 0, 0, 0, 24 };

    start(1);
    ck_assert_uint_eq(packet(ready, false, 0, 0), TFE | DHR);   /* it was reset */
    ck_assert_uint_eq(preg(1, P_TFD), 0x6451);
    stop(1);
    start(1);
    ck_assert_uint_eq(packet(sense, false, DATA, 18), PS | DHR);
    ck_assert_uint_eq(ram[DATA + 2], 6);
    ck_assert_uint_eq(ram[DATA + 12], 0x29);
    ck_assert_uint_eq(r32(CLB(1) + 4), 18);
    ck_assert_uint_eq(packet(ready, false, 0, 0), DHR);
    memset(ram + DATA, 0, 20 * 2048);
    ck_assert_uint_eq(packet(read, true, DATA, 20 * 2048), DHR);
    ck_assert(same(DATA, 1, 12, 80));
    memset(ram + DATA, 0, 20 * 2048);
    ck_assert_uint_eq(packet(read, false, DATA, 20 * 2048), PS | DHR);
    ck_assert(same(DATA, 1, 12, 80));
    ck_assert_uint_eq(r32(CLB(1) + 4), 20 * 2048);
    /* From the driver: MODE SELECT of the audio page. */
    memset(ram + DATA, 0, 24);
    ram[DATA + 8] = 0x0e;
    ram[DATA + 9] = 14;
    ck_assert_uint_eq(packet(select, false, DATA, 24), PS | DHR);
    ck_assert_uint_eq(preg(1, P_TFD), 0x50);
    ck_assert_uint_eq(packet(bad, true, DATA, 2048), TFE | DHR);
    ck_assert_uint_eq(preg(1, P_TFD), 0x5451);
    stop(1);
    start(1);
    /* DEVICE RESET ends without an interrupt. */
    ck_assert_uint_eq(run(1, &(struct cmd){ .command = 8 }), 0);
    ck_assert_uint_eq(preg(1, P_CI), 0);
    ck_assert_uint_eq(preg(1, P_TFD), 0x100);
}
END_TEST

START_TEST(queue)
{
    start(0);
    disk[0].lazy = true;
    for (unsigned i = 0; i < 32; i++)
        put_queued(i, i & 1, 100 * i, 8, DATA + 0x1000 * i);
    for (unsigned i = 0; i < 32 * 0x1000; i++)
        ram[DATA + i] = (uint8_t)(i * 11 + (i >> 10));
    issue_queued(0, 0xffffffff);
    ck_assert_uint_eq(preg(0, P_CI), 0);        /* all are in the queue */
    ck_assert_uint_eq(preg(0, P_SACT), 0xffffffff);
    ck_assert_uint_eq(preg(0, P_TFD), 0x50);
    ck_assert_uint_eq(preg(0, P_IS), 0);
    ck_assert_uint_eq(disk[0].n, 32);
    /* In any order. */
    answer(&disk[0], 17);
    ck_assert_uint_eq(preg(0, P_SACT), ~(1u << 17));
    ck_assert_uint_eq(preg(0, P_IS), SDB);
    ck_assert_uint_eq(r32(FB(0) + 0x58), 0x005040a1);
    ck_assert_uint_eq(r32(FB(0) + 0x5c), 1 << 17);
    ck_assert_uint_eq(r32(FB(0)), 0x00000041);          /* DMA setup: from memory */
    ck_assert_uint_eq(r32(FB(0) + 4), 17);
    ck_assert_uint_eq(r32(FB(0) + 20), 4096);
    pset(0, P_IS, SDB);
    answer(&disk[0], 30);
    ck_assert_uint_eq(preg(0, P_SACT), ~(1u << 17 | 1u << 31));
    answer(&disk[0], 0);
    ck_assert(same(DATA, 0, 0, 8));
    ck_assert_uint_eq(r32(FB(0)), 0x00002041);
    /* A free slot is used again while others are under way. */
    put_queued(17, false, 5000, 16, DATA + 0x100000);
    issue_queued(0, 1 << 17);
    ck_assert_uint_eq(preg(0, P_SACT), ~(1u << 31 | 1));
    while (disk[0].n)
        answer(&disk[0], disk[0].n * 7 % 5 % disk[0].n);
    ck_assert_uint_eq(preg(0, P_SACT), 0);
    ck_assert(same(DATA + 0x100000, 0, 5000, 16));
    for (unsigned i = 0; i < 32; i++)
        ck_assert(same(DATA + 0x1000 * i, 0, 100 * i, 8));
    /* FUA; a transfer of more than one portion; a count of 0 is 65536, more than there is. */
    put_queued(3, true, 7, 8, DATA);
    ram[TABLE(0, 3) + 7] = 0xc0;
    issue_queued(0, 8);
    answer_all(&disk[0]);
    ck_assert_uint_eq(disk[0].fuas, 1);
    disk[0].lazy = false;
    put(0, 4, &(struct cmd){ .command = 0x60, .lba = 0, .feature = 7000, .count = 4 << 3,
                             .prd = { { DATA, 2000 * 512 }, { DATA + 2000 * 512, 5000 * 512 } } });
    issue_queued(0, 16);
    ck_assert_uint_eq(preg(0, P_SACT), 0);
    ck_assert(same(DATA, 0, 0, 7000));
    put_queued(5, false, 0, 0, DATA);
    issue_queued(0, 32);
    ck_assert_uint_eq(preg(0, P_IS), SDB | TFE | DHR);
    ck_assert_uint_eq(preg(0, P_TFD), 0x1051);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = { registers, links, staggered, identification, dma, order, pio, packets, queue };
    Suite *s = suite_create("ahci");
    TCase *tc = tcase_create("ahci");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    for (unsigned i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
        tcase_add_test(tc, tests[i]);
    suite_add_tcase(s, tc);
    return run_suite(s);
}
