/*
 * daemon.c - see daemon.h.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE             /* pipe2() */
#endif

#include "main/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"

static int ready = -1;          /* where the first process waits */

/* Until the other says that all is well, or ends. */
static int wait_for(pid_t pid, int fd)
{
    int status = 0;
    char byte;
    ssize_t n;

    do
        n = read(fd, &byte, 1);
    while (n < 0 && errno == EINTR);
    if (n == 1)
        return 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void daemon_begin(void)
{
    int ends[2];
    pid_t pid = pipe2(ends, O_CLOEXEC) < 0 ? -1 : fork();

    if (pid < 0)
        die(EXIT_CODE_HOST, "-daemonize: %s", strerror(errno));
    if (pid > 0) {
        close(ends[1]);
        _exit(wait_for(pid, ends[0]));
    }
    close(ends[0]);
    ready = ends[1];
    setsid();
}

void daemon_ready(void)
{
    int null;

    if (ready < 0)
        return;
    null = open("/dev/null", O_RDWR);
    if (null < 0)
        die(EXIT_CODE_HOST, "-daemonize: cannot open /dev/null: %s", strerror(errno));
    for (int fd = 0; fd < 3; fd++)
        dup2(null, fd);
    if (null > 2)
        close(null);
    if (write(ready, "", 1) == 1)       /* or nobody waits any more */
        close(ready);
    ready = -1;
}
