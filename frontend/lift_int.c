/*
 * lift_int.c - arithmetic, logic, moves, exchanges, stack instructions, flags.
 *
 * Invariant: loads, stores and checks come before the first PUT.  An operation
 * whose flags are taken is made with ir_emit (the folding constructors may
 * return something else).  SDM vol. 2.
 */
#include "frontend/lift.h"

static ir_ref emit2(struct lift *l, enum ir_op op, ir_ref a, ir_ref b)
{
    return ir_emit(l->b, op, ir_type_of(l->b, a), 0, a, b, 0, 0);
}

static ir_ref getr(struct lift *l, unsigned reg, unsigned size)
{
    return lift_get(l, reg, size, false);
}

static void putr(struct lift *l, unsigned reg, unsigned size, ir_ref v)
{
    lift_put(l, reg, size, false, v);
}

static ir_ref zext(struct lift *l, enum ir_type t, ir_ref v)
{
    return ir_type_of(l->b, v) == t ? v : ir_un(l->b, IR_ZEXT, t, v);
}

static ir_ref select(struct lift *l, ir_ref cond, ir_ref yes, ir_ref no)
{
    return ir_emit(l->b, IR_SELECT, ir_type_of(l->b, yes), 0, cond, yes, no, 0);
}

/* Must this instruction be a real atomic operation? */
static bool atomic(const struct lift *l, const struct insn *i)
{
    return l->smp && i->lock && i->op[0].kind == OPND_MEM;
}

static ir_ref amo(struct lift *l, const struct insn *i, unsigned which, ir_ref v)
{
    int64_t imm;
    ir_ref a = lift_addr(l, i, i->op[0].size, true, &imm);

    return ir_emit(l->b, IR_AMO, ir_type_of(l->b, v), lift_memaux(l, i->seg, MEM_WRITE | which), a, v, 0,
                   imm);
}

static ir_ref cas(struct lift *l, const struct insn *i, ir_ref expected, ir_ref v)
{
    int64_t imm;
    ir_ref a = lift_addr(l, i, i->op[0].size, true, &imm);

    return ir_emit(l->b, IR_CAS, ir_type_of(l->b, v), lift_memaux(l, i->seg, MEM_WRITE), a, expected, v, imm);
}

/* --- arithmetic --- */

static ir_ref alu(struct lift *l, enum ir_op op, ir_ref a, ir_ref b)
{
    ir_ref f = op == IR_ADC || op == IR_SBB ? lift_getf(l) : 0;

    return ir_emit(l->b, op, ir_type_of(l->b, a), 0, a, b, f, 0);
}

static bool alu_atomic(struct lift *l, const struct insn *i, enum ir_op op, enum flags_kind k)
{
    static const uint8_t which[IR_OP_COUNT] = {
        [IR_AND] = AMO_AND + 1, [IR_OR] = AMO_OR + 1, [IR_XOR] = AMO_XOR + 1
    };
    ir_ref src = lift_read(l, i, 1), old, add = src;

    if (which[op]) {
        old = amo(l, i, which[op] - 1u, src);
    } else {
        enum ir_type t = ir_type_of(l->b, src);

        if (op == IR_ADC || op == IR_SBB)
            add = ir_emit(l->b, IR_ADC, t, 0, src, ir_const(l->b, t, 0), lift_getf(l), 0);
        if (op == IR_SUB || op == IR_SBB)
            add = ir_un(l->b, IR_NEG, t, add);
        old = amo(l, i, AMO_ADD, add);
    }
    lift_flags(l, k, alu(l, op, old, src));
    return true;
}

bool lift_alu(struct lift *l, const struct insn *i)
{
    enum ir_op op = (enum ir_op)i->row->arg;
    enum flags_kind k = (enum flags_kind)(i->row->flags - 1);
    struct rmw m;
    ir_ref a, b, v;

    if (atomic(l, i))
        return alu_atomic(l, i, op, k);
    b = lift_read(l, i, 1);
    a = lift_rmw_read(l, i, 0, &m);
    v = alu(l, op, a, b);
    lift_rmw_write(l, i, 0, &m, v);
    lift_flags(l, k, v);
    return true;
}

bool lift_cmp(struct lift *l, const struct insn *i)
{
    ir_ref a = lift_read(l, i, 0), b = lift_read(l, i, 1);

    lift_flags(l, (enum flags_kind)(i->row->flags - 1), emit2(l, (enum ir_op)i->row->arg, a, b));
    return true;
}

