/*
 * load.c - the guest's side of disk.py: direct requests of one size, so many under way at a time.
 *
 *   load DEVICE read|write BYTES DEPTH SECONDS
 *
 * 128 KiB go through the device in order, smaller ones anywhere. Prints "load: ... bytes NS" for what ended in time, by the
 * guest's clock; "begin" and "end" let the host use its own. What is written is not zero, and another each time.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/fs.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define MAX 32

static uint64_t now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

int main(int argc, char **argv)
{
    uint64_t size = 0, random = 1, done = 0, at = 0, start, ns;
    struct iocb cb[MAX], *list[MAX];
    struct io_event events[MAX];
    aio_context_t aio = 0;
    int fd = argc == 6 ? open(argv[1], O_RDWR | O_DIRECT) : -1, under_way = 0;
    int write = argc == 6 && argv[2][0] == 'w', depth = argc == 6 ? atoi(argv[4]) : 0;
    uint64_t bytes = argc == 6 ? strtoull(argv[3], NULL, 10) : 0;

    if (fd < 0 || depth < 1 || depth > MAX || !bytes || ioctl(fd, BLKGETSIZE64, &size) < 0 ||
        syscall(SYS_io_setup, MAX, &aio) < 0) {
        puts("load: cannot begin");
        return 1;
    }
    for (int i = 0; i < depth; i++) {
        void *buf = aligned_alloc(4096, bytes);

        memset(buf, 1 + i, bytes);
        memset(&cb[i], 0, sizeof(cb[i]));
        cb[i].aio_fildes = (uint32_t)fd;
        cb[i].aio_lio_opcode = write ? IOCB_CMD_PWRITE : IOCB_CMD_PREAD;
        cb[i].aio_buf = (uintptr_t)buf;
        cb[i].aio_nbytes = bytes;
        cb[i].aio_data = (uint64_t)i;
        list[i] = &cb[i];
    }
    printf("load: begin\n");
    fflush(stdout);
    start = now();
    ns = strtoull(argv[5], NULL, 10) * 1000000000u;
    for (int idle = depth; now() - start < ns;) {
        for (int i = 0; i < idle; i++) {
            uint64_t n = at++;

            if (bytes < 65536) {
                random = random * 6364136223846793005u + 1442695040888963407u;
                n = random >> 20;
            }
            list[i]->aio_offset = (int64_t)(n % (size / bytes) * bytes);
            *(uint64_t *)(uintptr_t)list[i]->aio_buf = n;
        }
        if (idle && syscall(SYS_io_submit, aio, idle, list) != idle) {
            puts("load: io_submit failed");
            return 1;
        }
        under_way += idle;
        idle = (int)syscall(SYS_io_getevents, aio, 1, MAX, events, NULL);
        for (int i = 0; i < idle; i++) {
            if (events[i].res != (int64_t)bytes) {
                puts("load: I/O error");
                return 1;
            }
            list[i] = &cb[events[i].data];
        }
        under_way -= idle;
        done += (uint64_t)idle * bytes;
    }
    ns = now() - start;
    while (under_way > 0)
        under_way -= (int)syscall(SYS_io_getevents, aio, 1, MAX, events, NULL);
    printf("load: %s %s %llu %d: %llu bytes %llu ns end\n", argv[1], argv[2], (unsigned long long)bytes, depth,
           (unsigned long long)done, (unsigned long long)ns);
    return 0;
}
