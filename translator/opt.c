/*
 * opt.c - the pipeline: what happens to a block between lifting and emitting.
 *
 *      each instruction, as it is appended     known values, constants, addresses (opt_fold.c),
 *                                              probes shared by accesses (opt_probe.c)
 *      the finished block, backwards           what nobody needs goes (opt_needs.c)
 *
 * Nothing is allocated; what is removed becomes a NOP, so indices stay valid.  No
 * step changes what a fault point, an exit or a helper can see of the guest's state.
 */
#include <string.h>

#include "base/log.h"
#include "translator/opt.h"

/* May a FLAGS refer to this operation? */
static bool may_be_flagged(enum ir_op op)
{
    return op <= IR_BIT && op >= IR_ADD && op != IR_BSWAP;
}

ir_ref opt_emit(struct ir_block *b, struct ir_ins *n)
{
    const uint16_t *same = b->opt->same;
    unsigned attrs = ir_attrs[n->op];
    if (n->op != IR_FLAGS)
        n->a = same[n->a];
    n->b = same[n->b];
    n->c = same[n->c];
    if (attrs & (IRA_G | IRA_P))
        return opt_slot(b, n);
    if (!(attrs & (IRA_K | IRA_VEC)) && n->op < IR_FLAGS && n->op > IR_MARK)
        return may_be_flagged(n->op) ? opt_flagged(b, n) : opt_pure(b, n);
    switch (n->op) {
    case IR_LD: case IR_ST: case IR_LDV: case IR_STV:
        opt_address(b, n);
        return opt_access(b, n);
    case IR_AMO: case IR_CAS:
        opt_address(b, n);
        break;
    case IR_CALL:
        opt_call(b, n);
        break;
    case IR_EXIT_IF:
        if (ir_is_const(b, n->a) && b->ins[n->a].imm == 0) {
            if (b->ins[b->n - 1].op == IR_SEEN)
                b->ins[b->n - 1].op = IR_NOP;
            return IR_NONE;
        }
        break;
    default:
        break;
    }
    return ir_append(b, n);
}

void opt_begin(struct ir_block *b)
{
    struct opt_state *f = b->opt = b->opt_mem;
    memset(f, 0, offsetof(struct opt_state, group));
    f->same[0] = 0;
    f->home[0] = 0;
}

/* Build the block anew from its own instructions, now with what opt_emit() does. */
static void forward(struct ir_block *b)
{
    static const struct ir_ins nop = { .op = IR_NOP };
    struct ir_ins old[IR_MAX];
    uint16_t now[IR_MAX];
    unsigned n = b->n;
    memcpy(old, b->ins, n * sizeof *old);
    b->n = 0;
    opt_begin(b);
    now[0] = (uint16_t)ir_append(b, &nop);
    for (unsigned i = 1; i < n; i++) {
        struct ir_ins x = old[i];
        x.a = now[x.a];
        x.b = now[x.b];
        x.c = now[x.c];
        now[i] = x.op == IR_NOP ? 0 : (uint16_t)opt_emit(b, &x);
    }
}

static void after(struct ir_block *b, const struct opt_options *o, const char *pass)
{
    if (o && o->dump) {
        fprintf(o->dump_to, "; after %s\n", pass);
        ir_print(o->dump_to, b);
    }
#ifdef LATIMER_CHECKED
    bool verify = true;
#else
    bool verify = o && o->verify;
#endif
    const char *wrong = verify ? ir_verify(b) : NULL;
    if (wrong) {
        ir_print(log_file(), b);
        die(EXIT_CODE_CHECK, "internal error: IR after %s: %s", pass, wrong);
    }
}

void ir_optimize(struct ir_block *b, const struct opt_options *o)
{
    if (!b->opt)
        forward(b);
    after(b, o, "lift");
    opt_needs(b);
    after(b, o, "needs");
}
