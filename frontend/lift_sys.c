/*
 * lift_sys.c - lift functions of the system family (x86_sys.def).
 *
 * Most of it calls helpers.  What kernels do all the time is inline: CLI, PUSHF,
 * SWAPGS, reads of control registers, FS and GS bases.  A helper whose row says
 * so returns 1 when the mode word or the deliverability of interrupts changed;
 * the block is left for the run loop only then (event_if).
 */
#include "frontend/lift.h"

static ir_ref const64(struct lift *l, uint64_t v)
{
    return ir_const(l->b, TY_I64, (int64_t)v);
}

static ir_ref zext64(struct lift *l, ir_ref v)
{
    return ir_type_of(l->b, v) == TY_I64 ? v : ir_un(l->b, IR_ZEXT, TY_I64, v);
}

static ir_ref trunc_to(struct lift *l, enum ir_type t, ir_ref v)
{
    return ir_type_of(l->b, v) == t ? v : ir_un(l->b, IR_TRUNC, t, v);
}

static ir_ref slot_get(struct lift *l, enum ir_type t, uint32_t off)
{
    return ir_emit(l->b, IR_GET, t, 0, IR_NONE, IR_NONE, IR_NONE, off);
}

static void slot_put(struct lift *l, uint32_t off, ir_ref v)
{
    ir_emit(l->b, IR_PUT, ir_type_of(l->b, v), 0, v, IR_NONE, IR_NONE, off);
}

static unsigned cpl_of(const struct lift *l)
{
    return (l->mode & M_CPL) >> M_CPL_SHIFT;
}

/* At CPL > 0 the instruction raises #GP(0): true, and the block has ended. */
static bool not_cpl0(struct lift *l)
{
    if (!cpl_of(l))
        return false;
    lift_raise(l, EXC_GP, 0);
    return true;
}

static bool one_at_a_time(const struct lift *l)
{
    return l->mode & (M_ONE | M_TF | M_BRK);
}

/* The block ends here for good, c->rip being set by the helper. */
static bool end_there(struct lift *l)
{
    lift_exit_sys(l, IR_NONE);
    return true;
}

/* The block ends, execution goes on behind this instruction, maybe in another mode. */
static bool end_next(struct lift *l)
{
    lift_exit_sys(l, lift_rip(l, l->next));
    return true;
}

/* Leave for the run loop if the helper's value is not 0. */
static bool event_if(struct lift *l, ir_ref hret)
{
    if (one_at_a_time(l))
        return end_next(l);
    lift_exit_if(l, trunc_to(l, TY_I8, hret), l->next, EXIT_EVENT);
    return true;
}

/* Replace ZF by `zf` (i8, 0 or 1); the others stay. */
static void put_zf(struct lift *l, ir_ref zf)
{
    ir_ref bits = ir_bin(l->b, IR_SHL, TY_I32, ir_un(l->b, IR_ZEXT, TY_I32, zf), ir_const(l->b, TY_I8, 6));

    lift_set_flags(l, FL_ZF, bits);
}

/* EDX:EAX from and to one i64. */
static ir_ref get_edx_eax(struct lift *l)
{
    ir_ref lo = zext64(l, lift_get(l, R_AX, 4, false)), hi = zext64(l, lift_get(l, R_DX, 4, false));

    return ir_bin(l->b, IR_OR, TY_I64, lo, ir_bin(l->b, IR_SHL, TY_I64, hi, ir_const(l->b, TY_I8, 32)));
}

static void put_edx_eax(struct lift *l, ir_ref v)
{
    ir_ref hi = ir_bin(l->b, IR_SHR, TY_I64, v, ir_const(l->b, TY_I8, 32));

    lift_put(l, R_AX, 4, false, trunc_to(l, TY_I32, v));
    lift_put(l, R_DX, 4, false, trunc_to(l, TY_I32, hi));
}

static ir_ref get_ecx(struct lift *l)
{
    return zext64(l, lift_get(l, R_CX, 4, false));
}

/* ---- segment registers ---- */

