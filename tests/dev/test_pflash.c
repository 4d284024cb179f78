/*
 * test_pflash.c - flash memory: that it is a ROM until commands come, programming and erasing, what reaches
 * the drive, and commands in no order.
 */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "hw/pflash.h"
#include "tests/dev/chipset_env.h"
#include "tests/run_suite.h"

#define BASE 0xfff80000u
#define LEN  0x10000u

static struct env *e;
static uint8_t *image, medium[LEN];
static struct disk_req *waiting[4];
static unsigned nwaiting, writes;
static int fail;

static void submit(struct disk *d, struct disk_req *r)
{
    ck_assert_uint_lt(nwaiting, 1);             /* one at a time */
    ck_assert(r->op == DISK_WRITE && r->off + r->len <= LEN && r->nbufs == 1 && r->bufs[0].len == r->len);
    waiting[nwaiting++] = r;
}

static void serve(void)
{
    while (nwaiting) {
        struct disk_req *r = waiting[--nwaiting];

        if (!fail)
            memcpy(medium + r->off, r->bufs[0].data, r->len);
        r->error = fail;
        writes++;
        r->done(r);
    }
}

static const struct disk_ops disk_ops = { submit };
static struct disk disk;
static struct drive drive;

static uint8_t rd(uint32_t off)
{
    return phys_io_read(e->phys, BASE + off, 1);
}

static void wr(uint32_t off, uint8_t val)
{
    phys_io_write(e->phys, BASE + off, val, 1);
}

static void setup(void)
{
    e = env_new();
    image = aligned_alloc(0x10000, LEN);
    for (unsigned i = 0; i < LEN; i++)
        medium[i] = image[i] = i < LEN / 2 ? i * 7 + 3 : 0xff;
    disk = (struct disk){ &disk_ops, LEN, false, false };
    drive = (struct drive){ .id = "flash", .disk = &disk };
    nwaiting = writes = 0;
    fail = 0;
    pflash_new(e->chips, e->phys, "pflash0", BASE, image, LEN, &drive);
}

static void teardown(void)
{
    serve();
    env_check_state(e);
    env_free(e);
    free(image);
}

static bool is_rom(void)
{
    uint64_t run;

    return phys_host(e->phys, BASE + 5, false, &run) == image + 5 && !phys_host(e->phys, BASE + 5, true,
                                                                                &run);
}

START_TEST(rom)
{
    ck_assert(is_rom());
    ck_assert_uint_eq(rd(10), 73);
    wr(10, 0x70);
    ck_assert(!is_rom());
    ck_assert_uint_eq(rd(10), 0x80);
    ck_assert_uint_eq(rd(LEN - 1), 0x80);
    wr(77, 0xff);
    ck_assert(is_rom());
    ck_assert_uint_eq(rd(10), 73);
    wr(0, 0x90);
    ck_assert_uint_eq(rd(0), 0x89);
    ck_assert_uint_eq(rd(1), 0x17);
    wr(0, 0x98);
    ck_assert_uint_eq(rd(0x10), 'Q');
    ck_assert_uint_eq(rd(0x11), 'R');
    ck_assert_uint_eq(rd(0x12), 'Y');
    ck_assert_uint_eq(rd(0x13), 1);
    ck_assert_uint_eq(rd(0x27), 16);
    ck_assert_uint_eq(rd(0x2c), 1);
    ck_assert_uint_eq(rd(0x2d) | rd(0x2e) << 8, LEN / 4096 - 1);
    ck_assert_uint_eq(rd(0x2f) | rd(0x30) << 8, 4096 / 256);
    ck_assert_uint_eq(rd(0x31), 'P');
    env_check_state(e);
    ck_assert_uint_eq(rd(0x10), 'Q');
    chips_reset(e->chips);
    ck_assert(is_rom());
    ck_assert_int_eq(memcmp(image, medium, LEN), 0);
}
END_TEST

/* How firmware tells flash from RAM and ROM. */
START_TEST(detection)
{
    uint8_t first = rd(5);

    ck_assert(first != 0x50 && first != 0x70 && first != 0);
    wr(5, 0x50);
    wr(5, 0x70);
    ck_assert_uint_eq(rd(5), 0);
    wr(5, 0xff);
    ck_assert_uint_eq(rd(5), first);
}
END_TEST

START_TEST(programming)
{
    wr(LEN - 3, 0x10);
    wr(LEN - 3, 0x5a);
    ck_assert_uint_eq(rd(0), 0x80);
    wr(LEN - 2, 0x40);
    wr(LEN - 2, 0xa5);
    wr(LEN - 3, 0x10);                          /* ones stay what they are */
    wr(LEN - 3, 0xf0);
    wr(0, 0xff);
    ck_assert_uint_eq(rd(LEN - 3), 0x50);
    ck_assert_uint_eq(rd(LEN - 2), 0xa5);
    ck_assert_uint_eq(medium[LEN - 3], 0xff);   /* on its way */
    serve();
    ck_assert_int_eq(memcmp(image, medium, LEN), 0);
    ck_assert_uint_le(writes, 2);
    /* The buffer. */
    wr(0x9000, 0xe8);
    ck_assert_uint_eq(rd(0x9000) & 0x80, 0x80);
    wr(0x9000, 3);
    for (unsigned i = 0; i < 4; i++)
        wr(0x9010 + i, 0x10 + i);
    wr(0x9000, 0xd0);
    ck_assert_uint_eq(rd(0), 0x80);
    wr(0, 0xff);
    serve();
    for (unsigned i = 0; i < 4; i++)
        ck_assert_uint_eq(medium[0x9010 + i], 0x10 + i);
    ck_assert_uint_eq(medium[0x9014], 0xff);
    /* Too many, in two places, not confirmed. */
    wr(0x9000, 0xe8);
    wr(0x9000, 32);
    ck_assert_uint_eq(rd(0), 0xb0);
    wr(0, 0x50);
    wr(0x9000, 0xe8);
    wr(0x9000, 3);
    wr(0x9100, 0);
    wr(0x9200, 0);
    ck_assert_uint_eq(rd(0), 0xb0);
    wr(0, 0x50);
    wr(0x9000, 0xe8);
    wr(0x9000, 0);
    wr(0x9100, 0);
    wr(0x9000, 0xff);
    ck_assert_uint_eq(rd(0), 0xb0);
    wr(0, 0xff);
    ck_assert_uint_eq(rd(0x9100), 0xff);
}
END_TEST

