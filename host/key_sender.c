/* key_sender.c - keys of the guest's keyboard by keysyms; see keymap.h. */
#include "base/log.h"
#include "host/keymap.h"
#include "hw/input_if.h"

#include <stdio.h>

#define KEY_LEFTSHIFT  42
#define KEY_RIGHTSHIFT 54
#define KEY_CAPSLOCK   58
#define KEY_NUMLOCK    69
#define KEY_RIGHTALT   100

static unsigned modifier(unsigned key)
{
    return key == KEY_LEFTSHIFT || key == KEY_RIGHTSHIFT ? KEYMAP_SHIFT : key == KEY_RIGHTALT ? KEYMAP_ALTGR : 0;
}

static unsigned lock_of(unsigned key)
{
    return key == KEY_NUMLOCK ? INPUT_NUM_LOCK : key == KEY_CAPSLOCK ? INPUT_CAPS_LOCK : 0;
}

/* The guest's LEDs tell, but later than the keys that change them: until they change, what was pressed tells. */
static void learn_locks(struct key_sender *s)
{
    unsigned leds = input_leds(s->input), changed = leds ^ s->leds;

    s->locks = (s->locks & ~changed) | (leds & changed);
    s->leds = leds;
}

static void want_lock(struct key_sender *s, unsigned lock, unsigned key, bool on)
{
    if (!(s->locks & lock) == !on)
        return;
    input_key(s->input, key, true);
    input_key(s->input, key, false);
    s->locks ^= lock;
}

/* The sender's keypad has digits with Num Lock, the rest without. */
static void fit_num_lock(struct key_sender *s, uint32_t sym)
{
    if ((sym >= 0xffb0 && sym <= 0xffb9) || sym == 0xffac || sym == 0xffae)
        want_lock(s, INPUT_NUM_LOCK, KEY_NUMLOCK, true);
    else if (sym >= 0xff95 && sym <= 0xff9f)
        want_lock(s, INPUT_NUM_LOCK, KEY_NUMLOCK, false);
}

/*
 * A letter that the sender's Shift alone explains: Caps Lock is to be off; one that it does not: Caps Lock on explains it,
 * and Shift as well if it can be pressed. mods is what the layout wants; returns what is wanted then.
 */
static unsigned fit_caps_lock(struct key_sender *s, uint32_t sym, unsigned mods)
{
    bool upper = sym >= 'A' && sym <= 'Z', lower = sym >= 'a' && sym <= 'z', shift = s->held & KEYMAP_SHIFT;

    if (!upper && !lower)
        return mods;
    if (upper == shift) {
        want_lock(s, INPUT_CAPS_LOCK, KEY_CAPSLOCK, false);
        return mods;
    }
    if (lower)
        want_lock(s, INPUT_CAPS_LOCK, KEY_CAPSLOCK, true);
    return s->locks & INPUT_CAPS_LOCK ? mods & ~KEYMAP_SHIFT : mods;
}

static void press(struct key_sender *s, unsigned mods, bool down)
{
    if (mods & KEYMAP_SHIFT)
        input_key(s->input, KEY_LEFTSHIFT, down);
    if (mods & KEYMAP_ALTGR)
        input_key(s->input, KEY_RIGHTALT, down);
}

static unsigned slot_of(const struct key_sender *s, uint32_t keysym)
{
    unsigned i = 0;

    while (i < 16 && s->down[i].keysym != keysym)
        i++;
    return i;
}

static void release(struct key_sender *s, unsigned slot)
{
    unsigned key = s->down[slot].key;

    input_key(s->input, key, false);
    s->held &= ~modifier(key);
    press(s, s->down[slot].mods, false);
    s->down[slot].keysym = 0;
}

static void no_key(struct key_sender *s, uint32_t keysym)
{
    log_msg(LOG_UNIMP, "keyboard: no key for keysym %x in this layout (-k)", (unsigned)keysym);
    if (!s->noted)
        fprintf(stderr, "latimer: the keyboard layout (-k) has no key for keysym %#x that was typed; "
                "this is told once\n", (unsigned)keysym);
    s->noted = true;
}

bool key_send(struct key_sender *s, uint32_t keysym, bool down)
{
    unsigned slot = slot_of(s, keysym), mods, key, add;

    if (slot < 16) {            /* goes up, or is repeated: the guest's keyboard does that itself */
        if (!down)
            release(s, slot);
        return true;
    }
    if (!down || !keysym)
        return false;
    key = keymap_key(s->map, keysym, s->held, &mods);
    if (!key) {
        no_key(s, keysym);
        return false;
    }
    learn_locks(s);
    fit_num_lock(s, keysym);
    add = fit_caps_lock(s, keysym, mods) & ~s->held;
    press(s, add, true);
    input_key(s->input, key, true);
    s->held |= modifier(key);
    s->locks ^= lock_of(key);
    slot = slot_of(s, 0);
    if (slot == 16)             /* more fingers than we count: the last one's key goes up for it */
        release(s, slot = 15);
    s->down[slot].keysym = keysym;
    s->down[slot].key = (uint8_t)key;
    s->down[slot].mods = (uint8_t)add;
    return true;
}
