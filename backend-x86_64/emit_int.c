/*
 * emit_int.c - integer operations.  A guest ALU instruction whose operands are in
 * their homes becomes one host instruction, its EFLAGS the guest's flags.
 */
#include <assert.h>

#include "backend-x86_64/emit.h"

/* "op r, r/m" by type; op is the 32-bit opcode, its byte form one less. */
static void alu_rr(struct emit *e, enum ir_type t, uint32_t op, unsigned d, unsigned s)
{
    if (t == TY_I8)
        as_rr8(&e->a, op - 1, d, s);
    else
        as_rr(&e->a, t == TY_I16 ? OP66(op) : op, t == TY_I64, d, s);
}

static void alu_rm(struct emit *e, enum ir_type t, uint32_t op, unsigned d, struct hm m)
{
    if (t == TY_I8)
        as_rm8(&e->a, op - 1, d, m);
    else
        as_rm(&e->a, t == TY_I16 ? OP66(op) : op, t == TY_I64, d, m);
}

static void alu_imm(struct emit *e, enum ir_type t, int32_t c)
{
    if (t == TY_I8)
        as_b(&e->a, (unsigned)c);
    else if (t == TY_I16)
        as_b(&e->a, (unsigned)c), as_b(&e->a, (unsigned)c >> 8);
    else
        as_d(&e->a, (uint32_t)c);
}

/* Group-1 style immediate on a register: opcodes 80 / 83 / 81 with /ext. */
static void alu_ri(struct emit *e, enum ir_type t, unsigned ext, unsigned d, int32_t c)
{
    if (t == TY_I8) {
        as_op(&e->a, 0x80, false, 0, NOREG, d, d >= 4);
        as_b(&e->a, 0xc0 | ext << 3 | (d & 7));
        as_b(&e->a, (unsigned)c);
        return;
    }
    bool b = c >= -128 && c <= 127;
    uint32_t op = b ? 0x83 : 0x81;
    as_op(&e->a, t == TY_I16 ? OP66(op) : op, t == TY_I64, 0, NOREG, d, false);
    as_b(&e->a, 0xc0 | ext << 3 | (d & 7));
    if (b)
        as_b(&e->a, (unsigned)c);
    else
        alu_imm(e, t, c);
}

static void alu_mi(struct emit *e, enum ir_type t, unsigned ext, struct hm m, int32_t c)
{
    bool b = c >= -128 && c <= 127;
    if (t == TY_I8)
        as_rm(&e->a, 0x80, false, ext, m);
    else
        as_rm(&e->a, (t == TY_I16 ? OP66(b ? 0x83 : 0x81) : b ? 0x83u : 0x81u), t == TY_I64, ext, m);
    if (b || t == TY_I8)
        as_b(&e->a, (unsigned)c);
    else
        alu_imm(e, t, c);
}

static void alu_src(struct emit *e, uint32_t op_rm, unsigned ext, enum ir_type t, unsigned d, ir_ref src)
{
    int64_t c;
    struct hm m;
    if (use_is_const(e, src, &c) && c == (int32_t)c) {
        alu_ri(e, t, ext, d, (int32_t)c);
    } else if (use_is_mem(e, src, &m)) {
        alu_rm(e, t, op_rm, d, m);
    } else {
        unsigned tmp, s = use_reg(e, src, &tmp);
        alu_rr(e, t, op_rm, d, s);
        temp_release(e, tmp);
    }
}

struct alu { uint8_t op, ext; };
static struct alu alu_of(unsigned op)
{
    switch (op) {
    case IR_ADD: return (struct alu){ 0x03, 0 };
    case IR_OR:  return (struct alu){ 0x0b, 1 };
    case IR_ADC: return (struct alu){ 0x13, 2 };
    case IR_SBB: return (struct alu){ 0x1b, 3 };
    case IR_AND: return (struct alu){ 0x23, 4 };
    case IR_SUB: return (struct alu){ 0x2b, 5 };
    default:     return (struct alu){ 0x33, 6 };
    }
}

