/*
 * fuzz_image.c - damaged and hostile images: whatever a file says, block/ must neither crash, hang nor
 * touch what is outside of it, and what it refuses to open it must not have changed.
 *
 * Images are made, some of their bytes changed where it hurts (header, tables, snapshots, compressed data),
 * and then opened, read, written, resized, checked and repaired.  After a repair that reports no errors
 * there must be none, and qemu-img must agree.
 *
 * usage: fuzz_image [--seed N] [--seconds N]
 */
#define _GNU_SOURCE
#include "tests/block/blocktest.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SIZE ((uint64_t)1 << 20)
#define FILE_MAX ((size_t)8 << 20)

static uint8_t file[FILE_MAX], buf[SIZE * 4];
static size_t len;
static unsigned opened, refused, repaired, hopeless;

static void load(const char *name)
{
    FILE *f = fopen(path(name), "rb");

    MUST(f, "cannot open %s", name);
    len = fread(file, 1, sizeof(file), f);
    fclose(f);
}

static void store(const char *name)
{
    FILE *f = fopen(path(name), "wb");

    MUST(f && fwrite(file, 1, len, f) == len && fclose(f) == 0, "cannot write %s", name);
}

static uint64_t be(size_t at, unsigned bytes)
{
    uint64_t x = 0;

    for (unsigned i = 0; i < bytes && at + i < len; i++)
        x = x << 8 | file[at + i];
    return x;
}

static void put_be(size_t at, unsigned bytes, uint64_t x)
{
    for (unsigned i = bytes; i--; x >>= 8)
        if (at + i < len)
            file[at + i] = (uint8_t)x;
}

/* A number someone might forget to check. */
static uint64_t nasty(uint64_t was)
{
    uint64_t cluster = (uint64_t)1 << (be(20, 4) & 31);

    switch (rnd_below(12)) {
    case 0: return 0;
    case 1: return ~(uint64_t)0;
    case 2: return (uint64_t)1 << rnd_below(64);
    case 3: return was + 1;
    case 4: return was - 1;
    case 5: return was ^ (uint64_t)1 << rnd_below(64);
    case 6: return len & ~(cluster - 1);
    case 7: return rnd_below(len) & ~(cluster - 1);
    case 8: return (rnd_below(len) & ~(cluster - 1)) | (uint64_t)1 << 63;
    case 9: return (uint64_t)1 << 62 | rnd();
    case 10: return rnd();
    default: return rnd_below(256);
    }
}

/* Where an entry lies: in the header or one of the tables. */
static size_t place(void)
{
    size_t l1 = be(40, 8), rt = be(48, 8), l2, block;

    switch (rnd_below(9)) {
    case 0: return 4 * rnd_below(28);
    case 1: return 104 + rnd_below(120);
    case 2: return l1 + 8 * rnd_below(be(36, 4));
    case 3: return rt + 8 * rnd_below(4);
    case 4: return be(64, 8) + rnd_below(80);
    case 5:
        block = be(rt, 8);
        return block + rnd_below(64);
    case 6: return rnd_below(len);
    default:
        l2 = be(l1 + 8 * rnd_below(be(36, 4)), 8) & 0x00fffffffffffe00u;
        return l2 + 8 * rnd_below((size_t)1 << (be(20, 4) & 31) >> 3);
    }
}

static void damage(void)
{
    for (unsigned n = 1 + (unsigned)rnd_below(4); n--;) {
        size_t at = place();
        unsigned bytes = 1u << rnd_below(4);

        put_be(at, bytes, nasty(be(at, bytes)));
    }
    if (rnd_below(12) == 0)
        len = rnd_below(len);
}

static void use(struct block *b)
{
    uint64_t size = b->size < sizeof(buf) ? b->size : sizeof(buf), extent = size;
    enum block_kind kind;
    struct block_error e;

    for (unsigned i = 0; i < 24 && size; i++) {
        uint64_t off = rnd_below(rnd_below(2) ? size : b->size), n = 1 + rnd_below(100000);

        n = n < b->size - off ? n : b->size - off;
        extent = n;
        switch (rnd_below(7)) {
        case 0: case 1: block_read(b, off, buf, n); break;
        case 2: case 3: block_write(b, off, buf, n); break;
        case 4: block_zero(b, off, n, rnd_below(2)); break;
        case 5: block_discard(b, off, n); break;
        default: block_extent(b, off, &extent, &kind);
        }
    }
    if (b->writable && rnd_below(3) == 0)
        block_resize(b, 512 + (rnd_below(SIZE * 2) & ~(uint64_t)511), BLOCK_PREALLOC_OFF, &e);
    block_flush(b);
}

