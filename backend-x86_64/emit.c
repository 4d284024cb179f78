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

/* Operands that are conditions not yet computed are only understood by a few operations. */
static void materialise_conditions(struct emit *e, const struct ir_ins *p)
{
    const ir_ref ops[3] = { p->a, p->b, p->c };
    switch (p->op) {
    case IR_EXIT_IF: case IR_SELECT: case IR_ZEXT: case IR_TRUNC: case IR_PUT:
        return;
    default:
        for (unsigned k = 0; k < 3; k++)
            if (ops[k] && e->val[ops[k]].loc == LOC_CC) {
                unsigned t = use_copy(e, ops[k]);
                def_at(e, ops[k], LOC_TEMP, t, 0);
                e->val[ops[k]].zx = false;
                temp_release(e, t);
            }
    }
}

static void emit_op(struct emit *e, const struct ir_ins *p)
{
    switch (p->op) {
    case IR_GET: case IR_GETV:
        alloc_get(e, p);
        break;
    case IR_PUT:
        alloc_put(e, p);
        break;
    case IR_PUTV:
        alloc_putv(e, p);
        break;
    case IR_GETF: case IR_PUTF: case IR_FLAGS: case IR_HOSTF: case IR_FMERGE: case IR_FBITS: case IR_CC:
        emit_flags_op(e, p);
        break;
    case IR_MUL: case IR_MULHU: case IR_MULHS: case IR_DIV: case IR_REM:
        emit_muldiv(e, p);
        break;
    case IR_DIVCHK:
        emit_divchk(e, p);
        break;
    case IR_LD: case IR_ST: case IR_LDV: case IR_STV: case IR_PROBE: case IR_LOAD: case IR_STORE:
    case IR_LOADV: case IR_STOREV: case IR_AMO: case IR_CAS: case IR_FENCE: case IR_SEGCHK:
        emit_mem(e, p);
        break;
    case IR_CALL:
        emit_call(e, p);
        break;
    case IR_SEEN:
        e->seen = true;
        e->seen_changed = (uint16_t)p->imm;
        break;
    case IR_EXIT: case IR_EXIT_IF: case IR_EXIT_IND: case IR_EXIT_SYS: case IR_RAISE:
        emit_exit(e, p);
        break;
    case IR_X87:
        emit_x87(e, p);
        break;
    default:
        if (ir_attrs[p->op] & IRA_VEC)
            emit_vec(e, p);
        else
            emit_int(e, p);
    }
}

struct emit *emit_begin(struct backend *be, const struct ir_block *b, uint8_t *rw, bool copied,
                        struct host_block *out)
{
    struct emit *e = be->em;
    if (!e) {
        e = be->em = malloc(sizeof *e);
        if (!e)
            die(EXIT_CODE_HOST, "out of memory");
    }
    e->a.p = e->start = rw;
    e->a.notes = copied ? &e->notes : NULL;
    e->notes.n = 0;
    e->be = be;
    e->b = b;
    e->out = out;
    e->pc = (int32_t)b->start;
    e->nslow = e->nside = e->nstub = 0;
    e->ind_miss = NULL;
    e->x87_in = b->uses_x87;
    e->i = 0;
    out->nexits = out->nfaults = 0;
    alloc_prepare(e);
    flags_prepare(e);
    return e;
}

void emit_ops(struct emit *e)
{
    const struct ir_block *b = e->b;
    for (unsigned i = 1; i < b->n; i++) {
        const struct ir_ins *p = &b->ins[i];
        if (p->op == IR_NOP)
            continue;
        if (p->op == IR_MARK) {
            e->pc = (int32_t)p->imm;
            continue;
        }
        alloc_begin(e, i);
        if (e->owner[UNIT_CC])
            materialise_conditions(e, p);
        if (e->use[i].flags)
            recipe_begin(e, i);
        if (!recipe_skips(e))
            emit_op(e, p);
        if (e->nwait)
            recipe_step(e);
        if (e->use[i].dies)
            alloc_dead(e, p, e->use[i].dies);
#ifdef LATIMER_CHECKED
        for (unsigned k = 0; k < T_COUNT; k++)
            assert(!e->temp_busy[k] && !e->vtemp_busy[k]);
#endif
        if (e->nfl_spilled)
            flags_free(e);
    }
    e->out->size = (uint32_t)(e->a.p - e->start);
}

void emit_cold(struct emit *e, uint8_t *cold)
{
    e->a.p = cold;
    emit_slow_paths(e);
    emit_side_exits(e);
    e->out->cold_size = (uint32_t)(e->a.p - cold);
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
