/* crash.h - when Latimer itself crashes: where, in host and guest terms. */
#ifndef MAIN_CRASH_H
#define MAIN_CRASH_H

struct cpu;

/*
 * SIGSEGV, SIGBUS, SIGILL and SIGFPE from now on give the terminal back, say where it happened and
 * end the process with 128 + signal.  After whoever else installs handlers (host/term.c).
 */
void crash_init(void);
/* Each thread has its own alternate stack: translated code runs on one that has no room for this.
 * c: the vCPU it runs, or NULL. */
void crash_thread(struct cpu *c);

#endif
