/*
 * backend_hooks.h - what C code outside the backend must tell it about floating point.
 *
 * While translated code has run, the host's MXCSR collects the guest's sticky
 * flags, and the host's x87 may hold the guest's x87/MMX registers.  C code that
 * reads or writes c->mxcsr or c->fpu, or does floating-point arithmetic itself,
 * brackets that with these two.  Without generated code both do nothing.
 */
#ifndef TRANSLATOR_BACKEND_HOOKS_H
#define TRANSLATOR_BACKEND_HOOKS_H

#include <stdbool.h>

struct cpu;

/* Host code follows MXCSR's rounding control, FTZ and DAZ only in a mode of its own (M_ODD_SSE). */
extern const bool backend_sse_plain;

/* c->mxcsr and c->fpu become exact and authoritative; the host's FP environment becomes C's. */
void backend_fp_sync(struct cpu *c);
/* c->mxcsr or c->fpu.cw were changed by C code. */
void backend_fp_changed(struct cpu *c);

#endif