START_TEST(erasing)
{
    wr(0x1234, 0x20);
    wr(0x1234, 0xd0);
    ck_assert_uint_eq(rd(0), 0x80);
    wr(0, 0xff);
    for (unsigned i = 0; i < LEN / 2; i++)
        ck_assert_uint_eq(rd(i), i / 4096 == 1 ? 0xff : (uint8_t)(i * 7 + 3));
    serve();
    ck_assert_int_eq(memcmp(image, medium, LEN), 0);
    wr(0, 0x20);
    wr(0, 0xff);                                /* not confirmed */
    ck_assert_uint_eq(rd(0), 0xb0);
    wr(0, 0xff);
    ck_assert_uint_eq(rd(0), 3);
}
END_TEST

START_TEST(refused)
{
    drive.read_only = true;
    wr(0, 0x20);
    wr(0, 0xd0);
    ck_assert_uint_eq(rd(0), 0xa2);
    wr(0, 0x50);
    wr(LEN - 1, 0x10);
    wr(LEN - 1, 0);
    ck_assert_uint_eq(rd(0), 0x92);
    wr(0, 0xff);
    ck_assert_uint_eq(rd(LEN - 1), 0xff);
    ck_assert_uint_eq(nwaiting, 0);
    drive.read_only = false;
    fail = -EIO;                                /* the guest hears of it at its next try */
    wr(LEN - 1, 0x10);
    wr(LEN - 1, 0);
    serve();
    wr(0, 0x50);
    wr(LEN - 2, 0x10);
    wr(LEN - 2, 0);
    ck_assert_uint_eq(rd(0), 0x90);
    wr(0, 0xff);
    ck_assert_uint_eq(rd(LEN - 2), 0xff);
}
END_TEST

START_TEST(fuzz)
{
    static const uint8_t words[] = { 0x10, 0x20, 0x40, 0x50, 0x60, 0x70, 0x90, 0x98, 0xd0, 0xe8, 0xff, 0, 3,
                                     31 };
    struct timespec begin, now;

    srand(_i + 1);
    clock_gettime(CLOCK_MONOTONIC, &begin);
    for (unsigned n = 1; ; n++) {
        uint32_t at = rand() & 1 ? (uint32_t)rand() % LEN : LEN - 1 - (uint32_t)rand() % 40;

        wr(at, rand() & 3 ? words[rand() % sizeof(words)] : (uint8_t)rand());
        rd((uint32_t)rand() % LEN);
        if (rand() % 8 == 0)
            serve();
        if (n % 512 == 0)
            env_check_state(e);
        clock_gettime(CLOCK_MONOTONIC, &now);
        if (now.tv_sec - begin.tv_sec >= 2)
            break;
    }
    chips_reset(e->chips);
    serve();
    ck_assert(is_rom());
    ck_assert_int_eq(memcmp(image, medium, LEN), 0);
}
END_TEST

static bool privileged;

static bool may(void *arg)
{
    return *(bool *)arg;
}

/* To who may not, a secure one is a ROM, whatever it is doing. */
START_TEST(secure)
{
    static uint8_t image2[LEN] __attribute__((aligned(65536)));
    static struct drive drive2;
    struct pflash *s;
    const uint32_t at = 0xffe00000u;

    memcpy(image2, image, LEN);
    drive2 = (struct drive){ .id = "flash2", .disk = &disk };
    s = pflash_new(e->chips, e->phys, "pflash1", at, image2, LEN, &drive2);
    pflash_secure(s, may, &privileged);
    privileged = false;
    phys_io_write(e->phys, at + LEN - 1, 0x40, 1);
    phys_io_write(e->phys, at + LEN - 1, 0x12, 1);
    ck_assert_uint_eq(image2[LEN - 1], 0xff);
    ck_assert_uint_eq(phys_io_read(e->phys, at + 10, 1), 73);
    privileged = true;
    phys_io_write(e->phys, at + LEN - 1, 0x40, 1);
    privileged = false;                         /* in the midst of a command */
    phys_io_write(e->phys, at + LEN - 1, 0x34, 1);
    ck_assert_uint_eq(image2[LEN - 1], 0xff);
    ck_assert_uint_eq(phys_io_read(e->phys, at + 10, 1), 73);
    privileged = true;
    ck_assert_uint_eq(phys_io_read(e->phys, at + 10, 1), 0x80);
    phys_io_write(e->phys, at + LEN - 1, 0x12, 1);
    ck_assert_uint_eq(image2[LEN - 1], 0x12);
    serve();
    ck_assert_uint_eq(medium[LEN - 1], 0x12);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("pflash");
    TCase *t = tcase_create("pflash");

    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, rom);
    tcase_add_test(t, detection);
    tcase_add_test(t, programming);
    tcase_add_test(t, erasing);
    tcase_add_test(t, refused);
    tcase_add_test(t, secure);
    tcase_add_loop_test(t, fuzz, 0, 2);
    suite_add_tcase(s, t);
    return run_suite(s);
}
