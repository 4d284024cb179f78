/*
 * exec.h - the run loop, block lookup and the code cache's bookkeeping.
 */
#ifndef TRANSLATOR_EXEC_H
#define TRANSLATOR_EXEC_H

#include "frontend/cpu.h"
#include "translator/ir.h"

struct block;

/* Why execution of a block (translated or interpreted) came back. */
enum exec_why {
    WHY_NEXT,           /* c->rip is exact: look up the next block there (mode may have changed) */
    WHY_EXIT,           /* like NEXT, but c->rip follows from the direct exit c->link_ra names */
    WHY_LINK,           /* like NEXT, from a direct exit that wants to be chained: exec->link */
    WHY_FAULT,          /* c->fault is to be delivered; c->rip, flags are exact */
    WHY_SLOW,           /* run the instruction at c->rip alone, without shared probes */
    WHY_ATTN,           /* c->attn was found set at a block's entry; c->rip is exact */
    WHY_HOT,            /* a block of stencils has run often enough to be translated again, better */
    WHY_UNSHARED,       /* a shared probe failed: go on at c->rip in a block without shared probes */
    WHY_COUNT
};

/* How far blocks go unless a superblock bound is given: guest instructions; branches gone on behind. */
#define EXEC_INSNS 48
#define EXEC_BRANCHES 2
#define EXEC_HOT 64             /* a good number for exec_options.hot (docs/performance.md, "Translation") */

/*
 * Where a vCPU was at a tick. What it is since, a few instructions later, is in struct cpu: general registers, RIP,
 * CR3 and CPL are exact.
 */
struct exec_sample {
    uint64_t lin, cr3;          /* lin: of the guest instruction */
    uint8_t cpl;
};

struct exec_options {
    bool interp;                /* -accel interp */
    bool check;                 /* --check: lock-step */
    bool smp;                   /* several vCPUs: LOCK operations are real atomics, accesses keep x86's order */
    bool host_tso;              /* the host keeps that order by itself (backend_tso) */
    uint64_t no_features;       /* features of the host that its code does without (features.h) */
    uint64_t cache_size;        /* bytes of code memory */
    unsigned max_insns;         /* superblock bound; 0: the default */
    bool verify;                /* verify the IR after lifting and after the walk back */
    unsigned hot;               /* blocks are put together from stencils, and translated as a whole when they have
                                   run so often; 0: at once */
    bool time;                  /* measure translation (exec_stats: stage_ns) */
    struct machine *m;
    void (*halt)(struct cpu *c);    /* HLT: sleep until c->attn is not 0 */
    void (*stopped)(struct cpu *c); /* c->debug->stop says why; exec_run() is about to return */
    void (*sample)(struct cpu *c, const struct exec_sample *);      /* after exec_tick() */
    struct perf *perf;          /* -perfmap, -jitdump (perf.h); NULL: the host's perf is told nothing */
};

/* Prepare c->exec.  Dies if code memory cannot be had. */
void exec_init(struct cpu *c, const struct exec_options *o);
void exec_free(struct cpu *c);
/* First of all on the vCPU's own thread. */
void exec_thread(struct cpu *c);
/* After translated code came back with `why`: make c->rip exact. */
void exec_left(struct cpu *c, enum exec_why why);
/* Run until the machine asks this vCPU to leave (ATTN_EXIT). Called on the vCPU's own thread. */
void exec_run(struct cpu *c);

/*
 * For debuggers, while the vCPU stands still: the breakpoints in c->debug->points have changed, in these n linear pages, which
 * ascend. What was translated with others in mind is not run any more. (c->debug changes only while there are none.)
 */
void exec_debug_changed(struct cpu *c, const uint64_t *page, unsigned n);

/*
 * For profilers, in a handler of a signal that interrupted c's own thread at this place of the host's code (lr: as for
 * exec_place()): notes it, and has exec_options.sample() called, in the same thread, between two blocks.
 */
void exec_tick(struct cpu *c, const void *host, const void *lr);

/* The block at c->rip, translated if it is not known yet, without running it; NULL: the fetch would fault.
 * For measuring translation (bench/translate.c). */
const struct block *exec_translate(struct cpu *c);

/* --- called by the MMU, any thread holding the machine's lock or the vCPU itself --- */
/* Translations of lin->pa for code may have changed: links guarded by page keys, the jump cache
 * and the code TLB of this vCPU forget them. all: also global pages. lin: only that page if one. */
