/* stopwatch.c - see stopwatch.h. */
#include "base/stopwatch.h"

#include <time.h>

#define TRIES 400

static uint64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* The mean, not the minimum: it is sums of laps that are reported. */
void stopwatch_init(struct stopwatch *w)
{
    uint64_t start;
    now();
    start = now();
    for (unsigned i = 0; i < TRIES; i++)
        now();
    w->cost = (now() - start) / (TRIES + 1);
    w->last = 0;
}

void stopwatch_start(struct stopwatch *w)
{
    w->last = now();
}

uint64_t stopwatch_lap(struct stopwatch *w)
{
    uint64_t t = now(), lap = t - w->last;
    w->last = t;
    return lap > w->cost ? lap - w->cost : 0;
}
