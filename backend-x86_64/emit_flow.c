/*
 * emit_flow.c - helper calls, operations done in C, and the ways out of a block.
 */
#include <assert.h>

#include "backend-x86_64/emit.h"

void emit_arg(struct emit *e, unsigned n, ir_ref r)
{
    struct hm to = hm_cpu(CPU_OFF(arg) + 8 * n);
    enum ir_type t = (enum ir_type)e->b->ins[r].type;
    const struct val *v = &e->val[r];
    if (v->loc == LOC_CONST) {
        struct val c = *v;
        unsigned bits = type_bits(t);
        if (bits < 64)
            c.imm &= ((int64_t)1 << bits) - 1;
        emit_arg_val(e, n, &c);
        return;
    }
    unsigned tmp, s;
    if (t == TY_I64 || v->zx) {
        s = use_reg(e, r, &tmp);
        as_store64(&e->a, to, s);
        temp_release(e, tmp);
        return;
    }
    s = use_reg(e, r, &tmp);                    /* zero-extend from its type */
    unsigned d = tmp != NOREG ? tmp : temp_get(e);
    if (t == TY_I8)
        as_rr8(&e->a, 0x0fb6, d, s);
    else if (t == TY_I16)
        as_rr(&e->a, 0x0fb7, false, d, s);
    else
        as_mov_rr(&e->a, false, d, s);
    as_store64(&e->a, to, d);
    temp_release(e, d);
}

void emit_call(struct emit *e, const struct ir_ins *p)
{
    const struct helper_info *h = &helper_info[p->aux];
    const ir_ref ops[3] = { p->a, p->b, p->c };
    if (h->reads & HS_FLAGS)
        flags_to_mem(e);
    flags_clobber(e);
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
    vtemps_spill(e);
    if (h->writes & (HS_SYS | HS_X87))
        slots_overwrite(e);
    emit_thunk_call(e, e->be->help[p->aux], e->pc, h->status ? recipe_here(e) : 0);
    e->x87_in = false;
    if (h->writes & HS_FLAGS)
        flags_written(e);
    if (p->type != TY_NONE && e->val[e->i].last > e->i) {
        unsigned d = temp_get(e);
        as_load64(&e->a, d, hm_cpu(CPU_OFF(hret)));
        def_done(e, e->i, d, 0xff, false);
    }
}

/*
 * An operation without a rule: its operands go to c->va[1..3], a copy of the
 * instruction lies in the code stream, and C computes c->va[0] by interp_op().
 */
void emit_fallback(struct emit *e, const struct ir_ins *p)
{
    const ir_ref ops[3] = { p->a, p->b, p->c };
    /* Their flags are the caller's. */
    assert(!flags_wanted(e, e->i) || p->op == IR_POPCNT || p->op == IR_SHLD || p->op == IR_SHRD);
    flags_clobber(e);
    for (unsigned n = 0; n < 3; n++) {
        struct hm to = hm_cpu(CPU_OFF(va) + 16 * (n + 1));
        unsigned tmp, s;
        if (!ops[n])
            continue;
        if (e->b->ins[ops[n]].type == TY_FLAGS) {
            flags_save(e, ops[n]);
            assert(!"flags operand of an operation done in C");
        } else if (e->b->ins[ops[n]].type == TY_V128) {
            s = vuse_reg(e, ops[n], &tmp);
            as_rm(&e->a, 0x0f29, false, s, to);
            vtemp_release(e, tmp);
        } else {
            emit_arg(e, n, ops[n]);
            unsigned d = temp_get(e);
            as_load64(&e->a, d, hm_cpu(CPU_OFF(arg) + 8 * n));
            as_store64(&e->a, to, d);
            temp_release(e, d);
        }
    }
    vtemps_spill(e);
    unsigned t = temp_get(e);
    as_b(&e->a, 0x4c);                          /* lea t, [rip + 2]: REX.W.R, t is r13-r15 */
    as_b(&e->a, 0x8d);
    as_b(&e->a, (t & 7) << 3 | 5);
    as_d(&e->a, 2);
    as_b(&e->a, 0xeb);
    as_b(&e->a, sizeof *p);
    memcpy(e->a.p, p, sizeof *p);
    e->a.p += sizeof *p;
    as_store64(&e->a, hm_cpu(CPU_OFF(arg[0])), t);
    temp_release(e, t);
    emit_thunk_call(e, e->be->op, e->pc, 0);
    e->x87_in = false;
    if (p->type == TY_V128) {
        unsigned home, d = vdef_reg(e, e->i, &home);
        as_rm(&e->a, 0x0f28, false, d, hm_cpu(CPU_OFF(va)));
        vdef_done(e, e->i, d, home);
    } else if (p->type != TY_NONE) {
        unsigned d = temp_get(e);
        as_load64(&e->a, d, hm_cpu(CPU_OFF(va)));
        def_done(e, e->i, d, 0xff, false);
    }
}

