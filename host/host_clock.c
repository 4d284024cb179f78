/*
 * host_clock.c - CLOCK_MONOTONIC, CLOCK_REALTIME, the local zone and getrandom() behind struct clock_source.
 */
#include "host/host_clock.h"

#include <errno.h>
#include <sys/random.h>
#include <time.h>

#include "base/log.h"

static uint64_t ns_of(clockid_t id)
{
    struct timespec ts;
    clock_gettime(id, &ts);
    return (uint64_t)ts.tv_sec * NS_PER_SEC + (uint64_t)ts.tv_nsec;
}

static uint64_t now(void *arg)
{
    return ns_of(CLOCK_MONOTONIC);
}

static int64_t wall(void *arg)
{
    return (int64_t)ns_of(CLOCK_REALTIME);
}

static int64_t zone(void *arg, int64_t s)
{
    time_t t = (time_t)s;
    struct tm tm;
    return localtime_r(&t, &tm) ? (int64_t)tm.tm_gmtoff : 0;
}

static void entropy(void *arg, void *buf, size_t len)
{
    unsigned char *p = buf;
    while (len) {
        ssize_t n = getrandom(p, len, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            die(EXIT_CODE_HOST, "the host gives no random numbers (getrandom failed)");
        p += n;
        len -= (size_t)n;
    }
}

const struct clock_source host_clock = { now, wall, zone, entropy, NULL };
