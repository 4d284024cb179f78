/*
 * opt_usb.c - -usb and -usbdevice: short forms of -device for the board's own USB controller and what is
 * plugged in.
 */
#include <string.h>

#include "base/log.h"
#include "main/options_priv.h"

#define UHCI "piix3-usb-uhci"
#define UHCI_SLOT 1             /* the ISA bridge's */
#define UHCI_FUNCTION 2

void opt_usb(struct options *o, const char *opt, const char *val)
{
    struct plug_use *use;

    for (use = o->devices; use; use = use->next)
        if (strcmp(use->plug->name, UHCI) == 0)
            return;
    use = plug_use_new(plug_find(UHCI));
    use->props->slot = UHCI_SLOT;
    use->props->fn = UHCI_FUNCTION;
    options_add_device(o, use);
}

void opt_usbdevice(struct options *o, const char *opt, const char *val)
{
    static const char *const known[][2] = { { "tablet", "usb-tablet" }, { "mouse", "usb-mouse" },
                                            { "keyboard", "usb-kbd" } };

    for (unsigned i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (strcmp(val, known[i][0]))
            continue;
        opt_usb(o, opt, NULL);
        options_add_device(o, plug_use_new(plug_find(known[i][1])));
        return;
    }
    die(EXIT_CODE_USAGE, "%s %s: use tablet, mouse or keyboard, or -device", opt, val);
}
