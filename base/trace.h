/*
 * trace.h - -trace: events of devices by name (trace.def), switched one by one while the machine runs.
 *
 * An event that is off costs the test of a byte; its arguments are then not even looked at, so they may be
 * expressions of some length in trace.def, though not at the place that says trace_<name>(). Any thread may tell of
 * events and switch them.
 *
 * A line: guest time in seconds, thread, name, arguments:
 *
 *   12.034567891 cpu0 pic_line line 0 level 1
 */
#ifndef BASE_TRACE_H
#define BASE_TRACE_H

#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum trace_event {
#define EVENT(name, params, args, fmt, what) TRACE_##name,
#include "base/trace.def"
#undef EVENT
    TRACE_COUNT
};

extern uint8_t trace_states[TRACE_COUNT];       /* like log_mask: what is on. Only trace.c writes it. */

static inline bool trace_on(enum trace_event e)
{
    return __builtin_expect(__atomic_load_n(&trace_states[e], __ATOMIC_RELAXED), 0);
}

/* fmt begins with a space. */
void trace_say(enum trace_event, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* For trace.def: the n bytes from `at` on as a big-endian number, 0 where they are not all there. */
static inline uint64_t trace_be(const uint8_t *p, size_t len, size_t at, unsigned n)
{
    uint64_t v = 0;

    if (at + n > len)
        return 0;
    for (unsigned i = 0; i < n; i++)
        v = v << 8 | p[at + i];
    return v;
}

/* The same: the address in a SCSI command, of which at least 10 bytes are there (SPC-4, 4.2.5: by its group). */
static inline uint64_t trace_lba(const uint8_t *cdb)
{
    switch (cdb[0] >> 5) {
    case 0: return trace_be(cdb, 10, 1, 3) & 0x1fffff;
    case 4: return trace_be(cdb, 10, 2, 8);
    default: return trace_be(cdb, 10, 2, 4);
    }
}

/* trace_<name>(): a function, so that arguments are checked while an event is off, too. */
#define P(...) (__VA_ARGS__)
#define A(...) __VA_OPT__(,) __VA_ARGS__
#define EVENT(name, params, args, fmt, what)                    \
    static inline void trace_##name params                      \
    {                                                           \
        if (trace_on(TRACE_##name))                             \
            trace_say(TRACE_##name, " " fmt args);                  \
    }
#include "base/trace.def"
#undef EVENT
#undef P
#undef A

/* ---- switching ---- */

const char *trace_name(enum trace_event);
/* Does a name match the pattern, with * ? and [] as in file names? */
bool trace_matches(enum trace_event, const char *pattern);
/* Switch the events that match; returns how many there are: 0, and nothing changed, if the pattern means none. */
unsigned trace_switch(const char *pattern, bool on);
/* The same for "PATTERN" and "-PATTERN" (off); and how many there are, changing nothing. */
unsigned trace_apply(const char *item);
unsigned trace_means(const char *item);
/*
 * Apply a file's lines, an item each; empty ones and those with # mean nothing. False: an item means no event, `bad`
 * is which, and *line is where; those before it are applied.
 */
bool trace_read(FILE *, char *bad, size_t size, unsigned *line);
/* Events and what they are, one a line; and their names, for "did you mean". */
void trace_help(FILE *);
struct nearest;
void trace_names(struct nearest *);

/* ---- where lines go, and what is in them ---- */

/* Lines go to f, which is taken over; until then, to the log. Once, before there are other threads. */
void trace_set_file(FILE *f);
bool trace_whole(void);         /* have all got there so far? */
/* Guest time, in ns; now(arg) is called by any thread. NULL: lines say 0. While no other thread tells of events. */
void trace_set_clock(uint64_t (*now)(void *arg), void *arg);
/* How lines name this thread from now on, "-" before. A name of at most 15 characters. */
void trace_thread(const char *name);

#endif
