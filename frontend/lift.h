/*
 * lift.h - what the lift functions (struct insn -> IR) share.
 *
 * A lift function returns true if it lifted the instruction; false makes it
 * #UD.  It must emit everything that can fault before anything that changes
 * guest state (see ir.h); where that is impossible it calls a helper.
 */
#ifndef FRONTEND_LIFT_H
#define FRONTEND_LIFT_H

#include "frontend/cpu.h"
#include "frontend/decode.h"
#include "frontend/help.h"
#include "frontend/lift_sse.h"
#include "translator/ir.h"

struct lift {
    struct ir_block *b;
    uint32_t mode;              /* M_* of the block */
    const uint64_t *feats;
    bool flat_cs;               /* PCs are page offsets */
    bool smp;                   /* LOCK must be a real atomic */
    uint32_t pc;                /* page offset (flat) or EIP of the current instruction */
    uint32_t next;              /* ... of the one behind it */
    bool done;                  /* the block has been ended */
    bool x87_page;              /* c->fpu.ip is this block's page already */
    bool stop_after_next;       /* STI and the like: one more instruction, then end */
    uint64_t cs_mask;           /* EIP wrap: 0xffffffff or ~0 */
    struct lift_block_state *st;        /* the block loop's own (lift_block.h) */
};

static inline bool lift_64(const struct lift *l) { return (l->mode & M_CODE) == M_CODE64; }

/* --- lift.c: operands --- */
enum ir_type lift_type(unsigned bytes);         /* 1 2 4 8 -> i8.. */
/* General register as a value of `size` bytes; `high`: AH CH DH BH. */
ir_ref lift_get(struct lift *l, unsigned reg, unsigned size, bool high);
void lift_put(struct lift *l, unsigned reg, unsigned size, bool high, ir_ref v);
/* Offset part of the memory operand, in the address size, zero-extended to i64. */
ir_ref lift_offset(struct lift *l, const struct insn *i);
/* Linear address (i64) of the memory operand for an access of `size` bytes: segment base added,
 * limit and type checked where the mode asks for it.  *imm: displacement to put in the access's imm. */
ir_ref lift_addr(struct lift *l, const struct insn *i, unsigned size, bool write, int64_t *imm);
/* The same as one value, for helpers. */
ir_ref lift_linear(struct lift *l, const struct insn *i, unsigned size, bool write);
/* The same for any segment:offset (off is i64, already masked to the address size). */
ir_ref lift_seg_addr(struct lift *l, unsigned seg, ir_ref off, unsigned size, bool write);
/* aux for a memory op in this mode: MMU index, #AC, plus `extra`. seg for #SS. */
unsigned lift_memaux(const struct lift *l, unsigned seg, unsigned extra);
ir_ref lift_load(struct lift *l, enum ir_type t, ir_ref addr, int64_t imm, unsigned seg, unsigned extra);
/* One field of a memory operand that is read field by field (far pointers, BOUND, LGDT): the value
 * `at` bytes into it, at an offset that wraps at the address size of its own. */
ir_ref lift_load_part(struct lift *l, const struct insn *i, unsigned at, enum ir_type t);
void lift_store(struct lift *l, ir_ref addr, int64_t imm, unsigned seg, ir_ref v);
/* Operand n: a value of the operand's size (register, memory or immediate).
 * For a read-modify-write memory destination call lift_rmw_read, then lift_rmw_write. */
ir_ref lift_read(struct lift *l, const struct insn *i, unsigned n);
void lift_write(struct lift *l, const struct insn *i, unsigned n, ir_ref v);
struct rmw { ir_ref addr; int64_t imm; };
ir_ref lift_rmw_read(struct lift *l, const struct insn *i, unsigned n, struct rmw *m);
void lift_rmw_write(struct lift *l, const struct insn *i, unsigned n, const struct rmw *m, ir_ref v);

