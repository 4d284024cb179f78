/*
 * lift_block.h - state of the block being lifted, shared by the block loop
 * (lift.c) and the control-flow lifters (lift_flow.c).
 */
#ifndef FRONTEND_LIFT_BLOCK_H
#define FRONTEND_LIFT_BLOCK_H

#include "frontend/lift.h"

#define LIFT_LOOKS 6            /* runs of bytes looked at that a block can depend on */

struct lift_block_state {
    struct cpu *c;
    const uint8_t *page;        /* host bytes of the block's guest page; NULL: not plain memory */
    uint64_t lin_page;          /* linear address of that page at translation time */
    uint64_t pa_page;
    uint64_t cs_base;           /* 0 when PCs are page offsets */
    uint32_t traps;             /* AT_* of instructions that raise at once in this mode */
    unsigned branches, max_branches;
    uint32_t insn_pc;           /* of the instruction lifted last */
    bool stay;                  /* no jump is followed */
    bool one;                   /* M_ONE or M_TF: a single instruction */
    bool stencil;               /* lift_stencil(): code for any place; nothing is looked at */
    uint32_t base;              /* stencil: PC of its first instruction */
    struct { uint16_t lo, hi; } look[LIFT_LOOKS];       /* page offsets lift_live() looked at */
    unsigned nlook;
    uint8_t seen[PAGE_SIZE / 8];        /* page offsets at which an instruction was lifted */
};

/* Is pc (page offset or EIP) in the block's page? *off is its offset in the page then. */
static inline bool lift_in_page(const struct lift *l, int64_t pc, unsigned *off)
{
    uint64_t o;

    if (l->flat_cs) {
        *off = (unsigned)pc & 0xfff;
        return pc >= 0 && pc < PAGE_SIZE;
    }
    o = ((l->st->cs_base + (uint64_t)pc) & 0xffffffff) - l->st->lin_page;
    *off = (unsigned)o & 0xfff;
    return o < PAGE_SIZE;
}
static inline bool lift_seen(const struct lift *l, unsigned off)
{
    return l->st->seen[off / 8] >> off % 8 & 1;
}

/* The current PC as a signed number: page offsets may be negative. */
static inline int64_t lift_pc(const struct lift *l, uint32_t pc)
{
    return l->flat_cs ? (int64_t)(int32_t)pc : (int64_t)pc;
}

/* What becomes of the flags at pc, by looking at the code there (lift_live.c). */
struct lift_live {
    unsigned live;              /* FLX_* read before they are overwritten, for all that is known */
    unsigned read;              /* of these, those that a condition or the like was found to read on some way */
    unsigned seen;              /* FLX_* only seen by faults before they are overwritten */
    uint16_t changed;           /* with `seen`: general registers that change until then */
};
struct lift_live lift_live(struct lift *l, int64_t pc);

/* M_BP mode: has the debugger a breakpoint at pc? (lift.c) */
bool lift_breakpoint(const struct lift *l, int64_t pc);
/* One decoded instruction; r: what decode() said. (lift.c) */
void lift_insn(struct lift *l, const struct insn *i, enum decode_result r);
/* AT_* of instructions that raise at once in this mode. */
uint32_t lift_traps(uint32_t mode);

#endif
