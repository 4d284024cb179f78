/* env.c - see blocktest.h. */
#define _GNU_SOURCE
#include "tests/block/blocktest.h"

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

uint64_t seed;
char dir[64], made[256];
static uint64_t state, state_of;        /* of the generator; for which seed */
static pid_t owner;
static unsigned refcount_bits;

uint64_t rnd(void)
{
    uint64_t x;

    if (state_of != seed) {
        state_of = seed;
        state = seed * 0x9e3779b97f4a7c15u;
    }
    state += 0x9e3779b97f4a7c15u;
    x = state;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

uint64_t rnd_below(uint64_t n)
{
    return n ? rnd() % n : 0;
}

void broken(const char *fmt, ...)
{
    va_list ap;

    printf("seed %llu, image %s: ", (unsigned long long)seed, made);
    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    printf("\n");
    if (getenv("KEEP")) {
        printf("kept: %s\n", dir);
        fflush(stdout);
        _exit(1);
    }
    exit(1);
}

int run(const char *fmt, ...)
{
    char command[2048];
    int n = snprintf(command, sizeof(command), "cd %s && ", dir), status;
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(command + n, sizeof(command) - (size_t)n, fmt, ap);
    va_end(ap);
    status = system(command);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

bool have_qemu_img(void)
{
    static int known;

    if (!known)
        known = system("qemu-img --version >/dev/null 2>&1") == 0 ? 1 : -1;
    return known > 0;
}

const char *path(const char *name)
{
    static char buf[8][192];
    static unsigned next;
    char *p = buf[next++ % 8];

    snprintf(p, sizeof(buf[0]), "%s/%s", dir, name);
    return p;
}

static void clean(void)
{
    if (getpid() == owner && dir[0]) {
        char command[128];

        snprintf(command, sizeof(command), "rm -rf %s", dir);
        if (system(command))
            printf("cannot remove %s\n", dir);
    }
}

void env_start(void)
{
    const char *tmp = getenv("TMPDIR");

    owner = getpid();
    snprintf(dir, sizeof(dir), "%.40s/blocktest.XXXXXX", tmp ? tmp : "/tmp");
    if (!mkdtemp(dir))
        broken("cannot make a folder in %s", dir);
    atexit(clean);
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (!have_qemu_img())
        printf("skipped: comparing with qemu-img: it is not installed (qemu-utils)\n");
}

/* ---- images ---- */

static void fill_backing(const char *name, uint64_t size)
{
    struct block *b = must_open(name, (struct block_open){ .writable = true });
    uint8_t *buf = malloc(65536);

    for (unsigned i = 0; i < 12; i++) {
        uint64_t off = rnd_below(size), len = 1 + rnd_below(65536);

        len = len < size - off ? len : size - off;
        memset(buf, 1 + (int)rnd_below(255), len);
        MUST(!block_write(b, off, buf, len), "cannot fill the backing file");
    }
    free(buf);
    MUST(!block_close(b), "cannot close the backing file");
}

void make_image(const char *name, uint64_t size, const char *backing)
{
    static const uint64_t clusters[] = { 512, 1024, 4096, 16384, 65536, 65536, 524288, 2097152 };
    struct block_create c;
    struct block_error e;

    block_create_defaults(&c);
    c.format = "qcow2";
    c.size = size;
    c.version = rnd_below(4) ? 3 : 2;
    c.cluster_size = clusters[rnd_below(8)];
    if (c.version == 3) {
        c.refcount_bits = 1u << rnd_below(7);
        c.extended_l2 = c.cluster_size >= 16384 && rnd_below(2);
        c.zstd = rnd_below(2);
        c.lazy_refcounts = rnd_below(2);
    }
    refcount_bits = c.refcount_bits;
    snprintf(made, sizeof(made), "%s: version %u, cluster_size %llu, refcount_bits %u%s", name, c.version,
             (unsigned long long)c.cluster_size, c.refcount_bits, c.extended_l2 ? ", extended_l2" : "");
    if (backing && rnd_below(2)) {
        struct block_create bc;

        block_create_defaults(&bc);
        bc.format = rnd_below(2) ? "raw" : "qcow2";
        bc.size = (1 + rnd_below(size * 5 / 4)) & ~(uint64_t)511;
        MUST(!block_create(path("base"), &bc, &e), "%s", e.text);
        if (bc.size)
            fill_backing("base", bc.size);
        c.backing = "base";
        c.backing_format = bc.format;
        strcat(made, ", over ");
        strcat(made, bc.format);
    } else {
        c.prealloc = rnd_below(3) ? BLOCK_PREALLOC_OFF : BLOCK_PREALLOC_METADATA;
    }
    MUST(!block_create(path(name), &c, &e), "%s", e.text);
}

struct block *must_open(const char *name, struct block_open o)
{
    struct block_error e;
    struct block *b = block_open(path(name), &o, &e, NULL);

    MUST(b, "%s", e.text);
    return b;
}

bool snapshot_possible(void)
{
    return have_qemu_img() && refcount_bits >= 16;
}

static void print(void *arg, const char *line)
{
    printf("    %s\n", line);
}

void check_image(const char *name, bool leaks_allowed)
{
    struct block_check c = { .say = print };
    struct block_error e;
    struct block *b = must_open(name, (struct block_open){ .repair = true });

    if (leaks_allowed)
        c.say = NULL;
    MUST(!block_check(b, &c, 0, &e), "%s", e.text);
    MUST(!c.corruptions, "block_check(): %llu errors", (unsigned long long)c.corruptions);
    MUST(!c.leaks || leaks_allowed, "block_check(): %llu leaks", (unsigned long long)c.leaks);
    block_close(b);
    if (have_qemu_img()) {
        int r = run("qemu-img check -f qcow2 %s >check.log 2>&1", name);

        if (r && !(r == 3 && leaks_allowed)) {
            run("head -n 12 check.log");
            broken("qemu-img check: exit code %d", r);
        }
    }
}
