/*
 * test_nvme.c - the NVMe controller: registers, admin commands, logs, events, interrupts, resets with
 * commands under way, and what no driver would do.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE             /* memmem() */
#endif
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/dev/nvme_env.h"
#include "tests/run_suite.h"


START_TEST(registers)
{
    ck_assert_uint_eq(env_config_read(e, SLOT << 3, 0, 4), 0x00101b36);
    ck_assert_uint_eq(env_config_read(e, SLOT << 3, 8, 4) >> 8, 0x010802);
    ck_assert_uint_eq(reg(0) & 0xffff, 2047);
    ck_assert_uint_eq(reg(0) >> 16 & 1, 1);
    ck_assert_uint_eq(reg(4) >> 5 & 1, 1);
    ck_assert_uint_eq(reg(8), 0x00010400);
    ck_assert_uint_eq(phys_io_read(e->phys, BAR, 8), reg(0) | (uint64_t)reg(4) << 32);
    ck_assert_uint_eq(reg(0x28), ASQ);
    set(0x0c, 0xf0);
    set(0x10, 0x30);
    ck_assert_uint_eq(reg(0x0c), 0xc0);
    ck_assert_uint_eq(reg(0x10), 0xc0);
    set(0x14, 0);
    ck_assert_uint_eq(reg(0x1c), 0);
    ck_assert_uint_eq(reg(0x0c), 0);
    ck_assert_uint_eq(reg(0x28), ASQ);          /* the admin queue's place outlives the reset */
    ck_assert_uint_eq(reg(0x24), (DEPTH - 1) | (DEPTH - 1) << 16);
    /* Enabled with nonsense: not ready, a fatal status; a reset helps. */
    set(0x24, 0);
    set(0x14, 1);
    ck_assert_uint_eq(reg(0x1c), 2);
    set(0x14, 0);
    ck_assert_uint_eq(reg(0x1c), 0);
    set(0x24, DEPTH - 1);
    set(0x14, 1 | 5 << 7);                      /* pages of 128 KiB */
    set(0x14, 0);
    enable();
    chips_reset(e->chips);
    ck_assert_uint_eq(reg(0x1c), 0xffffffff);   /* nowhere */
}
END_TEST

static void text_is(uint64_t at, const char *s, unsigned len)
{
    for (unsigned i = 0; i < len; i++)
        ck_assert_int_eq(ram[at + i], *s ? *s++ : ' ');
}

START_TEST(identification)
{
    memset(ram + DATA, 0x55, 8192);
    ck_assert_uint_eq(run(0, (struct sqe){ .op = 6, .dw10 = 1, .prp1 = DATA }), OK);
    ck_assert_uint_eq(r(DATA, 4), 0x1af41b36);
    text_is(DATA + 4, "SERIAL", 20);
    text_is(DATA + 24, "Latimer NVMe", 40);
    ck_assert_uint_eq(ram[DATA + 77], 5);
    ck_assert_uint_eq(r(DATA + 80, 4), 0x10400);
    ck_assert_uint_eq(r(DATA + 512, 2), 0x4466);
    ck_assert_uint_eq(r(DATA + 516, 4), 1);
    ck_assert_int_eq(memcmp(ram + DATA + 768, "nqn.2014-08.org.nvmexpress:uuid:", 32), 0);
    ck_assert_uint_eq(ram[DATA + 4096], 0x55);
    ck_assert_uint_eq(run(0, (struct sqe){ .op = 6, .nsid = 1, .prp1 = DATA + 0x800,
                                           .prp2 = DATA + 0x5000 }), OK);
    ck_assert_uint_eq(r(DATA + 0x800, 8), BLOCKS);
    ck_assert_uint_eq(r(DATA + 0x800 + 128, 4), 9 << 16);
    ck_assert_uint_eq(r(DATA + 0x5000, 8), 0);
    ck_assert_uint_eq(run(0, (struct sqe){ .op = 6, .dw10 = 2, .prp1 = DATA }), OK);
    ck_assert_uint_eq(r(DATA, 8), 1);
    ck_assert_uint_eq(run(0, (struct sqe){ .op = 6, .nsid = 1, .dw10 = 2, .prp1 = DATA }), OK);
    ck_assert_uint_eq(r(DATA, 8), 0);
    ck_assert_uint_eq(run(0, (struct sqe){ .op = 6, .nsid = 1, .dw10 = 3, .prp1 = DATA }), OK);
    ck_assert_uint_eq(r(DATA, 4), 0x1003);
    ck_assert_uint_eq(r(DATA + 20, 4), 0);
    ck_assert_uint_eq(run(0, (struct sqe){ .op = 6, .nsid = 2, .prp1 = DATA }), BAD_NS);
    ck_assert_uint_eq(run(0, (struct sqe){ .op = 6, .nsid = 0xffffffff, .dw10 = 2, .prp1 = DATA }), BAD_NS);
    ck_assert_uint_eq(run(0, (struct sqe){ .op = 6, .dw10 = 0x77, .prp1 = DATA }), BAD_FIELD);
    ck_assert_uint_eq(run(0, (struct sqe){ .op = 6, .dw10 = 1, .prp1 = DATA + 1 }), BAD_PRP);
    ck_assert_uint_eq(run(0, (struct sqe){ .op = 6, .dw10 = 1, .prp1 = DATA + 4, .prp2 = DATA + 4 }),
                      BAD_PRP);
    ck_assert_uint_eq(run(0, (struct sqe){ .op = 6, .dw10 = 1, .prp1 = RAM }), BAD_DATA);
    ck_assert_uint_eq(run(0, (struct sqe){ .op = 6, .dw10 = 1, .prp1 = BAR }), BAD_DATA);
    ck_assert_uint_eq(run(0, (struct sqe){ .op = 6 | 1 << 14, .dw10 = 1, .prp1 = DATA }), BAD_FIELD);
    ck_assert_uint_eq(run(0, (struct sqe){ .op = 6 | 1 << 8, .dw10 = 1, .prp1 = DATA }), BAD_FIELD);
    ck_assert_uint_eq(run(0, (struct sqe){ .op = 0x7f }), BAD_OPCODE);
}
END_TEST

