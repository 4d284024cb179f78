/*
 * ir_env.h - one vCPU in flat 64-bit code with a little RAM and no paging, that
 * runs IR blocks given as text.
 *
 * Physical page p lies in host page p ^ 1 of `ram`: an access that wrongly runs
 * on past a page's end in host memory does not find the guest's next page.
 */
#ifndef TESTS_IR_ENV_H
#define TESTS_IR_ENV_H

#include "hw/machine.h"
#include "translator/interp.h"

#define ENV_RAM 0x10000u

struct ir_env {
    struct cpu *c;
    struct machine m;
    uint8_t *ram;
    struct ir_block b;
};

void ir_env_init(struct ir_env *e);
void ir_env_free(struct ir_env *e);
/* Registers and flags to zero, RAM to a pattern. */
void ir_env_reset(struct ir_env *e);
/*
 * Run one `; run:` line's text, "set set .. -> expect expect ..", on the block:
 *   rax=N .. r15=N, flags=LETTERS of OSZAPC (none: -), xmmN=HIGH:LOW, attn=N,
 *   mN[ADDR]=V (N bytes of memory), and on the right also pc=N, why=next|fault|slow|attn,
 *   vector=N.
 * NULL or what differs (static buffer).
 */
const char *ir_env_run(struct ir_env *e, const char *line);

#endif
