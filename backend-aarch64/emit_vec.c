/*
 * emit_vec.c - integer vector operations: those of vec.def by one instruction, a few
 * more by a sequence, all others (floating point among them) by C.
 *
 * VW_64 operations (MMX) are the same instructions on 64 bits, which clear the upper
 * half.
 */
#include <assert.h>

#include "backend-aarch64/emit.h"

enum { V_SWAP = 1, V_NOLANE = 2, V_ONE = 4 };

struct rule {
    uint32_t code;
    uint8_t lanes, flags;
};
static const struct rule rules[IR_OP_COUNT] = {
#define V(op, lanes, code, flags) [IR_##op] = { code, (uint8_t)(lanes), flags },
#include "backend-aarch64/vec.def"
#undef V
};

#define Q (1u << 30)

/* What makes an instruction one on 128 bits, or on 64: one lane of 64 bits is the scalar form. */
static uint32_t width(const struct ir_ins *p, bool lanes)
{
    return !(p->aux & VW_64) ? Q : lanes && (p->aux & VL_MASK) == VL_64 ? Q | 1u << 28 : 0;
}

static void op3(struct emit *e, uint32_t code, unsigned d, unsigned n, unsigned m)
{
    as_w(&e->a, code | m << 16 | n << 5 | d);
}
static void op2(struct emit *e, uint32_t code, unsigned d, unsigned n)
{
    as_w(&e->a, code | n << 5 | d);
}
static void zero(struct emit *e, unsigned d)
{
    op2(e, 0x6f00e400, d, 0);                   /* movi d.2d, 0 */
}
/* d's lane i = n's lane j; log2 of the lane's bytes */
static void lane(struct emit *e, unsigned log, unsigned d, unsigned i, unsigned n, unsigned j)
{
    as_w(&e->a, 0x6e000400u | (i << (log + 1) | 1u << log) << 16 | (j << log) << 11 | n << 5 | d);
}
/* General register r = lane i of n, zero-extended. */
static void umov(struct emit *e, unsigned log, unsigned r, unsigned n, unsigned i)
{
    as_w(&e->a, (log == 3 ? 0x4e003c00u : 0x0e003c00u) | (i << (log + 1) | 1u << log) << 16 | n << 5 | r);
}
/* Shifts by an immediate: SHL counts from the lane's width up, the right shifts from twice that down. */
enum { V_SHL = 0x0f005400, V_USHR = 0x2f000400, V_SSHR = 0x0f000400, V_USRA = 0x2f001400,
       V_SSHLL = 0x0f00a400, V_USHLL = 0x2f00a400 };
static void shift(struct emit *e, uint32_t code, unsigned bits, unsigned by, unsigned d, unsigned n)
{
    uint32_t c = code & ~(Q | 1u << 28);
    bool left = c == V_SHL || c == V_SSHLL || c == V_USHLL;
    as_w(&e->a, code | (left ? bits + by : 2 * bits - by) << 16 | n << 5 | d);
}
/* Bytes from `from` of m:n on. */
static void ext(struct emit *e, unsigned d, unsigned n, unsigned m, unsigned from)
{
    as_w(&e->a, 0x6e000000u | m << 16 | from << 11 | n << 5 | d);
}

/* Operands of the current operation in registers. */
struct operands {
    unsigned a, b, ta, tb;
};

static struct operands get(struct emit *e, const struct ir_ins *p)
{
    struct operands o = { NOREG, NOREG, NOREG, NOREG };
    if (p->a && e->b->ins[p->a].type == TY_V128)
        o.a = vuse_reg(e, p->a, &o.ta);
    if (p->b && e->b->ins[p->b].type == TY_V128)
        o.b = vuse_reg(e, p->b, &o.tb);
    return o;
}

static void give(struct emit *e, const struct operands *o)
{
    vtemp_release(e, o->ta);
    vtemp_release(e, o->tb);
}

