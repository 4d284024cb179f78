/*
 * emit_mem.c - guest memory: the soft TLB's fast path and what lies behind it.
 *
 * The probe, for an access of `span` bytes at linear address A (a register):
 *
 *      and  s1, x7, A, lsr #8      the entry's offset
 *      add  s1, x18, s1
 *      ldp  s1, t0, [s1]           tag, delta = host - lin
 *      add  s0, A, #span - 1       the last byte
 *      eor  s1, s1, s0, lsr #12    0: the first byte's entry is for the last byte's page
 *      cbnz s1, slow
 *      ldr  D, [A, t0]
 *
 * For writing with x5 and x6; where it is with other rights than the block's mode, mask and table come
 * by ldp s1, t0, [mask, table].  Where alignment is demanded s0 is A's page and lowest bits, which
 * eor s1, s1, s0, ror #12 makes the upper bits.
 *
 * A single access off the stack pointer, of up to 8 bytes, is looked for in the page remembered for the stack first:
 *
 *      ldp  s1, t0, [page, delta]
 *      and  s0, A, #~(4096 - size)         page, and what must be 0 for it to be aligned
 *      eor  s1, s1, s0
 *      cbnz s1, slow
 *      ldr  D, [A, t0]
 *
 * It leaves NZCV alone, as the thunks of the slow paths do.  Everything that takes a
 * register or may spill one happens before the jump to the slow path, so that both
 * ways meet with the same picture of the registers.
 */
#include <assert.h>

#include "backend-aarch64/emit.h"

static unsigned log_of(enum ir_type t)
{
    return t - TY_I8;
}

/* The linear address r + imm in a register; *tmp: the temporary it is held in, or NOREG. */
static unsigned address(struct emit *e, ir_ref r, int64_t imm, unsigned *tmp)
{
    const struct val *v = &e->val[r];
    unsigned s = use_where(e, r);
    if (v->loc == LOC_CONST) {
        *tmp = temp_get(e);
        as_mov_i(&e->a, *tmp, (uint64_t)v->imm + (uint64_t)imm);
        return *tmp;
    }
    if (s != NOREG && !imm) {
        *tmp = NOREG;
        if (v->loc == LOC_TEMP) {               /* it must not be spilled meanwhile */
            e->temp_busy[s - T_FIRST] = true;
            *tmp = s;
        }
        return s;
    }
    *tmp = temp_get(e);
    v = &e->val[r];
    if (v->loc == LOC_HOME) {
        as_add_i(&e->a, true, *tmp, home_host(v->reg), v->imm + imm, *tmp);
        return *tmp;
    }
    s = use_where(e, r);
    if (s == NOREG) {
        host_load(e, r, *tmp);
        s = *tmp;
    }
    as_add_i(&e->a, true, *tmp, s, imm, H_S0);
    return *tmp;
}

static struct slow *slow_new(struct emit *e, enum slow_kind k, unsigned addr, unsigned span, unsigned aux)
{
    assert(e->nslow < sizeof e->slow / sizeof e->slow[0]);
    struct slow *s = &e->slow[e->nslow++];
    *s = (struct slow){ .kind = (uint8_t)k, .addr = (uint8_t)addr, .desc = span << 16 | aux, .pc = e->pc, .dst = NOREG,
                        .recipe = recipe_here(e) };
    return s;
}

/* t0 = delta for the access, or on through s. */
static void emit_probe_at(struct emit *e, struct slow *s, unsigned addr, unsigned span, unsigned aux, bool write,
                          unsigned t0)
{
    struct as *a = &e->a;
    unsigned idx = (aux & MEM_IDX) >> MEM_IDX_SHIFT, last = addr;
    unsigned mask = write ? H_WMASK : H_MASK, table = write ? H_WTLB : H_TLB;
    bool align = (aux & MEM_ALIGN) && span > 1;
    if (idx != (e->b->mode & M_MMU) >> M_MMU_SHIFT) {
        as_pair(a, OP_LDP, mask = H_S1, table = t0, H_CPU,
                (int32_t)(CPU_OFF(tlb) + sizeof(struct tlb_fast) * (idx * 2 + (write ? 1 : 0))));
    }
    as_rrs(a, OP_AND, true, H_S1, mask, addr, SH_LSR, 8);
    as_rrr(a, OP_ADD, true, H_S1, table, H_S1);
    as_pair(a, OP_LDP, H_S1, t0, H_S1, 0);
    if (align)
        as_logic_i(a, OPI_AND, true, last = H_S0, addr, ~(uint64_t)0xfff | (span - 1));
    else if (span > 1)
        as_add_i(a, true, last = H_S0, addr, (int64_t)span - 1, H_S0);
    as_rrs(a, OP_EOR, true, H_S1, H_S1, last, align ? SH_ROR : SH_LSR, PAGE_BITS);
    s->from[0] = as_cbnz(a, true, H_S1);
}

