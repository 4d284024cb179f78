/*
 * ir.c - the table of operations, and the builder with its folding rules.
 *
 * Invariant: a constant's imm is sign-extended from its type, so that equal
 * values have equal imm.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "translator/alu.h"
#include "translator/opt.h"

/* Operands a signature names: its letters less the result and the question marks. */
#define Q_(s, k) (sizeof(s) > (k) + 1 && (s)[sizeof(s) > (k) ? (k) : 0] == '?')
#define NARGS_(s) (sizeof(s) - 2 - Q_(s, 1) - Q_(s, 2) - Q_(s, 3) - Q_(s, 4) - Q_(s, 5) - Q_(s, 6))
#define OP(id, text, sig, attrs) attrs,
const uint16_t ir_attrs[IR_OP_COUNT] = {
#include "translator/ir.def"
};
#undef OP
#define OP(id, text_, sig_, attrs_) { .text = text_, .sig = sig_, .nargs = NARGS_(sig_) },
const struct ir_op_info ir_info[IR_OP_COUNT] = {
#include "translator/ir.def"
};
#undef OP

void ir_init(struct ir_block *b)
{
    memset(b, 0, sizeof *b);
    b->cap = IR_MAX;
    b->ins = malloc(b->cap * sizeof *b->ins);
    b->use = malloc(b->cap * sizeof *b->use);
    b->opt_mem = malloc(sizeof *b->opt_mem);
    assert(b->ins && b->use && b->opt_mem);
    ir_reset(b);
}

void ir_reset(struct ir_block *b)
{
    struct ir_ins *ins = b->ins;
    struct ir_use *use = b->use;
    struct opt_state *opt = b->opt_mem;
    unsigned cap = b->cap;
    memset(b, 0, sizeof *b);
    b->ins = ins;
    b->use = use;
    b->opt_mem = opt;
    b->cap = cap;
    b->shadow = NO_SHADOW;
    b->ins[0] = (struct ir_ins) { .op = IR_NOP };
    b->n = 1;
}

void ir_free(struct ir_block *b)
{
    free(b->ins);
    free(b->use);
    free(b->opt_mem);
    memset(b, 0, sizeof *b);
}

/* ---- folding ---- */

static int64_t wrap(enum ir_type t, uint64_t v)
{
    return sext(t, v & type_mask(t));
}

static bool to_const(struct ir_ins *n, uint64_t v)
{
    *n = (struct ir_ins) { .op = IR_CONST, .type = n->type, .imm = wrap(n->type, v) };
    return false;
}

static bool fits32(int64_t v)
{
    return v == (int32_t)v;
}

/* x is an EA whose displacement may be moved into a user that adds k (times 1 << scale). */
static bool ea_sum(const struct ir_ins *x, enum ir_type t, unsigned scale, int64_t k, int64_t *sum)
{
    if (x->op != IR_EA || x->type != t || ir_hole_of(x->imm) || ir_hole_of(k))
        return false;
    *sum = wrap(t, ((uint64_t)x->imm << scale) + (uint64_t)k);
    return fits32(*sum);
}

/*
 * EA: constants go into imm, which stays within 32 bits (the hosts' displacement);
 * an inner EA without index disappears into the outer one, or takes it up.
 */
static ir_ref fold_ea(const struct ir_block *b, struct ir_ins *n, bool deep)
{
    const struct ir_ins *v = b->ins;
    enum ir_type t = n->type;
    int64_t sum;
    for (unsigned k = 0; k < 2; k++) {
        ir_ref *r = k ? &n->b : &n->a;
        if (*r && v[*r].op == IR_CONST && !ir_hole_of(n->imm)) {
            sum = wrap(t, (uint64_t)n->imm + ((uint64_t)v[*r].imm << (k ? n->aux : 0)));
            if (fits32(sum) || !(k ? n->a : n->b)) {
                n->imm = sum;
                *r = IR_NONE;
            }
        }
    }
    if (!n->a && n->b && n->aux == 0) {
        n->a = n->b;
        n->b = IR_NONE;
    }
    if (deep && n->a && ea_sum(&v[n->a], t, 0, n->imm, &sum)) {
        const struct ir_ins *x = &v[n->a];
        if (!x->b) {
            n->imm = sum;
            n->a = x->a;
        } else if (!n->b) {
            n->imm = sum;
            n->a = x->a;
            n->b = x->b;
            n->aux = x->aux;
        }
    }
    if (deep && n->b && !v[n->b].b && v[n->b].a && ea_sum(&v[n->b], t, n->aux, n->imm, &sum)) {
        n->imm = sum;
        n->b = v[n->b].a;
    }
    if (!n->a && !n->b)
        return to_const(n, (uint64_t)n->imm);
    return n->imm == 0 && !n->b && v[n->a].type == t ? n->a : IR_NONE;
}

