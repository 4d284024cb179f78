/*
 * access.c - chance, what a processor can do to a board, PCI enumeration, and accesses without any idea (fuzz_dev.h).
 */
#include "tests/fuzz/dev/fuzz_dev.h"

#include <stdio.h>
#include <string.h>

#define WINDOW     0xc0000000u          /* where BARs go */
#define PORTS      0x1000u
#define COMMAND    4

/* ---- chance ---- */

/* splitmix64 */
uint64_t rnd(struct fuzz *z)
{
    uint64_t x = z->random += 0x9e3779b97f4a7c15u;

    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

uint64_t address(struct fuzz *z, unsigned align)
{
    uint64_t a;

    switch (pick(z, 40)) {
    case 0: a = RAM_SIZE - pick(z, 0x2000); break;              /* the end of RAM */
    case 1: a = rnd(z); break;
    case 2: a = WINDOW + pick(z, 0x8000000); break;             /* devices */
    case 3: a = pick(z, 0x110000); break;                       /* low memory, video, ROM */
    case 4: a = 0xfec00000u + pick(z, 0x400) * 0x1000; break;   /* APICs, HPET */
    case 5: a = (1ull << 32) - pick(z, 0x2000); break;
    default: a = POOL + pick(z, POOL_SIZE - 0x1000); break;
    }
    return chance(z, 30) ? a : a & ~(uint64_t)(align - 1);
}

uint64_t value(struct fuzz *z)
{
    switch (pick(z, 10)) {
    case 0: return 0;
    case 1: return UINT64_MAX;
    case 2: return 1ull << pick(z, 64);
    case 3: return pick(z, 0x100);
    case 4: return pick(z, 0x10000);
    case 5: return rnd(z) & UINT32_MAX;
    case 6: return rnd(z);
    case 7: return address(z, 64);
    case 8: return address(z, 4096) | pick(z, 16);
    default: return pick(z, 16);
    }
}

/* ---- accesses ---- */

static void trace(struct fuzz *z, const char *what, uint64_t at, uint64_t val, unsigned size)
{
    z->accesses++;
    if (z->trace)
        fprintf(stderr, "%lu %s%u %llx %llx\n", z->accesses, what, size, (unsigned long long)at, (unsigned long long)val);
}

uint32_t in(struct fuzz *z, unsigned port, unsigned size)
{
    trace(z, "in", port, 0, size);
    return ports_read(z->m.ports, (uint16_t)port, size);
}

void out(struct fuzz *z, unsigned port, uint32_t val, unsigned size)
{
    trace(z, "out", port, val, size);
    ports_write(z->m.ports, (uint16_t)port, size == 4 ? val : val & ((1u << size * 8) - 1), size);
}

uint64_t mem_in(struct fuzz *z, uint64_t pa, unsigned size)
{
    trace(z, "read", pa, 0, size);
    return phys_io_read(z->m.phys, pa, size);
}

void mem_out(struct fuzz *z, uint64_t pa, uint64_t val, unsigned size)
{
    trace(z, "write", pa, val, size);
    phys_io_write(z->m.phys, pa, size == 8 ? val : val & ((1ull << size * 8) - 1), size);
}

/* Guest RAM, by its address there; the pool lies where addresses are offsets. */
void ram_put(struct fuzz *z, uint64_t pa, uint64_t val, unsigned size)
{
    if (pa > RAM_SIZE - size)
        return;
    for (unsigned i = 0; i < size; i++)
        ((uint8_t *)z->m.ram)[pa + i] = (uint8_t)(val >> 8 * i);
}

uint64_t ram_get(struct fuzz *z, uint64_t pa, unsigned size)
{
    uint64_t val = 0;

    for (unsigned i = 0; pa <= RAM_SIZE - size && i < size; i++)
        val |= (uint64_t)((uint8_t *)z->m.ram)[pa + i] << 8 * i;
    return val;
}

uint32_t config_in(struct fuzz *z, unsigned devfn, unsigned reg, unsigned size)
{
    out(z, 0xcf8, 0x80000000u | devfn << 8 | (reg & 0xfc), 4);
    return in(z, 0xcfc + (reg & 3), size);
}

void config_out(struct fuzz *z, unsigned devfn, unsigned reg, uint32_t val, unsigned size)
{
    out(z, 0xcf8, 0x80000000u | devfn << 8 | (reg & 0xfc), 4);
    out(z, 0xcfc + (reg & 3), val, size);
}

uint64_t bar_in(struct fuzz *z, const struct function *f, unsigned bar, uint64_t off, unsigned size)
{
    if (bar >= BARS_MAX || !f->bar[bar].size)
        return 0;
    if (f->bar[bar].io)
        return in(z, (unsigned)(f->bar[bar].base + off), size > 4 ? 4 : size);
    return mem_in(z, f->bar[bar].base + off, size);
}

void bar_out(struct fuzz *z, const struct function *f, unsigned bar, uint64_t off, uint64_t val, unsigned size)
{
    if (bar >= BARS_MAX || !f->bar[bar].size)
        return;
    if (f->bar[bar].io)
        out(z, (unsigned)(f->bar[bar].base + off), (uint32_t)val, size > 4 ? 4 : size);
    else
        mem_out(z, f->bar[bar].base + off, val, size);
}

/* ---- enumeration ---- */

struct places { uint64_t mem, io; };

static void place_bar(struct fuzz *z, struct function *f, unsigned n, unsigned reg, struct places *at)
{
    uint32_t mask, old = config_in(z, f->devfn, reg, 4);
    uint64_t size;

    config_out(z, f->devfn, reg, UINT32_MAX, 4);
    mask = config_in(z, f->devfn, reg, 4);
    if (!mask) {
        config_out(z, f->devfn, reg, old, 4);
        return;
    }
    if (mask & 1) {
        size = (~((mask & ~3u) | 0xffff0000u) + 1) & 0xffff;
        at->io = (at->io + size - 1) & ~(size - 1);
        f->bar[n].base = at->io;
        f->bar[n].io = true;
        at->io += size;
    } else {
        size = (uint64_t)~(mask & ~15u) + 1;
        at->mem = (at->mem + size - 1) & ~(size - 1);
        f->bar[n].base = at->mem;
        at->mem += size;
    }
    f->bar[n].size = size;
    config_out(z, f->devfn, reg, (uint32_t)f->bar[n].base, 4);
    if ((mask & 7) == 4)
        config_out(z, f->devfn, reg + 4, 0, 4);
}

/* MSI-X on, where it is there, with the first entries of its table. */
static void message_x(struct fuzz *z, const struct function *f)
{
    unsigned cap = config_in(z, f->devfn, 0x34, 1) & 0xfc;

    for (unsigned n = 0; cap && n < 40 && config_in(z, f->devfn, cap, 1) != 0x11; n++)
        cap = config_in(z, f->devfn, cap + 1, 1) & 0xfc;
    if (!cap)
        return;
    config_out(z, f->devfn, cap + 2, 0x8000, 2);
    for (unsigned v = 0; v < 8; v++) {
        uint32_t at = config_in(z, f->devfn, cap + 4, 4);

        bar_out(z, f, at & 7, (at & ~7u) + 16 * v, chance(z, 10) ? address(z, 4) : 0xfee00000u, 8);
        bar_out(z, f, at & 7, (at & ~7u) + 16 * v + 8, 0x30 + v, 4);
        bar_out(z, f, at & 7, (at & ~7u) + 16 * v + 12, 0, 4);
    }
}

static void enumerate_bus(struct fuzz *, unsigned bus, struct places *);

/* A bridge's buses have numbers behind its own, and their places lie in its windows; the prefetchable one is closed. */
static void enumerate_behind(struct fuzz *z, unsigned devfn, struct places *at)
{
    unsigned bus = ++z->buses;
    uint64_t io, mem;

    at->io = io = (at->io + 0xfff) & ~0xfffull;
    at->mem = mem = (at->mem + 0xfffff) & ~0xfffffull;
    config_out(z, devfn, 0x18, devfn >> 8 | bus << 8 | 0xff << 16, 4);
    enumerate_bus(z, bus, at);
    config_out(z, devfn, 0x1a, z->buses, 1);
    at->io = (at->io + 0xfff) & ~0xfffull;
    at->mem = (at->mem + 0xfffff) & ~0xfffffull;
    config_out(z, devfn, 0x1c, (io >> 8 & 0xf0) | ((at->io - 1) & 0xf000), 2);     /* with nothing behind, base > limit */
    config_out(z, devfn, 0x20, (uint32_t)(mem >> 16 | ((at->mem - 1) & 0xfff00000u)), 4);
    config_out(z, devfn, 0x24, 0xfff0, 4);
    config_out(z, devfn, 0x30, 0, 4);
    config_out(z, devfn, COMMAND, 7, 2);
}

static void enumerate_function(struct fuzz *z, unsigned devfn, struct places *at)
{
    struct function *f = &z->fn[z->nfns];
    uint32_t id = config_in(z, devfn, 0, 4);
    bool bridge = (config_in(z, devfn, 0x0e, 1) & 0x7f) == 1;

    if ((uint16_t)id == 0xffff || z->nfns == FUNCTIONS)
        return;
    memset(f, 0, sizeof(*f));
    *f = (struct function){ .devfn = devfn, .vendor = id & 0xffff, .device = id >> 16,
                            .class = config_in(z, devfn, 8, 4) >> 8 };
    f->nbars = bridge ? 2 : 6;
    for (unsigned n = 0; n < f->nbars; n++) {
        bool wide = (config_in(z, devfn, 0x10 + 4 * n, 4) & 7) == 4;

        place_bar(z, f, n, 0x10 + 4 * n, at);
        n += wide;
    }
    /* I/O, memory, bus master; interrupts by pin or by message. */
    config_out(z, devfn, COMMAND, 7, 2);
    config_out(z, devfn, 0x3c, 5 + pick(z, 6), 1);
    if (!bridge && chance(z, 2))
        message_x(z, f);
    if (f->class >> 8 == 0x0101)                /* Intel's IDE functions decode their channels then */
        config_out(z, devfn, 0x40, 0x80008000u, 4);
    z->nfns++;
    if (bridge)
        enumerate_behind(z, devfn, at);
}

static void enumerate_bus(struct fuzz *z, unsigned bus, struct places *at)
{
    for (unsigned devfn = 0; devfn < 256; devfn++)
        if (!(devfn & 7) || (config_in(z, bus << 8 | (devfn & ~7u), 0x0e, 1) & 0x80 &&
                             config_in(z, bus << 8 | (devfn & ~7u), 0, 2) != 0xffff))
            enumerate_function(z, bus << 8 | devfn, at);
}

void enumerate(struct fuzz *z)
{
    struct places at = { WINDOW, PORTS };

    z->nfns = z->buses = 0;
    enumerate_bus(z, 0, &at);
}

/* ---- accesses without any idea ---- */

static unsigned size_of(struct fuzz *z)
{
    return 1u << pick(z, 3);
}

/* Registers are mostly in front, and aligned. */
static uint64_t offset(struct fuzz *z, uint64_t size)
{
    uint64_t limit = chance(z, 2) ? 0x80 : chance(z, 2) ? 0x1100 : size;

    limit = limit < size ? limit : size;
    return limit ? pick(z, (uint32_t)limit) & (chance(z, 8) ? ~0u : ~3u) : 0;
}

static void wild_bar(struct fuzz *z)
{
    struct function *f = z->nfns ? &z->fn[pick(z, z->nfns)] : NULL;
    unsigned n = pick(z, 6), size = chance(z, 8) ? 8 : size_of(z);
    uint64_t off;

    if (!f || !f->bar[n].size)
        return;
    off = offset(z, f->bar[n].size);
    switch (pick(z, 4)) {
    case 0: bar_in(z, f, n, off, size); break;
    case 1: bar_out(z, f, n, off, bar_in(z, f, n, off, size) ^ 1ull << pick(z, 32), size); break;
    default: bar_out(z, f, n, off, value(z), size);
    }
}

static void wild_config(struct fuzz *z)
{
    struct function *f = z->nfns ? &z->fn[pick(z, z->nfns)] : NULL;
    unsigned reg = pick(z, 256), size = size_of(z), cap = 0x34;

    if (!f)
        return;
    reg &= ~(size - 1);
    if (chance(z, 2)) {         /* in a capability: MSI, MSI-X, power management */
        for (unsigned n = pick(z, 5) + 1; n; n--)
            cap = config_in(z, f->devfn, cap + (cap != 0x34), 1) & 0xfc;
        reg = (cap + pick(z, 24)) & 0xff & ~(size - 1);
    }
    /* Places and the command register are mostly left alone, or nothing would answer any more. */
    if (reg >= 0x28 || chance(z, 20))
        config_out(z, f->devfn, reg, (uint32_t)value(z), size);
    config_in(z, f->devfn, reg, size);
    config_out(z, f->devfn, COMMAND, chance(z, 40) ? pick(z, 8) : 7, 2);
}

static void wild_port(struct fuzz *z)
{
    static const uint16_t at[][2] = {
        { 0, 0x20 }, { 0x20, 2 }, { 0x40, 4 }, { 0x60, 5 }, { 0x70, 4 }, { 0x80, 16 }, { 0x92, 1 }, { 0xa0, 2 },
        { 0xb2, 2 }, { 0xc0, 32 }, { 0xf0, 2 }, { 0x170, 8 }, { 0x1ce, 4 }, { 0x1f0, 8 }, { 0x278, 8 }, { 0x2e8, 8 },
        { 0x2f8, 8 }, { 0x300, 32 }, { 0x376, 1 }, { 0x378, 8 }, { 0x3b0, 0x30 }, { 0x3e8, 8 }, { 0x3f0, 8 },
        { 0x3f8, 8 }, { 0x402, 1 }, { 0x4d0, 2 }, { 0x505, 1 }, { 0x510, 12 }, { 0x600, 0x80 }, { 0x700, 0x40 },
        { 0x220, 0x10 }, { 0x330, 2 }, { 0x388, 4 }, { 0x778, 3 }, { 0xcf8, 8 },
    };
    unsigned n = pick(z, sizeof(at) / sizeof(at[0]) + 1), port, size = size_of(z);

    port = n < sizeof(at) / sizeof(at[0]) ? at[n][0] + pick(z, at[n][1]) : pick(z, 0x10000);
    if (chance(z, 3))
        in(z, port, size);
    else
        out(z, port, (uint32_t)value(z), size);
}

static void wild_memory(struct fuzz *z)
{
    static const struct { uint32_t at, size; } place[] = {
        { 0xa0000, 0x20000 }, { 0xc0000, 0x40000 }, { 0xfec00000u, 0x100 }, { 0xfed00000u, 0x400 }, { 0xfee00000u, 0x400 },
        { 0xfed1c000u, 0x4000 }, { 0xffc00000u, 0x400000 }, { 0xb0000000u, 0x10000000 },
    };
    unsigned n = pick(z, sizeof(place) / sizeof(place[0])), size = chance(z, 8) ? 8 : size_of(z);
    uint64_t at = place[n].at + offset(z, place[n].size);

    if (chance(z, 3))
        mem_in(z, at, size);
    else
        mem_out(z, at, value(z), size);
}

/* What a processor does besides: it takes interrupts, and reaches its APIC by MSRs. */
static void wild_processor(struct fuzz *z)
{
    uint64_t val;

    switch (pick(z, 5)) {
    case 0: z->m.int_ack(&z->m, 0); break;
    case 1: z->m.apic_rdmsr(&z->m, 0, 0x800 + pick(z, 0x40), &val); break;
    case 2: z->m.apic_wrmsr(&z->m, 0, chance(z, 20) ? 0x1b : 0x800 + pick(z, 0x40), value(z)); break;
    case 3: z->m.tpr_set(&z->m, 0, (uint8_t)pick(z, 16)); break;
    default: z->m.ferr(&z->m, 0, chance(z, 2));
    }
}

void wild(struct fuzz *z)
{
    switch (pick(z, 8)) {
    case 0: wild_config(z); break;
    case 1: case 2: wild_port(z); break;
    case 3: wild_memory(z); break;
    case 4: wild_processor(z); break;
    default: wild_bar(z);
    }
}
