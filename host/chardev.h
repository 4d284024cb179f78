/*
 * chardev.h - host ends of byte streams: -serial and -debugcon arguments.
 *
 *   stdio        the terminal (or pipe) on standard input and output; Ctrl-C ends Latimer
 *   mon:stdio    the same with the escape key Ctrl-A (x quits, b sends break, h helps) and Ctrl-C
 *                going to the guest
 *   file:PATH    output to a file
 *   pty          a new pseudo-terminal; its name is printed
 *   tcp:HOST:PORT[,server[,nowait]], unix:PATH[,server[,nowait]]
 *                a socket: connects, or listens, and then waits for a client unless nowait is there
 *   null, none   nothing
 */
#ifndef HOST_CHARDEV_H
#define HOST_CHARDEV_H

#include <stddef.h>

#include "hw/chardev_if.h"

struct evloop;

/*
 * Opens `spec` for the device called `label`.  On failure NULL, with what failed and what to do in
 * err; "none" gives NULL too, with err empty.  stdio can be opened once only.
 */
struct chardev *chardev_open(struct evloop *, const char *spec, const char *label, char *err,
                             size_t errlen);
/* Writes out what is buffered (giving a slow reader a second) and gives the terminal back. */
void chardev_close(struct chardev *);

#endif