static void emit_rule(struct emit *e, const struct ir_ins *p, const struct rule *r)
{
    struct operands o = get(e, p);
    unsigned home, d = vdef_reg(e, e->i, &home), log = p->aux & VL_MASK;
    uint32_t code = r->code | width(p, !(r->flags & V_NOLANE)) | (r->flags & V_NOLANE ? 0 : log << 22);
    if (r->flags & V_ONE)
        op2(e, code, d, o.a);
    else
        op3(e, code, d, r->flags & V_SWAP ? o.b : o.a, r->flags & V_SWAP ? o.a : o.b);
    give(e, &o);
    vdef_done(e, e->i, d, home);
}

static void emit_shift_imm(struct emit *e, const struct ir_ins *p)
{
    struct operands o = get(e, p);
    unsigned home, d = vdef_reg(e, e->i, &home), bits = 8u << (p->aux & VL_MASK), n = (unsigned)p->imm & 0xff;
    uint32_t q = width(p, true);
    if (p->op == IR_VSARI && n >= bits)
        n = bits;
    if (n > bits || (n == bits && p->op != IR_VSARI))
        zero(e, d);
    else if (p->op == IR_VSHLI)
        shift(e, V_SHL | q, bits, n, d, o.a);
    else if (n)
        shift(e, (p->op == IR_VSHRI ? V_USHR : V_SSHR) | q, bits, n, d, o.a);
    else if (p->aux & VW_64)
        op2(e, 0x1e604000, d, o.a);             /* fmov d, d */
    else
        as_vmov(&e->a, d, o.a);
    give(e, &o);
    vdef_done(e, e->i, d, home);
}

/* Shifts of the whole register by bytes, and VALIGN. */
static void emit_bytes(struct emit *e, const struct ir_ins *p)
{
    struct operands o = get(e, p);
    unsigned home, d = vdef_reg(e, e->i, &home), z = vtemp_get(e), n = (unsigned)p->imm & 0xff;
    unsigned low = p->op == IR_VALIGN ? o.b : p->op == IR_VBSHL ? z : o.a;
    unsigned high = p->op == IR_VBSHR ? z : o.a;
    if (p->op == IR_VBSHL)
        n = n < 16 ? 16 - n : 32;               /* of a:0 */
    if (p->op == IR_VBSHL && n == 32)
        low = high = z, n = 0;
    if (n >= 16) {                              /* the lower register has left */
        low = high;
        high = z;
        n -= 16;
    }
    if (n < 16 && (low == z || high == z))
        zero(e, z);
    if (n >= 16)
        zero(e, d);
    else
        ext(e, d, low, high, n);
    vtemp_release(e, z);
    give(e, &o);
    vdef_done(e, e->i, d, home);
}

/*
 * d = lanes of r[0] and r[1] by one instruction if there is such: lane i is lane from[i] & 15 of r[0],
 * or of r[1] where from[i] & 16.  Lanes of 32 or 64 bits.
 */
static bool pick_at_once(struct emit *e, unsigned log, const uint8_t *from, unsigned d, const unsigned r[2])
{
    enum { DUP = 0x4e000400, REV64 = 0x4e200800 };
    static const struct { uint32_t code; uint8_t lane[4]; } pairs[] = {     /* & 16: of the second operand */
        { 0x4e803800, { 0, 16, 1, 17 } }, { 0x4e807800, { 2, 18, 3, 19 } },         /* zip1, zip2 */
        { 0x4e801800, { 0, 2, 16, 18 } }, { 0x4e805800, { 1, 3, 17, 19 } },         /* uzp1, uzp2 */
        { 0x4e802800, { 0, 16, 2, 18 } }, { 0x4e806800, { 1, 17, 3, 19 } },         /* trn1, trn2 */
        { 0x4ec03800, { 0, 1, 16, 17 } }, { 0x4ec07800, { 2, 3, 18, 19 } },         /* zip1, zip2 2d */
    };
    uint8_t w[4];                               /* the same by lanes of 32 bits */
    for (unsigned i = 0; i < 4; i++)
        w[i] = log == 2 ? from[i] : (uint8_t)((from[i / 2] & 16) + 2 * (from[i / 2] & 15) + i % 2);
    if (w[0] == w[1] && w[0] == w[2] && w[0] == w[3]) {
        op2(e, DUP | (w[0] & 15u) << 19 | 4u << 16, d, r[w[0] >> 4]);
        return true;
    }
    if (w[0] == w[2] && w[1] == w[3] && !(w[0] & 1) && w[1] == w[0] + 1) {
        op2(e, DUP | (w[0] & 15u) << 19 | 8u << 16, d, r[w[0] >> 4]);
        return true;
    }
    if ((w[0] & 15) == 1 && w[1] == w[0] - 1 && w[2] == w[0] + 2 && w[3] == w[0] + 1) {
        op2(e, REV64 | 2u << 22, d, r[w[0] >> 4]);
        return true;
    }
    for (unsigned k = 0; k < 4; k++) {          /* the instruction's operands */
        unsigned u = k & 1, v = k >> 1, first = w[0] & 15, i;
        for (i = 0; i < 4 && w[i] == ((first + i) & 3) + 16 * (first + i < 4 ? u : v); i++)
            continue;
        if (i == 4) {
            ext(e, d, r[u], r[v], 4 * first);
            return true;
        }
        for (unsigned c = 0; c < sizeof(pairs) / sizeof(pairs[0]); c++) {
            for (i = 0; i < 4 && w[i] == (pairs[c].lane[i] & 15) + 16 * (pairs[c].lane[i] & 16 ? v : u); i++)
                continue;
            if (i == 4) {
                op3(e, pairs[c].code, d, r[u], r[v]);
                return true;
            }
        }
    }
    return false;
}

