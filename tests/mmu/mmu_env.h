/*
 * mmu_env.h - one vCPU, 32 MiB of RAM and page-table building for the MMU tests.
 */
#ifndef TESTS_MMU_ENV_H
#define TESTS_MMU_ENV_H

#include "frontend/cpu.h"
#include "hw/machine.h"

#define RAM_SIZE (32u << 20)
#define ROOT 0x100000u          /* the current space's top table; tables are allocated above */

/* Page-table entry bits the tests set. */
#define P 0x001u
#define W 0x002u
#define U 0x004u
#define A 0x020u
#define D 0x040u
#define PS 0x080u
#define G 0x100u
#define NX ((uint64_t)1 << 63)

enum env_mode { ENV_REAL, ENV_32, ENV_PAE, ENV_LONG };

struct env {
    struct cpu c;
    struct machine m;
    uint8_t *ram;
    uint64_t next_table;
    uint64_t root;              /* of the space map_page() builds */
    enum env_mode mode;
};

/* What the translator was told. */
struct told {
    unsigned map_changed, invalidated, asked;
    bool busy;                  /* what exec_ask() finds: the vCPU must do the work itself, later */
    bool all, one;
    uint64_t lin, pa;
    unsigned len;
};
extern struct told told;

struct env *env_new(enum env_mode mode);
void env_free(struct env *);
/* Map one page of 2^shift bytes; upper levels get `upper`. Returns where the leaf entry lies. */
uint64_t map_page(struct env *, uint64_t lin, uint64_t pa, unsigned shift, uint64_t flags, uint64_t upper);
uint64_t get_entry(const struct env *, uint64_t at);
void set_entry(struct env *, uint64_t at, uint64_t val);
/* Start a new, empty space at `root`. */
void new_space(struct env *, uint64_t root);

uint64_t load8(struct env *, uint64_t lin, enum mmu_idx idx, bool *faulted);
/* Would the fast path hit? */
bool fast_hit(const struct env *, uint64_t lin, unsigned size, enum mmu_idx idx, bool write);
#endif
