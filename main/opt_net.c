/*
 * opt_net.c - -netdev, -nic, -net and filter-dump: networks, the chips on them, captures.
 *
 * Chips are made by the table of devices (hw/plugs.def): a model is a type with a property netdev. Chips
 * without an address are given 52:54:00:12:34:56 and those that follow, in the order of the devices.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "hw/boards.h"
#include "main/options_priv.h"

#define DEFAULT_MODEL "e1000"
#define KINDS "user, tap, socket, stream, dgram or none"

/* -nic and -net nic: a chip, and what it is on. */
struct nic_arg {
    const char *opt, *model, *id, *addr;
    struct netdev_arg *netdev;  /* NULL: none */
    const char *netdev_id;      /* named by -net nic,netdev= */
    uint8_t mac[6];
    bool by_net;                /* -net nic: on the network that -net gives */
    struct nic_arg *next;
};

static const struct { const char *alias, *name; } aliases[] = {
    { "virtio", "virtio-net-pci" }, { "virtio-net", "virtio-net-pci" }, { "e1000-82540em", "e1000" },
    { "ne2k", "ne2k_pci" }
};

/* ---- models ---- */

static bool is_nic(const struct plug *p)
{
    const struct prop *prop = plug_prop(p, "netdev");

    return prop && prop->type == PROP_NETDEV;
}

static const struct plug *find_model(const char *name)
{
    const struct plug *p;

    for (unsigned i = 0; i < sizeof(aliases) / sizeof(aliases[0]); i++)
        if (strcmp(name, aliases[i].alias) == 0)
            name = aliases[i].name;
    p = plug_find(name);
    return p && is_nic(p) ? p : NULL;
}

static void __attribute__((noreturn)) list_models(void)
{
    const struct plug *p;

    printf("Models of network chips (model=NAME):\n");
    for (unsigned i = 0; (p = plug_nth(i)); i++)
        if (is_nic(p))
            printf("  %-16s %s\n", p->name, p->what);
    exit(0);
}

static const char *check_model(const char *opt, const char *name)
{
    const struct plug *p;
    char all[300] = "";
    size_t n = 0;

    if (arg_is_help(name))
        list_models();
    p = find_model(name);
    if (p)
        return p->name;
    for (unsigned i = 0; (p = plug_nth(i)); i++)
        if (is_nic(p) && n < sizeof(all))
            n += (size_t)snprintf(all + n, sizeof(all) - n, "%s%s", n ? ", " : "", p->name);
    die(EXIT_CODE_USAGE, "%s: model=%s: there is no such network chip: use %s", opt, name, all);
}

/* ---- values ---- */

void netdev_bad(const char *opt, const struct arg_item *it, const char *use)
{
    die(EXIT_CODE_USAGE, "%s: %s=%s: use %s", opt, it->key, it->val ? it->val : "", use);
}

static struct in_addr ipv4(const char *opt, const struct arg_item *it)
{
    struct in_addr a;

    if (!it->val || inet_pton(AF_INET, it->val, &a) != 1)
        netdev_bad(opt, it, "an address like 10.0.2.2");
    return a;
}

static struct in6_addr ipv6(const char *opt, const struct arg_item *it)
{
    struct in6_addr a;

    if (!it->val || inet_pton(AF_INET6, it->val, &a) != 1)
        netdev_bad(opt, it, "an address like fec0::2");
    return a;
}

static bool port(const char *s, uint16_t *out)
{
    uint64_t n;

    if (!arg_number(s, &n) || n > 65535)
        return false;
    *out = (uint16_t)n;
    return true;
}

bool netdev_addr_port(char *text, struct in_addr *a, uint16_t *p)
{
    char *colon = strrchr(text, ':');

    if (!colon)
        return false;
    *colon = 0;
    return (!*text || inet_pton(AF_INET, text, a) == 1) && port(colon + 1, p);
}

