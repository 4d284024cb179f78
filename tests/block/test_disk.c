/*
 * test_disk.c - the queue between chip and image: order, barriers, full disks; locks, guessed formats,
 * overlays.
 */
#define _GNU_SOURCE
#include "tests/block/blocktest.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "block/disk.h"
#include "host/evloop.h"

#define SIZE ((uint64_t)2 << 20)
#define MOST 40                 /* requests under way */
#define LEN_MAX 40000u

static struct evloop *loop;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;        /* the device lock, where there is one */
static bool locked;
static struct disk *disk;
static struct disk_policy policy;
static unsigned events[5];
static char last_event[512];
static uint8_t shadow[SIZE];

static struct disk_event last;

static void event(void *arg, const struct disk_event *e)
{
    events[e->kind]++;
    last = *e;
    if (e->text)
        snprintf(last_event, sizeof(last_event), "%s", e->text);
}

/* One round of the loop; with a device lock the disk's threads may answer by themselves meanwhile. */
static void step(uint64_t ns)
{
    if (locked)
        pthread_mutex_unlock(&lock);
    evloop_step(loop, ns);
    if (locked)
        pthread_mutex_lock(&lock);
}

/* ---- random requests ---- */

struct request {
    struct disk_req r;
    struct disk_buf bufs[5];
    uint8_t data[LEN_MAX], want[LEN_MAX];
    bool busy;
    unsigned number;
};

static struct request requests[MOST];
static unsigned submitted, answered, answering;

static void done(struct disk_req *r)
{
    struct request *q = r->dev;
    uint8_t *p = q->data;

    MUST(!__atomic_fetch_add(&answering, 1, __ATOMIC_SEQ_CST), "two answers at a time");
    MUST(!r->error, "request %u: %s", q->number, strerror(-r->error));
    q->busy = false;
    answered++;
    __atomic_fetch_sub(&answering, 1, __ATOMIC_SEQ_CST);
    if (r->op == DISK_READ) {
        for (uint64_t i = 0; i < r->len; i++)
            MUST(p[i] == q->want[i], "request %u: byte %llu is %02x instead of %02x", q->number,
                 (unsigned long long)(r->off + i), p[i], q->want[i]);
    }
}

/* A flush must not be answered before the writes it covers. */
static void flushed(struct disk_req *r)
{
    struct request *q = r->dev;

    for (unsigned i = 0; i < MOST; i++)
        MUST(!requests[i].busy || requests[i].number > q->number || requests[i].r.op == DISK_READ ||
             requests[i].r.op == DISK_FLUSH, "flush %u was answered before %u", q->number,
                 requests[i].number);
    done(r);
}

static void cut(struct request *q)
{
    uint64_t left = q->r.len;
    uint8_t *p = q->data;
    unsigned n = 0;

    while (left) {
        uint64_t len = n == 4 ? left : 1 + rnd_below(left);

        q->bufs[n++] = (struct disk_buf){ p, len };
        p += len;
        left -= len;
    }
    q->r.bufs = q->bufs;
    q->r.nbufs = n;
}

static void submit_random(struct request *q)
{
    static const enum disk_op op[] = { DISK_READ, DISK_READ, DISK_WRITE, DISK_WRITE, DISK_WRITE, DISK_FLUSH,
                                      DISK_ZERO };
    struct disk_req *r = &q->r;

    memset(r, 0, sizeof(*r));
    r->op = op[rnd_below(7)];
    r->off = rnd_below(SIZE / 8) * (rnd_below(4) ? 1 : 8);
    r->len = 1 + rnd_below(rnd_below(2) ? LEN_MAX : 2000);
    r->len = r->len < SIZE - r->off ? r->len : SIZE - r->off;
    r->done = r->op == DISK_FLUSH ? flushed : done;
    r->dev = q;
    r->fua = rnd_below(10) == 0;
    r->unmap = rnd_below(2);
    q->busy = true;
    q->number = submitted++;
    cut(q);
    /* Of overlapping requests the order counts: what a read gives is known now. */
    if (r->op == DISK_READ) {
        memcpy(q->want, shadow + r->off, r->len);
    } else if (r->op == DISK_WRITE) {
        for (uint64_t i = 0; i < r->len; i++)
            q->data[i] = (uint8_t)(q->number * 7 + i);
        memcpy(shadow + r->off, q->data, r->len);
    } else if (r->op == DISK_ZERO) {
        memset(shadow + r->off, 0, r->len);
    }
    disk_submit(disk, r);
}

