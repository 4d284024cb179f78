/* block.c - opening images and chains of them; what all formats share. */
#include "block/block.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "block/probe.h"
#include "block/qcow2.h"

#define CHAIN_MAX 256
#define COPY_CHUNK ((uint64_t)1 << 20)

static const struct block_ops *const formats[] = { &raw_ops, &qcow2_ops };

static const struct block_ops *find_format(const char *name)
{
    for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
        if (strcmp(formats[i]->format, name) == 0)
            return formats[i];
    return NULL;
}

bool block_cache_mode(const char *name, enum block_cache *mode)
{
    static const char *const names[] = { "writeback", "none", "writethrough", "directsync", "unsafe" };

    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(name, names[i]) == 0) {
            *mode = (enum block_cache)i;
            return true;
        }
    }
    return false;
}

/* ---- opening ---- */

/* The images above the one that is being opened. */
struct above {
    const struct hostfile *file;
    const struct above *next;
    unsigned depth;
};

static struct block *open_image(const char *path, const struct block_open *, const struct above *,
                                struct block_error *, int *error);

char *block_backing_path(const char *path, const char *backing, struct block_error *e)
{
    const char *slash = strrchr(path, '/'), *p = backing;
    size_t dir = slash ? (size_t)(slash - path) + 1 : 0;
    char *out;

    if (strncmp(backing, "file:", 5) == 0) {
        backing += 5;
    } else {
        while (isalnum((unsigned char)*p) || (*p && strchr("+-._", *p)))
            p++;
        if (*p == ':' && p > backing) {
            block_fail(e, ENOTSUP, "%s: its backing file '%s' is no file: only files and block devices are "
                       "supported",
                       path, backing);
            return NULL;
        }
    }
    if (*backing == '/')
        dir = 0;
    out = malloc(dir + strlen(backing) + 1);
    if (!out) {
        block_fail(e, ENOMEM, "out of memory");
        return NULL;
    }
    memcpy(out, path, dir);
    strcpy(out + dir, backing);
    return out;
}

/* Is the file one of those that it would be below? Asked before it is opened: its lock is theirs. */
static bool is_above(const struct above *a, const char *path)
{
    struct stat st;

    if (stat(path, &st) || !S_ISREG(st.st_mode))
        return false;
    while (a && (a->file->dev != st.st_dev || a->file->ino != st.st_ino))
        a = a->next;
    return a != NULL;
}

static int open_backing(struct block *b, const struct block_open *o, const struct above *above,
                        struct block_error *e)
{
    struct block_open bo = { .format = b->backing_format, .cache = o->cache, .no_lock = o->no_lock, .fds = o->fds };
    struct above here = { &b->file, above, above ? above->depth + 1 : 1 };
    char *path = block_backing_path(b->name, b->backing_name, e);
    struct block_error why;
    int r = 0;

    if (!path)
        return -ENOTSUP;
    if (here.depth > CHAIN_MAX)
        r = block_fail(e, ELOOP, "%s: more than %u backing files below each other", b->name, CHAIN_MAX);
    else if (is_above(&here, path))
        r = block_fail(e, ELOOP, "%s: its backing file %s lies above it: no image can be its own backing file",
                       b->name, path);
    else if (!(b->backing = open_image(path, &bo, &here, &why, &r)))
        block_fail(e, -r, "%.300s: cannot open its backing file: %.600s", b->name, why.text);
    /*
     * Without a recorded format, the backing file's first bytes decide, and these a guest may have written
     * when the file was its raw disk.  A forged header is harmless as long as it leads to no other file.
     */
    else if (!bo.format && b->backing->backing_name)
        r = block_fail(e, EINVAL, "%.300s: it does not say which format its backing file %.200s has; that "
                       "looks like a qcow2 image, but has a backing file itself, and might be a raw image "
                       "that a guest made look so: say which it is (qemu-img rebase -u -b FILE -F "
                       "FORMAT)", b->name, path);
    free(path);
    return r;
}

