/*
 * netdevs.h - networks as the command line names them, and the host's ends of their cables.
 */
#ifndef MAIN_NETDEVS_H
#define MAIN_NETDEVS_H

#include "host/net.h"

struct machine;

enum netdev_kind { NETDEV_NONE, NETDEV_USER, NETDEV_TAP, NETDEV_SOCKET };

struct netdev_arg {
    struct net net;             /* what a chip is given */
    const char *opt;            /* that asked for it */
    enum netdev_kind kind;
    struct net_user_config user;
    struct net_tap_config tap;
    struct net_socket_config socket;
    bool taken;                 /* by a -nic */
    const char *dump;           /* a capture's file, NULL: none */
    uint32_t dump_max;
    char name[24];              /* net.id, where the user gave none */
    struct netdev_arg *next;
};

/* NULL: there is none of that id. */
struct netdev_arg *netdev_find(struct netdev_arg *list, const char *id);
/* opt_net.c: [tcp|udp]:[ADDRESS]:PORT-[ADDRESS]:PORT; without `to` what stands before the dash. False: it is
 * none. */
bool netdev_parse_forward(const char *text, bool to, struct net_forward *);
/* Dies with EXIT_CODE_HOST (a capture's file: EXIT_CODE_FILE) and what the host refused. */
void netdevs_open(struct machine *, struct netdev_arg *list);
void netdevs_close(struct netdev_arg *list);
void netdevs_free(struct netdev_arg *list);

#endif
