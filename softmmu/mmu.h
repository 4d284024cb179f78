/*
 * mmu.h - the soft MMU's insides, shared by the files of softmmu/ only.
 *
 * One struct softmmu per vCPU holds everything a flush or a walk touches; nothing here is shared
 * between vCPUs.  TLB tables come in banks, one per recently used PCID; c->tlb shows the current
 * bank's tables to the fast path.
 */
#ifndef SOFTMMU_MMU_H
#define SOFTMMU_MMU_H

#include "frontend/cpu.h"
#include "softmmu/phys.h"

#define TLB_MIN_BITS 8
#define TLB_MAX_BITS 16
#define VICTIMS 8
#define BANKS 8
#define ETLB 256
#define WALKS 64
#define SLOWS 32
#define PENDING 8

/*
 * One table: entries, and bitmaps that make a flush cost what was touched.  A "line" is the 4
 * entries of a 64-byte cache line; a line is marked where it may hold global (gline) or other
 * (nline) entries since the last flush.  `glob` has a bit per entry.
 */
struct tlb_table {
    struct tlb_entry *e;
    uint64_t *nline, *gline, *glob;
    uint32_t n;                 /* entries, a power of two */
    uint32_t used;              /* entries filled since the last flush (an estimate for sizing) */
    uint32_t evicted;           /* valid entries replaced since the last flush or resize */
    uint8_t idle;               /* flushes in a row that found the table mostly unused */
    uint8_t nvict, next_vict;   /* victims in use (upper bound), next one to replace */
    struct { struct tlb_entry e; bool global; } vict[VICTIMS];
};

/* Fetch translations: page and privilege to physical page. */
struct etlb_entry {
    uint64_t tag;               /* linear page | 2 if CPL 3 */
    uint64_t pa;                /* physical page | 1 if global */
};

/*
 * Page-walk cache, per 2 MiB of linear space: the table that holds the leaf entry and the rights
 * gathered on the way to it.  The leaf itself is always read from guest memory.
 */
struct walk_entry {
    uint64_t key;               /* lin >> 21 */
    uint64_t gen;               /* valid if equal to the bank's */
    uint8_t *table;             /* host address */
    uint64_t table_pa;
    uint32_t rights;            /* PTE_W | PTE_U gathered, WALK_NX */
    uint32_t level;
};

/* Large pages seen, as Bloom filters over their 2 MiB (4 MiB) regions and 1 GiB regions, so that
 * INVLPG can drop all of a large page's entries without every one being marked. [1]: global. */
struct large_seen {
    uint64_t mb[2][16];
    uint64_t gb[2];
};

struct bank {
    struct tlb_table t[MMU_IDX_COUNT][2];
    struct etlb_entry etlb[ETLB];
    uint64_t etlb_used[ETLB / 64];
    struct walk_entry walk[WALKS];
    uint64_t gen;
    struct large_seen large;
    uint64_t stamp;             /* when last current, for choosing which to replace */
    uint64_t pend[PENDING];     /* INVLPGs to do before the bank is used again */
    uint16_t pcid;
    uint8_t npend;
    bool valid;                 /* holds pcid's translations; else to be flushed before use */
    bool has_global;
};

/* Pages that never get fast entries (I/O, code pages, ROM writes, watched): remembered walks. */
struct slow_entry {
    uint64_t key;               /* lin page | idx << 1 | write; ~0 if empty */
    uint64_t pa;                /* physical page */
    uint8_t *host;              /* not NULL: plain memory that only the debugger keeps out of the tables */
};

struct watch { uint64_t lin; unsigned len; bool on_read, on_write; uint8_t bit; };

struct softmmu {
    struct phys *phys;
    struct bank *bank[BANKS];   /* [0] always exists */
    struct bank *cur;
    uint64_t clock;             /* bank stamps */
    uint64_t table_bytes;       /* memory of all tables */
    struct slow_entry slow[SLOWS];
    bool slow_used;
    struct watch watch[4];
    unsigned nwatch;
    bool debugged;              /* the debugger watches, too: c->debug */
    struct mmu_stats stats;
};

