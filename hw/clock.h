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

/* Where real time and randomness come from (host/host_clock.h; tests have their own).  Any thread. */
struct clock_source {
    uint64_t (*now)(void *arg);                 /* ns, never back */
    int64_t (*wall)(void *arg);                 /* ns since 1970, UTC */
    int64_t (*zone)(void *arg, int64_t s);      /* local time - UTC in seconds, s seconds after 1970 */
    void (*entropy)(void *arg, void *buf, size_t len);
    void *arg;
};

/* A clock that follows its source. */
struct clock *clock_new(const struct clock_source *);
/* A clock that stands still until clock_advance(): tests.  Its wall clock starts at `wall` (s);
 * its entropy is the same each time. */
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
uint64_t clock_next(struct clock *);            /* earliest deadline, UINT64_MAX if none */
/* Real ns to sleep until a timer may be due; UINT64_MAX: no timer, or paused.  Device lock held. */
uint64_t clock_wait(struct clock *);
/*
 * From now on virtual time follows the processors (clock.c says why).  ran(arg, ns) is asked by any thread,
 * one at a time: of the real ns since the last call, how many had the processor that had least, because it
 * ran or wanted nothing?  First it is called with 0, and the answer ignored.  NULL: time follows its source
 * again.
 */
void clock_pace(struct clock *, uint64_t (*ran)(void *arg, uint64_t ns), void *arg);
/*
 * What a saved machine's time is: nanoseconds gone by, the wall clock at 0, its zone. Loading is for a paused clock or a
 * manual one; chips' timers are theirs (timer_set()).
 */
struct clock_state {
    uint64_t now;
    int64_t wall, zone;         /* ns since 1970; local time - UTC */
};
extern const struct field clock_fields[];
/* What is wrong with one that is to be loaded; NULL: nothing. It may go on for as long again as it has. */
const char *clock_check(const struct clock_state *);
void clock_save(struct clock *, struct clock_state *);
void clock_load(struct clock *, const struct clock_state *);
/* Virtual time stops and goes on; device lock held. */
void clock_pause(struct clock *, bool paused);
/* While it is held, clock_pause(false) does not let it go on (a debugger's steps). Said while time stands. */
void clock_hold(struct clock *, bool held);

#endif