/* The same for an access of `size` bytes at addr off the stack pointer: r + something. */
static void emit_stack_probe(struct emit *e, struct slow *s, ir_ref r, unsigned addr, unsigned size, unsigned aux,
                             bool write, unsigned t0)
{
    unsigned idx = (aux & MEM_IDX) >> MEM_IDX_SHIFT;
    if ((aux & MEM_ALIGN) || e->be->ordered || !mem_off_stack(e->b, r)) {
        emit_probe_at(e, s, addr, size, aux, write, t0);
        return;
    }
    as_pair(&e->a, OP_LDP, H_S1, t0, H_CPU, (int32_t)(CPU_OFF(stack_page) + sizeof(struct tlb_page) * idx));
    as_logic_i(&e->a, OPI_AND, true, H_S0, addr, ~(uint64_t)0xfff | (size - 1));
    as_rrr(&e->a, OP_EOR, true, H_S1, H_S1, H_S0);
    s->from[0] = as_cbnz(&e->a, true, H_S1);
    s->hit = e->a.p;
    s->t0 = (uint8_t)t0;
    if (write)
        s->desc |= MEM_WRITE;
}

/* Whose place the loaded value may take: that of the ZEXT behind it, its only use (a load clears the rest), or its own. */
static unsigned loaded_as(const struct emit *e)
{
    unsigned j = e->i + 1;
    while (e->b->ins[j].op == IR_NOP)
        j++;
    return e->use[e->i].uses == 1 && e->b->ins[j].op == IR_ZEXT && e->b->ins[j].a == e->i ? j : e->i;
}

static void emit_ld(struct emit *e, const struct ir_ins *p)
{
    enum ir_type t = (enum ir_type)p->type;
    unsigned tb, home, d, t0, span = type_bytes(t), addr = address(e, p->a, p->imm, &tb);
    d = def_reg(e, loaded_as(e), &home);
    e->stale_reg = NOREG;
    t0 = temp_get(e);
    struct slow *s = slow_new(e, SLOW_LD, addr, span, p->aux);
    s->type = (uint8_t)t;
    s->dst = (uint8_t)d;
    if (p->aux & MEM_AC)
        s->from[0] = as_b(&e->a);
    else
        emit_stack_probe(e, s, p->a, addr, span, access_aux(e, p->aux), (p->aux & MEM_WRITE) != 0, t0);
    emit_access(e, s, false, log_of(t), d, addr, t0, !(p->aux & MEM_AC));
    s->back = e->a.p;
    temp_release(e, t0);
    temp_release(e, tb);
    def_done(e, e->i, d, home, t != TY_I64);
}

/* Value r in a register for a store; *tmp to be released. */
static unsigned stored(struct emit *e, ir_ref r, unsigned *tmp)
{
    *tmp = NOREG;
    if (e->val[r].loc == LOC_CONST && !e->val[r].imm)
        return H_ZR;
    return use_reg(e, r, tmp);
}

static void emit_st(struct emit *e, const struct ir_ins *p)
{
    enum ir_type t = (enum ir_type)p->type;
    unsigned tb, tv, t0, v, span = type_bytes(t), addr = address(e, p->a, p->imm, &tb);
    t0 = temp_get(e);
    v = stored(e, p->b, &tv);
    struct slow *s = slow_new(e, SLOW_ST, addr, span, p->aux);
    s->type = (uint8_t)t;
    s->dst = (uint8_t)v;
    if (p->aux & MEM_AC)
        s->from[0] = as_b(&e->a);
    else
        emit_stack_probe(e, s, p->a, addr, span, access_aux(e, p->aux), true, t0);
    emit_access(e, s, true, log_of(t), v, addr, t0, !(p->aux & MEM_AC));
    s->back = e->a.p;
    temp_release(e, tv);
    temp_release(e, t0);
    temp_release(e, tb);
}

