/* test_floppy_media.c - formats by the size of images, change of medium, disks that do not fit. */
#include <string.h>

#include "tests/dev/floppy_env.h"
#include "tests/run_suite.h"

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

        finish();
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
    finish();
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
    finish();
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
    finish();
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

int main(void)
{
    Suite *suite = suite_create("floppy_media");
    TCase *t = tcase_create("floppy_media");

    tcase_add_checked_fixture(t, setup, finish);
    tcase_set_timeout(t, 120);
    tcase_add_test(t, media);
    tcase_add_test(t, change_of_medium);
    suite_add_tcase(suite, t);
    return run_suite(suite);
}
