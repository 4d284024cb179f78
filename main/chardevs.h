/*
 * chardevs.h - streams with a name: -chardev, for devices' chardev= and -serial chardev:ID.
 */
#ifndef MAIN_CHARDEVS_H
#define MAIN_CHARDEVS_H

#include "debug/control.h"
#include "host/chardev.h"

struct chardev_arg {
    const char *opt;            /* the option it came from, for messages */
    const char *spec;           /* for chardev_open() */
    struct chardev_options more;
    char label[48];
    struct chardev_slot slot;
    struct chardev_arg *next;
};

/* What devices have their streams by: those of -chardev, and their own. */
struct chardevs_watcher {
    struct control_watcher watcher;
    struct machine *m;
    struct chardev_arg *list;
};

/* NULL: there is none of that name. */
struct chardev_arg *chardev_find(struct chardev_arg *list, const char *id);
/* For `who`, who has it alone, or one of several if it is a mux; dies where it is another's. NULL: a stream
 * that is none. */
struct chardev *chardevs_take(struct chardev_arg *list, const char *id, const char *who);
/* Open all; dies with what is wrong and what to do. */
void chardevs_open(struct machine *, struct chardev_arg *);
/* From now on what comes for devices waits while the machine stands still. */
void chardevs_watch(struct machine *, struct chardev_arg *, struct chardevs_watcher *);
void chardevs_close(struct chardev_arg *);
void chardevs_free(struct chardev_arg *);
/* One by its specification (host/chardev.h), more NULL: nothing more is said; dies the same way. NULL: none. */
/* The n-th kind of -chardev, NULL behind the last. */
const char *chardevs_kind(unsigned n);
struct chardev *chardevs_open_one(struct machine *, const char *spec, const struct chardev_options *more, const char *label);

#endif
