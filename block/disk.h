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

enum disk_event_kind {
    DISK_EVENT_FULL,            /* the host has no room: writes wait; the machine is best paused */
    DISK_EVENT_ROOM,            /* there is room again, and they go on */
    DISK_EVENT_STOP,            /* something failed: requests wait for disk_resume(); the machine is best paused */
    DISK_EVENT_REPORT,          /* something failed, and the guest got an I/O error */
    DISK_EVENT_IGNORE,          /* something failed, and the guest got none */
};

struct disk_event {
    enum disk_event_kind kind;
    bool read;                  /* it was a read */
    int error;                  /* a negative errno */
    const char *text;           /* what happened and what to do; NULL: was said before, of an earlier request */
};

/* With the device lock held. */
typedef void disk_event_fn(void *arg, const struct disk_event *);

#define DISK_RETRY_MS 1000      /* how often a full host disk is tried again */

/* Takes the image over.  The policy (NULL: the usual one) is looked at when something fails.  Dies if the host refuses
   threads. */
struct disk *disk_new(struct evloop *, struct block *, unsigned threads, const struct disk_policy *, disk_event_fn *,
                      void *arg);
/* From now on these are the policy and disk_new()'s `arg`. */
void disk_hand_over(struct disk *, const struct disk_policy *, void *arg);
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
/* Requests that wait because something failed are tried again at once; if it fails again, that is an event again. */
void disk_resume(struct disk *);
/* What requests wait for: the negative errno that one failed with; 0: they do not. */
int disk_waits(struct disk *);
/*
 * Waits until every request has been answered, its done() called.  A negative errno: some wait since they failed with
 * it (disk_waits()), the others have been. Requests that done() submits are waited for as well.
 */
int disk_drain(struct disk *);
/* Drains, flushes and closes.  What still waits is answered with what it failed with; what failed: a negative
   errno. */
int disk_free(struct disk *);

#endif
