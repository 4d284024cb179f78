/* outside.h - what the command line named, for monitors (debug/outside.h). */
#ifndef MAIN_OUTSIDE_H
#define MAIN_OUTSIDE_H

#include "main/options.h"

/* m->outside. The options stay as long as the machine. */
void outside_new(struct machine *, struct options *);

#endif
