/* help_sse.h - prototypes of the helpers in help_sse.def and what they share. */
#ifndef FRONTEND_HELP_SSE_H
#define FRONTEND_HELP_SSE_H

#include "frontend/cpu.h"

#endif
