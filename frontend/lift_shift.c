/*
 * lift_shift.c - shifts, rotates, double shifts, and the bit instructions.
 *
 * Counts are masked to 5 bits (6 with a 64-bit operand).  A masked count of 0
 * changes no flag, but the destination is written all the same (a 32-bit
 * register's upper half is cleared, memory must be writable).  SDM vol. 2.
 */
#include "frontend/lift.h"

static ir_ref count_of(struct lift *l, const struct insn *i, unsigned n, bool *none)
{
    unsigned mask = i->op[0].size == 8 ? 63 : 31;

    *none = false;
    if (i->op[n].kind != OPND_IMM)
        return lift_read(l, i, n);
    *none = !(i->imm & mask);
    return ir_const(l->b, TY_I8, i->imm & mask);
}

bool lift_shift(struct lift *l, const struct insn *i)
{
    enum ir_op op = (enum ir_op)i->row->arg;
    enum ir_type t = lift_type(i->op[0].size);
    bool none;
    struct rmw m;
    ir_ref count = count_of(l, i, 1, &none), a = lift_rmw_read(l, i, 0, &m), v;

    if (none) {
        lift_rmw_write(l, i, 0, &m, a);
        return true;
    }
    v = ir_emit(l->b, op, t, 0, a, count, op == IR_RCL || op == IR_RCR ? lift_getf(l) : 0, 0);
    lift_rmw_write(l, i, 0, &m, v);
    lift_flags(l, (enum flags_kind)(i->row->flags - 1), v);
    return true;
}

bool lift_shd(struct lift *l, const struct insn *i)
{
    enum ir_type t = lift_type(i->op[0].size);
    bool none;
    struct rmw m;
    ir_ref count = count_of(l, i, 2, &none), fill = lift_read(l, i, 1), a = lift_rmw_read(l, i, 0, &m), v;

    if (none) {
        lift_rmw_write(l, i, 0, &m, a);
        return true;
    }
    v = ir_emit(l->b, (enum ir_op)i->row->arg, t, 0, a, fill, count, 0);
    lift_rmw_write(l, i, 0, &m, v);
    lift_flags(l, FK_SHD, v);
    return true;
}

/* --- BT, BTS, BTR, BTC --- */

/*
 * Address of the word that holds bit `index` of the bit string at the memory
 * operand: a register index is signed and reaches beyond the operand.
 */
static ir_ref bit_addr(struct lift *l, const struct insn *i, ir_ref index, bool write, int64_t *imm)
{
    unsigned n = i->op[0].size, log = n == 2 ? 4 : n == 4 ? 5 : 6;
    enum ir_type t = lift_type(i->addrsize), ti = ir_type_of(l->b, index);
    ir_ref off;

    if (i->op[1].kind == OPND_IMM)
        return lift_addr(l, i, n, write, imm);
    *imm = 0;
    index = ir_bin(l->b, IR_SAR, ti, index, ir_const(l->b, TY_I8, log));
    if (type_bits(ti) < type_bits(t))
        index = ir_un(l->b, IR_SEXT, t, index);
    else if (type_bits(ti) > type_bits(t))
        index = ir_un(l->b, IR_TRUNC, t, index);
    off = lift_ea(l, i, i->addrsize);
    off = ir_emit(l->b, IR_EA, t, log - 3, off, index, 0, 0);
    if (t != TY_I64)
        off = ir_un(l->b, IR_ZEXT, TY_I64, off);
    return lift_seg_addr(l, i->seg, off, n, write);
}

/* 1 << index, the index taken modulo the width. */
static ir_ref bit_mask(struct lift *l, enum ir_type t, ir_ref index)
{
    ir_ref n = ir_type_of(l->b, index) == TY_I8 ? index : ir_un(l->b, IR_TRUNC, TY_I8, index);

    n = ir_bin(l->b, IR_AND, TY_I8, n, ir_const(l->b, TY_I8, type_bits(t) - 1));
    return ir_bin(l->b, IR_SHL, t, ir_const(l->b, t, 1), n);
}

