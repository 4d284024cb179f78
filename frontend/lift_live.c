/*
 * lift_live.c - what becomes of the arithmetic flags at the target of an exit, by
 * a bounded look at the code there.
 *
 * A flag is live if an instruction reads it before it is overwritten; too few of
 * these would be wrong, so whatever is not known is live.  A flag is seen if it is
 * not live, but an instruction before the one that overwrites it may fault: then
 * it goes into the image the handler gets.  It need not be computed, but what it
 * can be made from must not be lost, hence the registers that change in between.
 * If an instruction overwrites some of the flags and the rest is seen behind it,
 * that rest counts as live: one record describes all flags or none.
 *
 * Invariant: the block depends on every byte looked at (st->look becomes part of
 * its ranges), so that it is discarded when the code there changes.
 */
#include "frontend/lift_block.h"

#define LOOK_INSNS 6            /* instructions decoded for one exit, all paths together */

/* Note the dependency on [lo, hi); false: no room. */
static bool depend(struct lift_block_state *st, unsigned lo, unsigned hi)
{
    for (unsigned k = 0; k < st->nlook; k++) {
        if (lo > st->look[k].hi || hi < st->look[k].lo)
            continue;
        if (lo < st->look[k].lo)
            st->look[k].lo = (uint16_t)lo;
        if (hi > st->look[k].hi)
            st->look[k].hi = (uint16_t)hi;
        return true;
    }
    if (st->nlook == LIFT_LOOKS)
        return false;
    st->look[st->nlook].lo = (uint16_t)lo;
    st->look[st->nlook++].hi = (uint16_t)hi;
    return true;
}

struct look {
    unsigned budget;            /* instructions that may still be decoded */
    struct lift_live out;
};

/* From pc on; `open`: flags neither read nor written so far; changed: registers written so far. */
static void look(struct lift *l, struct look *k, int64_t pc, unsigned open, uint16_t changed, bool part)
{
    struct lift_block_state *st = l->st;

    while (open) {
        uint32_t reads, writes;
        struct insn_effect fx;
        unsigned off;
        struct insn i;

        if (!k->budget || !lift_in_page(l, pc, &off) || ((l->mode & M_BP) && lift_breakpoint(l, pc)) ||
            decode(&i, st->page + off, PAGE_SIZE - off, l->mode, l->feats) != DECODE_OK ||
            !depend(st, off, off + i.len)) {
            k->out.live |= open;
            return;
        }
        k->budget--;
        insn_flags(&i, &reads, &writes);
        insn_effect(&i, &fx);
        k->out.live |= flx_from_fl(reads) & open;
        if (reads != FL_ARITH)                  /* all: who goes on from there may read them, mostly does not */
            k->out.read |= flx_from_fl(reads) & open;
        open &= ~flx_from_fl(reads);
        /* Where CS has a limit, any instruction may lie behind it. */
        if (fx.faults || !l->flat_cs) {
            if (part)
                k->out.live |= open;
            else
                k->out.seen |= open;
            k->out.changed |= changed;
        }
        part |= writes || fx.merges;
        open &= ~flx_from_fl(writes);
        changed |= fx.gprs;
        pc += i.len;
        if (i.nops == 1 && i.op[0].kind == OPND_REL) {
            /* A direct jump or call; conditional ones have a second path. */
            bool always = i.opcode == 0xe8 || i.opcode == 0xe9 || i.opcode == 0xeb;
            int64_t to = pc + i.imm;

            if (i.opsize == 2) {
                k->out.live |= open;
                return;
            }
            if (!l->flat_cs)
                to &= 0xffffffff;
            if (!always)
                look(l, k, pc, open, changed, part);
            pc = to;
        }
    }
}

struct lift_live lift_live(struct lift *l, int64_t pc)
{
    struct look k = { .budget = LOOK_INSNS };

    /*
     * A debugger or the single-step trap may look at the flags after every instruction.  A block of one
     * instruction may be there because the code behind it changes.
     */
    if (!l->st->page || l->st->one || (l->mode & (M_TF | M_BRK)))
        return (struct lift_live){ .live = FLX_ALL };
    look(l, &k, pc, FLX_ALL, 0, false);
    if (k.out.live)
        k.out.live |= k.out.seen;       /* what is stored for some is good for all */
    k.out.seen &= ~k.out.live;
    return k.out;
}
