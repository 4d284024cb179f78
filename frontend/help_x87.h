/*
 * help_x87.h - the x87's operations, prototypes of the helpers in help_x87.def
 * and what they share.
 */
#ifndef FRONTEND_HELP_X87_H
#define FRONTEND_HELP_X87_H

#include "frontend/cpu.h"

enum x87_id {
#define X87(id, kind, size, op, modrm) X87_##id,
#include "frontend/x87.def"
#undef X87
    X87_COUNT
};
_Static_assert(X87_COUNT <= 256, "an operation is the low byte of aux");

/* What x87.def says of an operation. */
enum x87_kind { X87_RR, X87_LD, X87_ST, X87_STP, X87_POP, X87_FL, X87_MISC };
struct x87_info { uint8_t kind, size, op, modrm; };
extern const struct x87_info x87_info[X87_COUNT];

/* Status word. */
#define X87_SF  0x0040u         /* stack fault */
#define X87_ES  0x0080u         /* an unmasked exception is pending */
#define X87_C0  0x0100u
#define X87_C1  0x0200u
#define X87_C2  0x0400u
#define X87_TOP 0x3800u
#define X87_C3  0x4000u
#define X87_B   0x8000u         /* always as ES */

/* The portable definition of the operation; state is in c->fpu. */
void x87_op(struct cpu *c, unsigned aux, const union vreg *a, union vreg *res);
/* ES and B as the exception flags and masks say. */
void x87_update_es(struct x87 *f);
/* ES or CR0.NE may have changed: drive FERR#. */
void x87_drive_ferr(struct cpu *c);
/* The state after FNINIT. */
void x87_reset(struct cpu *c);
/* FIP, the last instruction's pointer: translated code stores c->x87_off alone where it can. */
static inline uint64_t x87_ip(const struct cpu *c) { return c->fpu.ip + c->x87_off; }
static inline void x87_set_ip(struct cpu *c, uint64_t ip)
{
    c->fpu.ip = ip;
    c->x87_off = 0;
}
/* FCS and FDS as loaded: 0 on processors that do not keep them (CPUID 7.EBX[13]). */
void x87_set_selectors(struct cpu *c, uint16_t cs, uint16_t ds);
/* Full tag word (two bits a register) from and to the abridged form. */
uint16_t x87_full_tag(const struct x87 *f);
void x87_set_full_tag(struct x87 *f, uint16_t tw);

#define X87_ENV_16   1u         /* 16-bit layout */
#define X87_ENV_REAL 2u         /* real and virtual-8086 mode layout */
#define X87_ENV_SAVE 4u         /* with the registers: FNSAVE, FRSTOR */
bool help_x87_wait(struct cpu *c);
void help_x87_now(struct cpu *c, uint64_t op, uint64_t dp, uint64_t seg);
uint64_t help_x87_exec(struct cpu *c, uint64_t aux, uint64_t lo, uint64_t hi);
uint64_t help_x87_unpop(struct cpu *c, uint64_t id, uint64_t lo, uint64_t hi);
uint64_t help_x87_outcome(struct cpu *c, uint64_t what);
uint64_t help_x87_ldcw(struct cpu *c, uint64_t cw);
uint64_t help_x87_init(struct cpu *c);
bool help_x87_stenv(struct cpu *c, uint64_t lin, uint64_t how, uint64_t aux);
bool help_x87_ldenv(struct cpu *c, uint64_t lin, uint64_t how, uint64_t aux);

#endif
