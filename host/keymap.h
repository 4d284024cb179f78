/*
 * keymap.h - keyboard layouts: from the characters (X keysyms) that VNC clients and terminals send to keys of the
 * guest's keyboard, which has evdev's numbers.
 */
#ifndef HOST_KEYMAP_H
#define HOST_KEYMAP_H

#include <stdbool.h>
#include <stdint.h>

struct keymap;
struct input;

#define KEYMAP_SHIFT 1u
#define KEYMAP_ALTGR 2u

/* NULL: there is no such layout; keymap_nth() lists their names, NULL behind the last. */
const struct keymap *keymap_find(const char *name);
const char *keymap_nth(unsigned n);
/* The key that makes keysym, 0: none; *mods: KEYMAP_*, what must be held down with it. */
unsigned keymap_key(const struct keymap *, uint32_t keysym, unsigned *mods);

/* Keys by keysyms. Modifiers that the guest needs and the sender did not press are pressed around the key. */
struct key_sender {
    const struct keymap *map;
    struct input *input;
    unsigned held;              /* KEYMAP_*: that the sender holds */
    struct {
        uint32_t keysym;        /* 0: free */
        uint8_t key, mods;      /* mods: pressed for it */
    } down[16];
};
/* With the device lock held. False: the layout has no key for it. */
bool key_send(struct key_sender *, uint32_t keysym, bool down);

#endif