bool lift_incdec(struct lift *l, const struct insn *i)
{
    enum ir_op op = (enum ir_op)i->row->arg;
    enum ir_type t = lift_type(i->op[0].size);
    ir_ref one = ir_const(l->b, t, 1), old, v;
    struct rmw m;

    if (atomic(l, i)) {
        old = amo(l, i, AMO_ADD, op == IR_ADD ? one : ir_const(l->b, t, -1));
        v = emit2(l, op, old, one);
    } else {
        old = lift_rmw_read(l, i, 0, &m);
        v = emit2(l, op, old, one);
        lift_rmw_write(l, i, 0, &m, v);
    }
    lift_flags(l, (enum flags_kind)(i->row->flags - 1), v);
    return true;
}

bool lift_not(struct lift *l, const struct insn *i)
{
    enum ir_type t = lift_type(i->op[0].size);
    struct rmw m;

    if (atomic(l, i)) {
        amo(l, i, AMO_XOR, ir_const(l->b, t, -1));
        return true;
    }
    lift_rmw_write(l, i, 0, &m, ir_un(l->b, IR_NOT, t, lift_rmw_read(l, i, 0, &m)));
    return true;
}

/*
 * No AMO negates.  A compare-and-swap whose comparison fails must be tried
 * again; the block leaves to the same instruction then, with nothing changed.
 */
static bool neg_atomic(struct lift *l, const struct insn *i)
{
    enum ir_type t = lift_type(i->op[0].size);
    ir_ref seen = lift_read(l, i, 0), v = ir_emit(l->b, IR_NEG, t, 0, seen, 0, 0, 0);
    ir_ref old = cas(l, i, seen, v);
    ir_ref same = ir_bin(l->b, IR_EQ, TY_I8, old, seen);

    lift_exit_if(l, ir_bin(l->b, IR_XOR, TY_I8, same, ir_const(l->b, TY_I8, 1)), l->pc, 0);
    if (!l->done)
        lift_flags(l, FK_SUB, v);
    return true;
}

bool lift_neg(struct lift *l, const struct insn *i)
{
    struct rmw m;
    ir_ref a, v;

    if (atomic(l, i) && !(l->mode & M_TF))
        return neg_atomic(l, i);
    a = lift_rmw_read(l, i, 0, &m);
    v = ir_emit(l->b, IR_NEG, ir_type_of(l->b, a), 0, a, 0, 0, 0);
    lift_rmw_write(l, i, 0, &m, v);
    lift_flags(l, FK_SUB, v);
    return true;
}

/* One-operand MUL and IMUL (arg 1): AX, DX:AX, EDX:EAX or RDX:RAX. */
bool lift_mul(struct lift *l, const struct insn *i)
{
    unsigned n = i->op[0].size;
    enum ir_type t = lift_type(n);
    ir_ref b = lift_read(l, i, 0), a = getr(l, R_AX, n);
    ir_ref lo = emit2(l, IR_MUL, a, b);
    ir_ref hi = ir_emit(l->b, i->row->arg ? IR_MULHS : IR_MULHU, t, 0, a, b, 0, 0);

    lift_flags(l, i->row->arg ? FK_MULS : FK_MULU, lo);
    if (n == 1) {
        lift_put(l, R_AX, 1, false, lo);
        lift_put(l, R_AX, 1, true, hi);
    } else {
        putr(l, R_AX, n, lo);
        putr(l, R_DX, n, hi);
    }
    return true;
}

bool lift_imul(struct lift *l, const struct insn *i)
{
    ir_ref a = lift_read(l, i, i->nops - 2u), b = lift_read(l, i, i->nops - 1u);
    ir_ref v = emit2(l, IR_MUL, a, b);

    lift_flags(l, FK_MULS, v);
    lift_write(l, i, 0, v);
    return true;
}