static void some_requests(unsigned n)
{
    for (unsigned end = submitted + n; submitted < end;) {
        unsigned i = (unsigned)rnd_below(MOST);

        if (!requests[i].busy)
            submit_random(&requests[i]);
        else
            step(1000000);
    }
}

static void start(struct block *b)
{
    submitted = answered = 0;
    memset(events, 0, sizeof(events));
    disk = disk_new(loop, b, 4, &policy, event, NULL);
}

static void order_case(void)
{
    memset(shadow, 0, sizeof(shadow));
    make_image("a", SIZE, NULL);
    start(must_open("a", (struct block_open){ .writable = true }));
    some_requests(600);
    MUST(!disk_drain(disk) && answered == submitted, "%u of %u requests answered", answered, submitted);
    some_requests(100);
    MUST(!disk_free(disk) && answered == submitted, "%u of %u requests answered", answered, submitted);
    check_image("a", false);
}

/* "a" over "base", and what it holds. */
static void make_overlay(void)
{
    struct block *b = NULL;
    bool over;

    do {
        block_close(b);
        make_image("a", SIZE, "base");
        b = must_open("a", (struct block_open){ 0 });
        over = b->backing;
    } while (!over);
    MUST(!block_read(b, 0, shadow, SIZE), "cannot read");
    block_close(b);
}

/* Reads of an overlay that copy: beside writes as without them, and afterwards it needs its backing file no longer. */
static void copy_case(void)
{
    static uint8_t whole[SIZE];
    enum block_kind kind;
    struct block *b;
    uint64_t len, absent = 0;

    make_overlay();
    run("cp base before");
    start(must_open("a", (struct block_open){ .writable = true, .copy_on_read = true }));
    some_requests(300);
    MUST(!disk_drain(disk) && answered == submitted, "%u of %u requests answered", answered, submitted);
    b = disk_block(disk);
    MUST(block_read_writes(b) && !block_read(b, 0, whole, SIZE) && !memcmp(whole, shadow, SIZE), "it reads as something else");
    for (uint64_t off = 0; off < SIZE; off += len) {
        len = SIZE - off;
        MUST(!block_extent(b, off, &len, &kind), "no extent");
        /* Zeros need not be copied: they are zeros without backing file, too. */
        for (uint64_t i = off; i < off + len; i++)
            absent += kind == BLOCK_ABSENT && shadow[i];
    }
    MUST(!absent, "%llu bytes were not copied", (unsigned long long)absent);
    MUST(!disk_free(disk), "close failed");
    check_image("a", false);
    MUST(!run("cmp base before"), "the backing file was changed");
    b = must_open("a", (struct block_open){ .no_backing = true });
    MUST(!block_read(b, 0, whole, SIZE) && !memcmp(whole, shadow, SIZE), "it still needs its backing file");
    block_close(b);
    /* What cannot be copied is read all the same. */
    make_overlay();
    b = must_open("a", (struct block_open){ .writable = true, .copy_on_read = true });
    host_room = 0;
    MUST(!block_read(b, 0, whole, SIZE) && !memcmp(whole, shadow, SIZE), "a full disk is in the way of reading");
    host_room = -1;
    MUST(!block_close(b), "close failed");
    check_image("a", true);
}

