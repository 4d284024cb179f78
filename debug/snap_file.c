/*
 * snap_file.c - see snap_file.h.
 *
 * Compression takes nearly all the time, so extents are dealt with by as many threads as there are processors, a batch
 * at a time: threads take extents off a common counter, and the writer puts them into the stream in order.
 */
#include "debug/snap_file.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include "base/log.h"
#include "base/state.h"

#define MAGIC "LATSNAP\n"
#define LEVEL (-1)              /* of zstd: 1 makes it a tenth smaller, and takes longer */
#define THREADS_MAX 8u
#define BATCH 1024u             /* extents that are in memory at once */
#define STATE_MAX (64u << 20)   /* of all state sections: more is not ours */
#define CHUNK (4u << 20)        /* bytes of a stream whose checksum a thread takes */
#define LAST UINT64_MAX

enum { KIND_END, KIND_STATE, KIND_EXTENTS };

static void *must(void *p)
{
    if (!p)
        die(EXIT_CODE_HOST, "out of memory for a snapshot");
    return p;
}

/* ---- threads ---- */

/* What a thread has for itself. Contexts are kept from one extent to the next: their tables are large. */
struct desk {
    ZSTD_CCtx *pack;
    ZSTD_DCtx *unpack;
    uint8_t plain[SNAP_EXTENT], packed[ZSTD_COMPRESSBOUND(SNAP_EXTENT)];
};

struct job {
    void (*one)(void *arg, size_t n, struct desk *);
    void *arg;
    size_t n;
    bool desks;
    _Atomic size_t next;
};

static struct desk *desk_new(void)
{
    struct desk *d = must(malloc(sizeof(*d)));

    d->pack = must(ZSTD_createCCtx());
    d->unpack = must(ZSTD_createDCtx());
    ZSTD_CCtx_setParameter(d->pack, ZSTD_c_compressionLevel, LEVEL);
    ZSTD_CCtx_setParameter(d->pack, ZSTD_c_checksumFlag, 1);
    return d;
}

static void desk_free(struct desk *d)
{
    if (!d)
        return;
    ZSTD_freeCCtx(d->pack);
    ZSTD_freeDCtx(d->unpack);
    free(d);
}

static void *work(void *arg)
{
    struct job *j = arg;
    struct desk *d = j->desks ? desk_new() : NULL;

    for (size_t i; (i = j->next++) < j->n; )
        j->one(j->arg, i, d);
    desk_free(d);
    return NULL;
}

/* one(arg, 0 .. n-1), in any order; desks: each thread has one. */
static void spread(size_t n, bool desks, void (*one)(void *, size_t, struct desk *), void *arg)
{
    struct job j = { .one = one, .arg = arg, .n = n, .desks = desks };
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    pthread_t thread[THREADS_MAX];
    unsigned made = 0;

    for (; made + 1 < THREADS_MAX && (long)made + 1 < cpus && made + 1 < n; made++)
        if (pthread_create(&thread[made], NULL, work, &j))
            break;              /* fewer do as well */
    work(&j);
    while (made)
        pthread_join(thread[--made], NULL);
}

/* ---- writing ---- */

struct snap_writer {
    struct snap_sink sink;
    uint64_t written;
    uint32_t crc;
    int error;
};

/* crc: of the data alone */
static void put_known(struct snap_writer *w, const void *data, size_t len, uint32_t crc)
{
    if (w->error || !len)
        return;
    w->crc = (uint32_t)crc32_combine(w->crc, crc, (long)len);
    w->written += len;
    w->error = w->sink.write(w->sink.arg, data, len);
}

static void put(struct snap_writer *w, const void *data, size_t len)
{
    put_known(w, data, len, (uint32_t)crc32_z(0, data, len));
}

static void put_num(struct snap_writer *w, uint64_t v, unsigned width)
{
    struct state_out o = { 0 };

    state_put_num(&o, v, width);
    put(w, o.buf, o.len);
    free(o.buf);
}

