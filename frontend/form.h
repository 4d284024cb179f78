/*
 * form.h - forms of instructions: all but the numbers in them.
 *
 * The bytes of an instruction up to its displacement and immediate - prefixes,
 * opcode, ModRM, SIB - say in a given mode what it does and to which registers.
 * They are its form; what follows are numbers.  Code made for a form can be copied
 * for each instruction that has it (translator/stencil.c).
 */
#ifndef FRONTEND_FORM_H
#define FRONTEND_FORM_H

#include "frontend/lift.h"

#define FORM_BYTES 24           /* form_scan() may read as many */

/* The bytes of a form, as a number: no form's bytes begin with those of another one. */
struct form_key {
    uint64_t bytes;
    unsigned len;               /* 1..8 */
    unsigned disp;              /* bytes of displacement that follow: 0, 1 or 4 */
};
/* The form of the instruction at p; false: it must be decoded as usual (long, or a 16-bit address). */
bool form_scan(const uint8_t *p, uint32_t mode, struct form_key *k);

/* What is the same for all instructions of a form. */
struct form_info {
    uint8_t len;                /* of the instruction */
    uint8_t disp, imm;          /* bytes of displacement and immediate at its end */
    bool ip;                    /* the displacement counts from the next instruction */
    bool rel;                   /* the immediate is a direct branch's displacement */
    bool imm_hole;              /* the immediate may be a hole; else there is a stencil for each value */
    bool faults;                /* it may: then all flags are seen before it */
    bool writes_any;            /* it may change flags */
    bool condition;             /* Jcc, SETcc, CMOVcc: it can take the flags from the host's */
    uint8_t reads, writes;      /* FLX_* read, surely written */
};
/* Of the instruction at p (FORM_BYTES can be read); false: there are no stencils for it. */
bool form_info(const uint8_t *p, uint32_t mode, const uint64_t *feats, const struct form_key *k,
               struct form_info *out);

/*
 * Lift the instruction at p (NULL: none), whose form has been found fit, for copying: numbers become holes, a
 * branch's target FORM_TARGET or, if it is in another page, FORM_TARGET_CROSS.  Unless it ends the
 * block, an EXIT_FALL comes last; without an instruction, an EXIT to the target.
 * False: it cannot be done.  *ends: the block ends here.
 */
#define FORM_BASE 0x100         /* page offset of the first instruction */
#define FORM_TARGET 0x800
#define FORM_TARGET_CROSS 0x100000
/* how: */
#define FORM_CROSS 1u           /* the target is in another page */
#define FORM_MEM   2u           /* behind it, the flags are needed in their slot; they are there before it */
#define FORM_HOSTF 4u           /* ... and in the host's flags; of a condition: they are there before it */
bool lift_stencil(struct cpu *c, struct ir_block *b, uint32_t mode, const struct lift_options *o,
                  const uint8_t *p, const struct form_info *info, unsigned how, bool *ends);

#endif
