/*
 * test_9p.c - folders of the host by virtio-9p: sessions, files and names as the host sees them, attempts to get out
 * of the folder, locks, Tflush, attributes by security model, and messages that make no sense.
 */
#ifndef _GNU_SOURCE             /* locks of open files */
#define _GNU_SOURCE
#endif
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "tests/dev/p9_env.h"
#include "tests/run_suite.h"
#define LOCKED 1

static const uint64_t drivers[] = { 0, VT_MODERN, VT_MODERN | VT_INDIRECT | VT_EVENT, VT_MODERN | VT_PACKED };

START_TEST(session)
{
    const char *name;

    start(&(struct fsdev_config){ .model = FSDEV_NONE }, drivers[_i]);
    ck_assert_uint_eq(vt_config(v, 0, 2), 6);
    for (unsigned i = 0; i < 6; i++)
        ck_assert_uint_eq(vt_config(v, 2 + i, 1), (unsigned char)"shared"[i]);
    ERR(EPROTO, ATTACH, "ddssd", 0u, 0xffffffffu, "", "", 0u);
    OK(VERSION, "ds", 8192u, "9P2000");
    ck_assert_uint_eq(got(4, 2), 7);
    ck_assert_int_eq(memcmp(re + 6, "unknown", 7), 0);
    ERR(EPROTO, CLUNK, "d", 0u);
    ERR(EINVAL, VERSION, "ds", 100u, "9P2000.L");
    OK(VERSION, "ds", 0xffffffffu, "9P2000.L");
    ck_assert_uint_eq(got(0, 4), 512 << 10);
    OK(VERSION, "ds", 8192u, "9P2000.L");
    ck_assert_uint_eq(got(0, 4), 8192);
    ck_assert_int_eq(memcmp(re + 6, "9P2000.L", 8), 0);
    ERR(EOPNOTSUPP, AUTH, "dssd", 1u, "", "", 0u);
    ERR(EBADF, GETATTR, "dq", 0u, (uint64_t)0x7ff);
    ERR(EINVAL, ATTACH, "ddssd", 0u, 1u, "", "", 0u);
    ERR(ENOENT, ATTACH, "ddssd", 0u, 0xffffffffu, "", "/nowhere", 0u);
    ERR(EBADF, CLUNK, "d", 0u);
    ck_assert_ptr_null(chips_unsaveable(v->e->chips, &name));
    OK(ATTACH, "ddssd", 0u, 0xffffffffu, "", "", 0u);
    ck_assert_uint_eq(got(0, 1), 0x80);
    ck_assert_ptr_nonnull(chips_unsaveable(v->e->chips, &name));
    ck_assert_ptr_nonnull(strstr(name, "virtio-9p"));
    ERR(EBADF, ATTACH, "ddssd", 0u, 0xffffffffu, "", "", 0u);
    ERR(EBADF, WALK, "ddw", 0u, 0u - 1, 0u);
    OK(WALK, "ddw", 0u, 1u, 0u);
    ERR(EBADF, WALK, "ddw", 0u, 1u, 0u);
    ERR(EOPNOTSUPP, 3, "");
    ERR(EOPNOTSUPP, 200, "d", 0u);
    OK(VERSION, "ds", 8192u, "9P2000.L");       /* all fids are gone */
    ERR(EBADF, CLUNK, "d", 0u);
    ck_assert_ptr_null(chips_unsaveable(v->e->chips, &name));
    mount();
    vt_start(v, drivers[_i] | 1, false, 1);     /* a reset, too */
    ERR(EPROTO, CLUNK, "d", 0u);
    ck_assert_ptr_null(chips_unsaveable(v->e->chips, &name));
    teardown();
}
END_TEST

