/*
 * recipe.c - flags nobody reads, but a fault might show (translator/recipe.h).
 *
 * For a flags value that is only seen by fault points no code is made.  Instead
 * the emitter follows its operation's result and operands ("parts") for as long
 * as such points come (fl_seen), though the program may have no more use for
 * them.  Mostly they just stay where they are: the result in its home, an operand
 * in another.  When the register a part is in is about to be overwritten, the part
 * is given up if the rest suffices, else stored to a spill slot; that store is
 * all that exact flags cost within a block.
 *
 * Invariant: for every wait in e->wait the parts in `have` are where `at` says, and
 * they suffice.  Between the operation's first host instruction and its last the
 * result counts as there: if an operand is overwritten then, it is by the result.
 *
 * Which values can wait so is decided beforehand (can_wait): not those that keep
 * flags of the block's entry, or of something else than a single operation.  They
 * are needed as strongly as if they were read.
 *
 * Where the host has it so (HOST_FLAGS_WAIT), exits at which flags are only live because
 * nobody knows what follows leave a recipe as well, and all registers count as changed.
 */
#include "config.h"

#include <assert.h>

#include BACKEND_EMIT_H
#include "translator/opt.h"

/* ---- beforehand ---- */

/* Of f's flags, those its kind takes from older ones, as far as somebody needs them. */
static unsigned kept(const struct emit *e, ir_ref f, unsigned need)
{
    const struct ir_ins *p = &e->b->ins[f];
    return p->b ? need & ~(p->aux == FK_INC || p->aux == FK_DEC ? fk_writes[p->aux] : 0u) : 0;
}

static bool keeps_carry(const struct ir_ins *f)
{
    return f->op == IR_FLAGS && f->b && (f->aux == FK_INC || f->aux == FK_DEC);
}

/* The flags value f keeps flags of.  INC and DEC only pass the carry on. */
static ir_ref kept_from(const struct emit *e, ir_ref f)
{
    ir_ref o = flags_resolve(e, e->b->ins[f].b);
    while (keeps_carry(&e->b->ins[f]) && keeps_carry(&e->b->ins[o]))
        o = flags_resolve(e, e->b->ins[o].b);
    return o;
}

/* Is operation r made by the instruction for its partner, which came first? */
static bool second_of_pair(const struct emit *e, ir_ref r)
{
    const struct ir_ins *ins = e->b->ins, *p = &ins[r];
    if (p->op != IR_MUL)
        return false;
    while (ins[--r].op == IR_NOP)
        continue;
    return (ins[r].op == IR_MULHU || ins[r].op == IR_MULHS) && ins[r].a == p->a && ins[r].b == p->b;
}

static bool simple(const struct emit *e, ir_ref f)
{
    const struct ir_ins *p = &e->b->ins[f];
    return f && p->op == IR_FLAGS && !second_of_pair(e, p->a);
}

static void plan(struct emit *e, ir_ref f)
{
    const struct ir_ins *p = &e->b->ins[f];
    bool weak = kept(e, f, FLAGS_WEAK(p->imm)), strong = kept(e, f, FLAGS_STRONG(p->imm));
    ir_ref o = p->b ? kept_from(e, f) : IR_NONE;
    e->fl_wait[f] = simple(e, f);
    if ((weak || strong) && e->fl_wait[f]) {
        e->fl_wait[f] = simple(e, o) && e->fl_wait[o] && !e->fl_old[o];
        e->fl_old[f] = e->fl_wait[f] ? (uint16_t)o : 0;
    }
    e->fl_part[f] = p->b && !strong && e->fl_wait[f];
}

static void need(struct emit *e, ir_ref f, unsigned i)
{
    struct ir_use *u = &e->use[flags_resolve(e, f)];
    if (u->flast < i)
        u->flast = (uint16_t)i;
}

/* Instruction i takes flags from f, perhaps only to show them: those f keeps are needed as well. */
static void need_kept(struct emit *e, ir_ref f, unsigned i)
{
    need(e, f, i);
    for (f = flags_resolve(e, f); e->fl_part[f]; f = flags_resolve(e, e->b->ins[f].b)) {
        e->fl_part[f] = false;
        need(e, e->b->ins[f].b, e->b->ins[f].a);
    }
}