bool lift_mov_from_seg(struct lift *l, const struct insn *i)
{
    ir_ref v = slot_get(l, TY_I16, CPU_OFF(seg[0].sel) + i->op[1].reg * sizeof(struct seg));

    if (i->op[0].size > 2)
        v = ir_un(l->b, IR_ZEXT, lift_type(i->op[0].size), v);
    lift_write(l, i, 0, v);
    return true;
}

bool lift_mov_to_seg(struct lift *l, const struct insn *i)
{
    unsigned seg = i->op[0].reg;
    ir_ref r;

    if (seg == SEG_CS || seg > SEG_GS)
        return false;
    r = zext64(l, lift_read(l, i, 1));
    r = lift_call(l, HELP_load_seg, const64(l, seg), r, IR_NONE, 0);
    return event_if(l, r);
}

bool lift_push_seg(struct lift *l, const struct insn *i)
{
    ir_ref v = slot_get(l, TY_I16, CPU_OFF(seg[0].sel) + (unsigned)i->row->arg * sizeof(struct seg));
    ir_ref sp, a = lift_push_addr(l, i->opsize, &sp);

    if (i->opsize == 8)                 /* of 32 bits the upper half stays, as on all recent processors */
        v = zext64(l, v);
    lift_store(l, a, 0, SEG_SS, v);
    lift_set_sp(l, sp);
    return true;
}

bool lift_pop_seg(struct lift *l, const struct insn *i)
{
    ir_ref sp, v = lift_pop_value(l, i->opsize, 0, &sp), r;

    v = zext64(l, trunc_to(l, TY_I16, v));
    r = lift_call(l, HELP_load_seg, const64(l, (unsigned)i->row->arg), v, IR_NONE, 0);
    lift_set_sp(l, sp);
    return event_if(l, r);
}

/* Offset and selector of a far pointer in memory. */
static ir_ref load_far(struct lift *l, const struct insn *i, ir_ref *sel)
{
    ir_ref off = lift_load_part(l, i, 0, lift_type(i->opsize));

    *sel = zext64(l, lift_load_part(l, i, i->opsize, TY_I16));
    return off;
}

bool lift_lxs(struct lift *l, const struct insn *i)
{
    ir_ref sel, off = load_far(l, i, &sel), r;

    r = lift_call(l, HELP_load_seg, const64(l, (unsigned)i->row->arg | LOAD_SEG_FAR), sel, IR_NONE, 0);
    lift_put(l, i->op[0].reg, i->opsize, false, off);
    return event_if(l, r);
}

/* ---- far transfers ---- */

bool lift_far_imm(struct lift *l, const struct insn *i)
{
    uint64_t mask = i->opsize == 2 ? 0xffff : 0xffffffff;

    lift_call(l, (enum helper_id)i->row->arg, const64(l, i->imm2), const64(l, (uint64_t)i->imm & mask),
              lift_rip(l, l->next), i->opsize);
    return end_there(l);
}

bool lift_far_mem(struct lift *l, const struct insn *i)
{
    ir_ref sel, off = load_far(l, i, &sel);

    lift_call(l, (enum helper_id)i->row->arg, sel, zext64(l, off), lift_rip(l, l->next), i->opsize);
    return end_there(l);
}

bool lift_retf(struct lift *l, const struct insn *i)
{
    lift_call(l, HELP_far_ret, const64(l, i->nops ? (uint16_t)i->imm : 0), const64(l, i->opsize), IR_NONE, 0);
    return end_there(l);
}

bool lift_int(struct lift *l, const struct insn *i)
{
    unsigned kind = (unsigned)i->row->arg;
    unsigned vector = kind == INT_KIND_INT3 ? EXC_BP : kind == INT_KIND_ICEBP ? EXC_DB : (uint8_t)i->imm;

    lift_call(l, HELP_int_n, const64(l, vector), lift_rip(l, l->next), const64(l, kind), 0);
    return end_there(l);
}

bool lift_into(struct lift *l, const struct insn *i)
{
    lift_call(l, HELP_into, zext64(l, lift_cond(l, CC_O)), lift_rip(l, l->next), const64(l, 0), 0);
    return end_there(l);
}