START_TEST(queues)
{
    struct sqe cq = { .op = 5, .prp1 = CQ(1), .dw10 = 1 | (DEPTH - 1) << 16, .dw11 = 3 }, bad;
    struct sqe sq = { .op = 1, .prp1 = SQ(1), .dw10 = 1 | (DEPTH - 1) << 16, .dw11 = 1 | 1 << 16 };

    ck_assert_uint_eq(run(0, (struct sqe){ .op = 9, .dw10 = 7, .dw11 = 63 | 63 << 16 }), OK);
    ck_assert_uint_eq(result, (PAIRS - 1) | (PAIRS - 1) << 16);
    ck_assert_uint_eq(run(0, (struct sqe){ .op = 9, .dw10 = 7, .dw11 = 0xffff }), BAD_FIELD);
    ck_assert_uint_eq(run(0, (struct sqe){ .op = 10, .dw10 = 7 }), OK);
    ck_assert_uint_eq(result, (PAIRS - 1) | (PAIRS - 1) << 16);
    ck_assert_uint_eq(run(0, sq), BAD_CQ);
    bad = cq, bad.dw10 = DEPTH << 16;
    ck_assert_uint_eq(run(0, bad), BAD_QID);
    bad = cq, bad.dw10 = (PAIRS + 1) | DEPTH << 16;
    ck_assert_uint_eq(run(0, bad), BAD_QID);
    bad = cq, bad.dw10 = 1;
    ck_assert_uint_eq(run(0, bad), BAD_QSIZE);
    bad = cq, bad.dw10 = 1 | 2048 << 16;
    ck_assert_uint_eq(run(0, bad), BAD_QSIZE);
    bad = cq, bad.dw11 = 2;
    ck_assert_uint_eq(run(0, bad), BAD_FIELD);
    bad = cq, bad.prp1 += 8;
    ck_assert_uint_eq(run(0, bad), BAD_PRP);
    bad = cq, bad.dw11 |= 1 << 16;              /* a vector beside 0 without MSI-X */
    ck_assert_uint_eq(run(0, bad), BAD_VECTOR);
    bad = cq, bad.dw11 |= (PAIRS + 1) << 16;
    ck_assert_uint_eq(run(0, bad), BAD_VECTOR);
    ck_assert_uint_eq(run(0, cq), OK);
    ck_assert_uint_eq(run(0, cq), BAD_QID);
    bad = sq, bad.dw11 = 1;
    ck_assert_uint_eq(run(0, bad), BAD_QID);
    bad = sq, bad.dw11 = 1 | 0xffffu << 16;
    ck_assert_uint_eq(run(0, bad), BAD_QID);
    ck_assert_uint_eq(run(0, sq), OK);
    ck_assert_uint_eq(run(0, sq), BAD_QID);
    ck_assert_uint_eq(run(0, (struct sqe){ .op = 9, .dw10 = 7, .dw11 = 1 }), BAD_SEQUENCE);
    ck_assert_uint_eq(run(0, (struct sqe){ .op = 4, .dw10 = 1 }), BAD_DELETE);
    ck_assert_uint_eq(run(0, (struct sqe){ .op = 0, .dw10 = 0 }), BAD_QID);
    ck_assert_uint_eq(run(0, (struct sqe){ .op = 0, .dw10 = 2 }), BAD_QID);
    ck_assert_uint_eq(run(0, (struct sqe){ .op = 0, .dw10 = 0xffff }), BAD_QID);
    ck_assert_uint_eq(run(0, (struct sqe){ .op = 4, .dw10 = 0xffff }), BAD_QID);
    ck_assert_uint_eq(run(0, (struct sqe){ .op = 0, .dw10 = 1 }), OK);
    ck_assert_uint_eq(run(0, (struct sqe){ .op = 4, .dw10 = 1 }), OK);
    ck_assert_uint_eq(run(0, (struct sqe){ .op = 4, .dw10 = 1 }), BAD_QID);
    ck_assert_uint_eq(create(1, 0), OK);
}
END_TEST

