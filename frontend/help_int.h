/* help_int.h - prototypes of the helpers in help_int.def and what they share. */
#ifndef FRONTEND_HELP_INT_H
#define FRONTEND_HELP_INT_H

#include "frontend/cpu.h"

#endif