bool lift_iret(struct lift *l, const struct insn *i)
{
    lift_call(l, HELP_iret, lift_rip(l, l->next), const64(l, i->opsize), IR_NONE, 0);
    return end_there(l);
}

bool lift_syscall(struct lift *l, const struct insn *i)
{
    lift_call(l, HELP_syscall, lift_rip(l, l->next), IR_NONE, IR_NONE, 0);
    return end_there(l);
}

bool lift_sysret(struct lift *l, const struct insn *i)
{
    if (not_cpl0(l))
        return true;
    lift_call(l, HELP_sysret, const64(l, i->opsize), IR_NONE, IR_NONE, 0);
    return end_there(l);
}

bool lift_sysenter(struct lift *l, const struct insn *i)
{
    lift_call(l, HELP_sysenter, IR_NONE, IR_NONE, IR_NONE, 0);
    return end_there(l);
}

bool lift_sysexit(struct lift *l, const struct insn *i)
{
    if (not_cpl0(l))
        return true;
    lift_call(l, HELP_sysexit, const64(l, i->opsize), IR_NONE, IR_NONE, 0);
    return end_there(l);
}

/* ---- flags ---- */

bool lift_pushf(struct lift *l, const struct insn *i)
{
    ir_ref v;

    if (l->mode & M_VM) {
        v = lift_call(l, HELP_pushf, const64(l, i->opsize), IR_NONE, IR_NONE, 0);
        v = trunc_to(l, TY_I32, v);
    } else {
        ir_ref f = ir_emit(l->b, IR_GETF, TY_FLAGS, 0, IR_NONE, IR_NONE, IR_NONE, 0);

        v = ir_emit(l->b, IR_FBITS, TY_I32, 0, f, IR_NONE, IR_NONE, FL_ARITH);
        v = ir_bin(l->b, IR_OR, TY_I32, v, slot_get(l, TY_I32, CPU_OFF(eflags)));
        v = ir_bin(l->b, IR_AND, TY_I32, v, ir_const(l->b, TY_I32, ~(FL_RF | FL_VM)));
        v = ir_bin(l->b, IR_OR, TY_I32, v, ir_const(l->b, TY_I32, FL_1));
    }
    if (i->opsize == 8)
        v = zext64(l, v);
    else
        v = trunc_to(l, lift_type(i->opsize), v);
    lift_push(l, i->opsize, v);
    return true;
}

bool lift_popf(struct lift *l, const struct insn *i)
{
    ir_ref sp, v = lift_pop_value(l, i->opsize, 0, &sp), r;

    r = lift_call(l, HELP_popf, zext64(l, v), const64(l, i->opsize), IR_NONE, 0);
    lift_set_sp(l, sp);
    return event_if(l, r);
}

/* CLI and STI need no thought in real mode and at CPL 0. */
bool lift_cli(struct lift *l, const struct insn *i)
{
    if ((l->mode & M_PE) && cpl_of(l)) {
        lift_call(l, HELP_cli, IR_NONE, IR_NONE, IR_NONE, 0);
    } else {
        ir_ref f = slot_get(l, TY_I32, CPU_OFF(eflags));

        slot_put(l, CPU_OFF(eflags), ir_bin(l->b, IR_AND, TY_I32, f, ir_const(l->b, TY_I32, ~FL_IF)));
    }
    return true;
}

/*
 * STI.  attn's top byte (ATTN_IF) belongs to the vCPU's own thread: a plain byte
 * store there cannot lose another thread's atomic OR to the other bytes.  The
 * shadow is kept by ending the block one instruction later (lift_block).
 */
bool lift_sti(struct lift *l, const struct insn *i)
{
    if ((l->mode & M_PE) && cpl_of(l)) {
        lift_call(l, HELP_sti, IR_NONE, IR_NONE, IR_NONE, 0);
    } else {
        ir_ref f = slot_get(l, TY_I32, CPU_OFF(eflags));

        slot_put(l, CPU_OFF(eflags), ir_bin(l->b, IR_OR, TY_I32, f, ir_const(l->b, TY_I32, FL_IF)));
        slot_put(l, CPU_OFF(attn) + 3, slot_get(l, TY_I8, CPU_OFF(intr_pending)));
    }
    l->stop_after_next = true;
    return true;
}

