/*
 * disk.h - an image as a disk of the machine (hw/disk_if.h): requests are done by threads of the image's
 * own, so that neither vCPUs nor the event loop wait for the host's disk; answers come from these threads, with the
 * device lock held, or from the event loop.
 *
 * All functions are for the event loop's thread or one that holds the device lock, as hw/disk_if.h's.
 */
#ifndef BLOCK_DISK_H
#define BLOCK_DISK_H

#include "block/block.h"
#include "hw/disk_if.h"

struct evloop;

enum disk_event {
    DISK_EVENT_FULL,            /* the host has no room: writes wait; the machine is best paused */
    DISK_EVENT_ROOM,            /* there is room again, and they go on */
    DISK_EVENT_ERROR,           /* the guest got an I/O error, for the first time for this reason */
    DISK_EVENT_READ_ERROR,      /* the same, of reading */
};

/* With the device lock held; the text says what happened and what to do. */
typedef void disk_event_fn(void *arg, enum disk_event, const char *text);

#define DISK_RETRY_MS 1000      /* how often a full host disk is tried again */

/* Takes the image over.  Dies if the host refuses threads. */
struct disk *disk_new(struct evloop *, struct block *, unsigned threads, disk_event_fn *, void *arg);
struct block *disk_block(struct disk *);
/* What is read gets to its buffers when it is answered, with the device lock held, and not before (--check). */
void disk_bounce(struct disk *);
/* What it has done since it was made; by enum disk_op. */
struct disk_stats {
    struct {
        uint64_t n, bytes, ns;  /* ns: of real time, from submitting to the answer */
        uint64_t failed;        /* of which the other numbers have nothing */
    } op[5];
    uint64_t highest;           /* behind the last byte that was written */
};
void disk_stats(const struct disk *, struct disk_stats *);
/* The image has another size now; nothing may be under way. */
void disk_resized(struct disk *);
/* Writes that wait for room are tried again at once. */
void disk_resume(struct disk *);
/*
 * Waits until every request has been answered, its done() called.  -ENOSPC: some wait for room, the others
 * have been. Requests that done() submits are waited for as well.
 */
int disk_drain(struct disk *);
/* Drains, flushes and closes.  What still waits for room is answered with -ENOSPC; what failed: a negative
   errno. */
int disk_free(struct disk *);

#endif
