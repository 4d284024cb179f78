/*
 * monitor_env.h - monitors on streams of the test's own, and the machine they look at: 64 KiB of RAM whose bytes are
 * their addresses', a port at 0x300, a PIC, a keyboard that notes what is typed, no CPU.
 */
#ifndef TESTS_DEBUG_MONITOR_ENV_H
#define TESTS_DEBUG_MONITOR_ENV_H

#include "debug/control.h"
#include "debug/monitor_int.h"
#include "tests/dev/chipset_env.h"

#define TYPED 64u

struct client {
    struct chardev chr;         /* first */
    char got[1 << 16];
    unsigned n;
    bool deaf;                  /* reads nothing */
    uint64_t lost;              /* beyond what `got` holds */
};

struct typed { unsigned key; bool down; };

extern struct env *e;
extern struct machine *m;
extern unsigned pauses;         /* calls of pause() that no resume() has followed */
extern uint8_t port_val;
extern struct typed typed[TYPED];
extern unsigned ntyped;
extern int moved[3];            /* the last movement, and the buttons with it */
extern unsigned buttons;
extern unsigned pressed;        /* how often the power button was */
extern uint8_t *ram;

void setup(void);
void teardown(void);

/* A client that has connected. */
void client_new(struct client *, enum monitor_mode);
/* False: the monitor wants no more now. */
bool send_n(struct client *, const void *s, size_t n);
/* Sends a text; what came back. */
const char *say(struct client *, const char *s);
/* Runs a line, which must succeed or fail; what it said, until the next one. */
const char *hmp(const char *line, bool ok);

#endif
