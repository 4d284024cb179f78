/*
 * emit_mul.c - multiplication and division.
 *
 * The host's widening MUL and DIV want rdx:rax.  Guest MUL and DIV use the same
 * registers, so in the usual case operands and results already are at home;
 * otherwise rax and rdx are put aside in c->arg[] around the instruction.
 */
#include <assert.h>

#include "backend-x86_64/emit.h"

/* op /ext on register s, by type. */
static void grp3(struct emit *e, enum ir_type t, unsigned ext, unsigned s)
{
    as_op(&e->a, t == TY_I16 ? OP66(0xf7) : 0xf7, t == TY_I64, 0, NOREG, s, false);
    as_b(&e->a, 0xc0 | ext << 3 | (s & 7));
}

/* Both results of a two-result host instruction stand in rax and rdx; bring them to temporaries. */
static void results(struct emit *e, unsigned lo, unsigned hi)
{
    unsigned tl = NOREG, th = NOREG;
    if (lo) {
        tl = temp_get(e);
        as_mov_rr(&e->a, true, tl, H_RAX);
    }
    if (hi) {
        th = temp_get(e);
        as_mov_rr(&e->a, true, th, H_RDX);
    }
    as_load64(&e->a, H_RAX, hm_cpu(CPU_OFF(arg[0])));
    as_load64(&e->a, H_RDX, hm_cpu(CPU_OFF(arg[1])));
    if (lo)
        def_done(e, lo, tl, 0xff, false);
    if (hi)
        def_done(e, hi, th, 0xff, false);
}

/*
 * May the results stay in rax (lo) and rdx (hi) because the guest writes exactly
 * them there next, with nothing observing in between?
 */
static bool straight(struct emit *e, unsigned lo, unsigned hi)
{
    const struct ir_ins *ins = e->b->ins;
    unsigned pl = e->use[lo].put, ph = e->use[hi].put, g;
    unsigned end = pl > ph ? pl : ph;
    if (!pl || !ph || end - e->i > 10 || ins[pl].op != IR_PUT || ins[ph].op != IR_PUT)
        return false;
    if (ins[pl].type != ins[lo].type || ins[ph].type != ins[hi].type || ins[pl].aux || ins[ph].aux ||
        ins[lo].type == TY_I16)
        return false;
    if (!slot_is_gpr(ins[pl].imm, &g) || g != R_AX || !slot_is_gpr(ins[ph].imm, &g) || g != R_DX)
        return false;
    for (unsigned j = e->i + 1; j < end; j++) {
        const struct ir_ins *q = &ins[j];
        if (j == lo || j == hi || j == pl || j == ph || q->op == IR_FLAGS || q->op == IR_PUTF ||
            q->op == IR_NOP)
            continue;
        return false;
    }
    return true;
}

/* Load rax = x (and rdx = y if y), minding that each may come from the other's register. */
static void load_ax_dx(struct emit *e, ir_ref x, ir_ref y)
{
    if (y && in_home(e, y, R_AX) && !in_home(e, x, R_AX)) {
        if (in_home(e, x, R_DX)) {
            as_rr(&e->a, 0x87, true, H_RAX, H_RDX);
            return;
        }
        use_into(e, y, H_RDX);
        use_into(e, x, H_RAX);
        return;
    }
    if (!in_home(e, x, R_AX))
        use_into(e, x, H_RAX);
    if (y && !in_home(e, y, R_DX))
        use_into(e, y, H_RDX);
}

static void emit_wide(struct emit *e, const struct ir_ins *p, unsigned ext, ir_ref ax, ir_ref dx, ir_ref by,
                      unsigned lo, unsigned hi)
{
    enum ir_type t = (enum ir_type)p->type;
    unsigned tb = NOREG, s;
    e->stale_reg = NOREG;
    s = use_where(e, by);
    if (s == NOREG || s == H_RAX || s == H_RDX)
        s = tb = use_copy(e, by);
    if (lo && hi && straight(e, lo, hi)) {
        home_overwrite(e, R_AX, IR_NONE, 0, false);
        e->stale_reg = NOREG;
        home_overwrite(e, R_DX, IR_NONE, 0, false);
        e->stale_reg = NOREG;
        load_ax_dx(e, ax, dx);
        grp3(e, t, ext, s);
        temp_release(e, tb);
        def_done(e, lo, H_RAX, R_AX, true);
        def_done(e, hi, H_RDX, R_DX, true);
        return;
    }
    as_store64(&e->a, hm_cpu(CPU_OFF(arg[0])), H_RAX);
    as_store64(&e->a, hm_cpu(CPU_OFF(arg[1])), H_RDX);
    load_ax_dx(e, ax, dx);
    grp3(e, t, ext, s);
    temp_release(e, tb);
    results(e, lo, hi);
}

