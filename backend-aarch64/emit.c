/*
 * emit.c - one IR block to host code, and the patching of exits.
 *
 *      ldr  s0, [attn]             interrupts and other requests are taken here
 *      cbnz s0, attn stub
 *      ... operations ...
 *      slow paths, side exits, stubs
 *
 * Links forward in the page skip the first two: no cycle of links is without one that goes back or across
 * pages, so a request waits for one pass through a page at most.  Behind helpers and STI none is skipped.
 *
 * All of it lies together: conditional branches reach 1 MiB, and the cold area is
 * farther away.
 */
#include <assert.h>

#include "backend-aarch64/emit.h"

const unsigned backend_dead_ra = 4;     /* backend_kill() writes one BL */

uint32_t backend_bound(const struct ir_block *b)
{
    return b->n * 256 + 4096;
}

/* The host's instruction cache learns of new code. */
static void flush(struct backend *be, const uint8_t *rw, size_t size)
{
    char *rx = (char *)(uintptr_t)rw + be->rx_off;
    __builtin___clear_cache(rx, rx + size);
}

void backend_emit(struct backend *be, const struct ir_block *b, uint8_t *rw, uint8_t *cold,
                  struct host_block *out)
{
    struct emit *e = emit_begin(be, b, rw, false, out);
    uint8_t *attn;
    as_ldst(&e->a, OP_LDR, 2, H_S0, H_CPU, CPU_OFF(attn));
    attn = as_cbnz(&e->a, false, H_S0);
    assert(e->a.p - rw == ENTRY_BYTES);
    emit_ops(e);
    emit_cold(e, e->a.p);
    as_patch(attn, e->a.p);
    emit_thunk_call(e, be->attn, (int32_t)b->start, 0);
    out->size = (uint32_t)(e->a.p - rw);
    out->cold_size = 0;
    assert(out->size <= backend_bound(b));
    flush(be, rw, out->size);
}

/* ---- linking ---- */

void backend_link(struct backend *be, uint8_t *rw, const struct host_exit *e, const uint8_t *target, uint32_t from,
                  uint32_t to)
{
    as_patch(rw + e->jump, target + (e->aux & EXIT_SKIP ? ENTRY_BYTES : 0));
    flush(be, rw + e->jump, 4);
    if (e->aux & EXIT_CROSS) {
        as_set_imm32(rw + e->key_to, to);
        flush(be, rw + e->key_to, 8);
        as_set_imm32(rw + e->key_from, from);
        flush(be, rw + e->key_from, 8);
    }
}

void backend_unlink(struct backend *be, uint8_t *rw, const struct host_exit *e)
{
    if (e->aux & EXIT_CROSS) {
        as_set_imm32(rw + e->key_from, 0);
        flush(be, rw + e->key_from, 8);
    } else {
        as_patch(rw + e->jump, rw + e->stub_ra - 4);            /* the stub's BL */
        flush(be, rw + e->jump, 4);
    }
}

void backend_hop(struct backend *be, uint8_t *rw, const struct host_exit *e, bool code64)
{
    as_patch(rw + e->stub_ra - 4, be->hop[code64]);
    flush(be, rw + e->stub_ra - 4, 4);
}

void backend_kill(struct backend *be, uint8_t *rw)
{
    struct as a = { .p = rw };
    as_bl_to(&a, be->next);     /* the run loop knows the block by the return address */
    flush(be, rw, 4);
}
