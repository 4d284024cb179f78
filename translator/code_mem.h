/*
 * code_mem.h - the memory that translated code lies in: written at rw, executed at rw + rx_off.
 */
#ifndef TRANSLATOR_CODE_MEM_H
#define TRANSLATOR_CODE_MEM_H

#include <stdbool.h>
#include <stdint.h>

struct code_mem {
    uint8_t *rw;
    intptr_t rx_off;            /* 0: one view, writable and executable */
    uint64_t size;
    const char *how;            /* for people */
};

/*
 * Ends the process with EXIT_CODE_HOST and an explanation if this host gives none. no_file: one view of memory that is of
 * no file is tried first.
 */
void code_mem_map(struct code_mem *, uint64_t size, bool no_file);
void code_mem_unmap(struct code_mem *);

#endif
