/*
 * phys.h - the physical map's insides, shared by the files of softmmu/ only.
 *
 * Regions are flattened into a sorted, non-overlapping view; readers use whichever view is
 * current and never lock.  A replaced view is kept for a while (RETIRED changes), so that a
 * reader in another thread, which holds one for some nanoseconds, never sees it freed.
 */
#ifndef SOFTMMU_PHYS_H
#define SOFTMMU_PHYS_H

#include "softmmu/softmmu.h"

#define PHYS_MAX_CPUS 256
#define RETIRED 32
#define A20_BIT ((uint64_t)1 << 20)
#define PA_LIMIT ((uint64_t)1 << MMU_PA_BITS)
/*
 * Memory that processors see only in SMM has a physical address of its own, above all those that page tables
 * can hold: mmu_bus_pa() puts it into the place of what others see. So translated code, TLBs and other
 * processors need not hear of it, and entering SMM changes nothing but c->smm (and flushes).
 */
enum { SMM_LOW, SMM_TSEG, SMM_RANGES };
#define SMM_ALIAS(n) (PA_LIMIT + ((n) == SMM_LOW ? 0 : (uint64_t)1 << 21))
#define PA_END (SMM_ALIAS(SMM_TSEG) + PHYS_TSEG_MAX)

struct flat {
    uint64_t base, end;         /* [base, end) */
    uint8_t *host;              /* of base; NULL: I/O */
    struct map *map;
    bool rom;
    uint8_t *under;             /* rom: where writes go, unseen; NULL: nowhere */
};

struct view {
    struct flat big[2];         /* the two largest RAM ranges, looked at first */
    unsigned n;
    struct flat f[];            /* sorted by base */
};

struct smc_leaf;

/*
 * The last writes to memory that did not go through a TLB, for who has just translated code from there: it may have
 * read the bytes before such a write and marked them after the writer had looked (smc_overtaken()).
 */
#define SMC_RECENT 64
struct smc_recent {
    pthread_mutex_t lock;       /* among writers; readers have none */
    uint64_t n;                 /* how many there have been; the last ones are in the arrays */
    uint64_t pa[SMC_RECENT], len[SMC_RECENT];
};

struct phys {
    struct view *view;
    uint64_t a20_mask;          /* ANDed with every physical address the CPU makes */
    struct {
        uint64_t base, len;
        bool seen[2];           /* in SMM, by data accesses and by fetches */
        struct map *alias, *hidden;
    } smm[SMM_RANGES];
    pthread_mutex_t *lock;      /* device lock; may be NULL in tests */
    struct map *maps;           /* all regions, enabled or not */
    struct view *retired[RETIRED];
    unsigned next_retired;
    struct cpu *cpu[PHYS_MAX_CPUS];
    unsigned ncpu;
    struct phys_ram {
        void *p;
        uint64_t len;
        int fd;                 /* -1: it has none */
        bool holes, fixed, taken;       /* as in struct phys_lent */
        bool lent;              /* the mapping is somebody else's */
    } ram[PHYS_RAMS];
    unsigned nram;
    bool monitored;             /* MWAIT has been used: writes look for processors that wait */
    void (*wake)(struct cpu *);
    struct smc_recent recent;
    struct smc_leaf **smc;      /* one pointer per 2 MiB; smc.c */
    struct smc_leaf *smc_made;  /* all there are */
    struct track *tracks;       /* track.c */
};

/* The range that holds pa, or NULL for a hole. */
static inline const struct flat *phys_find(const struct phys *p, uint64_t pa)
{
    const struct view *v = __atomic_load_n(&p->view, __ATOMIC_ACQUIRE);
    unsigned lo = 0, hi = v->n;

    if (pa - v->big[0].base < v->big[0].end - v->big[0].base)
        return &v->big[0];
    if (pa - v->big[1].base < v->big[1].end - v->big[1].base)
        return &v->big[1];
    while (lo < hi) {
        unsigned mid = (lo + hi) / 2;

        if (pa < v->f[mid].base)
            hi = mid;
        else if (pa >= v->f[mid].end)
            lo = mid + 1;
        else
            return &v->f[mid];
    }
    return NULL;
}

/* What phys_read and phys_write do, in one. */
bool phys_rw(struct phys *, uint64_t pa, void *buf, uint64_t len, bool write);

/* memcpy(), but an aligned one of 1, 2, 4 or 8 bytes is one access: rings are polled by the other side. */
void phys_copy(void *to, const void *from, uint64_t len);
/* [pa, pa + len) was written and processors may wait for that. */
void phys_monitor_hit(struct phys *, uint64_t pa, uint64_t len);

/* smc.c */
struct smc_leaf {
    struct smc_leaf *next;
    uint64_t lines[512];
    uint64_t unwritten[512 / 64];       /* bit: had lines, has none, and got no write entry since */
};
static inline uint64_t smc_page_lines(const struct phys *p, uint64_t pa)
{
    const struct smc_leaf *l = pa < PA_END ? __atomic_load_n(&p->smc[pa >> 21], __ATOMIC_ACQUIRE) : NULL;

    return l ? __atomic_load_n(&l->lines[pa >> 12 & 511], __ATOMIC_ACQUIRE) : 0;
}
/* Lines bits of bytes [pa, pa+len) within pa's page. */
static inline uint64_t smc_span(uint64_t pa, uint64_t len)
{
    unsigned first = (pa & 0xfff) >> 6;
    uint64_t last_byte = (pa & 0xfff) + len - 1;
    unsigned last = last_byte > 0xfff ? 63 : (unsigned)(last_byte >> 6);

    return (~(uint64_t)0 >> (63 - last)) & (~(uint64_t)0 << first);
}
/* A write entry is about to be made for the page at pa. */
static inline void smc_write_entry(struct phys *p, uint64_t pa)
{
    struct smc_leaf *l = p->smc[pa >> 21];

    if (l)
        __atomic_fetch_and(&l->unwritten[pa >> 18 & 7], ~((uint64_t)1 << (pa >> 12 & 63)), __ATOMIC_ACQ_REL);
}
void smc_init(struct phys *);
void smc_free(struct phys *);
/* [pa, pa+len) was written, at any length: invalidate blocks made from it. */
void smc_written(struct phys *, uint64_t pa, uint64_t len);

/* track.c */
/* Is this host page of guest RAM watched? */
bool track_knows(const struct phys *, const uint8_t *host);
/* c is about to make a write entry for the page. */
void track_open(struct cpu *c, const uint8_t *host);
/* Guest RAM was written without an entry. */
void track_written(struct phys *, const uint8_t *host, uint64_t len);
/* The n-th processor goes; the last one takes its place. */
void track_cpu_gone(struct phys *, unsigned n, unsigned last);
void tracks_free(struct phys *);

/* `len` bytes, whole pages of the host, zeros, shared. False: errno says why the host has none. */
bool phys_ram_map(struct phys_ram *, uint64_t len);
/* As phys_ram_used(). */
bool phys_ram_has(const struct phys_ram *, uint64_t off, uint64_t *len);

#endif
