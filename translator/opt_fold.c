/*
 * opt_fold.c - forward what is known: the contents of register slots, copies,
 * constants, displacements of addresses.  Done to each instruction as it is
 * appended (ir.c), so that what is known need not be built first.
 *
 * Where a value lives.  Backends keep each guest register in a fixed home, so a
 * GET costs nothing and the value of a GET (or of what was PUT) *is* the home
 * until the next PUT there; a value used after its home has been overwritten
 * costs a move.  Hence:
 *  - a GET becomes the newest value PUT to (or got from) its slot, which lives
 *    in just that home;
 *  - but if that value's own home (where it was first) is another one and has
 *    been overwritten meanwhile, the GET stays and starts a new value;
 *  - displacements are moved through an address only while its base still is in
 *    its home;
 *  - of narrow values only constants and conditions are forwarded: reading part of a home is free.
 *
 * Operands of FLAGS name an operation, not a value: they are never replaced.  An
 * operation that may get a FLAGS is therefore appended as it is, though its value
 * be known; others then use that value in its place (same[]).
 */
#include <string.h>

#include "translator/opt.h"

static bool in_home(const struct ir_block *b, ir_ref v)
{
    const struct opt_state *f = b->opt;
    if (!f->home[v] || ir_is_const(b, v))
        return true;
    const struct opt_reg *r = &f->reg[f->home[v] - 1];
    return r->q == v || r->d == v || r->w == v || r->b == v || r->h == v;
}

static void settle(struct opt_state *f, ir_ref v, int r)
{
    if (!f->home[v])
        f->home[v] = (uint8_t)(r + 1);
}

/* GET n of register r: its field of struct opt_reg. */
static uint16_t *field(struct opt_reg *r, const struct ir_ins *n)
{
    switch (n->type) {
    case TY_I8:  return slot_is_high(n) ? &r->h : &r->b;
    case TY_I16: return &r->w;
    case TY_I32: return &r->d;
    default:     return &r->q;
    }
}

static ir_ref do_get(struct ir_block *b, struct ir_ins *n, int no)
{
    struct opt_state *f = b->opt;
    struct opt_reg *r = &f->reg[no];
    uint16_t *known = field(r, n);
    ir_ref v = *known, wide = r->q ? r->q : r->d;
    bool free = n->type >= TY_I32 || b->ins[v].op == IR_GET || b->ins[v].op == IR_CC;
    if (v && (ir_is_const(b, v) || (in_home(b, v) && free)))
        return v;
    unsigned have = wide ? type_bytes(ir_type_of(b, wide)) : 0;
    if (no < 16 && wide && wide != v && known != &r->h && in_home(b, wide) &&
        (n->type == TY_I64 ? r->zx && !r->q : type_bytes(n->type) < have)) {
        struct ir_ins cut = { .op = n->type == TY_I64 ? IR_ZEXT : IR_TRUNC, .type = n->type, .a = wide };
        v = ir_fold(b, &cut, false);
        if (!v)
            settle(f, v = ir_append(b, &cut), no);
    } else {
        settle(f, v = ir_append(b, n), no);
    }
    *known = (uint16_t)v;
    return v;
}

static ir_ref do_put(struct ir_block *b, const struct ir_ins *n, int no)
{
    struct opt_state *f = b->opt;
    struct opt_reg *r = &f->reg[no], new = { .q = 0 };
    if (no >= 16) {
        r->q = n->op == IR_PUTV ? (uint16_t)n->a : IR_NONE;
        settle(f, n->a, no);
        return ir_append(b, n);
    }
    switch (n->type) {
    case TY_I8:
        if (slot_is_high(n)) {
            new.b = r->b;
            new.h = (uint16_t)n->a;
        } else {
            new.h = r->h;
            new.b = (uint16_t)n->a;
        }
        break;
    case TY_I16:
        new.w = (uint16_t)n->a;
        break;
    case TY_I32:
        if (r->d == n->a && r->zx)
            return IR_NONE;             /* it is there already */
        new.d = (uint16_t)n->a;
        new.zx = true;
        settle(f, n->a, no);
        break;
    default:
        if (r->q == n->a)
            return IR_NONE;
        new.q = (uint16_t)n->a;
        settle(f, n->a, no);
        break;
    }
    *r = new;
    return ir_append(b, n);
}

