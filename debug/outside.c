/* outside.c - looking up what the command line named. */
#include "debug/outside.h"

#include <stdio.h>
#include <string.h>

bool outside_find_drive(struct machine *m, const char *id, struct outside_drive *d, char *err, size_t len)
{
    for (unsigned i = 0; m->outside && m->outside->drive(m, i, d); i++)
        if (strcmp(d->drive->id, id) == 0 || (*d->place && strcmp(d->place, id) == 0))
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
