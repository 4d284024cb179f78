/*
 * test_ahci_errors.c - the AHCI controller: errors, interrupts, resets with requests under way, and what no driver
 * would do.
 */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/dev/ahci_env.h"
#include "tests/run_suite.h"

START_TEST(queue_errors)
{
    start(0);
    read_log(0);
    ck_assert_uint_eq(r32(DATA), 1);
    ck_assert_uint_eq(ram[DATA + 0x20], 1);
    disk[0].lazy = true;
    disk[0].fail = -EIO;
    disk[0].fail_at = 202 * 512;
    for (unsigned i = 0; i < 4; i++)
        put_queued(i, false, 100 * i, 8, DATA + 0x1000 * i);
    issue_queued(0, 15);
    answer(&disk[0], 1);                        /* of slot 2: the one behind the last command's was first */
    ck_assert_uint_eq(preg(0, P_IS), SDB | TFE);
    ck_assert_uint_eq(preg(0, P_SACT), 15);
    ck_assert_uint_eq(preg(0, P_TFD), 0x4051);
    ck_assert_uint_eq(r32(FB(0) + 0x5c), 0);
    answer(&disk[0], 0);                        /* of which nothing is told */
    ck_assert_uint_eq(preg(0, P_SACT), 15);
    pset(0, P_IS, 0xffffffff);
    stop(0);
    ck_assert_uint_eq(preg(0, P_SACT), 0);
    ck_assert_uint_eq(disk[0].n, 0);            /* nothing writes to its memory any more */
    disk[0].lazy = false;
    disk[0].fail = 0;
    start(0);
    /* Nothing but the log is read. */
    ck_assert_uint_eq(run(0, READ_DMA(0, 1, DATA)), TFE | DHR);
    stop(0);
    start(0);
    read_log(0x10);
    ck_assert_uint_eq(ram[DATA], 2);
    ck_assert_uint_eq(ram[DATA + 2], 0x51);
    ck_assert_uint_eq(ram[DATA + 3], 0x40);
    ck_assert_uint_eq(ram[DATA + 4], 200);
    ck_assert_uint_eq(run(0, READ_DMA(0, 1, DATA)), DHR);
    /* A command of another kind among queued ones. */
    disk[0].lazy = true;
    put_queued(0, false, 0, 8, DATA);
    put(0, 1, READ_DMA(0, 1, DATA));
    issue_queued(0, 1);
    issue(0, 2);
    ck_assert_uint_eq(preg(0, P_IS), TFE | DHR);
    pset(0, P_IS, 0xffffffff);
    stop(0);
    disk[0].lazy = false;
    start(0);
    read_log(0x10);
    ck_assert_uint_eq(ram[DATA], 0x80);
    /* Beyond the end. */
    put_queued(9, true, SECTORS - 1, 2, DATA);
    issue_queued(0, 1 << 9);
    ck_assert_uint_eq(preg(0, P_IS), TFE | DHR);
    ck_assert_uint_eq(preg(0, P_CI), 1 << 9);
    pset(0, P_IS, 0xffffffff);
    stop(0);
    start(0);
    read_log(0x10);
    ck_assert_uint_eq(ram[DATA], 9);
    ck_assert_uint_eq(ram[DATA + 3], 0x10);
    /* The tag must be the slot's. */
    put_queued(1, false, 0, 1, DATA);
    ram[TABLE(0, 1) + 12] = 2 << 3;
    issue_queued(0, 2);
    ck_assert_uint_eq(preg(0, P_IS), HBF);
    stop(0);
    /* No such commands for a packet device. */
    start(1);
    ck_assert_uint_eq(run(1, &(struct cmd){ .command = 0x60, .feature = 1 }), TFE | DHR);
}
END_TEST