ir_ref ir_get(struct ir_block *b, enum ir_type t, unsigned reg, bool high)
{
    struct ir_ins n = { .op = IR_GET, .type = (uint8_t)t, .aux = high, .imm = SLOT_R(reg) };
    return b->opt ? do_get(b, &n, (int)reg) : ir_append(b, &n);
}

void ir_put(struct ir_block *b, enum ir_type t, unsigned reg, bool high, ir_ref v)
{
    struct ir_ins n = { .op = IR_PUT, .type = (uint8_t)t, .aux = high, .a = v, .imm = SLOT_R(reg) };
    if (b->opt) {
        n.a = b->opt->same[v];
        do_put(b, &n, (int)reg);
    } else {
        ir_append(b, &n);
    }
}

ir_ref opt_slot(struct ir_block *b, struct ir_ins *n)
{
    struct opt_state *f = b->opt;
    int no;
    switch (n->op) {
    case IR_GETF:
        return f->flags ? f->flags : (f->flags = ir_append(b, n));
    case IR_PUTF:
        if (f->flags == n->a)
            return IR_NONE;
        f->flags = n->a;
        return ir_append(b, n);
    case IR_PC:
        return ir_append(b, n);
    default:
        no = slot_reg(n->imm);
        if (no >= 16 && n->op == IR_GET)
            return ir_append(b, n);
        if (no >= 0)
            return n->op == IR_GET || n->op == IR_GETV ? do_get(b, n, no) : do_put(b, n, no);
        if (n->op == IR_PUT && slot_hits_flags(n->imm, (enum ir_type)n->type))
            f->flags = IR_NONE;
        return ir_append(b, n);
    }
}

void opt_call(struct ir_block *b, const struct ir_ins *n)
{
    struct opt_state *f = b->opt;
    unsigned writes = helper_info[n->aux].writes;
    if ((helper_info[n->aux].attrs & HF_MEM) || (writes & HS_SYS))
        f->ngroups = f->oldest = 0;     /* the mapping may have changed (opt_probe.c) */
    if (writes & HS_GPR)
        memset(f->reg, 0, 16 * sizeof f->reg[0]);
    if (writes & HS_VEC)
        memset(f->reg + 16, 0, 16 * sizeof f->reg[0]);
    if (writes & HS_FLAGS)
        f->flags = IR_NONE;
}

void opt_address(struct ir_block *b, struct ir_ins *n)
{
    const struct ir_ins *v = b->ins;
    for (;;) {
        const struct ir_ins *x = &v[n->a];
        int64_t k;
        if (x->op == IR_EA && x->a && !x->b)
            k = x->imm;
        else if (x->op == IR_ADD && ir_is_const(b, x->b))
            k = v[x->b].imm;
        else if (x->op == IR_SUB && ir_is_const(b, x->b))
            k = -v[x->b].imm;
        else
            return;
        if (n->imm + k != (int32_t)(n->imm + k) || !in_home(b, x->a))
            return;
        n->imm += k;
        n->a = x->a;
    }
}

ir_ref opt_pure(struct ir_block *b, struct ir_ins *n)
{
    const struct ir_ins *x = &b->ins[n->a];
    bool deep = !((x->a && !in_home(b, x->a)) || (x->b && !in_home(b, x->b)));
    if (n->op == IR_EA && n->b)
        deep = deep && in_home(b, b->ins[n->b].a);
    ir_ref same = ir_fold(b, n, deep);
    return same ? same : ir_append(b, n);
}

ir_ref opt_flagged(struct ir_block *b, const struct ir_ins *n)
{
    ir_ref i = ir_append(b, n), same;
    struct ir_ins folded = *n;
    same = ir_fold(b, &folded, false);
    if (same)
        b->opt->same[i] = (uint16_t)same;
    return i;
}
