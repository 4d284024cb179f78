/*
 * machine.c - what every board shares: stopping and resetting the machine.
 */
#include "hw/machine.h"

/* The first reason wins: a guest that writes S5 and then spins must not turn it into a reset. */
void machine_request_stop(struct machine *m, enum stop_reason why, int code)
{
    machine_lock(m);
    if (m->stop == STOP_NONE || why == STOP_QUIT) {
        m->stop_code = code;
        __atomic_store_n(&m->stop, why, __ATOMIC_SEQ_CST);     /* read without the lock */
    }
    machine_unlock(m);
    for (unsigned i = 0; i < m->ncpu; i++)
        cpu_lines.kick(m, i);
}

void machine_reset(struct machine *m)
{
    machine_lock(m);
    chips_reset(m->chips);
    if (m->board_reset)
        m->board_reset(m);
    machine_unlock(m);
}
