/*
 * home.c - values into registers, and into the guest's registers: the x86-64
 * instructions behind backend-common/alloc.c.  Nothing here touches EFLAGS.
 */
#include <assert.h>

#include "backend-x86_64/emit.h"

static enum ir_type type_at(const struct emit *e, ir_ref r)
{
    return (enum ir_type)e->b->ins[r].type;
}

static struct hm spill_at(unsigned s)
{
    return hm_cpu(CPU_OFF(spill) + 8 * s);
}

void host_store(struct emit *e, uint32_t off, unsigned reg)
{
    as_store64(&e->a, hm_cpu(off), reg);
}

void host_store_pair(struct emit *e, uint32_t off, unsigned r, unsigned s)
{
    host_store(e, off, r);
    host_store(e, off + 8, s);
}

void host_begin(struct emit *e, bool copied)
{
    e->a.notes = copied ? &e->h.notes : NULL;
    e->h.notes.n = 0;
}

void host_copy(struct emit *e, uint32_t to, uint32_t from)
{
    as_rm(&e->a, 0xff, false, 6, hm_cpu(from));         /* push */
    as_rm(&e->a, 0x8f, false, 0, hm_cpu(to));           /* pop */
}

void host_store_imm(struct emit *e, uint32_t off, int32_t v)
{
    as_mov_mi32(&e->a, true, hm_cpu(off), v);
}

void host_vmove(struct emit *e, unsigned d, unsigned s)
{
    as_rr(&e->a, 0x0f28, false, d, s);
}

void host_vload(struct emit *e, unsigned d, uint32_t off, bool aligned)
{
    as_rm(&e->a, aligned ? 0x0f28 : 0x0f10, false, d, hm_cpu(off));
}

void host_vstore(struct emit *e, uint32_t off, unsigned s, bool aligned)
{
    as_rm(&e->a, aligned ? 0x0f29 : 0x0f11, false, s, hm_cpu(off));
}

/* Load memory of the type's width, zero-extended. */
static void load_typed(struct emit *e, enum ir_type t, unsigned d, struct hm m)
{
    switch (t) {
    case TY_I8:
        as_rm(&e->a, 0x0fb6, false, d, m);
        break;
    case TY_I16:
        as_rm(&e->a, 0x0fb7, false, d, m);
        break;
    case TY_I32:
        as_rm(&e->a, 0x8b, false, d, m);
        break;
    default:
        as_rm(&e->a, 0x8b, true, d, m);
    }
}

/*
 * AH..BH cannot be named together with r13-r15 (a REX prefix turns them into
 * SPL..DIL), so the byte is brought to the bottom and back by XCHG, which leaves
 * EFLAGS alone.
 */
static void high_swap(struct emit *e, unsigned g)
{
    as_b(&e->a, 0x86);          /* xchg gl, gh */
    as_b(&e->a, 0xc0 | (g + 4) << 3 | g);
}

void host_load(struct emit *e, ir_ref r, unsigned d)
{
    struct val *v = &e->val[r];
    enum ir_type t = type_at(e, r);
    assert(val_valid(e, v));
    switch (v->loc) {
    case LOC_CONST: {
        uint64_t c = (uint64_t)v->imm;
        unsigned bits = type_bits(t);
        as_mov_ri(&e->a, d, bits == 64 ? c : c & (((uint64_t)1 << bits) - 1));
        break;
    }
    case LOC_HOLE:
        if (t == TY_I64) {
            as_op(&e->a, 0xc7, true, 0, NOREG, d, false);
            as_b(&e->a, 0xc0 | (d & 7));
        } else {
            as_op(&e->a, 0xb8 + (d & 7), false, 0, NOREG, d, false);
        }
        as_d_hole(&e->a, 0, v->reg);
        break;
    case LOC_HOME:
        if (home_pinned(v->reg)) {
            unsigned h = home_host(v->reg);
            if (v->imm)
                as_lea(&e->a, t == TY_I64, d, hm_at(h, (int32_t)v->imm));
            else if (d != h)
                as_mov_rr(&e->a, t == TY_I64, d, h);
        } else {
            load_typed(e, t, d, hm_cpu(SLOT_R(v->reg)));
            if (v->imm)
                as_lea(&e->a, t == TY_I64, d, hm_at(d, (int32_t)v->imm));
        }
        break;
    case LOC_HIGH:
        if (home_pinned(v->reg) && host_has(e->be, HF_BMI2)) {
            as_rorx(&e->a, false, d, v->reg, 8);
            as_rr8(&e->a, 0x0fb6, d, d);
        } else if (home_pinned(v->reg)) {
            high_swap(e, v->reg);
            as_rr8(&e->a, 0x0fb6, d, v->reg);
            high_swap(e, v->reg);
        } else {
            as_rm(&e->a, 0x0fb6, false, d, hm_cpu(SLOT_R(v->reg) + 1));
        }
        break;
    case LOC_SLOT:
        load_typed(e, t, d, hm_cpu((uint32_t)v->imm));
        break;
    case LOC_TEMP:
        if (d != v->reg)
            as_mov_rr(&e->a, t == TY_I64, d, v->reg);
        break;
    case LOC_SPILL:             /* what was spilled may be the wider value this one was cut from */
        as_rm(&e->a, 0x8b, t == TY_I64, d, spill_at(v->reg));
        break;
    case LOC_CC: {
        unsigned cc = flags_test(e, (ir_ref)v->imm, v->reg);
        as_op(&e->a, 0x0f90 | cc, false, 0, NOREG, d, d >= 4);
        as_b(&e->a, 0xc0 | (d & 7));
        break;
    }
    default:
        assert(!"value is nowhere");
    }
}