/*
 * Flags value f may be shown by a fault of instruction i or, if that is a SEEN, behind
 * the exit after it, or by whatever follows if it is an exit.  put: the entry's flags (0) may have left c->flags.
 */
static void shown(struct emit *e, ir_ref f, unsigned i, bool put)
{
    unsigned seen = i + (e->b->ins[i].op == IR_SEEN);
    if (!e->fl_wait[f] && (f || put)) {
        need(e, f, seen + 1);
        e->fl_mem[f] |= ir_may_fault(&e->b->ins[i]);
    }
    for (; f && e->fl_wait[f]; f = e->fl_old[f])
        if (e->fl_seen[f] < seen)
            e->fl_seen[f] = (uint16_t)seen;
}

bool recipe_exit(const struct ir_ins *p)
{
    return HOST_FLAGS_WAIT && (p->op == IR_EXIT_IND || ((p->op == IR_EXIT || p->op == IR_EXIT_IF) &&
                                                       (p->aux & EXIT_LIVE) && !(p->aux & EXIT_READ)));
}

void recipe_prepare(struct emit *e)
{
    const struct ir_block *b = e->b;
    ir_ref cur = 0;
    bool put = false;
    e->fl_seen[0] = e->fl_old[0] = 0;
    e->fl_wait[0] = e->fl_part[0] = e->fl_mem[0] = false;
    for (unsigned i = 1; i < b->n; i++) {
        const struct ir_ins *p = &b->ins[i];
        if (!(ir_attrs[p->op] & (IRA_F | IRA_X | IRA_E)))
            continue;
        if (p->op == IR_SEEN || ir_may_fault(p) || recipe_exit(p))
            shown(e, cur, i, put);
        e->fl_seen[i] = e->fl_old[i] = 0;
        e->fl_wait[i] = e->fl_part[i] = e->fl_mem[i] = false;
        e->flv[i].loc = LOC_NONE;
        switch (p->op) {
        case IR_GETF:
            e->fl_alias[i] = cur;
            break;
        case IR_PUTF:
            cur = flags_resolve(e, p->a);
            put |= cur != 0;
            break;
        case IR_FLAGS:
            plan(e, i);
            if (flags_kept(e, p))
                need_kept(e, p->b, p->a);
            break;
        case IR_FMERGE:
            if (p->b)
                need_kept(e, p->b, i);
            break;
        case IR_CALL:
            if (helper_info[p->aux].writes & HS_FLAGS)
                cur = i;
            break;
        default:
            break;
        }
    }
}

/* ---- parts ---- */

static void part_free(struct emit *e, struct part *p)
{
    if (p->loc == LOC_SPILL)
        e->owner[UNIT_SPILL + p->reg]--;
    p->loc = LOC_NONE;
}

static void part_set(struct emit *e, struct part *p, enum loc loc, unsigned reg, int64_t imm)
{
    if (loc == LOC_SPILL)
        e->owner[UNIT_SPILL + reg]++;
    part_free(e, p);
    p->loc = (uint8_t)loc;
    p->reg = (uint8_t)reg;
    p->imm = imm;
}

static bool suffices(const struct emit *e, const struct wait *w, unsigned have)
{
    const struct ir_ins *f = &e->b->ins[w->f];
    return recipe_suffices((enum flags_kind)f->aux, (enum ir_op)e->b->ins[f->a].op, have);
}

/* Store what the part is made of (without its offset) to a field of struct cpu. */
static void part_store(struct emit *e, const struct part *p, uint32_t to)
{
    switch (p->loc) {
    case LOC_TEMP:
        host_store(e, to, p->reg);
        break;
    case LOC_HOME:
    case LOC_HIGH:
        if (home_pinned(p->reg))
            host_store(e, to, home_host(p->reg));
        else
            host_copy(e, to, SLOT_R(p->reg));
        break;
    case LOC_SLOT:
        host_copy(e, to, (uint32_t)p->imm);
        break;
    default:
        assert(p->loc == LOC_SPILL);
        host_copy(e, to, CPU_OFF(spill) + 8u * p->reg);
    }
}

