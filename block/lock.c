/* lock.c - see lock.h. */
#ifndef _GNU_SOURCE             /* F_OFD_SETLK */
#define _GNU_SOURCE
#endif
#include "block/lock.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { READS = 1, WRITES = 2, RESIZES = 8 };    /* bit n: byte n of each range */
#define DOES 100
#define FORBIDS 200
#define BITS 4

static int byte_lock(int fd, int command, short type, unsigned byte, struct flock *l)
{
    int r;

    *l = (struct flock){ .l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1 };
    do {
        r = fcntl(fd, command, l);
    } while (r < 0 && errno == EINTR);
    return r < 0 ? -errno : 0;
}

/* How often this process has it open. */
static unsigned open_here(const struct stat *want)
{
    DIR *fds = opendir("/proc/self/fd");
    struct stat st;
    unsigned n = 0;

    for (struct dirent *e; fds && (e = readdir(fds));)
        n += fstatat(dirfd(fds), e->d_name, &st, 0) == 0 && st.st_dev == want->st_dev &&
            st.st_ino == want->st_ino;
    if (fds)
        closedir(fds);
    return n;
}

/* The first other process that has the file open: only the kernel knows whose a lock is, and does not say. */
static void holder(int fd, char *who, size_t size)
{
    struct stat want, st;
    DIR *proc = opendir("/proc");
    struct dirent *d;
    long self = (long)getpid();
    bool found;

    snprintf(who, size, "another program");
    if (!proc)
        return;
    found = fstat(fd, &want) < 0;
    while (!found && (d = readdir(proc))) {
        char path[64], comm[32];
        long pid = strtol(d->d_name, NULL, 10);
        struct dirent *e;
        DIR *fds;

        snprintf(path, sizeof(path), "/proc/%ld/fd", pid);
        fds = pid > 0 && pid != self ? opendir(path) : NULL;
        while (!found && fds && (e = readdir(fds)))
            found = fstatat(dirfd(fds), e->d_name, &st, 0) == 0 && st.st_dev == want.st_dev &&
                st.st_ino == want.st_ino;
        if (fds)
            closedir(fds);
        if (found) {
            FILE *f;

            snprintf(path, sizeof(path), "/proc/%ld/comm", pid);
            f = fopen(path, "re");
            if (!f || !fgets(comm, sizeof(comm), f))
                comm[0] = 0;
            comm[strcspn(comm, "\n")] = 0;
            if (f)
                fclose(f);
            snprintf(who, size, "process %ld (%s)", pid, comm);
        }
    }
    closedir(proc);
    if (!found && open_here(&want) > 1)
        snprintf(who, size, "this Latimer (is the image given twice?)");
}

static int refuse(int fd, const char *path, bool writing, const char *why, struct block_error *e)
{
    char who[96];

    holder(fd, who, sizeof(who));
    return block_fail(e, EAGAIN, "%s: in use: %s %s; %s", path, who, why,
                      writing ? "end it, open the image read-only, or use -snapshot" : "end it first");
}

int lock_take(int fd, const char *path, bool writing, struct block_error *e)
{
    unsigned does = READS | (writing ? WRITES | RESIZES : 0), forbids = WRITES | RESIZES;
    struct flock l;
    int r = 0;

    for (unsigned i = 0; i < BITS && !r; i++) {
        if (does >> i & 1)
            r = byte_lock(fd, F_OFD_SETLK, F_RDLCK, DOES + i, &l);
        if (!r && (forbids >> i & 1))
            r = byte_lock(fd, F_OFD_SETLK, F_RDLCK, FORBIDS + i, &l);
    }
    if (r == -EAGAIN || r == -EACCES)
        return refuse(fd, path, writing, "has locked it", e);
    for (unsigned i = 0; i < BITS && !r; i++) {
        if (does >> i & 1) {
            r = byte_lock(fd, F_OFD_GETLK, F_WRLCK, FORBIDS + i, &l);
            if (!r && l.l_type != F_UNLCK)
                return refuse(fd, path, writing, i ? "has it and bears no other writer" : "is changing it",
                              e);
        }
        if (!r && (forbids >> i & 1)) {
            r = byte_lock(fd, F_OFD_GETLK, F_WRLCK, DOES + i, &l);
            if (!r && l.l_type != F_UNLCK)
                return refuse(fd, path, writing, "writes it", e);
        }
    }
    /* Some network file systems have no locks: there nobody is kept out. */
    if (r == -ENOLCK || r == -EINVAL || r == -EOPNOTSUPP || r == -ENOSYS)
        return 0;
    return r ? block_fail(e, -r, "%s: cannot lock it: %s", path, strerror(-r)) : 0;
}
