/*
 * machine.c - what every board shares: stopping and resetting the machine.
 */
#include "base/trace.h"
#include "hw/boards.h"

/* The first reason wins: a guest that writes S5 and then spins must not turn it into a reset. */
void machine_request_stop(struct machine *m, enum stop_reason why, int code)
{
    machine_lock(m);
    if (m->stop == STOP_NONE || why == STOP_QUIT) {
        m->stop_code = code;
        trace_machine_stop((int)why, code);
        machine_news(m, NEWS_STOP, NULL, why);
        __atomic_store_n(&m->stop, why, __ATOMIC_SEQ_CST);     /* read without the lock */
    }
    machine_unlock(m);
    cpu_lines.kick(m);
}

void *machine_ram(struct machine *m)
{
    return m->cfg.memory ? phys_ram_lend(m->phys, m->cfg.memory) : phys_ram_alloc(m->phys, m->cfg.ram);
}

void machine_event(struct machine *m, enum machine_event what, const char *who)
{
    static const enum machine_news news[] = {
        [EVENT_WATCHDOG] = NEWS_WATCHDOG, [EVENT_PANIC] = NEWS_PANIC, [EVENT_CRASH_KERNEL] = NEWS_CRASH_KERNEL
    };

    if (m->tell)
        m->tell(m, what, who);
    machine_news(m, news[what], who, 0);
    if (what == EVENT_CRASH_KERNEL)
        return;
    switch (what == EVENT_WATCHDOG ? m->cfg.on_watchdog : m->cfg.on_panic) {
    case ACTION_RESET: machine_request_stop(m, STOP_RESET, 0); break;
    case ACTION_POWEROFF: machine_request_stop(m, STOP_POWEROFF, 0); break;
    case ACTION_POWER_BUTTON: machine_power_button(m); break;
    case ACTION_NMI: cpu_lines.nmi(m, 0); break;
    case ACTION_NONE: case ACTION_PAUSE: break;
    case ACTION_FAIL: machine_request_stop(m, STOP_PANIC, 0); break;
    }
}

void machine_power_button(struct machine *m)
{
    machine_news(m, NEWS_POWER_BUTTON, NULL, 0);
    m->cfg.board->power_button(m);
}

void machine_reset(struct machine *m)
{
    machine_lock(m);
    trace_machine_reset();
    chips_reset(m->chips);
    if (m->board_reset)
        m->board_reset(m);
    machine_unlock(m);
}
