/*
 * emit_mem.c - guest memory: the soft TLB's fast path and what lies behind it.
 *
 * The probe, for an access of `span` bytes at linear address A = base + disp:
 *
 *      rorx t0, A, 8           (or lea + shr: the entry's offset, unmasked)
 *      lea  t1, [A + span - 1] the last byte
 *      and  t0, [mask]
 *      add  t0, [table]
 *      shr  t1, 12             its page (where alignment is demanded, of A: and t1, ~4095 + span - 1; ror t1, 12)
 *      cmp  t1, [t0]           tag: hits only if the first byte's entry is for the last byte's page
 *      jne  slow
 *      mov  t0, [t0 + 8]       delta = host - lin
 *      mov  D, [t0 + A]
 *
 * Everything that takes a register or may spill one happens before the jump to
 * the slow path, so that both ways meet with the same picture of the registers.
 */
#include <assert.h>

#include "backend-x86_64/emit.h"

/* As use_reg, but a value in a temporary is held there until *tmp is released: later temp_get()s
 * must not spill it and hand out its register. */
static unsigned use_held(struct emit *e, ir_ref r, unsigned *tmp)
{
    unsigned b = use_reg(e, r, tmp);
    if (*tmp == NOREG && e->val[r].loc == LOC_TEMP) {
        e->temp_busy[b - T_FIRST] = true;
        *tmp = b;
    }
    return b;
}

/* base register and displacement of the linear address r + imm; *tmp as in use_reg. */
static struct hm addr_operand(struct emit *e, ir_ref r, int64_t imm, unsigned *tmp)
{
    const struct val *v = &e->val[r];
    if (hole_of(e, imm)) {                      /* a displacement that is not known yet */
        struct hm m = addr_operand(e, r, 0, tmp);
        m.hole = (uint8_t)hole_of(e, imm);
        m.disp += (int32_t)imm;
        return m;
    }
    *tmp = NOREG;
    if (v->loc == LOC_HOME && home_pinned(v->reg)) {
        int64_t d = v->imm + imm;
        if (d == (int32_t)d)
            return hm_at(home_host(v->reg), (int32_t)d);
    }
    if (v->loc == LOC_CONST) {
        unsigned t = temp_get(e);
        as_mov_ri(&e->a, t, (uint64_t)(v->imm + imm));
        *tmp = t;
        return hm_at(t, 0);
    }
    unsigned b = use_held(e, r, tmp);
    if (imm == (int32_t)imm)
        return hm_at(b, (int32_t)imm);
    flags_clobber(e);
    unsigned t = temp_get(e);
    as_mov_ri(&e->a, t, (uint64_t)imm);
    as_rr(&e->a, 0x03, true, t, b);
    temp_release(e, *tmp);
    *tmp = t;
    return hm_at(t, 0);
}

static struct slow *slow_new(struct emit *e, enum slow_kind k, struct hm m, unsigned span, unsigned aux)
{
    assert(e->nslow < sizeof e->slow / sizeof e->slow[0]);
    struct slow *s = &e->slow[e->nslow++];
    *s = (struct slow){ .kind = (uint8_t)k, .addr = m, .desc = span << 16 | aux, .pc = e->pc, .dst = NOREG,
                        .recipe = recipe_here(e) };
    return s;
}

/*
 * The same for addresses off the stack pointer, against the page last seen there:
 *
 *      lea  t1, [A]
 *      sub  t1, [page]
 *      cmp  t1, [below]        also no: crosses into the next page, or nothing is remembered
 *      jae  slow
 *      mov  t0, [delta]        off the dependency chain
 *      mov  D, [t0 + A]
 */
