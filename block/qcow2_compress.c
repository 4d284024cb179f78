/*
 * qcow2_compress.c - compressed clusters: raw deflate (RFC 1951) or zstd, packed one behind the other.
 *
 * The cluster that was unpacked last is kept: guests read in smaller pieces.
 */
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "block/qcow2.h"

/* Readers may be limited to a window of 4 KiB. */
#define WINDOW_WRITE (-12)
#define WINDOW_READ (-15)

void qcow2_compressed_place(const struct qcow2 *q, uint64_t entry, uint64_t *off, uint64_t *len)
{
    unsigned x = 62 - (q->cluster_bits - 8);
    uint64_t sectors = (entry >> x & (((uint64_t)1 << (q->cluster_bits - 8)) - 1)) + 1;

    *off = entry & (((uint64_t)1 << x) - 1);
    *len = sectors * 512 - (*off & 511);
}

static bool inflate_cluster(const void *in, size_t n, void *out, size_t size)
{
    z_stream z = { .next_in = (void *)in, .avail_in = (unsigned)n, .next_out = out,
                  .avail_out = (unsigned)size };
    int r;

    if (inflateInit2(&z, WINDOW_READ) != Z_OK)
        return false;
    r = inflate(&z, Z_FINISH);
    inflateEnd(&z);
    /* The sectors may go on behind the data: what counts is that a cluster came out. */
    return (r == Z_STREAM_END || r == Z_BUF_ERROR) && !z.avail_out;
}

static bool zstd_cluster(const void *in, size_t n, void *out, size_t size)
{
    ZSTD_DStream *z = ZSTD_createDStream();
    ZSTD_inBuffer i = { in, n, 0 };
    ZSTD_outBuffer o = { out, size, 0 };
    size_t r = 1;

    while (z && r && !ZSTD_isError(r) && o.pos < size && i.pos < n)
        r = ZSTD_decompressStream(z, &o, &i);
    ZSTD_freeDStream(z);
    return o.pos == size;
}

/* unpacked_lock is held. */
static int unpack(struct qcow2 *q, uint64_t entry)
{
    uint64_t off, len;
    uint8_t *in;
    bool good;
    int r;

    qcow2_compressed_place(q, entry, &off, &len);
    if (off >= q->b->file.size || !off)
        return block_damaged(q->b, "compressed data lies behind the file's end: the file is truncated");
    if (!q->unpacked && !(q->unpacked = malloc(q->cluster)))
        return -ENOMEM;
    in = malloc(len);
    if (!in)
        return -ENOMEM;
    q->unpacked_entry = 0;
    r = hostfile_read(&q->b->file, off, in, len);
    if (!r) {
        good = q->zstd ? zstd_cluster(in, len, q->unpacked, q->cluster) :
            inflate_cluster(in, len, q->unpacked, q->cluster);
        if (good)
            q->unpacked_entry = entry;
        else
            r = block_damaged(q->b, "a compressed cluster is damaged");
    }
    free(in);
    return r;
}

int qcow2_unpack(struct qcow2 *q, uint64_t entry, uint64_t skip, void *buf, size_t len)
{
    int r = 0;

    pthread_mutex_lock(&q->unpacked_lock);
    if (q->unpacked_entry != entry)
        r = unpack(q, entry);
    if (!r)
        memcpy(buf, q->unpacked + skip, len);
    pthread_mutex_unlock(&q->unpacked_lock);
    return r;
}

static long deflate_cluster(const void *in, void *out, size_t size)
{
    z_stream z = { .next_in = (void *)in, .avail_in = (unsigned)size, .next_out = out,
                  .avail_out = (unsigned)size - 1 };
    int r;

    if (deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, WINDOW_WRITE, 9, Z_DEFAULT_STRATEGY) != Z_OK)
        return -ENOMEM;
    r = deflate(&z, Z_FINISH);
    deflateEnd(&z);
    return r == Z_STREAM_END ? (long)(size - 1 - z.avail_out) : 0;
}

long qcow2_pack(const struct qcow2 *q, const void *data, void *out)
{
    size_t n;

    if (!q->zstd)
        return deflate_cluster(data, out, q->cluster);
    n = ZSTD_compress(out, q->cluster - 1, data, q->cluster, ZSTD_CLEVEL_DEFAULT);
    return ZSTD_isError(n) ? 0 : (long)n;
}