START_TEST(errors)
{
    start(0);
    disk[0].fail = -EIO;
    disk[0].fail_at = 12 * 512;
    ck_assert_uint_eq(run(0, READ_DMA(10, 5, DATA)), TFE | DHR);
    ck_assert_uint_eq(preg(0, P_TFD), 0x4051);
    ck_assert_uint_eq(preg(0, P_CI), 1);
    ck_assert_uint_eq(preg(0, P_CMD) >> 8 & 31, 0);
    stop(0);
    start(0);
    ck_assert_uint_eq(run(0, WRITE_DMA(10, 5, DATA)), TFE | DHR);
    stop(0);
    start(0);
    disk[0].fail = 0;
    ck_assert_uint_eq(run(0, READ_DMA(SECTORS, 1, DATA)), TFE | DHR);
    ck_assert_uint_eq(preg(0, P_TFD), 0x1051);
    stop(0);
    start(0);
    /* Too little memory: a read goes on without, a write waits. */
    ck_assert_uint_eq(run(0, &(struct cmd){ .command = 0x25, .lba = 5, .count = 40, .prd = { { DATA, 700 } } }), DHR | OF);
    ck_assert(memcmp(ram + DATA, disk[0].data + 5 * 512, 700) == 0);
    ck_assert_uint_eq(r32(CLB(0) + 4), 700);
    ck_assert_uint_eq(run(0, &(struct cmd){ .command = 0x24, .lba = 5, .count = 40, .prd = { { DATA, 700 } } }), PS | OF);
    ck_assert_uint_eq(preg(0, P_CI), 0);
    for (unsigned i = 0; i < 2; i++) {
        ck_assert_uint_eq(run(0, &(struct cmd){ .command = i ? 0x34 : 0x35, .lba = 5, .count = 40, .write = true,
                                                .prd = { { DATA, 700 } } }) & ~PS, OF);
        ck_assert_uint_eq(preg(0, P_CI), 1);
        ck_assert_uint_eq(preg(0, P_TFD) & 0x80, 0x80);
        env_check_state(e);
        stop(0);
        ck_assert_uint_eq(preg(0, P_TFD) & 0x80, 0x80);
        pset(0, P_CMD, FRE | CLO);
        ck_assert_uint_eq(preg(0, P_TFD) & 0x88, 0);
        start(0);
    }
    put_queued(0, false, 0, 8, DATA);
    w32(TABLE(0, 0) + 0x8c, 511);
    issue_queued(0, 1);
    ck_assert_uint_eq(preg(0, P_IS), OF | SDB | TFE);
    pset(0, P_IS, 0xffffffff);
    stop(0);
    start(0);
    read_log(0x10);
    /* Memory that is not there: data, table, list, receive area. */
    for (unsigned i = 0; i < 5; i++) {
        put(0, 0, READ_DMA(0, 1, DATA));
        if (i == 0)
            w32(TABLE(0, 0) + 0x80, RAM);
        if (i == 1)
            w32(CLB(0) + 12, 0x1000);
        if (i == 2)
            pset(0, P_CLBU, 1);
        if (i == 3)
            pset(0, P_FB, RAM);
        if (i == 4) {
            put_queued(0, false, 0, 1, RAM - 256);
            pset(0, P_SACT, 1);
        }
        issue(0, 1);
        ck_assert_uint_eq(preg(0, P_IS) & HBF, HBF);
        pset(0, P_IS, 0xffffffff);
        stop(0);
        pset(0, P_CLBU, 0);
        pset(0, P_CMD, FRE | CLO);
        start(0);
    }
    pset(0, P_SCTL, 1);
    pset(0, P_SCTL, 0);
    start(0);
    ck_assert_uint_eq(run(0, READ_DMA(0, 1, DATA)), DHR);
    /* FISes that are no commands; one for a port multiplier is not answered. */
    put(0, 0, READ_DMA(0, 1, DATA));
    ram[TABLE(0, 0)] = 0x34;
    issue(0, 1);
    ck_assert_uint_eq(preg(0, P_IS), IF);
    pset(0, P_IS, 0xffffffff);
    stop(0);
    start(0);
    put(0, 0, READ_DMA(0, 1, DATA));
    ram[TABLE(0, 0) + 1] |= 15;
    issue(0, 1);
    ck_assert_uint_eq(preg(0, P_IS), 0);
    ck_assert_uint_eq(preg(0, P_TFD), 0x80);
    ck_assert_uint_eq(preg(0, P_CI), 1);
}
END_TEST

static void soft_reset(unsigned port)
{
    put(port, 0, &(struct cmd){ .command = 0 });
    ram[TABLE(port, 0) + 1] = 0;
    ram[TABLE(port, 0) + 15] = 4;
    w32(CLB(port), 5 | 1 << 8 | 1 << 10);
    issue(port, 1);
    ck_assert_uint_eq(preg(port, P_CI), 0);
    ck_assert_uint_eq(preg(port, P_TFD) & 0x88, 0);
    ram[TABLE(port, 0) + 15] = 0;
    w32(CLB(port), 5);
    issue(port, 1);
    ck_assert_uint_eq(preg(port, P_CI), 0);
}

