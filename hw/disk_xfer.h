/*
 * disk_xfer.h - a transfer between a disk and memory that is scattered, and may be of any length: done in
 * portions, so that no request needs more than a bounded number of pieces and of bytes under way.
 */
#ifndef HW_DISK_XFER_H
#define HW_DISK_XFER_H

#include "hw/disk_if.h"

#define DISK_XFER_BUFS 256u             /* pieces of a portion */
#define DISK_XFER_MAX  (1u << 22)       /* bytes of a portion */
#define DISK_XFER_WAIT UINT32_MAX

struct disk_xfer {
    struct disk *disk;
    enum disk_op op;
    bool fua, unmap;
    uint64_t off, len;          /* within the disk; not for flush */
    /* Read, write: at most `max` pieces of the `len` bytes of memory from byte `pos` on. Returns how many
       bytes they are; 0 is an I/O error. DISK_XFER_WAIT: it is not there yet, disk_xfer_resume()
       asks again. */
    uint32_t (*map)(struct disk_xfer *, uint64_t pos, uint32_t len, struct disk_buf *, unsigned max,
                    unsigned *n);
    /* All is done, or failed: `pos` bytes were. May be called by disk_xfer_start(). */
    void (*done)(struct disk_xfer *);
    void *dev;
    uint64_t pos;
    int error;
    struct disk_req req;
    struct disk_buf bufs[DISK_XFER_BUFS];
};

/* What stands before `pos` is filled in. It must stay until done(). */
void disk_xfer_start(struct disk_xfer *);
/* One that waits for memory: from `pos` on. Who will not call it may forget the transfer. */
void disk_xfer_resume(struct disk_xfer *);

#endif