START_TEST(files)
{
    struct stat st;
    char big[5000];

    mount();
    OK(WALK, "ddw", 0u, 1u, 0u);
    OK(LCREATE, "dsddd", 1u, "new", 02u | 0100 | 0200, 0640u, 0u);
    ERR(EBADF, LOPEN, "dd", 1u, 0u);
    OK(WRITE, "dqd*", 1u, (uint64_t)0, 5u, "abcde", 5u);
    ck_assert_uint_eq(got(0, 4), 5);
    OK(WRITE, "dqd*", 1u, (uint64_t)3, 3u, "XYZ", 3u);
    check_file(path("new"), "abcXYZ");
    OK(READ, "dqd", 1u, (uint64_t)1, 100u);
    ck_assert_uint_eq(got(0, 4), 5);
    ck_assert_int_eq(memcmp(re + 4, "bcXYZ", 5), 0);
    OK(READ, "dqd", 1u, (uint64_t)6, 100u);
    ck_assert_uint_eq(got(0, 4), 0);
    ERR(EINVAL, READ, "dqd", 1u, UINT64_MAX, 100u);
    OK(FSYNC, "dd", 1u, 0u);
    OK(FSYNC, "dd", 1u, 1u);
    /* Sizes: no more than fits in a message. */
    memset(big, 'z', sizeof(big));
    OK(VERSION, "ds", 4096u, "9P2000.L");
    OK(ATTACH, "ddssd", 0u, 0xffffffffu, "me", "", 0u);
    OK(walk1(0, 1, "new") ? -1 : LOPEN, "dd", 1u, 02u);
    OK(WRITE, "dqd*", 1u, (uint64_t)0, 4000u, big, 4000u);
    OK(READ, "dqd", 1u, (uint64_t)0, 1000000u);
    ck_assert_uint_eq(got(0, 4), 4000);
    OK(WRITE, "dqd*", 1u, (uint64_t)4000, 4000u, big, 4000u);
    OK(READ, "dqd", 1u, (uint64_t)0, 1000000u);
    ck_assert_uint_eq(got(0, 4), 4096 - 11);
    ERR(EINVAL, WRITE, "dqd*", 1u, (uint64_t)0, 100u, big, 50u);
    /* What it is, and changes of that. */
    OK(GETATTR, "dq", 1u, (uint64_t)0x7ff);
    ck_assert_int_eq(stat(path("new"), &st), 0);
    ck_assert_uint_eq(re_len, 153);
    ck_assert_uint_eq(got(13, 8), st.st_ino);
    ck_assert_uint_eq(got(21, 4), S_IFREG | 0640);
    ck_assert_uint_eq(got(25, 4), st.st_uid);
    ck_assert_uint_eq(got(33, 8), 1);
    ck_assert_uint_eq(got(49, 8), 8000);
    ck_assert_uint_eq(got(89, 8), (uint64_t)st.st_mtim.tv_sec);
    OK(SETATTR, "dddddqqqqq", 1u, 1u | 8 | 32 | 256, 0600u, 0u, 0u, (uint64_t)7, (uint64_t)0, (uint64_t)0,
       (uint64_t)1234, (uint64_t)5678);
    ck_assert_int_eq(stat(path("new"), &st), 0);
    ck_assert_uint_eq(st.st_mode, S_IFREG | 0600);
    ck_assert_int_eq(st.st_size, 7);
    ck_assert_int_eq(st.st_mtim.tv_sec, 1234);
    ck_assert_int_eq(st.st_mtim.tv_nsec, 5678);
    ERR(EINVAL, SETATTR, "dddddqqqqq", 1u, 32u | 256, 0u, 0u, 0u, (uint64_t)0, (uint64_t)0, (uint64_t)0, (uint64_t)0,
        (uint64_t)2000000000);
    ERR(EINVAL, SETATTR, "dddddqqqqq", 1u, 8u, 0u, 0u, 0u, UINT64_MAX, (uint64_t)0, (uint64_t)0, (uint64_t)0,
        (uint64_t)0);
    /* Without a name it goes on. */
    OK(UNLINKAT, "dsd", 0u, "new", 0u);
    ck_assert_int_eq(access(path("new"), F_OK), -1);
    OK(READ, "dqd", 1u, (uint64_t)0, 7u);
    ck_assert_uint_eq(got(0, 4), 7);
    OK(GETATTR, "dq", 1u, (uint64_t)0x7ff);
    ck_assert_uint_eq(got(33, 8), 0);
    OK(SETATTR, "dddddqqqqq", 1u, 1u, 0400u, 0u, 0u, (uint64_t)0, (uint64_t)0, (uint64_t)0, (uint64_t)0, (uint64_t)0);
    OK(CLUNK, "d", 1u);
    OK(STATFS, "d", 0u);
    ck_assert_uint_eq(re_len, 60);
    ck_assert_uint_ge(got(4, 4), 512);
    ck_assert_uint_eq(got(56, 4), 255);
}
END_TEST

