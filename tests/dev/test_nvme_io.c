/*
 * test_nvme_io.c - NVMe commands to the namespace: PRP lists and SGLs of all shapes, every command, many at
 * once.
 */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/dev/nvme_env.h"
#include "tests/run_suite.h"

/* Every offset of the first page, lengths up to the limit, lists that begin anywhere and chains of them. */
START_TEST(prps)
{
    static const unsigned offsets[] = { 0, 4, 512, 2048, 4092 }, starts[] = { 0, 8, 2048, 4088, 4080 };
    static const unsigned lens[] = { 1, 7, 8, 9, 16, 17, 64, 255, 256 };
    uint8_t *want = malloc(256 * 512);

    ck_assert_uint_eq(create(1, 0), OK);
    for (unsigned o = 0; o < 5; o++)
        for (unsigned l = 0; l < 9; l++)
            for (unsigned s = 0; s < 5; s++) {
                unsigned len = lens[l] * 512, first = 4096 - offsets[o], n = 0;
                unsigned lba = (o * 37 + l * 11 + s) % 512;
                uint64_t prp2 = 0, list = LIST + starts[s], pages[64], at[64];

                if (first > len)
                    first = len;
                at[0] = DATA + offsets[o];
                for (unsigned left = len - first; left; left -= left < 4096 ? left : 4096) {
                    n++;
                    at[n] = DATA + 0x2000 * (n * 7 % 67 + 1);   /* in no order, with gaps */
                }
                if (n == 1) {
                    prp2 = at[1];
                } else if (n > 1) {
                    prp2 = list;
                    for (unsigned i = 1; i <= n; i++) {
                        if ((list & 4095) == 4088 && i < n) {
                            w64(list, LIST + 0x1000);
                            list = LIST + 0x1000;
                        }
                        w64(list, at[i]);
                        list += 8;
                    }
                }
                pages[0] = first;
                for (unsigned i = 1; i <= n; i++)
                    pages[i] = i < n ? 4096 : (len - first) - (n - 1) * 4096;
                memset(ram + DATA - 0x1000, 0xee, 0x101000);
                ck_assert_uint_eq(rw(1, 2, lba, lens[l], at[0], prp2), OK);
                for (unsigned i = 0, from = lba * 512; i <= n; from += pages[i++]) {
                    ck_assert_int_eq(memcmp(ram + at[i], medium + from, pages[i]), 0);
                    ck_assert_uint_eq(ram[at[i] + pages[i]], 0xee);
                    ck_assert_uint_eq(ram[at[i] - 1], 0xee);
                }
                /* And the other way round. */
                for (unsigned i = 0, to = 0; i <= n; to += pages[i++])
                    for (unsigned b = 0; b < pages[i]; b++)
                        want[to + b] = ram[at[i] + b] = rand();
                ck_assert_uint_eq(rw(1, 1, lba, lens[l], at[0], prp2), OK);
                ck_assert_int_eq(memcmp(medium + lba * 512, want, len), 0);
            }
    free(want);
    ck_assert_uint_eq(rw(1, 2, 0, 257, DATA, LIST), BAD_FIELD);         /* more than MDTS allows */
    ck_assert_uint_eq(rw(1, 2, 0, 1, DATA + 2, 0), BAD_PRP);
    ck_assert_uint_eq(rw(1, 2, 0, 32, DATA, LIST + 4), BAD_PRP);
    w64(LIST, DATA + 8);
    ck_assert_uint_eq(rw(1, 2, 0, 32, DATA, LIST), BAD_PRP);
    w64(LIST, RAM);
    ck_assert_uint_eq(rw(1, 2, 0, 32, DATA, LIST), BAD_DATA);
    ck_assert_uint_eq(rw(1, 2, 0, 32, DATA, RAM), BAD_DATA);
    ck_assert_uint_eq(rw(1, 2, 0, 32, 0x7ffffffff000, LIST), BAD_DATA);
    w64(LIST + 4088, LIST + 8);                 /* the list goes on where no page begins */
    ck_assert_uint_eq(rw(1, 2, 0, 64, DATA, LIST + 4088), BAD_PRP);
    ck_assert_uint_eq(nwaiting, 0);
}
END_TEST

static void descriptor(uint64_t at, uint64_t pa, uint32_t len, unsigned type)
{
    w64(at, pa);
    w32(at + 8, len);
    w32(at + 12, type << 28);
}

static unsigned sgl(unsigned n, uint64_t pa, uint32_t len, unsigned type)
{
    return run(1, (struct sqe){ .op = 2 | 1 << 14, .nsid = 1, .dw12 = n - 1, .prp1 = pa,
                                .prp2 = len | (uint64_t)type << 60 });
}