static void emit_stack_probe(struct emit *e, struct slow *s, struct hm m, unsigned span, unsigned aux,
                             bool write, unsigned t0, unsigned t1)
{
    uint32_t at = CPU_OFF(stack_page) + sizeof(struct tlb_page) * ((aux & MEM_IDX) >> MEM_IDX_SHIFT);
    if (m.disp || m.hole)
        as_lea(&e->a, true, t1, m);
    else
        as_mov_rr(&e->a, true, t1, m.base);
    as_rm(&e->a, 0x2b, true, t1, hm_cpu(at + (uint32_t)offsetof(struct tlb_page, page)));
    as_rm(&e->a, 0x3b, true, t1,
          hm_cpu(at + (uint32_t)offsetof(struct tlb_page, below) + (span > TLB_PAGE_SPAN0 ? 8 : 0)));
    s->from[0] = as_jcc(&e->a, CC_NB);
    as_load64(&e->a, t0, hm_cpu(at + (uint32_t)offsetof(struct tlb_page, delta)));
    s->hit = e->a.p;
    s->t0 = (uint8_t)t0;
    if (write)
        s->desc |= MEM_WRITE;
}

/* t0 = delta for the access, or on through s. */
static void emit_probe_at(struct emit *e, struct slow *s, ir_ref a, struct hm m, unsigned span, unsigned aux,
                          bool write, unsigned t0, unsigned t1)
{
    unsigned idx = (aux & MEM_IDX) >> MEM_IDX_SHIFT;
    uint32_t tlb = CPU_OFF(tlb) + sizeof(struct tlb_fast) * (idx * 2 + (write ? 1 : 0));
    bool align = (aux & MEM_ALIGN) && span > 1;
    int32_t last = m.disp + (align ? 0 : (int32_t)span - 1);
    struct hm l = m;
    if (!align && span <= TLB_PAGE_SPAN1 && mem_off_stack(e->b, a)) {
        emit_stack_probe(e, s, m, span, aux, write, t0, t1);
        return;
    }
    l.disp = last;
    if (m.disp == 0 && !m.hole && host_has(e->be, HF_BMI2)) {
        as_rorx(&e->a, true, t0, m.base, 8);
    } else {
        if (m.disp || m.hole)
            as_lea(&e->a, true, t0, m);
        else
            as_mov_rr(&e->a, true, t0, m.base);
        as_shift_ri(&e->a, 5, true, t0, 8);
    }
    if (last || l.hole)
        as_lea(&e->a, true, t1, l);
    else
        as_mov_rr(&e->a, true, t1, m.base);
    as_rm(&e->a, 0x23, true, t0, hm_cpu(tlb));
    as_rm(&e->a, 0x03, true, t0, hm_cpu(tlb + 8));
    if (align)
        as_alu_ri(&e->a, 4, true, t1, (int32_t)(0xfffff000u | (span - 1)));
    as_shift_ri(&e->a, align ? 1 : 5, true, t1, 12);
    as_rm(&e->a, 0x3b, true, t1, hm_at(t0, 0));
    s->from[0] = as_jcc(&e->a, CC_NZ);
    as_load64(&e->a, t0, hm_at(t0, 8));
}

static void load_op(struct emit *e, enum ir_type t, unsigned d, bool home, struct hm m)
{
    switch (t) {
    case TY_I8:
        if (home)
            as_rm8(&e->a, 0x8a, d, m);
        else
            as_rm(&e->a, 0x0fb6, false, d, m);
        break;
    case TY_I16:
        as_rm(&e->a, home ? OP66(0x8b) : 0x0fb7, false, d, m);
        break;
    default:
        as_rm(&e->a, 0x8b, t == TY_I64, d, m);
    }
}

static void store_op(struct emit *e, enum ir_type t, unsigned s, struct hm m)
{
    switch (t) {
    case TY_I8:
        as_rm8(&e->a, 0x88, s, m);
        break;
    case TY_I16:
        as_rm(&e->a, OP66(0x89), false, s, m);
        break;
    default:
        as_rm(&e->a, 0x89, t == TY_I64, s, m);
    }
}

static void store_imm(struct emit *e, enum ir_type t, int32_t c, struct hm m)
{
    if (t == TY_I8) {
        as_rm(&e->a, 0xc6, false, 0, m);
        as_b(&e->a, (unsigned)c);
    } else if (t == TY_I16) {
        as_rm(&e->a, OP66(0xc7), false, 0, m);
        as_b(&e->a, (unsigned)c);
        as_b(&e->a, (unsigned)c >> 8);
    } else {
        as_mov_mi32(&e->a, t == TY_I64, m, c);
    }
}

