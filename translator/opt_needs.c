/*
 * opt_needs.c - what does anybody need?  One backward walk over the block that
 *
 *  - removes values nobody uses, and register PUTs that are overwritten before
 *    anything can look: a register is looked at by whatever may fault or leave
 *    (state is exact there), by helpers, and by a GET that was not forwarded;
 *  - removes PUTF and FLAGS nobody needs, marks PUTF needed only weakly, writes the
 *    masks of needed flags into FLAGS' imm, so that the backend can use cheaper
 *    forms, drops the previous-flags operand where no flag that is kept is needed, and
 *    takes the previous flags themselves where nothing else is;
 *  - leaves in b->use what a backend asks of every value: how often and where last it
 *    is used, where it is PUT, which FLAGS refers to it, how long its flags must stay.
 *
 * Needs of flags come in two strengths, as masks of FLX_* bits.  Strong: somebody
 * uses the flag - a condition, ADC, an exit where it is live, a helper.  Weak: it
 * is only visible if an instruction faults - rare, and then there is time to rebuild
 * it from the operands.  The walk keeps both for the slot (what is needed of the
 * flags PUT here) and for each flags value.  A helper declared to write flags may
 * leave them as they are: it ends no need.
 *
 * One walk and not three, because each thing found here decides the others: a dead
 * PUTF makes its FLAGS dead, that the operation, that its operands.
 */
#include <string.h>

#include "translator/backend.h"
#include "translator/opt.h"

struct needs {
    struct ir_block *b;
    struct ir_use *use;
    uint8_t strong, weak;       /* needed of the flags in the slot */
    uint16_t flast;             /* where those are needed strongly, last */
    uint64_t overwritten;       /* registers (slot_step) written below before anyone looks */
};

static void slot_add(struct needs *s, unsigned i, unsigned strong)
{
    s->strong |= (uint8_t)strong;
    if (strong && !s->flast)
        s->flast = (uint16_t)i;
}

/* Flags value f is needed by instruction i, or at `until` if that is later. */
static void value_add(struct needs *s, ir_ref f, unsigned strong, unsigned weak, unsigned until)
{
    struct ir_use *u = &s->use[f];
    u->strong |= (uint8_t)strong;
    u->weak |= (uint8_t)weak;
    if (strong && u->flast < until)
        u->flast = (uint16_t)until;
}

/* Flags that FLAGS f takes from its previous flags: what its kind does not write, or all if a
 * shift count may be 0, or a rotation through carry may come full circle. */
static unsigned kept(const struct ir_block *b, const struct ir_ins *f)
{
    const struct ir_ins *op = &b->ins[f->a];
    ir_ref count;
    if (op->op >= IR_SHL && op->op <= IR_RCR)
        count = op->b;
    else if (op->op == IR_SHLD || op->op == IR_SHRD)
        count = op->c;
    else
        return FLX_ALL & ~fk_writes[f->aux];
    unsigned w = type_bits((enum ir_type)op->type);
    unsigned n = (unsigned)b->ins[count].imm & (w == 64 ? 63 : 31);
    if (!ir_is_const(b, count) || n == 0 || ((op->op == IR_RCL || op->op == IR_RCR) && n > w))
        return FLX_ALL;
    return FLX_ALL & ~fk_writes[f->aux];
}

/* Of flags value f only `need` is needed: the value these come from, past kinds that always keep them. */
static ir_ref source(const struct ir_block *b, ir_ref f, unsigned need)
{
    const struct ir_ins *n = &b->ins[f];
    while (n->op == IR_FLAGS && n->b && !(need & fk_writes[n->aux])) {
        f = n->b;
        n = &b->ins[f];
    }
    return f;
}

/* FLAGS or FMERGE i, which is needed: what it needs of the flags before. */
static void previous(struct needs *s, unsigned i, struct ir_ins *n)
{
    const struct ir_use *u = &s->use[i];
    unsigned keep = n->op == IR_FLAGS ? kept(s->b, n) : FLX_ALL & ~flx_from_fl((uint32_t)n->imm);
    if ((u->strong | u->weak) & keep) {
        if (!backend_keeps_carry)
            n->b = source(s->b, n->b, (u->strong | u->weak) & keep);
        value_add(s, n->b, u->strong & keep, u->weak & keep, n->op == IR_FLAGS ? n->a : i);
    } else {
        n->b = IR_NONE;
    }
    if (n->op == IR_FLAGS) {
        n->imm = FLAGS_IMM(u->strong, u->weak);
        if (!s->use[n->a].flags)
            s->use[n->a].flags = (uint16_t)i;
    }
}

static void call(struct needs *s, unsigned i, const struct helper_info *h)
{
    if (h->writes & HS_FLAGS) {         /* the slot's flags are this call's, or what they were */
        s->use[i].flast = s->flast;
        s->flast = 0;
    }
    if (h->reads & HS_FLAGS)
        slot_add(s, i, FLX_ALL);
    if (h->status)
        s->weak = FLX_ALL;
}

/* Flags that are live at exit i: they are needed strongly where the target reads them, or the host wants it so. */
static void leave(struct needs *s, unsigned i, unsigned live, bool read)
{
    if (read || !backend_flags_wait)
        slot_add(s, i, live);
    else
        s->weak |= (uint8_t)live;
}

