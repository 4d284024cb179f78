/* firmware.h - finding and reading the firmware's image. */
#ifndef MAIN_FIRMWARE_H
#define MAIN_FIRMWARE_H

#include <stdio.h>

#include "hw/machine.h"
#include "main/options.h"

/* Fill in m->cfg.bios by -bios and -L. Dies with EXIT_CODE_FILE and what to install. */
void firmware_read(struct machine *m, const struct options *);
/* Read what the devices have for property romfile. Dies where a file that the user named is missing; what
   is a type's default need not be there. */
void firmware_roms(struct machine *, const struct options *);
/* Where firmware is looked for behind the folders of -L, a line each. */
void firmware_folders(FILE *);
void firmware_free(struct machine *m);

#endif