START_TEST(sgls)
{
    ck_assert_uint_eq(create(1, 0), OK);
    ck_assert_uint_eq(sgl(8, DATA + 1, 4096, 0), OK);
    ck_assert_int_eq(memcmp(ram + DATA + 1, medium, 4096), 0);
    descriptor(LIST, DATA + 0x10001, 100, 0);
    descriptor(LIST + 16, DATA + 0x20003, 0, 0);
    descriptor(LIST + 32, LIST + 0x100, 32, 3);
    descriptor(LIST + 0x100, DATA + 0x30000, 400, 0);
    descriptor(LIST + 0x110, DATA + 0x40000, 12, 0);
    ck_assert_uint_eq(sgl(1, LIST, 48, 2), OK);
    ck_assert_int_eq(memcmp(ram + DATA + 0x10001, medium, 100), 0);
    ck_assert_int_eq(memcmp(ram + DATA + 0x30000, medium + 100, 400), 0);
    ck_assert_int_eq(memcmp(ram + DATA + 0x40000, medium + 500, 12), 0);
    ck_assert_uint_eq(sgl(2, LIST, 48, 2), BAD_SGL_LENGTH);
    ck_assert_uint_eq(sgl(8, DATA, 4095, 0), BAD_SGL_LENGTH);
    ck_assert_uint_eq(sgl(8, DATA, 4097, 0), BAD_SGL_LENGTH);
    ck_assert_uint_eq(sgl(1, LIST, 32, 2), BAD_SGL_SEGMENT);            /* ends without another segment */
    ck_assert_uint_eq(sgl(1, LIST, 40, 2), BAD_SGL_SEGMENT);
    ck_assert_uint_eq(sgl(1, LIST, 0, 3), BAD_SGL_SEGMENT);
    ck_assert_uint_eq(sgl(1, LIST, 48, 3), BAD_SGL_SEGMENT);            /* a last segment names one more */
    ck_assert_uint_eq(sgl(1, DATA, 512, 1), BAD_SGL_TYPE);
    ck_assert_uint_eq(sgl(1, DATA, 512, 5), BAD_SGL_TYPE);
    ck_assert_uint_eq(sgl(1, RAM - 16, 48, 2), BAD_DATA);
    ck_assert_uint_eq(sgl(1, RAM - 256, 512, 0), BAD_DATA);
    descriptor(LIST, LIST, 16, 2);              /* a segment that is its own next */
    ck_assert_uint_eq(sgl(1, LIST, 16, 2), BAD_SGL_COUNT);
    ck_assert_uint_eq(run(1, (struct sqe){ .op = 2 | 3 << 14, .nsid = 1, .prp1 = DATA }), BAD_FIELD);
}
END_TEST

