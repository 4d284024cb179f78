/*
 * emit_image.c - the flags of operations that no flag-setting host instruction matches, as an
 * image put together bit by bit (cc_eval() in translator/flags.c says what each is): shifts,
 * rotations, products, bit tests and scans.  Of an image only what somebody needs is made.
 *
 * image_begin() keeps the operands, since the result may overwrite them; image_end() has the result,
 * too.  Kinds and forms that are not here are done by C (flags_apart).
 */
#include <assert.h>

#include "backend-aarch64/emit.h"
#include "translator/alu.h"

static bool constant(const struct emit *e, ir_ref r, unsigned mask, unsigned *n)
{
    const struct val *v = &e->val[r];
    *n = (unsigned)v->imm & mask;
    return v->loc == LOC_CONST;
}

/* Can this operation's image be made here? */
static bool known(const struct emit *e, const struct ir_ins *p, const struct ir_ins *f)
{
    enum ir_type t = (enum ir_type)p->type;
    unsigned n, mask = t == TY_I64 ? 63 : 31;
    switch (f->aux) {
    case FK_SHL:
        return constant(e, p->b, mask, &n) ? n != 0 : t >= TY_I32;
    case FK_SHR: case FK_SAR:
        return !constant(e, p->b, mask, &n) || n;
    case FK_ROT:
        if (!constant(e, p->b, mask, &n))
            return p->op == IR_ROL || p->op == IR_ROR;
        return n && (p->op == IR_ROL || p->op == IR_ROR || t >= TY_I32);
    case FK_SHD:
        return t >= TY_I32 && constant(e, p->c, mask, &n) && n;
    case FK_MULU: case FK_MULS:
        return t >= TY_I32;
    case FK_BT: case FK_BSCAN: case FK_POPCNT: case FK_ZCNT:
        return true;
    default:
        return false;
    }
}

/* Operand r, zero- or sign-extended, in a temporary of its own. */
static unsigned kept(struct emit *e, ir_ref r, bool sign)
{
    unsigned t = temp_get(e);
    use_extended(e, r, sign, t);
    return t;
}

/* The bit of operand a that a shift, rotation or bit test by the constant n leaves in CF; -1: none. */
static int carry_bit(const struct ir_ins *p, const struct ir_ins *f, unsigned n)
{
    unsigned w = type_bits((enum ir_type)p->type);
    switch (f->aux) {
    case FK_SHL:
        return n && n <= w ? (int)(w - n) : -1;
    case FK_SHR:
        return n && n <= w ? (int)n - 1 : -1;
    case FK_SAR:
        return !n ? -1 : n <= w ? (int)n - 1 : (int)w - 1;
    case FK_ROT:
        if (!n || ((p->op == IR_RCL || p->op == IR_RCR) && n > w))
            return -1;
        return (int)((p->op == IR_ROL || p->op == IR_RCL ? w - n % w : n - 1 + w) % w);
    case FK_BT:
        return (int)(n & (w - 1));
    default:
        return -1;
    }
}

/* The same by a count in a register, into bit 0 of t; old: what a count of 0 leaves, or NOREG. */
static void carry_by_register(struct emit *e, const struct ir_ins *p, unsigned t, unsigned old)
{
    bool w = p->type == TY_I64;
    unsigned x, n;
    if (p->type < TY_I32)
        use_extended(e, p->a, p->op == IR_SAR, x = H_S0);
    else
        x = use_operand(e, p->a, H_S0);
    n = use_operand(e, p->b, H_S1);
    if (old != NOREG)
        as_logic_i(&e->a, OPI_ANDS, false, H_ZR, n, w ? 63 : 31);
    if (p->op == IR_SHL)
        as_rrr(&e->a, OP_SUB, false, H_S1, H_ZR, n);
    else
        as_rri(&e->a, OPI_SUB, false, H_S1, n, 1);
    as_rrr(&e->a, OP_LSRV, w, t, x, H_S1);
    if (old != NOREG)
        as_csel(&e->a, false, t, old, t, A_EQ);
}

