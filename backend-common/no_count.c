/*
 * no_count.c - for code generators that do not count what is executed: nothing here is
 * called, because backend_counts says so.
 */
#include <stdlib.h>

#include "translator/backend.h"

const bool backend_counts = false;

void backend_count(struct backend *be)
{
    abort();
}

const struct host_count *backend_counted(const struct backend *be, size_t *n)
{
    abort();
}
