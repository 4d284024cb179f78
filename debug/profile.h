/*
 * profile.h - the sampling profiler: where a guest spends its time, kernel and programs, as folded stacks and a flame
 * graph.
 *
 * So many times a second of CPU time that the host gives a vCPU, its place is noted and its stack walked; while the guest
 * halts, time counts as [idle]. What is written: FILE.folded, a line for each stack ("process;outermost;...;innermost
 * COUNT", kernel functions end with _[k]), and FILE.svg.
 */
#ifndef DEBUG_PROFILE_H
#define DEBUG_PROFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "debug/unwind.h"
#include "translator/exec.h"

#define PROFILE_HZ 99
#define PROFILE_HZ_MAX 9999

struct machine;
struct profile;
struct text;

/* How vCPUs are asked: main/tick.h. */
struct profile_ops {
    /* Have profile_tick() called in each vCPU's thread, each `ns` from now on. False: in err, why not. */
    bool (*start)(struct machine *, uint64_t ns, char *err, size_t len);
    void (*stop)(struct machine *);
};

/* Before vCPUs run; freed when they have ended, after profile_end(). */
struct profile *profile_new(struct machine *, const struct profile_ops *);
void profile_free(struct profile *);
/* Stops it if it runs, while vCPUs may still be asked. False: the user was told what could not be written. */
bool profile_end(struct profile *);

/*
 * The event loop's thread, or before it runs: the files are made, and then, when there are vCPUs, it starts. False: in
 * err, what is wrong; the files are closed.
 */
bool profile_files(struct profile *, const char *file, char *err, size_t len);
bool profile_start(struct profile *, unsigned hz, enum unwind_how, char *err, size_t len);
/* Writes the files. */
bool profile_stop(struct profile *, char *err, size_t len);
void profile_info(struct profile *, struct text *);

/*
 * A vCPU's own thread, in a signal handler. profile_tick(): it runs; true: a sample is due, and exec_tick() is to be
 * called. profile_rest(): it has halted, `periods` ago, and no tick comes until the halt is over; then, outside of the handler,
 * profile_wake().
 */
bool profile_tick(struct cpu *c);
void profile_rest(struct cpu *c, unsigned periods);
void profile_wake(struct cpu *c);
/* exec_options.sample. */
void profile_sample(struct cpu *c, const struct exec_sample *);

#endif
