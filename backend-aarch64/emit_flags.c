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


/*
 * Which flags values' images must say all flags: those a fault may show that finds no recipe, and what they
 * keep flags of; also those live at an exit behind a SEEN, since one record describes all flags or none.
 */
void host_prepare(struct emit *e)
{
    const struct ir_block *b = e->b;
    bool *full = e->h.full, seen = false;
    ir_ref cur = 0;
    full[0] = true;
    for (unsigned i = 1; i < b->n; i++) {
        const struct ir_ins *p = &b->ins[i];
        if (!(ir_attrs[p->op] & (IRA_F | IRA_E)) && p->op != IR_CALL)
            continue;
        full[i] = p->op != IR_FLAGS || !e->fl_wait[i];
        if (p->op == IR_PUTF)
            cur = flags_resolve(e, p->a);
        else if (p->op == IR_CALL && helper_info[p->aux].writes & HS_FLAGS)
            cur = i;
        else if (seen && (p->op == IR_EXIT || p->op == IR_EXIT_IF))
            full[cur] |= p->aux & EXIT_LIVE;
        seen = p->op == IR_SEEN;
    }
    for (unsigned i = b->n - 1; i > 0; i--) {
        const struct ir_ins *p = &b->ins[i];
        if ((p->op == IR_FLAGS || p->op == IR_FMERGE) && full[i] && flags_kept(e, p))
            full[flags_resolve(e, flags_kept(e, p))] = true;
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
    as_rrs(&e->a, OP_EON, false, H_S2, H_S2, H_S2, SH_LSR, 1);
}

void flags_fcmp_image(struct emit *e, unsigned d, unsigned t)
{
    as_cset(&e->a, d, A_LT);                    /* less or unordered: CF */
    as_cset(&e->a, t, A_VS);
    as_bfi(&e->a, false, d, t, 2, 1);           /* PF */
    as_csinc(&e->a, false, t, t, H_ZR, A_NE);
    as_bfi(&e->a, false, d, t, 6, 1);           /* equal or unordered: ZF */
}

/* One more bit of an image that is being made in d: 1 where the host's condition cc holds. */
static void image_bit(struct emit *e, unsigned d, bool *begun, unsigned to, unsigned cc)
{
    if (!*begun && !to) {
        as_cset(&e->a, d, cc);
    } else if (!to) {                           /* bit 0 is still 0 */
        as_csinc(&e->a, false, d, d, d, cc ^ 1);
    } else {
        if (!*begun)
            as_mov(&e->a, false, d, H_ZR);
        as_cset(&e->a, H_S2, cc);
        as_bfi(&e->a, false, d, H_S2, to, 1);
    }
    *begun = true;
}

/* d = the image of the flags in NZCV, of which `need` is needed; all else in it is 0.  Destroys s0 and s2. */
static void image_of_nzcv(struct emit *e, unsigned d, unsigned need)
{
    struct as *a = &e->a;
    bool begun = false;
    if (e->h.fcmp) {
        flags_fcmp_image(e, d, H_S0);
        return;
    }
    if ((need & FLX_A) && e->h.af) {
        as_rrr(a, OP_EOR, false, d, H_AF, H_PF);
        as_logic_i(a, OPI_AND, false, d, d, FL_AF);
        begun = true;
    }
    if (need & FLX_C)
        image_bit(e, d, &begun, 0, e->h.inv ? A_CC : A_CS);
    if ((need & FLX_S) && (need & FLX_Z)) {     /* bits 7 and 6 */
        as_mrs_nzcv(a, H_S0);
        as_lsr(a, false, begun ? H_S2 : d, H_S0, 30);
        if (begun)
            as_bfi(a, false, d, H_S2, 6, 2);
        else
            as_lsl(a, false, d, d, 6);
        begun = true;
    } else if (need & FLX_S) {
        image_bit(e, d, &begun, 7, A_MI);
    } else if (need & FLX_Z) {
        image_bit(e, d, &begun, 6, A_EQ);
    }
    if (need & FLX_O)
        image_bit(e, d, &begun, 11, A_VS);
    if ((need & FLX_P) && e->h.pf) {
        flags_parity(e, H_PF);
        if (begun)
            as_bfi(a, false, d, H_S2, 2, 1);
        else
            as_ubfiz(a, false, d, H_S2, 2, 1);
        begun = true;
    }
    if (!begun)
        as_mov(a, false, d, H_ZR);
}

bool flags_stay(const struct emit *e, ir_ref r)
{
    const struct val *v = &e->val[r];
    unsigned cc = v->reg & 14u;
    if (!e->ef || e->ef != e->arch || v->loc != LOC_CC || (ir_ref)v->imm != e->ef || e->h.fcmp)
        return false;
    return cc == CC_BE ? e->h.inv || e->h.logic || host_has(e->be, HF_FLAGM) : cc != CC_P;
}

struct left flags_leave(const struct emit *e, unsigned live)
{
    return (struct left){ .need = (uint8_t)(e->h.full[e->ef] ? FLX_ALL : live), .inv = e->h.inv,
                          .pf = e->h.pf, .af = e->h.af };
}

void flags_store_left(struct emit *e, const struct left *l)
{
    e->h.fcmp = false;
    e->h.inv = l->inv;
    e->h.pf = l->pf;
    e->h.af = l->af;
    image_of_nzcv(e, H_S1, l->need);
    host_field(e, false, 3, H_S1, CPU_OFF(flags));
}

void host_flags_store(struct emit *e, uint32_t off)
{
    image_of_nzcv(e, H_S1, flags_needed(e, &e->b->ins[e->ef]));
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

void host_flags_keep(struct emit *e, ir_ref f)
{
    unsigned t = temp_free(e);
    if (t == NOREG) {
        host_flags_store(e, flags_spill(e, f));
        return;
    }
    image_of_nzcv(e, t, flags_needed(e, &e->b->ins[f]));
    flags_in_temp(e, f, t);
    temp_release(e, t);
}

/* The image of flags value f in a register: where it is, or in `scratch`. */
static unsigned image_in(struct emit *e, ir_ref f, unsigned scratch)
{
    f = flags_resolve(e, f);
    if (e->ef && e->ef == f)
        flags_save(e, f);
    if (e->flv[f].loc == LOC_FLTEMP)
        return e->flv[f].reg;
    host_field(e, true, 2, scratch, flags_force(e, f));
    return scratch;
}

void flags_carry(struct emit *e, ir_ref f, bool inv)
{
    unsigned r;
    f = flags_resolve(e, f);
    if (e->ef && e->ef == f && !e->h.fcmp) {
        if (e->h.inv == inv)
            return;
        flags_clobber(e);                       /* NZCV stay what they are */
        if (host_has(e->be, HF_FLAGM)) {
            as_cfinv(&e->a);
            return;
        }
        as_cset(&e->a, H_S0, e->h.inv ? A_CC : A_CS);
        r = H_S0;
    } else if (e->ef && e->ef == f) {
        flags_clobber(e);
        as_cset(&e->a, H_S0, A_LT);
        r = H_S0;
    } else {
        flags_clobber(e);
        r = image_in(e, f, H_S0);
        if (!inv && host_has(e->be, HF_FLAGM)) {
            as_rmif(&e->a, r, 63, 2);           /* bit 0 to C */
            return;
        }
        if (!inv && (r == H_S0 || flags_needed(e, &e->b->ins[f]) != FLX_C)) {
            as_logic_i(&e->a, OPI_AND, false, H_S0, r, 1);
            r = H_S0;
        }
    }
    if (inv)
        as_rrs(&e->a, OP_SUBS, false, H_ZR, H_ZR, r, SH_LSL, 31);       /* C = 0 >= CF at the top */
    else
        as_rri(&e->a, OPI_SUBS, false, H_ZR, r, 1);             /* C = CF >= 1 */
}

void flags_carry_get(struct emit *e, ir_ref f, unsigned t)
{
    f = flags_resolve(e, f);
    if (e->ef && e->ef == f)
        as_cset(&e->a, t, e->h.fcmp ? A_LT : e->h.inv ? A_CC : A_CS);
    else
        as_logic_i(&e->a, OPI_AND, false, t, image_in(e, f, t), 1);
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
        flags_clobber(e);                       /* x15 stays what it is */
        flags_parity(e, H_PF);
        as_logic_i(&e->a, OPI_ANDS, false, H_ZR, H_S2, 1);
        return A_NE ^ neg;
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
    unsigned neg = cc & 1, r;
    uint64_t mask = 0;
    f = flags_resolve(e, f);
    if (e->ef && e->ef == f)
        return native_test(e, cc);
    flags_clobber(e);
    r = image_in(e, f, H_S0);
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
        as_rrs(&e->a, OP_ORR, false, H_S0, r, r, SH_LSR, 6);
        r = H_S0;
        mask = 1;
        break;
    default:                                    /* bit 7 = SF ^ OF, and ZF there for LE */
        as_rrs(&e->a, OP_EOR, false, H_S1, r, r, SH_LSR, 4);
        if ((cc & 14) == CC_LE)
            as_rrs(&e->a, OP_ORR, false, H_S1, H_S1, r, SH_LSL, 1);
        r = H_S1;
        mask = 0x80;
    }
    as_logic_i(&e->a, OPI_ANDS, false, H_ZR, r, mask);
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
    host_copy(e, flags_spill(e, (ir_ref)(f - e->b->ins)), CPU_OFF(hret));
}

/* ---- operations on flags as such ---- */

static void emit_fmerge(struct emit *e, const struct ir_ins *p)
{
    uint32_t mask = (uint32_t)p->imm & FL_ARITH;
    unsigned t = use_copy(e, p->a), prev = p->b ? image_in(e, p->b, H_S0) : NOREG;
    as_mov_i(&e->a, H_S1, mask);
    as_rrr(&e->a, OP_AND, false, t, t, H_S1);
    if (p->b) {
        as_mov_i(&e->a, H_S1, FL_ARITH & ~mask);
        as_rrr(&e->a, OP_AND, false, H_S0, prev, H_S1);
        as_rrr(&e->a, OP_ORR, false, t, t, H_S0);
    }
    flags_in_temp(e, (ir_ref)e->i, t);
    temp_release(e, t);
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
        /* One in a register can stay there until it is read, unless a fault could not tell it by a recipe. */
        if (e->use[f].flast > e->i && ((e->ef != f && e->flv[f].loc != LOC_FLTEMP) || e->fl_mem[f]))
            flags_to_mem(e);
        break;
    }
    case IR_FMERGE:
        if (e->use[e->i].flast && e->ef != e->i)        /* emit_fp.c may have left them in NZCV */
            emit_fmerge(e, p);
        break;
    case IR_FBITS: {
        ir_ref f = flags_resolve(e, p->a);
        unsigned home, d = def_reg(e, e->i, &home), need = flx_from_fl((uint32_t)p->imm);
        if (e->ef && e->ef == f && !e->h.fcmp) {
            image_of_nzcv(e, d, need);
        } else {
            unsigned r = image_in(e, f, H_S0);
            as_mov_i(&e->a, H_S1, fl_from_flx(need));
            as_rrr(&e->a, OP_AND, false, d, r, H_S1);
        }
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