/* A queue is deleted while the disk has its commands: their answers come first. */
START_TEST(delete_busy)
{
    uint16_t first, cid, got;
    unsigned status, sq;

    ck_assert_uint_eq(create(1, 0), OK);
    lazy = true;
    first = send(1, (struct sqe){ .op = 2, .nsid = 1, .dw12 = 7, .prp1 = DATA });
    cid = send(0, (struct sqe){ .op = 0, .dw10 = 1 });
    ck_assert(none(0));
    ck_assert_uint_eq(nwaiting, 1);
    put(1, (struct sqe){ .op = 2, .nsid = 1, .prp1 = DATA });
    ring(1);                                    /* not begun any more */
    ck_assert_uint_eq(nwaiting, 1);
    ck_assert_uint_eq(run(0, (struct sqe){ .op = 10, .dw10 = 7 }), OK);
    serve();
    ck_assert(take_cqe(1, &got, &status, &result, &sq));
    ck_assert_uint_eq(got, first);
    ck_assert_uint_eq(status, OK);
    ck_assert(none(1));
    ck_assert_uint_eq(wait_for(0, cid), OK);
    ck_assert_uint_eq(run(0, (struct sqe){ .op = 4, .dw10 = 1 }), OK);
    lazy = false;
    ck_assert_uint_eq(create(1, 0), OK);
    ck_assert_uint_eq(rw(1, 2, 1, 1, DATA, 0), OK);
}
END_TEST

START_TEST(pin)
{
    uint16_t cid;

    ck_assert_uint_eq(create(1, 0), OK);
    ck_assert(!e->line[3]);
    cid = send(1, (struct sqe){ .op = 0, .nsid = 1 });
    ck_assert(!e->line[3]);
    serve();
    ck_assert(e->line[3]);
    set(0x0c, 1);
    ck_assert(!e->line[3]);
    set(0x10, 1);
    ck_assert(e->line[3]);
    ck_assert_uint_eq(wait_for(1, cid), OK);
    ck_assert(!e->line[3]);
    send(1, (struct sqe){ .op = 0, .nsid = 1 });
    serve();
    msix_on();                                  /* the pin is no more */
    ck_assert(!e->line[3]);
}
END_TEST

START_TEST(coalescing)
{
    msix_on();
    ck_assert_uint_eq(create(1, 1), OK);
    /* 3, or 500 us */
    ck_assert_uint_eq(run(0, (struct sqe){ .op = 9, .dw10 = 8, .dw11 = 2 | 5 << 8 }), OK);
    ck_assert_uint_eq(rw(1, 2, 0, 1, DATA, 0), OK);
    ck_assert_uint_eq(rw(1, 2, 0, 1, DATA, 0), OK);
    ck_assert_uint_eq(messages[1], 0);
    ck_assert_uint_eq(rw(1, 2, 0, 1, DATA, 0), OK);
    ck_assert_uint_eq(messages[1], 1);
    clock_advance(e->clock, 600000);
    ck_assert_uint_eq(messages[1], 1);
    ck_assert_uint_eq(rw(1, 2, 0, 1, DATA, 0), OK);
    clock_advance(e->clock, 400000);
    ck_assert_uint_eq(messages[1], 1);
    env_check_state(e);
    clock_advance(e->clock, 200000);
    ck_assert_uint_eq(messages[1], 2);
    /* not vector 1 */
    ck_assert_uint_eq(run(0, (struct sqe){ .op = 9, .dw10 = 9, .dw11 = 1 | 1 << 16 }), OK);
    ck_assert_uint_eq(rw(1, 2, 0, 1, DATA, 0), OK);
    ck_assert_uint_eq(messages[1], 3);
}
END_TEST