bool lift_hlt(struct lift *l, const struct insn *i)
{
    if (not_cpl0(l))
        return true;
    lift_call(l, HELP_hlt, IR_NONE, IR_NONE, IR_NONE, 0);
    return end_next(l);
}

/* MONITOR and MWAIT: #UD, not #GP, at CPL > 0. */
bool lift_monitor(struct lift *l, const struct insn *i)
{
    ir_ref off = zext64(l, lift_get(l, R_AX, i->addrsize, false));

    if (cpl_of(l))
        return false;
    lift_call(l, HELP_monitor, lift_seg_addr(l, i->seg, off, 1, false), get_ecx(l), IR_NONE, 0);
    return true;
}

bool lift_mwait(struct lift *l, const struct insn *i)
{
    if (cpl_of(l))
        return false;
    lift_call(l, HELP_mwait, get_ecx(l), IR_NONE, IR_NONE, 0);
    return end_next(l);
}

/* #UD outside SMM, which no mode bit tells. */
bool lift_rsm(struct lift *l, const struct insn *i)
{
    lift_call(l, HELP_rsm, IR_NONE, IR_NONE, IR_NONE, 0);
    return end_there(l);
}

/* ---- ports ---- */

bool lift_in(struct lift *l, const struct insn *i)
{
    unsigned size = i->op[0].size;
    ir_ref r = lift_call(l, HELP_in, zext64(l, lift_read(l, i, 1)), const64(l, size), IR_NONE, 0);

    lift_put(l, R_AX, size, false, trunc_to(l, lift_type(size), r));
    return true;
}

bool lift_out(struct lift *l, const struct insn *i)
{
    ir_ref port = zext64(l, lift_read(l, i, 0)), v = zext64(l, lift_read(l, i, 1));

    return event_if(l, lift_call(l, HELP_out, port, v, const64(l, i->op[1].size), 0));
}

/* INS and OUTS: the helper does a bounded number of elements and says whether to come again. */
static bool lift_io_string(struct lift *l, const struct insn *i, enum helper_id h, unsigned size,
                           unsigned seg)
{
    unsigned how = size | (i->rep ? STR_REP : 0) |
                   (i->addrsize == 2 ? STR_ADDR16 : i->addrsize == 4 ? STR_ADDR32 : 0);
    ir_ref r = lift_call(l, h, const64(l, how), const64(l, seg), IR_NONE, 0);

    if (!i->rep)
        return true;
    r = trunc_to(l, TY_I8, r);
    lift_exit_sys(l, ir_emit(l->b, IR_SELECT, TY_I64, 0, r, lift_rip(l, l->pc), lift_rip(l, l->next), 0));
    return true;
}

bool lift_ins(struct lift *l, const struct insn *i)
{
    return lift_io_string(l, i, HELP_ins, i->op[0].size, SEG_ES);
}

bool lift_outs(struct lift *l, const struct insn *i)
{
    return lift_io_string(l, i, HELP_outs, i->op[1].size, i->seg);
}

/* ---- control and debug registers ---- */

bool lift_mov_from_cr(struct lift *l, const struct insn *i)
{
    static const uint32_t slot[5] = { CPU_OFF(cr0), 0, CPU_OFF(cr2), CPU_OFF(cr3), CPU_OFF(cr4) };
    unsigned n = i->op[1].reg, size = i->op[0].size;
    ir_ref v;

    if (n != 8 && (n > 4 || n == 1))
        return false;
    if (not_cpl0(l))
        return true;
    if (n == 8)
        v = lift_call(l, HELP_get_cr8, IR_NONE, IR_NONE, IR_NONE, 0);
    else
        v = slot_get(l, TY_I64, slot[n]);
    lift_put(l, i->op[0].reg, size, false, trunc_to(l, lift_type(size), v));
    return true;
}

