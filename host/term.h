/* term.h - the terminal on standard input in raw mode, given back however the process ends. */
#ifndef HOST_TERM_H
#define HOST_TERM_H

#include <stdbool.h>

/* Raw mode if standard input is a terminal (no-op otherwise).  signals: Ctrl-C, Ctrl-\ and Ctrl-Z
 * still work.  False with errno if the terminal refuses. */
bool term_raw(bool signals);
void term_restore(void);

#endif
