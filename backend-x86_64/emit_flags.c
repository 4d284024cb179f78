/*
 * emit_flags.c - the guest's arithmetic flags in the host's EFLAGS.
 *
 * A flags value is born in EFLAGS by the host instruction that computes its
 * operation (flags_set).  It stays there until an instruction that destroys
 * EFLAGS is about to be emitted (flags_clobber); if it is needed later, it is then
 * saved by PUSHFQ/POP: to c->flags if it is the architectural value, else to a
 * spill slot.  Nothing is ever saved for a value nobody needs.
 *
 * "Needed" (flast, by opt_needs) counts operands and exits at which flags are live;
 * flags that only a fault would show are emit_recipe.c's.
 */
#include <assert.h>

#include "backend-x86_64/emit.h"

ir_ref flags_resolve(const struct emit *e, ir_ref f)
{
    return e->b->ins[f].op == IR_GETF ? e->fl_alias[f] : f;
}

void flags_prepare(struct emit *e)
{
    recipe_prepare(e);
    e->ef = 0;
    e->arch = 0;
    e->flmem = 0;
    e->nfl_spilled = 0;
    e->fl_name = 0;
    e->nwait = 0;
    e->seen = false;
    e->flv[0].loc = LOC_FLMEM;
}

ir_ref flags_kept(const struct emit *e, const struct ir_ins *f)
{
    return e->fl_part[f - e->b->ins] ? IR_NONE : f->b;
}

const struct ir_ins *flags_wanted(struct emit *e, unsigned op)
{
    unsigned f = e->use[op].flags;
    return f && e->use[f].flast ? &e->b->ins[f] : NULL;
}

bool flags_only(struct emit *e, unsigned op)
{
    return e->use[op].flags && e->use[op].uses == 1;
}

static struct hm fl_slot(struct emit *e, ir_ref f)
{
    return e->flv[f].loc == LOC_FLSPILL ? hm_cpu(CPU_OFF(spill) + 8u * e->flv[f].reg) :
                                          hm_cpu(CPU_OFF(flags));
}

/* A spill slot for flags value f; it is given back by flags_free(). */
static struct hm fl_spill(struct emit *e, ir_ref f)
{
    unsigned s = spill_get(e);
    e->owner[UNIT_SPILL + s]++;
    e->flv[f].loc = LOC_FLSPILL;
    e->flv[f].reg = (uint8_t)s;
    e->fl_spilled[e->nfl_spilled++] = f;
    return fl_slot(e, f);
}

void flags_free(struct emit *e)
{
    for (unsigned k = 0; k < e->nfl_spilled; k++) {
        ir_ref f = e->fl_spilled[k];
        if (e->flv[f].loc == LOC_FLSPILL && e->use[f].flast > e->i)
            continue;
        if (e->flv[f].loc == LOC_FLSPILL) {
            e->owner[UNIT_SPILL + e->flv[f].reg]--;
            e->flv[f].loc = LOC_NONE;
        }
        e->fl_spilled[k--] = e->fl_spilled[--e->nfl_spilled];
    }
}

static void pushf_pop(struct emit *e, struct hm m)
{
    as_b(&e->a, 0x9c);
    as_rm(&e->a, 0x8f, false, 0, m);
}

static void copy_slot(struct emit *e, struct hm to, struct hm from)
{
    unsigned t = temp_get(e);
    as_load64(&e->a, t, from);
    as_store64(&e->a, to, t);
    temp_release(e, t);
}

/* c->flags is about to be overwritten: keep what it holds if that is still needed. */
static void flmem_evict(struct emit *e, ir_ref except)
{
    ir_ref m = e->flmem;
    if (m == except || e->flv[m].loc != LOC_FLMEM)
        return;
    e->flv[m].loc = LOC_NONE;
    if (e->use[m].flast <= e->i)
        return;
    copy_slot(e, fl_spill(e, m), hm_cpu(CPU_OFF(flags)));
}

void flags_mem_overwrite(struct emit *e)
{
    ir_ref m = e->flmem;
    if (e->flv[m].loc != LOC_FLMEM)
        return;
    e->flv[m].loc = LOC_NONE;
    if (e->use[m].flast >= e->i)                /* perhaps by the current instruction's condition */
        copy_slot(e, fl_spill(e, m), hm_cpu(CPU_OFF(flags)));
}

/* Save the value in EFLAGS to memory; EFLAGS keep it too. */
static void save(struct emit *e)
{
    ir_ref f = e->ef;
    if (e->flv[f].loc != LOC_NONE)
        return;
    if (f == e->arch) {
        flmem_evict(e, f);
        pushf_pop(e, hm_cpu(CPU_OFF(flags)));
        e->flv[f].loc = LOC_FLMEM;
        e->flmem = f;
        e->fl_name = 0;
    } else {
        pushf_pop(e, fl_spill(e, f));
    }
}

void flags_clobber(struct emit *e)
{
    if (e->ef && e->use[e->ef].flast > e->i)
        save(e);
    e->ef = 0;
}

void flags_born(struct emit *e, ir_ref f)
{
    e->ef = f;
    e->flv[f].loc = LOC_NONE;
}

void flags_set(struct emit *e, unsigned op)
{
    flags_born(e, e->use[op].flags);
}

/* The value is in memory, now. */
static struct hm force_mem(struct emit *e, ir_ref f)
{
    f = flags_resolve(e, f);
    if (e->ef && e->ef == f)
        save(e);
    assert(e->flv[f].loc != LOC_NONE);
    return fl_slot(e, f);
}

void flags_save(struct emit *e, ir_ref f)
{
    (void)force_mem(e, f);
}

void flags_written(struct emit *e)
{
    ir_ref m = e->flmem;
    if (e->flv[m].loc == LOC_FLMEM)
        e->flv[m].loc = LOC_NONE;
    e->arch = e->flmem = e->i;
    e->fl_name = 0;
    e->flv[e->i].loc = LOC_FLMEM;
    e->ef = 0;
}

void flags_to_mem(struct emit *e)
{
    ir_ref f = e->arch;
    if (e->flv[f].loc == LOC_FLMEM)
        return;
    if (e->ef && e->ef == f) {
        save(e);
        return;
    }
    assert(e->flv[f].loc == LOC_FLSPILL);
    struct hm from = fl_slot(e, f);
    flmem_evict(e, f);
    copy_slot(e, hm_cpu(CPU_OFF(flags)), from);
    e->owner[UNIT_SPILL + e->flv[f].reg]--;
    e->flv[f].loc = LOC_FLMEM;
    e->flmem = f;
    e->fl_name = 0;
}

void flags_load(struct emit *e, ir_ref f, bool all)
{
    f = flags_resolve(e, f);
    if (e->ef && e->ef == f)
        return;
    flags_clobber(e);
    struct hm m = force_mem(e, f);
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
    struct hm m = force_mem(e, f);
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

static void emit_fmerge(struct emit *e, const struct ir_ins *p)
{
    uint32_t mask = (uint32_t)p->imm & FL_ARITH;
    struct hm prev = { 0 };
    if (p->b)
        prev = force_mem(e, p->b);
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
    as_store64(&e->a, fl_spill(e, e->i), t);
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
        struct hm m = force_mem(e, p->a);
        unsigned home, d;
        flags_clobber(e);
        d = def_reg(e, e->i, &home);
        as_rm(&e->a, 0x8b, false, d, m);
        as_alu_ri(&e->a, 4, false, d, FL_ARITH);
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
