/*
 * host_env.h - what host code the tests that run it are to make, by the environment (tests/features.sh):
 *
 *   LATIMER_FEATURES    as the option host-features: "-lse,-crc32"
 *   LATIMER_TSO         "on": accesses in x86's order, LOCK operations as atomic ones
 */
#ifndef TESTS_HOST_ENV_H
#define TESTS_HOST_ENV_H

#include <stdlib.h>
#include <string.h>

#include "translator/backend.h"
#include "translator/exec.h"
#include "translator/features.h"

/* Every exec_init() of a test: o as it is to be, but for this. */
static inline void host_env(struct exec_options *o)
{
    const char *list = getenv("LATIMER_FEATURES"), *tso = getenv("LATIMER_TSO");
    char why[400];
    bool usage;

    if (list && !features_list(list, &o->no_features, &usage, why, sizeof(why))) {
        fprintf(stderr, "LATIMER_FEATURES: %s\n", why);
        exit(2);
    }
    o->smp = tso && strcmp(tso, "on") == 0;
}

/* The same for a test that has a backend and no run loop. */
static inline struct backend *host_env_backend(uint8_t *rw)
{
    struct exec_options o = { .smp = false };

    host_env(&o);
    return backend_new(rw, 0, &(struct backend_config){ backend_host_features() & ~o.no_features, o.smp });
}

#endif