void exec_code_map_changed(struct cpu *c, bool all, bool one, uint64_t lin);
/* Bytes [pa, pa+len) were stored to while marked as code. Blocks made from them are discarded: by the vCPU itself
 * before it takes its next interrupt, where another thread stored (exec_work.c). */
void exec_invalidate(struct phys *p, uint64_t pa, unsigned len);
/* Memory has become another: all translated code goes. The vCPU's own thread, or while it stands still. */
void exec_forget(struct cpu *c);
/* Have the vCPU call mmu_work() soon. True: the caller is its thread (or it has none yet) and may do that at once. */
bool exec_ask(struct cpu *c);
/* For translated code that ends with the mode or mappings changed: the host code to go on with at
 * c->rip, or NULL if the run loop must look. Sets c->pc_page and c->pagekey. */
const void *exec_dispatch(struct cpu *c);
/* The same, in a block without shared probes; c->arg[0]: the recipe of the flags. */
const void *exec_redo(struct cpu *c);
/* For translated code that calls C which reads flags: c->flags is a recipe's name, resolve it. */
void exec_resolve_flags(struct cpu *c);
/* Would a store to [lin, lin+size) change the code of the block now running on c? Then it must wait
 * until that block has been left (the instruction is run alone). */
bool exec_store_hits_self(struct cpu *c, uint64_t lin, unsigned size, enum mmu_idx idx);

/* What translating a block consists of. */
enum exec_stage { STAGE_COPY, STAGE_LIFT, STAGE_OPT, STAGE_EMIT, STAGE_COUNT };

/* Statistics for -d and the monitor. */
struct exec_stats { uint64_t blocks, insns, host_bytes, invalidated, flushes, lookups,
                    links, slow, left[WHY_COUNT],
                    copied, copied_insns, /* of blocks and insns: made of stencils */
                    forms, stencils,      /* forms of instructions met, stencils made */
                    checked, /* blocks compared in lock-step */
                    timed_copied, timed_insns, /* a sample: instructions copied, translated */
                    stage_ns[STAGE_COUNT]; /* CPU time for these */
                    const char *code_mem; /* how code memory is mapped, NULL: there is none */ };
/* CPU time in ns for each guest instruction that was copied (STAGE_COPY) or translated (the others); 0 if
 * nothing was measured. */
double exec_stage_ns(const struct exec_stats *, enum exec_stage);
/* The same of all stages and instructions together. */
double exec_translation_ns(const struct exec_stats *);
const struct exec_stats *exec_stats(struct cpu *c);
/* The optional features of the host that code translated for c uses (features.h). */
uint64_t exec_features(const struct cpu *c);
/* What was counted (-d count), to the log. */
void exec_report_count(struct cpu *c);
/* For crash reports: what a host address is to translated code. */
enum exec_where { EXEC_ELSEWHERE, EXEC_BLOCK, EXEC_THUNK,
                  EXEC_NO_BLOCK };      /* code memory, but not in use (any more) */
struct exec_place {
    enum exec_where where;
    const void *host;
    struct block *block;        /* EXEC_BLOCK: it is in; EXEC_THUNK: who called; EXEC_ELSEWHERE: who called C last, or
                                 * left; NULL: unknown */
    uint64_t rip, lin;          /* of the guest instruction, if there is a block */
};
/* lr: the link register, where the host has one, else NULL. */
void exec_place(struct cpu *c, const void *host, const void *lr, struct exec_place *);
/* Print host code around it; for all but EXEC_ELSEWHERE. */
void exec_show_host(struct cpu *c, const struct exec_place *, FILE *f);
/* Print the guest code of the block. */
void exec_show_guest(struct cpu *c, const struct exec_place *, FILE *f);

/* --- interrupts and faults, implemented by the frontend (help_int*.c) --- */
/* Deliver c->fault (with c->rip at the faulting instruction, or behind it for traps and soft
 * interrupts); handles double and triple faults. Returns true on triple fault (shutdown). */
bool cpu_deliver_fault(struct cpu *c);
/* Then: the machine stops, unless a debugger wants to look at it first. */
void cpu_shut_down(struct cpu *c);
/* Take a pending NMI or maskable interrupt if allowed now; true if one was taken (or the attempt
 * faulted and that was delivered). */
bool cpu_take_interrupt(struct cpu *c);

#endif
