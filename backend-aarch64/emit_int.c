/*
 * emit_int.c - integer operations.  A guest ALU instruction whose operands are in
 * their homes becomes one host instruction; values of 8 and 16 bits are computed in
 * 32, with rubbish above, and their flags from operands shifted to the top.
 */
#include <assert.h>

#include "backend-aarch64/emit.h"
#include "translator/alu.h"

static enum ir_type type_at(const struct emit *e, ir_ref r)
{
    return (enum ir_type)e->b->ins[r].type;
}

static bool constant(struct emit *e, ir_ref r, uint64_t *v)
{
    if (e->val[r].loc != LOC_CONST)
        return false;
    *v = (uint64_t)e->val[r].imm & type_mask(type_at(e, r));
    return true;
}

/* d = x op y, for ADD, SUB, AND, OR, XOR and their forms that set flags. */
static void op_rr(struct emit *e, unsigned op, bool set, bool w, unsigned d, unsigned x, ir_ref yr)
{
    static const struct { uint32_t r, i, rs, is; } code[] = {
        [IR_ADD] = { OP_ADD, OPI_ADD, OP_ADDS, OPI_ADDS }, [IR_SUB] = { OP_SUB, OPI_SUB, OP_SUBS, OPI_SUBS },
        [IR_AND] = { OP_AND, OPI_AND, OP_ANDS, OPI_ANDS }, [IR_OR] = { OP_ORR, OPI_ORR, 0, 0 },
        [IR_XOR] = { OP_EOR, OPI_EOR, 0, 0 },
    };
    bool arith = op == IR_ADD || op == IR_SUB;
    uint64_t c;
    if (constant(e, yr, &c) && x != H_ZR) {
        uint64_t neg = w ? -c : (uint32_t)-c;
        if (imm_fits(arith, w, c)) {
            if (arith)
                as_rri(&e->a, set ? code[op].is : code[op].i, w, d, x, (uint32_t)c);
            else
                as_logic_i(&e->a, set ? code[op].is : code[op].i, w, d, x, c);
            return;
        }
        if (arith && !set && as_is_imm12(neg)) {
            as_rri(&e->a, op == IR_ADD ? OPI_SUB : OPI_ADD, w, d, x, (uint32_t)neg);
            return;
        }
    }
    as_rrr(&e->a, set ? code[op].rs : code[op].r, w, d, x, use_operand(e, yr, H_S1));
}

/* The value of this ALU operation in d, without flags. */
static void alu_value(struct emit *e, const struct ir_ins *p, unsigned d)
{
    ir_ref x = p->a, y = p->b;
    if (p->op != IR_SUB && e->val[x].loc == LOC_CONST) {
        x = p->b;
        y = p->a;
    }
    op_rr(e, p->op, false, p->type == TY_I64, d, use_operand(e, x, H_S0), y);
}

/* NZCV = the flags of x op y of 8 or 16 bits: with both at the top of 32 bits. */
static void narrow_flags(struct emit *e, const struct ir_ins *p)
{
    unsigned sh = 32 - type_bits((enum ir_type)p->type), x = use_operand(e, p->a, H_S0), y;
    as_lsl(&e->a, false, H_S0, x, sh);
    y = use_operand(e, p->b, H_S1);
    as_rrs(&e->a, p->op == IR_ADD ? OP_ADDS : p->op == IR_SUB ? OP_SUBS : OP_ANDS, false, H_ZR, H_S0, y, SH_LSL, sh);
}

static bool is_incdec(const struct ir_ins *f)
{
    return f->aux == FK_INC || f->aux == FK_DEC;
}

/* Are these flags those of the result alone: SF, ZF, PF? */
static bool by_result(struct emit *e, const struct ir_ins *f)
{
    return !(flags_needed(e, f) & ~(flx_from_fl(FL_SF | FL_ZF | FL_PF)));
}

/* SETF8, SETF16: N and Z of a narrow result; C and V are not the guest's then. */
static bool can_setf(struct emit *e, enum ir_type t, const struct ir_ins *f)
{
    return t < TY_I32 && host_has(e->be, HF_FLAGM) && by_result(e, f);
}

