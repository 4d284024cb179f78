/*
 * lift_live.c - which arithmetic flags are live at the target of an exit, by a
 * bounded look at the code there.
 *
 * Too many live flags cost time, too few are wrong: whatever is not known to
 * overwrite a flag leaves it live.  Page faults in between do not count (see
 * insn_flags.c).
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

static unsigned look(struct lift *l, int64_t pc, unsigned *budget)
{
    struct lift_block_state *st = l->st;
    unsigned live = 0, open = FLX_ALL;          /* open: neither read nor written so far */

    while (open) {
        uint32_t reads, writes;
        unsigned off;
        struct insn i;

        if (!*budget || !lift_in_page(l, pc, &off) ||
            decode(&i, st->page + off, PAGE_SIZE - off, l->mode, l->feats) != DECODE_OK ||
            !depend(st, off, off + i.len))
            return live | open;
        --*budget;
        insn_flags(&i, &reads, &writes);
        live |= flx_from_fl(reads) & open;
        open &= ~flx_from_fl(reads | writes);
        pc += i.len;
        if (i.nops == 1 && i.op[0].kind == OPND_REL) {
            /* A direct jump or call; conditional ones have a second path. */
            bool always = i.opcode == 0xe8 || i.opcode == 0xe9 || i.opcode == 0xeb;
            int64_t to = pc + i.imm;

            if (i.opsize == 2)
                return live | open;
            if (!l->flat_cs)
                to &= 0xffffffff;
            if (!always)
                return live | (look(l, to, budget) & open) |
                       (look(l, pc, budget) & open);
            pc = to;
        }
    }
    return live;
}

unsigned lift_live(struct lift *l, int64_t pc)
{
    unsigned budget = LOOK_INSNS;

    /* A debugger or the single-step trap may look at the flags after every instruction. */
    if (!l->st->page || (l->mode & (M_TF | M_BRK)))
        return FLX_ALL;
    return look(l, pc, &budget);
}
