/*
 * perf.h - translated code for the host's perf: -perfmap and -jitdump (Linux' tools/perf/Documentation:
 * jit-interface.txt, jitdump-specification.txt).
 *
 * A map tells perf which name code at an address has; it knows no time, so where code memory was used again the
 * last name counts. A dump has the code itself, with times: "perf inject --jit" makes files of it that perf annotates.
 * Files are whole when perf_close() has returned.
 */
#ifndef TRANSLATOR_PERF_H
#define TRANSLATOR_PERF_H

#include <stdbool.h>
#include <stdint.h>

struct perf;

/* /tmp/perf-PID.map, and jit-PID.dump in the current folder; NULL: `err` says why not. */
struct perf *perf_open(bool map, bool dump, char *err, unsigned size);
/* perf finds names of a map only for memory that is of no file. Takes NULL: false. */
bool perf_wants_no_file(const struct perf *);
/*
 * From now on there is code of `size` bytes (0: nothing happens) that is executed at rx and can be read at rw. Any
 * thread. Takes NULL.
 */
void perf_code(struct perf *, const char *name, const void *rx, const void *rw, uint64_t size);
/* Takes NULL. False: something could not be written, and the user was told. */
bool perf_close(struct perf *);

#endif
