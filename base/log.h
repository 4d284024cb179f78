/*
 * log.h - diagnostics: -d categories, guest misbehaviour, missing features, death at start-up.
 * The log mask is the program's only mutable global.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define LOG_IN     0x0001u      /* guest code as translated */
#define LOG_IR     0x0002u
#define LOG_OPT    0x0004u
#define LOG_OUT    0x0008u      /* host code */
#define LOG_EXEC   0x0010u
#define LOG_INT    0x0020u      /* interrupts and exceptions */
#define LOG_MMU    0x0040u
#define LOG_IO     0x0080u
#define LOG_GUEST  0x0100u      /* guest misbehaviour */
#define LOG_UNIMP  0x0200u      /* features the guest used that are not there */
#define LOG_STATS  0x0400u      /* what the engine did, when the machine has ended */
#define LOG_COUNT  0x0800u      /* instructions executed in translated code, at the end */
#define LOG_DEV    ((uint64_t)1 << 16)          /* of no device in particular */
#define LOG_DEV_OF(d) (LOG_DEV << (d))          /* of one: enum log_dev */

enum log_dev {
    LOG_DEV_NONE,
#define DEV(id, name, what) LOG_DEV_##id,
#include "base/devices.def"
#undef DEV
    LOG_DEV_COUNT
};

extern uint64_t log_mask;
static inline bool log_on(uint64_t cat) { return (log_mask & cat) != 0; }
FILE *log_file(void);                   /* -D file, else stderr */
void log_set_file(FILE *f);            /* from now on; takes f over */
bool log_whole(void);                  /* has all got into that file so far? */
/*
 * Add -d's comma-separated items to the mask, and switch events (trace:PATTERN); false, and nothing changed, if one is
 * unknown: bad is which.
 */
bool log_parse(const char *list, char *bad, size_t size);
/*
 * -dfilter's comma-separated ranges of linear addresses: START+SIZE, START-SIZE (that ends at START), START..END (END
 * included); several calls add up. False: one is no range. log_wanted(): is lin in one of them? Always, without any.
 */
bool log_filter(const char *list);
bool log_wanted(uint64_t lin);
/* What items there are, one a line; and their names, for "did you mean". */
void log_help(FILE *f);
struct nearest;
void log_names(struct nearest *);
/* A newline is added. Guest misbehaviour and the like are limited to so many a second. */
void log_msg(uint64_t cat, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* A line as it is, its newline included. */
void log_line(const char *line);
/* log_msg() for -d dev:NAME: log_dev(PIC, "line %d up", n). */
#define log_dev(id, ...)                                        \
    do {                                                        \
        if (log_on(LOG_DEV_OF(LOG_DEV_##id)))                   \
            log_msg(LOG_DEV_OF(LOG_DEV_##id), __VA_ARGS__);     \
    } while (0)

/* Documented exit codes (README, man page). */
enum { EXIT_CODE_USAGE = 2, EXIT_CODE_FILE = 3, EXIT_CODE_HOST = 4, EXIT_CODE_GUEST = 10,
       EXIT_CODE_CHECK = 13 };
/* "latimer: ..." on stderr, then exit(code): what failed, why, what to do. */
void die(int code, const char *fmt, ...) __attribute__((noreturn, format(printf, 2, 3)));
/* Calls fn(arg), which holds nothing that must be given back: true if it died, and err has what it said. Does not nest. */
bool die_caught(void (*fn)(void *arg), void *arg, char *err, size_t len);

#endif
