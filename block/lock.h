/*
 * lock.h - locks on image files, so that no two programs write one.
 *
 * The protocol is QEMU's, so that each refuses what the other uses: open file description locks, for
 * reading, on single bytes.  A program locks byte 100 + n for what it does to the file and byte 200 + n for
 * what it cannot bear others to do (n: 0 reading consistent data, 1 writing, 3 changing the size).  Read
 * locks never conflict; whoever has put its own looks for those of others that forbid it.  Who cannot know
 * of a conflict beforehand so never misses one.
 */
#ifndef BLOCK_LOCK_H
#define BLOCK_LOCK_H

#include <stdbool.h>

#include "block/error.h"

/* 0, or -EAGAIN with who has it.  The lock goes when the file is closed. */
int lock_take(int fd, const char *path, bool writing, struct block_error *);

#endif
