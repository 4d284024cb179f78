/*
 * snap_stream.c - see snap_file.h: a stream that arrives piece by piece.
 *
 * What is not a whole item yet is kept. Memory goes where it belongs as it comes, so there is little left to do when the
 * end, which says whether all of it was right, has come; who takes it does not use it before.
 */
#include "debug/snap_int.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

struct snap_stream {
    struct snap_taker taker;
    struct snap_parser parser;
    struct snap_image *image;
    struct snap_desk *desk;
    uint8_t *buf;               /* what is not understood yet */
    size_t have, room;
    uint64_t taken;             /* bytes that were */
    uint32_t crc;
    char passing[256];          /* the section that is taken as it comes; "": it is kept */
    bool complete;
};

struct snap_stream *snap_stream_new(const struct snap_taker *taker)
{
    struct snap_stream *s = snap_must(calloc(1, sizeof(*s)));

    s->taker = *taker;
    s->image = snap_must(calloc(1, sizeof(*s->image)));
    s->desk = snap_desk_new();
    return s;
}

void snap_stream_free(struct snap_stream *s)
{
    if (!s)
        return;
    snap_close(s->image);
    snap_desk_free(s->desk);
    free(s->buf);
    free(s);
}

const struct snap_image *snap_stream_image(const struct snap_stream *s)
{
    return s->image;
}

static const char *begin_section(struct snap_stream *s, const struct snap_item *it)
{
    uint64_t len;
    int r = it->kind == ITEM_EXTENTS && s->taker.wants ? s->taker.wants(s->taker.arg, it->name, it->len) : 1;
    const char *why;

    s->passing[0] = 0;
    if (r < 0)
        return r == -ENOMEM ? "the host has no memory for it" : "it is of another machine: its memory or drives differ";
    if (r == 0) {
        memcpy(s->passing, it->name, sizeof(s->passing));
        return NULL;
    }
    if (it->kind == ITEM_EXTENTS ? snap_has_extents(s->image, it->name, &len) != 0 :
        snap_get_state(s->image, it->name, &(size_t){ 0 }) != NULL)
        return "damaged: a section comes twice";
    why = snap_add_section(s->image, it);
    s->image->section[s->image->n - 1].owns = true;
    return why;
}

static const char *take_extent(struct snap_stream *s, const struct snap_extent *e)
{
    struct snap_desk *d = s->desk;

    if (!s->passing[0]) {
        struct snap_extent kept = *e;

        if (e->off % SNAP_EXTENT)       /* of pieces as small as one likes there could be as many */
            return "damaged: an extent is where none can be";
        if (e->data) {
            kept.data = snap_must(malloc(e->packed));
            memcpy((void *)(uintptr_t)kept.data, e->data, e->packed);
        }
        snap_add_extent(&s->image->section[s->image->n - 1], &kept);
        return NULL;
    }
    if (e->data && !snap_unpack(d->unpack, e->data, e->packed, d->plain, e->len))
        return "damaged: an extent of memory cannot be decompressed";
    if (s->taker.put(s->taker.arg, s->passing, e->off, e->data ? d->plain : NULL, e->len) != 0)
        return "the host has no memory for it";
    return NULL;
}

/* Items that are all there; *in is what is left. */
static const char *take_items(struct snap_stream *s, struct state_in *in)
{
    for (;;) {
        const uint8_t *from = in->p;
        struct snap_item it;
        const char *why = snap_next(&s->parser, in, &it);
        size_t len = (size_t)(in->p - from);

        if (why || it.kind == ITEM_SHORT)
            return why;
        if (it.kind == ITEM_END)
            len -= SNAP_END_LEN;
        s->crc = (uint32_t)crc32_z(s->crc, from, len);
        s->taken += len;
        switch (it.kind) {
        case ITEM_STATE: case ITEM_EXTENTS:
            why = begin_section(s, &it);
            break;
        case ITEM_EXTENT:
            why = take_extent(s, &it.extent);
            break;
        case ITEM_END:
            s->complete = true;
            if (it.len != s->taken || it.crc != s->crc)
                return "damaged: its checksum is wrong";
            return in->left ? "damaged: something follows its end" : NULL;
        default:
            break;
        }
        if (why)
            return why;
    }
}

const char *snap_stream_feed(struct snap_stream *s, const uint8_t *data, size_t len, bool *complete)
{
    struct state_in in;
    const char *why;

    if (s->complete)
        return "damaged: something follows its end";
    if (s->have + len > s->room) {
        s->room = 2 * (s->have + len);
        s->buf = snap_must(realloc(s->buf, s->room));
    }
    memcpy(s->buf + s->have, data, len);
    s->have += len;
    in = (struct state_in){ s->buf, s->have, false };
    why = take_items(s, &in);
    if (in.p != s->buf)
        memmove(s->buf, in.p, in.left);
    s->have = in.left;
    *complete = s->complete;
    return why;
}