START_TEST(names)
{
    struct stat a, b;
    char target[100];

    mount();
    OK(MKDIR, "dsdd", 0u, "d", 0750u, 0u);
    ck_assert_int_eq(stat(path("d"), &a), 0);
    ck_assert_uint_eq(a.st_mode, S_IFDIR | 0750);
    ck_assert_uint_eq(got(5, 8), a.st_ino);
    ERR(EEXIST, MKDIR, "dsdd", 0u, "d", 0750u, 0u);
    ck_assert_uint_eq(walk1(0, 1, "d"), 0);
    ck_assert_uint_eq(walk1(0, 2, "hello"), 0);
    OK(LINK, "dds", 1u, 2u, "link");
    ck_assert_int_eq(stat(path("d/link"), &a) | stat(path("hello"), &b), 0);
    ck_assert_uint_eq(a.st_ino, b.st_ino);
    OK(SYMLINK, "dssd", 1u, "sym", "../some/where", 0u);
    ck_assert_int_eq(readlink(path("d/sym"), target, sizeof(target)), 13);
    ck_assert_uint_eq(walk1(1, 3, "sym"), 0);
    ck_assert_uint_eq(got(2, 1), 0x02);
    OK(READLINK, "d", 3u);
    ck_assert_uint_eq(got(0, 2), 13);
    ck_assert_int_eq(memcmp(re + 2, "../some/where", 13), 0);
    ERR(EINVAL, READLINK, "d", 2u);
    OK(RENAMEAT, "dsds", 0u, "hello", 1u, "moved");
    check_file(path("d/moved"), "hello");
    /* Fid 2 knows where its file is now: it can be renamed and removed itself. */
    OK(RENAME, "dds", 2u, 0u, "back");
    check_file(path("back"), "hello");
    OK(REMOVE, "d", 2u);
    ck_assert_int_eq(access(path("back"), F_OK), -1);
    check_file(path("d/link"), "hello");
    ERR(EBADF, CLUNK, "d", 2u);
    /* A name that is another file's now is not removed. */
    ck_assert_uint_eq(walk1(1, 2, "link"), 0);
    ck_assert_int_eq(unlink(path("d/link")), 0);
    put_file(path("d/link"), "other");
    ERR(ENOENT, REMOVE, "d", 2u);
    check_file(path("d/link"), "other");
    ERR(ENOTEMPTY, UNLINKAT, "dsd", 0u, "d", 0x200u);
    ERR(EISDIR, UNLINKAT, "dsd", 0u, "d", 0u);
    ERR(EBUSY, REMOVE, "d", 0u);
    OK(ATTACH, "ddssd", 0u, 0xffffffffu, "me", "d", 0u);        /* beneath the folder */
    ck_assert_uint_eq(walk1(0, 5, "link"), 0);
    /* A walk that ends on its way. */
    OK(WALK, "ddwsss", 0u, 6u, 3u, "..", "d", "nothing");
    ck_assert_uint_eq(got(0, 2), 2);
    ERR(EBADF, CLUNK, "d", 6u);
    OK(WALK, "ddwss", 0u, 0u, 2u, "..", ".");
    ck_assert_uint_eq(got(0, 2), 2);
    OK(WALK, "ddws", 0u, 7u, 1u, "d");
}
END_TEST

START_TEST(folders)
{
    unsigned n = 0, seen[200] = { 0 }, rounds = 0;
    uint64_t off = 0, middle = 0;
    char first[300] = "";

    for (unsigned i = 0; i < 200; i++) {
        char name[80];

        snprintf(name, sizeof(name), "entry-%03u-%*s", i, (int)(i % 40), "");
        put_file(path(name), "");
    }
    mount();
    OK(WALK, "ddw", 0u, 1u, 0u);
    ERR(EBADF, READDIR, "dqd", 1u, (uint64_t)0, 1000u);
    OK(LOPEN, "dd", 1u, 0200000u);
    ERR(EISDIR, READ, "dqd", 1u, (uint64_t)0, 10u);
    ERR(EINVAL, READDIR, "dqd", 1u, (uint64_t)0, 10u);          /* no room for one */
    for (;; rounds++) {
        unsigned at = 4, number;

        OK(READDIR, "dqd", 1u, off, 700u);
        ck_assert_uint_le(got(0, 4), 700);
        if (!got(0, 4))
            break;
        for (; at < re_len; n++) {
            unsigned len = (unsigned)got(at + 22, 2);
            char name[300] = "";

            ck_assert_uint_le(at + 24 + len, re_len);
            memcpy(name, re + at + 24, len);
            if (sscanf(name, "entry-%u", &number) == 1)
                seen[number]++;
            off = got(at + 13, 8);
            at += 24 + len;
            if (rounds == 5 && !middle)
                middle = off;
            else if (rounds == 5 && !first[0])
                strcpy(first, name);
        }
    }
    ck_assert_uint_eq(n, 203);                  /* with hello, . and .. */
    ck_assert_uint_gt(rounds, 10);
    for (unsigned i = 0; i < 200; i++)
        ck_assert_uint_eq(seen[i], 1);
    /* The same offset leads to the same place, whatever was read since. */
    OK(READDIR, "dqd", 1u, middle, 700u);
    ck_assert_int_eq(memcmp(re + 4 + 24, first, strlen(first)), 0);
}
END_TEST

