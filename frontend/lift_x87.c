/*
 * lift_x87.c - lift functions of the x87 family (x86_x87.def).
 *
 * With all exceptions masked an instruction is one IR op X87 (x87.def), which
 * cannot fault, and the loads and stores around it.  What a store would do to
 * the x87 must not happen if it faults, so write permission is checked first (by
 * a load that asks for it: with a shared probe that costs nothing), then the
 * value is made without popping - doing so twice changes nothing more, should
 * the store have to be redone - and the popping form runs last.
 *
 * FCOMI sets the flags even if it raises an unmasked exception: so do current
 * chips, whatever the manual says.
 *
 * Pointers (SDM vol. 1, 8.1.8).  FIP is that of the last instruction that is not a
 * control instruction, FOP and on newer processors FDP (CPUID FDP_EXCPTN_ONLY) those
 * of the last one that raised an unmasked exception.  So with all masked only FIP
 * is left: c->fpu.ip gets the block's page once, c->x87_off the offset by a store
 * of a constant for each instruction, of which opt_needs() removes those nobody can see.
 * All comes behind what can fault: an instruction that faults leaves them alone.
 *
 * With some exception unmasked (M_UNM_X87) each operation is a helper call, and
 * waiting instructions look for pending exceptions first.
 */
#include "frontend/lift.h"

static bool unmasked(const struct lift *l)
{
    return l->mode & M_UNM_X87;
}

static ir_ref widen(struct lift *l, ir_ref v)
{
    if (!v)
        return ir_const(l->b, TY_I64, 0);
    return ir_type_of(l->b, v) == TY_I64 ? v : ir_un(l->b, IR_ZEXT, TY_I64, v);
}

static ir_ref truncate(struct lift *l, enum ir_type t, ir_ref v)
{
    return ir_type_of(l->b, v) == t ? v : ir_un(l->b, IR_TRUNC, t, v);
}

/* A waiting instruction: pending exceptions come first. */
static void wait_first(struct lift *l)
{
    if (unmasked(l))
        lift_call(l, HELP_x87_wait, IR_NONE, IR_NONE, IR_NONE, 0);
}

static void put(struct lift *l, uint32_t off, ir_ref v)
{
    ir_emit(l->b, IR_PUT, ir_type_of(l->b, v), 0, v, IR_NONE, IR_NONE, off);
}

static ir_ref selector(struct lift *l, unsigned seg)
{
    return ir_emit(l->b, IR_GET, TY_I16, 0, IR_NONE, IR_NONE, IR_NONE,
                   CPU_OFF(seg[0].sel) + seg * sizeof(struct seg));
}

static bool has(const struct lift *l, enum x86_feat f)
{
    return !l->feats || (l->feats[f / 64] >> (f % 64) & 1);
}

/* Instruction i, which is no control instruction, cannot fault any more. */
static void pointers(struct lift *l, const struct insn *i)
{
    bool mem = i->nops && i->op[0].kind == OPND_MEM, selectors = !has(l, FEAT_ZERO_FCS_FDS);

    if (!l->x87_page)
        put(l, CPU_OFF(fpu.ip), l->flat_cs ? ir_emit(l->b, IR_GET, TY_I64, 0, IR_NONE, IR_NONE, IR_NONE,
                                                     CPU_OFF(pc_page))
                                           : ir_const(l->b, TY_I64, 0));
    l->x87_page = true;
    put(l, CPU_OFF(x87_off), ir_const(l->b, TY_I32, l->pc));
    if (selectors)
        put(l, CPU_OFF(fpu.cs), selector(l, SEG_CS));
    if (mem && !has(l, FEAT_FDP_EXCPTN_ONLY)) {
        put(l, CPU_OFF(fpu.dp), lift_offset(l, i));
        if (selectors)
            put(l, CPU_OFF(fpu.ds), selector(l, i->seg));
    }
}

/* What is recorded of instruction i if it raises an unmasked exception. */
static void if_raised(struct lift *l, const struct insn *i)
{
    bool mem = i->nops && i->op[0].kind == OPND_MEM;
    unsigned opcode = (i->opcode & 7u) << 8 | i->modrm | (mem ? X87_NOW_MEM : 0);

    if (unmasked(l))
        lift_call(l, HELP_x87_now, ir_const(l->b, TY_I64, opcode),
                  mem ? lift_offset(l, i) : ir_const(l->b, TY_I64, 0), ir_const(l->b, TY_I64, i->seg), 0);
}