bool use_occupies(struct emit *e, ir_ref r, unsigned home, unsigned d)
{
    const struct val *v = &e->val[r];
    if (home != 0xff && (v->loc == LOC_HOME || v->loc == LOC_HIGH) && v->reg == home)
        return true;
    return v->loc == LOC_TEMP && v->reg == d;
}

/* Compare or test for flags alone. */
static void emit_compare(struct emit *e, const struct ir_ins *p)
{
    enum ir_type t = (enum ir_type)p->type;
    struct alu k = p->op == IR_SUB ? (struct alu){ 0x3b, 7 } : (struct alu){ 0x85, 0 };
    int64_t c;
    struct hm m;
    unsigned ta, s;
    bool imm = use_is_const(e, p->b, &c) && c == (int32_t)c;
    if (imm && use_is_mem(e, p->a, &m) && p->op == IR_SUB) {
        alu_mi(e, t, 7, m, (int32_t)c);
        return;
    }
    s = use_reg(e, p->a, &ta);
    if (p->op == IR_SUB) {
        alu_src(e, k.op, k.ext, t, s, p->b);
    } else if (imm) {
        if (t == TY_I8)
            as_op(&e->a, 0xf6, false, 0, NOREG, s, s >= 4);
        else
            as_op(&e->a, t == TY_I16 ? OP66(0xf7) : 0xf7, t == TY_I64, 0, NOREG, s, false);
        as_b(&e->a, 0xc0 | (s & 7));
        alu_imm(e, t, (int32_t)c);
    } else {
        unsigned tb, r = use_reg(e, p->b, &tb);
        alu_rr(e, t, 0x85, s, r);
        temp_release(e, tb);
    }
    temp_release(e, ta);
}

void use_into_typed(struct emit *e, ir_ref r, enum ir_type t, unsigned d, unsigned home)
{
    if (home == 0xff || t == TY_I32 || t == TY_I64) {
        use_into(e, r, d);
        return;
    }
    if (d == e->stale_reg && r == e->stale_val)
        return;
    unsigned tmp, s = use_reg(e, r, &tmp);
    if (s != d) {
        if (t == TY_I8)
            as_rr8(&e->a, 0x8a, d, s);
        else
            as_rr(&e->a, OP66(0x8b), false, d, s);
    }
    temp_release(e, tmp);
}

