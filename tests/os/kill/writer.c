/*
 * writer.c - the guest's side of kill.py: writes what a seed says, and tells the serial port what has been synced.
 *
 *   writer records DEVICE DISK SEED FIRST   operations FIRST, FIRST + 1, ... on a device of slots of 64 KiB
 *   writer files FOLDER DISK SEED FIRST     files, made, renamed and removed
 *
 * "@R0 17@" means: fsync() has returned after operation 17 of the records of disk 0 (F: files). The line is out of the
 * UART before the next operation begins. What an operation does follows from seed, disk and number alone: kill.py
 * computes it again. Each sector that is written says by what, and where.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#define SECTOR 512
#define SLOT 128                /* sectors */
#define KEPT 100                /* files */

static int serial;

static void fail(const char *what)
{
    char line[100];
    int n = snprintf(line, sizeof(line), "@E %s: %s@\n", what, strerror(errno));

    if (write(serial, line, (size_t)n) == n)
        tcdrain(serial);
    exit(1);
}

static void report(char kind, const char *disk, uint64_t n)
{
    char line[64];
    int len = snprintf(line, sizeof(line), "@%c%s %llu@\n", kind, disk, (unsigned long long)n);

    if (write(serial, line, (size_t)len) != len)
        exit(1);
    tcdrain(serial);
}

/* splitmix64 */
static uint64_t mix(uint64_t x)
{
    x += 0x9e3779b97f4a7c15;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
    x = (x ^ x >> 27) * 0x94d049bb133111eb;
    return x ^ x >> 31;
}

static void fill(uint8_t *to, uint64_t n, uint64_t sector, uint64_t key)
{
    uint64_t words[SECTOR / 8];

    words[0] = n;
    words[1] = sector;
    for (unsigned i = 2; i < SECTOR / 8; i++)
        words[i] = mix(words[i - 1] ^ key ^ n << 20 ^ sector);
    memcpy(to, words, SECTOR);
}

static void records(const char *device, const char *disk, uint64_t key, uint64_t n)
{
    static _Alignas(4096) uint8_t data[SLOT * SECTOR];
    int fd = open(device, O_RDWR), direct = open(device, O_RDWR | O_DIRECT);
    uint64_t slots, size;

    if (fd < 0 || direct < 0 || ioctl(fd, BLKGETSIZE64, &size) < 0)
        fail(device);
    slots = size / sizeof(data);
    for (;; n++) {
        uint64_t r = mix(key ^ n), slot = r % slots, how = r >> 40 & 15, range[2] = { slot * sizeof(data), sizeof(data) };
        unsigned count = r >> 16 & 7 ? 1 + (r >> 20 & 31) : SLOT, first = (r >> 26 & 127) % (SLOT - count + 1);
        uint64_t at = slot * SLOT + first;

        if (how < 2) {
            if (ioctl(fd, how ? BLKZEROOUT : BLKDISCARD, range) < 0 && how)
                fail("BLKZEROOUT");
        } else {
            for (unsigned i = 0; i < count; i++)
                fill(data + i * SECTOR, n, at + i, key);
            if (pwrite(how < 6 ? direct : fd, data, count * SECTOR, (off_t)(at * SECTOR)) != count * SECTOR)
                fail("pwrite");
        }
        if (r >> 48 & 1)
            continue;
        if ((r >> 49 & 1 ? fsync(fd) : fdatasync(fd)) < 0)
            fail("fsync");
        report('R', disk, n);
    }
}

static void files(const char *folder, const char *disk, uint64_t key, uint64_t n)
{
    static uint8_t data[SLOT * SECTOR];
    int dir;

    if (chdir(folder) < 0 || (dir = open(".", O_RDONLY | O_DIRECTORY)) < 0)
        fail(folder);
    for (;; n++) {
        char name[32], old[32];
        unsigned count = 1 + mix(key ^ n) % SLOT;
        int fd = open("new", O_WRONLY | O_CREAT | O_TRUNC, 0644);

        snprintf(name, sizeof(name), "f%llu", (unsigned long long)n);
        snprintf(old, sizeof(old), "f%llu", (unsigned long long)(n - KEPT));
        for (unsigned i = 0; i < count; i++)
            fill(data + i * SECTOR, n, i, key);
        if (fd < 0 || write(fd, data, count * SECTOR) != count * SECTOR || fsync(fd) < 0 || close(fd) < 0)
            fail("a file");
        if (rename("new", name) < 0 || fsync(dir) < 0)
            fail("rename");
        if (n > KEPT && unlink(old) < 0 && errno != ENOENT)
            fail("unlink");
        report('F', disk, n);
    }
}

int main(int argc, char **argv)
{
    uint64_t key, first;

    if (argc != 6)
        return 2;
    serial = open("/dev/ttyS0", O_WRONLY | O_NOCTTY);
    key = mix(strtoull(argv[4], NULL, 10) * 2 + strtoull(argv[3], NULL, 10));
    first = strtoull(argv[5], NULL, 10);
    if (!strcmp(argv[1], "records"))
        records(argv[2], argv[3], key, first);
    files(argv[2], argv[3], ~key, first);
}