bool use_is_mem(struct emit *e, ir_ref r, struct hm *m)
{
    const struct val *v = &e->val[r];
    if (v->loc == LOC_HOME && v->imm == 0 && !home_pinned(v->reg))
        *m = hm_cpu(SLOT_R(v->reg));
    else if (v->loc == LOC_HIGH && !home_pinned(v->reg))
        *m = hm_cpu(SLOT_R(v->reg) + 1);
    else if (v->loc == LOC_SLOT)
        *m = hm_cpu((uint32_t)v->imm);
    else if (v->loc == LOC_SPILL)
        *m = spill_at(v->reg);
    else
        return false;
    return true;
}

/* Store value r of type t to memory (a slot). */
static void store_val(struct emit *e, ir_ref r, enum ir_type t, struct hm m)
{
    int64_t c;
    if (use_is_const(e, r, &c) && (t != TY_I64 || c == (int32_t)c)) {
        if (t == TY_I8) {
            as_rm(&e->a, 0xc6, false, 0, m);
            as_b(&e->a, (unsigned)c);
        } else if (t == TY_I16) {
            as_rm(&e->a, OP66(0xc7), false, 0, m);
            as_b(&e->a, (unsigned)c);
            as_b(&e->a, (unsigned)(c >> 8));
        } else {
            as_mov_mi32(&e->a, t == TY_I64, m, (int32_t)c);
        }
        return;
    }
    unsigned tmp, s = use_reg(e, r, &tmp);
    switch (t) {
    case TY_I8:
        as_rm8(&e->a, 0x88, s, m);
        break;
    case TY_I16:
        as_rm(&e->a, OP66(0x89), false, s, m);
        break;
    case TY_I32:
        as_rm(&e->a, 0x89, false, s, m);
        break;
    default:
        as_store64(&e->a, m, s);
    }
    temp_release(e, tmp);
}

static void put_pinned(struct emit *e, const struct ir_ins *p, unsigned g)
{
    ir_ref r = p->a;
    struct val *v = &e->val[r];
    enum ir_type t = (enum ir_type)p->type;
    unsigned h = home_host(g);
    assert(val_valid(e, v));
    if (p->aux) {                               /* second byte */
        unsigned tmp, s;
        if (v->loc == LOC_HIGH && v->reg == g)
            return;
        s = use_reg(e, r, &tmp);
        home_overwrite(e, g, IR_NONE, 0, false);
        if (s == h) {                           /* mov ah, al */
            as_b(&e->a, 0x88);
            as_b(&e->a, 0xc0 | g << 3 | (g + 4));
        } else if (s < 4) {
            as_b(&e->a, 0x88);
            as_b(&e->a, 0xc0 | s << 3 | (g + 4));
        } else {
            high_swap(e, g);
            as_rr8(&e->a, 0x8a, g, s);
            high_swap(e, g);
        }
        temp_release(e, tmp);
        return;
    }
    if (in_home(e, r, g)) {
        if (t == TY_I32 && !v->zx) {
            home_overwrite(e, g, IR_NONE, 0, false);
            as_mov_rr(&e->a, false, h, h);
            def_at(e, r, LOC_HOME, g, 0);
            e->val[r].zx = true;
        }
        return;                                 /* computed in place */
    }
    if (t == TY_I64 && v->loc == LOC_HOME && v->reg == g) {
        int64_t d = v->imm;                     /* home += d: others there stay, at an offset */
        home_overwrite(e, g, r, d, true);
        as_lea(&e->a, true, h, hm_at(h, (int32_t)d));
        def_at(e, r, LOC_HOME, g, 0);
        return;
    }
    home_overwrite(e, g, IR_NONE, 0, false);
    v = &e->val[r];
    e->stale_reg = NOREG;
    if (t == TY_I64 || t == TY_I32) {
        host_load(e, r, h);
        if (t == TY_I32 && v->loc == LOC_CONST)
            e->val[r].zx = true;
    } else {
        unsigned tmp, s = use_reg(e, r, &tmp);
        if (t == TY_I8)
            as_rr8(&e->a, 0x8a, h, s);
        else
            as_rr(&e->a, OP66(0x8b), false, h, s);
        temp_release(e, tmp);
    }
    if (v->loc == LOC_TEMP || v->loc == LOC_SPILL) {
        def_at(e, r, LOC_HOME, g, 0);
        e->val[r].zx = t == TY_I32;
    }
}

