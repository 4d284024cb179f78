/*
 * gdb.h - a debugger's connection (-gdb, -s): the GDB remote serial protocol.
 */
#ifndef DEBUG_GDB_H
#define DEBUG_GDB_H

#include "hw/machine.h"

struct gdb;

/*
 * spec: "tcp::PORT", "tcp:HOST:PORT", "unix:PATH" or "stdio"; with the device lock held once vCPUs run. NULL:
 * err says what is wrong, *usage whether the specification is.
 */
struct gdb *gdb_new(struct machine *, const char *spec, char *err, size_t len, bool *usage);
/* The machine has ended, the vCPUs are gone: the debugger is told the exit code. NULL is allowed. */
void gdb_free(struct gdb *, int code);
/*
 * Listens for a debugger from now on, at a socket as gdb_new() takes it, instead of where that was done before; spec NULL:
 * nowhere. False: err says why not; nothing has changed.
 */
bool gdb_server(struct machine *, const char *spec, char *err, size_t len);

#endif
