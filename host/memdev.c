/*
 * memdev.c - see memdev.h: the classes and their properties.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE            /* fallocate() */
#endif
#include "host/memdev.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/size.h"
#include "host/memdev_int.h"
#include "hw/plug.h"

#define RAM   (1u << MEMDEV_RAM)
#define FILE_ (1u << MEMDEV_FILE)
#define MEMFD (1u << MEMDEV_MEMFD)
#define ALL   (RAM | FILE_ | MEMFD)

static const struct { const char *name, *help; } classes[MEMDEV_CLASSES] = {
    [MEMDEV_RAM] = { "memory-backend-ram", "memory of the host without a name" },
    [MEMDEV_FILE] = { "memory-backend-file", "a file, or one without a name in a folder" },
    [MEMDEV_MEMFD] = { "memory-backend-memfd", "a memfd, for who is given its descriptor" },
};

#define PROP(member) offsetof(struct memdev, member)
static const struct memdev_prop props[] = {
    { "size", ALL, MEMDEV_SIZE, PROP(size), "bytes, or with suffix K, M, G or T" },
    { "mem-path", FILE_, MEMDEV_TEXT, PROP(path), "the file, made where there is none; or a folder" },
    { "share", ALL, MEMDEV_BOOL, PROP(share), "on: what the guest writes is in the file, and seen by "
                                              "others who map it" },
    { "readonly", FILE_, MEMDEV_BOOL, PROP(readonly), "on: the file is opened for reading, and the memory "
                                                      "cannot be a machine's" },
    { "discard-data", FILE_, MEMDEV_BOOL, PROP(discard), "on: what is in the file is thrown away at the end" },
    { "align", FILE_, MEMDEV_SIZE, PROP(align), "a power of two that its address in this process is a multiple of" },
    { "hugetlb", MEMFD, MEMDEV_BOOL, PROP(huge), "on: of the host's huge pages" },
    { "hugetlbsize", MEMFD, MEMDEV_SIZE, PROP(huge_size), "with hugetlb=on: how large these are" },
    { "seal", MEMFD, MEMDEV_BOOL, PROP(seal), "off: who has its descriptor can change its size" },
    { "prealloc", ALL, MEMDEV_BOOL, PROP(prealloc), "on: taken from the host at once, not when it is used" },
    { "policy", ALL, MEMDEV_POLICY, PROP(policy), "which of the host's nodes it comes from: default, "
                                                  "preferred, bind or interleave" },
    { "host-nodes", ALL, MEMDEV_NODE_SET, PROP(nodes), "the nodes of policy=: N or N-N, may be given several times" },
    { "dump", ALL, MEMDEV_CHOICE, PROP(dump), "off: not in a core file of this process" },
    { "merge", ALL, MEMDEV_BOOL, PROP(merge), "off: the host does not look for equal pages" },
    { "reserve", ALL, MEMDEV_CHOICE, PROP(reserve), "whether huge pages are set aside; other memory is not" },
    { "x-use-canonical-path-for-ramblock-id", ALL, MEMDEV_BOOL, PROP(canonical),
        "has no effect: snapshots do not name backends" },
};
#undef PROP

static const char *const policies[] = {
    [MEMDEV_DEFAULT] = "default", [MEMDEV_PREFERRED] = "preferred", [MEMDEV_BIND] = "bind",
    [MEMDEV_INTERLEAVE] = "interleave"
};

const char *memdev_class_name(enum memdev_class class)
{
    return classes[class].name;
}

const char *memdev_class_help(enum memdev_class class)
{
    return classes[class].help;
}

enum memdev_class memdev_class_find(const char *name)
{
    enum memdev_class c = 0;

    while (c < MEMDEV_CLASSES && strcmp(classes[c].name, name))
        c++;
    return c;
}

const struct memdev_prop *memdev_prop_nth(enum memdev_class class, unsigned n)
{
    for (unsigned i = 0; i < sizeof(props) / sizeof(props[0]); i++)
        if (props[i].classes >> class & 1 && !n--)
            return &props[i];
    return NULL;
}