/* NETWORK/BITS or NETWORK/MASK */
static void set_net(struct netdev_arg *a, const struct arg_item *it)
{
    char text[64], *slash;
    uint64_t bits = 0;
    uint32_t mask;

    if (!it->val || strlen(it->val) >= sizeof(text))
        netdev_bad(a->opt, it, "NETWORK/BITS, as in 10.0.2.0/24");
    strcpy(text, it->val);
    slash = strchr(text, '/');
    if (slash)
        *slash++ = 0;
    if (inet_pton(AF_INET, text, &a->user.net) != 1)
        netdev_bad(a->opt, it, "NETWORK/BITS, as in 10.0.2.0/24");
    if (!slash) {               /* as the classes were */
        uint32_t net = ntohl(a->user.net.s_addr);

        mask = !(net >> 31) ? 0xff000000u : net >> 30 == 2 ? 0xffff0000u : 0xffffff00u;
        a->user.mask.s_addr = htonl(mask);
    } else if (arg_number(slash, &bits)) {
        if (bits < 4 || bits > 30)
            netdev_bad(a->opt, it, "4 to 30 bits of network");
        a->user.mask.s_addr = htonl(~(uint32_t)0 << (32 - bits));
    } else if (inet_pton(AF_INET, slash, &a->user.mask) != 1) {
        netdev_bad(a->opt, it, "NETWORK/BITS, as in 10.0.2.0/24");
    }
    a->user.net.s_addr &= a->user.mask.s_addr;
}

bool netdev_parse_forward(const char *val, bool to, struct net_forward *f)
{
    char text[128], *guest;

    f->udp = strncmp(val, "udp:", 4) == 0;
    if (strlen(val) >= sizeof(text) || (!f->udp && strncmp(val, "tcp:", 4) && *val != ':'))
        return false;
    strcpy(text, val + (*val == ':' ? 1 : 4));
    guest = strchr(text, '-');
    if (!guest != !to)
        return false;
    if (guest)
        *guest++ = 0;
    return netdev_addr_port(text, &f->host, &f->host_port) &&
           (!to || (netdev_addr_port(guest, &f->guest, &f->guest_port) && f->guest_port));
}

static void add_forward(struct netdev_arg *a, struct options *o, const struct arg_item *it)
{
    struct net_forward *f = calloc(1, sizeof(*f)), **last = &a->user.forwards;

    if (!f)
        die(EXIT_CODE_HOST, "out of memory");
    if (!it->val || !netdev_parse_forward(it->val, true, f))
        netdev_bad(a->opt, it, "tcp:[ADDRESS]:PORT-[ADDRESS]:PORT (or udp), as in tcp:127.0.0.1:2222-:22");
    f->text = options_keep(o, it->val);
    while (*last)
        last = &(*last)->next;
    *last = f;
}

/* tcp:ADDRESS:PORT-cmd:COMMAND or -unix:PATH */
static void add_service(struct netdev_arg *a, struct options *o, const struct arg_item *it)
{
    static const char use[] = "tcp:ADDRESS:PORT-cmd:COMMAND or tcp:ADDRESS:PORT-unix:PATH";
    struct net_service *s = calloc(1, sizeof(*s));
    char text[64];
    const char *to = it->val ? strchr(it->val, '-') : NULL;

    if (!s)
        die(EXIT_CODE_HOST, "out of memory");
    if (!to || strncmp(it->val, "tcp:", 4) || to - it->val - 4 >= (long)sizeof(text))
        netdev_bad(a->opt, it, use);
    snprintf(text, sizeof(text), "%.*s", (int)(to - it->val - 4), it->val + 4);
    s->text = options_keep(o, it->val);
    to = s->text + (to - it->val) + 1;
    if (strncmp(to, "cmd:", 4) == 0)
        s->command = to + 4;
    else if (strncmp(to, "unix:", 5) == 0)
        s->path = to + 5;
    if (!netdev_addr_port(text, &s->addr, &s->port) || !s->addr.s_addr || !s->port || (!s->command && !s->path))
        netdev_bad(a->opt, it, use);
    s->next = a->user.services;
    a->user.services = s;
}