/* The host register the part is in, or NOREG. */
static unsigned part_reg(const struct part *p)
{
    if (p->loc == LOC_TEMP)
        return p->reg;
    return (p->loc == LOC_HOME || p->loc == LOC_HIGH) && home_pinned(p->reg) ? home_host(p->reg) : NOREG;
}

/* Part k is where its value is now, if that is a place that can be followed. */
static bool part_sync(struct emit *e, struct wait *w, unsigned k)
{
    const struct val *v = &e->val[w->ref[k]];
    struct part *p = &w->at[k];
    switch (v->loc) {
    case LOC_HOME: case LOC_HIGH:
        if (v->ver != e->home_ver[v->reg])      /* it dies in this instruction, which overwrote it */
            return false;
        __attribute__((fallthrough));
    case LOC_CONST: case LOC_TEMP: case LOC_SPILL:
        if (p->loc == v->loc && p->reg == v->reg && p->imm == v->imm)
            return true;
        p->high = false;
        part_set(e, p, (enum loc)v->loc, v->reg, v->loc == LOC_SPILL ? 0 : v->imm);
        return true;
    default:
        return false;
    }
}

/* Part k's place is about to be overwritten. */
static void lose(struct emit *e, struct wait *w, unsigned k)
{
    struct part *p = &w->at[k];
    unsigned s;
    if (suffices(e, w, w->have & ~RP_BIT(k))) {
        w->have &= ~RP_BIT(k);
        part_free(e, p);
        return;
    }
    enum loc loc = (enum loc)p->loc;
    unsigned reg = p->reg;
    if (part_sync(e, w, k) && (p->loc != loc || p->reg != reg))
        return;                                 /* the value itself has moved away already */
    s = spill_get(e);
    part_store(e, p, CPU_OFF(spill) + 8 * s);
    p->high = p->loc == LOC_HIGH || p->high;
    part_set(e, p, LOC_SPILL, s, p->loc == LOC_SLOT ? 0 : p->imm);
}

void recipe_home_overwrite(struct emit *e, unsigned g, int64_t delta, bool affine, bool may_fault)
{
    for (unsigned n = 0; n < e->nwait; n++) {
        struct wait *w = &e->wait[n];
        for (unsigned k = 0; k < RP_COUNT; k++) {
            struct part *p = &w->at[k];
            if ((p->loc != LOC_HOME && p->loc != LOC_HIGH) || p->reg != g)
                continue;
            if (affine && p->loc == LOC_HOME)
                p->imm -= delta;
            else if (e->fl_seen[w->f] > e->i || may_fault)      /* a fault now still sees the old home */
                lose(e, w, k);
        }
    }
}

void recipe_temp_overwrite(struct emit *e, unsigned t)
{
    for (unsigned n = 0; n < e->nwait; n++)
        for (unsigned k = 0; k < RP_COUNT; k++)
            if (e->wait[n].at[k].loc == LOC_TEMP && e->wait[n].at[k].reg == t)
                lose(e, &e->wait[n], k);
}

void recipe_temp_spilled(struct emit *e, unsigned t, unsigned s)
{
    for (unsigned n = 0; n < e->nwait; n++)
        for (unsigned k = 0; k < RP_COUNT; k++)
            if (e->wait[n].at[k].loc == LOC_TEMP && e->wait[n].at[k].reg == t)
                part_set(e, &e->wait[n].at[k], LOC_SPILL, s, 0);
}

static struct wait *wait_of(struct emit *e, ir_ref f)
{
    for (unsigned n = 0; n < e->nwait; n++)
        if (e->wait[n].f == f)
            return &e->wait[n];
    return NULL;
}

