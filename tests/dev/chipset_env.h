/*
 * chipset_env.h - what chip tests need around a chip: a chip list, ports, physical map, a clock that only
 * moves when told, and a record of what the chip did to the CPUs.
 */
#ifndef TESTS_DEV_CHIPSET_ENV_H
#define TESTS_DEV_CHIPSET_ENV_H

#include "hw/clock.h"
#include "hw/machine.h"

#define ENV_CPUS 20

struct env {
    struct chip_list *chips;
    struct ports *ports;
    struct phys *phys;
    struct clock *clock;
    struct machine m;
    int current;                /* CPU that makes the accesses */
    struct {
        bool intr;
        unsigned nmi, init, smi, sipi;
        uint8_t sipi_vector;
        int64_t tsc_offset;
    } cpu[ENV_CPUS];
    bool line[64];              /* lines driven through env_line() */
    unsigned edges[64];         /* rises */
};

extern const struct cpu_lines env_lines;

struct env *env_new(void);
void env_free(struct env *);
struct irq env_line(struct env *, int n);
/* Configuration register `reg` of bus 0's device devfn (slot << 3 | function), by mechanism 1. */
uint32_t env_config_read(struct env *, unsigned devfn, unsigned reg, unsigned size);
void env_config_write(struct env *, unsigned devfn, unsigned reg, uint32_t val, unsigned size);
/* For chips that use irq.set with a number of their own: line base + n. */
void env_set(void *env, int n, bool level);
uint32_t env_read(struct env *, uint64_t pa);
void env_write(struct env *, uint64_t pa, uint32_t val);
/* Save, load, save again: the two streams must be equal. */
void env_check_state(struct env *);

#endif
