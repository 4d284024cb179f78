/*
 * fsdev_ops.c - what guests do with files of a folder (openat(2), proc(5)).
 *
 * Nothing outside the folder can be reached. A file is found by one name in a folder that is found already, by
 * openat() with O_PATH and O_NOFOLLOW, and no name has a '/' in it: links are the guest's to follow. ".." is
 * followed only where the folder itself is found again above what it leads to. Finding a file does not open it;
 * what is opened is what was found (by /proc/self/fd, whatever became of the name), and only where that is a plain
 * file or a folder: FIFOs, sockets and devices are the guest's own.
 */
#ifndef _GNU_SOURCE             /* O_PATH */
#define _GNU_SOURCE
#endif
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/log.h"
#include "host/fsdev_int.h"

#define FIND (O_PATH | O_NOFOLLOW | O_CLOEXEC)
#define CLIMB_MAX 4096u                 /* folders up to the root of the host */
#define DENTS 32768

/* ---- files and nodes ---- */

static struct fsdev_file *ref(struct fsdev_file *f)
{
    if (f)
        f->refs++;
    return f;
}

static void unref(struct fsdev_file *f)
{
    while (f && !--f->refs) {
        struct fsdev_file *parent = f->parent;

        *f->prev = f->next;
        if (f->next)
            f->next->prev = f->prev;
        close(f->fd);
        free(f->name);
        free(f);
        f = parent;
    }
}

char *fsdev_copy(const char *text)
{
    char *s = strdup(text);

    if (!s)
        die(EXIT_CODE_HOST, "out of memory for a file's name");
    return s;
}

/* Takes over `fd`, also where it fails. */
static int new_file(struct fsdev *d, int fd, struct fsdev_file *parent, const char *name, struct fsdev_file **out)
{
    struct fsdev_file *f;
    struct stat st;
    int error = 0;

    if (fstat(fd, &st))
        error = errno;
    else
        error = fsdev_allowed(d, st.st_dev);
    if (error) {
        close(fd);
        return error;
    }
    f = calloc(1, sizeof(*f));
    if (!f)
        die(EXIT_CODE_HOST, "out of memory for a file of the guest's");
    *f = (struct fsdev_file){ .refs = 1, .fd = fd, .dev = st.st_dev, .ino = st.st_ino, .parent = ref(parent),
                              .name = fsdev_copy(name), .next = d->files, .prev = &d->files };
    if (f->next)
        f->next->prev = &f->next;
    d->files = f;
    *out = f;
    return 0;
}

/* Takes over the reference. */
static struct fs_node *new_node(struct fsdev *d, struct fsdev_file *f, uint32_t uid)
{
    struct fs_node *n = calloc(1, sizeof(*n));

    if (!n)
        die(EXIT_CODE_HOST, "out of memory for a file of the guest's");
    *n = (struct fs_node){ .file = f, .uid = uid, .io = -1, .next = d->nodes, .prev = &d->nodes };
    if (n->next)
        n->next->prev = &n->next;
    d->nodes = n;
    return n;
}

static void forget(struct fsdev *d, struct fs_node *n)
{
    fsdev_unlock_node(d, n);
    *n->prev = n->next;
    if (n->next)
        n->next->prev = n->prev;
    if (n->io >= 0)
        close(n->io);
    unref(n->file);
    free(n);
}

int fsdev_open_root(struct fsdev *d, const char *path)
{
    int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    struct stat st;

    if (fd < 0)
        return errno;
    if (fstat(fd, &st) == 0)
        d->devices[d->ndevices++] = st.st_dev;
    return new_file(d, fd, NULL, "", &d->root);
}

void fsdev_close_all(struct fsdev *d)
{
    while (d->nodes)
        forget(d, d->nodes);
    unref(d->root);
    while (d->files) {                  /* renamed into each other by others */
        d->files->refs = 1;
        d->files->parent = NULL;
        unref(d->files);
    }
}

static bool is_root(const struct fsdev *d, const struct stat *st)
{
    return st->st_dev == d->root->dev && st->st_ino == d->root->ino;
}

