/*
 * netdevs.h - networks as the command line names them, and the host's ends of their cables.
 */
#ifndef MAIN_NETDEVS_H
#define MAIN_NETDEVS_H

#include "host/net.h"

struct machine;

/* NETDEV_SOCKET and behind: another program (opt_netsock.c). */
enum netdev_kind { NETDEV_NONE, NETDEV_USER, NETDEV_TAP, NETDEV_SOCKET, NETDEV_STREAM, NETDEV_DGRAM };

/* Addresses of NETDEV_STREAM and NETDEV_DGRAM in the words of the user. */
enum { NETSOCK_ADDR, NETSOCK_LOCAL, NETSOCK_REMOTE, NETSOCK_ENDS };
enum { NETSOCK_TYPE, NETSOCK_HOST, NETSOCK_PORT, NETSOCK_PATH, NETSOCK_STR, NETSOCK_WORDS };
struct netsock_words {
    const char *word[NETSOCK_ENDS][NETSOCK_WORDS];
    bool server;
    bool given;                 /* NETDEV_SOCKET: listen= or another was */
};

struct netdev_arg {
    struct net net;             /* what a chip is given */
    const char *opt;            /* that asked for it */
    enum netdev_kind kind;
    struct net_user_config user;
    struct net_tap_config tap;
    struct net_socket_config socket;
    struct netsock_words words;
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
/* [ADDRESS]:PORT; text is cut. An empty address stays as it was. */
bool netdev_addr_port(char *text, struct in_addr *, uint16_t *port);
/* Dies with EXIT_CODE_USAGE. */
struct arg_item;
void __attribute__((noreturn)) netdev_bad(const char *opt, const struct arg_item *, const char *use);
/* opt_netsock.c: properties of the last three kinds (false: it is none), and what can be told when all are known. */
struct options;
bool netsock_set(struct options *, struct netdev_arg *, const struct arg_item *);
void netsock_complete(struct netdev_arg *);
/* Dies with EXIT_CODE_HOST (a capture's file: EXIT_CODE_FILE) and what the host refused. */
void netdevs_open(struct machine *, struct netdev_arg *list);
/* From now on what comes from outside waits while the machine stands still. */
struct control_watcher;
void netdevs_watch(struct machine *, struct netdev_arg *list, struct control_watcher *);
void netdevs_close(struct netdev_arg *list);
void netdevs_free(struct netdev_arg *list);

#endif
