/*
 * lift_opnd.c - operands, addresses, flags and the stack: what all lift
 * functions are made of.
 *
 * Invariant: nothing here changes guest state except the functions named put,
 * write, store, set and push.  SDM vol. 1, 3.7 (addressing), 6.2 (stack).
 */
#include "frontend/lift_block.h"

enum ir_type lift_type(unsigned bytes)
{
    return bytes == 1 ? TY_I8 : bytes == 2 ? TY_I16 : bytes == 4 ? TY_I32 : TY_I64;
}

ir_ref lift_get(struct lift *l, unsigned reg, unsigned size, bool high)
{
    return ir_get(l->b, lift_type(size), reg, high);
}

void lift_put(struct lift *l, unsigned reg, unsigned size, bool high, ir_ref v)
{
    ir_put(l->b, lift_type(size), reg, high, v);
}

/* The displacement; RIP-relative: from the start of the page. */
static int64_t displacement(const struct lift *l, const struct insn *i)
{
    if (i->holes & INSN_HOLE_DISP)
        return ir_hole_imm(HOLE_DISP, (int32_t)i->disp);
    return i->disp + (i->base == BASE_IP ? (int32_t)l->next : 0);
}

/* A displacement as a value; one without a base may have 64 bits. */
static ir_ref number(struct lift *l, const struct insn *i, enum ir_type t, int64_t disp)
{
    if (!(i->holes & INSN_HOLE_DISP))
        return ir_const(l->b, t, disp);
    return ir_bin(l->b, IR_ADD, t, ir_emit(l->b, IR_HOLE, t, 0, 0, 0, 0, HOLE_DISP),
                  ir_const(l->b, t, (int32_t)disp));
}

/* Effective address computed modulo 2^(8 * bytes), which may be less than the address size. */
static ir_ref effective(struct lift *l, const struct insn *i, unsigned bytes, bool with_disp)
{
    enum ir_type t = lift_type(bytes);
    int64_t disp = with_disp ? displacement(l, i) : 0;
    ir_ref a = 0, x = 0;

    if (i->base == BASE_IP) {
        a = ir_emit(l->b, IR_PC, TY_I64, 0, 0, 0, 0, disp);
        return bytes == 8 ? a : ir_un(l->b, IR_TRUNC, t, a);
    }
    if (i->base != BASE_NONE)
        a = lift_get(l, i->base, bytes, false);
    if (i->index != BASE_NONE)
        x = lift_get(l, i->index, bytes, false);
    if (!a && !x)
        return number(l, i, t, disp);
    if (!x && !disp)
        return a;
    return ir_emit(l->b, IR_EA, t, i->scale, a, x, 0, disp);
}

static ir_ref widen(struct lift *l, ir_ref v)
{
    return ir_type_of(l->b, v) == TY_I64 ? v : ir_un(l->b, IR_ZEXT, TY_I64, v);
}

ir_ref lift_offset(struct lift *l, const struct insn *i)
{
    return widen(l, effective(l, i, i->addrsize, true));
}

ir_ref lift_ea(struct lift *l, const struct insn *i, unsigned bytes)
{
    unsigned n = bytes < i->addrsize ? bytes : i->addrsize;
    ir_ref v = effective(l, i, n, true);

    return n < bytes ? ir_un(l->b, IR_ZEXT, lift_type(bytes), v) : v;
}

static ir_ref seg_base(struct lift *l, unsigned seg)
{
    return ir_emit(l->b, IR_GET, TY_I64, 0, 0, 0, 0,
                   CPU_OFF(seg) + (int64_t)(seg * sizeof(struct seg) + offsetof(struct seg, base)));
}

/* Does the mode word promise base 0 for the segment? */
static bool base_zero(const struct lift *l, unsigned seg)
{
    if (lift_64(l))
        return seg != SEG_FS && seg != SEG_GS;
    if (seg == SEG_CS)
        return l->flat_cs;
    return seg <= SEG_DS && (l->mode & M_FLAT_DS);
}

ir_ref lift_seg_addr(struct lift *l, unsigned seg, ir_ref off, unsigned size, bool write)
{
    bool flat = base_zero(l, seg);
    ir_ref a;

    if (lift_64(l))
        return flat ? off : ir_bin(l->b, IR_ADD, TY_I64, seg_base(l, seg), off);
    /* The flat bits say nothing about CS being readable, and it is never writable. */
    if (size && (!flat || seg == SEG_CS))
        ir_emit(l->b, IR_SEGCHK, TY_I64, seg | (write ? SEGCHK_WRITE : 0), off, 0, 0, size);
    if (flat)
        return off;
    a = ir_bin(l->b, IR_ADD, TY_I64, seg_base(l, seg), off);
    return ir_un(l->b, IR_ZEXT, TY_I64, ir_un(l->b, IR_TRUNC, TY_I32, a));
}

