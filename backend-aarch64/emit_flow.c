/*
 * emit_flow.c - helper calls, operations done in C, and the ways out of a block.
 */
#include <assert.h>

#include "backend-aarch64/emit.h"

/* An integer operand zero-extended from its type: in a register. Destroys s0. */
static unsigned extended(struct emit *e, ir_ref r)
{
    const struct val *v = &e->val[r];
    if (v->loc == LOC_CONST && !v->imm)
        return H_ZR;
    if (v->loc == LOC_TEMP && (e->b->ins[r].type == TY_I64 || v->zx))
        return v->reg;
    use_extended(e, r, false, H_S0);
    return H_S0;
}

void emit_arg(struct emit *e, unsigned n, ir_ref r)
{
    host_store(e, CPU_OFF(arg) + 8 * n, extended(e, r));
}

void emit_va(struct emit *e, unsigned n, ir_ref r)
{
    uint32_t to = CPU_OFF(va) + 16 * (n + 1);
    const struct val *v = &e->val[r];
    switch (e->b->ins[r].type) {
    case TY_FLAGS:
        host_copy(e, to, flags_force(e, r));
        break;
    case TY_V128:
        if (v->loc == LOC_VSPILL) {
            host_copy(e, to, CPU_OFF(vspill) + 16u * v->reg);
            host_copy(e, to + 8, CPU_OFF(vspill) + 16u * v->reg + 8);
        } else {
            host_vstore(e, to, v->loc == LOC_VHOME ? vhome_host(v->reg) : v->reg, true);
        }
        break;
    default:
        host_store(e, to, extended(e, r));
    }
}

void emit_call(struct emit *e, const struct ir_ins *p)
{
    const struct helper_info *h = &helper_info[p->aux];
    const ir_ref ops[3] = { p->a, p->b, p->c };
    if (h->reads & HS_FLAGS)
        flags_to_mem(e);
    for (unsigned n = 0; n < 3; n++)
        if (ops[n])
            emit_arg(e, n, ops[n]);
    if (h->nargs == 4)
        emit_arg_val(e, 3, &(struct val){ .loc = LOC_CONST, .imm = p->imm });
    if (h->writes & HS_GPR)
        for (unsigned g = 0; g < 16; g++) {
            recipe_home_overwrite(e, g, 0, false, h->status);   /* C may change them and fault then */
            home_overwrite(e, g, IR_NONE, 0, false);
        }
    e->stale_reg = NOREG;
    if (h->writes & HS_VEC)
        vhomes_overwrite_all(e);
    if (h->writes & (HS_SYS | HS_X87))
        slots_overwrite(e);
    e->h.attn = true;
    order_c(e);
    emit_thunk_call(e, e->be->help[p->aux], e->pc, h->status ? recipe_here(e) : 0);
    order_c(e);
    if (h->writes & HS_FLAGS)
        flags_written(e);
    if (p->type != TY_NONE && e->val[e->i].last > e->i) {
        unsigned d = temp_get(e);
        host_field(e, true, 3, d, CPU_OFF(hret));
        def_done(e, e->i, d, 0xff, false);
    }
}

/* A copy of the instruction lies in the code stream; arg[0] points at it. */
void emit_op_call(struct emit *e, const struct ir_ins *p)
{
    uint8_t *over;
    as_w(&e->a, 0x10000000u | 2 << 5 | H_S0);   /* adr s0, . + 8 */
    over = as_b(&e->a);
    memcpy(e->a.p, p, sizeof *p);
    e->a.p += sizeof *p;
    e->h.uncounted += (uint32_t)sizeof *p;
    as_patch(over, e->a.p);
    host_store(e, CPU_OFF(arg[0]), H_S0);
    emit_thunk_call(e, e->be->op, e->pc, 0);
}
_Static_assert(sizeof(struct ir_ins) % 4 == 0, "code goes on behind it");

