/*
 * fsdev_attr.c - owners, modes and other attributes of a folder's files, by security model (xattr(7)).
 *
 * Mapped files are plain files and folders of ours with what the guest thinks of them in attributes, each
 * little-endian: user.virtfs.uid, .gid, .mode (4 bytes), .rdev (8 bytes). The guest does not see these.
 *
 * A descriptor that only names a file takes few calls: the others get its name below /proc/self/fd, which leads to
 * the file itself, also where that is a symbolic link.
 */
#ifndef _GNU_SOURCE             /* AT_EMPTY_PATH, O_NOATIME */
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/log.h"
#include "host/fsdev_int.h"

#define HIDDEN "user.virtfs."
#define UID    HIDDEN "uid"
#define GID    HIDDEN "gid"
#define MODE   HIDDEN "mode"
#define RDEV   HIDDEN "rdev"

void fsdev_proc(char path[FSDEV_PROC], int fd)
{
    snprintf(path, FSDEV_PROC, "/proc/self/fd/%d", fd);
}

bool fsdev_mapped(const struct fsdev *d)
{
    return d->cfg.model == FSDEV_MAPPED_XATTR;
}

/* ---- what files are ---- */

static bool mapped_get(const char *path, const char *name, unsigned size, uint64_t *val)
{
    uint8_t b[8];

    if (getxattr(path, name, b, size) != (ssize_t)size)
        return false;
    *val = 0;
    for (unsigned i = 0; i < size; i++)
        *val |= (uint64_t)b[i] << (8 * i);
    return true;
}

static int mapped_set(const char *path, const char *name, unsigned size, uint64_t val)
{
    uint8_t b[8];

    for (unsigned i = 0; i < size; i++)
        b[i] = (uint8_t)(val >> (8 * i));
    return setxattr(path, name, b, size, 0) ? errno : 0;
}

int fsdev_stat(struct fsdev *d, int fd, struct stat *st)
{
    char path[FSDEV_PROC];
    uint64_t val;

    if (fstat(fd, st))
        return errno;
    if (!fsdev_mapped(d) || (!S_ISREG(st->st_mode) && !S_ISDIR(st->st_mode)))
        return 0;
    fsdev_proc(path, fd);
    if (mapped_get(path, UID, 4, &val))
        st->st_uid = (uid_t)val;
    if (mapped_get(path, GID, 4, &val))
        st->st_gid = (gid_t)val;
    /* A folder is one whatever somebody wrote there, and nothing else is. */
    if (mapped_get(path, MODE, 4, &val) && S_ISDIR(val) == S_ISDIR(st->st_mode))
        st->st_mode = (mode_t)val;
    if (mapped_get(path, RDEV, 8, &val))
        st->st_rdev = makedev((val >> 8) & 0xfff, (val & 0xff) | ((val >> 12) & 0xfff00));
    return 0;
}

int fsdev_allowed(struct fsdev *d, dev_t dev)
{
    if (!d->ndevices || dev == d->devices[0])
        return 0;
    if (d->cfg.multidevs == FSDEV_FORBID)
        return ENODEV;
    if (d->cfg.multidevs == FSDEV_WARN && !d->told_devices) {
        d->told_devices = true;
        fprintf(stderr, "latimer: folder %s: there are several file systems in it, and files of theirs may have one "
                "number to the guest: multidevs=remap gives them different ones, multidevs=forbid hides them\n",
                d->cfg.path);
    }
    return 0;
}

struct fs_qid fsdev_qid_of(struct fsdev *d, dev_t dev, ino_t ino, mode_t mode)
{
    struct fs_qid q = { .path = (uint64_t)ino };
    uint64_t n = 0;

    q.type = S_ISDIR(mode) ? FS_QID_DIR : S_ISLNK(mode) ? FS_QID_SYMLINK : 0;
    if (d->cfg.multidevs != FSDEV_REMAP)
        return q;
    while (n < d->ndevices && d->devices[n] != dev)
        n++;
    if (n == d->ndevices && n < FSDEV_DEVICES)
        d->devices[d->ndevices++] = dev;
    /* The number of the file system above that of the file, which is folded where it is that large. */
    q.path = n << 56 | (((uint64_t)ino ^ (uint64_t)ino >> 56 << 48) & 0xffffffffffffff);
    return q;
}

struct fs_qid fsdev_qid(struct fsdev *d, const struct stat *st)
{
    struct fs_qid q = fsdev_qid_of(d, st->st_dev, st->st_ino, st->st_mode);

    q.version = (uint32_t)st->st_mtime ^ (uint32_t)((uint64_t)st->st_size << 8);
    return q;
}

