/*
 * disk_xfer.c - see disk_xfer.h.
 */
#include "hw/disk_xfer.h"

#include <errno.h>

static void answered(struct disk_req *r)
{
    struct disk_xfer *x = r->dev;

    x->error = r->error;
    if (!x->error)
        x->pos += r->len;
    if (x->error || x->pos == x->len)
        x->done(x);
    else
        disk_xfer_resume(x);
}

void disk_xfer_resume(struct disk_xfer *x)
{
    uint64_t len = x->len - x->pos;
    unsigned n = 0;

    if (x->op == DISK_READ || x->op == DISK_WRITE) {
        len = x->map(x, x->pos, len < DISK_XFER_MAX ? (uint32_t)len : DISK_XFER_MAX, x->bufs, DISK_XFER_BUFS,
                     &n);
        if (len == DISK_XFER_WAIT)
            return;
        if (!len) {
            x->error = -EFAULT;
            x->done(x);
            return;
        }
    }
    x->req = (struct disk_req){ .op = x->op, .fua = x->fua, .unmap = x->unmap, .off = x->off + x->pos,
                                .len = len, .bufs = x->bufs, .nbufs = n, .done = answered, .dev = x };
    disk_submit(x->disk, &x->req);
}

void disk_xfer_start(struct disk_xfer *x)
{
    x->pos = 0;
    x->error = 0;
    if (x->op == DISK_FLUSH)
        x->len = 0;
    if (x->len || x->op == DISK_FLUSH)
        disk_xfer_resume(x);
    else
        x->done(x);
}
