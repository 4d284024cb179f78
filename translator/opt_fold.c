/*
 * opt_fold.c - forward what is known: the contents of register slots, copies,
 * constants, displacements of addresses.
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
 *  - of narrow values only constants are forwarded: reading part of a home is free.
 *
 * Operands of FLAGS name an operation, not a value: they are never replaced, and
 * such an operation never changes.
 */
#include <string.h>

#include "translator/opt.h"

/* Known contents of a register, 0 = not known. */
struct reg {
    ir_ref q, d, w, b, h;       /* as i64, i32, i16, i8, second byte; vector registers: q */
    bool zx;                    /* bits 63:32 are zero */
};

struct fold {
    struct ir_block *b;
    struct reg reg[32];         /* 0..15 general, 16..31 vector */
    ir_ref flags;               /* current flags value */
    ir_ref spare;               /* a former PUT (nothing refers to it) that may become a CONST */
    ir_ref same[IR_MAX];        /* value to use instead; itself if none */
    uint8_t home[IR_MAX];       /* 1 + register where the value was first */
    uint8_t flagged[IR_MAX];    /* a FLAGS refers to the operation */
};

static bool in_home(const struct fold *f, ir_ref v)
{
    if (!f->home[v] || ir_is_const(f->b, v))
        return true;
    const struct reg *r = &f->reg[f->home[v] - 1];
    return r->q == v || r->d == v || r->w == v || r->b == v || r->h == v;
}

static void settle(struct fold *f, ir_ref v, int r)
{
    if (!f->home[v])
        f->home[v] = (uint8_t)(r + 1);
}

static void replace(struct fold *f, ir_ref i, ir_ref v)
{
    f->same[i] = v;
}

/* GET i of register r: its field of struct reg. */
static ir_ref *field(struct reg *r, const struct ir_ins *n)
{
    switch (n->type) {
    case TY_I8:  return slot_is_high(n) ? &r->h : &r->b;
    case TY_I16: return &r->w;
    case TY_I32: return &r->d;
    default:     return &r->q;
    }
}

static void do_get(struct fold *f, ir_ref i, int no)
{
    struct ir_ins *n = &f->b->ins[i];
    struct reg *r = &f->reg[no];
    ir_ref *known = field(r, n), wide = r->q ? r->q : r->d;
    ir_ref v = *known;
    if (v && (ir_is_const(f->b, v) ||
              (in_home(f, v) && (n->type >= TY_I32 || f->b->ins[v].op == IR_GET)))) {
        replace(f, i, v);
        return;
    }
    unsigned have = wide ? type_bytes(ir_type_of(f->b, wide)) : 0;
    if (no < 16 && wide && wide != v && known != &r->h && in_home(f, wide) &&
        (n->type == TY_I64 ? r->zx && !r->q : type_bytes(n->type) < have)) {
        *n = (struct ir_ins) { .op = n->type == TY_I64 ? IR_ZEXT : IR_TRUNC, .type = n->type, .a = wide };
        ir_ref same = ir_fold(f->b, n, false);
        *known = same ? same : i;
        if (same)
            replace(f, i, same);
        else
            settle(f, i, no);
        return;
    }
    *known = i;
    settle(f, i, no);
}

static void do_put(struct fold *f, ir_ref i, int no)
{
    struct ir_ins *n = &f->b->ins[i];
    struct reg *r = &f->reg[no], new = { .q = 0 };
    if (no >= 16) {
        r->q = n->op == IR_PUTV ? n->a : IR_NONE;
        settle(f, n->a, no);
        return;
    }
    switch (n->type) {
    case TY_I8:
        if (slot_is_high(n)) {
            new.b = r->b;
            new.h = n->a;
        } else {
            new.h = r->h;
            new.b = n->a;
        }
        break;
    case TY_I16:
        new.w = n->a;
        break;
    case TY_I32:
        if (r->d == n->a && r->zx) {
            n->op = IR_NOP;
            f->spare = i;
            return;
        }
        new.d = n->a;
        new.zx = true;
        settle(f, n->a, no);
        break;
    default:
        if (r->q == n->a) {
            n->op = IR_NOP;
            f->spare = i;
            return;
        }
        new.q = n->a;
        settle(f, n->a, no);
        break;
    }
    *r = new;
}

static void forget(struct fold *f, unsigned from, unsigned to)
{
    memset(&f->reg[from], 0, (to - from) * sizeof f->reg[0]);
}