/* AX by a byte: checked as AH:AL, then divided in 16 bits, where it cannot overflow any more. */
static void div8(struct lift *l, const struct insn *i, ir_ref d)
{
    unsigned is_signed = (unsigned)i->row->arg;
    ir_ref ax = getr(l, R_AX, 2), wide, high, q, r;

    ir_emit(l->b, IR_DIVCHK, TY_I8, is_signed, lift_get(l, R_AX, 1, true), getr(l, R_AX, 1), d, 0);
    if (is_signed) {
        wide = ir_un(l->b, IR_SEXT, TY_I16, d);
        high = ir_bin(l->b, IR_SAR, TY_I16, ax, ir_const(l->b, TY_I8, 15));
    } else {
        wide = ir_un(l->b, IR_ZEXT, TY_I16, d);
        high = ir_const(l->b, TY_I16, 0);
    }
    q = ir_emit(l->b, IR_DIV, TY_I16, is_signed, high, ax, wide, 0);
    r = ir_emit(l->b, IR_REM, TY_I16, is_signed, high, ax, wide, 0);
    lift_put(l, R_AX, 1, false, ir_un(l->b, IR_TRUNC, TY_I8, q));
    lift_put(l, R_AX, 1, true, ir_un(l->b, IR_TRUNC, TY_I8, r));
}

bool lift_div(struct lift *l, const struct insn *i)
{
    unsigned n = i->op[0].size, is_signed = (unsigned)i->row->arg;
    enum ir_type t = lift_type(n);
    ir_ref d = lift_read(l, i, 0), hi, lo, q, r;

    if (n == 1) {
        div8(l, i, d);
        return true;
    }
    hi = getr(l, R_DX, n);
    lo = getr(l, R_AX, n);
    ir_emit(l->b, IR_DIVCHK, t, is_signed, hi, lo, d, 0);
    q = ir_emit(l->b, IR_DIV, t, is_signed, hi, lo, d, 0);
    r = ir_emit(l->b, IR_REM, t, is_signed, hi, lo, d, 0);
    putr(l, R_AX, n, q);
    putr(l, R_DX, n, r);
    return true;
}

bool lift_bcd(struct lift *l, const struct insn *i)
{
    lift_call(l, HELP_bcd, ir_const(l->b, TY_I64, i->row->arg), 0, 0, 0);
    return true;
}

bool lift_aam(struct lift *l, const struct insn *i)
{
    if (!(i->imm & 0xff))
        lift_raise(l, EXC_DE, -1);
    else
        lift_call(l, HELP_aam, ir_const(l->b, TY_I64, i->imm & 0xff), 0, 0, 0);
    return true;
}

bool lift_aad(struct lift *l, const struct insn *i)
{
    lift_call(l, HELP_aad, ir_const(l->b, TY_I64, i->imm & 0xff), 0, 0, 0);
    return true;
}

bool lift_cbw(struct lift *l, const struct insn *i)
{
    unsigned n = i->opsize;

    putr(l, R_AX, n, ir_un(l->b, IR_SEXT, lift_type(n), getr(l, R_AX, n / 2)));
    return true;
}

bool lift_cwd(struct lift *l, const struct insn *i)
{
    unsigned n = i->opsize;
    ir_ref count = ir_const(l->b, TY_I8, n * 8 - 1);

    putr(l, R_DX, n, ir_bin(l->b, IR_SAR, lift_type(n), getr(l, R_AX, n), count));
    return true;
}

/* --- moves --- */

bool lift_mov(struct lift *l, const struct insn *i)
{
    lift_write(l, i, 0, lift_read(l, i, 1));
    return true;
}

bool lift_lea(struct lift *l, const struct insn *i)
{
    lift_write(l, i, 0, lift_ea(l, i, i->opsize));
    return true;
}

bool lift_movx(struct lift *l, const struct insn *i)
{
    ir_ref v = lift_read(l, i, 1);
    enum ir_type t = lift_type(i->op[0].size);

    if (ir_type_of(l->b, v) != t)
        v = ir_un(l->b, (enum ir_op)i->row->arg, t, v);
    lift_write(l, i, 0, v);
    return true;
}

bool lift_cmov(struct lift *l, const struct insn *i)
{
    ir_ref v = lift_read(l, i, 1), old = lift_read(l, i, 0);

    lift_write(l, i, 0, select(l, lift_cond(l, i->opcode & 15), v, old));
    return true;
}

bool lift_setcc(struct lift *l, const struct insn *i)
{
    lift_write(l, i, 0, lift_cond(l, i->opcode & 15));
    return true;
}

bool lift_salc(struct lift *l, const struct insn *i)
{
    putr(l, R_AX, 1, ir_un(l->b, IR_NEG, TY_I8, lift_cond(l, CC_B)));
    return true;
}