/* 2 to 4: log2 of a vector access's size the host has an instruction for; else 0. */
static unsigned vlog(unsigned size)
{
    return size == 4 ? 2 : size == 8 ? 3 : size == 16 ? 4 : 0;
}

static void emit_ldv(struct emit *e, const struct ir_ins *p)
{
    unsigned size = p->aux & MEM_SIZE, tb, home, d, addr = address(e, p->a, p->imm, &tb);
    d = vdef_reg(e, e->i, &home);
    unsigned t0 = temp_get(e);
    struct slow *s = slow_new(e, SLOW_LDV, addr, size, p->aux);
    s->vdst = (uint8_t)d;
    if ((p->aux & MEM_AC) || !vlog(size)) {
        s->from[0] = as_b(&e->a);
    } else {
        emit_probe_at(e, s, addr, size, p->aux, (p->aux & MEM_WRITE) != 0, t0);
        as_vldst_r(&e->a, false, vlog(size), d, addr, t0);
        order_behind_load(e);
    }
    s->back = e->a.p;
    temp_release(e, t0);
    temp_release(e, tb);
    vdef_done(e, e->i, d, home);
}

static void emit_stv(struct emit *e, const struct ir_ins *p)
{
    unsigned size = p->aux & MEM_SIZE, tb, tv, addr = address(e, p->a, p->imm, &tb);
    unsigned t0 = temp_get(e), x = vuse_reg(e, p->b, &tv);
    struct slow *s = slow_new(e, SLOW_STV, addr, size, p->aux);
    s->vdst = (uint8_t)x;
    if ((p->aux & MEM_AC) || !vlog(size)) {
        s->from[0] = as_b(&e->a);
    } else {
        emit_probe_at(e, s, addr, size, p->aux, true, t0);
        order_before_store(e);
        as_vldst_r(&e->a, true, vlog(size), x, addr, t0);
    }
    s->back = e->a.p;
    vtemp_release(e, tv);
    temp_release(e, t0);
    temp_release(e, tb);
}

static void emit_probe(struct emit *e, const struct ir_ins *p)
{
    unsigned tb, t0, span = PROBE_SPAN(p->imm), addr = address(e, p->a, PROBE_DISP(p->imm), &tb);
    t0 = temp_get(e);
    struct slow *s = slow_new(e, SLOW_PROBE, addr, span, p->aux);
    s->dst = (uint8_t)t0;
    emit_probe_at(e, s, addr, span, p->aux, (p->aux & MEM_WRITE) != 0, t0);
    s->back = e->a.p;
    as_rrr(&e->a, OP_ADD, true, t0, addr, t0);
    temp_release(e, tb);
    def_done(e, e->i, t0, 0xff, true);
}

/* [h + off] as the instruction of this size takes it. */
static void probed_access(struct emit *e, bool store, bool vec, unsigned log, unsigned r, unsigned h, uint32_t off)
{
    struct as *a = &e->a;
    uint32_t op = store ? OP_STR : OP_LDR;
    bool scaled = !(off & ((1u << log) - 1)) && off >> log < 0x1000;
    if (e->be->ordered && !vec) {
        emit_access_probed(e, store, log, r, h, off);
        return;
    }
    if (!scaled && off >= 256) {
        as_add_i(a, true, H_S0, h, off, H_S0);
        h = H_S0;
        off = 0;
    }
    if (vec && store)
        order_before_store(e);
    if (vec && scaled)
        as_vldst(a, store, log, r, h, off);
    else if (vec)
        as_vldst_u(a, store, log, r, h, (int32_t)off);
    else if (scaled)
        as_ldst(a, op, log, r, h, off);
    else
        as_ldst_u(a, op, log, r, h, (int32_t)off);
    if (vec && !store)
        order_behind_load(e);
}