static void add_search(struct netdev_arg *a, struct options *o, const struct arg_item *it)
{
    unsigned n = 0;

    while (a->user.search[n])
        n++;
    if (n + 1 == sizeof(a->user.search) / sizeof(a->user.search[0]))
        die(EXIT_CODE_USAGE, "%s: dnssearch is given more than %u times", a->opt, n);
    a->user.search[n] = options_keep(o, it->val);
}

/* ---- properties ---- */

/* False: the key is none of user networking's. */
static bool set_user(struct options *o, struct netdev_arg *a, const struct arg_item *it)
{
    const struct { const char *key; const char **to; } texts[] = {
        { "hostname", &a->user.hostname }, { "domainname", &a->user.domain }, { "tftp", &a->user.tftp },
        { "bootfile", &a->user.bootfile }, { "tftp-server-name", &a->user.tftp_name }
    };
    const struct { const char *key; bool *to; } switches[] = {
        { "restrict", &a->user.restricted }, { "ipv4", &a->user.ipv4 }, { "ipv6", &a->user.ipv6 }
    };
    const struct { const char *key; struct in_addr *to; } addrs[] = {
        { "host", &a->user.host }, { "dns", &a->user.dns }, { "dhcpstart", &a->user.dhcp }
    };
    const struct { const char *key; struct in6_addr *to; } addrs6[] = {
        { "ipv6-prefix", &a->user.prefix6 }, { "ipv6-host", &a->user.host6 }, { "ipv6-dns", &a->user.dns6 }
    };
    const char *key = it->key;
    uint64_t n;

    for (unsigned i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (strcmp(key, texts[i].key))
            continue;
        if (!it->val || !*it->val)
            netdev_bad(a->opt, it, "a text");
        *texts[i].to = options_keep(o, it->val);
        return true;
    }
    for (unsigned i = 0; i < 3; i++) {
        if (strcmp(key, switches[i].key) == 0)
            *switches[i].to = arg_bool(a->opt, key, it->val);
        else if (strcmp(key, addrs[i].key) == 0)
            *addrs[i].to = ipv4(a->opt, it);
        else if (strcmp(key, addrs6[i].key) == 0)
            *addrs6[i].to = ipv6(a->opt, it);
        else
            continue;
        return true;
    }
    if (strcmp(key, "net") == 0) {
        set_net(a, it);
    } else if (strcmp(key, "hostfwd") == 0) {
        add_forward(a, o, it);
    } else if (strcmp(key, "guestfwd") == 0) {
        add_service(a, o, it);
    } else if (strcmp(key, "dnssearch") == 0 && it->val) {
        add_search(a, o, it);
    } else if (strcmp(key, "ipv6-prefixlen") == 0) {
        if (!it->val || !arg_number(it->val, &n) || n > 126)
            netdev_bad(a->opt, it, "a number from 0 to 126");
        a->user.prefix6_len = (uint8_t)n;
    } else {
        return false;
    }
    return true;
}

static bool set_tap(struct options *o, struct netdev_arg *a, const struct arg_item *it)
{
    uint64_t n;

    if (strcmp(it->key, "ifname") == 0 && it->val) {
        a->tap.ifname = options_keep(o, it->val);
    } else if (strcmp(it->key, "fd") == 0) {
        if (!it->val || !arg_number(it->val, &n) || n > 1 << 20)
            netdev_bad(a->opt, it, "the number of an open descriptor");
        a->tap.fd = (int)n;
    } else if (strcmp(it->key, "vnet_hdr") == 0 && it->val) {
        a->tap.whole = !arg_bool(a->opt, it->key, it->val);
    } else if (strcmp(it->key, "script") == 0 || strcmp(it->key, "downscript") == 0) {
        /* Nothing is run as another user would have to: the interface is configured by who made it. */
        if (!it->val || strcmp(it->val, "no"))
            netdev_bad(a->opt, it, "no: scripts are not run, configure the interface before");
    } else {
        return false;
    }
    return true;
}

