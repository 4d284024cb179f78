/* state.c - see state.h. */
#include "base/state.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

/* ---- writing ---- */

void state_put(struct state_out *o, const void *data, size_t n)
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

void state_put_num(struct state_out *o, uint64_t v, unsigned width)
{
    uint8_t b[8];

    for (unsigned i = 0; i < width; i++)
        b[i] = (uint8_t)(v >> (8 * i));
    state_put(o, b, width);
}

void state_put_name(struct state_out *o, const char *s)
{
    size_t n = strlen(s);

    assert(n < 256);
    state_put_num(o, n, 1);
    state_put(o, s, n);
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

static unsigned count(const struct field *f)
{
    unsigned n = 0;

    while (f && f[n].name)
        n++;
    return n;
}

void state_put_fields(struct state_out *o, const char *name, const char *type, const struct field *f, const void *obj)
{
    unsigned n = count(f);

    state_put_name(o, name);
    state_put_name(o, type);
    state_put_num(o, n, 2);
    for (; n--; f++) {
        state_put_name(o, f->name);
        state_put_num(o, f->width, 2);
        state_put_num(o, f->count, 2);
        for (unsigned e = 0; e < f->count; e++)
            state_put_num(o, element((const uint8_t *)obj + f->offset + e * f->width, f->width), f->width);
    }
}

/* ---- reading ---- */

const uint8_t *state_get(struct state_in *s, size_t n)
{
    const uint8_t *p = s->p;

    if (s->bad || n > s->left) {
        s->bad = true;
        return NULL;
    }
    s->p += n;
    s->left -= n;
    return p;
}

uint64_t state_get_num(struct state_in *s, unsigned width)
{
    const uint8_t *p = state_get(s, width);
    uint64_t v = 0;

    for (unsigned i = 0; p && i < width; i++)
        v |= (uint64_t)p[i] << (8 * i);
    return v;
}

bool state_name_is(struct state_in *s, const char *want)
{
    size_t n = state_get_num(s, 1);
    const uint8_t *p = state_get(s, n);

    return p && n == strlen(want) && memcmp(p, want, n) == 0;
}

static const char *beyond(const char *name, const struct field *f, uint64_t val)
{
    static _Thread_local char text[192];

    snprintf(text, sizeof(text), "%.60s: %.40s is %" PRIu64 ", which is more than %" PRIu64, name, f->name, val, f->max);
    return text;
}

/* A name that may be of any bytes, so that it can be shown. */
static void show_name(struct state_in *s, char *buf, size_t len)
{
    size_t n = state_get_num(s, 1);
    const uint8_t *p = state_get(s, n);

    for (size_t i = 0; i + 1 < len; i++)
        buf[i] = !p || i >= n ? 0 : p[i] < 0x20 || p[i] > 0x7e ? '?' : (char)p[i];
    buf[len - 1] = 0;
}

const char *state_differs(struct state_in at, const char *name, const char *type)
{
    static _Thread_local char text[256];
    char there[48], kind[32];
    bool more = at.left;
    size_t n = 0;

    if (more) {
        show_name(&at, there, sizeof(there));
        show_name(&at, kind, sizeof(kind));
        if (at.bad)
            return "truncated";
        n = (size_t)snprintf(text, sizeof(text), "%s (%s) is there%s", there, kind,
                             name ? ", " : " and not here");
    }
    if (name)
        n += (size_t)snprintf(text + n, sizeof(text) - n, "%.47s (%.31s) is here", name, type);
    snprintf(text + n, sizeof(text) - n, "%s: start Latimer with the options it was made with",
             more ? "" : " and not there");
    return text;
}

const char *state_get_fields(struct state_in *s, const char *name, const char *type, const struct field *f, void *obj)
{
    const struct state_in start = *s;
    unsigned n = count(f);

    if (!state_name_is(s, name) || !state_name_is(s, type))
        return state_differs(start, name, type);
    if (state_get_num(s, 2) != n)
        return s->bad ? "truncated" : "a chip has other fields";
    for (; n--; f++) {
        struct state_in v = { NULL, (size_t)f->width * f->count, false };

        if (!state_name_is(s, f->name) || state_get_num(s, 2) != f->width || state_get_num(s, 2) != f->count)
            return s->bad ? "truncated" : "a chip has other fields";
        v.p = state_get(s, v.left);
        if (!v.p)
            return "truncated";
        for (unsigned e = 0; e < f->count; e++) {
            uint64_t val = state_get_num(&v, f->width);

            if (f->max && val > f->max)
                return beyond(name, f, val);
            if (obj)
                set_element((uint8_t *)obj + f->offset + e * f->width, f->width, val);
        }
    }
    return NULL;
}