/* Zeros that are written take space, or none, or give it back. */
static void detect_case(void)
{
    static uint8_t ones[1 << 20], zeros[1 << 20];
    struct iovec v[2] = { { zeros, 4096 }, { zeros, sizeof(zeros) - 4096 } };
    unsigned before, after;

    memset(ones, 0x11, sizeof(ones));
    for (unsigned mode = 0; mode < 3; mode++) {
        struct block *b;

        run("rm -f r; truncate -s 4M r");
        b = must_open("r", (struct block_open){ .writable = true, .format = "raw", .detect_zeroes = mode });
        MUST(!block_write(b, 0, ones, sizeof(ones)) && !block_flush(b), "cannot write");
        before = (unsigned)(hostfile_disk_usage(&b->file) / 512);
        MUST(!block_write(b, 0, zeros, sizeof(zeros)) && !block_flush(b), "cannot write");
        after = (unsigned)(hostfile_disk_usage(&b->file) / 512);
        MUST(before >= sizeof(ones) / 512, "%u blocks", before);
        MUST(mode == BLOCK_DETECT_UNMAP ? after < 100 : after >= sizeof(ones) / 512, "mode %u: %u blocks are %u", mode, before, after);
        MUST(block_writev(b, 2 << 20, v, 2, sizeof(zeros)) <= 0 && !block_flush(b), "cannot write in pieces");
        MUST(!block_read(b, 0, ones, sizeof(ones)) && !memcmp(ones, zeros, sizeof(ones)), "they are no zeros");
        memset(ones, 0x11, sizeof(ones));
        MUST(!block_close(b), "close failed");
        if (!have_qemu_img())
            continue;
        run("rm -f q; qemu-img create -q -f qcow2 q 4M");
        b = must_open("q", (struct block_open){ .writable = true, .detect_zeroes = mode });
        MUST(!block_write(b, 1 << 20, zeros, sizeof(zeros)) && !block_write(b, 2 << 20, ones, 65536), "cannot write");
        MUST(!block_close(b), "close failed");
        MUST(run("test $(stat -c %%b q) -lt 1500") == !mode, "mode %u: zeros take %s space", mode, mode ? "some" : "no");
        check_image("q", false);
    }
}

/* One that still has to grow. */
static struct block *growing_image(void)
{
    struct block *b = NULL;

    do {
        block_close(b);
        make_image("a", SIZE, NULL);
        b = must_open("a", (struct block_open){ .writable = true });
    } while (b->file.size > SIZE / 2);
    return b;
}

static void full_case(void)
{
    memset(shadow, 0, sizeof(shadow));
    start(growing_image());
    host_room = 50000;
    while (!events[DISK_EVENT_FULL]) {
        unsigned i = (unsigned)rnd_below(MOST), busy = 0;

        for (unsigned k = 0; k < MOST; k++)
            busy += requests[k].busy;
        if (!requests[i].busy && busy < MOST - 5)
            submit_random(&requests[i]);
        step(busy < MOST - 5 ? 0 : 10000000);
    }
    MUST(strstr(last_event, "no room"), "%s", last_event);
    MUST(disk_drain(disk) == -ENOSPC, "a full disk has no requests that wait");
    MUST(!events[DISK_EVENT_ROOM] && !events[DISK_EVENT_REPORT], "%s", last_event);
    host_room = -1;
    while (!events[DISK_EVENT_ROOM] || answered < submitted)
        step(10000000);                         /* the retry comes by itself */
    MUST(events[DISK_EVENT_FULL] == 1 && events[DISK_EVENT_ROOM] == 1, "%u, %u events", events[0], events[1]);
    some_requests(100);
    MUST(!disk_free(disk) && answered == submitted, "%u of %u requests answered", answered, submitted);
    check_image("a", false);
}

/* The same with a device lock: answers come from the loop and from the disk's threads, never two at a time. */
static void locked_case(void)
{
    struct evloop *without = loop;

    loop = evloop_new();
    evloop_attach(loop, NULL, &lock);
    pthread_mutex_lock(&lock);
    locked = true;
    order_case();
    full_case();
    locked = false;
    pthread_mutex_unlock(&lock);
    evloop_free(loop);
    loop = without;
}

/* Ended while the disk is full: everything is answered, the image is whole. */
static int last_error;
static void failed(struct disk_req *r)
{
    last_error = r->error;
}

