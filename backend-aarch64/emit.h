/*
 * emit.h - the registers and structures of this backend; the rest of what emit_*.c
 * share is in backend-common/core.h.
 *
 * Fixed homes.  Guest rax to r8 live in x19 to x27, r9 to r15 in x8 to x14; xmm0
 * to xmm15 in v16 to v31.  x28 points at struct cpu, sp at the C stack.
 * Temporaries are x0 to x4 and v0 to v7.  x16, x17 and x30 are scratch within one
 * operation.  x7 and x18 are the mask and the base of the TLB's table for reading in the block's
 * mode, x5 and x6 those of the one for writing: copies of c->tlb[], which are made on the way in
 * and behind each call of C (entry.c).  No call of a thunk changes anything else but x16, x17 and x30.
 *
 * NZCV holds at most one guest flags value: N and Z are SF and ZF, V is OF, C is CF
 * or, after a subtraction, its opposite (host_emit.inv).  PF and AF are made when
 * the flags go to memory: from the result's low byte, which x15 keeps, and from the
 * exclusive or of both operands in x29; only where somebody needs them.
 */
#ifndef BACKEND_AARCH64_EMIT_H
#define BACKEND_AARCH64_EMIT_H

#include "backend-aarch64/asm.h"
#include "frontend/cpu.h"
#include "frontend/help.h"
#include "translator/backend.h"
#include "translator/ir.h"

#define T_FIRST 0
#define T_COUNT 5
#define VT_FIRST 0
#define VT_COUNT 8
#define HOST_NARROW_IN_PLACE 0
#define HOST_FLAGS_WAIT 1
#define HOST_CC_EXTENDED 1

#define H_CPU 28
#define H_S0 16                 /* scratch */
#define H_S1 17
#define H_S2 H_LR
#define H_WMASK 5               /* the TLB's tables */
#define H_WTLB 6
#define H_MASK 7
#define H_TLB 18
#define H_PF 15                 /* result of the operation whose flags are in NZCV */
#define H_AF 29                 /* exclusive or of its operands */
#define V_HOME 16

/* --- homes: all are registers --- */
static inline bool home_pinned(unsigned g)
{
    return true;
}
static inline unsigned home_host(unsigned g)
{
    return g <= R_8 ? 19 + g : 8 + (g - R_9);
}
static inline bool vhome_pinned(unsigned n)
{
    return true;
}
static inline unsigned vhome_host(unsigned n)
{
    return V_HOME + n;
}

enum host_feature {
#define F(id, ...) HF_##id,
#include "backend-aarch64/features.def"
#undef F
};

struct emit;

struct backend {
    uint8_t *rw;                /* start of code memory */
    intptr_t rx_off;
    uint8_t *enter;             /* entered from C: (cpu, rx) */
    uint8_t *hop[2];            /* guard failed: on through the jump cache; [1] in 64-bit code */
    uint8_t *link, *next, *next_rip, *dispatch, *redo, *attn;
    uint8_t *slow_ld, *slow_st, *slow_ldv, *slow_stv, *slow_probe, *slow_seg, *raise, *divs, *amo;
    uint8_t *op;                /* interp_op on arg[] */
    uint8_t *flags;             /* cc_of_op */
    uint8_t *stack[MMU_IDX_COUNT][2];   /* look the stack's page up: [1] for writing */
    uint8_t *resolve;           /* exec_resolve_flags */
    uint8_t *crc32;
    uint8_t *help[HELP_COUNT];
    uint8_t *x87[X87_COUNT];    /* routines of x87.c */
    uint64_t features;          /* of backend_features[] */
    bool ordered;               /* guest accesses keep x86's order (emit_atomic.c) */
    struct emit *em;            /* reused for every block */
    struct host_count *count;   /* NULL: nothing is counted */
    size_t ncount;
};

#define FLX_O 0x20u
#define FLX_S 0x10u
#define FLX_Z 0x08u
#define FLX_A 0x04u
#define FLX_P 0x02u
#define FLX_C 0x01u

static inline bool host_has(const struct backend *be, enum host_feature f)
{
    return be->features >> f & 1;
}

#include "backend-common/values.h"

enum slow_kind { SLOW_LD, SLOW_ST, SLOW_LDV, SLOW_STV, SLOW_PROBE, SLOW_AMO, SLOW_DE, SLOW_DIVS, SLOW_DIV, SLOW_SEG,
                 SLOW_PLAIN_LD, SLOW_PLAIN_ST };

