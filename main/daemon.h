/* daemon.h - -daemonize: Latimer goes on in the background once its machine is there, and who started it knows that it is. */
#ifndef MAIN_DAEMON_H
#define MAIN_DAEMON_H

/*
 * Before anything is opened and any thread begins. Returns in a process of its own, without a terminal; the first one ends
 * with 0 at daemon_ready(), or as this one does before.
 */
void daemon_begin(void);
/* Standard input, output and error are no longer there for anybody. Nothing happens without daemon_begin(). */
void daemon_ready(void);

#endif
