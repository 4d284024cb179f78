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
#define LOG_DEV    0x0400u
#define LOG_STATS  0x0800u      /* what the engine did, when the machine has ended */

extern uint32_t log_mask;
static inline bool log_on(uint32_t cat) { return (log_mask & cat) != 0; }
FILE *log_file(void);                   /* -D file, else stderr */
void log_set_file(FILE *f);
/* Add -d's comma-separated names (in ir opt out exec int mmu io guest unimp dev stats) to the mask;
 * false, and nothing changed, if one is unknown. */
bool log_parse(const char *list);
/* Rate-limited per call category; a newline is added. */
void log_msg(uint32_t cat, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Documented exit codes (README, man page). */
enum { EXIT_CODE_USAGE = 2, EXIT_CODE_FILE = 3, EXIT_CODE_HOST = 4, EXIT_CODE_GUEST = 10,
       EXIT_CODE_CHECK = 13 };
/* "latimer: ..." on stderr, then exit(code): what failed, why, what to do. */
void die(int code, const char *fmt, ...) __attribute__((noreturn, format(printf, 2, 3)));

#endif
