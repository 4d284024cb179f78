/*
 * test_random.c - random operations on random images, beside a copy in memory; kills, power failures, full
 * disks.
 *
 * usage: test_random [--seed N] [--seconds N] [--only random|power|kill|full|snapshot]
 */
#define _GNU_SOURCE
#include "tests/block/blocktest.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MAX_SIZE ((uint64_t)3 << 20)
#define MAX_LEN 300000u

static uint8_t shadow[MAX_SIZE], buf[MAX_SIZE], then[MAX_SIZE];

static uint64_t random_size(void)
{
    return (512 + rnd_below(MAX_SIZE - 512)) & ~(uint64_t)511;
}

/* Short ones are frequent, and so are aligned ones. */
static void random_range(uint64_t size, uint64_t *off, uint64_t *len)
{
    *off = rnd_below(size);
    *len = 1 + (rnd_below(3) ? rnd_below(9000) : rnd_below(MAX_LEN));
    if (rnd_below(2)) {
        *off &= ~(uint64_t)4095;
        *len = (*len + 4095) & ~(uint64_t)4095;
    }
    *len = *len < size - *off ? *len : size - *off;
}

static void random_bytes(uint8_t *p, uint64_t n)
{
    uint64_t x = rnd();

    for (uint64_t i = 0; i < n; i++) {
        if (i % 8 == 0)
            x = x * 6364136223846793005u + 1442695040888963407u;
        p[i] = (uint8_t)(x >> 56 >> (i % 3));
    }
}

static void compare(struct block *b, uint64_t off, uint64_t len)
{
    MUST(!block_read(b, off, buf, len), "cannot read %llu+%llu: %s", (unsigned long long)off,
         (unsigned long long)len, block_problem(b));
    for (uint64_t i = 0; i < len; i++)
        MUST(buf[i] == shadow[off + i], "byte %llu is %02x instead of %02x (read %llu+%llu)",
             (unsigned long long)(off + i),
             buf[i], shadow[off + i], (unsigned long long)off, (unsigned long long)len);
}

/* ---- one random operation ---- */

static int64_t refill = -1;     /* room the host's disk gets when it was full */

/* What failed for want of room must succeed when there is some. */
static int again(int r, unsigned *tries)
{
    if (r != -ENOSPC || refill < 0)
        return 0;
    MUST(++*tries < 10000, "still no room");
    host_room = (int64_t)rnd_below((uint64_t)refill);
    return 1;
}

#define RETRY(r, call) do { unsigned tries = 0; do r = (call); while (again(r, &tries)); } while (0)

static void discard(struct block *b, uint64_t off, uint64_t len)
{
    int r;

    RETRY(r, block_discard(b, off, len));
    MUST(!r, "discard: %s", strerror(-r));
    MUST(!block_read(b, off, buf, len), "cannot read");
    for (uint64_t i = 0; i < len; i++)
        MUST(!buf[i] || buf[i] == shadow[off + i], "byte %llu is neither zero nor as it was",
             (unsigned long long)(off + i));
    memcpy(shadow + off, buf, len);
}

static void step(struct block *b)
{
    uint64_t off, len;
    int r = 0;

    random_range(b->size, &off, &len);
    switch (rnd_below(12)) {
    case 0: case 1: case 2: case 3: case 4:
        if (rnd_below(5))
            random_bytes(buf, len);
        else
            memset(buf, 0, len);
        memcpy(shadow + off, buf, len);
        RETRY(r, block_write(b, off, shadow + off, len));
        break;
    case 5:
        memset(shadow + off, 0, len);
        RETRY(r, block_zero(b, off, len, rnd_below(2)));
        break;
    case 6:
        discard(b, off, len);
        break;
    case 7:
        RETRY(r, block_flush(b));
        break;
    case 8: {
        struct block_info i;

        block_info(b, &i);
        off &= ~(i.cluster_size - 1);
        len = i.cluster_size < b->size - off ? i.cluster_size : b->size - off;
        random_bytes(shadow + off, len / 3);
        RETRY(r, block_write_compressed(b, off, shadow + off, len));
        break;
    }
    default:
        compare(b, off, len);
    }
    MUST(!r, "operation at %llu+%llu: %s (%s)", (unsigned long long)off, (unsigned long long)len,
         strerror(-r), block_problem(b) ? block_problem(b) : "no problem known");
}

