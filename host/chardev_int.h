/*
 * chardev_int.h - what the files of byte streams to the outside share: chardev.c moves bytes, chardev_open.c opens what
 * specifications name, chardev_tty.c knows the host's serial ports.
 */
#ifndef HOST_CHARDEV_INT_H
#define HOST_CHARDEV_INT_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

#include "host/chardev.h"
#include "host/chardev_socket.h"
#include "host/evloop.h"

#define OUT_SIZE 65536u
#define IN_SIZE 4096u
#define GIVEN_FDS 16            /* at once; more are closed */
#define FRONTS 4                /* users of one stream */

#define IN_BREAK 0x100u         /* a break, among the bytes that came before and after it */

/* One user of the stream, with what was typed to it. */
struct front {
    struct chardev base;        /* first: the chips' view */
    struct host_chardev *h;
    bool stalled;               /* it waits for writable() */
    bool told_open;
    unsigned in_start, in_len;
    uint16_t in_buf[IN_SIZE];   /* bytes and IN_BREAK */
};

struct host_chardev {
    struct evloop *loop;
    struct front *front[FRONTS];
    unsigned nfronts, focus;    /* focus: who is typed to */
    char label[32];
    int in_fd, out_fd, slave_fd;        /* -1: none */
    struct evfd *in, *out;
    int given[GIVEN_FDS], ngiven;       /* came with what was read last (SCM_RIGHTS), and nobody has taken them */
    bool is_socket;             /* in_fd and out_fd are the client's, -1: none */
    struct chardev_socket sock;
    struct evfd *listen;
    bool nonblocking;           /* out_fd is, or never blocks */
    bool drops;                 /* full buffer: drop (pty) instead of making the device wait */
    bool dead;                  /* out_fd failed */
    bool deaf;                  /* the client takes no more, and what it sent before it went is still to be read */
    bool still;                 /* the machine stands still */
    bool lossy_in;              /* what comes while there is no room is lost: a terminal's keys, datagrams */
    bool stdio, mux, escaped;
    bool datagrams;             /* a UDP socket */
    struct chardev_tty *tty;    /* a serial port of the host's; NULL: none */
    int log_fd;                 /* -1: none */
    bool blocked;               /* the last write did not take all: POLLOUT is awaited */
    bool telnet;
    unsigned iac;               /* what of a telnet command has come, enum below */
    uint64_t flushed;           /* evloop_now() at the last write */
    struct evdelay flush_delay, deliver_delay, open_delay;
    unsigned out_start, out_len;
    uint8_t out_buf[OUT_SIZE];
};

/* chardev_open.c: fills in what spec names; false: err says what is wrong. */
bool chardev_find_end(struct host_chardev *, const char *spec, const struct chardev_options *, char *err, size_t len);
/* chardev.c: a client of a socket is there. */
void chardev_connected(struct host_chardev *, int fd);
void chardev_client_ready(void *arg, short revents);

/* chardev_tty.c. The terminal behind fd in raw mode, its settings given back at the end. NULL and errno: it is none. */
struct chardev_tty *chardev_tty_new(int fd);
void chardev_tty_free(struct chardev_tty *);
void chardev_tty_line(struct chardev_tty *, const struct chardev_line *);
void chardev_tty_break(struct chardev_tty *, bool on);
void chardev_tty_modem(struct chardev_tty *, unsigned out);
int chardev_tty_inputs(struct chardev_tty *);
/* What a byte read from it is: 0 to 255 data, else CHARDEV_TTY_*. */
enum { CHARDEV_TTY_NOTHING = -1, CHARDEV_TTY_BREAK = -2 };
int chardev_tty_input(struct chardev_tty *, uint8_t byte);

#endif