START_TEST(resets)
{
    start(0);
    start(1);
    memset(ram + FB(0), 0, 256);
    memset(ram + FB(1), 0, 256);
    soft_reset(0);
    soft_reset(1);
    ck_assert_uint_eq(ram[FB(0) + 0x40], 0x34);
    ck_assert_uint_eq(r32(FB(1) + 0x44) & 0xffffff, 0xeb1401);
    ck_assert_uint_eq(preg(0, P_TFD), 0x150);
    ck_assert_uint_eq(preg(0, P_IS), 0);
    ck_assert_uint_eq(run(0, READ_DMA(0, 1, DATA)), DHR);
    /* With requests under way: by ST, SRST, COMRESET, the controller's and the machine's. */
    for (unsigned how = 0; how < 5; how++) {
        for (unsigned queued = 0; queued < 2; queued++) {
            unsigned drains = disk[0].drains;

            disk[0].lazy = true;
            for (unsigned i = 0; i < 4; i++) {
                if (queued)
                    put_queued(i, i == 3, 100 * i, 8, DATA + 0x1000 * i);
                else
                    put(0, i, READ_DMA(100 * i, 8, DATA + 0x1000 * i));
            }
            if (queued)
                pset(0, P_SACT, 15);
            issue(0, 15);
            ck_assert_uint_eq(disk[0].n, queued ? 4 : 1);
            if (how == 0 || how == 1)
                stop(0);
            if (how == 1) {
                pset(0, P_CMD, FRE | CLO);
                start(0);
                soft_reset(0);
            }
            if (how == 2) {
                pset(0, P_SCTL, 1);
                pset(0, P_SCTL, 0);
            }
            if (how == 3)
                set(GHC, 1);
            if (how == 4)
                chips_reset(e->chips);
            ck_assert_uint_gt(disk[0].drains, drains);
            ck_assert_uint_eq(disk[0].n, queued);       /* the write */
            memset(ram + DATA, 0xaa, 0x4000);
            disk[0].lazy = false;
            answer_all(&disk[0]);
            ck_assert_uint_eq(ram[DATA], 0xaa);
            ck_assert_int_eq(memcmp(ram + DATA, ram + DATA + 1, 0x4000 - 1), 0);
            if (how == 4) {
                env_config_write(e, DEVFN, 0x24, BAR, 4);
                env_config_write(e, DEVFN, 4, 7, 2);
            }
            ck_assert_uint_eq(preg(0, P_CI) | preg(0, P_SACT), 0);
            stop(0);
            pset(0, P_CMD, FRE | CLO);
            start(0);
            pset(0, P_IS, 0xffffffff);
            ck_assert_uint_eq(run(0, READ_DMA(1, 1, DATA)), DHR);
            ck_assert(same(DATA, 0, 1, 1));
        }
    }
}
END_TEST

START_TEST(interrupts)
{
    unsigned cap = env_config_read(e, DEVFN, 0x34, 1);

    start(0);
    start(2);
    ck_assert_uint_eq(run(0, READ_DMA(0, 1, DATA)), DHR);
    ck_assert(!e->line[LINE]);
    pset(0, P_IE, DHR);
    put(0, 0, READ_DMA(0, 1, DATA));
    issue(0, 1);
    ck_assert_uint_eq(reg(IS), 1);
    ck_assert(!e->line[LINE]);
    set(GHC, 2);
    ck_assert(e->line[LINE]);
    set(IS, 1);                                 /* the port has it still */
    ck_assert_uint_eq(reg(IS), 1);
    pset(0, P_IS, DHR);
    ck_assert(e->line[LINE]);
    set(IS, 1);
    ck_assert(!e->line[LINE]);
    ck_assert_uint_eq(reg(IS), 0);
    /* Two ports. */
    pset(2, P_IE, DHR);
    put(2, 0, READ_DMA(0, 1, DATA));
    issue(0, 1);
    issue(2, 1);
    ck_assert_uint_eq(reg(IS), 5);
    pset(0, P_IS, DHR);
    set(IS, 1);
    ck_assert_uint_eq(reg(IS), 4);
    ck_assert(e->line[LINE]);
    set(GHC, 0);
    ck_assert(!e->line[LINE]);
    set(GHC, 2);
    pset(2, P_IS, DHR);
    set(IS, 4);
    ck_assert(!e->line[LINE]);
    /* MSI. */
    while (cap && env_config_read(e, DEVFN, cap, 1) != 5)
        cap = env_config_read(e, DEVFN, cap + 1, 1);
    ck_assert_uint_ne(cap, 0);
    env_config_write(e, DEVFN, cap + 4, 0xfee00000u, 4);
    env_config_write(e, DEVFN, cap + 12, 0x41, 2);
    env_config_write(e, DEVFN, cap + 2, 1, 2);
    issue(0, 1);
    ck_assert_uint_eq(messages, 1);
    ck_assert(!e->line[LINE]);
    issue(2, 1);
    ck_assert_uint_eq(messages, 2);
    pset(0, P_IS, DHR);
    set(IS, 1);                                 /* one is left */
    ck_assert_uint_eq(messages, 3);
    pset(2, P_IS, DHR);
    set(IS, 4);
    ck_assert_uint_eq(messages, 3);
    ck_assert_uint_eq(reg(IS), 0);
    /* An event between a driver's look at the port and its write to IS. */
    issue(0, 1);
    ck_assert_uint_eq(messages, 4);
    pset(0, P_IS, DHR);
    issue(0, 1);
    set(IS, 1);
    ck_assert_uint_eq(messages, 5);
    ck_assert_uint_eq(reg(IS), 1);
}
END_TEST

