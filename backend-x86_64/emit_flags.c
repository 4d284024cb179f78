/*
 * emit_flags.c - the guest's arithmetic flags in the host's EFLAGS: loading, testing,
 * storing them (backend-common/flags.c says when).
 */
#include <assert.h>

#include "backend-common/slow.h"
#include "backend-x86_64/emit.h"

void host_flags_keep(struct emit *e, ir_ref f)
{
    host_flags_store(e, flags_spill(e, f));
}

void host_flags_store(struct emit *e, uint32_t off)
{
    as_b(&e->a, 0x9c);                          /* pushfq; pop */
    as_rm(&e->a, 0x8f, false, 0, hm_cpu(off));
}

void flags_load(struct emit *e, ir_ref f, bool all)
{
    f = flags_resolve(e, f);
    if (e->ef && e->ef == f)
        return;
    flags_clobber(e);
    struct hm m = hm_cpu(flags_force(e, f));
    if (all && e->a.notes) {
        /*
         * A stencil stores flags that lift_live() told the block before not to care for: the slot may hold a
         * recipe's name.  What is made of it is not seen, but it must not set TF.
         */
        unsigned t = temp_get(e);
        as_rm(&e->a, 0x8b, false, t, m);
        as_alu_ri(&e->a, 4, false, t, FL_ARITH);
        as_op(&e->a, 0x50u + (t & 7), false, 0, NOREG, t, false);
        as_b(&e->a, 0x9d);
        temp_release(e, t);
        e->ef = f;
    } else if (all) {
        as_rm(&e->a, 0xff, false, 6, m);        /* push qword */
        as_b(&e->a, 0x9d);                      /* popfq */
        e->ef = f;
    } else {
        as_rm(&e->a, 0x0fba, false, 4, m);      /* bt dword, 0 */
        as_b(&e->a, 0);
    }
}

unsigned flags_test(struct emit *e, ir_ref f, unsigned cc)
{
    f = flags_resolve(e, f);
    if (e->ef && e->ef == f)
        return cc;
    flags_clobber(e);
    struct hm m = hm_cpu(flags_force(e, f));
    unsigned neg = cc & 1, mask, byte = 0;
    switch (cc & 14) {
    case CC_O:
        mask = FL_OF >> 8;
        byte = 1;
        break;
    case CC_B:
        mask = FL_CF;
        break;
    case CC_Z:
        mask = FL_ZF;
        break;
    case CC_BE:
        mask = FL_CF | FL_ZF;
        break;
    case CC_S:
        mask = FL_SF;
        break;
    case CC_P:
        mask = FL_PF;
        break;
    default: {                                  /* L, LE: bit 7 = SF ^ OF */
        unsigned t = temp_get(e);
        as_rm(&e->a, 0x8b, false, t, m);
        as_shift_ri(&e->a, 5, false, t, 4);
        as_rm(&e->a, 0x33, false, t, m);
        as_alu_ri(&e->a, 4, false, t, 0x80);
        if ((cc & 14) == CC_LE) {
            unsigned u = temp_get(e);
            as_rm(&e->a, 0x8b, false, u, m);
            as_alu_ri(&e->a, 4, false, u, FL_ZF);
            as_rr(&e->a, 0x0b, false, t, u);
            temp_release(e, u);
        }
        temp_release(e, t);
        return CC_NZ ^ neg;
    }
    }
    m.disp += (int)byte;
    as_rm(&e->a, 0xf6, false, 0, m);            /* test byte, mask */
    as_b(&e->a, mask);
    return CC_NZ ^ neg;
}

unsigned cond_test(struct emit *e, ir_ref r)
{
    const struct val *v = &e->val[r];
    if (v->loc == LOC_CC)
        return flags_test(e, (ir_ref)v->imm, v->reg);
    unsigned tmp, s = use_reg(e, r, &tmp);
    flags_clobber(e);
    as_rr8(&e->a, 0x84, s, s);
    temp_release(e, tmp);
    return CC_NZ;
}

/* ---- what the manuals leave undefined ---- */

static bool rotates_carry(const struct ir_ins *p)
{
    return p->op == IR_RCL || p->op == IR_RCR;
}

/* How far a shift goes, if that is known; else as if it were far. */
static uint64_t shift_count(struct emit *e, const struct ir_ins *p)
{
    int64_t n;

    if (p->op < IR_SHL || p->op > IR_SHRD)
        return 0;
    return use_is_const(e, p->op >= IR_SHLD ? p->c : p->b, &n) ? (uint64_t)n : ~(uint64_t)0;
}

bool shift_differs(struct emit *e, const struct ir_ins *p)
{
    return (p->op == IR_SHLD || p->op == IR_SHRD) && p->type == TY_I16 && (shift_count(e, p) & 31) > 16 &&
           !host_has(e->be, HF_AS_INTEL);
}

