/* ide_env.c - see ide_env.h. */
#include "tests/dev/ide_env.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "hw/piix3_ide.h"

struct env *e;
uint8_t *ram;
struct fake disk[4];
struct drive drive[4];
unsigned mmio;

uint8_t pattern(uint64_t byte)
{
    return (uint8_t)(byte ^ byte >> 9 ^ byte >> 16 ^ 0x5a);
}

/* ---- the disk ---- */

static void submit(struct disk *d, struct disk_req *r)
{
    struct fake *f = (struct fake *)d;
    uint64_t len = 0;

    ck_assert_uint_lt(f->n, 8);
    ck_assert(r->op == DISK_FLUSH || (r->off <= d->size && r->len && r->len <= d->size - r->off));
    if (r->op == DISK_READ || r->op == DISK_WRITE) {
        for (unsigned i = 0; i < r->nbufs; i++)
            len += r->bufs[i].len;
        ck_assert_uint_eq(len, r->len);
    }
    f->wait[f->n++] = r;
}

static void answer(struct fake *f, unsigned i)
{
    struct disk_req *r = f->wait[i];
    uint64_t at = r->off;

    memmove(&f->wait[i], &f->wait[i + 1], (--f->n - i) * sizeof(f->wait[0]));
    r->error = f->error && r->off <= f->fail_at && f->fail_at < r->off + r->len ? f->error : 0;
    f->reads += r->op == DISK_READ;
    f->writes += r->op == DISK_WRITE;
    f->fuas += r->op == DISK_WRITE && r->fua;
    f->flushes += r->op == DISK_FLUSH;
    if (r->op == DISK_DISCARD && f->discards < 16) {
        f->discarded[f->discards][0] = r->off;
        f->discarded[f->discards++][1] = r->len;
    }
    if (r->op == DISK_WRITE && f->d.read_only)
        r->error = -EROFS;
    for (unsigned k = 0; k < r->nbufs && !r->error; at += r->bufs[k++].len) {
        if (r->op == DISK_READ)
            memcpy(r->bufs[k].data, f->data + at, r->bufs[k].len);
        else
            memcpy(f->data + at, r->bufs[k].data, r->bufs[k].len);
    }
    r->done(r);
}

void disk_answer(struct fake *f)
{
    while (f->n)
        answer(f, 0);
}

static void drain_reads(struct disk *d)
{
    struct fake *f = (struct fake *)d;

    for (unsigned i = 0; i < f->n;)
        if (f->wait[i]->op == DISK_READ)
            answer(f, i);
        else
            i++;
}

static const struct disk_ops fake_ops = { submit, drain_reads };

static void settle(void)
{
    for (unsigned i = 0; i < 4; i++)
        if (!disk[i].held)
            disk_answer(&disk[i]);
}

/* ---- the machine ---- */

static uint64_t mmio_read(void *dev, uint64_t off, unsigned size)
{
    mmio++;
    return 0;
}

static void mmio_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
    mmio++;
}

static const struct io_ops mmio_ops = { mmio_read, mmio_write, 1 | 2 | 4 | 8, LOG_DEV_NONE };

static void make_disk(struct fake *f, uint64_t size)
{
    memset(f, 0, sizeof(*f));
    f->d = (struct disk){ &fake_ops, size, false, true };
    f->data = malloc(size);
    for (uint64_t i = 0; i < size; i++)
        f->data[i] = pattern(i);
}

void ide_start(const char *kinds, uint64_t disk_size, uint64_t cd_size)
{
    static const char *const id[4] = { "a", "b", "c", "d" };
    struct irq irq[2];
    struct drive *d[4];
    struct pci_bus *bus;

    e = env_new();
    mmio = 0;
    memset(disk, 0, sizeof(disk));
    memset(drive, 0, sizeof(drive));
    ram = aligned_alloc(65536, IDE_TOP);
    memset(ram, 0, IDE_TOP);
    phys_map_ram(e->phys, 0, IDE_HOLE, ram, false, "low");
    phys_map_ram(e->phys, IDE_HIGH, IDE_TOP - IDE_HIGH, ram + IDE_HIGH, false, "high");
    phys_map_io(e->phys, 0xe0000000u, 0x1000, &mmio_ops, NULL, "mmio");
    bus = pci_bus_new(e->chips, e->ports, e->phys, NULL, NULL, (struct irq){ 0 });
    for (unsigned i = 0; i < 4; i++) {
        drive[i].id = id[i];
        drive[i].cdrom = drive[i].read_only = kinds[i] == 'c' || kinds[i] == 'e';
        if (kinds[i] == 'd' || kinds[i] == 'c') {
            make_disk(&disk[i], kinds[i] == 'd' ? disk_size : cd_size);
            drive[i].disk = &disk[i].d;
        }
        disk[i].d.read_only = drive[i].read_only;
        d[i] = kinds[i] == '-' ? NULL : &drive[i];
    }
    irq[0] = env_line(e, IDE_IRQ(0));
    irq[1] = env_line(e, IDE_IRQ(1));
    piix3_ide_new(e->chips, bus, e->ports, 1, irq, d);
    env_config_write(e, IDE_FN, 0x20, IDE_BM, 4);
    env_config_write(e, IDE_FN, 4, 5, 2);
}

void ide_end(void)
{
    for (unsigned i = 0; i < 4; i++)
        disk_answer(&disk[i]);
    env_check_state(e);
    env_free(e);
    for (unsigned i = 0; i < 4; i++)
        free(disk[i].data);
    free(ram);
}