/* Is this access of a stencil one that mem_ld and mem_st are for? */
static bool by_thunk(const struct emit *e, const struct ir_ins *p)
{
    return e->a.notes && !(p->aux & (MEM_ALIGN | MEM_AC | MEM_LOCKED));
}

/* The access's address in a temporary, which stays busy. */
static unsigned address_in_temp(struct emit *e, const struct ir_ins *p)
{
    unsigned tb, t;
    struct hm m = addr_operand(e, p->a, p->imm, &tb);
    t = temp_get(e);
    if (m.disp || m.hole)
        as_lea(&e->a, true, t, m);
    else
        as_mov_rr(&e->a, true, t, m.base);
    temp_release(e, tb);
    return t;
}

/* Do the temporaries beside t hold nothing that is needed behind access p? */
static bool others_free(struct emit *e, const struct ir_ins *p, unsigned t)
{
    const ir_ref ops[2] = { p->a, p->b };
    for (unsigned k = 0; k < T_COUNT; k++) {
        unsigned n = e->owner[UNIT_TEMP + k];
        if (T_FIRST + k == t)
            continue;
        for (unsigned j = 0; j < 2 && n; j++) {
            const struct val *v = &e->val[ops[j]];
            if (ops[j] && v->loc == LOC_TEMP && v->reg == T_FIRST + k && dies(e, ops[j]) &&
                !(j && ops[1] == ops[0]))
                n--;
        }
        if (n || e->temp_busy[k])
            return false;
    }
    return true;
}

static void ld_by_thunk(struct emit *e, const struct ir_ins *p)
{
    unsigned ss = (p->aux & MEM_SS) != 0, w = (p->aux & MEM_WRITE) != 0, log = p->type - TY_I8, t, idx;
    bool free;
    uint8_t *thunk;
    flags_clobber(e);
    e->stale_reg = NOREG;
    t = address_in_temp(e, p);
    idx = (p->aux & MEM_IDX) >> MEM_IDX_SHIFT;
    free = others_free(e, p, t);
    thunk = free && mem_off_stack(e->b, p->a) ? e->be->stack_ld[ss][w][idx][log][t - T_FIRST] :
            e->be->mem_ld[ss][w][idx][log][t - T_FIRST][free];
    emit_thunk_call(e, thunk, e->pc, recipe_here(e));
    def_done(e, e->i, t, 0xff, p->type != TY_I64);
}

static void st_by_thunk(struct emit *e, const struct ir_ins *p)
{
    unsigned ss = (p->aux & MEM_SS) != 0, log = p->type - TY_I8, t, idx;
    bool free;
    uint8_t *thunk;
    flags_clobber(e);
    emit_arg_val(e, 2, &e->val[p->b]);
    t = address_in_temp(e, p);
    idx = (p->aux & MEM_IDX) >> MEM_IDX_SHIFT;
    free = others_free(e, p, t);
    thunk = free && mem_off_stack(e->b, p->a) ? e->be->stack_st[ss][idx][log][t - T_FIRST] :
            e->be->mem_st[ss][idx][log][t - T_FIRST][free];
    emit_thunk_call(e, thunk, e->pc, recipe_here(e));
    temp_release(e, t);
}

static void emit_ld(struct emit *e, const struct ir_ins *p)
{
    enum ir_type t = (enum ir_type)p->type;
    unsigned tb, home, d, t0, t1, span = type_bytes(t);
    flags_clobber(e);
    struct hm m = addr_operand(e, p->a, p->imm, &tb);
    d = def_reg(e, e->i, &home);
    e->stale_reg = NOREG;
    t0 = home == 0xff ? d : temp_get(e);
    t1 = temp_get(e);
    struct slow *s = slow_new(e, SLOW_LD, m, span, p->aux);
    s->type = (uint8_t)t;
    s->dst = (uint8_t)d;
    s->high_dst = home != 0xff;
    if (p->aux & MEM_AC)
        s->from[0] = as_jmp(&e->a);
    else
        emit_probe_at(e, s, p->a, m, span, p->aux, (p->aux & MEM_WRITE) != 0, t0, t1);
    load_op(e, t, d, home != 0xff, hm_off(t0, m));
    s->back = e->a.p;
    if (home != 0xff)
        temp_release(e, t0);
    temp_release(e, t1);
    temp_release(e, tb);
    def_done(e, e->i, d, home, home == 0xff ? t != TY_I64 : t == TY_I32);
}

