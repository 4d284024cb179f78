/* help_x87.h - prototypes of the helpers in help_x87.def and what they share. */
#ifndef FRONTEND_HELP_X87_H
#define FRONTEND_HELP_X87_H

#include "frontend/cpu.h"

#endif
