/*
 * hmp_int.h - what the files of the human monitor share: a command under way, and its arguments.
 */
#ifndef DEBUG_HMP_INT_H
#define DEBUG_HMP_INT_H

#include <inttypes.h>

#include "base/symbols.h"
#include "debug/hmp.h"
#include "frontend/cpu.h"

#define HMP_ARGS 8
#define HMP_LINE 4096           /* bytes of a line, at most */

struct hmp_format {
    unsigned count, size;       /* size: bytes of one value; 0: not said */
    char kind;                  /* x, d, u, o, c, i, s; 0: not said */
};

struct hmp_arg {
    const char *s;              /* NULL: not given */
    uint64_t n;
    struct hmp_format format;
};

struct hmp {
    struct machine *m;
    struct cpu *c;              /* the one it is about; NULL: there are none */
    struct text *out;
    struct hmp_arg arg[HMP_ARGS];       /* in the order of the row */
    uint64_t flags;             /* bit n: option 'a' + n */
    bool failed;
};

static inline bool hmp_flag(const struct hmp *h, char c)
{
    return h->flags >> (c - 'a') & 1;
}

#define hmp_say(h, ...) text_say((h)->out, __VA_ARGS__)
/* What is wrong, without the end of the line. */
void hmp_fail(struct hmp *, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Each name of a command, or an item of info. The arguments of one, as its row has them; NULL: there is none. */
void hmp_names(bool info, void (*fn)(void *arg, const char *name, size_t len), void *arg);
const char *hmp_arguments(bool info, const char *name, size_t len);

/* hmp_expr.c: numbers, $registers, names of symbols, + - * / % & | ^ ~ ( ). *end: what follows. False: told what is wrong. */
bool hmp_expr(struct hmp *, const char *s, const char **end, uint64_t *out);
/* The n-th register's name, NULL behind the last. */
const char *hmp_register(unsigned n);

/* hmp_info.c and others: the functions of the rows. */
#define CMD(id, names, when, args, params, help) void hmp_##id(struct hmp *);
#define INFO(id, names, when, args, params, help) void info_##id(struct hmp *);
#include "debug/hmp.def"
#undef CMD
#undef INFO

#endif
