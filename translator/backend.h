/*
 * backend.h - all that a host must provide to run translated code.
 *
 * A backend turns one IR block into host code at a given place and describes it:
 * its exits (to be linked), its fault points, and what it assumed.  Code memory
 * has two views: `rw` is written, the same bytes are executed at rw + rx_off.
 */
#ifndef TRANSLATOR_BACKEND_H
#define TRANSLATOR_BACKEND_H

#include <capstone/capstone.h>

#include "translator/exec.h"
#include "translator/ir.h"
#include "translator/recipe.h"

#define BACKEND_MAX_EXITS 128
#define BACKEND_MAX_FAULTS 1024

/* A direct exit. Offsets are from the block's first host byte. */
struct host_exit {
    uint32_t jump;              /* the rel32 that backend_link() patches */
    uint32_t key_from, key_to;  /* EXIT_CROSS: the guard's immediates */
    uint32_t stub_ra;           /* return address the unlinked stub leaves with (identifies the exit) */
    int32_t pc;                 /* target: page offset (flat) or EIP */
    uint16_t aux;               /* EXIT_* of the IR */
};

/* At host return address `ra` (offset) the guest instruction `pc` was executing; recipe_resolve() with
 * `recipe` gives its flags. */
struct host_fault {
    uint32_t ra;
    int32_t pc;
    uint32_t recipe;
};

/*
 * Where the code of each guest instruction begins, for crash reports: small, because there is one for each.  What
 * does not fit has none.
 */
#define BACKEND_MAX_MARKS 256
#define MARK_BEHIND INT16_MIN   /* as pc: what follows is out of line */
struct host_mark {
    uint16_t off;               /* from the block's first host byte */
    int16_t pc;                 /* from the block's first guest byte */
};

struct host_block {
    struct recipe_table *recipes;       /* where backend_emit() enters those it needs */
    uint32_t size;              /* of the hot part */
    uint32_t cold_size;
    uint16_t nexits, nfaults, nmarks;
    struct host_mark mark[BACKEND_MAX_MARKS];           /* sorted by off */
    struct host_exit exit[BACKEND_MAX_EXITS];
    struct host_fault fault[BACKEND_MAX_FAULTS];        /* sorted by ra */
};

/* Is there a code generator for this host?  If not, nothing below but memory for struct cpu may be asked for. */
extern const bool backend_exists;

/* backend_kill() of a block lets whoever enters it leave with this offset from its first byte as return address. */
extern const unsigned backend_dead_ra;
/* What this host lacks that every block needs, for people; NULL: nothing.  It does without all else. */
const char *backend_missing(void);
/* Code memory may be no larger than this: as far as direct branches reach. */
extern const unsigned backend_max_mib;
/*
 * Does code that is written to rw run at rw + rx_off, and what it is overwritten with, too?  (Some emulators of a
 * host only notice stores to the address that is executed.)
 */
bool backend_code_runs(uint8_t *rw, intptr_t rx_off);
/* A disassembler of this host's code; false: there is none. */
bool backend_disassembler(csh *cs);

/*
 * Flags that are live at an exit, but for all that is known only because nobody looked far enough, need not be
 * computed: the exit may leave a recipe's name in c->flags, and code at whose entry flags are read resolves it.
 */
extern const bool backend_flags_wait;
/* INC and the like are host instructions that keep the carry, so that it best passes through them. */
extern const bool backend_keeps_carry;
/* For crash reports: where in a block the thunk that runs will return to. */
const void *backend_thunk_caller(const struct cpu *c);

static inline void host_mark(struct host_block *out, int64_t off, int64_t pc)
{
    if (off <= UINT16_MAX && pc >= INT16_MIN && pc <= INT16_MAX && out->nmarks < BACKEND_MAX_MARKS)
        out->mark[out->nmarks++] = (struct host_mark){ (uint16_t)off, (int16_t)pc };
}

/*
 * Features a processor of this kind may lack and generated code uses where it is told to (features.def in the
 * backend's folder).  Bit n of a set stands for row n.
 */
struct backend_feature {
    const char *name, *use;
};
extern const struct backend_feature backend_features[];
extern const unsigned backend_nfeatures;
uint64_t backend_host_features(void);           /* those this host has */
/* What the code is to be like. */
struct backend_config {
    uint64_t features;          /* those it uses */
    bool ordered;               /* other vCPUs look: guest accesses become visible in the order x86 has them in */
};
/* From now on the host keeps this thread's accesses in that order by itself; false: it cannot. */
bool backend_tso(void);

struct backend;         /* the host's private data: thunks, features */

/* Largest host code one IR block can need, for the hot and the cold part each. */
uint32_t backend_bound(const struct ir_block *b);
/* Bytes of thunks placed at the start of code memory. */
#define BACKEND_THUNK_BYTES (512u << 10)
struct backend *backend_new(uint8_t *rw, intptr_t rx_off, const struct backend_config *config);
void backend_free(struct backend *);

/*
 * What is executed, counted (-d count).  Every way through a block, from its entry to an exit, has a counter;
 * what lies out of line (slow paths, thunks) and C are not in `host`, nor is the counting.
 */
struct host_count {
    uint64_t n;                 /* how often it was taken */
    const uint8_t *block;       /* first byte of the block's code, in the executable view */
    uint32_t host, guest;       /* instructions */
};
extern const bool backend_counts;               /* false: nothing of this may be asked for */
/* Count in all blocks made from now on. */
void backend_count(struct backend *);
const struct host_count *backend_counted(const struct backend *, size_t *n);
/*
 * Translate. What is executed on the straight way goes to `rw`, what is not (slow
 * paths, stubs) to `cold`, so that it does not dilute the host's instruction
 * cache; cold lies behind rw. Both have at least backend_bound() bytes.
 * b has been through opt_needs(): of b->use the emitter learns where values die.
 */
