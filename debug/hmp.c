/*
 * hmp.c - the human monitor's lines: finding the row, taking its arguments apart, help and completion.
 *
 * Arguments are described by the row, each word "name:T" or "name:T?" for one that may be missing, or "-c"
 * for an option of one letter that stands before the others:
 *   w  a word, quotes around one with blanks     n  an expression (hmp_expr.c)
 *   r  all the rest of the line, as it is, or as a word if it is one in quotes (libvirt's: savevm "NAME")
 *   f  /FORMAT, behind the command, with or without blanks between
 */
#include "debug/hmp_int.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/nearest.h"
#include "debug/control.h"
#include "debug/outside.h"

enum when { LIVE, STILL };      /* the vCPUs: as they are, or standing still meanwhile */

struct row {
    const char *names;
    enum when when;
    const char *args, *params, *help;
    void (*run)(struct hmp *);
    bool info;
};

static const struct row rows[] = {
#define CMD(id, names, when, args, params, help) { names, when, args, params, help, hmp_##id, false },
#define INFO(id, names, when, args, params, help) { names, when, args, params, help, info_##id, true },
#include "debug/hmp.def"
#undef CMD
#undef INFO
};
#define ROWS (sizeof(rows) / sizeof(rows[0]))

void hmp_fail(struct hmp *h, const char *fmt, ...)
{
    char text[1024];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    hmp_say(h, "%s\n", text);
    h->failed = true;
}

/* ---- rows ---- */

static bool has_name(const char *names, const char *name, size_t n)
{
    for (const char *s = names; *s;) {
        size_t len = strcspn(s, " ");

        if (len == n && memcmp(s, name, n) == 0)
            return true;
        s += len;
        s += *s == ' ';
    }
    return false;
}

static const struct row *find(bool info, const char *name, size_t n)
{
    for (unsigned i = 0; i < ROWS; i++)
        if (rows[i].info == info && has_name(rows[i].names, name, n))
            return &rows[i];
    return NULL;
}

static void unknown(struct hmp *h, bool info, const char *name)
{
    struct nearest near;

    nearest_init(&near, name, info ? "info " : "");
    for (unsigned i = 0; i < ROWS; i++) {
        for (const char *s = rows[i].names; rows[i].info == info && *s;) {
            size_t len = strcspn(s, " ");

            nearest_try(&near, s, len);
            s += len;
            s += *s == ' ';
        }
    }
    hmp_fail(h, "unknown %s '%.60s'%s%s%s: 'help%s' lists what there is", info ? "item" : "command", name,
             near.list[0] ? ": did you mean " : "", near.list, near.list[0] ? "?" : "", info ? " info" : "");
}

static void help_line(struct hmp *h, const struct row *r)
{
    char left[160];

    snprintf(left, sizeof(left), "%s%.*s%s%s", r->info ? "info " : "", (int)strcspn(r->names, " "), r->names,
             *r->params ? " " : "", r->params);
    hmp_say(h, "%-34s %s%s", left, strlen(left) > 34 ? "\n                                   " : "", r->help);
    for (const char *s = strchr(r->names, ' '); s; s = strchr(s + 1, ' '))
        hmp_say(h, "%s%.*s", s == strchr(r->names, ' ') ? " (also: " : ", ", (int)strcspn(s + 1, " "), s + 1);
    hmp_say(h, "%s\n", strchr(r->names, ' ') ? ")" : "");
}

void hmp_help(struct hmp *h)
{
    const char *name = h->arg[0].s, *item = h->arg[1].s;
    const struct row *r;

    if (name && strcmp(name, "info") == 0 && item) {
        r = find(true, item, strlen(item));
        if (r)
            help_line(h, r);
        else
            unknown(h, true, item);
        return;
    }
    if (name && strcmp(name, "info")) {
        r = find(false, name, strlen(name));
        if (r)
            help_line(h, r);
        else
            unknown(h, false, name);
        return;
    }
    for (unsigned i = 0; i < ROWS; i++)
        if (rows[i].info == (name != NULL))
            help_line(h, &rows[i]);
}

/* ---- arguments ---- */

/* A word, put into *to; quotes keep blanks, a backslash in them the character behind. */
static const char *word(const char *s, char **to, const char **out)
{
    *out = *to;
    if (*s == '"') {
        for (s++; *s && *s != '"'; s++) {
            if (*s == '\\' && s[1])
                s++;
            *(*to)++ = *s;
        }
        s += *s == '"';
    } else {
        while (*s && !isspace((unsigned char)*s))
            *(*to)++ = *s++;
    }
    *(*to)++ = 0;
    return s;
}

static const char *skip(const char *s)
{
    while (isspace((unsigned char)*s))
        s++;
    return s;
}

/* All of a line from s on, without blanks at its end, put into *to; without quotes, too, if they are around all of it. */
static const char *rest(const char *s, char **to, const char **out)
{
    char *words = *to;

    if (*s == '"' && !*skip(word(s, to, out)))
        return "";
    strcpy(words, s);
    for (size_t len = strlen(words); len && isspace((unsigned char)words[len - 1]);)
        words[--len] = 0;
    *out = words;
    *to = words + strlen(words) + 1;
    return "";
}

