/* error.h - what failed, why and what to do, as text for the user. */
#ifndef BLOCK_ERROR_H
#define BLOCK_ERROR_H

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

struct block_error {
    char text[1024];
};

/* Fills in the text (e may be NULL) and returns -error, so that callers can return it. */
static inline int __attribute__((format(printf, 3, 4))) block_fail(struct block_error *e, int error,
                                                                   const char *fmt, ...)
{
    va_list ap;

    if (e) {
        va_start(ap, fmt);
        vsnprintf(e->text, sizeof(e->text), fmt, ap);
        va_end(ap);
    }
    return -error;
}

#endif
