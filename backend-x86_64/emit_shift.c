/*
 * emit_shift.c - shifts and rotates, single and double, and the flags of which they leave some, or all if the count is 0.
 */
#include "backend-x86_64/emit.h"

static void set_reg(struct emit *e, unsigned cc, unsigned reg)
{
    as_op(&e->a, 0x0f90u | cc, false, 0, NOREG, reg, true);     /* SETcc */
    as_b(&e->a, 0xc0 | (reg & 7));
}

/* Where they can be merged in plain instructions: POPFQ, which brings them into EFLAGS, takes 20 cycles and more. */
static bool shift_merges(struct emit *e, const struct ir_ins *p, const struct ir_ins *f, bool imm)
{
    bool rotate = p->op == IR_ROL || p->op == IR_ROR;

    if (!f || !flags_kept(e, f) || (e->ef && flags_resolve(e, f->b) == e->ef))
        return false;
    return imm ? rotate : !rotate && p->op != IR_RCL && p->op != IR_RCR && !e->a.notes;
}

/* A rotate by a constant changes CF and OF. */
static void rotate_merge(struct emit *e, const struct ir_ins *f, uint32_t old)
{
    unsigned cf = temp_get(e), of = temp_get(e);

    set_reg(e, CC_B, cf);
    set_reg(e, CC_O, of);
    as_rr8(&e->a, 0x0fb6, cf, cf);
    as_rr8(&e->a, 0x0fb6, of, of);
    as_shift_ri(&e->a, 4, false, of, 11);
    as_rr(&e->a, 0x0b, false, cf, of);
    as_rm(&e->a, 0x8b, false, of, hm_cpu(old));
    as_alu_ri(&e->a, 4, false, of, (int32_t)(FL_ARITH & ~(FL_CF | FL_OF)));
    as_rr(&e->a, 0x0b, false, cf, of);
    temp_release(e, of);
    temp_release(e, cf);
    flags_in_temp(e, (ir_ref)(f - e->b->ins), cf);
}

/* A shift by CL changes all flags or none. */
static void shift_merge(struct emit *e, const struct ir_ins *p, const struct ir_ins *f, uint32_t old)
{
    unsigned t = temp_get(e);

    as_b(&e->a, 0x9c);                                          /* pushfq; pop */
    as_op(&e->a, 0x58u + (t & 7), false, 0, NOREG, t, false);
    as_b(&e->a, 0xf6);                                          /* test cl, the bits that count */
    as_b(&e->a, 0xc0 | H_RCX);
    as_b(&e->a, p->type == TY_I64 ? 63 : 31);
    as_rm(&e->a, 0x0f44, false, t, hm_cpu(old));                /* cmovz */
    temp_release(e, t);
    flags_in_temp(e, (ir_ref)(f - e->b->ins), t);
}

/*
 * Shifts and rotates.  The host masks counts and treats count 0 (flags unchanged)
 * exactly as the guest does; so when the previous flags matter they are brought
 * into EFLAGS first and the merge is the instruction's own; but see shift_merges().
 */
