/* audiodevs.h - what -audiodev named: opened before the board is wired, closed when the machine has stopped. */
#ifndef MAIN_AUDIODEVS_H
#define MAIN_AUDIODEVS_H

#include <stdbool.h>

struct audio;
struct audiodev;
struct machine;

/* NULL: there is none of that id. */
struct audio *audiodev_find(struct audiodev *list, const char *id);
/* Dies with what failed. */
void audiodevs_open(struct machine *, struct audiodev *list);
/* False: something that was played is not in its file. */
bool audiodevs_close(struct audiodev *list);
void audiodevs_free(struct audiodev *list);

#endif