static void emit_alu(struct emit *e, const struct ir_ins *p)
{
    enum ir_type t = (enum ir_type)p->type;
    const struct ir_ins *f = flags_wanted(e, e->i);
    ir_ref x = p->a, y = p->b;
    int64_t c;
    unsigned home, d, g;
    if (!f && p->op == IR_ADD && e->val[x].loc == LOC_CONST && e->val[y].loc != LOC_CONST)
        x = p->b, y = p->a;
    bool imm = use_is_const(e, y, &c) && c == (int32_t)c;

    if (!f && imm && t == TY_I64 && (p->op == IR_ADD || p->op == IR_SUB) && e->val[x].loc == LOC_HOME) {
        int64_t off = e->val[x].imm + (p->op == IR_ADD ? c : -c);   /* home + constant: no code */
        if (off == (int32_t)off) {
            def_at(e, e->i, LOC_HOME, e->val[x].reg, off);
            e->val[e->i].ver = e->val[x].ver;
            return;
        }
    }
    if (p->op == IR_ADC || p->op == IR_SBB) {
        flags_load(e, p->c, false);
        flags_clobber(e);
    } else if (f && (f->aux == FK_INC || f->aux == FK_DEC) && flags_kept(e, f)) {
        flags_load(e, f->b, false);
        flags_clobber(e);
    } else if (f || !(p->op == IR_ADD && (t == TY_I64 || t == TY_I32))) {
        flags_clobber(e);
    }
    bool incdec = f && flags_kept(e, f) && (f->aux == FK_INC || f->aux == FK_DEC);
    if (f && flags_only(e, e->i) && (p->op == IR_SUB || p->op == IR_AND) && !incdec) {
        emit_compare(e, p);
        flags_set(e, e->i);
        return;
    }
    /* memory home (r12-r15): operate on memory when the result goes back there */
    unsigned put = e->use[e->i].put;
    if (t == TY_I64 && !incdec && e->val[x].loc == LOC_HOME && e->val[x].imm == 0 &&
        !home_pinned(e->val[x].reg) && put && put - e->i <= 4 && e->b->ins[put].op == IR_PUT &&
        e->b->ins[put].type == TY_I64 && slot_is_gpr(e->b->ins[put].imm, &g) && g == e->val[x].reg &&
        e->val[x].last <= e->i && e->val[e->i].last <= put) {
        bool ok = true;
        for (unsigned j = e->i + 1; j < put; j++)
            ok = ok && (e->b->ins[j].op == IR_FLAGS || e->b->ins[j].op == IR_PUTF);
        unsigned tmp = NOREG, s = NOREG;
        if (ok && !imm)
            s = use_reg(e, y, &tmp);
        if (ok) {
            home_overwrite(e, g, IR_NONE, 0, false);
            if (imm)
                as_alu_mi(&e->a, alu_of(p->op).ext, true, hm_cpu(SLOT_R(g)), (int32_t)c);
            else
                as_rm(&e->a, alu_of(p->op).op - 2u, true, s, hm_cpu(SLOT_R(g)));
            temp_release(e, tmp);
            if (f)
                flags_set(e, e->i);
            else
                flags_clobber(e);
            def_at(e, e->i, LOC_HOME, g, 0);
            return;
        }
    }
    d = def_reg(e, e->i, &home);
    unsigned wx = use_where(e, x), wy = use_where(e, y);
    if (!f && p->op == IR_ADD && (t == TY_I64 || t == TY_I32) && wx != d && wy != d &&
        wx != NOREG && (wy != NOREG || imm)) {
        as_lea(&e->a, t == TY_I64, d, imm ? hm_at(wx, (int32_t)c) : hm_idx(wx, wy, 0, 0));
        def_done(e, e->i, d, home, true);
        return;
    }
    if (!f)
        flags_clobber(e);
    struct alu k = alu_of(p->op);
    if (use_occupies(e, y, home, d) && wx != d) {
        if ((ir_attrs[p->op] & IRA_C) && wy == d) {
            ir_ref s = x;
            x = y;
            y = s;
        } else {
            unsigned tb = use_copy(e, y);
            use_into_typed(e, x, t, d, home);
            alu_rr(e, t, k.op, d, tb);
            temp_release(e, tb);
            goto done;
        }
    }
    use_into_typed(e, x, t, d, home);
    if (incdec) {
        unsigned ext = f->aux == FK_DEC;
        if (t == TY_I8)
            as_op(&e->a, 0xfe, false, 0, NOREG, d, d >= 4);
        else
            as_op(&e->a, t == TY_I16 ? OP66(0xff) : 0xff, t == TY_I64, 0, NOREG, d, false);
        as_b(&e->a, 0xc0 | ext << 3 | (d & 7));
    } else {
        alu_src(e, k.op, k.ext, t, d, y);
    }
done:
    if (f)
        flags_set(e, e->i);
    def_done(e, e->i, d, home, home == 0xff ? t == TY_I32 : t == TY_I32);
}

static void emit_unary(struct emit *e, const struct ir_ins *p)
{
    enum ir_type t = (enum ir_type)p->type;
    unsigned home, d;
    if (p->op == IR_NEG)
        flags_clobber(e);
    d = def_reg(e, e->i, &home);
    if (p->op == IR_BSWAP) {
        use_into(e, p->a, d);
        as_op(&e->a, 0x0fc8u + (d & 7), t == TY_I64, 0, NOREG, d, false);
    } else {
        use_into_typed(e, p->a, t, d, home);
        unsigned ext = p->op == IR_NOT ? 2 : 3;
        if (t == TY_I8)
            as_op(&e->a, 0xf6, false, 0, NOREG, d, d >= 4);
        else
            as_op(&e->a, t == TY_I16 ? OP66(0xf7) : 0xf7, t == TY_I64, 0, NOREG, d, false);
        as_b(&e->a, 0xc0 | ext << 3 | (d & 7));
        if (p->op == IR_NEG && flags_wanted(e, e->i))
            flags_set(e, e->i);
    }
    def_done(e, e->i, d, home, t == TY_I32);
}