void emit_shift(struct emit *e, const struct ir_ins *p)
{
    static const uint8_t ext_of[] = { [IR_SHL - IR_SHL] = 4, [IR_SHR - IR_SHL] = 5, [IR_SAR - IR_SHL] = 7,
                                      [IR_ROL - IR_SHL] = 0, [IR_ROR - IR_SHL] = 1, [IR_RCL - IR_SHL] = 2,
                                      [IR_RCR - IR_SHL] = 3 };
    enum ir_type t = (enum ir_type)p->type;
    const struct ir_ins *f = flags_as_intel(e, p, flags_wanted(e, e->i));
    bool dbl = p->op == IR_SHLD || p->op == IR_SHRD;
    ir_ref cnt = dbl ? p->c : p->b;
    int64_t c = 0;
    bool imm = use_is_const(e, cnt, &c);
    unsigned home, d, tb = NOREG, src = NOREG;
    uint8_t ext = dbl ? 0 : ext_of[p->op - IR_SHL];

    if (shift_differs(e, p)) {                  /* its flags are made */
        emit_fallback(e, p);
        return;
    }
    bool merge = shift_merges(e, p, f, imm);
    uint32_t old = merge ? flags_force(e, f->b) : 0;
    if (!merge && f && flags_kept(e, f))
        flags_load(e, f->b, true);
    if (p->op == IR_RCL || p->op == IR_RCR)
        flags_load(e, p->c, false);
    unsigned fl = e->ef;
    if (fl && e->use[fl].flast > e->i)
        flags_clobber(e);
    e->ef = 0;

    if (!imm && !f && host_has(e->be, HF_BMI2) && (t == TY_I64 || t == TY_I32) &&
        (p->op == IR_SHL || p->op == IR_SHR || p->op == IR_SAR)) {
        unsigned ta, tc, x = use_reg(e, p->a, &ta), y = use_reg(e, cnt, &tc);
        d = def_reg(e, e->i, &home);
        as_vex(&e->a, 2, p->op == IR_SHL ? 1 : p->op == IR_SHR ? 3 : 2, t == TY_I64, 0xf7, d, y, x);
        temp_release(e, ta);
        temp_release(e, tc);
        def_done(e, e->i, d, home, true);
        return;
    }
    if (imm) {
        d = def_reg(e, e->i, &home);
        if (dbl && use_occupies(e, p->b, home, d) && use_where(e, p->a) != d)
            src = tb = use_copy(e, p->b);
        use_into_typed(e, p->a, t, d, home);
        if (dbl) {
            if (src == NOREG)
                src = use_reg(e, p->b, &tb);
            as_rr(&e->a, (t == TY_I16 ? OP66(0) : 0) | (p->op == IR_SHLD ? 0x0fa4u : 0x0facu), t == TY_I64,
                  src, d);
        } else {
            if (t == TY_I8)
                as_op(&e->a, 0xc0, false, 0, NOREG, d, d >= 4);
            else
                as_op(&e->a, t == TY_I16 ? OP66(0xc1) : 0xc1, t == TY_I64, 0, NOREG, d, false);
            as_b(&e->a, 0xc0 | ext << 3 | (d & 7));
        }
        as_b(&e->a, (unsigned)c);
        temp_release(e, tb);
    } else {
        /*
         * The count must be in CL.  Work in a temporary; rcx is swapped out to
         * c->arg[0] when the count is not already there.
         */
        bool in_cl = in_home(e, cnt, R_CX);
        d = use_copy(e, p->a);
        home = 0xff;
        if (dbl)
            src = use_reg(e, p->b, &tb);
        if (!in_cl) {
            unsigned tc, s = use_reg(e, cnt, &tc);
            if (dbl && src == H_RCX) {
                tb = temp_get(e);
                as_mov_rr(&e->a, true, tb, H_RCX);
                src = tb;
            }
            as_store64(&e->a, hm_cpu(CPU_OFF(arg[0])), H_RCX);
            if (s != H_RCX)
                as_mov_rr(&e->a, true, H_RCX, s);
            temp_release(e, tc);
        }
        if (dbl) {
            as_rr(&e->a, (t == TY_I16 ? OP66(0) : 0) | (p->op == IR_SHLD ? 0x0fa5u : 0x0fadu), t == TY_I64,
                  src, d);
        } else {
            if (t == TY_I8)
                as_op(&e->a, 0xd2, false, 0, NOREG, d, d >= 4);
            else
                as_op(&e->a, t == TY_I16 ? OP66(0xd3) : 0xd3, t == TY_I64, 0, NOREG, d, false);
            as_b(&e->a, 0xc0 | ext << 3 | (d & 7));
        }
        if (merge)
            shift_merge(e, p, f, old);
        if (!in_cl)
            as_load64(&e->a, H_RCX, hm_cpu(CPU_OFF(arg[0])));
        temp_release(e, tb);
    }
    if (merge && imm)
        rotate_merge(e, f, old);
    else if (f && !merge)
        flags_set(e, e->i);
    /* a 32-bit shift whose masked count is 0 still zero-extends when it is a real instruction */
    def_done(e, e->i, d, home, t == TY_I32);
}