/* Out-of-line continuation of a fast path. */
struct slow {
    uint32_t recipe;            /* of the flags, if it faults */
    uint8_t kind;
    uint8_t type;
    uint8_t dst;                /* host register that receives the result */
    uint8_t vdst;
    uint8_t addr;               /* host register with the linear address; SLOW_PLAIN: the host's */
    uint8_t *from[2];           /* branches here */
    uint8_t *back;
    bool near;                  /* a probe that wanted the operand aligned sends here also what only is not: emit_near() */
    uint8_t delta;              /* then: the probe's register */
    uint8_t *again;             /* SLOW_AMO: behind the probe */
    uint8_t *hit;               /* off the stack: where to go on with delta in t0, else NULL */
    uint8_t t0;
    int16_t disp;               /* SLOW_PLAIN: from there */
    uint32_t desc;
    struct val v;               /* value to store */
    struct val x, y;            /* further operands */
    const struct ir_ins *div, *rem;     /* SLOW_DIV: what is wanted of v:x / y, in dst and rest; NULL: not that */
    uint8_t rest;
    int32_t pc;
};

/* A way through the block that is being counted: bytes from the entry to where it leaves the straight way. */
struct way {
    uint32_t bytes, guest;
    uint8_t *from;              /* its last part */
    struct host_count *count;   /* NULL: it is not counted */
};

/* An image that is being made (emit_image.c): temporaries with operands and the flags before, or NOREG. */
struct image {
    bool on;
    unsigned x, y, old;
};

/* Floating point whose operands or result need another look, out of line (emit_fp.c). */
#define FP_PATHS 160
#define FP_CHECKS 3
struct fp_path {
    const struct ir_ins *p;
    int32_t pc;
    bool dbl, rdbl, packed;     /* lanes of the operands and of the result are doubles */
    uint8_t a, b;               /* operands of the C call, NOREG: none */
    uint8_t d, g;               /* where the result goes: vector or general register */
    uint8_t u, v, r;            /* looked at: operands (NOREG: nothing passes), result (NOREG: not) */
    uint8_t t, x, y;            /* free vector registers */
    unsigned n;
    uint8_t *from[FP_CHECKS];
    uint8_t *done;
};

/* Flags in NZCV whose image a side exit makes: what it needs of them (FLX_*), what host_emit says of them. */
struct left {
    uint8_t need;
    bool inv, pf, af;
};

struct host_emit {
    bool inv;                   /* of e->ef: C is the opposite of CF */
    bool logic;                 /* CF and OF are 0 */
    bool fcmp;                  /* they are FCMP's: CF is N != V, PF is V, ZF is Z or V, all others 0 */
    bool pf, af;                /* H_PF, H_AF are valid */
    struct left left[BACKEND_MAX_EXITS];        /* flags of side exits with save_flags */
    ir_ref asked;               /* a comparison that is in NZCV, as asked_cc, for the next instruction alone */
    unsigned asked_cc;
    bool attn;                  /* attn may have been set since the entry: by a helper, or by STI */
    bool full[IR_MAX];          /* somebody reads all of this flags value's image */
    uint32_t uncounted;         /* bytes on the straight way that are counting or data */
    struct way side[BACKEND_MAX_EXITS];
    struct image image;
    struct fp_path fp[FP_PATHS];
    unsigned nfp;
};

#include "backend-common/core.h"

static inline bool host_copied(const struct emit *e)
{
    return false;
}
static inline void host_pin(struct emit *e)
{
}
/* The image a flags value is stored as may lack flags that only a fault shows; then there is a recipe. */
static inline bool host_image_lacks(const struct emit *e, ir_ref f)
{
    return !e->h.full[f];
}

#define ENTRY_BYTES 8           /* of a block: the test of attn */
#define EXIT_SKIP 0x0080u       /* host_exit.aux: its link skips the entry of its target */

/* --- home.c --- */
void host_field(struct emit *e, bool load, unsigned log, unsigned reg, uint32_t off);   /* a field of struct cpu */
/* The constant v where ADD and SUB take it (arith) or AND, ORR and EOR do: true; else it is for a register. */
bool imm_fits(bool arith, bool w, uint64_t v);
/* Value r in a register: where it is, XZR, or in `scratch`.  Bits above its type are what they are. */
unsigned use_operand(struct emit *e, ir_ref r, unsigned scratch);
/* Value r zero- or sign-extended from its type to 64 bits, in d. */
void use_extended(struct emit *e, ir_ref r, bool sign, unsigned d);

/* --- emit_flags.c --- */
/* d = the image of FCMP's flags in NZCV; t: scratch. */
void flags_fcmp_image(struct emit *e, unsigned d, unsigned t);
/* Make C the carry of flags value f; inv: its opposite.  Destroys the other flags. */
void flags_carry(struct emit *e, ir_ref f, bool inv);
/* Register t = the carry of flags value f, as a number; and back into C, the other flags stay. */
void flags_carry_get(struct emit *e, ir_ref f, unsigned t);
void flags_carry_put(struct emit *e, unsigned t);
/* Emit a test of condition cc on flags value f: returns the host condition to use. */
unsigned flags_test(struct emit *e, ir_ref f, unsigned cc);
/* Is condition r, which an exit is about to test, on the architectural flags in NZCV, and will these stay? */
bool flags_stay(const struct emit *e, ir_ref r);
/* Then the exit can store them out of line: what they are here, and the stores there. */
struct left flags_leave(const struct emit *e, unsigned live);
void flags_store_left(struct emit *e, const struct left *l);
/* Test value r (i8 condition) for nonzero: returns the host condition. */
unsigned cond_test(struct emit *e, ir_ref r);
/* FLX_* that somebody needs of FLAGS f. */
unsigned flags_needed(struct emit *e, const struct ir_ins *f);
/* NZCV now are the flags of the current operation; keep what PF (result in r) and AF (operands x, y; NOREG: AF is 0) need.
 * The result may be in the register of an operand: call flags_keep_af() before. */
