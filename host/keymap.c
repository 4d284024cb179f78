/* keymap.c - see keymap.h; the layouts are in keymaps/. */
#include "host/keymap.h"

#include <string.h>

#include "hw/input_if.h"

#define KEY_LEFTSHIFT  42
#define KEY_RIGHTSHIFT 54
#define KEY_RIGHTALT   100

#define NONE 0

struct keymap_row {
    uint8_t key;
    uint16_t sym[4];            /* by mods */
};

#define KEY(key, plain, shift, altgr, both) { key, { plain, shift, altgr, both } },
static const struct keymap_row common[] = {
#include "host/keymaps/common.def"
    { 0 }
};
static const struct keymap_row en_us[] = {
#include "host/keymaps/en-us.def"
    { 0 }
};
static const struct keymap_row en_gb[] = {
#include "host/keymaps/en-gb.def"
    { 0 }
};
static const struct keymap_row de[] = {
#include "host/keymaps/de.def"
    { 0 }
};
static const struct keymap_row fr[] = {
#include "host/keymaps/fr.def"
    { 0 }
};
#undef KEY

struct keymap {
    const char *name;
    const struct keymap_row *rows;
};

static const struct keymap maps[] = { { "en-us", en_us }, { "en-gb", en_gb }, { "de", de }, { "fr", fr } };
#define MAPS (sizeof(maps) / sizeof(maps[0]))

const struct keymap *keymap_find(const char *name)
{
    for (unsigned i = 0; i < MAPS; i++)
        if (strcmp(maps[i].name, name) == 0)
            return &maps[i];
    return NULL;
}

const char *keymap_nth(unsigned n)
{
    return n < MAPS ? maps[n].name : NULL;
}

static unsigned search(const struct keymap_row *r, uint32_t keysym, unsigned *mods)
{
    /* What needs no modifier first, whatever row it is in. */
    for (unsigned m = 0; m < 4; m++) {
        for (const struct keymap_row *k = r; k->key; k++) {
            if (k->sym[m] == keysym) {
                *mods = m;
                return k->key;
            }
        }
    }
    return 0;
}

unsigned keymap_key(const struct keymap *map, uint32_t keysym, unsigned *mods)
{
    unsigned key;

    *mods = 0;
    if (keysym >> 24 == 1)      /* a keysym that names a Unicode character; those we know have short ones */
        keysym &= 0xffffff;
    if (!keysym || keysym > 0xffff)
        return 0;
    key = search(common, keysym, mods);
    return key ? key : search(map->rows, keysym, mods);
}

static unsigned modifier(unsigned key)
{
    return key == KEY_LEFTSHIFT || key == KEY_RIGHTSHIFT ? KEYMAP_SHIFT : key == KEY_RIGHTALT ? KEYMAP_ALTGR : 0;
}

bool key_send(struct key_sender *s, uint32_t keysym, bool down)
{
    unsigned mods, key, slot = 0, add;

    for (slot = 0; slot < 16 && s->down[slot].keysym != keysym; slot++)
        ;
    if (slot < 16) {            /* goes up, or is repeated: the guest's keyboard does that itself */
        if (down)
            return true;
        input_key(s->input, s->down[slot].key, false);
        s->held &= ~modifier(s->down[slot].key);
        if (s->down[slot].mods & KEYMAP_SHIFT)
            input_key(s->input, KEY_LEFTSHIFT, false);
        if (s->down[slot].mods & KEYMAP_ALTGR)
            input_key(s->input, KEY_RIGHTALT, false);
        s->down[slot].keysym = 0;
        return true;
    }
    if (!down)
        return false;
    key = keymap_key(s->map, keysym, &mods);
    if (!key)
        return false;
    add = mods & ~s->held;
    if (add & KEYMAP_SHIFT)
        input_key(s->input, KEY_LEFTSHIFT, true);
    if (add & KEYMAP_ALTGR)
        input_key(s->input, KEY_RIGHTALT, true);
    input_key(s->input, key, true);
    s->held |= modifier(key);
    for (slot = 0; slot < 16 && s->down[slot].keysym; slot++)
        ;
    if (slot == 16) {           /* more fingers than we count: the last one's key goes up for it */
        slot = 15;
        key_send(s, s->down[slot].keysym, false);
    }
    s->down[slot].keysym = keysym;
    s->down[slot].key = (uint8_t)key;
    s->down[slot].mods = (uint8_t)add;
    return true;
}
