/*
 * crash.c - a last report when Latimer itself crashes (signal-safety(7), sigaltstack(2)).
 *
 * A handler gets no argument of ours, so which vCPU the thread runs is thread-local.  What the report
 * reads may be damaged: a second fault in here ends the process at once (SA_RESETHAND).
 */
#ifndef _GNU_SOURCE             /* REG_RIP */
#define _GNU_SOURCE
#endif
#include "main/crash.h"

#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

#include "base/log.h"
#include "host/term.h"
#include "translator/exec.h"

#ifdef __SANITIZE_ADDRESS__
#define SANITIZED true          /* AddressSanitizer has its own, better report */
#else
#define SANITIZED false
#endif
#define ALT_STACK (256u << 10)  /* the disassembler needs some */

static const char request[] =
    "latimer: this is a bug in Latimer: please report it with the command line and these lines\n";

static _Thread_local struct cpu *vcpu;

static uintptr_t host_pc(const ucontext_t *u)
{
#if defined(__x86_64__)
    return (uintptr_t)u->uc_mcontext.gregs[REG_RIP];
#elif defined(__aarch64__)
    return (uintptr_t)u->uc_mcontext.pc;
#else
    return 0;
#endif
}

static void say(const char *text)
{
    if (write(STDERR_FILENO, text, strlen(text)) < 0)
        return;                 /* nowhere left to say it */
}

static void crashed(int sig, siginfo_t *info, void *context)
{
    uintptr_t pc = host_pc(context);
    uint64_t rip;
    char text[256];

    term_restore();
    snprintf(text, sizeof(text), "\nlatimer: crashed: signal %d (%s), host pc %#llx, address %p\n", sig,
             sig == SIGSEGV ? "SIGSEGV" : sig == SIGBUS ? "SIGBUS" : sig == SIGILL ? "SIGILL" : "SIGFPE",
             (unsigned long long)pc, info->si_addr);
    say(text);
    if (vcpu && exec_at_host(vcpu, (const void *)pc, &rip)) {
        snprintf(text, sizeof(text), "latimer: in translated code: CPU %u, guest rip %#llx, mode %#x\n", vcpu->index,
                 (unsigned long long)rip, (unsigned)vcpu->mode);
        say(text);
        say(request);
        /* Last, and only here: it allocates, and in translated code no lock of the C library's is held. */
        exec_show_host(vcpu, (const void *)pc, stderr);
        _exit(128 + sig);
    } else if (vcpu) {
        snprintf(text, sizeof(text), "latimer: in Latimer's own code, working for CPU %u (last exact guest rip %#llx)\n",
                 vcpu->index, (unsigned long long)vcpu->rip);
        say(text);
    }
    say(request);
    _exit(128 + sig);
}

void crash_thread(struct cpu *c)
{
    stack_t ss = { .ss_size = ALT_STACK };

    vcpu = c;
    ss.ss_sp = malloc(ALT_STACK);       /* until the process ends */
    if (!ss.ss_sp || sigaltstack(&ss, NULL) < 0)
        die(EXIT_CODE_HOST, "cannot set up a signal stack: out of memory");
}

void crash_init(void)
{
    static const int sigs[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE };
    struct sigaction sa = { .sa_sigaction = crashed, .sa_flags = (int)(SA_SIGINFO | SA_ONSTACK | SA_RESETHAND) };

    sigemptyset(&sa.sa_mask);
    for (unsigned i = 0; i < sizeof(sigs) / sizeof(sigs[0]) && !SANITIZED; i++)
        sigaction(sigs[i], &sa, NULL);
}