bool lift_xlat(struct lift *l, const struct insn *i)
{
    enum ir_type t = lift_type(i->addrsize);
    ir_ref off = ir_emit(l->b, IR_EA, t, 0, getr(l, R_BX, i->addrsize), zext(l, t, getr(l, R_AX, 1)), 0, 0);
    ir_ref a = lift_seg_addr(l, i->seg, zext(l, TY_I64, off), 1, false);

    putr(l, R_AX, 1, lift_load(l, TY_I8, a, 0, i->seg, 0));
    return true;
}

/* --- exchanges --- */

bool lift_xchg(struct lift *l, const struct insn *i)
{
    struct insn x = *i;
    ir_ref a, b = lift_read(l, i, 1);
    struct rmw m;

    x.lock = x.op[0].kind == OPND_MEM;          /* implied */
    if (atomic(l, &x)) {
        a = amo(l, &x, AMO_XCHG, b);
    } else {
        a = lift_rmw_read(l, &x, 0, &m);
        lift_rmw_write(l, &x, 0, &m, b);
    }
    lift_write(l, i, 1, a);
    return true;
}

bool lift_xadd(struct lift *l, const struct insn *i)
{
    ir_ref b = lift_read(l, i, 1), a, v;
    struct rmw m;

    if (atomic(l, i)) {
        a = amo(l, i, AMO_ADD, b);
        v = emit2(l, IR_ADD, a, b);
        lift_flags(l, FK_ADD, v);
        lift_write(l, i, 1, a);
        return true;
    }
    a = lift_rmw_read(l, i, 0, &m);
    v = emit2(l, IR_ADD, a, b);
    if (i->op[0].kind == OPND_MEM) {
        lift_rmw_write(l, i, 0, &m, v);
        lift_write(l, i, 1, a);
    } else {
        /* The destination wins if both operands are the same register. */
        lift_write(l, i, 1, a);
        lift_rmw_write(l, i, 0, &m, v);
    }
    lift_flags(l, FK_ADD, v);
    return true;
}

/*
 * Memory is always written.  Of the accumulator and a destination register only
 * the one that changes is: with a 32-bit operand that shows in the upper half of
 * the other, which stays (so the chips do; the manual's pseudocode writes both).
 */
bool lift_cmpxchg(struct lift *l, const struct insn *i)
{
    unsigned n = i->op[0].size;
    bool mem = i->op[0].kind == OPND_MEM;
    ir_ref src = lift_read(l, i, 1), acc = getr(l, R_AX, n), old, same, full = 0, dst = 0;
    struct rmw m;

    if (atomic(l, i)) {
        old = cas(l, i, acc, src);
        same = ir_bin(l->b, IR_EQ, TY_I8, acc, old);
    } else {
        old = lift_rmw_read(l, i, 0, &m);
        same = ir_bin(l->b, IR_EQ, TY_I8, acc, old);
        if (mem)
            lift_rmw_write(l, i, 0, &m, select(l, same, src, old));
    }
    if (n == 4 && lift_64(l)) {
        full = select(l, same, getr(l, R_AX, 8), zext(l, TY_I64, old));
        dst = mem ? 0 : getr(l, i->op[0].reg, 8);
    }
    lift_flags(l, FK_SUB, emit2(l, IR_SUB, acc, old));
    if (full)
        putr(l, R_AX, 8, full);
    else
        putr(l, R_AX, n, old);
    /* A register whose compare fails is not written: its upper half stays (the host CPU does so). */
    if (!mem && full)
        putr(l, i->op[0].reg, 8, select(l, same, zext(l, TY_I64, src), dst));
    else if (!mem)
        lift_rmw_write(l, i, 0, &m, select(l, same, src, old));
    return true;
}

static ir_ref pair(struct lift *l, unsigned high, unsigned low)
{
    ir_ref h = zext(l, TY_I64, getr(l, high, 4)), lo = zext(l, TY_I64, getr(l, low, 4));

    h = ir_bin(l->b, IR_SHL, TY_I64, h, ir_const(l->b, TY_I8, 32));
    return ir_bin(l->b, IR_OR, TY_I64, h, lo);
}