void alloc_put(struct emit *e, const struct ir_ins *p)
{
    unsigned g;
    enum ir_type t = (enum ir_type)p->type;
    e->stale_reg = NOREG;
    if (slot_is_gpr(p->imm, &g) && home_pinned(g)) {
        put_pinned(e, p, g);
        return;
    }
    if (slot_is_gpr(p->imm, &g)) {
        struct hm m = hm_cpu(SLOT_R(g) + (p->aux ? 1 : 0));
        if (e->val[p->a].loc == LOC_HOME && e->val[p->a].reg == g && t == TY_I64) {
            int64_t d = e->val[p->a].imm;
            if (d) {
                unsigned s = use_copy(e, p->a);
                home_overwrite(e, g, p->a, d, true);
                as_store64(&e->a, m, s);
                temp_release(e, s);
                def_at(e, p->a, LOC_HOME, g, 0);
            }
            return;
        }
        int64_t c;
        if (t == TY_I32 && !use_is_const(e, p->a, &c)) {
            /* the whole register is written, so that later 64-bit reads forward from one store */
            unsigned tmp, s = use_reg(e, p->a, &tmp);
            if (!(e->val[p->a].zx && e->val[p->a].loc == LOC_TEMP)) {
                unsigned d = tmp != NOREG ? tmp : temp_get(e);
                as_mov_rr(&e->a, false, d, s);
                s = tmp = d;
            }
            home_overwrite(e, g, IR_NONE, 0, false);
            as_store64(&e->a, m, s);
            temp_release(e, tmp);
            return;
        }
        if (t == TY_I32) {
            (void)use_is_const(e, p->a, &c);
            home_overwrite(e, g, IR_NONE, 0, false);
            if (c >= 0) {
                as_mov_mi32(&e->a, true, m, (int32_t)c);
            } else {
                unsigned s = temp_get(e);
                as_mov_ri(&e->a, s, (uint32_t)c);
                as_store64(&e->a, m, s);
                temp_release(e, s);
            }
            return;
        }
        unsigned tmp = NOREG;
        int64_t k;
        if (!(use_is_const(e, p->a, &k) && (t != TY_I64 || k == (int32_t)k))) {
            unsigned s = use_reg(e, p->a, &tmp);
            home_overwrite(e, g, IR_NONE, 0, false);
            if (t == TY_I8)
                as_rm8(&e->a, 0x88, s, m);
            else if (t == TY_I16)
                as_rm(&e->a, OP66(0x89), false, s, m);
            else
                as_store64(&e->a, m, s);
            temp_release(e, tmp);
        } else {
            home_overwrite(e, g, IR_NONE, 0, false);
            store_val(e, p->a, t, m);
        }
        return;
    }
    alloc_slot_overwrite(e, p->imm, t);
    store_val(e, p->a, t, hm_cpu((uint32_t)p->imm));
}

bool vuse_is_mem(struct emit *e, ir_ref r, struct hm *m)
{
    const struct val *v = &e->val[r];
    if (v->loc == LOC_VHOME && !vhome_pinned(v->reg))
        *m = hm_cpu(SLOT_X(v->reg));
    else if (v->loc == LOC_VSPILL)
        *m = hm_cpu(CPU_OFF(vspill) + 16u * v->reg);
    else
        return false;
    return true;
}
