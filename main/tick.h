/*
 * tick.h - the profiler's ticks: a timer for each vCPU's thread, whose signal (SIGPROF) asks profile_tick(), and if a sample
 * is due calls exec_tick().
 */
#ifndef MAIN_TICK_H
#define MAIN_TICK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cpu;
struct machine;

/* Before vCPUs begin. */
void tick_init(struct machine *);
/* When they have ended. */
void tick_exit(void);
/* On a vCPU's own thread, when exec_thread() and crash_thread() (for the signal's stack) were called. */
void tick_thread(struct cpu *c);
/* The same: it has slept in a halt (vcpu_asleep()), and does not any more. */
void tick_wake(struct cpu *c);
/*
 * Each `ns` of elapsed time from now on, until tick_stop(); a vCPU that halts is woken from no halt. Also before their threads
 * have begun. Any thread. False: in err, why there are none.
 */
bool tick_start(struct machine *, uint64_t ns, char *err, size_t len);
void tick_stop(struct machine *);

#endif
