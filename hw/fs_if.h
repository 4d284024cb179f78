/*
 * fs_if.h - a folder of the host that a chip shows to the guest: requests that are answered later.
 *
 * The outside (host/fsdev.c) implements struct fs_ops. A chip fills in a request, submits it and gets it back by
 * done(); both with the device lock held, and done() never before submit() has returned. Requests of one folder
 * are done one after the other in the order they were submitted.
 *
 * A struct fs_node is one reference of the guest's to a file: it stays valid whatever becomes of the file's names.
 * It is the chip's until FS_FORGET. Numbers (flags, errors, modes) are Linux' generic ones, as in 9P2000.L,
 * whatever the host's are.
 */
#ifndef HW_FS_IF_H
#define HW_FS_IF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FS_NAME_MAX  255u       /* bytes of one component */
#define FS_PATH_MAX  4095u      /* of a symbolic link */
#define FS_WALK_MAX  16u
#define FS_XATTR_MAX 65536u

struct fs;
struct fs_node;                 /* the outside's */

enum fs_op {
    FS_NOTHING,                 /* an answer behind all that were asked for before */
    FS_ATTACH,                  /* made: the folder, or what is beneath it at the path `name`; uid: who does all that follows */
    FS_WALK,                    /* from node by names[]; made: where all of them lead; walked: how far it got */
    FS_OPEN,                    /* node, flags */
    FS_CREATE,                  /* name in node, which becomes the new file, open */
    FS_READ,                    /* len bytes from off on into data; done_len */
    FS_WRITE,
    FS_READDIR,                 /* behind the entry of offset off; entry() for each */
    FS_FSYNC,                   /* flags: 1: data alone */
    FS_GETATTR,
    FS_SETATTR,                 /* attr, by set */
    FS_STATFS,
    FS_READLINK,                /* into data, of len bytes; done_len */
    FS_SYMLINK,                 /* name in node, leads to data (done with 0) */
    FS_MKNOD,                   /* name in node, attr.mode, attr.rdev */
    FS_MKDIR,
    FS_LINK,                    /* name in node, to file */
    FS_RENAME,                  /* node, to file (a folder) as name2 */
    FS_RENAMEAT,                /* name in node, to name2 in file */
    FS_UNLINK,                  /* name in node; flags: FS_REMOVEDIR */
    FS_REMOVE,                  /* node's own name */
    FS_GETXATTR,                /* name, into data, which the outside makes (malloc()); name empty: all names, 0 behind each */
    FS_SETXATTR,                /* name, data, len, flags; len 0: it is removed */
    FS_LOCK,                    /* lock; lock.type becomes FS_LOCK_BLOCKED where another one has it */
    FS_GETLOCK,
    FS_FORGET,                  /* node is no longer used; nothing can fail */
};

#define FS_REMOVEDIR 0x200u

enum { FS_SET_MODE = 1, FS_SET_UID = 2, FS_SET_GID = 4, FS_SET_SIZE = 8, FS_SET_ATIME = 16, FS_SET_MTIME = 32,
       FS_SET_CTIME = 64, FS_SET_ATIME_TO = 128, FS_SET_MTIME_TO = 256 };

struct fs_qid {                 /* what a file is, for the guest */
    uint8_t type;
    uint32_t version;
    uint64_t path;
};
#define FS_QID_DIR     0x80u
#define FS_QID_SYMLINK 0x02u

struct fs_time {
    uint64_t sec, nsec;
};

struct fs_attr {
    struct fs_qid qid;
    uint32_t mode, uid, gid;
    uint64_t nlink, rdev, size, blksize, blocks;
    struct fs_time atime, mtime, ctime;
};

struct fs_stat {
    uint32_t type, bsize, namelen;
    uint64_t blocks, bfree, bavail, files, ffree, fsid;
};

enum { FS_LOCK_READ, FS_LOCK_WRITE, FS_LOCK_NONE, FS_LOCK_BLOCKED };

struct fs_lock {
    uint8_t type;
    uint64_t start, len;        /* len 0: to the end */
    uint32_t proc;
    char client[FS_NAME_MAX + 1];
};

struct fs_req {
    enum fs_op op;
    struct fs_node *node, *file, *made;
    char name[FS_PATH_MAX + 1], name2[FS_NAME_MAX + 1];
    char names[FS_WALK_MAX][FS_NAME_MAX + 1];
    unsigned nnames, walked;
    struct fs_qid qids[FS_WALK_MAX];
    uint32_t flags, mode, uid, gid, set;
    uint64_t off;
    uint32_t len, done_len;
    uint8_t *data;
    struct fs_attr attr;
    struct fs_stat stat;
    struct fs_lock lock;
    /* Called from a thread of the outside, without lock: keeps what it is told in the request. False: no room. */
    bool (*entry)(struct fs_req *, const struct fs_qid *, uint64_t off, uint8_t type, const char *name);
    void (*done)(struct fs_req *);
    int error;                  /* 0, or a number of Linux */
    struct fs_req *next;        /* the outside's */
};

struct fs_ops {
    void (*submit)(struct fs *, struct fs_req *);
};

struct fs {
    const struct fs_ops *ops;   /* NULL: not open (yet, or any more) */
    const char *id;
    bool used;                  /* some chip has it */
    void *arg;                  /* the outside's */
};

/* Errors that a chip makes itself. */
enum { FS_ENOENT = 2, FS_EIO = 5, FS_EBADF = 9, FS_ENOMEM = 12, FS_EACCES = 13, FS_EEXIST = 17, FS_EINVAL = 22,
       FS_EMFILE = 24, FS_ENOSPC = 28, FS_ERANGE = 34, FS_ENAMETOOLONG = 36, FS_EPROTO = 71, FS_EOPNOTSUPP = 95 };

#endif
