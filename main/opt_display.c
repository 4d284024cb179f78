/*
 * opt_display.c - -display, -vnc, -vga, -k, -screendump, -nographic: what shows the guest's screen.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "config.h"
#include "host/audiodev.h"
#include "host/keymap.h"
#include "hw/boards.h"
#include "main/options_priv.h"

#define VGA_SLOT 2

#ifdef HAVE_SDL
#define SDL true
#else
#define SDL false
#endif

static void list_displays(void)
{
    printf("Displays:\n  none         none: with the first serial port on the terminal\n"
           "  curses       text modes in the terminal\n");
    if (SDL)
        printf("  sdl          a window (default where there is a desktop)\n");
#ifdef HAVE_VNC
    printf("  vnc=ADDRESS  the same as -vnc ADDRESS\n");
#endif
    exit(0);
}

void opt_nographic(struct options *o, const char *opt, const char *val)
{
    o->display = DISPLAY_NONE;
    o->display_set = o->cfg.serial_screen = o->nographic = true;
}

void opt_display(struct options *o, const char *opt, const char *val)
{
    struct arg_item it;

    if (arg_is_help(val))
        list_displays();
    if (strncmp(val, "vnc=", 4) == 0) {
        opt_vnc(o, opt, val + 4);
        return;
    }
    arg_next(&val, &it);
    o->display_set = true;
    if (strcmp(it.key, "none") == 0)
        o->display = DISPLAY_NONE;
    else if (strcmp(it.key, "curses") == 0 || strcmp(it.key, "text") == 0)
        o->display = DISPLAY_TEXT;
    else if (strcmp(it.key, "sdl") == 0 && SDL)
        o->display = DISPLAY_SDL;
    else if (strcmp(it.key, "sdl") == 0)
        die(EXIT_CODE_USAGE, "%s: this Latimer was built without SDL: use -display curses, or -vnc", opt);
    else if (strcmp(it.key, "gtk") == 0 && SDL)
        o->display = DISPLAY_SDL;
    else
        die(EXIT_CODE_USAGE, "%s: there is no display '%s': %s help lists what there is", opt, it.key, opt);
    while (arg_next(&val, &it)) {
        bool on = !it.val || strcmp(it.val, "on") == 0;

        if (o->display == DISPLAY_SDL && strcmp(it.key, "full-screen") == 0)
            o->full_screen = on;
        else if (o->display != DISPLAY_SDL || (strcmp(it.key, "gl") && strcmp(it.key, "show-cursor") &&
                                               strcmp(it.key, "window-close")))
            die(EXIT_CODE_USAGE, "%s: unknown property '%s': %s", opt, it.key,
                o->display == DISPLAY_SDL ? "only full-screen= is understood" : "this display has none");
    }
}

void opt_full_screen(struct options *o, const char *opt, const char *val)
{
    o->full_screen = true;
}

static void set_password(struct options *o, const char *password, const char *where)
{
    if (strlen(password) >= sizeof(o->vnc_config.password))
        arg_note("VNC passwords have 8 characters: the rest of the one in %s does not count", where);
    snprintf(o->vnc_config.password, sizeof(o->vnc_config.password), "%.8s", password);
}

/* What the server's clients would hear in QEMU. */
static void check_audiodev(const struct options *o)
{
    const struct audiodev *d = o->audiodevs;

    while (o->vnc_audiodev && d && strcmp(d->audio.id, o->vnc_audiodev))
        d = d->next;
    if (o->vnc_audiodev && !d)
        die(EXIT_CODE_USAGE, "-vnc: audiodev=%s: there is no -audiodev with that id", o->vnc_audiodev);
    if (o->vnc_audiodev && strcmp(d->driver, "none"))
        arg_note("-vnc: audiodev=%s: VNC clients are sent no sound: it is heard where -audiodev says",
                 o->vnc_audiodev);
}

/* What the options name may come behind them. */
static void take_secret(struct options *o)
{
    const struct secret *s = o->vnc_secret ? secret_find(o->secrets, o->vnc_secret) : NULL;

    if (o->vnc_secret && !s)
        die(EXIT_CODE_USAGE, "-vnc: password-secret=%s: there is no -object secret with that id", o->vnc_secret);
    if (s)
        set_password(o, (const char *)s->data, s->id);
}

static void read_password(struct options *o, const char *opt, const char *path)
{
    FILE *f = fopen(path, "re");
    char line[80] = "";

    if (!f)
        die(EXIT_CODE_FILE, "%s: cannot read the password: %s: %s", opt, path, strerror(errno));
    if (!fgets(line, sizeof(line), f))
        line[0] = 0;
    fclose(f);
    line[strcspn(line, "\r\n")] = 0;
    if (!line[0])
        die(EXIT_CODE_FILE, "%s: %s: its first line is to be the password", opt, path);
    set_password(o, line, path);
    o->vnc_config.auth = true;
}