static bool same_file(void)
{
    static uint8_t was[FILE_MAX];
    size_t n = len;
    bool same;

    memcpy(was, file, len);
    load("hurt");
    same = n == len && memcmp(was, file, n) == 0;
    memcpy(file, was, n);
    len = n;
    return same;
}

static void check_after_repair(void)
{
    struct block_check c = { 0 };
    struct block_error e;
    struct block *b = block_open(path("hurt"), &(struct block_open){ .repair = true, .format = "qcow2" }, &e,
                                 NULL);

    MUST(b, "after its repair: %s", e.text);
    MUST(!block_check(b, &c, 0, &e), "%s", e.text);
    MUST(!c.corruptions && !c.leaks, "after its repair: %llu errors, %llu leaks",
         (unsigned long long)c.corruptions, (unsigned long long)c.leaks);
    block_close(b);
    if (have_qemu_img() && rnd_below(4) == 0) {
        int r = run("qemu-img check -f qcow2 hurt >check.log 2>&1");

        /* 1: it does not open what breaks its own limits. */
        if (r == 2 || r == 3) {
            run("head -n 12 check.log");
            broken("after a repair: qemu-img check: exit code %d", r);
        }
    }
}

static void one(void)
{
    struct block_open o = { .format = "qcow2", .writable = rnd_below(4) != 0, .no_backing = true };
    struct block_error e;
    struct block_check c = { 0 };
    struct block *b;
    int error;

    store("hurt");
    b = block_open(path("hurt"), &o, &e, &error);
    if (!b) {
        refused++;
        MUST(e.text[0] && error < 0, "refused without a reason");
        MUST(same_file() || strstr(e.text, "was not closed"), "refused, but changed: %s", e.text);
    } else {
        opened++;
        use(b);
        block_close(b);
    }
    o = (struct block_open){ .format = "qcow2", .writable = true, .repair = true };
    b = block_open(path("hurt"), &o, &e, &error);
    if (!b)
        return;
    error = block_check(b, &c, BLOCK_FIX_LEAKS | BLOCK_FIX_ERRORS, &e);
    if (error || c.corruptions)
        hopeless++;
    else
        repaired++;
    block_close(b);
    if (!error && !c.corruptions && !c.leaks)
        check_after_repair();
}

/* What the damage is done to. */
static void make(void)
{
    struct block *b;

    make_image("whole", SIZE, NULL);
    b = must_open("whole", (struct block_open){ .writable = true });
    for (unsigned i = 0; i < 10; i++) {
        uint64_t off = rnd_below(SIZE - 60000);

        memset(buf, 1 + (int)rnd_below(255), 60000);
        MUST(!block_write(b, off, buf, rnd_below(60000)), "cannot write");
    }
    for (unsigned i = 0; i < 4; i++) {
        struct block_info info;
        uint64_t off;

        block_info(b, &info);
        off = rnd_below(SIZE) & ~(info.cluster_size - 1);
        block_write_compressed(b, off, buf, info.cluster_size < SIZE - off ? info.cluster_size : SIZE - off);
    }
    MUST(!block_close(b), "close failed");
    if (snapshot_possible() && rnd_below(2))
        MUST(!run("qemu-img snapshot -c s1 whole"), "qemu-img snapshot failed");
}

static void hangs(int sig)
{
    (void)sig;
    broken("it hangs");
}

/* An image of `seed`, damaged in many ways. */
static void one_seed(void)
{
    alarm(60);                  /* a hang is a failure as well */
    do
        make();
    while (run("test $(stat -c %%s whole) -le %zu", FILE_MAX));
    for (unsigned i = 0; i < 20; i++) {
        load("whole");
        damage();
        one();
    }
}

/* Seeds that found something. */
static const uint64_t known[] = {
    1795949627,                 /* a compressed cluster with subclusters was let pass */
    1795961895,                 /* and an L1 entry with a mark and no table */
    1795979497,                 /* refused for two tables in one place, with its header written anew before */
};

int main(int argc, char **argv)
{
    uint64_t first = 1;
    unsigned seconds = 5;
    time_t end;

    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--seed") == 0)
            first = strtoull(argv[i + 1], NULL, 0);
        else if (strcmp(argv[i], "--seconds") == 0)
            seconds = (unsigned)atoi(argv[i + 1]);
    }
    env_start();
    signal(SIGALRM, hangs);
    end = time(NULL) + seconds;
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        seed = known[i];
        one_seed();
    }
    for (seed = first; time(NULL) < end; seed++)
        one_seed();
    printf("fuzz_image: seeds %llu to %llu: %u opened, %u refused; then %u whole or repaired, %u not\n",
           (unsigned long long)first, (unsigned long long)seed - 1, opened, refused, repaired, hopeless);
    return 0;
}