/* Is the folder beneath ours, or ours? */
static int beneath(const struct fsdev *d, int fd)
{
    struct stat st, up;
    int at = dup(fd), error = at < 0 ? errno : 0;

    for (unsigned i = 0; !error; i++) {
        int next;

        if (fstat(at, &st)) {
            error = errno;
        } else if (is_root(d, &st)) {
            break;
        } else {
            next = openat(at, "..", FIND | O_DIRECTORY);
            if (next < 0 || fstat(next, &up))
                error = errno;
            else if (i == CLIMB_MAX || (up.st_dev == st.st_dev && up.st_ino == st.st_ino))
                error = EACCES;
            close(at);
            at = next;
        }
    }
    if (at >= 0)
        close(at);
    return error;
}

static bool plain_name(const char *name)
{
    return *name && strcmp(name, ".") && strcmp(name, "..") && !strchr(name, '/') && strlen(name) <= NAME_MAX;
}

static int find_parent(struct fsdev *d, struct fsdev_file *dir, struct fsdev_file **out)
{
    struct stat st;
    int fd, error;

    if (fstat(dir->fd, &st))
        return errno;
    if (!S_ISDIR(st.st_mode))
        return ENOTDIR;
    if (is_root(d, &st)) {
        *out = ref(d->root);
        return 0;
    }
    fd = openat(dir->fd, "..", FIND | O_DIRECTORY);
    if (fd < 0)
        return errno;
    error = beneath(d, fd);
    if (error) {
        close(fd);
        return error;
    }
    return new_file(d, fd, dir->parent ? dir->parent->parent : NULL, dir->parent ? dir->parent->name : "", out);
}

/* The file of that name. */
static int find(struct fsdev *d, struct fsdev_file *dir, const char *name, struct fsdev_file **out)
{
    int fd;

    if (strcmp(name, "..") == 0)
        return find_parent(d, dir, out);
    if (strcmp(name, ".") == 0) {
        *out = ref(dir);
        return 0;
    }
    if (!plain_name(name))
        return ENOENT;
    fd = openat(dir->fd, name, FIND);
    return fd < 0 ? errno : new_file(d, fd, dir, name, out);
}

/* Files that were found by a name have another one now. */
static void renamed(struct fsdev *d, struct fsdev_file *from, const char *name, struct fsdev_file *to,
                    const char *new)
{
    ref(from);
    for (struct fsdev_file *f = d->files; f; f = f->next) {
        if (f == to || !f->parent || f->parent->dev != from->dev || f->parent->ino != from->ino ||
            strcmp(f->name, name))
            continue;
        free(f->name);
        f->name = fsdev_copy(new);
        /* One file may have several structs: the old parent is dropped when the list is not walked. */
        f->dropped = f->parent;
        f->parent = ref(to);
    }
    for (struct fsdev_file *f = d->files, *old; f; f = old ? d->files : f->next) {
        old = f->dropped;
        f->dropped = NULL;
        unref(old);
    }
    unref(from);
}

/* The name a file was found by still is its name. */
static int still_there(const struct fsdev_file *f)
{
    struct stat st;

    if (!f->parent)
        return EBUSY;
    if (fstatat(f->parent->fd, f->name, &st, AT_SYMLINK_NOFOLLOW))
        return errno;
    return st.st_dev == f->dev && st.st_ino == f->ino ? 0 : ENOENT;
}

/* ---- sessions and walks ---- */

static int do_attach(struct fsdev *d, struct fs_req *r)
{
    struct fsdev_file *at = ref(d->root), *next;
    char *path = fsdev_copy(r->name), *rest = path;
    struct stat st;
    int error = 0;

    for (char *name; !error && (name = strtok_r(rest, "/", &rest));) {
        error = find(d, at, name, &next);
        if (!error) {
            unref(at);
            at = next;
        }
    }
    free(path);
    if (!error)
        error = fsdev_stat(d, at->fd, &st);
    if (error) {
        unref(at);
        return error;
    }
    r->attr.qid = fsdev_qid(d, &st);
    r->made = new_node(d, at, r->uid);
    return 0;
}