bool lift_mov_to_cr(struct lift *l, const struct insn *i)
{
    unsigned n = i->op[0].reg;
    ir_ref v;

    if (n != 8 && (n > 4 || n == 1))
        return false;
    if (not_cpl0(l))
        return true;
    v = zext64(l, lift_get(l, i->op[1].reg, i->op[1].size, false));
    lift_call(l, HELP_mov_to_cr, const64(l, n), v, IR_NONE, 0);
    return end_next(l);
}

bool lift_mov_from_dr(struct lift *l, const struct insn *i)
{
    unsigned size = i->op[0].size;
    ir_ref v;

    if (i->op[1].reg > 7)
        return false;
    if (not_cpl0(l))
        return true;
    v = lift_call(l, HELP_mov_from_dr, const64(l, i->op[1].reg), IR_NONE, IR_NONE, 0);
    lift_put(l, i->op[0].reg, size, false, trunc_to(l, lift_type(size), v));
    return true;
}

bool lift_mov_to_dr(struct lift *l, const struct insn *i)
{
    ir_ref v;

    if (i->op[0].reg > 7)
        return false;
    if (not_cpl0(l))
        return true;
    v = zext64(l, lift_get(l, i->op[1].reg, i->op[1].size, false));
    lift_call(l, HELP_mov_to_dr, const64(l, i->op[0].reg), v, IR_NONE, 0);
    return end_next(l);
}

bool lift_clts(struct lift *l, const struct insn *i)
{
    if (not_cpl0(l))
        return true;
    lift_call(l, HELP_clts, IR_NONE, IR_NONE, IR_NONE, 0);
    return end_next(l);
}

bool lift_wbinvd(struct lift *l, const struct insn *i)
{
    not_cpl0(l);
    return true;
}

/* SLDT, STR, SMSW: arg 0, 1, 2. */
bool lift_store_sys(struct lift *l, const struct insn *i)
{
    unsigned size = i->op[0].size;
    ir_ref v;

    if (cpl_of(l))
        lift_call(l, HELP_umip, IR_NONE, IR_NONE, IR_NONE, 0);
    if (i->row->arg == 2) {
        v = slot_get(l, lift_type(size), CPU_OFF(cr0));
    } else {
        v = slot_get(l, TY_I16, i->row->arg ? CPU_OFF(seg[SEG_TR].sel) : CPU_OFF(seg[SEG_LDTR].sel));
        if (size > 2)
            v = ir_un(l->b, IR_ZEXT, lift_type(size), v);
    }
    lift_write(l, i, 0, v);
    return true;
}

bool lift_lmsw(struct lift *l, const struct insn *i)
{
    if (not_cpl0(l))
        return true;
    lift_call(l, HELP_lmsw, zext64(l, lift_read(l, i, 0)), IR_NONE, IR_NONE, 0);
    return end_next(l);
}

bool lift_invlpg(struct lift *l, const struct insn *i)
{
    ir_ref lin;

    if (not_cpl0(l))
        return true;
    lin = lift_seg_addr(l, i->seg, lift_offset(l, i), 0, false);
    lift_call(l, HELP_invlpg, lin, IR_NONE, IR_NONE, 0);
    return end_next(l);
}

bool lift_invpcid(struct lift *l, const struct insn *i)
{
    ir_ref type, addr, lo, hi;
    int64_t imm = 0;

    if (not_cpl0(l))
        return true;
    type = zext64(l, lift_get(l, i->op[0].reg, i->op[0].size, false));
    addr = lift_addr(l, i, 16, false, &imm);
    lo = lift_load(l, TY_I64, addr, imm, i->seg, 0);
    hi = lift_load(l, TY_I64, addr, imm + 8, i->seg, 0);
    lift_call(l, HELP_invpcid, type, lo, hi, 0);
    return end_next(l);
}

/* ---- descriptor tables ---- */