static void emit_st(struct emit *e, const struct ir_ins *p)
{
    enum ir_type t = (enum ir_type)p->type;
    unsigned tb, t0, t1, span = type_bytes(t);
    int64_t c;
    flags_clobber(e);
    struct hm m = addr_operand(e, p->a, p->imm, &tb);
    t0 = temp_get(e);
    t1 = temp_get(e);
    struct slow *s = slow_new(e, SLOW_ST, m, span, p->aux);
    s->type = (uint8_t)t;
    s->v = e->val[p->b];
    if (p->aux & MEM_AC)
        s->from[0] = as_jmp(&e->a);
    else
        emit_probe_at(e, s, p->a, m, span, p->aux, true, t0, t1);
    m = hm_off(t0, m);
    if (use_is_const(e, p->b, &c) && c == (int32_t)c) {
        store_imm(e, t, (int32_t)c, m);
    } else {
        unsigned v = use_where(e, p->b);
        if (v == NOREG)
            use_into(e, p->b, v = t1);
        store_op(e, t, v, m);
    }
    s->back = e->a.p;
    temp_release(e, t0);
    temp_release(e, t1);
    temp_release(e, tb);
}

static void vload_op(struct emit *e, unsigned size, unsigned x, struct hm m)
{
    as_rm(&e->a, size == 4 ? OPF3(0x0f10) : size == 8 ? OPF3(0x0f7e) : 0x0f10, false, x, m);
}
static void vstore_op(struct emit *e, unsigned size, unsigned x, struct hm m)
{
    as_rm(&e->a, size == 4 ? OPF3(0x0f11) : size == 8 ? OP66(0x0fd6) : 0x0f11, false, x, m);
}

static void emit_ldv(struct emit *e, const struct ir_ins *p)
{
    unsigned size = p->aux & MEM_SIZE, tb, home, d;
    bool odd = size != 4 && size != 8 && size != 16;
    flags_clobber(e);
    struct hm m = addr_operand(e, p->a, p->imm, &tb);
    d = vdef_reg(e, e->i, &home);
    unsigned t0 = temp_get(e), t1 = temp_get(e);
    struct slow *s = slow_new(e, SLOW_LDV, m, size, p->aux);
    s->vdst = (uint8_t)d;
    if ((p->aux & MEM_AC) || odd) {
        s->from[0] = as_jmp(&e->a);
    } else {
        emit_probe_at(e, s, p->a, m, size, p->aux, (p->aux & MEM_WRITE) != 0, t0, t1);
        vload_op(e, size, d, hm_off(t0, m));
    }
    s->back = e->a.p;
    temp_release(e, t0);
    temp_release(e, t1);
    temp_release(e, tb);
    vdef_done(e, e->i, d, home);
}

static void emit_stv(struct emit *e, const struct ir_ins *p)
{
    unsigned size = p->aux & MEM_SIZE, tb, tv;
    bool odd = size != 4 && size != 8 && size != 16;
    flags_clobber(e);
    struct hm m = addr_operand(e, p->a, p->imm, &tb);
    unsigned t0 = temp_get(e), t1 = temp_get(e);
    unsigned x = vuse_reg(e, p->b, &tv);
    struct slow *s = slow_new(e, SLOW_STV, m, size, p->aux);
    s->vdst = (uint8_t)x;
    if ((p->aux & MEM_AC) || odd) {
        s->from[0] = as_jmp(&e->a);
    } else {
        emit_probe_at(e, s, p->a, m, size, p->aux, true, t0, t1);
        vstore_op(e, size, x, hm_off(t0, m));
    }
    s->back = e->a.p;
    vtemp_release(e, tv);
    temp_release(e, t0);
    temp_release(e, t1);
    temp_release(e, tb);
}