static void put_head(struct snap_writer *w, unsigned kind, const char *name)
{
    struct state_out o = { 0 };

    state_put_num(&o, kind, 1);
    if (name)
        state_put_name(&o, name);
    put(w, o.buf, o.len);
    free(o.buf);
}

/* A frame with a checksum; returns its length. */
static size_t compress_to(struct desk *d, const void *data, size_t n, void *out, size_t room)
{
    size_t len = ZSTD_compress2(d->pack, out, room, data, n);

    if (ZSTD_isError(len))
        die(EXIT_CODE_HOST, "cannot compress a snapshot: %s", ZSTD_getErrorName(len));
    return len;
}

struct snap_writer *snap_begin(const struct snap_sink *sink)
{
    struct snap_writer *w = must(calloc(1, sizeof(*w)));

    w->sink = *sink;
    put(w, MAGIC, 8);
    put_num(w, SNAP_VERSION, 4);
    return w;
}

void snap_state(struct snap_writer *w, const char *name, const void *data, size_t len)
{
    size_t room = ZSTD_compressBound(len), n;
    void *out = must(malloc(room));
    struct desk *d = desk_new();

    n = compress_to(d, data, len, out, room);
    desk_free(d);
    put_head(w, KIND_STATE, name);
    put_num(w, len, 4);
    put_num(w, n, 4);
    put(w, out, n);
    free(out);
}

struct piece {
    uint64_t off;
    uint32_t len, packed, crc;
    bool zero;
    void *data;
};

struct batch {
    const struct snap_source *from;
    struct piece piece[BATCH];
    size_t n;
    _Atomic int error;
};

static bool all_zero(const uint8_t *p, size_t n)
{
    return !n || (p[0] == 0 && memcmp(p, p + 1, n - 1) == 0);
}

static void pack_one(void *arg, size_t n, struct desk *d)
{
    struct batch *b = arg;
    struct piece *e = &b->piece[n];
    const uint8_t *in;

    if (e->zero)
        return;
    in = b->from->read(b->from->arg, e->off, d->plain, e->len);
    if (!in) {
        b->error = -errno;
        return;
    }
    e->zero = all_zero(in, e->len);
    if (e->zero)
        return;
    e->packed = (uint32_t)compress_to(d, in, e->len, d->packed, sizeof(d->packed));
    e->data = must(malloc(e->packed));
    memcpy(e->data, d->packed, e->packed);
    e->crc = (uint32_t)crc32_z(0, e->data, e->packed);
}

static void write_batch(struct snap_writer *w, struct batch *b)
{
    spread(b->n, true, pack_one, b);
    if (!w->error)
        w->error = b->error;
    for (size_t i = 0; i < b->n; i++) {
        const struct piece *e = &b->piece[i];

        if (!e->zero || !b->from->zero_is_absent) {
            put_num(w, e->off, 8);
            put_num(w, e->len, 4);
            put_num(w, e->packed, 4);
            put_known(w, e->data, e->packed, e->crc);
        }
        free(e->data);
    }
    b->n = 0;
}

/* Absent if all of it is, zero if all of it is known to be. */
static int whole_kind(const struct snap_source *from, uint64_t off, uint64_t len, enum snap_kind *kind)
{
    bool absent = true, zero = true;

    while (len) {
        uint64_t n = len;
        enum snap_kind k;
        int error = from->kind(from->arg, off, &n, &k);

        if (error)
            return error;
        if (k == SNAP_DATA) {
            *kind = k;
            return 0;
        }
        absent &= k == SNAP_ABSENT;
        zero &= k == SNAP_ZERO;
        off += n;
        len -= n;
    }
    *kind = absent ? SNAP_ABSENT : zero ? SNAP_ZERO : SNAP_DATA;
    return 0;
}

