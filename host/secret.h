/*
 * secret.h - secrets (-object secret): bytes with a name, for options that must not have them in the command line.
 */
#ifndef HOST_SECRET_H
#define HOST_SECRET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct secret {
    char *id;
    uint8_t *data;              /* a zero byte follows */
    size_t len;
    struct secret *next;
};

#define SECRET_MAX (1u << 20)   /* bytes of one, as it is given */

/*
 * Of `data` itself or, where that is NULL, what is in `file`; base64 (RFC 4648, 4; line ends are allowed) or as it is. NULL: err
 * says what is wrong; *code is the exit code that goes with it.
 */
struct secret *secret_new(const char *id, const char *data, const char *file, bool base64, int *code,
                          char *err, size_t len);
/* Wiped before it is freed. NULL is allowed. */
void secret_free(struct secret *);
/* The one of that id; NULL: there is none. */
struct secret *secret_find(struct secret *list, const char *id);

#endif
