/*
 * alloc.c - where each IR value is while a block is emitted (see core.h).
 *
 * Invariant: a value with later uses always has a valid location.  Whatever is
 * about to overwrite a home or slot first calls home_overwrite() or
 * slots_overwrite(), which moves such values away.  Nothing here touches the host's flags.
 */
#include "config.h"

#include <assert.h>

#include BACKEND_EMIT_H

static enum ir_type type_at(const struct emit *e, ir_ref r)
{
    return (enum ir_type)e->b->ins[r].type;
}

void alloc_prepare(struct emit *e)
{
    memset(e->home_ver, 0, sizeof e->home_ver);
    memset(e->vhome_ver, 0, sizeof e->vhome_ver);
    memset(e->owner, 0, sizeof e->owner);
    memset(e->temp_busy, 0, sizeof e->temp_busy);
    memset(e->vtemp_busy, 0, sizeof e->vtemp_busy);
    e->use = e->b->use;
    e->val[0] = (struct val){ .loc = LOC_NONE };
    e->ahead = 0;
    e->slot_epoch = 0;
    e->nlive = 0;
    e->stale_reg = NOREG;
}

/* An operand that dies in the current instruction may be read until the code that overwrites it. */
bool val_valid(const struct emit *e, const struct val *v)
{
    if (v->last == e->i)
        return v->loc != LOC_NONE;
    switch (v->loc) {
    case LOC_HOME:
    case LOC_HIGH:
        return v->ver == e->home_ver[v->reg];
    case LOC_VHOME:
        return v->ver == e->vhome_ver[v->reg];
    case LOC_SLOT:
        return v->ver == e->slot_epoch;
    default:
        return v->loc != LOC_NONE;
    }
}

static void live_add(struct emit *e, ir_ref r)
{
    if (e->val[r].listed)
        return;
    assert(e->nlive < sizeof e->live / sizeof e->live[0]);
    e->val[r].listed = true;
    e->live[e->nlive++] = r;
}

/* Drop the dead from the list, now and then: it is walked whenever a home is overwritten. */
static void live_compact(struct emit *e)
{
    unsigned n = 0;
    for (unsigned k = 0; k < e->nlive; k++) {
        struct val *v = &e->val[e->live[k]];
        if (v->loc != LOC_NONE)
            e->live[n++] = e->live[k];
        else
            v->listed = false;
    }
    e->nlive = n;
}

/* Unit of a location: the first of its kind, plus the register where it has several. */
static const struct { uint8_t first, mask; } unit_of[] = {
    [LOC_HOME] = { UNIT_HOME, 15 }, [LOC_HIGH] = { UNIT_HOME, 15 },
    [LOC_TEMP] = { UNIT_TEMP - T_FIRST, 15 }, [LOC_VTEMP] = { UNIT_VTEMP - VT_FIRST, 15 },
    [LOC_SPILL] = { UNIT_SPILL, 255 }, [LOC_VSPILL] = { UNIT_VSPILL, 255 },
    [LOC_FLSPILL] = { UNIT_SPILL, 255 }, [LOC_CC] = { UNIT_CC, 0 },
};

static inline void loc_set(struct emit *e, struct val *v, enum loc loc, unsigned reg)
{
    e->owner[v->unit]--;
    v->loc = (uint8_t)loc;
    v->reg = (uint8_t)reg;
    v->unit = (uint8_t)(unit_of[loc].first + (reg & unit_of[loc].mask));
    e->owner[v->unit]++;
}

/* Give up whatever the value holds. */
static inline void loc_free(struct emit *e, struct val *v)
{
    e->owner[v->unit]--;
    v->loc = LOC_NONE;
    v->unit = 0;
}

void def_move(struct emit *e, struct val *v, enum loc loc, unsigned reg)
{
    loc_set(e, v, loc, reg);
}

void def_at(struct emit *e, unsigned i, enum loc loc, unsigned reg, int64_t imm)
{
    struct val *v = &e->val[i];
    loc_set(e, v, loc, reg);
    v->imm = imm;
    if (loc == LOC_CONST || loc == LOC_HOLE)    /* nothing can overwrite it */
        return;
    v->ver = loc == LOC_HOME || loc == LOC_HIGH ? e->home_ver[reg] : loc == LOC_VHOME ? e->vhome_ver[reg] :
             e->slot_epoch;
    live_add(e, i);
}

