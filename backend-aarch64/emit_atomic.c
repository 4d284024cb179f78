/*
 * emit_atomic.c - LOCK operations, and guest accesses in x86's order (docs/aarch64.md, "Memory order").
 *
 * Where other vCPUs look (backend.ordered), loads acquire (LDAPR; LDAR without LRCPC) and stores release
 * (STLR); both want their operand aligned.  Where an access is not, and for vector registers, the order is
 * made by barriers: a load is followed by DMB ISHLD, so that nothing behind it comes before it; a store is
 * preceded by DMB ISHST, which is enough since all loads before it have such an order already.  C code is
 * entered and left across a full barrier.
 *
 * LOCK operations are full barriers.  An instruction of LSE that acquires and releases is one (what precedes it
 * is barrier-ordered before what follows); an exclusive pair is not, so a DMB follows it.  A compare that
 * fails stores back what it read, as x86 does, and thereby releases; a failed CASAL need not, so it is done
 * again behind a barrier: what the second finds counts.
 *
 * Source: DDI 0487, B2.3 (memory order), B2.9 (exclusive accesses), C6 (instructions).
 */
#include <assert.h>

#include "backend-aarch64/emit.h"

/* Load or store at [n + off] in order; off is 0 without LRCPC2. */
static void access_ordered(struct emit *e, bool store, unsigned log, unsigned r, unsigned n, int32_t off)
{
    if (off)
        as_order_u(&e->a, store ? OP_STLUR : OP_LDAPUR, log, r, n, off);
    else
        as_order(&e->a, store ? OP_STLR : host_has(e->be, HF_LRCPC) ? OP_LDAPR : OP_LDAR, log, r, n);
}

void emit_access(struct emit *e, struct slow *s, bool store, unsigned log, unsigned r, unsigned addr, unsigned delta,
                 bool probed)
{
    if (!e->be->ordered) {
        as_ldst_r(&e->a, store ? OP_STR : OP_LDR, log, r, addr, delta);
        return;
    }
    as_rrr(&e->a, OP_ADD, true, H_S1, addr, delta);
    access_ordered(e, store, log, r, H_S1, 0);
    s->near = log && probed;
    s->delta = (uint8_t)delta;
}

void emit_access_probed(struct emit *e, bool store, unsigned log, unsigned r, unsigned h, uint32_t off)
{
    struct slow *s = NULL;
    if (off >= 256 || (off & ((1u << log) - 1)) || (off && !host_has(e->be, HF_LRCPC2))) {
        as_add_i(&e->a, true, H_S1, h, off, H_S1);
        h = H_S1;
        off = 0;
    }
    if (log) {                                  /* the page is known, whether it is aligned is not */
        assert(e->nslow < sizeof e->slow / sizeof e->slow[0]);
        s = &e->slow[e->nslow++];
        *s = (struct slow){ .kind = store ? SLOW_PLAIN_ST : SLOW_PLAIN_LD, .pc = e->pc, .type = (uint8_t)log,
                            .dst = (uint8_t)r, .addr = (uint8_t)h, .disp = (int16_t)off };
        as_logic_i(&e->a, OPI_AND, false, H_S0, h, (1u << log) - 1);
        s->from[0] = as_cbnz(&e->a, false, H_S0);
    }
    access_ordered(e, store, log, r, h, (int32_t)off);
    if (s)
        s->back = e->a.p;
}

void emit_plain(struct emit *e, const struct slow *s)
{
    host_mark(e->out, e->a.p - e->start, (int64_t)s->pc - (int32_t)e->b->start);    /* no thunk would tell */
    if (s->kind == SLOW_PLAIN_ST) {
        as_dmb_st(&e->a);
        as_ldst_u(&e->a, OP_STR, s->type, s->dst, s->addr, s->disp);
    } else {
        as_ldst_u(&e->a, OP_LDR, s->type, s->dst, s->addr, s->disp);
        as_dmb_ld(&e->a);
    }
    as_b_to(&e->a, s->back);
    host_mark(e->out, e->a.p - e->start, MARK_BEHIND);
}

/* Branches taken unless s1 says that the first byte's page was found, and the operand lies within 1 <<
 * log bytes. */
static void unless_within(struct emit *e, const struct slow *s, unsigned span, unsigned log, uint8_t *out[2])
{
    as_logic_i(&e->a, OPI_AND, true, H_S0, H_S1, ~((uint64_t)(span - 1) << (64 - PAGE_BITS)));
    out[0] = as_cbnz(&e->a, true, H_S0);
    as_add_i(&e->a, true, H_S0, s->addr, (int64_t)span - 1, H_S0);
    as_rrr(&e->a, OP_EOR, true, H_S0, H_S0, s->addr);
    as_lsr(&e->a, true, H_S0, H_S0, log);
    out[1] = as_cbnz(&e->a, true, H_S0);
}