/* An operation without a rule: C computes it by interp_op(). */
void emit_fallback(struct emit *e, const struct ir_ins *p)
{
    const ir_ref ops[3] = { p->a, p->b, p->c };
    const struct ir_ins *f = flags_wanted(e, e->i);
    unsigned home, d;
    if (f)
        flags_apart_before(e, f);
    for (unsigned n = 0; n < 3; n++)
        if (ops[n])
            emit_va(e, n, ops[n]);
    if (ir_attrs[p->op] & IRA_K)                /* the x87's registers, MXCSR */
        slots_overwrite(e);
    emit_op_call(e, p);
    if (p->type == TY_V128) {
        d = vdef_reg(e, e->i, &home);
        host_vload(e, d, CPU_OFF(va), true);
        vdef_done(e, e->i, d, home);
    } else if (p->type != TY_NONE) {
        d = temp_get(e);
        host_field(e, true, 3, d, CPU_OFF(va));
        def_done(e, e->i, d, 0xff, false);
    }
    if (f)
        flags_apart(e, f);
}

/* ---- direct exits ---- */

static struct host_exit *exit_new(struct emit *e, const struct ir_ins *p)
{
    assert(e->out->nexits < BACKEND_MAX_EXITS);
    struct host_exit *x = &e->out->exit[e->out->nexits++];
    *x = (struct host_exit){ .pc = (int32_t)p->imm, .aux = p->aux & (uint16_t)~EXIT_SKIP };
    if (!e->h.attn && !(p->aux & (EXIT_LOOP | EXIT_CROSS | EXIT_EVENT)))
        x->aux |= EXIT_SKIP;
    return x;
}

/*
 * The stub an unlinked exit jumps to: its return address tells the run loop which exit it was.
 * Behind the BL of one across pages lies the target's page offset, for the thunk `hop`.
 */
static void emit_stub(struct emit *e, struct host_exit *x, uint8_t *from, uint8_t *thunk)
{
    if (from)
        as_patch(from, e->a.p);
    emit_thunk_call(e, thunk, x->pc, 0);
    x->stub_ra = (uint32_t)(e->a.p - e->start);
    if (e->b->flat && (x->aux & EXIT_CROSS))
        as_w(&e->a, (uint32_t)x->pc);
}

static void stub_later(struct emit *e, const struct host_exit *x, uint8_t *from)
{
    e->stub[e->nstub].from = from;
    e->stub[e->nstub++].exit = (unsigned)(x - e->out->exit);
}

/*
 * A block of one instruction made for its own sake (interrupt shadow) must come
 * back to the run loop; one that redoes an instruction alone may go on anywhere.
 */
static bool solo(const struct emit *e)
{
    return (e->b->mode & (M_ONE | M_NOSHARE)) == M_ONE;
}

void emit_goto_pc(struct emit *e, int64_t pc, uint8_t *thunk)
{
    if (e->b->flat) {
        host_field(e, true, 3, H_S1, CPU_OFF(pc_page));
        as_add_i(&e->a, (e->b->mode & M_CODE) == M_CODE64, H_S1, H_S1, pc, H_S0);
    } else {
        as_mov_i(&e->a, H_S1, (uint32_t)pc);
    }
    host_store(e, CPU_OFF(rip), H_S1);
    emit_thunk_call(e, thunk, (int32_t)pc, 0);
}

/*
 * The jump of an exit, here or out of line.  In the page: one patchable B.
 * Across pages: the link holds only under the page key it was made for, so
 *      ldr  s0, [pagekey]
 *      mov  s1, from               (two words; an unlinked exit has 0, which is no key)
 *      sub  s0, s0, s1
 *      cbnz s0, stub
 *      mov  s1, to                 (two words)
 *      str  s1, [pagekey]
 *      ldr, add, str               pc_page += delta
 *      b    target
 */
static void emit_jump(struct emit *e, struct host_exit *x)
{
    if (solo(e)) {
        emit_stub(e, x, NULL, e->be->next);
        return;
    }
    if (x->aux & EXIT_EVENT) {
        emit_goto_pc(e, x->pc, e->be->dispatch);        /* the mode may have changed */
        return;
    }
    if (!(x->aux & EXIT_CROSS)) {
        uint8_t *j = as_b(&e->a);
        x->jump = (uint32_t)(j - e->start);
        stub_later(e, x, j);
        return;
    }
    host_field(e, true, 3, H_S0, CPU_OFF(pagekey));
    x->key_from = (uint32_t)(e->a.p - e->start);
    as_mov_imm32(&e->a, H_S1, 0);
    as_rrr(&e->a, OP_SUB, true, H_S0, H_S0, H_S1);
    uint8_t *j = as_cbnz(&e->a, true, H_S0);
    x->key_to = (uint32_t)(e->a.p - e->start);
    as_mov_imm32(&e->a, H_S1, 0);
    host_store(e, CPU_OFF(pagekey), H_S1);
    host_field(e, true, 3, H_S1, CPU_OFF(pc_page));
    as_add_i(&e->a, true, H_S1, H_S1, x->pc & -4096, H_S0);
    host_store(e, CPU_OFF(pc_page), H_S1);
    uint8_t *b = as_b(&e->a);
    as_patch(b, e->start);      /* anywhere valid: the guard fails until it is linked */
    x->jump = (uint32_t)(b - e->start);
    stub_later(e, x, j);
}

