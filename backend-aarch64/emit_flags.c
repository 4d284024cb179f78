/*
 * emit_flags.c - the guest's arithmetic flags in NZCV: making, testing, storing them
 * (backend-common/flags.c says when).
 *
 * What NZCV cannot say - PF, AF, the flags of operations that no flag-setting host
 * instruction matches - is computed where somebody needs it and not before; rarely
 * used kinds by cc_of_op() in C.  Flags only a fault would show are recipes, which
 * is why the image of a value that is only tested may leave PF and AF out (h.full).
 */
#include <assert.h>

#include "backend-aarch64/emit.h"

#define FLX_A 0x04u
#define FLX_P 0x02u

void host_prepare(struct emit *e)
{
    const struct ir_block *b = e->b;
    bool *full = e->h.full;
    ir_ref cur = 0;
    full[0] = true;
    /* Which flags values are read as a whole: by exits, helpers, and as numbers. */
    for (unsigned i = 1; i < b->n; i++) {
        const struct ir_ins *p = &b->ins[i];
        if (!(ir_attrs[p->op] & (IRA_F | IRA_E)) && p->op != IR_CALL && p->op != IR_GET)
            continue;
        full[i] = p->op != IR_FLAGS || !e->fl_wait[i];
        switch (p->op) {
        case IR_PUTF:
            cur = flags_resolve(e, p->a);
            break;
        case IR_FMERGE:
            if (p->b)
                full[flags_resolve(e, p->b)] = true;
            break;
        case IR_FLAGS:
            if (p->b)
                full[flags_resolve(e, p->b)] = true;
            break;
        case IR_FBITS:
            full[flags_resolve(e, p->a)] = true;
            break;
        case IR_RCL: case IR_RCR:
            full[flags_resolve(e, p->c)] = true;
            break;
        case IR_GETF: case IR_CC: case IR_ADC: case IR_SBB: case IR_SEEN:
            break;
        case IR_EXIT: case IR_EXIT_IF: case IR_EXIT_IND:
            if ((p->op == IR_EXIT_IND || (p->aux & EXIT_LIVE)) && !recipe_exit(p))
                full[cur] = true;
            break;
        case IR_CALL:
            if (helper_info[p->aux].reads & HS_FLAGS)
                full[cur] = true;
            if (helper_info[p->aux].writes & HS_FLAGS)
                cur = i;
            break;
        default:
            full[cur] = true;
        }
    }
}

unsigned flags_needed(struct emit *e, const struct ir_ins *f)
{
    return e->h.full[f - e->b->ins] ? FLX_ALL : FLAGS_STRONG(f->imm);
}

void flags_keep_af(struct emit *e, const struct ir_ins *f, unsigned x, unsigned y)
{
    e->h.af = (flags_needed(e, f) & FLX_A) && x != NOREG;
    if (e->h.af)
        as_rrr(&e->a, OP_EOR, true, H_AF, x, y);
}

void flags_are(struct emit *e, const struct ir_ins *f, bool inv, bool logic, unsigned r)
{
    unsigned need = flags_needed(e, f);
    e->h.inv = inv;
    e->h.logic = logic;
    e->h.fcmp = false;
    e->h.pf = (need & FLX_P) || e->h.af;
    if (e->h.pf && r != H_PF)
        as_mov(&e->a, false, H_PF, r);
    flags_set(e, e->i);
}

void flags_parity(struct emit *e, unsigned r)
{
    as_rrs(&e->a, OP_EOR, false, H_S2, r, r, SH_LSR, 4);
    as_rrs(&e->a, OP_EOR, false, H_S2, H_S2, H_S2, SH_LSR, 2);
    as_rrs(&e->a, OP_EOR, false, H_S2, H_S2, H_S2, SH_LSR, 1);
    as_logic_i(&e->a, OPI_EOR, false, H_S2, H_S2, 1);
}