static struct fs_time time_of(const struct timespec *t)
{
    return (struct fs_time){ (uint64_t)t->tv_sec, (uint64_t)t->tv_nsec };
}

void fsdev_attr(struct fsdev *d, const struct stat *st, struct fs_attr *a)
{
    uint64_t major = major(st->st_rdev), minor = minor(st->st_rdev);

    *a = (struct fs_attr){
        .qid = fsdev_qid(d, st), .mode = st->st_mode, .uid = st->st_uid, .gid = st->st_gid,
        .nlink = (uint64_t)st->st_nlink, .rdev = (minor & 0xff) | major << 8 | (minor & ~0xffull) << 12,
        .size = (uint64_t)st->st_size, .blksize = (uint64_t)st->st_blksize, .blocks = (uint64_t)st->st_blocks,
        .atime = time_of(&st->st_atim), .mtime = time_of(&st->st_mtim), .ctime = time_of(&st->st_ctim)
    };
}

/* ---- changing it ---- */

static int own_mapped(const char *path, uint32_t uid, uint32_t gid, mode_t mode, uint64_t dev)
{
    bool special = S_ISCHR(mode) || S_ISBLK(mode);
    int error = mapped_set(path, MODE, 4, mode);

    if (!error && uid != UINT32_MAX)
        error = mapped_set(path, UID, 4, uid);
    if (!error && gid != UINT32_MAX)
        error = mapped_set(path, GID, 4, gid);
    return !error && special ? mapped_set(path, RDEV, 8, dev) : error;
}

static int give(const struct fsdev *d, int fd, uint32_t uid, uint32_t gid)
{
    if (fchownat(fd, "", uid, gid, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) && d->cfg.model == FSDEV_PASSTHROUGH)
        return errno;
    return 0;
}

int fsdev_own(struct fsdev *d, int fd, uint32_t uid, uint32_t gid, mode_t mode, uint64_t dev)
{
    char path[FSDEV_PROC];
    int error;

    fsdev_proc(path, fd);
    if (fsdev_mapped(d))
        return own_mapped(path, uid, gid, mode, dev);
    /* The owner first: it takes away S_ISUID and S_ISGID. */
    error = give(d, fd, uid, gid);
    if (error || S_ISLNK(mode))
        return error;
    return chmod(path, mode & 07777) ? errno : 0;
}

static int set_size(struct fs_node *n, const char *path, uint64_t size)
{
    struct stat st;

    if (fstat(n->file->fd, &st))
        return errno;
    if (!S_ISREG(st.st_mode) || size > INT64_MAX)
        return S_ISDIR(st.st_mode) ? EISDIR : EINVAL;
    if (n->io >= 0 && n->writes)
        return ftruncate(n->io, (off_t)size) ? errno : 0;
    return truncate(path, (off_t)size) ? errno : 0;
}

static bool set_time(struct timespec *to, const struct fs_time *t, uint32_t set, uint32_t any, uint32_t exact)
{
    to->tv_sec = (time_t)t->sec;
    to->tv_nsec = !(set & any) ? UTIME_OMIT : set & exact ? (long)t->nsec : UTIME_NOW;
    return !(set & any) || !(set & exact) || t->nsec < 1000000000;
}

static int set_owner(struct fsdev *d, struct fs_node *n, const char *path, uint32_t uid, uint32_t gid)
{
    int error = 0;

    if (!fsdev_mapped(d))
        return give(d, n->file->fd, uid, gid);
    if (uid != UINT32_MAX)
        error = mapped_set(path, UID, 4, uid);
    return !error && gid != UINT32_MAX ? mapped_set(path, GID, 4, gid) : error;
}

static int set_mode(struct fsdev *d, struct fs_node *n, const char *path, uint32_t mode)
{
    struct stat st;
    int error = fsdev_stat(d, n->file->fd, &st);

    if (error)
        return error;
    if (fsdev_mapped(d))
        return mapped_set(path, MODE, 4, (st.st_mode & S_IFMT) | (mode & 07777));
    if (S_ISLNK(st.st_mode))
        return EOPNOTSUPP;
    return chmod(path, mode & 07777) ? errno : 0;
}

int fsdev_setattr(struct fsdev *d, struct fs_node *n, const struct fs_req *r)
{
    const struct fs_attr *a = &r->attr;
    struct timespec t[2];
    char path[FSDEV_PROC];
    int error = 0;

    fsdev_proc(path, n->file->fd);
    if (!set_time(&t[0], &a->atime, r->set, FS_SET_ATIME, FS_SET_ATIME_TO) ||
        !set_time(&t[1], &a->mtime, r->set, FS_SET_MTIME, FS_SET_MTIME_TO))
        return EINVAL;
    if (r->set & (FS_SET_UID | FS_SET_GID))
        error = set_owner(d, n, path, r->set & FS_SET_UID ? a->uid : UINT32_MAX,
                          r->set & FS_SET_GID ? a->gid : UINT32_MAX);
    if (!error && (r->set & FS_SET_MODE))
        error = set_mode(d, n, path, a->mode);
    if (!error && (r->set & FS_SET_SIZE))
        error = set_size(n, path, a->size);
    if (!error && (r->set & (FS_SET_ATIME | FS_SET_MTIME)) && utimensat(AT_FDCWD, path, t, 0))
        error = errno;
    return error;
}

