/*
 * chardev_open.c - what byte streams are to: terminal or pipe on stdio, files, named pipes, pseudo-terminals, sockets,
 * datagrams, serial ports of the host (chardev.h).
 */
#ifndef _GNU_SOURCE             /* ptsname_r */
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "base/fds.h"
#include "host/chardev_int.h"
#include "host/term.h"

/*
 * Standard output as a descriptor of our own that does not block.  O_NONBLOCK belongs to the open
 * file, which our parent shares: a pipe or terminal is opened a second time instead.
 */
static void open_stdout(struct host_chardev *h)
{
    struct stat st;
    if (fstat(STDOUT_FILENO, &st) < 0)
        return;                 /* closed: output goes nowhere */
    h->out_fd = -1;
    if (S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode))
        h->out_fd = open("/proc/self/fd/1", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    h->nonblocking = h->out_fd >= 0 || S_ISREG(st.st_mode);
    if (h->out_fd < 0)
        h->out_fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0);
}

static bool open_stdio(struct host_chardev *h, const struct chardev_options *opt, char *err, size_t len)
{
    if (!evloop_claim_stdio(h->loop)) {
        snprintf(err, len, "%s: standard input and output are already used by another device, or not there "
                 "(-daemonize): give this one file:PATH, pty or none", h->label);
        return false;
    }
    h->stdio = true;
    h->lossy_in = isatty(STDIN_FILENO);
    if (!term_raw(opt->signal ? opt->signal > 0 : !h->mux)) {
        snprintf(err, len, "%s: the terminal on standard input cannot be set to raw mode (%s): "
                 "redirect it (</dev/null) or use -serial file:PATH", h->label, strerror(errno));
        return false;
    }
    if (fcntl(STDIN_FILENO, F_GETFD) >= 0)
        h->in_fd = STDIN_FILENO;
    open_stdout(h);
    return true;
}

static bool open_file(struct host_chardev *h, const char *path, const struct chardev_options *opt, char *err, size_t len)
{
    if (!*path) {
        snprintf(err, len, "%s: unknown destination 'file:': a path is missing, as in file:console.log", h->label);
        return false;
    }
    h->out_fd = fds_open(opt->fds, path, O_WRONLY | O_CREAT | (opt->append ? O_APPEND : O_TRUNC) | O_NOCTTY, 0666);
    if (h->out_fd < 0) {
        snprintf(err, len, "%s: cannot write %s: %s", h->label, path, strerror(errno));
        return false;
    }
    struct stat st;
    h->nonblocking = fstat(h->out_fd, &st) == 0 && S_ISREG(st.st_mode);
    return true;
}

static bool open_pty(struct host_chardev *h, char *err, size_t len)
{
    char name[128];
    struct termios t;
    int fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (fd < 0 || grantpt(fd) < 0 || unlockpt(fd) < 0 || ptsname_r(fd, name, sizeof(name)) != 0 ||
        fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
        goto failed;
    /* Held open by us, the slave keeps raw mode and what was written while nobody listens. */
    h->slave_fd = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (h->slave_fd < 0 || tcgetattr(h->slave_fd, &t) < 0)
        goto failed;
    cfmakeraw(&t);
    if (tcsetattr(h->slave_fd, TCSANOW, &t) < 0)
        goto failed;
    h->in_fd = h->out_fd = fd;
    h->nonblocking = h->drops = true;
    fprintf(stderr, "latimer: %s is on %s\n", h->label, name);
    return true;
failed:
    snprintf(err, len, "%s: cannot make a pseudo-terminal: %s", h->label, strerror(errno));
    if (fd >= 0)
        close(fd);
    return false;
}

static bool open_socket(struct host_chardev *h, const char *spec, char *err, size_t len)
{
    if (!chardev_socket_open(spec, h->label, &h->sock, err, len))
        return false;
    h->is_socket = h->nonblocking = true;
    if (h->sock.listen >= 0)
        h->listen = evloop_add(h->loop, h->sock.listen, h->sock.fd < 0 ? POLLIN : 0, chardev_client_ready, h);
    if (h->sock.fd >= 0)
        chardev_connected(h, h->sock.fd);
    return true;
}

static int open_fifo(const char *path)
{
    /* Open both ways, it has no end when the other side goes, and need not be there when we come. */
    return open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
}

/* PATH.in and PATH.out, or PATH for both. */
static bool open_pipe(struct host_chardev *h, const char *path, char *err, size_t len)
{
    char in[4096], out[4096];

    snprintf(in, sizeof(in), "%s.in", path);
    snprintf(out, sizeof(out), "%s.out", path);
    h->in_fd = open_fifo(in);
    h->out_fd = open_fifo(out);
    if (h->in_fd < 0 || h->out_fd < 0) {
        if (h->in_fd >= 0)
            close(h->in_fd);
        if (h->out_fd >= 0)
            close(h->out_fd);
        h->in_fd = h->out_fd = open_fifo(path);
    }
    h->nonblocking = true;
    if (h->out_fd >= 0)
        return true;
    snprintf(err, len, "%s: cannot open the pipe %s: %s: make it (mkfifo %s.in %s.out)", h->label, path, strerror(errno),
             path, path);
    return false;
}

static bool open_tty(struct host_chardev *h, const char *path, char *err, size_t len)
{
    int fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);

    h->in_fd = h->out_fd = fd;
    h->nonblocking = true;
    if (fd >= 0 && (h->tty = chardev_tty_new(fd)))
        return true;
    snprintf(err, len, "%s: cannot use %s: %s", h->label, path, fd >= 0 && errno == ENOTTY ? "it is no serial port" :
             strerror(errno));
    return false;
}

