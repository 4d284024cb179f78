/*
 * migrate.h - a machine goes elsewhere while it runs: its memory is sent, then what was written meanwhile, and so on until
 * little is left; then it stops here, the rest follows, and it goes on there. The stream is a snapshot's (snap_file.h).
 *
 * Disks: both sides have the same images (a shared folder); whose turn it is has the locks on them. Or the stream
 * takes their contents along (`disks`).
 *
 * Event loop's thread with the device lock held once, as its callbacks have it. Functions that can fail return false
 * with what is in the way, and what to do, in err.
 */
#ifndef DEBUG_MIGRATE_H
#define DEBUG_MIGRATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct machine;

/* X(name, QMP's name of it) */
#define MIGRATE_STATES(X)                                                                                       \
    X(NONE, "none") X(SETUP, "setup") X(ACTIVE, "active") X(DEVICE, "device") X(CANCELLING, "cancelling")       \
    X(CANCELLED, "cancelled") X(COMPLETED, "completed") X(FAILED, "failed")
enum migrate_state {
#define X(name, text) MIGRATE_##name,
    MIGRATE_STATES(X)
#undef X
};
const char *migrate_state_name(enum migrate_state);

#define MIGRATE_DOWNTIME_MAX 2000000u
struct migrate_limits {
    uint64_t bandwidth;         /* bytes a second; 0: none */
    unsigned downtime;          /* ms: the machine stops when the rest takes no longer, as far as one can tell */
    bool events;                /* QMP clients hear of each state and pass */
};

/* How far the last one is, or got. */
struct migrate_status {
    enum migrate_state state;
    const char *error;          /* FAILED */
    bool incoming;
    uint64_t total_ms, setup_ms, downtime_ms;   /* downtime: expected, until it is COMPLETED */
    uint64_t ram, sent, left;   /* bytes: of memory, of the stream, of memory that is still to be sent */
    uint64_t pages, zero_pages, passes, dirty_rate;     /* sent; passes begun; pages written a second */
    double mbps;                /* of the last pass */
};

/* m->migration, before the monitors. */
void migrate_new(struct machine *);
/* What is under way is broken off. */
void migrate_free(struct machine *);

/* Begins, in a thread of its own. */
bool migrate_start(struct machine *, const char *uri, bool disks, char *err, size_t len);
/* Nothing happens where none is under way. The machine goes on here. */
void migrate_cancel(struct machine *);
/* Tells all networks where the machine is now, as when it has come. */
void migrate_announce(struct machine *);
/* Nothing may change what the machine is meanwhile, as loading a snapshot does. */
bool migrate_active(const struct machine *);
/* It is elsewhere, or nobody knows: only migrate_cont() takes it back. */
bool migrate_gone(const struct machine *);
void migrate_query(struct machine *, struct migrate_status *);
struct migrate_limits *migrate_limits(struct machine *);
/* done(arg) is called once it is no longer under way. */
void migrate_when_done(struct machine *, void (*done)(void *arg), void *arg);

/*
 * The machine, which has not run yet (RUN_INMIGRATE), becomes the one that comes from there. uri "defer": that is said
 * later. Who cannot be taken from a listening socket is told so, and the next is waited for; from elsewhere, it ends
 * Latimer (EXIT_CODE_FILE).
 */
bool migrate_receive(struct machine *, const char *uri, char *err, size_t len);

/* control_cont(), where it may be: not while the rest of it is being sent; one that waits to come runs when it has. */
bool migrate_cont(struct machine *, char *err, size_t len);

#endif
