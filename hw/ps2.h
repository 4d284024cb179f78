/*
 * ps2.h - PS/2 keyboard and mouse, as seen by the 8042 behind which they sit, and the input API for
 * displays.
 *
 * Keys have the numbers of Linux' evdev interface (KEY_ESC 1 ... KEY_COMPOSE 127): they name the key
 * and no scan code set.
 */
#ifndef HW_PS2_H
#define HW_PS2_H

#include "hw/dev.h"

struct input_device;
struct ps2;
struct ps2 *ps2_keyboard_new(struct chip_list *, const char *name, struct clock *);
struct ps2 *ps2_mouse_new(struct chip_list *, const char *name, struct clock *);

/* ---- input from displays (device lock held) ---- */
void ps2_key(struct ps2 *kbd, unsigned key, bool down);
/* Relative motion (dy > 0 is down), wheel (dz > 0 is towards the user), buttons: bit 0 left,
 * 1 right, 2 middle, 3 and 4 the side buttons. */
void ps2_mouse(struct ps2 *mouse, int dx, int dy, int dz, unsigned buttons);
/* LEDs the guest set: bit 0 scroll lock, 1 num lock, 2 caps lock. */
unsigned ps2_leds(struct ps2 *kbd);

/* The same for input_add(). */
extern const struct input_device ps2_keyboard_input, ps2_mouse_input;

/* ---- the 8042's side of the cable ---- */
/* ready(arg) is called when a byte waits that did not before. */
void ps2_connect(struct ps2 *, void (*ready)(void *arg), void *arg);
void ps2_host_write(struct ps2 *, uint8_t byte);        /* a command or parameter to the device */
bool ps2_has_byte(struct ps2 *);
uint8_t ps2_next_byte(struct ps2 *);

#endif
