/*
 * audiodev.h - where sound goes to and comes from: -audiodev.
 *
 *   none   nowhere
 *   wav    a file, 16 bits and two channels; time in which nothing plays is left out
 *   sdl    the host's sound system by SDL2, if Latimer was built with it
 */
#ifndef HOST_AUDIODEV_H
#define HOST_AUDIODEV_H

#include <stddef.h>

#include "hw/audio_if.h"

#define AUDIODEV_RATE 44100u

struct evloop;

struct audiodev {
    struct audio audio;         /* what chips see; id and rate are set before opening */
    const char *driver;
    const char *path;           /* wav */
    void *end;                  /* the driver's */
    struct audiodev *next;
};

/* NULL behind the last. */
const char *audiodev_driver(unsigned n);
/* False: err says what failed. */
bool audiodev_open(struct evloop *, struct audiodev *, char *err, size_t len);
/* When no chip uses it any more. False, with a message: not all that was played is in the file. */
bool audiodev_close(struct audiodev *);

/* ---- drivers ---- */
struct audiodev_driver {
    const char *name;
    bool (*open)(struct evloop *, struct audiodev *, char *err, size_t len);
    bool (*close)(struct audiodev *);
};
extern const struct audiodev_driver audio_wav;
extern const struct audiodev_driver audio_sdl;

#endif
