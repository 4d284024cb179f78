/*
 * nvme_env.c - see nvme_env.h.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "tests/dev/nvme_env.h"

struct env *e;
uint8_t *ram, medium[SIZE];
struct queue queue[PAIRS + 1];
unsigned messages[PAIRS + 1], flushes, fuas, discards;
static uint16_t next_cid;

/* ---- the disk: keeps requests until serve() ---- */

static struct disk_req *waiting[1024];
unsigned nwaiting;
int fail;
bool lazy;

static void submit(struct disk *d, struct disk_req *r)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < r->nbufs; i++) {
        sum += r->bufs[i].len;
        /* Guest RAM, or the controller's own memory. */
        if ((uint8_t *)r->bufs[i].data >= ram && (uint8_t *)r->bufs[i].data < ram + RAM)
            ck_assert((uint8_t *)r->bufs[i].data + r->bufs[i].len <= ram + RAM);
    }
    if (r->op != DISK_FLUSH) {
        ck_assert(r->len && r->off <= SIZE && r->len <= SIZE - r->off);
        ck_assert(r->op > DISK_WRITE || sum == r->len);
    }
    ck_assert_uint_lt(nwaiting, 1024);
    waiting[nwaiting++] = r;
}

void serve_one(unsigned n)
{
    struct disk_req *r = waiting[n];
    uint8_t *at = medium + r->off;

    memmove(&waiting[n], &waiting[n + 1], (--nwaiting - n) * sizeof(waiting[0]));
    r->error = fail;
    fuas += r->fua;
    for (unsigned i = 0; i < r->nbufs && !fail; at += r->bufs[i++].len) {
        if (r->op == DISK_READ)
            memcpy(r->bufs[i].data, at, r->bufs[i].len);
        else
            memcpy(at, r->bufs[i].data, r->bufs[i].len);
    }
    if (r->op == DISK_ZERO || r->op == DISK_DISCARD)
        memset(at, 0, r->len);
    flushes += r->op == DISK_FLUSH;
    discards += r->op == DISK_DISCARD;
    r->done(r);
}

void serve(void)
{
    while (nwaiting)
        serve_one(0);
}

static const struct disk_ops disk_ops = { submit };
struct disk disk;
struct drive drive;

/* ---- the driver ---- */

void w32(uint64_t pa, uint32_t v)
{
    for (unsigned i = 0; i < 4; i++)
        ram[pa + i] = v >> 8 * i;
}

void w64(uint64_t pa, uint64_t v)
{
    w32(pa, v);
    w32(pa + 4, v >> 32);
}

uint64_t r(uint64_t pa, unsigned size)
{
    uint64_t v = 0;

    for (unsigned i = 0; i < size; i++)
        v |= (uint64_t)ram[pa + i] << 8 * i;
    return v;
}

uint32_t reg(unsigned off)
{
    return env_read(e, BAR + off);
}

void set(unsigned off, uint32_t v)
{
    env_write(e, BAR + off, v);
}

static void message(void *to, uint64_t addr, uint32_t data)
{
    ck_assert_uint_eq(addr, 0xfee00000u);
    ck_assert_uint_le(data - 0x40, PAIRS);
    messages[data - 0x40]++;
}

void enable(void)
{
    memset(queue, 0, sizeof(queue));
    memset(ram + ACQ, 0, 0x1000);
    queue[0].size = queue[0].cq_size = DEPTH;
    queue[0].phase = 1;
    set(0x24, (DEPTH - 1) | (DEPTH - 1) << 16);
    set(0x28, ASQ);
    set(0x2c, 0);
    set(0x30, ACQ);
    set(0x34, 0);
    set(0x14, 1 | 6 << 16 | 4 << 20);
    ck_assert_uint_eq(reg(0x1c), 1);
}

void nvme_setup_with(struct nvme_config config)
{
    struct pci_bus *bus;
    struct nvme *dev;

    e = env_new();
    ram = aligned_alloc(0x10000, RAM);
    memset(ram, 0, RAM);
    phys_map_ram(e->phys, 0, RAM, ram, false, "ram");
    disk = (struct disk){ &disk_ops, SIZE, false, true };
    drive = (struct drive){ .id = "hd", .disk = &disk };
    nwaiting = 0;
    fail = 0;
    lazy = false;
    flushes = fuas = discards = 0;
    memset(messages, 0, sizeof(messages));
    for (unsigned i = 0; i < SIZE; i++)
        medium[i] = i * 7 + (i >> 9) * 13 + (i >> 17);
    bus = pci_bus_new(e->chips, e->ports, e->phys, NULL, NULL, env_line(e, 0));
    pci_bus_msi(bus, (struct pci_msi_to){ message, NULL });
    dev = nvme_new(e->chips, bus, e->clock, "nvme0", SLOT, 0, &drive, &config);
    ck_assert_ptr_nonnull(dev);
    env_config_write(e, SLOT << 3, 0x10, BAR, 4);
    env_config_write(e, SLOT << 3, 0x20, MSIX, 4);
    env_config_write(e, SLOT << 3, 4, 6, 2);
    enable();
}