/* What instruction i, which stays, means for flags; false: it need not stay. */
static bool flags_step(struct needs *s, unsigned i, struct ir_ins *n)
{
    struct ir_use *u = &s->use[i];
    switch (n->op) {
    case IR_EXIT: case IR_EXIT_IF:
        leave(s, i, n->aux & EXIT_LIVE, n->aux & EXIT_READ);
        break;
    case IR_EXIT_IND:
        leave(s, i, FLX_ALL, false);
        break;
    case IR_SEEN:
        s->weak |= (uint8_t)n->aux;
        break;
    case IR_PUTF:
        if (!(s->strong | s->weak))
            return false;
        n->aux = s->strong ? 0 : PUTF_WEAK;
        n->a = source(s->b, n->a, s->strong | s->weak);
        value_add(s, n->a, s->strong, s->weak, s->flast);
        s->strong = s->weak = 0;
        s->flast = 0;
        break;
    case IR_GETF:
        s->strong |= u->strong;
        s->weak |= u->weak;
        if (s->flast < u->flast)
            s->flast = u->flast;
        break;
    case IR_FLAGS: case IR_FMERGE:
        previous(s, i, n);
        break;
    case IR_CC:
        if (!backend_keeps_carry)
            n->a = source(s->b, n->a, cc_reads[n->aux]);
        value_add(s, n->a, cc_reads[n->aux], 0, u->last);
        break;
    case IR_FBITS:
        value_add(s, n->a, flx_from_fl((uint32_t)n->imm), 0, i);
        break;
    case IR_ADC: case IR_SBB: case IR_RCL: case IR_RCR:
        if (!backend_keeps_carry)
            n->c = source(s->b, n->c, flx_from_fl(FL_CF));
        value_add(s, n->c, flx_from_fl(FL_CF), 0, i);
        break;
    case IR_CALL:
        call(s, i, &helper_info[n->aux]);
        break;
    default:
        if (ir_attrs[n->op] & IRA_E)
            slot_add(s, i, FLX_ALL);
        else if (ir_attrs[n->op] & IRA_X)
            s->weak = FLX_ALL;
        break;
    }
    return true;
}

/* The x87's instruction pointer counts as one more register behind slot_reg()'s. */
#define SLOT_X87_OFF 32

/* Slots of registers, or the flags read as a number; false: this PUT is overwritten before anybody looks. */
static bool slot_step(struct needs *s, unsigned i, const struct ir_ins *n, unsigned attrs)
{
    int no = n->op == IR_PC || n->op == IR_GETF || n->op == IR_PUTF ? -1 :
             n->imm == CPU_OFF(x87_off) ? SLOT_X87_OFF : slot_reg(n->imm);
    uint64_t bit = no < 0 ? 0 : (uint64_t)1 << no;
    if ((attrs & IRA_P) && (s->overwritten & bit))
        return false;
    if (n->op == IR_GET && no < 0 && slot_hits_flags(n->imm, (enum ir_type)n->type))
        slot_add(s, i, FLX_ALL);
    if (attrs & IRA_G)
        s->overwritten &= ~bit;
    else if (n->op == IR_PUTV || no == SLOT_X87_OFF || (no < 16 && n->type >= TY_I32))
        s->overwritten |= bit;          /* bit is 0 where no is -1 */
    return true;
}

/* What instruction i, which has an effect or a use, means for flags and registers; false: it need not stay. */
static __attribute__((noinline)) bool effects(struct needs *s, unsigned i, struct ir_ins *n, unsigned attrs)
{
    if ((attrs & (IRA_F | IRA_X | IRA_E)) && !flags_step(s, i, n))
        return false;
    if ((attrs & (IRA_G | IRA_P)) && !slot_step(s, i, n, attrs))
        return false;
    if ((attrs & (IRA_X | IRA_E)) || n->op == IR_EXIT_IF)
        s->overwritten = 0;
    if ((attrs & IRA_P) && n->op != IR_PUTF)
        s->use[n->a].put = (uint16_t)i;
    return true;
}

/* Operand r of instruction i: true if this is its last use. */
static inline bool use(struct ir_use *use, ir_ref r, unsigned i)
{
    if (use[r].uses++)
        return false;
    use[r].last = (uint16_t)i;
    return true;
}

void opt_needs(struct ir_block *b)
{
    struct needs s = { .b = b, .use = b->use };
    struct ir_use *u = b->use;
    struct ir_ins *ins = b->ins;
    memset(u, 0, b->n * sizeof *u);
    for (unsigned i = b->n - 1; i > 0; i--) {
        struct ir_ins *n = &ins[i];
        unsigned attrs, dies;
        if (n->op == IR_NOP || n->op == IR_MARK)
            continue;
        attrs = ir_attrs[n->op];
        if ((!(attrs & IRA_K) && !u[i].uses) ||
            ((attrs & (IRA_F | IRA_X | IRA_E | IRA_G | IRA_P)) && !effects(&s, i, n, attrs))) {
            n->op = IR_NOP;
            continue;
        }
        dies = u[i].uses ? 0 : 8;
        if (n->a && use(u, n->a, i))
            dies |= 1;
        if (n->b && use(u, n->b, i))
            dies |= 2;
        if (n->c && use(u, n->c, i))
            dies |= 4;
        u[i].dies = (uint8_t)dies;
    }
    u[0].flast = s.flast;
}
