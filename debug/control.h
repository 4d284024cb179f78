/*
 * control.h - run control: whether the machine runs, why it stands still, and who is told when that changes.
 *
 * Debugger, monitors and snapshots all stop and continue the machine here, so that each learns what the others did. A
 * machine that stands still has no vCPU in translated code, and virtual time stands, too; device threads (disks)
 * may still finish what was begun.
 *
 * Functions are for the event loop's thread with the device lock held once (as its callbacks have it), except where
 * they say more.
 */
#ifndef DEBUG_CONTROL_H
#define DEBUG_CONTROL_H

#include <stdbool.h>

#include "hw/machine.h"

/* X(name, QMP's name of it) */
#define RUN_STATES(X)                                                                                           \
    X(RUNNING, "running") X(PRELAUNCH, "prelaunch") X(PAUSED, "paused") X(DEBUG, "debug")                       \
    X(SAVING, "save-vm") X(RESTORING, "restore-vm")                                                             \
    X(INMIGRATE, "inmigrate") X(FINISH_MIGRATE, "finish-migrate") X(POSTMIGRATE, "postmigrate")                 \
    X(IO_ERROR, "io-error") X(PANICKED, "guest-panicked") X(WATCHDOG, "watchdog") X(SHUTDOWN, "shutdown")
enum run_state {
#define X(name, text) RUN_##name,
    RUN_STATES(X)
#undef X
};

/* Who is told of changes. `changed` is called in the event loop's thread with the device lock held. */
struct control_watcher {
    void (*changed)(void *arg, enum run_state now);
    void *arg;
    struct control_watcher *next;
};

/* How vCPUs are stopped: main/vcpu.h. */
struct control_ops {
    void (*pause)(struct machine *);
    void (*resume)(struct machine *);
    void (*wait_still)(struct machine *);
    void (*act_as)(struct machine *, int cpu);
};

struct control;
/* After the event loop and the clock are there, before the vCPUs start. RUN_PRELAUNCH: they are to start paused. */
struct control *control_new(struct machine *, const struct control_ops *, enum run_state first);
void control_free(struct control *);

void control_watch(struct control *, struct control_watcher *);
void control_unwatch(struct control *, struct control_watcher *);

enum run_state control_state(const struct control *);
/* QMP's name of a state: "running", "io-error". */
const char *control_state_name(enum run_state);

/* When it returns the machine stands still. One that stood still already has a new reason. `why` is not RUN_RUNNING. */
void control_stop(struct control *, enum run_state why);
/* Of a machine that is stopped already: waits until the last vCPU stands still, and a reset asked for before is over. */
void control_settle(struct control *);
/* Goes on; nothing happens if it runs. */
void control_cont(struct control *);

/*
 * While the machine stands still: accesses to devices this thread makes are that vCPU's, -1: nobody's, as
 * before.
 */
void control_act_as(struct control *, int cpu);

/*
 * Any thread, vCPUs among them, with or without the device lock: the machine stops soon, for `why`; a vCPU that calls
 * this executes nothing more once it is back in its run loop. Watchers are told once it stands still. Of several
 * reasons the first counts.
 */
void control_request(struct control *, enum run_state why);

/*
 * Between the two no vCPU executes anything and virtual time stands, so that what is read of the machine fits
 * together; its state stays what it is, and nobody is told. They nest. NULL: there is nothing to hold.
 */
void control_hold(struct control *);
void control_release(struct control *);

#endif
