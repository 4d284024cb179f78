/*
 * rng_if.h - a source of random bytes outside, for a chip that gives them to the guest. host/rng.c, or a test, implements it.
 * With the device lock held.
 */
#ifndef HW_RNG_IF_H
#define HW_RNG_IF_H

#include <stddef.h>

struct rng;

struct rng_ops {
    /* Up to `len` bytes; how many. 0: there are none now, and ready() is called when there may be some. */
    size_t (*get)(struct rng *, void *buf, size_t len);
    /* ready() is called when there may be some: a guest that waited was loaded. */
    void (*wait)(struct rng *);
};

struct rng {
    const struct rng_ops *ops;
    const char *id;
    void (*ready)(void *dev);   /* the chip's; NULL: nobody has it */
    void *dev;
};

#endif