static int choose_format(struct block *b, const struct block_open *o, struct block_error *e)
{
    uint8_t first[PROBE_BYTES] = { 0 };
    const char *format = o->format, *refused = NULL;
    int r;

    if (!format) {
        r = hostfile_read(&b->file, 0, first, sizeof(first));
        if (r)
            return block_fail(e, -r, "%s: cannot read it: %s", b->name, strerror(-r));
        format = probe_format(first, sizeof(first), &refused);
        if (refused)
            return block_fail(e, ENOTSUP, "%s: looks like a %s image: %s", b->name, format, refused);
        b->probed = true;
    }
    b->ops = find_format(format);
    if (!b->ops)
        return block_fail(e, ENOTSUP, "%s: unknown format '%s': use raw or qcow2", b->name, format);
    return 0;
}

static int open_format(struct block *b, const struct block_open *o, const struct above *above,
                       struct block_error *e)
{
    int r;

    r = choose_format(b, o, e);
    if (!r && o->snapshot && !b->ops->info)
        r = block_fail(e, ENOTSUP, "%s: %s images have no snapshots", b->name, b->ops->format);
    if (!r)
        r = b->ops->open(b, o, e);
    if (!r && b->backing_name && !o->no_backing && !o->repair)
        r = open_backing(b, o, above, e);
    return r;
}

static int free_image(struct block *b)
{
    int r = b->state ? b->ops->close(b) : 0;

    block_close(b->backing);
    hostfile_close(&b->file);
    free(b->name);
    free(b->backing_name);
    free(b->backing_format);
    free(b);
    return r;
}

static struct block *new_image(const char *path, const struct block_open *o)
{
    struct block *b = calloc(1, sizeof(*b));

    if (!b || !(b->name = strdup(path))) {
        free(b);
        return NULL;
    }
    b->writable = o->writable;
    b->discard = !o->no_discard;
    b->detect_zeroes = o->detect_zeroes;
    b->copy_on_read = o->copy_on_read;
    b->write_through = o->cache == BLOCK_WRITETHROUGH || o->cache == BLOCK_DIRECTSYNC;
    return b;
}

static struct block *open_image(const char *path, const struct block_open *o, const struct above *above,
                                struct block_error *e, int *error)
{
    struct block *b = new_image(path, o);
    unsigned flags = (o->writable ? HOSTFILE_WRITE : 0) | (o->no_lock ? HOSTFILE_NO_LOCK : 0) |
        (o->cache == BLOCK_NONE || o->cache == BLOCK_DIRECTSYNC ? HOSTFILE_DIRECT : 0) |
        (o->cache == BLOCK_UNSAFE ? HOSTFILE_UNSAFE : 0);
    int r;

    if (!b) {
        *error = block_fail(e, ENOMEM, "%s: out of memory", path);
        return NULL;
    }
    r = hostfile_open(&b->file, o->fds, path, flags, e);
    if (r) {
        free(b->name);
        free(b);
        *error = r;
        return NULL;
    }
    r = open_format(b, o, above, e);
    if (r) {
        b->writable = false;    /* whatever is half open has nothing to write */
        free_image(b);
        *error = r;
        return NULL;
    }
    return b;
}

struct block *block_open(const char *path, const struct block_open *o, struct block_error *e, int *error)
{
    int ignored;

    return open_image(path, o, NULL, e, error ? error : &ignored);
}

struct block *block_overlay(struct block *base, struct block_error *e)
{
    struct block_open o = { .writable = true, .detect_zeroes = base->detect_zeroes, .copy_on_read = base->copy_on_read };
    struct block_create c;
    struct block *b = new_image(base->name, &o);

    if (!b) {
        block_fail(e, ENOMEM, "out of memory");
        return NULL;
    }
    if (hostfile_temporary(&b->file, e)) {
        free(b->name);
        free(b);
        return NULL;
    }
    block_create_defaults(&c);
    b->ops = &qcow2_ops;
    if (qcow2_create(&b->file, &c, e) || b->ops->open(b, &o, e) ||
        block_resize(b, base->size, BLOCK_PREALLOC_OFF, e)) {
        free_image(b);
        return NULL;
    }
    b->backing = base;
    b->temporary = true;
    return b;
}

int block_close(struct block *b)
{
    int r, closed;

    if (!b)
        return 0;
    r = b->writable ? block_flush(b) : 0;
    closed = free_image(b);
    return r ? r : closed;
}

/* ---- using ---- */

static bool outside(const struct block *b, uint64_t off, uint64_t len)
{
    return off > b->size || len > b->size - off;
}

static int written(struct block *b, int r)
{
    return !r && b->write_through ? block_flush(b) : r;
}

