/*
 * check.h - lock-step: every block runs in the interpreter and as host code, and
 * both must leave the same registers, flags and memory.
 */
#ifndef TRANSLATOR_CHECK_H
#define TRANSLATOR_CHECK_H

#include "translator/cache.h"

struct check;

struct check *check_new(void);
void check_free(struct check *);
/*
 * Run block b (host code at rx) of IR `ir` once, both ways.  *why is how the
 * host code left (c->link_ra as after backend_enter()), or, where the block cannot
 * be run twice, how the interpreter did; *interp then is true (c->rip is exact).
 * A difference is reported on stderr with guest code, IR and host code, and the
 * process ends with EXIT_CODE_CHECK.
 */
void check_block(struct check *k, struct cpu *c, struct cache *cache, struct block *b, const struct ir_block *ir,
                 enum exec_why *why, bool *interp);
/* Print n bytes of x86 code at address `at`, one instruction a line, an arrow at the one at pc (0: none);
 * around: only those around it. */
#define CHECK_HOST 0u           /* as `bits`: it is host code */
void check_disassemble(FILE *f, const uint8_t *p, size_t n, uint64_t at, unsigned bits, uint64_t pc,
                       bool around);
/*
 * Is there a jump, without condition, in these n bytes of host code?  *cs is 0 at first, and stays open for the next
 * question: opening one takes longer than most answers.
 */
bool check_jumps(csh *cs, const uint8_t *p, size_t n);
/* The guest code of a block's ranges (what was looked at behind its exits, too); lin: the first byte's; pc: for the
 * arrow. */
void check_guest_code(FILE *f, struct phys *phys, uint32_t mode, uint64_t lin, const struct ir_range *r,
                      unsigned n, uint64_t pc);
uint64_t check_count(const struct check *k);

#endif
