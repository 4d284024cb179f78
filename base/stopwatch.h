/*
 * stopwatch.h - CPU time of short pieces of the calling thread's work, in nanoseconds.
 *
 * The kernel's clock of a thread counts nothing while others run, which the clock on the wall does: on a busy
 * machine it is the only one to trust.  But to read it is a system call, about as long as the translation of
 * an instruction or two.  So what a reading itself takes is found out at the start, and taken off each lap;
 * and whoever measures something short and frequent measures a sample of it (see SAMPLE in exec.c).
 */
#ifndef BASE_STOPWATCH_H
#define BASE_STOPWATCH_H

#include <stdint.h>

struct stopwatch {
    uint64_t last;              /* the clock when it was started or last read */
    uint64_t cost;              /* of a reading */
};

/* Finds out what a reading costs (takes a fraction of a millisecond). */
void stopwatch_init(struct stopwatch *);
void stopwatch_start(struct stopwatch *);
/* CPU time since the start or the last lap, without the reading's own; a new lap begins. */
uint64_t stopwatch_lap(struct stopwatch *);

#endif
