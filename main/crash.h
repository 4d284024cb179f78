/* crash.h - when Latimer itself crashes: where, in host and guest terms. */
#ifndef MAIN_CRASH_H
#define MAIN_CRASH_H

struct cpu;
struct phys;

/*
 * SIGSEGV, SIGBUS, SIGILL and SIGFPE from now on give the terminal back, say where it happened and
 * end the process with 128 + signal.  After whoever else installs handlers (host/term.c).  Where the host
 * has nothing to give for the guest's memory, which it says by SIGBUS, that is said, too, and the code is EXIT_CODE_HOST.
 */
void crash_init(const struct phys *guest);
/* Each thread has its own alternate stack: translated code runs on one that has no room for this.
 * c: the vCPU it runs, or NULL. */
void crash_thread(struct cpu *c);

#endif
