/*
 * emit.h - the registers and structures of this backend; the rest of what emit_*.c share is in
 * backend-common/core.h.
 *
 * Fixed homes.  Guest rax rcx rdx rbx rbp rsi rdi r8-r11 live in the host
 * registers of the same name, guest rsp in r12; r13-r15 are temporaries; guest
 * r12-r15 are memory operands off rsp, which points at struct cpu.  Guest
 * xmm0-12 live in the same host registers, xmm13-15 in memory; host xmm13-15 are
 * temporaries.  Host EFLAGS holds at most one guest flags value.
 */
#ifndef BACKEND_X86_64_EMIT_H
#define BACKEND_X86_64_EMIT_H

#include "backend-x86_64/asm.h"
#include "frontend/cpu.h"
#include "frontend/help.h"
#include "translator/backend.h"
#include "translator/ir.h"
#define T_FIRST H_R13
#define T_COUNT 3
#define VT_FIRST 13
#define VT_COUNT 3
#define HOST_NARROW_IN_PLACE 1
#define HOST_FLAGS_WAIT 0
#define HOST_CC_EXTENDED 0

/* --- homes --- */
static inline bool home_pinned(unsigned g)
{
    return g < R_12;
}
static inline unsigned home_host(unsigned g)    /* only for pinned */
{
    return g == R_SP ? H_R12 : g;
}
static inline bool vhome_pinned(unsigned n)
{
    return n < 13;
}
static inline unsigned vhome_host(unsigned n)
{
    return n;
}

/* Numbers of holes that hold an exit's PC, and its page; plus twice the number of the exit. */
enum { EXIT_HOLE_PC = HOLE_COUNT, EXIT_HOLE_PAGE };

enum host_feature {
#define F(id, ...) HF_##id,
#include "backend-x86_64/features.def"
#undef F
};

struct emit;

struct backend {
    uint8_t *rw;                /* start of code memory */
    intptr_t rx_off;
    uint8_t *enter;             /* entered from C: (cpu, rx) */
    uint8_t *hop[2];            /* guard failed: on through the jump cache; [1] in 64-bit code */
    uint8_t *link, *next, *next_rip, *dispatch, *redo, *attn, *hot, *crc32, *cc, *x87_load;
    uint8_t *slow_ld, *slow_st, *slow_ldv, *slow_stv, *slow_probe, *slow_seg, *raise, *divs;
    uint8_t *op;                /* interp_op on arg[] */
    uint8_t *help[HELP_COUNT];
    uint8_t *stack[MMU_IDX_COUNT][2];   /* look the stack's page up: [1] for writing */
    /* Stencils' accesses.  [MEM_SS][MEM_WRITE][index][log2 of the size][temporary that holds the address][may
     * the other temporaries be overwritten]: the value comes into that temporary; of a store it is in c->arg[2]. */
    uint8_t *mem_ld[2][2][MMU_IDX_COUNT][4][T_COUNT][2];
    uint8_t *mem_st[2][MMU_IDX_COUNT][4][T_COUNT][2];
    /* The same off the stack pointer, where the other temporaries may be overwritten. */
    uint8_t *stack_ld[2][2][MMU_IDX_COUNT][4][T_COUNT];
    uint8_t *stack_st[2][MMU_IDX_COUNT][4][T_COUNT];
    uint8_t *amo;
    uint64_t features;          /* of backend_features[] */
    uint16_t vec_first[256];    /* emit_vec.c: first rule of an operation, plus 1 */
    struct emit *em;            /* reused for every block */
    struct copy *copy;          /* stencil.c: the block being put together */
};

static inline bool host_has(const struct backend *be, enum host_feature f)
{
    return be->features >> f & 1;
}
_Static_assert(IR_OP_COUNT <= 256, "operations are bytes");

#include "backend-common/values.h"