START_TEST(features)
{
    static const struct { unsigned id; uint32_t first, set, get; } f[] = {
        { 1, 0, 0x01020304, 0x01020304 }, { 2, 0, 0, 0 }, { 4, 343, 400, 400 }, { 5, 0, 77, 77 },
        { 6, 1, 0, 0 },
        { 8, 0, 0x1234, 0x1234 }, { 9, 0, 1 << 16, 1 << 16 }, { 10, 0, 1, 1 }, { 11, 0, 0x1ff, 0x1ff },
    };

    for (unsigned i = 0; i < sizeof(f) / sizeof(f[0]); i++) {
        struct sqe get = { .op = 10, .nsid = 1, .dw10 = f[i].id };
        struct sqe set = { .op = 9, .nsid = 1, .dw10 = f[i].id, .dw11 = f[i].set };

        ck_assert_uint_eq(run(0, get), OK);
        ck_assert_uint_eq(result, f[i].first);
        ck_assert_uint_eq(run(0, set), OK);
        ck_assert_uint_eq(run(0, get), OK);
        ck_assert_uint_eq(result, f[i].get);
        get.dw10 |= 1 << 8;                     /* the default */
        ck_assert_uint_eq(run(0, get), OK);
        ck_assert_uint_eq(result, f[i].first);
        get.dw10 += 2 << 8;                     /* what is supported: changes */
        ck_assert_uint_eq(run(0, get), OK);
        ck_assert_uint_eq(result & 5, 4);
        set.dw10 |= 1u << 31;
        ck_assert_uint_eq(run(0, set), NOT_SAVEABLE);
    }
    ck_assert_uint_eq(run(0, (struct sqe){ .op = 9, .dw10 = 2, .dw11 = 1 }), BAD_FIELD);
    ck_assert_uint_eq(run(0, (struct sqe){ .op = 9, .dw10 = 0x33 }), BAD_FIELD);
    ck_assert_uint_eq(run(0, (struct sqe){ .op = 10, .dw10 = 0x33 }), BAD_FIELD);
    ck_assert_uint_eq(run(0, (struct sqe){ .op = 10, .dw10 = 9, .dw11 = PAIRS + 1 }), BAD_FIELD);
    ck_assert_uint_eq(run(0, (struct sqe){ .op = 10, .dw10 = 4, .dw11 = 3 << 16 }), BAD_FIELD);
    set(0x14, 0);
    enable();
    ck_assert_uint_eq(run(0, (struct sqe){ .op = 10, .dw10 = 6 }), OK);
    ck_assert_uint_eq(result, 1);
}
END_TEST

static unsigned get_log(unsigned id, unsigned len, uint64_t off, unsigned more)
{
    return run(0, (struct sqe){ .op = 2, .nsid = 0xffffffff, .dw10 = id | (len / 4 - 1) << 16 | more,
                                .dw12 = off, .dw13 = off >> 32, .prp1 = DATA });
}

