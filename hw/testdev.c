/*
 * testdev.c - pc-testdev, the device kvm-unit-tests (x86/) are written against:
 *
 *   E0h-E3h          a 32-bit latch, readable and writable in any size (emulator, ioport tests)
 *   E4h-E7h          write a page's address: the emulator's mapping of that page is dropped; with
 *                    a soft TLB there is nothing to drop, and the write does nothing
 *   2000h-2017h      write v to 2000h + n: interrupt input n follows v != 0 (ioapic, eventinj tests)
 *   FF000000h, 64K   memory that is accessed as a device (emulator tests)
 */
#include "hw/plug.h"
#include "hw/testdev.h"

#include <string.h>

#include "base/log.h"

#define IOMEM_BASE 0xff000000u
#define IOMEM_SIZE 0x10000u
#define GSIS 24

struct testdev {
    struct irq gsi;
    uint8_t latch[4];
    uint8_t levels[GSIS];
    uint8_t mem[IOMEM_SIZE];
};

static uint64_t bytes_get(const uint8_t *p, unsigned size)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < size; i++)
        v |= (uint64_t)p[i] << (8 * i);
    return v;
}

static void bytes_put(uint8_t *p, unsigned size, uint64_t v)
{
    for (unsigned i = 0; i < size; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}

static uint64_t latch_read(void *dev, uint64_t off, unsigned size)
{
    return bytes_get(((struct testdev *)dev)->latch + off, size);
}

static void latch_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
    bytes_put(((struct testdev *)dev)->latch + off, size, val);
}

static uint64_t flush_read(void *dev, uint64_t off, unsigned size)
{
    return UINT64_MAX;
}

static void flush_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
}

static uint64_t gsi_read(void *dev, uint64_t off, unsigned size)
{
    return ((struct testdev *)dev)->levels[off];
}

static void gsi_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
    struct testdev *t = dev;
    t->levels[off] = val != 0;
    if (t->gsi.set)
        t->gsi.set(t->gsi.to, (int)off, val != 0);
}

static uint64_t mem_read(void *dev, uint64_t off, unsigned size)
{
    return bytes_get(((struct testdev *)dev)->mem + off, size);
}

static void mem_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
    bytes_put(((struct testdev *)dev)->mem + off, size, val);
}

static void testdev_reset(void *dev)
{
    struct testdev *t = dev;
    for (unsigned i = 0; i < GSIS; i++) {
        if (t->levels[i])
            gsi_write(t, i, 0, 1);
    }
    memset(t->latch, 0, sizeof(t->latch));
}

static const struct io_ops latch_ops = { latch_read, latch_write, 1 | 2 | 4, LOG_DEV_TESTDEV };
static const struct io_ops flush_ops = { flush_read, flush_write, 1 | 2 | 4, LOG_DEV_TESTDEV };
static const struct io_ops mem_ops = { mem_read, mem_write, 1 | 2 | 4 | 8, LOG_DEV_TESTDEV };
/* A wider write is one level for one line, not bytes for its neighbours. */
static const struct io_ops gsi_ops = { gsi_read, gsi_write, 1 | 2 | 4, LOG_DEV_TESTDEV };

static const struct field testdev_state[] = {
    FIELD_ARRAY(struct testdev, latch), FIELD_ARRAY(struct testdev, levels),
    /* In two halves: a row's count has 16 bits. */
    { "mem low", offsetof(struct testdev, mem), 1, IOMEM_SIZE / 2 },
    { "mem high", offsetof(struct testdev, mem) + IOMEM_SIZE / 2, 1, IOMEM_SIZE / 2 }, FIELD_END
};

static const struct chip testdev_chip = {
    "pc-testdev", sizeof(struct testdev), testdev_reset, testdev_state, NULL
};

struct testdev *testdev_new(struct chip_list *chips, struct ports *ports, struct phys *phys, struct irq gsi)
{
    struct testdev *t = chip_new(chips, &testdev_chip, "pc-testdev");
    t->gsi = gsi;
    ports_map(ports, 0xe0, 4, &latch_ops, t, "pc-testdev latch");
    ports_map(ports, 0xe4, 4, &flush_ops, t, "pc-testdev flush");
    ports_map(ports, 0x2000, GSIS, &gsi_ops, t, "pc-testdev irq");
    if (phys && !phys_map_io(phys, IOMEM_BASE, IOMEM_SIZE, &mem_ops, t, "pc-testdev memory"))
        die(EXIT_CODE_USAGE, "pc-testdev: its memory at 0x%x is taken", IOMEM_BASE);
    return t;
}

static void make(struct plug_env *env, void *bus, const void *props)
{
    testdev_new(env->m->chips, env->m->ports, env->m->phys, env->gsi);
}

const struct plug testdev_plug = {
    "pc-testdev", "what kvm-unit-tests drive interrupts and I/O with", "ISA", sizeof(struct plug_common), NULL, NULL, make
};
