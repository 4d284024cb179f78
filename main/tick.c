/*
 * tick.c - see tick.h.
 *
 * A timer's signal is for one thread and is delivered where that thread runs, so nobody else is woken for it. A thread
 * that sleeps is woken, and for nothing: the first tick in a halt stops the timer, until the halt is over. There is one
 * machine in a process, and one handler.
 */
#ifndef _GNU_SOURCE             /* REG_RIP, gettid */
#define _GNU_SOURCE
#endif
#include "main/tick.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "debug/profile.h"
#include "hw/machine.h"
#include "main/host_context.h"
#include "main/vcpu.h"
#include "translator/exec.h"

#ifndef sigev_notify_thread_id  /* glibc before 2.38 */
#define sigev_notify_thread_id _sigev_un._tid
#endif

struct ticks {
    int tid;                    /* the host's number of the thread; 0: it has not begun */
    bool armed;
    timer_t timer;
};

static _Thread_local struct cpu *vcpu;
static _Thread_local volatile bool resting;     /* the handler has stopped the timer */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;        /* guards what follows */
static struct ticks *ticks;     /* by vCPU */
static uint64_t period;         /* ns; 0: none are wanted */

static void on_tick(int sig, siginfo_t *info, void *context)
{
    unsigned periods = info->si_code == SI_TIMER && info->si_overrun > 0 ? 1 + (unsigned)info->si_overrun : 1;

    (void)sig;
    if (!vcpu)
        return;
    if (vcpu_asleep(vcpu)) {
        /* Without the lock: tick_stop() may have deleted it, and then this is an error that changes nothing. */
        timer_settime(ticks[vcpu->index].timer, 0, &(struct itimerspec){ 0 }, NULL);
        resting = true;
        profile_rest(vcpu, periods);
    } else if (profile_tick(vcpu)) {
        exec_tick(vcpu, (const void *)host_pc(context), (const void *)host_link_register(context));
    }
}

void tick_init(struct machine *m)
{
    struct sigaction sa = { .sa_sigaction = on_tick, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART };

    ticks = calloc(m->ncpu, sizeof(*ticks));
    if (!ticks)
        die(EXIT_CODE_HOST, "out of memory for the profiler");
    sigfillset(&sa.sa_mask);
    sigdelset(&sa.sa_mask, SIGSEGV);    /* a crash in there is reported as any other */
    sigdelset(&sa.sa_mask, SIGBUS);
    sigaction(SIGPROF, &sa, NULL);
}

void tick_exit(void)
{
    free(ticks);
    ticks = NULL;
}

/* 0, or why not (errno). */
static int begin(const struct ticks *t)
{
    struct itimerspec each = { .it_interval = { .tv_sec = (time_t)(period / 1000000000), .tv_nsec = (long)(period % 1000000000) } };

    each.it_value = each.it_interval;
    return timer_settime(t->timer, 0, &each, NULL) < 0 ? errno : 0;
}

static int arm(struct ticks *t)
{
    struct sigevent to = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGPROF };

    to.sigev_notify_thread_id = t->tid;
    if (timer_create(CLOCK_MONOTONIC, &to, &t->timer) < 0)
        return errno;
    t->armed = true;
    return begin(t);
}

void tick_wake(struct cpu *c)
{
    if (!resting)
        return;
    struct ticks *t = &ticks[c->index];

    resting = false;
    profile_wake(c);
    pthread_mutex_lock(&lock);
    if (t->armed)
        begin(t);               /* it has begun before, so it can */
    pthread_mutex_unlock(&lock);
}

void tick_thread(struct cpu *c)
{
    struct ticks *t = &ticks[c->index];
    int wrong;

    vcpu = c;
    pthread_mutex_lock(&lock);
    t->tid = (int)gettid();
    wrong = period ? arm(t) : 0;
    pthread_mutex_unlock(&lock);
    if (wrong)
        fprintf(stderr, "latimer: the profiler sees nothing of CPU %u: no timer for its thread: %s\n", c->index, strerror(wrong));
}

void tick_stop(struct machine *m)
{
    pthread_mutex_lock(&lock);
    period = 0;
    for (unsigned i = 0; i < m->ncpu; i++) {
        if (ticks[i].armed)
            timer_delete(ticks[i].timer);
        ticks[i].armed = false;
    }
    pthread_mutex_unlock(&lock);
}

bool tick_start(struct machine *m, uint64_t ns, char *err, size_t len)
{
    int wrong = 0;

    pthread_mutex_lock(&lock);
    period = ns;
    for (unsigned i = 0; i < m->ncpu && !wrong; i++)
        wrong = ticks[i].tid ? arm(&ticks[i]) : 0;
    pthread_mutex_unlock(&lock);
    if (!wrong)
        return true;
    tick_stop(m);
    snprintf(err, len, "no timer for a vCPU's thread: %s", strerror(wrong));
    return false;
}