/* What depends on what else was given. */
static void complete(struct netdev_arg *a)
{
    struct net_user_config *u = &a->user;
    const struct { const char *key; struct in_addr *to; uint32_t host; } addrs[] = {
        { "host", &u->host, 2 }, { "dns", &u->dns, 3 }, { "dhcpstart", &u->dhcp, 15 }
    };

    for (unsigned i = 0; a->kind == NETDEV_USER && i < 3; i++) {
        if (!addrs[i].to->s_addr)
            addrs[i].to->s_addr = u->net.s_addr | htonl(addrs[i].host & ~ntohl(u->mask.s_addr));
        if ((addrs[i].to->s_addr ^ u->net.s_addr) & u->mask.s_addr)
            die(EXIT_CODE_USAGE, "%s: %s=%s: not an address of the guest's network: see net=", a->opt,
                addrs[i].key,
                inet_ntoa(*addrs[i].to));
    }
    if (a->kind == NETDEV_USER && !u->ipv4 && !u->ipv6)
        die(EXIT_CODE_USAGE, "%s: with ipv4=off and ipv6=off nothing is left", a->opt);
    if (a->kind >= NETDEV_SOCKET)
        netsock_complete(a);
}

static const char *const keys[] = {
    [NETDEV_USER] = "restrict, net, host, dns, dhcpstart, hostname, domainname, dnssearch, tftp, "
                    "tftp-server-name, bootfile, hostfwd, guestfwd, ipv4, ipv6, ipv6-prefix, ipv6-prefixlen, "
                    "ipv6-host or ipv6-dns",
    [NETDEV_TAP] = "ifname, script=no, downscript=no or fd",
    [NETDEV_SOCKET] = "listen, connect, udp, mcast or localaddr",
    [NETDEV_STREAM] = "server, addr.type, addr.host, addr.port, addr.path or addr.str",
    [NETDEV_DGRAM] = "local.type, local.host, local.port, local.path, local.str, or the same with remote",
    [NETDEV_NONE] = "id",
};

static struct netdev_arg *new_netdev(struct options *o, const char *opt, const char *kind)
{
    static const char *const names[] = {
        [NETDEV_NONE] = "none", [NETDEV_USER] = "user", [NETDEV_TAP] = "tap", [NETDEV_SOCKET] = "socket",
        [NETDEV_STREAM] = "stream", [NETDEV_DGRAM] = "dgram"
    };
    struct netdev_arg *a = calloc(1, sizeof(*a)), **last = &o->netdevs;

    if (!a)
        die(EXIT_CODE_HOST, "out of memory");
    a->opt = opt;
    for (a->kind = 0; strcmp(kind, names[a->kind]);)
        if (++a->kind == sizeof(names) / sizeof(names[0]))
            die(EXIT_CODE_USAGE, "%s: there is no kind of network '%s': use %s", opt, kind, KINDS);
    a->tap.fd = -1;
    a->user.ipv4 = a->user.ipv6 = true;
    inet_pton(AF_INET, "10.0.2.0", &a->user.net);
    inet_pton(AF_INET, "255.255.255.0", &a->user.mask);
    inet_pton(AF_INET6, "fec0::", &a->user.prefix6);
    inet_pton(AF_INET6, "fec0::2", &a->user.host6);
    inet_pton(AF_INET6, "fec0::3", &a->user.dns6);
    a->user.prefix6_len = 64;
    while (*last)
        last = &(*last)->next;
    *last = a;
    return a;
}