static void emit_ea(struct emit *e, const struct ir_ins *p)
{
    enum ir_type t = (enum ir_type)p->type;
    const struct val *va = &e->val[p->a];
    int64_t imm = p->imm;
    unsigned home, d, ta = NOREG, tb = NOREG, x = NOREG, y = NOREG;
    if (!p->b && t == TY_I64 && va->loc == LOC_HOME && va->imm + imm == (int32_t)(va->imm + imm)) {
        uint32_t ver = va->ver;
        def_at(e, e->i, LOC_HOME, va->reg, va->imm + imm);
        e->val[e->i].ver = ver;
        return;
    }
    if (p->a) {
        if (va->loc == LOC_HOME && va->imm && home_pinned(va->reg) &&
            va->imm + imm == (int32_t)(va->imm + imm)) {
            x = home_host(va->reg);
            imm += va->imm;
        } else {
            x = use_reg(e, p->a, &ta);
        }
    }
    if (p->b)
        y = use_reg(e, p->b, &tb);
    unsigned hole = hole_of(e, imm);
    if (!hole && imm != (int32_t)imm) {
        flags_clobber(e);
        unsigned tc = temp_get(e);
        as_mov_ri(&e->a, tc, (uint64_t)imm);
        if (p->a)
            as_rr(&e->a, 0x03, true, tc, x);
        temp_release(e, ta);
        ta = x = tc;
        imm = 0;
    }
    d = def_reg(e, e->i, &home);
    if (x == NOREG) {                           /* index only: SIB without base, disp32 */
        as_lea_noindex(&e->a, t == TY_I64, d, y, p->aux, (int32_t)imm, hole);
    } else {
        struct hm m = y == NOREG ? hm_at(x, (int32_t)imm) : hm_idx(x, y, p->aux, (int32_t)imm);
        m.hole = (uint8_t)hole;
        as_lea(&e->a, t == TY_I64, d, m);
    }
    temp_release(e, ta);
    temp_release(e, tb);
    def_done(e, e->i, d, home, t >= TY_I32);    /* LEA does not wrap at 16 bits */
}

static void alias(struct emit *e, ir_ref r)
{
    const struct val v = e->val[r];
    def_at(e, e->i, (enum loc)v.loc, v.reg, v.imm);
    e->val[e->i].ver = v.ver;
}

static void emit_extend(struct emit *e, const struct ir_ins *p)
{
    enum ir_type t = (enum ir_type)p->type, s = (enum ir_type)e->b->ins[p->a].type;
    const struct val *v = &e->val[p->a];
    unsigned home, d, tmp;
    struct hm m;
    if (p->op == IR_TRUNC) {
        if (v->loc == LOC_CC) {
            d = use_copy(e, p->a);
            def_done(e, e->i, d, 0xff, false);
            return;
        }
        alias(e, p->a);
        e->val[e->i].zx = false;
        return;
    }
    if (p->op == IR_ZEXT && v->zx && v->loc == LOC_TEMP && !e->use[e->i].put) {
        alias(e, p->a);
        e->val[e->i].zx = true;
        return;
    }
    if (p->op == IR_ZEXT && s == TY_I32 && v->zx && v->loc == LOC_HOME && v->imm == 0) {
        alias(e, p->a);
        return;
    }
    uint32_t op;
    bool w = p->op == IR_SEXT && t == TY_I64;
    if (s == TY_I8)
        op = p->op == IR_ZEXT ? 0x0fb6 : 0x0fbe;
    else if (s == TY_I16)
        op = p->op == IR_ZEXT ? 0x0fb7 : 0x0fbf;
    else
        op = p->op == IR_ZEXT ? 0x8b : 0x63;
    bool in16 = t == TY_I16;
    if (v->loc == LOC_CC || v->loc == LOC_HIGH || v->loc == LOC_CONST || v->loc == LOC_HOLE ||
        (v->loc == LOC_HOME && v->imm)) {
        unsigned c = use_copy(e, p->a);
        d = def_reg(e, e->i, &home);
        if (s == TY_I8)
            as_rr8(&e->a, op, d, c);
        else
            as_rr(&e->a, op, w, d, c);
        if (w && s == TY_I8) {                  /* as_rr8 is 32 bits wide: widen */
            as_rr(&e->a, 0x63, true, d, d);
        }
        temp_release(e, c);
        def_done(e, e->i, d, home, p->op == IR_ZEXT || !in16);
        return;
    }
    if (in16) {                                 /* i8 to i16: compute in 32 bits, then it is an i16 */
        unsigned x = use_reg(e, p->a, &tmp), c = temp_get(e);
        as_rr8(&e->a, op, c, x);
        temp_release(e, tmp);
        def_done(e, e->i, c, 0xff, p->op == IR_ZEXT);
        return;
    }
    if (use_is_mem(e, p->a, &m)) {
        d = def_reg(e, e->i, &home);
        as_rm(&e->a, op, w, d, m);
    } else {
        unsigned x = use_reg(e, p->a, &tmp);
        d = def_reg(e, e->i, &home);
        as_op(&e->a, op, w, d, NOREG, x, s == TY_I8 && x >= 4);
        as_b(&e->a, 0xc0 | (d & 7) << 3 | (x & 7));
        temp_release(e, tmp);
    }
    def_done(e, e->i, d, home, true);
}

