/*
 * balloon.h - how much memory the guest is to have, for who watches the machine from outside.
 */
#ifndef HW_VIRTIO_BALLOON_H
#define HW_VIRTIO_BALLOON_H

#include <stdbool.h>
#include <stdint.h>

struct balloon;

enum balloon_stat {                     /* tags of virtio 1.2, 5.5.6.3 */
    BALLOON_SWAP_IN, BALLOON_SWAP_OUT, BALLOON_MAJOR_FAULTS, BALLOON_MINOR_FAULTS, BALLOON_FREE,
    BALLOON_TOTAL, BALLOON_AVAILABLE, BALLOON_CACHES, BALLOON_HTLB_ALLOCS, BALLOON_HTLB_FAILS, BALLOON_STATS
};

/* With the device lock held. */
/* The guest is asked to keep no more than this; what is more than it has: all. */
void balloon_set(struct balloon *, uint64_t bytes);
uint64_t balloon_actual(const struct balloon *);        /* what it keeps now */
/* Ask the guest for statistics; false: its driver has none, or still owes the last ones. */
bool balloon_ask(struct balloon *);
/* The last ones, UINT64_MAX for what the guest does not tell; returns how many times it has told any. */
uint32_t balloon_stats(const struct balloon *, uint64_t stats[BALLOON_STATS]);

#endif