/* The same by any number of instructions, for lanes of any size. Lanes from n on are a's. */
static void emit_pick(struct emit *e, const struct ir_ins *p, unsigned log, uint8_t *from, unsigned n)
{
    struct operands o = get(e, p);
    const unsigned r[2] = { o.a, o.b == NOREG ? o.a : o.b };
    unsigned home, d = vdef_reg(e, e->i, &home), t = d, stay[2] = { 0, 0 }, count = 16u >> log, k;
    bool mixed = false;                         /* a lane that changes is one of the operand that stays */
    for (unsigned i = n; i < count; i++)
        from[i] = (uint8_t)i;
    for (unsigned i = 0; i < count; i++) {
        if (r[0] == r[1])
            from[i] &= 15;
        stay[from[i] >> 4] += (from[i] & 15) == i;
    }
    k = stay[1] > stay[0];                      /* most lanes stay where they are in r[k] */
    if (stay[k] < count - 1 && log >= 2 && pick_at_once(e, log, from, d, r)) {
        give(e, &o);
        vdef_done(e, e->i, d, home);
        return;
    }
    for (unsigned i = 0; i < count; i++)
        mixed |= from[i] >> 4 == k && (from[i] & 15) != i;
    if (d == r[k] ? mixed && stay[k] < count - 1 : d == r[!k])
        t = vtemp_get(e);
    if (t != r[k] && stay[k])
        as_vmov(&e->a, t, r[k]);
    for (unsigned i = 0; i < count; i++)
        if (from[i] != (k << 4 | i))
            lane(e, log, t, i, r[from[i] >> 4], from[i] & 15);
    if (t != d) {
        as_vmov(&e->a, d, t);
        vtemp_release(e, t);
    }
    give(e, &o);
    vdef_done(e, e->i, d, home);
}

static void emit_shuffle(struct emit *e, const struct ir_ins *p)
{
    unsigned imm = (unsigned)p->imm & 0xff, n = 4, log = 2;
    uint8_t from[8];
    switch (p->op) {
    case IR_VSHUFD:
        for (unsigned i = 0; i < 4; i++)
            from[i] = imm >> 2 * i & 3;
        break;
    case IR_VSHUF2:
        log = (p->aux & VL_MASK) == VL_32 ? 2 : 3;
        n = 16 >> log;
        for (unsigned i = 0; i < n; i++)
            from[i] = (uint8_t)((log == 2 ? imm >> 2 * i & 3 : imm >> i & 1) | (i >= n / 2 ? 16 : 0));
        break;
    case IR_VSHUFLW:
        log = 1;
        for (unsigned i = 0; i < 4; i++)
            from[i] = imm >> 2 * i & 3;
        break;
    default:                                    /* VSHUFHW */
        log = 1;
        n = 8;
        for (unsigned i = 0; i < 4; i++) {
            from[i] = (uint8_t)i;
            from[i + 4] = (uint8_t)(4 + (imm >> 2 * i & 3));
        }
    }
    emit_pick(e, p, log, from, n);
}