static int do_walk(struct fsdev *d, struct fs_req *r)
{
    struct fsdev_file *at = ref(r->node->file), *next;
    struct stat st;
    int error = 0;

    for (r->walked = 0; r->walked < r->nnames; r->walked++) {
        error = find(d, at, r->names[r->walked], &next);
        if (error)
            break;
        unref(at);
        at = next;
        error = fsdev_stat(d, at->fd, &st);
        if (error)
            break;
        r->qids[r->walked] = fsdev_qid(d, &st);
    }
    if (!error) {
        r->made = new_node(d, at, r->node->uid);
        return 0;
    }
    unref(at);
    return r->walked ? 0 : error;
}

/* ---- opening ---- */

static bool will_write(int flags)
{
    return (flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC);
}

/* Opens what was found. */
int fsdev_open_found(int found, int flags, int *fd)
{
    char path[FSDEV_PROC];
    struct stat st;

    if (fstat(found, &st))
        return errno;
    if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
        return S_ISLNK(st.st_mode) ? ELOOP : ENXIO;
    if (S_ISDIR(st.st_mode) && will_write(flags))
        return EISDIR;
    fsdev_proc(path, found);
    flags |= O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
    *fd = open(path, flags);
    if (*fd < 0 && errno == EPERM && (flags & O_NOATIME))
        *fd = open(path, flags & ~O_NOATIME);
    return *fd < 0 ? errno : 0;
}

static int opened(struct fsdev *d, struct fs_node *n, int fd, int flags, struct fs_req *r)
{
    struct stat st;
    int error = fsdev_stat(d, fd, &st);

    if (error) {
        close(fd);
        return error;
    }
    n->io = fd;
    n->writes = (flags & O_ACCMODE) != O_RDONLY;
    n->dir_at = 0;
    r->attr.qid = fsdev_qid(d, &st);
    return 0;
}

static int do_open(struct fsdev *d, struct fs_req *r)
{
    int flags = fsdev_flags(r->flags) & ~(O_CREAT | O_EXCL), fd, error;

    if (r->node->io >= 0)
        return EBADF;
    if (d->cfg.readonly && will_write(flags))
        return EROFS;
    error = fsdev_open_found(r->node->file->fd, flags, &fd);
    return error ? error : opened(d, r->node, fd, flags, r);
}

static int do_create(struct fsdev *d, struct fs_req *r)
{
    struct fs_node *n = r->node;
    int flags = fsdev_flags(r->flags), fd, error = 0, found;
    struct fsdev_file *f;
    char path[FSDEV_PROC];

    if (n->io >= 0)
        return EBADF;
    /* Always new: what is there already might be something that must not be opened. */
    fd = openat(n->file->fd, r->name, (flags & ~O_TRUNC) | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK,
                fsdev_mapped(d) ? 0600 : r->mode & 0700);
    if (fd < 0 && errno == EEXIST && !(flags & O_EXCL)) {
        error = find(d, n->file, r->name, &f);
        if (!error && (error = fsdev_open_found(f->fd, flags & ~O_CREAT, &fd)))
            unref(f);
    } else if (fd < 0) {
        return errno;
    } else {
        error = fsdev_own(d, fd, n->uid, r->gid, (r->mode & 07777) | S_IFREG, 0);
        fsdev_proc(path, fd);
        found = error ? -1 : open(path, O_PATH | O_CLOEXEC);
        if (!error && found < 0)
            error = errno;
        if (!error)
            error = new_file(d, found, n->file, r->name, &f);
        if (error) {
            unlinkat(n->file->fd, r->name, 0);
            close(fd);
        }
    }
    if (error)
        return error;
    unref(n->file);
    n->file = f;
    return opened(d, n, fd, flags, r);
}

/* ---- open files ---- */