static bool set_nic(struct options *o, struct nic_arg *nic, const struct arg_item *it)
{
    unsigned b[6];
    char tail;

    if (strcmp(it->key, "model") == 0 && it->val) {
        nic->model = check_model(nic->opt, it->val);
    } else if (strcmp(it->key, "mac") == 0 || strcmp(it->key, "macaddr") == 0) {
        if (!it->val || sscanf(it->val, "%2x:%2x:%2x:%2x:%2x:%2x%c", &b[0], &b[1], &b[2], &b[3], &b[4], &b[5],
                               &tail) != 6)
            netdev_bad(nic->opt, it, "an address like 52:54:00:12:34:56");
        if (b[0] & 1)
            netdev_bad(nic->opt, it, "an address of one chip: the first byte is even");
        for (unsigned i = 0; i < 6; i++)
            nic->mac[i] = (uint8_t)b[i];
    } else if (strcmp(it->key, "addr") == 0 && it->val) {
        nic->addr = options_keep(o, it->val);
    } else {
        return false;
    }
    return true;
}

/* The rest of the list: properties of the network, and of the chip where there is one. */
static void set_all(struct options *o, struct netdev_arg *a, struct nic_arg *nic, const char *p)
{
    struct arg_item it;

    while (arg_next(&p, &it)) {
        bool ok = (nic && set_nic(o, nic, &it)) || (a->kind == NETDEV_USER && set_user(o, a, &it)) ||
                  (a->kind == NETDEV_TAP && set_tap(o, a, &it)) ||
                  (a->kind >= NETDEV_SOCKET && netsock_set(o, a, &it));

        if (!ok && it.val && strcmp(it.key, "id") == 0) {
            a->net.id = options_keep(o, it.val);
            ok = true;
        }
        if (!ok)
            die(EXIT_CODE_USAGE, "%s: unknown property '%s%s%s': use %s%s", a->opt, it.key, it.val ? "=" : "",
                it.val ? it.val : "", nic ? "model, mac, addr, id, " : "id, ", keys[a->kind]);
    }
    complete(a);
}

static struct nic_arg *new_nic(struct options *o, const char *opt)
{
    struct nic_arg *n = calloc(1, sizeof(*n)), **last = &o->nics;

    if (!n)
        die(EXIT_CODE_HOST, "out of memory");
    n->opt = opt;
    while (*last)
        last = &(*last)->next;
    *last = n;
    return n;
}

/* ---- the options ---- */

void opt_netdev(struct options *o, const char *opt, const char *val)
{
    struct netdev_arg *a;
    struct arg_item it;

    val = options_list(o, opt, val, "type");
    if (!arg_next(&val, &it) || arg_is_help(it.key)) {
        printf("Kinds of networks: user tap socket stream dgram\n");
        exit(0);
    }
    o->net_given = true;
    a = new_netdev(o, opt, it.val ? it.val : it.key);
    if (a->kind == NETDEV_NONE)
        die(EXIT_CODE_USAGE, "%s: there is no kind of network 'none' here: use -nic none for no chip", opt);
    set_all(o, a, NULL, val);
    if (!a->net.id)
        die(EXIT_CODE_USAGE, "%s: needs id=NAME, which -device NAME,netdev= speaks of", opt);
}

void opt_nic(struct options *o, const char *opt, const char *val)
{
    struct netdev_arg *a;
    struct nic_arg *nic;
    struct arg_item it;

    o->net_given = true;
    if (!arg_next(&val, &it) || arg_is_help(it.key)) {
        printf("Kinds of networks: user tap socket stream dgram none\n");
        list_models();
    }
    if (strcmp(it.key, "none") == 0 && !*val)
        return;
    /* -nic model=..., as it is given to ask for the models */
    if (it.val && strcmp(it.key, "model") == 0)
        check_model(opt, it.val);
    a = new_netdev(o, opt, it.val && strcmp(it.key, "type") == 0 ? it.val : it.key);
    nic = new_nic(o, opt);
    nic->netdev = a;
    a->taken = true;
    set_all(o, a, nic, val);
}

