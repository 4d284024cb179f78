/*
 * lift_sse.h - what the vector lifters (lift_sse.c, lift_sse_fp.c, lift_mmx.c)
 * share, and the encoding of the arg column of x86_sse.def.
 */
#ifndef FRONTEND_LIFT_SSE_H
#define FRONTEND_LIFT_SSE_H

#include "frontend/decode.h"
#include "translator/ir.h"

struct lift;

/* arg of lift_vec, lift_mmx, lift_vfp, lift_vfp_mmx */
#define VA(op, aux) ((IR_##op) | (int)(aux) << 8)
#define VF_UN  (1 << 24)        /* the source is the op's only operand */
#define VF_B   (2 << 24)        /* the source is its operand b, there is no a */
#define VF_W   (4 << 24)        /* MMX form: VW_64 */
#define VA_OP(arg)  ((enum ir_op)((arg) & 0xff))
#define VA_AUX(arg) ((unsigned)(arg) >> 8 & 0xffff)

/* XMM register as a value. */
ir_ref lift_getx(struct lift *l, unsigned reg);
void lift_putx(struct lift *l, unsigned reg, ir_ref v);
/* Pure vector op with a v128 result. */
ir_ref lift_vop(struct lift *l, enum ir_op op, unsigned aux, ir_ref a, ir_ref b, int64_t imm);
/* Operand n, an XMM register or memory (zero-extended to 128 bits), as v128. */
ir_ref lift_vsrc(struct lift *l, const struct insn *i, unsigned n);

/* MMX (lift_mmx.c). */
/* Bring the MMX registers into struct cpu, do what the first MMX instruction after x87 code does. */
void lift_mmx_enter(struct lift *l);
/* Operand n, an MMX register or memory, as a v128 with upper half zero. */
ir_ref lift_mmx_src(struct lift *l, const struct insn *i, unsigned n);
/* Low 64 bits of a v128 to MMX register reg. */
void lift_mmx_putv(struct lift *l, unsigned reg, ir_ref v);

#endif
