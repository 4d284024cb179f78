/*
 * snap_int.h - what the files that make, read and receive snapshot streams share (snap_file.h).
 */
#ifndef DEBUG_SNAP_INT_H
#define DEBUG_SNAP_INT_H

#include <zstd.h>

#include "base/state.h"
#include "debug/snap_file.h"

#define SNAP_MAGIC "LATSNAP\n"
#define SNAP_LAST UINT64_MAX    /* the offset after the last extent */
#define SNAP_END_LEN 12u        /* bytes behind what the checksum is of */
#define SNAP_STATE_MAX (64u << 20)      /* bytes of all state sections: more is not ours */

enum { KIND_END, KIND_STATE, KIND_EXTENTS };

/* Dies without memory. */
void *snap_must(void *p);

/* ---- threads: compression takes nearly all the time ---- */

/* What a thread has for itself. Contexts are kept from one extent to the next: their tables are large. */
struct snap_desk {
    ZSTD_CCtx *pack;
    ZSTD_DCtx *unpack;
    uint8_t plain[SNAP_EXTENT], packed[ZSTD_COMPRESSBOUND(SNAP_EXTENT)];
};
struct snap_desk *snap_desk_new(void);
void snap_desk_free(struct snap_desk *);        /* NULL is allowed */
/* one(arg, 0 .. n-1, desk), in any order, by as many threads as there are processors; desks: each has one. */
void snap_spread(size_t n, bool desks, void (*one)(void *, size_t, struct snap_desk *), void *arg);

/* False: it is no frame of that length. */
bool snap_unpack(ZSTD_DCtx *, const uint8_t *in, size_t packed, void *out, size_t len);

/* ---- what a stream consists of ---- */

struct snap_extent {
    uint64_t off;
    uint32_t len, packed;
    const uint8_t *data;        /* NULL: zeros */
};

/* The next thing of a stream, checked as far as it can be by itself. */
struct snap_item {
    enum snap_item_kind { ITEM_SHORT, ITEM_BEGIN, ITEM_STATE, ITEM_EXTENTS, ITEM_EXTENT, ITEM_LAST, ITEM_END } kind;
    char name[256];             /* STATE, EXTENTS */
    /* STATE: bytes when decompressed; EXTENTS: of the whole; END: bytes before this number */
    uint64_t len;
    uint32_t crc;               /* END: of these bytes */
    const uint8_t *data;        /* STATE: `packed` bytes */
    size_t packed;
    struct snap_extent extent;  /* EXTENT */
};
struct snap_parser {
    bool begun, in_extents;
    uint64_t len, least;        /* of the extents: where the next one may begin */
};
/* Takes an item off s. ITEM_SHORT: it is not all there, and s is as it was. NULL, or what is wrong. */
const char *snap_next(struct snap_parser *, struct state_in *s, struct snap_item *);

/* ---- a stream in memory ---- */

struct snap_section {
    char name[256];
    bool state;
    uint64_t len;
    uint8_t *plain;             /* state */
    struct snap_extent *extent;
    size_t n, cap;
    bool owns;                  /* the extents' data is malloc'ed */
};
struct snap_image {
    uint8_t *buf;
    size_t plain;               /* bytes of state, decompressed */
    struct snap_section *section;
    unsigned n;
};
/* The item's section becomes the last one. NULL, or what is wrong. */
const char *snap_add_section(struct snap_image *, const struct snap_item *);
void snap_add_extent(struct snap_section *, const struct snap_extent *);

#endif