uint32_t backend_jc_hash(uint64_t rip)
{
    return (uint32_t)(rip ^ rip >> JC_BITS) & (JC_SIZE - 1);
}

/*
 * To the RIP in t0, through the jump cache; what is returned is the branch for a miss, where t0 is
 * the tag.  v0 is free here.
 *
 *      eor   s0, t0, t0, lsr #JC_BITS
 *      ubfiz s0, s0, #JC_SHIFT, #JC_BITS       the entry's offset
 *      add   s0, cpu, s0
 *      ldr   s1, [salt]
 *      eor   t0, t0, s1                        the tag
 *      ldr   s1, [entry.tag]
 *      sub   s1, s1, t0
 *      cbnz  s1, miss
 *      ldr   q0, [entry.page]                  page and key,
 *      str   q0, [pc_page]                     as they lie in struct cpu
 *      ldr   s1, [entry.host]
 *      br    s1
 */
uint8_t *emit_jump_cache(struct as *a, unsigned t0)
{
    uint8_t *miss;
    as_rrs(a, OP_EOR, true, H_S0, t0, t0, SH_LSR, JC_BITS);
    as_ubfiz(a, true, H_S0, H_S0, JC_SHIFT, JC_BITS);
    as_rrr(a, OP_ADD, true, H_S0, H_CPU, H_S0);
    as_ldst(a, OP_LDR, 3, H_S1, H_CPU, CPU_OFF(jc_salt));
    as_rrr(a, OP_EOR, true, t0, t0, H_S1);
    as_ldst(a, OP_LDR, 3, H_S1, H_S0, JC_OFF + (uint32_t)offsetof(struct jc_entry, tag));
    as_rrr(a, OP_SUB, true, H_S1, H_S1, t0);
    miss = as_cbnz(a, true, H_S1);
    as_vldst(a, false, 4, VT_FIRST, H_S0, JC_OFF + (uint32_t)offsetof(struct jc_entry, page));
    as_vldst(a, true, 4, VT_FIRST, H_CPU, CPU_OFF(pc_page));
    as_ldst(a, OP_LDR, 3, H_S1, H_S0, JC_OFF + (uint32_t)offsetof(struct jc_entry, host));
    as_jump(a, H_S1);
    return miss;
}
_Static_assert(CPU_OFF(pc_page) % 16 == 0 && CPU_OFF(pagekey) == CPU_OFF(pc_page) + 8, "moved at once");

static void emit_exit_ind(struct emit *e, const struct ir_ins *p)
{
    /* nothing is needed after this: a target already in a temporary may be used up there */
    unsigned t0 = e->val[p->a].loc == LOC_TEMP ? temp_take(e, e->val[p->a].reg) : use_copy(e, p->a);
    if (!e->b->flat || solo(e)) {
        host_store(e, CPU_OFF(rip), t0);
        temp_release(e, t0);
        emit_thunk_call(e, e->be->next_rip, e->pc, 0);
        return;
    }
    e->ind_miss = emit_jump_cache(&e->a, t0);
    e->ind_rip = (uint8_t)t0;
    temp_release(e, t0);
}

/* The jump cache does not know the target: the run loop must. */
static void emit_ind_miss(struct emit *e)
{
    as_patch(e->ind_miss, e->a.p);
    host_field(e, true, 3, H_S0, CPU_OFF(jc_salt));
    as_rrr(&e->a, OP_EOR, true, e->ind_rip, e->ind_rip, H_S0);
    host_store(e, CPU_OFF(rip), e->ind_rip);
    emit_thunk_call(e, e->be->next_rip, e->pc, 0);
}