static void emit_select(struct emit *e, const struct ir_ins *p)
{
    enum ir_type t = (enum ir_type)p->type;
    unsigned home, d, tb;
    unsigned cc = cond_test(e, p->a);
    /* nothing below touches EFLAGS */
    if (e->val[p->b].loc == LOC_CC || e->val[p->c].loc == LOC_CC) {
        unsigned k = e->val[p->b].loc == LOC_CC ? p->b : p->c;
        unsigned c = use_copy(e, k);
        def_at(e, k, LOC_TEMP, c, 0);
        temp_release(e, c);
        cc = cond_test(e, p->a);
    }
    d = temp_get(e);
    home = 0xff;
    use_into(e, p->c, d);
    unsigned s = use_reg(e, p->b, &tb);
    as_rr(&e->a, 0x0f40 | cc, t == TY_I64, d, s);
    temp_release(e, tb);
    def_done(e, e->i, d, home, false);
}

static void emit_test(struct emit *e, const struct ir_ins *p)
{
    enum ir_type t = (enum ir_type)e->b->ins[p->a].type;
    static const uint8_t cc_of[] = { CC_Z, CC_B, CC_L };
    flags_clobber(e);
    unsigned ta, s = use_reg(e, p->a, &ta);
    alu_src(e, 0x3b, 7, t, s, p->b);
    temp_release(e, ta);
    unsigned d = temp_get(e);
    as_op(&e->a, 0x0f90u | cc_of[p->op - IR_EQ], false, 0, NOREG, d, true);
    as_b(&e->a, 0xc0 | (d & 7));
    def_done(e, e->i, d, 0xff, false);
}

static void emit_bit(struct emit *e, const struct ir_ins *p)
{
    enum ir_type t = (enum ir_type)p->type;
    const struct ir_ins *f = flags_wanted(e, e->i);
    unsigned ta, tb, x, y, v = NOREG;
    int64_t c;
    bool imm = use_is_const(e, p->b, &c);
    if (!flags_only(e, e->i) || !f) {           /* the bit as a value: BT, SETC in a temporary */
        if (f && flags_kept(e, f))
            flags_save(e, f->b);
        flags_clobber(e);
        v = temp_get(e);
    } else if (flags_kept(e, f)) {
        flags_load(e, f->b, true);
    }
    flags_clobber(e);
    x = use_reg(e, p->a, &ta);
    if (v != NOREG) {
        if (imm) {
            as_op(&e->a, t == TY_I16 ? OP66(0x0fba) : 0x0fba, t == TY_I64, 4, NOREG, x, false);
            as_b(&e->a, 0xc0 | 4 << 3 | (x & 7));
            as_b(&e->a, (unsigned)c);
        } else {
            y = use_reg(e, p->b, &tb);
            as_rr(&e->a, t == TY_I16 ? OP66(0x0fa3) : 0x0fa3, t == TY_I64, y, x);
            temp_release(e, tb);
        }
        as_op(&e->a, 0x0f92, false, 0, NOREG, v, true);
        as_b(&e->a, 0xc0 | (v & 7));
        as_rr8(&e->a, 0x0fb6, v, v);
        if (f && flags_kept(e, f))
            flags_load(e, f->b, true);
        e->ef = 0;
    }
    if (f) {
        if (imm) {
            as_op(&e->a, t == TY_I16 ? OP66(0x0fba) : 0x0fba, t == TY_I64, 4, NOREG, x, false);
            as_b(&e->a, 0xc0 | 4 << 3 | (x & 7));
            as_b(&e->a, (unsigned)c);
        } else {
            y = use_reg(e, p->b, &tb);
            as_rr(&e->a, t == TY_I16 ? OP66(0x0fa3) : 0x0fa3, t == TY_I64, y, x);
            temp_release(e, tb);
        }
        flags_set(e, e->i);
    }
    temp_release(e, ta);
    if (v != NOREG)
        def_done(e, e->i, v, 0xff, true);
}