static void emit_probe(struct emit *e, const struct ir_ins *p)
{
    unsigned tb, t0, t1, span = PROBE_SPAN(p->imm);
    flags_clobber(e);
    struct hm m = addr_operand(e, p->a, PROBE_DISP(p->imm), &tb);
    t0 = temp_get(e);
    t1 = temp_get(e);
    struct slow *s = slow_new(e, SLOW_PROBE, m, span, p->aux);
    s->dst = (uint8_t)t0;
    emit_probe_at(e, s, p->a, m, span, p->aux, (p->aux & MEM_WRITE) != 0, t0, t1);
    s->back = e->a.p;
    temp_release(e, t1);
    temp_release(e, tb);
    def_done(e, e->i, t0, 0xff, true);
}

/* Host address of a probed access: delta + base + disp. */
static struct hm probed(struct emit *e, const struct ir_ins *p, unsigned *ta, unsigned *tb)
{
    unsigned d = use_held(e, p->a, ta);
    struct hm m = addr_operand(e, p->b, p->imm, tb);
    return hm_off(d, m);
}

static void emit_probed(struct emit *e, const struct ir_ins *p)
{
    enum ir_type t = (enum ir_type)p->type;
    unsigned ta, tb, home, d, tv, size = p->aux & MEM_SIZE;
    int64_t c;
    struct hm m = probed(e, p, &ta, &tb);
    switch (p->op) {
    case IR_LOAD:
        d = def_reg(e, e->i, &home);
        load_op(e, t, d, home != 0xff, m);
        temp_release(e, ta);
        temp_release(e, tb);
        def_done(e, e->i, d, home, home == 0xff ? t != TY_I64 : t == TY_I32);
        return;
    case IR_STORE:
        if (use_is_const(e, p->c, &c) && c == (int32_t)c) {
            store_imm(e, t, (int32_t)c, m);
        } else {
            unsigned s = use_reg(e, p->c, &tv);
            store_op(e, t, s, m);
            temp_release(e, tv);
        }
        break;
    case IR_LOADV:
        d = vdef_reg(e, e->i, &home);
        vload_op(e, size, d, m);
        vdef_done(e, e->i, d, home);
        break;
    case IR_STOREV:
        d = vuse_reg(e, p->c, &tv);
        vstore_op(e, size, d, m);
        vtemp_release(e, tv);
        break;
    default:
        assert(0);
    }
    temp_release(e, ta);
    temp_release(e, tb);
}

static void emit_segchk(struct emit *e, const struct ir_ins *p)
{
    unsigned ta, t, seg = p->aux & 0xf;
    struct hm m;
    flags_clobber(e);
    unsigned a = use_reg(e, p->a, &ta);
    m = hm_at(a, 0);
    t = temp_get(e);
    as_lea(&e->a, true, t, hm_at(a, (int32_t)p->imm - 1));
    uint32_t off = CPU_OFF(seg) + seg * (uint32_t)sizeof(struct seg) +
                   (uint32_t)((p->aux & SEGCHK_WRITE) ? offsetof(struct seg, fast_w) : offsetof(struct seg, fast_r));
    as_rm(&e->a, 0x3b, true, t, hm_cpu(off));
    struct slow *s = slow_new(e, SLOW_SEG, m, 0, p->aux);
    s->desc = (uint32_t)p->imm << 16 | p->aux;
    s->from[0] = as_jcc(&e->a, CC_NB);
    s->back = e->a.p;
    temp_release(e, t);
    temp_release(e, ta);
}

/* Atomics are done by C on the host address (they are rare beside plain accesses). */
static void emit_amo(struct emit *e, const struct ir_ins *p)
{
    unsigned tb, d;
    flags_clobber(e);
    struct hm m = addr_operand(e, p->a, p->imm, &tb);
    d = temp_get(e);
    struct slow *s = slow_new(e, SLOW_AMO, m, type_bytes((enum ir_type)p->type), p->aux);
    s->desc |= p->op == IR_CAS ? 1u << 31 : 0;
    s->type = p->type;
    s->dst = (uint8_t)d;
    s->v = e->val[p->b];
    if (p->c)
        s->x = e->val[p->c];
    s->from[0] = as_jmp(&e->a);
    s->back = e->a.p;
    temp_release(e, tb);
    def_done(e, e->i, d, 0xff, true);
}