const struct memdev_prop *memdev_prop_find(enum memdev_class class, const char *name)
{
    const struct memdev_prop *p;

    for (unsigned i = 0; (p = memdev_prop_nth(class, i)) && strcmp(p->name, name); i++)
        ;
    return p;
}

const char *memdev_policy_name(enum memdev_policy policy)
{
    return policies[policy];
}

/* ---- one of them ---- */

static void *must(void *p)
{
    if (!p)
        die(EXIT_CODE_HOST, "out of memory for a memory backend");
    return p;
}

struct memdev *memdev_new(enum memdev_class class, const char *id)
{
    struct memdev *d = must(calloc(1, sizeof(*d)));

    d->class = class;
    d->id = must(strdup(id));
    d->fd = d->lent.fd = -1;
    d->seal = true;
    d->share = class == MEMDEV_MEMFD;
    return d;
}

void memdev_free(struct memdev *d)
{
    if (!d)
        return;
    /* By the descriptor: madvise() is taken for a hint by some (user-mode emulators). */
    if (d->discard && d->lent.fd >= 0 &&
        fallocate(d->lent.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, (off_t)d->lent.len) < 0)
        fprintf(stderr, "latimer: discard-data=on: %s keeps what is in it: %s\n", d->path, strerror(errno));
    memdev_close(d);
    free(d->path);
    free(d->id);
    free(d);
}

struct memdev *memdev_find(struct memdev *list, const char *id)
{
    while (list && strcmp(list->id, id))
        list = list->next;
    return list;
}

/* ---- properties ---- */

bool memdev_wrong(struct memdev_error *e, int code, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(e->text, e->len, fmt, ap);
    va_end(ap);
    e->code = code;
    return false;
}

/* "0-2". */
static bool add_nodes(uint64_t *set, const char *val)
{
    char *end;
    unsigned long from, to;

    if (*val < '0' || *val > '9')
        return false;
    from = to = strtoul(val, &end, 10);
    if (*end == '-' && end[1] >= '0' && end[1] <= '9')
        to = strtoul(end + 1, &end, 10);
    if (*end || from > to || to >= MEMDEV_NODES)
        return false;
    for (; from <= to; from++)
        set[from / 64] |= (uint64_t)1 << from % 64;
    return true;
}

static bool set_policy(enum memdev_policy *to, const char *val)
{
    for (unsigned i = 0; i < sizeof(policies) / sizeof(policies[0]); i++) {
        if (strcmp(policies[i], val))
            continue;
        *to = i;
        return true;
    }
    return false;
}

static void set_text(char **to, const char *val)
{
    free(*to);
    *to = must(strdup(val));
}

bool memdev_set(struct memdev *d, const struct memdev_prop *p, const char *val, char *err, size_t len)
{
    static const char *const wanted[] = {
        [MEMDEV_BOOL] = "on or off", [MEMDEV_CHOICE] = "on or off",
        [MEMDEV_SIZE] = "a number of bytes, or one with suffix K, M, G or T",
        [MEMDEV_TEXT] = "a path", [MEMDEV_POLICY] = "default, preferred, bind or interleave",
        [MEMDEV_NODE_SET] = "a node's number up to 127, or FIRST-LAST"
    };
    void *at = (char *)d + p->offset;
    bool ok = true, on = true;

    if (!val && p->type > MEMDEV_CHOICE)
        ok = false;
    else switch (p->type) {
    case MEMDEV_BOOL:
        ok = !val || plug_bool(at, val);
        *(bool *)at |= !val;
        break;
    case MEMDEV_CHOICE:
        ok = !val || plug_bool(&on, val);
        *(enum memdev_choice *)at = on ? MEMDEV_ON : MEMDEV_OFF;
        break;
    case MEMDEV_SIZE:     ok = size_parse(val, 0, at); break;
    case MEMDEV_TEXT:     set_text(at, val); break;
    case MEMDEV_POLICY:   ok = set_policy(at, val); break;
    case MEMDEV_NODE_SET: ok = add_nodes(at, val); break;
    }
    if (!ok)
        snprintf(err, len, "%s=%.100s: use %s", p->name, val ? val : "", wanted[p->type]);
    return ok;
}
