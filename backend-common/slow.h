/*
 * slow.h - what the thunks of translated code call (slow.c).  desc: an access's bytes << 16 | aux.
 */
#ifndef BACKEND_COMMON_SLOW_H
#define BACKEND_COMMON_SLOW_H

#include <stdint.h>

struct cpu;

int slow_load(struct cpu *c, uint64_t lin, uint64_t desc);      /* to c->hret */
int slow_store(struct cpu *c, uint64_t lin, uint64_t desc, uint64_t v);
int slow_loadv(struct cpu *c, uint64_t lin, uint64_t desc);     /* to c->hv */
int slow_storev(struct cpu *c, uint64_t lin, uint64_t desc);    /* from c->hv */
void slow_probe(struct cpu *c, uint64_t lin, uint64_t desc);    /* c->hret = delta, 0: redo */
int slow_amo(struct cpu *c, uint64_t lin, uint64_t desc, uint64_t v, uint64_t nv);
int slow_segchk(struct cpu *c, uint64_t off, uint64_t desc);
int slow_raise(struct cpu *c, uint64_t vector, uint64_t code);  /* code: negative for none */
/* Signed division: does hi:lo / d overflow? type: enum ir_type. */
int slow_divs(struct cpu *c, uint64_t hi, uint64_t lo, uint64_t d, uint64_t type);
/* in: the instruction, in the code stream and not aligned; operands in c->va[1..3], result to c->va[0]. */
void slow_op(struct cpu *c, const void *in);
/* The flags of an operation with result c->va[0] and operands c->va[1..3]; what: kind | op << 8 | type << 16. */
uint64_t slow_flags(struct cpu *c, uint64_t what, uint64_t old);
/*
 * The flags an operation leaves, also those the manuals leave undefined: cc_of_op()'s. how: the old flags, and from bit 32 on,
 * a byte each, operation, type and kind.
 */
#define SLOW_CC_HOW(op, type, kind) ((uint32_t)(op) | (uint32_t)(type) << 8 | (uint32_t)(kind) << 16)
uint64_t slow_cc(struct cpu *c, uint64_t a, uint64_t b, uint64_t z, uint64_t how);
uint64_t slow_crc32(struct cpu *c, uint64_t crc, uint64_t v, uint64_t bytes);

#endif
