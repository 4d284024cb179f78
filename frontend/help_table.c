/*
 * help_table.c - help.def made into the array the translator and the
 * interpreter call through.
 */
#include "frontend/help.h"

#define HELPER(name_, sig_, reads_, writes_, attrs_)                       \
    [HELP_##name_] = { .name = #name_, .sig = sig_,                        \
                       .fn = (void (*)(void))help_##name_,                 \
                       .reads = (reads_), .writes = (writes_),             \
                       .attrs = (attrs_), .nargs = sizeof(sig_) - 2,       \
                       .status = (sig_)[0] == 's' },
const struct helper_info helper_info[HELP_COUNT] = {
#include "frontend/help.def"
};
#undef HELPER