void backend_emit(struct backend *, const struct ir_block *b, uint8_t *rw, uint8_t *cold,
                  struct host_block *out);

/*
 * Stencils: code for one instruction (or two) of a certain form, from which a block
 * is put together by copying.  Between stencils all guest state is where it is at
 * the start of a block.
 */
extern const bool backend_has_stencils;         /* false: nothing of this may be asked for */
struct host_stencil;
/* What an instruction fills the holes of its stencil with. */
struct stencil_site {
    int32_t pc;                 /* page offset of the (first) instruction */
    int32_t target;             /* of a direct branch */
    int32_t hole[HOLE_COUNT];   /* hole[HOLE_PC] is pc */
};
/*
 * Make one of b, which lies at page offset b->start, at `at`, where there are BACKEND_STENCIL_MAX bytes (and
 * 8-byte alignment); an exit to page offset `target` will be one to site.target, others are relative to the
 * start.  Returns the bytes used, 0: it cannot be copied.
 */
#define BACKEND_STENCIL_MAX (64u << 10)
uint32_t backend_stencil(struct backend *, const struct ir_block *b, int64_t target, struct host_stencil *at);
/* Are the flags in the host's flags behind it, for a HOSTF? */
bool backend_stencil_hostf(const struct host_stencil *);
/* Largest host code of a block made of stencils, for the hot and the cold part each: begin, plus the sum. */
#define BACKEND_STENCIL_BEGIN 256u
uint32_t backend_stencil_bound(const struct host_stencil *);
/*
 * A block at page offset pc, from its stencils in order.  It leaves with WHY_HOT when heat_table()[heat] has
 * been counted down below zero by its executions.
 */
void backend_copy_begin(struct backend *, uint8_t *rw, uint8_t *cold, int32_t pc, unsigned heat,
                        struct host_block *out);
void backend_copy(struct backend *, const struct host_stencil *, const struct stencil_site *);
void backend_copy_end(struct backend *);

/*
 * Patch exit `e` of the block at `rw` to jump to `target` (writable view).
 * For EXIT_CROSS exits the jump is guarded: taken only while c->pagekey == from;
 * then c->pagekey becomes `to`.
 */
void backend_link(struct backend *, uint8_t *rw, const struct host_exit *e, const uint8_t *target,
                  uint32_t from, uint32_t to);
/* Make the entry of a discarded block leave with WHY_EXIT at once. */
void backend_kill(struct backend *, uint8_t *rw);
/*
 * From now on, where the guard of an EXIT_CROSS exit fails, the target is looked up
 * in the jump cache; only what that does not know leaves with WHY_LINK.  code64:
 * targets are not cut to 32 bits.
 */
void backend_hop(struct backend *, uint8_t *rw, const struct host_exit *e, bool code64);
void backend_unlink(struct backend *, uint8_t *rw, const struct host_exit *e);
/* Run translated code at rx address. On return all guest state is in struct cpu (the arithmetic flags
 * when they are resolved); for WHY_LINK,
 * WHY_FAULT, WHY_SLOW and WHY_ATTN c->link_ra is the host address that left. */
enum exec_why backend_enter(struct backend *, struct cpu *c, const void *rx);
/* struct cpu with the stack translated code runs on in front of it and `after` bytes behind it. */
struct cpu *backend_cpu_alloc(uint64_t after);
void backend_cpu_free(struct cpu *c, uint64_t after);

/*
 * The jump cache for indirect exits lies directly behind struct cpu.  Which entry a RIP
 * has is the backend's choice, so that host code finds it in three instructions.
 * (The salt stays out of it: else each new identity of a space would spread its
 * targets over new places and drive out what others use.)
 */
struct jc_entry {
    uint64_t tag;               /* guest RIP ^ c->jc_salt */
    const void *host;
    uint64_t page, key;         /* c->pc_page and c->pagekey of the target, as they lie in struct cpu */
};
#define JC_BITS 14
#define JC_SIZE (1u << JC_BITS)
#define JC_SHIFT 5              /* log2 of an entry's size */
_Static_assert(sizeof(struct jc_entry) == 1u << JC_SHIFT, "offsets are computed by shifting");
uint32_t backend_jc_hash(uint64_t rip);          /* below JC_SIZE */
static inline struct jc_entry *jc_table(struct cpu *c)
{
    return (struct jc_entry *)((char *)c + ((sizeof(struct cpu) + 63) & ~(size_t)63));
}
#define JC_OFF ((uint32_t)((sizeof(struct cpu) + 63) & ~(size_t)63))

/* Behind it: how often blocks of stencils may still run.  Blocks that share a counter become hot together, so
 * there is one for each of as many as a boot makes. */
#define HEAT_SIZE 65536u
#define HEAT_OFF (JC_OFF + JC_SIZE * (uint32_t)sizeof(struct jc_entry))
static inline int32_t *heat_table(struct cpu *c)
{
    return (int32_t *)(void *)((char *)c + HEAT_OFF);
}
#define CPU_AFTER (JC_SIZE * sizeof(struct jc_entry) + HEAT_SIZE * sizeof(int32_t))     /* for backend_cpu_alloc() */

#endif