/* Set N and Z (and C = V = 0, unless only those are needed of f) by value r of type t. */
static void test_value(struct emit *e, enum ir_type t, const struct ir_ins *f, unsigned r)
{
    if (can_setf(e, t, f)) {
        as_setf(&e->a, type_bits(t), r);
    } else if (t >= TY_I32) {
        as_rrr(&e->a, OP_ANDS, t == TY_I64, H_ZR, r, r);
    } else {
        as_lsl(&e->a, false, H_S0, r, 32 - type_bits(t));
        as_rrr(&e->a, OP_ANDS, false, H_ZR, H_S0, H_S0);
    }
}

static bool zero_extended(const struct emit *e, ir_ref r)
{
    const struct val *v = &e->val[r];
    return v->loc == LOC_CONST || (v->zx && (v->loc == LOC_TEMP || v->loc == LOC_HOME));
}

/*
 * Comparisons and tests of 8 and 16 bits of which only ZF and CF are needed (and OF, which a test clears), by
 * zero-extended operands; true: done.  Nobody wants the value.
 */
static bool narrow_compare(struct emit *e, const struct ir_ins *p, const struct ir_ins *f)
{
    enum ir_type t = (enum ir_type)p->type;
    bool test = p->op == IR_AND;
    uint64_t c;
    unsigned x;
    if (t >= TY_I32 || !flags_only(e, e->i) || !(test || p->op == IR_SUB) || is_incdec(f) ||
        (flags_needed(e, f) & ~(FLX_Z | FLX_C | (test ? FLX_O : 0))))
        return false;
    if (test && (!constant(e, p->b, &c) || !imm_fits(false, false, c)))
        return false;
    if (!test && !zero_extended(e, p->a) && !(constant(e, p->b, &c) && as_is_imm12(c)))
        return false;
    flags_clobber(e);
    if (test) {
        as_logic_i(&e->a, OPI_ANDS, false, H_ZR, use_operand(e, p->a, H_S0), c);
    } else {
        if (zero_extended(e, p->a) && e->val[p->a].loc != LOC_CONST)
            x = use_operand(e, p->a, H_S0);
        else
            use_extended(e, p->a, false, x = H_S0);
        if (constant(e, p->b, &c) && as_is_imm12(c))
            as_rri(&e->a, OPI_SUBS, false, H_ZR, x, (uint32_t)c);
        else
            as_subs_ext(&e->a, H_ZR, x, use_operand(e, p->b, H_S1), type_bits(t));
    }
    e->h.af = false;
    flags_are(e, f, !test, test, H_ZR);
    return true;
}

/* ADD and SUB of 8 and 16 bits, zero-extended, for CF alone: it is the bit above; true: done. */
static bool narrow_carry(struct emit *e, const struct ir_ins *p, const struct ir_ins *f)
{
    enum ir_type t = (enum ir_type)p->type;
    unsigned home, d, c;
    if (t >= TY_I32 || (p->op != IR_ADD && p->op != IR_SUB) || flags_needed(e, f) != FLX_C || is_incdec(f) ||
        !zero_extended(e, p->a) || !zero_extended(e, p->b))
        return false;
    flags_clobber(e);
    d = def_reg(e, e->i, &home);
    alu_value(e, p, d);
    if (host_has(e->be, HF_FLAGM)) {
        as_rmif(&e->a, d, type_bits(t) - 1, 2);
        e->h.af = false;
        flags_are(e, f, false, false, H_ZR);
    } else {
        c = temp_get(e);
        as_ubfx(&e->a, false, c, d, type_bits(t), 1);
        flags_in_temp(e, (ir_ref)(f - e->b->ins), c);
        temp_release(e, c);
    }
    def_done(e, e->i, d, home, false);
    return true;
}

/* C = the carry INC and DEC keep, if there is one. */
static void put_carry(struct emit *e, unsigned carry)
{
    if (carry != NOREG)
        flags_carry_put(e, carry);
    temp_release(e, carry);
}

