/* nearest.c - see nearest.h. */
#include "base/nearest.h"

#include <stdio.h>
#include <string.h>

/* Levenshtein's distance of name and s[0..n), where a swap of neighbours counts as one step. */
static unsigned distance(const char *name, const char *s, size_t n)
{
    enum { MAX = 32 };
    unsigned d[MAX + 1][MAX + 1];
    size_t m = strlen(name);

    if (m > MAX || n > MAX)
        return (unsigned)(m + n);
    for (unsigned i = 0; i <= m; i++)
        d[i][0] = i;
    for (unsigned j = 0; j <= n; j++)
        d[0][j] = j;
    for (unsigned i = 1; i <= m; i++) {
        for (unsigned j = 1; j <= n; j++) {
            unsigned best = d[i - 1][j - 1] + (name[i - 1] != s[j - 1]);

            if (d[i - 1][j] + 1 < best)
                best = d[i - 1][j] + 1;
            if (d[i][j - 1] + 1 < best)
                best = d[i][j - 1] + 1;
            if (i > 1 && j > 1 && name[i - 1] == s[j - 2] && name[i - 2] == s[j - 1] &&
                d[i - 2][j - 2] + 1 < best)
                best = d[i - 2][j - 2] + 1;
            d[i][j] = best;
        }
    }
    return d[m][n];
}

void nearest_init(struct nearest *a, const char *name, const char *prefix)
{
    *a = (struct nearest){ .name = name, .prefix = prefix, .least = 1 + (unsigned)strlen(name) / 3 };
}

void nearest_try(struct nearest *a, const char *candidate, size_t n)
{
    unsigned d = distance(a->name, candidate, n);

    if (d > a->least)
        return;
    if (d < a->least)
        a->at = 0;
    a->least = d;
    if (a->at + n + strlen(a->prefix) + 3 < sizeof(a->list))
        a->at += (size_t)snprintf(a->list + a->at, sizeof(a->list) - a->at, "%s%s%.*s", a->at ? ", " : "",
                                  a->prefix, (int)n, candidate);
}
