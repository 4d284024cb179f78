/*
 * help.h - helper functions (help.def) and the table the translator sees.
 */
#ifndef FRONTEND_HELP_H
#define FRONTEND_HELP_H

#include "frontend/cpu.h"

#define HS_GPR   0x01u
#define HS_FLAGS 0x02u
#define HS_VEC   0x04u
#define HS_X87   0x08u
#define HS_SYS   0x10u

#define HF_END     0x01u
#define HF_RESTART 0x02u
#define HF_IO      0x04u
#define HF_MEM     0x08u

enum helper_id {
    HELP_NONE,
#define HELPER(name, sig, reads, writes, attrs) HELP_##name,
#include "frontend/help.def"
#undef HELPER
    HELP_COUNT
};

struct helper_info {
    const char *name, *sig;
    void (*fn)(void);
    uint8_t reads, writes, attrs;
    uint8_t nargs;
    bool status;                /* returns "faulted" */
};
extern const struct helper_info helper_info[HELP_COUNT];     /* help_table.c */

#include "frontend/help_int.h"
#include "frontend/help_sys.h"
#include "frontend/help_sse.h"
#include "frontend/help_x87.h"

#endif
