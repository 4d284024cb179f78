/*
 * cache.h - translated blocks: finding them, linking them, forgetting them.
 *
 * A block is known by the physical address of its first byte and the mode word
 * (and, where CS is not flat, its EIP): nothing a TLB flush could make stale.
 * Code memory is a ring of regions; when the newest is full, the oldest is
 * emptied as a whole.  A discarded block's host code stays until then, its entry
 * replaced by a call of the "dead" thunk, so that stale pointers to it (jump
 * cache, return addresses) are harmless.
 */
#ifndef TRANSLATOR_CACHE_H
#define TRANSLATOR_CACHE_H

#include "translator/backend.h"
#include "translator/code_mem.h"

#define CACHE_REGIONS 8
#define CACHE_STEP 1024         /* bytes of code memory between entries of region.at */

struct block;
struct stencils;

/* One direct exit of a block. */
struct link {
    struct host_exit x;
    struct block *to;           /* linked to, or NULL */
    struct block *from;         /* the block it belongs to */
    struct link *next_in;       /* list of the exits linked to `to` */
    uint16_t relinks;           /* times a guarded link was made anew */
};

struct block {
    uint64_t pa;
    uint32_t mode;
    uint32_t start;             /* page offset, or EIP if CS is not flat */
    uint32_t shadow;            /* as in the IR block */
    struct block *hash_next;
    bool dead, crosses, flat, once, copied;     /* all that a search looks at is in one cache line of the host */
    uint16_t insns, nlinks, nfaults, nrange, nmarks;
    struct block *page_next[2]; /* lists of the (at most two) physical pages it was made from */
    uint64_t page[2];           /* page addresses; page[1] == ~0: entered in one list only */
    uint64_t page2;             /* crosses: physical address of the second page */
    uint8_t *rw, *cold;         /* host code, writable view: the straight way and the rest */
    uint32_t size, cold_size;
    struct ir_range *range;     /* nrange of them */
    struct link *link;
    struct host_fault *fault;
    struct host_mark *mark;
    struct link *in;            /* exits linked to this block */
    uint64_t lin_page;          /* M_BP: the linear page its breakpoints are of */
    struct ir_block *ir;        /* interpreter and lock-step only */
    uint8_t twice;              /* lock-step: may it be run twice? 0: not looked at (check.c) */
};

/* Memory of a region's blocks; it goes when the region is emptied, all at once. */
struct arena {
    struct arena *next;
    uint32_t used, size;
    uint64_t mem[];
};

struct region {
    struct arena *arena;        /* newest first */
    uint8_t *start, *next;      /* hot parts of blocks, up to `mid` */
    uint8_t *mid, *cold_next, *end;     /* cold parts */
    struct block **block;       /* in address order */
    uint32_t *at;               /* for each CACHE_STEP bytes: the last block that starts at or before them */
    unsigned n, cap;
};

struct cache {
    struct code_mem mem;
    struct backend *be;
    struct recipe_table *recipes;       /* what blocks name; blocks are thrown away before they are */
    struct host_block be_out;   /* filled by backend_emit() for each block */
    struct region region[CACHE_REGIONS];
    unsigned cur;
    struct block **hash;
    struct block **pages;       /* hash of page address -> block list */
    struct phys *phys;
    uint64_t nblocks, flushes, invalidated, code_bytes;
    bool interp;
    bool keep_ir;               /* blocks keep their IR: interpreter, lock-step */
    void (*forget)(void *arg);  /* stale host pointers must go (jump cache): a region was emptied */
    void *arg;
};

/* config: of the code, NULL: there is none (interpreter). no_file: as code_mem_map(). */
void cache_init(struct cache *, struct phys *, uint64_t size, const struct backend_config *config, bool no_file);
void cache_free(struct cache *);
struct block *cache_find(struct cache *, uint64_t pa, uint32_t mode, uint32_t eip);
/* Translate (or keep, for the interpreter) b and enter it into the tables. */
struct block *cache_add(struct cache *, struct ir_block *b);
/* The same for a block that stencils_plan() has looked at. heat: its place in heat_table(). */
struct block *cache_add_copy(struct cache *, struct ir_block *b, struct stencils *, unsigned heat);
/* The block whose host code contains what lies before this executable (return) address; NULL if none. */
struct block *cache_by_host(struct cache *, const void *rx);
void cache_link(struct cache *, struct link *, struct block *to, uint32_t key_from, uint32_t key_to);
/* Discard every block made from bytes in [pa, pa+len). */
void cache_invalidate(struct cache *, uint64_t pa, unsigned len);
void cache_kill(struct cache *, struct block *);
void cache_flush(struct cache *);
/* Discard every block with M_BP of one of n linear pages, which ascend. */
void cache_kill_broken(struct cache *, const uint64_t *page, unsigned n);
static inline const void *block_rx(const struct cache *k, const struct block *b)
{
    return b->rw + k->mem.rx_off;
}

#endif