ir_ref lift_addr(struct lift *l, const struct insn *i, unsigned size, bool write, int64_t *imm)
{
    int64_t disp = displacement(l, i);
    ir_ref a;

    *imm = 0;
    if (!lift_64(l) || i->addrsize != 8)
        return lift_seg_addr(l, i->seg, lift_offset(l, i), size, write);
    /* 64-bit: leave the displacement to the access, so that accesses off one base share it. */
    if (i->base == BASE_IP) {
        if (disp != (int32_t)disp && !(i->holes & INSN_HOLE_DISP))
            return lift_seg_addr(l, i->seg, lift_offset(l, i), size, write);
        a = ir_emit(l->b, IR_PC, TY_I64, 0, 0, 0, 0, 0);
    } else if (i->base == BASE_NONE && i->index == BASE_NONE) {
        a = number(l, i, TY_I64, disp);
        disp = 0;
    } else {
        a = effective(l, i, 8, false);
    }
    *imm = disp;
    return lift_seg_addr(l, i->seg, a, size, write);
}

ir_ref lift_linear(struct lift *l, const struct insn *i, unsigned size, bool write)
{
    int64_t imm;
    ir_ref a = lift_addr(l, i, size, write, &imm);

    return imm ? ir_emit(l->b, IR_EA, TY_I64, 0, a, 0, 0, imm) : a;
}

unsigned lift_memaux(const struct lift *l, unsigned seg, unsigned extra)
{
    return ((l->mode & M_MMU) >> M_MMU_SHIFT) << MEM_IDX_SHIFT | (l->mode & M_AC ? MEM_AC : 0) |
           (seg == SEG_SS ? MEM_SS : 0) | extra;
}

ir_ref lift_load(struct lift *l, enum ir_type t, ir_ref addr, int64_t imm, unsigned seg, unsigned extra)
{
    return ir_emit(l->b, IR_LD, t, lift_memaux(l, seg, extra), addr, 0, 0, imm);
}

ir_ref lift_load_part(struct lift *l, const struct insn *i, unsigned at, enum ir_type t)
{
    struct insn part = *i;
    int64_t imm;
    ir_ref a;

    part.disp += at;
    a = lift_addr(l, &part, type_bytes(t), false, &imm);
    return lift_load(l, t, a, imm, i->seg, 0);
}

static void store_aux(struct lift *l, ir_ref addr, int64_t imm, unsigned seg, unsigned extra, ir_ref v)
{
    ir_emit(l->b, IR_ST, ir_type_of(l->b, v), lift_memaux(l, seg, extra), addr, v, 0, imm);
}

void lift_store(struct lift *l, ir_ref addr, int64_t imm, unsigned seg, ir_ref v)
{
    store_aux(l, addr, imm, seg, 0, v);
}

ir_ref lift_read(struct lift *l, const struct insn *i, unsigned n)
{
    const struct operand *o = &i->op[n];
    int64_t imm;
    ir_ref a;

    switch (o->kind) {
    case OPND_REG:
        return lift_get(l, o->reg, o->size, o->high);
    case OPND_IMM:
        if (i->holes & INSN_HOLE_IMM)
            return ir_emit(l->b, IR_HOLE, lift_type(o->size), 0, 0, 0, 0, HOLE_IMM);
        return ir_const(l->b, lift_type(o->size), i->imm);
    default:
        a = lift_addr(l, i, o->size, false, &imm);
        return lift_load(l, lift_type(o->size), a, imm, i->seg, 0);
    }
}

void lift_write(struct lift *l, const struct insn *i, unsigned n, ir_ref v)
{
    const struct operand *o = &i->op[n];
    int64_t imm;
    ir_ref a;

    if (o->kind == OPND_REG) {
        lift_put(l, o->reg, o->size, o->high, v);
        return;
    }
    a = lift_addr(l, i, o->size, true, &imm);
    lift_store(l, a, imm, i->seg, v);
}

static unsigned rmw_extra(const struct lift *l, const struct insn *i)
{
    return i->lock && !l->smp ? MEM_LOCKED : 0;
}

ir_ref lift_rmw_read(struct lift *l, const struct insn *i, unsigned n, struct rmw *m)
{
    const struct operand *o = &i->op[n];

    m->addr = 0;
    m->imm = 0;
    if (o->kind == OPND_REG)
        return lift_get(l, o->reg, o->size, o->high);
    m->addr = lift_addr(l, i, o->size, true, &m->imm);
    return lift_load(l, lift_type(o->size), m->addr, m->imm, i->seg, MEM_WRITE | rmw_extra(l, i));
}

