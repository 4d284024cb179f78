/*
 * opt_usb.c - -usb and -usbdevice: short forms of -device for the board's own USB controllers and what is
 * plugged in.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "hw/boards.h"
#include "main/options_priv.h"

/* Machine q35's: companions before what they are companions of, since each is added in front. */
static const struct { const char *name, *addr, *first; } ich9[] = {
    { "ich9-usb-uhci3", "1d.2", "4" }, { "ich9-usb-uhci2", "1d.1", "2" }, { "ich9-usb-uhci1", "1d.0", "0" },
    { "ich9-usb-ehci1", "1d.7", NULL }
};
#define MASTER "usb"

static void set(struct plug_use *use, const char *name, const char *val)
{
    char why[100];

    if (!plug_set(use, plug_prop(use->plug, name), val, NULL, why, sizeof(why)))
        die(EXIT_CODE_USAGE, "-usb: %s=%s: %s", name, val, why);
}

void opt_usb(struct options *o, const char *opt, const char *val)
{
    o->usb = true;
}

void options_usb(struct options *o)
{
    struct plug_use *use;

    if (!o->usb)
        return;
    if (strcmp(o->cfg.board->name, "q35")) {
        use = plug_use_new(plug_find("piix3-usb-uhci"));
        set(use, "addr", "1.2");        /* of the ISA bridge */
        options_add_device_first(o, use);
        return;
    }
    for (unsigned i = 0; i < sizeof(ich9) / sizeof(ich9[0]); i++) {
        use = plug_use_new(plug_find(ich9[i].name));
        set(use, "addr", ich9[i].addr);
        if (ich9[i].first) {
            set(use, "masterbus", MASTER ".0");
            set(use, "firstport", ich9[i].first);
        } else {
            set(use, "id", MASTER);
        }
        options_add_device_first(o, use);
    }
}

/* disk:FILE, a file whose name may have commas. */
static void add_disk(struct options *o, const char *opt, const char *file)
{
    size_t len = 2 * strlen(file) + 40, n = 0;
    char *drive = malloc(len), device[60];

    if (!drive)
        die(EXIT_CODE_HOST, "out of memory");
    n = snprintf(drive, len, "if=none,id=usbdisk%u,file=", o->usb_disks);
    for (const char *p = file; *p; p++) {
        drive[n++] = *p;
        if (*p == ',')
            drive[n++] = ',';
    }
    drive[n] = 0;
    snprintf(device, sizeof(device), "usb-storage,drive=usbdisk%u", o->usb_disks++);
    opt_drive(o, opt, options_keep(o, drive));
    opt_device(o, opt, options_keep(o, device));
    free(drive);
}

void opt_usbdevice(struct options *o, const char *opt, const char *val)
{
    static const char *const known[][2] = { { "tablet", "usb-tablet" }, { "mouse", "usb-mouse" },
                                            { "keyboard", "usb-kbd" } };

    opt_usb(o, opt, NULL);
    if (strncmp(val, "disk:", 5) == 0 && val[5]) {
        add_disk(o, opt, val + 5);
        return;
    }
    for (unsigned i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (strcmp(val, known[i][0]))
            continue;
        options_add_device(o, plug_use_new(plug_find(known[i][1])));
        return;
    }
    die(EXIT_CODE_USAGE, "%s %s: use tablet, mouse, keyboard or disk:FILE, or -device", opt, val);
}