/* POPCNT by C, for processors of before 2008. */
static void count_by_c(struct emit *e, const struct ir_ins *p, const struct ir_ins *f)
{
    emit_fallback(e, p);
    if (f) {                                    /* ZF if there was no bit, the others clear */
        unsigned tmp, x = use_reg(e, e->i, &tmp), z = temp_get(e);
        as_lea(&e->a, true, z, hm_at(x, -1));
        as_shift_ri(&e->a, 5, true, z, 63);
        as_shift_ri(&e->a, 4, true, z, 6);
        as_store64(&e->a, hm_cpu(flags_spill(e, e->use[e->i].flags)), z);
        temp_release(e, z);
        temp_release(e, tmp);
    }
}

/* CTZ, CLZ by BSF, BSR: they find the bit's number, and nothing in 0. */
static void scan(struct emit *e, const struct ir_ins *p, const struct ir_ins *f, unsigned x, unsigned d)
{
    enum ir_type t = (enum ir_type)p->type;
    unsigned bits = type_bits(t), none = temp_get(e), log = bits == 64 ? 6 : bits == 32 ? 5 : 4;
    alu_rr(e, t, p->op == IR_CTZ ? 0x0fbc : 0x0fbd, d, x);
    as_mov_ri(&e->a, none, p->op == IR_CTZ ? bits : 2 * bits - 1);
    as_rr(&e->a, 0x0f40 | CC_Z, false, d, none);
    if (p->op == IR_CLZ)
        as_alu_ri(&e->a, 6, false, d, (int32_t)bits - 1);
    temp_release(e, none);
    if (f && f->aux == FK_ZCNT) {               /* ZF: the result is 0; CF, by its highest bit: the source was */
        alu_rr(e, t, 0x85, d, d);
        as_op(&e->a, 0x0fba, false, 4, NOREG, d, false);
        as_b(&e->a, 0xc0 | 4 << 3 | (d & 7));
        as_b(&e->a, log);
    }
}

/* CTZ, CLZ (width for 0), POPCNT: the host's TZCNT, LZCNT, POPCNT if it has them. */
static void emit_count(struct emit *e, const struct ir_ins *p)
{
    enum ir_type t = (enum ir_type)p->type;
    const struct ir_ins *f = flags_as_intel(e, p, flags_wanted(e, e->i));
    uint32_t op = p->op == IR_CTZ ? 0x0fbc : p->op == IR_CLZ ? 0x0fbd : 0x0fb8;
    bool host = host_has(e->be, p->op == IR_POPCNT ? HF_POPCNT : p->op == IR_CLZ ? HF_LZCNT : HF_BMI1);
    if (t == TY_I8 || (!host && p->op == IR_POPCNT)) {
        count_by_c(e, p, f);
        return;
    }
    flags_clobber(e);
    unsigned ta, x = use_reg(e, p->a, &ta), d = temp_get(e);
    if (host) {
        if (t == TY_I16)
            as_b(&e->a, 0x66);
        as_rr(&e->a, OPF3(op), t == TY_I64, d, x);
    } else {
        scan(e, p, f, x, d);
    }
    if (f && f->aux == FK_BSCAN)
        alu_rr(e, t, 0x85, x, x);               /* ZF: source was 0 */
    if (f)
        flags_set(e, e->i);
    temp_release(e, ta);
    def_done(e, e->i, d, 0xff, t >= TY_I32);
}

