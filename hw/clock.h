/*
 * clock.h - the parts of virtual time that only boards, main and tests use (chips: dev.h).
 *
 * The guest TSC ticks once a virtual nanosecond (1 GHz): reading it needs no
 * multiplication, is exact, and TSC deadlines are virtual time.
 */
#ifndef HW_CLOCK_H
#define HW_CLOCK_H

#include "hw/dev.h"

#define NS_PER_SEC 1000000000ull

/* A clock that stands still until clock_advance(): tests.  Its wall clock starts at `wall` (s). */
struct clock *clock_new_manual(int64_t wall);
/* Manual clocks only: move on by ns, firing each timer at its own time. */
void clock_advance(struct clock *, uint64_t ns);
/* Manual clocks only: the host is late; ns pass before any timer fires, then those fire that are due. */
void clock_advance_late(struct clock *, uint64_t ns);
/*
 * -rtc: the wall clock at virtual time 0.  base: seconds since 1970, INT64_MIN for the host's
 * time now; localtime: shift the host's time to its local zone.  Before any chip is made.
 */
void clock_set_rtc(struct clock *, int64_t base, bool localtime);
/* Wall clock now: nanoseconds since 1970 = the base plus clock_now(). */
int64_t clock_wall_ns(struct clock *);
/*
 * Virtual time passes n (> 0) times slower than the host's, so that a guest that runs so much slower
 * (lock-step checking) does not spend all its time on timer interrupts.  Before any vCPU runs.
 */
void clock_set_slowdown(struct clock *, unsigned n);
/* How long ns of virtual time are for the host. */
uint64_t clock_host_ns(const struct clock *, uint64_t ns);
/* Virtual time stops and goes on; device lock held. */
void clock_pause(struct clock *, bool paused);

#endif
