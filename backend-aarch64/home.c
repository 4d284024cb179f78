/*
 * home.c - values into registers, and into the guest's registers: the AArch64
 * instructions behind backend-common/alloc.c.  Nothing here touches NZCV.
 */
#include <assert.h>

#include "backend-aarch64/emit.h"
#include "translator/alu.h"

static enum ir_type type_at(const struct emit *e, ir_ref r)
{
    return (enum ir_type)e->b->ins[r].type;
}

static unsigned log_of(enum ir_type t)
{
    return t - TY_I8;
}

bool imm_fits(bool arith, bool w, uint64_t v)
{
    return arith ? as_is_imm12(v) : as_bitmask(w, v) != AS_NO_MASK;
}

void host_begin(struct emit *e, bool copied)
{
    e->h.pf = e->h.af = false;
    e->h.attn = false;
    e->h.asked = 0;
    e->h.uncounted = 0;
    e->h.nfp = 0;
    e->h.image.on = false;
}

void host_field(struct emit *e, bool load, unsigned log, unsigned reg, uint32_t off)
{
    if (!(off & ((1u << log) - 1))) {
        as_ldst(&e->a, load ? OP_LDR : OP_STR, log, reg, H_CPU, off);
        return;
    }
    assert(reg != H_S1);
    as_add_i(&e->a, true, H_S1, H_CPU, off, H_S1);
    as_ldst_u(&e->a, load ? OP_LDR : OP_STR, log, reg, H_S1, 0);
}

void host_store(struct emit *e, uint32_t off, unsigned reg)
{
    host_field(e, false, 3, reg, off);
}

void host_store_pair(struct emit *e, uint32_t off, unsigned r, unsigned s)
{
    as_pair(&e->a, OP_STP, r, s, H_CPU, (int32_t)off);
}

void host_store_imm(struct emit *e, uint32_t off, int32_t v)
{
    if (v)
        as_mov_i(&e->a, H_S0, (uint64_t)(int64_t)v);
    host_store(e, off, v ? H_S0 : H_ZR);
}

void host_copy(struct emit *e, uint32_t to, uint32_t from)
{
    host_field(e, true, 3, H_S0, from);
    host_field(e, false, 3, H_S0, to);
}

void host_vmove(struct emit *e, unsigned d, unsigned s)
{
    as_vmov(&e->a, d, s);
}

void host_vload(struct emit *e, unsigned d, uint32_t off, bool aligned)
{
    if (off & 15) {
        as_add_i(&e->a, true, H_S0, H_CPU, off, H_S1);
        as_vldst(&e->a, false, 4, d, H_S0, 0);
    } else {
        as_vldst(&e->a, false, 4, d, H_CPU, off);
    }
}

void host_vstore(struct emit *e, uint32_t off, unsigned s, bool aligned)
{
    if (off & 15) {
        as_add_i(&e->a, true, H_S0, H_CPU, off, H_S1);
        as_vldst(&e->a, true, 4, s, H_S0, 0);
    } else {
        as_vldst(&e->a, true, 4, s, H_CPU, off);
    }
}

void host_load(struct emit *e, ir_ref r, unsigned d)
{
    const struct val *v = &e->val[r];
    enum ir_type t = type_at(e, r);
    bool w = t == TY_I64;
    assert(val_valid(e, v));
    switch (v->loc) {
    case LOC_CONST:
        as_mov_i(&e->a, d, (uint64_t)v->imm & type_mask(t));
        break;
    case LOC_HOME:
        as_add_i(&e->a, w, d, home_host(v->reg), v->imm, d == home_host(v->reg) ? H_S0 : d);
        break;
    case LOC_HIGH:
        as_ubfx(&e->a, false, d, home_host(v->reg), 8, 8);
        break;
    case LOC_SLOT:
        host_field(e, true, log_of(t), d, (uint32_t)v->imm);
        break;
    case LOC_TEMP:
        if (d != v->reg)
            as_mov(&e->a, w, d, v->reg);
        break;
    case LOC_SPILL:             /* what was spilled may be the wider value this one was cut from */
        host_field(e, true, w ? 3 : 2, d, CPU_OFF(spill) + 8u * v->reg);
        break;
    case LOC_CC:
        as_cset(&e->a, d, flags_test(e, (ir_ref)v->imm, v->reg));
        break;
    default:
        assert(!"value is nowhere");
    }
}

