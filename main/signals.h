/*
 * signals.h - signals that are for the whole process, as input of the event loop.
 */
#ifndef MAIN_SIGNALS_H
#define MAIN_SIGNALS_H

#include <pthread.h>
#include <signal.h>

struct signals {
    sigset_t set;
    pthread_t thread;
    int to;                     /* the thread writes there */
    int from;                   /* readable when one has come */
};

/* The signals of `set`, which every thread blocks, from now on; those that are pending already, too. Dies where the host refuses. */
void signals_begin(struct signals *, const sigset_t *set);
/* The number of one that has come; 0: no other has. */
int signals_next(struct signals *);
void signals_end(struct signals *);

#endif
