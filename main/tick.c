/*
 * tick.c - see tick.h.
 */
#ifndef _GNU_SOURCE             /* REG_RIP */
#define _GNU_SOURCE
#endif
#include "main/tick.h"

#include <signal.h>
#include <stddef.h>

#include "main/host_context.h"
#include "main/vcpu.h"
#include "translator/exec.h"

static _Thread_local struct cpu *vcpu;

static void on_tick(int sig, siginfo_t *info, void *context)
{
    (void)sig;
    (void)info;
    if (vcpu)
        exec_tick(vcpu, (const void *)host_pc(context), (const void *)host_link_register(context));
}

void tick_init(void)
{
    struct sigaction sa = { .sa_sigaction = on_tick, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART };

    sigfillset(&sa.sa_mask);
    sigdelset(&sa.sa_mask, SIGSEGV);    /* a crash in there is reported as any other */
    sigdelset(&sa.sa_mask, SIGBUS);
    sigaction(SIGPROF, &sa, NULL);
}

void tick_thread(struct cpu *c)
{
    vcpu = c;
}

void tick_give(struct machine *m, unsigned cpu)
{
    vcpus_signal(m, cpu, SIGPROF);
}
