/*
 * text.h - where commands and those they ask put their words: a client, a debugger, a buffer.
 */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>

struct text {
    void (*put)(void *arg, const char *s, size_t n);
    void *arg;
};

void text_say(struct text *, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* One that keeps what it is told, up to `max` bytes; the rest is lost, and `cut` says so. */
struct text_buf {
    struct text text;
    char *s;                    /* zero-terminated; NULL: nothing yet */
    size_t len, size, max;
    bool cut;
};
void text_buf_init(struct text_buf *, size_t max);
void text_buf_free(struct text_buf *);
/* The words, "" for none. */
const char *text_buf_get(const struct text_buf *);

#endif