void recipe_begin(struct emit *e, unsigned op)
{
    ir_ref f = e->use[op].flags;
    const struct ir_ins *p = &e->b->ins[op];
    struct wait *w;
    if (!f || !e->fl_wait[f] || e->fl_seen[f] <= op)
        return;
    assert(e->nwait < sizeof e->wait / sizeof e->wait[0]);
    w = &e->wait[e->nwait++];
    *w = (struct wait){ .f = f, .op = op, .ref = { op, p->a, p->b, p->c } };
    if ((p->op == IR_AND || p->op == IR_OR) && p->a == p->b) {  /* TEST x, x: x is the result */
        w->ref[RP_R] = p->a;
        w->ref[RP_A] = w->ref[RP_B] = IR_NONE;
        if (part_sync(e, w, RP_R))
            w->have = RP_BIT(RP_R);
    }
    for (unsigned k = RP_A; k < RP_COUNT; k++)
        if (w->ref[k] && e->b->ins[w->ref[k]].type != TY_FLAGS && part_sync(e, w, k))
            w->have |= RP_BIT(k);
    w->skip = flags_only(e, op) && !flags_wanted(e, op) && suffices(e, w, w->have);
    /* An operation only its flags are wanted of may give no value, if its operands suffice. */
    const unsigned operands = RP_BIT(RP_A) | RP_BIT(RP_B) | RP_BIT(RP_C);
    if (w->ref[RP_R] == op && !(flags_only(e, op) && suffices(e, w, operands)))
        w->have |= RP_BIT(RP_R);
    /* what lies in other fields is rarely needed, and not watched there */
    for (unsigned k = 0; k < RP_COUNT && !suffices(e, w, w->have); k++)
        if (w->ref[k] && e->val[w->ref[k]].loc == LOC_SLOT) {
            part_set(e, &w->at[k], LOC_SLOT, 0, e->val[w->ref[k]].imm);
            w->have |= RP_BIT(k);
            lose(e, w, k);
        }
}

bool recipe_in_temp(const struct emit *e, unsigned t)
{
    for (unsigned n = 0; n < e->nwait; n++)
        for (unsigned k = 0; k < RP_COUNT; k++)
            if (e->wait[n].at[k].loc == LOC_TEMP && e->wait[n].at[k].reg == t)
                return true;
    return false;
}

bool recipe_skips(const struct emit *e)
{
    return e->nwait && e->wait[e->nwait - 1].op == e->i && e->wait[e->nwait - 1].skip;
}

void recipe_step(struct emit *e)
{
    for (unsigned n = 0; n < e->nwait; n++) {
        struct wait *w = &e->wait[n];
        if (e->fl_seen[w->f] <= e->i) {
            for (unsigned k = 0; k < RP_COUNT; k++)
                part_free(e, &w->at[k]);
            *w = e->wait[--e->nwait];
            n--;
            continue;
        }
        for (unsigned k = 0; k < RP_COUNT; k++)
            if (w->have & RP_BIT(k) && e->val[w->ref[k]].loc != LOC_NONE)
                part_sync(e, w, k);
        if (w->ref[RP_R] == e->i && w->have & RP_BIT(RP_R) && w->at[RP_R].loc == LOC_NONE)
            w->have &= ~RP_BIT(RP_R);
#ifdef LATIMER_CHECKED
        assert(suffices(e, w, w->have));
#endif
    }
}

/* ---- recipes ---- */

/* Part p as part k of a recipe. */
static void describe(struct recipe *r, unsigned k, const struct part *p)
{
    unsigned high = p->loc == LOC_HIGH || p->high;
    r->imm[k] = p->imm;
    switch (p->loc) {
    case LOC_CONST:
        r->off[k] = RECIPE_CONST;
        break;
    case LOC_HOME:
    case LOC_HIGH:
        r->off[k] = SLOT_R(p->reg) + high;
        break;
    case LOC_TEMP:
        r->off[k] = CPU_OFF(temp) + 8u * (p->reg - T_FIRST);
        break;
    default:
        assert(p->loc == LOC_SPILL);
        r->off[k] = CPU_OFF(spill) + 8u * p->reg + high;
    }
    if (high)
        r->imm[k] = 0;
}

static struct recipe recipe_of(const struct emit *e, ir_ref f)
{
    const struct ir_ins *p = &e->b->ins[f], *o = &e->b->ins[p->a];
    return (struct recipe){ .kind = (uint8_t)p->aux, .op = o->op, .type = o->type };
}

