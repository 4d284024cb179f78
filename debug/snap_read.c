/*
 * snap_read.c - see snap_file.h: reading a stream, which is in memory.
 */
#include "debug/snap_int.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define CHUNK (4u << 20)        /* bytes of a stream whose checksum a thread takes */

bool snap_unpack(ZSTD_DCtx *z, const uint8_t *in, size_t packed, void *out, size_t len)
{
    size_t n = ZSTD_decompressDCtx(z, out, len, in, packed);

    return !ZSTD_isError(n) && n == len;
}

/* ---- items ---- */

static const char *next_extent(struct snap_parser *p, struct state_in *s, struct snap_item *it)
{
    struct snap_extent *e = &it->extent;

    *e = (struct snap_extent){ .off = state_get_num(s, 8) };
    it->kind = ITEM_LAST;
    p->in_extents = e->off != SNAP_LAST;
    if (s->bad || !p->in_extents)
        return NULL;
    it->kind = ITEM_EXTENT;
    e->len = (uint32_t)state_get_num(s, 4);
    e->packed = (uint32_t)state_get_num(s, 4);
    if (!s->bad && (!e->len || e->len > SNAP_EXTENT || e->off < p->least || e->off > p->len ||
                    e->len > p->len - e->off || e->packed > ZSTD_COMPRESSBOUND(SNAP_EXTENT)))
        return "damaged: an extent is where none can be";
    if (e->packed)
        e->data = state_get(s, e->packed);
    if (!s->bad)
        p->least = e->off + e->len;
    return NULL;
}

static const char *next_section(struct snap_parser *p, struct state_in *s, struct snap_item *it)
{
    unsigned kind = (unsigned)state_get_num(s, 1);
    const uint8_t *name;
    size_t len;

    if (!s->bad && kind == KIND_END) {
        it->kind = ITEM_END;
        it->len = state_get_num(s, 8);
        it->crc = (uint32_t)state_get_num(s, 4);
        return NULL;
    }
    if (s->bad)
        return NULL;
    if (kind != KIND_STATE && kind != KIND_EXTENTS)
        return "damaged: a section of a kind that is not known";
    len = state_get_num(s, 1);
    name = state_get(s, len);
    memset(it->name, 0, sizeof(it->name));
    if (name)
        memcpy(it->name, name, len);
    it->kind = kind == KIND_STATE ? ITEM_STATE : ITEM_EXTENTS;
    it->len = state_get_num(s, kind == KIND_STATE ? 4 : 8);
    if (kind == KIND_STATE) {
        it->packed = state_get_num(s, 4);
        if (!s->bad && (it->len > SNAP_STATE_MAX || it->packed > ZSTD_COMPRESSBOUND(SNAP_STATE_MAX)))
            return "damaged: a section is too long";
        it->data = state_get(s, it->packed);
    } else if (!s->bad) {
        p->in_extents = true;
        p->len = it->len;
        p->least = 0;
    }
    return NULL;
}

static const char *next_begin(struct snap_parser *p, struct state_in *s, struct snap_item *it)
{
    const uint8_t *magic = state_get(s, 8);
    uint32_t version;

    if (magic && memcmp(magic, SNAP_MAGIC, 8) != 0)
        return "not a snapshot";
    version = (uint32_t)state_get_num(s, 4);
    it->kind = ITEM_BEGIN;
    p->begun = true;
    return s->bad || version == SNAP_VERSION ? NULL : "made by another version of Latimer, whose snapshots are different";
}

const char *snap_next(struct snap_parser *p, struct state_in *s, struct snap_item *it)
{
    const struct snap_parser was = *p;
    const struct state_in before = *s;
    const char *why = !p->begun ? next_begin(p, s, it) : p->in_extents ? next_extent(p, s, it) : next_section(p, s, it);

    if (!why && s->bad) {
        *p = was;
        *s = before;
        it->kind = ITEM_SHORT;
    }
    return why;
}

/* ---- in memory ---- */

const char *snap_add_section(struct snap_image *i, const struct snap_item *it)
{
    struct snap_section *c;
    ZSTD_DCtx *z;
    bool ok;

    i->section = snap_must(realloc(i->section, (i->n + 1) * sizeof(i->section[0])));
    c = &i->section[i->n++];
    memset(c, 0, sizeof(*c));
    memcpy(c->name, it->name, sizeof(c->name));
    c->len = it->len;
    c->state = it->kind == ITEM_STATE;
    if (!c->state)
        return NULL;
    if (it->len > SNAP_STATE_MAX - i->plain)
        return "damaged: a section is too long";
    i->plain += it->len;
    c->plain = snap_must(malloc(it->len + 1));
    z = snap_must(ZSTD_createDCtx());
    ok = snap_unpack(z, it->data, it->packed, c->plain, it->len);
    ZSTD_freeDCtx(z);
    return ok ? NULL : "damaged: a section cannot be decompressed";
}

void snap_add_extent(struct snap_section *c, const struct snap_extent *e)
{
    if (c->n == c->cap) {
        c->cap = c->cap ? 2 * c->cap : 256;
        c->extent = snap_must(realloc(c->extent, c->cap * sizeof(c->extent[0])));
    }
    c->extent[c->n++] = *e;
}