/* ZEXT, SEXT, TRUNC of one another. */
static ir_ref fold_ext(const struct ir_block *b, struct ir_ins *n)
{
    const struct ir_ins *x = &b->ins[n->a];
    if (x->type == n->type)
        return n->a;
    if (x->op != IR_ZEXT && x->op != IR_SEXT && x->op != IR_TRUNC)
        return IR_NONE;
    enum ir_type inner = b->ins[x->a].type;
    if (n->op == IR_TRUNC) {
        if (inner == n->type)
            return x->a;
        if (type_bits(inner) < type_bits(n->type))
            n->op = x->op;
        n->a = x->a;
    } else if (x->op == IR_ZEXT || x->op == n->op) {
        n->op = x->op;
        n->a = x->a;
    }
    return IR_NONE;
}

/* Operations on integers alone, that ir_alu() evaluates. */
static bool foldable(enum ir_op op)
{
    switch (op) {
    case IR_ADD: case IR_SUB: case IR_AND: case IR_OR: case IR_XOR: case IR_NOT: case IR_NEG:
    case IR_SHL: case IR_SHR: case IR_SAR: case IR_ROL: case IR_ROR: case IR_SHLD: case IR_SHRD:
    case IR_MUL: case IR_MULHU: case IR_MULHS: case IR_BSWAP: case IR_CTZ: case IR_CLZ:
    case IR_POPCNT: case IR_CRC32: case IR_BIT: case IR_ZEXT: case IR_SEXT: case IR_TRUNC:
    case IR_SELECT: case IR_EQ: case IR_LTU: case IR_LTS:
        return true;
    default:
        return false;
    }
}

/* Second operand is the constant k. */
static ir_ref fold_by_const(const struct ir_block *b, struct ir_ins *n, int64_t k, bool deep)
{
    int64_t sum;
    switch (n->op) {
    case IR_SHL: case IR_SHR: case IR_SAR: case IR_ROL: case IR_ROR:
        return (k & (n->type == TY_I64 ? 63 : 31)) == 0 ? n->a : IR_NONE;
    case IR_ADD: case IR_SUB:
        if (k == 0)
            return n->a;
        if (deep && ea_sum(&b->ins[n->a], n->type, 0, n->op == IR_ADD ? k : -k, &sum)) {
            const struct ir_ins *x = &b->ins[n->a];
            *n = (struct ir_ins) { .op = IR_EA, .type = n->type, .a = x->a, .b = x->b, .aux = x->aux,
                                   .imm = sum };
            return fold_ea(b, n, false);
        }
        return IR_NONE;
    case IR_XOR:
        return k == 0 ? n->a : IR_NONE;
    case IR_OR:
        if (k == -1)
            return to_const(n, ~0ull);
        return k == 0 ? n->a : IR_NONE;
    case IR_AND:
        if (k == 0)
            return to_const(n, 0);
        return k == -1 ? n->a : IR_NONE;
    case IR_MUL:
        if (k == 0)
            return to_const(n, 0);
        return k == 1 ? n->a : IR_NONE;
    default:
        return IR_NONE;
    }
}

