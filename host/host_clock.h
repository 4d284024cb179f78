/* host_clock.h - the host's time and randomness, as a machine's clock takes them. */
#ifndef HOST_HOST_CLOCK_H
#define HOST_HOST_CLOCK_H

#include "hw/clock.h"

extern const struct clock_source host_clock;

#endif