/* Products of bytes: AX = AL * s.  Nothing after the multiplication touches EFLAGS. */
static void emit_mul8(struct emit *e, const struct ir_ins *p, bool sgn, unsigned lo, unsigned hi)
{
    unsigned s, tl = NOREG, th = NOREG;
    flags_clobber(e);
    e->stale_reg = NOREG;
    s = use_copy(e, p->b);
    as_store64(&e->a, hm_cpu(CPU_OFF(arg[0])), H_RAX);
    if (!in_home(e, p->a, R_AX))
        use_into(e, p->a, H_RAX);
    as_rr8(&e->a, 0xf6, sgn ? 5 : 4, s);
    temp_release(e, s);
    if (lo) {
        tl = temp_get(e);
        as_mov_rr(&e->a, false, tl, H_RAX);
    }
    if (hi) {
        th = temp_get(e);
        as_b(&e->a, 0x0f);                      /* movzx eax, ah */
        as_b(&e->a, 0xb6);
        as_b(&e->a, 0xc4);
        as_mov_rr(&e->a, false, th, H_RAX);
    }
    as_load64(&e->a, H_RAX, hm_cpu(CPU_OFF(arg[0])));
    if (lo)
        def_done(e, lo, tl, 0xff, false);
    if (hi)
        def_done(e, hi, th, 0xff, false);
}

void emit_muldiv(struct emit *e, const struct ir_ins *p)
{
    enum ir_type t = (enum ir_type)p->type;
    if (e->ahead == e->i)
        return;                                 /* came with its partner */
    const struct ir_ins *f = p->op == IR_MUL ? flags_as_intel(e, p, flags_wanted(e, e->i)) : NULL;
    if (p->op == IR_DIV || p->op == IR_REM) {
        flags_clobber(e);
        unsigned other = emit_partner(e, IR_DIV, IR_REM);
        unsigned q = p->op == IR_DIV ? e->i : other, r = p->op == IR_REM ? e->i : other;
        assert(t != TY_I8);
        emit_wide(e, p, p->aux ? 7 : 6, p->b, p->a, p->c, q, r);
        return;
    }
    unsigned hi = p->op == IR_MUL ? emit_partner(e, IR_MULHU, IR_MULHS) : 0;
    if (t == TY_I8) {
        bool sgn = p->op == IR_MULHS || (hi ? e->b->ins[hi].op == IR_MULHS : f && f->aux == FK_MULS);
        emit_mul8(e, p, sgn, p->op == IR_MUL ? e->i : 0, p->op == IR_MUL ? hi : e->i);
        if (f)
            flags_set(e, e->i);
        return;
    }
    if (p->op != IR_MUL || hi || (f && f->aux == FK_MULU)) {
        bool sgn = p->op == IR_MULHS || (hi && e->b->ins[hi].op == IR_MULHS);
        flags_clobber(e);
        emit_wide(e, p, sgn ? 5 : 4, p->a, IR_NONE, p->b, p->op == IR_MUL ? e->i : 0,
                  p->op == IR_MUL ? hi : e->i);
        if (f)
            flags_set(e, e->i);
        return;
    }
    flags_clobber(e);
    int64_t c;
    struct hm m;
    unsigned home, d, tmp;
    ir_ref x = p->a, y = p->b;
    if (use_is_const(e, y, &c) && c == (int32_t)c) {
        unsigned s = use_reg(e, x, &tmp);
        d = def_reg(e, e->i, &home);
        as_rr(&e->a, t == TY_I16 ? OP66(0x69) : 0x69, t == TY_I64, d, s);
        if (t == TY_I16)
            as_b(&e->a, (unsigned)c), as_b(&e->a, (unsigned)c >> 8);
        else
            as_d(&e->a, (uint32_t)c);
        temp_release(e, tmp);
    } else {
        d = def_reg(e, e->i, &home);
        if (use_where(e, y) == d) {
            ir_ref s = x;
            x = y;
            y = s;
        }
        unsigned sy = NOREG, ty = NOREG;
        const struct val *v = &e->val[y];
        if (home != 0xff && (v->loc == LOC_HOME || v->loc == LOC_HIGH) && v->reg == home && use_where(e, y) != d)
            sy = ty = use_copy(e, y);           /* y is the destination's old value and a constant */
        if (use_where(e, x) != d) {
            if (home != 0xff && t == TY_I16) {
                unsigned tx, s = use_reg(e, x, &tx);
                as_rr(&e->a, OP66(0x8b), false, d, s);
                temp_release(e, tx);
            } else {
                use_into(e, x, d);
            }
        }
        if (sy == NOREG && use_is_mem(e, y, &m)) {
            as_rm(&e->a, t == TY_I16 ? OP66(0x0faf) : 0x0faf, t == TY_I64, d, m);
        } else {
            if (sy == NOREG)
                sy = use_reg(e, y, &ty);
            as_rr(&e->a, t == TY_I16 ? OP66(0x0faf) : 0x0faf, t == TY_I64, d, sy);
            temp_release(e, ty);
        }
    }
    if (f)
        flags_set(e, e->i);
    def_done(e, e->i, d, home, t == TY_I32);
}