void snap_extents(struct snap_writer *w, const char *name, uint64_t len, const struct snap_source *from)
{
    struct batch *b = must(malloc(sizeof(*b)));

    *b = (struct batch){ .from = from };
    put_head(w, KIND_EXTENTS, name);
    put_num(w, len, 8);
    /*
     * Cut at multiples of SNAP_EXTENT, whatever the pieces are that the image has it in: what is loaded lies in other ones,
     * and is to give the same bytes when it is saved again.
     */
    for (uint64_t off = 0, n; off < len && !w->error; off += n) {
        enum snap_kind kind = SNAP_DATA;

        n = len - off < SNAP_EXTENT ? len - off : SNAP_EXTENT;
        if (from->kind)
            w->error = whole_kind(from, off, n, &kind);
        if (kind == SNAP_ABSENT || w->error)
            continue;
        b->piece[b->n++] = (struct piece){ .off = off, .len = (uint32_t)n, .zero = kind == SNAP_ZERO };
        if (b->n == BATCH)
            write_batch(w, b);
    }
    write_batch(w, b);
    put_num(w, LAST, 8);
    free(b);
}

int snap_end(struct snap_writer *w, uint64_t *written)
{
    int error;

    put_head(w, KIND_END, NULL);
    {
        uint64_t before = w->written;
        uint32_t crc = w->crc;

        put_num(w, before, 8);
        put_num(w, crc, 4);
    }
    error = w->error;
    if (written)
        *written = w->written;
    free(w);
    return error;
}

/* ---- reading ---- */

struct extent {
    uint64_t off;
    uint32_t len, packed;
    const uint8_t *data;        /* NULL: zeros */
};

struct section {
    char name[256];
    bool state;
    uint64_t len;
    uint8_t *plain;             /* state */
    struct extent *extent;
    size_t n, cap;
};

struct snap_image {
    uint8_t *buf;
    size_t plain;               /* bytes of state, decompressed */
    struct section *section;
    unsigned n;
};

static bool unpack(ZSTD_DCtx *z, const uint8_t *in, size_t packed, void *out, size_t len)
{
    size_t n = ZSTD_decompressDCtx(z, out, len, in, packed);

    return !ZSTD_isError(n) && n == len;
}

static const char *read_state(struct snap_image *i, struct state_in *s, struct section *c)
{
    size_t len = state_get_num(s, 4), packed = state_get_num(s, 4);
    const uint8_t *p = state_get(s, packed);
    ZSTD_DCtx *z;
    bool ok;

    if (!p || len > STATE_MAX - i->plain)
        return "damaged: a section is too long";
    i->plain += len;
    c->state = true;
    c->len = len;
    c->plain = must(malloc(len + 1));
    z = must(ZSTD_createDCtx());
    ok = unpack(z, p, packed, c->plain, len);
    ZSTD_freeDCtx(z);
    return ok ? NULL : "damaged: a section cannot be decompressed";
}

static const char *read_extents(struct state_in *s, struct section *c)
{
    uint64_t least = 0;

    c->len = state_get_num(s, 8);
    for (;;) {
        struct extent e = { .off = state_get_num(s, 8) };

        if (s->bad)
            return "truncated";
        if (e.off == LAST)
            return NULL;
        e.len = (uint32_t)state_get_num(s, 4);
        e.packed = (uint32_t)state_get_num(s, 4);
        if (e.packed)
            e.data = state_get(s, e.packed);
        if (s->bad || !e.len || e.len > SNAP_EXTENT || e.off < least || e.off > c->len || e.len > c->len - e.off)
            return "damaged: an extent is where none can be";
        least = e.off + e.len;
        if (c->n == c->cap) {
            c->cap = c->cap ? 2 * c->cap : 256;
            c->extent = must(realloc(c->extent, c->cap * sizeof(c->extent[0])));
        }
        c->extent[c->n++] = e;
    }
}

static const char *read_sections(struct snap_image *i, struct state_in *s)
{
    for (;;) {
        unsigned kind = (unsigned)state_get_num(s, 1);
        struct section *c;
        const char *why;
        const uint8_t *name;
        size_t len;

        if (s->bad)
            return "truncated";
        if (kind == KIND_END)
            return NULL;
        i->section = must(realloc(i->section, (i->n + 1) * sizeof(i->section[0])));
        c = &i->section[i->n++];
        memset(c, 0, sizeof(*c));
        len = state_get_num(s, 1);
        name = state_get(s, len);
        if (!name)
            return "truncated";
        memcpy(c->name, name, len);
        why = kind == KIND_STATE ? read_state(i, s, c) : kind == KIND_EXTENTS ? read_extents(s, c)
            : "damaged: a section of a kind that is not known";
        if (why)
            return why;
    }
}

