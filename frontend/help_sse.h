/* help_sse.h - prototypes of the helpers in help_sse.def and what they share. */
#ifndef FRONTEND_HELP_SSE_H
#define FRONTEND_HELP_SSE_H

#include "frontend/cpu.h"

/* help_vfp: a floating-point row under unmasked exceptions.  Where the result goes: */
enum { VFP_TO_XMM, VFP_TO_XMM_LOW, VFP_TO_GPR, VFP_TO_FLAGS, VFP_TO_MMX };
/* size: of the general register; src_b: the source is operand b and XMM dst operand a. */
#define VFP_FORM(dst, kind, size, src_b) ((dst) | (kind) << 8 | (size) << 16 | (unsigned)(src_b) << 24)
#define VFP_OP(op, aux, imm) ((int64_t)(op) | (int64_t)(aux) << 8 | (int64_t)(imm) << 24)

/* help_pcmpstr: form bit 0 = index result, bit 1 = explicit lengths; w: of 64 bits. */
#define PCMPSTR_IMM(imm8, reg, form, w) ((imm8) | (int64_t)(reg) << 8 | (int64_t)(form) << 12 | (int64_t)(w) << 14)

bool help_ldmxcsr(struct cpu *c, uint64_t v);
uint64_t help_get_mxcsr(struct cpu *c);
bool help_vfp(struct cpu *c, uint64_t lo, uint64_t hi, uint64_t form, uint64_t what);
void help_pcmpstr(struct cpu *c, uint64_t lo, uint64_t hi, uint64_t unused, uint64_t what);
bool help_maskmov(struct cpu *c, uint64_t lin, uint64_t unused, uint64_t unused2, uint64_t what);
bool help_mmx_enter(struct cpu *c);
bool help_emms(struct cpu *c);
bool help_fxsave(struct cpu *c, uint64_t lin, uint64_t w);
bool help_fxrstor(struct cpu *c, uint64_t lin, uint64_t w);
bool help_xsave(struct cpu *c, uint64_t lin, uint64_t w);
bool help_xrstor(struct cpu *c, uint64_t lin, uint64_t w);

#endif
