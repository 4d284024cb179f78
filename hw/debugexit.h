/* debugexit.h - isa-debug-exit: a write of v ends the machine with exit code (v << 1) | 1. */
#ifndef HW_DEBUGEXIT_H
#define HW_DEBUGEXIT_H

#include "hw/dev.h"

struct debugexit;
/* stop(arg, code) is called with the finished exit code; the board passes it on to
 * machine_request_stop(m, STOP_DEBUG_EXIT, code). */
struct debugexit *debugexit_new(struct chip_list *, struct ports *, uint16_t iobase, uint16_t iosize,
                                void (*stop)(void *arg, int code), void *arg);

#endif