START_TEST(logs)
{
    ck_assert_uint_eq(create(1, 0), OK);
    ck_assert_uint_eq(rw(1, 2, 0, 8, DATA, 0), OK);
    ck_assert_uint_eq(rw(1, 1, 0, 8, DATA, 0), OK);
    ck_assert_uint_eq(rw(1, 1, 0x123456789, 1, DATA, 0), BAD_LBA);
    ck_assert_uint_eq(run(1, (struct sqe){ .op = 0x55, .nsid = 1 }), BAD_OPCODE);
    memset(ram + DATA, 0xee, 8192);
    ck_assert_uint_eq(get_log(1, 256, 0, 0), OK);
    ck_assert_uint_eq(r(DATA, 8), 2);
    ck_assert_uint_eq(r(DATA + 12, 2) >> 1 & 0x7ff, BAD_OPCODE);
    ck_assert_uint_eq(r(DATA + 64, 8), 1);
    ck_assert_uint_eq(r(DATA + 64 + 8, 2), 1);
    ck_assert_uint_eq(r(DATA + 64 + 16, 8), 0x123456789);
    ck_assert_uint_eq(r(DATA + 128, 8), 0);
    ck_assert_uint_eq(ram[DATA + 256], 0xee);
    ck_assert_uint_eq(get_log(2, 512, 0, 0), OK);
    ck_assert_uint_eq(ram[DATA], 0);
    ck_assert_uint_eq(r(DATA + 1, 2), 308);
    ck_assert_uint_eq(r(DATA + 32, 8), 1);      /* thousands of 512 bytes */
    ck_assert_uint_eq(r(DATA + 64, 8), 1);
    ck_assert_uint_eq(r(DATA + 80, 8), 1);
    ck_assert_uint_eq(r(DATA + 176, 8), 2);
    ck_assert_uint_eq(get_log(3, 512, 0, 0), OK);
    ck_assert_uint_eq(ram[DATA], 1);
    text_is(DATA + 8, "1.0", 8);
    ck_assert_uint_eq(get_log(5, 1024, 1024, 0), OK);
    ck_assert_uint_eq(r(DATA + 4, 4), 3);       /* write */
    ck_assert_uint_eq(r(DATA + 16, 4), 0);
    /* Longer than the page, behind its end, unknown. */
    memset(ram + DATA, 0xee, 8192);
    ck_assert_uint_eq(get_log(2, 8192, 256, 0), OK);
    ck_assert_uint_eq(ram[DATA + 255], 0);
    ck_assert_uint_eq(ram[DATA + 256], 0xee);
    ck_assert_uint_eq(get_log(2, 512, 516, 0), BAD_FIELD);
    ck_assert_uint_eq(get_log(2, 512, UINT64_MAX - 3, 0), BAD_FIELD);
    ck_assert_uint_eq(get_log(2, 512, 2, 0), BAD_FIELD);
    ck_assert_uint_eq(get_log(2, 512, 512, 0), OK);
    ck_assert_uint_eq(get_log(0, 512, 0, 0), BAD_LOG);
    ck_assert_uint_eq(get_log(0x70, 512, 0, 0), BAD_LOG);
    ck_assert_uint_eq(run(0, (struct sqe){ .op = 2, .dw10 = 0xffff0002, .dw11 = 0xffff, .prp1 = DATA }), OK);
    /* More errors than the log holds. */
    for (unsigned i = 0; i < 100; i++)
        ck_assert_uint_eq(run(1, (struct sqe){ .op = 0x55, .nsid = 1 }), BAD_OPCODE);
    ck_assert_uint_eq(get_log(1, 4096, 0, 0), OK);
    for (unsigned i = 1; i < 64; i++)
        ck_assert_uint_eq(r(DATA + 64 * i, 8) + i, r(DATA, 8));
}
END_TEST

/* The event that answers request `cid`, as dword 0. */
static uint32_t event(uint16_t cid)
{
    ck_assert_uint_eq(wait_for(0, cid), OK);
    return result;
}

START_TEST(events)
{
    struct sqe ask = { .op = 12 };
    uint16_t cid[4];

    for (unsigned i = 0; i < 4; i++)
        cid[i] = send(0, ask);
    ck_assert(none(0));
    ck_assert_uint_eq(run(0, ask), AERS_FULL);
    /* A doorbell of no queue: told once, until the log is read. */
    set(0x1000 + 8 * 3, 1);
    ck_assert_uint_eq(event(cid[0]), 0x10000);
    set(0x1000 + 8 * 3, 1);
    set(0x1000 + 8 * 200, 1);
    ck_assert(none(0));
    ck_assert_uint_eq(get_log(1, 64, 0, 1 << 15), OK);
    ck_assert(none(0));
    {
        uint16_t log = send(0, (struct sqe){ .op = 2, .dw10 = 1 | 15 << 16, .prp1 = DATA });

        ck_assert_uint_eq(wait_for(0, log), OK);
        ck_assert_uint_eq(event(cid[1]), 0x10000);
    }
    ck_assert_uint_eq(get_log(1, 64, 0, 0), OK);
    /* Values that cannot be. */
    set(0x1000, DEPTH);
    ck_assert_uint_eq(event(cid[2]), 0x10100);
    ck_assert_uint_eq(get_log(1, 64, 0, 0), OK);
    set(0x1004, (queue[0].cq_head + 1) % DEPTH);        /* an entry that is not there */
    ck_assert_uint_eq(event(cid[3]), 0x10100);
    ck_assert_uint_eq(get_log(1, 64, 0, 0), OK);
    ck_assert(none(0));
    /* Temperature, when asked for. */
    ck_assert_uint_eq(run(0, (struct sqe){ .op = 9, .dw10 = 11, .dw11 = 0x102 }), OK);
    cid[0] = send(0, ask);
    ck_assert_uint_eq(run(0, (struct sqe){ .op = 9, .dw10 = 4, .dw11 = 309 }), OK);
    ck_assert(none(0));
    {
        uint16_t set = send(0, (struct sqe){ .op = 9, .dw10 = 4, .dw11 = 300 });

        ck_assert_uint_eq(wait_for(0, set), OK);
        ck_assert_uint_eq(event(cid[0]), 0x20101);
    }
    ck_assert_uint_eq(get_log(2, 512, 0, 0), OK);
    ck_assert_uint_eq(ram[DATA], 2);
    /* The user changes the medium. */
    cid[0] = send(0, ask);
    drive.user->changed(drive.dev);
    ck_assert_uint_eq(event(cid[0]), 0x40002);
    ck_assert_uint_eq(get_log(4, 4096, 0, 0), OK);
    ck_assert_uint_eq(r(DATA, 8), 1);
    ck_assert_uint_eq(get_log(4, 4096, 0, 0), OK);
    ck_assert_uint_eq(r(DATA, 8), 0);
}
END_TEST