/* Nothing leads out of the folder. */
START_TEST(escapes)
{
    static const char *const bad[] = { "../secret", "/etc/passwd", "d/../../secret", "", "d/x", "x/" };
    struct stat st;
    uint64_t root;
    char text[200];

    ck_assert_int_eq(mkdir(path("d"), 0755), 0);
    ck_assert_int_eq(mkdir(path("d/e"), 0755), 0);
    ck_assert_int_eq(symlink("../secret", path("file")), 0);
    ck_assert_int_eq(symlink("..", path("up")), 0);
    ck_assert_int_eq(symlink("/", path("all")), 0);
    ck_assert_int_eq(mkfifo(path("fifo"), 0666), 0);
    ck_assert_int_eq(stat(dir, &st), 0);
    root = st.st_ino;
    mount();
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        ERR(ENOENT, WALK, "ddws", 0u, 1u, 1u, bad[i]);
        ERR(EINVAL, MKDIR, "dsdd", 0u, bad[i], 0700u, 0u);
        ERR(EINVAL, UNLINKAT, "dsd", 0u, bad[i], 0u);
        ERR(EINVAL, RENAMEAT, "dsds", 0u, "hello", 0u, bad[i]);
        ERR(EINVAL, RENAMEAT, "dsds", 0u, bad[i], 0u, "mine");
        ERR(EINVAL, LCREATE, "dsddd", 0u, bad[i], 02u, 0600u, 0u);
        ERR(EINVAL, SYMLINK, "dssd", 0u, bad[i], "x", 0u);
        ERR(EINVAL, MKNOD, "dsdddd", 0u, bad[i], S_IFREG | 0600u, 0u, 0u, 0u);
    }
    ERR(EINVAL, MKDIR, "dsdd", 0u, "..", 0700u, 0u);
    ERR(EINVAL, UNLINKAT, "dsd", 0u, "..", 0x200u);
    OK(WALK, "ddwsssss", 0u, 1u, 5u, "..", "..", "d", "..", "..");
    for (unsigned i = 0; i < 5; i++)
        if (i != 2)
            ck_assert_uint_eq(got(2 + 13 * i + 5, 8), root);
    OK(CLUNK, "d", 1u);
    /* Links are not followed, whichever way. */
    OK(WALK, "ddwss", 0u, 1u, 2u, "up", "secret");
    ck_assert_uint_eq(got(0, 2), 1);
    OK(WALK, "ddwss", 0u, 1u, 2u, "all", "etc");
    ck_assert_uint_eq(got(0, 2), 1);
    OK(WALK, "ddwss", 0u, 1u, 2u, "up", "..");
    ck_assert_uint_eq(got(0, 2), 1);
    ck_assert_uint_eq(walk1(0, 1, "file"), 0);
    ERR(ELOOP, LOPEN, "dd", 1u, 0u);
    ERR(ELOOP, LOPEN, "dd", 1u, 01001u);
    ERR(EINVAL, SETATTR, "dddddqqqqq", 1u, 8u, 0u, 0u, 0u, (uint64_t)0, (uint64_t)0, (uint64_t)0, (uint64_t)0,
        (uint64_t)0);
    ERR(EOPNOTSUPP, SETATTR, "dddddqqqqq", 1u, 1u, 0777u, 0u, 0u, (uint64_t)0, (uint64_t)0, (uint64_t)0, (uint64_t)0,
        (uint64_t)0);
    OK(WALK, "ddw", 0u, 2u, 0u);
    ERR(ELOOP, LCREATE, "dsddd", 2u, "file", 01001u, 0600u, 0u);
    /* A FIFO does not make us wait, and is not opened. */
    ck_assert_uint_eq(walk1(0, 3, "fifo"), 0);
    ERR(ENXIO, LOPEN, "dd", 3u, 0u);
    ERR(ENXIO, LOPEN, "dd", 3u, 1u);
    ERR(ENXIO, LCREATE, "dsddd", 2u, "fifo", 0u, 0600u, 0u);
    /* A folder that the host moved away: what is in it can be seen, what is above it cannot. */
    ck_assert_uint_eq(call(WALK, "ddwss", 0u, 4u, 2u, "d", "e"), 0);
    snprintf(text, sizeof(text), "%s/away", top);
    ck_assert_int_eq(rename(path("d"), text), 0);
    ERR(EACCES, WALK, "ddws", 4u, 5u, 1u, "..");
    /* A folder renamed into itself, or while somebody is in it. */
    OK(MKDIR, "dsdd", 0u, "p", 0700u, 0u);
    ck_assert_uint_eq(walk1(0, 6, "p"), 0);
    OK(MKDIR, "dsdd", 6u, "q", 0700u, 0u);
    ck_assert_uint_eq(walk1(6, 7, "q"), 0);
    ERR(EINVAL, RENAMEAT, "dsds", 0u, "p", 7u, "p");
    OK(RENAMEAT, "dsds", 6u, "q", 0u, "q");
    OK(RENAMEAT, "dsds", 0u, "p", 7u, "p");
    OK(WALK, "ddwss", 6u, 8u, 2u, "..", "..");
    ck_assert_uint_eq(got(2 + 13 + 5, 8), root);
    check_file(path("hello"), "hello");
}
END_TEST

START_TEST(flushes)
{
    uint32_t size[3], len;
    const uint8_t flush[] = { 9, 0, 0, 0, FLUSH, 20, 0, 10, 0 }, again[] = { 9, 0, 0, 0, FLUSH, 21, 0, 20, 0 };

    mount();
    OK(FLUSH, "w", 77u);
    ck_assert_uint_eq(walk1(0, 1, "hello"), 0);
    OK(LOPEN, "dd", 1u, 0u);
    /* One after the other: the request, what flushes it, and what flushes that. */
    for (unsigned round = 0; round < 50; round++) {
        const uint8_t read[] = { 23, 0, 0, 0, READ, 10, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0 };
        static const unsigned tags[] = { 10, 20, 21 };

        memcpy(v->ram + VT_DATA, read, size[0] = sizeof(read));
        memcpy(v->ram + VT_DATA + 0x1000, flush, size[1] = sizeof(flush));
        memcpy(v->ram + VT_DATA + 0x2000, again, size[2] = sizeof(again));
        for (unsigned i = 0; i < 3; i++)
            offer(VT_DATA + 0x1000 * i, size[i], IN + 0x1000 * i, 100);
        vt_kick_always(v, 0);
        for (unsigned i = 0; i < 3; i++) {
            unsigned id;

            for (unsigned n = 0; n < 1000 && !vt_used(v, 0, &id, &len); n++) {
                ck_assert_uint_lt(n, 999);
                evloop_step(loop, 10000000);
            }
            /* In this order, as their lengths tell. */
            ck_assert_uint_eq(len, i ? 7 : 16);
            ck_assert_uint_eq(vt_get(v, IN + 0x1000 * i + 5, 2), tags[i]);
        }
        ck_assert_int_eq(memcmp(v->ram + IN + 11, "hello", 5), 0);
    }
}
END_TEST

