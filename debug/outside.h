/*
 * outside.h - what monitors need of the machine's outside: the media in its drives, its networks, streams and
 * screen, which the command line named and main has. main/outside.c fills it in, m->outside; tests may have
 * none (NULL).
 *
 * All of it is for the event loop's thread with the device lock held. Functions that can fail return false
 * with what failed, and what to do, in err.
 */
#ifndef DEBUG_OUTSIDE_H
#define DEBUG_OUTSIDE_H

#include <time.h>

#include "hw/disk_if.h"
#include "hw/machine.h"
#include "hw/net_if.h"

struct block;
struct board;
struct screen;
struct vnc_peer;

struct outside_drive {
    struct drive *drive;
    const char *file;           /* NULL: no medium */
    const char *iface;          /* "ide", "floppy", "none", ... */
    char place[16];             /* by its place, as QEMU calls it: "ide1-cd0", "floppy0"; "" for none */
    const char *cache;          /* "writeback", ... */
    bool snapshot;              /* what is written goes away */
    bool node;                  /* of -blockdev: its id is that of the image, and the drive has no name to QMP's clients */
    bool taken;                 /* the file of a format that is another node: nothing of its own to show */
    bool stops;                 /* there are errors of it that stop the machine */
    bool removable;             /* media of it can be changed */
    struct block *block;        /* the image, NULL: no medium */
};

struct outside_net {
    struct net *net;
    const char *kind, *what;    /* "user", "tap", "socket"; "net=10.0.2.0, restrict=off" */
};

struct outside_chardev {
    const char *id, *spec;
    bool open;                  /* somebody is there */
};

/* Of -vnc, or in force. */
struct outside_vnc {
    const char *address;        /* "127.0.0.1:5900", NULL: there is none */
    bool password;
    unsigned clients;
};

enum outside_medium { MEDIUM_RETAIN, MEDIUM_READ_ONLY, MEDIUM_READ_WRITE };

struct outside {
    /* The n-th. False: there are no more. */
    bool (*drive)(struct machine *, unsigned n, struct outside_drive *);
    bool (*net)(struct machine *, unsigned n, struct outside_net *);
    bool (*chardev)(struct machine *, unsigned n, struct outside_chardev *);
    const char *(*chardev_kind)(unsigned n);            /* of -chardev; NULL: there are no more */
    char *(*connections)(struct machine *, struct net *);       /* of a user network, in lines (free()); NULL: it is none */
    /* An image for that drive, not in it yet; format NULL: by its first bytes. NULL: err says why. */
    struct disk *(*open)(struct machine *, struct drive *, const char *file, const char *format,
                         enum outside_medium, char *err, size_t len);
    /* It takes the place of what was there, which is closed when all that is under way is done; the device is
       told. disk NULL: nothing does. */
    void (*put)(struct machine *, struct drive *, struct disk *, const char *file);
    void (*close)(struct machine *, struct disk *);     /* of open(), not put anywhere */
    /* The images that the guest can write are ours, locked, or another Latimer's (main/drives.h, drives_turn()). */
    bool (*disks)(struct machine *, bool ours, char *err, size_t len);
    /* The medium of a drive that no device has into one that is empty; its device is told. */
    void (*move)(struct machine *, struct drive *from, struct drive *to);
    /* A drive that no device has, more or less: what -drive says of it or, node, -blockdev. */
    bool (*add)(struct machine *, const char *text, bool node, char *err, size_t len);
    bool (*remove)(struct machine *, struct drive *, char *err, size_t len);
    bool (*resize)(struct machine *, struct drive *, uint64_t size, char *err, size_t len);
    /* "tcp:[ADDRESS]:PORT-[ADDRESS]:PORT"; to take one away, "tcp:[ADDRESS]:PORT". NULL: the first user
     * network. */
    bool (*hostfwd)(struct machine *, const char *id, bool add, const char *text, char *err, size_t len);
    void (*plug)(struct machine *, struct net *, bool in);      /* its cable, into the chip or out of it */
    void (*announce)(struct machine *, struct net *);          /* where its chip is now (net_announce()) */
    struct screen *(*screen)(struct machine *);
    void (*vnc)(struct machine *, struct outside_vnc *);
    bool (*vnc_client)(struct machine *, unsigned n, struct vnc_peer *);        /* as vnc_client() (host/displays.h) */
    /* Of clients that come from now on; when: seconds since the epoch, 0: never. False: the server asks for none. */
    bool (*vnc_password)(struct machine *, const char *password);
    bool (*vnc_expire)(struct machine *, time_t when);
    /* A memory backend more or less (m->memdevs), as -object takes it, as a list or as JSON. */
    bool (*object_add)(struct machine *, const char *text, char *err, size_t len);
    bool (*object_del)(struct machine *, const char *id, char *err, size_t len);
    const struct board *(*board)(unsigned n);           /* the kinds of machine; NULL: no more */
    /* The n-th option of the command line: its names, parted by blanks, and its usage (NULL: it has no value). */
    bool (*option)(unsigned n, const char **names, const char **usage);
    /* What is done from now on (-action): event "watchdog", "panic", "reboot" or "shutdown". */
    bool (*action)(struct machine *, const char *event, const char *what, char *err, size_t len);
    unsigned max_cpus;
    int (*thread_id)(struct machine *, unsigned cpu);   /* the host's number of its thread */
    const char *(*name)(struct machine *);      /* -name, "" for none */
};

/*
 * What QEMU's clients call the device that has the drive: its id, or its path among the objects (qmp_types.c), of which virtio's
 * have one more part; of the machine's own controllers the drive's place; else its id.
 */
void outside_device(struct machine *, const struct outside_drive *, char *buf, size_t len);
/* The drive of that id, or whose device has it, or is called so by outside_device(). False: err says so. */
bool outside_find_drive(struct machine *, const char *id, struct outside_drive *, char *err, size_t len);
bool outside_find_net(struct machine *, const char *id, struct outside_net *, char *err, size_t len);

#endif