static void emit_alu(struct emit *e, const struct ir_ins *p)
{
    enum ir_type t = (enum ir_type)p->type;
    const struct ir_ins *f = flags_wanted(e, e->i);
    const struct val *vx = &e->val[p->a];
    bool w = t == TY_I64, logic = p->op == IR_AND || p->op == IR_OR || p->op == IR_XOR;
    unsigned home, d, x, y, carry = NOREG;
    uint64_t c;
    if (!f && w && (p->op == IR_ADD || p->op == IR_SUB) && vx->loc == LOC_HOME && constant(e, p->b, &c)) {
        int64_t off = vx->imm + (p->op == IR_ADD ? (int64_t)c : -(int64_t)c);   /* home + constant: no code */
        if (off == (int32_t)off) {
            uint32_t ver = vx->ver;
            def_at(e, e->i, LOC_HOME, vx->reg, off);
            e->val[e->i].ver = ver;
            return;
        }
    }
    if (!f) {
        d = def_reg(e, e->i, &home);
        alu_value(e, p, d);
        def_done(e, e->i, d, home, t == TY_I32);
        return;
    }
    if (narrow_compare(e, p, f) || narrow_carry(e, p, f))
        return;
    if (is_incdec(f) && flags_kept(e, f)) {     /* the carry stays */
        carry = temp_get(e);
        flags_carry_get(e, f->b, carry);
    }
    flags_clobber(e);
    if (logic) {
        e->h.af = false;
    } else {
        x = use_operand(e, p->a, H_S0);
        y = flags_needed(e, f) & 4 ? use_operand(e, p->b, H_S1) : H_ZR;
        flags_keep_af(e, f, x, y);
    }
    if (carry == NOREG && can_setf(e, t, f)) {
        bool value = !flags_only(e, e->i);
        d = value ? def_reg(e, e->i, &home) : H_S0;
        if (!value && p->op == IR_AND && p->a == p->b)
            d = use_operand(e, p->a, H_S0);
        else
            alu_value(e, p, d);
        as_setf(&e->a, type_bits(t), d);
        flags_are(e, f, false, logic, d);
        if (value)
            def_done(e, e->i, d, home, false);
        return;
    }
    if (t < TY_I32 && (p->op == IR_ADD || p->op == IR_SUB || p->op == IR_AND)) {
        bool value = !flags_only(e, e->i) || (flags_needed(e, f) & 6);
        d = NOREG;
        if (value) {
            d = def_reg(e, e->i, &home);
            alu_value(e, p, d);
        }
        narrow_flags(e, p);
        put_carry(e, carry);
        flags_are(e, f, p->op == IR_SUB && carry == NOREG, logic, d == NOREG ? H_ZR : d);
        if (value)
            def_done(e, e->i, d, home, false);
        return;
    }
    if (flags_only(e, e->i) && (p->op == IR_SUB || p->op == IR_AND || p->op == IR_ADD)) {
        unsigned r = flags_needed(e, f) & 6 ? H_PF : H_ZR;
        op_rr(e, p->op, true, w, r, use_operand(e, p->a, H_S0), p->b);
        put_carry(e, carry);
        flags_are(e, f, p->op == IR_SUB && carry == NOREG, logic, r);
        return;
    }
    d = def_reg(e, e->i, &home);
    if (p->op == IR_OR || p->op == IR_XOR) {
        alu_value(e, p, d);
        test_value(e, t, f, d);
    } else {
        op_rr(e, p->op, true, w, d, use_operand(e, p->a, H_S0), p->b);
    }
    put_carry(e, carry);
    flags_are(e, f, p->op == IR_SUB && carry == NOREG, logic, d);
    def_done(e, e->i, d, home, t == TY_I32);
}

/* ADC, SBB: of 32 and 64 bits as such, else by way of the carry as a number, their flags by C. */
static void emit_carry(struct emit *e, const struct ir_ins *p)
{
    enum ir_type t = (enum ir_type)p->type;
    const struct ir_ins *f = flags_wanted(e, e->i);
    bool sub = p->op == IR_SBB;
    unsigned home, d, x, y;
    if (f && t < TY_I32)
        flags_apart_before(e, f);
    flags_carry(e, p->c, sub);
    flags_clobber(e);
    d = def_reg(e, e->i, &home);
    x = use_operand(e, p->a, H_S0);
    y = use_operand(e, p->b, H_S1);
    if (f && t >= TY_I32)
        flags_keep_af(e, f, x, y);
    as_rrr(&e->a, f && t >= TY_I32 ? (sub ? OP_SBCS : OP_ADCS) : sub ? OP_SBC : OP_ADC, t == TY_I64, d, x, y);
    if (f && t >= TY_I32)
        flags_are(e, f, sub, false, d);
    def_done(e, e->i, d, home, t == TY_I32);
    if (f && t < TY_I32)
        flags_apart(e, f);
}

