/*
 * opt_netsock.c - networks whose other end is another program: -netdev socket, and stream and dgram, which say the same with
 * an address in parts (addr.type=unix,addr.path=...), as QEMU has them since 7.2.
 */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "main/netdevs.h"
#include "main/optarg.h"
#include "main/options_priv.h"

/* ---- socket ---- */

static struct net_addr sock_addr(const char *opt, const struct arg_item *it, const char *fallback)
{
    struct net_addr a = { .in.sin_family = AF_INET, .len = sizeof(a.in) };
    char text[64];
    uint16_t p;

    if (!it->val || strlen(it->val) >= sizeof(text))
        netdev_bad(opt, it, "ADDRESS:PORT");
    strcpy(text, it->val);
    if (strncmp(text, "localhost:", 10) == 0)
        memmove(text, text + 9, strlen(text + 9) + 1);
    inet_pton(AF_INET, fallback, &a.in.sin_addr);
    if (!netdev_addr_port(text, &a.in.sin_addr, &p))
        netdev_bad(opt, it, "ADDRESS:PORT, as in 127.0.0.1:1234");
    a.in.sin_port = htons(p);
    return a;
}

static bool is_group(const struct net_addr *a)
{
    return a->any.sa_family == AF_INET && IN_MULTICAST(ntohl(a->in.sin_addr.s_addr));
}

static bool set_socket(struct netdev_arg *a, const struct arg_item *it)
{
    static const struct { const char *key; enum net_socket_how how; const char *addr; } ways[] = {
        { "listen", NET_LISTEN, "0.0.0.0" }, { "connect", NET_CONNECT, "127.0.0.1" }, { "udp", NET_DATAGRAMS, "127.0.0.1" },
        { "mcast", NET_MCAST, "0.0.0.0" }
    };
    struct net_addr *local = &a->socket.local;

    if (strcmp(it->key, "localaddr") == 0) {
        *local = (struct net_addr){ .in.sin_family = AF_INET, .len = sizeof(local->in) };
        if (!it->val || inet_pton(AF_INET, it->val, &local->in.sin_addr) != 1)
            *local = sock_addr(a->opt, it, "0.0.0.0");
        return true;
    }
    for (unsigned i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        if (strcmp(it->key, ways[i].key))
            continue;
        if (a->words.given)
            die(EXIT_CODE_USAGE, "%s: only one of listen=, connect=, udp= and mcast= goes", a->opt);
        a->socket.how = ways[i].how;
        a->socket.addr = sock_addr(a->opt, it, ways[i].addr);
        if (a->socket.how == NET_MCAST && !is_group(&a->socket.addr))
            netdev_bad(a->opt, it, "a group's address from 224.0.0.0 to 239.255.255.255 and a port");
        return a->words.given = true;
    }
    return false;
}

static void complete_socket(struct netdev_arg *a)
{
    if (!a->words.given)
        die(EXIT_CODE_USAGE, "%s: a socket needs listen=, connect=, udp= or mcast=", a->opt);
    if (a->socket.how == NET_DATAGRAMS && !a->socket.local.in.sin_port)
        die(EXIT_CODE_USAGE, "%s: udp= needs localaddr=ADDRESS:PORT, where datagrams come in", a->opt);
}

/* ---- stream and dgram ---- */

static const char *const ends[] = { [NETSOCK_ADDR] = "addr", [NETSOCK_LOCAL] = "local", [NETSOCK_REMOTE] = "remote" };
static const char *const words[] = {
    [NETSOCK_TYPE] = "type", [NETSOCK_HOST] = "host", [NETSOCK_PORT] = "port", [NETSOCK_PATH] = "path", [NETSOCK_STR] = "str"
};

static bool set_word(struct options *o, struct netdev_arg *a, const struct arg_item *it)
{
    bool stream = a->kind == NETDEV_STREAM;
    const char *dot = strchr(it->key, '.');

    if (stream && strcmp(it->key, "server") == 0) {
        a->words.server = arg_bool(a->opt, it->key, it->val);
        return true;
    }
    for (unsigned e = stream ? NETSOCK_ADDR : NETSOCK_LOCAL; dot && it->val && e <= (stream ? NETSOCK_ADDR : NETSOCK_REMOTE); e++) {
        for (unsigned w = 0; w < NETSOCK_WORDS; w++) {
            if (strlen(ends[e]) != (size_t)(dot - it->key) || strncmp(it->key, ends[e], (size_t)(dot - it->key)) ||
                strcmp(dot + 1, words[w]))
                continue;
            a->words.word[e][w] = options_keep(o, it->val);
            return true;
        }
    }
    return false;
}

static const char *word(const struct netdev_arg *a, unsigned end, unsigned w)
{
    if (!a->words.word[end][w])
        die(EXIT_CODE_USAGE, "%s: %s.type=%s needs %s.%s=", a->opt, ends[end], a->words.word[end][NETSOCK_TYPE], ends[end],
            words[w]);
    return a->words.word[end][w];
}

