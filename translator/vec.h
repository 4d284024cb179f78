/*
 * vec.h - executable semantics of the vector operations (ir_vec.def), in
 * portable C: what the interpreter runs, what backends fall back to, and what
 * their code is tested against.
 */
#ifndef TRANSLATOR_VEC_H
#define TRANSLATOR_VEC_H

#include "frontend/cpu.h"
#include "translator/ir.h"

/* MXCSR (SDM vol. 1, 10.2.3).  Mask bit = flag bit << 7. */
#define MX_IE  0x0001u
#define MX_DE  0x0002u
#define MX_ZE  0x0004u
#define MX_OE  0x0008u
#define MX_UE  0x0010u
#define MX_PE  0x0020u
#define MX_FLAGS 0x003fu
#define MX_DAZ 0x0040u
#define MX_MASK_SHIFT 7
#define MX_RC  0x6000u
#define MX_RC_SHIFT 13
#define MX_FTZ 0x8000u
#define MX_DEFAULT 0x1f80u
#define MX_VALID 0xffffu        /* MXCSR_MASK */

/* Control bits read, sticky flags ORed in. */
struct fp_env {
    uint32_t mxcsr;
};

/*
 * Do the vector op i.  Unused operands may be NULL; integer operands and results
 * are in q[0] (zero-extended).  d may be the same object as a, b or c.
 */
void vec_op(const struct ir_ins *i, union vreg *d, const union vreg *a, const union vreg *b,
            const union vreg *c, struct fp_env *fp);

/* vec_fp.c: the rows that name a floating-point lane. Called by vec_op. */
void vec_fp_op(const struct ir_ins *i, union vreg *d, const union vreg *a, const union vreg *b,
               struct fp_env *fp);

#endif
