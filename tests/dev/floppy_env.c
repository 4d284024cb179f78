/*
 * floppy_env.c - see floppy_env.h.
 */
#include "tests/dev/floppy_env.h"

#include <stdlib.h>
#include <string.h>

struct env *e;
struct dma8237 *dma;
struct floppy *f;
struct image image[2];
struct drive drive[2];
uint8_t *ram, result[16];
unsigned moves;

/* ---- the medium ---- */

static void submit(struct disk *disk, struct disk_req *r)
{
    struct image *i = (struct image *)disk;

    ck_assert(r->op == DISK_FLUSH || (r->len && r->off + r->len <= disk->size));
    r->next = NULL;
    *i->end = r;
    i->end = &r->next;
}

static const struct disk_ops ops = { submit };

void answer(struct image *i)
{
    struct disk_req *r;

    while ((r = i->first)) {
        i->first = r->next;
        if (!i->first)
            i->end = &i->first;
        r->error = i->error;
        i->requests++;
        if (r->op == DISK_FLUSH)
            i->flushes++;
        else if (r->op == DISK_READ && !i->error)
            memcpy(r->bufs[0].data, i->bytes + r->off, r->len);
        else if (!i->error)
            memcpy(i->bytes + r->off, r->bufs[0].data, r->len);
        r->done(r);
    }
}

void insert(unsigned n, uint64_t size)
{
    struct image *i = &image[n];

    free(i->bytes);
    *i = (struct image){ .disk = { .ops = &ops, .size = size } };
    i->bytes = malloc(size);
    i->end = &i->first;
    for (uint64_t at = 0; at < size; at++)
        i->bytes[at] = at / 512 * 31 + at * 7 + (at >> 16);
    drive[n].disk = &i->disk;
}

/* ---- the machine ---- */

static void build(struct drive *const drives[2])
{
    e = env_new();
    ram = phys_ram_alloc(e->phys, RAM);
    phys_map_ram(e->phys, 0, RAM, ram, false, "ram");
    dma = dma8237_new(e->chips, e->ports, e->phys);
    f = floppy_new(e->chips, e->ports, e->clock, env_line(e, IRQ), dma, drives);
}

void make(uint64_t a, uint64_t b)
{
    struct drive *drives[2] = { NULL, NULL };

    memset(drive, 0, sizeof(drive));
    for (unsigned n = 0; n < 2; n++) {
        drive[n].id = n ? "b" : "a";
        if (n ? b : a)
            drives[n] = &drive[n];
        if ((n ? b : a) > 1)
            insert(n, n ? b : a);
    }
    build(drives);
}

/* What the medium was asked is forgotten; flushes are no part of the machine's state. */
static void forget(struct image *i)
{
    if (i->first && i->first->op == DISK_FLUSH)
        answer(i);
    i->first = NULL;
    i->end = &i->first;
}

static void move(const uint8_t *state, size_t len)
{
    struct drive *drives[2] = { NULL, NULL };
    struct env *before = e;
    const uint8_t *old = ram;
    struct clock_state now;

    for (unsigned n = 0; n < 2; n++) {
        forget(&image[n]);
        if (drive[n].used)
            drives[n] = &drive[n];
        drive[n].used = false;
    }
    clock_save(e->clock, &now);
    build(drives);
    memcpy(ram + BUF, old + BUF, BUF_SIZE);     /* the only memory that is used */
    clock_load(e->clock, &now);
    ck_assert_ptr_null(chips_load(e->chips, state, len));
    ck_assert_int_eq(memcmp(e->line, before->line, sizeof(e->line)), 0);
    memcpy(e->edges, before->edges, sizeof(e->edges));
    env_free(before);
}

static void step(void)
{
    static uint8_t *last;
    static size_t last_len;
    static unsigned n;
    uint8_t *state;
    size_t len;

    if (!moves || ++n % moves)
        return;
    len = chips_save(e->chips, &state);
    if (len != last_len || memcmp(state, last, len) != 0)
        move(state, len);
    free(last);
    last = state;
    last_len = len;
}

/* ---- the driver ---- */

void out(unsigned reg, unsigned val)
{
    ports_write(e->ports, FLOPPY_PORT + reg, val, 1);
    step();
}

unsigned in(unsigned reg)
{
    return ports_read(e->ports, FLOPPY_PORT + reg, 1);
}

/* Time passes, and the medium answers. */
void pass(unsigned us)
{
    for (unsigned i = 0; i < us; i += 10) {
        clock_advance(e->clock, 10 * US);
        step();
        answer(&image[0]);
        answer(&image[1]);
    }
}

bool irq_comes(void)
{
    for (unsigned i = 0; i < 20000 && !e->line[IRQ]; i++)
        pass(10);
    return e->line[IRQ];
}

void give(const uint8_t *bytes, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        ck_assert_uint_eq(in(4) & 0xc0, 0x80);
        out(5, bytes[i]);
    }
}

/* Reads what there is to read; returns how many bytes. */
unsigned fetch(void)
{
    unsigned n = 0;

    while ((in(4) & 0xd0) == 0xd0 && n < sizeof(result))
        result[n++] = in(5);
    ck_assert_uint_eq(in(4) & 0xd0, 0x80);
    return n;
}

void start(void)
{
    out(2, 0x0c);
    ck_assert(irq_comes());
    for (unsigned i = 0; i < 4; i++) {
        SEND(8);
        ck_assert_uint_eq(fetch(), 2);
        ck_assert_uint_eq(result[0], 0xc0 | i);
    }
    ck_assert(!e->line[IRQ]);
    SEND(8);
    EXPECT(0x80);
    SEND(3, 0xdf, 2);           /* DMA mode */
    SEND(0x13, 0, 0x0f, 0);     /* FIFO on */
    out(7, 0);                  /* 500 kbit/s */
    out(2, 0x1c);
}

void seek(unsigned unit, unsigned cyl)
{
    SEND(0x0f, unit, cyl);
    ck_assert(irq_comes());
    SEND(8);
    ck_assert_uint_eq(fetch(), 2);
    ck_assert_uint_eq(result[0], 0x20 | unit);
    ck_assert_uint_eq(result[1], cyl);
    ck_assert(!e->line[IRQ]);
}

void channel(unsigned mode, unsigned count)
{
    ports_write(e->ports, 0xd6, 0xc0, 1);
    ports_write(e->ports, 0xd4, 0, 1);
    ports_write(e->ports, 0x0a, 6, 1);
    ports_write(e->ports, 0x0c, 0, 1);
    ports_write(e->ports, 0x0b, mode | 2, 1);
    ports_write(e->ports, 0x04, BUF & 0xff, 1);
    ports_write(e->ports, 0x04, BUF >> 8 & 0xff, 1);
    ports_write(e->ports, 0x81, BUF >> 16, 1);
    ports_write(e->ports, 0x05, (count - 1) & 0xff, 1);
    ports_write(e->ports, 0x05, (count - 1) >> 8, 1);
    ports_write(e->ports, 0x0a, 2, 1);
}

unsigned lba(unsigned c, unsigned h, unsigned r, unsigned heads, unsigned secs)
{
    return ((c * heads + h) * secs + r - 1) * 512;
}

void finish(void)
{
    pass(1000);
    env_check_state(e);
    env_free(e);
    for (unsigned n = 0; n < 2; n++) {
        free(image[n].bytes);
        memset(&image[n], 0, sizeof(image[n]));
        image[n].end = &image[n].first;
    }
}

void setup(void)
{
    image[0].end = &image[0].first;
    image[1].end = &image[1].first;
    make(1474560, 1);           /* 1.44M in A, nothing in B */
}
