/*
 * fsdev_int.h - what the files of fsdev share.
 *
 *   fsdev.c        the thread, its queue, opening and closing
 *   fsdev_ops.c    what is asked for: files, names
 *   fsdev_lock.c   locks
 *   fsdev_attr.c   owners, modes and other attributes, by security model; numbers of Linux
 */
#ifndef HOST_FSDEV_INT_H
#define HOST_FSDEV_INT_H

#include <pthread.h>
#include <sys/stat.h>

#include "host/fsdev.h"

#define FSDEV_DEVICES 255u
#define FSDEV_LOCKS   1024u

/* A file, by a descriptor that names it and nothing else (O_PATH), and the name it was found by. */
struct fsdev_file {
    unsigned refs;
    int fd;
    dev_t dev;
    ino_t ino;
    struct fsdev_file *parent;  /* NULL: the folder itself */
    struct fsdev_file *dropped; /* a parent that it had before a rename */
    char *name;
    struct fsdev_file *next, **prev;
};

struct fs_node {
    struct fsdev_file *file;
    uint32_t uid;               /* who attached */
    int io;                     /* open for the guest; -1: not */
    bool writes;                /* open for writing */
    uint64_t dir_at;            /* where reading a folder's names goes on */
    struct fs_node *next, **prev;
};

/* Locks of one of the guest's processes on one file: a descriptor of their own, as the host's locks belong to it. */
struct fsdev_lock {
    dev_t dev;
    ino_t ino;
    uint32_t proc;
    char *client;
    int fd;
    const struct fs_node *node; /* by which it was taken last */
    struct fsdev_lock *next;
};

struct fsdev {
    struct fs *fs;
    struct fsdev_config cfg;
    struct evloop *loop;
    struct evfd *watch;
    int event;                  /* tells the loop that there is something in `done` */
    pthread_t thread;
    pthread_mutex_t lock;       /* what follows */
    pthread_cond_t work;
    struct fs_req *waiting, **waiting_end, *done, **done_end;
    bool busy, ending;

    /* the thread's */
    struct fsdev_file *root, *files;
    struct fs_node *nodes;
    struct fsdev_lock *locks;
    unsigned nlocks;
    dev_t devices[FSDEV_DEVICES];
    unsigned ndevices;
    bool told_devices;
};

/* fsdev_ops.c: does it; 0 or an errno of the host. */
int fsdev_do(struct fsdev *, struct fs_req *);
int fsdev_open_root(struct fsdev *, const char *path);
void fsdev_close_all(struct fsdev *);
/* Opens a plain file or folder that `found` names (O_PATH); flags: open(2)'s. 0 or an errno. */
int fsdev_open_found(int found, int flags, int *fd);
char *fsdev_copy(const char *text);             /* dies where there is no memory */

/* fsdev_lock.c: takes, drops or (ask) looks for the lock in the request; 0 or an errno. */
int fsdev_lock(struct fsdev *, struct fs_req *, bool ask);
/* Those that were taken by a node which goes. */
void fsdev_unlock_node(struct fsdev *, const struct fs_node *);

/* fsdev_attr.c */
#define FSDEV_PROC 40
void fsdev_proc(char path[FSDEV_PROC], int fd);         /* a name for the descriptor's file */
bool fsdev_mapped(const struct fsdev *);
/* As the guest sees it. */
int fsdev_stat(struct fsdev *, int fd, struct stat *);
struct fs_qid fsdev_qid(struct fsdev *, const struct stat *);
struct fs_qid fsdev_qid_of(struct fsdev *, dev_t, ino_t, mode_t);
/* 0, or an errno where files of this device are not shown. */
int fsdev_allowed(struct fsdev *, dev_t);
void fsdev_attr(struct fsdev *, const struct stat *, struct fs_attr *);
/* A new file: whose it is and what it is. mode: with type; dev: of a device file, as Linux writes it. */
int fsdev_own(struct fsdev *, int fd, uint32_t uid, uint32_t gid, mode_t mode, uint64_t dev);
int fsdev_setattr(struct fsdev *, struct fs_node *, const struct fs_req *);
int fsdev_getxattr(struct fsdev *, int fd, struct fs_req *);
int fsdev_setxattr(struct fsdev *, int fd, const struct fs_req *);
int fsdev_flags(uint32_t linux_flags);          /* of open() */
int fsdev_errno(int host);                      /* in Linux' numbers */

#endif
