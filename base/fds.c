/*
 * fds.c - see fds.h: two lists, the sets' in the order of their numbers.
 */
#ifndef _GNU_SOURCE             /* O_DIRECT */
#define _GNU_SOURCE
#endif
#include "base/fds.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"

struct given {
    struct given *next;
    int64_t set;
    int fd;
    char *text;                 /* its name; of one in a set what was to be remembered, or NULL */
    bool used;                  /* it was opened: somebody knows its set */
};

struct fds {
    struct given *named, *sets;
};

static struct given *new_given(int64_t set, int fd, const char *text)
{
    struct given *g = calloc(1, sizeof(*g));

    if (!g || (text && !(g->text = strdup(text))))
        die(EXIT_CODE_HOST, "out of memory for a descriptor");
    g->set = set;
    g->fd = fd;
    return g;
}

/* Takes *at out of its list. */
static int drop(struct given **at)
{
    struct given *g = *at;
    int fd = g->fd;

    *at = g->next;
    free(g->text);
    free(g);
    return fd;
}

struct fds *fds_new(void)
{
    struct fds *f = calloc(1, sizeof(*f));

    if (!f)
        die(EXIT_CODE_HOST, "out of memory for descriptors");
    return f;
}

void fds_free(struct fds *f)
{
    if (!f)
        return;
    while (f->named)
        close(drop(&f->named));
    while (f->sets)
        close(drop(&f->sets));
    free(f);
}

void fds_put(struct fds *f, const char *name, int fd)
{
    struct given *g;
    int old = fds_take(f, name);

    if (old >= 0)
        close(old);
    g = new_given(0, fd, name);
    g->next = f->named;
    f->named = g;
}

int fds_take(struct fds *f, const char *name)
{
    for (struct given **at = f ? &f->named : NULL; at && *at; at = &(*at)->next)
        if (strcmp((*at)->text, name) == 0)
            return drop(at);
    return -1;
}

int64_t fds_add(struct fds *f, int64_t set, int fd, const char *opaque)
{
    struct given **at = &f->sets, *g;
    int64_t free_set = 0;

    for (const struct given *o = f->sets; o; o = o->next)
        free_set += o->set == free_set;
    g = new_given(set < 0 ? free_set : set, fd, opaque);
    while (*at && (*at)->set <= g->set)
        at = &(*at)->next;
    g->next = *at;
    *at = g;
    return g->set;
}

bool fds_remove(struct fds *f, int64_t set, int fd)
{
    bool found = false;

    for (struct given **at = f ? &f->sets : NULL; at && *at;) {
        if ((*at)->set == set && (fd < 0 || (*at)->fd == fd)) {
            close(drop(at));
            found = true;
        } else {
            at = &(*at)->next;
        }
    }
    return found;
}

bool fds_nth(const struct fds *f, unsigned n, struct fds_view *v)
{
    const struct given *g = f ? f->sets : NULL;

    while (g && n--)
        g = g->next;
    if (g)
        *v = (struct fds_view){ g->set, g->fd, g->text };
    return g;
}

void fds_forget(struct fds *f)
{
    for (struct given **at = f ? &f->sets : NULL; at && *at;) {
        if ((*at)->used)
            at = &(*at)->next;
        else
            close(drop(at));
    }
}

static int duplicate(const struct given *g, int flags)
{
    const int chosen = O_APPEND | O_DIRECT | O_NONBLOCK;
    int fd = fcntl(g->fd, F_DUPFD_CLOEXEC, 3), now = fcntl(g->fd, F_GETFL), error;

    if (fd < 0)
        return -1;
    if (fcntl(fd, F_SETFL, (now & ~chosen) | (flags & chosen)) == 0 && (!(flags & O_TRUNC) || ftruncate(fd, 0) == 0))
        return fd;
    error = errno;
    close(fd);
    errno = error;
    return -1;
}

int fds_open(struct fds *f, const char *path, int flags, mode_t mode)
{
    static const char prefix[] = "/dev/fdset/";
    struct given *match = NULL;
    bool some = false;
    int mode_of;
    char *end;
    long long set;

    if (strncmp(path, prefix, strlen(prefix)))
        return open(path, flags | O_CLOEXEC, mode);
    path += strlen(prefix);
    set = strtoll(path, &end, 10);
    for (struct given *g = f && *path && !*end ? f->sets : NULL; g; g = g->next) {
        if (g->set != set)
            continue;
        some = g->used = true;
        mode_of = fcntl(g->fd, F_GETFL) & O_ACCMODE;
        if (mode_of == (flags & O_ACCMODE) || (!match && mode_of == O_RDWR))
            match = g;
    }
    if (match)
        return duplicate(match, flags);
    errno = some ? EACCES : ENOENT;
    return -1;
}