static void emit_blend(struct emit *e, const struct ir_ins *p)
{
    unsigned log = p->aux & VL_MASK, n = 16u >> log;
    uint8_t from[8];
    for (unsigned i = 0; i < n; i++)
        from[i] = (uint8_t)(i | (p->imm >> i & 1 ? 16 : 0));
    emit_pick(e, p, log, from, n);
}

/* The lanes' sign bits: brought to the bottom and added to each other pairwise. */
static void emit_mask(struct emit *e, const struct ir_ins *p)
{
    struct operands o = get(e, p);
    unsigned log = p->aux & VL_MASK, home, d, t = vtemp_get(e), bits = 8u << log, per = 8u >> log, lane_bits = bits;
    bool mmx = p->aux & VW_64;
    shift(e, V_USHR | Q, bits, bits - 1, t, o.a);
    for (unsigned n = 1; n < per; n *= 2, lane_bits *= 2)       /* lanes hold n bits each */
        shift(e, V_USRA | Q, 2 * lane_bits, lane_bits - n, t, t);
    d = def_reg(e, e->i, &home);
    umov(e, 0, d, t, 0);
    if (!mmx) {
        umov(e, 0, H_S0, t, 8);
        as_rrs(&e->a, OP_ORR, false, d, d, H_S0, SH_LSL, per);
    }
    vtemp_release(e, t);
    give(e, &o);
    def_done(e, e->i, d, home, true);
}

/* Between general and vector registers. */
static void emit_moves(struct emit *e, const struct ir_ins *p)
{
    struct operands o = get(e, p);
    unsigned home, d, s, tmp = NOREG, log = p->aux & VL_MASK;
    switch (p->op) {
    case IR_VMOVG:
        s = use_reg(e, p->a, &tmp);
        d = vdef_reg(e, e->i, &home);
        op2(e, e->b->ins[p->a].type == TY_I64 ? 0x9e670000 : 0x1e270000, d, s);
        break;
    case IR_VINS:
        s = use_reg(e, p->b, &tmp);
        d = vdef_reg(e, e->i, &home);
        if (d != o.a)
            as_vmov(&e->a, d, o.a);
        as_w(&e->a, 0x4e001c00u | ((unsigned)p->imm << (log + 1) | 1u << log) << 16 | s << 5 | d);
        break;
    case IR_VMOVQ:
        d = vdef_reg(e, e->i, &home);
        op2(e, 0x1e604000, d, o.a);
        break;
    case IR_VMERGE:
        d = vdef_reg(e, e->i, &home);
        if (d == o.b && d != o.a) {
            unsigned t = vtemp_get(e);
            as_vmov(&e->a, t, o.b);
            as_vmov(&e->a, d, o.a);
            lane(e, log, d, 0, t, 0);
            vtemp_release(e, t);
            break;
        }
        if (d != o.a)
            as_vmov(&e->a, d, o.a);
        lane(e, log, d, 0, o.b, 0);
        break;
    default:                                    /* VMOVE, VEXT */
        d = def_reg(e, e->i, &home);
        if (p->op == IR_VMOVE)
            op2(e, p->type == TY_I64 ? 0x9e660000 : 0x1e260000, d, o.a);
        else
            umov(e, log, d, o.a, (unsigned)p->imm);
        give(e, &o);
        def_done(e, e->i, d, home, true);
        return;
    }
    temp_release(e, tmp);
    give(e, &o);
    vdef_done(e, e->i, d, home);
}

