/*
 * opt.h - what the builder and the passes share.
 *
 * Two directions.  What looks back - known values, shared probes - is done to each
 * instruction as it is appended to a block whose b->opt is set (opt_emit() in opt.c);
 * what must look ahead is opt_needs(), one backward walk over the finished block.
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

/* Known contents of a register, 0 = not known. */
struct opt_reg {
    uint16_t q, d, w, b, h;     /* as i64, i32, i16, i8, second byte; vector registers: q */
    bool zx;                    /* bits 63:32 are zero */
};

/* An address is a + (b << scale) + off, mod 2^32 and zero-extended if `narrow`. */
struct opt_addr {
    ir_ref a, b;
    uint8_t scale;
    bool narrow;
    uint64_t off;
};

/* Accesses that may share a PROBE (opt_probe.c). */
struct opt_group {
    struct opt_addr base;       /* off: of the first access */
    ir_ref hole, first;         /* where the PROBE goes or is; the first access */
    int32_t lo, hi;             /* range, relative to base.off */
    unsigned count;
    uint16_t idx;               /* MEM_IDX bits */
    bool write;
};
#define OPT_GROUPS 8

/* What is known behind the last instruction. */
struct opt_state {
    struct opt_reg reg[32];     /* 0..15 general, 16..31 vector */
    ir_ref flags;               /* current flags value */
    unsigned ngroups, oldest;   /* up to here zero at a block's start */
    struct opt_group group[OPT_GROUPS];
    uint16_t same[IR_MAX];      /* value to use instead; itself if none */
    uint8_t home[IR_MAX];       /* 1 + register where the value was first */
};

/* Append as it is. */
static inline ir_ref ir_append(struct ir_block *b, const struct ir_ins *n)
{
    ir_ref i = b->n++;
    b->ins[i] = *n;
    if (b->opt) {
        b->opt->same[i] = (uint16_t)i;
        b->opt->home[i] = 0;
    }
    return i;
}

/* The steps of opt_emit(): each appends what remains of *n and returns its value (IR_NONE: nothing remains). */
ir_ref opt_emit(struct ir_block *b, struct ir_ins *n);
ir_ref opt_slot(struct ir_block *b, struct ir_ins *n);          /* GET, PUT and the like */
ir_ref opt_pure(struct ir_block *b, struct ir_ins *n);          /* values from values */
ir_ref opt_flagged(struct ir_block *b, const struct ir_ins *n); /* the same where a FLAGS may follow */
ir_ref opt_access(struct ir_block *b, struct ir_ins *n);        /* LD, ST, LDV, STV */
/* CALL n, about to be appended, changes what is known. */
void opt_call(struct ir_block *b, const struct ir_ins *n);
/* Access n at base + k: k goes into imm. */
void opt_address(struct ir_block *b, struct ir_ins *n);

/* Can this instruction fault, or leave the block so that all state must be exact? */
static inline bool ir_may_fault(const struct ir_ins *n)
{
    if (n->op == IR_CALL)
        return helper_info[n->aux].status;
    return (ir_attrs[n->op] & IRA_X) != 0;
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
