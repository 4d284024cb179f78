/*
 * flags.c - where the guest's arithmetic flags are while a block is emitted.
 *
 * A flags value is born in the host's flags by the host instruction that computes
 * its operation (flags_set).  It stays there until an instruction that destroys
 * them is about to be emitted (flags_clobber); if it is needed later, it is then
 * saved as an image: to c->flags if it is the architectural value, else to a
 * spill slot.  Nothing is ever saved for a value nobody needs.
 *
 * "Needed" (flast, by opt_needs) counts operands and exits at which flags are live;
 * flags that only a fault would show are recipe.c's.
 */
#include "config.h"

#include <assert.h>

#include BACKEND_EMIT_H

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
    e->fl_entry = !HOST_FLAGS_WAIT;
    e->nwait = 0;
    e->seen = false;
    e->flv[0].loc = LOC_FLMEM;
    host_prepare(e);
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

/* Value f is about to be read from c->flags, where an exit that led here may have left a recipe's name. */
static void entry_image(struct emit *e, ir_ref f)
{
    if (f || e->fl_entry || e->flv[0].loc != LOC_FLMEM)
        return;
    host_flags_resolve(e);
    e->fl_entry = true;
}

static uint32_t fl_slot(struct emit *e, ir_ref f)
{
    return e->flv[f].loc == LOC_FLSPILL ? CPU_OFF(spill) + 8u * e->flv[f].reg : CPU_OFF(flags);
}

static void put_in(struct emit *e, ir_ref f, enum loc loc, unsigned unit, unsigned reg)
{
    e->owner[unit]++;
    e->flv[f].loc = (uint8_t)loc;
    e->flv[f].reg = (uint8_t)reg;
}

/* Give up the slot or the temporary f is in. */
static void give_up(struct emit *e, ir_ref f)
{
    unsigned reg = e->flv[f].reg;
    if (e->flv[f].loc == LOC_FLSPILL)
        e->owner[UNIT_SPILL + reg]--;
    else if (e->flv[f].loc == LOC_FLTEMP)
        e->owner[UNIT_TEMP + reg - T_FIRST]--;
    e->flv[f].loc = LOC_NONE;
}

uint32_t flags_spill(struct emit *e, ir_ref f)
{
    unsigned s = spill_get(e);
    put_in(e, f, LOC_FLSPILL, UNIT_SPILL + s, s);
    e->fl_spilled[e->nfl_spilled++] = f;
    return fl_slot(e, f);
}

void flags_in_temp(struct emit *e, ir_ref f, unsigned t)
{
    put_in(e, f, LOC_FLTEMP, UNIT_TEMP + t - T_FIRST, t);
    e->fl_spilled[e->nfl_spilled++] = f;
}

bool flags_hold_temp(const struct emit *e, unsigned t)
{
    for (unsigned k = 0; k < e->nfl_spilled; k++)
        if (e->flv[e->fl_spilled[k]].loc == LOC_FLTEMP && e->flv[e->fl_spilled[k]].reg == t)
            return true;
    return false;
}

void flags_temp_spilled(struct emit *e, unsigned t, unsigned s)
{
    for (unsigned k = 0; k < e->nfl_spilled; k++) {
        ir_ref f = e->fl_spilled[k];
        if (e->flv[f].loc != LOC_FLTEMP || e->flv[f].reg != t)
            continue;
        give_up(e, f);
        put_in(e, f, LOC_FLSPILL, UNIT_SPILL + s, s);
    }
}

void flags_free(struct emit *e)
{
    for (unsigned k = 0; k < e->nfl_spilled; k++) {
        ir_ref f = e->fl_spilled[k];
        bool here = e->flv[f].loc == LOC_FLSPILL || e->flv[f].loc == LOC_FLTEMP;
        if (here && e->use[f].flast > e->i)
            continue;
        if (here)
            give_up(e, f);
        e->fl_spilled[k--] = e->fl_spilled[--e->nfl_spilled];
    }
}

/* c->flags is about to be overwritten: keep what it holds if that is still needed. */
static void flmem_evict(struct emit *e, ir_ref except)
{
    ir_ref m = e->flmem;
    if (m == except || e->flv[m].loc != LOC_FLMEM)
        return;
    if (e->use[m].flast >= e->i)                /* perhaps by the current instruction's condition or carry */
        entry_image(e, m);
    e->flv[m].loc = LOC_NONE;
    if (e->use[m].flast < e->i)
        return;
    host_copy(e, flags_spill(e, m), CPU_OFF(flags));
}

void flags_mem_overwrite(struct emit *e)
{
    ir_ref m = e->flmem;
    if (e->flv[m].loc != LOC_FLMEM)
        return;
    if (e->use[m].flast >= e->i)
        entry_image(e, m);
    e->flv[m].loc = LOC_NONE;
    if (e->use[m].flast >= e->i)                /* perhaps by the current instruction's condition */
        host_copy(e, flags_spill(e, m), CPU_OFF(flags));
}

/* Save the value in the host's flags to memory; they keep it too. */
static void save(struct emit *e)
{
    ir_ref f = e->ef;
    if (e->flv[f].loc != LOC_NONE)
        return;
    if (f == e->arch) {
        flmem_evict(e, f);
        host_flags_store(e, CPU_OFF(flags));
        e->flv[f].loc = LOC_FLMEM;
        e->flmem = f;
        e->fl_name = 0;
    } else {
        host_flags_keep(e, f);
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

uint32_t flags_force(struct emit *e, ir_ref f)
{
    f = flags_resolve(e, f);
    if (e->ef && e->ef == f)
        save(e);
    assert(e->flv[f].loc != LOC_NONE);
    if (e->flv[f].loc == LOC_FLTEMP) {
        unsigned t = e->flv[f].reg, s = spill_get(e);
        host_store(e, CPU_OFF(spill) + 8 * s, t);
        give_up(e, f);
        put_in(e, f, LOC_FLSPILL, UNIT_SPILL + s, s);
    }
    entry_image(e, f);
    return fl_slot(e, f);
}

void flags_save(struct emit *e, ir_ref f)
{
    (void)flags_force(e, f);
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
    flmem_evict(e, f);
    if (e->flv[f].loc == LOC_FLTEMP) {
        host_store(e, CPU_OFF(flags), e->flv[f].reg);
    } else {
        assert(e->flv[f].loc == LOC_FLSPILL);
        host_copy(e, CPU_OFF(flags), fl_slot(e, f));
    }
    give_up(e, f);
    e->flv[f].loc = LOC_FLMEM;
    e->flmem = f;
    e->fl_name = 0;
}
