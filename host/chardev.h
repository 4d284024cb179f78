/*
 * chardev.h - host ends of byte streams: -chardev, -serial, -monitor and their like.
 *
 *   stdio        the terminal (or pipe) on standard input and output; Ctrl-C ends Latimer
 *   mon:...      any of these, shared between a device and monitors by the escape key Ctrl-A (c: who is typed to, x quits,
 *                b sends break, h helps); mon:stdio gives Ctrl-C to the guest
 *   file:PATH    output to a file
 *   pipe:PATH    input from the named pipe PATH.in, output to PATH.out; or PATH for both
 *   pty          a new pseudo-terminal; its name is printed
 *   tty:PATH     or /dev/...: a serial port of the host's, set as the guest sets its own
 *   tcp:HOST:PORT[,server[,nowait]], unix:PATH[,server[,nowait]]
 *                a socket: connects, or listens, and then waits for a client unless nowait is there; without HOST it is this
 *                host, and nobody else can connect
 *   telnet:HOST:PORT[,server[,nowait]]       the same as tcp: for telnet(1)
 *   udp:[HOST]:PORT[@[HOST]:PORT]            datagrams to the first, received at the second (default: any port)
 *   null, none   nothing
 */
#ifndef HOST_CHARDEV_H
#define HOST_CHARDEV_H

#include <stdbool.h>
#include <stddef.h>

#include "hw/chardev_if.h"

struct evloop;

/* What a specification does not say. */
struct chardev_options {
    struct fds *fds;            /* base/fds.h: what /dev/fdset/N is, of file: and logs; NULL: nothing */
    const char *logfile;        /* gets a copy of the output; NULL: none */
    bool log_append, append;    /* to what is in the logfile, in file:PATH */
    int signal;                 /* stdio: Ctrl-C and its like are signals to Latimer; > 0 yes, < 0 no, 0 unless mon: */
};

/*
 * Opens `spec` for the device called `label`.  On failure NULL, with what failed and what to do in
 * err; "none" gives NULL too, with err empty.  stdio can be opened once only.
 */
struct chardev *chardev_open_with(struct evloop *, const char *spec, const struct chardev_options *, const char *label,
                                  char *err, size_t errlen);
struct chardev *chardev_open(struct evloop *, const char *spec, const char *label, char *err, size_t errlen);
/* Somebody is at the other end, as the user's opened() was told. */
bool chardev_is_open(const struct chardev *);
/*
 * A stream opened as mon:... has several users, of whom one gets what is typed: Ctrl-A c gives it to the
 * next. One more of them; NULL: the stream has one user only, or too many. It goes with the stream.
 */
struct chardev *chardev_front(struct chardev *);
/*
 * The machine stands still, or (on false) runs again. Meanwhile its devices behind the stream are told nothing: what comes
 * for them is left with the host, or, where an escape key may be among it, read ahead as far as the buffer holds it.
 * Monitors go on. When it runs all of it is delivered, in its order. NULL: there is no stream.
 */
void chardev_still(struct chardev *, bool on);
/* Writes out what is buffered (giving a slow reader a second) and gives the terminal back. */
void chardev_close(struct chardev *);

#endif
