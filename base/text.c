/* text.c - see text.h. */
#include "base/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

void text_say(struct text *t, const char *fmt, ...)
{
    char small[512], *s = small;
    va_list ap, again;
    int n;

    va_start(ap, fmt);
    va_copy(again, ap);
    n = vsnprintf(small, sizeof(small), fmt, ap);
    va_end(ap);
    if (n >= (int)sizeof(small)) {
        s = malloc((size_t)n + 1);
        if (!s)
            die(EXIT_CODE_HOST, "out of memory for text");
        vsnprintf(s, (size_t)n + 1, fmt, again);
    }
    va_end(again);
    if (n > 0)
        t->put(t->arg, s, (size_t)n);
    if (s != small)
        free(s);
}

static void keep(void *arg, const char *s, size_t n)
{
    struct text_buf *b = arg;

    if (n > b->max - b->len) {
        n = b->max - b->len;
        b->cut = true;
    }
    if (b->len + n + 1 > b->size) {
        b->size = 2 * (b->len + n) + 256;
        b->s = realloc(b->s, b->size);
        if (!b->s)
            die(EXIT_CODE_HOST, "out of memory for text");
    }
    memcpy(b->s + b->len, s, n);
    b->len += n;
    b->s[b->len] = 0;
}

void text_buf_init(struct text_buf *b, size_t max)
{
    *b = (struct text_buf){ .text = { keep, b }, .max = max };
}

void text_buf_free(struct text_buf *b)
{
    free(b->s);
    text_buf_init(b, b->max);
}

const char *text_buf_get(const struct text_buf *b)
{
    return b->s ? b->s : "";
}
