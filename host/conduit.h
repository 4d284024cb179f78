/*
 * conduit.h - where a whole machine goes to, or comes from, as one stream: a connection, a program, a file.
 *
 *   tcp:HOST:PORT    unix:PATH       who sends connects, who receives listens; both ways, so that an answer is possible
 *   exec:COMMAND                     a shell's standard input, or output
 *   fd:N                             a descriptor of this process, of which a duplicate is used
 *   file:PATH                        appears when all of it was written
 */
#ifndef HOST_CONDUIT_H
#define HOST_CONDUIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct conduit {
    int fd;                     /* does not block; -1: nobody is connected yet (listening) */
    int listen;                 /* -1: it does not */
    bool answers;               /* the other side can say how it went */
    pid_t child;                /* exec; 0: none */
    char *path;                 /* file: of what is to appear; listening: the socket's, to be removed */
    char *temp;                 /* file: being written */
};

/* May take long (a host's name, a connection). False: err says what failed; there is nothing to close then. */
bool conduit_send(struct conduit *, const char *uri, char *err, size_t len);
/* Returns at once. */
bool conduit_receive(struct conduit *, const char *uri, char *err, size_t len);
/* Is it one of the above? */
bool conduit_known(const char *uri);
/*
 * Writes all of it, at most `rate` bytes a second on average since *since (host's ns; 0: no limit) of which *done were
 * written before. 0, a negative errno, or -ECANCELED: `cancel` became readable.
 */
struct conduit_pace {
    uint64_t rate, since, done;
};
int conduit_write(const struct conduit *, const void *data, size_t len, struct conduit_pace *, int cancel);
/* Reads until the other side has closed it, at most len bytes; the same errors. *got: bytes. */
int conduit_read_all(const struct conduit *, void *buf, size_t len, size_t *got, int cancel);
/* No more is written: the other side reads an end. */
void conduit_shut(const struct conduit *);
/* whole: a file appears. 0 or a negative errno; err says what failed, a program that did among it. */
int conduit_close(struct conduit *, bool whole, char *err, size_t len);

#endif
