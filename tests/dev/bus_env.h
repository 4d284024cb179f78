/*
 * bus_env.h - a machine with a PCI bus, RAM and plugs, for tests of controllers that read memory.
 */
#ifndef TESTS_DEV_BUS_ENV_H
#define TESTS_DEV_BUS_ENV_H

#include "hw/boards.h"
#include "hw/pci.h"
#include "hw/plug.h"
#include "tests/dev/chipset_env.h"

#define BUS_RAM 0x100000u

struct bus_env {
    struct env *e;
    struct pci_bus *pci;
    struct plug_env plugs;
    struct plug_names names;    /* what properties find; the test's */
    struct board board;
    uint8_t *ram;               /* BUS_RAM bytes from 0 on */
    struct plug_use *uses[16];
    unsigned nuses;
    unsigned msis;              /* messages sent, and the last one */
    uint64_t msi_addr;
    uint32_t msi_data;
};

/* INTx of slot s, pin p is line (s + p - 1) & 3 of the environment. */
struct bus_env *bus_env_new(void);
void bus_env_free(struct bus_env *);
/* -device: name, then property, value, ..., NULL. Returns its properties. */
struct plug_common *bus_env_plug(struct bus_env *, const char *name, ...);

static inline void ram_put(struct bus_env *b, uint32_t at, uint32_t val)
{
    for (unsigned i = 0; i < 4; i++)
        b->ram[at + i] = val >> 8 * i;
}
static inline uint32_t ram_get(struct bus_env *b, uint32_t at)
{
    return b->ram[at] | b->ram[at + 1] << 8 | b->ram[at + 2] << 16 | (uint32_t)b->ram[at + 3] << 24;
}
/* A number that is never the same, and the same sequence each time. */
static inline uint32_t bus_env_random(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return *seed >> 33;
}

#endif