START_TEST(commands)
{
    ck_assert_uint_eq(create(1, 0), OK);
    ck_assert_uint_eq(rw(1, 2, BLOCKS - 8, 8, DATA, 0), OK);
    ck_assert_uint_eq(rw(1, 2, BLOCKS - 7, 8, DATA, 0), BAD_LBA);
    ck_assert_uint_eq(rw(1, 2, UINT64_MAX, 1, DATA, 0), BAD_LBA);
    ck_assert_uint_eq(rw(1, 1, UINT64_MAX - 6, 8, DATA, 0), BAD_LBA);
    ck_assert_uint_eq(run(1, (struct sqe){ .op = 2, .nsid = 2, .prp1 = DATA }), BAD_NS);
    ck_assert_uint_eq(run(1, (struct sqe){ .op = 2, .nsid = 0xffffffff, .prp1 = DATA }), BAD_NS);
    ck_assert_uint_eq(run(1, (struct sqe){ .op = 0x04, .nsid = 1 }), BAD_OPCODE);
    /* Compare. */
    ck_assert_uint_eq(rw(1, 2, 16, 9, DATA + 0xe00, DATA + 0x2000), OK);
    ck_assert_uint_eq(rw(1, 5, 16, 9, DATA + 0xe00, DATA + 0x2000), OK);
    ram[DATA + 0x2000 + 4095] ^= 1;
    ck_assert_uint_eq(rw(1, 5, 16, 9, DATA + 0xe00, DATA + 0x2000), DIFFERENT);
    /* Flush, of all namespaces too; FUA; the cache turned off. */
    ck_assert_uint_eq(run(1, (struct sqe){ .op = 0, .nsid = 1 }), OK);
    ck_assert_uint_eq(run(1, (struct sqe){ .op = 0, .nsid = 0xffffffff }), OK);
    ck_assert_uint_eq(flushes, 2);
    ck_assert_uint_eq(rw(1, 1, 0, 1, DATA, 0), OK);
    ck_assert_uint_eq(fuas, 0);
    ck_assert_uint_eq(run(1, (struct sqe){ .op = 1, .nsid = 1, .dw12 = 1u << 30, .prp1 = DATA }), OK);
    ck_assert_uint_eq(fuas, 1);
    ck_assert_uint_eq(run(0, (struct sqe){ .op = 9, .dw10 = 6, .dw11 = 0 }), OK);
    ck_assert_uint_eq(rw(1, 1, 0, 1, DATA, 0), OK);
    ck_assert_uint_eq(fuas, 2);
    /* Write zeroes, which has no limit but the medium. */
    ck_assert_uint_eq(run(1, (struct sqe){ .op = 8, .nsid = 1, .dw10 = 100, .dw12 = 1999 }), OK);
    ck_assert_uint_eq(medium[100 * 512], 0);
    ck_assert_int_eq(memcmp(medium + 100 * 512, medium + 100 * 512 + 1, 2000 * 512 - 1), 0);
    ck_assert_uint_ne(medium[2100 * 512 + 1], 0);
    ck_assert_uint_eq(run(1, (struct sqe){ .op = 8, .nsid = 1, .dw10 = 100, .dw12 = 0xffff }), BAD_LBA);
    /* Verify: all of it in parts. */
    ck_assert_uint_eq(run(1, (struct sqe){ .op = 12, .nsid = 1, .dw12 = BLOCKS - 1 }), OK);
    ck_assert_uint_eq(run(1, (struct sqe){ .op = 12, .nsid = 1, .dw12 = BLOCKS }), BAD_LBA);
    fail = -EIO;
    ck_assert_uint_eq(run(1, (struct sqe){ .op = 12, .nsid = 1, .dw12 = BLOCKS - 1 }), READ_FAULT);
    ck_assert_uint_eq(rw(1, 2, 0, 8, DATA, 0), READ_FAULT);
    ck_assert_uint_eq(rw(1, 1, 0, 8, DATA, 0), 0x280);
    fail = -ENOSPC;
    ck_assert_uint_eq(rw(1, 1, 0, 8, DATA, 0), 0x81);
    fail = 0;
    drive.read_only = true;
    ck_assert_uint_eq(rw(1, 1, 0, 8, DATA, 0), PROTECTED);
    ck_assert_uint_eq(run(1, (struct sqe){ .op = 8, .nsid = 1 }), PROTECTED);
    ck_assert_uint_eq(run(0, (struct sqe){ .op = 6, .nsid = 1, .prp1 = DATA }), OK);
    ck_assert_uint_eq(ram[DATA + 99], 1);
}
END_TEST

static void range(unsigned n, uint64_t lba, uint32_t len)
{
    w32(DATA + 16 * n, 0);
    w32(DATA + 16 * n + 4, len);
    w64(DATA + 16 * n + 8, lba);
}

START_TEST(deallocate)
{
    struct sqe c = { .op = 9, .nsid = 1, .dw10 = 3, .dw11 = 4, .prp1 = DATA };

    ck_assert_uint_eq(create(1, 0), OK);
    range(0, 10, 5);
    range(1, 0, 0);
    range(2, BLOCKS - 1, 1);
    range(3, 100, 1000);
    ck_assert_uint_eq(run(1, c), OK);
    ck_assert_uint_eq(discards, 3);
    ck_assert_uint_eq(medium[10 * 512 + 5], 0);
    ck_assert_uint_ne(medium[15 * 512 + 5], 0);
    ck_assert_uint_eq(medium[SIZE - 1], 0);
    ck_assert_uint_eq(medium[1099 * 512 + 5], 0);
    /* One bad range, and none is done. */
    range(3, BLOCKS, 1);
    ck_assert_uint_eq(run(1, c), BAD_LBA);
    range(3, UINT64_MAX, 0xffffffff);
    ck_assert_uint_eq(run(1, c), BAD_LBA);
    range(3, 0, 1);
    ck_assert_uint_eq(discards, 3);
    c.dw11 = 3;                                 /* advice alone */
    ck_assert_uint_eq(run(1, c), OK);
    ck_assert_uint_eq(discards, 3);
    c.dw11 = 4;
    disk.discards = false;
    ck_assert_uint_eq(run(1, c), OK);
    ck_assert_uint_eq(discards, 3);
    disk.discards = true;
    c.prp1 = RAM;
    ck_assert_uint_eq(run(1, c), BAD_DATA);
}
END_TEST

