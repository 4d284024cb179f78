/*
 * blocktest.h - what the tests of disk images share: random images, and a host whose disk is full or loses
 * power.
 *
 * The system calls by which block/ changes files are replaced in these programs (host.c).
 */
#ifndef TESTS_BLOCK_BLOCKTEST_H
#define TESTS_BLOCK_BLOCKTEST_H

#include <stdbool.h>
#include <stdint.h>

#include "block/block.h"

/* ---- env.c ---- */
extern uint64_t seed;                   /* of the case that is running; in every message */
uint64_t rnd(void);                     /* from it */
uint64_t rnd_below(uint64_t n);
void __attribute__((noreturn, format(printf, 1, 2))) broken(const char *fmt, ...);
#define MUST(cond, ...) do { if (!(cond)) broken(__VA_ARGS__); } while (0)
bool have_qemu_img(void);
/* Runs a command in the tests' folder: its exit code. */
int __attribute__((format(printf, 1, 2))) run(const char *fmt, ...);
extern char dir[];                      /* the tests' folder, removed at the end */
const char *path(const char *name);     /* in it; a few results live at once */
void env_start(void);
/* A qcow2 image of random properties; its backing file is random, too, unless it is "": "base" exists then.
   */
void make_image(const char *name, uint64_t size, const char *backing);
extern char made[];                     /* its properties, for messages */
bool snapshot_possible(void);           /* refcounts have room, and qemu-img is there to make one */
struct block *must_open(const char *name, struct block_open o);
/* No errors by block_check() and qemu-img; leaks are allowed where something was cut off. */
void check_image(const char *name, bool leaks_allowed);

/* ---- host.c ---- */
void host_log_start(void);              /* from now on, changes of files are recorded */
unsigned host_log_length(void);
unsigned host_log_syncs(unsigned from); /* barriers since then */
void host_log_stop(void);
/* What the file would hold had the power failed after `n` recorded changes of it. */
void host_power_failure(const char *before, const char *to, unsigned n);
/* bytes that can still be written behind files' ends; negative: no limit */
extern int64_t host_room;
/* errno that every read or write of a file fails with, from now on; 0: none */
extern int host_read_error, host_write_error;

#endif
