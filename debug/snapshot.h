/*
 * snapshot.h - a whole machine saved and loaded: processors, chips, time, memory, and what is on its disks.
 *
 * Event loop's thread, device lock held once; both stop the machine meanwhile and leave it as it was: running or not.
 */
#ifndef DEBUG_SNAPSHOT_H
#define DEBUG_SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>

struct machine;

/*
 * To a file, which appears when it is whole. Disks of any format go into it; those that the guest cannot write do not. False:
 * `why` says what is in the way and what to do, and the machine goes on.
 */
bool snapshot_save(struct machine *, const char *path, char *why, size_t len);
/*
 * From such a file. False: `why` says what is wrong. Nothing has changed then, unless an image could not be written: that
 * leaves the machine stopped (RUN_IO_ERROR).
 */
bool snapshot_load(struct machine *, const char *path, char *why, size_t len);

#endif
