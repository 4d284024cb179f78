/*
 * memdev.h - memory backends: memory of the host that can be a machine's RAM, made of nothing, of a file, or of a memfd.
 *
 * Which properties each class has is said once, in memdev.c's table, for the command line, QMP and the human monitor. Sequence:
 * memdev_new(), memdev_set() for each property, memdev_open(); then `lent` is what phys_ram_lend() takes. The memory is there
 * until memdev_free(). mmap(2), memfd_create(2), mbind(2); properties and their defaults as in QEMU 7.2.
 */
#ifndef HOST_MEMDEV_H
#define HOST_MEMDEV_H

#include "softmmu/softmmu.h"

#define MEMDEV_NODES 128        /* of the host's nodes, at most */

enum memdev_class { MEMDEV_RAM, MEMDEV_FILE, MEMDEV_MEMFD, MEMDEV_CLASSES };
enum memdev_policy { MEMDEV_DEFAULT, MEMDEV_PREFERRED, MEMDEV_BIND, MEMDEV_INTERLEAVE };
enum memdev_choice { MEMDEV_UNSAID, MEMDEV_OFF, MEMDEV_ON };

enum memdev_type {
    MEMDEV_BOOL,                /* bool */
    MEMDEV_CHOICE,              /* enum memdev_choice: a bool that may be left open */
    MEMDEV_SIZE,                /* uint64_t bytes */
    MEMDEV_TEXT,                /* char *, owned */
    MEMDEV_POLICY,              /* enum memdev_policy */
    MEMDEV_NODE_SET,            /* uint64_t[MEMDEV_NODES / 64] */
};

struct memdev_prop {
    const char *name;
    unsigned classes;           /* bit: enum memdev_class */
    enum memdev_type type;
    size_t offset;              /* of the member */
    const char *help;
};

struct memdev {
    enum memdev_class class;
    char *id;
    uint64_t size;              /* 0: not said */
    char *path;                 /* mem-path; NULL: not said */
    uint64_t align, huge_size;  /* 0: the host's choice */
    bool share, prealloc, merge, readonly, discard, huge, seal, canonical;
    enum memdev_choice dump, reserve;   /* unsaid: on; where pages are huge */
    enum memdev_policy policy;
    uint64_t nodes[MEMDEV_NODES / 64];
    struct memdev *next;
    /* memdev_open() */
    struct phys_lent lent;      /* p NULL: not open */
    int fd;
    bool reserved;              /* the host has set it aside */
    bool used;                  /* a machine has it: it must stay */
};

/* "memory-backend-ram" and so on, and what it is. */
const char *memdev_class_name(enum memdev_class);
const char *memdev_class_help(enum memdev_class);
/* MEMDEV_CLASSES: there is none of that name. */
enum memdev_class memdev_class_find(const char *name);
/* The n-th property of a class; NULL behind the last. The one of that name; NULL: it has none. */
const struct memdev_prop *memdev_prop_nth(enum memdev_class, unsigned n);
const struct memdev_prop *memdev_prop_find(enum memdev_class, const char *name);
const char *memdev_policy_name(enum memdev_policy);

struct memdev *memdev_new(enum memdev_class, const char *id);
/* val: as on the command line; NULL: on. Nodes add up. False: err says what is wrong with it. */
bool memdev_set(struct memdev *, const struct memdev_prop *, const char *val, char *err, size_t len);
/*
 * Take the memory from the host. 0, or the exit code that goes with it (EXIT_CODE_USAGE, EXIT_CODE_FILE, EXIT_CODE_HOST): err says
 * what cannot be had, why, and what to do. A file that was made for it is gone then.
 */
int memdev_open(struct memdev *, char *err, size_t len);
/* Give it back; a file keeps what was written to it, unless discard-data=on. NULL is allowed. */
void memdev_free(struct memdev *);
/* The one of that id; NULL: there is none. */
struct memdev *memdev_find(struct memdev *list, const char *id);

#endif