/* ---- extended attributes ---- */

static bool hidden(const struct fsdev *d, const char *name)
{
    return fsdev_mapped(d) && strncmp(name, HIDDEN, strlen(HIDDEN)) == 0;
}

/* Of the names, those that are not ours alone; returns how many bytes they are. */
static size_t visible(const struct fsdev *d, char *names, size_t len)
{
    size_t to = 0;

    for (size_t at = 0, n; at < len; at += n) {
        n = strnlen(names + at, len - at) + 1;
        if (at + n > len)
            break;
        if (hidden(d, names + at))
            continue;
        memmove(names + to, names + at, n);
        to += n;
    }
    return to;
}

int fsdev_getxattr(struct fsdev *d, int fd, struct fs_req *r)
{
    char path[FSDEV_PROC];
    ssize_t n;

    if (hidden(d, r->name))
        return ENODATA;
    r->data = malloc(FS_XATTR_MAX);
    if (!r->data)
        return ENOMEM;
    fsdev_proc(path, fd);
    if (r->name[0])
        n = getxattr(path, r->name, r->data, FS_XATTR_MAX);
    else
        n = listxattr(path, (char *)r->data, FS_XATTR_MAX);
    if (n < 0)
        return errno;
    r->done_len = (uint32_t)(r->name[0] ? (size_t)n : visible(d, (char *)r->data, (size_t)n));
    return 0;
}

int fsdev_setxattr(struct fsdev *d, int fd, const struct fs_req *r)
{
    char path[FSDEV_PROC];
    int flags = (r->flags & 1 ? XATTR_CREATE : 0) | (r->flags & 2 ? XATTR_REPLACE : 0);

    if (hidden(d, r->name))
        return EACCES;
    fsdev_proc(path, fd);
    if (!r->len)
        return removexattr(path, r->name) ? errno : 0;
    return setxattr(path, r->name, r->data, r->len, flags) ? errno : 0;
}

/* ---- numbers of Linux ---- */

int fsdev_flags(uint32_t f)
{
    static const struct { uint32_t guest; int host; } bits[] = {
        { 0100, O_CREAT }, { 0200, O_EXCL }, { 01000, O_TRUNC }, { 02000, O_APPEND }, { 010000, O_DSYNC },
        { 0200000, O_DIRECTORY }, { 01000000, O_NOATIME }, { 04010000, O_SYNC }
    };
    int flags = (f & 3) == 0 ? O_RDONLY : (f & 3) == 1 ? O_WRONLY : O_RDWR;

    for (unsigned i = 0; i < sizeof(bits) / sizeof(bits[0]); i++)
        if ((f & bits[i].guest) == bits[i].guest)
            flags |= bits[i].host;
    return flags;
}

int fsdev_errno(int host)
{
    static const struct { int host, guest; } numbers[] = {
        { EPERM, 1 }, { ENOENT, 2 }, { EINTR, 4 }, { EIO, 5 }, { ENXIO, 6 }, { E2BIG, 7 }, { EBADF, 9 }, { EAGAIN, 11 },
        { ENOMEM, 12 }, { EACCES, 13 }, { EBUSY, 16 }, { EEXIST, 17 }, { EXDEV, 18 }, { ENODEV, 19 }, { ENOTDIR, 20 },
        { EISDIR, 21 }, { EINVAL, 22 }, { ENFILE, 23 }, { EMFILE, 24 }, { ENOTTY, 25 }, { ETXTBSY, 26 }, { EFBIG, 27 },
        { ENOSPC, 28 }, { ESPIPE, 29 }, { EROFS, 30 }, { EMLINK, 31 }, { ERANGE, 34 }, { EDEADLK, 35 },
        { ENAMETOOLONG, 36 }, { ENOLCK, 37 }, { ENOSYS, 38 }, { ENOTEMPTY, 39 }, { ELOOP, 40 }, { ENODATA, 61 },
        { EOVERFLOW, 75 }, { EOPNOTSUPP, 95 }, { ESTALE, 116 }, { EDQUOT, 122 }
    };

    for (unsigned i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        if (numbers[i].host == host)
            return numbers[i].guest;
    return host ? 5 : 0;
}