static bool host_differs(struct emit *e, const struct ir_ins *p, const struct ir_ins *f)
{
    uint32_t needed = fl_from_flx(FLAGS_STRONG(f->imm));

    switch ((enum flags_kind)f->aux) {
    case FK_SHL: case FK_SHR: case FK_SAR: case FK_ROT: case FK_SHD: case FK_MULU: case FK_MULS: case FK_ZCNT:
        return needed & cc_undefined((enum flags_kind)f->aux, (enum ir_type)p->type, shift_count(e, p));
    default:
        return false;           /* nothing is undefined, or all chips do the same */
    }
}

const struct ir_ins *flags_as_intel(struct emit *e, const struct ir_ins *p, const struct ir_ins *f)
{
    struct hm how = hm_cpu(CPU_OFF(arg[3]));
    uint32_t old = 0, carry = 0;
    unsigned t;

    if (!f || host_has(e->be, HF_AS_INTEL) || (!host_differs(e, p, f) && !shift_differs(e, p)))
        return f;
    if (flags_kept(e, f))
        old = flags_force(e, f->b);
    if (rotates_carry(p))
        carry = flags_force(e, p->c);
    flags_clobber(e);
    emit_arg(e, 0, p->a);
    if (p->b)
        emit_arg(e, 1, p->b);
    if (p->op == IR_SHLD || p->op == IR_SHRD)
        emit_arg(e, 2, p->c);
    t = temp_get(e);
    if (rotates_carry(p)) {
        as_rm(&e->a, 0x8b, false, t, hm_cpu(carry));
        as_store64(&e->a, hm_cpu(CPU_OFF(arg[2])), t);
    }
    if (flags_kept(e, f)) {
        as_rm(&e->a, 0x8b, false, t, hm_cpu(old));
        as_store64(&e->a, how, t);
    }
    temp_release(e, t);
    how.disp += 4;
    as_mov_mi32(&e->a, false, how, (int32_t)SLOW_CC_HOW(p->op, p->type, f->aux));
    vtemps_spill(e);
    emit_thunk_call(e, e->be->cc, e->pc, 0);
    t = temp_get(e);
    as_load64(&e->a, t, hm_cpu(CPU_OFF(hret)));
    as_store64(&e->a, hm_cpu(flags_spill(e, (ir_ref)(f - e->b->ins))), t);
    temp_release(e, t);
    return NULL;
}

static void emit_fmerge(struct emit *e, const struct ir_ins *p)
{
    uint32_t mask = (uint32_t)p->imm & FL_ARITH;
    struct hm prev = { 0 };
    if (p->b)
        prev = hm_cpu(flags_force(e, p->b));
    flags_clobber(e);
    unsigned t = use_copy(e, p->a);
    as_alu_ri(&e->a, 4, false, t, (int32_t)mask);
    if (p->b) {
        unsigned u = temp_get(e);
        as_rm(&e->a, 0x8b, false, u, prev);
        as_alu_ri(&e->a, 4, false, u, (int32_t)(FL_ARITH & ~mask));
        as_rr(&e->a, 0x0b, false, t, u);
        temp_release(e, u);
    }
    as_store64(&e->a, hm_cpu(flags_spill(e, e->i)), t);
    temp_release(e, t);
}

void emit_flags_op(struct emit *e, const struct ir_ins *p)
{
    switch (p->op) {
    case IR_GETF:
    case IR_FLAGS:
        break;
    case IR_HOSTF:
        flags_born(e, e->i);
        if (p->aux) {
            e->flv[0].loc = LOC_NONE;
            e->flv[e->i].loc = LOC_FLMEM;
            e->flmem = e->i;
        }
        break;
    case IR_PUTF: {
        ir_ref f = flags_resolve(e, p->a);
        e->arch = f;
        if (e->use[f].flast > e->i && e->ef != f)
            flags_to_mem(e);
        break;
    }
    case IR_FMERGE:
        if (e->use[e->i].flast && e->ef != e->i)  /* emit_flg() may have left them in EFLAGS */
            emit_fmerge(e, p);
        break;
    case IR_FBITS: {
        struct hm m = hm_cpu(flags_force(e, p->a));
        unsigned home, d;
        flags_clobber(e);
        d = def_reg(e, e->i, &home);
        as_rm(&e->a, 0x8b, false, d, m);
        as_alu_ri(&e->a, 4, false, d, (int32_t)p->imm);
        def_done(e, e->i, d, home, true);
        break;
    }
    case IR_CC:
        def_at(e, e->i, LOC_CC, p->aux, (int64_t)flags_resolve(e, p->a));
        break;
    default:
        assert(0);
    }
}
