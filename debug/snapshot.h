/*
 * snapshot.h - a whole machine saved and loaded: processors, chips, time, memory, and what is on its disks.
 *
 * Event loop's thread, device lock held once; both stop the machine meanwhile and leave it as it was: running or not.
 */
#ifndef DEBUG_SNAPSHOT_H
#define DEBUG_SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>

struct block;
struct machine;

/*
 * Where to: a name with a '/' is a file, which appears when it is whole; everything goes into it, the contents of disks of
 * any format too. Another name is that of a snapshot in the qcow2 images that the guest writes: each keeps what is on it, the
 * first one has the machine's state, and with it the contents of disks of other formats. What the guest
 * cannot write is not saved. A snapshot of the same name is replaced.
 *
 * False: `why` says what is in the way and what to do, and the machine goes on.
 */
bool snapshot_save(struct machine *, const char *name, char *why, size_t len);
/*
 * What snapshot_save() saved. False: `why` says what is wrong. Nothing has changed then, unless an image could not be
 * written: that leaves the machine stopped (RUN_IO_ERROR).
 */
bool snapshot_load(struct machine *, const char *name, char *why, size_t len);
/* Of the images; a file is its owner's to delete. */
bool snapshot_delete(struct machine *, const char *name, char *why, size_t len);
/* The image that has machines' state in its snapshots; NULL: there is none. block_info() lists them. */
struct block *snapshot_image(struct machine *);

#endif