/* All of a queue under way at once, answered in another order; interrupts by message. */
START_TEST(depth)
{
    bool seen[DEPTH] = { false };
    uint16_t cid[DEPTH], got;
    unsigned status, sq, n = 0;

    msix_on();
    ck_assert_uint_eq(create(1, 1), OK);
    ck_assert_uint_eq(create(2, 2), OK);
    ck_assert_uint_eq(messages[0], 4);
    for (unsigned i = 0; i < DEPTH - 1; i++)
        cid[i] = put(1, (struct sqe){ .op = 2, .nsid = 1, .dw10 = i, .prp1 = DATA + 0x1000 * i });
    ring(1);
    ck_assert_uint_eq(nwaiting, DEPTH - 1);
    while (nwaiting)
        serve_one(nwaiting / 2);
    ck_assert_uint_eq(messages[1], DEPTH - 1);
    ck_assert_uint_eq(messages[2], 0);
    ck_assert(!e->line[3]);
    while (take_cqe(1, &got, &status, &result, &sq))
        for (unsigned i = 0; i < DEPTH - 1; i++)
            if (cid[i] == got) {
                ck_assert(!seen[i]);
                seen[i] = true;
                n++;
                ck_assert_uint_eq(status, OK);
                ck_assert_int_eq(memcmp(ram + DATA + 0x1000 * i, medium + 512 * i, 512), 0);
            }
    ck_assert_uint_eq(n, DEPTH - 1);
    /* A completion queue that is not emptied holds the next commands back, and loses nothing. */
    for (unsigned i = 0; i < DEPTH - 1; i++)
        send(1, (struct sqe){ .op = 0, .nsid = 1 });
    serve();
    send(1, (struct sqe){ .op = 0, .nsid = 1 });
    ck_assert_uint_eq(nwaiting, 0);
    n = 0;
    while (take_cqe(1, &got, &status, &result, &sq)) {
        n++;
        serve();
    }
    ck_assert_uint_eq(n, DEPTH);
}
END_TEST

START_TEST(medium_gone)
{
    ck_assert_uint_eq(create(1, 0), OK);
    drive.disk = NULL;
    drive.user->changed(drive.dev);
    ck_assert_uint_eq(rw(1, 2, 0, 1, DATA, 0), NOT_READY);
    ck_assert_uint_eq(run(1, (struct sqe){ .op = 0, .nsid = 1 }), NOT_READY);
    ck_assert_uint_eq(run(0, (struct sqe){ .op = 6, .nsid = 1, .prp1 = DATA }), OK);
    ck_assert_uint_eq(r(DATA, 8), 0);
    set(0x14, 1 | 1 << 14);
    ck_assert_uint_eq(reg(0x1c) >> 2 & 3, 2);
    drive.disk = &disk;
}
END_TEST

START_TEST(blocks_4k)
{
    nvme_teardown();
    nvme_setup_with((struct nvme_config){ .ioqpairs = 1, .mdts = 1, .block_size = 4096, .cache_off = true });
    ck_assert_uint_eq(env_config_read(e, SLOT << 3, 0x34, 1), 0);       /* no MSI-X */
    ck_assert_uint_eq(create(1, 0), OK);
    ck_assert_uint_eq(run(0, (struct sqe){ .op = 6, .nsid = 1, .prp1 = DATA }), OK);
    ck_assert_uint_eq(r(DATA, 8), BLOCKS / 8);
    ck_assert_uint_eq(r(DATA + 128, 4), 12 << 16);
    ck_assert_uint_eq(rw(1, 2, BLOCKS / 8 - 2, 2, DATA, DATA + 0x3000), OK);
    ck_assert_int_eq(memcmp(ram + DATA + 0x3000, medium + SIZE - 4096, 4096), 0);
    for (uint32_t which = 0; which < 2; which++) {
        ck_assert_uint_eq(run(0, (struct sqe){ .op = 10, .dw10 = which << 8 | 6 }), OK);
        ck_assert_uint_eq(result, 0);           /* the write cache is off, and by default */
    }
    ck_assert_uint_eq(rw(1, 2, BLOCKS / 8 - 1, 2, DATA, DATA + 0x3000), BAD_LBA);
    ck_assert_uint_eq(rw(1, 2, 0, 3, DATA, LIST), BAD_FIELD);
    set(0x14, 0);
    set(0x14, 1 | 6 << 16 | 4 << 20 | 2 << 7);  /* pages of 16 KiB: all in one */
    enable();
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        prps, sgls, commands, deallocate, depth, medium_gone, blocks_4k,
    };
    Suite *s = suite_create("nvme-io");
    TCase *t = tcase_create("nvme-io");

    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, nvme_setup, nvme_teardown);
    for (unsigned i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
        tcase_add_test(t, tests[i]);
    suite_add_tcase(s, t);
    return run_suite(s);
}
