/*
 * opt_flags.c - which flags does anybody need?  One backward walk.
 *
 * Needs come in two strengths, as masks of FLX_* bits.  Strong: somebody uses
 * the flag - a condition, ADC, an exit where it is live, a helper.  Weak: it is
 * only visible if an instruction faults - rare, and then there is time to rebuild
 * it from the operands.  The walk keeps both for the slot (what is needed of the
 * flags PUT here) and for each flags value, and
 *  - removes PUTF and FLAGS nobody needs, marks PUTF needed only weakly;
 *  - writes the masks into FLAGS' imm, so that the backend can use cheaper forms;
 *  - drops the previous-flags operand where no flag that is kept is needed.
 *
 * A helper declared to write flags may leave them as they are: it ends nothing.
 */
#include <string.h>

#include "translator/opt.h"

struct need {
    uint8_t strong, weak;
};

static void add(struct need *n, unsigned strong, unsigned weak)
{
    n->strong |= (uint8_t)strong;
    n->weak |= (uint8_t)weak;
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

void opt_flags(struct ir_block *b)
{
    struct need of[IR_MAX], slot = { 0, 0 };
    memset(of, 0, b->n * sizeof *of);
    for (unsigned i = b->n - 1; i > 0; i--) {
        struct ir_ins *n = &b->ins[i];
        unsigned attrs = ir_info[n->op].attrs, keep;
        switch (n->op) {
        case IR_EXIT:
            slot = (struct need) { n->aux & EXIT_LIVE, 0 };
            break;
        case IR_EXIT_IF:
            add(&slot, n->aux & EXIT_LIVE, 0);
            break;
        case IR_PUTF:
            if (slot.strong | slot.weak)
                n->aux = slot.strong ? 0 : PUTF_WEAK;
            else
                n->op = IR_NOP;
            add(&of[n->a], slot.strong, slot.weak);
            slot = (struct need) { 0, 0 };
            break;
        case IR_GETF:
            add(&slot, of[i].strong, of[i].weak);
            break;
        case IR_FLAGS: case IR_FMERGE:
            if (!(of[i].strong | of[i].weak)) {
                n->op = IR_NOP;
                break;
            }
            keep = n->op == IR_FLAGS ? kept(b, n) : FLX_ALL & ~flx_from_fl((uint32_t)n->imm);
            if ((of[i].strong | of[i].weak) & keep)
                add(&of[n->b], of[i].strong & keep, of[i].weak & keep);
            else
                n->b = IR_NONE;
            if (n->op == IR_FLAGS)
                n->imm = FLAGS_IMM(of[i].strong, of[i].weak);
            break;
        case IR_CC:
            add(&of[n->a], cc_reads[n->aux], 0);
            break;
        case IR_FBITS:
            add(&of[n->a], FLX_ALL, 0);
            break;
        case IR_ADC: case IR_SBB: case IR_RCL: case IR_RCR:
            add(&of[n->c], flx_from_fl(FL_CF), 0);
            break;
        case IR_GET:
            if (slot_hits_flags(n->imm, (enum ir_type)n->type))
                add(&slot, FLX_ALL, 0);
            break;
        case IR_CALL:
            if (helper_info[n->aux].reads & HS_FLAGS)
                add(&slot, FLX_ALL, 0);
            if (helper_info[n->aux].status)
                add(&slot, 0, FLX_ALL);
            break;
        default:
            if (attrs & IRA_E)
                slot = (struct need) { FLX_ALL, 0 };
            else if (attrs & IRA_X)
                add(&slot, 0, FLX_ALL);
            break;
        }
    }
}