static void emit_unary(struct emit *e, const struct ir_ins *p)
{
    enum ir_type t = (enum ir_type)p->type;
    const struct ir_ins *f = p->op == IR_NEG ? flags_wanted(e, e->i) : NULL;
    bool w = t == TY_I64;
    unsigned home, d, x;
    if (f) {
        flags_clobber(e);
        flags_keep_af(e, f, use_operand(e, p->a, H_S0), H_ZR);
    }
    d = def_reg(e, e->i, &home);
    x = use_operand(e, p->a, H_S0);
    if (p->op == IR_BSWAP) {
        as_rr(&e->a, w ? OP_REV64 : t == TY_I32 ? OP_REV32 : OP_REV16, false, d, x);
    } else if (p->op == IR_NOT) {
        as_rrr(&e->a, OP_ORN, w, d, H_ZR, x);
    } else if (!f) {
        as_rrr(&e->a, OP_SUB, w, d, H_ZR, x);
    } else if (t >= TY_I32) {
        as_rrr(&e->a, OP_SUBS, w, d, H_ZR, x);
        flags_are(e, f, true, false, d);
    } else {
        as_rrs(&e->a, OP_SUBS, false, H_ZR, H_ZR, x, SH_LSL, 32 - type_bits(t));
        as_rrr(&e->a, OP_SUB, false, d, H_ZR, x);
        flags_are(e, f, true, false, d);
    }
    def_done(e, e->i, d, home, t == TY_I32);
}

static void shift_imm(struct emit *e, const struct ir_ins *p, unsigned d, unsigned x, unsigned n)
{
    enum ir_type t = (enum ir_type)p->type;
    unsigned bits = type_bits(t);
    bool w = t == TY_I64;
    switch (p->op) {
    case IR_SHL:
        as_lsl(&e->a, w, d, x, n);
        break;
    case IR_SHR:
        if (n >= bits)
            as_mov(&e->a, w, d, H_ZR);
        else
            as_ubfx(&e->a, w, d, x, n, bits - n);
        break;
    case IR_SAR:
        n = n < bits ? n : bits - 1;
        as_sbfx(&e->a, w, d, x, n, bits - n);
        break;
    default:                                    /* ROL, ROR of 32 and 64 bits */
        n = (p->op == IR_ROL ? bits - n : n) & (bits - 1);
        as_extr(&e->a, w, d, x, x, n);
    }
}

/* The low bits of x, repeated all over 32. */
static unsigned replicate(struct emit *e, enum ir_type t, unsigned d, unsigned x)
{
    if (d != x)
        as_mov(&e->a, false, d, x);
    if (t == TY_I8)
        as_bfi(&e->a, false, d, d, 8, 8);
    as_bfi(&e->a, false, d, d, 16, 16);
    return d;
}

static void shift_reg(struct emit *e, const struct ir_ins *p, unsigned d, unsigned n)
{
    enum ir_type t = (enum ir_type)p->type;
    bool w = t == TY_I64, rot = p->op == IR_ROL || p->op == IR_ROR;
    unsigned x = use_operand(e, p->a, H_S0);
    if (rot && t < TY_I32) {
        x = replicate(e, t, H_S0, x);
    } else if (t < TY_I32 && p->op != IR_SHL) {
        use_extended(e, p->a, p->op == IR_SAR, H_S0);
        x = H_S0;
    }
    if (p->op == IR_ROL) {
        as_rrr(&e->a, OP_SUB, w, H_S1, H_ZR, n);
        n = H_S1;
    }
    as_rrr(&e->a, p->op == IR_SHL ? OP_LSLV : p->op == IR_SHR ? OP_LSRV : p->op == IR_SAR ? OP_ASRV : OP_RORV, w, d, x, n);
}

