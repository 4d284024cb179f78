/*
 * input_if.h - where keyboards, mice and tablets meet those who operate them.
 *
 * Chips register what they take; displays and scripts feed it. Keys have the numbers of Linux' evdev interface, as in
 * ps2.h. Everything is called with the device lock held.
 *
 * Of several keyboards the one registered last gets the keys, of several pointers the last of its kind. As long as an
 * absolute pointer is there and says that it is in use, displays send positions and no movements.
 */
#ifndef HW_INPUT_IF_H
#define HW_INPUT_IF_H

#include <stdbool.h>
#include <stdint.h>

/* Buttons of pointers. */
#define INPUT_LEFT   0x01u
#define INPUT_RIGHT  0x02u
#define INPUT_MIDDLE 0x04u
#define INPUT_SIDE   0x08u
#define INPUT_EXTRA  0x10u

/* LEDs of keyboards. */
#define INPUT_SCROLL_LOCK 1u
#define INPUT_NUM_LOCK    2u
#define INPUT_CAPS_LOCK   4u

#define INPUT_ABS_MAX 0x7fffu           /* positions: 0 is the left or upper edge, this the other one */

/* What a device takes: NULL where it does not. dz > 0: the wheel was turned towards the user. */
struct input_device {
    void (*key)(void *dev, unsigned key, bool down);
    unsigned (*leds)(void *dev);
    void (*move)(void *dev, int dx, int dy, int dz, unsigned buttons);
    void (*place)(void *dev, unsigned x, unsigned y, int dz, unsigned buttons);
    bool (*in_use)(void *dev);          /* NULL: always. The guest has set the device up. */
};

struct input;

struct input *input_new(void);
void input_free(struct input *);

/* ---- for chips; `in` may be NULL ---- */
void input_add(struct input *in, const struct input_device *, void *dev);
void input_remove(struct input *in, void *dev);         /* unplugged: what it held down is forgotten */

/* ---- for displays ---- */
void input_key(struct input *, unsigned key, bool down);
/* Every key that is down goes up: the display lost the keyboard. */
void input_release(struct input *);
bool input_absolute(struct input *);    /* send positions */
void input_move(struct input *, int dx, int dy, int dz, unsigned buttons);
void input_place(struct input *, unsigned x, unsigned y, int dz, unsigned buttons);
unsigned input_leds(struct input *);
/*
 * The machine stands still, or (on false) runs again. What is pressed, moved or turned meanwhile is forgotten; keys and
 * buttons that went up, and where the pointer is, are told when it runs.
 */
void input_still(struct input *, bool on);

/* ---- for monitors ---- */
struct input_view {
    bool keys, moves, places;   /* what it takes */
    bool in_use, current;       /* current: movements, or positions, go to it now */
};
/* The n-th device. False: there are no more. */
bool input_nth(const struct input *, unsigned n, struct input_view *);
/* The n-th of those that move or place gets movements and positions from now on, whoever else is in use. False: there is none. */
bool input_choose(struct input *, unsigned n);

#endif