/* XCHG with memory nobody reads: as good a barrier as MFENCE for what guests see, in half its time; EFLAGS stay. */
static void emit_fence(struct emit *e)
{
    unsigned t = temp_get(e);

    as_rm(&e->a, 0x87, false, t, hm_at(H_RSP, -8));
    temp_release(e, t);
}

void emit_mem(struct emit *e, const struct ir_ins *p)
{
    switch (p->op) {
    case IR_LD:
        if (by_thunk(e, p))
            ld_by_thunk(e, p);
        else
            emit_ld(e, p);
        break;
    case IR_ST:
        if (by_thunk(e, p))
            st_by_thunk(e, p);
        else
            emit_st(e, p);
        break;
    case IR_LDV:
        emit_ldv(e, p);
        break;
    case IR_STV:
        emit_stv(e, p);
        break;
    case IR_PROBE:
        emit_probe(e, p);
        break;
    case IR_SEGCHK:
        emit_segchk(e, p);
        break;
    case IR_AMO:
    case IR_CAS:
        emit_amo(e, p);
        break;
    case IR_FENCE:
        emit_fence(e);
        break;
    default:
        emit_probed(e, p);
    }
}

/* ---- out of line ---- */

/* c->arg[n] = value as it was located at the jump; destroys EFLAGS only. */
void emit_arg_val(struct emit *e, unsigned n, const struct val *v)
{
    struct hm to = hm_cpu(CPU_OFF(arg) + 8 * n), from;
    switch (v->loc) {
    case LOC_CONST:
        if (v->imm == (int32_t)v->imm) {
            as_mov_mi32(&e->a, true, to, (int32_t)v->imm);
        } else {
            as_mov_mi32(&e->a, false, to, (int32_t)v->imm);
            to.disp += 4;
            as_mov_mi32(&e->a, false, to, (int32_t)(v->imm >> 32));
        }
        return;
    case LOC_HOLE:
        as_rm(&e->a, 0xc7, true, 0, to);
        as_d_hole(&e->a, 0, v->reg);
        return;
    case LOC_TEMP:
        as_store64(&e->a, to, v->reg);
        return;
    case LOC_HOME:
    case LOC_HIGH:
        if (home_pinned(v->reg)) {
            as_store64(&e->a, to, home_host(v->reg));
            if (v->loc == LOC_HIGH) {
                as_rm(&e->a, 0xc1, true, 5, to);
                as_b(&e->a, 8);
            } else if (v->imm) {
                as_alu_mi(&e->a, 0, true, to, (int32_t)v->imm);
            }
            return;
        }
        from = hm_cpu(SLOT_R(v->reg) + (v->loc == LOC_HIGH ? 1 : 0));
        break;
    case LOC_SLOT:
        from = hm_cpu((uint32_t)v->imm);
        break;
    case LOC_SPILL:
        from = hm_cpu(CPU_OFF(spill) + 8u * v->reg);
        break;
    default:
        assert(!"argument is nowhere");
        return;
    }
    as_rm(&e->a, 0xff, false, 6, from);         /* push */
    as_rm(&e->a, 0x8f, false, 0, to);           /* pop */
    if (v->loc == LOC_HOME && v->imm)
        as_alu_mi(&e->a, 0, true, to, (int32_t)v->imm);
}

void emit_thunk_call(struct emit *e, uint8_t *thunk, int32_t pc, uint32_t recipe)
{
    as_call_to(&e->a, thunk);
    assert(e->out->nfaults < BACKEND_MAX_FAULTS);
    e->out->fault[e->out->nfaults++] = (struct host_fault){ (uint32_t)(e->a.p - e->start), pc, recipe };
}