static void do_call(struct fold *f, const struct ir_ins *n)
{
    unsigned writes = helper_info[n->aux].writes;
    if (writes & HS_GPR)
        forget(f, 0, 16);
    if (writes & HS_VEC)
        forget(f, 16, 32);
    if (writes & HS_FLAGS)
        f->flags = IR_NONE;
}

static void do_slot(struct fold *f, ir_ref i)
{
    struct ir_ins *n = &f->b->ins[i];
    if (n->op == IR_GETF) {
        if (f->flags)
            replace(f, i, f->flags);
        else
            f->flags = i;
    } else if (n->op == IR_PUTF) {
        if (f->flags == n->a)
            n->op = IR_NOP;
        f->flags = n->a;
    } else if (n->op != IR_PC) {
        int no = slot_reg(n->imm);
        if (no >= 16 && n->op == IR_GET)
            return;
        if (no >= 0 && (n->op == IR_GET || n->op == IR_GETV))
            do_get(f, i, no);
        else if (no >= 0)
            do_put(f, i, no);
        else if (n->op == IR_PUT && slot_hits_flags(n->imm, (enum ir_type)n->type))
            f->flags = IR_NONE;
    }
}

/* LD and the like at base + k: k goes into imm. */
static void do_address(struct fold *f, struct ir_ins *n)
{
    const struct ir_ins *v = f->b->ins;
    for (;;) {
        const struct ir_ins *x = &v[n->a];
        int64_t k;
        if (x->op == IR_EA && x->a && !x->b)
            k = x->imm;
        else if (x->op == IR_ADD && ir_is_const(f->b, x->b))
            k = v[x->b].imm;
        else if (x->op == IR_SUB && ir_is_const(f->b, x->b))
            k = -v[x->b].imm;
        else
            return;
        if (n->imm + k != (int32_t)(n->imm + k) || !in_home(f, x->a))
            return;
        n->imm += k;
        n->a = x->a;
    }
}

/* Anything that computes a value from values. */
static void do_pure(struct fold *f, ir_ref i)
{
    struct ir_ins n = f->b->ins[i];
    const struct ir_ins *x = &f->b->ins[n.a];
    bool deep = !((x->a && !in_home(f, x->a)) || (x->b && !in_home(f, x->b)));
    if (n.op == IR_EA && n.b)
        deep = deep && in_home(f, f->b->ins[n.b].a);
    ir_ref same = ir_fold(f->b, &n, deep);
    if (same) {
        replace(f, i, same);
        if (f->flagged[i])
            f->spare = IR_NONE;
    } else if (!f->flagged[i]) {
        f->b->ins[i] = n;
    } else if (n.op == IR_CONST && f->spare) {
        f->b->ins[f->spare] = n;
        f->same[f->spare] = f->spare;
        f->home[f->spare] = 0;
        f->same[i] = f->spare;
        f->spare = IR_NONE;
    }
}

void opt_fold(struct ir_block *b)
{
    struct fold f;
    f.b = b;
    f.flags = f.spare = IR_NONE;
    forget(&f, 0, 32);
    memset(f.home, 0, b->n);
    memset(f.flagged, 0, b->n);
    for (ir_ref i = 1; i < b->n; i++)
        if (b->ins[i].op == IR_FLAGS)
            f.flagged[b->ins[i].a] = 1;
    f.same[0] = 0;
    for (ir_ref i = 1; i < b->n; i++) {
        struct ir_ins *n = &b->ins[i];
        unsigned attrs = ir_info[n->op].attrs;
        f.same[i] = i;
        if (n->op != IR_FLAGS)
            n->a = f.same[n->a];
        n->b = f.same[n->b];
        n->c = f.same[n->c];
        if (attrs & (IRA_G | IRA_P))
            do_slot(&f, i);
        else if (n->op == IR_CALL)
            do_call(&f, n);
        else if ((attrs & (IRA_X | IRA_L)) == (IRA_X | IRA_L) || (attrs & (IRA_X | IRA_S)) == (IRA_X | IRA_S))
            do_address(&f, n);
        else if (n->op == IR_EXIT_IF && ir_is_const(b, n->a) && b->ins[n->a].imm == 0)
            n->op = IR_NOP;
        else if (!(attrs & (IRA_K | IRA_VEC)) && n->op < IR_FLAGS && n->op > IR_MARK)
            do_pure(&f, i);
    }
}