static void full_end_case(void)
{
    static uint8_t data[300000];
    struct disk_buf buf = { data, sizeof(data) };
    struct disk_req r = { .op = DISK_WRITE, .len = sizeof(data), .bufs = &buf, .nbufs = 1, .done = failed };

    start(growing_image());
    memset(data, 0x55, sizeof(data));
    host_room = 1000;
    disk_submit(disk, &r);
    while (!events[DISK_EVENT_FULL])
        evloop_step(loop, UINT64_MAX);
    MUST(disk_free(disk) == -ENOSPC && last_error == -ENOSPC, "the write did not end with -ENOSPC");
    host_room = -1;
    check_image("a", true);
}

/* ---- images ---- */

static void overlay_case(void)
{
    struct block *base, *b;
    struct block_error e;
    uint8_t was[4096], is[4096];

    make_image("a", SIZE, "base");
    run("cp a before");
    base = must_open("a", (struct block_open){ 0 });
    MUST(!block_read(base, 8192, was, sizeof(was)), "cannot read");
    b = block_overlay(base, &e);
    MUST(b, "%s", e.text);
    MUST(b->size == SIZE && !block_read(b, 8192, is, sizeof(is)) && !memcmp(was, is, sizeof(is)),
         "the overlay differs");
    memset(is, 0x77, sizeof(is));
    MUST(!block_write(b, 8192, is, sizeof(is)) && !block_flush(b), "cannot write to the overlay");
    MUST(!block_read(b, 8192, was, sizeof(was)) && !memcmp(was, is, sizeof(is)), "the overlay forgets");
    MUST(!block_close(b), "close failed");
    MUST(!run("cmp a before"), "the image under an overlay was changed");
}

static int try_lock(const char *name, bool writable, struct block_error *e)
{
    int error = 0;

    block_close(block_open(path(name), &(struct block_open){ .writable = writable }, e, &error));
    return error;
}

static void lock_case(void)
{
    struct block_error e;
    struct block *b;
    int ready[2], error;
    pid_t child;
    char c;

    make_image("a", SIZE, NULL);
    b = must_open("a", (struct block_open){ 0 });
    MUST(!try_lock("a", false, &e), "two readers: %s", e.text);
    MUST(try_lock("a", true, &e) == -EAGAIN && strstr(e.text, "given twice"), "a writer beside a reader: %s",
         e.text);
    block_close(b);
    MUST(pipe(ready) == 0, "pipe");
    child = fork();
    if (!child) {
        b = must_open("a", (struct block_open){ .writable = true });
        if (write(ready[1], "x", 1) == 1)
            pause();
        _exit(1);
    }
    MUST(read(ready[0], &c, 1) == 1, "the other process did not start");
    error = try_lock("a", true, &e);
    snprintf(last_event, sizeof(last_event), "process %d", (int)child);
    MUST(error == -EAGAIN && strstr(e.text, last_event), "two writers: %s", e.text);
    MUST(try_lock("a", false, &e) == -EAGAIN, "a reader beside a writer");
    if (have_qemu_img())
        MUST(run("qemu-img info a >/dev/null 2>&1") && !run("qemu-img info -U a >/dev/null"),
             "qemu-img ignores the lock");
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    close(ready[0]);
    close(ready[1]);
    MUST(!try_lock("a", true, &e), "after its end: %s", e.text);
}