/* ---- direct exits ---- */

static struct host_exit *exit_new(struct emit *e, const struct ir_ins *p)
{
    assert(e->out->nexits < BACKEND_MAX_EXITS);
    struct host_exit *x = &e->out->exit[e->out->nexits++];
    /* the array is reused: an exit that gets no stub must not be known by an old one's address */
    *x = (struct host_exit){ .pc = p->imm, .aux = p->aux };
    return x;
}

/* A field that holds `value`, which follows from the exit's PC. what: EXIT_HOLE_*. */
static void exit_field(struct emit *e, const struct host_exit *x, int32_t value, unsigned what)
{
    as_d_hole(&e->a, e->a.notes ? 0 : (uint32_t)value, what + 2 * (unsigned)(x - e->out->exit));
}

/*
 * The stub an unlinked exit jumps to: its return address tells the run loop which exit it was.
 * Behind the CALL of one across pages lies the target's page offset, for the thunk `hop`.
 */
static void emit_stub(struct emit *e, struct host_exit *x, uint8_t *from, uint8_t *thunk)
{
    if (from)
        as_patch(&e->a, from, e->a.p);
    emit_thunk_call(e, thunk, (int32_t)x->pc, 0);
    x->stub_ra = (uint32_t)(e->a.p - e->start);
    if (e->b->flat && (x->aux & EXIT_CROSS))
        exit_field(e, x, (int32_t)x->pc, EXIT_HOLE_PC);
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

void emit_goto_pc(struct emit *e, int64_t pc, uint8_t *thunk, unsigned t)
{
    as_pin(&e->a);
    if (e->b->flat) {
        as_load64(&e->a, t, hm_cpu(CPU_OFF(pc_page)));
        as_lea(&e->a, (e->b->mode & M_CODE) == M_CODE64, t, hm_at(t, (int32_t)pc));
    } else {
        as_mov_ri(&e->a, t, (uint32_t)pc);
    }
    as_store64(&e->a, hm_cpu(CPU_OFF(rip)), t);
    emit_thunk_call(e, thunk, (int32_t)pc, 0);
}

/*
 * The jump of an exit, here or out of line.  In the page: one patchable JMP.
 * Across pages: the link holds only under the page key it was made for, so
 *      cmp  dword [pagekey], from      (an unlinked exit has 0, which is no key)
 *      jne  stub
 *      mov  dword [pagekey], to
 *      add  qword [pc_page], delta
 *      jmp  target
 */
static void emit_jump(struct emit *e, struct host_exit *x)
{
    if (solo(e)) {
        emit_stub(e, x, NULL, e->be->next);
        return;
    }
    if (x->aux & EXIT_EVENT) {
        emit_goto_pc(e, x->pc, e->be->dispatch, T_FIRST);        /* the mode may have changed */
        return;
    }
    if (!(x->aux & EXIT_CROSS)) {
        uint8_t *j = as_jmp(&e->a);
        x->jump = (uint32_t)(j - e->start);
        stub_later(e, x, j);
        return;
    }
    as_rm(&e->a, 0x81, false, 7, hm_cpu(CPU_OFF(pagekey)));
    x->key_from = (uint32_t)(e->a.p - e->start);
    as_d(&e->a, 0);
    uint8_t *j = as_jcc(&e->a, CC_NZ);
    as_rm(&e->a, 0xc7, false, 0, hm_cpu(CPU_OFF(pagekey)));
    x->key_to = (uint32_t)(e->a.p - e->start);
    as_d(&e->a, 0);
    as_rm(&e->a, 0x81, true, 0, hm_cpu(CPU_OFF(pc_page)));
    exit_field(e, x, (int32_t)x->pc & -4096, EXIT_HOLE_PAGE);
    x->jump = (uint32_t)(as_jmp(&e->a) - e->start);
    as_set_rel(e->start + x->jump, e->start);   /* anywhere valid: the guard fails until it is linked */
    stub_later(e, x, j);
}

/* 2^32 over the golden ratio: three instructions for an entry's offset in bytes. */
#define JC_MUL 0x9e3779b1u
uint32_t backend_jc_hash(uint64_t rip)
{
    return (uint32_t)rip * JC_MUL >> (32 - JC_BITS);
}

/*
 * To the RIP in t0, through the jump cache:
 *
 *      imul t1, t0, JC_MUL         offset of the entry (backend_jc_hash)
 *      shr  t1, 32 - JC_BITS - JC_SHIFT
 *      and  t1, -(1 << JC_SHIFT)
 *      xor  t0, [salt]             the tag
 *      cmp  t0, [entry.tag]
 *      jne  miss                   its rel32 is returned; t0 is the tag then
 *      movaps x, [entry.page]      page and key,
 *      movaps [pc_page], x         as they lie in struct cpu
 *      jmp  [entry.host]
 *
 * Where the host predicts the jump, only the number of instructions counts: what
 * is read here is off every dependency chain.
 */
uint8_t *emit_jump_cache(struct as *a, unsigned t0, unsigned t1, unsigned x)
{
    struct hm tag = hm_idx(H_RSP, t1, 0, (int32_t)JC_OFF), host = tag, page = tag;
    host.disp += (int32_t)offsetof(struct jc_entry, host);
    page.disp += (int32_t)offsetof(struct jc_entry, page);
    as_rr(a, 0x69, false, t1, t0);
    as_d(a, JC_MUL);
    as_shift_ri(a, 5, false, t1, 32 - JC_BITS - JC_SHIFT);
    as_alu_ri(a, 4, false, t1, -(1 << JC_SHIFT));
    as_rm(a, 0x33, true, t0, hm_cpu(CPU_OFF(jc_salt)));
    as_rm(a, 0x3b, true, t0, tag);
    uint8_t *miss = as_jcc(a, CC_NZ);
    as_rm(a, 0x0f28, false, x, page);
    as_rm(a, 0x0f29, false, x, hm_cpu(CPU_OFF(pc_page)));
    as_rm(a, 0xff, false, 4, host);
    return miss;
}

static void emit_exit_ind(struct emit *e, const struct ir_ins *p)
{
    flags_to_mem(e);
    flags_clobber(e);
    /* nothing is needed after this: a target already in a temporary may be used up there */
    unsigned t0 = e->val[p->a].loc == LOC_TEMP ? temp_take(e, e->val[p->a].reg) : use_copy(e, p->a);
    if (!e->b->flat || solo(e)) {
        as_store64(&e->a, hm_cpu(CPU_OFF(rip)), t0);
        temp_release(e, t0);
        emit_thunk_call(e, e->be->next_rip, e->pc, 0);
        return;
    }
    unsigned t1 = temp_get(e);
    e->ind_miss = emit_jump_cache(&e->a, t0, t1, VT_FIRST);
    e->ind_rip = (uint8_t)t0;
    temp_release(e, t0);
    temp_release(e, t1);
}

/* The jump cache does not know the target: the run loop must. */
static void emit_ind_miss(struct emit *e)
{
    as_patch(&e->a, e->ind_miss, e->a.p);
    as_rm(&e->a, 0x33, true, e->ind_rip, hm_cpu(CPU_OFF(jc_salt)));
    as_store64(&e->a, hm_cpu(CPU_OFF(rip)), e->ind_rip);
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

void emit_exit(struct emit *e, const struct ir_ins *p)
{
    struct leave leave = { .n = 0 };
    bool later = false;
    if (e->seen && recipe_leave(e, e->seen_changed, &leave)) {
        /* A branch forward is taken less often than not: leave its record out of line. */
        later = p->op == IR_EXIT_IF && !(p->aux & EXIT_LOOP);
        if (!later)
            leave_here(e, &leave);
    }
    e->seen = false;
    switch (p->op) {
    case IR_EXIT:
        if ((p->aux & EXIT_LIVE) && !((p->aux & EXIT_HOSTF) && e->ef && e->ef == e->arch))
            flags_to_mem(e);
        if (!(p->aux & EXIT_FALL))
            emit_jump(e, exit_new(e, p));
        break;
    case IR_EXIT_IF: {
        bool live = (p->aux & EXIT_LIVE) && e->flv[e->arch].loc != LOC_FLMEM;
        const struct val *v = &e->val[p->a];
        bool defer = live && e->ef && e->ef == e->arch && v->loc == LOC_CC && (ir_ref)v->imm == e->ef;
        if (live && !defer)
            flags_to_mem(e);
        unsigned cc = cond_test(e, p->a);
        struct host_exit *x = exit_new(e, p);
        uint8_t *j = as_jcc(&e->a, cc);
        x->jump = (uint32_t)(j - e->start);
        assert(e->nside < BACKEND_MAX_EXITS);
        e->side[e->nside].jcc = j;
        e->side[e->nside].exit = (unsigned)(x - e->out->exit);
        e->side[e->nside].leave = leave;
        e->side[e->nside].leave.name = later ? leave.name : 0;
        e->side[e->nside++].save_flags = defer;
        break;
    }
    case IR_EXIT_IND:
        emit_exit_ind(e, p);
        break;
    case IR_EXIT_SYS:
        flags_to_mem(e);
        emit_thunk_call(e, solo(e) ? e->be->next_rip : e->be->dispatch, e->pc, 0);
        break;
    case IR_RAISE:
        flags_to_mem(e);
        emit_arg_val(e, 0, &(struct val){ .loc = LOC_CONST, .imm = p->aux });
        emit_arg_val(e, 1, &(struct val){ .loc = LOC_CONST, .imm = p->imm });
        emit_thunk_call(e, e->be->raise, e->pc, 0);
        break;
    default:
        assert(0);
    }
}

void emit_side_exits(struct emit *e)
{
    if (e->ind_miss)
        emit_ind_miss(e);
    for (unsigned k = 0; k < e->nside; k++) {
        struct host_exit *x = &e->out->exit[e->side[k].exit];
        bool plain = !e->side[k].save_flags && !e->side[k].leave.name;
        if (plain && !(x->aux & (EXIT_CROSS | EXIT_EVENT)) && !solo(e)) {
            emit_stub(e, x, e->side[k].jcc, e->be->link);       /* the Jcc itself gets patched */
            continue;
        }
        as_patch(&e->a, e->side[k].jcc, e->a.p);
        if (e->side[k].save_flags) {
            as_b(&e->a, 0x9c);
            as_rm(&e->a, 0x8f, false, 0, hm_cpu(CPU_OFF(flags)));
        }
        if (e->side[k].leave.name)
            recipe_emit_leave(e, &e->side[k].leave, true);
        emit_jump(e, x);
    }
    for (unsigned k = 0; k < e->nstub; k++)
        emit_stub(e, &e->out->exit[e->stub[k].exit], e->stub[k].from, e->be->link);
}
