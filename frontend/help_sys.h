/* help_sys.h - prototypes of the helpers in help_sys.def and what they share. */
#ifndef FRONTEND_HELP_SYS_H
#define FRONTEND_HELP_SYS_H

#include "frontend/cpu.h"

#endif
