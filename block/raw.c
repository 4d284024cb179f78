/*
 * raw.c - images without a format: byte n of the file is byte n of the disk.
 *
 * A file that ends within a sector is a disk with that sector: zeros are behind the file's end, and a write there
 * makes it longer.
 *
 * Where the format was only guessed, the first bytes are kept from looking like another format (probe.h).
 */
#include "block/block.h"

#include <stdlib.h>
#include <string.h>

#include "block/probe.h"

#define SECTOR ((uint64_t)512)

struct raw {
    /* writes to the first PROBE_BYTES, one at a time: two might make a header together */
    pthread_mutex_t first;
};

static int raw_open(struct block *b, const struct block_open *o, struct block_error *e)
{
    struct raw *s = calloc(1, sizeof(*s));

    if (!s)
        return block_fail(e, ENOMEM, "out of memory");
    pthread_mutex_init(&s->first, NULL);
    b->state = s;
    b->size = (b->file.size + SECTOR - 1) / SECTOR * SECTOR;
    return 0;
}

static int raw_close(struct block *b)
{
    struct raw *s = b->state;

    pthread_mutex_destroy(&s->first);
    free(s);
    b->state = NULL;
    return 0;
}

static int raw_read(struct block *b, uint64_t off, void *buf, size_t len)
{
    return hostfile_read(&b->file, off, buf, len);
}

static int raw_readv(struct block *b, uint64_t off, const struct iovec *v, unsigned n, size_t len)
{
    return hostfile_readv(&b->file, off, v, n, len);
}

/* May these bytes (NULL: zeros) be written to the beginning?  The mutex is held. */
static int forges(struct block *b, uint64_t off, const void *buf, uint64_t len)
{
    uint8_t first[PROBE_BYTES];
    size_t n = len < PROBE_BYTES - off ? (size_t)len : (size_t)(PROBE_BYTES - off);
    const char *refused;
    int r = hostfile_read(&b->file, 0, first, sizeof(first));

    if (r)
        return r;
    if (buf)
        memcpy(first + off, buf, n);
    else
        memset(first + off, 0, n);
    return strcmp(probe_format(first, sizeof(first), &refused), "raw") == 0 ? 0 : -EPERM;
}

static bool guarded(struct block *b, uint64_t off)
{
    return b->probed && off < PROBE_BYTES;
}

static int raw_write(struct block *b, uint64_t off, const void *buf, size_t len)
{
    struct raw *s = b->state;
    int r;

    if (!guarded(b, off))
        return hostfile_write(&b->file, off, buf, len);
    pthread_mutex_lock(&s->first);
    r = forges(b, off, buf, len);
    if (!r)
        r = hostfile_write(&b->file, off, buf, len);
    pthread_mutex_unlock(&s->first);
    return r;
}

static int raw_writev(struct block *b, uint64_t off, const struct iovec *v, unsigned n, size_t len)
{
    return guarded(b, off) ? 1 : hostfile_writev(&b->file, off, v, n, len);
}

static int zero(struct block *b, uint64_t off, uint64_t len, bool unmap)
{
    int r = unmap ? hostfile_punch(&b->file, off, len) : -ENOTSUP;

    return r == -ENOTSUP ? hostfile_zero(&b->file, off, len) : r;
}

static int raw_zero(struct block *b, uint64_t off, uint64_t len, bool unmap)
{
    struct raw *s = b->state;
    int r;

    if (!guarded(b, off))
        return zero(b, off, len, unmap);
    pthread_mutex_lock(&s->first);
    r = forges(b, off, NULL, len);
    if (!r)
        r = zero(b, off, len, unmap);
    pthread_mutex_unlock(&s->first);
    return r;
}

static int raw_discard(struct block *b, uint64_t off, uint64_t len)
{
    /* A disk is not filled because the guest says that it needs it no longer. */
    if (b->file.no_punch)
        return 0;
    return raw_zero(b, off, len, true);
}

static int raw_flush(struct block *b)
{
    return hostfile_sync(&b->file);
}

static int raw_resize(struct block *b, uint64_t size, enum block_prealloc prealloc, struct block_error *e)
{
    uint64_t old = b->size;
    int r;

    if (b->file.device)
        return size == old ? 0 : block_fail(e, ENOTSUP, "%s: a block device's size cannot be changed",
                                            b->name);
    r = hostfile_truncate(&b->file, size);
    if (!r) {
        b->size = size;
        r = size > old && prealloc >= BLOCK_PREALLOC_FALLOC ?
            hostfile_preallocate(&b->file, old, size, prealloc == BLOCK_PREALLOC_FULL) : 0;
    }
    return r ? block_fail(e, -r, "%s: %s", b->name, strerror(-r)) : 0;
}

static int raw_extent(struct block *b, uint64_t off, uint64_t *len, enum block_kind *kind)
{
    bool hole;

    *len = hostfile_extent(&b->file, off, *len, &hole);
    *kind = hole ? BLOCK_ZERO : BLOCK_DATA;
    return 0;
}

const struct block_ops raw_ops = {
    .format = "raw",
    .open = raw_open,
    .close = raw_close,
    .read = raw_read,
    .write = raw_write,
    .readv = raw_readv,
    .writev = raw_writev,
    .zero = raw_zero,
    .discard = raw_discard,
    .flush = raw_flush,
    .resize = raw_resize,
    .extent = raw_extent,
};