void nvme_setup(void)
{
    nvme_setup_with((struct nvme_config){ .ioqpairs = PAIRS, .mdts = 5, .block_size = 512, .msix = true,
                                          .serial = "SERIAL" });
}

void nvme_teardown(void)
{
    serve();
    env_check_state(e);
    env_free(e);
    free(ram);
}

void msix_on(void)
{
    unsigned cap = env_config_read(e, SLOT << 3, 0x34, 1);

    ck_assert_uint_eq(env_config_read(e, SLOT << 3, cap, 1), 0x11);
    ck_assert_uint_eq(env_config_read(e, SLOT << 3, cap + 2, 2) & 0x7ff, PAIRS);
    for (unsigned v = 0; v <= PAIRS; v++) {
        env_write(e, MSIX + 16 * v, 0xfee00000u);
        env_write(e, MSIX + 16 * v + 8, 0x40 + v);
        env_write(e, MSIX + 16 * v + 12, 0);
    }
    env_config_write(e, SLOT << 3, cap + 2, 0x8000, 2);
}

uint64_t sq_at(unsigned q)
{
    return q ? SQ(q) : ASQ;
}

static uint64_t cq_at(unsigned q)
{
    return q ? CQ(q) : ACQ;
}

uint16_t put(unsigned q, struct sqe c)
{
    uint64_t at = sq_at(q) + 64 * queue[q].tail;
    uint16_t cid = next_cid++;

    memset(ram + at, 0, 64);
    w32(at, c.op | (uint32_t)cid << 16);
    w32(at + 4, c.nsid);
    w64(at + 24, c.prp1);
    w64(at + 32, c.prp2);
    w32(at + 40, c.dw10);
    w32(at + 44, c.dw11);
    w32(at + 48, c.dw12);
    w32(at + 52, c.dw13);
    queue[q].tail = (queue[q].tail + 1) % queue[q].size;
    return cid;
}

void ring(unsigned q)
{
    set(0x1000 + 8 * q, queue[q].tail);
}

uint16_t send(unsigned q, struct sqe c)
{
    uint16_t cid = put(q, c);

    ring(q);
    return cid;
}

bool take_cqe(unsigned q, uint16_t *cid, unsigned *status, uint32_t *result, unsigned *sq)
{
    uint64_t at = cq_at(q) + 16 * queue[q].cq_head;

    if ((r(at + 14, 2) & 1) != queue[q].phase)
        return false;
    *result = r(at, 4);
    *sq = r(at + 10, 2);
    queue[*sq].head = r(at + 8, 2);
    *cid = r(at + 12, 2);
    *status = r(at + 14, 2) >> 1 & 0x7ff;
    if (++queue[q].cq_head == queue[q].cq_size) {
        queue[q].cq_head = 0;
        queue[q].phase ^= 1;
    }
    set(0x1004 + 8 * q, queue[q].cq_head);
    return true;
}

uint32_t result;

unsigned wait_for(unsigned q, uint16_t cid)
{
    uint16_t got;
    unsigned status, sq;

    if (!lazy)
        serve();
    ck_assert(take_cqe(q, &got, &status, &result, &sq));
    ck_assert_uint_eq(got, cid);
    ck_assert_uint_eq(sq, q);
    ck_assert_uint_eq(queue[q].head, queue[q].tail);
    return status;
}

unsigned run(unsigned q, struct sqe c)
{
    return wait_for(q, send(q, c));
}

bool none(unsigned q)
{
    return (r(cq_at(q) + 16 * queue[q].cq_head + 14, 2) & 1) != queue[q].phase;
}

unsigned create(unsigned q, unsigned vector)
{
    unsigned status;

    memset(ram + CQ(q), 0, 0x1000);
    queue[q].tail = queue[q].head = queue[q].cq_head = 0;
    queue[q].phase = 1;
    queue[q].size = queue[q].cq_size = DEPTH;
    status = run(0, (struct sqe){ .op = 5, .prp1 = CQ(q), .dw10 = q | (DEPTH - 1) << 16,
                                  .dw11 = 3 | vector << 16 });
    return status ? status : run(0, (struct sqe){ .op = 1, .prp1 = SQ(q), .dw10 = q | (DEPTH - 1) << 16,
                                                  .dw11 = 1 | q << 16 });
}

unsigned rw(unsigned q, unsigned op, uint64_t lba, unsigned n, uint64_t prp1, uint64_t prp2)
{
    return run(q, (struct sqe){ .op = op, .nsid = 1, .dw10 = lba, .dw11 = lba >> 32, .dw12 = n - 1,
                                .prp1 = prp1, .prp2 = prp2 });
}
