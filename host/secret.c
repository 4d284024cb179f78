/*
 * secret.c - see secret.h.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE            /* explicit_bzero() */
#endif
#include "host/secret.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

static void *must(void *p)
{
    if (!p)
        die(EXIT_CODE_HOST, "out of memory for a secret");
    return p;
}

/* What a digit of base64 stands for; -1: it is none. */
static int digit(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c ? strchr(digits, c) : NULL;

    return at ? (int)(at - digits) : -1;
}

/* In place. False: it is no base64. */
static bool decode(struct secret *s)
{
    uint32_t bits = 0;
    size_t out = 0, digits = 0, pad = 0;

    for (size_t i = 0; i < s->len; i++) {
        char c = (char)s->data[i];

        if (c == '\n' || c == '\r')
            continue;
        if (c == '=') {
            pad++;
            continue;
        }
        if (pad || digit(c) < 0)
            return false;
        bits = bits << 6 | (uint32_t)digit(c);
        if (++digits % 4 != 1)
            s->data[out++] = (uint8_t)(bits >> (2 * (3 - (digits - 1) % 4)));
    }
    memset(s->data + out, 0, s->len - out);
    s->len = out;
    return (digits + pad) % 4 == 0 && pad < 3;
}

static bool read_file(struct secret *s, const char *file)
{
    FILE *f = fopen(file, "re");
    bool ok;

    if (!f)
        return false;
    s->data = must(calloc(1, SECRET_MAX + 2));
    s->len = fread(s->data, 1, SECRET_MAX + 1, f);
    ok = !ferror(f);
    fclose(f);
    if (s->len > SECRET_MAX) {
        errno = EFBIG;
        ok = false;
    }
    return ok;
}

struct secret *secret_new(const char *id, const char *data, const char *file, bool base64, int *code,
                          char *err, size_t len)
{
    struct secret *s = must(calloc(1, sizeof(*s)));

    s->id = must(strdup(id));
    *code = EXIT_CODE_USAGE;
    if (data) {
        s->data = must((uint8_t *)strdup(data));
        s->len = strlen(data);
    } else if (!read_file(s, file)) {
        *code = EXIT_CODE_FILE;
        snprintf(err, len, "cannot read %s: %s", file, strerror(errno));
        secret_free(s);
        return NULL;
    }
    if (base64 && !decode(s)) {
        snprintf(err, len, "that is no base64: use format=raw for what is to be taken as it is");
        secret_free(s);
        return NULL;
    }
    return s;
}

void secret_free(struct secret *s)
{
    if (!s)
        return;
    if (s->data)
        explicit_bzero(s->data, s->len);
    free(s->data);
    free(s->id);
    free(s);
}

struct secret *secret_find(struct secret *list, const char *id)
{
    while (list && strcmp(list->id, id))
        list = list->next;
    return list;
}
