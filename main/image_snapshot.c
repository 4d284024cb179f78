/* image_snapshot.c - latimer image snapshot: snapshots inside an image. */
#include <stdlib.h>
#include <time.h>

#include "base/log.h"
#include "main/image.h"

static int make(struct block *b, const char *name, struct block_error *e)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return block_snapshot_create(b, &(struct block_snapshot){ .name = (char *)(uintptr_t)name, .date = (uint32_t)now.tv_sec,
                                     .date_ns = (uint32_t)now.tv_nsec }, NULL, e);
}

int image_snapshot(const struct image_args *a)
{
    unsigned wanted = !!a->make + !!a->apply + !!a->remove;
    struct block_error e;
    struct block_info info;
    struct block *b;
    int r = 0;

    if (wanted > 1)
        die(EXIT_CODE_USAGE, "image snapshot: -c, -a and -d are one at a time");
    if (wanted && a->U)
        die(EXIT_CODE_USAGE, "image snapshot: what writes to the image must have it alone: leave out -U");
    b = image_open(a, a->file, (struct block_open){ .writable = wanted, .no_lock = a->U });
    if (a->make)
        r = make(b, a->make, &e);
    else if (a->apply)
        r = block_snapshot_apply(b, a->apply, &e);
    else if (a->remove)
        r = block_snapshot_delete(b, a->remove, &e);
    if (r)
        image_fail(r, &e);
    block_info(b, &info);
    if (!wanted && info.nsnapshots)
        image_list_snapshots(&info);
    block_close(b);
    return 0;
}