static void emit_shift(struct emit *e, const struct ir_ins *p)
{
    enum ir_type t = (enum ir_type)p->type;
    const struct ir_ins *f = flags_wanted(e, e->i);
    uint64_t c = 0;
    bool imm = constant(e, p->b, &c), c_flags;
    unsigned home, d, bits = type_bits(t), n;
    n = (unsigned)c & (t == TY_I64 ? 63 : 31);
    if (f && carry_alone(e, f, true))
        f = NULL;
    c_flags = f && (!imm || !n || flags_kept(e, f) || !by_result(e, f) || p->op >= IR_ROL);
    if (c_flags)
        flags_apart_before(e, f);
    d = def_reg(e, e->i, &home);
    if (imm && (t >= TY_I32 || (p->op != IR_ROL && p->op != IR_ROR))) {
        shift_imm(e, p, d, use_operand(e, p->a, H_S0), n);
    } else if (imm) {
        unsigned by = (p->op == IR_ROL ? bits - n % bits : n) & (bits - 1);
        unsigned x = replicate(e, t, H_S0, use_operand(e, p->a, H_S0));
        as_extr(&e->a, false, d, x, x, by);
    } else {
        shift_reg(e, p, d, use_operand(e, p->b, H_S1));
    }
    if (f && !c_flags) {
        flags_clobber(e);
        e->h.af = false;
        test_value(e, t, f, d);
        flags_are(e, f, false, true, d);
    }
    def_done(e, e->i, d, home, t == TY_I32);
    if (c_flags)
        flags_apart(e, f);
}

/*
 * RCL, RCR by n, not 0, of 32 and 64 bits.  ADC x, x puts the carry below x; twice x with the carry between
 * them is what EXTR cuts the result out of.
 */
static void rotate_carry(struct emit *e, const struct ir_ins *p, unsigned n)
{
    const struct ir_ins *f = flags_wanted(e, e->i);
    unsigned home, d, x, bits = type_bits((enum ir_type)p->type), c;
    bool w = bits == 64, left = p->op == IR_RCL;
    bool adcs = f && left && n == 1 && !(flags_needed(e, f) & ~(FLX_C | FLX_O));
    if (f && !adcs && carry_alone(e, f, false))
        f = NULL;
    if (f && !adcs) {                           /* other flags may be kept of those the carry is in */
        flags_carry_get(e, p->c, c = temp_get(e));
        flags_apart_before(e, f);
        as_rri(&e->a, OPI_SUBS, false, H_ZR, c, 1);
        temp_release(e, c);
    } else {
        flags_carry(e, p->c, false);
        flags_clobber(e);
    }
    d = def_reg(e, e->i, &home);
    x = use_operand(e, p->a, H_S0);
    if (left && n == 1) {
        as_rrr(&e->a, adcs ? OP_ADCS : OP_ADC, w, d, x, x);
    } else {
        as_rrr(&e->a, OP_ADC, w, H_S1, x, x);
        as_extr(&e->a, w, d, H_S1, x, left ? bits + 1 - n : n);
    }
    if (adcs) {
        e->h.af = false;
        flags_are(e, f, false, false, H_ZR);
    }
    def_done(e, e->i, d, home, !w);
    if (f && !adcs)
        flags_apart(e, f);
}

/* SHLD, SHRD, RCL, RCR by a constant, of 32 and 64 bits; all else by C. */
static void emit_double(struct emit *e, const struct ir_ins *p)
{
    enum ir_type t = (enum ir_type)p->type;
    uint64_t c = 0;
    unsigned home, d, bits = type_bits(t), n, x, y;
    bool carry = p->op == IR_RCL || p->op == IR_RCR, imm = constant(e, carry ? p->b : p->c, &c);
    n = (unsigned)c & (t == TY_I64 ? 63 : 31);
    if (!imm || t < TY_I32 || !n) {
        emit_fallback(e, p);
        return;
    }
    if (carry) {
        rotate_carry(e, p, n);
        return;
    }
    const struct ir_ins *f = flags_wanted(e, e->i);
    if (f)
        flags_apart_before(e, f);
    d = def_reg(e, e->i, &home);
    x = use_operand(e, p->a, H_S0);
    y = use_operand(e, p->b, H_S1);
    if (p->op == IR_SHLD)
        as_extr(&e->a, t == TY_I64, d, x, y, bits - n);
    else
        as_extr(&e->a, t == TY_I64, d, y, x, n);
    def_done(e, e->i, d, home, t == TY_I32);
    if (f)
        flags_apart(e, f);
}

