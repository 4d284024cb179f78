/*
 * snap_file.h - the stream a machine is saved as: sections with names, compressed, checked as a whole.
 *
 * All numbers little-endian:
 *   "LATSNAP\n" u32 version, then sections, each: u8 kind; u8 length, name;
 *     kind 1, state:   u32 length, u32 length compressed, a zstd frame
 *     kind 2, extents: u64 length of the whole, then extents in rising order: u64 offset (~0: it was the last), u32
 *                      length (SNAP_EXTENT at most), u32 length compressed (0: it is all zeros), a zstd frame
 *     kind 0, end:     u64 bytes before this number, u32 CRC-32 of these bytes
 * An extent that is left out is as it was before anything was written: zero in memory, the backing file's in an image.
 * A section of memory may come again, and then takes the place of what it has extents of: a machine that ran while it
 * was sent.
 * Nothing says when or where it was made, and extents are compressed one by one: the same machine gives the same bytes.
 *
 * A stream is read into memory, and its checksum and structure are checked before anybody sees any of it. That frames of
 * extents can be decompressed is known once they were (snap_each()): damage that keeps the checksum is found then, so
 * what is decompressed to where it cannot be taken back is first only checked (snap_each() without `put`).
 */
#ifndef DEBUG_SNAP_FILE_H
#define DEBUG_SNAP_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SNAP_VERSION 2u
#define SNAP_EXTENT (256u << 10)

/* Where a stream goes to: all of it is written, or a negative errno. */
struct snap_sink {
    int (*write)(void *arg, const void *data, size_t len);
    void *arg;
};

enum snap_kind { SNAP_ABSENT, SNAP_ZERO, SNAP_DATA };
/* What extents are made from. Both may be called by several threads at once. */
struct snap_source {
    /* What [off, off + *len) begins with; *len may become smaller. 0 or a negative errno. */
    int (*kind)(void *arg, uint64_t off, uint64_t *len, enum snap_kind *kind);
    /* `buf` has room for it; may return another place where it lies instead. NULL: errno says why not. */
    const void *(*read)(void *arg, uint64_t off, void *buf, size_t len);
    void *arg;
    bool zero_is_absent;        /* the two are the same, and nothing tells which it is */
    bool pieces;                /* extents end where `kind` says so, too: the same contents may give other bytes */
};

/* A stream being written. Errors (a negative errno) stay: the rest is not written, and snap_end() tells. */
struct snap_writer;
struct snap_writer *snap_begin(const struct snap_sink *);
void snap_state(struct snap_writer *, const char *name, const void *data, size_t len);
void snap_extents(struct snap_writer *, const char *name, uint64_t len, const struct snap_source *);
/* Frees it. *written: bytes. */
int snap_end(struct snap_writer *, uint64_t *written);
/* The first error so far, or 0. */
int snap_error(const struct snap_writer *);

/* A stream in memory. */
struct snap_image;
/* Takes buf (malloc'ed) over, also if it fails: NULL, and *why says what is wrong. */
struct snap_image *snap_open(uint8_t *buf, size_t len, const char **why);
void snap_close(struct snap_image *);
/* A state section, decompressed; NULL: there is none. Lives as long as the image. */
const uint8_t *snap_get_state(const struct snap_image *, const char *name, size_t *len);
/* How many sections of extents there are of that name, and how long the whole is. */
unsigned snap_has_extents(const struct snap_image *, const char *name, uint64_t *len);
/*
 * Each extent of it, in no order and by several threads at once, section by section; data NULL: it is zeros. Returns
 * the first error that `put` returned (a negative errno), -EBADMSG: one cannot be decompressed, or 0. put NULL: that is
 * all that is asked.
 */
int snap_each(const struct snap_image *, const char *name,
              int (*put)(void *arg, uint64_t off, const uint8_t *data, size_t len), void *arg);
/* The n-th extent of its first section in order: offset and length; false behind the last. */
bool snap_extent(const struct snap_image *, const char *name, size_t n, uint64_t *off, uint32_t *len);

/* A stream that arrives piece by piece. */
struct snap_taker {
    /*
     * Extents of sections that are taken as they come: 0 and each goes to put(), in order; 1: this one is kept in the
     * image; a negative errno: that cannot be. NULL `wants`: all are kept.
     */
    int (*wants)(void *arg, const char *section, uint64_t len);
    int (*put)(void *arg, const char *section, uint64_t off, const uint8_t *data, size_t len);
    void *arg;
};
struct snap_stream;
struct snap_stream *snap_stream_new(const struct snap_taker *);
void snap_stream_free(struct snap_stream *);            /* NULL is allowed */
/*
 * What follows, any length. NULL, or what is wrong with it. After the end, which has the checksum of all of it,
 * *complete is true, and nothing may follow.
 */
const char *snap_stream_feed(struct snap_stream *, const uint8_t *data, size_t len, bool *complete);
/* What there is so far; lives as long as the stream. */
const struct snap_image *snap_stream_image(const struct snap_stream *);

#endif
