/*
 * interp.h - the IR interpreter: executable specification and portable host.
 */
#ifndef TRANSLATOR_INTERP_H
#define TRANSLATOR_INTERP_H

#include "translator/exec.h"
#include "translator/ir.h"

/*
 * Run block b once on c (all state in struct cpu).  Returns why it ended; c->rip
 * is exact.  *exit_index is the IR index of the instruction it ended with: the
 * exit taken, what faulted or (WHY_SLOW) has to be run alone; 0 for WHY_ATTN.
 */
enum exec_why interp_run(struct cpu *c, const struct ir_block *b, unsigned *exit_index);
/* The same whatever c->attn says. */
enum exec_why interp_now(struct cpu *c, const struct ir_block *b, unsigned *exit_index);

/* Prepare the calls of helpers; once a process is enough (calls do it if nobody has). */
void interp_init(void);

/* Provided by the x87 family (frontend/help_x87*.c): the operation of the IR op X87. */
void x87_op(struct cpu *c, unsigned op, const union vreg *a, union vreg *res);

/* AMO or CAS (i: op, type, aux) at linear address lin, complete: x is operand b, y operand c.
 * True if it faulted. */
bool interp_atomic(struct cpu *c, const struct ir_ins *i, uint64_t lin, uint64_t x, uint64_t y,
                   uint64_t *old);

/* Backends without a rule for an op call its semantics through this (values by pointer to 16
 * bytes; unused operands NULL). Only for pure ops: no memory, no control flow, no slots; not for
 * FLAGS (cc_eval does that), nor for ops whose operands' type matters and is not the result's
 * (SEXT, LTS, CRC32). X87 and vector ops are fine. */
void interp_op(struct cpu *c, const struct ir_ins *i, union vreg *dst, const union vreg *a,
               const union vreg *b, const union vreg *cc);
#endif