static void emit_crc32(struct emit *e, const struct ir_ins *p)
{
    enum ir_type s = (enum ir_type)e->b->ins[p->b].type;
    if (!host_has(e->be, HF_SSE4_2)) {
        emit_arg(e, 0, p->a);
        emit_arg(e, 1, p->b);
        host_store_imm(e, CPU_OFF(arg[2]), (int32_t)type_bytes(s));
        flags_clobber(e);
        vtemps_spill(e);
        emit_thunk_call(e, e->be->crc32, e->pc, 0);
        unsigned r = temp_get(e);
        as_load64(&e->a, r, hm_cpu(CPU_OFF(hret)));
        def_done(e, e->i, r, 0xff, true);
        return;
    }
    unsigned tb, y = use_reg(e, p->b, &tb), d = use_copy(e, p->a);
    if (s == TY_I16)
        as_b(&e->a, 0x66);
    if (s == TY_I8) {
        as_op(&e->a, OPF2(0x0f38f0), false, d, NOREG, y, y >= 4);
        as_b(&e->a, 0xc0 | (d & 7) << 3 | (y & 7));
    } else {
        as_rr(&e->a, OPF2(0x0f38f1), s == TY_I64, d, y);
    }
    temp_release(e, tb);
    def_done(e, e->i, d, 0xff, true);
}

void emit_int(struct emit *e, const struct ir_ins *p)
{
    switch (p->op) {
    case IR_CONST:
        def_at(e, e->i, LOC_CONST, 0, p->imm);
        break;
    case IR_HOLE:
        def_at(e, e->i, LOC_HOLE, (unsigned)p->imm, 0);
        break;
    case IR_PC: {
        unsigned home, d = def_reg(e, e->i, &home);
        as_load64(&e->a, d, hm_cpu(CPU_OFF(pc_page)));
        if (hole_of(e, p->imm)) {
            struct hm m = hm_at(d, (int32_t)p->imm);
            m.hole = (uint8_t)hole_of(e, p->imm);
            as_lea(&e->a, true, d, m);
        } else if (p->imm != (int32_t)p->imm) {        /* a jump of almost 2 GiB */
            unsigned t = temp_get(e);
            as_mov_ri(&e->a, t, (uint64_t)p->imm);
            as_lea(&e->a, true, d, hm_idx(d, t, 0, 0));
            temp_release(e, t);
        } else if (p->imm) {
            as_lea(&e->a, true, d, hm_at(d, (int32_t)p->imm));
        }
        def_done(e, e->i, d, home, true);
        break;
    }
    case IR_ADD: case IR_SUB: case IR_ADC: case IR_SBB: case IR_AND: case IR_OR: case IR_XOR:
        emit_alu(e, p);
        break;
    case IR_NOT: case IR_NEG: case IR_BSWAP:
        emit_unary(e, p);
        break;
    case IR_SHL: case IR_SHR: case IR_SAR: case IR_ROL: case IR_ROR: case IR_RCL: case IR_RCR:
    case IR_SHLD: case IR_SHRD:
        emit_shift(e, p);
        break;
    case IR_EA:
        emit_ea(e, p);
        break;
    case IR_ZEXT: case IR_SEXT: case IR_TRUNC:
        emit_extend(e, p);
        break;
    case IR_SELECT:
        emit_select(e, p);
        break;
    case IR_EQ: case IR_LTU: case IR_LTS:
        emit_test(e, p);
        break;
    case IR_BIT:
        emit_bit(e, p);
        break;
    case IR_CTZ: case IR_CLZ: case IR_POPCNT:
        emit_count(e, p);
        break;
    case IR_CRC32:
        emit_crc32(e, p);
        break;
    default:
        assert(0);
    }
}