/* A guest that writes another format's header to its disk, at once or in pieces. */
static void forge_case(void)
{
    static uint8_t sector[512] = "QFI\xfb\0\0\0\3", zeros[4096];
    struct disk_buf buf = { sector, sizeof(sector) };
    struct disk_req r = { .op = DISK_WRITE, .len = sizeof(sector), .bufs = &buf, .nbufs = 1, .done = failed };
    struct block_create c;
    struct block_error e;
    struct block *b;

    block_create_defaults(&c);
    c.format = "raw";
    c.size = SIZE;
    MUST(!block_create(path("r"), &c, &e), "%s", e.text);
    b = must_open("r", (struct block_open){ .writable = true });
    MUST(b->probed && !strcmp(b->ops->format, "raw"), "raw is not guessed");
    MUST(!block_write(b, 0, "xFI\xfb", 4) && block_write(b, 0, "Q", 1) == -EPERM, "a header in two pieces");
    MUST(!block_write(b, 0, "QED", 3) && !block_write(b, 3, "x", 1), "what only begins like a header");
    MUST(block_zero(b, 3, 1000, false) == -EPERM && block_discard(b, 3, 1000) == -EPERM,
         "a header that zeros complete");
    MUST(!block_write(b, 0, zeros, 4096) && block_write(b, 60, "xxxx\x7f\x10\xda\xbe", 8) == -EPERM,
         "not at the beginning");
    MUST(!block_write(b, 512, sector, 512), "the second sector is free");
    start(b);
    disk_submit(disk, &r);
    MUST(!disk_drain(disk) && last_error == -EPERM && events[DISK_EVENT_REPORT] == 1,
         "no error for a forged header");
    MUST(strstr(last_event, "format=raw"), "%s", last_event);
    MUST(!disk_free(disk), "close failed");
    b = must_open("r", (struct block_open){ .writable = true });
    MUST(!strcmp(b->ops->format, "raw"), "a guest has made a %s image", b->ops->format);
    block_close(b);
    b = must_open("r", (struct block_open){ .writable = true, .format = "raw" });
    MUST(!block_write(b, 0, sector, 512), "who says raw means it");
    MUST(!block_close(b), "close failed");
}

/* ---- a chip that takes its memory back ---- */

static unsigned good, canceled;
static void counted(struct disk_req *r)
{
    MUST(!r->error || (r->error == -ECANCELED && r->op == DISK_READ), "%s", strerror(-r->error));
    good += !r->error;
    canceled += r->error != 0;
}

static void drain_case(void)
{
    static uint8_t data[300000], got[8][4096];
    struct disk_buf out = { data, sizeof(data) }, in[8];
    struct disk_req w = { .op = DISK_WRITE, .len = sizeof(data), .bufs = &out, .nbufs = 1, .done = counted }, r[8];

    good = canceled = 0;
    start(growing_image());
    memset(data, 0x77, sizeof(data));
    for (unsigned i = 0; i < 8; i++) {
        in[i] = (struct disk_buf){ got[i], 4096 };
        r[i] = (struct disk_req){ .op = DISK_READ, .off = 4096 * i, .len = 4096, .bufs = &in[i], .nbufs = 1,
                                  .done = counted };
    }
    /* With nothing in their way, or behind a write that is being done: all are answered, and nothing comes later. */
    for (unsigned round = 0; round < 30; round++) {
        good = canceled = 0;
        w.off = 0;
        w.len = out.len = 4096;
        if (round & 1)
            disk_submit(disk, &w);
        for (unsigned i = 0; i < 8; i++)
            disk_submit(disk, &r[i]);
        disk_drain_reads(disk);
        MUST(good + canceled >= 8, "%u reads were answered", good + canceled);
        memset(got, 0xee, sizeof(got));
        MUST(!disk_drain(disk) && good + canceled == 8 + (round & 1), "%u answers", good + canceled);
        for (unsigned i = 0; i < sizeof(got); i++)
            MUST(got[i / 4096][i % 4096] == 0xee, "a read wrote to memory after the drain");
    }
    /* Behind a write that waits for room: they are given up, the write is not. */
    good = canceled = 0;
    w.len = out.len = sizeof(data);
    w.off = SIZE - sizeof(data);
    r[0].off = w.off;
    host_room = 1000;
    disk_submit(disk, &w);
    while (!events[DISK_EVENT_FULL])
        evloop_step(loop, UINT64_MAX);
    disk_submit(disk, &r[0]);
    disk_drain_reads(disk);
    MUST(canceled == 1 && good == 0, "%u canceled, %u done", canceled, good);
    host_room = -1;
    MUST(!disk_drain(disk) && good == 1, "the write was not done");
    MUST(!events[DISK_EVENT_REPORT], "%s", last_event);
    MUST(!disk_free(disk), "close failed");
    check_image("a", false);
}

