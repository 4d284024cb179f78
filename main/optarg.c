/*
 * optarg.c - arguments of options (optarg.h).
 */
#include "main/optarg.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "hw/plug.h"

bool arg_is_help(const char *val)
{
    return strcmp(val, "help") == 0 || strcmp(val, "?") == 0;
}

bool arg_number(const char *s, uint64_t *out)
{
    char *end;

    if (*s < '0' || *s > '9')
        return false;
    errno = 0;
    *out = strtoull(s, &end, 0);
    return !errno && !*end;
}

bool arg_bool(const char *opt, const char *key, const char *val)
{
    bool on = true;

    if (val && !plug_bool(&on, val))
        die(EXIT_CODE_USAGE, "%s: %s=%s: use on or off", opt, key, val);
    return on;
}

bool arg_next(const char **list, struct arg_item *it)
{
    const char *p = *list;
    size_t n = 0;

    if (!*p)
        return false;
    while (*p && (*p != ',' || p[1] == ',')) {
        p += *p == ',';
        if (n == sizeof(it->text) - 1)
            die(EXIT_CODE_USAGE, "'%.40s...': too long", *list);
        it->text[n++] = *p++;
    }
    it->text[n] = 0;
    *list = p + (*p == ',');
    it->key = it->text;
    it->val = strchr(it->text, '=');
    if (it->val)
        *it->val++ = 0;
    return true;
}

void arg_one_of(const char *opt, const struct arg_item *it, const char *const *words, const char *all)
{
    for (; it->val && *words; words++)
        if (strcmp(it->val, *words) == 0)
            return;
    die(EXIT_CODE_USAGE, "%s: %s=%s: use %s", opt, it->key, it->val ? it->val : "", all);
}

void arg_note(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    fputs("latimer: note: ", stderr);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
}
