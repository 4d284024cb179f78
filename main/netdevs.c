/*
 * netdevs.c - networks: opened before the board is wired, closed when the machine has stopped.
 */
#include "main/netdevs.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "debug/control.h"
#include "hw/machine.h"

struct netdev_arg *netdev_find(struct netdev_arg *list, const char *id)
{
    for (struct netdev_arg *a = list; a; a = a->next)
        if (a->net.id && strcmp(a->net.id, id) == 0)
            return a;
    return NULL;
}

static void open_one(struct machine *m, struct netdev_arg *a)
{
    char err[400];
    bool ok = true;

    if (a->kind == NETDEV_USER)
        ok = net_open_user(&a->net, m->loop, &a->user, err, sizeof(err));
    else if (a->kind == NETDEV_TAP)
        ok = net_open_tap(&a->net, m->loop, &a->tap, err, sizeof(err));
    else if (a->kind >= NETDEV_SOCKET)
        ok = net_open_socket(&a->net, m->loop, &a->socket, err, sizeof(err));
    if (!ok)
        die(EXIT_CODE_HOST, "%s: network %s: %s", a->opt, a->net.id, err);
    if (a->dump && !net_dump(&a->net, a->dump, a->dump_max, err, sizeof(err)))
        die(EXIT_CODE_FILE, "filter-dump of network %s: %s", a->net.id, err);
}

void netdevs_open(struct machine *m, struct netdev_arg *list)
{
    for (struct netdev_arg *a = list; a; a = a->next)
        open_one(m, a);
}

static void run_changed(void *arg, enum run_state now)
{
    for (struct netdev_arg *a = arg; a; a = a->next)
        net_still(&a->net, now != RUN_RUNNING);
}

void netdevs_watch(struct machine *m, struct netdev_arg *list, struct control_watcher *w)
{
    *w = (struct control_watcher){ run_changed, list, NULL };
    run_changed(list, control_state(m->control));
    control_watch(m->control, w);
}

void netdevs_close(struct netdev_arg *list)
{
    for (struct netdev_arg *a = list; a; a = a->next)
        net_close(&a->net);
}

void netdevs_free(struct netdev_arg *list)
{
    for (struct netdev_arg *a = list, *next; a; a = next) {
        next = a->next;
        for (struct net_forward *f = a->user.forwards, *n; f; f = n) {
            n = f->next;
            free(f);
        }
        for (struct net_service *s = a->user.services, *n; s; s = n) {
            n = s->next;
            free(s);
        }
        free(a);
    }
}