static void resize(struct block *b)
{
    uint64_t size = random_size(), old = b->size;
    struct block_error e;
    struct block_info i;
    int r;

    block_info(b, &i);
    if (i.nsnapshots && (size < old || i.version < 3))
        return;
    r = block_resize(b, size, BLOCK_PREALLOC_OFF, &e);
    MUST(!r, "%s", e.text);
    if (size > old)
        memset(shadow + old, 0, size - old);
}

static const enum block_cache modes[] = { BLOCK_WRITEBACK, BLOCK_WRITEBACK, BLOCK_NONE, BLOCK_WRITETHROUGH,
    BLOCK_DIRECTSYNC, BLOCK_UNSAFE };

/* Some file systems have no direct I/O. */
static struct block *open_random(const char *name)
{
    struct block_open o = { .writable = true, .cache = modes[rnd_below(6)], .no_discard = rnd_below(8) == 0,
                            .detect_zeroes = rnd_below(3), .copy_on_read = rnd_below(2), .table_cache = rnd_below(2) };      /* next to none: tables come and go */
    struct block_error e;
    struct block *b = block_open(path(name), &o, &e, NULL);

    if (!b && strstr(e.text, "direct I/O")) {
        o.cache = BLOCK_WRITEBACK;
        b = block_open(path(name), &o, &e, NULL);
    }
    MUST(b, "%s", e.text);
    return b;
}

static void compare_with_qemu(const char *name, uint64_t size)
{
    FILE *f;

    if (!have_qemu_img())
        return;
    f = fopen(path("shadow"), "wb");
    MUST(f && fwrite(shadow, 1, size, f) == size && fclose(f) == 0, "cannot write the copy");
    if (run("qemu-img compare -f qcow2 -F raw %s shadow >check.log 2>&1", name)) {
        run("cat check.log");
        broken("qemu-img compare disagrees");
    }
}

static void random_case(void)
{
    uint64_t size = random_size(), then_size = 0;
    struct block *b;

    make_image("a", size, "base");
    b = must_open("a", (struct block_open){ 0 });
    MUST(b->size == size && !block_read(b, 0, shadow, size), "cannot read the new image");
    block_close(b);
    for (unsigned round = 0; round < 4; round++) {
        b = open_random("a");
        for (unsigned i = 0; i < 40; i++)
            step(b);
        if (rnd_below(2))
            resize(b);
        for (unsigned i = 0; i < 10; i++)
            step(b);
        size = b->size;
        compare(b, 0, size);
        MUST(!block_close(b), "close failed");
        check_image("a", false);
        compare_with_qemu("a", size);
        /* A snapshot by the other program shares all clusters. */
        if (round == 1 && snapshot_possible()) {
            MUST(!run("qemu-img snapshot -c s1 a"), "qemu-img snapshot failed");
            memcpy(then, shadow, size);
            then_size = size;
        }
    }
    if (then_size) {
        b = must_open("a", (struct block_open){ .snapshot = "s1" });
        MUST(b->size == then_size, "the snapshot has another size");
        memcpy(shadow, then, then_size);
        compare(b, 0, then_size);
        block_close(b);
    }
}

/* ---- snapshots ---- */

#define KEPT 4u

static struct {
    bool there;
    char name[8];
    uint8_t disk[MAX_SIZE], state[200000];
    size_t state_len;
} kept[KEPT];

