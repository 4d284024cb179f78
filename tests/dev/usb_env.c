/* usb_env.c - see usb_env.h. */
#include "tests/dev/usb_env.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static struct drive *find_drive(void *arg, const char *id)
{
    struct usb_env *u = arg;

    return id[0] == 'd' ? &u->disk[id[1] - '0']->drive : NULL;
}

struct usb_env *usb_env_new(void)
{
    static const char *const ids[] = { "d0", "d1", "d2" };
    struct usb_env *u = calloc(1, sizeof(*u));

    u->b = bus_env_new();
    for (unsigned i = 0; i < 3; i++)
        u->disk[i] = vt_disk_new(i == 1 ? USB_CD_SIZE : USB_DISK_SIZE, ids[i]);
    u->disk[1]->drive.cdrom = u->disk[1]->drive.read_only = u->disk[2]->drive.read_only = true;
    u->b->names = (struct plug_names){ .drive = find_drive, .arg = u };
    return u;
}

void usb_env_free(struct usb_env *u)
{
    usb_env_run(u);
    bus_env_free(u->b);
    for (unsigned i = 0; i < 3; i++)
        vt_disk_free(u->disk[i]);
    free(u);
}

unsigned usb_env_run(struct usb_env *u)
{
    unsigned all = 0, n;

    do {
        n = 0;
        for (unsigned i = 0; i < 3; i++)
            n += vt_disk_run(u->disk[i]);
        all += n;
    } while (n);
    return all;
}

struct usb_dev *usb_env_device(struct usb_env *u, const char *bus, const char *path)
{
    const struct usb_bus *b = plug_bus_find(&u->b->plugs, bus);
    const struct usb_port *p;

    ck_assert_ptr_nonnull(b);
    for (p = b->ports; p && strcmp(p->path, path); p = p->next)
        ;
    ck_assert_ptr_nonnull(p);
    return p->dev;
}

int usb_env_control(struct usb_dev *d, unsigned type, unsigned request, unsigned value, unsigned index,
                    unsigned len, uint8_t *buf)
{
    uint8_t s[8] = { type, request, value, value >> 8, index, index >> 8, len, len >> 8 };
    unsigned got = 0, max = d->speed == USB_SUPER ? 512 : 64;
    int n;

    ck_assert_int_eq(usb_packet(d, USB_SETUP, 0, s, 8), 8);
    while (got < len) {
        unsigned part = len - got < max ? len - got : max;

        n = usb_packet(d, type & 0x80 ? USB_IN : USB_OUT, 0, buf + got, part);
        if (n < 0)
            return n;
        got += n;
        if ((unsigned)n < part)
            break;
    }
    n = usb_packet(d, type & 0x80 && len ? USB_OUT : USB_IN, 0, NULL, 0);
    return n < 0 ? n : (int)got;
}
