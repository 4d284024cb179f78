/*
 * size.c - numbers of bytes as users write them (size.h).
 */
#include "base/size.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

bool size_parse(const char *s, unsigned shift, uint64_t *out)
{
    static const char suffix[] = "KMGTPE";
    char *end;
    double fraction = 0, unit;

    if (*s < '0' || *s > '9')
        return false;
    errno = 0;
    *out = strtoull(s, &end, s[0] == '0' && (s[1] | 0x20) == 'x' ? 16 : 10);
    if (errno)
        return false;
    if (*end == '.') {
        const char *point = end;

        fraction = strtod(point, &end);
        if (end == point + 1)
            return false;
    }
    if (*end && *end != 'b' && *end != 'B') {
        const char *p = strchr(suffix, *end & ~0x20);

        if (!p)
            return false;
        shift = 10 * (unsigned)(p - suffix + 1);
        end++;
    } else if (*end) {
        shift = 0;
    }
    if (*end == 'b' || *end == 'B')
        end++;
    unit = (double)((uint64_t)1 << shift);
    if (*end || *out > (uint64_t)INT64_MAX >> shift || fraction * unit != (double)(uint64_t)(fraction * unit))
        return false;
    *out = (*out << shift) + (uint64_t)(fraction * unit);
    return *out <= INT64_MAX;
}
