/* keymap.c - see keymap.h; the layouts that are built in are in keymaps/. */
#include "host/keymap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"

#define NONE 0

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

/* Names as QEMU has them; what they are for XKB, and what is built in. */
static const struct layout {
    const char *name, *xkb, *variant, *model;
    const struct keymap_row *rows;
} layouts[] = {
#define LAYOUT(name, xkb, variant, model, rows) { name, xkb, variant, model, rows },
#include "host/keymaps/layouts.def"
#undef LAYOUT
};
#define LAYOUTS (sizeof(layouts) / sizeof(layouts[0]))

struct keymap {
    const struct keymap_row *rows;
    struct keymap_row *made;    /* NULL: rows is built in */
    bool latin;                 /* it has the Latin letters */
};

#ifdef HAVE_XKB
static const bool have_xkb = true;
#else
static const bool have_xkb = false;

struct keymap_row *keymap_compile(const char *model, const char *layout, const char *variant)
{
    return NULL;
}

/* The built-in layouts have one character whose keysym was no Unicode keysym once: the Euro sign. */
uint32_t keymap_plain_sym(uint32_t sym)
{
    return sym == 0x20ac ? 0x10020ac : sym >> 8 == 0x10000 ? sym & 0xff : sym;
}
#endif

const char *keymap_nth(unsigned n)
{
    for (unsigned i = 0; i < LAYOUTS; i++)
        if ((have_xkb || layouts[i].rows) && n-- == 0)
            return layouts[i].name;
    return NULL;
}

/* LAYOUT or LAYOUT(VARIANT). The library takes these for file names: let them be none. */
static struct keymap_row *compile_other(const char *name)
{
    char layout[40], variant[40] = "", end = 0;
    int n = sscanf(name, "%39[a-z0-9_-](%39[A-Za-z0-9_-]%c", layout, variant, &end);

    if ((n != 1 || strlen(layout) != strlen(name)) &&
        (n != 3 || end != ')' || strlen(layout) + strlen(variant) + 2 != strlen(name)))
        return NULL;
    return keymap_compile("pc105", layout, variant);
}

static const struct layout *find(const char *name)
{
    for (unsigned i = 0; i < LAYOUTS; i++)
        if (strcmp(layouts[i].name, name) == 0)
            return &layouts[i];
    return NULL;
}

static void why_not(const struct layout *l, const char *name, char *err, size_t len)
{
    size_t n;

    if (l) {
        snprintf(err, len, "layout '%s' %s", name, have_xkb ? "needs XKB's data: install xkb-data" :
                 "needs libxkbcommon, which this Latimer was built without");
        return;
    }
    n = (size_t)snprintf(err, len, "there is no layout '%s': use ", name);
    for (unsigned i = 0; keymap_nth(i) && n < len; i++)
        n += (size_t)snprintf(err + n, len - n, "%s%s", i ? ", " : "", keymap_nth(i));
    if (have_xkb && n < len)
        snprintf(err + n, len - n, ", or LAYOUT or LAYOUT(VARIANT) of XKB's");
}

static unsigned search(const struct keymap_row *r, uint32_t sym, unsigned held, unsigned *mods)
{
    for (unsigned i = 0; i < 5; i++) {
        unsigned m = i ? i - 1 : held;

        for (const struct keymap_row *k = r; k->key; k++) {
            if (k->sym[m] == sym) {
                *mods = m;
                return k->key;
            }
        }
    }
    return 0;
}

struct keymap *keymap_open(const char *name, char *err, size_t len)
{
    const struct layout *l = find(name ? name : "en-us");
    struct keymap_row *made = !name ? NULL : l ? keymap_compile(l->model, l->xkb, l->variant) : compile_other(name);
    struct keymap *map = NULL;
    unsigned mods;

    if (!made && (!l || !l->rows))
        why_not(l, name, err, len);
    else if (!(map = calloc(1, sizeof(*map))))
        snprintf(err, len, "out of memory");
    if (!map) {
        free(made);
        return NULL;
    }
    map->made = made;
    map->rows = made ? made : l->rows;
    map->latin = search(map->rows, 'a', 0, &mods);
    return map;
}

void keymap_free(struct keymap *map)
{
    if (map)
        free(map->made);
    free(map);
}

/* Dead keys, and the characters that they leave on a space. */
static uint32_t other_sym(uint32_t sym)
{
    static const struct { uint32_t dead, alone; } pairs[] = {
        { 0xfe50, '`' }, { 0xfe51, 0xb4 }, { 0xfe51, '\'' }, { 0xfe52, '^' }, { 0xfe53, '~' }, { 0xfe54, 0xaf },
        { 0xfe55, 0x10002d8 }, { 0xfe56, 0x10002d9 }, { 0xfe57, 0xa8 }, { 0xfe57, '"' }, { 0xfe58, 0x10002da },
        { 0xfe58, 0xb0 }, { 0xfe59, 0x10002dd }, { 0xfe5a, 0x10002c7 }, { 0xfe5b, 0xb8 }, { 0xfe5c, 0x10002db }
    };

    for (unsigned i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        if (pairs[i].dead == sym)
            return pairs[i].alone;
        if (pairs[i].alone == sym)
            return pairs[i].dead;
    }
    return 0;
}

unsigned keymap_key(const struct keymap *map, uint32_t keysym, unsigned held, unsigned *mods)
{
    uint32_t sym = keymap_plain_sym(keysym), other = other_sym(sym);
    unsigned key;

    *mods = 0;
    if (!sym)
        return 0;
    key = search(common, sym, 0, mods);
    key = key ? key : search(map->rows, sym, held & 3, mods);
    key = key || !other ? key : search(map->rows, other, held & 3, mods);
    /* Who has such a layout has this one beside it, and switches. */
    return key || map->latin ? key : search(en_us, sym, held & 3, mods);
}
