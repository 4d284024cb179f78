/*
 * alloc_vec.c - where vector values are: the counterpart of alloc.c for XMM
 * registers.  No C call preserves the host's vector temporaries.
 */
#include "config.h"

#include <assert.h>

#include BACKEND_EMIT_H

static uint32_t vspill_at(unsigned s)
{
    return CPU_OFF(vspill) + 16 * s;
}

static bool holds_operand(const struct emit *e, unsigned x)
{
    const struct ir_ins *p = &e->b->ins[e->i];
    const ir_ref ref[3] = { p->a, p->b, p->c };
    for (unsigned k = 0; k < 3; k++)
        if (ref[k] && e->val[ref[k]].loc == LOC_VTEMP && e->val[ref[k]].reg == x)
            return true;
    return false;
}

unsigned vtemp_get(struct emit *e)
{
    for (unsigned k = 0; k < VT_COUNT; k++)
        if (!e->owner[UNIT_VTEMP + k] && !e->vtemp_busy[k]) {
            e->vtemp_busy[k] = true;
            return VT_FIRST + k;
        }
    /* An operand of this instruction may have been asked for already: spill something else if possible. */
    for (unsigned n = 0; n < 2 * VT_COUNT; n++) {
        unsigned k = n % VT_COUNT;
        if (!e->vtemp_busy[k] && (n >= VT_COUNT || !holds_operand(e, VT_FIRST + k))) {
            for (unsigned s = 0; s < NVSPILL; s++) {
                if (e->owner[UNIT_VSPILL + s])
                    continue;
                host_vstore(e, vspill_at(s), VT_FIRST + k, true);
                for (unsigned j = 0; j < e->nlive; j++) {
                    struct val *v = &e->val[e->live[j]];
                    if (v->loc == LOC_VTEMP && v->reg == VT_FIRST + k)
                        def_move(e, v, LOC_VSPILL, s);
                }
                e->vtemp_busy[k] = true;
                return VT_FIRST + k;
            }
        }
    }
    assert(!"out of vector temporaries");
    return VT_FIRST;
}

void vtemp_release(struct emit *e, unsigned t)
{
    if (t != NOREG)
        e->vtemp_busy[t - VT_FIRST] = false;
}

void vtemps_spill(struct emit *e)
{
    for (unsigned j = 0; j < e->nlive; j++) {
        struct val *v = &e->val[e->live[j]];
        if (v->loc != LOC_VTEMP || v->last <= e->i)
            continue;
        unsigned k = v->reg, s = 0;
        while (s < NVSPILL && e->owner[UNIT_VSPILL + s])
            s++;
        assert(s < NVSPILL);
        host_vstore(e, vspill_at(s), k, true);
        for (unsigned m = 0; m < e->nlive; m++) {
            struct val *w = &e->val[e->live[m]];
            if (w->loc == LOC_VTEMP && w->reg == k)
                def_move(e, w, LOC_VSPILL, s);
        }
    }
}

static void vload_val(struct emit *e, ir_ref r, unsigned x)
{
    const struct val *v = &e->val[r];
    assert(val_valid(e, v));
    switch (v->loc) {
    case LOC_VHOME:
        if (!vhome_pinned(v->reg))
            host_vload(e, x, SLOT_X(v->reg), true);
        else if (x != vhome_host(v->reg))
            host_vmove(e, x, vhome_host(v->reg));
        break;
    case LOC_VTEMP:
        if (x != v->reg)
            host_vmove(e, x, v->reg);
        break;
    case LOC_VSPILL:
        host_vload(e, x, vspill_at(v->reg), true);
        break;
    default:
        assert(!"vector value is nowhere");
    }
}

unsigned vuse_reg(struct emit *e, ir_ref r, unsigned *tmp)
{
    const struct val *v = &e->val[r];
    *tmp = NOREG;
    if (v->loc == LOC_VTEMP)
        return v->reg;
    if (v->loc == LOC_VHOME && vhome_pinned(v->reg))
        return vhome_host(v->reg);
    *tmp = vtemp_get(e);
    vload_val(e, r, *tmp);
    return *tmp;
}

void vuse_into(struct emit *e, ir_ref r, unsigned x)
{
    vload_val(e, r, x);
}

static void vhome_overwrite(struct emit *e, unsigned n)
{
    uint32_t old = e->vhome_ver[n];
    for (unsigned k = 0; k < e->nlive; k++) {
        ir_ref r = e->live[k];
        struct val *v = &e->val[r];
        if (v->loc != LOC_VHOME || v->reg != n || v->ver != old || v->last <= e->i)
            continue;
        unsigned t = vtemp_get(e);
        vload_val(e, r, t);
        vtemp_release(e, t);
        def_at(e, r, LOC_VTEMP, t, 0);
    }
    e->vhome_ver[n] = old + 1;
}

unsigned vdef_reg(struct emit *e, unsigned i, unsigned *home)
{
    unsigned p = e->use[i].put, n;
    bool ok = p && p - i <= 16 && e->b->ins[p].op == IR_PUTV && slot_is_xmm(e->b->ins[p].imm, &n) &&
              vhome_pinned(n);
    for (unsigned j = i + 1; ok && j < p; j++) {
        const struct ir_ins *q = &e->b->ins[j];
        unsigned h;
        if ((ir_attrs[q->op] & (IRA_X | IRA_E)) || q->op == IR_EXIT_IF)
            ok = false;
        if ((q->op == IR_GETV || q->op == IR_PUTV) && slot_is_xmm(q->imm, &h) && h == n)
            ok = false;
    }
    if (ok) {
        vhome_overwrite(e, n);
        *home = n;
        return vhome_host(n);
    }
    *home = 0xff;
    return vtemp_get(e);
}

void vdef_done(struct emit *e, unsigned i, unsigned reg, unsigned home)
{
    if (home != 0xff) {
        def_at(e, i, LOC_VHOME, home, 0);
        return;
    }
    vtemp_release(e, reg);
    def_at(e, i, LOC_VTEMP, reg, 0);
}

void alloc_putv(struct emit *e, const struct ir_ins *p)
{
    unsigned n, tmp;
    struct val *v = &e->val[p->a];
    if (!slot_is_xmm(p->imm, &n)) {
        unsigned s = vuse_reg(e, p->a, &tmp);
        host_vstore(e, (uint32_t)p->imm, s, false);
        vtemp_release(e, tmp);
        return;
    }
    if (v->loc == LOC_VHOME && v->reg == n && v->ver == e->vhome_ver[n])
        return;
    if (vhome_pinned(n)) {
        vhome_overwrite(e, n);
        vload_val(e, p->a, vhome_host(n));
        if (v->loc == LOC_VTEMP || v->loc == LOC_VSPILL)
            def_at(e, p->a, LOC_VHOME, n, 0);
    } else {
        vhome_overwrite(e, n);                  /* first: it may spill what it finds in a temporary */
        unsigned s = vuse_reg(e, p->a, &tmp);
        host_vstore(e, SLOT_X(n), s, true);
        vtemp_release(e, tmp);
    }
}

void vhomes_overwrite_all(struct emit *e)
{
    for (unsigned n = 0; n < 16; n++)
        vhome_overwrite(e, n);
}

