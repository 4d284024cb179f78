/*
 * opt_dead.c - remove what nobody uses: values, and register PUTs that are
 * overwritten before anything can look.  One backward walk.
 *
 * A register is looked at by whatever may fault or leave (state is exact there),
 * by helpers, and by a GET that was not forwarded.
 */
#include <string.h>

#include "translator/opt.h"

void opt_dead(struct ir_block *b)
{
    uint8_t used[IR_MAX];
    uint32_t overwritten = 0;   /* registers (slot_reg) written below before anyone looks */
    memset(used, 0, b->n);
    for (unsigned i = b->n - 1; i > 0; i--) {
        struct ir_ins *n = &b->ins[i];
        unsigned attrs = ir_info[n->op].attrs;
        if (n->op == IR_NOP)
            continue;
        if (!(attrs & IRA_K) && !used[i]) {
            n->op = IR_NOP;
            continue;
        }
        if (attrs & (IRA_G | IRA_P)) {
            int no = n->op == IR_PC || n->op == IR_GETF || n->op == IR_PUTF ? -1 : slot_reg(n->imm);
            uint32_t bit = no < 0 ? 0 : 1u << no;
            if ((attrs & IRA_P) && (overwritten & bit)) {
                n->op = IR_NOP;
                continue;
            }
            if (attrs & IRA_G)
                overwritten &= ~bit;
            else if (n->op == IR_PUTV || (no < 16 && n->type >= TY_I32))
                overwritten |= bit;
        } else if (ir_may_fault(n) || n->op == IR_CALL || n->op == IR_EXIT_IF || (attrs & IRA_E)) {
            overwritten = 0;
        }
        used[n->a] = used[n->b] = used[n->c] = 1;
    }
}
