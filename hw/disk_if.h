/*
 * disk_if.h - a disk, seen from the chip: requests that are answered later.
 *
 * The outside (block/disk.c, or a test) implements struct disk_ops.  A chip fills in a request, submits it
 * and gets it back by done(); both with the device lock held, and done() never before submit() has
 * returned.  Requests are not cancelled: a chip that is reset drops the answers when they come, and calls
 * disk_drain_reads() where a read would go on writing to memory that is no longer its own.
 *
 * Order: of requests that overlap, and write, the one submitted first is done first.  A flush covers all
 * writes submitted before it, and no write submitted after it is begun before the flush is done. 
 * Everything else may be answered in any order.
 *
 * A full disk of the host is not the guest's business: the requests wait until there is room.  So it is unless the
 * user wants otherwise (struct disk_policy): other errors may make them wait as well, or be told or kept from the guest.
 */
#ifndef HW_DISK_IF_H
#define HW_DISK_IF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct disk;

enum disk_op {
    DISK_READ,
    DISK_WRITE,
    DISK_FLUSH,                 /* what was written is on the medium */
    DISK_DISCARD,               /* the guest no longer needs the range */
    DISK_ZERO,                  /* the range reads as zeros */
};

/* What becomes of a request that the host fails. */
enum disk_on_error {
    DISK_AUTO,                  /* reads: REPORT, everything else: ENOSPC */
    DISK_REPORT,                /* the guest is told */
    DISK_IGNORE,                /* the guest is told that all is well; what could not be read is zeros to it */
    DISK_ENOSPC,                /* waits, and the machine stops, if the host has no room; is told otherwise */
    DISK_STOP,                  /* waits, and the machine stops */
};
/* The words for them, NULL behind the last; reads know no ENOSPC. */
#define DISK_ON_ERROR_WORDS { "auto", "report", "ignore", "enospc", "stop", NULL }

struct disk_policy {
    unsigned write, read;       /* enum disk_on_error */
};

struct disk_buf {
    void *data;
    size_t len;
};

struct disk_req {
    enum disk_op op;
    bool fua;                   /* write, zero: on the medium when done */
    bool unmap;                 /* zero: the space may be given back */
    uint64_t off, len;          /* bytes, within the disk's size; not for flush */
    const struct disk_buf *bufs;        /* read, write: `len` bytes in all; theirs until done */
    unsigned nbufs;
    void (*done)(struct disk_req *);    /* error says how it went */
    void *dev;                  /* the chip's */
    int error;                  /* 0, or a negative errno: an I/O error to the guest */
    /* the disk's */
    struct disk_req *next;
    uint64_t number, since;
    void *bounce;
    int failed;                 /* as `error`, of what the guest is not told of, too */
};

struct disk_ops {
    void (*submit)(struct disk *, struct disk_req *);
    /* All reads that were submitted are answered before it returns; those that had not begun: -ECANCELED. */
    void (*drain_reads)(struct disk *);
};

struct disk {
    const struct disk_ops *ops;
    uint64_t size;              /* bytes */
    bool read_only;             /* writes fail with -EROFS */
    bool discards;              /* discard is worth offering to the guest */
};

static inline void disk_submit(struct disk *d, struct disk_req *r)
{
    d->ops->submit(d, r);
}

static inline void disk_drain_reads(struct disk *d)
{
    d->ops->drain_reads(d);
}

/* ---- what a disk device is given ---- */

struct drive_tray {
    bool open, locked;          /* locked: the guest keeps the medium in */
};

struct drive_user {             /* the device, told with the device lock held */
    /* The medium was exchanged, or taken away (disk is NULL), by the user. */
    void (*changed)(void *dev);
    /* What follows is NULL where media cannot be changed. */
    void (*tray)(void *dev, struct drive_tray *);
    void (*ask)(void *dev);     /* somebody presses the drive's button: the guest is told */
    void (*move)(void *dev,
                 bool open); /* the tray, by the user and whatever the guest says; NULL: there is none */
};

/* A place for a medium, named on the command line. What it says of the medium holds for the device. */
struct drive {
    const char *id;
    struct disk *disk;          /* NULL: no medium */
    bool cdrom;                 /* media=cdrom */
    bool read_only;             /* to the guest, whatever the medium is */
    struct disk_policy on_error;
    const char *serial;         /* number the device tells; NULL: its own choice */
    struct { unsigned cyls, heads, secs; } chs;         /* 0: the device's choice */
    bool used;                  /* some device has it */
    const struct drive_user *user;
    void *dev;
    /* The guest throws the medium out: disk becomes NULL when its requests are done. Set by who made the drive. */
    void (*eject)(struct drive *);
    /* The tray was opened or closed, by whomever; NULL: nobody wants to know. Set by the same. */
    void (*moved)(struct drive *, bool open);
    void *arg;
};

static inline void drive_moved(struct drive *d, bool open)
{
    if (d->moved)
        d->moved(d, open);
}

/* What a device says of errors goes before what its drive does. */
static inline void drive_on_error(struct drive *d, const struct disk_policy *own)
{
    if (own->write)
        d->on_error.write = own->write;
    if (own->read)
        d->on_error.read = own->read;
}

/* A device takes the drive. False: another one has it. */
static inline bool drive_take(struct drive *d, const struct drive_user *user, void *dev)
{
    if (d->used)
        return false;
    d->used = true;
    d->user = user;
    d->dev = dev;
    return true;
}

#endif
