/*
 * exec_priv.h - the state behind c->exec, for the files that are the run loop:
 * exec.c (the loop), exec_space.c (which code links and caches may stay) and
 * exec_block.c (finding and making blocks).
 */
#ifndef TRANSLATOR_EXEC_PRIV_H
#define TRANSLATOR_EXEC_PRIV_H

#include "base/stopwatch.h"
#include "frontend/lift.h"
#include "hw/machine.h"
#include "translator/cache.h"
#include "translator/check.h"
#include "translator/exec.h"
#include "translator/stencil.h"

#define KEYS 4096               /* direct-mapped table of page keys */
#define BLOOM_BITS 16
#define REDO 512                /* entries, a power of two */
#define MAPPINGS 64             /* global mappings of code that are remembered */

struct pagekey {
    uint64_t page, space;
    uint32_t id;
};

/* What other threads stored to, marked as code (exec_work.c). */
struct code_span {
    uint64_t pa, len;
};
struct exec_work {
    pthread_mutex_t lock;
    pthread_t thread;           /* the vCPU's; until there is one, everybody is it */
    bool has_thread;
    struct code_span *span;
    unsigned n, cap;
};

/* Where the vCPU was at a tick (exec_tick.c): written by a signal's handler, read when it has left its block. */
struct exec_tick {
    const void *host, *lr, *caller;
    uint64_t rip, pc_page, cr3;
    uint8_t cpl;
};

struct exec {
    struct exec_options o;
    struct cache cache;
    struct ir_block ir;
    struct lift_options lift;
    struct exec_stats stats;
    struct stopwatch watch;
    struct pagekey key[KEYS];
    uint32_t next_key;
    uint64_t global_gen;        /* changes with global mappings */
    uint64_t local_gen;         /* changes when non-global supervisor code may have moved */
    struct code_mapping map[MAPPINGS];  /* the global mappings code ran through since global_gen changed */
    unsigned nmap;              /* MAPPINGS + 1: more than fit */
    bool verify_maps;           /* all mappings were flushed: look whether those still hold */
    bool local_code;            /* supervisor code was entered through non-global pages */
    uint64_t bloom_large[1 << (BLOOM_BITS - 6)];        /* the same for their GiB */
    uint64_t bloom[1 << (BLOOM_BITS - 6)];      /* pages code ran from, by hash, since global_gen changed */
    bool stale;                 /* the salt must be computed again */
    uint32_t salt_mode;
    struct check *check;        /* lock-step */
    struct stencils *stencils;  /* NULL: blocks are translated at once */
    uint32_t next_heat;         /* number of the next block of stencils */
    uint8_t shadow;             /* INHIBIT_*: of the shadow the instruction to run alone is in, 0: none */
    bool hot;                   /* the block at hot_rip has become hot: it is to be translated as a whole */
    uint64_t hot_rip;
    bool settled;               /* the flags at c->rip are exact (settle_flags()) */
    struct exec_work work;
    struct exec_tick tick;
    csh host_code;              /* 0: not needed yet (exec_place.c) */
    struct jc_entry redo[REDO]; /* blocks without shared probes, like the jump cache */
};

/* --- exec_space.c --- */
/* The key of this linear page for guarded links, in the space c runs in; global: its mapping is. */
uint32_t pagekey_of(struct cpu *c, uint64_t page, bool global);
/* Bring what depends on mappings and mode up to date before looking anything up. */
void exec_refresh(struct cpu *c);

/*
 * For verify_maps(), and where breakpoints changed: no link across pages and no entry of the jump cache
 * holds.
 */
void exec_new_gen(struct exec *e);

/* --- exec_debug.c --- */
/* c->fault is not to be delivered: it was the debugger's. b: the block that was left. */
bool exec_debug_fault(struct cpu *c);
/* The vCPU goes on. False: it does not. */
bool exec_debug_begin(struct cpu *c);
/* Stepping: do interrupts wait? */
bool exec_debug_holds(const struct cpu *c);
/* Run one instruction, and what comes of it. */
void exec_debug_alone(struct cpu *c);
/* An interrupt was taken instead. */
void exec_debug_interrupted(struct cpu *c);

/* --- exec_work.c --- */
void exec_work_init(struct exec *);
void exec_work_free(struct exec *);
void exec_work_thread(struct exec *);   /* on the vCPU's own */
/* Discard the blocks that other threads stored into. */
void exec_work(struct cpu *);

/* --- exec_tick.c --- */
/* ATTN_SAMPLE is set. */
void exec_tick_done(struct cpu *);

/* --- exec_place.c --- */
/* exec_place(), of a moment when backend_thunk_caller() was `caller`. */
void exec_place_then(struct cpu *, const void *host, const void *lr, const void *caller, struct exec_place *);

/* --- exec.c --- */
/* The guest RIP of page offset or EIP `pc` of a block that runs now. */
uint64_t exec_rip_of(const struct cpu *c, const struct block *b, int64_t pc);
/* Run what a fault of the guest is followed by. */
void exec_deliver(struct cpu *c);
/* The interrupt shadow, if there was one, has passed. */
void exec_shadow_passed(struct cpu *c);
/* The fault point host offset `off` of b belongs to. */
struct host_fault exec_fault_at(const struct block *b, uint32_t off);

/* --- exec_block.c --- */
uint64_t exec_lin_of(const struct cpu *c);      /* linear address of c->rip */
/* The block at c->rip, made if need be; NULL: the fetch faulted, c->fault is set. Also its page, and whether
 * that is mapped globally. */
struct block *block_at(struct cpu *c, uint32_t mode, uint64_t *page, bool *global);

#endif
