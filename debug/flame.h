/*
 * flame.h - a tree of frames with counts, and its two forms: folded stacks (one line each) and a flame graph (SVG with
 * a script of its own: zoom, search, tooltips; no other file is needed to look at it).
 */
#ifndef DEBUG_FLAME_H
#define DEBUG_FLAME_H

#include <stdint.h>
#include <stdio.h>

struct flame;

struct flame *flame_new(void);
void flame_free(struct flame *);
/* Functions from the outermost to the innermost; ';' and line breaks in names become ':'. */
void flame_add(struct flame *, const char *const *name, unsigned n, uint64_t count);
uint64_t flame_total(const struct flame *);
/* In the order of their names. */
void flame_folded(const struct flame *, FILE *);
/* title, unit: as text; unit: "samples". */
void flame_svg(const struct flame *, const char *title, const char *unit, FILE *);

#endif