static void keep(struct block *b, unsigned n)
{
    struct block_error e;
    int r;

    snprintf(kept[n].name, sizeof(kept[n].name), "s%u", n);
    kept[n].state_len = rnd_below(2) ? (size_t)rnd_below(sizeof(kept[n].state)) : 0;
    random_bytes(kept[n].state, kept[n].state_len);
    r = block_snapshot_create(b, &(struct block_snapshot){ .name = kept[n].name, .vm_state = kept[n].state_len, .date = 1 },
                              kept[n].state, &e);
    if (r == -EMLINK)
        return;                 /* refcounts of few bits */
    MUST(!r, "%s", e.text);
    MUST(block_snapshot_create(b, &(struct block_snapshot){ .name = kept[n].name }, NULL, &e) == -EEXIST,
         "one name was given twice");
    memcpy(kept[n].disk, shadow, b->size);
    kept[n].there = true;
}

static void snapshot_step(struct block *b)
{
    unsigned n = (unsigned)rnd_below(KEPT);
    struct block_error e;
    int r;

    if (!kept[n].there) {
        keep(b, n);
        return;
    }
    if (rnd_below(2)) {
        MUST(!block_snapshot_delete(b, kept[n].name, &e), "%s", e.text);
        MUST(block_snapshot_apply(b, kept[n].name, &e) == -ENOENT, "it is still there");
        kept[n].there = false;
        return;
    }
    r = block_snapshot_apply(b, kept[n].name, &e);
    if (r == -EMLINK)
        return;
    MUST(!r, "%s", e.text);
    memcpy(shadow, kept[n].disk, b->size);
}

/* Each snapshot is what it was, to others that read the file as well. */
static void compare_kept(const char *name, uint64_t size)
{
    static uint8_t state[sizeof(kept[0].state)], disk[MAX_SIZE];
    struct block_error e;

    for (unsigned n = 0; n < KEPT; n++) {
        struct block *b;

        if (!kept[n].there)
            continue;
        b = must_open(name, (struct block_open){ .snapshot = kept[n].name });
        MUST(b->size == size && !block_read(b, 0, disk, size), "snapshot %u cannot be read", n);
        MUST(memcmp(disk, kept[n].disk, size) == 0, "snapshot %u holds something else", n);
        block_close(b);
        b = must_open(name, (struct block_open){ .writable = rnd_below(2) });
        MUST(!block_snapshot_state(b, kept[n].name, state, kept[n].state_len, &e), "%s", e.text);
        MUST(memcmp(state, kept[n].state, kept[n].state_len) == 0, "state %u is another", n);
        block_close(b);
    }
}

static void snapshot_case(void)
{
    uint64_t size = random_size();
    struct block_info i;
    struct block *b;

    memset(kept, 0, sizeof(kept));
    do {
        make_image("a", size, "base");
        b = must_open("a", (struct block_open){ 0 });
        block_info(b, &i);
        MUST(!block_read(b, 0, shadow, size), "cannot read the new image");
        block_close(b);
    } while (i.version < 3);
    for (unsigned round = 0; round < 4; round++) {
        b = open_random("a");
        for (unsigned k = 0; k < 60; k++) {
            if (rnd_below(6) == 0)
                snapshot_step(b);
            else
                step(b);
        }
        compare(b, 0, size);
        MUST(!block_close(b), "close failed");
        check_image("a", false);
        compare_with_qemu("a", size);
        compare_kept("a", size);
    }
}

static void full_case(void)
{
    uint64_t size = random_size();
    struct block *b;
    int r;

    make_image("a", size, "base");
    b = must_open("a", (struct block_open){ .writable = true });
    MUST(!block_read(b, 0, shadow, size), "cannot read the new image");
    refill = 300000;
    host_room = 0;
    for (unsigned i = 0; i < 60; i++)
        step(b);
    compare(b, 0, size);
    RETRY(r, block_flush(b));
    MUST(!r, "flush: %s", strerror(-r));
    host_room = refill = -1;
    MUST(!block_close(b), "close failed");
    check_image("a", false);
    compare_with_qemu("a", size);
}

/* ---- what is there when something was cut off ---- */