/* Is count r below 32, whatever the guest's registers hold? */
static bool count_fits(const struct ir_block *b, ir_ref r)
{
    while (b->ins[r].op == IR_TRUNC || b->ins[r].op == IR_ZEXT)
        r = b->ins[r].a;
    return b->ins[r].op == IR_AND && ir_is_const(b, b->ins[r].b) && (uint64_t)b->ins[b->ins[r].b].imm < 32;
}

/*
 * Of 32 bits, where a count of 0 leaves no carry: in 64 bits there is room for what is shifted out, in bit 32 of t to the left
 * and in bit 31 to the right, which is 0 if nothing is.  Returns which.
 */
static unsigned carry_beside(struct emit *e, const struct ir_ins *p, unsigned t)
{
    unsigned n = use_operand(e, p->b, H_S1);
    if (!count_fits(e->b, p->b)) {
        as_logic_i(&e->a, OPI_AND, false, H_S1, n, 31);
        n = H_S1;
    }
    if (p->op == IR_SHL) {
        use_extended(e, p->a, false, H_S0);
        as_rrr(&e->a, OP_LSLV, true, t, H_S0, n);
        return 32;
    }
    as_lsl(&e->a, true, H_S0, use_operand(e, p->a, H_S0), 32);
    as_rrr(&e->a, OP_LSRV, true, t, H_S0, n);
    return 31;
}

bool carry_alone(struct emit *e, const struct ir_ins *f, bool nzcv)
{
    const struct ir_ins *p = &e->b->ins[e->i];
    ir_ref old = flags_kept(e, f);
    unsigned n, t, k = 0, o = NOREG;
    bool shift = f->aux == FK_SHL || f->aux == FK_SHR || f->aux == FK_SAR;
    if (flags_needed(e, f) != FLX_C)
        return false;
    if (constant(e, p->b, f->aux == FK_BT || p->type == TY_I64 ? 63 : 31, &n)) {
        int from = carry_bit(p, f, n);
        if (from < 0)
            return false;
        k = (unsigned)from;
        unsigned x = use_operand(e, p->a, H_S0);
        if (nzcv && host_has(e->be, HF_FLAGM)) {
            flags_clobber(e);
            as_rmif(&e->a, x, (k + 63) & 63, 2);        /* bit k to C */
            e->h.af = false;
            flags_are(e, f, false, false, H_ZR);
            return true;
        }
        t = temp_get(e);
        as_ubfx(&e->a, true, t, x, k, 1);
    } else {
        if (!nzcv || !shift || (f->aux == FK_SHL && p->type < TY_I32))
            return false;
        if (old && e->ef && e->ef == flags_resolve(e, old) && e->h.logic)
            o = H_ZR;
        else if (old)
            flags_carry_get(e, old, o = temp_get(e));
        flags_clobber(e);
        t = temp_get(e);
        if (o == H_ZR && p->type == TY_I32)
            k = carry_beside(e, p, t);
        else
            carry_by_register(e, p, t, o);
        if (o != H_ZR)
            temp_release(e, o);
        if (host_has(e->be, HF_FLAGM)) {
            as_rmif(&e->a, t, (k + 63) & 63, 2);
            temp_release(e, t);
            e->h.af = false;
            flags_are(e, f, false, false, H_ZR);
            return true;
        }
        as_ubfx(&e->a, true, t, t, k, 1);
    }
    flags_in_temp(e, (ir_ref)(f - e->b->ins), t);
    temp_release(e, t);
    return true;
}

bool image_begin(struct emit *e, const struct ir_ins *f)
{
    const struct ir_ins *p = &e->b->ins[e->i];
    struct image *m = &e->h.image;
    ir_ref old = flags_kept(e, f);
    m->on = known(e, p, f);
    if (!m->on)
        return false;
    m->x = m->y = m->old = NOREG;
    m->x = kept(e, p->a, f->aux == FK_SAR);
    if (f->aux == FK_MULU || f->aux == FK_MULS || f->aux == FK_SHD || (f->aux <= FK_ROT && e->val[p->b].loc != LOC_CONST))
        m->y = kept(e, p->b, false);
    if (old) {
        m->old = temp_get(e);
        host_field(e, true, 2, m->old, flags_force(e, old));
    }
    flags_clobber(e);
    return true;
}

