/*
 * gdb.h - a debugger's connection (-gdb, -s): the GDB remote serial protocol.
 */
#ifndef DEBUG_GDB_H
#define DEBUG_GDB_H

#include "hw/machine.h"

struct gdb;

/*
 * spec: "tcp::PORT", "tcp:HOST:PORT", "unix:PATH" or "stdio". The vCPUs are there and do not run yet. NULL:
 * err says what is wrong, *usage whether the specification is.
 */
struct gdb *gdb_new(struct machine *, const char *spec, char *err, size_t len, bool *usage);
/* The machine has ended, the vCPUs are gone: the debugger is told the exit code. NULL is allowed. */
void gdb_free(struct gdb *, int code);

#endif