/* An access the PROBE p->a was for: its value here is the host address of the first byte probed. */
static void emit_probed(struct emit *e, const struct ir_ins *p)
{
    const struct ir_ins *probe = &e->b->ins[p->a];
    enum ir_type t = (enum ir_type)p->type;
    uint32_t off = (uint32_t)(p->imm - PROBE_DISP(probe->imm));
    unsigned th, home, d, tv, h = use_reg(e, p->a, &th);
    assert(p->b == probe->a && off < PROBE_SPAN(probe->imm));
    if (th == NOREG && e->val[p->a].loc == LOC_TEMP && !e->temp_busy[h - T_FIRST]) {
        th = h;
        e->temp_busy[th - T_FIRST] = true;
    }
    switch (p->op) {
    case IR_LOAD:
        d = def_reg(e, loaded_as(e), &home);
        probed_access(e, false, false, log_of(t), d, h, off);
        def_done(e, e->i, d, home, t != TY_I64);
        break;
    case IR_STORE:
        d = stored(e, p->c, &tv);
        probed_access(e, true, false, log_of(t), d, h, off);
        temp_release(e, tv);
        break;
    case IR_LOADV:
        d = vdef_reg(e, e->i, &home);
        probed_access(e, false, true, vlog(p->aux & MEM_SIZE), d, h, off);
        vdef_done(e, e->i, d, home);
        break;
    case IR_STOREV:
        d = vuse_reg(e, p->c, &tv);
        probed_access(e, true, true, vlog(p->aux & MEM_SIZE), d, h, off);
        vtemp_release(e, tv);
        break;
    default:
        assert(!"memory operation without code");
    }
    temp_release(e, th);
}

static void emit_segchk(struct emit *e, const struct ir_ins *p)
{
    unsigned seg = p->aux & 0xf, ta, addr;
    uint32_t off = CPU_OFF(seg) + seg * (uint32_t)sizeof(struct seg) +
                   (uint32_t)((p->aux & SEGCHK_WRITE) ? offsetof(struct seg, fast_w) : offsetof(struct seg, fast_r));
    flags_clobber(e);
    addr = address(e, p->a, 0, &ta);
    struct slow *s = slow_new(e, SLOW_SEG, addr, 0, p->aux);
    s->desc = (uint32_t)p->imm << 16 | p->aux;
    as_add_i(&e->a, true, H_S0, addr, p->imm - 1, H_S1);
    host_field(e, true, 3, H_S1, off);
    as_rrr(&e->a, OP_SUBS, true, H_ZR, H_S0, H_S1);
    s->from[0] = as_bcc(&e->a, A_CS);
    s->back = e->a.p;
    temp_release(e, ta);
}

/*
 * LOCK operations, on aligned operands; all others by C, which holds the machine's lock meanwhile.  That keeps such
 * operations apart from each other; what else accesses the same bytes must be stopped too when there is more than one vCPU.
 */
static void emit_amo(struct emit *e, const struct ir_ins *p)
{
    unsigned tb, tv, tn = NOREG, nv = NOREG, addr = address(e, p->a, p->imm, &tb), d = temp_get(e);
    unsigned t0 = temp_get(e), v = stored(e, p->b, &tv), span = type_bytes((enum ir_type)p->type);
    if (p->c)
        nv = stored(e, p->c, &tn);
    struct slow *s = slow_new(e, SLOW_AMO, addr, span, p->aux);
    s->desc |= p->op == IR_CAS ? 1u << 31 : 0;
    s->type = p->type;
    s->dst = (uint8_t)d;
    s->v = e->val[p->b];
    if (p->c)
        s->x = e->val[p->c];
    if (p->aux & MEM_AC)
        s->from[0] = as_b(&e->a);
    else
        emit_probe_at(e, s, addr, span, p->aux | MEM_ALIGN, true, t0);
    emit_atomic(e, p, s, d, t0, !(p->aux & MEM_AC), v, nv);
    s->back = e->a.p;
    temp_release(e, t0);
    temp_release(e, tv);
    temp_release(e, tn);
    temp_release(e, tb);
    def_done(e, e->i, d, 0xff, true);
}

void emit_mem(struct emit *e, const struct ir_ins *p)
{
    switch (p->op) {
    case IR_LD:
        emit_ld(e, p);
        break;
    case IR_ST:
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
        as_dmb(&e->a);
        break;
    default:
        emit_probed(e, p);
    }
}

/* ---- out of line ---- */

void emit_val(struct emit *e, uint32_t to, const struct val *v)
{
    switch (v->loc) {
    case LOC_CONST:
        if (v->imm)
            as_mov_i(&e->a, H_S0, (uint64_t)v->imm);
        host_store(e, to, v->imm ? H_S0 : H_ZR);
        break;
    case LOC_TEMP:
        host_store(e, to, v->reg);
        break;
    case LOC_HOME:
        as_add_i(&e->a, true, H_S0, home_host(v->reg), v->imm, H_S0);
        host_store(e, to, H_S0);
        break;
    case LOC_HIGH:
        as_ubfx(&e->a, false, H_S0, home_host(v->reg), 8, 8);
        host_store(e, to, H_S0);
        break;
    case LOC_SLOT:
        host_copy(e, to, (uint32_t)v->imm);
        break;
    case LOC_SPILL:
        host_copy(e, to, CPU_OFF(spill) + 8u * v->reg);
        break;
    default:
        assert(!"argument is nowhere");
    }
}

