/*
 * migrate_int.h - what both directions of migration share.
 *
 * The stream is a snapshot's with two sections of state more: "run" (u8: did it run?), and, where the other side can
 * answer, it does after the stream's end: "ok\n" once the machine is there and before it runs, or "no: why\n".
 */
#ifndef DEBUG_MIGRATE_INT_H
#define DEBUG_MIGRATE_INT_H

#include "debug/migrate.h"
#include "hw/machine.h"

#define MIGRATE_YES "ok\n"
#define MIGRATE_NO "no: "
#define MIGRATE_ANSWER 512u     /* bytes of an answer, at most */

struct outgoing;
struct incoming;
struct migration {
    struct machine *m;
    struct migrate_limits limits;
    struct migrate_status status;
    char error[512];
    uint64_t begun;             /* evloop_now() */
    struct outgoing *out;       /* NULL: none is under way */
    struct incoming *in;        /* NULL: none is waited for */
    bool start;                 /* incoming: somebody said cont, or not -S */
    bool gone;                  /* the machine is elsewhere, or may be; its images are */
    void (*done)(void *arg);
    void *done_arg;
};

/*
 * The URI for a conduit (malloc()): fd:NAME is fd:N, N what getfd called so, *given, which is no longer needed when the
 * conduit is open and is to be closed then; else *given is -1.
 */
char *migrate_uri(struct machine *, const char *uri, int *given);
void migrate_enter(struct migration *, enum migrate_state);
void migrate_tell(struct migration *, const char *error);       /* it is over: FAILED with an error, or COMPLETED */
bool outgoing_stopped(const struct migration *);        /* only the rest of it is still to be sent */
void incoming_free(struct migration *);
void outgoing_free(struct migration *);

#endif
