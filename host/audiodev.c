/*
 * audiodev.c - the drivers there are (audiodev.h), and the one that takes nothing.
 */
#include "host/audiodev.h"

#include <stdio.h>
#include <string.h>

#include "config.h"

static bool none_open(struct evloop *loop, struct audiodev *d, char *err, size_t len)
{
    return true;                /* without ops, voices discard what they get */
}

static bool none_close(struct audiodev *d)
{
    return true;
}

static const struct audiodev_driver audio_none = { "none", none_open, none_close };

static const struct audiodev_driver *const drivers[] = {
    &audio_none, &audio_wav,
#ifdef HAVE_SDL
    &audio_sdl,
#endif
};
#define DRIVERS (sizeof(drivers) / sizeof(drivers[0]))

const char *audiodev_driver(unsigned n)
{
    return n < DRIVERS ? drivers[n]->name : NULL;
}

static const struct audiodev_driver *driver_of(const struct audiodev *d)
{
    for (unsigned i = 0; i < DRIVERS; i++)
        if (strcmp(drivers[i]->name, d->driver) == 0)
            return drivers[i];
    return NULL;
}

bool audiodev_open(struct evloop *loop, struct audiodev *d, char *err, size_t len)
{
    const struct audiodev_driver *driver = driver_of(d);

    if (!driver) {
        snprintf(err, len, "there is no driver %s", d->driver);
        return false;
    }
    return driver->open(loop, d, err, len);
}

bool audiodev_close(struct audiodev *d)
{
    bool ok = driver_of(d)->close(d);

    d->audio.ops = NULL;
    return ok;
}