static bool open_udp(struct host_chardev *h, const char *spec, char *err, size_t len)
{
    int fd = chardev_udp_open(spec, h->label, err, len);

    h->in_fd = h->out_fd = fd;
    h->nonblocking = h->datagrams = h->lossy_in = true;
    return fd >= 0;
}

static bool open_log(struct host_chardev *h, const struct chardev_options *opt, char *err, size_t len)
{
    if (!opt->logfile)
        return true;
    h->log_fd = fds_open(opt->fds, opt->logfile, O_WRONLY | O_CREAT | (opt->log_append ? O_APPEND : O_TRUNC) | O_NOCTTY, 0666);
    if (h->log_fd < 0)
        snprintf(err, len, "%s: cannot write its log %s: %s", h->label, opt->logfile, strerror(errno));
    return h->log_fd >= 0;
}

static const char *after(const char *spec, const char *prefix)
{
    size_t n = strlen(prefix);

    return strncmp(spec, prefix, n) == 0 ? spec + n : NULL;
}

bool chardev_find_end(struct host_chardev *h, const char *spec, const struct chardev_options *opt, char *err, size_t len)
{
    const char *path;

    if (!open_log(h, opt, err, len))
        return false;
    h->telnet = after(spec, "telnet:");
    if (strcmp(spec, "null") == 0)
        return true;
    if (strcmp(spec, "stdio") == 0)
        return open_stdio(h, opt, err, len);
    if (strcmp(spec, "pty") == 0)
        return open_pty(h, err, len);
    if ((path = after(spec, "file:")))
        return open_file(h, path, opt, err, len);
    if ((path = after(spec, "pipe:")))
        return open_pipe(h, path, err, len);
    if ((path = after(spec, "tty:")) || after(spec, "/dev/"))
        return open_tty(h, path ? path : spec, err, len);
    if (after(spec, "udp:"))
        return open_udp(h, spec + 4, err, len);
    if (h->telnet || after(spec, "tcp:") || after(spec, "unix:") || after(spec, "fd:"))
        return open_socket(h, spec, err, len);
    if (strcmp(spec, "vc") == 0 || after(spec, "vc:"))
        snprintf(err, len, "%s: unknown destination '%s': windows have no consoles of text: use pty, stdio, telnet: or unix:",
                 h->label, spec);
    else
        snprintf(err, len, "%s: unknown destination '%s': use stdio, mon:stdio, file:PATH, pipe:PATH, pty, null, none, "
                 "tcp:HOST:PORT, telnet:HOST:PORT, unix:PATH, udp:HOST:PORT@HOST:PORT, fd:N or a serial "
                 "port (/dev/...)",
                 h->label, spec);
    return false;
}