#define TLOCK(fid, type, start, len, proc) "dbdqqds", (unsigned)(fid), (unsigned)(type), 0u, (uint64_t)(start), \
    (uint64_t)(len), (unsigned)(proc), "guest"

START_TEST(locks)
{
    struct flock f = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 50, .l_len = 10 };
    int fd = open(path("hello"), O_RDWR);

    mount();
    for (unsigned i = 1; i <= 2; i++) {
        ck_assert_uint_eq(walk1(0, i, "hello"), 0);
        OK(LOPEN, "dd", i, 02u);
    }
    OK(LOCK, TLOCK(1, 1, 0, 10, 100));
    ck_assert_uint_eq(got(0, 1), 0);
    OK(LOCK, TLOCK(2, 1, 5, 10, 200));
    ck_assert_uint_eq(got(0, 1), LOCKED);
    OK(LOCK, TLOCK(2, 1, 5, 10, 100));          /* a process does not lock itself out, by another fid either */
    ck_assert_uint_eq(got(0, 1), 0);
    OK(GETLOCK, "dbqqds", 2u, 0u, (uint64_t)0, (uint64_t)0, 200u, "guest");
    ck_assert_uint_eq(got(0, 1), 1);
    ck_assert_uint_eq(got(1, 8), 0);
    ck_assert_uint_eq(got(9, 8), 15);
    OK(GETLOCK, "dbqqds", 2u, 1u, (uint64_t)20, (uint64_t)5, 200u, "guest");
    ck_assert_uint_eq(got(0, 1), 2);
    OK(LOCK, TLOCK(1, 2, 0, 0, 100));
    OK(LOCK, TLOCK(2, 1, 5, 10, 200));
    ck_assert_uint_eq(got(0, 1), 0);
    OK(CLUNK, "d", 2u);                         /* ends its locks */
    OK(LOCK, TLOCK(1, 0, 0, 0, 100));
    ck_assert_uint_eq(got(0, 1), 0);
    /* The host's own programs take part. */
    ck_assert_int_eq(fcntl(fd, F_OFD_SETLK, &f), -1);
    OK(LOCK, TLOCK(1, 2, 0, 0, 100));
    ck_assert_int_eq(fcntl(fd, F_OFD_SETLK, &f), 0);
    OK(LOCK, TLOCK(1, 0, 55, 1, 100));
    ck_assert_uint_eq(got(0, 1), LOCKED);
    ERR(EINVAL, LOCK, TLOCK(1, 7, 0, 0, 100));
    ERR(EINVAL, LOCK, TLOCK(1, 1, UINT64_MAX, 1, 100));
    close(fd);
}
END_TEST

START_TEST(attributes)
{
    char value[20];

    mount();
    ck_assert_uint_eq(walk1(0, 1, "hello"), 0);
    ERR(ENODATA, XATTRWALK, "dds", 1u, 2u, "user.none");
    ERR(EBADF, CLUNK, "d", 2u);
    OK(WALK, "ddw", 1u, 2u, 0u);
    OK(XATTRCREATE, "dsqd", 2u, "user.test", (uint64_t)6, 0u);
    ERR(EBADF, GETATTR, "dq", 2u, (uint64_t)0x7ff);
    OK(WRITE, "dqd*", 2u, (uint64_t)0, 4u, "abcd", 4u);
    ERR(EINVAL, WRITE, "dqd*", 2u, (uint64_t)4, 3u, "efg", 3u);
    ERR(EINVAL, WRITE, "dqd*", 2u, (uint64_t)3, 2u, "ef", 2u);
    OK(WRITE, "dqd*", 2u, (uint64_t)4, 2u, "ef", 2u);
    if (call(CLUNK, "d", 2u) == EOPNOTSUPP)
        return;                         /* the host's file system has none */
    ck_assert_int_eq(getxattr(path("hello"), "user.test", value, sizeof(value)), 6);
    OK(XATTRWALK, "dds", 1u, 2u, "user.test");
    ck_assert_uint_eq(got(0, 8), 6);
    OK(READ, "dqd", 2u, (uint64_t)2, 100u);
    ck_assert_uint_eq(got(0, 4), 4);
    ck_assert_int_eq(memcmp(re + 4, "cdef", 4), 0);
    OK(READ, "dqd", 2u, UINT64_MAX, 100u);
    ck_assert_uint_eq(got(0, 4), 0);
    OK(CLUNK, "d", 2u);
    OK(XATTRWALK, "dds", 1u, 2u, "");
    ck_assert_uint_ge(got(0, 8), 10);
    OK(CLUNK, "d", 2u);
    OK(WALK, "ddw", 1u, 2u, 0u);
    OK(XATTRCREATE, "dsqd", 2u, "user.test", (uint64_t)1, 0u);
    ERR(EINVAL, CLUNK, "d", 2u);        /* it did not come */
    OK(WALK, "ddw", 1u, 2u, 0u);
    ERR(ENOSPC, XATTRCREATE, "dsqd", 2u, "user.test", (uint64_t)1 << 40, 0u);
    OK(XATTRCREATE, "dsqd", 2u, "user.test", (uint64_t)0, 0u);
    OK(CLUNK, "d", 2u);
    ck_assert_int_eq(getxattr(path("hello"), "user.test", value, sizeof(value)), -1);
}
END_TEST