/* The operation; hi: upper 16 bits of a 10-byte operand; t: type of the result or TY_NONE. */
static ir_ref op(struct lift *l, enum ir_type t, unsigned id, unsigned i, ir_ref a, ir_ref hi)
{
    unsigned aux = id | i << 8;
    ir_ref r;

    if (unmasked(l)) {
        r = lift_call(l, HELP_x87_exec, ir_const(l->b, TY_I64, aux), widen(l, a), widen(l, hi), 0);
        return t == TY_NONE ? r : truncate(l, t, r);
    }
    l->b->uses_x87 = true;
    if (hi)
        ir_emit(l->b, IR_X87, TY_NONE, X87_SETHI, hi, IR_NONE, IR_NONE, 0);
    return ir_emit(l->b, IR_X87, t, aux, a, IR_NONE, IR_NONE, 0);
}

bool lift_x87_reg(struct lift *l, const struct insn *i)
{
    wait_first(l);
    if_raised(l, i);
    op(l, TY_NONE, (unsigned)i->row->arg, i->nops ? i->modrm & 7u : 0, IR_NONE, IR_NONE);
    pointers(l, i);
    return true;
}

bool lift_x87_load(struct lift *l, const struct insn *i)
{
    unsigned size = i->op[0].size;
    ir_ref a, v, hi = IR_NONE;
    int64_t imm;

    wait_first(l);
    a = lift_addr(l, i, size, false, &imm);
    v = lift_load(l, size == 10 ? TY_I64 : lift_type(size), a, imm, i->seg, 0);
    if (size == 10)
        hi = lift_load(l, TY_I16, a, imm + 8, i->seg, 0);
    if_raised(l, i);
    op(l, TY_NONE, (unsigned)i->row->arg, 0, v, hi);
    pointers(l, i);
    return true;
}

bool lift_x87_store(struct lift *l, const struct insn *i)
{
    unsigned size = i->op[0].size, id = (unsigned)i->row->arg;
    enum ir_type t = size == 10 ? TY_I64 : lift_type(size);
    bool pops = x87_info[id].kind == X87_POP;
    unsigned value = pops ? id - X87_FSTP_M32 + X87_FST_M32 : id;
    ir_ref a, old, old_hi = IR_NONE, v, hi = IR_NONE;
    int64_t imm;

    wait_first(l);
    a = lift_addr(l, i, size, true, &imm);
    old = lift_load(l, t, a, imm, i->seg, MEM_WRITE);
    if (size == 10)
        old_hi = lift_load(l, TY_I16, a, imm + 8, i->seg, MEM_WRITE);
    if_raised(l, i);
    v = op(l, t, value, 0, IR_NONE, IR_NONE);
    if (unmasked(l)) {
        /* An unmasked exception may forbid the store: then what was there is written. */
        ir_ref no = truncate(l, TY_I8, lift_call(l, HELP_x87_outcome, ir_const(l->b, TY_I64, 1), IR_NONE,
                                                 IR_NONE, 0));

        v = ir_emit(l->b, IR_SELECT, t, 0, no, old, v, 0);
        if (size == 10) {
            hi = lift_call(l, HELP_x87_outcome, ir_const(l->b, TY_I64, 0), IR_NONE, IR_NONE, 0);
            hi = ir_emit(l->b, IR_SELECT, TY_I16, 0, no, old_hi, truncate(l, TY_I16, hi), 0);
        }
    } else if (size == 10) {
        hi = ir_emit(l->b, IR_X87, TY_I16, X87_GETHI, IR_NONE, IR_NONE, IR_NONE, 0);
    }
    lift_store(l, a, imm, i->seg, v);
    if (size == 10)
        lift_store(l, a, imm + 8, i->seg, hi);
    pointers(l, i);
    if (pops)
        op(l, TY_NONE, id, 0, IR_NONE, IR_NONE);
    return true;
}

bool lift_x87_comi(struct lift *l, const struct insn *i)
{
    ir_ref v, f;

    wait_first(l);
    if_raised(l, i);
    v = op(l, TY_I32, (unsigned)i->row->arg, i->modrm & 7u, IR_NONE, IR_NONE);
    f = ir_emit(l->b, IR_FMERGE, TY_FLAGS, 0, v, IR_NONE, IR_NONE, FL_ARITH);
    ir_emit(l->b, IR_PUTF, TY_NONE, 0, f, IR_NONE, IR_NONE, 0);
    pointers(l, i);
    return true;
}

