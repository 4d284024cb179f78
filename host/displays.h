/*
 * displays.h - the displays there are. Each has a thread of its own, which takes the device lock for a refresh and for
 * input and never while it waits for anybody: a slow viewer slows no guest. One that breaks down says so, and the
 * guest goes on.
 */
#ifndef HOST_DISPLAYS_H
#define HOST_DISPLAYS_H

#include <time.h>

#include "host/screen.h"

struct vnc;
struct sdl;
struct text_display;

struct vnc_config {
    const char *address;        /* HOST:N, :N (loopback) or unix:PATH */
    unsigned to;                /* the last N to try, if the port is in use */
    bool auth;                  /* clients must know the password */
    char password[9];           /* empty: nobody can know it yet */
};
/* NULL: err says what failed and what to do. Stopping: without the device lock. env stays. */
struct vnc *vnc_start(const struct display_env *, const struct vnc_config *, char *err, size_t len);
void vnc_stop(struct vnc *);
unsigned vnc_clients(struct vnc *);     /* how many are connected now */
struct vnc_peer {
    char host[64], service[16]; /* numbers; "" for "unix" */
    const char *family;         /* "ipv4", "ipv6", "unix" */
};
/* The n-th of those. False: there are no more. Any thread. */
bool vnc_client(struct vnc *, unsigned n, struct vnc_peer *);
/*
 * For clients that come from now on, of a server with `auth`: the password, of which 8 bytes count (empty: nobody gets in),
 * and until when it holds, in seconds since the epoch (0: always). Any thread.
 */
void vnc_password(struct vnc *, const char *password);
void vnc_expire(struct vnc *, time_t);

struct sdl *sdl_start(const struct display_env *, bool full_screen, char *err, size_t len);
/* False: the X server went away, and its library stays locked: exit() would wait for it, so the process ends by _exit(). */
bool sdl_stop(struct sdl *);

/* Text modes in the terminal, which it must have to itself. */
struct text_display *text_start(const struct display_env *, char *err, size_t len);
void text_stop(struct text_display *);

#endif
