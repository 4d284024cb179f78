/*
 * profile_host.c - what the host itself takes for ticks: a program that counts, interrupted by a timer of its thread as
 * a profiled vCPU is, whose handler does nothing. Argument: ticks a second, 0: none. Prints its CPU time in seconds and how many
 * ticks came.
 */
#ifndef _GNU_SOURCE             /* gettid */
#define _GNU_SOURCE
#endif
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#ifndef sigev_notify_thread_id  /* glibc before 2.38 */
#define sigev_notify_thread_id _sigev_un._tid
#endif

static volatile sig_atomic_t ticks;

static void on_tick(int sig)
{
    (void)sig;
    ticks++;
}

int main(int argc, char **argv)
{
    long hz = argc > 1 ? atol(argv[1]) : 0;
    struct sigaction sa = { .sa_handler = on_tick, .sa_flags = SA_RESTART };
    struct sigevent to = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGPROF };
    struct itimerspec each = { .it_interval = { .tv_nsec = hz ? 1000000000 / hz : 0 } };
    volatile unsigned long sum = 0;
    struct timespec t;
    timer_t timer;

    each.it_value = each.it_interval;
    to.sigev_notify_thread_id = gettid();
    sigfillset(&sa.sa_mask);
    if (sigaction(SIGPROF, &sa, NULL) || timer_create(CLOCK_MONOTONIC, &to, &timer) || timer_settime(timer, 0, &each, NULL)) {
        perror("profile_host");
        return 1;
    }
    for (unsigned long i = 0; i < 1000000000; i++)
        sum += i;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    printf("%.6f %d\n", (double)t.tv_sec + (double)t.tv_nsec / 1e9, (int)ticks);
    return 0;
}