static bool is_address(const char *a)
{
    const char *n = strrchr(a, ':');
    uint64_t port;

    return strncmp(a, "unix:", 5) == 0 ? a[5] : n && n[1] && strspn(n + 1, "0123456789") == strlen(n + 1) &&
                                                arg_number(n + 1, &port) && port <= 59635;
}

static bool no_loopback(const char *address)
{
    return address[0] != ':' && strncmp(address, "127.", 4) && strncmp(address, "localhost:", 10) &&
           strncmp(address, "[::1]", 5) && strncmp(address, "unix:", 5);
}

void opt_vnc(struct options *o, const char *opt, const char *val)
{
    const char *address;
    struct arg_item it;
    uint64_t n;

#ifndef HAVE_VNC
    die(EXIT_CODE_USAGE, "%s: this Latimer was built without libvncserver", opt);
#endif
    arg_next(&val, &it);
    address = it.val && strcmp(it.key, "vnc") == 0 ? it.val : it.key;
    o->vnc = strcmp(address, "none") != 0;
    if (o->vnc && !is_address(address))
        die(EXIT_CODE_USAGE, "%s: '%s': use HOST:N, as in :0 for port 5900 of this host, or unix:PATH", opt, address);
    o->vnc_config = (struct vnc_config){ .address = options_keep(o, address) };
    o->vnc_secret = o->vnc_audiodev = NULL;
    while (arg_next(&val, &it)) {
        if (it.val && strcmp(it.key, "to") == 0 && arg_number(it.val, &n) && n <= 59635)
            o->vnc_config.to = (unsigned)n;
        else if (strcmp(it.key, "password") == 0 && (!it.val || strcmp(it.val, "on") == 0))
            o->vnc_config.auth = true;
        else if (it.val && strcmp(it.key, "password") == 0 && strcmp(it.val, "off"))
            read_password(o, opt, it.val);
        else if (it.val && strcmp(it.key, "password-secret") == 0)
            o->vnc_secret = options_keep(o, it.val);
        else if (it.val && strcmp(it.key, "audiodev") == 0)
            o->vnc_audiodev = options_keep(o, it.val);
        else if (!it.val || (strcmp(it.key, "share") && strcmp(it.key, "password")))
            die(EXIT_CODE_USAGE, "%s: unknown property '%s': use password=FILE, password=on, "
                                 "password-secret=ID, audiodev=ID or to=N", opt, it.key);
    }
    o->vnc_config.auth |= o->vnc_secret != NULL;
    if (o->vnc && no_loopback(o->vnc_config.address) && !o->vnc_config.auth)
        arg_note("%s: whoever reaches this host can use the guest: give a password=FILE, or only :N", opt);
}

void opt_vga(struct options *o, const char *opt, const char *val)
{
    if (arg_is_help(val)) {
        printf("Video:\n  std          VGA with Bochs' VBE (default)\n  none\n");
        exit(0);
    }
    if (strcmp(val, "std") && strcmp(val, "none"))
        die(EXIT_CODE_USAGE, "%s: there is no video '%s': use std or none", opt, val);
    o->vga = strcmp(val, "std") == 0 ? VGA_STD : VGA_NONE;
}

void opt_k(struct options *o, const char *opt, const char *val)
{
    char err[400];

    if (arg_is_help(val)) {
        printf("Keyboard layouts:\n");
        for (unsigned i = 0; keymap_nth(i); i++)
            printf("  %s\n", keymap_nth(i));
#ifdef HAVE_XKB
        printf("and XKB's, as LAYOUT or LAYOUT(VARIANT): gr, us(dvorak)\n");
#endif
        exit(0);
    }
    keymap_free(o->keymap);
    if (!(o->keymap = keymap_open(val, err, sizeof(err))))
        die(EXIT_CODE_USAGE, "%s: %s", opt, err);
}

void opt_screendump(struct options *o, const char *opt, const char *val)
{
    o->dump = val;
}

/* ---- when all of the command line is known ---- */

static void default_display(struct options *o)
{
    const char *x = getenv("DISPLAY"), *wayland = getenv("WAYLAND_DISPLAY");

    o->display_default = true;
    if (SDL && ((x && *x) || (wayland && *wayland)))
        o->display = DISPLAY_SDL;
    else
        o->cfg.serial_screen = true;    /* nobody looks: as with -nographic */
}

void options_display(struct options *o)
{
    struct plug_use *u;

    take_secret(o);
    check_audiodev(o);
    if (o->vga != VGA_NONE && o->cfg.board->firmware && (o->vga == VGA_STD || !o->nodefaults) && !options_asked_for(o, "VGA")) {
        u = plug_use_new(plug_find("VGA"));
        u->props->slot = VGA_SLOT;
        options_add_device_first(o, u);
    } else if (o->vga == VGA_STD && !o->cfg.board->firmware) {
        die(EXIT_CODE_USAGE, "-vga: machine %s has no PCI bus: use -machine pc", o->cfg.board->name);
    }
    if (!o->display_set && !o->vnc && options_asked_for(o, "VGA"))
        default_display(o);
}