START_TEST(aborts)
{
    uint16_t cid[2], abort, got;
    unsigned status, sq;

    cid[0] = send(0, (struct sqe){ .op = 12 });
    cid[1] = send(0, (struct sqe){ .op = 12 });
    abort = send(0, (struct sqe){ .op = 8, .dw10 = (uint32_t)cid[0] << 16 });
    ck_assert(take_cqe(0, &got, &status, &result, &sq));
    ck_assert_uint_eq(got, cid[0]);
    ck_assert_uint_eq(status, ABORTED);
    ck_assert_uint_eq(wait_for(0, abort), OK);
    ck_assert_uint_eq(result, 0);
    ck_assert_uint_eq(run(0, (struct sqe){ .op = 8, .dw10 = (uint32_t)cid[0] << 16 }), OK);
    ck_assert_uint_eq(result, 1);
    ck_assert_uint_eq(run(0, (struct sqe){ .op = 8, .dw10 = 3 }), OK);
    ck_assert_uint_eq(result, 1);
    set(0x1000 + 8 * 3, 1);
    ck_assert_uint_eq(event(cid[1]), 0x10000);
}
END_TEST

/* Reset with commands under way: RDY stays until the disk has given them back, and nothing is answered. */
START_TEST(reset_busy)
{
    ck_assert_uint_eq(create(1, 0), OK);
    lazy = true;
    for (unsigned i = 0; i < 5; i++)
        send(1, (struct sqe){ .op = i & 1 ? 1 : 2, .nsid = 1, .dw10 = i, .prp1 = DATA });
    ck_assert_uint_eq(nwaiting, 5);
    set(0x14, 0);
    ck_assert_uint_eq(reg(0x1c), 1);
    serve_one(0);
    ck_assert_uint_eq(reg(0x1c), 1);
    set(0x14, 1 | 6 << 16 | 4 << 20);           /* too early: it begins when the reset is over */
    send(0, (struct sqe){ .op = 10, .dw10 = 6 });
    while (nwaiting > 1)
        serve_one(0);
    ck_assert(none(0));
    ck_assert(none(1));
    set(0x14, 0);
    serve_one(0);
    ck_assert_uint_eq(reg(0x1c), 0);
    ck_assert(none(1));
    lazy = false;
    enable();
    ck_assert_uint_eq(create(1, 0), OK);
    ck_assert_uint_eq(rw(1, 2, 5, 3, DATA, 0), OK);
    /* The same by a reset of the machine. */
    send(1, (struct sqe){ .op = 2, .nsid = 1, .prp1 = DATA });
    chips_reset(e->chips);
    ck_assert_uint_eq(nwaiting, 1);
    env_config_write(e, SLOT << 3, 0x10, BAR, 4);
    env_config_write(e, SLOT << 3, 4, 6, 2);
    serve();
    enable();
    ck_assert_uint_eq(create(1, 0), OK);
    ck_assert_uint_eq(rw(1, 2, 5, 3, DATA, 0), OK);
    for (unsigned i = 0; i < 300; i++) {        /* no slot was lost */
        send(1, (struct sqe){ .op = 2, .nsid = 1, .prp1 = DATA });
        set(0x14, 0);
        serve();
        enable();
        ck_assert_uint_eq(create(1, 0), OK);
    }
}
END_TEST

