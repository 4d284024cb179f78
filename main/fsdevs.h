/* fsdevs.h - what -fsdev and -virtfs named: opened before the board is wired, closed when the machine has stopped. */
#ifndef MAIN_FSDEVS_H
#define MAIN_FSDEVS_H

#include "host/fsdev.h"

struct machine;

struct fsdev_arg {
    struct fs fs;               /* what a chip is given */
    const char *opt;            /* that asked for it */
    struct fsdev_config cfg;
    struct fsdev_arg *next;
};

/* NULL: there is none of that id. */
struct fs *fsdevs_find(struct fsdev_arg *list, const char *id);
/* Dies with what the host refused. */
void fsdevs_open(struct machine *, struct fsdev_arg *list);
void fsdevs_close(struct fsdev_arg *list);
void fsdevs_free(struct fsdev_arg *list);

#endif