static int do_io(struct fs_req *r, bool write)
{
    if (r->node->io < 0 || r->off > (uint64_t)INT64_MAX - r->len)
        return r->node->io < 0 ? EBADF : EINVAL;
    while (r->done_len < r->len) {
        uint8_t *at = r->data + r->done_len;
        size_t len = r->len - r->done_len;
        off_t off = (off_t)(r->off + r->done_len);
        ssize_t n = write ? pwrite(r->node->io, at, len, off) : pread(r->node->io, at, len, off);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && !r->done_len)
            return errno;
        if (n <= 0)
            break;
        r->done_len += (uint32_t)n;
    }
    return 0;
}

/* What the system call tells of a name: it has no type in the C library's headers. */
struct dent {
    uint64_t ino;
    int64_t off;
    uint16_t len;
    uint8_t type;
    char name[];
};

static int do_readdir(struct fsdev *d, struct fs_req *r)
{
    struct fs_node *n = r->node;
    char *buf = malloc(DENTS);
    bool room = true, root = n->file == d->root || (n->file->dev == d->root->dev && n->file->ino == d->root->ino);
    int error = 0;

    if (!buf)
        return ENOMEM;
    if (n->io < 0)
        error = EBADF;
    else if (lseek(n->io, (off_t)r->off, SEEK_SET) < 0)
        error = errno;
    while (!error && room) {
        long got = syscall(SYS_getdents64, n->io, buf, DENTS);

        if (got <= 0) {
            error = got < 0 && !r->done_len ? errno : 0;
            break;
        }
        for (long at = 0; room && at < got;) {
            const struct dent *e = (const void *)(buf + at);
            bool above = root && strcmp(e->name, "..") == 0;
            uint8_t type = fsdev_mapped(d) && e->type == DT_REG ? DT_UNKNOWN : e->type;
            struct fs_qid q = fsdev_qid_of(d, n->file->dev, above ? n->file->ino : e->ino,
                                           e->type == DT_DIR ? S_IFDIR : e->type == DT_LNK ? S_IFLNK : S_IFREG);

            room = r->entry(r, &q, (uint64_t)e->off, type, e->name);
            at += e->len;
        }
    }
    free(buf);
    /* Not even one entry has room: an empty answer would say that this is the end. */
    return !error && !room && !r->done_len ? EINVAL : error;
}

static int do_fsync(struct fs_req *r)
{
    int fd = r->node->io;

    if (fd < 0)
        return EBADF;
    return (r->flags & 1 ? fdatasync(fd) : fsync(fd)) ? errno : 0;
}

static int do_getattr(struct fsdev *d, struct fs_req *r)
{
    struct stat st;
    int error = fsdev_stat(d, r->node->file->fd, &st);

    if (!error)
        fsdev_attr(d, &st, &r->attr);
    return error;
}

static int do_statfs(struct fs_req *r)
{
    struct statfs f;
    struct fs_stat *s = &r->stat;
    uint32_t id[2] = { 0 };

    if (fstatfs(r->node->file->fd, &f))
        return errno;
    memcpy(id, &f.f_fsid, sizeof(f.f_fsid) < sizeof(id) ? sizeof(f.f_fsid) : sizeof(id));
    *s = (struct fs_stat){ .type = (uint32_t)f.f_type, .bsize = (uint32_t)f.f_bsize,
                           .namelen = (uint32_t)f.f_namelen, .blocks = f.f_blocks, .bfree = f.f_bfree,
                           .bavail = f.f_bavail, .files = f.f_files, .ffree = f.f_ffree,
                           .fsid = id[0] | (uint64_t)id[1] << 32 };
    return 0;
}

/* ---- names ---- */

