/*
 * chips.c - the machine's list of chips, and saving and loading their state by their tables.
 *
 * Stream, all numbers little-endian:
 *   "LATCHIPS" u32 version, then a chip:
 *     u8 length, instance name; u8 length, chip type's name; u16 number of fields, then a field:
 *       u8 length, name; u16 width; u16 count; count * width bytes
 * Loading checks the whole stream against the tables before it changes anything, so a bad stream
 * leaves the machine as it was.  The stream must hold exactly this machine's chips and fields.
 */
#include <assert.h>
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
    struct instance *next;
};

struct chip_list {
    struct instance *first, **last;
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
    *i = (struct instance){ type, copy, dev, NULL };
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

/* ---- saving ---- */

struct out {
    uint8_t *buf;
    size_t len, cap;
};

static void put(struct out *o, const void *data, size_t n)
{
    if (o->len + n > o->cap) {
        o->cap = (o->len + n) * 2 + 256;
        o->buf = realloc(o->buf, o->cap);
        if (!o->buf)
            die(EXIT_CODE_HOST, "out of memory while saving state");
    }
    memcpy(o->buf + o->len, data, n);
    o->len += n;
}

static void put_num(struct out *o, uint64_t v, unsigned width)
{
    uint8_t b[8];
    for (unsigned i = 0; i < width; i++)
        b[i] = (uint8_t)(v >> (8 * i));
    put(o, b, width);
}

static void put_name(struct out *o, const char *s)
{
    size_t n = strlen(s);
    assert(n < 256);
    put_num(o, n, 1);
    put(o, s, n);
}

static uint64_t element(const uint8_t *p, unsigned width)
{
    switch (width) {
    case 1: return *p;
    case 2: { uint16_t v; memcpy(&v, p, 2); return v; }
    case 4: { uint32_t v; memcpy(&v, p, 4); return v; }
    default: { uint64_t v; memcpy(&v, p, 8); return v; }
    }
}

static void set_element(uint8_t *p, unsigned width, uint64_t val)
{
    switch (width) {
    case 1: *p = (uint8_t)val; break;
    case 2: { uint16_t v = (uint16_t)val; memcpy(p, &v, 2); break; }
    case 4: { uint32_t v = (uint32_t)val; memcpy(p, &v, 4); break; }
    default: memcpy(p, &val, 8); break;
    }
}

static unsigned fields(const struct chip *t)
{
    unsigned n = 0;
    while (t->state && t->state[n].name)
        n++;
    return n;
}

size_t chips_save(struct chip_list *l, uint8_t **buf)
{
    struct out o = { 0 };
    put(&o, MAGIC, 8);
    put_num(&o, VERSION, 4);
    for (struct instance *i = l->first; i; i = i->next) {
        put_name(&o, i->name);
        put_name(&o, i->type->name);
        unsigned n = fields(i->type);
        put_num(&o, n, 2);
        for (const struct field *f = i->type->state; n--; f++) {
            put_name(&o, f->name);
            put_num(&o, f->width, 2);
            put_num(&o, f->count, 2);
            for (unsigned e = 0; e < f->count; e++)
                put_num(&o, element((uint8_t *)i->dev + f->offset + e * f->width, f->width), f->width);
        }
    }
    *buf = o.buf;
    return o.len;
}

/* ---- loading ---- */

struct in {
    const uint8_t *p;
    size_t left;
    bool bad;                   /* ran past the end */
};

static const uint8_t *get(struct in *s, size_t n)
{
    if (s->bad || n > s->left) {
        s->bad = true;
        return NULL;
    }
    const uint8_t *p = s->p;
    s->p += n;
    s->left -= n;
    return p;
}

static uint64_t get_num(struct in *s, unsigned width)
{
    const uint8_t *p = get(s, width);
    uint64_t v = 0;
    for (unsigned i = 0; p && i < width; i++)
        v |= (uint64_t)p[i] << (8 * i);
    return v;
}

static bool name_is(struct in *s, const char *want)
{
    size_t n = get_num(s, 1);
    const uint8_t *p = get(s, n);
    return p && n == strlen(want) && memcmp(p, want, n) == 0;
}

/* One walk over the stream: checks it, and with `apply` stores it. */
static const char *load_walk(struct chip_list *l, struct in s, bool apply)
{
    const uint8_t *magic = get(&s, 8);
    if (!magic || memcmp(magic, MAGIC, 8) != 0)
        return "not saved chip state";
    if (get_num(&s, 4) != VERSION)
        return "saved by another version";
    for (struct instance *i = l->first; i; i = i->next) {
        if (!name_is(&s, i->name) || !name_is(&s, i->type->name))
            return s.bad ? "truncated" : "saved on a machine with other chips";
        unsigned n = fields(i->type);
        if (get_num(&s, 2) != n)
            return s.bad ? "truncated" : "a chip has other fields";
        for (const struct field *f = i->type->state; n--; f++) {
            if (!name_is(&s, f->name) || get_num(&s, 2) != f->width || get_num(&s, 2) != f->count)
                return s.bad ? "truncated" : "a chip has other fields";
            const uint8_t *data = get(&s, (size_t)f->width * f->count);
            if (!data)
                return "truncated";
            struct in v = { data, (size_t)f->width * f->count, false };
            for (unsigned e = 0; apply && e < f->count; e++)
                set_element((uint8_t *)i->dev + f->offset + e * f->width, f->width,
                            get_num(&v, f->width));
        }
    }
    return s.left ? "trailing bytes: saved on a machine with more chips" : NULL;
}

const char *chips_load(struct chip_list *l, const uint8_t *buf, size_t len)
{
    struct in s = { buf, len, false };
    const char *err = load_walk(l, s, false);
    if (err)
        return err;
    load_walk(l, s, true);
    for (struct instance *i = l->first; i; i = i->next) {
        if (i->type->loaded)
            i->type->loaded(i->dev);
    }
    return NULL;
}
