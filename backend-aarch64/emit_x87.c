/*
 * emit_x87.c - the IR op X87: a call of the operation's routine (x87.c).
 *
 * The x87's state is in struct cpu all the time.  A routine may destroy the temporaries and the
 * flags, so that it need not save anything; what is in them goes to memory before.  All else it
 * leaves alone, and it cannot fault.
 */
#include "backend-aarch64/emit.h"

/* The 16 bits at offset off of struct cpu become this operation's value. */
static void field(struct emit *e, uint32_t off)
{
    unsigned home, d;
    if (e->val[e->i].last <= e->i)
        return;
    d = def_reg(e, e->i, &home);
    host_field(e, true, 1, d, off);
    def_done(e, e->i, d, home, true);
}

/* Nothing becomes unmasked, or IR behind it leaves for a block of the other kind: C knows what to do then. */
static void load_control(struct emit *e)
{
    struct as *a = &e->a;
    uint8_t *masked, *done;
    as_rrr(a, OP_ORN, false, 0, H_ZR, H_S0);
    as_logic_i(a, OPI_AND, false, 0, 0, 0x3f);
    masked = as_cbz(a, false, 0);
    as_mov_i(a, H_S1, X87_LDCW);
    emit_thunk_call(e, e->be->x87[X87_LDCW], e->pc, 0);
    done = as_b(a);
    as_patch(masked, a->p);
    as_mov_i(a, 0, 0x1f3f);                             /* bits that are not reserved; bit 6 reads as 1 */
    as_rrr(a, OP_AND, false, 0, 0, H_S0);
    as_logic_i(a, OPI_ORR, false, 0, 0, 0x40);
    host_field(e, false, 1, 0, CPU_OFF(fpu.cw));
    host_field(e, true, 1, 0, CPU_OFF(fpu.sw));         /* no ES, no B */
    as_logic_i(a, OPI_AND, false, 0, 0, 0x7f7f7f7f);
    host_field(e, false, 1, 0, CPU_OFF(fpu.sw));
    as_patch(done, a->p);
}

void emit_x87(struct emit *e, const struct ir_ins *p)
{
    unsigned id = p->aux & 0xff;
    switch (id) {
    case X87_STSW:
        field(e, CPU_OFF(fpu.sw));
        return;
    case X87_STCW:
        field(e, CPU_OFF(fpu.cw));
        return;
    case X87_GETHI:
        field(e, CPU_OFF(hv) + 8);
        return;
    case X87_SETHI:
        use_extended(e, p->a, false, H_S0);
        host_field(e, false, 1, H_S0, CPU_OFF(hv) + 8);
        return;
    }
    flags_clobber(e);
    if (p->a)
        use_extended(e, p->a, false, H_S0);
    slots_overwrite(e);
    temps_spill(e);
    if (id == X87_LDCW) {
        load_control(e);
        return;
    }
    as_mov_i(&e->a, H_S1, p->aux);
    emit_thunk_call(e, e->be->x87[id], e->pc, 0);
    if (p->type != TY_NONE && e->val[e->i].last > e->i)
        def_done(e, e->i, temp_take(e, T_FIRST), 0xff, true);
}
