/*
 * opt.h - what the builder and the passes share.
 */
#ifndef TRANSLATOR_OPT_H
#define TRANSLATOR_OPT_H

#include "frontend/cpu.h"
#include "frontend/help.h"
#include "translator/ir.h"

/*
 * Simplify *n, whose operands are in b: returns an existing value that equals
 * its result, or IR_NONE; then *n may have become another instruction with the
 * same result.  deep: constants may be moved through an address operand, which
 * makes *n use that operand's own operands.
 */
ir_ref ir_fold(const struct ir_block *b, struct ir_ins *n, bool deep);

/* Can this instruction fault, or leave the block so that all state must be exact? */
static inline bool ir_may_fault(const struct ir_ins *n)
{
    if (n->op == IR_CALL)
        return helper_info[n->aux].status;
    return (ir_info[n->op].attrs & IRA_X) != 0;
}

/* Number (0..15 general, 16..31 vector) of the register whose slot a field offset lies in; -1: none. */
static inline int slot_reg(int64_t off)
{
    if ((uint64_t)(off - SLOT_R(0)) < 8 * 16)
        return (int)(off - SLOT_R(0)) >> 3;
    if ((uint64_t)(off - SLOT_X(0)) < 16 * 16)
        return 16 + ((int)(off - SLOT_X(0)) >> 4);
    return -1;
}

/* Is the general register's second byte meant (AH CH DH BH)? */
static inline bool slot_is_high(const struct ir_ins *n)
{
    return (n->aux & 1) || ((n->imm - SLOT_R(0)) & 7) == 1;
}

/* Does an access of type t at field offset off touch the flags' slot? */
static inline bool slot_hits_flags(int64_t off, enum ir_type t)
{
    return off < (int64_t)SLOT_FLAGS + 8 && off + type_bytes(t) > (int64_t)SLOT_FLAGS;
}

#endif
