/*
 * none.c - backend.h on hosts without a code generator: everything is interpreted.
 *
 * exec_options.interp is always set here (main/options.c), so only what the
 * interpreter needs does something (memory for struct cpu: cpu_mem.c).  The guest's floating
 * point is computed by vec_fp.c and x87_op.c and never waits in host registers.
 */
#include <stdlib.h>

#include "translator/backend.h"
#include "translator/backend_hooks.h"

const bool backend_exists = false;
const bool backend_sse_plain = false;
const bool backend_flags_wait = false;
const bool backend_keeps_carry = true;
const unsigned backend_dead_ra = 0;
const unsigned backend_max_mib = 2047;
const struct backend_feature backend_features[1];
const unsigned backend_nfeatures = 0;

uint64_t backend_host_features(void)
{
    return 0;
}

bool backend_tso(void)
{
    return false;
}

void backend_fp_sync(struct cpu *c)
{
}

void backend_fp_changed(struct cpu *c)
{
}

/* ---- what only code that was generated could lead to ---- */

static void __attribute__((noreturn)) no_code(void)
{
    abort();
}

const char *backend_missing(void)
{
    no_code();
}

bool backend_code_runs(uint8_t *rw, intptr_t rx_off)
{
    no_code();
}

bool backend_disassembler(csh *cs)
{
    return false;
}

const void *backend_thunk_caller(const struct cpu *c)
{
    no_code();
}

struct backend *backend_new(uint8_t *rw, intptr_t rx_off, const struct backend_config *config)
{
    no_code();
}

uint32_t backend_jc_hash(uint64_t rip)
{
    no_code();
}

void backend_free(struct backend *be)
{
    no_code();
}

uint32_t backend_bound(const struct ir_block *b)
{
    no_code();
}

void backend_emit(struct backend *be, const struct ir_block *b, uint8_t *rw, uint8_t *cold, struct host_block *out)
{
    no_code();
}

void backend_link(struct backend *be, uint8_t *rw, const struct host_exit *e, const uint8_t *target, uint32_t from,
                  uint32_t to)
{
    no_code();
}

void backend_kill(struct backend *be, uint8_t *rw)
{
    no_code();
}

void backend_hop(struct backend *be, uint8_t *rw, const struct host_exit *e, bool code64)
{
    no_code();
}

void backend_unlink(struct backend *be, uint8_t *rw, const struct host_exit *e)
{
    no_code();
}

enum exec_why backend_enter(struct backend *be, struct cpu *c, const void *rx)
{
    no_code();
}