bool lift_store_dt(struct lift *l, const struct insn *i)
{
    ir_ref addr = lift_linear(l, i, lift_64(l) ? 10 : 6, true);

    lift_call(l, HELP_store_dt, const64(l, (unsigned)i->row->arg), addr, const64(l, i->opsize), 0);
    return true;
}

bool lift_load_dt(struct lift *l, const struct insn *i)
{
    ir_ref limit, base;

    if (not_cpl0(l))
        return true;
    limit = zext64(l, lift_load_part(l, i, 0, TY_I16));
    base = zext64(l, lift_load_part(l, i, 2, lift_64(l) ? TY_I64 : TY_I32));
    if (!lift_64(l) && i->opsize == 2)
        base = ir_bin(l->b, IR_AND, TY_I64, base, const64(l, 0xffffff));
    lift_call(l, HELP_load_dt, const64(l, (unsigned)i->row->arg), base, limit, 0);
    return true;
}

/* LLDT, LTR: arg is the helper. */
bool lift_load_sys(struct lift *l, const struct insn *i)
{
    if (not_cpl0(l))
        return true;
    lift_call(l, (enum helper_id)i->row->arg, zext64(l, lift_read(l, i, 0)), IR_NONE, IR_NONE, 0);
    return true;
}

bool lift_verr(struct lift *l, const struct insn *i)
{
    ir_ref r = lift_call(l, HELP_verr, zext64(l, lift_read(l, i, 0)), const64(l, (unsigned)i->row->arg),
                         IR_NONE, 0);

    put_zf(l, trunc_to(l, TY_I8, r));
    return true;
}

/* LAR, LSL: arg is the helper; bit 32 of its value says whether the selector will do. */
bool lift_lar(struct lift *l, const struct insn *i)
{
    enum ir_type t = lift_type(i->opsize);
    ir_ref r = lift_call(l, (enum helper_id)i->row->arg, zext64(l, lift_read(l, i, 1)), IR_NONE, IR_NONE, 0);
    ir_ref ok = trunc_to(l, TY_I8, ir_bin(l->b, IR_SHR, TY_I64, r, ir_const(l->b, TY_I8, 32)));
    ir_ref v = t == TY_I64 ? ir_bin(l->b, IR_AND, TY_I64, r, const64(l, 0xffffffff)) : trunc_to(l, t, r);
    ir_ref old = lift_get(l, i->op[0].reg, i->opsize, false);

    v = ir_emit(l->b, IR_SELECT, t, 0, ok, v, old, 0);
    lift_put(l, i->op[0].reg, i->opsize, false, v);
    put_zf(l, ok);
    return true;
}

bool lift_arpl(struct lift *l, const struct insn *i)
{
    struct rmw m;
    ir_ref three = ir_const(l->b, TY_I16, 3);
    ir_ref d = lift_rmw_read(l, i, 0, &m), s = lift_read(l, i, 1);
    ir_ref rs = ir_bin(l->b, IR_AND, TY_I16, s, three), rd = ir_bin(l->b, IR_AND, TY_I16, d, three);
    ir_ref less = ir_emit(l->b, IR_LTU, TY_I8, 0, rd, rs, IR_NONE, 0);
    ir_ref v = ir_bin(l->b, IR_OR, TY_I16, ir_bin(l->b, IR_AND, TY_I16, d, ir_const(l->b, TY_I16, ~3)), rs);

    lift_rmw_write(l, i, 0, &m, ir_emit(l->b, IR_SELECT, TY_I16, 0, less, v, d, 0));
    put_zf(l, less);
    return true;
}

/* ---- MSRs, time, identification ---- */

bool lift_rdmsr(struct lift *l, const struct insn *i)
{
    if (not_cpl0(l))
        return true;
    put_edx_eax(l, lift_call(l, HELP_rdmsr, get_ecx(l), IR_NONE, IR_NONE, 0));
    return true;
}

bool lift_wrmsr(struct lift *l, const struct insn *i)
{
    if (not_cpl0(l))
        return true;
    return event_if(l, lift_call(l, HELP_wrmsr, get_ecx(l), get_edx_eax(l), IR_NONE, 0));
}

