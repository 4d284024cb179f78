/* keymap_xkb.c - keyboard layouts out of XKB's data, by libxkbcommon; see keymap.h. */
#include <stdlib.h>
#include <string.h>

#include <xkbcommon/xkbcommon.h>

#include "host/keymap.h"

#define EVDEV_BASE 8            /* XKB's codes are those of X11: evdev's, and 8 */
#define KEYS       248u         /* behind these are names for modifiers, not keys */

static void silent(struct xkb_context *c, enum xkb_log_level level, const char *format, va_list args)
{
}

uint32_t keymap_plain_sym(uint32_t sym)
{
    uint32_t c = sym >> 24 ? 0 : xkb_keysym_to_utf32(sym);
    bool keypad = sym >= XKB_KEY_KP_Space && sym <= XKB_KEY_KP_Equal;

    return c > 0xff && !keypad ? c | 0x1000000 : sym >> 8 == 0x10000 ? sym & 0xff : sym;
}

/* AltGr is Mod5 in all of XKB's layouts. */
static xkb_mod_mask_t mask_of(struct xkb_keymap *map, unsigned mods)
{
    static const char *const names[] = { XKB_MOD_NAME_SHIFT, "Mod5" };
    xkb_mod_mask_t mask = 0;

    for (unsigned i = 0; i < 2; i++) {
        xkb_mod_index_t n = xkb_keymap_mod_get_index(map, names[i]);

        if (mods >> i & 1 && n != XKB_MOD_INVALID)
            mask |= 1u << n;
    }
    return mask;
}

static struct keymap_row *rows_of(struct xkb_keymap *map, struct xkb_state *state)
{
    struct keymap_row *rows = calloc(KEYS + 1, sizeof(*rows)), *r = rows;

    for (unsigned key = 1; rows && key <= KEYS; key++) {
        for (unsigned mods = 0; mods < 4; mods++) {
            uint32_t sym;

            xkb_state_update_mask(state, mask_of(map, mods), 0, 0, 0, 0, 0);
            sym = keymap_plain_sym(xkb_state_key_get_one_sym(state, key + EVDEV_BASE));
            r->sym[mods] = sym == XKB_KEY_VoidSymbol ? 0 : sym;
        }
        for (unsigned mods = 3; mods; mods--)   /* those that make no difference */
            for (unsigned less = 0; less < mods; less++)
                if ((less & mods) == less && r->sym[less] == r->sym[mods])
                    r->sym[mods] = 0;
        if (r->sym[0] || r->sym[1] || r->sym[2] || r->sym[3])
            r++->key = (uint8_t)key;
    }
    return rows;
}

struct keymap_row *keymap_compile(const char *model, const char *layout, const char *variant)
{
    struct xkb_rule_names names = { .rules = "evdev", .model = model, .layout = layout, .variant = variant, .options = "" };
    struct xkb_context *c = xkb_context_new(XKB_CONTEXT_NO_ENVIRONMENT_NAMES);
    struct xkb_keymap *map = NULL;
    struct xkb_state *state = NULL;
    struct keymap_row *rows = NULL;

    if (c) {
        xkb_context_set_log_fn(c, silent);
        map = xkb_keymap_new_from_names(c, &names, XKB_KEYMAP_COMPILE_NO_FLAGS);
    }
    if (map && (state = xkb_state_new(map)))
        rows = rows_of(map, state);
    xkb_state_unref(state);
    xkb_keymap_unref(map);
    xkb_context_unref(c);
    return rows;
}