void flags_fcmp_image(struct emit *e, unsigned d, unsigned t)
{
    as_cset(&e->a, d, A_LT);                    /* less or unordered: CF */
    as_cset(&e->a, t, A_VS);
    as_bfi(&e->a, false, d, t, 2, 1);           /* PF */
    as_csinc(&e->a, false, t, t, H_ZR, A_NE);
    as_bfi(&e->a, false, d, t, 6, 1);           /* equal or unordered: ZF */
}

void host_flags_store(struct emit *e, uint32_t off)
{
    struct as *a = &e->a;
    if (e->h.fcmp) {
        flags_fcmp_image(e, H_S1, H_S0);
        host_field(e, false, 3, H_S1, off);
        return;
    }
    as_mrs_nzcv(a, H_S0);
    as_ubfx(a, false, H_S1, H_S0, 29, 1);       /* C: CF, bit 0 */
    if (e->h.inv)
        as_logic_i(a, OPI_EOR, false, H_S1, H_S1, 1);
    as_lsr(a, false, H_S2, H_S0, 30);           /* N, Z: SF, ZF, bits 7 and 6 */
    as_bfi(a, false, H_S1, H_S2, 6, 2);
    as_lsr(a, false, H_S2, H_S0, 28);           /* V: OF, bit 11 */
    as_bfi(a, false, H_S1, H_S2, 11, 1);
    if (e->h.pf) {
        flags_parity(e, H_PF);
        as_bfi(a, false, H_S1, H_S2, 2, 1);
    }
    if (e->h.af) {
        as_rrr(a, OP_EOR, false, H_S2, H_AF, H_PF);
        as_lsr(a, false, H_S2, H_S2, 4);
        as_bfi(a, false, H_S1, H_S2, 4, 1);
    }
    host_field(e, false, 3, H_S1, off);
}

void host_flags_resolve(struct emit *e)
{
    uint8_t *image;
    host_field(e, true, 3, H_S0, CPU_OFF(flags));
    image = as_tbz(&e->a, H_S0, 63);
    emit_thunk_call(e, e->be->resolve, e->pc, 0);
    as_patch(image, e->a.p);
}

void flags_carry(struct emit *e, ir_ref f, bool inv)
{
    f = flags_resolve(e, f);
    if (e->ef && e->ef == f && e->h.inv == inv && !e->h.fcmp)
        return;
    if (host_has(e->be, HF_FLAGM) && !(e->ef && e->ef == f && e->h.fcmp)) {
        bool here = e->ef && e->ef == f, other = here || inv;
        flags_clobber(e);
        if (!here) {
            host_field(e, true, 2, H_S0, flags_force(e, f));
            as_rmif(&e->a, H_S0, 63, 2);        /* bit 0 to C */
        }
        if (other)
            as_cfinv(&e->a);
        return;
    }
    if (e->ef && e->ef == f) {
        flags_clobber(e);                       /* NZCV stay what they are */
        as_cset(&e->a, H_S0, e->h.fcmp ? A_LT : e->h.inv ? A_CC : A_CS);
    } else {
        flags_clobber(e);
        host_field(e, true, 2, H_S0, flags_force(e, f));
        as_logic_i(&e->a, OPI_AND, false, H_S0, H_S0, 1);
    }
    if (inv)
        as_rrr(&e->a, OP_SUBS, false, H_ZR, H_ZR, H_S0);        /* C = 0 >= CF */
    else
        as_rri(&e->a, OPI_SUBS, false, H_ZR, H_S0, 1);          /* C = CF >= 1 */
}

void flags_carry_get(struct emit *e, ir_ref f, unsigned t)
{
    f = flags_resolve(e, f);
    if (e->ef && e->ef == f) {
        as_cset(&e->a, t, e->h.fcmp ? A_LT : e->h.inv ? A_CC : A_CS);
    } else {
        host_field(e, true, 2, t, flags_force(e, f));
        as_logic_i(&e->a, OPI_AND, false, t, t, 1);
    }
}

