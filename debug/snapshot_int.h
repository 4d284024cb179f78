/*
 * snapshot_int.h - the parts of a saved machine: what snapshots (snapshot.c) and migration (migrate.c) are made of.
 *
 * Event loop's thread, device lock held, the machine stands still, except where it says more.
 */
#ifndef DEBUG_SNAPSHOT_INT_H
#define DEBUG_SNAPSHOT_INT_H

#include "base/state.h"
#include "debug/snap_file.h"
#include "debug/snapshot.h"
#include "hw/disk_if.h"
#include "hw/machine.h"
#include "softmmu/softmmu.h"

/* Room for what is wrong. */
struct reason {
    char *text;
    size_t len;
};
__attribute__((format(printf, 2, 3)))
bool snapshot_fail(struct reason, const char *fmt, ...);        /* returns false */

/* Where what is on disks the guest can write is kept. */
enum snapshot_disks {
    DISKS_IN_STREAM,
    DISKS_IN_IMAGES,            /* in a snapshot in the image itself, where it can have one; else in the stream */
    DISKS_SHARED,               /* nowhere: both sides have the same images; only what is temporary (-snapshot) is */
};

struct block *snapshot_block(const struct drive *);     /* its image; NULL: no medium */
bool snapshot_in_image(struct block *, const char *tag);
/* Nothing is under way any more, and no timer is due. False: a full disk of the host holds something up. */
bool snapshot_settle(struct machine *, struct reason);

/* ---- into a stream ---- */

/* State as it was at one moment, to be written later. Zero to begin with. */
struct snapshot_states {
    struct snapshot_state {
        char name[256];
        struct state_out state;
    } *one;
    unsigned n;
};
/* What machine it is; it may run. */
void snapshot_states_begin(struct machine *, struct snapshot_states *);
/* What state its clock, chips, processors and drives are in. */
void snapshot_states_take(struct machine *, struct snapshot_states *);
/* One more, which is taken over. */
void snapshot_states_add(struct snapshot_states *, const char *section, struct state_out *);
/* Any thread; frees them. NULL: that is all. */
void snapshot_states_put(struct snapshot_states *, struct snap_writer *);
/* From the n-th memory (phys_ram()) on. */
void snapshot_put_memory(struct machine *, struct snap_writer *, unsigned n);
/* Any thread, as long as nobody writes to them. */
void snapshot_put_disks(struct machine *, struct snap_writer *, enum snapshot_disks);

/* ---- out of one ---- */

bool snapshot_same_machine(struct machine *, const struct snap_image *, struct reason);
/* Can the machine become this one? tag: of the images' snapshots, with DISKS_IN_IMAGES. Nothing is changed. */
bool snapshot_check(struct machine *, const struct snap_image *, enum snapshot_disks, const char *tag, struct reason);
/* Memory as it is in the snapshot, beside that which the guest has (fresh[PHYS_RAMS + 1], all NULL): it can be dropped. */
bool snapshot_load_memory(struct machine *, const struct snap_image *, struct phys_fresh *fresh[], struct reason);
/* For snap_each() and the like: arg is a struct phys_fresh. */
int snapshot_memory_put(void *arg, uint64_t off, const uint8_t *data, size_t len);
/* It becomes what snapshot_check() has found sound. False: an image could not be written, and is neither. */
bool snapshot_become(struct machine *, const struct snap_image *, const char *tag, struct phys_fresh *fresh[],
                     struct reason);

#endif