/* ---- what fails ---- */

/* A read or write of a raw image, whose host fails with `error`: what the guest is told, or 1: it waits. */
static int tried(enum disk_op op, int error, uint8_t *data)
{
    static struct disk_buf buf;
    static struct disk_req r;

    buf = (struct disk_buf){ data, 4096 };
    r = (struct disk_req){ .op = op, .off = 8192, .len = 4096, .bufs = &buf, .nbufs = 1, .done = failed };
    host_read_error = op == DISK_READ ? error : 0;
    host_write_error = op == DISK_WRITE ? error : 0;
    last_error = 1;
    last = (struct disk_event){ .error = 0 };
    disk_submit(disk, &r);
    while (last_error > 0 && !last.error)
        evloop_step(loop, UINT64_MAX);
    return last_error;
}

static void policy_case(void)
{
    static const struct {
        enum disk_on_error how;
        enum disk_op op;
        int error, told;
        enum disk_event_kind event;
    } rows[] = {
        { DISK_AUTO, DISK_READ, EIO, -EIO, DISK_EVENT_REPORT },
        { DISK_AUTO, DISK_WRITE, EIO, -EIO, DISK_EVENT_REPORT },
        { DISK_AUTO, DISK_WRITE, ENOSPC, 1, DISK_EVENT_FULL },
        { DISK_AUTO, DISK_WRITE, EDQUOT, 1, DISK_EVENT_FULL },
        { DISK_REPORT, DISK_READ, EIO, -EIO, DISK_EVENT_REPORT },
        { DISK_REPORT, DISK_WRITE, EIO, -EIO, DISK_EVENT_REPORT },
        { DISK_REPORT, DISK_WRITE, ENOSPC, -ENOSPC, DISK_EVENT_REPORT },
        { DISK_IGNORE, DISK_READ, EIO, 0, DISK_EVENT_IGNORE },
        { DISK_IGNORE, DISK_WRITE, EIO, 0, DISK_EVENT_IGNORE },
        { DISK_IGNORE, DISK_WRITE, ENOSPC, 0, DISK_EVENT_IGNORE },
        { DISK_ENOSPC, DISK_WRITE, EIO, -EIO, DISK_EVENT_REPORT },
        { DISK_ENOSPC, DISK_WRITE, ENOSPC, 1, DISK_EVENT_FULL },
        { DISK_STOP, DISK_READ, EIO, 1, DISK_EVENT_STOP },
        { DISK_STOP, DISK_WRITE, EIO, 1, DISK_EVENT_STOP },
        { DISK_STOP, DISK_WRITE, ENOSPC, 1, DISK_EVENT_FULL },
    };
    static uint8_t data[4096];
    struct disk_stats stats;

    run("rm -f r; truncate -s 1M r");
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        bool write = rows[i].op == DISK_WRITE, waits = rows[i].told > 0;
        int told;

        start(must_open("r", (struct block_open){ .writable = true, .format = "raw" }));
        policy = (struct disk_policy){ rows[i].how, rows[i].how };
        memset(data, (int)i + 1, sizeof(data));
        told = tried(rows[i].op, rows[i].error, data);
        MUST(told == rows[i].told, "row %u: %d", i, told);
        MUST(events[rows[i].event] == 1 && last.read == !write && last.error == -rows[i].error, "row %u: event %d", i, last.kind);
        MUST(disk_waits(disk) == (waits ? -rows[i].error : 0), "row %u: waits: %d", i, disk_waits(disk));
        MUST(write || told || (!data[0] && !memcmp(data, data + 1, 4095)), "row %u: what could not be read is not zeros", i);
        if (waits) {
            /* Tried again while it still fails: told again. Then it succeeds, and nobody is told. */
            disk_resume(disk);
            while (events[rows[i].event] < 2)
                evloop_step(loop, UINT64_MAX);
            MUST(disk_drain(disk) == -rows[i].error && last_error == 1, "row %u: the request does not wait", i);
            host_read_error = host_write_error = 0;
            disk_resume(disk);
            while (last_error > 0)
                evloop_step(loop, UINT64_MAX);
            MUST(!last_error && !disk_waits(disk) && events[rows[i].event] == 2, "row %u: going on: %d", i, last_error);
        }
        host_read_error = host_write_error = 0;
        disk_stats(disk, &stats);
        MUST(stats.op[rows[i].op].failed == !waits, "row %u: %llu failed", i, (unsigned long long)stats.op[rows[i].op].failed);
        if (waits && write)
            MUST(!tried(DISK_READ, 0, data) && data[0] == i + 1, "row %u: the write is not there", i);
        /* One that still waits at the end is answered with what was wrong. */
        if (waits && rows[i].event == DISK_EVENT_STOP) {
            told = tried(rows[i].op, rows[i].error, data);
            MUST(told == 1 && disk_free(disk) == -rows[i].error && last_error == -rows[i].error, "row %u: the end", i);
        } else {
            MUST(!disk_free(disk), "row %u: close failed", i);
        }
        host_read_error = host_write_error = 0;
    }
    policy = (struct disk_policy){ 0 };
}

