/*
 * conduit.c - see conduit.h.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE             /* asprintf(), mkostemp(), pipe2() */
#endif

#include "host/conduit.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/chardev_socket.h"
#include "host/evloop.h"

extern char **environ;

static bool starts(const char *s, const char *with, const char **rest)
{
    size_t n = strlen(with);

    if (strncmp(s, with, n) != 0 || !s[n])
        return false;
    *rest = s + n;
    return true;
}

bool conduit_known(const char *uri)
{
    static const char *const kinds[] = { "tcp:", "unix:", "exec:", "fd:", "file:" };
    const char *rest;

    for (unsigned i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (starts(uri, kinds[i], &rest))
            return true;
    return false;
}

static bool unknown(const char *uri, char *err, size_t len)
{
    snprintf(err, len, "'%s': use tcp:HOST:PORT, unix:PATH, exec:COMMAND, fd:NUMBER or file:PATH", uri);
    return false;
}

static bool is_socket(int fd)
{
    struct stat st;

    return fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode);
}

/* c->fd is there. */
static bool opened(struct conduit *c)
{
    fcntl(c->fd, F_SETFL, fcntl(c->fd, F_GETFL) | O_NONBLOCK);
    c->answers = is_socket(c->fd);
    return true;
}

static bool open_exec(struct conduit *c, const char *command, bool send, char *err, size_t len)
{
    char *argv[] = { "sh", "-c", (char *)(uintptr_t)command, NULL };
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    sigset_t none;
    int ends[2], theirs = send ? 0 : 1, error;

    if (pipe2(ends, O_CLOEXEC) < 0) {
        snprintf(err, len, "exec: %s", strerror(errno));
        return false;
    }
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[theirs], theirs);
    posix_spawnattr_init(&attr);
    sigemptyset(&none);
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
    error = posix_spawn(&c->child, "/bin/sh", &actions, &attr, argv, environ);
    posix_spawnattr_destroy(&attr);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[theirs]);
    if (error) {
        close(ends[!theirs]);
        c->child = 0;
        snprintf(err, len, "exec:%s: %s", command, strerror(error));
        return false;
    }
    c->fd = ends[!theirs];
    return opened(c);
}

static bool open_fd(struct conduit *c, const char *number, char *err, size_t len)
{
    char *end;
    long n = strtol(number, &end, 10);

    if (*end || n < 0 || n > 1 << 20 || fcntl((int)n, F_GETFD) < 0) {
        snprintf(err, len, "fd:%s: there is no such descriptor", number);
        return false;
    }
    c->fd = fcntl((int)n, F_DUPFD_CLOEXEC, 3);
    if (c->fd < 0) {
        snprintf(err, len, "fd:%s: %s", number, strerror(errno));
        return false;
    }
    return opened(c);
}

static bool open_file(struct conduit *c, const char *path, bool send, char *err, size_t len)
{
    if (!send) {
        c->fd = open(path, O_RDONLY | O_CLOEXEC);
    } else if (asprintf(&c->temp, "%s.XXXXXX", path) < 0) {
        c->temp = NULL;
        errno = ENOMEM;
    } else {
        c->path = strdup(path);
        c->fd = mkostemp(c->temp, O_CLOEXEC);
    }
    if (c->fd >= 0)
        return opened(c);
    snprintf(err, len, "cannot %s %s: %s", send ? "write" : "open", path, strerror(errno));
    free(c->temp);
    free(c->path);
    return false;
}

static bool open_socket(struct conduit *c, const char *uri, bool send, char *err, size_t len)
{
    struct chardev_socket s;
    char *spec = NULL;
    bool ok = asprintf(&spec, "%s%s", uri, send ? "" : ",server,nowait") >= 0 &&
              chardev_socket_open(spec, "migration", &s, err, len);

    free(spec);
    if (!ok)
        return false;
    c->fd = s.fd;
    c->listen = s.listen;
    c->path = s.path;
    return c->fd < 0 || opened(c);
}

