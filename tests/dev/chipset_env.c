/*
 * chipset_env.c - see chipset_env.h.
 */
#include "tests/dev/chipset_env.h"
#include "tests/dev/check_state.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

/* struct machine is the first thing the lines get; the environment lies around it. */
static struct env *env_of(struct machine *m)
{
    return (struct env *)((char *)m - offsetof(struct env, m));
}

static void intr(struct machine *m, unsigned cpu, bool level)
{
    env_of(m)->cpu[cpu].intr = level;
}

static void nmi(struct machine *m, unsigned cpu)
{
    env_of(m)->cpu[cpu].nmi++;
}

static void init(struct machine *m, unsigned cpu)
{
    env_of(m)->cpu[cpu].init++;
}

static void sipi(struct machine *m, unsigned cpu, uint8_t vector)
{
    env_of(m)->cpu[cpu].sipi++;
    env_of(m)->cpu[cpu].sipi_vector = vector;
}

static void smi(struct machine *m, unsigned cpu)
{
    env_of(m)->cpu[cpu].smi++;
}

static int current(struct machine *m)
{
    return env_of(m)->current;
}

static int64_t tsc_offset(struct machine *m, unsigned cpu)
{
    return env_of(m)->cpu[cpu].tsc_offset;
}

const struct cpu_lines env_lines = {
    .intr = intr, .nmi = nmi, .init = init, .sipi = sipi, .smi = smi, .current = current,
    .tsc_offset = tsc_offset,
};

struct env *env_new(void)
{
    struct env *e = calloc(1, sizeof(*e));

    e->chips = chips_new();
    e->ports = ports_new();
    e->phys = phys_new(NULL);
    e->clock = clock_new_manual(0);
    return e;
}

void env_free(struct env *e)
{
    chips_free(e->chips);
    ports_free(e->ports);
    phys_free(e->phys);
    clock_free(e->clock);
    free(e);
}

void env_set(void *env, int n, bool level)
{
    struct env *e = env;

    if (level && !e->line[n])
        e->edges[n]++;
    e->line[n] = level;
}

struct irq env_line(struct env *e, int n)
{
    return (struct irq){ .set = env_set, .to = e, .line = n };
}

uint32_t env_config_read(struct env *e, unsigned devfn, unsigned reg, unsigned size)
{
    ports_write(e->ports, 0xcf8, 0x80000000u | devfn << 8 | (reg & 0xfc), 4);
    return ports_read(e->ports, 0xcfc + (reg & 3), size);
}

void env_config_write(struct env *e, unsigned devfn, unsigned reg, uint32_t val, unsigned size)
{
    ports_write(e->ports, 0xcf8, 0x80000000u | devfn << 8 | (reg & 0xfc), 4);
    ports_write(e->ports, 0xcfc + (reg & 3), val, size);
}

uint32_t env_read(struct env *e, uint64_t pa)
{
    return phys_io_read(e->phys, pa, 4);
}

void env_write(struct env *e, uint64_t pa, uint32_t val)
{
    phys_io_write(e->phys, pa, val, 4);
}

void env_check_state(struct env *e)
{
    check_state(e->chips);
}
