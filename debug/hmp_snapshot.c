/* hmp_snapshot.c - the human monitor's commands that save and load the whole machine. */
#include "debug/hmp_int.h"
#include "debug/snapshot.h"

static void tell(struct hmp *h, bool ok, const char *why)
{
    if (!ok)
        hmp_fail(h, "%s", why);
}

void hmp_savevm(struct hmp *h)
{
    char why[512];

    tell(h, snapshot_save(h->m, h->arg[0].s, why, sizeof(why)), why);
}

void hmp_loadvm(struct hmp *h)
{
    char why[512];

    tell(h, snapshot_load(h->m, h->arg[0].s, why, sizeof(why)), why);
}

void hmp_delvm(struct hmp *h)
{
    char why[512];

    tell(h, snapshot_delete(h->m, h->arg[0].s, why, sizeof(why)), why);
}