START_TEST(shutdown)
{
    set(0x14, 1 | 6 << 16 | 4 << 20 | 1 << 14);
    ck_assert_uint_eq(reg(0x1c), 1 | 1 << 2);
    serve();
    ck_assert_uint_eq(flushes, 1);
    ck_assert_uint_eq(reg(0x1c), 1 | 2 << 2);
    set(0x14, 0);
    ck_assert_uint_eq(reg(0x1c), 0);
    enable();
    ck_assert_uint_eq(get_log(2, 512, 0, 0), OK);
    ck_assert_uint_eq(r(DATA + 144, 8), 0);     /* unsafe shutdowns */
    chips_reset(e->chips);
    env_config_write(e, SLOT << 3, 0x10, BAR, 4);
    env_config_write(e, SLOT << 3, 4, 6, 2);
    enable();
    ck_assert_uint_eq(get_log(2, 512, 0, 0), OK);
    ck_assert_uint_eq(r(DATA + 144, 8), 1);
}
END_TEST

/* Queues that are in no RAM, or bus mastering off: the controller stops, and a reset makes it well. */
START_TEST(fatal)
{
    set(0x14, 0);
    set(0x28, 0xd0000000u);
    set(0x24, 7 | 7 << 16);
    set(0x14, 1);
    ck_assert_uint_eq(reg(0x1c), 1);
    set(0x1000, 1);
    ck_assert_uint_eq(reg(0x1c), 3);
    set(0x14, 0);
    ck_assert_uint_eq(reg(0x1c), 0);
    set(0x28, ASQ);
    set(0x30, 0xd0000000u);
    set(0x14, 1);
    set(0x1000, 1);
    ck_assert_uint_eq(reg(0x1c), 3);
    set(0x14, 0);
    enable();
    env_config_write(e, SLOT << 3, 4, 2, 2);
    send(0, (struct sqe){ .op = 10, .dw10 = 6 });
    ck_assert_uint_eq(reg(0x1c), 3);
    env_config_write(e, SLOT << 3, 4, 6, 2);
    set(0x14, 0);
    enable();
    ck_assert_uint_eq(run(0, (struct sqe){ .op = 10, .dw10 = 6 }), OK);
}
END_TEST

/* Whatever the guest writes: registers, doorbells, queues full of noise, in every state of the disk's
   answers. */