ir_ref ir_fold(const struct ir_block *b, struct ir_ins *n, bool deep)
{
    const struct ir_ins *v = b->ins;
    if (n->op == IR_EA)
        return fold_ea(b, n, deep);
    if (!foldable(n->op))
        return IR_NONE;
    unsigned nargs = ir_info[n->op].nargs;
    bool ka = v[n->a].op == IR_CONST, kb = v[n->b].op == IR_CONST, kc = v[n->c].op == IR_CONST;
    if (ka && (nargs < 2 || kb) && (nargs < 3 || kc)) {
        enum ir_type ot = v[n->op == IR_CRC32 ? n->b : n->a].type;
        return to_const(n, ir_alu(n->op, n->type, ot, (uint64_t)v[n->a].imm & type_mask(v[n->a].type),
                                  (uint64_t)v[n->b].imm & type_mask(v[n->b].type),
                                  (uint64_t)v[n->c].imm & type_mask(v[n->c].type), 0));
    }
    if (n->op == IR_ZEXT || n->op == IR_SEXT || n->op == IR_TRUNC)
        return fold_ext(b, n);
    if (n->op == IR_SELECT)
        return ka ? (v[n->a].imm ? n->b : n->c) : n->b == n->c ? n->b : IR_NONE;
    if (nargs != 2)
        return IR_NONE;
    if (ka && (ir_attrs[n->op] & IRA_C)) {
        ir_ref x = n->a;
        n->a = n->b;
        n->b = x;
        kb = true;
    }
    if (kb)
        return fold_by_const(b, n, v[n->b].imm, deep);
    if (n->a == n->b) {
        if (n->op == IR_AND || n->op == IR_OR)
            return n->a;
        if (n->op == IR_XOR || n->op == IR_SUB || n->op == IR_LTU || n->op == IR_LTS)
            return to_const(n, 0);
        if (n->op == IR_EQ)
            return to_const(n, 1);
    }
    return IR_NONE;
}

/* ---- building ---- */

/* The type field: the result's where the signature fixes it. */
static enum ir_type result_type(char c, enum ir_type t)
{
    switch (c) {
    case 'b': return TY_I8;
    case 'w': return TY_I16;
    case 'd': return TY_I32;
    case 'q': return TY_I64;
    case 'f': return TY_FLAGS;
    case 'v': return TY_V128;
    default:  return t;
    }
}

ir_ref ir_emit(struct ir_block *b, enum ir_op op, enum ir_type t, unsigned aux, ir_ref a, ir_ref r,
               ir_ref c, int64_t imm)
{
    struct ir_ins n = { .op = (uint8_t)op, .type = (uint8_t)result_type(ir_info[op].sig[0], t),
                        .aux = (uint16_t)aux, .a = a, .b = r, .c = c, .imm = imm };
    if (op == IR_CONST)
        n.imm = wrap(n.type, (uint64_t)imm);
    assert(b->n + 2 < b->cap);                  /* an access may take a NOP in front */
    if (b->opt)
        return opt_emit(b, &n);
    if (op == IR_EA) {
        ir_ref same = fold_ea(b, &n, true);
        if (same)
            return same;
    }
    return ir_append(b, &n);
}

void ir_mark(struct ir_block *b, int64_t pc, unsigned len)
{
    assert(b->n + 2 < b->cap);
    ir_append(b, &(struct ir_ins) { .op = IR_MARK, .aux = (uint16_t)len, .imm = pc });
}

ir_ref ir_const(struct ir_block *b, enum ir_type t, int64_t v)
{
    return ir_append(b, &(struct ir_ins) { .op = IR_CONST, .type = (uint8_t)t, .imm = wrap(t, (uint64_t)v) });
}

ir_ref ir_bin(struct ir_block *b, enum ir_op op, enum ir_type t, ir_ref x, ir_ref y)
{
    struct ir_ins n = { .op = (uint8_t)op, .type = (uint8_t)result_type(ir_info[op].sig[0], t),
                        .a = x, .b = y };
    if (b->opt) {
        n.a = b->opt->same[x];
        n.b = b->opt->same[y];
        return opt_pure(b, &n);
    }
    ir_ref same = ir_fold(b, &n, true);
    return same ? same : ir_append(b, &n);
}

ir_ref ir_un(struct ir_block *b, enum ir_op op, enum ir_type t, ir_ref x)
{
    return ir_bin(b, op, t, x, IR_NONE);
}