enum slow_kind { SLOW_LD, SLOW_ST, SLOW_LDV, SLOW_STV, SLOW_PROBE, SLOW_AMO, SLOW_DE, SLOW_DIVS, SLOW_SEG };

/* Out-of-line continuation of a fast path. */
struct slow {
    uint32_t recipe;            /* of the flags, if it faults */
    uint8_t kind;
    uint8_t type;
    uint8_t dst;                /* host register that receives the result */
    bool high_dst;
    uint8_t vdst;
    uint8_t *from[2];           /* rel32s that jump here */
    uint8_t *hit;               /* off the stack: where to go on with delta in t0, else NULL */
    uint8_t t0;
    uint8_t *back;
    struct hm addr;             /* linear address: registers and displacement */
    uint32_t desc;
    struct val v;               /* value to store */
    struct val x, y;            /* further operands */
    int32_t pc;
};

struct host_emit {
    struct as_notes notes;
};

#include "backend-common/core.h"

static inline bool host_copied(const struct emit *e)
{
    return e->a.notes;
}
static inline void host_pin(struct emit *e)
{
    as_pin(&e->a);
}
static inline bool host_image_lacks(const struct emit *e, ir_ref f)
{
    return false;
}
static inline void host_prepare(struct emit *e)
{
}
static inline void host_flags_resolve(struct emit *e)
{
}
/* The hole to be added to imm. Only stencils have them: elsewhere any number is one. */
static inline unsigned hole_of(const struct emit *e, int64_t imm)
{
    return e->a.notes ? ir_hole_of(imm) : 0;
}

/* Can it be used as a memory operand of its type's width? */
bool use_is_mem(struct emit *e, ir_ref r, struct hm *m);
bool vuse_is_mem(struct emit *e, ir_ref r, struct hm *m);
/* Is r (dying now) located in that home, or in temporary d, so that writing there destroys it? home 0xff: none. */
bool use_occupies(struct emit *e, ir_ref r, unsigned home, unsigned d);
/* Move value r into register d for modification as type t (homes of narrow types keep the rest). */
void use_into_typed(struct emit *e, ir_ref r, enum ir_type t, unsigned d, unsigned home);
/* IR_SHL to IR_SHRD. */
void emit_shift(struct emit *e, const struct ir_ins *p);
/* Make EFLAGS (all: every flag, else only CF) hold flags value f. */
void flags_load(struct emit *e, ir_ref f, bool all);
/* SHLD, SHRD of 16 bits by more than 16, whose result is each maker's own, on a host that is not Intel's. */
bool shift_differs(struct emit *e, const struct ir_ins *p);
/*
 * f: flags_wanted() of the operation p that is about to be emitted. NULL if its flags have been made by C, since the host would
 * leave another value than Intel's chips in what the manuals leave undefined and somebody needs; else f.
 */
const struct ir_ins *flags_as_intel(struct emit *e, const struct ir_ins *p, const struct ir_ins *f);
/* Emit a test of condition cc on flags value f: returns the host condition to use. */
unsigned flags_test(struct emit *e, ir_ref f, unsigned cc);
/* Test value r (i8 condition) for nonzero: returns the host condition. */
unsigned cond_test(struct emit *e, ir_ref r);
/* Jump to the RIP in t0 if the jump cache knows it; t1, x: temporaries. Returns the rel32 of the miss. */
uint8_t *emit_jump_cache(struct as *a, unsigned t0, unsigned t1, unsigned x);
/* c->rip = pc, then on through a dispatching thunk; t: a temporary that may be overwritten. */
void emit_goto_pc(struct emit *e, int64_t pc, uint8_t *thunk, unsigned t);
void vec_rules_init(struct backend *be);
void x87_load(struct cpu *c);   /* c->fpu into the host's x87, exceptions masked; sets x87_live */
void x87_store(struct cpu *c);  /* back, if live */
void stencil_copy_free(struct backend *be);     /* stencil.c */

#endif
