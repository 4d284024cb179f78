/*
 * hmp.h - the human monitor: commands in lines of text, for whoever has a line and wants an answer.
 *
 * The commands are the rows of hmp.def; what one says goes to a sink (base/text.h), as lines that end in
 * '\n'. Callers are the monitor's terminal (monitor_line.c), QMP's human-monitor-command and gdb's "monitor".
 *
 * For the event loop's thread with the device lock held once, as its callbacks have it: a command that reads
 * the processors has them stand still meanwhile (control_hold()), for which the lock is given up a moment.
 * The machine may be stopped already. A command may ask the machine to stop, go on, reset or end: that
 * happens as usual, by debug/control.h and machine_request_stop(), and hmp_run() returns.
 */
#ifndef DEBUG_HMP_H
#define DEBUG_HMP_H

#include "base/text.h"
#include "hw/machine.h"

/* Carries out one line. A wrong one is answered by a message in the sink, too; false: it failed. */
bool hmp_run(struct machine *, const char *line, struct text *sink);
/* The same for processor `cpu`, whatever command "cpu" has chosen. */
bool hmp_run_on(struct machine *, unsigned cpu, const char *line, struct text *sink);

/*
 * What may follow what has been typed: fn() is called with each whole word that may stand where the last word
 * of `line` is.
 */
void hmp_complete(struct machine *, const char *line, void (*fn)(void *arg, const char *word), void *arg);

#endif