bool lift_rdtsc(struct lift *l, const struct insn *i)
{
    put_edx_eax(l, lift_call(l, HELP_rdtsc, IR_NONE, IR_NONE, IR_NONE, 0));
    if (i->row->arg)
        lift_put(l, R_CX, 4, false, slot_get(l, TY_I32, CPU_OFF(tsc_aux)));
    return true;
}

bool lift_rdpmc(struct lift *l, const struct insn *i)
{
    put_edx_eax(l, lift_call(l, HELP_rdpmc, get_ecx(l), IR_NONE, IR_NONE, 0));
    return true;
}

bool lift_cpuid(struct lift *l, const struct insn *i)
{
    lift_call(l, HELP_cpuid, IR_NONE, IR_NONE, IR_NONE, 0);
    return true;
}

bool lift_rdrand(struct lift *l, const struct insn *i)
{
    ir_ref r = lift_call(l, HELP_rdrand, IR_NONE, IR_NONE, IR_NONE, 0);

    lift_put(l, i->op[0].reg, i->opsize, false, trunc_to(l, lift_type(i->opsize), r));
    lift_set_flags(l, FL_ARITH, ir_const(l->b, TY_I32, FL_CF));
    return true;
}

bool lift_xgetbv(struct lift *l, const struct insn *i)
{
    put_edx_eax(l, lift_call(l, HELP_xgetbv, get_ecx(l), IR_NONE, IR_NONE, 0));
    return true;
}

/* #UD by CR4.OSXSAVE comes before #GP by CPL: the helper looks at both. */
bool lift_xsetbv(struct lift *l, const struct insn *i)
{
    lift_call(l, HELP_xsetbv, get_ecx(l), get_edx_eax(l), IR_NONE, 0);
    return end_next(l);
}

/* ---- bases, SMAP ---- */

bool lift_swapgs(struct lift *l, const struct insn *i)
{
    ir_ref a, b;

    if (not_cpl0(l))
        return true;
    a = slot_get(l, TY_I64, CPU_OFF(seg[SEG_GS].base));
    b = slot_get(l, TY_I64, CPU_OFF(kernel_gs_base));
    slot_put(l, CPU_OFF(seg[SEG_GS].base), b);
    slot_put(l, CPU_OFF(kernel_gs_base), a);
    return true;
}

bool lift_rdsegbase(struct lift *l, const struct insn *i)
{
    unsigned size = i->op[0].size;
    uint32_t off = CPU_OFF(seg[0].base) + (unsigned)i->row->arg * (uint32_t)sizeof(struct seg);

    lift_call(l, HELP_fsgs_check, const64(l, 0), IR_NONE, IR_NONE, 0);
    lift_put(l, i->op[0].reg, size, false, slot_get(l, lift_type(size), off));
    return true;
}

bool lift_wrsegbase(struct lift *l, const struct insn *i)
{
    uint32_t off = CPU_OFF(seg[0].base) + (unsigned)i->row->arg * (uint32_t)sizeof(struct seg);
    ir_ref v = zext64(l, lift_get(l, i->op[0].reg, i->op[0].size, false));

    lift_call(l, HELP_fsgs_check, v, IR_NONE, IR_NONE, 0);
    slot_put(l, off, v);
    return true;
}

/* STAC needs no new block where accesses already ignore SMAP. */
bool lift_set_ac(struct lift *l, const struct insn *i)
{
    if (cpl_of(l))
        return false;
    if (i->row->arg && (l->mode & M_MMU) >> M_MMU_SHIFT == MMU_KERNEL_NOSMAP) {
        ir_ref f = slot_get(l, TY_I32, CPU_OFF(eflags));

        slot_put(l, CPU_OFF(eflags), ir_bin(l->b, IR_OR, TY_I32, f, ir_const(l->b, TY_I32, FL_AC)));
        return true;
    }
    lift_call(l, HELP_set_ac, const64(l, (unsigned)i->row->arg), IR_NONE, IR_NONE, 0);
    return end_next(l);
}