void emit_arg_val(struct emit *e, unsigned n, const struct val *v)
{
    emit_val(e, CPU_OFF(arg) + 8 * n, v);
}

void emit_thunk_call(struct emit *e, uint8_t *thunk, int32_t pc, uint32_t recipe)
{
    as_bl_to(&e->a, thunk);
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
                as_patch(s->from[j], e->a.p);
        if (s->kind == SLOW_PLAIN_LD || s->kind == SLOW_PLAIN_ST) {
            emit_plain(e, s);
            continue;
        }
        if (s->near)
            emit_near(e, s);
        if (s->kind != SLOW_DE && s->kind != SLOW_DIVS && s->kind != SLOW_DIV) {
            host_store(e, CPU_OFF(arg[0]), s->addr);
            as_mov_i(&e->a, H_S0, s->desc);
            host_store(e, CPU_OFF(arg[1]), H_S0);
        }
        if (s->hit) {                           /* the stack moved to another page, or it is no aligned access */
            emit_thunk_call(e, be->stack[(s->desc & MEM_IDX) >> MEM_IDX_SHIFT][s->desc & MEM_WRITE ? 1 : 0], s->pc, s->recipe);
            host_field(e, true, 3, s->t0, CPU_OFF(hret));
            as_patch(as_cbnz(&e->a, true, s->t0), s->hit);
        }
        switch (s->kind) {
        case SLOW_LD:
            emit_thunk_call(e, be->slow_ld, s->pc, s->recipe);
            order_c(e);
            host_field(e, true, 3, s->dst, CPU_OFF(hret));
            break;
        case SLOW_ST:
            host_store(e, CPU_OFF(arg[2]), s->dst);
            order_c(e);
            emit_thunk_call(e, be->slow_st, s->pc, s->recipe);
            break;
        case SLOW_LDV:
            emit_thunk_call(e, be->slow_ldv, s->pc, s->recipe);
            order_c(e);
            host_vload(e, s->vdst, CPU_OFF(hv), true);
            break;
        case SLOW_STV:
            host_vstore(e, CPU_OFF(hv), s->vdst, true);
            order_c(e);
            emit_thunk_call(e, be->slow_stv, s->pc, s->recipe);
            break;
        case SLOW_PROBE:
            emit_thunk_call(e, be->slow_probe, s->pc, s->recipe);
            host_field(e, true, 3, s->dst, CPU_OFF(hret));
            as_patch(as_cbnz(&e->a, true, s->dst), s->back);
            host_store_imm(e, CPU_OFF(arg[0]), (int32_t)s->recipe);
            emit_goto_pc(e, s->pc, be->redo);
            continue;
        case SLOW_AMO:
            emit_arg_val(e, 2, &s->v);
            if (s->x.loc)
                emit_arg_val(e, 3, &s->x);
            order_c(e);
            emit_thunk_call(e, be->amo, s->pc, s->recipe);
            order_c(e);
            host_field(e, true, 3, s->dst, CPU_OFF(hret));
            break;
        case SLOW_SEG:
            emit_thunk_call(e, be->slow_seg, s->pc, s->recipe);
            break;
        case SLOW_PLAIN_LD:
        case SLOW_PLAIN_ST:
            break;
        case SLOW_DE:
            host_store_imm(e, CPU_OFF(arg[0]), EXC_DE);
            host_store_imm(e, CPU_OFF(arg[1]), -1);
            emit_thunk_call(e, be->raise, s->pc, s->recipe);
            continue;
        case SLOW_DIVS:
            emit_arg_val(e, 0, &s->v);
            emit_arg_val(e, 1, &s->x);
            emit_arg_val(e, 2, &s->y);
            host_store_imm(e, CPU_OFF(arg[3]), s->type);
            emit_thunk_call(e, be->divs, s->pc, s->recipe);
            break;
        case SLOW_DIV:
            emit_div_slow(e, s);
            break;
        }
        as_b_to(&e->a, s->back);
    }
    fp_slow_paths(e);
}
