/* machine_setup.h - from options to a machine that is ready to start, and back to nothing. */
#ifndef MAIN_MACHINE_SETUP_H
#define MAIN_MACHINE_SETUP_H

#include "hw/machine.h"
#include "main/options.h"

/* Makes everything in *m but the threads.  Dies with a message and a documented exit code. */
void machine_setup(struct machine *m, struct options *o);
/* After vcpus_join(). False: not all that the guest wrote to disks reached their images; the user has been told. */
bool machine_teardown(struct machine *m, struct options *o);

#endif