static const struct section *find(const struct snap_image *i, const char *name, bool state)
{
    for (unsigned n = 0; n < i->n; n++)
        if (i->section[n].state == state && strcmp(i->section[n].name, name) == 0)
            return &i->section[n];
    return NULL;
}

struct each {
    const struct section *c;
    int (*put)(void *, uint64_t, const uint8_t *, size_t);
    void *arg;
    _Atomic int error;
};

static void unpack_one(void *arg, size_t n, struct desk *d)
{
    struct each *a = arg;
    const struct extent *e = &a->c->extent[n];
    int error;

    if (a->error)
        return;
    error = e->data && !unpack(d->unpack, e->data, e->packed, d->plain, e->len) ? -EBADMSG
        : a->put ? a->put(a->arg, e->off, e->data ? d->plain : NULL, e->len) : 0;
    if (error)
        a->error = error;
}

int snap_each(const struct snap_image *i, const char *name,
              int (*put)(void *arg, uint64_t off, const uint8_t *data, size_t len), void *arg)
{
    struct each a = { find(i, name, false), put, arg, 0 };

    if (a.c)
        spread(a.c->n, true, unpack_one, &a);
    return a.error;
}

bool snap_extent(const struct snap_image *i, const char *name, size_t n, uint64_t *off, uint32_t *len)
{
    const struct section *c = find(i, name, false);

    if (!c || n >= c->n)
        return false;
    *off = c->extent[n].off;
    *len = c->extent[n].len;
    return true;
}

bool snap_has_extents(const struct snap_image *i, const char *name, uint64_t *len)
{
    const struct section *c = find(i, name, false);

    if (c)
        *len = c->len;
    return c;
}

const uint8_t *snap_get_state(const struct snap_image *i, const char *name, size_t *len)
{
    const struct section *c = find(i, name, true);

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

static void sum_one(void *arg, size_t n, struct desk *d)
{
    struct sums *s = arg;

    (void)d;
    s->crc[n] = (uint32_t)crc32_z(0, s->buf + n * CHUNK, chunk_len(s, n));
}

static uint32_t checksum(const uint8_t *buf, size_t len)
{
    size_t n = (len + CHUNK - 1) / CHUNK;
    struct sums s = { buf, len, must(calloc(n + 1, sizeof(uint32_t))) };
    uint32_t crc = 0;

    spread(n, false, sum_one, &s);
    for (size_t k = 0; k < n; k++)
        crc = (uint32_t)crc32_combine(crc, s.crc[k], (long)chunk_len(&s, k));
    free(s.crc);
    return crc;
}

static const char *check(struct snap_image *i, size_t len)
{
    struct state_in s = { i->buf, len, false };
    const uint8_t *magic = state_get(&s, 8);
    const char *why;
    size_t before;
    uint64_t told;
    uint32_t version, crc;

    if (!magic || memcmp(magic, MAGIC, 8) != 0)
        return "not a snapshot";
    version = (uint32_t)state_get_num(&s, 4);
    if (s.bad)
        return "truncated";
    if (version != SNAP_VERSION)
        return "made by another version of Latimer, whose snapshots are different";
    why = read_sections(i, &s);
    if (why)
        return why;
    before = len - s.left;
    told = state_get_num(&s, 8);
    crc = (uint32_t)state_get_num(&s, 4);
    if (s.bad)
        return "truncated";
    if (s.left || told != before || crc != checksum(i->buf, before))
        return "damaged: its checksum is wrong";
    return NULL;
}

struct snap_image *snap_open(uint8_t *buf, size_t len, const char **why)
{
    struct snap_image *i = must(calloc(1, sizeof(*i)));

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
        free(i->section[n].plain);
        free(i->section[n].extent);
    }
    free(i->section);
    free(i->buf);
    free(i);
}