static int do_readlink(struct fsdev *d, struct fs_req *r)
{
    int fd = r->node->file->fd, io, error;
    struct stat st, seen;
    ssize_t n;

    if (fstat(fd, &st))
        return errno;
    if (S_ISLNK(st.st_mode)) {
        n = readlinkat(fd, "", (char *)r->data, r->len);
        if (n < 0)
            return errno;
        r->done_len = (uint32_t)n;
        return 0;
    }
    error = fsdev_stat(d, fd, &seen);
    if (error || !S_ISLNK(seen.st_mode))
        return error ? error : EINVAL;
    error = fsdev_open_found(fd, O_RDONLY, &io);
    if (error)
        return error;
    n = pread(io, r->data, r->len, 0);
    error = n < 0 ? errno : 0;
    close(io);
    r->done_len = n < 0 ? 0 : (uint32_t)n;
    return error;
}

/* A new name in the folder: what it is, whose, and how the guest knows it. A name that cannot be given away goes. */
static int finish_new(struct fsdev *d, struct fs_req *r, mode_t mode, uint64_t dev)
{
    struct fsdev_file *f = NULL;
    struct stat st;
    int error = find(d, r->node->file, r->name, &f);

    if (!error)
        error = fsdev_own(d, f->fd, r->node->uid, r->gid, mode, dev);
    if (!error)
        error = fsdev_stat(d, f->fd, &st);
    if (error)
        unlinkat(r->node->file->fd, r->name, S_ISDIR(mode) ? AT_REMOVEDIR : 0);
    else
        r->attr.qid = fsdev_qid(d, &st);
    unref(f);
    return error;
}

