/*
 * stencil.h - the first translation of a block: copied together, not translated.
 *
 * Most code runs a few times only, and consists of a few thousand forms of
 * instructions (frontend/form.h).  So code is made once for each form, by the same
 * lifter, optimiser and backend as everything else - a stencil -, and a block that
 * is new is put together from copies of them, their holes filled with the
 * instruction's numbers.  Blocks that turn out to run often are translated as a
 * whole, in exec.c.
 *
 * What copies cannot have is what one instruction could do for another: shared
 * probes, flags that wait in the host's registers, values kept from one to the next.
 * Only a compare and the condition behind it share a stencil.  Flags an instruction
 * writes are stored unless they are overwritten in the same block before anything
 * can see them; so c->flags is exact at every fault point, and no recipes are needed.
 */
#ifndef TRANSLATOR_STENCIL_H
#define TRANSLATOR_STENCIL_H

#include "translator/cache.h"
#include "frontend/lift.h"

struct stencils;

struct stencils *stencils_new(struct backend *);
void stencils_free(struct stencils *);

/*
 * Find the stencils of the block at b->pa, which lies at b->start of a page with these bytes, making those
 * that are missing.  b has pa, mode, start, flat; insns, guest_len and range are set.  False: there are none for its first instruction.  After it stencils_bound() bytes are
 * needed for the hot and the cold part each, and stencils_copy() writes them; b is not changed in between.
 */
bool stencils_plan(struct stencils *, struct cpu *c, struct ir_block *b, const uint8_t *page,
                   const struct lift_options *o);
uint32_t stencils_bound(const struct stencils *);
void stencils_copy(struct stencils *, uint8_t *rw, uint8_t *cold, unsigned heat, struct host_block *out);

/* Forms known, stencils made, since the start. */
void stencils_count(const struct stencils *, uint64_t *forms, uint64_t *made);

#endif
