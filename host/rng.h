/*
 * rng.h - sources of random bytes for devices with rng=ID: -object rng-random (a file of the host's) and rng-builtin (its kernel).
 */
#ifndef HOST_RNG_H
#define HOST_RNG_H

#include <stdbool.h>

#include "hw/rng_if.h"

struct evfd;
struct evloop;

struct rng_source {
    struct rng rng;
    char *id;
    char *file;                 /* NULL: the kernel's, by getrandom(2) */
    int fd;
    bool ended;                 /* nothing more comes from the file */
    struct evfd *watch;
    struct rng_source *next;
};

/* file NULL: the kernel's. */
struct rng_source *rng_source_new(const char *id, const char *file);
/* False: err says why the file cannot be read. */
bool rng_source_open(struct rng_source *, struct evloop *, char *err, size_t len);
/* Before the event loop goes. */
void rng_source_close(struct rng_source *);
void rng_source_free(struct rng_source *);

#endif