void emit_near(struct emit *e, const struct slow *s)
{
    unsigned span = s->desc >> 16 & 0x1f, log = s->type - TY_I8;
    uint8_t *out[2];
    if (s->kind == SLOW_AMO) {
        unless_within(e, s, span, 4, out);
        as_b_to(&e->a, s->again);
    } else {
        unless_within(e, s, span, PAGE_BITS, out);
        if (s->kind == SLOW_ST) {
            as_dmb_st(&e->a);
            as_ldst_r(&e->a, OP_STR, log, s->dst, s->addr, s->delta);
        } else {
            as_ldst_r(&e->a, OP_LDR, log, s->dst, s->addr, s->delta);
            as_dmb_ld(&e->a);
        }
        as_b_to(&e->a, s->back);
    }
    as_patch(out[0], e->a.p);
    as_patch(out[1], e->a.p);
}

/* ---- LOCK operations on what H_S2 points at: old value to d ---- */

static void amo_lse(struct emit *e, unsigned op, unsigned log, unsigned d, unsigned v)
{
    static const uint32_t code[] = { [AMO_ADD] = OP_LDADDAL, [AMO_AND] = OP_LDCLRAL, [AMO_OR] = OP_LDSETAL,
                                     [AMO_XOR] = OP_LDEORAL, [AMO_XCHG] = OP_SWPAL };
    if (op == AMO_AND) {
        as_rrr(&e->a, OP_ORN, log == 3, H_S0, H_ZR, v);
        v = H_S0;
    }
    as_atomic(&e->a, code[op], log, v, d, H_S2);
}

static void amo_exclusive(struct emit *e, unsigned op, unsigned log, unsigned d, unsigned v)
{
    static const uint32_t code[] = { [AMO_ADD] = OP_ADD, [AMO_AND] = OP_AND, [AMO_OR] = OP_ORR, [AMO_XOR] = OP_EOR };
    const uint8_t *again = e->a.p;
    as_order(&e->a, OP_LDAXR, log, d, H_S2);
    if (op != AMO_XCHG) {
        as_rrr(&e->a, code[op], log == 3, H_S1, d, v);
        v = H_S1;
    }
    as_stlxr(&e->a, log, H_S0, v, H_S2);
    as_patch(as_cbnz(&e->a, false, H_S0), again);
    as_dmb(&e->a);
}

/* s0 = 0 if d and v agree in their low 1 << log bytes. */
static void differ(struct emit *e, unsigned log, unsigned d, unsigned v)
{
    as_rrr(&e->a, OP_EOR, log == 3, H_S0, d, v);
    if (log < 2)
        as_lsl(&e->a, false, H_S0, H_S0, 32 - (8u << log));
}

static void cas_lse(struct emit *e, unsigned log, unsigned d, unsigned v, unsigned nv)
{
    uint8_t *same;
    as_mov(&e->a, log == 3, d, v);
    as_atomic(&e->a, OP_CASAL, log, d, nv, H_S2);
    differ(e, log, d, v);
    same = as_cbz(&e->a, log == 3, H_S0);
    as_dmb(&e->a);
    as_mov(&e->a, log == 3, d, v);
    as_atomic(&e->a, OP_CASAL, log, d, nv, H_S2);
    as_patch(same, e->a.p);
}

static void cas_exclusive(struct emit *e, unsigned log, unsigned d, unsigned v, unsigned nv)
{
    const uint8_t *again = e->a.p;
    uint8_t *other;
    as_order(&e->a, OP_LDAXR, log, d, H_S2);
    differ(e, log, d, v);
    as_mov(&e->a, log == 3, H_S1, d);
    other = as_cbnz(&e->a, log == 3, H_S0);
    as_mov(&e->a, log == 3, H_S1, nv);
    as_patch(other, e->a.p);
    as_stlxr(&e->a, log, H_S0, H_S1, H_S2);
    as_patch(as_cbnz(&e->a, false, H_S0), again);
    as_dmb(&e->a);
}

void emit_atomic(struct emit *e, const struct ir_ins *p, struct slow *s, unsigned d, unsigned delta, bool probed,
                 unsigned v, unsigned nv)
{
    unsigned log = p->type - TY_I8, op = p->aux & MEM_SIZE;
    bool lse = host_has(e->be, HF_LSE);
    s->near = log && probed && lse && host_has(e->be, HF_LSE2);
    s->again = e->a.p;
    as_rrr(&e->a, OP_ADD, true, H_S2, s->addr, delta);
    if (p->op == IR_CAS && lse)
        cas_lse(e, log, d, v, nv);
    else if (p->op == IR_CAS)
        cas_exclusive(e, log, d, v, nv);
    else if (lse)
        amo_lse(e, op, log, d, v);
    else
        amo_exclusive(e, op, log, d, v);
}
