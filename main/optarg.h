/* optarg.h - arguments of options: lists of key=value, numbers, notes. */
#ifndef MAIN_OPTARG_H
#define MAIN_OPTARG_H

#include <stdbool.h>
#include <stdint.h>

/* "help" or "?". */
bool arg_is_help(const char *val);
/* A number in C's notation, the whole string. */
bool arg_number(const char *s, uint64_t *out);
/* As plug_bool() takes them; dies with EXIT_CODE_USAGE on everything else. val NULL: on. */
bool arg_bool(const char *opt, const char *key, const char *val);

/* One of a comma-separated list: "key=value", or a word (then val is NULL). */
struct arg_item {
    char *key, *val;
    char text[8192];
};
/* ",," stands for a comma.  False at the list's end. */
bool arg_next(const char **list, struct arg_item *);

/* Dies with EXIT_CODE_USAGE unless its value is one of `words`, which end with NULL; all: what to say of them. */
void arg_one_of(const char *opt, const struct arg_item *, const char *const *words, const char *all);

/* To the user: goes on all the same. */
void __attribute__((format(printf, 1, 2))) arg_note(const char *fmt, ...);

#endif
