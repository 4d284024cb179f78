/* displays.h - the displays the command line asks for. */
#ifndef MAIN_DISPLAYS_H
#define MAIN_DISPLAYS_H

#include "main/options.h"

struct displays;

/* Before the board is wired: input and the cable, for m->cfg. */
struct displays *displays_new(struct machine *);
/* When the machine is there. Dies where the user asked for what cannot be. */
void displays_start(struct displays *, const struct options *);
/* -screendump: write the file now. Without the device lock, as displays_free(). */
bool displays_dump(struct displays *);
struct screen *displays_screen(struct displays *);
/* VNC clients that are connected; with the device lock held. */
unsigned displays_vnc_clients(struct displays *);
/* As vnc_client(). */
bool displays_vnc_client(struct displays *, unsigned n, struct vnc_peer *);
/* As vnc_password() and vnc_expire(). False: there is no VNC server, or none that asks for a password. */
bool displays_vnc_password(struct displays *, const char *password);
bool displays_vnc_expire(struct displays *, time_t);
/* False: the process must end by _exit() (sdl_stop()). */
bool displays_stop(struct displays *);
void displays_free(struct displays *);

#endif
