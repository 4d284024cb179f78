/*
 * chips.c - the machine's list of chips, and saving and loading their state by their tables.
 *
 * Stream: "LATCHIPS" u32 version, then each chip as base/state.h says.
 * Loading checks the whole stream against the tables before it changes anything, so a bad stream
 * leaves the machine as it was.  The stream must hold exactly this machine's chips and fields.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "hw/dev.h"

#define MAGIC "LATCHIPS"
#define VERSION 1u

struct instance {
    const struct chip *type;
    char *name;
    void *dev;
    unsigned group;
    struct instance *next;
};

struct chip_list {
    struct instance *first, **last;
    unsigned group;             /* of what is made now */
};

struct chip_list *chips_new(void)
{
    struct chip_list *l = calloc(1, sizeof(*l));
    if (!l)
        die(EXIT_CODE_HOST, "out of memory for the chip list");
    l->last = &l->first;
    return l;
}

void chips_free(struct chip_list *l)
{
    if (!l)
        return;
    for (struct instance *i = l->first, *next; i; i = next) {
        next = i->next;
        if (i->type->free)
            i->type->free(i->dev);
        free(i->dev);
        free(i->name);
        free(i);
    }
    free(l);
}

void *chip_new(struct chip_list *l, const struct chip *type, const char *name)
{
    struct instance *i = calloc(1, sizeof(*i));
    void *dev = calloc(1, type->size);
    char *copy = strdup(name);
    if (!i || !dev || !copy)
        die(EXIT_CODE_HOST, "out of memory for chip %s", name);
    for (struct instance *o = l->first; o; o = o->next)
        assert(strcmp(o->name, name) != 0);     /* names identify instances in saved state */
    assert(strlen(name) < 256);
    *i = (struct instance){ type, copy, dev, l->group, NULL };
    *l->last = i;
    l->last = &i->next;
    return dev;
}

void chips_reset(struct chip_list *l)
{
    for (struct instance *i = l->first; i; i = i->next) {
        if (i->type->reset)
            i->type->reset(i->dev);
    }
}

void chips_group(struct chip_list *l, unsigned group)
{
    l->group = group;
}

unsigned chips_group_now(const struct chip_list *l)
{
    return l->group;
}

void chips_reset_group(struct chip_list *l, unsigned group)
{
    for (struct instance *i = l->first; i; i = i->next)
        if (group && i->group == group && i->type->reset)
            i->type->reset(i->dev);
}

const char *chips_unsaveable(struct chip_list *l, const char **name)
{
    for (struct instance *i = l->first; i; i = i->next) {
        const char *why = i->type->unsaveable ? i->type->unsaveable(i->dev) : NULL;

        *name = i->name;
        if (why)
            return why;
    }
    return NULL;
}

unsigned chips_info(struct chip_list *l, const char *type, struct text *t)
{
    unsigned n = 0;

    for (struct instance *i = l->first; i; i = i->next) {
        if (!type)
            text_say(t, "  %-32s %s\n", i->name, i->type->name);
        else if (strcmp(i->type->name, type))
            continue;
        else if (i->type->info)
            i->type->info(i->dev, t);
        n++;
    }
    return n;
}

/* ---- saving and loading ---- */

size_t chips_save(struct chip_list *l, uint8_t **buf)
{
    struct state_out o = { 0 };

    state_put(&o, MAGIC, 8);
    state_put_num(&o, VERSION, 4);
    for (struct instance *i = l->first; i; i = i->next)
        state_put_fields(&o, i->name, i->type->name, i->type->state, i->dev);
    *buf = o.buf;
    return o.len;
}

/* The chip as it would be is a copy beside it, so that it can still be refused. */
static const char *check_instance(const struct instance *i, struct state_in *s)
{
    static _Thread_local char text[192];
    const char *err;
    void *copy;

    if (!i->type->check)
        return state_get_fields(s, i->name, i->type->name, i->type->state, NULL);
    copy = malloc(i->type->size);
    if (!copy)
        return "out of memory";
    memcpy(copy, i->dev, i->type->size);
    err = state_get_fields(s, i->name, i->type->name, i->type->state, copy);
    if (!err && (err = i->type->check(copy))) {
        snprintf(text, sizeof(text), "%.60s: %.90s", i->name, err);
        err = text;
    }
    free(copy);
    return err;
}

/* One walk over the stream: checks it, or with `apply`, where it was checked, stores it. */
static const char *load_walk(struct chip_list *l, struct state_in s, bool apply)
{
    const uint8_t *magic = state_get(&s, 8);

    if (!magic || memcmp(magic, MAGIC, 8) != 0)
        return "not saved chip state";
    if (state_get_num(&s, 4) != VERSION)
        return "saved by another version";
    for (struct instance *i = l->first; i; i = i->next) {
        const char *err = apply ? state_get_fields(&s, i->name, i->type->name, i->type->state, i->dev) :
                          check_instance(i, &s);

        if (err)
            return err;
    }
    return s.left ? state_differs(s, NULL, NULL) : NULL;
}

const char *chips_check(struct chip_list *l, const uint8_t *buf, size_t len)
{
    return load_walk(l, (struct state_in){ buf, len, false }, false);
}

const char *chips_load(struct chip_list *l, const uint8_t *buf, size_t len)
{
    const char *err = chips_check(l, buf, len);

    if (err)
        return err;
    load_walk(l, (struct state_in){ buf, len, false }, true);
    for (struct instance *i = l->first; i; i = i->next) {
        if (i->type->loaded)
            i->type->loaded(i->dev);
    }
    return NULL;
}