#define SECTOR 512
#define SECTORS (MAX_SIZE / SECTOR)
#define LATER 24

/*
 * Each write gives its sectors a new number.  After a crash, a sector has the last number that was flushed,
 * or one of those written to it since.
 */
struct model {
    uint32_t durable[SECTORS];
    uint32_t later[SECTORS][LATER];
    uint8_t nlater[SECTORS];
    uint32_t number;
    uint64_t size;
};

static void sector_fill(uint8_t *p, uint64_t sector, uint32_t number)
{
    for (unsigned i = 0; i < SECTOR / 8; i++) {
        uint64_t x = number ? (sector << 32 | number) * 0x9e3779b97f4a7c15u + i : 0;
        memcpy(p + 8 * i, &x, 8);
    }
}

/* The range gets a number (0: zeros); made known before the write, which may be cut off. */
static void model_write(struct model *m, uint64_t off, uint64_t len, uint32_t number)
{
    for (uint64_t s = off / SECTOR; s < (off + len) / SECTOR; s++) {
        if (m->nlater[s] < LATER)
            m->later[s][m->nlater[s]++] = number;
        sector_fill(buf + s * SECTOR - off, s, number);
    }
}

static void model_flushed(struct model *m)
{
    for (uint64_t s = 0; s < m->size / SECTOR; s++) {
        if (m->nlater[s])
            m->durable[s] = m->later[s][m->nlater[s] - 1];
        m->nlater[s] = 0;
    }
}

/* A write, zeros, or a flush. */
static void model_step(struct block *b, struct model *m)
{
    uint64_t off, len;
    int r;

    random_range(m->size, &off, &len);
    off &= ~(uint64_t)(SECTOR - 1);
    len = (len + SECTOR - 1) & ~(uint64_t)(SECTOR - 1);
    len = len < m->size - off ? len : m->size - off;
    for (uint64_t s = off / SECTOR; s < (off + len) / SECTOR; s++) {
        if (m->nlater[s] == LATER) {
            MUST(!block_flush(b), "flush failed");
            model_flushed(m);
        }
    }
    if (rnd_below(6) == 0) {
        MUST(!block_flush(b), "flush failed");
        model_flushed(m);
        return;
    }
    if (rnd_below(4) == 0) {
        model_write(m, off, len, 0);
        r = block_zero(b, off, len, rnd_below(2));
    } else {
        model_write(m, off, len, ++m->number);
        r = block_write(b, off, buf, len);
    }
    MUST(!r, "write failed: %s", strerror(-r));
}

static void model_compare(const char *name, const struct model *m)
{
    struct block *b = must_open(name, (struct block_open){ 0 });
    uint8_t want[SECTOR];

    MUST(!block_read(b, 0, shadow, m->size), "cannot read %s: %s", name, block_problem(b));
    for (uint64_t s = 0; s < m->size / SECTOR; s++) {
        bool good;

        sector_fill(want, s, m->durable[s]);
        good = memcmp(want, shadow + s * SECTOR, SECTOR) == 0;
        for (unsigned i = 0; i < m->nlater[s] && !good; i++) {
            sector_fill(want, s, m->later[s][i]);
            good = memcmp(want, shadow + s * SECTOR, SECTOR) == 0;
        }
        MUST(good, "sector %llu: not what was flushed, nor anything written later", (unsigned long long)s);
    }
    block_close(b);
}

