/*
 * drives.h - drives as the command line names them, and the images in them.
 */
#ifndef MAIN_DRIVES_H
#define MAIN_DRIVES_H

#include "block/block.h"
#include "debug/control.h"
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
    bool node;                  /* of -blockdev: its id is that of the image alone */
    bool file_node;             /* -blockdev driver=file: a format may stand on it */
    struct drive_arg *below;    /* -blockdev file=NODE: whose file this is; NULL: it has its own */
    bool taken;                 /* it is `below` another, which opens its file: nobody else has it */
    bool snapshot;              /* what is written goes away */
    bool bounce;                /* disk_bounce() */
    bool lent;                  /* another Latimer's turn: see drives_turn(); it is the image of this size and format */
    uint64_t size;
    const char *format;
    char *put;                  /* `file`, where a monitor has put it in */
    char name[24];              /* drive.id, where the user gave none: "ide0" */
    struct machine *m;
    struct drive_arg *next;
};

/* NULL: there is none of that id. */
struct drive *drive_find(struct drive_arg *list, const char *id);
/* For machine.drive. */
struct drive *drives_nth(struct machine *, unsigned n);
/*
 * Open all images. Dies with EXIT_CODE_FILE and what failed. bounce: disk_bounce(). lent: those that the guest can write
 * are somebody else's (drives_turn()).
 */
void drives_open(struct machine *, struct drive_arg *list, bool bounce, bool lent);
/* One more; dies in the same way. What it stands on is closed. */
void drives_open_one(struct machine *, struct drive_arg *);
/* a stands on `file`, a file node that nobody has, and is told all that was said of it; and no longer. */
void drive_stand_on(struct drive_arg *a, struct drive_arg *file);
void drive_step_off(struct drive_arg *a);
/* One that no device has; its image is closed. False: err says why not. */
bool drives_remove(struct drive_arg **list, struct drive *, char *err, size_t len);
/*
 * While the guest does not run and nothing is under way: images that it can write are ours, locked, or another Latimer's,
 * which works with the same files (migration). What goes away at the end (-snapshot) always is ours. False: err says
 * what failed, and they are another's.
 */
bool drives_turn(struct machine *, bool ours, char *err, size_t len);
/*
 * For monitors: an image for the drive, not in it yet (NULL: err says why), and putting it there. disk NULL:
 * the drive is empty afterwards. What was there is closed when its requests are done, and the device is told.
 */
struct disk *drive_open(struct drive_arg *, const char *file, const struct block_open *, char *err,
                        size_t len);
void drive_put(struct drive_arg *, struct disk *, const char *file);
/* The contents of a flash memory's drive, aligned to a page; the caller frees it. Dies like drives_open(). */
uint8_t *drive_contents(struct drive *);
/* From now on requests that failed and wait are tried again when the machine goes on; w lives as long as it. */
void drives_watch(struct machine *, struct control_watcher *w);
/* Wait until no request of a machine that is being reset writes to its memory any more; takes the device lock. */
void drives_settle(struct machine *);
/* Flush and close; what fails is told. False: something did. */
bool drives_close(struct drive_arg *list);
void drives_free(struct drive_arg *list);

#endif
