/* image_convert.c - latimer image convert: copies what is not zero. */
#include "main/image.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"

#define CHUNK ((size_t)2 << 20)
#define SPARSE ((size_t)4096)   /* zeros of this size and alignment are left out */

struct copy {
    const struct image_args *a;
    struct block *from, *to;
    bool made;                  /* the new file did not exist before */
    uint8_t *buf;
};

static void __attribute__((noreturn)) fail(struct copy *k, int r, const char *name)
{
    struct block *b = strcmp(name, k->a->file) == 0 ? k->from : k->to;
    struct block_error e;

    if (b && block_problem(b))
        block_fail(&e, -r, "%s: damaged: %s", name, block_problem(b));
    else
        block_fail(&e, -r, "%s: %s", name, strerror(-r));
    if (k->made)
        unlink(k->a->other);
    image_fail(r, &e);
}

/* How long it goes on from off, with data or with zeros, through the backing files. */
static int extent(struct block *b, uint64_t off, uint64_t *len, bool *zero)
{
    enum block_kind kind;
    int r = block_extent(b, off, len, &kind);

    *zero = kind != BLOCK_DATA;
    if (r || kind != BLOCK_ABSENT || !b->backing || off >= b->backing->size)
        return r;
    if (*len > b->backing->size - off)
        *len = b->backing->size - off;
    return extent(b->backing, off, len, zero);
}

static bool all_zero(const uint8_t *p, size_t n)
{
    return !n || (!p[0] && memcmp(p, p + 1, n - 1) == 0);
}

/* Writes what is not zero in the first n bytes of the buffer. */
static void copy_chunk(struct copy *k, uint64_t off, size_t n)
{
    for (size_t at = 0, end; at < n; at = end) {
        size_t unit = n - at < SPARSE ? n - at : SPARSE;
        bool zero = all_zero(k->buf + at, unit);
        int r;

        for (end = at + unit; end < n; end += unit) {
            unit = n - end < SPARSE ? n - end : SPARSE;
            if (all_zero(k->buf + end, unit) != zero)
                break;
        }
        r = zero ? 0 : block_write(k->to, off + at, k->buf + at, end - at);
        if (!r && zero && k->to->file.device)
            r = block_zero(k->to, off + at, end - at, true);
        if (r)
            fail(k, r, k->a->other);
    }
}

static void copy_range(struct copy *k, uint64_t off, uint64_t len, size_t cluster)
{
    size_t step = cluster ? cluster : CHUNK;

    for (uint64_t end = off + len; off < end; off += step) {
        size_t n;
        int r;

        /* Chunks that are aligned keep what is sparse so. */
        step = (cluster ? cluster : CHUNK) - (size_t)(off % (cluster ? cluster : CHUNK));
        n = end - off < step ? (size_t)(end - off) : step;
        r = block_read(k->from, off, k->buf, n);
        if (r)
            fail(k, r, k->a->file);
        if (!cluster) {
            copy_chunk(k, off, n);
        } else if (!all_zero(k->buf, n)) {
            /* The new disk's size is rounded up. */
            if (off + n == k->from->size && n < step) {
                size_t whole = k->to->size - off < step ? (size_t)(k->to->size - off) : step;

                memset(k->buf + n, 0, whole - n);
                n = whole;
            }
            r = block_write_compressed(k->to, off, k->buf, n);
            if (r)
                fail(k, r, k->a->other);
        }
    }
}

static void progress(const struct copy *k, uint64_t off)
{
    if (k->a->p)
        fprintf(stderr, "\r%6.2f%%%s", k->from->size ? 100.0 * (double)off / (double)k->from->size : 100.0,
                off == k->from->size ? "\n" : "");
}

static void copy_all(struct copy *k)
{
    struct block_info info;
    uint64_t size = k->from->size < k->to->size ? k->from->size : k->to->size;
    size_t cluster;

    block_info(k->to, &info);
    cluster = k->a->c ? info.cluster_size : 0;
    for (uint64_t off = 0, len; off < size; off += len) {
        bool zero;
        int r;

        progress(k, off);
        len = size - off;
        r = extent(k->from, off, &len, &zero);
        if (r)
            fail(k, r, k->a->file);
        if (!zero && len > 64 * CHUNK)
            len = 64 * CHUNK;   /* for the progress */
        /* Compressed clusters are whole: up to the end of the last that has data. */
        if (cluster && !zero) {
            len += cluster - 1 - (off + len - 1) % cluster;
            len = len < size - off ? len : size - off;
        } else if (cluster && off + len < size) {
            len -= (off + len) % cluster;
            if (!len) {
                zero = false;
                len = cluster < size - off ? cluster : size - off;
            }
        }
        if (!zero) {
            copy_range(k, off, len, cluster);
        } else if (k->to->file.device) {
            r = block_zero(k->to, off, len, true);
            if (r)
                fail(k, r, k->a->other);
        }
    }
    progress(k, size);
}

static void make(struct copy *k)
{
    struct block_create c = k->a->create;
    struct block_open o = { .writable = true, .cache = BLOCK_UNSAFE };
    struct block_error e;
    struct stat st;
    int r;

    c.format = o.format = k->a->O ? k->a->O : "raw";
    c.size = (k->from->size + 511) & ~(uint64_t)511;
    if (k->a->t && !block_cache_mode(k->a->t, &o.cache))
        die(EXIT_CODE_USAGE, "image convert: -t %s: use writeback, none, writethrough, directsync or unsafe",
            k->a->t);
    if (k->a->c && strcmp(c.format, "qcow2") != 0)
        die(EXIT_CODE_USAGE, "image convert: -c: %s images cannot be compressed: use -O qcow2", c.format);
    k->made = stat(k->a->other, &st) < 0;
    for (const struct block *b = k->from; b && !k->made; b = b->backing)
        if (b->file.dev == st.st_dev && b->file.ino == st.st_ino)
            die(EXIT_CODE_FILE, "%s: the new image would replace %s, from which it is copied", k->a->other,
                b->name);
    r = block_create(k->a->other, &c, &e);
    if (r)
        image_fail(r, &e);
    k->to = block_open(k->a->other, &o, &e, &r);
    if (!k->to) {
        if (k->made)
            unlink(k->a->other);
        image_fail(r, &e);
    }
}

int image_convert(const struct image_args *a)
{
    struct copy k = { .a = a };
    int r;

    if (!a->other)
        die(EXIT_CODE_USAGE, "image convert: NEW is missing: latimer image convert [OPTION]... FILE NEW");
    if (a->b || a->F)
        die(EXIT_CODE_USAGE, "image convert: -o backing_%s: the new image has all that the old one's backing files hold: leave it "
            "out (latimer image create -b makes one on a backing file)", a->b ? "file" : "fmt");
    if (a->size)
        die(EXIT_CODE_USAGE, "image convert: -o size: the new image is as large as the old one: leave it out (latimer image "
            "resize changes it)");
    k.from = image_open(a, a->file, (struct block_open){ .snapshot = a->l, .no_lock = a->U });
    k.buf = hostfile_buffer(CHUNK);
    if (!k.buf)
        die(EXIT_CODE_HOST, "out of memory");
    make(&k);
    copy_all(&k);
    k.to->file.unsafe = false;
    r = block_flush(k.to);
    if (r)
        fail(&k, r, a->other);
    block_close(k.to);
    block_close(k.from);
    free(k.buf);
    return 0;
}
