/*
 * opt.c - the pipeline: what happens to a block between lifting and emitting.
 *
 * Each pass is one walk over the array and allocates nothing; what it removes
 * becomes a NOP, so indices stay valid.  No pass changes what a fault point, an
 * exit or a helper can see of the guest's state.
 */
#include "base/log.h"
#include "translator/ir.h"

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
    after(b, o, "lift");
    opt_fold(b);
    after(b, o, "fold");
    opt_probe(b);
    after(b, o, "probe");
    opt_needs(b);               /* behind opt_probe: accesses under a probe cannot fault */
    after(b, o, "needs");
}
