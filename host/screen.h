/*
 * screen.h - the video chip's cable, and those who look at it: windows, VNC, terminals, screendumps.
 *
 * Everything here is called with the device lock held. A viewer asks by screen_refresh() when it wants to show
 * something; what changed since it last looked stands in its struct viewer, whoever asked.
 */
#ifndef HOST_SCREEN_H
#define HOST_SCREEN_H

#include <pthread.h>

#include "hw/display_if.h"

#define VIEWER_RECTS 32

struct screen_rect {
    unsigned x, y, w, h;
};

struct viewer {
    bool resized;               /* the surface is another one: show it all */
    unsigned n;                 /* rectangles that changed; the viewer sets it to 0 */
    struct screen_rect r[VIEWER_RECTS];
    struct viewer *next;
};

struct screen;

struct screen *screen_new(void);
void screen_free(struct screen *);
struct display *screen_display(struct screen *);        /* for the machine */
bool screen_has_chip(const struct screen *);
void screen_add(struct screen *, struct viewer *);
void screen_remove(struct screen *, struct viewer *);
/* Never NULL: without a chip the picture is black. */
const struct surface *screen_refresh(struct screen *);

struct evloop;
struct input;
struct keymap;

/* What a display works with. */
struct display_env {
    struct screen *screen;
    struct input *input;
    pthread_mutex_t *lock;      /* the device lock */
    struct evloop *loop;
    const struct keymap *keymap;
    const char *title;
};

#endif
