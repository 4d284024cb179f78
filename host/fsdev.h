/*
 * fsdev.h - folders of the host that guests see: -fsdev, -virtfs (hw/fs_if.h is what the chip sees).
 */
#ifndef HOST_FSDEV_H
#define HOST_FSDEV_H

#include "hw/fs_if.h"

struct evloop;

enum fsdev_model {
    FSDEV_PASSTHROUGH,          /* owners and modes are the host's */
    FSDEV_NONE,                 /* the same, and where the host does not let us give a file away it stays ours */
    FSDEV_MAPPED_XATTR,         /* owners, modes, devices and links are in attributes user.virtfs.* of plain files */
};

enum fsdev_multidevs {
    FSDEV_WARN,                 /* files of several file systems may look like one: told once */
    FSDEV_REMAP,                /* they get numbers of their own */
    FSDEV_FORBID,               /* the guest sees one file system alone */
};

struct fsdev_config {
    const char *path;
    enum fsdev_model model;
    enum fsdev_multidevs multidevs;
    bool readonly;
};

/* Gives `fs` the folder: what the guest does there is done by a thread. False: err says what the host refused. For the
   event loop's thread, or before it runs. */
bool fsdev_open(struct fs *, struct evloop *, const struct fsdev_config *, char *err, size_t len);
/* What was asked for is done and answered; then nothing is open any more. */
void fsdev_close(struct fs *);

#endif