void flags_keep_af(struct emit *e, const struct ir_ins *f, unsigned x, unsigned y);
void flags_are(struct emit *e, const struct ir_ins *f, bool inv, bool logic, unsigned r);
/* Bit 0 of s2 = PF of r; the other bits are rubbish. */
void flags_parity(struct emit *e, unsigned r);
/* Flags of the current operation made apart from it: before its result overwrites anything, and behind it. */
void flags_apart_before(struct emit *e, const struct ir_ins *f);
void flags_apart(struct emit *e, const struct ir_ins *f);
void host_prepare(struct emit *e);              /* fills h.full */
void host_flags_resolve(struct emit *e);        /* core.h */

/* --- emit_image.c --- */
/* Of the current operation's flags f only the carry is needed, and it is made here, before there is a result:
 * true.  nzcv: the host's flags may be overwritten. */
bool carry_alone(struct emit *e, const struct ir_ins *f, bool nzcv);
bool image_begin(struct emit *e, const struct ir_ins *f);       /* false: there is no rule for it */
void image_end(struct emit *e, const struct ir_ins *f);

/* --- count.c --- */
struct way count_way(const struct emit *e);             /* up to here */
void count_begin(struct emit *e, struct way *w);        /* destroys s0 and s1 */
/* Behind the exit.  skips: the entry of what follows, which is counted with that, is skipped. */
void count_end(struct emit *e, const struct way *w, bool skips);
void count_free(struct backend *be);

/* --- emit_atomic.c --- */
/* What a scalar access's probe is to look at: with order also alignment. */
static inline unsigned access_aux(const struct emit *e, unsigned aux)
{
    return e->be->ordered ? aux | MEM_ALIGN : aux;
}
/*
 * Register r and guest memory at address `addr`, delta from the probe whose slow path is s.  probed: there was one, and
 * on the slow path s1 is 0 where it found the page, but for the lowest bits of the address from bit 52 on.
 */
void emit_access(struct emit *e, struct slow *s, bool store, unsigned log, unsigned r, unsigned addr, unsigned delta,
                 bool probed);
/* Where order is kept, register r and guest memory at host address h + off of a shared probe. */
void emit_access_probed(struct emit *e, bool store, unsigned log, unsigned r, unsigned h, uint32_t off);
/* d = what the LOCK operation p (operands v, nv) finds, s: its slow path. */
void emit_atomic(struct emit *e, const struct ir_ins *p, struct slow *s, unsigned d, unsigned delta, bool probed,
                 unsigned v, unsigned nv);
/* Out of line: first of all where s->near; and the whole of a SLOW_PLAIN. */
void emit_near(struct emit *e, const struct slow *s);
void emit_plain(struct emit *e, const struct slow *s);
/* Around C that accesses guest memory, before and behind; and for vector accesses. */
static inline void order_c(struct emit *e)
{
    if (e->be->ordered)
        as_dmb(&e->a);
}
static inline void order_before_store(struct emit *e)
{
    if (e->be->ordered)
        as_dmb_st(&e->a);
}
static inline void order_behind_load(struct emit *e)
{
    if (e->be->ordered)
        as_dmb_ld(&e->a);
}

/* --- emit_fp.c --- */
bool emit_fp(struct emit *e, const struct ir_ins *p);    /* false: there is no rule for it */
void fp_slow_paths(struct emit *e);

/* --- entry.c --- */
/* The TLB's tables of the mode the CPU is in; x5 to x7 are in c->temp[], too.  Destroys s0. */
void entry_tables(struct as *a);

/* --- x87.c --- */
void x87_routines(struct backend *be, struct as *a);    /* fills be->x87 */

/* --- emit_flow.c --- */
uint8_t *emit_jump_cache(struct as *a, unsigned t0);
void emit_goto_pc(struct emit *e, int64_t pc, uint8_t *thunk);
/* A value's location into a field of struct cpu: 64 bits. */
void emit_val(struct emit *e, uint32_t to, const struct val *v);
/* The out-of-line rest of a division of 128 by 64 bits. */
void emit_div_slow(struct emit *e, const struct slow *s);
/* An operation's operand into c->va[1 + n]. */
void emit_va(struct emit *e, unsigned n, ir_ref r);
/* c->va[0] = operation p on them, by interp_op(). */
void emit_op_call(struct emit *e, const struct ir_ins *p);

#endif
