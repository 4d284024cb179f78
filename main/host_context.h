/*
 * host_context.h - what a signal's handler is told of the code that was interrupted, by kind of host.
 */
#ifndef MAIN_HOST_CONTEXT_H
#define MAIN_HOST_CONTEXT_H

#ifndef _GNU_SOURCE
#error "define _GNU_SOURCE before all includes: REG_RIP"
#endif
#include <stdint.h>
#include <ucontext.h>

/* The program counter; 0: not known on this host. */
static inline uintptr_t host_pc(const ucontext_t *u)
{
#if defined(__x86_64__)
    return (uintptr_t)u->uc_mcontext.gregs[REG_RIP];
#elif defined(__aarch64__)
    return (uintptr_t)u->uc_mcontext.pc;
#else
    return 0;
#endif
}

/* The link register; 0: the host has none. */
static inline uintptr_t host_link_register(const ucontext_t *u)
{
#if defined(__aarch64__)
    return (uintptr_t)u->uc_mcontext.regs[30];
#else
    return 0;
#endif
}

#endif
