/*
 * opt_foreign.c - QEMU's options that are none of ours: foreign.def.
 */
#include "base/log.h"
#include "main/options_priv.h"

enum how { SAME, NOTE, REFUSED };
static const struct foreign {
    const char *names;
    bool arg;
    enum how how;
    const char *text;
} foreigners[] = {
#define FOREIGN(names, arg, how, text) { names, arg, how, text },
#include "main/foreign.def"
#undef FOREIGN
};

bool options_foreign(const char *arg, const char *name, bool *takes_arg)
{
    for (unsigned i = 0; i < sizeof(foreigners) / sizeof(foreigners[0]); i++) {
        const struct foreign *f = &foreigners[i];

        if (!options_has_name(f->names, name))
            continue;
        if (f->how == REFUSED)
            die(EXIT_CODE_USAGE, "%s is not there: %s", arg, f->text);
        if (f->how == NOTE)
            arg_note("%s has no effect: %s", arg, f->text);
        *takes_arg = f->arg;
        return true;
    }
    return false;
}
