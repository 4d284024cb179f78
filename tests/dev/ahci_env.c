/* ahci_env.c - see ahci_env.h. */
#include "tests/dev/ahci_env.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

struct env *e;
uint8_t *ram;
struct fake disk[3];
struct drive drive[3];
unsigned messages;

/* ---- disks ---- */

static void submit(struct disk *d, struct disk_req *r)
{
    struct fake *f = (struct fake *)d;
    uint64_t sum = 0;

    for (unsigned i = 0; i < r->nbufs; i++) {
        sum += r->bufs[i].len;
        if ((uint8_t *)r->bufs[i].data >= ram && (uint8_t *)r->bufs[i].data < ram + RAM)
            ck_assert((uint8_t *)r->bufs[i].data + r->bufs[i].len <= ram + RAM);
    }
    if (r->op != DISK_FLUSH)
        ck_assert(r->len && r->off <= d->size && r->len <= d->size - r->off);
    if (r->op == DISK_READ || r->op == DISK_WRITE)
        ck_assert_uint_eq(sum, r->len);
    ck_assert_uint_lt(f->n, 64);
    f->wait[f->n++] = r;
}

void answer(struct fake *f, unsigned n)
{
    struct disk_req *r = f->wait[n];
    uint8_t *at = f->data + r->off;

    memmove(&f->wait[n], &f->wait[n + 1], (--f->n - n) * sizeof(f->wait[0]));
    r->error = f->fail && r->off <= f->fail_at && f->fail_at < r->off + r->len ? f->fail : 0;
    f->fuas += r->op == DISK_WRITE && r->fua;
    f->flushes += r->op == DISK_FLUSH;
    for (unsigned i = 0; i < r->nbufs && !r->error; at += r->bufs[i++].len) {
        if (r->op == DISK_READ)
            memcpy(r->bufs[i].data, at, r->bufs[i].len);
        else if (r->op == DISK_WRITE)
            memcpy(at, r->bufs[i].data, r->bufs[i].len);
    }
    r->done(r);
}

void answer_all(struct fake *f)
{
    while (f->n)
        answer(f, 0);
}

static void drain_reads(struct disk *d)
{
    struct fake *f = (struct fake *)d;

    f->drains++;
    for (unsigned i = 0; i < f->n;)
        if (f->wait[i]->op == DISK_READ)
            answer(f, i);
        else
            i++;
}

static const struct disk_ops ops = { submit, drain_reads };

static void settle(void)
{
    bool some;

    do {
        some = false;
        for (unsigned i = 0; i < 3; i++)
            if (!disk[i].lazy && disk[i].n) {
                answer_all(&disk[i]);
                some = true;
            }
    } while (some);
}

/* ---- the machine ---- */

static void message(void *to, uint64_t addr, uint32_t data)
{
    ck_assert_uint_eq(addr, 0xfee00000u);
    ck_assert_uint_eq(data, 0x41);
    messages++;
}

void setup_with(bool staggered)
{
    static const char *const id[3] = { "disk", "cd", "other" };
    struct pci_bus *bus;
    struct ahci *s;

    e = env_new();
    messages = 0;
    ram = aligned_alloc(0x10000, RAM);
    memset(ram, 0, RAM);
    phys_map_ram(e->phys, 0, RAM, ram, false, "ram");
    bus = pci_bus_new(e->chips, e->ports, e->phys, NULL, NULL, env_line(e, 0));
    pci_bus_msi(bus, (struct pci_msi_to){ message, NULL });
    s = ahci_new(e->chips, bus, "ahci0", SLOT, 0, 1, staggered);
    for (unsigned i = 0; i < 3; i++) {
        uint64_t size = i == 1 ? CD_SIZE : SIZE;

        memset(&disk[i], 0, sizeof(disk[i]));
        disk[i].d = (struct disk){ &ops, size, i == 1, true };
        disk[i].data = malloc(size);
        for (uint64_t k = 0; k < size; k++)
            disk[i].data[k] = (uint8_t)(k * 7 + (k >> 9) * 13 + (k >> 17) + i);
        drive[i] = (struct drive){ .id = id[i], .disk = &disk[i].d, .cdrom = i == 1, .read_only = i == 1 };
        ide_attach(ahci_bus(s, i), e->chips, id[i], 0, &drive[i],
                   i ? i == 1 ? NULL : &(struct ata_who){ .rotation = 1, .cache_off = true } : &(struct ata_who){ .serial = "SERIAL", .model = "MODEL", .version = "V1",
                                                 .wwn = 0x5000123456789abcu, .physical = 4096, .rotation = 7200 });
    }
    env_config_write(e, DEVFN, 0x20, PAIR, 4);
    env_config_write(e, DEVFN, 0x24, BAR, 4);
    env_config_write(e, DEVFN, 4, 7, 2);
}