/* Up to the end, which *it is then. */
static const char *read_items(struct snap_image *i, struct state_in *s, struct snap_item *it)
{
    struct snap_parser p = { .begun = false };
    const char *why;

    while (!(why = snap_next(&p, s, it))) {
        switch (it->kind) {
        case ITEM_SHORT:
            return p.begun ? "truncated" : "not a snapshot";
        case ITEM_END:
            return NULL;
        case ITEM_STATE: case ITEM_EXTENTS:
            why = snap_add_section(i, it);
            if (why)
                return why;
            break;
        case ITEM_EXTENT:
            snap_add_extent(&i->section[i->n - 1], &it->extent);
            break;
        case ITEM_BEGIN: case ITEM_LAST:
            break;
        }
    }
    return why;
}

/* The one behind `last`; NULL: from the first on. */
static const struct snap_section *find_next(const struct snap_image *i, const struct snap_section *last, const char *name,
                                            bool state)
{
    for (unsigned n = last ? (unsigned)(last - i->section) + 1 : 0; n < i->n; n++)
        if (i->section[n].state == state && strcmp(i->section[n].name, name) == 0)
            return &i->section[n];
    return NULL;
}

static const struct snap_section *find(const struct snap_image *i, const char *name, bool state)
{
    return find_next(i, NULL, name, state);
}

struct each {
    const struct snap_section *c;
    int (*put)(void *, uint64_t, const uint8_t *, size_t);
    void *arg;
    _Atomic int error;
};

static void unpack_one(void *arg, size_t n, struct snap_desk *d)
{
    struct each *a = arg;
    const struct snap_extent *e = &a->c->extent[n];
    int error;

    if (a->error)
        return;
    error = e->data && !snap_unpack(d->unpack, e->data, e->packed, d->plain, e->len) ? -EBADMSG
        : a->put ? a->put(a->arg, e->off, e->data ? d->plain : NULL, e->len) : 0;
    if (error)
        a->error = error;
}

int snap_each(const struct snap_image *i, const char *name,
              int (*put)(void *arg, uint64_t off, const uint8_t *data, size_t len), void *arg)
{
    struct each a = { NULL, put, arg, 0 };

    while (!a.error && (a.c = find_next(i, a.c, name, false)))
        snap_spread(a.c->n, true, unpack_one, &a);
    return a.error;
}

bool snap_extent(const struct snap_image *i, const char *name, size_t n, uint64_t *off, uint32_t *len)
{
    const struct snap_section *c = find(i, name, false);

    if (!c || n >= c->n)
        return false;
    *off = c->extent[n].off;
    *len = c->extent[n].len;
    return true;
}

unsigned snap_has_extents(const struct snap_image *i, const char *name, uint64_t *len)
{
    unsigned n = 0;

    for (const struct snap_section *c = NULL; (c = find_next(i, c, name, false)); n++)
        *len = c->len;
    return n;
}

const uint8_t *snap_get_state(const struct snap_image *i, const char *name, size_t *len)
{
    const struct snap_section *c = find(i, name, true);

    if (!c)
        return NULL;
    *len = c->len;
    return c->plain;
}

struct sums {
    const uint8_t *buf;
    size_t len;
    uint32_t *crc;              /* of each chunk */
};

static size_t chunk_len(const struct sums *s, size_t n)
{
    return s->len - n * CHUNK < CHUNK ? s->len - n * CHUNK : CHUNK;
}

static void sum_one(void *arg, size_t n, struct snap_desk *d)
{
    struct sums *s = arg;

    (void)d;
    s->crc[n] = (uint32_t)crc32_z(0, s->buf + n * CHUNK, chunk_len(s, n));
}

static uint32_t checksum(const uint8_t *buf, size_t len)
{
    size_t n = (len + CHUNK - 1) / CHUNK;
    struct sums s = { buf, len, snap_must(calloc(n + 1, sizeof(uint32_t))) };
    uint32_t crc = 0;

    snap_spread(n, false, sum_one, &s);
    for (size_t k = 0; k < n; k++)
        crc = (uint32_t)crc32_combine(crc, s.crc[k], (long)chunk_len(&s, k));
    free(s.crc);
    return crc;
}

static const char *check(struct snap_image *i, size_t len)
{
    struct state_in s = { i->buf, len, false };
    struct snap_item it;
    const char *why = read_items(i, &s, &it);
    size_t before = len - s.left - SNAP_END_LEN;

    if (!why && (s.left || it.len != before || it.crc != checksum(i->buf, before)))
        why = "damaged: its checksum is wrong";
    return why;
}

struct snap_image *snap_open(uint8_t *buf, size_t len, const char **why)
{
    struct snap_image *i = snap_must(calloc(1, sizeof(*i)));

    i->buf = buf;
    *why = check(i, len);
    if (!*why)
        return i;
    snap_close(i);
    return NULL;
}

void snap_close(struct snap_image *i)
{
    if (!i)
        return;
    for (unsigned n = 0; n < i->n; n++) {
        struct snap_section *c = &i->section[n];

        for (size_t k = 0; c->owns && k < c->n; k++)
            free((void *)(uintptr_t)c->extent[k].data);
        free(c->plain);
        free(c->extent);
    }
    free(i->section);
    free(i->buf);
    free(i);
}
