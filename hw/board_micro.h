/* board_micro.h - the PC without firmware: kernels are loaded directly. */
#ifndef HW_BOARD_MICRO_H
#define HW_BOARD_MICRO_H

#include "hw/machine.h"

#define MICRO_MAX_CPUS 255

/*
 * Wire the whole machine by m->cfg. Before: m->cfg, m->lock (recursive) and, if
 * the caller wants one of its own, m->clock. Afterwards everything in *m but
 * cpu[], vcpus, loop and boot is set. Chips are in their power-on state; call
 * machine_reset() before the first boot all the same: it also does what a
 * firmware would leave behind.
 */
void board_micro_init(struct machine *m);
void board_micro_free(struct machine *m);
/* The user presses the power button (any thread). */
void board_micro_power_button(struct machine *m);

#endif
