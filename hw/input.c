/*
 * input.c - see input_if.h.
 *
 * Invariant: a key goes up where it went down, even if another keyboard has been registered since. While the machine stands
 * still devices hear nothing; then they hear which keys and buttons have gone up, and where the pointer is now.
 */
#include "hw/input_if.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"

#define DEVICES 16
#define KEYS 256

struct input {
    struct { const struct input_device *ops; void *dev; } d[DEVICES];
    unsigned n;
    void *chosen;               /* a pointer that the user wants to have what he does; NULL: none */
    void *holder[KEYS];         /* the device that has the key down, NULL: up */
    bool still;
    bool late[KEYS];            /* it went up meanwhile, and its holder does not know */
    struct {
        bool moved, placed;     /* what came last meanwhile */
        unsigned x, y, buttons;
    } now;
};

struct input *input_new(void)
{
    struct input *in = calloc(1, sizeof(*in));

    if (!in)
        die(EXIT_CODE_HOST, "out of memory for the input devices");
    return in;
}

void input_free(struct input *in)
{
    free(in);
}

void input_add(struct input *in, const struct input_device *ops, void *dev)
{
    if (!in)
        return;
    if (in->n == DEVICES)
        die(EXIT_CODE_USAGE, "more than %u input devices", DEVICES);
    in->d[in->n].ops = ops;
    in->d[in->n++].dev = dev;
}

void input_remove(struct input *in, void *dev)
{
    if (!in)
        return;
    for (unsigned i = 0; i < in->n; i++) {
        if (in->d[i].dev != dev)
            continue;
        memmove(&in->d[i], &in->d[i + 1], (in->n - i - 1) * sizeof(in->d[0]));
        in->n--;
        i--;
    }
    if (in->chosen == dev)
        in->chosen = NULL;
    for (unsigned k = 0; k < KEYS; k++)
        if (in->holder[k] == dev)
            in->holder[k] = NULL;
}

enum kind { KIND_KEYS, KIND_LEDS, KIND_MOVE, KIND_PLACE };

static bool takes(const struct input_device *o, enum kind kind)
{
    switch (kind) {
    case KIND_KEYS:  return o->key;
    case KIND_LEDS:  return o->leds;
    case KIND_MOVE:  return o->move;
    default:         return o->place;
    }
}

/* Who was chosen of a kind of pointer. -1: nobody, or who takes none of that. */
static int chosen_for(const struct input *in, enum kind kind)
{
    for (unsigned i = 0; i < in->n; i++)
        if (in->chosen && in->d[i].dev == in->chosen && (kind == KIND_MOVE || kind == KIND_PLACE) && takes(in->d[i].ops, kind))
            return (int)i;
    return -1;
}

/* Who was chosen, or the last one of that kind that is in use; if none is, the last one. -1: none. */
static int pick(const struct input *in, enum kind kind, bool used)
{
    int last = -1, chosen = chosen_for(in, kind);

    if (chosen >= 0 || (in->chosen && kind == KIND_PLACE && used))
        return chosen;
    for (int i = (int)in->n - 1; i >= 0; i--) {
        const struct input_device *o = in->d[i].ops;

        if (!takes(o, kind))
            continue;
        if (!o->in_use || o->in_use(in->d[i].dev))
            return i;
        if (last < 0)
            last = i;
    }
    return used ? -1 : last;
}

static int index_of(const struct input *in, const void *dev)
{
    for (unsigned i = 0; i < in->n; i++)
        if (in->d[i].dev == dev && in->d[i].ops->key)
            return (int)i;
    return -1;
}

void input_key(struct input *in, unsigned key, bool down)
{
    int i;

    if (!in || key >= KEYS)
        return;
    if (in->still) {
        in->late[key] = !down && in->holder[key];
        return;
    }
    i = in->holder[key] ? index_of(in, in->holder[key]) : -1;
    if (i < 0 && down)
        i = pick(in, KIND_KEYS, false);
    if (i < 0)
        return;
    in->holder[key] = down ? in->d[i].dev : NULL;
    in->d[i].ops->key(in->d[i].dev, key, down);
}

void input_release(struct input *in)
{
    for (unsigned key = 0; in && key < KEYS; key++)
        if (in->holder[key])
            input_key(in, key, false);
}

bool input_absolute(struct input *in)
{
    return in && pick(in, KIND_PLACE, true) >= 0;
}

void input_move(struct input *in, int dx, int dy, int dz, unsigned buttons)
{
    int i = in ? pick(in, KIND_MOVE, false) : -1;

    if (i >= 0 && in->still) {
        in->now.moved = true;
        in->now.buttons = buttons;
    } else if (i >= 0) {
        in->d[i].ops->move(in->d[i].dev, dx, dy, dz, buttons);
    }
}

void input_place(struct input *in, unsigned x, unsigned y, int dz, unsigned buttons)
{
    int i = in ? pick(in, KIND_PLACE, true) : -1;

    if (i >= 0 && in->still) {
        in->now.placed = true;
        in->now.x = x;
        in->now.y = y;
        in->now.buttons = buttons;
    } else if (i >= 0) {
        in->d[i].ops->place(in->d[i].dev, x > INPUT_ABS_MAX ? INPUT_ABS_MAX : x,
                            y > INPUT_ABS_MAX ? INPUT_ABS_MAX : y, dz, buttons);
    }
}

void input_still(struct input *in, bool on)
{
    in->still = on;
    if (on)
        return;
    for (unsigned key = 0; key < KEYS; key++)
        if (in->late[key])
            input_key(in, key, false);
    if (in->now.placed)
        input_place(in, in->now.x, in->now.y, 0, in->now.buttons);
    else if (in->now.moved)
        input_move(in, 0, 0, 0, in->now.buttons);
    memset(in->late, 0, sizeof(in->late));
    memset(&in->now, 0, sizeof(in->now));
}

unsigned input_leds(struct input *in)
{
    int i = in ? pick(in, KIND_LEDS, false) : -1;

    return i < 0 ? 0 : in->d[i].ops->leds(in->d[i].dev);
}

bool input_choose(struct input *in, unsigned n)
{
    for (unsigned i = 0; in && i < in->n; i++)
        if ((in->d[i].ops->move || in->d[i].ops->place) && !n--) {
            in->chosen = in->d[i].dev;
            return true;
        }
    return false;
}

bool input_nth(const struct input *in, unsigned n, struct input_view *v)
{
    const struct input_device *o;
    int now;

    if (!in || n >= in->n)
        return false;
    o = in->d[n].ops;
    now = pick(in, KIND_PLACE, true);
    if (now < 0)
        now = pick(in, KIND_MOVE, false);
    *v = (struct input_view){ o->key, o->move, o->place, !o->in_use || o->in_use(in->d[n].dev), now == (int)n };
    return true;
}
