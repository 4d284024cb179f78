/*
 * help_monitor.c - MONITOR and MWAIT: wait for an interrupt or a store to a line of memory.
 *
 * MONITOR keeps a copy of the line; MWAIT waits only if the line still is as it was, so a store in
 * between, by whomever, is not missed.  While the processor waits only other masters can store:
 * phys_write() looks whether a waiting processor's line is hit and wakes it (softmmu/phys.c).
 * Stores of other processors are not looked at: the feature is for machines with one.
 * SDM vol. 2, MONITOR and MWAIT; vol. 3, 8.10.
 */
#include <string.h>

#include "frontend/help.h"
#include "hw/machine.h"
#include "softmmu/softmmu.h"

#define MWAIT_BREAK 1u          /* ECX: interrupts end it even if they are masked */

static bool off(const struct cpu *c)
{
    return !(c->misc_enable & MISC_MONITOR);
}

bool help_monitor(struct cpu *c, uint64_t lin, uint64_t ecx)
{
    struct monitor *m = &c->monitor;
    uint64_t run;
    uint8_t b;
    void *host;

    if (off(c))
        return fault_ud(c);
    if (ecx)
        return fault_gp(c, 0);
    if (mmu_load(c, lin, 1, (enum mmu_idx)((c->mode & M_MMU) >> M_MMU_SHIFT), false, &b))
        return true;
    m->armed = 0;
    if (!mmu_debug_translate(c, lin, &m->pa))
        return false;
    m->pa &= ~(uint64_t)(MONITOR_LINE - 1);
    host = phys_host(c->m->phys, m->pa, true, &run);
    if (!host || run < MONITOR_LINE)
        return false;                   /* only RAM can be watched */
    memcpy(m->copy, host, MONITOR_LINE);
    m->armed = 1;
    return false;
}

bool help_mwait(struct cpu *c, uint64_t ecx)
{
    struct monitor *m = &c->monitor;
    const uint8_t *line;
    uint64_t run;

    if (off(c))
        return fault_ud(c);
    if (ecx & ~(uint64_t)MWAIT_BREAK)
        return fault_gp(c, 0);
    c->inhibit = 0;
    if (!m->armed)
        return false;
    m->armed = 0;
    m->any = ecx & MWAIT_BREAK;
    phys_monitor(c->m->phys);
    /* First wait, then look: whoever stores after the look sees that somebody waits. */
    __atomic_store_n(&c->halted, HALT_MWAIT, __ATOMIC_SEQ_CST);
    line = phys_host(c->m->phys, m->pa, true, &run);
    /* A line that is memory no more since MONITOR is not waited for. */
    if ((m->any && __atomic_load_n(&c->intr_pending, __ATOMIC_SEQ_CST)) || !line || run < MONITOR_LINE ||
        memcmp(m->copy, line, MONITOR_LINE))
        __atomic_store_n(&c->halted, HALT_NONE, __ATOMIC_SEQ_CST);
    return false;
}