static void emit_ea(struct emit *e, const struct ir_ins *p)
{
    enum ir_type t = (enum ir_type)p->type;
    const struct val *va = &e->val[p->a];
    int64_t imm = p->imm;
    bool w = t == TY_I64;
    unsigned home, d, x, y;
    if (!p->b && w && va->loc == LOC_HOME && va->imm + imm == (int32_t)(va->imm + imm)) {
        uint32_t ver = va->ver;
        def_at(e, e->i, LOC_HOME, va->reg, va->imm + imm);
        e->val[e->i].ver = ver;
        return;
    }
    d = def_reg(e, e->i, &home);
    va = &e->val[p->a];
    if (p->a && va->loc == LOC_HOME && va->imm) {
        imm += va->imm;
        x = home_host(va->reg);
    } else {
        x = p->a ? use_operand(e, p->a, H_S0) : H_ZR;
    }
    if (p->b) {
        y = use_operand(e, p->b, H_S1);
        as_rrs(&e->a, OP_ADD, w, d, x, y, SH_LSL, p->aux);
        x = d;
    }
    if (x == H_ZR)
        as_mov_i(&e->a, d, (uint64_t)imm & type_mask(t));
    else
        as_add_i(&e->a, w, d, x, imm, H_S0 == x ? H_S1 : H_S0);
    def_done(e, e->i, d, home, t == TY_I32);
}

static void alias(struct emit *e, ir_ref r)
{
    const struct val v = e->val[r];
    def_at(e, e->i, (enum loc)v.loc, v.reg, v.imm);
    e->val[e->i].ver = v.ver;
}

static void emit_extend(struct emit *e, const struct ir_ins *p)
{
    enum ir_type t = (enum ir_type)p->type;
    const struct val *v = &e->val[p->a];
    unsigned home, d;
    if (p->op == IR_TRUNC && v->loc != LOC_CC) {
        alias(e, p->a);
        e->val[e->i].zx = false;
        return;
    }
    if (p->op == IR_ZEXT && v->zx && ((v->loc == LOC_TEMP && !e->use[e->i].put) ||
                                      (v->loc == LOC_HOME && v->imm == 0))) {
        alias(e, p->a);
        e->val[e->i].zx = true;
        return;
    }
    if (v->loc == LOC_CC) {                     /* before def_reg: nothing is overwritten by a test */
        d = use_copy(e, p->a);
        if (p->op == IR_SEXT)
            as_sbfx(&e->a, true, d, d, 0, 8);
        def_done(e, e->i, d, 0xff, p->op != IR_SEXT);
        return;
    }
    d = def_reg(e, e->i, &home);
    use_extended(e, p->a, p->op == IR_SEXT, d);
    if (p->op == IR_SEXT && t == TY_I32)        /* upper half zero */
        as_mov(&e->a, false, d, d);
    def_done(e, e->i, d, home, p->op == IR_ZEXT || t >= TY_I32);
}

static void emit_select(struct emit *e, const struct ir_ins *p)
{
    unsigned d, x, y, cc, home;
    for (unsigned k = 0; k < 2; k++) {
        ir_ref r = k ? p->c : p->b;
        if (e->val[r].loc == LOC_CC) {
            d = use_copy(e, r);
            def_at(e, r, LOC_TEMP, d, 0);
            e->val[r].zx = true;
            temp_release(e, d);
        }
    }
    cc = cond_test(e, p->a);                    /* nothing below touches NZCV */
    d = def_reg(e, e->i, &home);
    x = use_operand(e, p->b, H_S0);
    y = use_operand(e, p->c, H_S1);
    as_csel(&e->a, p->type == TY_I64, d, x, y, cc);
    def_done(e, e->i, d, home, p->type == TY_I32);
}

/* Is value i only asked for by the SELECT or EXIT_IF that follows, which finds it in NZCV? */
static bool asked_next(const struct emit *e, unsigned i)
{
    const struct ir_ins *q = &e->b->ins[i + 1];
    while (q->op == IR_NOP || q->op == IR_SEEN)
        q++;
    if ((q->op != IR_SELECT && q->op != IR_EXIT_IF) || q->a != i || e->use[i].uses != 1)
        return false;
    return q->op == IR_EXIT_IF || (e->val[q->b].loc != LOC_CC && e->val[q->c].loc != LOC_CC);
}