/* What is no plain file to the guest, as a plain file with `text` in it. */
static int make_plain(struct fs_req *r, const char *text)
{
    int fd = openat(r->node->file->fd, r->name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    size_t len = strlen(text);
    int error = 0;

    if (fd < 0)
        return errno;
    if (len && write(fd, text, len) != (ssize_t)len)
        error = EIO;
    if (close(fd) && !error)
        error = errno;
    if (error)
        unlinkat(r->node->file->fd, r->name, 0);
    return error;
}

static int do_symlink(struct fsdev *d, struct fs_req *r)
{
    int error;

    if (fsdev_mapped(d))
        error = make_plain(r, (const char *)r->data);
    else
        error = symlinkat((const char *)r->data, r->node->file->fd, r->name) ? errno : 0;
    return error ? error : finish_new(d, r, S_IFLNK | 0777, 0);
}

static int do_mknod(struct fsdev *d, struct fs_req *r)
{
    uint32_t major = (uint32_t)(r->attr.rdev >> 32), minor = (uint32_t)r->attr.rdev;
    mode_t type = r->mode & S_IFMT, mode = r->mode & (S_IFMT | 07777);
    uint64_t dev = (minor & 0xff) | (uint64_t)(major & 0xfff) << 8 | (uint64_t)(minor & 0xfff00) << 12;
    int error;

    if (type != S_IFREG && type != S_IFIFO && type != S_IFSOCK && type != S_IFCHR && type != S_IFBLK)
        return EINVAL;
    if (fsdev_mapped(d))
        error = make_plain(r, "");
    else
        error = mknodat(r->node->file->fd, r->name, type | (r->mode & 0700), makedev(major, minor)) ? errno : 0;
    return error ? error : finish_new(d, r, mode, dev);
}

static int do_mkdir(struct fsdev *d, struct fs_req *r)
{
    if (mkdirat(r->node->file->fd, r->name, fsdev_mapped(d) ? 0700 : r->mode & 0700))
        return errno;
    return finish_new(d, r, S_IFDIR | (r->mode & 07777), 0);
}

static int do_link(struct fs_req *r)
{
    char path[FSDEV_PROC];

    fsdev_proc(path, r->file->file->fd);
    return linkat(AT_FDCWD, path, r->node->file->fd, r->name, AT_SYMLINK_FOLLOW) ? errno : 0;
}

static int rename_to(struct fsdev *d, struct fsdev_file *from, const char *name, struct fsdev_file *to,
                     const char *new)
{
    if (renameat(from->fd, name, to->fd, new))
        return errno;
    renamed(d, from, name, to, new);
    return 0;
}

static int do_rename(struct fsdev *d, struct fs_req *r)
{
    struct fsdev_file *f = r->node->file, *parent = f->parent;
    char name[NAME_MAX + 1];
    int error = still_there(f);

    if (error)
        return error;
    snprintf(name, sizeof(name), "%s", f->name);
    ref(parent);
    error = rename_to(d, parent, name, r->file->file, r->name2);
    unref(parent);
    return error;
}

static int do_unlink(struct fs_req *r)
{
    if (r->flags & ~FS_REMOVEDIR)
        return EINVAL;
    return unlinkat(r->node->file->fd, r->name, r->flags & FS_REMOVEDIR ? AT_REMOVEDIR : 0) ? errno : 0;
}

static int do_remove(struct fs_req *r)
{
    struct fsdev_file *f = r->node->file;
    int error = still_there(f);
    struct stat st;

    if (error)
        return error;
    if (fstat(f->fd, &st))
        return errno;
    return unlinkat(f->parent->fd, f->name, S_ISDIR(st.st_mode) ? AT_REMOVEDIR : 0) ? errno : 0;
}

static int do_getxattr(struct fsdev *d, struct fs_req *r)
{
    int error = fsdev_getxattr(d, r->node->file->fd, r);

    if (!error)
        r->made = new_node(d, ref(r->node->file), r->node->uid);
    return error;
}

/* ---- all of them ---- */

static bool changes(enum fs_op op)
{
    switch (op) {
    case FS_CREATE: case FS_WRITE: case FS_SETATTR: case FS_SYMLINK: case FS_MKNOD: case FS_MKDIR: case FS_LINK:
    case FS_RENAME: case FS_RENAMEAT: case FS_UNLINK: case FS_REMOVE: case FS_SETXATTR:
        return true;
    default:
        return false;
    }
}

/* Names that are made, changed or removed. */
static bool names_ok(const struct fs_req *r)
{
    switch (r->op) {
    case FS_CREATE: case FS_SYMLINK: case FS_MKNOD: case FS_MKDIR: case FS_LINK: case FS_UNLINK:
        return plain_name(r->name);
    case FS_RENAMEAT:
        return plain_name(r->name) && plain_name(r->name2);
    case FS_RENAME:
        return plain_name(r->name2);
    default:
        return true;
    }
}

int fsdev_do(struct fsdev *d, struct fs_req *r)
{
    if (d->cfg.readonly && changes(r->op))
        return EROFS;
    if (!names_ok(r))
        return EINVAL;
    switch (r->op) {
    case FS_NOTHING: return 0;
    case FS_ATTACH: return do_attach(d, r);
    case FS_WALK: return do_walk(d, r);
    case FS_OPEN: return do_open(d, r);
    case FS_CREATE: return do_create(d, r);
    case FS_READ: return do_io(r, false);
    case FS_WRITE: return do_io(r, true);
    case FS_READDIR: return do_readdir(d, r);
    case FS_FSYNC: return do_fsync(r);
    case FS_GETATTR: return do_getattr(d, r);
    case FS_SETATTR: return fsdev_setattr(d, r->node, r);
    case FS_STATFS: return do_statfs(r);
    case FS_READLINK: return do_readlink(d, r);
    case FS_SYMLINK: return do_symlink(d, r);
    case FS_MKNOD: return do_mknod(d, r);
    case FS_MKDIR: return do_mkdir(d, r);
    case FS_LINK: return do_link(r);
    case FS_RENAME: return do_rename(d, r);
    case FS_RENAMEAT: return rename_to(d, r->node->file, r->name, r->file->file, r->name2);
    case FS_UNLINK: return do_unlink(r);
    case FS_REMOVE: return do_remove(r);
    case FS_GETXATTR: return do_getxattr(d, r);
    case FS_SETXATTR: return fsdev_setxattr(d, r->node->file->fd, r);
    case FS_LOCK: return fsdev_lock(d, r, false);
    case FS_GETLOCK: return fsdev_lock(d, r, true);
    case FS_FORGET: forget(d, r->node); return 0;
    }
    return ENOSYS;
}