static void inet(const struct netdev_arg *a, unsigned end, struct net_addr *to)
{
    const char *host = word(a, end, NETSOCK_HOST), *port = a->words.word[end][NETSOCK_PORT];
    uint64_t n = 0;

    to->in.sin_family = AF_INET;
    to->len = sizeof(to->in);
    if (strcmp(host, "localhost") == 0)
        host = "127.0.0.1";
    if (*host && inet_pton(AF_INET, host, &to->in.sin_addr) != 1)
        die(EXIT_CODE_USAGE, "%s: %s.host=%s: use an address like 127.0.0.1", a->opt, ends[end], host);
    if (port && (!arg_number(port, &n) || n > 65535))
        die(EXIT_CODE_USAGE, "%s: %s.port=%s: use a number from 0 to 65535", a->opt, ends[end], port);
    to->in.sin_port = htons((uint16_t)n);
}

/* What was said of one end; nothing: to->len stays 0. */
static void end_of(struct netdev_arg *a, unsigned end, struct net_addr *to)
{
    const char *type = a->words.word[end][NETSOCK_TYPE], *path;
    uint64_t n;

    for (unsigned w = 0; !type && w < NETSOCK_WORDS; w++)
        if (a->words.word[end][w])
            die(EXIT_CODE_USAGE, "%s: %s.%s= needs %s.type=inet, unix or fd", a->opt, ends[end], words[w], ends[end]);
    if (!type)
        return;
    if (strcmp(type, "inet") == 0) {
        inet(a, end, to);
    } else if (strcmp(type, "unix") == 0) {
        path = word(a, end, NETSOCK_PATH);
        if (!*path || strlen(path) >= sizeof(to->un.sun_path))
            die(EXIT_CODE_USAGE, "%s: %s.path=%s: use a path of 1 to %zu bytes", a->opt, ends[end], path,
                sizeof(to->un.sun_path) - 1);
        to->un.sun_family = AF_UNIX;
        strcpy(to->un.sun_path, path);
        to->len = sizeof(to->un);
    } else if (strcmp(type, "fd") == 0) {
        if (!arg_number(word(a, end, NETSOCK_STR), &n) || n > 1 << 20)
            die(EXIT_CODE_USAGE, "%s: %s.str=%s: use the number of an open descriptor", a->opt, ends[end],
                a->words.word[end][NETSOCK_STR]);
        a->socket.given = true;
        a->socket.fd = (int)n;
    } else {
        die(EXIT_CODE_USAGE, "%s: %s.type=%s: use inet, unix or fd", a->opt, ends[end], type);
    }
}

static void complete_stream(struct netdev_arg *a)
{
    end_of(a, NETSOCK_ADDR, &a->socket.addr);
    a->socket.how = a->words.server ? NET_LISTEN : NET_CONNECT;
    if (!a->socket.given && !a->socket.addr.len)
        die(EXIT_CODE_USAGE, "%s: a stream needs addr.type=unix,addr.path=PATH, or addr.type=inet,addr.host=ADDRESS,addr.port=PORT; "
            "with server=on it listens there", a->opt);
    if (a->socket.given && a->words.server)
        die(EXIT_CODE_USAGE, "%s: server=on does not go with addr.type=fd, which is a connection", a->opt);
    if (!a->socket.given && a->socket.addr.any.sa_family == AF_INET && !a->socket.addr.in.sin_port)
        die(EXIT_CODE_USAGE, "%s: addr.type=inet needs addr.port=", a->opt);
}

static void complete_dgram(struct netdev_arg *a)
{
    struct net_addr *local = &a->socket.local, *remote = &a->socket.addr;

    end_of(a, NETSOCK_LOCAL, local);
    end_of(a, NETSOCK_REMOTE, remote);
    a->socket.how = is_group(remote) ? NET_MCAST : NET_DATAGRAMS;
    if (a->socket.given && (local->len || remote->len))
        die(EXIT_CODE_USAGE, "%s: local.type=fd is connected: nothing else goes with it", a->opt);
    if (a->socket.given)
        return;
    if (!remote->len || (!local->len && a->socket.how != NET_MCAST))
        die(EXIT_CODE_USAGE, "%s: datagrams need local.type= and remote.type=, unix (with .path=) or inet (.host=, .port=), a group "
            "remote.type=inet alone", a->opt);
    if (local->len && local->any.sa_family != remote->any.sa_family)
        die(EXIT_CODE_USAGE, "%s: local.type= and remote.type= are to be the same", a->opt);
    if (remote->any.sa_family == AF_INET && (!remote->in.sin_port || (a->socket.how != NET_MCAST && !local->in.sin_port)))
        die(EXIT_CODE_USAGE, "%s: remote.port= and local.port= are needed", a->opt);
}

bool netsock_set(struct options *o, struct netdev_arg *a, const struct arg_item *it)
{
    return a->kind == NETDEV_SOCKET ? set_socket(a, it) : set_word(o, a, it);
}

void netsock_complete(struct netdev_arg *a)
{
    if (a->kind == NETDEV_SOCKET)
        complete_socket(a);
    else if (a->kind == NETDEV_STREAM)
        complete_stream(a);
    else
        complete_dgram(a);
}