/* EQ, LTU, LTS */
static void emit_compare(struct emit *e, const struct ir_ins *p)
{
    static const uint8_t cc[] = { A_EQ, A_CC, A_LT };
    enum ir_type t = type_at(e, p->a);
    unsigned d, x, y, sh = t < TY_I32 ? 32 - type_bits(t) : 0;
    flags_clobber(e);
    x = use_operand(e, p->a, H_S0);
    if (sh) {
        as_lsl(&e->a, false, H_S0, x, sh);
        x = H_S0;
    }
    y = use_operand(e, p->b, H_S1);
    as_rrs(&e->a, OP_SUBS, t == TY_I64, H_ZR, x, y, SH_LSL, sh);
    if (asked_next(e, e->i)) {
        e->h.asked = (ir_ref)e->i;
        e->h.asked_cc = cc[p->op - IR_EQ];
        def_at(e, e->i, LOC_CONST, 0, 0);       /* it is nowhere else */
        return;
    }
    d = temp_get(e);
    as_cset(&e->a, d, cc[p->op - IR_EQ]);
    def_done(e, e->i, d, 0xff, true);
}

static void emit_bit(struct emit *e, const struct ir_ins *p)
{
    enum ir_type t = (enum ir_type)p->type;
    const struct ir_ins *f = flags_wanted(e, e->i);
    bool w = t == TY_I64, c_flags = f && (flags_kept(e, f) || (flags_needed(e, f) & ~flx_from_fl(FL_CF)));
    unsigned home, d, x;
    uint64_t c;
    if (f && host_has(e->be, HF_FLAGM) && constant(e, p->b, &c) && carry_alone(e, f, true)) {
        f = NULL;
        if (flags_only(e, e->i))
            return;
    }
    if (c_flags)
        flags_apart_before(e, f);
    d = def_reg(e, e->i, &home);
    x = use_operand(e, p->a, H_S0);
    if (constant(e, p->b, &c)) {
        as_ubfx(&e->a, w, d, x, (unsigned)c & (type_bits(t) - 1), 1);
    } else {
        unsigned y = use_operand(e, p->b, H_S1);
        if (t < TY_I32) {
            as_logic_i(&e->a, OPI_AND, false, H_S1, y, type_bits(t) - 1);
            y = H_S1;
        }
        as_rrr(&e->a, OP_LSRV, w, d, x, y);
        as_logic_i(&e->a, OPI_AND, w, d, d, 1);
    }
    if (f && !c_flags) {
        flags_clobber(e);
        e->h.af = false;
        as_rri(&e->a, OPI_SUBS, false, H_ZR, d, 1);             /* C = bit >= 1 */
        flags_are(e, f, false, false, d);
    }
    def_done(e, e->i, d, home, true);
    if (c_flags)
        flags_apart(e, f);
}

/* BSF and BSR of which nothing but ZF is needed: was the source 0? */
static bool scan_zero(struct emit *e, const struct ir_ins *f)
{
    return f->aux == FK_BSCAN && !flags_kept(e, f) && !(flags_needed(e, f) & ~flx_from_fl(FL_ZF));
}

