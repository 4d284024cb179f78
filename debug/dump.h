/*
 * dump.h - what a guest has in its memory and processors, as a core file (ELF) for gdb and crash.
 */
#ifndef DEBUG_DUMP_H
#define DEBUG_DUMP_H

#include "hw/machine.h"

struct dump {
    const char *file;           /* or its name, where fd is it */
    int fd;                     /* of a regular file or a pipe, which dump_write() closes; -1: `file` is opened */
    bool paging;                /* segments by the first processor's page tables, at linear addresses, too */
    uint64_t begin, length;     /* physical memory, that is there in [begin, begin + length) alone; length 0: all */
};

/*
 * For the event loop's thread with the device lock held; the vCPUs stand still meanwhile. False: err says what failed;
 * then there is no file, or nothing of use in that of fd. *size: bytes of memory that were written.
 */
bool dump_write(struct machine *, const struct dump *, uint64_t *size, char *err, size_t len);

#endif
