/* outside.c - looking up what the command line named. */
#include "debug/outside.h"

#include <stdio.h>
#include <string.h>

#include "hw/plug.h"

/* The drive that a device has; NULL: none. */
static const struct drive *drive_of(const struct plug_use *u)
{
    const struct drive *d = NULL;

    for (const struct prop *p = u->plug->props; !d && p && p->name; p++)
        if (p->type == PROP_DRIVE)
            memcpy(&d, (const char *)u->props + p->offset, sizeof(d));
    return d;
}

void outside_device(struct machine *m, const struct outside_drive *d, char *buf, size_t len)
{
    unsigned nameless = 0;

    snprintf(buf, len, "%s", *d->place ? d->place : d->drive->id);
    for (const struct plug_use *u = m->cfg.devices; u; u = u->next) {
        bool virtio = strcmp(u->plug->name, "virtio-blk-pci") == 0;
        const char *end = virtio ? "/virtio-backend" : "";

        if (drive_of(u) == d->drive) {
            if (!u->props->id)
                snprintf(buf, len, "/machine/peripheral-anon/device[%u]%s", nameless, end);
            else
                snprintf(buf, len, "%s%s%s", virtio ? "/machine/peripheral/" : "", u->props->id, end);
            return;
        }
        nameless += !u->props->id;
    }
}

static bool is_called(struct machine *m, const struct outside_drive *d, const char *id)
{
    char device[200];

    outside_device(m, d, device, sizeof(device));
    return strcmp(device, id) == 0;
}

bool outside_find_drive(struct machine *m, const char *id, struct outside_drive *d, char *err, size_t len)
{
    for (unsigned i = 0; m->outside && m->outside->drive(m, i, d); i++)
        if (strcmp(d->drive->id, id) == 0 || (*d->place && strcmp(d->place, id) == 0))
            return true;
    for (unsigned i = 0; m->outside && m->outside->drive(m, i, d); i++)
        if (is_called(m, d, id))
            return true;
    snprintf(err, len, "Device '%s' not found: 'info block' lists the drives", id);
    return false;
}

bool outside_find_net(struct machine *m, const char *id, struct outside_net *n, char *err, size_t len)
{
    for (unsigned i = 0; m->outside && m->outside->net(m, i, n); i++)
        if (n->net->id && strcmp(n->net->id, id) == 0)
            return true;
    snprintf(err, len, "Device '%s' not found: 'info network' lists the networks", id);
    return false;
}
