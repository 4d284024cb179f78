/*
 * drives.h - drives as the command line names them, and the images in them.
 */
#ifndef MAIN_DRIVES_H
#define MAIN_DRIVES_H

#include "block/block.h"
#include "hw/disk_if.h"

struct machine;

enum drive_if { DRIVE_IF_IDE, DRIVE_IF_FLOPPY, DRIVE_IF_SCSI, DRIVE_IF_VIRTIO, DRIVE_IF_NONE, DRIVE_IF_PFLASH, DRIVE_IFS };

struct drive_arg {
    struct drive drive;         /* what a device is given */
    const char *opt;            /* that asked for it */
    enum drive_if iface;
    int index;                  /* place on that interface; -1: the next one */
    int bus, unit;              /* the same, as the user said it; -1: not given */
    const char *file;           /* NULL: no medium */
    struct block_open open;
    bool snapshot;              /* what is written goes away */
    bool bounce;                /* disk_bounce() */
    char *put;                  /* `file`, where a monitor has put it in */
    char name[24];              /* drive.id, where the user gave none: "ide0" */
    struct machine *m;
    struct drive_arg *next;
};

/* NULL: there is none of that id. */
struct drive *drive_find(struct drive_arg *list, const char *id);
/* For machine.drive. */
struct drive *drives_nth(struct machine *, unsigned n);
/* Open all images. Dies with EXIT_CODE_FILE and what failed. bounce: disk_bounce(). */
void drives_open(struct machine *, struct drive_arg *list, bool bounce);
/*
 * For monitors: an image for the drive, not in it yet (NULL: err says why), and putting it there. disk NULL:
 * the drive is empty afterwards. What was there is closed when its requests are done, and the device is told.
 */
struct disk *drive_open(struct drive_arg *, const char *file, const struct block_open *, char *err,
                        size_t len);
void drive_put(struct drive_arg *, struct disk *, const char *file);
/* The contents of a flash memory's drive, aligned to a page; the caller frees it. Dies like drives_open(). */
uint8_t *drive_contents(struct drive *);
/* Wait until no request of a machine that is being reset writes to its memory any more; takes the device lock. */
void drives_settle(struct machine *);
/* Flush and close; what fails is told. False: something did. */
bool drives_close(struct drive_arg *list);
void drives_free(struct drive_arg *list);

#endif