void lift_rmw_write(struct lift *l, const struct insn *i, unsigned n, const struct rmw *m, ir_ref v)
{
    const struct operand *o = &i->op[n];

    if (o->kind == OPND_REG)
        lift_put(l, o->reg, o->size, o->high, v);
    else
        store_aux(l, m->addr, m->imm, i->seg, rmw_extra(l, i), v);
}

/* --- flags --- */

ir_ref lift_getf(struct lift *l)
{
    return ir_emit(l->b, IR_GETF, TY_FLAGS, 0, 0, 0, 0, 0);
}

/* May the count be one that leaves the flags alone? */
static bool count_may_be_0(const struct lift *l, const struct ir_ins *s, ir_ref count)
{
    return !ir_is_const(l->b, count) || !(l->b->ins[count].imm & (s->type == TY_I64 ? 63 : 31));
}

/* Does operation `op` of kind k, or may it, keep flags? */
static bool keeps_some(const struct lift *l, enum flags_kind k, ir_ref op)
{
    const struct ir_ins *s = &l->b->ins[op];

    switch (k) {
    case FK_SHL: case FK_SHR: case FK_SAR:
        return count_may_be_0(l, s, s->b);
    case FK_SHD:
        return count_may_be_0(l, s, s->c);
    case FK_INC: case FK_DEC: case FK_ROT: case FK_BT: case FK_BSCAN:
        return true;
    default:
        return false;
    }
}

void lift_flags(struct lift *l, enum flags_kind k, ir_ref op)
{
    ir_ref old = keeps_some(l, k, op) ? lift_getf(l) : 0;
    ir_ref f = ir_emit(l->b, IR_FLAGS, TY_FLAGS, k, op, old, 0, 0);

    ir_emit(l->b, IR_PUTF, TY_FLAGS, 0, f, 0, 0, 0);
}

void lift_set_flags(struct lift *l, uint32_t mask, ir_ref bits)
{
    ir_ref f = ir_emit(l->b, IR_FMERGE, TY_FLAGS, 0, bits, lift_getf(l), 0, mask);

    ir_emit(l->b, IR_PUTF, TY_FLAGS, 0, f, 0, 0, 0);
}

ir_ref lift_cond(struct lift *l, unsigned cc)
{
    return ir_emit(l->b, IR_CC, TY_I8, cc & 15, lift_getf(l), 0, 0, 0);
}

/* --- stack --- */

unsigned lift_stack_size(const struct lift *l)
{
    return lift_64(l) ? 8 : l->mode & M_SS32 ? 4 : 2;
}

ir_ref lift_stack_addr(struct lift *l, ir_ref sp, unsigned bytes, bool write)
{
    return lift_seg_addr(l, SEG_SS, widen(l, sp), bytes, write);
}

ir_ref lift_push_addr(struct lift *l, unsigned bytes, ir_ref *new_sp)
{
    unsigned ss = lift_stack_size(l);
    ir_ref sp = lift_get(l, R_SP, ss, false);

    *new_sp = ir_emit(l->b, IR_EA, lift_type(ss), 0, sp, 0, 0, -(int64_t)bytes);
    return lift_stack_addr(l, *new_sp, bytes, true);
}

void lift_set_sp(struct lift *l, ir_ref sp)
{
    lift_put(l, R_SP, lift_stack_size(l), false, sp);
}

void lift_push(struct lift *l, unsigned bytes, ir_ref v)
{
    ir_ref sp, a = lift_push_addr(l, bytes, &sp);

    lift_store(l, a, 0, SEG_SS, v);
    lift_set_sp(l, sp);
}

ir_ref lift_pop_value(struct lift *l, unsigned bytes, unsigned extra, ir_ref *new_sp)
{
    unsigned ss = lift_stack_size(l);
    ir_ref sp = lift_get(l, R_SP, ss, false);
    ir_ref a = lift_stack_addr(l, sp, bytes, false);
    ir_ref v = lift_load(l, lift_type(bytes), a, 0, SEG_SS, 0);

    *new_sp = ir_emit(l->b, IR_EA, lift_type(ss), 0, sp, 0, 0, (int64_t)bytes + extra);
    return v;
}

/* --- calls --- */

ir_ref lift_call(struct lift *l, enum helper_id h, ir_ref a, ir_ref b, ir_ref c, int64_t imm)
{
    return ir_emit(l->b, IR_CALL, helper_info[h].sig[0] == '-' ? TY_NONE : TY_I64, h, a, b, c, imm);
}
