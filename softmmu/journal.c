/* journal.c - see journal.h. */
#include "softmmu/journal.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"

void journal_note(struct journal *j, void *host, uint32_t len)
{
    if (j->n == j->cap) {
        j->cap = j->cap ? j->cap * 2 : 64;
        j->e = realloc(j->e, j->cap * sizeof *j->e);
    }
    if (j->used + len > j->room) {
        j->room = (j->used + len) * 2;
        j->bytes = realloc(j->bytes, j->room);
    }
    if (!j->e || !j->bytes)
        die(EXIT_CODE_HOST, "out of memory");
    j->e[j->n++] = (struct journal_entry){ host, len, (uint32_t)j->used };
    memcpy(j->bytes + j->used, host, len);
    j->used += len;
}

static void swap(uint8_t *a, uint8_t *b, uint32_t n)
{
    while (n--) {
        uint8_t t = *a;
        *a++ = *b;
        *b++ = t;
    }
}

/* Backwards: where entries overlap, the first one's bytes are the oldest, the last one's the newest. */
void journal_undo(struct journal *j)
{
    for (unsigned i = j->n; i-- > 0;)
        swap(j->e[i].host, j->bytes + j->e[i].at, j->e[i].len);
}

void journal_redo(struct journal *j)
{
    for (unsigned i = 0; i < j->n; i++)
        swap(j->e[i].host, j->bytes + j->e[i].at, j->e[i].len);
}

int journal_compare(const struct journal *j)
{
    for (unsigned i = 0; i < j->n; i++)
        for (uint32_t k = 0; k < j->e[i].len; k++) {
            const uint8_t *p = j->e[i].host + k;
            unsigned m = j->n;
            while (m-- > i + 1)                 /* a later store there decides */
                if (p >= j->e[m].host && p < j->e[m].host + j->e[m].len)
                    break;
            if (m == i && *p != j->bytes[j->e[i].at + k])
                return (int)i;
        }
    return -1;
}

void journal_clear(struct journal *j)
{
    j->n = 0;
    j->used = 0;
    j->world = false;
}

void journal_free(struct journal *j)
{
    free(j->e);
    free(j->bytes);
}