bool lift_x87_cmov(struct lift *l, const struct insn *i)
{
    ir_ref cond;

    wait_first(l);
    if_raised(l, i);
    cond = lift_cond(l, (unsigned)i->row->arg);
    op(l, TY_NONE, X87_FCMOV, i->modrm & 7u, cond, IR_NONE);
    pointers(l, i);
    return true;
}

/* FNOP waits; the instructions of the 8087 and 287 that do nothing since do not. */
bool lift_x87_nop(struct lift *l, const struct insn *i)
{
    if (i->row->arg) {
        wait_first(l);
        pointers(l, i);
    }
    return true;
}

bool lift_x87_wait(struct lift *l, const struct insn *i)
{
    if (l->mode & M_MP_WAIT) {
        lift_raise(l, EXC_NM, -1);
        return true;
    }
    wait_first(l);
    return true;
}

bool lift_x87_clex(struct lift *l, const struct insn *i)
{
    op(l, TY_NONE, X87_FNCLEX, 0, IR_NONE, IR_NONE);
    return true;
}

/* FNSTCW, FNSTSW: do not wait. */
bool lift_x87_stcw(struct lift *l, const struct insn *i)
{
    unsigned id = (unsigned)i->row->arg;
    ir_ref a = IR_NONE, v;
    int64_t imm = 0;

    if (i->op[0].kind == OPND_MEM)
        a = lift_addr(l, i, 2, true, &imm);
    v = op(l, TY_I16, id, 0, IR_NONE, IR_NONE);
    if (a)
        lift_store(l, a, imm, i->seg, v);
    else
        lift_put(l, R_AX, 2, false, v);
    return true;
}

/* Go on behind the instruction, through the run loop if cond (any integer) is not 0. */
static bool event_if(struct lift *l, ir_ref cond)
{
    lift_exit_if(l, truncate(l, TY_I8, cond), l->next, EXIT_EVENT);
    return true;
}

bool lift_x87_ldcw(struct lift *l, const struct insn *i)
{
    ir_ref a, v, m;
    int64_t imm;

    wait_first(l);
    a = lift_addr(l, i, 2, false, &imm);
    v = lift_load(l, TY_I16, a, imm, i->seg, 0);
    if (unmasked(l))
        return event_if(l, lift_call(l, HELP_x87_ldcw, widen(l, v), IR_NONE, IR_NONE, 0));
    op(l, TY_NONE, X87_LDCW, 0, v, IR_NONE);
    /* The mode changes if not all exceptions stay masked. */
    m = ir_bin(l->b, IR_AND, TY_I16, v, ir_const(l->b, TY_I16, 0x3f));
    m = ir_emit(l->b, IR_EQ, TY_I8, 0, m, ir_const(l->b, TY_I16, 0x3f), IR_NONE, 0);
    return event_if(l, ir_bin(l->b, IR_XOR, TY_I8, m, ir_const(l->b, TY_I8, 1)));
}

bool lift_x87_init(struct lift *l, const struct insn *i)
{
    l->x87_page = false;
    return event_if(l, lift_call(l, HELP_x87_init, IR_NONE, IR_NONE, IR_NONE, 0));
}

static bool environment(struct lift *l, const struct insn *i, unsigned how)
{
    unsigned helper = (unsigned)i->row->arg;
    bool store = helper == HELP_x87_stenv;
    ir_ref a;

    if (i->opsize == 2)
        how |= X87_ENV_16;
    if (!(l->mode & M_PE) || (l->mode & M_VM))
        how |= X87_ENV_REAL;
    if (!store)
        wait_first(l);
    l->x87_page = false;
    a = lift_linear(l, i, (how & X87_ENV_16 ? 14u : 28u) + (how & X87_ENV_SAVE ? 80u : 0), store);
    return event_if(l, lift_call(l, (enum helper_id)helper, a, ir_const(l->b, TY_I64, how),
                                 ir_const(l->b, TY_I64, lift_memaux(l, i->seg, 0)), 0));
}

bool lift_x87_env(struct lift *l, const struct insn *i)
{
    return environment(l, i, 0);
}

bool lift_x87_save(struct lift *l, const struct insn *i)
{
    return environment(l, i, X87_ENV_SAVE);
}