START_TEST(mapped)
{
    struct stat st;

    start(&(struct fsdev_config){ .model = FSDEV_MAPPED_XATTR }, VT_MODERN);
    mount();
    if (call(MKNOD, "dsdddd", 0u, "dev", S_IFBLK | 0640u, 259u, 0x12345u, 7u) == EOPNOTSUPP) {
        teardown();
        return;
    }
    ck_assert_int_eq(lstat(path("dev"), &st), 0);
    ck_assert_uint_eq(st.st_mode, S_IFREG | 0600);
    ck_assert_uint_eq(walk1(0, 1, "dev"), 0);
    OK(GETATTR, "dq", 1u, (uint64_t)0x7ff);
    ck_assert_uint_eq(got(21, 4), S_IFBLK | 0640);
    ck_assert_uint_eq(got(25, 4), 0);
    ck_assert_uint_eq(got(29, 4), 7);
    ck_assert_uint_eq(got(41, 8), 0x45 | 259u << 8 | 0x123u << 20);
    OK(SETATTR, "dddddqqqqq", 1u, 1u | 2 | 4, 04711u, 1000u, 2000u, (uint64_t)0, (uint64_t)0, (uint64_t)0, (uint64_t)0,
       (uint64_t)0);
    OK(GETATTR, "dq", 1u, (uint64_t)0x7ff);
    ck_assert_uint_eq(got(21, 4), S_IFBLK | 04711);
    ck_assert_uint_eq(got(25, 4), 1000);
    ck_assert_uint_eq(got(29, 4), 2000);
    ck_assert_int_eq(lstat(path("dev"), &st), 0);
    ck_assert_uint_eq(st.st_mode, S_IFREG | 0600);
    ERR(ENODATA, XATTRWALK, "dds", 1u, 2u, "user.virtfs.mode");
    OK(XATTRWALK, "dds", 1u, 2u, "");
    for (unsigned i = 0; i + 11 < got(0, 8); i++)
        ck_assert_int_ne(memcmp(v->ram + IN, "user.virtfs", 11), 0);
    OK(WALK, "ddw", 1u, 3u, 0u);
    OK(XATTRCREATE, "dsqd", 3u, "user.virtfs.uid", (uint64_t)4, 0u);
    OK(WRITE, "dqd*", 3u, (uint64_t)0, 4u, "abcd", 4u);
    ERR(EACCES, CLUNK, "d", 3u);
    OK(SYMLINK, "dssd", 0u, "link", "/etc/passwd", 5u);
    ck_assert_int_eq(lstat(path("link"), &st), 0);
    ck_assert_uint_eq(st.st_mode, S_IFREG | 0600);
    ck_assert_uint_eq(walk1(0, 4, "link"), 0);
    ck_assert_uint_eq(got(2, 1), 2);
    OK(READLINK, "d", 4u);
    ck_assert_int_eq(memcmp(re, "\x0b\x00/etc/passwd", 13), 0);
    /* What is a folder stays one. */
    OK(MKDIR, "dsdd", 0u, "dir", 01777u, 0u);
    ck_assert_int_eq(setxattr(path("dir"), "user.virtfs.mode", "\xff\x81\x00\x00", 4, 0), 0);
    ck_assert_uint_eq(walk1(0, 5, "dir"), 0);
    ck_assert_uint_eq(got(2, 1), 0x80);
    teardown();
}
END_TEST

START_TEST(read_only)
{
    start(&(struct fsdev_config){ .model = FSDEV_NONE, .readonly = true }, VT_MODERN);
    mount();
    ck_assert_uint_eq(walk1(0, 1, "hello"), 0);
    ERR(EROFS, LOPEN, "dd", 1u, 02u);
    ERR(EROFS, LOPEN, "dd", 1u, 01000u);
    OK(LOPEN, "dd", 1u, 0u);
    ERR(EROFS, WRITE, "dqd*", 1u, (uint64_t)0, 1u, "x", 1u);
    ERR(EROFS, SETATTR, "dddddqqqqq", 1u, 1u, 0777u, 0u, 0u, (uint64_t)0, (uint64_t)0, (uint64_t)0, (uint64_t)0,
        (uint64_t)0);
    ERR(EROFS, MKDIR, "dsdd", 0u, "d", 0700u, 0u);
    ERR(EROFS, UNLINKAT, "dsd", 0u, "hello", 0u);
    ERR(EROFS, REMOVE, "d", 1u);
    check_file(path("hello"), "hello");
    teardown();
}
END_TEST

