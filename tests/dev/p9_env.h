/*
 * p9_env.h - a folder of the host behind virtio-9p (`dir`, with a file "hello"), and messages of 9P2000.L.
 *
 * `dir` is in `top`, beside a file "secret" that must not be touched: teardown() looks whether it was.
 */
#ifndef TESTS_DEV_P9_ENV_H
#define TESTS_DEV_P9_ENV_H

#include <check.h>

#include "host/evloop.h"
#include "host/fsdev.h"
#include "tests/dev/virtio_env.h"


enum { STATFS = 8, LOPEN = 12, LCREATE = 14, SYMLINK = 16, MKNOD = 18, RENAME = 20, READLINK = 22, GETATTR = 24,
       SETATTR = 26, XATTRWALK = 30, XATTRCREATE = 32, READDIR = 40, FSYNC = 50, LOCK = 52, GETLOCK = 54, LINK = 70,
       MKDIR = 72, RENAMEAT = 74, UNLINKAT = 76, VERSION = 100, AUTH = 102, ATTACH = 104, FLUSH = 108, WALK = 110,
       READ = 116, WRITE = 118, CLUNK = 120, REMOVE = 122 };

#define IN   (VT_DATA + 0x200000)       /* answers */
#define ROOM 0x30000u

extern struct vt *v;
extern struct evloop *loop;
extern char top[32], dir[80];
extern const uint8_t *re;       /* the last answer, behind its head */
extern uint32_t re_len;
extern uint16_t tag;            /* of the last call() */

/* A name in the folder: one of four buffers in turn. */
char *path(const char *name);
void put_file(const char *name, const char *text);
void check_file(const char *name, const char *text);
/* The folder with the device and a running driver (VT_*); cfg->path NULL: `dir`. */
void start(const struct fsdev_config *cfg, uint64_t driver);
/* start() with what most tests need. */
void setup(void);
void teardown(void);

/* Puts a message into the ring, in two pieces, with room for its answer, in two pieces. */
void offer(uint64_t at, uint32_t len, uint64_t in, uint32_t room);
/* Asks and waits. fmt: b w d q: numbers of 1, 2, 4, 8 bytes; s: text; *: bytes and their number. The number of the
   error, 0: none. */
unsigned call(unsigned type, const char *fmt, ...);
/* A number in the last answer. */
uint64_t got(unsigned off, unsigned size);
#define OK(...) ck_assert_uint_eq(call(__VA_ARGS__), 0)
#define ERR(number, ...) ck_assert_uint_eq(call(__VA_ARGS__), number)
/* A session whose fid 0 is the folder. */
void mount(void);
unsigned walk1(unsigned fid, unsigned to, const char *name);

#endif
