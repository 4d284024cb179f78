/*
 * symfile.h - symbols from files of the host: ELF (executables, kernels, modules, debug files; 32 and 64 bit) and text
 * as nm(1) and System.map have it. Files are not trusted.
 */
#ifndef DEBUG_SYMFILE_H
#define DEBUG_SYMFILE_H

#include "base/symbols.h"

/* How a file's addresses become the guest's. */
enum symfile_place {
    SYMFILE_AS_IS,              /* a kernel's are found, where it was moved (symbols_slide_all()) */
    SYMFILE_OFFSET,             /* `value` is added */
    SYMFILE_BASE                /* its first byte in memory is at `value`; of a module (.ko): its .text */
};

/* NULL, and what is wrong in err: it cannot be read, is neither, or has no symbols. */
struct symtab *symfile_read(const char *file, enum symfile_place, uint64_t value, char *err, size_t len);

#endif