static void power_case(void)
{
    static struct model m, at[16];
    unsigned cuts[16], n = 0;
    struct block *b;

    memset(&m, 0, sizeof(m));
    m.size = random_size();
    make_image("a", m.size, NULL);
    b = must_open("a", (struct block_open){ .writable = true });
    /* It begins with some contents. */
    for (unsigned i = 0; i < 10; i++)
        model_step(b, &m);
    MUST(!block_close(b), "close failed");
    model_flushed(&m);
    if (snapshot_possible() && rnd_below(2))
        MUST(!run("qemu-img snapshot -c s1 a"), "qemu-img snapshot failed");
    MUST(!run("cp --sparse=always a before"), "cannot copy");
    b = must_open("a", (struct block_open){ .writable = true });
    host_log_start();
    for (unsigned i = 0; i < 60 && n < 16; i++) {
        unsigned from = host_log_length(), to;

        at[n] = m;              /* the power may fail anywhere within the next step */
        model_step(b, &m);
        to = host_log_length();
        /* Most of what can go wrong is in flushes. */
        if (rnd_below(host_log_syncs(from) ? 2 : 8) == 0) {
            cuts[n] = from + (unsigned)rnd_below(to - from + 1);
            /* What this step wrote may be there, and no flush of it counts. */
            for (uint64_t s = 0; s < m.size / SECTOR; s++) {
                if (m.nlater[s] > at[n].nlater[s]) {
                    at[n].later[s][at[n].nlater[s]] = m.later[s][m.nlater[s] - 1];
                    at[n].nlater[s]++;
                }
            }
            n++;
        }
    }
    for (unsigned i = 0; i < n; i++) {
        host_power_failure("before", "cut", cuts[i]);
        model_compare("cut", &at[i]);
        check_image("cut", true);
    }
    host_log_stop();
    MUST(!block_close(b), "close failed");
}

static void kill_case(void)
{
    struct model *m = mmap(NULL, sizeof(*m), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t child;
    int status;

    m->size = random_size();
    make_image("a", m->size, NULL);
    for (unsigned round = 0; round < 4; round++) {
        struct timespec ts = { 0, (long)rnd_below(60000000) };

        child = fork();
        if (!child) {
            struct block *b = must_open("a", (struct block_open){ .writable = true });

            for (uint64_t i = 0; i < round * 1000u + 1u; i++)
                rnd();
            for (;;)
                model_step(b, m);
        }
        nanosleep(&ts, NULL);
        kill(child, SIGKILL);
        MUST(waitpid(child, &status, 0) == child && WIFSIGNALED(status), "the writing process ended by "
             "itself");
        model_compare("a", m);
        check_image("a", true);
        /* What was found is where the next round begins: nobody may rely on what was not flushed. */
        for (uint64_t s = 0; s < m->size / SECTOR; s++) {
            uint8_t want[SECTOR];

            for (unsigned i = m->nlater[s]; i--;) {
                sector_fill(want, s, m->later[s][i]);
                if (memcmp(want, shadow + s * SECTOR, SECTOR) == 0) {
                    m->durable[s] = m->later[s][i];
                    break;
                }
            }
            m->nlater[s] = 0;
        }
    }
    munmap(m, sizeof(*m));
}

int main(int argc, char **argv)
{
    static const struct { const char *name; void (*run)(void); } cases[] = {
        { "random", random_case }, { "power", power_case }, { "kill", kill_case }, { "full", full_case },
        { "snapshot", snapshot_case },
    };
    uint64_t first = 1;
    unsigned seconds = 8, done[5] = { 0 };
    const char *only = NULL;
    time_t end;

    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--seed") == 0)
            first = strtoull(argv[i + 1], NULL, 0);
        else if (strcmp(argv[i], "--seconds") == 0)
            seconds = (unsigned)atoi(argv[i + 1]);
        else if (strcmp(argv[i], "--only") == 0)
            only = argv[i + 1];
    }
    env_start();
    end = time(NULL) + seconds;
    for (seed = first; time(NULL) < end || seed < first + 5; seed++) {
        unsigned k = seed % 5;

        if (only)
            for (k = 0; k < 5 && strcmp(only, cases[k].name) != 0; k++)
                ;
        if (k == 5)
            broken("there is no case %s", only);
        cases[k].run();
        done[k]++;
    }
    printf("test_random: seeds %llu to %llu:", (unsigned long long)first, (unsigned long long)seed - 1);
    for (unsigned k = 0; k < 5; k++)
        printf(" %u %s", done[k], cases[k].name);
    printf("\n");
    return 0;
}