unsigned use_operand(struct emit *e, ir_ref r, unsigned scratch)
{
    unsigned s = use_where(e, r);
    if (s != NOREG)
        return s;
    if (e->val[r].loc == LOC_CONST && !((uint64_t)e->val[r].imm & type_mask(type_at(e, r))))
        return H_ZR;
    host_load(e, r, scratch);
    return scratch;
}

void use_extended(struct emit *e, ir_ref r, bool sign, unsigned d)
{
    enum ir_type t = type_at(e, r);
    const struct val *v = &e->val[r];
    unsigned s = use_where(e, r);
    if (v->loc == LOC_CONST) {
        uint64_t c = (uint64_t)v->imm & type_mask(t);
        as_mov_i(&e->a, d, sign ? (uint64_t)sext(t, c) : c);
        return;
    }
    if (s == NOREG) {
        host_load(e, r, d);
        s = d;
        if (!sign && (v->loc == LOC_HIGH || v->loc == LOC_SLOT))
            return;
    }
    if (t == TY_I64) {
        if (s != d)
            as_mov(&e->a, true, d, s);
    } else if (sign) {
        as_sbfx(&e->a, true, d, s, 0, type_bits(t));
    } else {
        as_ubfx(&e->a, true, d, s, 0, type_bits(t));
    }
}

void alloc_put(struct emit *e, const struct ir_ins *p)
{
    ir_ref r = p->a;
    struct val *v = &e->val[r];
    enum ir_type t = (enum ir_type)p->type;
    unsigned g, h, tmp, s;
    assert(val_valid(e, v));
    e->stale_reg = NOREG;
    if (!slot_is_gpr(p->imm, &g)) {
        alloc_slot_overwrite(e, p->imm, t);
        e->h.attn |= p->imm < (int64_t)(CPU_OFF(attn) + sizeof(((struct cpu *)0)->attn));
        if (v->loc == LOC_CONST && !((uint64_t)v->imm & type_mask(t))) {
            host_field(e, false, log_of(t), H_ZR, (uint32_t)p->imm);
            return;
        }
        s = use_reg(e, r, &tmp);
        host_field(e, false, log_of(t), s, (uint32_t)p->imm);
        temp_release(e, tmp);
        return;
    }
    h = home_host(g);
    if (p->aux) {                               /* second byte */
        if (v->loc == LOC_HIGH && v->reg == g)
            return;
        s = use_reg(e, r, &tmp);
        home_overwrite(e, g, IR_NONE, 0, false);
        as_bfi(&e->a, true, h, s, 8, 8);
        temp_release(e, tmp);
        return;
    }
    if (in_home(e, r, g)) {
        if (t == TY_I32 && !v->zx) {
            home_overwrite(e, g, IR_NONE, 0, false);
            as_mov(&e->a, false, h, h);
            def_at(e, r, LOC_HOME, g, 0);
            e->val[r].zx = true;
        }
        return;                                 /* computed in place */
    }
    if (t == TY_I64 && v->loc == LOC_HOME && v->reg == g) {
        int64_t d = v->imm;                     /* home += d: others there stay, at an offset */
        home_overwrite(e, g, r, d, true);
        as_add_i(&e->a, true, h, h, d, H_S0);
        def_at(e, r, LOC_HOME, g, 0);
        return;
    }
    home_overwrite(e, g, IR_NONE, 0, false);
    v = &e->val[r];
    e->stale_reg = NOREG;
    if (t == TY_I64 || t == TY_I32) {
        if (t == TY_I32 && v->loc == LOC_TEMP)
            as_mov(&e->a, false, h, v->reg);
        else
            host_load(e, r, h);
        if (t == TY_I32 && v->loc == LOC_CONST)
            e->val[r].zx = true;
    } else {
        s = use_reg(e, r, &tmp);
        as_bfi(&e->a, true, h, s, 0, type_bits(t));
        temp_release(e, tmp);
    }
    if (t < TY_I32 && v->loc == LOC_TEMP && v->zx)
        return;                                 /* that much would not be known of it in its home */
    if (v->loc == LOC_TEMP || v->loc == LOC_SPILL) {
        def_at(e, r, LOC_HOME, g, 0);
        e->val[r].zx = t == TY_I32;
    }
}