/* ---- ports ---- */

static uint16_t port(unsigned ch, unsigned reg)
{
    return (ch ? 0x170 : 0x1f0) + reg;
}

uint8_t rd(unsigned ch, unsigned reg)
{
    return (uint8_t)ports_read(e->ports, port(ch, reg), 1);
}

void wr(unsigned ch, unsigned reg, unsigned val)
{
    ports_write(e->ports, port(ch, reg), val & 0xff, 1);
    settle();
}

uint8_t alt(unsigned ch)
{
    return (uint8_t)ports_read(e->ports, ch ? 0x376 : 0x3f6, 1);
}

void ctl(unsigned ch, uint8_t val)
{
    ports_write(e->ports, ch ? 0x376 : 0x3f6, val, 1);
    settle();
}

uint8_t bm(unsigned ch, unsigned reg)
{
    return (uint8_t)ports_read(e->ports, IDE_BM + 8 * ch + reg, 1);
}

void bm_set(unsigned ch, unsigned reg, uint8_t val)
{
    ports_write(e->ports, IDE_BM + 8 * ch + reg, val, 1);
    settle();
}

uint16_t data(unsigned ch)
{
    uint16_t v = (uint16_t)ports_read(e->ports, port(ch, 0), 2);

    settle();
    return v;
}

void data_set(unsigned ch, uint16_t val)
{
    ports_write(e->ports, port(ch, 0), val, 2);
    settle();
}

/* ---- commands ---- */

void cmd28(unsigned ch, unsigned dev, uint8_t command, uint32_t lba, uint8_t count)
{
    wr(ch, R_DEVICE, 0x40 | dev << 4 | lba >> 24);
    wr(ch, R_COUNT, count);
    wr(ch, R_LOW, lba);
    wr(ch, R_MID, lba >> 8);
    wr(ch, R_HIGH, lba >> 16);
    wr(ch, R_COMMAND, command);
}

void cmd48(unsigned ch, unsigned dev, uint8_t command, uint64_t lba, uint16_t count)
{
    wr(ch, R_DEVICE, 0x40 | dev << 4);
    wr(ch, R_COUNT, count >> 8);
    wr(ch, R_COUNT, count);
    for (unsigned i = 0; i < 3; i++) {
        wr(ch, R_LOW + i, (unsigned)(lba >> (24 + 8 * i)));
        wr(ch, R_LOW + i, (unsigned)(lba >> 8 * i));
    }
    wr(ch, R_COMMAND, command);
}

uint8_t finish(unsigned ch)
{
    uint8_t s;

    ck_assert(e->line[IDE_IRQ(ch)]);
    ck_assert_uint_eq(alt(ch) & (ST_BSY | ST_DRQ), 0);
    ck_assert(e->line[IDE_IRQ(ch)]);
    s = rd(ch, R_STATUS);
    ck_assert(!e->line[IDE_IRQ(ch)]);
    return s;
}

unsigned pio_read(unsigned ch, void *to, uint32_t bytes, uint32_t block)
{
    uint8_t *p = to;
    unsigned blocks = 0;

    while (bytes) {
        uint32_t n = bytes < block ? bytes : block;

        ck_assert(e->line[IDE_IRQ(ch)]);
        ck_assert_uint_eq(rd(ch, R_STATUS), ST_OK | ST_DRQ);
        ck_assert(!e->line[IDE_IRQ(ch)]);
        for (uint32_t i = 0; i < n; i += 2) {
            uint16_t v;

            ck_assert_uint_eq(alt(ch) & ST_DRQ, ST_DRQ);
            v = data(ch);
            *p++ = (uint8_t)v;
            if (i + 1 < n)
                *p++ = v >> 8;
        }
        bytes -= n;
        blocks++;
    }
    return blocks;
}

unsigned pio_write(unsigned ch, const void *from, uint32_t bytes, uint32_t block)
{
    const uint8_t *p = from;
    unsigned blocks = 0;

    while (bytes) {
        uint32_t n = bytes < block ? bytes : block;

        ck_assert_uint_eq(e->line[IDE_IRQ(ch)], blocks != 0);
        ck_assert_uint_eq(rd(ch, R_STATUS), ST_OK | ST_DRQ);
        for (uint32_t i = 0; i < n; i += 2, p += 2) {
            ck_assert_uint_eq(alt(ch) & ST_DRQ, ST_DRQ);
            data_set(ch, (uint16_t)(p[0] | (i + 1 < n ? p[1] << 8 : 0)));
        }
        bytes -= n;
        blocks++;
    }
    return blocks;
}

void ide_table(unsigned ch, const uint32_t (*r)[2], bool open)
{
    uint32_t at = IDE_TABLE + ch * 0x1000;

    for (; (*r)[1]; r++, at += 8) {
        uint32_t words[2] = { (*r)[0], ((*r)[1] & 0xffff) | (!r[1][1] && !open ? 0x80000000u : 0) };

        for (unsigned i = 0; i < 8; i++)
            ram[at + i] = (uint8_t)(words[i / 4] >> 8 * (i & 3));
    }
    ports_write(e->ports, IDE_BM + 8 * ch + 4, IDE_TABLE + ch * 0x1000, 4);
}

void bm_start(unsigned ch, bool in)
{
    bm_set(ch, 2, 0x66);                        /* the upper bits are the driver's note */
    bm_set(ch, 0, in ? 8 : 0);
    bm_set(ch, 0, in ? 9 : 1);
}
