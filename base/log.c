/*
 * log.c - diagnostics: the -d mask and -D file, rate-limited messages, death at start-up.
 *
 * Invariant: a guest can make the emulator log, but never flood: what it provokes (guest, unimp, io) passes
 * a token bucket per category, and what was dropped is counted and reported. What is asked for device by
 * device (dev:NAME) is logged in full.
 */
#include "base/log.h"
#include "base/nearest.h"
#include "base/trace.h"

#include <ctype.h>
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

uint64_t log_mask;

#define BURST 200u              /* messages at once, and each second, per limited category */
#define LIMITED (LOG_GUEST | LOG_UNIMP | LOG_IO)
#define ALL_DEVICES (~(uint64_t)0 << 32)

/* What -d takes. The first row that has a message's category names it in the log. */
static const struct { const char *name; uint64_t bits; const char *what; } items[] = {
    { "in", LOG_IN, "guest code as it is translated" },
    { "ir", LOG_IR, "its intermediate representation" },
    { "opt", LOG_OPT, "the same after each pass" },
    { "out", LOG_OUT, "host code" },
    { "exec", LOG_EXEC, "blocks as they are translated" },
    { "int", LOG_INT, "exceptions and interrupts" },
    { "mmu", LOG_MMU, "translation of addresses" },
    { "io", LOG_IO, "port accesses of all devices, some hundred a second" },
    { "guest", LOG_GUEST, "what the guest does wrong" },
    { "unimp", LOG_UNIMP, "what the guest uses that is not there" },
    { "stats", LOG_STATS, "what the engine did and what translation cost, at the end" },
    { "count", LOG_COUNT, "guest and host instructions executed in translated code, and where most were, at the end" },
#define DEV(id, name, what) { "dev:" name, LOG_DEV_OF(LOG_DEV_##id), what },
#include "base/devices.def"
#undef DEV
    { "dev", ALL_DEVICES, "all devices" },
};
/* QEMU's names of the same. */
static const struct { const char *name, *item; } others[] = {
    { "in_asm", "in" }, { "op", "ir" }, { "op_opt", "opt" }, { "out_asm", "out" }, { "guest_errors", "guest" },
};
#define EVENTS "trace:"         /* an item that is no category: -trace's pattern follows */
#define ITEMS (sizeof(items) / sizeof(items[0]))
_Static_assert(LOG_DEV_COUNT <= 48, "a bit of the mask for each device");

/* The sink; part of the mask's state: set once from the command line. */
static struct {
    pthread_mutex_t lock;
    FILE *file;
    struct { time_t second; unsigned n; uint64_t dropped; } bucket[ITEMS];
} sink = { .lock = PTHREAD_MUTEX_INITIALIZER };

FILE *log_file(void)
{
    return sink.file ? sink.file : stderr;
}

void log_set_file(FILE *f)
{
    pthread_mutex_lock(&sink.lock);
    if (sink.file) {            /* others may hold the old one: it leads to the new file from now on */
        fflush(sink.file);
        dup2(fileno(f), fileno(sink.file));
        fclose(f);
    } else {
        setvbuf(f, NULL, _IOLBF, 0);
        sink.file = f;
    }
    pthread_mutex_unlock(&sink.lock);
}

bool log_whole(void)
{
    return !sink.file || (fflush(sink.file) == 0 && !ferror(sink.file));
}

/* One item: a category's bits, or the events it names, which are switched if `go`. False: it is neither. */
static bool parse_item(const char *item, bool go, uint64_t *mask)
{
    if (strncmp(item, EVENTS, strlen(EVENTS)) == 0)
        return go ? trace_apply(item + strlen(EVENTS)) : trace_means(item + strlen(EVENTS));
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        if (strcmp(others[i].name, item) == 0)
            item = others[i].item;
    for (size_t i = 0; i < ITEMS; i++) {
        if (strcmp(items[i].name, item))
            continue;
        *mask |= items[i].bits;
        return true;
    }
    return false;
}

bool log_parse(const char *list, char *bad, size_t size)
{
    uint64_t mask = 0;

    for (unsigned go = 0; go < 2; go++)
        for (const char *at = list; *at;) {
            size_t len = strcspn(at, ",");
            char item[256];

            snprintf(item, sizeof(item), "%.*s", (int)len, at);
            if (!parse_item(item, go, &mask)) {
                snprintf(bad, size, "%s", item);
                return false;
            }
            at += len;
            at += *at == ',';
        }
    log_mask |= mask;
    return true;
}

void log_help(FILE *f)
{
    fprintf(f, "Log items:\n");
    for (size_t i = 0; i < ITEMS; i++)
        fprintf(f, "  %-20s %s\n", items[i].name, items[i].what);
    fprintf(f, "  %-20s %s\n", EVENTS "PATTERN", "what devices do, event by event: the same as -trace PATTERN");
}