void flags_carry_put(struct emit *e, unsigned t)
{
    if (host_has(e->be, HF_FLAGM)) {
        as_rmif(&e->a, t, 63, 2);
        return;
    }
    as_mrs_nzcv(&e->a, H_S0);
    as_bfi(&e->a, false, H_S0, t, 29, 1);
    as_msr_nzcv(&e->a, H_S0);
}

/* NZCV hold f: the host condition for cc, or one on a bit computed into a temporary. */
static unsigned native_test(struct emit *e, unsigned cc)
{
    static const uint8_t same[16] = { [CC_O] = A_VS, [CC_Z] = A_EQ, [CC_S] = A_MI, [CC_L] = A_LT, [CC_LE] = A_LE };
    unsigned neg = cc & 1;
    if (e->h.fcmp && (cc & 14) == CC_B)
        return A_LT ^ neg;
    if (e->h.fcmp && (cc & 14) == CC_BE)
        return A_LE ^ neg;
    if (e->h.fcmp && (cc & 14) == CC_P)
        return A_VS ^ neg;
    switch (e->h.fcmp ? 16u : cc & 14) {
    case 16:                                    /* ZF; or never: SF, OF and SF != OF */
        as_cset(&e->a, H_S0, A_VS);
        as_csinc(&e->a, false, H_S0, H_S0, H_ZR, A_NE);
        if ((cc & 14) != CC_Z && (cc & 14) != CC_LE)
            as_mov(&e->a, false, H_S0, H_ZR);
        break;
    case CC_B:
        return (e->h.inv ? A_CC : A_CS) ^ neg;
    case CC_BE:
        if (e->h.inv)
            return A_LS ^ neg;
        if (e->h.logic)
            return A_EQ ^ neg;
        if (host_has(e->be, HF_FLAGM)) {
            as_cfinv(&e->a);
            e->h.inv = true;
            return A_LS ^ neg;
        }
        as_cset(&e->a, H_S0, A_CS);
        as_csinc(&e->a, false, H_S0, H_S0, H_ZR, A_NE);         /* Z: 1 */
        break;
    case CC_P:
        assert(e->h.pf);
        flags_parity(e, H_PF);
        as_logic_i(&e->a, OPI_AND, false, H_S0, H_S2, 1);
        break;
    default:
        return same[cc & 14] ^ neg;
    }
    unsigned t = temp_get(e);
    as_mov(&e->a, false, t, H_S0);
    flags_clobber(e);
    as_rrr(&e->a, OP_ANDS, false, H_ZR, t, t);
    temp_release(e, t);
    return A_NE ^ neg;
}

unsigned flags_test(struct emit *e, ir_ref f, unsigned cc)
{
    unsigned neg = cc & 1;
    uint64_t mask = 0;
    f = flags_resolve(e, f);
    if (e->ef && e->ef == f)
        return native_test(e, cc);
    flags_clobber(e);
    host_field(e, true, 2, H_S0, flags_force(e, f));
    switch (cc & 14) {
    case CC_O:
        mask = FL_OF;
        break;
    case CC_B:
        mask = FL_CF;
        break;
    case CC_Z:
        mask = FL_ZF;
        break;
    case CC_S:
        mask = FL_SF;
        break;
    case CC_P:
        mask = FL_PF;
        break;
    case CC_BE:                                 /* CF and ZF, 6 apart */
        as_rrs(&e->a, OP_ORR, false, H_S0, H_S0, H_S0, SH_LSR, 6);
        mask = 1;
        break;
    default:                                    /* bit 7 = SF ^ OF, and ZF there for LE */
        as_rrs(&e->a, OP_EOR, false, H_S1, H_S0, H_S0, SH_LSR, 4);
        if ((cc & 14) == CC_LE)
            as_rrs(&e->a, OP_ORR, false, H_S0, H_S1, H_S0, SH_LSL, 1);
        else
            as_mov(&e->a, false, H_S0, H_S1);
        mask = 0x80;
    }
    as_logic_i(&e->a, OPI_ANDS, false, H_ZR, H_S0, mask);
    return A_NE ^ neg;
}