static const char *format(struct hmp *h, const char *s, struct hmp_format *f)
{
    *f = (struct hmp_format){ .count = 1 };
    if (*s != '/')
        return s;
    s++;
    if (isdigit((unsigned char)*s)) {
        unsigned long n = strtoul(s, (char **)(uintptr_t)&s, 10);

        if (!n || n > 1000000) {
            hmp_fail(h, "a format's count is 1 to 1000000");
            return NULL;
        }
        f->count = (unsigned)n;
    }
    for (; *s && !isspace((unsigned char)*s); s++) {
        const char *sizes = "bhwg", *at = strchr(sizes, *s);

        if (at)
            f->size = 1u << (at - sizes);
        else if (strchr("xduocis", *s))
            f->kind = *s;
        else {
            hmp_fail(h,
                     "unknown format '%c': /NFS with N a count, F one of x, d, u, o, c, s, i, and S one of "
                     "b, h, w, g",
                     *s);
            return NULL;
        }
    }
    return s;
}

/* False: told what is wrong. `words` has room for the whole line and its ends. */
static bool arguments(struct hmp *h, const struct row *r, const char *s, char *words)
{
    unsigned n = 0;

    for (const char *spec = r->args; *spec; spec += strcspn(spec, " "), spec += *spec == ' ') {
        const char *colon = strchr(spec, ':');
        struct hmp_arg *a = &h->arg[n];

        if (*spec == '-') {
            s = skip(s);
            while (*s == '-' && s[1] == spec[1] && (!s[2] || isspace((unsigned char)s[2]))) {
                h->flags |= (uint64_t)1 << (spec[1] - 'a');
                s = skip(s + 2);
            }
            continue;
        }
        n++;
        if (colon[1] == 'f') {
            s = format(h, skip(s), &a->format);     /* x/4i and x /4i, as gdb and QEMU take them */
            if (!s)
                return false;
            continue;
        }
        s = skip(s);
        if (!*s) {
            if (colon[2] == '?')
                continue;
            hmp_fail(h, "%.*s is missing: %s%.*s %s", (int)(colon - spec), spec, r->info ? "info " : "",
                     (int)strcspn(r->names, " "), r->names, r->params);
            return false;
        }
        if (colon[1] == 'n') {
            a->s = s;
            if (!hmp_expr(h, s, &s, &a->n))
                return false;
        } else if (colon[1] == 'r') {
            s = rest(s, &words, &a->s);
        } else {
            s = word(s, &words, &a->s);
        }
    }
    s = skip(s);
    if (*s)
        hmp_fail(h, "'%.60s' is too much: %s%.*s %s", s, r->info ? "info " : "", (int)strcspn(r->names, " "),
                 r->names, r->params);
    return !*s;
}

static void run(struct hmp *h, const char *line)
{
    char words[HMP_LINE + 2 * HMP_ARGS], *to = words;
    const char *s = skip(line), *name;
    size_t n = strcspn(s, " \t\r\n/");
    const struct row *r;

    if (!*s)
        return;
    r = find(false, s, n);
    if (!r) {
        word(s, &to, &name);
        unknown(h, false, name);
        return;
    }
    s += n;
    if (r->run == hmp_info) {
        s = skip(s);
        if (!*s) {
            h->arg[0].s = "info";
            hmp_help(h);
            return;
        }
        n = strcspn(s, " \t\r\n");
        r = find(true, s, n);
        if (!r) {
            word(s, &to, &name);
            unknown(h, true, name);
            return;
        }
        s += n;
    }
    /* Arguments may be registers. */
    if (r->when == STILL || strchr(s, '$'))
        control_hold(h->m->control);
    if (arguments(h, r, s, words))
        r->run(h);
    if (r->when == STILL || strchr(s, '$'))
        control_release(h->m->control);
}

/* "info" is taken apart by run(). */
void hmp_info(struct hmp *h)
{
}

bool hmp_run_on(struct machine *m, unsigned cpu, const char *line, struct text *sink)
{
    struct hmp h = { .m = m, .c = m->cpu && cpu < m->ncpu ? m->cpu[cpu] : NULL, .out = sink };

    if (strlen(line) > HMP_LINE)
        hmp_fail(&h, "the line is longer than %u bytes", HMP_LINE);
    else
        run(&h, line);
    return !h.failed;
}

bool hmp_run(struct machine *m, const char *line, struct text *sink)
{
    return hmp_run_on(m, m->monitor_cpu, line, sink);
}

/* For hmp_complete.c. */
void hmp_names(bool info, void (*fn)(void *, const char *name, size_t len), void *arg)
{
    for (unsigned i = 0; i < ROWS; i++)
        for (const char *s = rows[i].names; rows[i].info == info && *s;) {
            size_t len = strcspn(s, " ");

            fn(arg, s, len);
            s += len;
            s += *s == ' ';
        }
}

const char *hmp_arguments(bool info, const char *name, size_t len)
{
    const struct row *r = find(info, name, len);

    return r ? r->args : NULL;
}
