/*
 * chardev_socket.c - sockets for byte streams: what their specifications mean (chardev.h).
 */
#include "host/chardev_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "host/unix_path.h"

struct spec {
    char text[512];
    const char *host, *port, *path;     /* path: unix */
    const char *fd;             /* that Latimer was started with */
    bool server, wait;
};

/* A number is one that a port has; names are those of /etc/services. */
static bool port_ok(const char *port)
{
    size_t digits = strspn(port, "0123456789");

    return *port && (port[digits] || (digits <= 5 && atoi(port) <= 65535));
}

static bool parse(struct spec *s, const char *spec)
{
    static const struct { const char *word; bool waits, on; } words[] = {
        { "server", false, true }, { "server=on", false, true }, { "server=off", false, false },
        { "wait", true, true }, { "wait=on", true, true }, { "nowait", true, false }, { "wait=off", true, false },
    };
    char *opts, *colon, *rest;

    *s = (struct spec){ .wait = true };
    if (snprintf(s->text, sizeof(s->text), "%s", spec) >= (int)sizeof(s->text))
        return false;
    opts = strchr(s->text, ',');
    if (opts)
        *opts++ = 0;
    for (char *word = opts ? strtok_r(opts, ",", &rest) : NULL; word; word = strtok_r(NULL, ",", &rest)) {
        bool known = false;

        for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
            if (strcmp(word, words[i].word) == 0) {
                *(words[i].waits ? &s->wait : &s->server) = words[i].on;
                known = true;
            }
        if (!known)
            return false;
    }
    if (strncmp(s->text, "fd:", 3) == 0) {
        s->fd = s->text + 3;
        return *s->fd && !s->fd[strspn(s->fd, "0123456789")] && strlen(s->fd) < 7;
    }
    if (strncmp(s->text, "unix:", 5) == 0) {
        s->path = s->text + 5;
        return *s->path;
    }
    s->host = strchr(s->text, ':') + 1;
    colon = strrchr(s->host, ':');
    if (!colon)
        return false;
    *colon = 0;
    s->port = colon + 1;
    if (s->host[0] == '[' && colon[-1] == ']') {        /* an IPv6 address */
        s->host++;
        colon[-1] = 0;
    }
    return port_ok(s->port);
}

/* Bound and listening, or connected; -1 and errno. */
static int use(int fd, const struct sockaddr *addr, socklen_t len, bool server)
{
    int on = 1, error;

    if (fd < 0)
        return -1;
    if (server)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (server ? (addr->sa_family == AF_UNIX ? unix_bind(fd, (const struct sockaddr_un *)addr, SOCK_STREAM)
                                             : bind(fd, addr, len) == 0) && listen(fd, 1) == 0
               : connect(fd, addr, len) == 0)
        return fd;
    error = errno;
    close(fd);
    errno = error;
    return -1;
}

static int open_unix(const struct spec *s)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };

    if (strlen(s->path) >= sizeof(a.sun_path)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(a.sun_path, s->path, strlen(s->path));
    return use(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), (struct sockaddr *)&a, sizeof(a), s->server);
}

static int open_tcp(const struct spec *s, const char **why)
{
    struct addrinfo want = { .ai_socktype = SOCK_STREAM, .ai_flags = s->server ? AI_PASSIVE : 0 }, *list;
    /* Who names no host means this one: a port open to all is for those who ask for it (0.0.0.0, ::). */
    int fd = -1, error = getaddrinfo(*s->host ? s->host : "127.0.0.1", s->port, &want, &list);

    if (error) {
        *why = gai_strerror(error);
        return -1;
    }
    for (const struct addrinfo *a = list; a && fd < 0; a = a->ai_next)
        fd = use(socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC, a->ai_protocol), a->ai_addr,
                 a->ai_addrlen, s->server);
    freeaddrinfo(list);
    return fd;
}