/* Commands and registers of all sorts, within a second. */
START_TEST(fuzz)
{
    static const uint8_t commands[] = { 0x25, 0x35, 0x60, 0x61, 0x24, 0x34, 0xec, 0xa1, 0xa0, 0xc8, 0xca, 0x2f, 0x06,
                                        0x29, 0x39, 0xe7, 0xef, 0x08, 0xb0, 0x42, 0xe4, 0xe8 };
    uint64_t x = 88172645463325252u;
    time_t end = time(NULL) + 2;

    for (unsigned i = 0; i < 3; i++)
        start(i);
    set(GHC, 2);
    while (time(NULL) < end) {
        for (unsigned i = 0; i < 200; i++) {
            unsigned port, slot;
            uint64_t v;

            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            port = x >> 8 & 3;
            slot = x >> 16 & 31;
            v = x >> 20;
            for (unsigned d = 0; d < 3; d++)
                disk[d].lazy = x >> (40 + d) & 1;
            disk[0].fail = x >> 50 & 1 ? -EIO : 0;
            disk[0].fail_at = v % SIZE;
            switch (x & 7) {
            case 0: {
                unsigned off = v % 0x440;

                if (off >= 0x100 && (off & 0x7f) == P_CMD)
                    v |= FRE | ST;
                phys_io_write(e->phys, BAR + off, v, 1u << (x >> 3 & 3));
                break;
            }
            case 1:
                for (unsigned n = 0; n < 8; n++)
                    ram[TABLE(port, slot) + (v + n) % 0x100] = (uint8_t)(x >> 8 * n);
                break;
            case 2:
                w32(CLB(port) + 32 * slot, (uint32_t)v);
                break;
            case 3:
                for (unsigned d = 0; d < 3; d++)
                    if (disk[d].n)
                        answer(&disk[d], v % disk[d].n);
                break;
            case 4:
                stop(port);
                pset(port, P_CMD, FRE | CLO);
                if (x >> 30 & 1) {
                    pset(port, P_SCTL, 1);
                    pset(port, P_SCTL, 0);
                }
                start(port);
                break;
            default: {
                struct cmd c = { .command = commands[v % sizeof(commands)], .lba = v >> 5 & 0x3fff, .feature = v >> 7 & 15,
                                 .count = v >> 11 & 31, .write = v >> 14 & 1 };

                for (unsigned n = 0; n < (v >> 15 & 7); n++) {
                    c.prd[n].pa = (x >> (2 * n)) % (RAM + 0x10000);
                    c.prd[n].len = 2 + (x >> 3 * n & 0xfffe);
                }
                for (unsigned n = 0; n < 12; n++)
                    c.packet[n] = n ? x >> 3 * n & 0x1f : (x >> 12 & 1 ? 0x28 : 0x12);
                if (c.command == 0x60 || c.command == 0x61)
                    c.count = slot << 3;
                put(port, slot, &c);
                /* Data may have gone over lists and tables: they are only memory. */
                if (c.command == 0x60 || c.command == 0x61)
                    pset(port, P_SACT, 1u << slot);
                pset(port, P_CI, x >> 60 ? 1u << slot : (uint32_t)x);
                break;
            }
            }
        }
        for (unsigned i = 0; i < 3; i++) {
            disk[i].lazy = false;
            disk[i].fail = 0;
            answer_all(&disk[i]);
        }
        if (x >> 20 & 1)
            set(GHC, 3);
    }
    /* It works still. */
    set(GHC, 1);
    start(0);
    ck_assert_uint_eq(run(0, READ_DMA(77, 9, DATA)), DHR);
    ck_assert(same(DATA, 0, 77, 9));
}
END_TEST

int main(void)
{
    const TTest *const tests[] = { queue_errors, errors, resets, interrupts, fuzz };
    Suite *s = suite_create("ahci_errors");
    TCase *tc = tcase_create("ahci_errors");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    for (unsigned i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
        tcase_add_test(tc, tests[i]);
    suite_add_tcase(s, tc);
    return run_suite(s);
}