/* Bit `to` of t = bit 0 of s. */
static void put(struct emit *e, unsigned t, unsigned to, unsigned s)
{
    as_bfi(&e->a, false, t, s, to, 1);
}

/* s0 = bit n of x, and others above it */
static unsigned bit(struct emit *e, unsigned x, unsigned n)
{
    if (n)
        as_ubfx(&e->a, true, H_S0, x, n, 1);
    return n ? H_S0 : x;
}

/* What a shift by n, or by what m->y holds, shifts out last: in bit 0. */
static unsigned shifted_out(struct emit *e, const struct image *m, bool left, unsigned w, bool imm, unsigned n)
{
    if (imm && left)
        return n <= w ? bit(e, m->x, w - n) : H_ZR;
    if (imm)
        return bit(e, m->x, n - 1);
    if (left)
        as_rrr(&e->a, OP_SUB, false, H_S0, H_ZR, m->y);         /* of 32 and 64 bits, as LSRV counts */
    else
        as_rri(&e->a, OPI_SUB, false, H_S0, m->y, 1);
    as_rrr(&e->a, OP_LSRV, w == 64, H_S0, m->x, H_S0);
    return H_S0;
}

/* s0 = does the sign of x change when it is shifted left by one? */
static unsigned sign_changes(struct emit *e, unsigned x, unsigned w)
{
    as_rrs(&e->a, OP_EOR, true, H_S0, x, x, SH_LSL, 1);
    return bit(e, H_S0, w - 1);
}

/* s0 = sign of x, exclusive or bit 0 of y */
static unsigned sign_and(struct emit *e, unsigned x, unsigned w, unsigned y)
{
    as_rrs(&e->a, OP_EOR, true, H_S0, y, x, SH_LSR, w - 1);
    return H_S0;
}

/* CF and OF in t. */
static void carry_overflow(struct emit *e, const struct ir_ins *p, const struct ir_ins *f, unsigned t, unsigned r,
                           unsigned need)
{
    struct image *m = &e->h.image;
    unsigned w = type_bits((enum ir_type)p->type), mask = w == 64 ? 63 : 31, n = 0, s;
    bool imm = f->aux == FK_SHD ? constant(e, p->c, mask, &n) : f->aux <= FK_ROT && constant(e, p->b, mask, &n);
    bool c = need & FLX_C, o = need & FLX_O;
    switch (f->aux) {
    case FK_SHL: case FK_SHR: case FK_SAR:
        if (c)
            put(e, t, 0, shifted_out(e, m, f->aux == FK_SHL, w, imm, n));
        if (o && f->aux == FK_SHL)
            put(e, t, 11, sign_changes(e, m->x, w));
        else if (o && f->aux == FK_SHR)
            put(e, t, 11, bit(e, m->x, w - 1));
        break;
    case FK_ROT:
        if (c && (p->op == IR_RCL || p->op == IR_RCR))
            put(e, t, 0, shifted_out(e, m, p->op == IR_RCL, w, imm, n));
        else if (c)
            put(e, t, 0, bit(e, r, p->op == IR_ROL ? 0 : w - 1));
        if (!o)
            break;
        if (p->op == IR_ROL || p->op == IR_RCL) {
            s = sign_changes(e, m->x, w);
        } else if (p->op == IR_ROR) {
            s = sign_and(e, m->x, w, m->x);
        } else {
            as_lsr(&e->a, true, H_S1, r, w - n);
            s = sign_and(e, m->x, w, H_S1);
        }
        put(e, t, 11, s);
        break;
    case FK_SHD:
        if (c)
            put(e, t, 0, bit(e, m->x, p->op == IR_SHLD ? w - n : n - 1));
        if (o)
            put(e, t, 11, p->op == IR_SHLD ? sign_changes(e, m->x, w) : sign_and(e, m->x, w, m->y));
        break;
    case FK_MULU: case FK_MULS:
        if (!(c || o))
            break;
        if (w == 64)
            as_rrr(&e->a, f->aux == FK_MULU ? OP_UMULH : OP_SMULH, false, H_S0, m->x, m->y);
        if (f->aux == FK_MULU && w == 32) {
            as_rrr(&e->a, OP_MUL, true, H_S0, m->x, m->y);      /* both zero-extended */
            as_lsr(&e->a, true, H_S0, H_S0, 32);
        } else if (w == 32) {
            as_sbfx(&e->a, true, H_S0, m->x, 0, 32);
            as_sbfx(&e->a, true, H_S1, m->y, 0, 32);
            as_rrr(&e->a, OP_MUL, true, H_S0, H_S0, H_S1);
            as_sbfx(&e->a, true, H_S1, r, 0, 32);
        }
        if (f->aux == FK_MULU)
            as_rrr(&e->a, OP_SUBS, true, H_ZR, H_S0, H_ZR);
        else if (w == 64)
            as_rrs(&e->a, OP_SUBS, true, H_ZR, H_S0, r, SH_ASR, 63);
        else
            as_rrr(&e->a, OP_SUBS, true, H_ZR, H_S0, H_S1);
        as_cset(&e->a, H_S0, A_NE);
        put(e, t, 0, H_S0);
        put(e, t, 11, H_S0);
        break;
    case FK_BT:
        put(e, t, 0, r);
        break;
    case FK_ZCNT:
        if (c) {
            as_rrr(&e->a, OP_SUBS, true, H_ZR, m->x, H_ZR);
            as_cset(&e->a, H_S0, A_EQ);
            put(e, t, 0, H_S0);
        }
        break;
    default:
        break;
    }
}