/* CTZ, CLZ: the width for 0. */
static void emit_count(struct emit *e, const struct ir_ins *p)
{
    enum ir_type t = (enum ir_type)p->type;
    const struct ir_ins *f = flags_wanted(e, e->i);
    unsigned home, d, x, bits = type_bits(t);
    bool zero = f && scan_zero(e, f), c_flags = f && !zero && f->aux != FK_POPCNT;
    if (c_flags)
        flags_apart_before(e, f);
    if (p->op == IR_POPCNT) {                   /* the host counts bits in vector registers */
        unsigned v = vtemp_get(e);
        use_extended(e, p->a, false, H_S0);
        as_w(&e->a, 0x9e670000u | H_S0 << 5 | v);       /* fmov d, x */
        as_w(&e->a, 0x0e205800u | v << 5 | v);          /* cnt 8b */
        as_w(&e->a, 0x0e31b800u | v << 5 | v);          /* addv b, 8b */
        d = def_reg(e, e->i, &home);
        as_w(&e->a, 0x1e260000u | v << 5 | d);          /* fmov w, s */
        vtemp_release(e, v);
        if (f) {                                /* ZF; of SF and PF the result's are not the guest's */
            flags_clobber(e);
            e->h.af = false;
            as_rrr(&e->a, OP_ANDS, false, H_ZR, d, d);
            as_mov_i(&e->a, H_S0, 1);           /* odd: PF is 0 */
            flags_are(e, f, false, true, H_S0);
        }
        def_done(e, e->i, d, home, true);
        return;
    }
    if (zero)
        flags_clobber(e);
    d = def_reg(e, e->i, &home);
    x = use_operand(e, p->a, H_S0);
    if (zero) {
        e->h.af = false;
        if (t < TY_I32)
            as_logic_i(&e->a, OPI_ANDS, false, H_ZR, x, type_mask(t));
        else
            as_rrr(&e->a, OP_ANDS, t == TY_I64, H_ZR, x, x);
        flags_are(e, f, false, true, H_ZR);
    }
    if (t < TY_I32 && p->op == IR_CTZ) {        /* a one behind the value */
        as_logic_i(&e->a, OPI_ORR, false, H_S0, x, (uint64_t)1 << bits);
        x = H_S0;
    } else if (t < TY_I32) {
        as_lsl(&e->a, false, H_S0, x, 32 - bits);
        as_logic_i(&e->a, OPI_ORR, false, H_S0, H_S0, (uint64_t)1 << (31 - bits));
        x = H_S0;
    }
    if (p->op == IR_CTZ) {
        as_rr(&e->a, OP_RBIT, t == TY_I64, d, x);
        x = d;
    }
    as_rr(&e->a, OP_CLZ, t == TY_I64, d, x);
    def_done(e, e->i, d, home, t >= TY_I32);
    if (c_flags)
        flags_apart(e, f);
}

void emit_int(struct emit *e, const struct ir_ins *p)
{
    unsigned home, d;
    switch (p->op) {
    case IR_CONST:
        def_at(e, e->i, LOC_CONST, 0, p->imm);
        break;
    case IR_PC:
        d = def_reg(e, e->i, &home);
        host_field(e, true, 3, d, CPU_OFF(pc_page));
        as_add_i(&e->a, true, d, d, p->imm, H_S0);
        def_done(e, e->i, d, home, true);
        break;
    case IR_ADD: case IR_SUB: case IR_AND: case IR_OR: case IR_XOR:
        emit_alu(e, p);
        break;
    case IR_ADC: case IR_SBB:
        emit_carry(e, p);
        break;
    case IR_NOT: case IR_NEG: case IR_BSWAP:
        emit_unary(e, p);
        break;
    case IR_SHL: case IR_SHR: case IR_SAR: case IR_ROL: case IR_ROR:
        emit_shift(e, p);
        break;
    case IR_RCL: case IR_RCR: case IR_SHLD: case IR_SHRD:
        emit_double(e, p);
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
        emit_compare(e, p);
        break;
    case IR_BIT:
        emit_bit(e, p);
        break;
    case IR_CTZ: case IR_CLZ: case IR_POPCNT:
        emit_count(e, p);
        break;
    case IR_CRC32:
        if (host_has(e->be, HF_CRC32)) {
            d = temp_get(e);
            unsigned x = use_operand(e, p->a, H_S0), y = use_operand(e, p->b, H_S1);
            as_crc32c(&e->a, type_at(e, p->b) - TY_I8, d, x, y);
            def_done(e, e->i, d, 0xff, true);
            break;
        }
        emit_arg(e, 0, p->a);
        emit_arg(e, 1, p->b);
        host_store_imm(e, CPU_OFF(arg[2]), (int32_t)type_bytes(type_at(e, p->b)));
        emit_thunk_call(e, e->be->crc32, e->pc, 0);
        d = temp_get(e);
        host_field(e, true, 3, d, CPU_OFF(hret));
        def_done(e, e->i, d, 0xff, true);
        break;
    default:
        assert(!"operation without code");
    }
}
