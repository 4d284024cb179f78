/* boards.h - the kinds of machine there are. */
#ifndef HW_BOARDS_H
#define HW_BOARDS_H

#include "hw/machine.h"

struct board {
    const char *name, *what;    /* for -machine help */
    bool firmware;              /* runs one where no kernel is given */
    /*
     * Wire the whole machine by m->cfg. Before: m->cfg, m->lock (recursive) and m->clock. Afterwards
     * everything in *m but cpu[], vcpus, loop and boot is set. Chips are in their power-on state; call
     * machine_reset() before the first boot all the same: it also does what a firmware would leave behind.
     */
    void (*init)(struct machine *);
    void (*free)(struct machine *);
    void (*power_button)(struct machine *);     /* pressed by the user; device lock held */
    unsigned ide, ide_units;    /* machine_config's drives of that kind that it has places for; places of a bus */
    bool floppy;                /* it has a controller for them */
    bool usual;                 /* taken where nothing else is asked for and there are disks, or no kernel */
    const char *ram_id; /* what QEMU calls its memory */
    bool bare;                  /* it has no processor, and no memory unless that is asked for: m->ncpu is 0 */
};

extern const struct board board_micro, board_none, board_pc, board_q35;

#endif
