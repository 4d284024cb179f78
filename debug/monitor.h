/*
 * monitor.h - monitors: streams on which somebody looks into the machine and operates it, in lines (hmp.h) or
 * by QMP (qmp.c).
 */
#ifndef DEBUG_MONITOR_H
#define DEBUG_MONITOR_H

#include "hw/chardev_if.h"
#include "hw/machine.h"

struct monitors;

enum monitor_mode { MONITOR_TEXT, MONITOR_QMP, MONITOR_QMP_PRETTY };

/* m->monitors, when the event loop, run control and the clock are there, before the board is wired. */
void monitors_new(struct machine *);
/* One more, on a stream that nobody else has. */
void monitor_add(struct machine *, struct chardev *, enum monitor_mode);
/* Why the machine is asked to end from now on: a reason of QMP's event SHUTDOWN, "host-signal". */
void monitors_reason(struct machine *, const char *reason);
/* When no thread of the machine runs any more; what is still to be said has been handed to the streams. */
void monitors_free(struct machine *);

#endif
