/*
 * emit.c - one IR block to host code: prologue, one pass over the operations,
 * then the out-of-line parts; and the patching of exits.
 *
 *      cmp  dword [attn], 0        interrupts and other requests are taken here
 *      jne  attn stub
 *      (x87 in use: is the guest's x87 state in the host's registers?)
 *      ... operations ...
 * and in the cold area: slow paths, side exits, stubs
 */
#include <assert.h>
#include <stdlib.h>

#include "backend-x86_64/emit.h"
#include "base/log.h"

uint32_t backend_bound(const struct ir_block *b)
{
    return b->n * 256 + 4096;
}

void backend_emit(struct backend *be, const struct ir_block *b, uint8_t *rw, uint8_t *cold,
                  struct host_block *out)
{
    struct emit *e = emit_begin(be, b, rw, false, out);
    as_rm(&e->a, 0x83, false, 7, hm_cpu(CPU_OFF(attn)));
    as_b(&e->a, 0);
    uint8_t *attn = as_jcc(&e->a, CC_NZ), *x87 = NULL, *x87_back = NULL;
    if (b->uses_x87) {
        as_rm(&e->a, 0x80, false, 7, hm_cpu(CPU_OFF(x87_live)));
        as_b(&e->a, 0);
        x87 = as_jcc(&e->a, CC_Z);
        x87_back = e->a.p;
    }
    emit_ops(e);
    emit_cold(e, cold);
    as_patch(&e->a, attn, e->a.p);
    emit_thunk_call(e, be->attn, (int32_t)b->start, 0);
    if (x87) {
        as_patch(&e->a, x87, e->a.p);
        emit_thunk_call(e, be->x87_load, (int32_t)b->start, 0);
        as_jmp_to(&e->a, x87_back);
    }
    out->cold_size = (uint32_t)(e->a.p - cold);
    assert(out->size <= backend_bound(b) && out->cold_size <= backend_bound(b));
}

/* ---- linking ---- */

void backend_link(struct backend *be, uint8_t *rw, const struct host_exit *e, const uint8_t *target,
                  uint32_t from, uint32_t to)
{
    if (e->aux & EXIT_CROSS) {
        uint32_t zero = 0;
        memcpy(rw + e->key_from, &zero, 4);
        memcpy(rw + e->key_to, &to, 4);
        as_set_rel(rw + e->jump, target);
        memcpy(rw + e->key_from, &from, 4);
    } else {
        as_set_rel(rw + e->jump, target);
    }
}

void backend_unlink(struct backend *be, uint8_t *rw, const struct host_exit *e)
{
    if (e->aux & EXIT_CROSS) {
        uint32_t zero = 0;
        memcpy(rw + e->key_from, &zero, 4);
    } else {
        as_set_rel(rw + e->jump, rw + e->stub_ra - 5);    /* the stub's CALL is 5 bytes */
    }
}

void backend_hop(struct backend *be, uint8_t *rw, const struct host_exit *e, bool code64)
{
    as_set_rel(rw + e->stub_ra - 4, be->hop[code64]);     /* the stub's CALL */
}

void backend_kill(struct backend *be, uint8_t *rw)
{
    struct as a = { .p = rw, .notes = NULL };
    as_call_to(&a, be->next);   /* 5 bytes, inside the entry test; the run loop knows the block by them */
}
