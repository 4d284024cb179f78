/*
 * display_if.h - a monitor cable between a video chip and what shows its picture, seen from the chip.
 *
 * The outside (host/display.c, or a test) pulls: it calls refresh() at its own rate, and only while somebody looks.
 * The chip then brings its surface up to date and says by damage() what changed, by resized() that the surface is
 * another one. All of it is called with the device lock held; the surface stays as it is until the next refresh().
 */
#ifndef HW_DISPLAY_IF_H
#define HW_DISPLAY_IF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One character of a text mode, for terminals. */
struct text_cell {
    uint8_t code;               /* in the adapter's character set: usually code page 437 */
    uint8_t attr;               /* IBM's: foreground in bits 3:0, background in bits 6:4 (7:4), blinking bit 7 */
};

struct text_screen {
    const struct text_cell *cells;      /* rows * cols of them; NULL: this is no text mode */
    unsigned cols, rows;
    int cursor_x, cursor_y;     /* -1: there is none, or none to be seen */
    bool blinks;                /* bit 7 of an attribute is blinking and not a brighter background */
};

struct surface {
    uint32_t *pixels;           /* XRGB8888: blue in bits 7:0, red in bits 23:16; bits 31:24 are 0 */
    unsigned width, height;     /* at least 1 */
    unsigned stride;            /* pixels from one line to the next */
    struct text_screen text;
};

struct display;

struct display_ops {
    void (*resized)(struct display *);
    /* Within the surface. Called some times for each refresh, at most; rectangles may overlap. */
    void (*damage)(struct display *, unsigned x, unsigned y, unsigned w, unsigned h);
};

struct display_user {
    /* Bring the surface up to date. It belongs to the chip, and may be another one each time. */
    const struct surface *(*refresh)(void *dev);
};

struct display {
    const struct display_ops *ops;
    const struct display_user *user;    /* NULL: no chip */
    void *dev;
};

/* False: another chip has the cable. A chip without a cable has NULL. */
static inline bool display_connect(struct display *d, const struct display_user *user, void *dev)
{
    if (!d)
        return true;
    if (d->user)
        return false;
    d->user = user;
    d->dev = dev;
    return true;
}

static inline void display_damage(struct display *d, unsigned x, unsigned y, unsigned w, unsigned h)
{
    if (d && w && h)
        d->ops->damage(d, x, y, w, h);
}

static inline void display_resized(struct display *d)
{
    if (d)
        d->ops->resized(d);
}

#endif