/* VPACKS, VPACKU, VMADD, VMULHS, VMULHU, VMULWS, VMULWU, VSAD, VSHUFB, VSX, VZX: by way of temporaries t, u. */
static void emit_sequence(struct emit *e, const struct ir_ins *p)
{
    struct operands o = get(e, p);
    unsigned home, d = vdef_reg(e, e->i, &home), log = p->aux & VL_MASK;
    unsigned t = vtemp_get(e), u = vtemp_get(e);
    uint32_t q = width(p, false);
    switch (p->op) {
    case IR_VPACKS: case IR_VPACKU: {           /* SQXTN, SQXTUN and their second halves */
        uint32_t code = (p->op == IR_VPACKS ? 0x0e214800u : 0x2e212800u) | (log - 1) << 22;
        unsigned to = d == o.b ? t : d;
        op2(e, code, to, o.a);
        op2(e, code | Q, to, o.b);
        if (to != d)
            as_vmov(&e->a, d, to);
        break;
    }
    case IR_VMADD:                              /* SMULL, SMULL2, ADDP */
        op3(e, 0x0e60c000, t, o.a, o.b);
        op3(e, 0x4e60c000, u, o.a, o.b);
        op3(e, 0x4ea0bc00, d, t, u);
        break;
    case IR_VMULHS: case IR_VMULHU: {           /* xMULL, xMULL2, UZP2 of 16 bits */
        uint32_t code = p->op == IR_VMULHS ? 0x0e60c000 : 0x2e60c000;
        op3(e, code, t, o.a, o.b);
        op3(e, code | Q, u, o.a, o.b);
        op3(e, 0x4e405800, d, t, u);
        break;
    }
    case IR_VMULWS: case IR_VMULWU:             /* XTN both, xMULL */
        op2(e, 0x0ea12800, t, o.a);
        op2(e, 0x0ea12800, u, o.b);
        op3(e, p->op == IR_VMULWS ? 0x0ea0c000 : 0x2ea0c000, d, t, u);
        break;
    case IR_VSAD:                               /* UABD, UADDLP three times */
        op3(e, 0x2e207400 | q, t, o.a, o.b);
        for (unsigned k = 0; k < 3; k++)
            op2(e, (0x2e202800u | q) + (k << 22), k == 2 ? d : t, t);
        break;
    case IR_VSHUFB:                             /* bit 7 and the index; TBL gives 0 where there is no such byte */
        as_w(&e->a, 0x4f00e400u | 4 << 16 | (q ? 0xfu : 0x7u) << 5 | u);        /* movi u.16b, 8fh or 87h */
        op3(e, 0x4e201c00, u, u, o.b);
        op3(e, 0x0e000000 | q, d, o.a, u);
        break;
    default:                                    /* VSX, VZX: one doubling after the other */
        for (unsigned from = p->aux >> 8 & VL_MASK, s = o.a; from < log; from++, s = d)
            shift(e, p->op == IR_VSX ? V_SSHLL : V_USHLL, 8u << from, 0, d, s);
    }
    vtemp_release(e, t);
    vtemp_release(e, u);
    give(e, &o);
    vdef_done(e, e->i, d, home);
}

void emit_vec(struct emit *e, const struct ir_ins *p)
{
    const struct rule *r = &rules[p->op];
    bool mmx = p->aux & VW_64;
    unsigned lanes = p->aux & VL_MASK;
    if (r->code && (r->lanes >> lanes & 1)) {
        emit_rule(e, p, r);
        return;
    }
    switch (p->op) {
    case IR_VSHLI: case IR_VSHRI: case IR_VSARI:
        emit_shift_imm(e, p);
        return;
    case IR_VMASK:
        emit_mask(e, p);
        return;
    case IR_VMOVG: case IR_VMOVE: case IR_VINS: case IR_VEXT: case IR_VMOVQ: case IR_VMERGE:
        emit_moves(e, p);
        return;
    case IR_VSAD: case IR_VSHUFB:
        emit_sequence(e, p);
        return;
    case IR_VBSHL: case IR_VBSHR: case IR_VALIGN:
        if (!mmx) {
            emit_bytes(e, p);
            return;
        }
        break;
    case IR_VSHUFD: case IR_VSHUF2: case IR_VSHUFLW: case IR_VSHUFHW:
        if (!mmx) {
            emit_shuffle(e, p);
            return;
        }
        break;
    case IR_VBLENDI:
        emit_blend(e, p);
        return;
    case IR_VPACKS: case IR_VPACKU: case IR_VMADD: case IR_VMULHS: case IR_VMULHU: case IR_VMULWS: case IR_VMULWU:
    case IR_VSX: case IR_VZX:
        if (!mmx) {
            emit_sequence(e, p);
            return;
        }
        break;
    default:
        if (emit_fp(e, p))
            return;
    }
    emit_fallback(e, p);
}
