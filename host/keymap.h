/*
 * keymap.h - keyboard layouts: from the characters (X keysyms) that VNC clients and terminals send to keys of the
 * guest's keyboard, which has evdev's numbers.
 *
 * Layouts are XKB's, compiled by libxkbcommon; four are built in, for builds and hosts without it.
 */
#ifndef HOST_KEYMAP_H
#define HOST_KEYMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct keymap;
struct input;

#define KEYMAP_SHIFT 1u
#define KEYMAP_ALTGR 2u

/* A key and what it makes. */
struct keymap_row {
    uint8_t key;                /* 0: behind the last row */
    uint32_t sym[4];            /* by KEYMAP_* held; 0: nothing of its own */
};

/*
 * The layout that one of keymap_nth()'s names means, or XKB's LAYOUT or LAYOUT(VARIANT), for keymap_free(). NULL, name:
 * en-us, built in. NULL is returned where there is none; err says why and what to use.
 */
struct keymap *keymap_open(const char *name, char *err, size_t len);
void keymap_free(struct keymap *);
/* The names of the layouts that this build has, NULL behind the last. */
const char *keymap_nth(unsigned n);
/*
 * The key that makes keysym, 0: none; *mods: KEYMAP_*, what must be held down with it. A key that makes it with what is
 * held is preferred, then one that needs no modifier. A character that only a dead key has is that key, and vice versa.
 */
unsigned keymap_key(const struct keymap *, uint32_t keysym, unsigned held, unsigned *mods);

/*
 * Keys by keysyms. Modifiers that the guest needs and the sender did not press are pressed around the key; Num Lock and
 * Caps Lock are pressed before it where the guest has them otherwise than the sender must have.
 */
struct key_sender {
    const struct keymap *map;
    struct input *input;
    unsigned held;              /* KEYMAP_*: that the sender holds */
    unsigned locks, leds;       /* INPUT_*: what is taken to be locked, and what the guest's keyboard showed last */
    bool noted;                 /* that there is a keysym without key */
    struct {
        uint32_t keysym;        /* 0: free */
        uint8_t key, mods;      /* mods: pressed for it */
    } down[16];
};
/* With the device lock held. False: the layout has no key for it, or it was not down. The first without key is noted. */
bool key_send(struct key_sender *, uint32_t keysym, bool down);

/* keymap_xkb.c: the rows of a layout of XKB's, for free(); NULL: it has none such, or no data are installed. */
struct keymap_row *keymap_compile(const char *model, const char *layout, const char *variant);
/* A character beyond Latin-1 is its Unicode number with bit 24 set, whichever keysym named it. */
uint32_t keymap_plain_sym(uint32_t keysym);

#endif