/* A read that waits is given up when its chip takes the memory back; a read beside a write that waits for room is not. */
static void policy_drain_case(void)
{
    static uint8_t data[4096];

    run("rm -f r; truncate -s 1M r");
    start(must_open("r", (struct block_open){ .writable = true, .format = "raw" }));
    policy.read = policy.write = DISK_STOP;
    MUST(tried(DISK_READ, EIO, data) == 1, "it does not wait");
    disk_drain_reads(disk);
    MUST(last_error == -ECANCELED, "%d", last_error);
    host_read_error = 0;
    disk_resume(disk);
    MUST(tried(DISK_WRITE, ENOSPC, data) == 1 && disk_waits(disk) == -ENOSPC, "it does not wait");
    host_write_error = 0;
    MUST(!disk_drain(disk) && !disk_free(disk), "close failed");
    policy = (struct disk_policy){ 0 };
}

/* With disk_bounce() what is read appears when it is answered. */
static void bounce_case(void)
{
    static uint8_t got[8192];
    struct disk_buf bufs[2] = { { got, 100 }, { got + 4096, 3996 } };
    struct disk_req r = { .op = DISK_READ, .off = 512, .len = 4096, .bufs = bufs, .nbufs = 2, .done = counted };
    uint8_t want[4096];

    make_image("a", SIZE, NULL);
    start(must_open("a", (struct block_open){ .writable = true }));
    memset(want, 0x3c, sizeof(want));
    MUST(!block_write(disk_block(disk), 512, want, sizeof(want)), "cannot write");
    disk_bounce(disk);
    for (r.nbufs = 1; r.nbufs < 3; r.nbufs++) {
        good = canceled = 0;
        r.len = r.nbufs == 1 ? 100 : 4096;
        memset(got, 0xee, sizeof(got));
        disk_submit(disk, &r);
        usleep(20000);                          /* threads have done it */
        for (unsigned i = 0; i < sizeof(got); i++)
            MUST(got[i] == 0xee, "byte %u was written before the answer", i);
        MUST(!disk_drain(disk) && good == 1, "no answer");
        MUST(!memcmp(got, want, 100) && got[100] == 0xee && got[4095] == 0xee, "wrong data");
        MUST(r.nbufs == 1 || !memcmp(got + 4096, want, 3996), "wrong data");
    }
    MUST(!disk_free(disk), "close failed");
}

int main(void)
{
    static void (*const cases[])(void) = {
        order_case, locked_case, full_case, full_end_case, overlay_case, lock_case, forge_case, drain_case,
        bounce_case, copy_case, detect_case, policy_case, policy_drain_case,
    };

    env_start();
    loop = evloop_new();
    for (seed = 1; seed <= 3 * sizeof(cases) / sizeof(cases[0]); seed++)
        cases[(seed - 1) % (sizeof(cases) / sizeof(cases[0]))]();
    evloop_free(loop);
    printf("test_disk: all is well\n");
    return 0;
}