/* SF, ZF and PF in t. */
static void sign_zero_parity(struct emit *e, const struct ir_ins *p, const struct ir_ins *f, unsigned t, unsigned r,
                             unsigned need)
{
    enum ir_type ty = (enum ir_type)p->type;
    unsigned w = type_bits(ty), z = NOREG;
    switch (f->aux) {
    case FK_SHL: case FK_SHR: case FK_SAR: case FK_SHD: case FK_ZCNT:
        z = r;
        break;
    case FK_BSCAN: case FK_POPCNT:
        z = e->h.image.x;
        ty = TY_I64;                            /* it is extended */
        break;
    default:
        break;
    }
    if (z != NOREG && (need & FLX_Z)) {
        if (ty < TY_I32) {
            as_ubfx(&e->a, false, H_S0, z, 0, w);
            z = H_S0;
        }
        as_rrr(&e->a, OP_SUBS, ty == TY_I64, H_ZR, z, H_ZR);
        as_cset(&e->a, H_S0, A_EQ);
        put(e, t, 6, H_S0);
    }
    if (!(fk_writes[f->aux] & FLX_S) || f->aux == FK_POPCNT || f->aux == FK_ZCNT)
        return;
    if (need & FLX_S)
        put(e, t, 7, bit(e, r, w - 1));
    if (need & FLX_P) {
        flags_parity(e, r);
        put(e, t, 2, H_S2);
    }
}

void image_end(struct emit *e, const struct ir_ins *f)
{
    const struct ir_ins *p = &e->b->ins[e->i];
    struct image *m = &e->h.image;
    unsigned t = temp_get(e), tmp, r = use_reg(e, e->i, &tmp), need = flags_needed(e, f);    /* t may spill r */
    bool all = (fk_writes[f->aux] & FLX_ALL) == FLX_ALL;
    if (all || m->old == NOREG)
        as_mov(&e->a, false, t, H_ZR);
    else
        as_mov(&e->a, false, t, m->old);
    carry_overflow(e, p, f, t, r, need & fk_writes[f->aux]);
    sign_zero_parity(e, p, f, t, r, need & fk_writes[f->aux]);
    if (m->y != NOREG && m->old != NOREG && f->aux <= FK_ROT) {        /* shifted by nothing: what was */
        as_logic_i(&e->a, OPI_ANDS, false, H_ZR, m->y, p->type == TY_I64 ? 63 : 31);
        as_csel(&e->a, false, t, m->old, t, A_EQ);
    }
    flags_in_temp(e, (ir_ref)(f - e->b->ins), t);
    temp_release(e, t);
    temp_release(e, tmp);
    temp_release(e, m->x);
    temp_release(e, m->y);
    temp_release(e, m->old);
    m->on = false;
}