static int may_write(struct block *b, uint64_t off, uint64_t len)
{
    return !b->writable ? -EROFS : outside(b, off, len) ? -EINVAL : 0;
}

static bool is_zero(const uint8_t *p, size_t len)
{
    return !len || (!*p && !memcmp(p, p + 1, len - 1));
}

bool block_read_writes(const struct block *b)
{
    return b->copy_on_read && b->backing && b->writable;
}

/* A part that is not in the image yet; the format copies what else its cluster has. */
static int copy_part(struct block *b, uint64_t off, void *buf, size_t len)
{
    int r = b->ops->read(b, off, buf, len);

    return r ? r : is_zero(buf, len) ? b->ops->zero(b, off, len, false) : b->ops->write(b, off, buf, len);
}

/* The buffer is of our own: a guest may change the one that it reads to. What cannot be copied is read all the same. */
static void copy_up(struct block *b, uint64_t off, uint64_t len)
{
    uint8_t *buf = NULL;
    enum block_kind kind;
    uint64_t n;

    for (; len; off += n, len -= n) {
        n = len;
        if (b->ops->extent(b, off, &n, &kind))
            break;
        if (kind != BLOCK_ABSENT)
            continue;
        n = n < COPY_CHUNK ? n : COPY_CHUNK;
        if ((!buf && !(buf = hostfile_buffer(COPY_CHUNK))) || copy_part(b, off, buf, (size_t)n))
            break;
    }
    free(buf);
}

int block_read(struct block *b, uint64_t off, void *buf, size_t len)
{
    if (outside(b, off, len))
        return -EINVAL;
    if (block_read_writes(b))
        copy_up(b, off, len);
    return len ? b->ops->read(b, off, buf, len) : 0;
}

int block_write(struct block *b, uint64_t off, const void *buf, size_t len)
{
    int r = may_write(b, off, len);

    if (!r && b->detect_zeroes && is_zero(buf, len))
        return block_zero(b, off, len, b->detect_zeroes == BLOCK_DETECT_UNMAP);
    return r || !len ? r : written(b, b->ops->write(b, off, buf, len));
}

int block_readv(struct block *b, uint64_t off, const struct iovec *v, unsigned n, size_t len)
{
    return !b->ops->readv || block_read_writes(b) || outside(b, off, len) || !len ? 1 : b->ops->readv(b, off, v, n, len);
}

static bool pieces_are_zero(const struct iovec *v, unsigned n)
{
    while (n && is_zero(v->iov_base, v->iov_len))
        n--, v++;
    return !n;
}

int block_writev(struct block *b, uint64_t off, const struct iovec *v, unsigned n, size_t len)
{
    if (b->detect_zeroes && !may_write(b, off, len) && pieces_are_zero(v, n))
        return block_zero(b, off, len, b->detect_zeroes == BLOCK_DETECT_UNMAP);
    return !b->ops->writev || may_write(b, off, len) || !len ? 1 : written(b, b->ops->writev(b, off, v, n, len));
}

int block_write_compressed(struct block *b, uint64_t off, const void *buf, size_t len)
{
    int r = may_write(b, off, len);

    if (r || !len)
        return r;
    return b->ops->write_compressed ? written(b, b->ops->write_compressed(b, off, buf, len)) : -ENOTSUP;
}

int block_zero(struct block *b, uint64_t off, uint64_t len, bool unmap)
{
    int r = may_write(b, off, len);

    return r || !len ? r : written(b, b->ops->zero(b, off, len, unmap && b->discard));
}

int block_discard(struct block *b, uint64_t off, uint64_t len)
{
    int r = may_write(b, off, len);

    return r || !len || !b->discard ? r : written(b, b->ops->discard(b, off, len));
}

int block_flush(struct block *b)
{
    return b->writable ? b->ops->flush(b) : 0;
}

int block_resize(struct block *b, uint64_t size, enum block_prealloc prealloc, struct block_error *e)
{
    if (!b->writable)
        return block_fail(e, EROFS, "%s: opened read-only", b->name);
    return b->ops->resize(b, size, prealloc, e);
}

int block_extent(struct block *b, uint64_t off, uint64_t *len, enum block_kind *kind)
{
    return outside(b, off, *len) || !*len ? -EINVAL : b->ops->extent(b, off, len, kind);
}

void block_info(struct block *b, struct block_info *info)
{
    memset(info, 0, sizeof(*info));
    if (b->ops->info)
        b->ops->info(b, info);
}