unsigned spill_get(struct emit *e)
{
    for (unsigned s = 0; s < NSPILL; s++)
        if (!e->owner[UNIT_SPILL + s])
            return s;
    assert(!"out of spill slots");
    return 0;
}

/* ---- temporaries ---- */

/* What is in temporary t goes to memory. */
static void spill(struct emit *e, unsigned t)
{
    unsigned s = spill_get(e);
    host_store(e, CPU_OFF(spill) + 8 * s, t);
    recipe_temp_spilled(e, t, s);
    flags_temp_spilled(e, t, s);
    for (unsigned j = 0; j < e->nlive; j++) {
        struct val *v = &e->val[e->live[j]];
        if (v->loc == LOC_TEMP && v->reg == t)
            loc_set(e, v, LOC_SPILL, s);
    }
}

unsigned temp_free(struct emit *e)
{
    for (unsigned k = 0; k < T_COUNT; k++)
        if (!e->owner[UNIT_TEMP + k] && !e->temp_busy[k] && !recipe_in_temp(e, T_FIRST + k)) {
            e->temp_busy[k] = true;
            return T_FIRST + k;
        }
    return NOREG;
}

unsigned temp_get(struct emit *e)
{
    unsigned t = temp_free(e);
    if (t != NOREG)
        return t;
    for (unsigned k = 0; k < T_COUNT; k++)
        if (!e->owner[UNIT_TEMP + k] && !e->temp_busy[k]) {
            recipe_temp_overwrite(e, T_FIRST + k);
            e->temp_busy[k] = true;
            return T_FIRST + k;
        }
    /* Spill the idle one whose next... last use is farthest away. */
    unsigned best = T_COUNT;
    uint32_t far = 0;
    for (unsigned k = 0; k < T_COUNT; k++) {
        if (e->temp_busy[k])
            continue;
        uint32_t last = 0;
        bool now = false;
        const struct ir_ins *p = &e->b->ins[e->i];
        for (unsigned j = 0; j < e->nlive; j++) {
            const struct val *v = &e->val[e->live[j]];
            if (v->loc != LOC_TEMP || v->reg != T_FIRST + k)
                continue;
            if (v->last > last)
                last = v->last;
            if (e->live[j] == p->a || e->live[j] == p->b || e->live[j] == p->c)
                now = true;
        }
        if (best == T_COUNT || (last > far && !now)) {
            best = k;
            far = now ? 0 : last;
        }
    }
    assert(best < T_COUNT);
    spill(e, T_FIRST + best);
    e->temp_busy[best] = true;
    return T_FIRST + best;
}

void temps_spill(struct emit *e)
{
    for (unsigned t = T_FIRST; t < T_FIRST + T_COUNT; t++) {
        bool needed = recipe_in_temp(e, t) || flags_hold_temp(e, t);
        for (unsigned j = 0; j < e->nlive && !needed; j++) {
            const struct val *v = &e->val[e->live[j]];
            needed = v->loc == LOC_TEMP && v->reg == t && v->last > e->i;
        }
        if (needed)
            spill(e, t);
    }
    e->stale_reg = NOREG;
}

unsigned temp_take(struct emit *e, unsigned t)
{
    e->temp_busy[t - T_FIRST] = true;
    return t;
}

void temp_release(struct emit *e, unsigned t)
{
    if (t != NOREG)
        e->temp_busy[t - T_FIRST] = false;
}

/* ---- reading values ---- */

bool dies(struct emit *e, ir_ref r)
{
    return e->val[r].last <= e->i;
}

bool in_home(struct emit *e, ir_ref r, unsigned g)
{
    const struct val *v = &e->val[r];
    return v->loc == LOC_HOME && v->reg == g && v->imm == 0 && v->ver == e->home_ver[g];
}

unsigned use_where(struct emit *e, ir_ref r)
{
    const struct val *v = &e->val[r];
    if (v->loc == LOC_TEMP)
        return v->reg;
    if (v->loc == LOC_HOME && v->imm == 0 && home_pinned(v->reg))
        return home_host(v->reg);
    return NOREG;
}

