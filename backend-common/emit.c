/*
 * emit.c - one walk over a block's operations, each to its family's emitter; the
 * out-of-line parts behind.
 */
#include "config.h"

#include <assert.h>
#include <stdlib.h>

#include BACKEND_EMIT_H
#include "base/log.h"

/* Condition r into a temporary. */
static void materialise(struct emit *e, ir_ref r)
{
    unsigned t = use_copy(e, r);
    def_at(e, r, LOC_TEMP, t, 0);
    e->val[r].zx = HOST_CC_EXTENDED;
    temp_release(e, t);
}

/*
 * Operands that are conditions not yet computed are only understood by a few operations, and kept by none:
 * they would hold on to their flags.  First come those on flags that the computing of others would destroy.
 */
static void materialise_conditions(struct emit *e, const struct ir_ins *p)
{
    const ir_ref ops[3] = { p->a, p->b, p->c };
    bool takes = p->op == IR_ZEXT || p->op == IR_TRUNC || p->op == IR_PUT;
    if (p->op == IR_EXIT_IF || p->op == IR_SELECT)
        return;
    for (unsigned pass = 0; pass < 2; pass++)
        for (unsigned k = 0; k < 3; k++)
            if (ops[k] && e->val[ops[k]].loc == LOC_CC && !(takes && dies(e, ops[k])) &&
                (pass || (e->ef && (ir_ref)e->val[ops[k]].imm == e->ef)))
                materialise(e, ops[k]);
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

bool mem_off_stack(const struct ir_block *b, ir_ref r)
{
    for (;;) {
        const struct ir_ins *p = &b->ins[r];
        switch (p->op) {
        case IR_GET:
            return p->imm == (int64_t)SLOT_R(R_SP);
        case IR_ADD: case IR_SUB: case IR_AND: case IR_EA: case IR_ZEXT: case IR_TRUNC:
            r = p->a;
            break;
        default:
            return false;
        }
    }
}

static bool same_operands(const struct ir_ins *p, const struct ir_ins *q)
{
    return p->type == q->type && p->a == q->a && p->b == q->b && p->c == q->c && p->aux == q->aux;
}

unsigned emit_partner(struct emit *e, unsigned op1, unsigned op2)
{
    const struct ir_ins *ins = e->b->ins;
    unsigned j = e->i + 1;
    while (j < e->b->n && ins[j].op == IR_NOP)
        j++;
    if (j < e->b->n && (ins[j].op == op1 || ins[j].op == op2) && same_operands(&ins[e->i], &ins[j])) {
        alloc_ahead(e, j);
        return j;
    }
    return 0;
}

enum upper div_upper(const struct ir_block *b, const struct ir_ins *p)
{
    const struct ir_ins *a = &b->ins[p->a];
    if (p->aux & 1) {                           /* CWD, CDQ, CQO, or shifted by hand */
        bool sign = a->op == IR_SAR && a->a == p->b && ir_is_const(b, a->b) &&
                    b->ins[a->b].imm == (int64_t)type_bits((enum ir_type)p->type) - 1;
        return sign ? UPPER_SIGN : UPPER_ANY;
    }
    while (a->op == IR_ZEXT || a->op == IR_TRUNC)
        a = &b->ins[a->a];
    if ((a->op == IR_XOR || a->op == IR_SUB) && a->a == a->b)   /* kept for its flags */
        return UPPER_ZERO;
    return a->op == IR_CONST && !a->imm ? UPPER_ZERO : UPPER_ANY;
}

bool div_fits(struct emit *e, const struct ir_ins *p)
{
    int64_t c;
    return use_is_const(e, p->c, &c) && c && !((p->aux & 1) && c == -1);
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
    host_begin(e, copied);
    e->be = be;
    e->b = b;
    e->out = out;
    e->pc = (int32_t)b->start;
    e->nslow = e->nside = e->nstub = 0;
    e->ind_miss = NULL;
    e->x87_in = b->uses_x87;
    e->insns = 0;
    e->i = 0;
    out->nexits = out->nfaults = out->nmarks = 0;
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
            e->insns++;
            host_mark(e->out, e->a.p - e->start, (int64_t)e->pc - (int32_t)b->start);
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
            assert(!e->temp_busy[k]);
        for (unsigned k = 0; k < VT_COUNT; k++)
            assert(!e->vtemp_busy[k]);
#endif
        if (e->nfl_spilled)
            flags_free(e);
    }
    e->out->size = (uint32_t)(e->a.p - e->start);
}

void emit_cold(struct emit *e, uint8_t *cold)
{
    if (cold == e->a.p)
        host_mark(e->out, cold - e->start, MARK_BEHIND);
    e->a.p = cold;
    emit_slow_paths(e);
    emit_side_exits(e);
    e->out->cold_size = (uint32_t)(e->a.p - cold);
}