static bool open_any(struct conduit *c, const char *uri, bool send, char *err, size_t len)
{
    const char *rest;

    *c = (struct conduit){ .fd = -1, .listen = -1 };
    if (starts(uri, "exec:", &rest))
        return open_exec(c, rest, send, err, len);
    if (starts(uri, "fd:", &rest))
        return open_fd(c, rest, err, len);
    if (starts(uri, "file:", &rest))
        return open_file(c, rest, send, err, len);
    if ((starts(uri, "tcp:", &rest) || starts(uri, "unix:", &rest)) && !strchr(uri, ','))
        return open_socket(c, uri, send, err, len);
    return unknown(uri, err, len);
}

bool conduit_send(struct conduit *c, const char *uri, char *err, size_t len)
{
    return open_any(c, uri, true, err, len);
}

bool conduit_receive(struct conduit *c, const char *uri, char *err, size_t len)
{
    return open_any(c, uri, false, err, len);
}

/* Until fd is ready or so many ms have passed (-1: no limit). */
static int wait_for(int fd, short events, int cancel, int ms)
{
    struct pollfd p[2] = { { cancel, POLLIN, 0 }, { fd, events, 0 } };

    if (poll(p, 2, ms) < 0 && errno != EINTR)
        return -errno;
    return p[0].revents ? -ECANCELED : 0;
}

/* What may be written now of `len` bytes; waits while it is nothing. */
static int paced(struct conduit_pace *pace, size_t *len, int cancel)
{
    while (pace->rate) {
        uint64_t ns = evloop_now() - pace->since;
        uint64_t may = (uint64_t)((double)pace->rate * (double)ns / 1e9), least = *len < 65536 ? *len : 65536;
        int error;

        if (may >= pace->done + least) {
            if (*len > may - pace->done)
                *len = may - pace->done;
            break;
        }
        error = wait_for(-1, 0, cancel, (int)((double)(pace->done + least - may) * 1e3 / (double)pace->rate) + 1);
        if (error)
            return error;
    }
    return 0;
}

int conduit_write(const struct conduit *c, const void *data, size_t len, struct conduit_pace *pace, int cancel)
{
    const uint8_t *p = data;

    while (len) {
        size_t n = len;
        int error = paced(pace, &n, cancel);
        ssize_t w;

        if (!error)
            error = wait_for(c->fd, POLLOUT, cancel, -1);
        if (error)
            return error;
        w = write(c->fd, p, n);
        if (w < 0 && errno != EINTR && errno != EAGAIN)
            return -errno;
        if (w <= 0)
            continue;
        p += w;
        len -= (size_t)w;
        pace->done += (uint64_t)w;
    }
    return 0;
}

int conduit_read_all(const struct conduit *c, void *buf, size_t len, size_t *got, int cancel)
{
    *got = 0;
    while (*got < len) {
        int error = wait_for(c->fd, POLLIN, cancel, -1);
        ssize_t n;

        if (error)
            return error;
        n = read(c->fd, (uint8_t *)buf + *got, len - *got);
        if (n < 0 && errno != EINTR && errno != EAGAIN)
            return -errno;
        if (n == 0)
            break;
        if (n > 0)
            *got += (size_t)n;
    }
    return 0;
}

void conduit_shut(const struct conduit *c)
{
    if (c->answers)
        shutdown(c->fd, SHUT_WR);
}

int conduit_close(struct conduit *c, bool whole, char *err, size_t len)
{
    int error = 0, status;

    if (c->temp && whole && (fdatasync(c->fd) < 0 || rename(c->temp, c->path) < 0))
        error = -errno;
    if (c->temp && (!whole || error))
        unlink(c->temp);
    if (c->fd >= 0 && close(c->fd) < 0 && !error && whole)
        error = -errno;
    if (error)
        snprintf(err, len, "cannot write %s: %s", c->path ? c->path : "it", strerror(-error));
    if (c->child) {
        if (!whole)
            kill(c->child, SIGTERM);
        /* It has read its end; a pipe that nobody reads to its end would have failed before. */
        while (waitpid(c->child, &status, 0) < 0 && errno == EINTR)
            ;
        if (status && whole) {
            snprintf(err, len, WIFEXITED(status) ? "the program failed with exit code %d" : "the program was killed by signal %d",
                     WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
            error = -EIO;
        }
    }
    if (c->listen >= 0)
        close(c->listen);
    if (c->listen >= 0 && c->path)
        unlink(c->path);
    free(c->path);
    free(c->temp);
    *c = (struct conduit){ .fd = -1, .listen = -1 };
    return error;
}