bool lift_cmpxchg8b(struct lift *l, const struct insn *i)
{
    ir_ref acc = pair(l, R_DX, R_AX), src = pair(l, R_CX, R_BX), old, same, lo, hi;
    struct rmw m;

    if (atomic(l, i)) {
        old = cas(l, i, acc, src);
        same = ir_bin(l->b, IR_EQ, TY_I8, acc, old);
    } else {
        old = lift_rmw_read(l, i, 0, &m);
        same = ir_bin(l->b, IR_EQ, TY_I8, acc, old);
        lift_rmw_write(l, i, 0, &m, select(l, same, src, old));
    }
    lo = ir_bin(l->b, IR_AND, TY_I64, old, ir_const(l->b, TY_I64, 0xffffffff));
    hi = ir_bin(l->b, IR_SHR, TY_I64, old, ir_const(l->b, TY_I8, 32));
    lift_set_flags(l, FL_ZF, ir_bin(l->b, IR_SHL, TY_I32, zext(l, TY_I32, same), ir_const(l->b, TY_I8, 6)));
    lo = select(l, same, getr(l, R_AX, 8), lo);
    hi = select(l, same, getr(l, R_DX, 8), hi);
    putr(l, R_AX, 8, lo);
    putr(l, R_DX, 8, hi);
    return true;
}

bool lift_cmpxchg16b(struct lift *l, const struct insn *i)
{
    ir_ref a = lift_linear(l, i, 16, true);

    lift_call(l, HELP_cmpxchg16b, a, ir_const(l->b, TY_I64, lift_memaux(l, i->seg, 0)), 0, 0);
    return true;
}

bool lift_bswap(struct lift *l, const struct insn *i)
{
    enum ir_type t = lift_type(i->opsize);

    /* With a 16-bit operand the manual leaves the result undefined; the chips give 0. */
    lift_write(l, i, 0, t == TY_I16 ? ir_const(l->b, t, 0) : ir_un(l->b, IR_BSWAP, t, lift_read(l, i, 0)));
    return true;
}

/* --- flags --- */

#define SZAPC (FL_SF | FL_ZF | FL_AF | FL_PF | FL_CF)

bool lift_lahf(struct lift *l, const struct insn *i)
{
    ir_ref f = ir_emit(l->b, IR_FBITS, TY_I32, 0, lift_getf(l), 0, 0, SZAPC);

    f = ir_bin(l->b, IR_OR, TY_I32, f, ir_const(l->b, TY_I32, FL_1));
    lift_put(l, R_AX, 1, true, ir_un(l->b, IR_TRUNC, TY_I8, f));
    return true;
}

bool lift_sahf(struct lift *l, const struct insn *i)
{
    lift_set_flags(l, SZAPC, zext(l, TY_I32, lift_get(l, R_AX, 1, true)));
    return true;
}

/* CLC, STC (arg: the value), CMC (arg 2). */
bool lift_carry(struct lift *l, const struct insn *i)
{
    if (i->row->arg == 2)
        lift_set_flags(l, FL_CF, zext(l, TY_I32, lift_cond(l, CC_NB)));
    else
        lift_set_flags(l, FL_CF, ir_const(l->b, TY_I32, i->row->arg));
    return true;
}

bool lift_df(struct lift *l, const struct insn *i)
{
    ir_ref f = ir_emit(l->b, IR_GET, TY_I32, 0, 0, 0, 0, CPU_OFF(eflags));

    if (i->row->arg)
        f = ir_bin(l->b, IR_OR, TY_I32, f, ir_const(l->b, TY_I32, FL_DF));
    else
        f = ir_bin(l->b, IR_AND, TY_I32, f, ir_const(l->b, TY_I32, (int32_t)~FL_DF));
    ir_emit(l->b, IR_PUT, TY_I32, 0, f, 0, 0, CPU_OFF(eflags));
    return true;
}

/* --- hints and fences --- */

bool lift_nop(struct lift *l, const struct insn *i)
{
    return true;
}

/* CLFLUSH faults as a byte load does. */
bool lift_clflush(struct lift *l, const struct insn *i)
{
    lift_read(l, i, 0);
    return true;
}

/*
 * Only MFENCE (arg 1) orders anything that total store order does not order by itself.  With one vCPU, too: threads of
 * devices look at the guest's memory.
 */
bool lift_fence(struct lift *l, const struct insn *i)
{
    if (i->row->arg)
        ir_emit(l->b, IR_FENCE, TY_NONE, 0, 0, 0, 0, 0);
    return true;
}