unsigned cond_test(struct emit *e, ir_ref r)
{
    const struct val *v = &e->val[r];
    if (r && r == e->h.asked)
        return e->h.asked_cc;
    if (v->loc == LOC_CC)
        return flags_test(e, (ir_ref)v->imm, v->reg);
    unsigned tmp, s = use_reg(e, r, &tmp);
    flags_clobber(e);
    as_logic_i(&e->a, OPI_ANDS, false, H_ZR, s, 0xff);
    temp_release(e, tmp);
    return A_NE;
}

/* ---- apart from the operation: as an image, or by C ---- */

void flags_apart_before(struct emit *e, const struct ir_ins *f)
{
    const struct ir_ins *p = &e->b->ins[e->i];
    const ir_ref ops[3] = { p->a, p->b, p->c };
    ir_ref old = flags_kept(e, f);
    if (image_begin(e, f))
        return;
    for (unsigned k = 0; k < 3; k++)
        if (ops[k])
            emit_va(e, k, ops[k]);
        else
            host_store(e, CPU_OFF(va) + 16 * (k + 1), H_ZR);
    if (old)
        host_copy(e, CPU_OFF(arg[1]), flags_force(e, old));
    else
        host_store(e, CPU_OFF(arg[1]), H_ZR);
    flags_clobber(e);
}

void flags_apart(struct emit *e, const struct ir_ins *f)
{
    const struct ir_ins *p = &e->b->ins[e->i];
    if (e->h.image.on) {
        image_end(e, f);
        return;
    }
    emit_va(e, ~0u, e->i);
    host_store_imm(e, CPU_OFF(arg[0]), f->aux | p->op << 8 | p->type << 16);
    emit_thunk_call(e, e->be->flags, e->pc, 0);
    host_copy(e, flags_spill(e, f - e->b->ins), CPU_OFF(hret));
}

/* ---- operations on flags as such ---- */

static void emit_fmerge(struct emit *e, const struct ir_ins *p)
{
    uint32_t mask = (uint32_t)p->imm & FL_ARITH, prev = p->b ? flags_force(e, p->b) : 0;
    unsigned t = use_copy(e, p->a), u = temp_get(e);
    as_mov_i(&e->a, u, mask);
    as_rrr(&e->a, OP_AND, false, t, t, u);
    if (p->b) {
        host_field(e, true, 2, H_S0, prev);
        as_mov_i(&e->a, u, FL_ARITH & ~mask);
        as_rrr(&e->a, OP_AND, false, u, u, H_S0);
        as_rrr(&e->a, OP_ORR, false, t, t, u);
    }
    host_store(e, flags_spill(e, e->i), t);
    temp_release(e, t);
    temp_release(e, u);
}

void emit_flags_op(struct emit *e, const struct ir_ins *p)
{
    switch (p->op) {
    case IR_GETF:
    case IR_FLAGS:
        break;
    case IR_PUTF: {
        ir_ref f = flags_resolve(e, p->a);
        e->arch = f;
        /* One in NZCV can stay there until it is read, unless a fault could not tell it by a recipe. */
        if (e->use[f].flast > e->i && (e->ef != f || e->fl_mem[f]))
            flags_to_mem(e);
        break;
    }
    case IR_FMERGE:
        if (e->use[e->i].flast && e->ef != e->i)        /* emit_fp.c may have left them in NZCV */
            emit_fmerge(e, p);
        break;
    case IR_FBITS: {
        uint32_t off = flags_force(e, p->a);
        unsigned home, d = def_reg(e, e->i, &home);
        host_field(e, true, 2, d, off);
        as_mov_i(&e->a, H_S0, FL_ARITH);
        as_rrr(&e->a, OP_AND, false, d, d, H_S0);
        def_done(e, e->i, d, home, true);
        break;
    }
    case IR_CC:
        def_at(e, e->i, LOC_CC, p->aux, (int64_t)flags_resolve(e, p->a));
        break;
    default:
        assert(0);
    }
}