/* The host's root has several file systems in it. */
START_TEST(several_devices)
{
    start(&(struct fsdev_config){ .path = "/", .readonly = true, .multidevs = _i ? FSDEV_FORBID : FSDEV_REMAP },
          VT_MODERN);
    mount();
    ck_assert_uint_eq(got(5, 8) >> 56, 0);
    if (_i) {
        ERR(ENODEV, WALK, "ddws", 0u, 1u, 1u, "proc");
    } else {
        OK(WALK, "ddws", 0u, 1u, 1u, "proc");
        ck_assert_uint_eq(got(2 + 5 + 7, 1), 1);
    }
    teardown();
}
END_TEST

/* ---- nonsense ---- */

START_TEST(malformed)
{
    static const struct { uint32_t size, len, room; } heads[] = {
        { 6, 20, 100 }, { 21, 20, 100 }, { 0xffffffff, 20, 100 }, { 20, 20, 10 }, { 0, 7, 100 }, { 100000, 100000, 100 }
    };

    for (unsigned i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
        unsigned id;
        uint32_t len;

        vt_start(v, VT_MODERN | 1, false, 1);
        mount();
        memset(v->ram + VT_DATA, 0, 100);
        vt_put(v, VT_DATA, heads[i].size, 4);
        v->ram[VT_DATA + 4] = GETATTR;
        offer(VT_DATA, heads[i].len, IN, heads[i].room);
        vt_kick_always(v, 0);
        ck_assert(!vt_used(v, 0, &id, &len));
        ck_assert_uint_eq(vt_status(v) & 0x40, 0x40);
    }
    /* Those whose head is right are answered, and so is what comes behind them. */
    vt_start(v, VT_MODERN | 1, false, 1);
    mount();
    for (unsigned type = 2; type < 128; type += 2) {
        if (type == VERSION || type == 6)
            continue;
        ck_assert_uint_ne(call(type, ""), type == FLUSH ? 0 : 0u);
    }
    ERR(EINVAL, WALK, "ddws", 0u, 1u, 2u, "one");
    ERR(EINVAL, WALK, "ddw", 0u, 1u, 17u);
    ERR(EINVAL, WALK, "ddww", 0u, 1u, 1u, 60000u);
    ERR(EINVAL, MKDIR, "dw*dd", 0u, 3u, "a\0b", 3u, 0u, 0u);
    ERR(ENAMETOOLONG, MKDIR, "dw*dd", 0u, 300u, path("x"), 300u, 0u, 0u);
    OK(GETATTR, "dq", 0u, (uint64_t)0x7ff);
}
END_TEST

static uint32_t seed;

static uint32_t rnd(uint32_t n)
{
    seed = seed * 1664525 + 1013904223;
    return (seed >> 8) % n;
}

/* A message with the shape of one, of small fids and few names, some of it wrong. */
static uint32_t random_message(uint64_t at, unsigned t)
{
    static const struct { uint8_t type; const char *shape; } shapes[] = {
        { STATFS, "f" }, { LOPEN, "fo" }, { LCREATE, "fnomd" }, { SYMLINK, "fnnd" }, { MKNOD, "fnmddd" },
        { RENAME, "ffn" }, { READLINK, "f" }, { GETATTR, "fq" }, { SETATTR, "fddddqqqqq" }, { XATTRWALK, "ffn" },
        { XATTRCREATE, "fnSd" }, { READDIR, "fzd" }, { FSYNC, "fd" }, { LOCK, "fbdzzdn" }, { GETLOCK, "fbzzdn" },
        { LINK, "ffn" }, { MKDIR, "fnmd" }, { RENAMEAT, "fnfn" }, { UNLINKAT, "fnd" }, { ATTACH, "fFnad" },
        { FLUSH, "w" }, { WALK, "ffW" }, { WALK, "ffW" }, { READ, "fzz" }, { WRITE, "fzD" }, { CLUNK, "f" },
        { REMOVE, "f" }, { AUTH, "fnnd" }, { VERSION, "dn" }
    };
    static const char *const names[] = { "a", "b", "c", "..", ".", "hello", "up", "all", "fifo", "../secret", "", "user.x",
                                         "a/b" };
    unsigned which = rnd(sizeof(shapes) / sizeof(shapes[0]));
    uint64_t p = at + 7;

    if (shapes[which].type == VERSION && rnd(20))
        which = 0;
    for (const char *s = shapes[which].shape; *s; s++) {
        unsigned n = *s == 'W' ? rnd(5) : 1;

        if (*s == 'W') {
            vt_put(v, p, n, 2);
            p += 2;
        }
        for (; n && (*s == 'n' || *s == 'W' || *s == 'a'); n--) {
            const char *name = *s == 'a' && rnd(2) ? "" : names[rnd(sizeof(names) / sizeof(names[0]))];

            vt_put(v, p, strlen(name), 2);
            memcpy(v->ram + p + 2, name, strlen(name));
            p += 2 + strlen(name);
        }
        if (*s == 'f')
            vt_put(v, p, rnd(8), 4), p += 4;
        else if (*s == 'F')
            vt_put(v, p, rnd(4) ? 0xffffffff : 1, 4), p += 4;
        else if (*s == 'o')
            vt_put(v, p, rnd(4) | (rnd(2) ? 0100 : 0) | (rnd(2) ? rnd(1u << 20) & ~010000000u : 0), 4), p += 4;
        else if (*s == 'm')
            vt_put(v, p, 0700 | rnd(8) << 13 | rnd(01000), 4), p += 4;
        else if (*s == 'd')
            vt_put(v, p, rnd(2) ? rnd(1000) : rnd(1 << 24) << 8 | rnd(256), 4), p += 4;
        else if (*s == 'b' || *s == 'w')
            vt_put(v, p, rnd(4), *s == 'b' ? 1 : 2), p += *s == 'b' ? 1 : 2;
        else if (*s == 'q')
            vt_put(v, p, rnd(2) ? rnd(10000) : (uint64_t)rnd(1 << 24) << rnd(40), 8), p += 8;
        else if (*s == 'z' || *s == 'S')
            vt_put(v, p, rnd(8) ? rnd(5000) : UINT64_MAX - rnd(9), 8), p += 8;
        else if (*s == 'D') {
            uint32_t len = rnd(3000);

            vt_put(v, p, rnd(8) ? len : len + rnd(100), 4);
            p += 4 + len;
        }
    }
    if (!rnd(20))
        p = at + 7 + rnd((uint32_t)(p - at - 6));       /* cut off */
    while (!rnd(10))
        v->ram[at + 7 + rnd((uint32_t)(p - at))] = (uint8_t)rnd(256);
    vt_put(v, at, p - at, 4);
    v->ram[at + 4] = rnd(300) ? shapes[which].type : (uint8_t)rnd(256);
    vt_put(v, at + 5, t, 2);
    return (uint32_t)(p - at);
}

