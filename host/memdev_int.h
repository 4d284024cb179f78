/*
 * memdev_int.h - what the files of memory backends share.
 */
#ifndef HOST_MEMDEV_INT_H
#define HOST_MEMDEV_INT_H

#include "host/memdev.h"

struct memdev_error {
    char *text;
    size_t len;
    int code;                   /* as memdev_open() returns it */
};

/* False. */
bool memdev_wrong(struct memdev_error *, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* What memdev_open() made; nothing, where it made nothing. */
void memdev_close(struct memdev *);

#endif
