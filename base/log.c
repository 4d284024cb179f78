/*
 * log.c - diagnostics: the -d mask and -D file, rate-limited messages, death at start-up.
 *
 * Invariant: a guest can make the emulator log, but never flood: what it provokes (guest, unimp,
 * dev, io) passes a token bucket per category, and what was dropped is counted and reported.
 */
#include "base/log.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

uint32_t log_mask;

#define BURST 200u              /* messages at once, and each second, per limited category */
#define LIMITED (LOG_GUEST | LOG_UNIMP | LOG_DEV | LOG_IO)

static const struct { const char *name; uint32_t bit; } log_names[] = {
    { "in", LOG_IN },       { "ir", LOG_IR },     { "opt", LOG_OPT },     { "out", LOG_OUT },
    { "exec", LOG_EXEC },   { "int", LOG_INT },   { "mmu", LOG_MMU },     { "io", LOG_IO },
    { "guest", LOG_GUEST }, { "unimp", LOG_UNIMP }, { "dev", LOG_DEV },
    { "stats", LOG_STATS },
};
#define NAMES (sizeof(log_names) / sizeof(log_names[0]))

/* The sink; part of the mask's state: set once from the command line. */
static struct {
    pthread_mutex_t lock;
    FILE *file;
    struct { time_t second; unsigned n; uint64_t dropped; } bucket[NAMES];
} sink = { .lock = PTHREAD_MUTEX_INITIALIZER };

FILE *log_file(void)
{
    return sink.file ? sink.file : stderr;
}

void log_set_file(FILE *f)
{
    sink.file = f;
    if (f)
        setvbuf(f, NULL, _IOLBF, 0);
}

bool log_parse(const char *list)
{
    uint32_t mask = 0;

    while (*list) {
        size_t len = strcspn(list, ",");
        size_t i;

        for (i = 0; i < NAMES; i++)
            if (strlen(log_names[i].name) == len && memcmp(log_names[i].name, list, len) == 0)
                break;
        if (i == NAMES)
            return false;
        mask |= log_names[i].bit;
        list += len;
        if (*list == ',')
            list++;
    }
    log_mask |= mask;
    return true;
}

/* May a message of row i go out now?  Reports what was dropped before. Lock held. */
static bool admit(size_t i)
{
    struct timespec ts;

    if (!(log_names[i].bit & LIMITED))
        return true;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    if (ts.tv_sec != sink.bucket[i].second) {
        sink.bucket[i].second = ts.tv_sec;
        sink.bucket[i].n = 0;
        if (sink.bucket[i].dropped)
            fprintf(log_file(), "%s: %llu messages dropped\n", log_names[i].name,
                    (unsigned long long)sink.bucket[i].dropped);
        sink.bucket[i].dropped = 0;
    }
    if (sink.bucket[i].n++ < BURST)
        return true;
    sink.bucket[i].dropped++;
    return false;
}

void log_msg(uint32_t cat, const char *fmt, ...)
{
    va_list ap;
    size_t i;

    if (!log_on(cat))
        return;
    for (i = 0; i < NAMES - 1; i++)
        if (log_names[i].bit & cat)
            break;
    pthread_mutex_lock(&sink.lock);
    if (admit(i)) {
        FILE *f = log_file();

        fprintf(f, "%s: ", log_names[i].name);
        va_start(ap, fmt);
        vfprintf(f, fmt, ap);
        va_end(ap);
        fputc('\n', f);
    }
    pthread_mutex_unlock(&sink.lock);
}

void die(int code, const char *fmt, ...)
{
    va_list ap;

    fflush(stdout);
    fputs("latimer: ", stderr);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
    exit(code);
}