unsigned use_reg(struct emit *e, ir_ref r, unsigned *tmp)
{
    assert(val_valid(e, &e->val[r]));
    unsigned h = use_where(e, r);
    *tmp = NOREG;
    if (h != NOREG)
        return h;
    unsigned t = temp_get(e);
    host_load(e, r, t);
    *tmp = t;
    return t;
}

unsigned use_copy(struct emit *e, ir_ref r)
{
    unsigned t = temp_get(e);
    host_load(e, r, t);
    return t;
}

void use_into(struct emit *e, ir_ref r, unsigned reg)
{
    if (reg == e->stale_reg && r == e->stale_val) {
        e->stale_reg = NOREG;
        return;
    }
    host_load(e, r, reg);
}

bool use_is_const(struct emit *e, ir_ref r, int64_t *c)
{
    if (e->val[r].loc != LOC_CONST)
        return false;
    int64_t v = e->val[r].imm;
    switch (type_at(e, r)) {
    case TY_I8:
        v = (int8_t)v;
        break;
    case TY_I16:
        v = (int16_t)v;
        break;
    case TY_I32:
        v = (int32_t)v;
        break;
    default:
        break;
    }
    *c = v;
    return true;
}

/* ---- overwriting homes ---- */

static void move_to_temp(struct emit *e, ir_ref r)
{
    unsigned t = temp_get(e);
    enum ir_type ty = type_at(e, r);
    struct val *v = &e->val[r];
    /* memory and second bytes are loaded zero-extended, registers copied as they are */
    bool zx = ty == TY_I32 || (ty != TY_I64 && (v->loc != LOC_HOME || !home_pinned(v->reg)));
    host_load(e, r, t);
    v->zx = zx;
    def_at(e, r, LOC_TEMP, t, 0);
    temp_release(e, t);
}

/* Is there a value in home g beside operands that die now? */
static bool outlives(const struct emit *e, unsigned g)
{
    const struct ir_ins *p = &e->b->ins[e->i];
    const ir_ref ops[3] = { p->a, p->b, p->c };
    unsigned n = e->owner[UNIT_HOME + g];
    for (unsigned k = 0; n && k < 3; k++) {
        const struct val *v = &e->val[ops[k]];
        if ((v->loc == LOC_HOME || v->loc == LOC_HIGH) && v->reg == g && v->last <= e->i) {
            if ((k > 0 && ops[k] == ops[0]) || (k > 1 && ops[k] == ops[1]))
                continue;
            n--;
        }
    }
    return n;
}

void home_overwrite(struct emit *e, unsigned g, ir_ref except, int64_t delta, bool affine)
{
    uint32_t old = e->home_ver[g];
    if (!outlives(e, g)) {
        if (e->nwait)
            recipe_home_overwrite(e, g, delta, affine, false);
        e->home_ver[g]++;
        return;
    }
    for (unsigned k = 0; k < e->nlive; k++) {
        ir_ref r = e->live[k];
        struct val *v = &e->val[r];
        if ((v->loc != LOC_HOME && v->loc != LOC_HIGH) || v->reg != g || v->ver != old)
            continue;
        if (v->last <= e->i || r == except)
            continue;
        int64_t off = v->imm - delta;
        if (affine && v->loc == LOC_HOME && type_at(e, r) == TY_I64 && off == (int32_t)off) {
            v->imm = off;
            v->ver = old + 1;
            continue;
        }
        if (v->loc == LOC_HOME && v->imm == 0 && home_pinned(g)) {
            e->stale_reg = (uint8_t)home_host(g);
            e->stale_val = r;
        }
        move_to_temp(e, r);
    }
    if (e->nwait)
        recipe_home_overwrite(e, g, delta, affine, false);
    e->home_ver[g] = old + 1;
}

void slots_overwrite(struct emit *e)
{
    for (unsigned k = 0; k < e->nlive; k++) {
        ir_ref r = e->live[k];
        struct val *v = &e->val[r];
        if (v->loc == LOC_SLOT && v->ver == e->slot_epoch && v->last > e->i)
            move_to_temp(e, r);
    }
    e->slot_epoch++;
}

/* ---- defining values ---- */

