/*
 * crash.c - a last report when Latimer itself crashes (signal-safety(7), sigaltstack(2)).
 *
 * A handler gets no argument of ours, so which vCPU the thread runs is thread-local.  What the report
 * reads may be damaged: a second fault in here ends the part that is being printed (SA_NODEFER).
 */
#ifndef _GNU_SOURCE             /* REG_RIP */
#define _GNU_SOURCE
#endif
#include "main/crash.h"

#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "host/term.h"
#include "main/host_context.h"
#include "translator/exec.h"

#ifdef __SANITIZE_ADDRESS__
#define SANITIZED true          /* AddressSanitizer has its own, better report */
#else
#define SANITIZED false
#endif
#define ALT_STACK (256u << 10)  /* the disassembler needs some */

static const char bug[] =
    "latimer: this is a bug in Latimer: please report it with the command line and these lines\n";
static const char no_memory[] =
    "latimer: the host has nothing to give for a page of the guest's memory: it has no memory left, or no room for the file that "
    "this is in (mem-path=, or a tmpfs), or somebody made that file shorter: give it room, or the guest less memory (-m)\n";

static _Thread_local struct cpu *vcpu;
static const struct phys *guest;

static void say(const char *text)
{
    if (write(STDERR_FILENO, text, strlen(text)) < 0)
        return;                 /* nowhere left to say it */
}

/* ---- parts of the report; where one crashes, the next is tried ---- */

static _Thread_local sigjmp_buf next_part;
static _Thread_local volatile sig_atomic_t in_part;     /* 0: none; then a crash in the report ends it */

static void try_part(const char *title, void (*part)(struct cpu *, const struct exec_place *, FILE *),
                     const struct exec_place *p)
{
    say(title);
    in_part = 1;
    if (!sigsetjmp(next_part, 1))
        part(vcpu, p, stderr);
    else
        say("latimer: (this could not be read)\n");
    in_part = 0;
}

static void find_place(struct exec_place *p, const void *host, const void *lr)
{
    in_part = 1;
    if (!sigsetjmp(next_part, 1))
        exec_place(vcpu, host, lr, p);
    else
        p->where = EXEC_ELSEWHERE;
    in_part = 0;
}

static void crashed(int sig, siginfo_t *info, void *context)
{
    static const char *const where[] = { [EXEC_BLOCK] = "in translated code",
                                         [EXEC_THUNK] = "in a thunk of translated code",
                                         [EXEC_NO_BLOCK] = "in memory for translated code, but in no block" };
    static _Thread_local volatile sig_atomic_t reporting;
    uintptr_t pc = host_pc(context);
    struct exec_place p = { .where = EXEC_ELSEWHERE };
    const char *verdict;
    char text[256];
    bool hosts;
    int code;

    if (in_part)
        siglongjmp(next_part, 1);
    if (reporting)
        _exit(128 + sig);
    reporting = 1;
    term_restore();
    hosts = sig == SIGBUS && info->si_code == BUS_ADRERR && phys_ram_holds(guest, info->si_addr);
    verdict = hosts ? no_memory : bug;
    code = hosts ? EXIT_CODE_HOST : 128 + sig;
    snprintf(text, sizeof(text), "\nlatimer: crashed: signal %d (%s), host pc %#llx, address %p\n", sig,
             sig == SIGSEGV ? "SIGSEGV" : sig == SIGBUS ? "SIGBUS" : sig == SIGILL ? "SIGILL" : "SIGFPE",
             (unsigned long long)pc, info->si_addr);
    say(text);
    if (vcpu)
        find_place(&p, (const void *)pc, (const void *)host_link_register(context));
    if (p.where != EXEC_ELSEWHERE) {
        int n = snprintf(text, sizeof(text), "latimer: %s: CPU %u, ", where[p.where], vcpu->index);

        if (p.block)
            snprintf(text + n, sizeof(text) - (size_t)n, "guest rip %#llx, mode %#x\n",
                     (unsigned long long)p.rip, (unsigned)vcpu->mode);
        else
            snprintf(text + n, sizeof(text) - (size_t)n, "guest rip unknown (last exact one %#llx)\n",
                     (unsigned long long)vcpu->rip);
        say(text);
        say(verdict);
        /* Last, and only here: it allocates, and in translated code no lock of the C library's is held. */
        try_part("host code:\n", exec_show_host, &p);
        if (p.block)
            try_part("guest code:\n", exec_show_guest, &p);
        _exit(code);
    } else if (vcpu) {
        int n = snprintf(text, sizeof(text),
                         "latimer: in Latimer's own code, working for CPU %u (last exact guest rip %#llx",
                         vcpu->index, (unsigned long long)vcpu->rip);

        if (p.block)
            n += snprintf(text + n, sizeof(text) - (size_t)n,
                          "; translated code called or left last at %#llx", (unsigned long long)p.rip);
        snprintf(text + n, sizeof(text) - (size_t)n, ")\n");
        say(text);
    }
    say(verdict);
    _exit(code);
}

void crash_thread(struct cpu *c)
{
    stack_t ss = { .ss_size = ALT_STACK };

    vcpu = c;
    ss.ss_sp = malloc(ALT_STACK);       /* until the process ends */
    if (!ss.ss_sp || sigaltstack(&ss, NULL) < 0)
        die(EXIT_CODE_HOST, "cannot set up a signal stack: out of memory");
}

void crash_init(const struct phys *memory)
{
    static const int sigs[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE };
    struct sigaction sa = { .sa_sigaction = crashed, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER };

    guest = memory;
    sigemptyset(&sa.sa_mask);
    for (unsigned i = 0; i < sizeof(sigs) / sizeof(sigs[0]) && !SANITIZED; i++)
        sigaction(sigs[i], &sa, NULL);
}
