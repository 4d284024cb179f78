/*
 * lift_env.h - one vCPU with flat RAM and no paging, that lifts a piece of code
 * and runs the IR in the interpreter until a stop address.
 */
#ifndef TESTS_LIFT_ENV_H
#define TESTS_LIFT_ENV_H

#include "frontend/lift.h"
#include "hw/machine.h"
#include "translator/interp.h"

#define ENV_RAM  (4u << 20)
#define ENV_CODE 0x10000u       /* where code goes; in 16-bit modes CS base + 0 */
#define ENV_DATA 0x20000u
#define ENV_STACK 0x30000u

struct lift_env {
    struct cpu *c;
    struct machine m;
    struct ir_block b;
    uint8_t *ram;
    struct lift_options opt;
    uint32_t extra_mode;        /* M_ONE and the like */
    bool optimize;              /* run the passes, verifying after each */
    bool step;                  /* in env_exec */
    unsigned blocks;            /* lifted by env_run */
    enum exec_why why;          /* how the last block ended */
};

/* code: M_CODE16 (real mode), M_CODE32 or M_CODE64 (both flat, CPL 0). */
struct lift_env *env_new(uint32_t code);
void env_free(struct lift_env *e);
/* Put code at ENV_CODE and point RIP there. */
void env_code(struct lift_env *e, const void *bytes, unsigned len);
/* Lift the block at RIP; the verifier must accept it. False: fetch fault. */
bool env_lift(struct lift_env *e);
/* Run until RIP == stop or a fault; true if it faulted. */
bool env_run(struct lift_env *e, uint64_t stop);
/* env_code, then run to the end of it, `insns` instructions a block. */
bool env_exec(struct lift_env *e, const void *bytes, unsigned len, unsigned insns);
/* Number of IR instructions of this kind in the last block. */
unsigned env_count(const struct lift_env *e, enum ir_op op);

#endif