START_TEST(fuzz)
{
    struct timespec begin, now;
    unsigned n = 0;

    srand(_i + 1);
    clock_gettime(CLOCK_MONOTONIC, &begin);
    do {
        unsigned what = rand() % 16, q = rand() % (PAIRS + 1);

        if (what == 0 && rand() % 8 == 0) {
            set(0x14, 0);
            serve();
            enable();
            if (rand() & 1)
                msix_on();
            for (unsigned i = 1; i <= PAIRS; i++)
                if (rand() & 1)
                    send(0, (struct sqe){ .op = 5, .prp1 = CQ(i), .dw10 = i | (rand() % 8 + 1) << 16,
                                          .dw11 = 3 });
            for (unsigned i = 1; i <= PAIRS; i++)
                send(0, (struct sqe){ .op = 1, .prp1 = SQ(i), .dw10 = i | (rand() % 8 + 1) << 16,
                                      .dw11 = 1 | i << 16 });
        } else if (what < 5) {
            uint64_t at = sq_at(q) + 64 * (rand() % 9);
            static const uint8_t ops[] = { 0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 1, 2, 2, 9 };

            for (unsigned i = 0; i < 64; i++)
                ram[at + i] = rand() % 4 ? 0 : rand();
            ram[at] = ops[rand() % sizeof(ops)];
            ram[at + 1] = rand() % 8 ? 0 : rand();
            w32(at + 4, rand() % 8 ? 1 : (uint32_t)rand());
            w64(at + 24, rand() % 8 ? (uint64_t)(rand() % RAM & ~(rand() & 1 ? 3 : 4095)) :
                (uint64_t)rand() << 20);
            w64(at + 32, rand() % 8 ? (uint64_t)(rand() % RAM & ~(rand() & 1 ? 7 : 4095)) :
                (uint64_t)rand() << 33);
            if (rand() & 1)
                w32(at + 40, rand() % (2 * BLOCKS));
            if (rand() & 1)
                w32(at + 44, 0);
            w32(at + 48, rand() % 512 | (uint32_t)rand() << 20);
        } else if (what < 9) {
            set(0x1000 + 8 * q, rand() % 9);
        } else if (what < 12) {
            set(0x1004 + 8 * q, rand() % 9);
        } else if (what == 12) {
            set(rand() % 0x1100 & ~3u, rand() & 1 ? (uint32_t)rand() : 1u << rand() % 32);
        } else if (what == 13) {
            reg(rand() % 0x1100 & ~3u);
            clock_advance(e->clock, rand() % 1000000);
        } else if (nwaiting) {
            fail = rand() % 4 ? 0 : -EIO;
            serve_one(rand() % nwaiting);
        }
        if (++n % 4096 == 0) {
            serve();
            env_check_state(e);
        }
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while (now.tv_sec - begin.tv_sec < 2);
    /* It still works. */
    fail = 0;
    set(0x14, 0);
    serve();
    chips_reset(e->chips);
    env_config_write(e, SLOT << 3, 0x10, BAR, 4);
    env_config_write(e, SLOT << 3, 4, 6, 2);
    enable();
    ck_assert_uint_eq(create(1, 0), OK);
    ck_assert_uint_eq(rw(1, 2, 5, 3, DATA, 0), OK);
    ck_assert_int_eq(memcmp(ram + DATA, medium + 5 * 512, 3 * 512), 0);
}
END_TEST

/* Queues that no command could have made, in a snapshot: each is an index or a divisor. */
START_TEST(saved_queues)
{
    static const struct { const char *field; unsigned n; uint16_t val; const char *why; } bad[] = {
        { "sq_size", 1, 2049, "sq_size" }, { "sq_cq", 1, PCI_MSIX_MAX, "sq_cq" }, { "sq_cq", 1, 9, "does not exist" },
        { "cq_size", 0, 0, "no admin queues" }, { "cq_size", 1, 1, "one entry" },
        { "cq_head", 1, 0x4000, "behind its end" },
        { "sq_tail", 0, 0x4000, "behind its end" },
        { "cc", 0, 0, "not enabled" }, { "cq_vector", 1, PCI_MSIX_MAX, "cq_vector" }, { "naer", 0, 5, "naer" }, { "turn", 0, PCI_MSIX_MAX - 1, "turn" },
    };
    uint8_t *good;
    size_t n;

    enable();
    ck_assert_uint_eq(create(1, 0), OK);
    n = chips_save(e->chips, &good);
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        size_t len = strlen(bad[i].field);
        uint8_t *field = memmem(good, n, "\4nvme", 5), *at, old[2];
        const char *err;

        ck_assert_ptr_nonnull(field);
        field = memmem(field, n - (size_t)(field - good), bad[i].field, len);
        ck_assert_ptr_nonnull(field);
        at = field + len + 4 + bad[i].n * field[len];
        memcpy(old, at, 2);
        at[0] = (uint8_t)bad[i].val;
        if (field[len] > 1)
            at[1] = (uint8_t)(bad[i].val >> 8);
        err = chips_load(e->chips, good, n);
        ck_assert_msg(err && strstr(err, bad[i].why), "%s: %s", bad[i].field, err ? err : "taken");
        memcpy(at, old, 2);
    }
    ck_assert_ptr_null(chips_load(e->chips, good, n));
    free(good);
    ck_assert_uint_eq(rw(1, 2, 5, 3, DATA, 0), OK);
    /* Nor does the guest get it there: page size and command set stay while it is enabled. */
    set(0x14, reg(0x14) | 0xf << 7 | 7 << 4);
    ck_assert_uint_eq(reg(0x14) >> 4 & 0x7f, 0);
    n = chips_save(e->chips, &good);
    ck_assert_ptr_null(chips_load(e->chips, good, n));
    free(good);
    ck_assert_uint_eq(rw(1, 2, 5, 3, DATA, 0), OK);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        registers, identification, queues, delete_busy, pin, coalescing, features, logs, events, aborts,
        reset_busy, shutdown, fatal, saved_queues,
    };
    Suite *s = suite_create("nvme");
    TCase *t = tcase_create("nvme");

    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, nvme_setup, nvme_teardown);
    for (unsigned i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
        tcase_add_test(t, tests[i]);
    tcase_add_loop_test(t, fuzz, 0, 2);
    suite_add_tcase(s, t);
    return run_suite(s);
}
