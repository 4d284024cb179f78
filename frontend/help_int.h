/* help_int.h - prototypes of the helpers in help_int.def and what they share. */
#ifndef FRONTEND_HELP_INT_H
#define FRONTEND_HELP_INT_H

#include "frontend/cpu.h"

/* ---- help_int.c ---- */
bool help_cs_limit(struct cpu *c, uint64_t eip);
bool help_no_mmx(struct cpu *c);
bool help_bound(struct cpu *c, uint64_t index, uint64_t low, uint64_t high);
void help_bcd(struct cpu *c, uint64_t which);
void help_aam(struct cpu *c, uint64_t base);
void help_aad(struct cpu *c, uint64_t base);
/* ENTER: operand size, size of the stack pointer in use, aux of its memory accesses. */
#define ENTER_HOW(opsize, spsize, aux) ((opsize) | (spsize) << 4 | (aux) << 8)
bool help_enter(struct cpu *c, uint64_t bytes, uint64_t level, uint64_t how);
bool help_cmpxchg16b(struct cpu *c, uint64_t lin, uint64_t aux);

/* ---- help_string.c; the argument says all about the instruction ---- */
#define REP_SIZE   0x0000000fu  /* bytes of an element: 1 2 4 8 */
#define REP_ASIZE  0x000000f0u  /* bytes of an address << 4: 2 4 8 */
#define REP_SEG    0x00000700u  /* SEG_* of the source << 8 */
#define REP_NE     0x00000800u  /* CMPS, SCAS: F2, go on while different */
#define REP_ONE    0x00001000u  /* one element a call (single-step) */
#define REP_64     0x00002000u  /* 64-bit mode: only FS and GS have a base, no limits */
#define REP_AUX_SHIFT 16        /* aux of the memory accesses */
bool help_rep_movs(struct cpu *c, uint64_t how);
bool help_rep_stos(struct cpu *c, uint64_t how);
bool help_rep_lods(struct cpu *c, uint64_t how);
bool help_rep_cmps(struct cpu *c, uint64_t how);
bool help_rep_scas(struct cpu *c, uint64_t how);

#endif