int block_check(struct block *b, struct block_check *c, unsigned fix, struct block_error *e)
{
    if (!b->ops->check)
        return block_fail(e, ENOTSUP, "%s: %s images have nothing that could be checked", b->name,
                          b->ops->format);
    return b->ops->check(b, c, fix, e);
}

/* Can it be done at all? */
static int may_snapshot(struct block *b, struct block_error *e)
{
    if (!b->ops->snapshot_create)
        return block_fail(e, ENOTSUP, "%s: %s images have no snapshots: convert it by latimer image convert -O qcow2",
                          b->name, b->ops->format);
    return b->writable ? 0 : block_fail(e, EROFS, "%s: opened read-only", b->name);
}

int block_snapshot_create(struct block *b, const struct block_snapshot *s, const void *state, struct block_error *e)
{
    int r = may_snapshot(b, e);

    return r ? r : b->ops->snapshot_create(b, s, state, e);
}

int block_snapshot_apply(struct block *b, const char *name, struct block_error *e)
{
    int r = may_snapshot(b, e);

    return r ? r : b->ops->snapshot_apply(b, name, e);
}

int block_snapshot_delete(struct block *b, const char *name, struct block_error *e)
{
    int r = may_snapshot(b, e);

    return r ? r : b->ops->snapshot_delete(b, name, e);
}

int block_snapshot_state(struct block *b, const char *name, void *buf, size_t len, struct block_error *e)
{
    if (!b->ops->snapshot_state)
        return block_fail(e, ENOTSUP, "%s: %s images have no snapshots", b->name, b->ops->format);
    return b->ops->snapshot_state(b, name, buf, len, e);
}

bool block_has_snapshots(const struct block *b)
{
    return b->writable && b->ops->snapshot_create;
}

const char *block_problem(struct block *b)
{
    for (; b; b = b->backing)
        if (b->problem)
            return b->problem;
    return NULL;
}

int block_damaged(struct block *b, const char *text)
{
    b->problem = text;
    return -EIO;
}

/* ---- creating ---- */

void block_create_defaults(struct block_create *c)
{
    *c = (struct block_create){ .version = 3, .cluster_size = 65536, .refcount_bits = 16 };
}

static int create_raw(struct hostfile *f, const struct block_create *c, struct block_error *e)
{
    int r = 0;

    if (f->device)
        return f->size >= c->size ? 0 : block_fail(e, ENOSPC, "%s: the device has %llu bytes, %llu are "
                                                   "wanted", f->path,
                                                   (unsigned long long)f->size, (unsigned long long)c->size);
    r = hostfile_truncate(f, c->size);
    if (!r && c->prealloc >= BLOCK_PREALLOC_FALLOC)
        r = hostfile_preallocate(f, 0, c->size, c->prealloc == BLOCK_PREALLOC_FULL);
    return r ? block_fail(e, -r, "%s: %s", f->path, strerror(-r)) : 0;
}

/* What does not succeed leaves no file behind. */
static int gone(const char *path, bool made, int r)
{
    if (r && made)
        unlink(path);
    return r;
}

int block_create(const char *path, const struct block_create *c, struct block_error *e)
{
    bool raw = strcmp(c->format, "raw") == 0, made;
    struct hostfile f;
    struct block *b;
    int r;

    if (!raw && (r = qcow2_create_allowed(c, e)))
        return r;
    r = hostfile_open(&f, NULL, path, HOSTFILE_WRITE | HOSTFILE_CREATE, e);
    if (r)
        return r;
    made = f.made;
    r = raw ? create_raw(&f, c, e) : qcow2_create(&f, c, e);
    if (!r && (r = hostfile_sync(&f)))
        block_fail(e, -r, "%s: %s", path, strerror(-r));
    hostfile_close(&f);
    if (r || raw)
        return gone(path, made, r);
    /* The rest is done as to any image: it grows from nothing. */
    b = block_open(path, &(struct block_open){ .format = c->format, .writable = true, .no_backing = true }, e,
                   &r);
    if (!b)
        return gone(path, made, r);
    r = block_resize(b, c->size, c->prealloc, e);
    if (!r && (r = block_flush(b)))
        block_fail(e, -r, "%s: %s", path, strerror(-r));
    free_image(b);
    return gone(path, made, r);
}
