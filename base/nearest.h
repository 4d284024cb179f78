/* nearest.h - "did you mean": of a list of names, those that are nearest to what somebody typed. */
#ifndef BASE_NEAREST_H
#define BASE_NEAREST_H

#include <stddef.h>

struct nearest {
    const char *name, *prefix;
    unsigned least;             /* distance of those in `list` */
    size_t at;
    char list[256];             /* "-kernel, -initrd"; empty: nothing is near */
};

/* name: what was typed, borrowed; prefix: goes before each name in the list. */
void nearest_init(struct nearest *, const char *name, const char *prefix);
/* One more name there is: candidate[0..n). */
void nearest_try(struct nearest *, const char *candidate, size_t n);

#endif
