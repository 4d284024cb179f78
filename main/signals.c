/*
 * signals.c - see signals.h.
 *
 * A thread waits for them and writes their numbers into a pipe. signalfd(2) would need no thread, but Linux wakes whoever
 * polls such a descriptor at each signal of the process, also at those that are no business of it and for another thread:
 * the profiler's ticks (tick.c) cost several times what they cost without.
 */
#ifndef _GNU_SOURCE             /* pipe2 */
#define _GNU_SOURCE
#endif
#include "main/signals.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"

#define END SIGUSR2             /* for the thread itself: it is over */

static void *wait_for_them(void *arg)
{
    const struct signals *s = arg;
    sigset_t set = s->set;
    int sig;

    sigaddset(&set, END);
    while ((sig = sigwaitinfo(&set, NULL)) != END)
        /* A full pipe holds thousands that nobody has read: one more says nothing new. */
        if (sig > 0 && write(s->to, &sig, sizeof(sig)) < 0 && errno != EAGAIN)
            return NULL;
    return NULL;
}

void signals_begin(struct signals *s, const sigset_t *set)
{
    sigset_t all, before;
    int fd[2], wrong;

    s->set = *set;
    if (pipe2(fd, O_CLOEXEC | O_NONBLOCK) < 0)
        die(EXIT_CODE_HOST, "cannot watch signals: %s", strerror(errno));
    s->from = fd[0];
    s->to = fd[1];
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    wrong = pthread_create(&s->thread, NULL, wait_for_them, s);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (wrong)
        die(EXIT_CODE_HOST, "cannot watch signals: %s", strerror(wrong));
}

int signals_next(struct signals *s)
{
    int sig;

    return read(s->from, &sig, sizeof(sig)) == (ssize_t)sizeof(sig) ? sig : 0;
}

void signals_end(struct signals *s)
{
    pthread_kill(s->thread, END);
    pthread_join(s->thread, NULL);
    close(s->from);
    close(s->to);
}
