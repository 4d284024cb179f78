/*
 * cpu_state.h - a vCPU's architectural state as a stream (base/state.h), the same on every host.
 *
 * The vCPU stands still outside translated code, its floating-point state synchronised (backend_fp_sync()).
 */
#ifndef FRONTEND_CPU_STATE_H
#define FRONTEND_CPU_STATE_H

#include "base/state.h"
#include "frontend/cpu.h"

void cpu_state_save(const struct cpu *, struct state_out *);
/*
 * c NULL: only checked. Returns NULL or what is wrong. Everything derived from the state is brought up to date, TLBs
 * included; translated code is the caller's business (exec_forget()).
 */
const char *cpu_state_load(struct cpu *c, struct state_in *);

#endif