/* The name need not be stored again, what it names must. */
static void leave_here(struct emit *e, const struct leave *l)
{
    recipe_emit_leave(e, l, false);
    if (l->name == e->fl_name)
        return;
    flags_mem_overwrite(e);
    recipe_emit_leave(e, &(struct leave){ .name = l->name }, true);
    e->fl_name = l->name;
}

#define ALL_GPRS 0xffffu

/* What the exit leaves instead of flags that only faults behind it show; *l: what is left to be stored out of line. */
static void exit_leave(struct emit *e, const struct ir_ins *p, bool waits, struct leave *l)
{
    struct leave leave;
    *l = (struct leave){ .n = 0 };
    if ((e->seen || waits) && recipe_leave(e, waits ? ALL_GPRS : e->seen_changed, &leave)) {
        /* A branch forward is taken less often than not. */
        if (p->op == IR_EXIT_IF && !(p->aux & EXIT_LOOP))
            *l = leave;
        else
            leave_here(e, &leave);
    }
    e->seen = false;
}

static void emit_exit_if(struct emit *e, const struct ir_ins *p, bool waits)
{
    unsigned k = e->nside++, cc;
    assert(k < BACKEND_MAX_EXITS);
    bool live = (p->aux & EXIT_LIVE) && !waits;
    bool later = live && !e->seen && e->flv[e->arch].loc == LOC_NONE && flags_stay(e, p->a);
    if (live && !later)
        flags_to_mem(e);
    cc = cond_test(e, p->a);            /* it may move parts of recipes, and save flags; what follows leaves NZCV alone */
    exit_leave(e, p, waits, &e->side[k].leave);
    e->side[k].exit = (unsigned)(exit_new(e, p) - e->out->exit);
    e->side[k].save_flags = later;
    if (later)
        e->h.left[k] = flags_leave(e, p->aux & EXIT_LIVE);
    e->side[k].jcc = as_bcc(&e->a, cc);
    e->h.side[k] = count_way(e);
}

void emit_exit(struct emit *e, const struct ir_ins *p)
{
    bool waits = recipe_exit(p);
    struct host_exit *x;
    struct leave none;
    struct way way;
    if (p->op == IR_EXIT_IF) {
        emit_exit_if(e, p, waits);
        return;
    }
    exit_leave(e, p, waits, &none);
    switch (p->op) {
    case IR_EXIT:
        if ((p->aux & EXIT_LIVE) && !waits)
            flags_to_mem(e);
        way = count_way(e);
        count_begin(e, &way);
        x = exit_new(e, p);
        emit_jump(e, x);
        count_end(e, &way, x->aux & EXIT_SKIP);
        break;
    case IR_EXIT_IND:
        way = count_way(e);
        count_begin(e, &way);
        emit_exit_ind(e, p);
        count_end(e, &way, false);
        break;
    case IR_EXIT_SYS:
        flags_to_mem(e);
        way = count_way(e);
        count_begin(e, &way);
        emit_thunk_call(e, solo(e) ? e->be->next_rip : e->be->dispatch, e->pc, 0);
        count_end(e, &way, false);
        break;
    case IR_RAISE:
        flags_to_mem(e);
        emit_arg_val(e, 0, &(struct val){ .loc = LOC_CONST, .imm = p->aux });
        emit_arg_val(e, 1, &(struct val){ .loc = LOC_CONST, .imm = p->imm });
        emit_thunk_call(e, e->be->raise, e->pc, 0);
        break;
    default:
        assert(!"exit without code");
    }
}

void emit_side_exits(struct emit *e)
{
    if (e->ind_miss)
        emit_ind_miss(e);
    for (unsigned k = 0; k < e->nside; k++) {
        as_patch(e->side[k].jcc, e->a.p);
        count_begin(e, &e->h.side[k]);
        if (e->side[k].save_flags)
            flags_store_left(e, &e->h.left[k]);
        if (e->side[k].leave.name)
            recipe_emit_leave(e, &e->side[k].leave, true);
        emit_jump(e, &e->out->exit[e->side[k].exit]);
        count_end(e, &e->h.side[k], e->out->exit[e->side[k].exit].aux & EXIT_SKIP);
    }
    for (unsigned k = 0; k < e->nstub; k++)
        emit_stub(e, &e->out->exit[e->stub[k].exit], e->stub[k].from, e->be->link);
}