static uint32_t recipe_now(struct emit *e, ir_ref f)
{
    const struct wait *w = wait_of(e, f);
    struct recipe r = recipe_of(e, f);
    assert(w);
    for (unsigned k = 0; k < RP_COUNT; k++)
        if (w->have & RP_BIT(k) && w->at[k].loc != LOC_NONE)
            describe(&r, k, &w->at[k]);
    if (e->fl_old[f])
        r.old = recipe_now(e, e->fl_old[f]);
    return recipe_number(e->out->recipes, &r);
}

/* c->flags holds the architectural flags, all of them. */
static bool in_memory(const struct emit *e)
{
    return e->flv[e->arch].loc == LOC_FLMEM && !e->fl_part[e->arch] && !host_image_lacks(e, e->arch);
}

uint32_t recipe_here(struct emit *e)
{
    if (in_memory(e))
        return 0;
    if (host_copied(e)) {                       /* stencils name no recipes */
        host_pin(e);
        return 0;
    }
    return recipe_now(e, e->arch);
}

/* ---- exits whose target may fault ---- */

/* Must part p be stored, so that it is still there where registers `changed` may have changed? */
static bool volatile_part(const struct part *p, unsigned changed)
{
    return p->loc != LOC_CONST && ((p->loc != LOC_HOME && p->loc != LOC_HIGH) || (changed >> p->reg & 1));
}

/* The parts that suffice with the fewest stores. */
static unsigned cheapest(struct emit *e, const struct wait *w, unsigned changed)
{
    unsigned best = w->have, least = ~0u;
    for (unsigned m = 1; m < 1u << RP_COUNT; m++) {
        unsigned cost = 0;
        if ((m & ~(unsigned)w->have) || !suffices(e, w, m))
            continue;
        for (unsigned k = 0; k < RP_COUNT; k++)
            cost += (m & RP_BIT(k)) && volatile_part(&w->at[k], changed);
        if (cost < least) {
            least = cost;
            best = m;
        }
    }
    return best;
}

/* The recipe of f for code behind an exit; what must be stored for it is added to *l. */
static uint32_t recipe_kept(struct emit *e, ir_ref f, unsigned changed, struct leave *l)
{
    const struct wait *w = wait_of(e, f);
    struct recipe r = recipe_of(e, f);
    unsigned m = cheapest(e, w, changed);
    for (unsigned k = 0; k < RP_COUNT; k++) {
        if (!(m & RP_BIT(k)))
            continue;
        describe(&r, k, &w->at[k]);
        if (volatile_part(&w->at[k], changed)) {
            assert(l->n < KEEP_COUNT);
            r.off[k] = CPU_OFF(keep) + 8 * l->n + (w->at[k].loc == LOC_HIGH || w->at[k].high);
            l->store[l->n++] = w->at[k];
        }
    }
    if (e->fl_old[f])
        r.old = recipe_kept(e, e->fl_old[f], changed, l);
    return recipe_number(e->out->recipes, &r);
}

bool recipe_leave(struct emit *e, unsigned changed, struct leave *l)
{
    *l = (struct leave){ .n = 0 };
    if (in_memory(e))
        return false;
    if (!e->fl_wait[e->arch]) {
        flags_to_mem(e);
        return false;
    }
    l->name = recipe_kept(e, e->arch, changed, l);
    return true;
}

void recipe_emit_leave(struct emit *e, const struct leave *l, bool name)
{
    for (unsigned k = 0; k < l->n; k++) {
        unsigned r = part_reg(&l->store[k]), s = k + 1 < l->n ? part_reg(&l->store[k + 1]) : NOREG;
        if (r == NOREG || s == NOREG)
            part_store(e, &l->store[k], CPU_OFF(keep) + 8 * k);
        else
            host_store_pair(e, CPU_OFF(keep) + 8 * k++, r, s);
    }
    if (name)
        host_store_imm(e, CPU_OFF(flags), RECIPE_NAME(l->name));
}