START_TEST(fuzz)
{
    unsigned answers = 0;
    uint32_t len;
    unsigned id;

    seed = 1000 + (uint32_t)_i;
    start(&(struct fsdev_config){ .model = _i % 2 ? FSDEV_MAPPED_XATTR : FSDEV_NONE, .multidevs = FSDEV_REMAP },
          drivers[2 + _i % 2]);
    ck_assert_int_eq(symlink("..", path("up")), 0);
    ck_assert_int_eq(symlink("/", path("all")), 0);
    ck_assert_int_eq(mkfifo(path("fifo"), 0666), 0);
    mount();
    for (unsigned round = 0; round < 1500; round++) {
        unsigned n = 1 + rnd(8), back = 0;

        for (unsigned i = 0; i < n; i++) {
            uint64_t at = VT_DATA + 0x4000 * i;
            uint32_t size = random_message(at, rnd(2) ? rnd(4) : 100 + i);

            offer(at, size, IN + 0x4000 * i, rnd(100) ? 0x4000 : 12 + rnd(500));
        }
        vt_kick_always(v, 0);
        if (!rnd(40))
            vt_set_status(v, 0);
        for (unsigned i = 0; back < n && !(vt_status(v) & 0x40) && (vt_status(v) & 4) && i < 400; i++) {
            while (back < n && vt_used(v, 0, &id, &len)) {
                ck_assert_uint_ge(len, 7);
                back++;
            }
            if (back < n)
                evloop_step(loop, 5000000);
        }
        answers += back;
        if (back < n) {
            /* Broken, or reset: all that is under way ends. */
            ck_assert((vt_status(v) & 0x40) || !(vt_status(v) & 4));
            vt_set_status(v, 0);
            for (unsigned i = 0; i < 400 && vt_status(v); i++)
                evloop_step(loop, 5000000);
            vt_start(v, drivers[2 + _i % 2] | 1, true, 1);
        }
        if (back < n || !rnd(50)) {
            OK(VERSION, "ds", 16384u, "9P2000.L");
            OK(ATTACH, "ddssd", 0u, 0xffffffffu, "me", "", 0u);
        }
    }
    ck_assert_uint_gt(answers, 3000);
    teardown();
}
END_TEST

int main(void)
{
    Suite *s = suite_create("9p");
    TCase *t = tcase_create("folder"), *own = tcase_create("others");

    umask(022);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 120);
    tcase_add_test(t, files);
    tcase_add_test(t, names);
    tcase_add_test(t, folders);
    tcase_add_test(t, escapes);
    tcase_add_test(t, flushes);
    tcase_add_test(t, locks);
    tcase_add_test(t, attributes);
    tcase_add_test(t, malformed);
    suite_add_tcase(s, t);
    tcase_set_timeout(own, 120);
    tcase_add_loop_test(own, session, 0, sizeof(drivers) / sizeof(drivers[0]));
    tcase_add_test(own, mapped);
    tcase_add_test(own, read_only);
    tcase_add_loop_test(own, several_devices, 0, 2);
    tcase_add_loop_test(own, fuzz, 0, 4);
    suite_add_tcase(s, own);
    return run_suite(s);
}
