/*
 * trace.c - -trace: which events are on, and writing their lines.
 */
#include "base/trace.h"

#include <fnmatch.h>
#include <stdarg.h>
#include <string.h>

#include "base/log.h"
#include "base/nearest.h"

#define LINE 512u               /* longer lines are cut: arguments are numbers and names */

uint8_t trace_states[TRACE_COUNT];

static const struct { const char *name, *what; } events[TRACE_COUNT] = {
#define EVENT(id, params, args, fmt, does) { .name = #id, .what = does },
#include "base/trace.def"
#undef EVENT
};

/* Part of the states: set before there are other threads. */
static struct {
    FILE *file;                 /* NULL: the log */
    uint64_t (*now)(void *arg);
    void *arg;
} sink;
static _Thread_local char thread_name[16] = "-";

const char *trace_name(enum trace_event e)
{
    return events[e].name;
}

bool trace_matches(enum trace_event e, const char *pattern)
{
    return fnmatch(pattern, events[e].name, 0) == 0;
}

unsigned trace_means(const char *item)
{
    unsigned n = 0;

    for (unsigned e = 0; e < TRACE_COUNT; e++)
        n += trace_matches(e, item + (item[0] == '-'));
    return n;
}

unsigned trace_switch(const char *pattern, bool on)
{
    unsigned n = 0;

    for (unsigned e = 0; e < TRACE_COUNT; e++) {
        if (!trace_matches(e, pattern))
            continue;
        __atomic_store_n(&trace_states[e], on, __ATOMIC_RELAXED);
        n++;
    }
    return n;
}

unsigned trace_apply(const char *item)
{
    bool off = item[0] == '-';

    return trace_switch(item + off, !off);
}

bool trace_read(FILE *f, char *bad, size_t size, unsigned *line)
{
    char text[256];

    for (*line = 1; fgets(text, sizeof(text), f); ++*line) {
        char *item = text + strspn(text, " \t\r\n");
        size_t len = strlen(text);

        if ((!len || text[len - 1] != '\n') && !feof(f)) {      /* too long for a line, or no text at all */
            snprintf(bad, size, "%.40s", text);
            return false;
        }

        item[strcspn(item, "#\r\n")] = '\0';
        for (size_t n = strlen(item); n && strchr(" \t", item[n - 1]);)
            item[--n] = '\0';
        if (!*item || trace_apply(item))
            continue;
        snprintf(bad, size, "%s", item);
        return false;
    }
    return true;
}

void trace_help(FILE *f)
{
    fprintf(f, "Events:\n");
    for (unsigned e = 0; e < TRACE_COUNT; e++)
        fprintf(f, "  %-20s %s\n", events[e].name, events[e].what);
}

void trace_names(struct nearest *near)
{
    for (unsigned e = 0; e < TRACE_COUNT; e++)
        nearest_try(near, events[e].name, strlen(events[e].name));
}

void trace_set_file(FILE *f)
{
    setvbuf(f, NULL, _IOLBF, 0);
    sink.file = f;
}

bool trace_whole(void)
{
    return !sink.file || (fflush(sink.file) == 0 && !ferror(sink.file));
}

void trace_set_clock(uint64_t (*now)(void *arg), void *arg)
{
    sink.now = now;
    sink.arg = arg;
}

void trace_thread(const char *name)
{
    snprintf(thread_name, sizeof(thread_name), "%s", name);
}

void trace_say(enum trace_event e, const char *fmt, ...)
{
    uint64_t ns = sink.now ? sink.now(sink.arg) : 0;
    char line[LINE];
    va_list ap;
    size_t n;

    n = (size_t)snprintf(line, LINE - 1, "%" PRIu64 ".%09u %s %s", ns / 1000000000u, (unsigned)(ns % 1000000000u),
                         thread_name, events[e].name);
    va_start(ap, fmt);
    vsnprintf(line + n, LINE - 1 - n, fmt, ap);
    va_end(ap);
    n = strlen(line);
    if (line[n - 1] == ' ')             /* an event without arguments */
        n--;
    memcpy(line + n, "\n", 2);
    if (sink.file)
        fputs(line, sink.file);
    else
        log_line(line);
}
