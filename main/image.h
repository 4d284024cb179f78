/* image.h - latimer image: create, look at, copy, check and resize disk images, and their snapshots (image.def). */
#ifndef MAIN_IMAGE_H
#define MAIN_IMAGE_H

#include <stdbool.h>

#include "block/block.h"

/* What the command line said. */
struct image_args {
    const char *f, *O, *b, *F, *l, *t, *r, *output, *preallocation;
    struct block_create create;
    const char *make, *apply, *remove;          /* snapshots: -c, -a, -d */
    bool u, c, p, shrink, backing_chain, U, q;
    bool json;
    const char *file, *other;   /* other: NEW or SIZE, NULL: not given */
    const char *size;           /* -o size=, NULL: not given */
};

/* latimer image ...; argv[0] is "image".  The exit code. */
int image_main(int argc, char **argv);

/* A size with suffix, at most INT64_MAX; false: it is none. */
bool image_size(const char *s, uint64_t *out);
/* Ends Latimer with what failed; error: negative errno. */
void __attribute__((noreturn)) image_fail(int error, const struct block_error *);
struct block *image_open(const struct image_args *, const char *path, struct block_open);

void image_list_snapshots(const struct block_info *);
int image_info(const struct image_args *);
int image_check(const struct image_args *);
int image_convert(const struct image_args *);
int image_snapshot(const struct image_args *);

#endif