/* Effective address (no segment) as a value of `bytes` bytes: LEA. */
ir_ref lift_ea(struct lift *l, const struct insn *i, unsigned bytes);

/* --- vector operands (lift_sse.c) are declared in lift_sse.h --- */

/* --- flags --- */
void lift_flags(struct lift *l, enum flags_kind k, ir_ref op);  /* PUTF of FLAGS(op) */
ir_ref lift_cond(struct lift *l, unsigned cc);                  /* CC of the current flags: i8 */

ir_ref lift_getf(struct lift *l);                               /* the current flags */
/* Replace the flags under `mask` (FL_*) by those of the i32 image `bits`. */
void lift_set_flags(struct lift *l, uint32_t mask, ir_ref bits);

/* --- stack (SS:rSP with the stack's address size) --- */
ir_ref lift_push_addr(struct lift *l, unsigned bytes, ir_ref *new_sp);  /* linear address; does not move rSP */
void lift_set_sp(struct lift *l, ir_ref sp);
void lift_push(struct lift *l, unsigned bytes, ir_ref v);       /* store, then move rSP */

unsigned lift_stack_size(const struct lift *l);                 /* bytes of the stack pointer in use */
/* Linear address of SS:sp (sp in the stack's address size) for an access of `bytes`. */
ir_ref lift_stack_addr(struct lift *l, ir_ref sp, unsigned bytes, bool write);
/* Value on top of the stack; *new_sp is rSP behind it and `extra` more bytes.  Does not move rSP. */
ir_ref lift_pop_value(struct lift *l, unsigned bytes, unsigned extra, ir_ref *new_sp);

/* --- flow --- */
ir_ref lift_rip(struct lift *l, uint32_t pc);   /* i64 guest RIP of page offset/EIP `pc` */
void lift_exit_next(struct lift *l, unsigned extra);    /* end the block, go on behind this instruction */
void lift_exit_sys(struct lift *l, ir_ref rip);         /* PUT rip; EXIT_SYS (rip NONE: helper set it) */
/* End with an indirect jump to RIP `rip`; hint: EXIT_CALL, EXIT_RET or 0. */
void lift_exit_ind(struct lift *l, ir_ref rip, unsigned hint);
/* Leave if `cond` (i8) to pc, else go on. */
void lift_exit_if(struct lift *l, ir_ref cond, uint32_t pc, unsigned extra);
void lift_raise(struct lift *l, unsigned vector, int64_t code);         /* code -1: none */
/* CALL to a helper with up to 3 value arguments and a constant fourth. */
ir_ref lift_call(struct lift *l, enum helper_id h, ir_ref a, ir_ref b, ir_ref c, int64_t imm);

/*
 * Lift the superblock that starts at the current RIP of `c` into b (ir_reset by
 * the callee).  Returns false if the first instruction's fetch faults: c->fault
 * is set.  `mode` includes the run loop's M_NOSHARE/M_ONE.
 */
struct lift_options {
    unsigned max_insns, max_branches;
    bool smp;
    bool stay;                  /* do not go on behind jumps */
    bool raw;                   /* append as the lifters say, forward nothing (tests) */
};
bool lift_block(struct cpu *c, struct ir_block *b, uint32_t mode, const struct lift_options *o);
/*
 * For a CPU that has just arrived at c->rip by a direct exit: the arithmetic flags (FLX_*) that may not
 * be what they should, since the code there overwrites them before anything can see them.  *writes: those
 * the first instruction overwrites.  `b` is used as scratch space, `mode` is that of the block that would be
 * run.
 */
unsigned lift_flags_open(struct cpu *c, struct ir_block *b, uint32_t mode, const struct lift_options *o,
                         unsigned *writes);

/* One a row's lift column; prototypes made from the table. */
#define X(id, text, map, opc, ext, pfx, opnds, modes, feat, attrs, fk, fn, arg, skip) \
    bool fn(struct lift *l, const struct insn *i);
#include "frontend/x86.def"
#undef X

#endif