void emit_slow_paths(struct emit *e)
{
    struct backend *be = e->be;
    for (unsigned k = 0; k < e->nslow; k++) {
        struct slow *s = &e->slow[k];
        for (unsigned j = 0; j < 2; j++)
            if (s->from[j])
                as_patch(&e->a, s->from[j], e->a.p);
        if (s->kind != SLOW_DE && s->kind != SLOW_DIVS) {
            as_store64(&e->a, hm_cpu(CPU_OFF(arg[0])), s->addr.base);
            if (s->addr.hole) {
                as_rm(&e->a, 0x81, true, 0, hm_cpu(CPU_OFF(arg[0])));
                as_d_hole(&e->a, (uint32_t)s->addr.disp, s->addr.hole);
            } else if (s->addr.disp) {
                as_alu_mi(&e->a, 0, true, hm_cpu(CPU_OFF(arg[0])), s->addr.disp);
            }
            as_mov_mi32(&e->a, true, hm_cpu(CPU_OFF(arg[1])), (int32_t)s->desc);
        }
        struct hm ret = hm_cpu(CPU_OFF(hret));
        if (s->hit) {           /* the stack moved to another page */
            emit_thunk_call(e, be->stack[(s->desc & MEM_IDX) >> MEM_IDX_SHIFT][s->desc & MEM_WRITE ? 1 : 0],
                            s->pc, s->recipe);
            as_load64(&e->a, s->t0, ret);
            as_rr(&e->a, 0x85, true, s->t0, s->t0);
            as_patch(&e->a, as_jcc(&e->a, CC_NZ), s->hit);
        }
        switch (s->kind) {
        case SLOW_LD:
            emit_thunk_call(e, be->slow_ld, s->pc, s->recipe);
            load_op(e, (enum ir_type)s->type, s->dst, s->high_dst, ret);
            break;
        case SLOW_ST:
            emit_arg_val(e, 2, &s->v);
            emit_thunk_call(e, be->slow_st, s->pc, s->recipe);
            break;
        case SLOW_LDV:
            emit_thunk_call(e, be->slow_ldv, s->pc, s->recipe);
            as_rm(&e->a, 0x0f28, false, s->vdst, hm_cpu(CPU_OFF(hv)));
            break;
        case SLOW_STV:
            as_rm(&e->a, 0x0f29, false, s->vdst, hm_cpu(CPU_OFF(hv)));
            emit_thunk_call(e, be->slow_stv, s->pc, s->recipe);
            break;
        case SLOW_PROBE:
            if (!s->hit) {
                emit_thunk_call(e, be->slow_probe, s->pc, s->recipe);
                as_load64(&e->a, s->dst, ret);
                as_rr(&e->a, 0x85, true, s->dst, s->dst);
                as_patch(&e->a, as_jcc(&e->a, CC_NZ), s->back);
            }
            as_mov_mi32(&e->a, true, hm_cpu(CPU_OFF(arg[0])), (int32_t)s->recipe);
            emit_goto_pc(e, s->pc, be->redo, s->dst);
            continue;
        case SLOW_AMO:
            emit_arg_val(e, 2, &s->v);
            if (s->x.loc)
                emit_arg_val(e, 3, &s->x);
            emit_thunk_call(e, be->amo, s->pc, s->recipe);
            as_load64(&e->a, s->dst, ret);
            break;
        case SLOW_SEG:
            emit_thunk_call(e, be->slow_seg, s->pc, s->recipe);
            break;
        case SLOW_DE:
            as_mov_mi32(&e->a, true, hm_cpu(CPU_OFF(arg[0])), EXC_DE);
            as_mov_mi32(&e->a, true, hm_cpu(CPU_OFF(arg[1])), -1);
            emit_thunk_call(e, be->raise, s->pc, s->recipe);
            continue;
        case SLOW_DIVS:
            emit_arg_val(e, 0, &s->v);
            emit_arg_val(e, 1, &s->x);
            emit_arg_val(e, 2, &s->y);
            as_mov_mi32(&e->a, true, hm_cpu(CPU_OFF(arg[3])), s->type);
            emit_thunk_call(e, be->divs, s->pc, s->recipe);
            break;
        }
        as_jmp_to(&e->a, s->back);
    }
}