/* The classic pair: -net nic,... and -net user,...: one network for both. */
void opt_net(struct options *o, const char *opt, const char *val)
{
    struct nic_arg *nic;
    struct arg_item it;

    o->net_given = true;
    if (!arg_next(&val, &it) || arg_is_help(it.key)) {
        printf("-net nic,model=NAME adds a chip; -net user, tap or socket what it is on\n");
        exit(0);
    }
    if (strcmp(it.key, "nic")) {
        if (strcmp(it.key, "none"))
            set_all(o, new_netdev(o, opt, it.key), NULL, val);
        return;
    }
    nic = new_nic(o, opt);
    nic->by_net = true;
    while (arg_next(&val, &it)) {
        if (set_nic(o, nic, &it))
            continue;
        if (it.val && strcmp(it.key, "netdev") == 0)
            nic->netdev_id = options_keep(o, it.val);
        else if (it.val && (strcmp(it.key, "name") == 0 || strcmp(it.key, "id") == 0))
            nic->id = options_keep(o, it.val);
        else
            die(EXIT_CODE_USAGE, "%s nic: unknown property '%s': use model, macaddr, netdev, addr or name",
                opt, it.key);
    }
}

/* ---- captures ---- */

struct dump_arg {
    const char *opt, *id, *netdev, *file;
    uint32_t max;
    struct dump_arg *next;
};

bool options_dump_called(const struct options *o, const char *id)
{
    for (const struct dump_arg *d = o->dumps; d; d = d->next)
        if (d->id && strcmp(d->id, id) == 0)
            return true;
    return false;
}

void options_add_dump(struct options *o, const char *opt, const char *val)
{
    struct dump_arg *d = calloc(1, sizeof(*d));
    const char *id = NULL;
    struct arg_item it;
    uint64_t n;

    if (!d)
        die(EXIT_CODE_HOST, "out of memory");
    *d = (struct dump_arg){ .opt = opt, .max = 65536, .next = o->dumps };
    o->dumps = d;
    while (arg_next(&val, &it)) {
        if (it.val && strcmp(it.key, "netdev") == 0)
            d->netdev = options_keep(o, it.val);
        else if (it.val && strcmp(it.key, "file") == 0)
            d->file = options_keep(o, it.val);
        else if (it.val && strcmp(it.key, "maxlen") == 0 && arg_number(it.val, &n) && n > 0 &&
                 n <= UINT32_MAX)
            d->max = (uint32_t)n;
        else if (it.val && strcmp(it.key, "id") == 0)
            id = options_keep(o, it.val);
        else if (strcmp(it.key, "filter-dump") && strcmp(it.key, "qom-type"))
            die(EXIT_CODE_USAGE, "%s filter-dump: %s%s%s: use id=, netdev=, file= or maxlen=BYTES", opt,
                it.key,
                it.val ? "=" : "", it.val ? it.val : "");
    }
    if (id && options_object_called(o, id))
        die(EXIT_CODE_USAGE, "%s filter-dump: there is an object of id=%s already: take another", opt, id);
    if (!d->netdev || !d->file)
        die(EXIT_CODE_USAGE, "%s filter-dump: needs netdev=ID and file=PATH", opt);
    d->id = id;
}

/* ---- what they make ---- */

static void name_netdevs(struct options *o)
{
    unsigned n = 0;

    for (struct netdev_arg *a = o->netdevs; a; a = a->next, n++) {
        if (!a->net.id) {
            snprintf(a->name, sizeof(a->name), "net%u", n);
            a->net.id = a->name;
        }
        if (netdev_find(o->netdevs, a->net.id) != a)
            die(EXIT_CODE_USAGE, "%s: there are two networks with id=%s", a->opt, a->net.id);
    }
}

