/*
 * interp.h - the IR interpreter: executable specification and portable host.
 */
#ifndef TRANSLATOR_INTERP_H
#define TRANSLATOR_INTERP_H

#include "translator/exec.h"
#include "translator/ir.h"

/*
 * Run block b once on c (all state in struct cpu).  Returns why it ended; c->rip
 * is exact.  For a direct exit (WHY_NEXT) *exit_index is the IR index of the
 * EXIT/EXIT_IF taken.
 */
enum exec_why interp_run(struct cpu *c, const struct ir_block *b, unsigned *exit_index);

/* Backends without a rule for an op call its semantics through this (values by pointer to 16
 * bytes; unused operands NULL). Only for pure ops: no memory, no control flow, no slots. */
void interp_op(struct cpu *c, const struct ir_ins *i, union vreg *dst, const union vreg *a,
               const union vreg *b, const union vreg *cc);
#endif
