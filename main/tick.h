/*
 * tick.h - the profiler's ticks: a signal (SIGPROF) to a vCPU's thread, whose handler calls exec_tick().
 */
#ifndef MAIN_TICK_H
#define MAIN_TICK_H

struct cpu;
struct machine;

/* Before a tick is given to anybody. */
void tick_init(void);
/* On a vCPU's own thread, when exec_thread() and crash_thread() (for the signal's stack) were called. */
void tick_thread(struct cpu *c);
/* Have exec_options.sample() called for it soon; it is woken from no halt. Any thread; nothing where there is no thread. */
void tick_give(struct machine *, unsigned cpu);

#endif