static ir_ref bit_apply(struct lift *l, enum ir_op op, enum ir_type t, ir_ref v, ir_ref mask)
{
    if (op == IR_AND)
        mask = ir_un(l->b, IR_NOT, t, mask);
    return ir_bin(l->b, op, t, v, mask);
}

bool lift_bt(struct lift *l, const struct insn *i)
{
    enum ir_op op = (enum ir_op)i->row->arg;
    enum ir_type t = lift_type(i->op[0].size);
    bool mem = i->op[0].kind == OPND_MEM, write = op != IR_BIT;
    unsigned extra = (write ? MEM_WRITE : 0) | (i->lock && !l->smp ? MEM_LOCKED : 0);
    int64_t imm = 0;
    ir_ref index, addr = 0, v, mask;

    if (i->op[1].kind == OPND_IMM)
        index = ir_const(l->b, t, i->imm & (type_bits(t) - 1));
    else
        index = lift_read(l, i, 1);
    if (mem)
        addr = bit_addr(l, i, index, write, &imm);
    if (mem && i->lock && l->smp) {
        unsigned which = op == IR_OR ? AMO_OR : op == IR_AND ? AMO_AND : AMO_XOR;

        mask = bit_mask(l, t, index);
        if (op == IR_AND)
            mask = ir_un(l->b, IR_NOT, t, mask);
        v = ir_emit(l->b, IR_AMO, t, lift_memaux(l, i->seg, MEM_WRITE) | which, addr, mask, 0, imm);
    } else {
        v = mem ? lift_load(l, t, addr, imm, i->seg, extra) : lift_read(l, i, 0);
        if (write) {
            ir_ref r = bit_apply(l, op, t, v, bit_mask(l, t, index));

            if (mem)
                ir_emit(l->b, IR_ST, t, lift_memaux(l, i->seg, extra & MEM_LOCKED), addr, r, 0, imm);
            else
                lift_write(l, i, 0, r);
        }
    }
    lift_flags(l, FK_BT, ir_emit(l->b, IR_BIT, t, 0, v, index, 0, 0));
    return true;
}

/*
 * BSF, BSR: with a zero source the destination stays as it is, all 64 bits of it
 * (undefined in the manual; what the chips do and guests rely on).
 */
bool lift_bscan(struct lift *l, const struct insn *i)
{
    enum ir_type t = lift_type(i->op[1].size);
    bool wide = t == TY_I32 && lift_64(l);
    ir_ref v = lift_read(l, i, 1), r, zero, old;

    r = ir_emit(l->b, (enum ir_op)i->row->arg, t, 0, v, 0, 0, 0);
    zero = ir_bin(l->b, IR_EQ, TY_I8, v, ir_const(l->b, t, 0));
    lift_flags(l, FK_BSCAN, r);
    if (i->row->arg == IR_CLZ)
        r = ir_bin(l->b, IR_XOR, t, r, ir_const(l->b, t, type_bits(t) - 1));
    if (wide) {
        t = TY_I64;
        r = ir_un(l->b, IR_ZEXT, t, r);
    }
    old = lift_get(l, i->op[0].reg, type_bytes(t), false);
    lift_put(l, i->op[0].reg, type_bytes(t), false, ir_emit(l->b, IR_SELECT, t, 0, zero, old, r, 0));
    return true;
}

bool lift_popcnt(struct lift *l, const struct insn *i)
{
    ir_ref v = lift_read(l, i, 1);
    ir_ref r = ir_emit(l->b, IR_POPCNT, ir_type_of(l->b, v), 0, v, 0, 0, 0);

    lift_flags(l, FK_POPCNT, r);
    lift_write(l, i, 0, r);
    return true;
}

bool lift_crc32(struct lift *l, const struct insn *i)
{
    ir_ref v = lift_read(l, i, 1), crc = lift_get(l, i->op[0].reg, 4, false);

    lift_put(l, i->op[0].reg, 4, false, ir_emit(l->b, IR_CRC32, TY_I32, 0, crc, v, 0, 0));
    return true;
}