static void set_dumps(struct options *o)
{
    for (struct dump_arg *d = o->dumps, *next; d; d = next) {
        struct netdev_arg *a = netdev_find(o->netdevs, d->netdev);

        if (!a || a->kind == NETDEV_NONE)
            die(EXIT_CODE_USAGE, "%s filter-dump: there is no network with id=%s", d->opt, d->netdev);
        if (a->dump)
            die(EXIT_CODE_USAGE, "%s filter-dump: network %s goes to a file already", d->opt, d->netdev);
        a->dump = d->file;
        a->dump_max = d->max;
        next = d->next;
        free(d);
    }
    o->dumps = NULL;
}

/* -net user and the like have no names: the n-th is for the n-th -net nic. */
static struct netdev_arg *next_of_net(struct options *o)
{
    for (struct netdev_arg *a = o->netdevs; a; a = a->next) {
        if (!a->taken && strncmp(a->opt + strspn(a->opt, "-"), "net", 4) == 0) {
            a->taken = true;
            return a;
        }
    }
    return NULL;
}

static void set_prop(struct plug_use *use, const char *name, const void *val, size_t len)
{
    memcpy((uint8_t *)use->props + plug_prop(use->plug, name)->offset, val, len);
}

static void make_nic(struct options *o, struct nic_arg *n)
{
    const struct plug *plug = find_model(n->model ? n->model : DEFAULT_MODEL);
    struct plug_use *use = plug_use_new(plug);
    const struct plug_names none = { 0 };
    char why[200];

    if (n->netdev_id) {
        n->netdev = netdev_find(o->netdevs, n->netdev_id);
        if (!n->netdev)
            die(EXIT_CODE_USAGE, "%s nic: there is no -netdev with id=%s", n->opt, n->netdev_id);
    } else if (n->by_net) {
        n->netdev = next_of_net(o);
        if (!n->netdev)
            arg_note("%s nic: the chip is on no network: -net user gives it one", n->opt);
    }
    use->props->id = n->id;
    if (n->addr && !plug_set(use, plug_prop(plug, "addr"), n->addr, &none, why, sizeof(why)))
        die(EXIT_CODE_USAGE, "%s: addr=%s: %s", n->opt, n->addr, why);
    if (n->netdev && n->netdev->kind != NETDEV_NONE)
        set_prop(use, "netdev", &(struct net *){ &n->netdev->net }, sizeof(struct net *));
    set_prop(use, "mac", n->mac, sizeof(n->mac));
    options_add_device(o, use);
}

void options_nics(struct options *o)
{
    bool pc = o->cfg.board->firmware;

    if (!o->net_given && !o->nodefaults && pc)
        opt_nic(o, "-nic", "user");
    name_netdevs(o);
    set_dumps(o);
    for (struct nic_arg *n = o->nics, *next; n; n = next) {
        next = n->next;
        make_nic(o, n);
        free(n);
    }
    o->nics = NULL;
}

static uint8_t *mac_of(const struct plug_use *use)
{
    const struct prop *p = plug_prop(use->plug, "mac");

    return p && p->type == PROP_MAC ? (uint8_t *)use->props + p->offset : NULL;
}

static bool mac_taken(const struct options *o, const uint8_t *mac)
{
    for (const struct plug_use *use = o->devices; use; use = use->next)
        if (mac_of(use) && memcmp(mac_of(use), mac, 6) == 0)
            return true;
    return false;
}

void options_macs(struct options *o)
{
    static const uint8_t none[6];
    uint8_t mac[6] = { 0x52, 0x54, 0x00, 0x12, 0x34, 0x56 };

    for (struct plug_use *use = o->devices; use; use = use->next) {
        if (!mac_of(use) || memcmp(mac_of(use), none, 6))
            continue;
        while (mac_taken(o, mac))
            mac[5]++;
        memcpy(mac_of(use), mac, 6);
    }
}