/* Page-table entry bits (SDM vol. 3, tables 4-5 to 4-20). */
#define PTE_P  0x001u
#define PTE_W  0x002u
#define PTE_U  0x004u
#define PTE_A  0x020u
#define PTE_D  0x040u
#define PTE_PS 0x080u
#define PTE_G  0x100u
#define PTE_NX ((uint64_t)1 << 63)
#define WALK_NX 0x8000u         /* in gathered rights: some level forbids execution */

/* #PF error code (SDM vol. 3, 4.7). */
#define PF_P 0x01u
#define PF_W 0x02u
#define PF_U 0x04u
#define PF_R 0x08u
#define PF_I 0x10u

struct walk_result {
    uint64_t pa;                /* of the byte */
    uint32_t rights;            /* PTE_W | PTE_U | WALK_NX */
    uint8_t shift;              /* log2 of the page size */
    bool global, dirty;
};

/* walk.c: translate a canonical linear address.  True: #PF with *code.  `peek`: rights are not
 * checked and nothing is written or cached (debugger). */
bool walk_lin(struct cpu *c, uint64_t lin, enum mmu_access acc, unsigned idx, bool peek,
              struct walk_result *w, uint32_t *code);
/* Do these rights permit this kind of access? */
bool walk_permits(const struct cpu *c, uint32_t rights, enum mmu_access acc, unsigned idx);
static inline bool lin_canonical(const struct cpu *c, uint64_t lin)
{
    return !(c->efer & EFER_LMA) || (uint64_t)((int64_t)lin >> 47) + 1 <= 1;
}
/* Where what a processor in SMM sees at pa is. */
static inline uint64_t smm_alias(const struct phys *p, uint64_t pa, bool fetch)
{
    for (unsigned n = 0; n < SMM_RANGES; n++)
        if (p->smm[n].seen[fetch] && pa - p->smm[n].base < p->smm[n].len)
            return pa - p->smm[n].base + SMM_ALIAS(n);
    return pa;
}
/* What a processor's physical address means to the machine: A20 gate, memory of its own in SMM. */
static inline uint64_t mmu_bus_pa(const struct cpu *c, uint64_t pa, bool fetch)
{
    const struct phys *p = c->mmu->phys;

    pa &= p->a20_mask;
    if (c->smm)
        pa = smm_alias(p, pa, fetch);
    return pa;
}
/* Linear addresses are 32 bits outside IA-32e mode. */
static inline uint64_t lin_wrap(const struct cpu *c, uint64_t lin)
{
    return c->efer & EFER_LMA ? lin : (uint32_t)lin;
}

/* tlb.c */
/* Remember lin's page at host page `host`. */
void tlb_insert(struct cpu *c, unsigned idx, bool write, uint64_t page, uint8_t *host, bool global);
/* Only if the place is free. */
void tlb_insert_weak(struct cpu *c, unsigned idx, bool write, uint64_t page, uint8_t *host, bool global);
/* Bring a victim back; its host page or NULL. */
uint8_t *tlb_victim(struct cpu *c, unsigned idx, bool write, uint64_t page);
void tlb_note_large(struct cpu *c, uint64_t lin, unsigned shift, bool global);
/* A page of the current space faulted or changes: forget it everywhere in the current bank. */
void tlb_drop_page(struct cpu *c, uint64_t lin);
/* All fast entries of all banks (watchpoints changed). */
void tlb_drop_fast(struct cpu *c);
/* Remove all write entries to [host, host + len), and what is remembered beside them. */
void tlb_drop_writes(struct cpu *c, const uint8_t *host, uint64_t len);
/* Code-page status changed: remove write entries to `host` (NULL: none) and remembered slow walks. */
void tlb_code_page(struct cpu *c, uint8_t *host);

#endif
