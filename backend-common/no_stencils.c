/*
 * no_stencils.c - for backends without stencils: blocks are translated as a whole at once.
 */
#include <stdlib.h>

#include "translator/backend.h"

const bool backend_has_stencils = false;

static void __attribute__((noreturn)) no_code(void)
{
    abort();
}

uint32_t backend_stencil(struct backend *be, const struct ir_block *b, int64_t target, struct host_stencil *at)
{
    no_code();
}

bool backend_stencil_hostf(const struct host_stencil *s)
{
    no_code();
}

uint32_t backend_stencil_bound(const struct host_stencil *s)
{
    no_code();
}

void backend_copy_begin(struct backend *be, uint8_t *rw, uint8_t *cold, int32_t pc, unsigned heat,
                        struct host_block *out)
{
    no_code();
}

void backend_copy(struct backend *be, const struct host_stencil *s, const struct stencil_site *site)
{
    no_code();
}

void backend_copy_end(struct backend *be)
{
    no_code();
}
