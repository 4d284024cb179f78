/*
 * p9_env.c - a folder of the host behind virtio-9p, and messages of its protocol.
 */
#include "tests/dev/p9_env.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct vt *v;
struct evloop *loop;
static pthread_mutex_t lock;
static struct fs fs;
char top[32], dir[80];
const uint8_t *re;
uint32_t re_len;
uint16_t tag;

static struct fs *find_fsdev(void *arg, const char *id)
{
    return strcmp(id, "f") ? NULL : &fs;
}

char *path(const char *name)
{
    static char buf[4][300];
    static unsigned n;

    n = (n + 1) % 4;
    snprintf(buf[n], sizeof(buf[n]), "%s/%s", dir, name);
    return buf[n];
}

void put_file(const char *name, const char *text)
{
    FILE *f = fopen(name, "w");

    ck_assert_ptr_nonnull(f);
    fputs(text, f);
    fclose(f);
}

void check_file(const char *name, const char *text)
{
    char buf[300] = "";
    FILE *f = fopen(name, "r");

    ck_assert_msg(f, "%s: %s", name, strerror(errno));
    buf[fread(buf, 1, sizeof(buf) - 1, f)] = 0;
    fclose(f);
    ck_assert_str_eq(buf, text);
}

void start(const struct fsdev_config *cfg, uint64_t driver)
{
    char err[300];

    snprintf(top, sizeof(top), "/tmp/test_9p.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(top));
    snprintf(dir, sizeof(dir), "%s/shared", top);
    ck_assert_int_eq(mkdir(dir, 0755), 0);
    snprintf(err, sizeof(err), "%s/secret", top);
    put_file(err, "secret");
    put_file(path("hello"), "hello");
    v = vt_new();
    loop = evloop_new();
    pthread_mutex_init(&lock, NULL);
    evloop_attach(loop, v->e->clock, &lock);
    fs = (struct fs){ .id = "f" };
    ck_assert_msg(fsdev_open(&fs, loop, &(struct fsdev_config){ .path = cfg->path ? cfg->path : dir, .model = cfg->model,
        .multidevs = cfg->multidevs, .readonly = cfg->readonly }, err, sizeof(err)), "%s", err);
    v->names.fsdev = find_fsdev;
    vt_add(v, "virtio-9p-pci,fsdev=f,mount_tag=shared,packed=on");
    vt_start(v, driver | 1, driver & VT_MODERN, 1);
    tag = 0;
}

void setup(void)
{
    start(&(struct fsdev_config){ .model = FSDEV_NONE }, VT_MODERN | VT_INDIRECT | VT_EVENT);
}

void teardown(void)
{
    char cmd[200];

    fsdev_close(&fs);
    evloop_free(loop);
    vt_free(v);
    pthread_mutex_destroy(&lock);
    snprintf(cmd, sizeof(cmd), "%s/secret", top);
    check_file(cmd, "secret");
    snprintf(cmd, sizeof(cmd), "chmod -R u+rwx %s && rm -rf %s", top, top);
    ck_assert_int_eq(system(cmd), 0);
}

/* ---- messages ---- */

/* b w d q: numbers of 1, 2, 4, 8 bytes; s: text; *: bytes and their number. */
static uint32_t build(uint64_t at, unsigned type, unsigned t, const char *fmt, va_list ap)
{
    uint64_t p = at + 7;

    for (; *fmt; fmt++) {
        if (*fmt == 's' || *fmt == '*') {
            const char *text = va_arg(ap, const char *);
            size_t n = *fmt == 's' ? strlen(text) : va_arg(ap, unsigned);

            if (*fmt == 's') {
                vt_put(v, p, n, 2);
                p += 2;
            }
            memcpy(v->ram + p, text, n);
            p += n;
        } else {
            unsigned size = *fmt == 'b' ? 1 : *fmt == 'w' ? 2 : *fmt == 'd' ? 4 : 8;

            vt_put(v, p, size == 8 ? va_arg(ap, uint64_t) : va_arg(ap, unsigned), size);
            p += size;
        }
    }
    vt_put(v, at, p - at, 4);
    v->ram[at + 4] = (uint8_t)type;
    vt_put(v, at + 5, t, 2);
    return (uint32_t)(p - at);
}

void offer(uint64_t at, uint32_t len, uint64_t in, uint32_t room)
{
    const struct vt_seg s[] = { { at, len / 2 + 1, false }, { at + len / 2 + 1, len - len / 2 - 1, false },
                                { in, 5, true }, { in + 5, room - 5, true } };

    vt_offer(v, 0, s, 4);
}

static bool answered(uint32_t *len)
{
    unsigned id;

    for (unsigned i = 0; i < 2000; i++) {
        if (vt_used(v, 0, &id, len))
            return true;
        evloop_step(loop, 10000000);
    }
    return false;
}

/* The number of the error, 0: none. */
unsigned call(unsigned type, const char *fmt, ...)
{
    uint32_t len, size;
    va_list ap;

    tag++;
    va_start(ap, fmt);
    size = build(VT_DATA, type, tag, fmt, ap);
    va_end(ap);
    offer(VT_DATA, size, IN, ROOM);
    vt_kick_always(v, 0);
    ck_assert_msg(answered(&len), "no answer to %u", type);
    ck_assert_uint_ge(len, 7);
    ck_assert_uint_eq(vt_get(v, IN, 4), len);
    ck_assert_uint_eq(vt_get(v, IN + 5, 2), tag);
    re = v->ram + IN + 7;
    re_len = len - 7;
    if (v->ram[IN + 4] == 7) {
        ck_assert_uint_eq(len, 11);
        ck_assert_uint_gt(vt_get(v, IN + 7, 4), 0);
        return (unsigned)vt_get(v, IN + 7, 4);
    }
    ck_assert_uint_eq(v->ram[IN + 4], type + 1);
    return 0;
}

uint64_t got(unsigned off, unsigned size)
{
    return vt_get(v, IN + 7 + off, size);
}

void mount(void)
{
    OK(VERSION, "ds", 65536u, "9P2000.L");
    OK(ATTACH, "ddssd", 0u, 0xffffffffu, "me", "", 0u);
}

unsigned walk1(unsigned fid, unsigned to, const char *name)
{
    return call(WALK, "ddws", fid, to, 1u, name);
}