/*
 * #DE checks come before the division so that the host's DIV never traps.
 * Unsigned: overflow (and zero) iff high half >= divisor.  Signed: fine when the
 * dividend is a sign-extended low half and the divisor neither 0 nor -1; the rest
 * is decided out of line by C.  What div_upper() knows need not be tested.
 */
void emit_divchk(struct emit *e, const struct ir_ins *p)
{
    enum ir_type t = (enum ir_type)p->type;
    unsigned tc, c, th, h;
    struct slow *s = &e->slow[e->nslow];
    enum upper upper = div_upper(e->b, p);
    if (upper != UPPER_ANY && div_fits(e, p))
        return;
    flags_clobber(e);
    *s = (struct slow){ .type = (uint8_t)t, .pc = e->pc };
    bool w = t == TY_I64;
    unsigned pre = t == TY_I16 ? 1 : 0;
    c = use_reg(e, p->c, &tc);
    if (!p->aux) {
        th = NOREG;
        h = upper == UPPER_ZERO ? c : use_reg(e, p->a, &th);    /* 0: TEST c, c will do */
        if (upper == UPPER_ZERO && t == TY_I8)
            as_rr8(&e->a, 0x84, h, c);
        else if (upper == UPPER_ZERO)
            as_rr(&e->a, pre ? OP66(0x85) : 0x85, w, h, c);
        else if (t == TY_I8)
            as_rr8(&e->a, 0x3a, h, c);
        else
            as_rr(&e->a, pre ? OP66(0x3b) : 0x3b, w, h, c);
        s->kind = SLOW_DE;
        s->from[0] = as_jcc(&e->a, upper == UPPER_ZERO ? CC_Z : CC_NB);
        s->recipe = recipe_here(e);
        temp_release(e, th);
        temp_release(e, tc);
        e->nslow++;
        return;
    }
    s->kind = SLOW_DIVS;
    unsigned k = upper == UPPER_SIGN ? temp_get(e) : use_copy(e, p->b);
    if (upper == UPPER_ANY) {
        as_op(&e->a, t == TY_I8 ? 0xc0 : pre ? OP66(0xc1) : 0xc1, w, 0, NOREG, k, t == TY_I8);
        as_b(&e->a, 0xc0 | 7 << 3 | (k & 7));
        as_b(&e->a, type_bits(t) - 1);
        h = use_reg(e, p->a, &th);
        if (t == TY_I8)
            as_rr8(&e->a, 0x3a, h, k);
        else
            as_rr(&e->a, pre ? OP66(0x3b) : 0x3b, w, h, k);
        s->from[0] = as_jcc(&e->a, CC_NZ);
        temp_release(e, th);
    }
    s->v = e->val[p->a];
    s->x = e->val[p->b];
    s->y = e->val[p->c];
    as_lea(&e->a, w, k, hm_at(c, 1));
    if (t == TY_I8) {
        as_rr8(&e->a, 0x80, 7, k);
        as_b(&e->a, 1);
    } else if (pre) {
        as_rr(&e->a, OP66(0x83), false, 7, k);
        as_b(&e->a, 1);
    } else {
        as_alu_ri(&e->a, 7, w, k, 1);
    }
    s->from[1] = as_jcc(&e->a, CC_BE);
    s->recipe = recipe_here(e);
    temp_release(e, k);
    temp_release(e, tc);
    s->back = e->a.p;
    e->nslow++;
}