/*
 * May instruction i compute straight into the home it will be PUT to?  Between
 * the two, nothing may observe the home: no fault, no exit, no call, no other
 * access to that slot.
 */
static bool in_place(struct emit *e, unsigned i, unsigned *g)
{
    unsigned p = e->use[i].put;
    if (!p || p - i > 16)
        return false;
    const struct ir_ins *put = &e->b->ins[p];
    if (put->op != IR_PUT || put->aux || put->type != e->b->ins[i].type ||
        !slot_is_gpr(put->imm, g) || !home_pinned(*g))
        return false;
    /* The rest of a home that is written in part must stay: only operations that work on the very
     * register at the very width will do. */
    if (put->type < TY_I32 && (!HOST_NARROW_IN_PLACE || e->b->ins[i].op < IR_ADD || e->b->ins[i].op > IR_SHRD ||
                               !in_home(e, e->b->ins[i].a, *g)))
        return false;
    for (unsigned j = i + 1; j < p; j++) {
        const struct ir_ins *q = &e->b->ins[j];
        unsigned attrs = ir_attrs[q->op], h;
        if (attrs & (IRA_X | IRA_E))
            return false;
        if (q->op == IR_EXIT_IF || q->op == IR_X87)
            return false;
        if ((attrs & (IRA_G | IRA_P)) && slot_is_gpr(q->imm, &h) && h == *g &&
            q->op != IR_GETF && q->op != IR_PUTF && q->op != IR_PC)
            return false;
    }
    return true;
}

unsigned def_reg(struct emit *e, unsigned i, unsigned *home)
{
    unsigned g;
    e->stale_reg = NOREG;
    if (in_place(e, i, &g)) {
        home_overwrite(e, g, IR_NONE, 0, false);
        *home = g;
        return home_host(g);
    }
    *home = 0xff;
    return temp_get(e);
}

void def_done(struct emit *e, unsigned i, unsigned reg, unsigned home, bool zx)
{
    e->stale_reg = NOREG;
    e->val[i].zx = zx;
    if (home != 0xff) {
        def_at(e, i, LOC_HOME, home, 0);
        return;
    }
    temp_release(e, reg);
    def_at(e, i, LOC_TEMP, reg, 0);
}

/* ---- GET and PUT ---- */

void alloc_get(struct emit *e, const struct ir_ins *p)
{
    unsigned g, i = e->i;
    if (p->op == IR_GETV) {
        if (slot_is_xmm(p->imm, &g)) {
            def_at(e, i, LOC_VHOME, g, 0);
        } else {
            unsigned t = vtemp_get(e);
            host_vload(e, t, (uint32_t)p->imm, false);
            vtemp_release(e, t);
            def_at(e, i, LOC_VTEMP, t, 0);
        }
        return;
    }
    e->val[i].zx = false;
    if (slot_is_gpr(p->imm, &g))
        def_at(e, i, p->aux ? LOC_HIGH : LOC_HOME, g, 0);
    else
        def_at(e, i, LOC_SLOT, 0, p->imm);
}

/* A field that is no home will be overwritten: values read from it and still needed move away first. */
void alloc_slot_overwrite(struct emit *e, int64_t off, enum ir_type t)
{
    for (unsigned k = 0; k < e->nlive; k++) {
        ir_ref r = e->live[k];
        struct val *v = &e->val[r];
        if (v->loc == LOC_SLOT && v->ver == e->slot_epoch && v->last > e->i &&
            v->imm < off + type_bytes(t) && off < v->imm + type_bytes(type_at(e, r)))
            move_to_temp(e, r);
    }
}

/* ---- beginning and end of an instruction ---- */

void alloc_ahead(struct emit *e, unsigned i)
{
    e->ahead = i;
    alloc_val(e, i);
}

void alloc_dead(struct emit *e, const struct ir_ins *p, unsigned dies)
{
    if (dies & 1)
        loc_free(e, &e->val[p->a]);
    if (dies & 2)
        loc_free(e, &e->val[p->b]);
    if (dies & 4)
        loc_free(e, &e->val[p->c]);
    if (dies & 8)
        loc_free(e, &e->val[e->i]);
    if (e->nlive > 24)
        live_compact(e);
}