void setup(void)
{
    setup_with(false);
}

void teardown(void)
{
    for (unsigned i = 0; i < 3; i++)
        disk[i].lazy = false;
    settle();
    env_check_state(e);
    env_free(e);
    for (unsigned i = 0; i < 3; i++)
        free(disk[i].data);
    free(ram);
}

/* ---- registers and memory ---- */

uint32_t reg(unsigned off)
{
    return env_read(e, BAR + off);
}

void set(unsigned off, uint32_t v)
{
    env_write(e, BAR + off, v);
    settle();
}

uint32_t preg(unsigned port, unsigned off)
{
    return reg(0x100 + 0x80 * port + off);
}

void pset(unsigned port, unsigned off, uint32_t v)
{
    set(0x100 + 0x80 * port + off, v);
}

uint32_t r32(uint64_t pa)
{
    return ram[pa] | (uint32_t)ram[pa + 1] << 8 | (uint32_t)ram[pa + 2] << 16 | (uint32_t)ram[pa + 3] << 24;
}

void w32(uint64_t pa, uint32_t v)
{
    for (unsigned i = 0; i < 4; i++)
        ram[pa + i] = v >> 8 * i;
}

/* ---- the driver ---- */

void start(unsigned port)
{
    pset(port, P_CLB, CLB(port));
    pset(port, P_FB, FB(port));
    pset(port, P_CLBU, 0);
    pset(port, P_FBU, 0);
    pset(port, P_CMD, FRE);
    pset(port, P_SERR, 0xffffffff);
    pset(port, P_IS, 0xffffffff);
    pset(port, P_CMD, FRE | ST);
    ck_assert_uint_eq(preg(port, P_CMD) & (ST | FRE | FR | CR), ST | FRE | FR | CR);
}

void stop(unsigned port)
{
    pset(port, P_CMD, FRE);
    ck_assert_uint_eq(preg(port, P_CMD) & (ST | CR), 0);
}

void put(unsigned port, unsigned slot, const struct cmd *c)
{
    uint64_t t = TABLE(port, slot), h = CLB(port) + 32 * slot;
    unsigned n = 0;

    memset(ram + t, 0, 0x100);
    ram[t] = 0x27;
    ram[t + 1] = 0x80;
    ram[t + 2] = c->command;
    ram[t + 3] = (uint8_t)c->feature;
    for (unsigned i = 0; i < 3; i++) {
        ram[t + 4 + i] = c->lba >> 8 * i;
        ram[t + 8 + i] = c->lba >> (24 + 8 * i);
    }
    ram[t + 7] = c->device ? c->device : 0x40;
    ram[t + 11] = c->feature >> 8;
    ram[t + 12] = (uint8_t)c->count;
    ram[t + 13] = c->count >> 8;
    memcpy(ram + t + 0x40, c->packet, 12);
    for (; n < 8 && c->prd[n].len; n++) {
        w32(t + 0x80 + 16 * n, (uint32_t)c->prd[n].pa);
        w32(t + 0x84 + 16 * n, c->prd[n].pa >> 32);
        w32(t + 0x8c + 16 * n, c->prd[n].len - 1);
    }
    w32(h, 5 | (c->atapi ? 0x20 : 0) | (c->write ? 0x40 : 0) | n << 16);
    w32(h + 4, 0xdeadbeef);
    w32(h + 8, (uint32_t)t);
    w32(h + 12, 0);
}

void issue(unsigned port, uint32_t slots)
{
    pset(port, P_CI, slots);
}

void issue_queued(unsigned port, uint32_t slots)
{
    pset(port, P_SACT, slots);
    pset(port, P_CI, slots);
}

uint32_t run(unsigned port, const struct cmd *c)
{
    uint32_t is;

    put(port, 0, c);
    issue(port, 1);
    is = preg(port, P_IS);
    pset(port, P_IS, is);
    return is;
}

void put_queued(unsigned slot, bool write, uint64_t lba, unsigned n, uint64_t where)
{
    put(0, slot, &(struct cmd){ .command = write ? 0x61 : 0x60, .lba = lba, .feature = n, .count = slot << 3,
                                .write = write, .prd = { { where, n * 512 } } });
}

bool same(uint64_t pa, unsigned d, uint64_t lba, unsigned sectors)
{
    return memcmp(ram + pa, disk[d].data + lba * 512, sectors * 512) == 0;
}

void read_log(unsigned log)
{
    uint8_t sum = 0;

    memset(ram + DATA, 0x55, 512);
    ck_assert_uint_eq(run(0, &(struct cmd){ .command = 0x2f, .lba = log, .count = 1, .prd = { { DATA, 512 } } }), PS);
    for (unsigned i = 0; i < 512; i++)
        sum += ram[DATA + i];
    ck_assert(log != 0x10 || !sum);
}
