/*
 * vnc_pump.h - between VNC's clients and libvncserver.
 *
 * The library writes to a client until all is taken, and does nothing else meanwhile, up to 20 seconds: keys of that client
 * and everything of all others wait. So it is given a socket pair instead, whose other end is always read, and a thread
 * passes on what each client takes, when it takes it.
 *
 * A client gets a picture for each one it asks for: one that takes them has a picture or two waiting here. One that asks
 * and does not take is disconnected at VNC_PUMP_MAX bytes.
 */
#ifndef HOST_VNC_PUMP_H
#define HOST_VNC_PUMP_H

#define VNC_PUMP_CLIENTS 32u
#define VNC_PUMP_MAX     (128u << 20)

struct vnc_pump;

/* Starts the thread, which takes no signals. NULL: no memory, descriptors or threads are left. */
struct vnc_pump *vnc_pump_start(void);
/* The client at the socket `fd`, which is the pump's from now on. Returns the library's end, -1: there is no place, and fd
   was closed. */
int vnc_pump_add(struct vnc_pump *, int fd);
/* Disconnects all clients. NULL: nothing. */
void vnc_pump_stop(struct vnc_pump *);

#endif
