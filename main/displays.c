/*
 * displays.c - starts the displays that options ask for, and writes screendumps.
 */
#include "main/displays.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "config.h"
#include "debug/control.h"
#include "host/displays.h"
#include "host/evloop.h"
#include "host/keymap.h"
#include "host/screendump.h"
#include "hw/input_if.h"
#include "main/optarg.h"

struct displays {
    struct machine *m;
    struct display_env env;
    const char *dump;
    char title[64];
    struct vnc *vnc;
    bool vnc_auth;              /* which asks for a password */
    struct sdl *sdl;
    struct text_display *text;
    struct keymap *keymap;      /* NULL: that of the options */
    struct control_watcher watcher;
};

static void run_changed(void *arg, enum run_state now)
{
    struct displays *d = arg;

    input_still(d->env.input, now != RUN_RUNNING);
}

struct displays *displays_new(struct machine *m)
{
    struct displays *d = calloc(1, sizeof(*d));

    if (!d)
        die(EXIT_CODE_HOST, "out of memory");
    d->m = m;
    d->env = (struct display_env){ .screen = screen_new(), .input = input_new(), .lock = &m->lock, .loop = m->loop };
    m->cfg.display = screen_display(d->env.screen);
    m->cfg.input = d->env.input;
    d->watcher = (struct control_watcher){ run_changed, d, NULL };
    run_changed(d, control_state(m->control));
    control_watch(m->control, &d->watcher);
    return d;
}

void displays_start(struct displays *d, const struct options *o)
{
    char err[400];

    if (!o->keymap && !(d->keymap = keymap_open(NULL, err, sizeof(err))))
        die(EXIT_CODE_HOST, "%s", err);
    d->env.keymap = o->keymap ? o->keymap : d->keymap;
    snprintf(d->title, sizeof(d->title), "Latimer%s%s", o->name[0] ? ": " : "", o->name);
    d->env.title = d->title;
    d->dump = o->dump;
    d->vnc_auth = o->vnc_config.auth;
    if (d->dump && !screendump_possible(d->dump, err, sizeof(err)))
        die(EXIT_CODE_FILE, "-screendump: cannot write %s: %s", d->dump, err);
    if ((o->vnc || o->display == DISPLAY_SDL || o->display == DISPLAY_TEXT) && !screen_has_chip(d->env.screen))
        arg_note("this machine has no video: its screen stays black (-machine pc has some)");
#ifdef HAVE_VNC
    if (o->vnc && !(d->vnc = vnc_start(&d->env, &o->vnc_config, err, sizeof(err))))
        die(EXIT_CODE_HOST, "-vnc: %s", err);
#endif
#ifdef HAVE_SDL
    if (o->display == DISPLAY_SDL && !(d->sdl = sdl_start(&d->env, o->full_screen, err, sizeof(err)))) {
        if (!o->display_default)
            die(EXIT_CODE_HOST, "-display sdl: %s", err);
        arg_note("no window (%s): going on without one; -vnc :0 shows the screen to VNC clients", err);
    }
#endif
    if (o->display == DISPLAY_TEXT && !(d->text = text_start(&d->env, err, sizeof(err))))
        die(EXIT_CODE_HOST, "-display curses: %s", err);
}

bool displays_dump(struct displays *d)
{
    char err[256];
    size_t n;
    bool ok;

    if (!d->dump)
        return true;
    n = strlen(d->dump);
    machine_lock(d->m);
    ok = (n > 4 && strcmp(d->dump + n - 4, ".txt") == 0 ? screendump_text : screendump_png)(screen_refresh(d->env.screen),
                                                                                         d->dump, err, sizeof(err));
    machine_unlock(d->m);
    if (!ok)
        fprintf(stderr, "latimer: -screendump %s: %s\n", d->dump, err);
    return ok;
}

struct screen *displays_screen(struct displays *d)
{
    return d ? d->env.screen : NULL;
}

unsigned displays_vnc_clients(struct displays *d)
{
#ifdef HAVE_VNC
    if (d && d->vnc)
        return vnc_clients(d->vnc);
#endif
    return 0;
}

bool displays_vnc_client(struct displays *d, unsigned n, struct vnc_peer *p)
{
#ifdef HAVE_VNC
    return d && d->vnc && vnc_client(d->vnc, n, p);
#else
    return false;
#endif
}

bool displays_vnc_password(struct displays *d, const char *password)
{
#ifdef HAVE_VNC
    if (d && d->vnc && d->vnc_auth) {
        vnc_password(d->vnc, password);
        return true;
    }
#endif
    return false;
}

bool displays_vnc_expire(struct displays *d, time_t when)
{
#ifdef HAVE_VNC
    if (d && d->vnc && d->vnc_auth) {
        vnc_expire(d->vnc, when);
        return true;
    }
#endif
    return false;
}

bool displays_stop(struct displays *d)
{
    bool clean = true;

#ifdef HAVE_VNC
    vnc_stop(d->vnc);
    d->vnc = NULL;
#endif
#ifdef HAVE_SDL
    clean = sdl_stop(d->sdl);
    d->sdl = NULL;
#endif
    text_stop(d->text);
    d->text = NULL;
    return clean;
}

void displays_free(struct displays *d)
{
    screen_free(d->env.screen);
    input_free(d->env.input);
    keymap_free(d->keymap);
    free(d);
}