void log_names(struct nearest *near)
{
    for (size_t i = 0; i < ITEMS; i++)
        nearest_try(near, items[i].name, strlen(items[i].name));
}

/* ---- -dfilter ---- */

static struct {
    struct { uint64_t first, last; } *range;
    size_t n;
} filter;

/* START+SIZE, START-SIZE (the last SIZE bytes up to START) or START..END. */
static bool parse_range(const char *s, size_t len, uint64_t *first, uint64_t *last)
{
    char text[64], *end, *stop;
    uint64_t v;
    int how;

    if (snprintf(text, sizeof(text), "%.*s", (int)len, s) >= (int)sizeof(text) || !isdigit((unsigned char)text[0]))
        return false;
    errno = 0;
    *first = strtoull(text, &end, 0);
    how = *end;
    end += strncmp(end, "..", 2) == 0 ? 2 : how == '+' || how == '-';
    if (end == text + strlen(text) || !isdigit((unsigned char)*end))
        return false;
    v = strtoull(end, &stop, 0);
    if (errno || *stop || stop == end || !strchr(".+-", how))
        return false;
    *last = how == '.' ? v : how == '+' ? *first + v - 1 : *first;
    if (how == '-')
        *first = *last - v + 1;
    return *last >= *first && (how == '.' || v);
}

bool log_filter(const char *list)
{
    for (const char *at = list;; at++) {
        size_t len = strcspn(at, ",");
        uint64_t first, last;

        if (!parse_range(at, len, &first, &last))
            return false;
        filter.range = realloc(filter.range, (filter.n + 1) * sizeof(filter.range[0]));
        if (!filter.range)
            die(EXIT_CODE_HOST, "out of memory for what is logged");
        filter.range[filter.n].first = first;
        filter.range[filter.n++].last = last;
        at += len;
        if (!*at)
            return true;
    }
}

bool log_wanted(uint64_t lin)
{
    for (size_t i = 0; i < filter.n; i++)
        if (lin >= filter.range[i].first && lin <= filter.range[i].last)
            return true;
    return !filter.n;
}

/* May a message of row i go out now?  Reports what was dropped before. Lock held. */
static bool admit(size_t i)
{
    struct timespec ts;

    if (!(items[i].bits & LIMITED))
        return true;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    if (ts.tv_sec != sink.bucket[i].second) {
        sink.bucket[i].second = ts.tv_sec;
        sink.bucket[i].n = 0;
        if (sink.bucket[i].dropped)
            fprintf(log_file(), "%s: %llu messages dropped\n", items[i].name,
                    (unsigned long long)sink.bucket[i].dropped);
        sink.bucket[i].dropped = 0;
    }
    if (sink.bucket[i].n++ < BURST)
        return true;
    sink.bucket[i].dropped++;
    return false;
}

void log_msg(uint64_t cat, const char *fmt, ...)
{
    va_list ap;
    size_t i = 0;

    if (!log_on(cat))
        return;
    while (i < ITEMS - 1 && !(items[i].bits & cat))
        i++;
    pthread_mutex_lock(&sink.lock);
    if (admit(i)) {
        FILE *f = log_file();

        fprintf(f, "%s: ", items[i].name);
        va_start(ap, fmt);
        vfprintf(f, fmt, ap);
        va_end(ap);
        fputc('\n', f);
    }
    pthread_mutex_unlock(&sink.lock);
}

void log_line(const char *line)
{
    pthread_mutex_lock(&sink.lock);
    fputs(line, log_file());
    pthread_mutex_unlock(&sink.lock);
}

/*
 * What is said on the command line may be said again to a monitor, where what is wrong with it must not be the end. Readers
 * of options die where they stand, deep inside; so here they come back instead. What they had allocated by then is
 * lost, which is little, and it is somebody at a monitor who mistyped.
 */
static _Thread_local struct catch {
    jmp_buf back;
    char *err;
    size_t len;
} *catching;

bool die_caught(void (*fn)(void *arg), void *arg, char *err, size_t len)
{
    struct catch c = { .err = err, .len = len };
    bool fell = false;

    catching = &c;
    if (setjmp(c.back) == 0)
        fn(arg);
    else
        fell = true;
    catching = NULL;
    return fell;
}

void die(int code, const char *fmt, ...)
{
    va_list ap;

    if (catching) {
        va_start(ap, fmt);
        vsnprintf(catching->err, catching->len, fmt, ap);
        va_end(ap);
        longjmp(catching->back, 1);
    }
    fflush(stdout);
    fputs("latimer: ", stderr);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
    exit(code);
}
