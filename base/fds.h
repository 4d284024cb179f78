/*
 * fds.h - descriptors that somebody gave Latimer while it runs or as it was started: single ones by name (getfd), and numbered
 * sets (add-fd, -add-fd) of one file opened in several ways, which is opened by the name /dev/fdset/N.
 *
 * For the event loop's thread with the device lock held, and before that is there. NULL has none.
 */
#ifndef BASE_FDS_H
#define BASE_FDS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct fds;

struct fds_view {
    int64_t set;
    int fd;
    const char *opaque;         /* what the giver wanted to remember; NULL: nothing */
};

/* Dies where there is no memory. */
struct fds *fds_new(void);
/* Closes all. */
void fds_free(struct fds *);

/* fd is theirs from now on, in the place of one of that name. */
void fds_put(struct fds *, const char *name, int fd);
/* It is the caller's from now on; -1: there is none of that name. */
int fds_take(struct fds *, const char *name);

/* fd is theirs from now on. set -1: a new one, of the lowest number that is free. Returns its set. */
int64_t fds_add(struct fds *, int64_t set, int fd, const char *opaque);
/* Closes one, or (fd -1) a whole set; what was opened of it stays open. False: there is none such. */
bool fds_remove(struct fds *, int64_t set, int fd);
/* The n-th of all sets, in their order. False: there are no more. */
bool fds_nth(const struct fds *, unsigned n, struct fds_view *);
/* Closes what was added (fds_add()) and never opened: nobody is left to ask for it. */
void fds_forget(struct fds *);

/*
 * open(2), with O_CLOEXEC; /dev/fdset/N: a duplicate of the one of that set whose access mode is that of `flags`, or else
 * of one for both ways; it then has those of O_APPEND, O_DIRECT and O_NONBLOCK that flags have, and with O_TRUNC is made
 * empty. -1 and errno: ENOENT where there is no such set, EACCES where none of it was opened that way.
 */
int fds_open(struct fds *, const char *path, int flags, mode_t mode);

#endif
