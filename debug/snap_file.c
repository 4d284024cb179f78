/*
 * snap_file.c - see snap_file.h: writing a stream.
 *
 * Compression takes nearly all the time, so extents are dealt with by as many threads as there are processors, a batch
 * at a time: threads take extents off a common counter, and the writer puts them into the stream in order.
 */
#include "debug/snap_int.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "base/log.h"

#define LEVEL (-1)              /* of zstd: 1 makes it a tenth smaller, and takes longer */
#define THREADS_MAX 8u
#define BATCH 1024u             /* extents that are in memory at once */

void *snap_must(void *p)
{
    if (!p)
        die(EXIT_CODE_HOST, "out of memory for a snapshot");
    return p;
}

/* ---- threads ---- */

struct job {
    void (*one)(void *arg, size_t n, struct snap_desk *);
    void *arg;
    size_t n;
    bool desks;
    _Atomic size_t next;
};

struct snap_desk *snap_desk_new(void)
{
    struct snap_desk *d = snap_must(malloc(sizeof(*d)));

    d->pack = snap_must(ZSTD_createCCtx());
    d->unpack = snap_must(ZSTD_createDCtx());
    ZSTD_CCtx_setParameter(d->pack, ZSTD_c_compressionLevel, LEVEL);
    ZSTD_CCtx_setParameter(d->pack, ZSTD_c_checksumFlag, 1);
    return d;
}

void snap_desk_free(struct snap_desk *d)
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
    struct snap_desk *d = j->desks ? snap_desk_new() : NULL;

    for (size_t i; (i = j->next++) < j->n; )
        j->one(j->arg, i, d);
    snap_desk_free(d);
    return NULL;
}

void snap_spread(size_t n, bool desks, void (*one)(void *, size_t, struct snap_desk *), void *arg)
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
static size_t compress_to(struct snap_desk *d, const void *data, size_t n, void *out, size_t room)
{
    size_t len = ZSTD_compress2(d->pack, out, room, data, n);

    if (ZSTD_isError(len))
        die(EXIT_CODE_HOST, "cannot compress a snapshot: %s", ZSTD_getErrorName(len));
    return len;
}

struct snap_writer *snap_begin(const struct snap_sink *sink)
{
    struct snap_writer *w = snap_must(calloc(1, sizeof(*w)));

    w->sink = *sink;
    put(w, SNAP_MAGIC, 8);
    put_num(w, SNAP_VERSION, 4);
    return w;
}

void snap_state(struct snap_writer *w, const char *name, const void *data, size_t len)
{
    size_t room = ZSTD_compressBound(len), n;
    void *out = snap_must(malloc(room));
    struct snap_desk *d = snap_desk_new();

    n = compress_to(d, data, len, out, room);
    snap_desk_free(d);
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

static void pack_one(void *arg, size_t n, struct snap_desk *d)
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
    e->data = snap_must(malloc(e->packed));
    memcpy(e->data, d->packed, e->packed);
    e->crc = (uint32_t)crc32_z(0, e->data, e->packed);
}

static void write_batch(struct snap_writer *w, struct batch *b)
{
    snap_spread(b->n, true, pack_one, b);
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
    struct batch *b = snap_must(malloc(sizeof(*b)));

    *b = (struct batch){ .from = from };
    put_head(w, KIND_EXTENTS, name);
    put_num(w, len, 8);
    /*
     * Cut at multiples of SNAP_EXTENT, whatever the pieces are that the image has it in: what is loaded lies in other ones,
     * and is to give the same bytes when it is saved again. Where that does not matter, only what counts goes.
     */
    for (uint64_t off = 0, n; off < len && !w->error; off += n) {
        enum snap_kind kind = SNAP_DATA;

        n = SNAP_EXTENT - off % SNAP_EXTENT;
        if (n > len - off)
            n = len - off;
        if (from->pieces)
            w->error = from->kind(from->arg, off, &n, &kind);
        else if (from->kind)
            w->error = whole_kind(from, off, n, &kind);
        if (kind == SNAP_ABSENT || w->error)
            continue;
        b->piece[b->n++] = (struct piece){ .off = off, .len = (uint32_t)n, .zero = kind == SNAP_ZERO };
        if (b->n == BATCH)
            write_batch(w, b);
    }
    write_batch(w, b);
    put_num(w, SNAP_LAST, 8);
    free(b);
}

int snap_error(const struct snap_writer *w)
{
    return w->error;
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