/* Somebody else has made it, and listens there or is connected; of our own descriptors none is inherited. -1 and errno. */
static int open_given(const struct spec *s, const char **why)
{
    int fd = atoi(s->fd), flags = fcntl(fd, F_GETFD), listens = 0;
    socklen_t len = sizeof(listens);

    if (fd <= STDERR_FILENO || flags < 0 || flags & FD_CLOEXEC)
        *why = "Latimer was not started with such a descriptor (0 to 2 are its own)";
    else if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) < 0)
        *why = "that is no socket";
    else if (!!listens != s->server)
        *why = listens ? "that socket listens: use server=on" : "that socket does not listen: use server=off";
    return *why ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 3);
}

bool chardev_socket_open(const char *spec, const char *label, struct chardev_socket *to, char *err,
                         size_t len)
{
    const char *why = NULL;
    struct spec s;
    int fd;

    *to = (struct chardev_socket){ .listen = -1, .fd = -1 };
    if (!parse(&s, spec)) {
        snprintf(err, len,
                 "%s: unknown destination '%s': use tcp:HOST:PORT (up to 65535), unix:PATH or fd:N, with "
                 ",server to listen and "
                 ",server,nowait not to wait for a client", label, spec);
        return false;
    }
    fd = s.fd ? open_given(&s, &why) : s.path ? open_unix(&s) : open_tcp(&s, &why);
    if (fd < 0) {
        snprintf(err, len, "%s: cannot %s %.*s: %s", label, s.server ? "listen on" : "connect to",
                 (int)strcspn(spec, ","), spec, why ? why : strerror(errno));
        return false;
    }
    if (!s.server) {
        to->fd = fd;
        return true;
    }
    to->listen = fd;
    if (s.path)
        to->path = strdup(s.path);
    if (s.wait) {
        fprintf(stderr, "latimer: %s waits for a client on %s\n", label, spec);
        to->fd = accept(fd, NULL, NULL);
    }
    return true;
}

/* ---- datagrams ---- */

/* HOST:PORT, either may be empty. False: there is no colon. */
static bool split(char *at, const char **host, const char **port)
{
    char *colon = strrchr(at, ':');

    if (!colon)
        return false;
    *colon = 0;
    *host = *at ? at : "127.0.0.1";
    *port = colon + 1;
    return true;
}

static int udp_between(const struct addrinfo *there, const char *host, const char *port, const char **why)
{
    struct addrinfo want = { .ai_socktype = SOCK_DGRAM, .ai_family = there->ai_family, .ai_flags = AI_PASSIVE }, *here = NULL;
    int fd, error = getaddrinfo(host, port, &want, &here);

    if (error) {
        *why = gai_strerror(error);
        return -1;
    }
    fd = socket(there->ai_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && (bind(fd, here->ai_addr, here->ai_addrlen) || connect(fd, there->ai_addr, there->ai_addrlen))) {
        *why = strerror(errno);
        close(fd);
        fd = -1;
    }
    freeaddrinfo(here);
    return fd;
}

int chardev_udp_open(const char *spec, const char *label, char *err, size_t len)
{
    struct addrinfo want = { .ai_socktype = SOCK_DGRAM }, *list = NULL;
    const char *host, *port, *here = NULL, *here_port = "0", *why = NULL;
    char text[512], *at;
    int fd = -1, error;

    snprintf(text, sizeof(text), "%s", spec);
    if ((at = strchr(text, '@')))
        *at++ = 0;
    if (strlen(spec) >= sizeof(text) || !split(text, &host, &port) || !*port || (at && !split(at, &here, &here_port))) {
        snprintf(err, len, "%s: unknown destination 'udp:%s': use udp:HOST:PORT@HOST:PORT, to the first and at the second", label,
                 spec);
        return -1;
    }
    error = getaddrinfo(host, port, &want, &list);
    if (error)
        why = gai_strerror(error);
    for (const struct addrinfo *a = list; a && fd < 0; a = a->ai_next)
        fd = udp_between(a, here, *here_port ? here_port : "0", &why);
    if (list)
        freeaddrinfo(list);
    if (fd < 0)
        snprintf(err, len, "%s: cannot send to udp:%s: %s", label, spec, why ? why : strerror(errno));
    return fd;
}
